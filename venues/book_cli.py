"""`watch --book SYMBOL`: ten levels of one market, live, from whichever venue has it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from kis_realtime_trading import BotError, Redactor
from venues import binance, kiwoom_cli, upbit
from venues.common import FeedChange, VBook, delivering, parse_json
from venues.depth import DepthBook
from venues.monitor import Hosts
from venues.settings import Environment, VenueSettings
from venues.wire import Clock, Http, Line, Pacer, Statistics
from venues.words import say

BAR, FRESH_NS, SNAPSHOT_PAUSE_S = 10, 15 * 10**9, 2.0


class Shown:
    """The newest book; a line that goes down takes it with it."""

    def __init__(self) -> None:
        self.book: VBook | None = None

    def take(self, event: object) -> None:
        """Take a book."""
        if isinstance(event, VBook):
            self.book = event

    def changed(self, change: FeedChange) -> None:
        """Forget what a line said that is down."""
        if not change.up:
            self.book = None


def table_of(book: VBook, language: str, fresh: bool, why: str, levels: int = 10) -> Table:
    """Return sells above buys, sizes as bars; so many levels a side."""
    book = book._replace(bids=book.bids[:levels], asks=book.asks[:levels])
    table = Table(
        title=say("book_title", language, symbol=book.symbol), caption=escape(why) or None
    )
    most = max((size for _, size in (*book.bids, *book.asks)), default=None)
    for head, side in (("size", "right"), ("ask", "right"), ("bid", "left"), ("size", "left")):
        table.add_column(say(head, language), justify=side, no_wrap=True)  # type: ignore[arg-type]
    for level in reversed(book.asks):
        table.add_row(_bar(level[1], most, True), f"{level[0]:,f}", "", "")
    for level in book.bids:
        table.add_row("", "", f"{level[0]:,f}", _bar(level[1], most, False))
    table.style = "" if fresh else "dim"
    return table


def _bar(size: Any, most: Any, left: bool) -> str:
    bar = "█" * max(1, int(size * BAR / most)) if most and size else ""
    text = f"{size.normalize():f}" if size else "0"
    return f"{bar} {text}" if left else f"{text} {bar}"


@asynccontextmanager
async def line_of(
    symbol: str, settings: VenueSettings, given: Environment, hosts: Hosts, clock: Clock, shown: Shown
) -> AsyncIterator[tuple[Line, Callable[[], Any] | None]]:  # fmt: skip
    """Give the line of a market, and what must run beside it."""
    statistics, name = Statistics(), symbol.upper()
    if re.fullmatch(r"[0-9A-Z]{6}(_NX|_AL)?", name) and name[0].isdigit():
        section = settings.kiwoom.model_copy(update={"stocks": (name,)})
        chosen = settings.model_copy(update={"kiwoom": section})
        async with kiwoom_cli.watch_line(chosen, given, hosts, clock, shown.take, shown.changed) as kiwoom_line:  # fmt: skip
            yield kiwoom_line, None
    elif "-" in name:
        plan = upbit.book_plan(hosts.upbit_stream, name, lambda: str(uuid.uuid4()))
        deliver = delivering(upbit.read_book, shown.take)
        yield Line(plan, deliver, shown.changed, statistics, clock, hosts.connect), None
    else:
        book = DepthBook(binance.VENUE, name)

        def read(raw: bytes, seen_ns: int) -> None:
            for frame in binance.read_depth(raw):
                shown.take(book.difference(frame, seen_ns))

        def changed(change: FeedChange) -> None:
            book.begin()
            shown.changed(change)

        transport = hosts.transport(binance.HOSTS)
        pacer = Pacer(binance.LIMITS)
        http = Http(transport, pacer, statistics, clock, binance.hear_limits(pacer))
        line = Line(binance.depth_plan(hosts.binance_stream, name), read, changed, statistics, clock, hosts.connect)  # fmt: skip

        async def snapshots() -> None:
            while True:
                if line.up and not book.whole:
                    with contextlib.suppress(BotError):  # asked again
                        reply = await http.query(
                            lambda: binance.depth_call(hosts.binance_rest, name)
                        )
                        shown.take(book.snapshot(parse_json(reply.text), clock.mono_ns()))
                    await asyncio.sleep(SNAPSHOT_PAUSE_S * (not book.whole))
                await asyncio.sleep(0.2)

        try:
            yield line, snapshots
        finally:
            await transport.close()


async def run(
    options: argparse.Namespace, settings: VenueSettings, given: Environment, hosts: Hosts
) -> int:
    """Show the book of one market until Ctrl-C, or once."""
    console, clock, shown, language = Console(), Clock(), Shown(), settings.language
    redact = Redactor(given.secrets())
    async with line_of(options.book, settings, given, hosts, clock, shown) as (line, beside):
        tasks = [asyncio.create_task(line.run())]
        if beside:
            tasks.append(asyncio.create_task(beside()))

        room = max(1, (console.height - 6) // 2) if console.is_terminal else 10  # of a small window

        def table() -> Table | str:
            book, why = shown.book, redact(line.why)
            if book is None:
                return say("book_none", language, symbol=options.book, why=why or "…")
            fresh = clock.mono_ns() - book.seen_ns <= FRESH_NS
            return table_of(book, language, fresh, why, room)

        try:
            if options.once:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(options.wait):
                        while shown.book is None:
                            await asyncio.sleep(0.05)
                if shown.book is None:
                    text = say("book_unheard", language, symbol=options.book, why=redact(line.why))
                    print(f"{text}\n{say('find_why', language)}")
                    return 1
                console.print(table())
                return 0
            with Live(table(), console=console, auto_refresh=False) as live:
                while True:
                    for task in tasks:
                        if task.done():
                            task.result()
                    live.update(table(), refresh=True)
                    await asyncio.sleep(0.5)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
