"""The journal while its disk fails, hangs, or lies: what is there afterwards, row by row."""

import sqlite3
import threading

import pytest
from test_services import AT, reopened

import kis_realtime_trading as bot


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """A journal whose disk answers, however busy this machine is."""
    monkeypatch.setattr(bot, "DISK_ANSWERS_WITHIN_S", 30.0)
    made = bot.Journal(tmp_path / "journal.sqlite3")
    made.verify()
    yield made
    made.close()


def rows(name, count=1):
    """Return rows of an intent and notes."""
    return [("intent", name, {"n": 1}), *[("note", f"{name} {n}", {}) for n in range(count)]]


class Answers(threading.Event):
    """Tells the disk to answer; until then it is not waited for."""

    def __init__(self):
        super().__init__()
        bot.DISK_ANSWERS_WITHIN_S = 0.05  # put back by the fixture

    def set(self):
        bot.DISK_ANSWERS_WITHIN_S = 30.0
        super().set()


def hang(journal, at="COMMIT"):
    """Let the disk take a statement of the writer only when it is told; return how to tell it."""
    answers = Answers()
    journal._db.set_trace_callback(lambda sql: sql != at or answers.wait())
    return answers


def kept(path):
    """Return what a new process reads, the chain and the table of intents proved."""
    return [row.ref for row in reopened(path)]


def test_other_rows_after_a_hang_stand_behind_those_that_it_took(journal):
    """Given while the first still hang they are late too; afterwards each row is there once."""
    answers = hang(journal)
    with pytest.raises(bot.JournalLate):
        journal.append(rows("a"), AT)
    with pytest.raises(bot.JournalLate):
        journal.append(rows("b"), AT)
    assert journal.last_seq == 0
    answers.set()
    assert journal._writer.end(10.0)
    journal.append(rows("c"), AT)
    assert (journal.last_seq, kept(journal.path)) == (4, ["a", "a 0", "c", "c 0"])


@pytest.mark.parametrize("tries", [1, 3])
def test_rows_that_hang_are_not_done_before_the_disk_says_so(journal, tries):
    """Asked again and again meanwhile: late each time, and nothing counts as written."""
    answers, given = hang(journal), rows("a")
    for _ in range(tries):
        with pytest.raises(bot.JournalLate):
            journal.append(given, AT)
        assert (journal.last_seq, journal._tip.exists()) == (0, False)
    answers.set()
    assert journal._writer.end(10.0)
    journal.append(given, AT)
    assert journal.last_seq == 2
    assert journal._tip.read_text().split()[0] == "2"


@pytest.mark.parametrize("at", ["full", "locked", "no tip"])
def test_a_try_that_failed_leaves_nothing_in_the_way_of_the_next(journal, tmp_path, at):
    """Twice late, then written: the rows once, in their order, and more behind them."""
    journal.append(rows("before"), AT)
    given = rows("a", 400)
    other = sqlite3.connect(journal.path, isolation_level=None)
    if at == "full":
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count={pages}")
    elif at == "locked":
        other.execute("BEGIN IMMEDIATE")
    else:
        journal._tip.unlink()
        journal._tip.mkdir()
    for _ in range(2):
        with pytest.raises(bot.JournalLate):
            journal.append(given, AT)
        assert journal.last_seq == 2
        assert not journal._db.in_transaction
    if at == "full":
        journal._db.execute("PRAGMA max_page_count=1000000")
    elif at == "locked":
        other.execute("ROLLBACK")
    else:
        journal._tip.rmdir()
    other.close()
    journal.append(given, AT)
    journal.append(rows("after"), AT)
    wanted = [each[1] for each in (*rows("before"), *given, *rows("after"))]
    assert kept(journal.path) == wanted
    assert journal.last_seq == len(wanted)


def test_after_rows_that_can_never_be_written_nothing_is_taken_any_more(journal):
    """A second intent of one name is wrong for ever: its batch is not there, nor anything after it."""
    journal.append(rows("a"), AT)
    for given in (rows("a"), rows("b"), [("note", "c", {})]):
        with pytest.raises(bot.JournalError) as wrong:
            journal.append(given, AT)
        assert not isinstance(wrong.value, bot.JournalLate)
    with pytest.raises(bot.JournalError):
        journal.check_in_place()
    assert not journal._db.in_transaction  # nothing of it holds other programs up
    assert kept(journal.path) == ["a", "a 0"]


def test_the_tip_never_runs_ahead_of_the_rows(journal):
    """A death between rows and tip leaves a tip that is behind: the next start finds no fault."""
    journal.append(rows("a"), AT)
    seen = []
    journal._db.set_trace_callback(lambda sql: seen.append((sql[:6], journal._tip.read_text()[:2])))
    journal.append(rows("b"), AT)
    assert ("COMMIT", "2 ") in seen and {tip for _, tip in seen} == {"2 "}
    assert journal._tip.read_text().startswith("4 ")
    journal._tip.write_text(f"2 {next(r.hash for r in journal.rows() if r.seq == 2)}\n")
    assert kept(journal.path) == ["a", "a 0", "b", "b 0"]


@pytest.mark.parametrize(
    "damage", ["", "DELETE FROM intents", "UPDATE rows SET body='{}' WHERE seq=1"]
)
def test_a_journal_of_the_first_format_is_raised_only_when_all_of_it_is_sound(journal, damage):
    """The mark of the file changes last: a damaged one stays what it was."""
    journal.append(rows("a"), AT)
    path = journal.path
    journal.close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA user_version=1")
    if damage:
        db.execute(damage)
        with pytest.raises(bot.JournalError):
            reopened(path)
    else:
        assert len(reopened(path)) == 2
    assert db.execute("PRAGMA user_version").fetchone()[0] == (1 if damage else 3)
    db.close()


def test_rows_are_read_by_kind_and_from_their_time_on(journal):
    """All, some kinds, from a time on, both: in order, the moment itself included."""
    for n, kind in enumerate(("note", "alert", "note", "day", "alert")):
        journal.append([(kind, str(n), {})], AT + bot.timedelta(seconds=n))
    since = (AT + bot.timedelta(seconds=2)).isoformat()
    read = [
        [row.ref for row in found]
        for found in (
            journal.rows(), journal.rows("note"), journal.rows("note", "day"),
            journal.rows(since=since), journal.rows("alert", "note", since=since),
        )
    ]  # fmt: skip
    assert read == [list("01234"), ["0", "2"], ["0", "2", "3"], ["2", "3", "4"], ["2", "4"]]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_work_beside_is_over_when_it_is_and_tells_its_error_once():
    """One after another: a slow one is waited for in vain, then over; an error is that one's alone."""
    beside, go, done = bot.Beside("test"), threading.Event(), []

    def slow():
        go.wait(10)
        done.append("slow")

    def wrong():
        raise OSError("no room")

    beside.begin(slow)
    assert not beside.end(0.0) and not beside.end(0.01) and not done
    go.set()
    assert beside.end(10.0) and beside.end(0.0) and done == ["slow"]
    beside.begin(wrong)
    with pytest.raises(OSError, match="no room"):
        beside.end(10.0)
    for name in ("a", "b"):  # nobody waits for the first
        beside.begin(lambda name=name: done.append(name))
        while not beside.end(0.0):
            pass
    assert beside.end(10.0) and done == ["slow", "a", "b"]
    beside.begin(lambda: [][0])  # an error that nobody expects of a disk ends the thread
    with pytest.raises(bot.BotError, match="broke off"):
        beside.end(10.0)
    beside._thread.join(10.0)
    assert beside.close()


def test_a_file_that_cannot_be_read_has_no_intent(journal):
    """The gate then lets nothing leave: no row, no order."""
    journal.append(rows("a"), AT)
    assert (journal.has_intent("a"), journal.has_intent("b")) == (True, False)
    journal._reader.close()
    assert journal.has_intent("a") is False


def test_a_recording_of_a_day_that_is_flat_again_begins_with_that_day(journal):
    """Only the next morning forgets its rows: an order that came to nothing stays until then."""
    at, day = AT, AT.date()
    intent = bot.OrderIntent(
        "a", day, "005930", bot.Side.BUY, bot.OrderKind.LIMIT, 1, 70_000, "entry", "entry", "s", at,
    )  # fmt: skip
    entries = [
        bot.DayOpened(day, at), intent, bot.OrderUpdate("a", bot.OrderEvent.NOT_SENT, at),
        bot.CloseKept("005930", 70_000, day, True, at),
    ]  # fmt: skip
    journal.append([("ledger", "", each) for each in entries], at)
    types = [bot.json.loads(body)["type"] for _, body in bot.rows_since_flat(journal)]
    assert types == ["DayOpened", "OrderIntent", "OrderUpdate", "CloseKept"]
    journal.append([("ledger", "", bot.DayOpened(day + bot.timedelta(days=3), at))], at)
    assert len(bot.rows_since_flat(journal)) == 1


@pytest.mark.parametrize("row", [1, 2, 3, 4])
@pytest.mark.parametrize("ours", [True, False])
def test_a_tip_names_its_row_wherever_the_journal_ends(journal, row, ours):
    """A tip that lags is ours when its row is; with another hash the journal is another one."""
    journal.append(rows("a"), AT)
    journal.append(rows("b"), AT)
    marks = {each.seq: each.hash for each in journal.rows()}
    journal._tip.write_text(f"{row} {marks[row] if ours else 'f' * 64}\n")
    if ours:
        assert len(reopened(journal.path)) == 4
    else:
        with pytest.raises(bot.JournalError, match="another journal"):
            reopened(journal.path)
