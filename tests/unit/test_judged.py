"""What is proved about an order of ours: the reconciler's judgements over whole grids, read a second time."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from test_engine import BUY, DAY, OTHER, SELL, SYMBOL, K, S

import kis_realtime_trading as bot

E = bot.OrderEvent
NOW = datetime.combine(DAY, bot.clock_time(10, 30), bot.KST)


def ledger_with(status, age_s=60.0, decided_s=None, filled=0, note="", number="0000000001", **more):
    """Return a ledger with an order of ours of ten shares in a status, and the order."""
    ledger = bot.Ledger()
    ledger.day = DAY
    at = NOW - timedelta(seconds=age_s if decided_s is None else decided_s)
    intent = bot.OrderIntent(
        "ours",
        DAY,
        SYMBOL,
        BUY,
        K.LIMIT,
        10,
        70_000,
        "entry",
        "entry",
        "s",
        at,
        reserve_krw=700_000,
    )
    ledger.apply(replace(intent, **more))
    order = ledger.orders["ours"]
    if number:
        order.order_no = number
        ledger.by_number[(DAY, number)] = "ours"
    order.status, order.since, order.note = status, NOW - timedelta(seconds=age_s), note
    if filled:
        order.fills = {number: (filled, filled * 70_000)}
    ledger._look_for_alive()
    return ledger, order


def reading(ledger):
    """Return a reconciler that reads a list asked and come at NOW."""
    desk = bot.Reconciler(ledger, False)
    desk._looked_at = desk._now = NOW
    return desk


def applied(ledger, proof):
    """Apply what is proved as the engine does, each before the next is made; return the events."""
    found = []
    for entry in proof:
        found.append(entry)
        if isinstance(entry, bot.OrderUpdate):
            ledger.apply(entry)
    return found


def row_of(filled=0, cancelled=0, rejected=0, **more):
    """Return the list's row of the order."""
    row = bot.BrokerOrder(
        order_no="0000000001", original_no="", branch="06010", symbol=SYMBOL, side=BUY, kind="00",
        quantity=10, price=70_000, filled_quantity=filled, filled_amount_krw=filled * 70_000,
        cancelled_quantity=cancelled, rejected_quantity=rejected, time="102900",
    )  # fmt: skip
    return replace(row, **more)


HEARD = {
    "nothing": (), "a free number": ("0000000008",), "a taken one": ("0000000009",),
    "two free ones": ("0000000008", "0000000007"), "one of each": ("0000000008", "0000000009"),
}  # fmt: skip


@pytest.mark.parametrize("heard", HEARD)
@pytest.mark.parametrize(("age_s", "decided_s"), [
    (5, 14), (5, 15), (179, 400), (180, 180), (299, 299), (300, 300),
])  # fmt: skip
@pytest.mark.parametrize("arrived", [False, True])
def test_an_unknown_order_is_absent_there_or_open_by_what_lists_account_and_notices_say(
    heard, age_s, decided_s, arrived
):
    """Absent: three complete lists in a row, three minutes, a witness that saw nothing, no number heard;
    without a witness six lists and five minutes. There: its one number, and the account moved by its size."""
    for clean, valid, witnesses, equal in itertools.product(
        (0, 1, 2, 4, 5), (False, True), (0, 1), (0, 2)
    ):
        ledger, order = ledger_with(S.UNKNOWN, age_s, decided_s, number="")
        taken = replace(order.intent, intent_id="another")
        ledger.apply(taken)
        ledger.by_number[(DAY, "0000000009")] = "another"
        order.heard = list(HEARD[heard])
        desk = reading(ledger)
        desk.searches["ours"] = bot.Search(clean, witnesses, arrived)
        rows = [row_of(order_no=f"000000010{n}") for n in range(equal)]
        found = applied(ledger, desk._judge(order, rows, valid))
        count = clean if equal else clean + 1 if valid else 0
        witnessed = witnesses > 0 or (age_s >= 300 and count >= 6)
        if equal:
            expected = [(E.AMBIGUOUS, "")]
        elif heard == "a free number" and arrived and decided_s >= 15:
            expected = [(E.FOUND, "0000000008")]
        elif heard == "nothing" and age_s >= 180 and count >= 3 and witnessed and not arrived:
            expected = [(E.ABSENT, "")]
        else:
            expected = []
        assert [(each.event, each.order_no) for each in found] == expected
        assert desk.searches["ours"].clean_lists == count


STATUSES = (
    S.WORKING, S.PARTIAL, S.CANCEL_PENDING, S.CANCEL_UNKNOWN, S.REPLACE_PENDING, S.REPLACE_UNKNOWN,
    S.CANCELLED, S.FILLED, S.REJECTED,
)  # fmt: skip


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("age_s", [4, 5, 14, 15, 29, 30, 179, 180])
@pytest.mark.parametrize("note", ["", "40330000 no rest"])
def test_a_row_of_ours_tells_its_fills_and_then_whether_it_lives(status, age_s, note):
    """Its end by its shares, no words end it; alive again once the call must have ended; a change by proof."""
    shares_of = itertools.product((0, 4), (0, 4, 7, 10), (0, 3, 6, 10), (0, 10))
    for had, filled, cancelled, rejected in shares_of:
        if (had and status in (S.WORKING, S.REJECTED)) or filled + cancelled + rejected > 10:
            continue
        ledger, order = ledger_with(status, age_s, 400, had, note)
        desk = reading(ledger)
        row = row_of(filled, cancelled, rejected)
        found = [
            (each.event, each.quantity) for each in applied(ledger, desk._read_row(order, row))
        ]
        expected = [(E.FILL, filled)] if filled > had else []
        shares = max(had, filled)
        over = shares + cancelled + rejected
        alive = status not in (S.CANCELLED, S.FILLED, S.REJECTED) and shares < 10
        waits = status is S.REPLACE_PENDING or (
            status is S.REPLACE_UNKNOWN and cancelled and age_s < 180
        )
        if alive and not waits:
            patience_s = 15 if status is S.CANCEL_PENDING else 5
            doubted = status in (S.CANCEL_PENDING, S.CANCEL_UNKNOWN, S.REPLACE_UNKNOWN)
            if over >= 10 and (cancelled or rejected):
                expected.append((E.REJECTED if rejected else E.CANCELLED, 0))
            elif doubted and age_s >= patience_s and over < 10:
                expected.append((E.STILL_WORKING, 0))
        assert found == expected, (had, filled, cancelled, rejected)


@pytest.mark.parametrize("purpose", ["entry", "exit", "external"])
@pytest.mark.parametrize(
    ("changed", "stops"),
    [({}, False), ({"symbol": OTHER}, True), ({"side": SELL}, True), ({"filled": 10}, False),
     ({"filled": 11}, True), ({"filled": 7, "second": True}, True), ({"filled": 6, "second": True}, False)],
)  # fmt: skip
@pytest.mark.parametrize("stopped", [False, True])
def test_a_row_that_cannot_be_ours_books_nothing_and_stops_the_stock_once(
    purpose, changed, stops, stopped
):
    """Another stock, another side, more shares than were sent under all its numbers together."""
    changed = dict(changed)
    filled, second = changed.pop("filled", 2), changed.pop("second", False)
    ledger, order = ledger_with(S.WORKING, purpose=purpose)
    if second:
        order.fills["0000000005"] = (4, 280_000)
    if stopped:
        ledger.stopped[SYMBOL] = "before"
    kept = dict(order.fills)
    found = applied(ledger, reading(ledger)._read_row(order, row_of(filled, **changed)))
    strange = "symbol" in changed or "side" in changed
    if strange or (stops and purpose != "external"):
        kinds = [type(each) for each in found]
        assert kinds == ([] if stopped else [bot.SymbolStopped]) and order.fills == kept
    else:
        assert [each.event for each in found if isinstance(each, bot.OrderUpdate)] == [E.FILL]
        assert order.fills == {**kept, "0000000001": (filled, filled * 70_000)}


@pytest.mark.parametrize("status", list(S))
@pytest.mark.parametrize(
    "note", ["", "EGW00201 too fast", "before sending: no connection", "APBK0919 no"]
)
@pytest.mark.parametrize("answered_s", [0, 3, 40])
def test_until_when_the_broker_may_have_taken_an_order_without_a_number(status, note, answered_s):
    """Always while nobody knows; never when it was refused or did not leave; up to the gateway's answer."""
    _, order = ledger_with(status, 60 - answered_s, 60, note=note, number="")
    if status is S.UNKNOWN:
        expected = float("inf")
    elif status is S.NOT_SENT and note.startswith("EGW"):
        expected = answered_s + 2.0
    elif status in (S.NOT_SENT, S.REJECTED):
        expected = -float("inf")
    else:
        expected = 60.0
    assert bot.arrival_s(order) == expected


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("status", [S.UNKNOWN, S.QUARANTINED, S.WORKING, S.CANCEL_UNKNOWN])
@pytest.mark.parametrize("looked_s", [None, 100, 179, 180, 50_000])
def test_the_night_calls_an_order_absent_only_where_nothing_spoke_for_it(
    heard, fitted, status, looked_s
):
    """A complete list three minutes after it, or of a later day; no row that fitted, no number heard."""
    ledger, order = ledger_with(
        status, 1_000, number="" if status in (S.UNKNOWN, S.QUARANTINED) else "0000000001"
    )
    order.heard = ["0000000008"] if heard else []
    desk = bot.Reconciler(ledger, False)
    desk._valid_at = None if looked_s is None else order.since + timedelta(seconds=looked_s)
    desk._fitted = {"ours"} if fitted else set()
    found = [each.event for each in applied(ledger, desk.end_day(NOW + timedelta(days=1)))]
    if status in (S.WORKING, S.CANCEL_UNKNOWN):
        assert found == [E.EXPIRED]
        return
    absent = looked_s is not None and looked_s >= 180 and not heard and not fitted
    if status is S.QUARANTINED and not absent:
        assert found == []  # it waits for the owner already
    else:
        assert found == [E.ABSENT if absent else E.AMBIGUOUS]


def test_the_living_part_of_an_order_is_a_row_under_another_number_of_it():
    """Not of another order, and not one of which nothing is alive."""
    ledger, order = ledger_with(S.WORKING)
    ledger.apply(replace(order.intent, intent_id="another"))
    ledger.by_number |= {(DAY, "0000000002"): "ours", (DAY, "0000000009"): "another"}
    alive = {
        number: row_of(order_no=number) for number in ("0000000001", "0000000002", "0000000009")
    }
    dead = {number: replace(row, cancelled_quantity=10) for number, row in alive.items()}
    for own, other, his in itertools.product((alive, dead), repeat=3):
        rows = {
            "0000000009": his["0000000009"], "0000000001": own["0000000001"],
            "0000000002": other["0000000002"],
        }  # fmt: skip
        found = bot.living_part(ledger, order, rows)
        expected = [rows[n] for n in ("0000000001", "0000000002") if rows[n].alive > 0]
        assert found == (expected[0] if expected else None)
    assert bot.living_part(ledger, order, {"0000000009": alive["0000000009"]}) is None


@pytest.mark.parametrize("quantities", list(itertools.product((0, 3, 10, 12), repeat=2)))
def test_a_notice_of_a_whole_cancel_stays_one_whatever_comes_behind_it(quantities):
    """A part of it leaves the order; no shares named, or all of them, end it, also when a part follows."""
    ledger, _ = ledger_with(S.WORKING)
    desk, whole = bot.Reconciler(ledger, False), False
    for shares in quantities:
        notice = bot.Notice(
            bot.NoticeKind.CONFIRMED, "2", "0000000050", "0000000001", SYMBOL, BUY, shares, 0, ""
        )
        assert applied(ledger, desk.note_notice(notice, NOW)) == []
        whole |= not 0 < shares < 10
        assert desk.hints["0000000001"].cancelled is whole


@pytest.mark.parametrize("spent_s", [0, 44, 45, 600])
@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("part", ["alive", "spent", "unlisted"])
@pytest.mark.parametrize("woke", [False, True])
def test_an_order_goes_on_as_the_part_of_it_that_lives(spent_s, changed, part, woke):
    """45 seconds after nothing of a changed order lives: its number, branch, price and kind; else it ended."""
    ledger, order = ledger_with(S.WORKING, 1_000)
    ledger.by_number[(DAY, "0000000002")] = "ours"
    own = row_of(cancelled=4, original_no="0000000007" if changed else "")
    own = replace(own, quantity=4, price=70_000, branch="06010", kind="00")
    living = row_of(order_no="0000000002", cancelled=6 * (part == "spent"))
    living = replace(living, quantity=6, price=68_900, branch="91234", kind="03")
    desk = bot.Reconciler(ledger, False)
    desk._rows = {row.order_no: row for row in (own, living)[: 1 + (part != "unlisted")]}
    begun = NOW - timedelta(seconds=spent_s)
    for asked_at, row in (
        (begun - timedelta(seconds=600), own),
        (begun - timedelta(seconds=1), replace(own, cancelled_quantity=0)),  # some of it is alive
        (begun, own),
        (NOW, own),
    )[0 if woke else 2 :]:
        if asked_at == NOW - timedelta(seconds=spent_s + 600):
            desk.ages.spent_s(row, asked_at)
            continue
        desk._looked_at = desk._now = asked_at
        found = applied(ledger, desk._read_row(order, row))
    gone = changed and spent_s >= 45
    if not gone:
        assert found == [] and order.order_no == own.order_no
    elif part == "alive":
        [update] = found
        assert update.event is E.REPLACED and order.status is S.WORKING
        assert (order.order_no, order.branch, order.price, order.kind) == (
            "0000000002", "91234", 68_900, "03",
        )  # fmt: skip
    else:
        assert [update.event for update in found] == [E.CANCELLED]


@pytest.mark.parametrize("lists", list(itertools.product((False, True), repeat=3)))
def test_the_night_goes_by_what_the_last_list_showed(lists):
    """A row that might be the order, and that is gone or another's in a list of later, speaks for nothing."""
    ledger, order = ledger_with(S.UNKNOWN, 1_000, number="")
    desk, asked_at = bot.Reconciler(ledger, False), order.since
    order.heard = []
    for shows in lists:
        asked_at += timedelta(seconds=60)
        twins = (row_of(order_no="0000000008"), row_of(order_no="0000000009"))
        seen = bot.OrderList(twins if shows else ())
        for _ in desk.read_list(seen, asked_at, asked_at):
            pass  # nothing of it is applied: the owner is asked only once
    assert desk._fitted == ({"ours"} if lists[-1] else set())
    [end] = desk.end_day(NOW + timedelta(days=1))
    assert end.event is (E.AMBIGUOUS if lists[-1] else E.ABSENT)
