"""Takes order requests, refuses or accepts them, and meets them with the book and the tape.

Says what happened through one callback; knows nothing of REST, frames or encryption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from companions.simulator.ledger import Ledger, Order
from companions.simulator.market import AUCTIONS, Market
from companions.simulator.rules import fee_of
from companions.simulator.tables import AUCTION_KINDS, CLOSED_KINDS, DAY_MS, KINDS
from companions.simulator.tape import BUY, SELL, Ground, Print, Tape


class Ticket(NamedTuple):
    """A wanted order."""

    symbol: str
    side: str
    kind: str
    quantity: int
    price: int
    source: str = "api"


class Change(NamedTuple):
    """A wanted modification (new kind and price) or cancellation of an order."""

    number: str
    cancel: bool
    everything: bool
    quantity: int
    kind: str
    price: int
    source: str = "api"


class Happening(NamedTuple):
    """Something that the owner of the order is told."""

    what: str  # received, fill, modified, cancelled, refused, expired
    order: Order
    quantity: int
    price: int


class Exchange:
    """Acceptance and matching of our orders."""

    def __init__(self, ground: Ground, market: Market, ledger: Ledger) -> None:
        self._config, self._calendar, self._faults = ground.config, ground.calendar, ground.faults
        self._agenda, self._market, self._ledger = ground.agenda, market, ledger
        self._rng = ground.dice.stream("exchange")
        self.tell: Callable[[int, Happening], None] = lambda at, happening: None

    # --- acceptance -----------------------------------------------------------------

    def refusal(self, ticket: Ticket) -> str | None:
        """Return the first reason against a ticket, or None. The order of checks is invented."""
        tape = self._market.tapes.get(ticket.symbol)
        if tape is None:
            return "unknown_stock"
        reason = self._closed(tape, ticket.kind) or self._malformed(tape, ticket)
        return reason or self._too_poor(tape, ticket)

    def _closed(self, tape: Tape, kind: str) -> str | None:
        if not self._calendar.is_trading_day(self._market.day):
            return "wrong_day"
        if tape.state in ("before", "closed"):
            return "before_open" if tape.state == "before" else "closed"
        if kind in CLOSED_KINDS:
            return "closed"
        if kind not in KINDS or (tape.state in AUCTIONS and kind not in AUCTION_KINDS):
            return "kind"
        return "halted" if tape.state == "halt" else None

    @staticmethod
    def _malformed(tape: Tape, ticket: Ticket) -> str | None:
        if ticket.quantity <= 0:
            return "quantity"
        if KINDS[ticket.kind].pricing == "limit":
            if not tape.band[0] <= ticket.price <= tape.band[1]:
                return "band"
            if ticket.price % tape.tick(ticket.price):
                return "tick"
        return None

    def _too_poor(self, tape: Tape, ticket: Ticket) -> str | None:
        if ticket.side == "SELL":
            # A fresh fill is not sellable before the balance shows it (measured on paper).
            accounts = (self._ledger.shown, self._ledger.truth)
            left = min(self._ledger.sellable(ticket.symbol, account) for account in accounts)
            return "no_shares" if ticket.quantity > left else None
        amount = ticket.quantity * self.reserve_price(tape, ticket)
        needed = amount + fee_of(amount, tape.listing.etf)
        return "no_cash" if needed > self._ledger.available() else None

    @staticmethod
    def reserve_price(tape: Tape, ticket: Ticket) -> int:
        """Return the won held back per share: the upper limit for orders without a price.

        Also for 02, which may become a market order (invented; keeps cash from going negative).
        """
        priced = KINDS[ticket.kind].pricing == "limit" and ticket.kind != "02"
        return ticket.price if priced else tape.band[1]

    def place(self, ticket: Ticket, at: int) -> Order | str:
        """Accept an order and try to match it; or return the name of the refusal."""
        reason = self.refusal(ticket)
        if reason:
            return reason
        order = self._new_order(ticket, at, "new", None)
        self.tell(at, Happening("received", order, order.quantity, order.price))
        self._admit(order, at)
        return order

    def _new_order(self, ticket: Ticket, at: int, role: str, origin: Order | None) -> Order:
        tape = self._market.tapes[ticket.symbol]
        price = ticket.price if KINDS[ticket.kind].pricing == "limit" else 0
        order = Order(
            number=self._ledger.next_number(self._rng),
            day=self._market.day,
            listing=tape.listing,
            side=ticket.side,
            kind=ticket.kind,
            quantity=ticket.quantity,
            price=price,
            at=at,
            source=ticket.source,
            role=role,
            origin=origin,
            limit=price,
            reserve=self.reserve_price(tape, ticket),
            list_at=at + self._config.list_lag.draw(self._rng),
        )
        return self._ledger.add(order)

    def _admit(self, order: Order, at: int) -> None:
        """Apply order faults, then let the order meet the market."""
        for effect in self._fire(order, "order"):
            until = at + round(float(effect.get("seconds", 0)) * 1000)
            if effect["do"] == "list_delay":
                order.list_at = until
            elif effect["do"] == "unsettled":
                order.settled_at = until
            elif effect["do"] == "no_fill":
                order.hold_until = until
                self._agenda.add(until, self._match_again, order)
            elif effect["do"] == "refuse_later":
                order.hold_until = until + 1
                self._agenda.add(until, self._refuse_later, order)
        self._match_again(at, order)

    def _fire(self, order: Order, kind: str) -> list[dict[str, Any]]:
        return self._faults.fire("order", kind=kind, symbol=order.symbol, side=order.side)

    def _refuse_later(self, at: int, order: Order) -> None:
        quantity = order.rest
        if quantity:
            order.rejected += quantity
            self.tell(at, Happening("refused", order, quantity, order.price))

    # --- modify and cancel ----------------------------------------------------------

    def change(self, change: Change, at: int) -> Order | str:
        """Modify or cancel; the message gets a number of its own. Returns it or a refusal."""
        tapes = self._market.tapes
        old = self._ledger.find(change.number, self._market.day)
        tape = tapes[old.symbol] if old else next(iter(tapes.values()))
        reason = self._closed(tape, "00")
        if reason in ("closed", "before_open", "wrong_day"):
            return reason
        if old is None or old.rest <= 0 or old.role == "cancel":
            return "nothing"
        quantity = old.rest if change.everything else change.quantity
        if not 0 < quantity <= old.rest:
            return "nothing" if quantity else "quantity"
        act = self._cancel if change.cancel else self._modify
        return act(old, quantity, change, at)

    def _cancel(self, old: Order, quantity: int, change: Change, at: int) -> Order | str:
        message = self._message(old, quantity, change.source, at)
        late = [e for e in self._fire(old, "cancel") if e["do"] == "cancel_refused"]
        if late:
            message.cancelled, message.rejected = 0, quantity
            when = at + round(float(late[0].get("seconds", 0)) * 1000)
            self._agenda.add(when, self.tell, Happening("refused", message, quantity, 0))
            return message
        old.cancelled += quantity
        self.tell(at, Happening("cancelled", message, quantity, 0))
        return message

    def _message(self, old: Order, quantity: int, source: str, at: int) -> Order:
        number = self._ledger.next_number(self._rng)
        message = Order(number, old.day, old.listing, old.side, old.kind, quantity, 0, at, source)
        message.role, message.origin, message.cancelled = "cancel", old, quantity
        message.list_at = at + self._config.list_lag.draw(self._rng)
        return self._ledger.add(message)

    def _modify(self, old: Order, quantity: int, change: Change, at: int) -> Order | str:
        ticket = Ticket(old.symbol, old.side, change.kind, quantity, change.price, change.source)
        old.cancelled += quantity  # the moved part; lists show it as confirmed cancel (unconfirmed)
        reason = self.refusal(ticket)
        if reason:
            old.cancelled -= quantity
            return reason
        order = self._new_order(ticket, at, "modify", old)
        self.tell(at, Happening("modified", order, quantity, order.price))
        self._admit(order, at)
        return order

    # --- matching -------------------------------------------------------------------

    def _match_again(self, at: int, order: Order) -> None:
        tape = self._market.tapes[order.symbol]
        if order.rest <= 0 or at < order.hold_until or tape.state != "open":
            return
        self._set_price(order, tape)
        kind = KINDS[order.kind]
        if kind.life == "fok" and sum(s for _, s in self._levels(order, tape)) < order.rest:
            self._expire(order, at)
            return
        self._take(order, tape, at)
        if kind.life != "day" and order.rest:
            self._expire(order, at)
        elif order.rest:
            order.queue = self._queue_before(order, tape)

    @staticmethod
    def _set_price(order: Order, tape: Tape) -> None:
        """Give best and priority orders the price they take on arrival."""
        pricing = KINDS[order.kind].pricing
        if order.limit or pricing not in ("best", "own"):
            return
        depth = tape.depth()
        buying = order.side == "BUY"
        price = depth.asks[0] if buying == (pricing == "best") else depth.bids[0]
        order.limit = price or tape.last

    def _levels(self, order: Order, tape: Tape) -> list[tuple[int, int]]:
        """Return (price, size) of the opposite side that the order may meet, best first."""
        depth, buying = tape.depth(), order.side == "BUY"
        prices, sizes = (depth.asks, depth.ask_sizes) if buying else (depth.bids, depth.bid_sizes)
        sign = 1 if buying else -1
        return [
            (price, size)
            for price, size in zip(prices, sizes, strict=True)
            if price and size and (not order.limit or price * sign <= order.limit * sign)
        ]

    def _take(self, order: Order, tape: Tape, at: int, passive: bool = False) -> None:
        """Meet the displayed book; a resting order that is met trades at its own price."""
        for price, size in self._levels(order, tape):
            quantity = min(size, order.rest)
            if quantity <= 0:
                return
            tape.take(price, quantity)
            self._fill(order, quantity, order.limit if passive and order.limit else price, at)

    def _queue_before(self, order: Order, tape: Tape) -> int:
        """Return the shares before a resting order: those shown at its price, more deeper down."""
        depth, buying = tape.depth(), order.side == "BUY"
        prices, sizes = (depth.bids, depth.bid_sizes) if buying else (depth.asks, depth.ask_sizes)
        if order.limit in prices:
            return sizes[prices.index(order.limit)]
        sign = 1 if buying else -1
        return 0 if order.limit * sign > prices[0] * sign else max(sizes) * 3

    def on_trades(self, at: int, tape: Tape, prints: Sequence[Print]) -> None:
        """Let resting orders trade with what passes."""
        orders = self._ledger.open_orders(tape.listing.code)
        for order in orders:
            if at >= order.hold_until:
                for price, quantity, side in prints if order.limit else ():
                    self._pass(order, price, quantity, side, at)
                self._take(order, tape, at, passive=True)
        if orders:
            self._ledger.forget_done(tape.listing.code)

    def _pass(self, order: Order, price: int, quantity: int, side: str, at: int) -> None:
        """Trade a resting order with one print: behind the queue at its price, first beyond it."""
        buying = order.side == "BUY"
        beyond = price < order.limit if buying else price > order.limit
        if beyond:
            order.queue, share = 0, quantity * 4
        elif price == order.limit and side == (SELL if buying else BUY):
            ahead = min(order.queue, quantity)
            order.queue -= ahead
            share = quantity - ahead
        else:
            return
        if (count := min(share, order.rest)) > 0:
            self._fill(order, count, order.limit, at)

    def on_auction(self, at: int, tape: Tape, price: int, quantity: int) -> None:
        """Fill what an auction price meets; better limits first, then time."""

        def any_price(order: Order) -> bool:
            return not order.limit or (order.kind == "02" and tape.state == "closing")

        def rank(order: Order) -> tuple[bool, int, int]:
            sign = -1 if order.side == "BUY" else 1
            return not any_price(order), sign * order.limit, order.number

        for side in ("BUY", "SELL"):
            left = quantity
            for order in sorted(self._ledger.open_orders(tape.listing.code, side), key=rank):
                meets = order.limit >= price if side == "BUY" else order.limit <= price
                count = min(order.rest, left)
                if count > 0 and (any_price(order) or meets) and at >= order.hold_until:
                    left -= count
                    self._fill(order, count, price, at)
        for order in self._ledger.open_orders(tape.listing.code):
            order.queue = 0

    def _fill(self, order: Order, quantity: int, price: int, at: int) -> None:
        config, rng = self._config, self._rng
        lags = (config.list_lag.draw(rng), config.balance_lag.draw(rng))
        self._ledger.fill(order, quantity, price, at, lags)
        self.tell(at, Happening("fill", order, quantity, price))

    def _expire(self, order: Order, at: int) -> None:
        quantity = order.rest
        order.cancelled += quantity
        self.tell(at, Happening("expired", order, quantity, order.price))

    def on_quote(self, at: int, tape: Tape) -> None:
        """Nothing to do: auctions only collect."""

    def on_status(self, at: int, tape: Tape, code: str) -> None:
        """When trading (re)starts, orders that waited meet the book."""
        if tape.state == "open":
            for order in self._ledger.open_orders(tape.listing.code):
                self._match_again(at, order)

    def on_day_end(self, at: int) -> None:
        """Day orders die; how lists show it is configured. No notice is sent (unconfirmed)."""
        look = self._config.after_close
        later = {"cancelled": 0, "rest_then_cancelled": at + 30 * 60_000, "rest": at + DAY_MS}[look]
        for order in self._ledger.open_orders():
            order.died = order.rest
            order.cancelled += order.died
            order.died_list_at = later
