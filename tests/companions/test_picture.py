"""The picture of a day shows fills where they were, with the gain that the report names."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import journals
import pytest

import kis_realtime_trading as bot
from companions import picture, reports
from companions.journal_reader import JournalReader


@pytest.mark.parametrize("seed", range(6))
def test_the_picture_agrees_with_the_report(tmp_path, seed):
    """Its final figure is the day's result, its marks are the fills, its gains the round trips'."""
    path = tmp_path / "journal-paper-0000.sqlite3"
    journals.make_journal(path, days=3, bars=20, seed=seed, wild=True)
    drawn, report = picture.read_drawn(path), reports.read_report(path)
    last = report.days[-1]
    assert drawn.day == last.day.isoformat()
    assert drawn.realised[-1][1] == last.net_krw
    assert drawn.whole[-1][1] == last.result_krw
    marked = sum(mark.gain_krw or 0 for marks in drawn.marks.values() for mark in marks)
    trips = [t for t in report.trips if t.day == last.day and t.reason != "owner"]
    assert marked == sum(trip.gain_krw for trip in trips)


def test_a_day_without_trades_is_said_in_words(tmp_path):
    """The title says so, and a day without a bar is drawn as well."""
    made = journals.JournalMaker(tmp_path / "journal-paper-0000.sqlite3")
    made.open_day(date(2026, 1, 5))
    made.close_day()
    import matplotlib

    matplotlib.use("Agg")
    figure = picture.draw(picture.read_drawn(made.path), korean=False)
    assert "no trade on this day" in figure._suptitle.get_text()


def test_fills_side_by_side_become_one_mark():
    """Labels do not lie on each other; the shares, their mean price and the gain stay."""
    at = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
    marks = [
        picture.Mark(at, 100.0, 1, True, None), picture.Mark(at, 103.0, 2, True, None),
        picture.Mark(at + timedelta(minutes=5), 110.0, 1, False, None),
        picture.Mark(at + timedelta(minutes=5, seconds=9), 110.0, 2, False, 24),
        picture.Mark(at + timedelta(minutes=5, seconds=10), 111.0, 5, True, None),
    ]  # fmt: skip
    found = picture.together(marks)
    assert [(each.shares, each.price, each.buy, each.gain_krw) for each in found] == [
        (3, 102.0, True, None), (3, 110.0, False, 24), (5, 111.0, True, None),
    ]  # fmt: skip


def test_a_foreign_bar_is_left_out(tmp_path):
    """A bar whose prices are no whole numbers is not drawn."""
    made = journals.JournalMaker(tmp_path / "journal-paper-0000.sqlite3")
    made.open_day(date(2026, 1, 5))
    made.rows.append(("bar", "005930", {"bar": {"open": "x", "end": 5}}))
    made.flush()
    assert picture.read_drawn(made.path).bars == {}


@pytest.mark.parametrize("days", [1, 2, 30])
@pytest.mark.parametrize("seed", [1, 4])
def test_only_the_last_days_are_read_bar_by_bar(tmp_path, days, seed):
    """The last day is the same to the mark and the won as if every bar since the first had been read."""
    made = journals.make_journal(tmp_path / "journal-paper-0000.sqlite3", 6, 12, seed, wild=True)
    fees = (bot.STOCK_FEE_PCT, bot.FUND_FEE_PCT)
    follower = picture._Reader(fees)
    with JournalReader(made.path) as reader:
        bars = [row for row in reader.rows(("bar",)) if row.seq > reader.last_days(1)[0]]
        follower.follow(reader, days)
    drawn = picture.read_drawn(made.path)
    for name in ("day", "bars", "marks", "levels", "realised", "whole"):
        assert getattr(follower.drawn, name) == getattr(drawn, name), name
    assert sum(map(len, drawn.bars.values())) == len(bars) > 0


def test_a_day_of_nothing_has_one_line_at_nought(tmp_path):
    """No sign before 0 and no scale made of rounding."""
    made = journals.JournalMaker(tmp_path / "journal-paper-0000.sqlite3")
    made.open_day(date(2026, 1, 5))
    made.bars(3)
    made.close_day()
    figure = picture.draw(picture.read_drawn(made.path), korean=False)
    last = figure.axes[3]
    assert last.get_title("left") == "result of the day 0 won"
    assert list(last.get_yticks()) == [0]
