"""The trader's loops and voices, each taken alone: order, times, rows, what is told when."""

import asyncio
import itertools
import json
from datetime import timedelta

import edge
import pytest
from test_calls_in_a_row import good
from test_late_journal import locked
from test_ledger import working
from test_trader import SYMBOL, Life, wishes
from test_trader_in_a_row import Slow, entry_of, let_go, parts, run_for, trader_of

import kis_realtime_trading as bot

SESSION = bot.session_of(edge.DAY)
LEVELS = tuple(bot.KillLevel)


class LookedAt(bot.Journal):
    """A journal that notes when it is looked after."""

    def __init__(self, path, did):
        super().__init__(path)
        self.did = did

    def check_in_place(self):
        self.did.append("journal")
        super().check_in_place()


async def feed_sessions(life, trader, count):
    """Let the feed have had so many sessions: each but the last is dropped by the server."""
    if trader.broker.socket.sessions >= count:
        return
    feed = asyncio.create_task(trader.broker.socket.run())
    await asyncio.sleep(5)
    while trader.broker.socket.sessions < count:
        life.sim.drop_sessions()
        await asyncio.sleep(20)
    feed.cancel()
    await asyncio.gather(feed, return_exceptions=True)


# --- the pump ---


def test_the_pump_tells_the_time_before_its_frames_records_all_and_passes_bad_ones_over():
    """Notices first; a broken frame is recorded and counted, and costs none behind it."""

    async def story(life, trader):
        from test_codec import trade_frame

        notes, core = trader.recorder, trader.engine.core
        await feed_sessions(life, trader, 2)
        notes.seen.clear()
        good = trade_frame(f0="999999", f33=f"{edge.DAY:%Y%m%d}")
        for frame in (good, "0|bad", "1|x", good):
            trader.inbox.put(frame)
        now = trader.clock.now()
        await run_for(trader._pump(), 0.1)
        assert notes.seen == [
            ("time", now),
            *(("frame", each, 2) for each in ("1|x", good, "0|bad", good)),
        ]
        return core.now == now, trader.counts["Trade"], trader.counts["bad frames"]

    assert parts(story) == (True, 2, 2)


def test_the_trades_of_a_batch_reach_the_engine_also_behind_a_bad_frame():
    """The second trade of a stock of ours is its last one, though what came between was broken."""

    async def story(life, trader):
        from test_codec import trade_frame

        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        trader.feed(await trader.broker.answer(bot.Ask("price", SYMBOL)))
        price = trader.engine.core.symbols[SYMBOL].instrument.last_price
        good = (
            trade_frame(
                f0=SYMBOL, f1=f"09300{n}", f2=f"{price}", f13=f"{1000 * n}",
                f14=f"{1000 * n * price}", f33=f"{edge.DAY:%Y%m%d}",
            )
            for n in (1, 2)
        )  # fmt: skip
        for frame in (next(good), "0|bad", next(good)):
            trader.inbox.put(frame)
        await run_for(trader._pump(), 0.1)
        return f"{trader.engine.core.symbols[SYMBOL].last_trade.ts_exchange:%H:%M:%S}"

    assert parts(story, start="09:30:05") == "09:30:02"


def test_an_event_is_recorded_before_the_engine_hears_it_and_frames_are_not_told_twice():
    """Times, commands, answers and what was asked for; trades, quotes and states come as frames."""

    async def story(life, trader):
        core, notes, now = trader.engine.core, trader.recorder, trader.clock.now()
        notes.look = lambda: (core.now == now, "calendar" in core.holds, core.cash.value)
        for event in (
            bot.TimeEvent(now), bot.Command("hold", now, text="calendar"),
            bot.OrderAnswered("none", bot.OrderAnswer(bot.Outcome.NOT_SENT), now),
            bot.Trade("999999", now, 1, 1, 1, 1, False), bot.MarketStatus("999999", False, False, ""),
            bot.Quote("999999", now, 1, 1, 1, 1, 0, "0"), bot.Seen(bot.Cash(1), now),
        ):  # fmt: skip
            trader.bridge.handle(event)
        told = [what if what == "time" else type(event).__name__ for what, event in notes.seen]
        return list(zip(told, notes.stood, strict=True)), notes.look()

    seen, afterwards = parts(story)
    assert seen == [
        ("time", (False, False, None)), ("Command", (True, False, None)),
        ("OrderAnswered", (True, True, None)), ("Seen", (True, True, None)),
    ]  # fmt: skip
    assert afterwards == (True, True, 1)


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


@pytest.mark.parametrize(("action", "path"), [("new", "order-cash"), ("cancel", "order-rvsecncl")])
def test_an_answer_is_of_the_moment_when_it_came_and_leaves_the_lane_free(action, path):
    """Three seconds on the way; meanwhile it is under way and busy, afterwards neither."""

    async def story(life):
        slow = {"match": {"path": path, "times": 1}, "effect": {"do": "delay", "seconds": 3}}
        life.sim.faults.add(slow)
        trader = trader_of(life, strategy=wishes("09:20:30", offset_ticks=-30))
        run = asyncio.create_task(trader.run(one_day=True))
        while not life.wire.of(path):
            await asyncio.sleep(0.01)
        left, answered = trader.clock.now(), len(trader.recorder.events(bot.OrderAnswered))
        await asyncio.sleep(2)
        busy = trader.bridge.under_way.action, "call" in trader._busy_since
        await asyncio.sleep(2)
        free = trader.bridge.under_way is None and "call" not in trader._busy_since
        await asyncio.wait_for(trader.bridge.calls.join(), 0.1)
        heard = trader.recorder.events(bot.OrderAnswered)[answered]
        await life.stop(trader, run)
        return busy, free, (heard.at - left).total_seconds()

    life = Life(settings={"limits": {"max_quote_age_s": 100}, "entry_timeout_s": 20})
    busy, free, took_s = life.play(story)
    assert busy == (action, True) and free
    assert took_s == pytest.approx(3.0, abs=0.1)


def test_prices_are_put_side_by_side_and_lists_one_after_another():
    """The first price hangs: two more are asked beside it; the second list waits for the first."""

    async def story(life, trader):
        await trader.broker.auth.token()
        await asyncio.sleep(2)
        began, asked = asyncio.get_running_loop().time(), life.wire.asked
        asked.clear()
        life.network.answers_s = (20.0, 20.0)
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
        prices = life.wire.of("inquire-price")
        return (
            [(each.params["FID_INPUT_ISCD"], int(each.at_s - began)) for each in prices],
            [int(each.at_s - began) for each in asked if each not in prices],
            busy,
        )

    prices, lists, busy = parts(story, environment="real", symbols=("000001", "000002", "000003"))
    assert prices == [("000001", 0), ("000002", 0), ("000003", 0)]
    assert lists == [0, 20, 40]
    assert busy == {"orders", "price 000001", "price 000002", "price 000003"}


@pytest.mark.parametrize("on_stop", ["cancel", "keep"])
def test_a_day_is_wound_down_by_the_word_of_the_settings_and_waits_for_calls(on_stop):
    """The engine hears what becomes of resting entries; a call under way has ten seconds, or its end."""

    async def story(life, trader):
        loop, spans = asyncio.get_running_loop(), []
        for open_calls in (0, 1):
            for n in range(open_calls):
                trader.bridge.calls.put_nowait((True, n, bot.OrderCall("new", entry_of(n))))
            began = loop.time()
            await trader._wind_down()
            spans.append(loop.time() - began)
        heard = trader.recorder.events(bot.Command)
        return [(each.name, each.text) for each in heard], spans, trader.profile.simulated

    told, spans, simulated = parts(story, settings={"on_stop": on_stop})
    assert told == [("stop", on_stop)] * 2
    assert spans == [0.0, pytest.approx(1.5 if simulated else bot.TOTAL_TIMEOUT_S)]


def test_the_engine_has_the_first_word_on_a_call_and_the_gate_the_last():
    """What the engine holds back the gate does not count; a refusal of pace has its own code."""

    async def story(life, trader):
        bridge, said = trader.bridge, []

        def ask(call):
            answer = bridge.veto(call)
            said.append(answer and (answer.outcome.name, answer.code, answer.text))

        buys = {"side": bot.Side.BUY, "purpose": "entry"}
        exits = [let_go(trader, n)[1] for n in range(bot.CEILING_ORDERS_PER_SECOND + 1)]
        entries = [let_go(trader, n, **buys)[1] for n in (91, 92)]
        for call in (*exits, *entries):
            intent = call.intent
            bridge.execute([bot.Record("intent", intent.intent_id, intent)])
            bridge.gate.expect(intent)
        ask(entries[0])  # nothing may be bought before the bot is ready
        assert bridge.gate.left == {} and bridge.gate.refusal(entries[0]) == ""
        await asyncio.sleep(2)
        for call in (*exits, entries[1], exits[0]):
            ask(call)
        return said

    said = parts(story, start="09:30:00")
    held = ("NOT_SENT", "", "entries were stopped before it left")
    most = bot.CEILING_ORDERS_PER_SECOND
    assert said == [
        held, *[None] * most, ("NOT_SENT", bot.TOO_FAST, f"gate: {most} orders left within 1 s"),
        held, ("NOT_SENT", "", "gate: it left already"),
    ]  # fmt: skip


@pytest.mark.parametrize("exposed", ["shares", "an order", ""])
def test_with_shares_the_feed_comes_before_the_warm_up_and_without_behind_it(exposed):
    """Stops are watched before a strategy is warm; nothing is decided on bars that are not there.

    An order that may still give shares is as good as shares.
    """

    async def story(life):
        trader = trader_of(life)
        life.wire.script["inquire-time-itemchartprice"] = [60.0]
        run, seen = asyncio.create_task(trader.run(one_day=True)), []
        ledger = trader.engine.core.ledger
        if exposed == "shares":
            ledger.position(SYMBOL).quantity = 5
            ledger.position(SYMBOL).cost = 5 * 70_000
        elif exposed:
            ledger.apply(bot.DayOpened(edge.DAY, edge.at("08:30:00")))
            for entry in working(trade_date=edge.DAY, at=edge.at("09:20:00")):
                ledger.apply(entry)
        while not life.wire.of("inquire-time-itemchartprice"):
            await asyncio.sleep(1)
        await asyncio.sleep(50)
        seen.append(trader.broker.socket.sessions)
        await asyncio.sleep(50)
        seen.append(trader.broker.socket.sessions)
        await life.stop(trader, run)
        return seen

    assert Life(start="09:30:00").play(story) == [int(bool(exposed)), 1]


def test_short_pauses_of_the_machine_are_told_once_a_day_and_long_ones_each_time():
    """From five seconds on the feed is in doubt; from a minute on it is told whatever was before."""

    async def story(life, trader):
        loop, told = asyncio.get_running_loop(), []

        def heard():
            return [(each.name, each.text) for each in trader.recorder.events(bot.Command)]

        task = asyncio.create_task(trader._timer())
        for pause_s in (3.5, 5.5, 8.0, 58.0, 61.0, 9.0, 61.0):
            await asyncio.sleep(3.0)
            loop.virtual_now += pause_s  # the loop was held
            await asyncio.sleep(3.0)
            told.append((trader.bridge.said["error"], len(heard())))
        task.cancel()
        return told, set(heard())

    told, heard = parts(story)
    assert told == [(0, 0), (1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (3, 6)]
    assert heard == {("feed down", "the program was suspended")}


# --- what a strategy is warmed up with ---


@pytest.mark.parametrize(
    ("minutes", "today", "before"),
    [(1, [f"09:{n:02d}" for n in range(1, 11)], [f"10:{n}" for n in range(21, 51)]),
     (3, ["09:03", "09:06", "09:09"], [f"10:{n:02d}" for n in range(3, 52, 3)])],
)  # fmt: skip
def test_past_bars_are_closed_ones_of_the_moment_of_the_question(minutes, today, before):
    """Today's, and of the day before as many as are missing; the running bar is left out."""

    def page(day, first, count):
        prices = {f"stck_{name}": "1000" for name in ("oprc", "hgpr", "lwpr", "prpr")}
        rows = [
            {"stck_bsop_date": f"{day:%Y%m%d}", "cntg_vol": "1", **prices,
             "stck_cntg_hour": f"{edge.at(first) + timedelta(minutes=n):%H%M%S}"}
            for n in range(count)
        ]  # fmt: skip
        return good(output2=rows[::-1])

    async def story(life, trader):
        await trader.broker.auth.token()
        past, end = "inquire-time-dailychartprice", good(output2=[])
        life.wire.script = {  # of today it comes so late that the running minute ends meanwhile
            "inquire-time-itemchartprice": [Slow(90.0, page(edge.DAY, "09:00", 13))],
            past: [page(edge.DAY - timedelta(days=1), "10:00", 50), end],  # an exam day
        }
        began = trader.clock.now()
        seen = await trader.broker.past(SYMBOL, SESSION, minutes, 0)
        ends = [f"{bar.end:%d %H:%M}" for bar in seen.value.bars]
        days = {each.params["FID_INPUT_DATE_1"] for each in life.wire.of(past)}
        return ends, days, (seen.asked_at - began).total_seconds()

    ends, days, later_s = parts(story, start="09:10:30")
    assert ends == [*(f"19 {end}" for end in before), *(f"20 {end}" for end in today)]
    assert days == {"20261119"} and later_s == 0.0


@pytest.mark.parametrize("count", [1, 5, 200])
def test_past_days_end_with_the_day_before_and_are_as_many_as_wanted(count):
    """Today's running bar is never one of them; a span long enough for weekends and holidays."""

    async def story(life, trader):
        seen = await trader.broker.past(SYMBOL, SESSION, 1, count)
        first, *_ = life.wire.of("inquire-daily-itemchartprice")
        return first.params["FID_INPUT_DATE_2"], [bar.start.date() for bar in seen.value.bars]

    last, days = parts(story)
    assert last == "20261119" and days[-1] == edge.DAY - timedelta(days=1)
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
        seen = []
        for text in ("stop\nunlock 005930\n", "what is this", "status", "stop\nodd\nstop"):
            trader.set_level("ACTIVE", "test")
            trader.recorder.seen.clear()
            trader._controls.write_text(text)
            trader._read_control()
            heard = [each.name for each in trader.recorder.events(bot.Command)]
            seen.append((heard, trader.engine.core.ledger.level.name))
        return seen

    stop = ["level"]
    assert parts(story) == [
        ([*stop, "unlock"], "ENTRIES_OFF"), (stop, "REDUCE_ONLY"), (stop, "REDUCE_ONLY"),
        (stop * 3, "REDUCE_ONLY"),
    ]  # fmt: skip


def test_each_second_status_journal_and_alarms_are_looked_at_and_the_watchdog_fed_while_calls_get_on():
    """Once a second however often it is passed; a call that is stuck leaves the watchdog hungry."""

    async def story(life):
        did, seen = [], []
        journal = LookedAt(life.world.folder / "journal.sqlite3", did)
        trader = trader_of(life, journal=journal, show_status=lambda trader: did.append("status"))
        trader.recorder.flushed = did
        life.wire.script["tokenP"] = [
            200.0
        ]  # the call waits for a token: stuck, in the end answered
        lane = asyncio.create_task(trader._call_lane())
        for passes_s in (1.0, 1.0, bot.STUCK_S, 200.0):
            beats = trader.watchdog.beats
            did.clear()
            for _ in range(3):
                trader._each_wall_second()
            seen.append((did[:], trader.watchdog.beats - beats))
            await asyncio.sleep(0.9)
            trader._each_wall_second()
            assert len(did) == 3
            if len(seen) == 1:
                trader.bridge.calls.put_nowait((True, 0, bot.OrderCall("new", entry_of(1))))
            await asyncio.sleep(passes_s)
        lane.cancel()
        trader.journal.close()
        return seen

    all_of = ["status", "journal", "alarms"]
    wanted = [(all_of, 1), (all_of, 1), (all_of, 1), (all_of, 0)]
    assert Life().play(story) == wanted


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
        trader, moments = trader_of(life, telegram="1:a"), []
        with locked(life, trader):
            for n in range(3):
                moments.append(trader.clock.now().isoformat())
                trader.bridge.execute([
                    bot.Record("note", "a", {}), bot.Alert("error", {"what": f"x{n}"}),
                    bot.Alert("error", {"what": f"y{n}"}),
                ])  # fmt: skip
                await asyncio.sleep(0.5)
            await asyncio.sleep(4.0)
        while trader.bridge.late:
            await asyncio.sleep(0.5)
        rows = {row.seq: json.loads(row.body) for row in trader.journal.rows("alert")}
        letters = [
            (letter.text, rows[letter.row]["what"]) for letter in trader.bridge.telegram._urgent
            if "what" in rows[letter.row]
        ]  # fmt: skip
        times = [row.at for row in trader.journal.rows("note")]
        trader.journal.close()
        return letters, times == moments

    letters, in_time = Life().play(story)
    assert in_time
    assert [what for _, what in letters] == ["x0", "y0", "x1", "y1", "x2", "y2"]
    assert all(what in text for text, what in letters)


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
        trader = trader_of(life, telegram="1:a")
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
        night = trader._teller._awake(edge.at("12:00:00"))
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        for shares in (0, 5):
            core.ledger.position(SYMBOL).quantity = shares
            found.append([trader._teller._awake(edge.at(clock)) for clock, *_ in AWAKE])
        trader.feed(bot.Command("hold", trader.clock.now(), text="clock"))
        doubted = trader._teller._awake(edge.at("03:00:00"))
        return *found, doubted, night

    without, shares, doubted, night = parts(story)
    assert without == [each for _, each, _ in AWAKE] and shares == [each for *_, each in AWAKE]
    assert (doubted, night) == (True, False)


@pytest.mark.parametrize(("theirs", "off"), [(100, 10), (90, 0), (80, -10)])
def test_the_evening_tells_by_how_much_the_brokers_costs_differ(theirs, off):
    """Fees and taxes of the day together, as the broker adds them; nothing when they agree."""

    async def story(life, trader):
        account = {"prvs_rcdl_excc_amt": "0", "thdt_tlex_amt": f"{theirs}", "tot_evlu_amt": "0"}
        life.wire.script["inquire-balance"] = [good(output1=[], output2=[account])]
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        await trader._teller.evening({**trader.summary(), "fees": 60, "taxes": 30, "trades": 1})
        [row] = [row for row in trader.journal.rows("alert") if row.ref == "day_report"]
        return row.body

    body = parts(story, start="15:40:00")
    assert ("costs_line" in body) is (off != 0)
    assert f'"difference":{off}' in body or not off


def test_each_look_has_the_recording_written_and_tells_when_it_broke():
    """Once a second at most that much is lost by a kill; a broken one is a trouble while it is."""

    async def story(life, trader):
        told, notes = [], trader.recorder
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        for broken in ("", "recording stopped: x"):
            notes.broken = broken
            trader._teller.look()
            told.append(
                any(
                    "recording stopped" in text or "녹화" in text for text in trader.bridge.messages
                )
            )
        return len(notes.flushed), told

    assert parts(story, start="09:30:00") == (2, [False, True])


def test_why_nothing_is_traded_is_told_once_for_each_session_that_is_waited_for():
    """Again and again looked at, once told; after a report of a day the next one is told already."""

    async def story(life, trader):
        tell = trader._teller
        morning = edge.at("07:00:00")
        for now, session in (
            (morning, SESSION), (morning, SESSION), (edge.at("16:00:00"), bot.session_of(edge.DAY + timedelta(days=3))),
            (edge.at("16:01:00"), bot.session_of(edge.DAY + timedelta(days=3))), (morning, SESSION),
        ):  # fmt: skip
            tell.wait(now, session)
        return [row.ref for row in trader.journal.rows("alert")]

    assert parts(story) == ["before_start", "session_over", "before_start"]


@pytest.mark.parametrize(
    ("language", "said"), [("ko", "{} 7주, 035720 1,200주"), ("en", "{} 7, 035720 1,200")]
)
def test_what_is_held_is_named_with_its_shares_and_nothing_that_is_sold(language, said):
    """In the answer to /flatten, in the evening, at the end: a stock without shares is not held."""

    async def story(life, trader):
        ledger = trader.engine.core.ledger
        nothing = trader.bridge.held()
        for symbol, shares in ((SYMBOL, 7), ("000660", 0), ("035720", 1_200)):
            ledger.position(symbol).quantity = shares
        return nothing, trader.bridge.held(), trader.bridge.name(SYMBOL)

    nothing, held, name = parts(story, settings={"language": language})
    assert (nothing, held) == ("", said.format(name))


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
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        trader.stop("first")
        trader.stop("SIGTERM received")
        await trader._teller.evening(trader.summary())
        trader._teller.goodbye(trader._why)
        return life.wire.asked, trader.bridge.messages[-1]

    asked, said = parts(story, start="15:40:00")
    assert asked == [] and "SIGTERM" in said


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
        told, figures = [], {"day": "2026-11-20", "trades": 1, "bars": 0}
        for sessions in (3, 4, 4):
            await feed_sessions(life, trader, sessions)
            lines = trader._teller._lines(figures, None, None)
            told += [each.values["sessions"] for each in lines if each.code == "feed_line"]
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
