"""A real Engine on invented days, with a broker that answers at once: what is bought is filled.

Everything that the engine is given can go into a real recording as well, in the Trader's order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import frames
import measure  # noqa: F401  puts the project on the path

import kis_realtime_trading as bot

CASH_KRW = 10_000_000_000
LIMITS: dict[str, Any] = {  # wide: what is to be measured is the way, not the refusals
    "max_order_krw": bot.CEILING_ORDER_KRW,
    "max_symbol_krw": bot.CEILING_TOTAL_KRW,
    "max_total_krw": bot.CEILING_TOTAL_KRW,
    "max_daily_loss_krw": bot.CEILING_TOTAL_KRW,
    "max_daily_loss_pct": 50.0,
    "max_positions": 40,
    "max_orders_per_minute": bot.CEILING_ORDERS_PER_MINUTE,
    "max_orders_per_day": 2_000,
    "max_data_age_s": 120.0,
    "max_quote_age_s": 120.0,
}
# The built-in strategy without target and trail and with a far stop: a position is closed by the
# clock, so that another program can be asked for the same orders.
BREAKOUT = {"risk_krw": 1_000_000, "stop_pct": 20.0, "target_pct": 0.0, "trail_pct": 0.0}


def settings_of(symbols: Iterable[str], **changes: Any) -> bot.BotSettings:
    """Return the section `bot`."""
    section = {"symbols": list(symbols), "limits": LIMITS, "parameters": BREAKOUT, **changes}
    return bot.BotSettings.model_validate(section)


def moment_of(day: date, second: float) -> datetime:
    """Return a second of a day as market time."""
    return datetime(day.year, day.month, day.day, tzinfo=bot.KST) + timedelta(seconds=second)


class Desk:
    """An engine that is ready to trade, and the broker it believes in."""

    def __init__(
        self,
        settings: bot.BotSettings,
        strategy: bot.TradingStrategy,
        recorder: bot.Recorder | None = None,
    ) -> None:
        ledger = bot.Ledger(settings.stock_fee_pct, settings.fund_fee_pct)
        self.engine = bot.Engine(settings, strategy, ledger, empty_lists=False)
        self.recorder = recorder
        self.intents: list[bot.OrderIntent] = []
        self._decoder = bot.FrameDecoder()
        self._prices = dict.fromkeys(settings.symbols, 70_000)
        self._rows: list[bot.BrokerOrder] = []
        self._held: dict[str, int] = dict.fromkeys(settings.symbols, 0)
        self._numbers = itertools.count(1)
        self._now = moment_of(frames.DAY, 0)
        self._look_at = self._now

    def open_day(self, day: date) -> None:
        """Give the engine a new day and everything it wants to know before it trades."""
        session = bot.session_of(day)
        self._now = moment_of(day, frames.OPEN_S - 1)
        self._rows.clear()
        self._decoder.set_day(day)
        self._feed(bot.Command("restarted", self._now))
        self._feed(bot.Command("day", self._now, session))
        self._feed(bot.Command("feed up", self._now))
        for symbol in self._held:
            self._answer(bot.Ask("price", symbol))
        self._look()

    def trade(self, day: date, prints: Iterable[frames.Print], spread_us: int = 0) -> None:
        """Run a day's trades through, each in a frame and a batch of its own."""
        for n, trade in enumerate(prints):
            micro = n * spread_us % 1_000_000
            self._now = moment_of(day, trade.second) + timedelta(microseconds=micro)
            self._prices[trade.code] = trade.price
            self._handle(bot.TimeEvent(self._now))
            if self._now >= self._look_at:
                self._look()
            frame = "0|H0STCNT0|001|" + trade.record
            if self.recorder:
                self.recorder.frame(n, 1, frame)
                if n % 500 == 0:
                    self.recorder.flush()
                    self.recorder.settle(60.0)  # days go faster here than any disk
            for event in self._decoder.decode(frame):
                self._handle(event)

    def _look(self) -> None:
        """Ask the usual questions, as the Trader does every 30 s."""
        self._look_at = self._now + timedelta(seconds=30)
        for what in ("orders", "holdings", "cash"):
            self._answer(bot.Ask(what))

    def _feed(self, event: bot.Event) -> None:
        self._handle(bot.TimeEvent(self._now))
        self._handle(event)

    def _handle(self, event: bot.Event) -> None:
        if self.recorder:
            if isinstance(event, bot.TimeEvent):
                self.recorder.time(event.now)
            elif not isinstance(event, bot.Trade):
                self.recorder.event(event)
        for action in list(self.engine.handle(event)):
            if isinstance(action, bot.OrderCall):
                self._fill(action.intent)
            elif isinstance(action, bot.Ask):
                self._answer(action)

    def _fill(self, intent: bot.OrderIntent) -> None:
        """Accept an order and fill it whole at its price."""
        self.intents.append(intent)
        number = f"{next(self._numbers):010d}"
        buys = intent.side is bot.Side.BUY
        self._held[intent.symbol] += intent.quantity if buys else -intent.quantity
        self._rows.append(
            bot.BrokerOrder(
                number, "", "00001", intent.symbol, intent.side, str(intent.kind), intent.quantity,
                intent.price, intent.quantity, intent.quantity * intent.price, 0, 0,
                f"{self._now:%H%M%S}",
            )
        )  # fmt: skip
        answer = bot.OrderAnswer(bot.Outcome.ACCEPTED, number, "00001")
        self._feed(bot.OrderAnswered(intent.intent_id, answer, self._now))

    def _answer(self, ask: bot.Ask) -> None:
        ledger, value = self.engine.core.ledger, None
        if ask.what == "price":
            price = self._prices[ask.symbol]
            value = bot.Instrument(ask.symbol, "KOSPI", False, 100_000, 150_000, 50_000, price)
        elif ask.what == "orders":
            value = bot.OrderList(tuple(self._rows))
        elif ask.what == "cash":
            value = bot.Cash(CASH_KRW)
        else:
            held = [
                bot.Holding(code, count, count, bot.Decimal(70_000), code)
                for code, count in self._held.items()
                if count
            ]
            value = bot.Balance(ledger.cash_krw or CASH_KRW, 0, CASH_KRW, tuple(held))
        self._feed(bot.Seen(value, self._now))


def trading_days(first: date, count: int) -> Iterator[date]:
    """Yield trading days, the first included."""
    for _ in range(count):
        yield first
        first = bot.next_trading_day(first)


def breakout() -> bot.TradingStrategy:
    """Return the built-in strategy with the parameters above."""
    return bot.load_strategy("breakout", BREAKOUT)


__all__ = ["BREAKOUT", "Desk", "breakout", "moment_of", "replace", "settings_of", "trading_days"]
