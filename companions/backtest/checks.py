"""Checks of a strategy: does it peek, does it need more history, is it the same twice?

Knows: a way to make a strategy for some data, and bars. It shows the bars one by one, as the
engine does, and fills each wish at the open of the next bar: enough to compare decisions, no
backtest and no result. A check compares runs that an honest strategy cannot tell apart.
Never knows: orders, money limits, brokers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeAlias

import kis_realtime_trading as bot

# Makes the strategy for a run that has this data. A strategy that computes ahead over whole
# columns, or reads the data from a file, is given them here, and only here.
Make: TypeAlias = Callable[[Sequence[bot.Bar]], bot.TradingStrategy]
MOST_CASH_KRW = 100_000_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What a strategy wanted at the close of a bar, with every value that it gave as a reason."""

    bar: int
    request: bot.OrderRequest

    @property
    def said(self) -> tuple[Any, ...]:
        """Return all that must be equal in two runs."""
        each = self.request
        return (self.bar, each.side, each.quantity, each.price, each.plan, each.signal, each.facts)


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between two runs that should be equal."""

    check: str
    bar: int
    text: str


class _Stage:
    """Shows bars of one stock to a strategy and keeps a made-up position."""

    def __init__(self, strategy: bot.TradingStrategy) -> None:
        self._strategy = strategy
        self._view: bot.StrategyView | None = None
        self._position = bot.Position()
        self._value = self._volume = 0
        self._pending: bot.OrderRequest | None = None
        self.wishes: list[Wish] = []

    def show(self, at: int, bar: bot.Bar) -> None:
        """Close a bar: fill the last wish at its open, watch the plan, ask the strategy."""
        view = self._view_of(bar)
        self._fill(view, bar)
        self._volume += bar.volume
        self._value += bar.close * bar.volume
        view.bars.append(bar)
        view.now, view.last_price = bar.end, bar.close
        view.day_vwap = self._value / self._volume if self._volume else 0.0
        request = self._strategy.on_bar(view, bar)
        bot.check_request(request)
        if request is not None:
            self.wishes.append(Wish(at, request))
            self._pending = request

    def _view_of(self, bar: bot.Bar) -> bot.StrategyView:
        day = bar.start.date()
        session = bot.session_of(day)
        if session is None:
            raise bot.BadData(f"{day} is no trading day")
        view = self._view
        if view is None or view.session.day != day:
            bars = view.bars if view else None
            view = bot.StrategyView(bar.symbol, bar.start, session, self._position)
            view.bars.extend(bars or ())
            view.ask_cash = lambda symbol: MOST_CASH_KRW
            self._view, self._value, self._volume = view, 0, 0
        return view

    def _fill(self, view: bot.StrategyView, bar: bot.Bar) -> None:
        position, request = self._position, self._pending
        self._pending = None
        if request and request.side is bot.Side.BUY and not position.quantity:
            position.quantity, position.plan = request.quantity, request.plan
            position.cost, position.opened_at = Fraction(bar.open * request.quantity), bar.start
            self._strategy.on_fill(view, bot.Side.BUY, request.quantity, bar.open)
        plan = position.plan
        stopped = plan is not None and (
            bar.low <= plan.stop_price or 0 < plan.target_price <= bar.high
        )
        sold = request is not None and request.side is bot.Side.SELL
        if position.quantity and (stopped or sold):
            shares = position.quantity
            position.clear()
            self._strategy.on_fill(view, bot.Side.SELL, shares, bar.open)


def wishes_of(
    make: Make, bars: Sequence[bot.Bar], data: Sequence[bot.Bar] | None = None
) -> list[Wish]:
    """Return what a strategy made for `data` (the same bars, unless told) wants on bars."""
    stage = _Stage(make(bars if data is None else data))
    for at, bar in enumerate(bars):
        stage.show(at, bar)
    return stage.wishes


def noise_after(bars: Sequence[bot.Bar], kept: int, seed: int) -> list[bot.Bar]:
    """Return the bars with everything after the first `kept` replaced by another future."""
    rng, price = random.Random(seed), bars[kept - 1].close
    made = list(bars[:kept])
    for bar in bars[kept:]:
        opened = max(100, bot.round_to_tick(price * rng.uniform(0.97, 1.03), False, up=True))
        price = max(100, bot.round_to_tick(opened * rng.uniform(0.95, 1.05), False, up=True))
        high = bot.step_ticks(max(opened, price), False, rng.randint(0, 4))
        low = max(1, bot.step_ticks(min(opened, price), False, -rng.randint(0, 4)))
        volume = max(1, round(bar.volume * rng.uniform(0.2, 5)))
        made.append(
            replace(bar, open=opened, high=high, low=low, close=price, volume=volume,
                    value_krw=price * volume)
        )  # fmt: skip
    return made


def look_ahead(make: Make, bars: Sequence[bot.Bar], cuts: int = 20, seed: int = 7) -> list[Finding]:
    """Return where a decision changed with the bars after it: it saw them.

    The strategy is run with all the data, with data cut after a bar, and with another future from
    that bar on; up to the bar all wishes and all their values must be equal. Cuts are taken right
    after wishes, where a peek shows, and at random bars, where one that should be a wish shows.
    """
    whole = wishes_of(make, bars)
    rng = random.Random(seed)
    wished = [each.bar + 1 for each in whole]
    half = cuts // 2
    picked = set(rng.sample(wished, min(half, len(wished))))
    picked |= {rng.randrange(len(bars) // 4, len(bars)) for _ in range(cuts - half)}
    found = []
    for kept in sorted(picked - {0}):
        before = [each.said for each in whole if each.bar < kept]
        futures = {"cut": list(bars[:kept]), "another future": noise_after(bars, kept, seed + kept)}
        for name, data in futures.items():
            seen = [each.said for each in wishes_of(make, bars[:kept], data)]
            if seen != before:
                at = _first_difference(before, seen)
                found.append(Finding("look-ahead", at, f"other decisions with {name} after {kept}"))
    return found


def _first_difference(left: Sequence[tuple[Any, ...]], right: Sequence[tuple[Any, ...]]) -> int:
    """Return the bar of the first wish that differs in two runs that do."""
    for one, other in zip(left, right, strict=False):
        if one != other:
            return int(min(one[0], other[0]))
    longer = left if len(left) > len(right) else right
    return int(longer[min(len(left), len(right))][0])


def warm_up(make: Make, bars: Sequence[bot.Bar], start: int, least: int) -> dict[int, bool]:
    """Tell for least, 2, 4 and 8 times as many bars of history whether the decisions are final.

    Final: from bar `start` on they equal those with all the history there is. A strategy whose
    first line is False needs more bars than it gets in the morning.
    """

    def after(history: int) -> list[tuple[Any, ...]]:
        first = max(0, start - history)
        found = wishes_of(make, bars[first:])
        return [(each.bar + first, *each.said[1:]) for each in found if each.bar + first >= start]

    whole = after(start)
    sizes = [least * factor for factor in (1, 2, 4, 8) if least * factor <= start]
    return {size: after(size) == whole for size in sizes}


def determinism(make: Make, bars: Sequence[bot.Bar]) -> list[Finding]:
    """Return where two runs over the same bars differ: a clock, a network, a random number."""
    first, second = ([each.said for each in wishes_of(make, bars)] for _ in range(2))
    if first == second:
        return []
    at = _first_difference(first, second)
    return [Finding("determinism", at, "two runs over the same bars differ")]


def fill_sensitivity(results_krw: Mapping[str, int], chosen: str) -> list[Finding]:
    """Return the fill rules that turn the result of the chosen one around, or halve it.

    `results_krw` holds the result of the same run under each rule, won. Example: 100,000 under
    "through" and 40,000 under "touch" is told; 100,000 and 60,000 is not.
    """
    base = results_krw[chosen]
    return [
        Finding("fills", -1, f"{base:,} won by {chosen!r}, {won:,} by {rule!r}")
        for rule, won in results_krw.items()
        if rule != chosen and (won * base < 0 or 2 * abs(won - base) > abs(base))
    ]


def all_checks(make: Make, bars: Sequence[bot.Bar]) -> list[Finding]:
    """Return the findings of look-ahead and determinism."""
    return [*look_ahead(make, bars), *determinism(make, bars)]
