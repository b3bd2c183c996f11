"""`--picture`: the last day drawn: candles, volume, VWAP, stop and target, fills, the result.

One panel a stock that was traded (the three first ones on a day without trades) and one for the
result over the day: realised, and with what was open at each bar. Up is red, down is blue.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import kis_realtime_trading as bot
from companions import reports
from companions.journal_reader import JournalReader
from companions.names import names_of

LEGEND: dict[str, Any] = {  # beside the title, over no candle
    "loc": "lower right", "bbox_to_anchor": (1.0, 0.98), "ncols": 3, "frameon": False, "fontsize": 8,
}  # fmt: skip
UP, DOWN, GREY = "#d62728", "#1f5fb4", "#777777"
WORDS = {
    "day": ("거래일", "day"), "result": ("당일손익", "result of the day"), "stop": ("손절가", "stop"),
    "target": ("목표가", "target"), "shares": ("주", ""), "realised": ("실현손익", "realised"),
    "whole": ("평가손익 포함", "with open positions"), "won": ("원", " won"),
    "no_trades": ("매매 없음", "no trade on this day"),
    "no_bars": ("이날의 봉이 없습니다", "no bars of this day"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """A fill: where it happened and what it brought."""

    at: datetime
    price: float
    shares: int
    buy: bool
    gain_krw: int | None  # of the round trip that this fill ended, after costs


@dataclass(slots=True)
class Drawn:
    """What a picture of a day needs."""

    day: str = ""
    names: dict[str, str] = field(default_factory=dict)
    bars: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    marks: dict[str, list[Mark]] = field(default_factory=dict)
    levels: dict[str, list[tuple[datetime, int, int]]] = field(default_factory=dict)
    realised: list[tuple[datetime, int]] = field(default_factory=list)
    whole: list[tuple[datetime, int]] = field(default_factory=list)


def together(marks: Iterable[Mark]) -> list[Mark]:
    """Return fills of one side within a minute as one mark: their labels would lie on each other."""
    found: list[Mark] = []
    for mark in marks:
        last = found[-1] if found else mark
        near = last is not mark and (mark.at - last.at).total_seconds() < 60.0
        if near and last.buy == mark.buy and last.gain_krw is None:
            found.pop()
            shares = last.shares + mark.shares
            price = (last.price * last.shares + mark.price * mark.shares) / shares
            mark = Mark(mark.at, price, shares, mark.buy, mark.gain_krw)
        found.append(mark)
    return found


class _Reader:
    """Follows a journal row by row and keeps what belongs to the last day."""

    def __init__(self, fees: tuple[Decimal, Decimal]) -> None:
        self.books, self.drawn = reports.Accountant(*fees), Drawn()
        self.close: dict[str, int] = {}
        self.before = 0  # what was open when the day began

    def bar(self, symbol: str, bar: Any) -> None:
        """Take a bar: its price values what is held."""
        whole = isinstance(bar, dict) and all(
            type(bar.get(key)) is int for key in ("open", "high", "low", "close", "volume")
        )
        if not whole:
            return
        at = datetime.fromisoformat(bar["end"])
        self.close[symbol] = bar["close"]
        self.drawn.bars.setdefault(symbol, []).append({**bar, "at": at})
        self._note(at, symbol)

    def ledger_row(self, row: Any) -> None:
        """Take a ledger row: a fill becomes a mark."""
        order = self.books.ledger.orders.get(row.ref)
        shares, amount = (order.filled_quantity, order.filled_amount_krw) if order else (0, 0)
        entry = self.books.take(row)
        if isinstance(entry, bot.DayOpened):
            self.before = self._open_krw()
            self.drawn = Drawn(entry.day.isoformat())
            return
        if entry is None or order is None or not order.own:
            return
        count, paid = order.filled_quantity - shares, order.filled_amount_krw - amount
        if not count and not paid:
            return
        symbol, trips = (
            order.intent.symbol,
            [t for t in self.books.trips[-20:] if row.ref in t.exits],
        )
        ended = not self.books.ledger.position(symbol).quantity and bool(trips)
        gain, marks = trips[-1].gain_krw if ended else None, self.drawn.marks.setdefault(symbol, [])
        if count:
            buy = order.intent.side is bot.Side.BUY
            marks.append(Mark(entry.at, paid / count, count, buy, gain))
        elif marks:  # the won of the last fill came, or were corrected, after its shares
            last = marks.pop()
            price = last.price + paid / last.shares
            marks.append(Mark(last.at, price, last.shares, last.buy, gain))
        self.close[symbol] = round(marks[-1].price) if marks else self.close.get(symbol, 0)
        self._note(entry.at, symbol)

    def follow(self, reader: JournalReader, days: int, only: str = "") -> None:
        """Take a journal: all of its ledger, and the bars of its last days (of one stock, if named)."""
        starts = reader.last_days(days)
        first = starts[0] if starts else 0
        for row in reader.rows(bot.LEDGER_ROWS, until=first - 1):
            self.books.take(row)
        for symbol in self.books.held():
            self.close[symbol] = reports.price_before(reader, first, symbol, self.books.ledger)
        for row in reader.rows((*bot.LEDGER_ROWS, "bar"), max(0, first - 1)):
            if row.kind != "bar":
                self.ledger_row(row)
            elif only in ("", row.ref):
                self.bar(row.ref, row.data().get("bar"))

    def _open_krw(self) -> int:
        books = self.books
        return sum(
            reports.won(self.close.get(s, 0) * n - books.ledger.position(s).cost)
            for s, n in books.held().items()
            if self.close.get(s)
        )

    def _note(self, at: datetime, symbol: str) -> None:
        net, position = self.books.ledger.today.net_krw, self.books.ledger.position(symbol)
        self.drawn.realised.append((at, net))
        self.drawn.whole.append((at, net + self._open_krw() - self.before))
        plan = position.plan if position.quantity else None
        line = (at, plan.stop_price if plan else 0, plan.target_price if plan else 0)
        self.drawn.levels.setdefault(symbol, []).append(line)


def read_drawn(
    path: Path, fees: tuple[Decimal, Decimal] = (bot.STOCK_FEE_PCT, bot.FUND_FEE_PCT)
) -> Drawn:
    """Read the last day of a journal. Raises bot.JournalError."""
    follower = _Reader(fees)
    with JournalReader(path) as reader:
        follower.follow(reader, 1)
    instruments = follower.books.ledger.instruments
    told = {symbol: each.name for symbol, each in instruments.items() if each.name}
    follower.drawn.names = {**names_of(path.parent), **told}
    return follower.drawn


def draw(drawn: Drawn, korean: bool, wide: float = 11.0, panel: float = 3.0) -> Any:
    """Return the figure, inches wide with panels so high. Font and backend are the caller's to set."""
    from matplotlib import dates
    from matplotlib.figure import Figure

    symbols = sorted(drawn.marks) or sorted(drawn.bars)[:3]
    heights = [panel] * len(symbols) + [panel * 0.7]
    tall = 1 + sum(heights)
    figure = Figure(figsize=(wide, tall))
    axes = figure.subplots(
        len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for axis, symbol in zip(axes[:, 0], symbols, strict=False):
        _draw_stock(axis, drawn, symbol, korean)
    _draw_result(axes[-1, 0], drawn, korean)
    axes[-1, 0].xaxis.set_major_formatter(dates.DateFormatter("%H:%M", tz=bot.KST))
    title = f"{WORDS['day'][not korean]} {drawn.day}"
    if not drawn.marks:
        title += f": {WORDS['no_trades'][not korean]}"
    figure.suptitle(title, y=1 - 0.15 / tall, va="top")
    # not tight_layout(): it draws everything once more to measure it
    left, right = 0.82 / wide, 1 - 0.16 / wide
    figure.subplots_adjust(left, 0.35 / tall, right, 1 - 0.75 / tall, hspace=0.66 / panel)
    return figure


def _draw_stock(axis: Any, drawn: Drawn, symbol: str, korean: bool) -> None:
    bars = drawn.bars.get(symbol, [])
    times = [bar["at"] for bar in bars]
    colours = [UP if bar["close"] >= bar["open"] else DOWN for bar in bars]
    axis.vlines(times, [b["low"] for b in bars], [b["high"] for b in bars], colours, linewidth=0.7)
    points = 40 * axis.figure.get_figwidth() / max(1, len(bars))  # half of what a bar has
    body = max(0.8, min(6.0, points))
    axis.vlines(
        times, [b["open"] for b in bars], [b["close"] for b in bars], colours, linewidth=body
    )
    value = volume = 0
    vwap = []
    for bar in bars:
        value, volume = value + bar.get("value_krw", 0), volume + bar["volume"]
        vwap.append(value / volume if volume else bar["close"])
    axis.plot(times, vwap, color="#b8860b", linewidth=0.9, label="VWAP")
    for at, (word, colour) in enumerate((("stop", DOWN), ("target", UP)), start=1):
        line = [(each[0], each[at] or float("nan")) for each in drawn.levels.get(symbol, [])]
        if any(level == level for _, level in line):
            axis.step(*zip(*line, strict=True), where="post", color=colour, linestyle=":",
                      linewidth=1.2, label=WORDS[word][not korean])  # fmt: skip
    for mark in together(drawn.marks.get(symbol, [])):
        text = f"{mark.shares:,}{WORDS['shares'][not korean]}"
        text += "" if mark.gain_krw is None else f" {mark.gain_krw:+,}"
        axis.scatter([mark.at], [mark.price], marker="^" if mark.buy else "v", s=70, zorder=3,
                     color=UP if mark.buy else DOWN, edgecolors="white")  # fmt: skip
        axis.annotate(text, (mark.at, mark.price), (0, -15 if mark.buy else 9), fontsize=8,
                      textcoords="offset points", ha="center", zorder=4)  # fmt: skip
    if bars:
        below = axis.twinx()
        volumes = [b["volume"] for b in bars]  # one collection: bar() makes a patch of each
        below.vlines(times, 0, volumes, "#999999", linewidth=body, alpha=0.35)
        below.set_ylim(0, 4 * max(1, *volumes))
        below.set_yticks([])
        axis.legend(**LEGEND)
    else:
        axis.text(0.5, 0.5, WORDS["no_bars"][not korean], transform=axis.transAxes, ha="center")
    axis.margins(y=0.15)
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.set_title(f"{drawn.names.get(symbol, '')} {symbol}".strip(), loc="left", fontsize=10)
    axis.grid(alpha=0.25)


def _draw_result(axis: Any, drawn: Drawn, korean: bool) -> None:
    final = drawn.whole[-1][1] if drawn.whole else 0
    colour = UP if final > 0 else DOWN if final < 0 else GREY
    if drawn.whole:
        axis.step(*zip(*drawn.realised, strict=True), where="post", color=GREY, linewidth=1,
                  label=WORDS["realised"][not korean])  # fmt: skip
        axis.plot(*zip(*drawn.whole, strict=True), color=colour, linewidth=1.3,
                  label=WORDS["whole"][not korean])  # fmt: skip
        axis.legend(**LEGEND)
    axis.axhline(0, color=GREY, linewidth=0.6)
    axis.yaxis.set_major_formatter("{x:,.0f}")
    if not any(each for line in (drawn.realised, drawn.whole) for _, each in line):
        axis.set_ylim(-1, 1)
        axis.set_yticks([0])
    shown = f"{final:+,}" if final else "0"
    text = f"{WORDS['result'][not korean]} {shown}{WORDS['won'][not korean]}"
    axis.set_title(text, loc="left", fontsize=12, color=colour, fontweight="bold")
    axis.grid(alpha=0.25)
