"""Exits walked through an owner who cancels, changes and trades the same stock by phone, and restarts.

Whatever he does to our orders, the bot sells its own shares, once, and none of his.
"""

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from test_engine import BUY, SELL, SYMBOL, alerts, instrument, restarted
from test_exit_walks import LAG_S, Books, begun

import kis_realtime_trading as bot

STEPS = [
    "answer",
    "answer",
    "answer",
    "wait",
    "wait",
    "fill",
    "list",
    "list",
    "account",
    "trade",
    "gap",
    "take_back",
    "change_part",
    "change_all",
    "buys",
    "sells",
    "restart",
]


class Shared(Books):
    """The books of an account in which the owner trades, too; `his` are the numbers of his orders."""

    his: set[str]

    def place(self, side, quantity, price, original=""):
        """Enter a row of his doing; return its number."""
        number, now = f"{len(self.rows) + 1:010d}", f"{self.bench.now:%H%M%S}"
        self.rows[number] = bot.BrokerOrder(
            number, original, "06010", SYMBOL, side, "00", quantity, price, 0, 0, 0, 0, now
        )
        return number

    def net(self):
        """Return the shares that are his."""
        return sum(self.rows[each].side.sign * self.rows[each].filled_quantity for each in self.his)

    def he_changes(self, pick, everything, cancel):
        """Let him move some shares of an order of ours to another number, alive or not."""
        least = 0 if everything else 1
        alive = [each for each in self.rows if self.rest(each) > least and each not in self.his]
        if not alive:
            return
        number = pick.choice(alive)
        row, rest = self.rows[number], self.rest(number)
        moved = rest if everything else pick.randint(1, rest - 1)
        self.rows[number] = replace(row, cancelled_quantity=row.cancelled_quantity + moved)
        made = self.place(row.side, moved, 0 if cancel else 68_000, number)
        if cancel:
            self.rows[made] = replace(self.rows[made], cancelled_quantity=moved)

    def he_trades(self, side, quantity):
        """Let him buy, or sell what is his and free."""
        if side is SELL:
            selling = sum(self.rest(each) for each in self.his if self.rows[each].side is SELL)
            quantity = min(quantity, self.net() - selling, self.sellable())
        if quantity > 0:
            self.his.add(self.place(side, quantity, 69_000 if side is BUY else 68_000))

    def restart(self):
        """Let the process die with its calls, and another begin three seconds later."""
        first = self.bench
        second = restarted(first, f"{first.now + timedelta(seconds=3):%H:%M:%S}")
        second.actions, second.numbers = first.actions, first.numbers
        self.bench, self.waiting = second, []
        second.command("restarted", text=first.now.isoformat())
        self.take(second.command("day", session=bot.session_of(second.now.date())))
        for symbol in second.settings.symbols:
            self.take(second.seen(instrument(symbol, price=69_000)))
        self.list_rows(0)
        self.show_account()
        self.take(second.command("feed up"))
        self.list_rows(0)


def step(books, what, pick):
    """Let one thing happen."""
    if what == "answer":
        books.answer(pick.choice(["", "", "", "refused", "lost", "answer lost"]))
    elif what == "wait":
        books.wait(pick.randint(1, 13))
    elif what == "fill":
        books.fill(68_900, pick.randint(0, 99))
    elif what == "list":
        books.list_rows(pick.randint(0, LAG_S))
    elif what == "account":
        books.show_account()
    elif what == "trade":
        books.take(books.bench.trade(pick.randrange(68_500, 69_500, 100)))
    elif what == "gap":
        books.take(books.bench.command("feed down") + books.bench.command("feed up"))
    elif what == "restart":
        books.restart()
    elif what in ("buys", "sells"):
        books.he_trades(BUY if what == "buys" else SELL, pick.randint(1, 5))
    else:
        books.he_changes(pick, what == "change_all", what == "take_back")
    books.history.append((books.bench.now, dict(books.rows)))


@pytest.mark.parametrize("seed", [*range(30), 73, 112, 141, 525])  # the last four went wrong once
def test_whatever_he_does_to_our_orders_none_of_his_shares_is_sold(seed):
    """In the end ours are sold, his are all there, and both books are equal."""
    pick = random.Random(seed)
    bench, begun_books = begun(pick.random() < 0.5)
    books = Shared(bench)
    books.__dict__ |= begun_books.__dict__ | {"his": set()}
    for _ in range(pick.randint(10, 45)):
        step(books, pick.choice(STEPS), pick)
        assert books.held() >= books.net()
    for _ in range(200):
        while books.waiting:
            books.answer("")
        books.fill(68_900, 100)
        books.wait(6)
        books.list_rows(0)
        books.show_account()
        if books.held() == books.net() and not books.bench.ledger.position(SYMBOL).quantity:
            break
    ledger = books.bench.ledger
    assert (books.held(), ledger.external.get(SYMBOL, 0)) == (books.net(), books.net())
    assert ledger.position(SYMBOL).quantity == 0
    assert "symbol_stopped" not in alerts(books.bench.actions)
