"""What the trader's parts keep from one moment to the next: the lane, the journal's waits, the morning."""

import asyncio
import contextlib
import functools
import json
import random
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

import edge
import harness
import pytest
from test_calls_in_a_row import good, reply, token
from test_late_journal import locked
from test_trader import SYMBOL, Life, Wrong

import kis_realtime_trading as bot

OTHER = "000660"


def entry_of(n, **changes):
    """Return a harmless intent to buy."""
    made = bot.OrderIntent(
        f"{n:016d}", edge.DAY, SYMBOL, bot.Side.BUY, bot.OrderKind.LIMIT, 1, 70_000, "entry", "entry",
        f"s{n}", edge.at("09:30:00"),
    )  # fmt: skip
    return bot.replace(made, **changes)


class Asked(NamedTuple):
    """A request that left: its loop time, the last part of its path, what stood then."""

    at_s: float
    name: str
    params: dict[str, str]
    stood: Any


class Slow(NamedTuple):
    """What comes late; without an answer of its own the simulator's."""

    seconds: float
    answer: bot.HttpReply | None = None


class Wire:
    """A network that notes each request; some it answers by a script, the rest is the simulator's.

    A script has, for the last part of a path, one thing for each request: an answer, an error, or
    the seconds until an answer.
    """

    def __init__(self, network):
        self._network, self.asked = network, []
        self.script, self.look = {}, lambda: None  # `look` tells what stands

    async def __call__(self, method, url, headers, params, body):
        name, now = url.rpartition("/")[2], asyncio.get_running_loop().time()
        self.asked.append(Asked(now, name, dict(params), self.look()))
        script = self.script.get(name)
        what = script.pop(0) if script else 0.0
        if isinstance(what, Exception):
            raise what
        if isinstance(what, bot.HttpReply):
            return what
        seconds, answer = what if isinstance(what, Slow) else (what, None)
        await asyncio.sleep(seconds)
        return answer or await self._network(method, url, headers, params, body)

    async def close(self):
        """Nothing is open."""

    def of(self, name):
        """Return the requests of one path."""
        return [each for each in self.asked if each.name == name]


class Noting:
    """A recorder that notes what it is given, and what stood then: before the engine hears it."""

    def __init__(self):
        self.seen, self.stood, self.look = [], [], lambda: None
        self.flushed, self.broken = [], ""

    def _note(self, *what):
        self.seen.append(what)
        self.stood.append(self.look())

    def frame(self, stamp_ns, connection, frame):
        self._note("frame", frame, connection)

    def time(self, now):
        self._note("time", now)

    def event(self, event):
        self._note("event", event)

    def flush(self):
        self.flushed.append("alarms")  # they had it written

    def begin_day(self, now):
        """All days stand in one list."""

    def close(self):
        """Nothing is open."""

    def events(self, kind):
        """Return the events of a kind, in their order."""
        return [each[1] for each in self.seen if isinstance(each[1], kind)]


async def run_for(coroutine, seconds):
    """Run a loop of the trader for a while."""
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def trader_of(life, telegram="", journal=None, show_status=lambda trader: None, strategy=None):
    """Return a trader with a noting recorder and network (`life.wire`), of which nothing runs yet."""
    world, life.wire = life.world, Wire(life.network)
    journal = journal or bot.Journal(world.folder / "journal.sqlite3")
    services = bot.Services(
        world.clock, life.wire, life.network.connect, journal, world.folder, Noting(), show_status
    )
    settings = harness.make_settings(life.sim, **world.settings)
    settings = bot.replace(settings, telegram_token=bot.Secret(telegram), telegram_chat="42")
    strategy = strategy or harness.Nothing()
    return bot.Trader(settings, strategy, services, harness.past_of(journal))


def parts(story, **more):
    """Run a story with the parts of a trader that is not run."""

    async def main(life):
        trader = trader_of(life)
        result = await story(life, trader)
        trader.journal.close()
        return result

    return Life(**more).play(main)


def let_go(trader, n=1, **changes):
    """Return row and call of an order that nothing holds back: awaited by the ledger, shares held."""
    core = trader.engine.core
    if core.session is None:
        trader.feed(bot.Command("day", trader.clock.now(), bot.session_of(edge.DAY)))
        core.ledger.position(SYMBOL).quantity = 50
    usual = {"side": bot.Side.SELL, "purpose": "exit", "at": trader.clock.now()}
    intent = entry_of(n, **{**usual, **changes})
    core.ledger.apply(intent)
    return bot.Record("intent", intent.intent_id, intent), bot.OrderCall("new", intent)


# --- the lane ---


def test_at_the_end_every_call_of_the_lane_is_answered_once():
    """What waited never left; what is under way is unknown; the lane is empty and joined at once."""

    async def story(life, trader):
        lane = trader.bridge.calls
        for n in range(4):
            lane.put_nowait((True, n, bot.OrderCall("new", entry_of(n))))
        life.wire.script["tokenP"] = [60.0]
        await run_for(trader._call_lane(), 1.0)  # the first waits for a token
        for _ in range(2):  # the second time there is nothing left to answer
            trader.bridge.end_calls()
        async with asyncio.timeout(1.0):
            await lane.join()
        return [
            (each.intent_id, each.answer.outcome.name)
            for each in trader.recorder.events(bot.OrderAnswered)
        ]

    assert parts(story) == [
        (f"{0:016d}", "UNKNOWN"), *((f"{n:016d}", "NOT_SENT") for n in (1, 2, 3)),
    ]  # fmt: skip


def test_an_order_takes_one_turn_of_the_pace(tmp_path):
    """At one call a second three orders leave in seconds 0, 1 and 2, each asked about in its turn."""

    async def main():
        desk = edge.desk(tmp_path, pace=1.0)
        await desk.auth.token()
        await asyncio.sleep(10)
        loop = asyncio.get_running_loop()
        began, left, asked = loop.time(), [], []
        desk.transport.before_request = lambda method, path: left.append(loop.time() - began)

        def veto(n):
            asked.append(loop.time() - began)
            return bot.OrderAnswer(bot.Outcome.NOT_SENT) if n == 1 else None

        for n in range(4):
            await desk.orders.submit(entry_of(n, price=60_000), functools.partial(veto, n))
        return [round(each, 1) for each in left], [round(each, 1) for each in asked]

    left, asked = harness.run_virtual(main())
    assert asked == [0.0, 1.0, 2.0, 3.0]
    assert left == [0.0, 2.0, 3.0]


def test_the_order_leaves_before_its_words_are_said():
    """The durable row, then the first byte, then screen and phone: words may take their time."""

    async def story(life, trader):
        def said():
            return any("these words" in text for text in trader.bridge.messages)

        lane = asyncio.create_task(trader._call_lane())
        await trader.broker.auth.token()
        await asyncio.sleep(2)
        row, call = let_go(trader)
        life.wire.look = said
        trader.bridge.execute([row, bot.Alert("error", {"what": "these words"}), call])
        await asyncio.wait_for(trader.bridge.calls.join(), 1.0)
        lane.cancel()
        [left] = life.wire.of("order-cash")
        return left.stood, said(), trader._busy_since, trader.bridge.under_way

    assert parts(story, start="09:30:00") == (False, True, {}, None)


def test_an_exit_that_waits_long_for_its_row_counts_in_the_pace_when_it_leaves(tmp_path):
    """Decided a minute ago, left now: the next in this second finds it in the count."""
    from mad_engine import HELD, Stage
    from test_gate import sell

    stage = Stage(tmp_path)
    stage.hold(HELD, 20, 50_000)
    late = [stage.write(sell(stage, quantity=1)) for _ in range(3)]
    stage.pass_time(100.0)
    assert [stage.refusal(each) for each in late] == [""] * 3
    assert set(stage.gate.left.values()) == {stage.steady_s}
    assert "left within 1 s" in stage.refusal(stage.write(sell(stage, quantity=1)))
    stage.journal.close()


def test_frames_are_stamped_by_the_steady_clock_when_they_come():
    """A recording lays them beside each other: no set clock, and not the time of their batch."""

    async def main():
        inbox, stamps = bot.Inbox(), []
        before = time.monotonic_ns()
        for frame in ("0|a", "1|b", "0|c"):
            inbox.put(frame)
            stamps.append(time.monotonic_ns())
        batch = await inbox.batch()
        return before, dict((frame, stamp) for stamp, frame in batch), stamps

    before, came, stamps = harness.run_virtual(main())
    assert list(came) == ["1|b", "0|a", "0|c"]
    assert (
        before <= came["0|a"] <= stamps[0] <= came["1|b"] <= stamps[1] <= came["0|c"] <= stamps[2]
    )


@pytest.mark.parametrize(
    ("frames", "characters", "kinds"),
    [(40, 300, "0001"), (12, 100_000, "0001"), (8, 100_000, "0111"), (40, 60, "1111")],
)
@pytest.mark.parametrize("seed", range(3))
def test_an_inbox_knows_how_much_waits_in_it(seed, frames, characters, kinds, monkeypatch):
    """Frames of chance in and out, by a plain count of characters and frames.

    When it is full the oldest trades go; a notice goes only when no trade is left.
    """
    monkeypatch.setattr(bot, "INBOX_LIMIT", frames)
    monkeypatch.setattr(bot, "INBOX_CHARACTERS", characters)
    monkeypatch.setattr(bot, "BATCH", 7)
    chance = random.Random(seed)

    async def main():
        inbox, waits, lost = bot.Inbox(), [], 0
        for n in range(600):
            if chance.random() < 0.8 or not waits:
                frame = chance.choice(kinds) + f"|{n}|" + "x" * chance.randrange(20)
                inbox.put(frame)
                waits.append(frame)
                while (
                    sum(is_notice(each) == is_notice(frame) for each in waits) > frames
                    or sum(map(len, waits)) > characters
                ):
                    trades = [each for each in waits if not is_notice(each)]
                    waits.remove((trades or waits)[0])
                    lost += 1
            else:
                wanted = [each for each in waits if is_notice(each)]
                market = [each for each in waits if not is_notice(each)]
                wanted += market[: max(0, 7 - len(wanted))]
                assert [frame for _, frame in await inbox.batch()] == wanted
                waits = [each for each in waits if each not in wanted]
            assert (inbox._size, inbox.lost) == (sum(map(len, waits)), lost)
        return lost

    def is_notice(frame):
        return frame[0] == "1"

    assert harness.run_virtual(main()) > 10


def test_an_event_is_judged_by_the_time_at_which_it_came():
    """Whatever is fed, the engine hears the present moment before it."""

    async def story(life, trader):
        core, now = trader.engine.core, trader.clock.now()
        trader.recorder.look = lambda: core.now  # before the engine hears what is recorded
        seen = [bot.Seen(bot.Cash(n), now) for n in range(2)]
        for each in seen:
            await asyncio.sleep(3)
            trader.feed(each)
        given = zip(trader.recorder.seen, trader.recorder.stood, strict=True)
        return (
            seen,
            now,
            [(*what, at) for what, at in given if what[1] in seen or what[0] == "time"],
        )

    (one, two), began, given = parts(story)
    first, second = began + timedelta(seconds=3), began + timedelta(seconds=6)
    assert [each[:2] for each in given] == [
        ("time", first), ("event", one), ("time", second), ("event", two),
    ]  # fmt: skip
    assert [each[2] for each in given][1:] == [first, first, second]


# --- the journal's waits ---


def test_a_sell_that_waited_is_told_in_its_own_wait_only():
    """A short lateness holds a sell and lets it go untold; the long one after it names only its own."""

    async def story(life):
        trader, run = await life.begin()
        await life.world.until("09:20:00")
        told = []
        for n, late_s in ((1, 0.4), (3, 0.0), (2, 10.0)):  # soon written, at once, late
            with locked(life, trader) if late_s else contextlib.nullcontext():
                sell = entry_of(n, side=bot.Side.SELL, purpose="exit", quantity=n)
                trader.bridge.execute([bot.Record("note", "", {}), bot.OrderCall("new", sell)])
                await asyncio.sleep(late_s)
            while trader.bridge.late:
                await asyncio.sleep(0.1)
            told.append([text for text in trader.bridge.messages if "직접 파십시오" in text])
        holds = list(trader.engine.core.holds)
        await life.stop(trader, run)
        return told, holds

    (first, between, second), holds = Life().play(story)
    assert first == between == [] and len(second) == 1 and "2주" in second[0]
    assert bot.JOURNAL_LATE not in holds


@pytest.mark.parametrize("late_s", [0.4, 5.0])
def test_a_wait_of_the_journal_is_told_when_it_is_long_and_held_as_long_as_it_lasts(late_s):
    """Entries are held from the first row that is late on, and let go with the last; told from 1 s on."""

    async def story(life):
        trader, run = await life.begin(harness.Nothing())
        await life.world.until("09:20:00")
        seen = []
        for _ in range(2):
            with locked(life, trader):
                trader.bridge.execute([bot.Record("note", "x", {})])
                seen.append(bot.JOURNAL_LATE in trader.engine.core.holds)
                await asyncio.sleep(late_s)
            await asyncio.sleep(1.0)
            seen.append(bot.JOURNAL_LATE in trader.engine.core.holds)
            seen.append(bool(trader.bridge.late))
        await life.stop(trader, run)
        return seen

    life = Life()
    assert life.play(story) == [True, False, False] * 2
    told = life.alerts().count("journal_late"), life.alerts().count("journal_back")
    assert told == ((2, 2) if late_s > 1 else (0, 0))


# --- questions ---


@pytest.mark.parametrize("ask", [bot.Ask("cash"), bot.Ask("price", SYMBOL), bot.Ask("orders")])
def test_a_trouble_of_a_question_ends_with_its_answer_and_no_other(ask):
    """Three refusals are told under their own name; an answer to something else ends nothing."""

    async def story(life, trader):
        broker, key = trader.broker, f"answer {ask.what} {ask.symbol}"
        refuse = {"do": "error", "code": "OPSQ0001", "status": 200, "rt_cd": "1"}
        path = {"cash": "psbl-order", "price": "inquire-price", "orders": "daily-ccld"}[ask.what]
        life.sim.faults.add({"match": {"path": path}, "effect": refuse})
        seen = []
        for _ in range(3):
            assert await broker.answer(ask) is None
            seen.append(sorted(broker.troubles))
        assert await broker.answer(bot.Ask("holdings")) is not None
        seen.append(sorted(broker.troubles))
        life.sim.faults.clear()
        assert await broker.answer(ask) is not None
        return key, [*seen, sorted(broker.troubles)]

    key, seen = parts(story)
    assert seen == [[], [], [key], [key], []]


# --- the morning ---


NO = reply(200, rt_cd="1", msg_cd="OPSQ0001", msg1="no")  # a refusal that is not asked again
NOBODY = bot.NotSent("no connection: X")


def test_the_calendar_of_each_morning_decides_anew():
    """No, a refusal, yes, no answer, no: held, still held, free, free, held; told each time."""

    def opens(word):
        return good(output=[{"bass_dt": f"{edge.DAY:%Y%m%d}", "opnd_yn": word}])

    async def story(life, trader):
        life.wire.script["chk-holiday"] = [
            opens("N"), NO, opens("Y"), *[bot.NoAnswer("x")] * 4, opens("N"),
        ]  # fmt: skip
        seen = []
        for _ in range(5):
            await trader.morning._confirm_calendar(bot.session_of(edge.DAY))
            seen.append("calendar" in trader.engine.core.holds)
        return seen, trader.bridge.said["calendar_differs"]

    wanted = [True, True, False, False, True], 2
    assert parts(story, start="08:40:00", environment="real") == wanted


def test_a_server_without_a_calendar_holds_nothing():
    """The paper server has none: not asked, and what was held is let go."""

    async def story(life, trader):
        trader.feed(bot.Command("hold", trader.clock.now(), text="calendar"))
        await trader.morning._confirm_calendar(bot.session_of(edge.DAY))
        return life.wire.asked, "calendar" in trader.engine.core.holds

    assert parts(story, start="08:40:00") == ([], False)


def test_a_morning_without_a_token_is_told_until_there_is_one():
    """After 1, 4, 16 and 61 seconds; with the token the trouble is over."""

    async def story(life, trader):
        life.wire.script["tokenP"] = [NOBODY] * 4
        life.wire.look = lambda: "token" in trader.broker.troubles
        assert await trader.morning.prepare(bot.session_of(edge.DAY))
        return [(round(each.at_s), each.stood) for each in life.wire.of("tokenP")], dict(
            trader.broker.troubles
        )

    asked, troubles = parts(story, start="08:40:00")
    assert asked == [(0, False), (1, True), (5, True), (21, True), (82, True)]
    assert troubles == {}


@pytest.mark.parametrize(("ends", "asked"), [("20:39", 2), ("20:45", 1)])
def test_a_token_that_ends_before_the_day_is_renewed_in_the_morning(ends, asked):
    """Less than twelve hours are left: another one, while there is time."""

    async def story(life, trader):
        first = token(access_token_token_expired=f"{edge.DAY} {ends}:00")
        life.wire.script["tokenP"] = [first, token("t2")]
        life.wire.script |= {"inquire-price": [NO], "inquire-daily-ccld": [NO]}
        life.wire.script |= {"inquire-balance": [NO], "inquire-psbl-order": [NO]}
        await trader.broker.auth.token()
        await asyncio.sleep(62)
        assert await trader.morning.prepare(bot.session_of(edge.DAY))
        return len(life.wire.of("tokenP"))

    assert parts(story, start="08:40:00") == asked


def with_open_order_of_yesterday(trader):
    """Let the ledger be of the day before, with an order that rests at the broker."""
    from test_ledger import working

    day = edge.DAY - timedelta(days=1)
    trader.engine.core.ledger.apply(bot.DayOpened(day, edge.at("08:30", day)))
    for entry in working(trade_date=day, at=edge.at("10:00", day)):
        trader.engine.core.ledger.apply(entry)
    return day


def test_an_earlier_day_without_its_list_is_told_until_it_comes():
    """After 5, 30, 60 and 60 seconds; what came is fed with the moment of its question."""

    async def story(life, trader):
        day = with_open_order_of_yesterday(trader)
        await trader.broker.auth.token()
        await asyncio.sleep(2)
        life.wire.script["inquire-daily-ccld"] = [NO] * 4 + [3.0]
        life.wire.look = lambda: (trader.clock.now(), "earlier" in trader.broker.troubles)
        await trader.morning._end_earlier_day(bot.session_of(edge.DAY))
        asked = life.wire.of("inquire-daily-ccld")
        assert {each.params["INQR_STRT_DT"] for each in asked} == {f"{day:%Y%m%d}"}
        [seen] = trader.recorder.events(bot.Seen)
        return (
            [round(each.at_s - asked[0].at_s) for each in asked],
            [each.stood[1] for each in asked],
            trader.broker.troubles,
            (asked[-1].stood[0] - seen.asked_at).total_seconds(),
        )

    spans, told, troubles, age_s = parts(story, start="08:40:00")
    assert spans == [0, 5, 35, 95, 155] and told == [False, True, True, True, True]
    assert troubles == {} and age_s == pytest.approx(0.0, abs=0.1)


def test_the_progress_of_a_warm_up_begins_at_nothing_and_ends_whole():
    """Done, of how many, seconds left: by what the first took; told when it is long; each day anew."""
    many = tuple(f"{n:06d}" for n in range(5930, 5938))

    async def story(life, trader):
        await trader.broker.auth.token()
        life.wire.script["inquire-time-dailychartprice"] = [30.0] * 16
        life.sim.faults.add({"match": {"path": "dailychartprice"}, "effect": {"do": "empty"}})
        life.wire.look = lambda: (trader.morning.progress, trader.bridge.said["preparing"])
        seen = []
        for _ in range(2):
            await trader.morning.warm_up(bot.session_of(edge.DAY))
            seen.append([each.stood for each in life.wire.of("inquire-time-dailychartprice")])
            life.wire.asked.clear()
        told = [trader.bridge.said[code] for code in ("preparing", "prepared")]
        return seen, trader.morning.progress, told

    (first, second), last, told = parts(story, start="08:40:00", symbols=many, environment="real")
    wanted = [(n, 8, 30 * (8 - n) if n else 0) for n in range(8)]
    assert [each for each, _ in first] == [each for each, _ in second] == wanted
    assert [count for _, count in first] == [0, 0, 0, 1, 1, 1, 1, 1]  # not by the first three
    assert (last, told) == ((8, 8, 0), [2, 2])


@pytest.mark.parametrize("held", [(), (OTHER,)])
def test_a_morning_asks_in_its_order_and_with_shares_what_is_held_first(held):
    """The list of an earlier day, the day, prices, account; with shares the rest is asked beside it."""

    async def story(life, trader):
        core = trader.engine.core
        for symbol in held:
            core.ledger.position(symbol).quantity = 5
        day = with_open_order_of_yesterday(trader)
        await trader.broker.auth.token()
        life.wire.asked.clear()
        wanted = trader.broker.agenda.waiting
        life.wire.look = lambda: sorted(each.symbol for each in wanted if each.symbol)
        trader.recorder.look = lambda: len(life.wire.asked)
        assert await trader.morning.prepare(bot.session_of(edge.DAY))
        given = zip(trader.recorder.seen, trader.recorder.stood, strict=True)
        [before] = [asked for what, asked in given if getattr(what[1], "name", "") == "day"]
        did = [(each.name, each.params.get("FID_INPUT_ISCD", "")) for each in life.wire.asked]
        assert life.wire.asked[0].params["INQR_STRT_DT"] == f"{day:%Y%m%d}"
        return before, did, life.wire.asked[1].stood  # before answers make the engine ask

    symbols = (SYMBOL, OTHER, "035720")
    before, did, waiting = parts(story, start="08:40:00", symbols=symbols, environment="real")
    orders = ("inquire-daily-ccld", "")
    account = [orders, ("inquire-balance", ""), ("inquire-psbl-order", "")]
    assert before == 1 and did[0] == orders
    if held:
        assert sorted(did[1:]) == sorted([("inquire-price", OTHER), *account])
        assert waiting == ["005930", "035720"]
    else:
        prices = [("inquire-price", each) for each in symbols]
        assert did[1:] == [("chk-holiday", ""), *prices, *account]
        assert waiting == []


# --- a clock in doubt ---


def answers_of_nobody():
    """Return what ClockDoubt sees of the broker's answers before the first."""
    return SimpleNamespace(clock_off=False, clock_offset_s=0.0, answered_s=-bot.math.inf)


def test_a_jump_is_doubted_until_an_answer_came_after_it():
    """Quiet moments behind it and answers before it end nothing; the first answer after it does."""

    async def main():
        rest, clock = answers_of_nobody(), Wrong(harness.VirtualClock(edge.at("10:00:00")))
        doubt = bot.ClockDoubt(clock, rest, True)
        rest.answered_s = asyncio.get_running_loop().time()
        seen, offsets = [doubt.doubts()], iter((300, 0))
        for step in ("jump", "", "", "answer", "", "jump", "answer", ""):
            await asyncio.sleep(1)
            if step == "jump":
                clock.off_s = next(offsets)
                rest.clock_off = False
            elif step == "answer":
                rest.answered_s = asyncio.get_running_loop().time()
            seen.append(doubt.doubts())
        return seen

    assert harness.run_virtual(main()) == [
        False, True, True, True, False, False, True, True, True,  # set back it is ahead, and slows
    ]  # fmt: skip


# --- the phone after a restart ---


def test_an_urgent_alert_that_was_the_last_row_of_a_killed_process_is_told_again():
    """Told late by the next one, and not what this process said itself."""

    async def story(life):
        first = life.world.make_trader(harness.Nothing())
        first.bridge.execute([bot.Alert("error", {"what": "the last words"})])
        first.journal.close()
        trader = trader_of(life, telegram="1:a")
        trader.bridge.execute([bot.Alert("error", {"what": "of this process"})])
        trader.bridge.tell_again()
        trader.journal.close()
        return trader.bridge.telegram.outbox

    of_this, told = Life().play(story)
    assert "of this process" in of_this and "the last words" in told


def test_who_paired_is_listed_beside_those_of_the_settings():
    """Both may command after a restart; a file that holds something else adds nobody."""

    async def phone_of(life, users):
        life.world.settings["telegram_users"] = users
        trader = trader_of(life)
        await bot.Phone(trader).run()  # without a token nothing is sent, heard, or to be paired
        trader.journal.close()
        return trader.bridge

    async def story(life):
        found = []
        for text in ("[7, 8]", "{}", '[true, "9", 1.5, null]', "x", ""):
            (life.world.folder / bot.PHONE_USERS).write_text(text)
            found.append(sorted((await phone_of(life, [42])).telegram.users))
        nobody = await phone_of(life, [])
        return found, nobody.telegram.pairing, list(nobody.messages)

    assert Life().play(story) == ([[7, 8, 42], [42], [42], [42], [42]], "", [])


def test_noise_that_was_chosen_is_a_row_and_the_newest_counts():
    """One word only asks; two choose; the next process finds the last choice, and the newest word."""

    async def story(life):
        trader = life.world.make_trader(harness.Nothing())
        for words in (("report",), ("report", "off"), ("report", "silent")):
            trader.bridge.set_noise(*words)
        rows = [json.loads(row.body) for row in trader.journal.rows("notify")]
        chosen = trader.bridge.noise["report"]
        trader.bridge.execute([bot.Record("phone", "7", {})])
        trader.journal.close()
        again = life.world.make_trader(harness.Nothing())
        again.journal.close()
        return rows, chosen, again.bridge.noise["report"], again.bridge.telegram.newest

    life = Life(settings={"notify": {"report": "on"}})  # the owner's word counts more
    assert life.play(story) == (["off", "silent"], "silent", "silent", 7)
