"""What the trader's parts keep from one moment to the next: the lane, the journal's waits, the morning."""

import asyncio
import functools
import json
import random
import time
from datetime import timedelta

import edge
import harness
import pytest
from test_doors import with_journal
from test_late_journal import locked
from test_trader import SYMBOL, Life
from test_wrong_clocks import wrong_clock

import kis_realtime_trading as bot

OTHER = "000660"


def entry_of(n, **changes):
    """Return a harmless intent to buy."""
    made = bot.OrderIntent(
        f"{n:016d}", edge.DAY, SYMBOL, bot.Side.BUY, bot.OrderKind.LIMIT, 1, 70_000, "entry", "entry",
        f"s{n}", edge.at("09:30:00"),
    )  # fmt: skip
    return bot.replace(made, **changes)


def parts(story, **more):
    """Run a story with the parts of a trader that is not run."""

    async def main(life):
        trader = life.world.make_trader(harness.Nothing())
        result = await story(life, trader)
        trader.journal.close()
        return result

    return Life(**more).play(main)


# --- the lane ---


def test_at_the_end_every_call_of_the_lane_is_answered_once():
    """What waited never left; what is under way is unknown; the lane is empty and joined at once."""

    async def story(life, trader):
        lane, heard = trader.bridge.calls, []
        trader.engine.handle = lambda event: heard.append(event) or []
        calls = [bot.OrderCall("new", entry_of(n)) for n in range(4)]
        for n, call in enumerate(calls):
            lane.put_nowait((True, n, call))
        trader.bridge.under_way = lane.get_nowait()[2]
        for _ in range(2):  # the second time there is nothing left to answer
            trader.bridge.end_calls()
        async with asyncio.timeout(1.0):
            await lane.join()
        return [
            (each.intent_id, each.answer.outcome.name)
            for each in heard
            if isinstance(each, bot.OrderAnswered)
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
        did = []
        trader.bridge.say = lambda alert, row=0: did.append(alert.code)
        lane = asyncio.create_task(trader._call_lane())
        trader.bridge.veto = lambda call: (
            did.append("left") or bot.OrderAnswer(bot.Outcome.NOT_SENT)
        )
        await trader.broker.auth.token()
        await asyncio.sleep(2)
        trader.bridge.execute([
            bot.Alert("error", {"what": "x"}), bot.OrderCall("new", entry_of(1)),
        ])  # fmt: skip
        await asyncio.wait_for(trader.bridge.calls.join(), 1.0)
        lane.cancel()
        return did[:2], trader._busy_since, trader.bridge.under_way

    assert parts(story) == (["left", "error"], {}, None)


def test_an_exit_that_waits_long_for_its_row_counts_in_the_pace_when_it_leaves(tmp_path):
    """Decided a minute ago, left now: the next in this second finds it in the count."""
    from mad_engine import HELD, Stage
    from test_gate import sell

    stage = Stage(tmp_path)
    stage.hold(HELD, 20, 50_000)
    late = [stage.write(sell(stage, quantity=1)) for _ in range(3)]
    stage.pass_time(100.0)
    assert [stage.gate.refusal(each) for each in late] == [""] * 3
    assert set(stage.gate.left.values()) == {stage.steady_s}
    assert "left within 1 s" in stage.gate.refusal(stage.write(sell(stage, quantity=1)))
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


@pytest.mark.parametrize("seed", range(3))
def test_an_inbox_knows_how_much_waits_in_it(seed, monkeypatch):
    """Frames of chance in and out: characters and frames by a plain count; notices are never lost."""
    monkeypatch.setattr(bot, "INBOX_LIMIT", 40)
    monkeypatch.setattr(bot, "INBOX_CHARACTERS", 300)
    monkeypatch.setattr(bot, "BATCH", 7)
    chance = random.Random(seed)

    async def main():
        inbox, waits, lost = bot.Inbox(), [], 0
        for n in range(600):
            if chance.random() < 0.8 or not waits:
                frame = chance.choice("0001") + f"|{n}|" + "x" * chance.randrange(20)
                inbox.put(frame)
                waits.append(frame)
                while len(waits) - sum(map(is_notice, waits)) > 40 or sum(map(len, waits)) > 300:
                    waits.remove(next(each for each in waits if not is_notice(each)))
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
        heard = []
        trader.engine.handle = lambda event: heard.append(event) or []
        for _ in range(2):
            await asyncio.sleep(3)
            trader.feed(bot.Seen(bot.Cash(1), trader.clock.now()))
        return [
            (type(each).__name__, getattr(each, "now", None)) for each in heard
        ], trader.clock.now()

    heard, now = parts(story)
    assert heard == [
        ("TimeEvent", now - timedelta(seconds=3)), ("Seen", None), ("TimeEvent", now), ("Seen", None),
    ]  # fmt: skip


# --- the journal's waits ---


def test_a_sell_that_waited_is_told_in_its_own_wait_only():
    """A short lateness holds a sell and lets it go untold; the long one after it names only its own."""

    async def story(life):
        trader, run = with_journal(life, harness.Nothing())
        await life.world.until("09:20:00")
        trader.journal.late_for = lambda kind, data: True
        told = []
        for n, tries in ((1, 2), (3, 0), (2, 40)):  # soon written, at once, late
            trader.journal.tries_left = tries
            sell = entry_of(n, side=bot.Side.SELL, purpose="exit", quantity=n)
            trader.bridge.execute([bot.Record("note", "", {}), bot.OrderCall("new", sell)])
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


def morning_with(life, trader, **answers):
    """Let the calendar and the token answer as a test says, one answer after another."""
    left = {name: iter(values) for name, values in answers.items()}

    async def give(name):
        value = next(left[name])
        if isinstance(value, Exception):
            raise value
        return value

    if "opens" in answers:
        trader.broker.market.is_open_day = lambda day: give("opens")
    if "token" in answers:
        trader.broker.auth.token = lambda spare: give("token")
    if "orders" in answers:
        trader.broker.orders.orders_of = lambda day: give("orders")


def test_the_calendar_of_each_morning_decides_anew():
    """No, no answer, yes: held, still held, free; disagreeing is told each time."""

    async def story(life, trader):
        morning_with(life, trader, opens=[False, bot.NoAnswer("x"), True, None, False])
        seen = []
        for _ in range(5):
            await trader.morning._confirm_calendar(bot.session_of(edge.DAY))
            seen.append("calendar" in trader.engine.core.holds)
        return seen, trader.bridge.said["calendar_differs"]

    assert parts(story, start="08:40:00") == ([True, True, False, False, True], 2)


def test_a_morning_without_a_token_is_told_until_there_is_one():
    """After 1, 4, 16 and 61 seconds; with the token the trouble is over."""

    async def story(life, trader):
        no = bot.RequestRefused("EGW00201", "no", 500)
        morning_with(life, trader, token=[no, no, bot.NoAnswer("x"), no, bot.Secret("t")])
        asked, loop, give = [], asyncio.get_running_loop(), trader.broker.auth.token

        async def noting(spare):
            assert spare == bot.TOKEN_MORNING_SPARE
            asked.append((round(loop.time()), "token" in trader.broker.troubles))
            return await give(spare)

        trader.broker.auth.token = noting
        trader.morning._ask_all = trader.morning._confirm_calendar = noop
        began = loop.time()
        assert await trader.morning.prepare(bot.session_of(edge.DAY))
        return [(at - round(began), told) for at, told in asked], dict(trader.broker.troubles)

    async def noop(*_):
        return None

    asked, troubles = parts(story, start="08:40:00")
    assert asked == [(0, False), (1, True), (5, True), (21, True), (82, True)]
    assert troubles == {}


def test_an_earlier_day_without_its_list_is_told_until_it_comes():
    """After 5, 30, 60 and 60 seconds; what came is fed with the moment of its question."""

    async def story(life, trader):
        from test_ledger import working

        day = edge.DAY - timedelta(days=1)
        trader.engine.core.ledger.apply(bot.DayOpened(day, edge.at("08:30", day)))
        for entry in working(trade_date=day, at=edge.at("10:00", day)):
            trader.engine.core.ledger.apply(entry)
        no = bot.RequestRefused("EGW00201", "no", 500)
        morning_with(life, trader, orders=[no, no, bot.BadData("x"), no, bot.OrderList((), day)])
        fed, asked, give = [], [], trader.broker.orders.orders_of
        trader.morning._bridge = type("Bridge", (), {
            "clock": trader.clock, "engine": trader.engine, "feed": staticmethod(fed.append),
        })  # fmt: skip

        async def noting(which):
            asked.append((trader.clock.now(), "earlier" in trader.broker.troubles))
            assert which == day
            return await give(which)

        trader.broker.orders.orders_of = noting
        await trader.morning._end_earlier_day(bot.session_of(edge.DAY))
        spans = [round((at - asked[0][0]).total_seconds()) for at, _ in asked]
        return (
            spans,
            [told for _, told in asked],
            trader.broker.troubles,
            fed[0].asked_at - asked[-1][0],
        )

    spans, told, troubles, age = parts(story, start="08:40:00")
    assert spans == [0, 5, 35, 95, 155] and told == [False, True, True, True, True]
    assert (troubles, age) == ({}, timedelta())


def test_the_progress_of_a_warm_up_begins_at_nothing_and_ends_whole():
    """Done, of how many, seconds left: by what the first took; told when it is long."""

    async def story(life, trader):
        seen, first_told = [], []
        trader.morning.progress = 9, 9, 0  # of the day before

        async def past(symbol, session):
            seen.append(trader.morning.progress)
            first_told.append(trader.bridge.said["preparing"])
            await asyncio.sleep(30)
            return bot.Seen(bot.PastBars(symbol, ()), trader.clock.now())

        trader.morning._past = past
        await trader.morning.warm_up(bot.session_of(edge.DAY))
        told = [trader.bridge.said[code] for code in ("preparing", "prepared")]
        assert first_told == [0, 0, 0, 1, 1, 1, 1, 1]  # the first three take longer than the rest
        return seen, trader.morning.progress, told

    many = tuple(f"{n:06d}" for n in range(5930, 5938))
    seen, last, told = parts(story, start="08:40:00", symbols=many)
    assert seen == [(n, 8, 30 * (8 - n) if n else 0) for n in range(8)]
    assert (last, told) == ((8, 8, 0), [1, 1])


@pytest.mark.parametrize("held", [(), (OTHER,)])
def test_a_morning_asks_in_its_order_and_with_shares_what_is_held_first(held):
    """The list of an earlier day, the day, prices, account; with shares the rest is asked beside it."""

    async def story(life, trader):
        did, morning, core = [], trader.morning, trader.engine.core
        for symbol in held:
            core.ledger.position(symbol).quantity = 5

        async def noting(what, *_):
            did.append(what)

        async def ask(what, feed):
            did.append((what.what, what.symbol))

        async def token(spare):
            return bot.Secret("t")

        feed = trader.bridge.feed
        trader.bridge.feed = lambda event: did.append(event.name) or feed(event)
        morning._end_earlier_day = functools.partial(noting, "earlier")
        morning._confirm_calendar = functools.partial(noting, "calendar")
        trader.broker.put, trader.broker.auth.token = ask, token
        trader.broker.agenda.waiting.clear()
        assert await morning.prepare(bot.session_of(edge.DAY))
        return did, sorted(each.symbol for each in trader.broker.agenda.waiting if each.symbol)

    symbols = (SYMBOL, OTHER, "035720")
    did, waiting = parts(story, start="08:40:00", symbols=symbols)
    account = [("orders", ""), ("holdings", ""), ("cash", "")]
    assert did[:2] == ["earlier", "day"]
    if held:
        assert sorted(did[2:]) == sorted([("price", OTHER), *account])
        assert waiting == ["005930", "035720"]
    else:
        assert did[2:] == ["calendar", *(("price", each) for each in symbols), *account]
        assert waiting == []


# --- a clock in doubt ---


@pytest.mark.parametrize(
    ("off_s", "answered", "far"),
    [(599.0, True, False), (-599.0, True, False), (600.0, True, True), (-600.0, True, True),
     (5.0, False, True)],
)  # fmt: skip
def test_even_the_day_is_in_doubt_when_the_clock_is_ten_minutes_off_or_jumped(off_s, answered, far):
    """A clock some minutes off is told and held; only a far one, or an unconfirmed jump, ends no day."""

    async def story(life):
        set_off = wrong_clock(life)
        trader = life.world.make_trader(harness.Nothing())
        rest, doubt = trader.broker.rest, trader.doubt
        doubt.doubts(trader.clock.now())
        set_off(30)
        rest.clock_off, rest.clock_offset_s = True, off_s
        doubt.doubts(trader.clock.now())
        await asyncio.sleep(1)
        if answered:
            rest.answered_s = asyncio.get_running_loop().time()
        found = doubt.far(), doubt.doubts(trader.clock.now())
        trader.journal.close()
        return found

    assert Life(environment="real").play(story) == (far, True)


def test_a_clock_before_the_journals_end_is_believed_once_the_broker_agrees():
    """The journal was written by a wrong clock: asked once, then the day may begin, also later."""

    async def story(life, trader):
        doubt = trader.doubt
        doubt._newest = trader.clock.now() + timedelta(hours=3)
        seen = [await doubt.astray(), await doubt.astray()]
        return seen, [path for _, path in life.requests]

    seen, asked = parts(story)
    assert seen == ["", ""] and asked == ["inquire-price"]


def test_a_jump_is_doubted_until_an_answer_came_after_it():
    """Quiet moments behind it and answers before it end nothing; the first answer after it does."""

    async def story(life):
        set_off = wrong_clock(life)
        trader = life.world.make_trader(harness.Nothing())
        doubt, rest, clock = trader.doubt, trader.broker.rest, trader.clock
        await trader.broker.answer(bot.Ask("price", SYMBOL))
        seen, offsets = [doubt.doubts(clock.now())], iter((300, 0))
        for step in ("jump", "", "", "answer", "", "jump", "answer", ""):
            await asyncio.sleep(1)
            if step == "jump":
                set_off(next(offsets))
                rest.clock_off = False
            elif step == "answer":
                rest.answered_s = asyncio.get_running_loop().time()
            seen.append(doubt.doubts(clock.now()))
        trader.journal.close()
        return seen

    assert Life(environment="real").play(story) == [
        False, True, True, True, False, False, True, False, False,
    ]  # fmt: skip


# --- the phone after a restart ---


def test_an_urgent_alert_that_was_the_last_row_of_a_killed_process_is_told_again():
    """Told late by the next one, and not what this process said itself."""

    async def story(life):
        first = life.world.make_trader(harness.Nothing())
        first.bridge.execute([bot.Alert("error", {"what": "the last words"})])
        first.journal.close()
        trader = life.world.make_trader(harness.Nothing())
        trader.bridge.telegram._token = bot.Secret("1:a")
        trader.bridge.execute([bot.Alert("error", {"what": "of this process"})])
        trader.bridge.telegram._urgent.clear()
        trader.bridge.tell_again()
        trader.journal.close()
        return [letter.text for letter in trader.bridge.telegram._urgent]

    [told] = Life().play(story)
    assert "the last words" in told


def test_who_paired_is_listed_beside_those_of_the_settings():
    """Both may command after a restart; a file that holds something else adds nobody."""

    async def story(life, trader):
        found = []
        for text in ("[7, 8]", "{}", '[true, "9", 1.5, null]', "x", ""):
            (life.world.folder / bot.PHONE_USERS).write_text(text)
            trader.bridge.telegram.users = frozenset({42})
            trader.bridge.telegram._token = bot.Secret("")
            phone = asyncio.create_task(bot.Phone(trader).run())
            assert await phone is None  # without a token nothing is sent, heard, or to be paired
            found.append(sorted(trader.bridge.telegram.users))
        trader.bridge.telegram.users = frozenset()
        await bot.Phone(trader).run()
        return found, trader.bridge.telegram.pairing, list(trader.bridge.messages)

    assert parts(story) == ([[7, 8, 42], [42], [42], [42], [42]], "", [])


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
