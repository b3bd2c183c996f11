"""Run all benchmarks, one process each, and print their figures as one table.

python tests/bench/run.py --quick            a minute: shows that they run, no more
python tests/bench/run.py                    the figures
python tests/bench/run.py --nautilus         the comparison with NautilusTrader as well (installs it)
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHES = ("decode", "decision", "notice", "record", "replay", "premium", "wire")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them one after another; the exit code is 1 when one of them failed or, strictly, missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="hand --quick on to each")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a target is missed")
    parser.add_argument("--nautilus", action="store_true", help="run nautilus.py as well")
    options = parser.parse_args(arguments)
    handed = [f"--{name}" for name in ("quick", "strict") if getattr(options, name)]
    failed = []
    for name in (*BENCHES, *(("nautilus",) if options.nautilus else ())):
        print(f"--- {name}", flush=True)
        done = subprocess.run([sys.executable, str(HERE / f"{name}.py"), *handed], check=False)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"failed, or missed a target with --strict: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
