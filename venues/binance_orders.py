"""Binance spot: signing, order codec (pure) and the port of its orders.

`newClientOrderId` is unique among OPEN orders only: it protects no order that filled. Only our journal
does. Nothing arrives late: the server checks timestamp + recvWindow again before its matching engine.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import urllib.parse
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from kis_realtime_trading import (
    BadData,
    BotError,
    HttpReply,
    NoAnswer,
    NotSent,
    OrderAnswer,
    Outcome,
    Secret,
    Side,
)
from venues import binance
from venues.common import (
    ZERO,
    Absent,
    Intent,
    Kind,
    Market,
    OrderSeen,
    Purpose,
    Rules,
    VBalance,
    VOrder,
    VQuote,
    amount,
    field_of,
    int_field,
    parse_json,
    plain,
    plus,
    records,
    sorted_fees,
    text_field,
)
from venues.spot import ProofRule, SpotOrder
from venues.wire import LANE_EXIT, LANE_LOOK, LANE_ORDER, ORDER_TIMEOUT_S, Call, Http, LinePlan

HOSTS = {
    "testnet": "https://testnet.binance.vision",
    "demo": "https://demo-api.binance.com",
    "live": "https://api.binance.com",
}
STREAMS = {  # of the WebSocket API, with the user data stream
    "testnet": "wss://ws-api.testnet.binance.vision/ws-api/v3",
    "demo": "wss://demo-ws-api.binance.com/ws-api/v3",
    "live": "wss://ws-api.binance.com:443/ws-api/v3",
}
RECV_WINDOW_MS, CLOCK_MARGIN_MS = 5_000, 15_000
MOST_ROWS = 1_000  # of a list; a full one says nothing of what it left out
UNKNOWN = frozenset({-1000, -1001, -1006, -1007, -1008})
NOT_SENT = frozenset({-1003, -1015, -1021, -1022, -2014, -2015})
STATES = {
    "NEW": OrderSeen.WORKING, "PENDING_NEW": OrderSeen.WORKING, "PARTIALLY_FILLED": OrderSeen.WORKING,
    "FILLED": OrderSeen.FILLED, "CANCELED": OrderSeen.CANCELLED, "REJECTED": OrderSeen.REJECTED,
    "EXPIRED": OrderSeen.EXPIRED, "EXPIRED_IN_MATCH": OrderSeen.EXPIRED,
}  # fmt: skip
Pairs = Sequence[tuple[str, str]]


def signed(pairs: Pairs, secret: Secret, now_ms: int) -> str:
    """Return a query with its time and signature: percent-encoded first, signed as it is sent."""
    timed = [*pairs, ("recvWindow", str(RECV_WINDOW_MS)), ("timestamp", str(now_ms))]
    text = "&".join(f"{name}={urllib.parse.quote(value, safe='')}" for name, value in timed)
    mark = hmac.new(secret.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"{text}&signature={mark}"


def order_fields(intent: Intent) -> list[tuple[str, str]]:
    """Return the parameters of an order."""
    fields = [("symbol", intent.symbol), ("side", "BUY" if intent.side is Side.BUY else "SELL")]
    quantity = ("quantity", plain(intent.quantity or ZERO))
    if intent.kind is Kind.BUY_FOR:
        fields += [("type", "MARKET"), ("quoteOrderQty", plain(intent.funds or ZERO))]
    elif intent.kind is Kind.SELL_AT_MARKET:
        fields += [("type", "MARKET"), quantity]
    elif intent.kind is Kind.POST_ONLY:
        fields += [("type", "LIMIT_MAKER"), quantity, ("price", plain(intent.price or ZERO))]
    else:
        force = "IOC" if intent.kind is Kind.LIMIT_IOC else "GTC"
        fields += [("type", "LIMIT"), ("timeInForce", force), quantity,
                   ("price", plain(intent.price or ZERO))]  # fmt: skip
    return [*fields, ("newClientOrderId", intent.client_id), ("newOrderRespType", "FULL"),
            ("selfTradePreventionMode", "EXPIRE_TAKER")]  # fmt: skip


def error_of(reply: HttpReply) -> tuple[int, str]:
    """Return code and text of an error, (0, "") when the body says none."""
    try:
        body = parse_json(reply.text)
        return int_field(body, "code"), text_field(body, "msg")
    except BadData:
        return 0, ""


def classify(reply: HttpReply, client_id: str) -> OrderAnswer:
    """Return how an order call ended: by the body, never by the status alone."""
    code, text = error_of(reply)
    if reply.status in (429, 418):
        return OrderAnswer(Outcome.NOT_SENT, code=str(code or reply.status), text=text)
    if reply.status >= 500 or code in UNKNOWN:
        return OrderAnswer(Outcome.UNKNOWN, code=str(code or reply.status), text=text)
    if 200 <= reply.status < 300:
        try:
            body = parse_json(reply.text)
            if text_field(body, "clientOrderId") == client_id:
                return OrderAnswer(Outcome.ACCEPTED, order_no=text_field(body, "orderId"))
        except BadData:
            pass
        return OrderAnswer(Outcome.UNKNOWN, code=str(reply.status), text="no order in the answer")
    if code in NOT_SENT or reply.status in (403, 451):
        return OrderAnswer(Outcome.NOT_SENT, code=str(code or reply.status), text=text)
    if code == -2010 and "uplicate" in text:
        return OrderAnswer(Outcome.UNKNOWN, code=str(code), text=text)  # it exists: look
    if code in (-1013, -2010, -1002, -1014, -1020) or -1199 <= code <= -1100:
        return OrderAnswer(Outcome.REFUSED, code=str(code), text=text)
    return OrderAnswer(Outcome.UNKNOWN, code=str(code or reply.status), text=text)


def read_order(body: Any, trades: Any, base: str) -> VOrder:
    """Read one order and, where something is filled, its trades (they alone say the fees)."""
    side = {"BUY": Side.BUY, "SELL": Side.SELL}.get(text_field(body, "side"))
    if side is None:
        raise BadData("an unknown side")
    executed, state = amount(field_of(body, "executedQty")), text_field(body, "status")
    quote_filled = amount(field_of(body, "cummulativeQuoteQty"))
    fees: dict[str, Decimal] = {}
    known = not executed
    if isinstance(trades, list):
        for each in trades:
            asset = text_field(each, "commissionAsset")
            fees[asset] = plus(fees.get(asset, ZERO), amount(field_of(each, "commission")))
        known = plus(*(amount(field_of(each, "qty")) for each in trades)) == executed
    funds = amount(field_of(body, "origQuoteOrderQty")) if "origQuoteOrderQty" in body else ZERO
    return VOrder(
        binance.VENUE, text_field(body, "symbol"), text_field(body, "clientOrderId"),
        text_field(body, "orderId"), STATES.get(state, OrderSeen.STRANGE), side,
        amount(field_of(body, "origQty")), funds or None, executed,
        quote_filled if quote_filled >= 0 else None, sorted_fees(fees) if known else (), known,
        None, state,
    )  # fmt: skip


def read_rules(body: str, symbol: str, fee: Decimal) -> Rules | None:
    """Read the filters of a market; a 0 means that this part is off."""
    rows = records(field_of(parse_json(body), "symbols"))
    row = next((each for each in rows if each.get("symbol") == symbol), None)
    if row is None:
        return None
    filters = {text_field(each, "filterType"): each for each in records(row.get("filters"))}

    def part(names: str, field: str) -> Decimal:
        for name in names.split():
            if name in filters and filters[name].get(field) is not None:
                return amount(filters[name][field])
        return ZERO

    market = Market(
        binance.VENUE, symbol, text_field(row, "baseAsset"), text_field(row, "quoteAsset")
    )
    return Rules(
        market, ((ZERO, part("PRICE_FILTER", "tickSize")),), part("LOT_SIZE", "stepSize"),
        part("LOT_SIZE", "minQty"), part("LOT_SIZE", "maxQty"), part("MARKET_LOT_SIZE", "stepSize"),
        part("MARKET_LOT_SIZE", "maxQty"), ZERO, part("NOTIONAL MIN_NOTIONAL", "minNotional"),
        part("NOTIONAL", "maxNotional"), part("PRICE_FILTER", "minPrice"),
        part("PRICE_FILTER", "maxPrice"), fee, text_field(row, "status") == "TRADING",
    )  # fmt: skip


class BinanceOrders:
    """The port of one world: testnet, demo or live; keys of one do not work in another."""

    venue = binance.VENUE
    proof = ProofRule(looks=3, after_ms=max(30_000, RECV_WINDOW_MS + 10_000 + CLOCK_MARGIN_MS))
    watch_lost_ms = 0

    def __init__(self, http: Http, key: Secret, secret: Secret, base: str) -> None:
        self._http, self._key, self._secret, self._base = http, key, secret, base
        self.account_mark = key.fingerprint()
        self.offset_ms = 0  # the server's clock minus ours

    async def set_clock(self) -> None:
        """Ask for the server's time; requests carry ours plus the difference."""
        url = f"{self._base}/api/v3/time"
        reply = await self._http.query(lambda: Call("time", "weight", "GET", url, {}))
        self.offset_ms = (
            int_field(parse_json(reply.text), "serverTime") - self._http.clock.wall_ms()
        )

    def account_hello(self) -> str:
        """Return the question for the user data stream: names in order, signed, the time fresh."""
        given = {
            "apiKey": self._key.reveal(), "recvWindow": str(RECV_WINDOW_MS),
            "timestamp": str(self._http.clock.wall_ms() + self.offset_ms),
        }  # fmt: skip
        text = "&".join(f"{name}={given[name]}" for name in sorted(given))
        mark = hmac.new(self._secret.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()
        params = {"apiKey": given["apiKey"], "recvWindow": RECV_WINDOW_MS,
                  "timestamp": int(given["timestamp"]), "signature": mark}  # fmt: skip
        method = "userDataStream.subscribe.signature"
        return json.dumps({"id": 1, "method": method, "params": params})

    def account_plan(self, base: str) -> LinePlan:
        """Return the plan of the private line."""
        return binance.private_plan(base, self.account_hello)

    def _call(self, method: str, path: str, pairs: Pairs, lane: int, weight: int = 1) -> Call:
        query = signed(pairs, self._secret, self._http.clock.wall_ms() + self.offset_ms)
        group = "order" if method == "POST" else "weight"
        timeout = ORDER_TIMEOUT_S if method != "GET" else 10.0
        url, headers = f"{self._base}{path}?{query}", {"X-MBX-APIKEY": self._key.reveal()}
        return Call(f"{method} {path}", group, method, url, headers, None, lane, weight, timeout)

    async def _post(self, path: str, intent: Intent, veto: Callable[[], str] | None) -> OrderAnswer:
        lane = LANE_EXIT if intent.purpose is Purpose.EXIT else LANE_ORDER
        fields = order_fields(intent)
        try:
            reply = await self._http.once(lambda: self._call("POST", path, fields, lane), veto)
        except NotSent as error:
            return OrderAnswer(Outcome.NOT_SENT, text=str(error))
        except NoAnswer as error:
            return OrderAnswer(Outcome.UNKNOWN, text=str(error))
        if error_of(reply)[0] == -1021:
            with contextlib.suppress(BotError):
                await self.set_clock()  # for the next order; this one is not repeated
        return classify(reply, intent.client_id)

    async def submit(self, intent: Intent, veto: Callable[[], str]) -> OrderAnswer:
        """Send the order: ONE attempt."""
        return await self._post("/api/v3/order", intent, veto)

    async def test(self, intent: Intent) -> OrderAnswer:
        """Let the venue check an order and place nothing; an empty object is its yes."""
        answer = await self._post("/api/v3/order/test", intent, None)
        if answer.outcome is Outcome.UNKNOWN and answer.code == "200":
            return OrderAnswer(Outcome.ACCEPTED)
        return answer

    async def cancel(self, order: SpotOrder) -> OrderAnswer:
        """Ask for the end of an order; refused means: look, it may be filled."""
        pairs = [("symbol", order.intent.symbol), ("origClientOrderId", order.intent.client_id)]
        try:
            reply = await self._http.once(
                lambda: self._call("DELETE", "/api/v3/order", pairs, LANE_EXIT)
            )
        except NotSent as error:
            return OrderAnswer(Outcome.NOT_SENT, text=str(error))
        except NoAnswer as error:
            return OrderAnswer(Outcome.UNKNOWN, text=str(error))
        code, text = error_of(reply)
        if reply.status in (429, 418) or code in NOT_SENT:
            return OrderAnswer(Outcome.NOT_SENT, code=str(code or reply.status), text=text)
        good = reply.status < 300
        return OrderAnswer(Outcome.ACCEPTED if good else Outcome.UNKNOWN, code=str(code), text=text)

    async def _query(self, path: str, pairs: Pairs, weight: int) -> HttpReply:
        return await self._http.query(lambda: self._call("GET", path, pairs, LANE_LOOK, weight))

    async def look(self, intent: Intent, lists: bool) -> VOrder | Absent:
        """Ask by our id, then for its trades; with `lists` also open orders and all since."""
        pairs = [("symbol", intent.symbol), ("origClientOrderId", intent.client_id)]
        reply = await self._query("/api/v3/order", pairs, 4)
        code = error_of(reply)[0]
        if reply.status == 200:
            return await self._own(parse_json(reply.text), intent)
        if code != -2013:
            raise NoAnswer(f"look: HTTP {reply.status} {code}")
        if lists:
            since = str(int(intent.at.timestamp() * 1_000) - 60_000)
            symbol = ("symbol", intent.symbol)
            for path, asked, weight in (
                ("/api/v3/openOrders", [symbol], 6),
                (
                    "/api/v3/allOrders",
                    [symbol, ("startTime", since), ("limit", str(MOST_ROWS))],
                    20,
                ),
            ):
                rows = await self._query(path, asked, weight)
                if rows.status != 200:
                    raise NoAnswer(f"{path}: HTTP {rows.status}")
                found = records(parse_json(rows.text))
                for row in found:
                    if row.get("clientOrderId") == intent.client_id:
                        return await self._own(row, intent)
                if len(found) >= MOST_ROWS:
                    raise NoAnswer(f"{path}: {len(found)} orders and perhaps more")
        return Absent(str(code))

    async def _own(self, body: Any, intent: Intent) -> VOrder:
        base, trades = intent.pair.partition("/")[0], None
        if amount(field_of(body, "executedQty")):
            pairs = [("symbol", intent.symbol), ("orderId", text_field(body, "orderId")),
                     ("limit", "1000")]  # fmt: skip
            reply = await self._query("/api/v3/myTrades", pairs, 20)
            if reply.status != 200:
                raise NoAnswer(f"myTrades: HTTP {reply.status}")
            trades = parse_json(reply.text)
        order = read_order(body, trades, base)
        if order.client_id != intent.client_id or order.symbol != intent.symbol:
            raise BadData("another order than the one asked for")
        return order

    async def rules(self, symbol: str) -> Rules | None:
        """Return the rules of a market with the account's own fee; None: no such market."""
        reply = await self._query("/api/v3/account/commission", [("symbol", symbol)], 20)
        code = error_of(reply)[0]
        if code == -1121:
            return None
        if reply.status != 200:
            raise NoAnswer(f"commission: HTTP {reply.status} {code}")
        standard = field_of(parse_json(reply.text), "standardCommission")
        fee = max(amount(field_of(standard, name)) for name in ("maker", "taker"))
        reply = await self._http.query(lambda: binance.markets_call(self._base, [symbol]))
        return read_rules(reply.text, symbol, fee) if reply.status == 200 else None

    async def balances(self) -> tuple[VBalance, ...]:
        """Return what the account holds."""
        reply = await self._query("/api/v3/account", [("omitZeroBalances", "true")], 20)
        if reply.status != 200:
            raise NoAnswer(f"account: HTTP {reply.status} {error_of(reply)[0]}")
        rows = records(field_of(parse_json(reply.text), "balances"))
        return tuple(
            VBalance(text_field(row, "asset"), amount(field_of(row, "free")), amount(field_of(row, "locked")))
            for row in rows
        )  # fmt: skip

    async def free(self) -> dict[str, Decimal]:
        """Return what is free of every asset."""
        return {each.asset: each.free for each in await self.balances()}

    def account_call(self) -> Call:
        """Return the question for all balances, made anew."""
        return self._call("GET", "/api/v3/account", [("omitZeroBalances", "true")], LANE_LOOK, 20)

    async def may_withdraw(self) -> bool:
        """Tell whether this key may take money out; such a key is not used."""
        reply = await self._query("/sapi/v1/account/apiRestrictions", [], 1)
        return reply.status == 200 and field_of(parse_json(reply.text), "enableWithdrawals") is True

    async def quote(self, symbol: str) -> VQuote:
        """Return the best bid and ask."""
        url = f"{self._base}/api/v3/depth?symbol={symbol}&limit=5"
        reply = await self._http.query(lambda: Call("depth", "weight", "GET", url, {}, weight=5))
        try:
            book = parse_json(reply.text)
            (bid, bid_size), (ask, ask_size) = book["bids"][0][:2], book["asks"][0][:2]
        except (KeyError, IndexError, TypeError, ValueError):
            raise NoAnswer(f"depth: HTTP {reply.status}") from None
        sizes = amount(bid_size), amount(ask_size)
        return VQuote(binance.VENUE, symbol, amount(bid), sizes[0], amount(ask), sizes[1], None,
                      self._http.clock.mono_ns())  # fmt: skip
