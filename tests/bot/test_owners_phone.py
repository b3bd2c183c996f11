"""The owner cancels and changes orders by phone beside the bot: his own, and ours."""

import harness
import pytest
from test_table_of_days import the_open_one
from test_trader import SYMBOL, Life, wishes

UNFILLED = {
    "match": {"kind": "order", "side": "SELL", "times": 1},
    "effect": {"do": "no_fill", "seconds": 30},
}


def last_price(sim):
    return sim.state()["stocks"][SYMBOL]["last"]


def he_orders_and_changes(sim):
    """Place an order that rests, and change it at once to a price that trades."""
    number = sim.manual_order(SYMBOL, "BUY", 3, last_price(sim) - 2_000)
    sim.manual_change(number, last_price(sim) + 1_000)


def he_orders_and_changes_to_rest(sim):
    """Place an order and change it to a price that trades a minute later, if at all."""
    number = sim.manual_order(SYMBOL, "BUY", 3, last_price(sim) - 2_000)
    sim.manual_change(number, last_price(sim) - 100)


def a_day(*acts, fault=None, offset_ticks=5, settings=None):
    """Buy five at 09:22, let the owner act, sell all at 09:25; return the life and its ledger."""

    async def story(life):
        if fault:
            life.sim.faults.add(fault)
        wish = wishes("09:22:00", plan=(0.8, 1.2), offset_ticks=offset_ticks)
        trader, run = await life.begin(wish)
        for at, act in sorted([*acts, ("09:25:00", None)], key=lambda each: each[0]):
            await life.world.until(at)
            if act:
                act(life.sim)
            else:
                trader.set_level("FLATTEN_AND_HALT", "test")
        await life.world.until("09:32:00")
        await life.stop(trader, run)
        return trader.engine.core

    life = Life(density=60.0, settings=settings or {})
    return life, life.play(story)


@pytest.mark.parametrize("act", [he_orders_and_changes, he_orders_and_changes_to_rest])
def test_an_order_of_his_that_was_changed_before_we_saw_it_is_counted(act):
    """Its fills come under the newest number: no other shares, no other cash, no hold."""
    life, core = a_day(("09:23:00", act))
    assert harness.differences(life.sim, core.ledger) == []
    assert core.ledger.external == {SYMBOL: 3}
    assert "mismatch" not in core.holds
    assert life.alerts().count("external_order") == 1
    assert not {"mismatch", "cash_differs", "error"} & {*life.alerts()}


def test_an_exit_of_which_he_cancelled_some_shares_sells_the_rest():
    """Two of five are cancelled, the rest is changed and filled: another order sells the two."""
    act = ("09:25:02", lambda sim: sim.manual_cancel(the_open_one(sim), 2))
    life, core = a_day(act, fault=UNFILLED)
    assert harness.differences(life.sim, core.ledger) == []
    assert (core.ledger.position(SYMBOL).quantity, core.ledger.open_orders()) == (0, [])
    sold = [o["filled_quantity"] for o in life.sim.books()["orders"] if o["side"] == "SELL"]
    assert sorted(sold)[-2:] == [2, 3]


def test_an_entry_that_he_changed_is_ours_under_its_new_number():
    """What he changed is filled at his price, guarded, and sold like any other."""
    act = ("09:22:20", lambda sim: sim.manual_change(the_open_one(sim), last_price(sim) + 1_000))
    life, core = a_day(act, offset_ticks=-20, settings={"entry_timeout_s": 60.0})
    assert harness.differences(life.sim, core.ledger) == []
    assert (core.ledger.position(SYMBOL).quantity, core.ledger.open_orders()) == (0, [])
    assert core.ledger.today.fills == 2
