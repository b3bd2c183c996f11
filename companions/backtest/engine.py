"""The bot's Engine as a backtest drives it: seconds and lists that change nothing are seen at once.

It decides nothing. Where time alone would move no order, exit, wish or level, a second only closes
bars; a list that shows known orders, one of them filled perhaps, is booked without a search. What the
day's loss and an order's age mean here is said once more, since neither may be looked at before the rest
of the second: `tests/campaigns/lanes.py` holds this against the engine as it is. Everything else goes to the
engine itself: equal rows, byte for byte.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import kis_realtime_trading as bot
from companions.backtest.broker import Working

SECOND = timedelta(seconds=1)
SILENCE = timedelta(seconds=bot.GUARD_SILENCE_S)
LIST_AGE = timedelta(seconds=bot.LIST_MAX_AGE_S)
PLAIN = bot.RESTING | {bot.OrderStatus.SUBMITTING}  # of an order nothing is in doubt


class BarEngine(bot.Engine):
    """The engine, but it writes no row for each bar: the history has them already.

    Nor does it digest its rows: the journal's chain of hashes is made of the same texts.
    """

    def handle(self, event: bot.Event) -> Sequence[bot.Action]:
        """Take one event in; return what is to be done, in order."""
        self._handlers[type(event)](event)
        return self.core.take_actions() if self.core.out else ()

    def _on_bar(self, state: bot.SymbolState, bar: bot.Bar) -> None:
        self.bars_closed += 1
        state.view.bars.append(bar)
        self._consult(state, self.strategy.on_bar, bar)

    def _on_time(self, event: bot.TimeEvent) -> None:
        """Move the time on; leave a second to the engine unless it can only close bars."""
        now = event.now
        quiet = now >= self._next_second and self._moves_nothing(now)
        if quiet and not self.close_bars(now):
            self._next_second = now + SECOND
        else:
            super()._on_time(event)

    def is_within_second(self, now: datetime) -> bool:
        """Move the time on within the second that was worked already; False when it is over."""
        within = self.core.now <= now < self._next_second
        if within:
            self.core.now = now
        return within

    def close_bars(self, now: datetime) -> bool:
        """Close the bars that are over; tell whether anything is wanted: then time must be fed."""
        core = self.core
        core.now = now
        for state in core.symbols.values():
            over = now >= state.builder.end + self._lateness
            if over and (bar := state.builder.close_bar()):
                self._on_bar(state, bar)
                if core.out:
                    return True
        return False

    def see_quietly(self, trade: bot.Trade) -> Sequence[bot.Action]:
        """Take a trade that wakes nothing: only the bar and the last trade follow it."""
        state = self.core.symbols[trade.symbol]
        bar = state.builder.add(trade)
        state.last_trade, state.deaf = trade, 0
        if bar:
            self._on_bar(state, bar)
        return self.core.take_actions() if self.core.out else ()

    def _moves_nothing(self, now: datetime) -> bool:
        """Tell whether a second lets nothing happen but the end of bars: what `_on_time` looks at."""
        core, session, ledger = self.core, self.core.session, self.core.ledger
        if session is None or core.holds or not session.open <= now < session.close:
            return False
        if now < core.now or now - core.list_asked_at > LIST_AGE:
            return False
        if ledger.level is not bot.KillLevel.ACTIVE or ledger.actions or self.entries.paced:
            return False
        alive, flat_at = ledger.open_orders(), core.clock(core.settings.flat_at)
        flat = now >= session.auction_start or (flat_at is not None and now >= flat_at)
        heard = False
        for state in core.symbols.values():
            if state.instrument is None or state.auction_since:
                return False
            if state.waiting and state.waiting_until and now > state.waiting_until:
                return False
            last, held = state.last_trade, state.view.position.quantity
            heard = heard or last is not None
            if held and (flat or last is None or now - last.ts_exchange > SILENCE):
                return False
            if (held and not state.limits_known) or (state.exit and not self._waits(state, now)):
                return False
        for order in alive:
            entry, age = order.intent.purpose == "entry", now - order.intent.at
            if order.status not in PLAIN or order.intent.trade_date != ledger.day:
                return False
            if entry and (flat or age.total_seconds() >= core.settings.entry_timeout_s):
                return False
        if not heard:
            return False
        result = core.day_result_krw()
        limit = result < 0 and bot.day_loss_limit(core.settings.limits, core.morning_equity_krw())
        return result >= 0 or result > -limit

    def _waits(self, state: bot.SymbolState, now: datetime) -> bool:
        """Tell whether an exit under way only waits: its order rests, or its pause is not over."""
        run, held = state.exit, state.view.position.quantity
        if not (run and run.next_at and now < run.next_at and held) or state.halted:
            return False
        sides = {each.intent.side for each in self.core.ledger.open_orders(state.view.symbol)}
        return bot.Side.BUY not in sides

    def takes(self, listed: Collection[Working], asked_at: datetime) -> bool:
        """Take a list of known orders with one fill at most; False when the engine must read it.

        It proves the same as `Reconciler.read_list` there, and the same follows as in `_on_orders`.
        """
        core, ledger = self.core, self.core.ledger
        if core.holds or self.entries.paced:
            return False
        filled, newest = [], {row.number for row in listed}
        for row in listed:
            order = ledger.order_of(row.number)
            if order is None or order.order_no not in newest or order.status not in bot.RESTING:
                return False
            if order.order_no == row.number and row.cancelled:
                return False  # its end
            if order.fills.get(row.number, (0, 0))[0] != row.filled:
                filled.append((order.intent.intent_id, row))
        if len(filled) > 1 or any(each.status not in PLAIN for each in ledger.open_orders()):
            return False
        self.exits.note_life()
        for key, row in filled:
            core.apply(bot.OrderUpdate(
                key, bot.OrderEvent.FILL, core.now, row.number, quantity=row.filled,
                amount_krw=row.amount,
            ))  # fmt: skip
        core.note_list(asked_at)
        for state in core.symbols.values():
            self.exits.work(state)
        return True
