"""The trader's parts once more, each over a grid of what may have happened to it before."""

import asyncio

import edge
import pytest
from test_calls_in_a_row import reply
from test_trader import SYMBOL
from test_trader_in_a_row import let_go, parts

import kis_realtime_trading as bot

SESSION = bot.session_of(edge.DAY)
LEVELS = tuple(bot.KillLevel)
PATHS = {
    "cash": "inquire-psbl-order", "price": "inquire-price", "orders": "inquire-daily-ccld",
    "holdings": "inquire-balance",
}  # fmt: skip


@pytest.mark.parametrize("what", PATHS)
@pytest.mark.parametrize("ended", ["answered", "refused", "unreadable", "cut off"])
def test_a_question_that_ended_in_any_way_can_be_asked_again(what, ended):
    """Nothing of it stays under way: it would never be asked again."""

    async def story(life, trader):
        agenda, ask = trader.broker.agenda, bot.Ask(what, SYMBOL if what == "price" else "")
        await trader.broker.auth.token()
        life.wire.script[PATHS[what]] = {
            "answered": [], "refused": [reply(200, rt_cd="1", msg_cd="OPSQ0001", msg1="no")] * 9,
            "unreadable": [bot.HttpReply(200, {}, b"[]")] * 9, "cut off": [30.0],
        }[ended]  # fmt: skip
        trader.broker.want(ask)
        taken = await trader.broker.next_question((what,), False)
        assert taken == ask and list(agenda.under_way) == [ask]
        answer = asyncio.create_task(trader.broker.answer(taken))
        await asyncio.sleep(20)
        if ended == "cut off":
            answer.cancel()
        [seen] = await asyncio.gather(answer, return_exceptions=True)
        trader.broker.want(ask)
        async with asyncio.timeout(60):
            again = await trader.broker.next_question((what,), False)
        return isinstance(seen, bot.Seen), again == ask

    assert parts(story) == (ended == "answered", True)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("line", ["odd", "status", "stop", "reduce", "flatten"])
def test_a_line_of_the_control_file_never_loosens(level, line):
    """What cannot be read lets nothing be bought, and what was tighter stays so."""

    async def story(life, trader):
        trader.set_level(level.name, "before")
        trader._controls.write_text(line)
        trader._read_control()
        return trader.engine.core.ledger.level

    asked = {"stop": bot.KillLevel.ENTRIES_OFF, "flatten": bot.KillLevel.FLATTEN_AND_HALT}
    assert parts(story) is max(level, asked.get(line, bot.KillLevel.REDUCE_ONLY))


@pytest.mark.parametrize("lane", ["call", "orders"])
@pytest.mark.parametrize("busy_s", [0.0, bot.STUCK_S - 1, bot.STUCK_S, 500.0])
@pytest.mark.parametrize("answered_s", [0.0, bot.STUCK_S - 1, bot.STUCK_S])
def test_the_watchdog_is_fed_while_a_question_is_young_or_the_broker_answers(
    lane, busy_s, answered_s
):
    """A question may be many pages, of which some came; a call is one answer."""

    async def story(life, trader):
        await asyncio.sleep(1_000)
        now = asyncio.get_running_loop().time()
        trader._busy_since[lane] = now - busy_s
        trader.broker.rest.answered_s = now - answered_s
        before = trader.watchdog.beats
        trader._each_wall_second()
        return trader.watchdog.beats - before

    since = busy_s if lane == "call" else min(busy_s, answered_s)
    assert parts(story) == int(since < bot.STUCK_S)


@pytest.mark.parametrize("order", ["none", "open", "ends later"])
@pytest.mark.parametrize("stopped", [False, True])
def test_a_day_is_over_after_the_close_and_soon_after_whatever_is_still_open(order, stopped):
    """A minute and a half later without open orders, half an hour with them, at once when stopped."""

    async def story(life, trader):
        if order != "none":
            row, _ = let_go(trader)
            trader.engine.core.ledger.orders[row.ref].status = bot.OrderStatus.WORKING
        day = asyncio.create_task(trader._until_day_over(SESSION))
        await asyncio.sleep(60)
        if stopped:
            trader.stop("test")
        if order == "ends later":
            await asyncio.sleep(600)
            trader.engine.core.ledger.orders[row.ref].status = bot.OrderStatus.FILLED
            trader.engine.core.ledger._look_for_alive()
        async with asyncio.timeout(2_000):
            await day
        return (trader.clock.now() - SESSION.close).total_seconds()

    after_s = parts(story, start="15:29:50")
    begin = {"none": 90, "open": 1_800, "ends later": 650}[order]
    if stopped and order != "ends later":
        begin = 50
    assert begin <= after_s <= begin + 12


def test_what_can_never_be_written_is_not_told_as_if_it_had_been():
    """The journal is wrong: the error goes up, no order and no word of that event leaves."""

    async def story(life, trader):
        row, call = let_go(trader)
        trader.journal.path.unlink()
        trader.journal.path.write_bytes(b"another file")
        urgent = bot.Alert("error", {"what": "x"})
        for actions in ([urgent], [row, call, urgent]):
            with pytest.raises(bot.JournalError):
                trader.bridge.execute(actions)
        return list(trader.bridge.messages), trader.bridge.calls.qsize()

    assert parts(story) == ([], 0)


def test_an_hour_of_market_time_in_a_minute_is_no_jump_of_the_clock():
    """Steady time is compared at the speed of the market's clock."""

    async def story(life, trader):
        doubt = bot.ClockDoubt(trader.clock, trader.broker.rest, True, bot.EPOCH)
        seen = []
        for _ in range(3):
            seen.append(doubt.doubts(trader.clock.now()))
            await asyncio.sleep(60)
        return seen

    assert parts(story, speed=60.0) == [False, False, False]
    assert parts(story) == [False, False, False]
