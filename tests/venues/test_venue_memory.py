"""A small process: nothing is loaded that is not used, and what the imports needed for a moment is given back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = """
import json, sys
import venues.cli
from venues.memory import give_back
def megabytes(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6
before, peak = megabytes("VmRSS"), megabytes("VmHWM")
can = give_back()
print(json.dumps([can, before, megabytes("VmRSS"), peak, sorted(sys.modules)]))
"""


def loaded(folder):
    """Import the whole of the venues in a process of its own; return what it measured."""
    given = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder)}
    given.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([sys.executable, "-c", SOURCE], cwd=ROOT, capture_output=True, text=True, check=True, env=given)  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_the_monitor_loaded_leaves_room_below_sixty_megabytes(tmp_path):
    """From the second start on also at its peak; the first one compiles, and gives that back."""
    can, before, after, _, _ = loaded(tmp_path)
    assert not can or after < 65, (before, after)
    assert after <= before
    *_, peak, modules = loaded(tmp_path)
    assert peak < 58.5, peak  # connections, prices and the table take two more
    assert "venues.simulators.server" not in modules
    for command in ("orders_cli", "kiwoom_cli", "book_cli", "checks", "manager", "spot"):
        assert f"venues.{command}" not in modules, command
    assert not {"pandas", "numpy", "matplotlib", "aiohttp.web", "ccxt"} & set(modules)
