"""Whole days of the premium monitor, with cuts: alerts against a plain model. In virtual time, or over sockets.

    python tests/campaigns/venue_days.py --hours 24         # a day, about a cut in two minutes
    python tests/campaigns/venue_days.py --cuts 1000        # as long as it takes for so many cuts
    python tests/campaigns/venue_days.py --sockets --speed 60   # the same over real sockets of loopback
    python tests/campaigns/venue_days.py --costs            # what a frame and a table take

The truth is what the simulated venues said; the model looks back over its seconds. Told are: seconds,
cuts, how long a line stayed away, alerts of model and monitor, missed, doubled, stale figures shown.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from harness import run_virtual  # noqa: E402
from rich.console import Console  # noqa: E402
from venue_sockets import SocketStage, run_sockets  # noqa: E402
from venue_stage import Stage, told_by_model  # noqa: E402

from venues import binance, upbit  # noqa: E402
from venues.board import Board  # noqa: E402
from venues.monitor import Monitor  # noqa: E402
from venues.settings import Environment, KimchiSettings, VenueSettings  # noqa: E402
from venues.simulators.binance import BinanceSimulator  # noqa: E402
from venues.simulators.market import Market  # noqa: E402
from venues.simulators.upbit import UpbitSimulator  # noqa: E402
from venues.wire import Clock  # noqa: E402

SETTINGS = VenueSettings(
    kimchi=KimchiSettings(coins=("BTC", "ETH"), high_pct=Decimal(3), low_pct=Decimal(-2))
)


@dataclass
class Result:
    """What was seen."""

    seconds: int = 0
    cuts: int = 0
    told: int = 0
    missed: int = 0
    doubled: int = 0
    stale: int = 0
    wrong: int = 0
    late: int = 0
    away_s: list[int] = field(default_factory=list)
    opened: int = 0

    @property
    def good(self) -> bool:
        """Tell whether every rule held and the run was no empty one."""
        return not (self.missed or self.doubled or self.stale or self.wrong) and self.told > 0


def _move(stage: Stage, rng: random.Random) -> None:
    """Let premiums wander between their bounds, a little each second."""
    for coin in SETTINGS.kimchi.coins:
        now = stage.market.premium_bp[coin]
        stage.market.premium_bp[coin] = max(-400, min(600, now + rng.randint(-20, 20)))
        cents = stage.market.cents[coin]
        stage.market.cents[coin] = max(100, cents + rng.randint(-cents // 5_000, cents // 5_000))
    stage.market.rate = max(130_000, min(150_000, stage.market.rate + rng.randint(-10, 10)))


def _break(stage: Stage, rng: random.Random, result: Result, chance: float) -> None:
    """Cut, close or mute a venue now and then; mend what is broken."""
    for broken in (stage.closed, stage.mute):
        if broken and rng.random() < 0.05:
            broken.clear()
    if rng.random() < chance:
        venue = rng.choice(["upbit", "binance"])
        kind = rng.random()
        if kind < 0.15:
            stage.closed.add(venue)
        elif kind < 0.3:
            stage.mute.add(venue)
            return
        result.cuts += venue in stage.sockets and stage.sockets[venue].live
        stage.cut(venue)


async def scene(
    seconds: int, seed: int, chance: float, most_cuts: int, stage: Any = None
) -> Result:
    """Run the monitor for so many seconds or cuts; compare each second with the truth."""
    rng, over_wire, result = random.Random(seed), stage is not None, Result()
    stage = stage or Stage()
    monitor = Monitor(SETTINGS, Environment(), stage.hosts(), stage.clock, keep=False)
    heard: list[tuple[int, str, Any]] = []
    values: dict[str, list[Any]] = {coin: [] for coin in SETTINGS.kimchi.coins}
    decide = monitor.board.second
    away = 0  # seconds without both lines
    dark = Counter[str]()  # seconds with both again, but without a figure

    def second(now_s: int) -> list[tuple[str, Any]]:
        news = decide(now_s)
        heard.extend((result.seconds, coin, each) for coin, each in news)
        return news

    def late(at: float) -> bool:
        seen = [quote.seen_ns / 10**9 for quote in monitor.board._quotes.values()]
        return over_wire and at - 2 <= min(seen) < int(at)

    def shown() -> None:
        nonlocal away
        live, at = stage.live(), asyncio.get_running_loop().time()
        quiet = {name for name, socket in stage.sockets.items() if at - (socket.beaten or -99) > 15}
        for coin in SETTINGS.kimchi.coins:
            figures, truth = monitor.board.figures(coin), stage.market.premium(coin)
            if figures and (quiet or stage.closed):
                result.stale += 1
            if live and figures and figures.usdt != truth and late(at):
                result.late += 1  # the frames of this second are still on their way
            elif live and figures and figures.usdt != truth:
                result.wrong += 1
            values[coin].append(figures.usdt if figures else None)
            dark[coin] = dark[coin] + 1 if live and not figures and (away > 5 or dark[coin]) else 0
            result.missed += dark[coin] > 0
        if live and away:
            result.away_s.append(away)
        away = 0 if live else away + 1
        result.seconds += 1
        _move(stage, rng)
        _break(stage, rng, result, chance)

    monitor.board.second = second  # type: ignore[method-assign]
    await asyncio.sleep(0.5)
    task = asyncio.create_task(monitor.run(shown))
    while result.seconds < seconds and result.cuts < most_cuts:
        await asyncio.sleep(60.0)
        if task.done():
            task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    result.opened = stage.opened
    for coin, seen in values.items():
        ours = [(at, news) for at, name, news in heard if name == coin and at < len(seen)]
        wanted = told_by_model(seen, SETTINGS.kimchi.rule())
        result.told += len(wanted)
        result.missed += len(set(wanted) - set(ours))
        result.doubled += len(ours) - len(set(ours) & set(wanted))
    return result


def run(seconds: int, seed: int, chance: float = 0.008, most_cuts: int = 10**9) -> Result:
    """Run one scene in virtual time."""
    result: Result = run_virtual(scene(seconds, seed, chance, most_cuts))
    return result


def over_sockets(seconds: int, seed: int, chance: float, most_cuts: int, speed: float) -> Result:
    """Run one scene over real sockets of loopback, at most so many times as fast as a clock."""

    async def whole() -> Result:
        stage = SocketStage()
        await stage.start()
        try:
            return await scene(seconds, seed, chance, most_cuts, stage)
        finally:
            await stage.stop()

    result: Result = run_sockets(whole(), speed)
    return result


def costs() -> None:
    """Print what a frame costs to read and to take in, and what a table costs to make and to draw."""
    market, clock = Market(), Clock()
    upbit_core, binance_core = (
        UpbitSimulator(market, clock.wall_ms),
        BinanceSimulator(market, clock.wall_ms),
    )
    hello = upbit.subscription("t", ["KRW-BTC", "KRW-ETH", "KRW-USDT"])
    frames = {
        "upbit": (upbit.read_frame, upbit_core.beat(upbit_core.opened("/websocket/v1", hello))),
        "binance": (binance.read_frame, binance_core.beat(binance_core.opened(
            binance.stream_url("", ["BTCUSDT", "ETHUSDT"]), ""))),
    }  # fmt: skip
    board = Board(SETTINGS, clock)
    for name, (read, some) in frames.items():
        taken = 0.0
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < 1.0:
            for raw in some or ():
                for event in read(raw, clock.mono_ns()):
                    at = time.perf_counter()
                    board.take(event)
                    taken += time.perf_counter() - at
                count += 1
        spent = time.perf_counter() - began
        print(
            f"{name}: {(spent - taken) / count * 1e6:.1f} us to read a frame, {taken / count * 1e6:.1f} us to take it in"
        )
    console, began = Console(file=io.StringIO(), width=100), time.perf_counter()
    for _ in range(200):
        board.second(clock.mono_ns() // 10**9)
    second = (time.perf_counter() - began) / 200
    for _ in range(50):
        console.print(board.table("ko", 100))
    table = (time.perf_counter() - began - second * 200) / 50
    print(f"a second of decisions {second * 1e3:.2f} ms, a table {table * 1e3:.1f} ms")


def main() -> int:
    """Run by the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--cuts", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sockets", action="store_true", help="real sockets of loopback")
    parser.add_argument("--speed", type=float, default=60.0, help="of --sockets, at most")
    parser.add_argument("--costs", action="store_true")
    options = parser.parse_args()
    if options.costs:
        costs()
        return 0
    began = time.monotonic()
    chance, seconds = (0.05, 10**9) if options.cuts else (0.008, int(options.hours * 3_600))
    most_cuts = options.cuts or 10**9
    if options.sockets:
        result = over_sockets(seconds, options.seed, chance, most_cuts, options.speed)
    else:
        result = run(seconds, options.seed, chance, most_cuts)
    took = time.monotonic() - began
    away = sorted(result.away_s) or [0]
    print(f"{result.seconds:,} s in {took:.0f} s ({result.seconds / took:,.0f} times), {result.cuts:,} cuts, "
          f"{result.opened:,} connections")  # fmt: skip
    print(f"away: median {away[len(away) // 2]} s, longest {away[-1]} s")
    print(f"alerts {result.told}: missed {result.missed}, doubled {result.doubled}")
    print(f"figures: stale {result.stale}, wrong {result.wrong}, a second late {result.late}")
    print(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
