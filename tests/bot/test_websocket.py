"""KISWebSocket: one session at a time, everything registered again, never fatal, never a storm."""

import asyncio
import base64
import contextlib
import itertools
import json
import logging
import time

import aiohttp
import edge
import harness
import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

import kis_realtime_trading as bot

SYMBOL = "005930"


@pytest.fixture(params=("paper", "real"))
def environment(request):
    """Both environments."""
    return request.param


def run(main):
    """Run a test in virtual time."""
    return harness.run_virtual(main())


class Ear:
    """What a session delivers, as the trader would take it."""

    def __init__(self, desk, registrations, connect, url=None, pause_s=0.0):
        self.decoder = bot.FrameDecoder(
            desk.profile.account.reveal() + desk.profile.product, desk.sim.config.day
        )
        self.socket = bot.KISWebSocket(
            url or desk.profile.ws_url, desk.auth, self.decoder, connect, pause_s
        )
        self.socket.registrations = registrations
        self.frames, self.changes, self.events, self.bad = [], [], [], []
        self.socket.deliver = self.take
        self.socket.on_change = lambda up, why: self.changes.append((up, why))

    def take(self, frame):
        self.frames.append(frame)
        try:
            self.events += self.decoder.decode(frame)
        except bot.BadData as error:
            self.bad.append(str(error))

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


@contextlib.asynccontextmanager
async def listening(ear):
    """Run a session beside the test."""
    task = asyncio.create_task(ear.socket.run())
    try:
        yield task
    finally:
        ended = task.done()
        task.cancel()
        [result] = await asyncio.gather(task, return_exceptions=True)
        assert not ended, repr(result)


def usual(desk, symbols=(SYMBOL,)):
    """Return the registrations of the bot for some symbols."""
    notice = bot.NOTICE_TRS[desk.profile.environment]
    trs = ("H0STCNT0", "H0STASP0") + (("H0STMKO0",) * (desk.profile.environment == "real"))
    who = desk.sim.credentials.hts_id
    return [(notice, who), *((tr, symbol) for tr in trs for symbol in symbols)]


def buy(quantity=3):
    return bot.OrderIntent(
        "i1", edge.DAY, SYMBOL, bot.Side.BUY, bot.OrderKind.MARKET, quantity, 0, "entry",
        "0", "s", edge.at("10:05:30"),
    )  # fmt: skip


# --- over real sockets ---


async def test_registrations_of_ours_are_taken_and_data_flows(tmp_path, environment):
    """Trades, quotes and (real) status of the registered stocks arrive and can be read."""
    async with edge.served(tmp_path, environment=environment, speed=600.0, density=20.0) as (
        desk,
        there,
    ):
        ear = Ear(desk, usual(desk), bot.connect_websocket)
        async with listening(ear):
            await edge.until(lambda: ear.changes)
            assert ear.changes == [(True, str(len(usual(desk))))]
            [session] = there.simulator.sessions
            assert usual(desk) == list(session.registered)
            await edge.until(lambda: len(ear.of(bot.Trade)) > 20 and ear.of(bot.Quote))
    trades = ear.of(bot.Trade)
    assert not ear.bad and not ear.socket.refused
    volumes = [trade.cum_volume for trade in trades]
    assert volumes == sorted(volumes) and {SYMBOL} == {trade.symbol for trade in trades}


async def test_a_byte_that_is_no_text_costs_a_frame_and_not_the_session():
    """The real server sent such text frames; after a 1007 it may keep the app key in use."""
    broken = b"0|H0STANC0|001|005930^\xb0"

    async def speak(peer):
        await peer.send(broken, text=True)
        await peer.send("behind it")

    async with serve(speak, "127.0.0.1", 0) as server:
        [place] = server.sockets
        socket = await bot.connect_websocket(f"ws://127.0.0.1:{place.getsockname()[1]}")
        assert [frame async for frame in socket] == [broken, b"behind it"]


async def test_closing_with_a_full_queue_leaves_time_to_report_the_day():
    """The bot lags, so nothing is read, the server's closing frame neither: given up in time.

    The quickest of three counts: others may have the processor meanwhile.
    """

    async def flood(connection):
        with contextlib.suppress(ConnectionClosed):
            for _ in range(4_000):
                await connection.send("0" * 100)
            await connection.wait_closed()

    async with serve(flood, "127.0.0.1", 0) as there:
        port, took_s = there.sockets[0].getsockname()[1], []
        for _ in range(3):
            socket = await bot.connect_websocket(f"ws://127.0.0.1:{port}")
            connection = socket.close.__self__
            await edge.until(lambda reader=connection.recv_messages: reader.paused)
            began = time.monotonic()
            await socket.close()
            took_s.append(time.monotonic() - began)
            if took_s[-1] < 1.7:
                break
    assert min(took_s) < 1.7  # the trader is cut off 2 s after Ctrl-C


@pytest.mark.parametrize("width", [23, 26])
async def test_encrypted_notices_of_both_widths(tmp_path, environment, width):
    """23 fields (paper, measured) and 26 (real): receipt and fill of our own order."""
    async with edge.served(
        tmp_path, environment=environment, notice_fields=width, notice_lag_ms=(1, 2)
    ) as (desk, _):
        ear = Ear(desk, usual(desk), bot.connect_websocket)
        async with listening(ear):
            await edge.until(lambda: ear.changes)
            answer = await desk.orders.submit(buy(7))
            await edge.until(lambda: sum(n.quantity for n in ear.of(bot.Notice)[1:]) == 7)
    receipt, *fills = ear.of(bot.Notice)
    assert receipt.kind is bot.NoticeKind.RECEIVED and receipt.quantity == 7
    assert {bot.NoticeKind.FILL} == {fill.kind for fill in fills}
    assert {answer.order_no} == {notice.order_no for notice in (receipt, *fills)}
    raw = [frame for frame in ear.frames if frame.startswith("1|")]
    assert all(desk.profile.account.reveal() not in frame for frame in raw)


@pytest.mark.parametrize("trade_fields", [46, 47])
@pytest.mark.parametrize("book_fields", [59, 62, 63])
async def test_every_known_width_of_the_feed(tmp_path, trade_fields, book_fields):
    """The layout grew at its end; all widths are read."""
    async with edge.served(
        tmp_path, speed=600.0, density=20.0, trade_fields=trade_fields, book_fields=book_fields
    ) as (desk, _):
        ear = Ear(desk, usual(desk), bot.connect_websocket)
        async with listening(ear):
            await edge.until(lambda: len(ear.of(bot.Trade)) > 5 and len(ear.of(bot.Quote)) > 5)
    assert not ear.bad


async def test_several_records_in_a_frame_are_all_delivered(tmp_path):
    """n records in, n trades out: as many as the simulator counts."""
    async with edge.served(tmp_path, start="08:59:30", speed=120.0, density=600.0) as (desk, there):
        ear = Ear(desk, usual(desk), bot.connect_websocket)
        async with listening(ear):
            await edge.until(lambda: len(ear.of(bot.Trade)) > 500)
            await edge.until(
                lambda: len(ear.of(bot.Trade)) == there.simulator.books()["trades_sent"][SYMBOL]
            )
    counts = {int(f.split("|")[2]) for f in ear.frames if f.startswith("0|H0STCNT0")}
    assert max(counts) > 1
    assert not ear.bad


async def test_a_session_lives_by_answering_pingpong(tmp_path):
    """The server cuts a session that does not answer; ours is still there after many rounds."""
    async with edge.served(tmp_path, pingpong_s=0.05, dead_session_s=0.4) as (desk, there):
        ear = Ear(desk, usual(desk), bot.connect_websocket)
        async with listening(ear):
            await edge.until(lambda: ear.changes)
            [session] = there.simulator.sessions
            first = session.next_ping
            await edge.until(lambda: session.next_ping - first > 0.6)
            assert [session] == there.simulator.sessions
    assert ear.changes == [(True, "3")] and ear.socket.sessions == 1
    assert not [frame for frame in ear.frames if "PINGPONG" in frame]


ANSWERS = {
    "text": lambda ws, text: ws.send_str(text),
    "pong": lambda ws, text: ws.pong(text.encode()),
    "ping": lambda ws, text: ws.ping(text.encode()),
    "nothing": None,
}


async def test_the_simulator_takes_every_known_answer_to_pingpong(tmp_path):
    """Text, PONG and PING with the text keep a session; silence ends it."""

    async def alive_after_a_second(client, url, answer):
        """Answer PINGPONG in one way; tell whether the session is still there."""
        until = time.monotonic() + 0.6
        async with client.ws_connect(url, autoping=False) as ws:
            while time.monotonic() < until:
                try:
                    message = await ws.receive(timeout=0.5)
                except TimeoutError:
                    continue
                if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                    return False
                if message.type is aiohttp.WSMsgType.TEXT and answer:
                    await answer(ws, message.data)
            return True

    async with (
        edge.served(tmp_path, pingpong_s=0.05, dead_session_s=0.3) as (_, there),
        aiohttp.ClientSession() as client,
    ):
        found = await asyncio.gather(
            *(alive_after_a_second(client, there.ws_url, answer) for answer in ANSWERS.values())
        )
    assert dict(zip(ANSWERS, found, strict=True)) == {
        "text": True, "pong": True, "ping": True, "nothing": False,
    }  # fmt: skip


async def test_the_registration_message_of_the_official_sample_and_ours_are_taken_alike(tmp_path):
    """The same acknowledgement, keys included, whichever way the JSON is written."""
    async with edge.served(tmp_path) as (desk, there):
        key = (await desk.auth.approval_key()).reveal()
        official = {
            "header": {
                "content-type": "utf-8", "approval_key": key, "tr_type": "1", "custtype": "P",
            },
            "body": {"input": {"tr_id": "H0STCNT0", "tr_key": SYMBOL}},
        }  # fmt: skip
        ours = bot.registration_message(key, "H0STCNT0", SYMBOL, register=True)
        answers = []
        for text in (json.dumps(official), json.dumps(official, indent=2), ours):
            session = there.simulator.connect()
            session.receive_text(text)
            answers.append(json.loads(session.outbox.popleft()))
            session.disconnect()
    assert json.loads(ours)["header"].keys() == official["header"].keys()
    for answer in answers:
        assert answer["body"]["msg_cd"] == "OPSP0000"
        assert {"iv", "key"} == set(answer["body"]["output"])


async def test_broken_and_unknown_frames_are_never_fatal(tmp_path):
    """Cut, garbled, lying, widened frames: refused one by one; the session goes on (W13)."""
    faults = [
        {"match": {"kind": "trade", "nth": n}, "effect": effect}
        for n, effect in (
            (3, {"do": "frame_garble", "how": "truncate"}),
            (5, {"do": "frame_garble", "how": "text"}),
            (7, {"do": "frame_garble", "how": "count"}),
            (9, {"do": "frame_extra", "fields": -9}),
            (11, {"do": "frame_extra", "fields": 4}),
        )
    ]
    async with edge.served(tmp_path, speed=600.0, density=30.0, faults=faults) as (desk, _):
        ear = Ear(desk, usual(desk), bot.connect_websocket)
        async with listening(ear):
            await edge.until(lambda: len(ear.of(bot.Trade)) > 60)
    assert 3 <= len(ear.bad) <= 5
    assert ear.changes == [(True, "3")] and ear.socket.sessions == 1


async def test_a_frame_that_is_too_large_costs_the_session_only(tmp_path):
    """More than a megabyte: the session ends and a new one comes; nothing crashes."""
    sizes = iter([2_000_000])

    async with edge.served(tmp_path) as (desk, there):
        ear = Ear(desk, usual(desk), bot.connect_websocket)
        async with listening(ear):
            await edge.until(lambda: ear.changes)
            there.simulator.sessions[0].outbox.append("0|H0STCNT0|001|" + "x" * next(sizes))
            await edge.until(lambda: [up for up, _ in ear.changes] == [True, False, True])
    assert ear.socket.sessions == 2


async def test_after_a_break_everything_is_registered_again_with_new_keys(tmp_path, environment):
    """The connection breaks: down, a pause, up; notices of the new session can be read."""
    async with edge.served(tmp_path, environment=environment, notice_lag_ms=(1, 2)) as (
        desk,
        there,
    ):
        ear = Ear(desk, usual(desk), bot.connect_websocket)
        async with listening(ear):
            await edge.until(lambda: ear.changes)
            before = there.simulator.sessions[0]
            there.simulator.drop_sessions()
            await edge.until(lambda: len(ear.changes) == 3)
            [after] = there.simulator.sessions
            assert usual(desk) == list(after.registered)
            assert (before.key, before.iv) != (after.key, after.iv)
            await desk.orders.submit(buy())
            await edge.until(lambda: ear.of(bot.Notice))
    assert [up for up, _ in ear.changes] == [True, False, True]
    assert not ear.bad
    assert desk.requests("Approval") == 2


async def test_the_server_is_not_there_at_first(tmp_path):
    """A refused connection is tried again; trading starts when it comes."""
    attempts = []

    async def connect(url):
        attempts.append(url)
        if len(attempts) == 1:
            return await bot.connect_websocket("ws://127.0.0.1:9")
        return await bot.connect_websocket(url)

    async with edge.served(tmp_path) as (desk, _):
        ear = Ear(desk, usual(desk), connect)
        async with listening(ear):
            await edge.until(lambda: ear.changes)
    assert ear.changes == [(True, "3")] and len(attempts) == 2
    assert all(url.endswith(bot.WS_PATH) for url in attempts)


# --- in virtual time ---


class Fake:
    """A session that says what a script tells it to, and notes what it is told."""

    def __init__(self, on_text=None, greeting=(), ends=False):
        self.sent, self.closed = [], asyncio.Event()
        self._queue, self._on_text, self._ends = asyncio.Queue(), on_text, ends
        for text in greeting:
            self._queue.put_nowait(text)

    async def send(self, message):
        if self.closed.is_set():
            raise ConnectionClosedError(None, None)
        self.sent.append(message)
        for answer in self._on_text(message) if self._on_text else ():
            self._queue.put_nowait(answer)

    def say(self, text):
        self._queue.put_nowait(text)

    async def close(self):
        self.closed.set()
        self._queue.put_nowait(None)

    def __aiter__(self):
        return self._frames()

    async def _frames(self):
        while not (self._ends and self._queue.empty()):
            text = await self._queue.get()
            if text is None:
                return
            yield text


def ack(tr_id, tr_key, rt_cd="0", code="OPSP0000", text="SUBSCRIBE SUCCESS", **output):
    """Return an acknowledgement."""
    body = {"rt_cd": rt_cd, "msg_cd": code, "msg1": text}
    if rt_cd == "0":
        body["output"] = output or {"key": "k" * 32, "iv": "i" * 16}
    return json.dumps({"header": {"tr_id": tr_id, "tr_key": tr_key, "encrypt": "N"}, "body": body})


def wanted_in(message):
    """Return TR id and key of a registration, None for anything else."""
    inner = json.loads(message).get("body", {}).get("input")
    return (inner["tr_id"], inner["tr_key"]) if inner else None


def taking_all(message):
    """Acknowledge a registration."""
    pair = wanted_in(message)
    return [ack(*pair)] if pair else []


def answering(code, once_for):
    """Refuse the registrations of some TRs with a code, once each; take the others."""
    left = list(once_for)

    def answer(message):
        pair = wanted_in(message)
        if pair and pair[0] in left:
            left.remove(pair[0])
            return [ack(*pair, "1", code, "why")]
        return taking_all(message)

    return answer


class Line:
    """Connections handed out one after another; the last kind stays."""

    def __init__(self, *makers):
        self.makers, self.times, self.made = list(makers), [], []

    async def __call__(self, url):
        self.times.append(asyncio.get_running_loop().time())
        maker = self.makers.pop(0) if len(self.makers) > 1 else self.makers[0]
        made = maker()
        if isinstance(made, Exception):
            raise made
        self.made.append(made)
        return made

    def gaps(self):
        return [round(b - a) for a, b in itertools.pairwise(self.times)]


def test_the_forty_second_registration_is_never_sent(tmp_path):
    """41 in one session, all TRs together: the most important first (W19)."""

    async def main():
        codes = tuple(f"{n:06d}" for n in range(100_010, 100_034))
        desk = edge.desk(tmp_path, symbols=codes, start="08:00:00", density=0.01)
        network = desk.transport
        wanted = usual(desk, codes)
        assert len(wanted) > 41
        ear = Ear(desk, wanted, network.connect)
        driver = asyncio.create_task(network.drive())
        async with listening(ear):
            await asyncio.sleep(30)
            [session] = desk.sim.sessions
            assert list(session.registered) == wanted[:41]
            assert ear.changes == [(True, "41")] and not ear.socket.refused
        driver.cancel()

    run(main)


def test_pauses_between_tries_grow_and_are_bounded(tmp_path):
    """A server that hangs up at once is not stormed: 1, 2, 4 ... 60 seconds (W06)."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(lambda: Fake(taking_all, ends=True))
        ear = Ear(desk, usual(desk), line)
        async with listening(ear):
            await asyncio.sleep(8 * 3600)
        assert line.gaps()[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
        assert {60} == set(line.gaps()[7:])
        most = max(sum(start <= each < start + 600 for each in line.times) for start in line.times)
        assert most <= 20

    run(main)


@pytest.mark.parametrize(
    "error", [OSError("no route"), TimeoutError(), ConnectionRefusedError()], ids=repr
)
def test_a_connection_that_cannot_be_made_is_tried_for_ever(tmp_path, error):
    """Hours without a network: growing pauses, no crash, told once, nothing told as up."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(lambda: error)
        ear = Ear(desk, usual(desk), line)
        async with listening(ear):
            await asyncio.sleep(6 * 3600)
            line.makers[:] = [lambda: Fake(taking_all)]
            await asyncio.sleep(61)
        assert [up for up, _ in ear.changes] == [False, True]
        assert 300 < len(line.times) < 400

    run(main)


def test_a_steady_session_ends_the_growth_of_the_pauses(tmp_path):
    """After a minute of data the next break is answered within a second again."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(
            *[lambda: Fake(taking_all, ends=True)] * 5,
            lambda: Fake(taking_all),
            lambda: Fake(taking_all),
        )
        ear = Ear(desk, usual(desk), line)
        async with listening(ear):
            await asyncio.sleep(40)
            steady = line.made[-1]
            for _ in range(8):
                steady.say("0|H0STCNT0|001|x")
                await asyncio.sleep(10)
            at = asyncio.get_running_loop().time()
            await steady.close()
            await asyncio.sleep(5)
        assert line.times[-1] - at == pytest.approx(1.0, abs=0.1)

    run(main)


def test_a_silent_session_is_noticed(tmp_path):
    """No frame of any kind for a minute: closed and opened again (W01); PINGPONG is a frame."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(lambda: Fake(taking_all))
        ear = Ear(desk, usual(desk), line)
        ping = json.dumps({"header": {"tr_id": "PINGPONG", "datetime": "20261120100530"}})
        async with listening(ear):
            for _ in range(30):
                await asyncio.sleep(10)
                line.made[0].say(ping)
            assert len(line.made) == 1
            answers = [text for text in line.made[0].sent if "PINGPONG" in text]
            assert len(answers) >= 29 and {ping} == set(answers)  # unchanged, as measured
            await asyncio.sleep(bot.SILENCE_S + 5)
        assert len(line.made) == 2 and line.made[0].closed.is_set()
        assert [up for up, _ in ear.changes] == [True, False, True]
        assert "silent" in ear.changes[1][1]

    run(main)


def test_pingpong_without_data_in_trading_hours_ends_the_session(tmp_path):
    """Registrations that were lost, or a key that ran out, look like this: all day, unnoticed."""

    async def main():
        desk = edge.desk(tmp_path)
        line, trading = Line(lambda: Fake(taking_all)), asyncio.Event()
        ear = Ear(desk, usual(desk), line)
        ear.socket.expects_data = trading.is_set
        ping = json.dumps({"header": {"tr_id": "PINGPONG", "datetime": "20261120100530"}})

        async def minutes(count, *texts):
            for _ in range(count * 6):
                await asyncio.sleep(10)
                for text in (ping, *texts):
                    line.made[-1].say(text)

        async with listening(ear):
            await minutes(60)
            assert len(line.made) == 1
            trading.set()
            await minutes(40)
            assert line.gaps()[1:] == [pytest.approx(600, abs=15), pytest.approx(1200, abs=15)]
            assert (False, "no data for 300 s") in ear.changes and len(ear.changes) == 7
            await minutes(60, "0|H0STASP0|001|any")
            assert len(line.made) == 4
            await minutes(6)
            assert len(line.made) == 5

    run(main)


def test_a_session_that_never_says_anything_is_given_up(tmp_path):
    """Connected, not one acknowledgement: it was never up, and it is tried again."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(Fake, lambda: Fake(taking_all))
        ear = Ear(desk, usual(desk), line)
        async with listening(ear):
            await asyncio.sleep(bot.SILENCE_S + 10)
        assert len(line.made) == 2 and ear.changes == [(True, "3")]

    run(main)


def test_a_key_in_use_is_not_fought_over(tmp_path):
    """OPSP8996: half a minute between tries, up as soon as the other one has gone (W05)."""

    async def main():
        desk = edge.desk(tmp_path, dead_session_s=1e6)
        other = desk.sim.connect()
        key = (await desk.auth.approval_key()).reveal()
        other.receive_text(bot.registration_message(key, "H0STCNT0", SYMBOL, register=True))
        network = desk.transport
        times = []

        async def connect(url):
            times.append(asyncio.get_running_loop().time())
            return await network.connect(url)

        ear = Ear(desk, usual(desk), connect)
        driver = asyncio.create_task(network.drive())
        async with listening(ear):
            await asyncio.sleep(200)
            assert ear.changes == [(False, "OPSP8996 ALREADY IN USE appkey")]  # said once
            other.disconnect()
            await asyncio.sleep(40)
            assert ear.changes[1:] == [(True, "3")]
        driver.cancel()
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert min(gaps) >= 30 and len(times) <= 9

    run(main)


def test_a_session_that_lingers_at_the_server_is_waited_for(tmp_path):
    """After a crash the old session blocks the key for a while; then ours is taken."""

    async def main():
        desk = edge.desk(tmp_path, session_linger_s=70.0)
        network = desk.transport
        ear = Ear(desk, usual(desk), network.connect)
        driver = asyncio.create_task(network.drive())
        async with listening(ear):
            await asyncio.sleep(5)
            desk.sim.drop_sessions()
            await asyncio.sleep(130)
        driver.cancel()
        assert [up for up, _ in ear.changes] == [True, False, True]

    run(main)


@pytest.mark.parametrize("code", ["OPSP0011", "OPSP9994"])
def test_an_approval_key_that_is_not_taken_is_replaced(tmp_path, code):
    """The session ends, a new key is asked for, everything is registered with it (W18)."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(
            lambda: Fake(answering(code, once_for=[usual(desk)[0][0]])), lambda: Fake(taking_all)
        )
        ear = Ear(desk, usual(desk), line)
        async with listening(ear):
            await asyncio.sleep(20)
        keys = [
            {json.loads(text)["header"]["approval_key"] for text in made.sent} for made in line.made
        ]
        assert [len(each) for each in keys] == [1, 1] and keys[0] != keys[1]
        assert ear.changes == [(True, "3")]
        assert desk.requests("Approval") == 2

    run(main)


@pytest.mark.parametrize("path", ["Approval"])
def test_no_approval_key_is_no_crash(tmp_path, path):
    """The key is refused or the answer lost: tried again with growing pauses."""

    async def main():
        desk = edge.desk(tmp_path)
        desk.fault("error", {"path": path, "nth": 1}, code="EGW00105", status=403)
        desk.fault("lose", {"path": path, "nth": 1}, how="hang")
        desk.fault("html", {"path": path, "nth": 1}, status=502)
        ear = Ear(desk, usual(desk), Line(lambda: Fake(taking_all)))
        async with listening(ear):
            await asyncio.sleep(60)
        assert ear.changes == [(True, "3")]

    run(main)


@pytest.mark.parametrize("code", ["OPSP0002", "OPSP0000"])
def test_a_registration_that_exists_already_counts_as_made(tmp_path, code):
    """ALREADY IN SUBSCRIBE comes with rt_cd 1 and is fine."""

    async def main():
        desk = edge.desk(tmp_path)
        ear = Ear(desk, usual(desk), Line(lambda: Fake(answering(code, once_for=["H0STCNT0"]))))
        async with listening(ear):
            await asyncio.sleep(5)
        assert ear.changes == [(True, "3")] and not ear.socket.refused

    run(main)


@pytest.mark.parametrize("code", ["OPSP8991", "OPSP8993", "OPSP0008"])
def test_a_registration_that_will_never_be_taken_does_not_hold_the_others(tmp_path, code):
    """The wrong one is kept in `refused`; the rest is up."""

    async def main():
        desk = edge.desk(tmp_path)
        ear = Ear(desk, usual(desk), Line(lambda: Fake(answering(code, once_for=["H0STASP0"]))))
        async with listening(ear):
            await asyncio.sleep(5)
        assert ear.changes == [(True, "2")]
        assert {("H0STASP0", SYMBOL): f"{code} why"} == ear.socket.refused

    run(main)


@pytest.mark.parametrize("code", ["OPSP0007", "OPSP0009", "OPSP8999", "OPSP9993", "OPSP9995"])
def test_a_registration_that_the_server_could_not_make_is_tried_again(tmp_path, code):
    """ "retry later" for the trades of a held stock must not leave its stop unwatched all day."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(lambda: Fake(answering(code, once_for=["H0STCNT0"])))
        ear = Ear(desk, usual(desk), line)
        ping = json.dumps({"header": {"tr_id": "PINGPONG", "datetime": "20261120100530"}})
        async with listening(ear):
            for _ in range(30):
                await asyncio.sleep(10)
                line.made[-1].say(ping)
        tries = sum("H0STCNT0" in text for made in line.made for text in made.sent)
        assert tries >= 2

    run(main)


def test_a_registration_that_is_never_acknowledged_is_made_again(tmp_path):
    """One lost answer must not keep the feed "down" (no entries) for a whole day in silence."""

    async def main():
        desk = edge.desk(tmp_path)
        left = ["H0STCNT0"]

        def forgetful(message):
            pair = wanted_in(message)
            if pair and pair[0] in left:
                left.remove(pair[0])
                return []
            return taking_all(message)

        line = Line(lambda: Fake(forgetful))
        ear = Ear(desk, usual(desk), line)
        ping = json.dumps({"header": {"tr_id": "PINGPONG", "datetime": "20261120100530"}})
        async with listening(ear):
            for _ in range(30):
                await asyncio.sleep(10)
                line.made[-1].say(ping)
        assert (True, "3") in ear.changes

    run(main)


@pytest.mark.parametrize(("silent_rounds", "up_again_after_s"), [(1, 35), (4, 125), (99, None)])
def test_a_part_of_the_registrations_after_a_reconnection_is_not_the_feed(
    tmp_path, silent_rounds, up_again_after_s
):
    """The quotes of one stock are never acknowledged: entries stay on hold, and it is asked again."""

    async def main():
        desk, rounds = edge.desk(tmp_path), []

        def partly(message):
            pair = wanted_in(message)
            if pair and pair[0] == "H0STASP0":
                rounds.append(asyncio.get_running_loop().time())
                if len(rounds) <= silent_rounds:
                    return []
            return taking_all(message)

        line = Line(lambda: Fake(taking_all), lambda: Fake(partly))
        ear = Ear(desk, usual(desk), line)
        ping = json.dumps({"header": {"tr_id": "PINGPONG", "datetime": "20261120100530"}})
        async with listening(ear):
            await asyncio.sleep(70)
            await line.made[0].close()
            await asyncio.sleep(2)
            began = asyncio.get_running_loop().time()
            for _ in range(20):
                line.made[-1].say(ping)
                await asyncio.sleep(10)
                if ear.changes[-1][0]:
                    break
        assert [up for up, _ in ear.changes[:2]] == [True, False]
        if up_again_after_s:
            assert ear.changes[2:] == [(True, "3")]
            assert asyncio.get_running_loop().time() - began <= up_again_after_s + 10
        else:
            assert len(ear.changes) == 2 and len(line.made) == 2
            assert len(rounds) >= 6

    run(main)


def test_refusals_are_told_once_and_only_of_what_was_asked(tmp_path):
    """Each is a journal row and a message: a flood of strange ones would hold trading up."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(lambda: Fake(answering("OPSP8991", once_for=["H0STASP0"])))
        ear = Ear(desk, usual(desk), line)
        async with listening(ear):
            await asyncio.sleep(5)
            for n in range(1000):
                line.made[0].say(ack(f"X{n}", str(n), "1", "OPSPX", "?"))
                line.made[0].say(ack("H0STASP0", SYMBOL, "1", "OPSP8991", "why"))
            await asyncio.sleep(5)
        key = f"H0STASP0 {SYMBOL}"
        assert [*ear.socket.troubles()] == [
            (f"refused {key}", f"no realtime data: {key}: OPSP8991 why")
        ]
        assert ear.changes == [(True, "2")] and len(ear.socket.refused) == 1

    run(main)


ODD_TEXTS = (
    "", " ", "{", "{}", "[]", "null", '{"header":null}', '{"header":{}}', '{"header":[]}',
    '{"header":{"tr_id":null},"body":null}', '{"header":{"tr_id":"X"},"body":[]}',
    '{"header":{"tr_id":"X"},"body":{"output":[]}}', '{"header":{"tr_id":{}},"body":{}}',
    '{"header":{"tr_id":"H0STCNT0","tr_key":"005930"},"body":{"rt_cd":"0","output":{"key":"k","iv":"i"}}}',
    "0", "1", "0|", "1|||", "0|H0STCNT0|000|", "0|H0STCNT0|9999|a^b",
    "0|H0STCNT0|001|" + "^" * 46, "1|H0STCNI0|001|AAAA", "2|H0STCNT0|001|x", "\x00\xff", "한글|a|b|c",
    "0|H0STCNT0|001|005930^09" + "^" * 45, "1|H0STCNT0|001|" + base64.b64encode(b"x" * 16).decode(),
)  # fmt: skip


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_no_frame_is_too_odd(tmp_path, binary):
    """Each is delivered and refused, or ignored; the session and the good frames live on."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(lambda: Fake(taking_all))
        ear = Ear(desk, usual(desk), line)
        async with listening(ear):
            await asyncio.sleep(1)
            for text in ODD_TEXTS:
                raw = text.encode("utf-8", "surrogatepass")
                line.made[0].say(raw if binary else text)
            good = "0|H0STASP0|001|" + "^".join(["005930", "100530", "0", *["1"] * 60])
            line.made[0].say(good)
            await asyncio.sleep(1)
        assert ear.socket.sessions == 1 and ear.changes == [(True, "3")]
        assert len(ear.of(bot.Quote)) == 1

    run(main)


def test_a_lone_surrogate_in_a_key_does_not_end_the_program(tmp_path):
    """JSON can carry it; an odd key is BadData like any other."""

    async def main():
        desk = edge.desk(tmp_path)
        text = '{"header":{"tr_id":"H0STCNI9"},"body":{"rt_cd":"0","output":{"key":"\\ud800","iv":"i"}}}'
        line = Line(lambda: Fake(taking_all))
        ear = Ear(desk, usual(desk), line)
        async with listening(ear):
            await asyncio.sleep(1)
            line.made[0].say(text)
            await asyncio.sleep(1)

    run(main)


def test_bad_frames_are_counted_and_logged_once_a_minute(tmp_path, caplog):
    """A storm of broken frames fills no disk; the count goes on (D08)."""
    world = harness.World(edge.config(density=0.5), start="09:20:00")

    async def main():
        driver = asyncio.create_task(world.network.drive())
        trader = world.make_trader(harness.Nothing())
        trading = asyncio.create_task(trader.run(one_day=True))
        await asyncio.sleep(60)
        with caplog.at_level(logging.INFO, logger="kisbot"):
            for _ in range(300):
                for _ in range(20):
                    trader.inbox.put("0|H0STCNT0|001|nonsense")
                await asyncio.sleep(1)
        trader.stop("enough")
        await trading
        driver.cancel()
        return trader

    try:
        trader = run(main)
    finally:
        world.close()
    assert trader.counts["bad frames"] == 6000
    lines = [record for record in caplog.records if "bad frames" in record.getMessage()]
    assert 4 <= len(lines) <= 6


def test_lost_frames_are_told_once_a_day():
    """The oldest go when the queue is full; told once, and in the evening, as it is not over."""

    async def main():
        life = harness.World(edge.config(), start="09:10:00")
        try:
            driver = asyncio.create_task(life.network.drive())
            trader = life.make_trader(harness.Nothing())
            run = asyncio.create_task(trader.run(one_day=True))
            await life.until("09:10:30")
            for _ in range(3):
                for _ in range(bot.INBOX_LIMIT + 7):
                    trader.inbox.put("0|H0STCNT0|001|nonsense")
                await asyncio.sleep(3)
            trader.stop("over")
            await run
            trader.journal.close()
            driver.cancel()
            return list(trader.bridge.messages)
        finally:
            life.close()

    told = [text for text in harness.run_virtual(main()) if "느려" in text]
    assert ["시세 7건을 잃었습니다" in told[0], "시세 21건을 잃었습니다" in told[-1]] == [
        True,
        True,
    ]
    assert ["손익" in text for text in told] == [
        False,
        True,
    ]  # the alarm, then the report of the day


def test_a_session_that_cannot_be_closed_does_not_hold_the_next(tmp_path):
    """close() that never returns is given up after seconds."""

    class Sticky(Fake):
        async def close(self):
            if not self.closed.is_set():
                self.closed.set()
                await asyncio.Event().wait()

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(lambda: Sticky(taking_all), lambda: Fake(taking_all))
        ear = Ear(desk, usual(desk), line)
        async with listening(ear):
            await asyncio.sleep(1)
            line.made[0].say(None)
            await asyncio.sleep(15)
        assert [up for up, _ in ear.changes] == [True, False, True]

    run(main)


def test_a_server_that_echoes_the_approval_key_does_not_spread_it():
    """In a refusal, as a later try and in a broken frame: `***` in what is told and recorded."""

    async def main():
        key = "0f1e2d3c-approval-4b5a6978"

        class Auth:
            async def approval_key(self):
                return bot.Secret(key)

        class Line:
            """A session that answers each registration with the key in its text."""

            def __init__(self):
                self.answers = asyncio.Queue()

            async def send(self, text):
                sent = json.loads(text)["body"]["input"]
                head = {"tr_id": sent["tr_id"], "tr_key": sent["tr_key"], "encrypt": "N"}
                body = {"rt_cd": "1", "msg_cd": "OPSP8991", "msg1": f"no {key} {sent['tr_key']}"}
                await self.answers.put(json.dumps({"header": head, "body": body}))
                await self.answers.put('{"odd": "' + key)

            async def close(self):
                pass

            async def __aiter__(self):
                while True:
                    yield await self.answers.get()

        line, frames = Line(), []

        async def connect(url):
            return line

        socket = bot.KISWebSocket("ws://127.0.0.1", Auth(), bot.FrameDecoder(), connect, 0.0)
        socket.registrations = [("H0STCNI0", "hts-id-of-owner"), ("H0STCNT0", SYMBOL)]
        socket.deliver = frames.append
        task = asyncio.create_task(socket.run())
        while len(socket.refused) < 2 or len(frames) < 2:
            await asyncio.sleep(0.1)
        told = [text for _, text in socket.troubles()]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert all("***" in each for each in (*told, *frames))
        shown = repr((told, frames, socket.refused.values()))
        assert key not in shown and "hts-id-of-owner" not in shown

    run(main)


# --- the end ---


class Keys:
    """Gives the approval key at once."""

    async def approval_key(self):
        return bot.Secret("approved")


class EndsAtOnce:
    """A session that the server closes as soon as it is open."""

    async def send(self, message):
        raise ConnectionClosedError(None, None)

    async def close(self):
        await asyncio.sleep(0)

    def __aiter__(self):
        return self

    async def __anext__(self):
        raise StopAsyncIteration


@pytest.mark.parametrize("turn", range(40))
def test_a_cancel_at_any_turn_of_the_loop_ends_the_feed(turn):
    """Also while a session that has just ended is being closed: the day waited for ever there."""

    async def main():
        async def connect(url):
            return EndsAtOnce()

        socket = bot.KISWebSocket("ws://h", Keys(), bot.FrameDecoder(""), connect, 0.0)
        task = asyncio.create_task(socket.run())
        for _ in range(turn):
            await asyncio.sleep(0)
        task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        return task.cancelled()

    assert asyncio.run(main())
