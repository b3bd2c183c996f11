"""Upbit: signing, order codec (pure) and the port of its orders.

`identifier` is unique over all orders of the account for ever, so that a doubled request cannot
become a doubled order; a second one is sent by us never. There is no test server: a dry run asks
`/v1/orders/test`, which checks and places nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import urllib.parse
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from kis_realtime_trading import (
    KST,
    BadData,
    HttpReply,
    NoAnswer,
    NotSent,
    OrderAnswer,
    Outcome,
    Secret,
    Side,
)
from venues import upbit
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
    parse_json,
    plain,
    plus,
    records,
    sorted_fees,
    text_field,
    told,
)
from venues.spot import ProofRule, SpotOrder
from venues.wire import LANE_EXIT, LANE_LOOK, LANE_ORDER, ORDER_TIMEOUT_S, Call, Http, LinePlan

REFUSED = frozenset({
    "create_bid_error", "create_ask_error", "validation_error", "invalid_funds", "volume_too_large",
    "insufficient_funds_bid", "insufficient_funds_ask", "under_min_total_bid", "under_min_total_ask",
    "invalid_price_bid", "invalid_price_ask", "invalid_volume_bid", "invalid_volume_ask", "market_offline",
})  # fmt: skip
NOT_SENT = frozenset({
    "jwt_verification", "invalid_query_payload", "expired_access_key", "invalid_access_key",
    "no_authorization_ip", "no_authorization_token", "out_of_scope", "thirdparty_agreement_required",
    "too_many_requests",
})  # fmt: skip  # not `nonce_used`: somebody doubled a request of ours, the first may have been taken
STATES = {"wait": OrderSeen.WORKING, "done": OrderSeen.FILLED}
STEP = Decimal("0.00000001")
KRW_TICKS = tuple(
    (Decimal(start), Decimal(tick))
    for start, tick in (
        ("1000000", "1000"), ("500000", "500"), ("100000", "100"), ("50000", "50"), ("10000", "10"),
        ("5000", "5"), ("100", "1"), ("10", "0.1"), ("1", "0.01"), ("0.1", "0.001"), ("0.01", "0.0001"),
        ("0.001", "0.00001"), ("0.0001", "0.000001"), ("0.00001", "0.0000001"), ("0", "0.00000001"),
    )
)  # fmt: skip  # a fallback: what instruments say goes first


def token(access: Secret, secret: Secret, query: str, nonce: str) -> str:
    """Return the bearer token of one request; `query` is not percent-encoded, "" for none."""
    claims: dict[str, str] = {"access_key": access.reveal(), "nonce": nonce}
    if query:
        digest = hashlib.sha512(query.encode()).hexdigest()
        claims |= {"query_hash": digest, "query_hash_alg": "SHA512"}
    parts = [_base64(json.dumps(each, separators=(",", ":")).encode())
             for each in ({"alg": "HS512", "typ": "JWT"}, claims)]  # fmt: skip
    signed = ".".join(parts)
    mark = hmac.new(secret.reveal().encode(), signed.encode(), hashlib.sha512).digest()
    return f"{signed}.{_base64(mark)}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def query_of(pairs: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return a query as it is hashed and as it is sent: values encoded, brackets not."""
    raw = "&".join(f"{name}={value}" for name, value in pairs)
    sent = "&".join(f"{name}={urllib.parse.quote(value, safe='')}" for name, value in pairs)
    return raw, sent


def order_fields(intent: Intent) -> list[tuple[str, str]]:
    """Return the members of an order's body, in their order: no price or volume too many."""
    side = "bid" if intent.side is Side.BUY else "ask"
    fields = [("market", intent.symbol), ("side", side)]
    if intent.kind is Kind.BUY_FOR:
        fields += [("ord_type", "price"), ("price", plain(intent.funds or ZERO))]
    elif intent.kind is Kind.SELL_AT_MARKET:
        fields += [("ord_type", "market"), ("volume", plain(intent.quantity or ZERO))]
    else:
        fields += [("ord_type", "limit"), ("volume", plain(intent.quantity or ZERO)),
                   ("price", plain(intent.price or ZERO))]  # fmt: skip
    if intent.kind is Kind.LIMIT_IOC:
        fields.append(("time_in_force", "ioc"))
    if intent.kind is Kind.POST_ONLY:
        fields.append(("time_in_force", "post_only"))
    else:
        fields.append(("smp_type", "cancel_taker"))
    return [*fields, ("identifier", intent.client_id)]


def error_name(reply: HttpReply) -> str:
    """Return the name of an error, "" when the body says none that looks like one."""
    try:
        name = str(field_of(field_of(parse_json(reply.text), "error"), "name"))
    except BadData:
        return ""
    return name if re.fullmatch(r"[a-z0-9_]{1,60}", name) else ""


def classify(reply: HttpReply, client_id: str) -> OrderAnswer:
    """Return how an order call ended: by the body, never by the status alone."""
    name = error_name(reply)
    if reply.status in (429, 418):
        return OrderAnswer(Outcome.NOT_SENT, code=str(reply.status), text=name)
    if reply.status >= 500:
        return OrderAnswer(Outcome.UNKNOWN, code=str(reply.status), text=name)
    if 200 <= reply.status < 300:
        try:
            body = parse_json(reply.text)
            if text_field(body, "identifier") == client_id:
                return OrderAnswer(Outcome.ACCEPTED, order_no=text_field(body, "uuid"))
        except BadData:
            pass
        return OrderAnswer(Outcome.UNKNOWN, code=str(reply.status), text="no order in the answer")
    if name in REFUSED:
        return OrderAnswer(Outcome.REFUSED, code=name)
    if name in NOT_SENT:
        return OrderAnswer(Outcome.NOT_SENT, code=name)
    return OrderAnswer(Outcome.UNKNOWN, code=name or str(reply.status))


def read_order(body: Any, quote: str) -> VOrder:
    """Read one order of the single query. Raises BadData.

    A market buy and an IOC order that were partly filled end as `cancel` with something executed:
    that is the end of their kind, not of our wish.
    """
    side = {"bid": Side.BUY, "ask": Side.SELL}.get(text_field(body, "side"))
    if side is None:
        raise BadData("an unknown side")
    state, executed = text_field(body, "state"), amount(field_of(body, "executed_volume"))
    trades, kind = body.get("trades"), text_field(body, "ord_type")
    funds, count = None, told(body, "trades_count")
    if isinstance(trades, list) and count in (None, len(trades)):
        funds = plus(*(amount(field_of(each, "funds")) for each in trades))
        if plus(*(amount(field_of(each, "volume")) for each in trades)) != executed:
            funds = None
    elif not executed:
        funds = ZERO
    seen = STATES.get(state, OrderSeen.STRANGE)
    if state == "cancel":
        own_end = kind == "price" or body.get("time_in_force") in ("ioc", "fok")
        seen = OrderSeen.EXPIRED if own_end else OrderSeen.CANCELLED
    volume, price = body.get("volume"), body.get("price")
    return VOrder(
        upbit.VENUE, text_field(body, "market"), str(body.get("identifier") or ""),
        text_field(body, "uuid"), seen, side, amount(volume) if volume is not None else None,
        amount(price) if kind == "price" and price is not None else None, executed, funds,
        sorted_fees({quote: amount(field_of(body, "paid_fee"))}), funds is not None, None, state,
    )  # fmt: skip


class UpbitOrders:
    """The port. `fresh` gives nonces."""

    venue = upbit.VENUE
    proof = ProofRule(looks=3, after_ms=60_000)
    watch_lost_ms = 600_000  # nothing in a request expires: it may arrive late

    def __init__(
        self, http: Http, access: Secret, secret: Secret, base: str = upbit.REST,
        fresh: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:  # fmt: skip
        self._http, self._access, self._secret, self._base, self._fresh = (
            http,
            access,
            secret,
            base,
            fresh,
        )
        self.account_mark = access.fingerprint()

    def _call(
        self, method: str, path: str, pairs: Sequence[tuple[str, str]], group: str, lane: int
    ) -> Call:
        raw, sent = query_of(pairs)
        mark = token(self._access, self._secret, raw, self._fresh())
        headers, url, body = {"Authorization": f"Bearer {mark}"}, f"{self._base}{path}", None
        if method == "POST":
            headers["Content-Type"] = "application/json; charset=utf-8"
            body = json.dumps(dict(pairs), separators=(",", ":")).encode()
        elif sent:
            url += f"?{sent}"
        timeout = ORDER_TIMEOUT_S if group.startswith("order") else 10.0
        return Call(f"{method} {path}", group, method, url, headers, body, lane, 1, timeout)

    async def _post(self, path: str, group: str, intent: Intent, veto: Callable[[], str] | None) -> OrderAnswer:  # fmt: skip
        lane = LANE_EXIT if intent.purpose is Purpose.EXIT else LANE_ORDER
        fields = order_fields(intent)
        try:
            reply = await self._http.once(
                lambda: self._call("POST", path, fields, group, lane), veto
            )
        except NotSent as error:
            return OrderAnswer(Outcome.NOT_SENT, text=str(error))
        except NoAnswer as error:
            return OrderAnswer(Outcome.UNKNOWN, text=str(error))
        return classify(reply, intent.client_id)

    async def submit(self, intent: Intent, veto: Callable[[], str]) -> OrderAnswer:
        """Send the order: ONE attempt."""
        return await self._post("/v1/orders", "order", intent, veto)

    async def test(self, intent: Intent) -> OrderAnswer:
        """Let the venue check an order and place nothing."""
        return await self._post("/v1/orders/test", "order-test", intent, None)

    async def cancel(self, order: SpotOrder) -> OrderAnswer:
        """Ask for the end of an order; accepted means asked, not ended."""
        pairs = [("identifier", order.intent.client_id)]
        try:
            reply = await self._http.once(lambda: self._call("DELETE", "/v1/order", pairs, "default", LANE_EXIT))  # fmt: skip
        except NotSent as error:
            return OrderAnswer(Outcome.NOT_SENT, text=str(error))
        except NoAnswer as error:
            return OrderAnswer(Outcome.UNKNOWN, text=str(error))
        if reply.status in (429, 418):
            return OrderAnswer(Outcome.NOT_SENT, code=str(reply.status))
        return OrderAnswer(
            Outcome.ACCEPTED if reply.status < 300 else Outcome.UNKNOWN, text=error_name(reply)
        )

    async def _query(self, path: str, pairs: Sequence[tuple[str, str]], lane: int = LANE_LOOK) -> HttpReply:  # fmt: skip
        return await self._http.query(lambda: self._call("GET", path, pairs, "default", lane))

    async def look(self, intent: Intent, lists: bool) -> VOrder | Absent:
        """Ask by our id; with `lists` also what is open and what has ended since a minute before."""
        reply = await self._query("/v1/order", [("identifier", intent.client_id)])
        quote = intent.pair.partition("/")[2]
        if reply.status == 200:
            return self._own(parse_json(reply.text), intent, quote)
        if reply.status != 404 or error_name(reply) != "order_not_found":
            raise NoAnswer(f"look: HTTP {reply.status} {error_name(reply)}")
        if lists:
            since = (intent.at - timedelta(seconds=60)).astimezone(UTC)
            ended = [("market", intent.symbol), ("states[]", "done"), ("states[]", "cancel"),
                     ("start_time", since.strftime("%Y-%m-%dT%H:%M:%SZ")), ("limit", "1000")]  # fmt: skip
            working = [
                ("market", intent.symbol),
                ("states[]", "wait"),
                ("states[]", "watch"),
                ("limit", "100"),
            ]
            for path, pairs in (("/v1/orders/open", working), ("/v1/orders/closed", ended)):
                rows = await self._query(path, pairs)
                if rows.status != 200:
                    raise NoAnswer(f"{path}: HTTP {rows.status} {error_name(rows)}")
                found = records(parse_json(rows.text))
                for row in found:
                    if row.get("identifier") == intent.client_id:
                        return self._own(row, intent, quote)
                if len(found) >= int(dict(pairs)["limit"]):
                    raise NoAnswer(f"{path}: {len(found)} orders and perhaps more")
        return Absent("order_not_found")

    @staticmethod
    def _own(body: Any, intent: Intent, quote: str) -> VOrder:
        order = read_order(body, quote)
        if order.client_id != intent.client_id or order.symbol != intent.symbol:
            raise BadData("another order than the one asked for")
        return order

    async def rules(self, symbol: str) -> Rules | None:
        """Return the rules of a market for this account; None: no such market."""
        reply = await self._query("/v1/orders/chance", [("market", symbol)])
        if reply.status in (400, 404):
            return None
        if reply.status != 200:
            raise NoAnswer(f"chance: HTTP {reply.status} {error_name(reply)}")
        body = parse_json(reply.text)
        market = field_of(body, "market")
        if not isinstance(market, dict):
            raise BadData("no market")
        quote, base = (text_field(field_of(market, side), "currency") for side in ("bid", "ask"))
        fee = max(amount(field_of(body, name)) for name in ("bid_fee", "ask_fee"))
        state = market.get("state", "active")
        most = market.get("max_total")
        return Rules(
            Market(upbit.VENUE, symbol, base, quote), await self._ticks(symbol), STEP,
            min_notional=amount(field_of(field_of(market, "bid"), "min_total")),
            max_notional=amount(most) if most is not None else ZERO, funds_step=Decimal(1) if quote == "KRW" else ZERO,
            fee=fee, tradable=state == "active",
        )  # fmt: skip

    async def _ticks(self, symbol: str) -> tuple[tuple[Decimal, Decimal], ...]:
        """Return the price step the venue says holds now, else the table of the won market."""
        url = f"{self._base}/v1/orderbook/instruments?markets={symbol}"
        reply = await self._http.query(lambda: Call("instruments", "orderbook", "GET", url, {}))
        if reply.status == 200:
            rows = parse_json(reply.text)
            if isinstance(rows, list) and rows:
                return ((ZERO, amount(field_of(rows[0], "tick_size"))),)
        if symbol.startswith("KRW-"):
            return KRW_TICKS
        raise NoAnswer(f"no tick size of {symbol}")

    def account_plan(self, base: str) -> LinePlan:
        """Return the plan of the private line; each connection has a token of its own."""
        bearer = lambda: token(self._access, self._secret, "", self._fresh())  # noqa: E731
        return upbit.private_plan(base, self._fresh, bearer)

    async def set_clock(self) -> None:
        """Nothing to set: no time stands in a request to Upbit."""

    async def balances(self) -> tuple[VBalance, ...]:
        """Return what the account holds."""
        reply = await self._query("/v1/accounts", [])
        if reply.status != 200:
            raise NoAnswer(f"accounts: HTTP {reply.status} {error_name(reply)}")
        rows = records(parse_json(reply.text))
        return tuple(
            VBalance(text_field(row, "currency"), amount(field_of(row, "balance")), amount(field_of(row, "locked")))
            for row in rows
        )  # fmt: skip

    async def free(self) -> dict[str, Decimal]:
        """Return what is free of every asset."""
        return {each.asset: each.free for each in await self.balances()}

    async def quote(self, symbol: str) -> VQuote:
        """Return the best bid and ask."""
        url = f"{self._base}/v1/orderbook?markets={symbol}&count=1"
        reply = await self._http.query(lambda: Call("orderbook", "orderbook", "GET", url, {}))
        try:
            best = field_of(parse_json(reply.text)[0], "orderbook_units")[0]
        except (KeyError, IndexError, TypeError):
            raise NoAnswer(f"orderbook: HTTP {reply.status}") from None
        bid, ask, *sizes = (
            amount(field_of(best, n)) for n in ("bid_price", "ask_price", "bid_size", "ask_size")
        )
        return VQuote(
            upbit.VENUE, symbol, bid, sizes[0], ask, sizes[1], None, self._http.clock.mono_ns()
        )

    def accounts_call(self) -> Call:
        """Return the question for all balances, made anew."""
        return self._call("GET", "/v1/accounts", [], "default", LANE_LOOK)

    async def key_expires(self) -> datetime | None:
        """Return when this key ends, None when the venue does not say."""
        reply = await self._query("/v1/api_keys", [])
        rows = parse_json(reply.text) if reply.status == 200 else []
        for row in records(rows):
            if row.get("access_key") == self._access.reveal():
                return _time_of(text_field(row, "expire_at"))
        return None


def _time_of(text: str) -> datetime:
    """Read a time with its zone. Raises BadData."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadData("no time") from None
    return at if at.tzinfo else at.replace(tzinfo=KST)
