"""Recorder, logs, control file, codes: what one piece of work leaves for the next, by a plain reading."""

import asyncio
import gzip
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
from datetime import timedelta

import edge
import harness
import pytest
from test_services import AT, lines_of

import kis_realtime_trading as bot


def sizes(folder):
    """Return the bytes of each file of recordings."""
    return [file.stat().st_size for file in sorted(folder.glob("*.gz"))]


def record(recorder, n):
    """Record a frame of some 120 bytes that cannot be compressed, and have it written."""
    recorder.frame(n, 1, "0|" + os.urandom(60).hex())
    recorder.flush()
    assert recorder.settle(5)


@pytest.mark.parametrize("most", [1, 300, 1_000])
def test_a_segment_is_full_before_the_next_begins(tmp_path, monkeypatch, most):
    """Each but the last holds at least so much, and was below it before its last piece."""
    monkeypatch.setattr(bot, "RECORD_SEGMENT_BYTES", most)
    recorder, pieces, before = bot.Recorder(tmp_path, AT, {}), [], 0
    for n in range(20):
        record(recorder, n)
        pieces.append(sum(sizes(tmp_path)) - before)
        before = sum(sizes(tmp_path))
    wanted, room = [], 0
    for piece in pieces:  # the plain reading
        if room >= most or not wanted:
            wanted.append(0)
            room = 0
        wanted[-1] += piece
        room += piece
    recorder.close()
    assert sizes(tmp_path) == wanted


def test_a_disk_that_keeps_up_is_never_too_slow(tmp_path, monkeypatch):
    """What was written does not count as waiting, however much it was in all."""
    monkeypatch.setattr(bot, "RECORD_WAITING", 1_000)
    recorder = bot.Recorder(tmp_path, AT, {})
    for n in range(30):
        record(recorder, n)
    recorder.close()
    assert recorder.broken == ""
    assert len(lines_of(recorder.path)) == 31


def test_what_waits_in_memory_is_bounded_to_the_character(tmp_path, monkeypatch):
    """A disk that takes nothing: up to the bound it is kept, one more ends the recording."""
    monkeypatch.setattr(bot, "RECORD_WAITING", 100)
    for length, ended in ((97, False), (98, True)):  # with its mark and its line break
        recorder = bot.Recorder(tmp_path, AT, {})
        recorder._lines.clear()
        recorder._beside.begin = lambda work: None
        recorder._lines.append("x" * (length + 2))
        recorder.flush()
        assert bool(recorder.broken) is ended


def test_a_time_is_recorded_once_and_again_behind_an_event(tmp_path):
    """The same moment after an event may mean more than before it: a replay must hear it twice."""
    recorder = bot.Recorder(tmp_path, AT, {})
    for moment in (AT, AT, AT + timedelta(seconds=1)):
        recorder.time(moment)
    recorder.event(bot.Cash(5))
    recorder.time(AT + timedelta(seconds=1))
    recorder.frame(1, 1, "x")
    recorder.time(AT + timedelta(seconds=1))
    recorder.close()
    assert "".join(line[:1] for line in lines_of(recorder.path)) == "STTETF"


def test_secrets_are_taken_out_of_what_is_recorded_and_notices_in_plain_text_too(tmp_path):
    """Whole ones, in any line; a notice that came without its cipher is marked and left out."""
    recorder = bot.Recorder(tmp_path, AT, {})
    recorder.secrets = [bot.Secret("verysecret12"), bot.Secret("")]
    recorder.frame(1, 2, "0|H0STCNT0|001|verysecret12")
    recorder.frame(2, 2, "0|H0STCNI0|001|account^and^more")
    recorder.frame(3, 2, "1|H0STCNI0|001|cipher")
    recorder.close()
    assert lines_of(recorder.path)[1:] == [
        "F1 2 0|H0STCNT0|001|***", "X2 2 0|H0STCNI0|not recorded", "X3 2 1|H0STCNI0|001|cipher",
    ]  # fmt: skip


def test_a_full_log_goes_on_in_a_new_file_whatever_stood_there(tmp_path):
    """A log of an earlier process counts with its size; five older ones are kept, the oldest goes."""
    path, most = tmp_path / "bot.log", bot.LogFile.MOST_BYTES
    with open(path, "wb") as file:
        file.truncate(most - 10)
    log = bot.LogFile(path)
    log.write("0123456789")
    assert path.stat().st_size == most
    log.write("a")
    assert (path.read_text(), (tmp_path / "bot.log.1").stat().st_size) == ("a", most)
    log.write("b" * (most - 1))
    assert path.stat().st_size == most and not (tmp_path / "bot.log.2").exists()
    for letter in "cdefgh":
        log.write(letter * most)
    kept = {name: (tmp_path / name).read_text()[:1] for name in os.listdir(tmp_path)}
    assert kept == {"bot.log": "h", **{f"bot.log.{n}": "hgfedc"[n] for n in range(1, 6)}}
    assert path.stat().st_mode & 0o777 == 0o600


def test_lines_that_were_dropped_are_told_once_each(tmp_path):
    """Behind the next line that is taken; those dropped later are counted anew."""
    go, written = threading.Event(), []

    class Terminal:
        def write(self, text):
            go.wait(10)
            written.append(text)

    thread = bot.LogThread(Terminal())
    thread.MOST_LINES = 2

    def say(count):
        for _ in range(count):
            thread.emit(logging.LogRecord("x", 20, "", 0, "line", (), None))

    say(1)
    while thread.beside.waiting:
        pass
    say(5)
    assert (thread.dropped, thread.beside.waiting) == (3, 2)
    go.set()
    assert thread.beside.end(5.0)
    say(1)
    assert thread.beside.end(5.0)
    told = [text for text in written if "dropped" in text]
    assert len(written) == 4 and len(told) == 1 and "(3 lines" in told[0]


def test_without_a_terminal_lines_go_to_the_file_alone():
    """Whoever started us closed the streams: the thread takes its lines, and none is left waiting."""
    thread = bot.LogThread(None)
    for _ in range(3):
        thread.emit(logging.LogRecord("x", 20, "", 0, "line", (), None))
    assert thread.beside.end(5.0)


@pytest.mark.parametrize("where", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX"}])
def test_a_private_file_is_utf8_whatever_the_locale_says(tmp_path, where):
    """status.json holds Korean names: in a locale of other letters its thread died at the first."""
    code = f"import sys, pathlib, kis_realtime_trading as bot; bot.write_private(pathlib.Path(sys.argv[1]), {'삼성'!a})"
    plain = {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONPATH": str(bot.HERE), **where}
    command = [sys.executable, "-c", code, str(tmp_path / "status.json")]
    subprocess.run(command, env={**os.environ, **plain}, check=True, timeout=60)
    assert (tmp_path / "status.json").read_bytes() == "삼성".encode()


def test_a_word_of_the_control_file_is_there_until_it_was_obeyed(tmp_path):
    """Killed between two words the next start obeys both; obeyed, it is gone for good."""
    path = tmp_path / "control"
    path.write_text("stop\nhalt\n")
    words = bot.take_words(path)
    assert next(words) == "stop"
    words.close()  # the process dies here
    path.write_text("resume")  # of now: it waits for its turn
    assert list(bot.take_words(path)) == ["stop", "halt"]
    assert list(bot.take_words(path)) == ["resume"]
    assert list(bot.take_words(path)) == [] and list(tmp_path.iterdir()) == []


def test_a_code_has_one_try_and_a_new_one_voids_the_one_before():
    """Of three codes of a person the last alone counts, once; another person's is untouched by it."""
    drawn = iter((11, 22, 33, 44))
    codes, now = bot.PhoneCodes(lambda most: next(drawn)), 0.0
    resume, stop = bot.Said(bot.COMMANDS["resume"]), bot.Said(bot.COMMANDS["stop"])
    first, second = codes.issue(1, stop, now), codes.issue(1, resume, now)
    other = codes.issue(2, stop, now)
    assert (first, second, other) == ("000011", "000022", "000033")
    assert codes.take(1, first, now) is None  # and the try is used
    assert codes.take(1, second, now) is None
    assert codes.take(2, other, now + bot.CODE_LASTS_S) == stop
    assert codes.take(2, other, now) is None
    last = codes.issue(1, resume, now)
    assert codes.take(1, last, now + bot.CODE_LASTS_S + 0.1) is None


def test_a_member_of_a_recording_is_read_as_it_was_written(tmp_path):
    """Each flush is a gzip member of its own: all of them together are the lines in their order."""
    recorder = bot.Recorder(tmp_path, AT, {"a": "값"})
    for n in range(3):
        recorder.frame(n, 1, f"f{n}")
        recorder.flush()
    recorder.close()
    text = gzip.decompress(recorder.path.read_bytes()).decode()
    assert text == 'S{"a": "값"}\nF0 1 f0\nF1 1 f1\nF2 1 f2\n'


def test_what_threads_write_of_the_log_is_cleaned_and_dated_like_before(tmp_path):
    """In the file and where it went: Korean time, level, and no secret; at the end the old way is back."""
    with edge.own_logging():
        stream = io.StringIO()
        bot.set_up_logging(bot.Redactor([bot.Secret("verysecret12")]), stream)
        before = logging.getLogger().handlers[:]
        end = bot.log_by_thread(tmp_path / "bot.log")
        bot.log.warning("it is verysecret12")
        end()
        assert logging.getLogger().handlers == before
    written = (tmp_path / "bot.log").read_text()
    assert written == stream.getvalue()
    assert re.fullmatch(r"20\d\d-\S+ [\d:.]{12}\+09:00 WARNING kisbot: it is \*\*\*\n", written)


def test_a_silent_log_writes_its_file_only(tmp_path):
    """A screen has the terminal: nothing goes there while it is open."""
    with edge.own_logging():
        stream, open_ = io.StringIO(), [True]
        bot.set_up_logging(bot.Redactor([]), stream)
        end = bot.log_by_thread(tmp_path / "bot.log", lambda: open_[0])
        for each in ("first", "second"):
            bot.log.warning(each)
            open_[0] = False
        end()
    assert [line[-6:].strip() for line in stream.getvalue().splitlines()] == ["second"]
    assert len((tmp_path / "bot.log").read_text().splitlines()) == 2


def test_of_recordings_that_are_all_too_old_the_open_one_stays(tmp_path):
    """A name of the first day that is kept is not older than it; each new day counts anew."""
    names = [f"2026{day}-085000-000{n}.gz" for day in ("1001", "1002", "1003") for n in range(2)]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    kept = (AT.date() - bot.date(2026, 10, 2)).days
    recorder = bot.Recorder(tmp_path, AT, {}, kept_days=kept)
    recorder.flush()
    assert recorder.settle(5)
    today = recorder.path.name
    assert sorted(os.listdir(tmp_path)) == [*names[2:], today]
    recorder.begin_day(AT + timedelta(days=1))
    assert recorder.settle(5)
    assert sorted(os.listdir(tmp_path)) == [*names[4:], today, recorder.path.name]
    recorder._kept = timedelta()
    recorder.begin_day(AT + timedelta(days=2))
    recorder.close()
    assert os.listdir(tmp_path) == [recorder.path.name]


@pytest.mark.parametrize("over", [0, 1])
def test_recordings_that_just_fit_stay(tmp_path, over):
    """Up to the limit itself nothing goes; one byte more, and the oldest does."""
    old = tmp_path / "20261101-085000-0000.gz"
    old.write_bytes(b"x" * 1_000)
    recorder = bot.Recorder(tmp_path, AT, {}, most_bytes=1_500)
    recorder._make_room(500 + over)
    assert (old.exists(), recorder._room) == (not over, 500 if not over else 1_500)
    with pytest.raises(OSError):
        recorder._make_room(1_501)
    recorder.close()


CALLS = (
    ({}, True), ({"call": 0.0}, False), ({"call": 0.1}, True), ({"orders": 0.0}, True),
    ({"orders": 0.0, "call": 60.0}, True), ({"orders": 0.0, "call": 0.0}, False),
)  # fmt: skip


@pytest.mark.parametrize(("busy", "on"), CALLS)
def test_a_call_is_stuck_after_two_minutes_and_a_question_without_any_answer(busy, on):
    """A question may be many pages: each answer to anything renews its time, not that of a call."""
    assert bot.gets_on(busy, 120.0, 0.1) is on
    assert bot.gets_on({"orders": 0.0}, 120.0, 0.0) is False
    assert bot.gets_on({"orders": 100.0}, 200.0, -bot.math.inf) is True


@pytest.mark.parametrize(("span_s", "speed", "takes_s"), [(0.25, 2.0, 0.125), (-5, 1.0, 0.0), (60, 600.0, 0.1)])  # fmt: skip
def test_a_span_of_market_time_takes_its_part_of_ours(span_s, speed, takes_s):
    """Divided by the speed, never below nothing."""

    async def main():
        clock = bot.MarketClock()
        clock.speed = speed
        await clock.sleep(span_s)
        return asyncio.get_running_loop().time()

    assert harness.run_virtual(main()) == pytest.approx(takes_s)


def test_a_lock_that_is_taken_leaves_nothing_open_behind_it(tmp_path):
    """Neither refused nor released: whoever tries again and again runs out of nothing."""
    account = bot.Secret("1234567890-in-a-row")
    lock = bot.AccountLock(account, tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(bot.AlreadyRunning):
            bot.AccountLock(account, tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
    lock.release()
    bot.AccountLock(account, tmp_path).release()
    assert len(os.listdir("/proc/self/fd")) == before - 2


@pytest.mark.parametrize(("size", "read"), [(4_096, True), (4_097, False)])
def test_a_control_file_is_short(tmp_path, size, read):
    """Up to 4,096 bytes it is read; of a longer one not a word."""
    path = tmp_path / "control"
    path.write_text("x" * size)
    assert list(bot.take_words(path)) == (["x" * size] if read else ["unreadable: no short text"])


def test_each_day_of_a_recording_names_the_file_of_the_day_before(tmp_path):
    """Three days, also when nothing was written between: a chain, from the newest to the first."""
    recorder = bot.Recorder(tmp_path, AT, {})
    recorder.frame(0, 1, "x")
    for n in range(1, 4):
        recorder.begin_day(AT + timedelta(days=n))
    recorder.close()
    heads = [
        gzip.decompress(file.read_bytes()).decode().split("\n")[0]
        for file in sorted(tmp_path.iterdir())
    ]
    names = [file.name for file in sorted(tmp_path.iterdir())]
    continued = [json.loads(head[1:]).get("continues") for head in heads]
    assert continued == [None, *names[:-1]] and len(names) == 4
