"""Days of other people: what public reports of this field describe, one rule each."""

from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction

import pytest
from test_codec import HOLDING, SUMMARY
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
    bench = overnight(84_000)
    bench.command("level", level=bot.KillLevel.ENTRIES_OFF, text="mine")
    bench.trade(72_000)
    bench.wait(2)
    assert bench.ledger.level is bot.KillLevel.REDUCE_ONLY


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
