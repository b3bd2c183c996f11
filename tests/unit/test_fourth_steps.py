"""Rules of the engine that need three events to show: a second fill, a second wait, a second gap.

Each was found by a mistake planted in a step that nothing else looked at.
"""

from datetime import datetime, time, timedelta

import pytest
from test_engine import (
    BUY,
    NEXT_DAY,
    OTHER,
    SELL,
    SYMBOL,
    Bench,
    S,
    alerts,
    asks,
    calls,
    instrument,
    paced_entry,
    records,
    restarted,
    wish,
)
from test_third_steps import FAR, next_day, notice, sending

import kis_realtime_trading as bot


def resting(bench, signal="first", symbol=SYMBOL, **more):
    """Have an entry rest at the broker; return its order."""
    [call] = calls(bench.want(wish(signal, symbol, plan=FAR, **more)), "new")
    bench.answer(call)
    return bench.ledger.orders[call.intent.intent_id]


# --- wishes ---


@pytest.mark.parametrize(("second", "again"), [(5, True), (8, False)])
def test_cash_says_nothing_of_an_order_when_another_was_filled_since(second, again):
    """The second part of another order moves the cash as well: nobody knows whose the won were."""
    bench = Bench().start()
    other = resting(bench, "other", OTHER)
    bench.fill(other, 5)
    paced_entry(bench)
    bench.wait(1)
    bench.fill(other, second)
    bench.wait(6)
    bench.trade(70_000)
    bench.seen(instrument())
    bench.seen(bot.Cash(10_000_000))
    done = bench.list_of(*bench.rows())
    assert bool(calls(done, "new")) is again
    assert alerts(done).count("order_refused") == (not again)


def test_the_newest_wish_goes_on_when_the_price_comes():
    """What was wished a minute ago is over: it is refused by name, and the newest becomes the order."""
    bench = Bench(bar_minutes=1, limits={"max_quote_age_s": 60}).start()
    bench.strategy.wishes = [wish("1001", quantity=3), wish("1002", quantity=4)]
    for text in ("10:00:30", "10:01:00", "10:02:00"):
        bench.at(text)
        bench.trade(70_000)
    [refused] = records(bench.actions, "refusal")
    assert (refused.data["code"], refused.data["numbers"]) == (
        "NO_QUOTE", "a newer wish took its place",
    )  # fmt: skip
    [call] = calls(bench.seen(instrument()), "new")
    assert (call.intent.signal, call.intent.quantity) == ("1002", 4)


@pytest.mark.parametrize(("at", "told"), [("08:55:00", 1), ("14:40:00", 0)])
def test_only_the_hour_that_the_settings_say_refuses_in_silence(at, told):
    """Before the opening nobody set that a wish of the strategy is refused: it is told."""
    bench = Bench(flat_at=None, last_entry="14:30").start(at)
    bench.seen(instrument())
    bench.engine.entries.consider(bench.state, wish())
    done = bench.feed(bot.TimeEvent(bench.now))
    assert [row.data["code"] for row in records(done, "refusal")] == ["SESSION"]
    assert alerts(done).count("refused") == told


# --- exits ---


def test_a_resting_buy_is_taken_back_though_the_stock_is_halted():
    """The sell waits for trading; the cancel takes risk away and does not."""
    bench = Bench().start()
    bench.hold_shares()
    resting(bench, "more")
    done = bench.trade(68_900, halted=True)
    assert bench.state.exit
    assert [(call.action, call.intent.side) for call in calls(done)] == [("cancel", BUY)]


def test_while_a_second_sell_is_under_way_no_third_is_tried():
    """Shares that a balance showed free let one more sell leave, not one at each step."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [first] = calls(bench.trade(68_900), "new")
    bench.answer(first, bot.Outcome.UNKNOWN)
    bench.wait(6)
    bench.balance((SYMBOL, 10, 10))
    assert len(calls(bench.wait(6), "new")) == 1
    bench.balance((SYMBOL, 10, 10))
    done = bench.wait(20)
    assert (calls(done), records(done, "refusal")) == ([], [])


def test_a_wait_for_room_begins_anew_after_a_try_that_ended_otherwise():
    """A dead host between two counts of orders: the next one waits for the first, short pause."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900), "new")
    run = bench.state.exit
    for _ in range(3):
        bench.answer(call, bot.Outcome.NOT_SENT, code=bot.TOO_FAST)
        [call] = calls(bench.wait(run.next_at.timestamp() - bench.now.timestamp()), "new")
    assert run.too_fast == 3
    bench.answer(call, bot.Outcome.NOT_SENT)
    assert run.too_fast == 0


# --- answers ---


def test_refused_exits_do_not_stop_the_entries_of_a_stock():
    """Two refused entries and two refused exits are no three refused entries."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares(plan=FAR)
    for signal in ("one", "two"):
        [call] = calls(bench.want(wish(signal, plan=FAR)), "new")
        bench.answer(call, bot.Outcome.REFUSED, code="APBK0919")
    bench.command("sell", text=SYMBOL)
    [sell] = calls(bench.actions, "new")[-1:]
    assert sell.intent.side is SELL
    bench.answer(sell, bot.Outcome.REFUSED, code="APBK0919")
    [sell] = calls(bench.wait(20), "new")
    bench.answer(sell, bot.Outcome.REFUSED, code="APBK0919")
    assert SYMBOL not in bench.ledger.stopped


def test_cash_is_not_compared_while_an_order_may_be_filling():
    """A fill of it may be in the broker's cash and not in our list yet."""
    bench = Bench().start()
    order = resting(bench)
    bench.wait(200)
    done = bench.balance(cash=9_000_000)
    assert order.status is S.WORKING
    assert (alerts(done), bench.ledger.cash_krw) == ([], 10_000_000)


# --- days and gaps ---


def test_a_clock_that_was_doubted_yesterday_is_believed_today():
    """Doubt lasts as long as its day, or as the clock is off."""
    bench = Bench(flat_at=None).start()
    bench.command("hold", text="clock")
    bench.command("release", text="clock")
    assert bench.engine.core.clock_doubted
    bench.at("15:31:10")
    next_day(bench)
    assert not bench.engine.core.clock_doubted


def test_notices_of_before_a_gap_book_nothing_after_it():
    """Some may be missing: a balance that happens to fit their sum proves nothing."""
    bench = Bench().start()
    order = resting(bench)
    bench.feed(notice(bot.NoticeKind.FILL, order.order_no, 5))
    bench.command("feed down")
    bench.command("feed up")
    bench.list_of()
    bench.wait(20)
    bench.balance((SYMBOL, 5))
    assert order.filled_quantity == 0


def test_each_doubt_about_an_order_is_looked_after_from_its_first_second():
    """An order found after a while, whose cancel is lost later, is asked about at once again."""
    bench = Bench(entry_timeout_s=30).start()
    call, order = sending(bench)
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.wait(16)
    bench.list_of(bench.row(order, number="0000000042"))
    assert order.status is S.WORKING
    done = bench.wait(40)
    [cancel] = calls(done, "cancel")[:1]
    bench.answer(cancel, bot.Outcome.UNKNOWN)
    assert order.status is S.CANCEL_UNKNOWN
    assert [bool(asks(bench.wait(1), "orders")) for _ in range(4)] == [True, True, False, True]


def test_a_stock_that_rest_calls_halted_stays_so_without_the_feed():
    """Only what the feed alone said is forgotten with it."""
    bench = Bench().start()
    bench.seen(instrument(blocked=bot.HALTED))
    bench.command("feed down")
    assert bench.state.halted
    bench.seen(instrument())
    bench.command("feed down")
    assert not bench.state.halted


def test_orders_are_looked_at_again_after_each_gap_from_its_own_moment():
    """A list asked between two gaps does not end the hold of the second."""
    bench = Bench().start()
    bench.command("feed up")
    asked_at = bench.now + timedelta(seconds=1)
    bench.wait(3)
    bench.command("feed down")
    bench.command("feed up")
    bench.list_of(asked_at=asked_at)
    assert "orders" in bench.engine.core.holds
    bench.list_of()
    assert "orders" not in bench.engine.core.holds


# --- answers that are about something else ---


@pytest.mark.parametrize(("symbol", "held"), [("000660", True), ("123450", False)])
def test_an_order_of_a_stock_that_is_none_of_ours_says_nothing_about_the_journal(symbol, held):
    """At a start the owner's order of today is told; only one of a stock of ours may be a lost row."""
    bench = Bench(symbols=(SYMBOL, "000660"))
    bench.now = bench.now.replace(hour=10)
    bench.command("restarted")
    bench.command("day", session=bot.session_of(bench.now.date()))
    row = bot.BrokerOrder(
        "0000000123", "", "06010", symbol, BUY, "00", 3, 70_000, 0, 0, 0, 0, "095000"
    )
    done = bench.list_of(row)
    assert "external_order" in alerts(done)
    assert ("journal" in bench.engine.core.holds) is held


@pytest.mark.parametrize(
    ("at", "sold"), [("08:55:00", False), ("15:19:59", True), ("15:25:00", False)]
)
def test_a_rest_price_fires_a_stop_in_continuous_trading_only(at, sold):
    """In an auction it is an expected price, or that of before."""
    first = Bench(flat_at=None).start()
    first.hold_shares()
    bench = Bench(ledger=restarted(first).ledger, flat_at=None)
    bench.now = datetime.combine(NEXT_DAY, time(8, 35), bot.KST)
    bench.start("08:40:00", holdings=[(SYMBOL, 10)])
    bench.at(at)
    bench.seen(instrument(price=68_900))
    assert bool(bench.state.exit) is sold


def test_a_refused_entry_makes_no_exit_stronger():
    """It was on its way when the stop fired: the price of the sell was not what was refused."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    entry, _ = sending(bench, "more")
    [sell] = calls(bench.trade(68_900), "new")
    assert sell.intent.side is SELL
    bench.answer(entry, bot.Outcome.REFUSED, code="APBK0919")
    assert (bench.state.exit.step, bench.state.exit.reason) == (0, "stop")


# --- what is told, kept and counted ---


def test_an_exit_that_reaches_nobody_is_told_as_sent_once():
    """Each later try is the same sell: a dead line is told as such, not by a word at each step."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    before = alerts(bench.actions).count("order_sent")
    [call] = calls(bench.trade(68_900), "new")
    for _ in range(3):
        bench.answer(call, bot.Outcome.NOT_SENT)
        [call] = calls(bench.wait(40), "new")[:1]
    assert alerts(bench.actions).count("order_sent") == before + 1


def test_an_entry_that_our_own_gate_turned_away_is_told_and_not_wished_again():
    """Only what the broker's gateway counted may be tried once more: our ceilings are a brake."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(plan=FAR)), "new")
    done = bench.answer(call, bot.Outcome.NOT_SENT, code=bot.TOO_FAST, text="gate: 5 orders left")
    assert alerts(done) == ["order_refused"]
    bench.wait(6)
    done = bench.trade(70_000) + bench.seen(instrument()) + bench.seen(bot.Cash(10_000_000))
    assert calls(done + bench.list_of()) == []


def test_a_cancel_that_was_taken_has_a_quarter_of_a_minute():
    """A list of ten seconds later may not show its end yet; one of sixteen says that it lives."""
    bench = Bench().start()
    order = resting(bench)
    [cancel] = calls(bench.command("cancel", text=order.order_no), "cancel")
    bench.answer(cancel, number="0000000777")
    for seconds, status in ((10, S.CANCEL_PENDING), (6, S.WORKING)):
        bench.wait(seconds)
        bench.list_of(bench.row(order))
        assert order.status is status


def test_a_sell_remembers_the_shares_that_were_free_before_it():
    """An order of the owner binds three of ten: of these seven the balance will lack what was sold."""
    bench = Bench().start()
    bench.hold_shares()
    bench.balance((SYMBOL, 10, 7))
    [call] = calls(bench.trade(68_900), "new")
    assert call.intent.sellable_before == 7


def test_shares_of_the_night_bring_no_result_before_their_base_price_is_known():
    """Neither what they cost nor what they are worth counts in a day that has no figure of them."""
    first = Bench(flat_at=None).start()
    first.hold_shares(plan=FAR)
    bench = Bench(ledger=restarted(first).ledger, flat_at=None)
    bench.now = datetime.combine(NEXT_DAY, time(8, 35), bot.KST)
    bench.command("restarted")
    bench.command("day", session=bot.session_of(NEXT_DAY))
    assert bench.engine.core.day_result_krw() == 0


def test_each_wish_waits_its_own_time_for_its_price():
    """The patience of a wish of minutes ago is over; this one has just begun."""
    bench = Bench().start()
    resting(bench, "one")
    bench.at("10:31:00")
    bench.strategy.wishes.append(wish("two", plan=FAR))
    bench.trade(70_000)
    bench.at("10:35:00")
    assert asks(bench.trade(70_000), "price")
    assert records(bench.wait(3), "refusal") == []
    bench.trade(70_000)
    assert [call.intent.signal for call in calls(bench.seen(instrument()), "new")] == ["two"]


@pytest.mark.parametrize("doubted", [True, False])
def test_lists_of_a_doubted_clock_end_no_order(doubted):
    """Whether they were asked after the close is not known: two of a sound clock are needed."""
    bench = Bench(flat_at=None, last_entry="15:10").start("14:50:00")
    order = resting(bench)
    if doubted:
        bench.command("hold", text="clock")
    for text in ("15:33:00", "15:35:00", "15:45:00"):
        bench.at(text)
    if doubted:
        bench.command("release", text="clock")
    bench.wait(2)
    assert order.status is (S.WORKING if doubted else S.EXPIRED)


def test_no_order_ends_by_a_time_that_may_be_wrong():
    """It is over for the broker once the clock is believed again, not before."""
    bench = Bench(flat_at=None, last_entry="15:10").start("14:50:00")
    order = resting(bench)
    for text in ("15:33:00", "15:35:00"):
        bench.at(text)
    bench.command("hold", text="clock")
    bench.at("15:46:00")
    bench.wait(5)
    assert order.status is S.WORKING
    bench.command("release", text="clock")
    bench.wait(2)
    assert order.status is S.EXPIRED


@pytest.mark.parametrize(("quoted", "price"), [(True, 70_300), (False, 70_200)])
def test_the_owner_buys_at_two_ticks_above_the_offer_or_the_last_price(quoted, price):
    """He named no price: near enough to be filled, and no further."""
    bench = Bench().start()
    bench.trade(70_000)
    bench.seen(instrument())
    if quoted:
        bench.quote(70_000)
    [call] = calls(bench.command("buy", text=f"{SYMBOL} 3"), "new")
    assert (call.intent.price, call.intent.quantity) == (price, 3)


def test_limits_that_changed_in_the_day_are_those_that_count():
    """The newest answer says what is possible: a trade between the old and the new limit is one."""
    bench = Bench().start()
    bench.trade(70_000)
    bench.trade(93_000)
    assert bench.engine.core.last_price(SYMBOL) == 70_000
    bench.seen(bot.replace(instrument(), upper_limit=95_000))
    bench.trade(93_000)
    assert bench.engine.core.last_price(SYMBOL) == 93_000


def test_the_room_of_a_stock_is_less_what_all_others_hold_and_buy():
    """Of two millions in all, seven hundred thousand lie in another stock, part filled, part bought."""
    bench = Bench(limits={"max_total_krw": 2_000_000}).start()
    other = resting(bench, "other", OTHER)
    bench.fill(other, 4)
    assert bench.engine.entries.room(SYMBOL) == 1_300_000


def test_the_owners_word_cancels_no_exit():
    """It closes a position: the kill switch and its own steps decide about it."""
    bench = Bench(exit_step_s=60).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900), "new")
    bench.answer(call)
    order = bench.ledger.orders[call.intent.intent_id]
    done = bench.command("cancel", text=order.order_no)
    assert (calls(done), alerts(done)) == ([], ["error"])
