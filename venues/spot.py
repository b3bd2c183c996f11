"""The ledger of spot orders, the proof that an order does not exist, the rules before the wire. Pure.

What may be believed of an order whose answer was lost:

    row intent ▶ row request ▶ ONE post ▶ row answer
                     │
                     ├─ accepted, refused, not sent: said so by the venue or before the first byte
                     └─ anything else ─▶ UNKNOWN ─▶ looked for by its client id, never sent again
                                             ├─ found ─▶ working, filled, ended: booked
                                             ├─ absent often enough, long enough after the call,
                                             │  and in every list ─▶ LOST (found later: adopted, told)
                                             └─ neither in ten minutes ─▶ QUARANTINED: the owner says

A journal without the row `request` proves that nothing was sent. Only cumulative figures are booked:
the difference to what was booked before; a smaller one is ignored, a repeated one books nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pydantic import TypeAdapter

from kis_realtime_trading import (
    DOUBTFUL,
    NEVER_EXISTED,
    OPEN_STATUSES,
    RESTING,
    TRANSITIONS,
    UNRESOLVED,
    IllegalTransition,
    JournalError,
    KillLevel,
    OrderEvent,
    OrderStatus,
    Side,
)
from venues.common import (
    ZERO,
    Intent,
    Kind,
    OrderSeen,
    Purpose,
    Rules,
    VOrder,
    day_of,
    minus,
    plus,
    times,
)

LOOKS_AFTER_S = (1, 2, 4, 8, 15, 30, 60, 90, 120, 180, 300, 600)
QUARANTINE_AFTER_S = 600
SETTLED = "the owner says that it was never taken"
_S, _E = OrderStatus, OrderEvent
ENDS = {
    OrderSeen.FILLED: _E.FILLED, OrderSeen.CANCELLED: _E.CANCELLED, OrderSeen.EXPIRED: _E.EXPIRED,
    OrderSeen.REJECTED: _E.REJECTED,
}  # fmt: skip
FIRST_SEEN = NEVER_EXISTED | DOUBTFUL
# As the bot's, and: what may be an order that was believed lost puts it in doubt again.
MOVES = {**TRANSITIONS, _S.LOST: {**TRANSITIONS[_S.LOST], _E.AMBIGUOUS: _S.QUARANTINED}}


# --- rows -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Requested:
    """The request of this intent leaves now; it may arrive from here on."""

    intent_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Update:
    """One event of one order; filled, filled_funds and fees are cumulative, None: not said."""

    intent_id: str
    event: OrderEvent
    at_ms: int
    order_id: str = ""
    filled: Decimal | None = None
    filled_funds: Decimal | None = None
    fees: tuple[tuple[str, Decimal], ...] | None = None
    note: str = ""
    price: Decimal | None = None  # of a change: what was asked for, or what holds now


@dataclass(frozen=True, slots=True)
class LevelSet:
    """The kill switch was moved."""

    level: KillLevel
    why: str
    at_ms: int


Entry = Intent | Requested | Update | LevelSet
_READERS: dict[str, TypeAdapter[Any]] = {
    each.__name__: TypeAdapter(each) for each in (Intent, Requested, Update, LevelSet)
}
ROW_KINDS = {Intent: "intent", Requested: "request", Update: "update", LevelSet: "level"}
ORDER_ROWS = tuple(ROW_KINDS.values())


def entry_of(body: str) -> Entry:
    """Turn the body of a row back into its entry. Raises JournalError."""
    try:
        data = json.loads(body)
        entry: Entry = _READERS[data.pop("type")].validate_python(data)
        return entry
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise JournalError(f"a row of an order cannot be read: {error}") from None


# --- the ledger -------------------------------------------------------------------------


@dataclass
class SpotOrder:
    """What is known of one order."""

    intent: Intent
    status: OrderStatus = OrderStatus.SUBMITTING
    order_id: str = ""
    requested_ms: int | None = None
    ended_ms: int | None = None  # when its call ended: looks count from here
    filled: Decimal = ZERO
    filled_funds: Decimal = ZERO
    fees: dict[str, Decimal] = field(default_factory=dict)
    note: str = ""
    absents: int = 0  # looks since the call that said "no such order"
    looks: int = 0
    numbers: list[str] = field(
        default_factory=list
    )  # every number it had; a change gives a new one
    price: Decimal | None = None  # what a change asked for; None: as it was meant
    asked_price: Decimal | None = None  # of a change that is not settled

    @property
    def open(self) -> bool:
        """Tell whether it may still fill."""
        return self.status in OPEN_STATUSES

    @property
    def reserve(self) -> Decimal:
        """Return the money that its open rest may still take, 0 for a sell."""
        intent = self.intent
        if intent.side is Side.SELL or not self.open:
            return ZERO
        if intent.funds is not None:
            return max(ZERO, minus(intent.funds, self.filled_funds))
        assert intent.price is not None and intent.quantity is not None
        price = max(self.price or intent.price, self.asked_price or ZERO)
        return times(price, max(ZERO, minus(intent.quantity, self.filled)))


class SpotLedger:
    """Orders and what they moved. It changes only by apply(entry); rows rebuild it."""

    def __init__(self) -> None:
        self.orders: dict[str, SpotOrder] = {}  # by intent id
        self.by_client: dict[str, str] = {}
        self.moved: dict[str, Decimal] = {}  # asset -> what our orders added or took
        self.level = KillLevel.ACTIVE
        self.strange: list[str] = []  # contradictions, to be told

    def apply(self, entry: Entry) -> None:
        """Take an entry in. Raises IllegalTransition; a fill that came with it is booked all the same."""
        if isinstance(entry, Intent):
            self.orders[entry.intent_id] = SpotOrder(entry)
            self.by_client[entry.client_id] = entry.intent_id
        elif isinstance(entry, Requested):
            self.orders[entry.intent_id].requested_ms = entry.at_ms
        elif isinstance(entry, LevelSet):
            self.level = entry.level
        else:
            self._update(self.orders[entry.intent_id], entry)

    def _update(self, order: SpotOrder, update: Update) -> None:
        self._book(order, update)
        order.order_id = update.order_id or order.order_id
        if update.order_id and update.order_id not in order.numbers:
            order.numbers.append(update.order_id)
        order.note = update.note or order.note
        if order.status is _S.SUBMITTING:
            order.ended_ms = update.at_ms
        after = MOVES[order.status].get(update.event)
        if after is None:
            raise IllegalTransition(
                f"{order.intent.client_id}: {update.event} while {order.status}"
            )
        if update.event is _E.REPLACE_SENT:
            order.asked_price = update.price
        elif update.event is _E.REPLACED:
            order.price, order.asked_price = update.price or order.asked_price, None
        elif after in RESTING and order.status not in RESTING:
            order.asked_price = None  # the change was not taken
        partly = after is _S.WORKING and order.filled > 0
        order.status = _S.PARTIAL if partly else after

    def _book(self, order: SpotOrder, update: Update) -> None:
        """Book what is new in cumulative figures: the difference, never less than nothing."""
        base, _, quote = order.intent.pair.partition("/")
        buys = order.intent.side is Side.BUY
        for asset, total in update.fees or ():
            if (more := minus(total, order.fees.get(asset, ZERO))) > 0:
                order.fees[asset] = total
                self._move(asset, more.copy_negate())
        if update.filled is not None and (more := minus(update.filled, order.filled)) > 0:
            order.filled = update.filled
            self._move(base, more if buys else more.copy_negate())
        funds = update.filled_funds
        if funds is not None and (more := minus(funds, order.filled_funds)) > 0:
            order.filled_funds = funds
            self._move(quote, more.copy_negate() if buys else more)

    def _move(self, asset: str, amount: Decimal) -> None:
        self.moved[asset] = plus(self.moved.get(asset, ZERO), amount)

    def open_orders(self) -> list[SpotOrder]:
        """Return the orders that may still fill."""
        return [order for order in self.orders.values() if order.open]

    def unresolved(self, symbol: str) -> bool:
        """Tell whether an order of this market may be in the world without our knowing how."""
        return any(
            o.intent.symbol == symbol and o.status in UNRESOLVED for o in self.orders.values()
        )

    def invested(self, symbol: str) -> Decimal:
        """Return the money in a market: buys less sells, never below 0, and what open buys may take."""
        total, waiting = ZERO, ZERO
        for order in self.orders.values():
            if order.intent.symbol == symbol:
                buys = order.intent.side is Side.BUY
                total = plus(
                    total, order.filled_funds if buys else order.filled_funds.copy_negate()
                )
                waiting = plus(waiting, order.reserve)
        return plus(max(ZERO, total), waiting)

    def bought_on(self, day: int) -> Decimal:
        """Return the money of the buys decided on a day: filled, or still able to fill."""
        total = ZERO
        for order in self.orders.values():
            at = day_of(int(order.intent.at.timestamp()) * 1_000)
            if at == day and order.intent.side is Side.BUY:
                total = plus(total, order.filled_funds, order.reserve)
        return total


def updates_of(order: SpotOrder, seen: VOrder, at_ms: int) -> Iterator[Update]:
    """Return what a view of an order says that is new, in order. Nothing for what is known."""
    intent_id = order.intent.intent_id
    status = order.status
    if status is _S.SUBMITTING:
        yield Update(intent_id, _E.ACCEPTED, at_ms, seen.order_id, note="seen before its answer")
        status = _S.WORKING
    elif status in FIRST_SEEN and status is not _S.REJECTED:
        yield Update(intent_id, _E.FOUND, at_ms, seen.order_id)
        status = _S.WORKING
    elif status is _S.REJECTED and not seen.filled and seen.seen is OrderSeen.REJECTED:
        return
    elif status is _S.REJECTED:
        yield Update(intent_id, _E.FOUND, at_ms, seen.order_id, note="refused, yet it exists")
        status = _S.WORKING
    more_funds = seen.filled_funds is not None and seen.filled_funds > order.filled_funds
    more_fees = any(paid > order.fees.get(asset, ZERO) for asset, paid in seen.fees)
    if seen.filled > order.filled or more_funds or more_fees:
        figures = (seen.order_id, seen.filled, seen.filled_funds, seen.fees)
        if status is _S.FILLED:
            return
        yield Update(intent_id, _E.FILL, at_ms, *figures)
    end = ENDS.get(seen.seen)
    if end is None:
        if seen.seen is OrderSeen.WORKING and status in (_S.CANCEL_PENDING, _S.CANCEL_UNKNOWN):
            yield Update(intent_id, _E.STILL_WORKING, at_ms)
        return
    if status in OPEN_STATUSES and (seen.fees_known or not seen.filled):  # else: at the next look
        yield Update(intent_id, end, at_ms, note=seen.raw_state)


@dataclass(frozen=True, slots=True)
class ProofRule:
    """When "no such order" is believed: so many looks, the last so long after the call ended."""

    looks: int
    after_ms: int


def absence_proved(order: SpotOrder, rule: ProofRule, asked_ms: int) -> bool:
    """Tell whether the look that began at `asked_ms` proves that the order does not exist.

    The caller has counted it in `absents`, and has found nothing in the venue's lists either.
    """
    ended = order.ended_ms
    return ended is not None and order.absents >= rule.looks and asked_ms - ended >= rule.after_ms


def next_look_ms(order: SpotOrder, watch_lost_ms: int) -> int | None:
    """Return when an order is to be looked at next, None when nobody need look.

    A doubtful order on a growing scale after its call; one at work every few seconds; one believed
    lost as long as a late request may still arrive.
    """
    if order.ended_ms is None or (order.status is _S.LOST and order.note == SETTLED):
        return None
    if order.status in DOUBTFUL or order.status is _S.LOST:
        at = LOOKS_AFTER_S[order.looks] if order.looks < len(LOOKS_AFTER_S) else None
        if order.status is _S.LOST and (at is None or at * 1_000 > watch_lost_ms):
            return None
        later = LOOKS_AFTER_S[-1] * (order.looks - len(LOOKS_AFTER_S) + 2)
        return order.ended_ms + 1_000 * (later if at is None else at)
    return 0 if order.open else None


# --- rules before the wire --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpotLimits:
    """What may leave at most, in the quote currency."""

    max_order: Decimal
    max_coin: Decimal
    max_total: Decimal
    max_day: Decimal
    orders_a_minute: int
    collar_pct: Decimal

    def part(self, share: Fraction) -> SpotLimits:
        """Return the money limits of the first days, a part of the whole."""
        part = Decimal(share.numerator) / Decimal(share.denominator)
        return replace(
            self, max_order=times(self.max_order, part), max_coin=times(self.max_coin, part),
            max_total=times(self.max_total, part), max_day=times(self.max_day, part),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at the moment of an order."""

    rules: Rules | None
    bid: Decimal
    ask: Decimal
    quote_age_ms: int
    free: Mapping[str, Decimal]
    now_ms: int


QUOTE_AGE_MS = 3_000
SELL_SLACK = Decimal("0.95")  # a market sell is valued at the best bid less 5 %


def value_of(intent: Intent, facts: Facts) -> Decimal:
    """Return the money that an order moves at most (a buy) or is worth (a sell)."""
    if intent.funds is not None:
        return intent.funds
    assert intent.quantity is not None
    price = intent.price if intent.price is not None else times(facts.bid, SELL_SLACK)
    return times(price, intent.quantity)


def refusals(intent: Intent, facts: Facts, ledger: SpotLedger, limits: SpotLimits) -> list[str]:
    """Return the codes of everything that speaks against an order; empty: it may leave."""
    rules = facts.rules
    if rules is None:
        return ["unknown_market"]
    found = [] if rules.tradable else ["not_tradable"]
    if facts.quote_age_ms > QUOTE_AGE_MS or not 0 < facts.bid <= facts.ask:
        return [*found, "no_quote"]
    found += _grid(intent, rules) + _size(intent, facts, rules)
    if ledger.unresolved(intent.symbol):
        found.append("unresolved")
    recent = [o for o in ledger.orders.values() if facts.now_ms - (o.requested_ms or 0) < 60_000]
    if len(recent) >= limits.orders_a_minute and intent.purpose is Purpose.ENTRY:
        found.append("orders_a_minute")
    if intent.purpose is Purpose.ENTRY and ledger.level >= KillLevel.ENTRIES_OFF:
        found.append("kill_level")
    found += _balance(intent, facts, rules, ledger)
    if intent.side is Side.BUY:
        found += _money(intent, facts, ledger, limits)
    return found + _band(intent, facts, limits)


def _grid(intent: Intent, rules: Rules) -> list[str]:
    found = []
    if intent.price is not None:
        if Fraction(intent.price) % Fraction(rules.tick_at(intent.price) or intent.price):
            found.append("tick")
        if rules.min_price and intent.price < rules.min_price:
            found.append("min_price")
        if rules.max_price and intent.price > rules.max_price:
            found.append("max_price")
    step = rules.step
    if intent.kind is Kind.SELL_AT_MARKET and rules.market_step:
        step = rules.market_step
    if intent.quantity is not None and step and Fraction(intent.quantity) % Fraction(step):
        found.append("step")
    if (
        intent.funds is not None
        and rules.funds_step
        and Fraction(intent.funds) % Fraction(rules.funds_step)
    ):
        found.append("funds_step")
    return found


def _size(intent: Intent, facts: Facts, rules: Rules) -> list[str]:
    found, value = [], value_of(intent, facts)
    if intent.quantity is not None:
        most = rules.max_quantity
        if intent.kind is Kind.SELL_AT_MARKET and rules.market_max:
            most = min(each for each in (most, rules.market_max) if each)
        if intent.quantity < rules.min_quantity:
            found.append("min_quantity")
        if most and intent.quantity > most:
            found.append("max_quantity")
    if value < rules.min_notional:
        found.append("min_notional")
    if rules.max_notional and value > rules.max_notional:
        found.append("max_notional")
    return found


def _balance(intent: Intent, facts: Facts, rules: Rules, ledger: SpotLedger) -> list[str]:
    """Free at the venue, less what unresolved orders may have taken already."""
    market = rules.market
    if intent.side is Side.SELL:
        free = facts.free.get(market.base, ZERO)
        for order in ledger.orders.values():
            if order.intent.side is Side.SELL and order.intent.symbol == intent.symbol and order.status in UNRESOLVED:  # fmt: skip
                free = minus(free, minus(order.intent.quantity or ZERO, order.filled))
        return [] if intent.quantity is not None and intent.quantity <= free else ["balance"]
    free = facts.free.get(market.quote, ZERO)
    for order in ledger.orders.values():
        if order.status in UNRESOLVED and order.intent.pair.endswith("/" + market.quote):
            free = minus(free, order.reserve)
    needed = times(value_of(intent, facts), plus(Decimal(1), rules.fee))
    return [] if needed <= free else ["balance"]


def _money(intent: Intent, facts: Facts, ledger: SpotLedger, limits: SpotLimits) -> list[str]:
    value, symbols = value_of(intent, facts), {o.intent.symbol for o in ledger.orders.values()}
    total = plus(*(ledger.invested(symbol) for symbol in symbols))
    tests = (
        ("max_order", value, limits.max_order),
        ("max_coin", plus(ledger.invested(intent.symbol), value), limits.max_coin),
        ("max_total", plus(total, value), limits.max_total),
        ("max_day", plus(ledger.bought_on(day_of(facts.now_ms)), value), limits.max_day),
    )
    return [code for code, found, most in tests if found > most]


def _band(intent: Intent, facts: Facts, limits: SpotLimits) -> list[str]:
    """A price must stand near the market, on the side where it would be dear."""
    if intent.price is None:
        return []
    collar = Fraction(limits.collar_pct) / 100
    if intent.side is Side.BUY:
        dear = Fraction(intent.price) > Fraction(facts.ask) * (1 + collar)
    else:
        dear = Fraction(intent.price) < Fraction(facts.bid) * (1 - collar)
    return ["price_band"] if dear else []


def dust(quantity: Decimal, rules: Rules, bid: Decimal) -> Decimal:
    """Return what of a holding cannot be sold: below a step, or all of it below a minimum."""
    step = rules.market_step or rules.step
    whole = quantity
    if step:
        count = Fraction(quantity) // Fraction(step)
        whole = times(step, Decimal(count))
    too_small = whole < rules.min_quantity or times(whole, bid, SELL_SLACK) < rules.min_notional
    return quantity if too_small else minus(quantity, whole)


def rows_of(entries: Iterable[Entry]) -> list[tuple[str, str, Any]]:
    """Return entries as rows of a journal."""
    return [
        (ROW_KINDS[type(each)], getattr(each, "intent_id", ""), each) for each in entries
    ]  # fmt: skip
