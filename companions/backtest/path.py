"""Which way a price goes inside a bar: four points, and a straight line between them.

Knows: a bar, a mode, what is wanted and held. The truth inside a bar is not known; the default is
the bad case: against a buy that still waits the high comes first, against what is held the low.
An order that arrives between two points, and a level that lies there, meet the price of the line.
Never knows: the engine, the broker.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import kis_realtime_trading as bot
from companions.backtest.broker import Mode

# Of open, both extremes and close. An order that was decided at a bar's close meets the next open;
# a close is young enough at the full minute, when bars close, for rules about old prices.
POINTS_S = (1.5, 20.0, 40.0, 59.0)
OFFSETS = tuple(timedelta(seconds=each) for each in POINTS_S)


def parts(volume: int) -> tuple[int, int]:
    """Return the shares of the first three points and of the last; each price shows."""
    part, rest = divmod(volume, 4)
    return max(part, 1), max(part + rest, 1)


def worth(volume: int, first: int, high: int, low: int, last: int) -> int:
    """Return the won that a minute's four trades move."""
    part, rest = parts(volume)
    return part * (first + high + low) + rest * last


def high_comes_first(mode: Mode, bar: bot.Bar, buying: bool, stop: int | None) -> bool:
    """Tell the order of the extremes.

    `buying`: a buy waits or is on its way. `stop`: of what is held, None when nothing is.
    A purchase at the low must not reach its target at a high that may have been before it.
    >>> from datetime import datetime; t = datetime(2026, 3, 3, 10, tzinfo=bot.KST)
    >>> bar = bot.Bar("005930", t, t, 100, 110, 95, 105, 9, 9, 4)
    >>> [high_comes_first("adverse", bar, *each) for each in ((True, None), (False, 94), (True, 96))]
    [True, False, False]
    >>> [high_comes_first(mode, bar, False, None) for mode in ("nearer", "high first", "low first")]
    [False, True, False]
    """
    if mode == "adverse":
        return buying and (stop is None or stop < bar.low)
    if mode == "nearer":
        return bar.high - bar.open < bar.open - bar.low
    return mode == "high first"


@dataclass(slots=True)
class Leg:
    """The line from one point of a stock to the next, and the shares that are ours to have."""

    symbol: str
    begin: datetime
    end: datetime
    first: int
    last: int
    room: int
    passed: set[int] = field(default_factory=set)  # levels that were met on the way
    extra: int = 0  # prices shown between the points

    def at(self, moment: datetime, fund: bool) -> int:
        """Return the price of a moment, on a tick, no further than the end."""
        share = (moment - self.begin) / (self.end - self.begin)
        price = self.first + (self.last - self.first) * share
        if self.last >= self.first:
            return min(bot.round_to_tick(price, fund, up=True), max(self.first, self.last))
        return max(bot.round_to_tick(price, fund, up=False), self.last)

    def crossing(
        self, falling: Iterable[int], rising: Iterable[int]
    ) -> tuple[datetime, int] | None:
        """Return moment and price of the first level on the way that was not met yet."""
        down = self.last < self.first
        levels = [
            level
            for level in (falling if down else rising)
            if min(self.first, self.last) < level < max(self.first, self.last)
            and level not in self.passed
        ]
        if not levels:
            return None
        level = max(levels) if down else min(levels)
        share = (level - self.first) / (self.last - self.first)
        return self.begin + (self.end - self.begin) * share, level
