"""Upbit: the codec of its public frames and lists (pure), its limits, its market line."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any

from kis_realtime_trading import BadData, HttpReply, Side
from venues.common import (
    ZERO,
    Hint,
    Market,
    VBook,
    VQuote,
    VTicker,
    VTrade,
    amount,
    field_of,
    int_field,
    parse_json,
    read_each,
    records,
    text_field,
    times,
    told,
)
from venues.wire import Call, Limit, LineEnds, LinePlan, Pacer

VENUE = "upbit"
REST, STREAM = "https://api.upbit.com", "wss://api.upbit.com/websocket/v1"
HOSTS = ("api.upbit.com",)
# A second since 2026-08-21. A fifth of the orders is kept for exits and cancels.
LIMITS = {
    "market": Limit(10, 1.0), "candles": Limit(10, 1.0), "trade": Limit(10, 1.0),
    "ticker": Limit(10, 1.0), "orderbook": Limit(10, 1.0), "default": Limit(30, 1.0),
    "order": Limit(12, 1.0, kept=3), "order-test": Limit(8, 1.0, kept=2),
}  # fmt: skip
SILENCE_S = 60.0
QUIET_S, RENEW_S = (
    86_400.0,
    6 * 3_600.0,
)  # of the private line: pings alone find out that it is dead


def read_frame(raw: bytes, seen_ns: int) -> list[VTrade | VQuote | VTicker]:
    """Read one frame of the public stream, DEFAULT or SIMPLE; an empty list: no data in it.

    Raises:
        LineEnds: the venue refuses what was asked.
        BadData: anything else that cannot be read.
    """
    frame = parse_json(raw)
    if isinstance(frame, list):  # the formats that end in _LIST; not asked for
        return read_each(frame, lambda each: _read(each, seen_ns))
    return _read(frame, seen_ns)


def _read(frame: Any, seen_ns: int) -> list[VTrade | VQuote | VTicker]:
    if not isinstance(frame, dict):
        raise BadData("no object")
    if "error" in frame:
        raise LineEnds(str(frame["error"])[:80])
    if not {"ty", "type"} & frame.keys() and {"status", "method", "mthd"} & frame.keys():
        return []  # a sign of life, or a list of what was asked for
    kind = text_field(frame, "ty", "type")
    symbol = text_field(frame, "cd", "code").partition(".")[0]
    if kind == "orderbook":
        return [_quote(frame, symbol, seen_ns)]
    if kind == "ticker":
        return [_ticker(frame, symbol, seen_ns)]
    if kind == "trade":
        return [_trade(frame, symbol, seen_ns)]
    return []


def _quote(frame: Any, symbol: str, seen_ns: int) -> VQuote:
    units = field_of(frame, "obu", "orderbook_units")
    if not isinstance(units, list) or not units:
        raise BadData("no units")
    best = units[0]
    bid = _positive(field_of(best, "bp", "bid_price"))
    ask = _positive(field_of(best, "ap", "ask_price"))
    sizes = [amount(field_of(best, *names)) for names in (("bs", "bid_size"), ("as", "ask_size"))]
    stamp = int_field(frame, "tms", "timestamp")
    return VQuote(VENUE, symbol, bid, sizes[0], ask, sizes[1], stamp, seen_ns)


def read_book(raw: bytes, seen_ns: int) -> list[VBook]:
    """Read one frame of a book; an empty list: another one. Raises as read_frame does."""
    frame = parse_json(raw)
    if isinstance(frame, dict) and frame.get("ty", frame.get("type")) == "orderbook":
        units = field_of(frame, "obu", "orderbook_units")
        if not isinstance(units, list) or not units:
            raise BadData("no units")
        sides = []
        for price, size in (
            (("bp", "bid_price"), ("bs", "bid_size")),
            (("ap", "ask_price"), ("as", "ask_size")),
        ):
            levels = (
                (amount(field_of(unit, *price)), amount(field_of(unit, *size))) for unit in units
            )
            sides.append(tuple(level for level in levels if level[0] > 0 and level[1] >= 0)[:10])
        symbol = text_field(frame, "cd", "code").partition(".")[0]
        return [
            VBook(VENUE, symbol, sides[0], sides[1], int_field(frame, "tms", "timestamp"), seen_ns)
        ]
    _read(frame, seen_ns)
    return []


def _ticker(frame: Any, symbol: str, seen_ns: int) -> VTicker:
    state = frame.get("ms", frame.get("market_state", "ACTIVE"))
    halted = frame.get("its", frame.get("is_trading_suspended", False))
    change = told(frame, "scr", "signed_change_rate")
    stamp = "ttms", "trade_timestamp"
    at_ms = int_field(frame, *stamp) if told(frame, *stamp) else None
    return VTicker(
        VENUE, symbol, _positive(field_of(frame, "tp", "trade_price")), at_ms, None,
        None if change is None else times(change, Decimal(100)), told(frame, "hp", "high_price"),
        told(frame, "lp", "low_price"), told(frame, "atv24h", "acc_trade_volume_24h"),
        told(frame, "atp24h", "acc_trade_price_24h"), seen_ns,
        state == "ACTIVE" and not halted,
    )  # fmt: skip


def _trade(frame: Any, symbol: str, seen_ns: int) -> VTrade:
    taker = {"BID": Side.BUY, "ASK": Side.SELL}.get(text_field(frame, "ab", "ask_bid"))
    return VTrade(
        VENUE, symbol, _positive(field_of(frame, "tp", "trade_price")),
        _positive(field_of(frame, "tv", "trade_volume")), taker,
        text_field(frame, "sid", "sequential_id"), int_field(frame, "ttms", "trade_timestamp"),
        seen_ns, text_field(frame, "st", "stream_type") == "SNAPSHOT",
    )  # fmt: skip


def _positive(value: Any) -> Decimal:
    number = amount(value)
    if number <= ZERO:
        raise BadData("a price or size of nothing")
    return number


def read_private(raw: bytes) -> list[Hint]:
    """Read one frame of the private stream: whose order moved, or that balances did."""
    frame = parse_json(raw)
    return read_each(frame if isinstance(frame, list) else [frame], _hints)


def _hints(frame: Any) -> list[Hint]:
    if not isinstance(frame, dict):
        raise BadData("no object")
    if "error" in frame:
        raise LineEnds(str(frame["error"])[:80])
    kind = frame.get("ty", frame.get("type"))
    if kind == "myOrder":
        name = frame.get("id") or frame.get("identifier")
        return [Hint(str(name) if name else "")]
    if kind is None and not {"status", "method", "mthd"} & frame.keys():
        raise BadData("no frame of an account")
    return [Hint("")] if kind == "myAsset" else []


def private_plan(base: str, ticket: Callable[[], str], bearer: Callable[[], str]) -> LinePlan:
    """Return the plan of the private line: no snapshot, no replay, silent while nothing happens."""
    types = [{"type": "myOrder"}, {"type": "myAsset"}, {"format": "SIMPLE"}]
    hello = lambda: [json.dumps([{"ticket": ticket()}, *types])]  # noqa: E731
    return LinePlan(
        VENUE, "upbit account", lambda: f"{base}/private", hello,
        lambda: {"Authorization": f"Bearer {bearer()}"}, QUIET_S, RENEW_S, up_at_open=True,
    )  # fmt: skip


def subscription(ticket: str, symbols: Collection[str], trades: bool = False) -> str:
    """Return the one message of a connection: the whole set, capitals, best level of books."""
    codes = [symbol.upper() for symbol in symbols]
    wanted: list[dict[str, Any]] = [
        {"ticket": ticket},
        {"type": "orderbook", "codes": [f"{code}.1" for code in codes]},
        {"type": "ticker", "codes": codes},
    ]
    if trades:
        wanted.append({"type": "trade", "codes": codes})
    return json.dumps([*wanted, {"format": "SIMPLE"}], separators=(",", ":"))


def book_plan(url: str, symbol: str, ticket: Callable[[], str]) -> LinePlan:
    """Return the plan of the line of one book, fifteen levels."""
    asked = [{"type": "orderbook", "codes": [f"{symbol}.15"]}, {"format": "SIMPLE"}]
    hello = lambda: [json.dumps([{"ticket": ticket()}, *asked])]  # noqa: E731
    return LinePlan(VENUE, "upbit book", lambda: url, hello, silence_s=SILENCE_S)


def line_plan(
    url: str, symbols: Collection[str], ticket: Callable[[], str], trades: bool = False
) -> LinePlan:
    """Return the plan of the market line."""
    hello = lambda: [subscription(ticket(), symbols, trades)]  # noqa: E731
    return LinePlan(VENUE, "upbit market", lambda: url, hello, silence_s=SILENCE_S)


def markets_call(base: str) -> Call:
    """Return the question for all markets, with their warnings."""
    url = f"{base}/v1/market/all?is_details=true"
    return Call("market/all", "market", "GET", url, {})


def read_markets(body: str) -> dict[str, tuple[Market, str]]:
    """Read the list: symbol -> (market, letters of its warnings, "" for none)."""
    found = {}
    for row in records(parse_json(body)):
        symbol = text_field(row, "market")
        quote, _, base = symbol.partition("-")  # the venue's own definition of the code
        event = row.get("market_event") or {}
        caution = (event.get("caution") or {}) if isinstance(event, dict) else None
        if not isinstance(caution, dict):
            raise BadData("no warnings of a market")
        letters = "W" if event.get("warning") else ""
        letters += "C" if any(caution.values()) else ""
        found[symbol] = (Market(VENUE, symbol, base, quote), letters)
    return found


def hear_limits(pacer: Pacer) -> Callable[[Call, HttpReply], None]:
    """Return what takes `Remaining-Req: group=ticker; min=600; sec=8` to the pacer."""

    def heard(call: Call, reply: HttpReply) -> None:
        parts = _parts(reply.headers)
        if parts.get("sec", "").isdigit():
            pacer.left(parts.get("group") or call.group, int(parts["sec"]))

    return heard


def _parts(headers: Mapping[str, str]) -> dict[str, str]:
    pairs = (each.partition("=") for each in headers.get("remaining-req", "").split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}
