"""Orders at Upbit and Binance under faults, and a kill at every step, in virtual time.

    python tests/campaigns/venue_orders.py --orders 10000        # both venues, faults of the wire and the server
    python tests/campaigns/venue_orders.py --kills               # a scripted day, killed at every write and request

The simulated venue holds the truth: how often an intent was posted, what exists, what filled at which fee.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import order_stage  # noqa: E402
from harness import run_virtual  # noqa: E402
from order_stage import HUGE, LIMITS, Seen, Steps, Time, lost, odd  # noqa: E402

from kis_realtime_trading import (  # noqa: E402
    NEVER_EXISTED,
    HttpReply,
    NoAnswer,
    NotSent,
    OrderStatus,
    Secret,
    Side,
)
from venues import binance, upbit  # noqa: E402
from venues.binance_orders import BinanceOrders  # noqa: E402
from venues.common import Kind, Purpose  # noqa: E402
from venues.orders import Desk, Refused, Wish  # noqa: E402
from venues.simulators.binance import BinanceSimulator  # noqa: E402
from venues.simulators.market import Market  # noqa: E402
from venues.simulators.upbit import UpbitSimulator  # noqa: E402
from venues.spot import SpotOrder  # noqa: E402
from venues.upbit_orders import UpbitOrders  # noqa: E402
from venues.wire import Http, Pacer, Statistics  # noqa: E402

FAULTS = ("", "", "", "no_connection", "lost_before", "lost_after", "late", "500_with", "500_without",
          "html_with", "html_without", "half_with", "429", "doubled", "insufficient", "clock", "lag")  # fmt: skip
ENDS = {"filled": {OrderStatus.FILLED}, "cancelled": {OrderStatus.CANCELLED},
        "expired": {OrderStatus.EXPIRED}}  # fmt: skip


class World(Steps):
    """One venue, its truth, and the wire between it and the program."""

    def __init__(self, venue: str, seed: int) -> None:
        super().__init__()
        self.venue, self.time, self.rng = venue, Time(), random.Random(seed)
        market = Market(seed)
        market.cents["BTC"] = 5_000_000
        core: Any = UpbitSimulator if venue == "upbit" else BinanceSimulator
        self.core = core(market, self.time.wall_ms)
        many = Decimal(10**12)
        self.core.matching.start = dict.fromkeys(("KRW", "USDT", "BTC"), many)
        self.posts: Counter[str] = Counter()
        self.fault, self.look_trouble = "", 0.0
        self.late_s, self.settled = 0.0, 0
        self.tasks: list[asyncio.TimerHandle] = []

    async def owner(self, desk: Desk, order: SpotOrder) -> None:
        """Say of an order that the venue never took it: a client id finds every other."""
        self.settled += 1
        assert not self.core.matching.by_client(order.intent.client_id), "it was taken"
        desk.settle(order)

    def goes_on(self) -> None:
        """A process died: the venue's time is the new one's."""
        self.core._now_ms = self.core.matching._now_ms = self.time.wall_ms

    def desk(self, path: Path) -> Desk:
        """Return the program after a start: journal opened, rebuilt."""
        module: Any = upbit if self.venue == "upbit" else binance
        pacer = Pacer(module.LIMITS)
        http = Http(
            self, pacer, Statistics(), self.time, module.hear_limits(pacer), random.Random(1)
        )  # type: ignore[arg-type]
        port: Any
        if self.venue == "upbit":
            keys = Secret(self.core.access), Secret(self.core.secret)
            port = UpbitOrders(http, *keys, base="http://127.0.0.1")
        else:
            port = BinanceOrders(
                http, Secret(self.core.key), Secret(self.core.secret), "http://127.0.0.1"
            )
        desk = Desk(port, self.journal(path), LIMITS, self.time)  # type: ignore[arg-type]
        desk.rebuild()
        return desk

    # --- the wire -----------------------------------------------------------------------

    async def __call__(
        self, method: str, url: str, headers: Any, body: bytes | None, timeout_s: float
    ) -> HttpReply:
        """Carry one request, as well as the fault of the moment lets it."""
        self.step()
        target = "/" + url.split("/", 3)[3]
        names = {name.lower(): value for name, value in headers.items()}
        if body:
            self.sent_bodies.append(body)
        posts = method == "POST" and target.split("?")[0] in ("/v1/orders", "/api/v3/order")

        def arrive() -> HttpReply:
            reply = self.core.rest(method, target, names, body or b"")
            return HttpReply(
                reply.status, reply.body, {k.lower(): v for k, v in reply.headers.items()}
            )

        if posts:
            fields = (
                json.loads(body) if body else dict(urllib.parse.parse_qsl(target.partition("?")[2]))
            )
            client_id = fields.get("identifier") or fields["newClientOrderId"]
            reply = self._post(client_id, arrive)
        else:
            reply = self._other(target, arrive)
        self.step()
        return reply

    def _post(self, client_id: str, arrive: Any) -> HttpReply:
        fault = self.fault
        if fault == "no_connection":
            raise NotSent("no connection")
        self.posts[client_id] += 1
        if fault == "lost_before":
            raise NoAnswer("cut")
        if fault == "late":
            loop = asyncio.get_running_loop()
            self.tasks.append(loop.call_later(self.late_s, arrive))
            raise NoAnswer("timed out")
        if fault == "429":
            return HttpReply(429, "{}", {})
        if fault == "500_without":
            return HttpReply(502, "<html>bad gateway</html>", {})
        if fault == "html_without":
            return HttpReply(200, "<html>maintenance</html>", {})
        if fault == "clock" and self.venue == "binance":
            self.core.clock_off_ms = 60_000
            reply: HttpReply = arrive()
            self.core.clock_off_ms = 0
            return reply
        if fault == "insufficient":
            kept, self.core.matching.start = (
                self.core.matching.start,
                dict.fromkeys(("KRW", "USDT", "BTC"), -HUGE),
            )
            reply = arrive()
            self.core.matching.start = kept
            return reply
        if fault == "lag":
            self.core.hidden[client_id] = self.time.wall_ms() + self.rng.randint(1, 25) * 1_000
        reply = arrive()
        if fault == "doubled":
            reply = arrive()
        return {
            "lost_after": None, "500_with": HttpReply(500, reply.text, {}),
            "html_with": HttpReply(200, "<html>", {}), "half_with": HttpReply(201, reply.text[:40], {}),
        }.get(fault, reply) or lost()  # fmt: skip

    def _other(self, target: str, arrive: Any) -> HttpReply:
        if (
            self.rng.random() < self.look_trouble
            and "depth" not in target
            and "orderbook" not in target
        ):
            return odd(
                self.rng.randrange(4), arrive, lambda status, text: HttpReply(status, text, {})
            )
        reply: HttpReply = arrive()
        return reply

    async def close(self) -> None:
        """Nothing is open."""


def compare(world: World, order: SpotOrder, result: Seen, what: str) -> None:
    """Hold what we believe of an order against the venue's truth."""
    client_id, now = order.intent.client_id, world.time.wall_ms()
    truth = world.core.matching.by_client(client_id)
    if not result.ended(order, world.posts[client_id], what):
        return
    wrong = ""
    if not truth:
        wrong = "" if order.status in NEVER_EXISTED else "it does not exist"
    else:
        (one,) = truth
        funds = sum((q * one.price for _, q in one.fills(now)), Decimal(0))
        fee = {"upbit": funds * world.core.matching.fee}.get(world.venue)
        if fee is None:
            fee = (one.executed(now) if one.buys else funds) * world.core.matching.fee
        state = one.state(now)
        meant = order.intent.quantity or one.quantity, order.intent.funds or one.funds
        if order.status not in ENDS.get(state, {OrderStatus.WORKING, OrderStatus.PARTIAL}):
            wrong = f"it is {state}"
        elif meant != (one.quantity, one.funds) or (order.intent.price or one.price) != one.price:
            wrong = f"the venue was asked for {one}"
        elif (order.filled, order.filled_funds) != (one.executed(now), funds):
            wrong = f"filled {one.executed(now)} for {funds}, booked {order.filled} for {order.filled_funds}"
        elif sum(order.fees.values(), Decimal(0)) != fee:
            wrong = f"fee {fee}, booked {order.fees}"
    if wrong:
        result.wrong.append(f"{what} {client_id}: {order.status}, but {wrong}")


def wish_of(world: World, number: int) -> Wish:
    """Return a random wish of about 100 dollars."""
    rng, up = world.rng, world.venue == "upbit"
    side = rng.choice([Side.BUY, Side.SELL])
    kinds = [Kind.LIMIT, Kind.LIMIT, Kind.LIMIT_IOC, Kind.POST_ONLY]
    kind = rng.choice([*kinds, Kind.BUY_FOR if side is Side.BUY else Kind.SELL_AT_MARKET])
    symbol = "KRW-BTC" if up else "BTCUSDT"
    price = Decimal(world.core.market.won("BTC") if up else world.core.market.dollars("BTC"))
    price = price * Decimal(rng.choice(["0.99", "1", "1.01"]))
    quantity = Decimal(rng.randint(100, 400)) / 100_000
    purpose = Purpose.EXIT if side is Side.SELL else Purpose.ENTRY
    if kind is Kind.BUY_FOR:
        return Wish(
            symbol,
            side,
            kind,
            None,
            Decimal(rng.randint(6_000, 200_000)) if up else Decimal(rng.randint(10, 200)),
            cause=str(number),
        )
    if kind is Kind.SELL_AT_MARKET:
        return Wish(symbol, side, kind, quantity, cause=str(number), purpose=purpose)
    return Wish(symbol, side, kind, quantity, None, price, purpose, str(number))


async def one_order(world: World, desk: Desk, number: int, result: Seen) -> None:
    """Send one wish under a fault and look until it has come to rest; cancel what rests."""
    rng, wish = world.rng, wish_of(world, number)
    plan = rng.choice([[(0, 100)], [(0, 40), (3_000, 100)], [(7_000, 100)], [], [(500, 30)]])
    world.core.matching.parts = lambda order: plan
    fault = rng.choice(FAULTS)
    if fault == "doubled" and world.venue == "binance":
        fault = "" if plan != [] or wish.kind not in (Kind.LIMIT, Kind.POST_ONLY) else fault
    world.look_trouble = 0.0
    placed = None
    world.fault, world.late_s = fault, rng.choice([1.0, 3.0, 20.0, 50.0, 100.0, 400.0])
    world.tasks.clear()
    placed = await desk.place(wish)
    world.fault = ""
    world.look_trouble = rng.choice([0.0, 0.0, 0.1, 0.4])
    if isinstance(placed, Refused):
        result.refused.update(placed.codes)
        return
    again = await repeat(world, desk, wish)
    assert again is placed, "a repeated wish made another order"
    result.orders += 1
    cancel_at = world.time.wall_ms() + rng.choice([0, 1_000, 5_000, 700_000])
    watched = desk.port.watch_lost_ms - 240_000 * (not desk.port.watch_lost_ms)
    until = world.time.wall_ms() + 1_500_000
    while world.time.wall_ms() < until:
        now = world.time.wall_ms()
        rests = placed.status in (OrderStatus.WORKING, OrderStatus.PARTIAL)
        watching = (
            placed.status is OrderStatus.LOST and now - (placed.ended_ms or now) < watched + 240_000
        )
        if not placed.open and not watching:
            break
        if rests and now >= cancel_at:
            await desk.cancel(placed.intent.intent_id)
        await desk.resolve()
        await asyncio.sleep(1.0 if placed.open else 20.0)
    compare(world, placed, result, f"{number} {wish.kind} {fault}")


async def repeat(world: World, desk: Desk, wish: Wish) -> Any:
    """Ask for the same wish once more, over a wire without trouble."""
    kept, world.look_trouble = world.look_trouble, 0.0
    again = await desk.place(wish)
    world.look_trouble = kept
    return again


def faulted(venue: str, orders: int, seed: int, folder: Path) -> Seen:
    """Run so many orders, a fresh world each two hundred, and compare each with the truth."""
    result, number = Seen(), 0
    while result.orders < orders:
        world = World(venue, seed + number)
        path = folder / f"{venue}-{seed}-{number}.sqlite3"

        async def scene(world: World = world, path: Path = path) -> None:
            nonlocal number
            desk = world.desk(path)
            for _ in range(200):
                number += 1
                await one_order(world, desk, number, result)
                await asyncio.sleep(2.0)
                if result.orders >= orders:
                    break
            check_moved(world, desk, result)

        run_virtual(scene())
        world.over(result, path)
    return result


def check_moved(world: World, desk: Desk, result: Seen) -> None:
    """The sum of what our orders moved is what the venue's fills moved."""
    coin, now = Decimal(0), world.time.wall_ms()
    for order in world.core.matching.orders.values():
        executed = order.executed(now)
        coin += executed if order.buys else -executed
        if world.venue == "binance" and order.buys:
            coin -= executed * world.core.matching.fee
    ours = desk.ledger.moved.get("BTC", Decimal(0))
    if ours != coin:
        result.wrong.append(f"BTC moved {coin}, booked {ours}")


# --- kills ------------------------------------------------------------------------------

SCRIPT = (("", [(0, 100)]), ("lost_after", [(0, 100)]), ("", []), ("lost_before", [(0, 100)]),
          ("500_with", [(0, 40), (3_000, 100)]), ("no_connection", [(0, 100)]))  # fmt: skip


async def scripted_day(world: World, desk: Desk) -> None:
    """Six wishes with a fault each; after a kill it begins anew and repeats nothing."""
    for number, (fault, plan) in enumerate(SCRIPT):
        world.core.matching.parts = lambda order, plan=plan: plan  # type: ignore[misc]
        price = Decimal(
            world.core.market.won("BTC")
            if world.venue == "upbit"
            else world.core.market.dollars("BTC")
        )
        symbol = "KRW-BTC" if world.venue == "upbit" else "BTCUSDT"
        wish = Wish(symbol, Side.BUY, Kind.LIMIT, Decimal("0.002"), None, price, cause=str(number))
        placed = await order_stage.placed_in_turn(world, desk, wish, fault)
        for _ in range(150):
            if isinstance(placed, Refused) or not placed.open:
                break
            if not plan and placed.status is OrderStatus.WORKING:
                await desk.cancel(placed.intent.intent_id)
            await desk.resolve()
            await asyncio.sleep(1.0)
        await asyncio.sleep(2.0)


def kills(venue: str, folder: Path, every: int = 1) -> tuple[Seen, int]:
    """Kill at every step (or each so many); compare every order with the truth."""

    def one(at: int, seen: Seen) -> bool:
        world, path, opened = World(venue, 1), folder / f"kill-{venue}-{at}.sqlite3", list[Desk]()

        async def script() -> None:
            opened.append(world.desk(path))
            await scripted_day(world, opened[-1])

        died, desk = order_stage.killed_at(world, at, script), opened[-1]
        for order in desk.ledger.orders.values():
            compare(world, order, seen, f"kill at {at}")
            seen.orders += 1
        known = {order.intent.client_id for order in desk.ledger.orders.values()}
        seen.wrong += [f"kill at {at}: {o.client_id} is not known"
                       for o in world.core.matching.orders.values() if o.client_id not in known]  # fmt: skip
        check_moved(world, desk, seen)
        seen.settled += world.settled
        world.over(seen, path)
        return died

    return order_stage.kills(one, every)


def main() -> int:
    """Run by the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=0)
    parser.add_argument("--kills", action="store_true")
    parser.add_argument("--venue", choices=("upbit", "binance"))
    parser.add_argument("--seed", type=int, default=1)
    logging.disable(logging.WARNING)  # of each look that failed: thousands
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as name:
        for venue in [options.venue] if options.venue else ["upbit", "binance"]:
            began = time.monotonic()
            if options.kills:
                result, count = kills(venue, Path(name))
                print(f"{venue}: {count} kills, ", end="")
            else:
                result = faulted(venue, options.orders or 1_000, options.seed, Path(name))
                print(f"{venue}: ", end="")
            print(result.told(time.monotonic() - began))
            good = good and result.good and not result.undecided
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
