"""Memory of the running monitor, alone in its process; the simulated venues run in another one.

    python tests/campaigns/venue_memory.py --minutes 60             # as people see it, with the live table
    python tests/campaigns/venue_memory.py --minutes 60 --plain     # as a service

Told are megabytes (10^6 bytes) of resident memory by the kernel: after ten seconds, each tenth of the
time, at the end, and the highest (VmHWM). Files of the program are counted with it.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIMULATORS = """
import asyncio, json
from venues.demo import simulated
async def serve():
    async with simulated() as hosts:
        print(json.dumps([each for each in hosts if isinstance(each, str)]), flush=True)
        await asyncio.Event().wait()
asyncio.run(serve())
"""
# The monitor by its own command line; only where the venues are is handed in.
MONITOR = """
import contextlib, json, os, sys
from venues import cli
from venues.memory import give_back
from venues.monitor import Hosts
rest, stream, there, streams, third, thirds = json.loads(os.environ.pop("SIMULATED"))
@contextlib.asynccontextmanager
async def venues_of(demo):
    yield Hosts(rest, stream, there, streams, kiwoom_rest=third, kiwoom_stream=thirds)
cli.venues_of = venues_of
give_back()
sys.exit(cli.main(sys.argv[1:]))
"""


def megabytes(pid: int, name: str) -> float:
    """Return a figure of a process in 10^6 bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6


def drain(descriptor: int, seen: list[int]) -> None:
    """Read what a terminal shows until it is closed; count the bytes."""
    try:
        while part := os.read(descriptor, 65_536):
            seen[0] += len(part)
    except OSError:
        return


def main() -> int:
    """Run by the command line; 1 when the aim of 60 MB was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--most", type=float, default=60.0, help="megabytes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return measured(options, Path(name))


def measured(options: argparse.Namespace, folder: Path) -> int:
    """Start both, look at the monitor until the time is over, end both."""
    venues = subprocess.Popen([sys.executable, "-c", SIMULATORS], cwd=ROOT, stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert venues.stdout is not None
    hosts = json.loads(venues.stdout.readline())
    settings = folder / "venues.yaml"
    settings.write_text(f"state_dir: {folder / 'state'}\n")
    command = ["kimchi", "--settings", str(settings), *(["--plain"] if options.plain else [])]
    ours, theirs = pty.openpty()
    shown = [0]
    threading.Thread(target=drain, args=(ours, shown), daemon=True).start()
    monitor = subprocess.Popen(
        [sys.executable, "-c", MONITOR, *command], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "SIMULATED": json.dumps(hosts), "COLUMNS": "120", "LINES": "40", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        most = looked_at(monitor, options.minutes * 60, folder / "state" / "status.json")
    finally:
        for each in (monitor, venues):
            each.terminate()
            each.wait(20)
    print(f"the terminal was shown {shown[0]:,} bytes")
    return 0 if most <= options.most else 1


def looked_at(monitor: subprocess.Popen[bytes], seconds: float, status: Path) -> float:
    """Print the memory each tenth of the time; return the highest at rest."""
    most, began = 0.0, time.monotonic()
    for at in [10.0, *(seconds * n / 10 for n in range(1, 11))]:
        time.sleep(max(0.0, began + at - time.monotonic()))
        if monitor.poll() is not None:
            raise SystemExit(f"the monitor ended with {monitor.returncode}")
        now = megabytes(monitor.pid, "VmRSS")
        most = max(most, now)
        found = json.loads(status.read_text())
        frames = {name: line["frames"] for venue in found["venues"].values() for name, line in venue["lines"].items()}  # fmt: skip
        print(f"{at:6.0f} s: {now:.1f} MB; frames {frames}", flush=True)
    print(
        f"highest of these {most:.1f} MB, peak since the start {megabytes(monitor.pid, 'VmHWM'):.1f} MB"
    )
    return most


if __name__ == "__main__":
    sys.exit(main())
