"""Both venues behind real sockets of loopback, in time that jumps on when every socket is quiet."""

import asyncio
import contextlib
import fcntl
import selectors
import struct
import termios
import time

from aiohttp import WSMsgType, web
from venue_stage import HandMarket, LoopClock

from venues.monitor import Hosts
from venues.simulators.binance import BinanceSimulator
from venues.simulators.server import Server, answering
from venues.simulators.upbit import UpbitSimulator

QUIET_S, ON_ITS_WAY_S = 0.001, 5.0  # nothing came for so long; a loaded machine may need so long


def _on_its_way(descriptor):
    """Tell whether a socket has sent what the other end's system has not confirmed yet."""
    try:
        raw = fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0" * 4)
    except OSError:  # no socket, or one that listens
        return False
    return struct.unpack("i", raw)[0] > 0


class _Patient(selectors.DefaultSelector):
    """Looks at the sockets first; the time goes on to the next timer when they are quiet and nothing is on its way."""

    loop = None

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        until = time.monotonic() + ON_ITS_WAY_S
        while True:
            if ready := super().select(QUIET_S):
                return ready
            if time.monotonic() > until or not any(map(_on_its_way, list(self.get_map()))):
                break
        if timeout is None:
            return super().select(0.05)
        self.loop.jump(max(0.0, timeout))
        return []


class SocketLoop(asyncio.SelectorEventLoop):
    """A loop with real sockets whose time starts at 0 and jumps; at most `speed` times as fast as a clock."""

    def __init__(self, speed=float("inf")):
        self._now, self._speed, self._began = 0.0, speed, time.monotonic()
        selector = _Patient()
        selector.loop = self
        super().__init__(selector)

    def time(self):
        return self._now

    def jump(self, seconds):
        """Move the time on; not faster than asked for."""
        self._now += seconds
        ahead = self._now / self._speed - (time.monotonic() - self._began)
        if ahead > 0:
            time.sleep(ahead)


def run_sockets(coroutine, speed=float("inf")):
    """Run a coroutine to its end on such a loop."""
    with asyncio.Runner(loop_factory=lambda: SocketLoop(speed)) as runner:
        return runner.run(coroutine)


class CutServer(Server):
    """A venue that beats at whole seconds; it can be cut, closed and muted."""

    def __init__(self, core, first_message):
        super().__init__(core, first_message)
        self.closed = self.mute = False
        self.opened, self.beaten, self._transports = 0, -10.0, []

    def cut(self):
        """End every connection without a word."""
        for transport in self._transports:
            transport.abort()
        self._transports, self.beaten = [], -10.0

    @property
    def live(self):
        """Tell whether somebody is connected and was spoken to in the last second and a half."""
        return bool(self._transports) and asyncio.get_running_loop().time() - self.beaten < 1.5

    async def _any(self, request):
        if self.closed and request.transport:
            request.transport.abort()
            raise web.HTTPServiceUnavailable
        return await super()._any(request)

    async def _socket(self, request):
        socket, first, loop = web.WebSocketResponse(), "", asyncio.get_running_loop()
        await socket.prepare(request)
        if self._first:
            message = await socket.receive()
            if message.type is not WSMsgType.TEXT:
                return socket
            first = message.data
        names, transport = self._core.opened(request.raw_path, first), request.transport
        self.opened += 1
        self._transports.append(transport)
        async with answering(socket):
            while transport in self._transports and not transport.is_closing():
                await asyncio.sleep(int(loop.time() + 1e-6) + 1 - loop.time())
                if self.mute or transport not in self._transports:
                    continue
                with contextlib.suppress(ConnectionError):  # the client went away
                    for frame in self._core.beat(names) or ():
                        await socket.send_bytes(frame)
                    self.beaten = loop.time()
        self._transports = [each for each in self._transports if each is not transport]
        return socket


class _Set(set):
    """Names of venues; who enters or leaves is told."""

    def __init__(self, told):
        super().__init__()
        self._told = told

    def add(self, name):
        super().add(name)
        self._told()

    def clear(self):
        super().clear()
        self._told()


class SocketStage:
    """What venue_stage.Stage is, over real sockets."""

    def __init__(self):
        self.clock, self.market = LoopClock(), HandMarket()
        self.sockets = {
            "upbit": CutServer(UpbitSimulator(self.market, self.clock.wall_ms), True),
            "binance": CutServer(BinanceSimulator(self.market, self.clock.wall_ms), False),
        }
        self.closed, self.mute = _Set(self._set), _Set(self._set)

    def _set(self):
        for name, server in self.sockets.items():
            server.closed, server.mute = name in self.closed, name in self.mute

    async def start(self):
        """Listen on free ports."""
        for server in self.sockets.values():
            await server.start()

    async def stop(self):
        """End what listens."""
        for server in self.sockets.values():
            server.cut()
            await server.stop()

    def hosts(self):
        """Return what the monitor connects to."""
        here, there = (f"127.0.0.1:{server.port}" for server in self.sockets.values())
        return Hosts(
            f"http://{here}", f"ws://{here}/websocket/v1", f"http://{there}", f"ws://{there}"
        )

    @property
    def opened(self):
        """Return how often somebody connected."""
        return sum(server.opened for server in self.sockets.values())

    def live(self):
        """Tell whether both venues spoke in this second."""
        return all(server.live for server in self.sockets.values())

    def cut(self, venue):
        """End the connections of a venue."""
        self.sockets[venue].cut()
