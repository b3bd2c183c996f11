"""What Kiwoom's lists, notices and balances prove of an order. Pure.

Kiwoom takes no id of ours, so an order whose answer was lost is known by its likeness only:

    UNKNOWN ─┬─ one row of the day's list fits, no other could be meant, and the list says that it
             │  was entered as ours are ───────────────────────────────────▶ bound to its number
             ├─ a notice named one number that fits, and the account moved ─▶ bound to it
             ├─ in 3 complete lists in a row nothing fits, the last 180 s after the call, no notice
             │  fits, and the account did not move by its size ────────────▶ LOST (found later: adopted)
             └─ several fit, or none of this in ten minutes ───────────────▶ QUARANTINED: the owner says
    LOST ────── a row or a notice like it is seen later, and cannot be bound ─▶ QUARANTINED: the owner says

Where an order was entered (`comm_ord_tp`) is what tells ours from an equal one that the owner typed on
the same day. Its wording is learnt from rows whose numbers we know, of an earlier day if need be; before
the first of them only a wording that names the API is believed. A row that says nothing of it is bound
to nothing: the owner says (`orders settle`).

A list is complete when it was read to its end and shows every number Kiwoom ever gave us on that day (the
canary). On mock a list without one proves nothing unless the account says the same. Never sent again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from kis_realtime_trading import CLOCK_TOLERANCE_S, DOUBTFUL, KST, OrderStatus, Side
from venues.common import ZERO, Intent, Kind, OrderSeen, VOrder, minus, plus, sorted_fees
from venues.kiwoom import VENUE, FillSum, Notice, Row
from venues.spot import SpotLedger, SpotOrder

CALL_S = 15  # a row taken so soon after the decision was taken during the call
PATIENCE_MS = 5_000  # so long a notice of an equal order may be on its way before a row is bound
SETTLE_MS = (
    180_000  # a rest that vanished without a cancel may live on under a number not shown yet
)
BLIND_AFTER_MS, BLIND_LISTS = 300_000, 6  # instead of a look at the account that nobody can compare
MOVED_PART = 5  # a fifth of an order's value is what the least margin reserves
_S = OrderStatus
OWN_END = (Kind.LIMIT_IOC, Kind.SELL_AT_MARKET)  # what does not fill at once ends by itself
LOST_WINDOW_S = 600  # an order believed lost may be bound to a row taken so soon


def day_of(intent: Intent) -> date:
    """Return the day in Seoul: order numbers begin anew with it."""
    return intent.at.astimezone(KST).date()


@dataclass(slots=True)
class Search:
    """What was seen while looking for one order."""

    clean: int = 0  # complete lists in a row without a candidate


class Before(NamedTuple):
    """What was free when an order left, and what our other orders had taken by then."""

    free: Decimal
    others: Decimal


# --- likeness ---------------------------------------------------------------------------


def fits(intent: Intent, row: Row, within_s: float) -> bool:
    """Tell whether a row could be this intent: stock, side, shares, price, time; no change, no cancel.

    A row that tells no time could have been taken at any. The kind is worded in no documented way.
    """
    at = intent.at.astimezone(KST)
    later = 0.0
    if row.second is not None:
        later = row.second - (at.hour * 3_600 + at.minute * 60 + at.second)
    price = intent.price if intent.price is not None else ZERO
    unpriced = intent.price is None and "시장가" in row.kind
    return (
        row.symbol == intent.symbol
        and row.side in (intent.side, None)
        and row.quantity == intent.quantity
        and (row.price == price or unpriced)
        and not row.act
        and not row.original
        and -CLOCK_TOLERANCE_S <= later <= within_s
    )


def window_s(order: SpotOrder) -> float:
    """Return how long after its decision a row may have been taken to be this order; below 0: never.

    Refused or not sent: an equal row is the owner's own, he was told and may have tried by hand.
    """
    if order.status in DOUBTFUL or order.status is _S.SUBMITTING:
        return float("inf")
    return LOST_WINDOW_S if order.status is _S.LOST and not order.numbers else -10.0


def known_numbers(ledger: SpotLedger, day: date) -> dict[str, SpotOrder]:
    """Return our orders of a day by every number they had."""
    return {
        number: order
        for order in ledger.orders.values()
        if order.numbers and day_of(order.intent) == day
        for number in order.numbers
    }


def root_known(row: Row, rows: Mapping[str, Row], known: Collection[str]) -> bool:
    """Tell whether a row descends from an order of ours."""
    for _ in range(len(rows) + 1):
        if row.number in known or row.original in known:
            return True
        if row.original not in rows:
            return False
        row = rows[row.original]
    return False


def ways_of(rows: Mapping[str, Row], known: Collection[str]) -> set[str]:
    """Return how a list words where our own orders were entered."""
    own = (rows[number] for number in known if number in rows)
    return {row.entered for row in own if row.entered and not row.original}


def strangers(rows: Mapping[str, Row], known: Mapping[str, SpotOrder], ways: set[str]) -> list[Row]:
    """Return the rows of nobody: not ours by number or descent, nor entered by another way than ours.

    Where an order was entered has no documented wording: a way is foreign only when orders of ours were
    seen, and all had another one.
    """
    found = [row for row in rows.values() if not root_known(row, rows, known)]
    return [row for row in found if not row.entered or not ways or row.entered in ways]


def row_of(notice: Notice) -> Row:
    """Return what a notice says of an order nobody knows as a row."""
    return Row(
        notice.number, notice.original, notice.symbol, notice.side, notice.quantity, notice.price,
        "", notice.filled, notice.amount, notice.rest, notice.second, "", 0, notice.refused,
    )  # fmt: skip


class Verdict(NamedTuple):
    """What a list says of an order that is looked for."""

    bound: Row | None
    unclear: str  # why it proves nothing, "" when nothing fits


def entered_by_us(row: Row, ways: Collection[str]) -> bool:
    """Tell whether a list says that a row was entered the way our orders are."""
    return row.entered in ways if ways else "API" in row.entered.upper()


def judge(
    order: SpotOrder, free: Iterable[Row], ledger: SpotLedger, asked_ms: int, ways: Collection[str] = ()
) -> Verdict:  # fmt: skip
    """Judge the rows of nobody for one order without a number."""
    rivals = [
        other
        for other in ledger.orders.values()
        if other is not order
        and not other.numbers
        and other.intent.symbol == order.intent.symbol
        and day_of(other.intent) == day_of(order.intent)
    ]
    found = [row for row in free if fits(order.intent, row, window_s(order))]
    near = [row for row in found if fits(order.intent, row, CALL_S)]
    if len(near) == 1 and (len(found) > 1 or rivals):
        found = near
    if not found:
        return Verdict(None, "")
    if len(found) > 1:
        return Verdict(None, "equal orders: " + ", ".join(sorted(row.number for row in found)))
    (row,) = found
    if not entered_by_us(row, ways):
        said = row.entered or "not said"
        return Verdict(None, f"{row.number} may be the owner's: where it was entered is {said}")
    if any(_claims(other, row, near) for other in rivals):
        return Verdict(None, f"{row.number} may be another order of ours")
    if asked_ms - int(order.intent.at.timestamp() * 1_000) < PATIENCE_MS:
        return Verdict(None, "notices of an equal order may be on their way")
    return Verdict(row, "")


def _claims(other: SpotOrder, row: Row, near: list[Row]) -> bool:
    """Tell whether another order of ours has as good a claim to a row."""
    if row in near:  # taken during our call: only one whose call that was as well
        return other.status is not _S.REJECTED and fits(
            other.intent, row, min(CALL_S, window_s(other))
        )
    return fits(other.intent, row, window_s(other))


# --- the account as a witness -----------------------------------------------------------


def footprint(ledger: SpotLedger, order: SpotOrder) -> Decimal:
    """Return what our other orders have taken of what this one would take: won, or shares of its stock."""
    total, intent = ZERO, order.intent
    for other in ledger.orders.values():
        if other is order:
            continue
        buys, theirs = other.intent.side is Side.BUY, other.intent
        if intent.side is Side.BUY:
            moved = other.filled_funds if buys else other.filled_funds.copy_negate()
            total = plus(total, moved, other.reserve, *other.fees.values())
        elif theirs.symbol == intent.symbol:
            rest = minus(theirs.quantity or ZERO, other.filled) if other.open and not buys else ZERO
            total = plus(total, other.filled.copy_negate() if buys else other.filled, rest)
    return total


def moved(order: SpotOrder, before: Before, free: Decimal, others: Decimal) -> bool:
    """Tell whether the account fell by what no other order of ours explains, as this one would make it."""
    intent = order.intent
    quantity = intent.quantity or ZERO
    value = quantity if intent.side is Side.SELL else (intent.price or ZERO) * quantity
    fall = minus(minus(before.free, free), minus(others, before.others))
    return fall * MOVED_PART >= value


# --- an order whose number is known -----------------------------------------------------


class Chain(NamedTuple):
    """All numbers of one order and what lists say of them together."""

    numbers: tuple[str, ...]  # the newest last
    filled: int
    amount: int
    fees: int
    rest: int
    price: int  # of the newest number
    ended: bool  # a cancel, a refusal or its own kind says why nothing rests
    rejected: bool


def chain_of(
    numbers: list[str], rows: Mapping[str, Row], fills: Mapping[str, FillSum], own_end: bool
) -> Chain | None:
    """Add up an order over its changes; None: the list does not show its first number.

    What rests is the least of what the row says and what fills, cancels and changes leave over, as a
    cancelled order may keep its old rest in the list.
    """
    if not any(number in rows for number in numbers):
        return None
    names = [number for number in numbers if number in rows]
    for row in sorted(rows.values(), key=lambda row: row.number):
        if row.act != "cancel" and row.original in names and row.number not in names:
            names.append(row.number)
    filled = amount = fees = rest = 0
    ended = own_end
    for number in names:
        row, told = rows[number], fills.get(number)
        shares = max(row.filled, told.quantity if told else 0)
        exact = told is not None and told.quantity == shares
        amount += told.amount if told is not None and exact else row.amount
        fees += told.fees if told is not None else 0
        children = [each for each in rows.values() if each.original == number]
        taken = sum(each.confirmed for each in children if each.act == "cancel")
        taken += sum(each.quantity for each in children if each.act != "cancel" and each.number in names)  # fmt: skip
        left = 0 if row.rejected else max(0, row.quantity - shares - taken)
        filled, rest = filled + shares, rest + min(row.rest, left)
        ended = ended or row.rejected or any(each.act == "cancel" for each in children)
    rejected = all(rows[number].rejected for number in names)
    return Chain(tuple(names), filled, amount, fees, rest, rows[names[-1]].price, ended, rejected)


def view_of(order: SpotOrder, chain: Chain, over: bool, settled: bool) -> VOrder:
    """Return an order as the lists show it. `over`: its day has ended. `settled`: long enough unchanged."""
    intent = order.intent
    quantity = int(intent.quantity or 0)
    seen = OrderSeen.WORKING
    if chain.filled >= quantity:
        seen = OrderSeen.FILLED
    elif over:
        seen = OrderSeen.EXPIRED
    elif chain.rejected and not chain.filled:
        seen = OrderSeen.REJECTED
    elif not chain.rest and (chain.ended or settled):
        seen = OrderSeen.EXPIRED if intent.kind in OWN_END else OrderSeen.CANCELLED
    return VOrder(
        VENUE, intent.symbol, intent.client_id, chain.numbers[-1], seen, intent.side,
        intent.quantity, None, Decimal(chain.filled), Decimal(chain.amount),
        sorted_fees({"KRW": Decimal(chain.fees)}), True, None, seen.value,
    )  # fmt: skip


def is_over(intent: Intent, now: datetime) -> bool:
    """Tell whether the day of an order has ended: no order outlives it."""
    return now.astimezone(KST).date() > day_of(intent)
