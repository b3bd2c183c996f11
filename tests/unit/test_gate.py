"""The gate: each refusal alone, each needed, exits not held back, a mad engine in front of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from mad_engine import DAY, HELD, OURS, STRANGER, Stage, run

import kis_realtime_trading as bot

BUY, SELL = bot.Side.BUY, bot.Side.SELL


def sell(stage, **changes):
    """Return an exit of the 20 shares held."""
    usual = {"symbol": HELD, "side": SELL, "purpose": "exit", "quantity": 20, "price": 50_000}
    return stage.intent(**{**usual, **changes})


def posted(stage):
    intent = stage.write(stage.intent())
    assert stage.refusal(intent) == ""
    return intent


def of_another_text(stage):
    return stage.intent(intent_id=stage.write(stage.intent()).intent_id, quantity=11)


def not_durable(stage):
    return stage.write(sell(stage), durable=False)


def row_lost(stage):
    intent = stage.write(stage.intent(), durable=False)
    stage.gate.expect(intent)
    return intent


def entry_that_sells(stage):
    return stage.write(sell(stage, purpose="entry", quantity=5))


def of_a_stranger(stage):
    return stage.write(stage.intent(symbol=STRANGER))


def too_many(stage):
    return stage.write(stage.intent(quantity=51, price=1_000))


def too_many_more(stage):
    """Of a stock that is held already."""
    return stage.write(stage.intent(symbol=HELD, quantity=51, price=1_000))


def five_million(stage):
    stage.hold(HELD, 5_000_000, 1)
    return stage.write(sell(stage, quantity=5_000_000))


def too_dear(stage):
    return stage.write(stage.intent(quantity=15))


def of_no_known_value(stage):
    return stage.write(stage.intent(kind=bot.OrderKind.MARKET, price=0))


def too_much_in_all(stage):
    for _ in range(2):
        stage.write(stage.intent(quantity=14))
    return stage.write(stage.intent(quantity=14))


def more_than_held(stage):
    return stage.write(sell(stage, quantity=21))


def sold_twice(stage):
    stage.write(sell(stage))
    return stage.write(sell(stage))


def fast(stage, count, pause_s):
    for _ in range(count):
        intent = stage.write(stage.intent(quantity=1))
        assert stage.refusal(intent) == ""
        stage.answer(intent, bot.OrderEvent.NOT_SENT)
        stage.pass_time(pause_s)
    return stage.write(stage.intent(quantity=1))


def four_in_a_second(stage):
    return fast(stage, 3, 0.1)


def thirty_one_in_a_minute(stage):
    return fast(stage, 30, 1.5)


def before_the_open(stage):
    stage.clock.moment = stage.clock.moment.replace(hour=8, minute=59)
    return stage.write(stage.intent())


def entry_in_the_closing_auction(stage):
    stage.clock.moment = stage.clock.moment.replace(hour=15, minute=25)
    return stage.write(stage.intent())


def exit_after_the_close(stage):
    stage.clock.moment = stage.clock.moment.replace(hour=15, minute=30)
    return stage.write(sell(stage))


def against_the_switch(stage):
    stage.ledger.apply(bot.LevelSet(bot.KillLevel.ENTRIES_OFF, "", False, stage.clock.moment))
    return stage.write(stage.intent())


def after_a_suspension(stage):
    """The steady clock stood still, market time went on."""
    intent = stage.write(stage.intent())
    stage.clock.moment += timedelta(minutes=10)
    return intent


def after_a_clock_set_back(stage):
    """Market time was set back, the steady clock went on: as old, and seen by it."""
    intent = stage.write(stage.intent())
    stage.steady_s += 600.0
    return intent


def decided_in_the_future(stage):
    return stage.write(stage.intent(at=stage.clock.moment + timedelta(minutes=1)))


CASES = {
    bot.gate_once: (of_another_text,),
    bot.gate_durable: (not_durable, row_lost),
    bot.gate_side: (entry_that_sells,),
    bot.gate_symbol: (of_a_stranger,),
    bot.gate_quantity: (too_many, too_many_more, five_million),
    bot.gate_value: (too_dear, of_no_known_value),
    bot.gate_total: (too_much_in_all,),
    bot.gate_holding: (more_than_held, sold_twice),
    bot.gate_pace: (four_in_a_second, thirty_one_in_a_minute),
    bot.gate_hours: (before_the_open, entry_in_the_closing_auction, exit_after_the_close),
    bot.gate_level: (against_the_switch,),
    bot.gate_pause: (after_a_suspension, after_a_clock_set_back, decided_in_the_future),
}


@pytest.fixture
def stage(tmp_path):
    """A gate in the morning of a trading day, 20 shares held."""
    made = Stage(tmp_path)
    made.hold(HELD, 20, 50_000)
    yield made
    made.journal.close()


def test_every_check_has_its_cases():
    """No check of the gate without a wrong order that it alone stops."""
    assert set(CASES) == set(bot.GATE["new"])


@pytest.mark.parametrize(
    ("check", "case"), [(check, case) for check, cases in CASES.items() for case in cases]
)
def test_a_wrong_order_is_refused_and_only_this_check_sees_it(stage, monkeypatch, check, case):
    """With the check taken away (a mutant of the table) the same order leaves: each is needed."""
    intent = case(stage)
    assert stage.refusal(intent).startswith("gate: ")
    assert intent.intent_id not in stage.gate.left
    monkeypatch.setitem(bot.GATE, "new", tuple(c for c in bot.GATE["new"] if c is not check))
    assert stage.refusal(intent) == ""


def change_of_a_buy(stage):
    return stage.resting(stage.write(stage.intent()))


def change_that_nobody_waits_for(stage):
    call = stage.resting(stage.write(sell(stage)))
    stage.answer(call.intent, bot.OrderEvent.REFUSED)  # it left, and was answered
    return call


def change_to_another_price(stage):
    return stage.resting(stage.write(sell(stage)))._replace(kind="00", price=1)


def fourth_change_in_a_second(stage):
    for _ in range(3):
        call = stage.resting(stage.write(sell(stage, quantity=1)))
        assert stage.gate.refusal(call) == ""
        stage.pass_time(0.1)
    return stage.resting(stage.write(sell(stage, quantity=1)))


def change_after_the_close(stage):
    call = stage.resting(stage.write(sell(stage)))
    stage.clock.moment = stage.clock.moment.replace(hour=15, minute=30)
    return call


def change_of_another_number(stage):
    return stage.resting(stage.write(sell(stage)))._replace(order_no="0000000999")


def cancel_of_another_number(stage):
    return change_of_another_number(stage)._replace(action="cancel")


def cancel_without_a_number(stage):
    call = stage.resting(stage.write(sell(stage)))
    stage.ledger.orders[call.intent.intent_id].order_no = ""
    return call._replace(action="cancel", order_no="")


def cancel_of_the_owners_order(stage):
    return stage.resting(stage.write(sell(stage, purpose="external")))._replace(action="cancel")


def cancel_of_an_earlier_day(stage):
    """The same number may be an order of the owner today."""
    yesterday = sell(stage, trade_date=DAY - timedelta(days=1))
    return stage.resting(stage.write(yesterday))._replace(action="cancel")


CHANGES = {
    bot.change_sells: (change_of_a_buy,),
    bot.change_waits: (change_that_nobody_waits_for, change_to_another_price),
    bot.gate_pace: (fourth_change_in_a_second,),
    bot.gate_hours: (change_after_the_close,),
    bot.change_ours: (
        change_of_another_number, cancel_of_another_number, cancel_without_a_number,
        cancel_of_the_owners_order, cancel_of_an_earlier_day,
    ),
}  # fmt: skip


def test_every_check_of_changes_has_its_cases():
    """No check of changes without a wrong one that it alone stops."""
    assert set(CHANGES) == {*bot.GATE["change"], *bot.GATE["cancel"]}


@pytest.mark.parametrize(
    ("check", "case"), [(check, case) for check, cases in CHANGES.items() for case in cases]
)
def test_a_wrong_change_is_refused_and_only_this_check_sees_it(stage, monkeypatch, check, case):
    """With the check taken away the same change leaves, or the same cancel."""
    call = case(stage)
    assert stage.gate.refusal(call).startswith("gate: ")
    assert stage.gate.too_fast is (check is bot.gate_pace)
    for action in ("change", "cancel"):
        left = tuple(each for each in bot.GATE[action] if each is not check)
        monkeypatch.setitem(bot.GATE, action, left)
    assert stage.gate.refusal(call) == ""


def test_a_cancel_is_not_held_back(stage):
    """Of a buy, after the close, against the switch, after a burst, long after it was decided."""
    for _ in range(3):
        assert not stage.refusal(stage.write(stage.intent(quantity=1)))
    call = stage.resting(stage.write(stage.intent()))._replace(action="cancel")
    stage.ledger.level = bot.KillLevel.FLATTEN_AND_HALT
    stage.clock.moment = stage.clock.moment.replace(hour=15, minute=40)
    assert stage.gate.refusal(call) == ""


def test_a_change_counts_as_an_order_of_the_pace(stage):
    """Three changes in a second leave no room for an exit; a second later there is."""
    fourth_change_in_a_second(stage)
    intent = stage.write(sell(stage, symbol=OURS, quantity=1))
    stage.hold(OURS, 1, 70_000)
    assert "left within 1 s" in stage.refusal(intent)
    stage.pass_time(1.0)
    assert stage.refusal(intent) == ""


def test_an_order_leaves_once(stage):
    """A second try is refused, also when the ledger still waits for it, others left since, or hours passed."""
    out = stage.write(sell(stage))
    assert stage.refusal(out) == ""
    intents = [out, *(posted(stage) for _ in range(2))]
    for pause_s in (0.0, 100.0, 10_000.0):
        stage.pass_time(pause_s)
        assert [stage.refusal(each) for each in intents] == ["gate: it left already"] * 3


def test_an_intent_of_an_earlier_process_does_not_leave(stage):
    """After a restart its row is there, but this process did not decide it."""
    intent = stage.write(stage.intent())
    stage.gate.decided.clear()
    assert "not durable" in stage.refusal(intent)


@pytest.mark.parametrize("level", bot.KillLevel)
@pytest.mark.parametrize("moment", ["10:00:00", "15:25:00"])
def test_a_stop_is_never_held_back_for_a_doubt(stage, level, moment):
    """Old, against the switch, of a stock that left the settings, beside an unknown sell: it goes."""
    unknown = stage.write(sell(stage))
    stage.answer(unknown, bot.OrderEvent.NO_ANSWER)
    intent = stage.write(sell(stage, kind=bot.OrderKind.MARKET, price=0))
    stage.ledger.level = level
    stage.clock.moment = bot.datetime.fromisoformat(f"{DAY} {moment}+09:00")
    stage.pass_time(200.0)
    assert stage.refusal(intent) == ""


def test_a_sell_that_an_earlier_day_left_open_holds_no_stop_back(stage):
    """Its state may never have become known; at the exchange it is dead since that evening."""
    stage.write(sell(stage, trade_date=DAY - timedelta(days=1)))
    assert stage.refusal(stage.write(sell(stage))) == ""


def test_a_market_entry_is_valued_by_the_highest_price_of_the_day(stage):
    """Without a price the upper limit counts; 10 at 91,000 are within a million, 11 are not.

    With a price that one counts: 11 at 90,000 cannot cost more.
    """
    stage.ledger.instruments[OURS] = bot.Instrument(
        symbol=OURS, market="KOSPI", fund=False, base_price=70_000, upper_limit=91_000,
        lower_limit=49_000, last_price=70_000, blocked="",
    )  # fmt: skip
    assert stage.refusal(stage.write(stage.intent(quantity=11, price=90_000))) == ""
    market = {"kind": bot.OrderKind.MARKET, "price": 0}
    assert stage.refusal(stage.write(stage.intent(quantity=10, **market))) == ""
    assert "won, at most" in stage.refusal(stage.write(stage.intent(quantity=11, **market)))


def test_a_mad_engine_gets_nothing_beyond_the_limits_through():
    """1,000 random calls, counted by a referee of its own; some leave, none is beyond a limit."""
    calls, left, faults = asyncio.run(run(1_000, seed=5))
    assert (calls, faults) == (1_000, {})
    assert left > 10
