"""Frames in the shapes that public sources show, with numbers of our own: whole, odd, and half odd.

What can be read is read to the digit; one odd entry takes nothing with it; nothing becomes a float.
"""

import json
from decimal import Decimal

import pytest

from kis_realtime_trading import BadData, Side
from venues import binance, kiwoom, upbit
from venues.common import Hint, PartlyBad, VBook, VQuote, VTicker, VTrade, delivering
from venues.kiwoom import BalanceSeen, ConditionPush, Notice, read_real
from venues.kiwoom_conditions import ConditionFeed
from venues.kiwoom_stream import Session

D = Decimal
WALL = 1_795_741_200_000  # 2026-11-27 10:00 in Seoul


def real(*entries):
    """Return a REAL frame of Kiwoom with its data first, as it comes."""
    return {"data": list(entries), "trnm": "REAL"}


TRADE = {"type": "0B", "name": "주식체결", "item": "005930", "values": {
    "20": "100001", "10": "-71200", "11": "-300", "12": "-0.42", "27": "-71300", "28": "-71200", "15": "+38",
    "13": "1840221", "14": "131417", "16": "+71800", "17": "+72100", "18": "-70900", "25": "5", "26": "-9120345",
    "29": "-652341230000", "30": "-16.79", "31": "0.03", "32": "231", "228": "96.14", "311": "4250413", "290": "2",
    "691": "0", "567": "000000", "568": "000000", "851": "", "1890": "090008", "1891": "101512", "1892": "094330",
    "1030": "-938122", "1031": "902099", "1032": "49.02", "1071": "", "1072": "", "1313": "2705", "1315": "0",
    "1316": "38", "1314": " 0", "1497": "", "1498": "", "620": "71414", "732": "+2", "852": "", "9081": "KRX"}}  # fmt: skip
BOOK = {"type": "0D", "name": "주식호가잔량", "item": "005930_NX", "values": {
    "21": "100002", **{str(41 + n): f"+{71_300 + 100 * n}" if n < 3 else "-0" for n in range(10)},
    **{str(61 + n): str(110 + n) if n < 3 else " 0" for n in range(10)},
    **{str(51 + n): f"-{71_200 - 100 * n}" if n < 2 else "0" for n in range(10)},
    **{str(71 + n): str(90 + n) if n < 2 else "" for n in range(10)},
    "121": "333", "125": "181", "128": "-152", "129": "54.35", "215": "2", "9081": "NXT"}}  # fmt: skip
ORDER = {"type": "00", "name": "주문체결", "item": "005930", "values": {
    "9201": "9876543210", "9203": "0000184", "9205": "", "9001": "A005930", "912": "JJ", "913": "체결", "302": "삼성전자",
    "900": "10", "901": "71200", "902": "4", "903": "427200", "904": "0000000", "905": "+매수", "906": "보통", "907": "2",
    "908": "100003", "909": "61", "910": "71200", "911": "6", "10": "-71200", "27": "-71300", "28": "-71200", "914": "71200",
    "915": "6", "938": "60", "939": "0", "919": "0", "920": "", "921": "0701002", "922": "00", "923": "00000000",
    "10010": "", "2134": "1", "2135": "KRX", "2136": "N"}}  # fmt: skip
HOLDING = {"type": "04", "name": "현물잔고", "item": "005930", "values": {
    "9201": "9876543210", "9001": "A005930", "917": "00", "916": "00000000", "302": "삼성전자", "10": "-71200", "930": "106",
    "931": "70033", "932": "7423498", "933": "102", "945": "6", "946": "2", "950": "0", "951": "0", "27": "-71300", "28": "-71200",
    "307": "71500", "8019": "1.67", "957": "0", "958": "0", "918": "00000000", "990": "0", "991": "0.00", "992": "0", "993": "0.00"}}  # fmt: skip
HIT = {"type": "02", "name": "조건검색", "item": "005930", "values": {
    "841": "4   ", "9001": "005930", "843": "I", "20": "100004", "907": "2", "9081": "KRX"}}  # fmt: skip


def test_kiwooms_frames_are_read_whole():
    """Trade, book, own order, own balance, condition: five kinds in one frame, signs and blanks as they come."""
    ticker, trade, book, quote, notice, held, push = read_real(
        real(TRADE, BOOK, ORDER, HOLDING, HIT), 3, WALL
    )
    assert (ticker.last, ticker.change_day_pct, ticker.high, ticker.low) == (71_200, D("-0.42"), 72_100, 70_900)  # fmt: skip
    assert (trade.price, trade.quantity, trade.taker, trade.ts_ms) == (71_200, 38, Side.BUY, WALL + 1_000)  # fmt: skip
    assert (book.bids, book.asks[-1]) == (((71_200, 90), (71_100, 91)), (71_500, 112))
    assert (quote.symbol, quote.bid, quote.ask) == ("005930_NX", 71_200, 71_300)
    assert (notice.number, notice.filled, notice.amount, notice.side, notice.fees) == ("0000184", 6, 427_200, Side.BUY, 60)  # fmt: skip
    assert held == BalanceSeen("005930", 106, 102)
    assert push == ConditionPush("4", "005930", True, 36_004)
    assert not [each for event in (ticker, trade, *book.bids, quote, notice) for each in event if isinstance(each, float)]  # fmt: skip


@pytest.mark.parametrize("odd", [
    {"type": "0B", "item": "005930", "values": {"10": "0"}}, {"type": "0B", "item": "", "values": TRADE["values"]},
    {"type": "0B", "item": "005930", "values": {"10": "7E4"}}, {"type": "00", "values": {"9203": "0000000"}},
    {"type": "04", "values": {"9001": ""}}, {"type": "02", "values": {**HIT["values"], "843": ""}}, {"type": "0B"}, None, 5, "x",
])  # fmt: skip
def test_one_odd_entry_takes_no_other_with_it(odd):
    """A price of nothing among fills: the fill is booked, the odd one is counted."""
    with pytest.raises(PartlyBad) as caught:
        read_real(real(odd, ORDER, HOLDING), 0, WALL)
    assert [type(event) for event in caught.value.events] == [Notice, BalanceSeen]
    taken = []
    session = Session(taken.append, (), True, None)
    session.logged_in = True
    with pytest.raises(BadData):
        session.read(json.dumps(real(odd, ORDER, HOLDING)).encode(), 0, WALL)
    assert [type(event) for event in taken] == [Notice, BalanceSeen]


@pytest.mark.parametrize(("given", "percent"), [
    ("+1.10", "1.1"), ("-0.42", "-0.42"), ("--0.42", "-0.42"), ("0.00", "0"), ("", None), (" ", None), ("x", None), (None, None),
])  # fmt: skip
def test_an_odd_change_never_costs_the_price(given, percent):
    """Signs doubled, blanks, letters: the price and the trade are read, the change where it can be."""
    ticker, trade = read_real(real({**TRADE, "values": {**TRADE["values"], "12": given}}), 0, WALL)
    assert (ticker.last, trade.quantity) == (71_200, 38)
    assert ticker.change_day_pct == (None if percent is None else D(percent))


@pytest.mark.parametrize("kind", ["0A", "0C", "0E", "0F", "0G", "0H", "0I", "0J", "0U", "0g", "0m", "0s", "0u", "0w", "1h", "9Z", None])  # fmt: skip
def test_kinds_that_nobody_asked_for_are_nothing(kind):
    """A kind that is new or not ours: no event, no fault."""
    assert read_real(real({"type": kind, "item": "005930", "values": {"10": "+1"}}), 0, WALL) == []


def test_kiwooms_numbers_in_every_spelling():
    """Padded, signed, blank, with commas or a point of zeros."""
    spelt = {"000000071200": 71_200, "-71200": -71_200, "+71,200": 71_200, "1,234,567": 1_234_567, " 0": 0, "-0": 0,
             "71200.00": 71_200, "": None, "   ": None, 71_200: 71_200}  # fmt: skip
    assert {text: kiwoom.whole(text) for text in spelt} == spelt
    for bad in ("7E4", "71,20", "1.5", "x", True, 1.5, [], "+-+1"):
        with pytest.raises(BadData):
            kiwoom.whole(bad)


def test_conditions_list_notes_and_warrants_and_leave_out_what_cannot_be_read():
    """Q and J before a code, FIDs under `values`, one row of rubbish: the others are members, it is counted."""
    feed = ConditionFeed(("돌파",), lambda change: None)
    feed.begin()
    feed.next_message(0)
    feed.answer({"trnm": "CNSRLST", "return_code": "0", "return_msg": "", "data": [["4", "돌파"], {"seq": "5", "name": "둘"}]})  # fmt: skip
    feed.next_message(0)
    rows = [
        {"jmcode": "A005930"},
        {"jmcode": "Q530036"},
        {"values": {"9001": "J57JAAH"}},
        {"jmcode": ""},
        {"jmcode": "?"},
    ]
    feed.answer({"trnm": "CNSRREQ", "seq": "4   ", "return_code": 0, "return_msg": "", "data": rows})  # fmt: skip
    assert feed.members == {"돌파": {"005930", "530036", "57JAAH"}}
    assert (feed.unread["돌파"], feed.done) == (2, True)


# --- Upbit ------------------------------------------------------------------------------

MY_ORDER = {
    "type": "myOrder", "code": "KRW-XRP", "uuid": "00000000-0000-4000-8000-00000000000a", "ask_bid": "BID", "order_type": "limit",
    "state": "trade", "trade_uuid": "00000000-0000-4000-8000-00000000000b", "price": 3.001E3, "avg_price": 3001.5,
    "volume": 1.2E-1, "remaining_volume": 0, "executed_volume": 0.12, "trades_count": 2, "reserved_fee": 0.18009,
    "remaining_fee": 0E-8, "paid_fee": 0.18009, "locked": 0.0, "executed_funds": 360.18, "time_in_force": None, "trade_fee": 0.09,
    "is_maker": True, "identifier": "kb-0123456789abcdef01234567", "smp_type": "cancel_taker", "prevented_volume": 0.0,
    "prevented_locked": 0.0, "trade_timestamp": 1795741200000, "order_timestamp": 1795741199000, "timestamp": 1795741200010,
    "stream_type": "REALTIME",
}  # fmt: skip


@pytest.mark.parametrize(
    "state", ["wait", "watch", "trade", "done", "cancel", "prevented", "a new word"]
)
def test_upbits_own_orders_are_hints_whatever_their_state(state):
    """Figures of the stream are believed of nothing; the name of the order is what counts."""
    frame = {**MY_ORDER, "state": state}
    ours = Hint("kb-0123456789abcdef01234567")
    assert upbit.read_private(json.dumps(frame).encode()) == [ours]
    assert upbit.read_private(json.dumps([frame, {"type": "myAsset", "assets": []}]).encode()) == [ours, Hint("")]  # fmt: skip
    assert upbit.read_private(json.dumps({**frame, "identifier": None}).encode()) == [Hint("")]
    simple = {
        "ty": "myOrder",
        "cd": "KRW-XRP",
        "s": state,
        "id": None,
        "identifier": ours.client_id,
    }
    assert upbit.read_private(json.dumps(simple).encode()) == [ours]


def test_what_upbit_says_of_itself_is_no_data():
    """The list of subscriptions in both formats, a sign of life, a notice."""
    asked = [{"method": "LIST_SUBSCRIPTIONS", "result": [{"type": "ticker", "codes": ["KRW-BTC"]}], "ticket": "t"},
             {"mthd": "LIST_SUBSCRIPTIONS", "rslt": [{"ty": "myAsset"}], "tckt": "t"}, {"status": "UP"}]  # fmt: skip
    for frame in asked:
        raw = json.dumps(frame).encode()
        assert upbit.read_frame(raw, 0) == upbit.read_private(raw) == []
    assert upbit.read_private(b'{"type":"announcement","title":"x"}') == []


def test_an_odd_entry_of_a_list_takes_no_other_with_it():
    """SIMPLE_LIST and @arr: good ones arrive, the odd one is raised for the count."""
    good = {
        "ty": "trade",
        "cd": "KRW-XRP",
        "tms": 1,
        "ttms": 1,
        "tp": 3001,
        "tv": 1.5,
        "ab": "BID",
        "sid": 17,
        "st": "REALTIME",
    }
    taken = []
    deliver = delivering(upbit.read_frame, taken.append)
    with pytest.raises(BadData):
        deliver(json.dumps([{**good, "tp": None}, good, 7, {**good, "tv": "0"}]).encode(), 0)
    assert [(type(each), each.price) for each in taken] == [(VTrade, 3001)]


# --- Binance ----------------------------------------------------------------------------

DAY = {"e": "24hrTicker", "E": 1795741200000, "s": "BTCUSDT", "p": "-100.00000000", "P": "-0.158", "w": "63012.1", "x": "63100.00",
       "c": "63000.00000000", "Q": "0.00100000", "b": "62999.99000000", "B": "1.20000000", "a": "63000.00000000", "A": "0.90000000",
       "o": "63100.00000000", "h": "63900.00000000", "l": "62000.00000000", "v": "1234.50000000", "q": "77773500.00000000",
       "O": 1795654800000, "C": 1795741199999, "F": 1, "L": 2, "n": 2}  # fmt: skip


def test_binances_whole_ticker_is_a_quote_and_a_ticker():
    """24hrTicker; of a halted pair whose book is empty only the ticker can be read."""
    quote, ticker = binance.read_frame(json.dumps(DAY).encode(), 0)
    assert (type(quote), quote.bid, quote.ask_size) == (VQuote, D("62999.99"), D("0.9"))
    assert (type(ticker), ticker.last, ticker.change_24h_pct) == (VTicker, 63_000, D("-0.1585"))
    with pytest.raises(PartlyBad) as caught:
        binance.read_frame(json.dumps({**DAY, "b": "0.00000000", "B": "0.0"}).encode(), 0)
    assert [type(each) for each in caught.value.events] == [VTicker]
    trade = {
        "e": "aggTrade",
        "E": 2,
        "s": "BTCUSDT",
        "a": 77,
        "p": "63000.1",
        "q": "0.5",
        "f": 1,
        "l": 3,
        "T": 1,
        "m": False,
        "M": True,
    }
    (read,) = binance.read_frame(
        json.dumps({"stream": "btcusdt@aggTrade", "data": trade}).encode(), 0
    )
    assert (read.trade_id, read.taker, read.price) == ("77", Side.BUY, D("63000.1"))


@pytest.mark.parametrize(("event", "hints"), [
    ({"e": "executionReport", "E": 1, "s": "BTCUSDT", "c": "kb-a", "S": "BUY", "o": "LIMIT", "x": "NEW", "X": "NEW", "r": "NONE",
      "i": 9, "l": "0.0", "z": "0.0", "L": "0.0", "n": "0", "N": None, "T": 1, "t": -1, "Z": "0.0", "C": ""}, ["kb-a"]),
    ({"e": "executionReport", "c": "web_1", "C": "kb-a", "x": "CANCELED", "X": "CANCELED"}, ["kb-a", "web_1"]),
    ({"e": "executionReport", "c": "kb-a", "C": None, "x": "A NEW WORD"}, ["kb-a"]),
    ({"e": "outboundAccountPosition", "E": 1, "u": 1, "B": [{"a": "币", "f": "1.0", "l": "0.0"}]}, [""]),
    ({"e": "balanceUpdate", "a": "BTC", "d": "1E-8", "T": 1}, [""]), ({"e": "listStatus", "s": "BTCUSDT"}, []),
])  # fmt: skip
def test_binances_own_events_are_hints(event, hints):
    """With a subscription around them or without; strange words and names say where to look, no more."""
    for frame in (event, {"subscriptionId": 0, "event": event}):
        read = binance.read_private(json.dumps(frame, ensure_ascii=False).encode())
        assert [each.client_id for each in read] == hints


def test_a_book_of_kiwoom_is_never_half():
    """Levels without a price are left out; both sides stay best first."""
    (book, _) = read_real(real(BOOK), 0, WALL)
    assert isinstance(book, VBook)
    assert list(book.bids) == sorted(book.bids, reverse=True)
    assert list(book.asks) == sorted(book.asks)
