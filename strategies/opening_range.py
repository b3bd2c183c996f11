"""Buy the first close above the range of the first minutes: an example strategy to copy and change.

    python kis_realtime_trading.py --demo --strategy strategies/opening_range.py:OpeningRange

The idea: the first minutes weigh the news of the night; who breaks out of their range on volume
may go on. The danger: most ranges are broken twice. So there is one try a day and stock, the stop
stands at the middle of the range, and nothing is bought late. Nothing promises that it earns.
"""

from __future__ import annotations

from datetime import date, timedelta

from pydantic import Field

from kis_realtime_trading import Bar, ExitPlan, OrderRequest, StrategyView, TradingStrategy


class OpeningRange(TradingStrategy):
    """Buy a close above the high of the first minutes, on more volume than their average bar.

    Only bars of today count, and a day whose range misses trades is left out. The day of the last
    try is all that is kept; after a restart the engine knows a signal that was used already.
    """

    class Parameters(TradingStrategy.Parameters):
        """Settings under `bot.parameters`, with unit and bounds; a value outside is refused."""

        range_minutes: int = Field(30, ge=5, le=120, description="length of the opening range")
        last_minutes: int = Field(120, ge=10, le=330, description="no entry later after the open")
        volume_ratio: float = Field(
            1.0, ge=0, le=50, description="bar volume / average of the range"
        )
        widest_pct: float = Field(
            4.0, gt=0, le=20, description="% of the price: a wilder range is left"
        )
        reward: float = Field(
            2.0, ge=0.5, le=10, description="distance of the target / of the stop"
        )
        risk_krw: int = Field(50_000, ge=1_000, le=10_000_000, description="won lost at the stop")
        slippage_pct: float = Field(0.2, ge=0, le=2, description="% paid above the close")

    def __init__(self, parameters: TradingStrategy.Parameters | None = None) -> None:
        super().__init__(parameters)
        self._tried: dict[str, date] = {}  # symbol -> day of the last try

    def on_bar(self, view: StrategyView, bar: Bar) -> OrderRequest | None:
        """Look for the first close above the range."""
        p, opened = self.parameters, view.session.open
        ends = opened + timedelta(minutes=p.range_minutes)
        late = bar.end > opened + timedelta(minutes=p.last_minutes)
        if bar.start < ends or late or self._tried.get(view.symbol) == view.session.day:
            return None
        first = [each for each in view.bars if opened <= each.start and each.end <= ends]
        if not first or bar.gap or any(each.gap for each in first):
            return None
        high, low = max(each.high for each in first), min(each.low for each in first)
        usual = sum(each.volume for each in first) / len(first)
        wild = high - low > bar.close * p.widest_pct / 100
        if bar.close <= high or wild or bar.volume < p.volume_ratio * usual:
            return None
        if view.position.quantity or view.open_orders:
            return None
        return self._enter(view, bar, high, low)

    def _enter(self, view: StrategyView, bar: Bar, high: int, low: int) -> OrderRequest | None:
        """Return the order: stop at the middle of the range, target a multiple of the risk away."""
        p = self.parameters
        entry = view.round_price(bar.close * (1 + p.slippage_pct / 100), up=True)
        stop = view.round_price((high + low) / 2, up=False)
        target = view.round_price(entry + p.reward * (entry - stop), up=True)
        quantity = min(p.risk_krw // (entry - stop), view.cash_krw // entry)
        if quantity <= 0:
            return None
        self._tried[view.symbol] = view.session.day
        facts = {"close": bar.close, "range_high": high, "range_low": low, "volume": bar.volume}
        plan = ExitPlan(stop, target)
        return view.buy(quantity, entry, f"{bar.end:%H%M}", plan, "opening range", **facts)
