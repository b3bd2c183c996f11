"""A warm start is a start: what the program finds, how it ends, who its parent is."""

import asyncio
import doctest
import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
import warm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="starts are usual ones there")
PLAIN = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def start(*words: str, program: str = warm.PROBE, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; how it ended."""
    given = {"env": PLAIN, "input": "한글", "capture_output": True, "timeout": 60, **how}
    return subprocess.run([sys.executable, program, *words], text=True, check=False, **given)


def both(*words: str, **how: Any) -> tuple[Any, Any]:
    """Return how a usual and a warm start end."""
    with warm.cold():
        usual = start(*words, **how)
    return usual, start(*words, **how)


def test_the_examples_hold():
    """Which starts it knows."""
    assert doctest.testmod(warm) == (0, 3)


@pytest.mark.parametrize(
    "how",
    [{}, {"env": {"PATH": "/bin"}}, {"env": {**PLAIN, "LC_ALL": "POSIX", "TZ": "America/New_York"}},
     {"env": {**PLAIN, "PYTHONPATH": str(warm.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}},
     {"env": {**PLAIN, "LC_ALL": "C", "PYTHONIOENCODING": "utf-8"}}, {"env": {"LC_ALL": "C"}},
     {"env": {**PLAIN, "PYTHONUNBUFFERED": "1"}}, {"env": None}, {"cwd": "/"},
     {"start_new_session": True}],
)  # fmt: skip
def test_a_program_finds_the_same(how: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    """Arguments, paths, environment, folder, streams, signals, session, files, limits, parent."""
    for name in [each for each in os.environ if each.startswith("PYTHON")]:
        monkeypatch.delenv(name)  # a usual start asks each of them
    usual, fast = both("a", "b", **how)
    assert (usual.returncode, usual.stderr) == (fast.returncode, fast.stderr) == (0, "")
    found = json.loads(fast.stdout)
    assert json.loads(usual.stdout) == found
    assert (found["given"], found["parent"]) == ("한글", os.getpid())


def test_a_signal_that_the_parent_ignores_or_blocks_stays_so():
    """As an exec hands it on."""
    kept = (
        signal.signal(signal.SIGHUP, signal.SIG_IGN),
        signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR1,))
    try:
        usual, fast = both()
    finally:
        signal.signal(signal.SIGHUP, kept[0])
        signal.signal(signal.SIGINT, kept[1])
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    assert usual.stdout == fast.stdout
    assert signal.SIGHUP in json.loads(fast.stdout)["ignored"]
    assert json.loads(start().stdout)["interrupt"]


@pytest.mark.parametrize(
    ("words", "code"),
    [(("exit", "3"), 3), (("exit", "257"), 1), (("text",), 1), (("raise",), 1),
     (("interrupt",), -signal.SIGINT), (("killed",), -signal.SIGKILL)],
)  # fmt: skip
def test_a_program_ends_the_same(words: tuple[str, ...], code: int):
    """By a number, a sentence, an error with its trace, Ctrl-C, a kill."""
    usual, fast = both(*words)
    assert usual.returncode == fast.returncode == code
    assert usual.stderr.splitlines()[-1:] == fast.stderr.splitlines()[-1:]
    assert "warm.py" not in fast.stderr or code == -signal.SIGINT


def test_a_program_that_hands_over_is_the_other_one():
    """The bot's file leaves by exec what is a companion's: the same answer, as a start that it was."""
    usual, fast = both("--find", "삼성전자", program=warm.BOT)
    assert (usual.returncode, usual.stdout) == (fast.returncode, fast.stdout)
    assert fast.stdout == "005930  삼성전자\n"


async def test_a_process_of_asyncio_is_one_of_these():
    """Its pipes and its end; a program that is not there is refused as ever."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, warm.PROBE, "exit", "5", env=PLAIN, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate(b"x")
    assert (process.returncode, json.loads(said)["given"]) == (5, "x")
    with pytest.raises(FileNotFoundError):
        await asyncio.create_subprocess_exec(sys.executable, warm.PROBE, cwd="/no/such", env=PLAIN)
    with pytest.raises(FileNotFoundError):
        await asyncio.create_subprocess_exec("/no/such", warm.PROBE, env=PLAIN)
