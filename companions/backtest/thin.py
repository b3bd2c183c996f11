"""The thin lane: minutes in which nothing can happen are taken whole, with the same result.

Nothing can happen while no order, exit or question is under way, the strategy looks at bars only,
and every price of the minute lies between what would wake the engine: stop, target, the high that
moves a trailing stop, price limits, a VI, the doubt about odd prices, the loss that ends a day.
Then an exact minute would change only these: the bar being built, the last trade, the times of the
last list and balance. They are set here to what it leaves.
`tests/campaigns/lanes.py` runs both lanes over random histories and strategies: equal to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import kis_realtime_trading as bot
from companions.backtest.broker import VI_SHARE
from companions.backtest.path import OFFSETS, parts

if TYPE_CHECKING:
    from companions.backtest.run import Stage

MINUTE = timedelta(minutes=1)
LIST_EVERY, ACCOUNT_EVERY = 2, 10  # minutes, when nothing else asks


@dataclass(slots=True)
class Watched:
    """A stock during a quiet stretch: what its prices must stay between, exclusive."""

    state: bot.SymbolState
    floor: int
    roof: int
    shares: int
    totals: list[int]


class BarEngine(bot.Engine):
    """The engine, but it writes no row for each bar: the history has them already.

    Nor does it digest its rows: the journal's chain of hashes is made of the same texts.
    """

    def handle(self, event: bot.Event) -> Sequence[bot.Action]:
        """Take one event in; return what is to be done, in order."""
        self._handlers[type(event)](event)
        actions, self.core.out = self.core.out, []
        return actions

    def _on_bar(self, state: bot.SymbolState, bar: bot.Bar) -> None:
        self.bars_closed += 1
        state.view.bars.append(bar)
        self._consult(state, self.strategy.on_bar, bar)

    def close_bars(self, now: datetime) -> bool:
        """Close the bars that are over; tell whether anything is wanted: then time must be fed."""
        core = self.core
        core.now = now
        for state in core.symbols.values():
            if now >= state.builder.end and (bar := state.builder.close_bar()):
                self._on_bar(state, bar)
                if core.out:
                    return True
        return False


class ThinLane:
    """Takes whole minutes of a stage's day while it may."""

    def __init__(self, stage: Stage, engine: bot.Engine) -> None:
        self._stage, self._engine = stage, engine if isinstance(engine, BarEngine) else None
        strategy, base = type(stage.engine.strategy), bot.TradingStrategy
        plain = strategy.on_trade is base.on_trade and strategy.on_quote is base.on_quote
        self._plain = plain  # it looks at bars only
        self._bars: Sequence[tuple[datetime, Sequence[bot.Bar]]] = []
        self._from = self._until = bot.EPOCH
        self.minutes = 0

    def open_day(
        self, session: bot.Session, bars: Sequence[tuple[datetime, Sequence[bot.Bar]]]
    ) -> None:
        """Take the minutes of a day."""
        self._bars, self._from, self._until = bars, session.open, session.auction_start

    def run(self, at: int) -> int:
        """Take as many minutes as may be taken whole, from one on; return how many."""
        usable = self._engine and not self._stage.later
        watched = self.watched() if usable else None
        if watched is None:
            return 0
        core = self._stage.engine.core
        held = [each for each in watched.values() if each.shares]
        flat_at = core.clock(core.settings.flat_at)
        until = min(self._until, flat_at) if held and flat_at else self._until
        spare = self._spare(held)
        known, first = False, at
        while at < len(self._bars):
            start, bars = self._bars[at]
            if start < self._from or start + MINUTE >= until or self._stage.due != start + MINUTE:
                break
            if not self._quiet(watched, held, bars, spare):
                break
            at += 1
            self._take(watched, start, bars)
            if self._boundary(start + MINUTE, known):
                break
            known = known or (start.minute + 1) % ACCOUNT_EVERY == 0
        self.minutes += sum(len(bars) for _, bars in self._bars[first:at])
        return at - first

    def watched(self) -> dict[str, Watched] | None:
        """Return what the stocks must stay between; None while anything is under way."""
        stage = self._stage
        core = stage.engine.core
        if not self._plain:
            return None
        if core.ledger.open_orders() or core.calling or core.ledger.actions:
            return None
        found = {}
        for symbol, state in core.symbols.items():
            if symbol not in stage.totals:
                continue
            if state.last_trade is None or state.exit or state.waiting or state.halted:
                return None
            if state.instrument is None or state.auction or symbol in stage.broker.quiet_until:
                return None
            floor, roof = state.lower_limit - 1, state.upper_limit + 1
            position = state.view.position
            if position.quantity and position.plan:
                plan = position.plan
                floor = max(floor, plan.stop_price)
                roof = min(roof, plan.target_price or roof)
                roof = min(roof, state.high + 1) if plan.trail_ratio else roof
            if position.quantity:  # an odd price closes nothing by itself: REST is asked
                usual = state.quote_price or state.instrument.base_price
                away = int(usual * bot.EXIT_DOUBT_RATIO) - 1
                floor, roof = max(floor, usual - away), min(roof, usual + away)
            anchor = stage.broker.anchors.get(symbol, 0)
            if anchor and stage.broker.rules.vi:
                away = int(anchor * VI_SHARE) - 1
                floor, roof = max(floor, anchor - away), min(roof, anchor + away)
            totals = stage.totals[symbol]
            found[symbol] = Watched(state, floor, roof, position.quantity, totals)
        return found if core.ledger.level is bot.KillLevel.ACTIVE or not core.occupied() else None

    def _spare(self, held: Sequence[Watched]) -> int:
        """Return the won that the held shares may be worth less than now before the day ends."""
        core = self._stage.engine.core
        limit = bot.day_loss_limit(core.settings.limits, core.morning_equity_krw())
        worth = sum(each.shares * core.fresh_price(each.state.view.symbol) for each in held)
        return limit + core.day_result_krw() - worth - 1

    def _quiet(
        self, watched: dict[str, Watched], held: Sequence[Watched], bars: Sequence[bot.Bar],
        spare: int,
    ) -> bool:  # fmt: skip
        """Tell whether no price of a minute can wake anything."""
        shown = 0
        for bar in bars:
            of = watched[bar.symbol]
            if bar.low <= of.floor or bar.high >= of.roof:
                return False
            if of.shares:
                spare += of.shares * bar.low
                shown += 1
        return shown == len(held) and (not held or spare > 0)

    def _take(self, watched: dict[str, Watched], start: datetime, bars: Sequence[bot.Bar]) -> None:
        """Build the minute into the bars."""
        begin, end = start + OFFSETS[0], start + OFFSETS[3]
        for bar in bars:
            of, (first, last) = watched[bar.symbol], parts(bar.volume)
            shares = 3 * first + last
            worth = first * (bar.open + bar.high + bar.low) + last * bar.close
            whole = bar
            if bar.value_krw != worth or bar.volume != shares or bar.trade_count != 4:
                whole = bot.Bar(
                    bar.symbol, bar.start, bar.end, bar.open, bar.high, bar.low, bar.close, shares,
                    worth, 4,
                )  # fmt: skip
            of.state.builder.add_minute(whole, begin)
            totals = of.totals
            totals[0] += shares
            totals[1] += worth
            self._stage.last[bar.symbol] = bar.close
            of.state.last_trade = bot.Trade(
                bar.symbol, end, bar.close, last, totals[0], totals[1], False
            )

    def _boundary(self, now: datetime, known: bool) -> bool:
        """Let a full minute come; tell whether the stretch is over because something is wanted."""
        stage = self._stage
        if self._engine and self._engine.close_bars(now):
            stage.feed(bot.TimeEvent(now))
            stage.usual_questions()
            return True
        core = stage.engine.core
        if now.minute % LIST_EVERY == 0:
            core.list_asked_at = now
        if now.minute % ACCOUNT_EVERY == 0:
            if not known:
                for answer in stage.account():
                    stage.feed(bot.Seen(answer, now))
            core.cash_asked_at = core.holdings_asked_at = now
        stage.due += MINUTE
        return False
