"""The market streams of Upbit and Binance on one loopback port, with prices that walk.

Data side only: no keys, no orders.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from typing import Any

from aiohttp import WSMsgType, web

DOLLARS = {"BTC": 6_300_000, "ETH": 250_000, "XRP": 220, "SOL": 15_000}  # in cents
START_RATE = 140_800  # hundredths of a won for one USDT


class MarketSimulator:
    """Holds the truth: dollar prices, the won rate, the premium of each coin in basis points."""

    def __init__(self, seed: int = 1, beat_s: float = 0.5) -> None:
        self._random, self._beat_s = random.Random(seed), beat_s
        self.cents, self.rate = dict(DOLLARS), START_RATE
        self.premium_bp = {coin: 80 * number for number, coin in enumerate(DOLLARS)}
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        app = web.Application()
        app.router.add_get("/websocket/v1", self._upbit)
        app.router.add_get("/stream", self._binance)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, shutdown_timeout=0.2)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close everything."""
        if self._runner:
            await self._runner.cleanup()

    def walk(self) -> None:
        """Move every price a little."""
        for coin, cents in self.cents.items():
            self.cents[coin] = max(1, cents + self._random.randint(-cents // 2_000, cents // 2_000))
            self.premium_bp[coin] += self._random.randint(-3, 3)

    def won(self, code: str) -> str:
        """Return the won price of a code of Upbit."""
        if code == "KRW-USDT":
            return f"{self.rate // 100}.{self.rate % 100:02d}"
        coin = code.removeprefix("KRW-")
        # cents x hundredths of a won x basis points: eight digits behind the point
        exact = self.cents[coin] * self.rate * (10_000 + self.premium_bp[coin])
        return f"{exact // 10**8}.{exact % 10**8 // 10**6:02d}"

    async def _upbit(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        first = await socket.receive()
        if first.type is not WSMsgType.TEXT:
            return socket
        parts = json.loads(first.data)
        codes = next(part["codes"] for part in parts if part.get("type") == "orderbook")
        with contextlib.suppress(ConnectionError):  # the client went away
            while not socket.closed:
                self.walk()
                for code in codes:
                    await socket.send_bytes(self._book(code.partition(".")[0]))
                await asyncio.sleep(self._beat_s)
        return socket

    def _book(self, code: str) -> bytes:
        price, now = self.won(code), time.time_ns() // 1_000_000
        return (
            f'{{"ty":"orderbook","cd":"{code}","tms":{now},"st":"REALTIME",'
            f'"obu":[{{"ap":{price},"bp":{price},"as":1.5,"bs":2.5}}]}}'
        ).encode()

    async def _binance(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        names = [each for each in request.query["streams"].split("/") if "@bookTicker" in each]
        with contextlib.suppress(ConnectionError):
            while not socket.closed:
                for name in names:
                    symbol = name.partition("@")[0].upper()
                    cents = self.cents[symbol.removesuffix("USDT")]
                    price = f"{cents // 100}.{cents % 100:02d}"
                    data: dict[str, Any] = {
                        "u": 1,
                        "s": symbol,
                        "b": price,
                        "B": "1",
                        "a": price,
                        "A": "1",
                    }
                    await socket.send_str(json.dumps({"stream": name, "data": data}))
                await asyncio.sleep(self._beat_s)
        return socket
