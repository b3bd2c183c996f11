"""The same seed gives the same day: bit for bit, in any process, under any hash seed and host zone.

Runs the same days of tests/campaigns/days.py (with their swarm of faults) in processes of their own and
compares the hash of all journal rows, all order calls and the simulator's books.

    python tests/campaigns/determinism.py                           20 whole days, 10 hash seeds, twice each
    python tests/campaigns/determinism.py --days 2 --until 10:10 --hash-seeds 3
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ZONES = ("UTC", "America/New_York", "Asia/Seoul")
TIMES = 2  # runs under each hash seed


def run_once(hash_seed: int, zone: str, arguments: tuple[str, ...]) -> str:
    """Run the days in one process; return what it printed: number and trace of each day."""
    environ = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": str(hash_seed), "TZ": zone}
    done = subprocess.run(
        [sys.executable, str(HERE / "days.py"), "--trace", "--workers", "1", *arguments],
        env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"hash seed {hash_seed}, {zone}: {done.stdout}{done.stderr}")
    return "".join(line for line in done.stdout.splitlines(True) if len(line.split()) == 2)


def traces(
    hash_seeds: int, days: int, first: int, until: str, times: int = TIMES
) -> dict[str, list[str]]:
    """Return each different outcome with the names of the runs that gave it; one is right."""
    arguments = ("--faults", f"--days={days}", f"--first={first}", f"--until={until}")
    runs = [
        (seed, ZONES[(seed + turn) % len(ZONES)]) for seed in range(hash_seeds) for turn in range(times)
    ]  # fmt: skip
    outcomes: dict[str, list[str]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each waits for a process
        for (seed, zone), text in zip(
            runs, pool.map(lambda run: run_once(*run, arguments), runs), strict=True
        ):
            outcomes.setdefault(text, []).append(f"hash seed {seed} in {zone}")
    return outcomes


def main() -> int:
    """Run the comparison from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--until", default="", metavar="HH:MM", help="end each day at this time")
    parser.add_argument("--hash-seeds", type=int, default=10)
    options = parser.parse_args()
    outcomes = traces(options.hash_seeds, options.days, options.first, options.until)
    print(f"{options.hash_seeds * TIMES} processes, {len(outcomes)} outcomes")
    if len(outcomes) == 1:
        return 0
    for text, names in outcomes.items():
        print(", ".join(names), text, sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
