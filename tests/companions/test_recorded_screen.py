"""The screen of a paper day as a person sees it, and what it says when the bot is killed."""

from __future__ import annotations

import doctest
import signal
from pathlib import Path

import pytest
import record_screen

pytestmark = pytest.mark.timeout(180)


def options(size: str, *words: str) -> record_screen.argparse.Namespace:
    """Return the options of a short recording."""
    return record_screen.parser().parse_args(
        ["--size", size, "--every", "1", "--patience", "100", *words]
    )


def test_a_terminal_of_text_shows_what_a_terminal_shows():
    """Wide letters take two cells, moves move, colours leave no trace."""
    assert doctest.testmod(record_screen).failed == 0
    grid = record_screen.Grid(10, 2)
    for text in ("one\r\ntwo\r\nthree", "\x1b[?1049h\x1b[Hpage\x1b[", "2;2Hx"):
        grid.write(text)
    assert grid.lines() == ["page", " x"]
    grid.write("\x1b[?1049l")
    assert (grid.scrolled, grid.lines()) == (["one"], ["two", "three"])


@pytest.mark.parametrize(("size", "least"), [("80x24", 4), ("120x40", 12)])
def test_a_paper_day_on_the_screen(tmp_path: Path, size: str, least: int):
    """Result, equity, feed, every stock with its price and messages in each frame; the report stays."""
    minutes: set[str] = set()

    def enough(at: str, lines: list[str]) -> int:
        if "장중" in lines[0] and "삼성전자            0" not in "\n".join(lines):
            minutes.add(at)
        return signal.SIGTERM if len(minutes) > 2 else 0

    found = record_screen.record(
        options(size, "--start", "10:00", "--speed", "40"), tmp_path, enough
    )
    wide, high = map(int, size.split("x"))
    trading = [lines for _, lines in found.frames if "장중" in lines[0]]
    assert trading, found.text()
    for lines in trading:
        text = "\n".join(lines)
        assert len(lines) == high and max(map(record_screen.cell_len, lines)) <= wide
        for part in ("모의투자 (시뮬레이터)", "당일손익", "평가금액", "실현", "시세", "종목", "현재가",
                     "── 메시지", "Ctrl-C 봇 종료", "삼성전자", "KODEX 200"):  # fmt: skip
            assert part in text, found.text()
        said = lines[next(at for at, line in enumerate(lines) if "── 메시지" in line) + 1 : -1]
        assert len(said) >= least
    left = "\n".join(found.left)
    assert left.lstrip().startswith("╭") and "매매 보고서" in left, found.text()
    assert "예고 없이" not in left and "Traceback" not in found.text()


def test_a_day_that_ends_by_itself_ends_the_screen_with_the_report(tmp_path: Path):
    """`--one-day` after the close: the bot has not died, it is done."""
    chosen = options("80x24", "--start", "15:23", "--speed", "60", "--hold", "12")
    found = record_screen.record(chosen, tmp_path)
    left = "\n".join(found.left)
    assert "매매 보고서" in left and "예고 없이" not in left, found.text()


def test_a_bot_that_is_killed_is_said_to_be_dead(tmp_path: Path):
    """`kill -9`: the screen ends by itself, says so, what to do and where the log is, and the report."""
    chosen = options("80x24", "--start", "10:00", "--speed", "20")
    found = record_screen.record(chosen, tmp_path, lambda at, _: signal.SIGKILL)
    left = " ".join(found.left)
    assert "봇이 예고 없이 끝났습니다. 같은 명령으로 다시 시작하면" in left, found.text()
    assert "bot.log" in left and "Traceback" not in left
