"""The close that is kept for the next morning, and what a clock that was set back leaves behind."""

import itertools
from datetime import datetime, timedelta

import pytest
from test_engine import DAY, OTHER, SYMBOL, Bench, alerts, asks, calls, records

import kis_realtime_trading as bot

CLOSE = datetime.combine(DAY, bot.clock_time(15, 30), bot.KST)
FAR = bot.ExitPlan(50_000, 90_000)


def s_after(seconds):
    """Return the moment so many seconds after the close; None stays None."""
    return None if seconds is None else CLOSE + timedelta(seconds=seconds)


@pytest.mark.parametrize("now", [-601, -600, 59, 60, 79, 80, 300])
@pytest.mark.parametrize("doubted", [False, True])
@pytest.mark.parametrize("trade", [None, -601, -600, -1, 0, 20])
def test_the_close_of_what_is_held_is_kept_once_it_is_known_or_time_is_up(now, doubted, trade):
    """From a minute after the close on. Sure: a price of the auction. By a doubted clock only when the
    exchange itself was heard that late. Asked for until eighty seconds after; then the last price counts.
    The last price of before the auction is kept from its begin on, once, and takes no close's place."""
    for flat in (False, True):
        bench = Bench(flat_at=bot.clock_time(15, 15) if flat else None).start()
        core, state = bench.engine.core, bench.state
        state.view.position.quantity, state.view.position.cost = 10, bot.Fraction(700_000)
        core.symbols[OTHER].last_trade = None
        core.now, core.holds = s_after(now), {"clock": bench.now} if doubted else {}
        for quoted, kept in itertools.product(
            (None, -1, 0, 50), (None, "earlier", "early", "today")
        ):
            bench.ledger.closes.clear()
            state.last_trade, state.quoted, state.price_due = None, bot.Known(0), bot.NEVER
            if trade is not None:
                state.last_trade = bot.Trade(SYMBOL, s_after(trade), 71_000, 1, 1, 71_000, False)
            if quoted is not None:
                state.quoted = bot.Known(70_900, s_after(quoted))
            if kept:
                day = bot.previous_trading_day(DAY) if kept == "earlier" else DAY
                at = s_after(60 if kept == "today" else 59)
                bench.ledger.closes[SYMBOL] = bot.CloseKept(SYMBOL, 69_000, day, True, at)
            core.take_actions()
            bench.engine._keep_closes()
            done = core.take_actions()
            price = 71_000 if trade is not None else 0
            if quoted is not None and (trade is None or quoted - trade > 10):
                price = 70_900  # trades had been silent when it was asked
            heard = trade is not None and trade >= -600
            late = now >= 60
            known = kept == "today" or (kept == "early" and not late)
            looked = now >= -600 and price and not known and (heard or not doubted)
            sure = late and max(-(10**6) if each is None else each for each in (trade, quoted)) >= 0
            rows = [row.data for row in records(done, "ledger")]
            if looked and (sure or not late or now >= 80):
                assert rows == [bot.CloseKept(SYMBOL, price, DAY, sure, s_after(now))]
                assert alerts(done) == (["unsold"] if flat and late else [])
            else:
                assert (rows, alerts(done)) == ([], [])
            wanted = looked and late and not sure and now < 80
            assert asks(done) == ([bot.Ask("price", SYMBOL)] if wanted else [])


def test_only_lists_asked_a_minute_after_the_close_end_the_day_s_orders():
    """The closing auction may still fill what a list of 15:30:30 shows; two later ones tell the end."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=FAR)
    bench.at("15:29:58")
    bench.trade(70_000)
    bench.engine.exits.start(bench.state, "stop")
    [call] = calls(bench.feed(bot.TimeEvent(bench.now)), "new")
    bench.answer(call)
    order = bench.ledger.orders[call.intent.intent_id]
    for at, status in (("15:30:30", "WORKING"), ("15:45:30", "WORKING"), ("15:46:31", "EXPIRED")):
        bench.at(at)
        bench.list_of(*bench.rows())
        bench.wait(1)
        assert (at, order.status) == (at, bot.OrderStatus[status])
