"""A start: what the journal tells, in one reading, and what is refused before anything is believed."""

import argparse
from datetime import timedelta

import edge
import harness
import pytest

import kis_realtime_trading as bot

AT = edge.at("10:00:00")
ALERT = {"what": "x"}


@pytest.fixture
def journal(tmp_path):
    """Return an open journal without a row."""
    made = bot.Journal(tmp_path / "journal.sqlite3")
    made.verify()
    yield made
    made.close()


def test_one_reading_tells_a_start_all_it_needs(journal):
    """Reported days, the owner's choice of noise, the newest word, and what nobody brought him."""
    journal.append([("alert", "mismatch", ALERT), ("alert", "filled", ALERT), ("alert", "error", ALERT)], AT)  # fmt: skip
    journal.append([("told", "1", {}), ("phone", "7", {}), ("phone", "5", {})], AT)
    journal.append([("day", "2026-11-19", {}), ("day", "2026-11-19", {}), ("notify", "fill", "off")], AT)  # fmt: skip
    past = harness.past_of(journal)
    assert (past.days, past.noise, past.newest_word) == ({"2026-11-19"}, {"fill": "off"}, 7)
    assert [row.ref for row in past.untold.values()] == ["error"]


def test_no_row_behind_a_broken_chain_is_believed(journal):
    """The rows before the first changed one are read, none from it on."""
    journal.append([("day", f"2026-11-{number}", {}) for number in (18, 19, 20)], AT)
    journal._db.execute("UPDATE rows SET body = '[]' WHERE seq = 2")
    past = bot.Past(bot.Ledger())
    with pytest.raises(bot.JournalError, match="row 2 is not what was written"):
        journal.verify(past.take)
    assert past.days == {"2026-11-18"}


def test_a_row_that_the_ledger_forbids_ends_the_start_with_its_number(journal):
    """An intent twice: the journal is told as wrong, not the program."""
    day = bot.DayOpened(AT.date(), AT)
    intent = bot.OrderIntent(
        "a", AT.date(), "005930", bot.Side.BUY, bot.OrderKind.LIMIT, 1, 70_000, "entry", "entry",
        "s", AT,
    )  # fmt: skip
    journal.append([("ledger", "", day), ("ledger", "a", intent), ("ledger", "a", intent)], AT)
    with pytest.raises(bot.JournalError, match="row 3: intent a a second time"):
        harness.past_of(journal)


def test_a_recording_begins_with_the_rows_that_the_ledger_rests_on(journal):
    """A day that opens flat forgets the rows before it, but for instruments and lasting holds."""
    thing = bot.Instrument("005930", "KOSPI", False, 70_000, 91_000, 49_000, 0)
    hold = bot.HoldSet("journal", True, AT)
    days = [bot.DayOpened(AT.date() + timedelta(days=each), AT) for each in range(3)]
    bought = bot.OrderIntent(
        "a", days[1].day, "005930", bot.Side.BUY, bot.OrderKind.LIMIT, 1, 70_000, "entry", "entry",
        "s", AT,
    )  # fmt: skip
    rows = [("ledger", "", days[0]), ("instrument", "005930", thing), ("ledger", "", hold)]
    journal.append([*rows, ("ledger", "", days[1]), ("intent", "a", bought)], AT)
    journal.append([("ledger", "", days[2])], AT)
    kept = ["Instrument", "HoldSet", "DayOpened", "OrderIntent", "DayOpened"]
    past = harness.past_of(journal)
    assert [bot.json.loads(body)["type"] for _, body in past.since_flat] == kept
    assert past.since_flat == bot.rows_since_flat(journal)
    assert (past.ledger.day, past.end) == (days[2].day, AT.isoformat())


def test_a_start_reads_the_journal_once(journal, tmp_path):
    """Chain, ledger, limits, recording, noise, phone: one query of all rows serves them all."""
    asked = []
    journal._reader.set_trace_callback(asked.append)
    day = harness.simulator.SimulatorConfig(day=AT.date(), seed=1, symbols=("005930",))
    world = harness.World(day)
    try:
        settings = harness.make_settings(world.sim)
        past = harness.past_of(journal)
        options = argparse.Namespace(strategy="nothing")
        recorder = bot.start_recorder(settings, options, journal, past, AT, tmp_path)
        services = bot.Services(
            world.clock, world.network, world.network.connect, journal, tmp_path, recorder
        )
        bot.Trader(settings, harness.Nothing(), services, past)
        recorder.close()
    finally:
        world.close()
    assert [each for each in asked if "FROM rows" in each and "WHERE seq" not in each] == [
        "SELECT * FROM rows WHERE at >= '' ORDER BY seq"
    ]
