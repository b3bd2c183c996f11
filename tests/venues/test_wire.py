"""The wire in virtual time: the pacer over whole runs, the line over cuts."""

import asyncio
import ssl

import pytest
from harness import run_virtual
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage

from kis_realtime_trading import BadData, NotSent
from venues import upbit
from venues.common import FeedChange
from venues.kiwoom_stream import connect_kiwoom
from venues.simulators.market import Market
from venues.simulators.server import Server
from venues.simulators.upbit import UpbitSimulator
from venues.wire import (
    LANE_EXIT,
    LANE_QUERY,
    Clock,
    Limit,
    Line,
    LinePlan,
    Pacer,
    Statistics,
    VenueTransport,
    connect_socket,
    trusted,
)


def test_an_exit_overtakes_and_the_limit_holds():
    """Forty questions wait; the exit that came last goes before them; never 11 in a second."""

    async def scene():
        pacer, loop, gone = Pacer({"g": Limit(10, 1.0, kept=2)}), asyncio.get_running_loop(), []

        async def call(name, lane):
            await pacer.turn("g", lane)
            gone.append((loop.time(), name))

        tasks = [loop.create_task(call("query", LANE_QUERY)) for _ in range(40)]
        tasks.append(loop.create_task(call("exit", LANE_EXIT)))
        await asyncio.gather(*tasks)
        return gone

    gone = run_virtual(scene())
    assert (0.0, "exit") in gone
    assert all(sum(at - 1.0 < when <= at for when, _ in gone) <= 10 for at, _ in gone)


@pytest.mark.parametrize("opened", [connect_socket, connect_kiwoom])
@pytest.mark.parametrize(("scheme", "begin"), [("wss", b"\x16\x03"), ("ws", b"GE")])
def test_a_secure_address_is_spoken_to_by_tls(scheme, begin, opened):
    """One context for all lines: it wants a certificate of a known authority, for this very host."""

    async def scene():
        heard = asyncio.get_running_loop().create_future()

        async def hear(reader, writer):
            heard.set_result(await reader.read(2))
            writer.close()

        server = await asyncio.start_server(hear, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises((OSError, EOFError, InvalidMessage)):
                await opened(f"{scheme}://127.0.0.1:{port}", {})
            return await heard

    assert asyncio.run(scene()) == begin
    assert trusted() is trusted()
    assert (trusted().verify_mode, trusted().check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_ban_stops_the_venue_and_is_told_once():
    """418: nothing goes before its time, whatever the group."""

    async def scene():
        told = []
        pacer = Pacer({"g": Limit(10, 1.0)}, told.append)
        pacer.banned(120.0)
        pacer.banned(120.0)
        await pacer.turn("g", LANE_EXIT)
        return told, asyncio.get_running_loop().time()

    told, at = run_virtual(scene())
    assert (len(told), at >= 120.0) == (1, True)


class Scripted:
    """A connection that gives its frames and then is silent, or closes."""

    def __init__(self, frames, hang):
        self.frames, self.hang, self.sent = frames, hang, []

    async def __aiter__(self):
        for frame in self.frames:
            yield frame
        if self.hang:
            await asyncio.Event().wait()

    async def send(self, message):
        self.sent.append(message)

    async def close(self):
        pass


def test_a_line_comes_back_after_close_silence_and_refusal():
    """Each end is told as down, each return as up; the subscription is sent anew each time."""

    async def scene():
        sockets = [
            Scripted([b"1"], False),
            Scripted([b"bad", b"2"], True),
            None,
            Scripted([b"3"], True),
        ]
        opened, changes, read, statistics = [], [], [], Statistics()
        done = asyncio.Event()

        async def connect(url, headers):
            socket = sockets.pop(0)
            if socket is None:
                raise OSError("refused")
            opened.append(socket)
            return socket

        def take(raw, seen_ns):
            if raw == b"bad":
                raise BadData("bad")
            read.append(raw)
            if raw == b"3":
                done.set()

        plan = LinePlan("v", "l", lambda: "ws://x", lambda: ["hello"], silence_s=60.0)
        line = Line(plan, take, changes.append, statistics, Clock(), connect)
        task = asyncio.get_running_loop().create_task(line.run())
        await done.wait()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert line.why == ""
        return opened, changes, read, statistics.line("l")

    opened, changes, read, stats = run_virtual(scene())
    assert read == [b"1", b"2", b"3"]
    assert [socket.sent for socket in opened] == [["hello"]] * 3
    assert [change.up for change in changes] == [True, False, True, False, True]
    assert all(isinstance(change, FeedChange) for change in changes)
    assert (stats.reconnects, stats.bad) == (3, 1)


def test_a_foreign_host_gets_nothing():
    """Only the named hosts, and only by TLS."""

    async def scene():
        transport = VenueTransport(["api.upbit.com"])
        for url in (
            "https://example.org/",
            "http://api.upbit.com/v1",
            "https://api.upbit.com:444/",
        ):
            with pytest.raises(NotSent):
                await transport("GET", url, {}, None, 1.0)
        assert transport._session is None

    asyncio.run(scene())


def test_a_simulated_venue_answers_pings():
    """Who does not is left by the client after a minute: the demo's lines were opened anew each minute and a half."""

    async def scene():
        server = Server(UpbitSimulator(Market(), Clock().wall_ms), True)
        await server.start()
        try:
            async with connect(f"ws://127.0.0.1:{server.port}/websocket/v1", proxy=None) as socket:
                await socket.send(upbit.subscription("t", ["KRW-BTC"]))
                return await asyncio.wait_for(await socket.ping(), 10.0)
        finally:
            await server.stop()

    assert asyncio.run(scene()) >= 0
