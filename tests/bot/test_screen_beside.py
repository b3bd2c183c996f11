"""`--paper` in a terminal: a live screen beside the bot, which it never waits for; the log in its file."""

import fcntl
import logging
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import edge
import pytest
from test_command_line import wait_ready

import kis_realtime_trading as bot

pytestmark = pytest.mark.timeout(180)


class Terminal:
    """A terminal of 80x24 in which a command runs."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            command, stdin=self._theirs, stdout=self._theirs, stderr=self._theirs, cwd=folder,
            env={**edge.environment(folder), "TERM": "xterm-256color"}, start_new_session=True,
        )  # fmt: skip
        self.seen = ""

    def read(self) -> None:
        """Take in what was written."""
        while select.select([self._ours], [], [], 0.05)[0]:
            self.seen += os.read(self._ours, 65_536).decode("utf-8", "replace")

    def wait(self, text: str, patience_s: float = 60.0) -> None:
        """Wait until a text was written after what was waited for before."""
        deadline = time.monotonic() + patience_s
        while not (found := self._after(text)):
            assert time.monotonic() < deadline, f"no {text!r} in {self.plain()[-2000:]}"
            assert self.process.poll() is None or not self.read(), self.plain()[-2000:]
            self.read()
        self.seen = found

    def _after(self, text: str) -> str:
        _, found, rest = self.seen.partition(text)
        return (rest or " ") if found else ""

    def plain(self) -> str:
        """Return what was written without its colours and moves."""
        return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", self.seen)

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._ours, key)

    def end(self) -> int:
        """Return the exit code of the command, and read the last of its words."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read()
        self.read()
        return self.process.wait(1)

    def close(self) -> None:
        """End what still runs."""
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def terminal(tmp_path: Path):
    """Return a bot on paper in a terminal, against a simulator of its own."""
    simulated = subprocess.Popen(
        [sys.executable, "-m", "companions.simulator", "--port", "0", "--start", "10:00",
         "--speed", "20", "--symbols", "005930", "--density", "10", "--write-config", str(tmp_path)],
        stdout=subprocess.PIPE, text=True, cwd=edge.ROOT, env=edge.environment(tmp_path),
    )  # fmt: skip
    terminal = None
    try:
        wait_ready(simulated, tmp_path)
        command = [
            sys.executable,
            str(edge.ROOT / "kis_realtime_trading.py"),
            "--paper",
            "--one-day",
        ]
        terminal = Terminal(command, tmp_path)
        yield terminal
    finally:
        if terminal:
            terminal.close()
        simulated.terminate()
        simulated.communicate(timeout=60)


def living_children(pid: int) -> list[str]:
    """Return the children of a process that still run; one that nobody has asked about is a zombie."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        child
        for child in children
        if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    ]


def test_q_closes_the_screen_and_the_log_goes_on(terminal, tmp_path):
    """Asked first; the bot lives, its words come to the terminal again, and stood in the file always."""
    terminal.wait("삼성전자")
    terminal.press(b"q")
    terminal.wait("화면만 닫기")
    terminal.press(b"q")
    terminal.wait("봇은 계속 실행됩니다")
    log = (tmp_path / "kis_state" / bot.LOG_FILE).read_text("utf-8")
    assert "▶" in log and "+09:00" in log
    assert "▶" not in terminal.plain().partition("봇은 계속")[0]
    while living_children(terminal.process.pid):  # it gives the terminal back when it is gone
        terminal.read()
    terminal.process.send_signal(signal.SIGINT)
    terminal.wait("■")
    assert terminal.end() == 0


def test_s_ends_the_bot_and_the_report_stays(terminal):
    """The screen of the bot's own terminal may end it; the day's report is what is left to read."""
    terminal.wait("삼성전자")
    terminal.press(b"q")
    terminal.wait("화면만 닫기")
    terminal.press(b"s")
    terminal.wait("매매 보고서")
    assert terminal.end() == 0


def test_the_log_file_is_rotated_and_its_owners_only(tmp_path):
    """A full file becomes .1, five old ones are kept, no line is lost between two."""
    log = bot.LogFile(tmp_path / "bot.log")
    log.MOST_BYTES = 100
    for number in range(60):
        log.write(f"line {number:03d} of a log\n")
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == ["bot.log", *(f"bot.log.{n}" for n in range(1, 6))]
    assert {oct(each.stat().st_mode & 0o777) for each in tmp_path.iterdir()} == {"0o600"}
    kept = "".join((tmp_path / name).read_text() for name in [*reversed(names[1:]), "bot.log"])
    numbers = [int(line[5:8]) for line in kept.splitlines()]
    assert numbers == list(range(numbers[0], 60)) and numbers[0] > 0


@pytest.mark.parametrize("gone", ["moved", "deleted", "replaced"])
def test_a_log_that_somebody_took_away_is_begun_anew(tmp_path, gone):
    """logrotate moves it, the owner of a full disk deletes it: the next line stands in a new file."""
    path, aside = tmp_path / "bot.log", tmp_path / "old.log"
    log = bot.LogFile(path)
    log.write("one\n")
    path.unlink() if gone == "deleted" else path.rename(aside)
    if gone == "replaced":
        path.touch()
    log.write("two\n")
    log.write("three\n")
    assert path.read_text() == "two\nthree\n"
    assert gone == "deleted" or aside.read_text() == "one\n"


def test_a_link_is_no_log_file(tmp_path):
    """What another user put there is not written into."""
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "bot.log").symlink_to(tmp_path / "target")
    with pytest.raises(OSError):
        bot.LogFile(tmp_path / "bot.log").write("a line")
    assert (tmp_path / "target").read_text() == "theirs"


def test_a_silent_terminal_gets_its_lines_again(tmp_path, capfd):
    """While a screen has the terminal only the file gets the log."""
    root, silent = logging.getLogger(), [True]
    before, level = root.handlers[:], bot.log.level
    try:
        bot.set_up_logging(lambda text: text, sys.stderr)
        end = bot.log_by_thread(tmp_path / "bot.log", lambda: silent[0])
        bot.log.info("one")
        silent[0] = False
        bot.log.info("two")
        end()
    finally:
        root.handlers[:] = before
        bot.log.setLevel(level)
    told = capfd.readouterr().err
    assert "two" in told and "one" not in told
    assert re.findall("one|two", (tmp_path / "bot.log").read_text()) == ["one", "two"]
