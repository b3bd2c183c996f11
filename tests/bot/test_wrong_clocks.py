"""Clocks that jump, live in another day or another century: nothing is done by their time."""

import asyncio
import json
from datetime import datetime, timedelta

import edge
import harness
import pytest
from test_late_journal import falling
from test_trader import SYMBOL, Dated, DeadAfter, Life, Wrong, wishes
from test_trader_in_a_row import entry_of

import kis_realtime_trading as bot


def wrong_clock(life):
    """Give a life a clock that can be set, and a broker that dates its answers rightly."""
    life.world.clock = wrong = Wrong(life.world.clock)
    life.world.network = dated = Dated(life.network, 0)
    dated.connect = life.network.connect

    def set_off(seconds):
        wrong.off_s, dated.off = seconds, -seconds

    return set_off


HELD = {"settings": {"flat_at": "15:12"}, "density": 40.0}
SET_BY_S = {
    "a second back": -1, "an hour back": -3600, "over midnight back": -10 * 3600, "a day back": -86_400,
    "an hour ahead": 3600, "past flat_at": 5.85 * 3600, "past the close": 6.2 * 3600,
    "over midnight": 15 * 3600, "a day ahead": 24 * 3600, "three days ahead": 72 * 3600,
}  # fmt: skip


def times_of(life):
    """Return the times of all rows that tell something, in their order."""
    kinds = "ledger", "intent", "request", "answer", "alert", "bar", "hold", "decision", "day"
    return [datetime.fromisoformat(row.at) for row in life.rows(*kinds)]


@pytest.mark.parametrize("set_by_s", SET_BY_S.values(), ids=SET_BY_S)
def test_whoever_sets_the_host_s_clock_moves_nothing_inside(set_by_s):
    """The day, its hours, bars, rows and the token go on by steady time, which the broker's Date confirms.

    Entries are held until that answer, a second or two; nothing is sold by time, no day ends.
    """

    async def story(life):
        set_off = wrong_clock(life)
        trader, run = await life.begin(wishes("09:20:00", "09:26:00", plan=(0.8, 1.2)))
        await asyncio.sleep(150)
        token_s, right = trader.broker.auth.left_s, life.world.clock.right
        set_off(set_by_s)
        at_once = trader.doubt.doubts()
        await life.world.until("09:25:00")
        during = [len(life.orders), run.done(), list(trader.engine.core.holds)]
        assert abs((trader.clock.now() - right.now()).total_seconds()) < 1.1
        assert 0 < token_s - trader.broker.auth.left_s < 400
        await life.world.until("09:28:00")
        set_off(0)
        await asyncio.sleep(40)
        trader.set_level("FLATTEN_AND_HALT", "test")
        await asyncio.sleep(20)
        quantity, after = (
            trader.engine.core.ledger.position(SYMBOL).quantity,
            list(trader.engine.core.holds),
        )
        await life.stop(trader, run)
        return at_once, during, after, quantity

    life = Life(**HELD)
    at_once, during, after, quantity = life.play(story)
    assert at_once is (abs(set_by_s) > 2)
    assert (during, after, quantity) == ([1, False, []], [], 0)
    assert [order["side"] for order in life.orders] == ["BUY", "BUY", "SELL"]
    assert times_of(life) == sorted(times_of(life))
    bars = [json.loads(row.body)["bar"]["end"][11:16] for row in life.rows("bar")]
    assert bars == ["09:20", "09:25"]
    told = [row.body for row in life.rows("alert") if "off the broker" in row.body]
    assert len(told) == (abs(set_by_s) > 2)


def test_no_entry_leaves_while_no_answer_has_said_which_clock_is_right():
    """Set an hour ahead, or a machine that slept where steady time does not count it: nobody knows yet."""

    async def story(life):
        set_off = wrong_clock(life)
        trader, run = await life.begin(wishes("09:22:00", "09:26:00", plan=(0.8, 1.2)))
        await life.world.until("09:21:30")
        life.network.answers_s = (50.0, 50.0)
        set_off(3600)
        await life.world.until("09:22:10")
        held = list(trader.engine.core.holds), len(life.orders)
        call = bot.OrderCall("new", entry_of(1, at=trader.clock.now()), "", "", "00", 70_000)
        refused = bot.gate_pause(trader.bridge.gate, call)
        life.network.answers_s = (0.002, 0.02)
        await life.world.until("09:27:00")
        await life.stop(trader, run)
        return held, refused

    life = Life()
    assert life.play(story) == ((["clock"], 0), "the clock is in doubt")
    assert [order["time"][11:16] for order in life.orders] == ["09:26"]


def test_a_machine_that_slept_is_an_hour_on_at_once_and_its_feed_is_news():
    """Steady time counts a sleep, the loop's time does not: told, a disconnect, no entry of before."""

    async def story(life):
        set_off = wrong_clock(life)
        set_off(0)
        trader, run = await life.begin(wishes("09:20:00", plan=(0.8, 1.2)))
        await asyncio.sleep(100)
        before = trader.clock.now()
        life.world.clock.slept_s = 3600  # the simulator's exchange slept as well
        life.world.network.off = -3600
        slept = trader.clock.now() - before
        await asyncio.sleep(1.5)
        held = "clock" in trader.engine.core.holds
        life.world.network.off = 0
        await asyncio.sleep(10)
        suspended = trader.counts["suspended"], "clock" in trader.engine.core.holds
        await life.stop(trader, run)
        return slept, held, suspended

    life = Life()
    slept, held, suspended = life.play(story)
    assert (slept, held, suspended) == (timedelta(hours=1), True, (1, False))
    told = [row.body for row in life.rows("alert") if "stood still" in row.body]
    assert len(told) == 1 and times_of(life) == sorted(times_of(life))


def test_a_right_clock_after_a_sleep_is_believed_within_seconds():
    """A jump that the broker confirms (the machine slept) holds entries until its next answer."""

    async def story(life):
        set_off = wrong_clock(life)
        set_off(-3600)
        life.world.network.off = 0  # the clock was an hour behind steady time, as after a sleep
        trader, run = await life.begin()
        await asyncio.sleep(60)
        set_off(0)
        await asyncio.sleep(0.5)
        held = "clock" in trader.engine.core.holds
        await asyncio.sleep(5)
        after = "clock" in trader.engine.core.holds
        await life.stop(trader, run)
        return held, after

    assert Life(start="10:30:00").play(story) == (True, False)


def test_a_stop_fires_while_the_clock_is_doubted():
    """The broker's Date is twenty minutes ahead: no exit by time, but the price is the price."""

    async def story(life):
        wrong_clock(life)
        trader, run = await life.begin(wishes("09:20:00", plan=(0.97, 1.2)))
        await asyncio.sleep(300)
        life.world.network.off = 1200
        await asyncio.sleep(120)
        quantity, holds = (
            trader.engine.core.ledger.position(SYMBOL).quantity,
            list(trader.engine.core.holds),
        )
        await life.stop(trader, run)
        return quantity, holds

    quantity, holds = Life(density=40.0, bars=falling()).play(story)
    assert quantity == 0
    assert "clock" in holds


@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize("year", [1970, 2000, 2031, 2026])
def test_a_start_in_another_time_is_no_other_day(year, answers):
    """A board without a battery: no day begins before KIS answered, and then that of its Date, entries held.

    Where TLS refuses every certificate in such a year, the wait is told once.
    """

    async def story(life):
        wrong_clock(life)
        life.world.network.inner = DeadAfter(life.network)
        first, run = await life.begin()  # the journal knows this day
        await asyncio.sleep(30)
        await life.stop(first, run)
        right = life.world.clock.right.now()
        life.world.clock = Wrong(life.world.clock.right)
        off_s = (right.replace(year=year, month=3, day=3) - right).total_seconds()
        life.world.clock.off_s, life.world.network.off = off_s, -off_s
        life.world.network.inner.cut = not answers
        trader = life.world.make_trader(wishes("09:20:30", "09:25:00"))
        run = asyncio.create_task(trader.run())
        await asyncio.sleep(90)
        assert not run.done()
        during, holds = len(life.orders), "clock" in trader.engine.core.holds
        life.world.clock.off_s = life.world.network.off = 0
        life.world.network.inner.cut = False
        await asyncio.sleep((edge.at("09:27:00") - life.world.clock.right.now()).total_seconds())
        await life.stop(trader, run)
        return during, holds, trader.engine.core.ledger.day

    life = Life()
    assert life.play(story) == (0, answers, life.sim.config.day)
    assert [order["time"][11:16] for order in life.orders] == ["09:25"]
    waits = [row.body for row in life.rows("alert") if "waiting for that of KIS" in row.body]
    assert len(waits) == (not answers)
    assert {row.ref for row in life.rows("day")} <= {str(life.sim.config.day)}


def test_the_time_is_asked_of_the_broker_and_not_too_often():
    """Ten minutes in 1970 without a Date: an answer each ten seconds, none of them an order or a token."""

    async def story(life):
        life.world.clock = wrong = Wrong(life.world.clock)
        wrong.off_s = -50 * 365 * 86_400
        trader = life.world.make_trader(harness.Nothing())
        run = asyncio.create_task(trader.run())
        await asyncio.sleep(600)
        await life.stop(trader, run)

    life = Life()
    life.play(story)
    assert set(life.names()) == {"inquire-price"}
    assert 30 <= len(life.names()) <= 70


@pytest.mark.parametrize(("ahead_s", "rate"), [(1.0, 1.0), (2.5, 0.5), (90.0, 0.5), (-90.0, 1.0)])
def test_a_clock_that_is_ahead_runs_slower_and_never_back(ahead_s, rate):
    """What is ahead waits at half speed until the time is reached; what is behind steps forward."""

    async def story():
        clock = Wrong(harness.VirtualClock(edge.at("10:00:00")))
        seen = [clock.now()]
        for second in range(200):
            clock.correct(edge.at("10:00:00") + timedelta(seconds=second - ahead_s))
            seen.append(clock.now())
            await asyncio.sleep(1)
            seen.append(clock.now())
        return seen

    seen = harness.run_virtual(story())
    assert seen == sorted(seen)
    assert (seen[2] - seen[1]).total_seconds() == rate
    late_s = (seen[-1] - edge.at("10:00:00")).total_seconds() + ahead_s - 200
    assert 0.0 <= late_s <= bot.CLOCK_TOLERANCE_S


@pytest.mark.parametrize(
    ("host_s", "broker_s", "agreed", "doubted"),
    [(0, 0, False, False), (0, 90, False, True), (90, -90, True, False), (-3600, 3600, True, False),
     (0, 90, True, True), (90, 0, True, False), (3600, -3590, True, True)],
)  # fmt: skip
def test_a_clock_is_good_when_it_agreed_with_both_and_does_with_the_broker(
    host_s, broker_s, agreed, doubted
):
    """How far the host's clock is set off, and the broker's Date from that: told by the next answer."""

    async def story():
        clock, rest = Wrong(harness.VirtualClock(edge.at("10:00:00"))), bot.Rest(None, None, 1.0)
        began, doubt = clock.now(), bot.ClockDoubt(clock, rest, True)
        assert not doubt.doubts()  # nothing was answered yet: nothing is done either
        rest.answered_s = 0.0
        if agreed:
            assert not doubt.doubts()
        await asyncio.sleep(1)
        clock.off_s = host_s
        if agreed:
            assert doubt.doubts() is (host_s != 0)  # which of them is right?
        await asyncio.sleep(1)
        rest.answered_s, rest.clock_offset_s = 2.0, float(broker_s)
        rest.clock_off = abs(broker_s) > bot.CLOCK_OFF_S
        return doubt.doubts(), (clock.now() - began).total_seconds()

    moved = 92.0 if (host_s, broker_s) == (90, 0) else 2.0  # host and broker: it slept, uncounted
    assert harness.run_virtual(story()) == (doubted, moved)


def test_a_jump_is_what_steady_time_does_not_show():
    """Two seconds of tolerance; a clock of a rehearsal, which runs faster, is never doubted."""

    async def story():
        rest, seen = bot.Rest(None, None, 1.0), []
        rest.answered_s = -1.0
        for jump_s, real in (
            (0.0, True),
            (1.9, True),
            (-1.9, True),
            (2.1, True),
            (-2.1, True),
            (3600, False),
        ):
            clock = Wrong(harness.VirtualClock(edge.at("10:00:00")))
            doubt = bot.ClockDoubt(clock, rest, real)
            assert not doubt.doubts()
            clock.off_s = jump_s
            seen.append(doubt.doubts())
        clock.off_s, doubt = 0.0, bot.ClockDoubt(clock, rest, True)
        for clock.off_s in (0.0, 1.5, 3.0, 4.5):  # drift
            seen.append(doubt.doubts())
        return seen

    assert harness.run_virtual(story()) == [
        False, False, False, True, True, False, *[False] * 4
    ]  # fmt: skip
