"""The broker of a backtest: takes the engine's orders, fills them on the bars' four prices.

Fill rules (pessimistic; each a field of Rules):
- an order arrives `latency_s` after it was decided and meets only prices after that;
- one that crosses the market pays `slip_ticks` more than the next price, never better than that;
- one that rests is filled only when a price goes *through* its limit, not when it touches it;
- at its upper limit nothing is bought, at its lower limit nothing is sold;
- at most `share` of a price's volume is ours; the rest waits;
- within a minute the low comes before the high: a stop is hit before a target.
Fees and taxes are the ledger's own functions, so that both books must agree to the won.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import kis_realtime_trading as bot


@dataclass(frozen=True, slots=True)
class Rules:
    """How orders are filled."""

    latency_s: float = 1.0
    slip_ticks: int = 1
    share: float = 0.1
    through: bool = True  # a resting order needs a price through its limit


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
    fees_today: int = 0
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def open_day(self) -> None:
        """Forget yesterday's orders; what still rested is gone."""
        self.orders, self.fees_today = {}, 0

    def take(self, call: bot.OrderCall, now: datetime) -> bot.OrderAnswer:
        """Take a new order, a change or a cancel; answer as the broker does."""
        if call.action == "new":
            return self._accept("", call.intent, call.kind, call.price, call.intent.quantity, now)
        old = self.orders.get(call.order_no)
        if old is None or old.left <= 0:
            return bot.OrderAnswer(bot.Outcome.REFUSED, code="40330000", text="nothing left")
        left, old.cancelled = old.left, old.cancelled + old.left
        if call.action == "cancel":
            return bot.OrderAnswer(bot.Outcome.ACCEPTED, self._number(), "06010")
        return self._accept(old.number, call.intent, call.kind, call.price, left, now)

    def _number(self) -> str:
        return f"{next(self._numbers):010d}"

    def _accept(
        self, original: str, intent: bot.OrderIntent, kind: str, price: int, quantity: int,
        now: datetime,
    ) -> bot.OrderAnswer:  # fmt: skip
        selling = sum(o.left for o in self.orders.values() if o.intent.side is bot.Side.SELL and o.intent.symbol == intent.symbol)  # fmt: skip
        if intent.side is bot.Side.SELL and selling + quantity > self.shares.get(intent.symbol, 0):
            return bot.OrderAnswer(bot.Outcome.REFUSED, code="APBK0400", text="not so many shares")
        number = self._number()
        self.orders[number] = Working(number, original, intent, kind, price, quantity, now)
        return bot.OrderAnswer(bot.Outcome.ACCEPTED, number, "06010")

    def meet(self, symbol: str, price: int, volume: int, now: datetime) -> bool:
        """Let the orders of a stock meet a price; tell whether anything was filled."""
        room, filled = int(volume * self.rules.share), False
        for order in self.orders.values():
            if order.intent.symbol != symbol or order.left <= 0 or now <= order.at or room <= 0:
                continue
            paid = self._price_for(order, price)
            order.met = True
            if paid:
                shares = min(order.left, room)
                room -= shares
                self._book(order, shares, paid)
                filled = True
        return filled

    def _price_for(self, order: Working, price: int) -> int:
        """Return what a price fills an order at, 0 when it does not."""
        fund = order.intent.symbol in self.funds
        sign = order.intent.side.sign
        lowest, highest = self.limits.get(order.intent.symbol, (1, 1 << 40))
        if (sign > 0 and price >= highest) or (sign < 0 and price <= lowest):
            return 0  # locked at its limit: nobody is on the other side
        crossing = bot.step_ticks(price, fund, sign * self.rules.slip_ticks)
        crossing = min(max(crossing, lowest), highest)
        if order.kind != bot.OrderKind.LIMIT:
            return crossing
        inside = (order.price - price) * sign  # above 0: the market went through the limit
        if not order.met and (order.price - crossing) * sign >= 0:
            return crossing
        if inside > 0 or (inside == 0 and not self.rules.through):
            return order.price
        return 0

    def _book(self, order: Working, shares: int, price: int) -> None:
        symbol, buying = order.intent.symbol, order.intent.side is bot.Side.BUY
        before, after = order.amount, order.amount + shares * price
        order.filled, order.amount = order.filled + shares, after
        fund = symbol in self.funds
        rate = self.fund_fee_pct if fund else self.fee_pct
        costs = bot.order_fee(after, rate) - bot.order_fee(before, rate)
        if not buying:
            day = order.intent.trade_date
            costs += bot.sell_tax(after, "KOSPI", fund, day) - bot.sell_tax(before, "KOSPI", fund, day)  # fmt: skip
        held = self.shares.get(symbol, 0)
        if buying:
            self.cost[symbol] = self.cost.get(symbol, 0) + shares * price
        else:
            self.cost[symbol] -= self.cost[symbol] * shares // held
        self.shares[symbol] = held + (shares if buying else -shares)
        self.cash += (-1 if buying else 1) * shares * price - costs
        self.fees_today += costs

    # --- what questions are answered with ---

    def order_list(self) -> bot.OrderList:
        """Return today's list."""
        return bot.OrderList(tuple(
            bot.BrokerOrder(
                order_no=o.number, original_no=o.original, branch="06010", symbol=o.intent.symbol,
                side=o.intent.side, kind=o.kind, quantity=o.quantity, price=o.price,
                filled_quantity=o.filled, filled_amount_krw=o.amount,
                cancelled_quantity=o.cancelled, rejected_quantity=0, time=f"{o.at:%H%M%S}",
            )
            for o in self.orders.values()
        ))  # fmt: skip

    def balance(self) -> bot.Balance:
        """Return cash after all trades and what is held."""
        selling: dict[str, int] = {}
        for order in self.orders.values():
            if order.intent.side is bot.Side.SELL:
                selling[order.intent.symbol] = selling.get(order.intent.symbol, 0) + order.left
        lines = tuple(
            bot.Holding(symbol, held, held - selling.get(symbol, 0), Decimal(self.cost[symbol]) / held)
            for symbol, held in sorted(self.shares.items())
            if held
        )  # fmt: skip
        return bot.Balance(self.cash, self.fees_today, self.cash, lines)

    def orderable(self) -> bot.Cash:
        """Return the cash that no resting buy has claimed."""
        claimed = sum(
            o.left * o.price for o in self.orders.values() if o.intent.side is bot.Side.BUY
        )
        return bot.Cash(max(0, self.cash - claimed))


def instrument(symbol: str, base: int, last: int, fund: bool) -> bot.Instrument:
    """Return the day's instrument from yesterday's close."""
    lower = bot.round_to_tick(base * 0.7, fund, up=True)
    upper = bot.round_to_tick(base * 1.3, fund, up=False)
    return bot.Instrument(symbol, "KOSPI", fund, base, upper, lower, last)
