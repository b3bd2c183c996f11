"""Calendar and exchange rules as functions of date and price.

Seconds of the day are Korean."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from companions.simulator.tables import (
    EXAM_DAYS,
    FEE_PER_BILLION,
    HOLIDAYS,
    SELL_TAX,
    TICK_BANDS,
    TOP_TICK,
    Listing,
)


class SessionTimes(NamedTuple):
    """Seconds of the day of one KRX trading day."""

    auction: int  # opening auction starts, orders are taken from here
    open: int
    closing: int  # closing auction starts
    close: int

    @property
    def minutes(self) -> int:
        """Return the length of continuous trading."""
        return (self.closing - self.open) // 60


class Calendar:
    """Trading days of KRX; `extra` holds holidays that nobody planned."""

    def __init__(self, extra: Iterable[date] = ()) -> None:
        self.extra = set(extra)
        self._known: dict[date, bool] = {}
        self._following: dict[date, date] = {}

    def close_day(self, day: date) -> None:
        """Add an unplanned holiday."""
        self.extra.add(day)
        self._known.clear()
        self._following.clear()

    def is_trading_day(self, day: date) -> bool:
        """Tell whether KRX trades on that day."""
        known = self._known.get(day)
        if known is None:
            listed = HOLIDAYS.get(day.year, "0101 0301 0501 0505 0606 0815 1003 1009 1225 1231")
            closed = day.weekday() >= 5 or day.strftime("%m%d") in listed.split()
            known = self._known[day] = not closed and day not in self.extra
        return known

    def previous(self, day: date) -> date:
        """Return the trading day before."""
        day -= timedelta(days=1)
        while not self.is_trading_day(day):
            day -= timedelta(days=1)
        return day

    def next(self, day: date) -> date:
        """Return the trading day after."""
        following = self._following.get(day)
        if following is None:
            following = day + timedelta(days=1)
            while not self.is_trading_day(following):
                following += timedelta(days=1)
            self._following[day] = following
        return following

    def settlement_day(self, day: date) -> date:
        """Return the day two trading days later (T+2)."""
        return self.next(self.next(day))

    def session(self, day: date) -> SessionTimes:
        """Return the hours of a trading day, with its two special cases."""
        if day in EXAM_DAYS:
            return SessionTimes(34_200, 36_000, 58_800, 59_400)  # 09:30 10:00 16:20 16:30
        if self.previous(day).year != day.year:
            return SessionTimes(32_400, 36_000, 55_200, 55_800)  # auction 09:00-10:00
        return SessionTimes(30_600, 32_400, 55_200, 55_800)  # 08:30 09:00 15:20 15:30


@lru_cache(maxsize=65_536)
def tick_size(price: int, etf: bool = False) -> int:
    """Return the tick size at a price, won."""
    if etf:
        return 1 if price < 2_000 else 5
    for bound, tick in TICK_BANDS:
        if price < bound:
            return tick
    return TOP_TICK


@lru_cache(maxsize=65_536)
def floor_tick(price: int, etf: bool = False) -> int:
    """Return the valid price at or below."""
    return price - price % tick_size(price, etf)


def ceil_tick(price: int, etf: bool = False) -> int:
    """Return the valid price at or above."""
    return -(-price // tick_size(price, etf)) * tick_size(price, etf)


NO_BAND = (-1, 10**12)  # where limits do not matter


def price_band(base: int, etf: bool = False) -> tuple[int, int]:
    """Return (lower, upper) limit: base -/+ 30 %, rounded towards the base. (rule)"""
    return ceil_tick(-(-base * 7 // 10), etf), floor_tick(base * 13 // 10, etf)


def fee_of(amount: int, etf: bool) -> int:
    """Return the broker's fee on a filled amount, won, half up.

    >>> fee_of(995_000, etf=False)
    140
    """
    return (amount * FEE_PER_BILLION["etf" if etf else "stock"] * 2 + 10**9) // (2 * 10**9)


def sell_tax_of(amount: int, listing: Listing, settled: date) -> int:
    """Return the taxes on a sold amount, won; `settled` decides the year.

    >>> sell_tax_of(1_000_003, LISTINGS["005930"], date(2026, 11, 24))
    2000
    """
    if listing.etf:
        return 0
    year = min(max(settled.year, min(SELL_TAX)), max(SELL_TAX))
    transaction, rural, kosdaq = SELL_TAX[year]
    if listing.market == "KOSDAQ":
        return amount * kosdaq // 10_000
    return amount * transaction // 10_000 + amount * rural // 10_000


def sign_code(change: int, price: int, band: tuple[int, int]) -> str:
    """Return the broker's sign: 1 upper limit, 2 up, 3 flat, 4 lower limit, 5 down."""
    if change > 0:
        return "1" if price >= band[1] else "2"
    if change < 0:
        return "4" if price <= band[0] else "5"
    return "3"
