"""Frames as the venues spell them: their documentations and what others saw, odd ones above all.

None may end a line but those that say so; what can be read is read to the digit.
"""

import asyncio
import json
from decimal import Decimal

import pytest
from harness import run_virtual
from hypothesis import given
from hypothesis import strategies as st

from kis_realtime_trading import BadData, Side
from venues import binance, upbit
from venues.common import Market, Rules, VQuote, VTicker, VTrade, is_multiple
from venues.wire import Clock, Line, LineEnds, LinePlan, Statistics

D = Decimal
UPBIT_BOOK = (
    b'{"type":"orderbook","code":"KRW-BTC","timestamp":1790134742106,"total_ask_size":2.51469375,'
    b'"total_bid_size":1.63815297,"orderbook_units":[{"ask_price":1.16539E8,"bid_price":1.16538E8,'
    b'"ask_size":0.02054761,"bid_size":7.9276E-4},{"ask_price":1.16542E8,"bid_price":1.16537E8,'
    b'"ask_size":0.00077720,"bid_size":0.01129382}],"stream_type":"SNAPSHOT","level":0}'
)
UPBIT_TICKER = (
    b'{"type":"ticker","code":"KRW-BTC","opening_price":158219000.00000000,"high_price":159278000.0,'
    b'"low_price":157588000.00000000,"trade_price":158200000.00000000,"acc_trade_price":'
    b'95088751392.9099200000000000,"change":"EVEN","change_price":0E-8,"signed_change_price":0E-8,'
    b'"signed_change_rate":0E-8,"ask_bid":"ASK","trade_volume":0.00011188,"trade_timestamp":1758875206936,'
    b'"highest_52_week_date":"2025-08-14","market_state":"ACTIVE","is_trading_suspended":false,'
    b'"delisting_date":null,"market_warning":"NONE","timestamp":1758875206974,"acc_trade_price_24h":'
    b'331188513477.17233,"acc_trade_volume_24h":2083.82485091,"stream_type":"REALTIME"}'
)
UPBIT_TRADE = (
    b'{"ty":"trade","cd":"KRW-XRP","tms":1790000000001,"td":"2026-09-21","ttm":"12:00:00",'
    b'"ttms":1790000000000,"tp":3.0E3,"tv":1.2E-7,"ab":"ASK","pcp":3001.00000000,"c":"FALL","cp":1.0,'
    b'"sid":17900000000000001,"bap":3001,"bas":1.5,"bbp":3000,"bbs":2.5,"st":"SNAPSHOT"}'
)
BINANCE_MINI = (
    b'{"stream":"btcusdt@miniTicker","data":{"e":"24hrMiniTicker","E":1672515782136,"s":"BTCUSDT",'
    b'"c":"63000.00000000","o":"60000.00000000","h":"63100.00000000","l":"59900.00000000",'
    b'"v":"10000.00000000","q":"618000000.00000000","new":null}}'
)
BINANCE_TRADE = (
    b'{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.00100000","q":"100.00000000",'
    b'"T":1672515782136,"m":true,"M":true}'
)
BINANCE_BOOK = b'{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}'


def test_exponents_and_trailing_zeros_are_one_number():
    """Upbit's DEFAULT format writes 1.16539E8 and 0E-8: the same numbers as in SIMPLE."""
    (quote,) = upbit.read_frame(UPBIT_BOOK, 5)
    assert quote == VQuote("upbit", "KRW-BTC", D(116538000), D("0.00079276"), D(116539000), D("0.02054761"),
                           1790134742106, 5)  # fmt: skip
    assert "E" not in str(quote.bid)
    (ticker,) = upbit.read_frame(UPBIT_TICKER, 5)
    assert isinstance(ticker, VTicker)
    assert (ticker.last, ticker.change_day_pct, ticker.trading) == (D(158200000), D(0), True)
    (trade,) = upbit.read_frame(UPBIT_TRADE, 5)
    assert isinstance(trade, VTrade)
    assert (trade.price, trade.quantity, trade.taker, trade.snapshot) == (D(3000), D("0.00000012"), Side.SELL, True)  # fmt: skip


def test_binance_frames_are_read_raw_and_combined():
    """With `stream` around them or without; new fields and nulls do no harm."""
    (mini,) = binance.read_frame(BINANCE_MINI, 5)
    assert (mini.symbol, mini.change_24h_pct, mini.quote_24h) == ("BTCUSDT", D(5), D(618000000))
    (trade,) = binance.read_frame(BINANCE_TRADE, 5)
    assert (trade.taker, trade.price) == (Side.SELL, D("0.001"))
    (quote,) = binance.read_frame(BINANCE_BOOK, 5)
    named = {**json.loads(BINANCE_BOOK), "e": "bookTicker", "E": 1}
    assert [quote] == binance.read_frame(json.dumps(named).encode(), 5)


def test_lists_of_frames_are_read_each():
    """SIMPLE_LIST, JSON_LIST and @arr give many in one."""
    two = b"[" + UPBIT_BOOK + b"," + UPBIT_TRADE + b"]"
    assert [type(each) for each in upbit.read_frame(two, 0)] == [VQuote, VTrade]
    many = b"[" + BINANCE_TRADE + b"," + BINANCE_BOOK + b"]"
    assert [type(each) for each in binance.read_frame(many, 0)] == [VTrade, VQuote]


NO_DATA = [
    (upbit, {"status": "UP"}), (upbit, {"type": "candle.1m", "code": "KRW-BTC", "trade_price": 1.0}),
    (upbit, {"ty": "orderbook.new", "cd": "KRW-BTC"}), (upbit, []),
    (binance, {"result": None, "id": 1}), (binance, {"e": "kline", "E": 1, "s": "BTCUSDT", "k": {}}),
    (binance, {"e": "depthUpdate", "s": "BTCUSDT", "U": 1, "u": 2, "b": [], "a": []}),
    (binance, {"stream": "btcusdt@avgPrice", "data": {"e": "avgPrice", "w": "25.1"}}), (binance, []),
]  # fmt: skip
BAD = [
    (upbit, b""), (upbit, b"\x00\x01"), (upbit, b"PING"), (upbit, b"null"), (upbit, b'{"ty":"ticker"'),
    (upbit, UPBIT_BOOK.replace(b"1.16538E8", b"null")), (upbit, UPBIT_BOOK.replace(b"1.16538E8", b"0")),
    (upbit, UPBIT_BOOK.replace(b"1.16538E8", b"-1")), (upbit, UPBIT_BOOK.replace(b"1.16538E8", b"1E400")),
    (upbit, UPBIT_BOOK.replace(b"1.16538E8", b"NaN")), (upbit, b'{"ty":"orderbook","cd":"KRW-BTC","tms":1,"obu":[]}'),
    (upbit, b'{"ty":"orderbook","cd":null,"tms":1,"obu":[{}]}'), (upbit, UPBIT_TICKER.replace(b'"KRW-BTC"', b"7.5")),
    (upbit, b"[1,2]"), (upbit, b"[" * 100_000), (upbit, UPBIT_TRADE.replace(b'"ASK"', b"[]")),
    (binance, BINANCE_BOOK.replace(b'"25.35190000"', b"null")), (binance, BINANCE_BOOK.replace(b'"25.35190000"', b'"0.00000000"')),
    (binance, BINANCE_MINI.replace(b'"60000.00000000"', b'"0"')), (binance, BINANCE_TRADE.replace(b"true", b"1")),
    (binance, b'{"stream":"x","data":null}'), (binance, b'{"stream":"x"}'), (binance, b"\xff"), (binance, b"7"),
]  # fmt: skip
ENDS = [
    (upbit, {"error": {"name": "WRONG_FORMAT", "message": "x"}}), (upbit, {"error": {"name": 400}}),
    (upbit, {"error": "x"}), (binance, {"e": "serverShutdown", "E": 1}),
    (binance, {"stream": "s", "data": {"e": "serverShutdown", "E": 1}}),
    (binance, {"error": {"code": 2, "msg": "Invalid request"}, "id": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("module", "frame"), NO_DATA)
def test_a_frame_without_data_is_nothing(module, frame):
    """States, answers and kinds that were not asked for: no event and no fault."""
    assert module.read_frame(json.dumps(frame).encode(), 0) == []


@pytest.mark.parametrize(("module", "raw"), BAD)
def test_a_frame_that_cannot_be_right_is_dropped(module, raw):
    """Nulls, zeros, negative or endless numbers, half frames: refused, nothing else is raised."""
    with pytest.raises(BadData):
        module.read_frame(raw, 0)


@pytest.mark.parametrize(("module", "frame"), ENDS)
def test_only_what_says_so_ends_a_line(module, frame):
    """A refusal of what was asked, a shutdown: opened anew."""
    with pytest.raises(LineEnds):
        module.read_frame(json.dumps(frame).encode(), 0)


@pytest.mark.parametrize("module", [upbit, binance])
def test_no_odd_frame_ends_a_line(module):
    """All of them one after another over one connection: the good ones arrive, it is never opened anew."""
    good = {upbit: [UPBIT_BOOK, UPBIT_TICKER, UPBIT_TRADE], binance: [BINANCE_MINI, BINANCE_TRADE, BINANCE_BOOK]}[module]  # fmt: skip
    odd = [raw for each, raw in BAD if each is module]
    odd += [json.dumps(frame).encode() for each, frame in NO_DATA if each is module]

    class Gives:
        async def __aiter__(self):
            for raw in odd:
                yield raw
                for each in good:
                    yield each
            await asyncio.Event().wait()

        async def send(self, message):
            pass

        async def close(self):
            pass

    async def scene():
        opened, seen, statistics = [], [], Statistics()

        async def connect(url, headers):
            opened.append(url)
            return Gives()

        def take(raw, seen_ns):
            seen.extend(module.read_frame(raw, seen_ns))

        plan = LinePlan("v", "l", lambda: "ws://x", list)
        line = Line(plan, take, lambda change: None, statistics, Clock(), connect)
        task = asyncio.get_running_loop().create_task(line.run())
        await asyncio.sleep(30.0)
        task.cancel()
        return len(opened), len(seen), statistics.line("l").bad

    opened, seen, bad = run_virtual(scene())
    assert (opened, seen) == (1, 3 * len(odd))
    assert bad == len([raw for each, raw in BAD if each is module])


def test_a_line_is_renewed_before_the_24_hours_of_the_venue_are_over():
    """Binance ends a connection after a day: it is opened anew at 23 hours."""
    assert binance.line_plan("wss://x", ["BTCUSDT"]).renew_s == 23 * 3_600


TICKS = ((D(1000000), D(1000)), (D(10000), D(10)), (D(0), D("0.00000001")))
PRICES = st.decimals(min_value=D("0.00000001"), max_value=D(10**9), places=8).map(
    lambda d: d.normalize()
)


@given(PRICES, st.sampled_from([Side.BUY, Side.SELL]))
def test_a_price_on_the_grid_is_never_worse_and_never_a_step_away(price, side):
    """A buy goes down, a sell up, by less than a tick; what stands on the grid stays."""
    rules = Rules(Market("v", "s", "a", "b"), TICKS, D("0.00000001"))
    tick, put = rules.tick_at(price), rules.price_for(side, price)
    assert is_multiple(put, tick)
    assert abs(put - price) < tick
    assert put <= price if side is Side.BUY else put >= price
    assert rules.price_for(side, put) == put
