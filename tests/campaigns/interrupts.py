"""Interrupt the demo at moments of its whole life, and look what is left.

Real processes in a folder of their own, as a newcomer starts them: in a terminal with the live
screen, or with `--plain` into a file. A first run without an interruption measures the day. Then
for each moment, from the start of the interpreter to the drawing of the picture: Ctrl-C as a terminal
sends it (to the whole group), SIGTERM to the demo alone, or a second Ctrl-C 0.3 s after the first.
Each time everything must be gone within 3 s, the simulator as well, with a sensible exit code and
without a trace; the journal verifies, the picture is whole or absent, the terminal shows its cursor.

    python tests/campaigns/interrupts.py                          60 moments, dense at both ends of the day
    python tests/campaigns/interrupts.py --moments 20 --seed 3    20 others
    python tests/campaigns/interrupts.py --early --moments 6      the first seconds only; no day is measured
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import io
import os
import pty
import random
import re
import shutil
import signal
import struct
import sys
import tempfile
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parent.parent)]

import edge  # noqa: E402  the path is set above

import kis_realtime_trading as bot  # noqa: E402
from companions.command_line import run_command  # noqa: E402
from companions.options import build_parser  # noqa: E402

PROGRAM = edge.ROOT / "kis_realtime_trading.py"
KEEP = os.environ.get("INTERRUPTS_KEEP", "")  # folder for what failed runs left
ENDS_WITHIN_S = 3.0
SECOND_AFTER_S = 0.3
HANGS_S = 15.0  # after the interruption
# Where the moments are dense: the imports; the simulator's start, token, warm-up; the last seconds.
IMPORTS_S, WARM_UP_S, LATE_S = 2.5, 3.5, 5.0
SHARES = (0.2, 0.25, 0.3)  # of the moments; the others lie between
KINDS = ("Ctrl-C", "SIGTERM", "Ctrl-C", "Ctrl-C twice")
CODES = {
    "": {0},
    "Ctrl-C": {0, 130, -signal.SIGINT},  # which a shell calls 130
    "Ctrl-C twice": {0, 130, -signal.SIGINT},
    "SIGTERM": {0, 130, -signal.SIGTERM},
}
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"  # the cursor
PNG_HEAD, PNG_TAIL = b"\x89PNG", b"IEND\xaeB`\x82"
FRAME = re.compile(r'File "[^"]*/(kis_\w+\.py)", line (\d+)')


@dataclass(frozen=True)
class Moment:
    """When and how a demo is interrupted; without a kind it is not."""

    kind: str = ""
    screen: bool = False  # in a terminal with the live screen
    # or "simulator": its process is seen; or "trading": the bot wrote; or "over": the market closed
    after: str = "start"
    seconds: float = 0.0

    def __str__(self) -> str:
        where = "screen" if self.screen else "plain"
        return f"{self.kind or 'none'} {self.seconds:+.2f} s from {self.after} ({where})"


@dataclass
class Outcome:
    """How a demo ended."""

    moment: Moment
    code: int = 0
    faults: list[str] = field(default_factory=list)
    out: str = ""
    missed: bool = False  # it had ended before the moment
    unreported: bool = False  # stopped in order, but too slow to report the day
    too_early: bool = False  # before the first line of the program: the interpreter's own trace
    ended_s: float = 0.0  # from the interruption, or from the start when there was none
    over_s: float = 0.0  # from the start to the end of the market


class Demo:
    """One demo in a folder of its own: its process, and what it shows."""

    def __init__(self, home: Path, moment: Moment, speed: float) -> None:
        self.home, self.moment = home, moment
        self._arguments = [
            "--demo",
            "--speed",
            f"{speed:g}",
            "--language",
            "en",
            *([] if moment.screen else ["--plain"]),
        ]
        self._simulated: float | None = None  # when the simulator was first seen
        self._shown = bytearray()
        self._file = home / "shown"

    async def start(self) -> None:
        """Start it in a session of its own, as the foreground of a terminal or writing to a file."""
        command = [sys.executable, str(PROGRAM), *self._arguments]
        environ = edge.environment(self.home, TERM="xterm-256color")
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
        self.started = time.time()
        if not self.moment.screen:
            with self._file.open("wb") as target:
                self.process = await asyncio.create_subprocess_exec(
                    *command, cwd=self.home, env=environ, start_new_session=True,
                    stdin=asyncio.subprocess.DEVNULL, stdout=target, stderr=target,
                )  # fmt: skip
            return
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._mode = termios.tcgetattr(self._slave)
        copy = os.dup(self._slave)
        self.process = await asyncio.create_subprocess_exec(
            *command, cwd=self.home, env=environ, preexec_fn=lambda: os.login_tty(copy)
        )
        os.close(copy)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            while block := os.read(self._master, 1 << 16):
                self._shown += block

    def send(self, kind: str) -> None:
        """Interrupt it: a terminal's Ctrl-C goes to the whole group, SIGTERM to one process."""
        if kind == "SIGTERM":
            self.process.terminate()
        elif self.moment.screen:
            os.write(self._master, b"\x03")
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGINT)

    def living(self) -> dict[int, str]:
        """Return the processes of this demo by number: all that have its folder as home."""
        wanted, found = f"HOME={self.home}\0".encode(), {}
        for each in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended, or is not ours
                if wanted in (each / "environ").read_bytes():
                    command = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(each.name)] = command
        return found

    def over_at(self) -> float | None:
        """Return the time at which the bot sees the day as over; None before that is known."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            [path] = self.home.glob("kis_state/demo-*/kis_devlp.yaml")
            data, _ = bot.parse_yaml(path.read_text())
            clock = data["bot"]["market_clock"]
            begin = datetime.fromisoformat(clock["market"])
            session = bot.session_of(begin.date())
            assert session is not None
            left = session.close + timedelta(seconds=90) - begin
            return float(clock["unix"] + left.total_seconds() / clock["speed"])
        return None

    def due(self) -> bool:
        """Return whether the moment has come."""
        now, after = time.time(), self.moment.after
        if after == "simulator":
            if not self._simulated and "companions.simulator" in " ".join(self.living().values()):
                self._simulated = now
            since = self._simulated
        elif after == "trading":
            since = now if any(self.home.glob("kis_state/demo-*/journal-*.tip")) else None
        else:
            since = self.started if after == "start" else self.over_at()
        return since is not None and now >= since + self.moment.seconds

    def close(self) -> tuple[str, list[str]]:
        """End what is left; return what was shown, and what is wrong with the terminal."""
        for pid in self.living():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not self.moment.screen:
            return self._file.read_text(errors="replace"), []
        self._read()
        asyncio.get_running_loop().remove_reader(self._master)
        faults = []
        if self._shown.rfind(HIDE) > self._shown.rfind(SHOW):
            faults.append("the cursor stays hidden")
        if termios.tcgetattr(self._slave) != self._mode:
            faults.append("the terminal has another mode")
        os.close(self._master)
        os.close(self._slave)
        return self._shown.decode(errors="replace"), faults


async def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until a condition holds; False when it did not within real seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


async def trial(moment: Moment, speed: float) -> Outcome:
    """Run a demo, interrupt it at a moment, and judge what is left."""
    longest = 60 + 3 * 25_200 / speed
    with tempfile.TemporaryDirectory(prefix="kisbot-interrupt-") as name:
        home = Path(name)
        demo, outcome = Demo(home, moment, speed), Outcome(moment)
        await demo.start()
        over = asyncio.create_task(demo.process.wait())
        if not moment.kind:
            await wait_for(over.done, longest)
            outcome.ended_s = time.time() - demo.started
            outcome.over_s = (demo.over_at() or demo.started) - demo.started
        elif await wait_for(lambda: over.done() or demo.due(), longest) and not over.done():
            outcome.ended_s = await interrupted(demo)
        else:
            outcome.missed = True
        left = demo.living()
        outcome.out, faults = demo.close()
        outcome.code = await over
        outcome.faults += faults + judge(outcome, home, left)
        if outcome.faults and KEEP:
            kept = Path(KEEP) / re.sub(r"\W+", "-", str(moment))
            shutil.copytree(home, kept, dirs_exist_ok=True)
            (kept / "shown").write_text(outcome.out)
    return outcome


async def interrupted(demo: Demo) -> float:
    """Interrupt a demo; return the seconds until none of its processes lives."""
    began = time.monotonic()
    demo.send(demo.moment.kind)
    if demo.moment.kind == "Ctrl-C twice":
        await wait_for(lambda: time.monotonic() >= began + SECOND_AFTER_S, HANGS_S)
        if demo.process.returncode is None:
            demo.send(demo.moment.kind)
    await wait_for(lambda: not demo.living(), HANGS_S)
    return time.monotonic() - began


# --- judging --------------------------------------------------------------------------------


def judge(outcome: Outcome, home: Path, left: dict[int, str]) -> list[str]:
    """Return what is wrong after the end of a demo."""
    faults = [f"still alive: {command}" for command in left.values()]
    if outcome.moment.kind and outcome.ended_s > ENDS_WITHIN_S:
        faults.append(f"took {outcome.ended_s:.1f} s")
    outcome.too_early = before_first_line(outcome.out)
    codes = CODES["" if outcome.missed else outcome.moment.kind]
    # at a high speed the books of a whole day may differ; that is not judged here
    differ = "THE BOOKS DIFFER" in outcome.out and outcome.moment.after == "over"
    if outcome.code not in codes and not outcome.too_early and not differ:
        faults.append(f"exit code {outcome.code}")
    logs = [*home.glob("kis_state/demo-*/*.log")]
    for name, text in [("it", outcome.out), *((each.name, each.read_text()) for each in logs)]:
        if "Traceback" in text and not outcome.too_early:
            faults.append(f"{name} shows a trace: {text[text.index('Traceback') :][-400:]!r}")
        outcome.unreported |= "stopped before everything" in text
    for folder in home.glob("kis_state/demo-*"):
        faults += unreadable(folder)
    return faults


def before_first_line(text: str) -> bool:
    """Return whether Python itself was interrupted, before the program could ask for silence."""
    source = PROGRAM.read_text(encoding="utf-8")
    first = source[: max(0, source.find("signal.signal(signal.SIGINT"))].count("\n") + 1
    frames = FRAME.findall(text)
    early = all(file == PROGRAM.name and int(line) <= first for file, line in frames)
    return "KeyboardInterrupt" in text and "demo:" not in text and early


def unreadable(folder: Path) -> list[str]:
    """Return what a reader of a state folder would stumble over."""
    faults = [f"left behind: {each.name}" for each in folder.iterdir() if each.name[0] == "."]
    if any(folder.glob("journal-*.sqlite3")):
        shown, wanted = io.StringIO(), ["--journal", "--state", str(folder)]
        try:
            with contextlib.redirect_stdout(shown):
                run_command(build_parser().parse_args(wanted))
        except bot.BotError as error:
            faults.append(f"--journal: {error}")
        else:
            if "온전합니다" not in shown.getvalue():
                faults.append("--journal does not verify")
    picture = folder / "day.png"
    if picture.exists():
        data = picture.read_bytes()
        if not data.startswith(PNG_HEAD) or not data.endswith(PNG_TAIL):
            faults.append(f"half a picture: {len(data)} bytes")
    return faults


# --- the sweep ------------------------------------------------------------------------------


def spread(count: int, low: float, high: float, dice: random.Random) -> Iterator[float]:
    """Yield moments spread evenly over a span, each somewhere in its part of it."""
    for n in range(count):
        yield low + (high - low) * (n + dice.random()) / count


def plan(count: int, dice: random.Random, base: Outcome | None) -> list[Moment]:
    """Return the moments: early, between, late; early ones only when no day was measured."""
    first, second, late = (round(count * share) for share in SHARES)
    if base is None:
        first, second = count // 2, count - count // 2
    places = [("start", each) for each in spread(first, 0.0, IMPORTS_S, dice)]
    places += [("simulator", each) for each in spread(second, 0.0, WARM_UP_S, dice)]
    if base is not None:
        tail = base.ended_s - base.over_s  # the report, the picture and the comparison
        middle = (WARM_UP_S, max(WARM_UP_S, base.ended_s - LATE_S - IMPORTS_S))
        places += [
            ("simulator", each) for each in spread(count - first - second - late, *middle, dice)
        ]
        places += [("over", each) for each in spread(late, tail - LATE_S, tail, dice)]
    ways = [(kind, screen) for kind in KINDS for screen in (False, True)]
    moments = []
    for n, (after, seconds) in enumerate(places):
        if n % len(ways) == 0:
            dice.shuffle(ways)
        kind, screen = ways[n % len(ways)]
        moments.append(Moment(kind, screen, after, seconds))
    return moments


async def sweep(options: argparse.Namespace) -> int:
    """Run the sweep; print figures; return the number of failed runs."""
    dice, base = random.Random(options.seed), None
    if not options.early:
        base = await trial(Moment(), options.speed)
        print(f"no interruption: {base.ended_s:.1f} s, the market closed at {base.over_s:.1f} s; "
              f"faults {base.faults}", flush=True)  # fmt: skip
    moments = plan(options.moments, dice, base)
    began, failed, slowest = time.monotonic(), len(base.faults) if base else 0, Outcome(Moment())
    counts: Counter[str] = Counter()
    gate = asyncio.Semaphore(options.at_once)

    async def one(moment: Moment) -> None:
        nonlocal failed, slowest
        async with gate:
            outcome = await trial(moment, options.speed)
        counts.update(tried=1, missed=outcome.missed, early=outcome.too_early)
        counts.update(screen=moment.screen, unreported=outcome.unreported)
        counts[moment.kind] += 1
        slowest = max(slowest, outcome, key=lambda each: each.ended_s)
        if outcome.faults:
            failed += 1
            print(f"{moment}: {outcome.faults}", flush=True)
        if options.verbose or counts["tried"] % 10 == 0:
            print(f"{counts['tried']} of {len(moments)} moments, {time.monotonic() - began:.0f} s, "
                  f"{failed} failed; {moment}: code {outcome.code}, "
                  f"{outcome.ended_s:.2f} s", file=sys.stderr)  # fmt: skip

    await asyncio.gather(*(one(moment) for moment in moments))
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in dict.fromkeys(KINDS))
    print(
        f"{counts['tried']} moments ({kinds}; {counts['screen']} on a screen) in "
        f"{time.monotonic() - began:.0f} s: {failed} failed; slowest end {slowest.ended_s:.1f} s "
        f"({slowest.moment}); {counts['unreported']} without the report of the day, {counts['early']} before the program's first line, "
        f"{counts['missed']} after its end"
    )
    return failed


def main() -> int:
    """Run the sweep from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--moments", type=int, default=60, help="how many (default 60)")
    parser.add_argument("--seed", type=int, default=11, help="other moments (default 11)")
    parser.add_argument("--speed", type=float, default=900.0, help="of the demo (default 900)")
    parser.add_argument("--early", action="store_true", help="the first seconds only")
    parser.add_argument("--at-once", type=int, default=2, help="demos (default 2)")
    parser.add_argument("--verbose", action="store_true", help="a line for each moment")
    return 1 if asyncio.run(sweep(parser.parse_args())) else 0


if __name__ == "__main__":
    sys.exit(main())
