"""What a person sees of Kiwoom alone: `conditions`, and what `check` finds out about the key."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import urllib.parse
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from kis_realtime_trading import BotError, Both, Fault, Redactor, SettingsError
from venues import kiwoom
from venues.board import SEOUL
from venues.common import FeedChange, VQuote, VTicker
from venues.kiwoom import Event, KiwoomRefused
from venues.kiwoom_client import Keys, KiwoomClient
from venues.kiwoom_conditions import ConditionChange, ConditionFeed
from venues.kiwoom_stream import Follower, KiwoomLine, Session
from venues.monitor import Hosts
from venues.settings import SECRETS, Environment, VenueSettings
from venues.wire import Clock, Http, Pacer, Statistics
from venues.words import percent, say

MOST_FOLLOWED = 50  # stocks of conditions whose prices are asked for at once
FRESH_NS = 15 * 10**9


class Way(NamedTuple):
    """A key's REST client and where its stream is."""

    client: KiwoomClient
    stream: str


@asynccontextmanager
async def way_to(
    settings: VenueSettings, given: Environment, hosts: Hosts, clock: Clock
) -> AsyncIterator[Way]:
    """Open the way to Kiwoom. Raises SettingsError: it is switched off, or has no key."""
    use = settings.kiwoom.use
    if use == "off" or SECRETS[4] not in given.keys:
        expected = Both("mock or live, with KIWOOM_APP_KEY and KIWOOM_SECRET_KEY in the environment", "mock 또는 live, 환경 변수 KIWOOM_APP_KEY와 KIWOOM_SECRET_KEY")  # fmt: skip
        raise SettingsError([Fault("kiwoom.use", use, expected)])
    world = kiwoom.WORLDS[use]
    base, stream = hosts.kiwoom_rest or world.rest, hosts.kiwoom_stream or world.stream
    transport = hosts.transport([urllib.parse.urlsplit(base).netloc])
    pacer = Pacer(kiwoom.LIMITS)
    http = Http(transport, pacer, Statistics(), clock, kiwoom.hear_limits(pacer))
    keys = Keys(given.keys[SECRETS[4]], given.keys[SECRETS[5]])
    try:
        client = KiwoomClient(http, keys, world, base, settings.state_dir)
        client.hide(given.secrets())
        yield Way(client, stream + kiwoom.STREAM_PATH)
    finally:
        await transport.close()


@asynccontextmanager
async def line_of(
    way: Way, feed: ConditionFeed, take: Callable[[Event], None], stocks: tuple[str, ...],
    changed: Callable[[FeedChange], None],
) -> AsyncIterator[KiwoomLine]:  # fmt: skip
    """Hold a line with conditions while it is used."""
    session = Session(take, stocks, False, feed)
    http = way.client.http
    line = KiwoomLine(way.client.tokens, way.stream, session, changed, http.statistics, http.clock)
    task = asyncio.create_task(line.run())
    try:
        yield line
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def watch_line(
    settings: VenueSettings, given: Environment, hosts: Hosts, clock: Clock,
    take: Callable[[Event], None], changed: Callable[[FeedChange], None],
) -> AsyncIterator[KiwoomLine]:  # fmt: skip
    """Give the line of the stocks in the settings; the caller runs it."""
    async with way_to(settings, given, hosts, clock) as way:
        http, stocks = way.client.http, settings.kiwoom.stocks
        session = Session(take, stocks, False, None)
        yield KiwoomLine(way.client.tokens, way.stream, session, changed, http.statistics, clock)


# --- conditions -------------------------------------------------------------------------


async def conditions(
    options: argparse.Namespace, settings: VenueSettings, given: Environment, hosts: Hosts
) -> int:
    """List the conditions, print one, or follow those of the settings (all, when it names none)."""
    clock, redact = Clock(), Redactor(given.secrets())
    async with way_to(settings, given, hosts, clock) as way:
        wanted = () if options.list or options.once else settings.kiwoom.conditions
        once = (options.once,) if options.once else ()
        shown = Printer(options.language, clock, redact)
        prices = Prices(options.language, clock) if options.prices and wanted else None
        feed = ConditionFeed(wanted, prices.changed if prices else shown.changed, once)
        told = shown.line if wanted and not prices else lambda change: None
        async with line_of(
            way, feed, prices.take if prices else lambda event: None, (), told
        ) as line:
            if prices:
                prices.follower = Follower(line.session.watch, MOST_FOLLOWED, ())
            for _ in range(int(options.wait * 20)):
                if feed.done:
                    break
                await asyncio.sleep(0.05)
            if not feed.done:
                print(
                    redact(say("c_down", options.language, time=shown.now(), why=line.why or "…"))
                )
                print(say("find_why", options.language))
                return 1
            if prices:
                for name, why in feed.why.items():
                    print(say("c_why", options.language, name=name, why=redact(why)))
                await prices.show(options.seconds, lambda: redact(line.why))
                return 0
            return await _shown(options, feed, shown)


async def _shown(options: argparse.Namespace, feed: ConditionFeed, shown: Printer) -> int:
    language = options.language
    if not feed.listed:
        print(say("c_none", language))
        return 1
    for name, count in feed.unread.items():
        print(say("c_odd", language, name=name, count=count))
    if options.once:
        if options.once not in feed.hits:
            why = feed.why.get(options.once, "")
            why = say("c_gone", language) if why == "not in the list" else why
            print(say("c_why", language, name=options.once, why=shown.redact(why)))
            return 1
        Console().print(hits_table(feed, options.once, language))
        return 0
    if options.list or not feed.wanted:
        Console().print(list_table(feed, language))
        return 0
    for name, why in feed.why.items():
        print(say("c_why", language, name=name, why=shown.redact(why)))
    if options.seconds:
        await asyncio.sleep(options.seconds)
    else:
        await asyncio.Event().wait()
    return 0


class Printer:
    """Prints who comes and goes, a line each."""

    def __init__(self, language: str, clock: Clock, redact: Callable[[str], str]) -> None:
        self._language, self._clock, self.redact = language, clock, redact

    def now(self) -> str:
        """Return the time in Seoul."""
        at = datetime.fromtimestamp(self._clock.wall_ms() / 1_000, UTC)
        return f"{at.astimezone(SEOUL):%H:%M:%S}"

    def changed(self, change: ConditionChange) -> None:
        """Print a stock that came in or left."""
        more = say("c_resync", self._language) if change.resync else ""
        code = "c_in" if change.inside else "c_out"
        print(say(code, self._language, time=self.now(), name=change.name, stock=change.symbol, more=more), flush=True)  # fmt: skip

    def line(self, change: FeedChange) -> None:
        """Print that the line came or went."""
        code = "c_up" if change.up else "c_down"
        print(self.redact(say(code, self._language, time=self.now(), why=change.why)), flush=True)


class Prices:
    """The stocks of the conditions with their prices, as long as they are in one."""

    def __init__(self, language: str, clock: Clock) -> None:
        self._language, self._clock = language, clock
        self.follower: Follower | None = None
        self._names: dict[str, set[str]] = {}
        self._quotes: dict[str, VQuote] = {}
        self._tickers: dict[str, VTicker] = {}

    def changed(self, change: ConditionChange) -> None:
        """Follow a stock that came in; forget one that left."""
        names = self._names.setdefault(change.symbol, set())
        (names.add if change.inside else names.discard)(change.name)
        if not names:
            for known in (self._names, self._quotes, self._tickers):
                known.pop(change.symbol, None)
        if self.follower:
            self.follower.changed(change)

    def take(self, event: Event) -> None:
        """Take a price."""
        if isinstance(event, VQuote):
            self._quotes[event.symbol] = event
        elif isinstance(event, VTicker):
            self._tickers[event.symbol] = event

    def table(self, down: str) -> Table:
        """Return one row a stock; a price older than 15 s is dim."""
        table = Table(
            title=say("c_title", self._language), title_justify="left", caption=escape(down) or None
        )
        for head in ("c_stock", "c_name"):
            table.add_column(say(head, self._language))
        for head in ("last", "bid", "ask", "c_change"):
            table.add_column(say(head, self._language), justify="right", no_wrap=True)
        for symbol, names in sorted(self._names.items()):
            quote, ticker = self._quotes.get(symbol), self._tickers.get(symbol)
            change = ticker.change_day_pct if ticker else None
            cells = (
                f"{ticker.last:,}" if ticker else "-", f"{quote.bid:,}" if quote else "-",
                f"{quote.ask:,}" if quote else "-", "-" if change is None else percent(Fraction(change) / 100),
            )  # fmt: skip
            fresh = ticker and self._clock.mono_ns() - ticker.seen_ns <= FRESH_NS and not down
            table.add_row(symbol, ", ".join(sorted(names)), *cells, style=None if fresh else "dim")
        return table

    async def show(self, seconds: float, down: Callable[[], str]) -> None:
        """Show the table once a second until the time is over (0: until Ctrl-C)."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds if seconds else float("inf")
        with Live(self.table(down()), auto_refresh=False) as live:
            while loop.time() < until:
                await asyncio.sleep(1.0)
                live.update(self.table(down()), refresh=True)


def list_table(feed: ConditionFeed, language: str) -> Table:
    """Return the names of all conditions."""
    table = Table(title=say("c_title", language), title_justify="left")
    table.add_column("#", justify="right")
    table.add_column(say("c_name", language))
    for name, seq in (feed.listed or {}).items():
        table.add_row(seq, name)
    return table


def hits_table(feed: ConditionFeed, name: str, language: str) -> Table:
    """Return the stocks of one condition with their prices."""
    table = Table(title=f"{say('c_title', language)}: {name}", title_justify="left")
    table.add_column(say("c_stock", language))
    for head in ("last", "c_change"):
        table.add_column(say(head, language), justify="right")
    if not feed.hits[name]:
        table.caption, table.caption_justify = say("c_empty", language), "left"
    for hit in feed.hits[name]:
        table.add_row(f"{hit.symbol} {hit.name}", f"{hit.price:,}", percent(hit.change))
    return table


# --- check ------------------------------------------------------------------------------


# Codes of `check`: what it is, what to do.
_KEY = Both("Kiwoom refuses the key", "키움이 키를 거부합니다")
_WAIT = Both("wait and try again", "잠시 뒤 다시 시도하십시오")
CAUSES: dict[str, tuple[Both, Both]] = {
    "kiwoom_keys": (_KEY, Both("copy key and secret of the right world anew: mock and live have keys of their own", "맞는 쪽(모의투자·실전)의 앱키와 시크릿을 다시 복사하십시오. 서로 통하지 않습니다")),
    "kiwoom_token": (_KEY, Both("register this machine's address at Kiwoom; then try again", "키움에 이 서버의 IP를 등록하고 다시 시도하십시오")),
    "kiwoom_program": (Both("Kiwoom does not take the request", "키움이 요청을 받지 않습니다"), Both("this program may be too old", "프로그램이 오래되었을 수 있습니다")),
    "kiwoom_stock": (Both("Kiwoom does not take the request", "키움이 요청을 받지 않습니다"), _WAIT),
    "kiwoom_wait": (Both("too many calls", "호출이 너무 많습니다"), Both("stop other programs with this key, then try again", "같은 키를 쓰는 다른 프로그램을 멈추고 다시 시도하십시오")),
    "kiwoom_unsure": (Both("Kiwoom has trouble", "키움 쪽 오류입니다"), _WAIT),
    "kiwoom_refused": (_KEY, Both("look up the code at openapi.kiwoom.com", "openapi.kiwoom.com에서 코드를 확인하십시오")),
    "kiwoom_silent": (Both("no answer of use", "쓸 수 있는 응답이 없습니다"), Both("is it maintenance (nightly), a firewall? try again", "점검(야간) 중인지, 방화벽이 막는지 보고 다시 시도하십시오")),
    "kiwoom_stream": (Both("the stream does not stand", "실시간 연결이 되지 않습니다"), Both("let port 10000 out; try again", "10000번 포트를 열고 다시 시도하십시오")),
    "kiwoom_twice": (Both("another program is connected with this key", "다른 프로그램이 같은 키로 접속해 있습니다"), Both("stop it: one key holds one connection", "멈추십시오. 키 하나에 연결 하나입니다")),
    "kiwoom_condition": (Both("no such condition: {text}", "없는 조건: {text}"), Both("take names from `conditions --list`; make conditions in the HTS and save them on the server", "`conditions --list`의 이름을 쓰십시오. 조건은 영웅문4에서 만들어 서버에 저장합니다")),
}  # fmt: skip


class Found(NamedTuple):
    """One thing looked at, as `check` takes it: what, a code ("ok" for none), the words."""

    about: Both
    code: str
    text: str


async def check_key(
    settings: VenueSettings, given: Environment, hosts: Hosts, clock: Clock, wait_s: float
) -> list[Found]:
    """Ask for a token, the account and the stream; nothing is ordered."""
    about, stream = Both("Kiwoom, key", "키움 키"), Both("Kiwoom, stream", "키움 실시간")
    found: list[Found] = []
    async with way_to(settings, given, hosts, clock) as way:
        try:
            mark = await way.client.account_mark()
        except KiwoomRefused as refusal:
            text = Both(refusal.said("en"), refusal.said("ko"))
            return [Found(about, f"kiwoom_{refusal.act or 'refused'}", text)]
        except BotError as error:
            return [Found(about, "kiwoom_silent", type(error).__name__)]
        hours = way.client.tokens.left_s // 3_600
        found.append(Found(about, "ok", Both(f"account …{mark}, the token is good for {hours} h", f"계좌 …{mark}, 토큰 {hours}시간 남음")))  # fmt: skip
        feed = ConditionFeed((), lambda change: None)
        async with line_of(way, feed, lambda event: None, (), lambda change: None) as line:
            for _ in range(int(wait_s * 20)):
                if feed.done or line.why:
                    break
                await asyncio.sleep(0.05)
            found.append(_stream_found(settings, feed, line, stream))
    return found


def _stream_found(
    settings: VenueSettings, feed: ConditionFeed, line: KiwoomLine, about: Both
) -> Found:
    if feed.listed is None:
        why = line.why or "silent"
        return Found(about, "kiwoom_twice" if "R10001" in why else "kiwoom_stream", why)
    missing = ", ".join(name for name in settings.kiwoom.conditions if name not in feed.listed)
    if missing:
        return Found(about, "kiwoom_condition", missing)
    count = len(feed.listed)
    return Found(about, "ok", Both(f"all right, {count} conditions", f"정상, 조건 {count}개"))
