"""The drawings of a backtest as SVG: lines over days, candles with what was bought and sold.

Plain shapes, no script; colours are variables of the page, so that it can be dark. Up is red and
down is blue, as this market has it. Thinned to what a screen shows; the JSON beside has all.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import kis_realtime_trading as bot
from companions.figures import RoundTrip

WIDTH, HEIGHT = 720, 250
LEFT, RIGHT, TOP, BOTTOM = 8, 84, 12, 26  # the numbers stand on the right
MOST_POINTS, MOST_CANDLES = 700, 130


def steps(low: float, high: float, count: int = 4) -> list[float]:
    """Return round numbers between two values.

    >>> steps(9_930_000, 10_120_000)
    [9950000.0, 10000000.0, 10050000.0, 10100000.0]
    """
    if high <= low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= rough * 0.99)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]


def short(value: float, korean: bool = False) -> str:
    """Return a number for the edge of a chart.

    >>> short(10_050_000), short(71_000), short(-0.125), short(10_050_000, True)
    ('10.05M', '71,000', '-0.125', '1,005만')
    """
    if abs(value) >= 1_000_000:
        return f"{value / 10_000:,.10g}만" if korean else f"{value / 1_000_000:,.2f}M"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.3g}"


@dataclass(frozen=True, slots=True)
class Frame:
    """From values to places on the drawing."""

    count: int
    low: float
    high: float

    def x(self, n: float) -> float:
        """Return the place of the n-th point."""
        return LEFT + (WIDTH - LEFT - RIGHT) * n / max(1, self.count - 1)

    def y(self, value: float) -> float:
        """Return the place of a value."""
        span = (self.high - self.low) or 1.0
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - self.low) / span)

    def grid(self, unit: str = "", korean: bool = False) -> str:
        """Return the lines of round values with their numbers."""
        return "".join(
            f'<path class="grid" d="M{LEFT} {self.y(v):.1f}H{WIDTH - RIGHT}"/>'
            f'<text x="{WIDTH - RIGHT + 6}" y="{self.y(v) + 4:.1f}">{short(v, korean)}{unit}</text>'
            for v in steps(self.low, self.high)
        )

    def dates(self, labels: Sequence[str]) -> str:
        """Return some labels under the points, the first one and evenly spread ones after it."""
        every = max(1, math.ceil(len(labels) / 6))
        last = len(labels) - every // 2
        shown = [n for n in range(0, len(labels), every) if n == 0 or n <= last]
        return "".join(
            f'<text x="{self.x(n):.1f}" y="{HEIGHT - 6}" text-anchor="{"start" if n == 0 else "middle"}">'
            f"{html.escape(labels[n])}</text>"
            for n in shown
        )


def _thin(values: Sequence[float]) -> list[tuple[int, float]]:
    """Return numbered points; of many the lowest and highest of each stretch."""
    numbered = list(enumerate(values))
    if len(values) <= MOST_POINTS:
        return numbered
    size = math.ceil(2 * len(values) / MOST_POINTS)
    found = [numbered[0]]
    for begin in range(0, len(values), size):
        part = numbered[begin : begin + size]
        found += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return [*found, numbered[-1]]


def svg(body: str, label: str) -> str:
    """Return a drawing that scrolls sideways where it does not fit."""
    return (
        f'<div class="wide"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(label, quote=True)}">{body}</svg></div>'
    )


def lines(
    labels: Sequence[str], named: Sequence[tuple[str, str, Sequence[float]]], unit: str = "",
    filled: bool = False, korean: bool = False,
) -> str:  # fmt: skip
    """Return lines over days: (name, class, values) each; `filled` paints down from 0."""
    values = [value for _, _, each in named for value in each]
    if len(labels) < 2 or not values:
        return ""
    low, high = min(values), max(values)
    edge = (high - low or abs(high) or 1) * 0.04
    frame = Frame(len(labels), low - edge, high if filled else high + edge)
    body = frame.grid(unit, korean) + frame.dates(labels)
    for _, style, each in named:
        way = "L".join(f"{frame.x(n):.1f} {frame.y(value):.1f}" for n, value in _thin(each))
        if filled:
            zero = frame.y(0)
            body += f'<path class="area {style}" d="M{frame.x(0):.1f} {zero:.1f}L{way}L{frame.x(len(each) - 1):.1f} {zero:.1f}Z"/>'  # fmt: skip
        body += f'<path class="line {style}" d="M{way}"/>'
    if len(named) > 1:
        body += "".join(
            f'<text class="key {style}" x="{LEFT + 4 + 190 * n}" y="{TOP + 10}">― {html.escape(name)}</text>'
            for n, (name, style, _) in enumerate(named)
        )
    said = "; ".join(
        f"{name}: {short(each[0])} – {short(each[-1])}{unit}" for name, _, each in named
    )
    return svg(body, said)


@dataclass(frozen=True, slots=True)
class Candle:
    """Bars joined to what one candle shows."""

    start: datetime
    open: int
    high: int
    low: int
    close: int


def candles_of(bars: Sequence[bot.Bar]) -> list[Candle]:
    """Join minutes to about MOST_CANDLES candles at most; of half a year on one is a day or more."""
    days = sorted({bar.start.date() for bar in bars})
    sizes = (1, 5, 10, 15, 30, 60, 130)
    minutes = next((m for m in sizes if len(days) * math.ceil(390 / m) <= MOST_CANDLES), 0)
    width = math.ceil(len(days) / MOST_CANDLES) or 1
    number = {day: n // width for n, day in enumerate(days)}

    def key(bar: bot.Bar) -> tuple[int, int]:
        minute = bar.start.hour * 60 + bar.start.minute
        return number[bar.start.date()], (minute - 540) // minutes if minutes else 0

    found = []
    for _, group in itertools.groupby(bars, key):
        part = list(group)
        found.append(Candle(
            part[0].start, part[0].open, max(b.high for b in part), min(b.low for b in part), part[-1].close,
        ))  # fmt: skip
    return found


def candles(bars: Sequence[bot.Bar], trips: Sequence[RoundTrip], label: str) -> str:
    """Return candles of a stock with its round trips: bought below, sold above, a line between."""
    shown = candles_of(bars)
    if len(shown) < 2:
        return ""
    low, high = min(c.low for c in shown), max(c.high for c in shown)
    edge = (high - low) * 0.06 or 1
    frame, starts = Frame(len(shown), low - edge, high + edge), [c.start for c in shown]
    day = starts[-1] - starts[0] > timedelta(days=12)
    several = starts[-1].date() != starts[0].date()
    form = "%m-%d" if day else "%m-%d %H:%M" if several else "%H:%M"
    half = max(0.6, 0.35 * (WIDTH - LEFT - RIGHT) / len(shown))
    body = frame.grid() + frame.dates([f"{start:{form}}" for start in starts])
    for style in ("up", "down"):  # two paths for all candles: a light file
        wicks, bodies = [], []
        for n, each in enumerate(shown):
            if (each.close >= each.open) is not (style == "up"):
                continue
            x, top, bottom = frame.x(n), max(each.open, each.close), min(each.open, each.close)
            wicks.append(f"M{x:.1f} {frame.y(each.high):.1f}V{frame.y(each.low):.1f}")
            tall = max(1.0, frame.y(bottom) - frame.y(top))
            bodies.append(
                f"M{x - half:.1f} {frame.y(top):.1f}h{2 * half:.1f}v{tall:.1f}h{-2 * half:.1f}z"
            )
        body += f'<path class="wick {style}" d="{"".join(wicks)}"/><path class="body {style}" d="{"".join(bodies)}"/>'  # fmt: skip

    def place(moment: datetime) -> float:
        n = next((n for n in range(len(starts) - 1, -1, -1) if starts[n] <= moment), 0)
        return frame.x(n)

    for trip in trips:
        bought, sold = place(trip.opened_at), place(trip.closed_at)
        below, above = frame.y(trip.entry_price), frame.y(trip.exit_price or trip.entry_price)
        style = "up" if trip.gain_exact > 0 else "down"
        body += (
            f'<path class="trip {style}" d="M{bought:.1f} {below:.1f}L{sold:.1f} {above:.1f}"/>'
            f'<path class="bought" d="M{bought:.1f} {below + 2:.1f}l5 9h-10z"/>'
            f'<path class="sold" d="M{sold:.1f} {above - 2:.1f}l5 -9h-10z"/>'
        )
    return svg(body, label)
