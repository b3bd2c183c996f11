"""Pure rules read a second time, plainly, over grids; and what a day shows of them step by step.

Each family was found by mistakes planted afresh that no other test noticed.
"""

import itertools
import random
from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
import test_ledger as books
from test_codec import price_of
from test_engine import (
    NEXT_DAY,
    OTHER,
    SELL,
    SYMBOL,
    Bench,
    K,
    S,
    Scripted,
    alerts,
    asks,
    calls,
    instrument,
    orders_of,
    records,
    restarted,
    wish,
)
from test_risk import ENTRY, FACTS
from test_risk_model import step_of

import kis_realtime_trading as bot

FAR = bot.ExitPlan(50_000, 90_000)


def valid(price):
    """Tell whether a share may be ordered at a price, by the exchange's table."""
    return price > 0 and price % step_of(price) == 0


# --- a night with another price scale ---


@pytest.mark.parametrize(
    ("close", "base"),
    [(70_000, 14_000), (70_000, 23_300), (8_290, 2_765), (1_000, 10_000), (69_900, 34_950),
     (199_700, 66_500), (4_995, 1_665), (52_300, 51_100)],
)  # fmt: skip
@pytest.mark.parametrize("levels", [(0.97, 1.03), (0.991, 1.17), (0.5, 0.0)])
def test_scaled_levels_are_the_nearest_valid_ones_on_the_careful_side(close, base, levels):
    """The stop is the highest valid price not above the exact one, the target the lowest not below."""
    stop, target = (int(close * each) for each in levels)
    exact_stop, exact_target = Fraction(stop * base, close), Fraction(target * base, close)
    found = bot.scaled_plan(bot.ExitPlan(stop, target, 0.01), close, base, False)
    assert found.trail_ratio == 0.01
    assert valid(found.stop_price) and found.stop_price <= exact_stop
    assert not any(map(valid, range(found.stop_price + 1, int(exact_stop) + 1)))
    if not target:
        assert found.target_price == 0
        return
    assert valid(found.target_price) and found.target_price >= exact_target
    assert not any(map(valid, range(-(-exact_target // 1), found.target_price)))


@pytest.mark.parametrize("border", [2_000, 5_000, 20_000, 50_000, 200_000, 500_000])
@pytest.mark.parametrize("up", [False, True])
def test_one_step_of_the_higher_price_over_night_is_nothing(border, up):
    """At the border of two bands the wider step counts, whichever of the two prices is the higher."""
    wide = step_of(border)
    for away in range(-3 * wide, 4 * wide, step_of(border - 1)):
        close, base = (border - wide, border + away) if up else (border + away, border - wide)
        same = abs(close - base) <= step_of(max(close, base))
        assert (bot.classify_action(close, base, 10, 10) == "nothing") is same or base > close
        assert (bot.classify_action(close, base, 10, 13) == "nothing") is same


def action_waiting(plan):
    """Return a bench in whose held stock a split waits for the owner's word."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=plan)
    bench.engine.core.apply(bot.ActionSeen(SYMBOL, "split", 70_000, 35_000, 10, 20, bench.now))
    return bench


@pytest.mark.parametrize(
    ("plan", "word", "stop", "target"),
    [(bot.ExitPlan(68_000, 75_000), "scale", 34_000, 37_500), (bot.ExitPlan(68_000), "keep", 68_000, 0),
     (None, "scale", 0, 0)],
)  # fmt: skip
def test_an_answer_about_levels_is_told_with_what_holds_now(plan, word, stop, target):
    """Word, shares, stop and target; answered once, a second answer is told to be none."""
    bench = action_waiting(plan)
    [told] = [
        a for a in bench.command("levels", text=f"{SYMBOL}={word}") if isinstance(a, bot.Alert)
    ]
    assert (told.code, told.values) == (
        "levels_set",
        {"symbol": SYMBOL, "word": word, "quantity": 20, "stop": stop, "target": target},
    )
    assert alerts(bench.command("levels", text=f"{SYMBOL}={word}")) == ["error"]


def test_shares_of_the_night_count_only_once_their_base_price_is_known():
    """Before the first price of a morning the day has no result yet; then from yesterday's close on."""
    first = Bench(flat_at=None).start()
    first.hold_shares(plan=FAR)
    bench = Bench(ledger=restarted(first).ledger, flat_at=None)
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.command("restarted")
    bench.command("day", session=bot.session_of(NEXT_DAY))
    core = bench.engine.core
    assert bench.ledger.overnight == {SYMBOL: (10, Fraction(700_000))}
    bench.wait(2)
    assert core.morning_equity_krw() == bench.ledger.morning_cash_krw
    bench.now = bench.now.replace(hour=9, minute=0)
    bench.seen(replace(instrument(price=71_000), base_price=70_500))
    assert core.morning_equity_krw() == bench.ledger.morning_cash_krw + 705_000
    assert core.day_result_krw() == 5_000


# --- wishes ---


def test_a_price_answer_without_a_price_refuses_the_wish_that_waited_for_it():
    """It is asked once; an answer of 0 won is no reason to ask on and on."""
    bench = Bench().start()
    bench.strategy.wishes = [wish()]
    bench.trade(70_000)
    bench.at("10:05:00")
    assert len(asks(bench.trade(70_000), "price")) == 1
    done = bench.seen(instrument(price=0))
    assert [row.data["code"] for row in records(done, "refusal")] == ["NO_QUOTE"]
    assert (asks(done, "price"), bench.state.waiting) == ([], None)


@pytest.mark.parametrize(
    ("target", "refused"),
    [(-1, False), (0, False), (1, True), (69_900, True), (70_000, True), (70_100, False)],
)
def test_a_target_stands_above_the_price_or_is_none(target, refused):
    """One won is a target, at the price as much as far below it."""
    intent = replace(ENTRY, plan=bot.ExitPlan(69_000, target))
    assert (bot.rule_plan(FACTS, intent) is not None) is refused


# --- what lists of other days and the night prove ---


@pytest.mark.parametrize(
    ("seconds", "event"), [(-0.1, "ambiguous"), (0, "absent"), (0.1, "absent")]
)
def test_the_night_proves_an_absence_from_the_patience_on(seconds, event):
    """The last complete list was asked so long after the doubt began, to the moment."""
    _, reconciler = books.unknown_order()
    asked = 10 + bot.PROOF_OF_ABSENCE_S + seconds
    seen, moment = bot.OrderList((books.KNOWN,)), books.after(asked)
    assert list(reconciler.read_list(seen, moment, moment)) == []
    done = {entry.intent_id: str(entry.event) for entry in reconciler.end_day(books.after(30_000))}
    assert done["one"] == event


def test_an_order_that_an_old_list_ends_is_ended_by_its_number_now():
    """Its last row says until when: every field of the entry, with the reason in words."""
    entries = []
    for rows in ((books.row_of("0000000001"),), (books.row_of("0000000555"),)):
        ledger = books.new_ledger(*books.working())
        seen = bot.OrderList(rows, books.DAY)
        entries += books.drive(
            ledger, bot.Reconciler(ledger, False).read_old_list(seen, books.after(9))
        )
    ended = bot.OrderUpdate("one", books.E.EXPIRED, books.after(9), "0000000001", note="day ended")
    assert entries == [ended, replace(ended, note="not in the list of its day")]


@pytest.mark.parametrize(("filled", "held"), [(0, False), (4, True)])
def test_an_old_list_has_the_account_taken_anew_only_when_it_books_shares(filled, held):
    """Nothing booked, nothing to doubt: entries go on."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(plan=FAR)), "new")
    bench.answer(call)
    order = orders_of(bench)[0]
    row = bench.row(order, filled)
    bench.ledger.day = NEXT_DAY
    done = bench.seen(bot.OrderList((row,), order.intent.trade_date))
    assert (order.status, order.filled_quantity) == (S.EXPIRED, filled)
    assert ("account" in bench.engine.core.holds, asks(done, "holdings") != []) == (held, held)


@pytest.mark.parametrize(
    ("times", "found"),
    [(("100001",), ["0"]), (("100020",), ["0"]), (("100001", "100020"), ["0"]),
     (("100001", "100002"), ["0", "1"]), (("100020", "100030"), ["0", "1"]),
     (("100001", "100002", "100020"), ["0", "1", "2"]), (("095950",), [])],
)  # fmt: skip
def test_of_several_rows_the_one_of_the_call_is_preferred_if_there_is_one(times, found):
    """Two of its time, or none of it: all stay in doubt."""
    rows = [books.row_of(str(n), moment=each) for n, each in enumerate(times)]
    near = bot.candidates(books.intent_of(), rows, 60.0)
    assert [row.order_no for row in near] == found


# --- an exit in doubt ---


def exit_sent(bench):
    """Have the stop of a held position fire; return the call of its first sell."""
    bench.hold_shares()
    bench.wait(2)
    bench.balance((SYMBOL, 10))
    [call] = calls(bench.trade(68_900), "new")
    assert (call.intent.side, call.intent.sellable_before) == (SELL, 10)
    return call


@pytest.mark.parametrize("sellable", [0, 5, 6, 10])
def test_a_lone_sell_arrived_when_the_sellable_shares_fell(sellable):
    """The shares themselves stay until it is filled: they witness nothing."""
    bench = Bench().start()
    call = exit_sent(bench)
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.wait(8)
    bench.balance((SYMBOL, 10, sellable))
    [search] = bench.engine.core.reconciler.searches.values()
    assert (search.witnesses, search.arrived) == (1, sellable <= 5)


def test_an_exit_that_turns_up_late_is_worked_on_not_taken_back():
    """The gateway refused it, and a list shows it all the same: it is what was wanted."""
    bench = Bench().start()
    call = exit_sent(bench)
    bench.answer(call, bot.Outcome.NOT_SENT, code="EGW00201")
    order = bench.ledger.orders[call.intent.intent_id]
    assert order.status is S.NOT_SENT
    done = bench.list_of(*bench.rows(), bench.row(order, number="0000000888"))
    assert (order.status, order.order_no) == (S.WORKING, "0000000888")
    assert [each.action for each in calls(done)] in ([], ["change"])


def test_a_round_that_earned_nothing_is_told_as_no_loss():
    """Exactly 0 won after costs: an upward mark, and 0 per cent."""
    bench = Bench(ledger=bot.Ledger(Decimal(0), Decimal(0))).start()
    order = bench.hold_shares(plan=FAR)
    bench.seen(replace(instrument(), fund=True))
    done = bench.command("sell", text=SYMBOL)
    [call] = calls(done, "new")
    bench.answer(call)
    [told] = [
        each
        for each in bench.fill(bench.ledger.orders[call.intent.intent_id], 10, 70_000)
        if isinstance(each, bot.Alert) and each.code == "round_closed"
    ]
    assert order.filled_amount_krw == 700_000
    assert (told.values["mark"], told.values["gain"], told.values["percent"]) == (
        "▲",
        "+0",
        "+0.00",
    )


# --- what an exit meets ---


@pytest.mark.parametrize("phase", [bot.Phase.CONTINUOUS, bot.Phase.CLOSING_AUCTION])
@pytest.mark.parametrize("step", [0, 1, 2])
@pytest.mark.parametrize("limits", [True, False])
@pytest.mark.parametrize(
    ("bid", "price"), [(69_900, 69_900), (70_400, 70_000), (48_000, 49_000), (0, 70_000)]
)
def test_kind_and_price_of_an_exit_by_step_phase_and_what_is_known(phase, step, limits, bid, price):
    """A limit at the bid, never above the last trade nor below the band; a best limit but in the auction."""
    bench = Bench().start("10:00:00" if phase is bot.Phase.CONTINUOUS else "15:21:00")
    bench.trade(70_000)
    bench.quote(bid)
    if not limits:
        bench.state.instrument = replace(bench.state.instrument, lower_limit=0, upper_limit=0)
        price = bid if bid == 48_000 else price
    kind = (K.LIMIT, K.MARKET if phase is bot.Phase.CLOSING_AUCTION else K.BEST_LIMIT, K.MARKET)[
        step
    ]
    kind = kind if limits else K.LIMIT
    expected = (kind, price if kind is K.LIMIT else 0)
    run = bot.ExitRun("stop", step)
    assert bench.engine.exits._kind_and_price(bench.state, run) == expected


def test_an_exit_beside_a_buy_that_cannot_be_taken_back_yet_waits_without_a_word():
    """Its cancel was refused a moment ago: nothing is refused or told meanwhile, the sell follows the next one."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()), "new")
    bench.answer(call)
    [buy] = orders_of(bench)
    bench.fill(buy, 4)
    [back] = calls(bench.command("cancel", text=buy.order_no))
    bench.answer(back, bot.Outcome.REFUSED, code="APBK0000", text="busy")
    assert buy.status is S.PARTIAL
    done = bench.trade(68_900)
    assert bench.state.exit and bench.state.exit.refusals == 0
    assert (calls(done), records(done, "refusal"), alerts(done)) == ([], [], [])
    assert [each.action for each in calls(bench.wait(4))] == ["cancel", "new"]


@pytest.mark.parametrize(
    ("owners", "shown", "sellable", "again"),
    [(0, 10, 10, True), (0, 10, 9, False), (0, 11, 11, False), (0, 10, 0, False), (5, 10, 10, False),
     (5, 15, 15, False)],
)  # fmt: skip
def test_a_second_sell_needs_all_shares_free_and_none_of_the_owner(owners, shown, sellable, again):
    """Of shares that may be his nobody knows whose are free."""
    bench = Bench().start()
    call = exit_sent(bench)
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.ledger.external[SYMBOL] = owners
    bench.wait(8)
    bench.balance((SYMBOL, shown, sellable))
    assert bool(calls(bench.wait(8), "new")) is again


@pytest.mark.parametrize(("later_s", "again"), [(0, False), (1, True)])
def test_a_cancel_that_found_nothing_is_sent_again_only_after_a_list_of_later(later_s, again):
    """One asked at the moment of the answer may be older than it."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(plan=FAR)), "new")
    bench.answer(call)
    order = orders_of(bench)[0]
    [back] = calls(bench.command("cancel", text=order.order_no))
    bench.wait(1)
    bench.answer(back, bot.Outcome.REFUSED, code="40330000", text="nothing left")
    assert order.status is S.WORKING
    answered = bench.now
    bench.wait(later_s)
    bench.list_of(*bench.rows(), asked_at=answered + timedelta(seconds=later_s))
    bench.engine.core.ledger.level = bot.KillLevel.REDUCE_ONLY
    assert bool(calls(bench.wait(20), "cancel")) is again


# --- what counts anew ---


def test_the_count_of_questions_for_limits_begins_anew_once_they_are_known():
    """Asked in vain, answered, and asked in vain again: told a second time, not only once a day."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=FAR)
    state, known, told = bench.state, bench.state.instrument, []
    for limits in (None, known, None):
        state.instrument = limits
        before = len(bench.actions)
        for _ in range(100):
            bench.wait(1)
            bench.trade(70_000)
        told.append(alerts(bench.actions[before:]).count("no_limits"))
    assert told == [1, 0, 1]


def test_a_deaf_stock_believes_three_later_trades_in_a_row_whose_totals_grow():
    """Against a plain count: from the last total that grew on, whatever higher one came before."""
    for totals in (
        (12, 8, 9, 10),
        (5, 6, 7),
        (5, 5, 6, 7),
        (9, 8, 7, 8, 9),
        (3, 4, 4, 5, 6),
        (20, 3, 4, 5),
    ):
        bench = Bench().start()
        bench.trade(70_000)
        bench.totals[SYMBOL] = 49
        bench.trade(70_000, volume=1)
        run, last, expected, found = 0, 0, [], []
        for total in totals:
            run, last = (run + 1 if total > last else 1), total
            expected.append(run == 3)
            bench.wait(1)
            bench.totals[SYMBOL] = total - 1
            bench.trade(70_000, volume=1)
            found.append(bench.state.builder.cum_volume == total)
            if run == 3:
                break
        assert found == expected, totals


def test_ages_count_from_the_new_clock_only_what_was_so_when_it_was_set():
    """A state that began afterwards bears the time of the new clock."""
    ledger = books.new_ledger(*books.working(), *books.working("two", "0000000002"))
    ages = bot.Reconciler(ledger, False).ages
    ages.begin_anew(books.after(-600))
    ledger.apply(books.update(books.E.CANCEL_SENT, "two", moment=books.after(-590)))
    moment = books.after(-500)
    assert [ages.of(ledger.orders[key], moment) for key in ("one", "two")] == [100.0, 90.0]


def test_a_fund_is_one_from_the_restart_on():
    """Of its price answer of this morning; before the next one it is no share of another tick."""
    first = Bench().start()
    first.seen(replace(instrument(), fund=True))
    second = restarted(first)
    second.command("restarted")
    second.command("day", session=bot.session_of(second.now.date()))
    assert second.state.view.fund
    assert not second.engine.core.symbols[OTHER].view.fund


@pytest.mark.parametrize("own", [True, False])
def test_a_resting_buy_takes_room_whoever_sent_it(own):
    """3 million won of one stock rest: of 4 million one is left, whosever order it is."""
    bench = Bench(limits={"max_order_krw": 4_000_000}).start()
    if own:
        [call] = calls(bench.want(wish(quantity=40, price=70_000, plan=FAR)), "new")
        bench.answer(call)
    else:
        row = books.row_of("0000000800", 40, moment="10:00:00")
        bench.list_of(row)
    room = bench.engine.entries.room(SYMBOL)
    assert room == 4_000_000 - 2_800_000


@pytest.mark.parametrize(
    ("listed_s", "cash_s", "again"), [(6, 6, True), (6, 3, False), (3, 6, False)]
)
def test_a_wish_turned_away_goes_again_once_list_and_cash_are_both_late_enough(
    listed_s, cash_s, again
):
    """The older of the two says since when nothing is there."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(plan=FAR)), "new")
    bench.answer(call, bot.Outcome.NOT_SENT, code="EGW00201", text="too many")
    answered = bench.now
    bench.wait(7)
    bench.trade(70_000)
    bench.seen(instrument())
    bench.seen(bot.Cash(10_000_000), answered + timedelta(seconds=cash_s))
    done = bench.list_of(asked_at=answered + timedelta(seconds=listed_s))
    assert bool(calls(done, "new")) is again


@pytest.mark.parametrize(("text", "taken_back"), [("cancel", True), ("", False)])
def test_an_entry_accepted_after_the_stop_is_taken_back_only_when_all_are(text, taken_back):
    """A stop that leaves what rests leaves this one too."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(plan=FAR)), "new")
    bench.command("stop", text=text)
    assert bool(calls(bench.answer(call), "cancel")) is taken_back


# --- what is read, counted and asked ---


@pytest.mark.parametrize("code", ["00", "51", "52", "53", "54", "57", "58", "59", ""])
@pytest.mark.parametrize("stopped", ["Y", "N", ""])
def test_a_stock_that_is_stopped_is_halted_whatever_else_it_is(code, stopped):
    """A warning only bars entries; a halt holds exits back too and is told as one."""
    found = price_of(iscd_stat_cls_code=code, temp_stop_yn=stopped)
    assert found.halted is (stopped == "Y" or code == "58")
    assert bool(found.blocked) is (stopped == "Y" or code in ("51", "52", "53", "58", "59"))


@pytest.mark.parametrize(("closes", "kept"), [((100, 195), [100]), ((195, 100), [100]), ((100, 190), [100, 190]),
                                              ((100, 195, 196), [195, 196]), ((100, 100, 195, 196), [100, 100])])  # fmt: skip
def test_of_an_even_number_of_closes_the_lower_middle_one_measures(closes, kept):
    """Within 1.9 times of it, upwards and downwards, whatever their order."""
    bars = []
    for n, close in enumerate(closes):
        start = datetime(2026, 11, 20, 10, n, tzinfo=bot.KST)
        end = start + timedelta(minutes=1)
        bars.append(bot.Bar(SYMBOL, start, end, close, close, close, close, 1, close, 0))
    assert [bar.close for bar in bot.sound_minutes(bars)] == kept


def test_the_figures_of_a_day_count_the_orders_of_that_day():
    """One left in doubt by another day and its shares are no order of today; nor is one without a number."""
    ledger = books.new_ledger()
    for key, day in (("one", books.DAY), ("two", books.NEXT_DAY), ("three", books.NEXT_DAY)):
        for entry in books.working(key, f"{len(key):010d}", trade_date=day):
            ledger.apply(entry)
    ledger.apply(books.intent_of("four", trade_date=books.NEXT_DAY))
    ledger.day = books.NEXT_DAY
    assert bot.day_figures(ledger, 5, 6)["orders"] == 2


@pytest.mark.parametrize(("ago", "counted"), [(59.9, 1), (60.0, 0), (60.1, 0), (0.0, 1), (-0.1, 0)])
def test_an_order_counts_for_less_than_a_minute(ago, counted):
    """One of exactly a minute ago counts no more, nor does one of a moment yet to come."""
    bench = Bench().start()
    core = bench.engine.core
    core.apply(books.intent_of(at=core.now - timedelta(seconds=ago), leg="entry"))
    assert core.sent_since(core.now - timedelta(minutes=1)) == counted


def test_a_slow_answer_of_one_kind_delays_no_other():
    """Each kind waits by its own last answer."""
    now = datetime(2026, 11, 20, 10, tzinfo=bot.KST)
    kinds = ("orders", "cash", "holdings")
    for slow in kinds:
        agenda = bot.Agenda()
        for what in kinds:
            agenda.note_asked(what, now)
            agenda.note_answered(what, 100.0 if what == slow else 0.1)
        due, moment = [], now + timedelta(seconds=61)
        while (found := agenda.take(kinds, True, moment)[0]) is not None:
            due.append(found.what)
            agenda.note_asked(found.what, moment)
        assert due == [each for each in kinds if each != slow]


@pytest.mark.parametrize(("sure", "base", "new"), [
    (False, 77_000, False), (False, 77_100, True), (False, 63_000, False), (False, 62_900, True),
    (True, 70_100, False), (True, 70_200, True)])  # fmt: skip
def test_a_close_of_before_the_last_auction_may_be_a_tenth_off(sure, base, new):
    """To the won; one of the auction itself is the base price, to a tick."""
    bench = Bench().start()
    close = bot.CloseKept(SYMBOL, 70_000, books.DAY, sure, bench.now)
    bench.ledger.closes[SYMBOL] = close
    bench.engine.core.session = bot.session_of(NEXT_DAY)
    bench.state.instrument = replace(instrument(), base_price=base)
    assert bot.new_scale(bench.engine.core, SYMBOL) is new


@pytest.mark.parametrize("known", [(0, 3), (2, 5), (5, 6), (3, 3)])
@pytest.mark.parametrize("come", [(0, 3), (1, 4), (2, 8), (4, 6)])
def test_past_bars_fill_in_before_and_after_what_is_known_and_never_twice(known, come):
    """Each moment once, oldest first; nothing of what was there is replaced."""

    def bars(span, price):
        made = []
        for n in range(*span):
            start = datetime(2026, 11, 20, 9, n, tzinfo=bot.KST)
            end = start + timedelta(minutes=1)
            made.append(bot.Bar(SYMBOL, start, end, price, price, price, price, 1, price, 0))
        return made

    bench = Bench().start()
    view = bench.state.view
    view.bars.clear()
    view.bars.extend(bars(known, 1))
    bench.seen(bot.PastBars(SYMBOL, tuple(bars(come, 2))))
    inside = range(*known)
    ends = (known[0], known[-1]) if inside else (0, 0)
    expected = {n: 1 for n in inside} | {
        n: 2 for n in range(*come) if not inside or n < ends[0] or n >= ends[1]
    }
    assert [(bar.start.minute, bar.close) for bar in view.bars] == sorted(expected.items())


@pytest.mark.parametrize(("after", "waits"), [(10, False), (20, True)])
def test_only_a_scale_without_other_shares_is_taken_back_by_a_later_base_price(after, waits):
    """Shares that changed are a fact: the owner answers, whatever the price says by now."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=FAR)
    bench.engine.core.apply(bot.ActionSeen(SYMBOL, "split", 70_000, 35_000, 10, after, bench.now))
    bench.seen(instrument())
    assert (SYMBOL in bench.ledger.actions) is waits


def test_no_trade_is_told_only_where_the_feed_is_up():
    """While it is down its own alarm stands; the hold is there all the same."""
    for up in (True, False):
        bench = Bench().start("08:59:00")
        bench.command("feed up" if up else "feed down")
        bench.list_of()
        bench.now = bench.now.replace(hour=9, minute=5, second=0)
        told = alerts(bench.feed(bot.TimeEvent(bench.now)))
        assert ("no_trades" in told, "no trades" in bench.engine.core.holds) == (up, True)


def test_a_stock_that_the_settings_do_not_name_stays_guarded_only():
    """Stopped and unlocked again, its strategy is not asked: nobody may buy it."""
    first = Bench(flat_at=None).start()
    first.hold_shares(plan=FAR)
    bench = Bench(ledger=restarted(first).ledger, symbols=(OTHER,), flat_at=None)
    bench.now = first.now
    bench.command("restarted")
    bench.command("day", session=bot.session_of(bench.now.date()))
    assert bench.state.unasked
    bench.engine.core.stop_symbol(SYMBOL, "why")
    bench.command("unlock", text=SYMBOL)
    assert bench.ledger.stopped == {}
    assert bench.state.unasked


# --- ends of a program, halts, late arrivals ---


@pytest.mark.parametrize(("text", "taken_back"), [("cancel", ["entry"]), ("", [])])
def test_a_stop_takes_back_resting_entries_if_told_so_and_never_an_exit(text, taken_back):
    """The sell of a stop goes on resting; the entry of another stock does or does not."""
    bench = Bench().start()
    bench.answer(exit_sent(bench))
    [call] = calls(bench.want(wish("rests", OTHER, plan=FAR)), "new")
    bench.answer(call)
    done = calls(bench.command("stop", text=text), "cancel")
    assert [each.intent.purpose for each in done] == taken_back


HALTS = {  # R, r: REST says halted, or not; F, f: the feed does; g: a gap of the feed; u: only its end
    "R": True, "Rr": False, "F": True, "Ff": False, "Fr": True, "FRr": True, "RFf": False, "Rg": True,
    "Fg": False, "FRg": True, "RFrg": False, "RFRg": True, "FRrf": False, "FgR": True, "RgFrf": False,
    "RFfg": True, "RrFg": False, "Fu": True, "Ffu": False, "Ru": True,
}  # fmt: skip


@pytest.mark.parametrize("said", HALTS)
def test_who_halted_a_stock_lifts_it(said):
    """What the feed halted only the feed lifts, or its gap; what REST halted REST lifts, or a trade."""
    bench = Bench().start()
    for letter in said:
        bench.wait(1)
        if letter in "Rr":
            bench.seen(instrument(blocked=bot.HALTED if letter == "R" else ""))
        elif letter in "Ff":
            bench.trade(70_000, halted=letter == "F")
        else:
            for word in ("feed down", "feed up") if letter == "g" else ("feed up",):
                bench.command(word)
    assert bench.state.halted is HALTS[said]


@pytest.mark.parametrize(
    ("code", "taken", "bound"),
    [("EGW00201", "100012", True), ("EGW00201", "100013", False), ("EGW00201", "095958", True),
     ("EGW00201", "095957", False), ("", "100001", False), ("APBK0919", "100001", False)],
)  # fmt: skip
def test_a_row_is_ours_up_to_the_answer_of_the_gateway_and_the_clocks_difference(
    code, taken, bound
):
    """It answered after 10 s: a row of 12 s may be ours, one of 13 s is the owner's."""
    ledger = books.new_ledger(
        books.intent_of(), books.update(books.E.NOT_SENT, moment=books.after(10), note=f"{code} no")
    )
    row = books.row_of("0000000077", moment=taken)
    found = books.look(ledger, bot.Reconciler(ledger, False), row, asked=40)
    assert (("one", books.E.FOUND) in found) is bound


@pytest.mark.parametrize(
    ("filled", "price", "kind", "followed"),
    [
        (0, 0, "00", False),
        (3, 0, "00", True),
        (0, 69_900, "00", True),
        (0, 0, "01", True),
        (3, 0, "", True),
    ],
)
def test_the_row_of_a_cancel_is_followed_only_when_shares_are_filled_under_it(
    filled, price, kind, followed
):
    """A change without a price is one when something was filled, or its kind asks for none."""
    ledger = books.new_ledger(*books.working())
    old = books.row_of("0000000001", cancelled_quantity=0 if filled else 10)
    child = books.row_of(
        "0000000002", price=price, kind=kind, original_no="0000000001", filled_quantity=filled,
        filled_amount_krw=filled * 70_000,
    )  # fmt: skip
    books.look(ledger, bot.Reconciler(ledger, False), old, child)
    assert (ledger.orders["one"].order_no == "0000000002") is followed
    assert ledger.orders["one"].filled_quantity == filled


@pytest.mark.parametrize("hour", ["100000", "100030", "100059"])
def test_a_minute_begins_at_its_full_minute(hour):
    """Whatever second the broker writes."""
    row = {"stck_bsop_date": "20261120", "stck_cntg_hour": hour, "stck_oprc": "1", "stck_hgpr": "1",
           "stck_lwpr": "1", "stck_prpr": "1", "cntg_vol": "1"}  # fmt: skip
    [bar] = bot.parse_minute_bars(SYMBOL, {"output2": [row]})
    start = datetime(2026, 11, 20, 10, tzinfo=bot.KST)
    assert (bar.start, bar.end) == (start, start + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("taken", "told"),
    [("095900", False), ("100000", False), ("100001", True), ("", True), ("999999", True)],
)
def test_an_order_of_after_the_journals_end_makes_it_an_old_one(taken, told):
    """At a start: of before that moment it is the owner's; one without a time counts as of now."""
    bench = Bench()
    bench.command("restarted", text=books.at("10:00:00").isoformat())
    bench.now = books.at("10:05:00")
    bench.command("day", session=bot.session_of(books.DAY))
    done = bench.list_of(replace(books.row_of("0000000800"), time=taken))
    assert ("journal_old" in alerts(done), "journal" in bench.engine.core.holds) == (told, told)


@pytest.mark.parametrize("cut", [0, 5, 9])
def test_the_owner_may_write_an_order_number_with_fewer_zeros(cut):
    """As brokers print it: the same order is taken back."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(plan=FAR)), "new")
    bench.answer(call, number="0000000007")
    [back] = calls(bench.command("cancel", text="0000000007"[cut:]), "cancel")
    assert back.intent is call.intent


@pytest.mark.parametrize(("heard", "listed"), [(3, 3), (3, 5), (3, 2), (10, 4), (1, 10)])
def test_what_a_list_books_leaves_only_the_rest_of_what_notices_said(heard, listed):
    """Never less than nothing, when the list is ahead of the notices."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(plan=FAR)), "new")
    bench.answer(call)
    [order] = orders_of(bench)
    told = books.notice(bot.NoticeKind.FILL, order.order_no, heard)
    bench.feed(told)
    bench.fill(order, listed)
    hint = bench.engine.core.reconciler.hints[order.order_no]
    left = max(0, heard - listed)
    assert (hint.quantity, hint.amount_krw) == (left, left * 70_000)


def test_stocks_that_matter_and_stocks_that_are_occupied():
    """Matters: named, ever held, or ordered today by us. Occupied: held, or may be bought; a sell is neither."""
    bench = Bench().start()
    core, ledger = bench.engine.core, bench.ledger
    ended = books.update(books.E.REFUSED, "refused")
    for entry in (
        books.intent_of("refused", symbol="000001"), ended,
        books.intent_of("buy", symbol="000002"), books.intent_of("sell", books.SELL, symbol="000003"),
        books.intent_of("his", symbol="000004", purpose="external"),
    ):  # fmt: skip
        ledger.apply(entry)
    found = [core.matters(f"00000{n}") for n in range(1, 6)]
    assert found == [True, True, True, False, False]
    assert core.matters(SYMBOL) and core.matters(OTHER)
    assert core.occupied() == {"000002"}


@pytest.mark.parametrize("seed", range(6))
def test_the_next_question_by_a_plain_sorting(seed):
    """Held stocks first, then those that waited ten seconds, the longest first, then by kind."""
    pick, now = random.Random(seed), datetime(2026, 11, 20, 10, tzinfo=bot.KST)
    kinds = ("orders", "cash", "price")
    for _ in range(40):
        agenda = bot.Agenda()
        agenda.is_held = "held".__eq__
        for what in ("orders", "cash", "holdings"):
            agenda.note_asked(what, now)
        wanted = [
            bot.Ask("orders"),
            bot.Ask("cash"),
            bot.Ask("price", "held"),
            bot.Ask("price", "other"),
        ]
        ages = {ask: pick.choice((0, 4, 9, 11, 12, 30)) for ask in pick.sample(wanted, 3)}
        for ask, age in ages.items():
            agenda.want(ask, now - timedelta(seconds=age))
        rank = sorted(
            ages, key=lambda a: (a.symbol != "held", -max(ages[a], 10), kinds.index(a.what))
        )
        assert agenda.take(kinds, True, now)[0] == rank[0], ages


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [(10, 10), (15, 15), (16, 15), (999_999, 15), (1_000_000, 15), (1_000_001, None)],
)
def test_a_wish_for_more_than_the_limit_of_shares_becomes_one_of_the_limit(wanted, sent):
    """Up to a million, which is no wish any more but a mistake: that is refused."""
    bench = Bench(limits={"max_quantity": 15}).start()
    found = [call.intent.quantity for call in calls(bench.want(wish(quantity=wanted)), "new")]
    assert found == ([sent] if sent else [])


@pytest.mark.parametrize(
    ("stop", "ratio", "reason"),
    [(70_000, 0.01, "trailing stop"), (69_900, 0.01, "stop"), (70_100, 0.01, "trailing stop"), (70_100, 0.0, "stop")],
)  # fmt: skip
def test_a_stop_that_trailed_to_the_cost_is_called_so(stop, ratio, reason):
    """From break-even on it took nothing but gain away."""
    bench = Bench().start()
    bench.hold_shares(plan=FAR)
    bench.ledger.position(SYMBOL).plan = bot.ExitPlan(stop, 0, ratio)
    bench.trade(69_800)
    assert bench.state.exit and bench.state.exit.reason == reason


@pytest.mark.parametrize(
    ("later_s", "purpose", "news"),
    [(0, "exit", False), (3_599, "exit", False), (3_600, "exit", True), (0, "entry", True)],
)  # fmt: skip
def test_a_refusal_of_an_exit_is_news_each_hour(later_s, purpose, news):
    """The same stock and code; entries are told each time."""
    bench = Bench().start()
    core, desk = bench.engine.core, bench.engine._handlers[bot.OrderAnswered].__self__
    intent, began = replace(ENTRY, purpose=purpose), core.now
    assert desk._is_news(intent, "APBK1 text")
    core.now = began + timedelta(seconds=later_s)
    assert desk._is_news(intent, "APBK1 other words") is news
    assert desk._is_news(intent, "APBK2 text")


@pytest.mark.parametrize("shares", [(10, 0), (0, 7), (10, 7), (3, 20)])
def test_the_result_of_a_day_is_that_of_all_stocks_since_their_base_prices(shares):
    """Held over night each counts from today's base price, however many there are; and the morning's worth."""
    bench = Bench(flat_at=None).start()
    core, ledger = bench.engine.core, bench.ledger
    paid, base, now = (60_000, 30_000), (70_500, 29_000), (71_000, 28_500)
    for symbol, count, cost in zip((SYMBOL, OTHER), shares, paid, strict=True):
        for entry in (
            books.bought(count, cost, symbol, symbol.zfill(10), symbol=symbol) if count else ()
        ):
            ledger.apply(entry)
    ledger.apply(bot.DayOpened(NEXT_DAY, bench.now))
    for symbol, first, last in zip((SYMBOL, OTHER), base, now, strict=True):
        state = core.symbols[symbol]
        state.instrument, state.last_trade = replace(instrument(symbol), base_price=first), None
        state.quoted = bot.Known(last, bench.now)
    rows = list(zip(shares, base, now, strict=True))
    assert core.day_result_krw() == sum(count * (last - first) for count, first, last in rows)
    worth = sum(count * first for count, first, _ in rows)
    assert core.morning_equity_krw() == ledger.morning_cash_krw + worth


def test_nothing_is_said_of_a_scale_before_the_price_of_the_day_came():
    """A close is kept, the first answer is still on its way: no doubt yet, and no fault."""
    bench = Bench().start()
    close = bot.CloseKept(SYMBOL, 70_000, books.DAY, True, bench.now)
    bench.ledger.closes[SYMBOL] = close
    bench.engine.core.session = bot.session_of(NEXT_DAY)
    for known in (None, replace(instrument(), base_price=0)):
        bench.state.instrument = known
        assert bot.new_scale(bench.engine.core, SYMBOL) is False


class Grabbing(Scripted):
    """Writes into one field of the position that it is shown, in place, at its first trade; fails or not."""

    def __init__(self, name, fails):
        super().__init__()
        self.name, self.fails, self.done = name, fails, False

    def on_trade(self, view, trade):
        if trade.symbol == SYMBOL and view.position.quantity and not self.done:
            self.done = True
            had = getattr(view.position, self.name)
            setattr(view.position, self.name, "mine" if isinstance(had, str) else 7)
            if self.fails:
                raise ValueError


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", list(bot.Position.__dataclass_fields__))
def test_what_a_strategy_wrote_into_its_position_is_taken_out_again(name, fails):
    """Field by field: shares, cost, plan and all the rest are what the ledger booked; the stock stops."""
    bench = Bench(strategy=Grabbing(name, fails)).start()
    bench.hold_shares(plan=FAR)
    position = bench.ledger.position(SYMBOL)
    before = position.values()
    bench.wait(1)
    bench.trade(70_000)
    assert bench.strategy.done
    assert position.values() == before
    assert SYMBOL in bench.ledger.stopped


@pytest.mark.parametrize("owners", [True, False])
def test_a_wish_that_goes_again_is_still_the_owners_or_the_strategys(owners):
    """Its position belongs to whoever wished it, also at the second try."""
    bench = Bench().start()
    if owners:
        bench.trade(70_000)
        done = bench.command("buy", text=f"{SYMBOL} 10 70000")
        done += bench.seen(instrument()) if asks(done, "price") else []
    else:
        done = bench.want(wish(plan=FAR))
    [call] = calls(done, "new")
    bench.answer(call, bot.Outcome.NOT_SENT, code="EGW00201", text="too many")
    bench.wait(7)
    bench.trade(70_000)
    bench.seen(instrument())
    bench.seen(bot.Cash(10_000_000))
    [again] = calls(bench.list_of(), "new")
    assert again.intent.leg == call.intent.leg == (bot.OWNERS_LEG if owners else "entry")


@pytest.mark.parametrize("holdings", [(), ((SYMBOL, 10, 0),), ((SYMBOL, 10, 4),)])
def test_after_a_refusal_no_more_is_sold_than_a_newer_balance_frees(holdings):
    """A balance without the stock frees none."""
    bench = Bench().start()
    call = exit_sent(bench)
    bench.answer(call, bot.Outcome.REFUSED, code="APBK1", text="no")
    bench.wait(1)
    bench.balance(*holdings)
    expected = [holdings[0][2]] if holdings and holdings[0][2] else []
    assert [each.intent.quantity for each in calls(bench.wait(20), "new")] == expected


def test_a_number_of_another_day_is_no_canary_of_today():
    """An order of yesterday that the owner named today stands in no list of today: they are complete."""
    ledger, reconciler = books.unknown_order()
    for entry in books.working("old", "0000000333", trade_date=books.NEXT_DAY):
        ledger.apply(entry)
    for asked in (100, 150, 200):
        assert books.look(ledger, reconciler, books.KNOWN, asked=asked) == []
    assert reconciler.searches["one"].clean_lists == 3


@pytest.mark.parametrize("ended", [books.E.CANCELLED, books.E.EXPIRED, books.E.REJECTED])
def test_a_change_of_an_order_that_ended_is_not_followed(ended):
    """Whatever a list shows under a later number: what is closed stays closed."""
    ledger = books.new_ledger(*books.working(), books.update(ended, number="0000000001"))
    child = books.row_of("0000000002", original_no="0000000001")
    assert books.look(ledger, bot.Reconciler(ledger, False), child) == []


@pytest.mark.parametrize(
    ("account", "mine"),
    [("5012345601", True), (" 5012345601 ", True), ("5012345602", False), ("5012345701", False), ("", False)],
)  # fmt: skip
def test_a_notice_of_another_account_of_the_id_is_dropped(account, mine):
    """All ten digits: the product behind the number is another account as well."""
    fields = [
        "me",
        account,
        "7",
        "",
        "02",
        "0",
        "00",
        "",
        "005930",
        "10",
        "70000",
        "100000",
        "0",
        "1",
        "1",
    ]
    found = bot.FrameDecoder("5012345601")._notice([*fields, *[""] * 8])
    assert (found is not None) is mine


@pytest.mark.parametrize(
    ("owners", "shown", "booked"), [(0, 10, True), (3, 13, True), (3, 10, False), (3, 12, False), (0, 13, False)]
)  # fmt: skip
def test_a_balance_confirms_notices_with_the_owners_shares_in_it(owners, shown, booked):
    """It shows all shares of the account: his and those that the notices told of."""
    ledger, reconciler = books.hinted(*books.FILLS)
    ledger.external[SYMBOL] = owners
    assert (books.read_balance(ledger, reconciler, shown, asked=30) == [books.E.FILL]) is booked


@pytest.mark.parametrize(
    ("filled", "cancelled", "rejected", "event"),
    [(0, 10, 0, "cancelled"), (4, 6, 0, "cancelled"), (0, 0, 10, "rejected"), (4, 0, 6, "rejected"),
     (4, 3, 3, "rejected"), (4, 5, 0, None), (4, 0, 5, None), (0, 9, 0, None)],
)  # fmt: skip
def test_the_end_of_an_order_by_the_shares_of_its_row(filled, cancelled, rejected, event):
    """Filled, cancelled and rejected shares are all of it; a rejected rest says so."""
    ledger = books.new_ledger(*books.working())
    row = books.row_of(
        "0000000001", filled_quantity=filled, filled_amount_krw=filled * 70_000,
        cancelled_quantity=cancelled, rejected_quantity=rejected,
    )  # fmt: skip
    found = [
        each.name.lower() for _, each in books.look(ledger, bot.Reconciler(ledger, False), row)
    ]
    assert found == (["fill"] if filled else []) + ([event] if event else [])


def test_the_end_of_one_call_is_not_that_of_another():
    """Two entries are being sent; the answer to one leaves the other under way."""
    bench = Bench().start()
    [first] = calls(bench.want(wish("one", plan=FAR)), "new")
    [second] = calls(bench.want(wish("two", OTHER, plan=FAR)), "new")
    assert bench.engine.core.calling == {first.intent.intent_id, second.intent.intent_id}
    bench.answer(first)
    assert bench.engine.core.calling == {second.intent.intent_id}


def test_what_becomes_of_an_order_of_the_owner_is_not_told():
    """That there is one is told once; its end is his own affair."""
    bench = Bench().start()
    row = books.row_of("0000000800", moment="10:00:00")
    assert alerts(bench.list_of(row)) == ["external_order"]
    assert alerts(bench.list_of(replace(row, cancelled_quantity=10))) == []
    [order] = bench.ledger.orders.values()
    assert order.status is S.CANCELLED


@pytest.mark.parametrize("wanted", list(K))
@pytest.mark.parametrize("shown", ["", *K])
def test_a_row_fits_an_order_of_its_own_kind_or_names_none(wanted, shown):
    """A limit of the owner is no market order of ours."""
    intent, row = (
        books.intent_of(kind=wanted, price=0),
        books.row_of("0000000077", price=0, kind=shown),
    )
    assert bot.fits(intent, row) is (shown in ("", wanted))


@pytest.mark.parametrize(("owners", "told"), [(True, 1), (False, 0)])
def test_a_wish_after_the_last_entry_is_told_to_the_owner_only(owners, told):
    """The settings say so to a strategy; he waits for an answer."""
    bench = Bench(flat_at=None, last_entry="14:30").start("14:40:00")
    bench.trade(70_000)
    bench.seen(instrument())
    if owners:
        done = bench.command("buy", text=f"{SYMBOL} 10 70000")
    else:
        bench.engine.entries.consider(bench.state, wish())
        done = bench.feed(bot.TimeEvent(bench.now))
    assert [row.data["code"] for row in records(done, "refusal")] == ["SESSION"]
    assert alerts(done).count("refused") == told


@pytest.mark.parametrize(("ahead_s", "refused"), [(2, False), (3, True), (-3, False), (-4, True)])
def test_a_trade_of_a_moment_to_come_is_as_stale_as_an_old_one(ahead_s, refused):
    """Beyond the tolerance of the clocks, one way, and beyond its age, the other."""
    bench = Bench(limits={"max_data_age_s": 3.0}).start()
    bench.trade(70_000, ts=bench.now + timedelta(seconds=ahead_s))
    bench.seen(instrument())
    bench.engine.entries.consider(bench.state, wish())
    found = records(bench.feed(bot.TimeEvent(bench.now)), "refusal")
    assert [row.data["code"] for row in found] == (["STALE"] if refused else [])


@pytest.mark.parametrize(
    ("by_price", "by_balance", "name"),
    [("one", "two", "one"), ("", "two", "two"), ("one", None, "one"), (None, "two", "two"), (None, None, ""), ("", None, "")],
)  # fmt: skip
def test_a_stock_has_the_name_of_its_price_answer_or_of_the_balance(by_price, by_balance, name):
    """The first of the two that names it."""
    core = Bench().start().engine.core
    known = None if by_price is None else replace(instrument(), name=by_price)
    core.symbols[SYMBOL].instrument = known
    lines = (
        {} if by_balance is None else {SYMBOL: bot.Holding(SYMBOL, 1, 1, Decimal(1), by_balance)}
    )
    core.holdings = bot.Known(lines, core.now)
    assert bot.name_of(core, SYMBOL) == name


@pytest.mark.parametrize("ratio", [0.0, 0.01])
@pytest.mark.parametrize(
    ("price", "reason"),
    [(71_900, None), (72_000, "target"), (72_100, "target"), (69_000, "stop"), (69_100, None)],
)
def test_a_plan_with_a_target_ends_there_whether_its_stop_trails_or_not(ratio, price, reason):
    """Stop, then target, then the trailing of the stop: each at its price, to the tick."""
    bench = Bench().start()
    bench.hold_shares(plan=FAR)
    bench.ledger.position(SYMBOL).plan = bot.ExitPlan(69_000, 72_000, ratio)
    bench.trade(price)
    assert (bench.state.exit.reason if bench.state.exit else None) == reason


@pytest.mark.parametrize(
    ("halted", "auction"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_neither_a_halted_stock_nor_one_in_an_auction_is_bought(halted, auction):
    """One of both is enough, for a wish and for what waits to be sent."""
    bench = Bench().start()
    bench.trade(70_000)
    bench.seen(instrument())
    bench.state.halted, bench.state.auction = halted, auction
    bench.engine.entries.consider(bench.state, wish())
    done = bench.engine.finish()
    assert [row.data["code"] for row in records(done, "refusal")] == ["HALTED"] * (
        halted or auction
    )
    assert len(calls(done, "new")) == (not halted and not auction)


def test_a_price_answer_says_whether_a_stock_is_a_fund_each_time():
    """Its tick, its fee and its tax follow the newest answer; another stock stays what it is."""
    bench = Bench().start()
    for fund in (True, False, True):
        bench.seen(replace(instrument(), fund=fund))
        assert bench.state.view.fund is fund
        assert not bench.engine.core.symbols[OTHER].view.fund


def test_an_auction_lasts_by_our_own_time_not_by_that_of_its_quotes():
    """Its quotes may bear a time that stands still: after five minutes it is over all the same."""
    bench = Bench().start()
    shown = bot.Quote(SYMBOL, bench.now, 70_100, 70_000, 5, 5, 70_000, "C")
    seen = []
    for seconds in (0, 299, 1, 1):
        bench.wait(seconds)
        bench.feed(shown)
        seen.append(bench.state.auction)
    assert seen == [True, True, False, False]


# --- what a night leaves to the next day ---


def test_the_close_of_today_says_nothing_about_the_scale_of_today():
    """A restart in the evening: the close was kept minutes ago, far from this morning's base price."""
    bench = Bench().start()
    bench.ledger.closes[SYMBOL] = bot.CloseKept(SYMBOL, 70_000, books.DAY, True, bench.now)
    bench.state.instrument = replace(instrument(), base_price=60_000)
    assert bot.new_scale(bench.engine.core, SYMBOL) is False
    bench.engine.core.session = bot.session_of(NEXT_DAY)
    assert bot.new_scale(bench.engine.core, SYMBOL) is True


@pytest.mark.parametrize(("shown", "new"), [(25, True), (13, False), (20, False), (0, False)])
def test_a_split_of_days_ago_is_seen_in_all_shares_of_the_account(shown, new):
    """Ten of ours and ten of the owner's: 25 after 5 for 4; what ours alone would give is none."""
    bench = Bench().start()
    bench.hold_shares(bot.ExitPlan(50_000, 90_000))
    bench.ledger.external[SYMBOL] = 10
    bench.ledger.closes[SYMBOL] = bot.CloseKept(SYMBOL, 70_000, books.DAY, True, bench.now)
    later = bot.next_trading_day(bot.next_trading_day(books.DAY))
    bench.engine.core.session = bot.session_of(later)
    bench.state.instrument = replace(instrument(), base_price=56_000)
    assert bot.new_scale(bench.engine.core, SYMBOL, shown) is new


def test_until_the_account_was_taken_a_new_scale_alone_holds_the_stop():
    """The first trade comes before the first balance: nobody could say yet what happened."""
    bench = Bench().start()
    bench.hold_shares()
    core = bench.engine.core
    bench.ledger.closes[SYMBOL] = bot.CloseKept(SYMBOL, 70_000, books.DAY, True, bench.now)
    core.session = bot.session_of(NEXT_DAY)
    bench.state.instrument = replace(instrument(), base_price=14_000)
    assert bot.action_doubt(core, SYMBOL) is False
    core.hold("account", on=True)
    assert bot.action_doubt(core, SYMBOL) is True
    assert calls(bench.trade(13_500)) == []


def test_the_kill_switch_sells_what_waits_for_an_answer_about_a_split():
    """A stop of another scale fires nothing; `flatten` is a word about shares, not about prices."""
    bench = Bench().start()
    bench.hold_shares()
    seen = bot.ActionSeen(SYMBOL, "unexplained", 70_000, 14_000, 10, 10, bench.now)
    bench.ledger.apply(seen)
    assert calls(bench.trade(68_000)) == []
    bench.command("level", level=bot.KillLevel.FLATTEN_AND_HALT, text="owner")
    sent = bench.wait(1)
    assert [(each.intent.side, each.intent.quantity) for each in calls(sent)] == [(SELL, 10)]


def test_a_trailing_stop_of_a_fine_tick_is_a_row_at_each_thousandth_not_at_each_tick():
    """A fund of 30,000 won moves by 5: seven ticks and more are a row, less is none."""
    bench = Bench().start()
    bench.hold_shares(bot.ExitPlan(69_000, 0, 0.01))
    bench.state.view.fund = True
    rows = []
    for price in range(70_000, 70_300, 5):
        rows += records(bench.trade(price), "ledger")
    stops = [row.data.plan.stop_price for row in rows]
    assert len(stops) == 5
    assert all(new * 1000 >= old * 1001 for old, new in itertools.pairwise([69_000, *stops]))


def test_an_order_of_another_day_is_not_taken_back_by_its_number():
    """Numbers begin anew each morning: the same one is somebody else's today."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    bench.answer(call)
    order = bench.ledger.orders[call.intent.intent_id]
    exits = bench.engine.exits
    bench.ledger.day = NEXT_DAY
    exits.cancel(order)
    assert order.status is bot.OrderStatus.WORKING
    bench.ledger.day = books.DAY
    exits.cancel(order)
    assert order.status is bot.OrderStatus.CANCEL_PENDING


def test_a_partly_filled_sell_binds_only_what_is_left_of_it():
    """Ten out, four filled: six shares are out, not ten."""
    bench = Bench().start()
    bench.hold_shares()
    [sell] = calls(bench.trade(68_900))
    bench.answer(sell)
    order = bench.ledger.orders[sell.intent.intent_id]
    bench.fill(order, 4, 68_900)
    facts = bench.engine.entries._facts(bench.state, sell.intent)
    assert (facts.open_sells, facts.position) == (6, 6)
