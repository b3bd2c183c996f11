"""Kill the bot at every journal write and every request of a busy half hour, and look what is left.

Real processes, real sockets, SIGKILL. A first run without a kill counts the boundaries: before and
after each journal write, before and after each HTTP request. Then for each boundary: run up to it,
die there, start again, run to the end. Each time the journal must equal the simulator's books, no
intent may have two orders, and no row that was written may be missing.

The market runs 240 times faster than real. It stands still while a process starts, so that a slow
machine needs longer but tests the same. A run with few orders of the script proves little: where
nothing else is wrong it goes once more by itself at the end, and failing then counts.

    python tests/campaigns/killsweep.py                 the whole sweep
    python tests/campaigns/killsweep.py --share 0.1     a random tenth
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parent.parent)]

import harness  # noqa: E402  the path is set above

import kis_realtime_trading as bot  # noqa: E402
from companions import simulator  # noqa: E402

SPEED = 240.0
START, QUIET, LAST = "08:58", "09:18:00", "14:30:00"  # the last only on a machine that starves
SYMBOLS = ("005930", "000660")
KEEP = os.environ.get("KILLSWEEP_KEEP", "")  # folder for the journals of failed runs
ONE_RUN_S = 150.0  # a bot that takes longer hangs
DOWN_S = (0.0, 0.1, 0.3)  # how long nothing runs after a kill
FEWEST_ORDERS = 2  # in one run, also in one that died twice before the first of seven wishes
USUAL_ORDERS = 5  # on average, or the sweep proves little


def wishes() -> list[harness.Wish]:
    """Return the script: entries that fill, that rest and are cancelled, that hit stop or target."""
    return [
        harness.Wish("09:01:00", "005930", 10, 5, plan=(0.99, 1.004)),
        harness.Wish("09:01:40", "000660", 4, -40),
        harness.Wish("09:04:30", "000660", 5, 5, plan=(0.999, 1.02)),
        harness.Wish("09:06:00", "005930", 6, -40),
        harness.Wish("09:08:30", "005930", 8, 5, plan=(0.998, 1.003)),
        harness.Wish("09:10:00", "000660", 3, 5, plan=(0.97, 1.03)),
        harness.Wish("09:12:00", "005930", 4, 3, plan=(0.97, 1.03)),
    ]


class Boundary:
    """Counts boundaries and dies at one of them."""

    def __init__(self, die_at: int) -> None:
        self.count, self._die_at = 0, die_at

    def cross(self) -> None:
        """Pass a boundary, or not."""
        self.count += 1
        if self.count == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


class DyingJournal(bot.Journal):
    """A journal with boundaries around each write; tells the parent what was written."""

    boundary: Boundary
    written: Connection

    def append(self, rows: Any, at: datetime) -> None:
        if not rows:
            return
        self.boundary.cross()
        super().append(rows, at)
        self.written.send_bytes(f"{self.last_seq} {self._last_hash}".encode())
        self.boundary.cross()


class DyingTransport(bot.AiohttpTransport):
    """A network with boundaries around each request."""

    def __init__(self, boundary: Boundary) -> None:
        super().__init__()
        self._boundary = boundary

    async def __call__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        params: Mapping[str, str],
        body: bytes | None,
    ) -> bot.HttpReply:
        self._boundary.cross()
        reply = await super().__call__(method, url, headers, params, body)
        self._boundary.cross()
        return reply


def settings_of(told: dict[str, Any]) -> bot.Settings:
    """Return the settings of the bot's process."""
    profile = bot.Profile(
        environment=told["environment"],
        rest_url=told["rest"],
        ws_url=told["ws"],
        app_key=bot.Secret(told["key"]),
        app_secret=bot.Secret(told["secret"]),
        account=bot.Secret(told["account"]),
        product="01",
        hts_id=bot.Secret(told["hts_id"]),
        agent="killsweep",
    )
    section = {
        "symbols": SYMBOLS,
        "limits": {
            **harness.LIMITS,
            "max_data_age_s": 100,
            "max_quote_age_s": 100,
            "max_orders_per_minute": 30,
            "losses_in_a_row": 20,
        },
        "last_entry": "09:16",
        "flat_at": "09:16",
        "entry_timeout_s": 120,
        "exit_step_s": 40,
        "bar_lateness_s": 30,
        "rest_calls_per_second": told["pace"],
        "market_clock": {"unix": told["unix"], "market": told["market"], "speed": SPEED},
    }
    return bot.Settings(profile, bot.BotSettings.model_validate(section), bot.Secret(""), "")


def run_bot(told: dict[str, Any], die_at: int, written: Connection) -> None:
    """Be the bot's process: run until the script is over, or die on the way."""
    logging.getLogger("kisbot").setLevel(logging.CRITICAL)
    written.send_bytes(b"ready")
    told["unix"] = float(written.recv_bytes())  # the market goes on
    boundary = Boundary(die_at)
    folder = Path(told["folder"])
    journal = DyingJournal(folder / "journal.sqlite3")
    journal.boundary, journal.written = boundary, written
    settings = settings_of(told)
    assert settings.bot is not None
    clock = bot.MarketClock(settings.bot.market_clock)
    transport = DyingTransport(boundary)
    services = bot.Services(clock, transport, bot.connect_websocket, journal, folder)
    trader = bot.Trader(settings, harness.Scripted(wishes()), services, harness.past_of(journal))

    async def until_quiet() -> None:
        run = asyncio.create_task(trader.run(one_day=True))
        while not run.done():
            now, core = f"{clock.now():%H:%M:%S}", trader.engine.core
            held = any(each.quantity for each in core.ledger.positions.values())
            busy = "starting" in core.holds or core.ledger.open_orders() or held
            if (now >= QUIET and not busy) or now >= LAST:
                trader.stop("the script is over")
                break
            await asyncio.sleep(0.02)
        await run
        await transport.close()

    asyncio.run(until_quiet())
    journal.close()
    written.send_bytes(f"end {boundary.count}".encode())


@dataclass
class Outcome:
    """What one run left."""

    die_at: int
    boundaries: int
    faults: list[str]
    statuses: Counter[str]
    starved: bool = False  # nothing wrong but few orders: beside others the script was not done


async def start_bot(
    told: dict[str, Any], die_at: int, clock: simulator.MarketClock
) -> tuple[int | None, list[str]]:
    """Run one bot process to its end; return its exit code and what it told of its writes."""
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_bot, args=(told, die_at, theirs), daemon=True)
    process.start()
    theirs.close()
    lines: list[str] = []
    began, ended = time.monotonic(), False
    while not ended:
        await asyncio.sleep(0.02)
        try:
            while ours.poll():
                lines.append(ours.recv_bytes().decode())
                if lines[-1] == "ready":
                    clock.go_on()
                    ours.send_bytes(f"{clock.unix0!r}".encode())
        except (EOFError, ConnectionError):
            ended = True
        if time.monotonic() - began > ONE_RUN_S:
            process.kill()
            lines.append("hangs")
    process.join()
    await asyncio.sleep(DOWN_S[die_at % len(DOWN_S)])
    clock.stop()
    return process.exitcode, lines


async def one_run(die_at: int, seed: int, environment: str) -> Outcome:
    """Run the script with a kill at one boundary (0: none)."""
    config = simulator.SimulatorConfig(
        symbols=SYMBOLS, environment=environment, density=20.0, seed=seed, requests_per_second=50
    )
    start = datetime.combine(config.day, datetime.strptime(START, "%H:%M").time(), bot.KST)
    with tempfile.TemporaryDirectory(prefix="kisbot-kill-", dir=shared_memory()) as folder:
        async with simulator.serve(config, start, speed=SPEED) as served:
            who, paper = served.simulator.credentials, config.paper
            told = {
                "environment": environment,
                "rest": served.rest_url,
                "ws": served.ws_url,
                "key": who.paper_key if paper else who.real_key,
                "secret": who.paper_secret if paper else who.real_secret,
                "account": who.paper_account if paper else who.real_account,
                "hts_id": who.hts_id,
                "folder": folder,
                "pace": 40 * SPEED,
                "market": start.isoformat(),
            }
            clock = served.clock
            clock.stop()
            code, lines = await start_bot(told, die_at, clock)
            again: list[str] = []
            if die_at % 5 == 1 and code == -signal.SIGKILL:  # a second kill, while it recovers
                code, again = await start_bot(told, random.Random(die_at).randint(1, 80), clock)
            if die_at and code == -signal.SIGKILL:
                code, more = await start_bot(told, 0, clock)
                again += more
            faults = [] if code == 0 else [f"exit code {code}: {(lines + again)[-1:]}"]
            outcome = judge(die_at, served.simulator, Path(folder), lines, again, faults)
            if outcome.faults and KEEP:
                kept = Path(KEEP) / f"kill-{die_at}"
                shutil.copytree(folder, kept, dirs_exist_ok=True)
                (kept / "books.json").write_text(json.dumps(served.simulator.books(), indent=1))
            return outcome


def shared_memory() -> str | None:
    """Return a folder in memory where there is one: the disk is not what is tested."""
    return str(harness.SHARED_MEMORY) if harness.SHARED_MEMORY.is_dir() else None


def judge(
    die_at: int,
    sim: simulator.Simulator,
    folder: Path,
    lines: list[str],
    again: list[str],
    faults: list[str],
) -> Outcome:
    """Compare the journal with the simulator's books and with what was written."""
    journal = bot.Journal(folder / "journal.sqlite3", read_only=True)
    ledger = bot.Ledger()
    try:
        bot.read_past(journal, ledger)
        stored = {str(row.seq): row.hash for row in journal.rows()}
    except bot.JournalError as error:
        faults.append(str(error))
        stored = {}
    journal.close()
    told = [line.split() for line in lines + again if line[:1].isdigit()]
    lost = [seq for seq, chain in told if stored.get(seq) != chain]
    if lost:
        faults.append(f"rows written and lost: {lost}")
    faults += harness.differences(sim, ledger)
    roots = Counter(
        ledger.by_number[(sim.config.day, order["order_no"])]
        for order in harness.api_roots(sim)
        if (sim.config.day, order["order_no"]) in ledger.by_number
    )
    unbound = [
        order["order_no"]
        for order in harness.api_roots(sim)
        if (sim.config.day, order["order_no"]) not in ledger.by_number
    ]
    faults += [f"{intent} has {count} orders" for intent, count in roots.items() if count > 1]
    faults += [f"order {number} belongs to no intent" for number in unbound]
    statuses = Counter(str(order.status) for order in ledger.orders.values() if order.own)
    starved = not faults and statuses.total() < FEWEST_ORDERS
    if statuses.total() < FEWEST_ORDERS:
        faults.append(f"only {statuses.total()} orders: the script was not done")
    open_left = [s for s in statuses if s in bot.OPEN_STATUSES and s != "quarantined"]
    if open_left:
        faults.append(f"still open: {open_left}")
        starved = False
    ends = [int(line.split()[1]) for line in lines + again if line.startswith("end ")]
    return Outcome(die_at, ends[-1] if ends else 0, faults, statuses, starved)


async def sweep(share: float, seed: int, environment: str, at_once: int, chosen: list[int]) -> int:
    """Run the sweep; print figures; return the number of failed runs."""
    base = await one_run(0, seed, environment)
    print(f"no kill: {base.boundaries} boundaries, {dict(base.statuses)}, faults {base.faults}")
    points = list(range(1, base.boundaries + 1))
    if chosen:
        points = chosen
    elif share < 1:
        points = sorted(
            random.Random(time.time_ns()).sample(points, max(1, int(len(points) * share)))
        )
    began, done, failed = time.monotonic(), 0, len(base.faults)
    gate = asyncio.Semaphore(at_once)
    statuses: Counter[str] = Counter()
    starved: list[int] = []

    async def kill_at(point: int, *, alone: bool = False) -> None:
        nonlocal done, failed
        async with gate:
            outcome = await one_run(point, seed, environment)
        if outcome.starved and not alone:
            starved.append(point)
            return
        done += 1
        statuses.update(outcome.statuses)
        if outcome.faults:
            failed += 1
            print(f"kill at boundary {point}: {json.dumps(outcome.faults)}", flush=True)
        if done % 20 == 0:
            spent = time.monotonic() - began
            print(f"{done} of {len(points)} runs, {spent:.0f} s, {failed} failed", file=sys.stderr)

    await asyncio.gather(*(kill_at(point) for point in points))
    for point in starved:
        print(
            f"kill at boundary {point} once more, alone: few orders beside the others", flush=True
        )
        await kill_at(point, alone=True)
    average = statuses.total() / max(1, done)
    if average < USUAL_ORDERS:
        failed += 1
        print(f"only {average:.1f} orders a run: let fewer run --at-once")
    print(
        f"{len(points)} kill points of {base.boundaries}, {done + 1} runs ({environment}) in "
        f"{time.monotonic() - began:.0f} s: {failed} failed; orders {dict(statuses)}"
    )
    return failed


def main() -> int:
    """Run the sweep from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="part of the boundaries")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--environment", choices=("real", "paper"), default="real")
    parser.add_argument("--at-once", type=int, default=6)
    parser.add_argument("--points", type=int, nargs="*", default=[], help="these boundaries only")
    options = parser.parse_args()
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # a killed client is no news
    multiprocessing.set_forkserver_preload(["harness", "killsweep"])
    failed = asyncio.run(
        sweep(options.share, options.seed, options.environment, options.at_once, options.points)
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
