"""Runs a day: opening auction, continuous trading, closing auction, and what is scripted against it.

Knows nothing of orders, accounts or frames; it tells its listeners."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Protocol

from companions.simulator.history import Bar
from companions.simulator.rules import floor_tick, tick_size
from companions.simulator.tape import AUCTION, BUY, SELL, Ground, Print, Tape
from companions.simulator.tools import hms, hms_of, midnight_ms, parse_clock, second_of_day


class MarketListener(Protocol):
    """Who wants to know what the market does."""

    def on_trades(self, at: int, tape: Tape, prints: Sequence[Print]) -> None:
        """Trades were printed in continuous trading."""

    def on_auction(self, at: int, tape: Tape, price: int, quantity: int) -> None:
        """An auction was decided; the print has been applied."""

    def on_quote(self, at: int, tape: Tape) -> None:
        """Only the book or the expected price changed."""

    def on_status(self, at: int, tape: Tape, code: str) -> None:
        """The phase or the state of a stock changed (MKOP_CLS_CODE)."""

    def on_day_end(self, at: int) -> None:
        """Day orders die."""


EVENTS = ("vi", "halt", "resume", "limit_up", "limit_down", "unlock", "circuit_breaker", "holiday")
AUCTIONS = ("opening", "vi", "closing")  # states that collect orders


class Market:
    """All tapes of the current day and the clock work behind them."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._agenda = ground, ground.agenda
        self._config, self._calendar = ground.config, ground.calendar
        self.listeners: list[MarketListener] = []
        self.tapes: dict[str, Tape] = {}
        self.vi_log: list[dict[str, Any]] = []
        self.day = ground.config.day
        self.session = self._calendar.session(self.day)
        self._run = 0  # what was planned for an earlier run of the day is ignored
        for event in self._config.events:
            self._check_event(str(event["type"]), event.get("symbol"))
            parse_clock(str(event["at"]).rpartition("T")[2])

    def start_day(self, day: date) -> None:
        """Prepare the tapes of a day and plan its course; on a closed day yesterday's stay."""
        watched = [code for code, tape in self.tapes.items() if tape.watched]
        trading = self._calendar.is_trading_day(day)
        self._run += 1
        self.day, self.session, self.vi_log = day, self._calendar.session(day), []
        if trading or not self.tapes:
            self.tapes = {code: self._new_tape(code, day, trading) for code in self._config.symbols}
        for code, tape in self.tapes.items():
            tape.watched = code in watched
            tape.state = "before" if trading else "closed"
        if trading:
            self._plan_day(midnight_ms(day))

    def _new_tape(self, code: str, day: date, trading: bool) -> Tape:
        history, before = self._ground.history, self._calendar.previous(day)
        plan = history.plan(code, day if trading else before)
        tape = Tape(history.listings[code], day, plan, self._ground)
        if not trading:
            tape.last = history.close(code, before)
        return tape

    def _plan_day(self, start: int) -> None:
        times, plan = self.session, self._plan
        plan(start + times.auction * 1000, self._enter, "opening", "110")
        step = round(self._config.auction_quote_s * 1000)
        for first, last in ((times.auction, times.open), (times.closing, times.close)):
            for at in range(first * 1000 + step, last * 1000, step):
                plan(start + at, self._quote_auction)
        for tape in self.tapes.values():
            waits = [int(tape.rng.random() * 30_000) for _ in range(2)]  # random end (rule)
            plan(start + times.open * 1000 + waits[0], self._open, tape)
            plan(start + times.close * 1000 + waits[1], self._close, tape)
        plan(start + times.closing * 1000, self._enter, "closing", "121")
        plan(start + (times.close + 60) * 1000, self._end)
        for event in self._config.events:
            day, _, clock = str(event["at"]).rpartition("T")
            if self.day == (date.fromisoformat(day) if day else self._config.day):
                what = event["type"], event.get("symbol"), float(event.get("seconds", 0))
                plan(start + parse_clock(clock) * 1000, self.event, *what)

    def _plan(self, at: int, action: Callable[..., None], *arguments: Any) -> None:
        """Put something on the agenda that dies when the day is cancelled or over."""
        self._agenda.add(at, self._act, self._run, action, arguments)

    def _act(
        self, at: int, run: int, action: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        if run == self._run:
            action(at, *arguments)

    # --- phases ---------------------------------------------------------------------

    def _enter(self, at: int, state: str, code: str) -> None:
        """Begin an auction for every stock that trades."""
        for tape in self.tapes.values():
            if tape.state in ("before", "open"):
                tape.state = state
                tape.expected = (0, 0)
            self._tell_status(at, tape, code)

    def _quote_auction(self, at: int) -> None:
        for tape in self.tapes.values():
            if tape.state in AUCTIONS:
                self._expect(at, tape)

    def _expect(self, at: int, tape: Tape) -> None:
        """Publish an expected price on the way to the auction's result."""
        times = self.session
        first, last = times.closing, times.close
        if tape.state == "opening":
            first, last = times.auction, times.open
        share = min(max((second_of_day(at) - first) / (last - first), 0.05), 1.0)
        (goal, volume), start = self._goal(tape), tape.last
        noise = (tape.rng.random() - 0.5) * (1 - share) * tape.listing.volatility * start
        price = tape.snap(start + (goal - start) * math.sqrt(share) + noise)
        tape.expected = (price, max(round(volume * share), 1))
        tape.ask, tape.bid = price + tape.tick(price), price
        tape.turn_book()
        for listener in self.listeners:
            listener.on_quote(at, tape)

    def _goal(self, tape: Tape) -> tuple[int, int]:
        """Return price and volume that the running auction will have."""
        if tape.lock:
            return tape.band[1 if tape.lock > 0 else 0], 10
        if tape.state == "opening":
            return tape.plan.opening
        if tape.state == "closing":
            return tape.plan.closing[0], tape.plan.closing[1] + tape.carry
        minute = tape.plan.minutes[min(tape.minute, len(tape.plan.minutes) - 1)]
        return minute.close, max(tape.carry, 1)

    def _auction(self, at: int, tape: Tape) -> None:
        """Decide an auction: one print, then the listeners."""
        price, quantity = self._goal(tape)
        tape.expected, tape.carry = (0, 0), 0
        if quantity:
            tape.trade(at, [(price, quantity, AUCTION)])
        else:
            tape.records = []
        for listener in self.listeners:
            listener.on_auction(at, tape, price, quantity)

    def _open(self, at: int, tape: Tape) -> None:
        if tape.state == "opening":
            self._auction(at, tape)
            tape.state = "open"
            self._tell_status(at, tape, "112")
        self._minute(at, tape)

    def _close(self, at: int, tape: Tape) -> None:
        if tape.state in ("closing", "vi"):
            tape.state = "closing"
            self._auction(at, tape)
        tape.state = "closed"
        self._tell_status(at, tape, "129")

    def _end(self, at: int) -> None:
        for listener in self.listeners:
            listener.on_day_end(at)
        for code, tape in self.tapes.items():
            rows = [(hms_of(second), bar) for second, bar in sorted(tape.minutes.items())]
            self._ground.history.record(code, self.day, rows, tape.last)

    # --- continuous trading ---------------------------------------------------------

    def _minute(self, at: int, tape: Tape) -> None:
        """Plan the trades of one minute of one stock, then the next minute."""
        minutes, first = tape.plan.minutes, self.session.open
        index = (second_of_day(at) - first) // 60
        end = midnight_ms(self.day) + (first + 60 * (index + 1)) * 1000
        if index + 1 < len(minutes):
            self._plan(end, self._minute, tape)
        tape.minute, bar = index, minutes[index]
        volume = bar.volume + (0 if tape.plan.exact else tape.carry)
        count = self._trade_count(tape, bar, volume) if volume else 0
        if not count:
            tape.carry = volume
            return
        tape.carry = 0
        prints = minute_prints(tape.rng, bar, count, volume, tape)
        for when, burst in bursts(tape.rng, prints, at, end):
            self._plan(when, self._burst, tape, burst)

    def _trade_count(self, tape: Tape, bar: Bar, volume: int) -> int:
        """Return how many trades this minute prints, after the activity of the plan."""
        wanted = self._config.density * min(bar.volume / tape.plan.usual, 6.0)
        count = int(wanted) + (tape.rng.random() < wanted % 1)
        return min(max(count, 4) if tape.plan.exact else count, volume)

    def _burst(self, at: int, tape: Tape, prints: Sequence[Print]) -> None:
        if tape.state != "open":
            tape.carry += sum(p[1] for p in prints)
            return
        if tape.lock:
            price, side = (tape.band[1], SELL) if tape.lock > 0 else (tape.band[0], BUY)
            prints = [(price, max(quantity // 20, 1), side) for _, quantity, _ in prints]
        tape.trade(at, prints)
        for listener in self.listeners:
            listener.on_trades(at, tape, prints)

    # --- scripted events ------------------------------------------------------------

    def event(self, at: int, kind: str, symbol: str | None = None, seconds: float = 0.0) -> None:
        """Make something happen now. `symbol` None means every stock. See EVENTS.

        vi: 2-minute call auction (or `seconds`); halt: until resume (or for `seconds`);
        limit_up / limit_down: locked without the other side until unlock; circuit_breaker: all stop
        20 minutes, then 10 minutes auction; holiday: the rest of the day is cancelled.
        """
        self._check_event(kind, symbol)
        if kind == "holiday":
            self._cancel_day()
            return
        for tape in [self.tapes[symbol]] if symbol else list(self.tapes.values()):
            if kind == "vi" and tape.state == "open":
                reference = tape.open or tape.base
                row = {"tape": tape, "from": hms(at), "to": "", "price": tape.last}
                self.vi_log.append(row | {"reference": reference})
                self._collect(at, tape, seconds or 120 + tape.rng.random() * 30, "")
            elif kind == "halt" and tape.state in ("open", *AUCTIONS):
                self._halt(at, tape, "164")
                if seconds:
                    self._plan(at + round(seconds * 1000), self._resume, tape)
            elif kind == "resume":
                self._resume(at, tape)
            elif kind in ("limit_up", "limit_down", "unlock"):
                tape.lock = {"limit_up": 1, "limit_down": -1, "unlock": 0}[kind]
                tape.turn_book()
            elif kind == "circuit_breaker" and tape.state in ("open", "vi"):
                self._halt(at, tape, "174")
                self._plan(at + 1_200_000, self._after_breaker, tape)

    def _check_event(self, kind: str, symbol: str | None) -> None:
        if kind not in EVENTS:
            raise ValueError(f"event type is one of {', '.join(EVENTS)}, was {kind!r}")
        if symbol is not None and symbol not in self._config.symbols:
            raise ValueError(f"no stock {symbol!r} in this simulation")

    def _halt(self, at: int, tape: Tape, code: str) -> None:
        tape.state = "halt"
        self._tell_status(at, tape, code)

    def _after_breaker(self, at: int, tape: Tape) -> None:
        if tape.state == "halt":
            self._tell_status(at, tape, "184")
            self._collect(at, tape, 600.0, "185")

    def _collect(self, at: int, tape: Tape, seconds: float, code: str) -> None:
        """Call an auction for some seconds; `code` is the status at its end."""
        tape.state = "vi"
        self._tell_status(at, tape, "")
        self._expect(at, tape)
        self._plan(at + round(seconds * 1000), self._end_auction, tape, code)

    def _end_auction(self, at: int, tape: Tape, code: str) -> None:
        """Decide a called auction; after 15:20 the closing auction swallows it."""
        if tape.state != "vi":
            return
        for row in self.vi_log:
            if row["tape"] is tape:
                row["to"] = row["to"] or hms(at)
        if second_of_day(at) < self.session.closing:
            self._auction(at, tape)
            tape.state = "open"
        else:
            tape.state = "closing"
        self._tell_status(at, tape, code)

    def _resume(self, at: int, tape: Tape) -> None:
        """End a halt with a single price."""
        if tape.state == "halt":
            tape.state = "vi"
            self._end_auction(at, tape, "")

    def _cancel_day(self) -> None:
        self._calendar.close_day(self.day)
        self._run += 1
        for tape in self.tapes.values():
            tape.state = "closed"

    def _tell_status(self, at: int, tape: Tape, code: str) -> None:
        for listener in self.listeners:
            listener.on_status(at, tape, code)


def minute_prints(rng: random.Random, bar: Bar, count: int, volume: int, tape: Tape) -> list[Print]:
    """Return trades that walk open - extremes - close of a minute and share its volume."""
    prices = _walk(rng, bar, count, tape.listing.etf)
    draw = [0.08 + (x := rng.random()) * x for _ in range(count)]
    scale = (volume - count) / sum(draw)
    prints: list[Print] = []
    before, side, left = tape.last, tape.side if tape.side != AUCTION else BUY, volume
    for index, price in enumerate(prices):
        if price != before:
            side = BUY if price > before else SELL
        elif rng.random() < 0.4:
            side = SELL if side == BUY else BUY
        quantity = left if index == count - 1 else 1 + int(draw[index] * scale)
        prints.append((price, quantity, side))
        left -= quantity
        before = price
    return prints


def _walk(rng: random.Random, bar: Bar, count: int, etf: bool) -> list[int]:
    """Return `count` prices from open to close that touch both extremes (from 4 prices on)."""
    first, second = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
    if count < 4:
        return [first, second, bar.close][3 - count :]
    one = 1 + int(rng.random() * (count - 3))
    two = one + 1 + int(rng.random() * (count - 2 - one))
    prices: list[int] = []
    stops = ((0, bar.open), (one, first), (two, second), (count - 1, bar.close))
    tick = tick_size(bar.low, etf)
    for (i, a), (j, b) in itertools.pairwise(stops):
        for k in range(i, j):
            price = a
            if k > i:
                price = round(a + (b - a) * (k - i) / (j - i) + (rng.random() - 0.5) * 1.6 * tick)
                price = min(max(floor_tick(price, etf), bar.low), bar.high)
            prices.append(price)
    prices.append(bar.close)
    return prices


def bursts(
    rng: random.Random, prints: Sequence[Print], start: int, end: int
) -> list[tuple[int, Sequence[Print]]]:
    """Group trades into bursts of 1 to 4 and give each a time in [start, end)."""
    groups, index = [], 0
    while index < len(prints):
        size = 1 if rng.random() < 0.82 else 2 + int(rng.random() * 3)
        groups.append(prints[index : index + size])
        index += size
    span = max(end - start - 1, 1)
    times = sorted(start + 1 + int(rng.random() * span) for _ in groups)
    return [(min(at, end - 1), group) for at, group in zip(times, groups, strict=True)]
