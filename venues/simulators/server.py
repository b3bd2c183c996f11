"""One loopback port for a simulated venue: HTTP and WebSocket over a core without sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple, Protocol

from aiohttp import WSMsgType, web


class Reply(NamedTuple):
    """An answer of a venue. Status 0: the connection ends without one."""

    status: int
    body: str
    headers: Mapping[str, str] = {}


class Core(Protocol):
    """What a simulated venue does, without a socket."""

    def rest(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply: ...

    def opened(self, target: str, first: str) -> list[str]:
        """Return the names that a connection is given; the first message, "" where none is sent."""

    def welcome(self, target: str, headers: Mapping[str, str]) -> bool:
        """Tell whether a connection is let in by its headers."""

    def beat(self, names: list[str]) -> list[bytes] | None:
        """Return the frames of now; None: the venue ends the connection."""


@contextlib.asynccontextmanager
async def answering(socket: web.WebSocketResponse) -> AsyncIterator[None]:
    """Read beside what is sent: only who reads answers the pings of the other end."""

    async def read() -> None:
        async for _ in socket:
            pass

    reading = asyncio.create_task(read())
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.wait({reading})


class Server:
    """Listens on a free port of loopback."""

    def __init__(self, core: Core, first_message: bool, beat_s: float = 0.5) -> None:
        self._core, self._first, self._beat_s = core, first_message, beat_s
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, port: int = 0) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._any)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close everything."""
        if self._runner:
            await self._runner.cleanup()

    async def _any(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        body, headers = await request.read(), {k.lower(): v for k, v in request.headers.items()}
        reply = self._core.rest(request.method, request.raw_path, headers, body)
        if reply.status == 0:
            if request.transport:
                request.transport.close()
            raise web.HTTPServiceUnavailable
        kind = "application/json" if reply.body[:1] in ("{", "[") else "text/html"
        return web.Response(
            status=reply.status, text=reply.body, headers=dict(reply.headers), content_type=kind
        )

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if not self._core.welcome(
            request.raw_path, {k.lower(): v for k, v in request.headers.items()}
        ):
            return web.Response(status=401)
        socket, first = web.WebSocketResponse(), ""
        await socket.prepare(request)
        if self._first or "/ws-api" in request.raw_path:
            message = await socket.receive()
            if message.type is not WSMsgType.TEXT:
                return socket
            first = message.data
        names = self._core.opened(request.raw_path, first)
        with contextlib.suppress(ConnectionError):  # the client went away
            async with answering(socket):
                while not socket.closed and (frames := self._core.beat(names)) is not None:
                    for frame in frames:
                        await socket.send_bytes(frame)
                    await asyncio.sleep(self._beat_s)
            await socket.close()
        return socket
