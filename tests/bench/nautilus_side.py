"""NautilusTrader's side of nautilus.py: runs in its own environment and needs nothing of the bot.

Reads the trades, says its version, then for each line on stdin runs the backtest once and prints
seconds of BacktestEngine.run() (wall and CPU), the number of orders and the entries, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from datetime import datetime, timedelta, timezone
from typing import Any

import nautilus_trader
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import KRW
from nautilus_trader.model.data import Bar, BarType, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, OmsType, OrderSide, TimeInForce
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

KST = timezone(timedelta(hours=9))
VENUE = Venue("XKRX")
SECOND = 1_000_000_000
OPEN_S = 9 * 3_600


class Breakout(Strategy):
    """The bot's built-in strategy, for bars."""

    def __init__(self, given: dict[str, Any], instruments: list[Equity]) -> None:
        super().__init__()
        self.given, self.rules, self.instruments = given, given["breakout"], instruments
        lookback = self.rules["lookback_bars"]
        codes = [each.id.symbol.value for each in instruments]
        self.highs: dict[str, deque[int]] = {code: deque(maxlen=lookback) for code in codes}
        self.volumes: dict[str, deque[int]] = {code: deque(maxlen=lookback) for code in codes}
        self.waits = dict.fromkeys(codes, 0)
        self.entries: list[list[object]] = []
        self.vwap = {
            (code, (day["midnight"] + end) * SECOND): value
            for day in given["days"]
            for code, rows in day["vwap"].items()
            for end, value in rows
        }

    def on_start(self) -> None:
        """Ask for bars, and for a call at the end of each day."""
        for instrument in self.instruments:
            self.subscribe_bars(BarType.from_str(f"{instrument.id}-5-MINUTE-LAST-INTERNAL"))
        for n, day in enumerate(self.given["days"]):
            at = datetime.fromtimestamp(day["midnight"] + self.given["flat_at"], tz=KST)
            self.clock.set_time_alert(f"flat{n}", at, lambda event: self.close_all())

    def close_all(self) -> None:
        """Close what is held."""
        for instrument in self.instruments:
            self.close_all_positions(instrument.id)

    def on_bar(self, bar: Bar) -> None:
        """Decide as the bot's breakout does."""
        rules, instrument_id = self.rules, bar.bar_type.instrument_id
        code, lookback = instrument_id.symbol.value, self.rules["lookback_bars"]
        highs, volumes = self.highs[code], self.volumes[code]
        full = len(highs) == lookback
        high, volume = (max(highs), sum(volumes) / lookback) if full else (0, 0.0)
        highs.append(int(bar.high))
        volumes.append(int(bar.volume))
        self.waits[code] = max(0, self.waits[code] - 1)
        end = datetime.fromtimestamp(bar.ts_event // SECOND, tz=KST)
        second = end.hour * 3_600 + end.minute * 60
        early = second <= OPEN_S + rules["first_bar_minutes"] * 60
        if not full or self.waits[code] or early or not self.portfolio.is_flat(instrument_id):
            return
        if self.cache.orders_open_count(instrument_id=instrument_id):
            return
        close, vwap = int(bar.close), self.vwap.get((code, bar.ts_event), 0.0)
        broke_out = close > high and int(bar.volume) >= rules["volume_ratio"] * volume
        if not (broke_out and close > vwap > 0) or second >= self.given["entries_until"]:
            return
        entry = -int(-close * (1 + rules["slippage_pct"] / 100) // 100) * 100
        stop = int(entry * (1 - rules["stop_pct"] / 100) // 100) * 100
        quantity = rules["risk_krw"] // max(1, entry - stop)
        self.waits[code] = rules["cooldown_bars"]
        order = self.order_factory.limit(
            instrument_id, OrderSide.BUY, Quantity.from_int(quantity), Price.from_int(entry),
            time_in_force=TimeInForce.DAY,
        )  # fmt: skip
        self.entries.append([f"{end:%Y%m%d}", code, f"{end:%H%M}", quantity, entry])
        self.submit_order(order)


def instrument_of(code: str) -> Equity:
    """Return a stock; 100 won is the step at these prices."""
    return Equity(
        instrument_id=InstrumentId(Symbol(code), VENUE), raw_symbol=Symbol(code), currency=KRW,
        price_precision=0, price_increment=Price.from_int(100), lot_size=Quantity.from_int(1),
        ts_event=0, ts_init=0,
    )  # fmt: skip


def ticks_of(given: dict[str, Any], instruments: dict[str, Equity]) -> list[TradeTick]:
    """Make the tick objects; trades of one second keep their order."""
    ticks, last = [], 0
    for day in given["days"]:
        for n, (second, code, price, shares) in enumerate(day["trades"]):
            last = max(last + 1, (day["midnight"] + second) * SECOND)
            ticks.append(
                TradeTick(
                    instruments[code].id, Price.from_int(price), Quantity.from_int(shares),
                    AggressorSide.NO_AGGRESSOR, TradeId(str(n)), last, last,
                )
            )  # fmt: skip
    return ticks


def main() -> None:
    """Run backtests on demand."""
    with open(sys.argv[1], encoding="utf-8") as file:
        given = json.load(file)
    codes = sorted({row[1] for day in given["days"] for row in day["trades"]})
    instruments = {code: instrument_of(code) for code in codes}
    ticks = ticks_of(given, instruments)
    print(f"nautilus_trader {nautilus_trader.__version__}", flush=True)
    for _ in sys.stdin:
        config = BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True), run_analysis=False
        )
        engine = BacktestEngine(config)
        engine.add_venue(
            VENUE, OmsType.NETTING, AccountType.CASH, [Money(10_000_000_000, KRW)], base_currency=KRW,
            trade_execution=True,
        )  # fmt: skip
        for instrument in instruments.values():
            engine.add_instrument(instrument)
        engine.add_data(ticks)
        strategy = Breakout(given, list(instruments.values()))
        engine.add_strategy(strategy)
        began, began_cpu = time.perf_counter(), time.process_time()
        engine.run()
        wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        orders = len(engine.cache.orders())
        entries = sorted(strategy.entries)
        said = {"wall": wall, "cpu": cpu, "orders": orders, "entries": entries}
        print(json.dumps(said), flush=True)
        engine.dispose()


if __name__ == "__main__":
    main()
