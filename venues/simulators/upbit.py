"""Upbit on loopback, from the protocol facts: lists, streams, orders, and faults on demand."""

from __future__ import annotations

import base64
import datetime
import email.utils
import hashlib
import hmac
import json
import urllib.parse
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from venues.simulators.market import DOLLARS, Market
from venues.simulators.matching import Matching, SimOrder
from venues.simulators.server import Reply


class UpbitSimulator:
    """The won market of a simulated day. `fault` is one of FAULTS, "" for none."""

    FAULTS = ("500", "429", "418", "451", "html", "cut", "silent", "garbage", "refused")

    def __init__(self, market: Market, now_ms: Callable[[], int]) -> None:
        self.market, self._now_ms = market, now_ms
        self.fault, self.clock_off_ms = "", 0
        self.missing: set[str] = set()  # markets that are not listed
        self.suspended: set[str] = set()  # markets that its stream calls suspended
        self.requests = 0
        self.matching = Matching(now_ms, Decimal("0.0005"))
        self.matching.start = {"KRW": Decimal(100_000_000), "BTC": Decimal(1)}
        self.access, self.secret = "sim-upbit-access-key", "sim-upbit-secret-key"
        self.posts = Counter[str]()  # identifier -> how often an order was posted with it
        self.lose = 0  # so many answers to orders are lost after the order was taken
        self.used: set[str] = set()  # identifiers, for ever, also of refused orders
        self.nonces: set[str] = set()
        self.hidden: dict[str, int] = {}  # identifier -> until when it cannot be found
        self.key_fault = ""  # an error's name for every signed request
        self._shown: dict[int, tuple[str, Decimal]] = {}  # what the private line has told
        self.key_ends = "2099-01-01T00:00:00+09:00"

    # --- REST ---------------------------------------------------------------------------

    def rest(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request."""
        self.requests += 1
        if troubled := trouble(self.fault):
            return troubled
        path, _, query = target.partition("?")
        date = email.utils.formatdate((self._now_ms() + self.clock_off_ms) // 1_000, usegmt=True)
        more = {"Date": date, "Remaining-Req": "group=default; min=600; sec=9"}
        if (method, path) == ("GET", "/v1/market/all"):
            return Reply(200, json.dumps(self._markets()), more)
        if (method, path) == ("GET", "/v1/ticker"):
            asked = urllib.parse.parse_qs(query).get("markets", [""])[0].split(",")
            if not all(code in self._codes() for code in asked):
                return _error(404, "Code not found")
            return Reply(200, json.dumps([{"market": code} for code in asked]), more)
        if path == "/v1/orderbook/instruments":
            return Reply(200, json.dumps([{"market": "KRW-BTC", "tick_size": "1000"}]), more)
        if path == "/v1/orderbook":
            price = int(Decimal(self.market.won("BTC"))) // 1000 * 1000
            unit = {"bid_price": price - 1000, "ask_price": price, "bid_size": 1.5, "ask_size": 0.5}
            return Reply(200, json.dumps([{"market": "KRW-BTC", "orderbook_units": [unit]}]), more)
        if refused := self._signed(method, query, headers, body):
            return refused
        return self._private(method, path, urllib.parse.parse_qsl(query), body)

    # --- orders -------------------------------------------------------------------------

    def _signed(
        self, method: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> Reply | None:
        """Check a token: signature, nonce once, hash over the text that was sent, not encoded."""
        if self.key_fault:
            return _error(401, self.key_fault)
        head, _, mark = headers.get("authorization", "").removeprefix("Bearer ").rpartition(".")
        first = head.partition(".")[0]
        named = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4))
        kind = hashlib.sha256 if b"HS256" in named else hashlib.sha512  # both are taken
        right = hmac.new(self.secret.encode(), head.encode(), kind).digest()
        if not head or base64.urlsafe_b64encode(right).decode().rstrip("=") != mark:
            return _error(401, "jwt_verification")
        text = head.partition(".")[2]
        claims = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if claims["access_key"] != self.access:
            return _error(401, "invalid_access_key")
        if claims["nonce"] in self.nonces:
            return _error(401, "nonce_used")
        self.nonces.add(claims["nonce"])
        pairs = list(json.loads(body).items()) if body else urllib.parse.parse_qsl(query)
        raw = "&".join(f"{name}={value}" for name, value in pairs)
        wanted = hashlib.sha512(raw.encode()).hexdigest() if raw else None
        return None if claims.get("query_hash") == wanted else _error(401, "invalid_query_payload")

    def _private(self, method: str, path: str, pairs: list[tuple[str, str]], body: bytes) -> Reply:
        given = dict(pairs)
        if method == "POST" and path in ("/v1/orders", "/v1/orders/test"):
            test, given_body = path.endswith("test"), json.loads(body)
            self.posts[given_body.get("identifier", "")] += not test
            answer = self._order(given_body, test)
            if self.lose > 0 and not test:
                self.lose -= 1
                return Reply(0, "")
            return answer
        if path == "/v1/order":
            found = self._find(given.get("identifier", ""), given.get("uuid", ""))
            if found is None:
                return _error(404, "order_not_found")
            if method == "DELETE" and not self.matching.cancel(found):
                return _error(400, "order_not_cancelable")
            return Reply(200, json.dumps(self._show(found)))
        if path in ("/v1/orders/open", "/v1/orders/closed"):
            wanted = "open" if path.endswith("open") else "ended"
            rows = [self._show(order) for order in self.matching.orders.values()
                    if (order.state(self._now_ms()) == "open") == (wanted == "open")
                    and self._find(order.client_id)]  # fmt: skip
            return Reply(200, json.dumps(rows))
        if path == "/v1/orders/chance":
            return self._chance(given.get("market", ""))
        if path == "/v1/accounts":
            free = self.matching.free("BTC", "KRW", "KRW-BTC")
            rows = [{"currency": asset, "balance": format(held, "f"), "locked": "0"}
                    for asset, held in free.items()]  # fmt: skip
            return Reply(200, json.dumps(rows))
        if path == "/v1/api_keys":
            return Reply(200, json.dumps([{"access_key": self.access, "expire_at": self.key_ends}]))  # fmt: skip
        return _error(404, "not_found")

    def _chance(self, code: str) -> Reply:
        if code not in self._codes():
            return _error(404, "market_not_found")
        market = {
            "id": code, "bid": {"currency": "KRW", "min_total": "5000"},
            "ask": {"currency": code.partition("-")[2], "min_total": "5000"},
            "max_total": "1000000000", "state": "active",
        }  # fmt: skip
        return Reply(200, json.dumps({"bid_fee": "0.0005", "ask_fee": "0.0005", "market": market}))

    def _find(self, identifier: str, number: str = "") -> SimOrder | None:
        found = self.matching.by_client(identifier)
        if number:
            found = [
                o for o in self.matching.orders.values() if number.endswith(f"-{o.number:012d}")
            ]
        if not found or self.hidden.get(identifier, 0) > self._now_ms():
            return None
        return found[-1]

    def _order(self, body: dict[str, str], test: bool) -> Reply:
        """Take an order, or say by which name it is refused."""
        identifier, buys, kind = body.get("identifier"), body["side"] == "bid", body["ord_type"]
        if identifier in self.used and not test:
            return _error(400, "duplicated_identifier")
        if not test and identifier:
            self.used.add(identifier)
        wrong = {"price": "volume", "market": "price"}.get(kind)
        if wrong in body:
            return _error(400, "validation_error")
        market = Decimal(self.market.won("BTC")) // 1000 * 1000
        price = Decimal(body["price"]) if kind == "limit" else market
        if kind == "limit" and price % 1000:
            return _error(400, "invalid_price_bid" if buys else "invalid_price_ask")
        funds = Decimal(body["price"]) if kind == "price" else Decimal(0)
        volume = Decimal(body.get("volume", "0"))
        total = funds or price * volume
        if total < 5_000:
            return _error(400, "under_min_total_bid" if buys else "under_min_total_ask")
        free = self.matching.free("BTC", "KRW", "KRW-BTC")
        if (free["KRW"] < total * Decimal("1.0005")) if buys else (free["BTC"] < volume):
            return _error(400, "insufficient_funds_bid" if buys else "insufficient_funds_ask")
        names = {"price": "buy_for", "market": "market"}
        force = {"ioc": "ioc", "post_only": "post"}.get(body.get("time_in_force", ""), "limit")
        order = SimOrder(0, identifier or "", body["market"], buys, names.get(kind, force), volume, funds, price, self._now_ms())  # fmt: skip
        if test:
            return Reply(201, json.dumps(self._show(order)))
        return Reply(201, json.dumps(self._show(self.matching.add(order))))

    def _show(self, order: SimOrder) -> dict[str, Any]:
        now = self._now_ms()
        fills, state = order.fills(now), order.state(now)
        executed = sum((quantity for _, quantity in fills), Decimal(0))
        kinds = {"buy_for": "price", "market": "market"}
        shown: dict[str, Any] = {
            "uuid": f"00000000-0000-4000-8000-{order.number:012d}", "identifier": order.client_id,
            "market": order.symbol, "side": "bid" if order.buys else "ask",
            "ord_type": kinds.get(order.kind, "limit"),
            "state": {"open": "wait", "filled": "done"}.get(state, "cancel"),
            "executed_volume": format(executed, "f"), "trades_count": len(fills),
            "paid_fee": format(executed * order.price * self.matching.fee, "f"),
            "created_at": _time(order.at_ms), "remaining_volume": format(order.quantity - executed, "f"),
            "trades": [{"uuid": f"t{at}", "price": format(order.price, "f"), "volume": format(q, "f"),
                        "funds": format(q * order.price, "f"), "market": order.symbol,
                        "side": "bid" if order.buys else "ask", "created_at": _time(at)} for at, q in fills],
        }  # fmt: skip
        if order.kind != "buy_for":
            shown["volume"] = format(order.quantity, "f")
        if order.kind != "market":
            shown["price"] = format(order.funds or order.price, "f")
        if order.kind in ("ioc", "post"):
            shown["time_in_force"] = {"ioc": "ioc", "post": "post_only"}[order.kind]
        return shown

    # --- lists --------------------------------------------------------------------------

    def _codes(self) -> list[str]:
        return [code for coin in (*DOLLARS, "USDT") if (code := f"KRW-{coin}") not in self.missing]

    def _markets(self) -> list[dict[str, Any]]:
        caution = dict.fromkeys(("PRICE_FLUCTUATIONS", "GLOBAL_PRICE_DIFFERENCES"), False)
        return [
            {"market": code, "korean_name": code, "english_name": code,
             "market_event": {"warning": False, "caution": caution}}
            for code in self._codes()
        ]  # fmt: skip

    # --- the public stream --------------------------------------------------------------

    def welcome(self, target: str, headers: Mapping[str, str]) -> bool:
        """Let a connection in: the private one with a token that was never used before."""
        return not target.endswith("/private") or self._signed("GET", "", headers, b"") is None

    def opened(self, target: str, first: str) -> list[str]:
        """Take the one message of a connection: ticket, types, format."""
        if target.endswith("/private"):
            self._shown = {
                order.number: self._mark(order) for order in self.matching.orders.values()
            }
            return ["private"]
        parts = json.loads(first)
        names = [f"{'book' if code.endswith('.15') else part['type']} {code.partition('.')[0]}"
                 for part in parts if "type" in part for code in part["codes"]]  # fmt: skip
        return [name for name in names if name.split()[1] in self._codes()]

    def beat(self, names: list[str]) -> list[bytes] | None:
        """Return what has happened in each market since the last beat."""
        if self.fault in ("cut", "500", "429", "418", "451", "html"):
            return None
        if self.fault == "silent":
            return []
        if self.fault == "garbage":
            return [b'{"ty":"orderbook","cd":', b"\xff\xfe", b"[]"]
        if names == ["private"]:
            return self._private_frames()
        if self.fault == "refused" or not names:
            return [b'{"error":{"name":"NO_CODES","message":"no codes"}}']
        self.market.walk()
        return [self._frame(*name.split()) for name in names]

    def _mark(self, order: SimOrder) -> tuple[str, Decimal]:
        now = self._now_ms()
        return order.state(now), order.executed(now)

    def _private_frames(self) -> list[bytes]:
        """Return myOrder and myAsset of what has changed since the last beat."""
        frames, now = [], self._now_ms()
        for order in self.matching.orders.values():
            if self._shown.get(order.number) != (mark := self._mark(order)):
                self._shown[order.number] = mark
                state = {"open": "trade" if mark[1] else "wait", "filled": "done"}.get(
                    mark[0], "cancel"
                )
                frames.append(json.dumps({
                    "ty": "myOrder", "cd": order.symbol, "uid": f"u{order.number}", "id": order.client_id,
                    "ab": "BID" if order.buys else "ASK", "s": state, "ev": float(mark[1]), "tms": now,
                    "st": "REALTIME",
                }).encode())  # fmt: skip
        asset = {"ty": "myAsset", "ast": [{"cu": "KRW", "b": "1", "l": "0"}], "st": "REALTIME"}
        return [*frames, json.dumps(asset).encode()] if frames else []

    def _frame(self, kind: str, code: str) -> bytes:
        coin, now = code.partition("-")[2], self._now_ms() + self.clock_off_ms
        price = self.market.won(coin)
        if kind == "book":
            step = Decimal(1_000) if Decimal(price) > 2_000_000 else Decimal(1)
            units = ",".join(f'{{"ap":{Decimal(price) + step * n},"bp":{Decimal(price) - step * n},"as":{n}.5,"bs":{n}.25}}'
                             for n in range(1, 16))  # fmt: skip
            return f'{{"ty":"orderbook","cd":"{code}","tms":{now},"st":"REALTIME","obu":[{units}]}}'.encode()
        if kind == "orderbook":
            return (
                f'{{"ty":"orderbook","cd":"{code}","tms":{now},"st":"REALTIME",'
                f'"obu":[{{"ap":{price},"bp":{price},"as":1.5,"bs":2.5}}]}}'
            ).encode()
        if kind == "trade":
            return (
                f'{{"ty":"trade","cd":"{code}","tp":{price},"tv":0.01,"ab":"BID","sid":{now}0001,'
                f'"ttms":{now},"tms":{now},"st":"REALTIME"}}'
            ).encode()
        change = self.market.change_bp(coin)
        halted = "true" if code in self.suspended or coin in self.market.halted else "false"
        sign, size = "-" if change < 0 else "", abs(change)
        return (
            f'{{"ty":"ticker","cd":"{code}","tp":{price},"op":{price},"hp":{price},"lp":{price},'
            f'"scr":{sign}{size // 10_000}.{size % 10_000:04d},"ttms":{now},"tms":{now},'
            f'"atv24h":1234.5,"atp24h":123456789012.5,"ms":"ACTIVE","its":{halted},"st":"REALTIME"}}'
        ).encode()


def trouble(fault: str) -> Reply | None:
    """Return the answer of a venue in trouble, None when it is well."""
    return {
        "500": Reply(500, '{"error":{"name":"server_error","message":"try later"}}'),
        "429": Reply(429, '{"error":{"name":"too_many_requests","message":"slow"}}', {"Retry-After": "1"}),
        "418": Reply(418, '{"error":{"name":"banned","message":"10 seconds"}}', {"Retry-After": "10"}),
        "451": Reply(451, "<html>unavailable in your country</html>"),
        "html": Reply(200, "<html><body>maintenance</body></html>"),
        "cut": Reply(0, ""),
    }.get(fault)  # fmt: skip


def _error(status: int, name: str) -> Reply:
    return Reply(status, json.dumps({"error": {"name": name, "message": name}}))


def _time(ts_ms: int) -> str:
    """Return a time as the venue writes it, in Seoul."""
    at = datetime.datetime.fromtimestamp(
        ts_ms / 1_000, datetime.timezone(datetime.timedelta(hours=9))
    )
    return at.isoformat(timespec="seconds")
