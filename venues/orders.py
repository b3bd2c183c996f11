"""The desk of one venue: wishes in, at most ONE request an intent out, and what became of it.

Order of steps, which nothing changes: rules ▶ row `intent` ▶ row `request` ▶ veto ▶ one POST ▶ row of
the answer. A row that cannot be written ends it there. What is UNKNOWN is looked for, never sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple, Protocol

from kis_realtime_trading import (
    DOUBTFUL,
    RESTING,
    BotError,
    Journal,
    KillLevel,
    NoAnswer,
    OrderAnswer,
    OrderEvent,
    OrderStatus,
    Outcome,
    Side,
    intent_id_of,
)
from venues.common import (
    Absent,
    Intent,
    Kind,
    Purpose,
    Rules,
    VBalance,
    VOrder,
    VQuote,
    client_id_of,
    day_of,
)
from venues.spot import (
    ORDER_ROWS,
    QUARANTINE_AFTER_S,
    SETTLED,
    Entry,
    Facts,
    LevelSet,
    ProofRule,
    Requested,
    SpotLedger,
    SpotLimits,
    SpotOrder,
    Update,
    absence_proved,
    entry_of,
    next_look_ms,
    refusals,
    rows_of,
    updates_of,
)
from venues.wire import Clock, LinePlan

log = logging.getLogger("kis.venues")

_E, _S = OrderEvent, OrderStatus
WORKING_LOOK_S = 5.0
MOST_PAUSE_S = 60.0  # between looks that fail, growing up to this
RAMP_DAYS, RAMP_PART = 3, Fraction(1, 10)
Veto = Callable[[], str]


class MayBeIt(NoAnswer):
    """A look saw what may be the order, and cannot tell: no proof either way."""


class OrderPort(Protocol):
    """A venue's orders. Every method is one attempt; looks and lists may be repeated inside."""

    venue: str
    account_mark: str
    proof: ProofRule
    watch_lost_ms: int  # how long a request may still arrive after its call

    async def submit(self, intent: Intent, veto: Veto) -> OrderAnswer: ...

    async def test(self, intent: Intent) -> OrderAnswer: ...

    async def cancel(self, order: SpotOrder) -> OrderAnswer: ...

    async def look(self, intent: Intent, lists: bool) -> VOrder | Absent:
        """Ask for an order; with `lists` also the lists since it was meant.

        Raises:
            MayBeIt: something like it was seen.
            NoAnswer, NotSent: nothing was proved.
        """

    async def rules(self, symbol: str) -> Rules | None: ...

    async def free(self) -> dict[str, Decimal]: ...

    async def balances(self) -> tuple[VBalance, ...]: ...

    async def set_clock(self) -> None: ...

    async def quote(self, symbol: str) -> VQuote: ...


class StreamPort(OrderPort, Protocol):
    """A port whose venue has a line that tells when something happened to the account."""

    def account_plan(self, base: str) -> LinePlan: ...


class Wish(NamedTuple):
    """What somebody wants. `cause` makes the intent: the same cause is the same order, ever."""

    symbol: str
    side: Side
    kind: Kind
    quantity: Decimal | None = None
    funds: Decimal | None = None
    price: Decimal | None = None
    purpose: Purpose = Purpose.ENTRY
    cause: str = ""
    leg: str = "entry:1"


class Refused(NamedTuple):
    """Nothing was sent and nothing may be; why, as codes."""

    codes: tuple[str, ...]


class Desk:
    """One venue, one account, one journal. One writer: everything goes through `_write`."""

    def __init__(
        self, port: OrderPort, journal: Journal, limits: SpotLimits, clock: Clock,
        tell: Callable[[str, SpotOrder], None] = lambda code, order: None, live: bool = False,
    ) -> None:  # fmt: skip
        self.port, self._journal, self._clock, self._tell = port, journal, clock, tell
        self.ledger, self._limits, self._live = SpotLedger(), limits, live
        self._posted: set[str] = set()  # of this process: a second hand beside the journal
        self._next_look: dict[str, int] = {}
        self._failures: dict[str, int] = {}  # looks in a row that had no answer
        self._calls: set[str] = set()  # intents whose call is under way
        self._read = 0  # the last row that is believed
        self.redact: Callable[[str], str] = str  # what a venue says may echo a key

    # --- journal ------------------------------------------------------------------------

    def rebuild(self, journal: Journal | None = None) -> None:
        """Take every new row in; what was under way when the program died becomes UNKNOWN or not sent.

        With a journal: go on with it, after another program had it and may have written. The lock
        of the account is held, so that nothing can be under way there.
        """
        self._journal = journal or self._journal
        self._journal.verify()
        for row in self._journal.rows(*ORDER_ROWS):
            if row.seq > self._read:
                self.ledger.apply(entry_of(row.body))
                self._read = row.seq
        now, entries = self._clock.wall_ms(), list[Entry]()
        for order in self.ledger.orders.values():
            if order.requested_ms is not None:
                self._posted.add(order.intent.intent_id)
            if order.status is _S.SUBMITTING:
                never = order.requested_ms is None
                event = _E.NOT_SENT if never else _E.NO_ANSWER
                entries.append(Update(order.intent.intent_id, event, now, note="restart"))
            elif order.status is _S.CANCEL_PENDING:
                entries.append(Update(order.intent.intent_id, _E.NO_ANSWER, now, note="restart"))
        self._write(entries)

    def _write(self, entries: Iterable[Entry]) -> None:
        """Make rows durable, then believe them. Raises JournalError: nothing may rest on them."""
        entries = list(entries)
        at = datetime.fromtimestamp(self._clock.wall_ms() / 1_000, UTC)
        self._journal.append(rows_of(entries), at)
        self._read = self._journal.last_seq
        for entry in entries:
            self.ledger.apply(entry)

    # --- placing ------------------------------------------------------------------------

    @property
    def ramped(self) -> bool:
        """Tell whether this is one of the first three days with real money."""
        today = day_of(self._clock.wall_ms())
        sent = [o for o in self.ledger.orders.values() if o.requested_ms is not None]
        days = {day_of(o.requested_ms or 0) for o in sent} - {today}
        return self._live and len(days) < RAMP_DAYS

    def limits(self) -> SpotLimits:
        """Return the limits of today: a tenth while ramped."""
        return self._limits.part(RAMP_PART) if self.ramped else self._limits

    def intent_of(self, wish: Wish, pair: str) -> Intent:
        """Return the intent of a wish: its ids are derived, so that a repeated wish is the same one."""
        at = datetime.fromtimestamp(self._clock.wall_ms() / 1_000, UTC)
        intent_id = intent_id_of("owner", at.date(), wish.symbol, wish.side, wish.cause, wish.leg)
        client_id = client_id_of(self.port.venue, self.port.account_mark, intent_id)
        return Intent(
            intent_id, client_id, self.port.venue, wish.symbol, pair, wish.side, wish.kind,
            wish.quantity, wish.funds, wish.price, wish.purpose, wish.leg, wish.cause, at,
        )  # fmt: skip

    async def judge(self, wish: Wish) -> tuple[Intent | None, tuple[str, ...]]:
        """Ask for what the rules need; return the intent and what speaks against it."""
        rules = await self.port.rules(wish.symbol)
        if rules is None:
            return None, ("unknown_market",)
        if wish.price is not None:
            wish = wish._replace(price=rules.price_for(wish.side, wish.price))
        intent = self.intent_of(wish, f"{rules.market.base}/{rules.market.quote}")
        free, quote = await self.port.free(), await self.port.quote(wish.symbol)  # freshest last
        age = (self._clock.mono_ns() - quote.seen_ns) // 1_000_000
        facts = Facts(rules, quote.bid, quote.ask, age, free, self._clock.wall_ms())
        return intent, tuple(refusals(intent, facts, self.ledger, self.limits()))

    async def place(self, wish: Wish) -> SpotOrder | Refused:
        """Send one order, once. A wish whose intent is known already sends nothing.

        Raises:
            JournalError: nothing was sent, or only the row of the answer is missing: then the order
                is looked for at the next start, and nothing more leaves for its coin.
        """
        intent, against = await self.judge(wish)
        if intent is None:
            return Refused(against)
        if known := self.ledger.orders.get(intent.intent_id):
            return known
        if against:
            return Refused(against)
        self._write([intent])
        self._calls.add(intent.intent_id)
        try:
            self._write([Requested(intent.intent_id, self._clock.wall_ms())])
            answer = await self._submit(intent)
            self._answered(intent, answer)
        finally:
            self._calls.discard(intent.intent_id)
        return self.ledger.orders[intent.intent_id]

    async def _submit(self, intent: Intent) -> OrderAnswer:
        """The one place an order leaves from."""

        def veto() -> str:
            order = self.ledger.orders[intent.intent_id]
            if intent.intent_id in self._posted or order.status is not _S.SUBMITTING:
                return "it was sent already"
            if not self._journal.has_intent(intent.intent_id) or order.requested_ms is None:
                return "it is not written down"
            if self.ledger.level >= KillLevel.ENTRIES_OFF and intent.purpose is Purpose.ENTRY:
                return "kill level"
            self._posted.add(intent.intent_id)
            return ""

        try:
            return await self.port.submit(intent, veto)
        except BotError as error:  # a port classifies its own; what escapes it is not known
            return OrderAnswer(Outcome.UNKNOWN, text=type(error).__name__)

    def _answered(self, intent: Intent, answer: OrderAnswer) -> None:
        events = {
            Outcome.ACCEPTED: _E.ACCEPTED, Outcome.REFUSED: _E.REFUSED, Outcome.NOT_SENT: _E.NOT_SENT,
            Outcome.UNKNOWN: _E.NO_ANSWER,
        }  # fmt: skip
        order, event = self.ledger.orders[intent.intent_id], events[answer.outcome]
        note = self.redact(f"{answer.code} {answer.text}".strip()[:200])
        if order.status is not _S.SUBMITTING:  # it was seen before its answer: what was seen wins
            if answer.outcome in (Outcome.REFUSED, Outcome.NOT_SENT):
                self._tell("contradiction", order)
            return
        self._write(
            [Update(intent.intent_id, event, self._clock.wall_ms(), answer.order_no, note=note)]
        )
        if event is _E.NO_ANSWER:
            self._tell("unknown", order)

    # --- cancel -------------------------------------------------------------------------

    async def cancel(self, intent_id: str) -> SpotOrder:
        """Ask for the end of a working order, once; the look that follows says what became of it."""
        order = self.ledger.orders[intent_id]
        if order.status not in RESTING:
            return order
        self._write([Update(intent_id, _E.CANCEL_SENT, self._clock.wall_ms())])
        try:
            answer = await self.port.cancel(order)
        except BotError as error:
            answer = OrderAnswer(Outcome.UNKNOWN, text=type(error).__name__)
        event = {
            Outcome.ACCEPTED: _E.ACCEPTED, Outcome.NOT_SENT: _E.NOT_SENT,
        }.get(answer.outcome, _E.NO_ANSWER)  # fmt: skip  # refused: perhaps filled; the look tells
        if order.status is _S.CANCEL_PENDING:
            self._write(
                [
                    Update(
                        intent_id, event, self._clock.wall_ms(), note=self.redact(answer.text[:200])
                    )
                ]
            )
        self._next_look[intent_id] = 0
        return order

    # --- resolving ----------------------------------------------------------------------

    def due(self) -> list[SpotOrder]:
        """Return the orders that are to be looked at now."""
        now, found = self._clock.wall_ms(), []
        for intent_id, order in self.ledger.orders.items():
            at = next_look_ms(order, self.port.watch_lost_ms)
            if at is None or intent_id in self._calls:
                continue
            if max(at, self._next_look.get(intent_id, 0)) <= now:
                found.append(order)
        return found

    async def resolve(self) -> None:
        """Look once at every order that is due."""
        for order in self.due():
            await self.look(order)

    def hint(self, client_id: str = "") -> None:
        """Hear that something happened to an order (or to any): it is looked at now. Proves nothing."""
        named = self.ledger.by_client.get(client_id) if client_id else None
        if client_id and named is None:
            return
        for order in self.ledger.open_orders():
            if named in (None, order.intent.intent_id):
                self._next_look[order.intent.intent_id] = 0

    async def look(self, order: SpotOrder) -> None:
        """Ask the venue for one order and believe what it proves. Sends no order."""
        asked, intent_id = self._clock.wall_ms(), order.intent.intent_id
        order.looks += 1
        self._next_look[intent_id] = asked + round(WORKING_LOOK_S * 1_000) * (order.open and order.status not in DOUBTFUL)  # fmt: skip
        late = order.ended_ms is not None and asked - order.ended_ms >= self.port.proof.after_ms
        try:
            seen = await self.port.look(order.intent, lists=late and order.status in DOUBTFUL)
        except BotError as error:
            log.warning("%s: look: %s", order.intent.client_id, type(error).__name__)
            self._failed(order, asked)
            self._quarantine(order, isinstance(error, MayBeIt))
            return
        self._failures.pop(intent_id, None)
        if isinstance(seen, VOrder):
            self.take(seen)
            return
        order.absents += 1
        if order.status in DOUBTFUL:
            if absence_proved(order, self.port.proof, asked):
                self._write([Update(intent_id, _E.ABSENT, self._clock.wall_ms(), note=seen.code)])
                self._tell("lost", order)
            else:
                self._quarantine(order)

    def _failed(self, order: SpotOrder, asked: int) -> None:
        """A look that failed is no look: it is tried again soon, as long as its answer can settle something."""
        late_ms, key = asked - (order.ended_ms or asked), order.intent.intent_id
        watched = order.status is _S.LOST and late_ms < 2 * self.port.watch_lost_ms
        if watched or order.status is _S.UNKNOWN:
            order.looks -= 1
            self._failures[key] = failures = self._failures.get(key, 0) + 1
            pause_s = min(WORKING_LOOK_S * failures, MOST_PAUSE_S)
            self._next_look[key] = asked + round(pause_s * 1_000)

    def _quarantine(self, order: SpotOrder, seen: bool = False) -> None:
        """Ask the owner: ten minutes proved nothing, or what was believed lost may have been `seen`."""
        now = self._clock.wall_ms()
        aged = now - (order.ended_ms or now) >= QUARANTINE_AFTER_S * 1_000
        if (order.status is _S.UNKNOWN and aged) or (order.status is _S.LOST and seen):
            code = "doubted" if order.status is _S.LOST else "quarantined"
            self._write([Update(order.intent.intent_id, _E.AMBIGUOUS, now)])
            self._tell(code, order)

    def settle(self, order: SpotOrder) -> None:
        """Believe the owner, who looked: a quarantined order was never taken. Found later it is booked."""
        update = Update(order.intent.intent_id, _E.ABSENT, self._clock.wall_ms(), note=SETTLED)
        self._write([update])

    def take(self, seen: VOrder) -> None:
        """Take a view of an order, from a look or a stream; a stranger's is left alone."""
        intent_id = self.ledger.by_client.get(seen.client_id)
        if intent_id is None:
            return
        order = self.ledger.orders[intent_id]
        before = order.status
        for update in list(updates_of(order, seen, self._clock.wall_ms())):
            self._write([update])
        if before is _S.LOST and order.status is not _S.LOST:
            self._tell("found_late", order)

    async def resolved(self, intent_id: str, seconds: float) -> SpotOrder:
        """Look until an order has come to rest or the time is over."""
        order = self.ledger.orders[intent_id]
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while order.open and loop.time() < until:
            if order in self.due():
                await self.look(order)
            await asyncio.sleep(0.25)
        return order

    def set_level(self, level: KillLevel, why: str) -> None:
        """Move the kill switch; a row, so that it outlives a restart."""
        self._write([LevelSet(level, why, self._clock.wall_ms())])

    async def obey_level(self) -> None:
        """From REDUCE_ONLY on take resting entries back."""
        if self.ledger.level >= KillLevel.REDUCE_ONLY:
            for order in self.ledger.open_orders():
                if order.intent.purpose is Purpose.ENTRY:
                    await self.cancel(order.intent.intent_id)
