"""Ctrl-C and SIGTERM on the demo: what tests/campaigns/interrupts.py found, each shown alone."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import edge
import interrupts
import pytest

import kis_realtime_trading as bot
from companions.command_line import run_command
from companions.options import build_parser

# A module that is imported by the bot's file, and interrupts the process that does so.
MODULE = """
import os, signal, sys
if sys.argv[0].endswith("{program}"):
    os.kill(os.getpid(), signal.SIGINT)
def dotenv_values(path): ...
"""


@pytest.mark.parametrize(
    ("program", "command"), [("kis_realtime_trading.py", "--paper"), ("companions", "--demo")]
)
def test_ctrl_c_during_the_imports_shows_no_trace(tmp_path, program, command):
    """Bot and companions end at once and say nothing; a shell calls the code 130."""
    (tmp_path / "dotenv.py").write_text(MODULE.format(program=program))
    ended = edge.run_bot(tmp_path, command, "--plain", PYTHONPATH=str(tmp_path))
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")
    assert not (tmp_path / "kis_state").exists()


def test_a_program_that_shall_not_hear_ctrl_c_does_not(tmp_path):
    """Started with SIGINT ignored, as by nohup or a shell's `&`: it stays so."""
    (tmp_path / "dotenv.py").write_text(MODULE.format(program="kis_realtime_trading.py"))
    command = [sys.executable, str(interrupts.PROGRAM), "--paper"]
    ended = subprocess.run(
        ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", *command], cwd=tmp_path,
        env=edge.environment(tmp_path, PYTHONPATH=str(tmp_path)), check=False, capture_output=True,
    )  # fmt: skip
    assert ended.returncode == bot.EXIT_SETTINGS, ended.stderr


async def while_the_simulator_starts(kind):
    """Its process was just made, no handler of the bot is in place yet: none stays behind."""
    outcome = await interrupts.trial(interrupts.Moment(kind, after="simulator"), 900)
    assert (outcome.faults, outcome.missed) == ([], False), outcome.out


async def a_day_cut_short():
    """On the live screen: exit code 0, and neither books nor picture, which take long."""
    moment = interrupts.Moment("Ctrl-C", screen=True, after="trading")
    outcome = await interrupts.trial(moment, 900)
    assert (outcome.faults, outcome.code, outcome.missed) == ([], 0, False), outcome.out
    assert "stopped before the end of the day" in outcome.out
    assert "journal: " in outcome.out and "THE BOOKS" not in outcome.out.upper()


@pytest.mark.usefixtures("cold_starts")
async def test_three_demos_end_within_three_seconds_and_leave_nothing_running():
    """By SIGTERM and by Ctrl-C, side by side."""
    async with asyncio.TaskGroup() as group:
        for kind in ("SIGTERM", "Ctrl-C"):
            group.create_task(while_the_simulator_starts(kind))
        group.create_task(a_day_cut_short())


async def test_the_simulator_ends_with_the_process_that_started_it():
    """Also when that one was killed: its standard input ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "companions.simulator", "--until-eof", "--hold", "60",
        cwd=edge.ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert (await process.stdout.readline()).startswith(b"READY")
    process.stdin.close()
    assert (await edge.end_of(process)).code == 0


async def test_the_simulator_keeps_silent_when_its_reader_has_gone():
    """Its maker was interrupted before it was ready: it ends without a trace in its log."""
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "companions.simulator", "--until-eof", cwd=edge.ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=writing, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    os.close(writing)
    process.stdin.close()
    _, errors = await process.communicate()
    assert b"Traceback" not in errors


def test_a_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    """Interrupted half-way the picture of before stays, and nothing lies beside it."""
    from matplotlib.figure import Figure  # as long as a test: only the process that needs it

    picture, state = tmp_path / "day.png", tmp_path / "state"
    state.mkdir()
    bot.Journal(state / "journal-paper-x.sqlite3").close()
    options = build_parser().parse_args(["--picture", str(picture), "--state", str(state)])
    assert run_command(options) == 0
    before = picture.read_bytes()
    assert before.startswith(interrupts.PNG_HEAD) and before.endswith(interrupts.PNG_TAIL)

    def half(figure, target, **_):
        with contextlib.ExitStack() as last:
            is_path = isinstance(target, str | Path)
            file = last.enter_context(open(target, "wb")) if is_path else target
            file.write(before[:100])
            raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(KeyboardInterrupt):
        run_command(options)
    assert picture.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"day.png", "state"}
