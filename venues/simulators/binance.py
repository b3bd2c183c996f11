"""Binance spot on loopback, from the protocol facts: lists, streams, orders, faults on demand."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import re
import urllib.parse
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from venues.simulators.market import DOLLARS, Market
from venues.simulators.matching import Matching, SimOrder
from venues.simulators.server import Reply
from venues.simulators.upbit import trouble


class SimBook:
    """A whole book that moves; it says its differences."""

    def __init__(self) -> None:
        self._rng, self.last = random.Random(7), 1_000
        self.sides: dict[str, dict[Decimal, Decimal]] = {"b": {}, "a": {}}

    def move(self, price: Decimal) -> dict[str, Any]:
        """Put thirty levels around a price; return the change."""
        first, tick, told = (
            self.last + 1,
            max(Decimal("0.01"), (price / 20_000).quantize(Decimal("0.01"))),
            {},
        )
        for name, sign in (("b", -1), ("a", 1)):
            old = self.sides[name]
            now = {price + sign * tick * n: old.get(price + sign * tick * n) or Decimal(self._rng.randint(1, 900)) / 100
                   for n in range(1, 31)}  # fmt: skip
            for level in self._rng.sample(sorted(now), 4):
                now[level] = Decimal(self._rng.randint(1, 900)) / 100
            changed = {p: q for p, q in now.items() if old.get(p) != q}
            gone = dict.fromkeys(set(old) - set(now), Decimal(0))
            told[name] = [[format(p, "f"), format(q, "f")] for p, q in (changed | gone).items()]
            self.sides[name] = now
            self.last += max(1, len(told[name]))
        return {"U": first, "u": self.last, **told}

    def snapshot(self) -> dict[str, Any]:
        """Return the whole book."""
        rows = {name: [[format(p, "f"), format(q, "f")] for p, q in sorted(side.items(), reverse=name == "b")]
                for name, side in self.sides.items()}  # fmt: skip
        return {"lastUpdateId": self.last, "bids": rows["b"], "asks": rows["a"]}


class BinanceSimulator:
    """The USDT market of a simulated day. `fault` is one of FAULTS, "" for none."""

    FAULTS = ("500", "429", "418", "451", "html", "cut", "silent", "garbage", "shutdown")

    def __init__(self, market: Market, now_ms: Callable[[], int]) -> None:
        self.market, self._now_ms = market, now_ms
        self.fault, self.clock_off_ms = "", 0
        self.missing: set[str] = set()  # symbols that are not listed
        self.states: dict[str, str] = {}  # symbol -> its state, when not TRADING
        self.requests = self.weight = self._minute = 0
        self.matching = Matching(now_ms, Decimal("0.001"))
        self.matching.start = {"USDT": Decimal(100_000), "BTC": Decimal(1)}
        self.key, self.secret = "sim-binance-api-key", "sim-binance-secret-key"
        self.hidden: dict[str, int] = {}  # client id -> until when it cannot be found
        self.key_fault = 0  # a code for every signed request
        self._shown: dict[int, tuple[str, Decimal]] = {}  # what the private line has told
        self.withdraws = False
        self._books: dict[str, SimBook] = {}  # of symbols whose differences somebody hears

    # --- REST ---------------------------------------------------------------------------

    def rest(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request."""
        self.requests += 1
        if troubled := trouble(self.fault):
            return troubled
        path, _, query = target.partition("?")
        if (minute := self._now_ms() // 60_000) != self._minute:
            self._minute, self.weight = minute, 0
        self.weight += 20 if path.endswith("exchangeInfo") else 1
        more = {"X-MBX-USED-WEIGHT-1M": str(self.weight)}
        if (method, path) == ("GET", "/api/v3/time"):
            return Reply(200, json.dumps({"serverTime": self._now_ms() + self.clock_off_ms}), more)
        if (method, path) == ("GET", "/api/v3/exchangeInfo"):
            asked = json.loads(urllib.parse.parse_qs(query).get("symbols", ["[]"])[0])
            if not all(symbol in self._symbols() for symbol in asked):
                return Reply(400, '{"code":-1121,"msg":"Invalid symbol."}', more)
            rows = [self._symbol(symbol) for symbol in asked or self._symbols()]
            return Reply(200, json.dumps({"symbols": rows}), more)
        if path == "/api/v3/depth" and (
            deep := self._books.get(query.partition("symbol=")[2].partition("&")[0])
        ):
            return Reply(200, json.dumps(deep.snapshot()), more)
        if path == "/api/v3/depth":
            price = Decimal(self.market.dollars("BTC"))
            book = {"lastUpdateId": 1, "bids": [[f"{price - 1}", "1"]], "asks": [[f"{price}", "2"]]}
            return Reply(200, json.dumps(book), more)
        query += body.decode()  # parameters may stand in either: both together are signed
        if refused := self._signed(query, headers):
            return refused
        return self._private(method, path, dict(urllib.parse.parse_qsl(query)))

    # --- orders -------------------------------------------------------------------------

    def _signed(self, query: str, headers: Mapping[str, str]) -> Reply | None:
        """Check key, signature over the text as sent, and the time."""
        if self.key_fault:
            return _error(self.key_fault, "key")
        if headers.get("x-mbx-apikey") != self.key:
            return _error(-2014, "API-key format invalid.")
        text, _, mark = query.rpartition("&signature=")
        if hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest() != mark:
            return _error(-1022, "Signature for this request is not valid.")
        given, now = dict(urllib.parse.parse_qsl(text)), self._now_ms() + self.clock_off_ms
        at, window = int(given["timestamp"]), int(given.get("recvWindow", "5000"))
        if at >= now + 1_000 or now - at > window:
            return _error(-1021, "Timestamp for this request is outside of the recvWindow.")
        return None

    def _private(self, method: str, path: str, given: dict[str, str]) -> Reply:
        if method == "POST" and path in ("/api/v3/order", "/api/v3/order/test"):
            return self._order(given, path.endswith("test"))
        if path == "/api/v3/order":
            return self._one(method, given)
        now = self._now_ms()
        if path == "/api/v3/openOrders":
            working = [o for o in self.matching.orders.values() if o.state(now) == "open"]
            return Reply(200, json.dumps([self._show(o) for o in working if self._seen(o)]))
        if path == "/api/v3/allOrders":
            since = int(given.get("startTime", "0"))
            recent = [o for o in self.matching.orders.values() if o.at_ms >= since]
            return Reply(200, json.dumps([self._show(o) for o in recent if self._seen(o)]))
        if path == "/api/v3/myTrades":
            return Reply(200, json.dumps(self._trades(int(given["orderId"]))))
        if path == "/api/v3/account/commission":
            if given["symbol"] not in self._symbols():
                return _error(-1121, "Invalid symbol.")
            return Reply(200, json.dumps({"standardCommission": {"maker": "0.001", "taker": "0.001"}}))  # fmt: skip
        if path == "/api/v3/account":
            free = self.matching.free("BTC", "USDT", "BTCUSDT")
            rows = [{"asset": asset, "free": format(held, "f"), "locked": "0"}
                    for asset, held in free.items()]  # fmt: skip
            return Reply(200, json.dumps({"balances": rows}))
        if path == "/sapi/v1/account/apiRestrictions":
            return Reply(200, json.dumps({"enableWithdrawals": self.withdraws}))
        return _error(-1000, "not found")

    def _seen(self, order: SimOrder) -> bool:
        return self.hidden.get(order.client_id, 0) <= self._now_ms()

    def _one(self, method: str, given: dict[str, str]) -> Reply:
        named = self.matching.by_client(given.get("origClientOrderId", ""))
        if "orderId" in given:
            named = [o for o in self.matching.orders.values() if o.number == int(given["orderId"])]
        found = [o for o in named if self._seen(o)]
        if method == "DELETE":
            if not found or not self.matching.cancel(found[-1]):
                return _error(-2011, "Unknown order sent.")
            shown = self._show(found[-1])
            return Reply(200, json.dumps({**shown, "origClientOrderId": shown["clientOrderId"], "clientOrderId": "own"}))  # fmt: skip
        if not found:
            return _error(-2013, "Order does not exist.")
        return Reply(200, json.dumps(self._show(found[-1])))

    def _order(self, given: dict[str, str], test: bool) -> Reply:
        """Take an order, or say by which code it is refused."""
        now, client, kind = self._now_ms(), given["newClientOrderId"], given["type"]
        if not re.fullmatch(r"[a-zA-Z0-9-_]{1,36}", client):
            return _error(-1100, "Illegal characters found in parameter 'newClientOrderId'")
        number = r"([0-9]{1,20})(\.[0-9]{1,20})?"
        for name in ("quantity", "price", "quoteOrderQty"):
            if name in given and not re.fullmatch(number, given[name]):
                return _error(-1100, f"Illegal characters found in parameter '{name}'")
        if any(o.state(now) == "open" for o in self.matching.by_client(client)) and not test:
            return _error(-2010, "Duplicate order sent.")
        buys, market = given["side"] == "BUY", Decimal(self.market.dollars("BTC"))
        price = Decimal(given.get("price", "0")) or market
        quantity, funds = (
            Decimal(given.get("quantity", "0")),
            Decimal(given.get("quoteOrderQty", "0")),
        )
        if price % Decimal("0.01") or quantity % Decimal("0.00001"):
            return _error(-1013, "Filter failure: PRICE_FILTER or LOT_SIZE")
        total = funds or price * quantity
        if total < 5:
            return _error(-1013, "Filter failure: NOTIONAL")
        free = self.matching.free("BTC", "USDT", "BTCUSDT")
        if (free["USDT"] < total) if buys else (free["BTC"] < quantity):
            return _error(-2010, "Account has insufficient balance for requested action.")
        if test:
            return Reply(200, "{}")
        names = {"LIMIT_MAKER": "post", "MARKET": "buy_for" if funds else "market"}
        force = "ioc" if given.get("timeInForce") == "IOC" else "limit"
        order = SimOrder(0, client, given["symbol"], buys, names.get(kind, force), quantity, funds, price, now)  # fmt: skip
        return Reply(200, json.dumps(self._show(self.matching.add(order))))

    def _show(self, order: SimOrder) -> dict[str, Any]:
        now = self._now_ms()
        executed, state = order.executed(now), order.state(now)
        states = {"open": "PARTIALLY_FILLED" if executed else "NEW", "filled": "FILLED",
                  "cancelled": "CANCELED", "expired": "EXPIRED"}  # fmt: skip
        kinds = {"post": "LIMIT_MAKER", "market": "MARKET", "buy_for": "MARKET"}
        return {
            "symbol": order.symbol, "orderId": order.number, "clientOrderId": order.client_id,
            "price": format(order.price, "f"), "origQty": format(order.quantity, "f"),
            "executedQty": format(executed, "f"), "origQuoteOrderQty": format(order.funds, "f"),
            "cummulativeQuoteQty": format(executed * order.price, "f"), "status": states[state],
            "type": kinds.get(order.kind, "LIMIT"), "side": "BUY" if order.buys else "SELL",
        }  # fmt: skip

    def _trades(self, number: int) -> list[dict[str, Any]]:
        order = self.matching.orders[number]
        asset = "BTC" if order.buys else "USDT"
        rows = []
        for at, quantity in order.fills(self._now_ms()):
            fee = quantity * self.matching.fee * (1 if order.buys else order.price)
            rows.append({"id": at, "orderId": number, "price": format(order.price, "f"),
                         "qty": format(quantity, "f"), "quoteQty": format(quantity * order.price, "f"),
                         "commission": format(fee, "f"), "commissionAsset": asset})  # fmt: skip
        return rows

    # --- lists --------------------------------------------------------------------------

    def _symbols(self) -> list[str]:
        return [name for coin in DOLLARS if (name := f"{coin}USDT") not in self.missing]

    def _symbol(self, symbol: str) -> dict[str, Any]:
        coin = symbol.removesuffix("USDT")
        state = "HALT" if coin in self.market.halted else self.states.get(symbol, "TRADING")
        filters = [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01000000", "minPrice": "0.01", "maxPrice": "1000000"},
            {"filterType": "LOT_SIZE", "stepSize": "0.00001000", "minQty": "0.00001", "maxQty": "9000"},
            {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.00000000", "minQty": "0", "maxQty": "100"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "maxNotional": "9000000"},
        ]  # fmt: skip
        return {
            "symbol": symbol,
            "status": state,
            "baseAsset": coin,
            "quoteAsset": "USDT",
            "filters": filters,
        }

    # --- the combined stream ------------------------------------------------------------

    def welcome(self, target: str, headers: Mapping[str, str]) -> bool:
        """Let everybody in."""
        return True

    def opened(self, target: str, first: str) -> list[str]:
        """Read the names in the address of a connection, or the question for the user data stream."""
        if "/ws-api" in target:
            return [f"private {self._subscribed(json.loads(first))}"]
        query = urllib.parse.urlsplit(target).query
        names = urllib.parse.parse_qs(query).get("streams", [""])[0].split("/")
        return [name for name in names if name.partition("@")[0].upper() in self._symbols()]

    def beat(self, names: list[str]) -> list[bytes] | None:
        """Return what has happened in each stream since the last beat."""
        if self.fault in ("cut", "500", "429", "418", "451", "html"):
            return None
        if self.fault == "silent":
            return []
        if self.fault == "garbage":
            return [b'{"stream":"x","data":{"s":', b"\xff\xfe", b"[]"]
        if self.fault == "shutdown":
            return [b'{"e":"serverShutdown","E":1}']
        if names and names[0].startswith("private "):
            return self._private_frames(names)
        return [json.dumps({"stream": name, "data": self._data(name)}).encode() for name in names]

    def _difference(self, symbol: str) -> dict[str, Any]:
        """Move the book of a symbol on and say what changed."""
        book = self._books.setdefault(symbol, SimBook())
        price = Decimal(self.market.dollars(symbol.removesuffix("USDT")))
        return {"e": "depthUpdate", "E": self._now_ms(), "s": symbol, **book.move(price)}

    def _subscribed(self, asked: dict[str, Any]) -> int:
        """Check key, signature over the sorted names, and time; return 200 or 400."""
        given = dict(asked["params"])
        mark = given.pop("signature")
        text = "&".join(f"{name}={given[name]}" for name in sorted(given))
        right = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        off = abs(int(given["timestamp"]) - self._now_ms() - self.clock_off_ms)
        good = (
            asked["method"] == "userDataStream.subscribe.signature" and given["apiKey"] == self.key
        )
        if not good or mark != right or off > int(given.get("recvWindow", 5_000)) or self.key_fault:
            return 400
        self._shown = {order.number: self._mark(order) for order in self.matching.orders.values()}
        return 200

    def _mark(self, order: SimOrder) -> tuple[str, Decimal]:
        now = self._now_ms()
        return order.state(now), order.executed(now)

    def _private_frames(self, names: list[str]) -> list[bytes] | None:
        """Answer the subscription first; then the reports of what has changed since the last beat."""
        status = int(names[0].split()[1])
        if len(names) == 1:
            names.append("answered")
            if status != 200:
                error = {"code": -1022, "msg": "Signature for this request is not valid."}
                return [json.dumps({"id": 1, "status": 400, "error": error}).encode()]
            return [b'{"id":1,"status":200,"result":{"subscriptionId":0},"rateLimits":[]}']
        if status != 200:
            return None
        events: list[dict[str, Any]] = []
        for order in self.matching.orders.values():
            if self._shown.get(order.number) != (mark := self._mark(order)):
                self._shown[order.number] = mark
                ended = mark[0] == "cancelled"
                events.append({"e": "executionReport", "E": self._now_ms(), "s": order.symbol,
                               "c": "own" if ended else order.client_id, "C": order.client_id if ended else "",
                               "X": mark[0], "z": format(mark[1], "f")})  # fmt: skip
        if events:
            events.append({"e": "outboundAccountPosition", "B": [{"a": "BTC", "f": "1", "l": "0"}]})
        return [json.dumps({"subscriptionId": 0, "event": each}).encode() for each in events]

    def _data(self, name: str) -> dict[str, Any]:
        symbol, _, kind = name.partition("@")
        symbol = symbol.upper()
        coin = symbol.removesuffix("USDT")
        if kind.startswith("depth"):
            return self._difference(symbol)
        price, now = self.market.dollars(coin), self._now_ms() + self.clock_off_ms
        if kind == "bookTicker":
            return {"u": 1, "s": symbol, "b": price, "B": "1", "a": price, "A": "1"}
        if kind == "trade":
            return {"e": "trade", "E": now, "s": symbol, "t": now, "p": price, "q": "0.01", "T": now, "m": False}  # fmt: skip
        cents = self.market.opened[coin]
        return {
            "e": "24hrMiniTicker", "E": now, "s": symbol, "c": price,
            "o": f"{cents // 100}.{cents % 100:02d}", "h": price, "l": price, "v": "10", "q": "1000",
        }  # fmt: skip


def _error(code: int, text: str) -> Reply:
    return Reply(400, json.dumps({"code": code, "msg": text}))
