"""`--report`: the figures of reports.py for people, printed by rich, and as CSV for a spreadsheet.

    python kis_realtime_trading.py --report
    python kis_realtime_trading.py --report --from 2026-11-01 --to 2026-11-30 --symbol 005930
    python kis_realtime_trading.py --report --csv trips.csv

Up is red and down is blue, as this market has it.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

import kis_realtime_trading as bot
from companions import reports
from companions.control import folder_to_read
from companions.names import known_code

MOST_LINES = 30  # of days and round trips on the screen; the CSV has all
CSV_COLUMNS = {  # with its Korean
    "symbol": "종목코드", "name": "종목명", "opened_at": "매수 시각", "closed_at": "매도 시각", "shares": "매수 수량",
    "sold": "매도 수량", "entry_price": "매수가", "exit_price": "매도가", "bought_krw": "매수 금액",
    "sold_krw": "매도 금액", "fees_krw": "수수료", "taxes_krw": "세금", "gain_krw": "손익", "gain_pct": "손익률(%)",
    "duration_s": "보유 시간(초)", "entry_reason": "매수 사유", "reason": "매도 사유",
}  # fmt: skip
# Korean, English.
WORDS: dict[str, tuple[str, str]] = {
    "title": ("매매 보고서", "Report"), "none": ("거래한 날이 없습니다", "no trading day"),
    "no_trips": ("{name}: 이 기간에 매매가 없습니다", "{name}: no trades in this time"),
    "period": ("기간 손익", "result"),
    "days": ("일별", "Days"), "trips": ("매매 내역", "Round trips"), "day": ("날짜", "day"),
    "week": ("주별", "By week"), "month": ("월별", "By month"), "symbol": ("종목별", "By stock"),
    "reason": ("청산 사유별", "By reason"), "hour": ("진입 시각별", "By hour of entry"),
    "net": ("실현손익", "realised"), "result": ("당일손익", "result"), "open": ("평가손익", "open"),
    "equity": ("평가금액", "equity"), "costs": ("수수료·세금", "costs"), "count": ("매매", "trips"),
    "wins": ("이익", "wins"), "stock": ("종목", "stock"), "shares": ("수량", "shares"),
    "bought": ("매수가", "entry"), "sold": ("매도가", "exit"), "gain": ("손익", "gain"),
    "why": ("사유", "reason"), "length": ("보유 시간", "held for"), "time": ("청산 시각", "closed"),
    "win_rate": ("승률", "win rate"), "factor": ("손익비(PF)", "profit factor"),
    "expectancy": ("1회 평균 손익", "mean of a trip"), "streak": ("최장 연승·연패", "longest wins / losses"),
    "fall": ("최대 낙폭", "deepest fall"), "best": ("최고·최저", "best / worst trip"),
    "held": ("보유 중", "Still held"), "refused": ("주문하지 않은 신호", "Refused wishes"),
    "rule": ("규칙", "rule"), "times": ("횟수", "times"), "total": ("합계", "total"),
    "more": ("앞의 {n}건은 생략했습니다. 전체는 --csv 파일로 볼 수 있습니다",
             "{n} earlier lines left out; --csv FILE has all"),
    "written": ("{file}에 {n}건을 저장했습니다", "{n} round trips written to {file}"),
    "stop": ("손절가", "stop"), "target": ("목표가", "target"), "average": ("평단가", "average"),
    "price": ("현재가", "price"), "owner": ("직접 처리", "by the owner"),
}  # fmt: skip


class Words:
    """Texts in the language of the user."""

    def __init__(self, language: str) -> None:
        self.korean = language != "en"

    def __call__(self, key: str, **values: Any) -> str:
        return WORDS[key][not self.korean].format(**values)

    def reason(self, text: str) -> str:
        """Return a reason of the journal as the user reads it."""
        if text == "owner":
            return self("owner")
        return bot.in_korean(text) if self.korean else text

    def rule(self, code: str) -> str:
        """Return a rule that refused a wish as the user reads it."""
        if self.korean or code not in bot.REFUSAL_WORDS:
            return bot.in_korean(code) if self.korean else code
        return f"{bot.REFUSAL_WORDS[code][1]} ({code})"

    def week(self, key: str) -> str:
        """Return a week, as 2026-W47, by its Monday: nobody counts the weeks of a year.

        >>> Words("ko").week("2026-W47"), Words("en").week("2026-W47")
        ('2026-11-16 주', 'week of 2026-11-16')
        """
        year, _, number = key.partition("-W")
        monday = date.fromisocalendar(int(year), int(number), 1)
        return f"{monday} 주" if self.korean else f"week of {monday}"

    def won(self, amount: int) -> str:
        """Return an amount with its unit."""
        return f"{amount:,}원" if self.korean else f"{amount:,} won"

    def length(self, seconds: float) -> str:
        """Return a span of time in hours and minutes."""
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        h, m, s = ("시간", "분", "초") if self.korean else ("h", "m", "s")
        if hours:
            return f"{hours}{h} {minutes}{m}"
        return f"{minutes}{m} {rest}{s}" if minutes else f"{rest}{s}"


def coloured(amount: float, digits: int = 0, unit: str = "") -> Text:
    """Return an amount with its sign: red above zero, blue below."""
    style = "red" if amount > 0 else "blue" if amount < 0 else "dim"
    return Text(f"{amount:+,.{digits}f}{unit}" if amount else f"0{unit}", style)


def _table(title: str, *columns: str) -> Table:
    """Return a table whose first column is text and whose others are figures."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if at else "left", no_wrap=True)
    return table


def stock(symbol: str, names: dict[str, str]) -> str:
    """Return name and code of a stock."""
    return f"{names[symbol]} {symbol}" if names.get(symbol) else symbol


def _without(table: Table, *columns: int) -> Table:
    """Return a table without some columns: a narrow terminal shows few figures whole."""
    table.columns = [each for at, each in enumerate(table.columns) if at not in columns]
    return table


def totals_panel(report: reports.Report, words: Words, narrow: bool = False) -> Panel:
    """Return the figures that matter most."""
    total = report.totals
    grid = Table.grid(padding=(0, 2))
    for _ in range(2 if narrow else 4):
        grid.add_column(no_wrap=True)
    result = sum(day.result_krw for day in report.days)
    realised, costs = total.gain_krw, total.costs_krw  # of one stock: of its round trips
    if not report.symbol:  # as the days below: what was paid for shares still held is paid
        realised = sum(day.net_krw for day in report.days)
        costs = sum(day.fees_krw + day.taxes_krw for day in report.days)
    trips = f"{total.trips} ({total.wins} {words('wins')})"
    rate = "-" if total.win_rate_pct is None else f"{total.win_rate_pct:.1f}%"
    factor = "-" if total.profit_factor is None else f"{total.profit_factor:.2f}"
    mean = coloured(total.expectancy_krw or 0)
    best = Text.assemble(coloured(total.best_krw), " / ", coloured(total.worst_krw))
    fall = f"{words.won(total.drawdown.krw)} ({total.drawdown.pct:.2f}%)"
    net = coloured(total.gain_krw) if report.symbol else coloured(result)
    streak = f"{total.longest_wins} / {total.longest_losses}"
    left: list[tuple[str, RenderableType]] = [
        (words("gain" if report.symbol else "period"), net), (words("net"), coloured(realised)),
        (words("costs"), words.won(costs)), (words("fall"), fall), (words("best"), best),
    ]  # fmt: skip
    right: list[tuple[str, RenderableType]] = [
        (words("count"), trips), (words("win_rate"), rate), (words("factor"), factor),
        (words("expectancy"), mean), (words("streak"), streak),
    ]  # fmt: skip
    for one, other in zip(left, right, strict=True):
        if not narrow:
            grid.add_row(*one, *other)
    for each in (*left, *right) if narrow else ():
        grid.add_row(*each)
    return Panel(grid, title=f"{words('title')} {report.first} ~ {report.last}", expand=False)


def days_table(report: reports.Report, words: Words) -> Table:
    """Return one line a day, the newest last."""
    table = _table(words("days"), *(words(key) for key in (
        "day", "result", "net", "open", "costs", "count", "wins", "equity")))  # fmt: skip
    for day in report.days[-MOST_LINES:]:
        table.add_row(
            day.day.isoformat(), coloured(day.result_krw), coloured(day.net_krw),
            coloured(day.open_krw), f"{day.fees_krw + day.taxes_krw:,}", f"{day.exits}",
            f"{day.wins}", f"{day.equity_krw:,}",
        )  # fmt: skip
    return table


def trips_table(report: reports.Report, words: Words, wide: bool) -> Table:
    """Return one line a round trip, the newest last; how long it was held where there is room."""
    keys = ("time", "stock", "shares", "bought", "sold", "gain")
    last = (words("length"), words("why")) if wide else (words("why"),)
    table = _table(words("trips"), *(words(key) for key in keys), "%", *last)
    table.padding = (0, 1, 0, 0)
    table.columns[1].max_width, table.columns[1].overflow = (None if wide else 14), "ellipsis"
    for trip in report.trips[-MOST_LINES:]:
        table.add_row(
            f"{trip.closed_at:%m-%d %H:%M}", trip.name or trip.symbol,
            f"{trip.shares:,}", f"{trip.entry_price:,.0f}", f"{trip.exit_price:,.0f}",
            coloured(trip.gain_krw), coloured(trip.gain_pct, 2),
            *((words.length(trip.duration_s),) if wide else ()), words.reason(trip.reason),
        )  # fmt: skip
    return table


def group_table(report: reports.Report, by: reports.GroupBy, words: Words) -> Table:
    """Return round trips summed by a key."""
    table = _table(words(by), "", words("count"), words("win_rate"), words("gain"), words("costs"))
    for line in reports.group(report.trips, by)[-MOST_LINES:]:
        key = line.key
        if by == "symbol":
            key = stock(key, report.names)
        elif by == "reason":
            key = words.reason(key)
        elif by == "week":
            key = words.week(key)
        elif by == "hour":
            key = f"{key}시" if words.korean else f"{key}:00"
        table.add_row(
            key, f"{line.trips}", f"{line.win_rate_pct:.0f}%", coloured(line.gain_krw),
            f"{line.fees_krw + line.taxes_krw:,}",
        )  # fmt: skip
    return table


def held_table(report: reports.Report, words: Words) -> Table:
    """Return what is still held."""
    table = _table(words("held"), *(words(key) for key in (
        "stock", "shares", "average", "price", "gain", "stop", "target")))  # fmt: skip
    for each in report.open:
        table.add_row(
            stock(each.symbol, report.names), f"{each.quantity:,}", f"{each.average_price:,.0f}",
            f"{each.price:,}", coloured(each.open_krw), f"{each.stop_price:,}",
            f"{each.target_price:,}",
        )  # fmt: skip
    return table


def refused_table(report: reports.Report, words: Words) -> Table:
    """Return how often which rule said no."""
    table = _table(words("refused"), words("rule"), words("times"))
    for code, count in report.refusals_by_rule().items():
        table.add_row(words.rule(code), f"{count}")
    return table


def draw_report(report: reports.Report, language: str, width: int) -> RenderableType:
    """Return a report as rich draws it: under 70 columns fewer figures, but whole ones."""
    wide, narrow = width >= 100, width < 70
    words = Words(language)
    if not report.days:
        return Text(words("none"))
    if report.symbol and not (report.trips or report.open or report.refused):
        return Text(words("no_trips", name=stock(report.symbol, report.names)))
    parts: list[RenderableType] = [totals_panel(report, words, narrow)]
    if not report.symbol:
        days = days_table(report, words)
        parts += ["", _without(days, 2, 3, 4, 5, 6) if narrow else days]
    if report.trips:
        trips = trips_table(report, words, wide)
        parts += ["", _without(trips, 2, 3, 4, 7) if narrow else trips]
        hidden = len(report.trips) - MOST_LINES
        parts += [Text(words("more", n=hidden), "dim")] if hidden > 0 else []
        keys: tuple[reports.GroupBy, ...] = ("symbol", "reason", "hour", "week", "month")
        for by in keys:
            group = group_table(report, by, words)
            parts += ["", _without(group, 2, 4) if narrow else group]
    held = held_table(report, words)
    parts += ["", _without(held, 2, 3, 6) if narrow else held] if report.open else []
    parts += ["", refused_table(report, words)] if report.refused else []
    parts += [Text(f"! {note}", "yellow") for note in report.notes[:5]]
    return Group(*parts)


def write_csv(path: Path, found: Sequence[reports.Report], language: str) -> int:
    """Write all round trips; return how many. With a mark at the start, for Excel in Korean.

    Head and reasons are in the reader's language; the columns and their order are the same in both.
    """
    words = Words(language)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(CSV_COLUMNS.values() if words.korean else CSV_COLUMNS)
    count = 0
    for trip in (each for report in found for each in report.trips):
        plain = reports.to_json(trip)
        for key in ("opened_at", "closed_at"):  # as a spreadsheet reads a time, of this market
            plain[key] = f"{getattr(trip, key).astimezone(bot.KST):%Y-%m-%d %H:%M:%S}"
        for key in ("entry_reason", "reason"):
            plain[key] = words.reason(plain[key])
        writer.writerow([_harmless(plain[column]) for column in CSV_COLUMNS])
        count += 1
    path.write_text("\ufeff" + text.getvalue(), encoding="utf-8")
    return count


def _harmless(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    if isinstance(value, float):
        return int(value) if value.is_integer() else round(value, 4)
    return value


def settings_of(options: argparse.Namespace) -> tuple[str, tuple[Decimal, Decimal]]:
    """Return language and fee rates of the settings file, the usual ones when there is none."""
    fields = bot.BotSettings.model_fields
    given = getattr(options, "language", None)
    usual = given or fields["language"].default, (bot.STOCK_FEE_PCT, bot.FUND_FEE_PCT)
    try:
        section = bot.parse_yaml(bot.find_settings(options.config).read_text("utf-8"))[0]["bot"]
        asked = given or str(section.get("language", usual[0]))
        fees = tuple(
            Decimal(str(section.get(key, rate)))
            for key, rate in zip(("stock_fee_pct", "fund_fee_pct"), usual[1], strict=True)
        )
        return asked, (fees[0], fees[1])
    except (
        bot.BotError,
        OSError,
        ValueError,
        ArithmeticError,
        KeyError,
        AttributeError,
        TypeError,
    ):
        return usual


def day_of(text: str, option: str) -> date | None:
    """Read YYYY-MM-DD. Raises bot.SettingsError."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise bot.wrong_setting(
            option, text, bot.Both("a day as 2026-11-27", "날짜, 예: 2026-11-27")
        ) from None


def show_report(options: argparse.Namespace, console: Console | None = None) -> int:
    """Print the report of each journal of the state folder."""
    language, fees = settings_of(options)
    folder = folder_to_read(options)
    first, last = day_of(options.first, "--from"), day_of(options.last, "--to")
    symbol = known_code(options.symbol or "", folder)
    found = reports.read_folder(folder, first, last, symbol, fees)
    found = [reports.named(report, folder) for report in found]
    console = console or Console()
    for report in found:
        console.print(Text(report.journal, "dim")) if len(found) > 1 else None
        console.print(draw_report(report, language, console.width))
    if options.csv:
        count = write_csv(options.csv, found, language)
        console.print(Words(language)("written", file=options.csv, n=count))
    return 0
