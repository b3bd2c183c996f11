"""The peers' side of backtest.py: runs in an environment of its own and needs nothing of the bot.

    PYTHON backtest_peers.py backtesting|vectorbt|nautilus BARS.csv

Prints one JSON line: CPU seconds of the run itself and the orders it made. Averages of 10 and 30
closes, ten shares at a time; first calls that compile are run once before.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from typing import Any

FAST, SLOW = 10, 30


def backtesting(file: str) -> dict[str, Any]:
    """Run backtesting.py."""
    import pandas
    from backtesting import Backtest, Strategy

    frame = pandas.read_csv(file, parse_dates=["time"], index_col="time")
    frame.columns = ["Open", "High", "Low", "Close", "Volume"]

    class Cross(Strategy):
        """Long while the fast mean is above."""

        def init(self) -> None:
            """Compute both means."""
            self.fast = self.I(lambda x: pandas.Series(x).rolling(FAST).mean(), self.data.Close)
            self.slow = self.I(lambda x: pandas.Series(x).rolling(SLOW).mean(), self.data.Close)

        def next(self) -> None:
            """Look at them."""
            if self.position:
                if self.fast[-1] < self.slow[-1]:
                    self.position.close()
            elif self.fast[-1] > self.slow[-1]:
                self.buy(size=10)

    test = Backtest(frame, Cross, cash=100_000_000, commission=0.00015)
    began = time.process_time()
    stats = test.run()
    return {"cpu_s": time.process_time() - began, "orders": 2 * int(stats["# Trades"])}


def vectorbt(file: str) -> dict[str, Any]:
    """Run vectorbt; the first run compiles and does not count."""
    import pandas
    import vectorbt as vbt

    close = pandas.read_csv(file, parse_dates=["time"], index_col="time")["close"].astype(float)

    def run() -> int:
        fast, slow = vbt.MA.run(close, FAST), vbt.MA.run(close, SLOW)
        made = vbt.Portfolio.from_signals(
            close, fast.ma_crossed_above(slow), fast.ma_crossed_below(slow), size=10,
            init_cash=100_000_000, fees=0.00015, freq="1min",
        )  # fmt: skip
        return int(made.orders.count())

    run()
    began = time.process_time()
    orders = run()
    return {"cpu_s": time.process_time() - began, "orders": orders}


def nautilus(file: str) -> dict[str, Any]:
    """Run NautilusTrader's backtest engine on bars."""
    import pandas
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.indicators import SimpleMovingAverage
    from nautilus_trader.model.currencies import KRW
    from nautilus_trader.model.data import Bar, BarType
    from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
    from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
    from nautilus_trader.model.instruments import Equity
    from nautilus_trader.model.objects import Money, Price, Quantity
    from nautilus_trader.trading.strategy import Strategy

    where = InstrumentId.from_str("005930.XKRX")
    stock = Equity(where, Symbol("005930"), KRW, 0, Price.from_str("1"), Quantity.from_int(1), 0, 0)
    kind = BarType.from_str("005930.XKRX-1-MINUTE-LAST-EXTERNAL")

    class Cross(Strategy):
        """Long while the fast mean is above."""

        def __init__(self) -> None:
            super().__init__()
            self.fast, self.slow, self.sent = (
                SimpleMovingAverage(FAST),
                SimpleMovingAverage(SLOW),
                0,
            )

        def on_start(self) -> None:
            """Ask for bars."""
            for mean in (self.fast, self.slow):
                self.register_indicator_for_bars(kind, mean)
            self.subscribe_bars(kind)

        def on_bar(self, bar: Bar) -> None:
            """Look at them."""
            if not self.indicators_initialized():
                return
            flat = self.portfolio.is_flat(where)
            if flat and self.fast.value > self.slow.value:
                self._send(OrderSide.BUY)
            elif not flat and self.fast.value < self.slow.value:
                self._send(OrderSide.SELL)

        def _send(self, side: OrderSide) -> None:
            self.sent += 1
            self.submit_order(self.order_factory.market(where, side, Quantity.from_int(10)))

    bars = []
    for row in pandas.read_csv(file, parse_dates=["time"]).itertuples():
        at = (row.time + timedelta(minutes=1)).value
        prices = (Price(float(p), 0) for p in (row.open, row.high, row.low, row.close))
        bars.append(Bar(kind, *prices, Quantity.from_int(int(row.volume)), at, at))
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        Venue("XKRX"), OmsType.NETTING, AccountType.CASH, [Money(100_000_000, KRW)], KRW
    )
    engine.add_instrument(stock)
    engine.add_data(bars)
    strategy = Cross()
    engine.add_strategy(strategy)
    began = time.process_time()
    engine.run()
    return {"cpu_s": time.process_time() - began, "orders": strategy.sent}


if __name__ == "__main__":
    print(json.dumps({"backtesting": backtesting, "vectorbt": vectorbt, "nautilus": nautilus}[sys.argv[1]](sys.argv[2])))  # fmt: skip
