"""Frames of Upbit and Binance to events, and a second of the premium's board: cost and memory.

In: bytes of one frame to the event that the board takes; the whole second of four coins (figures,
alerts, the drawn table). Out: the network. The floor is `json.loads` of the same bytes.

    python tests/bench/premium.py [--quick]
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402

from venues import binance, upbit  # noqa: E402
from venues.board import Board  # noqa: E402
from venues.settings import VenueSettings  # noqa: E402
from venues.simulators.binance import BinanceSimulator  # noqa: E402
from venues.simulators.market import Market  # noqa: E402
from venues.simulators.upbit import UpbitSimulator  # noqa: E402
from venues.wire import Clock  # noqa: E402


def cost_us(work, frames, seconds):
    """Return microseconds a frame, the best of five tries."""
    best = float("inf")
    for _ in range(5):
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            for frame in frames:
                work(frame)
            count += len(frames)
        best = min(best, (time.perf_counter() - began) / count * 1e6)
    return best


def line(what, value, unit, target=None, met=None):
    """Print one figure as the other benchmarks do."""
    aim = "" if target is None else f"  target {target}  {'met' if met else 'NOT met'}"
    print(f"{what:<44} {value:>9} {unit}{aim}")


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="only that it runs")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a target is missed")
    options = parser.parse_args()
    seconds, clock, market = 0.01 if options.quick else 0.4, Clock(), Market()
    ours, theirs = UpbitSimulator(market, clock.wall_ms), BinanceSimulator(market, clock.wall_ms)
    codes = [f"KRW-{coin}" for coin in (*market.cents, "USDT")]
    sides = {
        "upbit": (upbit.read_frame, ours.beat([f"{kind} {code}" for code in codes for kind in ("orderbook", "ticker")])),
        "binance": (binance.read_frame, theirs.beat(
            [f"{coin.lower()}usdt@{kind}" for coin in market.cents for kind in ("bookTicker", "miniTicker")])),
    }  # fmt: skip
    board, good = Board(VenueSettings(), clock), True
    for venue, (read, frames) in sides.items():
        floor = cost_us(json.loads, frames, seconds)
        ratio = cost_us(lambda raw, read=read: read(raw, 0), frames, seconds) / floor
        met = ratio <= 12
        good &= met
        line(f"{venue}: frame to event / json.loads", f"{ratio:.1f}", "times", "<= 12", met)

        def taken(raw, read=read):
            for event in read(raw, clock.mono_ns()):
                board.take(event)

        line(f"{venue}: frame to the board", f"{cost_us(taken, frames, seconds):.0f}", "us")
    for read, frames in sides.values():  # the measures took longer than a quote is young
        for raw in frames:
            for event in read(raw, clock.mono_ns()):
                board.take(event)
    assert board.complete()
    second = cost_us(lambda at: board.second(at), range(3), seconds / 4)
    line("a second of four coins: figures and alerts", f"{second:.0f}", "us")
    console = Console(file=io.StringIO(), width=120)
    table = cost_us(lambda at: console.print(board.table("ko")), range(3), seconds / 4)
    line("a second of four coins: the drawn table", f"{table / 1000:.1f}", "ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    line("memory of this process at most", peak, "MB", "<= 60", peak <= 60)
    return 1 if options.strict and not (good and peak <= 60) else 0


if __name__ == "__main__":
    sys.exit(main())
