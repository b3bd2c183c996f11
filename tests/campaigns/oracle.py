"""The oracle: short days whose every row is kept in tests/oracle, so that a step which must not change
behaviour can show that it did not.

python tests/campaigns/oracle.py              run all of it again and print what differs
python tests/campaigns/oracle.py --renew      let what happens now be what is expected
python tests/campaigns/oracle.py --record     make the recordings anew (their format changed)
python tests/campaigns/oracle.py --show NAME  print all lines of a walk, to compare two commits

Three kinds of day. A *walk* (tests/support/walks.py) is the engine alone against a broker of chance:
of each twenty lines of what it wanted, digits are kept; its words are in them. What it remembers is
kept apart: a field that only has another name moves walks-states.txt and nothing else. A *virtual* day is the whole bot against the simulator: all rows of the journal, every
order call, the simulator's books. It also moves when a question is asked earlier or later. A
*recorded* day is what one process heard, given to codec and engine again: only the decisions can
move it. Rows on which money rests stand here in full, of others their first eight hex digits; of what
is told only its code: the values that word it are held by the tests of the words.

When it may be renewed: in a commit that says which rows changed and why that is wanted. Never to let a
step pass that was meant to change nothing. A change of what rows look like raises the journal's
format; then the old recordings stay as they are and must still be read.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import hashlib
import json
import logging
import random
import shutil
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parent.parent)]

import harness  # noqa: E402  the path is set above
import walks  # noqa: E402

import kis_realtime_trading as bot  # noqa: E402
from companions import replay, simulator  # noqa: E402

KEPT = HERE.parent / "oracle"
# What goes wrong on a day; drawn here and not by days.py, whose swarm grows.
TROUBLE: dict[str, tuple[dict[str, Any], ...]] = {
    "none": (),
    "answers": (
        {
            "match": {"kind": "order", "nth": 2},
            "effect": {"do": "lose", "how": "reset", "executed": True},
        },
        {"match": {"kind": "order", "nth": 4}, "effect": {"do": "lose", "how": "hang"}},
        {"match": {"kind": "cancel"}, "effect": {"do": "lose", "how": "reset", "executed": True}},
        {"match": {"kind": "account", "probability": 0.1}, "effect": {"do": "html", "status": 503}},
    ),
    "feed": (
        {"match": {"kind": "book", "nth": 60}, "effect": {"do": "ws_close"}},
        {"match": {"kind": "fill", "probability": 0.3}, "effect": {"do": "notice_drop"}},
        {
            "match": {"kind": "trade", "probability": 0.02},
            "effect": {"do": "frame_repeat", "times": 2},
        },
        {"match": {"kind": "order", "nth": 3}, "effect": {"do": "list_delay", "seconds": 40}},
    ),
}


class Day(NamedTuple):
    """A short day: the market's seed, which server, what goes wrong, when it ends."""

    seed: int
    environment: str
    trouble: str
    until: str


VIRTUAL = {
    "day-quiet": Day(1, "real", "none", "10:12"),
    "day-answers": Day(2, "real", "answers", "10:12"),
    "day-feed": Day(3, "paper", "feed", "10:12"),
}
RECORDED = {
    "recorded-paper": Day(4, "paper", "answers", "10:05"),
    "recorded-real": Day(5, "real", "feed", "10:05"),
}
SYMBOLS = ("000660", "069500")


def world_of(day: Day) -> tuple[harness.World, list[harness.Wish]]:
    """Make the market of a day, and what its strategy will want."""
    pick = random.Random(day.seed)
    config = simulator.SimulatorConfig(
        day=date(2026, 11, 20), seed=day.seed, symbols=SYMBOLS, environment=day.environment,
        density=2.0, faults=TROUBLE[day.trouble],
    )  # fmt: skip
    last, wishes = int(day.until[3:]) * 48, []
    for at in sorted(pick.randint(20, last) for _ in range(7)):
        stop, target = 1 - pick.choice((0.002, 0.01)), 1 + pick.choice((0.003, 0.01))
        wish = harness.Wish(
            f"10:{at // 60:02d}:{at % 60:02d}", pick.choice(SYMBOLS), pick.randint(1, 15),
            pick.choice((5, 3, 1, 0, -3)), (stop, target),
        )  # fmt: skip
        wishes.append(wish)
    ends = f"10:{last // 60:02d}"
    settings = {"limits": {"max_data_age_s": 100}, "last_entry": ends, "flat_at": ends}
    return harness.World(config, start="09:57:00", seed=day.seed, settings=settings), wishes


async def play(world: harness.World, wishes: list[harness.Wish], until: str) -> None:
    """Run the day to its end."""
    run = asyncio.create_task(world.day(harness.Scripted(wishes), alone=True))
    await world.until(f"{until}:00")
    assert world.trader is not None
    world.trader.stop("the day is a short one")
    await run


MONEY = frozenset(
    {"intent", "ledger", "decision", "refusal", "request", "hold", "command", "instrument"}
)


def digest_of(text: str, digits: int = 8) -> str:
    """Return the first hex digits of a text's hash."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def shown(rows: Iterable[tuple[str, str, str]]) -> list[str]:
    """Return a line for each row: kind, reference, body or its digest; at the end that of all."""
    rows = list(rows)
    lines = [
        f"{kind} {ref} {body if kind in MONEY else digest_of(body)}".replace("  ", " ")
        for kind, ref, body in rows
    ]
    return [*lines, f"{len(rows)} rows {digest_of(str(rows), 64)}"]


def virtual_day(name: str) -> list[str]:
    """Run a short day of the whole bot; return its lines, with order calls and the books."""
    day = VIRTUAL[name]
    world, wishes = world_of(day)
    try:
        harness.run_virtual(play(world, wishes, day.until))
        journal = bot.Journal(world.folder / "journal.sqlite3", read_only=True)
        rows = [
            (f"{row.at[11:19]} {row.kind}", row.ref, "" if row.kind == "alert" else row.body)
            for row in journal.rows()
        ]
        journal.close()
        full = [
            (kind, ref, body if kind[9:] in MONEY else digest_of(body)) for kind, ref, body in rows
        ]
        lines = [" ".join(filter(None, row)) for row in full]
        posts = [
            f"POST {path} {json.dumps(body, sort_keys=True)}" for path, body in world.network.posts
        ]
        posts = [each.replace(world.sim.credentials.paper_account, "PAPER") for each in posts]
        posts = [each.replace(world.sim.credentials.real_account, "REAL") for each in posts]
        books = json.dumps(world.sim.books(), default=str)
        return [
            *lines,
            *posts,
            f"{len(rows)} rows {digest_of(str(rows), 64)}",
            f"books {digest_of(books, 64)}",
        ]
    finally:
        world.close()


def recorded_day(name: str) -> list[str]:
    """Give a kept recording to codec and engine again; return its lines."""
    world, wishes = world_of(RECORDED[name])
    world.close()
    return shown(replay.replay(KEPT / f"{name}-0000.gz", harness.Scripted(wishes)).rows)


def record_day(name: str) -> None:
    """Make a recording anew."""
    world, wishes = world_of(RECORDED[name])
    world.record = True
    try:
        harness.run_virtual(play(world, wishes, RECORDED[name].until))
        [made] = sorted((world.folder / "records").glob("*-0000.gz"))
        shutil.copyfile(made, KEPT / f"{name}-0000.gz")
    finally:
        world.close()


def lines_of(name: str) -> list[str]:
    """Return the lines of a day of either kind."""
    return virtual_day(name) if name in VIRTUAL else recorded_day(name)


def difference(name: str, most: int = 40) -> list[str]:
    """Run a day; return how it differs from what is kept: no line when it does not."""
    kept = (KEPT / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    found = list(
        difflib.unified_diff(kept, lines_of(name), f"{name} kept", f"{name} now", "", "", 1, "")
    )
    more = [f"... {len(found) - most} lines more"] if len(found) > most else []
    return [*found[:most], *more]


def main() -> int:
    """Compare, or renew; 1 when something differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--renew", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--show", choices=list(walks.KEPT), metavar="NAME")
    options = parser.parse_args()
    if options.show:
        print("\n".join(walks.lines_of(options.show)))
        return 0
    logging.getLogger("kisbot").setLevel(logging.CRITICAL)
    found = False
    for name in (*VIRTUAL, *RECORDED):
        if options.record and name in RECORDED:
            record_day(name)
        if options.renew or options.record:
            (KEPT / f"{name}.txt").write_text("\n".join(lines_of(name)) + "\n", encoding="utf-8")
            continue
        lines = difference(name)
        found |= bool(lines)
        print("\n".join(lines) or f"{name}: equal", flush=True)
    if options.renew:
        walks.renew()
    for name in () if options.renew else walks.KEPT:
        lines = walks.moved(name)
        found |= bool(lines)
        print("\n".join(lines) or f"walk {name}: equal", flush=True)
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
