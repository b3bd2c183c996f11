"""Buy a pullback to the day's VWAP in a rising stock: an example strategy to copy and change.

    python kis_realtime_trading.py --demo --strategy strategies/vwap_pullback.py:VwapPullback

The idea: a stock that stayed above the mean price of the day is wanted; when it comes back to
that mean and closes above it again, it is bought near where the others bought. The danger: the day
turns. Then a close below the mean sells, and a stop below that. Nothing promises that it earns.
"""

from __future__ import annotations

from pydantic import Field

from kis_realtime_trading import Bar, ExitPlan, OrderRequest, StrategyView, TradingStrategy


class VwapPullback(TradingStrategy):
    """Buy when a bar touched the day's VWAP and closed above it, after bars well above it.

    The VWAP is the broker's own of the whole day. Bars of today before this one are compared with
    the VWAP of now; a bar that misses trades decides nothing. It keeps only its pauses.
    """

    class Parameters(TradingStrategy.Parameters):
        """Settings under `bot.parameters`, with unit and bounds; a value outside is refused."""

        above_bars: int = Field(3, ge=2, le=100, description="bars before that closed above VWAP")
        least_high_pct: float = Field(0.3, ge=0, le=10, description="% their high stood above it")
        touch_pct: float = Field(0.2, ge=0, le=2, description="% above VWAP that counts as a touch")
        stop_pct: float = Field(0.7, gt=0, le=20, description="% below VWAP")
        target_pct: float = Field(1.5, ge=0, le=50, description="% above the entry, 0: none")
        risk_krw: int = Field(50_000, ge=1_000, le=10_000_000, description="won lost at the stop")
        slippage_pct: float = Field(0.2, ge=0, le=2, description="% paid above the close")
        cooldown_bars: int = Field(6, ge=0, le=100, description="bars without entry after an entry")

    def __init__(self, parameters: TradingStrategy.Parameters | None = None) -> None:
        super().__init__(parameters)
        self._wait: dict[str, int] = {}  # symbol -> bars left of its pause

    def on_bar(self, view: StrategyView, bar: Bar) -> OrderRequest | None:
        """Sell a close below the mean; look for a pullback when flat."""
        p, vwap = self.parameters, view.day_vwap
        waiting = self._wait.get(view.symbol, 0)
        self._wait[view.symbol] = max(0, waiting - 1)
        if bar.gap or vwap <= 0:
            return None
        if view.position.quantity:
            below = bar.close < vwap * (1 - p.touch_pct / 100)
            return view.sell(f"{bar.end:%H%M}", "below VWAP", vwap=vwap) if below else None
        today = [each for each in view.bars if each.start >= view.session.open]
        before = today[-p.above_bars - 1 : -1]
        if waiting or view.open_orders or len(before) < p.above_bars:
            return None
        wanted = all(each.close > vwap for each in before)
        far = max(each.high for each in before) >= vwap * (1 + p.least_high_pct / 100)
        touched = bar.low <= vwap * (1 + p.touch_pct / 100) and bar.close > vwap
        return self._enter(view, bar, vwap) if wanted and far and touched else None

    def _enter(self, view: StrategyView, bar: Bar, vwap: float) -> OrderRequest | None:
        """Return the order with its stop below the mean."""
        p = self.parameters
        entry = view.round_price(bar.close * (1 + p.slippage_pct / 100), up=True)
        stop = view.round_price(vwap * (1 - p.stop_pct / 100), up=False)
        target = view.round_price(entry * (1 + p.target_pct / 100), up=True) if p.target_pct else 0
        quantity = min(p.risk_krw // (entry - stop), view.cash_krw // entry)
        if quantity <= 0:
            return None
        self._wait[view.symbol] = p.cooldown_bars
        facts = {"close": bar.close, "low": bar.low, "vwap": vwap}
        plan = ExitPlan(stop, target)
        return view.buy(quantity, entry, f"{bar.end:%H%M}", plan, "pullback", **facts)
