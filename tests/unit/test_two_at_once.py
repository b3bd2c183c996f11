"""Two unusual things in one order's life: the smallest input that went wrong, one rule each."""

import time as host_time
from datetime import datetime, time, timedelta

import pytest
from test_engine import (
    BUY,
    NEXT_DAY,
    OTHER,
    SELL,
    SYMBOL,
    Bench,
    alerts,
    asks,
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


# --- a corporate action, an exit of before it, and the owner's word ---


def held_exit():
    """Return a bench with an exit of yesterday that waits, since the price scale is another today."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=bot.ExitPlan(69_000))
    [sell] = calls(bench.trade(68_900), "new")
    bench.answer(sell, bot.Outcome.REFUSED, code="APBK0919")
    bench.at("15:30:05")
    bench.trade(68_900)
    bench.at("15:31:10")
    night(bench)
    bench.command("day", session=bot.session_of(NEXT_DAY))
    bench.seen(bot.Instrument(SYMBOL, "KOSPI", False, 14_000, 18_200, 9_800, 14_000))
    bench.seen(instrument(OTHER))
    bench.list_of()
    bench.account((SYMBOL, 10), rows=[])
    bench.seen(bot.Cash(9_000_000))
    bench.command("feed up")
    bench.list_of()
    bench.at("10:00:00")
    bench.trade(14_000)
    assert bench.state.exit.reason == "stop" and SYMBOL in bench.ledger.actions
    return bench


def test_the_kill_switch_sells_also_where_an_exit_waits_for_an_answer():
    """He says: sell all. The exit that waits is his from now on, once, and after a restart too."""
    bench = held_exit()
    assert calls(bench.wait(5)) == []
    done = bench.command("level", level=bot.KillLevel.FLATTEN_AND_HALT, text="x") + bench.wait(3)
    [sell] = calls(done, "new")
    assert (sell.intent.side, sell.intent.quantity) == (SELL, 10)
    assert bench.ledger.position(SYMBOL).exit_reason == bot.KILL_SWITCH
    started = [r for r in done if isinstance(r, bot.Record) and isinstance(r.data, bot.ExitStarted)]
    assert len(started) == 1


def test_a_sale_of_one_stock_that_waits_for_an_answer_is_told():
    """`sell` of a stock with an exit that waits: nothing is sold, and he hears why."""
    bench = held_exit()
    done = bench.command("sell", text=SYMBOL)
    assert (alerts(done), calls(done)) == (["error"], [])
    bench.command("levels", text=f"{SYMBOL}=keep")
    assert "error" not in alerts(bench.command("sell", text=SYMBOL))


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


# --- the end of an auction that nobody shows, and a stop ---


def test_an_auction_that_ends_without_a_quote_holds_no_exit_back():
    """A VI of a thin stock: no quote and no trade follow; after five minutes it is none any more."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=bot.ExitPlan(69_000))
    bench.quote(70_000, code="C")
    bench.wait(60)
    assert calls(bench.seen(instrument(price=68_900)) + bench.wait(3), "new") == []
    done = bench.wait(250)
    [sell] = calls(done, "new")
    assert sell.intent.side is SELL


# --- an exit beside the cancel of a buy ---


def test_the_refused_cancel_of_a_buy_slows_no_exit():
    """The buy filled first; its refusal is none of the exit's, whose next step comes at its time."""
    bench = Bench(flat_at=None, exit_step_s=5).start()
    bench.hold_shares(plan=bot.ExitPlan(69_000))
    [more] = calls(bench.want(wish("more", quantity=5)))
    bench.answer(more)
    done = bench.trade(68_900)
    [cancel], [sell] = calls(done, "cancel"), calls(done, "new")
    bench.answer(sell)
    bench.answer(cancel, bot.Outcome.REFUSED, code="40330000", text="x")
    run = bench.state.exit
    assert (run.refusals, run.refused_at) == (0, None)
    assert len(calls(bench.wait(5), "change")) == 1


def test_the_accepted_cancel_of_a_buy_makes_no_refused_exit_hurry():
    """Refused three times, the exit waits longer each time, whatever becomes of a buy."""
    bench = Bench(flat_at=None, exit_step_s=5, entry_timeout_s=3600).start()
    bench.hold_shares(plan=bot.ExitPlan(69_000))
    [more] = calls(bench.want(wish("more", quantity=5)))
    bench.answer(more)
    done = bench.trade(68_900)
    [cancel], [sell] = calls(done, "cancel"), calls(done, "new")
    bench.answer(sell, bot.Outcome.REFUSED, code="40070000", text="x")
    bench.answer(cancel)
    assert bench.state.exit.refusals == 1


def test_an_exit_without_a_share_to_sell_is_told():
    """The owner's own sell by phone holds all shares: refused once, then nothing can be sent; he hears it."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=bot.ExitPlan(69_000))
    [sell] = calls(bench.trade(68_900), "new")
    bench.answer(sell, bot.Outcome.REFUSED, code="APBK0919", text="no shares")
    done = []
    for _ in range(20):
        done += bench.balance((SYMBOL, 10, 0)) + bench.list_of(*bench.rows()) + bench.wait(5)
    assert calls(done, "new") == [] and asks(done, "holdings") != []
    assert alerts(done).count("exit_waits") == 1


# --- a Date without its zone, and a machine elsewhere ---


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York"])
@pytest.mark.parametrize("ending", [" GMT", "", " -0000"])
def test_a_date_without_a_zone_is_that_of_greenwich(zone, ending, monkeypatch):
    """Wherever the machine stands: a Date is in GMT, also when the server forgets to say so."""
    monkeypatch.setenv("TZ", zone)
    host_time.tzset()
    try:
        rest = bot.Rest(None, None, 1.0)
        moment = datetime.fromtimestamp(int(host_time.time()), tz=bot.UTC)
        rest._look_at_clock(f"{moment:%a, %d %b %Y %H:%M:%S}{ending}", 0.0)
        assert not rest.clock_off and abs(rest.clock_offset_s) < 2.0
    finally:
        monkeypatch.undo()
        host_time.tzset()
