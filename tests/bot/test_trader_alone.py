"""The trader's loops and voices, each taken alone: order, times, rows, what is told when."""

import asyncio
import itertools
import json
from datetime import timedelta

import edge
import harness
import pytest
from test_doors import LateOnce
from test_trader import SYMBOL, Life
from test_trader_in_a_row import entry_of, parts

import kis_realtime_trading as bot

SESSION = bot.session_of(edge.DAY)
LEVELS = tuple(bot.KillLevel)


class Noting:
    """A recorder that notes what it is given."""

    def __init__(self):
        self.seen = []

    def frame(self, stamp_ns, connection, frame):
        self.seen.append(("frame", frame, connection))

    def time(self, now):
        self.seen.append(("time", now))

    def event(self, event):
        self.seen.append(("event", type(event).__name__))


async def run_for(coroutine, seconds):
    """Run a loop of the trader for a while."""
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# --- the pump ---


def test_the_pump_tells_the_time_before_its_frames_records_all_and_passes_bad_ones_over():
    """Notices first; a broken frame is recorded and counted, and costs none behind it."""

    async def story(life, trader):
        from test_codec import trade_frame

        trader.recorder = trader.bridge.recorder = notes = Noting()
        trader.broker.socket.sessions = 7
        handled, handle = [], trader.engine.handle
        trader.engine.handle = lambda event: handled.append(event) or handle(event)
        good = trade_frame(f0="999999", f33=f"{edge.DAY:%Y%m%d}")
        for frame in (good, "0|bad", "1|x", good):
            trader.inbox.put(frame)
        now = trader.clock.now()
        await run_for(trader._pump(), 0.1)
        kinds = [type(event).__name__ for event in handled]
        frames = [each[1:] for each in notes.seen if each[0] == "frame"]
        return (
            kinds, handled[0].now == now, notes.seen[0] == ("time", now), frames,
            trader.counts["Trade"], trader.counts["bad frames"], [good, "0|bad", "1|x"],
        )  # fmt: skip

    kinds, first, recorded, frames, trades, bad, (good, broken, notice) = parts(story)
    assert kinds == ["TimeEvent", "Trade", "Trade"] and first and recorded
    assert frames == [(each, 7) for each in (notice, good, broken, good)]
    assert (trades, bad) == (2, 2)


def test_an_event_is_recorded_before_the_engine_hears_it_and_frames_are_not_told_twice():
    """Times, commands, answers and what was asked for; trades, quotes and states come as frames."""

    async def story(life, trader):
        trader.bridge.recorder = notes = Noting()
        handle = trader.engine.handle
        trader.engine.handle = lambda event: notes.seen.append("engine") or handle(event)
        now = trader.clock.now()
        for event in (
            bot.TimeEvent(now), bot.Command("hold", now, text="calendar"),
            bot.OrderAnswered("none", bot.OrderAnswer(bot.Outcome.NOT_SENT), now),
            bot.Trade("999999", now, 1, 1, 1, 1, False), bot.MarketStatus("999999", False, False, ""),
            bot.Quote("999999", now, 1, 1, 1, 1, 0, "0"), bot.Seen(bot.Cash(1), now),
        ):  # fmt: skip
            trader.bridge.handle(event)
        return [each if each == "engine" else each[0] for each in notes.seen]

    seen = parts(story)
    assert seen == [
        "time", "engine", "event", "engine", "event", "engine", "engine", "engine", "engine", "event",
        "engine",
    ]  # fmt: skip


def test_a_storm_of_bad_frames_is_logged_once_a_minute_each_minute():
    """Counted each; the log says it again when a minute has gone."""

    async def story(life, trader):
        logged = []
        for _ in range(5):
            before = trader._bad_frame_logged_s
            trader._count_bad_frame(bot.BadData("x"))
            logged.append(trader._bad_frame_logged_s != before)
            await asyncio.sleep(30)
        return logged, trader.counts["bad frames"]

    assert parts(story) == ([True, False, True, False, True], 5)


# --- calls and questions ---


@pytest.mark.parametrize("action", ["new", "cancel"])
def test_an_answer_is_of_the_moment_when_it_came_and_leaves_the_lane_free(action):
    """Three seconds on the way; meanwhile it is under way and busy, afterwards neither."""

    async def story(life, trader):
        heard = []
        trader.engine.handle = lambda event: heard.append(event) or []

        async def slow(what, veto):
            seen.append((trader.bridge.under_way is call, set(trader._busy_since)))
            await asyncio.sleep(3)
            return bot.OrderAnswer(bot.Outcome.UNKNOWN)

        seen, call = [], bot.OrderCall(action, entry_of(1), "0000000001")
        trader.broker.orders.submit = trader.broker.orders.change = slow
        trader.bridge.calls.put_nowait((True, 0, call))
        began = trader.clock.now()
        await run_for(trader._call_lane(), 5)
        [answered] = [each for each in heard if isinstance(each, bot.OrderAnswered)]
        free = trader.bridge.under_way is None and not trader._busy_since
        await asyncio.wait_for(trader.bridge.calls.join(), 0.1)
        return seen, (answered.at - began).total_seconds(), free

    assert parts(story) == ([(True, {"call"})], 3.0, True)


def test_prices_are_put_side_by_side_and_lists_one_after_another():
    """The first price hangs: two more are asked beside it; the second list waits for the first."""

    async def story(life, trader):
        began, asked = asyncio.get_running_loop().time(), []

        async def answer(ask):
            asked.append((ask.what, ask.symbol, round(asyncio.get_running_loop().time() - began)))
            await asyncio.sleep(20)

        trader.broker.answer = answer
        for symbol in ("000001", "000002", "000003"):
            trader.broker.want(bot.Ask("price", symbol))
        trader.broker.want(bot.Ask("cash"))
        trader.broker.want(bot.Ask("holdings"))
        tasks = [
            asyncio.create_task(each)
            for each in (trader._prices(), trader._questions("orders", "cash", "holdings"))
        ]
        await asyncio.sleep(10)
        busy = set(trader._busy_since)
        await asyncio.sleep(35)
        assert set(trader._busy_since) == {"orders"}  # what was answered is not stuck
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [each[1:] for each in asked if each[0] == "price"], [
            each[2] for each in asked if each[0] != "price"
        ], busy  # fmt: skip

    prices, lists, busy = parts(story)
    assert prices == [("000001", 0), ("000002", 0), ("000003", 0)]
    assert lists == [0, 20, 40]
    assert busy == {"orders", "price 000001", "price 000002", "price 000003"}


@pytest.mark.parametrize("on_stop", ["cancel", "keep"])
def test_a_day_is_wound_down_by_the_word_of_the_settings_and_waits_for_calls(on_stop):
    """The engine hears what becomes of resting entries; a call under way has ten seconds, or its end."""

    async def story(life, trader):
        heard, loop = [], asyncio.get_running_loop()
        trader.feed = heard.append
        spans = []
        for open_calls in (0, 1):
            for n in range(open_calls):
                trader.bridge.calls.put_nowait((True, n, bot.OrderCall("new", entry_of(n))))
            began = loop.time()
            await trader._wind_down()
            spans.append(loop.time() - began)
        return [(each.name, each.text) for each in heard], spans, trader.profile.simulated

    told, spans, simulated = parts(story, settings={"on_stop": on_stop})
    assert told == [("stop", on_stop)] * 2
    assert spans == [0.0, pytest.approx(1.5 if simulated else bot.TOTAL_TIMEOUT_S)]


VETOES = (  # the engine's word, the gate's, whether it is one of pace -> outcome, code, text
    ("", "", False, None), ("", "", True, None), ("late", "", False, ("", "late")),
    ("late", "gate: x", True, ("", "late")), ("", "gate: x", False, ("", "gate: x")),
    ("", "gate: x", True, (bot.TOO_FAST, "gate: x")),
)  # fmt: skip


@pytest.mark.parametrize(("late", "refusal", "fast", "wanted"), VETOES)
def test_the_engine_has_the_first_word_on_a_call_and_the_gate_the_last(late, refusal, fast, wanted):
    """What the engine holds back the gate does not count; a refusal of pace has its own code."""

    async def story(life, trader):
        asked, bridge = [], trader.bridge
        trader.engine.too_late = lambda call: late
        bridge.gate.refusal_of_call = lambda call: asked.append(call) or refusal
        bridge.gate.too_fast = fast
        answer = bridge.veto(bot.OrderCall("new", entry_of(1)))
        return len(asked), answer and (answer.outcome.name, answer.code, answer.text)

    asked, answer = parts(story)
    assert asked == (0 if late else 1)
    assert answer == (wanted and ("NOT_SENT", *wanted))


@pytest.mark.parametrize("held", [True, False])
def test_with_shares_the_feed_comes_before_the_warm_up_and_without_behind_it(held):
    """Stops are watched before a strategy is warm; nothing is decided on bars that are not there."""

    async def story(life):
        trader, run = await life.begin()
        warm, seen = trader.morning.warm_up, []

        async def slow(session):
            await asyncio.sleep(60)
            seen.append(trader.broker.socket.sessions)
            await warm(session)

        trader.morning.warm_up = slow
        if held:
            trader.engine.core.ledger.position(SYMBOL).quantity = 5
            trader.engine.core.ledger.position(SYMBOL).cost = 5 * 70_000
        await asyncio.sleep(100)
        seen.append(trader.broker.socket.sessions)
        await life.stop(trader, run)
        return seen

    assert Life(start="09:30:00").play(story) == [int(held), 1]


def test_short_pauses_of_the_machine_are_told_once_a_day_and_long_ones_each_time():
    """From five seconds on the feed is in doubt; from a minute on it is told whatever was before."""

    async def story(life, trader):
        loop, told = asyncio.get_running_loop(), []
        heard = []
        trader.feed = lambda event: heard.append((event.name, event.text))
        task = asyncio.create_task(trader._timer())
        for pause_s in (3.5, 5.5, 8.0, 58.0, 61.0, 9.0, 61.0):
            await asyncio.sleep(3.0)
            loop.virtual_now += pause_s  # the loop was held
            await asyncio.sleep(3.0)
            told.append((trader.bridge.said["error"], len(heard)))
        task.cancel()
        return told, set(heard)

    told, heard = parts(story)
    assert told == [(0, 0), (1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (3, 6)]
    assert heard == {("feed down", "the program was suspended")}


# --- what a strategy is warmed up with ---


def test_past_bars_are_closed_ones_of_the_moment_of_the_question():
    """Today's, and of the day before as many as are missing; the running bar is left out."""

    async def story(life, trader):
        from test_codec_plainly import minute

        asked, market = [], trader.broker.market
        now = trader.clock.now().replace(second=30)

        async def today(symbol, moment, count):
            asked.append(("today", count))
            await asyncio.sleep(90)  # the running minute ends while the answer is on its way
            return [minute(n, 1_000) for n in range(13)]

        async def past(symbol, day, count):
            asked.append((f"{day:%d}", count))
            return [minute(60 + n, 1_000, day) for n in range(3)]  # an exam day

        market.minute_bars_today, market.minute_bars_of = today, past
        life.world.clock._start += now - life.world.clock.now()
        life.world.clock._last = (-1.0, now)
        began = trader.clock.now()
        seen = await trader.broker.past_bars(SYMBOL, SESSION, 1)
        ends = [f"{bar.end:%d %H:%M}" for bar in seen.value.bars]
        return asked, ends, seen.asked_at == began, began

    asked, ends, of_then, began = parts(story, start="09:10:00")
    assert (
        asked == [("today", 400), ("19", 40 - 13)] and of_then and f"{began:%H:%M:%S}" == "09:10:30"
    )
    assert ends == [
        *(f"19 10:0{n}" for n in range(1, 4)),
        *(f"20 09:{n:02d}" for n in range(1, 11)),
    ]


@pytest.mark.parametrize("count", [1, 5, 200])
def test_past_days_end_with_the_day_before_and_are_as_many_as_wanted(count):
    """Today's running bar is never one of them; a span long enough for weekends and holidays."""

    async def story(life, trader):
        asked = []

        async def daily(symbol, first, last):
            asked.append((first, last))
            days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
            return [bot.DailyBar(day, 5, 6, 4, 5, 1, 5) for day in days if bot.is_trading_day(day)]

        trader.broker.market.daily_bars = daily
        seen = await trader.broker.past_days(SYMBOL, SESSION, count)
        return asked[0][1], [bar.start.date() for bar in seen.value.bars]

    last, days = parts(story)
    assert last == days[-1] == edge.DAY - timedelta(days=1)
    assert len(days) == count and days == sorted(days)


# --- the switch and the control file ---


@pytest.mark.parametrize(("now", "asked"), list(itertools.product(LEVELS, LEVELS)))
def test_a_door_that_only_tightens_never_loosens(now, asked):
    """Signal, file and phone: the higher of both levels stands."""

    async def story(life, trader):
        trader.set_level(now.name, "before")
        trader.tighten_level(asked, "door")
        return trader.engine.core.ledger.level

    assert parts(story) is max(now, asked)


def test_each_line_of_the_control_file_is_obeyed_and_an_odd_one_stops_buying():
    """In their order; what is no word, or only asks, lets exits alone pass."""

    async def story(life, trader):
        seen, heard, feed = [], [], trader.feed
        trader.feed = lambda event: heard.append(event.name) or feed(event)
        for text in ("stop\nunlock 005930\n", "what is this", "status", "stop\nodd\nstop"):
            trader.set_level("ACTIVE", "test")
            heard.clear()
            trader._controls.write_text(text)
            trader._read_control()
            seen.append((heard[:], trader.engine.core.ledger.level.name))
        return seen

    stop = ["level"]
    assert parts(story) == [
        ([*stop, "unlock"], "ENTRIES_OFF"), (stop, "REDUCE_ONLY"), (stop, "REDUCE_ONLY"),
        (stop * 3, "REDUCE_ONLY"),
    ]  # fmt: skip


def test_each_second_status_journal_and_alarms_are_looked_at_and_the_watchdog_fed_while_calls_get_on():
    """Once a second however often it is passed; a call that is stuck leaves the watchdog hungry."""

    async def story(life, trader):
        did, seen = [], []
        trader._show = lambda shown: did.append("status")
        trader.bridge.check_journal = lambda: did.append("journal")
        trader._teller.look = lambda: did.append("alarms")
        for busy in ({}, {"call": asyncio.get_running_loop().time()}, {"call": -1_000.0}, {}):
            trader._busy_since = busy
            beats = trader.watchdog.beats
            did.clear()
            for _ in range(3):
                trader._each_wall_second()
            seen.append((did[:], trader.watchdog.beats - beats))
            await asyncio.sleep(0.9)
            trader._each_wall_second()
            assert len(did) == 3
            await asyncio.sleep(0.1)
        return seen

    all_of = ["status", "journal", "alarms"]
    assert parts(story) == [(all_of, 1), (all_of, 1), (all_of, 0), (all_of, 1)]


def test_a_word_left_as_a_file_is_obeyed_at_night_too():
    """While the next session is waited for: within ten seconds."""

    async def story(life, trader):
        trader._controls.write_text("stop")
        asleep = asyncio.create_task(trader._next_session(False))
        await asyncio.sleep(0.1)
        before = trader.engine.core.ledger.level
        trader._controls.write_text("flatten")
        await asyncio.sleep(10.5)
        trader.stop("test")
        await asleep
        return before, trader.engine.core.ledger.level

    assert parts(story, start="03:00:00") == (
        bot.COMMANDS["stop"].level,
        bot.COMMANDS["flatten"].level,
    )


# --- rows and words ---


def test_rows_that_wait_keep_their_moment_and_alerts_their_number():
    """Written five seconds later they say when they were decided; the phone's receipt names their row."""

    async def story(life):
        journal = LateOnce(life.world.folder / "journal.sqlite3")
        past = harness.past_of(journal)
        services = bot.Services(
            life.world.clock, life.network, life.network.connect, journal, life.world.folder
        )
        trader = bot.Trader(harness.make_settings(life.sim), harness.Nothing(), services, past)
        said, moments = [], []
        trader.bridge.say = lambda alert, row=0: said.append((alert.values.get("what"), row))
        journal.late_for, journal.tries_left = lambda kind, data: True, 20
        for n in range(3):
            moments.append(trader.clock.now().isoformat())
            trader.bridge.execute([
                bot.Record("note", "a", {}), bot.Alert("error", {"what": f"x{n}"}),
                bot.Alert("error", {"what": f"y{n}"}),
            ])  # fmt: skip
            await asyncio.sleep(0.5)
        while trader.bridge.late:
            await asyncio.sleep(0.5)
        rows = {row.seq: row for row in journal.rows("alert")}
        named = [(what, json.loads(rows[row].body)["what"]) for what, row in said if what]
        times = [row.at for row in journal.rows("note")]
        journal.close()
        return named, times == moments

    named, in_time = Life().play(story)
    assert in_time
    assert len(named) == 6 and all(what == written for what, written in named)


def test_an_old_alert_is_told_again_within_a_day_with_its_own_row():
    """Of last evening it is, of the evening before it is not; its receipt is that of its row."""

    async def story(life):
        journal = bot.Journal(life.world.folder / "journal.sqlite3")
        journal.verify()
        now = life.world.clock.now()
        for hours in (25, 23.9, 18, 0.1):
            at = now - timedelta(hours=hours)
            journal.append([("alert", "error", {"what": f"{hours} h"}), ("note", "", {})], at)
        journal.close()
        trader = life.world.make_trader(harness.Nothing())
        trader.bridge.telegram._token = bot.Secret("1:a")
        trader.bridge.tell_again()
        letters = list(trader.bridge.telegram._urgent)
        trader.journal.close()
        return [(letter.row, letter.text.rpartition(" ")[0][-4:].strip(" :")) for letter in letters]

    assert Life().play(story) == [(3, "23.9"), (5, "18"), (7, "0.1")]


def test_a_stock_keeps_its_name_when_its_last_share_is_gone():
    """From the balance while it is held, remembered afterwards; the code where nobody told one."""

    async def story(life, trader):
        bridge, core = trader.bridge, trader.engine.core
        first = bridge.name("123456")
        bridge.feed(bot.Seen(bot.Balance(1, 0, 1, (bot.Holding("123456", 3, 3, 5, "이름"),)), trader.clock.now()))  # fmt: skip
        held = bridge.name("123456")
        bridge.feed(bot.Seen(bot.Balance(1, 0, 1, ()), trader.clock.now() + timedelta(seconds=1)))
        assert bot.name_of(core, "123456") == ""
        named = bridge._named(bot.Alert("x", {"symbol": "123456", "a": 1})).values
        return (
            first,
            held,
            bridge.name("123456"),
            named,
            bridge._named(bot.Alert("x", {"a": 1})).values,
        )

    assert parts(story) == ("123456", "이름", "이름", {"symbol": "이름", "a": 1}, {"a": 1})


@pytest.mark.parametrize(
    ("side", "plan", "text"),
    [(bot.Side.BUY, bot.ExitPlan(68_000, 75_000), " · 손절 68,000 · 목표 75,000"),
     (bot.Side.BUY, bot.ExitPlan(68_000, 0), " · 손절 68,000"), (bot.Side.BUY, None, ""),
     (bot.Side.SELL, bot.ExitPlan(68_000, 75_000), "")],
)  # fmt: skip
def test_what_was_bought_is_told_with_its_guard(side, plan, text):
    """Stop and target behind a buy, nothing behind a sale."""

    async def story(life, trader):
        trader.engine.core.ledger.position(SYMBOL).plan = plan
        filled = bot.Alert("filled", {"side": side, "symbol": SYMBOL})
        return trader.bridge._guard_of(filled), trader.bridge._guard_of(bot.Alert("error", {}))

    assert parts(story) == (text, "")


# --- the teller ---


AWAKE = (
    ("08:29:59", False, False), ("08:30:00", True, True), ("12:00:00", True, True),
    ("15:29:59", True, True), ("15:30:00", False, True), ("15:59:59", False, True),
    ("16:00:00", False, False), ("23:00:00", False, False),
)  # fmt: skip


def test_alarms_ring_from_the_preparation_to_the_close_and_with_shares_half_an_hour_longer():
    """To the second; a clock in doubt rings at any hour of a session's process, no session never."""

    async def story(life, trader):
        core, found = trader.engine.core, []
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        for shares in (0, 5):
            core.ledger.position(SYMBOL).quantity = shares
            found.append([trader._teller._awake(edge.at(clock)) for clock, *_ in AWAKE])
        trader.feed(bot.Command("hold", trader.clock.now(), text="clock"))
        doubted = trader._teller._awake(edge.at("03:00:00"))
        core.session = None
        return *found, doubted, trader._teller._awake(edge.at("12:00:00"))

    without, shares, doubted, night = parts(story)
    assert without == [each for _, each, _ in AWAKE] and shares == [each for *_, each in AWAKE]
    assert (doubted, night) == (True, False)


@pytest.mark.parametrize(("theirs", "off"), [(100, 10), (90, 0), (80, -10)])
def test_the_evening_tells_by_how_much_the_brokers_costs_differ(theirs, off):
    """Fees and taxes of the day together, as the broker adds them; nothing when they agree."""

    async def story(life, trader):
        async def balance():
            return bot.Balance(0, theirs, 0, ())

        async def realized(day):
            return None

        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        trader.broker.orders.balance, trader.broker.orders.realized_today = balance, realized
        await trader._teller.evening({**trader.summary(), "fees": 60, "taxes": 30})
        [row] = [row for row in trader.journal.rows("alert") if row.ref == "day_report"]
        return row.body

    body = parts(story, start="15:40:00")
    assert ("costs_line" in body) is (off != 0)
    assert f'"difference":{off}' in body or not off


def test_each_look_has_the_recording_written_and_tells_when_it_broke():
    """Once a second at most that much is lost by a kill; a broken one is a trouble while it is."""

    async def story(life, trader):
        flushed, told = [], []
        trader.bridge.recorder = notes = Noting()
        notes.flush, notes.broken = lambda: flushed.append(1), ""
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        for broken in ("", "recording stopped: x"):
            notes.broken = broken
            trader._teller.look()
            told.append(
                any(
                    "recording stopped" in text or "녹화" in text for text in trader.bridge.messages
                )
            )
        return len(flushed), told

    assert parts(story, start="09:30:00") == (2, [False, True])


def test_why_nothing_is_traded_is_told_once_for_each_session_that_is_waited_for():
    """Again and again looked at, once told; after a report of a day the next one is told already."""

    async def story(life, trader):
        tell, told = trader._teller, []
        trader.bridge.tell = lambda code, **values: told.append(code)
        morning = edge.at("07:00:00")
        for now, session in (
            (morning, SESSION), (morning, SESSION), (edge.at("16:00:00"), bot.session_of(edge.DAY + timedelta(days=3))),
            (edge.at("16:01:00"), bot.session_of(edge.DAY + timedelta(days=3))), (morning, SESSION),
        ):  # fmt: skip
            tell.wait(now, session)
        return told

    assert parts(story) == ["before_start", "session_over", "before_start"]


def test_what_the_broker_must_tell_follows_what_is_held():
    """A stock that is bought, or found held, matters at once: its rows and its questions."""

    async def story(life, trader):
        matters, held = trader.broker.orders.matters, trader.broker.agenda.is_held
        found = [(matters("999999"), held("999999"))]
        trader.engine.core.ledger.position("999999").quantity = 3
        found.append((matters("999999"), held("999999")))
        return found, matters(SYMBOL)

    assert parts(story) == ([(False, False), (True, True)], True)


def test_a_bot_that_was_stopped_asks_nothing_in_its_evening_and_says_why():
    """Its owner waits for the end; the last reason counts."""

    async def story(life, trader):
        async def never():
            raise AssertionError("asked")

        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        trader.broker.orders.balance = never
        trader.stop("first")
        trader.stop("SIGTERM received")
        await trader._teller.evening(trader.summary())
        trader._teller.goodbye(trader._why)
        return trader.bridge.messages[-1]

    assert "SIGTERM" in parts(story, start="15:40:00")


def test_a_month_adds_the_last_report_of_each_of_its_days():
    """A day that was reported twice counts once, with what was said last; other months do not."""

    async def story(life, trader):
        for day, net in (
            ("2026-10-30", 9),
            ("2026-11-02", 100),
            ("2026-11-02", 7),
            ("2026-11-20", -3),
        ):
            trader.bridge.execute([bot.Record("day", day, {"net": net})])
        return trader._teller._month("2026-11-20"), trader._teller._month("2026-10-01")

    assert parts(story) == (4, 9)


def test_each_evening_counts_its_own_sessions_of_the_feed():
    """Three on the first day, one more on the second: three, then one."""

    async def story(life, trader):
        told = []
        trader.counts["Trade"] = 1
        for sessions in (3, 4, 4):
            trader.broker.socket.sessions = sessions
            told.append(trader._teller._story("2026-11-20", None, None).sessions)
        return told

    assert parts(story) == [3, 1, 0]


def test_what_holds_today_is_told_once_each_day():
    """With the feed of each morning, not again when the feed comes back."""

    async def story(life, trader):
        told = []
        for day in (edge.DAY, edge.DAY, edge.DAY + timedelta(days=3)):
            session = bot.session_of(day)
            if trader.engine.core.session != session:
                trader.feed(bot.Command("day", session.open - timedelta(minutes=20), session))
            for _ in range(2):
                trader._on_feed(True, "3")
                told.append(trader.bridge.said["morning"])
            trader._on_feed(False, "x")
            told.append("feed" in trader.broker.troubles)
            trader._on_feed(True, "3")
            told.append("feed" in trader.broker.troubles)
        return told

    assert parts(story, start="08:40:00") == [
        1,
        1,
        True,
        False,
        1,
        1,
        True,
        False,
        2,
        2,
        True,
        False,
    ]
