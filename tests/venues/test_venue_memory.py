"""A small process: what the imports needed for a moment is given back."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = """
import venues.cli
from venues.memory import give_back
def megabytes():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
before = megabytes()
print(give_back(), before, megabytes())
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_the_imports_give_back_what_they_needed_for_a_moment():
    """All of the venues loaded: about 60 MB where the C library can give memory back, 77 before."""
    done = subprocess.run([sys.executable, "-c", SOURCE], cwd=ROOT, capture_output=True, text=True, check=True)  # fmt: skip
    can, before, after = done.stdout.split()
    assert can == "False" or float(after) < 68, done.stdout
    assert float(after) <= float(before), done.stdout
