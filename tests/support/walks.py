"""Days of chance for the engine alone: a broker and a market made of numbers, each day kept or checked.

A walk feeds an engine what a seed and a weather draw: trades, quotes, halts, answers that come late or
never, lists that lag, orders of the owner, gaps, words of the owner, restarts, a night with a split.
Questions are answered as they were when asked. After each restart the ledger of the rows must equal
the one that lived. `lines` is everything that the engine wanted, one line each: what, the values that
a person looks at, and four digits that stand for all the others.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from compare import CODE, differences, fields_of

import kis_realtime_trading as bot

DAY, NEXT_DAY = date(2026, 11, 20), date(2026, 11, 23)
STOCKS = ("005930", "247540", "069500")
LEFT = "000660"  # a stock that the settings of the second day no longer name
BUY, SELL = bot.Side.BUY, bot.Side.SELL
K = bot.OrderKind


class Weather(NamedTuple):
    """How a walk is drawn: its seed, what it happens to be full of, and settings."""

    seed: int
    often: dict[str, int]  # weight of what happens, beside the usual ones
    luck: str = "aaaaaaaa"  # how calls end: one letter for one in so many, see Broker.end
    slow_s: int = 0  # answers take up to so many seconds
    paper: bool = False
    night: str = ""  # what happens to the first stock over night
    settings: dict[str, Any] = {}  # noqa: RUF012  read only
    limits: dict[str, Any] = {}  # noqa: RUF012
    cash: int = 10_000_000
    strategy: str = "scripted"
    owners: dict[str, int] = {}  # noqa: RUF012  shares of his as the first day begins


USUAL = {
    "trade": 40,
    "quote": 6,
    "wish": 9,
    "fill": 16,
    "list": 7,
    "account": 3,
    "price": 2,
    "long": 2,
}
KEPT = {  # those that go everywhere first
    "doubts": Weather(224, {"word": 6, "account": 4, "long": 3, "owner": 1}, "aull", night="gone",
                      settings={"flat_at": None, "entry_timeout_s": 600}),
    "everything": Weather(416, {"gap": 2, "halt": 1, "auction": 1, "odd": 2, "owner": 2, "word": 2, "level": 1,
                               "restart": 1, "notice": 3, "jump": 2, "wrong": 1}, "aaaaaaruln", 4),
    "breakout": Weather(515, {"minutes": 30}, strategy="breakout"),
    "ex-day": Weather(511, {"word": 2}, night="ex-day",
                      settings={"flat_at": None, "on_corporate_action": "scale"}),
    "feed": Weather(907, {"gap": 4, "halt": 3, "auction": 4, "odd": 5}),
    "refused": Weather(303, {"wish": 12, "jump": 2}, "aarrt"),
    "owner": Weather(208, {"owner": 5, "word": 5, "list": 12}, "aaaaau"),
    "gone": Weather(212, {"restart": 1}, night="gone", settings={"flat_at": None}),
    "split": Weather(510, {"jump": 1}, night="split", settings={"flat_at": None}),
    "twins": Weather(619, {"owner": 4, "list": 12, "wrong": 1}, "auulx"),
    "poor": Weather(717, {"wish": 14, "jump": 3}, limits={
        "max_daily_loss_krw": 30_000, "max_symbol_krw": 1_500_000, "max_total_krw": 2_200_000,
        "max_drawdown_krw": 25_000, "max_orders_per_minute": 3, "max_orders_per_day": 25,
        "losses_in_a_row_all": 2, "max_quantity": 15}),
    "clocks": Weather(314, {"clock": 3, "late": 3, "jump": 2, "level": 3}),
    "stubborn": Weather(322, {"wish": 14, "jump": 2}, "arrrrrt"),
    "restarts": Weather(409, {"restart": 4, "jump": 2}, "aaaauln", settings={"flat_at": None}),
    "owner-s-shares": Weather(121, {"owner": 2, "word": 4, "level": 2, "list": 9}, owners={STOCKS[0]: 7}),
    "slow": Weather(806, {"list": 10}, "aaaaul", slow_s=12),
    "lost": Weather(605, {"account": 6, "list": 9}, "aaaauulx"),
    "no-cash": Weather(418, {"wish": 12, "account": 5, "fill": 20}, cash=2_500_000),
    "paper": Weather(713, {"notice": 8, "account": 6}, "aaaaul", paper=True),
    "nobody": Weather(804, {"jump": 3}, "aaannt", settings={"exit_step_s": 3}),
    "trailing": Weather(502, {"jump": 2}, settings={"flat_at": None}),
}  # fmt: skip


class Wants(bot.TradingStrategy):
    """Wants what the walk put into `wishes`: at bars, trades and quotes alike."""

    def __init__(self) -> None:
        super().__init__()
        self.wishes: list[bot.OrderRequest] = []

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> bot.OrderRequest | None:
        return self._next(view)

    def on_trade(self, view: bot.StrategyView, trade: bot.Trade) -> bot.OrderRequest | None:
        return self._next(view)

    def on_quote(self, view: bot.StrategyView, quote: bot.Quote) -> bot.OrderRequest | None:
        return self._next(view)

    def _next(self, view: bot.StrategyView) -> bot.OrderRequest | None:
        if not self.wishes or self.wishes[0].symbol not in (view.symbol, STOCKS[2]):
            return None
        wish = self.wishes.pop(0)
        if wish.signal == "fails":
            raise ZeroDivisionError
        return wish


class Broker:
    """The broker's truth of one day: rows, shares, prices; what it answers, and how late."""

    def __init__(self, pick: random.Random) -> None:
        self.pick = pick
        self.rows: dict[str, bot.BrokerOrder] = {}
        self.before: dict[str, bot.BrokerOrder] = {}  # those of the day before
        self.past: list[tuple[datetime, dict[str, bot.BrokerOrder]]] = []
        self.shares: dict[str, int] = {}
        self.base = dict.fromkeys((*STOCKS, LEFT), 70_000)
        self.price = dict(self.base)
        self.blocked: dict[str, str] = {}
        self.numbers = itertools.count(1)

    def rest(self, row: bot.BrokerOrder) -> int:
        """Return the shares of a row that may still be filled."""
        return row.quantity - row.filled_quantity - row.cancelled_quantity - row.rejected_quantity

    def note(self, now: datetime) -> None:
        """Remember the rows of this moment: lists lag."""
        self.past.append((now, dict(self.rows)))

    def free(self, symbol: str) -> int:
        """Return the shares that no sell holds."""
        held = sum(
            self.rest(row)
            for row in self.rows.values()
            if row.side is SELL and row.symbol == symbol and not row.original_no
        )
        return max(0, self.shares.get(symbol, 0) - held)

    def place(
        self, symbol: str, side: bot.Side, quantity: int, price: int, kind: str, now: datetime,
        original: str = "",
    ) -> str:  # fmt: skip
        """Let an order rest; return its number."""
        number = f"{next(self.numbers):010d}"
        self.rows[number] = bot.BrokerOrder(
            number,
            original,
            f"0601{int(number) % 3}",
            symbol,
            side,
            kind,
            quantity,
            price,
            0,
            0,
            0,
            0,
            f"{now:%H%M%S}",
        )
        self.note(now)
        return number

    def execute(self, call: bot.OrderCall, now: datetime) -> str:
        """Let a call reach the exchange; return its number, "" when it is refused."""
        intent = call.intent
        if call.action == "new":
            short = intent.side is SELL and intent.quantity > self.free(intent.symbol)
            return "" if short else self.place(
                intent.symbol, intent.side, intent.quantity, intent.price, str(intent.kind), now
            )  # fmt: skip
        old = self.rows.get(call.order_no)
        rest = self.rest(old) if old else 0
        if old is None or rest <= 0:
            return ""
        self.rows[old.order_no] = replace(old, cancelled_quantity=old.cancelled_quantity + rest)
        number = self.place(
            old.symbol, old.side, rest, call.price, call.kind, now, original=old.order_no
        )
        if call.action == "cancel":
            self.rows[number] = replace(self.rows[number], price=0, cancelled_quantity=rest)
            self.note(now)
        return number

    def fill(self, number: str, shares: int, now: datetime) -> int:
        """Fill a part of a row; return the price."""
        row = self.rows[number]
        price = self.price[row.symbol] if not row.price else row.price
        self.rows[number] = replace(
            row, filled_quantity=row.filled_quantity + shares,
            filled_amount_krw=row.filled_amount_krw + shares * price,
        )  # fmt: skip
        held = self.shares.get(row.symbol, 0)
        self.shares[row.symbol] = max(0, held + row.side.sign * shares)
        self.note(now)
        return price

    def listed(self, asked: datetime, lag_s: int) -> bot.OrderList:
        """Return the order list as it was some seconds before it was asked."""
        then = [rows for at, rows in self.past if at <= asked - timedelta(seconds=lag_s)]
        return bot.OrderList(tuple((then[-1] if then else {}).values()))

    def instrument(self, symbol: str, whole: bool = True) -> bot.Instrument:
        """Return the price answer; not whole: without the limits of the day."""
        base, market = self.base[symbol], "KOSDAQ" if symbol == STOCKS[1] else "KOSPI"
        lower, upper = (
            (base * 7 // 10 // 500 * 500, base * 13 // 10 // 500 * 500) if whole else (0, 0)
        )
        return bot.Instrument(
            symbol, market, symbol == STOCKS[2], base, upper, lower, self.price[symbol],
            blocked=self.blocked.get(symbol, ""),
        )  # fmt: skip

    def balance(self, cash: int) -> bot.Balance:
        """Return cash and shares."""
        lines = tuple(
            bot.Holding(symbol, shares, self.free(symbol), Decimal(70_000), symbol * 2)
            for symbol, shares in self.shares.items()
            if shares
        )
        return bot.Balance(cash, 0, cash, lines)


class Walk:
    """One walk of two days; `lines` tells all of it."""

    def __init__(self, weather: Weather) -> None:
        self.weather, self.pick = weather, random.Random(weather.seed)
        self.broker = Broker(self.pick)
        self.now = datetime.combine(DAY, time(8, 30), bot.KST)
        self.lines: list[str] = []
        self.states: list[str] = []
        self.rows: list[bot.Record] = []
        self.sent: list[str] = []
        self.calls: list[bot.OrderCall] = []
        self.due: list[tuple[datetime, bot.Event]] = []
        self.totals = dict.fromkeys((*STOCKS, LEFT), 0)
        self.signals = itertools.count(1)
        self.cash_off, self.cash_seen, self.looked = 0, 0, ""
        self.symbols = (*STOCKS[:2], LEFT)
        self.engine, self.rebuilt = self._engine(bot.Ledger()), bot.Ledger()

    def _engine(self, ledger: bot.Ledger) -> bot.Engine:
        limits = {
            "max_order_krw": 2_000_000, "max_symbol_krw": 4_000_000, "max_total_krw": 6_000_000,
            "max_daily_loss_krw": 400_000, "max_daily_loss_pct": 50, "max_orders_per_minute": 8,
            "losses_in_a_row": 2, "loss_pause_minutes": 2, "max_positions": 2,
            "max_drawdown_krw": 200_000, "collar_pct": 2.0, **self.weather.limits,
        }  # fmt: skip
        settings = bot.BotSettings.model_validate({
            "symbols": self.symbols, "limits": limits, "entry_timeout_s": 20, "bar_minutes": 1,
            **self.weather.settings,
        })  # fmt: skip
        if self.weather.strategy == "breakout":
            wanted = {
                "lookback_bars": 3,
                "volume_ratio": 0.8,
                "first_bar_minutes": 2,
                "cooldown_bars": 1,
            }
            parameters: Any = bot.Breakout.Parameters.model_validate(wanted)
            strategy: bot.TradingStrategy = bot.Breakout(parameters)
        else:
            strategy = Wants()
        return bot.Engine(settings, strategy, ledger, self.weather.paper)

    # --- what goes in and what comes out ---

    def feed(self, event: bot.Event) -> None:
        """Feed one event; keep what it leads to."""
        if isinstance(event, bot.Seen) and isinstance(event.value, bot.Cash):
            self.cash_seen = event.value.amount_krw
        for action in self.engine.handle(event):
            self.lines.append(f"{self.now:%H:%M:%S} {line_of(action)}")
            if isinstance(action, bot.Record):
                self.rows.append(action)
                self._keep(action)
            elif isinstance(action, bot.OrderCall):
                if action.action == "new":
                    self._check(action.intent)
                self.calls.append(action)
            elif isinstance(action, bot.Ask):
                self._asked(action)

    def _keep(self, row: bot.Record) -> None:
        """Take a row into the ledger that is made of rows alone."""
        if row.kind == "instrument":
            self.rebuilt.instruments[row.ref] = row.data
        elif row.kind in ("intent", "ledger"):
            self.rebuilt.apply(bot.entry_from_json(bot.canonical_json(row.data)))

    def compare(self) -> None:
        """Hold the ledger that lives against the one of its rows, field by field; note the whole state."""
        assert differences(self.engine.core.ledger, self.rebuilt) == []
        self.states.append(f"{self.now:%H:%M:%S} {' '.join(state_of(self.engine))}")

    def _check(self, intent: bot.OrderIntent) -> None:
        """Hold what leaves against what must always hold."""
        assert intent.intent_id not in self.sent, "an intent was sent twice"
        self.sent.append(intent.intent_id)
        core, limits = self.engine.core, self.engine.core.settings.limits
        ledger = core.ledger
        if intent.side is SELL:
            assert intent.quantity <= ledger.position(intent.symbol).quantity, "more than is held"
            return
        assert self.rows[-1].data is intent, "its row comes first"
        assert ledger.level is bot.KillLevel.ACTIVE and not core.holds
        assert intent.symbol in core.settings.symbols and intent.symbol not in ledger.stopped
        assert time(9) <= self.now.time() < core.settings.last_entry
        value = intent.quantity * (intent.price or core.symbols[intent.symbol].upper_limit)
        assert 0 < intent.quantity <= limits.max_quantity and value <= limits.max_order_krw
        assert sum(self._cost(symbol) for symbol in core.symbols) <= limits.max_total_krw
        assert self._cost(intent.symbol) <= limits.max_symbol_krw
        assert value <= self.cash_seen

    def _cost(self, symbol: str) -> int:
        """Return the won put into a stock of ours, resting buys of ours with it."""
        ledger = self.engine.core.ledger
        buys = [each for each in ledger.open_orders(symbol) if each.own and each.intent.side is BUY]
        upper = self.engine.core.symbols[symbol].upper_limit
        resting = sum((o.intent.quantity - o.filled_quantity) * (o.price or upper) for o in buys)
        return int(ledger.position(symbol).cost) + resting

    def _asked(self, ask: bot.Ask) -> None:
        """Note the answer to a question, as it is now, for the moment when it comes."""
        luck, broker = self.pick.random(), self.broker
        if luck < 0.06:
            return  # it never comes
        value: Any
        if ask.what == "orders" and ask.symbol:
            value = bot.OrderList(tuple(broker.before.values()), date.fromisoformat(ask.symbol))
        elif ask.what == "orders":
            value = self._list()
        elif ask.what == "cash":
            value = bot.Cash(max(0, self._cash() - self._bound()))
        elif ask.what == "holdings":
            value = broker.balance(self._cash())
        else:
            value = broker.instrument(ask.symbol, luck < 0.95)
        self.later(bot.Seen(value, self.now))

    def _list(self) -> bot.OrderList:
        if self.weather.paper and self.pick.random() < 0.5:
            return bot.OrderList(
                self.broker.listed(self.now, 0).rows[: -self.pick.choice((1, 1, 99))]
            )
        return self.broker.listed(self.now, self.pick.choice((0, 0, 1, 4)))

    def _cash(self) -> int:
        return self.engine.core.ledger.cash_krw + self.cash_off

    def _bound(self) -> int:
        rows = [row for row in self.broker.rows.values() if row.side is BUY]
        return sum(self.broker.rest(row) * (row.price or 91_000) for row in rows)

    def later(self, event: bot.Event) -> None:
        """Have an event come after as long as answers take."""
        wait = self.pick.randint(0, self.weather.slow_s or 1)
        self.due.append((self.now + timedelta(seconds=wait), event))

    def pass_time(self, seconds: int) -> None:
        """Let seconds pass; answers come when they are due."""
        for _ in range(seconds):
            for part in self.pick.choice(((1_000,), (1_000,), (400, 600))):
                self.now += timedelta(milliseconds=part)
                self.feed(bot.TimeEvent(self.now))
            ready = [event for at, event in self.due if at <= self.now]
            self.due = [each for each in self.due if each[0] > self.now]
            for event in ready:
                self.feed(event)

    def jump_to(self, text: str) -> None:
        """Go to a time of day, the order list read a second before."""
        self.now = datetime.combine(self.now.date(), time.fromisoformat(text), bot.KST)
        self.due = []  # nothing of before comes now
        self.feed(bot.Seen(self.broker.listed(self.now, 0), self.now))
        self.pass_time(1)

    def word(self, name: str, **more: Any) -> None:
        """Feed a command."""
        self.feed(bot.Command(name, self.now, **more))  # type: ignore[arg-type]

    def end_call(self) -> None:
        """End the oldest call: accepted, refused, too fast, nothing left, unknown and executed or not."""
        if not self.calls:
            return
        call, luck = self.calls.pop(0), self.pick.choice(self.weather.luck)
        if why := self.engine.too_late(call):
            answer = bot.OrderAnswer(bot.Outcome.NOT_SENT, "", "", "", why)
            self.feed(bot.OrderAnswered(call.intent.intent_id, answer, self.now))
            return
        number = self.broker.execute(call, self.now) if luck in "aux" else ""
        if luck == "r" or (luck in "a" and not number):
            answer = bot.OrderAnswer(
                bot.Outcome.REFUSED, "", "", "APBK0919", "주문이 거부되었습니다"
            )
        elif luck == "t":
            answer = bot.OrderAnswer(
                bot.Outcome.NOT_SENT, "", "", bot.TOO_FAST, "the gate's count is full"
            )
        elif luck == "n":
            code = self.pick.choice(("", "EGW00201"))
            answer = bot.OrderAnswer(bot.Outcome.NOT_SENT, "", "", code, "no connection")
        elif luck in "ulx":
            answer = bot.OrderAnswer(bot.Outcome.UNKNOWN, "", "", "", "no answer in time")
        else:
            branch = self.broker.rows[number].branch
            answer = bot.OrderAnswer(bot.Outcome.ACCEPTED, number, branch, "APBK0013", "")
        if luck == "x":  # executed at once, before anybody heard of it
            self._fill_row(number)
        self.feed(bot.OrderAnswered(call.intent.intent_id, answer, self.now))

    def _fill_row(self, number: str) -> None:
        rest = self.broker.rest(self.broker.rows[number]) if number else 0
        if rest > 0:
            row, shares = (
                self.broker.rows[number],
                max(1, rest * self.pick.choice((3, 5, 10, 10)) // 10),
            )
            if row.side is SELL:
                shares = min(shares, self.broker.shares.get(row.symbol, 0))
            if shares <= 0:
                return
            price = self.broker.fill(number, shares, self.now)
            if self.pick.random() < 0.8:
                self.later(bot.Notice(bot.NoticeKind.FILL, "0", number, row.original_no, row.symbol,
                                      row.side, shares, price, f"{self.now:%H%M%S}"))  # fmt: skip

    def look(self) -> None:
        """Note what others may ask the engine: a line when it changed."""
        core = self.engine.core
        asked = [core.last_fill_at == self.now, self.engine.expects_data(), bot.has_exposure(core.ledger),
                 bot.left_behind(core.ledger, ""), core.day_result_krw(), core.morning_equity_krw()]  # fmt: skip
        for symbol, state in core.symbols.items():
            asked += [
                bot.holds_of(core, symbol), self.engine.entries.room(symbol), core.fresh_price(symbol), state.view.quote,
                core.last_price(symbol), len(core.ledger.open_orders(symbol)), core.matters(symbol), state.view.day_vwap,
                bot.name_of(core, symbol), state.view.bars[-1] if state.view.bars else None,
                state.halted, state.auction, state.view.fund, state.builder.dropped,
            ]  # fmt: skip
        digits = digits_of(asked)
        if digits != self.looked:
            self.looked = digits
            self.lines.append(f"{self.now:%H:%M:%S} looks {digits}")

    # --- what happens ---

    def step(self) -> None:
        """Let one thing happen, after some seconds."""
        often = {**USUAL, **self.weather.often}
        names = list(often)
        self.pass_time(self.pick.choice((0, 1, 1, 1, 2, 3)))
        if self.pick.random() < 0.8:
            self.end_call()
        self.look()
        what: Callable[[str], None] = getattr(
            self, f"_do_{self.pick.choices(names, list(often.values()))[0]}"
        )
        what(self.pick.choice(self.symbols))

    def _do_trade(self, symbol: str, moved: float = 0.0, **more: Any) -> None:
        broker = self.broker
        drift = 1 + (moved or self.pick.choice((-0.004, -0.002, -0.001, 0, 0.001, 0.002, 0.004)))
        base = broker.base[symbol]
        price = min(max(broker.price[symbol] * drift, base * 0.75), base * 1.25)
        broker.price[symbol] = bot.round_to_tick(price, symbol == STOCKS[2], False)
        volume = self.pick.randint(1, 40)
        self.totals[symbol] += volume + self.pick.choice((0,) * 9 + (5,))
        values = {"ts_exchange": self.now, "price": broker.price[symbol], "volume": volume,
                  "cum_volume": self.totals[symbol], "cum_value_krw": self.totals[symbol] * 69_000,
                  "halted": False, **more}  # fmt: skip
        self.feed(bot.Trade(symbol, *values.values()))

    def _do_jump(self, symbol: str) -> None:
        self._do_trade(symbol, self.pick.choice((-0.03, -0.015, 0.03, -0.12)))

    def _do_minutes(self, symbol: str) -> None:
        for _ in range(4):
            self._do_trade(symbol, self.pick.choice((-0.002, 0.003, 0.004)))
            self.pass_time(self.pick.randint(5, 25))
        self.later(bot.Seen(self._list(), self.now))

    def _do_odd(self, symbol: str) -> None:
        """Trades that are none: an impossible price, a time to come, a total too high, one repeated."""
        price, total = self.broker.price[symbol], self.totals[symbol]
        bad: dict[str, Any] = self.pick.choice((
            {"price": 200_000}, {"ts_exchange": self.now + timedelta(minutes=5)}, {"cum_volume": total * 50 + 9},
            {"ts_exchange": self.now - timedelta(seconds=20)}, {"cum_volume": max(1, total - 5)},
            {"ts_exchange": self.now - timedelta(days=1)}, {"cum_volume": total * 3 + 9},
        ))  # fmt: skip
        self._do_trade(symbol, 0.0, **bad)
        self.broker.price[symbol] = price

    def _do_quote(self, symbol: str, code: str = "0", back_s: int = 0) -> None:
        price = self.broker.price[symbol]
        bid = self.pick.choice((price - 100, price - 100, price, 0))
        at = self.now - timedelta(seconds=back_s)
        self.feed(bot.Quote(symbol, at, price + 100, bid, 5, 5, 0, code))

    def _do_auction(self, symbol: str) -> None:
        self._do_quote(symbol, "C")
        self.pass_time(self.pick.choice((1, 5, 130)))
        if self.pick.random() < 0.5:
            self._do_trade(symbol)

    def _do_halt(self, symbol: str) -> None:
        if self.pick.random() < 0.5:
            self.feed(
                bot.MarketStatus(symbol, self.pick.random() < 0.5, self.pick.random() < 0.3, "")
            )
        else:
            self._do_trade(symbol, halted=self.pick.random() < 0.5)
        self.broker.blocked[symbol] = self.pick.choice(("", "", bot.HALTED, "administrative issue"))

    def _do_wish(self, symbol: str) -> None:
        price, pick = self.broker.price[symbol], self.pick
        if pick.random() < 0.6:
            self._sound_wish(symbol)
            return
        plan = bot.ExitPlan(
            pick.choice((price - 500, price - 500, price - 1_500, price + 500)),
            pick.choice((0, price + 700, price + 2_000)), pick.choice((0.0, 0.0, 0.01, 0.004)),
        )  # fmt: skip
        kind = pick.choice((K.LIMIT,) * 6 + (K.MARKET, K.BEST_LIMIT))
        wish = bot.OrderRequest(
            symbol if pick.random() < 0.95 else STOCKS[2], pick.choice((BUY,) * 9 + (SELL,)), pick.choice((1, 4, 10, 10, 20, 30, 0)),
            pick.choice((f"s{next(self.signals)}",) * 6 + ("again", "fails" if pick.random() < 0.04 else "x")),
            kind, (price + pick.choice((0, 100, 100, 200, 5_000, 50))) * kind.priced,
            pick.choice((plan, plan, plan, None)), "a wish",
        )  # fmt: skip
        if isinstance(self.engine.strategy, Wants):
            self.engine.strategy.wishes = [wish]
            self._do_trade(symbol)

    def _sound_wish(self, symbol: str, far: bool = False) -> None:
        """Want what no rule of the wish alone refuses; far: with levels that nothing reaches."""
        price, pick = self.broker.price[symbol], self.pick
        stop, target = pick.choice((300, 500, 1_500)), pick.choice((0, 500, 2_000))
        plan = bot.ExitPlan(price - stop, target and price + target, pick.choice((0.0, 0.004)))
        if far:
            plan = bot.ExitPlan(price // 2 // 1_000 * 1_000, price // 1_000 * 2_000)
        side = (
            SELL
            if self.engine.core.ledger.position(symbol).quantity and pick.random() < 0.3
            else BUY
        )
        wish = bot.OrderRequest(
            symbol, side, pick.choice((5, 10, 20)), f"s{next(self.signals)}", price=price + 100, plan=plan,
            reason="sound",
        )  # fmt: skip
        if isinstance(self.engine.strategy, Wants):
            self.engine.strategy.wishes = [wish]
            self._do_trade(symbol, 0.0001)

    def _hold_over_night(self) -> None:
        """Settle; then buy two stocks whose levels nothing reaches, and have them filled."""
        for _ in range(5):
            while self.calls:
                self.end_call()
            for number in list(self.broker.rows):
                self._fill_row(number)
            self.pass_time(6)
            self.feed(bot.Seen(self.broker.listed(self.now, 0), self.now))
        second = LEFT if self.weather.night == "gone" else STOCKS[1]
        for symbol in (STOCKS[0], second):
            self._sound_wish(symbol, far=True)
            self.pass_time(3)
            self.end_call()
            for number, row in list(self.broker.rows.items()):
                if row.symbol == symbol and row.side is BUY and self.broker.rest(row) > 0:
                    self.broker.fill(number, self.broker.rest(row), self.now)
            self.pass_time(7)
            self.feed(bot.Seen(self.broker.listed(self.now, 0), self.now))

    def _do_wrong(self, symbol: str) -> None:
        """A list with a row that cannot be ours under a number of ours."""
        rows = list(self.broker.listed(self.now, 0).rows)
        if rows:
            odd = self.pick.choice(
                ({"symbol": "999999"}, {"filled_quantity": 10**6}, {"time": "xx"}, {"branch": ""})
            )
            rows[-1] = replace(rows[-1], **odd)
            self.later(bot.Seen(bot.OrderList(tuple(rows)), self.now))

    def _do_fill(self, symbol: str) -> None:
        alive = [number for number, row in self.broker.rows.items() if self.broker.rest(row) > 0]
        if alive:
            self._fill_row(self.pick.choice(alive))

    def _do_list(self, symbol: str) -> None:
        self.later(bot.Seen(self._list(), self.now))

    def _do_account(self, symbol: str) -> None:
        if self.pick.random() < 0.1:
            self.cash_off = self.pick.choice((0, 10_000, -777))
        self.later(bot.Seen(bot.Cash(max(0, self._cash() - self._bound())), self.now))
        self.later(bot.Seen(self.broker.balance(self._cash()), self.now))

    def _do_price(self, symbol: str) -> None:
        self.later(bot.Seen(self.broker.instrument(symbol, self.pick.random() < 0.9), self.now))

    def _do_long(self, symbol: str) -> None:
        self.pass_time(self.pick.choice((12, 25, 65, 185)))

    def _do_gap(self, symbol: str) -> None:
        self.word("feed down")
        self.pass_time(self.pick.choice((0, 3, 70)))
        self.word("feed up")

    def _do_notice(self, symbol: str) -> None:
        """A notice of a receipt, a cancel, a fill told twice."""
        rows = list(self.broker.rows.values())
        if not rows:
            return
        row, kind = self.pick.choice(rows[-4:]), self.pick.choice(list(bot.NoticeKind))
        self.feed(bot.Notice(kind, self.pick.choice("0012"), row.order_no, row.original_no, row.symbol, row.side,
                             max(1, row.filled_quantity or row.quantity), row.price, f"{self.now:%H%M%S}"))  # fmt: skip

    def _do_owner(self, symbol: str) -> None:
        """The owner orders by his phone: like one of ours, or another; it is filled or taken back."""
        broker, pick = self.broker, self.pick
        ours = [order.intent for order in self.engine.core.ledger.open_orders(symbol) if order.own]
        side, quantity, price = (
            pick.choice((BUY, BUY, SELL)),
            pick.choice((1, 3)),
            broker.price[symbol],
        )
        if ours and pick.random() < 0.5:
            side, quantity, price = ours[0].side, ours[0].quantity, ours[0].price
        if side is SELL and broker.free(symbol) < quantity:
            return
        number = broker.place(symbol, side, quantity, price, "00", self.now)
        if pick.random() < 0.6:
            broker.fill(number, quantity, self.now)

    def _do_word(self, symbol: str) -> None:
        """The owner says something, sensible or not."""
        ledger, pick = self.engine.core.ledger, self.pick
        orders = list(ledger.orders.values())
        waiting = [order for order in orders if order.status is bot.OrderStatus.QUARANTINED]
        said = pick.choice(
            ("buy", "buy", "sell", "cancel", "cancel", "unlock", "resolve", "resolve", "levels")
        )
        order = pick.choice(waiting or orders) if orders else None
        if said == "cancel":
            order = pick.choice([each for each in orders if each.status in bot.RESTING] or [None])
        if ledger.actions and pick.random() < 0.5:
            said, symbol = "levels", next(iter(ledger.actions))
        known = [*self.broker.before, *self.broker.rows]
        number = order.order_no if order and order.order_no else pick.choice(known or ["77"])
        key = order.intent.intent_id if order else "none"
        text = {
            "buy": self.pick.choice((f"{symbol} 3", f"{symbol} 3 {self.broker.price[symbol]}", "999999 1")),
            "sell": symbol, "cancel": number.lstrip("0"), "unlock": symbol,
            "resolve": self.pick.choice((f"{key}=absent", f"{key}={number}", f"{key}=9999")),
            "levels": f"{symbol}={self.pick.choice(('scale', 'keep', 'what'))}",
        }[said]  # fmt: skip
        self.word(said, text=text)

    def _do_level(self, symbol: str) -> None:
        level = self.pick.choice([*[bot.KillLevel.ACTIVE] * 3, *bot.KillLevel])
        self.word("level", level=level, text="the owner")

    def _do_late(self, symbol: str) -> None:
        """The journal is late for some seconds."""
        self.word("hold", text=bot.JOURNAL_LATE)
        self.pass_time(self.pick.choice((1, 4)))
        self.word("release", text=bot.JOURNAL_LATE)

    def _do_clock(self, symbol: str) -> None:
        """The clock is doubted, or stepped forward."""
        if self.pick.random() < 0.5:
            self.word(self.pick.choice(("hold", "release")), text="clock")
        else:
            self.now += timedelta(seconds=self.pick.choice((1, 30)))
            self.feed(bot.TimeEvent(self.now))

    def _do_restart(self, symbol: str) -> None:
        """The process dies and is started again; calls under way were executed or not."""
        self._do_wish(symbol)
        self.pass_time(2)
        self.compare()
        for call in self.calls:
            if self.pick.random() < 0.5:
                self.broker.execute(call, self.now)
        self.calls, self.due = [], []
        end = self.now
        self.engine, self.rebuilt = self._engine(self.rebuilt), bot.Ledger()
        for row in self.rows:
            self._keep(row)
        self.pass_time(20)
        if self.pick.random() < 0.2:  # nobody of ours knows it
            self.broker.place(symbol, BUY, 7, self.broker.price[symbol], "00", self.now)
        self.word("restarted", text=end.isoformat())
        self.word("day", session=bot.session_of(self.now.date()))
        self._ask_all()

    def _ask_all(self) -> None:
        """Answer what each start asks."""
        for symbol in self.engine.core.symbols:
            self.feed(bot.Seen(self.broker.instrument(symbol, self.pick.random() < 0.9), self.now))
        self.feed(bot.Seen(self.broker.listed(self.now, 0), self.now))
        self.feed(bot.Seen(self.broker.balance(self._cash() or self.weather.cash), self.now))
        self.feed(bot.Seen(bot.Cash(self._cash() or self.weather.cash), self.now))
        self.word("feed up")

    # --- the days ---

    def day(self, steps: int) -> None:
        """Walk through the morning, the steps in three parts of the day, and the evening."""
        session = bot.session_of(self.now.date())
        assert session is not None
        self.word("day", session=session)
        if self.now.date() == DAY:
            self.broker.shares.update(self.weather.owners)
            self.feed(bot.Seen(bot.PastBars(STOCKS[0], tuple(_past(STOCKS[0]))), self.now))
        self._ask_all()
        for start, share in (
            ("08:59:55", 2),
            ("10:00:00", 6),
            ("14:46:00", 1),
            ("15:11:30", 2),
            ("15:19:30", 1),
        ):
            self.jump_to(start)
            for symbol in self.symbols:
                self._do_trade(symbol)
            if self.weather.night and start == "14:46:00":
                self._hold_over_night()
            for n in range(steps * share // 10):
                self.step()
                if n % 8 == 0:
                    self.compare()
        while self.calls:
            self.end_call()
        self.jump_to("15:30:05")
        for symbol in self.symbols:
            self._do_trade(symbol)
        for text in ("15:31:05", "15:32:10", "15:45:30", "15:47:00"):
            self.jump_to(text)
            self.feed(bot.Seen(self.broker.balance(self._cash()), self.now))
        core = self.engine.core
        figures = bot.day_figures(core.ledger, sum(self.totals.values()), self.engine.bars_closed)
        self.lines.append(f"figures {figures} {core.day_result_krw()} {core.morning_equity_krw()}")
        self.word("stop", text="cancel")
        self.word("feed down")
        self.compare()

    def night(self) -> None:
        """Go to the next morning; numbers, rows and totals begin anew."""
        broker, first = self.broker, STOCKS[0]
        broker.before, broker.rows, broker.past, self.due, self.calls = broker.rows, {}, [], [], []
        self.totals = dict.fromkeys(self.totals, 0)
        broker.base = dict(broker.price)
        for symbol in (first, STOCKS[1], LEFT) if self.weather.night else ():
            held = broker.shares.get(symbol, 0)
            if self.weather.night == "split":
                broker.base[symbol], broker.shares[symbol] = (
                    broker.price[symbol] // 2 // 50 * 50,
                    held * 2,
                )
            elif self.weather.night == "ex-day":
                broker.base[symbol] = broker.price[symbol] * 96 // 100 // 100 * 100
            else:
                broker.shares[symbol] = held * 3 // 4
        broker.price = dict(broker.base)
        self.symbols = STOCKS  # another stock than yesterday
        self.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
        if self.weather.night == "gone" or self.pick.random() < 0.5:
            self._do_restart(first)
        self.pass_time(1)

    def two_days(self, steps: int) -> Walk:
        """Walk through both days; return the walk."""
        self.word("restarted")
        self.day(steps)
        self.night()
        self.day(steps * 2 // 3)
        self.lines.append(f"digest {self.engine.digest.hexdigest()[:16]}")
        return self


FILE = Path(__file__).resolve().parent.parent / "oracle" / "walks.txt"
STATES = FILE.with_name("walks-states.txt")  # moved by a field that is named anew: apart
STEPS, PART = 130, 20  # of a walk that is kept; lines of a part


@functools.cache
def walked(name: str) -> Walk:
    """Walk a kept walk; return it."""
    return Walk(KEPT[name]).two_days(STEPS)


def lines_of(name: str) -> list[str]:
    """Walk a kept walk; return all its lines."""
    return walked(name).lines


def parts_of(name: str, lines: list[str]) -> list[str]:
    """Return a line for each twenty of a walk: when it begins, and digits that stand for all of them."""
    parts = [lines[n : n + PART] for n in range(0, len(lines), PART)]
    return [
        f"{name} {n} {part[0].split()[0]} {hashlib.sha256(str(part).encode()).hexdigest()[:8]}"
        for n, part in enumerate(parts)
    ]


def moved(name: str, kept: str | None = None) -> list[str]:
    """Walk a walk again; return the first part that is not what was kept, [] when all is."""
    lines = lines_of(name)
    text = FILE.read_text(encoding="utf-8") if kept is None else kept
    had = [line for line in text.splitlines() if line.split(" ")[0] == name]
    pairs = itertools.zip_longest(had, parts_of(name, lines))
    first = next((n for n, (then, now) in enumerate(pairs) if then != now), None)
    if first is None:
        return []
    return [
        f"part {first} of {len(had)} of the walk {name!r} is now (before: see --show of that commit)",
        *lines[first * PART : (first + 1) * PART],
    ]


def renew() -> None:
    """Let what happens now be what is kept of all walks."""
    parts = [part for name in KEPT for part in parts_of(name, lines_of(name))]
    FILE.write_text("\n".join(parts) + "\n", encoding="utf-8")
    states = [f"{name} {state}" for name in KEPT for state in walked(name).states]
    STATES.write_text("\n".join(states) + "\n", encoding="utf-8")


def moved_state(name: str) -> list[str]:
    """Walk a walk again; return the first state that is not what was kept, [] when all are."""
    had = STATES.read_text(encoding="utf-8").splitlines()
    pairs = itertools.zip_longest(
        (line for line in had if line.split(" ")[0] == name), walked(name).states, fillvalue=""
    )
    for then, now in pairs:
        if then != f"{name} {now}":
            parts = zip(then.split()[2:], now.split()[1:], strict=False)
            return [now, *(b.partition("=")[0] for a, b in parts if a != b)]
    return []


LEFT_OUT = frozenset({
    "._ledger", "._core", ".ledger", ".settings", ".session", "._session", ".strategy", ".reconciler",
    ".symbols", ".out", ".bars", ".instruments", ".core", ".entries", ".exits", ".digest", "._handlers",
    "._looked_at", "._now",  # of the list that is read at the moment: arguments, no memory
})  # fmt: skip


def leaves(value: Any, found: list[str]) -> list[str]:
    """Add all that an object holds, with the names of its fields, to a list; return it."""
    inner = fields_of(value)
    if isinstance(value, set | frozenset):
        found.append(repr(sorted(map(str, value))))
    elif inner is not None:
        for name, each in inner.items():
            if name not in LEFT_OUT:
                found.append(name)
                leaves(each, found)
    elif not isinstance(value, CODE) and " at 0x" not in repr(value):
        found.append(repr(value))
    return found


def state_of(engine: bot.Engine) -> list[str]:
    """Return four digits for each part of what an engine remembers: `name=digits`."""
    core, broker = engine.core, engine._handlers[bot.Notice].__self__  # type: ignore[attr-defined]
    parts = {
        "engine": engine,
        "core": core,
        "ledger": core.ledger,
        "reconciler": core.reconciler,
        "replies": broker,
    }
    parts |= dict(core.symbols)
    return [f"{name}={digits_of(leaves(part, []))}" for name, part in parts.items()]


def _past(symbol: str) -> Iterable[bot.Bar]:
    """Yield the bars of the last minutes of the day before."""
    begin = datetime(2026, 11, 19, 15, 0, tzinfo=bot.KST)
    for n in range(8):
        at = begin + timedelta(minutes=n)
        yield bot.Bar(
            symbol,
            at,
            at + timedelta(minutes=1),
            70_000,
            70_100,
            69_900,
            70_000,
            100 + n,
            7_000_000,
            0,
        )


def digits_of(value: Any) -> str:
    """Return four digits that stand for all of a value."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:4]


def line_of(action: bot.Action) -> str:
    """Return an action as one line: what a person looks at, and four digits of all the rest."""
    if isinstance(action, bot.Ask):
        return f"ask {action.what} {action.symbol}".rstrip()
    digits = digits_of(action)
    if isinstance(action, bot.OrderCall):
        intent = action.intent
        return (
            f"call {action.action} {intent.side} {intent.quantity} {intent.symbol}"
            f" {action.kind} {action.price} {action.order_no} {digits}"
        )
    if isinstance(action, bot.Alert):
        values = [
            str(v) for k, v in action.values.items() if k in ("symbol", "code", "quantity", "level")
        ]
        return " ".join(("alert", action.code, *values, digits))
    data = action.data
    said = [type(data).__name__] if not isinstance(data, dict) else []
    for name in ("event", "order_no", "quantity", "price", "code", "on", "text", "stop_price"):
        value = data.get(name) if isinstance(data, dict) else getattr(data, name, None)
        said += [f"{name}={value}"] if value not in (None, "", 0) else []
    return " ".join((action.kind, action.ref, *said, digits)).replace("  ", " ")
