"""Walks through the bot: which of its functions one order, one lost order and one restart pass.

A profile hook notes each function of the bot's file while the whole bot runs in virtual time, what
other loops do meanwhile included. Comprehensions and lambdas are part of the function around them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import edge
import harness

import kis_realtime_trading as bot

SYMBOL = "005930"


class Walk:
    """The functions passed so far, each once, in order; and what is called to look at each.

    `usual` are those that the minutes before passed already: what loops and trades do all day.
    """

    def __init__(self) -> None:
        self.passed: dict[CodeType, None] = {}
        self.usual: set[str] = set()
        self.on_call: Callable[[str], None] = lambda name: None

    @property
    def names(self) -> list[str]:
        """Return the qualified names."""
        return [code.co_qualname for code in self.passed]

    def begin(self) -> None:
        """Note functions from now on, in this thread; what was noted before is usual."""
        self.usual, self.passed = set(self.names), {}
        sys.setprofile(self._note)

    def end(self) -> None:
        """Note no more."""
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename == bot.__file__ and code.co_name[:1] != "<":
            self.passed.setdefault(code)
            self.on_call(code.co_qualname)


class Once(bot.TradingStrategy):
    """Wants one entry, begins the walk with it, and ends it with its fill."""

    def __init__(self, walk: Walk) -> None:
        super().__init__()
        self._walk, self._wanted, self._looks = walk, False, False

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> None:
        return None

    def on_trade(self, view: bot.StrategyView, trade: bot.Trade) -> bot.OrderRequest | None:
        at = f"{trade.ts_exchange:%H:%M:%S}"
        if at >= "09:20:30" and not self._looks:
            self._looks = True
            self._walk.begin()
        if self._wanted or at < "09:22":
            return None
        self._wanted = True
        self._walk.begin()
        price = bot.step_ticks(trade.price, view.fund, 5)
        plan = bot.ExitPlan(view.round_price(price * 0.8, up=False))
        return view.buy(5, price, "once", plan, "script")

    def on_fill(self, view: bot.StrategyView, side: bot.Side, quantity: int, price: float) -> None:
        self._walk.end()


@contextmanager
def world(*faults: dict[str, Any]) -> Iterator[harness.World]:
    """Give a world at 09:19 in which many trade, with some faults."""
    made = harness.World(edge.config(density=10.0, faults=faults), start="09:19:00")
    try:
        yield made
    finally:
        sys.setprofile(None)
        made.close()


def _play(there: harness.World, story: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        there.network.advance()
        driver = asyncio.create_task(there.network.drive())
        try:
            await story()
        finally:
            driver.cancel()

    harness.run_virtual(main())


async def _until_filled(there: harness.World, walk: Walk) -> bot.Trader:
    trader = there.make_trader(Once(walk))
    run = asyncio.create_task(trader.run(one_day=True))
    while not trader.engine.core.ledger.position(SYMBOL).quantity:
        await asyncio.sleep(0.01)
    trader.stop("walked")
    await run
    trader.journal.close()
    return trader


def of_an_order(lost: bool = False) -> tuple[int, Walk]:
    """Walk from a wish to its booked fill; return how many were passed when the order left, and the walk.

    `lost`: the answer never comes although the order was taken.
    """
    walk, at_the_wire = Walk(), 0
    fault = {
        "match": {"kind": "order", "nth": 1},
        "effect": {"do": "lose", "how": "reset", "executed": True},
    }
    with world(*[fault] * lost) as there:

        def look(method: str, path: str) -> None:
            nonlocal at_the_wire
            if path.endswith("order-cash"):
                at_the_wire = len(walk.passed)

        there.network.before_request = look

        async def story() -> None:
            await _until_filled(there, walk)

        _play(there, story)
    return at_the_wire, walk


def of_a_restart() -> Walk:
    """Walk from the journal of a position to the first look at its stop."""
    walk = Walk()
    with world() as there:

        async def story() -> None:
            await _until_filled(there, Walk())
            guarded = asyncio.Event()

            def look(name: str) -> None:
                if name == "ExitDesk.watch":
                    walk.end()
                    guarded.set()

            walk.on_call = look
            walk.begin()
            trader = there.make_trader(harness.Nothing())
            run = asyncio.create_task(trader.run(one_day=True))
            await guarded.wait()
            trader.stop("walked")
            await run
            trader.journal.close()

        _play(there, story)
    return walk
