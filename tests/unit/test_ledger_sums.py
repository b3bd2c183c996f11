"""The ledger's money after any walk of fills, corrections and changes: reckoned anew from the last figures."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from test_engine import BUY, DAY, OTHER, SELL, SYMBOL, K, S

import kis_realtime_trading as bot

E = bot.OrderEvent
FUND = "069500"
MARKETS = {SYMBOL: "KOSPI", OTHER: "KOSDAQ", FUND: "KOSPI"}
FEE = {False: Decimal("0.0140527"), True: Decimal("0.0042087")}
TAX = {
    "KOSPI": (Decimal("0.05"), Decimal("0.15")),
    "KOSDAQ": (Decimal("0.20"), Decimal(0)),
}  # of 2026


def costs_of(side, symbol, amounts):
    """Reckon fee (half up) and tax (each part cut) of the filled won under each number, in per cent."""
    fund = symbol == FUND
    fee = sum(int((each * FEE[fund] / 100).to_integral_value(ROUND_HALF_UP)) for each in amounts)
    rates = () if fund or side is BUY else TAX[MARKETS[symbol]]
    return fee, sum(int(each * rate / 100) for each in amounts for rate in rates)


class Walk:
    """A ledger that is driven, and beside it the broker's last word on each order."""

    def __init__(self, seed):
        self.pick = random.Random(seed)
        self.ledger = bot.Ledger(FEE[False], FEE[True])
        self.now = datetime.combine(DAY, bot.clock_time(9, 30), bot.KST)
        self.ledger.apply(bot.DayOpened(DAY, self.now))
        for symbol, market in MARKETS.items():
            self.ledger.instruments[symbol] = bot.Instrument(
                symbol, market, symbol == FUND, 70_000, 91_000, 49_000, 0
            )
        self.ledger.apply(bot.AccountTaken(50_000_000, {SYMBOL: 4}, self.now))
        self.said = {}  # intent id -> number -> (shares, won)
        self.owners = {SYMBOL: 4}
        self.entries = []

    def apply(self, entry):
        self.entries.append(entry)
        self.now += timedelta(seconds=1)
        return self.ledger.apply(entry)

    def begin(self):
        """Send an order that may be filled: buys, sells of what is held, the owner's own."""
        pick, key = self.pick, f"o{len(self.said)}"
        symbol, own = pick.choice(list(MARKETS)), pick.random() < 0.8
        held = self.ledger.position(symbol).quantity
        selling = sum(o.remaining for o in self.ledger.open_orders(symbol) if o.intent.side is SELL)
        sells = own and held > selling and pick.random() < 0.6
        shares = pick.randint(1, held - selling) if sells else pick.randint(1, 12)
        side = SELL if sells else BUY
        purpose = ("exit" if sells else "entry") if own else "external"
        self.apply(bot.OrderIntent(
            key, DAY, symbol, side, K.LIMIT, shares, 70_000, purpose, purpose, key, self.now
        ))  # fmt: skip
        self.apply(bot.OrderUpdate(key, E.ACCEPTED, self.now, f"{len(self.said):010d}"))
        self.said[key] = {}

    def go_on(self, key):
        """Fill more of an order, correct its won up or down, or change it to a new number."""
        order, pick, said = self.ledger.orders[key], self.pick, self.said[key]
        what = pick.choice(["fill", "fill", "correct", "change"])
        number = order.order_no
        if what == "fill" and order.remaining:
            had, won = said.get(number, (0, 0))
            more = pick.randint(1, order.remaining)
            said[number] = (had + more, won + more * pick.randint(68_000, 73_000))
        elif what == "correct" and said:
            number = pick.choice(list(said))
            shares, won = said[number]
            said[number] = (shares, won + pick.choice([-3, -1, 1, 5]) * shares * 50)
        elif what == "change" and order.status in (S.WORKING, S.PARTIAL):
            self.apply(bot.OrderUpdate(key, E.REPLACE_SENT, self.now, price=69_000, kind="00"))
            self.apply(bot.OrderUpdate(key, E.ACCEPTED, self.now, f"9{len(self.entries):09d}"))
            return
        if number in said:
            shares, won = said[number]
            self.apply(
                bot.OrderUpdate(key, E.FILL, self.now, number, quantity=shares, amount_krw=won)
            )


@pytest.mark.parametrize("seed", range(60))
def test_money_and_shares_are_those_of_the_last_figures_however_they_came(seed):
    """Cash, fees and taxes hang on the broker's last word alone; so does the ledger of the same rows."""
    walk = Walk(seed)
    for _ in range(45):
        if not walk.said or walk.pick.random() < 0.3:
            walk.begin()
        else:
            walk.go_on(walk.pick.choice(list(walk.said)[-4:]))
        cash, fees, taxes, all_costs = 50_000_000, 0, 0, 0
        shares = dict.fromkeys(MARKETS, 0)
        for key, said in walk.said.items():
            order = walk.ledger.orders[key]
            side, symbol = order.intent.side, order.intent.symbol
            fee, tax = costs_of(side, symbol, [won for _, won in said.values()])
            cash -= side.sign * sum(won for _, won in said.values())
            all_costs += fee + tax
            assert (order.fee_krw, order.tax_krw) == (fee, tax)
            if order.own:
                fees, taxes = fees + fee, taxes + tax
                shares[symbol] += side.sign * sum(count for count, _ in said.values())
        today = walk.ledger.today
        assert walk.ledger.cash_krw == cash - all_costs
        assert (today.fees_krw, today.taxes_krw) == (fees, taxes)
        assert {each: walk.ledger.position(each).quantity for each in MARKETS} == shares
        # what was earned and what is held at cost together are what the fills moved
        own = [order for order in walk.ledger.orders.values() if order.own]
        moved = sum(order.intent.side.sign * order.filled_amount_krw for order in own)
        cost = sum(each.cost for each in walk.ledger.positions.values())
        assert today.gross - cost == Fraction(-moved)
    again = bot.Ledger(FEE[False], FEE[True])
    again.instruments = dict(walk.ledger.instruments)
    again.apply(bot.DayOpened(DAY, walk.now))
    again.apply(bot.AccountTaken(50_000_000, {SYMBOL: 4}, walk.now))
    for entry in walk.entries:
        again.apply(replace(entry))
    assert (again.cash_krw, again.today, again.held()) == (
        walk.ledger.cash_krw, walk.ledger.today, walk.ledger.held()
    )  # fmt: skip


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("taken", ["never", "yesterday", "today"])
@pytest.mark.parametrize("his", [0, 3])
@pytest.mark.parametrize("sold", [2, 3, 7, 13])
def test_a_sell_of_the_owner_takes_of_ours_only_once_the_account_of_the_day_is_known(
    waits, taken, his, sold
):
    """Before that he may have bought them while nobody looked: his count is below zero until then."""
    ledger, at = bot.Ledger(), datetime.combine(DAY, bot.clock_time(8, 40), bot.KST)
    earlier = bot.previous_trading_day(DAY)
    ledger.apply(bot.DayOpened(earlier, at, waits=waits))
    if taken != "never":
        ledger.apply(bot.AccountTaken(10_000_000, {}, at))
    ledger.position(SYMBOL).quantity, ledger.position(SYMBOL).cost = 10, Fraction(700_000)
    ledger.apply(bot.DayOpened(DAY, at, waits=waits))
    if taken == "today":
        ledger.apply(bot.AccountTaken(10_000_000, {}, at))
    ledger.external = {SYMBOL: his} if his else {}
    ledger.apply(bot.OrderIntent(
        "his", DAY, SYMBOL, SELL, K.LIMIT, sold, 70_000, "external", "external", "his", at
    ))  # fmt: skip
    ledger.apply(bot.OrderUpdate("his", E.ACCEPTED, at, "0000000900"))
    won = 70_000 * sold
    ledger.apply(bot.OrderUpdate("his", E.FILL, at, "0000000900", quantity=sold, amount_krw=won))
    held_back = waits and taken != "today"
    of_ours = 0 if held_back else min(10, max(0, sold - his))
    assert ledger.position(SYMBOL).quantity == 10 - of_ours
    assert ledger.external[SYMBOL] == his - sold + of_ours
