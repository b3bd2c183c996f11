"""`--screen`: the live screen of the running bot in any terminal, drawn from its status.json.

It reads and never writes: `q` ends the screen and the bot goes on; when the bot ends, the screen
ends with the day's report. The demo draws its own day with the same lines. From 80x24 on every
part has its place, and messages always have lines of their own. Up is red, down is blue.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import re
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.live import Live
from rich.text import Text

import kis_realtime_trading as bot
from companions import report_view, status
from companions.control import running_folders
from companions.names import names_of, with_names
from companions.report_view import coloured

DRAW_EVERY_S = 0.5
GONE_S = 3.0  # a status this old, of a process that is not there, is of a bot that ended
BLOCKS = "▁▂▃▄▅▆▇█"
QUIT, STOP = ("q", "Q", "ㅂ", "ㅃ"), ("s", "S", "ㄴ")  # the same keys of a Korean keyboard
MOST_PRICES = 400  # of one stock, for its sparkline: the minutes of a day
LEAST_MESSAGES = 4  # lines of messages that nothing else takes
BIG = {  # three lines a character
    "0": ("┏━┓", "┃ ┃", "┗━┛"), "1": (" ╻ ", " ┃ ", " ╹ "), "2": ("╺━┓", "┏━┛", "┗━╸"),
    "3": ("╺━┓", " ━┫", "╺━┛"), "4": ("╻ ╻", "┗━┫", "  ╹"), "5": ("┏━╸", "┗━┓", "╺━┛"),
    "6": ("┏━╸", "┣━┓", "┗━┛"), "7": ("╺━┓", "  ┃", "  ╹"), "8": ("┏━┓", "┣━┫", "┗━┛"),
    "9": ("┏━┓", "┗━┫", "╺━┛"), "+": ("   ", "╺╋╸", "   "), "-": ("   ", "╺━╸", "   "),
    ",": (" ", " ", "╯"),
}  # fmt: skip
# Korean, English.
WORDS: dict[str, tuple[str, str]] = {
    **status.WORDS,
    "orders": ("미체결 주문", "Open orders"), "messages": ("메시지", "Messages"),
    "none": ("아직 없습니다", "none yet"), "more": ("외 {n}개", "{n} more"), "all": ("전체", "all"),
    "quit": ("q 화면 닫기 (봇은 계속 실행됩니다)", "q closes this screen (the bot goes on)"),
    "beside": ("q 닫기 또는 끝내기   Ctrl-C 봇 종료", "q close or end   Ctrl-C ends the bot"),
    "ask": ("q 화면만 닫기(로그로 계속)   s 봇 종료(보유 주식은 남습니다)   다른 키 취소",
        "q only this screen (the log goes on)   s end the bot (shares stay)   any other key: back"),
    "closed_screen": ("화면을 닫았습니다. 봇은 계속 실행됩니다. 다시 보기: --screen",
        "The screen is closed, the bot goes on. To see it again: --screen"),
    "still_held": ("아직 보유: {name} {shares:,}주, 손절가 {stop:,}. 봇이 꺼져 있는 동안에는 아무도 지켜보지 않습니다",
        "Still held: {name} {shares:,}, stop {stop:,}. Nobody watches it while the bot is off"),
    "stop": ("손절가", "stop"), "stop_demo": ("Ctrl-C 데모 끝내기", "Ctrl-C ends the demo"),
    **{key: (bot.PHASE_WORDS[key], english) for key, english in (
        ("waiting", "waiting"), ("preparing", "preparing"), ("before_open", "before the open"),
        ("trading", "trading"), ("closing", "closing auction"), ("after", "after the close"),
        ("closed", "no trading today"), ("stopping", "stopping"))},
    "died": ("봇이 예고 없이 끝났습니다. 같은 명령으로 다시 시작하면 저널에서 이어 갑니다. 로그: {file}",
        "The bot ended without a word. Start it again with the same command: it goes on from its "
        "journal. Log: {file}"),
    "paper": ("모의투자", "paper"), "real": ("실전투자", "REAL MONEY"),
    "simulated": ("시뮬레이터", "simulated"),
    "no_screen": ("--screen은 터미널에서 실행합니다. 한 번만 보려면 --status를 쓰십시오",
                  "--screen needs a terminal; --status prints the same once"),
}  # fmt: skip
Row = tuple[Text, ...]


def sparkline(prices: Sequence[int], cells: int) -> str:
    """Return prices as blocks, the newest last, each cell the last price of its share of them.

    >>> sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8)
    '▁▂▃▄▅▆▇█'
    """
    if cells <= 0 or not prices:
        return ""
    count = len(prices)
    cells = min(cells, count)
    chosen = [prices[count * (at + 1) // cells - 1] for at in range(cells)]
    low, span = min(chosen), max(chosen) - min(chosen)
    steps = len(BLOCKS) - 1
    return "".join(BLOCKS[(price - low) * steps // span if span else 0] for price in chosen)


class Screen:
    """Draws one status after the other, and remembers the prices it saw."""

    def __init__(self, names: Mapping[str, str], footer: str = "quit") -> None:
        self._names, self.footer, self._english = names, footer, False
        self._seen: dict[str, deque[int]] = {}
        self._minute = ""  # of the market, that was seen last
        self._console = Console()  # of the folding of lines only

    def see(self, told: dict[str, Any]) -> None:
        """Take the prices of a status; the last one of each minute of the market is kept."""
        minute = str(told.get("at") or "")[:16]
        again, self._minute = bool(minute) and minute == self._minute, minute
        for each in told.get("symbols") or []:
            price = each.get("price")
            if isinstance(price, int) and price > 0:
                key = str(each.get("symbol"))
                seen = self._seen.setdefault(key, deque(maxlen=MOST_PRICES))
                if again and seen:
                    seen.pop()
                seen.append(price)

    def draw(self, told: dict[str, Any], age_s: float, width: int, height: int) -> list[Text]:
        """Return the lines of a terminal: never more than its height, none wider than it."""
        self._english = told.get("language") == "en"
        top = [self._head(told, width), *self._money(told, width), *self._warnings(told, age_s)]
        table = self._table(told.get("symbols") or [], width)
        orders = [self._order(each) for each in told.get("orders") or []]
        room = height - len(top) - 3  # the heads of stocks and messages, the last line
        spare = max(0, room - LEAST_MESSAGES)
        for_orders = min(len(orders) + 1 if orders else 0, max(2, spare // 3) if spare > 3 else 0)
        for_stocks = min(len(table) - 1, max(0, spare - for_orders))
        lines = [*top, table[0], *self._cut(table[1:], for_stocks)]
        if for_orders:
            lines += [self._title("orders", width), *self._cut(orders, for_orders - 1)]
        lines.append(self._title("messages", width))
        left = max(0, height - 1 - len(lines))
        said = self._messages(told.get("messages") or [], width, left)
        lines += said + [Text()] * (left - len(said)) + [Text(self._word(self.footer), "dim")]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return lines[:height]

    def _word(self, key: str, **values: Any) -> str:
        return WORDS[key][self._english].format(**values) if key in WORDS else key

    def name(self, symbol: str, told: str = "") -> str:
        """Return the name of a stock, its code where nobody knows one."""
        return _plain(told or self._names.get(symbol, "") or symbol)

    def _head(self, told: dict[str, Any], width: int) -> Text:
        mode, _, simulated = str(told.get("mode") or "").partition(" ")
        at = str(told.get("at") or "")[:19].replace("T", " ")
        shown = self._word(mode) + (f" ({self._word('simulated')})" if simulated else "")
        head = Text.assemble(
            (at, "bold"), f"  {shown} {told.get('account_tail') or ''}  ",
            (self._word(str(told.get("phase") or "")), "bold"), "  ",
        )  # fmt: skip
        done, cells = progress(told), min(20, width - head.cell_len - 5)
        if done is not None and cells >= 4:
            full = round(done * cells)
            head.append("━" * full, "green")
            head.append("━" * (cells - full), "bright_black")
            head.append(f" {done:.0%}")
        return head

    def _money(self, told: dict[str, Any], width: int) -> list[Text]:
        """Return the day's result in large figures with the other amounts beside it."""
        day = told.get("day") or {}
        result, word = day.get("result_krw") or 0, self._word
        level, feed = str(told.get("level") or ""), told.get("feed") or {}
        said = status.level_word(told, {} if self._english else bot.LEVEL_WORDS)
        up, age = feed.get("connected"), feed_age(told)
        since = "" if age is None or status.is_over(told) else f" {status.ago(age, word)}"
        beside = [
            Text.assemble(
                (f"{word('result')} ", "bold"), coloured(day.get("result_pct") or 0.0, 2, "%"),
                f"  {word('equity')} ", (f"{told.get('equity_krw') or 0:,}", "bold")),
            Text.assemble(
                f"{word('realised')} ", coloured(day.get("realised_krw") or 0), f"  {word('open')} ",
                coloured(day.get("open_krw") or 0)),
            Text.assemble(
                (said, "green" if level == "ACTIVE" else "bold yellow"),
                f"  {word('feed')} ", (word("up" if up else "down") + since, "" if up else "bold red")),
        ]  # fmt: skip
        figures = f"{result:+,}" if result else "0"
        style = f"bold {coloured(result).style}"
        large = [" ".join(BIG[c][line] for c in figures) for line in range(3)]
        if cell_len(large[0]) + 2 + max(text.cell_len for text in beside) > width:
            large = ["", figures, ""]  # no room: the plain figure
            large = [line.ljust(len(figures)) for line in large]
        return [
            Text.assemble((line, style), "  ", text)
            for line, text in zip(large, beside, strict=True)
        ]

    def _warnings(self, told: dict[str, Any], age_s: float) -> list[Text]:
        lines = []
        if age_s > status.STALE_S:
            lines.append(
                Text(self._word("stale", ago=status.ago(age_s, self._word)), "bold yellow")
            )
        if told.get("unknown"):
            lines.append(Text(f"{self._word('unknown')}: {told['unknown']}", "bold red"))
        holds = []
        for each in status.holds_of(told):
            scope = str(each.get("scope") or "all")
            scope = self._word("all") if scope == "all" else self.name(scope)
            text = _plain(each.get("text") or each.get("reason"))
            holds.append(Text(f"{self._word('hold')} [{scope}] {text}", "yellow"))
        return lines + self._cut(holds, 2)

    def _table(self, stocks: Sequence[dict[str, Any]], width: int) -> list[Text]:
        """Return the head and one line a stock, what is held first."""
        keys = ("stock", "price", "change", "", "shares", "average", "stop", "target", "gain", "%")
        rows: list[Row] = [tuple(Text(self._word(key), "dim") for key in keys)]
        ordered = sorted(stocks, key=lambda each: not each.get("position"))
        rows += [self._stock(each) for each in ordered]
        widths = [max(row[at].cell_len for row in rows) for at in range(len(keys))]
        widths[0], widths[3] = min(widths[0], 16), 0
        for column in (9, 5, 7):  # of prices too large for a narrow terminal
            if sum(widths) + len(keys) - 1 > width and widths[0] > 8:
                widths[0] = max(8, widths[0] - (sum(widths) + len(keys) - 1 - width))
            if sum(widths) + len(keys) - 1 > width:
                widths[column] = 0
        shown = [at for at, cells in enumerate(widths) if cells]
        spark = min(30, width - sum(widths) - len(shown))
        if spark >= 3:
            widths[3], shown = spark, sorted({*shown, 3})
        for at, each in enumerate(ordered, 1):
            seen = self._seen.get(str(each.get("symbol")), ())
            rows[at] = (*rows[at][:3], Text(sparkline(list(seen), spark), "cyan"), *rows[at][4:])
        return [_line(row, widths, shown) for row in rows]

    def _stock(self, each: dict[str, Any]) -> Row:
        change = coloured(each.get("change_pct") or 0.0, 1, "%")
        price = Text(f"{each.get('price') or 0:,}", change.style)
        name = Text(
            self.name(str(each.get("symbol")), str(each.get("name") or "")),
            "bold" if each.get("position") else "",
        )
        if not each.get("position"):
            return (name, price, change, *(Text() for _ in range(7)))
        plan = (
            f"{each.get(key) or 0:,.0f}" if each.get(key) else "-" for key in ("stop", "target")
        )
        return (
            name, price, change, Text(), Text(f"{each['position']:,}", "bold"),
            Text(f"{each.get('average') or 0:,.0f}"), *(Text(text) for text in plan),
            coloured(each.get("gain_krw") or 0), coloured(each.get("gain_pct") or 0.0, 1, "%"),
        )  # fmt: skip

    def _order(self, each: dict[str, Any]) -> Text:
        words, side = bot.SIDE_WORDS["en" if self._english else "ko"], str(each.get("side") or "")
        side, state = side.upper(), str(each.get("state") or "")
        state = state if self._english else bot.in_korean(state)
        return Text.assemble(
            f"{str(each.get('at') or '')[11:19]} {self.name(str(each.get('symbol')))} ",
            (words.get(side, side), "red" if side == "BUY" else "blue"),
            f" {each.get('filled') or 0:,}/{each.get('quantity') or 0:,}",
            f" @ {each.get('price') or 0:,}  {state} {each.get('number') or ''}",
        )  # fmt: skip

    def _title(self, key: str, width: int) -> Text:
        word = f"── {self._word(key)} "
        return Text(word + "─" * (width - cell_len(word)), "dim")

    def _cut(self, lines: list[Text], most: int) -> list[Text]:
        """Return so many lines at most; the last says how many are left out."""
        if len(lines) <= most:
            return lines
        rest = Text(f"… {self._word('more', n=len(lines) - most + 1)}", "dim")
        return [*lines[: most - 1], rest] if most > 0 else []

    def _messages(self, said: Sequence[str], width: int, most: int) -> list[Text]:
        """Return the newest messages whole, as far as there is room; the newest shows its beginning."""
        if not said:
            return [Text(self._word("none"), "dim")][:most]
        lines: list[Text] = []
        for message in reversed(said):
            text = Text(with_names(_plain(message), self._names))
            parts = list(text.wrap(self._console, width, overflow="fold"))
            if len(parts) + len(lines) > most:
                return lines or parts[:most]
            lines = parts + lines
        return lines


def _plain(text: object) -> str:
    """Return a text in one line, without what would steer the terminal."""
    text = re.sub(r"\s*\n\s*(?:• )?", " · ", str(text).strip()).replace(": · ", ": ")
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def _line(row: Row, widths: Sequence[int], shown: Sequence[int]) -> Text:
    """Return the cells of a row side by side: name and sparkline to the left, figures to the right."""
    line = Text()
    for place, at in enumerate(shown):
        cell, cells = row[at], widths[at]
        if place:
            line.append(" ")
        if at in (0, 3):
            line.append(set_cell_size(cell.plain, cells), cell.style or None)
        else:
            line.append(" " * (cells - cell.cell_len)).append_text(cell)
    return line


def progress(told: dict[str, Any]) -> float | None:
    """Return how much of the session has passed, 0 to 1; None without a session."""
    try:
        begin, end = (datetime.fromisoformat(text) for text in told["session"])
        at = datetime.fromisoformat(told["at"])
        return min(1.0, max(0.0, (at - begin) / (end - begin)))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def feed_age(told: dict[str, Any]) -> float | None:
    """Return the age of the newest trade of all stocks in seconds, None before the first."""
    ages = [each.get("age_s") for each in told.get("symbols") or []]
    known = [age for age in ages if isinstance(age, int | float)]
    return max(0.0, min(known)) if known else None


async def trade_on_screen(trader: bot.Trader) -> int:
    """Run the demo's day and draw it meanwhile; return its exit code."""
    drawing = asyncio.create_task(_draw_day(trader))
    try:
        return await bot.trade(trader, one_day=True)
    finally:
        drawing.cancel()
        await asyncio.gather(drawing, return_exceptions=True)


async def _draw_day(trader: bot.Trader) -> None:
    screen = Screen(names_of(trader.journal.path.parent), "stop_demo")
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            told = bot.status_of(trader)
            screen.see(told)
            live.update(_whole(screen.draw(told, 0.0, *console.size)), refresh=True)
            await asyncio.sleep(DRAW_EVERY_S)


def _whole(lines: Sequence[Text]) -> Text:
    return Text("\n", no_wrap=True, end="").join(lines)


def is_running(folder: Path, told: dict[str, Any], age_s: float) -> bool:
    """Return whether the bot of a folder runs: its lock is held, or its status is fresh."""
    if age_s <= GONE_S and told.get("phase") != "stopping":
        return True  # or a bot in a container, whose process cannot be seen from here
    return folder.resolve() in running_folders()


def run_screen(options: argparse.Namespace) -> int:
    """Show the bot until `q` or its end; then print the day's report."""
    path = status.status_file(options)
    told = status.read_status(path)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise bot.BotError(WORDS["no_screen"][(options.language or told.get("language")) == "en"])
    console, beside = Console(), int(os.environ.get(bot.SCREEN_OF, "0"))
    if beside:  # Ctrl-C is for the bot in the same terminal; this shows how it ends
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with keys() as pressed:
        ended, told = watch(path, console, pressed, beside)
    if ended and told:
        if beside and os.getppid() != beside:  # one that ends in order waits for this screen
            english = (options.language or told.get("language")) == "en"
            log_file = path.parent / bot.LOG_FILE
            print(WORDS["died"][english].format(file=log_file), flush=True)
        return end_report(options, path.parent, told, console)
    if beside and told:
        print(
            WORDS["closed_screen"][(options.language or told.get("language")) == "en"], flush=True
        )
    return 0


def first_status(path: Path, beside: int) -> dict[str, Any]:
    """Wait for the first status of the bot beside, {} when it ends before; else read what is there."""
    since = time.time() - 1.0
    while beside and os.getppid() == beside:
        with contextlib.suppress(OSError):
            if path.stat().st_mtime >= since:
                break
        if not is_running(path.parent, {}, math.inf):  # it ended before it could say more
            break
        time.sleep(0.1)
    return {} if beside and os.getppid() != beside else status.read_status(path)


def watch(
    path: Path, console: Console, pressed: Callable[[float], str], beside: int = 0
) -> tuple[bool, dict[str, Any]]:
    """Draw until `q` (False) or until the bot has ended (True); return its last status as well.

    `beside`: the bot of this terminal. There `q` asks first, since it may end the bot as well.
    """
    screen, asked = Screen(names_of(path.parent), "beside" if beside else "quit"), False
    told, at = first_status(path, beside), 0.0
    if not told:
        return True, told
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            changed = path.stat().st_mtime
            if changed != at:
                told, at = status.read_status(path), changed
                screen.see(told)
            age_s = max(0.0, time.time() - changed)
            gone = os.getppid() != beside if beside else not is_running(path.parent, told, age_s)
            if gone or (beside and not is_running(path.parent, told, age_s)):
                return True, told
            screen.footer = "ask" if asked else "beside" if beside else "quit"
            live.update(_whole(screen.draw(told, age_s, *console.size)), refresh=True)
            key = pressed(DRAW_EVERY_S)
            if key in QUIT and (asked or not beside):
                return False, told  # the lines of the log come instead
            if key in STOP and asked:
                os.kill(beside, signal.SIGTERM)
            asked = key in QUIT or (asked and not key)


def end_report(
    options: argparse.Namespace, folder: Path, told: dict[str, Any], console: Console
) -> int:
    """Print the report of the day of a status."""
    options.state = folder
    options.language = options.language or str(told.get("language") or "ko")
    session = told.get("session") or [
        told.get("at") or ""
    ]  # the newest, also when it ends on a Sunday
    options.first = options.last = str(session[0])[:10]
    code = report_view.show_report(options, console)
    screen, english = Screen(names_of(folder)), options.language == "en"
    for each in told.get("symbols") or []:
        if shares := each.get("position"):
            name = screen.name(each.get("symbol", ""), str(each.get("name") or ""))
            print(
                WORDS["still_held"][english].format(
                    name=name, shares=shares, stop=each.get("stop") or 0
                )
            )
    return code


@contextlib.contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Let single keys be read from the terminal; Ctrl-C stays what it is."""
    import termios
    import tty

    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)

    def pressed(seconds: float) -> str:
        if not select.select([file], [], [], seconds)[0]:
            return ""
        return os.read(file, 64).decode("utf-8", "replace")[:1]

    try:
        tty.setcbreak(file)
        yield pressed
    finally:
        with contextlib.suppress(termios.error):  # the bot was killed: its terminal is not ours
            termios.tcsetattr(file, termios.TCSADRAIN, before)
