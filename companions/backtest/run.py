"""History through the bot's Engine, day by day; its rows go into a journal like any other.

    result = run(settings, strategy, history, Options(money=10_000_000), Path("out"))

Each minute becomes four trades (`path`); questions of the engine are answered 0.3 s later, orders by
`broker.Broker` after its latency. Minutes in which nothing can happen are taken whole (`thin`), with
the same result to the bit. Nothing here decides anything. A stock whose close of the day before is
not known is only looked at: its first day teaches it.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import itertools
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import kis_realtime_trading as bot
from companions import reports
from companions.backtest.books import Books, Rows
from companions.backtest.broker import Broker, Rules, instrument
from companions.backtest.engine import BarEngine
from companions.backtest.history import History
from companions.backtest.metrics import metrics_of, returns_of
from companions.backtest.minutes import by_day, by_minute, scaled
from companions.backtest.path import OFFSETS, Leg, high_comes_first, parts
from companions.backtest.thin import ACCOUNT_EVERY, LIST_EVERY, ThinLane, Watched, idle

ANSWER = timedelta(seconds=0.3)
PATIENCE_S = 300.0  # for the disk
OPENS = timedelta(minutes=20)  # the morning's questions, before the open
LEAST_AGE_S = 61.0  # four prices a minute are no measure of a feed: no rule may call them old
LIST = bot.Ask("orders")
MINUTE, MOMENT = timedelta(minutes=1), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is made with beside strategy and history."""

    money: int = 10_000_000
    rules: Rules = field(default_factory=Rules)
    on_day: Callable[[int, int], None] = lambda done, of: None
    lane: Literal["thin", "exact"] = "thin"
    bars: bool = False  # a journal row for each bar, as live: slower, and no thin lane
    journal: bool = True  # False: nothing is written; no digest of the rows, the same report
    whole: type[ThinLane] = ThinLane  # what decides which minutes the thin lane takes whole
    on_rows: Callable[[Rows, datetime], None] = lambda rows, at: None  # of each day


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """A run: its report, whether both books agree, how fast it was."""

    report: reports.Report
    journal: Path
    digest: str  # of the journal: the hash of its last row, which holds those before; "" without
    history: str
    minutes: int
    took_s: float
    differences: tuple[str, ...]  # between the ledger and the broker; empty when equal to the won
    notes: tuple[bot.Both, ...]
    thin: int = 0  # minutes that were taken whole
    money: int = 0
    market: tuple[float, ...] = ()  # what buying all stocks alike and holding them is worth, from 1

    official: tuple[Any, ...] = ()  # of `compat`: the official number of each stock beside ours

    trials: tuple[int, float] = (1, 0.0)  # on this history so far, spread of their Sharpe ratios

    failed: tuple[str, ...] = ()  # where the strategy's own code raised: no entry after it that day

    def metrics(self) -> dict[str, Any]:
        """Return the figures of `metrics`."""
        return metrics_of(self.report, self.money, self.market, *self.trials)

    def returns(self) -> list[float]:
        """Return the return of each day."""
        days = [float(day.equity_krw) for day in self.report.days]
        return returns_of([float(self.money), *days])

    def to_json(self) -> dict[str, Any]:
        """Return everything a program wants of it."""
        return {
            "report": reports.to_json(self.report), "metrics": self.metrics(), "digest": self.digest, "history": self.history,
            "minutes": self.minutes, "minutes_per_s": round(self.minutes / max(self.took_s, 1e-9)),
            "whole_minutes": self.thin, "differences": list(self.differences),
            "notes": list(self.notes), "failed": list(self.failed),
            **({"official": [each.to_json() for each in self.official]} if self.official else {}),
        }  # fmt: skip


def run(
    settings: bot.BotSettings, strategy: bot.TradingStrategy, history: History, options: Options,
    folder: Path,
) -> BacktestResult:  # fmt: skip
    """Trade a history; leave `journal-backtest.sqlite3` in a folder, if one is wanted.

    Raises bot.BotError.
    """
    symbols = tuple(sorted(history.minutes))
    age = max(settings.limits.max_data_age_s, LEAST_AGE_S)
    limits = settings.limits.model_copy(update={"max_data_age_s": age})
    settings = settings.model_copy(
        update={
            "symbols": symbols,
            "bar_lateness_s": 0.0,
            "limits": limits,
            "on_corporate_action": "scale",
        }
    )
    path = folder / "journal-backtest.sqlite3"
    if options.journal:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if options.journal and path.exists():
        raise bot.BotError(
            bot.Both(
                f"{path} exists already: each run wants a folder of its own",
                f"{path}: 이미 있습니다. 돌릴 때마다 새 폴더가 필요합니다",
            )
        )
    stage, began = Stage(settings, strategy, history, options, path), time.perf_counter()
    days = history.days()
    daily = {symbol: by_day(bars) for symbol, bars in history.minutes.items()}
    gc.freeze()  # a history is many objects, and none of them is garbage
    seldom = gc.get_threshold()
    gc.set_threshold(100_000)
    try:
        for done, day in enumerate(days, 1):
            stage.trade_day(day, {symbol: daily[symbol].get(day, []) for symbol in symbols})
            options.on_day(done, len(days))
    finally:
        gc.set_threshold(*seldom)
        gc.unfreeze()
    return stage.result(sum(map(len, history.minutes.values())), time.perf_counter() - began)


class PatientJournal(bot.Journal):
    """A journal for which nothing waits: a slow disk is none that failed."""

    def _take_over(self, patience_s: float) -> None:
        super()._take_over(max(patience_s, PATIENCE_S))


class Due(NamedTuple):
    """Something that happens later; what is due at one moment has an order of its own."""

    at: datetime
    order: tuple[str, str]
    ticket: int
    happen: Callable[[datetime], None]


class Stage:
    """An engine, a broker, a journal, and the time between them."""

    def __init__(
        self, settings: bot.BotSettings, strategy: bot.TradingStrategy, history: History,
        options: Options, path: Path,
    ) -> None:  # fmt: skip
        self.settings, self._options, self._history = settings, options, history
        self.journal = PatientJournal(path) if options.journal else None
        if self.journal:
            self.journal.verify()
        self._books = Books((settings.stock_fee_pct, settings.fund_fee_pct), path)
        self._path = path
        kind = bot.Engine if options.bars else BarEngine
        self.engine = kind(settings, strategy, self._books.ledger, False)
        self.broker = Broker(
            options.rules, options.money, settings.stock_fee_pct, settings.fund_fee_pct,
            frozenset({*settings.funds, *history.funds}), markets=history.markets,
        )  # fmt: skip
        self.thin = options.whole(self, self.engine)
        self._thin = options.lane == "thin" and self.thin.lean
        self._brief = self.engine if isinstance(self.engine, BarEngine) else None
        self.differences: list[str] = []
        self.notes: list[bot.Both] = []
        self.failed: list[str] = []
        self.market = [1.0]
        self._bought: dict[str, int] = {}  # first base price of each stock
        self.later: list[Due] = []
        self.due = bot.EPOCH  # of the next full minute
        self._ticket = itertools.count()
        self._asked: set[bot.Ask] = set()
        self._rows: list[tuple[str, str, Any]] = []
        self._listed_at = bot.EPOCH  # of the last list that told a fill
        self._arrived: list[str] = []  # stocks of orders that came to the exchange
        self.last: dict[str, int] = {}  # price by symbol
        self.totals: dict[str, list[int]] = {}  # shares and won of the day
        self._base: dict[str, int] = dict(history.bases)  # yesterday's close
        self._closed: dict[str, list[bot.Bar]] = {}  # whole days so far
        self._started = False
        self._reach: dict[str, Watched] | None = None  # None: something is under way

    def result(self, minutes: int, took_s: float) -> BacktestResult:
        """End it; return what came of it."""
        history = self._history
        digest = ""
        if self.journal:
            self.journal.close()
            with contextlib.closing(sqlite3.connect(self._path)) as rows:
                newest = "SELECT hash FROM rows ORDER BY seq DESC LIMIT 1"
                digest = str((rows.execute(newest).fetchone() or [""])[0])
        return BacktestResult(
            self._books.report(), self._path, digest, history.digest, minutes, took_s,
            tuple(self.differences), (*history.notes, *self.notes), self.thin.minutes,
            self._options.money, tuple(self.market), failed=tuple(self.failed),
        )  # fmt: skip

    # --- the day ---

    def trade_day(self, day: date, minutes: dict[str, list[bot.Bar]]) -> None:
        """Run the morning, the day's prices, and the evening; write the rows."""
        session = bot.session_of(day)
        if session is None:
            raise bot.BotError(
                bot.Both(f"{day} is no trading day of KRX", f"{day}: 거래일이 아닙니다")
            )
        self._base.update(self.last)
        for symbol in minutes:
            if factor := self._history.factors.get(symbol, {}).get(day):
                self._rescale(symbol, day, factor)
        known = {symbol: bars for symbol, bars in minutes.items() if symbol in self._base}
        if known:
            self._trade_known(session, known)
        for symbol in sorted(set(minutes) - set(known)):
            if minutes[symbol]:
                self.last[symbol] = minutes[symbol][-1].close
                self.notes.append(bot.Both(
                    f"{symbol}: {day} only taught its close",
                    f"{symbol}: {day}은 기준가를 얻는 데만 썼습니다",
                ))  # fmt: skip
        self._keep_day(day, minutes)

    def _rescale(self, symbol: str, day: date, factor: float) -> None:
        """Begin an ex-day: another base price; of a split also other shares, at the same cost."""
        close, fund = self.last.get(symbol, self._base.get(symbol, 0)), symbol in self.broker.funds
        if not close:
            return
        base = bot.round_to_tick(close * factor, fund, up=factor < 1)
        self._base[symbol] = self.last[symbol] = base
        if symbol in self._bought:
            self._bought[symbol] = max(1, round(self._bought[symbol] * factor))
        times = 1 / factor if factor < 1 else factor
        split = round(times) > 1 and abs(times - round(times)) < 0.02 * times
        held = self.broker.shares.get(symbol, 0)
        if split and held:
            self.broker.shares[symbol] = held * round(times) if factor < 1 else held // round(times)
        kind, what = (
            ("split", "분할·병합") if split
            else ("ex-date without the value of its rights", "권리락(권리의 값은 치지 않음)")
        )  # fmt: skip
        self.notes.append(bot.Both(
            f"{symbol} {day}: {kind}, prices x {factor:g}, {held} shares held before",
            f"{symbol} {day}: {what}, 가격 x {factor:g}, 전날 보유 {held:,}주",
        ))  # fmt: skip
        days = self._closed.get(symbol, [])
        days[:] = [scaled(bar, factor) for bar in days]

    def _trade_known(self, session: bot.Session, minutes: dict[str, list[bot.Bar]]) -> None:
        cash, held = self.broker.cash, dict(self.broker.shares)
        self.totals = {symbol: [0, 0] for symbol in minutes}
        for symbol in minutes:
            self.last.setdefault(symbol, self._base[symbol])
        self.broker.open_day({symbol: self._base[symbol] for symbol in minutes})
        self._open(session)
        self._warm_up(session)
        self.due = session.open - OPENS + 2 * MINUTE  # an old list would hold the first order
        self._show(session, minutes)
        while self.due <= session.close + MINUTE:
            self.full_minute()
            self._skip_to(session.close)
        self._close(session)
        for symbol, each in minutes.items():
            if each and not self._options.bars:
                self._rows.append(("bar", symbol, {"bar": each[-1]}))
        figures = bot.day_figures(self.engine.core.ledger, 0, self.engine.bars_closed)
        self._rows.append(("day", figures["day"], figures))
        if self.journal:
            self.journal.append(self._rows, session.close)
        self._books.take(self._rows, session.close)
        self._options.on_rows(self._rows, session.close)
        self._rows = []
        for symbol in minutes:
            self._bought.setdefault(symbol, self._base[symbol])
        worth = [self.last[symbol] / price for symbol, price in self._bought.items()]
        self.market.append(sum(worth) / len(worth))
        self.differences += [f"{session.day} {each}" for each in self._compare(cash, held)]

    def _show(self, session: bot.Session, minutes: dict[str, list[bot.Bar]]) -> None:
        """Show the day's prices, minute by minute or, where nothing can happen, many at once."""
        bars, self._reach = by_minute(minutes), None
        self.thin.open_day(session, bars)
        at = 0
        while at < len(bars):
            start, of = bars[at]
            while self.due <= start:
                self.full_minute()
                self._skip_to(start)
            self.pass_time(start + timedelta(seconds=1))
            whole = self.thin.run(at) if self._thin else 0
            if not whole:
                self._minute(session, start, of)
            at += whole or 1

    def _open(self, session: bot.Session) -> None:
        at = session.open - OPENS
        self.feed(bot.TimeEvent(at))
        if not self._started:
            self._started = True
            self.feed(bot.Command("restarted", at))
        self.feed(bot.Command("day", at, session))
        for symbol in self.totals:
            known = self._instrument(symbol)
            self.broker.limits[symbol] = known.lower_limit, known.upper_limit
            self.feed(bot.Seen(known, at))
        for answer in self.account():
            self.feed(bot.Seen(answer, at))
        self.feed(bot.Command("feed up", at))
        self.pass_time(at + timedelta(seconds=5))
        self.feed(bot.Seen(self.broker.order_list(), at + timedelta(seconds=5)))

    def account(self) -> tuple[bot.OrderList, bot.Balance, bot.Cash]:
        """Return what the broker shows of orders, shares and cash."""
        return self.broker.order_list(), self.broker.balance(), self.broker.orderable()

    def _warm_up(self, session: bot.Session) -> None:
        """Show the strategy the closed days that it wants, as the morning of a live day does."""
        if not self.engine.strategy.past_days:
            return
        at = session.open - OPENS + timedelta(seconds=6)
        for symbol, days in self._closed.items():
            bars = tuple(days[-self.engine.strategy.past_days :])
            self.feed(bot.Seen(bot.PastBars(symbol, bars), at))

    def _keep_day(self, day: date, minutes: dict[str, list[bot.Bar]]) -> None:
        if not self.engine.strategy.past_days:
            return
        for symbol, bars in minutes.items():
            if bars:
                volume, value = sum(b.volume for b in bars), sum(b.value_krw for b in bars)
                whole = bot.DailyBar(
                    day, bars[0].open, max(b.high for b in bars), min(b.low for b in bars),
                    bars[-1].close, volume, value,
                )  # fmt: skip
                self._closed.setdefault(symbol, []).append(bot.whole_day(symbol, whole))

    def _close(self, session: bot.Session) -> None:
        end = session.close + timedelta(minutes=2)
        self.pass_time(end)
        self.feed(bot.TimeEvent(end))
        self.feed(bot.Command("stop", end, text="cancel"))
        self.pass_time(end + timedelta(seconds=10))
        self.feed(bot.Seen(self.broker.order_list(), end + timedelta(seconds=10)))
        self.feed(bot.Command("feed down", end + timedelta(seconds=11)))
        self.later.clear()
        self._asked.clear()

    # --- the four prices of a minute ---

    def _minute(self, session: bot.Session, start: datetime, bars: Sequence[bot.Bar]) -> None:
        """Show a minute's prices: all opens, then all first extremes, the second ones, closes."""
        share = self._options.rules.share
        single = start >= session.auction_start
        times = [start + offset for offset in OFFSETS]
        self.pass_time(times[0])
        self._look()
        opening = single or start == session.open
        if not opening and all(map(self._sleeps, bars)):
            self._pass_quietly(times, bars, 0)
            return
        volumes = {bar.symbol: parts(bar.volume) for bar in bars}
        for bar in bars:
            volume = volumes[bar.symbol][0]
            self.meet(bar.symbol, times[0], bar.open, volume, int(volume * share), opening)
        prices = {bar.symbol: self._way(bar) for bar in bars}
        for n in (1, 2, 3):
            self._look()
            if self._thin and not single and all(map(self._sleeps, bars)):
                self._pass_quietly(times, bars, n, prices)
                return
            if all(self._quiet(symbol, way[n - 1]) for symbol, way in prices.items()):
                for symbol, way in prices.items():
                    volume = volumes[symbol][n == 3]
                    self.meet(symbol, times[n], way[n - 1], volume, int(volume * share), single)
                continue
            legs = []
            for symbol, way in prices.items():
                room = int(volumes[symbol][n == 3] * share)
                before, price = self.last[symbol], way[n - 1]
                legs.append(Leg(symbol, times[n - 1], times[n], before, price, room))
            self._walk(legs, times[n])
            self._look()  # what was under way may have come on the way
            for leg in legs:
                volume = max(1, volumes[leg.symbol][n == 3] - leg.extra)
                self.meet(leg.symbol, leg.end, leg.last, volume, leg.room, single)

    def _look(self) -> None:
        """See whether anything is under way; if not, between which prices nothing happens."""
        if self.later:
            self._reach = None
        elif self._reach is None:
            self._reach = self.thin.watched()

    def _quiet(self, symbol: str, price: int) -> bool:
        """Tell whether a price wakes nothing: then nobody needs to know the second of it."""
        of = self._reach.get(symbol) if self._reach and not self.later else None
        return of is not None and of.floor < price < of.roof

    def _sleeps(self, bar: bot.Bar) -> bool:
        """Tell whether no price of a bar wakes anything."""
        of = self._reach.get(bar.symbol) if self._reach and not self.later else None
        return of is not None and of.floor < bar.low and bar.high < of.roof

    def _pass_quietly(
        self, times: Sequence[datetime], bars: Sequence[bot.Bar], first: int,
        ways: dict[str, tuple[int, int, int]] | None = None,
    ) -> None:  # fmt: skip
        """Show a minute, or the rest of it, that wakes nothing: `meet` would look at each price anew."""
        meet, share = self.broker.meet, self._options.rules.share
        see = self.thin.see if self._thin else self.engine.handle
        shown = [
            (bar.symbol, self.totals[bar.symbol], ways[bar.symbol] if ways else self._way(bar),
             bar.open, parts(bar.volume))
            for bar in bars
        ]  # fmt: skip
        for n in range(first, 4):
            at = times[n]
            for symbol, totals, way, opened, volumes in shown:
                price, volume = way[n - 1] if n else opened, volumes[n == 3]
                totals[0] += volume
                totals[1] += volume * price
                self.last[symbol] = price
                if not self._thin:
                    meet(symbol, price, int(volume * share), at)
                trade = bot.Trade(symbol, at, price, volume, totals[0], totals[1], False)
                if actions := see(trade):
                    self.obey(actions)

    def _way(self, bar: bot.Bar) -> tuple[int, int, int]:
        """Return first extreme, second extreme and close."""
        core = self.engine.core
        state = core.symbols[bar.symbol]
        open_orders = core.ledger.open_orders(bar.symbol)
        buying = state.waiting is not None or any(
            o.intent.side is bot.Side.BUY for o in open_orders
        )
        plan = state.view.position.plan if state.view.position.quantity else None
        stop = (plan.stop_price if plan else 0) if state.view.position.quantity else None
        if high_comes_first(self._options.rules.path, bar, buying, stop):
            return bar.high, bar.low, bar.close
        return bar.low, bar.high, bar.close

    def _walk(self, legs: Sequence[Leg], end: datetime) -> None:
        """Go to the end of some legs: what is due, and levels on the way, in order of time."""
        by_symbol = {leg.symbol: leg for leg in legs}
        while True:
            due = self.later[0].at if self.later else None
            levels = [(*found, leg) for leg in legs if (found := self._crossing(leg))]
            first = min(levels, key=lambda each: (each[0], each[2].symbol), default=None)
            if first and (due is None or first[0] < due):
                at, level, leg = first
                leg.passed.add(level)
                self._between(leg, at, leg.at(at, leg.symbol in self.broker.funds))
            elif due is not None and due <= end:
                self._happen()
                for symbol in self._arrived:
                    if due + MOMENT < end and (arrived := by_symbol.get(symbol)):
                        price = arrived.at(due, symbol in self.broker.funds)
                        self._between(arrived, due + MOMENT, price)
                self._arrived.clear()
            else:
                return

    def _crossing(self, leg: Leg) -> tuple[datetime, int] | None:
        """Return the next level on a leg that an order or a plan waits for."""
        if leg.first == leg.last:
            return None
        state, fund = self.engine.core.symbols[leg.symbol], leg.symbol in self.broker.funds
        falling, rising = [], []
        plan = state.view.position.plan
        if state.view.position.quantity and plan and not state.exit:
            falling.append(plan.stop_price)
            rising += [plan.target_price] if plan.target_price else []
        step = 1 if self._options.rules.through else 0
        for order in self.broker.alive(leg.symbol, bot.Side.BUY):
            if order.met and order.price:
                falling.append(bot.step_ticks(order.price, fund, -step))
        for order in self.broker.alive(leg.symbol, bot.Side.SELL):
            if order.met and order.price:
                rising.append(bot.step_ticks(order.price, fund, step))
        return leg.crossing(falling, rising) if falling or rising else None

    def _between(self, leg: Leg, at: datetime, price: int) -> None:
        """Show a price between two points: one share of the leg, but all its room."""
        leg.extra += 1
        leg.room -= self.meet(leg.symbol, at, price, 1, leg.room, False)

    def meet(
        self, symbol: str, at: datetime, price: int, volume: int, room: int, single: bool
    ) -> int:
        """Show a price: to the orders first, then to the engine; return the shares filled."""
        totals = self.totals[symbol]
        totals[0] += volume
        totals[1] += volume * price
        self.last[symbol] = price
        if not self._quiet(symbol, price):
            self._reach = None
            self.tell_time(at)
        filled = self.broker.meet(symbol, price, room, at, single)
        if filled:  # what was bought is held at this very price: it may be its stop
            self._listed_at = at
            if not self._is_taken(at):
                self.feed(bot.Seen(self.broker.order_list(), at))
        self.feed(bot.Trade(symbol, at, price, volume, totals[0], totals[1], False))
        return filled

    # --- events and actions ---

    def full_minute(self) -> None:
        """Let a full minute come: time, and now and then the usual questions."""
        self.pass_time(self.due)
        self.feed(bot.TimeEvent(self.due))
        self.usual_questions()

    def _skip_to(self, start: datetime) -> None:
        """Leave out empty minutes in which nothing is under way and no bar is open: only time passes."""
        if start - self.due < 7 * MINUTE:
            return
        core, target = self.engine.core, start - 2 * MINUTE
        flat_at = core.clock(core.settings.flat_at)
        if flat_at and self.due <= flat_at:
            target = min(target, flat_at - MINUTE)
        if target - self.due < 5 * MINUTE or not self._idle():
            return
        if not all(idle(state.builder) for state in core.symbols.values()):
            return
        self.due, self._reach = target.replace(second=0, microsecond=0), None
        self.feed(bot.Seen(self.broker.order_list(), self.due))  # as it was asked all the time

    def _idle(self) -> bool:
        """Tell whether no order, exit, question or hold is under way that an answer would move."""
        core = self.engine.core
        if self.later or core.holds or core.ledger.open_orders():
            return False
        return not any(state.waiting or state.exit for state in core.symbols.values())

    def usual_questions(self) -> None:
        """Ask what is asked every other minute, and go on to the next one."""
        minute = self.due.minute
        if minute % LIST_EVERY == 0:
            calm = self.thin.lean and self._idle() and not self.broker.has_news()
            if calm:
                self.engine.core.note_list(self.due)  # all that an empty list tells
            else:
                self._ask(LIST, self.due)
            if minute % ACCOUNT_EVERY == 0 and not (calm and self.note_account(self.due)):
                self._ask(bot.Ask("holdings"), self.due)
                self._ask(bot.Ask("cash"), self.due)
        self.due += MINUTE

    def note_account(self, at: datetime) -> bool:
        """Have the account seen where nothing is under way and it is as the ledger says; else False."""
        core, broker, ledger = self.engine.core, self.broker, self.engine.core.ledger
        if core.holds or broker.has_news() or ledger.external or ledger.cash_krw != broker.cash:
            return False
        shares = broker.shares
        if any(ledger.position(each).quantity != shares.get(each, 0) for each in core.symbols):
            return False
        core.take_cash(broker.orderable().amount_krw, at)
        held = {each.symbol: each for each in broker.balance().holdings}
        core.holdings = bot.Known(held, at)
        return True

    def pass_time(self, until: datetime) -> None:
        """Let what was due before a moment happen, each at its own time."""
        while self.later and self.later[0].at <= until:
            self._happen()
        self._arrived.clear()

    def _happen(self) -> None:
        due, self._reach = heapq.heappop(self.later), None
        if due.order == LIST and due.at - ANSWER <= self._listed_at:
            self._asked.discard(LIST)  # what it asks was told meanwhile
            return
        self.tell_time(due.at)
        due.happen(due.at)

    def tell_time(self, now: datetime) -> None:
        """Let the engine know the time."""
        if not (self._brief and self._brief.is_within_second(now)):
            self.feed(bot.TimeEvent(now))

    def feed(self, event: bot.Event) -> None:
        """Hand an event to the engine and do what it wants."""
        if actions := self.engine.handle(event):
            self.obey(actions)

    def obey(self, actions: Iterable[bot.Action]) -> None:
        """Keep rows, put questions and orders on their way."""
        now, self._reach = self.engine.core.now, None
        for action in actions:
            if isinstance(action, bot.Record):
                self._rows.append(action)
            elif isinstance(action, bot.Alert):
                self._rows.append(("alert", *action))
                symbol, why = action.values.get("symbol"), str(action.values.get("why", ""))
                failed = action.code == "symbol_stopped" and "of the strategy: " in why
                if failed and ": LacksDays" not in why:  # a history has a first day
                    self.failed.append(f"{symbol} {now:%Y-%m-%d %H:%M}: {why}")
            elif isinstance(action, bot.Ask):
                self._ask(action, now)
            else:
                self._send(action, now)

    def _at(
        self, moment: datetime, order: tuple[str, str], happen: Callable[[datetime], None]
    ) -> None:
        heapq.heappush(self.later, Due(moment, order, next(self._ticket), happen))

    def _send(self, call: bot.OrderCall, now: datetime) -> None:
        kept = {"action": call.action, "kind": call.kind, "price": call.price}
        self._rows.append(("request", call.intent.intent_id, kept))
        symbol = call.intent.symbol

        def arrive(at: datetime) -> None:
            answer = self.broker.take(call, at, self.last[symbol])
            if answer.order_no and call.action != "cancel":
                self._arrived.append(symbol)
            self.feed(bot.OrderAnswered(call.intent.intent_id, answer, at))

        delay = timedelta(seconds=self._options.rules.latency_s)
        self._at(now + delay, ("order", call.intent.intent_id), arrive)

    def _ask(self, ask: bot.Ask, asked_at: datetime) -> None:
        if ask in self._asked or (ask.what == "price" and ask.symbol not in self.totals):
            return
        self._asked.add(ask)

        def answer(at: datetime) -> None:
            self._asked.discard(ask)
            if ask != LIST or not self._is_taken(asked_at):
                self.feed(bot.Seen(self._answer_to(ask), asked_at))

        self._at(asked_at + ANSWER, ask, answer)

    def _is_taken(self, asked_at: datetime) -> bool:
        """Have a list taken that shows nothing odd; False when the engine must read it."""
        engine = self._brief
        if engine is None or not engine.takes(self.broker.listed(), asked_at):
            return False
        self.broker.forget_ended()
        if engine.core.out:
            self.obey(engine.core.take_actions())
        return True

    def _answer_to(self, ask: bot.Ask) -> Any:
        if ask.what == "price":
            return self._instrument(ask.symbol)
        if ask.what == "orders":
            return self.broker.order_list()
        return self.broker.orderable() if ask.what == "cash" else self.broker.balance()

    def _instrument(self, symbol: str) -> bot.Instrument:
        fund, market = symbol in self.broker.funds, self._history.markets.get(symbol, "KOSPI")
        return instrument(symbol, self._base[symbol], self.last[symbol], fund, market)

    def _compare(self, cash: int, held: dict[str, int]) -> Iterator[str]:
        """Yield where a day lost or made won or shares, and where the two books differ.

        `cash` and `held` are the broker's as the day began.
        """
        ledger, broker = self.engine.core.ledger, self.broker
        for order in broker.orders.values():
            cash -= order.intent.side.sign * order.amount
            symbol = order.intent.symbol
            held[symbol] = held.get(symbol, 0) + order.intent.side.sign * order.filled
        if cash - broker.fees_today != broker.cash:
            yield f"cash: {cash - broker.fees_today:,} by the orders, {broker.cash:,} at the broker"
        if ledger.cash_krw != broker.cash:
            yield f"cash: ledger {ledger.cash_krw:,}, broker {broker.cash:,}"
        costs = ledger.today.fees_krw + ledger.today.taxes_krw
        if costs != broker.fees_today:
            yield f"costs of the day: ledger {costs:,}, broker {broker.fees_today:,}"
        for symbol in sorted({*ledger.positions, *broker.shares, *held}):
            ours, theirs = ledger.position(symbol).quantity, broker.shares.get(symbol, 0)
            if not ours == theirs == held.get(symbol, 0):
                yield f"{symbol}: ledger {ours}, broker {theirs}, orders {held.get(symbol, 0)}"
