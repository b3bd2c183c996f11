"""`--screen`: every part has its place at 80x24 and at 120x40, and messages always do."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from journals import make_journal
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

import kis_realtime_trading as bot
from companions import picture, reports, screen, status
from companions.control import running_folders
from companions.names import names_of
from companions.options import build_parser

ROOT = Path(bot.__file__).resolve().parent
SIZES = [(80, 24), (120, 40)]
CODES = ("005930", "000660", "373220", "005380", "035420", "035720", "051910", "006400")


def sample(stocks: int = 3, orders: int = 2, **changes: Any) -> dict[str, Any]:
    """Return a status with so many stocks, the last but one held."""
    symbols = [
        {"symbol": CODES[at % 8] if at < 8 else f"{at:06}", "name": "", "price": 71_000 + at,
         "age_s": 0.4 + at, "change_pct": 1.5 - at, "position": 0, "average": 0.0, "stop": 0,
         "target": 0, "gain_krw": 0, "gain_pct": 0.0}
        for at in range(stocks)
    ]  # fmt: skip
    if stocks > 1:
        symbols[-2] |= {"position": 13, "average": 70_500.0, "stop": 69_000, "target": 73_000,
                        "gain_krw": -6_500, "gain_pct": -0.7}  # fmt: skip
    return {
        "version": 1, "at": "2026-11-27T12:15:00+09:00", "mode": "paper (simulated)",
        "account_tail": "**01", "language": "ko", "phase": "trading", "level": "ACTIVE",
        "session": ["2026-11-27T09:00:00+09:00", "2026-11-27T15:30:00+09:00"], "unknown": 0,
        "equity_krw": 10_006_500, "holds": [], "symbols": symbols,
        "orders": [
            {"number": "0000015700", "symbol": "005930", "side": "BUY", "quantity": 13, "filled": 4,
             "price": 70_500, "state": "WORKING", "at": "2026-11-27T10:00:00+09:00"}
        ] * orders,
        "day": {"result_krw": 12_345, "result_pct": 0.12, "realised_krw": 18_845, "open_krw": -6_500},
        "feed": {"connected": True},
        "messages": [f"12:0{at}:00 알림 {at}번" for at in range(9)],
        **changes,
    }  # fmt: skip


def drawn(told: dict[str, Any], width: int, height: int, age_s: float = 0.0) -> list[Text]:
    """Return the lines of a status that was seen for the first time."""
    shown = screen.Screen(names_of(None))
    shown.see(told)
    return shown.draw(told, age_s, width, height)


def plain(lines: list[Text]) -> str:
    """Return what stands on the terminal."""
    return "\n".join(line.plain for line in lines)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("language", ["ko", "en"])
def test_every_part_is_there(width: int, height: int, language: str):
    """Result, equity, level, feed, progress, a stock with its plan, order, messages, the key."""
    text = plain(drawn(sample(language=language), width, height))
    words = {
        "ko": ("당일손익", "10,006,500", "매매 중", "연결됨 0초 전", "장중", "삼성전자", "SK하이닉스",
               "매수 4/13 @ 70,500", "알림 8번", "q 화면 닫기", "모의투자 (시뮬레이터)"),
        "en": ("result", "10,006,500", "ACTIVE", "connected 0s ago", "trading", "삼성전자",
               "buy 4/13 @ 70,500", "알림 8번", "q closes", "paper (simulated)"),
    }[language]  # fmt: skip
    for part in (*words, "50%", "69,000", "73,000", "-6,500", "-0.7%", "13", "▁", "╺╋╸"):
        assert part in text, part
    assert "…" not in text


@pytest.mark.parametrize(("width", "height"), [*SIZES, (60, 16), (40, 10), (20, 5), (200, 60)])
@pytest.mark.parametrize(("stocks", "orders", "holds"), [(0, 0, 0), (3, 2, 1), (41, 30, 9)])
def test_nothing_is_wider_or_higher_than_the_terminal(
    width: int, height: int, stocks: int, orders: int, holds: int
):
    """As many lines as the terminal has, and none wider, whatever there is to show."""
    hold = {"reason": "journal", "scope": "all", "text": "기록을 확인하는 중입니다 " * 20}
    long = ["12:00:00 " + "긴 알림 " * 60]
    told = sample(stocks, orders, holds=[hold] * holds, unknown=2, messages=long * 20)
    lines = drawn(told, width, height, age_s=99.0)
    assert len(lines) <= height
    assert [line.plain for line in lines if cell_len(line.plain) > width] == []


@pytest.mark.parametrize(("width", "height", "least"), [(80, 24, 4), (120, 40, 9)])
def test_messages_are_visible_however_much_else_there_is(width: int, height: int, least: int):
    """At 80x24 four lines are theirs with 41 stocks, 30 orders and nine holds; what is cut is said."""
    hold = {"reason": "journal", "scope": "005930", "text": "확인 중"}
    told = sample(41, 30, holds=[hold] * 9, unknown=1)
    lines = plain(drawn(told, width, height, age_s=60.0)).splitlines()
    said = [line for line in lines if "알림" in line]
    assert len(said) >= 4 and "8번" in said[-1]
    quiet = plain(drawn(sample(), width, height))
    assert quiet.count("알림") >= least
    assert sum("… 외" in line for line in lines) == 3  # holds, stocks, orders
    assert "69,000" in "\n".join(lines)  # what is held comes before what is not


def test_a_long_message_is_whole_and_steers_no_terminal():
    """It is folded, the newest shows its beginning, and an escape sequence has no effect."""
    told = sample(messages=["old", "12:00:00 \x1b[2J\n" + "뷁" * 100, f"{'x' * 72} +101,350"])
    text = plain(drawn(told, 80, 24))
    assert text.count("뷁") == 100 and "12:00:00 [2J" in text and "\x1b" not in text
    assert "\n+101,350" in text  # a figure is not cut in two


def test_up_is_red_and_down_is_blue():
    """The result, the change and the gain have the colours of this market."""
    for result, colour in ((12_345, "red"), (-12_345, "blue")):
        lines = drawn(sample(day={"result_krw": result, "result_pct": 0.1}), 80, 24)
        assert any(f"bold {colour}" in str(span.style) for span in lines[1].spans)
    table = [line for line in drawn(sample(), 80, 24) if "SK하이닉스" in line.plain]
    assert {str(span.style) for span in table[0].spans} >= {"red", "blue"}  # +0.5%, -6,500


def test_the_sparkline_grows_with_the_prices_seen():
    """The last price of each minute of the day; no more cells than there are, the highest is full."""
    shown, told = screen.Screen({}), sample(1, 0)
    for minute, price in enumerate((100, 150, 200, 0, 100)):  # 0: no price
        for each in (price and 180, price):  # what came before in the same minute is not kept
            told["symbols"][0]["price"] = each
            shown.see({**told, "at": f"2026-11-27T10:{minute:02d}:{each % 60:02d}+09:00"})
    assert "▁▄█▁" in plain(shown.draw(told, 0.0, 80, 24))
    assert screen.sparkline([], 5) == screen.sparkline([1], 0) == ""
    assert len(screen.sparkline(range(1, 1_000), 7)) == 7


@pytest.mark.parametrize(
    ("at", "expected"), [("08:00", 0.0), ("09:00", 0.0), ("12:15", 0.5), ("16:00", 1.0)]
)
def test_the_progress_of_the_day(at: str, expected: float):
    """From the open to the close; none on a day without a session."""
    assert screen.progress(sample(at=f"2026-11-27T{at}:00+09:00")) == expected
    assert screen.progress(sample(session=None)) is None


def test_an_old_status_and_a_dead_feed_are_said():
    """A bot that hangs and a line that is down stand out."""
    told = sample(feed={"connected": False}, unknown=1)
    text = plain(drawn(told, 80, 24, age_s=42.0))
    assert "42초 전의 상태" in text and "끊김" in text and "결과 불명 주문: 1" in text


def test_a_bot_runs_while_its_lock_is_held(tmp_path: Path):
    """A hanging bot is not taken for one that ended, nor one that ended for one that runs."""
    lock = bot.AccountLock(bot.Secret("12345678" + "01" + str(tmp_path)), tmp_path)
    try:
        assert screen.is_running(tmp_path, sample(), 600.0)
    finally:
        lock.release()
    assert not screen.is_running(tmp_path, sample(), 600.0)
    assert not screen.is_running(tmp_path, sample(phase="stopping"), 0.1)
    assert screen.is_running(tmp_path, sample(), 0.1)


def test_without_a_terminal_it_says_what_to_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A pipe gets a sentence, not escape sequences."""
    (tmp_path / "status.json").write_text(json.dumps(sample()))
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        options = build_parser().parse_args(["--screen", "--state", str(tmp_path)])
        with pytest.raises(bot.BotError, match="--status"):
            screen.run_screen(options)


def in_a_terminal(folder: Path, key: bytes, until: str) -> tuple[int, str, bool]:
    """Run `--screen` in an 80x24 terminal, press a key when a text stands there.

    Return its exit code, what it wrote, and whether the terminal has its echo again.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "kis_realtime_trading.py"), "--screen", "--state", str(folder)],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm-256color"},
        start_new_session=True,
    )  # fmt: skip
    written, pressed, deadline = b"", False, time.monotonic() + 90
    try:
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                written += os.read(ours, 65_536)
            if not pressed and until in written.decode("utf-8", "replace"):
                pressed = True
                os.write(ours, key)
        while select.select([ours], [], [], 0)[0]:
            written += os.read(ours, 65_536)
        echo = bool(termios.tcgetattr(theirs)[3] & termios.ECHO)
        return process.wait(1), written.decode("utf-8", "replace"), echo
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("key", [b"q", "ㅂ".encode()])
def test_q_ends_the_screen_and_nothing_else(tmp_path: Path, key: bytes):
    """The lock of the bot stays held, its folder as it was, the terminal as before."""
    lock = bot.AccountLock(bot.Secret("12345678" + "01" + str(tmp_path)), tmp_path)
    try:
        (tmp_path / "status.json").write_text(json.dumps(sample()))
        before = sorted(tmp_path.iterdir())
        code, written, echo = in_a_terminal(tmp_path, key, "알림 8번")
        assert (code, echo) == (0, True)
        for sequence in ("\x1b[?1049l", "\x1b[?25h"):  # the usual screen and the cursor are back
            assert sequence in written[-20:]
        assert sorted(tmp_path.iterdir()) == before
        assert running_folders().count(tmp_path) == 1
    finally:
        lock.release()


def test_it_ends_by_itself_with_the_report_when_the_bot_has_ended(tmp_path: Path):
    """No lock and an old status: the day's report comes, here of a day without a trade."""
    file = tmp_path / "status.json"
    file.write_text(json.dumps(sample()))
    os.utime(file, (1_000_000_000, 1_000_000_000))
    bot.Journal(tmp_path / "journal-paper-1.sqlite3").close()
    code, written, _ = in_a_terminal(tmp_path, b"", "never")
    assert code == 0
    assert "거래한 날이 없습니다" in re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", written)


def test_names_stand_where_the_journal_and_the_status_know_none(tmp_path: Path):
    """--status, the report and the picture say 삼성전자 for 005930; the user's own name goes first."""
    (tmp_path / "stock-names.csv").write_text("000660,하닉\n", "utf-8")
    told = sample(2, 1)
    status.name_stocks(told, tmp_path)
    assert [each["name"] for each in told["symbols"]] == ["삼성전자", "하닉"]
    assert told["orders"][0]["name"] == "삼성전자"
    told["symbols"][0]["name"] = "그대로"
    status.name_stocks(told, tmp_path)
    assert told["symbols"][0]["name"] == told["orders"][0]["name"] == "그대로"
    path = tmp_path / "journal-paper-1.sqlite3"
    bot.Journal(path).close()
    [report] = reports.read_folder(tmp_path)
    assert reports.named(report, tmp_path).names["000660"] == "하닉"
    assert picture.read_drawn(path).names["005930"] == "삼성전자"


def test_status_shows_names(tmp_path: Path):
    """The table and the orders of --status carry names."""
    (tmp_path / "status.json").write_text(json.dumps(sample()))
    options = build_parser().parse_args(["--status", "--state", str(tmp_path)])
    with open(os.devnull, "w") as nothing:
        console = Console(width=80, record=True, file=nothing)
        status.show_status(options, console)
    text = console.export_text()
    assert text.count("삼성전자") == 3 and "005930" not in text


REPORT = (
    "15:31:35 📋 2026-11-27 손익 +38,247원 (+0.19%)\n매도차익 64,035 − 수수료 3,940 − 세금 21,848\n"
    "• 005930 +50,172원 (1번)\n내지 않은 주문 1건:\n• SESSION 주문 시간 아님 1건"
)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_evening_of_a_paper_day_as_it_stands_on_the_terminal(width: int, height: int):
    """After the close: no age of the last trade, no hold that the phase says, the report in one piece."""
    hold = {"reason": "stopping", "scope": "all", "text": "매매 종료"}
    told = sample(phase="after", holds=[hold], messages=[REPORT], orders=0)
    for each in told["symbols"]:
        each["age_s"] = 8_079.0
    lines = [line.plain.rstrip() for line in drawn(told, width, height)]
    text = "\n".join(lines)
    assert "장 마감" in lines[0] and "매매 종료" not in text and "8,079" not in text
    assert "시세 연결됨" in text and "다음 장 대기" in text
    said = " ".join(
        line for line in lines[lines.index(next(x for x in lines if "손익 +38" in x)) :]
    )
    for part in ("(+0.19%) · 매도차익", "세금 21,848 · 삼성전자 +50,172원", "1건: SESSION"):
        assert part.replace(" ", "") in said.replace(" ", ""), part
    assert "•" not in said
    assert max(cell_len(line) for line in lines) <= width and len(lines) <= height


def test_an_old_trade_in_a_session_is_told_in_minutes():
    """Seconds at first, then minutes: nobody divides by sixty in his head."""
    told = sample()
    for seconds, words in ((41.0, "41초 전"), (2_899.0, "48분 전")):
        for each in told["symbols"]:
            each["age_s"] = seconds
        assert words in plain(drawn(told, 80, 24))


def test_a_bot_that_ends_on_a_sunday_shows_its_last_session(tmp_path: Path):
    """The report at the end is that of the session of the status, whatever day it is."""
    make_journal(tmp_path / "journal-paper-000000000000.sqlite3", 1, 20)
    day = reports.read_folder(tmp_path)[0].days[-1].day.isoformat()
    told = sample(at="2026-12-06T10:00:00+09:00", session=[f"{day}T09:00:00+09:00", ""], symbols=[])
    with open(os.devnull, "w") as nothing:
        console = Console(width=80, record=True, file=nothing)
        chosen = build_parser().parse_args(["--screen", "--state", str(tmp_path)])
        screen.end_report(chosen, tmp_path, told, console)
    assert day in console.export_text()


def test_a_bot_that_ended_before_its_screen_came_is_not_waited_for(tmp_path: Path):
    """Stopped in its first second, a bot waits for its screen; the screen must not wait for the bot."""
    path = tmp_path / status.STATUS_NAME
    path.write_text(json.dumps({"version": 1, "phase": "stopping"}), "utf-8")
    os.utime(path, (1.0, 1.0))
    assert screen.first_status(path, os.getppid())["phase"] == "stopping"
