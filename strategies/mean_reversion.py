"""Buy a dip below the mean, sell at the mean: an example strategy to copy and change.

    python kis_realtime_trading.py --demo --strategy strategies/mean_reversion.py:MeanReversion

The idea: a price that strayed from its mean of the last hours often comes back to it. The
danger: sometimes it does not, because it strayed for a reason. So three things must agree
before it buys, and a stop limits what one mistake costs. It is an example of how a strategy is
written, not of how money is made: nothing promises that it earns.
"""

from __future__ import annotations

import statistics

from pydantic import Field

from kis_realtime_trading import Bar, ExitPlan, OrderRequest, StrategyView, TradingStrategy


class MeanReversion(TradingStrategy):
    """Buy a close far below the mean of the last closes; target is that mean, below is a stop.

    Only bars of today count: a jump over night is no dip. Nothing is kept between bars but a
    pause after each entry; the rest is in `view.bars`, so a restart during the day loses nothing
    else. The exits belong to the engine: it watches the plan on every trade and needs no bar.
    """

    class Parameters(TradingStrategy.Parameters):
        """Settings under `bot.parameters`, with unit and bounds; a value outside is refused."""

        window_bars: int = Field(18, ge=5, le=300, description="closed bars before this one")
        entry_deviations: float = Field(2.0, ge=0.5, le=10, description="deviations below the mean")
        max_fall_pct: float = Field(3.0, gt=0, le=20, description="% below the high: a free fall")
        min_gain_pct: float = Field(0.5, ge=0, le=20, description="% to the mean: pays the costs")
        stop_pct: float = Field(1.0, gt=0, le=20, description="% below the entry")
        risk_krw: int = Field(50_000, ge=1_000, le=10_000_000, description="won lost at the stop")
        slippage_pct: float = Field(0.2, ge=0, le=2, description="% paid above the close")
        cooldown_bars: int = Field(6, ge=0, le=100, description="bars without entry after an entry")

    def __init__(self, parameters: TradingStrategy.Parameters | None = None) -> None:
        super().__init__(parameters)
        self._wait: dict[str, int] = {}  # symbol -> bars left of its pause

    def on_bar(self, view: StrategyView, bar: Bar) -> OrderRequest | None:
        """Look for a dip; `bar` is view.bars[-1] and the window ends before it."""
        p = self.parameters
        waiting = self._wait.get(view.symbol, 0)
        self._wait[view.symbol] = max(0, waiting - 1)
        today = [each for each in view.bars if each.start >= view.session.open]
        window = today[-p.window_bars - 1 : -1]
        if waiting or bar.gap or len(window) < p.window_bars:
            return None
        if view.position.quantity or view.open_orders:
            return None
        closes = [each.close for each in window]
        mean, deviation = statistics.fmean(closes), statistics.pstdev(closes)
        far = bar.close < mean - p.entry_deviations * deviation
        cheap_today = bar.close < view.day_vwap
        falling = bar.close < max(each.high for each in window) * (1 - p.max_fall_pct / 100)
        if not far or not cheap_today or falling:
            return None
        return self._enter(view, bar, mean, deviation)

    def _enter(
        self, view: StrategyView, bar: Bar, mean: float, deviation: float
    ) -> OrderRequest | None:
        """Return the order with its plan, None when the way to the mean is too short to pay."""
        p = self.parameters
        entry = view.round_price(bar.close * (1 + p.slippage_pct / 100), up=True)
        stop = view.round_price(entry * (1 - p.stop_pct / 100), up=False)
        target = view.round_price(mean, up=False)
        quantity = min(p.risk_krw // (entry - stop), view.cash_krw // entry)
        if target <= entry * (1 + p.min_gain_pct / 100) or quantity <= 0:
            return None
        self._wait[view.symbol] = p.cooldown_bars
        signal = f"{bar.end:%H%M}"  # the same bar seen again can never become a second order
        facts = {"close": bar.close, "mean": mean, "deviation": deviation, "vwap": view.day_vwap}
        return view.buy(quantity, entry, signal, ExitPlan(stop, target), "dip", **facts)
