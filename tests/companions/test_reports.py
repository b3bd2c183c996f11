"""Figures over days equal the ledger to the won; foreign journals are refused."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import date
from fractions import Fraction

import edge
import journals
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kis_realtime_trading as bot
from companions import reports
from companions.journal_reader import JournalReader

DAY = date(2026, 1, 5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_figures_of_random_days_equal_the_ledger_to_the_won(tmp_path_factory, seed):
    """Every day is the ledger's own; round trips and what is open add up to the days, exactly."""
    path = tmp_path_factory.mktemp("random") / "journal-paper-0000.sqlite3"
    made = journals.make_journal(path, days=6, bars=8, seed=seed, wild=True)
    report = reports.read_report(path)
    assert [d.day for d in report.days] == [t.day for t in made.truths]
    for day, truth in zip(report.days, made.truths, strict=True):
        figures = (day.fees_krw, day.taxes_krw, day.net_krw, day.cash_krw, day.held)
        assert (truth.fees, truth.taxes, truth.net, truth.cash, truth.held) == figures
    exact = sum((t.gross - t.fees - t.taxes for t in made.truths), Fraction(0))
    closed = sum((trip.gain_exact for trip in report.trips), Fraction(0))
    still_open = sum((each.booked_exact for each in report.open), Fraction(0))
    assert exact == closed + still_open
    assert exact == sum((each.net_exact for each in report.by_symbol), Fraction(0))
    for by in ("day", "week", "month", "symbol", "reason", "hour"):
        assert closed == sum((g.gain_exact for g in reports.group(report.trips, by)), Fraction(0))
    assert report.notes == ()


def test_a_round_trip_of_the_worked_example(tmp_path):
    """10 at 70,000 and 71,000 gain 8,382 won after costs, 1.197 % of what was paid."""
    made = journals.JournalMaker(tmp_path / "journal-paper-0000.sqlite3", symbols=("005930",))
    made.price["005930"] = 70_000
    made.open_day(DAY)
    made.now = made.now.replace(hour=9, minute=30)
    made.fill(made.send("005930", bot.Side.BUY, 10, "breakout", "entry"), 10)
    made.price["005930"], made.now = 71_000, made.now.replace(hour=10)
    made.put(bot.ExitStarted("005930", "target", made.now))
    made.fill(made.send("005930", bot.Side.SELL, 10, "target", "exit"), 10)
    made.close_day()
    report = reports.read_report(made.path)
    (trip,) = report.trips
    assert (trip.gain_krw, trip.fees_krw, trip.taxes_krw, trip.shares) == (8_382, 198, 1_420, 10)
    assert (
        trip.name, trip.entry_reason, trip.reason, trip.duration_s
    ) == ("삼성전자", "breakout", "target", 3600)  # fmt: skip
    assert pytest.approx(1.1974, abs=1e-4) == trip.gain_pct
    assert (trip.entry_price, trip.exit_price) == (70_000.0, 71_000.0)
    assert (
        report.totals.trips, report.totals.wins, report.totals.gain_krw,
        report.totals.profit_factor,
    ) == (1, 1, 8_382, None)  # fmt: skip


def test_shares_kept_over_night_count_from_the_close_of_yesterday(tmp_path):
    """The result of a day is what it realised plus the change of what is open."""
    made = journals.JournalMaker(tmp_path / "journal-paper-0000.sqlite3", symbols=("005930",))
    made.open_day(DAY)
    made.now = made.now.replace(hour=9)
    made.fill(made.send("005930", bot.Side.BUY, 10, "breakout", "entry"), 10)
    cost = made.ledger.position("005930").cost
    made.bars(30)
    made.close_day()
    first_close = made.price["005930"]
    made.open_day(bot.next_trading_day(DAY))
    made.now = made.now.replace(hour=9)
    made.bars(30)
    made.close_day()
    one, two = reports.read_report(made.path).days
    assert 10 * first_close - cost == one.open_krw
    assert one.net_krw + one.open_krw == one.result_krw
    assert 10 * (made.price["005930"] - first_close) == two.result_krw
    assert two.cash_krw + 10 * made.price["005930"] == two.equity_krw


def test_shares_that_the_owner_took_away_end_a_round_trip(tmp_path):
    """They leave at cost: what remains of the round trip is its costs."""
    made = journals.JournalMaker(tmp_path / "journal-paper-0000.sqlite3", symbols=("005930",))
    made.open_day(DAY)
    made.fill(made.send("005930", bot.Side.BUY, 10, "breakout", "entry"), 10)
    made.put(bot.PositionAdjusted("005930", 0, "sold by hand", made.now))
    made.close_day()
    (trip,) = reports.read_report(made.path).trips
    assert ("owner", 0, -trip.fees_krw) == (trip.reason, trip.sold, trip.gain_krw)


def test_a_span_and_a_stock_choose(tmp_path):
    """--from, --to and --symbol leave out the rest, and the sums follow."""
    made = journals.make_journal(tmp_path / "journal-paper-0000.sqlite3", days=8, bars=8)
    whole = reports.read_report(made.path)
    first, last = whole.days[2].day, whole.days[5].day
    part = reports.read_report(made.path, first, last)
    assert whole.days[2:6] == part.days
    assert [t for t in whole.trips if first <= t.day <= last] == list(part.trips)
    one = reports.read_report(made.path, symbol="005930")
    assert [t for t in whole.trips if t.symbol == "005930"] == list(one.trips)
    assert sum(t.gain_exact for t in one.trips) == sum(e.net_exact for e in one.by_symbol)


def test_streaks_and_the_deepest_fall():
    """Wins and losses in a row; the fall from a height, and when it was made good."""
    assert reports.streaks([Fraction(n) for n in (1, 1, -1, -1, -1, 1, 0, -1)]) == (2, 3, -1)

    def day(number: int, result: int) -> reports.DayResult:
        return reports.DayResult(
            date(2026, 1, number), 0, 0, 0, 0, 0, result, 0, 1_000 + result, 0, 1, 0, 0, 0, {}
        )

    fall = reports.drawdown([day(5, 100), day(6, -30), day(7, -80), day(8, 200), day(9, -10)])
    assert (110, date(2026, 1, 5), date(2026, 1, 7), date(2026, 1, 8)) == (
        fall.krw, fall.top, fall.bottom, fall.recovered
    )  # fmt: skip
    assert pytest.approx(10.0) == fall.pct


def test_refused_wishes_are_counted_by_rule(tmp_path):
    """Each rule that said no is named with how often, most frequent first."""
    made = journals.JournalMaker(tmp_path / "journal-paper-0000.sqlite3")
    made.open_day(DAY)
    for _ in range(30):
        made.refuse()
    counts = reports.read_report(made.path).refusals_by_rule()
    assert (30, sorted(counts.values(), reverse=True)) == (
        sum(counts.values()), list(counts.values())
    )  # fmt: skip


def test_a_report_is_json(tmp_path):
    """Programs get whole won and ISO times, and nothing that JSON does not know."""
    made = journals.make_journal(tmp_path / "journal-paper-0000.sqlite3", days=3, bars=8)
    report = reports.read_report(made.path)
    again = json.loads(json.dumps(reports.to_json(report)))
    assert [trip.gain_krw for trip in report.trips] == [t["gain_krw"] for t in again["trips"]]
    assert report.totals.costs_krw == again["totals"]["costs_krw"]


def test_another_fee_rate_is_named(tmp_path):
    """A day whose stored figures differ from those of the rate given is noted."""
    made = journals.make_journal(tmp_path / "journal-paper-0000.sqlite3", days=4, bars=8, seed=3)
    rates = (bot.STOCK_FEE_PCT * 2, bot.FUND_FEE_PCT)
    assert any("fees" in note for note in reports.read_report(made.path, fees=rates).notes)


def test_reading_goes_on_while_the_bot_writes(tmp_path):
    """A reader holds no transaction between batches, sees what is new, and changes nothing."""
    made = journals.JournalMaker(tmp_path / "journal-paper-0000.sqlite3")
    made.open_day(DAY)
    with JournalReader(made.path) as reader:
        assert len(list(reader.rows())) == made.journal.last_seq
        made.bars(10)
        assert len(list(reader.rows())) == made.journal.last_seq
    made.journal.verify()


EVIL = {
    "a view": "DROP TABLE rows; CREATE VIEW rows AS WITH RECURSIVE r(seq) AS (SELECT 1 UNION ALL "
    "SELECT seq + 1 FROM r) SELECT seq, 'a' at, 'intent' kind, 'b' ref, '{}' body, 'h' hash FROM r",
    "another column": "ALTER TABLE rows ADD COLUMN more TEXT",
    "a computed column": "ALTER TABLE rows ADD COLUMN more TEXT AS (hex(body))",
    "no table": "DROP TABLE rows",
    "one huge row": "UPDATE rows SET body = zeroblob(50000000)",
    "a blob": "UPDATE rows SET body = x'00ff'",
    "deep JSON": "UPDATE rows SET body = '" + '{"a":' * 50_000 + "1" + "}" * 50_000 + "'",
    "no JSON": "UPDATE rows SET body = 'x'",
    "a list": "UPDATE rows SET body = '[]'",
    "another version": "PRAGMA user_version = 9",
}


@pytest.mark.parametrize("sql", EVIL.values(), ids=EVIL.keys())
def test_a_foreign_journal_is_refused_at_once(tmp_path, sql):
    """Views without end, huge rows, other types: a sentence within a second of work, never a hang."""
    made = journals.JournalMaker(tmp_path / "journal-paper-0000.sqlite3")
    made.open_day(DAY)
    made.journal.close()
    with sqlite3.connect(made.path) as db:
        db.executescript(sql)
    db.close()

    def read():
        with pytest.raises(bot.JournalError):
            reports.read_report(made.path)

    assert edge.quickest_s(read, 2, time.thread_time) < 1.0


def test_a_file_that_is_no_database_is_refused(tmp_path):
    """Text in place of a journal is named, not traced."""
    path = tmp_path / "journal-paper-0000.sqlite3"
    path.write_text("hello" * 1000)
    with pytest.raises(bot.JournalError):
        reports.read_report(path)


def test_a_journal_on_a_disk_that_cannot_be_written_is_read(tmp_path, monkeypatch):
    """A disk goes read-only when it fails, just when somebody looks: nothing is made beside the file.

    While a bot writes, its newest rows stand in a second file, and that one is read too.
    """
    path = tmp_path / "journal-paper-0000.sqlite3"
    journals.make_journal(path, days=1, bars=4).journal.close()
    for each in ("-wal", "-shm"):
        (tmp_path / (path.name + each)).unlink(missing_ok=True)
    before = sorted(each.name for each in tmp_path.iterdir())
    monkeypatch.setattr("os.access", lambda place, mode: False)
    assert bot.reading_uri(path).endswith("?mode=ro&immutable=1")
    assert len(reports.read_report(path).days) == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == before
    (tmp_path / f"{path.name}-wal").touch()
    assert bot.reading_uri(path).endswith("?mode=ro")
