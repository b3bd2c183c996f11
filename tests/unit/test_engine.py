"""The engine: events in, actions out. The whole decision path without a clock or a socket."""

import itertools
import os
import re
import signal
import sys
import time as host_time
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kis_realtime_trading as bot

S, E, K = bot.OrderStatus, bot.OrderEvent, bot.OrderKind
BUY, SELL = bot.Side.BUY, bot.Side.SELL
DAY, NEXT_DAY = date(2026, 11, 20), date(2026, 11, 23)
SYMBOL, OTHER = "005930", "247540"
SETTINGS = {
    "symbols": (SYMBOL, OTHER),
    "limits": {"max_order_krw": 2_000_000, "max_symbol_krw": 4_000_000, "max_total_krw": 9_000_000,
               "max_daily_loss_krw": 50_000, "max_daily_loss_pct": 50},
    "entry_timeout_s": 3600,
}  # fmt: skip
PLAN = bot.ExitPlan(69_000, 72_000)


class Scripted(bot.TradingStrategy):
    """Wants what a test put into `wishes`, the next one at each closed bar of the symbol."""

    def __init__(self):
        super().__init__()
        self.wishes = []
        self.fills = []

    def on_bar(self, view, bar):
        if self.wishes and self.wishes[0].symbol == view.symbol:
            return self.wishes.pop(0)
        return None

    def on_fill(self, view, side, quantity, price):
        self.fills.append((view.symbol, side, quantity, price))


class Eager(Scripted):
    """Wants the same at every trade."""

    def on_trade(self, view, trade):
        return wish() if trade.symbol == SYMBOL else None


def wish(signal="1005", symbol=SYMBOL, quantity=10, price=70_000, plan=PLAN, **more):
    """Return what a strategy may want."""
    return bot.OrderRequest(symbol, BUY, quantity, signal, price=price, plan=plan, **more)


def instrument(symbol=SYMBOL, price=70_000, **more):
    """Return the broker's price answer."""
    market = "KOSPI" if symbol == SYMBOL else "KOSDAQ"
    return bot.Instrument(symbol, market, False, 70_000, 91_000, 49_000, price, **more)


class Bench:
    """An engine with a clock in the test's hand; keeps every action it ever wanted."""

    def __init__(self, strategy=None, ledger=None, paper=False, **settings):
        values = {**SETTINGS, **settings}
        values["limits"] = {**SETTINGS["limits"], **settings.get("limits", {})}
        self.settings = bot.BotSettings.model_validate(values)
        self.strategy = strategy or Scripted()
        self.ledger = ledger or bot.Ledger()
        self.engine = bot.Engine(self.settings, self.strategy, self.ledger, paper)
        self.actions = []
        self.now = datetime.combine(DAY, time(8, 30), bot.KST)
        self.totals = dict.fromkeys(self.settings.symbols, 0)
        self.numbers = itertools.count(1)

    def feed(self, event):
        """Feed one event; return its actions."""
        actions = list(self.engine.handle(event))
        self.actions += actions
        return actions

    def at(self, text):
        """Move the time on, with the order list read a second before; return what that causes."""
        target = datetime.combine(self.now.date(), time.fromisoformat(text), bot.KST)
        done = []
        core = self.engine.core
        if (
            target - self.now > timedelta(seconds=100)
            and core.session
            and "orders" not in core.holds
        ):
            self.now = target - timedelta(seconds=1)
            done = self.list_of(*self.rows()) + self.feed(bot.TimeEvent(self.now))
        self.now = target
        return done + self.feed(bot.TimeEvent(self.now))

    def wait(self, seconds):
        """Let time pass second by second; return what that causes."""
        done = []
        for _ in range(int(seconds)):
            self.now += timedelta(seconds=1)
            done += self.feed(bot.TimeEvent(self.now))
        return done

    def command(self, name, **more):
        """Feed a command."""
        return self.feed(bot.Command(name, self.now, **more))

    def seen(self, value, asked_at=None):
        """Feed an answer to a question."""
        return self.feed(bot.Seen(value, asked_at or self.now))

    def trade(self, price, symbol=SYMBOL, volume=10, halted=False, ts=None):
        """Feed a trade of now."""
        self.totals[symbol] += volume
        total = self.totals[symbol]
        return self.feed(
            bot.Trade(symbol, ts or self.now, price, volume, total, total * 69_000, halted)
        )

    def quote(self, bid, symbol=SYMBOL, code="0"):
        """Feed a quote of now."""
        return self.feed(bot.Quote(symbol, self.now, bid + 100, bid, 5, 5, 0, code))

    def answer(self, call, outcome=bot.Outcome.ACCEPTED, number=None, code="", text=""):
        """Feed the end of an order call."""
        if outcome is bot.Outcome.ACCEPTED:
            number = number or f"{next(self.numbers):010d}"
        answer = bot.OrderAnswer(outcome, number or "", "06010", code, text)
        return self.feed(bot.OrderAnswered(call.intent.intent_id, answer, self.now))

    def list_of(self, *rows, asked_at=None):
        """Feed an order list."""
        return self.seen(bot.OrderList(rows), asked_at)

    def row(self, order, filled=0, price=None, number=None, **more):
        """Return the list's row of an order of ours."""
        intent = order.intent
        values = {"original_no": "", "branch": "06010", "kind": order.kind,
                  "cancelled_quantity": 0, "rejected_quantity": 0, **more}  # fmt: skip
        return bot.BrokerOrder(
            order_no=number or order.order_no, symbol=intent.symbol, side=intent.side,
            quantity=intent.quantity, price=order.price, filled_quantity=filled,
            filled_amount_krw=filled * (price or order.price or 70_000),
            time=f"{intent.at:%H%M%S}", **values,
        )  # fmt: skip

    def balance(self, *holdings, asked_at=None, cash=10_000_000):
        """Feed a balance of (symbol, shares) or (symbol, shares, sellable)."""
        lines = [bot.Holding(h[0], h[1], h[-1], Decimal(70_000)) for h in holdings]
        return self.seen(bot.Balance(cash, 0, cash, tuple(lines)), asked_at)

    def account(self, *holdings, rows=None):
        """Feed the first balance of a day and the list that confirms it; return what they cause."""
        done = self.balance(*holdings) + self.wait(bot.LIST_GRACE_S)
        return done + self.list_of(*(self.rows() if rows is None else rows))

    def start(self, text="10:00:00", holdings=()):
        """Run the morning: day, prices, list, balance, cash, feed up, list; go to a time."""
        self.command("restarted")
        self.command("day", session=bot.session_of(self.now.date()))
        for symbol in self.settings.symbols:
            self.seen(instrument(symbol))
        self.list_of(*self.rows())
        self.balance(*holdings)
        self.seen(bot.Cash(10_000_000))
        self.command("feed up")
        self.list_of(*self.rows())
        if text >= "09:00":
            self.at(max("09:00:01", f"{self.now:%H:%M:%S}"))
            self.trade(70_000, self.settings.symbols[-1])
        self.at(text)
        return self

    def want(self, *wishes):
        """Have the strategy want something at the end of a bar of its symbol; return the actions."""
        done = []
        for each in wishes:
            self.strategy.wishes.append(each)
            self.trade(each.price, each.symbol)
            minutes = 5 - self.now.minute % 5
            following = self.now.replace(second=0) + timedelta(minutes=minutes)
            done += self.at(f"{following:%H:%M:%S}")
            done += self.trade(each.price, each.symbol)
            if asks(done, "price"):
                done += self.seen(instrument(each.symbol, each.price))
        return done

    def hold_shares(self, plan=PLAN, quantity=10, price=70_000, symbol=SYMBOL):
        """Buy and be filled; return the order."""
        [call] = calls(self.want(wish(f"{self.now:%H%M%S}", symbol, quantity, price, plan)))
        self.answer(call)
        order = self.ledger.orders[call.intent.intent_id]
        self.list_of(*self.rows(filled={order.order_no: quantity}))
        return order

    def rows(self, filled=None):
        """Return rows for all our orders as the broker would list them."""
        filled = filled or {}
        return [
            self.row(order, filled.get(order.order_no, order.filled_quantity))
            for order in self.ledger.orders.values()
            if order.order_no
        ]

    def fill(self, order, quantity=None, price=None):
        """Feed a list in which an order is filled."""
        rows = [row for row in self.rows() if row.order_no != order.order_no]
        return self.list_of(*rows, self.row(order, quantity or order.intent.quantity, price))

    @property
    def state(self):
        """The engine's state of SYMBOL."""
        return self.engine.core.symbols[SYMBOL]


def calls(actions, action=None):
    """Return the order calls among actions."""
    return [
        each
        for each in actions
        if isinstance(each, bot.OrderCall) and action in (None, each.action)
    ]


def asks(actions, what=None):
    """Return the questions among actions."""
    return [a for a in actions if isinstance(a, bot.Ask) and what in (None, a.what)]


def records(actions, kind):
    """Return the journal rows of a kind."""
    return [each for each in actions if isinstance(each, bot.Record) and each.kind == kind]


def alerts(actions):
    """Return the codes of the alerts."""
    return [each.code for each in actions if isinstance(each, bot.Alert)]


def orders_of(bench):
    """Return our orders."""
    return [order for order in bench.ledger.orders.values() if order.own]


# --- from a trade to an order -----------------------------------------------------------


def test_a_bar_leads_to_a_price_question_and_then_to_an_order():
    """The wish waits for a fresh TLS price; then decision, intent and call follow."""
    bench = Bench().start()
    bench.strategy.wishes = [wish()]
    bench.trade(70_000)
    bench.at("10:05:00")
    actions = bench.trade(70_000)
    assert [bar.data["bar"].close for bar in records(actions, "bar")] == [70_000]
    assert asks(actions) == [bot.Ask("price", SYMBOL)]
    assert calls(actions) == []
    actions = bench.seen(instrument())
    [call] = calls(actions)
    assert (call.action, call.intent.symbol, call.intent.side) == ("new", SYMBOL, BUY)
    assert (call.intent.quantity, call.intent.price, call.intent.plan) == (10, 70_000, PLAN)
    assert (call.intent.reserve_krw, call.intent.cash_before_krw) == (700_098, 10_000_000)
    assert alerts(actions) == ["order_sent"]


def test_the_intent_row_comes_before_the_order_call():
    """What is sent was written down first; the decision with its figures before that."""
    actions = Bench().start().want(wish(facts=(("high", 1.0),)))
    kinds = [each.kind if isinstance(each, bot.Record) else type(each).__name__ for each in actions]
    assert kinds.index("decision") < kinds.index("intent") < kinds.index("OrderCall")
    assert kinds.count("intent") == kinds.count("OrderCall") == 1
    [row] = records(actions, "intent")
    assert (row.data, row.ref) == (calls(actions)[0].intent, calls(actions)[0].intent.intent_id)


@pytest.mark.parametrize("answered", [None, bot.Outcome.ACCEPTED, bot.Outcome.REFUSED])
def test_the_same_signal_twice_gives_one_order(answered):
    """Whatever became of the first: the same cause is the same intent."""
    bench = Bench().start()
    [call] = calls(bench.want(wish("once")))
    if answered:
        bench.answer(call, answered)
    assert calls(bench.want(wish("once"))) == []
    assert len(orders_of(bench)) == 1


def test_the_same_signal_after_a_restart_gives_no_second_order():
    """The journal rebuilt the intent: the new process knows it."""
    first = Bench().start()
    [call] = calls(first.want(wish("once")))
    first.answer(call)
    first.list_of(first.row(orders_of(first)[0], cancelled_quantity=10))
    ledger = bot.Ledger()
    for action in first.actions:
        if isinstance(action, bot.Record) and action.kind in ("intent", "ledger"):
            ledger.apply(action.data)
    second = Bench(ledger=ledger)
    second.at("11:00:00")
    second.start("11:00:01")
    assert calls(second.want(wish("once"))) == []
    assert calls(second.want(wish("another"))) != []


def test_a_signal_refused_once_is_not_asked_again():
    """Refusals end a signal: the market that made it is over."""
    bench = Bench().start()
    assert records(bench.want(wish("big", quantity=1000)), "refusal") != []
    assert records(bench.want(wish("big", quantity=1000)), "refusal") == []


def test_refusals_are_recorded_and_told_with_their_numbers():
    """Code, figures, and what was refused."""
    actions = Bench().start().want(wish(quantity=29))
    [row] = records(actions, "refusal")
    expected = {
        "symbol": SYMBOL, "side": BUY, "quantity": 29, "price": 70_000, "code": "ORDER_VALUE",
        "numbers": "2,030,000 won, at most 2,000,000", "purpose": "entry",
    }  # fmt: skip
    assert row.data == expected
    assert alerts(actions) == ["refused"]
    assert calls(actions) == []


def test_no_price_in_time_is_a_refusal():
    """The wish is given up when the price does not come; a late price sends nothing."""
    bench = Bench().start()
    bench.strategy.wishes = [wish()]
    bench.trade(70_000)
    bench.at("10:05:00")
    bench.trade(70_000)
    actions = bench.wait(12)
    assert [row.data["code"] for row in records(actions, "refusal")] == ["NO_QUOTE"]
    assert calls(bench.seen(instrument())) == []


def test_a_fresh_price_far_away_refuses():
    """Socket and REST must agree before money is put at risk."""
    bench = Bench().start()
    bench.strategy.wishes = [wish()]
    bench.trade(70_000)
    bench.at("10:05:00")
    bench.trade(70_000)
    actions = bench.seen(instrument(price=67_000))
    assert [row.data["code"] for row in records(actions, "refusal")] == ["COLLAR"]


def test_a_wish_for_another_symbol_is_refused():
    """A strategy may only want what its view shows."""

    class Stray(Scripted):
        def on_trade(self, view, trade):
            return wish(symbol=OTHER)

    actions = Bench(strategy=Stray()).start().trade(70_000)
    assert [row.data["code"] for row in records(actions, "refusal")] == ["SYMBOL"]


@pytest.mark.parametrize(
    ("quantity", "price", "code"),
    [(0, 70_000, "QUANTITY"), (-5, 70_000, "QUANTITY"), (1.5, 70_000, "QUANTITY"),
     (10**9, 70_000, "QUANTITY"), (1, 0, "TICK"), (1, -70_000, "TICK"), (1, 70_050.5, "TICK")],
)  # fmt: skip
def test_odd_wishes_are_refused(quantity, price, code):
    """A strategy's mistake is a refusal with a code, never an order and never a crash."""
    bench = Bench().start()
    bench.trade(70_000)
    bench.strategy.wishes = [wish(quantity=quantity, price=price)]
    bench.at("10:05:00")
    actions = bench.trade(70_000)
    assert [row.data["code"] for row in records(actions, "refusal")] == [code]


@pytest.mark.parametrize(
    ("quantity", "price"), [(float("nan"), 70_000), (1, float("nan")), (1, float("inf")), (None, 1)]
)
def test_wishes_that_are_no_numbers_are_refused(quantity, price):
    """Division by zero in a strategy must not end the program with positions open."""
    bench = Bench().start()
    bench.trade(70_000)
    bench.strategy.wishes = [wish(quantity=quantity, price=price)]
    bench.at("10:05:00")
    assert records(bench.trade(70_000), "refusal") != []


def test_the_same_wish_at_every_trade_asks_once():
    """A thousand trades in a second are one question, and the wish still runs out of time."""
    bench = Bench(Eager()).start()
    actions = []
    for _ in range(20):
        actions += bench.trade(70_000) + bench.wait(1)
    assert len(asks(actions, "price")) == 1
    assert records(actions, "refusal") != []


def test_the_same_wish_at_every_trade_is_one_order():
    """One intent."""
    bench = Bench(Eager()).start()
    actions = bench.trade(70_000) + bench.seen(instrument())
    for _ in range(10):
        actions += bench.trade(70_000) + bench.seen(instrument())
    assert len(calls(actions)) == 1


def test_a_wish_that_another_replaces_is_recorded():
    """Every decision ends in a row: an order or a refusal."""
    bench = Bench(bar_minutes=1, limits={"max_quote_age_s": 60}).start()
    bench.strategy.wishes = [wish("1001"), wish("1002")]
    for text in ("10:00:30", "10:01:00", "10:02:00"):
        bench.at(text)
        bench.trade(70_000)
    assert len(calls(bench.seen(instrument()))) == 1
    first = bot.intent_id_of("Scripted", DAY, SYMBOL, BUY, "1001", "entry")
    assert first in {row.ref for row in bench.actions if isinstance(row, bot.Record)}


class Broken(Scripted):
    """Raises, or returns what is no request, at the first bar and at every fill."""

    def __init__(self, answer=None):
        super().__init__()
        self.answer = answer

    def on_bar(self, view, bar):
        if self.answer is None:
            raise ZeroDivisionError("division by zero")
        return self.answer


@pytest.mark.parametrize(
    "answer", [None, "BUY", 5, replace(wish(), side="BUY"), replace(wish(), signal=None)]
)
def test_a_strategy_that_fails_stops_its_symbol_and_the_guard_goes_on(answer):
    """Told once, no entry any more, the position is sold at its stop all the same."""
    bench = Bench(Broken(answer), ledger=shares_from_before())
    bench.start("11:00:00", holdings=[(SYMBOL, 10)])
    bench.trade(70_000)
    told = alerts(bench.at("11:05:00") + bench.trade(70_000))
    bench.at("11:10:00")
    assert told + alerts(bench.trade(70_000)) == ["symbol_stopped"]
    told_why = "ZeroDivisionError in line" if answer is None else "its answer: "
    assert told_why in bench.ledger.stopped[SYMBOL]
    told_text = bench.ledger.stopped[SYMBOL].endswith(": division by zero")
    assert told_text is (answer is None)  # its own words, cut; the redactor looks at them
    [call] = calls(bench.trade(68_900))
    assert (call.intent.side, call.intent.reason) == (SELL, "stop")


class Endless(Scripted):
    """Does not come back from a closed bar: what a user writes by mistake."""

    ends_s = 0.0

    def on_bar(self, view, bar):
        while host_time.monotonic() < self.ends_s:
            pass


def test_a_strategy_that_never_returns_is_interrupted_and_the_guard_goes_on():
    """It held up stops, words of the owner and Ctrl-C for ever: only kill -9 ended such a bot."""
    bench = Bench(Endless(), ledger=shares_from_before())
    bench.start("11:00:00", holdings=[(SYMBOL, 10)])
    bench.trade(70_000)
    bench.strategy.ends_s = host_time.monotonic() + 20.0
    before, left = signal.getsignal(signal.SIGALRM), signal.setitimer(signal.ITIMER_REAL, 0.0)
    try:
        bot.interrupt_endless_strategy(0.05)
        told = alerts(bench.at("11:05:00") + bench.trade(70_000))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *left)
    assert told == ["symbol_stopped"]
    why = bench.ledger.stopped[SYMBOL]
    assert re.search(r"TimeoutError in line \d+ of test_engine.py: no end within 0.05 s$", why), why
    assert bot.in_korean(why).endswith("TimeoutError: 0.05초가 지나도 끝나지 않음")
    [call] = calls(bench.trade(68_900))
    assert (call.intent.side, call.intent.reason) == (SELL, "stop")


def test_short_calls_of_a_strategy_are_never_interrupted():
    """A look that finds another call than the one before is no sign of an endless one."""
    frames = []

    class Looking(Scripted):
        def on_trade(self, view, trade):
            frames.append(sys._getframe())

    bench = Bench(Looking()).start("11:00:00")
    before, left = signal.getsignal(signal.SIGALRM), signal.setitimer(signal.ITIMER_REAL, 0.0)
    try:
        bot.interrupt_endless_strategy(600.0)
        look = signal.getsignal(signal.SIGALRM)
        for price in (70_000, 70_100):
            bench.trade(price)
            look(signal.SIGALRM, frames[-1])
        look(signal.SIGALRM, None)
        for _ in range(3):  # the engine's own work behind a call, and nothing of it at all
            own = SimpleNamespace(f_code=bot.check_request.__code__, f_back=frames[-1].f_back)
            look(signal.SIGALRM, own)
        look(signal.SIGALRM, sys._getframe())
        with pytest.raises(TimeoutError, match="no end within 600 s"):
            look(signal.SIGALRM, frames[-1])
            look(signal.SIGALRM, frames[-1])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *left)


def test_a_fill_that_the_strategy_cannot_take_is_booked():
    """The books come first."""

    class Deaf(Scripted):
        def on_fill(self, view, side, quantity, price):
            raise KeyError(view.symbol)

    bench = Bench(Deaf()).start()
    bench.hold_shares()
    assert bench.ledger.position(SYMBOL).quantity == 10
    assert SYMBOL in bench.ledger.stopped
    assert calls(bench.trade(68_900)) != []


def test_shares_of_a_symbol_taken_out_of_the_settings_keep_their_stop():
    """Guarded with the plan of the journal; nothing is bought, no strategy is asked."""
    first = Bench().start()
    first.hold_shares()
    second = Bench(Eager(), ledger=restarted(first).ledger, symbols=(OTHER,))
    second.totals[SYMBOL] = 100_000
    second.start("11:00:00", holdings=[(SYMBOL, 10)])
    second.seen(instrument())
    assert calls(second.trade(70_000)) == []
    [call] = calls(second.trade(68_900))
    assert (call.intent.symbol, call.intent.side, call.intent.quantity) == (SYMBOL, SELL, 10)


def test_entries_that_the_broker_refuses_again_and_again_are_stopped():
    """Three in a row stop the stock for the day, five in a row all entries; one success ends it."""
    bench = Bench(limits={"max_orders_per_minute": 30}).start()
    told = []
    for n, symbol in enumerate((SYMBOL, SYMBOL, OTHER, SYMBOL, OTHER)):
        bench.trade(70_000, symbol)
        [call] = calls(bench.want(wish(f"{n}", symbol)))
        told.append(alerts(bench.answer(call, bot.Outcome.REFUSED, code="APBK0919")))
    assert told == [["order_refused"]] * 3 + [
        ["order_refused", "symbol_stopped"], ["order_refused", "level"],
    ]  # fmt: skip
    assert bench.ledger.level is bot.KillLevel.ENTRIES_OFF
    assert bench.ledger.level_by_rule


def test_an_entry_that_waited_too_long_does_not_leave():
    """A queue is no reason to buy at an old price; exits and cancels always leave."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    assert bench.engine.too_late(call) == ""
    bench.wait(6)
    assert bench.engine.too_late(call) == "decided 6 s ago"
    assert bench.engine.too_late(call._replace(action="cancel")) == ""


@pytest.mark.parametrize("how", ["stop", "level", "feed down", "feed up", "hold"])
def test_an_entry_in_the_queue_does_not_leave_after_a_stop(how):
    """Whoever stops the entries means those that wait, too; so does what is not known any more."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    bench.command(how, text="clock", level=bot.KillLevel.ENTRIES_OFF)
    assert bench.engine.too_late(call) == "entries were stopped before it left"


@pytest.mark.parametrize("how", ["halt", "auction", "close"])
def test_an_entry_in_the_queue_does_not_leave_into_a_market_that_stopped(how):
    """A halt, a VI, 15:20: what was decided in continuous trading is not sent into an auction."""
    bench = Bench(last_entry="15:20", flat_at=None)
    [call] = calls(bench.start("15:11:00").want(wish()))
    if how == "halt":
        bench.trade(70_000, halted=True)
    elif how == "auction":
        bench.quote(70_000, code="C")
    else:
        bench.at("15:20:01")
    assert bench.engine.too_late(call) == "trading was interrupted before it left"


@pytest.mark.parametrize(
    "odd",
    [
        replace(wish(), plan=bot.ExitPlan(69_000.5)), replace(wish(), plan=bot.ExitPlan(1, None)),
        replace(wish(), plan=bot.ExitPlan(69_000, 0, 1.5)), replace(wish(), quantity=Decimal(1)),
        replace(wish(), plan=bot.ExitPlan(69_000, 0, float("nan"))),
        replace(wish(), plan=bot.ExitPlan(69_000, 0, "0.01")), replace(wish(), facts=None),
        replace(wish(), facts=(("high", Decimal(1)),)),
    ],
)  # fmt: skip
def test_a_plan_or_a_fact_that_could_not_be_kept_is_no_wish(odd):
    """It would end the program later, or keep the journal from being read at the next start."""
    bench = Bench(Broken(odd)).start()
    bench.trade(70_000)
    bench.at("10:05:00")
    bench.trade(70_000)
    assert "of the strategy" in bench.ledger.stopped[SYMBOL]
    assert orders_of(bench) == []


def test_duplicate_and_old_trades_change_nothing():
    """ACML_VOL must rise: a repeated burst makes no second bar and no second wish."""
    bench = Bench().start()
    bench.trade(70_000)
    before = bench.state.builder.cum_volume
    for total in (before, before - 5, 1):
        old = bot.Trade(SYMBOL, bench.now, 60_000, 10, total, 0, False)
        assert bench.feed(old) == []
    assert bench.state.last_trade.price == 70_000


def test_one_wild_total_does_not_deafen_the_engine():
    """A damaged or forged frame must not switch the stop off for the rest of the day."""
    bench = Bench().start()
    bench.hold_shares()
    bench.feed(bot.Trade(SYMBOL, bench.now, 70_000, 1, 10**15, 10**9, False))
    bench.wait(1)
    assert calls(bench.trade(68_900)) != []


# --- holds ------------------------------------------------------------------------------


def refused_with(bench, text="ON_HOLD"):
    """Tell whether a wish is refused now, with a code."""
    rows = records(bench.want(wish(f"{bench.now}")), "refusal")
    return [row.data["code"] for row in rows] == [text]


def test_nothing_is_bought_before_orders_account_and_cash_are_known():
    """The start ends when the list, the balance and the cash were seen, and the feed is up."""
    bench = Bench()
    bench.command("day", session=bot.session_of(DAY))
    for symbol in SETTINGS["symbols"]:
        bench.seen(instrument(symbol))
    steps = [
        lambda: bench.list_of(), lambda: bench.balance(), lambda: bench.seen(bot.Cash(10**7)),
        lambda: bench.command("feed up"), lambda: bench.list_of(),
    ]  # fmt: skip
    bench.at("10:00:00")
    for step in steps:
        assert refused_with(bench)
        step()
    assert calls(bench.want(wish("now"))) != []


def test_a_lost_feed_holds_entries_until_a_list_was_read():
    """Nothing is replayed after a gap: orders are looked at before the next entry."""
    bench = Bench().start()
    bench.command("feed down")
    assert refused_with(bench)
    actions = bench.command("feed up")
    assert {ask.what for ask in asks(actions)} == {"orders", "holdings"}
    assert refused_with(bench)
    bench.list_of()
    assert calls(bench.want(wish("later"))) != []


def test_an_order_list_that_grew_old_holds_entries():
    """Three minutes without a list: what rests at the broker is not known well enough to buy."""
    bench = Bench().start()
    bench.trade(70_000)
    bench.wait(179)
    assert "old order list" not in bench.engine.core.holds
    bench.wait(2)
    bench.strategy.wishes = [wish()]
    bench.now += timedelta(seconds=200)
    actions = bench.feed(bot.TimeEvent(bench.now)) + bench.trade(70_000)
    assert [row.data["code"] for row in records(actions, "refusal")] == ["ON_HOLD"]
    bench.list_of()
    bench.wait(1)
    assert calls(bench.want(wish("later"))) != []


def test_an_order_list_that_never_came_holds_entries():
    """Restarted while REST is gone, shares held: the alarms tell that hold to a person."""
    bench = Bench()
    bench.now = datetime.combine(DAY, time(10, 0), bot.KST)
    bench.command("restarted")
    bench.command("day", session=bot.session_of(DAY))
    bench.command("feed up")
    bench.trade(70_000)
    bench.wait(180)
    assert "old order list" not in bench.engine.core.holds
    bench.wait(60)
    assert "old order list" in bench.engine.core.holds


def test_a_day_without_a_trade_is_told_once_and_holds():
    """Five minutes after the opening nothing was traded: an unplanned holiday?"""
    bench = Bench().start("08:59:00")
    told = [code for code in alerts(bench.wait(600)) if code == "no_trades"]
    assert told == ["no_trades"]
    assert "no trades" in bench.engine.core.holds
    bench.trade(70_000)
    bench.wait(1)
    assert "no trades" not in bench.engine.core.holds


def test_a_named_hold_lasts_until_it_is_released():
    """The clock is off, the calendars differ: each reason ends by itself only."""
    bench = Bench().start()
    for name in ("clock", "calendar"):
        bench.command("hold", text=name)
    bench.command("release", text="clock")
    assert refused_with(bench)
    bench.command("release", text="calendar")
    assert calls(bench.want(wish("later"))) != []


def test_bars_with_a_gap_in_the_feed_are_marked():
    """The bar in which the feed was away, and the one in which it came back."""
    bench = Bench().start()
    bench.trade(70_000)
    bench.command("feed down")
    bench.at("10:06:00")
    bench.command("feed up")
    for text in ("10:07:00", "10:11:00", "10:16:00"):
        bench.at(text)
        bench.trade(70_000)
    assert [bar.gap for bar in bench.state.view.bars] == [True, True, False]


def test_stopping_holds_entries_and_takes_resting_ones_back():
    """An orderly end: no new entries; `cancel` also ends those in the book."""
    bench = Bench().start()
    [call] = calls(bench.want(wish("first")))
    bench.answer(call)
    actions = bench.command("stop", text="cancel")
    assert [each.action for each in calls(actions)] == ["cancel"]
    assert refused_with(bench)


@pytest.mark.parametrize("text", ["08:59:59", "14:50:00", "15:21:00", "15:31:00"])
def test_no_entries_outside_their_hours(text):
    """Not before the opening, not from last_entry on, not in auctions, not after the close."""
    bench = Bench().start("08:50:00")
    if text > "09:10":
        bench.at("09:04:00")
        bench.trade(70_000)
    bench.at(text)
    bench.strategy.wishes = []
    bench.state.last_trade = bot.Trade(SYMBOL, bench.now, 70_000, 1, 1, 1, False)
    bench.seen(instrument())
    bench.engine.entries.consider(bench.state, wish())
    actions = bench.feed(bot.TimeEvent(bench.now))
    assert [row.data["code"] for row in records(actions, "refusal")] == ["SESSION"]


def test_an_hour_later_on_exam_day():
    """Times of day in the settings move with a day that runs late."""
    exam = date(2026, 11, 19)
    bench = Bench()
    bench.now = datetime.combine(exam, time(8, 30), bot.KST)
    bench.start()
    assert bench.engine.core.clock(time(14, 50)) == datetime.combine(exam, time(15, 50), bot.KST)


def test_bars_close_by_time_when_no_trade_comes():
    """Market time passes the end by the lateness: the strategy hears of the bar."""
    bench = Bench().start()
    bench.trade(70_000)
    assert records(bench.at("10:05:02"), "bar") == []
    assert len(records(bench.at("10:05:03"), "bar")) == 1


# --- limits over several symbols --------------------------------------------------------


def test_open_buys_count_as_filled():
    """Of the limit of one stock: what rests in the book is as good as bought."""
    bench = Bench(limits={"max_symbol_krw": 1_000_000}).start()
    [call] = calls(bench.want(wish("one")))
    bench.answer(call)
    rows = records(bench.want(wish("two")), "refusal")
    assert [row.data["code"] for row in rows] == ["SYMBOL_VALUE"]


def test_open_entries_count_as_positions():
    """One position allowed, one entry in the book: a second stock must wait."""
    bench = Bench(limits={"max_positions": 1}).start()
    [call] = calls(bench.want(wish("one")))
    bench.answer(call)
    assert calls(bench.want(wish("two", OTHER))) == []


def test_shares_without_a_known_price_count_at_their_cost():
    """No price of a stock came yet: what we hold of it is not worth nothing to the limits."""
    first = Bench().start()
    first.hold_shares(symbol=OTHER)
    bench = Bench(ledger=restarted(first).ledger, limits={"max_total_krw": 1_000_000})
    bench.command("day", session=bot.session_of(DAY))
    bench.seen(instrument(SYMBOL))
    bench.list_of(*bench.rows())
    bench.seen(bot.Cash(10_000_000))
    bench.command("feed up")
    bench.list_of(*bench.rows())
    bench.at("11:00:00")
    rows = records(bench.want(wish("more")), "refusal")
    assert [row.data["code"] for row in rows] == ["TOTAL_VALUE"]


def test_the_cash_of_an_order_is_spent_until_the_broker_shows_it():
    """Two buys do not spend the same won."""
    bench = Bench().start()
    bench.seen(bot.Cash(1_000_000))
    [call] = calls(bench.want(wish("one")))
    bench.answer(call)
    rows = records(bench.want(wish("two", OTHER)), "refusal")
    assert [row.data["code"] for row in rows] == ["CASH"]


def test_the_cash_of_an_unknown_order_is_spent():
    """RiskFacts promises it; the broker may not have reserved it yet."""
    bench = Bench().start()
    [call] = calls(bench.want(wish("one")))
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.wait(20)
    bench.seen(bot.Cash(1_000_000))
    rows = records(bench.want(wish("two", OTHER)), "refusal")
    assert [row.data["code"] for row in rows] == ["CASH"]


@pytest.mark.parametrize("outcome", [None, bot.Outcome.UNKNOWN])
def test_a_symbol_with_an_order_without_outcome_is_fenced(outcome):
    """No second order while the first may or may not exist; other stocks go on."""
    bench = Bench().start()
    [call] = calls(bench.want(wish("one")))
    if outcome:
        bench.answer(call, outcome)
    rows = records(bench.want(wish("two")), "refusal")
    assert [row.data["code"] for row in rows] == ["UNRESOLVED"]
    assert len(calls(bench.want(wish("three", OTHER)))) == 1


# --- answers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (bot.Outcome.ACCEPTED, S.WORKING, None),
        (bot.Outcome.REFUSED, S.REJECTED, "order_refused"),
        (bot.Outcome.NOT_SENT, S.NOT_SENT, "order_refused"),
        (bot.Outcome.UNKNOWN, S.UNKNOWN, "order_unknown"),
    ],
)
def test_the_end_of_an_order_call_decides_its_status(outcome, status, code):
    """Four ends, four statuses; the list is asked after each; nothing is sent again."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    actions = bench.answer(call, outcome, code="APBK0952", text="no money")
    assert orders_of(bench)[0].status is status
    assert alerts(actions) == ([code] if code else [])
    assert bot.Ask("orders") in asks(actions)
    assert calls(actions + bench.wait(30)) == []


def test_timeout_after_send_queries_instead_of_resending():
    """An unknown order is looked for at growing intervals, and never sent again."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    bench.answer(call, bot.Outcome.UNKNOWN)
    actions = bench.wait(200)
    assert calls(actions) == []
    assert 8 <= len(asks(actions, "orders")) <= 15
    assert asks(actions, "cash") != []


def test_an_answer_that_the_list_overtook_changes_nothing():
    """Filled by the list, the answer to the cancel comes late: recorded, not applied."""
    bench = Bench(entry_timeout_s=30).start()
    [call] = calls(bench.want(wish()))
    bench.answer(call)
    [cancel] = calls(bench.wait(31), "cancel")
    bench.fill(orders_of(bench)[0])
    actions = bench.answer(cancel, bot.Outcome.REFUSED)
    assert orders_of(bench)[0].status is S.FILLED
    assert records(actions, "answer") != []


@pytest.mark.parametrize("filled", [0, 10])
def test_an_answer_with_the_number_of_another_order_takes_nothing_from_it(filled):
    """Garbage: the older order keeps its number and its fills, the list tells that of the newer."""
    bench = Bench().start()
    older = bench.hold_shares(symbol=OTHER) if filled else None
    if older is None:
        [call] = calls(bench.want(wish("first", OTHER)))
        bench.answer(call, number="0000000007")
        older = bench.ledger.orders[call.intent.intent_id]
    [call] = calls(bench.want(wish()))
    actions = bench.answer(call, number=older.order_no)
    newer = bench.ledger.orders[call.intent.intent_id]
    assert (newer.status, newer.order_no) == (S.UNKNOWN, "")
    assert bench.ledger.order_of(older.order_no) is older
    assert "order_unknown" in alerts(actions)
    bench.wait(10)
    row = bench.row(newer, number="0000000008", filled=4)
    bench.list_of(bench.row(older, 10), row)
    assert (newer.status, newer.order_no) == (S.PARTIAL, "0000000008")
    assert older.status is S.FILLED
    shares = [bench.ledger.position(symbol).quantity for symbol in (OTHER, SYMBOL)]
    assert shares == [10, 4]


def test_two_orders_that_look_alike_never_share_a_row():
    """Bought, sold, bought again, and the last answer repeats the first number: nothing twice."""
    bench = Bench().start()
    first = bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    bench.answer(call)
    bench.fill(bench.ledger.orders[call.intent.intent_id])
    assert bench.ledger.position(SYMBOL).quantity == 0
    [call] = calls(bench.want(wish("again")))
    bench.answer(call, number=first.order_no)
    rows = [row for row in bench.rows() if row.order_no == first.order_no]
    assert len(rows) == 1
    bench.list_of(*bench.rows())
    assert bench.ledger.position(SYMBOL).quantity == 0
    assert calls(bench.wait(60)) == []


@pytest.mark.parametrize("action", ["cancel", "change"])
def test_a_change_answered_with_the_number_of_another_order_is_looked_for(action):
    """The other keeps its number; what became of the change is told by the list."""
    bench = Bench(exit_step_s=5, entry_timeout_s=30).start()
    older = bench.hold_shares(symbol=OTHER)
    if action == "change":
        bench.hold_shares()
        bench.answer(calls(bench.trade(68_900))[0])
    else:
        bench.answer(calls(bench.want(wish()))[0])
    order = orders_of(bench)[-1]
    [call] = calls(bench.wait(31), action)[:1]
    bench.answer(call, number=older.order_no)
    assert order.status in (S.CANCEL_UNKNOWN, S.REPLACE_UNKNOWN)
    assert bench.ledger.order_of(older.order_no) is older
    assert order.order_no != older.order_no


def test_an_answer_wins_over_the_owner_s_mark_of_the_same_number():
    """A row that did not look like ours was taken for the owner's: the answer proves better."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    order = bench.ledger.orders[call.intent.intent_id]
    bench.list_of(bench.row(order, number="0000000007", kind="11"))
    assert bench.ledger.order_of("0000000007") is not order
    bench.answer(call, number="0000000007")
    assert (order.status, bench.ledger.order_of("0000000007")) == (S.WORKING, order)


def test_fills_are_told_to_the_strategy_and_the_owner():
    """Shares and average price of each fill; "filled" only when all is filled."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    bench.answer(call)
    order = orders_of(bench)[0]
    first, rest = bench.fill(order, 4, 69_900), bench.fill(order, 10, 69_960)
    assert [alerts(first), alerts(rest)] == [["partly_filled"], ["filled"]]
    assert bench.strategy.fills == [(SYMBOL, BUY, 4, 69_900.0), (SYMBOL, BUY, 6, 70_000.0)]


def test_a_notice_only_wakes_us_up():
    """It is recorded, the list is asked, and no share moves."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    bench.answer(call, number="0000000007")
    notice = bot.Notice(
        bot.NoticeKind.FILL, "0", "0000000007", "", SYMBOL, BUY, 10, 70_000, "100500"
    )
    actions = bench.feed(notice)
    assert asks(actions) == [bot.Ask("orders")]
    assert bench.ledger.position(SYMBOL).quantity == 0


def test_an_illegal_event_stops_its_symbol_only():
    """State kept, entries of that stock refused for the day, the rest goes on."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    bench.engine.core.apply(bot.OrderUpdate(call.intent.intent_id, E.ABSENT, bench.now))
    actions = bench.feed(bot.TimeEvent(bench.now))
    assert alerts(actions) == ["symbol_stopped"]
    bench.answer(call)
    bench.list_of(bench.row(orders_of(bench)[0], cancelled_quantity=10))
    assert refused_with(bench, "STOPPED")
    assert len(calls(bench.want(wish("other", OTHER)))) == 1


# --- entries that are not filled --------------------------------------------------------


def test_an_entry_that_is_not_filled_in_time_is_taken_back():
    """After entry_timeout_s a cancel call, written down first."""
    bench = Bench(entry_timeout_s=30).start()
    [call] = calls(bench.want(wish()))
    bench.answer(call, number="0000000007")
    assert calls(bench.wait(29)) == []
    actions = bench.wait(1)
    [cancel] = calls(actions)
    assert (cancel.action, cancel.order_no, cancel.branch) == ("cancel", "0000000007", "06010")
    assert orders_of(bench)[0].status is S.CANCEL_PENDING
    assert calls(bench.wait(60)) == []


def test_a_refused_cancel_is_tried_again_with_growing_pauses():
    """0, 2, 4, 8, then 60 seconds: never thousands of cancels in an evening."""
    bench = Bench(entry_timeout_s=30).start()
    [call] = calls(bench.want(wish()))
    bench.answer(call)
    moments = []
    for _ in range(300):
        for cancel in calls(bench.wait(1), "cancel"):
            moments.append(bench.now)
            bench.answer(cancel, bot.Outcome.REFUSED)
    pauses = [(b - a).total_seconds() for a, b in itertools.pairwise(moments)]
    assert pauses[:5] == [2, 4, 8, 60, 60]


def test_no_cancel_is_sent_after_the_close():
    """It cannot succeed: day orders are dead."""
    bench = Bench(flat_at=None).start("14:44:00")
    [call] = calls(bench.want(wish()))
    bench.answer(call)
    bench.at("15:29:58")
    bench.now = datetime.combine(DAY, time(15, 30), bot.KST)
    assert calls(bench.wait(600)) == []


# --- exits ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "reason"),
    [(69_000, "stop"), (68_000, "stop"), (72_000, "target"), (73_000, "target")],
)
def test_stop_and_target_close_the_position_on_the_trade_that_reaches_them(price, reason):
    """At once, with all shares, as a limit at the bid."""
    bench = Bench().start()
    bench.hold_shares()
    bench.quote(price - 100)
    actions = bench.trade(price)
    [call] = calls(actions)
    intent = call.intent
    assert (intent.side, intent.quantity, intent.kind, intent.purpose) == (
        SELL,
        10,
        K.LIMIT,
        "exit",
    )
    assert (intent.price, intent.reason, intent.leg) == (price - 100, reason, "exit:1")
    assert [row.data["reason"] for row in records(actions, "decision")] == [reason]


@pytest.mark.parametrize("price", [69_100, 71_900])
def test_prices_between_stop_and_target_do_nothing(price):
    """One tick away is not reached."""
    bench = Bench().start()
    bench.hold_shares()
    assert calls(bench.trade(price)) == []


def test_a_rest_price_is_watched_as_well():
    """A silent feed does not hide a fall that REST shows."""
    bench = Bench().start()
    bench.hold_shares()
    assert len(calls(bench.seen(instrument(price=68_900)))) == 1


def test_a_trailing_stop_follows_the_high_and_never_goes_down():
    """1 per cent below the highest price, valid tick, a row for each move."""
    bench = Bench().start()
    bench.hold_shares(bot.ExitPlan(69_000, 0, 0.01))
    moved = []
    for price in (70_500, 71_000, 70_600, 71_500, 71_100):
        moved += records(bench.trade(price), "ledger")
    assert [row.data.plan.stop_price for row in moved] == [69_700, 70_200, 70_700]
    assert calls(bench.trade(70_800)) == []
    [call] = calls(bench.trade(70_700))
    assert call.intent.reason == "trailing stop"


def test_the_high_of_a_round_is_not_kept_for_the_next():
    """The owner sold our shares by phone; the next position trails from its own high."""
    bench = Bench().start()
    bench.hold_shares(bot.ExitPlan(69_000, 0, 0.01))
    bench.trade(75_000)
    bench.engine.core.apply(bot.PositionAdjusted(SYMBOL, 0, "phone", bench.now))
    bench.hold_shares(bot.ExitPlan(69_000, 0, 0.01))
    bench.trade(71_000)
    assert bench.ledger.position(SYMBOL).plan.stop_price == 70_200


def test_a_strategy_can_close_its_position():
    """The engine works the price; the reason is kept."""
    bench = Bench().start()
    bench.hold_shares()
    bench.strategy.wishes = [bot.OrderRequest(SYMBOL, SELL, 10, "x", reason="tired")]
    bench.at("10:10:00")
    [call] = calls(bench.trade(70_000))
    assert (call.intent.reason, call.intent.quantity, call.intent.price) == ("tired", 10, 70_000)


def test_an_exit_becomes_stronger_by_changes_of_the_same_order():
    """Limit, best limit, market: one intent, change calls, never a second order."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    bench.answer(call)
    seen = []
    for _ in range(40):
        for change in calls(bench.wait(1)):
            seen.append((change.action, change.kind, change.price, change.intent is call.intent))
            bench.answer(change)
    assert seen == [("change", "03", 0, True), ("change", "01", 0, True)]
    assert orders_of(bench)[-1].kind == "01"
    assert bench.ledger.position(SYMBOL).quantity == 10


def test_each_change_is_written_before_its_call():
    """REPLACE_SENT first: a crash in between leaves a doubt, not a surprise."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    bench.answer(calls(bench.trade(68_900))[0])
    actions = bench.wait(5)
    kinds = [
        each.data.event if isinstance(each, bot.Record) else "call"
        for each in actions
        if isinstance(each, bot.OrderCall)
        or (isinstance(each, bot.Record) and isinstance(each.data, bot.OrderUpdate))
    ]
    assert kinds == [E.REPLACE_SENT, "call"]


def test_a_change_of_unknown_outcome_is_looked_for():
    """Old or new, or both, may be alive: nothing more is sent before the list was read."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    bench.answer(calls(bench.trade(68_900))[0])
    [change] = calls(bench.wait(5))
    bench.answer(change, bot.Outcome.UNKNOWN)
    assert calls(bench.wait(60)) == []
    order = orders_of(bench)[-1]
    old = bench.row(order, cancelled_quantity=10)
    child = bench.row(order, number="0000000777", original_no=order.order_no, kind="03")
    [following] = calls(bench.list_of(*bench.rows()[:-1], old, child))
    assert (following.action, following.order_no, following.kind) == ("change", "0000000777", "01")


def test_a_partly_filled_exit_goes_on_with_the_rest():
    """The change covers what is left; then the next step."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    bench.answer(calls(bench.trade(68_900))[0])
    order = orders_of(bench)[-1]
    bench.fill(order, 4, 68_900)
    [change] = calls(bench.wait(5))
    assert (change.action, order.remaining) == ("change", 6)
    bench.answer(change)
    bench.list_of(*bench.rows()[:-1], bench.row(order, 6, 68_800))
    assert bench.ledger.position(SYMBOL).quantity == 0
    assert bench.state.exit is None


def test_an_exit_refused_waits_longer_each_time():
    """A refusal is told, the balance is asked, and nobody hammers the broker."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    bench.at("10:20:00")
    moments, pending = [], calls(bench.trade(68_900))
    for _ in range(400):
        for call in pending:
            moments.append(bench.now)
            assert bot.Ask("holdings") in asks(bench.answer(call, bot.Outcome.REFUSED))
        pending = calls(bench.wait(1), "new")
    pauses = [(b - a).total_seconds() for a, b in itertools.pairwise(moments)]
    assert pauses[:5] == [10, 20, 40, 60, 60]


def test_resting_entries_are_taken_back_before_the_exit():
    """The cancel leaves first; what is filled meanwhile is sold by a second exit."""
    bench = Bench().start()
    [call] = calls(bench.want(wish(quantity=20)))
    bench.answer(call)
    entry = orders_of(bench)[0]
    bench.list_of(bench.row(entry, 5))
    cancel, leave = calls(bench.trade(68_900))
    assert (cancel.action, leave.action, leave.intent.quantity) == ("cancel", "new", 5)
    bench.answer(cancel)
    bench.answer(leave)
    sold = orders_of(bench)[-1]
    actions = bench.list_of(bench.row(entry, 8, cancelled_quantity=12), bench.row(sold, 5))
    assert [(each.action, each.intent.quantity) for each in calls(actions + bench.wait(9))] == [
        ("new", 3)
    ]


def test_everything_is_closed_at_the_end_of_the_day():
    """From flat_at on: entries taken back, positions closed, also without a plan."""
    bench = Bench().start("14:30:00")
    bench.hold_shares(plan=None)
    [call] = calls(bench.want(wish("other", OTHER)))
    bench.answer(call)
    bench.trade(70_000)
    bench.at("15:11:59")
    assert calls(bench.actions[-5:]) == []
    actions = bench.wait(1)
    assert [(each.action, each.intent.symbol) for each in calls(actions)] == [
        ("new", SYMBOL), ("cancel", OTHER)
    ]  # fmt: skip
    assert calls(actions)[0].intent.reason == "end of day"


def test_an_exit_in_the_closing_auction_is_a_market_order_at_the_latest():
    """Best limit is not taken in auctions: limit, then market."""
    bench = Bench(exit_step_s=5, flat_at="15:19:58").start("14:40:00")
    bench.hold_shares()
    bench.at("15:19:57")
    bench.trade(70_000)
    [call] = calls(bench.wait(1))
    bench.answer(call)
    seen = []
    for _ in range(20):
        for change in calls(bench.wait(1)):
            seen.append(change.kind)
            bench.answer(change)
    assert seen == ["01"]


def test_an_exit_price_stays_in_the_band():
    """Never below the day's lower limit; so far down REST has to confirm the trade first."""
    bench = Bench().start()
    bench.hold_shares()
    bench.quote(48_000)
    assert calls(bench.trade(49_000)) == []
    [call] = calls(bench.seen(instrument(price=49_000)))
    assert call.intent.price == 49_000


def shares_from_before():
    """Return a ledger that holds ten shares with a plan, without any order of today."""
    first = Bench().start()
    first.hold_shares()
    return restarted(first).ledger


def test_an_exit_without_any_known_price_asks_for_one():
    """The owner wants out and neither feed nor REST has told a price: ask, no market order."""
    bench = Bench(ledger=shares_from_before())
    bench.command("day", session=bot.session_of(DAY))
    bench.command("level", level=bot.KillLevel.FLATTEN_AND_HALT)
    actions = bench.at("10:30:00") + bench.wait(20)
    assert calls(actions) == []
    assert 2 <= asks(actions, "price").count(bot.Ask("price", SYMBOL)) <= 8
    [call] = calls(bench.seen(instrument()) + bench.wait(6))
    assert (call.intent.kind, call.intent.price) == (K.LIMIT, 70_000)


def test_an_exit_of_a_stock_without_known_limits_asks_for_them():
    """The price question of the morning failed: the stop must not be dead for the day."""
    bench = Bench(ledger=shares_from_before())
    bench.command("day", session=bot.session_of(DAY))
    bench.at("10:30:00")
    actions = bench.trade(68_900) + bench.wait(30)
    assert asks(actions, "price") != []


@pytest.mark.parametrize("price", [1, 48_000, 100_000])
def test_a_trade_outside_the_band_of_the_day_closes_nothing(price):
    """No such trade exists: a forged or damaged frame must not sell the position."""
    bench = Bench().start()
    bench.hold_shares()
    assert calls(bench.trade(price)) == []
    assert bench.state.exit is None


def test_a_trade_of_yesterday_closes_nothing():
    """Frames repeated after a reconnection keep their own date; their price is history."""
    bench = Bench().start()
    bench.hold_shares()
    assert calls(bench.trade(68_000, ts=bench.now - timedelta(days=1))) == []


def test_an_entry_above_max_quantity_is_made_smaller():
    """The first live days allow one share an order: a wish for ten becomes one, not nothing."""
    bench = Bench(limits={"max_quantity": 1}).start()
    [call] = calls(bench.want(wish()))
    assert call.intent.quantity == 1


@pytest.mark.parametrize("how", ["trade", "status", "auction"])
def test_a_halted_stock_is_left_alone_and_nothing_spins(how):
    """No order into a halt or an auction after a volatility interruption; then it goes on."""
    bench = Bench().start()
    bench.hold_shares()
    if how == "trade":
        first = bench.trade(68_900, halted=True)
    elif how == "status":
        bench.feed(bot.MarketStatus(SYMBOL, False, True, ""))
        first = bench.seen(instrument(price=68_900))
    else:
        bench.quote(68_900, code="C")
        first = bench.trade(68_900)
    actions = first + bench.wait(120)
    assert calls(actions) == []
    assert len(records(actions, "decision")) == 1
    assert records(actions, "refusal") == []
    assert len(actions) - len(asks(actions, "price")) < 10
    bench.quote(68_900)
    bench.trade(68_900)
    assert [each.action for each in calls(bench.wait(1))] == ["new"]


@pytest.mark.parametrize(("text", "tradable"), [("15:25:00", True), ("15:31:00", False)])
def test_an_exit_does_not_spin_when_the_exchange_is_closed(text, tradable):
    """After the close the position stays, quietly."""
    bench = Bench(flat_at=None).start("14:40:00")
    bench.hold_shares()
    bench.at(text)
    actions = bench.trade(68_900) + bench.wait(300)
    assert bool(calls(actions)) is tradable
    assert len(actions) < 400


def test_an_unknown_exit_is_sent_again_only_when_the_shares_are_free():
    """The balance shows them sellable ten seconds later: the first order does not hold them."""
    bench = Bench().start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    bench.answer(call, bot.Outcome.UNKNOWN)
    sent = bench.now
    assert calls(bench.wait(12)) == []
    bench.balance((SYMBOL, 10, 0), asked_at=sent + timedelta(seconds=11))
    assert calls(bench.wait(2)) == []
    bench.balance((SYMBOL, 10, 10), asked_at=sent + timedelta(seconds=13))
    [again] = calls(bench.wait(2))
    assert (again.intent.leg, again.intent.quantity) == ("exit:2", 10)
    assert calls(bench.wait(3)) == []


def test_shares_of_the_owner_forbid_a_second_exit():
    """Free shares may be his."""
    bench = Bench().start(holdings=[(SYMBOL, 5)])
    bench.command("release", text="journal")  # they are his
    bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.wait(12)
    bench.balance((SYMBOL, 15, 15))
    assert calls(bench.wait(30)) == []


def resold():
    """Return a bench whose first exit is of unknown outcome and whose second one was accepted."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.wait(12)
    bench.balance((SYMBOL, 10, 10))
    [again] = calls(bench.wait(2))
    bench.answer(again)
    return bench


def test_a_second_exit_becomes_stronger_too():
    """The first is of unknown outcome; the one that rests must reach the market."""
    bench = resold()
    bench.balance((SYMBOL, 10, 0))
    assert [each.action for each in calls(bench.wait(6))] == ["change"]


def test_the_fence_holds_after_a_second_exit_was_filled():
    """The first may still arrive: shares bought now would be sold by it."""
    bench = resold()
    bench.fill(orders_of(bench)[-1], price=68_900)
    assert [order.status for order in orders_of(bench)[1:]] == [S.UNKNOWN, S.FILLED]
    assert bench.ledger.position(SYMBOL).quantity == 0
    assert refused_with(bench, "UNRESOLVED")


def test_free_shares_of_an_exit_in_quarantine_are_sold():
    """The owner may be asleep; the balance says that nothing holds the shares."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.now += timedelta(seconds=605)
    bench.wait(1)
    assert orders_of(bench)[-1].status is S.QUARANTINED
    bench.balance((SYMBOL, 10, 10))
    assert calls(bench.wait(60), "new") != []


def tries_in(bench, seconds, code=""):
    """Let exits fail before the first byte, or at the gateway; return when each was tried."""
    tried_at = []
    for second in range(seconds):
        for call in calls(bench.wait(1), "new"):
            tried_at.append(second)
            bench.answer(call, bot.Outcome.NOT_SENT, code=code, text="no connection")
    return tried_at


def test_an_exit_that_reaches_nobody_does_not_flood_the_journal():
    """A dead host for two hours: a try a minute, a question each second in between."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    bench.answer(call, bot.Outcome.NOT_SENT, text="no connection")
    tried_at = tries_in(bench, 7_160)
    assert [b - a for a, b in itertools.pairwise([-1, *tried_at])][:5] == [5, 10, 20, 40, 60]
    assert len(tried_at) == 122
    bench.wait(5)  # the usual pause
    assert calls(more := bench.wait(20)) == [] and len(asks(more, "orders")) == 20


@pytest.mark.parametrize("sign", ["list", "price", "refusal of another order"])
def test_the_first_answer_ends_the_pauses_of_exits(sign):
    """Whatever it is an answer to: the next try is due at once, and the usual pace holds again."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [other] = calls(bench.want(wish(symbol=OTHER)))
    [call] = calls(bench.trade(68_900))
    bench.answer(call, bot.Outcome.NOT_SENT, text="no connection")
    assert tries_in(bench, 80) == [4, 14, 34, 74]
    bench.wait(10)
    if sign == "list":
        done = bench.list_of(*bench.rows())
    elif sign == "price":
        done = bench.seen(instrument(OTHER))
    else:
        done = bench.answer(other, bot.Outcome.REFUSED, code="APBK0919")
    [call] = calls([*done, *bench.wait(1)], "new")
    assert call.intent.purpose == "exit"
    bench.answer(call, bot.Outcome.NOT_SENT, text="no connection")
    assert tries_in(bench, 15) == [4, 14]


def test_an_exit_that_the_gateway_answers_keeps_its_pace():
    """The host lives: every step is tried."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    bench.answer(call, bot.Outcome.NOT_SENT, code="EGW00133")
    assert tries_in(bench, 60, code="EGW00133") == list(range(4, 60, 5))


def test_an_exit_that_the_brokers_pace_turns_away_is_tried_within_a_second():
    """Nothing was executed and there is room in moments: no step is waited for, told once."""
    bench = Bench(exit_step_s=20).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    bench.answer(call, bot.Outcome.NOT_SENT, code="EGW00201")
    assert tries_in(bench, 16, code="EGW00201") == [0, 1, 3, 7, 11, 15]
    assert alerts(bench.actions).count("order_refused") == 1
    [last] = calls(bench.wait(4), "new")
    bench.answer(last)
    assert bench.state.exit.too_fast == 0


def paced_entry(bench):
    """Have an entry turned away by the broker's pace; return the call."""
    [call] = calls(bench.want(wish()))
    bench.answer(call, bot.Outcome.NOT_SENT, code="EGW00201", text="too many")
    return call


def look_again(bench, seconds, *rows, cash=10_000_000):
    """Let seconds pass, then a trade, a price, the cash and a list; return what that causes."""
    done = bench.wait(seconds) + bench.trade(70_000)
    done += bench.seen(instrument(SYMBOL)) + bench.seen(bot.Cash(cash))
    return done + bench.list_of(*rows)


def test_an_entry_that_the_brokers_pace_turned_away_goes_once_a_list_shows_none():
    """EGW00201: nothing was executed. List and cash of later show none, so the wish goes again."""
    bench = Bench().start()
    first = paced_entry(bench)
    for _ in range(4):
        done = look_again(bench, 1)
        assert calls(done) == []  # too soon to show it
        assert {"orders", "cash"} <= {ask.what for ask in asks(done)}
    assert "order_refused" not in alerts(bench.actions)
    [again] = calls(look_again(bench, 1), "new")
    assert again.intent.intent_id != first.intent.intent_id
    assert (again.intent.quantity, again.intent.price, again.intent.plan) == (10, 70_000, PLAN)
    bench.answer(again)
    assert calls(look_again(bench, 6, *bench.rows()), "new") == []


def test_an_entry_whose_cash_is_held_back_is_there_though_no_list_shows_it():
    """The list is late, the orderable cash fell by its size: it is told and goes no second time."""
    bench = Bench().start()
    paced_entry(bench)
    done = look_again(bench, 6, cash=9_300_000)
    assert (calls(done), alerts(done).count("order_refused")) == ([], 1)


@pytest.mark.parametrize(("ended", "then"), [(0, ["cancel"]), (10, [])])
def test_an_entry_turned_away_for_pace_that_is_there_after_all_goes_no_second_time(ended, then):
    """The list shows it: it is bound and taken back, or ended already, and nothing else leaves."""
    bench = Bench().start()
    paced_entry(bench)
    row = bench.row(orders_of(bench)[-1], number="0000009999", cancelled_quantity=ended)
    bench.wait(1)
    done = bench.list_of(row) + look_again(bench, 6, row)
    assert [each.action for each in calls(done)] == then


@pytest.mark.parametrize("late", ["the list", "three times"])
def test_an_entry_turned_away_for_pace_is_given_up_and_told(late):
    """After twenty seconds the wish is old, and three refusals are enough."""
    bench = Bench().start()
    paced_entry(bench)
    for _ in range(2 if late == "three times" else 0):
        [call] = calls(look_again(bench, 5), "new")
        bench.answer(call, bot.Outcome.NOT_SENT, code="EGW00201", text="too many")
    done = look_again(bench, 21 if late == "the list" else 5)
    assert calls(done, "new") == []
    assert alerts(bench.actions).count("order_refused") == 1


def test_a_balance_from_before_the_call_ended_frees_no_shares():
    """An exit that waited for its turn may have arrived after that balance."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    bench.wait(20)
    bench.balance((SYMBOL, 10, 10))
    assert calls(bench.answer(call, bot.Outcome.UNKNOWN), "new") == []
    assert calls(bench.wait(4), "new") == []
    bench.wait(2)
    bench.balance((SYMBOL, 10, 10))
    assert len(calls(bench.wait(6), "new")) == 1


def test_shares_that_the_owner_bought_meanwhile_are_not_sold():
    """His order is not listed yet, but the balance shows more shares than ours."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.wait(6)
    bench.balance((SYMBOL, 44, 34))
    assert calls(bench.wait(20), "new") == []


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize(
    ("outcome", "code", "after_s"),
    [
        (bot.Outcome.REFUSED, "APBK0919", 3),
        (bot.Outcome.NOT_SENT, "", 0),  # no connection: also while we tried
        (bot.Outcome.NOT_SENT, "EGW00133", 3),
    ],
)
def test_the_same_order_by_the_owner_after_a_failure_is_his(side, outcome, code, after_s):
    """Told of the failure he tries the same by phone: counted, never taken for ours or touched."""
    bench = Bench(exit_step_s=60).start()
    call, own = tried(bench, side)
    bench.wait(2)
    bench.answer(call, outcome, code=code, text="no connection")
    row = bench.row(own, number="0000009999")
    bench.wait(after_s)
    row = replace(row, time=f"{bench.now:%H%M%S}")
    done = bench.list_of(*bench.rows(), row)
    assert own.status in bot.NEVER_EXISTED and alerts(done).count("external_order") == 1
    his = bench.ledger.order_of("0000009999")
    assert (his.own, his.remaining) == (False, 10)
    assert [c for c in calls([*done, *bench.wait(90)]) if c.order_no == "0000009999"] == []


@pytest.mark.parametrize("taken_s", [0, 2])
def test_an_order_taken_although_the_gateway_refused_it_is_ours(taken_s):
    """Its codes are not proved: taken before the answer came it is bound, and an entry taken back."""
    bench = Bench().start()
    call, own = tried(bench, BUY)
    row = replace(
        bench.row(own, number="0000009999"),
        time=f"{bench.now + timedelta(seconds=taken_s):%H%M%S}",
    )
    bench.wait(2)
    bench.answer(call, bot.Outcome.NOT_SENT, code="EGW00201")
    bench.wait(10)
    done = bench.list_of(*bench.rows(), row)
    assert bench.ledger.order_of("0000009999") is own
    assert [each.order_no for each in calls(done)] == ["0000009999"]
    assert calls(done, "new") == []


def tried(bench, side):
    """Have an order sent; return its call and the order."""
    if side is SELL:
        bench.hold_shares()
        [call] = calls(bench.trade(68_900))
    else:
        [call] = calls(bench.want(wish()))
    return call, orders_of(bench)[-1]


def test_a_list_does_not_end_a_cancel_that_waits_for_its_turn():
    """Its answer is still to come; until then nothing new is begun in the stock."""
    bench = Bench(entry_timeout_s=20).start()
    [call] = calls(bench.want(wish(price=69_700)))
    bench.answer(call)
    [cancel] = calls(bench.wait(21), "cancel")
    bench.wait(30)
    bench.list_of(bench.row(orders_of(bench)[-1]))
    assert orders_of(bench)[-1].status is S.CANCEL_PENDING
    bench.answer(cancel)
    bench.wait(20)
    bench.list_of(bench.row(orders_of(bench)[-1]))
    assert orders_of(bench)[-1].status is S.WORKING


def test_rest_does_not_lift_a_halt_that_the_feed_tells():
    """Both told it; the answer that does not tell it any more may be the older one."""
    bench = Bench().start()
    bench.hold_shares()
    bench.seen(instrument(blocked="trading halted"))
    bench.trade(70_000, halted=True)
    bench.seen(instrument())
    assert bench.state.halted
    bench.trade(70_000)
    assert not bench.state.halted


def test_a_sell_without_a_figure_before_it_has_no_second_witness():
    """Bought today, the last balance did not show it: nothing can be said to have fallen."""
    bench = Bench().start()
    bench.hold_shares()
    bench.wait(1)
    [call] = calls(bench.trade(68_900))
    assert call.intent.sellable_before == -1
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.wait(12)
    bench.balance((SYMBOL, 10, 0))
    search = bench.engine.core.reconciler.searches.get(call.intent.intent_id, bot.Search())
    assert search.witnesses == 0


def test_a_trade_ends_the_mark_of_an_auction():
    """Quotes may have stopped; a trade proves that the stock trades again."""
    bench = Bench().start()
    bench.hold_shares()
    bench.quote(70_000, code="C")
    bench.wait(150)
    assert calls(bench.trade(68_900)) != []


def test_an_answer_belongs_to_the_request_that_it_answers():
    """The list is quicker than the first change's answer: the second change waits for it."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    bench.answer(calls(bench.trade(68_900))[0], number="0000000010")
    [first] = calls(bench.wait(5))
    order = orders_of(bench)[-1]
    bench.wait(5)
    old = bench.row(order, cancelled_quantity=10)
    child = bench.row(order, number="0000000011", original_no="0000000010", kind="03")
    assert calls(bench.list_of(*bench.rows()[:-1], old, child) + bench.wait(6)) == []
    assert order.order_no == "0000000011"
    [second] = calls(bench.answer(first, number="0000000011") + bench.wait(6))
    assert order.status is S.REPLACE_PENDING
    bench.answer(second, number="0000000012")
    assert order.order_no == "0000000012"


@pytest.mark.parametrize("how", ["cancelled_quantity", "rejected_quantity"])
def test_a_changed_exit_that_dies_is_followed_by_a_new_one(how):
    """Its newest number is dead with nothing filled: the position must not wait for it."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    bench.answer(calls(bench.trade(68_900))[0], number="0000000010")
    [change] = calls(bench.wait(5))
    bench.answer(change, number="0000000011")
    order = orders_of(bench)[-1]
    bench.wait(4)
    old = bench.row(order, number="0000000010", cancelled_quantity=10)
    child = bench.row(order, number="0000000011", original_no="0000000010", **{how: 10})
    actions = bench.list_of(*bench.rows()[:-1], old, child) + bench.wait(10)
    assert [(each.action, each.intent.leg) for each in calls(actions)] == [("new", "exit:2")]


def test_a_refused_change_is_told_when_it_is_refused_again():
    """The order is often filled by then, and the fill is told; a second refusal is news, once."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    bench.answer(calls(bench.trade(68_900))[0], number="0000000010")
    [change] = calls(bench.wait(5))
    told = [alerts(bench.answer(change, bot.Outcome.REFUSED))]
    for _ in range(2):
        [change] = calls(bench.wait(100))[:1]
        told.append(alerts(bench.answer(change, bot.Outcome.REFUSED)))
    assert told == [[], ["change_refused"], []]
    assert orders_of(bench)[-1].status is S.WORKING


@pytest.mark.parametrize(("blocked", "again_s"), [("trading halted", 30), ("administrative", 600)])
def test_trades_of_a_stock_that_was_barred_make_rest_say(blocked, again_s):
    """Halted at 08:30, trading from 09:30: asked again with its trades, until it may be bought."""
    bench = Bench().start()
    bench.seen(instrument(blocked=blocked))
    bench.wait(1)

    def asked(actions):
        return [each for each in actions if isinstance(each, bot.Ask) and each.what == "price"]

    found = []
    for _ in range(4):
        found.append(len(asked(bench.trade(70_000))))
        bench.wait(again_s / 2)
    assert found == [1, 0, 1, 0]
    bench.seen(instrument())
    bench.wait(700)
    assert asked(bench.trade(70_000)) == []


def test_an_exit_whose_price_is_refused_becomes_stronger():
    """A wrong tick does not become right by waiting: limit, best limit, market."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    kinds, [call] = [], calls(bench.trade(68_900))
    for _ in range(4):
        kinds.append(call.intent.kind)
        bench.answer(call, bot.Outcome.REFUSED)
        [call] = calls(bench.wait(100))[:1]
    assert kinds == [K.LIMIT, K.BEST_LIMIT, K.MARKET, K.MARKET]


def test_price_limits_that_vanish_do_not_disable_the_exit():
    """One answer with zeros: the limits of the day stay."""
    bench = Bench().start()
    bench.hold_shares()
    bench.seen(bot.Instrument(SYMBOL, "KOSPI", False, 0, 0, 0, 0))
    assert len(calls(bench.trade(68_900))) == 1


def test_limits_of_yesterday_are_not_taken_for_today_s():
    """The first answer of the day has none: the price is asked again, nothing is guessed."""
    bench = Bench(ledger=shares_from_before())
    bench.now = datetime.combine(NEXT_DAY, time(9, 30), bot.KST)
    bench.command("day", session=bot.session_of(NEXT_DAY))
    bench.seen(bot.Instrument(SYMBOL, "KOSPI", False, 0, 0, 0, 68_900))
    assert bench.state.instrument.upper_limit == 0
    actions = bench.wait(6)
    assert (calls(actions), asks(actions, "price") != []) == ([], True)


def test_a_refused_change_of_an_exit_skips_no_step():
    """It may be refused because the order was just filled: that says nothing about the price."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    bench.answer(calls(bench.trade(68_900))[0])
    [change] = calls(bench.wait(5))
    step = bench.state.exit.step
    bench.answer(change, bot.Outcome.REFUSED)
    assert bench.state.exit.step == step


def test_marks_of_a_feed_that_is_gone_do_not_hold_an_exit_back():
    """An auction that nobody can end any more: REST finds the stop, and it is obeyed."""
    bench = Bench().start()
    bench.hold_shares()
    bench.quote(70_000, code="C")
    bench.command("feed down")
    assert len(calls(bench.seen(instrument(price=68_900)))) == 1


def test_a_halt_that_rest_tells_ends_with_rest():
    """Halted, then free again, without any trade in between."""
    bench = Bench().start()
    bench.hold_shares()
    bench.seen(instrument(blocked="trading halted"))
    assert calls(bench.seen(instrument(price=68_900, blocked="trading halted"))) == []
    assert len(calls(bench.seen(instrument(price=68_900)) + bench.wait(1))) == 1


def test_nothing_is_bought_while_the_position_is_being_closed():
    """Between two tries of an exit, too: it would be sold again a second later."""
    bench = Bench(exit_step_s=60).start()
    bench.hold_shares()
    bench.answer(calls(bench.trade(68_900))[0], bot.Outcome.REFUSED)
    bench.trade(70_000)
    bench.seen(instrument())
    bench.engine.entries.consider(bench.state, wish("again"))
    [row] = records(bench.feed(bot.TimeEvent(bench.now)), "refusal")
    assert row.data["code"] == "EXITING"


@pytest.mark.parametrize("odd", [{"symbol": OTHER}, {"side": SELL}, {"filled_quantity": 11}])
def test_a_row_that_contradicts_what_was_sent_is_not_booked(odd):
    """Our number, another stock, side or more shares: nothing moves, the stock is stopped."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    bench.answer(call, number="0000000007")
    order = orders_of(bench)[0]
    row = replace(bench.row(order, 10), **odd)
    assert "symbol_stopped" in alerts(bench.list_of(row))
    assert bench.ledger.position(SYMBOL).quantity == 0


def test_an_accepted_entry_is_taken_back_when_the_stop_came_first():
    """SIGTERM between the request and its answer: nothing is left at the broker."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    bench.command("stop", text="cancel")
    [back] = calls(bench.answer(call))
    assert (back.action, back.intent) == ("cancel", call.intent)


def test_a_list_asked_before_the_feed_came_back_releases_nothing():
    """It may lack what happened while nobody listened."""
    bench = Bench().start()
    asked_at = bench.now
    bench.wait(2)
    bench.command("feed down")
    bench.command("feed up")
    bench.list_of(*bench.rows(), asked_at=asked_at)
    assert "orders" in bench.engine.core.holds
    bench.list_of(*bench.rows())
    assert "orders" not in bench.engine.core.holds


def test_an_exit_asks_for_no_more_than_the_balance_shows_free():
    """Refused with ten, the balance shows nine: nine are sold, not ten refused until evening."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    bench.answer(calls(bench.trade(68_900))[0], bot.Outcome.REFUSED)
    bench.balance((SYMBOL, 9, 9))
    [call] = calls(bench.wait(15))
    assert call.intent.quantity == 9


def test_a_refused_entry_does_not_cancel_its_successor():
    """The same wish again after a refusal; the list is quicker than the answer."""
    bench = Bench().start()
    bench.answer(calls(bench.want(wish("one")))[0], bot.Outcome.REFUSED)
    [call] = calls(bench.want(wish("two")))
    order = orders_of(bench)[-1]
    assert calls(bench.list_of(bench.row(order, number="0000000007"))) == []
    bench.answer(call, number="0000000007")
    assert [each.intent.signal for each in bench.ledger.open_orders()] == ["two"]


# --- whole days made of chance ----------------------------------------------------------


class Market:
    """The truth behind a bench: what the broker would hold, by order number."""

    def __init__(self, bench):
        self.bench, self.rows, self.sent = bench, {}, []

    def held(self):
        """Return the shares in the account."""
        return sum(row.side.sign * row.filled_quantity for row in self.rows.values())

    def rest(self, number):
        """Return the shares of an order that can still be filled."""
        row = self.rows[number]
        return row.quantity - row.filled_quantity - row.cancelled_quantity

    def obey(self, actions, luck):
        """Carry order calls out, or lose them, and answer; answers cause further calls."""
        pending = calls(actions)
        while pending:
            call = pending.pop(0)
            if call.action == "new":
                self.sent.append(call.intent.intent_id)
                assert call.intent.side is BUY or call.intent.quantity <= self.held()
            number = self._arrive(call) if luck != "lost" else ""
            outcome = bot.Outcome.UNKNOWN if luck in ("lost", "answer lost") else None
            outcome = outcome or (bot.Outcome.ACCEPTED if number else bot.Outcome.REFUSED)
            pending += calls(self.bench.answer(call, outcome, number))

    def _arrive(self, call):
        number, intent = f"{len(self.rows) + 1:010d}", call.intent
        made = self.bench.row(self.bench.ledger.orders[intent.intent_id], number=number)
        if call.action != "new":
            old = self.rows.get(call.order_no)
            rest = self.rest(call.order_no) if old else 0
            if not rest:
                return ""
            moved = old.cancelled_quantity + rest
            self.rows[call.order_no] = replace(old, cancelled_quantity=moved)
            made = replace(
                made, quantity=rest, price=call.price, kind=call.kind, original_no=call.order_no,
                cancelled_quantity=rest if call.action == "cancel" else 0,
            )  # fmt: skip
        self.rows[number] = made
        return number

    def fill(self, price, share):
        """Fill a part of every order that lives."""
        for number, row in self.rows.items():
            done = (self.rest(number) * share + 99) // 100
            self.rows[number] = replace(
                row, filled_quantity=row.filled_quantity + done,
                filled_amount_krw=row.filled_amount_krw + done * price,
            )  # fmt: skip


steps = st.tuples(
    st.sampled_from(["want", "want", "trade", "trade", "wait", "fill", "fill", "list", "gap", "level"]),
    st.integers(0, 99), st.sampled_from(["", "", "", "lost", "answer lost"]),
)  # fmt: skip


@given(st.lists(steps, max_size=25))
def test_days_made_of_chance_keep_the_promises(table):
    """No event fails, no intent is sent twice, no share is sold twice; lists make all equal."""
    bench = Bench(exit_step_s=5, entry_timeout_s=20, limits={"max_orders_per_minute": 30}).start()
    market, price = Market(bench), 70_000
    for n, (what, chance, luck) in enumerate([*table, ("list", 0, ""), ("list", 0, "")]):
        actions = []
        if what in ("want", "trade"):
            price = 66_000 + 80 * chance // 100 * 100
            actions = bench.wait(1) + bench.trade(price)
        if what == "want":
            plan = bot.ExitPlan(price - 500, price + 500, 0.01 * (chance % 2))
            bench.seen(instrument(price=price))
            bench.engine.entries.consider(bench.state, wish(str(n), price=price, plan=plan))
            actions += bench.feed(bot.TimeEvent(bench.now))
        elif what == "wait":
            actions = bench.wait(chance)
        elif what == "fill":
            market.fill(price, chance)
        elif what == "list":
            market.obey(bench.wait(6), luck)  # slower calls are known to fail: see above
            actions = bench.list_of(*market.rows.values())
        elif what == "gap":
            actions = bench.command("feed down") + bench.command("feed up")
        elif what == "level":
            level = [*[bot.KillLevel.ACTIVE] * 3, *bot.KillLevel][chance % 7]
            actions = bench.command("level", level=level, text="owner") + bench.wait(2)
        market.obey(actions, luck)
    assert len(market.sent) == len(set(market.sent))
    assert bench.ledger.position(SYMBOL).quantity == market.held()
    assert "symbol_stopped" not in alerts(bench.actions)


# --- restart ----------------------------------------------------------------------------


def restarted(first, text="11:00:00"):
    """Return a bench whose ledger was rebuilt from the rows of another."""
    ledger = bot.Ledger()
    for action in first.actions:
        if isinstance(action, bot.Record):
            if action.kind == "instrument":
                ledger.instruments[action.ref] = action.data
            elif action.kind in ("intent", "ledger"):
                ledger.apply(bot.entry_from_json(bot.canonical_json(action.data)))
    second = Bench(ledger=ledger)
    second.numbers = itertools.count(500)
    second.totals = first.totals
    second.at(text)
    return second


def test_a_request_under_way_when_the_process_died_is_unknown_and_not_sent():
    """SUBMITTING becomes UNKNOWN; it is looked for and nothing leaves."""
    first = Bench().start()
    [call] = calls(first.want(wish()))
    second = restarted(first, "10:05:10")
    assert second.ledger.orders[call.intent.intent_id].status is S.SUBMITTING
    second.start("10:05:11")
    assert second.ledger.orders[call.intent.intent_id].status is S.UNKNOWN
    actions = second.wait(60)
    assert calls(second.actions) == []
    assert asks(actions, "orders") != []


@pytest.mark.parametrize("action", ["cancel", "change"])
def test_a_cancel_or_change_under_way_when_the_process_died_is_unknown(action):
    """The list says what became of it."""
    first = Bench(exit_step_s=5).start()
    if action == "cancel":
        first.answer(calls(first.want(wish()))[0])
        first.command("stop", text="cancel")
        expected = S.CANCEL_UNKNOWN
    else:
        first.hold_shares()
        first.answer(calls(first.trade(68_900))[0])
        first.wait(5)
        expected = S.REPLACE_UNKNOWN
    assert calls(first.actions)[-1].action == action
    second = restarted(first)
    second.command("restarted")
    assert orders_of(second)[-1].status is expected


def test_an_exit_goes_on_after_a_restart():
    """Its order rests at the broker: it becomes stronger as before."""
    first = Bench(exit_step_s=5).start()
    first.hold_shares()
    first.answer(calls(first.trade(68_900))[0])
    second = restarted(first)
    second.command("restarted")
    second.command("day", session=bot.session_of(DAY))
    second.trade(68_900)
    actions = second.list_of(*second.rows()) + second.wait(2)
    assert [(each.action, each.kind) for each in calls(actions)] == [("change", "03")]


def test_a_restart_keeps_the_kill_switch_and_the_position():
    """What the journal says holds."""
    first = Bench().start()
    first.hold_shares()
    first.command("level", level=bot.KillLevel.ENTRIES_OFF, text="owner")
    second = restarted(first)
    assert second.ledger.level is bot.KillLevel.ENTRIES_OFF
    position = second.ledger.position(SYMBOL)
    assert (position.quantity, position.plan) == (10, PLAN)
    second.command("restarted")
    second.command("day", session=bot.session_of(DAY))
    second.seen(instrument())
    assert len(calls(second.trade(68_900))) == 1


def test_an_exit_between_two_tries_goes_on_after_a_restart():
    """Its order was refused; the price has recovered a little; the decision to leave stands."""
    first = Bench().start()
    first.hold_shares()
    first.answer(calls(first.trade(68_900))[0], bot.Outcome.REFUSED)
    second = restarted(first)
    second.start("11:00:01", holdings=[(SYMBOL, 10)])
    second.trade(69_100)
    second.wait(90)
    assert [call.intent.leg for call in calls(second.actions, "new")] == ["exit:2"]


def test_shares_of_a_symbol_taken_out_of_the_settings_are_told():
    """Nobody watches their stop any more: the owner must hear of it."""
    first = Bench().start()
    first.hold_shares()
    ledger = restarted(first).ledger
    second = Bench(ledger=ledger, symbols=(OTHER,))
    second.start("11:00:00", holdings=[(SYMBOL, 10)])
    told = [a for a in second.actions if isinstance(a, bot.Alert) and SYMBOL in str(a.values)]
    assert told != []


def test_shares_that_left_over_night_are_adjusted_and_told():
    """The broker shows fewer, twice: ours are reduced. Once proves nothing: it may be empty."""
    bench = Bench().start()
    bench.hold_shares()
    bench.now = datetime.combine(NEXT_DAY, time(9, 5), bot.KST)
    bench.totals = dict.fromkeys(bench.totals, 0)
    bench.command("day", session=bot.session_of(NEXT_DAY))
    bench.seen(instrument())
    bench.list_of()
    assert alerts(bench.account()) == ["mismatch"]
    bench.now += timedelta(seconds=60)
    assert alerts(bench.account((SYMBOL, 4))) == ["mismatch"]
    bench.now += timedelta(seconds=170)
    assert alerts(bench.account((SYMBOL, 4))) == []
    assert bench.ledger.position(SYMBOL).quantity == 10
    assert "account" in bench.engine.core.holds
    bench.now += timedelta(seconds=10)
    bench.account((SYMBOL, 4))
    assert bench.ledger.position(SYMBOL).quantity == 4
    assert "account" not in bench.engine.core.holds


def test_the_account_is_not_taken_before_the_order_list_was_read():
    """The owner sold his own shares this morning: his order first, else they would be ours."""
    first = Bench().start(holdings=[(SYMBOL, 10)])
    first.command("release", text="journal")  # they are his
    first.hold_shares()
    bench = Bench(ledger=restarted(first).ledger)
    bench.now = datetime.combine(NEXT_DAY, time(9, 10), bot.KST)
    bench.command("day", session=bot.session_of(NEXT_DAY))
    assert "account" in bench.engine.core.holds
    his = bot.BrokerOrder("0000000900", "", "06010", SYMBOL, SELL, "00", 10, 70_000, 10, 700_000,
                          0, 0, "090500")  # fmt: skip
    bench.list_of(his)
    bench.account((SYMBOL, 10), rows=[his])
    assert "account" not in bench.engine.core.holds
    position = bench.ledger.position(SYMBOL)
    assert (position.quantity, position.plan, bench.ledger.external.get(SYMBOL, 0)) == (10, PLAN, 0)


def test_an_empty_balance_in_the_morning_takes_nothing_away():
    """It is full again a minute later: the position is still there, with its plan."""
    bench = Bench(ledger=shares_from_before())
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.command("day", session=bot.session_of(NEXT_DAY))
    bench.list_of()
    bench.account()
    bench.now += timedelta(seconds=60)
    bench.account((SYMBOL, 10))
    position = bench.ledger.position(SYMBOL)
    assert (position.quantity, position.plan) == (10, PLAN)
    assert "account" not in bench.engine.core.holds


def test_past_bars_that_come_late_stand_before_the_live_ones():
    """After a restart with shares the feed comes first: the history must not be lost for that."""
    bench = Bench().start()
    live = [bar_from(10, 0), bar_from(10, 5)]
    past = [bar_from(9, 50), bar_from(9, 55), bar_from(10, 0)]
    bench.state.view.bars.extend(live)
    bench.seen(bot.PastBars(SYMBOL, (*past, bar_from(10, 10))))
    assert [bar.start.minute for bar in bench.state.view.bars] == [50, 55, 0, 5, 10]
    assert bench.state.view.bars[2] is live[0]


def test_whole_days_take_the_place_of_the_short_bars_of_the_day_before():
    """A process that runs for days: yesterday's day is there, although its minutes were seen live."""
    bench = Bench().start()
    end = bench.engine.core.session.close
    days = [end.date()]
    while len(days) < 3:
        days.insert(0, bot.previous_trading_day(days[0]))
    whole = [bot.whole_day(SYMBOL, bot.DailyBar(day, 1, 2, 1, 2, 3, 4)) for day in days]
    view = bench.engine.core.symbols[SYMBOL].view
    view.bars.extend([whole[0], replace(whole[2], start=whole[2].start, end=whole[2].start + timedelta(minutes=5))])  # fmt: skip
    bench.seen(bot.PastBars(SYMBOL, tuple(whole)))
    assert list(view.bars) == whole


def bar_from(hour, minute):
    """Return a five-minute bar."""
    start = datetime.combine(DAY, time(hour, minute), bot.KST)
    return bot.Bar(SYMBOL, start, start + timedelta(minutes=5), 1, 1, 1, 1, 1, 1, 1)


def test_rest_guards_a_position_whose_feed_is_silent():
    """No trade for ten seconds: prices come from REST, and a stop found there is obeyed."""
    bench = Bench().start()
    bench.hold_shares()
    assert asks(bench.wait(10), "price") == []
    assert len(asks(bench.wait(30), "price")) == 3
    [call] = calls(bench.seen(instrument(price=68_900)))
    assert (call.intent.side, call.intent.quantity) == (SELL, 10)


def test_a_rest_price_that_was_long_in_coming_still_guards():
    """On the paper server a question waits for its turn; its answer is of now all the same."""
    bench = Bench().start()
    bench.hold_shares()
    bench.wait(20)
    asked_at = bench.now - timedelta(seconds=15)
    assert len(calls(bench.seen(instrument(price=68_900), asked_at))) == 1


def test_a_trade_of_a_time_to_come_does_not_end_the_bars_of_the_day():
    """One broken or forged time at 10:01, and every true trade would be late for its bar."""
    bench = Bench().start("10:01:00")
    bench.trade(70_000)
    bench.trade(70_000, ts=bench.now.replace(hour=15, minute=29))
    bench.trade(70_100)
    bench.at("10:05:01")
    bench.trade(70_000)
    bars = [row.data["bar"] for row in records(bench.actions, "bar") if row.ref == SYMBOL]
    assert [(f"{bar.end:%H:%M}", bar.high) for bar in bars] == [("10:05", 70_100)]


def test_trades_ahead_of_a_clock_that_is_off_are_taken():
    """It is our clock that is behind: their prices are the market's."""
    bench = Bench().start("10:01:00")
    bench.command("hold", text="clock")
    bench.trade(70_500, ts=bench.now + timedelta(minutes=5))
    assert bench.engine.core.last_price(SYMBOL) == 70_500


def test_orders_of_a_time_that_is_yet_to_come_do_not_brake_an_exit():
    """Rows by a wrong clock of before a restart look newer than a second; a stop must leave."""
    bench = Bench().start()
    bench.hold_shares()
    for _ in range(2):
        bench.want(wish(f"{bench.now:%H%M%S}", OTHER))
        bench.answer(calls(bench.actions)[-1], bot.Outcome.REFUSED)
    assert len(bench.ledger.orders) == 3
    for order in bench.ledger.orders.values():
        order.intent = replace(order.intent, at=order.intent.at + timedelta(hours=1))
    assert [call.intent.side for call in calls(bench.trade(68_900))] == [SELL]


def test_shares_that_we_do_not_know_are_the_owner_s():
    """They are counted in the limits and never sold."""
    bench = Bench().start(holdings=[(SYMBOL, 7)])
    assert bench.ledger.external == {SYMBOL: 7}
    assert calls(bench.trade(1_000) + bench.wait(30)) == []


def test_a_mismatch_with_the_balance_holds_entries_and_ends():
    """Three quiet minutes after the last fill the figures must agree."""
    bench = Bench().start()
    bench.hold_shares()
    bench.wait(181)
    assert alerts(bench.balance((SYMBOL, 9))) == ["mismatch"]
    assert refused_with(bench)
    bench.balance((SYMBOL, 10))
    assert calls(bench.want(wish("again"))) != []


def test_other_cash_is_told_and_taken_over():
    """A dividend, a withdrawal: with no order open the broker's figure counts."""
    bench = Bench().start()
    bench.wait(181)
    assert alerts(bench.balance(cash=10_300_000)) == ["cash_differs"]
    assert bench.ledger.cash_krw == 10_300_000
    assert alerts(bench.balance(cash=10_300_000)) == []


def test_the_loss_limit_of_a_day_is_measured_by_its_morning():
    """One won of difference after a buy must not shrink the limit to a share of what is left."""
    bench = Bench().start()
    bench.hold_shares()
    bench.wait(181)
    bench.balance((SYMBOL, 10), cash=bench.ledger.cash_krw - 1)
    assert bench.ledger.morning_cash_krw == 10_000_000


# --- the owner's word -------------------------------------------------------------------


def quarantined():
    """Return a bench with an order that only the owner can judge."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.now += timedelta(seconds=601)
    bench.wait(1)
    order = orders_of(bench)[0]
    assert order.status is S.QUARANTINED
    return bench, order


def test_the_owner_says_that_an_order_does_not_exist():
    """Then the symbol is free again."""
    bench, order = quarantined()
    bench.command("resolve", text=f"{order.intent.intent_id}=absent")
    assert order.status is S.LOST
    assert calls(bench.want(wish("next"))) != []


def test_of_equal_orders_the_owner_names_ours_and_the_others_are_his():
    """No row is taken for ours or his before he has spoken, also one that shows up late."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    bench.answer(call, bot.Outcome.UNKNOWN)
    order = orders_of(bench)[0]
    rows = [bench.row(order, number=f"000000000{n}") for n in (7, 8, 9)]
    bench.wait(6)
    bench.list_of(*rows[:2])
    for shown in (rows[:2], rows):
        bench.wait(5)
        bench.list_of(*shown)
        assert (order.status, order.order_no) == (S.QUARANTINED, "")
        assert len(bench.ledger.orders) == 1
    bench.command("resolve", text=f"{order.intent.intent_id}=8")
    bench.list_of(rows[0], replace(rows[1], filled_quantity=10, filled_amount_krw=700_000), rows[2])
    assert (order.status, bench.ledger.position(SYMBOL).quantity) == (S.FILLED, 10)
    assert [each.order_no for each in bench.ledger.orders.values() if not each.own] == [
        "0000000007", "0000000009",
    ]  # fmt: skip


def test_a_late_row_is_not_ours_when_an_equal_one_was_taken_for_the_owner_s():
    """Two equal orders, one seen before and one after the search ended: nobody can tell."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    bench.answer(call, bot.Outcome.UNKNOWN)
    order = orders_of(bench)[0]
    bench.engine.core.apply(bot.OrderUpdate(order.intent.intent_id, E.ABSENT, bench.now))
    rows = [bench.row(order, number=f"000000000{n}") for n in (7, 8, 9)]
    bench.list_of(*rows[:2])
    bench.list_of(*rows)
    assert order.status is S.LOST
    assert len([each for each in bench.ledger.orders.values() if not each.own]) == 3


@pytest.mark.parametrize("said", ["0000000762", "762"])
def test_the_owner_names_the_number_of_an_order(said):
    """However he writes it, the list's row is found under it."""
    bench, order = quarantined()
    bench.command("resolve", text=f"{order.intent.intent_id}={said}")
    bench.list_of(bench.row(order, 10, number="0000000762"))
    assert (order.status, bench.ledger.position(SYMBOL).quantity) == (S.FILLED, 10)


@pytest.mark.parametrize("text", ["", "x=absent", "=", "nonsense"])
def test_a_word_about_no_order_changes_nothing(text):
    """It is answered with an alert."""
    bench, order = quarantined()
    assert alerts(bench.command("resolve", text=text)) == ["error"]
    assert order.status is S.QUARANTINED


@pytest.mark.parametrize("said", ["", "Absent", "yes", "12345678901"])
def test_a_word_that_is_no_number_changes_nothing(said):
    """A slip of the pen must not make an order that works, or one that is lost."""
    bench, order = quarantined()
    bench.command("resolve", text=f"{order.intent.intent_id}={said}")
    assert order.status is S.QUARANTINED


# --- the kill switch --------------------------------------------------------------------

LEVELS = list(bot.KillLevel)


@pytest.mark.parametrize("level", LEVELS[1:])
def test_no_level_but_active_lets_an_entry_pass(level):
    """Exits go on at every level."""
    bench = Bench().start()
    bench.command("level", level=level, text="owner")
    assert refused_with(bench, "LEVEL")


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_does_what_the_ones_before_do_and_more(level):
    """REDUCE_ONLY takes resting entries back; FLATTEN_AND_HALT closes positions."""
    bench = Bench().start()
    bench.hold_shares()
    bench.answer(calls(bench.want(wish("rest", OTHER)))[0])
    actions = bench.command("level", level=level, text="owner") + bench.wait(2)
    expected = []
    if level >= bot.KillLevel.FLATTEN_AND_HALT:
        expected.append(("new", SYMBOL, SELL))
    if level >= bot.KillLevel.REDUCE_ONLY:
        expected.append(("cancel", OTHER, BUY))
    assert [(c.action, c.intent.symbol, c.intent.side) for c in calls(actions)] == expected


def test_the_loss_of_a_day_tightens_the_switch_for_that_day():
    """50,000 won lost, the open position counted: REDUCE_ONLY until tomorrow."""
    bench = Bench().start()
    bench.hold_shares(bot.ExitPlan(50_000))
    bench.trade(65_100)
    assert alerts(bench.wait(1)) == []
    bench.trade(65_000)
    assert alerts(bench.wait(1)) == ["level"]
    assert (bench.ledger.level, bench.ledger.level_by_rule) == (bot.KillLevel.REDUCE_ONLY, True)
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.command("day", session=bot.session_of(NEXT_DAY))
    assert bench.ledger.level is bot.KillLevel.ACTIVE


def test_the_owner_s_level_stays_over_night():
    """Only he moves it back."""
    bench = Bench().start()
    bench.command("level", level=bot.KillLevel.REDUCE_ONLY, text="owner")
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.command("day", session=bot.session_of(NEXT_DAY))
    assert bench.ledger.level is bot.KillLevel.REDUCE_ONLY


def test_the_owner_can_make_a_rule_s_level_his_own():
    """After the rule fired he says REDUCE_ONLY: it must not end with the night."""
    bench = Bench().start()
    bench.hold_shares(bot.ExitPlan(50_000))
    bench.trade(60_000)
    bench.wait(1)
    assert bench.ledger.level_by_rule
    bench.command("level", level=bot.KillLevel.REDUCE_ONLY, text="owner")
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.command("day", session=bot.session_of(NEXT_DAY))
    assert bench.ledger.level is bot.KillLevel.REDUCE_ONLY


def test_lost_rounds_in_a_row_pause_the_symbol():
    """Three lost rounds: thirty minutes of pause, then it may buy again."""
    bench = Bench(limits={"losses_in_a_row": 1, "loss_pause_minutes": 30}).start()
    bench.hold_shares()
    bench.answer(calls(bench.trade(69_000))[0])
    bench.fill(orders_of(bench)[-1], price=69_000)
    assert refused_with(bench, "LOSING_STREAK")
    assert len(calls(bench.want(wish("other", OTHER)))) == 1
    later = bench.now + timedelta(minutes=31)
    bench.at(f"{later:%H:%M:%S}")
    assert calls(bench.want(wish("later"))) != []


def test_orders_are_braked_by_the_minute():
    """A strategy gone wild is stopped by the rate."""
    bench = Bench(limits={"max_orders_per_minute": 2}, bar_minutes=1).start()
    found = []
    for n in range(4):
        bench.trade(70_000)
        bench.seen(instrument())
        bench.engine.entries.consider(bench.state, wish(str(n)))
        actions = bench.feed(bot.TimeEvent(bench.now))
        for call in calls(actions):
            bench.answer(call, bot.Outcome.REFUSED)
        found += [row.data["code"] for row in records(actions, "refusal")]
        bench.wait(2)
    assert (found, bench.ledger.today.orders) == (["RATE", "RATE"], 2)


# --- determinism ------------------------------------------------------------------------


def story():
    """Play a day: entry, fill, stop, escalation, unknown order, gap, level; return the bench."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares(bot.ExitPlan(69_000, 0, 0.01))
    for price in (70_500, 71_200, 70_300):
        bench.trade(price)
    bench.answer(calls(bench.actions)[-1])
    for _ in range(12):
        for change in calls(bench.wait(1)):
            bench.answer(change)
    bench.fill(orders_of(bench)[-1], price=70_200)
    bench.answer(calls(bench.want(wish("u", OTHER)))[0], bot.Outcome.UNKNOWN)
    bench.command("feed down")
    bench.wait(20)
    bench.command("feed up")
    bench.list_of(*bench.rows())
    bench.command("level", level=bot.KillLevel.FLATTEN_AND_HALT, text="owner")
    bench.wait(5)
    return bench


def test_the_same_events_give_the_same_actions_and_digest():
    """A replay decides as the day did, bit for bit."""
    one, two = story(), story()
    assert one.actions == two.actions
    assert one.engine.digest.hexdigest() == two.engine.digest.hexdigest()
    assert len(calls(one.actions)) >= 5


def test_the_digest_covers_every_row():
    """Another event gives another digest."""
    one, two = story(), story()
    two.command("level", level=bot.KillLevel.ACTIVE, text="owner")
    assert one.engine.digest.hexdigest() != two.engine.digest.hexdigest()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati"])
def test_the_zone_of_the_host_does_not_matter(zone, monkeypatch):
    """Only times in events count."""
    expected = story().engine.digest.hexdigest()
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", zone)
    host_time.tzset()
    try:
        assert story().engine.digest.hexdigest() == expected
    finally:
        if before is None:
            monkeypatch.delenv("TZ")
        else:
            monkeypatch.setenv("TZ", before)
        host_time.tzset()


def test_time_does_not_go_back_by_a_moment():
    """A slightly older time event changes nothing."""
    bench = Bench().start()
    assert bench.feed(bot.TimeEvent(bench.now - timedelta(seconds=2))) == []
    assert bench.engine.core.now == bench.now


def test_intent_ids_name_their_cause():
    """Any part of the cause makes another id; the same cause the same, in any process."""
    base = ("Breakout", DAY, SYMBOL, BUY, "1005", "entry")
    changes = ["x", NEXT_DAY, OTHER, SELL, "1010", "exit:1"]
    others = {
        bot.intent_id_of(*(new if n == at else old for n, old in enumerate(base)))
        for at, new in enumerate(changes)
    }
    assert len(others | {bot.intent_id_of(*base)}) == 7
    assert bot.intent_id_of(*base) == "4c14dc29de694aac"
