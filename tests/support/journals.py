"""Journals made of chance: days of orders, fills, corrections, shares that the owner took away.

    python tests/support/journals.py FOLDER [--days 250] [--bars 380] [--seed 1]

The rows are those that the bot writes; a Ledger applies each beside it and says what is true.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import kis_realtime_trading as bot

NAMES = {
    "005930": ("삼성전자", "KOSPI", False, 71_000), "000660": ("SK하이닉스", "KOSPI", False, 182_500),
    "247540": ("에코프로비엠", "KOSDAQ", False, 121_400), "069500": ("KODEX 200", "KOSPI", True, 36_150),
    "035720": ("카카오", "KOSPI", False, 41_250),
}  # fmt: skip
REASONS = ("stop", "target", "trailing stop", "end of day")
RULES = ("STALE", "SESSION", "CASH", "DAY_LOSS", "NO_QUOTE")
CASH = 50_000_000


@dataclass
class Truth:
    """What a Ledger said at the end of each day."""

    day: date
    gross: Fraction
    fees: int
    taxes: int
    net: int
    cash: int
    held: dict[str, int]
    booked_open: Fraction = Fraction(0)


@dataclass
class JournalMaker:
    """Writes a journal row by row, as the bot does, and keeps the ledger beside it."""

    path: Path
    seed: int = 1
    symbols: tuple[str, ...] = ("005930", "000660", "247540")
    wild: bool = False  # corrections, the owner's own trades, shares kept over night
    ledger: bot.Ledger = field(default_factory=bot.Ledger)
    truths: list[Truth] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pick = random.Random(self.seed)
        self.journal = bot.Journal(self.path)
        self.journal.verify()
        self.rows: list[tuple[str, str, Any]] = []
        self.price = {symbol: NAMES[symbol][3] for symbol in self.symbols}
        self.number = 0
        self.now = datetime(2026, 1, 2, 8, 30, tzinfo=bot.KST)

    def put(self, entry: bot.LedgerEntry) -> None:
        """Apply an entry and keep its row."""
        self.ledger.apply(entry)
        ours = isinstance(entry, bot.OrderIntent) and entry.purpose != "external"
        ref = getattr(entry, "intent_id", "")
        self.rows.append(("intent" if ours else "ledger", ref, entry))

    def flush(self) -> None:
        """Write what has gathered, at the present time."""
        self.journal.append(self.rows, self.now)
        self.rows = []

    def open_day(self, day: date) -> None:
        """Begin a day as the bot does before the market opens."""
        self.now = datetime(day.year, day.month, day.day, 8, 30, tzinfo=bot.KST)
        self.put(bot.DayOpened(day, self.now))
        for symbol in self.symbols:
            name, market, fund, _ = NAMES[symbol]
            base = self.price[symbol]
            stock = bot.Instrument(
                symbol, market, fund, base, base * 13 // 10, base * 7 // 10, base, "", name
            )
            self.ledger.instruments[symbol] = stock
            self.rows.append(("instrument", symbol, stock))
        cash = self.ledger.cash_krw or CASH
        self.put(bot.AccountTaken(cash, dict(self.ledger.external), self.now))
        self.flush()

    def bars(self, count: int) -> None:
        """Write minute bars of all stocks, a random walk, from 09:00 on."""
        for _ in range(count):
            self.now += timedelta(minutes=1)
            for symbol in self.symbols:
                price = self.price[symbol]
                tick = bot.tick_size(price, NAMES[symbol][2])
                close = max(tick * 20, price + tick * self.pick.randint(-4, 4))
                high = max(price, close) + tick * self.pick.randint(0, 2)
                low = min(price, close) - tick * self.pick.randint(0, 2)
                volume = self.pick.randint(200, 9_000)
                bar = bot.Bar(
                    symbol, self.now - timedelta(minutes=1), self.now, price, high, low, close,
                    volume, volume * (high + low) // 2, self.pick.randint(5, 90),
                )  # fmt: skip
                self.rows.append(("bar", symbol, {"bar": bar}))
                self.price[symbol] = close
        self.flush()

    def send(self, symbol: str, side: bot.Side, quantity: int, reason: str, purpose: Any) -> str:
        """Write an intent that the broker accepted; return its id."""
        self.number += 1
        key, price = f"{self.number:016x}", self.price[symbol]
        plan = None
        if side is bot.Side.BUY:
            plan = bot.ExitPlan(price * 988 // 1000, price * 1024 // 1000, 0.012)
        day = self.now.date()
        self.put(bot.OrderIntent(
            key, day, symbol, side, bot.OrderKind.LIMIT, quantity, price, purpose,
            "exit:1" if purpose == "exit" else purpose, f"{self.now:%H%M}", self.now, plan=plan,
            reason=reason,
        ))  # fmt: skip
        self.event(key, bot.OrderEvent.FOUND if purpose == "external" else bot.OrderEvent.ACCEPTED)
        return key

    def event(self, key: str, event: bot.OrderEvent, quantity: int = 0, amount: int = 0) -> None:
        """Write an event of an order; fills are cumulative."""
        number = f"{int(key, 16):010d}"
        if event is bot.OrderEvent.FOUND:
            no_answer = bot.OrderUpdate(key, bot.OrderEvent.NO_ANSWER, self.now)
            self.put(no_answer)
        self.put(bot.OrderUpdate(key, event, self.now, number, "00950", quantity, amount))

    def fill(self, key: str, quantity: int) -> None:
        """Write one or several fills of an order, up to a number of shares."""
        order = self.ledger.orders[key]
        done, amount = order.filled_quantity, order.filled_amount_krw
        while done < quantity:
            part = self.pick.randint(1, quantity - done)
            price = self.price[order.intent.symbol]
            late = self.wild and self.pick.random() < 0.1
            done, known = done + part, amount + (0 if late else part * price)
            self.event(key, bot.OrderEvent.FILL, done, known)
            amount += part * price
            if late:  # the list showed the shares before the won
                self.event(key, bot.OrderEvent.FILL, done, amount)

    def round_trip(self, symbol: str, keep: bool = False) -> None:
        """Buy, hold, sell; in a wild journal only a part, or beside the owner."""
        quantity = self.pick.randint(1, 20)
        key = self.send(symbol, bot.Side.BUY, quantity, "breakout", "entry")
        bought = self.pick.randint(1, quantity) if self.wild else quantity
        self.fill(key, bought)
        if bought < quantity:
            self.event(key, bot.OrderEvent.CANCELLED)
        self.flush()
        self.bars(self.pick.randint(1, 4))
        if self.wild and self.pick.random() < 0.2:
            left = self.pick.randint(0, self.ledger.position(symbol).quantity)
            self.put(bot.PositionAdjusted(symbol, left, "the owner sold some", self.now))
        if self.wild and self.pick.random() < 0.1 and self.ledger.position(symbol).quantity:
            own = self.send(symbol, bot.Side.SELL, self.pick.randint(1, 5), "", "external")
            self.fill(own, self.ledger.orders[own].intent.quantity)
        if not keep:
            self.sell(symbol)

    def sell(self, symbol: str) -> None:
        """Sell what is held, in one or more orders."""
        reason = self.pick.choice(REASONS)
        if self.ledger.position(symbol).quantity:
            self.put(bot.ExitStarted(symbol, reason, self.now))
        while held := self.ledger.position(symbol).quantity:
            count = self.pick.randint(1, held) if self.wild else held
            key = self.send(symbol, bot.Side.SELL, count, reason, "exit")
            self.fill(key, count)
            self.flush()

    def refuse(self) -> None:
        """Write a wish that a rule refused."""
        symbol = self.pick.choice(self.symbols)
        data = {
            "symbol": symbol, "side": bot.Side.BUY, "quantity": 3, "price": self.price[symbol],
            "code": self.pick.choice(RULES), "numbers": "1 > 0", "purpose": "entry",
        }  # fmt: skip
        self.rows.append(("refusal", f"{self.pick.getrandbits(64):016x}", data))
        self.flush()

    def close_day(self) -> None:
        """Write the day's figures and keep them."""
        today = self.ledger.today
        figures = {
            "day": self.ledger.day, "gross": today.gross_krw, "fees": today.fees_krw,
            "taxes": today.taxes_krw, "net": today.net_krw, "cash": self.ledger.cash_krw,
        }  # fmt: skip
        self.now = self.now.replace(hour=15, minute=31)
        self.rows.append(("day", f"{self.ledger.day}", figures))
        self.flush()
        assert self.ledger.day is not None
        held = {s: p.quantity for s, p in self.ledger.positions.items() if p.quantity}
        booked = (p.result for p in self.ledger.positions.values() if p.quantity)
        self.truths.append(Truth(
            self.ledger.day, today.gross, today.fees_krw, today.taxes_krw, today.net_krw,
            self.ledger.cash_krw, held, sum(booked, Fraction(0)),
        ))  # fmt: skip

    def day(self, day: date, trips: int, bars: int) -> None:
        """Write a whole day."""
        self.open_day(day)
        self.now = self.now.replace(hour=9, minute=0)
        for symbol in list(self.symbols):
            if self.ledger.position(symbol).quantity:
                self.sell(symbol)
        for _ in range(trips):
            self.bars(max(0, bars // (trips + 1) - 2))
            flat = [s for s in self.symbols if not self.ledger.position(s).quantity]
            if flat:
                self.round_trip(self.pick.choice(flat), self.wild and self.pick.random() < 0.2)
            if self.pick.random() < 0.5:
                self.refuse()
        self.bars(max(0, bars // (trips + 1) - 2))
        self.close_day()


def make_journal(
    path: Path, days: int, bars: int, seed: int = 1, wild: bool = False, most_trips: int = 6
) -> JournalMaker:
    """Write a journal of trading days from 2026-01-02 on; return its maker, journal closed."""
    maker, day = JournalMaker(path, seed, wild=wild), date(2026, 1, 1)
    for _ in range(days):
        day = bot.next_trading_day(day)
        maker.day(day, maker.pick.randint(0, most_trips), bars)
    maker.journal.close()
    return maker


def main() -> None:
    """Write one from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=250)
    parser.add_argument("--bars", type=int, default=380, help="a day and stock")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wild", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "journal-paper-0000.sqlite3"
    print(make_journal(path, options.days, options.bars, options.seed, options.wild).path)


if __name__ == "__main__":
    main()
