"""The store of the premium."""

import sqlite3
from fractions import Fraction

import pytest

from venues.store import KEPT_MINUTES, PremiumStore, chart


def test_a_minute_keeps_its_extremes_and_its_last(tmp_path):
    """Whole numbers in ppm; a reader sees what the writer wrote; owner only."""
    path = tmp_path / "state" / "premium.sqlite3"
    store = PremiumStore(path)
    for percent in (2, 5, 1, 3):
        store.put(60_000, "BTC", Fraction(percent, 100))
    store.put(120_000, "BTC", Fraction(-1, 100))
    assert PremiumStore(path, read_only=True).closes("BTC", 0) == [(1, 30_000), (2, -10_000)]
    row = sqlite3.connect(path).execute("SELECT o, h, l, c FROM minute").fetchone()
    assert row == (20_000, 50_000, 10_000, 30_000)
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def test_what_is_older_than_thirty_days_goes(tmp_path):
    """The file does not grow for ever."""
    store = PremiumStore(tmp_path / "p.sqlite3")
    store.put(0, "BTC", Fraction(0))
    store.put((KEPT_MINUTES + 1) * 60_000, "BTC", Fraction(0))
    assert [minute for minute, _ in store.closes("BTC", 0)] == [KEPT_MINUTES + 1]


def test_a_reader_makes_no_file(tmp_path):
    """Asked for a store that is not there, it says so."""
    with pytest.raises(sqlite3.OperationalError):
        PremiumStore(tmp_path / "none.sqlite3", read_only=True)
    assert [*tmp_path.iterdir()] == []


def test_the_chart_spans_its_figures():
    """Lowest and highest block for least and most; flat and empty do no harm."""
    assert chart([-5, 9, -5]) == "▁█▁"
    assert (chart([3, 3]), chart([])) == ("▁▁", "")
