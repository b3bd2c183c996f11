"""Sessions of the feed one after another, and stocks that fall silent: against a plain reading."""

import asyncio
import itertools
from datetime import timedelta
from types import SimpleNamespace

import edge
import pytest
from test_calls_in_a_row import clients, learn_others, reply
from test_trader import SYMBOL, Life
from test_websocket import Ear, Fake, ack, listening, run, taking_all, usual
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.frames import Frame
from websockets.http11 import Response
from websockets.uri import parse_uri

import kis_realtime_trading as bot

# kind of a session -> seconds that it lasts, whether it comes up
KINDS = {"none": (0.0, False), "mute": (3.0, False), "short": (5.0, True), "59": (59.0, True),
         "60": (60.0, True), "long": (900.0, True), "in use": (5.0, False)}  # fmt: skip
ROWS = (
    ("none",) * 9,
    ("short",) * 9,
    ("none", "none", "60", "none", "none", "none"),
    ("short", "59", "59", "59", "60", "short", "short", "long", "short"),
    ("none", "mute", "short", "none", "short", "mute", "mute", "mute"),
    ("short", "in use", "short", "in use", "in use", "none"),
    ("long", "none", "none", "long", "none", "none", "long"),
)


def plainly(kinds):
    """Return the pauses behind the sessions, and what is told: by the sentences of the rule."""
    growing, failed, down, pauses, told = iter((1, 2, 4, 8, 16, 32, *[60] * 99)), 0, False, [], []
    for kind in kinds:
        lasts_s, up = KINDS[kind]
        if up:
            told.append(True)
            down = False
        failed = 0 if up else failed + 1
        if (up or failed == 2) and not down:
            told.append(False)
            down = True
        if lasts_s >= 60.0:
            growing = iter((1, 2, 4, 8, 16, 32, *[60] * 99))
        pauses.append(30 if kind == "in use" else next(growing))
    return pauses, told


@pytest.mark.parametrize("kinds", ROWS, ids=range(len(ROWS)))
def test_pauses_grow_until_a_session_was_steady_and_each_loss_is_told_once(tmp_path, kinds):
    """A steady session ends the growth, a key in use waits 30 s, a second failure in a row is told."""

    async def main():
        desk, left, ends, begins = edge.desk(tmp_path), list(kinds), [], []
        loop = asyncio.get_running_loop()

        async def end(fake, lasts_s, in_use):
            await asyncio.sleep(lasts_s)
            ends.append(loop.time())
            if in_use:
                fake.say(ack("", "", "9", "OPSP8996", "ALREADY IN USE appkey"))
            else:
                await fake.close()

        async def alive(fake):
            while not fake.closed.is_set():
                fake.say("0|H0STCNT0|001|any")
                await asyncio.sleep(20)

        async def connect(url):
            begins.append(loop.time())
            if not left:
                await asyncio.sleep(10_000)
            kind = left.pop(0)
            lasts_s, up = KINDS[kind]
            if kind == "none":
                ends.append(loop.time())
                raise OSError("no way")
            fake = Fake(taking_all if up else None)
            tasks.append(asyncio.create_task(end(fake, lasts_s, kind == "in use")))
            tasks.append(asyncio.create_task(alive(fake)))
            return fake

        tasks = []
        ear = Ear(desk, usual(desk), connect)
        async with listening(ear):
            while len(begins) <= len(kinds):
                await asyncio.sleep(1.0)
        pauses = [b - a for a, b in zip(ends, begins[1:], strict=True)]
        return pauses, [up for up, _ in ear.changes], ear.socket.sessions

    pauses, told, opened = run(main)
    assert opened == sum(each != "none" for each in kinds)  # names the connection in a recording
    wanted, to_tell = plainly(kinds)
    assert pauses == [pytest.approx(each, abs=0.3) for each in wanted]
    assert told == to_tell


@pytest.mark.parametrize(
    "frame", ["0|H0STCNT0|001|any", '{"header": {"tr_id": "PINGPONG"}}', "{odd"]
)
def test_a_session_that_shall_be_renewed_ends_with_its_next_frame_whatever_it_is(tmp_path, frame):
    """That frame is still delivered; the next session registers everything and is not ended by it."""

    async def main():
        desk, made = edge.desk(tmp_path), []

        async def connect(url):
            made.append(Fake(taking_all))
            return made[-1]

        ear = Ear(desk, usual(desk), connect)
        async with listening(ear):
            await asyncio.sleep(10)
            ear.socket.renew("no trades of 005930 come")
            await asyncio.sleep(5)
            before = len(made), made[0].closed.is_set()
            made[0].say(frame)
            await asyncio.sleep(5)
            made[-1].say(frame)
            await asyncio.sleep(50)
        return before, len(made), [len(each.sent) for each in made], ear.changes

    before, count, sent, changes = run(main)
    assert before == (1, False) and count == 2
    assert min(sent) >= 3
    assert [up for up, _ in changes] == [True, False, True] and "005930" in changes[1][1]


class Line(asyncio.Transport):
    """A line that takes everything and notes when it is cut."""

    def __init__(self):
        super().__init__()
        self.aborted = False

    def set_write_buffer_limits(self, high=None, low=None):
        """Nothing waits here."""

    def write(self, data):
        """Take it."""

    def abort(self):
        self.aborted = True


@pytest.mark.parametrize(
    ("every_s", "ends_at"), [(10.0, None), (0.2, None), (0.0999, 101), (0.0, 101)]
)
def test_pings_end_a_connection_by_how_dense_they_are_and_not_by_how_many(every_s, ends_at):
    """A thousand in their time are fine; more than a hundred within ten seconds are none of KIS."""

    async def main():
        line, came = Line(), 0
        connection = bot._Guarded(ClientProtocol(parse_uri("ws://127.0.0.1:1")))
        connection.connection_made(line)
        connection.process_event(Response(101, "", Headers()))  # the handshake is over
        while came < 1_000 and not line.aborted:
            came += 1
            connection.process_event(Frame(bot.WebSocketOpcode.PING, b""))
            await asyncio.sleep(every_s)
        return came if line.aborted else None

    assert run(main) == ends_at


def test_what_the_server_says_is_cleaned_of_the_key_of_its_own_session(tmp_path):
    """Each session has a key of its own: an echo of it reaches neither log, phone nor recording."""
    keys = ["first-0123456789ab", "SECOND.cdefghijklm", "third_NOPQRSTUVWXY"]  # nothing in common

    async def main():
        answers = [(0.0, reply(approval_key=each)) for each in keys]
        (desk, _), made = clients(tmp_path, *answers), []

        def echoing(message):
            tr_id, key = bot.json.loads(message)["body"]["input"].values()
            said = f"no: {bot.json.loads(message)['header']['approval_key']}"
            return [ack(tr_id, key, "1", "OPSP8991", said)]

        async def connect(url):
            learn_others()  # only the session itself knows its key now
            made.append(Fake(echoing))
            return made[-1]

        ear, told = Ear(desk, usual(desk), connect), []
        async with listening(ear):
            for _ in keys:
                await asyncio.sleep(5)
                made[-1].say("{" + keys[len(made) - 1])
                await asyncio.sleep(1)
                told += [*ear.socket.refused.values(), *ear.frames]
                await made[-1].close()
                await asyncio.sleep(3)
        return told

    told = run(main)
    assert len(told) > 9 and all("***" in text for text in told)
    assert not [text for text in told for key in keys if key[:8] in text or key[-8:] in text]


# --- stocks that fall silent ---


class Market:
    """Trades of KIS as a test sets them, of one stock or of all; notes when it was asked."""

    def __init__(self, clock):
        self.clock, self.trades, self.of, self.asked = clock, [], None, []

    async def last_trades(self, symbol):
        self.asked.append(self.clock.now())
        if isinstance(self.trades, Exception):
            raise self.trades
        return [(at, 70_000, 1) for at in self.trades if self.of is None or symbol in self.of]


class Feed:
    """A feed that is up and notes its renewals."""

    def __init__(self):
        self.up, self.renewed = True, []

    def renew(self, why):
        self.renewed.append(why)


async def silent(life):
    """Return the look-out over one stock without a trade since the open, at 09:30."""
    trader, day = await life.begin()
    await life.world.until("09:30:00")
    market, feed = Market(life.world.clock), Feed()
    core = trader.engine.core  # as it stands: its time goes no further
    assert core.symbols[SYMBOL].last_trade is None and core.phase is bot.Phase.CONTINUOUS
    await life.stop(trader, day)
    return core.symbols[SYMBOL], market, feed, bot.Silence(core, market, feed, life.world.clock)


def test_a_silent_stock_renews_the_session_once_a_day_and_is_missing_until_it_is_heard():
    """Asked each five minutes; no answer changes nothing; the next day everything begins anew."""

    async def story(life):
        _, market, feed, silence = await silent(life)
        seen, tasks = [], [asyncio.create_task(silence.run())]
        steps = (
            ("09:42:30", []), ("09:48:30", ["094000"]), ("09:54:30", ["095000"]),
            ("10:00:30", bot.NoAnswer("x")), ("10:06:30", []), ("10:12:30", ["100900"]),
        )  # fmt: skip
        for until, trades in steps:
            market.trades = trades
            await life.world.until(until)
            seen.append((dict(silence.missing), len(feed.renewed)))
        tasks[0].cancel()
        asked = [f"{each:%H:%M}" for each in market.asked]
        again = asyncio.create_task(silence.run())  # of the next day
        await asyncio.sleep(0.1)
        seen.append((dict(silence.missing), len(feed.renewed)))
        await asyncio.sleep(61)
        seen.append((dict(silence.missing), len(feed.renewed)))
        again.cancel()
        return asked, seen

    asked, seen = Life(density=0.0001).play(story)
    first = bot.datetime.strptime(asked[0], "%H:%M")
    steps = [(first + timedelta(minutes=5 * n)).strftime("%H:%M") for n in range(len(asked))]
    assert asked == steps and len(asked) == 9
    one, two = {SYMBOL: "09:40:00"}, {SYMBOL: "09:50:00"}
    late = {SYMBOL: "10:09:00"}
    assert seen == [({}, 0), (one, 1), (two, 1), (two, 1), ({}, 1), (late, 1), ({}, 1), (late, 2)]


@pytest.mark.parametrize(
    ("trades", "late"),
    [
        ([], ""), (["090004"], ""), (["090005"], ""), (["090006"], "09:00:06"),
        (["092954"], "09:29:54"), (["092955"], ""), (["092959"], ""),
        (["092958", "092940", "091000"], "09:29:40"), (["093100", "090003"], ""),
    ],
)  # fmt: skip
def test_a_trade_was_missed_when_it_came_well_before_now_and_well_after_the_last_heard(
    trades, late
):
    """News travel five seconds: the newest trade before then counts, if it is not what was heard."""

    async def story(life):
        _, market, _, silence = await silent(life)
        market.trades = trades
        found = await silence._late_trade(SYMBOL)
        any_missed = await silence.any()
        return found, any_missed

    assert Life(density=0.0001).play(story) == (late, late != "")


@pytest.mark.parametrize("missed", [(), ("000660",), (SYMBOL,)])
def test_one_missed_stock_of_several_is_enough(missed):
    """Each is asked about until one was missed; the others may be as quiet as they like."""

    async def story(life):
        _, market, _, silence = await silent(life)
        market.trades, market.of = ["092000"], missed
        return await silence.any()

    assert Life(density=0.0001, symbols=(SYMBOL, "000660")).play(story) is bool(missed)


def test_who_is_halted_in_an_auction_or_without_a_feed_is_not_asked_about():
    """Silence is their nature; five minutes to the second otherwise."""

    async def story(life):
        state, _, feed, silence = await silent(life)
        found = []
        for halted, auction, up in itertools.product((False, True), repeat=3):
            state.halted, state.auction, feed.up = halted, auction, up
            found.append(silence._is_due(SYMBOL))
        state.halted = state.auction = False
        feed.up = True
        for age_s in (299.0, 300.0):
            heard = life.world.clock.now() - timedelta(seconds=age_s)
            state.last_trade = bot.Trade(SYMBOL, heard, 70_000, 1, 1, 1, False)
            found.append(silence._is_due(SYMBOL))
        return found

    due = Life(density=0.0001).play(story)
    assert due == [False, True, *[False] * 6, False, True]


def test_nobody_is_asked_about_outside_continuous_trading():
    """Ten minutes before the open, in the closing auction and after the close silence means nothing."""

    async def story(life):
        state, market, feed, _ = await silent(life)
        found = []
        for clock in ("08:50:00", "15:19:59", "15:20:00", "15:25:00", "15:30:00", "15:45:00"):
            now, session = edge.at(clock), bot.session_of(edge.DAY)
            core = SimpleNamespace(
                now=now, session=session, phase=session.phase(now), symbols={SYMBOL: state}
            )
            found.append(bot.Silence(core, market, feed, life.world.clock)._is_due(SYMBOL))
        return found

    assert Life(density=0.0001).play(story) == [False, True, *[False] * 4]
