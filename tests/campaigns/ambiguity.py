"""Orders of unknown outcome, by the thousand: what the bot believes against what is true.

Each case is made from a number: an operation (buy, sell, cancel, modify), a fault of its call, how
late the broker's list shows the order, what the owner does meanwhile, a crash, the environment. The
whole bot runs in virtual time. At the end every order of ours is compared with the simulator.

    python tests/campaigns/ambiguity.py --cases 10000 --workers 2
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parent.parent)]

import harness  # noqa: E402  the path is set above

import kis_realtime_trading as bot  # noqa: E402
from companions import simulator  # noqa: E402

OPERATIONS = ("buy", "sell", "cancel", "modify")
FAULTS: dict[str, dict[str, Any]] = {
    "request lost, reset": {"do": "lose", "how": "reset"},
    "request lost, hang": {"do": "lose", "how": "hang"},
    "answer lost, reset": {"do": "lose", "how": "reset", "executed": True},
    "answer lost, hang": {"do": "lose", "how": "hang", "executed": True},
    "EGW00301 after acceptance": {"do": "error", "code": "EGW00301", "executed": True},
    "EGW00302 without": {"do": "error", "code": "EGW00302"},
    "HTML 502 after acceptance": {"do": "html", "status": 502, "executed": True},
    "HTML 502 without": {"do": "html", "status": 502},
    "body cut": {"do": "garble", "how": "truncate"},
    "no order number": {"do": "odno", "style": "empty"},
}
DELAYS = (0, 8, 90, 170, 400)
TWINS = ("none", "none", "two equal manual orders")
CRASHES = (None, None, 3, 70)
WHEN = "09:20:00"
SYMBOL = "005930"


@dataclass(frozen=True)
class Case:
    """One situation."""

    seed: int
    operation: str
    fault: str
    delay: int
    twins: str
    crash: int | None
    environment: str
    canary: bool  # another order of ours is known already

    @classmethod
    def of(cls, seed: int) -> Case:
        """Make the case of a number."""
        pick = random.Random(seed)
        return cls(
            seed,
            pick.choice(OPERATIONS),
            pick.choice(list(FAULTS)),
            pick.choice(DELAYS),
            pick.choice(TWINS),
            pick.choice(CRASHES),
            pick.choice(("paper", "real")),
            pick.random() < 0.6,
        )


def world_of(case: Case) -> harness.World:
    """Build the world: the fault strikes one call of the wanted operation after WHEN."""
    match: dict[str, Any] = {"from": WHEN, "times": 1}
    if case.operation in ("buy", "sell"):
        match |= {"kind": "order", "side": case.operation.upper()}
    else:
        match |= {"kind": "modify" if case.operation == "modify" else "cancel"}
    rules = [{"match": match, "effect": FAULTS[case.fault]}]
    if case.delay and case.operation in ("buy", "sell"):
        late = {"kind": "order", "side": case.operation.upper(), "from": WHEN, "times": 1}
        rules.append({"match": late, "effect": {"do": "list_delay", "seconds": case.delay}})
    if case.operation == "modify":  # an exit that does not fill, so that it is changed
        still = {"kind": "order", "side": "SELL", "from": WHEN, "times": 1}
        rules.append({"match": still, "effect": {"do": "no_fill", "seconds": 60}})
    config = simulator.SimulatorConfig(
        symbols=(SYMBOL,),
        environment=case.environment,
        density=20.0,
        seed=1000 + case.seed % 7,
        faults=tuple(rules),
    )
    return harness.World(
        config,
        start="09:14:00",
        seed=case.seed,
        settings={"entry_timeout_s": 60.0, "flat_at": None},
    )


class CaseStrategy(harness.Scripted):
    """Buys before WHEN where a position or a canary is needed; acts at WHEN."""

    def __init__(self, case: Case) -> None:
        self.case = case
        wishes = []
        if case.canary or case.operation in ("sell", "modify"):
            wishes.append(harness.Wish("09:16:00", SYMBOL, 7, plan=(0.7, 1.29)))
        if case.operation == "buy":
            offset = -30 if case.seed % 2 else 3
            wishes.append(harness.Wish(WHEN, SYMBOL, 11, offset, plan=(0.7, 1.29)))
        if case.operation == "cancel":
            wishes.append(harness.Wish("09:19:40", SYMBOL, 11, -30, plan=(0.7, 1.29)))
        super().__init__(wishes)
        self.sold = False

    def on_trade(self, view: bot.StrategyView, trade: bot.Trade) -> bot.OrderRequest | None:
        wants_exit = self.case.operation in ("sell", "modify") and not self.sold
        if wants_exit and f"{trade.ts_exchange:%H:%M:%S}" >= WHEN and view.position.quantity:
            self.sold = True
            return view.sell("script", "script")
        return super().on_trade(view, trade)


async def play(case: Case, world: harness.World) -> bot.Trader:
    """Run the case until twelve minutes after WHEN."""
    driver = asyncio.create_task(world.network.drive())
    strategy = CaseStrategy(case)
    trader = world.make_trader(strategy)
    run = asyncio.create_task(trader.run(one_day=True))
    await world.until("09:20:02")
    if case.twins != "none":
        manual_twins(case, world, trader)
    if case.crash:
        await world.until(f"09:2{case.crash // 60}:{case.crash % 60 + 2:02d}")
        await harness.kill(run, trader)
        again = CaseStrategy(case)
        again.sold, again.wishes = strategy.sold, strategy.wishes
        trader = world.make_trader(again)
        run = asyncio.create_task(trader.run(one_day=True))
    await world.until("09:33:00")
    trader.stop("the case is over")
    await asyncio.gather(run, return_exceptions=True)
    trader.journal.close()
    driver.cancel()
    return trader


def manual_twins(case: Case, world: harness.World, trader: bot.Trader) -> None:
    """The owner places the same order twice by phone (as far as the account allows)."""
    mine = [o for o in trader.engine.core.ledger.orders.values() if o.own]
    if not mine or case.operation not in ("buy",):
        return
    intent = mine[-1].intent
    for _ in range(2):
        try:
            world.sim.manual_order(SYMBOL, str(intent.side), intent.quantity, intent.price)
        except ValueError:
            return


def judge(case: Case, world: harness.World, trader: bot.Trader) -> tuple[str, str]:
    """Return (verdict, detail): right, quarantined, or wrong."""
    ledger = trader.engine.core.ledger
    truth = {o["order_no"]: o for o in world.sim.books()["orders"]}
    roots = {n for n, o in truth.items() if o["source"] == "api" and not o["original_order_no"]}
    own = [o for o in ledger.orders.values() if o.own]
    bound = {number for (day, number), key in ledger.by_number.items() if ledger.orders[key].own}
    unbound = roots - bound
    asked = [o for o in own if o.status is bot.OrderStatus.QUARANTINED]
    strangers = {n for n in bound if n in truth and truth[n]["source"] == "owner"}
    if strangers:
        return "wrong", f"took the owner's order {sorted(strangers)}"
    if len(roots) > len(own):
        return "wrong", f"{len(roots)} orders for {len(own)} intents"
    for order in own:
        if order.status in bot.NEVER_EXISTED and unbound:
            return "wrong", f"{order.intent.leg} is {order.status}, but {sorted(unbound)} exists"
        if order.status in (bot.OrderStatus.UNKNOWN, bot.OrderStatus.SUBMITTING):
            return "wrong", f"{order.intent.leg} is still {order.status}"
        if order.order_no:
            wrong = compare_order(order, truth)
            if wrong:
                return "wrong", wrong
    if asked:
        return "quarantined", f"{asked[0].intent.leg}"
    found = harness.differences(world.sim, ledger)
    return ("wrong", "; ".join(found)) if found else ("right", "")


def compare_order(order: bot.Order, truth: dict[str, dict[str, Any]]) -> str:
    """Compare one bound order with the simulator's; return what differs."""
    numbers = {order.order_no, *order.fills}
    filled = sum(truth[n]["filled_quantity"] for n in numbers if n in truth)
    if filled != order.filled_quantity:
        return f"{order.intent.leg}: filled {order.filled_quantity}, truly {filled}"
    last = truth.get(order.order_no)
    if last is None:
        return f"{order.intent.leg}: number {order.order_no} does not exist"
    alive = last["remaining_quantity"] > 0
    if alive != (order.status in bot.OPEN_STATUSES):
        return f"{order.intent.leg}: {order.status}, truly {last['remaining_quantity']} left"
    return ""


def run_case(seed: int) -> tuple[int, str, str, Case]:
    """Run one case; an exception is a wrong resolution too."""
    case = Case.of(seed)
    world = world_of(case)
    try:
        trader = harness.run_virtual(play(case, world))
        verdict, detail = judge(case, world, trader)
    except Exception as error:
        verdict, detail = "wrong", f"{type(error).__name__}: {error}"
    finally:
        world.close()
    return seed, verdict, detail, case


def campaign(seeds: range, workers: int) -> int:
    """Run many cases; print the count of each verdict; return how many were wrong."""
    verdicts: Counter[str] = Counter()
    began, shown = time.monotonic(), 0.0
    with ProcessPoolExecutor(workers) as pool:
        for done, (seed, verdict, detail, case) in enumerate(
            pool.map(run_case, seeds, chunksize=8), 1
        ):
            verdicts[verdict] += 1
            if verdict == "wrong":
                print(f"seed {seed}: {detail}\n   {case}", flush=True)
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                print(
                    f"{done} of {len(seeds)} cases, {dict(verdicts)}", file=sys.stderr, flush=True
                )
    spent = time.monotonic() - began
    print(f"{len(seeds)} cases in {spent:.0f} s: {dict(sorted(verdicts.items()))}")
    return verdicts["wrong"]


def main() -> int:
    """Run the campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    bot.logging.getLogger("kisbot").setLevel(bot.logging.CRITICAL)
    return min(1, campaign(range(options.first, options.first + options.cases), options.workers))


if __name__ == "__main__":
    sys.exit(main())
