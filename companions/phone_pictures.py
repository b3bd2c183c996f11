"""Pictures for the phone: a stock with its candles and fills, results over days, the last day."""

from __future__ import annotations

import bisect
import io
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import kis_realtime_trading as bot
from companions import picture, reports
from companions.draw import korean_font
from companions.journal_reader import JournalReader
from companions.names import names_of

Fees = tuple[Decimal, Decimal]
WORDS = {
    "stop": ("손절가", "stop"), "target": ("목표가", "target"), "shares": ("주", ""),
    "equity": ("평가금액", "equity"), "result": ("누적 손익", "result so far"),
    "drawdown": ("고점 대비 낙폭", "drawdown"), "won": ("원", " won"), "volume": ("거래량", "volume"),
}  # fmt: skip


def set_up(language: str) -> bool:
    """Choose backend and font; return whether Korean letters can be drawn, and are wanted."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import font_manager

    font = korean_font()
    if font:
        font_manager.fontManager.addfont(font)
        name = font_manager.FontProperties(fname=font).get_name()
        matplotlib.rcParams["font.family"] = [name, "DejaVu Sans"]
    matplotlib.rcParams["axes.unicode_minus"] = False
    return bool(font) and language == "ko"


def png(figure: Any, dpi: int = 140) -> bytes:
    """Return a figure as a picture that fits a phone."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.dpi = dpi
    out = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # half the time of savefig()
    drawn = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba())
    drawn.convert("RGB").save(out, "png", compress_level=4)
    return out.getvalue()


class _Days(picture._Reader):
    """Keeps each day instead of the last one only."""

    def __init__(self, fees: Fees) -> None:
        super().__init__(fees)
        self.days = [self.drawn]

    def ledger_row(self, row: Any) -> None:
        """Take a ledger row; a new day begins a new page."""
        super().ledger_row(row)
        if self.drawn is not self.days[-1]:
            self.days.append(self.drawn)


def of_day(journal: Path, fees: Fees, language: str, result_only: bool = False) -> bytes:
    """Return the last day: its traded stocks and its result, or the result alone."""
    korean = set_up(language)
    from matplotlib import dates
    from matplotlib.figure import Figure

    drawn = picture.read_drawn(journal, fees)
    if not result_only:
        return png(picture.draw(drawn, korean, 6.4, 2.2))
    figure = Figure(figsize=(6.4, 4))
    axis = figure.add_subplot()
    picture._draw_result(axis, drawn, korean)
    hours: Any = dates.DateFormatter
    axis.xaxis.set_major_formatter(hours("%H:%M", tz=bot.KST))
    figure.suptitle(drawn.day)
    figure.subplots_adjust(0.13, 0.09, 0.97, 0.85)
    return png(figure)


def of_stock(journal: Path, fees: Fees, language: str, symbol: str, days: int) -> bytes:
    """Return candles of the last days of a stock with fills, stop and target; b"" without bars."""
    reader = _Days(fees)
    with JournalReader(journal) as rows:
        reader.follow(rows, days + 3, symbol)  # a day may be without bars: a restart, a holiday
    pages = [page for page in reader.days if page.bars.get(symbol)][-days:]
    if not pages:
        return b""
    korean = set_up(language)
    told = names_of(journal.parent).get(symbol, "")
    return png(_draw_stock(pages, symbol, f"{told} {symbol}".strip(), korean))


def _draw_stock(pages: Sequence[picture.Drawn], symbol: str, title: str, korean: bool) -> Any:
    """Draw candles side by side: nights have no width."""
    from matplotlib.figure import Figure

    bars = [bar for page in pages for bar in page.bars[symbol]]
    times = [bar["at"] for bar in bars]
    places = range(len(bars))
    colours = [picture.UP if b["close"] >= b["open"] else picture.DOWN for b in bars]
    figure = Figure(figsize=(6.4, 5.2))
    axis, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [4, 1]})
    axis.vlines(places, [b["low"] for b in bars], [b["high"] for b in bars], colours, linewidth=0.8)
    width = max(1.2, min(5.0, 300 / len(bars)))
    axis.vlines(
        places, [b["open"] for b in bars], [b["close"] for b in bars], colours, linewidth=width
    )

    def place(at: datetime) -> int:
        return min(bisect.bisect_left(times, at), len(bars) - 1)

    for column, word, colour in ((1, "stop", picture.DOWN), (2, "target", picture.UP)):
        line = [float("nan")] * len(bars)
        for page in pages:
            for level in page.levels.get(symbol, []):
                line[place(level[0])] = float((level[1], level[2])[column - 1] or "nan")
        if any(value == value for value in line):
            axis.plot(places, line, ":", color=colour, linewidth=1.3, label=WORDS[word][not korean])
            axis.legend(loc="upper left", fontsize=9)
    marks = (each for page in pages for each in page.marks.get(symbol, []))
    for mark in picture.together(marks):
        text = f"{mark.shares:,}{WORDS['shares'][not korean]}"
        text += "" if mark.gain_krw is None else f" {mark.gain_krw:+,}"
        spot = (place(mark.at), mark.price)
        axis.scatter(*spot, marker="^" if mark.buy else "v", s=80, zorder=3, edgecolors="white",
                     color=picture.UP if mark.buy else picture.DOWN)  # fmt: skip
        axis.annotate(text, spot, (0, -16 if mark.buy else 10), textcoords="offset points",
                      ha="center", fontsize=9, zorder=4)  # fmt: skip
    volumes = [b["volume"] for b in bars]
    below.vlines(places, 0, volumes, colours, linewidth=max(0.7, 300 / len(bars)), alpha=0.6)
    below.set_ylim(0, 1.1 * max(1, *volumes))
    below.set_ylabel(WORDS["volume"][not korean], fontsize=9)
    below.yaxis.set_major_formatter("{x:,.0f}")
    axis.yaxis.set_major_formatter("{x:,.0f}")
    ticks = list(range(0, len(bars), max(1, len(bars) // 6)))
    form = "%H:%M" if len(pages) == 1 else "%m-%d %H:%M"
    below.set_xticks(ticks, [f"{times[at].astimezone(bot.KST):{form}}" for at in ticks], fontsize=9)
    last, first = bars[-1]["close"], bars[0]["open"]
    axis.set_title(f"{title}  {last:,} ({100 * (last / first - 1):+.2f}%)", loc="left", fontsize=13)
    for each in (axis, below):
        each.grid(alpha=0.25)
    axis.margins(y=0.12)
    figure.subplots_adjust(0.125, 0.07, 0.975, 0.93, hspace=0.08)
    return figure


def of_results(days: Sequence[reports.DayResult], language: str) -> bytes:
    """Return what days summed up to, and how far below its height it stood."""
    korean = set_up(language)
    from matplotlib.figure import Figure

    total = top = 0
    curve, falls = [], []
    for day in days:
        total += day.result_krw
        top = max(top, total)
        curve.append(total)
        falls.append(total - top)
    figure = Figure(figsize=(6.4, 4.6))
    axis, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    places, colour = range(len(days)), picture.UP if total >= 0 else picture.DOWN
    axis.plot(places, curve, color=colour, linewidth=1.8)
    axis.fill_between(places, curve, 0, color=colour, alpha=0.12)
    axis.axhline(0, color=picture.GREY, linewidth=0.6)
    title = f"{WORDS['result'][not korean]} {total:+,}{WORDS['won'][not korean]}"
    axis.set_title(title, loc="left", fontsize=13, color=colour)
    below.fill_between(places, falls, 0, color=picture.DOWN, alpha=0.4, step="mid")
    below.set_title(WORDS["drawdown"][not korean], loc="left", fontsize=9)
    for each in (axis, below):
        each.yaxis.set_major_formatter("{x:,.0f}")
        each.grid(alpha=0.25)
    ticks = list(range(0, len(days), max(1, len(days) // 6)))
    below.set_xticks(ticks, [f"{days[at].day:%m-%d}" for at in ticks], fontsize=9)
    figure.subplots_adjust(0.15, 0.08, 0.97, 0.92, hspace=0.22)
    return png(figure)
