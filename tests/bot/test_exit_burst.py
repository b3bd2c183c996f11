"""The gate's own count before an exit, in the whole bot."""

from test_trader import SYMBOL, Life, wishes

import kis_realtime_trading as bot


def test_a_stop_behind_a_burst_leaves_when_the_second_is_over():
    """Three orders left just now: the fourth, a stop, waits a second, is told once, and is filled."""

    async def story(life):
        trader, run = await life.begin(wishes("09:19:30", plan=(0.9, 1.5)))
        core, gate = trader.engine.core, trader.bridge.gate
        while not core.ledger.position(SYMBOL).quantity:
            await life.world.clock.sleep(0.1)
        began = gate.steady() + 2.0  # the turn of a call may take a second
        gate.left |= dict.fromkeys("abc", began)
        trader.set_level("FLATTEN_AND_HALT", "the owner")
        while core.ledger.position(SYMBOL).quantity:
            await life.world.clock.sleep(0.1)
        sells = [o for o in core.ledger.orders.values() if o.intent.purpose == "exit"]
        left = [gate.left[o.intent.intent_id] - began for o in sells if o.order_no]
        await life.stop(trader, run)
        return [str(order.status) for order in sells], left

    life = Life(environment="real", density=60.0)
    statuses, [left] = life.play(story)
    assert set(statuses[:-1]) == {str(bot.OrderStatus.NOT_SENT)}
    assert statuses[-1] == str(bot.OrderStatus.FILLED)
    assert 1.0 <= left < 3.0
    refused = [row for row in life.rows("alert") if row.ref == "order_refused"]
    assert len(refused) == 1
    assert "orders left within 1 s" in refused[0].body


def test_a_cancel_of_a_number_that_is_not_ours_never_leaves():
    """A mad engine has another order of the account cancelled: the gate keeps the call here."""

    async def story(life):
        trader, run = await life.begin(wishes("09:19:30", plan=(0.9, 1.5)))
        core = trader.engine.core
        while not core.ledger.position(SYMBOL).quantity:
            await life.world.clock.sleep(0.1)
        [order] = core.ledger.orders.values()
        for action in ("cancel", "change"):
            call = bot.OrderCall(action, order.intent, "0000099999", order.branch, "00", 1)
            trader.bridge.execute([call])
        await trader.bridge.calls.join()
        await life.stop(trader, run)

    life = Life(environment="real", density=60.0)
    life.play(story)
    assert "order-rvsecncl" not in life.names()
    answers = [bot.json.loads(row.body)["answer"] for row in life.rows("answer")][-2:]
    assert [each["outcome"] for each in answers] == ["not sent"] * 2
    assert "none of our orders" in answers[0]["text"] and "never changed" in answers[1]["text"]
