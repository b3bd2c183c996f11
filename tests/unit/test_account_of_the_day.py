"""The account of a day: the broker's balance, and whose its shares are beside orders of the owner."""

from dataclasses import replace
from datetime import datetime, time, timedelta

import pytest
from test_engine import BUY, NEXT_DAY, OTHER, SELL, SYMBOL, Bench, alerts, asks, calls, instrument

import kis_realtime_trading as bot

PLAN = bot.ExitPlan(60_000)
HIS = "0000000900"


def his_sell(filled, quantity=10):
    """Return the row of a sell that the owner placed by phone."""
    return bot.BrokerOrder(
        HIS,
        "",
        "06010",
        SYMBOL,
        SELL,
        "00",
        quantity,
        70_000,
        filled,
        filled * 70_000,
        0,
        0,
        "082000",
    )


def next_morning(waits=True):
    """Return a bench on the morning after ten shares were bought; the account is not taken yet."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=PLAN)
    bench.at("15:40:00")
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.totals = dict.fromkeys(bench.totals, 0)
    bench.command("day", session=bot.session_of(NEXT_DAY))
    bench.ledger._waits = waits
    for symbol in (SYMBOL, OTHER):
        bench.seen(instrument(symbol))
    return bench


def ours(bench):
    """Return our shares, whether they have their stop, and what is the owner's."""
    position, ledger = bench.ledger.position(SYMBOL), bench.ledger
    return position.quantity, position.plan == PLAN, ledger.external.get(SYMBOL, 0)


def ready(bench):
    """Let the day begin; return whether a price below the stop sells, and how many shares."""
    bench.seen(bot.Cash(10_000_000))
    bench.command("feed up")
    bench.list_of(his_sell(10))
    bench.command("release", text="journal")
    bench.at("09:00:01")
    bench.trade(70_000, OTHER)
    return [call.intent.quantity for call in calls(bench.seen(instrument(price=59_900)), "new")]


def test_what_he_bought_and_sold_while_nobody_looked_takes_no_share_of_ours():
    """Ten bought last evening after the bot's day, sold this morning before it: ours keep their stop."""
    bench = next_morning()
    bench.list_of(his_sell(10))
    bench.account((SYMBOL, 10), rows=[his_sell(10)])
    assert ours(bench) == (10, True, 0)
    assert "account" not in bench.engine.core.holds
    assert ready(bench) == [10]


def test_a_fill_between_the_list_and_the_first_balance_is_booked_once():
    """He sells his ten just then: the balance has it, a list of later brings it; ours stay ours."""
    bench = next_morning()
    bench.ledger.external = {SYMBOL: 10}
    bench.list_of(his_sell(0))
    done = bench.account((SYMBOL, 10), rows=[his_sell(10)])
    assert asks(done, "holdings") != [] and "account" in bench.engine.core.holds
    bench.account((SYMBOL, 10), rows=[his_sell(10)])
    assert ours(bench) == (10, True, 0)
    assert ready(bench) == [10]


def test_a_fill_of_before_our_first_day_is_booked_once():
    """An account of which the bot knows nothing: his count is never below nothing."""
    bench = Bench(flat_at=None)
    bench.command("restarted")
    bench.command("day", session=bot.session_of(bench.now.date()))
    bench.list_of(his_sell(0))
    bench.account(rows=[his_sell(10)])
    bench.account(rows=[his_sell(10)])
    assert ours(bench)[2] == 0


def test_shares_of_ours_that_he_sold_in_the_morning_are_given_up_at_once():
    """His list explains that they are gone: no second balance is waited for, nobody is alarmed."""
    bench = next_morning()
    bench.list_of(his_sell(4, 4))
    done = bench.account((SYMBOL, 6), rows=[his_sell(4, 4)])
    assert "mismatch" not in alerts(done)
    assert ours(bench) == (6, True, 0)


def test_a_balance_that_his_sells_do_not_explain_is_waited_for():
    """He sold four, six more are missing: three minutes, and told."""
    bench = next_morning()
    bench.list_of(his_sell(4, 4))
    done = bench.account(rows=[his_sell(4, 4)])
    assert "mismatch" in alerts(done)
    assert ours(bench)[0] == 10


def test_shares_that_nobody_sold_are_told_when_they_are_given_up():
    """A code that was renamed, shares moved elsewhere: entries go on, but a stop has ended."""
    bench = next_morning()
    bench.list_of()
    assert "error" not in alerts(bench.account((SYMBOL, 4)))
    bench.at("09:03:00")
    done = bench.account((SYMBOL, 4))
    assert ours(bench)[0] == 4
    said = f"{SYMBOL}: 4 in the account, no stop for the rest"
    assert [each.values["what"] for each in done if isinstance(each, bot.Alert)] == [said]
    assert bot.in_korean(said) == f"{SYMBOL}: 계좌에 4주만 있어 나머지는 더는 손절을 보지 않습니다"


def test_a_list_is_asked_once_the_balance_can_be_confirmed():
    """Not before its seconds are over, and not again when it was read."""
    bench = next_morning()
    bench.list_of()
    bench.balance((SYMBOL, 10))
    assert asks(bench.wait(bot.LIST_GRACE_S - 1), "orders") == []
    assert asks(bench.wait(1), "orders") != []
    bench.list_of()
    assert "account" not in bench.engine.core.holds
    assert asks(bench.wait(3), "orders") == []


def test_a_list_asked_before_confirms_nothing():
    """It was on its way while the balance was asked: a fill may be in neither, or in one of them."""
    bench = next_morning()
    bench.list_of()
    bench.balance((SYMBOL, 10))
    asked = bench.now + timedelta(seconds=bot.LIST_GRACE_S - 1)
    bench.wait(60)
    bench.list_of(asked_at=asked)
    assert "account" in bench.engine.core.holds
    bench.list_of()
    assert "account" not in bench.engine.core.holds


def test_a_balance_of_another_day_is_not_taken():
    """A day passed without a list: a balance of now is asked for."""
    bench = next_morning()
    bench.list_of()
    bench.balance((SYMBOL, 3))
    bench.now += timedelta(days=1)
    bench.command("day", session=bot.session_of(bench.now.date()))
    bench.list_of()
    assert "account" in bench.engine.core.holds
    bench.account((SYMBOL, 10), rows=[])
    assert ours(bench) == (10, True, 0)
    assert "account" not in bench.engine.core.holds


def test_a_day_of_an_older_journal_is_counted_as_it_was_then():
    """A row without `waits` tells of a program that took ours away at once: its rows rest on that."""
    assert bot.entry_from_json(
        '{"type":"DayOpened","day":"2026-11-23","at":"2026-11-23T08:30:00+09:00"}'
    ) == (bot.DayOpened(NEXT_DAY, datetime.combine(NEXT_DAY, time(8, 30), bot.KST), waits=False))
    bench = next_morning(waits=False)
    bench.list_of(his_sell(10))
    assert ours(bench)[0] == 0


@pytest.mark.parametrize(("shown", "his"), [(14, 4), (10, 0), (9, 8), (20, 8)])
def test_fewer_of_his_shares_than_the_morning_showed_are_taken_over(shown, his):
    """A line came twice in the morning: four of his counted as eight. Ours are never taken for his."""
    bench = next_morning()
    bench.list_of()
    bench.account((SYMBOL, 18), rows=[])
    bench.seen(bot.Cash(10_000_000))
    bench.command("feed up")
    bench.list_of()
    for _ in range(4):
        bench.balance((SYMBOL, shown))
        assert bench.ledger.external == {SYMBOL: 8} and "mismatch" in bench.engine.core.holds
        bench.now += timedelta(seconds=59)
        bench.list_of()
    bench.balance((SYMBOL, shown))
    bench.balance((SYMBOL, shown))
    assert ours(bench) == (10, True, his)
    assert ("mismatch" in bench.engine.core.holds) is (his == 8)


def test_a_balance_that_is_late_for_a_minute_takes_nothing_from_him():
    """His shares are there again before three minutes are over; the next time is counted anew."""
    bench = next_morning()
    bench.list_of()
    bench.account((SYMBOL, 14), rows=[])
    for shown in (10, 10, 14, 10, 10, 10, 14):
        bench.now += timedelta(seconds=70)
        bench.balance((SYMBOL, shown))
    assert ours(bench) == (10, True, 4)


def test_a_balance_that_is_late_after_a_trade_of_the_day_takes_nothing_from_him():
    """He bought four more, the balance lacks them for a quarter of an hour: what he sells then was his."""
    bench = next_morning()
    bench.list_of()
    bench.account((SYMBOL, 14), rows=[])
    bench.seen(bot.Cash(10_000_000))
    bench.command("feed up")
    buy = replace(his_sell(4, 4), order_no="0000000901", side=BUY, time="091000")
    bench.at("09:10:05")
    bench.list_of(buy)
    assert ours(bench) == (10, True, 8)
    for _ in range(15):
        bench.now += timedelta(seconds=60)
        bench.list_of(buy)
        bench.balance((SYMBOL, 14))
    assert ours(bench) == (10, True, 8) and "mismatch" in bench.engine.core.holds
    bench.balance((SYMBOL, 18))
    assert "mismatch" not in bench.engine.core.holds
    bench.list_of(buy, replace(his_sell(8, 8), time="092600"))
    assert ours(bench) == (10, True, 0)


def test_fewer_shares_of_yesterday_do_not_count_today():
    """A balance lacked four of his last evening: this morning it had them, and lacks them once more."""
    bench = next_morning()
    bench.list_of()
    bench.account((SYMBOL, 18), rows=[])
    bench.now += timedelta(seconds=200)
    bench.balance((SYMBOL, 14))
    bench.now += timedelta(days=1)
    bench.command("day", session=bot.session_of(bench.now.date()))
    bench.account((SYMBOL, 18), rows=[])
    bench.now += timedelta(seconds=200)
    bench.balance((SYMBOL, 14))
    assert ours(bench) == (10, True, 8) and "mismatch" in bench.engine.core.holds


def test_an_empty_balance_of_an_earlier_morning_does_not_count_today():
    """Ours were given up after two of them; those bought since are given up after two more."""
    bench = next_morning()
    bench.list_of()
    bench.account(rows=[])
    bench.at("09:03:00")
    bench.account(rows=[])
    assert ours(bench)[0] == 0
    bench.seen(bot.Cash(10_000_000))
    bench.command("feed up")
    bench.list_of()
    bench.at("09:03:01")
    bench.hold_shares(plan=PLAN)
    bench.now += timedelta(days=1)
    bench.command("day", session=bot.session_of(bench.now.date()))
    bench.account(rows=[])
    assert ours(bench)[0] == 10 and "account" in bench.engine.core.holds
