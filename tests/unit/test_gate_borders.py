"""The borders of the gate: what just fits leaves, one more does not; by won, share and microsecond."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from mad_engine import DAY, HELD, OURS, STRANGER, Stage
from test_gate import sell

import kis_realtime_trading as bot

TICK = timedelta(microseconds=1)


@pytest.fixture
def stage(tmp_path):
    """A gate in the morning of a trading day, 20 shares held that cost a million."""
    made = Stage(tmp_path)
    made.hold(HELD, 20, 50_000)
    yield made
    made.journal.close()


def moved(stage, clock, step):
    """Set the clock to a moment and some microseconds."""
    stage.clock.moment = datetime.fromisoformat(f"{DAY} {clock}+09:00") + step * TICK


def shares_of_an_entry(stage, step):
    return stage.intent(quantity=50 + step, price=1_000)


def shares_of_an_exit(stage, step):
    stage.hold(HELD, 1_000_100, 1)
    return sell(stage, quantity=1_000_000 + step)


def won_of_an_order(stage, step):
    return stage.intent(quantity=1, price=1_000_000 + step)


def won_in_all(stage, step):
    """A million is held at cost, 1,900,000 rest as buys, 100,000 are left of three million."""
    for _ in range(2):
        stage.write(stage.intent(quantity=10, price=95_000))
    return stage.intent(quantity=1, price=100_000 + step)


def shares_held(stage, step):
    return sell(stage, quantity=20 + step)


def shares_beside_a_sell(stage, step):
    stage.write(sell(stage, quantity=15))
    return sell(stage, quantity=5 + step)


def part_filled(stage, intent, shares, amount):
    """Let an order rest with a part of it filled."""
    event, at, number = bot.OrderEvent, stage.clock.moment, f"{stage.count:010d}"
    stage.ledger.apply(bot.OrderUpdate(intent.intent_id, event.ACCEPTED, at, number, "1"))
    stage.ledger.apply(
        bot.OrderUpdate(
            intent.intent_id, event.FILL, at, number, quantity=shares, amount_krw=amount
        )
    )


def won_beside_a_part_of_a_buy(stage, step):
    """Of ten at 95,000 four are held at cost: the rest counts once, not what is held again."""
    part_filled(stage, stage.write(stage.intent(quantity=10, price=95_000)), 4, 380_000)
    stage.write(stage.intent(quantity=10, price=95_000))
    return stage.intent(quantity=1, price=100_000 + step)


def shares_beside_a_part_of_a_sell(stage, step):
    """Of fifteen five are sold: ten are to sell, and five more of the fifteen left."""
    part_filled(stage, stage.write(sell(stage, quantity=15)), 5, 250_000)
    return sell(stage, quantity=5 + step)


def open_of_an_entry(stage, step):
    moved(stage, "09:00:00", -step)
    return stage.intent()


def end_of_entries(stage, step):
    moved(stage, "15:20:00", step - 1)
    return stage.intent()


def open_of_an_exit(stage, step):
    moved(stage, "09:00:00", -step)
    return sell(stage)


def end_of_exits(stage, step):
    moved(stage, "15:30:00", step - 1)
    return sell(stage)


def age_of_an_entry(stage, step):
    age = timedelta(seconds=stage.gate.limits.max_quote_age_s)
    return stage.intent(at=stage.clock.moment - age - step * TICK)


def entry_ahead_of_the_clock(stage, step):
    return stage.intent(at=stage.clock.moment + timedelta(seconds=2) + step * TICK)


BORDERS = (
    shares_of_an_entry, shares_of_an_exit, won_of_an_order, won_in_all, shares_held,
    shares_beside_a_sell, won_beside_a_part_of_a_buy, shares_beside_a_part_of_a_sell, open_of_an_entry, end_of_entries, open_of_an_exit, end_of_exits,
    age_of_an_entry, entry_ahead_of_the_clock,
)  # fmt: skip


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("step", [-1, 0, 1])
def test_what_just_fits_leaves_and_one_more_does_not(stage, border, step):
    """Up to the border and on it an order leaves, beyond it never; what left is counted once."""
    intent = stage.write(border(stage, step))
    assert (stage.refusal(intent) == "") is (step <= 0)
    assert (intent.intent_id in stage.gate.left) is (step <= 0)


@pytest.mark.parametrize("past_s", [-0.001, 0.0, 0.001])
def test_an_entry_as_old_as_a_quote_may_be_leaves_by_the_steady_clock_too(stage, past_s):
    """Market time stands still; the steady clock decides, to the millisecond."""
    intent = stage.write(stage.intent())
    stage.steady_s += stage.gate.limits.max_quote_age_s + past_s
    assert (stage.refusal(intent) == "") is (past_s <= 0.0)


@pytest.mark.parametrize(("count", "span_s"), [(3, 1.0), (30, 60.0)])
@pytest.mark.parametrize("change", [False, True])
def test_there_is_room_again_when_the_first_is_as_old_as_the_span(stage, count, span_s, change):
    """Three in a second, thirty in a minute, changes among them; what is refused takes no room."""
    for n in range(count):
        intent = stage.write(sell(stage, quantity=1) if change else stage.intent(quantity=1))
        call = stage.resting(intent) if change else bot.OrderCall("new", intent)
        assert stage.gate.refusal(call) == ""
        stage.answer(intent, bot.OrderEvent.REFUSED if change else bot.OrderEvent.NOT_SENT)
        stage.pass_time(0.0 if n % 3 < 2 else 1.0 if count == 30 else 0.0)
    gone = stage.steady_s - min(stage.gate.left.values())
    stage.pass_time(span_s - gone - 0.25)  # a number that floats hold exactly
    for _ in range(2):
        last = stage.write(stage.intent(quantity=1))
        assert f"left within {span_s:.0f} s" in stage.refusal(last)
        assert stage.gate.too_fast
        stage.answer(last, bot.OrderEvent.NOT_SENT)
    stage.pass_time(0.25)
    assert stage.refusal(stage.write(stage.intent(quantity=1))) == ""


def test_the_pace_counts_from_the_moment_when_an_order_left(stage):
    """Three exits whose rows were durable minutes ago leave within a second: the fourth waits."""
    intents = [stage.write(sell(stage, quantity=1)) for _ in range(4)]
    stage.pass_time(100.0)
    assert [stage.refusal(each) == "" for each in intents] == [True, True, True, False]


def test_the_pace_counts_however_many_left_before(stage):
    """The sixty-fourth of a day as well as the fourth: three in a second, then the next one waits."""
    for _ in range(20):
        intents = [stage.write(stage.intent(quantity=1)) for _ in range(4)]
        assert [stage.refusal(each) == "" for each in intents] == [True, True, True, False]
        for each in intents:
            stage.answer(each, bot.OrderEvent.NOT_SENT)
        stage.pass_time(61.0)


@pytest.mark.parametrize("day", ["2026-11-21", "2026-11-22", "2026-12-25"])
def test_nothing_leaves_on_a_day_without_a_session(stage, day):
    """Saturday, Sunday, Christmas, at ten in the morning: not even a stop."""
    stage.clock.moment = datetime.fromisoformat(f"{day} 10:00:00+09:00")
    for intent in (stage.intent(), sell(stage)):
        assert "exchange" in stage.refusal(stage.write(intent))


@pytest.mark.parametrize("doubted", [True, False])
def test_by_a_clock_in_doubt_no_entry_leaves_and_every_exit(stage, doubted):
    """What an entry waited cannot be told then; a stop needs no clock, nor does a cancel."""
    stage.gate.doubts = lambda: doubted
    assert ("in doubt" in stage.refusal(stage.write(stage.intent()))) is doubted
    call = stage.resting(stage.write(stage.intent()))._replace(action="cancel")
    assert [stage.refusal(stage.write(sell(stage))), stage.gate.refusal(call)] == ["", ""]


@pytest.mark.parametrize("shares", [20, 21])
def test_shares_of_the_owner_are_not_ours_to_sell(stage, shares):
    """20 are ours, 5 of the same stock are his: 21 are not ours."""
    stage.ledger.external[HELD] = 5
    assert (stage.refusal(stage.write(sell(stage, quantity=shares))) == "") is (shares == 20)


@pytest.mark.parametrize("action", ["new", "cancel", "change"])
def test_a_call_of_an_order_that_the_ledger_does_not_know_is_refused(stage, action):
    """Refused with a reason, by the same check: an error here would end the lane of calls."""
    call = stage.resting(stage.write(sell(stage)))
    del stage.ledger.orders[call.intent.intent_id]
    assert stage.gate.refusal(call._replace(action=action)).startswith("gate: ")


@pytest.mark.parametrize("level", bot.KillLevel)
def test_an_entry_leaves_at_active_only(stage, level):
    """Each looser level stops it; an exit goes at each of them."""
    entry, exit_ = stage.write(stage.intent()), stage.write(sell(stage))
    stage.ledger.level = level
    assert (stage.refusal(entry) == "") is (level is bot.KillLevel.ACTIVE)
    assert stage.refusal(exit_) == ""


@pytest.mark.parametrize("status", bot.OrderStatus)
def test_a_call_leaves_only_while_the_ledger_waits_for_it(stage, status):
    """A new order while it is being sent, a change while it is pending: no other doubt is a reason."""
    new, changed = stage.write(stage.intent()), stage.resting(stage.write(sell(stage)))
    for intent in (new, changed.intent):
        stage.ledger.orders[intent.intent_id].status = status
    assert (stage.refusal(new) == "") is (status is bot.OrderStatus.SUBMITTING)
    assert (stage.gate.refusal(changed) == "") is (status is bot.OrderStatus.REPLACE_PENDING)


@pytest.mark.parametrize("side", bot.Side)
@pytest.mark.parametrize("purpose", ["entry", "exit", "external", ""])
def test_only_an_entry_buys_and_only_an_exit_sells(stage, side, purpose):
    """And an order of the owner is never ours to send."""
    stage.hold(OURS, 10, 1_000)
    intent = stage.write(stage.intent(side=side, purpose=purpose))
    meant = (purpose, side) in (("entry", bot.Side.BUY), ("exit", bot.Side.SELL))
    assert (stage.refusal(intent) == "") is meant


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("held", [10, 0, None])
@pytest.mark.parametrize("symbol", [OURS, STRANGER])
def test_a_stock_is_ours_by_the_settings_or_by_shares_and_by_nothing_else(
    stage, symbol, held, known
):
    """Not by a price that was once asked, nor by shares that are sold."""
    if held is not None:
        stage.ledger.position(symbol).quantity = held
    if known:
        stage.ledger.instruments[symbol] = bot.Instrument(
            symbol=symbol, market="KOSPI", fund=False, base_price=70_000, upper_limit=91_000,
            lower_limit=49_000, last_price=70_000, blocked="",
        )  # fmt: skip
    refused = stage.refusal(stage.write(stage.intent(symbol=symbol)))
    assert ("none of ours" in refused) is (symbol == STRANGER and not held)


OPEN = sorted(bot.OPEN_STATUSES)


def beside(stage, status, **changes):
    """Put an order of any state beside what the gate is asked about."""
    intent = stage.write(stage.intent(**changes), durable=False)
    stage.ledger.orders[intent.intent_id].status = status
    return intent


@pytest.mark.parametrize("plan", [None, bot.ExitPlan(40_000, 60_000)])
@pytest.mark.parametrize("more", [Fraction(-1, 2), Fraction(0), Fraction(1, 1000), Fraction(1, 2)])
def test_a_part_of_a_won_that_was_paid_counts_as_a_won(stage, more, plan):
    """Shares of a part that was sold cost a fraction: two million more fit beside a million, no more."""
    stage.ledger.positions[HELD].cost = 1_000_000 + more
    stage.ledger.positions[HELD].plan = plan  # guarded or not, the won went in
    beside(stage, bot.OrderStatus.WORKING, quantity=10, price=100_000)
    refused = stage.refusal(stage.write(stage.intent(quantity=10, price=100_000)))
    assert ("won in all" in refused) is (more > 0)


@pytest.mark.parametrize("price", [99_000, 100_000, 101_000])
def test_a_buy_whose_price_is_another_by_now_counts_at_that(stage, price):
    """The owner changed it at his phone: what it may cost is what it says now."""
    other = beside(stage, bot.OrderStatus.WORKING, quantity=10, price=100_000)
    stage.ledger.orders[other.intent_id].price = price
    refused = stage.refusal(stage.write(stage.intent(quantity=10, price=100_000)))
    assert ("won in all" in refused) is (price > 100_000)


@pytest.mark.parametrize("status", bot.OrderStatus)
@pytest.mark.parametrize("moment", ["08:00:00", "15:40:00"])
def test_a_cancel_of_ours_leaves_whatever_its_order_is_and_whenever(stage, status, moment):
    """By its number alone: after a burst, against the switch, by a ledger that waits for nothing of the kind."""
    calls = [stage.resting(stage.write(each)) for each in (stage.intent(), sell(stage))]
    for call in calls:
        order = stage.ledger.orders[call.intent.intent_id]
        order.status, order.pending_kind, order.pending_price = status, "00", 1
    stage.ledger.level = bot.KillLevel.FLATTEN_AND_HALT
    stage.clock.moment = datetime.fromisoformat(f"{DAY} {moment}+09:00")
    for call in calls * 20:
        assert stage.gate.refusal(call._replace(action="cancel", kind="", price=0)) == ""


@pytest.mark.parametrize("symbol", [OURS, HELD])
@pytest.mark.parametrize("purpose", ["entry", "exit", "external"])
@pytest.mark.parametrize("side", bot.Side)
@pytest.mark.parametrize("status", OPEN)
def test_the_total_counts_each_open_buy_of_ours_in_any_stock_and_state_and_no_other(
    stage, status, side, purpose, symbol
):
    """A million is held and another one meant: a buy of 950,000 beside fits in three, a second does not."""
    for _ in range(2):
        beside(stage, status, side=side, purpose=purpose, symbol=symbol, price=95_000)
    counts = side is bot.Side.BUY and purpose != "external"
    last = stage.write(stage.intent(quantity=10, price=100_000))
    assert ("won in all" in stage.refusal(last)) is counts


@pytest.mark.parametrize("symbol", [OURS, HELD])
@pytest.mark.parametrize("purpose", ["entry", "exit", "external"])
@pytest.mark.parametrize("side", bot.Side)
@pytest.mark.parametrize("status", OPEN)
@pytest.mark.parametrize("today", [True, False])
def test_only_a_sell_of_ours_that_surely_lives_holds_another_back(
    stage, today, status, side, purpose, symbol
):
    """20 are held, 5 to sell beside the 20: of the owner, of another day, stock or side, in doubt: no matter."""
    day = DAY if today else DAY - timedelta(days=1)
    beside(
        stage, status, side=side, purpose=purpose, symbol=symbol, trade_date=day, quantity=5,
        price=50_000,
    )  # fmt: skip
    lives = status not in bot.DOUBTFUL and today and side is bot.Side.SELL and symbol == HELD
    refused = stage.refusal(stage.write(sell(stage)))
    assert ("to sell" in refused) is (lives and purpose != "external")


@pytest.mark.parametrize("kind", ["00", "03", "01"])
@pytest.mark.parametrize("price", [0, 49_000, 50_000])
def test_a_change_is_of_the_kind_and_the_price_that_the_ledger_waits_for(stage, kind, price):
    """Both, not one of them: a limit order at no price and a market order at one are others."""
    call = stage.resting(stage.write(sell(stage)))
    order = stage.ledger.orders[call.intent.intent_id]
    order.pending_kind, order.pending_price = "00", 49_000
    refused = stage.gate.refusal(call._replace(kind=kind, price=price))
    assert (refused == "") is ((kind, price) == ("00", 49_000))


def test_a_stock_that_left_the_settings_is_sold_and_not_bought(stage):
    """Held shares of another stock may go, also when ours are none; what is not held is none of ours."""
    assert HELD not in stage.gate.symbols and OURS in stage.gate.symbols
    assert stage.refusal(stage.write(sell(stage))) == ""
    stage.ledger.positions[HELD].quantity = 0
    assert "none of ours" in stage.refusal(stage.write(sell(stage)))


def test_the_ceilings_hold_whatever_the_settings_say(stage, monkeypatch):
    """Settings of ten times the ceilings: the ceilings count, to the won."""
    huge = {"max_order_krw": 10**12, "max_total_krw": 10**13, "max_quantity": 10**9}
    stage.gate.limits = stage.gate.limits.model_copy(update=huge)
    for most, price in ((bot.CEILING_ORDER_KRW, 100_000_000), (bot.CEILING_ORDER_KRW, 100_000_001)):
        intent = stage.write(stage.intent(quantity=1, price=price))
        assert (stage.refusal(intent) == "") is (price <= most)
        stage.answer(intent, bot.OrderEvent.NOT_SENT)
        stage.pass_time(10.0)
    stage.ledger.positions[HELD].cost = bot.CEILING_TOTAL_KRW - 70_000
    for price in (70_000, 70_001):
        intent = stage.write(stage.intent(quantity=1, price=price))
        assert (stage.refusal(intent) == "") is (price == 70_000)
        stage.answer(intent, bot.OrderEvent.NOT_SENT)


def test_each_change_of_one_order_counts(stage):
    """Three of the same order in a second are three: the fourth waits, and so does a new order."""
    call = stage.resting(stage.write(sell(stage, quantity=1)))
    assert [stage.gate.refusal(call) for _ in range(3)] == [""] * 3
    assert "left within 1 s" in stage.gate.refusal(call)
    assert "left within 1 s" in stage.refusal(stage.write(stage.intent(quantity=1)))
    stage.pass_time(1.0)
    assert stage.gate.refusal(call) == ""
