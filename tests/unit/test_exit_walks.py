"""Exits walked through everything at once, against the broker's books: generated, then settled.

Partial fills, changes, cancels that are refused, calls without an answer (executed or not), rows that
come some seconds late, balances, a second doubt. Whatever the order: no share is sold twice, no call
of an intent is made twice, and in the end everything is sold and both books are equal.
"""

from datetime import timedelta

from compare import differences
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_engine import BUY, SELL, SYMBOL, Bench, Market, alerts, calls, restarted, wish

import kis_realtime_trading as bot

LAG_S = 4  # a list may be so old: less than LIST_GRACE_S, as measured


class Books(Market):
    """The broker: refuses what is not there, answers late or not at all, shows rows late."""

    def __init__(self, bench):
        super().__init__(bench)
        self.waiting, self.history = [], []  # calls that have no answer yet; (time, rows)

    def sellable(self):
        """Return the shares that no sell holds."""
        resting = sum(self.rest(n) for n, row in self.rows.items() if row.side is SELL)
        return self.held() - resting

    def take(self, actions):
        """Put the calls of some actions into the lane; note when each was sent."""
        for call in calls(actions):
            if call.action == "new":
                assert call.intent.intent_id not in self.sent, "an intent was sent twice"
                self.sent.append(call.intent.intent_id)
            self.waiting.append(call)

    def execute(self, call):
        """Let a call reach the exchange; return its number, "" when it is refused."""
        if (
            call.action == "new"
            and call.intent.side is SELL
            and call.intent.quantity > self.sellable()
        ):
            return ""
        number = self._arrive(call)
        self.history.append((self.bench.now, dict(self.rows)))
        return number

    def answer(self, luck):
        """Answer the oldest call that waits."""
        if not self.waiting:
            return
        call = self.waiting.pop(0)
        number = "" if luck in ("lost", "refused") else self.execute(call)
        outcome = bot.Outcome.ACCEPTED if number else bot.Outcome.REFUSED
        if luck in ("lost", "answer lost"):
            outcome, number = bot.Outcome.UNKNOWN, ""
        self.take(self.bench.answer(call, outcome, number, "" if number else "APBK0919"))

    def fill(self, price, share):
        """Fill a part of every order that lives."""
        super().fill(price, share)
        self.history.append((self.bench.now, dict(self.rows)))

    def list_rows(self, lag):
        """Feed the order list as it was some seconds ago."""
        asked = self.bench.now
        then = [rows for at, rows in self.history if at <= asked - timedelta(seconds=lag)]
        self.take(self.bench.list_of(*(then[-1] if then else {}).values()))

    def show_account(self):
        """Feed cash and balance."""
        self.take(self.bench.balance((SYMBOL, self.held(), self.sellable())))
        self.take(self.bench.seen(bot.Cash(10_000_000)))

    def wait(self, seconds):
        """Let time pass."""
        for _ in range(seconds):
            self.take(self.bench.wait(1))


def begun(partly):
    """Return a bench whose stop has fired, and the books behind it; its entry may be filled in part."""
    bench = Bench(
        exit_step_s=5, limits={"max_orders_per_minute": 30, "max_daily_loss_krw": 900_000}
    )
    books = Books(bench.start())
    books.take(bench.want(wish("first")))
    books.answer("")
    books.fill(70_000, 40 if partly else 100)
    books.wait(5)
    books.list_rows(0)
    assert bench.ledger.position(SYMBOL).quantity == books.held() > 0
    books.take(bench.trade(68_900))
    assert bench.state.exit
    return bench, books


walks = st.lists(
    st.tuples(
        st.sampled_from(["answer", "answer", "answer", "wait", "wait", "fill", "list", "list", "account",
                         "trade", "gap"]),
        st.integers(0, 99),
        st.sampled_from(["", "", "", "refused", "lost", "answer lost"]),
    ),
    max_size=30,
)  # fmt: skip
LOST = [("answer", 0, "lost"), ("wait", 12, ""), ("account", 0, ""), ("wait", 6, "")]
EXECUTED = [("answer", 0, "answer lost"), ("wait", 12, ""), ("account", 0, ""), ("wait", 6, "")]


@given(st.booleans(), walks)
@settings(max_examples=40, deadline=None)
@example(False, LOST)
@example(False, LOST + LOST)
@example(False, [*EXECUTED, ("fill", 50, ""), ("list", 4, ""), ("wait", 6, ""), *EXECUTED])
@example(False, [("answer", 0, ""), ("fill", 30, ""), ("wait", 6, ""), ("answer", 0, "answer lost"),
                 ("list", 3, ""), ("wait", 5, ""), ("list", 0, ""), ("answer", 0, "lost")])  # fmt: skip
@example(True, [("answer", 0, "refused"), ("fill", 50, ""), ("wait", 3, ""), ("list", 0, "")] * 3)
@example(
    True,
    [("answer", 0, "answer lost"), ("wait", 6, ""), ("list", 0, ""), ("answer", 0, "lost")] * 2,
)
def test_whatever_happens_to_an_exit_it_sells_each_share_once(partly, walk):
    """In the end all is sold, once, and both books are equal."""
    bench, books = begun(partly)
    for what, chance, luck in walk:
        if what == "answer":
            books.answer(luck)
        elif what == "wait":
            books.wait(1 + chance % 13)
        elif what == "fill":
            books.fill(68_900, chance)
        elif what == "list":
            books.list_rows(chance % (LAG_S + 1))
        elif what == "account":
            books.show_account()
        elif what == "gap":
            books.take(bench.command("feed down") + bench.command("feed up"))
        else:
            books.take(bench.trade(68_500 + 10 * chance // 100 * 100))
        assert books.held() >= 0
    for _ in range(150):
        while books.waiting:
            books.answer("")
        books.fill(68_900, 100)
        books.wait(6)
        books.list_rows(0)
        books.show_account()
        if not bench.ledger.position(SYMBOL).quantity and not books.held() and not books.waiting:
            break
    assert books.held() == 0
    assert bench.ledger.position(SYMBOL).quantity == 0
    bought = sum(row.filled_quantity for row in books.rows.values() if row.side is BUY)
    sold = sum(
        order.filled_quantity for order in bench.ledger.orders.values() if order.intent.side is SELL
    )
    assert sold == bought
    assert "symbol_stopped" not in alerts(bench.actions)


def test_the_settled_ledger_of_a_walk_is_that_of_its_rows():
    """After a long walk every field can be rebuilt."""
    bench, books = begun(False)
    for luck in ("answer lost", "", "refused", "lost", ""):
        books.wait(6)
        books.answer(luck)
        books.fill(68_900, 30)
        books.list_rows(0)
        books.show_account()
    assert differences(bench.ledger, restarted(bench).ledger) == []
