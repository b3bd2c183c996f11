"""Orders at Kiwoom: one POST an intent, found by likeness; the whole by tests/campaigns/kiwoom_orders.py."""

import asyncio
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import kiwoom_orders
import order_stage
import pytest
from harness import run_virtual
from kiwoom_orders import World

from kis_realtime_trading import KST, JournalError, OrderStatus, Outcome, Side
from venues import kiwoom
from venues.common import Absent, Intent, Kind, Purpose
from venues.kiwoom import FillSum, Row, read_notice
from venues.kiwoom_orders import order_body, plausible
from venues.kiwoom_proof import chain_of, fits, judge, strangers, view_of, ways_of, window_s
from venues.orders import Refused, Wish
from venues.spot import SpotLedger, SpotOrder

D = Decimal
S = OrderStatus
TEN = datetime(2026, 11, 27, 10, tzinfo=KST)


def wish(cause="a", **changes):
    """Return a wish for 10 shares near the market of the simulator."""
    made = Wish("005930", Side.BUY, Kind.LIMIT, D(10), None, D(70_000), cause=cause)
    return made._replace(**changes)


def on_desk(tmp_path, act, seed=1, mock=False):
    """Run something with a desk in virtual time; return the world and what it gave."""
    world = World(seed, mock)
    world.core.notice_faults = set()

    async def scene():
        return await act(world, world.opened(tmp_path / "orders.sqlite3"))

    return world, run_virtual(scene())


async def place(world, desk, made, fault="", plan=((0, 100),)):
    """Place a wish under a fault."""
    world.core.parts = lambda order: list(plan)
    world.fault, world.label = fault, made.cause
    placed = await desk.place(made)
    world.fault = ""
    return placed


# --- campaigns, a slice -----------------------------------------------------------------


@pytest.mark.parametrize("mock", [False, True])
def test_orders_under_faults_end_as_kiwoom_says(mock, tmp_path):
    """Lost, late, lagging, lying; notices dropped, doubled, reordered: 0 doubled POSTs, 0 wrong ends."""
    result = kiwoom_orders.faulted(40, 21, tmp_path, mock=mock)
    assert (result.doubled, result.wrong, result.floats) == (0, [], [])
    assert result.texts > 500
    assert {"filled", "cancelled", "lost", "not sent"} <= set(result.ends)


def test_a_kill_at_any_step_loses_and_doubles_nothing(tmp_path):
    """Every twentieth journal write and request of a scripted day: a restart knows every order."""
    threads = threading.active_count()
    result, count = kiwoom_orders.kills(tmp_path, every=20)
    assert (result.doubled, result.wrong, result.floats) == (0, [], [])
    assert count >= 9
    assert (
        threading.active_count() <= threads + 1
    )  # a kill that leaves its journal open leaves a world


def test_a_float_in_a_row_or_a_figure_is_seen():
    """The campaigns look for JSON numbers with a point, and for figures that are no Decimal."""
    seen = order_stage.Seen(orders=1)
    seen.looked_for_floats('{"filled":"0.1","at_ms":1,"price":7E4}')
    assert seen.floats == ["7E4"]
    meant = Intent("i", "c", "kiwoom", "005930", "005930/KRW", Side.BUY, Kind.LIMIT, Decimal(1), None,
                   Decimal(1), Purpose.ENTRY, "l", "s", TEN)  # fmt: skip
    assert seen.ended(SpotOrder(meant, fees={"KRW": 0.5}), 1, "w1")
    assert seen.floats[1:] == ["w1: 0.5"]
    assert not seen.good


# --- the only way out -------------------------------------------------------------------


def test_the_rows_stand_before_the_request(tmp_path):
    """Intent and request are durable when the POST leaves: looked at from the wire."""
    seen = []

    async def act(world, desk):
        send = world._order

        def looked(tr, body, arrive):
            seen.extend(row.kind for row in desk._journal.rows())
            return send(tr, body, arrive)

        world._order = looked
        await place(world, desk, wish())

    on_desk(tmp_path, act)
    assert seen == ["intent", "request"]


def test_a_journal_that_cannot_be_written_sends_nothing(tmp_path):
    """A disk that fails at the intent, at the request, or before a change: nothing leaves."""

    async def act(world, desk):
        append = desk._journal.append

        def failing(count):
            left = [count]

            def fails(rows, at):
                left[0] -= 1
                if not left[0]:
                    raise JournalError("disk")
                append(rows, at)

            return fails

        for number in (1, 2):
            desk._journal.append = failing(number)
            with pytest.raises(JournalError):
                await place(world, desk, wish(f"c{number}"))
        desk._journal.append = append
        resting = await place(world, desk, wish("rest", symbol="000660", price=D(180_000)), plan=())
        desk._journal.append = failing(1)
        with pytest.raises(JournalError):
            await desk.change(resting.intent.intent_id, D(179_900))

    world, _ = on_desk(tmp_path, act)
    assert sum(world.sent.values()) == 1
    assert [tr for tr, _ in world.seen if tr == kiwoom.CHANGE] == []


def test_the_same_wish_is_one_order_also_after_a_restart(tmp_path):
    """The cause makes the id: a repeat sends nothing, today and in the next process."""

    async def act(world, desk):
        first = await place(world, desk, wish())
        assert await desk.place(wish()) is first
        again = world.opened(tmp_path / "orders.sqlite3")
        assert (await again.place(wish())).intent == first.intent

    world, _ = on_desk(tmp_path, act)
    assert sum(world.sent.values()) == 1


def test_a_token_that_ends_at_the_order_is_not_a_reason_to_send_it_twice(tmp_path):
    """8005 came back, so nothing was taken: not sent, a new token for the next, no second POST."""

    async def act(world, desk):
        first = await place(world, desk, wish("a"), "token")
        second = await place(world, desk, wish("b"))
        return first, second

    world, (first, second) = on_desk(tmp_path, act)
    assert (first.status, second.status) == (S.NOT_SENT, S.WORKING)
    assert (world.sent["a"], world.sent["b"]) == (1, 1)


def test_a_lost_token_answer_is_an_order_that_never_left(tmp_path):
    """No token, no order: the lost answer was one about a token."""

    async def act(world, desk):
        await desk.port.free()
        world.core.expire_token()
        desk.kiwoom.client.tokens.drop(await desk.kiwoom.client.tokens.token())
        world.core.fault = "cut"
        made = desk.intent_of(wish(), "005930/KRW")
        return await desk.kiwoom.submit(made, lambda: "")

    world, answer = on_desk(tmp_path, act)
    assert answer.outcome is Outcome.NOT_SENT
    assert sum(world.sent.values()) == 0


def test_kinds_that_kiwoom_does_not_have_never_leave(tmp_path):
    """Post-only and a buy for an amount of money: said before the wire."""

    async def act(world, desk):
        made = desk.intent_of(wish(kind=Kind.POST_ONLY), "005930/KRW")
        return (await desk.kiwoom.submit(made, lambda: "")).outcome, await desk.port.test(made)

    world, (outcome, tested) = on_desk(tmp_path, act)
    assert (outcome, tested.outcome) == (Outcome.NOT_SENT, Outcome.REFUSED)
    assert sum(world.sent.values()) == 0


def test_a_body_has_texts_only_and_a_market_order_no_price():
    """005930, 10 at 70,000: the codes of the interface; at market `ord_uv` is blank."""
    made = Intent("i", "kb-1", "kiwoom", "005930", "005930/KRW", Side.BUY, Kind.LIMIT, D(10), None, D(70_000),
                  Purpose.ENTRY, "entry:1", "s", TEN)  # fmt: skip
    assert order_body(made) == {"dmst_stex_tp": "KRX", "stk_cd": "005930", "ord_qty": "10",
                                "ord_uv": "70000", "trde_tp": "0", "cond_uv": ""}  # fmt: skip
    sale = replace(made, side=Side.SELL, kind=Kind.SELL_AT_MARKET, price=None, purpose=Purpose.EXIT)
    assert (order_body(sale)["ord_uv"], order_body(sale)["trde_tp"]) == ("", "3")


# --- looking ----------------------------------------------------------------------------


async def until(world, desk, order, seconds, *statuses):
    """Look until an order has one of these statuses or the time is over."""
    for _ in range(seconds):
        if order.status in statuses:
            break
        await desk.resolve()
        await asyncio.sleep(1.0)
    return order.status


def test_a_lost_answer_is_found_by_its_likeness(tmp_path):
    """Stock, side, shares, price and time fit one row of nobody: bound, booked, nothing sent again."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), "lost_after", ((0, 40), (3_000, 100)))
        assert placed.status is S.UNKNOWN
        assert await desk.place(wish("b")) == Refused(("unresolved",))
        await until(world, desk, placed, 60, S.FILLED)
        return placed

    world, placed = on_desk(tmp_path, act)
    assert (placed.status, placed.filled, placed.filled_funds) == (S.FILLED, 10, 700_000)
    assert sum(world.sent.values()) == 1


def test_absence_needs_three_minutes_three_lists_and_the_account(tmp_path):
    """Not there: UNKNOWN until 180 s have passed since the call, LOST soon after."""

    async def act(world, desk):
        await place(world, desk, wish("first"))
        placed = await place(world, desk, wish("x", quantity=D(3)), "lost_before")
        assert await until(world, desk, placed, 170, S.LOST) is S.UNKNOWN
        assert await until(world, desk, placed, 60, S.LOST) is S.LOST

    on_desk(tmp_path, act)


def test_a_list_without_a_number_we_know_proves_nothing(tmp_path):
    """The canary: an order Kiwoom gave us a number for is missing, so the list is not complete."""

    async def act(world, desk):
        first = await place(world, desk, wish("first"))
        placed = await place(world, desk, wish("x", quantity=D(3)), "lost_before")
        world.core.hidden[int(first.order_id)] = world.time.wall_ms() + 10**9
        assert await until(world, desk, placed, 590, S.LOST) is S.UNKNOWN
        assert placed.absents == 0
        return await until(world, desk, placed, 60, S.LOST, S.QUARANTINED)

    assert on_desk(tmp_path, act)[1] is S.QUARANTINED


def test_an_account_that_fell_by_its_size_forbids_absence(tmp_path):
    """All lists are empty for ten minutes, but the money is gone: only the owner can say."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), "lost_after")
        world.core.lists_empty = True
        assert await until(world, desk, placed, 700, S.LOST, S.QUARANTINED) is S.QUARANTINED
        world.core.lists_empty = False
        return await until(world, desk, placed, 1_300, S.FILLED)

    assert on_desk(tmp_path, act)[1] is S.FILLED


def test_without_a_figure_from_before_absence_takes_longer(tmp_path):
    """After a restart nobody knows what was free: six lists and five minutes stand in, and a canary."""

    async def act(world, desk):
        await place(world, desk, wish("first"))
        await place(world, desk, wish("x", quantity=D(3)), "lost_before")
        again = world.opened(tmp_path / "orders.sqlite3")
        placed = list(again.ledger.orders.values())[-1]
        assert await until(world, again, placed, 290, S.LOST) is S.UNKNOWN
        return await until(world, again, placed, 60, S.LOST)

    assert on_desk(tmp_path, act)[1] is S.LOST


def test_two_rows_that_fit_are_not_guessed_between(tmp_path):
    """Two equal orders of the same seconds, entered the same way: quarantined, nothing is booked."""

    async def act(world, desk):
        world.core.add("005930", True, 10, 70_000)
        placed = await place(world, desk, wish(), "lost_after")
        status = await until(world, desk, placed, 700, S.QUARANTINED, S.WORKING, S.FILLED)
        return status, placed

    _, (status, placed) = on_desk(tmp_path, act)
    assert (status, placed.filled) == (S.QUARANTINED, 0)


def test_an_order_entered_by_another_way_is_not_ours(tmp_path):
    """The owner does the same by phone; our own orders in that list all came by another way."""

    async def act(world, desk):
        await place(world, desk, wish("first", symbol="000660", price=D(180_000)))
        world.core.add("005930", True, 10, 70_000, api=False)
        placed = await place(world, desk, wish(), "lost_after")
        return await until(world, desk, placed, 60, S.FILLED), placed

    world, (status, placed) = on_desk(tmp_path, act)
    assert status is S.FILLED
    assert int(placed.order_id) == world.arrived["a"][0][1]


@pytest.mark.parametrize("ways", [("단말 7", "영웅문S"), ("", ""), ("단말 7", "단말 7")])
def test_before_the_first_known_order_a_wording_that_names_no_api_is_not_believed(ways, tmp_path):
    """It never arrived, the owner types the same: asked, not claimed. He says which it is, or that it is none."""

    async def act(world, desk):
        world.core.ways = ways
        placed = await place(world, desk, wish(), "lost_before")
        world.core.add("005930", True, 10, 70_000, api=False)
        status = await until(world, desk, placed, 700, S.QUARANTINED, S.WORKING, S.FILLED, S.LOST)
        assert (status, placed.filled) == (S.QUARANTINED, 0)
        desk.settle(placed)
        await until(world, desk, placed, 1_300, S.FILLED)
        return placed

    _, placed = on_desk(tmp_path, act)
    assert (placed.status, placed.filled) == (S.LOST, 0)


def test_how_ours_are_worded_is_learnt_from_an_earlier_day(tmp_path):
    """The day begins with a lost answer, after a restart: yesterday's order of ours tells the wording."""

    async def act(world, desk):
        world.core.ways = ("단말 7", "영웅문S")
        await place(world, desk, wish("first"))
        await asyncio.sleep(86_400)
        again = world.opened(tmp_path / "orders.sqlite3")
        world.core.add("005930", True, 3, 70_000, api=False)
        placed = await place(world, again, wish("x", quantity=D(3)), "lost_after")
        status = await until(world, again, placed, 60, S.FILLED)
        return status, int(placed.order_id), world.arrived["x"][0][1]

    _, (status, number, truth) = on_desk(tmp_path, act)
    assert (status, number) == (S.FILLED, truth)


def test_the_owner_can_say_which_number_a_quarantined_order_has(tmp_path):
    """A number of that day that fits and is nobody's: taken and booked. Anything else is refused by its reason."""

    async def act(world, desk):
        first = await place(world, desk, wish("first"))
        world.core.add("005930", True, 10, 70_000)
        placed = await place(world, desk, wish(), "lost_after")
        other = world.core.add("005930", False, 1, 70_000)
        await until(world, desk, placed, 700, S.QUARANTINED)
        said = [await desk.settle_as(placed, number) for number in
                ("0000099", first.order_id, f"{other.number:07d}", f"{world.arrived['a'][0][1]:07d}")]  # fmt: skip
        return said, placed.status, placed.filled

    _, (said, status, filled) = on_desk(tmp_path, act)
    assert said == ["s_unknown", "s_ours", "s_other", ""]
    assert (status, filled) == (S.FILLED, 10)


def test_a_row_is_bound_only_when_notices_had_time(tmp_path):
    """In the first five seconds a notice of an equal order may be on its way."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), "lost_after")
        await asyncio.sleep(1.0)
        await desk.look(placed)
        assert placed.status is S.UNKNOWN
        await asyncio.sleep(5.0)
        await desk.look(placed)
        return placed.status

    assert on_desk(tmp_path, act)[1] in (S.WORKING, S.FILLED)


def test_a_refused_order_leaves_an_equal_row_to_the_owner(tmp_path):
    """It was told as refused; a row like it is what the owner tried by hand: never bound, never sent."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), "closed")
        world.core.add("005930", True, 10, 70_000)
        for _ in range(100):
            await desk.resolve()
            await asyncio.sleep(1.0)
        return placed

    world, placed = on_desk(tmp_path, act)
    assert (placed.status, placed.filled, sum(world.sent.values())) == (S.REJECTED, 0, 1)


def test_a_request_that_arrives_after_the_proof_is_adopted(tmp_path):
    """Believed lost, it comes at 400 s: found, booked, told; one POST."""
    told = []

    async def act(world, desk):
        desk._tell = lambda code, order: told.append(code)
        world.late_s = 400.0
        placed = await place(world, desk, wish(), "late")
        assert await until(world, desk, placed, 300, S.LOST) is S.LOST
        return await until(world, desk, placed, 700, S.FILLED)

    world, status = on_desk(tmp_path, act)
    assert (status, sum(world.sent.values())) == (S.FILLED, 1)
    assert told == ["unknown", "lost", "found_late"]


def test_a_late_row_that_may_be_a_lost_order_is_asked_of_its_owner(tmp_path):
    """The list says nothing of where it was entered: not bound, and no longer believed lost."""
    told = []

    async def act(world, desk):
        desk._tell = lambda code, order: told.append(code)
        world.core.ways, world.late_s = ("", ""), 400.0
        placed = await place(world, desk, wish(), "late")
        assert await until(world, desk, placed, 300, S.LOST) is S.LOST
        assert await until(world, desk, placed, 700, S.QUARANTINED) is S.QUARANTINED
        again = world.opened(tmp_path / "orders.sqlite3").ledger.orders[placed.intent.intent_id]
        assert again.status is S.QUARANTINED
        assert await desk.place(wish("b")) == Refused(("unresolved",))
        ((_, number),) = world.core.orders
        assert not await desk.settle_as(placed, f"{number:07d}")
        return placed

    world, placed = on_desk(tmp_path, act)
    assert (placed.status, placed.filled, sum(world.sent.values())) == (S.FILLED, 10, 1)
    assert told == ["unknown", "lost", "doubted"]


def test_a_late_notice_that_may_be_a_lost_order_is_asked_of_its_owner(tmp_path):
    """No list shows it, but the exchange spoke of an order like the one that was believed lost."""
    told = []

    async def act(world, desk):
        desk._tell = lambda code, order: told.append(code)
        placed = await place(world, desk, wish(), "lost_before")
        assert await until(world, desk, placed, 300, S.LOST) is S.LOST
        desk.notice(notice(**{"9203": "0000777", "900": "10", "902": "6"}))
        return await until(world, desk, placed, 700, S.QUARANTINED)

    assert on_desk(tmp_path, act)[1] is S.QUARANTINED
    assert told == ["unknown", "lost", "doubted"]


def test_an_owner_who_said_never_is_not_asked_again(tmp_path):
    """A row like it that comes afterwards is the owner's."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), "lost_before")
        world.core.ways = ("", "")
        world.core.add("005930", True, 10, 70_000, "0", api=False)
        assert await until(world, desk, placed, 700, S.QUARANTINED) is S.QUARANTINED
        desk.settle(placed)
        return await until(world, desk, placed, 700, S.QUARANTINED)

    assert on_desk(tmp_path, act)[1] is S.LOST


def test_an_order_does_not_outlive_its_day(tmp_path):
    """What rests at midnight in Seoul has ended, with what it filled."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), plan=((0, 40),))
        await desk.resolve()
        assert placed.status is S.PARTIAL
        await asyncio.sleep(15 * 3_600)
        return await until(world, desk, placed, 30, S.EXPIRED), placed.filled

    assert on_desk(tmp_path, act)[1] == (S.EXPIRED, 4)


# --- rows -------------------------------------------------------------------------------


def row(number="0000001", original="", act="", quantity=10, filled=0, rest=10, **changes):
    """Return a row of a list."""
    made = Row(number, original, "005930", Side.BUY, quantity, 70_000, "보통", filled, filled * 70_000, rest,
               36_000, act, 0, False, "REST API")  # fmt: skip
    return made._replace(**changes)


def order_at(at=TEN, **changes):
    """Return an order as the ledger has it."""
    made = Intent("i", "kb-1", "kiwoom", "005930", "005930/KRW", Side.BUY, Kind.LIMIT, D(10), None, D(70_000),
                  Purpose.ENTRY, "entry:1", "s", at)  # fmt: skip
    return SpotOrder(
        replace(made, **changes), status=S.UNKNOWN, ended_ms=int(at.timestamp() * 1_000)
    )


@pytest.mark.parametrize(
    "changes",
    [{"symbol": "000660"}, {"side": Side.SELL}, {"quantity": 11}, {"price": 70_100}, {"act": "cancel"},
     {"original": "0000009"}, {"second": 35_990}, {"second": 37_000}],
)  # fmt: skip
def test_a_row_that_differs_in_anything_does_not_fit(changes):
    """Stock, side, shares, price, no change, no cancel, taken neither before nor long after."""
    assert fits(order_at().intent, row(), 60)
    assert fits(order_at().intent, row(second=None), 60)
    assert not fits(order_at().intent, row(**changes), 60)


def test_how_late_a_row_may_be_depends_on_what_is_believed():
    """Unknown: any time. Lost: ten minutes. Refused, not sent, or with a number: never."""
    order = order_at()
    windows = []
    for status in (S.UNKNOWN, S.QUARANTINED, S.LOST, S.REJECTED, S.NOT_SENT):
        order.status = status
        windows.append(window_s(order))
    assert windows == [float("inf"), float("inf"), 600, -10.0, -10.0]


@pytest.mark.parametrize("keeps", [True, False])
def test_a_cancelled_rest_is_none_whichever_way_the_list_shows_it(keeps):
    """The old row may keep its rest: the cancel's own row says that it is gone."""
    rows = {"0000001": row(filled=4, rest=6 if keeps else 0),
            "0000002": row("0000002", "0000001", "cancel", 6, confirmed=6)}  # fmt: skip
    chain = chain_of(["0000001"], rows, {}, False)
    assert (chain.filled, chain.rest, chain.ended) == (4, 0, True)
    assert view_of(order_at(), chain, False, False).seen.value == "cancelled"


def test_a_change_is_followed_to_its_newest_number():
    """4 filled before, 2 after: 6 of 10, at the new price, open under the new number."""
    rows = {"0000001": row(filled=4, rest=0), "0000002": row("0000002", "0000001", "change", 6, 2, 4, price=69_900, amount=139_800)}  # fmt: skip
    chain = chain_of(["0000001"], rows, {}, False)
    assert (chain.numbers, chain.filled, chain.amount, chain.rest, chain.price) == (
        ("0000001", "0000002"), 6, 419_800, 4, 69_900)  # fmt: skip
    assert view_of(order_at(), chain, False, False).seen.value == "working"


def test_a_rest_that_vanished_without_a_reason_is_no_end_yet():
    """It may live on under a number that the list does not show: an end only after three minutes."""
    chain = chain_of(["0000001"], {"0000001": row(rest=0)}, {}, False)
    assert view_of(order_at(), chain, False, settled=False).seen.value == "working"
    assert view_of(order_at(), chain, False, settled=True).seen.value == "cancelled"


def test_the_exact_amount_goes_before_the_average():
    """3 at 70,000 and 7 at 69,999: the list's average loses 6 won, the fills do not."""
    rows = {"0000001": row(filled=10, rest=0, amount=699_990)}
    assert (
        chain_of(["0000001"], rows, {"0000001": FillSum(10, 699_993, 105)}, False).amount == 699_993
    )
    assert (
        chain_of(["0000001"], rows, {"0000001": FillSum(3, 210_000, 31)}, False).amount == 699_990
    )


def test_who_entered_a_row_counts_only_when_ours_all_came_another_way():
    """Without an order of ours in the list nothing is known of the wording: every row may be ours."""
    rows = {"0000001": row(), "0000002": row("0000002", entered="영웅문S"), "0000003": row("0000003", entered="")}  # fmt: skip
    ways = ways_of(rows, ["0000001", "0000003"])
    assert ways == {"REST API"}
    assert {each.number for each in strangers(rows, {}, set())} == {"0000001", "0000002", "0000003"}
    assert {each.number for each in strangers(rows, {"0000001": order_at()}, ways)} == {"0000003"}


# --- notices ----------------------------------------------------------------------------


def notice(**changes):
    """Return a notice of type 00 as it comes."""
    values = {"9203": "0000001", "904": "0000000", "9001": "A005930", "913": "체결", "900": "10", "901": "70000",
              "902": "6", "903": "280000", "907": "2", "908": "100001", "909": "1", "919": "0", "938": "42", "939": "0"}  # fmt: skip
    return read_notice({**values, **changes})


def test_a_notice_counts_only_when_both_its_figures_say_so():
    """Quantity less rest AND won so far; a cancel has rest 0, a refusal neither: nothing filled."""
    assert (notice().filled, notice().amount, notice().fees) == (4, 280_000, 42)
    assert notice(**{"913": "취소", "902": "0"}).filled == 0
    assert notice(**{"913": "거부", "902": "0", "903": "0", "919": "잔고부족"}).filled == 0
    assert notice(**{"903": ""}).filled == 0
    assert notice(**{"913": "거부"}).refused and not notice().refused


@pytest.mark.parametrize(
    "changes",
    [{"9001": "000660"}, {"907": "1"}, {"900": "11"}, {"903": "290000"}, {"902": "6", "900": "5"}],
)
def test_a_notice_that_cannot_be_of_the_order_is_not_booked(changes):
    """Another stock, side or size; dearer than its limit; more filled than meant."""
    assert plausible(order_at().intent, notice())
    assert not (notice(**changes).filled and plausible(order_at().intent, notice(**changes)))


def test_notices_are_booked_once_in_any_order(tmp_path):
    """Doubled, reordered, before the answer: cumulative figures, never counted twice."""

    async def act(world, desk):
        desk.notice(notice())  # before anything is known of it
        placed = await place(world, desk, wish(), plan=())
        assert placed.filled == 4
        for each in (notice(**{"902": "2", "903": "560000"}), notice(), notice(), notice(**{"902": "2", "903": "560000"})):  # fmt: skip
            desk.notice(each)
        assert (placed.filled, placed.filled_funds) == (8, 560_000)
        desk.notice(notice(**{"902": "0", "903": "700000"}))
        return placed, desk.ledger.moved

    _, (placed, moved) = on_desk(tmp_path, act)
    assert placed.status is S.FILLED
    assert (moved["005930"], moved["KRW"]) == (10, -700_042)


def test_a_refusal_by_notice_ends_an_accepted_order(tmp_path):
    """Accepted by REST, refused by the exchange a moment later."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), plan=())
        desk.notice(notice(**{"913": "거부", "902": "0", "903": "", "919": "호가"}))
        return placed.status

    assert on_desk(tmp_path, act)[1] is S.REJECTED


def test_a_number_that_a_notice_named_forbids_absence(tmp_path):
    """The list never shows it, but the exchange spoke of an order like ours: not LOST."""

    async def act(world, desk):
        await place(world, desk, wish("first", symbol="000660", price=D(180_000)))
        placed = await place(world, desk, wish(), "lost_before")
        desk.notice(notice(**{"9203": "0000777", "913": "접수", "902": "10", "903": ""}))
        return await until(world, desk, placed, 700, S.LOST, S.QUARANTINED, S.WORKING)

    assert on_desk(tmp_path, act)[1] is S.QUARANTINED


def test_a_named_number_and_the_money_stand_in_for_a_list(tmp_path):
    """A notice names one number that fits and the account fell by its size: bound to it."""

    async def act(world, desk):
        await place(world, desk, wish("first", symbol="000660", price=D(180_000)))
        placed = await place(world, desk, wish(), "lost_after", ())
        ((_, number),) = world.arrived["a"]
        world.core.hidden[number] = world.time.wall_ms() + 10**9
        world.stream()
        await asyncio.sleep(1.0)
        world.stream()
        desk.notice(notice(**{"9203": f"{number:07d}", "913": "접수", "902": "10", "903": ""}))
        return await until(world, desk, placed, 100, S.WORKING), placed.order_id, number

    _, (status, order_id, number) = on_desk(tmp_path, act)
    assert (status, int(order_id)) == (S.WORKING, number)


# --- changes and cancels ----------------------------------------------------------------


def test_a_change_gives_a_new_number_and_price_and_is_sent_once(tmp_path):
    """70,000 to 69,900: the reserve follows, fills of both numbers are one order's."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), plan=((0, 40),))
        await desk.resolve()
        world.core.parts = lambda order: [(1_000, 100)]
        await desk.change(placed.intent.intent_id, D(69_900))
        assert (placed.price, placed.order_id, placed.numbers) == (
            69_900,
            "0000002",
            ["0000001", "0000002"],
        )
        assert placed.reserve == 6 * 69_900
        await until(world, desk, placed, 60, S.FILLED)
        again = world.opened(tmp_path / "orders.sqlite3")
        (kept,) = again.ledger.orders.values()
        return placed, kept

    world, (placed, kept) = on_desk(tmp_path, act)
    assert (placed.status, placed.filled, placed.filled_funds) == (
        S.FILLED,
        10,
        4 * 70_000 + 6 * 69_900,
    )
    assert (kept.numbers, kept.price, kept.filled) == (placed.numbers, placed.price, 10)
    assert world.acts[kiwoom.CHANGE] == 1


@pytest.mark.parametrize(("fault", "price"), [("lost_after", 69_900), ("lost_before", 70_000)])
def test_a_lost_change_is_looked_for_not_sent_again(fault, price, tmp_path):
    """The list shows a new number, or for three minutes none: then the old order still works."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), plan=())
        world.act_fault = fault
        await desk.change(placed.intent.intent_id, D(69_900))
        world.act_fault = ""
        assert placed.status is S.REPLACE_UNKNOWN
        assert placed.reserve == 700_000  # the dearer of both
        if fault == "lost_before":
            assert await until(world, desk, placed, 170, S.WORKING) is S.REPLACE_UNKNOWN
        return await until(world, desk, placed, 40, S.WORKING), placed

    world, (status, placed) = on_desk(tmp_path, act)
    assert (status, placed.price or 70_000) == (S.WORKING, price)
    assert [tr for tr, _ in world.seen].count(kiwoom.CHANGE) == 1


def test_a_change_passes_the_rules_of_a_new_order(tmp_path):
    """Off the grid, beyond the collar, above the money limits: refused, nothing leaves."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), plan=())
        assert await desk.change(placed.intent.intent_id, D(70_050)) == Refused(("tick",))
        assert "price_band" in (await desk.change(placed.intent.intent_id, D(75_000))).codes
        limits = replace(kiwoom_orders.LIMITS, max_order=D(700_000), max_coin=D(700_000))
        desk._limits = limits
        assert set((await desk.change(placed.intent.intent_id, D(70_100))).codes) == {"max_order", "max_coin"}  # fmt: skip
        return await desk.change(placed.intent.intent_id, D(69_900))

    world, changed = on_desk(tmp_path, act)
    assert changed.price == 69_900
    assert world.acts[kiwoom.CHANGE] == 1


def test_a_change_under_way_at_a_kill_is_looked_for(tmp_path):
    """The row says that it was sent: the next process looks, it does not send it."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), plan=())
        world.act_fault, desk._change_answered = "lost_after", lambda order, answer: None
        await desk.change(placed.intent.intent_id, D(69_900))
        world.act_fault = ""
        again = world.opened(tmp_path / "orders.sqlite3")
        (kept,) = again.ledger.orders.values()
        assert kept.status is S.REPLACE_UNKNOWN
        return await until(world, again, kept, 60, S.WORKING), kept.price

    world, found = on_desk(tmp_path, act)
    assert found == (S.WORKING, 69_900)
    assert [tr for tr, _ in world.seen].count(kiwoom.CHANGE) == 1


def test_a_cancel_takes_back_what_is_left(tmp_path):
    """4 of 10 filled: cancelled with 4; a refused cancel is looked at, not believed."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), plan=((0, 40),))
        await desk.cancel(placed.intent.intent_id)
        await until(world, desk, placed, 30, S.CANCELLED)
        filled = await place(world, desk, wish("b"))
        await desk.cancel(filled.intent.intent_id)
        await until(world, desk, filled, 30, S.FILLED)
        return placed, filled

    _, (placed, filled) = on_desk(tmp_path, act)
    assert (placed.status, placed.filled) == (S.CANCELLED, 4)
    assert (filled.status, filled.filled) == (S.FILLED, 10)


def test_only_numbers_of_the_day_are_ours(tmp_path):
    """Numbers begin anew each morning: yesterday's 0000001 is not today's."""

    async def act(world, desk):
        first = await place(world, desk, wish("a"))
        await until(world, desk, first, 30, S.FILLED)
        await asyncio.sleep(timedelta(days=1).total_seconds())
        second = await place(world, desk, wish("b", quantity=D(3)), plan=((0, 100),))
        desk.notice(notice(**{"900": "3", "902": "0", "903": "210000"}))
        return first, second

    _, (first, second) = on_desk(tmp_path, act)
    assert first.order_id == second.order_id == "0000001"
    assert (first.filled, second.filled) == (10, 3)


def test_secrets_stand_in_no_row(tmp_path):
    """Neither key nor secret nor token in the journal, whatever was asked and answered."""

    async def act(world, desk):
        for number, fault in enumerate(["", "lost_after", "closed", "token", "500_with"]):
            await place(world, desk, wish(str(number)), fault)
            await asyncio.sleep(70.0)
            await desk.resolve()
        return "\n".join(each.body for each in desk._journal.rows())

    world, text = on_desk(tmp_path, act)
    assert "kb-" in text
    for secret in (world.core.app, world.core.secret, "SIMTOKEN", "Bearer"):
        assert secret not in text


def test_absent_is_said_only_by_the_port_never_by_an_error(tmp_path):
    """A question that failed is no list: nothing is counted."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), "lost_before")
        world.core.fault = "1999"
        await desk.look(placed)
        assert placed.absents == 0
        world.core.fault = ""
        return await desk.port.look(placed.intent, False)

    assert isinstance(on_desk(tmp_path, act)[1], Absent)


def test_a_row_that_two_orders_of_ours_could_be_is_nobodys(tmp_path):
    """Believed lost and unknown, equal: a late row could be either; one taken in a call is that call's."""

    def put(ledger, number, at, status):
        order = order_at(at, intent_id=f"i{number}", client_id=f"kb-{number}")
        order.status = status
        ledger.orders[order.intent.intent_id] = order
        return order

    ledger = SpotLedger()
    put(ledger, 1, TEN, S.LOST)
    newer = put(ledger, 2, TEN + timedelta(seconds=200), S.UNKNOWN)
    asked_ms = int((TEN + timedelta(seconds=500)).timestamp() * 1_000)
    late, near = row(second=36_400), row(second=36_203)
    assert judge(newer, [late], ledger, asked_ms).bound is None
    assert judge(newer, [near], ledger, asked_ms).bound == near
    ledger.orders["i1"].numbers.append("0000009")  # found meanwhile: no rival any more
    assert judge(newer, [late], ledger, asked_ms).bound == late


def test_a_row_of_an_order_whose_call_is_under_way_is_left_to_it(tmp_path):
    """The first was believed lost; an equal one is being sent when the first is looked at."""

    async def act(world, desk):
        await place(world, desk, wish("first", symbol="000660", price=D(180_000)))
        lost = await place(world, desk, wish("a"), "lost_before")
        await until(world, desk, lost, 300, S.LOST)
        submit = desk.kiwoom.submit

        async def looked(made, veto):
            answer = await submit(made, veto)
            await asyncio.sleep(10.0)
            await desk.look(lost)  # the row stands, its number has not been told yet
            return answer

        desk.kiwoom.submit = looked
        second = await place(world, desk, wish("b"))
        return lost, second

    _, (lost, second) = on_desk(tmp_path, act)
    assert (lost.status, lost.filled) == (S.LOST, 0)
    assert second.status in (S.WORKING, S.FILLED)


def test_a_notice_of_our_number_that_cannot_be_ours_books_nothing(tmp_path):
    """Dearer than the limit, or of another stock: looked at instead, nothing counted."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), plan=())
        desk.notice(notice(**{"903": "290000"}))
        desk.notice(notice(**{"9001": "000660"}))
        assert (placed.filled, placed.filled_funds) == (0, 0)
        assert placed in desk.due()
        desk.notice(notice())
        return placed.filled

    assert on_desk(tmp_path, act)[1] == 4


def test_while_a_dearer_change_is_not_settled_the_dearer_price_is_reserved(tmp_path):
    """70,000 to 70,100 without an answer: ten shares may cost 701,000 won."""

    async def act(world, desk):
        placed = await place(world, desk, wish(), plan=())
        world.act_fault = "lost_before"
        await desk.change(placed.intent.intent_id, D(70_100))
        world.act_fault = ""
        return placed.status, placed.reserve

    assert on_desk(tmp_path, act)[1] == (S.REPLACE_UNKNOWN, 701_000)
