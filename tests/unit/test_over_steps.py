"""Rules of the engine that show only after several steps: a second doubt, a slow answer, an old clock.

Each test walks the steps after which a mistake would matter: what an earlier step left over, in which
order two lines came, when a question was asked that was answered later.
"""

from dataclasses import replace
from datetime import timedelta

import pytest
from test_engine import (
    BUY,
    OTHER,
    SELL,
    SYMBOL,
    Bench,
    K,
    S,
    alerts,
    asks,
    calls,
    instrument,
    look_again,
    orders_of,
    paced_entry,
    records,
    restarted,
    wish,
)

import kis_realtime_trading as bot

SLOW = (0, 4, 12)  # seconds that an answer takes


def late(bench, value, seconds, back=0):
    """Feed an answer asked `back` seconds ago that comes so many seconds later."""
    asked = bench.now - timedelta(seconds=back)
    bench.now += timedelta(seconds=seconds)
    return bench.feed(bot.TimeEvent(bench.now)) + bench.seen(value, asked)


def codes(actions):
    """Return the codes of refusals."""
    return [row.data["code"] for row in records(actions, "refusal")]


def far_plan():
    """Return a plan that no price of these tests reaches."""
    return bot.ExitPlan(50_000, 90_000)


def balance(*holdings, cash=10_000_000):
    """Return a balance of (symbol, shares, sellable)."""
    lines = tuple(bot.Holding(s, q, free, bot.Decimal(70_000)) for s, q, free in holdings)
    return bot.Balance(cash, 0, cash, lines)


def awake(bench, price=70_000, held=10):
    """Return a bench that was restarted at 11:00 and knows all that it needs at that price."""
    second = restarted(bench)
    second.command("restarted")
    second.command("day", session=bot.session_of(second.now.date()))
    for symbol in (SYMBOL, OTHER):
        second.seen(instrument(symbol, price))
    second.list_of(*second.rows())
    second.balance((SYMBOL, held))
    second.seen(bot.Cash(10_000_000))
    second.command("feed up")
    second.list_of(*second.rows())
    return second


def resting(bench, **more):
    """Have an entry accepted that rests; return the order."""
    [call] = calls(bench.want(wish(f"{bench.now:%H%M%S}", **more)), "new")
    bench.answer(call)
    return bench.ledger.orders[call.intent.intent_id]


# --- a fact is as old as its question ---


@pytest.mark.parametrize("seconds", SLOW)
def test_every_answer_counts_from_its_question(seconds):
    """Cash, balance, list and price know when they were asked, however long they took."""
    bench = Bench().start()
    core, asked = bench.engine.core, bench.now
    late(bench, bot.Cash(9_000_000), seconds)
    assert core.cash.asked_at == asked
    asked = bench.now
    late(bench, balance(), seconds)
    assert core.holdings.asked_at == asked
    asked = bench.now
    late(bench, bot.OrderList(()), seconds)
    assert core.list_asked_at == asked
    asked = bench.now
    late(bench, instrument(price=70_100), seconds)
    assert bench.state.quoted.asked_at == asked


@pytest.mark.parametrize("seconds", SLOW)
@pytest.mark.parametrize("back", [-1, 3])
def test_cash_asked_around_an_order_does_not_pay_it_twice(seconds, back):
    """Asked before the order, or a moment after it: the broker may not show it yet."""
    bench = Bench().start()
    resting(bench, plan=far_plan())
    bench.fill(orders_of(bench)[0])
    decided = orders_of(bench)[0].intent
    bench.now = max(bench.now, decided.at) + timedelta(seconds=seconds)
    bench.feed(bot.TimeEvent(bench.now))
    bench.seen(bot.Cash(1_000_000), decided.at + timedelta(seconds=back))
    free = bench.engine.entries._free_cash()
    assert free == 1_000_000 - decided.reserve_krw


@pytest.mark.parametrize("seconds", SLOW)
def test_a_price_that_was_long_in_coming_is_no_fresh_one(seconds):
    """An entry needs a price asked within max_quote_age_s."""
    bench = Bench().start()
    bench.at("10:20:00")
    late(bench, instrument(price=70_100), seconds)
    bench.trade(70_000)
    facts = bench.engine.entries._facts(
        bench.state, bench.engine.entries._intent_of(bench.state, wish())
    )
    assert facts.quote_age_s == seconds
    stale = bot.rule_collar(facts, bench.engine.entries._intent_of(bench.state, wish()))
    assert (stale is not None) == (seconds > 5)


@pytest.mark.parametrize("seconds", SLOW)
def test_a_lone_row_of_a_slow_list_is_bound_no_earlier(seconds):
    """Notices of an equal order had no time yet when the list was asked."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()), "new")
    bench.answer(call, bot.Outcome.UNKNOWN)
    order = orders_of(bench)[0]
    bench.wait(3)
    row = bench.row(order, number="0000000055")
    late(bench, bot.OrderList((row,)), seconds)
    assert order.status is S.UNKNOWN
    bench.wait(6)
    late(bench, bot.OrderList((row,)), seconds)
    assert (order.status, order.order_no) == (S.WORKING, "0000000055")


@pytest.mark.parametrize("seconds", SLOW)
def test_a_slow_list_of_before_a_cancel_does_not_end_it(seconds):
    """The row of an order whose cancel got no answer says nothing before five seconds."""
    bench = Bench(entry_timeout_s=10).start()
    resting(bench)
    order = orders_of(bench)[0]
    [call] = calls(bench.wait(30), "cancel")
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.wait(3)
    late(bench, bot.OrderList((bench.row(order),)), seconds)
    assert order.status is S.CANCEL_UNKNOWN
    bench.wait(6)
    late(bench, bot.OrderList((bench.row(order),)), seconds)
    assert order.status is not S.CANCEL_UNKNOWN


@pytest.mark.parametrize("seconds", SLOW)
def test_cash_of_before_the_end_of_a_call_is_no_witness_of_absence(seconds):
    """While the call was under way the order may have been on its way as well."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()), "new")
    bench.wait(10)
    bench.answer(call, bot.Outcome.UNKNOWN)
    late(bench, bot.Cash(10_000_000), seconds)
    searches = bench.engine.core.reconciler.searches
    assert not searches or searches[call.intent.intent_id].witnesses == 0
    bench.wait(6)
    late(bench, bot.Cash(10_000_000), seconds)
    assert searches[call.intent.intent_id].witnesses == 1


@pytest.mark.parametrize("seconds", SLOW)
def test_a_slow_balance_confirms_no_notice_of_a_moment_ago(seconds):
    """The list had no fifteen seconds to show the fill when the balance was asked."""
    bench = Bench(paper=True).start()
    resting(bench)
    order = orders_of(bench)[0]
    bench.list_of()  # the paper list shows nothing
    bench.feed(bot.Notice(bot.NoticeKind.FILL, "0", order.order_no, "", SYMBOL, BUY, 4, 70_000, ""))
    bench.wait(12)
    late(bench, balance((SYMBOL, 4, 4)), seconds)
    assert order.filled_quantity == 0
    bench.wait(4)
    late(bench, balance((SYMBOL, 4, 4)), seconds)
    assert order.filled_quantity == 4


@pytest.mark.parametrize("seconds", SLOW)
def test_a_slow_balance_of_a_moving_account_is_not_compared(seconds):
    """Three minutes of rest are counted to the question."""
    bench = Bench().start()
    bench.hold_shares(far_plan())
    bench.wait(170)
    late(bench, balance(), seconds)
    assert "mismatch" not in bench.engine.core.holds
    bench.wait(12)
    late(bench, balance(), seconds)
    assert "mismatch" in bench.engine.core.holds


@pytest.mark.parametrize("seconds", SLOW)
def test_a_slow_list_of_before_the_gap_does_not_end_its_hold(seconds):
    """Asked while the feed was down, it may miss what happened until it came back."""
    bench = Bench().start()
    bench.command("feed down")
    bench.wait(5)
    bench.command("feed up")
    late(bench, bot.OrderList(()), seconds, back=1)
    assert "orders" in bench.engine.core.holds
    late(bench, bot.OrderList(()), seconds)
    assert "orders" not in bench.engine.core.holds


@pytest.mark.parametrize("seconds", SLOW)
def test_after_a_refused_exit_only_a_newer_balance_says_how_many_shares_are_free(seconds):
    """The balance of before the refusal shows shares that are not ours to leave out."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900), "new")
    asked = bench.now
    bench.wait(1)
    bench.answer(call, bot.Outcome.REFUSED, code="APBK0400")
    bench.now += timedelta(seconds=seconds)
    bench.seen(balance((SYMBOL, 10, 3)), asked)
    [again] = calls(bench.wait(70), "new")[:1]
    assert again.intent.quantity == 10
    bench.answer(again, bot.Outcome.REFUSED, code="APBK0400")
    bench.wait(1)
    late(bench, balance((SYMBOL, 10, 3)), seconds)
    [third] = calls(bench.wait(90), "new")[:1]
    assert third.intent.quantity == 3


def test_two_lists_of_one_moment_do_not_end_the_orders_of_a_day():
    """A minute lies between them, and a quarter of an hour behind the close."""
    bench = Bench(flat_at=None, entry_timeout_s=3600, last_entry="15:15:00").start("14:50:00")
    order, close = resting(bench), bench.engine.core.session.close
    ends = []
    for seconds in (910, 940, 971):  # behind the close; nothing was asked between
        bench.now = close + timedelta(seconds=seconds)
        bench.list_of(bench.row(order))
        bench.wait(1)
        ends.append(order.status is S.EXPIRED)
    assert ends == [False, False, True]


# --- a second time ---


def test_a_second_doubt_of_an_order_is_looked_for_like_the_first():
    """Each doubt has its own growing looks."""
    bench = Bench(entry_timeout_s=10).start()
    order = resting(bench)
    for _ in range(2):
        [call] = calls(bench.wait(130), "cancel")[:1]
        bench.answer(call, bot.Outcome.UNKNOWN)
        assert len(asks(bench.wait(8), "orders")) >= 3
        bench.wait(10)
        bench.list_of(bench.row(order))
        assert order.status is not S.CANCEL_UNKNOWN


def test_one_call_at_a_time_for_an_order_although_the_list_overtook_it():
    """The list shows the changed order before the call ended: the next change waits for that end."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900), "new")
    bench.answer(call)
    exit_order = orders_of(bench)[-1]
    [change] = calls(bench.wait(6), "change")
    old = bench.row(exit_order, cancelled_quantity=10)
    new = replace(
        old, order_no="0000000444", original_no=exit_order.order_no, cancelled_quantity=0,
        price=change.price, kind=change.kind,
    )  # fmt: skip
    bench.list_of(bench.row(orders_of(bench)[0], 10), old, new)
    assert exit_order.order_no == "0000000444"
    assert calls(bench.wait(20)) == []
    bench.answer(change, number="0000000444")
    assert [each.action for each in calls(bench.wait(20))] == ["change"]


def test_an_entry_that_was_taken_back_in_part_is_as_old_as_its_decision():
    """A change of its status does not make a resting entry young again."""
    bench = Bench(entry_timeout_s=60).start()
    order = resting(bench)
    began = order.intent.at
    bench.now = began + timedelta(seconds=50)
    bench.feed(bot.TimeEvent(bench.now))
    bench.list_of(bench.row(order, 4))
    assert order.status is S.PARTIAL
    [call] = calls(bench.wait(11), "cancel")
    assert call.intent is order.intent


def test_a_trailing_stop_moves_at_prices_above_what_all_shares_cost():
    """A later and cheaper part of a fill counts with the first: 70,000 is no gain, 70,100 is one."""
    bench = Bench().start()
    order = resting(bench, plan=bot.ExitPlan(60_000, 0, 0.02))
    bench.list_of(bench.row(order, 5, 71_000))
    bench.list_of(replace(bench.row(order, 10), filled_amount_krw=355_000 + 345_000))
    for price, stop in ((69_900, 60_000), (70_000, 60_000), (70_100, 68_600), (69_900, 68_600)):
        bench.trade(price)
        assert bench.ledger.position(SYMBOL).plan.stop_price == stop


def test_a_trailing_stop_does_not_fall_after_a_restart():
    """The high is not known any more; the stop that it reached is."""
    bench = Bench().start()
    bench.hold_shares(bot.ExitPlan(60_000, 0, 0.01))
    for price in (71_000, 72_000):
        bench.trade(price)
    reached = bench.ledger.position(SYMBOL).plan.stop_price
    assert reached > 71_000
    second = awake(bench, 71_600)
    second.trade(71_600)
    assert second.ledger.position(SYMBOL).plan.stop_price == reached
    second.trade(73_000)
    assert second.ledger.position(SYMBOL).plan.stop_price > reached


def test_a_restart_below_the_cost_moves_no_trailing_stop():
    """The first price after it is no high: the wide stop stays until the shares gain."""
    bench = Bench().start()
    bench.hold_shares(bot.ExitPlan(60_000, 0, 0.01))
    bench.trade(69_500)
    second = awake(bench, 69_500)
    second.trade(69_500)
    assert second.ledger.position(SYMBOL).plan.stop_price == 60_000
    second.trade(70_500)
    assert second.ledger.position(SYMBOL).plan.stop_price == 69_700


def test_a_wish_that_was_given_up_is_not_asked_again():
    """No price came in time: its signal is over, also when the strategy says it again."""
    bench = Bench().start()
    bench.strategy.wishes = [wish("gone")]
    bench.trade(70_000)
    bench.at("10:05:00")
    bench.trade(70_000)
    bench.wait(12)
    assert bench.state.waiting is None
    bench.trade(70_000)
    assert asks(bench.want(wish("gone")), "price") == []
    assert asks(bench.want(wish("new")), "price") != []


def test_an_exit_that_was_accepted_forgets_its_refusals():
    """The next refusal begins with the short pause again."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900), "new")
    for _ in range(3):
        bench.answer(call, bot.Outcome.REFUSED, code="APBK0919")
        [call] = calls(bench.wait(100), "new")[:1]
    assert bench.state.exit.refusals == 3
    bench.answer(call)
    assert bench.state.exit.refusals == 0


def test_a_third_exit_needs_a_balance_newer_than_the_second():
    """Shares that were shown free once were free of the first order only."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900), "new")
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.wait(12)
    bench.balance((SYMBOL, 10, 10))
    [again] = calls(bench.wait(2), "new")
    bench.answer(again, bot.Outcome.UNKNOWN)
    assert calls(bench.wait(60), "new") == []
    bench.balance((SYMBOL, 10, 10))
    assert len(calls(bench.wait(10), "new")) == 1


def test_an_exit_stays_as_long_as_its_entry_may_still_fill():
    """Sold out, but the cancel of the entry was refused: what it still buys is sold at once."""
    bench = Bench(exit_step_s=5).start()
    entry = resting(bench)
    bench.list_of(bench.row(entry, 4))
    actions = bench.trade(68_900)
    [cancel], [sell] = calls(actions, "cancel"), calls(actions, "new")
    bench.answer(sell)
    bench.answer(cancel, bot.Outcome.REFUSED, code="APBK0344")
    sold = bench.row(orders_of(bench)[-1], 4, 68_900)
    bench.list_of(bench.row(entry, 4), sold)
    assert bench.ledger.position(SYMBOL).quantity == 0
    assert bench.state.exit is not None
    actions = bench.list_of(bench.row(entry, 10), sold) + bench.wait(70)
    [call] = calls(actions, "new")[:1]
    assert (call.intent.side, call.intent.quantity) == (SELL, 6)


# --- what counts towards a limit ---


def test_orders_of_the_last_minute_are_counted_also_late_in_the_day():
    """One old order does not hide the recent ones."""
    bench = Bench(limits={"max_orders_per_minute": 2}).start()
    bench.hold_shares(far_plan())
    bench.at("11:00:00")
    state, desk = bench.engine.core.symbols[OTHER], bench.engine.entries
    bench.trade(70_000, OTHER)
    bench.seen(instrument(OTHER))
    for n in range(3):
        desk.consider(state, wish(f"b{n}", OTHER, quantity=1))
        actions = bench.feed(bot.TimeEvent(bench.now))
        for call in calls(actions):
            bench.answer(call)
    assert bench.engine.core.sent_since(bench.now - timedelta(minutes=1)) == 2
    assert codes(actions) == ["RATE"]


def test_the_owner_s_shares_count_towards_the_limit_of_a_stock():
    """Forty of his and ten of ours are fifty."""
    bench = Bench().start(holdings=[(SYMBOL, 50)])
    bench.command("release", text="journal")
    assert "SYMBOL_VALUE" in codes(bench.want(wish(quantity=10)))


def test_a_market_buy_counts_at_the_highest_price_of_the_day():
    """Nobody knows what it will cost: 20 at 91,000 leave no room for 28 at 70,000 in 3 million."""
    limits = {"max_symbol_krw": 3_000_000, "max_orders_per_minute": 30}
    bench = Bench(limits=limits).start()
    order = resting(bench, quantity=20)
    order.price = 0  # as a market order has none
    assert bench.engine.entries._worth()[SYMBOL] == 20 * 91_000


def test_lost_rounds_of_several_stocks_pause_all():
    """Two losses in a row, each in another stock."""
    bench = Bench(
        limits={"losses_in_a_row_all": 2, "losses_in_a_row": 5, "max_daily_loss_krw": 900_000}
    )
    bench.start()
    for symbol in (SYMBOL, OTHER):
        bench.hold_shares(bot.ExitPlan(69_000, 90_000), symbol=symbol)
        [call] = calls(bench.trade(68_900, symbol), "new")
        bench.answer(call)
        order = bench.ledger.orders[call.intent.intent_id]
        bench.fill(order, price=68_900)
        assert bench.ledger.position(symbol).quantity == 0
    for symbol in (SYMBOL, OTHER):
        assert bot.paused_until(bench.engine.core, symbol) is not None


def test_the_fall_of_a_day_is_measured_from_its_best_result():
    """From +20,000 to -10,000 are 30,000."""
    bench = Bench(limits={"max_drawdown_krw": 25_000}).start()
    bench.ledger.today.peak_krw = 20_000
    bench.ledger.today.gross -= 10_000
    assert "DRAWDOWN" in codes(bench.want(wish()))


def test_a_loss_of_exactly_the_limit_tightens_the_switch():
    """The limit is the first loss that is too much."""
    bench = Bench().start()
    bench.ledger.today.gross -= 49_999
    bench.wait(2)
    assert bench.ledger.level is bot.KillLevel.ACTIVE
    bench.ledger.today.gross -= 1
    bench.wait(2)
    assert bench.ledger.level is bot.KillLevel.REDUCE_ONLY


def test_a_loss_tightens_a_switch_that_stands_lower():
    """Entries were off already: the loss takes the resting ones back as well."""
    bench = Bench().start()
    order = resting(bench)
    bench.command("level", level=bot.KillLevel.ENTRIES_OFF, text="owner")
    bench.ledger.today.gross -= 60_000
    actions = bench.wait(2)
    assert bench.ledger.level is bot.KillLevel.REDUCE_ONLY
    assert [call.intent for call in calls(actions, "cancel")] == [order.intent]


def test_a_rule_does_not_loosen_the_owner_s_switch():
    """Five refused entries turn entries off; a switch that stands higher stays."""
    bench = Bench().start()
    bench.command("level", level=bot.KillLevel.REDUCE_ONLY, text="owner")
    bench.engine.core.set_level(bot.KillLevel.ENTRIES_OFF, "a rule", by_rule=True)
    assert bench.ledger.level is bot.KillLevel.REDUCE_ONLY


# --- prices, old and new ---


def test_a_rest_price_older_than_the_last_trade_is_not_the_newest():
    """In a silence the trade counts until REST says something later."""
    bench = Bench().start()
    bench.hold_shares(far_plan())
    bench.seen(instrument(price=60_000))
    bench.wait(20)
    bench.trade(70_000)
    bench.wait(25)
    assert bench.engine.core.fresh_price(SYMBOL) == 70_000
    bench.seen(instrument(price=66_000))
    assert bench.engine.core.fresh_price(SYMBOL) == 66_000


def test_the_loss_of_a_day_is_measured_at_the_newest_price():
    """The feed is silent at 70,000; REST shows 64,000: 60,000 are lost."""
    bench = Bench(limits={"max_daily_loss_krw": 500_000}).start()
    bench.hold_shares(far_plan())
    before = bench.engine.core.day_result_krw()
    bench.wait(30)
    bench.seen(instrument(price=64_000))
    assert bench.engine.core.day_result_krw() == before - 60_000


def test_an_exit_is_priced_by_the_trade_that_fired_it_when_the_quote_is_older():
    """The book of a minute ago has a bid far above."""
    bench = Bench().start()
    bench.hold_shares(bot.ExitPlan(69_000, 90_000))
    bench.quote(70_000)
    bench.wait(60)
    [call] = calls(bench.trade(66_000), "new")
    assert call.price <= 66_000


def test_a_trade_that_comes_late_fires_nothing_but_a_question():
    """Its price is of another moment."""
    bench = Bench().start()
    bench.hold_shares()
    actions = bench.trade(68_900, ts=bench.now - timedelta(seconds=60))
    assert calls(actions) == []
    assert bot.Ask("price", SYMBOL) in asks(actions)


def test_nothing_is_sold_by_a_time_that_may_be_wrong():
    """End of the day by a doubted clock: waits for the clock, then sells."""
    bench = Bench().start()
    bench.hold_shares(far_plan())
    bench.at("15:11:00")
    bench.command("hold", text="clock")
    bench.wait(120)
    assert bench.state.exit is None
    bench.command("release", text="clock")
    bench.wait(2)
    assert bench.state.exit.reason == "end of day"


# --- holds, the owner's orders, witnesses ---


def test_the_end_of_a_lasting_hold_is_kept():
    """A restart does not bring back what ended."""
    bench = Bench().start()
    bench.engine.core.hold("mismatch", on=True)
    bench.command("hold", text="calendar")
    bench.engine.core.hold("mismatch", on=False)
    bench.command("release", text="calendar")
    second = awake(bench, held=0)
    assert second.engine.core.holds == {}


def test_a_mismatch_stays_while_orders_of_its_stock_move():
    """They are left out of the comparison; that proves nothing."""
    bench = Bench().start()
    bench.hold_shares(far_plan())
    bench.wait(200)
    bench.balance((SYMBOL, 7))
    assert "mismatch" in bench.engine.core.holds
    order = orders_of(bench)[0]
    row = bot.BrokerOrder(
        "0000000900", "", "06010", SYMBOL, BUY, "00", 5, 60_000, 0, 0, 0, 0, "100000"
    )
    bench.list_of(bench.row(order, 10), row)
    bench.balance((SYMBOL, 7))
    assert "mismatch" in bench.engine.core.holds


def test_a_fill_of_the_owner_moves_the_account_too():
    """His shares may not be in the balance yet."""
    bench = Bench().start()
    bench.wait(300)
    row = bot.BrokerOrder(
        "0000000900", "", "06010", SYMBOL, BUY, "00", 5, 60_000, 5, 300_000, 0, 0, "100400"
    )
    bench.list_of(row)
    bench.wait(60)
    bench.balance()
    assert "mismatch" not in bench.engine.core.holds


def test_cash_that_fell_by_another_fill_is_no_witness():
    """Something else moved the account since the order: its cash proves nothing."""
    bench = Bench().start()
    other = resting(bench, symbol=OTHER)
    [call] = calls(bench.want(wish("lost")), "new")
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.wait(20)
    bench.list_of(bench.row(other, 10))
    bench.seen(bot.Cash(9_000_000))
    search = bench.engine.core.reconciler.searches.get(call.intent.intent_id)
    assert search is None or not search.arrived


@pytest.mark.parametrize("moved", ["a fill", "a cancel", "not known before"])
def test_cash_that_something_else_moved_denies_no_entry(moved):
    """What a sale or a cancel gave back hides what the entry took: it is told, and goes no second time."""
    bench = Bench().start()
    other = resting(bench, symbol=OTHER)
    first = paced_entry(bench)
    if moved == "a fill":
        bench.list_of(bench.row(other, 10))
    elif moved == "a cancel":
        bench.list_of(bench.row(other, cancelled_quantity=10))
    else:
        order = bench.ledger.orders[first.intent.intent_id]
        order.intent = replace(order.intent, cash_before_krw=-1)
    done = look_again(bench, 6, *bench.rows())
    assert (calls(done, "new"), alerts(bench.actions).count("order_refused")) == ([], 1)


def test_an_unresolved_order_of_yesterday_does_not_hold_today_s():
    """The owner has to name it; the stock trades on."""
    bench = Bench().start()
    [call] = calls(bench.want(wish("lost")), "new")
    bench.answer(call, bot.Outcome.UNKNOWN)
    order = orders_of(bench)[0]
    core = bench.engine.core
    assert core.todays_own(SYMBOL) == [order]
    bench.ledger.apply(bot.DayOpened(bot.next_trading_day(bench.now.date()), bench.now))
    assert bench.ledger.orders == {order.intent.intent_id: order}
    assert core.todays_own(SYMBOL) == []
    assert "unresolved" not in bot.holds_of(core, SYMBOL)


def test_an_exit_beside_one_of_unknown_outcome_is_refused():
    """It may have sold already: the rule sees the doubtful sell, whatever it is asked for."""
    bench = Bench().start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900), "new")
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.state.exit.resell = False
    intent = replace(call.intent, intent_id="another", leg="exit:9")
    facts = bench.engine.entries._facts(bench.state, intent)
    assert bot.rule_unresolved(facts, intent) is not None


def test_the_cash_of_the_morning_stays_that_of_the_morning():
    """What is paid in during the day does not widen the day's limit."""
    bench = Bench().start()
    morning = bench.ledger.morning_cash_krw
    assert morning == 10_000_000
    bench.wait(200)
    bench.balance(cash=15_000_000)
    assert bench.ledger.cash_krw == 15_000_000
    assert bench.ledger.morning_cash_krw == morning


def test_a_position_bought_again_is_not_being_closed():
    """The reason of the last exit ends with its round, also for a process that starts then."""
    bench = Bench().start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900), "new")
    bench.answer(call)
    bench.fill(orders_of(bench)[-1], price=68_900)
    bench.hold_shares(far_plan())
    assert bench.ledger.position(SYMBOL).exit_reason == ""
    second = awake(bench)
    assert second.state.exit is None


def test_an_exit_goes_on_as_strong_as_it_was_after_a_restart():
    """A best-limit order does not begin again as a limit."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900), "new")
    bench.answer(call)
    [change] = calls(bench.wait(6), "change")
    bench.answer(change)
    assert orders_of(bench)[-1].kind == K.BEST_LIMIT
    second = restarted(bench)
    second.command("restarted")
    second.command("day", session=bot.session_of(second.now.date()))
    assert second.state.exit.step == 1


# --- what lists prove, step by step ---


def changed(bench):
    """Return an exit whose change got no answer, with its row and that of the changed order."""
    bench.hold_shares()
    [call] = calls(bench.trade(68_900), "new")
    bench.answer(call)
    order = orders_of(bench)[-1]
    [change] = calls(bench.wait(6), "change")
    bench.answer(change, bot.Outcome.UNKNOWN)
    old = bench.row(order, cancelled_quantity=10)
    new = replace(
        old, order_no="0000000444", original_no=order.order_no, cancelled_quantity=0,
        price=change.price, kind=change.kind,
    )  # fmt: skip
    return order, [bench.row(orders_of(bench)[0], 10), old], new


def test_the_rest_of_a_doubtful_change_may_live_on_under_a_number_not_yet_shown():
    """The old row is cancelled, the new one is missing: for three minutes nothing is over."""
    bench = Bench(exit_step_s=5).start()
    order, rows, new = changed(bench)
    bench.wait(20)
    bench.list_of(*rows)
    assert order.status is S.REPLACE_UNKNOWN
    bench.wait(20)
    bench.list_of(*rows, new)
    assert order.order_no == "0000000444"
    assert order.status in bot.OPEN_STATUSES


@pytest.mark.parametrize("turned", [False, True])
def test_of_a_changed_order_the_newest_row_explains_the_older_ones(turned):
    """In whichever order the list shows them, and however late."""
    bench = Bench(exit_step_s=5).start()
    order, rows, new = changed(bench)
    bench.now += timedelta(seconds=bot.PROOF_OF_ABSENCE_S + 1)
    shown = [*rows, new]
    bench.list_of(*(reversed(shown) if turned else shown))
    assert (order.status, order.order_no) == (S.WORKING, "0000000444")


def test_a_list_without_all_our_numbers_ends_the_count_of_clean_ones():
    """It may lack the order that is looked for just as well."""
    bench = Bench().start()
    other = resting(bench, symbol=OTHER)
    [call] = calls(bench.want(wish("lost")), "new")
    bench.answer(call, bot.Outcome.UNKNOWN)
    counts = []
    for rows in ([bench.row(other)], [bench.row(other)], [], [bench.row(other)]):
        bench.wait(10)
        bench.list_of(*rows)
        counts.append(bench.engine.core.reconciler.searches[call.intent.intent_id].clean_lists)
    assert counts == [1, 2, 0, 1]


def test_a_fill_that_the_list_booked_is_not_booked_again_by_its_notice():
    """The notice is used up; a balance that shows more later is something else."""
    bench = Bench(paper=True).start()
    order = resting(bench)
    notice = bot.Notice(bot.NoticeKind.FILL, "0", order.order_no, "", SYMBOL, BUY, 4, 70_000, "")
    bench.feed(notice)
    bench.list_of(bench.row(order, 4))
    bench.wait(20)
    bench.list_of()
    bench.balance((SYMBOL, 8))
    assert (order.filled_quantity, bench.ledger.position(SYMBOL).quantity) == (4, 4)


@pytest.mark.parametrize(("minutes", "status"), [(1, S.QUARANTINED), (4, S.LOST)])
def test_what_the_last_list_proves_in_the_morning_is_counted_to_the_moment_it_was_asked(
    minutes, status
):
    """A night proves nothing: three minutes between the order and the last list do."""
    bench = Bench(flat_at=None, last_entry="15:15:00").start("14:55:00")
    other = resting(bench, symbol=OTHER)
    [call] = calls(bench.want(wish("lost")), "new")
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.now += timedelta(minutes=minutes)
    bench.list_of(bench.row(other))
    following = bot.next_trading_day(bench.now.date())
    bench.now += timedelta(hours=60)
    bench.command("day", session=bot.session_of(following))
    updates = [row.data for row in records(bench.actions, "ledger")]
    ends = [each for each in updates if getattr(each, "note", "") == "day ended"]
    [end] = [each.event for each in ends if each.intent_id == call.intent.intent_id]
    assert end is {S.QUARANTINED: bot.OrderEvent.AMBIGUOUS, S.LOST: bot.OrderEvent.ABSENT}[status]


def test_an_amount_that_is_corrected_after_the_round_counts_no_second_loss():
    """The shares are the same; only the money of the last sell moves."""
    bench = Bench(limits={"max_daily_loss_krw": 900_000}).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900), "new")
    bench.answer(call)
    order = orders_of(bench)[-1]
    bench.fill(order, price=68_900)
    assert bench.ledger.today.losses[SYMBOL] == 1
    cash = bench.ledger.cash_krw
    bench.fill(order, price=68_800)
    assert bench.ledger.today.losses[SYMBOL] == 1
    assert bench.ledger.cash_krw < cash


# --- found by a second planting ---


def test_the_best_result_of_a_day_outlives_a_loss():
    """+, then -: the fall is measured from the first."""
    bench = Bench(limits={"max_daily_loss_krw": 900_000}).start()
    peaks = []
    for price in (71_500, 68_900):
        bench.hold_shares(bot.ExitPlan(69_000, 71_400))
        [call] = calls(bench.trade(price), "new")
        bench.answer(call)
        bench.fill(orders_of(bench)[-1], price=price)
        peaks.append(bench.ledger.today.peak_krw)
    assert peaks[0] == peaks[1] > bench.ledger.today.net_krw


def test_a_row_that_fits_two_orders_of_unknown_outcome_is_given_to_one():
    """Two equal orders are looked for, one row is there."""
    bench = Bench().start()
    [call] = calls(bench.want(wish("one")), "new")
    twin = replace(call.intent, intent_id="f" * 16, signal="two")
    bench.ledger.apply(twin)
    for intent_id in (call.intent.intent_id, twin.intent_id):
        at = bench.now + timedelta(seconds=1)
        bench.ledger.apply(bot.OrderUpdate(intent_id, bot.OrderEvent.NO_ANSWER, at))
    bench.wait(20)
    bench.list_of(bench.row(orders_of(bench)[0], number="0000000055"))
    assert [order.order_no for order in orders_of(bench)].count("0000000055") <= 1
    assert bench.ledger.external == {}


def test_a_second_return_of_the_feed_holds_for_a_list_of_its_own():
    """Up, down, up: a list asked between does not count."""
    bench = Bench().start()
    for _ in range(2):
        bench.command("feed down")
        bench.wait(1)
        bench.command("feed up")
        asked = bench.now
        bench.wait(3)
    bench.list_of(asked_at=asked - timedelta(seconds=2))
    assert "orders" in bench.engine.core.holds
    bench.list_of(asked_at=asked)
    assert "orders" not in bench.engine.core.holds


@pytest.mark.parametrize(("action", "heard"), [("0", ["0000000077"]), ("1", []), ("2", [])])
def test_only_the_notice_of_a_new_order_names_one_that_has_no_number_yet(action, heard):
    """A change or a cancel of the owner's equal order is another order."""
    bench = Bench().start()
    calls(bench.want(wish("lost")), "new")
    notice = bot.Notice(
        bot.NoticeKind.RECEIVED, action, "0000000077", "0000000055", SYMBOL, BUY, 10, 70_000, ""
    )
    bench.feed(notice)
    assert orders_of(bench)[0].heard == heard


@pytest.mark.parametrize("said", ["absent", "0000000088"])
def test_the_owner_s_word_changes_no_order_that_waits_for_none(said):
    """He mistypes an id and hits a working order: told, and nothing else happens."""
    bench = Bench().start()
    order = resting(bench)
    number = order.order_no
    actions = bench.command("resolve", text=f"{order.intent.intent_id}={said}")
    assert [each.code for each in actions if isinstance(each, bot.Alert)] == ["error"]
    assert (order.status, order.order_no, bench.ledger.stopped) == (S.WORKING, number, {})


@pytest.mark.parametrize("text", ["15:30:30", "15:45:00", "16:30:00", "18:30:00"])
def test_no_cancel_leaves_once_the_session_is_over(text):
    """The exchange ended the order; a cancel would be refused, again and again."""
    bench = Bench(flat_at=None, entry_timeout_s=3600, last_entry="15:15:00").start("14:50:00")
    resting(bench)
    hour, minute, second = map(int, text.split(":"))
    bench.now = bench.now.replace(hour=hour, minute=minute, second=second)
    bench.command("level", level=bot.KillLevel.REDUCE_ONLY, text="owner")
    assert calls(bench.wait(3), "cancel") == []
