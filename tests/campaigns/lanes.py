"""Campaign: the thin lane against the exact one, over random histories, rules and strategies.

    python tests/campaigns/lanes.py [RUNS] [FIRST SEED]
    python tests/campaigns/lanes.py --planted [RUNS]

The bot's own Engine with a journal, the backtest's in the exact lane, and the thin lane without a
journal must make the same rows, byte for byte, and the same books. `--planted` takes one reason to
wake after the other out of the thin lane: the seeds must tell each.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path += [each for each in (str(ROOT),) if each not in sys.path]
import kis_realtime_trading as bot  # noqa: E402
from companions.backtest.broker import Rules  # noqa: E402
from companions.backtest.history import History  # noqa: E402
from companions.backtest.run import Options, run  # noqa: E402
from companions.backtest.thin import MOST, ThinLane, Watched  # noqa: E402


class Dice(bot.TradingStrategy):
    """Wants something now and then, by dice that depend on seed, stock and bar alone."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed, pick = seed, random.Random(seed)
        self._often = pick.choice((0.01, 0.05, 0.3))
        self._kinds = pick.choice(((bot.OrderKind.LIMIT,), (bot.OrderKind.LIMIT, bot.OrderKind.MARKET)))  # fmt: skip
        self._widest = pick.choice((0.002, 0.01, 0.05))
        self.filled = 0

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> bot.OrderRequest | None:
        """Buy or sell by the dice of this bar."""
        pick = random.Random(f"{self._seed} {view.symbol} {bar.end}")
        if pick.random() > self._often:
            return None
        if view.position.quantity and pick.random() < 0.6:
            return view.sell(f"{bar.end}", "dice", cash=view.cash_krw)
        price = view.round_price(bar.close * (1 + pick.uniform(-0.003, 0.004)), up=False)
        wide = price * pick.uniform(0.0005, self._widest)
        stop = view.round_price(max(1, price - wide), up=False)
        target = view.round_price(price + 2 * wide, up=True) if pick.random() < 0.6 else 0
        trail = pick.choice((0.0, 0.0, 0.002, 0.01))
        kind = pick.choice(self._kinds)
        return bot.OrderRequest(
            view.symbol, bot.Side.BUY, pick.randint(1, 60), f"{bar.end}", kind,
            price if kind.priced else 0, bot.ExitPlan(stop, target, trail), "dice",
            (("cash", view.cash_krw), ("vwap", view.day_vwap)),
        )  # fmt: skip

    def on_fill(self, view: bot.StrategyView, side: bot.Side, quantity: int, price: float) -> None:
        """Count what was filled."""
        self.filled += quantity


class TradeDice(Dice):
    """The same, and it listens to every trade: the thin lane must keep away."""

    def on_trade(self, view: bot.StrategyView, trade: bot.Trade) -> bot.OrderRequest | None:
        """Sell by the dice of a trade."""
        dice = random.Random(f"{self._seed} {trade.ts_exchange}").random()
        return view.sell(f"{trade.ts_exchange}", "dice") if dice < 0.01 else None


class Holder(Dice):
    """Buys with the cash that all stocks share and sells nothing: targets, trails, stops do.

    Levels are near or far, so that a level, an odd price or the loss of the day comes first.
    """

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> bot.OrderRequest | None:
        """Buy by the dice of this bar, when nothing is held."""
        pick = random.Random(f"{self._seed} {view.symbol} {bar.end}")
        if view.position.quantity or view.open_orders or pick.random() > 0.1:
            return None
        price = view.round_price(bar.close * 1.005, up=True)
        near = pick.choice((0.004, 0.02, 0.2))
        plan = bot.ExitPlan(
            view.round_price(price * (1 - near), up=False),
            view.round_price(price * (1 + pick.choice((0.003, 0.02))), up=True)
            if pick.random() < 0.6
            else 0,
            pick.choice((0.0, 0.0, 0.003, 0.02)),
        )
        quantity = min(pick.choice((5, 40, 400)), view.cash_krw // price)
        return view.buy(quantity, price, f"{bar.end}", plan, "hold") if quantity else None


class Far(Holder):
    """Holds between far levels, so that a price is odd before it reaches one: REST is asked then."""

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> bot.OrderRequest | None:
        """Buy as a holder does, with levels a tenth away and more."""
        request = super().on_bar(view, bar)
        if request is None:
            return None
        pick = random.Random(f"far {self._seed} {bar.end}")
        stop = view.round_price(request.price * (1 - pick.uniform(0.105, 0.14)), up=False)
        target = view.round_price(request.price * (1 + pick.uniform(0.105, 0.14)), up=True)
        return replace(request, plan=bot.ExitPlan(stop, target))


def made_history(pick: random.Random, symbols: list[str], wildest: float = 0.0) -> History:
    """Return some days of ragged minutes: holes, jumps, thin volumes, limits touched."""
    wild, hole = pick.choice((0.0003, 0.001, 0.004)), pick.choice((0.0, 0.02, 0.3))
    volume, first = pick.choice((3, 400, 20_000)), date(2026, 11, pick.choice((2, 16)))
    minutes: dict[str, list[bot.Bar]] = {}
    bases = {}
    far, often = pick.choice((0.02, 0.12)), 0.01
    if wildest:  # no hole either: each asks for a price, and then none is odd
        wild, hole, volume, far, often = wildest, 0.0, 20_000, 0.12, 0.1
    wide = pick.choice((0.28, 0.28, 0.33))  # some prices beyond the limits: no market has them
    for symbol in symbols:
        at = float(pick.choice((1_500, 9_000, 71_000, 400_000)))
        bases[symbol] = bot.round_to_tick(at, False, up=False)
        bars, day = [], first - timedelta(days=1)
        for _ in range(pick.randint(1, 3)):
            day = bot.next_trading_day(day)
            session = bot.session_of(day)
            assert session
            base, moment = bars[-1].close if bars else bases[symbol], session.open
            last = session.close if pick.random() < 0.5 else session.auction_start
            step = (
                1 if pick.random() < 0.8 or wildest else 4
            )  # a file of minutes, or of every fourth
            while moment <= last:
                jump = wild
                if pick.random() < often:
                    jump = pick.choice((0.02, 0.02, far))
                walk = [at]
                for _ in range(3):
                    near = walk[-1] * (1 + pick.gauss(0, jump))
                    walk.append(min(max(near, base * (1 - wide)), base * (1 + wide)))
                at = walk[-1]
                ticks = [bot.round_to_tick(each, False, up=False) for each in walk]
                shares = pick.randint(0, volume)
                if pick.random() >= hole:
                    bars.append(bot.Bar(
                        symbol, moment, moment + timedelta(minutes=1), ticks[0], max(ticks),
                        min(ticks), ticks[-1], shares, shares * sum(ticks) // 4, 4,
                    ))  # fmt: skip
                moment += timedelta(minutes=step)
        minutes[symbol] = bars
    markets = {symbols[-1]: "KOSDAQ"}
    return History({s: bars for s, bars in minutes.items() if bars}, [], True, bases, markets)


def made_settings(pick: random.Random) -> bot.BotSettings:
    """Return settings with narrow or wide limits."""
    loss = pick.choice((20_000, 500_000, 5_000_000))
    limits = {
        "max_order_krw": 9_000_000, "max_symbol_krw": 12_000_000, "max_total_krw": 30_000_000,
        "max_daily_loss_krw": loss, "max_daily_loss_pct": pick.choice((0.1, 3.0)),
        "max_orders_per_minute": 30, "losses_in_a_row": 20, "losses_in_a_row_all": 50,
        "max_quantity": 40,
    }  # fmt: skip
    if pick.random() < 0.2:
        limits["max_drawdown_krw"] = 30_000
    return bot.BotSettings.model_validate({
        "symbols": ["005930"], "limits": limits, "bar_minutes": pick.choice((1, 1, 3, 5, 60)),
        "flat_at": pick.choice((None, "15:12:00")), "entry_timeout_s": pick.choice((5, 30, 600)),
    })  # fmt: skip


class Case:
    """A seed: its history, settings, rules and strategy, run in any way."""

    def __init__(self, seed: int, folder: Path) -> None:
        pick = random.Random(seed)
        symbols = ["005930", "000660", "247540"][: pick.choice((1, 1, 2, 3))]
        self.history, self.settings = made_history(pick, symbols), made_settings(pick)
        self.rules = Rules(
            latency_s=pick.choice((0.2, 1.0, 25.0)), slip_ticks=pick.choice((0, 1, 3)),
            share=pick.choice((0.01, 0.1, 1.0)), through=pick.random() < 0.7,
            worse=pick.random() < 0.7, vi=pick.random() < 0.6,
            path=pick.choice(("adverse", "adverse", "nearer", "high first", "low first")),
        )  # fmt: skip
        kind = TradeDice if pick.random() < 0.1 else pick.choice((Dice, Holder))
        if pick.random() < 0.15:  # with odd prices, and no VI that stands in for the doubt
            kind, self.rules = Far, replace(self.rules, vi=False)
            self.history = made_history(random.Random(f"far {seed}"), symbols, 0.002)
        self._make, self._folder, self._runs = (lambda: kind(seed)), folder / str(seed), 0
        self.whole = self.filled = 0

    def run(self, **way: Any) -> tuple[Any, Any, Any]:
        """Return the rows, without those of bars, what was traded, and everything else."""
        strategy, kept, self._runs = self._make(), list[tuple[str, str, str]](), self._runs + 1
        keep = lambda of, at: kept.extend(map(text_of, of))  # noqa: E731
        options = Options(30_000_000, self.rules, on_rows=keep, **way)
        result = run(self.settings, strategy, self.history, options, self._folder / str(self._runs))
        self.whole, self.filled = result.thin, self.filled + strategy.filled
        report = replace(result.report, journal="")
        traded = (result.differences, report.orders, report.trips, report.refused, strategy.filled)
        return [row for row in kept if row[0] != "bar"], traded, (report, result.market)


def difference(reference: Sequence[Any], other: Sequence[Any]) -> str:
    """Return where another way left the reference, "" when they are equal."""
    for n, (left, right) in enumerate(zip(reference[0], other[0], strict=False)):
        if left != right:
            return f"row {n}: {left} and {right}"
    if len(reference[0]) != len(other[0]) or reference[1:] != other[1:]:
        return f"{len(reference[0])} and {len(other[0])} rows, {reference[1:]} {other[1:]}"
    return ""


def one(seed: int, folder: Path) -> tuple[int, int, str]:
    """Run a seed in all ways; return whole minutes, shares filled, and a difference or "".

    The engine's own last bar of a day lacks a price that no market has: only what was traded counts.
    """
    case = Case(seed, folder)
    engine, exact = case.run(lane="exact", bars=True), case.run(lane="exact", journal=False)
    thin = case.run(lane="thin", journal=False)
    found = difference(engine[:2], exact[:2]) or difference(exact, thin)
    return case.whole, case.filled, found or "; ".join(engine[1][0])


def text_of(row: tuple[str, str, Any]) -> tuple[str, str, str]:
    """Return a row as the journal would keep it."""
    return row[0], row[1], bot.canonical_json(row[2])


# --- planted faults -----------------------------------------------------------------------


def deaf_to(name: str) -> type[ThinLane]:
    """Return a lane that one reason does not wake."""

    class Deaf(ThinLane):
        def bounds(self, symbol: str, state: bot.SymbolState) -> Iterator[tuple[str, int, int]]:
            """Leave one reason out."""
            for each in super().bounds(symbol, state):
                yield (name, -MOST, MOST) if each[0] == name else each

    return Deaf


class NoDayLoss(ThinLane):
    """A lane that the loss of the day does not wake."""

    def spare(self, held: Sequence[Watched]) -> int:
        """Never too much."""
        return MOST


PLANTED: dict[str, type[ThinLane]] = {
    **{name: deaf_to(name) for name in ("stop", "target", "trail", "limits", "vi", "doubt")},
    "day loss": NoDayLoss,
}


def planted(runs: int) -> dict[str, int | None]:
    """Return for each planted fault the first seed that tells it, None when none does."""
    told: dict[str, int | None] = dict.fromkeys(PLANTED)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(runs):
            case = Case(seed, Path(folder))
            exact = case.run(lane="exact", journal=False)
            for name in [name for name, by in told.items() if by is None]:
                thin = case.run(lane="thin", journal=False, whole=PLANTED[name])
                told[name] = seed if difference(exact, thin) else None
    return told


def main(arguments: list[str]) -> int:
    """Run the campaign; print each difference and a line of sums."""
    parser = argparse.ArgumentParser(
        description="The thin lane of the backtest against the exact one."
    )
    parser.add_argument("runs", type=int, nargs="?", default=1000, help="random histories (1000)")
    parser.add_argument("first", type=int, nargs="?", default=0, help="seed of the first (0)")
    parser.add_argument(
        "--planted", action="store_true", help="plant faults; which seed tells each"
    )
    options = parser.parse_args(arguments)
    if options.planted:
        told = planted(options.runs)
        for name, by in told.items():
            print(f"{name} ignored: {'NOT told' if by is None else f'told by seed {by}'}")
        return 1 if None in told.values() else 0
    runs, first = options.runs, options.first
    began, whole, filled, wrong = time.perf_counter(), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + runs):
            minutes, shares, difference = one(seed, Path(folder))
            whole, filled = whole + minutes, filled + shares
            if difference:
                wrong += 1
                print(f"seed {seed}: {difference[:1000]}")
    spent = time.perf_counter() - began
    print(
        f"{runs} runs, {whole:,} whole minutes, {filled:,} shares, {wrong} different, {spent:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
