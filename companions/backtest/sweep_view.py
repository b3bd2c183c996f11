"""`--backtest --sweep`: runs the points, prints the best and what to believe of it, leaves JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import kis_realtime_trading as bot
from companions.backtest import metrics, sweep
from companions.backtest.trials import Trial, Trials, asked_of, code_of

SHOWN = 10
WORDS = {
    "ko": {
        "running": "{count}가지 값", "best": "샤프지수가 높은 순서", "point": "값", "net": "손익(원)", "gain": "수익률",
        "trips": "매매", "sharpe": "샤프", "fall": "최대 낙폭", "refused": "전략이 받지 않은 값 {count}가지. 예: {why}",
        "done": "{count}가지를 {s:.1f}초에 돌렸습니다.",
        "trials": "이 시세로 지금까지 해 본 시험: {count}가지",
        "deflated": "가장 좋은 값의 샤프지수가 운보다 나을 확률(DSR): {sure}. 95 %에 못 미치면 운으로 보십시오.",
        "pbo": "고른 값이 고르지 않은 기간에서 중간보다 못할 확률(PBO): {pbo:.0%}. 50 %쯤이면 고르는 일이 헛일입니다.",
        "short": "기간이 짧거나 시험이 하나뿐이라 PBO를 계산하지 않았습니다.",
        "forward": "워크포워드: {train}일로 고르고 다음 {test}일로 판정", "inside": "고른 기간", "outside": "판정 기간",
        "none": "매매가 모자람", "joined": "판정 기간을 이은 결과: 수익률 {gain:+.2%}, 샤프(연) {sharpe}, 효율(판정÷선택) {efficiency}",
        "chosen": "고른 횟수: {chosen}", "left": "결과(JSON): {file}", "differ": "⛔ 장부와 증권사 쪽 계산이 다른 시험: {count}가지",
    },
    "en": {
        "running": "{count} points", "best": "by Sharpe ratio", "point": "point", "net": "net, won", "gain": "return",
        "trips": "trips", "sharpe": "Sharpe", "fall": "max drawdown", "refused": "{count} points that the strategy refuses, such as: {why}",
        "done": "{count} runs in {s:.1f} s",
        "trials": "trials on this history so far: {count}",
        "deflated": "likelihood that the best Sharpe ratio is more than luck (DSR): {sure}; below 95 % take it for luck",
        "pbo": "likelihood that the chosen point is below the middle where it was not chosen (PBO): {pbo:.0%}; near 50 % choosing is worth nothing",
        "short": "too few days or points for the probability of overfitting",
        "forward": "walk forward: chosen on {train} days, judged on the next {test}", "inside": "chosen on", "outside": "judged on",
        "none": "too few trips", "joined": "the days outside as one curve: {gain:+.2%}, Sharpe (year) {sharpe}, efficiency (outside/inside) {efficiency}",
        "chosen": "chosen: {chosen}", "left": "result (JSON): {file}", "differ": "⛔ trials whose two books differ: {count}",
    },
}  # fmt: skip


def text_of(point: sweep.Point | None) -> str:
    """Return a point for people."""
    return ", ".join(f"{name}={value}" for name, value in (point or {}).items())


def _values(point: sweep.Point | None) -> str:
    return " · ".join(str(value) for value in (point or {}).values())


def _year(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"


def windows_of(text: str) -> tuple[int, int]:
    """Return the days inside and outside. Raises bot.BotError."""
    train, _, test = text.partition(",")
    if not (train.strip().isdecimal() and test.strip().isdecimal()):
        raise bot.BotError(
            bot.Both(
                f"--walk-forward {text}: TRAIN,TEST in trading days, such as 60,20",
                f"--walk-forward {text}: 고를 거래일 수,판정할 거래일 수를 적으십시오. 예: 60,20",
            )
        )
    return int(train), int(test)


def show_sweep(options: argparse.Namespace, job: sweep.Job, trials: Trials, folder: Path) -> int:
    """Run a sweep for a person; 1 when the books of a trial differ."""
    spans = windows_of(options.walk_forward) if options.walk_forward else None
    points = sweep.points_of(sweep.parse_grid(options.sweep), options.random or 0, options.seed)
    words, console, began = WORDS[job.settings.language], Console(), time.perf_counter()
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words["running"].format(count=len(points)), total=len(points))
        done = sweep.sweep(job, points, on_done=lambda count: bar.update(task, completed=count))
    if all(each.error for each in done):  # a name or a value that the strategy does not know
        why = bot.Both(done[0].error, done[0].korean)
        raise bot.BotError(bot.Both(f"--sweep: no run was possible: {why}",
            f"--sweep: 돌릴 수 있는 값이 없습니다. {why.ko}"))  # fmt: skip
    spent, history = time.perf_counter() - began, sweep.history_of(job.source).digest
    code = code_of(job.strategy)
    tried = [each for each in done if not each.error]
    trials.add(
        Trial(history, asked_of(job.strategy, code, {**job.parameters, **each.point}), each.sharpe or 0.0)
        for each in tried
    )  # fmt: skip
    verdict = sweep.judge(done, *trials.of(history))
    forward = sweep.walk_forward(done, *spans) if spans else None
    plain = as_json(job, history, done, verdict, forward)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    bot.write_private(folder / "sweep.json", json.dumps(plain, ensure_ascii=False, indent=1))
    wrong = sum(bool(each.differences) for each in tried)
    if options.json:
        print(json.dumps(plain, ensure_ascii=False))
        return bot.EXIT_FAILED if wrong else 0
    show_best(console, words, done)
    console.print(words["done"].format(count=len(done), s=spent))
    show_verdict(console, words, verdict)
    if forward and spans:
        show_forward(console, words, forward, spans)
    if wrong:
        console.print(words["differ"].format(count=wrong), style="bold red")
    print(words["left"].format(file=folder / "sweep.json"))
    return bot.EXIT_FAILED if wrong else 0


def show_best(console: Console, words: dict[str, str], done: Sequence[sweep.Outcome]) -> None:
    """Print the best points, and what the strategy refused."""
    table = Table(title=words["best"], title_justify="left")
    table.add_column(" · ".join(done[0].point))
    for name in ("net", "trips", "sharpe", "fall"):
        table.add_column(words[name], justify="right")
    tried = [each for each in done if not each.error]
    ordered = sorted(tried, key=lambda each: -(each.sharpe if each.sharpe is not None else -1e9))
    for each in ordered[:SHOWN]:
        year = each.sharpe * metrics.YEAR**0.5 if each.sharpe is not None else None
        table.add_row(
            _values(each.point), f"{each.net_krw:+,}", str(each.trips), _year(year), f"{each.drawdown:.2%}",
            style="red" if each.net_krw > 0 else "blue" if each.net_krw < 0 else "",
        )  # fmt: skip
    console.print(table)
    refused = [each for each in done if each.error]
    if refused:
        why = refused[0].korean if words is WORDS["ko"] else refused[0].error
        console.print(words["refused"].format(count=len(refused), why=why))


def show_verdict(console: Console, words: dict[str, str], verdict: sweep.Verdict) -> None:
    """Print how likely the best is more than luck."""
    console.print(words["trials"].format(count=verdict.trials))
    sure = "–" if verdict.deflated is None else f"{verdict.deflated:.0%}"
    console.print(words["deflated"].format(sure=sure))
    if verdict.overfit is None:
        console.print(words["short"])
    else:
        console.print(words["pbo"].format(pbo=verdict.overfit.probability))


def show_forward(
    console: Console, words: dict[str, str], forward: sweep.Forward, spans: tuple[int, int]
) -> None:
    """Print each window, and the days outside as one curve."""
    title = words["forward"].format(train=spans[0], test=spans[1])
    table = Table(title=title, title_justify="left")
    table.add_column(words["inside"], no_wrap=True)
    table.add_column(words["outside"], no_wrap=True)
    table.add_column(words["point"])
    for name in ("sharpe", "sharpe", "gain", "trips"):
        table.add_column(words[name], justify="right")
    for each in forward.windows:
        table.add_row(
            f"{each.inside[0]:%y-%m-%d}–{each.inside[1]:%m-%d}",
            f"{each.outside[0]:%m-%d}–{each.outside[1]:%m-%d}", _values(each.point) or words["none"], _year(each.inside_sharpe), _year(each.outside_sharpe),
            f"{each.outside_return:+.2%}", str(each.trips),
        )  # fmt: skip
    console.print(table)
    efficiency = "–" if forward.efficiency is None else f"{forward.efficiency:.2f}"
    console.print(words["joined"].format(
        gain=forward.equity[-1] - 1, sharpe=_year(forward.sharpe), efficiency=efficiency
    ))  # fmt: skip
    chosen = ", ".join(f"{name} ({count})" for name, count in forward.chosen.items())
    console.print(words["chosen"].format(chosen=chosen or "–"))


def as_json(
    job: sweep.Job, history: str, done: Sequence[sweep.Outcome], verdict: sweep.Verdict,
    forward: sweep.Forward | None,
) -> dict[str, Any]:  # fmt: skip
    """Return everything a program wants of a sweep."""
    trials = [
        {**dataclasses.asdict(each), "days": [day.isoformat() for day in each.days]}
        for each in done
    ]
    found: dict[str, Any] = {
        "strategy": job.strategy, "history": history, "trials_on_history": verdict.trials,
        "best": verdict.best.point if verdict.best else None, "deflated_sharpe": verdict.deflated,
        "overfitting": verdict.overfit._asdict() if verdict.overfit else None, "trials": trials,
    }  # fmt: skip
    if forward:
        windows = [
            {**each._asdict(), "inside": [str(day) for day in each.inside], "outside": [str(day) for day in each.outside]}
            for each in forward.windows
        ]  # fmt: skip
        found["walk_forward"] = {**forward._asdict(), "windows": windows}
    return found
