"""Who has what.

The truth changes at once; a second account is what the broker shows, later."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any, NamedTuple

from companions.simulator.rules import Calendar, fee_of, sell_tax_of
from companions.simulator.tables import Listing
from companions.simulator.tape import Ground
from companions.simulator.tools import decimals, half_up, to_moment


class Fill(NamedTuple):
    """One execution of ours, with the fee and tax it added."""

    order: Order
    quantity: int
    price: int
    at: int
    fee: int
    tax: int
    list_at: int  # appears in order lists from here

    def truth(self) -> dict[str, Any]:
        """Return what `books` says of a fill."""
        order, when = self.order, to_moment(self.at).isoformat()
        words = {"order_no": order.odno, "symbol": order.symbol, "side": order.side}
        return {**words, "quantity": self.quantity, "price": self.price, "time": when}


@dataclass(slots=True, eq=False)
class Order:
    """One order number. `origin` is the number it modifies or cancels."""

    number: int
    day: date
    listing: Listing
    side: str  # BUY or SELL
    kind: str  # ORD_DVSN
    quantity: int
    price: int  # as sent; 0 without a price
    at: int
    source: str = "api"  # or owner, or owner NXT
    role: str = "new"  # or modify, cancel
    origin: Order | None = None
    limit: int = 0  # worst price it may meet; 0 = any
    reserve: int = 0  # won held back per open share of a buy
    queue: int = 0  # shares before us at our price
    filled: int = 0
    amount: int = 0
    cancelled: int = 0
    rejected: int = 0
    fee: int = 0
    tax: int = 0
    list_at: int = 0
    settled_at: int = 0  # until then lists show order quantity = filled quantity
    hold_until: int = 0  # not matched before
    died: int = 0  # shares that died at the close
    died_list_at: int = 0  # from here lists show them as cancelled
    fills: list[Fill] = field(default_factory=list)

    @property
    def rest(self) -> int:
        """Return the shares that can still trade."""
        return self.quantity - self.filled - self.cancelled - self.rejected

    @property
    def symbol(self) -> str:
        """Return the stock code."""
        return self.listing.code

    @property
    def odno(self) -> str:
        """Return the order number as the broker writes it."""
        return f"{self.number:010d}"

    @property
    def origin_odno(self) -> str:
        """Return the number of the original order, empty for a new one."""
        return self.origin.odno if self.origin else ""

    def truth(self) -> dict[str, Any]:
        """Return what `books` says of an order."""
        return {
            "order_no": self.odno,
            "original_order_no": self.origin_odno,
            "symbol": self.symbol,
            "side": self.side,
            "kind": self.kind,
            "quantity": self.quantity,
            "price": self.price,
            "filled_quantity": self.filled,
            "filled_amount_krw": self.amount,
            "cancelled_quantity": self.cancelled,
            "rejected_quantity": self.rejected,
            "remaining_quantity": self.rest,
            "fee_krw": self.fee,
            "tax_krw": self.tax,
            "time": to_moment(self.at).isoformat(),
            "source": self.source,
        }


@dataclass(slots=True)
class Position:
    """Shares held and their exact cost."""

    quantity: int = 0
    cost: Fraction = Fraction(0)
    last_day: date = date.min

    @property
    def average(self) -> Fraction:
        """Return the average price, exact."""
        return self.cost / self.quantity if self.quantity else Fraction(0)

    def truth(self) -> dict[str, Any]:
        """Return what `books` says of a position."""
        cost, average = half_up(self.cost), decimals(self.average, 4)
        return {"quantity": self.quantity, "average_price": average, "cost_krw": cost}


@dataclass(slots=True)
class Turnover:
    """What one stock did in the account on one day, won and shares."""

    buy_quantity: int = 0
    buy_amount: int = 0
    buy_fee: int = 0
    sell_quantity: int = 0
    sell_amount: int = 0
    sell_fee: int = 0
    tax: int = 0
    cost_sold: Fraction = Fraction(0)

    @property
    def costs(self) -> int:
        """Return fees and taxes."""
        return self.buy_fee + self.sell_fee + self.tax

    @property
    def flow(self) -> int:
        """Return the change of cash."""
        return self.sell_amount - self.buy_amount - self.costs

    @property
    def realized(self) -> Fraction:
        """Return the gross realised profit, exact."""
        return self.sell_amount - self.cost_sold


class Account:
    """Cash, positions and turnover; changed by fills and by the owner only."""

    def __init__(self, cash: int) -> None:
        self.initial, self.transfers = cash, 0
        self.positions: dict[str, Position] = {}
        self.turnover: dict[tuple[date, str], Turnover] = {}

    def apply(self, fill: Fill) -> None:
        """Book one fill."""
        order = fill.order
        position = self.positions.setdefault(order.symbol, Position())
        turn = self.turnover.setdefault((order.day, order.symbol), Turnover())
        amount = fill.quantity * fill.price
        position.last_day = order.day
        if order.side == "BUY":
            position.quantity += fill.quantity
            position.cost += amount
            turn.buy_quantity += fill.quantity
            turn.buy_amount += amount
            turn.buy_fee += fill.fee
            return
        cost = position.average * fill.quantity
        position.quantity -= fill.quantity
        position.cost -= cost
        turn.sell_quantity += fill.quantity
        turn.sell_amount += amount
        turn.sell_fee += fill.fee
        turn.tax += fill.tax
        turn.cost_sold += cost

    def total(self, name: str, day: date | None = None) -> Any:
        """Return the sum of one field of the turnover, of one day or of all."""
        return sum(getattr(t, name) for (d, _), t in self.turnover.items() if day in (None, d))

    @property
    def cash(self) -> int:
        """Return settled plus unsettled cash, won."""
        return self.initial + self.transfers + int(self.total("flow"))

    def cash_on(self, calendar: Calendar, today: date, days: int) -> int:
        """Return the deposit at D+`days`: trades settle on the second trading day after."""
        for _ in range(days):
            today = calendar.next(today)
        late = {day for day, _ in self.turnover if calendar.settlement_day(day) > today}
        return self.cash - sum(t.flow for (day, _), t in self.turnover.items() if day in late)

    def held(self, symbol: str) -> int:
        """Return the shares held."""
        position = self.positions.get(symbol)
        return position.quantity if position else 0


class Ledger:
    """All orders and fills, the true account and the one the inquiries show."""

    def __init__(self, ground: Ground) -> None:
        self._calendar, config = ground.calendar, ground.config
        self._ex_days = config.ex_days
        self.truth, self.shown = Account(config.initial_cash_krw), Account(config.initial_cash_krw)
        self.orders: list[Order] = []
        self._working: dict[str, list[Order]] = {}
        self.fills: list[Fill] = []
        self._late: deque[tuple[int, Fill]] = deque()
        self.frozen_until = 0
        self._last_number = 0
        for symbol, (quantity, price) in config.holdings.items():
            for account in (self.truth, self.shown):
                account.positions[symbol] = Position(quantity, Fraction(quantity * price))

    def add(self, order: Order) -> Order:
        """Keep an accepted order or message."""
        self.orders.append(order)
        if order.role != "cancel":
            self._working.setdefault(order.symbol, []).append(order)
        return order

    def next_number(self, rng: random.Random) -> int:
        """Return the next order number; other customers take numbers in between."""
        if not self._last_number:
            self._last_number = 700 + int(rng.random() * 40_000)
        self._last_number += 1 + int(rng.random() * 6)
        return self._last_number

    def find(self, number: str, day: date) -> Order | None:
        """Find an order of the day by its number in any padding."""
        digits = number.strip()
        if not digits.isdigit():
            return None
        wanted = int(digits)
        return next((o for o in reversed(self.orders) if o.number == wanted and o.day == day), None)

    def open_orders(self, symbol: str | None = None, side: str | None = None) -> list[Order]:
        """Return orders with a rest, oldest first within a stock."""
        lists = [self._working.get(symbol, [])] if symbol else self._working.values()
        return [o for orders in lists for o in orders if o.rest > 0 and side in (None, o.side)]

    def forget_done(self, symbol: str) -> None:
        """Keep the list of working orders short."""
        self._working[symbol] = [order for order in self._working[symbol] if order.rest > 0]

    def reserved(self) -> int:
        """Return the cash that open buys hold back, fees included."""
        total = 0
        for order in self.open_orders(side="BUY"):
            amount = order.rest * order.reserve
            total += amount + fee_of(order.amount + amount, order.listing.etf) - order.fee
        return total

    def available(self) -> int:
        """Return the cash that a new buy may use, won."""
        return self.truth.cash - self.reserved()

    def sellable(self, symbol: str, account: Account) -> int:
        """Return the shares that a new sell may use."""
        selling = sum(order.rest for order in self.open_orders(symbol, "SELL"))
        return account.held(symbol) - selling

    def fill(self, order: Order, quantity: int, price: int, at: int, lags: tuple[int, int]) -> Fill:
        """Book an execution; fee and tax are charged as differences of the cumulative amounts."""
        order.filled += quantity
        order.amount += quantity * price
        fee, tax = fee_of(order.amount, order.listing.etf), 0
        if order.side == "SELL":
            settled = self._calendar.settlement_day(order.day)
            tax = sell_tax_of(order.amount, order.listing, settled)
        fill = Fill(order, quantity, price, at, fee - order.fee, tax - order.tax, at + lags[0])
        order.fee, order.tax = fee, tax
        order.fills.append(fill)
        self.fills.append(fill)
        self.truth.apply(fill)
        self._late.append((at + lags[1], fill))
        self.show(at)
        return fill

    def show(self, at: int) -> None:
        """Let the shown account catch up."""
        while self._late and self._late[0][0] <= at and at >= self.frozen_until:
            self.shown.apply(self._late.popleft()[1])

    def transfer(self, amount: int) -> None:
        """Let the owner pay in (positive) or withdraw (negative), won."""
        self.truth.transfers += amount
        self.shown.transfers += amount

    def start_day(self, day: date) -> None:
        """Restart order numbers, forget holdings sold out two trading days ago; ex-days."""
        self._last_number = 0
        for action in (each for each in self._ex_days if each.day == day):
            for account in (self.truth, self.shown):
                held = account.positions.get(action.symbol, Position())
                held.quantity = int(held.quantity * action.shares)
        oldest = self._calendar.previous(self._calendar.previous(day))
        for account in (self.truth, self.shown):
            for symbol, position in list(account.positions.items()):
                if not position.quantity and position.last_day <= oldest:
                    del account.positions[symbol]


class ListedState(NamedTuple):
    """Quantities of an order as an inquiry shows them."""

    quantity: int
    filled: int
    amount: int
    cancelled: int
    rejected: int
    rest: int


def listed_state(order: Order, at: int) -> ListedState:
    """Return what order lists show at that time: late fills, unsettled and dead quantities."""
    fills = [fill for fill in order.fills if fill.list_at <= at]
    filled = sum(fill.quantity for fill in fills)
    amount = sum(fill.quantity * fill.price for fill in fills)
    if at < order.settled_at:
        return ListedState(filled, filled, amount, 0, 0, 0)
    cancelled = order.cancelled - (order.died if at < order.died_list_at else 0)
    rest = order.quantity - filled - cancelled - order.rejected
    return ListedState(order.quantity, filled, amount, cancelled, order.rejected, rest)
