"""Many runs of one strategy: a grid or random points, in processes, and what to believe of them.

    points = points_of(parse_grid("lookback_bars=5..20..5,stop_pct=1|2"))
    trials = sweep(job, points)                                     two processes of this machine
    trials = sweep(job, points, client.get_executor())             a Dask scheduler with workers

A job names its history instead of carrying it: each worker reads it once. Anything that is a
concurrent.futures.Executor will do; a parameter set that the strategy refuses is no trial.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import random
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import kis_realtime_trading as bot
from companions.backtest import metrics
from companions.backtest.broker import Rules
from companions.backtest.history import History, invent, read_folder
from companions.backtest.overfit import Overfit, overfitting
from companions.backtest.run import Options, run

MOST_POINTS = 10_000
Point = dict[str, float | int | str]


class Source(NamedTuple):
    """Where a worker gets its history from."""

    folder: str = ""  # of the user's CSV; "" for invented days
    first: date | None = None
    last: date | None = None
    symbol: str = ""
    days: int = 20
    seed: int = 21


@functools.lru_cache(maxsize=2)
def history_of(source: Source) -> History:
    """Return a history, read once in each process."""
    if source.folder:
        found = read_folder(Path(source.folder), source.first, source.last)
    else:
        found = invent(source.days, source.seed)
    if source.symbol:
        found.minutes = {s: bars for s, bars in found.minutes.items() if s == source.symbol}
        if not found.minutes:
            raise bot.BotError(
                bot.Both(
                    f"--symbol {source.symbol}: no such stock in the history",
                    f"--symbol {source.symbol}: 시세에 없는 종목입니다",
                )
            )
    return found


@dataclass(frozen=True)
class Job:
    """What all trials of a sweep have in common."""

    source: Source
    strategy: str
    settings: bot.BotSettings
    parameters: Mapping[str, Any] = field(default_factory=dict)
    money: int = 10_000_000
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True)
class Outcome:
    """One trial: its point and what came of it; `error` when the strategy refused the point."""

    point: Point
    error: str = ""
    net_krw: int = 0
    trips: int = 0
    sharpe: float | None = None  # of a day
    drawdown: float = 0.0
    days: tuple[date, ...] = ()
    returns: tuple[float, ...] = ()
    trips_of_day: tuple[int, ...] = ()
    differences: tuple[str, ...] = ()
    korean: str = ""  # of the error


# --- points ------------------------------------------------------------------------------


def _number(text: str) -> float | int | str:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _values(name: str, text: str) -> list[float | int | str]:
    if ".." not in text:
        return [_number(each) for each in text.split("|")]
    ends = [_number(each) for each in text.split("..")]
    if len(ends) not in (2, 3) or any(isinstance(each, str) for each in ends):
        raise bot.BotError(
            bot.Both(
                f"--sweep {name}={text}: FROM..TO..STEP, or values with | between them",
                f"--sweep {name}={text}: 처음..끝..간격, 또는 값|값으로 적으십시오",
            )
        )
    low, high, step = (float(each) for each in (*ends, 1)[:3])
    if not (step > 0 and high >= low and all(map(math.isfinite, (low, high, step)))):
        raise bot.BotError(
            bot.Both(
                f"--sweep {name}={text}: FROM at most TO, STEP above 0",
                f"--sweep {name}={text}: 처음은 끝보다 크지 않게, 간격은 0보다 크게 적으십시오",
            )
        )
    count = int((high - low) / step + 1e-9) + 1
    if count > MOST_POINTS:
        raise bot.BotError(
            bot.Both(
                f"--sweep {name}={text}: more than {MOST_POINTS:,} values",
                f"--sweep {name}={text}: 값이 {MOST_POINTS:,}개를 넘습니다",
            )
        )
    whole = all(isinstance(each, int) for each in ends)
    values = [low + n * step for n in range(count)]
    return [round(each) if whole else round(each, 10) for each in values]


def parse_grid(text: str) -> dict[str, list[float | int | str]]:
    """Return the values of each parameter. Raises bot.BotError for a text that is none.

    >>> parse_grid("short=5..20..5,stop=0.5..1.5..0.5,kind=a|b")
    {'short': [5, 10, 15, 20], 'stop': [0.5, 1.0, 1.5], 'kind': ['a', 'b']}
    """
    grid: dict[str, list[float | int | str]] = {}
    for part in text.split(","):
        name, equals, values = part.strip().partition("=")
        if not equals or not name.isidentifier() or not values.strip():
            raise bot.BotError(
                bot.Both(
                    f"--sweep {part.strip()!r}: NAME=FROM..TO..STEP or NAME=VALUE|VALUE",
                    f"--sweep {part.strip()!r}: 이름=처음..끝..간격 또는 이름=값|값으로 적으십시오",
                )
            )
        if name in grid:
            raise bot.BotError(
                bot.Both(f"--sweep: {name} twice", f"--sweep: {name}: 두 번 적혀 있습니다")
            )
        grid[name] = _values(name, values.strip())
    return grid


def points_of(
    grid: Mapping[str, Sequence[float | int | str]], count: int = 0, seed: int = 21
) -> list[Point]:
    """Return all points of a grid, or so many random ones of it, each once."""
    size = math.prod(map(len, grid.values()))
    if (count or size) > MOST_POINTS:
        raise bot.BotError(
            bot.Both(
                f"--sweep: {count or size:,} runs; at most {MOST_POINTS:,}: use --random",
                f"--sweep: {count or size:,}가지입니다. {MOST_POINTS:,}가지까지이니 --random으로 줄이십시오",
            )
        )
    if not count or count >= size:
        return [dict(zip(grid, each, strict=True)) for each in itertools.product(*grid.values())]
    pick = random.Random(seed)
    found: dict[tuple[float | int | str, ...], Point] = {}
    while len(found) < count:
        point = {name: pick.choice(values) for name, values in grid.items()}
        found[tuple(point.values())] = point
    return list(found.values())


# --- runs --------------------------------------------------------------------------------


def parameters_at(strategy: str, parameters: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """Return the parameters of a strategy at a point; those of a .kis.yaml file go by `set`."""
    if strategy.endswith(".kis.yaml"):
        return {**parameters, "set": {**parameters.get("set", {}), **point}}
    return {**parameters, **point}


def one(job: Job, point: Point) -> Outcome:
    """Run one trial. Called in a worker, which may be on another machine."""
    try:
        chosen = parameters_at(job.strategy, job.parameters, point)
        strategy = bot.load_strategy(job.strategy, chosen)
    except bot.SettingsError as error:
        text = "; ".join(map(str, error.faults))
        return Outcome(point, error=text, korean=error.said("ko"))
    settings = job.settings
    if strategy.past_days:
        settings = settings.model_copy(update={"flat_at": None})
    options = Options(job.money, job.rules, journal=False)
    result = run(settings, strategy, history_of(job.source), options, Path())
    if result.failed:
        return Outcome(point, error=result.failed[0], korean=bot.in_korean(result.failed[0]))
    report = result.report
    equity = [float(job.money), *(float(day.equity_krw) for day in report.days)]
    returns = metrics.returns_of(equity)
    return Outcome(
        point, "", round(equity[-1] - job.money), report.totals.trips, metrics.daily_sharpe(returns),
        metrics.max_drawdown(equity)[0], tuple(day.day for day in report.days), tuple(returns),
        tuple(day.exits for day in report.days), result.differences,
    )  # fmt: skip


def sweep(
    job: Job, points: Iterable[Point], executor: Executor | None = None,
    on_done: Callable[[int], None] = lambda done: None,
) -> list[Outcome]:  # fmt: skip
    """Return the outcome of every point, in the order of the points, whoever ran them."""
    points = list(points)
    if executor is None:
        history_of(job.source)  # read before the fork: the workers have it
        with ProcessPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
            return sweep(job, points, pool, on_done)
    waiting = {executor.submit(one, job, point): n for n, point in enumerate(points)}
    found: dict[int, Outcome] = {}
    for future in as_completed(waiting):
        found[waiting[future]] = future.result()
        on_done(len(found))
    return [found[n] for n in range(len(points))]


# --- what to believe ---------------------------------------------------------------------


class Verdict(NamedTuple):
    """What a sweep says of its best trial."""

    best: Outcome | None
    trials: int  # on this history so far, those of earlier days too
    deflated: float | None
    overfit: Overfit | None


def best_of(outcomes: Iterable[Outcome]) -> Outcome | None:
    """Return the trial of the highest Sharpe ratio; of equal ones the first."""
    tried = [each for each in outcomes if not each.error and each.sharpe is not None]
    return max(tried, key=lambda each: each.sharpe or 0.0, default=None)


def judge(outcomes: Sequence[Outcome], trials: int, spread: float) -> Verdict:
    """Return the best trial and how likely it is more than luck."""
    best, tried = best_of(outcomes), [each for each in outcomes if not each.error]
    own = [each.sharpe for each in tried if each.sharpe is not None]
    spread = max(spread, statistics.stdev(own) if len(own) > 1 else 0.0)
    count = max(trials, len(tried))
    deflated = metrics.deflated_sharpe(best.returns, count, spread) if best else None
    return Verdict(best, count, deflated, overfitting([each.returns for each in tried]))


# --- walk forward ------------------------------------------------------------------------


class Window(NamedTuple):
    """One step: chosen on the days inside, judged on the days after them."""

    inside: tuple[date, date]
    outside: tuple[date, date]
    point: Point | None  # None: no trial had enough round trips inside
    inside_sharpe: float | None
    outside_sharpe: float | None
    outside_return: float
    trips: int


class Forward(NamedTuple):
    """All steps, and their days outside as one curve."""

    windows: tuple[Window, ...]
    equity: tuple[float, ...]  # from 1
    sharpe: float | None  # of a year, outside
    efficiency: float | None  # mean return of a day outside / inside
    chosen: dict[str, int]  # point -> how often


def walk_forward(
    outcomes: Sequence[Outcome], train: int, test: int, least_trips: int = 10
) -> Forward:
    """Walk over the trials' days: choose on `train` days, live on the next `test`, go on by `test`.

    Each trial ran once over all days; a window looks at its days only, so what a strategy carries
    into a window (averages, a position) is what it would have carried. A point is never chosen by a
    day that it is judged on. Raises bot.BotError when the history is too short.
    """
    tried = [each for each in outcomes if not each.error]
    days = tried[0].days if tried else ()
    if train < 2 or test < 1 or train + test > len(days):
        raise bot.BotError(
            bot.Both(
                f"--walk-forward {train},{test}: the history has {len(days)} days",
                f"--walk-forward {train},{test}: 시세가 {len(days)}일뿐입니다",
            )
        )
    windows, curve = [], [1.0]
    inside_days: list[float] = []
    outside_days: list[float] = []
    for begin in range(0, len(days) - train - test + 1, test):
        middle, end = begin + train, begin + train + test
        able = [t for t in tried if sum(t.trips_of_day[begin:middle]) >= least_trips]
        best = max(able, key=lambda t: _sharpe(t.returns[begin:middle]), default=None)
        after = best.returns[middle:end] if best else (0.0,) * test
        for each in after:
            curve.append(curve[-1] * (1 + each))
        outside_days += after
        inside_days += best.returns[begin:middle] if best else []
        windows.append(Window(
            (days[begin], days[middle - 1]), (days[middle], days[end - 1]),
            best.point if best else None,
            metrics.sharpe(best.returns[begin:middle]) if best else None, metrics.sharpe(after),
            math.prod(1 + each for each in after) - 1,
            sum(best.trips_of_day[middle:end]) if best else 0,
        ))  # fmt: skip
    chosen: dict[str, int] = {}
    for window in windows:
        if window.point is not None:
            name = ", ".join(f"{k}={v}" for k, v in window.point.items())
            chosen[name] = chosen.get(name, 0) + 1
    within = statistics.fmean(inside_days) if inside_days else 0.0
    ratio = statistics.fmean(outside_days) / within if within > 0 else None
    return Forward(tuple(windows), tuple(curve), metrics.sharpe(outside_days), ratio, chosen)


def _sharpe(returns: Sequence[float]) -> float:
    ratio = metrics.daily_sharpe(returns)
    return ratio if ratio is not None else -math.inf
