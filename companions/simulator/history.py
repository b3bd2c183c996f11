"""Any day of any stock as a pure function of the seed: a daily bar, and minutes that fit into it.

The simulated day is one of these days, so tomorrow's history shows what today did."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import Any

from companions.simulator.config import Bar5, CsvBars, ExDay
from companions.simulator.rules import (
    NO_BAND,
    Calendar,
    SessionTimes,
    floor_tick,
    price_band,
    sign_code,
    tick_size,
)
from companions.simulator.tables import Listing
from companions.simulator.tools import Dice, hms_of, percent


@dataclass(slots=True)
class Bar:
    """Open, high, low, close (won), volume (shares), value (won) over some time."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    value: int = 0

    def words(self, before: int = 0) -> dict[str, Any]:
        """Return the words that layouts use, with the change from an earlier close."""
        change = self.close - before
        return {
            "open": self.open,
            "high": self.high,
            "low": self.low,
            "close": self.close,
            "volume": self.volume,
            "value": self.value,
            "change": change,
            "rate": percent(change, before),
            "sign": sign_code(change, self.close, NO_BAND),
        }


@dataclass(frozen=True, slots=True, eq=False)
class DayPlan:
    """The intended course of one stock on one day; a plan equals itself only."""

    base: int  # previous close
    minutes: tuple[Bar, ...]  # continuous trading, one per minute; volume 0 = no trade
    opening: tuple[int, int]  # price and volume of the opening auction
    closing: tuple[int, int]  # the same of the closing auction
    usual: float  # mean volume of a minute
    exact: bool = False  # minutes come from a file and must be met exactly


class History:
    """Daily bars and day plans, invented from the seed or read from a file."""

    def __init__(
        self, dice: Dice, listings: Mapping[str, Listing], calendar: Calendar, bars: CsvBars,
        ex_days: Sequence[ExDay] = (),
    ) -> None:  # fmt: skip
        self._dice, self._calendar, self._bars = dice, calendar, bars
        self.listings, self._ex_days = dict(listings), ex_days
        self._closes: dict[tuple[str, date], int] = {}
        self._days: dict[tuple[str, date], Bar] = {}
        self._plans: dict[tuple[str, date], DayPlan] = {}
        self._recorded: dict[tuple[str, date], list[tuple[str, Bar]]] = {}

    def anchor(self, code: str, day: date) -> None:
        """Shift a stock whose bars come from a file so that history ends at their first open."""
        first = min(((d or day, s), bar) for (d, s), bar in self._bars[code].items())[1][0]
        listing = self.listings[code]
        scaled = round(listing.anchor * first / self.close(code, self._calendar.previous(day)))
        self.listings[code] = listing._replace(anchor=max(scaled, 1))
        self._closes.clear()
        self._days[code, self._calendar.previous(day)] = Bar(
            first, first, first, first, listing.volume
        )

    def close(self, code: str, day: date) -> int:
        """Return the close of a trading day, won."""
        key = (code, day)
        if key in self._days:
            return self._days[key].close
        if key not in self._closes:
            listing = self.listings[code]
            ex_days = (e.price for e in self._ex_days if e.symbol == code and e.day <= day)
            factor = math.prod(ex_days, start=Fraction(1))
            self._closes[key] = _invented_close(self._dice, listing, day, factor)
        return self._closes[key]

    def base(self, code: str, day: date) -> int:
        """Return the base price of a trading day: the close before it, on an ex-day in its scale."""
        close = self.close(code, self._calendar.previous(day))
        factors = [each.price for each in self._ex_days if (each.symbol, each.day) == (code, day)]
        scaled = floor_tick(round(close * math.prod(factors)), self.listings[code].etf)
        return max(scaled, 1) if factors else close

    def daily(self, code: str, day: date) -> Bar:
        """Return the daily bar of a trading day."""
        key = (code, day)
        if key not in self._days:
            ends = (self.base(code, day), self.close(code, day))
            self._days[key] = _invented_day(self._dice, self.listings[code], day, ends)
        return self._days[key]

    def extremes(self, code: str, days: tuple[date, ...]) -> tuple[int, date, int, date]:
        """Return the high of some trading days in a row, newest first, its day, the low, its day.

        The last of the days only gives the base price of the one after it.
        """
        if not self._ex_days and code not in self._bars and not self._recorded:
            return _invented_extremes(self._dice, self.listings[code], days)
        return _extremes_of([(self.daily(code, day), day) for day in days[:-1]])

    def record(self, code: str, day: date, minutes: list[tuple[str, Bar]], close: int) -> None:
        """Keep what really happened on a simulated day, for the days after it."""
        if not minutes:
            return
        bars = [bar for _, bar in minutes]
        self._recorded[code, day] = minutes
        self._days[code, day] = Bar(
            bars[0].open,
            max(bar.high for bar in bars),
            min(bar.low for bar in bars),
            close,
            sum(bar.volume for bar in bars),
            sum(bar.value for bar in bars),
        )

    def plan(self, code: str, day: date) -> DayPlan:
        """Return the minutes of a trading day; they fit into its daily bar."""
        key = (code, day)
        if key not in self._plans:
            if len(self._plans) > 400:
                self._plans.clear()
            base = self.base(code, day)
            session = self._calendar.session(day)
            if code in self._bars:
                self._plans[key] = _plan_from_file(self.file_bars(code, day), base, session)
            else:
                bar = dataclasses.astuple(self.daily(code, day))
                self._plans[key] = _plan_from_seed(
                    self._dice, self.listings[code], day, base, bar, session.minutes
                )
        return self._plans[key]

    def file_bars(self, code: str, day: date) -> dict[int, Bar5]:
        """Return the bars of a file for one day: second of the day -> bar."""
        return {
            s: bar for (d, s), bar in sorted(self._bars[code].items(), key=str) if d in (None, day)
        }

    def minute_rows(self, code: str, day: date) -> list[tuple[str, Bar]]:
        """Return (HHMMSS, bar) of a past day, oldest first, minutes without trade left out."""
        if (code, day) in self._recorded:
            return self._recorded[code, day]
        session = self._calendar.session(day)
        return list(_rows_of(self.plan(code, day), session.open, session.close))


# What a seed invents is the same in every simulator of a process: tests make hundreds of them.
OCTAVES = 9


@lru_cache(maxsize=400)
def _rows_of(plan: DayPlan, opens: int, closes: int) -> tuple[tuple[str, Bar], ...]:
    """Return (HHMMSS, bar) of the minutes of a plan; the bars are not to be changed."""
    rows: list[tuple[str, Bar]] = []
    for index, bar in enumerate(plan.minutes):
        volume = bar.volume + (plan.opening[1] if index == 0 else 0)
        if volume:
            rows.append((hms_of(opens + 60 * index), replace(bar, volume=volume)))
    price, volume = plan.closing
    rows.append((hms_of(closes), Bar(price, price, price, price, volume)))
    for _, bar in rows:
        bar.value = (bar.open + bar.high + bar.low + bar.close) * bar.volume // 4
    return tuple(rows)


@lru_cache(maxsize=65_536)
def _node(dice: Dice, code: str, octave: int, cell: int) -> float:
    return dice.gauss("level", code, octave, cell)


@lru_cache(maxsize=16_384)
def _level(dice: Dice, code: str, day: date) -> float:
    """Return a fractal walk: log distance from the anchor in units of volatility."""
    week, weekday = divmod(day.toordinal() - 1, 7)
    index, total = week * 5 + min(weekday, 4), 0.0
    for octave in range(OCTAVES):
        cell, offset = index >> octave, index & ((1 << octave) - 1)
        left = _node(dice, code, octave, cell)
        if offset:
            left += (_node(dice, code, octave, cell + 1) - left) * offset / (1 << octave)
        total += 0.5 * math.sqrt(1 << octave) * left
    return total


def _invented_close(dice: Dice, listing: Listing, day: date, factor: Fraction | int = 1) -> int:
    price = listing.anchor * math.exp(listing.volatility * _level(dice, listing.code, day)) * factor
    return max(floor_tick(round(price), listing.etf), 1)


@lru_cache(maxsize=256)
def _invented_extremes(
    dice: Dice, listing: Listing, days: tuple[date, ...]
) -> tuple[int, date, int, date]:
    closes = [_invented_close(dice, listing, day) for day in days]
    ends = zip(days, closes[1:], closes, strict=False)
    return _extremes_of(
        [(_invented_day(dice, listing, day, (base, close)), day) for day, base, close in ends]
    )


def _extremes_of(bars: Sequence[tuple[Bar, date]]) -> tuple[int, date, int, date]:
    return (
        *max((bar.high, day) for bar, day in bars),
        *min((bar.low, day) for bar, day in bars),
    )


@lru_cache(maxsize=16_384)
def _invented_day(dice: Dice, listing: Listing, day: date, closes: tuple[int, int]) -> Bar:
    """Return a daily bar between the close of the day before and its own; not to be changed."""
    code, sd, etf = listing.code, listing.volatility, listing.etf
    base, wanted = closes
    low_limit, high_limit = price_band(base, etf)

    def fit(price: float) -> int:
        return min(max(floor_tick(round(price), etf), low_limit), high_limit)

    close = fit(wanted)
    opened = fit(base * math.exp(0.35 * sd * dice.gauss(code, day, "gap")))
    reach = [0.25 + 0.55 * abs(dice.gauss(code, day, name)) for name in ("high", "low")]
    high = fit(max(opened, close) * math.exp(sd * reach[0]))
    low = fit(min(opened, close) * math.exp(-sd * reach[1]))
    move = abs(math.log(high / low))
    volume = round(
        listing.volume * math.exp(0.3 * dice.gauss(code, day, "volume") + 6 * move - 0.25)
    )
    typical = (opened + high + low + 2 * close) * volume // 5
    return Bar(opened, max(high, opened, close), min(low, opened, close), close, volume, typical)


def _plan_from_file(given: Mapping[int, Bar5], base: int, session: SessionTimes) -> DayPlan:
    """Plan a day from minute bars of a file; missing minutes have no trades."""
    empty = (base, base, base, base, 0)
    minutes = tuple(Bar(*given.get(session.open + 60 * i, empty)) for i in range(session.minutes))
    last = next((bar.close for bar in reversed(minutes) if bar.volume), base)
    closing = given.get(session.close, (last, last, last, last, 0))
    first = next((bar.open for bar in minutes if bar.volume), base)
    usual = sum(bar.volume for bar in minutes) / len(minutes) or 1.0
    return DayPlan(base, minutes, (first, 0), (closing[3], closing[4]), usual, exact=True)


@lru_cache(maxsize=400)
def _plan_from_seed(
    dice: Dice, listing: Listing, day: date, base: int, daily: tuple[int, ...], count: int
) -> DayPlan:
    """Plan a day: regimes with trends, noise, and volume that follows the moves."""
    bar, rng = Bar(*daily), dice.stream(listing.code, day, "plan")
    path, pace = _day_path(rng, bar, count)
    prices = [
        min(max(floor_tick(round(bar.open * math.exp(x)), listing.etf), bar.low), bar.high)
        for x in path
    ]
    top, bottom = path.index(max(path)), path.index(min(path))
    opening, closing = round(bar.volume * 0.025), round(bar.volume * 0.04)
    weights = [
        pace[i]
        * (0.8 + 1.1 * math.exp(-i / 9) + 0.7 * math.exp((i - count) / 18))
        * (0.6 + 0.8 * rng.random())
        for i in range(count)
    ]
    scale = (bar.volume - opening - closing) / sum(weights)
    minutes, last = [], bar.open
    for i, price in enumerate(prices):
        wick = tick_size(price, listing.etf) * int(2.2 * rng.random())
        high, low = max(last, price) + (wick if rng.random() < 0.5 else 0), min(last, price) - wick
        high = bar.high if i == top else min(high, bar.high)
        low = bar.low if i == bottom else max(low, bar.low)
        minutes.append(Bar(last, high, low, price, int(weights[i] * scale)))
        last = price
    minutes[-1].volume += bar.volume - opening - closing - sum(m.volume for m in minutes)
    usual = (bar.volume - opening - closing) / count
    return DayPlan(base, tuple(minutes), (bar.open, opening), (bar.close, closing), usual)


def _day_path(rng: random.Random, bar: Bar, count: int) -> tuple[list[float], list[float]]:
    """Return the log price and the activity of every minute; extremes of the day are touched.

    Quiet stretches take turns with moves: a move begins with many trades and often goes on in the
    direction of the day, so that a breakout is sometimes right and sometimes not.
    """
    low, high = math.log(bar.low / bar.open), math.log(bar.high / bar.open)
    end, span = math.log(bar.close / bar.open), math.log(bar.high / bar.low) or 1e-4
    bias = 0.72 if end > 0 else 0.28
    raw: list[float] = []
    pace: list[float] = []
    level = noise = 0.0
    while len(raw) < count:
        quiet, length = 12 + int(25 * rng.random()), 12 + int(30 * rng.random())
        size = span * (0.25 + 0.45 * rng.random())
        goal = level + (size if rng.random() < bias else -size)
        goal = min(max(goal, low), high) if len(raw) + quiet + length < count - 30 else end
        strength = 1.6 + 2.4 * rng.random()
        for step in range(quiet + length):
            moving = max(step - quiet, 0) / length
            noise = 0.85 * noise + (rng.random() - 0.5) * span * 0.07
            fade = min(1.0, max(count - len(raw) - 1, 0) / 8)
            raw.append(level + (goal - level) * math.sqrt(moving) + noise * fade)
            pace.append(0.6 + (strength * (1.1 - moving) if step >= quiet else 0.0))
        level = goal
    raw[count - 1] = end
    return _stretch(raw[:count], low, high, end), pace[:count]


def _stretch(raw: list[float], low: float, high: float, end: float) -> list[float]:
    """Map a path monotonically so that its extremes become the given ones."""
    top, bottom, best, worst = max(end, 0.0), min(end, 0.0), max(raw), min(raw)
    up = (high - top) / (best - top) if best > top else 1.0
    down = (low - bottom) / (worst - bottom) if worst < bottom else 1.0
    return [
        top + (x - top) * up if x > top else bottom + (x - bottom) * down if x < bottom else x
        for x in raw
    ]
