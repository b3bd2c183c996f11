"""Upbit and Binance under the manager: balances, open orders looked after, what became of them told.

It sends no order. The account is locked for one round of looks at a time, so that a typed command
has its turn; what it wrote is read before the next round.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from kis_realtime_trading import (
    UNRESOLVED,
    AlreadyRunning,
    BotError,
    Journal,
    JournalError,
    KillLevel,
    OrderStatus,
    Side,
)
from venues import binance, upbit
from venues.accounts import Account, lock_of, new_desk, read_ledger, wire_of
from venues.common import (
    ZERO,
    FeedChange,
    Hint,
    VBalance,
    day_of,
    delivering,
    minus,
    plain,
    plus,
    rounded,
)
from venues.kiwoom import Notice
from venues.kiwoom_orders import KiwoomDesk, KiwoomOrders
from venues.kiwoom_stream import KiwoomLine, Session
from venues.orders import Desk, StreamPort
from venues.spot import ORDER_ROWS, SpotLedger, SpotOrder, Update, entry_of
from venues.venue import Context, Day, Holding, OrderLine
from venues.wire import Line, Statistics
from venues.words import price, say, status_word

log = logging.getLogger("kis.venues")

ROUND_S, BALANCES_S, CLOCK_S, HINT_PAUSE_S = 5.0, 30.0, 1_800.0, 0.2
SHOWN_ID = 8  # letters of a client id: enough to name it
ENDED = {
    OrderStatus.FILLED: "filled", OrderStatus.CANCELLED: "cancelled", OrderStatus.EXPIRED: "expired",
    OrderStatus.REJECTED: "rejected",
}  # fmt: skip


class SpotVenue:
    """One spot account, kept."""

    def __init__(self, account: Account, context: Context) -> None:
        self.name, self.use, self._account, self._context = (
            account.venue,
            account.use,
            account,
            context,
        )
        self.statistics = Statistics()
        self._desk: Desk | None = None
        self._stamp = ""
        self._balances: tuple[VBalance, ...] | None = None
        self._balances_ms, self._stale = 0, True
        self._down: dict[str, str] = {}
        self._known: dict[str, OrderStatus] | None = None  # what was told, None: not read yet
        self._hint = asyncio.Event()
        self.line: Line | None = None
        self._notices: deque[Notice] = deque(maxlen=1_000)

    # --- what is shown ------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        return self._context.settings.state_dir

    @property
    def _file(self) -> Path:
        return self._account.file(self._folder)

    def holdings(self) -> tuple[Sequence[Holding], int] | None:
        """Return what the account held when it was asked last, and when."""
        if self._balances is None:
            return None
        rows = [
            Holding(b.asset, b.asset, b.free, b.locked)
            for b in self._balances
            if b.free or b.locked
        ]
        return rows, self._balances_ms

    def down(self) -> Mapping[str, str]:
        """Return what does not work now. Without its private line it goes on, by questions."""
        why = self.line.why if self.line else ""
        return {**self._down, **({"account line": why} if why else {})}

    def orders(self) -> Sequence[OrderLine]:
        """Return every order of the journal; asks nobody."""
        return [order_line(order, self.use) for order in read_ledger(self._file).orders.values()]

    def days(self, day: int) -> Sequence[Day]:
        """Return the figures of a day, one a quote currency."""
        return days_of(self._file, day, self.name, self.use)

    def level(self) -> KillLevel:
        """Return where the kill switch stands."""
        return self._desk.ledger.level if self._desk else read_ledger(self._file).level

    # --- running ------------------------------------------------------------------------

    def hint(self, hint: Hint) -> None:
        """Hear from a stream that an order or a balance moved: ask now. It is believed of nothing."""
        if hint.client_id and self._desk:
            self._desk.hint(hint.client_id)
        self._stale = True
        self._hint.set()

    def notice(self, event: object) -> None:
        """Keep a notice of Kiwoom for the next round, when the journal is open: it can be booked."""
        if isinstance(event, Notice):
            self._notices.append(event)
        self._stale = True
        self._hint.set()

    def _line_changed(self, change: FeedChange) -> None:
        """The private line came up: nothing is replayed, so everything is asked once."""
        if change.up and self._desk:
            self._desk.hint()
        self._stale = True
        self._hint.set()

    def _private(self, port: StreamPort | KiwoomOrders) -> Line | None:
        if not self._account.stream:
            return None
        if isinstance(port, KiwoomOrders):
            session = Session(self.notice, (), True, None)
            return KiwoomLine(
                port.client.tokens, self._account.stream, session, self._line_changed,
                self.statistics, self._context.clock,
            )  # fmt: skip
        read = upbit.read_private if self.name == upbit.VENUE else binance.read_private
        deliver = delivering(lambda raw, seen_ns: list(read(raw)), self.hint)
        hosts, clock = self._context.hosts, self._context.clock
        plan = port.account_plan(self._account.stream)
        return Line(plan, deliver, self._line_changed, self.statistics, clock, hosts.connect)

    async def run(self) -> None:
        """Ask for balances, look after open orders, until cancelled."""
        transport, _, port = wire_of(
            self._account, self._context.hosts, self._context.clock, self.statistics, self._folder
        )
        self._desk = None
        loop = asyncio.get_running_loop()
        self.line = self._private(port)
        lines = [loop.create_task(self.line.run())] if self.line else []
        clock_due = loop.time()
        try:
            while True:
                self._context.beat(self.name)
                self._hint.clear()
                if loop.time() >= clock_due:
                    await self._part("clock", port.set_clock())
                    clock_due = loop.time() + (CLOCK_S if "clock" not in self._down else 60.0)
                await self._part("orders", self._look(port))
                now = self._context.clock.wall_ms()
                if self._stale or now - self._balances_ms >= BALANCES_S * 1_000:
                    self._stale = False
                    await self._part("balances", self._ask_balances(port))
                try:
                    async with asyncio.timeout(ROUND_S):
                        await self._hint.wait()
                except TimeoutError:
                    pass
                for line in lines:
                    if line.done():
                        line.result()  # it runs for ever: one that ended did so by a fault
                await asyncio.sleep(HINT_PAUSE_S)  # many hints of a moment are one question
        finally:
            for line in lines:
                line.cancel()
            await asyncio.gather(*lines, return_exceptions=True)
            await transport.close()

    async def _part(self, name: str, work: Any) -> None:
        """Do one thing; a failure of the venue is shown and tried again, another one ends the run."""
        try:
            await work
        except JournalError:
            raise
        except BotError as error:
            self._down[name] = f"{type(error).__name__}: {error}"[:120]
            log.warning("%s: %s: %s", self.name, name, type(error).__name__)
            return
        self._down.pop(name, None)

    async def _ask_balances(self, port: StreamPort | KiwoomOrders) -> None:
        self._balances = await port.balances()
        self._balances_ms = self._context.clock.wall_ms()

    def _written(self) -> str:
        """Return what changes with every row that anybody writes, "" before the first."""
        try:
            return self._file.with_suffix(".tip").read_text()
        except OSError:
            return ""

    async def _look(self, port: StreamPort | KiwoomOrders) -> None:
        """One round: take in what others wrote, look at what is due. Sends no order."""
        written = self._written()
        idle = self._desk and written == self._stamp and not self._desk.due()
        if not written or (idle and not self._notices):
            return
        try:
            lock = lock_of(self._account, self._folder)
        except AlreadyRunning:
            return  # a typed command is at work: it looks by itself
        try:
            journal = Journal(self._file, patience_s=1.0)
            try:
                desk = self._desk = self._opened(journal, port)
                self._news(desk)
                while self._notices and isinstance(desk, KiwoomDesk):
                    desk.notice(self._notices.popleft())
                await desk.resolve()
                self._news(desk)
            finally:
                journal.close()
        finally:
            lock.release()
        self._stamp = self._written()

    def _opened(self, journal: Journal, port: StreamPort | KiwoomOrders) -> Desk:
        if self._desk:
            self._desk.rebuild(journal)
            return self._desk
        return new_desk(self._account, journal=journal, port=port, clock=self._context.clock, tell=self._doubt)  # fmt: skip

    def _doubt(self, code: str, order: SpotOrder) -> None:
        """Tell of an order that needs eyes."""
        text = say(f"t_{code}", self._context.settings.language, id=short_id(order))
        self._context.tell(f"{say(self.name, self._context.settings.language)} {text}")

    def _news(self, desk: Desk) -> None:
        """Tell the end of each order once; what had ended before the start is not told."""
        orders = desk.ledger.orders
        if self._known is not None:
            for intent_id, order in orders.items():
                if order.status in ENDED and self._known.get(intent_id) is not order.status:
                    self._context.tell(end_text(order, self._context.settings.language))
        self._known = {intent_id: order.status for intent_id, order in orders.items()}


# --- an order for people ----------------------------------------------------------------


def short_id(order: SpotOrder) -> str:
    """Return so much of a client id as names an order."""
    return order.intent.client_id.removeprefix("kb-")[:SHOWN_ID]


def fees_text(fees: Mapping[str, Decimal]) -> str:
    """Return fees as a text, "" for none."""
    return " ".join(f"{plain(paid)} {asset}" for asset, paid in sorted(fees.items()))


def order_line(order: SpotOrder, use: str) -> OrderLine:
    """Return an order as people read it."""
    intent, price_now = order.intent, order.price or order.intent.price
    return OrderLine(
        intent.venue, use, int(intent.at.timestamp() * 1_000), intent.symbol, intent.side,
        plain(intent.quantity or intent.funds or ZERO), plain(price_now) if price_now else "",
        order.status, plain(order.filled), fees_text(order.fees), short_id(order), order.open,
    )  # fmt: skip


def end_text(order: SpotOrder, language: str) -> str:
    """Return what became of an order, in one line."""
    intent = order.intent
    side = say("o_buy" if intent.side is Side.BUY else "o_sell", language)
    text = f"{say(intent.venue, language)} {intent.symbol} {side}: {status_word(order.status, language)}"
    if order.filled:
        average = Fraction(order.filled_funds) / Fraction(order.filled)
        text += f" {plain(order.filled)} @ {price(average)}"
        if order.fees:
            text += f", {say('o_fees', language)} {fees_text(order.fees)}"
    return f"{text} ({short_id(order)})"


# --- a day ------------------------------------------------------------------------------


class _Held:
    """What was bought of one market and not sold yet, at its average cost; exact."""

    def __init__(self) -> None:
        self.quantity, self.cost = Fraction(0), Fraction(0)

    def buy(self, quantity: Fraction, cost: Fraction) -> None:
        self.quantity, self.cost = self.quantity + quantity, self.cost + cost

    def sell(self, quantity: Fraction, got: Fraction) -> Fraction | None:
        """Return what a sale earned, None when more was sold than was bought here."""
        if quantity > self.quantity or not quantity:
            self.quantity = self.cost = Fraction(0)
            return None
        cost = self.cost * quantity / self.quantity
        self.quantity, self.cost = self.quantity - quantity, self.cost - cost
        return got - cost


class DayBook:
    """Goes through a journal once and keeps what belongs to one day, by quote currency."""

    def __init__(self, day: int, venue: str, use: str) -> None:
        self._day, self._venue, self._use = day, venue, use
        self.days: dict[str, Day] = {}
        self._held: dict[str, _Held] = {}
        self._unknown: set[str] = set()  # quotes with a sale of what was not bought here

    def _of(self, quote: str) -> Day:
        return self.days.setdefault(quote, Day(self._venue, self._use, quote))

    def moved(self, before: SpotOrder, after: SpotOrder, at_ms: int) -> None:
        """Take the difference that one row made to an order."""
        base, _, quote = after.intent.pair.partition("/")
        quantity, funds = (
            minus(after.filled, before.filled),
            minus(after.filled_funds, before.filled_funds),
        )
        fees = {
            asset: minus(paid, before.fees.get(asset, ZERO)) for asset, paid in after.fees.items()
        }
        held = self._held.setdefault(after.intent.symbol, _Held())
        earned: Fraction | None = None
        sale = after.intent.side is Side.SELL
        if sale and (quantity or funds or any(fees.values())):
            got = Fraction(funds) - Fraction(fees.get(quote, ZERO))
            earned = held.sell(Fraction(quantity), got) if quantity else got
        elif not sale:
            net = Fraction(quantity) - Fraction(fees.get(base, ZERO))
            held.buy(net, Fraction(funds) + Fraction(fees.get(quote, ZERO)))
        if day_of(at_ms) != self._day:
            return
        day = self._of(quote)
        for asset, paid in fees.items():
            if paid:
                day.fees[asset] = plus(day.fees.get(asset, ZERO), paid)
        if not sale:
            day.bought = plus(day.bought, funds)
            return
        day.sold = plus(day.sold, funds)
        if quantity and earned is None:
            self._unknown.add(quote)
        elif earned is not None:
            day.realized = (day.realized or ZERO) + rounded(earned, 8)

    def ended(self, ledger: SpotLedger) -> list[Day]:
        """Count orders; return the figures, by quote."""
        for order in ledger.orders.values():
            quote = order.intent.pair.partition("/")[2]
            if order.open:
                day = self._of(quote)
                day.open += 1
                day.unresolved += order.status in UNRESOLVED
            if day_of(int(order.intent.at.timestamp() * 1_000)) == self._day:
                day = self._of(quote)
                day.orders += 1
                day.filled += order.filled > 0
                day.refused += order.status is OrderStatus.REJECTED
        for quote in self._unknown:
            self.days[quote].realized = None
        return [self.days[quote] for quote in sorted(self.days)]


def days_of(path: Path, day: int, venue: str, use: str) -> list[Day]:
    """Return the figures of a day from a journal, nothing where there is none."""
    book, ledger = DayBook(day, venue, use), SpotLedger()
    if path.exists():
        journal = Journal(path, read_only=True)
        for row in journal.rows(*ORDER_ROWS):
            entry = entry_of(row.body)
            if not isinstance(entry, Update):
                ledger.apply(entry)
                continue
            order = ledger.orders[entry.intent_id]
            before = replace(order, fees=dict(order.fees))
            ledger.apply(entry)
            book.moved(before, order, entry.at_ms)
        journal.close()
    return book.ended(ledger)
