"""Each entry changes what it must and nothing else: the whole ledger before and after, field by field."""

import copy
import re
from datetime import timedelta
from fractions import Fraction

import pytest
from compare import differences
from test_ledger import (
    BUY,
    DAY,
    FUND,
    NEXT_DAY,
    NOW,
    OTHER,
    SELL,
    SYMBOL,
    E,
    S,
    after,
    bought,
    fill,
    intent_of,
    new_ledger,
    update,
    working,
)

import kis_realtime_trading as bot

PLAN, TIGHTER = bot.ExitPlan(69_000, 72_000), bot.ExitPlan(69_500, 72_000)
LATER = after(60)


def rich():
    """Return a ledger in the middle of a day in which everything has happened."""
    ledger = new_ledger(
        bot.AccountTaken(9_000_000, {SYMBOL: 3, FUND: 2}, NOW),
        *bought(10, 70_000, "held", "0000000101", plan=PLAN),
        *bought(6, 50_000, "old", "0000000102", symbol=OTHER, plan=PLAN),
        bot.CloseKept(OTHER, 50_000, DAY, True, NOW),
        bot.CloseKept(SYMBOL, 70_000, DAY, True, NOW),
        bot.LevelSet(bot.KillLevel.ENTRIES_OFF, "a rule", True, NOW),
        bot.HoldSet("journal", True, NOW),
        bot.DayOpened(NEXT_DAY, NOW),
        *bought(5, 60_000, "lost", "0000000103", symbol=FUND, trade_date=NEXT_DAY),
        *working("sold", "0000000104", side=SELL, quantity=5, symbol=FUND, price=50_000, trade_date=NEXT_DAY),
        fill("sold", 5, 250_000),
        bot.SymbolStopped(FUND, "lost", NOW),
        bot.ExitStarted(SYMBOL, "stop", NOW),
        *working("exit", "0000000105", side=SELL, quantity=10, price=68_000, trade_date=NEXT_DAY),
        fill("exit", 4, 272_000),
        *working("rest", "0000000106", symbol=OTHER, quantity=8, price=49_000, trade_date=NEXT_DAY),
        intent_of("sent", symbol=OTHER, quantity=2, price=51_000, trade_date=NEXT_DAY),
        *working("his", "0000000900", symbol=OTHER, quantity=4, purpose="external", trade_date=NEXT_DAY),
        bot.ActionSeen(OTHER, "split", 50_000, 25_000, 6, 12, NOW),
    )  # fmt: skip
    assert ledger.position(FUND).quantity == 0 and ledger.today.losses == {FUND: 1, "": 1}
    return ledger


SHORTER = (
    (r"Position\(quantity=0, .*?scale=1\)", "-"), (r"Order\(intent=.*? / -$", "order / -"),
    (r"- / Order\(intent=.*$", "- / order"), (r"datetime\.datetime\(\d+, \d+, \d+, 10, (\d).*?'KST'\)\)", r"10:0\1"),
    (r"datetime\.date\((\d+), (\d+), (\d+)\)", r"\1-\2-\3"), (r"Fraction\((-?\d+), 1\)", r"\1"),
    (r"<\w+\.\w+: (.*?)>", r"\1"), (r"(ActionSeen|CloseKept)\(.*? / -", r"\1 / -"),
    (r"- / (ActionSeen|CloseKept)\(.*", r"- / \1"),
)  # fmt: skip


def changes(ledger, entry):
    """Apply an entry; return what it gave, and each field that is another one now, a line each."""
    before = copy.deepcopy(ledger)
    try:
        given = str(ledger.apply(entry))
    except bot.IllegalTransition as error:
        given = f"illegal: {error}"
    lines = differences(before, ledger, ("._*",))  # its own lookups follow from the rest
    for pattern, shown in SHORTER:
        lines = [re.sub(pattern, shown, line) for line in lines]
    return "\n".join((given, *lines))


def told(event, key, number="", **more):
    """Return an event of an order of a minute later."""
    return update(event, key, number, LATER, **more)


ENTRIES = {
    "a plan": bot.PlanUpdate(SYMBOL, TIGHTER, LATER),
    "an exit": bot.ExitStarted(OTHER, "target", LATER),
    "shares that left": bot.PositionAdjusted(OTHER, 5, "fewer", LATER),
    "all shares that left": bot.PositionAdjusted(OTHER, 0, "none", LATER),
    "more shares than ours": bot.PositionAdjusted(OTHER, 99, "more", LATER),
    "the account": bot.AccountTaken(1_234, {OTHER: 1}, LATER),
    "a stop of a stock": bot.SymbolStopped(OTHER, "why", LATER),
    "an end of a stop": bot.SymbolStopped(FUND, "", LATER),
    "a hold": bot.HoldSet("mismatch", True, LATER),
    "a hold again": bot.HoldSet("journal", True, LATER),
    "an end of a hold": bot.HoldSet("journal", False, LATER),
    "a level": bot.LevelSet(bot.KillLevel.FLATTEN_AND_HALT, "owner", False, LATER),
    "a close": bot.CloseKept(FUND, 50_000, NEXT_DAY, False, LATER),
    "an action without other shares": bot.ActionSeen(SYMBOL, "ex-date", 70_000, 66_000, 6, 6, LATER),
    "an answer": bot.ActionAnswered(OTHER, 25_000, TIGHTER, "scale", LATER),
    "an answer about nothing held": bot.ActionAnswered(FUND, 25_000, TIGHTER, "keep", LATER),
    "a number heard": bot.NumberHeard("sent", "0000000107", LATER),
    "an intent": intent_of("new", symbol=FUND, trade_date=NEXT_DAY, at=LATER),
    "an intent of the owner": intent_of("his2", symbol=FUND, purpose="external", trade_date=NEXT_DAY, at=LATER),
    "an intent twice": intent_of("sent", symbol=OTHER, trade_date=NEXT_DAY, at=LATER),
    "accepted": told(E.ACCEPTED, "sent", "0000000107", branch="06010"),
    "refused": told(E.REFUSED, "sent", note="APBK0919"),
    "not sent": told(E.NOT_SENT, "sent", note="no connection"),
    "no answer": told(E.NO_ANSWER, "sent", note="time-out"),
    "a change sent": told(E.REPLACE_SENT, "rest", price=49_500, kind="03"),
    "a cancel sent": told(E.CANCEL_SENT, "rest"),
    "replaced": told(E.REPLACED, "exit", "0000000108", branch="9", price=67_000, kind="01"),
    "cancelled": told(E.CANCELLED, "rest", "0000000106", note="list"),
    "rejected": told(E.REJECTED, "rest", "0000000106"),
    "expired": told(E.EXPIRED, "exit", "0000000105", note="day ended"),
    "what is not legal": told(E.ABSENT, "rest"),
    "a part of an exit": told(E.FILL, "exit", "0000000105", quantity=7, amount_krw=476_000),
    "the rest of an exit": told(E.FILL, "exit", "0000000105", quantity=10, amount_krw=680_000),
    "the same fill again": told(E.FILL, "exit", "0000000105", quantity=4, amount_krw=272_000),
    "an amount corrected": told(E.FILL, "exit", "0000000105", quantity=4, amount_krw=273_000),
    "fewer shares than before": told(E.FILL, "exit", "0000000105", quantity=3, amount_krw=272_000),
    "one share more": told(E.FILL, "rest", "0000000106", quantity=1, amount_krw=49_000),
    "more of the same stock": told(E.FILL, "rest", "0000000106", quantity=8, amount_krw=392_000),
    "a fill of the owner": told(E.FILL, "his", "0000000900", quantity=4, amount_krw=200_000),
    "the next day": bot.DayOpened(NEXT_DAY + timedelta(days=1), LATER),
}  # fmt: skip


KEPT_TEXT = """
a plan
0
.positions[005930].plan.stop_price: 69000 / 69500

an exit
0
.positions[247540].exit_reason: '' / 'target'

shares that left
0
.positions[247540].quantity: 12 / 5
.positions[247540].cost: 300000 / 125000
.overnight[247540][0]: 12 / 5
.overnight[247540][1]: 300000 / 125000

all shares that left
0
.positions[247540].quantity: 12 / 0
.positions[247540].cost: 300000 / 0
.positions[247540].plan: ExitPlan(stop_price=69000, target_price=72000, trail_ratio=0.0) / None
.positions[247540].opened_at: 10:00 / None
.positions[247540].result: -42 / 0
.actions[247540]: ActionSeen / -
.overnight[247540][0]: 12 / 0
.overnight[247540][1]: 300000 / 0

more shares than ours
0

the account
0
.external[005930]: 3 / -
.external[069500]: 2 / -
.external[247540]: - / 1
.account_day: 2026-11-20 / 2026-11-23
.cash_krw: 8221197 / 1234
.morning_cash_krw: 10000000 / 1234

a stop of a stock
0
.stopped[247540]: - / 'why'

an end of a stop
0
.stopped[069500]: 'lost' / -
.today.losses[069500]: 1 / -

a hold
0
.holds[mismatch]: - / 10:01

a hold again
0
.holds[journal]: 10:00 / 10:01

an end of a hold
0
.holds[journal]: 10:00 / -

a level
0
.level_by_rule: True / False
.level: 1 / 3
.owners_level: 0 / 3

a close
0
.closes[069500]: - / CloseKept

an action without other shares
0
.actions[005930]: - / ActionSeen

an answer
0
.positions[247540].plan.stop_price: 69000 / 69500
.closes[247540]: CloseKept / -
.actions[247540]: ActionSeen / -

an answer about nothing held
0

a number heard
0
.orders[sent].heard[0]: - / '0000000107'

an intent
0
.orders[new]: - / order
.today.orders: 5 / 6

an intent of the owner
0
.orders[his2]: - / order

an intent twice
illegal: intent sent a second time

accepted
0
.orders[sent].since: 10:00 / 10:01
.orders[sent].status: 'submitting' / 'working'
.orders[sent].order_no: '' / '0000000107'
.orders[sent].branch: '' / '06010'
.by_number[(2026-11-23, '0000000107')]: - / 'sent'

refused
0
.orders[sent].since: 10:00 / 10:01
.orders[sent].status: 'submitting' / 'rejected'
.orders[sent].note: '' / 'APBK0919'

not sent
0
.orders[sent].since: 10:00 / 10:01
.orders[sent].status: 'submitting' / 'not sent'
.orders[sent].note: '' / 'no connection'

no answer
0
.orders[sent].since: 10:00 / 10:01
.orders[sent].status: 'submitting' / 'unknown'
.orders[sent].note: '' / 'time-out'

a change sent
0
.orders[rest].since: 10:00 / 10:01
.orders[rest].status: 'working' / 'replace pending'
.orders[rest].pending_price: 0 / 49500
.orders[rest].pending_kind: '' / '03'

a cancel sent
0
.orders[rest].since: 10:00 / 10:01
.orders[rest].status: 'working' / 'cancel pending'
.orders[rest].cancel_tries: 0 / 1

replaced
0
.orders[exit].order_no: '0000000105' / '0000000108'
.orders[exit].branch: '' / '9'
.orders[exit].price: 68000 / 67000
.orders[exit].kind: '00' / '01'
.by_number[(2026-11-23, '0000000108')]: - / 'exit'

cancelled
0
.orders[rest].since: 10:00 / 10:01
.orders[rest].status: 'working' / 'cancelled'
.orders[rest].note: '' / 'list'

rejected
0
.orders[rest].since: 10:00 / 10:01
.orders[rest].status: 'working' / 'rejected'

expired
0
.orders[exit].since: 10:00 / 10:01
.orders[exit].status: 'partially filled' / 'expired'
.orders[exit].note: '' / 'day ended'

what is not legal
illegal: working order rest got: absent

a part of an exit
3
.orders[exit].fills[0000000105][0]: 4 / 7
.orders[exit].fills[0000000105][1]: 272000 / 476000
.orders[exit].fee_krw: 38 / 67
.orders[exit].tax_krw: 544 / 952
.positions[005930].quantity: 6 / 3
.positions[005930].cost: 420000 / 210000
.positions[005930].result: -8680 / -15117
.today.gross: -58000 / -64000
.today.fees_krw: 119 / 148
.today.taxes_krw: 544 / 952
.today.fills: 3 / 4
.today.sold[005930]: 4 / 7
.cash_krw: 8221197 / 8424760

the rest of an exit
6
.orders[exit].since: 10:00 / 10:01
.orders[exit].status: 'partially filled' / 'filled'
.orders[exit].fills[0000000105][0]: 4 / 10
.orders[exit].fills[0000000105][1]: 272000 / 680000
.orders[exit].fee_krw: 38 / 96
.orders[exit].tax_krw: 544 / 1360
.positions[005930].quantity: 6 / 0
.positions[005930].cost: 420000 / 0
.positions[005930].plan: ExitPlan(stop_price=69000, target_price=72000, trail_ratio=0.0) / None
.positions[005930].opened_at: 10:00 / None
.positions[005930].result: -8680 / 0
.positions[005930].exit_reason: 'stop' / ''
.today.gross: -58000 / -70000
.today.fees_krw: 119 / 177
.today.taxes_krw: 544 / 1360
.today.fills: 3 / 4
.today.sold[005930]: 4 / 10
.today.losses[]: 1 / 2
.today.losses[005930]: - / 1
.today.lost_at[]: 10:00 / 10:01
.today.lost_at[005930]: - / 10:01
.cash_krw: 8221197 / 8628323

the same fill again
0

an amount corrected
0
.orders[exit].fills[0000000105][1]: 272000 / 273000
.orders[exit].tax_krw: 544 / 545
.positions[005930].result: -8680 / -7681
.today.gross: -58000 / -57000
.today.taxes_krw: 544 / 545
.cash_krw: 8221197 / 8222196

fewer shares than before
0

one share more
1
.orders[rest].since: 10:00 / 10:01
.orders[rest].status: 'working' / 'partially filled'
.orders[rest].fills[0000000106]: - / (1, 49000)
.orders[rest].fee_krw: 0 / 7
.positions[247540].quantity: 12 / 13
.positions[247540].cost: 300000 / 349000
.positions[247540].result: -42 / -49
.today.fees_krw: 119 / 126
.today.fills: 3 / 4
.cash_krw: 8221197 / 8172190

more of the same stock
8
.orders[rest].since: 10:00 / 10:01
.orders[rest].status: 'working' / 'filled'
.orders[rest].fills[0000000106]: - / (8, 392000)
.orders[rest].fee_krw: 0 / 55
.positions[247540].quantity: 12 / 20
.positions[247540].cost: 300000 / 692000
.positions[247540].result: -42 / -97
.today.fees_krw: 119 / 174
.today.fills: 3 / 4
.cash_krw: 8221197 / 7829142

a fill of the owner
4
.orders[his].since: 10:00 / 10:01
.orders[his].status: 'working' / 'filled'
.orders[his].fills[0000000900]: - / (4, 200000)
.orders[his].fee_krw: 0 / 28
.external[247540]: - / 4
.cash_krw: 8221197 / 8021169

the next day
0
.orders[lost]: order / -
.orders[sold]: order / -
.orders[exit]: order / -
.orders[rest]: order / -
.orders[his]: order / -
.by_number[(2026-11-23, '0000000103')]: 'lost' / -
.by_number[(2026-11-23, '0000000104')]: 'sold' / -
.by_number[(2026-11-23, '0000000105')]: 'exit' / -
.by_number[(2026-11-23, '0000000106')]: 'rest' / -
.by_number[(2026-11-23, '0000000900')]: 'his' / -
.stopped[069500]: 'lost' / -
.overnight[005930][0]: 10 / 6
.overnight[005930][1]: 700000 / 420000
.day: 2026-11-23 / 2026-11-24
.today.gross: -58000 / 0
.today.fees_krw: 119 / 0
.today.taxes_krw: 544 / 0
.today.orders: 5 / 0
.today.fills: 3 / 0
.today.sold[005930]: 4 / -
.today.losses[069500]: 1 / -
.today.losses[]: 1 / -
.today.lost_at[069500]: 10:00 / -
.today.lost_at[]: 10:00 / -
"""
KEPT = dict(block.split("\n", 1) for block in KEPT_TEXT.strip().split("\n\n"))


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_changes_these_fields_and_no_other(name):
    """Before and after, in the middle of a day on which everything has happened."""
    assert changes(rich(), ENTRIES[name]) == KEPT[name]


def test_the_owner_sells_what_is_ours_and_the_action_of_a_stock_ends_with_its_shares():
    """Beyond his own shares his sell takes ours, at cost; a stock that is flat waits for no answer."""
    ledger = rich()
    for entry in working("his3", "0000000901", symbol=OTHER, side=SELL, quantity=13, purpose="external",
                         trade_date=NEXT_DAY):  # fmt: skip
        ledger.apply(entry)
    ledger.apply(fill("his3", 5, 125_000))
    position = ledger.position(OTHER)
    assert (position.quantity, position.cost, ledger.external[OTHER]) == (
        7,
        Fraction(300_000 * 7, 12),
        0,
    )
    assert ledger.overnight[OTHER] == (7, Fraction(300_000 * 7, 12))
    assert OTHER in ledger.actions
    ledger.apply(fill("his3", 12, 300_000))
    assert (ledger.position(OTHER), ledger.external[OTHER]) == (bot.Position(), 0)
    assert ledger.overnight[OTHER] == (0, 0) and OTHER not in ledger.actions


def test_an_action_of_a_stock_that_we_sold_waits_for_no_answer():
    """The last share sold by our own order ends it too."""
    ledger = rich()
    for entry in working(
        "all", "0000000902", symbol=OTHER, side=SELL, quantity=12, price=26_000, trade_date=NEXT_DAY
    ):
        ledger.apply(entry)
    ledger.apply(fill("all", 11, 286_000))
    assert OTHER in ledger.actions
    ledger.apply(fill("all", 12, 312_000))
    assert ledger.actions == {} and ledger.position(OTHER) == bot.Position()


def test_what_is_open_stays_over_the_night_and_what_ended_goes():
    """Orders that may live stay with their numbers; of ended ones neither stays."""
    ledger = rich()
    ledger.apply(told(E.NO_ANSWER, "sent"))
    ledger.apply(told(E.CANCEL_SENT, "rest"))
    ledger.apply(told(E.NO_ANSWER, "rest"))
    ledger.apply(bot.DayOpened(NEXT_DAY + timedelta(days=3), LATER))
    assert {key: order.status for key, order in ledger.orders.items()} == {
        "rest": S.CANCEL_UNKNOWN, "sent": S.UNKNOWN,
    }  # fmt: skip
    assert ledger.by_number == {(NEXT_DAY, "0000000106"): "rest"}
    assert ledger.order_of("0000000106") is None  # a number of another day
    assert BUY is ledger.orders["sent"].intent.side


def test_an_order_has_the_branch_of_its_newest_number():
    """A change may be taken by another branch; without one told the last one stays."""
    ledger = rich()
    seen = []
    for number, branch in (("0000000107", "06010"), ("0000000108", "06011"), ("0000000109", "")):
        ledger.apply(told(E.REPLACED, "rest", number, branch=branch, price=49_000))
        seen.append((ledger.orders["rest"].order_no, ledger.orders["rest"].branch))
    assert seen == [("0000000107", "06010"), ("0000000108", "06011"), ("0000000109", "06011")]


@pytest.mark.parametrize("answer", [E.ACCEPTED, E.NO_ANSWER])
def test_a_change_takes_over_the_kind_that_was_asked_for(answer):
    """Told by its answer, or by a row that names no kind after the answer was lost."""
    ledger = rich()
    ledger.apply(told(E.REPLACE_SENT, "rest", price=0, kind="03"))
    ledger.apply(told(answer, "rest", "0000000107" if answer is E.ACCEPTED else ""))
    if answer is E.NO_ANSWER:
        assert (ledger.orders["rest"].price, ledger.orders["rest"].kind) == (49_000, "00")
        ledger.apply(told(E.REPLACED, "rest", "0000000107"))
    order = ledger.orders["rest"]
    assert (order.order_no, order.price, order.kind, order.status) == (
        "0000000107",
        0,
        "03",
        S.WORKING,
    )
