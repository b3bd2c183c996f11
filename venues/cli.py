"""The door: `python -m venues kimchi | watch | run | orders | conditions | status | report | check`.

A command is loaded when it is asked for: the monitor of the premium, which runs for months, needs none of
the others.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from rich.box import HEAVY_HEAD, SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from kis_realtime_trading import (
    BadData,
    BotError,
    NoAnswer,
    NotSent,
    Redactor,
    in_language,
    run_guarded,
    set_up_logging,
)
from venues import binance, upbit
from venues.board import WIDE
from venues.common import FeedChange, VQuote, VTicker, day_of, rounded
from venues.monitor import STATUS_FILE, Feeds, Hosts, Monitor
from venues.options import build_parser, with_action
from venues.settings import (
    Environment,
    VenueSettings,
    load_settings,
)
from venues.store import PremiumStore, plot
from venues.wire import Clock, NotConnected
from venues.words import hundred_millions, percent, price, say

OLD_STATUS_S = 60


@contextlib.asynccontextmanager
async def venues_of(demo: bool) -> AsyncIterator[Hosts]:
    """Give the public hosts, or simulated ones on loopback."""
    if not demo:
        yield Hosts()
        return
    from venues.demo import simulated  # only then: its servers cost memory

    async with simulated() as hosts:
        yield hosts


def _down(feeds: Feeds, redact: Redactor) -> str:
    """Return what is wrong with the lines, one a line of text."""
    return redact("\n".join(f"{line.plan.venue}: {line.why}" for line in feeds.lines if line.why))


# --- kimchi -----------------------------------------------------------------------------


def show_history(options: argparse.Namespace, settings: VenueSettings) -> int:
    """Print what was kept of every coin with a chart; 1 when there is nothing yet."""
    language, path = options.language, options.store or settings.state_dir / "premium.sqlite3"
    since = Clock().wall_ms() - options.hours * 3_600_000
    coins = [options.coin.upper()] if options.coin else settings.kimchi.coins
    try:
        store = PremiumStore(path, read_only=True)
        found = {coin: store.closes(coin, since) for coin in coins}
        store.close()
    except sqlite3.Error:
        print(say("nothing_yet", language, path=path))
        return 1
    if not any(found.values()):
        print(say("nothing_yet", language, path=path))
        return 1
    for coin, rows in found.items():
        if not rows:
            continue
        values = [ppm for _, ppm in rows]
        low, last, high = (
            f"{rounded(Fraction(each, 10_000), 2):+}%"
            for each in (min(values), values[-1], max(values))
        )
        print(f"{coin}  {last}  ({low} … {high})")
        print("\n".join(plot(rows, width=max(20, min(100, Console().width - 14)))) + "\n")
    return 0


async def _kimchi(options: argparse.Namespace, settings: VenueSettings, given: Environment) -> int:
    console, keep = Console(), not (options.demo or options.once)
    async with venues_of(options.demo) as hosts:
        monitor = Monitor(settings, given, hosts, Clock(), keep)

        def shown() -> Table:
            return _shown(monitor, settings.language, console.width)

        if options.once:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(options.wait):
                    await monitor.run(_ending_when(monitor.board.complete))
            console.print(shown())
            if monitor.board.complete():
                return 0
            print(say("find_why", settings.language))
            return 1
        if options.plain:
            print(say("k_started", settings.language), flush=True)
            told = _news_printer(monitor)
            await monitor.run(told)
        with Live(shown(), console=console, auto_refresh=False) as live:
            await monitor.run(lambda: live.update(shown(), refresh=True))


def _ending_when(done: Any) -> Any:
    def second() -> None:
        if done():
            raise TimeoutError

    return second


def _news_printer(monitor: Monitor) -> Any:
    """Return what prints each alert once, for a service without a terminal."""
    printed: list[str] = []

    def second() -> None:
        for text in monitor.told:
            if text not in printed[-5:]:
                print(text, flush=True)
                printed.append(text)
        del printed[:-5]

    return second


def _shown(monitor: Monitor, language: str, width: int) -> Table:
    """Return the table, with what was told and what is wrong under it."""
    table = monitor.board.table(language, width)
    parts = [*monitor.told[-2:], _down(monitor.feeds, monitor.redact)]
    table.caption = escape("\n".join(part for part in parts if part)) or None
    return table


# --- watch ------------------------------------------------------------------------------


class Watched:
    """The newest of every market; a line that goes down takes its prices with it."""

    def __init__(self, symbols: dict[str, Sequence[str]]) -> None:
        self.symbols = symbols
        self.quotes: dict[tuple[str, str], VQuote] = {}
        self.tickers: dict[tuple[str, str], VTicker] = {}

    def take(self, event: object) -> None:
        """Take an event of a venue."""
        if isinstance(event, VQuote):
            self.quotes[event.venue, event.symbol] = event
        elif isinstance(event, VTicker):
            self.tickers[event.venue, event.symbol] = event

    def changed(self, change: FeedChange) -> None:
        """Forget what a line said that is down."""
        if not change.up:
            self.quotes = {k: v for k, v in self.quotes.items() if k[0] != change.venue}
            self.tickers = {k: v for k, v in self.tickers.items() if k[0] != change.venue}

    def complete(self) -> bool:
        """Tell whether every market said something."""
        return all(
            (venue, s) in self.quotes for venue, names in self.symbols.items() for s in names
        )

    def table(self, language: str, now_ns: int, width: int) -> Table:
        """Return one row a market; prices older than 15 s are dim."""
        lines = HEAVY_HEAD if width >= WIDE else SIMPLE_HEAD  # borders cost a column at 80
        wide = width >= WIDE
        table = Table(
            title=say("watch_title", language), box=lines, pad_edge=wide, collapse_padding=not wide
        )
        heads: tuple[str, ...] = (
            "venue",
            "symbol",
            "last",
            "bid",
            "ask",
            "since9",
            "day",
            "volume",
        )
        heads = heads if width >= WIDE else heads[:-1]
        for head in heads:
            left = head in ("venue", "symbol")
            table.add_column(say(head, language), justify="left" if left else "right", no_wrap=True)
        for venue, names in self.symbols.items():
            for symbol in names:
                quote, ticker = self.quotes.get((venue, symbol)), self.tickers.get((venue, symbol))
                cells = ["-"] * 6
                if ticker:
                    cells[0] = price(Fraction(ticker.last))
                    for at, pct in ((3, ticker.change_day_pct), (4, ticker.change_24h_pct)):
                        cells[at] = "-" if pct is None else percent(Fraction(pct) / 100)
                    if ticker.quote_24h is not None and venue == upbit.VENUE:
                        cells[5] = hundred_millions(ticker.quote_24h)
                if quote:
                    cells[1:3] = price(Fraction(quote.bid)), price(Fraction(quote.ask))
                fresh = quote and now_ns - quote.seen_ns <= 15 * 10**9
                table.add_row(
                    say(venue, language),
                    symbol,
                    *cells[: len(heads) - 2],
                    style=None if fresh else "dim",
                )
        return table


async def _watch(options: argparse.Namespace, settings: VenueSettings, given: Environment) -> int:
    if options.book:
        from venues import book_cli

        async with venues_of(options.demo) as hosts:
            return await book_cli.run(options, settings, given, hosts)
    sections: tuple[tuple[str, Any], ...] = ((upbit.VENUE, settings.upbit), (binance.VENUE, settings.binance))  # fmt: skip
    symbols = {venue: list(each.markets) for venue, each in sections if each.use != "off"}
    if settings.kiwoom.use != "off":
        symbols["kiwoom"] = list(settings.kiwoom.stocks)
    console, clock, watched = Console(), Clock(), Watched(symbols)  # type: ignore[arg-type]
    async with venues_of(options.demo) as hosts, contextlib.AsyncExitStack() as more:
        feeds = Feeds(hosts, clock, symbols, watched.take, watched.changed)  # type: ignore[arg-type]
        if settings.kiwoom.use != "off":
            from venues import kiwoom_cli

            feeds.lines.append(await more.enter_async_context(
                kiwoom_cli.watch_line(settings, given, hosts, clock, watched.take, watched.changed)
            ))  # fmt: skip

        def shown() -> Table:
            table = watched.table(settings.language, clock.mono_ns(), console.width)
            table.caption = escape(_down(feeds, Redactor(given.secrets()))) or None
            return table

        tasks = [asyncio.create_task(line.run()) for line in feeds.lines]
        try:
            if options.once:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(options.wait):
                        while not watched.complete():
                            await asyncio.sleep(0.1)
                console.print(shown())
                if not watched.complete():
                    print(say("find_why", settings.language))
                return 0 if watched.complete() else 1
            with Live(shown(), console=console, auto_refresh=False) as live:
                while True:
                    for task in tasks:
                        if task.done():
                            task.result()
                    live.update(shown(), refresh=True)
                    await asyncio.sleep(1.0)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


# --- status, check ----------------------------------------------------------------------


def show_status(settings: VenueSettings) -> int:
    """Print the lines and calls of the running program; 1 when there is none."""
    language, path = settings.language, settings.state_dir / STATUS_FILE
    try:
        status = json.loads(path.read_text("utf-8"))
        age_s = (Clock().wall_ms() - status["at_ms"]) // 1_000
    except (OSError, ValueError, KeyError, TypeError):
        age_s, status = OLD_STATUS_S + 1, {}
    if not -5 <= age_s <= OLD_STATUS_S:
        print(say("no_status", language, path=path))
        return 1

    from venues.overview import balances_table, calls_table, lines_table

    console = Console()
    if status["accounts"]:
        console.print(balances_table(status, language))
    head = say("status_head", language, at=path, age=age_s)
    console.print(lines_table(status, head, language))
    console.print(calls_table(status, language))
    for name, why in status["down"].items():
        console.print(f"{name}: {why}", markup=False)
    return 0


async def _run_all(options: argparse.Namespace, settings: VenueSettings, given: Environment) -> int:
    """Keep the premium and every account until it is ended; print what is told."""
    from venues.manager import Manager

    async with venues_of(options.demo) as hosts:
        manager = Manager(settings, given, hosts, Clock())
        names = ", ".join(
            f"{say(n, settings.language)} ({v.use})" for n, v in manager.venues.items()
        )
        language = settings.language
        print(say("m_started", language, venues=names or say("m_none", language)), flush=True)
        told = _news_printer(manager.monitor)
        try:
            async with asyncio.timeout(options.seconds or None):
                await manager.run(told)
        except TimeoutError:
            return 0
        finally:
            told()
            still = [f"{say(o.venue, language)} {o.symbol} {o.id}"
                     for v in manager.venues.values() for o in v.orders() if o.open]  # fmt: skip
            print(say("m_ended", language, open=", ".join(still) or say("m_none", language)))


async def _report(options: argparse.Namespace, settings: VenueSettings, given: Environment) -> int:
    """Print what a day came to, from the journals; asks nobody."""
    from venues.manager import venues_in
    from venues.report import report_text
    from venues.venue import Context

    clock = Clock()
    day = day_of(clock.wall_ms())
    if options.day:
        day = (options.day - datetime(1970, 1, 1).date()).days
    context = Context(settings, given, Hosts(), clock, lambda text: None)
    print(report_text(settings, list(venues_in(context).values()), day))
    return 0


async def _orders(options: argparse.Namespace, settings: VenueSettings, given: Environment) -> int:
    from venues import orders_cli

    async with venues_of(options.demo) as hosts:
        return await orders_cli.run(options, settings, given, hosts)


def demo_account() -> tuple[VenueSettings, Environment]:
    """Return settings and keys of the simulated venues."""
    from venues.demo import account

    return account()


async def _conditions(
    options: argparse.Namespace, settings: VenueSettings, given: Environment
) -> int:
    from venues import kiwoom_cli

    async with venues_of(options.demo) as hosts:
        return await kiwoom_cli.conditions(options, settings, given, hosts)


async def _check(options: argparse.Namespace, settings: VenueSettings, given: Environment) -> int:
    from venues.checks import Check

    async with venues_of(options.demo) as hosts:
        findings = await Check(settings, given, hosts, Clock(), options.wait).run()
    redact = Redactor(given.secrets())
    for finding in findings:
        print(redact(finding.said(settings.language)))
    return 0 if all(finding.good for finding in findings) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    typed = sys.argv[1:] if arguments is None else arguments
    english = "en" in typed[1:] or "--language=en" in typed
    parser = build_parser("en" if english else "ko")
    options = parser.parse_args(with_action(typed))
    if options.command is None:
        parser.print_help()
        print(f"\n{say('try_this', 'en' if english else 'ko')}")
        return 0
    del parser  # it would be kept as long as the command runs
    options.speak = options.language or "ko"  # the bot's guard speaks it
    return run_guarded(options, _run)


def _run(options: argparse.Namespace) -> int:
    demo = getattr(options, "demo", False)
    if demo:
        settings, given = demo_account() if options.command in ("orders", "run", "report", "conditions", "watch") else (VenueSettings(), Environment())  # fmt: skip
    else:
        settings, given = load_settings(options.settings, os.environ)
    options.speak = options.language = options.language or settings.language
    settings = settings.model_copy(update={"language": options.language})
    set_up_logging(Redactor(given.secrets()), sys.stderr)
    if options.command == "status":
        return show_status(settings)
    if options.command == "kimchi" and options.history:
        return show_history(options, settings)
    try:
        if demo:
            with tempfile.TemporaryDirectory() as folder:
                settings = settings.model_copy(update={"state_dir": Path(folder)})
                return asyncio.run(_COMMANDS[options.command](options, settings, given))
        return asyncio.run(_COMMANDS[options.command](options, settings, given))
    except (
        NotSent,
        NoAnswer,
        BadData,
    ) as error:  # of a question: an order's own end in its journal
        print(Redactor(given.secrets())(no_use(error, settings.language)), file=sys.stderr)
        return 1


def no_use(error: BotError, language: str) -> str:
    """Return what to say when a venue gave no answer of use to a question."""
    from venues.checks import CAUSES

    cause = CAUSES.get(error.kind) if isinstance(error, NotConnected) else None
    why = error.said(language) if cause is None else in_language(cause.what, language)
    return f"{say('no_use', language, why=why)}\n{say('find_why', language)}"


_COMMANDS: dict[str, Callable[[Any, Any, Any], Coroutine[Any, Any, int]]] = {
    "kimchi": _kimchi,
    "watch": _watch,
    "orders": _orders,
    "conditions": _conditions,
    "check": _check,
    "run": _run_all,
    "report": _report,
}
