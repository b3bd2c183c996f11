"""Runtime services: clock, redaction, journal, lock, recorder, watchdog; files at their worst."""

import argparse
import asyncio
import base64
import contextlib
import fcntl
import gc
import gzip
import io
import itertools
import json
import logging
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import traceback
import typing
import urllib.parse
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import edge
import harness
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

import kis_realtime_trading as bot
from companions import replay as tools
from companions import simulator

AT = edge.at("10:00:00")


def python(code, home, *arguments):
    """Run Python code that knows the bot as `bot` in a forked process: it may lose all it has."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = os.fork()
        if not process:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.stdout, sys.argv = os.fdopen(1, "w"), ["-c", *map(str, arguments)]
            os.chdir(home)
            try:
                exec(textwrap.dedent(code), {"bot": bot, "sys": sys, "json": json, "os": os})
                sys.stdout.flush()
            except BaseException:
                os.write(2, traceback.format_exc().encode())
                os._exit(1)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        texts = [file.seek(0) or file.read() for file in (out, err)]
        return subprocess.CompletedProcess("python", code, *texts)


# --- market clock ---


def test_without_an_anchor_market_time_is_korean_time():
    """Aware, UTC+9, whatever the host's zone is."""
    with time_machine.travel(datetime(2026, 11, 20, 0, 30, tzinfo=bot.UTC), tick=False):
        assert abs(bot.MarketClock().now() - edge.at("09:30:00")) < timedelta(seconds=5)
        assert bot.MarketClock().now().utcoffset() == timedelta(hours=9)
        assert bot.MarketClock().speed == 1.0


@pytest.mark.parametrize(
    ("passed", "speed", "expected"),
    [(0, 1, "08:50:00"), (10, 1, "08:50:10"), (10, 60, "09:00:00"), (-5, 60, "08:50:00")],
)
def test_an_anchored_clock_runs_at_its_speed(passed, speed, expected):
    """From the anchor on; it stands still before it."""
    anchor = bot.ClockAnchor(unix=1_795_000_000.0, market=edge.at("08:50:00"), speed=speed)
    with time_machine.travel(1_795_000_000.0 + passed, tick=False):
        began, shown = time.monotonic(), bot.MarketClock(anchor).now()
        most_s = (time.monotonic() - began) * speed
        assert 0.0 <= (shown - edge.at(expected)).total_seconds() <= most_s


async def test_sleep_is_in_market_seconds():
    """At speed 600 a market minute is a tenth of a second; negative spans return at once."""
    anchor = bot.ClockAnchor(unix=0.0, market=edge.at("08:50:00"), speed=600.0)
    clock, loop = bot.MarketClock(anchor), asyncio.get_running_loop()
    began = loop.time()
    await clock.sleep(60.0)
    assert 0.09 <= loop.time() - began < 1.0
    await clock.sleep(-5.0)


# --- redaction ---

SECRETS = {
    "app key": "PSab12CD34ef56GH78ij90KL12mn34OP56qr",
    "app secret": "aB1+/cD2=" * 19 + "zZ9+/yY8=",
    "account": "50123456",
    "hts id": "trader77",
    "with quotes": 'pa"ss\\wo/rd\u00e9 value',
    "telegram": "8012345678:AAHwx-plantedTokenOfTheBot_1234567890",
}
FORMS = {
    "raw": lambda s: s,
    "url": lambda s: urllib.parse.quote(s, safe=""),
    "url plus": urllib.parse.quote_plus,
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
    "json": lambda s: json.dumps(s),
    "reversed": lambda s: s[::-1],
    **{
        f"base64 after {n}": lambda s, n=n: base64.b64encode(b"u" * n + s.encode()).decode()
        for n in range(4)
    },
    "base64 inside": lambda s: base64.b64encode(b"user:" + s.encode() + b":tail").decode(),
    "base64 url-safe": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "repr": repr,
    "in a url": lambda s: f"https://host/bot{urllib.parse.quote(s)}/send?x={s}",
    "in a header": lambda s: f"{{'appkey': '{s}', 'x': 1}}",
}


def leaks(secret, text, run=9):
    """Return whether a run of the secret, in any simple form, is in the text."""
    forms = [secret, secret[::-1], secret.encode().hex(), urllib.parse.quote(secret, safe="")]
    run = min(run, len(secret))
    return any(
        form[at : at + run] in text for form in forms for at in range(max(1, len(form) - run + 1))
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SECRETS)
def test_a_planted_secret_is_taken_out(name, form):
    """Raw, URL, base64 at any offset, hex, JSON, reversed (I6)."""
    secret = SECRETS[name]
    redact = bot.Redactor(bot.Secret(value) for value in SECRETS.values())
    planted = FORMS[form](secret)
    shown = redact(f"before {planted} after")
    assert shown.startswith("before ") and shown.endswith("after")
    assert "***" in shown
    assert not leaks(secret, shown)
    if "base64" in form:
        core = planted[6:-6]
        assert not any(core[at : at + 9] in shown for at in range(len(core) - 8))


@given(data=st.data())
def test_every_piece_of_eight_characters_is_taken_out(data):
    """Cut where you like: a piece of eight or more is found, and joined pieces leave nothing."""
    secret = SECRETS[data.draw(st.sampled_from(["app key", "app secret", "telegram"]))]
    start = data.draw(st.integers(0, len(secret) - 8))
    end = data.draw(st.integers(start + 8, len(secret)))
    redact = bot.Redactor([bot.Secret(secret)])
    shown = redact(f"<{secret[start:end]}>")
    assert shown == "<***>"
    assert redact(f"{secret}{secret[:20]} {secret[start:end]}") == "*** ***"


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz 0123456789,.", max_size=200))
def test_other_texts_stay_as_they_are(text):
    """What holds no secret is not touched."""
    redact = bot.Redactor([bot.Secret("PS" + "QWERTYUIOP" * 3)])
    assert redact(text) == text


@pytest.mark.parametrize("secret", ["trader", "abcd", "12345"])
def test_a_short_secret_is_taken_out_whole(secret):
    """An HTS id of a few letters has no runs of eight."""
    redact = bot.Redactor([bot.Secret(secret)])
    assert redact(f"id={secret}, again {secret}") == "id=***, again ***"


def test_no_secrets_and_empty_secrets_change_nothing():
    """A bot without Telegram has an empty token."""
    text = "2026-11-20 09:00:00 INFO kisbot: started"
    assert bot.Redactor([])(text) == text
    assert bot.Redactor([bot.Secret("")])(text) == text


def test_a_long_text_is_redacted_in_time():
    """A megabyte of a library's complaint does not stop the loop for seconds."""
    redact = bot.Redactor(bot.Secret(value) for value in SECRETS.values())
    text = "x" * 300_000 + SECRETS["app key"] + "y" * 300_000
    loop_time = bot.time.perf_counter
    began = loop_time()
    assert SECRETS["app key"] not in redact(text)
    assert loop_time() - began < 2.0


def test_everything_logged_passes_the_redactor():
    """Messages, arguments, traces, libraries, other loggers: one handler, one formatter (S01)."""
    stream, secret = io.StringIO(), SECRETS["app secret"]
    with edge.own_logging():
        bot.set_up_logging(bot.Redactor([bot.Secret(secret)]), stream)
        for name in ("kisbot", "aiohttp.client", "websockets.client", "httpx", "asyncio", "other"):
            logger = logging.getLogger(name)
            logger.warning("headers %s", {"appsecret": secret})
            try:
                raise ValueError(f"cannot send {secret}")
            except ValueError:
                logger.exception("it failed for %r", secret)
        logging.getLogger("kisbot").info("said")
        logging.getLogger("httpx").info("not said")
        logging.getLogger("kisbot").debug("not said")
    text = stream.getvalue()
    assert text.count("it failed") == 6 and "Traceback" in text
    assert "said" in text and "not said" not in text
    assert not leaks(secret, text)


def test_an_error_that_nobody_awaited_is_redacted_too():
    """What asyncio says of a forgotten task goes the same way."""
    stream, secret = io.StringIO(), SECRETS["app secret"]

    async def main():
        async def fails():
            raise RuntimeError(f"leak {secret}")

        task = asyncio.create_task(fails())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task

    with edge.own_logging():
        bot.set_up_logging(bot.Redactor([bot.Secret(secret)]), stream)
        asyncio.run(main())
        gc.collect()
    assert "never retrieved" in stream.getvalue()
    assert not leaks(secret, stream.getvalue())


def test_a_secret_never_shows_itself():
    """str, repr, format, JSON, dataclass, exception: `***`."""
    secret = bot.Secret("plantedplanted")
    profile = edge.profile_of(edge.simulator.Simulator(edge.config()), app_key=secret)
    shown = f"{secret} {secret!r} {secret:>20} {[secret]} {profile} {ValueError(secret)!r}"
    assert "planted" not in shown
    with pytest.raises(TypeError):
        json.dumps({"key": secret})
    with pytest.raises(TypeError):
        bot.canonical_json({"key": secret})


# --- journal: what was written ---


@pytest.fixture
def journal(tmp_path):
    """A fresh journal."""
    made = bot.Journal(tmp_path / "journal.sqlite3")
    made.verify()
    yield made
    made.close()


def write(journal, count, start=0):
    """Write some transactions of an intent and a note each."""
    for n in range(start, start + count):
        rows = [("intent", f"id{n}", {"n": n, "text": "값"}), ("note", f"ref{n}", {"n": [n, None]})]
        journal.append(rows, AT + timedelta(seconds=n))


def reopened(path, read_only=False):
    """Open and verify a journal; return its rows."""
    again = bot.Journal(path, read_only=read_only)
    try:
        again.verify()
        return list(again.rows())
    finally:
        again.close()


def test_what_was_written_is_read_back(journal):
    """Sequence without gaps, times, kinds, references, canonical bodies."""
    write(journal, 3)
    rows = list(journal.rows())
    assert [row.seq for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row.kind for row in rows] == ["intent", "note"] * 3
    assert json.loads(rows[2].body) == {"n": 1, "text": "값"}
    assert rows[4].at == (AT + timedelta(seconds=2)).isoformat()
    assert rows == reopened(journal.path)
    assert [row.kind for row in journal.rows("note")] == ["note"] * 3


def test_the_files_are_the_owners(journal):
    """Journal, WAL and tip: nobody else reads what was traded."""
    write(journal, 1)
    folder = journal.path.parent
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}
    assert modes["journal.sqlite3"] == "0o600"
    assert modes["journal.sqlite3-wal"] == "0o600"


def test_the_tip_is_the_owners_too(journal):
    """It tells how much was traded when."""
    write(journal, 1)
    [tip] = journal.path.parent.glob("*.tip")
    assert oct(stat.S_IMODE(tip.stat().st_mode))[-2:] == "00"


def test_a_row_is_durable_when_append_returns(tmp_path):
    """WAL with synchronous FULL; a process that is killed right after loses nothing."""
    code = """
        journal = bot.Journal(bot.Path(sys.argv[1])); journal.verify()
        at = bot.datetime.now(bot.KST)
        for n in range(20):
            journal.append([("intent", f"id{n}", {"n": n}), ("note", "", {})], at)
        levels = [journal._db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("journal_mode", "synchronous")]
        print(json.dumps(levels), flush=True)
        os.kill(os.getpid(), 9)
    """
    path = tmp_path / "journal.sqlite3"
    ended = python(code, tmp_path, path)
    assert json.loads(ended.stdout) == ["wal", 2]
    assert len(reopened(path)) == 40


def test_nothing_is_written_for_nothing(journal):
    """No rows, no transaction, no row number."""
    journal.append([], AT)
    assert (journal.last_seq, list(journal.rows())) == (0, [])


def opened_again(journal):
    """Return the journal as the next process writes to it."""
    journal.close()
    again = bot.Journal(journal.path)
    again.verify()
    return again


def test_one_intent_is_written_once(journal):
    """The unique table refuses a second order for one intent; the batch is dropped as a whole."""
    write(journal, 2)
    before = list(journal.rows())
    with pytest.raises(bot.JournalError):
        journal.append([("note", "", {}), ("intent", "id1", {}), ("note", "", {})], AT)
    journal = opened_again(journal)
    with pytest.raises(bot.JournalError):
        journal.append([("intent", "same", {}), ("intent", "same", {})], AT)
    assert before == list(journal.rows())
    write(opened_again(journal), 1, start=9)
    assert len(reopened(journal.path)) == 6


def test_two_writers_do_not_mix(journal):
    """A second process that would write is refused by the row number; the chain stays whole."""
    write(journal, 1)
    other = bot.Journal(journal.path)
    other.verify()
    write(journal, 1, start=1)
    with pytest.raises(bot.JournalError):
        other.append([("note", "", {})], AT)
    other.close()
    assert len(reopened(journal.path)) == 4


def test_a_locked_file_is_late_and_holds_nobody(journal):
    """A backup holds the file: an error at once, nothing written, the same rows a moment later."""
    write(journal, 1)
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def try_it():
        with pytest.raises(bot.JournalLate, match="locked"):
            write(journal, 1, start=1)

    # sqlite itself would wait five seconds, the bot half a second for a disk
    assert edge.quickest_s(try_it) < 0.5
    other.execute("ROLLBACK")
    other.close()
    write(journal, 1, start=1)
    assert len(reopened(journal.path)) == 4


def test_rows_that_a_failed_try_wrote_after_all_are_not_written_twice(journal):
    """The rows were durable, their tip was not: the second try of the same rows finds them."""
    tip = journal.path.with_suffix(".tip")
    tip.mkdir()
    with pytest.raises(bot.JournalLate):
        write(journal, 1)
    tip.rmdir()
    write(journal, 1)
    write(journal, 1, start=1)
    assert len(reopened(journal.path)) == 4


def test_other_rows_after_a_failed_try_are_wrong(journal):
    """What the failed try left must be told by the same rows, or the chain would lie."""
    tip = journal.path.with_suffix(".tip")
    tip.mkdir()
    with pytest.raises(bot.JournalLate):
        write(journal, 1)
    tip.rmdir()
    with pytest.raises(bot.JournalError) as error:
        write(journal, 1, start=5)
    assert not isinstance(error.value, bot.JournalLate)
    with pytest.raises(bot.JournalError):
        journal.check_in_place()


def test_readers_do_not_disturb(journal):
    """--journal while the bot runs: a read-only view of what is committed."""
    write(journal, 2)
    assert len(reopened(journal.path, read_only=True)) == 4
    write(journal, 1, start=5)
    reader = bot.Journal(journal.path, read_only=True)
    reader.verify()
    with pytest.raises(bot.JournalError):
        reader.append([("note", "", {})], AT)
    reader.close()


def test_a_text_that_utf8_cannot_hold_is_read_back_as_it_was(journal):
    """A lone surrogate from a broker's JSON is stored as the JSON escape of itself."""
    journal.append([("answer", "id1", {"text": "값 \ud800"})], AT)
    write(journal, 1)
    assert json.loads(reopened(journal.path)[0].body) == {"text": "값 \ud800"}


# --- journal: what was changed ---


def changed(path, statement, *values):
    """Change a closed journal behind its back."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(statement, values)
        db.commit()


@pytest.fixture
def closed(journal):
    """The path of a closed journal with eight rows."""
    write(journal, 4)
    journal.close()
    return journal.path


CHANGES = [
    (f"UPDATE rows SET {column} = ? WHERE seq = {seq}", (value,), seq)
    for column, value in (
        ("at", "2026-11-20T10:00:09+09:00"),
        ("kind", "other"),
        ("ref", "id9"),
        ("body", '{"n":9}'),
        ("hash", "0" * 64),
    )
    for seq in (1, 4, 8)
]


@pytest.mark.parametrize(("statement", "values", "row"), CHANGES)
def test_any_changed_cell_is_found_with_its_row(closed, statement, values, row):
    """The chain names the first row that is not as written."""
    changed(closed, statement, *values)
    with pytest.raises(bot.JournalError, match=f"row {row} "):
        reopened(closed)


@pytest.mark.parametrize("row", [1, 4, 7, 8])
def test_a_missing_row_is_found(closed, row):
    """In the middle by its number, at the end by the tip."""
    changed(closed, "DELETE FROM rows WHERE seq = ?", row)
    with pytest.raises(bot.JournalError, match=r"row \d+"):
        reopened(closed)


def test_rows_that_changed_places_are_found(closed):
    """Every row is genuine, the order is not."""
    for old, new in ((3, 99), (5, 3), (99, 5)):
        changed(closed, "UPDATE rows SET seq = ? WHERE seq = ?", new, old)
    with pytest.raises(bot.JournalError, match="row 3 "):
        reopened(closed)


def test_a_row_that_was_added_is_found(closed):
    """A forged row does not continue the chain."""
    changed(closed, "INSERT INTO rows VALUES (9, '', 'note', '', '{}', ?)", "f" * 64)
    with pytest.raises(bot.JournalError, match="row 9 "):
        reopened(closed)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM intents WHERE id = 'id2'",
        "INSERT INTO intents VALUES ('id7')",
        "UPDATE intents SET id = 'id8' WHERE id = 'id1'",
        "DELETE FROM intents",
    ],
)
def test_a_table_of_intents_that_lies_is_found(closed, statement):
    """It guards against second orders; it must hold exactly the intents of the rows."""
    changed(closed, statement)
    with pytest.raises(bot.JournalError, match="intents"):
        reopened(closed)


class Flips(typing.NamedTuple):
    """What became of a journal with one damaged byte, for many bytes."""

    unchanged: int
    refused: int
    lied: list  # positions at which verify() passed and a row was another
    odd: dict  # kind of any other error -> positions


@pytest.fixture(scope="module")
def flips():
    """Damage each byte of a small journal in turn, in two ways."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=base) as name:
        path = Path(name) / "journal.sqlite3"
        journal = bot.Journal(path)
        journal.verify()
        write(journal, 2)
        journal.close()
        good, raw = reopened(path, read_only=True), path.read_bytes()
        unchanged, refused, lied, odd = 0, 0, [], {}
        for at in range(len(raw)):
            if not any(raw[max(0, at - 16) : at + 16]) and at % 64:
                continue  # the inside of an empty page, of which every 64th byte is tried
            for mask in (0x01, 0xFF):
                path.write_bytes(raw[:at] + bytes((raw[at] ^ mask,)) + raw[at + 1 :])
                try:
                    if reopened(path, read_only=True) == good:
                        unchanged += 1
                    else:
                        lied.append(at)
                except bot.JournalError:
                    refused += 1
                except Exception as error:
                    odd.setdefault(type(error).__name__, []).append(at)
    return Flips(unchanged, refused, lied, odd)


def test_no_damaged_byte_goes_unnoticed(flips):
    """Every byte of the file: refused, or every row is as it was written (D05)."""
    assert not flips.lied
    assert flips.refused > 1000 and flips.unchanged > 100


def test_every_damage_is_an_error_of_the_journal(flips):
    """JournalError, hence exit code 74 and no restart; not a trace and exit code 1."""
    assert not flips.odd


@pytest.mark.parametrize("size", [0, 1, 100, 4096, 5000, 8192])
def test_a_cut_file_is_refused(closed, size):
    """A truncated file is not an empty journal."""
    raw = closed.read_bytes()
    closed.write_bytes(raw[:size])
    with pytest.raises(bot.JournalError):
        reopened(closed)


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    """Text, another database: the path and a way out are named."""
    text = tmp_path / "a.sqlite3"
    text.write_text("this is no database, but it is long enough to be looked at " * 40)
    other = tmp_path / "b.sqlite3"
    with contextlib.closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE notes (a)")
        db.commit()
    of_our_format = tmp_path / "c.sqlite3"
    shutil.copy(other, of_our_format)
    changed(of_our_format, "PRAGMA user_version=1")
    for path in (text, other, of_our_format):
        with pytest.raises(bot.JournalError, match=rf"{path.name}.*move all files {path.stem}\.\*"):
            reopened(path)


@pytest.mark.parametrize("place", [0, 100, 0.5, -4096])
def test_a_damaged_journal_says_what_can_be_done(tmp_path, place):
    """A bad block of the disk, somewhere in a file of some days: found, and the way out works."""
    journal = bot.Journal(tmp_path / "journal.sqlite3")
    journal.verify()
    journal.append([("note", "", {"n": n, "text": "x" * 200}) for n in range(500)], AT)
    journal.close()
    raw = bytearray(journal.path.read_bytes())
    at = int(place * len(raw)) if isinstance(place, float) else place % len(raw)
    raw[at : at + 4096] = bytes(4096)
    journal.path.write_bytes(raw)
    with pytest.raises(bot.JournalError, match=r"Restore .* move all files journal\.\* away"):
        reopened(journal.path)
    (tmp_path / "old").mkdir()
    for file in tmp_path.glob("journal.*"):
        file.rename(tmp_path / "old" / file.name)
    reopened(journal.path)


@pytest.mark.parametrize("version", [0, 4, 99])
def test_another_format_is_refused_with_what_to_do(closed, version):
    """Older and newer files are neither read nor changed."""
    changed(closed, f"PRAGMA user_version={version}")
    with pytest.raises(bot.JournalError, match=r"format \d+.*program version"):
        reopened(closed)
    with contextlib.closing(sqlite3.connect(closed)) as db:
        assert db.execute("SELECT count(*) FROM rows").fetchone() == (8,)


@pytest.mark.parametrize("older", [1, 2])
def test_a_journal_of_an_older_format_is_read_and_raised(closed, older):
    """Its rows mean the same; a reader leaves it as it is, the bot raises it when it is sound."""
    changed(closed, f"PRAGMA user_version={older}")

    def version():
        with contextlib.closing(sqlite3.connect(closed)) as db:
            return db.execute("PRAGMA user_version").fetchone()[0]

    reader = bot.Journal(closed, read_only=True)
    reader.verify()
    reader.close()
    assert version() == older
    reopened(closed)
    assert version() == bot.Journal.VERSION


def test_an_older_copy_put_back_is_refused(journal):
    """A restored backup forgets orders: its end is before what was written here (D10)."""
    write(journal, 2)
    journal.close()
    backup = journal.path.with_name("backup")
    shutil.copy(journal.path, backup)
    again = bot.Journal(journal.path)
    again.verify()
    write(again, 1, start=7)
    again.close()
    shutil.copy(backup, journal.path)
    with pytest.raises(bot.JournalError, match="older copy"):
        reopened(journal.path)


def test_a_journal_that_was_deleted_is_missed(closed):
    """A new empty file in place of the old one is the oldest copy of all (D04)."""
    closed.unlink()
    with pytest.raises(bot.JournalError, match="older copy"):
        reopened(closed)


def test_another_journal_of_the_same_length_is_refused(closed, tmp_path):
    """The tip holds the hash of the last row: a genuine chain with other rows is not this one."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    other = bot.Journal(folder / "journal.sqlite3")
    other.verify()
    for n in range(8):
        other.append([("note", "other", {"n": n})], AT)
    other.close()
    shutil.copy(other.path, closed)
    with pytest.raises(bot.JournalError):
        reopened(closed)


@pytest.mark.parametrize("text", ["", "x", "8", "7 abc", "\x00", "99999999999999999999999 x"])
def test_an_odd_tip_never_hides_a_damage(closed, text):
    """It may cause an alarm, never silence about the chain."""
    closed.with_suffix(".tip").write_text(text)
    changed(closed, "UPDATE rows SET body = '{}' WHERE seq = 3")
    with pytest.raises(bot.JournalError, match="row 3 "):
        reopened(closed)


def test_the_tip_follows_every_append(journal):
    """Its number is the last row's; a restart finds the journal in order."""
    for n in range(3):
        write(journal, 1, start=n)
        assert int(journal.path.with_suffix(".tip").read_text().split()[0]) == journal.last_seq


def test_a_full_disk_stops_the_journal_and_loses_nothing(tmp_path):
    """The n-th write fails: JournalError, and every row said to be written is there (D01)."""
    code = """
        import resource
        path, limit = bot.Path(sys.argv[1]), int(sys.argv[2])
        journal = bot.Journal(path); journal.verify()
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        written = 0
        try:
            for n in range(10_000):
                journal.append([("intent", f"id{n}", {"x": "y" * 200})], bot.datetime.now(bot.KST))
                written += 1
        except bot.JournalError as error:
            print("JournalError", written, flush=True)
        try:
            journal.append([("intent", "after", {})], bot.datetime.now(bot.KST))
            print("wrote again")
        except bot.JournalError:
            print("refused again", flush=True)
        os._exit(0)
    """
    for limit in (40_000, 65_536, 100_001):
        path = tmp_path / f"{limit}.sqlite3"
        ended = python(code, tmp_path, path, limit)
        first, second = ended.stdout.splitlines()
        name, written = first.split()
        assert (name, second) == ("JournalError", "refused again"), ended.stderr
        rows = reopened(path)
        assert int(written) <= len(rows) <= int(written) + 1
        assert [row.ref for row in rows][: int(written)] == [f"id{n}" for n in range(int(written))]


@pytest.mark.parametrize("name", ["new", "old"])
def test_a_folder_that_cannot_be_written_is_refused(name):
    """JournalError with what to check, before anything is sent; also for a file of another user."""
    code = """
        if os.geteuid() == 0:
            os.seteuid(65534)
        try:
            journal = bot.Journal(bot.Path(sys.argv[1])); journal.verify()
            journal.append([("note", "", {})], bot.datetime.now(bot.KST))
            print("wrote", flush=True)
        except bot.JournalError as error:
            print("JournalError", "writ" in str(error) or "read" in str(error), flush=True)
        os._exit(0)
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        old = bot.Journal(folder / "old.sqlite3")
        old.verify()
        write(old, 1)
        old.close()
        (folder / "old.sqlite3").chmod(0o444)
        folder.chmod(0o555)
        try:
            ended = python(code, folder, folder / f"{name}.sqlite3")
        finally:
            folder.chmod(0o755)
    assert ended.stdout.strip() == "JournalError True", ended.stderr


@pytest.mark.parametrize("name", ["a b.sqlite3", "한글.sqlite3", "50%.sqlite3", "a?b#c.sqlite3"])
def test_odd_names_of_files_are_taken_as_they_are(tmp_path, name):
    """The path goes into a URI; nothing in it may change its meaning."""
    journal = bot.Journal(tmp_path / name)
    journal.verify()
    write(journal, 1)
    journal.close()
    assert (tmp_path / name).is_file()
    assert len(reopened(tmp_path / name)) == 2


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_journal_that_is_taken_away_while_in_use_is_noticed(tmp_path, how):
    """Rows written into a file that nobody can find again protect nothing (D04)."""
    path = tmp_path / "journal.sqlite3"
    with contextlib.closing(bot.Journal(path)) as journal:
        journal.append([("note", "", {})], edge.at("10:00"))
        journal.check_in_place()
        path.rename(tmp_path / "taken")
        if how == "replaced":
            shutil.copy(tmp_path / "taken", path)
        with pytest.raises(bot.JournalError, match="while in use") as error:
            journal.append([("note", "", {})], edge.at("10:01"))
        assert isinstance(error.value, bot.JournalLate) is (how == "deleted")  # it may come back


# --- lock ---


def test_two_bots_of_one_account_cannot_run(tmp_path):
    """The second is refused at once, wherever its folder is; another account is free (P08)."""
    account, elsewhere = bot.Secret(f"5{os.getpid():07d}"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    first = bot.AccountLock(account, tmp_path)
    for folder in (tmp_path, elsewhere):
        with pytest.raises(bot.AlreadyRunning) as refused:
            bot.AccountLock(account, folder)
        assert account.reveal() not in str(refused.value)
    bot.AccountLock(bot.Secret(f"6{os.getpid():07d}"), tmp_path).release()
    first.release()
    bot.AccountLock(account, elsewhere).release()
    bot.AccountLock(account, tmp_path).release()


def test_a_bot_in_another_container_with_the_same_folder_is_seen(tmp_path):
    """Names of the kernel end at a network namespace: a lock on a file of the folder holds too."""
    account = bot.Secret(f"8{os.getpid():07d}")
    bot.AccountLock(account, tmp_path).release()
    [file] = tmp_path.iterdir()
    assert oct(stat.S_IMODE(file.stat().st_mode)) == "0o600"
    with file.open() as of_another:
        fcntl.flock(of_another, fcntl.LOCK_EX)
        for _ in range(2):
            with pytest.raises(bot.AlreadyRunning):
                bot.AccountLock(account, tmp_path)
    bot.AccountLock(account, tmp_path).release()


def test_a_lock_that_cannot_be_written_is_no_other_bot(tmp_path):
    """The fault is named, the path too, and the account is left free."""
    account = bot.Secret(f"9{os.getpid():07d}")
    with pytest.raises(bot.JournalError, match="gone"):
        bot.AccountLock(account, tmp_path / "gone")
    bot.AccountLock(account, tmp_path).release()


def test_death_frees_the_lock(tmp_path):
    """The operating system lets go of a killed process."""
    account = f"7{os.getpid():07d}"
    code = """
        lock = bot.AccountLock(bot.Secret(sys.argv[1]), bot.Path())
        try:
            bot.AccountLock(bot.Secret(sys.argv[1]), bot.Path())
        except bot.AlreadyRunning:
            os.kill(os.getpid(), 9)
    """
    assert python(code, tmp_path, account).returncode == -9
    bot.AccountLock(bot.Secret(account), tmp_path).release()


# --- recorder ---


def lines_of(path):
    return list(tools.read_lines(path))


def test_what_was_recorded_is_read_back(tmp_path):
    """Header, time once, frames with their stamps, encrypted frames marked, events as JSON."""
    recorder = bot.Recorder(tmp_path / "records", AT, {"version": "x", "값": 1})
    recorder.time(AT)
    recorder.time(AT)
    recorder.frame(17, 2, "0|H0STCNT0|001|005930^090000")
    recorder.frame(18, 2, "1|H0STCNI9|001|AAAA")
    recorder.event(bot.Cash(5))
    recorder.close()
    assert oct(stat.S_IMODE(recorder.path.stat().st_mode)) == "0o600"
    assert oct(stat.S_IMODE((tmp_path / "records").stat().st_mode)) == "0o700"
    header, moment, plain, encrypted, event = lines_of(recorder.path)
    assert json.loads(header[1:]) == {"version": "x", "값": 1}
    assert moment == f"T{int(AT.timestamp() * 1_000_000)}"
    assert plain == "F17 2 0|H0STCNT0|001|005930^090000"
    assert encrypted == "X18 2 1|H0STCNI9|001|AAAA"
    assert tools.event_from_json(event[1:]) == bot.Cash(5)


@pytest.mark.parametrize("cut", [1, 3, 9, 12, 20])
def test_a_torn_tail_is_readable_up_to_it(tmp_path, cut):
    """A kill in the middle of a write costs the last flush only and is told by an empty line."""
    recorder = bot.Recorder(tmp_path, AT, {})
    for n in range(5):
        recorder.frame(n, 1, f"frame {n}")
        recorder.flush()
    recorder.close()
    raw = recorder.path.read_bytes()
    recorder.path.write_bytes(raw[:-cut])
    found = lines_of(recorder.path)
    assert found[:5] == ["S{}", *(f"F{n} 1 frame {n}" for n in range(4))]
    assert found[-1] == "" or len(found) == 6


def test_a_flush_is_on_disk_without_a_close(tmp_path):
    """Each flush is a whole gzip member."""
    recorder = bot.Recorder(tmp_path, AT, {})
    recorder.frame(1, 1, "frame")
    recorder.flush()
    recorder.flush()
    assert recorder.settle(5)
    assert gzip.decompress(recorder.path.read_bytes()).decode().splitlines() == [
        "S{}",
        "F1 1 frame",
    ]
    recorder.close()


def test_a_long_recording_goes_on_in_segments(tmp_path, monkeypatch):
    """Segments of a bounded size, read in order as one."""
    monkeypatch.setattr(bot, "RECORD_SEGMENT_BYTES", 300)
    recorder = bot.Recorder(tmp_path, AT, {})
    first = recorder.path
    for n in range(50):
        recorder.frame(n, 1, "0|" + os.urandom(40).hex())
        recorder.flush()
    recorder.close()
    assert len(list(tmp_path.glob("*.gz"))) > 5
    assert [line.split(" ")[0] for line in lines_of(first)] == [
        "S{}",
        *(f"F{n}" for n in range(50)),
    ]


def test_a_full_disk_ends_the_recording_not_the_trading(tmp_path):
    """ENOSPC: `broken` says so once; nothing is raised, what was flushed stays readable (D08)."""
    code = """
        import resource
        recorder = bot.Recorder(bot.Path(sys.argv[1]), bot.datetime.now(bot.KST), {})
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        for n in range(200):
            recorder.frame(n, 1, os.urandom(50).hex())
            recorder.flush()
        recorder.settle(5)
        print(recorder.broken, recorder.path)
        recorder.close()
    """
    ended = python(code, tmp_path, tmp_path)
    assert ended.returncode == 0, ended.stderr
    said, _, path = ended.stdout.strip().rpartition(" ")
    assert said.startswith("recording stopped")
    assert len(lines_of(Path(path))) > 5


@pytest.mark.parametrize("room", range(1, 80, 13))
def test_a_disk_that_fills_up_within_a_write_leaves_whole_members(tmp_path, room):
    """A short write is taken back: every line before it, and none after it, is in the file."""
    code = """
        import resource
        recorder = bot.Recorder(bot.Path(sys.argv[1]), bot.datetime.now(bot.KST), {})
        recorder.frame(0, 1, "before")
        recorder.flush(); recorder.settle(5)
        full = recorder.path.stat().st_size + int(sys.argv[2])
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
        recorder.frame(1, 1, os.urandom(50).hex())
        recorder.flush(); recorder.settle(5)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        recorder.frame(2, 1, "after")
        recorder.flush(); recorder.settle(5)
        print(recorder.broken, recorder.path)
        recorder.close()
    """
    ended = python(code, tmp_path, tmp_path, room)
    assert ended.returncode == 0, ended.stderr
    said, _, path = ended.stdout.strip().rpartition(" ")
    assert said.startswith("recording stopped")
    assert lines_of(Path(path)) == ["S{}", "F0 1 before"]


def test_a_next_segment_that_cannot_be_opened_ends_the_recording(tmp_path, monkeypatch):
    """What was written stays, `path` names it, and closing is no error."""
    monkeypatch.setattr(bot, "RECORD_SEGMENT_BYTES", 1)
    recorder = bot.Recorder(tmp_path, AT, {})
    recorder.frame(0, 1, "first")
    recorder.flush()
    assert recorder.settle(5)
    following = recorder.path.with_name(recorder.path.name.replace("-0000", "-0001"))
    following.mkdir()
    for n in (1, 2):
        recorder.frame(n, 1, "more")
        recorder.flush()
    recorder.close()
    following.rmdir()
    assert recorder.broken.startswith("recording stopped")
    assert lines_of(recorder.path) == ["S{}", "F0 1 first"]


def test_a_last_flush_that_fails_is_logged(tmp_path, caplog):
    """At the end nobody looks at `broken` any more, and the goodbye must still be sent."""
    recorder = bot.Recorder(tmp_path, AT, {})
    recorder.flush()
    assert recorder.settle(5)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, recorder._file)
    os.close(full)
    recorder.frame(1, 1, "last")
    recorder.close()
    assert "recording stopped" in caplog.text


@pytest.mark.parametrize("damage", ["torn", "zeros", "text"])
def test_a_recording_damaged_in_the_middle_is_read_up_to_there(tmp_path, damage):
    """A power cut, or an older bot on a full disk: an empty line tells it, no traceback."""
    members = [gzip.compress(f"F{n} 1 frame {n}\n".encode(), 1, mtime=0) for n in range(3)]
    members[1] = {"torn": members[1][:-9], "zeros": b"\0" * 30 + b"x", "text": b"no gzip"}[damage]
    path = tmp_path / "20261120-085000-0000.gz"
    path.write_bytes(b"".join(members))
    found = lines_of(path)
    assert found[0] == "F0 1 frame 0"
    assert found[-1] == ""


@pytest.mark.parametrize("text", ["a\nE{}", "a\rT5", "a\r\nS{}", "a\u2028b\nF1 1 x"])
def test_a_frame_is_one_line_whatever_it_holds(tmp_path, text):
    """The plain WebSocket can bring any text; it must not write other lines into the replay."""
    recorder = bot.Recorder(tmp_path, AT, {})
    recorder.frame(1, 1, text)
    recorder.close()
    _, line = lines_of(recorder.path)
    mark, _, frame = line.split(" ", 2)
    assert (mark, text) in [("F1", frame), ("J1", json.loads(frame) if mark == "J1" else None)]


def test_two_runs_never_share_a_recording(tmp_path):
    """A fast restart, or a market clock that stands still, begins a file of its own."""
    first = bot.Recorder(tmp_path, AT, {})
    second = bot.Recorder(tmp_path, AT, {})
    first.close()
    second.close()
    assert first.path != second.path


def test_old_recordings_go_by_the_day_of_their_data(tmp_path):
    """The newest stay; one process of many days has a file for each of them."""
    for n in range(1, 21):
        (tmp_path / f"202611{n:02d}-085000-0000.gz").write_bytes(b"x")
    bot.Recorder(tmp_path, edge.at("16:00"), {}, kept_days=12).close()
    left = sorted({file.name[:8] for file in tmp_path.iterdir()})
    assert left == [f"202611{n:02d}" for n in range(8, 21)]


def test_each_day_of_a_process_has_a_file_that_names_the_one_before(tmp_path):
    """Read from the first all days are one run; read from the second it begins with a header."""
    recorder = bot.Recorder(tmp_path, AT, {"day": 1})
    first = recorder.path
    recorder.header_of_now = lambda: {"day": 2}
    recorder.begin_day(AT)  # the same day: nothing
    recorder.frame(1, 1, "one")
    recorder.begin_day(AT + timedelta(days=1))
    recorder.frame(2, 1, "two")
    recorder.close()
    marks = [line[:2] for line in lines_of(first)]
    assert marks == ["S{", "F1", "S{", "F2"]
    second = recorder.path
    assert [line[:2] for line in lines_of(second)] == ["S{", "F2"]
    assert second.name[:8] == f"{AT + timedelta(days=1):%Y%m%d}"


def test_an_old_recording_that_cannot_be_deleted_is_told_and_the_recording_goes_on(
    tmp_path, caplog
):
    """A folder in its place cannot be unlinked."""
    (tmp_path / "20200102-084500-0000.gz").mkdir()
    recorder = bot.Recorder(tmp_path, edge.at("09:00"), {}, kept_days=12)
    recorder.time(edge.at("09:00:01"))
    recorder.close()
    assert recorder.broken == "" and (tmp_path / "20200102-084500-0000.gz").is_dir()
    assert any("an old recording stays" in each.message for each in caplog.records)


def test_the_limit_of_recordings_holds_while_recording(tmp_path):
    """The oldest go first; when only this day is left the recording ends, the folder never grows."""
    old = tmp_path / "20261101-085000-0000.gz"
    old.write_bytes(b"x" * 60_000)
    recorder = bot.Recorder(tmp_path, AT, {}, most_bytes=100_000)
    for n in range(40):
        recorder.frame(n, 1, os.urandom(4_000).hex())
        recorder.flush()
        assert recorder.settle(5)
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 100_000
    recorder.close()
    assert not old.exists()
    assert "record_max_mb" in recorder.broken
    assert len(lines_of(recorder.path)) > 15


def test_the_settings_say_how_much_is_recorded(tmp_path):
    """`record_max_mb: 10` means 10,000,000 bytes in the folder: one more, and the oldest file goes."""
    sim = simulator.Simulator(edge.config())
    chosen = harness.make_settings(sim, record=True, record_max_mb=10)
    (folder := tmp_path / "records").mkdir()
    old = folder / "20261101-085000-0000.gz"
    options = argparse.Namespace(strategy="")
    for size, stays in ((9_000_000, True), (10_000_000, False)):
        with open(old, "wb") as file:
            file.truncate(size)
        with contextlib.closing(bot.Journal(tmp_path / "journal.sqlite3")) as journal:
            past = harness.past_of(journal)
            recorder = bot.start_recorder(chosen, options, journal, past, AT, tmp_path)
        assert recorder is not None
        recorder.frame(1, 1, "x")
        recorder.close()
        assert (old.exists(), recorder.broken) == (stays, "")


def test_a_disk_that_hangs_holds_no_flush(tmp_path, monkeypatch):
    """The thread waits for it; what finds no room in memory ends the recording, told once."""
    monkeypatch.setattr(bot, "RECORD_WAITING", 10_000)
    reading, writing = os.pipe()
    recorder = bot.Recorder(tmp_path, AT, {})
    assert recorder.settle(5)
    os.dup2(writing, recorder._file)  # a disk that takes 64 kB and then nothing
    for n in range(400):
        recorder.frame(n, 1, os.urandom(500).hex())
        recorder.flush()
    assert recorder.broken == "recording stopped: the disk is too slow"
    os.close(reading)
    recorder.close()
    os.close(writing)


def test_a_disk_that_complains_at_the_end_holds_no_last_words(tmp_path):
    """A close that fails (a full share of the network) is the recorder's own trouble."""
    recorder = bot.Recorder(tmp_path, AT, {})
    recorder.flush()
    assert recorder.settle(5)
    os.close(recorder._file)
    recorder.close()
    assert recorder.broken == "" and len(lines_of(recorder.path)) == 1


def test_a_private_file_holds_any_text(tmp_path):
    """Half a letter of a stranger's name becomes its escape: the status stays JSON, its thread alive."""
    bot.write_private(
        tmp_path / "status.json", json.dumps({"name": "삼성\ud800"}, ensure_ascii=False)
    )
    assert json.loads((tmp_path / "status.json").read_text("utf-8")) == {"name": "삼성\ud800"}


# --- round trips ---

INTENT = bot.OrderIntent(
    "i1", edge.DAY, "005930", bot.Side.BUY, bot.OrderKind.LIMIT, 3, 71_400, "entry", "0", "s1", AT,
    220_000, 5_000_000, -1, bot.ExitPlan(70_000, 73_000, 0.01), "breakout 값",
)  # fmt: skip
BAR = bot.Bar("005930", AT, AT + timedelta(minutes=5), 1, 4, 1, 3, 100, 250, 7, True)
ENTRIES = (
    INTENT,
    bot.replace(INTENT, plan=None, kind=bot.OrderKind.MARKET, side=bot.Side.SELL, purpose="exit"),
    *(
        bot.OrderUpdate("i1", event, AT, "0000000762", "06010", 3, 214_200, 71_400, "00", "n")
        for event in bot.OrderEvent
    ),
    bot.NumberHeard("i1", "0000000762", AT),
    bot.PlanUpdate("005930", bot.ExitPlan(1, 2, 0.5), AT),
    bot.ExitStarted("005930", "stop", AT),
    bot.DayOpened(edge.DAY, AT),
    bot.AccountTaken(-5, {"005930": 3, "000660": 1}, AT),
    bot.AccountTaken(0, {}, AT),
    *(bot.LevelSet(level, "why", True, AT) for level in bot.KillLevel),
    bot.SymbolStopped("005930", "why", AT),
    bot.PositionAdjusted("005930", 0, "n", AT),
    bot.HoldSet("journal", True, AT),
    bot.CloseKept("005930", 70_000, AT.date(), True, AT),
    bot.ActionSeen("005930", "split", 70_000, 14_000, 10, 50, AT),
    bot.ActionAnswered("005930", 14_000, bot.ExitPlan(13_600), "scale", AT),
)
ROW = bot.BrokerOrder(
    "0000000762", "", "06010", "005930", bot.Side.SELL, "00", 3, 71_400, 1, 71_400, 1, 1, "100530"
)
EVENTS = (
    *(
        bot.Notice(kind, "0", "0000000762", "", "005930", bot.Side.BUY, 3, 71_400, "100530")
        for kind in bot.NoticeKind
    ),
    *(
        bot.OrderAnswered("i1", bot.OrderAnswer(outcome, "0000000762", "06010", "c", "t 값"), AT)
        for outcome in bot.Outcome
    ),
    *(
        bot.Command(name, AT, None, "text", bot.KillLevel.REDUCE_ONLY)
        for name in typing.get_args(typing.get_type_hints(bot.Command)["name"])
    ),
    bot.Command("day", AT, bot.session_of(edge.DAY)),
    bot.Instrument("005930", "KOSPI", False, 1, 2, 3, 4, "halted", "삼성전자"),
    bot.Cash(-1),
    bot.PastBars("005930", (BAR, bot.replace(BAR, gap=False))),
    bot.PastBars("005930", ()),
    bot.OrderList((ROW, ROW)),
    bot.OrderList(()),
    bot.Balance(5, 6, 7, (bot.Holding("005930", 3, 2, Decimal("70000.1234"), "n"),)),
)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_a_ledger_entry_survives_the_journal(entry):
    """What is read back after a restart is what was applied, types included."""
    again = bot.entry_from_json(bot.canonical_json(entry))
    assert again == entry and type(again) is type(entry)
    for name in entry.__dataclass_fields__:
        assert type(getattr(again, name)) is type(getattr(entry, name)), name


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_survives_the_recording(event):
    """Also when it is the answer to a question, with the time of asking."""
    again = tools.event_from_json(bot.canonical_json(event))
    assert again == event and type(again) is type(event)
    if isinstance(event, bot.Instrument | bot.Balance | bot.Cash | bot.OrderList | bot.PastBars):
        seen = bot.Seen(event, AT)
        assert tools.event_from_json(bot.canonical_json(seen)) == seen


def test_every_kind_of_entry_and_event_is_tried_above():
    """A kind that is added must be able to survive, too."""
    kinds = {type(entry).__name__ for entry in ENTRIES}
    assert {kind.__name__ for kind in typing.get_args(bot.LedgerEntry)} == kinds
    assert set(bot._ENTRY_TYPES) == kinds
    events = {type(event).__name__ for event in EVENTS}
    assert set(tools._EVENT_TYPES) == events
    fed = {kind.__name__ for kind in typing.get_args(bot.Event)}
    unrecorded = {"TimeEvent", "Trade", "Quote", "MarketStatus", "Seen"}
    assert fed - unrecorded <= events


@given(text=st.text(st.characters(exclude_categories=["Cs"])), number=st.integers())
def test_any_text_and_number_survive(text, number):
    """Notes of the broker hold anything."""
    entry = bot.OrderUpdate(text, bot.OrderEvent.REFUSED, AT, note=text, quantity=number)
    assert bot.entry_from_json(bot.canonical_json(entry)) == entry


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"type":"Nothing"}', '{"type":"OrderUpdate"}',
     '{"type":"Seen"}', '{"type":"Seen","value":{"type":"Cash"},"asked_at":"x"}', '{"type":[]}',
     '{"type":"Notice","kind":"unheard"}', '{"type":"LevelSet","level":9}'],
)  # fmt: skip
def test_what_cannot_be_read_is_an_error_of_ours(text):
    """JournalError for a row, BadData for a recording."""
    with pytest.raises(bot.JournalError):
        bot.entry_from_json(text)
    with pytest.raises(bot.BadData):
        tools.event_from_json(text)


@pytest.mark.parametrize("text", ["null", "7", '"x"'])
def test_a_row_that_is_no_object_is_an_error_of_ours(text):
    """JSON, but not an object."""
    with pytest.raises(bot.BadData):
        tools.event_from_json(text)
    with pytest.raises(bot.JournalError):
        bot.entry_from_json(text)


def test_canonical_text_does_not_depend_on_order():
    """Same value, same bytes: the digest and the chain rest on it."""
    assert bot.canonical_json({"b": 1, "a": (1, 2)}) == bot.canonical_json({"a": [1, 2], "b": 1})
    assert bot.canonical_json(bot.Cash(1)) == '{"amount_krw":1,"type":"Cash"}'


# --- systemd ---


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_systemd_is_told(tmp_path, monkeypatch, abstract):
    """READY, WATCHDOG and STOPPING reach NOTIFY_SOCKET in both spellings."""
    name = f"kisbot-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("\0" + name if abstract else name)
        server.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        watchdog = bot.Watchdog()
        for text in ("READY=1", "WATCHDOG=1", "STOPPING=1"):
            watchdog.tell(text)
            assert server.recv(100).decode() == text


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "@nobody-listens", "x" * 300])
def test_without_systemd_nothing_happens(monkeypatch, address):
    """No socket, a dead one, an impossible one: trading goes on."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    bot.Watchdog().tell("WATCHDOG=1")


def test_pauses_grow_to_the_last_which_goes_on():
    """The pause after the first failure is the first; the last is not the end."""
    pauses = bot.Pauses((1.0, 4.0, 60.0))
    assert [pauses.after(failed) for failed in range(6)] == [1.0, 1.0, 4.0, 60.0, 60.0, 60.0]
    assert list(itertools.islice(pauses.each(), 5)) == [1.0, 4.0, 60.0, 60.0, 60.0]
