"""Upbit on loopback, from the protocol facts: public lists and streams, and faults on demand."""

from __future__ import annotations

import email.utils
import json
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from venues.simulators.market import DOLLARS, Market
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
        return _error(404, "not_found")

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

    def opened(self, target: str, first: str) -> list[str]:
        """Take the one message of a connection: ticket, types, format."""
        parts = json.loads(first)
        names = [f"{part['type']} {code.partition('.')[0]}"
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
        if self.fault == "refused" or not names:
            return [b'{"error":{"name":"NO_CODES","message":"no codes"}}']
        self.market.walk()
        return [self._frame(*name.split()) for name in names]

    def _frame(self, kind: str, code: str) -> bytes:
        coin, now = code.partition("-")[2], self._now_ms() + self.clock_off_ms
        price = self.market.won(coin)
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
