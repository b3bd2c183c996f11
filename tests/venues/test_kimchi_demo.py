"""The demo, whole: simulated venues on loopback, the program as a process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("language", "word"), [("ko", "김프"), ("en", "premium")])
def test_the_demo_prints_a_table_and_ends(language, word):
    """Every coin has a figure, in the language asked for, with exit code 0."""
    command = [sys.executable, "-m", "venues", "kimchi", "--demo", "--once", "--wait", "30"]
    done = subprocess.run(
        [*command, "--language", language], cwd=ROOT, capture_output=True, text=True,
        timeout=150, check=False, env={"COLUMNS": "90", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert word in done.stdout
    assert done.stdout.count("%") == 4


@pytest.mark.parametrize(("language", "word"), [("ko", "알림이 있을 때만"), ("en", "alerts only")])
def test_without_a_table_it_says_that_it_watches(language, word):
    """`--plain` stood there in silence until the first alert: as if it hung."""
    command = [sys.executable, "-m", "venues", "kimchi", "--demo", "--plain"]
    with subprocess.Popen(
        [*command, "--language", language], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        encoding="utf-8", env={"PYTHONIOENCODING": "utf-8"},
    ) as program:  # fmt: skip
        try:
            assert program.stdout and word in program.stdout.readline()
        finally:
            program.terminate()
