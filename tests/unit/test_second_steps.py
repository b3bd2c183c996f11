"""What an earlier step left behind: parts of a fill, second notices, changed orders, the owner's shares.

Each rule here was once planted wrong and noticed by no other test (tests/campaigns/mistakes.txt).
"""

import time
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from email.utils import formatdate
from fractions import Fraction

import pytest
import test_ledger as books
from test_engine import OTHER, SYMBOL, Bench, S, alerts, calls, orders_of, restarted, wish
from test_ledger import DAY, FUND, E, bought, fill, intent_of, look, new_ledger, update, working

import kis_realtime_trading as bot


def far_plan():
    """Return a plan that no price of these tests reaches."""
    return bot.ExitPlan(50_000, 90_000)


# --- the ledger ---


def test_more_missing_shares_than_were_held_over_night_leave_nothing_of_the_night():
    """10 of the night and 5 of today, 12 gone: the night has 0 left at no cost, not -2."""
    ledger = new_ledger(*bought(10))
    ledger.apply(bot.DayOpened(books.NEXT_DAY, books.at("08:30", books.NEXT_DAY)))
    today = {"trade_date": books.NEXT_DAY, "quantity": 5, "key": "more", "number": "0000000102"}
    for entry in bought(**today):
        ledger.apply(entry)
    ledger.apply(bot.PositionAdjusted(SYMBOL, 3, "the broker shows 3", books.NOW))
    assert (ledger.position(SYMBOL).quantity, ledger.overnight[SYMBOL]) == (3, (0, Fraction(0)))


def test_a_round_that_earned_exactly_nothing_is_no_lost_one():
    """A fund without a fee, bought and sold at one price: nothing to pause for."""
    ledger = bot.Ledger(Decimal(0), Decimal(0))
    ledger.instruments = dict(books.INSTRUMENTS)
    ledger.apply(bot.DayOpened(DAY, books.NOW))
    sold = working("sell", "0000000102", side=bot.Side.SELL, symbol=FUND)
    for entry in (*bought(symbol=FUND), *sold, fill("sell", 10, 700_000)):
        ledger.apply(entry)
    assert (ledger.today.net_krw, ledger.position(FUND).quantity) == (0, 0)
    assert set(ledger.today.losses.values()) == {0}


@pytest.mark.parametrize(
    ("first", "second"), [("entry", bot.OWNERS_LEG), (bot.OWNERS_LEG, "entry")]
)
def test_a_position_belongs_to_whoever_began_it(first, second):
    """A later buy of the other one does not change who may sell it."""
    ledger = new_ledger(*bought(leg=first))
    for entry in bought(key="more", number="0000000102", leg=second):
        ledger.apply(entry)
    assert ledger.position(SYMBOL).owners is (first == bot.OWNERS_LEG)


def test_a_position_is_as_old_as_its_first_share():
    """Later parts of the fill make it no younger: its exits keep their names."""
    ledger = new_ledger(*working())
    for seconds, shares in ((5, 3), (65, 10)):
        ledger.apply(fill("one", shares, shares * 70_000, moment=books.after(seconds)))
    assert ledger.position(SYMBOL).opened_at == books.after(5)


def test_a_number_without_a_branch_leaves_the_branch():
    """A change found in a list that names no branch: the next cancel still needs it."""
    ledger = new_ledger(intent_of(), update(E.ACCEPTED, number="0000000001", branch="06010"))
    ledger.apply(update(E.REPLACED, number="0000000002", price=69_900, kind="00"))
    order = ledger.orders["one"]
    assert (order.order_no, order.branch) == ("0000000002", "06010")


def test_a_notice_that_comes_twice_is_one_number():
    """Heard twice, with the account moved: the order is bound, not in doubt between two."""
    ledger, reconciler = books.unknown_order(paper=True, others=False)
    for seconds in (11, 12):
        books.hear(reconciler, books.notice(number="0000000077"), books.after(seconds))
    ledger.apply(bot.NumberHeard("one", "0000000077", books.NOW))
    reconciler.witness(ledger.orders["one"], 700_098, 700_098, books.after(12))
    assert look(ledger, reconciler, asked=16) == [("one", E.FOUND)]


def test_unlocking_a_stock_ends_its_pause():
    """Three lost rounds pause it; the owner's word lets it be bought again at once."""
    bench = Bench().start()
    bench.ledger.today.losses[SYMBOL] = 3
    bench.ledger.today.lost_at[SYMBOL] = bench.now
    assert bot.paused_until(bench.engine.core, SYMBOL) is not None
    bench.command("unlock", text=SYMBOL)
    assert bot.paused_until(bench.engine.core, SYMBOL) is None


# --- notices and lists ---


def test_what_a_list_booked_is_taken_from_the_money_of_a_hint_too():
    """4 of 10 booked by a list at 70,000: the hint's rest is 6 at its average, 419,640 won."""
    ledger, reconciler = books.hinted(*books.FILLS)
    row = books.row_of("0000000001", filled_quantity=4, filled_amount_krw=280_000)
    look(ledger, reconciler, row, asked=10)
    look(ledger, reconciler, asked=12)  # and the next list is empty again
    assert books.read_balance(ledger, reconciler, 10, asked=30) == [E.FILL]
    assert ledger.position(SYMBOL).cost == 280_000 + 419_640


def test_a_hint_of_a_number_that_the_list_shows_waits_for_the_list():
    """The order was changed and the list lacks its new number: the old one is still the list's."""
    ledger, reconciler = books.hinted(books.notice(bot.NoticeKind.FILL, quantity=4))
    ledger.apply(update(E.REPLACE_SENT, price=69_900, kind="00"))
    ledger.apply(update(E.ACCEPTED, number="0000000002"))
    look(ledger, reconciler, books.row_of("0000000001"), asked=10)
    assert books.read_balance(ledger, reconciler, 4, asked=30) == []


def test_shares_filled_before_a_change_count_when_its_rest_is_cancelled():
    """4 under the first number, the 6 of the second cancelled: the order of 10 is over."""
    ledger = new_ledger(
        *working(), fill("one", 4, 280_000, "0000000001"),
        update(E.REPLACE_SENT, price=69_900, kind="00"), update(E.ACCEPTED, number="0000000002"),
    )  # fmt: skip
    changed = {"quantity": 6, "original_no": "0000000001", "cancelled_quantity": 6}
    rows = (
        books.row_of("0000000001", filled_quantity=4, filled_amount_krw=280_000),
        books.row_of("0000000002", price=69_900, **changed),
    )
    assert look(ledger, bot.Reconciler(ledger, False), *rows) == [("one", E.CANCELLED)]


# --- the engine ---


def test_a_rule_does_not_take_over_the_level_that_the_owner_set():
    """Five refusals while he has entries off: it stays his, and the next morning too."""
    bench = Bench().start()
    bench.command("level", level=bot.KillLevel.ENTRIES_OFF, text="the owner")
    bench.engine.core.set_level(bot.KillLevel.ENTRIES_OFF, "5 entries refused", by_rule=True)
    assert bench.ledger.level_by_rule is False
    bench.now += timedelta(days=3)
    bench.command("day", session=bot.session_of(bench.now.date()))
    assert bench.ledger.level is bot.KillLevel.ENTRIES_OFF


def test_a_split_gives_ours_and_the_owner_s_shares_each_their_own():
    """10 of ours and 10 of his, two for one: 20 are ours, not all that is new."""
    bench = Bench().start()
    bench.hold_shares(plan=far_plan())
    bench.ledger.external[SYMBOL] = 10
    yesterday = bot.previous_trading_day(DAY)
    bench.ledger.apply(bot.CloseKept(SYMBOL, 140_000, yesterday, True, bench.now))
    bench.engine.core.hold("account", on=True)
    bot.note_action(bench.engine.core, SYMBOL, 40)
    assert bench.ledger.actions[SYMBOL].kind == "split"
    assert bench.ledger.position(SYMBOL).quantity == 20


def test_a_refused_buy_holds_no_cash_back():
    """The next wish may use the same won before the next cash answer comes."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(plan=far_plan())), "new")
    bench.seen(bot.Cash(1_000_000))
    assert bench.engine.entries._free_cash() == 1_000_000 - call.intent.reserve_krw
    bench.answer(call, bot.Outcome.REFUSED, code="APBK0919")
    assert bench.engine.entries._free_cash() == 1_000_000


def test_after_a_second_refusal_a_balance_of_before_it_frees_nothing():
    """What can be sold is said by a balance newer than the last refusal, not than the first."""
    bench = Bench().start()
    bench.hold_shares(plan=far_plan())
    run, exits = bot.ExitRun("stop"), bench.engine.exits
    exits.back_off(run, stronger=False)
    bench.wait(5)
    bench.balance((SYMBOL, 10, 3))
    assert exits._to_sell(SYMBOL, run) == 3
    bench.wait(5)
    exits.back_off(run, stronger=False)
    assert exits._to_sell(SYMBOL, run) == 10


def test_a_trade_that_was_overtaken_on_the_way_fires_a_stop():
    """Its total of the day is lower than one already seen; its price was traded all the same."""
    bench = Bench().start()
    bench.hold_shares()
    bench.trade(70_000)
    total = bench.totals[SYMBOL] - 5
    bench.feed(bot.Trade(SYMBOL, bench.now, 68_900, 5, total, total * 69_000, False))
    assert bench.state.exit is not None


def test_trades_repeated_with_one_total_do_not_make_a_higher_one_wrong():
    """Only totals that grow are a day of their own."""
    bench = Bench().start()
    bench.trade(70_000, volume=1_000)
    total = bench.totals[SYMBOL]
    for seconds in (1, 2, 3, 4):
        later = bench.now + timedelta(seconds=seconds)
        bench.feed(bot.Trade(SYMBOL, later, 70_000, 5, total - 500, total * 69_000, False))
    assert bench.state.builder.cum_volume == total


def test_a_resting_buy_of_the_same_stock_takes_no_place_of_another():
    """With one position allowed, more may be bought of the stock that is being bought."""
    bench = Bench(limits={"max_positions": 1}).start()
    [call] = calls(bench.want(wish(plan=far_plan())), "new")
    bench.answer(call)
    assert orders_of(bench)[0].status is S.WORKING
    more = bench.engine.entries._intent_of(bench.state, wish("again"))
    facts = bench.engine.entries._facts(bench.state, more)
    assert (facts.positions, bot.rule_position(facts, more)) == (0, None)


def test_shares_that_the_end_of_the_day_left_are_told_though_no_exit_began():
    """The clock was doubted all afternoon, so nothing was sold by time: the owner hears it at the close."""
    bench = Bench(flat_at="15:10").start()
    bench.hold_shares(plan=far_plan())
    bench.command("hold", text="clock")
    bench.at("15:29:00")
    done = bench.at("15:30:20") + bench.trade(70_000) + bench.at("15:31:25")
    assert bench.state.exit is None
    assert "unsold" in alerts(done)


def test_the_first_list_of_a_restart_is_read_before_the_start_is_over():
    """Cash comes first: an order that the journal lacks, seen in that list, still holds entries."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(plan=far_plan())), "new")
    bench.answer(call)
    second = restarted(bench)
    second.command("restarted", text=(bench.now - timedelta(minutes=5)).isoformat())
    second.command("day", session=bot.session_of(DAY))
    second.seen(bot.Cash(10_000_000))
    assert "starting" in second.engine.core.holds
    lost = bench.row(orders_of(bench)[0], number="0000000777")
    second.list_of(*second.rows(), replace(lost, quantity=3, price=69_900))
    assert "journal" in second.engine.core.holds


def test_cash_that_fell_beside_an_order_of_the_owner_is_no_witness():
    """He bought something after ours got no answer: what cash did since says nothing of ours."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(plan=far_plan())), "new")
    bench.answer(call, bot.Outcome.UNKNOWN)
    order = orders_of(bench)[0]
    bench.wait(8)
    his = replace(bench.row(order, number="0000000777"), symbol="000660", quantity=1, price=200_000)
    bench.list_of(replace(his, time=f"{bench.now:%H%M%S}"))
    bench.seen(bot.Cash(10_000_000 - order.intent.reserve_krw))
    searches = bench.engine.core.reconciler.searches
    assert order.intent.intent_id not in searches or not searches[order.intent.intent_id].witnesses


def test_a_stock_whose_order_rests_is_not_compared_with_the_balance():
    """The balance may have a fill already that the list tells a moment later."""
    bench = Bench(entry_timeout_s=3_600).start()
    [call] = calls(bench.want(wish(plan=far_plan())), "new")
    bench.answer(call)
    bench.wait(200)
    bench.list_of(*bench.rows())
    bench.balance((SYMBOL, 3))
    assert "mismatch" not in bench.engine.core.holds


def test_a_journal_late_for_a_moment_takes_no_entry_back():
    """Another program's lock of a second: the resting entry stays; of two seconds, it goes."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(plan=far_plan())), "new")
    bench.answer(call)
    bench.command("hold", text=bot.JOURNAL_LATE)
    assert calls(bench.wait(1), "cancel") == []
    assert len(calls(bench.wait(1), "cancel")) == 1


def test_a_resting_buy_of_the_owner_is_no_position_of_ours():
    """His order in one of our stocks takes no place, and the stock is not guarded first for it."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(plan=far_plan())), "new")
    bench.answer(call)
    order = orders_of(bench)[0]
    his = replace(bench.row(order, number="0000000777"), symbol=OTHER, price=60_000, quantity=3)
    bench.list_of(*bench.rows(), replace(his, time=f"{bench.now:%H%M%S}"))
    assert bench.ledger.open_orders(OTHER)
    assert bench.engine.core.occupied() == {SYMBOL}


@pytest.mark.parametrize("step", [0, 1, 2])
def test_an_exit_without_limits_stays_a_limit_order(step):
    """Nobody told the lowest price of the day: it goes at the bid, again and again, never at any price."""
    bench = Bench().start()
    bench.hold_shares(plan=far_plan())
    bench.state.instrument = replace(bench.state.instrument, lower_limit=0, upper_limit=0)
    kind, price = bench.engine.exits._kind_and_price(bench.state, bot.ExitRun("stop", step))
    assert (kind, price) == (bot.OrderKind.LIMIT, 70_000)


def test_a_changed_order_that_was_filled_at_once_is_followed_to_its_number():
    """The change had no answer and its new number is filled before the first list: all is booked."""
    ledger = new_ledger(
        *working(), update(E.REPLACE_SENT, price=69_900, kind="00"), update(E.NO_ANSWER)
    )
    rows = (
        books.row_of("0000000001", cancelled_quantity=10),
        books.row_of(
            "0000000002", price=69_900, original_no="0000000001", filled_quantity=10,
            filled_amount_krw=699_000,
        ),
    )  # fmt: skip
    look(ledger, bot.Reconciler(ledger, False), *rows)
    assert (ledger.orders["one"].status, ledger.position(SYMBOL).cost) == (S.FILLED, 699_000)


def test_a_clock_a_little_off_does_not_waver():
    """Doubted beyond 3 s, it is believed again below 1.5 s only: a Date has whole seconds."""
    rest, seen = bot.Rest(None, None, 1.0), []
    for late_s in (2, 5, 3, 3, 0):
        rest._look_at_clock(formatdate(time.time() + late_s, usegmt=True), 0.0)
        seen.append(rest.clock_off)
    assert seen == [False, True, True, True, False]


def test_trades_that_sum_up_to_more_than_the_total_mark_their_bar():
    """A trade that was told twice under two totals: the bar's volume is too high, and it says so."""
    builder = bot.BarBuilder(SYMBOL, bot.session_of(DAY), 5)
    for seconds, volume, total in ((1, 100, 100), (2, 50, 120), (301, 10, 130)):
        moment = books.at("10:00:00") + timedelta(seconds=seconds)
        bar = builder.add(bot.Trade(SYMBOL, moment, 70_000, volume, total, total * 70_000, False))
    assert (bar.volume, bar.gap) == (150, True)


def test_the_list_of_one_earlier_day_ends_no_order_of_another():
    """Two nights ago an order was left in doubt, last night another: each waits for its own list."""
    days = {"one": date(2026, 11, 18), "two": date(2026, 11, 19)}
    ledger = new_ledger()
    for key, number in (("one", "0000000001"), ("two", "0000000002")):
        for entry in working(key, number, trade_date=days[key]):
            ledger.apply(entry)
    seen = bot.OrderList((books.row_of("0000000002"),), days["two"])
    books.drive(ledger, bot.Reconciler(ledger, False).read_old_list(seen, books.NOW))
    assert [ledger.orders[key].status for key in days] == [S.WORKING, S.EXPIRED]


def test_a_notice_of_another_size_names_no_order_of_ours():
    """The owner buys 3 of the stock while our 10 have no answer: his number is not heard as ours."""
    ledger, reconciler = books.unknown_order()
    books.hear(reconciler, books.notice(number="0000000077", quantity=3), books.after(11))
    assert ledger.orders["one"].heard == []


def test_a_balance_of_more_shares_confirms_no_notice():
    """12 are there, 10 are told: somebody else's fill is in it, so the list is waited for."""
    ledger, reconciler = books.hinted(*books.FILLS)
    assert books.read_balance(ledger, reconciler, 12, asked=30) == []


def test_an_auction_that_no_quote_ends_is_over_after_five_minutes():
    """Its last quote was lost: a stock is not left alone for the rest of the day."""
    state, begin = Bench().start().state, books.NOW
    for minutes, expected in ((0, True), (4, True), (5, False), (9, False)):
        state.note_auction(True, begin + timedelta(minutes=minutes))
        assert state.auction is expected


@pytest.mark.parametrize("halt", ["mark_halted", "note_rest_halt"])
def test_the_auction_behind_a_halt_may_last_eleven_minutes_the_next_one_five(halt):
    """A circuit breaker: halted, then ten minutes of auction; a VI of the same day is short again."""
    state, begin = Bench().start().state, books.NOW
    getattr(state, halt)(True)
    getattr(state, halt)(False)
    for minutes, expected in ((0, True), (6, True), (10, True), (11, False)):
        state.note_auction(True, begin + timedelta(minutes=minutes))
        assert state.auction is expected
    state.end_auction()
    for minutes, expected in ((30, True), (35, False)):
        state.note_auction(True, begin + timedelta(minutes=minutes))
        assert state.auction is expected


def test_orders_of_the_owner_do_not_fill_our_minute():
    """He trades by phone as he likes: the count of a runaway is of ours alone."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(plan=far_plan())), "new")
    bench.answer(call)
    his = [
        replace(bench.row(orders_of(bench)[0], number=f"00000007{n}"), symbol=OTHER, quantity=n)
        for n in range(10, 14)
    ]
    bench.list_of(*bench.rows(), *(replace(row, time=f"{bench.now:%H%M%S}") for row in his))
    assert len(bench.ledger.open_orders(OTHER)) == 4
    assert bench.engine.core.sent_since(bench.now - timedelta(minutes=1)) == 1


def test_an_exit_that_waits_is_told_after_a_minute_and_then_each_hour():
    """A halt of hours: the owner is reminded that his shares are not sold."""
    bench = Bench().start()
    bench.hold_shares(plan=far_plan())
    bench.state.mark_halted(True)
    bench.engine.exits.start(bench.state, "stop")
    told = [alerts(bench.wait(62)).count("exit_waits")]
    for minutes in (30, 31):
        bench.now += timedelta(minutes=minutes)
        told.append(alerts(bench.feed(bot.TimeEvent(bench.now))).count("exit_waits"))
    assert told == [1, 0, 1]
