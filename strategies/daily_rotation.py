"""Hold the strongest of a list, judged once a day: an example strategy to copy and change.

    python kis_realtime_trading.py --demo --strategy strategies/daily_rotation.py:DailyRotation

The idea: what rose over the last months tends to lead for a while. Each morning the stocks of the
list are ranked by their rise; the first ones are held while they stay near the top, the others
sold. The danger: leaders turn together; a stop limits each. It holds over night: set
`flat_at: null` in the settings. Nothing promises that it earns.
"""

from __future__ import annotations

from datetime import date

from pydantic import Field

from kis_realtime_trading import (
    Bar,
    ExitPlan,
    OrderRequest,
    StrategyView,
    Trade,
    TradingStrategy,
    previous_trading_day,
)  # fmt: skip


class DailyRotation(TradingStrategy):
    """Buy a stock that ranks among the first, sell one that fell behind, at the open.

    The rank needs the closed days of every stock of the list, so a decision waits until each was
    seen today with its days up to yesterday. A stock without them keeps all waiting: half a ranking
    is none. Rises that are equal rank by their code.
    """

    past_days = 130

    class Parameters(TradingStrategy.Parameters):
        """Settings under `bot.parameters`, with unit and bounds; a value outside is refused."""

        stocks: int = Field(2, ge=2, le=20, description="stocks of the list, as under bot.symbols")
        hold: int = Field(1, ge=1, le=10, description="how many to hold")
        keep: int = Field(1, ge=0, le=10, description="ranks behind that are still kept")
        days: int = Field(60, ge=5, le=120, description="closed days of the rise")
        skip: int = Field(5, ge=0, le=20, description="newest days left out of it")
        least_pct: float = Field(0.0, ge=-50, le=100, description="% it must have risen")
        stop_pct: float = Field(8.0, gt=0, le=30, description="% below the entry")
        budget_krw: int = Field(1_000_000, ge=10_000, le=10**9, description="won for all")
        slippage_pct: float = Field(0.3, ge=0, le=3, description="% paid above the first price")

    def __init__(self, parameters: TradingStrategy.Parameters | None = None) -> None:
        super().__init__(parameters)
        self._day: date | None = None
        self._rises: dict[str, float] = {}  # symbol -> rise in % as of yesterday's close
        self._done: set[str] = set()

    def on_bar(self, view: StrategyView, bar: Bar) -> OrderRequest | None:
        """Decide with a bar too, for a stock whose list was not complete at its last trade."""
        return self._decide(view, bar.close)

    def on_trade(self, view: StrategyView, trade: Trade) -> OrderRequest | None:
        """Decide with the first trade after the days of the whole list are known."""
        return self._decide(view, trade.price)

    def _decide(self, view: StrategyView, price: int) -> OrderRequest | None:
        p, symbol = self.parameters, view.symbol
        if self._day != view.session.day:
            self._day, self._rises, self._done = view.session.day, {}, set()
        if symbol in self._done:
            return None
        if symbol not in self._rises and (rise := self._rise(view)) is not None:
            self._rises[symbol] = rise
        if symbol not in self._rises or len(self._rises) < p.stocks:
            return None
        self._done.add(symbol)
        order = sorted(self._rises, key=lambda each: (-self._rises[each], each))
        rank, rise = order.index(symbol), self._rises[symbol]
        signal = f"rank of {view.session.day}"
        if view.position.quantity:
            behind = rank >= p.hold + p.keep or rise < p.least_pct
            return view.sell(signal, "fell behind", rank=rank + 1, rise=rise) if behind else None
        if rank >= p.hold or rise < p.least_pct or view.open_orders:
            return None
        entry = view.round_price(price * (1 + p.slippage_pct / 100), up=True)
        stop = view.round_price(entry * (1 - p.stop_pct / 100), up=False)
        quantity = min(p.budget_krw // p.hold, view.cash_krw) // entry
        if quantity <= 0 or stop <= 0:
            return None
        return view.buy(quantity, entry, signal, ExitPlan(stop), "leads", rank=rank + 1, rise=rise)

    def _rise(self, view: StrategyView) -> float | None:
        """Return the rise in %, None when days are missing or do not reach the last trading day."""
        p, today = self.parameters, view.session.day
        days = [bar for bar in view.bars if bar.start.date() < today and bar.trade_count == 0]
        wanted = p.days + p.skip + 1
        if len(days) < wanted or days[-1].start.date() != previous_trading_day(today):
            return None
        last: int = days[-1 - p.skip].close
        before: int = days[-1 - p.skip - p.days].close
        return 100 * last / before - 100
