"""What each answer of the broker changes, read a second time: grids and series of chance, state by state.

The expectation of each is reckoned here from what the papers say of it, never asked of the bot.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
from test_engine import (
    BUY,
    DAY,
    OTHER,
    SELL,
    SYMBOL,
    Bench,
    K,
    S,
    alerts,
    asks,
    calls,
    instrument,
    wish,
)

import kis_realtime_trading as bot

EARLIER = bot.previous_trading_day(DAY)


def put_order(
    bench, key, symbol=SYMBOL, side=BUY, purpose="entry", status=S.WORKING, ago_s=60.0, **more
):
    """Put an order into the ledger as it may stand there; return it."""
    shares, day = more.pop("shares", 10), more.pop("day", DAY)
    bench.ledger.apply(bot.OrderIntent(
        key, day, symbol, side, K.LIMIT, shares, 70_000, purpose, purpose, key,
        bench.now - timedelta(seconds=ago_s), **more,
    ))  # fmt: skip
    order = bench.ledger.orders[key]
    if status not in (S.SUBMITTING, S.NOT_SENT, S.UNKNOWN, S.LOST):
        number = f"{900 + len(bench.ledger.orders):010d}"
        bench.ledger._bind(order, bot.OrderUpdate(key, bot.OrderEvent.FOUND, bench.now, number))
    order.status = status
    order.since = bench.now - timedelta(seconds=ago_s / 2)
    bench.ledger._look_for_alive()
    return order


# --- refusals in a row ---


@pytest.mark.parametrize("seed", range(40))
def test_only_refusals_without_anything_between_them_brake(seed):
    """Three entries of a stock stop it, five of all stop all; whatever else an entry became ends the row."""
    pick = random.Random(seed)
    bench = Bench(flat_at=None).start()
    ends = (S.REJECTED, S.REJECTED, S.REJECTED, S.CANCELLED, S.FILLED, S.WORKING, S.NOT_SENT)
    entries = []
    for number in range(12):
        purpose = pick.choice(["entry", "entry", "exit", "external"])
        symbol, status = pick.choice([SYMBOL, SYMBOL, OTHER]), pick.choice(ends)
        put_order(bench, f"o{number}", symbol, SELL if purpose == "exit" else BUY, purpose, status)
        if purpose == "entry":
            entries.append((symbol, status))
        in_all = here = 0
        for _, end in reversed(entries):
            if end is not S.REJECTED:
                break
            in_all += 1
        for its, end in reversed(entries):
            if its != symbol:
                continue
            if end is not S.REJECTED:
                break
            here += 1
        stopped, level = dict(bench.ledger.stopped), bench.ledger.level
        bot.brake_refusals(bench.engine.core, symbol)
        if here >= 3 and symbol not in stopped:
            stopped[symbol] = f"{here} entries refused in a row"
        if in_all >= 5:
            level = bot.KillLevel.ENTRIES_OFF
        assert (bench.ledger.stopped, bench.ledger.level) == (stopped, level)


# --- answers to calls ---


def under_way(bench, action, purpose):
    """Return an order with a call of a kind under way."""
    status = {"new": S.SUBMITTING, "cancel": S.CANCEL_PENDING, "change": S.REPLACE_PENDING}[action]
    side = SELL if purpose == "exit" else BUY
    order = put_order(bench, "called", SYMBOL, side, purpose, status)
    order.pending_price, order.pending_kind = 69_000, "01"
    bench.engine.core.calling = {"called", "another"}
    return order


def end_of(action, outcome):
    """The status of an order whose call ended so (the drawing on top of the reconciler, TRANSITIONS)."""
    if action == "new":
        return {
            bot.Outcome.ACCEPTED: S.WORKING,
            bot.Outcome.REFUSED: S.REJECTED,
            bot.Outcome.NOT_SENT: S.NOT_SENT,
            bot.Outcome.UNKNOWN: S.UNKNOWN,
        }[outcome]
    doubt, taken = (
        (S.CANCEL_UNKNOWN, S.CANCEL_PENDING)
        if action == "cancel"
        else (S.REPLACE_UNKNOWN, S.WORKING)
    )
    return {bot.Outcome.ACCEPTED: taken, bot.Outcome.UNKNOWN: doubt}.get(outcome, S.WORKING)


ANSWERS = list(itertools.product(list(bot.Outcome), ["", bot.TOO_FAST, "EGW00201", "APBK0919"]))


@pytest.mark.parametrize("action", ["new", "cancel", "change"])
@pytest.mark.parametrize(("outcome", "code"), ANSWERS)
@pytest.mark.parametrize("purpose", ["entry", "exit"])
def test_an_answer_ends_its_call_and_nothing_else(action, outcome, code, purpose):
    """Status, number, price, the call under way, and the question that follows."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=bot.ExitPlan(50_000))
    core, order = bench.engine.core, under_way(bench, action, purpose)
    before = order.order_no
    number = "0000077777" if outcome is bot.Outcome.ACCEPTED else ""
    answer = bot.OrderAnswer(outcome, number, "06010", code, "said")
    done = bench.feed(bot.OrderAnswered("called", answer, bench.now))
    assert order.status is end_of(action, outcome)
    assert core.calling == {"another"}
    assert bot.Ask("orders") in asks(done)
    bound = outcome is bot.Outcome.ACCEPTED
    assert (bench.ledger.order_of("0000077777") is order) is bound
    assert order.order_no == (number if bound and action != "cancel" else before)
    changed = bound and action == "change"
    assert (order.price, order.kind) == ((69_000, "01") if changed else (70_000, "00"))
    waits = (action, purpose, outcome, code) == ("new", "entry", bot.Outcome.NOT_SENT, "EGW00201")
    assert bench.engine.entries.paced == ([order] if waits else [])
    ended = outcome in (bot.Outcome.REFUSED, bot.Outcome.NOT_SENT)
    assert (bot.Ask("cash") in asks(done)) is (ended and not waits)
    news = {bot.Outcome.UNKNOWN: ["order_unknown"]}.get(outcome, [])
    if ended and action == "new" and not waits:
        news = ["order_refused"]
    assert alerts(done) == news


@pytest.mark.parametrize("action", ["new", "cancel", "change"])
@pytest.mark.parametrize(("outcome", "code"), ANSWERS)
@pytest.mark.parametrize("too_fast", [0, 1, 2])
def test_an_answer_to_an_exit_sets_its_pace(action, outcome, code, too_fast):
    """Too fast: seconds, told the first time only. Refused: longer each time, a new order stronger."""
    bench = Bench(flat_at=None, exit_step_s=5).start()
    bench.hold_shares(plan=bot.ExitPlan(50_000))
    order, state = under_way(bench, action, "exit"), bench.state
    run = state.exit = bot.ExitRun("stop", too_fast=too_fast, refusals=2, unsent=2)
    run.next_at = bench.now + timedelta(seconds=30)
    number = "0000077777" if outcome is bot.Outcome.ACCEPTED else ""
    answer = bot.OrderAnswer(outcome, number, "06010", code, "said")
    done = bench.feed(bot.OrderAnswered("called", answer, bench.now))
    refused, unsent = outcome is bot.Outcome.REFUSED, outcome is bot.Outcome.NOT_SENT
    paced = code == bot.TOO_FAST or (code == "EGW00201" and unsent)
    alive = bool(number) or code in ("EGW00201", "APBK0919")
    expected = {
        "too_fast": too_fast if paced else 0, "unsent": 0 if alive else 2, "refusals": 2, "step": 0,
        "next_in_s": 30.0,
    }  # fmt: skip
    if paced and (refused or unsent):
        seconds = {1: 1.0, 2: 1.0, 3: 2.0}[too_fast + 1]
        expected |= {"too_fast": too_fast + 1, "next_in_s": seconds}
    elif unsent and action == "new":
        expected |= {"unsent": expected["unsent"] + 1, "next_in_s": 5.0}
    elif refused or unsent:
        # the third refusal in a row: eight steps; the first waits two, the second four
        expected |= {"refusals": 3, "step": int(refused and action == "new"), "next_in_s": 40.0}
    elif outcome is bot.Outcome.ACCEPTED and not paced:
        expected["refusals"] = 0
    next_in_s = (run.next_at - bench.now).total_seconds()
    found = {name: getattr(run, name) for name in ("too_fast", "unsent", "refusals", "step")}
    assert {**found, "next_in_s": next_in_s} == expected
    told = [code for code in alerts(done) if code == "order_refused"]
    ended = action == "new" and (refused or unsent)
    assert told == (["order_refused"] if ended and not (paced and too_fast) else [])
    assert (bot.Ask("holdings") in asks(done)) is (expected["refusals"] == 3)
    assert order.status is end_of(action, outcome)


@pytest.mark.parametrize("action", ["cancel", "change"])
def test_an_answer_that_names_the_order_itself_is_no_answer_of_another(action):
    """The broker may tell the number of the order whose rest it took back or changed."""
    bench = Bench(flat_at=None).start()
    order = under_way(bench, action, "entry")
    own = order.order_no
    bench.feed(bot.OrderAnswered("called", bot.OrderAnswer(bot.Outcome.ACCEPTED, own), bench.now))
    assert (order.status, order.order_no) == (end_of(action, bot.Outcome.ACCEPTED), own)


def test_every_entry_that_is_accepted_after_the_stop_is_taken_back():
    """Also the first of two, while the call of the second is still under way."""
    bench = Bench(flat_at=None).start()
    first = calls(bench.want(wish("1")))
    second = calls(bench.want(wish("2", OTHER)))
    bench.command("stop", text="cancel")
    for [call] in (first, second):
        [back] = calls(bench.answer(call))
        assert (back.action, back.intent) == ("cancel", call.intent)


# --- prices ---


LIMITS = {"good": (49_000, 91_000), "none": (0, 0), "turned": (91_000, 49_000), "half": (0, 91_000)}


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("price", [0, 69_000])
@pytest.mark.parametrize("blocked", ["", bot.HALTED, "warned"])
@pytest.mark.parametrize("halted", ["no", "by rest", "by feed", "by a status"])
def test_a_price_answer_sets_just_what_it_says(known, limits, price, blocked, halted):
    """Limits do not vanish, no price is no price of 0, halts by who set them; a fund is told each time."""
    bench = Bench(flat_at=None).start()
    state, ledger = bench.state, bench.ledger
    morning = instrument(price=70_500)
    state.instrument = morning if known else None
    state.lower_limit, state.upper_limit = (49_000, 91_000) if known else (1, 1 << 40)
    if not known:
        ledger.instruments.pop(SYMBOL, None)
    asked_before = state.quoted
    state.halted, state.halted_by_rest = halted != "no", halted == "by rest"
    if halted == "by feed":
        state.last_trade = bot.Trade(SYMBOL, bench.now, 70_000, 1, 9, 630_000, True)
    kept = dict(ledger.instruments)
    asked_at = bench.now - timedelta(seconds=2)
    lower, upper = LIMITS[limits]
    answer = bot.Instrument(SYMBOL, "KOSDAQ", True, 69_900, upper, lower, price, blocked, "name")
    done = bench.seen(answer, asked_at)
    stands = replace(morning, last_price=price, blocked=blocked)
    expected = answer if limits == "good" or not known else stands
    assert state.instrument == expected
    assert state.view.fund is expected.fund
    good = limits == "good" or known
    assert (state.lower_limit, state.upper_limit) == ((49_000, 91_000) if good else (1, 1 << 40))
    assert state.quoted == (bot.Known(price, asked_at) if price else asked_before)
    stays = halted in ("by feed", "by a status")
    assert state.halted is (blocked == bot.HALTED or stays)
    assert state.halted_by_rest is (blocked == bot.HALTED)
    fixed = replace(expected, last_price=0)
    assert ledger.instruments == {**kept, SYMBOL: fixed}
    rows = [row.data for row in done if isinstance(row, bot.Record) and row.kind == "instrument"]
    assert rows == ([fixed] if kept.get(SYMBOL) != fixed else [])


@pytest.mark.parametrize("seed", range(20))
def test_a_price_of_rest_is_of_today_once_it_moved_or_a_trade_was_heard(seed):
    """The price of before the open, as long as it stands behind it, may be of last evening; then each counts."""
    pick = random.Random(seed)
    bench = Bench(flat_at=None)
    bench.command("day", session=bot.session_of(DAY))
    state, opens = None, bench.engine.core.session.open
    first, today = 0, False
    for n in range(12):
        bench.now += timedelta(minutes=pick.choice([1, 5, 10, 20]))
        price = pick.choice([70_000, 70_000, 70_100])
        heard = n > 6 and pick.random() < 0.2
        if heard:
            state.last_trade = bot.Trade(SYMBOL, bench.now, price, 1, 1, price, False)
        bench.seen(instrument(price=price))
        state = bench.engine.core.symbols[SYMBOL]
        today |= state.last_trade is not None or (bench.now >= opens and price != first)
        expected = bot.Known(price, bench.now) if today else bot.Known(state.instrument.base_price)
        assert state.quoted == expected
        first = price if not today else 0


# --- the account ---


def shares(pick):
    """Draw shares of ours, of the owner, and what the broker shows."""
    ours, owners = pick.choice([0, 0, 10]), pick.choice([0, 0, 5])
    return ours, owners, ours + owners + pick.choice([0, 0, 0, -1, 3])


@pytest.mark.parametrize("seed", range(120))
def test_shares_and_cash_are_compared_once_nothing_moved_for_a_while(seed):
    """Other shares hold entries until they agree; other cash is told and taken over, both only at rest."""
    pick = random.Random(seed)
    bench = Bench(flat_at=None).start()
    core, ledger = bench.engine.core, bench.ledger
    held_before = pick.random() < 0.4
    if held_before:
        core.hold("mismatch", on=True)
    quiet_s = pick.choice([0, 179, 180, 900])
    core.last_fill_at = bench.now - timedelta(seconds=quiet_s)
    core.holds.pop("account", None)
    rows, lines, different = {}, [], []
    for symbol in (SYMBOL, OTHER):
        ours, owners, shown = rows[symbol] = shares(pick)
        position = ledger.position(symbol)
        position.quantity, position.cost = ours, Fraction(ours * 70_000)
        if owners:
            ledger.external[symbol] = owners
        if shown > 0:
            lines.append((symbol, shown))
    moving, doubt = set(), False
    for number in range(pick.choice([0, 0, 1, 2])):
        symbol, status = (
            pick.choice([SYMBOL, OTHER]),
            pick.choice([S.WORKING, S.PARTIAL, S.CANCEL_PENDING]),
        )
        put_order(
            bench, f"o{number}", symbol, status=status, purpose=pick.choice(["entry", "external"])
        )
        moving.add(symbol)
        doubt |= status is S.CANCEL_PENDING
    ledger.cash_krw, cash = 10_000_000, pick.choice([10_000_000, 9_500_000])
    external = dict(ledger.external)
    done = bench.balance(*lines, cash=cash)
    for symbol, (ours, owners, shown) in rows.items():
        if symbol not in moving and ours + owners != max(0, shown):
            different.append(f"{symbol} {ours + owners} / {max(0, shown)}")
    looked = quiet_s >= 180 and not doubt
    told = [(a.code, a.values) for a in done if isinstance(a, bot.Alert)]
    expected = []
    if looked and different and not held_before:
        expected.append(("mismatch", {"what": ", ".join(different)}))
    taken = looked and not different and not moving and cash != 10_000_000
    if taken:
        expected.append(("cash_differs", {"ours": 10_000_000, "theirs": cash}))
    assert told == expected
    holds = (bool(different) or (held_before and bool(moving))) if looked else held_before
    assert ("mismatch" in core.holds) is holds
    assert (ledger.cash_krw, ledger.external) == (cash if taken else 10_000_000, external)


@pytest.mark.parametrize("seed", range(60))
def test_a_morning_gives_up_only_shares_that_two_balances_miss_alike(seed):
    """Three minutes apart at least, with the same shares missing; what is too many is the owner's."""
    pick = random.Random(seed)
    bench = Bench(flat_at=None)
    ledger, core = bench.ledger, bench.engine.core
    ours = {SYMBOL: pick.choice([0, 10, 10]), OTHER: pick.choice([0, 10])}
    for symbol, count in ours.items():
        ledger.position(symbol).quantity = count
        ledger.position(symbol).cost = Fraction(count * 70_000)
    first_day = pick.random() < 0.3
    ledger.account_day = None if first_day else EARLIER
    ledger.day = EARLIER
    bench.command("restarted")
    bench.command("day", session=bot.session_of(DAY))
    for symbol in (SYMBOL, OTHER):
        bench.seen(instrument(symbol))
    bench.now = bench.now.replace(hour=9)
    bench.list_of()
    missing, since, taken = {}, None, False
    for _ in range(5):
        shown = {
            symbol: max(0, count + pick.choice([0, 0, -4, -10, 3]))
            for symbol, count in ours.items()
        }
        if missing and pick.random() < 0.6:
            shown = {symbol: missing.get(symbol, count) for symbol, count in ours.items()}
        bench.now += timedelta(seconds=pick.choice([60, 179, 180, 200]))
        asked = bench.now
        done = bench.account(
            *((symbol, count) for symbol, count in shown.items() if count), rows=[]
        )
        lacks = {symbol: shown[symbol] for symbol in ours if shown[symbol] < ours[symbol]}
        extra = {
            symbol: shown[symbol] - ours[symbol] for symbol in ours if shown[symbol] > ours[symbol]
        }
        news = lacks != missing
        if news:
            missing, since = lacks, asked
        told = alerts(done)
        assert told.count("mismatch") == (len(lacks) if news else 0)
        taken = not lacks or asked - since >= timedelta(seconds=180)
        assert ("account" not in core.holds) is taken
        left = {
            symbol: lacks.get(symbol, count) if taken else count for symbol, count in ours.items()
        }
        assert {symbol: ledger.position(symbol).quantity for symbol in ours} == left
        if taken:
            assert ledger.external == extra
            assert (
                ("journal_empty" in told) is ("journal" in core.holds) is bool(extra and first_day)
            )
            assert (ledger.account_day, ledger.cash_krw) == (DAY, 10_000_000)
            break


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("known", [-1, 0, 500])
@pytest.mark.parametrize(
    "beside", ["", "its twin", "a newer one", "an older one", "a fill", "a fill before"]
)
def test_the_account_is_asked_about_an_unknown_order_only_when_nothing_else_moved_it(
    side, known, beside
):
    """One order of unknown outcome on its side, the newest of all, no fill since, a figure from before it."""
    bench = Bench(flat_at=None).start()
    core = bench.engine.core
    before = {"cash_before_krw": known} if side is BUY else {"sellable_before": known}
    purpose = "entry" if side is BUY else "exit"
    if beside == "an older one":
        put_order(bench, "older", OTHER, ago_s=90, status=S.FILLED)
    order = put_order(bench, "lone", SYMBOL, side, purpose, S.UNKNOWN, 60, **before)
    if beside == "its twin":
        put_order(bench, "twin", OTHER, side, purpose, S.UNKNOWN, 60, **before)
    elif beside == "a newer one":
        put_order(bench, "newer", OTHER, ago_s=59, status=S.REJECTED)
    elif beside.startswith("a fill"):
        core.last_fill_at = order.intent.at - timedelta(seconds=beside == "a fill before")
    broker = bench.engine._handlers[bot.Seen].__self__
    lone = known >= 0 and beside in ("", "an older one", "a fill before")
    assert broker._lone_unknown(side) == ([order] if lone else [])
    assert broker._lone_unknown(side.BUY if side is SELL else SELL) == []


def morning_with(ours, sold):
    """Return a bench in the morning of a day: shares of ours of the day before, sells of the owner listed."""
    bench = Bench(flat_at=None)
    bench.ledger.position(SYMBOL).quantity = ours
    bench.ledger.position(SYMBOL).cost = Fraction(ours * 70_000)
    bench.ledger.day = bench.ledger.account_day = EARLIER
    bench.command("restarted")
    bench.command("day", session=bot.session_of(DAY))
    bench.seen(instrument(SYMBOL))
    bench.list_of()
    if sold:
        bench.ledger.external[SYMBOL] = -sold
    return bench


@pytest.mark.parametrize("sold", [0, 4, 10])
@pytest.mark.parametrize("shown", [0, 3, 6, 10, 14])
def test_shares_that_the_owners_sells_explain_are_given_up_at_once(sold, shown):
    """All others are waited for; with more than ours the rest is his. Nothing of his is left below zero."""
    bench = morning_with(10, sold)
    bench.balance(*([(SYMBOL, shown)] if shown else []))
    bench.now += timedelta(seconds=5)
    done = bench.list_of()
    explained = shown >= 10 or 10 - sold == shown
    core, position = bench.engine.core, bench.ledger.position(SYMBOL)
    assert ("account" in core.holds) is not explained
    assert alerts(done).count("mismatch") == (not explained)
    assert position.quantity == (min(10, shown) if explained else 10)
    if explained:
        assert bench.ledger.external == ({SYMBOL: shown - 10} if shown > 10 else {})
        assert bench.ledger.account_day == DAY


@pytest.mark.parametrize("night", [False, True])
@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize("listed_s", [4, 5, 60])
def test_the_first_balance_of_a_day_is_that_of_the_day_and_of_no_fill_since(night, fill, listed_s):
    """A list five seconds later confirms it; one of another day, or overtaken by a fill, is asked for anew."""
    bench = morning_with(10, 0)
    core = bench.engine.core
    bench.balance((SYMBOL, 10))
    if night:
        bench.now += timedelta(days=3)
        bench.command("day", session=bot.session_of(bench.now.date()))
    if fill:
        core.last_fill_at = bench.now + timedelta(seconds=1)
    bench.now += timedelta(seconds=listed_s)
    done = bench.list_of()
    settled = night or listed_s >= 5
    taken = settled and not night and not fill
    assert ("account" in core.holds) is not taken
    assert (bot.Ask("holdings") in asks(done)) is (settled and not taken)
    bench.balance((SYMBOL, 10))
    bench.now += timedelta(seconds=5)
    bench.list_of()
    assert ("account" in core.holds) is (not settled and fill)
