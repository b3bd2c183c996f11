"""The monitor as it runs: lines, lists, alerts, store and status file around one board."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import sqlite3
import uuid
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from kis_realtime_trading import BotError, Redactor, TelegramBot, write_private
from venues import binance, upbit
from venues.board import RATE, Board
from venues.common import FeedChange, delivering
from venues.keeping import Kept
from venues.memory import give_back
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
GIVE_BACK_FIRST_S, GIVE_BACK_S = 5, 60  # the first connections need memory for a moment, too
THOROUGHLY_S = 3_600
MONTH_MS = 30 * 86_400_000


class Hosts(NamedTuple):
    """Where the venues are, and how one gets there."""

    upbit_rest: str = upbit.REST
    upbit_stream: str = upbit.STREAM
    binance_rest: str = binance.DATA_REST
    binance_stream: str = binance.DATA_STREAM
    connect: Connect = connect_socket
    transport: Callable[[Collection[str]], Transport] = VenueTransport
    kiwoom_rest: str = ""  # "": of the world that the settings name
    kiwoom_stream: str = ""


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
        self._https: dict[str, Http] = {}
        stream = hosts.upbit_stream
        plans: list[tuple[Any, Any]] = []
        if symbols.get(upbit.VENUE):
            make = lambda: str(uuid.uuid4())  # noqa: E731
            plan = upbit.line_plan(stream, symbols[upbit.VENUE], make, trades)
            plans.append((plan, upbit.read_frame))
        if symbols.get(binance.VENUE):
            plan = binance.line_plan(hosts.binance_stream, symbols[binance.VENUE], trades)
            plans.append((plan, binance.read_frame))

        self.lines = [
            Line(
                plan,
                delivering(read, take),
                changed,
                self.statistics[plan.venue],
                clock,
                hosts.connect,
            )
            for plan, read in plans
        ]

    def http(self, venue: str) -> Http:
        """Return what asks a venue."""
        module: Any = {upbit.VENUE: upbit, binance.VENUE: binance}[venue]
        transport = self.hosts.transport(module.HOSTS)
        self._transports.append(transport)
        pacer = Pacer(module.LIMITS, lambda text: log.warning("%s: %s", venue, text))
        return Http(transport, pacer, self.statistics[venue], self.clock, module.hear_limits(pacer))

    async def ask_list(self, venue: str, listed: Callable[[str, frozenset[str]], None]) -> NoReturn:
        """Ask each minute which markets are halted; a list that fails leaves what was known."""
        symbols, hosts = list(self.symbols[venue]), self.hosts
        http = self._https.get(venue) or self._https.setdefault(venue, self.http(venue))
        make, read = {
            upbit.VENUE: (lambda: upbit.markets_call(hosts.upbit_rest), upbit.read_markets),
            binance.VENUE: (
                lambda: binance.markets_call(hosts.binance_rest, symbols),
                binance.read_markets,
            ),
        }[venue]
        while True:
            try:
                found = read((await http.query(make)).text)
            except BotError as error:
                log.warning("%s: the list of markets: %s", venue, type(error).__name__)
            else:
                halted = {s for s in symbols if s not in found or _is_halted(venue, found[s][1])}
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
        self.redact = Redactor(environment.secrets())  # what a venue says may echo a key
        self._seconds, self._status_s = 0, -STATUS_EVERY_S
        self.store: PremiumStore | None = None
        self.told: list[str] = []  # the newest last
        self.more: Callable[[int], dict[str, Any]] = lambda now_ms: {}  # for the status file
        feeds, listed = self.feeds, self.board.listed
        self.kept = [Kept(line.plan.name, line.run) for line in feeds.lines]
        self.kept += [
            Kept(f"{venue} list", functools.partial(feeds.ask_list, venue, listed))
            for venue in feeds.symbols
        ]

    @property
    def folder(self) -> Path:
        """Return the state folder."""
        return self.settings.state_dir

    async def run(self, seconds: Callable[[], None]) -> NoReturn:
        """Run until cancelled; `seconds` is called after each second, to show what stands."""
        if self._keep:
            self.store = PremiumStore(self.folder / "premium.sqlite3")
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(each.run()) for each in self.kept]
        if self.telegram.hears:
            tasks.append(loop.create_task(Kept("telegram", self.telegram.run).run()))
        try:
            while True:
                self.second()
                seconds()
                await asyncio.sleep(1.0)
        finally:
            await self.telegram.flush(3.0)
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.feeds.close()
            if self.store:
                self.store.close()

    def second(self) -> None:
        """Decide what is told, keep the figures, write the status."""
        now_ms, now_s = self._clock.wall_ms(), self._clock.mono_ns() // 10**9
        self._seconds += 1
        if self._seconds % GIVE_BACK_S == GIVE_BACK_FIRST_S:
            give_back(self._seconds % THOROUGHLY_S == GIVE_BACK_FIRST_S)
        if news := self.board.second(now_s):
            text = self.board.text_of(news, self.settings.language)
            self.tell(text)
        if self.store:
            try:
                self._keep_figures(self.store, now_ms, now_s)
            except sqlite3.Error as error:  # figures are lost; orders and alerts go on
                log.warning("premium.sqlite3: %s", error)
        if self._keep and now_s - self._status_s >= STATUS_EVERY_S:  # seconds may be skipped
            self._status_s = now_s
            try:
                write_private(self.folder / STATUS_FILE, json.dumps(self.status(now_ms)))
            except OSError as error:
                log.warning("%s: %s", STATUS_FILE, error.strerror)

    def tell(self, text: str) -> None:
        """Tell people."""
        text = self.redact(text)
        self.told = [*self.told[-4:], text]
        self.telegram.post(text)

    def _keep_figures(self, store: PremiumStore, now_ms: int, now_s: int) -> None:
        for coin in self.board.coins:
            if figures := self.board.figures(coin):
                store.put(now_ms, coin, figures.usdt)
                if now_s % RANKS_EVERY_S == 0 or coin not in self.board.ranks:
                    rank = store.rank(coin, round(figures.usdt * 10**6), now_ms - MONTH_MS)
                    if rank is not None:
                        self.board.ranks = {**self.board.ranks, coin: rank}

    def status(self, now_ms: int) -> dict[str, Any]:
        """Return how everything is now."""
        states = {coin: self.board.state(coin) for coin in self.board.coins}
        more = self.more(now_ms)
        venues = {name: each.as_json(now_ms) for name, each in self.feeds.statistics.items()}
        down = {line.plan.name: line.why for line in self.feeds.lines if line.why}
        down |= {each.name: each.why for each in self.kept if each.why}
        return {
            "version": 1, "at_ms": now_ms, "pid": os.getpid(),
            "venues": venues | more.get("venues", {}), "down": {name: self.redact(why) for name, why in (down | more.get("down", {})).items()},
            "kimchi": {coin: {"premium_ppm": round(f.usdt * 10**6) if f else None, "why": why}
                       for coin, (f, why) in states.items()},
            "alerts_waiting": len(self.telegram.outbox), "accounts": more.get("accounts", {}),
        }  # fmt: skip
