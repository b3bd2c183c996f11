"""A book of differences is the whole book, or none: `watch --book`."""

import json
import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kis_realtime_trading import BadData
from venues import binance, upbit
from venues.cli import main
from venues.depth import SHOWN, DepthBook

D = Decimal
CHANGE = st.tuples(st.sampled_from("ba"), st.integers(1, 30), st.integers(0, 5))
FATE = st.sampled_from(["sent", "sent", "sent", "sent", "lost", "doubled", "swapped"])


class Truth:
    """The venue's book, kept in the plainest way; every state it had, by its last number."""

    def __init__(self):
        self.last, self.sides, self.states = 100, {"b": {}, "a": {}}, {}

    def move(self, changes):
        """Change some levels; return the difference as the venue sends it."""
        first, told = self.last + 1, {"b": {}, "a": {}}
        for side, price, size in changes:
            told[side][price] = size
            self.sides[side] = {p: q for p, q in {**self.sides[side], price: size}.items() if q}
            self.last += 1
        self.states[self.last] = self.top()
        rows = {
            side: [[f"{p}.00", f"{q}.5" if q else "0.00000000"] for p, q in told[side].items()]
            for side in "ba"
        }
        return {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": first, "u": self.last, **rows}

    def top(self):
        """Return both sides, best first, as a whole book shows them."""
        bids = sorted(self.sides["b"].items(), reverse=True)[:SHOWN]
        asks = sorted(self.sides["a"].items())[:SHOWN]
        return tuple(tuple((D(p), D(q) + D("0.5")) for p, q in side) for side in (bids, asks))

    def snapshot(self):
        """Return the whole book as REST gives it."""
        rows = {
            name: [[str(p), f"{q}.5"] for p, q in self.sides[side].items()]
            for name, side in (("bids", "b"), ("asks", "a"))
        }
        return {"lastUpdateId": self.last, **rows}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(CHANGE, min_size=1, max_size=4), FATE, st.integers(0, 3)), max_size=40
    )
)
def test_a_book_of_differences_is_the_whole_book_or_none(steps):
    """Frames lost, doubled, swapped, snapshots that come late: what is shown is a state the venue had, never older
    than one shown before; after the last snapshot it is the venue's book of now."""
    truth, book, held, asked, newest = Truth(), DepthBook("binance", "BTCUSDT"), None, None, 0
    books = {}

    def see(shown):
        nonlocal newest
        if shown is None:
            return
        found = [last for last, top in truth.states.items() if top == (shown.bids, shown.asks)]
        assert found, "a book that the venue never had"
        assert max(found) >= newest, "an older book than before"
        newest = max(min(found), newest)
        books[newest] = shown

    for changes, fate, pause in steps:
        frame = truth.move(changes)
        frames = {"lost": [], "doubled": [frame, frame], "swapped": []}.get(fate, [frame])
        if held is not None:
            frames, held = [*frames, held], None
        held = frame if fate == "swapped" else None
        for each in frames:
            see(book.difference(each, 0))
        if not book.whole and pause == 0:
            if asked is not None:
                see(book.snapshot(asked, 0))
            asked = truth.snapshot()
    if held is not None:
        see(book.difference(held, 0))
    see(book.difference(truth.move([("b", 1, 1)]), 0))
    if not book.whole:
        see(book.snapshot(truth.snapshot(), 0))
    last = book.difference(truth.move([("a", 30, 2)]), 0)
    assert (last.bids, last.asks) == truth.top()


def test_a_gap_is_no_book_until_a_snapshot_reaches_back():
    """One difference is missing: nothing is shown; an old snapshot does not mend it, a new one does."""
    truth, book = Truth(), DepthBook("binance", "BTCUSDT")
    old = truth.snapshot()
    first = truth.move([("b", 5, 1), ("a", 6, 1)])
    assert book.difference(first, 0) is None
    assert book.snapshot(old, 0).bids == ((5, D("1.5")),)
    truth.move([("b", 4, 1)])
    assert book.difference(truth.move([("b", 3, 1)]), 0) is None
    assert (book.whole, book.gaps) == (False, 1)
    assert book.snapshot(old, 0) is None
    assert book.difference(truth.move([("b", 2, 1)]), 0) is None
    assert book.snapshot(truth.snapshot(), 0).bids == truth.top()[0]


@pytest.mark.parametrize(
    "change",
    [
        {"U": "x"},
        {"b": None},
        {"b": [["1"]]},
        {"b": [["0", "1"]]},
        {"a": [["1", "-1"]]},
        {"a": [[1.5, "1"]]},
    ],
)
def test_an_odd_difference_is_refused_whole(change):
    """It is raised for the count; the next one shows the gap."""
    truth, book = Truth(), DepthBook("binance", "BTCUSDT")
    book.snapshot(truth.snapshot(), 0)
    with pytest.raises(BadData):
        book.difference({**truth.move([("b", 5, 1)]), **change}, 0)
    assert book.difference(truth.move([("b", 6, 1)]), 0) is None
    assert not book.whole


def test_books_are_read_from_frames():
    """Fifteen levels of Upbit cut to ten, ghosts of size and price 0; other frames are no book."""
    units = [{"ap": 101 + n, "bp": 100 - n, "as": 1.5, "bs": 2} for n in range(14)] + [
        {"ap": 0, "bp": 0, "as": 0, "bs": 0}
    ]
    raw = json.dumps({"ty": "orderbook", "cd": "KRW-XRP.15", "tms": 7, "obu": units})
    (book,) = upbit.read_book(raw.encode(), 0)
    assert (len(book.bids), book.asks[0], book.bids[-1], book.symbol) == (
        10,
        (101, D("1.5")),
        (91, 2),
        "KRW-XRP",
    )
    assert upbit.read_book(b'{"status":"UP"}', 0) == []
    with pytest.raises(BadData):
        upbit.read_book(b'{"ty":"orderbook","cd":"KRW-XRP","tms":7,"obu":[]}', 0)
    assert binance.read_depth(b'{"result":null,"id":1}') == []
    assert len(binance.read_depth(b'{"stream":"s","data":{"e":"depthUpdate"}}')) == 1


@pytest.mark.parametrize("symbol", ["BTCUSDT", "krw-btc", "005930"])
def test_the_book_of_a_market_of_any_venue_is_shown(symbol, capsys):
    """`watch --book` finds the venue by the spelling; sells stand above buys."""
    assert main(["watch", "--demo", "--book", symbol, "--once", "--language", "en"]) == 0
    shown = capsys.readouterr().out
    prices = [D(each.replace(",", "")) for each in re.findall(r"│ +([\d,.]{5,}) +│", shown)]
    assert len(prices) >= 3
    assert prices == sorted(prices, reverse=True)
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_a_market_that_nobody_has_says_what_it_waits_for(capsys):
    """No book within the time: one line, not a table of nothing."""
    assert (
        main(
            [
                "watch",
                "--demo",
                "--book",
                "NOSUCHUSDT",
                "--once",
                "--wait",
                "0.5",
                "--language",
                "en",
            ]
        )
        == 1
    )
    assert "NOSUCHUSDT: no book came" in capsys.readouterr().out
