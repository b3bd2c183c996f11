"""What the doors keep of an earlier question, call, refusal or session.

Each rule here was once planted wrong and noticed by no other test (tests/campaigns/mistakes.txt).
"""

import asyncio
import itertools
import re
from datetime import date
from pathlib import Path

import edge
import harness
import pytest
from mad_engine import Stage
from test_days_of_others import morning_after
from test_doors import broker_of
from test_late_journal import locked
from test_ledger import working
from test_sessions import PING
from test_trader import SYMBOL, Life
from test_websocket import Ear, Fake, Line, ack, buy, listening, run, taking_all, usual

import kis_realtime_trading as bot


def test_the_end_of_one_price_question_lets_the_next_go_at_once():
    """Three stocks that are not held are asked side by side; the fourth waits for one, no longer."""

    async def story(life):
        broker, loop = broker_of(life), asyncio.get_running_loop()
        for symbol in ("000001", "000002", "000003", SYMBOL):
            broker.want(bot.Ask("price", symbol))
        taken = [await broker.next_question(("price",), False) for _ in range(3)]
        fourth = asyncio.create_task(broker.next_question(("price",), False))
        await asyncio.sleep(1.0)
        assert not fourth.done()
        await broker.answer(taken[0])
        began = loop.time()
        await fourth
        return loop.time() - began

    assert Life().play(story) < 0.1


@pytest.mark.parametrize("day", ["", "2026-11-19"])
def test_a_list_of_an_earlier_day_says_whose_it_is(day):
    """Read as one of today its numbers would be today's; one of today names no day."""

    async def story(life):
        return await broker_of(life).answer(bot.Ask("orders", day))

    assert Life().play(story).value.day == (date.fromisoformat(day) if day else None)


def test_an_alert_told_while_rows_wait_keeps_its_row():
    """The phone's receipt names a row: it must be the alert's, though the journal wrote it later."""

    async def story(life):
        trader = life.world.make_trader(harness.Nothing())
        trader.bridge.telegram._token = bot.Secret("1:a")
        with locked(life, trader):
            for n in range(3):
                trader.bridge.execute([bot.Record("note", str(n), {})])
            trader.tell("error", what="told while late")
        while trader.bridge.late:
            await asyncio.sleep(0.1)
        [letter] = [each for each in trader.bridge.telegram._urgent if "while late" in each.text]
        trader.journal.close()
        return letter.row

    life = Life()
    told = life.play(story)
    assert told in [row.seq for row in life.rows("alert") if "while late" in row.body]


def test_a_refusal_of_the_gate_is_one_of_pace_only_when_it_is(tmp_path):
    """After an order too many, one of another fault is no order too many: it is told and backs off."""
    stage = Stage(tmp_path)
    stage.gate.too_fast = True  # the last refusal was one of pace
    assert stage.refusal(stage.write(stage.intent(quantity=50_000))) != ""
    assert stage.gate.too_fast is False


def test_a_question_that_the_close_cut_off_does_not_count_in_the_evening():
    """The watchdog is fed while the report's own questions are slow: nothing else is under way."""

    async def story(life):
        hang = {"do": "lose", "how": "hang"}
        life.sim.faults.add(
            {"match": {"path": "inquire-price", "from": "15:30:20"}, "effect": hang}
        )
        slow = {"do": "delay", "seconds": 8}
        life.sim.faults.add(
            {"match": {"path": "inquire-balance", "from": "15:31:30"}, "effect": slow}
        )
        trader, day = await life.begin()
        await life.world.until("15:31:25")
        trader.broker.want(bot.Ask("price", SYMBOL))  # it is on its way when the day ends
        while "evening" not in trader._busy_since:
            await asyncio.sleep(0.5)
        busy = set(trader._busy_since)
        await day
        trader.journal.close()
        return busy

    assert Life(start="15:29:00", density=1.0).play(story) == {"evening"}


def test_a_feed_that_missed_nothing_is_asked_about_each_five_minutes(tmp_path):
    """Nobody traded: KIS is asked once in 300 s, not at every look."""
    asked = []

    async def missed():
        asked.append(asyncio.get_running_loop().time())
        return False

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(lambda: Fake(taking_all))
        ear = Ear(desk, usual(desk), line)
        ear.socket.expects_data, ear.socket.missed = lambda: True, missed
        async with listening(ear):
            for _ in range(100):
                await asyncio.sleep(10)
                line.made[-1].say(PING)
        return [round(b - a) for a, b in itertools.pairwise(asked)]

    assert run(main) == [pytest.approx(bot.NO_DATA_S, abs=15)] * 2


def test_a_question_that_takes_long_leaves_as_much_time_to_others():
    """Lists that take four seconds are asked every eight, not every five."""

    async def story(life):
        broker, times = broker_of(life), []
        life.network.answers_s = (4.0, 4.0)
        await broker.auth.token()
        broker.agenda._asked_at = dict.fromkeys(
            ("orders", "cash", "holdings"), life.world.clock.now()
        )
        while len(times) < 4:
            ask = await broker.next_question(("orders",), True)
            times.append(asyncio.get_running_loop().time())
            await broker.answer(ask)
        return [b - a for a, b in itertools.pairwise(times)][1:]

    assert Life(environment="real").play(story) == [pytest.approx(8.0, abs=0.5)] * 2


def test_a_question_younger_than_ten_seconds_goes_by_its_kind():
    """The order list goes before cash that was wanted four seconds earlier."""

    async def story(life):
        broker = broker_of(life)
        broker.agenda._asked_at = dict.fromkeys(
            ("orders", "cash", "holdings"), life.world.clock.now()
        )
        broker.want(bot.Ask("cash"))
        await asyncio.sleep(4)
        broker.want(bot.Ask("orders"))
        return [await broker.next_question(("orders", "cash", "holdings"), False) for _ in range(2)]

    assert Life().play(story) == [bot.Ask("orders"), bot.Ask("cash")]


def test_odd_minutes_of_the_warm_up_are_told_and_end_nothing():
    """A high of 7,000,000 in each minute bar: dropped, told once, and the day goes on."""

    async def story(life):
        odd = {"do": "set", "field": "stck_hgpr", "value": "7000000"}
        life.sim.faults.add({"match": {"path": "itemchartprice"}, "effect": odd})
        trader, day = await life.begin()
        await life.world.until("10:30:00")
        ended = day.done()
        await life.stop(trader, day)
        return ended

    life = Life()
    assert life.play(story) is False
    told = [row.body for row in life.rows("alert") if row.ref.startswith("trouble")]
    assert len(told) == 1 and "odd minute bars" in told[0]


def test_every_kind_of_trouble_has_its_rule():
    """A kind without one would end the program in the first second that it stands."""
    source = Path(bot.__file__).read_text("utf-8")
    keys = re.findall(r"(?:troubles|standing)\[f?\"([a-z]+)", source)
    keys += re.findall(r"key = f\"([a-z]+) ", source)
    assert {"bars", "feed", "answer"} <= set(keys) <= set(bot.ALARMS)


def test_a_day_begins_with_no_silence_and_no_lost_feed_of_the_evening():
    """What was missed at 15:19 says nothing of the morning; the new session has not begun."""

    async def story(life):
        trader = life.world.make_trader(harness.Nothing())
        silence, broker = trader.silence, trader.broker
        silence.missing, silence._asked = {SYMBOL: "15:19:59"}, {SYMBOL: life.world.clock.now()}
        silence._renewed.add(SYMBOL)
        broker.troubles["feed"] = "realtime feed lost: closed by the server"
        broker.begin_day(date(2026, 11, 23))
        watch = asyncio.create_task(silence.run())
        await asyncio.sleep(1.0)
        watch.cancel()
        trader.journal.close()
        return silence.missing, silence._asked, silence._renewed, broker.troubles

    assert Life().play(story) == ({}, {}, set(), {})


def test_a_split_whose_shares_were_counted_is_not_undone_by_another_base_price():
    """Five times the shares are there: the question stays the owner's, whatever price comes later."""
    bench = morning_after(14_000, 50)
    bench.seen(bot.Instrument(SYMBOL, "KOSPI", False, 70_000, 91_000, 49_000, 70_000))
    assert SYMBOL in bench.ledger.actions


def test_a_clock_in_doubt_is_asked_about_at_once():
    """An answer of the broker has a Date: the account question goes out now, not in a minute."""

    async def story(life):
        trader = life.world.make_trader(harness.Nothing())
        trader.bridge.gate.doubts = lambda: True
        trader.bridge.handle(bot.TimeEvent(life.world.clock.now()))
        trader.journal.close()
        return list(trader.broker.agenda.waiting), "clock" in trader.engine.core.holds

    assert Life().play(story) == ([bot.Ask("cash")], True)


def test_without_a_connection_the_list_of_an_earlier_day_is_waited_for_past_the_open():
    """Given up, its fills would be lost, and their shares pass for the owner's."""

    async def story(life):
        trader = life.world.make_trader(harness.Nothing())
        ledger, friday = trader.engine.core.ledger, date(2026, 11, 19)
        ledger.apply(bot.DayOpened(friday, edge.at("08:30", friday)))
        for entry in working(trade_date=friday, at=edge.at("10:00", friday)):
            ledger.apply(entry)
        offline = True

        def no_connection(method, path):
            if offline:
                raise bot.NotSent("no connection")

        life.network.before_request = no_connection
        asked = asyncio.create_task(trader.morning._end_earlier_day(bot.session_of(edge.DAY)))
        await life.world.until("09:10:00")
        waited = not asked.done()
        offline = False
        await asked
        trader.journal.close()
        return waited

    assert Life(start="08:50:00").play(story) is True


def test_an_order_refused_for_pace_slows_the_next_calls_down(tmp_path):
    """The server counts orders and questions together."""

    async def main():
        desk = edge.desk(tmp_path, pace=10.0)
        desk.fault("error", {"kind": "order"}, code="EGW00201")
        before = desk.rest.governor._gap
        answer = await desk.orders.submit(buy())
        return answer.code, desk.rest.governor._gap / before

    assert run(main) == ("EGW00201", pytest.approx(2.0, rel=0.1))


def test_the_kind_of_balance_that_was_refused_is_not_asked_first_again(tmp_path):
    """One refusal of INQR_DVSN 02, and it is 01 from then on."""

    async def main():
        desk = edge.desk(tmp_path)
        desk.fault("error", {"path": "inquire-balance", "times": 1}, code="OPSQ2001", rt_cd="2")
        await desk.orders.balance()
        return desk.orders._by, desk.requests("inquire-balance")

    assert run(main) == ("01", 2)


def test_rows_that_name_another_day_are_no_orders_of_this_one(tmp_path):
    """Numbers begin anew each day: a row of yesterday would be taken for today's."""

    async def main():
        desk = edge.desk(tmp_path)
        await desk.orders.submit(buy())
        today = await desk.orders.orders_of(edge.DAY)
        desk.fault("set", {"path": "daily-ccld"}, field="ord_dt", value="20261119")
        return len(today.rows), len((await desk.orders.orders_of(edge.DAY)).rows)

    assert run(main) == (1, 0)


def test_an_alert_that_reached_the_phone_is_not_told_again_after_a_restart():
    """Of two urgent ones the one without a receipt."""

    async def story(life):
        trader = life.world.make_trader(harness.Nothing())
        trader.bridge.telegram._token = bot.Secret("1:a")
        for what in ("first", "second"):
            trader.tell("error", what=what)
        first = trader.bridge.telegram._urgent[0].row
        trader.bridge.note_told(first)
        trader.journal.close()
        trader = life.world.make_trader(harness.Nothing())
        trader.bridge.telegram._token = bot.Secret("1:a")
        trader.bridge.tell_again()
        trader.journal.close()
        return [letter.text for letter in trader.bridge.telegram._urgent]

    [again] = Life().play(story)
    assert "second" in again and "first" not in again


def test_a_silent_stock_is_looked_after_while_the_feed_is_up_and_doubt_renews_it():
    """No answer of KIS: trades may have been missed. A feed that is down is another trouble."""

    async def story(life):
        trader, day = await life.begin()
        await life.world.until("09:30:00")
        silence = trader.silence
        silence._asked.clear()
        due = [silence._is_due(SYMBOL)]
        trader.broker.socket.up = False
        due.append(silence._is_due(SYMBOL))
        trader.broker.socket.up = True
        silence.missing[SYMBOL] = "09:25:00"
        silence._judge(SYMBOL, "")
        life.sim.faults.add(
            {"match": {"path": "inquire-ccnl"}, "effect": {"do": "html", "status": 503}}
        )
        missed = await silence.any()
        await life.stop(trader, day)
        return due, silence.missing, missed

    assert Life(density=0.001).play(story) == ([True, False], {}, True)


def test_a_day_with_an_open_order_goes_on_after_the_close():
    """Two lists after the close prove its end: without them its fills would wait for the next morning."""

    async def story(life):
        trader = life.world.make_trader(harness.Nothing())
        ledger = trader.engine.core.ledger
        ledger.apply(bot.DayOpened(edge.DAY, edge.at("08:30")))
        for entry in working():
            ledger.apply(entry)
        over = asyncio.create_task(trader._until_day_over(bot.session_of(edge.DAY)))
        await life.world.until("15:45:00")
        waits = not over.done()
        ledger.apply(bot.OrderUpdate("one", bot.OrderEvent.EXPIRED, edge.at("15:45")))
        await life.world.until("15:45:20")
        trader.journal.close()
        return waits, over.done()

    assert Life(start="15:31:00").play(story) == (True, True)


def test_a_registration_acknowledged_once_more_is_no_new_feed(tmp_path):
    """Told as back once: an answer that comes twice changes nothing."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(lambda: Fake(taking_all))
        ear = Ear(desk, usual(desk), line)
        async with listening(ear):
            await asyncio.sleep(5)
            line.made[-1].say(ack(*ear.socket.registrations[-1]))
            await asyncio.sleep(5)
        return [up for up, _ in ear.changes]

    assert run(main) == [True]


def test_a_token_that_would_end_in_the_session_is_renewed_before_the_first_question():
    """Good for two hours at 08:50: a new one is asked for first, not when it dies at 10:50."""

    async def story(life):
        trader, day = await life.begin()
        auth = trader.broker.auth
        auth._token, auth._expires = bot.Secret("T" * 40), edge.at("10:50")
        await life.world.until("08:55:00")
        await life.stop(trader, day)

    life = Life(start="08:50:00")
    life.play(story)
    assert life.names()[:2] == [
        "inquire-price",
        "tokenP",
    ]  # the first needs none: its Date sets the clock
