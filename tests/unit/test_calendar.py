"""Trading days and hours of 2024 to 2027: every odd day by its name, on any host.

Closed days come from the package `holidays` (financial market XKRX), which is made from the Korean
laws and notices and not from this project. No package knows the late days: those stand here. By
hand the table was also compared with exchange_calendars 4.13.2: it differs on the exam days, on
2026-06-03, 2026-07-17, 2027-05-03 and 2027-07-19 only, which that package does not know yet.
"""

import itertools
import os
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta

import holidays
import pytest

import kis_realtime_trading as bot
from companions import simulator

YEARS = range(2024, 2028)
USUAL, NEW_YEAR, EXAM = ("09:00", "15:30"), ("10:00", "15:30"), ("10:00", "16:30")
# Weekdays without trading.
CLOSED = {
    2024: {
        "0101": "New Year", "0209": "Seollal", "0212": "Seollal, substitute",
        "0301": "Independence Movement Day", "0410": "general election", "0501": "Labour Day",
        "0506": "Children's Day, substitute", "0515": "Buddha's birthday", "0606": "Memorial Day",
        "0815": "Liberation Day", "0916": "Chuseok", "0917": "Chuseok", "0918": "Chuseok",
        "1001": "Armed Forces Day, this year only", "1003": "Foundation Day", "1009": "Hangul Day",
        "1225": "Christmas", "1231": "last weekday of the year",
    },
    2025: {
        "0101": "New Year", "0127": "day between, this year only", "0128": "Seollal",
        "0129": "Seollal", "0130": "Seollal", "0303": "Independence Movement Day, substitute",
        "0501": "Labour Day", "0505": "Children's Day and Buddha's birthday",
        "0506": "of both the substitute", "0603": "presidential election", "0606": "Memorial Day",
        "0815": "Liberation Day", "1003": "Foundation Day", "1006": "Chuseok", "1007": "Chuseok",
        "1008": "Chuseok, substitute", "1009": "Hangul Day", "1225": "Christmas",
        "1231": "last weekday of the year",
    },
    2026: {
        "0101": "New Year", "0216": "Seollal", "0217": "Seollal", "0218": "Seollal",
        "0302": "Independence Movement Day, substitute", "0501": "Labour Day",
        "0505": "Children's Day", "0525": "Buddha's birthday, substitute",
        "0603": "local elections", "0717": "Constitution Day, a holiday again",
        "0817": "Liberation Day, substitute", "0924": "Chuseok", "0925": "Chuseok",
        "1005": "Foundation Day, substitute", "1009": "Hangul Day", "1225": "Christmas",
        "1231": "last weekday of the year",
    },
    2027: {
        "0101": "New Year", "0208": "Seollal", "0209": "Seollal, substitute",
        "0301": "Independence Movement Day", "0503": "Labour Day, substitute",
        "0505": "Children's Day", "0513": "Buddha's birthday",
        "0719": "Constitution Day, substitute", "0816": "Liberation Day, substitute",
        "0914": "Chuseok", "0915": "Chuseok", "0916": "Chuseok",
        "1004": "Foundation Day, substitute", "1011": "Hangul Day, substitute",
        "1227": "Christmas, substitute", "1231": "last weekday of the year",
    },
}  # fmt: skip
# Days with other hours: the first session of a year, the college entrance exam.
LATE = {
    date(2024, 1, 2): NEW_YEAR, date(2024, 11, 14): EXAM,
    date(2025, 1, 2): NEW_YEAR, date(2025, 11, 13): EXAM,
    date(2026, 1, 2): NEW_YEAR, date(2026, 11, 19): EXAM,
    date(2027, 1, 4): NEW_YEAR, date(2027, 11, 18): EXAM,  # the usual Thursday, not announced yet
}  # fmt: skip


def days_of(year: int) -> list[date]:
    """Return every day of a year."""
    count = (date(year + 1, 1, 1) - date(year, 1, 1)).days
    return [date(year, 1, 1) + timedelta(days=n) for n in range(count)]


def hours_of(day: date) -> tuple[str, str] | None:
    """Return opening and close as the bot sees them."""
    session = bot.session_of(day)
    if session is None:
        return None
    assert session.open.date() == session.close.date() == session.day == day
    return f"{session.open:%H:%M}", f"{session.close:%H:%M}"


@pytest.mark.parametrize("year", YEARS)
def test_every_odd_weekday_has_a_name(year):
    """Weekdays without the usual hours are those named here, and the other way round."""
    odd = {day: hours_of(day) for day in days_of(year) if day.weekday() < 5}
    odd = {day: hours for day, hours in odd.items() if hours != USUAL}
    named = {date(year, int(text[:2]), int(text[2:])): None for text in CLOSED[year]}
    assert odd == named | {day: hours for day, hours in LATE.items() if day.year == year}


@pytest.mark.parametrize("year", YEARS)
def test_every_day_is_as_the_independent_source_says(year):
    """Open or closed by the package, the hours by the table above, for each day of the year."""
    closed = holidays.financial_holidays("XKRX", years=year)
    for day in days_of(year):
        is_open = day.weekday() < 5 and day not in closed
        assert hours_of(day) == (LATE.get(day, USUAL) if is_open else None), day


@pytest.mark.parametrize("year", sorted(bot.CLOSED_DAYS))
def test_closed_days_equal_the_package_holidays(year):
    """The table in the file and the independent package name the same closed weekdays."""
    known = holidays.financial_holidays("XKRX", years=year)
    expected = sorted(f"{day:%m%d}" for day in known if day.weekday() < 5)
    assert bot.CLOSED_DAYS[year].split() == expected


@pytest.mark.parametrize(("year", "count"), [(2024, 244), (2025, 242), (2026, 244), (2027, 245)])
def test_trading_days_of_a_year(year, count):
    """Counted, and walked through by next_trading_day from one end to the other."""
    days = [day for day in days_of(year) if bot.is_trading_day(day)]
    assert len(days) == count
    assert all(bot.next_trading_day(day) == after for day, after in itertools.pairwise(days))


@pytest.mark.parametrize("year", YEARS)
def test_the_simulator_keeps_the_same_calendar(year):
    """Written by another hand: the same days, opened and closed at the same minute."""
    calendar = simulator.Calendar()
    for day in days_of(year):
        theirs = None
        if calendar.is_trading_day(day):
            midnight, times = datetime.combine(day, time()), calendar.session(day)
            seconds = (times.open, times.close)
            theirs = tuple(f"{midnight + timedelta(seconds=each):%H:%M}" for each in seconds)
        assert theirs == hours_of(day), day


# Each day's session and its phase every ten minutes, asked in UTC: the host's zone would show.
SWEEP = """
from datetime import UTC, date, datetime, timedelta
import kis_realtime_trading as bot
assert bot.MarketClock().now().utcoffset() == timedelta(hours=9)
for number in range(365):
    midnight = datetime(2025, 12, 31, 15, tzinfo=UTC) + timedelta(days=number)
    session = bot.session_of(midnight.astimezone(bot.KST).date())
    if session:
        moments = (midnight + timedelta(minutes=10 * each) for each in range(144))
        phases = " ".join(session.phase(each).name for each in moments)
        print(session.day, session.open.timestamp(), session.close.isoformat(), phases)
"""


def line_of(day: date) -> str:
    """Return what the sweep must tell of a trading day, by the table above."""
    opens, closes = (datetime.combine(day, time.fromisoformat(t)) for t in LATE.get(day, USUAL))
    steps = {
        datetime.combine(day, time()): "CLOSED",
        opens - timedelta(minutes=30): "OPENING_AUCTION",
        opens: "CONTINUOUS",
        closes - timedelta(minutes=10): "CLOSING_AUCTION",
        closes: "AFTER",
    }
    phases = []
    for each in range(144):
        moment = datetime.combine(day, time()) + timedelta(minutes=10 * each)
        phases.append(steps.get(moment) or phases[-1])
    utc = (opens - timedelta(hours=9)).replace(tzinfo=UTC)
    return f"{day} {utc.timestamp()} {closes.isoformat()}+09:00 {' '.join(phases)}"


def test_a_year_is_the_same_on_every_host():
    """365 days in processes under two zones: sessions and phases are those of the table."""
    days = [d for d in days_of(2026) if d.weekday() < 5 and f"{d:%m%d}" not in CLOSED[2026]]
    expected = [line_of(day) for day in days]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SWEEP], stdout=subprocess.PIPE, text=True,
            env={"PATH": os.environ["PATH"], "TZ": zone, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for zone in ("UTC", "America/New_York")  # that of Seoul would hide a fault
    ]  # fmt: skip
    for told in [process.communicate(timeout=150)[0] for process in running]:
        assert told.splitlines() == expected
