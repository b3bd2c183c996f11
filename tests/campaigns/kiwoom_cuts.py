"""Condition search over random cuts, in virtual time: members must equal the simulator's truth.

    python tests/campaigns/kiwoom_cuts.py --cuts 1000

Stocks move in and out all the time, also while the line is down and between a question and its answer;
answers come late, pushes twice, conditions get other numbers. After each return the members are compared,
and once more the other way: whoever only followed what was told must have the same members.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from harness import run_virtual  # noqa: E402
from kiwoom_stage import Wire  # noqa: E402

from venues.kiwoom import ConditionPush, read_real  # noqa: E402
from venues.kiwoom_conditions import ConditionChange, ConditionFeed  # noqa: E402
from venues.kiwoom_stream import Follower, KiwoomLine, Session  # noqa: E402
from venues.wire import Statistics  # noqa: E402

NAMES = ("돌파", "눌림목", "거래량 급증")
STOCKS = tuple(f"{number:06d}" for number in range(100, 140))


@dataclass
class Result:
    """What was seen."""

    cuts: int = 0
    checks: int = 0
    changes: int = 0
    wrong: list[str] = field(default_factory=list)
    told_wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


class Heard:
    """Members as somebody has them who only follows what is told; a repeated change is a mistake."""

    def __init__(self, result: Result) -> None:
        self.members: dict[str, set[str]] = {name: set() for name in NAMES}
        self._result = result

    def __call__(self, change: ConditionChange) -> None:
        self._result.changes += 1
        members = self.members[change.name]
        if change.inside == (change.symbol in members):
            self._result.told_wrong.append(f"{change} told although it was so")
        (members.add if change.inside else members.discard)(change.symbol)


def cuts(count: int, seed: int) -> Result:
    """Cut the line so many times at random moments."""
    result, rng = Result(), random.Random(seed)

    async def scene() -> None:
        wire = Wire(seed=seed)
        core, heard = wire.core, Heard(result)
        core.answer_delay_ms = 1_500
        session: Session
        follower = Follower(lambda symbol, on: session.watch(symbol, on), 20, ())

        def changed(change: ConditionChange) -> None:
            heard(change)
            follower.changed(change)

        feed = ConditionFeed(NAMES, changed)
        session = Session(lambda event: None, (), False, feed)
        line = KiwoomLine(
            wire.client().tokens, "ws://127.0.0.1", session, lambda change: None, Statistics(),
            wire.time, wire.connect,
        )  # fmt: skip
        task = asyncio.create_task(line.run())
        moving = asyncio.create_task(_move(wire, rng))
        try:
            while result.cuts < count:
                await _settled(wire, feed, result)
                _compare(wire, feed, heard, result)
                if follower.followed - set(session.stocks) or len(follower.followed) > 20:
                    result.wrong.append(f"cut {result.cuts}: {len(follower.followed)} followed")
                await asyncio.sleep(rng.choice([0.0, 0.05, 0.3, 1.0, 5.0]))
                _cut(wire, rng)
                result.cuts += 1
        finally:
            for each in (task, moving):
                each.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await each

    run_virtual(scene())
    return result


async def _move(wire: Wire, rng: random.Random) -> None:
    """Let stocks come and go for ever; some pushes come twice."""
    while True:
        await asyncio.sleep(rng.choice([0.01, 0.05, 0.2, 0.7]))
        core = wire.core
        seq = rng.choice(list(core.conditions))
        core.flip(seq, rng.choice(STOCKS))
        if wire.sockets and rng.random() < 0.2 and (out := wire.sockets[-1].session.out):
            out.append(out[-1])


def _cut(wire: Wire, rng: random.Random) -> None:
    """End the connection, perhaps in the middle of questions, perhaps with new numbers, perhaps twice."""
    wire.sockets[-1].session.closed = True
    if rng.random() < 0.2:
        numbers = rng.sample(range(10, 90), len(wire.core.conditions))
        wire.core.conditions = {
            str(n): kept for n, kept in zip(numbers, wire.core.conditions.values(), strict=True)
        }
    if rng.random() < 0.1:
        wire.core.expire_token()


async def _settled(wire: Wire, feed: ConditionFeed, result: Result) -> None:
    """Wait until the line is back and every answer is in; sometimes cut in the middle of it."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while (
        wire.sockets[-1:] == []
        or wire.sockets[-1].session.closed
        or not (feed.done and feed.fresh == set(NAMES))
    ):
        await asyncio.sleep(0.05)
        if loop.time() - began > 900:
            result.wrong.append(f"cut {result.cuts}: not back after 900 s")
            return
    result.slowest_s = max(result.slowest_s, loop.time() - began)


def _compare(wire: Wire, feed: ConditionFeed, heard: Heard, result: Result) -> None:
    """Hold the members against the truth, once every frame on its way has been read."""
    for frame in wire.sockets[-1].session.take():
        feed_of(frame, feed)
    truth = {name: set(members) for name, members in wire.core.conditions.values()}
    result.checks += 1
    if feed.members != truth:
        result.wrong.append(f"cut {result.cuts}: {feed.members} is not {truth}")
    if heard.members != truth:
        result.told_wrong.append(f"cut {result.cuts}: what was told adds up to something else")


def feed_of(frame: str, feed: ConditionFeed) -> None:
    """Hand a push to the feed as the line would."""
    read = json.loads(frame)
    if read["trnm"] == "REAL":
        for event in read_real(read, 0, 0):
            if isinstance(event, ConditionPush):
                feed.push(event)


def main() -> int:
    """Run by the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options, began = parser.parse_args(), time.monotonic()
    result = cuts(options.cuts, options.seed)
    print(f"{result.cuts} cuts, {result.checks} comparisons, {result.changes} changes told, "
          f"wrong members {len(result.wrong)}, wrong tellings {len(result.told_wrong)}, "
          f"slowest return {result.slowest_s:.1f} s (virtual); {time.monotonic() - began:.0f} s")  # fmt: skip
    print("\n".join([*result.wrong[:5], *result.told_wrong[:5]]))
    return 0 if not (result.wrong or result.told_wrong) else 1


if __name__ == "__main__":
    sys.exit(main())
