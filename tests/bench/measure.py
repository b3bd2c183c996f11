"""How every benchmark here measures and says what it found.

Ways to the same result run in turn, round after round, in one process: a slow moment of the machine
then hits all of them. Of each way the fastest round counts: what others do on the machine only
adds. Figures are ratios between ways of one run, so that they mean the same on any machine.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # the bot's own files, wherever this is started from


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `met` is None where nothing was promised."""

    name: str
    value: float
    unit: str
    target: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        verdict = {True: "met", False: "NOT met", None: ""}[self.met]
        value = f"{self.value:,.0f}" if abs(self.value) >= 1_000 else f"{self.value:,.2f}"
        return f"{self.name:62} {value:>12} {self.unit:9} {self.target:14} {verdict}".rstrip()


def at_least(name: str, value: float, bound: float, unit: str = "x") -> Figure:
    """Return a figure that is met at or above the bound."""
    return Figure(name, value, unit, f">= {bound:,g}", value >= bound)


def at_most(name: str, value: float, bound: float, unit: str = "x") -> Figure:
    """Return a figure that is met at or below the bound."""
    return Figure(name, value, unit, f"<= {bound:,g}", value <= bound)


def plain(name: str, value: float, unit: str = "x") -> Figure:
    """Return a figure that nothing was promised about."""
    return Figure(name, value, unit)


def seconds_of(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the seconds of the fastest round of each way; one more round warms all up.

    A way that prepares something first returns its own seconds, a float. What was made before (the
    frames) is frozen: the garbage collector works as it does in a process without it.
    """
    gc.collect()
    gc.freeze()
    names = list(ways)
    best = dict.fromkeys(names, float("inf"))
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            gc.collect()
            began = time.perf_counter()
            own = ways[name]()
            spent = own if isinstance(own, float) else time.perf_counter() - began
            if turn:
                best[name] = min(best[name], spent)
    return best


def parser_of(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return the options that all benchmarks share; `rounds` is how often the full run repeats."""
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Each line: what was measured, the value, its unit, the target, met or NOT met.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few rounds of little: shows that it runs, no more"
    )
    parser.add_argument(
        "--rounds", type=int, help=f"how often each way is run (default {rounds}, quick 1)"
    )
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a target is missed")
    parser.set_defaults(usual_rounds=rounds)
    return parser


def read_options(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> argparse.Namespace:
    """Parse the arguments and settle the number of rounds."""
    options = parser.parse_args(arguments)
    if options.rounds is None:
        options.rounds = 1 if options.quick else options.usual_rounds
    return options


def show(figures: Iterable[Figure], options: argparse.Namespace) -> int:
    """Print figures as they come; return the exit code."""
    missed = False
    for figure in figures:
        print(figure, flush=True)
        missed = missed or figure.met is False
    return 1 if missed and options.strict else 0
