"""Record the live screen of a paper day against the simulator, as text, frame by frame.

    python tests/support/record_screen.py [--size 80x24] [--speed 200] [--every 30] [--start 08:50]
        [--kill-at 10:30] [--language en] [--out FILE]

A real bot runs `--paper --one-day` in a terminal of that size; what the terminal shows is kept each
`--every` minutes of the market, and what is left on it when the bot has ended, or was killed.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len

ROOT = Path(__file__).resolve().parents[2]
_PIECE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b.|(.)", re.S)
_CLOCK = re.compile(r"^\d{4}-\d\d-\d\d (\d\d):(\d\d)")


class Grid:
    """What a terminal shows: letters in cells, a second page for programs that ask for one.

    >>> grid = Grid(6, 2)
    >>> grid.write("삼성\\x1b[31mab\\r\\nx\\x1b[1;3H성")
    >>> grid.lines()
    ['삼성ab', 'x']
    """

    def __init__(self, wide: int, high: int) -> None:
        self.wide, self.high, self._rest = wide, high, ""
        self._pages = [self._empty(), self._empty()]
        self._on, self._row, self._column = 0, 0, 0
        self._kept = (0, 0)  # where the first page goes on
        self.scrolled: list[str] = []  # lines that left the first page at its top

    def _empty(self) -> list[list[str]]:
        return [[" "] * self.wide for _ in range(self.high)]

    def lines(self) -> list[str]:
        """Return the lines of the page in use, blanks at the ends cut off."""
        found = ["".join(row).rstrip() for row in self._pages[self._on]]
        while found and not found[-1]:
            found.pop()
        return found

    def write(self, text: str) -> None:
        """Take in what a program writes; a sequence that is cut off waits for its rest."""
        text = self._rest + text
        cut = re.search(r"\x1b(\[[?\d;]*)?$", text)
        self._rest, text = (cut[0], text[: cut.start()]) if cut else ("", text)
        for found in _PIECE.finditer(text):
            if found[2]:
                self._move(found[1], found[2])
            elif found[3]:
                self._put(found[3])

    def _move(self, numbers: str, letter: str) -> None:
        given = [int(each or 1) for each in numbers.lstrip("?").split(";")] if numbers else [1]
        page = self._pages[self._on]
        if letter == "H":
            self._row = min(self.high, given[0]) - 1
            self._column = min(self.wide, given[1] if len(given) > 1 else 1) - 1
        elif letter == "J":
            page[:] = self._empty()
        elif letter == "K":
            page[self._row][self._column :] = [" "] * (self.wide - self._column)
        elif letter == "A":
            self._row = max(0, self._row - given[0])
        elif letter in "hl" and numbers == "?1049":
            self._on = int(letter == "h")
            if self._on:
                self._kept, self._pages[1] = (self._row, self._column), self._empty()
            else:
                self._row, self._column = self._kept

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self._column = 0
        elif letter == "\n":
            self._line_down()
        elif letter >= " ":
            cells = cell_len(letter)
            if self._column + cells > self.wide:
                self._column = 0
                self._line_down()
            row = self._pages[self._on][self._row]
            if cells:
                row[self._column : self._column + cells] = [letter, *[""] * (cells - 1)]
            self._column += cells

    def _line_down(self) -> None:
        if self._row + 1 < self.high:
            self._row += 1
            return
        gone = self._pages[self._on].pop(0)
        self._pages[self._on].append([" "] * self.wide)
        if not self._on:
            self.scrolled.append("".join(gone).rstrip())


class Seen:
    """A command in a terminal, and what stands there."""

    def __init__(self, command: list[str], folder: Path, wide: int, high: int) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", high, wide, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "HOME": str(folder)}
        for name in ("COLUMNS", "LINES"):  # they would count more than the size of the terminal
            environment.pop(name, None)
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.grid, self._bytes = Grid(wide, high), b""

    def read(self) -> bool:
        """Take in what was written within a moment; False when nobody holds the terminal any more."""
        while select.select([self._ours], [], [], 0.05)[0]:
            try:
                self._bytes += os.read(self._ours, 65_536)
            except OSError:  # the last one has gone
                return False
            text = self._bytes.decode("utf-8", "ignore")
            self._bytes = self._bytes[len(text.encode()) :]
            self.grid.write(text)
        return True

    def close(self) -> None:
        """End what still runs."""
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@dataclass(frozen=True, slots=True)
class Recording:
    """What was seen: (HH:MM, lines) of the screen, and all that was left on the terminal."""

    frames: list[tuple[str, list[str]]]
    left: list[str]

    def text(self) -> str:
        """Return it for a person, frames between rules."""
        parts = [f"=== {at} ===\n" + "\n".join(lines) for at, lines in self.frames]
        return "\n\n".join([*parts, "=== left on the terminal ===\n" + "\n".join(self.left)])


def wait_for_line(process: subprocess.Popen[str]) -> None:
    """Wait until the simulator says that it listens."""
    line = process.stdout.readline() if process.stdout else ""
    if not line.startswith("READY "):
        raise RuntimeError(f"the simulator did not start: {line!r}")


def record(
    options: argparse.Namespace, folder: Path,
    watch: Callable[[str, list[str]], int] = lambda at, lines: 0,
) -> Recording:  # fmt: skip
    """Run simulator and bot until the bot has ended; `watch` may name a signal to send to it, once."""
    wide, high = map(int, options.size.split("x"))
    simulated = subprocess.Popen(
        [sys.executable, "-m", "companions.simulator", "--port", "0", "--start", options.start,
         "--speed", str(options.speed), "--hold", str(options.hold), "--write-config", str(folder), "--until-eof"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
    )  # fmt: skip
    command = [
        sys.executable, str(ROOT / "kis_realtime_trading.py"), "--paper", "--one-day",
        "--language", options.language,
    ]  # fmt: skip
    seen, frames, last, ended = None, list[tuple[str, list[str]]](), -1, False
    try:
        wait_for_line(simulated)
        seen = Seen(command, folder, wide, high)
        deadline = time.monotonic() + options.patience
        while seen.read() and time.monotonic() < deadline:
            lines = seen.grid.lines()
            clock = _CLOCK.match(lines[0]) if lines else None
            if clock is None or len(lines) < high:  # between two drawings
                continue
            minute = int(clock[1]) * 60 + int(clock[2])
            if last < 0 or minute // options.every != last // options.every:
                frames.append((f"{clock[1]}:{clock[2]}", lines))
                last = minute
            if sent := 0 if ended else watch(f"{clock[1]}:{clock[2]}", lines):
                seen.process.send_signal(sent)
                ended = True
        recorded = Recording(frames, seen.grid.scrolled + seen.grid.lines())
        try:
            seen.process.wait(30)
        except subprocess.TimeoutExpired:
            log = folder / "kis_state" / "bot.log"
            told = log.read_text("utf-8")[-2_000:] if log.exists() else "no log"
            word = "told to end" if ended else f"not told to end in {options.patience:.0f} s"
            raise RuntimeError(
                f"the bot runs on, {word}:\n{recorded.text()[-4_000:]}\n{told}"
            ) from None
        return recorded
    finally:
        if seen:
            seen.close()
        simulated.kill()
        simulated.communicate()


def parser() -> argparse.ArgumentParser:
    """Return the options of a recording."""
    found = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    found.add_argument("--size", default="80x24")
    found.add_argument("--speed", type=float, default=200.0)
    found.add_argument("--every", type=int, default=30, help="minutes of the market")
    found.add_argument("--start", default="08:50")
    found.add_argument(
        "--hold", type=float, default=0.0, help="seconds in which the clock stands still"
    )
    found.add_argument("--kill-at", default="", help="HH:MM: end the bot as `kill -9` does")
    found.add_argument("--language", choices=("ko", "en"), default="ko")
    found.add_argument("--patience", type=float, default=600.0, help="seconds")
    found.add_argument("--out", type=Path)
    return found


def main() -> int:
    """Record one day; print it or write it."""
    options = parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        due = options.kill_at
        kill = lambda at, _: signal.SIGKILL if due and at >= due else 0  # noqa: E731
        found = record(options, Path(folder), kill).text()
    if options.out:
        options.out.write_text(found + "\n", "utf-8")
    else:
        print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
