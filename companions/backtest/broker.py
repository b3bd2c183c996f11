"""The broker of a backtest: takes the engine's orders, fills them on the bars' prices.

Fill rules (pessimistic; each a field of Rules):
- an order arrives `latency_s` after it was decided and meets only prices after that;
- one that crosses the market pays the worse of the price at its arrival and the next one, and
  `slip_ticks` more, never better than that;
- one that rests is filled at its limit, when a price goes *through* it, not when it touches it;
- an auction has one price for all;
- at its upper limit nothing is bought, at its lower limit nothing is sold;
- ten per cent away from the last single price a static VI is assumed: two minutes without fills;
- at most `share` of a volume is ours, used once; the rest waits;
- a buy whose reserve (a market order: at the upper limit) the cash does not cover is refused.
Which way a price goes inside a minute is told by `path`. Fees and taxes are the ledger's own
functions, so that both books must agree to the won.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import kis_realtime_trading as bot

Mode = Literal["adverse", "nearer", "high first", "low first"]  # of the two extremes of a bar
VI_SHARE, VI_LASTS = 0.10, timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Rules:
    """How orders are filled."""

    latency_s: float = 1.0
    slip_ticks: int = 1
    share: float = 0.1
    through: bool = True  # a resting order needs a price through its limit
    worse: bool = True  # a crossing order pays the worse of the prices before and after its arrival
    path: Mode = "adverse"
    vi: bool = True


@dataclass(slots=True)
class Working:
    """One number at the exchange."""

    number: str
    original: str
    intent: bot.OrderIntent
    kind: str
    price: int
    quantity: int
    at: datetime
    time: str  # the same as lists show it
    seen: int = 0  # the market as it arrived
    filled: int = 0
    amount: int = 0
    cancelled: int = 0
    met: bool = False  # a price came after its arrival: from now on it rests

    @property
    def left(self) -> int:
        """Shares that may still be filled."""
        return self.quantity - self.filled - self.cancelled


@dataclass(slots=True)
class Broker:
    """Orders, cash and shares as the broker sees them; won and shares are integers."""

    rules: Rules
    cash: int
    fee_pct: Decimal = bot.STOCK_FEE_PCT
    fund_fee_pct: Decimal = bot.FUND_FEE_PCT
    funds: frozenset[str] = frozenset()
    shares: dict[str, int] = field(default_factory=dict)
    cost: dict[str, int] = field(default_factory=dict)  # paid for what is held
    orders: dict[str, Working] = field(default_factory=dict)  # of today, by number
    limits: dict[str, tuple[int, int]] = field(default_factory=dict)  # of today: lowest, highest
    markets: dict[str, str] = field(default_factory=dict)  # KOSPI unless said otherwise
    anchors: dict[str, int] = field(
        default_factory=dict
    )  # last single price: a VI is measured by it
    quiet_until: dict[str, datetime] = field(default_factory=dict)  # a VI is assumed
    fees_today: int = 0
    _live: dict[str, Working] = field(default_factory=dict)  # alive, or its end not shown yet
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def open_day(self, bases: dict[str, int]) -> None:
        """Forget yesterday's orders; what still rested is gone."""
        self.orders, self._live, self.fees_today = {}, {}, 0
        self.anchors, self.quiet_until = dict(bases), {}

    def take(self, call: bot.OrderCall, now: datetime, last: int = 0) -> bot.OrderAnswer:
        """Take a new order, a change or a cancel at a last price; answer as the broker does."""
        if call.action == "new":
            short = self._refusal(call.intent, call.kind, call.price)
            if short:
                return bot.OrderAnswer(bot.Outcome.REFUSED, code=short[0], text=short[1])
            return self._accept("", call, call.intent.quantity, now, last)
        old = self.orders.get(call.order_no)
        if old is None or old.left <= 0:
            return bot.OrderAnswer(bot.Outcome.REFUSED, code="40330000", text="nothing left")
        left, old.cancelled = old.left, old.cancelled + old.left
        if call.action == "cancel":
            return bot.OrderAnswer(bot.Outcome.ACCEPTED, self._number(), "06010")
        return self._accept(old.number, call, left, now, last)

    def _number(self) -> str:
        return f"{next(self._numbers):010d}"

    def _refusal(self, intent: bot.OrderIntent, kind: str, price: int) -> tuple[str, str] | None:
        """Return code and text when shares or cash do not cover an order."""
        symbol, quantity = intent.symbol, intent.quantity
        if intent.side is bot.Side.SELL:
            rest = self.shares.get(symbol, 0) - self._selling(symbol)
            return ("APBK0400", "not so many shares") if quantity > rest else None
        need = self._reserve(symbol, kind, price, quantity)
        return ("APBK0952", "not so much cash") if need > self.orderable().amount_krw else None

    def _accept(
        self, original: str, call: bot.OrderCall, shares: int, now: datetime, last: int
    ) -> bot.OrderAnswer:  # fmt: skip
        number, time = self._number(), f"{now.hour:02}{now.minute:02}{now.second:02}"
        order = Working(
            number, original, call.intent, call.kind, call.price, shares, now, time, last
        )
        self.orders[order.number] = self._live[order.number] = order
        return bot.OrderAnswer(bot.Outcome.ACCEPTED, order.number, "06010")

    def _selling(self, symbol: str) -> int:
        alive = (o for o in self._live.values() if o.intent.symbol == symbol)
        return sum(o.left for o in alive if o.intent.side is bot.Side.SELL)

    def _reserve(self, symbol: str, kind: str, price: int, shares: int) -> int:
        """Return the won that a buy holds back: without a price it may cost the upper limit."""
        each = price if kind == bot.OrderKind.LIMIT else self.limits.get(symbol, (0, 0))[1]
        return shares * each + bot.order_fee(shares * each, self._fee_of(symbol))

    def _fee_of(self, symbol: str) -> Decimal:
        return self.fund_fee_pct if symbol in self.funds else self.fee_pct

    def alive(self, symbol: str, side: bot.Side) -> list[Working]:
        """Return the orders of one side that may still be filled."""
        return [
            order
            for order in self._live.values()
            if order.left > 0 and order.intent.symbol == symbol and order.intent.side is side
        ]

    def meet(
        self, symbol: str, price: int, room: int, now: datetime, single: bool = False
    ) -> int:  # fmt: skip
        """Let the orders of a stock meet a price; return the shares filled, at most `room`."""
        if single:
            self.anchors[symbol] = price
            self.quiet_until.pop(symbol, None)
        elif self.rules.vi:
            single = self._watch_vi(symbol, price, now)
        if symbol in self.quiet_until:
            return 0
        filled = 0
        for order in self._live.values():
            if order.intent.symbol != symbol or order.left <= 0 or now <= order.at:
                continue
            paid = self._price_for(order, price, single) if room > filled else 0
            order.met = True
            if paid:
                shares = min(order.left, room - filled)
                filled += shares
                self._book(order, shares, paid)
        return filled

    def _watch_vi(self, symbol: str, price: int, now: datetime) -> bool:
        """Begin and end an assumed VI; tell whether this price is the single one that ends it."""
        until = self.quiet_until.get(symbol)
        if until and now >= until:
            del self.quiet_until[symbol]
            self.anchors[symbol] = price
            return True
        anchor = self.anchors.get(symbol, 0)
        if anchor and not until and abs(price - anchor) >= anchor * VI_SHARE:
            self.quiet_until[symbol] = now + VI_LASTS
        return False

    def _price_for(self, order: Working, price: int, single: bool) -> int:
        """Return what a price fills an order at, 0 when it does not."""
        symbol, sign = order.intent.symbol, order.intent.side.sign
        lowest, highest = self.limits.get(symbol, (1, 1 << 40))
        if (sign > 0 and price >= highest) or (sign < 0 and price <= lowest):
            return 0  # locked at its limit: nobody is on the other side
        priced = order.kind == bot.OrderKind.LIMIT
        inside = (order.price - price) * sign  # above 0: the market went through the limit
        if single:
            return price if inside >= 0 or not priced else 0
        fund, slip = symbol in self.funds, sign * self.rules.slip_ticks
        bad = (
            max(price * sign, order.seen * sign) * sign
            if self.rules.worse and order.seen
            else price
        )
        paid = min(max(bot.step_ticks(bad, fund, slip), lowest), highest)
        if not priced:
            return paid
        if not order.met and (order.price - bot.step_ticks(price, fund, slip)) * sign >= 0:
            return min(paid * sign, order.price * sign) * sign
        return order.price if inside > 0 or (inside == 0 and not self.rules.through) else 0

    def _book(self, order: Working, shares: int, price: int) -> None:
        symbol, buying = order.intent.symbol, order.intent.side is bot.Side.BUY
        before, after = order.amount, order.amount + shares * price
        order.filled, order.amount = order.filled + shares, after
        rate = self._fee_of(symbol)
        costs = bot.order_fee(after, rate) - bot.order_fee(before, rate)
        if not buying:
            market, fund = self.markets.get(symbol, "KOSPI"), symbol in self.funds
            taxes = (
                bot.sell_tax(a, market, fund, order.intent.trade_date) for a in (after, before)
            )
            costs += next(taxes) - next(taxes)
        held = self.shares.get(symbol, 0)
        if buying:
            self.cost[symbol] = self.cost.get(symbol, 0) + shares * price
        else:
            self.cost[symbol] -= self.cost[symbol] * shares // held
        self.shares[symbol] = held + (shares if buying else -shares)
        self.cash += (-1 if buying else 1) * shares * price - costs
        self.fees_today += costs

    # --- what questions are answered with ---

    def has_news(self) -> bool:
        """Tell whether a list would show a row."""
        return bool(self._live)

    def listed(self) -> Collection[Working]:
        """Return what a list would show."""
        return self._live.values()

    def forget_ended(self) -> None:
        """Show no more what has ended: a list has shown it."""
        self._live = {o.number: o for o in self._live.values() if o.left > 0}

    def order_list(self) -> bot.OrderList:
        """Return today's list, without rows that were shown in their last state already.

        An absent row proves nothing to the engine, so a short list is as good as the whole one.
        """
        news = tuple(self._live.values())
        self.forget_ended()
        return bot.OrderList(tuple(
            bot.BrokerOrder(
                order_no=o.number, original_no=o.original, branch="06010", symbol=o.intent.symbol,
                side=o.intent.side, kind=o.kind, quantity=o.quantity, price=o.price,
                filled_quantity=o.filled, filled_amount_krw=o.amount,
                cancelled_quantity=o.cancelled, rejected_quantity=0, time=o.time,
            )
            for o in news
        ))  # fmt: skip

    def balance(self) -> bot.Balance:
        """Return cash after all trades and what is held."""
        lines = tuple(
            bot.Holding(symbol, held, held - self._selling(symbol), Decimal(self.cost[symbol]) / held)
            for symbol, held in sorted(self.shares.items())
            if held
        )  # fmt: skip
        return bot.Balance(self.cash, self.fees_today, self.cash, lines)

    def orderable(self) -> bot.Cash:
        """Return the cash that no resting buy has claimed."""
        claimed = sum(
            self._reserve(o.intent.symbol, o.kind, o.price, o.left)
            for o in self._live.values()
            if o.intent.side is bot.Side.BUY and o.left > 0
        )
        return bot.Cash(max(0, self.cash - claimed))


def instrument(symbol: str, base: int, last: int, fund: bool, market: str = "KOSPI") -> bot.Instrument:  # fmt: skip
    """Return the day's instrument from yesterday's close."""
    lower = bot.round_to_tick(base * 0.7, fund, up=True)
    upper = bot.round_to_tick(base * 1.3, fund, up=False)
    return bot.Instrument(symbol, market, fund, base, upper, lower, last)
