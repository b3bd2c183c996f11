"""Two unusual things in one order's life: the smallest input that went wrong, one rule each."""

from datetime import datetime, time, timedelta

import pytest
from test_engine import (
    BUY,
    NEXT_DAY,
    OTHER,
    SYMBOL,
    Bench,
    alerts,
    calls,
    instrument,
    orders_of,
    wish,
)

import kis_realtime_trading as bot

S = bot.OrderStatus
WIDE = bot.ExitPlan(40_000)


def night(bench):
    """Let the day end and the next morning come, in the same process."""
    bench.at("15:45:00")
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.totals = dict.fromkeys(bench.totals, 0)


def begin_day(bench, *shown):
    """Begin the day after the night: prices, list, account, cash, feed."""
    bench.command("day", session=bot.session_of(bench.now.date()))
    for symbol in (SYMBOL, OTHER):
        bench.seen(instrument(symbol))
    bench.list_of()
    bench.account(*shown, rows=[])
    bench.seen(bot.Cash(9_000_000))
    bench.command("feed up")
    bench.list_of()


def unanswered(text="14:00:00"):
    """Return a bench whose entry never got an answer, and the order."""
    bench = Bench(flat_at=None).start(text)
    [call] = calls(bench.want(wish()))
    bench.answer(call, bot.Outcome.UNKNOWN)
    [order] = orders_of(bench)
    return bench, order


# --- an order of unknown outcome, and a night ---


def test_an_order_that_the_dead_process_sent_is_found_in_the_list_of_its_day():
    """It died with the call under way and is started the next morning: the lone row is its order."""
    first = Bench(flat_at=None).start("14:00:00")
    first.want(wish())
    [order] = orders_of(first)
    bench = Bench(ledger=first.ledger, flat_at=None)
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.command("restarted", text=first.now.isoformat())
    bench.now += timedelta(seconds=1)
    bench.list_of(bench.row(order, 10, number="0000000500"))
    assert order.status is S.FILLED
    begin_day(bench, (SYMBOL, 10))
    position = bench.ledger.position(SYMBOL)
    assert (position.quantity, position.plan) == (10, order.intent.plan)
    assert bench.ledger.external.get(SYMBOL, 0) == 0


def test_the_final_list_of_its_day_proves_that_it_never_arrived():
    """The same, and the list of the day, asked the next morning, has other orders but not this one."""
    first = Bench(flat_at=None).start("14:00:00")
    first.want(wish())
    [order] = orders_of(first)
    bench = Bench(ledger=first.ledger, flat_at=None)
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.command("restarted", text=first.now.isoformat())
    bench.now += timedelta(seconds=1)
    bench.list_of()
    done = bench.command("day", session=bot.session_of(NEXT_DAY))
    assert order.status is S.LOST
    assert "order_lost" in alerts(done)


def test_a_notice_is_waited_for_after_a_call_that_has_just_ended():
    """In the process that sent it, a lone row of these seconds may be an equal order of the owner."""
    bench, order = unanswered()
    bench.wait(1)
    row = bench.row(order, 0, number="0000000500")
    bench.list_of(row)
    assert order.status is S.UNKNOWN
    bench.wait(bot.NOTICE_PATIENCE_S)
    bench.list_of(row)
    assert order.status is S.WORKING


def twins(bench, order):
    return [bench.row(order, 10, number=number) for number in ("0000000500", "0000000501")]


def heard(bench, order):
    bench.feed(
        bot.Notice(
            bot.NoticeKind.RECEIVED, "0", "0000000500", "", SYMBOL, BUY, 10, 70_000, "140000"
        )
    )
    return []


@pytest.mark.parametrize("why", [twins, heard])
def test_a_night_proves_no_absence_of_what_may_be_there(why):
    """Two equal rows, or a number that a notice named: the owner is asked, it is not called lost."""
    bench, order = unanswered()
    rows = why(bench, order)
    for _ in range(30):
        bench.wait(10)
        bench.list_of(*rows)
    night(bench)
    bench.list_of(*rows)
    bench.command("day", session=bot.session_of(NEXT_DAY))
    assert order.status is S.QUARANTINED
    assert [c for c in alerts(bench.actions) if c.startswith("order_")][1:] == [
        "order_unknown", "order_quarantined",
    ]  # fmt: skip


# --- the owner takes back a part, and the list does not show the order ---


@pytest.mark.parametrize(("shares", "filled", "over"), [(4, 0, False), (10, 0, True), (0, 0, True), (6, 4, True),
                                                        (5, 4, False)])  # fmt: skip
def test_a_notice_of_a_cancel_ends_no_more_than_it_takes_back(shares, filled, over):
    """Paper lists stay empty: the order is over by notice only when nothing of it is left."""
    bench = Bench(paper=True, flat_at=None).start()
    [call] = calls(bench.want(wish()))
    bench.answer(call)
    [order] = orders_of(bench)
    bench.list_of()
    number = order.order_no
    if filled:
        bench.feed(
            bot.Notice(bot.NoticeKind.FILL, "0", number, "", SYMBOL, BUY, filled, 70_000, "100500")
        )
    bench.feed(
        bot.Notice(
            bot.NoticeKind.CONFIRMED, "2", "0000000950", number, SYMBOL, BUY, shares, 0, "100500"
        )
    )
    bench.wait(20)
    bench.balance(*[(SYMBOL, filled)] if filled else [])
    assert order.filled_quantity == filled
    assert (order.status is S.CANCELLED) is over
