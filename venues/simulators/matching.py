"""What both simulated exchanges keep of orders: accounts, fills by plan, ends. No wire in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

STEP = Decimal("0.00000001")


@dataclass
class SimOrder:
    """One order as the exchange knows it. `plan`: (when in ms, quantity) of its fills."""

    number: int
    client_id: str
    symbol: str
    buys: bool
    kind: str  # limit, ioc, post, buy_for, market
    quantity: Decimal
    funds: Decimal
    price: Decimal
    at_ms: int
    plan: list[tuple[int, Decimal]] = field(default_factory=list)
    cancelled_ms: int | None = None

    def fills(self, now_ms: int) -> list[tuple[int, Decimal]]:
        """Return what has filled by now."""
        until = now_ms if self.cancelled_ms is None else min(now_ms, self.cancelled_ms)
        return [each for each in self.plan if each[0] <= until]

    def executed(self, now_ms: int) -> Decimal:
        """Return the quantity filled by now."""
        return sum((quantity for _, quantity in self.fills(now_ms)), Decimal(0))

    def state(self, now_ms: int) -> str:
        """Return open, filled, cancelled or expired (its own kind's end)."""
        if self.kind == "buy_for":
            return "expired" if self.executed(now_ms) * self.price < self.funds else "filled"
        if self.executed(now_ms) >= self.quantity:
            return "filled"
        if self.kind in ("ioc", "market"):
            return "expired"
        return "open" if self.cancelled_ms is None else "cancelled"


class Matching:
    """Orders and balances. `parts` gives the fills of a new order: (delay in ms, per cent)."""

    def __init__(self, now_ms: Callable[[], int], fee: Decimal) -> None:
        self._now_ms, self.fee = now_ms, fee
        self.orders: dict[int, SimOrder] = {}
        self.start: dict[str, Decimal] = {}  # asset -> what the account began with
        self.parts: Callable[[SimOrder], list[tuple[int, int]]] = lambda order: [(0, 100)]
        self._numbers = itertools.count(1)

    def add(self, order: SimOrder) -> SimOrder:
        """Take an order and plan its fills."""
        order.number = next(self._numbers)
        whole = order.quantity
        if order.kind == "buy_for":
            whole = (order.funds / order.price).quantize(STEP, ROUND_DOWN)
            order.quantity = whole
        parts, left = self.parts(order), whole
        if order.kind in ("buy_for", "market"):
            parts = [(0, 100)]
        for delay, percent in parts:
            if order.kind == "ioc" and delay:
                break
            quantity = min(left, (whole * percent / 100).quantize(STEP, ROUND_DOWN))
            if percent == 100:
                quantity = left
            if quantity > 0:
                order.plan.append((order.at_ms + delay, quantity))
                left -= quantity
        self.orders[order.number] = order
        return order

    def by_client(self, client_id: str) -> list[SimOrder]:
        """Return the orders of a client id, the newest last."""
        return [order for order in self.orders.values() if order.client_id == client_id]

    def cancel(self, order: SimOrder) -> bool:
        """End an open order; False when it has ended already."""
        if order.state(self._now_ms()) != "open":
            return False
        order.cancelled_ms = self._now_ms()
        return True

    def free(self, base: str, quote: str, symbol: str) -> dict[str, Decimal]:
        """Return what is free of both assets of a market after every fill and reserve."""
        now, held = self._now_ms(), dict(self.start)
        for order in self.orders.values():
            if order.symbol != symbol:
                continue
            sign = 1 if order.buys else -1
            for _, quantity in order.fills(now):
                held[base] = held.get(base, Decimal(0)) + sign * quantity
                held[quote] = held.get(quote, Decimal(0)) - sign * quantity * order.price
            if order.state(now) == "open":
                rest = order.quantity - order.executed(now)
                asset, taken = (quote, rest * order.price) if order.buys else (base, rest)
                held[asset] = held.get(asset, Decimal(0)) - taken
        return held
