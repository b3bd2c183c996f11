"""The composition of everything without sockets: the Simulator."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from companions.simulator.account import AccountDesk, OrderDesk
from companions.simulator.config import Credentials, SimulatorConfig
from companions.simulator.exchange import Change, Exchange, Happening, Ticket
from companions.simulator.faults import FaultBook
from companions.simulator.gateway import Gateway, Reply, Request, TokenDesk, read_json, to_json
from companions.simulator.history import History
from companions.simulator.ledger import Ledger, Order
from companions.simulator.lists import Flows, Indexes, Lists
from companions.simulator.market import Market
from companions.simulator.quotations import Quotations
from companions.simulator.rules import Calendar
from companions.simulator.sessions import Hub, Session
from companions.simulator.tables import LISTINGS, Listing
from companions.simulator.tape import Agenda, Ground
from companions.simulator.tools import Dice, half_up, midnight_ms, to_moment, to_ms


class Simulator:
    """The whole server without sockets: time, requests and text in; replies and frames out."""

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        self.config = config = config or SimulatorConfig()
        self.credentials = Credentials.from_seed(config.seed)
        dice, agenda, calendar = Dice(config.seed), Agenda(), Calendar(config.extra_holidays)
        self.faults = FaultBook(dice.stream("faults"), lambda: agenda.now)
        listings = {code: _listing(code, dice) for code in config.symbols}
        history = History(dice, listings, calendar, config.bars, config.ex_days)
        for code in config.bars:
            if code in listings:
                history.anchor(code, config.day)
        ground = Ground(config, self.credentials, dice, calendar, history, agenda, self.faults)
        self._ground, self._agenda = ground, agenda
        self._market, self._ledger = Market(ground), Ledger(ground)
        self._exchange = Exchange(ground, self._market, self._ledger)
        self._hub = Hub(ground)
        self._tokens = TokenDesk(ground, self._hub)
        desks = {
            "quotes": Quotations(ground, self._market),
            "flows": Flows(ground, self._market),
            "indexes": Indexes(ground, self._market),
            "lists": Lists(ground, self._market),
            "account": AccountDesk(ground, self._market, self._ledger),
            "orders": OrderDesk(ground, self._exchange),
            "ledger": self._ledger,
        }
        self._gateway = Gateway(ground, desks, self._tokens)
        self._pace_s, self._serving = 0.0, False
        self._exchange.tell, self._hub.watch = self._tell, self._watch
        self._market.listeners = [self._exchange, self._hub]
        for rule in config.faults:
            self.faults.add(rule)
        agenda.now = midnight_ms(config.day)
        self._midnight = midnight_ms(config.day + timedelta(days=1))  # the next one
        self._next = (0, to_moment(0))  # the last answer of next_event
        self._market.start_day(config.day)

    def _watch(self, symbol: str, on: bool) -> None:
        if symbol in self._market.tapes:
            self._market.tapes[symbol].watched = on

    def _tell(self, at: int, happening: Happening) -> None:
        early = self._serving and self._gateway.early_receipt and happening.what == "received"
        self._hub.notify(at, happening, early)

    # --- time -----------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """Return the market time of the last advance."""
        return to_moment(self._agenda.now)

    def advance(self, now: datetime, mono: float = 0.0, pace_s: float | None = None) -> None:
        """Run the market up to `now` (aware). Time never runs backwards.

        `mono`: seconds on a monotonic clock, for PINGPONG and dead sessions only.
        `pace_s`: clock of the request limits; default is market time. A shell whose market stands
        still hands in a clock that moves.
        """
        at = max(to_ms(now), self._agenda.now)
        self._pace_s = at / 1000 if pace_s is None else pace_s
        while at >= self._midnight:
            follow = self._market.day + timedelta(days=1)
            self._agenda.run(self._midnight)
            self._ledger.start_day(follow)
            self._market.start_day(follow)
            self._midnight = midnight_ms(follow + timedelta(days=1))
        self._agenda.run(at)
        self._hub.tick(mono)

    def next_event(self) -> datetime:
        """Return the market time of the next thing that will happen, at the latest midnight."""
        at = min(self._agenda.next_at() or self._midnight, self._midnight)
        if at != self._next[0]:
            self._next = (at, to_moment(at))
        return self._next[1]

    def next_tick(self) -> float:
        """Return the `mono` from which on a session needs an advance, whatever the market does."""
        return self._hub.next_tick()

    # --- the server -----------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> Reply:
        """Answer one HTTP request at the time of the last advance."""
        path = f"/{path.lstrip('/')}"  # one public client sends //uapi/...
        if path.startswith("/simulator/"):
            return self._admin(method, path.removeprefix("/simulator/"), params, body)
        query = {key.upper(): value for key, value in params.items()}
        names = {key.lower(): value for key, value in headers.items()}
        sent, now = read_json(body), self._agenda.now
        self._serving = True
        try:
            return self._gateway.serve(Request(method, path, query, names, sent, now, self._pace_s))
        finally:
            self._serving = False

    def connect(self) -> Session:
        """Open a WebSocket session."""
        return self._hub.connect()

    @property
    def sessions(self) -> list[Session]:
        """Return the open WebSocket sessions."""
        return self._hub.sessions

    def books(self) -> dict[str, Any]:
        """Return the truth: cash, positions, orders, fills, counters. Won and shares are ints."""
        account, orders = self._ledger.truth, self._ledger.orders
        fees = account.total("buy_fee") + account.total("sell_fee")
        taxes, gross = account.total("tax"), half_up(Fraction(account.total("realized")))
        return {
            "market_time": self.now.isoformat(),
            "cash_krw": account.cash,
            "initial_cash_krw": account.initial,
            "transfers_krw": account.transfers,
            "fees_krw": fees,
            "taxes_krw": taxes,
            "realized_pnl_gross_krw": gross,
            "realized_pnl_net_krw": gross - fees - taxes,
            "positions": {
                symbol: position.truth()
                for symbol, position in account.positions.items()
                if position.quantity
            },
            "orders": [order.truth() for order in orders if order.role != "cancel"],
            "fills": [fill.truth() for fill in self._ledger.fills],
            "order_count": sum(o.role == "new" and o.source == "api" for o in orders),
            "fill_count": len(self._ledger.fills),
            "requests": dict(self._gateway.counts),
            "trades_sent": dict(self._hub.trades_sent),
            "frames_sent": self._hub.frames_sent,
        }

    # --- the owner and the script ---------------------------------------------------

    def manual_order(
        self, symbol: str, side: str, quantity: int, price: int = 0, kind: str = "00",
        exchange: str = "KRX",
    ) -> str:  # fmt: skip
        """Place an order as the owner by phone; return its number. ValueError when refused.

        One at NXT trades like the others here; only lists tell the exchanges apart.
        """
        source = "owner" if exchange == "KRX" else f"owner {exchange}"
        ticket = Ticket(symbol, side, kind, quantity, price, source)
        return self._number(self._exchange.place(ticket, self._agenda.now))

    def manual_cancel(self, order_no: str, quantity: int = 0) -> str:
        """Cancel an order as the owner, its rest or some shares; return the number of the cancel."""
        wanted = Change(order_no, True, not quantity, quantity, "00", 0, "owner")
        return self._number(self._exchange.change(wanted, self._agenda.now))

    def manual_change(self, order_no: str, price: int) -> str:
        """Give the rest of an order another limit as the owner; return its new number."""
        wanted = Change(order_no, False, True, 0, "00", price, "owner")
        return self._number(self._exchange.change(wanted, self._agenda.now))

    @staticmethod
    def _number(result: Order | str) -> str:
        if isinstance(result, str):
            raise ValueError(f"refused: {result}")
        return result.odno

    def transfer_cash(self, amount_krw: int) -> None:
        """Pay in (positive) or withdraw (negative)."""
        self._ledger.transfer(amount_krw)

    def second_client(self) -> str:
        """Let another program with the same key take a new token; the old one dies."""
        return self._tokens.issue(self._agenda.now, fresh=True).text

    def market_event(self, kind: str, symbol: str | None = None, seconds: float = 0.0) -> None:
        """Make something happen in the market now; kinds as in Market.event."""
        self._market.event(self._agenda.now, kind, symbol, seconds)

    def drop_sessions(self) -> None:
        """Break all WebSocket connections."""
        for session in list(self._hub.sessions):
            session.close("dropped")

    def state(self) -> dict[str, Any]:
        """Return the market as a person would want to see it."""
        names = ("state", "lock", "base", "open", "high", "low", "last", "volume")
        return {
            "market_time": self.now.isoformat(),
            "environment": self.config.environment,
            "trading_day": self._ground.calendar.is_trading_day(self._market.day),
            "sessions": [[f"{tr} {key}" for tr, key in s.registered] for s in self._hub.sessions],
            "faults": self.faults.rows(),
            "stocks": {
                code: {"name": tape.listing.name} | {name: getattr(tape, name) for name in names}
                for code, tape in self._market.tapes.items()
            },
        }

    def _admin(self, method: str, name: str, params: Mapping[str, str], body: bytes) -> Reply:
        """Serve /simulator/...; never rate limited, never faulty."""
        try:
            sent = json.loads(body) if body else {}
            result: Any = self._administer(method, name.rstrip("/"), params, sent)
            status = 200
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            result, status = {"error": f"{type(error).__name__}: {error}"}, 400
        return Reply(status, {"Content-Type": "application/json; charset=utf-8"}, to_json(result))

    def _administer(self, method: str, name: str, params: Mapping[str, str], sent: Any) -> Any:
        rules = sent if isinstance(sent, list) else [sent]
        number = int(params["number"]) if "number" in params else None
        clock = {"market_time": self.now.isoformat(), "next": self.next_event().isoformat()}
        actions: dict[str, Callable[[], Any]] = {
            "GET state": self.state,
            "GET books": self.books,
            "GET clock": lambda: clock,
            "GET faults": self.faults.rows,
            "POST faults": lambda: {"numbers": [self.faults.add(rule) for rule in rules]},
            "DELETE faults": lambda: self.faults.clear(number),
            "POST manual-order": lambda: {"order_no": self.manual_order(**sent)},
            "POST manual-cancel": lambda: {"order_no": self.manual_cancel(**sent)},
            "POST cash": lambda: self.transfer_cash(int(sent["amount"])),
            "POST market-event": lambda: self.market_event(
                sent["type"], sent.get("symbol"), float(sent.get("seconds", 0))
            ),
            "POST second-client": lambda: {"token": self.second_client()[-8:]},
            "POST drop-sessions": self.drop_sessions,
        }
        if f"{method} {name}" not in actions:
            raise KeyError(f"there are {', '.join(actions)}")
        result = actions[f"{method} {name}"]()
        return {"ok": True} if result is None else result


def _listing(code: str, dice: Dice) -> Listing:
    """Return a known stock or invent one for an unknown code."""
    if code in LISTINGS:
        return LISTINGS[code]
    price = round(8_000 * math.exp(2.5 * dice.unit("anchor", code)))
    size = (price, 50_000_000, 900_000, 0.022)
    return Listing(code, f"종목{code}", f"Stock{code}", "KOSPI", False, *size)
