"""A small process: nothing is loaded that is not used, and what the imports needed for a moment is given back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cached_cell_len

from venues.monitor import Hosts, Monitor
from venues.settings import Environment, KimchiSettings, VenueSettings
from venues.wire import Clock

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
    for command in ("orders_cli", "kiwoom", "kiwoom_cli", "book_cli", "checks", "manager", "spot"):
        assert f"venues.{command}" not in modules, command
    assert not {"pandas", "numpy", "matplotlib", "aiohttp.web", "ccxt"} & set(modules)


def test_the_widths_of_old_prices_are_forgotten_each_minute():
    """The table of a second has prices that no other second has."""
    settings = VenueSettings(kimchi=KimchiSettings(coins=("BTC",)))
    monitor = Monitor(settings, Environment(), Hosts(), Clock(), keep=False)
    for _ in range(64):
        monitor.second()
        cached_cell_len("1,234")
    assert cached_cell_len.cache_info().currsize == 1
    monitor.second()
    assert cached_cell_len.cache_info().currsize == 0


MONTH = """
import sqlite3, sys
from pathlib import Path
from venues.store import PremiumStore
store, at = PremiumStore(Path(sys.argv[1])), 29_929_020
rows = [(at - n, coin, 1, 1, 1, n % 30_000) for n in range(43_200) for coin in ("BTC", "ETH")]
store._db.execute("BEGIN")
store._db.executemany("INSERT INTO minute VALUES (?, ?, ?, ?, ?, ?)", rows)
store._db.execute("COMMIT")
store.close()
"""
RANKED = """
import sys
from pathlib import Path
from venues.store import PremiumStore
def pages():
    return int(open("/proc/self/statm").read().split()[1])
store = PremiumStore(Path(sys.argv[1]))
store.rank("BTC", 5, 29_929_000 * 60_000)
before = pages()
ranks = [store.rank(coin, 15_000, 0) for coin in ("BTC", "ETH")]
print(ranks[0], (pages() - before) * 4096)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_a_month_of_minutes_costs_no_memory(tmp_path):
    """The rank of 30 days reads every minute of them, and keeps none."""
    path = str(tmp_path / "premium.sqlite3")
    subprocess.run([sys.executable, "-c", MONTH, path], cwd=ROOT, check=True)
    done = subprocess.run([sys.executable, "-c", RANKED, path], cwd=ROOT, capture_output=True, text=True, check=True)  # fmt: skip
    rank, grown = map(int, done.stdout.split())
    assert rank in range(40, 70)
    assert grown < 1_000_000, grown
