"""The thin lane: minutes in which nothing can happen are taken whole, with the same result.

Nothing can happen while no order, exit or question is under way, the strategy looks at bars only,
and every price of the minute lies between what would wake the engine: stop, target, the high that
moves a trailing stop, price limits, a VI, the doubt about odd prices, the loss that ends a day.
Then an exact minute would change only these: the bar being built, the last trade, the times of the
last list and balance. They are set here to what it leaves.
`tests/campaigns/lanes.py` runs both lanes over random histories and strategies: equal to the bit.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import kis_realtime_trading as bot
from companions.backtest.broker import VI_SHARE
from companions.backtest.engine import BarEngine
from companions.backtest.path import OFFSETS

if TYPE_CHECKING:
    from companions.backtest.run import Stage

MINUTE, MOST = timedelta(minutes=1), 1 << 40
LIST_EVERY, ACCOUNT_EVERY = 2, 10  # minutes, when nothing else asks


VALUES = operator.attrgetter(*bot.Position.__slots__)  # as Position.values(), sooner


def idle(builder: bot.BarBuilder) -> bool:
    """Tell whether nothing stands in the bar being built."""
    return not (builder._count or builder._unseen)


def add_minute(builder: bot.BarBuilder, minute: bot.Bar, begin: datetime) -> None:
    """Take in a whole minute of a history, as `add` would its trades, of which none closes a bar."""
    if begin >= builder.end:
        builder._begin(begin)
    if not builder._count:
        builder._open, builder._high, builder._low = minute.open, minute.high, minute.low
    else:
        builder._high = max(builder._high, minute.high)
        builder._low = min(builder._low, minute.low)
    builder._close = minute.close
    builder._count += minute.trade_count
    builder._volume += minute.volume
    builder._value += minute.value_krw
    builder.cum_volume += minute.volume
    builder.cum_value_krw += minute.value_krw


def take_minutes(
    builder: bot.BarBuilder, end: datetime, cum_volume: int, cum_value_krw: int
) -> None:
    """Have closed whole minutes up to an end, each a bar by itself."""
    builder._start = builder.end = end
    builder.cum_volume, builder.cum_value_krw = cum_volume, cum_value_krw


def whole_bar(bar: bot.Bar, due: datetime) -> bot.Bar:
    """Return a minute as its four trades make it (`parts`); itself, when it is so already."""
    volume = bar.volume
    part = volume >> 2
    first, last = part or 1, volume - 3 * part
    worth = first * (bar.open + bar.high + bar.low) + last * bar.close
    if bar.value_krw == worth and bar.trade_count == 4 and part and bar.end == due:
        return bar
    return bot.Bar(
        bar.symbol, bar.start, due, bar.open, bar.high, bar.low, bar.close, 3 * first + last, worth,
        4,
    )  # fmt: skip


@dataclass(slots=True)
class Watched:
    """A stock during a quiet stretch: what its prices must stay between, exclusive."""

    state: bot.SymbolState
    floor: int
    roof: int
    shares: int
    totals: list[int]
    before: tuple[Any, ...]  # its position, which nothing moves meanwhile
    newest: bot.Bar | None = None

    def catch_up(self) -> int:
        """Leave the last trade of the minutes so far; return its price, 0 without one."""
        bar = self.newest
        if bar is None:
            return 0
        last, at = bar.volume - 3 * (bar.volume >> 2), bar.start + OFFSETS[3]
        shares, won = self.totals
        self.state.last_trade = bot.Trade(bar.symbol, at, bar.close, last, shares, won, False)
        return bar.close


class ThinLane:
    """Takes whole minutes of a stage's day while it may."""

    def __init__(self, stage: Stage, engine: bot.Engine) -> None:
        self._stage, self._engine = stage, engine if isinstance(engine, BarEngine) else None
        strategy, base = type(stage.engine.strategy), bot.TradingStrategy
        plain = strategy.on_trade is base.on_trade and strategy.on_quote is base.on_quote
        self._plain = plain  # it looks at bars only
        self._each_closes = stage.settings.bar_minutes == 1
        self._bars: Sequence[tuple[datetime, Sequence[bot.Bar]]] = []
        self._from = self._until = bot.EPOCH
        self.minutes = 0
        self.lean = self._engine is not None  # not each event need be told: nobody replays them
        self.see = self._engine.see_quietly if self._engine else stage.engine.handle

    def open_day(
        self, session: bot.Session, bars: Sequence[tuple[datetime, Sequence[bot.Bar]]]
    ) -> None:
        """Take the minutes of a day."""
        self._bars, self._from, self._until = bars, session.open, session.auction_start

    def run(self, at: int) -> int:
        """Take as many minutes as may be taken whole, from one on; return how many."""
        engine, stage, first = self._engine, self._stage, at
        watched = self.watched() if engine and not stage.later else None
        while engine and watched is not None:
            before = at
            at, wanted = self._stretch(engine, watched, at)
            if at == before:
                break
            if wanted:
                stage.feed(bot.TimeEvent(stage.due))
                stage.usual_questions()
            watched = watched if wanted and self._as_before(engine.core, watched) else None
        self.minutes += sum([len(bars) for _, bars in self._bars[first:at]])
        return at - first

    def _stretch(
        self, engine: BarEngine, watched: dict[str, Watched], at: int
    ) -> tuple[int, bool]:  # fmt: skip
        """Take minutes until one may wake the engine or the strategy wants something; tell which."""
        core, stage = engine.core, self._stage
        held = [each for each in watched.values() if each.shares]
        flat_at = core.clock(core.settings.flat_at)
        until = min(self._until, flat_at) if held and flat_at else self._until
        spare = self.spare(held) if held else MOST
        asked = self._look_on(engine, held)
        try:
            if len(watched) == 1 and self._each_closes and stage.due > self._from:
                (of,) = watched.values()
                if self._nothing_built(watched, stage.due - MINUTE):
                    return self._one_stock(engine, of, at, until, spare)
            return self._all_stocks(engine, watched, held, at, until, spare)
        finally:
            for view in asked:
                view.ask_cash = engine.entries.room

    def _look_on(self, engine: BarEngine, held: Sequence[Watched]) -> list[bot.StrategyView]:
        """Have the last prices of what is held known before a strategy learns what cash is left."""

        def room(symbol: str) -> int:
            for each in held:
                each.catch_up()
            return engine.entries.room(symbol)

        views = [state.view for state in engine.core.symbols.values()] if held else []
        for view in views:
            view.ask_cash = room
        return views

    def _one_stock(
        self, engine: BarEngine, of: Watched, at: int, until: datetime, spare: int
    ) -> tuple[int, bool]:  # fmt: skip
        """Take minutes of a lone stock, each a bar: as `_all_stocks` does, with less to look up."""
        core, stage, view, totals = engine.core, self._stage, of.state.view, of.totals
        floor, roof, shares, before, first = of.floor, of.roof, of.shares, of.before, at
        on_bar, append, position = engine.strategy.on_bar, view.bars.append, view.position
        shown, due, known, wanted = view.shown(), stage.due, False, False
        for start, (bar,) in itertools.islice(self._bars, at, None):
            low, volume = bar.low, bar.volume
            if low <= floor or bar.high >= roof or due >= until or due - MINUTE != start:
                break
            if spare + shares * low <= 0:
                break
            at, part = at + 1, volume >> 2
            worth = part * (bar.open + bar.high + low) + (volume - 3 * part) * bar.close
            if bar.value_krw != worth or bar.trade_count != 4 or not part or bar.end != due:
                bar = whole_bar(bar, due)
                volume, worth = bar.volume, bar.value_krw
            of.newest, core.now = bar, due
            totals[0] += volume
            totals[1] += worth
            append(bar)
            if not of.state.unasked:
                view.now, view.last_price, view.day_vwap = due, bar.close, totals[1] / totals[0]
                answer = None
                try:
                    answer = on_bar(view, bar)
                    same = answer is None and VALUES(position) == before
                    again = None if same and untouched(view, shown) else _said(answer, of, shown)
                except BaseException as error:  # the engine says what becomes of it
                    again = _said(error, of, shown)
                if again:
                    stage.due = due
                    wanted = self._hand_over(engine, {view.symbol: of}, [bar], [], again)
                    if wanted:
                        break
            minute = due.minute
            if not minute % LIST_EVERY:
                core.list_asked_at = due
                if not minute % ACCOUNT_EVERY:
                    self._see_account(due, known)
                    known = True
            due = due + MINUTE
        engine.bars_closed += at - first
        stage.due = due
        if not wanted and of.newest:
            self._catch_up({view.symbol: of}, closed=True)
        return at, wanted

    def _all_stocks(
        self, engine: BarEngine, watched: dict[str, Watched], held: Sequence[Watched], at: int,
        until: datetime, spare: int,
    ) -> tuple[int, bool]:  # fmt: skip
        """Take minutes of any stocks, whatever the length of a bar."""
        core, stage, first, known, alone = engine.core, self._stage, at, False, False
        for start, bars in itertools.islice(self._bars, at, None):
            due = stage.due
            if due >= until or due - MINUTE != start or start < self._from:
                break
            if not self._quiet(watched, held, bars, spare):
                break
            at += 1
            whole = self._take(watched, due, bars)
            # bars of one minute close at each boundary: from then on nothing is being built
            if not alone:
                alone = self._each_closes and self._nothing_built(watched, start)
            if (self._close if alone else self._build)(engine, watched, whole, due):
                self._catch_up(watched, closed=False)
                return at, True
            if not due.minute % LIST_EVERY:
                core.list_asked_at = due
                if not due.minute % ACCOUNT_EVERY:
                    self._see_account(due, known)
                    known = True
            stage.due = due + MINUTE
        if at > first:
            self._catch_up(watched, closed=alone)
        return at, False

    def _as_before(self, core: bot.Core, watched: dict[str, Watched]) -> bool:
        """Tell whether nothing is under way after a wish: it was refused, or nothing came of it."""
        if self._stage.later or core.ledger.open_orders() or core.calling:
            return False
        for of in watched.values():
            state = of.state
            if state.exit or state.waiting or state.view.position.values() != of.before:
                return False
        return core.ledger.level is bot.KillLevel.ACTIVE or not core.occupied()

    def _see_account(self, now: datetime, known: bool) -> None:
        """See what the broker shows every ten minutes; it stays so in a quiet stretch."""
        stage = self._stage
        if not known and not stage.note_account(now):
            for answer in stage.account():
                stage.feed(bot.Seen(answer, now))
        core = stage.engine.core
        core.cash, core.holdings = (
            bot.Known(core.cash.value, now),
            bot.Known(core.holdings.value, now),
        )

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
            if state.builder.cum_volume != stage.totals[symbol][0]:
                return None  # it refused a price: the next trade shows it what it missed
            if state.instrument is None or state.auction or symbol in stage.broker.quiet_until:
                return None
            floor, roof = -MOST, MOST
            for _, low, high in self.bounds(symbol, state):
                floor, roof = max(floor, low), min(roof, high)
            shares = state.view.position.quantity
            before = state.view.position.values()
            found[symbol] = Watched(state, floor, roof, shares, stage.totals[symbol], before)
        return found if core.ledger.level is bot.KillLevel.ACTIVE or not core.occupied() else None

    def bounds(self, symbol: str, state: bot.SymbolState) -> Iterator[tuple[str, int, int]]:
        """Yield what would wake the engine: its name, and between which prices it sleeps."""
        yield "limits", state.lower_limit - 1, state.upper_limit + 1
        position, known = state.view.position, state.instrument
        if position.quantity and position.plan:
            plan = position.plan
            yield "stop", plan.stop_price, MOST
            if plan.target_price:
                yield "target", 0, plan.target_price
            if plan.trail_ratio:
                follows = plan.stop_price / (1 - plan.trail_ratio)
                yield "trail", 0, int(max(follows, position.average_price * position.scale)) + 1
        if position.quantity and known:  # an odd price closes nothing by itself: REST is asked
            usual = state.quoted.value or known.base_price
            away = int(usual * bot.EXIT_DOUBT_RATIO) - 1
            yield "doubt", usual - away, usual + away
        anchor = self._stage.broker.anchors.get(symbol, 0)
        if anchor and self._stage.broker.rules.vi:
            away = int(anchor * VI_SHARE) - 1
            yield "vi", anchor - away, anchor + away

    def spare(self, held: Sequence[Watched]) -> int:
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

    @staticmethod
    def _take(watched: dict[str, Watched], due: datetime, bars: Sequence[bot.Bar]) -> list[bot.Bar]:
        """Count a minute; return its bars as its four trades make them."""
        found = []
        for each in bars:
            bar, of = whole_bar(each, due), watched[each.symbol]
            found.append(bar)
            of.newest, totals = bar, of.totals
            totals[0] += bar.volume
            totals[1] += bar.value_krw
        return found

    def _catch_up(self, watched: dict[str, Watched], closed: bool) -> None:
        """Leave what the trades of the minutes so far would have left; `closed`: no bar is open."""
        for symbol, of in watched.items():
            if price := of.catch_up():
                self._stage.last[symbol] = price
                if closed and of.newest:
                    take_minutes(of.state.builder, of.newest.end, *of.totals)

    @staticmethod
    def _nothing_built(watched: dict[str, Watched], start: datetime) -> bool:
        """Tell whether no bar is being built and no gap reaches into a minute."""
        builders = (of.state.builder for of in watched.values())
        return all(idle(each) and each.gap_until <= start for each in builders)

    def _build(
        self, engine: BarEngine, watched: dict[str, Watched], bars: Sequence[bot.Bar], now: datetime
    ) -> bool:  # fmt: skip
        """Build a minute into longer bars, close those that are over; tell whether one is wanted."""
        self._catch_up(watched, closed=False)
        for bar in bars:
            add_minute(watched[bar.symbol].state.builder, bar, bar.start)
        return engine.close_bars(now)

    def _close(
        self, engine: BarEngine, watched: dict[str, Watched], bars: Sequence[bot.Bar], now: datetime
    ) -> bool:  # fmt: skip
        """Close a minute's bars as they are; tell whether anything is wanted.

        Here the strategy is asked as the engine asks it, only less is looked up. An answer goes
        to the engine, as if it had asked itself.
        """
        engine.core.now = now
        on_bar = engine.strategy.on_bar
        for at, bar in enumerate(bars):
            of = watched[bar.symbol]
            state, view, totals = of.state, of.state.view, of.totals
            engine.bars_closed += 1
            view.bars.append(bar)
            if state.unasked:
                continue
            view.now, view.last_price, view.day_vwap = now, bar.close, totals[1] / totals[0]
            position, shown, answer = view.position, view.shown(), None
            try:
                answer = on_bar(view, bar)
                if answer is None and VALUES(position) == of.before and untouched(view, shown):
                    continue
                again = _said(answer, of, shown)
            except BaseException as error:  # the engine says what becomes of it
                again = _said(error, of, shown)
            if self._hand_over(engine, watched, bars[: at + 1], bars[at + 1 :], again):
                return True
        return False

    def _hand_over(
        self, engine: BarEngine, watched: dict[str, Watched], closed: Sequence[bot.Bar],
        later: Sequence[bot.Bar], again: Callable[..., Any],
    ) -> bool:  # fmt: skip
        """Hand what a strategy said of the last closed bar to the engine; tell whether it acts."""
        self._catch_up(watched, closed=True)
        for bar in later:  # the engine closes them itself, if it acts
            builder, (volume, worth) = watched[bar.symbol].state.builder, watched[bar.symbol].totals
            take_minutes(builder, bar.start, volume - bar.volume, worth - bar.value_krw)
            add_minute(builder, bar, bar.start)
        state = watched[closed[-1].symbol].state
        engine._consult(state, again, closed[-1])
        if engine.core.out:
            return True
        for bar in later:
            watched[bar.symbol].state.builder.close_bar()
        return False


def untouched(view: bot.StrategyView, shown: tuple[Any, ...]) -> bool:
    """Tell whether a view shows the very things that it showed before, as the engine asks it."""
    symbol, session, position, bars, fund, quote = shown
    return (
        view.position is position and view.bars is bars and view.quote is quote
        and view.session is session and view.symbol is symbol and view.fund is fund
    )  # fmt: skip


def _said(answer: Any, of: Watched, shown: tuple[Any, ...]) -> Callable[..., Any]:
    """Return a method that does once more what a strategy did: to what it saw, and its answer."""
    view, position = of.state.view, shown[2]
    found, values = view.shown(), position.values()
    view.show(shown)
    position.take(of.before)

    def on_bar(view: bot.StrategyView, bar: bot.Bar) -> Any:
        view.show(found)
        position.take(values)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return on_bar
