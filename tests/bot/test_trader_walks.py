"""What the trader keeps between moments, over schedules of chance and from one day to the next."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta

import edge
import pytest
from test_calls_in_a_row import good
from test_codec import trade_frame
from test_trader import SYMBOL, Life
from test_trader_in_a_row import OTHER, Noting, entry_of, let_go, parts, run_for, trader_of
from troubles import suspensions_told

import kis_realtime_trading as bot

SESSION = bot.session_of(edge.DAY)
SYMBOLS = (SYMBOL, OTHER, "035720")


class Fickle(bot.Journal):
    """A journal that is late whenever a test says so: at a row, or for as long as it wants."""

    def __init__(self, path):
        super().__init__(path)
        self.fails, self.kept = lambda: False, []

    def append(self, rows, at):
        if self.fails():
            raise bot.JournalLate("for the test")
        super().append(rows, at)
        self.kept += [(kind, ref, at) for kind, ref, _ in rows]


@pytest.mark.parametrize("seed", range(30))
def test_rows_calls_and_words_keep_their_order_however_often_the_journal_is_late(seed):
    """Each row once, in its order and with its own time; a call leaves behind its rows and never before;
    an alert bears the number of its row; soon after the disk is well nothing waits and nothing holds."""
    pick = random.Random(seed)

    async def main(life):
        journal = Fickle(life.world.folder / "journal.sqlite3")
        trader = trader_of(life, "token-of-a-test", journal)
        bridge, core = trader.bridge, trader.engine.core
        bad, given, calls, alerts = False, [], [], 0
        journal.fails = lambda: bad or (broken and pick.random() < 0.3)
        broken = True
        for n in range(40):
            bad = pick.random() < 0.3
            rows = [bot.Record("note", f"{n}.{k}", {}) for k in range(pick.choice([0, 1, 3]))]
            what = pick.choice(["rows", "call", "alert", "both", "word"])
            actions = [] if what == "word" else [*rows]
            if what in ("call", "both"):
                action = pick.choice(["new", "cancel", "change"])
                call = bot.OrderCall(action, entry_of(n), "0000000001", "1", "00", 70_000 + n)
                actions.append(call)
                calls.append((n, call))
            if what in ("alert", "both"):
                actions.insert(pick.randint(0, len(actions)), bot.Alert("error", {"what": f"w{n}"}))
                alerts += 1
            now = trader.clock.now()
            given += [
                ("note", each.ref, now) if isinstance(each, bot.Record)
                else ("request", each.intent.intent_id, now)
                for each in actions if not isinstance(each, bot.Alert)
            ]  # fmt: skip
            if what == "word":
                trader.feed(bot.Command("hold", now, text="calendar"))
                trader.feed(bot.Command("release", now, text="calendar"))
            else:
                bridge.execute(actions)
            kept = [each for each in journal.kept if each[0] in ("note", "request")]
            assert kept == given[: len(kept)]
            left = sorted(call.intent.intent_id for _, _, call in bridge.calls._queue)
            written = {ref for kind, ref, _ in kept if kind == "request"}
            assert left == sorted(f"{n:016d}" for n, _ in calls if f"{n:016d}" in written)
            assert bool(bridge.late) or not bridge._unwritten
            await asyncio.sleep(pick.choice([0.0, 0.1, 0.3, 1.5]))
        bad = broken = False
        await asyncio.sleep(0.3)
        assert (bridge.late, list(bridge._unwritten)) == ("", [])
        assert bot.JOURNAL_LATE not in core.holds
        assert [each for each in journal.kept if each[0] in ("note", "request")] == given
        rows = {row.seq: row for row in journal.rows("alert")}
        told = [
            letter
            for letter in bridge.telegram._urgent
            if letter.text.partition(":")[0] and letter.row
        ]
        wanted = [letter for letter in told if rows[letter.row].ref == "error"]
        for letter in wanted:
            assert json.loads(rows[letter.row].body)["what"] in letter.text
        journal.close()
        return len([letter for letter in wanted if "w" in letter.text]) == alerts

    assert Life().play(main)


def test_the_row_of_a_request_names_its_order_and_what_is_asked_for_it():
    """After a crash it tells which call was under way."""

    async def story(life, trader):
        calls = [
            bot.OrderCall(action, entry_of(n), "0000000001", "1", kind, price)
            for n, (action, kind, price) in enumerate(
                [("new", "00", 70_000), ("cancel", "00", 0), ("change", "03", 69_000)]
            )
        ]
        trader.bridge.execute(calls)
        return [(row.ref, json.loads(row.body)) for row in trader.journal.rows("request")]

    assert parts(story) == [
        (f"{n:016d}", {"action": action, "kind": kind, "price": price})
        for n, (action, kind, price) in enumerate(
            [("new", "00", 70_000), ("cancel", "00", 0), ("change", "03", 69_000)]
        )
    ]


def test_a_clock_in_doubt_is_held_once_while_the_doubt_lasts():
    """Each hold counts the ages of orders anew: held each second, none would ever be judged."""

    async def story(life, trader):
        doubted = True
        trader.bridge.gate.doubts = lambda: doubted
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        for _ in range(5):
            trader.bridge.handle(bot.TimeEvent(trader.clock.now()))
        doubted = False
        trader.feed(bot.Command("release", trader.clock.now(), text="clock"))
        doubted = True
        trader.bridge.handle(bot.TimeEvent(trader.clock.now()))
        return [each.name for each in trader.recorder.events(bot.Command)]

    assert parts(story, start="09:30:00") == ["hold", "day", "release", "hold"]


# --- the morning ---


@pytest.mark.parametrize("held", [(), (SYMBOL, OTHER)])
@pytest.mark.parametrize("environment", ["paper", "real"])
def test_a_morning_that_is_stopped_asks_nothing_more(held, environment):
    """In whichever of its questions the stop comes, that one is the last; no decision is begun."""

    async def story(life, trader):
        for symbol in held:
            trader.engine.core.ledger.position(symbol).quantity = 5
        await trader.broker.auth.token()
        life.wire.asked.clear()
        trader.stop_at = 0

        def look():
            if len(life.wire.asked) == trader.stop_at:
                trader.stop("a test")

        life.wire.look = look
        counts = []
        for n in range(20):
            trader.stop_at = n
            trader._stop.clear()
            life.wire.asked.clear()
            ready = await trader.morning.prepare(SESSION)
            counts.append((len(life.wire.asked), ready))
            if ready:
                return counts
        return counts

    counts = parts(story, start="08:40:00", symbols=SYMBOLS, environment=environment)
    most = len(counts) - 1
    assert most >= (5 if held else 6) and counts[-1] == (most, True)
    for n, (asked, ready) in enumerate(counts[:-1]):
        assert not ready and n + 1 <= asked <= n + 1 + len(held)  # their prices go side by side


def test_a_warm_up_that_is_stopped_asks_nothing_more():
    """The stock whose bars are under way is the last one."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        await trader.broker.auth.token()
        life.wire.asked.clear()
        life.wire.look = lambda: trader.stop("a test") if len(life.wire.asked) == 1 else None
        await trader.morning.warm_up(SESSION)
        return {each.params["FID_INPUT_ISCD"] for each in life.wire.asked}

    assert parts(story, start="09:30:00", symbols=SYMBOLS) == {SYMBOL}


def test_odd_bars_of_one_warm_up_are_told_until_the_next_are_sound():
    """The trouble names the stock and how many; other stocks have their own."""

    def row(minute, low="69900"):
        return {
            "stck_bsop_date": f"{edge.DAY:%Y%m%d}", "stck_cntg_hour": f"09{minute:02d}00",
            "stck_oprc": "70000", "stck_hgpr": "70100", "stck_lwpr": low, "stck_prpr": "70000",
            "cntg_vol": "5",
        }  # fmt: skip

    async def story(life, trader):
        seen = []
        for lows in (("69900", "99900"), ("69900", "69900")):
            rows = [row(n, low) for n, low in enumerate(lows)]
            none = good(output2=[])
            life.wire.script["inquire-time-itemchartprice"] = [good(output2=rows), none]
            life.wire.script["inquire-time-dailychartprice"] = [none]
            await trader.broker.past(SYMBOL, SESSION, 1, 0)
            seen.append(trader.broker.troubles.get(f"bars {SYMBOL}", ""))
        return seen

    first, second = parts(story, start="09:30:00")
    assert "1" in first and SYMBOL in first and second == ""


# --- days and nights ---


def test_a_run_begins_with_the_end_of_the_journal():
    """What the account shows from after it is not the owner's: the first word of a run tells it."""

    async def main(life):
        journal = bot.Journal(life.world.folder / "journal.sqlite3")
        ended = life.world.clock.now() - timedelta(hours=3)
        journal.append([("ledger", "", bot.DayOpened(ended.date(), ended))], ended)
        journal.append([("note", "", {})], ended + timedelta(hours=1))  # nothing of the account
        trader = trader_of(life, journal=journal)
        await run_for(trader.run(one_day=True), 0.5)
        first = trader.recorder.events(bot.Command)[0]
        journal.close()
        return first.name, first.text, trader.engine.core.journal_end == ended

    name, text, same = Life(start="06:00:00").play(main)
    assert (name, text[:19], same) == ("restarted", f"{edge.DAY}T03:00:00", True)


def test_the_watchdog_is_fed_also_while_a_morning_is_waited_for():
    """A night of ten hours is no hang."""

    async def story(life, trader):
        await run_for(trader._wait_until(trader.clock.now() + timedelta(hours=1)), 65.0)
        return trader.watchdog.beats

    assert parts(story, start="06:00:00") >= 6


class Begun(Noting):
    """A recorder that notes its days."""

    def __init__(self):
        super().__init__()
        self.days = []

    def begin_day(self, now):
        self.days.append(now.date())


def test_a_day_begins_with_nothing_of_the_one_before():
    """Counts, frames lost, bars, what was under way, the feed's trouble, a question cut off: a day of its own."""

    async def main(life):
        trader = trader_of(life)
        trader.recorder = trader.bridge.recorder = Begun()
        seen = []
        for bars in (7, 19):
            trader.counts.update(Trade=5, suspended=1)
            trader.inbox.lost, trader.engine.bars_closed = 3, bars
            trader._busy_since |= {"call": 1.0, "price x": 2.0}
            trader.broker.troubles["feed"] = "of the evening"
            trader.broker.agenda.under_way[bot.Ask("cash")] = trader.clock.now()
            sell = entry_of(bars, side=bot.Side.SELL, purpose="exit")
            trader.bridge.calls.put_nowait((False, bars, bot.OrderCall("new", sell)))
            trader.stop("a test")  # the day is prepared no further, and wound down
            await trader._trade_day(SESSION)
            seen.append((
                trader.counts["Trade"], trader.counts["suspended"], trader.inbox.lost,
                trader.summary()["bars"], dict(trader._busy_since), dict(trader.broker.troubles),
                dict(trader.broker.agenda.under_way), trader.bridge.calls.empty(), trader.bridge.under_way,
            ))  # fmt: skip
        answers = trader.recorder.events(bot.OrderAnswered)
        trader.journal.close()
        return seen, trader.recorder.days, [each.intent_id for each in answers]

    seen, days, answered = Life(start="08:40:00").play(main)
    assert seen == [(0, 0, 0, 0, {}, {}, {}, True, None)] * 2
    assert days == [edge.DAY] * 2
    assert answered == [f"{7:016d}", f"{19:016d}"]


@pytest.mark.parametrize("blocked_s", [0.0, 3.9, 5.1, 600.0])
def test_a_loop_that_was_blocked_shows_in_its_own_time_alone(blocked_s):
    """The clock was set back by as much meanwhile: prices and notices may have been missed all the same."""

    async def story(life, trader):
        def blocked():
            asyncio.get_running_loop().virtual_now += blocked_s
            life.world.clock._start -= timedelta(seconds=blocked_s)

        return await suspensions_told(trader, blocked)

    suspended = blocked_s > bot.SUSPENDED_S
    assert parts(story, start="09:30:00") == (suspended, suspended)


def test_an_order_does_not_wait_for_the_frames_that_came_with_its_price():
    """Of a full batch the lane has it before the next frame is read."""

    async def story(life, trader):
        bridge, call = trader.bridge, bot.OrderCall("cancel", entry_of(1), "0000000001")
        frames = trader.recorder

        def look():
            if len(frames.seen) == 3:  # the time, and two frames
                bridge.calls.put_nowait((False, 0, call))
            return bridge.calls.empty()

        frames.look = look
        for _ in range(20):
            trader.inbox.put(trade_frame(f0="999999", f33=f"{edge.DAY:%Y%m%d}"))
        await asyncio.gather(run_for(trader._call_lane(), 0.1), run_for(trader._pump(), 0.1))
        return [
            gone for what, gone in zip(frames.seen, frames.stood, strict=True) if what[0] == "frame"
        ]

    assert parts(story, start="09:30:00") == [True, False, *[True] * 18]


# --- questions ---


@pytest.mark.parametrize("what", ["price", "orders", "cash", "holdings"])
@pytest.mark.parametrize("ends", ["answered", "refused", "off", "silent"])
def test_a_question_is_no_longer_under_way_however_it_ended(what, ends):
    """One left behind would starve the watchdog two minutes later, and end a sound bot."""
    paths = {
        "price": "inquire-price", "orders": "inquire-daily-ccld", "cash": "inquire-psbl-order",
        "holdings": "inquire-balance",
    }  # fmt: skip
    bad = {
        "refused": bot.HttpReply(500, json.dumps({"rt_cd": "1", "msg_cd": "X"}), {}),
        "off": bot.NotSent("no route"), "silent": bot.NoAnswer("nothing came"),
    }  # fmt: skip

    async def story(life, trader):
        if ends != "answered":
            life.wire.script[paths[what]] = [bad[ends]] * 9
        ask = bot.Ask(what, SYMBOL if what == "price" else "")
        await trader._put(ask, "a lane")
        return (
            dict(trader._busy_since),
            dict(trader.broker.agenda.under_way),
            len(life.wire.of(paths[what])) > 0,
        )

    assert parts(story, start="09:30:00") == ({}, {}, True)


@pytest.mark.parametrize("day", ["", "2026-11-18", "2026-11-20", "2026-11-21"])
@pytest.mark.parametrize("begun", [edge.DAY, edge.DAY + timedelta(days=3)])
def test_a_list_is_asked_for_the_day_that_is_named_else_for_the_day_that_was_begun(day, begun):
    """Whatever our clock says; the answer says of which day it is, nothing when of the present one."""

    async def story(life, trader):
        trader.broker.begin_day(begun)
        await trader.broker.answer(bot.Ask("orders", day))
        seen = trader.recorder  # nothing is fed: only the answer is of interest
        [asked] = {
            (each.params["INQR_STRT_DT"], each.params["INQR_END_DT"])
            for each in life.wire.of("inquire-daily-ccld")
        }
        answer = await trader.broker.answer(bot.Ask("orders", day))
        return asked, answer.value.day, seen.seen

    wanted = day.replace("-", "") or f"{begun:%Y%m%d}"
    named = bot.date.fromisoformat(day) if day else None
    assert parts(story, start="09:30:00") == ((wanted, wanted), named, [])


@pytest.mark.parametrize("hangs", ["inquire-daily-ccld", "inquire-balance", "inquire-psbl-order"])
def test_a_list_that_hangs_in_the_morning_holds_no_price_of_what_is_held(hangs):
    """Their stops are the first thing that counts."""

    async def story(life, trader):
        for symbol in (SYMBOL, OTHER):
            trader.engine.core.ledger.position(symbol).quantity = 5
        await trader.broker.auth.token()
        life.wire.script[hangs] = [30.0]
        began = asyncio.get_running_loop().time()
        await trader.morning.prepare(SESSION)
        return [each.at_s - began for each in life.wire.of("inquire-price")]

    at_s = parts(story, start="08:40:00", symbols=SYMBOLS)
    assert len(at_s) == 2 and max(at_s) < 5.0


# --- the owner's words, the lane, the end ---


@pytest.mark.parametrize("before", list(bot.KillLevel))
@pytest.mark.parametrize("words", [("resume",), *(("level", each.name) for each in bot.KillLevel)])
def test_a_word_that_may_raise_sets_the_level_that_it_names(before, words):
    """From wherever it stands: also down, also back to trading."""

    async def story(life, trader):
        trader.set_level(before.name, "before")
        trader.obey(bot.read_words(words), "a test")
        return trader.engine.core.ledger.level

    assert parts(story) is bot.KillLevel[words[-1] if words[0] == "level" else "ACTIVE"]


@pytest.mark.parametrize("action", ["new", "cancel", "change"])
def test_a_call_that_the_gate_refuses_never_leaves(action):
    """Of an order that the ledger does not know: the lane asks for each kind of call, and answers it."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        trader.bridge.calls.put_nowait(
            (False, 0, bot.OrderCall(action, entry_of(1), "0000000001", "1", "00", 70_000))
        )
        await run_for(trader._call_lane(), 5.0)
        [answered] = trader.recorder.events(bot.OrderAnswered)
        sent = life.wire.of("order-cash") + life.wire.of("order-rvsecncl")
        return answered.answer.outcome.name, len(sent), trader.bridge.calls.empty()

    assert parts(story, start="09:30:00") == ("NOT_SENT", 0, True)


@pytest.mark.parametrize("heard_s", [-60, -1, 0, 1, 60])
@pytest.mark.parametrize("held", [0, 5])
def test_a_stock_is_told_as_silent_until_a_trade_as_new_as_the_brokers_came(heard_s, held):
    """What came late is heard: nobody is told of it any more; a stop that is blind stands for itself."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        state = trader.engine.core.symbols[SYMBOL]
        trader.engine.core.ledger.position(SYMBOL).quantity = held
        theirs = trader.clock.now() - timedelta(minutes=5)
        trader.silence.missing[SYMBOL] = f"{theirs:%H:%M:%S}"
        at = theirs + timedelta(seconds=heard_s)
        state.last_trade = bot.Trade(SYMBOL, at, 70_000, 1, 1, 70_000, False)
        return [key for key, _ in trader._teller._of_stocks()]

    key = f"silent {SYMBOL}" if held else "silent"
    assert parts(story, start="09:30:00") == ([key] if heard_s < 0 else [])


@pytest.mark.parametrize("well", [True, False])
def test_the_end_is_told_also_when_it_can_be_written_no_more(well):
    """Once, with its reason; of a journal that is wrong with that, too."""

    async def main(life):
        journal = Fickle(life.world.folder / "journal.sqlite3")
        trader = trader_of(life, "token-of-a-test", journal)

        def fails():
            if not well:
                raise bot.JournalError("wrong for the test")
            return False

        journal.fails = fails
        trader._teller.goodbye("a reason")
        journal.close()
        return trader.bridge.said["stopped"], trader.bridge.telegram.outbox

    told, [text] = Life().play(main)
    assert told == 1 and "a reason" in text and ("wrong for the test" in text) is not well


@pytest.mark.parametrize("speed", [1.0, 60.0, 300.0])
def test_a_market_that_runs_fast_is_no_host_that_slept(speed):
    """A minute of it in a second of ours: what is measured is ours."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        await run_for(trader._timer(), 10.0)
        return trader.counts["suspended"]

    assert parts(story, start="09:30:00", speed=speed) == 0


@pytest.mark.parametrize(("token_s", "sent"), [(0.0, 1), (5.0, 0)])
def test_a_call_is_judged_when_its_turn_has_come_not_when_it_was_taken(token_s, sent):
    """Three seconds before the exchange closes; while it waited for a token it closed."""

    async def story(life, trader):
        bridge = trader.bridge
        bridge.execute(let_go(trader))
        life.wire.script["tokenP"] = [token_s]
        await run_for(trader._call_lane(), 8.0)
        return len(life.wire.of("order-cash")), len(trader.recorder.events(bot.OrderAnswered))

    assert parts(story, start="15:29:57") == (sent, 1)


@pytest.mark.parametrize("takes_s", [0.0, 3.0, 10.0])
def test_work_of_the_timer_itself_that_blocks_is_a_pause_as_any(takes_s):
    """A status whose making hangs holds frames and stops up like a host that slept."""

    async def main(life):
        def show(trader):
            loop = asyncio.get_running_loop()
            if 5.0 < loop.time() < 6.5:
                loop.virtual_now += takes_s

        trader = trader_of(life, show_status=show)
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        await run_for(trader._timer(), 30.0)
        trader.journal.close()
        return trader.counts["suspended"]

    assert Life(start="09:30:00").play(main) == (takes_s > bot.SUSPENDED_S)


def test_a_word_left_as_a_file_is_obeyed_while_the_day_runs():
    """Within a second, each once."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        timer = asyncio.create_task(trader._timer())
        levels = []
        for word in ("stop", "reduce"):
            (life.world.folder / bot.CONTROL_FILE).write_text(f"{word}\n")
            await asyncio.sleep(1.1)
            levels.append(trader.engine.core.ledger.level.name)
        timer.cancel()
        await asyncio.gather(timer, return_exceptions=True)
        return levels, trader.bridge.said["level"]

    assert parts(story, start="09:30:00") == (["ENTRIES_OFF", "REDUCE_ONLY"], 2)


@pytest.mark.parametrize("simulated", [True, False])
def test_a_call_under_way_has_the_time_of_a_call_before_the_day_ends(simulated):
    """Cut off sooner its outcome would be unknown for nothing; a simulator is not waited for."""

    async def story(life, trader):
        if not simulated:
            trader.profile = bot.replace(
                trader.profile, rest_url=bot.PAPER_REST, ws_url=bot.PAPER_WS
            )
        assert trader.profile.simulated is simulated
        trader.bridge.calls.put_nowait((True, 1, bot.OrderCall("new", entry_of(1))))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await trader._wind_down()
        return loop.time() - began

    assert parts(story) == pytest.approx(1.5 if simulated else bot.TOTAL_TIMEOUT_S)
