"""A recording run again gives the rows of the live run; one won of one trade shows."""

import asyncio
import gzip
import json
import re

import harness
import pytest

import kis_realtime_trading as bot
from companions import columns, simulator
from companions import replay as tools

SYMBOL = "005930"
LIVES = (("09:17:00", "09:22:30"), ("09:24:00", "09:29:30"), ("09:31:00", "09:36:30"))


def scripted(wish_at):
    """Return a strategy that buys once and has a plan that is often reached."""
    return harness.Scripted([harness.Wish(wish_at, SYMBOL, 10, 3, plan=(0.997, 1.003))])


@pytest.fixture(scope="module")
def recorded():
    """Yield a morning of three processes: killed, killed, stopped; the folder with its records."""
    config = simulator.SimulatorConfig(symbols=(SYMBOL, "000660"), density=10.0)
    world = harness.World(config, start="09:14:00", record=True, settings={"entry_timeout_s": 60.0})

    async def main():
        world.network.advance()
        driver = asyncio.create_task(world.network.drive())
        for number, (wish_at, end) in enumerate(LIVES):
            trader = world.make_trader(scripted(wish_at))
            run = asyncio.create_task(trader.run(one_day=True))
            await world.until(end)
            if number < 2:
                await harness.kill(run, trader)
            else:
                trader.stop("enough")
                await run
                trader.journal.close()
        driver.cancel()

    harness.run_virtual(main())
    yield world
    world.close()


def firsts(world):
    """Return the first segments of the recordings, oldest first."""
    return sorted((world.folder / "records").glob("*-0000.gz"))


def test_the_columns_of_the_first_replay_are_the_recording(recorded, tmp_path):
    """The second replay reads columns: the same rows, digest and trades. Spoilt, they count nothing."""
    first = tmp_path / firsts(recorded)[2].name
    first.write_bytes(firsts(recorded)[2].read_bytes())

    def again(columns=True):
        return tools.replay(first, scripted(LIVES[2][0]), columns=columns)

    text, place = again(columns=False), columns.place_of(first)
    assert not place.exists() and text.trades > 100
    assert again() == text and place.stat().st_mode & 0o777 == 0o600
    [*blocks] = columns.blocks_of(first, columns.key_of([first]))
    assert sum(len(block.kinds) for block in blocks) > text.trades
    assert again() == text
    whole = place.read_bytes()
    place.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    assert columns.blocks_of(first, columns.key_of([first])) is None
    assert again() == text and place.read_bytes() == whole  # made again
    assert columns.blocks_of(first, bytes(32)) is None  # of another recording
    (tmp_path / "gone-0000.columns").write_bytes(b"x")
    place.unlink()
    assert again() == text and sorted(f.suffix for f in tmp_path.iterdir()) == [".columns", ".gz"]


def test_a_torn_recording_leaves_no_columns(recorded, tmp_path):
    """Its end is missing: what is read once must not pass for all of it."""
    first = tmp_path / firsts(recorded)[2].name
    first.write_bytes(firsts(recorded)[2].read_bytes()[:-30])
    assert tools.replay(first, scripted(LIVES[2][0])).torn
    assert [file.suffix for file in tmp_path.iterdir()] == [".gz"]


def compare(world, number, path=None):
    """Replay the recording of a process against the journal; return exit code and the replay."""
    again = tools.replay(path or firsts(world)[number], scripted(LIVES[number][0]))
    journal = bot.Journal(world.folder / "journal.sqlite3", read_only=True)
    live = tools.live_rows(journal, again.header["journal_seq"])
    journal.close()
    return tools.show_difference(live, again.rows), again


@pytest.mark.parametrize("number", [0, 1, 2])
def test_each_process_of_a_day_that_was_killed_twice_replays_equal(recorded, number, capsys):
    """Row by row, also from the state that the killed process left; orders among them."""
    code, again = compare(recorded, number)
    assert (code, "equal to the live run" in capsys.readouterr().out) == (0, True)
    kinds = [kind for kind, _, _ in again.rows]
    assert kinds.count("intent") >= 1 and kinds.count("bar") >= 2 and again.trades > 100


def test_the_digest_of_the_day_is_in_the_journal(recorded):
    """The last process ended in order: its row of the day names the digest of the replay."""
    _, again = compare(recorded, 2)
    journal = bot.Journal(recorded.folder / "journal.sqlite3", read_only=True)
    [row] = journal.rows("day")
    journal.close()
    assert again.digest in row.body


def test_one_won_of_one_trade_changes_the_digest_and_is_shown(recorded, tmp_path, capsys):
    """The opening trade of a bar, dearer by a won: the tool names the row, with both histories."""
    path = firsts(recorded)[2]
    lines = list(tools.read_lines(path))
    at = next(n for n, line in enumerate(lines) if line[:1] == "F" and f"|{SYMBOL}^093" in line)
    fields = lines[at].split("^")
    fields[2] = str(int(fields[2]) + 1)
    lines[at] = "^".join(fields)
    changed = tmp_path / path.name
    changed.write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    _, before = compare(recorded, 2)
    capsys.readouterr()
    code, after = compare(recorded, 2, changed)
    told = capsys.readouterr().out
    assert after.digest != before.digest
    assert code == bot.EXIT_FAILED
    assert "FIRST DIFFERENCE at row" in told and ">> live   bar" in told and ">> replay bar" in told


def test_what_is_no_recording_is_named_with_the_way_out(tmp_path):
    """A file that is not there, and one that is no first segment."""
    with pytest.raises(bot.BotError, match=r"no file .*; recordings are in the folder records"):
        tools.replay(tmp_path / "20261120-085011-0000.gz")
    other = tmp_path / "20261120-085011-0001.gz"
    other.write_bytes(gzip.compress(b"T5\n"))
    with pytest.raises(bot.BotError, match="not the first segment"):
        tools.replay(other)


HEADER = {"settings": {"symbols": ["005930"], "limits": dict.fromkeys(
    ("max_order_krw", "max_symbol_krw", "max_total_krw", "max_daily_loss_krw"), 1_000_000)},
    "rows": [], "strategy": "breakout", "environment": "paper"}  # fmt: skip


def somebodys(folder, *lines, header=None):
    """Write a recording of somebody else; return it."""
    path = folder / "20261120-085011-0000.gz"
    start = "S" + json.dumps(HEADER if header is None else header)
    path.write_bytes(gzip.compress("\n".join((start, *lines, "")).encode()))
    return path


@pytest.mark.parametrize(
    "line",
    ["Tx", "T99999999999999999999999", "F1 2", "J1 2 {", "E{", 'E{"type":"Command"}', "E" + "[" * 99_999,
     'E{"type":"Seen","value":5,"asked_at":"x"}'],
)  # fmt: skip
def test_a_damaged_line_is_told_with_its_number(tmp_path, line):
    """Odd times, frames, deep JSON: one sentence, no trace."""
    with pytest.raises(bot.BotError, match="line 3 of the recording cannot be read") as error:
        tools.replay(somebodys(tmp_path, "T1", line))
    assert len(str(error.value)) < 120


@pytest.mark.parametrize("header", [{}, [], {"settings": 5}, {**HEADER, "rows": [["ledger", "{"]]}])
def test_a_damaged_header_is_told_as_line_one(tmp_path, header):
    """Nothing of it runs."""
    with pytest.raises(bot.BotError, match="line 1"):
        tools.replay(somebodys(tmp_path, header=header))


def test_a_recording_that_unpacks_without_end_is_refused(tmp_path):
    """A small file of many zeros: bounded by its own size, in memory as well."""
    path = somebodys(tmp_path, "F" + "0" * 30_000_000)
    with pytest.raises(bot.BotError, match="not one of ours"):
        tools.replay(path)


def test_what_a_replay_finds_is_said_in_the_readers_language(capsys):
    """The first row that differs, what is more or missing: no English for a Korean."""
    one, two = ("bar", "005930", "{}"), ("bar", "000660", "{}")
    for live, again, code, told in (
        ([one], [one], 0, "실제와 같습니다: 1줄"), ([one, two], [one], 0, "마지막 1줄은 녹화되지"),
        ([one], [one, two], 1, "1줄 더 판단"), ([one, two], [one, one], 1, "처음 다른 곳: 시작 뒤 2번째 줄"),
    ):  # fmt: skip
        assert tools.show_difference(live, again, "ko") == code
        out = capsys.readouterr().out
        assert told in out and not re.search("[A-Za-z]{4}", out)


def test_orders_that_differ_stand_side_by_side_and_none_is_no_table(capsys):
    """In the reader's language; equal histories print no empty table."""

    def row(ref: str, side: str, quantity: int) -> tuple[str, str, str]:
        kept = {"at": "2026-11-20T09:35:01+09:00", "symbol": "005930", "side": side, "quantity": quantity,
                "price": 70_000}  # fmt: skip
        return "intent", ref, json.dumps(kept)

    live, again = (
        [row("a", "BUY", 3), row("b", "SELL", 3)],
        [row("a", "BUY", 3), row("b", "SELL", 2)],
    )
    for language, sell in (("ko", "매도"), ("en", "SELL")):
        tools.show_orders(live, again, language)
        [head, line] = capsys.readouterr().out.splitlines()
        assert f"09:35:01 005930 {sell} 3 @ 70000" in line and line.endswith(f"{sell} 2 @ 70000")
        assert ("재생" in head) is (language == "ko")
        tools.show_orders(live, live, language)
        assert capsys.readouterr().out == ""
