"""A history in the order in which a backtest shows it: by day, minute by minute; scaled on ex-days."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

import kis_realtime_trading as bot

START = operator.attrgetter("start")


def by_day(bars: Sequence[bot.Bar]) -> dict[date, list[bot.Bar]]:
    """Return the minutes of a stock day by day."""
    return {day: list(of) for day, of in itertools.groupby(bars, lambda bar: bar.start.date())}


def scaled(bar: bot.Bar, factor: float) -> bot.Bar:
    """Return a day in the price scale of an ex-day: known from that day on, never before."""
    prices = (bar.open, bar.high, bar.low, bar.close)
    first, high, low, last = (max(1, round(each * factor)) for each in prices)
    volume = round(bar.volume / factor)
    return replace(bar, open=first, high=high, low=low, close=last, volume=volume)


def by_minute(minutes: dict[str, list[bot.Bar]]) -> list[tuple[datetime, Sequence[bot.Bar]]]:
    """Return the bars of a day minute by minute, in order of the codes within each."""
    found: dict[datetime, list[bot.Bar]] = {}
    if len(minutes) == 1:  # of a lone stock they stand in this order already
        (bars,) = ([bar for bar in each if bar.volume] for each in minutes.values())
        return list(zip(map(START, bars), zip(bars, strict=True), strict=True))
    for _, bars in sorted(minutes.items()):
        for bar in bars:
            if bar.volume:  # a minute without a trade has no price
                found.setdefault(bar.start, []).append(bar)
    return sorted(found.items())
