"""The account over days: balances, lists, orders of the owner and nights in any order.

What a balance may change is reckoned a second time here, plainly, by sums of two stocks.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from fractions import Fraction

import pytest
from test_engine import BUY, OTHER, SELL, SYMBOL, Bench, alerts, asks, instrument

import kis_realtime_trading as bot

STOCKS = SYMBOL, OTHER
SETTLES, REST = timedelta(seconds=5), timedelta(minutes=3)


@dataclass
class Account:
    """What the papers say of an account; `first` is (asked at, shares, cash) of its first balance."""

    ours: Counter[str]
    now: datetime
    his: Counter[str] = field(default_factory=Counter)
    cash: int = 10_000_000
    taken: bool = False  # the account of the day
    listed: datetime | None = None  # when the last list was asked
    wanted_since: datetime | None = None  # from when on a list is missed
    filled_at: datetime | None = None
    first: tuple[datetime, Counter[str], int] | None = None
    missing: dict[str, int] = field(default_factory=dict)
    missing_since: datetime | None = None
    fewer: dict[str, int] = field(default_factory=dict)
    fewer_since: datetime | None = None
    mismatch: bool = False
    orders: dict[str, list] = field(default_factory=dict)  # his: stock, side, shares, filled
    known: list[list] = field(default_factory=list)  # of them, as the last list told them
    told: list[str] = field(default_factory=list)

    def begin_day(self, now):
        """Begin a day: his orders of before are dead, the account is taken anew."""
        self.orders, self.known, self.taken, self.fewer = {}, [], False, {}
        self.listed = self.now = now
        self.wanted_since = self.wanted_since or now

    def fill(self, stock, side, shares):
        """Book what he traded: once the account is taken, what he had not himself was ours."""
        sign = 1 if side is BUY else -1
        self.his[stock] += sign * shares
        self.filled_at = self.now
        if self.taken and self.his[stock] < 0:
            of_ours = min(self.ours[stock], -self.his[stock])
            self.ours[stock] -= of_ours
            self.his[stock] += of_ours

    def read_list(self, asked_at, booked):
        """Take a list in that was asked at a time; return whether a balance must be asked for anew."""
        for stock, side, shares in booked:
            self.fill(stock, side, shares)
        self.known = [list(order) for order in self.orders.values()]
        self.listed = asked_at
        if self.wanted_since and asked_at >= self.wanted_since:
            self.wanted_since = None
        if self.first is None or asked_at < self.first[0] + SETTLES or self.wanted_since:
            return False
        at, shown, cash = self.first
        self.first = None
        overtaken = self.filled_at is not None and self.filled_at > at
        if overtaken or at.date() != asked_at.date():
            return True
        self.take(at, shown, cash)
        return False

    def take(self, at, shown, cash):
        """Begin with the broker's figures; what is missing without a reason must miss for a while."""
        missing = {
            stock: shown[stock]
            for stock in STOCKS
            if shown[stock] < self.ours[stock]
            and self.ours[stock] + self.his[stock] != shown[stock]
        }
        opens = datetime.combine(at.date(), time(9), bot.KST)  # early balances come empty
        if missing != self.missing or not self.missing_since or self.missing_since < opens:
            self.missing, self.missing_since = missing, max(at, opens)
            self.told += ["mismatch"] * len(missing)
        if missing and at - self.missing_since < REST:
            return
        for stock in STOCKS:
            self.ours[stock] = min(self.ours[stock], shown[stock])
            self.his[stock] = shown[stock] - self.ours[stock]
        self.missing, self.cash, self.taken = {}, cash, True

    def read_balance(self, at, shown, cash):
        """Keep the first of a day; compare every later one."""
        if not self.taken:
            if self.first is None or at < self.first[0]:
                self.first = at, shown, cash
            return
        if self.filled_at is not None and at - self.filled_at < REST:
            return
        moving = {stock for stock, _, shares, filled in self.known if filled < shares}
        traded = {stock for stock, _, _, filled in self.known if filled}
        other = [
            stock
            for stock in STOCKS
            if stock not in moving and self.ours[stock] + self.his[stock] != shown[stock]
        ]
        fewer = {
            stock: shown[stock] - self.ours[stock]
            for stock in other
            if stock not in traded
            and self.ours[stock] <= shown[stock] < self.ours[stock] + self.his[stock]
        }
        if fewer != self.fewer:
            self.fewer, self.fewer_since = fewer, at
        elif fewer and at - self.fewer_since >= REST:
            self.his.update({stock: fewer[stock] - self.his[stock] for stock in fewer})
        if other and not self.mismatch:
            self.told.append("mismatch")
        self.mismatch = bool(other) or (self.mismatch and bool(moving))
        if not other and not moving and cash != self.cash:
            self.told.append("cash_differs")
            self.cash = cash

    def wants_list(self):
        """Tell whether the first balance waits for a list, and one asked now would do."""
        due = self.first and self.first[0] + SETTLES
        return bool(due and self.listed < due <= self.now)


def rows_of(account):
    """Return the rows of the owner's orders."""
    return [
        bot.BrokerOrder(
            number, "", "06010", stock, side, "00", shares, 70_000, filled, filled * 70_000, 0, 0,
            "083000",
        )
        for number, (stock, side, shares, filled) in account.orders.items()
    ]  # fmt: skip


class Walk:
    """The bot and the plain account side by side, over days of chance."""

    def __init__(self, seed):
        self.pick, self.bench = random.Random(seed), Bench(flat_at=None)
        pick, ledger = self.pick, self.bench.ledger
        ours = Counter({stock: pick.choice([0, 10, 10]) for stock in STOCKS})
        for stock, shares in ours.items():
            position = ledger.position(stock)
            position.quantity, position.cost = shares, Fraction(shares * 70_000)
        ledger.day = ledger.account_day = bot.previous_trading_day(self.bench.now.date())
        self.account = Account(ours, self.bench.now)
        self.lie = Counter[str]()  # shares that a balance shows too many
        self.bench.command("restarted")
        self.begin_day(self.bench.now)

    def begin_day(self, now):
        """Begin a day in bot and account."""
        self.bench.now = now
        self.account.begin_day(now)
        self.bench.command("day", session=bot.session_of(now.date()))
        for stock in STOCKS:
            self.bench.seen(instrument(stock))

    def night(self):
        """Go to the next morning."""
        following = self.bench.now.date() + timedelta(days=1)
        while bot.session_of(following) is None:
            following += timedelta(days=1)
        self.begin_day(datetime.combine(following, time(8, 30), bot.KST))

    def wait(self):
        """Let time pass."""
        s = self.pick.choice([1, 4, 5, 6, 60, 120, 179, 180, 181])
        account, bench = self.account, self.bench
        bench.now = account.now = bench.now + timedelta(seconds=s)
        if bench.now.time() < time(8, 20):
            bench.now = account.now = bench.now + timedelta(minutes=20)
        bench.feed(bot.TimeEvent(bench.now))

    def trade(self):
        """Have the owner order something, or a part of it filled; a list of later tells it."""
        pick, orders = self.pick, self.account.orders
        if orders and pick.random() < 0.6:
            order = orders[pick.choice(list(orders))]
            order[3] = order[2] if pick.random() < 0.7 else order[3]
        elif len(orders) < 4:
            number = f"{900 + len(orders):010d}"
            side = pick.choice([BUY, SELL])
            orders[number] = [pick.choice(STOCKS), side, pick.choice([3, 8]), 0]

    def buy(self):
        """Have ten shares of ours, as from an order that was filled long ago."""
        stock = self.pick.choice(STOCKS)
        if self.account.taken and self.account.ours[stock] < 10:
            position = self.bench.ledger.position(stock)
            self.account.ours[stock] = position.quantity = position.quantity + 10
            position.cost = Fraction(position.quantity * 70_000)

    def read_list(self):
        """Feed a list, asked now or some seconds ago."""
        bench, account = self.bench, self.account
        asked_at = bench.now - timedelta(seconds=self.pick.choice([0, 0, 0, 2, 30]))
        ledger = bench.ledger
        booked = []
        for number, (stock, side, _, filled) in account.orders.items():
            order = ledger.order_of(number)
            news = filled - (order.filled_quantity if order else 0)
            if news:
                booked.append((stock, side, news))
        anew = account.read_list(asked_at, booked)
        done = bench.list_of(*rows_of(account), asked_at=asked_at)
        assert bool(asks(done, "holdings")) is anew
        if booked:
            account.cash = ledger.cash_krw  # fees and taxes: see the tests of the ledger
        return done

    def read_balance(self):
        """Feed a balance; it may be wrong for a while, and other cash may stand in it."""
        pick, account = self.pick, self.account
        if pick.random() < 0.25:
            lies = [0, 0, 0, -2, -2, -4, 3] if account.taken else [0, 0, 4, 8, -4, -20]
            self.lie = Counter({stock: pick.choice(lies) for stock in STOCKS})
        shown = Counter({
            stock: max(0, account.ours[stock] + account.his[stock] + self.lie[stock])
            for stock in STOCKS
        })  # fmt: skip
        cash = account.cash + pick.choice([0, 0, 0, 100_000])
        asked_at = self.bench.now - timedelta(seconds=pick.choice([0, 0, 1, 30]))
        account.read_balance(asked_at, shown, cash)
        lines = [(stock, shares) for stock, shares in shown.items() if shares]
        return self.bench.balance(*lines, asked_at=asked_at, cash=cash)

    def lose_feed(self):
        """Lose the feed and have it again: lists asked before count no more."""
        self.bench.command("feed down")
        self.bench.command("feed up")
        self.account.wanted_since = self.bench.now

    def step(self):
        """Do anything, and compare."""
        bench, account = self.bench, self.account
        core, ledger = bench.engine.core, bench.ledger
        steps = {
            self.wait: 8, self.read_balance: 10, self.read_list: 6, self.trade: 1,
            self.lose_feed: 0.5, self.night: 0.5, self.buy: 0.5,
        }  # fmt: skip
        [step] = self.pick.choices(list(steps), list(steps.values()))
        account.told.clear()
        done = step() or []
        told = [code for code in alerts(done) if code in ("mismatch", "cash_differs")]
        assert told == account.told
        for stock in STOCKS:
            ours, his = ledger.position(stock).quantity, ledger.external.get(stock, 0)
            assert (ours, his) == (account.ours[stock], account.his[stock]), stock
        assert ("account" not in core.holds) is account.taken
        assert ("mismatch" in core.holds) is account.mismatch
        assert bench.engine.account.wants_list() is account.wants_list()
        if account.taken:
            assert ledger.cash_krw == account.cash


@pytest.mark.parametrize("seed", range(60))
def test_shares_and_cash_are_whose_the_plain_sums_say_over_days_of_chance(seed):
    """Balances that lie for a while, his orders between them, nights."""
    walk = Walk(seed)
    for _ in range(120):
        walk.step()
