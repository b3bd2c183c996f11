"""The monitor as it runs: lines, lists, alerts, store and status file around one board."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import uuid
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from kis_realtime_trading import BotError, TelegramBot, write_private
from venues import binance, upbit
from venues.board import RATE, Board
from venues.common import FeedChange
from venues.settings import Environment, VenueSettings
from venues.store import PremiumStore
from venues.wire import (
    Clock,
    Connect,
    Http,
    Line,
    Pacer,
    Statistics,
    Transport,
    VenueTransport,
    connect_socket,
)

log = logging.getLogger("kis.venues")

STATUS_FILE, STATUS_EVERY_S = "status.json", 10
LISTS_EVERY_S, RANKS_EVERY_S = 60.0, 60
MONTH_MS = 30 * 86_400_000


class Hosts(NamedTuple):
    """Where the venues are, and how one gets there."""

    upbit_rest: str = upbit.REST
    upbit_stream: str = upbit.STREAM
    binance_rest: str = binance.DATA_REST
    binance_stream: str = binance.DATA_STREAM
    connect: Connect = connect_socket
    transport: Callable[[Collection[str]], Transport] = VenueTransport


class Feeds:
    """The market lines of both venues and the questions beside them, with their statistics."""

    def __init__(
        self, hosts: Hosts, clock: Clock, symbols: dict[str, Sequence[str]],
        take: Callable[[object], None], changed: Callable[[FeedChange], None],
        trades: bool = False,
    ) -> None:  # fmt: skip
        self.hosts, self.clock, self.symbols = hosts, clock, symbols
        self.statistics = {upbit.VENUE: Statistics(), binance.VENUE: Statistics()}
        self._transports: list[Transport] = []
        stream = hosts.upbit_stream
        plans: list[tuple[Any, Any]] = []
        if symbols.get(upbit.VENUE):
            make = lambda: str(uuid.uuid4())  # noqa: E731
            plan = upbit.line_plan(stream, symbols[upbit.VENUE], make, trades)
            plans.append((plan, upbit.read_frame))
        if symbols.get(binance.VENUE):
            plan = binance.line_plan(hosts.binance_stream, symbols[binance.VENUE], trades)
            plans.append((plan, binance.read_frame))

        def reader(read: Any) -> Any:
            def deliver(raw: bytes, seen_ns: int) -> None:
                for event in read(raw, seen_ns):
                    take(event)

            return deliver

        self.lines = [
            Line(plan, reader(read), changed, self.statistics[plan.venue], clock, hosts.connect)
            for plan, read in plans
        ]

    def http(self, venue: str) -> Http:
        """Return what asks a venue."""
        module: Any = {upbit.VENUE: upbit, binance.VENUE: binance}[venue]
        transport = self.hosts.transport(module.HOSTS)
        self._transports.append(transport)
        pacer = Pacer(module.LIMITS, lambda text: log.warning("%s: %s", venue, text))
        return Http(transport, pacer, self.statistics[venue], self.clock, module.hear_limits(pacer))

    async def ask_lists(self, listed: Callable[[str, frozenset[str]], None]) -> NoReturn:
        """Ask each minute which markets are halted; a list that fails leaves what was known."""
        asked: list[tuple[str, Http, Any, Any]] = []
        if symbols := self.symbols.get(upbit.VENUE):
            make = lambda: upbit.markets_call(self.hosts.upbit_rest)  # noqa: E731
            asked.append((upbit.VENUE, self.http(upbit.VENUE), make, upbit.read_markets))
        if symbols := self.symbols.get(binance.VENUE):
            names = list(symbols)
            ask = lambda: binance.markets_call(self.hosts.binance_rest, names)  # noqa: E731
            asked.append((binance.VENUE, self.http(binance.VENUE), ask, binance.read_markets))
        while True:
            for venue, http, make, read in asked:
                try:
                    reply = await http.query(make)
                    found = read(reply.text)
                except BotError as error:
                    log.warning("%s: the list of markets: %s", venue, type(error).__name__)
                    continue
                halted = {
                    s
                    for s in self.symbols[venue]
                    if s not in found or _is_halted(venue, found[s][1])
                }
                listed(venue, frozenset(halted))
            await asyncio.sleep(LISTS_EVERY_S)

    async def close(self) -> None:
        """Close the connections of the questions."""
        for transport in self._transports:
            await transport.close()


def _is_halted(venue: str, mark: str) -> bool:
    """Tell whether a list's mark means that nobody trades; at Upbit marks are warnings only."""
    return venue == binance.VENUE and mark != ""


def symbols_of(settings: VenueSettings) -> dict[str, Sequence[str]]:
    """Return what the premium needs of each venue."""
    coins = settings.kimchi.coins
    return {
        upbit.VENUE: [*(f"KRW-{coin}" for coin in coins), RATE],
        binance.VENUE: [f"{coin}USDT" for coin in coins],
    }


class Monitor:
    """One second after another: decide, tell, keep, show."""

    def __init__(
        self, settings: VenueSettings, environment: Environment, hosts: Hosts, clock: Clock,
        keep: bool = True,
    ) -> None:  # fmt: skip
        self.settings, self._clock, self._keep = settings, clock, keep
        self.board = Board(settings, clock)
        self.feeds = Feeds(hosts, clock, symbols_of(settings), self.board.take, self.board.changed)
        self.telegram = TelegramBot(
            environment.telegram_token, environment.telegram_chat, environment.telegram_api
        )
        self.store: PremiumStore | None = None
        self.told: list[str] = []  # the newest last

    @property
    def folder(self) -> Path:
        """Return the state folder."""
        return self.settings.state_dir

    async def run(self, seconds: Callable[[], None]) -> NoReturn:
        """Run until cancelled; `seconds` is called after each second, to show what stands."""
        if self._keep:
            self.store = PremiumStore(self.folder / "premium.sqlite3")
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(line.run()) for line in self.feeds.lines]
        tasks.append(loop.create_task(self.feeds.ask_lists(self.board.listed)))
        telegram = loop.create_task(self.telegram.run())
        try:
            while True:
                for task in tasks:  # a line runs for ever: one that ended did so by a fault
                    if task.done():
                        task.result()
                self.second()
                seconds()
                await asyncio.sleep(1.0)
        finally:
            await self.telegram.flush(3.0)
            for each in (*tasks, telegram):
                each.cancel()
            await asyncio.gather(*tasks, telegram, return_exceptions=True)
            await self.feeds.close()
            if self.store:
                self.store.close()

    def second(self) -> None:
        """Decide what is told, keep the figures, write the status."""
        now_ms, now_s = self._clock.wall_ms(), self._clock.mono_ns() // 10**9
        if news := self.board.second(now_s):
            text = self.board.text_of(news, self.settings.language)
            self.told = [*self.told[-4:], text]
            self.telegram.post(text)
        if self.store:
            self._write(self.store, now_ms, now_s)

    def _write(self, store: PremiumStore, now_ms: int, now_s: int) -> None:
        for coin in self.board.coins:
            if figures := self.board.figures(coin):
                store.put(now_ms, coin, figures.usdt)
                if now_s % RANKS_EVERY_S == 0 or coin not in self.board.ranks:
                    rank = store.rank(coin, round(figures.usdt * 10**6), now_ms - MONTH_MS)
                    if rank is not None:
                        self.board.ranks = {**self.board.ranks, coin: rank}
        if now_s % STATUS_EVERY_S == 0:
            write_private(self.folder / STATUS_FILE, json.dumps(self.status(now_ms)))

    def status(self, now_ms: int) -> dict[str, Any]:
        """Return how everything is now."""
        states = {coin: self.board.state(coin) for coin in self.board.coins}
        return {
            "version": 1, "at_ms": now_ms, "pid": os.getpid(),
            "venues": {name: each.as_json(now_ms) for name, each in self.feeds.statistics.items()},
            "down": {line.plan.name: line.why for line in self.feeds.lines if line.why},
            "kimchi": {coin: {"premium_ppm": round(f.usdt * 10**6) if f else None, "why": why}
                       for coin, (f, why) in states.items()},
            "alerts_waiting": len(self.telegram.outbox),
        }  # fmt: skip
