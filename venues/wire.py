"""The network of all venues: one HTTP call site, pacer, statistics of calls, the socket line.

Knows how to ask and how often it may be asked; never what an answer means for a position. Clock,
connection and transport are handed in, so that everything here runs in virtual time too.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import functools
import heapq
import itertools
import logging
import random
import ssl
import time
import urllib.parse
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol

import aiohttp
import yarl
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosedOK, WebSocketException

from kis_realtime_trading import BadData, BotError, HttpReply, NoAnswer, NotSent, reconnect_pauses
from venues.common import FeedChange

log = logging.getLogger("kis.venues")

LANE_EXIT, LANE_ORDER, LANE_LOOK, LANE_QUERY = range(4)  # smaller goes first
MAX_BODY_BYTES = 8 * 1024 * 1024
CONNECT_TIMEOUT_S, TOTAL_TIMEOUT_S, ORDER_TIMEOUT_S = 3.0, 10.0, 15.0
QUERY_PAUSES_S = (1.0, 2.0, 4.0)
STEADY_S = 60.0  # a line this long ends the growth of the pauses
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class Clock:
    """Wall time for signatures and ages by the exchange, monotonic time for everything else."""

    def wall_ms(self) -> int:
        """Return milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def mono_ns(self) -> int:
        """Return nanoseconds of a clock that never goes back."""
        return time.monotonic_ns()


# --- HTTP -------------------------------------------------------------------------------


class Transport(Protocol):
    """Sends one HTTP request. Raises NotSent before the first byte, NoAnswer after it."""

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> Awaitable[HttpReply]: ...  # fmt: skip

    async def close(self) -> None:
        """Close what is open."""


class NotConnected(NotSent):
    """No connection came about. `kind`: dns, tls, timeout or no_connection."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"no connection: {type(error).__name__}")
        kinds = {
            aiohttp.ClientConnectorDNSError: "dns", aiohttp.ClientSSLError: "tls",
            aiohttp.ConnectionTimeoutError: "timeout",
        }  # fmt: skip
        found = (kind for each, kind in kinds.items() if isinstance(error, each))
        self.kind = next(found, "no_connection")


class VenueTransport:
    """The network: named hosts only, TLS checked, no redirects, no proxy, no repeats."""

    def __init__(
        self, hosts: Collection[str], connector: Callable[[], aiohttp.BaseConnector] | None = None
    ) -> None:
        self._hosts, self._connector = frozenset(hosts), connector
        self._session: aiohttp.ClientSession | None = None  # made inside the running loop

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpReply:  # fmt: skip
        self._check(url)
        if self._session is None:
            connector = self._connector() if self._connector else None
            self._session = aiohttp.ClientSession(connector=connector, trust_env=False)
        limit = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        # encoded=True: what was signed is what is sent; a plain text would be rewritten ([] , :)
        target = yarl.URL(url, encoded=True)
        try:
            async with self._session.request(
                method, target, headers=headers, data=body, allow_redirects=False, timeout=limit
            ) as response:
                raw = bytearray()
                async for part in response.content.iter_any():
                    raw += part
                    if len(raw) > MAX_BODY_BYTES:
                        raise NoAnswer(f"more than {MAX_BODY_BYTES:,} bytes")
                names = {key.lower(): value for key, value in response.headers.items()}
                return HttpReply(response.status, raw.decode("utf-8", "replace"), names)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotConnected(error) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(type(error).__name__) from None

    def _check(self, url: str) -> None:
        host = urllib.parse.urlsplit(url)
        if host.hostname in LOOPBACK_HOSTS:
            return
        if host.scheme != "https" or host.netloc not in self._hosts:
            raise NotSent(f"{host.hostname} is no host of this venue")

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()


# --- pacer ------------------------------------------------------------------------------


class Limit(NamedTuple):
    """So much weight in so many seconds. `kept`: the part only exits and cancels may use."""

    weight: int
    seconds: float
    kept: int = 0


class Budget:
    """A sliding window of one limit group; time is an argument.

    A sliding window can never hold more than the limit in any span of its length, so that it is
    right for a server which counts by whole seconds and for one which counts by the last second.
    """

    def __init__(self, limit: Limit) -> None:
        self.limit, self.capacity = limit, limit.weight
        self._used: deque[tuple[float, int]] = deque()
        self._sum = 0
        self.closed_until = 0.0

    def wait_for(self, now: float, weight: int, lane: int) -> float:
        """Return the seconds until this weight may be spent, 0 for at once."""
        if now < self.closed_until:
            return self.closed_until - now
        self._forget(now)
        kept = self.limit.kept if lane != LANE_EXIT else 0
        most = max(1, self.capacity - kept)
        if not self._used or self._sum + weight <= most:
            return 0.0  # alone in the window, it may be heavier than what is left to its lane
        over, left = self._sum + weight - most, 0
        for at, used in self._used:
            left += used
            if left >= over:
                return max(1e-3, at + self.limit.seconds - now)
        return max(1e-3, self._used[-1][0] + self.limit.seconds - now)

    def spend(self, now: float, weight: int) -> None:
        """Count a call that leaves now."""
        if weight:
            self._used.append((now, weight))
            self._sum += weight

    def told_left(self, now: float, left: int) -> None:
        """The server says how much is left: others use the same limit, so believe the smaller."""
        self._forget(now)
        missing = self.capacity - self._sum - max(0, left)
        if missing > 0:
            self.spend(now, missing)

    def close(self, now: float, seconds: float) -> None:
        """Stop the group for a while."""
        self.closed_until = max(self.closed_until, now + seconds)

    def _forget(self, now: float) -> None:
        now += 5e-10  # sums of floats: what ends now has ended, so that a header of now is news
        while self._used and self._used[0][0] + self.limit.seconds <= now:
            self._sum -= self._used.popleft()[1]


class Pacer:
    """Lets calls go by limit group and lane: exit before order before look before query."""

    def __init__(self, groups: Mapping[str, Limit], tell: Callable[[str], None] | None = None) -> None:  # fmt: skip
        self.budgets = {name: Budget(limit) for name, limit in groups.items()}
        self._queues: dict[str, list[tuple[int, int, int, asyncio.Future[None]]]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._count = itertools.count()
        self._refused: dict[str, float] = {}
        self._tell = tell or (lambda text: None)
        self.stopped_until = 0.0

    async def turn(self, group: str, lane: int, weight: int = 1) -> None:
        """Wait for this call's turn in its group."""
        future = asyncio.get_running_loop().create_future()
        queue = self._queues.setdefault(group, [])
        heapq.heappush(queue, (lane, next(self._count), weight, future))
        self._release(group)
        await future

    def refused(self, group: str, retry_after_s: float | None) -> None:
        """HTTP 429: stop the group for the time said, or 1 s, doubling."""
        pause = retry_after_s or self._refused.get(group, 0.5) * 2
        self._refused[group] = min(60.0, pause)
        self.budgets[group].close(asyncio.get_running_loop().time(), min(pause, 3_600.0))

    def banned(self, seconds: float) -> None:
        """HTTP 418: the venue stops until the time said; told once."""
        now = asyncio.get_running_loop().time()
        if now >= self.stopped_until:
            self._tell(f"banned for {seconds:.0f} s")
        self.stopped_until = max(self.stopped_until, now + seconds)

    def went_well(self, group: str) -> None:
        """An answer that is no refusal ends the doubling."""
        self._refused.pop(group, None)

    def left(self, group: str, left: int) -> None:
        """Take the server's word of what is left in a group."""
        if group in self.budgets:
            self.budgets[group].told_left(asyncio.get_running_loop().time(), left)

    def _release(self, group: str) -> None:
        if timer := self._timers.pop(group, None):
            timer.cancel()
        loop, queue, budget = asyncio.get_running_loop(), self._queues[group], self.budgets[group]
        while queue:
            lane, _, weight, future = queue[0]
            if future.done():
                heapq.heappop(queue)
                continue
            now = loop.time()
            wait = max(self.stopped_until - now, budget.wait_for(now, weight, lane))
            if wait > 0:
                self._timers[group] = loop.call_later(wait, self._release, group)
                return
            heapq.heappop(queue)
            budget.spend(now, weight)
            future.set_result(None)


# --- statistics -------------------------------------------------------------------------

BUCKETS_MS = (1, 2, 5, 10, 20, 50, 100, 150, 200, 300, 500, 1_000, 2_000, 3_000, 5_000, 10_000)
_COUNTS = ("sent", "ok", "refused", "not_sent", "unknown", "http_4xx", "http_5xx", "http_429", "repeats")  # fmt: skip


class CallStats:
    """Counts and response times of one call; bounded, however long it runs."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(_COUNTS, 0)
        self.buckets = [0] * (len(BUCKETS_MS) + 1)
        self.total_ms = self.most_ms = self.last_ms = 0
        self.least_ms: int | None = None
        self._minutes: dict[int, list[int]] = {}  # minute -> [sent, failed]

    def count(self, name: str, now_ms: int) -> None:
        """Count one event of this call."""
        self.counts[name] += 1
        minute = now_ms // 60_000
        slot = self._minutes.setdefault(minute, [0, 0])
        slot[0] += name == "sent"
        slot[1] += name in ("not_sent", "unknown", "http_4xx", "http_5xx")
        if len(self._minutes) > 60:
            for old in [each for each in self._minutes if each <= minute - 60]:
                del self._minutes[old]
        if name == "sent":
            self.last_ms = now_ms

    def took(self, ms: int) -> None:
        """Note the response time of an answer."""
        at = next((i for i, top in enumerate(BUCKETS_MS) if ms <= top), len(BUCKETS_MS))
        self.buckets[at] += 1
        self.total_ms += ms
        self.most_ms = max(self.most_ms, ms)
        self.least_ms = ms if self.least_ms is None else min(self.least_ms, ms)

    def quantile_ms(self, percent: int) -> int:
        """Return the upper edge of the bucket in which this part of the answers ends, 0 for none."""
        wanted, seen = -(-sum(self.buckets) * percent // 100), 0
        for count, top in zip(self.buckets, (*BUCKETS_MS, self.most_ms), strict=True):
            seen += count
            if wanted and seen >= wanted:
                return min(top, self.most_ms)
        return 0

    def as_json(self, now_ms: int) -> dict[str, Any]:
        """Return the figures for the status file."""
        answers, minute = sum(self.buckets), now_ms // 60_000
        hour = [slot for at, slot in self._minutes.items() if at > minute - 60]
        return {
            **self.counts, "answers": answers,
            "failed_last_hour": sum(slot[1] for slot in hour),
            "sent_last_hour": sum(slot[0] for slot in hour),
            "ms_mean": self.total_ms // answers if answers else 0, "ms_min": self.least_ms or 0,
            "ms_max": self.most_ms, "ms_p50": self.quantile_ms(50), "ms_p95": self.quantile_ms(95),
            "ms_p99": self.quantile_ms(99),
            "last_at_ms": self.last_ms,
        }  # fmt: skip


class LineStats:
    """Counts of one socket line."""

    def __init__(self) -> None:
        self.up_since_ms: int | None = None
        self.reconnects = self.frames = self.bad = self.dropped = 0
        self.last_frame_ms: int | None = None

    def as_json(self, now_ms: int) -> dict[str, Any]:
        """Return the figures for the status file."""
        age = None if self.last_frame_ms is None else max(0, now_ms - self.last_frame_ms)
        return {
            "up_since_ms": self.up_since_ms, "reconnects": self.reconnects, "frames": self.frames,
            "bad": self.bad, "dropped": self.dropped, "last_frame_age_ms": age,
        }  # fmt: skip


class Statistics:
    """All counters of one venue."""

    def __init__(self) -> None:
        self.calls: dict[str, CallStats] = {}
        self.lines: dict[str, LineStats] = {}
        self.clock_offset_ms: int | None = None

    def call(self, name: str) -> CallStats:
        """Return the counters of a call."""
        return self.calls.setdefault(name, CallStats())

    def line(self, name: str) -> LineStats:
        """Return the counters of a line."""
        return self.lines.setdefault(name, LineStats())

    def as_json(self, now_ms: int) -> dict[str, Any]:
        """Return everything for the status file."""
        return {
            "calls": {name: each.as_json(now_ms) for name, each in sorted(self.calls.items())},
            "lines": {name: each.as_json(now_ms) for name, each in sorted(self.lines.items())},
            "clock_offset_ms": self.clock_offset_ms,
        }


# --- asking -----------------------------------------------------------------------------


class Call(NamedTuple):
    """One request, made anew for every try: a signature must not be used twice."""

    name: str
    group: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    lane: int = LANE_QUERY
    weight: int = 1
    timeout_s: float = TOTAL_TIMEOUT_S


class Http:
    """Asks a venue: paced, counted. `once` never repeats; `query` does, for questions only."""

    def __init__(
        self, transport: Transport, pacer: Pacer, statistics: Statistics, clock: Clock,
        heard: Callable[[Call, HttpReply], None] = lambda call, reply: None,
        rng: random.Random | None = None,
    ) -> None:  # fmt: skip
        self.transport, self.pacer, self.statistics, self.clock = (
            transport,
            pacer,
            statistics,
            clock,
        )
        self._heard = heard
        self._random = rng or random.Random()

    async def once(
        self, make: Callable[[], Call], veto: Callable[[], str] | None = None
    ) -> HttpReply:
        """Send one request once. Raises NotSent or NoAnswer.

        The request is made after its turn has come, so that its time and nonce are fresh; `veto`
        is asked at that moment, the last one before the first byte.
        """
        first = make()
        await self.pacer.turn(first.group, first.lane, first.weight)
        if veto is not None and (why := veto()):
            raise NotSent(why)
        call = make()
        stats = self.statistics.call(call.name)
        began = self.clock.mono_ns()
        stats.count("sent", self.clock.wall_ms())
        try:
            reply = await self.transport(
                call.method, call.url, call.headers, call.body, call.timeout_s
            )
        except NotSent:
            stats.count("not_sent", self.clock.wall_ms())
            raise
        except NoAnswer:
            stats.count("unknown", self.clock.wall_ms())
            raise
        stats.took((self.clock.mono_ns() - began) // 1_000_000)
        self._count(call, reply, stats)
        self._heard(call, reply)
        return reply

    async def query(self, make: Callable[[], Call]) -> HttpReply:
        """Ask until there is an answer below 500, three more times at most."""
        name = make().name
        for pause in (*QUERY_PAUSES_S, None):
            try:
                reply = await self.once(make)
                if reply.status < 500 and reply.status not in (418, 429):
                    return reply
                error: BotError = NoAnswer(f"{name}: HTTP {reply.status}")
            except (NotSent, NoAnswer) as failure:
                error = failure
            if pause is None:
                break
            self.statistics.call(name).count("repeats", self.clock.wall_ms())
            await asyncio.sleep(pause * self._random.uniform(0.8, 1.2))
        raise error

    def _count(self, call: Call, reply: HttpReply, stats: CallStats) -> None:
        now = self.clock.wall_ms()
        if reply.status in (429, 418):
            stats.count("http_429", now)
            said = retry_after_s(reply)
            if reply.status == 418:
                self.pacer.banned(said or 60.0)
            else:
                self.pacer.refused(call.group, said)
            return
        self.pacer.went_well(call.group)
        if reply.status >= 500:
            stats.count("http_5xx", now)
        elif reply.status >= 400:
            stats.count("http_4xx", now)
        else:
            stats.count("ok", now)


def retry_after_s(reply: HttpReply) -> float | None:
    """Return what the header `Retry-After` says in seconds, None without a usable one."""
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isdigit() and len(text) < 8 else None


def server_date_ms(reply: HttpReply) -> int | None:
    """Return the server's clock by its `Date` header; whole seconds."""
    try:
        return int(email.utils.parsedate_to_datetime(reply.headers["date"]).timestamp()) * 1_000
    except (KeyError, ValueError, TypeError):
        return None


# --- the socket line --------------------------------------------------------------------


class Socket(Protocol):
    """What a line needs of a connection."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def send(self, message: str) -> Awaitable[None]: ...

    def close(self) -> Awaitable[None]: ...


class _Frames:
    """A connection that gives bytes: one byte that is no UTF-8 costs that frame only."""

    def __init__(self, connection: Any) -> None:
        self._receive = connection.recv
        self.send, self.close = connection.send, connection.close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with contextlib.suppress(ConnectionClosedOK):
            while True:
                yield await self._receive(decode=False)


Connect = Callable[[str, Mapping[str, str]], Awaitable[Socket]]


@functools.cache
def trusted() -> ssl.SSLContext:
    """Return what checks certificates, once for all lines: each costs 0.9 MB, of every connection anew."""
    return ssl.create_default_context()


async def connect_socket(url: str, headers: Mapping[str, str]) -> Socket:
    """Open a connection; no Origin header (Upbit then allows one request in 10 s), no proxy."""
    return _Frames(
        await websocket_connect(
            url, additional_headers=dict(headers), compression=None, proxy=None, max_size=1 << 20,
            max_queue=1024, open_timeout=10, close_timeout=1, ping_interval=30, ping_timeout=60,
            ssl=trusted() if url.startswith("wss:") else None,
        )
    )  # fmt: skip


class LineEnds(BotError):
    """The venue said that this line ends, or it must be opened anew."""


class LinePlan(NamedTuple):
    """How one line is opened and how long it may be silent."""

    venue: str
    name: str
    url: Callable[[], str]
    hello: Callable[[], Sequence[str]]  # what is sent after the connection stands
    headers: Callable[[], Mapping[str, str]] = dict
    silence_s: float = 60.0
    renew_s: float = 0.0  # 0: as long as it holds
    up_at_open: bool = False  # else with the first frame that can be read


class Line:
    """One socket to a venue, for ever: reads, counts, reconnects with growing pauses.

    `read` gets the bytes of a frame and when they came; it raises BadData for what it cannot read
    (counted, dropped) and LineEnds when the connection is over. It must not wait.
    """

    def __init__(
        self, plan: LinePlan, read: Callable[[bytes, int], None],
        changed: Callable[[FeedChange], None], statistics: Statistics, clock: Clock,
        connect: Connect = connect_socket, rng: random.Random | None = None,
    ) -> None:  # fmt: skip
        self.plan, self._read, self._changed, self._clock = plan, read, changed, clock
        self.stats, self._connect = statistics.line(plan.name), connect
        self._random = rng or random.Random()
        self.up, self.why = False, ""  # why it is not up

    async def run(self) -> NoReturn:
        """Hold the line until cancelled."""
        pauses, loop = reconnect_pauses(), asyncio.get_running_loop()
        while True:
            began = loop.time()
            why = await self._session()
            self._set(False, why)
            if loop.time() - began >= STEADY_S:
                pauses = reconnect_pauses()
            self.stats.reconnects += 1
            await asyncio.sleep(next(pauses) * self._random.uniform(0.8, 1.2))

    async def _session(self) -> str:
        """Hold one connection; return why it ended."""
        socket: Socket | None = None
        try:
            async with asyncio.timeout(15.0):
                socket = await self._connect(self.plan.url(), self.plan.headers())
                for message in self.plan.hello():
                    await socket.send(message)
            if self.plan.up_at_open:
                self._set(True, "")
            return await self._listen(socket)
        except (BotError, WebSocketException, OSError, TimeoutError, EOFError) as error:
            return f"{type(error).__name__}: {error}"[:120]
        finally:
            if socket is not None:
                with contextlib.suppress(WebSocketException, OSError, TimeoutError):
                    async with asyncio.timeout(2.0):
                        await socket.close()

    async def _listen(self, socket: Socket) -> str:
        loop = asyncio.get_running_loop()
        frames, read_at = socket.__aiter__(), loop.time()
        until = loop.time() + self.plan.renew_s if self.plan.renew_s else float("inf")
        while True:
            wait = min(self.plan.silence_s, until - loop.time())
            if wait <= 0:
                return "renewed"
            try:
                async with asyncio.timeout(wait):
                    raw = await anext(frames)
            except StopAsyncIteration:
                return "closed by the venue"
            except TimeoutError:
                return (
                    "renewed" if loop.time() >= until else f"silent for {self.plan.silence_s:g} s"
                )
            if self._take(raw):
                read_at = loop.time()
            elif loop.time() - read_at >= self.plan.silence_s:
                return f"nothing readable for {self.plan.silence_s:g} s"

    def _take(self, raw: bytes) -> bool:
        """Hand a frame on; tell whether it could be read."""
        self.stats.frames += 1
        self.stats.last_frame_ms = self._clock.wall_ms()
        try:
            self._read(raw, self._clock.mono_ns())
        except BadData:
            self.stats.bad += 1
            return False
        self._set(True, "")
        return True

    def _set(self, up: bool, why: str) -> None:
        self.why = why
        if up != self.up:
            self.up = up
            self.stats.up_since_ms = self._clock.wall_ms() if up else None
            self._changed(FeedChange(self.plan.venue, self.plan.name, up, why))
