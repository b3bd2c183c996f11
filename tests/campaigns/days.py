"""Whole days in virtual time, by the number: the journal against the simulator's books.

python tests/campaigns/days.py --days 1000 --workers 2          no faults: 0 differences expected
python tests/campaigns/days.py --days 200 --faults               with a random swarm of faults; one in
                                                                 four over a night with an ex-day
python tests/campaigns/days.py --days 1 --first 7 --trace        print the hash of all that was done
python tests/campaigns/days.py --days 20 --until 10:40           only the first minutes of each day
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import os
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parent.parent)]

import ex_days  # noqa: E402  the path is set above
import harness  # noqa: E402

import kis_realtime_trading as bot  # noqa: E402
from companions import simulator  # noqa: E402

SYMBOLS = ("005930", "000660", "247540", "069500")
DAYS = [date(2026, 11, day) for day in (9, 10, 11, 12, 13, 16, 17, 18, 19, 20)]
SWARM: tuple[dict[str, Any], ...] = (
    {"match": {"kind": "order"}, "effect": {"do": "lose", "how": "reset", "executed": True}},
    {"match": {"kind": "order"}, "effect": {"do": "lose", "how": "hang"}},
    {"match": {"kind": "order"}, "effect": {"do": "error", "code": "EGW00301", "executed": True}},
    {"match": {"kind": "order"}, "effect": {"do": "list_delay", "seconds": 40}},
    {"match": {"kind": "cancel"}, "effect": {"do": "lose", "how": "reset", "executed": True}},
    {"match": {"kind": "modify"}, "effect": {"do": "html", "status": 502, "executed": True}},
    {"match": {"kind": "account"}, "effect": {"do": "html", "status": 503}},
    {"match": {"kind": "account"}, "effect": {"do": "error", "code": "EGW00201"}},
    {"match": {"kind": "account"}, "effect": {"do": "token", "code": "EGW00123"}},
    {"match": {"kind": "account"}, "effect": {"do": "stale_balance", "seconds": 100}},
    {"match": {"kind": "fill"}, "effect": {"do": "notice_drop"}},
    {"match": {"kind": "fill"}, "effect": {"do": "notice_repeat", "times": 2}},
    {"match": {"kind": "received"}, "effect": {"do": "notice_delay", "seconds": 30}},
    {"match": {"kind": "trade"}, "effect": {"do": "frame_repeat", "times": 2}},
    {"match": {"kind": "trade"}, "effect": {"do": "frame_swap"}},
    {"match": {"kind": "trade"}, "effect": {"do": "frame_garble", "how": "truncate"}},
)
ODD: tuple[dict[str, Any], ...] = (  # days of other people: what public reports describe
    {"match": {"kind": "account"}, "effect": {"do": "spelling"}},
    {"match": {"path": "inquire-price"}, "effect": {"do": "spelling"}},
    {"match": {"path": "inquire-balance"}, "effect": {"do": "lines"}},
    {"match": {"path": "inquire-balance"}, "effect": {"do": "stranger"}},
    {"match": {"path": "daily-ccld"}, "effect": {"do": "stranger"}},
    {"match": {"path": "inquire-balance"},
     "effect": {"do": "set", "field": "pchs_avg_pric", "value": ""}},
    {"match": {"path": "inquire-balance", "times": 2}, "effect": {"do": "error", "code": "OPSQ2001"}},
    {"match": {"path": "inquire-price"}, "effect": {"do": "set", "field": "stck_mxpr", "value": "0"}},
    {"match": {"path": "inquire-price"}, "effect": {"do": "set", "field": "stck_llam", "value": "0"}},
    {"match": {"path": "/uapi", "from": "11:00", "to": "11:20"}, "effect": {"do": "html", "status": 503}},
    {"match": {"path": "/uapi", "from": "13:00", "to": "13:02"}, "effect": {"do": "delay", "seconds": 8}},
)  # fmt: skip
STRIKES = (0.1, 1.0)  # now and then, or always
SLOW_S = ((0.5, 2.0), (1.0, 5.0), (4.0, 9.5))  # how long answers to questions take on a slow day
RARE = {"token": 0.002, "frame_repeat": 0.01, "frame_swap": 0.01, "frame_garble": 0.01}


def make_world(number: int, faulty: bool) -> tuple[harness.World, list[harness.Wish]]:
    """Make the day of a number: market, wishes, faults."""
    pick = random.Random(number)
    faults = []
    for rule in SWARM if faulty else ():
        if pick.random() < 0.4:
            chance = RARE.get(rule["effect"]["do"], 0.15)
            faults.append({**rule, "match": {**rule["match"], "probability": chance}})
        if faulty and pick.random() < 0.1:
            closing = {"match": {"kind": "book", "nth": pick.randint(50, 900)}}
            faults.append({**closing, "effect": {"do": "ws_close"}})
    if faulty:  # drawn by a source of its own: the days of before stay as they were
        odd = random.Random(f"odd {number}")
        for rule in odd.sample(ODD, odd.randint(0, 3)):
            match = {**rule["match"], "probability": odd.choice(STRIKES)}
            faults.append({**rule, "match": match})
    symbols = tuple(pick.sample(SYMBOLS, 2))
    config = simulator.SimulatorConfig(
        day=pick.choice(DAYS),
        seed=number,
        symbols=symbols,
        environment=pick.choice(("paper", "real")),
        density=2.0,
        faults=tuple(faults),
    )
    wishes = []
    for _ in range(pick.randint(4, 10)):
        hour, minute = pick.randint(10, 14), pick.randint(0, 59)
        stop, target = 1 - pick.choice((0.002, 0.01, 0.05)), 1 + pick.choice((0.003, 0.01, 0.05))
        wish = harness.Wish(
            f"{hour}:{minute:02d}:{pick.randint(0, 59):02d}", pick.choice(symbols),
            pick.randint(1, 15), pick.choice((5, 3, 1, 0, -3, -20)), (stop, target),
        )  # fmt: skip
        wishes.append(wish)
    settings = {"limits": {"max_data_age_s": 100, "losses_in_a_row": 20, "losses_in_a_row_all": 50}}
    world = harness.World(config, start="09:55:00", seed=number, settings=settings)
    if faulty and pick.random() < 0.3:
        world.network.answers_s = pick.choice(SLOW_S)
    return world, wishes


def shorten(world: harness.World, wishes: list[harness.Wish], until: str) -> None:
    """Move all wishes and the selling out into the time before `until`."""
    whole, length = minutes("15:00") - minutes("10:00"), minutes(until) - minutes("10:00")
    for wish in wishes:
        moment = minutes("10:00") + (minutes(wish.at) - minutes("10:00")) * length * 0.7 / whole
        wish.at = f"{int(moment // 60)}:{int(moment % 60):02d}:{int(moment * 60 % 60):02d}"
    at = int(minutes("10:00") + length * 0.8)
    world.settings |= {
        "last_entry": f"{at // 60}:{at % 60:02d}",
        "flat_at": f"{at // 60}:{at % 60:02d}",
    }


def minutes(text: str) -> float:
    """Return HH:MM or HH:MM:SS as minutes of the day."""
    return sum(int(part) * 60 ** (1 - n) for n, part in enumerate(text.split(":")))


async def play(world: harness.World, wishes: list[harness.Wish], until: str) -> bot.Trader:
    """Run the whole day, or its beginning."""
    if not until:
        return await world.day(harness.Scripted(wishes), alone=True)
    shorten(world, wishes, until)
    day = asyncio.create_task(world.day(harness.Scripted(wishes), alone=True))
    await world.until(f"{until}:00")
    assert world.trader is not None
    world.trader.stop("the day is a short one")
    return await day


def trace_of(world: harness.World) -> str:
    """Return the hash of every journal row, every order call and the simulator's books."""
    journal = bot.Journal(world.folder / "journal.sqlite3", read_only=True)
    lines = [*map(str, journal.rows()), *map(str, world.network.posts)]
    journal.close()
    lines.append(json.dumps(world.sim.books(), default=str))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def run_day(job: tuple[int, bool, str]) -> tuple[int, list[str], int, str]:
    """Run one day; return its number, what differs, how many orders left, the trace."""
    number, faulty, until = job
    logging.getLogger("kisbot").setLevel(logging.CRITICAL)
    world, wishes = make_world(number, faulty)
    night = None
    if faulty and not until and ex_days.draws_one(number):
        world.close()
        world, strategy, night = ex_days.make_pair(number, world.config)
    try:
        if night:
            trader = harness.run_virtual(ex_days.play(world, strategy, night))
        else:
            trader = harness.run_virtual(play(world, wishes, until))
        ledger = trader.engine.core.ledger
        if night:
            found = ex_days.differences(world, trader)
            found += ex_days.breaches(world, trader, night)
        else:
            found = harness.differences(world.sim, ledger)
        found += ex_days.totals(world, trader, sound=not faulty and not until)
        asked = [o for o in ledger.orders.values() if o.status is bot.OrderStatus.QUARANTINED]
        roots = sum(1 for _ in harness.api_roots(world.sim))
        own = ex_days.intents(world) if night else sum(o.own for o in ledger.orders.values())
        if roots > own:
            found.append(f"{roots} orders for {own} intents")
        for (
            order
        ) in asked:  # the owner was asked: its stock and the cash may differ until he answers
            open_ends = (f"{order.intent.symbol}: ours", "cash: ours", "is not known")
            found = [each for each in found if not any(part in each for part in open_ends)]
        return number, found, len(world.network.posts), trace_of(world)
    except Exception as error:
        return number, [f"{type(error).__name__}: {error}"], 0, ""
    finally:
        world.close()


def main() -> int:
    """Run the campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--days", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--faults", action="store_true", help="with a swarm of faults")
    parser.add_argument("--trace", action="store_true", help="print the hash of all that was done")
    parser.add_argument("--until", default="", metavar="HH:MM", help="end each day at this time")
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.days)
    jobs = [(number, options.faults, options.until) for number in numbers]
    began = shown = time.monotonic()
    different = orders = 0
    with ProcessPoolExecutor(options.workers) as pool:
        for done, (number, found, posts, trace) in enumerate(pool.map(run_day, jobs), 1):
            orders += posts
            if found:
                different += 1
                print(f"day {number}: {'; '.join(found)}", flush=True)
            if options.trace:
                print(number, trace)
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                print(f"{done} of {len(jobs)} days, {different} differ", file=sys.stderr)
    spent = time.monotonic() - began
    rate = options.days / spent * 3600
    print(
        f"{options.days} days, {orders} order calls, {different} differ; {spent:.0f} s, "
        f"{rate:,.0f} days an hour with {options.workers} workers"
    )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
