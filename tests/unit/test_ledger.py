"""The ledger and the reconciler: order states, fills, positions, money, and what lists prove."""

import random
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kis_realtime_trading as bot

S, E = bot.OrderStatus, bot.OrderEvent
BUY, SELL = bot.Side.BUY, bot.Side.SELL
DAY, NEXT_DAY = date(2026, 11, 20), date(2026, 11, 23)
SYMBOL, OTHER, FUND = "005930", "247540", "069500"
CLOSE = datetime(2026, 11, 20, 15, 30, tzinfo=bot.KST)
INSTRUMENTS = {
    SYMBOL: bot.Instrument(SYMBOL, "KOSPI", False, 70_000, 91_000, 49_000, 0),
    OTHER: bot.Instrument(OTHER, "KOSDAQ", False, 70_000, 91_000, 49_000, 0),
    FUND: bot.Instrument(FUND, "KOSPI", True, 70_000, 91_000, 49_000, 0),
}


def at(text, day=DAY):
    """Return market time."""
    return datetime.combine(day, time.fromisoformat(text), bot.KST)


NOW = at("10:00:00")


def after(seconds):
    """Return the moment so many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def intent_of(key="one", side=BUY, quantity=10, price=70_000, symbol=SYMBOL, **more):
    """Return an intent; an entry for buys, an exit for sells."""
    purpose = "entry" if side is BUY else "exit"
    values = {"kind": bot.OrderKind.LIMIT, "purpose": purpose, "leg": purpose, "signal": "s",
              "at": NOW, "trade_date": DAY, **more}  # fmt: skip
    return bot.OrderIntent(
        intent_id=key, symbol=symbol, side=side, quantity=quantity, price=price, **values
    )


def new_ledger(*entries, cash=10_000_000):
    """Return the ledger of a day that began with some cash."""
    ledger = bot.Ledger()
    ledger.instruments = dict(INSTRUMENTS)
    ledger.apply(bot.DayOpened(DAY, NOW))
    ledger.apply(bot.AccountTaken(cash, {}, NOW))
    for entry in entries:
        ledger.apply(entry)
    return ledger


def update(event, key="one", number="", moment=NOW, **more):
    """Return one event of an order."""
    return bot.OrderUpdate(key, event, moment, number, **more)


def fill(key, quantity, amount, number="", moment=NOW):
    """Return a cumulative fill."""
    return update(E.FILL, key, number, moment, quantity=quantity, amount_krw=amount)


def working(key="one", number="0000000001", **more):
    """Return the entries of an order that rests at the broker."""
    return [intent_of(key, **more), update(E.ACCEPTED, key, number)]


def bought(quantity=10, price=70_000, key="buy", number="0000000101", **more):
    """Return the entries of a filled buy."""
    more = {"symbol": SYMBOL, **more}
    return [
        *working(key, number, quantity=quantity, price=price, **more),
        fill(key, quantity, quantity * price),
    ]


def shown(ledger):
    """Return everything that a ledger holds, as a comparable value."""
    names = set(vars(ledger)) - {"instruments"}
    return {name: bot.canonical_json(getattr(ledger, name)) for name in names}


def money(ledger):
    """Return cash, realised result and costs."""
    today = ledger.today
    return ledger.cash_krw, today.gross, today.fees_krw, today.taxes_krw


# --- the table of transitions -----------------------------------------------------------


def in_status(status):
    """Return a ledger whose order "one" has a status."""
    ledger = new_ledger(*working())
    if status is S.PARTIAL:
        ledger.apply(fill("one", 1, 70_000))
    ledger.orders["one"].status = status
    return ledger


@pytest.mark.parametrize("status", list(S))
def test_every_pair_of_status_and_event(status):
    """The table names the next status; anything else is illegal and changes nothing."""
    for event in [each for each in E if each not in (E.FILL, E.FILLED)]:
        ledger = in_status(status)
        following = bot.TRANSITIONS[status].get(event)
        if following is None:
            before = shown(ledger)
            with pytest.raises(bot.IllegalTransition):
                ledger.apply(update(event, number="0000000002"))
            assert shown(ledger) == before
            continue
        if following is S.WORKING and status is S.PARTIAL:
            following = S.PARTIAL
        assert ledger.apply(update(event, number="0000000002")) == 0
        assert ledger.orders["one"].status is following


@pytest.mark.parametrize("status", list(S))
def test_a_fill_moves_shares_in_every_status(status):
    """What was executed was executed: it is booked whatever we believed of the order."""
    ledger = in_status(status)
    had = ledger.position(SYMBOL).quantity
    assert ledger.apply(fill("one", 4, 280_000)) == 4 - had
    assert ledger.position(SYMBOL).quantity == 4
    expected = {S.WORKING: S.PARTIAL}.get(status, status)
    assert ledger.orders["one"].status is expected


@pytest.mark.parametrize("status", list(S))
def test_the_last_share_fills_an_order_that_may_exist(status):
    """WORKING, cancels and changes under way, ended orders: FILLED is stronger."""
    ledger = in_status(status)
    ledger.apply(fill("one", 10, 700_000))
    never_seen = {S.SUBMITTING, S.UNKNOWN, S.QUARANTINED, S.NOT_SENT, S.LOST}
    expected = status if status in never_seen else S.FILLED
    assert ledger.orders["one"].status is expected


def test_the_table_covers_every_status():
    """A status that is added needs its row."""
    assert set(bot.TRANSITIONS) == set(S)


def test_the_table_keeps_the_promises_of_order_safety():
    """Unknown ends by proof only; nothing brings a dead order back but a sight of it."""
    table = bot.TRANSITIONS
    assert set(table[S.UNKNOWN]) == {E.FOUND, E.ABSENT, E.AMBIGUOUS}
    assert set(table[S.QUARANTINED]) == {E.FOUND, E.ABSENT}
    assert set(table[S.SUBMITTING]) == {E.ACCEPTED, E.REFUSED, E.NOT_SENT, E.NO_ANSWER}
    assert table[S.FILLED] == {}
    for status in bot.NEVER_EXISTED:
        assert set(table[status]) - {E.FILL, E.FILLED} == {E.FOUND}
    for status in (S.CANCELLED, S.EXPIRED):
        assert not set(table[status].values()) & bot.OPEN_STATUSES
    for status, row in table.items():
        if status is not S.SUBMITTING:
            assert not set(row.values()) & {S.SUBMITTING, S.NOT_SENT}


def test_an_intent_exists_once():
    """The same intent a second time is illegal: one intent, one order."""
    ledger = new_ledger(intent_of())
    with pytest.raises(bot.IllegalTransition):
        ledger.apply(intent_of())
    assert ledger.today.orders == 1


def test_open_orders_are_those_that_may_be_alive():
    """Unknown ones count as alive, ended ones do not."""
    ledger = new_ledger(
        *working("a", "0000000001"), *working("b", "0000000002", symbol=OTHER), intent_of("c"),
        intent_of("d"), update(E.NO_ANSWER, "c"), update(E.REFUSED, "d"),
    )  # fmt: skip
    assert [order.intent.intent_id for order in ledger.open_orders()] == ["a", "b", "c"]
    assert [order.intent.intent_id for order in ledger.open_orders(SYMBOL)] == ["a", "c"]


# --- fills ------------------------------------------------------------------------------


def test_fills_are_cumulative_and_never_go_back():
    """Repeated and older figures book nothing; growing ones book the difference."""
    ledger = new_ledger(*working())
    steps = [(4, 280_000), (4, 280_000), (2, 140_000), (7, 490_300), (6, 420_000), (10, 700_300)]
    assert [ledger.apply(fill("one", *step)) for step in steps] == [4, 0, 0, 3, 0, 3]
    order, position = ledger.orders["one"], ledger.position(SYMBOL)
    assert (order.status, order.filled_amount_krw, order.remaining) == (S.FILLED, 700_300, 0)
    assert (position.quantity, position.cost) == (10, 700_300)


parts = st.lists(st.tuples(st.integers(1, 50), st.integers(1_000, 900_000)), min_size=1, max_size=6)


@given(parts, st.sampled_from([SYMBOL, OTHER, FUND]), st.sampled_from([BUY, SELL]), st.data())
def test_the_money_does_not_depend_on_how_an_order_was_filled(steps, symbol, side, data):
    """In one fill or in many, with old answers repeated in between: the same won."""
    total = sum(quantity for quantity, _ in steps)
    begin = bought(100_000, 10_000, symbol=symbol)
    order = working(side=side, quantity=total, symbol=symbol)
    whole, split = (new_ledger(*begin, *order, cash=10**12) for _ in range(2))
    whole.apply(fill("one", total, sum(q * p for q, p in steps)))
    seen = [(0, 0)]
    for quantity, price in steps:
        last = seen[-1]
        seen.append((last[0] + quantity, last[1] + quantity * price))
        split.apply(fill("one", *seen[-1]))
        split.apply(fill("one", *data.draw(st.sampled_from(seen))))
    assert money(split) == money(whole)
    one, other = split.position(symbol), whole.position(symbol)
    assert (one.quantity, one.cost, one.result) == (other.quantity, other.cost, other.result)
    assert split.orders["one"].status is whole.orders["one"].status is S.FILLED


deals = st.lists(
    st.tuples(
        st.sampled_from([SYMBOL, OTHER, FUND]), st.booleans(), st.integers(1, 40),
        st.integers(1_000, 200_000), st.integers(1, 100),
    ),
    max_size=12,
)  # fmt: skip


@given(deals)
def test_cash_and_positions_balance_to_the_won(sequence):
    """Start cash = cash + cost of the positions - gross result + fees + taxes, always."""
    ledger, held = new_ledger(cash=10**12), dict.fromkeys(INSTRUMENTS, 0)
    for n, (symbol, sell, quantity, price, share) in enumerate(sequence):
        side = SELL if sell and held[symbol] >= quantity else BUY
        done = max(1, quantity * share // 100)
        for entry in working(f"o{n}", f"{n:010d}", side=side, quantity=quantity, symbol=symbol):
            ledger.apply(entry)
        ledger.apply(fill(f"o{n}", done, done * price))
        held[symbol] += side.sign * done
        cost = sum((position.cost for position in ledger.positions.values()), Fraction(0))
        cash, gross, fees, taxes = money(ledger)
        assert cash + cost - gross + fees + taxes == 10**12
        assert ledger.position(symbol).quantity == held[symbol]


# Day of December 2025 and year in which its sells settle; rates in 1/100,000, each part cut.
SETTLES = ((24, 2025), (26, 2025), (29, 2026), (30, 2026))
RATES = {
    (2025, SYMBOL): (0, 150), (2025, OTHER): (150, 0),
    (2026, SYMBOL): (50, 150), (2026, OTHER): (200, 0),
}  # fmt: skip


class Books:
    """Random trading days, and a second bookkeeping of them in whole won and exact fractions."""

    def __init__(self, seed):
        self.pick, self.cash, self.ledger = random.Random(seed), 10**12, bot.Ledger()
        self.ledger.instruments = dict(INSTRUMENTS)
        self.held, self.owners = dict.fromkeys(INSTRUMENTS, 0), dict.fromkeys(INSTRUMENTS, 0)
        self.cost, self.gross = dict.fromkeys(INSTRUMENTS, Fraction(0)), Fraction(0)
        self.fees = self.taxes = self.number = 0
        self.days = iter(SETTLES)
        self.new_day()
        self.ledger.apply(bot.AccountTaken(self.cash, {}, self.now))

    def new_day(self):
        """Begin the next day; orders of the last one are dead."""
        day, year = next(self.days, (0, 0))
        if day:
            self.year = year
            self.day, self.gross, self.fees, self.taxes = date(2025, 12, day), Fraction(0), 0, 0
            self.now = at("10:00:00", self.day)
            self.orders = []  # [intent id, symbol, side, own, {number: [ordered, shares, won]}]
            self.ledger.apply(bot.DayOpened(self.day, self.now))

    def tell(self, event, key, number="", **more):
        """Apply one event of an order."""
        self.ledger.apply(update(event, key, number, self.now, **more))

    def send(self):
        """Let an order of ours or of the owner rest at the broker, or be refused."""
        self.number += 1
        key, number, own = f"o{self.number}", f"{self.number:010d}", self.pick.random() < 0.8
        symbol, side = self.pick.choice(list(INSTRUMENTS)), self.pick.choice((BUY, SELL))
        selling = sum(
            sum(each[0] for each in numbers.values()) - sum(each[1] for each in numbers.values())
            for _, code, way, ours, numbers in self.orders
            if (code, way, ours) == (symbol, SELL, own)
        )
        free = (self.held if own else self.owners)[symbol] - selling
        quantity = self.pick.randint(1, 40) if side is BUY else min(free, self.pick.randint(1, 40))
        if quantity <= 0:
            return
        more = {} if own else {"purpose": "external"}
        self.ledger.apply(
            intent_of(key, side, quantity, symbol=symbol, at=self.now, trade_date=self.day, **more)
        )
        if self.pick.random() < 0.1:
            self.tell(E.REFUSED, key)
            return
        self.tell(E.ACCEPTED, key, number)
        self.orders.append([key, symbol, side, own, {number: [quantity, 0, 0]}])

    def change(self, order):
        """Move the rest of an order to a new number, or take it back."""
        key, _, _, own, numbers = order
        last = list(numbers)[-1]
        rest = numbers[last][0] - numbers[last][1]
        if not own or not rest:
            return
        if self.pick.random() < 0.5:
            self.tell(E.CANCELLED, key, last)
            self.orders.remove(order)
        else:
            self.number += 1
            self.tell(E.REPLACE_SENT, key, price=self.pick.randint(1_000, 99_000), kind="00")
            self.tell(E.ACCEPTED, key, f"{self.number:010d}")
            numbers[last][0] -= rest
            numbers[f"{self.number:010d}"] = [rest, 0, 0]

    def costs(self, symbol, side, won):
        """Return fee and tax of a number that was filled for so much."""
        rate = 146_527 if symbol == FUND else 140_527
        parts = RATES.get((self.year, symbol), (0, 0)) if side is SELL else (0, 0)
        return (2 * won * rate + 10**9) // (2 * 10**9), sum(won * part // 100_000 for part in parts)

    def fill(self, order):
        """Fill a part of one number, tell it cumulatively, sometimes what was told before as well."""
        key, symbol, side, own, numbers = order
        number = self.pick.choice(list(numbers))
        ordered, shares, won = numbers[number]
        more = self.pick.randint(0, ordered - shares)
        amount = more * self.pick.randint(1_000, 200_000)
        if own and self.pick.random() < 0.2:
            self.tell(E.FILL, key, number, quantity=shares, amount_krw=won)
        numbers[number] = [ordered, shares + more, won + amount]
        if shares + more:
            self.tell(E.FILL, key, number, quantity=shares + more, amount_krw=won + amount)
        if shares and self.pick.random() < 0.2:
            self.tell(E.FILL, key, number, quantity=max(shares - 1, 1) if more else shares,
                      amount_krw=won + amount if not more else won)  # fmt: skip
        old, new = self.costs(symbol, side, won), self.costs(symbol, side, won + amount)
        fee, tax = new[0] - old[0], new[1] - old[1]
        self.cash -= side.sign * amount + fee + tax
        if not own:
            self.owners[symbol] += side.sign * more
            return
        self.fees, self.taxes = self.fees + fee, self.taxes + tax
        if side is BUY:
            self.cost[symbol] += amount
        elif more:
            out = self.cost[symbol] * more / self.held[symbol]
            self.cost[symbol] -= out
            self.gross += amount - out
        self.held[symbol] += side.sign * more

    def step(self):
        """Let one thing happen."""
        luck = self.pick.random()
        if luck < 0.04:
            self.new_day()
        elif luck < 0.4 or not self.orders:
            self.send()
        elif luck < 0.5:
            self.change(self.pick.choice(self.orders))
        else:
            self.fill(self.pick.choice(self.orders))

    def check(self):
        """Compare both bookkeepings."""
        assert money(self.ledger) == (self.cash, self.gross, self.fees, self.taxes)
        for symbol, shares in self.held.items():
            position = self.ledger.position(symbol)
            assert (position.quantity, position.cost) == (shares, self.cost[symbol])
            assert self.ledger.external.get(symbol, 0) == self.owners[symbol]


@given(st.integers(1, 60), st.integers(0, 2**32))
def test_random_days_balance_to_the_won(steps, seed):
    """Cash, positions, result, fees and taxes equal a second bookkeeping, after every event."""
    books = Books(seed)
    for _ in range(steps):
        books.step()
        books.check()


def test_worked_example_of_the_ledger():
    """Buy 10 at 70,000, sell 10 at 71,000: net 8,382 won, and cash changes by exactly that."""
    ledger = new_ledger(*bought(), *working(side=SELL, price=71_000), fill("one", 10, 710_000))
    today = ledger.today
    assert (today.gross_krw, today.fees_krw, today.taxes_krw) == (10_000, 98 + 100, 355 + 1_065)
    assert (today.net_krw, ledger.cash_krw - 10_000_000) == (8_382, 8_382)
    assert (today.orders, today.fills, today.peak_krw) == (2, 2, 8_382)


def test_a_partial_sell_takes_its_share_of_the_cost():
    """3 of 10 shares bought at 70,000 and 70,010 cost 3 tenths of the whole, exactly."""
    ledger = new_ledger(*working(), fill("one", 3, 210_000), fill("one", 10, 700_070))
    for entry in [*working("out", "0000000002", side=SELL, quantity=3), fill("out", 3, 213_000)]:
        ledger.apply(entry)
    assert ledger.today.gross == 213_000 - Fraction(700_070 * 3, 10)
    assert ledger.position(SYMBOL).quantity == 7
    assert ledger.position(SYMBOL).average_price == pytest.approx(70_007)


def test_costs_of_a_fund_and_of_kosdaq():
    """A fund pays its own fee and no tax; KOSDAQ pays one tax; both by the day's table."""
    for symbol, fees, taxes in ((FUND, 103 + 104, 0), (OTHER, 98 + 100, 1_420)):
        ledger = new_ledger(*bought(symbol=symbol), *working(side=SELL, symbol=symbol))
        ledger.apply(fill("one", 10, 710_000))
        assert (ledger.today.fees_krw, ledger.today.taxes_krw) == (fees, taxes)


def test_own_fee_rates_are_used():
    """A promotional account pays other rates; they are settings."""
    ledger = bot.Ledger(Decimal("0.1"), Decimal("0"))
    for entry in [bot.DayOpened(DAY, NOW), *bought()]:
        ledger.apply(entry)
    assert ledger.today.fees_krw == 700


def test_an_amount_that_the_broker_corrects_is_corrected():
    """A list may show the shares before the won; the last cumulative figures count."""
    ledger = new_ledger(*working(), fill("one", 10, 0), fill("one", 10, 700_000))
    assert ledger.position(SYMBOL).cost == 700_000


# --- modified orders --------------------------------------------------------------------


def test_a_modified_order_is_filled_under_several_numbers():
    """One intent, two numbers: shares add up, each number has its own cumulative figures."""
    ledger = new_ledger(
        *working(side=SELL, price=71_000), fill("one", 4, 284_000, "0000000001"),
        update(E.REPLACE_SENT, price=70_900, kind="00"),
        update(E.ACCEPTED, number="0000000002"),
    )  # fmt: skip
    order = ledger.orders["one"]
    assert (order.status, order.price, order.order_no) == (S.PARTIAL, 70_900, "0000000002")
    assert ledger.apply(fill("one", 6, 425_400, "0000000002")) == 6
    assert ledger.apply(fill("one", 4, 284_000, "0000000001")) == 0
    assert (order.status, order.filled_amount_krw) == (S.FILLED, 709_400)
    assert ledger.order_of("0000000001") is ledger.order_of("0000000002") is order
    fees = bot.order_fee(284_000, bot.STOCK_FEE_PCT) + bot.order_fee(425_400, bot.STOCK_FEE_PCT)
    assert order.fee_krw == fees


def test_a_late_fill_under_the_old_number_counts():
    """The old number was filled before the change reached the exchange."""
    ledger = new_ledger(
        *working(side=SELL), update(E.REPLACE_SENT, price=69_000, kind="00"),
        update(E.ACCEPTED, number="0000000002"), fill("one", 4, 280_000, "0000000001"),
        fill("one", 6, 414_000, "0000000002"),
    )  # fmt: skip
    assert (ledger.orders["one"].status, ledger.orders["one"].filled_quantity) == (S.FILLED, 10)


def test_a_refused_change_leaves_price_and_kind():
    """Only an accepted change is what stands in the book."""
    ledger = new_ledger(
        *working(side=SELL), update(E.REPLACE_SENT, price=0, kind="01"), update(E.REFUSED)
    )
    order = ledger.orders["one"]
    assert (order.status, order.price, order.kind) == (S.WORKING, 70_000, "00")


def test_the_number_of_a_cancel_is_remembered_and_takes_nothing_over():
    """Notices of the cancel name both; the order keeps its own number."""
    ledger = new_ledger(*working(), update(E.CANCEL_SENT), update(E.ACCEPTED, number="0000000009"))
    order = ledger.orders["one"]
    assert (order.status, order.order_no, order.cancel_tries) == (S.CANCEL_PENDING, "0000000001", 1)
    assert ledger.order_of("0000000009") is order


# --- late fills, plans, rounds ----------------------------------------------------------


@pytest.mark.parametrize("event", [E.CANCELLED, E.EXPIRED, E.REJECTED])
def test_late_fills_are_booked(event):
    """A fill that comes after the end of an order is real."""
    ledger = new_ledger(*working(), update(event))
    ended = ledger.orders["one"].status
    assert ledger.apply(fill("one", 3, 210_000)) == 3
    assert (ledger.orders["one"].status, ledger.position(SYMBOL).quantity) == (ended, 3)
    assert ledger.apply(fill("one", 10, 700_000)) == 7
    assert ledger.orders["one"].status is S.FILLED


def test_plans_are_armed_by_fills_and_end_with_the_position():
    """No fill, no plan; the first plan stays; a trailing stop moves it; flat means none."""
    plan, later = bot.ExitPlan(69_000, 72_000), bot.ExitPlan(60_000)
    ledger = new_ledger(*working(plan=plan), *working("two", "0000000002", plan=later))
    position = ledger.position(SYMBOL)
    assert position.plan is None
    ledger.apply(fill("one", 1, 70_000))
    ledger.apply(fill("two", 1, 70_000))
    assert position.plan == plan
    ledger.apply(bot.PlanUpdate(SYMBOL, bot.ExitPlan(69_500, 72_000), NOW))
    assert position.plan.stop_price == 69_500
    for entry in [*working("out", "0000000003", side=SELL, quantity=2), fill("out", 2, 140_000)]:
        ledger.apply(entry)
    assert (position.quantity, position.cost, position.plan, position.opened_at) == (
        0,
        0,
        None,
        None,
    )
    assert ledger.position(SYMBOL) is position


def one_round(n, price, symbol=SYMBOL):
    """Return the entries of buying one share at 70,000 and selling it at a price."""
    minute = NOW + timedelta(minutes=n)
    return [
        *working(f"in{n}", f"1{n:09d}", quantity=1, symbol=symbol), fill(f"in{n}", 1, 70_000),
        *working(f"out{n}", f"2{n:09d}", side=SELL, quantity=1, symbol=symbol),
        fill(f"out{n}", 1, price, moment=minute),
    ]  # fmt: skip


def test_lost_rounds_in_a_row_are_counted_by_symbol_and_over_all():
    """Costs count: 70,100 after 70,000 is a lost round; a won one ends the row."""
    entries = [*one_round(1, 70_100), *one_round(2, 69_000, OTHER), *one_round(3, 60_000)]
    ledger = new_ledger(*entries)
    assert ledger.today.losses == {SYMBOL: 2, OTHER: 1, "": 3}
    assert ledger.today.lost_at[""] == NOW + timedelta(minutes=3)
    for entry in one_round(4, 80_000):
        ledger.apply(entry)
    assert ledger.today.losses == {SYMBOL: 0, OTHER: 1, "": 0}


def test_a_round_ends_when_flat_only():
    """A part sold at a loss is no lost round."""
    ledger = new_ledger(*bought(10), *working(side=SELL), fill("one", 9, 540_000))
    assert ledger.today.losses == {}
    ledger.apply(fill("one", 10, 2_000_000))
    assert ledger.today.losses == {SYMBOL: 0, "": 0}


def test_a_day_begins_with_new_totals_and_without_the_ended_orders():
    """Positions, cash and what is unresolved stay; a rule's figures begin anew."""
    ledger = new_ledger(*bought(), intent_of("lost"), update(E.NO_ANSWER, "lost"))
    ledger.apply(bot.SymbolStopped(SYMBOL, "why", NOW))
    cash = ledger.cash_krw
    ledger.apply(bot.DayOpened(NEXT_DAY, NOW))
    assert (list(ledger.orders), ledger.today.fees_krw, ledger.stopped) == (["lost"], 0, {})
    assert (ledger.position(SYMBOL).quantity, ledger.cash_krw) == (10, cash)
    assert ledger.order_of("0000000101") is None


# --- what is not ours -------------------------------------------------------------------


def external(key, side, quantity, number, amount):
    """Return the entries of an order of the owner."""
    return [
        *working(key, number, side=side, quantity=quantity, purpose="external"),
        fill(key, quantity, amount),
    ]


def test_orders_of_the_owner_move_his_shares_and_the_cash_only():
    """They are counted, and earn or lose nothing of ours."""
    ledger = new_ledger(*external("x", BUY, 5, "0000000050", 350_000))
    assert (ledger.external, ledger.position(SYMBOL).quantity) == ({SYMBOL: 5}, 0)
    assert (ledger.today.orders, ledger.today.fills, ledger.today.net_krw) == (0, 0, 0)
    assert ledger.cash_krw == 10_000_000 - 350_000 - 49
    assert not ledger.orders["x"].own


def test_what_the_owner_sells_beyond_his_shares_was_ours():
    """He holds 5, we hold 10, he sells 8: ours are 7, at cost, without a result."""
    ledger = new_ledger(*bought(), *external("x", BUY, 5, "0000000050", 350_000))
    for entry in external("y", SELL, 8, "0000000051", 568_000):
        ledger.apply(entry)
    assert (ledger.external[SYMBOL], ledger.position(SYMBOL).quantity) == (0, 7)
    assert (ledger.position(SYMBOL).cost, ledger.today.gross) == (490_000, 0)


def test_what_the_owner_sold_before_our_fill_was_booked_still_counts():
    """His sell of five of our ten shares is listed before our fill: five are left, not ten."""
    ledger = new_ledger(*working(), *external("y", SELL, 5, "0000000051", 350_000))
    ledger.apply(fill("one", 10, 700_000))
    assert ledger.position(SYMBOL).quantity + ledger.external.get(SYMBOL, 0) == 5


def test_shares_that_left_without_an_order_leave_at_cost():
    """An adjustment is no gain and no loss; adjusting to nothing ends the plan."""
    ledger = new_ledger(*bought(plan=bot.ExitPlan(60_000)))
    ledger.apply(bot.PositionAdjusted(SYMBOL, 4, "the broker shows 4", NOW))
    assert (ledger.position(SYMBOL).quantity, ledger.position(SYMBOL).cost) == (4, 280_000)
    ledger.apply(bot.PositionAdjusted(SYMBOL, 0, "the broker shows 0", NOW))
    assert ledger.position(SYMBOL).plan is None
    assert ledger.today.gross == 0


def test_the_kill_switch_is_part_of_the_ledger():
    """It survives a restart as every entry does."""
    ledger = new_ledger(bot.LevelSet(bot.KillLevel.REDUCE_ONLY, "why", True, NOW))
    assert (ledger.level, ledger.level_by_rule) == (bot.KillLevel.REDUCE_ONLY, True)


# --- the journal rebuilds it ------------------------------------------------------------

STORY = [
    bot.DayOpened(DAY, NOW), bot.AccountTaken(10_000_000, {SYMBOL: 3}, NOW),
    *bought(plan=bot.ExitPlan(69_000, 72_000, 0.01)),
    bot.PlanUpdate(SYMBOL, bot.ExitPlan(69_500, 72_000, 0.01), NOW),
    *working(side=SELL, price=71_000), fill("one", 4, 284_000),
    update(E.REPLACE_SENT, price=0, kind="03"), update(E.ACCEPTED, number="0000000002"),
    *external("x", BUY, 5, "0000000050", 350_000), intent_of("u", symbol=OTHER),
    update(E.NO_ANSWER, "u"), bot.LevelSet(bot.KillLevel.ENTRIES_OFF, "owner", False, NOW),
    bot.SymbolStopped(OTHER, "why", NOW), bot.PositionAdjusted(SYMBOL, 5, "phone", NOW),
]  # fmt: skip


def test_the_same_entries_give_the_same_ledger():
    """Rebuilding is applying every entry again, also out of their journal texts."""
    first, second = bot.Ledger(), bot.Ledger()
    for entry in STORY:
        first.apply(entry)
        second.apply(bot.entry_from_json(bot.canonical_json(entry)))
    assert shown(first) == shown(second)
    assert first.position(SYMBOL).quantity == 5


@pytest.mark.parametrize("entry", STORY, ids=lambda entry: type(entry).__name__)
def test_every_entry_survives_its_journal_text(entry):
    """Text and back is the same value, times and enums included."""
    again = bot.entry_from_json(bot.canonical_json(entry))
    assert (again, type(again)) == (entry, type(entry))


# === the reconciler =====================================================================


def row_of(number, quantity=10, price=70_000, side=BUY, moment="10:00:00", **more):
    """Return a row of the broker's order list."""
    values = {"original_no": "", "branch": "06010", "kind": "00", "filled_quantity": 0,
              "filled_amount_krw": 0, "cancelled_quantity": 0, "rejected_quantity": 0,
              "symbol": SYMBOL, **more}  # fmt: skip
    return bot.BrokerOrder(
        order_no=number, side=side, quantity=quantity, price=price,
        time=moment.replace(":", ""), **values,
    )  # fmt: skip


def drive(ledger, entries):
    """Apply entries as the engine does, one after another; return them."""
    done = []
    for entry in entries:
        ledger.apply(entry)
        done.append(entry)
    return done


def look(ledger, reconciler, *rows, asked=30.0, now=None):
    """Read an order list; return the events as (intent, event)."""
    moment = after(asked)
    entries = drive(ledger, reconciler.read_list(bot.OrderList(rows), moment, now or moment))
    return [
        (entry.intent_id, entry.event if isinstance(entry, bot.OrderUpdate) else "intent")
        for entry in entries
    ]


def unknown_order(paper=False, others=True, **more):
    """Return a ledger with an order "one" of unknown outcome, and maybe a known order."""
    known = working("known", "0000000900", symbol=OTHER) if others else []
    ledger = new_ledger(*known, intent_of(**more), update(E.NO_ANSWER, moment=after(10)))
    return ledger, bot.Reconciler(ledger, paper)


KNOWN = row_of("0000000900", symbol=OTHER)


def test_a_list_without_news_proves_nothing():
    """An order that rests as we know it yields no entry."""
    ledger = new_ledger(*working())
    assert look(ledger, bot.Reconciler(ledger, False), row_of("0000000001")) == []


def test_fills_are_booked_from_the_list():
    """Cumulative shares and won of the row; seen again, nothing."""
    ledger = new_ledger(*working())
    reconciler = bot.Reconciler(ledger, False)
    row = row_of("0000000001", filled_quantity=4, filled_amount_krw=279_600)
    assert look(ledger, reconciler, row) == [("one", E.FILL)]
    assert look(ledger, reconciler, row) == []
    assert ledger.position(SYMBOL).cost == 279_600


def test_an_unknown_order_that_the_list_shows_is_bound():
    """One row with its fingerprint, taken after it was tried, unknown so far."""
    ledger, reconciler = unknown_order()
    row = row_of("0000000007", filled_quantity=3, filled_amount_krw=210_000)
    assert look(ledger, reconciler, KNOWN, row) == [("one", E.FOUND), ("one", E.FILL)]
    order = ledger.orders["one"]
    assert (order.status, order.order_no, order.branch) == (S.PARTIAL, "0000000007", "06010")


def test_binding_does_not_wait_for_a_complete_list():
    """A row that is there is proof enough; only absence needs the canary."""
    ledger, reconciler = unknown_order(paper=True)
    assert look(ledger, reconciler, row_of("0000000007"), asked=15) == [("one", E.FOUND)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True), ({"symbol": OTHER}, False), ({"side": SELL}, False), ({"quantity": 9}, False),
        ({"price": 69_900}, False), ({"kind": "01"}, False), ({"kind": ""}, True),
        ({"original_no": "0000000001"}, False), ({"moment": "09:59:57"}, False),
        ({"moment": "09:59:58"}, True), ({"moment": "10:00:59"}, True), ({"moment": ""}, True),
        ({"moment": "99:99:99"}, True),
    ],
)  # fmt: skip
def test_what_could_be_our_order(changes, expected):
    """Symbol, side, shares, price, kind, no original, not taken before it was tried (2 s)."""
    assert bot.fits(intent_of(), row_of("0000000007", **changes)) is expected


def test_two_equal_rows_are_for_the_owner_to_tell_apart():
    """The owner sent the same by phone within seconds: nothing is guessed, nothing adopted."""
    ledger, reconciler = unknown_order()
    rows = row_of("0000000007", moment="10:00:01"), row_of("0000000008", moment="10:00:02")
    assert look(ledger, reconciler, KNOWN, *rows) == [("one", E.AMBIGUOUS)]
    assert ledger.orders["one"].status is S.QUARANTINED


def test_of_two_equal_rows_the_one_taken_while_we_tried_is_ours():
    """The other came minutes later and is the owner's."""
    ledger, reconciler = unknown_order()
    rows = row_of("0000000007", moment="10:00:01"), row_of("0000000008", moment="10:05:00")
    found = look(ledger, reconciler, KNOWN, *rows, asked=310)
    assert found[0] == ("one", E.FOUND)
    assert ledger.orders["one"].order_no == "0000000007"
    assert ledger.orders["external-20261120-0000000008"].own is False


def search_for(reconciler, ledger, *rows, lists=(30, 90, 191), witness=0, extra=None):
    """Look several times with a second witness that saw nothing move; return all events."""
    if witness is not None:
        reconciler.witness(ledger.orders["one"], witness, 700_098, after(60))
    if extra:
        extra(reconciler)
    return [event for asked in lists for event in look(ledger, reconciler, *rows, asked=asked)]


def test_absence_needs_three_complete_lists_and_a_witness():
    """180 seconds after the call, three lists with every known number, cash that did not fall: LOST."""
    ledger, reconciler = unknown_order()
    assert search_for(reconciler, ledger, KNOWN) == [("one", E.ABSENT)]
    assert ledger.orders["one"].status is S.LOST


@pytest.mark.parametrize(
    "case",
    [
        {"lists": (30, 90, 189)},
        {"lists": (90, 191)},
        {"witness": None},
        {"witness": 700_098},
        {"witness": 350_049},
        {"rows": ()},
        {"extra": lambda r: hear(r, notice(number="0000000077"), after(12))},
    ],
    ids=["too early", "two lists", "no witness", "cash fell", "cash fell by half",
         "a known number is missing", "a notice fits"],
)  # fmt: skip
def test_absence_is_not_proved(case):
    """Each condition is needed."""
    ledger, reconciler = unknown_order()
    rest = {name: value for name, value in case.items() if name != "rows"}
    assert search_for(reconciler, ledger, *case.get("rows", (KNOWN,)), **rest) == []
    assert ledger.orders["one"].status is S.UNKNOWN


def test_an_incomplete_list_starts_the_count_anew():
    """Three complete lists in a row."""
    ledger, reconciler = unknown_order()
    assert search_for(reconciler, ledger, KNOWN, lists=(30, 60)) == []
    assert look(ledger, reconciler, asked=90) == []
    assert search_for(reconciler, ledger, KNOWN, lists=(191, 195)) == []
    assert search_for(reconciler, ledger, KNOWN, lists=(200,)) == [("one", E.ABSENT)]


def test_an_empty_paper_list_proves_nothing():
    """The paper server's list may stay empty although orders exist; the real one may not."""
    found = []
    for paper in (True, False):
        ledger, reconciler = unknown_order(paper, others=False)
        found.append(search_for(reconciler, ledger))
    assert found == [[], [("one", E.ABSENT)]]


def test_a_lost_order_that_turns_up_is_adopted():
    """Seen after all: it works again and its fills count."""
    ledger, reconciler = unknown_order()
    search_for(reconciler, ledger, KNOWN)
    row = row_of("0000000007", filled_quantity=10, filled_amount_krw=700_000)
    assert look(ledger, reconciler, KNOWN, row, asked=400) == [("one", E.FOUND), ("one", E.FILL)]
    assert ledger.orders["one"].status is S.FILLED


def test_ten_minutes_without_proof_are_the_owner_s():
    """QUARANTINED: only the owner can say."""
    ledger, _ = unknown_order()
    assert drive(ledger, bot.give_up(ledger, bot.Ages(ledger), after(610))) == []
    drive(ledger, bot.give_up(ledger, bot.Ages(ledger), after(611)))
    assert ledger.orders["one"].status is S.QUARANTINED


def test_proof_of_absence_waits_from_the_end_of_the_call():
    """A call that waited in the lane left later than its intent: 180 s after its end count."""
    ledger = new_ledger(
        *working("known", "0000000900", symbol=OTHER), intent_of(),
        update(E.NO_ANSWER, moment=after(150)),
    )  # fmt: skip
    reconciler = bot.Reconciler(ledger, False)
    reconciler.witness(ledger.orders["one"], 0, 700_098, after(160))
    assert [look(ledger, reconciler, KNOWN, asked=s) for s in (155, 170, 185)] == [[], [], []]


# --- cancels and changes ----------------------------------------------------------------


def changing(*events, **more):
    """Return a ledger whose order "one" went through events, each a second later."""
    entries = [
        update(event, number="0000000002" if event is E.ACCEPTED else "", moment=after(n), **more)
        for n, event in enumerate(events, 1)
    ]
    ledger = new_ledger(*working(), *entries)
    return ledger, bot.Reconciler(ledger, False)


@pytest.mark.parametrize("events", [(E.CANCEL_SENT,), (E.CANCEL_SENT, E.NO_ANSWER)])
def test_a_cancel_ends_when_the_list_shows_it(events):
    """Cancelled shares of the row, with what was filled, make the order."""
    ledger, reconciler = changing(*events)
    row = row_of("0000000001", filled_quantity=4, filled_amount_krw=280_000, cancelled_quantity=6)
    assert look(ledger, reconciler, row, asked=2.5) == [("one", E.FILL), ("one", E.CANCELLED)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(6.9, []), (7.0, [("one", E.STILL_WORKING)])],
    ids=["too soon", "settled"],
)
def test_a_cancel_of_unknown_outcome_goes_back_when_the_list_shows_the_rest(asked, expected):
    """Five seconds after the answer failed the list may be believed."""
    ledger, reconciler = changing(E.CANCEL_SENT, E.NO_ANSWER)
    assert look(ledger, reconciler, row_of("0000000001"), asked=asked) == expected


def test_a_fill_that_beat_the_cancel_wins():
    """Nothing to cancel: FILLED."""
    ledger, reconciler = changing(E.CANCEL_SENT, E.NO_ANSWER)
    row = row_of("0000000001", filled_quantity=10, filled_amount_krw=700_000)
    assert look(ledger, reconciler, row) == [("one", E.FILL)]
    assert ledger.orders["one"].status is S.FILLED


def test_a_rejection_after_acceptance_is_seen():
    """rjct_qty of the row."""
    ledger, reconciler = changing()
    row = row_of("0000000001", rejected_quantity=10)
    assert look(ledger, reconciler, row) == [("one", E.REJECTED)]


@pytest.mark.parametrize("events", [(E.REPLACE_SENT,), (E.REPLACE_SENT, E.NO_ANSWER), ()])
def test_a_changed_order_is_followed_to_its_new_number(events):
    """The row that names ours as its original is the same order, also when the owner changed it."""
    ledger, reconciler = changing(*events, price=0, kind="03")
    old = row_of("0000000001", cancelled_quantity=10)
    new = row_of("0000000002", price=69_900, original_no="0000000001")
    assert look(ledger, reconciler, old, new) == [("one", E.REPLACED)]
    order = ledger.orders["one"]
    assert (order.status, order.order_no, order.price) == (S.WORKING, "0000000002", 69_900)
    assert look(ledger, reconciler, old, new, asked=60) == []


def test_a_change_without_its_child_is_no_cancel_yet():
    """The old row shows the moved shares as cancelled before the new row is listed."""
    ledger, reconciler = changing(E.REPLACE_SENT, E.NO_ANSWER, price=0, kind="03")
    old = row_of("0000000001", cancelled_quantity=10)
    assert look(ledger, reconciler, old) == []
    assert ledger.orders["one"].status is S.REPLACE_UNKNOWN


def test_the_row_of_a_cancel_is_no_child():
    """A cancel is listed under its own number with ours as original; it has nothing to fill."""
    ledger, reconciler = changing(E.CANCEL_SENT, E.NO_ANSWER)
    cancel = row_of("0000000002", price=0, original_no="0000000001")
    assert look(ledger, reconciler, row_of("0000000001"), cancel, asked=3) == []
    assert ledger.orders["one"].order_no == "0000000001"


def test_the_row_of_a_cancel_never_takes_an_order_over():
    """Also when the list showed the order alive before it shows the cancel (row form unconfirmed)."""
    ledger, reconciler = changing(E.CANCEL_SENT, E.NO_ANSWER)
    assert look(ledger, reconciler, row_of("0000000001"), asked=8) == [("one", E.STILL_WORKING)]
    cancel = row_of("0000000002", price=0, original_no="0000000001")
    look(ledger, reconciler, row_of("0000000001"), cancel, asked=13)
    assert ledger.orders["one"].order_no == "0000000001"


def test_a_slow_change_call_does_not_stop_the_symbol():
    """The call may take ten seconds; a list read meanwhile shows the old order and means nothing."""
    ledger, reconciler = changing(E.REPLACE_SENT, price=0, kind="03")
    assert look(ledger, reconciler, row_of("0000000001"), asked=8) == []


def test_an_order_changed_twice_between_two_lists_is_followed():
    """1 -> 2 -> 3 on the owner's phone: the order lives under 3."""
    ledger, reconciler = changing()
    rows = [
        row_of("0000000001", cancelled_quantity=10),
        row_of("0000000002", cancelled_quantity=10, original_no="0000000001"),
        row_of("0000000003", original_no="0000000002"),
    ]
    look(ledger, reconciler, *rows)
    assert ledger.orders["one"].order_no == "0000000003"
    assert ledger.orders["one"].status is S.WORKING


def test_a_changed_order_that_is_listed_after_the_end_of_the_old_one_is_booked():
    """The row with its shares moved away comes first: the fills of the new number are ours."""
    ledger, reconciler = changing()
    look(ledger, reconciler, row_of("0000000001", cancelled_quantity=10))
    assert ledger.orders["one"].status is S.CANCELLED
    moved = row_of("0000000001", cancelled_quantity=10)
    child = {"original_no": "0000000001", "filled_quantity": 10, "filled_amount_krw": 700_000}
    assert look(ledger, reconciler, moved, row_of("0000000002", **child)) == [("one", E.FILL)]
    assert look(ledger, reconciler, moved, row_of("0000000002", **child)) == []
    assert ledger.position(SYMBOL).quantity == 10


@pytest.mark.parametrize("said", ["40330000 nothing is left to change", "APBK0000 other words", ""])
@pytest.mark.parametrize(
    ("asked", "filled", "ends"), [(46, 3, True), (44, 3, False), (110, 2, False)]
)
def test_a_changed_order_of_which_a_part_was_cancelled_ends_with_its_rest(
    asked, filled, ends, said
):
    """Ten, seven of them cancelled under the old number, the rest changed: a row of three, all filled for
    45 seconds, says that nothing is left, whatever the broker says or does not say to another change."""
    ledger, reconciler = changing(E.REPLACE_SENT, price=0, kind="03")
    ledger.apply(update(E.ACCEPTED, number="0000000002"))
    ledger.apply(fill("one", filled, filled * 70_000, "0000000002"))
    if said:
        ledger.apply(update(E.REPLACE_SENT, price=0, kind="01"))
        ledger.apply(update(E.REFUSED, note=said))
    left = {"quantity": 3, "filled_quantity": filled, "filled_amount_krw": filled * 70_000}
    rows = (
        row_of("0000000001", cancelled_quantity=10),
        row_of("0000000002", original_no="0000000001", **left),
    )
    assert look(ledger, reconciler, *rows, asked=1) == []
    events = look(ledger, reconciler, *rows, asked=asked)
    assert events == [("one", E.CANCELLED)][:ends]


def test_an_order_that_a_list_shows_too_small_for_a_while_is_not_over():
    """40 of 40 filled, of the 100 that were sent: such a row was seen for 36 seconds elsewhere."""
    ledger, reconciler = changing()
    small = {"quantity": 4, "filled_quantity": 4, "filled_amount_krw": 280_000}
    look(ledger, reconciler, row_of("0000000001", **small), asked=1)
    assert look(ledger, reconciler, row_of("0000000001", **small), asked=100) == []
    assert ledger.orders["one"].status is S.PARTIAL


def test_a_clock_that_is_set_ends_no_order_that_seemed_spent():
    """The seconds are counted anew, and again when something of it turns out to be alive."""
    ledger, reconciler = changing(E.REPLACE_SENT, price=0, kind="03")
    ledger.apply(update(E.ACCEPTED, number="0000000002"))
    old = row_of("0000000001", cancelled_quantity=10)
    left = {"quantity": 3, "filled_quantity": 3, "filled_amount_krw": 210_000}
    spent = row_of("0000000002", original_no="0000000001", **left)
    look(ledger, reconciler, old, spent, asked=1)
    reconciler.ages.begin_anew(after(3_600))
    assert look(ledger, reconciler, old, spent, asked=3_600) == []
    alive = row_of("0000000002", original_no="0000000001", **{**left, "quantity": 5})
    look(ledger, reconciler, old, alive, asked=3_640)
    assert look(ledger, reconciler, old, spent, asked=3_650) == []
    assert look(ledger, reconciler, old, spent, asked=3_696) == [("one", E.CANCELLED)]


def test_an_order_of_which_he_changed_a_part_lives_on_under_its_other_number():
    """Four of ten are filled at his price; the six under the old number are ours to change and cancel."""
    ledger, reconciler = changing()
    four = {"quantity": 4, "filled_quantity": 4, "filled_amount_krw": 280_000}
    rows = (
        row_of("0000000001", cancelled_quantity=4),
        row_of("0000000002", original_no="0000000001", **four),
    )
    look(ledger, reconciler, *rows, asked=1)
    assert ledger.orders["one"].order_no == "0000000002"
    assert look(ledger, reconciler, *rows, asked=50) == [("one", E.REPLACED)]
    order = ledger.orders["one"]
    assert (order.order_no, order.status, order.remaining) == ("0000000001", S.PARTIAL, 6)
    assert look(ledger, reconciler, *rows, asked=60) == []
    ended = row_of("0000000001", cancelled_quantity=10), rows[1]
    assert look(ledger, reconciler, *ended, asked=61) == [("one", E.CANCELLED)]


def test_the_newest_child_explains_the_ones_before_it():
    """1 -> 2 is known, 3 is not yet: row 2 with its shares moved on is no cancelled order."""
    ledger = new_ledger(
        *working(side=SELL), update(E.REPLACE_SENT, price=0, kind="03"),
        update(E.ACCEPTED, number="0000000002"),
    )  # fmt: skip
    rows = [
        row_of("0000000001", side=SELL, cancelled_quantity=10),
        row_of("0000000002", side=SELL, cancelled_quantity=10, original_no="0000000001"),
        row_of("0000000003", side=SELL, original_no="0000000002"),
    ]
    look(ledger, bot.Reconciler(ledger, False), *rows)
    order = ledger.orders["one"]
    assert (order.status, order.order_no) == (S.WORKING, "0000000003")


# --- orders of the owner ----------------------------------------------------------------


def test_orders_that_are_not_ours_are_adopted_once():
    """They are counted with their fills and never touched."""
    ledger = new_ledger()
    reconciler = bot.Reconciler(ledger, False)
    row = row_of("0000000050", filled_quantity=2, filled_amount_krw=140_000, moment="09:10:00")
    key = "external-20261120-0000000050"
    assert look(ledger, reconciler, row) == [(key, "intent"), (key, E.ACCEPTED), (key, E.FILL)]
    assert look(ledger, reconciler, row) == []
    assert (ledger.external, ledger.positions.get(SYMBOL)) == ({SYMBOL: 2}, None)


def test_a_row_that_an_order_under_way_fits_is_left_alone():
    """The list may be quicker than the answer: the answer binds it."""
    ledger = new_ledger(intent_of())
    assert look(ledger, bot.Reconciler(ledger, False), row_of("0000000007"), asked=0.3) == []


def test_orders_of_a_kind_that_we_do_not_know_are_adopted_too():
    """ORD_DVSN has more kinds than ours."""
    ledger = new_ledger()
    look(ledger, bot.Reconciler(ledger, False), row_of("0000000050", kind="41"))
    assert [order.own for order in ledger.open_orders()] == [False]


@pytest.mark.parametrize("end", [E.REFUSED, E.NOT_SENT])
def test_a_dead_order_does_not_take_the_number_of_its_successor(end):
    """Refused at 10:00, the same order is tried anew: the new row belongs to the new intent."""
    ledger = new_ledger(
        intent_of("dead", side=SELL), update(end, "dead"),
        intent_of("alive", side=SELL, at=after(10)),
    )  # fmt: skip
    row = row_of("0000000007", side=SELL, moment="10:00:10")
    look(ledger, bot.Reconciler(ledger, False), row, asked=10.4)
    ledger.apply(update(E.ACCEPTED, "alive", "0000000007"))
    assert [order.intent.intent_id for order in ledger.open_orders()] == ["alive"]


@pytest.mark.parametrize("end", [E.REFUSED, E.NOT_SENT])
def test_an_order_of_the_owner_hours_later_is_not_ours(end):
    """Told that ours was refused, he sends the same himself: it is his and is never cancelled."""
    ledger = new_ledger(intent_of(), update(end))
    row = row_of("0000000050", moment="13:00:00")
    look(ledger, bot.Reconciler(ledger, False), row, asked=3 * 3600 + 5)
    assert ledger.orders["one"].status in bot.NEVER_EXISTED
    assert [order.own for order in ledger.open_orders()] == [False]


def test_two_orders_of_the_owner_like_a_dead_one_are_both_adopted():
    """A dead order needs no decision between them; both count in the limits."""
    ledger = new_ledger(intent_of(), update(E.REFUSED))
    rows = row_of("0000000050", moment="10:30:00"), row_of("0000000051", moment="10:31:00")
    look(ledger, bot.Reconciler(ledger, False), *rows, asked=3600)
    assert [order.order_no for order in ledger.open_orders()] == ["0000000050", "0000000051"]


def test_an_order_of_today_is_not_yesterday_s_unknown_one():
    """Order numbers and times begin anew each day; no match crosses the night."""
    ledger, reconciler = unknown_order()
    ledger.apply(bot.DayOpened(NEXT_DAY, at("08:30", NEXT_DAY)))
    moment = at("11:00:05", NEXT_DAY)
    row = row_of("0000000007", moment="11:00:00")
    drive(ledger, reconciler.read_list(bot.OrderList((row,)), moment, moment))
    assert ledger.orders["one"].status is S.UNKNOWN


# --- notices and the balance ------------------------------------------------------------


def notice(kind=bot.NoticeKind.RECEIVED, number="0000000001", quantity=10, price=70_000, **more):
    """Return an order notice."""
    values = {"action": "0", "original_no": "", "symbol": SYMBOL, "side": BUY, "time": "100001",
              **more}  # fmt: skip
    return bot.Notice(kind=kind, order_no=number, quantity=quantity, price=price, **values)


def hear(reconciler, told, at):
    """Give a reconciler a notice; apply what it makes of it, as the engine does."""
    for entry in reconciler.note_notice(told, at):
        reconciler._ledger.apply(entry)


def test_a_lone_row_is_not_ours_while_notices_name_another_order():
    """Of two equal orders the list shows one so far, the notices told of both (also before a crash)."""
    ledger, reconciler = unknown_order()
    for number in ("0000000077", "0000000078"):
        hear(reconciler, notice(number=number), after(11))
    assert look(ledger, bot.Reconciler(ledger, False), row_of("0000000077"), asked=20) == [
        ("one", E.AMBIGUOUS)
    ]


def test_a_notice_and_the_cash_together_bind_an_unknown_order():
    """Where the paper list stays empty: a fitting notice, cash that fell, fifteen seconds."""
    ledger, reconciler = unknown_order(paper=True, others=False)
    hear(reconciler, notice(number="0000000077"), after(11))
    assert look(ledger, reconciler, asked=20) == []
    reconciler.witness(ledger.orders["one"], 700_098, 700_098, after(12))
    assert look(ledger, reconciler, asked=14) == []
    assert look(ledger, reconciler, asked=16) == [("one", E.FOUND)]
    assert ledger.orders["one"].order_no == "0000000077"


def test_two_different_notices_bind_nothing():
    """One of them is the owner's order."""
    ledger, reconciler = unknown_order(paper=True, others=False)
    for number in ("0000000077", "0000000078"):
        hear(reconciler, notice(number=number), after(11))
    reconciler.witness(ledger.orders["one"], 700_098, 700_098, after(12))
    assert look(ledger, reconciler, asked=200) == []


def test_a_notice_that_comes_before_the_call_ends_is_remembered():
    """The receipt comes within a second, a time-out after ten: the receipt must not be lost."""
    ledger = new_ledger(intent_of())
    reconciler = bot.Reconciler(ledger, empty_lists=True)
    hear(reconciler, notice(number="0000000077"), after(0.4))
    ledger.apply(update(E.NO_ANSWER, moment=after(10)))
    reconciler.witness(ledger.orders["one"], 700_098, 700_098, after(12))
    assert look(ledger, reconciler, asked=16) == [("one", E.FOUND)]


def hinted(*notices, rows=()):
    """Return a paper ledger with a working order, an incomplete list, and notices of it."""
    ledger = new_ledger(*working())
    reconciler = bot.Reconciler(ledger, empty_lists=True)
    look(ledger, reconciler, *rows, asked=5)
    for each in notices:
        hear(reconciler, each, NOW)
    return ledger, reconciler


def read_balance(ledger, reconciler, shares, asked=15.0):
    """Read a balance that shows some shares; return the events."""
    holdings = {SYMBOL: bot.Holding(SYMBOL, shares, shares, Decimal(70_000))}
    entries = drive(ledger, reconciler.read_balance(holdings, after(asked), after(asked)))
    return [entry.event for entry in entries]


FILLS = (
    notice(bot.NoticeKind.FILL, quantity=4),
    notice(bot.NoticeKind.FILL, quantity=6, price=69_900),
)


def test_notices_that_the_balance_confirms_are_booked():
    """Shares and won of the notices, once, where the list lacks the order."""
    ledger, reconciler = hinted(*FILLS)
    assert read_balance(ledger, reconciler, 10) == [E.FILL]
    assert (ledger.position(SYMBOL).cost, ledger.orders["one"].status) == (699_400, S.FILLED)
    assert read_balance(ledger, reconciler, 10, asked=30) == []


@pytest.mark.parametrize(
    ("shares", "asked", "rows"),
    [(9, 15, ()), (0, 15, ()), (10, 14.9, ()), (10, 15, (row_of("0000000001"),))],
    ids=["other shares", "none", "too early", "the list knows the order"],
)
def test_notices_alone_book_nothing(shares, asked, rows):
    """The balance must agree, after fifteen seconds, and the list be without the order."""
    ledger, reconciler = hinted(*FILLS, rows=rows)
    assert read_balance(ledger, reconciler, shares, asked) == []


def test_a_receipt_is_no_fill():
    """It carries the order's shares and moves none."""
    ledger, reconciler = hinted(notice())
    assert read_balance(ledger, reconciler, 10) == []


@pytest.mark.parametrize(
    "last",
    [notice(bot.NoticeKind.CONFIRMED, "0000000009", original_no="0000000001", action="2"),
     notice(bot.NoticeKind.REST_CANCELLED)],
)  # fmt: skip
def test_a_confirmed_cancel_ends_an_order_that_the_list_lacks(last):
    """After the fills that came before it."""
    ledger, reconciler = hinted(FILLS[0], last)
    assert read_balance(ledger, reconciler, 4) == [E.FILL, E.CANCELLED]


def test_a_cancel_is_not_believed_while_fills_are_open():
    """The balance has not confirmed the fill: the order is not over."""
    ledger, reconciler = hinted(FILLS[0], notice(bot.NoticeKind.REST_CANCELLED))
    assert read_balance(ledger, reconciler, 0) == []


def test_what_the_list_books_is_taken_out_of_the_hints():
    """A fill is counted once, whoever tells it."""
    ledger, reconciler = hinted(*FILLS)
    row = row_of("0000000001", filled_quantity=4, filled_amount_krw=280_000)
    look(ledger, reconciler, row, asked=10)
    assert reconciler.hints["0000000001"].quantity == 6


def test_a_number_that_another_order_has_by_now_binds_nothing():
    """A second exit and the first, of unknown outcome, heard the same notice: it was the second's."""
    ledger = new_ledger(
        *bought(), intent_of("one", SELL), update(E.NO_ANSWER),
        intent_of("two", SELL), bot.NumberHeard("one", "0000000009", NOW),
        update(E.ACCEPTED, "two", "0000000009"),
    )  # fmt: skip
    reconciler = bot.Reconciler(ledger, empty_lists=True)
    reconciler.searches["one"] = bot.Search(witnesses=1, arrived=True)
    assert look(ledger, reconciler, asked=20) == []
    assert ledger.by_number[DAY, "0000000009"] == "two"


def test_hints_are_dropped_after_a_gap():
    """Notices are not replayed: what was heard is incomplete."""
    ledger, reconciler = hinted(*FILLS)
    reconciler.hints.clear()
    assert read_balance(ledger, reconciler, 10) == []


def test_hints_of_an_earlier_day_do_no_harm():
    """Ended orders are forgotten in the morning; the next balance must not fail."""
    ledger, reconciler = hinted(*FILLS)
    ledger.apply(fill("one", 10, 700_000))
    ledger.apply(bot.DayOpened(NEXT_DAY, at("08:30", NEXT_DAY)))
    assert read_balance(ledger, reconciler, 10, asked=3 * 86_400) == []


def test_a_witness_looks_five_seconds_after_at_the_earliest():
    """Cash asked together with the order says nothing about it."""
    ledger, reconciler = unknown_order()
    reconciler.witness(ledger.orders["one"], 0, 700_098, after(4))
    assert reconciler.searches == {}


def test_a_fill_under_an_old_number_is_booked_once():
    """Told by a notice under 1, confirmed by the balance, listed under 1: four shares, not eight."""
    ledger = new_ledger(
        *working(), update(E.REPLACE_SENT, price=70_000, kind="00"),
        update(E.ACCEPTED, number="0000000002"),
    )  # fmt: skip
    reconciler = bot.Reconciler(ledger, empty_lists=True)
    look(ledger, reconciler, asked=5)
    hear(reconciler, FILLS[0], NOW)
    read_balance(ledger, reconciler, 4)
    rows = [
        row_of("0000000001", filled_quantity=4, filled_amount_krw=280_000, cancelled_quantity=6),
        row_of("0000000002", quantity=6, original_no="0000000001"),
    ]
    look(ledger, reconciler, *rows, asked=60)
    assert ledger.position(SYMBOL).quantity == 4


# --- the end of a day -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lists", "now", "expected"),
    [
        ((70, 130), 15, True), ((70, 130), 14.9, False), ((70,), 20, False),
        ((70, 129), 20, False), ((), 20, False), ((70, 100, 130), 15, True),
    ],
)  # fmt: skip
def test_day_orders_end_after_two_lists_a_minute_apart(lists, now, expected):
    """Fifteen minutes after the close; what is of unknown outcome is not ended."""
    ledger = new_ledger(*working(), intent_of("u", symbol=OTHER), update(E.NO_ANSWER, "u"))
    asked = [CLOSE + timedelta(seconds=seconds) for seconds in lists]
    drive(ledger, bot.expire(ledger, asked, CLOSE, CLOSE + timedelta(minutes=now)))
    assert ledger.orders["one"].status is (S.EXPIRED if expected else S.WORKING)
    assert ledger.orders["u"].status is S.UNKNOWN


@pytest.mark.parametrize(("rows", "status"), [((KNOWN,), S.LOST), ((), S.QUARANTINED)])
def test_what_an_earlier_day_left_open_is_ended(rows, status):
    """Its last list tells: day orders are dead; an unknown one is lost, or nobody knows."""
    ledger, reconciler = unknown_order()
    look(ledger, reconciler, *rows, asked=6 * 3600)
    drive(ledger, reconciler.end_day(at("08:30", NEXT_DAY)))
    assert ledger.orders["one"].status is status
    assert ledger.orders["known"].status is S.EXPIRED


def test_a_list_from_before_the_order_does_not_prove_it_absent():
    """The last complete list was read at 09:59; the order is of 10:00: only the owner can say."""
    ledger, reconciler = unknown_order()
    look(ledger, reconciler, KNOWN, asked=-60)
    drive(ledger, reconciler.end_day(at("08:30", NEXT_DAY)))
    assert ledger.orders["one"].status is S.QUARANTINED


def test_the_answers_do_not_depend_on_the_order_of_the_rows():
    """Rows in any order give the same entries."""
    found = []
    for flip in (False, True):
        ledger, reconciler = unknown_order()
        rows = [KNOWN, row_of("0000000050", quantity=3), row_of("0000000049", quantity=4),
                row_of("0000000007")]  # fmt: skip
        found.append(look(ledger, reconciler, *(reversed(rows) if flip else rows)))
    assert found[0] == found[1]


def test_replaced_intent_values_are_frozen():
    """Intents are values: a change makes another one."""
    first = intent_of()
    assert replace(first, price=1).price != first.price == 70_000


def test_a_sell_that_was_changed_before_it_was_found_is_followed_to_its_newest_number():
    """No answer came, the owner changed it: its old row is no end of it, three of four are still out."""
    ledger, reconciler = unknown_order(side=SELL)
    old = row_of("0000000007", side=SELL, cancelled_quantity=10)
    new = row_of("0000000008", side=SELL, original_no="0000000007", price=69_000)
    events = look(ledger, reconciler, KNOWN, old, new, asked=30)
    assert events == [("one", E.FOUND), ("one", E.REPLACED)]
    order = ledger.orders["one"]
    assert (order.status, order.order_no, order.remaining) == (S.WORKING, "0000000008", 10)
