"""The next step of an exit over a grid of what is known: whether, how many, how strong, and what is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from test_engine import SELL, SYMBOL, Bench, K, S, asks, calls, instrument, records

import kis_realtime_trading as bot

FAR = bot.ExitPlan(50_000, 90_000)


def holding(**settings):
    """Return a bench that holds ten shares, with steps of five seconds, and nothing asked or said yet."""
    bench = Bench(flat_at=None, exit_step_s=5, **settings).start()
    bench.hold_shares(plan=FAR)
    bench.engine.core.take_actions()
    return bench


@pytest.mark.parametrize("limits", ["known", "none", "no answer"])
@pytest.mark.parametrize("traded", [False, True])
@pytest.mark.parametrize("quoted_s", [None, 0.0, 59.9, 60.0, 60.1, 500.0])
@pytest.mark.parametrize("step", [0, 1, 2])
def test_an_exit_leaves_once_its_price_is_known_and_confirmed(limits, traded, quoted_s, step):
    """By limits of this day, or without them by a price of the broker within a minute; else it asks."""
    bench = holding()
    state, core = bench.state, bench.engine.core
    state.view.quote = None
    state.last_trade = bot.Trade(SYMBOL, core.now, 70_000, 1, 9, 630_000, False) if traded else None
    state.quoted = bot.Known(0)
    if quoted_s is not None:
        state.quoted = bot.Known(70_000, core.now - timedelta(seconds=quoted_s))
    known = (
        instrument() if limits == "known" else replace(instrument(), upper_limit=0, lower_limit=0)
    )
    state.instrument = None if limits == "no answer" else known
    run = state.exit = bot.ExitRun("stop", step)
    bench.engine.exits.work(state)
    done = core.take_actions()
    priced = traded or quoted_s is not None
    fresh = quoted_s is not None and quoted_s <= 60.0
    leaves = priced and (limits == "known" or (limits == "none" and fresh))
    if not leaves:
        assert (calls(done), asks(done)) == ([], [bot.Ask("price", SYMBOL)])
        return
    [call] = calls(done, "new")
    kind = (K.LIMIT, K.BEST_LIMIT, K.MARKET)[step] if limits == "known" else K.LIMIT
    price = 70_000 if kind is K.LIMIT else 0
    intent = call.intent
    assert (intent.kind, intent.price, intent.quantity, intent.side) == (kind, price, 10, SELL)
    assert (intent.purpose, intent.leg, intent.reason) == ("exit", "exit:1", "stop")
    assert run.next_at == core.now + timedelta(seconds=5)


@pytest.mark.parametrize(
    "refused", [None, "before the balance", "with the balance", "after the balance"]
)
@pytest.mark.parametrize("sellable", [None, 0, 4, 10, 25])
def test_after_a_refusal_a_newer_balance_says_how_much_of_it_is_free(refused, sellable):
    """No shares free: the balance is asked again. Without a refusal, or by an older one, all are sold."""
    bench = holding()
    state, core = bench.state, bench.engine.core
    asked_at = core.now - timedelta(seconds=20)
    lines = {} if sellable is None else {SYMBOL: bot.Holding(SYMBOL, 25, sellable, Decimal(70_000))}
    core.holdings = bot.Known(lines, asked_at)
    run = state.exit = bot.ExitRun("stop")
    after_s = {"before the balance": -1, "with the balance": 0, "after the balance": 1}.get(refused)
    if after_s is not None:
        run.refused_at = asked_at + timedelta(seconds=after_s)
    bench.engine.exits.work(state)
    done = core.take_actions()
    bound = refused in ("before the balance", "with the balance")
    shares = min(10, sellable or 0) if bound else 10
    assert [call.intent.quantity for call in calls(done)] == ([shares] if shares else [])
    assert [call.intent.sellable_before for call in calls(done)] == (
        [-1 if sellable is None else sellable] if shares else []
    )
    if not shares:
        assert asks(done) == [bot.Ask("holdings")]


@pytest.mark.parametrize("unsent", [0, 1, 2, 3, 6, 9])
@pytest.mark.parametrize("alive", [False, True])
def test_tries_that_reach_nobody_grow_rare_until_the_broker_gives_a_sign(unsent, alive):
    """After one the next step; then two, four, eight steps, a minute at most; any answer ends the wait."""
    bench = holding()
    state, core = bench.state, bench.engine.core
    run = state.exit = bot.ExitRun("stop", unsent=unsent, next_at=core.now)
    if alive:
        bench.seen(bot.Cash(1))
        core.take_actions()
    pause_s = min(60, 5 * 2 ** (min(unsent, 6) - 1)) - 5 if unsent and not alive else 0
    sent = []
    for after_s in sorted({0, max(0, pause_s - 1), pause_s}):
        core.now = bench.now + timedelta(seconds=after_s)
        state.last_trade = state.last_trade._replace(ts_exchange=core.now)
        bench.engine.exits.work(state)
        done = core.take_actions()
        sent += [after_s for call in calls(done)]
        if after_s < pause_s:
            assert asks(done) == [bot.Ask("orders")]
    assert sent == [pause_s]
    assert run.next_at == core.now + timedelta(seconds=5)


RESTING = (S.WORKING, S.PARTIAL)


@pytest.mark.parametrize("phase", ["09:30:00", "15:19:59", "15:20:01", "15:29:59"])
@pytest.mark.parametrize(
    "status", [S.WORKING, S.PARTIAL, S.SUBMITTING, S.CANCEL_PENDING, S.UNKNOWN]
)
@pytest.mark.parametrize("kind", [K.LIMIT, K.BEST_LIMIT, K.MARKET])
@pytest.mark.parametrize("due", [False, True])
@pytest.mark.parametrize("stopped", ["", "halted", "auction"])
def test_a_resting_exit_grows_stronger_by_its_own_order_when_it_is_time(
    phase, status, kind, due, stopped
):
    """Changed, never doubled; not before its time, not in a halt, not while a call of it is under way."""
    bench = holding()
    bench.at(phase)
    state, core = bench.state, bench.engine.core
    bench.ledger.apply(bot.OrderIntent(
        "x", core.now.date(), SYMBOL, SELL, kind, 10, 70_000 if kind is K.LIMIT else 0, "exit", "exit:1",
        "s", core.now - timedelta(seconds=9),
    ))  # fmt: skip
    order = bench.ledger.orders["x"]
    order.order_no, order.status = "0000000077", status
    bench.ledger._look_for_alive()
    state.halted, state.auction = stopped == "halted", stopped == "auction"
    step = (K.LIMIT, K.BEST_LIMIT, K.MARKET).index(kind)
    run = state.exit = bot.ExitRun("stop", step)
    run.next_at = core.now + timedelta(seconds=0 if due else 1)
    core.take_actions()
    bench.engine.exits.work(state)
    done = core.take_actions()
    changes = status in RESTING and due and not stopped and kind is not K.MARKET
    assert calls(done, "new") == []
    if not changes:
        assert calls(done) == [] and order.status is status
        assert run.step == step
        return
    [call] = calls(done)
    stronger = (K.LIMIT, K.BEST_LIMIT, K.MARKET)[step + 1]
    if stronger is K.BEST_LIMIT and phase > "15:20:00":  # the auction knows no best price
        stronger = K.MARKET
    assert (call.action, call.order_no, call.kind, call.price) == (
        "change", "0000000077", str(stronger), 0,
    )  # fmt: skip
    assert (order.status, order.pending_kind) == (S.REPLACE_PENDING, str(stronger))
    assert run.step == step + 1 and run.next_at == core.now + timedelta(seconds=5)
    assert [row.data.event for row in records(done, "ledger")] == [bot.OrderEvent.REPLACE_SENT]
