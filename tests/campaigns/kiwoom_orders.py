"""Orders at Kiwoom under faults, and a kill at every step, in virtual time.

    python tests/campaigns/kiwoom_orders.py --orders 5000     # faults of the wire, the lists, the notices
    python tests/campaigns/kiwoom_orders.py --kills           # a scripted day, killed at every write and request

The simulated Kiwoom holds the truth: how often an intent was posted, what exists, what filled. It takes no
id of ours, so the wire notes which order numbers a POST brought about. The readings of what is unconfirmed
(padding, times, rows a fill or an order, the rest of a cancelled order) are drawn anew in each world.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import order_stage  # noqa: E402
from harness import run_virtual  # noqa: E402
from kiwoom_stage import Wire  # noqa: E402
from order_stage import LIMITS, Seen, Steps  # noqa: E402

from kis_realtime_trading import (  # noqa: E402
    KST,
    NEVER_EXISTED,
    RESTING,
    BotError,
    OrderStatus,
    Side,
)
from venues import kiwoom  # noqa: E402
from venues.common import Kind, Purpose  # noqa: E402
from venues.kiwoom_orders import TRADE_KINDS, KiwoomDesk, KiwoomOrders  # noqa: E402
from venues.orders import Refused, Wish  # noqa: E402
from venues.spot import SpotOrder  # noqa: E402

FAULTS = ("", "", "", "no_connection", "lost_before", "lost_after", "late", "500_with", "500_without",
          "html_with", "html_without", "half_with", "429", "closed", "1999", "token", "lag", "numberless")  # fmt: skip
PLANS: tuple[list[tuple[int, int]], ...] = (
    [(0, 100)], [(0, 40), (3_000, 100)], [(7_000, 100)], [], [(500, 30)], [(200, 30), (2_000, 30), (9_000, 100)],
)  # fmt: skip
# How a day's list words where an order was entered, by us and by the owner; two of them tell nothing at first.
WAYS = (*[("REST API", "영웅문S")] * 4, ("OpenAPI", "HTS"), ("단말 7", "영웅문S"), ("", ""))


class World(Steps, Wire):
    """One account, its truth, the wire, and the stream between it and the program."""

    def __init__(self, seed: int, mock: bool = False) -> None:
        Wire.__init__(self, mock, seed)
        Steps.__init__(self)
        core = self.core
        core.start_cash, core.start_shares = 10**12, dict.fromkeys(core.prices, 10**7)
        core.prefix, core.colons, core.fill_rows, core.cancel_keeps_rest = (
            bool(self.rng.randrange(2)) for _ in range(4)
        )
        core.page = self.rng.choice([3, 20, 100])
        core.notice_faults = {"drop", "double", "reorder"} if self.rng.random() < 0.7 else set()
        self.label, self.arrived = "", dict[str, list[tuple[str, int]]]()
        self.sent: Counter[str] = Counter()
        self.act_fault = ""  # of changes and cancels
        self.settled = 0
        self.desk: KiwoomDesk | None = None
        self.session: Any = None

    def opened(self, path: Path) -> KiwoomDesk:
        """Return the program after a start: journal opened, rebuilt."""
        port = KiwoomOrders(self.client(), "mark")
        self.open_journal = self.journal(path)
        self.desk = KiwoomDesk(port, self.open_journal, LIMITS, self.time)
        self.desk.rebuild()
        return self.desk

    async def owner(self, desk: KiwoomDesk, order: SpotOrder) -> None:
        """Say of an order what the venue shows its owner: it was never taken, or which number it is."""
        self.settled += 1
        arrived = self.arrived.get(f"w{order.intent.signal}")
        if not arrived:
            desk.settle(order)
        elif why := await desk.settle_as(order, f"{arrived[0][1]:07d}"):
            raise AssertionError(f"{arrived}: the owner may not say so: {why}")

    def goes_on(self) -> None:
        """A process died: the venue's time is the new one's."""
        self.core.now_ms = self.time.wall_ms

    def _order(self, tr: str, body: Any, arrive: Any) -> Any:
        label = self.label
        if self.fault != "no_connection":
            self.sent[label] += 1

        def noted() -> Any:
            before = set(self.core.orders)
            reply = arrive()
            self.arrived.setdefault(label, []).extend(set(self.core.orders) - before)
            return reply

        return super()._order(tr, body, noted)

    def _other(self, arrive: Any) -> Any:
        if self.seen[-1][0] in (kiwoom.CHANGE, kiwoom.CANCEL) and self.act_fault:
            if self.act_fault != "lost_before":
                arrive()
            order_stage.lost()
        return super()._other(arrive)

    def stream(self) -> None:
        """Hand what the stream says to the desk; a line that is down says nothing."""
        assert self.desk is not None
        if self.session is None or self.session.closed:
            if not self.core.token:
                return
            self.session = self.core.connect()
            self.session.hear(json.dumps({"trnm": "LOGIN", "token": self.core.token}))
            self.session.hear('{"trnm":"REG","grp_no":"1","data":[{"item":[""],"type":["00"]}]}')
        for text in self.session.take():
            frame = json.loads(text)
            if frame["trnm"] == "REAL":
                for event in kiwoom.read_real(frame, 0, self.time.wall_ms()):
                    if isinstance(event, kiwoom.Notice):
                        self.desk.notice(event)


def truth(world: World, label: str) -> tuple[int, int, int, str]:
    """Return shares, won, fees and the state of what a wish brought about."""
    core, now = world.core, world.time.wall_ms()
    (root,) = world.arrived[label]
    numbers, chain = {root}, [core.orders[root]]
    for key, order in core.orders.items():
        if order.original and (order.day, order.original) in numbers and order.act == "change":
            numbers.add(key)
            chain.append(order)
    filled = sum(order.filled(now) for order in chain)
    if filled >= chain[0].quantity:
        state = "filled"
    elif any(order.rest(now) for order in chain):
        state = "open"
    else:
        state = "over"
    fees = sum(core.fee(order) for order in chain)
    return filled, sum(order.amount(now) for order in chain), fees, state


ENDS = {
    "filled": {OrderStatus.FILLED},
    "over": {OrderStatus.CANCELLED, OrderStatus.EXPIRED},
    "open": {OrderStatus.WORKING, OrderStatus.PARTIAL},
}


def compare(world: World, order: SpotOrder, label: str, result: Seen, what: str) -> None:
    """Hold what we believe of an order against the venue's truth."""
    if not result.ended(order, world.sent[label], what):
        return
    wrong = ""
    if not world.arrived.get(label):
        wrong = "" if order.status in NEVER_EXISTED else "it does not exist"
    else:
        filled, amount, fees, state = truth(world, label)
        off = abs(int(order.filled_funds) - amount)
        asked = world.core.orders[world.arrived[label][0]]
        if order.status not in ENDS[state]:
            wrong = f"it is {state}"
        elif (order.intent.quantity, order.intent.price or 0) != (asked.quantity, asked.price):
            wrong = f"Kiwoom was asked for {asked}"
        elif order.filled != filled:
            wrong = f"filled {filled}, booked {order.filled}"
        elif off > (0 if world.core.fill_rows else filled):
            wrong = f"{amount} won, booked {order.filled_funds}"
        elif order.fees.get("KRW", 0) > fees:
            wrong = f"fees {fees}, booked {order.fees}"
    if wrong:
        result.wrong.append(f"{what}: {order.status}, but {wrong}")


def wish_of(world: World, number: int) -> Wish:
    """Return a random wish; few sizes, so that likeness is put to the test."""
    rng = world.rng
    side = rng.choice([Side.BUY, Side.SELL])
    symbol = rng.choice(list(world.core.prices))
    kind = rng.choice([Kind.LIMIT, Kind.LIMIT, Kind.LIMIT, Kind.LIMIT_IOC, Kind.SELL_AT_MARKET])
    quantity = Decimal(rng.choice([1, 3, 7, 10]))
    purpose = Purpose.EXIT if side is Side.SELL else Purpose.ENTRY
    if kind is Kind.SELL_AT_MARKET:
        return Wish(symbol, Side.SELL, kind, quantity, cause=str(number), purpose=Purpose.EXIT)
    price = Decimal(world.core.prices[symbol])
    return Wish(symbol, side, kind, quantity, None, price, purpose, str(number))


async def one_order(world: World, desk: KiwoomDesk, number: int, result: Seen) -> None:
    """Send one wish under a fault and look until it has come to rest; change or cancel what rests."""
    rng, wish = world.rng, wish_of(world, number)
    plan, core = rng.choice(PLANS), world.core
    core.parts, core.slip = lambda order: plan, rng.choice([0, 0, 1])
    fault = rng.choice(FAULTS)
    world.fault, world.late_s = fault, rng.choice([1.0, 3.0, 20.0, 50.0, 100.0, 400.0])
    world.trouble, world.label = 0.0, f"w{number}"
    twin = rng.choice(["before", "after"]) if rng.random() < 0.1 else ""
    kind = TRADE_KINDS[wish.kind]

    def owner() -> None:  # the owner does the same by his phone
        core.add(wish.symbol, wish.side is Side.BUY, int(wish.quantity or 0), int(wish.price or 0), kind, api=False)  # fmt: skip

    if twin == "before":
        owner()
    elif twin:
        asyncio.get_running_loop().call_later(rng.uniform(0.5, 60.0), owner)
    placed = await desk.place(wish)
    world.fault = ""
    world.trouble = rng.choice([0.0, 0.0, 0.1, 0.4])
    if isinstance(placed, Refused):
        result.refused.update(placed.codes)
        return
    result.orders += 1
    started = world.time.wall_ms()
    cancel_at, change_at = (started + rng.choice([0, 1_000, 5_000, 700_000]) for _ in range(2))
    listens, changed = rng.random() < 0.6, rng.random() < 0.6
    streaming = world.stream if listens else lambda: None
    while (now := world.time.wall_ms()) < started + 1_500_000:
        rests = placed.status in RESTING
        lost_for = now - (placed.ended_ms or now)
        watching = placed.status is OrderStatus.LOST and lost_for < desk.port.watch_lost_ms + 240_000  # fmt: skip
        if not placed.open and not watching:
            break
        streaming()
        world.act_fault = rng.choice(["", "", "lost_before", "lost_after"])
        if rests and not changed and now >= change_at and placed.intent.price:
            changed = True
            await changing(world, desk, placed, result)
        elif rests and now >= cancel_at:
            result.cancels += 1
            await desk.cancel(placed.intent.intent_id)
        world.act_fault = ""
        await desk.resolve()
        await asyncio.sleep(1.0 if placed.open else 20.0)
    world.stream()
    compare(world, placed, world.label, result, f"{number} {wish.kind} {fault}{twin and ' twin ' + twin} {core.ways[0]}")  # fmt: skip


async def changing(world: World, desk: KiwoomDesk, placed: SpotOrder, result: Seen) -> None:
    """Ask for another price, over a wire that may lose it."""
    step = Decimal(1_000) * world.rng.choice([-1, 1])
    result.changes += 1
    with contextlib.suppress(BotError):  # its questions had no answer: nothing was changed
        await desk.change(
            placed.intent.intent_id, (placed.price or placed.intent.price or 0) + step
        )


def faulted(orders: int, seed: int, folder: Path, a_world: int = 60, mock: bool = False) -> Seen:
    """Run so many orders, a fresh world each sixty, and compare each with the truth."""
    result, number = Seen(), 0
    while result.orders < orders:
        world = World(seed + number, mock)
        world.core.ways = world.rng.choice(WAYS)
        path = folder / f"kiwoom-{seed}-{number}.sqlite3"

        async def scene(world: World = world, path: Path = path) -> None:
            nonlocal number
            desk = world.opened(path)
            for _ in range(a_world):
                number += 1
                if await until_open(world) or world.rng.random() < 0.02:  # a new process
                    world.open_journal.close()
                    desk = world.opened(path)
                try:
                    await one_order(world, desk, number, result)
                except BotError as error:
                    result.wrong.append(f"{number}: {type(error).__name__} {error}")
                await asyncio.sleep(2.0)
                if result.orders >= orders:
                    break
            check_moved(world, desk, result)

        run_virtual(scene())
        world.sent_bodies = [body for _, body in world.bodies]
        world.over(result, path)
    return result


async def until_open(world: World) -> bool:
    """Wait for the next morning when the day is nearly over; tell whether it was."""
    now = datetime.fromtimestamp(world.time.wall_ms() / 1_000, KST)
    if now.hour >= 15:
        morning = (now + timedelta(days=1)).replace(hour=9, minute=0)
        await asyncio.sleep((morning - now).total_seconds())
        world.core.hidden.clear()  # numbers begin anew
        return True
    return False


def check_moved(world: World, desk: KiwoomDesk, result: Seen) -> None:
    """The shares that our orders moved are what the venue's fills of ours moved."""
    if any(order.status is OrderStatus.QUARANTINED for order in desk.ledger.orders.values()):
        return
    for symbol in world.core.prices:
        shares = 0
        for label in world.arrived:
            if world.arrived[label] and world.core.orders[world.arrived[label][0]].symbol == symbol:
                buys = world.core.orders[world.arrived[label][0]].buys
                shares += truth(world, label)[0] * (1 if buys else -1)
        ours = desk.ledger.moved.get(symbol, Decimal(0))
        if ours != shares:
            result.wrong.append(f"{symbol} moved {shares}, booked {ours}")


# --- kills ------------------------------------------------------------------------------

SCRIPT: tuple[tuple[str, list[tuple[int, int]], str], ...] = (
    ("", [(0, 100)], ""), ("lost_after", [(0, 100)], ""), ("", [], "cancel"), ("lost_before", [(0, 100)], ""),
    ("", [(0, 40)], "change"), ("500_with", [(0, 40), (3_000, 100)], ""), ("no_connection", [(0, 100)], ""),
)  # fmt: skip


async def scripted_day(world: World, desk: KiwoomDesk) -> None:
    """Seven wishes with a fault each; after a kill it begins anew and repeats nothing."""
    for number, (fault, plan, act) in enumerate(SCRIPT):
        world.core.parts = lambda order, plan=plan: plan  # type: ignore[misc]
        wish = Wish("005930", Side.BUY, Kind.LIMIT, Decimal(number + 1), None, Decimal(70_000), cause=str(number))  # fmt: skip
        world.label = f"w{number}"
        placed = await order_stage.placed_in_turn(world, desk, wish, fault)
        for _ in range(420):
            if isinstance(placed, Refused) or not placed.open:
                break
            world.stream()
            if act and placed.status in RESTING:
                if act == "change" and placed.price is None:
                    await desk.change(placed.intent.intent_id, Decimal(69_900))
                else:
                    await desk.cancel(placed.intent.intent_id)
            await desk.resolve()
            await asyncio.sleep(1.0)
        await asyncio.sleep(2.0)


def kills(folder: Path, every: int = 1) -> tuple[Seen, int]:
    """Kill at every step (or each so many); compare every order with the truth."""

    def one(at: int, seen: Seen) -> bool:
        world, path = World(1), folder / f"kill-kiwoom-{at}.sqlite3"
        died = order_stage.killed_at(world, at, lambda: scripted_day(world, world.opened(path)))
        desk = world.desk
        assert desk is not None
        for order in desk.ledger.orders.values():
            compare(world, order, f"w{order.intent.signal}", seen, f"kill at {at}, {order.intent.signal}")  # fmt: skip
            seen.orders += 1
        known = {f"w{order.intent.signal}" for order in desk.ledger.orders.values()}
        seen.wrong += [f"kill at {at}: {label} is not known" for label, had in world.arrived.items()
                       if had and label not in known]  # fmt: skip
        check_moved(world, desk, seen)
        seen.settled += world.settled
        world.sent_bodies = [body for _, body in world.bodies]
        world.over(seen, path)
        return died

    return order_stage.kills(one, every)


def main() -> int:
    """Run by the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=1_000)
    parser.add_argument("--kills", action="store_true")
    parser.add_argument("--mock", action="store_true", help="the limits of the mock server")
    parser.add_argument("--seed", type=int, default=1)
    logging.disable(logging.WARNING)
    options, began = parser.parse_args(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        if options.kills:
            result, count = kills(Path(name))
            print(f"{count} kills, ", end="")
        else:
            result = faulted(options.orders, options.seed, Path(name), mock=options.mock)
    print(result.told(time.monotonic() - began))
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
