"""Answers of a venue with one value in the place of another: taken or refused, never a broken program.

Each question is asked of the simulated venue; in its answer one value becomes null, 0, a text, a list where
an object was ... What is allowed: a value, or an error that says "no answer of use" (a BotError).
"""

import copy
import json
import random
from decimal import Decimal

import kiwoom_orders
import pytest
import venue_orders
from harness import run_virtual

from kis_realtime_trading import BotError, HttpReply, NoAnswer, Side
from venues import binance, upbit
from venues.common import Kind
from venues.orders import Wish
from venues.simulators.binance import BinanceSimulator
from venues.simulators.market import Market
from venues.simulators.upbit import UpbitSimulator
from venues.spot import SpotOrder

ODD = (None, 0, -1, "", " ", "x", "1e5", "-0", "+0000", True, [], {}, [None], [0], [[]], ["x"], {"x": None},
       "9" * 70, 10**30, "٣", "NaN", "0" * 12)  # fmt: skip


def places(value, path=()):
    """Return the path of every value in a JSON document, the whole included."""
    found = [path]
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in inner:
            found += places(each, (*path, key))
    return found


def twisted(document, path, odd):
    """Return a document with another value in one place."""
    if not path:
        return odd
    made = copy.deepcopy(document)
    here = made
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = odd
    return made


def twist(text, rng):
    """Return an answer with one odd value in it."""
    try:
        document = json.loads(text)
    except ValueError:
        return text
    return json.dumps(twisted(document, rng.choice(places(document)), rng.choice(ODD)))


def wish(venue):
    """Return a small buy near the market."""
    symbol, price, quantity = {"upbit": ("KRW-BTC", 70_400_000, "0.002"), "binance": ("BTCUSDT", 50_000, "0.002"),
                               "kiwoom": ("005930", 70_000, "10")}[venue]  # fmt: skip
    return Wish(symbol, Side.BUY, Kind.LIMIT, Decimal(quantity), None, Decimal(price), cause="a")


async def asked(venue, world, desk, rng, rounds):
    """Place an order well, then ask everything again and again with odd answers; return what was seen."""
    placed = await desk.place(wish(venue))
    port, order = desk.port, placed
    questions = {
        "look": lambda: port.look(order.intent, True), "rules": lambda: port.rules(order.intent.symbol),
        "balances": port.balances, "quote": lambda: port.quote(order.intent.symbol),
        "clock": port.set_clock, "cancel": lambda: port.cancel(SpotOrder(order.intent, order_id=order.order_id)),
        "test": lambda: port.test(order.intent),
    }  # fmt: skip
    if venue == "upbit":
        questions["key"] = port.key_expires
    if venue == "binance":
        questions["withdraw"] = port.may_withdraw
    arrive, ends = type(world).__call__, {}

    async def odd_answer(self, *given):
        try:
            reply = await arrive(self, *given)
        except (KeyError, ValueError):  # the simulator was asked with what an odd answer had said
            raise NoAnswer("cut") from None
        return HttpReply(reply.status, twist(reply.text, rng), reply.headers)

    type(world).__call__ = odd_answer
    try:
        for name, ask in questions.items():
            for _ in range(rounds):
                try:
                    await ask()
                    ends[name, "taken"] = ends.get((name, "taken"), 0) + 1
                except BotError:
                    ends[name, "refused"] = ends.get((name, "refused"), 0) + 1
    finally:
        type(world).__call__ = arrive
    return ends


@pytest.mark.parametrize("venue", ["upbit", "binance", "kiwoom"])
def test_an_odd_value_in_an_answer_breaks_nothing(venue, tmp_path):
    """Every question a desk asks, two hundred odd answers each."""
    logged = random.Random(7)

    async def scene():
        if venue == "kiwoom":
            world = kiwoom_orders.World(1)
            desk = world.opened(tmp_path / "orders.sqlite3")
        else:
            world = venue_orders.World(venue, 1)
            desk = world.desk(tmp_path / "orders.sqlite3")
        return await asked(venue, world, desk, logged, 200)

    ends = run_virtual(scene())
    for name in ("look", "rules", "balances", "quote"):
        assert ends.get((name, "taken"), 0) > 5, (name, ends)
        assert ends.get((name, "refused"), 0) > 5, (name, ends)


@pytest.mark.parametrize("module", [upbit, binance])
def test_an_odd_value_in_a_list_of_markets_breaks_nothing(module):
    """The list is asked each minute: a bad one leaves what was known."""
    market, rng, ends = Market(), random.Random(3), [0, 0]
    kind = UpbitSimulator if module is upbit else BinanceSimulator
    path = "/v1/market/all?is_details=true" if module is upbit else "/api/v3/exchangeInfo"
    text = kind(market, lambda: 1_795_000_000_000).rest("GET", path, {}, b"").body
    for _ in range(1_000):
        try:
            assert isinstance(module.read_markets(twist(text, rng)), dict)
            ends[0] += 1
        except BotError:
            ends[1] += 1
    assert min(ends) > 20, ends
