"""History through the bot's Engine, day by day; its rows go into a journal like any other.

    result = run(settings, strategy, history, Options(money=10_000_000), Path("out"))

Each minute becomes four trades: open, low, high, close. Questions of the engine are answered
0.3 s later, orders by `broker.Broker` after its latency. Nothing here decides anything.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import kis_realtime_trading as bot
from companions import reports
from companions.backtest.broker import Broker, Rules, instrument
from companions.backtest.history import History

OFFSETS_S = (0.5, 20.0, 40.0, 59.5)  # of the four prices within their minute
ANSWER_S = 0.3
LIST_EVERY_S, ACCOUNT_EVERY_S = 60, 120
OPENS = timedelta(minutes=20)  # the morning's questions, before the open


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is made with beside strategy and history."""

    money: int = 10_000_000
    rules: Rules = field(default_factory=Rules)
    on_day: Callable[[int, int], None] = lambda done, of: None


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """A run: its report, whether both books agree, how fast it was."""

    report: reports.Report
    journal: Path
    digest: str  # of every row the engine wanted
    history: str
    minutes: int
    took_s: float
    differences: tuple[str, ...]  # between the ledger and the broker; empty when equal to the won
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything a program wants of it."""
        return {
            "report": reports.to_json(self.report), "digest": self.digest, "history": self.history,
            "minutes": self.minutes, "minutes_per_s": round(self.minutes / max(self.took_s, 1e-9)),
            "differences": list(self.differences), "notes": list(self.notes),
        }  # fmt: skip


def run(
    settings: bot.BotSettings, strategy: bot.TradingStrategy, history: History, options: Options,
    folder: Path,
) -> BacktestResult:  # fmt: skip
    """Trade a history; leave `journal-backtest.sqlite3` in a folder. Raises bot.BotError."""
    symbols = tuple(sorted(history.minutes))
    settings = settings.model_copy(update={"symbols": symbols, "bar_lateness_s": 0.0})
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "journal-backtest.sqlite3"
    if path.exists():
        raise bot.BotError(f"{path} exists already: each run wants a folder of its own")
    stage, began = Stage(settings, strategy, options, path), time.perf_counter()
    days = history.days()
    by_day = {symbol: _by_day(bars) for symbol, bars in history.minutes.items()}
    for done, day in enumerate(days, 1):
        stage.trade_day(day, {symbol: by_day[symbol].get(day, []) for symbol in symbols})
        options.on_day(done, len(days))
    took_s = time.perf_counter() - began
    stage.journal.close()
    fees = (settings.stock_fee_pct, settings.fund_fee_pct)
    return BacktestResult(
        reports.read_report(path, fees=fees), path, stage.engine.digest.hexdigest(), history.digest,
        sum(map(len, history.minutes.values())), took_s, tuple(stage.differences()),
        tuple(history.notes),
    )  # fmt: skip


def _by_day(bars: Sequence[bot.Bar]) -> dict[date, list[bot.Bar]]:
    return {day: list(of) for day, of in itertools.groupby(bars, lambda bar: bar.start.date())}


class Stage:
    """An engine, a broker, a journal, and the time between them."""

    def __init__(
        self, settings: bot.BotSettings, strategy: bot.TradingStrategy, options: Options, path: Path
    ) -> None:
        self.settings, self._options = settings, options
        self.journal = bot.Journal(path)
        self.journal.verify()
        ledger = bot.Ledger(settings.stock_fee_pct, settings.fund_fee_pct)
        self.engine = bot.Engine(settings, strategy, ledger, False)
        self.broker = Broker(
            options.rules, options.money, settings.stock_fee_pct, settings.fund_fee_pct,
            frozenset(settings.funds),
        )  # fmt: skip
        self._later: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._ticket = itertools.count()
        self._asked: set[bot.Ask] = set()
        self._rows: list[tuple[str, str, Any]] = []
        self._last: dict[str, int] = {}  # price by symbol
        self._base: dict[str, int] = {}  # yesterday's close
        self._totals: dict[str, list[int]] = {}  # shares and won of the day
        self._closed: dict[str, list[bot.Bar]] = {}  # whole days so far
        self._started = False

    # --- the day ---

    def trade_day(self, day: date, minutes: dict[str, list[bot.Bar]]) -> None:
        """Run the morning, the day's prices, and the evening; write the rows."""
        session = bot.session_of(day)
        if session is None:
            raise bot.BotError(f"{day} is no trading day of KRX")
        self.broker.open_day()
        self._totals = {symbol: [0, 0] for symbol in minutes}
        for symbol, bars in minutes.items():
            first = bars[0].open if bars else self._last.get(symbol, 0)
            self._base[symbol] = self._last.setdefault(symbol, first)
        self._open(session)
        self._warm_up(session)
        due = session.open - OPENS + timedelta(minutes=2)  # an old list would hold the first order
        for at, symbol, price, volume in self._prices(minutes):
            while due <= at:
                self._usual_questions(due)
                due += timedelta(seconds=LIST_EVERY_S)
            self._pass(at)
            self._meet(at, symbol, price, volume)
        for minute in range(-10, 2):
            moment = session.close + timedelta(minutes=minute)
            if moment > due:
                self._usual_questions(moment)
        self._close(session)
        self._keep_day(day, minutes)
        self.journal.append(self._rows, session.close)
        self._rows = []

    def _open(self, session: bot.Session) -> None:
        at = session.open - OPENS
        self._feed(bot.TimeEvent(at))
        if not self._started:
            self._started = True
            self._feed(bot.Command("restarted", at))
        self._feed(bot.Command("day", at, session))
        for symbol in self._base:
            known = self._instrument(symbol)
            self.broker.limits[symbol] = known.lower_limit, known.upper_limit
            self._feed(bot.Seen(known, at))
        self._feed(bot.Seen(self.broker.order_list(), at))
        self._feed(bot.Seen(self.broker.balance(), at))
        self._feed(bot.Seen(self.broker.orderable(), at))
        self._feed(bot.Command("feed up", at))
        self._pass(at + timedelta(seconds=5))
        self._feed(bot.Seen(self.broker.order_list(), at + timedelta(seconds=5)))

    def _warm_up(self, session: bot.Session) -> None:
        """Show the strategy the closed days that it wants, as the morning of a live day does."""
        if not self.engine.strategy.past_days:
            return
        at = session.open - OPENS + timedelta(seconds=6)
        for symbol, days in self._closed.items():
            bars = tuple(days[-self.engine.strategy.past_days :])
            self._feed(bot.Seen(bot.PastBars(symbol, bars), at))

    def _keep_day(self, day: date, minutes: dict[str, list[bot.Bar]]) -> None:
        for symbol, bars in minutes.items():
            if bars:
                volume, value = sum(b.volume for b in bars), sum(b.value_krw for b in bars)
                whole = bot.DailyBar(
                    day, bars[0].open, max(b.high for b in bars), min(b.low for b in bars),
                    bars[-1].close, volume, value,
                )  # fmt: skip
                self._closed.setdefault(symbol, []).append(bot.whole_day(symbol, whole))

    def _prices(
        self, minutes: dict[str, list[bot.Bar]]
    ) -> Iterator[tuple[datetime, str, int, int]]:
        """Yield (moment, symbol, price, shares) of all stocks in order of time."""

        def of(symbol: str, bars: list[bot.Bar]) -> Iterator[tuple[datetime, str, int, int]]:
            for bar in bars:
                part, rest = divmod(bar.volume, 4)
                for i, price in enumerate((bar.open, bar.low, bar.high, bar.close)):
                    volume = part + (rest if i == 3 else 0)
                    if bar.volume:  # every price shows, also of a minute of one share
                        at = bar.start + timedelta(seconds=OFFSETS_S[i])
                        yield at, symbol, price, max(volume, 1)

        return heapq.merge(*(of(symbol, bars) for symbol, bars in sorted(minutes.items())))

    def _meet(self, at: datetime, symbol: str, price: int, volume: int) -> None:
        totals = self._totals[symbol]
        totals[0] += volume
        totals[1] += volume * price
        self._last[symbol] = price
        filled = self.broker.meet(symbol, price, volume, at)
        self._feed(bot.TimeEvent(at))
        self._feed(bot.Trade(symbol, at, price, volume, totals[0], totals[1], False))
        if filled:
            self._feed(bot.Seen(self.broker.order_list(), at))

    def _close(self, session: bot.Session) -> None:
        end = session.close + timedelta(minutes=2)
        self._pass(end)
        self._feed(bot.TimeEvent(end))
        self._feed(bot.Command("stop", end, text="cancel"))
        self._pass(end + timedelta(seconds=10))
        self._feed(bot.Seen(self.broker.order_list(), end + timedelta(seconds=10)))
        self._feed(bot.Command("feed down", end + timedelta(seconds=11)))
        self._later.clear()
        self._asked.clear()
        figures = bot.day_figures(self.engine.core.ledger, 0, self.engine.bars_closed)
        self._rows.append(("day", figures["day"], figures))

    # --- events and actions ---

    def _usual_questions(self, at: datetime) -> None:
        self._pass(at)
        self._feed(bot.TimeEvent(at))
        self._ask(bot.Ask("orders"), at)
        if at.minute % (ACCOUNT_EVERY_S // 60) == 0:
            self._ask(bot.Ask("holdings"), at)
            self._ask(bot.Ask("cash"), at)

    def _pass(self, until: datetime) -> None:
        """Let what was due before a moment happen, each at its own time."""
        while self._later and self._later[0][0] <= until:
            at, _, happen = heapq.heappop(self._later)
            self._feed(bot.TimeEvent(at))
            happen(at)

    def _feed(self, event: bot.Event) -> None:
        now = self.engine.core.now
        for action in self.engine.handle(event):
            now = self.engine.core.now
            if isinstance(action, bot.Record):
                self._rows.append(action)
            elif isinstance(action, bot.Alert):
                self._rows.append(("alert", *action))
            elif isinstance(action, bot.Ask):
                self._ask(action, now)
            else:
                self._send(action, now)

    def _at(self, moment: datetime, happen: Callable[[datetime], None]) -> None:
        heapq.heappush(self._later, (moment, next(self._ticket), happen))

    def _send(self, call: bot.OrderCall, now: datetime) -> None:
        kept = {"action": call.action, "kind": call.kind, "price": call.price}
        self._rows.append(("request", call.intent.intent_id, kept))

        def arrive(at: datetime) -> None:
            answer = self.broker.take(call, at)
            self._feed(bot.OrderAnswered(call.intent.intent_id, answer, at))

        self._at(now + timedelta(seconds=self._options.rules.latency_s), arrive)

    def _ask(self, ask: bot.Ask, asked_at: datetime) -> None:
        if ask in self._asked:
            return
        self._asked.add(ask)

        def answer(at: datetime) -> None:
            self._asked.discard(ask)
            self._feed(bot.Seen(self._answer_to(ask), asked_at))

        self._at(asked_at + timedelta(seconds=ANSWER_S), answer)

    def _answer_to(self, ask: bot.Ask) -> Any:
        if ask.what == "price":
            return self._instrument(ask.symbol)
        if ask.what == "orders":
            return self.broker.order_list()
        return self.broker.orderable() if ask.what == "cash" else self.broker.balance()

    def _instrument(self, symbol: str) -> bot.Instrument:
        fund = symbol in self.settings.funds
        return instrument(symbol, self._base[symbol], self._last[symbol], fund)

    def differences(self) -> Iterator[str]:
        """Yield where the ledger and the broker's books differ."""
        ledger = self.engine.core.ledger
        if ledger.cash_krw != self.broker.cash:
            yield f"cash: ledger {ledger.cash_krw:,}, broker {self.broker.cash:,}"
        for symbol in sorted({*ledger.positions, *self.broker.shares}):
            ours, theirs = ledger.position(symbol).quantity, self.broker.shares.get(symbol, 0)
            if ours != theirs:
                yield f"{symbol}: ledger {ours}, broker {theirs}"
