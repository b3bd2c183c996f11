"""Backtest: a stock-year of one-minute bars, moving averages 10/30, against bare Python and others.

In: the run itself, from bars in memory to the report, without a journal; CPU seconds. Out: reading CSV, the
HTML. Peers run in a Python of their own, named by hand, and are left out with a sentence without:

    python tests/bench/backtest.py --bars 97500 [--profile exact|thin]
        [--peer backtesting=/path/to/python] [--peer vectorbt=...] [--peer nautilus=...]

All get the same bars from one CSV file. They trade by their own rules: compare speed, not results.
"""

from __future__ import annotations

import argparse
import cProfile
import csv
import json
import pstats
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from datetime import date, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path += [each for each in (str(HERE.parents[1]), str(HERE)) if each not in sys.path]
import kis_realtime_trading as bot  # noqa: E402
from companions.backtest.history import History  # noqa: E402
from companions.backtest.path import worth  # noqa: E402
from companions.backtest.run import Options, run  # noqa: E402

BARS_A_DAY, FAST, SLOW = 380, 10, 30  # without the closing auction
SYMBOL = "005930"


class Mean:
    """Mean of the last whole numbers, exact."""

    def __init__(self, length: int) -> None:
        self._values: deque[int] = deque(maxlen=length)
        self._length, self._sum = length, 0

    def update(self, value: int) -> None:
        """Take a value in."""
        self._sum += value - (self._values[0] if len(self._values) == self._length else 0)
        self._values.append(value)

    @property
    def value(self) -> float | None:
        """The mean, None until the window is full."""
        return self._sum / self._length if len(self._values) == self._length else None


class Averages(bot.TradingStrategy):
    """Buy when the mean of 10 closes is above that of 30, sell when it is below."""

    def __init__(self) -> None:
        super().__init__()
        self._fast, self._slow = Mean(FAST), Mean(SLOW)

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> bot.OrderRequest | None:
        """Look at the averages."""
        self._fast.update(bar.close)
        self._slow.update(bar.close)
        fast, slow = self._fast.value, self._slow.value
        if fast is None or slow is None:
            return None
        if view.position.quantity:
            return view.sell(f"{bar.end}", "below") if fast < slow else None
        if fast <= slow or view.open_orders:
            return None
        price = view.round_price(bar.close * 1.002, up=True)
        return view.buy(10, price, f"{bar.end}", bot.ExitPlan(price // 2), "above")


def year(count: int) -> History:
    """Return a random walk of one stock, on ticks, 380 minutes a day."""
    pick, price, bars, day = random.Random(1), 70_000, [], date(2026, 1, 2)
    while len(bars) < count:
        session = bot.session_of(day)
        assert session
        for n in range(BARS_A_DAY):
            start = session.open + timedelta(minutes=n)
            walk = [price]
            for _ in range(3):
                walk.append(min(max(50_100, walk[-1] + 100 * pick.choice((-1, 0, 0, 1))), 199_900))
            price, shares = walk[-1], pick.randint(400, 40_000)
            low, high = min(walk), max(walk)
            end = start + timedelta(minutes=1)
            value = worth(shares, walk[0], high, low, price)
            bars.append(bot.Bar(SYMBOL, start, end, walk[0], high, low, price, shares, value, 4))
        day = bot.next_trading_day(day)
    return History({SYMBOL: bars[:count]}, bases={SYMBOL: 70_000})


def settings() -> bot.BotSettings:
    """Return limits that do not matter here."""
    limits = {
        "max_order_krw": 50_000_000, "max_symbol_krw": 50_000_000, "max_total_krw": 50_000_000,
        "max_daily_loss_krw": 50_000_000, "max_daily_loss_pct": 50, "losses_in_a_row": 20,
        "losses_in_a_row_all": 50, "max_orders_per_day": 2_000,
    }  # fmt: skip
    return bot.BotSettings.model_validate({"symbols": [SYMBOL], "limits": limits, "bar_minutes": 1})


def ours(history: History, lane: Any) -> dict[str, Any]:
    """Return CPU seconds and orders of one lane."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        result = run(settings(), Averages(), history, Options(100_000_000, lane=lane, journal=False), Path(folder) / "a")  # fmt: skip
        spent = time.process_time() - began
    assert not result.differences, result.differences
    return {"cpu_s": spent, "orders": len(result.report.orders), "whole": result.thin}


def bare(history: History) -> dict[str, Any]:
    """Return CPU seconds of a loop over two running sums: the floor of anything in Python."""
    closes = [bar.close for bar in history.minutes[SYMBOL]]
    began = time.process_time()
    fast = slow = orders = held = 0
    for n, close in enumerate(closes):
        fast += close - (closes[n - FAST] if n >= FAST else 0)
        slow += close - (closes[n - SLOW] if n >= SLOW else 0)
        if n >= SLOW and (fast * SLOW > slow * FAST) is not bool(held):
            held, orders = not held, orders + 1
    return {"cpu_s": time.process_time() - began, "orders": orders}


def peer(name: str, python: str, file: Path) -> dict[str, Any] | None:
    """Run backtest_peers.py by a Python of its own; None when it cannot, with a sentence."""
    command = [python, str(HERE / "backtest_peers.py"), name, str(file)]
    if not Path(python).is_file():
        print(f"{name}: left out, no {python}")
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["?"])[-1]
        print(f"{name}: left out, {said[:160]}")
        return None
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def profile(history: History, lane: str) -> None:
    """Print where a lane spends its time."""
    watch = cProfile.Profile()
    watch.runcall(ours, history, lane)
    pstats.Stats(watch).sort_stats("tottime").print_stats(28)


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bars", type=int, default=97_500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", choices=("exact", "thin"))
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--quick", action="store_true", help="only that it runs: 800 bars")
    options = parser.parse_args(arguments)
    if options.quick:
        options.bars, options.rounds = 800, 1
    history = year(options.bars)
    if options.profile:
        profile(history, options.profile)
        return 0
    found = {"bare loop": min((bare(history) for _ in range(options.rounds)), key=lambda f: f["cpu_s"])}  # fmt: skip
    for lane in ("thin", "exact"):
        runs = [ours(history, lane) for _ in range(options.rounds)]
        found[f"ours, {lane} lane"] = min(runs, key=lambda f: f["cpu_s"])
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bars.csv"
        with file.open("w", newline="") as text:
            writer = csv.writer(text)
            writer.writerow(("time", "open", "high", "low", "close", "volume"))
            for bar in history.minutes[SYMBOL]:
                row = (bar.open, bar.high, bar.low, bar.close, bar.volume)
                writer.writerow((f"{bar.start:%Y-%m-%dT%H:%M:%S}", *row))
        for each in options.peer:
            name, _, python = each.partition("=")
            if figures := peer(name, python, file):
                found[name] = figures
    thin = found["ours, thin lane"]["cpu_s"]
    print(f"{options.bars:,} one-minute bars, averages {FAST}/{SLOW}; ours: {megabytes} MB")
    for name, figures in found.items():
        rate = options.bars / max(figures["cpu_s"], 1e-9)
        print(f"{name:28} {figures['cpu_s']:8.3f} CPU s {rate:12,.0f} bars/s "
              f"{figures['cpu_s'] / thin:8.2f} x thin {figures['orders']:6} orders")  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
