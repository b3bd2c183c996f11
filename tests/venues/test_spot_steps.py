"""Steps one after another in the ledger and at the desk: over changes, restarts, days, partial fills, doubled views."""

import asyncio
from decimal import Decimal

import pytest
from harness import run_virtual
from test_kiwoom_orders import notice, on_desk, place, until, wish
from test_venue_orders import intent, view

from kis_realtime_trading import KillLevel, OrderEvent, OrderStatus
from venues.common import Kind, OrderSeen
from venues.spot import SpotLedger, Update, updates_of
from venues.upbit_orders import read_order
from venues.wire import LANE_QUERY, Budget, Limit, Pacer

D, S, E = Decimal, OrderStatus, OrderEvent


def ledger_of(*updates, made=None):
    """Return a ledger of one order after these events, a millisecond apart."""
    ledger = SpotLedger()
    ledger.apply(made or intent())
    for at, (event, more) in enumerate(updates, 1):
        ledger.apply(Update("i1", event, at, **more))
    return ledger


def test_the_end_of_its_call_is_when_looks_begin_whatever_comes_later():
    """Proof and late watch count from the call: no later event moves it."""
    ledger = ledger_of(
        (E.NO_ANSWER, {}), (E.ABSENT, {}), (E.FOUND, {"order_id": "u1"}), (E.CANCEL_SENT, {})
    )
    assert ledger.orders["i1"].ended_ms == 1


@pytest.mark.parametrize("event", [E.REFUSED, E.NOT_SENT, E.ACCEPTED])
@pytest.mark.parametrize("unknown", [False, True])
def test_a_change_that_was_not_taken_reserves_no_more(event, unknown):
    """The dearer price was reserved while nobody knew; when the old one stands it is given back."""
    ledger = ledger_of((E.ACCEPTED, {"order_id": "u1"}), (E.REPLACE_SENT, {"price": D(90_000_000)}))
    order = ledger.orders["i1"]
    assert order.reserve == 90_000
    if unknown:
        ledger.apply(Update("i1", E.NO_ANSWER, 8))
        event = E.STILL_WORKING
    ledger.apply(Update("i1", event, 9))
    assert (order.status, order.reserve, order.asked_price) == (S.WORKING, 89_000, None)


def test_a_market_buy_reserves_what_it_has_not_spent():
    """Of 100,000 won 60,000 are spent: 40,000 may still go."""
    made = intent(kind=Kind.BUY_FOR, quantity=None, price=None, funds="100000")
    fill = {"filled": D("0.0006"), "filled_funds": D(60_000)}
    order = ledger_of((E.ACCEPTED, {"order_id": "u1"}), (E.FILL, fill), made=made).orders["i1"]
    assert order.reserve == 40_000


def test_a_smaller_fee_gives_nothing_back():
    """An older view comes late: fees stay, so does what they moved."""
    fees = [{"filled": D("0.0005"), "fees": (("KRW", D(paid)),)} for paid in (20, 15)]
    ledger = ledger_of((E.ACCEPTED, {"order_id": "u1"}), *((E.FILL, each) for each in fees))
    assert (ledger.orders["i1"].fees, ledger.moved["KRW"]) == ({"KRW": D(20)}, D(-20))


@pytest.mark.parametrize("answer", [E.ACCEPTED, E.NO_ANSWER])
def test_an_order_that_still_works_after_a_cancel_can_be_cancelled_again(answer):
    """The cancel was lost, or taken and without effect: the venue shows it at work."""
    ledger = ledger_of((E.ACCEPTED, {"order_id": "u1"}), (E.CANCEL_SENT, {}), (answer, {}))
    order = ledger.orders["i1"]
    for update in list(updates_of(order, view(), 9)):
        ledger.apply(update)
    assert order.status is S.WORKING
    for update in list(updates_of(order, view(seen=OrderSeen.CANCELLED), 10)):
        ledger.apply(update)
    assert order.status is S.CANCELLED


def test_what_a_header_tells_that_we_know_is_counted_once():
    """Three calls of ten, the header says seven left, twice: seven more may go at once."""
    budget = Budget(Limit(10, 1.0))
    budget.spend(0.0, 3)
    for _ in range(2):
        budget.told_left(0.1, 7)
    assert budget.wait_for(0.2, 7, LANE_QUERY) == 0
    budget.told_left(0.3, 2)  # others took five
    assert budget.wait_for(0.4, 3, LANE_QUERY) > 0
    assert budget.wait_for(0.4, 2, LANE_QUERY) == 0


# --- at a desk of Kiwoom ----------------------------------------------------------------


def test_a_wish_that_is_known_is_answered_whatever_the_rules_say_now(tmp_path):
    """The same cause after the kill switch was moved: the order that exists, not a refusal; one POST."""

    async def act(world, desk):
        first = await place(world, desk, wish())
        desk.set_level(KillLevel.ENTRIES_OFF, "test")
        return first is await place(world, desk, wish())

    world, same = on_desk(tmp_path, act)
    assert (same, sum(world.sent.values())) == (True, 1)


def test_a_change_may_use_the_money_that_it_frees(tmp_path):
    """All money is in the order itself: a cheaper price, and one that its own reserve pays, are no lack of balance."""

    async def act(world, desk):
        world.core.start_cash = 702_000
        placed = await place(world, desk, wish(), plan=())
        assert world.core.money() < 10_000
        codes = [await desk.judge_change(placed, D(price)) for price in (69_900, 70_100, 71_000)]
        return codes

    assert on_desk(tmp_path, act)[1] == [(), (), ("balance",)]


def test_lists_in_a_row_begin_anew_when_one_may_show_it(tmp_path):
    """Two lists without it, then one with a row that may be it: three more are needed before it is lost."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), "lost_before")
        await asyncio.sleep(200)
        for _ in range(2):
            await desk.look(placed)
        world.core.ways = ("x", "x")
        twins = [world.core.add("005930", True, 10, 70_000, api=False) for _ in range(2)]
        world.core.parts = lambda order: []
        await desk.look(placed)
        for twin in twins:
            del world.core.orders[twin.day, twin.number]
        seen = []
        for _ in range(3):
            seen.append((placed.status, placed.absents))
            await desk.look(placed)
        return seen, placed.status

    _, (seen, status) = on_desk(tmp_path, act)
    assert seen[0][1] == 0
    assert {each for each, _ in seen} == {S.UNKNOWN}
    assert status is S.LOST


def test_a_notice_of_a_changed_order_is_a_reason_to_look_not_a_figure(tmp_path):
    """After a change its first number's rest says nothing of the whole."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), plan=())
        await desk.change(placed.intent.intent_id, D(69_900))
        await until(world, desk, placed, 5)
        told = notice(**{"9203": placed.order_id, "904": "0000000", "902": "6", "903": "279600"})
        order, seen = desk.kiwoom.hear(told)
        return order is placed, seen, len(placed.numbers)

    assert on_desk(tmp_path, act)[1] == (True, None, 2)


def test_numbers_begin_anew_each_day_and_so_does_what_was_heard(tmp_path):
    """A notice of nobody from yesterday is no witness of an order that has its number today."""

    async def act(world, desk):
        desk.kiwoom.hear(notice(**{"9203": "0000007"}))
        await asyncio.sleep(86_400)
        desk.kiwoom.hear(notice(**{"9203": "0000008"}))
        return set(desk.kiwoom.heard)

    assert on_desk(tmp_path, act)[1] == {"0000008"}


# --- the pacer, what Upbit shows --------------------------------------------------------


def test_an_answer_that_is_no_refusal_ends_the_growth_of_pauses():
    """429, 429: two seconds; an answer; 429 again: one second."""

    async def scene():
        pacer = Pacer({"g": Limit(10, 1.0)})
        now, closed = asyncio.get_running_loop().time, []
        for good in (False, False, True):
            if good:
                pacer.went_well("g")
                await asyncio.sleep(10)
            pacer.refused("g", None)
            closed.append(round(pacer.budgets["g"].closed_until - now(), 3))
        return closed

    assert run_virtual(scene()) == [1.0, 2.0, 1.0]


def test_a_call_that_was_given_up_while_it_waited_costs_nothing():
    """Its turn had not come: the next one has the whole second."""

    async def scene():
        pacer, loop = Pacer({"g": Limit(2, 1.0)}), asyncio.get_running_loop()
        for _ in range(2):
            await pacer.turn("g", LANE_QUERY)
        given_up = [asyncio.ensure_future(pacer.turn("g", LANE_QUERY)) for _ in range(2)]
        await asyncio.sleep(0.5)
        for each in given_up:
            each.cancel()
        for _ in range(2):
            await pacer.turn("g", LANE_QUERY)
        return round(loop.time(), 3)

    assert run_virtual(scene()) == 1.0


def test_trades_that_do_not_add_up_are_no_figures():
    """The list of an order's trades lags behind what it executed: funds are not known, nothing ends on them."""
    body = {"uuid": "u", "identifier": "kb-1", "market": "KRW-BTC", "side": "bid", "ord_type": "limit", "state": "done",
            "price": "89000000", "volume": "0.002", "executed_volume": "0.002", "paid_fee": "89", "trades_count": 1,
            "trades": [{"funds": "89000", "volume": "0.001"}]}  # fmt: skip
    seen = read_order(body, "KRW")
    assert (seen.filled, seen.filled_funds, seen.fees_known) == (D("0.002"), None, False)
