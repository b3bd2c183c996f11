"""The only place with sockets and clocks: an aiohttp server on loopback that drives the core."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import WSMsgType, web

from companions.simulator.config import SimulatorConfig
from companions.simulator.core import Simulator
from companions.simulator.sessions import Session


class MarketClock:
    """Market time from the wall clock: start + (unix - unix0) x speed, not before start."""

    def __init__(self, start: datetime, speed: float, hold_s: float) -> None:
        self.start, self.speed = start, speed
        self.unix0 = time.time() + hold_s
        self._stopped_at: float | None = None

    def pace_s(self) -> float:
        """Return market seconds since start; negative before it."""
        at = time.time() if self._stopped_at is None else self._stopped_at
        return (at - self.unix0) * self.speed

    def stop(self) -> None:
        """Let the market stand still until go_on()."""
        self._stopped_at = self._stopped_at or time.time()

    def go_on(self) -> None:
        """Go on where the market stood still. Whoever follows this clock needs the new `unix0`."""
        if self._stopped_at is not None:
            self.unix0 += time.time() - self._stopped_at
            self._stopped_at = None

    def now(self) -> datetime:
        """Return market time."""
        return self.start + timedelta(seconds=max(self.pace_s(), 0.0))


class Shell:
    """Serves one Simulator over HTTP and WebSocket."""

    def __init__(self, simulator: Simulator, clock: MarketClock) -> None:
        self._simulator, self._clock = simulator, clock
        self._wake: dict[int, asyncio.Event] = {}

    def advance(self) -> None:
        """Bring the core to the present and wake the sessions that have something to send."""
        clock = self._clock
        self._simulator.advance(clock.now(), time.monotonic(), clock.pace_s())
        self._wake_all()

    def _wake_all(self) -> None:
        for event in self._wake.values():
            event.set()

    async def run_clock(self) -> None:
        """Advance for ever."""
        pause = 0.005 if self._clock.speed > 10 else 0.02
        while True:
            self.advance()
            await asyncio.sleep(pause)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve any request on any path; an upgrade becomes a WebSocket."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._serve_socket(request)
        body, query = await request.read(), dict(request.query)
        self.advance()
        reply = self._simulator.request(request.method, request.path, query, request.headers, body)
        self._wake_all()
        if reply.fate == "hang":
            await asyncio.Event().wait()  # until the client goes away
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        if reply.fate != "answer":
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return web.Response(status=reply.status, headers=dict(reply.headers), body=reply.body)

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=1 << 20)
        await socket.prepare(request)
        self.advance()
        session = self._simulator.connect()
        event = self._wake[session.number] = asyncio.Event()
        pump = asyncio.create_task(self._pump(session, socket, event, request.transport))
        try:
            async for message in socket:
                self.advance()
                if message.type is WSMsgType.TEXT:
                    session.receive_text(message.data)
                elif message.type is WSMsgType.PONG:
                    session.receive_pong(bytes(message.data))
                elif message.type is WSMsgType.PING:
                    session.receive_ping(bytes(message.data))
                    await socket.pong(message.data)
                event.set()
        finally:
            session.disconnect()
            event.set()
            del self._wake[session.number]
            await pump
        return socket

    @staticmethod
    async def _pump(
        session: Session,
        socket: web.WebSocketResponse,
        event: asyncio.Event,
        transport: asyncio.Transport | None,
    ) -> None:
        """Send what the session has to say; end the connection when the session ends."""
        with contextlib.suppress(ConnectionError):
            while not (session.closed or socket.closed) or session.outbox:
                while session.outbox and not socket.closed:
                    await socket.send_str(session.outbox.popleft())
                if socket.closed:
                    return
                if not session.closed:
                    event.clear()
                    await event.wait()
            if session.closed == "dropped" and transport is not None:
                transport.abort()
            else:
                await socket.close()


def require_loopback(host: str) -> str:
    """Return the host when it is this machine; raise ValueError otherwise."""
    if host == "localhost" or ipaddress.ip_address(host).is_loopback:
        return host
    raise ValueError(f"the simulator listens on loopback only, was {host!r}")


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    simulator: Simulator
    clock: MarketClock
    rest_url: str
    ws_url: str


@contextlib.asynccontextmanager
async def serve(
    config: SimulatorConfig,
    start: datetime,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ws_port: int | None = None,
    speed: float = 1.0,
    hold_s: float = 0.0,
) -> AsyncIterator[Served]:
    """Run a server on loopback for the time of the context. Port 0 picks a free one."""
    require_loopback(host)
    simulator = Simulator(config)
    simulator.advance(start, time.monotonic(), -1e9)
    clock = MarketClock(start, speed, hold_s + 3600)  # stands still until everything listens
    shell = Shell(simulator, clock)
    application = web.Application(client_max_size=1 << 20)
    application.router.add_route("*", "/{anything:.*}", shell.handle)
    runner = web.AppRunner(
        application, handler_cancellation=True, shutdown_timeout=0.5, access_log=None
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        if ws_port is not None:
            await web.TCPSite(runner, host, ws_port).start()
        first, last = runner.addresses[0][1], runner.addresses[-1][1]
        clock.unix0 = time.time() + hold_s
        async with asyncio.TaskGroup() as tasks:  # a fault of the core ends the server loudly
            ticker = tasks.create_task(shell.run_clock())
            try:
                name = f"[{host}]" if ":" in host else host
                yield Served(simulator, clock, f"http://{name}:{first}", f"ws://{name}:{last}")
            finally:
                ticker.cancel()
    finally:
        for session in list(simulator.sessions):
            session.close("server ends")
        shell.advance()
        await runner.cleanup()
