"""The words of all venues: amounts, events, rules of a market, intents and what is seen of them.

Pure: no network, files, clock, random or logging. A number goes from text to Decimal to text; no
float ever holds a price, a quantity or money. Times: `ts_ms` is the exchange's (None when it gives
none), `seen_ns` is monotonic and ours.
"""

from __future__ import annotations

import decimal
import enum
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from kis_realtime_trading import BadData, Side

MOST_DIGITS, MOST_EXPONENT = 40, 18
# 8 + 12 digits of a quantity times the same of a price are 40; a sum of many stays below 60.
EXACT = decimal.Context(prec=60, traps=[decimal.Inexact, decimal.InvalidOperation])
ZERO = Decimal(0)
_USUAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,12})?", re.ASCII)


# --- amounts ----------------------------------------------------------------------------


def amount(value: object) -> Decimal:
    """Read a number of a venue, a text or a JSON number; one number has one spelling afterwards.

    Raises:
        BadData: a float, no number, not finite, or more digits than a venue can mean.
    """
    if type(value) is str and _USUAL.fullmatch(value):  # nearly every number of a stream
        return Decimal(value.rstrip("0").rstrip(".") if "." in value else value)
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise BadData(f"no amount: a {type(value).__name__}")
    if isinstance(value, str) and not (value.isascii() and 0 < len(value) <= 64):
        raise BadData("no amount: a text that is too long, empty or not ASCII")
    try:
        number = Decimal(value)
    except decimal.InvalidOperation:
        raise BadData("no amount: a text that is no number") from None
    if not number.is_finite():
        raise BadData("no amount: not finite")
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    while len(digits) > 1 and digits[-1] == 0:
        digits, exponent = digits[:-1], exponent + 1
    if digits == (0,):
        return ZERO
    if len(digits) > MOST_DIGITS or not -MOST_EXPONENT <= exponent <= MOST_EXPONENT:
        raise BadData("no amount: too many digits")
    if exponent > 0:  # 1E+2 and 100 are one number: the second spelling
        digits, exponent = (*digits, *(0 for _ in range(exponent))), 0
    return Decimal((sign, digits, exponent))


def plain(number: Decimal) -> str:
    """Return the text of a number for a wire: never an exponent."""
    return format(number, "f")


def times(*numbers: Decimal) -> Decimal:
    """Multiply exactly; raises decimal.Inexact rather than rounding."""
    product = Decimal(1)
    for number in numbers:
        product = EXACT.multiply(product, number)
    return amount(product) if product else ZERO


def plus(*numbers: Decimal) -> Decimal:
    """Add exactly."""
    total = ZERO
    for number in numbers:
        total = EXACT.add(total, number)
    return amount(total) if total else ZERO


def minus(one: Decimal, other: Decimal) -> Decimal:
    """Subtract exactly."""
    return plus(one, other.copy_negate())


def multiple(number: Decimal, step: Decimal, up: bool = False) -> Decimal:
    """Return the nearest multiple of the step that is not above (below) the number."""
    if step <= 0:
        return number
    whole = Fraction(number) / Fraction(step)
    count = -(-whole.numerator // whole.denominator) if up else whole.numerator // whole.denominator
    return times(step, Decimal(count))


def is_multiple(number: Decimal, step: Decimal) -> bool:
    """Tell whether a number stands on the grid of the step; a step of 0 is no grid."""
    return step <= 0 or (Fraction(number) / Fraction(step)).denominator == 1


def rounded(number: Fraction, places: int) -> Decimal:
    """Return a number for show, rounded half to even once, with that many places."""
    return Decimal(round(number * 10**places)).scaleb(-places, EXACT)


def parse_json(text: str | bytes) -> Any:
    """Read JSON: ints stay ints, everything with a point becomes Decimal. Raises BadData."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BadData("no JSON") from None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


class PartlyBad(BadData):
    """A frame of several entries of which some cannot be read; `events` are those of the others."""

    def __init__(self, text: str, events: list[Any]) -> None:
        super().__init__(text)
        self.events = events


def read_each(entries: Iterable[Any], read: Callable[[Any], list[Any]]) -> list[Any]:
    """Read entries one by one: an odd one takes nothing with it. Raises PartlyBad when there was one."""
    events: list[Any] = []
    bad: list[BadData] = []
    for each in entries:
        try:
            events += read(each)
        except BadData as error:
            bad.append(error)
    if bad:
        raise PartlyBad(f"{len(bad)} of its entries: {bad[0]}", events)
    return events


def delivering(
    read: Callable[[bytes, int], list[Any]], take: Callable[[Any], None]
) -> Callable[[bytes, int], None]:
    """Return what hands each event of a frame on; what cannot be read is raised after the others went."""

    def deliver(raw: bytes, seen_ns: int) -> None:
        try:
            events = read(raw, seen_ns)
        except PartlyBad as error:
            for event in error.events:
                take(event)
            raise
        for event in events:
            take(event)

    return deliver


def field_of(record: Any, *names: str) -> Any:
    """Return the first of these fields that is there and not null. Raises BadData."""
    if isinstance(record, dict):
        for name in names:
            if record.get(name) is not None:
                return record[name]
    raise BadData(f"{names[0]} is missing")


def records(value: Any) -> list[dict[str, Any]]:
    """Return a list of objects. Raises BadData."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise BadData("no list of objects")
    return value


def told(record: Any, *names: str) -> Decimal | None:
    """Return a figure that a venue need not tell, None where it does not; an odd one is refused as ever."""
    there = any(record.get(name) is not None for name in names)
    return amount(field_of(record, *names)) if there else None


def text_field(record: Any, *names: str) -> str:
    """Return a field that must be a text (or a whole number, as text)."""
    value = field_of(record, *names)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadData(f"{names[0]} is no text")
    return str(value)


def int_field(record: Any, *names: str) -> int:
    """Return a field that must be a whole number, as a number or as digits."""
    value = field_of(record, *names)
    if isinstance(value, bool):
        raise BadData(f"{names[0]} is no whole number")
    number = amount(value)
    if number != number.to_integral_value():
        raise BadData(f"{names[0]} is no whole number")
    return int(number)


# --- what a venue says ------------------------------------------------------------------


class Market(NamedTuple):
    """One pair as the venue lists it; base and quote are read from its list, never cut out."""

    venue: str
    symbol: str
    base: str
    quote: str


class VTrade(NamedTuple):
    """An execution of the market. `snapshot`: the state at subscription, triggers nothing."""

    venue: str
    symbol: str
    price: Decimal
    quantity: Decimal
    taker: Side | None
    trade_id: str
    ts_ms: int | None
    seen_ns: int
    snapshot: bool = False


class VQuote(NamedTuple):
    """Best bid and ask."""

    venue: str
    symbol: str
    bid: Decimal
    bid_size: Decimal
    ask: Decimal
    ask_size: Decimal
    ts_ms: int | None
    seen_ns: int


class VBook(NamedTuple):
    """A whole order book: (price, size) pairs, best first."""

    venue: str
    symbol: str
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    ts_ms: int | None
    seen_ns: int


class VTicker(NamedTuple):
    """Figures of a day. None where the venue does not say; 24 h and since 09:00 never mixed."""

    venue: str
    symbol: str
    last: Decimal
    last_ts_ms: int | None
    change_24h_pct: Decimal | None
    change_day_pct: Decimal | None
    high: Decimal | None
    low: Decimal | None
    base_24h: Decimal | None
    quote_24h: Decimal | None
    seen_ns: int
    trading: bool = True
    caution: str = ""


class VBar(NamedTuple):
    """Open, high, low, close over [start_ms, end_ms)."""

    venue: str
    symbol: str
    start_ms: int
    end_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    base: Decimal
    quote: Decimal | None
    closed: bool


class FeedChange(NamedTuple):
    """A line to a venue came up or went down."""

    venue: str
    line: str
    up: bool
    why: str


class Hint(NamedTuple):
    """Something happened to an order (its client id) or to the balances (""): ask. Proves nothing."""

    client_id: str


class OrderSeen(enum.StrEnum):
    """What a venue says of an order, in one set of words for all of them."""

    WORKING = "working"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # its end by its own kind: rest of IOC, of a market order, self-trade
    REJECTED = "rejected"
    STRANGE = "strange"  # a word we do not know: told, quarantined


class VOrder(NamedTuple):
    """One order as the venue shows it; figures are cumulative."""

    venue: str
    symbol: str
    client_id: str
    order_id: str
    seen: OrderSeen
    side: Side
    quantity: Decimal | None
    funds: Decimal | None
    filled: Decimal
    filled_funds: Decimal | None  # None: the venue did not say it here
    fees: tuple[tuple[str, Decimal], ...]  # (asset, amount) in the order of the asset's name
    fees_known: bool
    ts_ms: int | None
    raw_state: str


class VBalance(NamedTuple):
    """What an account holds of one asset."""

    asset: str
    free: Decimal
    locked: Decimal


class Absent(NamedTuple):
    """The venue says: no such order, as of now. Alone no proof."""

    code: str


# --- rules of a market ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rules:
    """What a venue asks of an order in one market. 0 or None: no such rule."""

    market: Market
    ticks: tuple[tuple[Decimal, Decimal], ...]  # (from this price on, tick), highest first
    step: Decimal
    min_quantity: Decimal = ZERO
    max_quantity: Decimal = ZERO
    market_step: Decimal = ZERO  # for sells at market; 0: as `step`
    market_max: Decimal = ZERO
    funds_step: Decimal = ZERO
    min_notional: Decimal = ZERO
    max_notional: Decimal = ZERO
    min_price: Decimal = ZERO
    max_price: Decimal = ZERO
    fee: Decimal = ZERO  # the dearer of maker and taker, as a part of one
    tradable: bool = True

    def tick_at(self, price: Decimal) -> Decimal:
        """Return the price step that holds at a price."""
        for start, tick in self.ticks:
            if price >= start:
                return tick
        return self.ticks[-1][1] if self.ticks else ZERO

    def price_for(self, side: Side, price: Decimal) -> Decimal:
        """Put a price on the grid, never for the worse: a buy goes down, a sell up."""
        return multiple(price, self.tick_at(price), up=side is Side.SELL)


# --- what we mean to do -----------------------------------------------------------------


class Kind(enum.StrEnum):
    """Kinds of orders. There is no market buy by quantity: its cost has no bound."""

    LIMIT = "limit"
    LIMIT_IOC = "limit ioc"
    POST_ONLY = "post only"
    BUY_FOR = "buy for"  # market buy for an amount of money
    SELL_AT_MARKET = "sell at market"


class Purpose(enum.StrEnum):
    """Why an order is sent. Exits may use what is kept free, and pass the kill levels."""

    ENTRY = "entry"
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class Intent:
    """One wish, decided once. It is written down before anything is sent, and sent once."""

    intent_id: str
    client_id: str
    venue: str
    symbol: str
    pair: str  # base/quote, as the venue's list says
    side: Side
    kind: Kind
    quantity: Decimal | None
    funds: Decimal | None
    price: Decimal | None
    purpose: Purpose
    leg: str
    signal: str
    at: datetime
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for_money = self.kind is Kind.BUY_FOR
        good = (self.funds is not None) == for_money and (self.quantity is None) == for_money
        priced = self.kind in (Kind.LIMIT, Kind.LIMIT_IOC, Kind.POST_ONLY)
        good = good and (self.price is not None) == priced
        good = good and not (for_money and self.side is not Side.BUY)
        if self.kind is Kind.SELL_AT_MARKET:
            good = good and self.side is Side.SELL and self.purpose is Purpose.EXIT
        numbers = (self.quantity, self.funds, self.price)
        if not good or any(number is not None and number <= 0 for number in numbers):
            raise BadData(f"{self.kind} {self.side} cannot be meant like this")


def client_id_of(venue: str, account_mark: str, intent_id: str) -> str:
    """Return the client id of an intent: derived, so that a restart finds the same one."""
    cause = "|".join((venue, account_mark, intent_id))
    return "kb-" + hashlib.sha256(cause.encode()).hexdigest()[:24]


def day_of(ts_ms: int) -> int:
    """Return the number of the venue's day: 00:00 UTC, which is 09:00 in Seoul."""
    return ts_ms // 86_400_000


def sorted_fees(fees: Mapping[str, Decimal]) -> tuple[tuple[str, Decimal], ...]:
    """Return fees as a frozen, ordered value; amounts of nothing are left out."""
    return tuple(sorted((asset, paid) for asset, paid in fees.items() if paid))
