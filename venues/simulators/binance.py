"""Binance spot on loopback, from the protocol facts: public lists and streams, faults on demand."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from venues.simulators.market import DOLLARS, Market
from venues.simulators.server import Reply
from venues.simulators.upbit import trouble


class BinanceSimulator:
    """The USDT market of a simulated day. `fault` is one of FAULTS, "" for none."""

    FAULTS = ("500", "429", "418", "451", "html", "cut", "silent", "garbage", "shutdown")

    def __init__(self, market: Market, now_ms: Callable[[], int]) -> None:
        self.market, self._now_ms = market, now_ms
        self.fault, self.clock_off_ms = "", 0
        self.missing: set[str] = set()  # symbols that are not listed
        self.states: dict[str, str] = {}  # symbol -> its state, when not TRADING
        self.requests = self.weight = 0

    # --- REST ---------------------------------------------------------------------------

    def rest(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request."""
        self.requests += 1
        if troubled := trouble(self.fault):
            return troubled
        path, _, query = target.partition("?")
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
        return Reply(404, "<html>not found</html>", more)

    def _symbols(self) -> list[str]:
        return [name for coin in DOLLARS if (name := f"{coin}USDT") not in self.missing]

    def _symbol(self, symbol: str) -> dict[str, Any]:
        coin = symbol.removesuffix("USDT")
        state = "HALT" if coin in self.market.halted else self.states.get(symbol, "TRADING")
        return {"symbol": symbol, "status": state, "baseAsset": coin, "quoteAsset": "USDT"}

    # --- the combined stream ------------------------------------------------------------

    def opened(self, target: str, first: str) -> list[str]:
        """Read the names in the address of a connection."""
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
        return [json.dumps({"stream": name, "data": self._data(name)}).encode() for name in names]

    def _data(self, name: str) -> dict[str, Any]:
        symbol, _, kind = name.partition("@")
        symbol = symbol.upper()
        coin = symbol.removesuffix("USDT")
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
