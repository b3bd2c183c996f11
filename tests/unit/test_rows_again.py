"""Rows of the broker and of the journal, over what may stand in them."""

import itertools
import json
import random

import pytest
from test_engine import DAY, SYMBOL

import kis_realtime_trading as bot

ROW = {
    "odno": "77", "orgn_odno": "", "pdno": SYMBOL, "sll_buy_dvsn_cd": "02", "ord_dvsn_cd": "00",
    "ord_tmd": "100000", "ord_qty": "10", "ord_unpr": "70000", "rjct_qty": "0", "ord_gno_brno": "1",
}  # fmt: skip


@pytest.mark.parametrize("shares", [0, 3, 10])
@pytest.mark.parametrize("won", [0, 210_000])
def test_a_row_of_an_order_tells_shares_and_won_of_one_fill_and_one_number_of_cancelled_shares(
    shares, won
):
    """Shares without won, won without shares, two numbers or none for the cancelled ones: unreadable."""
    names = ("cncl_cfrm_qty", "cnc_cfrm_qty")
    for first, second in itertools.product((None, "0", "3"), repeat=2):
        said = dict(zip(names, (first, second), strict=True))
        cancelled = {name: value for name, value in said.items() if value is not None}
        row = {**ROW, "tot_ccld_qty": f"{shares}", "tot_ccld_amt": f"{won}", **cancelled}
        readable = (shares > 0) is (won > 0) and len(set(cancelled.values())) == 1
        if not readable:
            with pytest.raises(bot.BadData):
                bot.parse_broker_orders([row])
            continue
        [order] = bot.parse_broker_orders([row])
        assert (order.filled_quantity, order.filled_amount_krw) == (shares, won)
        assert order.cancelled_quantity == int(next(iter(cancelled.values())))
        assert (order.order_no, order.quantity, order.price) == ("0000000077", 10, 70_000)


@pytest.mark.parametrize("seed", range(20))
def test_a_start_learns_from_each_kind_of_row_what_it_is_for(seed):
    """The end is that of the ledger's rows; words, noise, reports, and what was not told yet."""
    pick, past = random.Random(seed), bot.Past(bot.Ledger())
    end, days, noise, word, untold = "", set(), {}, 0, []
    for seq in range(1, 60):
        at = f"2026-11-20T10:{seq:02d}:00+09:00"
        kind = pick.choice(["ledger", "day", "notify", "phone", "alert", "told", "bar", "decision"])
        ref, body = "", {}
        if kind == "ledger":
            moment = bot.datetime.fromisoformat(at)
            body = json.loads(bot.canonical_json(bot.DayOpened(DAY, moment)))
            end = at
        elif kind == "day":
            ref = pick.choice(["2026-11-19", "2026-11-20"])
            days.add(ref)
        elif kind == "notify":
            ref, body = pick.choice(["fill", "exit"]), pick.choice(["on", "off"])
            noise[ref] = body
        elif kind == "phone":
            ref = str(pick.randint(1, 50))
            word = max(word, int(ref))
        elif kind == "alert":
            ref = pick.choice(["error", "mismatch", "filled"])
            untold += [str(seq)] if ref in bot.URGENT else []
        elif kind == "told":
            ref = pick.choice([*untold, "999"])
            untold = [each for each in untold if each != ref]
        past.take(bot.JournalRow(seq, at, kind, ref, json.dumps(body), ""))
        assert (past.end, past.days, past.noise, past.newest_word) == (end, days, noise, word)
        assert [(key, row.seq) for key, row in past.untold.items()] == [(e, int(e)) for e in untold]
