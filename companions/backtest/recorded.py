"""A recording as history: its real trades, one by one, with fills; and live beside backtest.

    python kis_realtime_trading.py --backtest --data kis_state/records/20261120-084500-0000.gz
    python kis_realtime_trading.py --replay FILE --strategy NAME

Every trade moves orders and engine at its own moment: no bar is guessed from. Limits, markets and
closed bars are those that the broker told that day; the account begins with the money given, flat.
Compared with the journal of the live run: the same cause has the same intent, so entries are matched
by it, and the fills of both stand side by side, in ticks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import kis_realtime_trading as bot
from companions import replay, reports
from companions.backtest.history import History
from companions.backtest.run import BacktestResult, Options, Stage
from companions.figures import OrderLine


@dataclass(slots=True)
class Recorded:
    """What a recording knows: trades by day, and what the broker told."""

    settings: bot.BotSettings
    strategy: str
    journal: Path
    seq: int  # of the journal, before this run
    trades: dict[date, list[bot.Trade]] = field(default_factory=dict)
    instruments: dict[tuple[date, str], bot.Instrument] = field(default_factory=dict)
    past: dict[tuple[date, str], bot.PastBars] = field(default_factory=dict)


def read(first: Path) -> Recorded:
    """Read a recording from its first segment. Raises bot.BotError for what is none."""
    if not first.is_file():
        raise bot.BotError(bot.Both(f"no recording {first}", f"{first}: 그런 녹화 파일이 없습니다"))
    lines = replay.read_lines(first)
    start = next(lines, "")
    if not start.startswith("S"):
        raise bot.BotError(
            bot.Both(
                f"{first} is not the first segment (-0000.gz) of a recording",
                f"{first}: 녹화의 첫 파일(-0000.gz)을 적으십시오",
            )
        )
    header = json.loads(start[1:])
    settings = bot.BotSettings.model_validate(header["settings"])
    journal = first.parent.parent / header["journal"]
    found = Recorded(settings, str(header["strategy"]), journal, int(header["journal_seq"]))
    decoder, day, seen = bot.FrameDecoder(), None, dict[str, int]()
    for line in lines:
        if line[:1] == "E":
            event = replay.event_from_json(line[1:])
            if isinstance(event, bot.Command) and event.session and event.session.day != day:
                day, seen = event.session.day, {}
                decoder.set_day(day)
            elif isinstance(event, bot.Seen) and day:
                if isinstance(event.value, bot.Instrument):
                    found.instruments.setdefault((day, event.value.symbol), event.value)
                elif isinstance(event.value, bot.PastBars):
                    found.past[day, event.value.symbol] = event.value
        elif line[:1] in ("F", "J") and day:
            for trade in _trades_in(decoder, line):
                if trade.cum_volume > seen.get(trade.symbol, 0):  # else old or doubled
                    seen[trade.symbol] = trade.cum_volume
                    found.trades.setdefault(day, []).append(trade)
    if not found.trades:
        raise bot.BotError(bot.Both(f"{first} holds no trade", f"{first}: 체결이 하나도 없습니다"))
    return found


def _trades_in(decoder: bot.FrameDecoder, line: str) -> Iterator[bot.Trade]:
    frame = line.split(" ", 2)[2]
    try:
        events = decoder.decode(json.loads(frame) if line[0] == "J" else frame)
    except bot.BadData:
        return
    yield from (event for event in events if type(event) is bot.Trade)


def history_of(found: Recorded) -> History:
    """Return the minutes of the trades, with base prices, markets and funds of the broker."""
    minutes: dict[str, list[bot.Bar]] = {}
    note = bot.Both("real trades of a recording", "녹화된 실제 체결")
    past = History(minutes, [note])
    for day, trades in found.trades.items():
        session = bot.session_of(day)
        assert session
        builders: dict[str, bot.BarBuilder] = {}
        for trade in trades:
            if (day, trade.symbol) not in found.instruments:
                continue
            builder = builders.setdefault(trade.symbol, bot.BarBuilder(trade.symbol, session, 1))
            if bar := builder.add(trade):
                minutes.setdefault(trade.symbol, []).append(bar)
        for symbol, builder in builders.items():
            if bar := builder.close_bar():
                minutes.setdefault(symbol, []).append(bar)
    for (_, symbol), known in sorted(found.instruments.items()):
        past.bases.setdefault(symbol, known.base_price)
        past.markets[symbol] = known.market
        if known.fund:
            past.funds.add(symbol)
    return past


class TradeStage(Stage):
    """A stage that shows real trades instead of four prices a minute."""

    def __init__(
        self, found: Recorded, history: History, strategy: bot.TradingStrategy, options: Options,
        path: Path,
    ) -> None:  # fmt: skip
        symbols = tuple(sorted(history.minutes))
        settings = found.settings.model_copy(update={"symbols": symbols})
        super().__init__(settings, strategy, history, options, path)
        self._found, self._day = found, next(iter(found.trades))

    def trade_day(self, day: date, minutes: dict[str, list[bot.Bar]]) -> None:
        """Run a day of the recording."""
        self._day = day
        for symbol in minutes:  # the base price of an ex-day is the exchange's, not a close
            if known := self._found.instruments.get((day, symbol)):
                self.last[symbol] = known.base_price
        super().trade_day(day, minutes)

    def _warm_up(self, session: bot.Session) -> None:
        at = session.open - timedelta(minutes=14)
        for (day, symbol), past in self._found.past.items():
            if day == session.day and symbol in self.totals:
                self.feed(bot.Seen(past, at))

    def _show(self, session: bot.Session, minutes: dict[str, list[bot.Bar]]) -> None:
        share, opened = self._options.rules.share, set[str]()
        for trade in self._found.trades[session.day]:
            at, symbol = trade.ts_exchange, trade.symbol
            if symbol not in self.totals or not session.open <= at < session.close + timedelta(
                minutes=1
            ):
                continue
            while self.due <= at:
                self.full_minute()
            self.pass_time(at)
            first = symbol not in opened and at < session.open + timedelta(minutes=1)
            opened.add(symbol)
            self.totals[symbol] = [trade.cum_volume - trade.volume, trade.cum_value_krw]
            self.totals[symbol][1] -= trade.volume * trade.price
            single = first or at >= session.auction_start
            self.meet(symbol, max(at, self.engine.core.now), trade.price, trade.volume,
                      int(trade.volume * share), single)  # fmt: skip

    def _instrument(self, symbol: str) -> bot.Instrument:
        known = self._found.instruments[self._day, symbol]
        return replace(known, last_price=self.last[symbol])


def run_recorded(
    found: Recorded, strategy: bot.TradingStrategy, options: Options, folder: Path
) -> tuple[BacktestResult, History]:
    """Trade a recording; leave `journal-backtest.sqlite3` in a folder."""
    history, began = history_of(found), time.perf_counter()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stage = TradeStage(found, history, strategy, options, folder / "journal-backtest.sqlite3")
    for day in sorted(found.trades):
        bars = {
            symbol: [bar for bar in each if bar.start.date() == day]
            for symbol, each in history.minutes.items()
        }
        stage.trade_day(day, bars)
    count = sum(map(len, history.minutes.values()))
    return stage.result(count, time.perf_counter() - began), history


# --- live beside backtest ----------------------------------------------------------------


class Pair(NamedTuple):
    """An entry that one of the two, or both, decided."""

    at: datetime
    symbol: str
    live: OrderLine | None
    again: OrderLine | None

    @property
    def ticks(self) -> float | None:
        """Return how many ticks more the live fill cost; None where one was not filled."""
        if not (self.live and self.again and self.live.fill_price and self.again.fill_price):
            return None
        step = bot.tick_size(round(self.again.fill_price), False)
        return (self.live.fill_price - self.again.fill_price) / step


class Compared(NamedTuple):
    """The entries of a live run and of the backtest of the same time."""

    pairs: tuple[Pair, ...]
    both: int
    only_live: int
    only_again: int
    slippage: float | None  # mean ticks that live paid more


def compare(live: Path, again: Path, days: Sequence[date]) -> Compared:
    """Match the entries of two journals on some days by their intents."""
    first, last = min(days), max(days)

    def entries(journal: Path) -> dict[str, OrderLine]:
        report = reports.read_report(journal, first, last)
        return {order.intent_id: order for order in report.orders if order.purpose == "entry"}

    left, right = entries(live), entries(again)
    pairs = []
    for key in {**left, **right}:
        mine, other = left.get(key), right.get(key)
        known = mine or other
        assert known
        pairs.append(Pair(known.at, known.symbol, mine, other))
    pairs.sort(key=lambda pair: (pair.at, pair.symbol))
    ticks = [pair.ticks for pair in pairs if pair.ticks is not None]
    both = sum(pair.live is not None and pair.again is not None for pair in pairs)
    return Compared(
        tuple(pairs), both, sum(p.again is None for p in pairs), sum(p.live is None for p in pairs),
        sum(ticks) / len(ticks) if ticks else None,
    )  # fmt: skip


WORDS = {
    "ko": {
        "head": "실매매와 백테스트의 매수 주문: 같은 것 {both}, 실매매에만 {live}, 백테스트에만 {again}",
        "ticks": "실제 체결은 백테스트보다 평균 {ticks:+.2f}틱 비쌌습니다.",
        "line": "{at:%m-%d %H:%M:%S} {symbol}  실매매 {mine}  백테스트 {other}",
    },
    "en": {
        "head": "entries of the live run and of the backtest: both {both}, only live {live}, only backtest {again}",
        "ticks": "live fills cost {ticks:+.2f} ticks more than the backtest's, on average",
        "line": "{at:%m-%d %H:%M:%S} {symbol}  live {mine}  backtest {other}",
    },
}  # fmt: skip


def said(found: Compared, language: str) -> list[str]:
    """Return the comparison for people: sums first, then each entry that differs."""
    words = WORDS[language]
    lines = [words["head"].format(both=found.both, live=found.only_live, again=found.only_again)]
    if found.slippage is not None:
        lines.append(words["ticks"].format(ticks=found.slippage))

    def text(order: OrderLine | None) -> str:
        return "–" if order is None else f"{order.quantity} @ {order.price:,} → {order.filled} @ {order.fill_price:,.0f}"  # fmt: skip

    for pair in found.pairs:
        if text(pair.live) != text(pair.again):
            shown: dict[str, Any] = {"mine": text(pair.live), "other": text(pair.again)}
            lines.append(words["line"].format(at=pair.at, symbol=pair.symbol, **shown))
    return lines
