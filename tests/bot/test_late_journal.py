"""A journal that is late: nothing leaves without its row, and nothing is lost by waiting for it."""

import asyncio
import contextlib
import os
import resource
import sqlite3
import threading
import time

import harness
import pytest
from test_trader import SYMBOL, Life

import kis_realtime_trading as bot

OTHER = "000660"


@contextlib.contextmanager
def locked(life, trader):
    """Let another program hold the write lock."""
    other = sqlite3.connect(life.world.folder / "journal.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextlib.contextmanager
def full(life, trader):
    """Let the disk have no room for another page."""
    pages = trader.journal._db.execute("PRAGMA page_count").fetchone()[0]
    trader.journal._db.execute(f"PRAGMA max_page_count={pages}")
    yield
    trader.journal._db.execute("PRAGMA max_page_count=1000000")


@contextlib.contextmanager
def moved(life, trader):
    """Move the folder away and back."""
    away = life.world.folder.with_name(life.world.folder.name + "-away")
    os.rename(life.world.folder, away)
    yield
    os.rename(away, life.world.folder)


@contextlib.contextmanager
def no_descriptors(life, trader):
    """Let the process open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def hanging(life, trader):
    """Let the disk take no commit to its end: an fsync that does not come back."""
    answers, patience = threading.Event(), bot.DISK_ANSWERS_WITHIN_S
    trader.journal._db.set_trace_callback(lambda sql: sql != "COMMIT" or answers.wait())
    bot.DISK_ANSWERS_WITHIN_S = 0.05  # of a disk that does answer this would ask too much here
    try:
        yield
    finally:
        bot.DISK_ANSWERS_WITHIN_S = patience
        answers.set()
    trader.journal._writer.end(10.0)


def holding(life):
    """Return the strategy: five shares with a stop, and an entry of another stock that rests."""
    return harness.Scripted([
        harness.Wish("09:23:40", SYMBOL, 5, plan=(0.97, 1.2)),
        harness.Wish("09:24:30", OTHER, 5, offset_ticks=-30, plan=(0.8, 1.2)),
    ])  # fmt: skip


def falling():
    """Return minute bars of a stock that stands at 71,400 and falls to 68,500 at 09:25."""
    flat = {(None, 60 * each): (71_400, 71_500, 71_300, 71_400, 9_000) for each in range(540, 565)}
    fallen = {
        (None, 60 * each): (68_500, 68_600, 68_400, 68_500, 9_000) for each in range(565, 600)
    }
    return {SYMBOL: {**flat, **fallen}}


@pytest.mark.parametrize("trouble", [locked, full, moved, no_descriptors, hanging])
def test_a_late_journal_keeps_the_bot_and_its_stops(trouble):
    """For 10 s nothing leaves; then the stop and the cancel that waited do, each with its row."""

    async def story(life):
        trader, run = await life.begin(holding(life))
        await life.world.until("09:24:58")
        began, posts = time.monotonic(), list(life.network.posts)
        with trouble(life, trader):
            trader.tell("error", what="x " * 1_500)  # no page is left for more
            await life.world.until("09:25:10")
            during = list(trader.engine.core.holds), life.network.posts == posts, run.done()
            told = [text for text in trader.bridge.messages if "저장할 수 없습니다" in text]
        assert time.monotonic() - began < 30.0  # nobody waited for it by the wall clock
        await life.world.until("09:25:14")
        after = [(path.rpartition("/")[2], body) for path, body in life.network.posts[len(posts) :]]
        await life.world.until("09:27:00")
        level, holds = trader.engine.core.ledger.level, list(trader.engine.core.holds)
        await life.stop(trader, run)
        return during, told, after, level, holds, trader

    patient = {"entry_timeout_s": 600.0}  # only the late journal takes the entry back
    life = Life(
        "09:23:00", patient, symbols=(SYMBOL, OTHER), density=40.0, bars=falling()
    )  # fmt: skip
    (held, silent, ended), told, after, level, holds, trader = life.play(story)
    assert bot.JOURNAL_LATE in held and silent and not ended
    assert len(told) == 1
    names = [name for name, _ in after]
    assert "order-cash" in names and "order-rvsecncl" in names  # the stop; the resting entry
    assert level is bot.KillLevel.ACTIVE and bot.JOURNAL_LATE not in holds
    assert trader.engine.core.ledger.position(SYMBOL).quantity == 0
    assert not trader.engine.core.ledger.open_orders()
    assert harness.differences(life.sim, trader.engine.core.ledger) == []
    alerts = life.alerts()
    assert alerts.index("journal_late") < alerts.index("journal_back")
    requests = [row.ref for row in life.rows("request")]
    assert len(requests) == len(life.network.posts)


def test_an_entry_decided_while_the_journal_is_late_never_leaves():
    """Its price is old when the row is durable: the gate refuses it."""

    async def story(life):
        wishes = [harness.Wish("09:25:00", SYMBOL, 5)]
        trader, run = await life.begin(harness.Scripted(wishes))
        await life.world.until("09:24:59")
        with locked(life, trader):
            await life.world.until("09:25:00")
            trader.bridge.execute([bot.Record("note", "", {})])
            trader.engine.core.holds.pop(bot.JOURNAL_LATE)  # as if it had been decided just before
            await life.world.until("09:25:10")
        await life.world.until("09:26:00")
        await life.stop(trader, run)
        return [order.status for order in trader.engine.core.ledger.orders.values()]

    life = Life("09:24:00", density=120.0)
    assert life.play(story) == [bot.OrderStatus.NOT_SENT]
    assert life.orders == []


def test_a_short_lock_is_not_told():
    """A viewer that takes half a second alarms nobody; every row is there in its order."""

    async def story(life):
        trader, run = await life.begin(harness.Nothing())
        await life.world.until("09:20:00")
        with locked(life, trader):
            trader.tell("error", what="during")
            await asyncio.sleep(0.5)
        await life.world.until("09:20:05")
        trader.tell("error", what="after")
        await life.stop(trader, run)

    life = Life()
    life.play(story)
    said = [row.body for row in life.rows("alert") if row.ref == "error"]
    assert ["during" in said[0], "after" in said[1]] == [True, True]
    assert "journal_late" not in life.alerts()


def test_a_journal_that_stays_late_ends_the_bot_and_says_what_is_left():
    """After the limit: exit code 74, the shares named; a stop meanwhile ends with 74 as well."""

    async def story(life):
        trader, run = await life.begin(holding(life))
        await life.world.until("09:23:55")
        began = asyncio.get_running_loop().time()
        with locked(life, trader):
            with pytest.raises(BaseExceptionGroup) as group:
                await run
            took = asyncio.get_running_loop().time() - began
            trader.journal.close()
        return bot._explain_failure(group.value), took, trader.bridge.messages[-1]

    code, took, said = Life("09:23:00", symbols=(SYMBOL, OTHER), density=40.0).play(story)
    assert code == bot.EXIT_JOURNAL
    assert bot.LATE_MOST_S <= took < bot.LATE_MOST_S + 120.0  # from the first row on
    assert "삼성전자 5" in said
    assert bot.LATE_MOST_S >= 60.0


def test_a_stop_while_the_journal_is_late_is_no_clean_end():
    """Rows that could not be written are missed by the next process: not exit code 0."""

    async def story(life):
        trader, run = await life.begin(harness.Nothing())
        await life.world.until("09:20:00")
        with locked(life, trader):
            trader.tell("error", what="lost")
            trader.stop("SIGTERM received")
            await run
            late = trader.bridge.late
            trader.journal.close()
        return late, trader.bridge.messages[-1]

    late, said = Life().play(story)
    assert "locked" in late and "다른 프로그램이 쓰는 중" in said


def test_an_fsync_that_hangs_for_a_minute_holds_no_other_stop_and_no_word_of_the_owner():
    """Two stops fire meanwhile and are told as waiting; a word is obeyed; nothing leaves without a row."""

    async def story(life):
        wishes = [harness.Wish("09:23:40", each, 5, plan=(0.97, 1.2)) for each in (SYMBOL, OTHER)]
        trader, run = await life.begin(harness.Scripted(wishes))
        await life.world.until("09:24:58")
        began, posts = time.monotonic(), len(life.network.posts)
        with hanging(life, trader):
            await life.world.until("09:25:30")
            (life.world.folder / bot.CONTROL_FILE).write_text("stop\n")
            await life.world.until("09:25:58")
            ledger = trader.engine.core.ledger
            exits = {symbol: ledger.position(symbol).exit_reason for symbol in (SYMBOL, OTHER)}
            during = exits, ledger.level, len(life.network.posts) - posts, run.done()
            told = [text for text in trader.bridge.messages if "직접 파십시오" in text]
        assert time.monotonic() - began < 30.0  # nobody waited for it by the wall clock
        await life.world.until("09:27:00")
        await life.stop(trader, run)
        return during, told, trader

    both = falling() | {OTHER: falling()[SYMBOL]}
    life = Life("09:23:00", symbols=(SYMBOL, OTHER), density=40.0, bars=both)
    during, told, trader = life.play(story)
    stops = {SYMBOL: "stop", OTHER: "stop"}
    assert during == (stops, bot.KillLevel.ENTRIES_OFF, 0, False)
    assert len(told) == 2 and all("5주" in text for text in told)
    assert [order["side"] for order in life.orders] == ["BUY", "BUY", "SELL", "SELL"]
    assert harness.differences(life.sim, trader.engine.core.ledger) == []
    assert life.alerts().count("journal_late") == life.alerts().count("journal_back") == 1
    rows = life.rows("request")
    assert len(rows) == len(life.network.posts)


def test_rows_that_a_hung_disk_took_after_all_are_there_once(tmp_path, monkeypatch):
    """The same rows are given again while they are written: they are taken over, not written twice."""
    monkeypatch.setattr(bot, "DISK_ANSWERS_WITHIN_S", 0.05)
    journal, answers = bot.Journal(tmp_path / "journal.sqlite3"), threading.Event()
    journal.verify()
    journal._db.set_trace_callback(lambda sql: sql != "COMMIT" or answers.wait())
    rows, at = [("intent", "id1", {"n": 1})], bot.datetime.now(bot.KST)
    for _ in range(3):
        with pytest.raises(bot.JournalLate):
            journal.append(rows, at)
        assert not journal.has_intent("id1") and list(journal.rows()) == []  # readers do not wait
    answers.set()
    assert journal._writer.end(10.0)
    journal.append(rows, at)
    journal.append([("note", "", {})], at)
    assert [(row.seq, row.kind) for row in journal.rows()] == [(1, "intent"), (2, "note")]
    journal.close()
    again = bot.Journal(tmp_path / "journal.sqlite3")
    again.verify()
    again.close()


def test_a_journal_whose_disk_hangs_is_left_at_the_end(tmp_path, monkeypatch):
    """Closing it would wait for the disk: the end of the program does not."""
    monkeypatch.setattr(bot, "DISK_ANSWERS_WITHIN_S", 0.05)
    journal, answers = bot.Journal(tmp_path / "journal.sqlite3"), threading.Event()
    journal.verify()
    journal._db.set_trace_callback(lambda sql: sql != "COMMIT" or answers.wait())
    with pytest.raises(bot.JournalLate):
        journal.append([("note", "", {})], bot.datetime.now(bot.KST))
    began = time.monotonic()
    journal.close()
    assert time.monotonic() - began < 5.0
    answers.set()
