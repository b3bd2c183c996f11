"""What is held is asked and guarded first; a question that hangs holds no other."""

import asyncio

import harness
import pytest
from test_trader import SYMBOL, Life, wishes

import kis_realtime_trading as bot

OTHERS = ("000660", "035420", "005380", "035720", "068270", "051910")
HANGS = {"do": "lose", "how": "hang"}
BUSY = {"do": "error", "code": "EGW00201", "status": 500}


@pytest.mark.parametrize("effect", [HANGS, BUSY], ids=["hang", "busy"])
@pytest.mark.parametrize("environment", ["paper", "real"])
def test_a_restart_sells_what_is_held_while_other_questions_hang(environment, effect):
    """FLATTEN was ordered; the prices of six other stocks never come: sold within half a minute."""

    async def story(life):
        trader, run = await life.begin(wishes("09:20:00", plan=(0.8, 1.2)))
        await life.world.until("09:23:00")
        await harness.kill(run, trader)
        for symbol in OTHERS:
            match = {"path": "inquire-price", "symbol": symbol}
            life.sim.faults.add({"match": match, "effect": effect})
        (life.world.folder / bot.CONTROL_FILE).write_text("level FLATTEN_AND_HALT")
        trader, run = await life.begin(harness.Nothing())
        await asyncio.sleep(30)
        quantity = trader.engine.core.ledger.position(SYMBOL).quantity
        await life.stop(trader, run)
        return quantity

    life = Life(symbols=(*OTHERS, SYMBOL), environment=environment)
    assert life.play(story) == 0


def test_a_silent_stock_is_guarded_by_rest_while_other_prices_hang():
    """In the day as well: its question waits for no stock that is not held."""

    async def story(life):
        trader, run = await life.begin(wishes("09:20:00", plan=(0.8, 1.2)))
        await life.world.until("09:23:00")
        for symbol in OTHERS:
            match = {"path": "inquire-price", "symbol": symbol}
            life.sim.faults.add({"match": match, "effect": HANGS})
            trader.broker.want(bot.Ask("price", symbol))
        await asyncio.sleep(5)
        trader.broker.want(bot.Ask("price", SYMBOL))
        await asyncio.sleep(3)
        asked_at = trader.engine.core.symbols[SYMBOL].quoted.asked_at
        now = life.world.clock.now()
        await life.stop(trader, run)
        return (now - asked_at).total_seconds()

    assert Life(symbols=(*OTHERS, SYMBOL)).play(story) <= 4.0


def test_one_stock_is_asked_once_at_a_time():
    """However often it is wanted: the answer under way is waited for."""

    async def story(life):
        trader, run = await life.begin(harness.Nothing())
        await asyncio.sleep(30)
        slow = {"match": {"path": "inquire-price"}, "effect": {"do": "delay", "seconds": 4}}
        life.sim.faults.add(slow)
        before = life.names().count("inquire-price")
        for _ in range(40):
            trader.broker.want(bot.Ask("price", SYMBOL))
            await asyncio.sleep(0.2)
        asked = life.names().count("inquire-price") - before
        await life.stop(trader, run)
        return asked

    assert Life().play(story) <= 3


def test_a_question_that_the_night_cut_off_unasked_is_asked_the_next_day():
    """Taken from the queue, its task cancelled before its first step: it is not under way for ever."""

    async def story(life):
        trader, run = await life.begin(harness.Nothing())
        await asyncio.sleep(30)
        await life.stop(trader, run)
        broker, ask = trader.broker, bot.Ask("price", SYMBOL)
        broker.want(ask)
        taken = await broker.next_question(("price",), False)
        broker.begin_day(life.world.config.day)
        broker.want(ask)
        again = await asyncio.wait_for(broker.next_question(("price",), False), 5.0)
        return taken, again

    assert Life().play(story) == (bot.Ask("price", SYMBOL),) * 2
