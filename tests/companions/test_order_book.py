"""The levels that a person sees are those of the frame."""

import pytest
from test_codec import quote_frame

from companions import order_book


def test_ten_levels_a_side_best_first():
    """Prices with their shares; empty levels are left out."""
    book = order_book.levels(quote_frame(f12="0", f32="0"), "005930")
    assert book is not None
    assert (book["time"], book["asks"][0], len(book["asks"])) == ("093354", [71_900, 1], 9)
    assert (book["bids"][0], book["bids"][-1]) == ([71_800, 101], [70_900, 110])


def test_each_stock_of_a_frame_of_two_has_its_own():
    """Two records in one frame are two books."""
    one, two = (quote_frame(f0=code).rpartition("|")[2] for code in ("000660", "035420"))
    frame = f"0|H0STASP0|002|{one}^{two.replace('71800', '71850')}"
    first, second = (order_book.levels(frame, code) for code in ("000660", "035420"))
    assert first and second
    assert (first["bids"][0], second["bids"][0]) == ([71_800, 101], [71_850, 101])


@pytest.mark.parametrize(
    "frame",
    [None, "", "0|H0STASP0|000|a^b", "0|H0STASP0|001|005930^1", quote_frame(f7="no price"),
     quote_frame(f0="000660")],
)  # fmt: skip
def test_what_is_no_book_is_left_out(frame):
    """No frame, a broken one, a level that is no number, another stock: nothing is shown."""
    status = {"symbols": [{"symbol": "005930", "book": frame}]}
    order_book.read_books(status)
    assert status["symbols"][0]["book"] is None
