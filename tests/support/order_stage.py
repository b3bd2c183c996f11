"""What the campaigns of orders share: time that outlives a kill, steps to die at, what was seen, the loop of kills."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from harness import run_virtual

from kis_realtime_trading import Journal, NoAnswer, OrderStatus
from venues.orders import Refused
from venues.spot import SpotLimits

HUGE = Decimal(10**15)
LIMITS = SpotLimits(HUGE, HUGE, HUGE, HUGE, 60, Decimal(5))


class Killed(BaseException):
    """The process ends here: nothing may catch it."""


class Time:
    """Time of the exchange and of the program; it goes on over a kill."""

    START_MS = 1_795_000_000_000

    def __init__(self) -> None:
        self.before_ms = self.START_MS

    def wall_ms(self) -> int:
        return self.before_ms + self.mono_ns() // 10**6

    def mono_ns(self) -> int:
        try:
            return round(asyncio.get_running_loop().time() * 10**9)
        except RuntimeError:
            return 0


class Steps:
    """Moments at which a process may die: before and after each row and each request."""

    def __init__(self) -> None:
        self.steps, self.kill_at = 0, -1
        self.journals: list[Journal] = []
        self.sent_bodies: list[bytes] = []

    def step(self) -> None:
        """Count one; die at the one that was asked for."""
        self.steps += 1
        if self.steps == self.kill_at:
            raise Killed

    def journal(self, path: Path) -> Journal:
        """Open a journal whose writes are steps."""
        journal = Journal(path)
        self.journals.append(journal)
        append = journal.append

        def stepped(*given: Any) -> None:
            self.step()
            append(*given)
            self.step()

        journal.append = stepped  # type: ignore[method-assign]
        return journal

    def over(self, seen: Seen, path: Path) -> None:
        """End a world: look for floats in its rows and requests, let go of its journals.

        A journal that stays open keeps its thread, and with it the whole world.
        """
        while self.journals:
            self.journals.pop().close()
        reader = Journal(path, read_only=True)
        for row in reader.rows():
            seen.looked_for_floats(row.body)
        reader.close()
        for body in self.sent_bodies:
            seen.looked_for_floats(body)


def lost() -> Any:
    """Answer nothing."""
    raise NoAnswer("cut")


def odd(kind: int, arrive: Callable[[], Any], reply: Callable[[int, str], Any]) -> Any:
    """Answer a question in one of four bad ways: cut before, an error, no JSON, cut after."""
    if kind == 1:
        return reply(500, "{}")
    if kind == 2:
        return reply(200, "<html>")
    if kind == 3:
        arrive()
    return lost()


@dataclass
class Seen:
    """What a run saw. `ends` by status, `refused` by the code of a rule."""

    orders: int = 0
    posts: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    settled: int = 0  # by the owner
    ends: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    changes: int = 0
    cancels: int = 0
    texts: int = 0  # rows and bodies in which a float was looked for
    floats: list[str] = field(default_factory=list)

    def looked_for_floats(self, text: str | bytes) -> None:
        """Look for a JSON number with a point or an exponent in a row or in the body of a request."""
        self.texts += 1
        json.loads(text, parse_float=self.floats.append)

    @property
    def good(self) -> bool:
        """Tell whether nothing was posted twice, ended in another way than in truth, or was a float."""
        return (
            not (self.doubled or self.wrong or self.floats) and self.orders > 0 and self.texts > 0
        )

    def ended(self, order: Any, posts: int, what: str) -> bool:
        """Count an order; False: only its owner can say how it ended."""
        figures = (order.filled, order.filled_funds, order.reserve, *order.fees.values())
        self.floats += [f"{what}: {each!r}" for each in figures if type(each) is not Decimal]
        self.doubled += max(0, posts - 1)
        self.posts += posts
        self.ends[order.status.value] += 1
        if order.status is OrderStatus.QUARANTINED:
            self.undecided.append(what)
        return order.status is not OrderStatus.QUARANTINED

    def told(self, seconds: float) -> str:
        """Return it as text."""
        which = Counter(each.partition(" ")[2] for each in self.undecided).most_common(8)
        return "\n".join([
            f"{self.orders} orders, {self.posts} posts, {self.changes} changes, {self.cancels} cancels, doubled {self.doubled}, "
            f"wrong ends {len(self.wrong)}, floats {len(self.floats)} in {self.texts:,} texts, undecided {len(self.undecided)}, "
            f"settled by the owner {self.settled}; {seconds:.0f} s",
            "  " + ", ".join(f"{end} {count}" for end, count in self.ends.most_common()),
            f"  refused by rules: {dict(self.refused)}", f"  undecided: {which}", *self.wrong[:15], *self.floats[:5],
        ])  # fmt: skip


async def placed_in_turn(world: Any, desk: Any, wish: Any, fault: str) -> Any:
    """Send a wish as soon as nothing unresolved stands before it.

    What only its owner can say (`world.owner`) he says by the truth of the venue: without him nothing more
    would ever leave for that coin, and a day would have no end.
    """
    for _ in range(3_600):
        world.fault = fault
        placed = await desk.place(wish)
        world.fault = ""
        if not isinstance(placed, Refused) or placed.codes != ("unresolved",):
            return placed
        await desk.resolve()
        for order in desk.ledger.orders.values():
            if order.status is OrderStatus.QUARANTINED:
                await world.owner(desk, order)
        await asyncio.sleep(1.0)
    raise AssertionError("an order stays unresolved for an hour, and its owner cannot help")


def killed_at(world: Any, kill_at: int, script: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Run a script, die at a step, start again; tell whether it died."""
    died, world.kill_at = False, kill_at

    async def scene() -> None:
        try:
            await script()
        finally:
            world.time.before_ms = world.time.wall_ms()
            world.time.mono_ns = lambda: 0

    for _ in range(2):
        try:
            run_virtual(scene())
            break
        except Killed:
            died, world.kill_at = True, -1
            before, world.time = world.time.before_ms, type(world.time)()
            world.time.before_ms = before + 5_000
            world.goes_on()
    return died


def kills(one: Callable[[int, Seen], bool], every: int) -> tuple[Seen, int]:
    """Kill at every step (or each so many) until one run ends by itself; `one` tells whether it died."""
    seen, at, count = Seen(), 1, 0
    while one(at, seen):
        at, count = at + every, count + 1
    return seen, count
