"""Days of other people: what public reports of this field describe, one rule each."""

import doctest
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from email.utils import format_datetime
from fractions import Fraction

import pytest
from test_codec import HOLDING, PRICE, SUMMARY
from test_engine import (
    NEXT_DAY,
    OTHER,
    SETTINGS,
    SYMBOL,
    Bench,
    Scripted,
    alerts,
    calls,
    instrument,
    records,
    wish,
)

import kis_realtime_trading as bot


class Confused(Scripted):
    """Asked about one stock it wants to sell another, once it is confused."""

    confused = False

    def on_bar(self, view, bar):
        if self.confused and view.symbol == SYMBOL:
            return bot.OrderRequest(OTHER, bot.Side.SELL, 10, "s")
        return super().on_bar(view, bar)


def overnight(close, **settings):
    """Return a bench on the day after 10 shares were bought at 70,000, with this base price."""
    bench = Bench(**{"flat_at": None, **settings}).start()
    bench.hold_shares(plan=bot.ExitPlan(40_000))
    bench.at("15:40:00")
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.totals = dict.fromkeys(bench.totals, 0)
    bench.start("08:59:00", [(SYMBOL, 10)])
    bench.seen(
        bot.Instrument(SYMBOL, "KOSPI", False, close, close * 13 // 10, close * 7 // 10, close)
    )
    bench.list_of(*bench.rows())
    bench.at("10:00:00")
    return bench


def loss_beside_the_owners_stop():
    """Return a day whose loss passed its limit after the owner had stopped entries."""
    bench = overnight(84_000)
    bench.command("level", level=bot.KillLevel.ENTRIES_OFF, text="mine")
    bench.trade(72_000)
    bench.wait(2)
    return bench


def test_the_day_counts_from_yesterdays_close():
    """Cost 70,000, close 84,000, now 72,000: 120,000 lost today; the limit of 50,000 acts."""
    bench = overnight(84_000)
    bench.trade(72_000)
    bench.wait(2)
    assert bench.engine.core.day_result_krw() == -120_000
    assert bench.ledger.level is bot.KillLevel.REDUCE_ONLY


def test_a_loss_of_yesterday_is_no_loss_of_today():
    """Close 65,500, now 65,000: 5,000 lost today, whatever the shares did cost."""
    bench = overnight(65_500)
    bench.trade(65_000)
    bench.wait(2)
    assert bench.engine.core.day_result_krw() == -5_000
    assert bench.ledger.level is bot.KillLevel.ACTIVE


def test_the_morning_is_worth_cash_and_shares():
    """The per cent limit is of the account's equity: cash and shares at yesterday's close."""
    bench = overnight(84_000)
    core = bench.engine.core
    assert core.morning_equity_krw() == bench.ledger.morning_cash_krw + 840_000


def test_shares_that_the_owner_took_bring_no_result():
    """What left at cost leaves the figures of the night as well."""
    bench = overnight(84_000)
    bench.ledger.apply(bot.PositionAdjusted(SYMBOL, 4, "sold by phone", bench.now))
    assert bench.ledger.overnight[SYMBOL] == (4, Fraction(280_000))


def test_a_rule_tightens_whatever_is_looser():
    """The day's loss takes resting entries back also when the owner stopped entries before."""
    assert loss_beside_the_owners_stop().ledger.level is bot.KillLevel.REDUCE_ONLY


def test_lines_of_one_stock_are_added():
    """A stock held in cash and on credit comes in several lines; all of them are its shares."""
    loan = {**HOLDING, "hldg_qty": "6", "ord_psbl_qty": "1", "pchs_avg_pric": "248760.0000"}
    [held] = bot.parse_balance([HOLDING, loan], SUMMARY).holdings
    assert (held.quantity, held.sellable, held.average_price) == (10, 5, Decimal("248756"))


def test_no_exit_by_time_while_the_clock_is_doubted():
    """End of day waits for a clock that the broker confirms; a stop does not."""
    bench = Bench(flat_at="15:12").start()
    bench.hold_shares()
    bench.command("hold", text="clock")
    assert not calls(bench.at("15:13:00"))
    [call] = calls(bench.trade(68_000))
    assert call.intent.reason == "stop"


def test_an_exit_is_priced_from_the_freshest_price():
    """A feed that died at 70,000 while REST shows 66,000: the exit is a limit at 66,000."""
    bench = Bench().start()
    bench.hold_shares()
    bench.trade(70_000)
    bench.wait(40)
    [call] = calls(bench.seen(instrument(price=66_000)))
    assert (call.intent.side, call.intent.price) == (bot.Side.SELL, 66_000)


def test_a_wish_to_sell_another_stock_sells_nothing():
    """The stock that the strategy was asked about is not the one it named."""
    bench = Bench(Confused()).start()
    bench.hold_shares()
    bench.strategy.confused = True
    bench.trade(70_000)
    done = bench.at("10:15:00") + bench.trade(70_000)
    assert calls(done) == []
    assert "SYMBOL" in [each.data["code"] for each in records(done, "refusal")]


def test_a_wish_after_the_last_entry_is_not_told():
    """It is kept in the journal; nobody is woken by a setting that works."""
    bench = Bench(last_entry="10:01").start()
    done = bench.want(wish())
    assert "refused" not in alerts(done)
    assert calls(done) == []


def test_an_end_of_day_that_cannot_work_is_refused():
    """No order is taken after 15:30, so nothing can be sold at 15:40."""
    with pytest.raises(ValueError, match="15:29"):
        bot.BotSettings.model_validate({**SETTINGS, "flat_at": "15:40"})


def test_the_day_of_the_examples_is_a_trading_day():
    """The dates of this file must be sessions, or nothing above says anything."""
    assert bot.session_of(date(2026, 11, 23)) is not None


def test_konex_pays_its_own_tax():
    """KONEX: 0.10 % and no rural tax, read from the name of the market."""
    assert bot.sell_tax(1_000_000, "KONEX", False, date(2026, 11, 20)) == 1_000
    assert bot.sell_tax(1_000_000, "KOSPI", False, date(2026, 11, 20)) == 2_000


# --- corporate actions ------------------------------------------------------------------


LEVELS = bot.ExitPlan(68_000, 75_000)


def morning_after(base, shown, close=70_000, plan=LEVELS, **settings):
    """Return a bench after a night with 10 shares bought at 70,000: close, base price, balance."""
    bench = Bench(**{"flat_at": None, **settings}).start()
    bench.hold_shares(plan=plan)
    bench.at("15:29:00")
    bench.trade(close)
    bench.at("15:31:00")
    bench.seen(bot.Instrument(SYMBOL, "KOSPI", False, 70_000, 91_000, 49_000, close))
    bench.at("15:31:05")
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.totals = dict.fromkeys(bench.totals, 0)
    wake(bench, base, shown)
    return bench


def wake(bench, base, shown):
    """Run the morning of the next day with a base price and a count of shares."""
    bench.command("restarted")
    bench.command("day", session=bot.session_of(bench.now.date()))
    up, down = base * 13 // 10, base * 7 // 10
    bench.seen(bot.Instrument(SYMBOL, "KOSPI", False, base, up, down, base))
    bench.list_of()
    bench.balance((SYMBOL, shown))
    bench.seen(bot.Cash(10_000_000))
    bench.command("feed up")
    bench.list_of()
    bench.at("10:00:00")


def sells(actions):
    """Return the calls that sell."""
    return [call for call in calls(actions) if call.intent.side is bot.Side.SELL]


def test_an_ex_date_sells_nothing_for_a_stop_of_the_old_scale():
    """Bonus issue: base 23,300 after a close of 70,000. The stop of 68,000 is held, told once."""
    bench = morning_after(23_300, 10)
    assert [alerts(bench.actions).count(code) for code in ("corporate_action", "level")] == [1, 0]
    done = bench.trade(23_400) + bench.wait(20)
    assert sells(done) == []
    assert bench.engine.core.day_result_krw() == 1_000
    assert bench.ledger.position(SYMBOL).quantity == 10


def test_the_owner_scales_the_levels_by_a_word():
    """`scale` moves stop and target by base / close; then the stop fires as always."""
    bench = morning_after(35_000, 10)
    bench.command("levels", text=f"{SYMBOL}=scale")
    assert bench.ledger.position(SYMBOL).plan == bot.ExitPlan(34_000, 37_500)
    assert sells(bench.trade(34_500)) == []
    assert len(sells(bench.trade(33_900))) == 1


def test_the_owner_keeps_the_levels_by_a_word():
    """`keep` leaves them as they are, and they are watched again."""
    bench = morning_after(35_000, 10, plan=bot.ExitPlan(34_500))
    bench.command("levels", text=f"{SYMBOL}=keep")
    assert bench.ledger.position(SYMBOL).plan == bot.ExitPlan(34_500)
    assert len(sells(bench.trade(34_400))) == 1


def test_a_split_carries_the_cost_over():
    """5:1: 10 at 70,000 become 50 at 14,000; no share is the owner's, no won is earned or lost."""
    bench = morning_after(14_000, 50)
    position = bench.ledger.position(SYMBOL)
    assert (position.quantity, position.cost) == (50, 700_000)
    assert bench.ledger.external.get(SYMBOL, 0) == 0
    bench.trade(14_000)
    assert bench.engine.core.day_result_krw() == 0


def test_a_reverse_split_takes_nothing_away():
    """1:10: 10 shares become 1 for the same money; nobody sold nine."""
    bench = morning_after(700_000, 1)
    position = bench.ledger.position(SYMBOL)
    assert (position.quantity, position.cost) == (1, 700_000)
    assert "mismatch" not in alerts(bench.actions)


def test_the_settings_may_scale_without_a_question():
    """`on_corporate_action: scale` moves the levels of what is explained, and tells it."""
    bench = morning_after(14_000, 50, on_corporate_action="scale")
    assert bench.ledger.position(SYMBOL).plan == bot.ExitPlan(13_600, 15_000)
    assert len(sells(bench.trade(13_500))) == 1


def test_what_is_not_explained_waits_for_the_owner_in_any_case():
    """Twice the shares at a fifth of the price is no split: no rule of the settings answers it."""
    bench = morning_after(14_000, 20, on_corporate_action="scale")
    assert SYMBOL in bench.ledger.actions
    assert sells(bench.trade(13_000)) == []


def test_a_restart_asks_the_same_question_not_twice():
    """The hold is a row of the ledger: a new process keeps it and does not tell it again."""
    bench = morning_after(23_300, 10)
    told = alerts(bench.actions).count("corporate_action")
    again = Bench(ledger=bench.ledger, flat_at=None)
    again.now = bench.now
    wake(again, 23_300, 10)
    assert told == 1
    assert "corporate_action" not in alerts(again.actions)
    assert sells(again.trade(23_400)) == []
    again.command("level", level=bot.KillLevel.FLATTEN_AND_HALT, text="the owner")
    assert len(sells(again.wait(2))) == 1


def test_after_the_answer_the_same_day_asks_no_more():
    """A process that starts after the answer guards at once."""
    bench = morning_after(35_000, 10)
    bench.command("levels", text=f"{SYMBOL}=scale")
    again = Bench(ledger=bench.ledger, flat_at=None)
    again.now = bench.now
    wake(again, 35_000, 10)
    assert "corporate_action" not in alerts(again.actions)
    assert len(sells(again.trade(33_900))) == 1


@pytest.mark.parametrize(("word", "moved"), [("scale", 36_150), ("keep", 34_000)])
def test_a_trailing_stop_goes_on_behind_an_ex_date(word, moved):
    """What the shares cost is halved with the price: above that the stop follows, below it never does."""
    bench = morning_after(
        35_000, 10, plan=bot.ExitPlan(68_000 if word == "scale" else 34_000, 0, 0.02)
    )
    bench.command("levels", text=f"{SYMBOL}={word}")
    bench.trade(34_900)
    assert bench.ledger.position(SYMBOL).plan == bot.ExitPlan(34_000, 0, 0.02)
    bench.trade(36_900)
    assert bench.ledger.position(SYMBOL).plan == bot.ExitPlan(moved, 0, 0.02)
    assert bench.ledger.position(SYMBOL).scale == (0.5 if word == "scale" else 1)


def test_a_usual_night_asks_nothing():
    """The base price is the close: levels are watched as ever."""
    bench = morning_after(70_000, 10)
    assert bench.ledger.actions == {}
    assert len(sells(bench.trade(67_900))) == 1


def test_a_base_price_that_is_corrected_ends_the_question():
    """An answer of the early morning may be of yesterday; a later one is the close: guarded."""
    bench = morning_after(66_000, 10)
    assert SYMBOL in bench.ledger.actions
    bench.seen(bot.Instrument(SYMBOL, "KOSPI", False, 70_000, 91_000, 49_000, 70_000))
    assert bench.ledger.actions == {}
    assert len(sells(bench.trade(67_900))) == 1


def test_a_base_price_of_nothing_ends_no_question():
    """An answer without a base price says nothing about the close, also on the same morning."""
    bench = morning_after(66_000, 10)
    bench.seen(replace(bench.state.instrument, base_price=0))
    assert SYMBOL in bench.ledger.actions


def test_a_base_price_that_is_corrected_ends_no_question_whose_shares_have_changed():
    """Five times the shares are counted by then: only the owner says what holds."""
    bench = morning_after(14_000, 50, on_corporate_action="hold")
    bench.seen(replace(bench.state.instrument, base_price=70_000, last_price=70_000))
    assert SYMBOL in bench.ledger.actions


def night(bench, close, base, shown, day=date(2026, 11, 24)):
    """Let a day end at a close and the next one begin with a base price and a count of shares."""
    bench.at("15:29:00")
    bench.trade(close)
    bench.at("15:30:10")
    bench.trade(close)
    bench.at("15:31:05")
    bench.seen(replace(bench.state.instrument, last_price=close))
    bench.at("15:31:30")
    bench.now = datetime.combine(day, time(8, 30), bot.KST)
    bench.totals = dict.fromkeys(bench.totals, 0)
    wake(bench, base, shown)


def test_a_question_of_the_day_before_is_still_open():
    """Nobody answered the ex-date: the next base price is that day's close, no word to keep the levels."""
    bench = morning_after(23_300, 10)
    night(bench, 23_300, 23_300, 10)
    assert SYMBOL in bench.ledger.actions
    assert alerts(bench.actions).count("corporate_action") == 1
    said = bot.morning_lines(bench.engine.core, str)
    assert [each.values["what"] for each in said if each.code == "hold_line"] == ["action"]
    assert sells(bench.trade(23_400) + bench.wait(20)) == []
    bench.command("levels", text=f"{SYMBOL}=scale")
    assert bench.ledger.position(SYMBOL).plan == bot.ExitPlan(22_600, 25_000)


def test_a_stock_that_is_back_at_its_old_price_answers_no_question():
    """On the ex-date it rose by half, to the very close of the day before: the levels are still to scale."""
    bench = morning_after(46_700, 10)
    night(bench, 70_000, 70_000, 10)
    assert SYMBOL in bench.ledger.actions
    assert "levels_set" not in alerts(bench.actions)
    assert sells(bench.trade(67_900) + bench.wait(20)) == []


@pytest.mark.parametrize("base", [0, 23_300])
def test_a_price_answer_of_the_evening_answers_no_question(base):
    """The close of the new scale is kept by then, and a base price of 0 is no close."""
    bench = morning_after(23_300, 10)
    night(bench, 23_300, 23_300, 10)
    bench.seen(replace(bench.state.instrument, base_price=base))
    assert SYMBOL in bench.ledger.actions


def test_two_actions_are_answered_by_one_word():
    """A bonus issue halves the price, nobody answers, a 5:1 split follows: the levels are a tenth."""
    bench = morning_after(35_000, 10, on_corporate_action="hold")
    night(bench, 36_000, 7_200, 50)
    assert alerts(bench.actions).count("corporate_action") == 2
    position = bench.ledger.position(SYMBOL)
    assert (position.quantity, position.cost) == (50, 700_000)
    assert bench.ledger.external.get(SYMBOL, 0) == 0
    assert sells(bench.trade(7_200)) == []
    bench.command("levels", text=f"{SYMBOL}=scale")
    assert position.plan == bot.ExitPlan(6_800, 7_500)
    assert bench.ledger.actions == {}


def test_a_reverse_split_that_leaves_less_than_a_share_leaves_no_cost_behind():
    """Ten of ours beside ten of the owner's become one share of his: a cost without shares was a gain."""
    bench = Bench(flat_at=None, on_corporate_action="scale").start()
    bench.hold_shares(plan=LEVELS)
    bench.ledger.external[SYMBOL] = 10
    night(bench, 70_000, 1_400_000, 1, day=NEXT_DAY)
    assert bench.ledger.position(SYMBOL) == bot.Position()
    assert (bench.ledger.actions, bench.ledger.external) == ({}, {SYMBOL: 1})
    assert bench.engine.core.day_result_krw() == 0
    assert "action" not in bot.holds_of(bench.engine.core, SYMBOL)


def test_a_rule_of_the_settings_answers_no_two_actions():
    """The first is not explained and waits for the owner: the split behind it does not scale both."""
    bench = morning_after(14_000, 20, on_corporate_action="scale")
    night(bench, 14_000, 7_000, 40)
    assert SYMBOL in bench.ledger.actions
    assert sells(bench.trade(6_000)) == []


def test_a_restart_after_a_night_off_asks_the_old_question_only():
    """The process ended before it kept a close of the new scale: the same action is no second one."""
    bench = morning_after(23_300, 10)
    seen = bench.ledger.actions[SYMBOL]
    again = Bench(ledger=bench.ledger, flat_at=None)
    again.now = datetime.combine(date(2026, 11, 24), time(8, 30), bot.KST)
    wake(again, 23_300, 10)
    assert again.ledger.actions[SYMBOL] == seen


@pytest.mark.parametrize("at", ["08:45:00", "15:41:00"])
def test_a_trade_outside_the_session_fires_no_stop(at):
    """After-hours and pre-market prints are prices of another book; the next one may be far above."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=bot.ExitPlan(68_000))
    bench.at(at) if at > "15" else night(bench, 70_000, 70_000, 10, NEXT_DAY)
    bench.now = bench.now.replace(hour=int(at[:2]), minute=int(at[3:5]))
    before = bench.state.last_trade
    assert calls(bench.trade(67_900)) == []
    assert bench.state.exit is None
    assert bench.state.last_trade is before


class Watcher(Scripted):
    """Sells on the first bid below 69,000."""

    def on_quote(self, view, quote):
        return view.sell("low", "low bid") if 0 < quote.bid < 69_000 else None


@pytest.mark.parametrize(("at", "goes"), [("08:45", 0), ("10:00", 1), ("15:24", 1), ("15:36", 0)])
def test_a_strategy_is_asked_about_no_quote_outside_the_session(at, goes):
    """A bid of the opening auction is no price yet: a sale decided on it would leave at the open."""
    bench = Bench(Watcher(), flat_at=None).start()
    bench.hold_shares(plan=bot.ExitPlan(40_000))
    bench.at("15:31:00")
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.totals = dict.fromkeys(bench.totals, 0)
    bench.start(at, [(SYMBOL, 10)])
    bench.quote(60_000)
    assert (bench.state.exit is not None) == goes


@pytest.mark.parametrize(("ends", "base", "asked"), [
    ("15:25:00", 52_500, True), ("15:25:00", 70_100, False), ("15:25:00", 65_000, False), ("15:10:00", 52_500, False),
])  # fmt: skip
def test_a_program_that_ends_before_the_close_sees_the_ex_date(ends, base, asked):
    """It died at 15:25: the price of 15:20 stands in for the close, unless they may differ by trading."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=LEVELS)
    bench.at("15:09:00")
    bench.trade(70_000)
    bench.at(ends)
    again = Bench(ledger=bench.ledger, flat_at=None)
    again.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    wake(again, base, 10)
    assert (SYMBOL in again.ledger.actions) is asked


def test_a_rule_gives_the_owners_own_level_back_in_the_morning():
    """He stopped entries, the day's loss took resting ones back: the next day his word holds."""
    bench = loss_beside_the_owners_stop()
    assert bench.ledger.level is bot.KillLevel.REDUCE_ONLY
    night(bench, 72_000, 72_000, 10)
    assert bench.ledger.level is bot.KillLevel.ENTRIES_OFF
    night(bench, 72_000, 72_000, 10, date(2026, 11, 25))
    assert bench.ledger.level is bot.KillLevel.ENTRIES_OFF


def held_over_night(close, stop=66_000, **settings):
    """Return a bench at 08:30 of the day after 10 shares were bought at 70,000."""
    bench = Bench(flat_at=None, **settings).start()
    bench.hold_shares(plan=bot.ExitPlan(stop))
    night(bench, close, close, 10, NEXT_DAY)
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    return bench


def test_a_price_of_last_evening_fires_no_stop_and_is_no_loss():
    """REST shows the after-market's 64,500 until the first trade: nothing is sold, nothing was lost."""
    bench = held_over_night(70_000)
    bench.command("day", session=bot.session_of(NEXT_DAY))
    done = bench.seen(instrument(price=64_500))
    bench.wait(5)
    bench.now = datetime.combine(NEXT_DAY, time(9, 0, 2), bot.KST)
    done += bench.wait(2) + bench.seen(instrument(price=64_500)) + bench.wait(2)
    assert bench.ledger.level is bot.KillLevel.ACTIVE
    assert (sells(done), bench.engine.core.day_result_krw()) == ([], 0)
    [call] = sells(bench.seen(instrument(price=65_500)))  # it moved: a price of today
    assert (call.intent.reason, call.intent.price) == ("stop", 65_500)


def test_a_price_guards_at_once_after_a_restart_in_the_day():
    """What REST shows first at 10:00 is of today, though no trade was heard yet."""
    first = held_over_night(70_000)
    first.now = datetime.combine(NEXT_DAY, time(10), bot.KST)
    again = Bench(ledger=first.ledger, flat_at=None)
    again.now = first.now
    again.command("restarted")
    again.command("day", session=bot.session_of(NEXT_DAY))
    assert len(sells(again.seen(instrument(price=65_500)))) == 1


def test_balances_without_lines_before_the_open_give_no_share_up():
    """The server shows nothing from 08:30 to the open, then all: the shares are ours, and guarded."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=bot.ExitPlan(66_000))
    bench.at("15:40:00")
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.totals = dict.fromkeys(bench.totals, 0)
    bench.command("day", session=bot.session_of(NEXT_DAY))
    bench.seen(instrument())
    bench.command("feed up")
    for minute in range(31, 60, 4):
        bench.now = bench.now.replace(minute=minute)
        bench.account()
    assert alerts(bench.actions).count("mismatch") == 1
    bench.now = bench.now.replace(hour=9, minute=1)
    bench.account((SYMBOL, 10))
    assert bench.ledger.position(SYMBOL).quantity == 10
    assert "account" not in bench.engine.core.holds
    assert len(sells(bench.trade(65_900))) == 1


@pytest.mark.parametrize(
    ("close", "price", "peak"), [(84_000, 84_000, 0), (60_000, 66_000, 58_587)]
)
def test_the_peak_of_the_day_counts_from_yesterdays_close(close, price, peak):
    """Gains of before are no peak of today, losses of before hide none; a rebuilt ledger agrees."""
    bench = held_over_night(close, 40_000, limits={"max_daily_loss_krw": 900_000})
    bench.now = datetime.combine(NEXT_DAY, time(10), bot.KST)
    bench.trade(price)
    [call] = sells(bench.command("sell", text=SYMBOL))
    bench.answer(call)
    bench.fill(bench.ledger.orders[call.intent.intent_id], price=price)
    bench.wait(2)
    core = bench.engine.core
    assert bench.ledger.today.peak_krw == peak == max(0, core.day_result_krw())
    assert (
        bench.engine.entries._facts(bench.state, call.intent).drawdown_krw
        == peak - core.day_result_krw()
    )


def test_of_shares_of_the_night_and_new_ones_the_old_are_sold_first():
    """Ten held from 84,000 on, ten more bought there: each sale moves its own part to the days before."""
    ledger = bot.Ledger()
    ledger.instruments[SYMBOL] = replace(instrument(), base_price=84_000)
    ledger.overnight[SYMBOL] = 10, Fraction(700_000)
    for shares in (4, 4, 12):
        ledger._leave_to_earlier_days(SYMBOL, shares)
    assert (ledger.today.earlier, ledger.today.sold) == (140_000, {SYMBOL: 10})


def test_a_close_that_nobody_heard_is_no_evidence():
    """Without the closing auction and REST the last trade may be some per cent off: no hold."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=bot.ExitPlan(40_000))
    bench.at("15:31:30")
    assert bench.ledger.closes[SYMBOL].sure is False
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.totals = dict.fromkeys(bench.totals, 0)
    wake(bench, 71_500, 10)
    assert bench.ledger.actions == {}


def after_days_off(days, base, shown):
    """Return a bench on a morning after so many trading days on which the program did not run."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=LEVELS)
    bench.at("15:29:00")
    bench.at("15:30:10")
    bench.trade(70_000)
    bench.at("15:31:10")
    day = bot.next_trading_day(NEXT_DAY, days)
    bench.now = datetime.combine(day, time(8, 30), bot.KST)
    bench.totals = dict.fromkeys(bench.totals, 0)
    wake(bench, base, shown)
    return bench


@pytest.mark.parametrize("days", [1, 4, 20])
@pytest.mark.parametrize(
    ("base", "shown"),
    [
        (14_000, 50),
        (35_000, 20),
        (56_000, 12),
        (6_360, 110),
        (163_335, 4),
        (84_000, 8),
        (700_000, 1),
    ],
)
def test_a_split_while_the_program_was_off_is_seen(days, base, shown):
    """The close kept is old, but count and price moved against each other, also by odd ratios."""
    bench = after_days_off(days, base, shown)
    position = bench.ledger.position(SYMBOL)
    assert (position.quantity, position.cost) == (shown, 700_000)
    assert bench.ledger.external.get(SYMBOL, 0) == 0
    assert sells(bench.trade(base) + bench.wait(10)) == []


@pytest.mark.parametrize(
    ("base", "shown"), [(23_300, 10), (48_000, 10), (93_000, 10), (14_000, 20)]
)
def test_a_price_far_from_an_old_close_is_asked_about(base, shown):
    """More than a day's limit away after some days off: a capital increase perhaps, perhaps not."""
    bench = after_days_off(3, base, shown)
    assert alerts(bench.actions).count("corporate_action") == 1
    assert sells(bench.trade(base) + bench.wait(10)) == []
    bench.command("levels", text=f"{SYMBOL}=keep")
    assert len(sells(bench.trade(base) + bench.wait(10))) == 1


@pytest.mark.parametrize(("base", "shown"), [(66_000, 10), (52_000, 10), (66_000, 25)])
def test_a_usual_move_over_some_days_off_holds_no_stop(base, shown):
    """Three days may take a quarter of the price, and the owner may have bought: the stop fires."""
    bench = after_days_off(3, base, shown)
    assert bench.ledger.actions == {}
    assert len(sells(bench.trade(base) + bench.wait(10))) == 1


def test_a_start_in_the_evening_of_the_same_day_asks_nothing():
    """The close of today beside the base price of today is no change over night."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=bot.ExitPlan(40_000))
    bench.at("15:29:00")
    bench.at("15:30:10")
    bench.trade(61_000)
    bench.at("15:31:10")
    again = Bench(ledger=bench.ledger, flat_at=None)
    again.now = bench.now
    again.command("restarted")
    again.command("day", session=bot.session_of(again.now.date()))
    again.seen(bot.Instrument(SYMBOL, "KOSPI", False, 70_000, 91_000, 49_000, 61_000))
    again.list_of(*bench.rows())
    again.balance((SYMBOL, 10))
    assert bench.ledger.actions == {}


def test_an_answer_to_no_question_is_told():
    """A word for a stock without a corporate action changes nothing."""
    bench = Bench().start()
    assert "error" in alerts(bench.command("levels", text=f"{SYMBOL}=scale"))


def test_rows_of_a_corporate_action_rebuild_the_ledger():
    """The journal's rows alone give the same shares, cost and open question."""
    bench = morning_after(14_000, 50)
    fresh = bot.Ledger()
    for action in bench.actions:
        if isinstance(action, bot.Record) and action.kind in bot.LEDGER_ROWS:
            bot.apply_row(fresh, action.kind, bot.canonical_json(action.data))
    assert fresh.position(SYMBOL) == bench.ledger.position(SYMBOL)
    assert fresh.actions == bench.ledger.actions
    assert fresh.overnight == bench.ledger.overnight


@pytest.mark.parametrize("function", [bot.classify_action, bot.scaled_plan])
def test_the_worked_examples_are_true(function):
    """What the docstrings show is what the functions return."""
    [found] = doctest.DocTestFinder(recurse=False).find(function, globs=vars(bot))
    assert doctest.DocTestRunner(verbose=False).run(found).failed == 0
    assert found.examples


# --- other spellings, the end of a day, corrected amounts --------------------------------


@pytest.mark.parametrize("code", ["A005930", " 005930 ", "005930"])
def test_a_code_has_one_spelling(code):
    """Lists and balances may write a code with a leading A, or padded."""
    [held] = bot.parse_balance([{**HOLDING, "pdno": code}], SUMMARY).holdings
    assert held.symbol == SYMBOL


def test_lines_in_two_spellings_are_one_stock():
    """They are added like any other lines of one stock."""
    lines = [HOLDING, {**HOLDING, "pdno": "A005930"}]
    assert [each.quantity for each in bot.parse_balance(lines, SUMMARY).holdings] == [8]


def test_what_should_have_been_sold_is_told_by_name():
    """A lower limit lock until the close: the stock and its shares are told, once, urgently."""
    bench = Bench().start()
    bench.hold_shares()
    bench.at("15:13:00")
    bench.at("15:32:00")
    done = bench.actions + bench.wait(30)
    told = [each for each in done if isinstance(each, bot.Alert) and each.code == "unsold"]
    assert [(each.values["symbol"], each.values["quantity"]) for each in told[:1]] == [(SYMBOL, 10)]
    assert alerts(bench.actions).count("unsold") == 1
    assert "unsold" in bot.URGENT


def test_a_sell_of_which_no_list_told_is_not_told_as_unsold_for_certain():
    """The list stopped before its fill: the owner hears that the shares may be sold already."""
    bench = Bench().start()
    bench.hold_shares()
    [sell] = calls(bench.at("15:13:00"), "new")
    since = f"{bench.engine.core.list_asked_at:%H:%M}"
    bench.answer(sell)
    done = bench.wait(20 * 60)
    [told] = [each for each in done if isinstance(each, bot.Alert) and each.code == "unsold"]
    assert f"{since}부터 주문 목록을 받지 못해 이미 팔렸을 수 있음" in bot.say(told, "ko")
    assert f"perhaps sold, no order list since {since}" in bot.say(told, "en")


def test_an_amount_that_the_list_corrects_is_booked():
    """The same shares for another sum: the money follows the broker, the shares stay."""
    bench = Bench().start()
    order = bench.hold_shares()
    before = bench.ledger.cash_krw
    bench.list_of(bench.row(order, filled=10, price=69_900))
    position = bench.ledger.position(SYMBOL)
    assert (position.quantity, position.cost) == (10, 699_000)
    assert bench.ledger.cash_krw - before in (1_000, 1_001)


# --- limits, hurry, a strategy's mistakes -------------------------------------------------


def test_a_price_outside_the_limits_makes_rest_say():
    """Limits may change in the day: a trade outside them is asked about, each 30 s at most."""
    bench = Bench().start()
    first, second = bench.trade(95_000), bench.trade(95_100)
    assert [each.symbol for each in first if isinstance(each, bot.Ask)] == [SYMBOL]
    assert [each for each in second if isinstance(each, bot.Ask)] == []


def without_limits():
    """Return a bench that holds shares of a stock whose limits the broker shows as 0."""
    bench = Bench().start()
    bench.hold_shares()
    bench.wait(90)  # no price was confirmed for a while
    bench.state.instrument = bot.Instrument(SYMBOL, "KOSPI", False, 70_000, 0, 0, 70_000)
    return bench


def test_shares_without_limits_are_told_within_a_minute():
    """Limits shown as 0: REST is asked at once and each 30 s, the owner hears of it, once."""
    bench = without_limits()
    done = bench.wait(58)
    assert alerts(done).count("no_limits") == 1
    assert "no_limits" not in alerts(bench.wait(200))
    asked = sum(isinstance(each, bot.Ask) and each.what == "price" for each in done)
    assert 2 <= asked <= 8
    assert "no_limits" in bot.URGENT


def test_an_exit_without_limits_goes_as_a_limit_that_the_broker_confirms():
    """Nobody knows the band, but the broker's own price says that this one is near: it goes."""
    bench = without_limits()
    assert calls(bench.trade(68_000)) == []  # the feed alone does not do
    told = bench.seen(bot.Instrument(SYMBOL, "KOSPI", False, 70_000, 0, 0, 68_000))
    [call] = calls(told + bench.wait(10))
    assert (call.kind, call.intent.price) == (bot.OrderKind.LIMIT, 68_000)
    bench.answer(call)
    again = bench.wait(30)
    kinds = {each.kind for each in again if isinstance(each, bot.OrderCall)}
    assert kinds <= {bot.OrderKind.LIMIT}  # never a market order without a band


@pytest.mark.parametrize(("shown", "goes"), [(61_000, False), (63_000, True)])
def test_an_exit_without_limits_far_from_the_brokers_price_waits(shown, goes):
    """Eleven per cent apart is no confirmation; eight are."""
    bench = without_limits()
    bench.trade(68_100)
    bench.state.quoted = bot.Known(shown, bench.now)
    done = bench.command("level", level=bot.KillLevel.FLATTEN_AND_HALT, text="x") + bench.wait(12)
    assert bool(calls(done)) is goes


def test_an_entry_without_limits_is_refused():
    """Only what makes a position smaller may go without a band."""
    bench = Bench().start()
    bench.state.instrument = bot.Instrument(SYMBOL, "KOSPI", False, 70_000, 0, 0, 70_000)
    assert calls(bench.want(wish("s1"))) == []


class Broken(Scripted):
    """Divides by nothing."""

    def on_bar(self, view, bar):
        return 1 // 0


def test_a_mistake_of_the_strategy_names_its_own_line():
    """The kind of the error and the user's file: not a line of the bot."""
    bench = Bench(Broken()).start()
    bench.trade(70_000)
    done = bench.at("10:05:00") + bench.trade(70_000)
    [told] = [a for a in done if isinstance(a, bot.Alert) and a.code == "symbol_stopped"]
    assert "ZeroDivisionError in line" in told.values["why"]
    assert " of test_days_of_others.py: integer " in told.values["why"]


# --- an empty journal ---------------------------------------------------------------------


def test_an_empty_journal_beside_shares_of_ours_asks_first():
    """The folder was lost: the shares may be the bot's. No entry, one urgent question, an answer."""
    bench = Bench().start(holdings=[(SYMBOL, 10)])
    assert alerts(bench.actions).count("journal_empty") == 1
    assert calls(bench.want(wish("s1"))) == []
    again = Bench(ledger=bench.ledger)  # a restart lifts nothing and asks nothing twice
    again.now = bench.now
    again.start("10:10:00", [(SYMBOL, 10)])
    assert "journal_empty" not in alerts(again.actions)
    assert calls(again.want(wish("s2"))) == []
    again.command("release", text="journal")
    assert len(calls(again.want(wish("s3")))) == 1
    assert "journal_empty" in bot.URGENT


def test_an_empty_journal_beside_other_stocks_asks_nothing():
    """Shares that the settings do not name are the owner's."""
    bench = Bench().start(holdings=[("123450", 10)])
    assert "journal_empty" not in alerts(bench.actions)
    assert len(calls(bench.want(wish("s1")))) == 1


# --- odd rows, odd bars, slow answers -------------------------------------------------------


def ours(symbol):
    """Tell whether rows of a stock must be readable."""
    return symbol == SYMBOL


@pytest.mark.parametrize("key", ["hldg_qty", "ord_psbl_qty", "pchs_avg_pric"])
def test_a_blank_of_a_stock_that_is_not_ours_refuses_no_balance(key):
    """The row of somebody's bond is left out; the same blank in a row of ours refuses it all."""
    strange = {**HOLDING, "pdno": "A99999", key: "-"}
    seen = bot.parse_balance([HOLDING, strange], SUMMARY, ours)
    assert [each.symbol for each in seen.holdings] == [SYMBOL]
    with pytest.raises(bot.BadData):
        bot.parse_balance([{**HOLDING, key: "-"}], SUMMARY, ours)


def test_a_blank_average_price_is_for_the_eye_only():
    """The broker's average decides nothing: blank, the row counts all the same."""
    [held] = bot.parse_balance([{**HOLDING, "pchs_avg_pric": ""}], SUMMARY).holdings
    assert (held.quantity, held.average_price) == (4, 0)


def test_a_row_without_a_code_refuses_the_list():
    """Nobody knows whose it is."""
    with pytest.raises(bot.BadData):
        bot.parse_balance([{**HOLDING, "pdno": "", "hldg_qty": ""}], SUMMARY, ours)


def test_a_blank_in_anothers_order_row_refuses_no_list():
    """An order of a stock that is not ours may have no quantity, price or side."""
    blank = {"pdno": "123450", "odno": "0000000009", "sll_buy_dvsn_cd": "", "ord_qty": ""}
    assert bot.parse_broker_orders([blank], ours) == []
    with pytest.raises(bot.BadData):
        bot.parse_broker_orders([{**blank, "pdno": SYMBOL}], ours)


def minute(at, price, **more):
    """Return a one-minute bar of flat prices."""
    start = datetime(2026, 11, 20, 9, at, tzinfo=bot.KST)
    bar = bot.Bar(SYMBOL, start, start, price, price, price, price, 10, 10 * price, 0)
    return bot.replace(bar, **more)


@pytest.mark.parametrize(
    "odd",
    [minute(3, 7_000_000), minute(3, 700), minute(3, 70_000, low=0), minute(3, 70_000, high=69_000)],
)  # fmt: skip
def test_a_minute_bar_that_cannot_be_true_is_left_out(odd):
    """A hundred times the price made a warm-up with a high of 7,000,000."""
    usual = [minute(each, 70_000) for each in range(3)]
    assert bot.sound_minutes([*usual, odd]) == usual


def test_a_minute_bar_that_came_twice_counts_once():
    """Pages may overlap."""
    usual = [minute(each, 70_000 + each) for each in range(3)]
    assert bot.sound_minutes([*usual, usual[1]]) == usual


@pytest.mark.parametrize(
    ("date_late_s", "took_s", "off"),
    [(-4.5, 4.0, False), (-8.0, 4.0, True), (-4.0, 0.1, True), (5.0, 4.0, True), (0.0, 4.0, False)],
)
def test_the_round_trip_of_an_answer_is_no_wrong_clock(date_late_s, took_s, off):
    """A body that comes 4 s after its head: the Date was set meanwhile, the clock is right."""
    rest = bot.Rest(None, None, 1.0)
    moment = datetime.fromtimestamp(bot.time.time() + date_late_s, tz=bot.UTC)
    rest._look_at_clock(format_datetime(moment.replace(microsecond=0), usegmt=True), took_s)
    assert rest.clock_off is off


# --- an order of Friday, named on Monday ----------------------------------------------------


def named_on_monday():
    """Return a bench on Monday with an order of Friday that the owner has just named, and it."""
    bench = Bench(flat_at=None).start()
    [call] = calls(bench.want(wish("s1")))
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.wait(601)
    order = bench.ledger.orders[call.intent.intent_id]
    assert order.status is bot.OrderStatus.QUARANTINED
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.totals = dict.fromkeys(bench.totals, 0)
    bench.start("08:59:00", [(SYMBOL, 10)])
    bench.list_of()
    bench.at("10:00:00")
    done = bench.command("resolve", text=f"{order.intent.intent_id}=123")
    return bench, order, done


def test_the_list_of_its_own_day_is_read_for_an_order_named_later():
    """Friday's list is asked for, its fill is booked, its shares are no longer the owner's."""
    bench, order, done = named_on_monday()
    friday = order.intent.trade_date.isoformat()
    assert bot.Ask("orders", friday) in done
    row = bench.row(order, filled=10, number="0000000123")
    bench.seen(bot.OrderList((row,), order.intent.trade_date))
    assert order.status is bot.OrderStatus.FILLED
    assert bench.ledger.position(SYMBOL).quantity == 10
    bench.account((SYMBOL, 10), rows=[])
    assert bench.ledger.external.get(SYMBOL, 0) == 0
    bench.wait(300)
    assert "mismatch" not in bench.engine.core.holds
    assert len(sells(bench.trade(68_000))) == 1  # and they are guarded by their plan


def test_a_number_of_another_day_is_never_cancelled():
    """The time-out of entries would take Friday's number back today: another order's number."""
    bench, _, done = named_on_monday()
    done += bench.wait(300)
    done += bench.command("level", level=bot.KillLevel.REDUCE_ONLY, text="x") + bench.wait(5)
    assert [call for call in calls(done) if call.action == "cancel"] == []
    asked = [each for each in done if isinstance(each, bot.Ask) and each.symbol.startswith("2026")]
    assert 2 <= len(asked) <= 20  # until an answer comes


def test_an_order_that_its_list_does_not_show_is_dead_and_gives_nothing():
    """A wrong number: its day's list has others, so no share is booked and nothing stays open."""
    bench, order, _ = named_on_monday()
    other = bench.row(order, filled=3, number="0000000999")
    bench.seen(bot.OrderList((other,), order.intent.trade_date))
    assert order.status is bot.OrderStatus.EXPIRED
    assert bench.ledger.position(SYMBOL).quantity == 0


def test_an_empty_list_of_an_earlier_day_ends_nothing():
    """Lists stay empty at times: the order waits for one with rows, and its fill is booked then."""
    bench, order, _ = named_on_monday()
    friday, before = order.intent.trade_date, order.status
    bench.seen(bot.OrderList((), friday))
    assert order.status is before
    done = bench.wait(60)
    assert bot.Ask("orders", friday.isoformat()) in done
    bench.seen(bot.OrderList((bench.row(order, filled=10, number="0000000123"),), friday))
    assert order.status is bot.OrderStatus.FILLED
    assert bench.ledger.position(SYMBOL).quantity == 10


# --- an ETN with and without its Q --------------------------------------------------------

ETN = "Q500001"


@pytest.mark.parametrize("code", ["Q500001", "500001", " q500001 "])
def test_an_etn_is_one_stock_with_and_without_its_q(code):
    """The settings name it with its Q; balance and order list may leave it out."""
    ours = {ETN}.__contains__
    assert bot.stock_code(code, ours) == ETN
    [held] = bot.parse_balance([{**HOLDING, "pdno": code}], SUMMARY, ours).holdings
    assert held.symbol == ETN


def test_an_etn_of_somebody_else_keeps_its_spelling():
    """Only what is ours is brought to our spelling; without ours nothing is guessed."""
    assert bot.stock_code("500001", {SYMBOL}.__contains__) == "500001"
    assert bot.stock_code("500001") == "500001"


@pytest.mark.parametrize("echo", ["500001", "Q500001", "q500001", "", "0000000"])
def test_the_price_of_an_etn_is_its_price_in_either_spelling(echo):
    """A price answer that names it without its Q is no answer for another stock."""
    answer = {"output": {**PRICE, "stck_shrn_iscd": echo, "stck_prpr": "10005", "aspr_unit": "5"}}
    assert bot.parse_price(ETN, answer).last_price == 10_005
    with pytest.raises(bot.BadData):
        bot.parse_price(ETN, {"output": {**PRICE, "stck_shrn_iscd": "500002"}})
