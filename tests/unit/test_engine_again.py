"""Single steps of the engine over grids: what a clock that was set back leaves, whose wish counts."""

from datetime import datetime, timedelta

import pytest
from test_engine import (
    BUY,
    DAY,
    SELL,
    SYMBOL,
    Bench,
    K,
    S,
    alerts,
    asks,
    calls,
    instrument,
    records,
    wish,
)

import kis_realtime_trading as bot

FAR = bot.ExitPlan(50_000, 90_000)


def moments_of(value, path=""):
    """Yield every moment that a state keeps, with where it stands."""
    if isinstance(value, datetime):
        yield path, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from moments_of(each, f"{path}.{key}")
    elif hasattr(value, "__slots__") and not isinstance(value, bot.BarBuilder):
        for name in value.__slots__:
            yield from moments_of(getattr(value, name), f"{path}.{name}")


@pytest.mark.parametrize("owners", [False, True])
@pytest.mark.parametrize("plan", [None, FAR])
@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("symbol", [SYMBOL, "000660"])
def test_a_wish_goes_where_it_may(owners, plan, side, symbol):
    """Of its own stock only; no strategy sells what the owner bought, with a plan of a later buy or not."""
    bench = Bench(flat_at=None).start()
    position = bench.state.view.position
    position.quantity, position.cost, position.owners, position.plan = 10, 700_000, owners, plan
    bench.trade(70_000)
    bench.seen(instrument())
    request = bot.OrderRequest(symbol, side, 5, "s", price=70_000 if side is BUY else 0)
    bench.engine.core.take_actions()
    bench.engine._consult(bench.state, lambda view: request)
    done = bench.engine.core.take_actions()
    refused = [row.data["code"] for row in records(done, "refusal")]
    if symbol != SYMBOL:
        expected = ["SYMBOL"]
    elif side is SELL and owners:
        expected = ["SIDE"]
    else:
        expected = []
    assert refused == expected
    assert [call.intent.side for call in calls(done)] == ([] if expected else [side])


@pytest.mark.parametrize("today", [False, True])
@pytest.mark.parametrize("taken", ["", "today", "earlier", "both"])
@pytest.mark.parametrize("status", [S.QUARANTINED, S.UNKNOWN, S.WORKING])
@pytest.mark.parametrize("said", ["absent", "77", "0000000077", "00077"])
def test_the_owners_answer_about_an_order_is_taken_for_its_own_day(today, taken, status, said):
    """A number that is free on that day, or absent; the list of that day is asked for what it brought."""
    bench = Bench(flat_at=None).start()
    earlier = bot.previous_trading_day(DAY)
    day = DAY if today else earlier
    intent = bot.OrderIntent(
        "q", day, SYMBOL, BUY, K.LIMIT, 10, 70_000, "entry", "entry", "s", bench.now
    )
    bench.ledger.apply(intent)
    bench.ledger.orders["q"].status = status
    bench.ledger.apply(bot.replace(intent, intent_id="other"))
    for each in {"today": [DAY], "earlier": [earlier], "both": [DAY, earlier]}.get(taken, []):
        bench.ledger.by_number[(each, "0000000077")] = "other"
    done = bench.command("resolve", text=f"q={said}")
    free = said == "absent" or not (taken == "both" or taken == ("today" if today else "earlier"))
    order = bench.ledger.orders["q"]
    if status is not S.QUARANTINED or not free:
        assert (alerts(done), order.status, order.order_no) == (["error"], status, "")
        return
    if said == "absent":
        assert (order.status, order.order_no) == (S.LOST, "")
    else:
        assert (order.status, order.order_no) == (S.WORKING, "0000000077")
        assert bench.ledger.by_number[(day, "0000000077")] == "q"
    assert asks(done, "orders") == [
        bot.Ask("orders", "" if today or said == "absent" else earlier.isoformat())
    ]


@pytest.mark.parametrize("status", list(S))
@pytest.mark.parametrize("purpose", ["entry", "exit", "external"])
@pytest.mark.parametrize("said", ["77", "0000000077", "78"])
def test_the_owners_cancel_takes_a_resting_entry_back_or_says_that_there_is_none(
    status, purpose, said
):
    """By its number of today; what does not rest, an exit, and his own order are answered with a word."""
    bench = Bench(flat_at=None).start()
    side = SELL if purpose == "exit" else BUY
    bench.ledger.apply(bot.OrderIntent(
        "x", DAY, SYMBOL, side, K.LIMIT, 10, 70_000, purpose, purpose, "s", bench.now
    ))  # fmt: skip
    order = bench.ledger.orders["x"]
    order.order_no, order.status = "0000000077", status
    bench.ledger.by_number[(DAY, "0000000077")] = "x"
    bench.ledger._look_for_alive()
    done = bench.command("cancel", text=said)
    rests = status in (S.WORKING, S.PARTIAL) and purpose == "entry" and said != "78"
    assert [call.action for call in calls(done)] == (["cancel"] if rests else [])
    assert alerts(done) == ([] if rests else ["error"])
    assert order.status is (S.CANCEL_PENDING if rests else status)


@pytest.mark.parametrize("purpose", ["entry", "exit"])
@pytest.mark.parametrize("tried", ["", "too_fast", "refusals", "unsent"])
@pytest.mark.parametrize("why", ["", "RATE", "HALTED"])
def test_an_order_is_told_by_its_first_try_and_pace_once_only(purpose, tried, why):
    """Of an exit that was tried before neither the sending nor our own pace is told again; a halt is."""
    bench = Bench(flat_at=None).start()
    bench.trade(70_000)
    bench.seen(instrument())
    core, state = bench.engine.core, bench.state
    state.view.position.quantity, state.view.position.cost = 10, 700_000
    if purpose == "exit":
        state.exit = bot.ExitRun("stop", **({tried: 1} if tried else {}))
    state.halted = why == "HALTED"
    side = SELL if purpose == "exit" else BUY
    intent = bot.OrderIntent(
        "x",
        DAY,
        SYMBOL,
        side,
        K.LIMIT,
        1,
        70_000,
        purpose,
        purpose,
        "s",
        bench.now,
        reserve_krw=70_010,
    )
    for number in range(3 if why == "RATE" else 0):
        bench.ledger.apply(bot.replace(intent, intent_id=f"n{number}", symbol="247540"))
        bench.ledger.orders[f"n{number}"].status = S.NOT_SENT
    bench.ledger._look_for_alive()
    core.take_actions()
    refusal = bench.engine.entries.submit(state, intent)
    done = core.take_actions()
    assert (refusal.code if refusal else "") == why
    assert [row.data["code"] for row in records(done, "refusal")] == ([why] if why else [])
    again = purpose == "exit" and tried
    told = [] if again and why != "HALTED" else ["refused" if why else "order_sent"]
    assert alerts(done) == told


def test_each_time_the_clock_is_doubted_the_ages_of_open_orders_begin_anew():
    """Each time, also when it is corrected: what was counted before is of another clock."""
    bench = Bench(flat_at=None).start()
    intent = bot.OrderIntent(
        "x", DAY, SYMBOL, BUY, K.LIMIT, 10, 70_000, "entry", "entry", "s", bench.now
    )
    bench.ledger.apply(intent)
    order = bench.ledger.orders["x"]
    order.status, order.since = S.CANCEL_UNKNOWN, bench.now
    ages, seen = bench.engine.core.reconciler.ages, []
    for name, seconds in (
        ("hold", 50),
        ("release", 30),
        ("hold", 20),
        ("release", 10),
        ("hold", 5),
    ):
        bench.now += timedelta(seconds=seconds)
        seen.append(ages.of(order, bench.now))
        bench.command(name, text="clock")
    assert seen == [50, 30, 20, 10, 5]
    assert ages.of(order, bench.now) == 0


@pytest.mark.parametrize("doubt", ["never", "now", "before"])
@pytest.mark.parametrize("off_s", [0, -3_600, 30])
def test_times_of_a_list_tell_nothing_on_a_day_whose_clock_was_doubted(doubt, off_s):
    """Also once it is right again: the decision was timed by the clock of then."""
    bench = Bench(flat_at=None).start()
    [call] = calls(bench.want(wish()))
    bench.answer(call, bot.Outcome.UNKNOWN)
    for name in {"never": (), "now": ("hold",), "before": ("hold", "release")}[doubt]:
        bench.command(name, text="clock")
    order = bench.ledger.orders[call.intent.intent_id]
    bench.wait(20)
    at = call.intent.at + timedelta(seconds=off_s)
    row = bot.replace(bench.row(order, number="0000000500"), time=f"{at:%H%M%S}")
    bench.list_of(row)
    fits = doubt != "never" or off_s >= 0
    assert order.status is (S.WORKING if fits else S.UNKNOWN)


@pytest.mark.parametrize("symbol", [SYMBOL, "000660"])
@pytest.mark.parametrize("reason", ["", "stop"])
@pytest.mark.parametrize("shares", [0, 5])
def test_an_exit_under_way_goes_on_in_the_morning_whether_the_settings_name_its_stock_or_not(
    symbol, reason, shares
):
    """With the reason that it began for; without shares there is none."""
    bench = Bench(flat_at=None)
    position = bench.ledger.position(symbol)
    position.quantity, position.cost, position.exit_reason = shares, shares * 70_000, reason
    bench.command("restarted")
    bench.command("day", session=bot.session_of(DAY))
    state = bench.engine.core.symbols.get(symbol)
    run = state.exit if state else None
    assert (run.reason if run else "") == (reason if shares else "")


@pytest.mark.parametrize("level", list(bot.KillLevel))
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("at", ["15:00:00", "15:16:00"])
def test_what_waits_about_a_split_is_sold_by_the_kill_switch_and_by_no_hour(level, waits, at):
    """At the end of the day all else is sold for that reason; the owner's FLATTEN sells everything."""
    bench = Bench(flat_at=bot.clock_time(15, 15)).start()
    bench.hold_shares(plan=FAR)
    bench.at("14:59:00")
    bench.trade(70_000)
    if waits:
        seen = bot.ActionSeen(SYMBOL, "ex-date", 70_000, 60_000, 10, 10, bench.now)
        bench.ledger.actions[SYMBOL] = seen
    bench.at(at)
    bench.command("level", level=level, text="test")
    bench.wait(2)
    flat, flatten = at > "15:15:00", level is bot.KillLevel.FLATTEN_AND_HALT
    run = bench.state.exit
    if waits:
        expected = "kill switch" if flatten else ""
    else:
        expected = "end of day" if flat else "kill switch" if flatten else ""
    assert (run.reason if run else "") == expected
