"""Binance spot: the codec of its public frames and lists (pure), its limits, its market line."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Collection
from decimal import Decimal
from fractions import Fraction
from typing import Any

from kis_realtime_trading import BadData, HttpReply, Side
from venues.common import (
    ZERO,
    Hint,
    Market,
    VQuote,
    VTicker,
    VTrade,
    amount,
    field_of,
    int_field,
    parse_json,
    read_each,
    records,
    rounded,
    text_field,
    told,
)
from venues.wire import Call, Limit, LineEnds, LinePlan, Pacer

VENUE = "binance"
DATA_REST, DATA_STREAM = "https://data-api.binance.vision", "wss://data-stream.binance.vision"
HOSTS = ("data-api.binance.vision",)
# Weight a minute per IP (queries stop at 80 %), unfilled orders in 10 s per account.
LIMITS = {"weight": Limit(4_800, 60.0), "order": Limit(100, 10.0, kept=20)}
SILENCE_S = 75.0  # the server pings every 20 s; miniTicker comes each second when it is traded
RENEW_S = 23 * 3_600.0
QUIET_S = 86_400.0  # of the private line: pings alone find out that it is dead


def read_frame(raw: bytes, seen_ns: int) -> list[VTrade | VQuote | VTicker]:
    """Read one frame, raw or combined; an empty list: no data in it."""
    frame = parse_json(raw)
    if isinstance(frame, dict) and "data" in frame:
        frame = frame["data"]
    if isinstance(frame, list):  # streams that end in @arr
        return read_each(frame, lambda each: _read(each, seen_ns))
    return _read(frame, seen_ns)


def _read(frame: Any, seen_ns: int) -> list[VTrade | VQuote | VTicker]:
    if not isinstance(frame, dict):
        raise BadData("no object")
    if "error" in frame:
        raise LineEnds(str(frame["error"])[:80])
    kind = frame.get("e")
    if kind == "serverShutdown":
        raise LineEnds("serverShutdown")
    if kind == "24hrMiniTicker":
        return [_mini(frame, seen_ns)]
    if kind == "24hrTicker":
        return read_each((_quote, _mini), lambda make: [make(frame, seen_ns)])
    if kind in ("trade", "aggTrade"):
        return [_trade(frame, seen_ns, "t" if kind == "trade" else "a")]
    if kind in (None, "bookTicker") and "b" in frame and "a" in frame and "s" in frame:
        return [_quote(frame, seen_ns)]
    if "result" in frame or kind is not None:
        return []
    raise BadData("no frame of a market")


def read_depth(raw: bytes) -> list[Any]:
    """Read one frame of a stream of differences; an empty list: another one."""
    frame = parse_json(raw)
    frame = frame.get("data", frame) if isinstance(frame, dict) else frame
    if isinstance(frame, dict) and frame.get("e") == "depthUpdate":
        return [frame]
    _read(frame, 0)
    return []


def depth_plan(base: str, symbol: str) -> LinePlan:
    """Return the plan of the line of one book's differences."""
    url = f"{base}/stream?streams={symbol.lower()}@depth@100ms"
    return LinePlan(VENUE, "binance book", lambda: url, list, silence_s=SILENCE_S, renew_s=RENEW_S)


def depth_call(base: str, symbol: str) -> Call:
    """Return the question for a whole book."""
    url = f"{base}/api/v3/depth?symbol={symbol}&limit=1000"
    return Call("depth", "weight", "GET", url, {}, weight=50)


def _quote(frame: Any, seen_ns: int) -> VQuote:
    symbol, (bid, ask) = (
        text_field(frame, "s"),
        (_positive(field_of(frame, "b")), _positive(field_of(frame, "a"))),
    )
    sizes = amount(field_of(frame, "B")), amount(field_of(frame, "A"))
    return VQuote(VENUE, symbol, bid, sizes[0], ask, sizes[1], None, seen_ns)


def _mini(frame: Any, seen_ns: int) -> VTicker:
    last, change = _positive(field_of(frame, "c")), None
    if frame.get("o") is not None:
        opened = _positive(frame["o"])
        change = rounded((Fraction(last) - Fraction(opened)) / Fraction(opened) * 100, 4)
    return VTicker(
        VENUE, text_field(frame, "s"), last, int_field(frame, "E"), change, None, told(frame, "h"),
        told(frame, "l"), told(frame, "v"), told(frame, "q"), seen_ns,
    )  # fmt: skip


def _trade(frame: Any, seen_ns: int, number: str) -> VTrade:
    maker_bought = field_of(frame, "m")  # then the seller was the taker
    if not isinstance(maker_bought, bool):
        raise BadData("m is no truth value")
    taker = Side.SELL if maker_bought else Side.BUY
    return VTrade(
        VENUE, text_field(frame, "s"), _positive(field_of(frame, "p")),
        _positive(field_of(frame, "q")), taker, text_field(frame, number), int_field(frame, "T"),
        seen_ns,
    )  # fmt: skip


def _positive(value: Any) -> Decimal:
    number = amount(value)
    if number <= ZERO:
        raise BadData("a price or size of nothing")
    return number


def stream_url(base: str, symbols: Collection[str], trades: bool = False) -> str:
    """Return the address of the combined stream; names in small letters."""
    kinds = ("bookTicker", "miniTicker", *(("trade",) if trades else ()))
    names = [f"{symbol.lower()}@{kind}" for symbol in symbols for kind in kinds]
    return f"{base}/stream?streams={'/'.join(names)}"


def line_plan(base: str, symbols: Collection[str], trades: bool = False) -> LinePlan:
    """Return the plan of the market line."""
    url = stream_url(base, symbols, trades)
    return LinePlan(
        VENUE, "binance market", lambda: url, list, silence_s=SILENCE_S, renew_s=RENEW_S
    )


def read_private(raw: bytes) -> list[Hint]:
    """Read one frame of the user data stream: whose order moved, or that balances did."""
    frame = parse_json(raw)
    if not isinstance(frame, dict):
        raise BadData("no object")
    if frame.get("status", 200) != 200 or "error" in frame:
        raise LineEnds(str(frame.get("error"))[:80])
    event = frame.get("event", frame)
    if not isinstance(event, dict):
        raise BadData("no event")
    kind = event.get("e")
    if kind in ("eventStreamTerminated", "serverShutdown"):
        raise LineEnds(kind)
    if kind == "executionReport":  # of a cancel, ours is C, and c is the cancel's own
        names = {str(event[each]) for each in ("c", "C") if event.get(each)}
        return [Hint(name) for name in sorted(names)]
    if kind in ("outboundAccountPosition", "balanceUpdate", "externalLockUpdate"):
        return [Hint("")]
    if kind is None and "result" not in frame:
        raise BadData("no frame of an account")
    return []


def private_plan(url: str, hello: Callable[[], str]) -> LinePlan:
    """Return the plan of the user data stream of the WebSocket API; no snapshot, no replay."""
    return LinePlan(VENUE, "binance account", lambda: url, lambda: [hello()], silence_s=QUIET_S,
                    renew_s=RENEW_S)  # fmt: skip


def markets_call(base: str, symbols: Collection[str]) -> Call:
    """Return the question for the rules of some symbols."""
    asked = urllib.parse.quote(json.dumps(list(symbols), separators=(",", ":")), safe="")
    url = f"{base}/api/v3/exchangeInfo?symbols={asked}"
    return Call("exchangeInfo", "weight", "GET", url, {}, weight=20)


def read_markets(body: str) -> dict[str, tuple[Market, str]]:
    """Read the list: symbol -> (market, its state when it is not TRADING)."""
    found = {}
    for row in records(field_of(parse_json(body), "symbols")):
        symbol, state = text_field(row, "symbol"), text_field(row, "status")
        market = Market(VENUE, symbol, text_field(row, "baseAsset"), text_field(row, "quoteAsset"))
        found[symbol] = (market, "" if state == "TRADING" else state)
    return found


def hear_limits(pacer: Pacer) -> Callable[[Call, HttpReply], None]:
    """Return what takes `X-MBX-USED-WEIGHT-1M` to the pacer."""

    def heard(call: Call, reply: HttpReply) -> None:
        used = reply.headers.get("x-mbx-used-weight-1m", "")
        if used.isdigit():
            pacer.left("weight", LIMITS["weight"].weight - int(used))

    return heard
