"""Clocks that jump, live in another day or another century: nothing is done by their time."""

import asyncio
from datetime import timedelta

import harness
import pytest
from test_late_journal import falling
from test_trader import SYMBOL, Dated, Life, Wrong, wishes

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


@pytest.mark.parametrize("hours", [5.85, 6.2, 24.0, 25.0, 72.0])
def test_a_clock_that_jumps_ahead_sells_nothing_by_time_and_ends_no_day(hours):
    """+5 h 51 min is after `flat_at`, +25 h another day: shares stay, the day goes on when right."""

    async def story(life):
        set_off = wrong_clock(life)
        trader, run = await life.begin(wishes("09:20:00", plan=(0.8, 1.2)))
        await asyncio.sleep(100)
        set_off(hours * 3600)
        await asyncio.sleep(120)
        during = len(life.orders), run.done(), list(trader.engine.core.holds)
        days = trader.engine.core.ledger.day
        set_off(0)
        await asyncio.sleep(40)
        after = list(trader.engine.core.holds)
        trader.set_level("FLATTEN_AND_HALT", "test")
        await asyncio.sleep(20)
        quantity = trader.engine.core.ledger.position(SYMBOL).quantity
        await life.stop(trader, run)
        return during, days, after, quantity

    life = Life(**HELD)
    (orders, done, held), day, after, quantity = life.play(story)
    assert (orders, done, "clock" in held) == (1, False, True)
    assert (day, "clock" in after, quantity) == (life.sim.config.day, False, 0)
    told = [row.body for row in life.rows("alert") if "off the broker" in row.body]
    assert len(told) == 1


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
    """Twenty minutes ahead: no exit by time, but the price is the price."""

    async def story(life):
        set_off = wrong_clock(life)
        trader, run = await life.begin(wishes("09:20:00", plan=(0.97, 1.2)))
        await asyncio.sleep(300)
        set_off(1200)
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


@pytest.mark.parametrize("year", [1970, 2000, 2031, 2026])
def test_a_start_in_another_time_waits_for_the_right_one_and_says_so_once(year):
    """A board without a battery: no exit, no row of another day, trading once the clock is set."""

    async def story(life):
        set_off = wrong_clock(life)
        first, run = await life.begin()  # the journal knows this day
        await asyncio.sleep(30)
        await life.stop(first, run)
        right = life.world.clock.now()
        set_off((right.replace(year=year, month=3, day=3) - right).total_seconds())
        trader = life.world.make_trader(wishes("09:25:00"))
        run = asyncio.create_task(trader.run())
        await asyncio.sleep(90)
        assert not run.done()
        during, before = trader.engine.core.ledger.day, len(life.orders)
        set_off(0)
        await life.world.until("09:27:00")
        await life.stop(trader, run)
        return during, before

    life = Life()
    during, before = life.play(story)
    assert (during, before, len(life.orders)) == (life.sim.config.day, 0, 1)
    assert sum("waiting for the right time" in row.body for row in life.rows("alert")) == 1


def test_the_right_time_is_asked_of_the_broker_and_not_too_often():
    """Ten minutes in 1970: an answer each ten seconds, none of them an order or a token."""

    async def story(life):
        set_off = wrong_clock(life)
        set_off(-50 * 365 * 86_400)
        trader = life.world.make_trader(harness.Nothing())
        run = asyncio.create_task(trader.run())
        await asyncio.sleep(600)
        await life.stop(trader, run)

    life = Life()
    life.play(story)
    assert set(life.names()) == {"inquire-price"}
    assert 30 <= len(life.names()) <= 70


def test_a_jump_is_what_steady_time_does_not_show():
    """Two seconds of tolerance; a clock of a rehearsal, which runs faster, is never doubted."""

    async def story():
        clock = harness.VirtualClock(bot.datetime(2026, 11, 20, 10, tzinfo=bot.KST))
        rest = bot.Rest(None, None, 1.0)
        moment = clock.now()
        seen = []
        for jump in (0.0, 1.9, -1.9, 2.1, -2.1):
            doubt = bot.ClockDoubt(clock, rest, True, bot.EPOCH)
            seen.append((doubt.doubts(moment), doubt.doubts(moment + timedelta(seconds=jump))))
        rehearsal = bot.ClockDoubt(clock, rest, False, bot.EPOCH)
        rehearsal.doubts(moment)
        return [each for _, each in seen], rehearsal.doubts(moment + timedelta(hours=1))

    assert harness.run_virtual(story()) == ([False, False, False, True, True], False)
