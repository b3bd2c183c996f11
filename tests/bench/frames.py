"""Invented frames of the realtime feed: a seeded random walk, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

DAY = date(2026, 11, 20)
SYMBOLS = tuple(f"{code:06d}" for code in range(100_010, 100_210, 10))  # 20 invented codes
OPEN_S = 9 * 3_600
LAST_S = 15 * 3_600 + 19 * 60 + 59  # before the closing auction


@dataclass(slots=True)
class Stock:
    """One invented stock on one day. Its tick size is 100 won between 50,000 and 200,000."""

    code: str
    base: int = 70_000
    price: int = 70_000
    volume: int = 0
    value: int = 0
    high: int = 70_000
    low: int = 70_000

    def trade(self, price: int, shares: int, clock: str, day: date) -> str:
        """Book a trade; return its 47 fields."""
        self.price, self.high, self.low = price, max(self.high, price), min(self.low, price)
        self.volume += shares
        self.value += price * shares
        change, volume = price - self.base, self.volume
        return (
            f"{self.code}^{clock}^{price}^{'2' if change > 0 else '5'}^{change}"
            f"^{change * 100 / self.base:.2f}^{self.value / volume:.2f}^{self.base}^{self.high}"
            f"^{self.low}^{price + 100}^{price}^{shares}^{volume}^{self.value}^{volume // 90}"
            f"^{volume // 80}^{volume // 720}^104.31^{volume * 4 // 9}^{volume * 5 // 9}^1^0.51"
            f"^{volume / 150_000:.2f}^090012^{'2' if change > 0 else '5'}^{change}^093107^5"
            f"^{price - self.high}^090441^2^{price - self.low}^{day:%Y%m%d}^20^N"
            f"^{1_000 + volume % 7_919}^{900 + volume % 6_133}^{90_000 + volume % 48_611}"
            f"^{80_000 + volume % 51_203}^{volume / 5_000_000:.2f}^{volume * 9 // 10}^111.20^0^^70000^2"
        )

    def book(self, rng: random.Random, clock: str) -> str:
        """Return the 63 fields of an order book around the last price."""
        asks = [self.price + 100 * n for n in range(1, 11)]
        bids = [self.price - 100 * n for n in range(10)]
        sizes = [rng.randrange(1, 40_000) for _ in range(20)]
        fields = [self.code, clock, "0", *asks, *bids, *sizes, sum(sizes[:10]), sum(sizes[10:])]
        fields += ["0", "0", "0", "0", self.volume, -self.base, "5", "-100.00", self.volume]
        fields += [rng.randrange(-900, 900), rng.randrange(-900, 900), "0", "0", "0"]
        return "^".join(map(str, [*fields, self.price + 50, "0", "0", "2"]))


def clock_text(second: int) -> str:
    """Return HHMMSS of a second of the day."""
    return f"{second // 3_600:02d}{second // 60 % 60:02d}{second % 60:02d}"


class Print(NamedTuple):
    """One trade: when, what, and its 47 fields as text."""

    second: int  # of the day
    code: str
    price: int
    shares: int
    record: str


def trades(
    count: int,
    symbols: tuple[str, ...] = SYMBOLS,
    seed: int = 1,
    day: date = DAY,
    span: tuple[int, int] = (OPEN_S, LAST_S),
) -> Iterator[Print]:
    """Yield trades, evenly over a span of seconds of the day.

    Prices walk in steps of 100 won between 60,000 and 140,000; some fifteen times for each stock a
    new trend sets in, some with many shares, so that there is something to break out of. No trade
    falls on a full minute: whether a bar holds its last instant is then no question.
    """
    rng = random.Random(f"{seed} {day}")
    stocks = [Stock(code) for code in symbols]
    drift, burst = [0.0] * len(stocks), [1] * len(stocks)
    for n in range(count):
        second = span[0] + n * (span[1] - span[0]) // count
        second += second % 60 == 0
        at = rng.randrange(len(stocks))
        if rng.random() * count < 15 * len(stocks):
            drift[at] = rng.uniform(-900, 900) * len(stocks) / count
            burst[at] = rng.choice((1, 1, 4))
        step = (rng.random() < 0.25 + drift[at]) - (rng.random() < 0.25)
        stock = stocks[at]
        price = min(140_000, max(60_000, stock.price + 100 * step))
        shares = rng.randrange(1, 60) * burst[at]
        record = stock.trade(price, shares, clock_text(second), day)
        yield Print(second, stock.code, price, shares, record)


def trade_frames(count: int, records: int = 1, seed: int = 1) -> list[str]:
    """Return H0STCNT0 frames with so many records each, all of one stock (as the broker sends)."""
    frames: list[str] = []
    waiting: dict[str, list[str]] = {code: [] for code in SYMBOLS}
    for trade in trades(count * records + records * len(SYMBOLS), seed=seed):
        group = waiting[trade.code]
        group.append(trade.record)
        if len(group) == records:
            frames.append(f"0|H0STCNT0|{records:03d}|" + "^".join(group))
            group.clear()
    return frames[:count]


def quote_frames(count: int, seed: int = 1) -> list[str]:
    """Return H0STASP0 frames of one record each."""
    rng, stocks = random.Random(seed), [Stock(code) for code in SYMBOLS]
    frames = []
    for n in range(count):
        stock = stocks[rng.randrange(len(stocks))]
        stock.trade(stock.price, 1, "", DAY)
        frames.append("0|H0STASP0|001|" + stock.book(rng, clock_text(OPEN_S + n // 20)))
    return frames
