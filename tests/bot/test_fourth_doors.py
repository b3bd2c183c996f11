"""Rules of the trader that need a second row, a second day or an order alive to show.

Each was found by a mistake planted in a step that nothing else looked at.
"""

import asyncio
import itertools
from datetime import timedelta

import edge
import pytest
from test_trader import Life
from test_trader_in_a_row import let_go, parts, run_for, trader_of
from test_websocket import Ear, Fake, listening, run, taking_all, usual
from websockets.exceptions import ConnectionClosedError

import kis_realtime_trading as bot

LIST = "inquire-daily-ccld"


def test_what_rests_on_rows_may_write_rows_of_its_own():
    """Each row is there once and in its order, and what rests on it is done once."""

    async def story(life, trader):
        bridge, done = trader.bridge, []

        def then():
            done.append("first")
            bridge.write([("note", "second", {})], lambda: done.append("second"))

        bridge.write([("note", "first", {})], then)
        return [row.ref for row in trader.journal.rows("note")], done

    assert parts(story) == (["first", "second"], ["first", "second"])


@pytest.mark.parametrize(("alive", "every_s"), [(True, bot.POLL_OPEN_S), (False, bot.POLL_IDLE_S)])
def test_while_an_order_is_alive_the_list_is_asked_for_more_often(alive, every_s):
    """Its fills are known by the list alone: seconds, not half minutes."""

    async def story(life, trader):
        if alive:
            let_go(trader)
        trader.broker.begin_day(edge.DAY)
        await run_for(trader._questions("orders"), 3 * every_s + 3)
        moments = [each.at_s for each in life.wire.asked if each.name == LIST]
        return [later - at for at, later in itertools.pairwise(moments)]

    assert parts(story)[:3] == pytest.approx([every_s] * 3, abs=1.5)  # a call waits for its turn


def test_an_order_that_begins_to_live_hastens_the_list_from_the_next_question_on():
    """The lane looks before each question whether an order is alive, not once in the morning."""

    async def story(life, trader):
        trader.broker.begin_day(edge.DAY)
        lane = asyncio.create_task(trader._questions("orders"))
        await asyncio.sleep(2 * bot.POLL_IDLE_S + 3)
        quiet = len(life.wire.of(LIST))
        let_go(trader)
        await asyncio.sleep(bot.POLL_IDLE_S + 3 * bot.POLL_OPEN_S)
        lane.cancel()
        moments = [each.at_s for each in life.wire.of(LIST)[-3:]]
        return quiet, [later - at for at, later in itertools.pairwise(moments)]

    quiet, spans = parts(story)
    assert quiet == 3
    assert spans == pytest.approx([bot.POLL_OPEN_S] * 2, abs=1.5)


def test_the_list_of_the_day_is_of_the_day_that_is_traded():
    """A clock that was set to another day changes neither the day nor its orders."""

    async def story(life, trader):
        trader.broker.begin_day(edge.DAY - timedelta(days=1))
        await trader.broker.answer(bot.Ask("orders"))
        [asked] = [each.params for each in life.wire.asked if each.name == LIST]
        return asked["INQR_STRT_DT"], asked["INQR_END_DT"]

    before = f"{edge.DAY - timedelta(days=1):%Y%m%d}"
    assert parts(story) == (before, before)


def test_of_many_old_alerts_the_newest_are_told_again():
    """Fifty at most: what happened last matters most, and still in its order."""

    async def story(life):
        journal = bot.Journal(life.world.folder / "journal.sqlite3")
        journal.verify()
        at = life.world.clock.now() - timedelta(hours=1)
        journal.append([("alert", "error", {"what": f"x{n}"}) for n in range(60)], at)
        journal.close()
        trader = trader_of(life, telegram="1:a")
        trader.bridge.tell_again()
        rows = [letter.row for letter in trader.bridge.telegram._urgent]
        trader.journal.close()
        return rows

    assert Life().play(story) == list(range(11, 61))


class Hangs(Fake):
    """A session whose other end is gone: what is closed here ends by an error, as a real one does."""

    async def _frames(self):
        async for text in super()._frames():
            yield text
        raise ConnectionClosedError(None, None)


def test_a_session_that_we_gave_up_is_told_by_our_own_reason(tmp_path):
    """The owner reads that it was silent, not that somebody closed it."""

    async def main():
        desk = edge.desk(tmp_path)

        async def connect(url):
            return Hangs(taking_all)

        ear = Ear(desk, usual(desk), connect)
        async with listening(ear):
            await asyncio.sleep(bot.SILENCE_S + 5.0)
        return ear.changes

    (up, _), (down, why) = run(main)[:2]
    assert (up, down, why) == (True, False, "silent for 60 s")


def test_each_day_registers_its_own_stocks():
    """A stock that was sold yesterday and is not in the settings takes no place today."""

    async def story(life):
        trader, running = await life.begin()
        trader.broker.socket.registrations = [("H0STCNT0", "999999")]  # of the day before
        await life.world.until("09:25:00")
        stocks = {key for tr_id, key in trader.broker.socket.registrations if tr_id == "H0STCNT0"}
        ours = set(trader.engine.core.symbols)
        trader.stop("the end")
        await running
        trader.journal.close()
        return stocks == ours

    assert Life().play(story)
