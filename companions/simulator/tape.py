"""Agenda and tape: the queue of coming events, and what the market shows of one stock.

The ground is what every later part stands on."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from companions.simulator.config import Credentials, SimulatorConfig
from companions.simulator.faults import FaultBook
from companions.simulator.history import Bar, DayPlan, History
from companions.simulator.rules import Calendar, floor_tick, price_band, sign_code, tick_size
from companions.simulator.tables import Listing
from companions.simulator.tools import Dice, hms, parse_clock, second_of_day, ymd


class Agenda:
    """Coming events by market time; equal times keep the order of adding."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = self.now = 0

    def add(self, at: int, action: Callable[..., None], *arguments: Any) -> None:
        """Plan `action(at, *arguments)`."""
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, action, arguments))

    def next_at(self) -> int | None:
        """Return the time of the next event."""
        return self._heap[0][0] if self._heap else None

    def run(self, until: int) -> None:
        """Do everything up to and including `until`; `now` is the time of each event."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            at, _, action, arguments = heapq.heappop(heap)
            self.now = at
            action(at, *arguments)
        self.now = until


class Ground(NamedTuple):
    """What all parts share."""

    config: SimulatorConfig
    who: Credentials
    dice: Dice
    calendar: Calendar
    history: History
    agenda: Agenda
    faults: FaultBook


class Depth(NamedTuple):
    """Ten levels on both sides, best first; 0 where there is no level."""

    asks: tuple[int, ...]
    bids: tuple[int, ...]
    ask_sizes: tuple[int, ...]
    bid_sizes: tuple[int, ...]
    ask_total: int
    bid_total: int
    text: str  # the forty numbers as they stand in a frame


Levels = tuple[int, ...]
Sizes = tuple[Levels, Levels, int, int, str]  # of asks and bids, their sums, as text
Print = tuple[int, int, str]  # price, quantity, side
BUY, SELL, AUCTION = "1", "5", "3"  # side codes of a printed trade (doc)
DEEP = (1.0, 1.5, 1.8, 2.0, 2.1, 2.2, 2.2, 2.3, 2.3, 2.4)  # size of a level against the best one
NO_LEVELS = (0,) * 10


def make_depth(asks: Levels, bids: Levels, ask_sizes: Levels, bid_sizes: Levels) -> Depth:
    """Return a book; sizes without a price count as none."""
    ask_sizes = tuple(size if price else 0 for price, size in zip(asks, ask_sizes, strict=True))
    bid_sizes = tuple(size if price else 0 for price, size in zip(bids, bid_sizes, strict=True))
    text = "^".join(map(str, asks + bids + ask_sizes + bid_sizes))
    return Depth(asks, bids, ask_sizes, bid_sizes, sum(ask_sizes), sum(bid_sizes), text)


class TradeRow(NamedTuple):
    """One printed trade as the inquiries show it."""

    at: int
    price: int
    quantity: int
    volume: int  # cumulative
    ask: int
    bid: int
    bought: int
    sold: int


@lru_cache(maxsize=400)
def _invented_sizes(dice: Dice, listing: Listing, day: date) -> tuple[list[Sizes], Any]:
    """Return the books of a day, and the state of the generator of its tape behind them."""
    unit, rng = max(listing.volume / 4000, 3.0), dice.stream(listing.code, day, "tape")
    sizes = []
    for _ in range(64):
        asks = tuple(1 + int(unit * d * (0.3 + 1.4 * rng.random())) for d in DEEP)
        bids = tuple(1 + int(unit * d * (0.3 + 1.4 * rng.random())) for d in DEEP)
        sizes.append((asks, bids, sum(asks), sum(bids), "^".join(map(str, asks + bids))))
    return sizes, rng.getstate()


class Tape:
    """The live state of one stock on one day: prices, totals, book, minute bars."""

    def __init__(self, listing: Listing, day: date, plan: DayPlan, ground: Ground) -> None:
        self.listing, self.day, self.plan = listing, day, plan
        self.rng = random.Random(0)
        self._history, self._before = ground.history, ground.calendar.previous(day)
        self.base, self.band = plan.base, price_band(plan.base, listing.etf)
        self.state = "before"  # before, opening, open, vi, halt, closing, closed
        self.lock = 0  # +1 at the upper limit, -1 at the lower limit
        self.minute = 0
        self.carry = 0  # planned volume that was not printed yet
        self.last, self.open, self.high, self.low = plan.base, 0, 0, 0
        self.open_clock = self.high_clock = self.low_clock = "000000"
        self.volume = self.value = self.bought = self.sold = self.buys = self.sells = 0
        self.quantity, self.side = 0, AUCTION
        self.ask, self.bid = plan.base + tick_size(plan.base, listing.etf), plan.base
        self.expected = (0, 0)  # price and quantity of the coming auction
        self.moves = 0  # bursts so far; picks the sizes of the book
        self.taken: dict[int, int] = {}  # what our orders took from the book since it turned
        self._depth: Depth | None = None
        self.minutes: dict[int, Bar] = {}  # second of the day -> bar
        self.trades: list[TradeRow] = []
        self.watched = False  # somebody wants wire records
        self.records: list[str] = []  # of the last burst
        self.shown = (0, 0)  # total sizes in the last book frame
        self.previous_volume = max(ground.history.daily(listing.code, self._before).volume, 1)
        self._yesterday: list[int] = []  # cumulative volume of the day before, by minute of the day
        self._sizes, state = _invented_sizes(ground.dice, listing, day)
        self.rng.setstate(state)  # it goes on behind them
        self._ladders: dict[tuple[int, int], tuple[Levels, Levels, str]] = {}
        self.words: tuple[tuple[Depth, str, tuple[int, int]], dict[str, Any]] | None = None

    def tick(self, price: int) -> int:
        """Return the tick size of this stock at a price."""
        return tick_size(price, self.listing.etf)

    def snap(self, price: float) -> int:
        """Return the nearest valid price below, inside the band of the day."""
        return min(max(floor_tick(round(price), self.listing.etf), self.band[0]), self.band[1])

    def trade(self, at: int, prints: Sequence[Print]) -> None:
        """Apply printed trades; with a watcher, `records` holds one wire record for each."""
        self.turn_book()
        self.records = []
        second, clock = second_of_day(at) // 60 * 60, hms(at)
        for price, quantity, side in prints:
            self._count(clock, price, quantity, side)
            bar = self.minutes.get(second)
            if bar is None:
                bar = self.minutes[second] = Bar(price, price, price, price, 0)
            bar.high, bar.low, bar.close = max(bar.high, price), min(bar.low, price), price
            bar.volume += quantity
            bar.value += price * quantity
            totals = self.volume, self.ask, self.bid, self.bought, self.sold
            self.trades.append(TradeRow(at, price, quantity, *totals))
            self._depth = None
            if self.watched:
                self.records.append(trade_record(self, clock, second // 60))

    def turn_book(self) -> None:
        """Let the sizes of the book change; what our orders took comes back."""
        self.moves += 1
        self.taken.clear()
        self._depth = None

    def take(self, price: int, quantity: int) -> None:
        """Take shares out of the book until it turns."""
        self.taken[price] = self.taken.get(price, 0) + quantity
        self._depth = None

    def _count(self, clock: str, price: int, quantity: int, side: str) -> None:
        if not self.open:
            self.open = self.high = self.low = price
            self.open_clock = self.high_clock = self.low_clock = clock
        if price > self.high:
            self.high, self.high_clock = price, clock
        elif price < self.low:
            self.low, self.low_clock = price, clock
        self.last, self.quantity, self.side = price, quantity, side
        self.volume += quantity
        self.value += price * quantity
        if side == BUY:
            self.bought += quantity
            self.buys += 1
            self.ask, self.bid = price, floor_tick(price - 1, self.listing.etf)
            return
        self.ask, self.bid = price + self.tick(price), price
        if side == SELL:  # an auction counts on neither side (measured sample, 2023-06-12)
            self.sold += quantity
            self.sells += 1

    def depth(self) -> Depth:
        """Return the book now; what our own orders took is gone until it turns."""
        if self._depth is None:
            self._depth = self._locked_depth() if self.lock else self._open_depth()
        return self._depth

    def _open_depth(self) -> Depth:
        asks, bids, prices = self._ladder()
        ask_sizes, bid_sizes, ask_total, bid_total, sizes = self._sizes[self.moves % 64]
        if not self.taken and asks[9] and bids[9]:
            text = f"{prices}^{sizes}"
            return Depth(asks, bids, ask_sizes, bid_sizes, ask_total, bid_total, text)
        left = [
            tuple(
                max(size - self.taken.get(price, 0), 0) for price, size in zip(*side, strict=True)
            )
            for side in ((asks, ask_sizes), (bids, bid_sizes))
        ]
        return make_depth(asks, bids, left[0], left[1])

    def _locked_depth(self) -> Depth:
        """Return a one-sided book: many at the price limit, nobody on the other side."""
        asks, bids, _ = self._ladder()
        ask_sizes, bid_sizes, ask_total, bid_total, _ = self._sizes[self.moves % 64]
        low, high = self.band
        if self.lock > 0:
            prices = (high, *[price for price in bids if 0 < price < high], *NO_LEVELS)[:10]
            return make_depth(NO_LEVELS, prices, NO_LEVELS, (bid_total * 40, *bid_sizes[1:]))
        prices = (low, *[price for price in asks if price > low], *NO_LEVELS)[:10]
        return make_depth(prices, NO_LEVELS, (ask_total * 40, *ask_sizes[1:]), NO_LEVELS)

    def _ladder(self) -> tuple[Levels, Levels, str]:
        key = (self.ask, self.bid)
        if key not in self._ladders:
            asks, bids, etf, (low, high) = [], [], self.listing.etf, self.band
            ask, bid = key
            for _ in range(10):
                asks.append(ask if low <= ask <= high else 0)
                bids.append(bid if low <= bid <= high else 0)
                ask, bid = ask + tick_size(ask, etf), floor_tick(max(bid - 1, 0), etf)
            self._ladders[key] = (tuple(asks), tuple(bids), "^".join(map(str, asks + bids)))
        return self._ladders[key]

    def volume_yesterday(self, minute: int) -> int:
        """Return the volume of the day before up to a minute of the day."""
        if not self._yesterday:
            by_minute = [0] * 1440
            for clock, bar in self._history.minute_rows(self.listing.code, self._before):
                by_minute[parse_clock(clock) // 60] += bar.volume
            self._yesterday = list(itertools.accumulate(by_minute))
        return self._yesterday[minute]


def trade_record(tape: Tape, clock: str, minute: int) -> str:
    """Return the 47 fields of H0STCNT0 for the last trade. (doc; 47 measured, 2026-09-15)"""
    price, base, volume = tape.last, tape.base, tape.volume
    change, before = price - base, tape.volume_yesterday(minute)
    asks, bids, ask_sizes, bid_sizes, ask_total, bid_total, _ = tape.depth()
    strength = tape.bought * 100 / tape.sold if tape.sold else 0.0
    rate = -(-tape.bought * 100 // volume) / 100  # rounded up (observed)
    up, high, low = price - tape.open, price - tape.high, price - tape.low
    return (
        f"{tape.listing.code}^{clock}^{price}^{sign_code(change, price, tape.band)}^{change}"
        f"^{change * 100 / base:.2f}^{tape.value / volume:.2f}^{tape.open}^{tape.high}^{tape.low}"
        f"^{asks[0]}^{bids[0]}^{tape.quantity}^{volume}^{tape.value}^{tape.sells}^{tape.buys}"
        f"^{tape.buys - tape.sells}^{strength:.2f}^{tape.sold}^{tape.bought}^{tape.side}^{rate:.2f}"
        f"^{volume * 100 / tape.previous_volume:.2f}"
        f"^{tape.open_clock}^{'2' if up > 0 else '5' if up else '3'}^{up}"
        f"^{tape.high_clock}^{'5' if high else '3'}^{high}"
        f"^{tape.low_clock}^{'2' if low else '3'}^{low}"
        f"^{ymd(tape.day)}^20^N^{ask_sizes[0]}^{bid_sizes[0]}^{ask_total}^{bid_total}"
        f"^{volume * 100 / tape.listing.shares:.2f}^{before}"
        f"^{volume * 100 / before if before else 0.0:.2f}^0^^{tape.open}^2"
    )
