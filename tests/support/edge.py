"""What the tests of the edges share: the bot's clients in front of a simulator, and odd servers.

Two ways to reach a simulator: `served()` over real sockets on loopback, and `desk()` without sockets
in virtual time. Nothing of the bot is replaced: only its edges (clock, transport, folder) are handed
in, as in a real start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import harness

import kis_realtime_trading as bot
from companions import simulator
from companions.market_data import MarketData

ROOT = Path(bot.__file__).resolve().parent
DAY = date(2026, 11, 20)
SYMBOLS = ("005930", "000660", "069500")
PLENTY = 10_000  # requests a second that no test reaches


def at(clock: str, day: date = DAY) -> datetime:
    """Return market time of HH:MM:SS or HH:MM."""
    return datetime.fromisoformat(f"{day.isoformat()}T{clock}").replace(tzinfo=bot.KST)


def price_band(base_price: int, fund: bool) -> tuple[int, int]:
    """Return (lower, upper) limit of a day: 30 per cent, rounded towards the base price (rule)."""
    lower, upper = -(-base_price * 7 // 10), base_price * 13 // 10
    return bot.round_to_tick(lower, fund, up=True), bot.round_to_tick(upper, fund, up=False)


def config(**more: Any) -> simulator.SimulatorConfig:
    """Return a small simulation without limits that a test does not ask about."""
    usual = {
        "symbols": ("005930",),
        "density": 1.0,
        "requests_per_second": PLENTY,
        "early_notice_share": 0.0,
        "auction_quote_s": 30.0,
    }
    return simulator.SimulatorConfig(**{**usual, **more})


def profile_of(sim: simulator.Simulator, **changes: Any) -> bot.Profile:
    """Return the profile that fits a simulator."""
    return replace(harness.make_settings(sim, symbols=["005930"]).profile, **changes)


@dataclass
class Clients:
    """All clients of one account, and the simulator behind them."""

    sim: simulator.Simulator
    profile: bot.Profile
    clock: bot.MarketClock
    folder: Path
    transport: Any
    pace: float = float(PLENTY)
    hashkey: bool = False

    def __post_init__(self) -> None:
        self.rest = bot.Rest(self.profile, self.transport, self.pace)
        self.auth = bot.KISAuth(self.profile, self.rest.call, self.folder, self.clock)
        self.client = bot.KISClient(self.profile, self.rest, self.auth, self.clock)
        self.market = MarketData(self.client)
        self.orders = bot.KISOrder(self.client, self.hashkey)

    def again(self, **changes: Any) -> Clients:
        """Return the clients of another process, or of another profile, in the same place."""
        return replace(self, **changes)

    def requests(self, ending: str) -> int:
        """Return how many requests for a path have reached the server."""
        counts = self.sim.books()["requests"]
        return sum(number for path, number in counts.items() if path.endswith(ending))

    def fault(self, do: str, match: Mapping[str, Any] | None = None, **effect: Any) -> int:
        """Make the server misbehave."""
        return self.sim.faults.add({"match": dict(match or {}), "effect": {"do": do, **effect}})

    @property
    def own_orders(self) -> list[dict[str, Any]]:
        """Return the orders that came through the API."""
        return [o for o in self.sim.books()["orders"] if o["source"] == "api"]


@contextlib.asynccontextmanager
async def served(
    folder: Path, start: str = "10:05:30", speed: float = 1.0, day: date = DAY, **more: Any
) -> AsyncIterator[tuple[Clients, simulator.Served]]:
    """Serve a simulator on loopback; yield clients that reach it over sockets."""
    hashkey = more.pop("hashkey", False)
    settings = config(day=day, **more)
    async with simulator.serve(settings, at(start, day), speed=speed) as there:
        anchor = bot.ClockAnchor(unix=there.clock.unix0, market=there.clock.start, speed=speed)
        profile = profile_of(there.simulator, rest_url=there.rest_url, ws_url=there.ws_url)
        transport = bot.AiohttpTransport()
        clock = bot.MarketClock(anchor)
        try:
            yield (
                Clients(there.simulator, profile, clock, folder, transport, hashkey=hashkey),
                there,
            )
        finally:
            await transport.close()


def with_phone(
    clients: Clients, there: simulator.Served, telegram: tuple[str, str, int | str],
    strategy: bot.TradingStrategy, **changes: Any,
) -> bot.Trader:  # fmt: skip
    """Return a bot at a served simulator that tells a Bot API server: its address, token and chat.

    `changes` go into the section `bot`. Whoever ends it closes its journal.
    """
    url, token, chat = telegram
    clock = {"unix": there.clock.unix0, "market": there.clock.start, "speed": there.clock.speed}
    settings = harness.make_settings(
        clients.sim, telegram_api=url, market_clock=clock, rest_calls_per_second=1000,
        **{"symbols": ["005930"], **changes},
    )  # fmt: skip
    settings = replace(
        settings, profile=clients.profile, telegram_token=bot.Secret(token), telegram_chat=str(chat)
    )
    journal = bot.Journal(clients.folder / "journal-paper-x.sqlite3")
    services = bot.Services(
        clients.clock, clients.transport, bot.connect_websocket, journal, clients.folder, None,
        bot.StatusFile(clients.folder).show,
    )  # fmt: skip
    return bot.Trader(settings, strategy, services, harness.past_of(journal))


def desk(folder: Path, start: str = "10:05:30", day: date = DAY, **more: Any) -> Clients:
    """Return clients in virtual time, without sockets. Call it inside `harness.run_virtual`."""
    pace, hashkey = more.pop("pace", float(PLENTY)), more.pop("hashkey", False)
    sim = simulator.Simulator(config(day=day, **more))
    clock = harness.VirtualClock(at(start, day))
    network = harness.SimulatedNetwork(sim, clock, 1)
    network.advance()
    return Clients(sim, profile_of(sim), clock, folder, network, pace, hashkey)


Head = tuple[str, str, dict[str, str]]  # method, path, headers


class RawServer:
    """A TCP server that shows every request and answers as it is told, byte by byte."""

    def __init__(
        self, respond: Callable[[RawServer, Head, bytes, asyncio.StreamWriter], Awaitable[None]]
    ) -> None:
        self._respond = respond
        self.heads: list[Head] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> RawServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = lines[0].split(" ", 2)
                pairs = (line.partition(":") for line in lines[1:] if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                head = (method, path, headers)
                self.heads.append(head)
                self.bodies.append(body)
                await self._respond(self, head, body, writer)
                await writer.drain()
                if writer.is_closing():
                    return
        writer.close()

    def count(self, method: str) -> int:
        """Return how many requests of a method came."""
        return sum(head[0] == method for head in self.heads)


def http(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Return the bytes of an HTTP answer."""
    named = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def write_config(folder: Path, there: simulator.Served, **section: Any) -> Path:
    """Write the settings of a served simulator; `section` changes the section `bot`."""
    data, faults = bot.parse_yaml(simulator.config_yaml(there))
    assert not faults
    data["bot"] |= section
    return simulator.write_config(folder, json.dumps(data, ensure_ascii=False))


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process of the bot: a home of its own, no secrets of ours."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL")}
    return {**kept, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", **more}


def run_bot(home: Path, *arguments: str, stdin: str = "", **more: str) -> Any:
    """Run the program to its end as a user would, in the folder `home`."""
    return subprocess.run(
        [sys.executable, str(ROOT / "kis_realtime_trading.py"), *arguments],
        input=stdin, capture_output=True, text=True, cwd=home, timeout=120, check=False,
        env=environment(home, **more),
    )  # fmt: skip


async def start_bot(home: Path, *arguments: str, **more: str) -> asyncio.subprocess.Process:
    """Start the program beside a server that runs in this process."""
    return await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "kis_realtime_trading.py"), *arguments, cwd=home,
        env=environment(home, **more), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@dataclass
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str


async def end_of(process: asyncio.subprocess.Process, seconds: float = 90.0) -> Ended:
    """Wait for the end of a process."""
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until a condition holds and return its value; fail after real seconds of looking.

    Where others have the processor a look takes longer, and so many looks are the longer bound.
    """
    deadline, looks = time.monotonic() + seconds, round(seconds / 0.005)
    while not (value := condition()):
        looks -= 1
        assert looks > 0 or time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.005)
    return value


def quickest_s(
    work: Callable[[], Any], tries: int = 5, clock: Callable[[], float] = time.monotonic
) -> float:
    """Return the seconds of the shortest of some runs: a machine that is busy with others only adds."""
    spans = []
    for _ in range(tries):
        began = clock()
        work()
        spans.append(clock() - began)
    return min(spans)


def run_without_waiting(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that must end in its first step, and return what it returns."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    coroutine.close()
    raise AssertionError("it waits for something")


@contextlib.contextmanager
def own_logging() -> Iterator[None]:
    """Put the logging of the process back as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, bot.log.level
    try:
        yield
    finally:
        root.handlers[:], level, own = before
        root.setLevel(level)
        bot.log.setLevel(own)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder to a property, which cannot use pytest's."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def count_by(values: Any) -> dict[Any, int]:
    """Count equal values."""
    return dict(Counter(values))
