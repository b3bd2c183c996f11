"""Tick in on the socket to the order's first byte on the wire, over loopback.

This process is the server: it sends trade frames at a steady rate, stamps each frame that asks for an
order just before it is written, and stamps the first byte of each order request as it arrives:
one clock, one process, the same for all clients. The clients are processes of their own:

ours      the bot's Trader as a real start wires it: KISWebSocket, inbox, recorder, codec, engine with
          all its rules, KISOrder, one kept-alive connection; a strategy that wants to buy on the
          frames that ask for it. With the journal's durable write before each order, and without
          (the journal then takes rows and writes nothing).
watched   the same with the journal, while the page serves as many open browsers as it lets in, each
          reading every status (--page; two processes more on the same cores). The bot writes its
          status, which it does not in the ways above: that is a part of the price.
screened  the same with the live screen in a terminal of 120x40 (--page; one process more).
told      with the journal, and every order told to a Telegram that answers (--phone).
cut       the same, and Telegram takes the connection and says nothing, from the first to the last order.
official  websockets, pandas.read_csv for each frame, requests.post for each order: a connection each.

In: everything between the two stamps, the server's own write and read too. Set aside for ours: the
limits of orders a second and a minute (the counts that rule and gate see are 0) and the pace of REST
calls (raised to 1,000 a second).

Where the official way cannot read the asked rate its frames queue up, and its waits say how long the
run was rather than how slow an order is. So it is measured at a tenth of the rate as well, and held
against the same targets. It needs tests/bench/requirements.txt; without it only ours is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import pty
import re
import signal
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import desk
import frames
import measure
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

import kis_realtime_trading as bot
from companions import telegram_server
from companions.page.server import MOST_STREAMS

TOKEN, OWNER = "4242:an-invented-token-of-a-bench", 4242
MARK = 777  # shares of the trades that ask for an order
WARM_UP = 10  # orders that are not counted
QUIET_S = 8.0  # without a wish: a list five seconds later confirms the account of the day
HERE = Path(__file__).resolve()
LABELS = {
    "without": "ours without journal", "durable": "ours with journal", "watched": "page open",
    "screened": "screen open", "told": "Telegram told", "cut": "Telegram cut",
}  # fmt: skip
BUYING = bot.ENDPOINTS["buy"].path


# --- the server -------------------------------------------------------------------------


class Answers:
    """What the REST host says; every order is accepted, and shown as taken back afterwards."""

    def __init__(self) -> None:
        self.rows: list[dict[str, str]] = []

    def to(self, path: str, query: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request."""
        name = path.rsplit("/", 1)[-1]
        if name == "order-cash":
            return self._accept(body)
        known: dict[str, dict[str, Any]] = {
            "tokenP": {
                "access_token": "invented", "token_type": "Bearer", "expires_in": 86_400,
                "access_token_token_expired": "2026-11-21 09:00:00",
            },
            "Approval": {"approval_key": "invented"},
            "inquire-price": {"output": {
                "stck_prpr": "70000", "aspr_unit": "100", "rprs_mrkt_kor_name": "KOSPI200",
                "stck_sdpr": "70000", "stck_mxpr": "91000", "stck_llam": "49000",
                "iscd_stat_cls_code": "55", "temp_stop_yn": "N", "hts_kor_isnm": "INVENTED",
            }},
            "inquire-daily-ccld": {"output1": self.rows, "output2": {}},
            "inquire-psbl-order": {"output": {"nrcvb_buy_amt": "5000000000"}},
            "inquire-balance": {"output1": [], "output2": [{
                "prvs_rcdl_excc_amt": "5000000000", "thdt_tlex_amt": "0", "tot_evlu_amt": "5000000000",
            }]},
        }  # fmt: skip
        if name not in known:
            return {"rt_cd": "1", "msg_cd": "OPSQ2000", "msg1": "not here"}
        return {"rt_cd": "0", **known[name]}

    def _accept(self, body: dict[str, Any]) -> dict[str, Any]:
        number = f"{len(self.rows) + 1:010d}"
        self.rows.append({
            "odno": number, "orgn_odno": "", "ord_gno_brno": "00950", "pdno": body["PDNO"],
            "sll_buy_dvsn_cd": "02", "ord_dvsn_cd": body["ORD_DVSN"], "ord_qty": body["ORD_QTY"],
            "ord_unpr": body["ORD_UNPR"], "tot_ccld_qty": "0", "tot_ccld_amt": "0",
            "cncl_cfrm_qty": body["ORD_QTY"], "rjct_qty": "0", "ord_tmd": "100000",
        })  # fmt: skip
        output = {"KRX_FWDG_ORD_ORGNO": "00950", "ODNO": number, "ORD_TMD": "100000"}
        return {"rt_cd": "0", "msg_cd": "APBK0013", "msg1": "done", "output": output}


class Http(asyncio.Protocol):
    """One HTTP connection. The first byte of each request is stamped on arrival."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange, self._buffer, self._stamp_ns = exchange, b"", 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._buffer:
            self._stamp_ns = time.monotonic_ns()
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        lengths = [int(line[15:]) for line in lines if line.startswith("content-length:")]
        if not end or len(body) < sum(lengths):
            return
        self._buffer = b""
        path, _, query = head.split(b" ", 2)[1].decode().partition("?")
        asked = json.loads(body) if body else {}
        if path == BUYING:
            self._exchange.take_order(asked["PDNO"], self._stamp_ns)
        answer = json.dumps(self._exchange.answers.to(path, query, asked)).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(answer), answer)
        )


class Exchange:
    """Sends frames and waits for orders."""

    def __init__(self, rate: int, orders: int, every: int) -> None:
        self.answers = Answers()
        self.started = time.time()
        self.waits_ns: list[int] = []
        self._rate, self._orders, self._every = rate, orders + WARM_UP, every
        self._asked: deque[tuple[str, int]] = deque()
        self._last_order_s = 0.0
        self.done = asyncio.Event()

    @property
    def clock(self) -> bot.ClockAnchor:
        """Market time: ten o'clock when this exchange began, at the usual speed."""
        market = desk.moment_of(frames.DAY, 10 * 3_600)
        return bot.ClockAnchor(unix=self.started, market=market)

    def take_order(self, code: str, stamp_ns: int) -> None:
        """Take the wait of an order; frames that brought none are passed over."""
        while self._asked:
            asked, sent_ns = self._asked.popleft()
            if asked == code:
                self.waits_ns.append(stamp_ns - sent_ns)
                break
        self._last_order_s = time.monotonic()

    async def session(self, connection: ServerConnection) -> None:
        """Acknowledge the registrations of a client, then feed it."""
        feed = None
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                await connection.send(self._acknowledgement(json.loads(message)))
                if feed is None:
                    feed = asyncio.create_task(self._feed(connection))
        if feed:
            feed.cancel()

    def _acknowledgement(self, message: dict[str, Any]) -> str:
        asked = message["body"]["input"]
        header = {"tr_id": asked["tr_id"], "tr_key": asked["tr_key"], "encrypt": "N"}
        output = {"iv": "0123456789abcdef", "key": "0123456789abcdef0123456789abcdef"}
        body = {"rt_cd": "0", "msg_cd": "OPSP0000", "msg1": "SUBSCRIBE SUCCESS", "output": output}
        return json.dumps({"header": header, "body": body})

    async def _feed(self, connection: ServerConnection) -> None:
        """Send frames at the rate; every n-th asks for an order, once the client may trade."""
        stocks = [frames.Stock(code) for code in frames.SYMBOLS]
        loop, sent, asked = asyncio.get_running_loop(), 0, 0
        began = loop.time()
        while asked < self._orders:
            due = int((loop.time() - began) * self._rate)
            while sent < due:
                stock = stocks[sent % len(stocks)]
                asks = sent > QUIET_S * self._rate and sent % self._every == 0
                clock = bot.MarketClock(self.clock).now()
                price = 70_000 + 100 * (sent % 7)
                record = stock.trade(price, MARK if asks else 10, f"{clock:%H%M%S}", frames.DAY)
                self._write(connection, "0|H0STCNT0|001|" + record, stock.code if asks else "")
                asked += asks
                sent += 1
            await asyncio.sleep(0.0005)
        self._last_order_s = time.monotonic()
        while self._asked and time.monotonic() < self._last_order_s + 15.0:
            await asyncio.sleep(0.05)  # a client that fell behind still sends
        self.done.set()

    def _write(self, connection: ServerConnection, text: str, code: str) -> None:
        """Write a text frame (RFC 6455, 126..65,535 bytes) straight to the socket."""
        raw = text.encode()
        raw = b"\x81\x7e" + len(raw).to_bytes(2, "big") + raw
        if code:
            self._asked.append((code, time.monotonic_ns()))
        connection.transport.write(raw)


@contextlib.asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[None]:
    """Serve the page of the client's folder to as many browsers as it lets in."""
    page = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "companions.page", "--state", str(folder), "--port", "0",
        cwd=HERE.parents[2], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert page.stdout
    async with asyncio.timeout(20):
        while not (found := re.search(rb"http://\S+", await page.stdout.readline())):
            pass
    visitors = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE), "--visit", found[0].decode()
    )
    try:
        yield
    finally:
        for process in (visitors, page):
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def screened(folder: Path) -> AsyncIterator[None]:
    """Show the live screen of the client's folder in a terminal that somebody reads."""
    ours, theirs = pty.openpty()
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, os.read, ours, 65_536)

    async def show() -> None:
        while not (list(folder.glob("journal-*")) and (folder / bot.STATUS_FILE).is_file()):
            await asyncio.sleep(0.05)
        screen = await asyncio.create_subprocess_exec(
            sys.executable, str(HERE.parents[2] / "kis_realtime_trading.py"), "--screen",
            "--state", str(folder), stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
        )  # fmt: skip
        try:
            raise RuntimeError(f"the screen ended with exit code {await screen.wait()}")
        finally:
            if screen.returncode is None:
                screen.kill()
                await screen.wait()

    shown = asyncio.create_task(show())
    try:
        yield
        if shown.done():
            await shown
    finally:
        shown.cancel()
        await asyncio.gather(shown, return_exceptions=True)
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)


@contextlib.asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Take every connection and answer nothing; yield the address."""
    held: set[asyncio.StreamWriter] = set()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.add(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in held:
            writer.close()


async def visit(url: str) -> None:
    """Hold every stream open that the page gives, and read what comes."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(
        cookie_jar=jar, connector=aiohttp.TCPConnector(limit=0)
    ) as one:
        await (await one.get(url)).read()
        events = url.partition("?")[0] + "events"

        async def hold() -> None:
            async with one.get(events, timeout=aiohttp.ClientTimeout(total=None)) as reply:
                async for _ in reply.content:
                    pass

        await asyncio.gather(*(hold() for _ in range(MOST_STREAMS)))


async def waits_of(way: str, rate: int, orders: int, every: int, folder: Path) -> dict[str, Any]:
    """Serve one client; return the waits in microseconds and what it says at its end."""
    exchange = Exchange(rate, orders, every)
    loop = asyncio.get_running_loop()
    http = await loop.create_server(lambda: Http(exchange), "127.0.0.1", 0)
    async with (
        contextlib.AsyncExitStack() as stack, http,
        serve(exchange.session, "127.0.0.1", 0, compression=None) as ws,
    ):  # fmt: skip
        ports = [str(next(iter(each.sockets)).getsockname()[1]) for each in (http, ws)]
        if way == "watched":
            await stack.enter_async_context(watched(folder))
        if way == "screened":
            await stack.enter_async_context(screened(folder))
        telegram = api = None
        if way == "told":
            api, telegram = await stack.enter_async_context(telegram_server.serve(TOKEN, OWNER))
        if way == "cut":
            telegram = await stack.enter_async_context(silent())
        client = await asyncio.create_subprocess_exec(
            sys.executable, str(HERE), "--client", way, *ports, str(exchange.started), str(folder),
            telegram or "", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(30 + orders * every / rate * 10):
                ended = asyncio.create_task(client.wait())
                served = asyncio.create_task(exchange.done.wait())
                await asyncio.wait((ended, served), return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    raise RuntimeError(f"the client {way} ended with exit code {ended.result()}")
        finally:
            if client.returncode is None:
                client.send_signal(signal.SIGTERM)
            said, _ = await client.communicate()
    waits = [each / 1_000 for each in exchange.waits_ns[WARM_UP:]]
    if len(waits) < orders * 0.9:
        raise RuntimeError(f"the client {way} sent {len(waits)} orders of {orders}")
    if api and not api.sent:
        raise RuntimeError("nothing was told to Telegram")
    return {"waits": waits, **(json.loads(said) if said.strip() else {})}


# --- the clients ------------------------------------------------------------------------


class OnDemand(bot.TradingStrategy):
    """Wants one share when a trade of MARK shares is seen."""

    core: bot.Core

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> None:
        return None

    def on_trade(self, view: bot.StrategyView, trade: bot.Trade) -> bot.OrderRequest | None:
        if trade.volume != MARK:
            return None
        self.core.sent_since = lambda since: 0  # type: ignore[method-assign]  # see above
        plan = bot.ExitPlan(view.round_price(trade.price * 0.9, up=False))
        return view.buy(1, trade.price, str(trade.cum_volume), plan, "asked for")


class Uncounted(dict[str, float]):
    """What the gate let go, without its times: it counts no orders a second."""

    def values(self) -> Any:
        return ()


class NoJournal(bot.Journal):
    """Takes rows and writes nothing: what a durable write costs is the difference."""

    def has_intent(self, intent_id: str) -> bool:
        return True

    def append(self, rows: Sequence[tuple[str, str, Any]], at: datetime) -> None:
        return None


class TimedJournal(bot.Journal):
    """The journal, which notes how long the rows of an order took."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.spent_us: list[float] = []

    def append(self, rows: Sequence[tuple[str, str, Any]], at: datetime) -> None:
        began = time.perf_counter_ns()
        super().append(rows, at)
        if any(row[0] == "intent" for row in rows):
            self.spent_us.append((time.perf_counter_ns() - began) / 1_000)


async def run_ours(way: str, ports: list[str], started: float, folder: Path, telegram: str) -> None:
    """Run the bot until told to stop."""
    profile = bot.Profile(
        environment="paper", rest_url=f"http://127.0.0.1:{ports[0]}", product="01", agent="bench",
        ws_url=f"ws://127.0.0.1:{ports[1]}", app_key=bot.Secret("invented-key-of-a-bench"),
        app_secret=bot.Secret("invented-secret-of-a-bench"), account=bot.Secret("12345678"),
        hts_id=bot.Secret("INVENTED"),
    )  # fmt: skip
    anchor = bot.ClockAnchor(unix=started, market=desk.moment_of(frames.DAY, 10 * 3_600))
    told: dict[str, Any] = {"telegram_api": telegram, "telegram_users": [OWNER]} if telegram else {}
    section = desk.settings_of(
        frames.SYMBOLS, parameters={}, market_clock=anchor, rest_calls_per_second=1_000, **told
    )
    token, chat = (TOKEN, str(OWNER)) if telegram else ("", "")
    settings = bot.Settings(profile, section, bot.Secret(token), chat)
    strategy, clock = OnDemand(), bot.MarketClock(anchor)
    kind = NoJournal if way == "without" else TimedJournal
    journal = kind(folder / f"journal-{way}-{ports[0]}.sqlite3")
    recorder = bot.Recorder(folder / f"records-{ports[0]}", clock.now(), {})
    services = bot.Services(
        clock, bot.AiohttpTransport(), bot.connect_websocket, journal, folder, recorder
    )
    if way in ("watched", "screened"):
        services = bot.replace(services, show_status=bot.StatusFile(folder).show)
    trader = bot.Trader(settings, strategy, services, bot.read_past(journal, bot.Ledger()))
    strategy.core, trader.bridge.gate.left = trader.engine.core, Uncounted()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, trader.stop, "told to")
    with (folder / f"{way}-{ports[0]}.log").open("w") as log:
        bot.set_up_logging(bot.Redactor([]), log, logging.INFO)
        await trader.run(one_day=True)
    await services.transport.close()
    print(json.dumps({"writes": getattr(journal, "spent_us", [])[WARM_UP:]}))
    journal.close()


async def run_official(ports: list[str]) -> None:
    """Trade as the public samples do, until the server is gone."""
    import official
    import requests

    url = f"http://127.0.0.1:{ports[0]}{BUYING}"
    headers = {
        "content-type": "application/json", "authorization": "Bearer invented", "appkey": "invented",
        "appsecret": "invented", "tr_id": "VTTC0012U", "custtype": "P",
    }  # fmt: skip
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sys.exit, 0)
    async with connect(f"ws://127.0.0.1:{ports[1]}", ping_interval=None) as socket:
        for code in frames.SYMBOLS:
            await socket.send(bot.registration_message("invented", "H0STCNT0", code, True))
        async for text in socket:
            assert isinstance(text, str)
            if text[0] not in "01":
                continue
            row = official.read_frame(text).iloc[0]
            if row["CNTG_VOL"] == str(MARK):
                body = {
                    "CANO": "12345678", "ACNT_PRDT_CD": "01", "PDNO": row["MKSC_SHRN_ISCD"],
                    "ORD_DVSN": "00", "ORD_QTY": "1", "ORD_UNPR": row["STCK_PRPR"],
                    "EXCG_ID_DVSN_CD": "KRX", "SLL_TYPE": "", "CNDT_PRIC": "",
                }  # fmt: skip
                requests.post(url, headers=headers, data=json.dumps(body), timeout=10)


# --- the figures ------------------------------------------------------------------------


def at_percent(values: list[float], percent: int) -> float:
    """Return a percentile."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def figures(options: argparse.Namespace) -> Iterator[measure.Figure]:
    """Measure and yield the figures."""
    orders, every = (10, 13) if options.quick else (options.orders, 47)
    slow = max(20, options.rate // 10)
    ways = [("without", options.rate), ("durable", options.rate)]
    has_requests = importlib.util.find_spec("requests") is not None
    if has_requests:
        ways[1:1] = [("official", options.rate), ("official", slow)]
    seen = ("watched", "screened") * options.page + ("told", "cut") * options.phone
    ways += [(way, options.rate) for way in seen]
    waits: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    writes: list[float] = []
    for _ in range(options.rounds):
        for way, rate in ways:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                pause = max(1, every * rate // options.rate)
                found = asyncio.run(waits_of(way, rate, orders, pause, Path(folder)))
            waits[way, rate] += found["waits"]
            writes += found.get("writes", [])
    middle = {way: statistics.median(found) for way, found in waits.items()}
    tail = {way: at_percent(found, 99) for way, found in waits.items()}
    for way, rate in ways:
        label = LABELS.get(way, way)
        yield measure.plain(
            f"tick to order, {label}, {rate:,} frames/s: median", middle[way, rate], "us"
        )
        yield measure.plain(
            f"tick to order, {label}, {rate:,} frames/s: 99 %", tail[way, rate], "us"
        )
    ours, durable = ("without", options.rate), ("durable", options.rate)
    if has_requests:
        theirs, rested = ("official", options.rate), ("official", slow)
        yield measure.at_least(
            "tick to order, official / ours, median", middle[theirs] / middle[ours], 5
        )
        yield measure.at_least("tick to order, official / ours, 99 %", tail[theirs] / tail[ours], 4)
        yield measure.plain(
            "the same, official with journal / ours, median", middle[theirs] / middle[durable]
        )
        yield measure.at_least(
            f"official at {slow:,} frames/s / ours, median", middle[rested] / middle[ours], 5
        )
        yield measure.at_least(
            f"official at {slow:,} frames/s / ours, 99 %", tail[rested] / tail[ours], 4
        )
    for way in seen:
        label, beside = f"tick to order, {LABELS[way]} / not", (way, options.rate)
        yield measure.plain(f"{label}, median", middle[beside] / middle[durable])
        yield measure.plain(f"{label}, 99 %", tail[beside] / tail[durable])
    write = statistics.median(writes)
    yield measure.plain("journal's durable write of an order: median", write, "us")
    yield measure.plain("its share of tick to order", write / middle[durable] * 100, "%")


def run_client(arguments: Sequence[str]) -> int:
    """Be one of the clients: WAY, two ports, unix time of the start, folder, address of Telegram."""
    way, http, ws, started, folder, telegram = arguments
    if way == "official":
        asyncio.run(run_official([http, ws]))
    else:
        asyncio.run(run_ours(way, [http, ws], float(started), Path(folder), telegram))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["--client"]:
        return run_client(given[1:])
    if given[:1] == ["--visit"]:
        asyncio.run(visit(given[1]))
        return 0
    parser = measure.parser_of(__doc__, 2)
    parser.add_argument("--rate", type=int, default=1_000, help="frames a second (default 1000)")
    parser.add_argument("--orders", type=int, default=100, help="orders a round (default 100)")
    parser.add_argument(
        "--page", action="store_true", help="measure with page and screen open as well"
    )
    parser.add_argument(
        "--phone", action="store_true", help="measure while Telegram is told, and cut"
    )
    parser.add_argument("--folder", type=Path, help="where the journal is written (default: temp)")
    options = measure.read_options(parser, given)
    return measure.show(figures(options), options)


if __name__ == "__main__":
    raise SystemExit(main())
