"""Amounts, pacer and the frames of Upbit and Binance: values in, values out."""

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kis_realtime_trading import BadData, Side
from venues import binance, upbit
from venues.common import amount, parse_json, plain
from venues.wire import LANE_EXIT, LANE_QUERY, Budget, Limit


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=0, max_value=10**12))
def test_an_amount_goes_to_text_and_back(number):
    """One number has one spelling, without an exponent."""
    text = plain(amount(str(number)))
    assert "E" not in text.upper()
    assert plain(amount(text)) == text
    assert number == Decimal(text)


@given(st.from_regex(r"[0-9]{1,22}(\.[0-9]{0,14})?", fullmatch=True))
def test_the_quick_way_and_the_slow_one_read_the_same(text):
    """A usual text takes a short way; its value and its spelling are those of the long one."""
    assert plain(amount(text)) == plain(amount(Decimal(text)))


@pytest.mark.parametrize("bad", [1.5, True, None, "", "NaN", "1e99", "x", "1" * 41])
def test_what_is_no_amount_is_refused(bad):
    """No float, no truth value, nothing endless."""
    with pytest.raises(BadData):
        amount(bad)


def test_json_gives_no_float():
    """A number with a point is a Decimal; a long whole number keeps every digit."""
    assert {"a": Decimal("0.1"), "b": 9007199254740993} == parse_json(
        '{"a":0.1,"b":9007199254740993}'
    )


@given(
    st.lists(
        st.tuples(st.floats(0, 2), st.integers(1, 5), st.sampled_from([LANE_EXIT, LANE_QUERY])),
        max_size=80,
    )
)
def test_the_budget_is_never_over_its_limit_in_any_span(calls):
    """Whatever is asked when: no window of its length holds more than the limit."""
    budget, now, spent = Budget(Limit(10, 1.0, kept=2)), 0.0, []
    for pause, weight, lane in calls:
        now += pause
        while wait := budget.wait_for(now, weight, lane):
            now += wait
        budget.spend(now, weight)
        spent.append((now, weight))
    for at, _ in spent:
        assert sum(weight for when, weight in spent if at - 1.0 + 1e-9 < when <= at) <= 10


def test_the_server_s_word_shrinks_the_budget():
    """What others used of the same limit is not there for us."""
    budget = Budget(Limit(10, 1.0))
    budget.told_left(0.0, 0)
    assert budget.wait_for(0.5, 1, LANE_QUERY) > 0
    assert budget.wait_for(1.0, 1, LANE_QUERY) == 0


def test_an_upbit_book_is_a_quote():
    """Best level of the first unit, the level suffix cut off, times of the exchange."""
    raw = b'{"ty":"orderbook","cd":"KRW-BTC.1","tms":1786613070431,"obu":[{"ap":89887000,"bp":89886000.0,"as":0.5,"bs":0.25}]}'
    (quote,) = upbit.read_frame(raw, 7)
    assert quote == ("upbit", "KRW-BTC", Decimal(89886000), Decimal("0.25"), Decimal(89887000),
                     Decimal("0.5"), 1786613070431, 7)  # fmt: skip


def test_an_upbit_snapshot_is_marked():
    """A trade of the subscription is no live one."""
    raw = b'{"ty":"trade","cd":"KRW-BTC","tp":1,"tv":0.1,"ab":"ASK","sid":9007199254740993,"ttms":5,"st":"SNAPSHOT"}'
    (trade,) = upbit.read_frame(raw, 0)
    assert (trade.taker, trade.trade_id, trade.snapshot) == (Side.SELL, "9007199254740993", True)


def test_a_binance_quote_has_no_time():
    """bookTicker says neither its name nor when."""
    raw = b'{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"63000.10","B":"1","a":"63000.20","A":"2"}}'
    (quote,) = binance.read_frame(raw, 3)
    assert (Decimal("63000.1"), Decimal("63000.2"), None) == (quote.bid, quote.ask, quote.ts_ms)


@pytest.mark.parametrize("read", [upbit.read_frame, binance.read_frame])
@given(raw=st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(read, raw):
    """A frame that cannot be read is BadData, nothing else."""
    with contextlib.suppress(BadData):
        assert isinstance(read(raw, 0), list)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = [
    "ty",
    "cd",
    "tms",
    "obu",
    "tp",
    "ttms",
    "scr",
    "hp",
    "lp",
    "atv24h",
    "atp24h",
    "tv",
    "ab",
    "sid",
    "st",
    "ms",
    "its",
    "e",
    "s",
    "b",
    "a",
    "B",
    "A",
    "c",
    "o",
    "h",
    "l",
    "v",
    "q",
    "p",
    "t",
    "T",
    "m",
    "E",
    "data",
]
KINDS = st.sampled_from(["orderbook", "ticker", "trade", "24hrMiniTicker", "kline", "error"])


@pytest.mark.parametrize("read", [upbit.read_frame, binance.read_frame])
@given(
    frame=st.dictionaries(st.sampled_from(NAMES), JSON | st.just("1.5"), max_size=20), kind=KINDS
)
def test_any_object_is_read_or_refused(read, frame, kind):
    """A frame of the right kind with wrong fields never ends the line by a fault of ours."""
    raw = json.dumps({**frame, "ty": kind, "e": kind}).encode()
    with contextlib.suppress(BadData):
        assert isinstance(read(raw, 0), list)
