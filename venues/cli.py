"""`python -m venues kimchi [--demo] [--once]`: the premium as a table in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
import uuid
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from kis_realtime_trading import run_guarded
from venues import binance, upbit
from venues.common import FeedChange, VQuote, rounded
from venues.kimchi import AlertRule, CoinAlert, Zone, mid, premium, usable
from venues.simulators.market import MarketSimulator
from venues.store import PremiumStore, chart
from venues.wire import Clock, Line, Statistics

COINS = ("BTC", "ETH", "XRP", "SOL")  # the same coin at both venues; letters alone do not say so
RATE = "KRW-USDT"
WORDS = {
    "ko": ("코인", "업비트(원)", "바이낸스(원)", "김프(테더)", "알림", "높음", "낮음", "김치 프리미엄"),
    "en": ("coin", "Upbit (won)", "Binance (won)", "premium (USDT)", "alert", "high", "low", "Kimchi premium"),
}  # fmt: skip


class Board:
    """The newest quotes and what they mean. A line that goes down takes its quotes with it."""

    def __init__(self, rule: AlertRule, clock: Clock) -> None:
        self._clock, self._quotes = clock, dict[tuple[str, str], VQuote]()
        self.alerts = {coin: CoinAlert(rule) for coin in COINS}

    def take(self, event: object) -> None:
        """Take a quote of a venue."""
        if isinstance(event, VQuote):
            self._quotes[event.venue, event.symbol] = event

    def changed(self, change: FeedChange) -> None:
        """Forget what a line said that is down."""
        if not change.up:
            self._quotes = {k: v for k, v in self._quotes.items() if k[0] != change.venue}

    def figures(self, coin: str) -> tuple[Fraction, Fraction, Fraction] | None:
        """Return won price, dollar price in won, premium; None when a leg is not usable."""
        now = self._clock.wall_ms(), self._clock.mono_ns()
        won = self._quotes.get((upbit.VENUE, f"KRW-{coin}"))
        dollars = self._quotes.get((binance.VENUE, f"{coin}USDT"))
        rate = self._quotes.get((upbit.VENUE, RATE))
        legs = (won, dollars, rate)
        if won is None or dollars is None or rate is None or not all(usable(q, *now) for q in legs):
            return None
        value = premium(won, dollars, mid(rate))
        return None if value is None else (mid(won), mid(dollars) * mid(rate), value)

    def second(self, now_s: int) -> None:
        """Let every coin decide what is told; called once a second."""
        for coin, alert in self.alerts.items():
            figures = self.figures(coin)
            alert.second(now_s, figures and figures[2])

    def keep(self, store: PremiumStore | None, now_ms: int) -> None:
        """Write the figures that stand now into the store, when there is one."""
        for coin in COINS if store else ():
            if store and (figures := self.figures(coin)):
                store.put(now_ms, coin, figures[2])

    def complete(self) -> bool:
        """Tell whether every coin has a figure."""
        return all(self.figures(coin) for coin in COINS)

    def table(self, language: str) -> Table:
        """Return the table, the highest premium first."""
        words = WORDS[language]
        rate = self._quotes.get((upbit.VENUE, RATE))
        title = f"{words[7]} · {RATE} {f'{rounded(mid(rate), 2):,}' if rate else '-'}"
        table = Table(title=title)
        for number, word in enumerate(words[:5]):
            table.add_column(word, justify="left" if number in (0, 4) else "right")
        found = {coin: self.figures(coin) for coin in COINS}
        for coin in sorted(COINS, key=lambda c: -(f[2] if (f := found[c]) else Fraction(-1))):
            figures, zone = found[coin], self.alerts[coin].told
            mark = {Zone.HIGH: words[5], Zone.LOW: words[6]}.get(zone, "")
            if figures is None:
                table.add_row(coin, "-", "-", "-", mark)
                continue
            prices = [f"{rounded(price, 2):,}" for price in figures[:2]]
            table.add_row(coin, *prices, f"{rounded(figures[2] * 100, 2):+}%", mark)
        return table


def lines_of(board: Board, clock: Clock, port: int) -> list[Line]:
    """Return the two market lines: public hosts, or the demo's port."""
    stream = f"ws://127.0.0.1:{port}/websocket/v1" if port else upbit.STREAM
    combined = f"ws://127.0.0.1:{port}" if port else binance.DATA_STREAM
    plans: list[tuple[Any, Any]] = [
        (upbit.line_plan(stream, [*(f"KRW-{c}" for c in COINS), RATE], lambda: str(uuid.uuid4())),
         upbit.read_frame),
        (binance.line_plan(combined, [f"{coin}USDT" for coin in COINS]), binance.read_frame),
    ]  # fmt: skip

    def reader(read: Any) -> Any:
        def take(raw: bytes, seen_ns: int) -> None:
            for event in read(raw, seen_ns):
                board.take(event)

        return take

    return [Line(plan, reader(read), board.changed, Statistics(), clock) for plan, read in plans]


def show_history(path: Path, language: str) -> int:
    """Print the last 24 hours of every coin with a chart; 1 when there is nothing yet."""
    try:
        store = PremiumStore(path, read_only=True)
        found = {coin: store.closes(coin, Clock().wall_ms() - 86_400_000) for coin in COINS}
    except sqlite3.Error:
        print(
            {"ko": "아직 기록이 없습니다: ", "en": "nothing recorded yet: "}[language] + str(path)
        )
        return 1
    store.close()
    for coin, rows in found.items():
        values = [ppm for _, ppm in rows]
        last = f"{rounded(Fraction(values[-1], 10_000), 2):+}%" if values else "-"
        print(f"{coin:5} {last:>8}  {chart(values)}")
    return 0


def _shown(board: Board, lines: Sequence[Line], language: str) -> Table:
    """Return the table, with what is wrong under it."""
    table = board.table(language)
    down = [f"{line.plan.venue}: {line.why}" for line in lines if line.why]
    table.caption = escape("\n".join(down)) or None
    return table


def _raise_of(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """A line runs for ever: one that ended did so by a fault, which must not stay unseen."""
    for task in tasks:
        if task.done():
            task.result()


async def _kimchi(options: argparse.Namespace) -> int:
    clock, simulator = Clock(), MarketSimulator() if options.demo else None
    store = None if options.demo or options.once else PremiumStore(options.store)
    board = Board(AlertRule(Decimal(5), Decimal(-3)), clock)
    console, loop = Console(), asyncio.get_running_loop()
    if simulator:
        await simulator.start()
    lines = lines_of(board, clock, simulator.port if simulator else 0)
    tasks = [loop.create_task(line.run()) for line in lines]
    try:
        if options.once:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(options.wait):
                    while not board.complete():
                        _raise_of(tasks)
                        await asyncio.sleep(0.1)
            console.print(_shown(board, lines, options.language))
            return 0 if board.complete() else 1
        with Live(
            _shown(board, lines, options.language), console=console, auto_refresh=False
        ) as live:
            while True:
                _raise_of(tasks)
                board.second(clock.mono_ns() // 10**9)
                board.keep(store, clock.wall_ms())
                live.update(_shown(board, lines, options.language), refresh=True)
                await asyncio.sleep(1.0)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if simulator:
            await simulator.stop()
        if store:
            store.close()


def build_parser() -> argparse.ArgumentParser:
    """Return the arguments."""
    parser = argparse.ArgumentParser(prog="python -m venues")
    commands = parser.add_subparsers(dest="command", required=True)
    kimchi = commands.add_parser("kimchi", help="the kimchi premium; needs no key")
    kimchi.add_argument("--demo", action="store_true", help="simulated venues, no network")
    kimchi.add_argument("--once", action="store_true", help="print one table and end")
    kimchi.add_argument("--history", action="store_true", help="the last 24 hours, and end")
    kimchi.add_argument("--store", type=Path, default=Path("venue_state/premium.sqlite3"))
    kimchi.add_argument("--wait", type=float, default=10.0, help="seconds that --once waits")
    kimchi.add_argument("--language", choices=("ko", "en"), default="ko")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    options = build_parser().parse_args(arguments)
    options.speak = options.language  # the bot's guard speaks it
    if options.history:
        return show_history(options.store, options.language)
    return run_guarded(options, lambda given: asyncio.run(_kimchi(given)))
