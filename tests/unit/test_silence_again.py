"""Which silent stock is asked about, over all that is known of it."""

import itertools
from datetime import timedelta
from types import SimpleNamespace

import pytest
from test_engine import SYMBOL, Bench

import kis_realtime_trading as bot


@pytest.mark.parametrize("at", ["08:59:00", "09:03:00", "10:00:00", "15:21:00"])
@pytest.mark.parametrize("heard_s", [None, 0, 299, 300, 900])
def test_a_stock_is_asked_about_five_minutes_after_its_last_trade_and_its_last_question(
    at, heard_s
):
    """Before the first trade from the opening on; not halted, not in an auction, while the feed is up."""
    bench = Bench().start(at)
    core, state = bench.engine.core, bench.state
    state.last_trade = None
    if heard_s is not None:
        heard = core.now - timedelta(seconds=heard_s)
        state.last_trade = bot.Trade(SYMBOL, heard, 70_000, 1, 1, 70_000, False)
    opened_s = (core.now - core.session.open).total_seconds()
    for asked_s, halted, auction, up in itertools.product(
        (None, 0, 299, 300, 900), (False, True), (False, True), (False, True)
    ):
        state.halted, state.auction = halted, auction
        silence = bot.Silence(
            core, SimpleNamespace(), SimpleNamespace(up=up), SimpleNamespace(now=lambda: core.now)
        )
        if asked_s is not None:
            silence._asked[SYMBOL] = core.now - timedelta(seconds=asked_s)
        since_s = [
            opened_s if heard_s is None else heard_s,
            *([] if asked_s is None else [asked_s]),
        ]
        expected = (
            min(since_s) >= 300
            and up
            and not halted
            and not auction
            and "09:00:00" <= at < "15:20:00"
        )
        assert silence._is_due(SYMBOL) is expected, (asked_s, halted, auction, up)
