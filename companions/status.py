"""`--status`: how the running bot is now, on one screen, from its status.json; `--json` for programs.

The bot writes the file once a second and knows nothing of its readers. Without --state the folder
is that of the bot that runs on this machine: it holds the lock of its account there open.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

import kis_realtime_trading as bot
from companions.control import running_folders
from companions.names import names_of
from companions.order_book import read_books
from companions.report_view import coloured

STATUS_NAME = "status.json"
MOST_BYTES = 1_000_000
JUST_S = 3.0  # younger: its writer is taken to be there, in a place that is not seen from here also
STALE_S = 15.0  # at night the bot writes every ten; older: it stopped, or hangs
WORDS: dict[str, tuple[str, str]] = {
    "all": ("전체", "all"),
    "result": ("당일손익", "result"), "realised": ("실현", "realised"), "open": ("평가", "open"),
    "costs": ("비용", "costs"), "equity": ("평가금액", "equity"), "cash": ("현금", "cash"),
    "level": ("매매 단계", "level"), "hold": ("보류", "hold"), "feed": ("시세", "feed"),
    "up": ("연결됨", "connected"), "down": ("끊김", "not connected"), "ago": ("초 전", "s ago"),
    "minutes_ago": ("분 전", " min ago"), "hours_ago": ("시간 전", " h ago"),
    "stock": ("종목", "stock"), "price": ("현재가", "price"), "change": ("등락", "change"),
    "shares": ("보유", "held"), "average": ("평단가", "average"), "stop": ("손절가", "stop"),
    "target": ("목표가", "target"), "gain": ("평가손익", "gain"), "orders": ("주문", "orders"),
    "unknown": ("결과 불명 주문", "orders of unknown outcome"),
    "stale": ("⚠ {ago}의 상태입니다. 봇이 멈췄거나, 디스크가 가득 찼거나, 꺼져 있습니다",
              "⚠ this is of {ago}: the bot hangs, its disk is full, or it is not running"),
    "off": ("⚠ 봇이 실행 중이 아닙니다. {ago}의 마지막 상태입니다",
            "⚠ the bot is not running: this is its last status, of {ago}"),
    "unwatched": ("⚠ 보유 {n}종목의 손절가를 지켜보는 것이 없습니다. 같은 명령으로 다시 시작하십시오",
                  "⚠ nobody watches the stops of {n} stocks: start it again with the same command"),
    "memory": ("메모리", "memory"), "journal": ("저널", "journal"),
    "next_day": ("다음 장 대기", "waiting for the next session"),
    "calls": ("증권사 호출 {count:,}건 (1분에 {most:,}건까지, 지금 {left:,}건 남음)",
              "{count:,} calls to the broker ({most:,} a minute at most, {left:,} left now)"),
    "too_many": (" · 속도 초과 {n:,}번", " · {n:,} refused as too many"),
    "token": ("접근토큰 {h:.0f}시간 남음", "token for {h:.0f} h"),
}  # fmt: skip

ENDED = (
    "after",
    "closed",
    "waiting",
)  # phases without trades: how old the last one is says nothing


def is_over(told: Mapping[str, Any]) -> bool:
    """Return whether nothing is traded now, so that no trade can be late."""
    return told.get("phase") in ENDED


def holds_of(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what holds entries back, without what the phase says already."""
    holds = told.get("holds") or []
    return [each for each in holds if each.get("reason") != "stopping" or not is_over(told)]


def ago(seconds: float, word: Callable[[str], str]) -> str:
    """Return how long ago something was, in the largest unit."""
    if seconds < 100:
        return f"{seconds:.0f}{word('ago')}"
    if seconds < 6_000:
        return f"{seconds / 60:.0f}{word('minutes_ago')}"
    return f"{seconds / 3_600:,.0f}{word('hours_ago')}"


def level_word(told: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """Return how the level is called; nothing is traded after the close, also at ACTIVE."""
    level = str(told.get("level") or "")
    if level == "ACTIVE" and is_over(told):
        return WORDS["next_day"][words is not bot.LEVEL_WORDS]
    return words.get(level, level)


def health_line(told: Mapping[str, Any], word: Callable[..., str]) -> str:
    """Return what the bot takes and has left: calls to the broker, token, memory, journal."""
    budget, calls, process = (told.get(key) or {} for key in ("budget", "calls", "process"))
    parts = []
    if budget:
        most = int(budget["within_s"] * budget["per_s_now"])
        count = sum(each["count"] for each in calls.values())
        too_many = word("too_many", n=budget["too_many"]) if budget.get("too_many") else ""
        parts.append(word("calls", count=count, most=most, left=budget["left"]) + too_many)
    left_s = (told.get("token") or {}).get("left_s")
    parts += [word("token", h=left_s / 3600)] if isinstance(left_s, int | float) else []
    parts += [
        f"{word(key)} {process[name]} MB"
        for key, name in (("memory", "memory_mb"), ("journal", "journal_mb")) if name in process
    ]  # fmt: skip
    kept = (part if len(part) > 30 else part.replace(" ", "\u00a0") for part in parts)
    return "   ".join(kept)  # a line ends between them: no figure stands without its unit


def status_file(options: argparse.Namespace) -> Path:
    """Return the status file to read. Raises bot.BotError that names the choices."""
    if options.state:
        return Path(options.state) / STATUS_NAME
    running = running_folders()
    if len(running) > 1:
        names = ", ".join(map(str, running))
        raise bot.BotError(
            bot.Both(
                f"several bots run; name one of their folders with --state: {names}",
                f"봇이 여럿 실행 중입니다. --state로 폴더를 고르십시오: {names}",
            )
        )
    return (running[0] if running else bot.state_folder(options, None)) / STATUS_NAME


def read_status(path: Path) -> dict[str, Any]:
    """Return the status. Raises bot.BotError when there is none."""
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(MOST_BYTES))
    except OSError:
        raise bot.BotError(
            bot.Both(
                f"no bot has written {path}; name its folder with --state",
                f"봇이 남긴 상태가 없습니다: {path}. 봇의 폴더를 --state로 알려 주십시오.",
            )
        ) from None
    except (ValueError, RecursionError):
        raise bot.BotError(
            bot.Both(f"{path} is not a status of this bot", f"{path}: 이 봇의 상태 파일이 아닙니다")
        ) from None
    if not isinstance(data, dict) or data.get("version") != 1:
        raise bot.BotError(
            bot.Both(f"{path} is not a status of this bot", f"{path}: 이 봇의 상태 파일이 아닙니다")
        )
    return data


def name_stocks(status: dict[str, Any], folder: Path) -> None:
    """Give the stocks without a name that of the tables; orders get one as well."""
    known = names_of(folder)
    for each in status.get("symbols") or []:
        each["name"] = each.get("name") or known.get(str(each.get("symbol")), "")
        known[str(each.get("symbol"))] = each["name"]
    for each in status.get("orders") or []:
        each["name"] = known.get(str(each.get("symbol")), "")


def draw_status(
    status: dict[str, Any], age_s: float, language: str, width: int = 80, running: bool = True
) -> RenderableType:
    """Return one screen: under 70 columns fewer figures, but whole ones.

    `running`: its process is there, so that an old status is of one that hangs.
    """

    def word(key: str, **values: Any) -> str:
        return WORDS[key][language == "en"].format(**values)

    mode, phase = (str(status.get(each) or "") for each in ("mode", "phase"))
    if language != "en":
        mode, phase = bot.in_korean(mode), bot.PHASE_WORDS.get(phase, phase)
    level = level_word(status, {} if language == "en" else bot.LEVEL_WORDS)
    day, feed = status.get("day") or {}, status.get("feed") or {}
    head = Text.assemble(
        f"{word('result')} ", coloured(day.get("result_krw") or 0), "  ",
        coloured(day.get("result_pct") or 0.0, 2, "%"), f"   {word('realised')} ",
        coloured(day.get("realised_krw") or 0), f"   {word('open')} ",
        coloured(day.get("open_krw") or 0),
    )  # fmt: skip
    head.stylize("bold")
    state = "up" if feed.get("connected") else "down"
    age = feed.get("age_s")
    lines: list[RenderableType] = [
        Text(f"{str(status.get('at'))[:19].replace('T', ' ')}  {mode}  "
             f"{status.get('account_tail')}  {phase}", "dim"),
        head,
        f"{word('equity')} {status.get('equity_krw') or 0:,}   {word('cash')} "
        f"{status.get('cash_krw') or 0:,}   {level}   {word('feed')} {word(state)}"
        + (f" {ago(age, word)}" if isinstance(age, int | float) and not is_over(status) else ""),
    ]  # fmt: skip
    if age_s > STALE_S or not running:
        held = sum(bool(each.get("position")) for each in status.get("symbols") or [])
        warnings = [word("stale" if running else "off", ago=ago(age_s, word))]
        warnings += [word("unwatched", n=held)] if held and not running else []
        lines[:0] = [Text(warning, "bold yellow") for warning in warnings]
    known = {each.get("symbol"): each.get("name") for each in status.get("symbols") or []}
    for hold in holds_of(status):
        scope = hold.get("scope")
        where = word("all") if scope == "all" else known.get(scope) or scope
        text = f"{word('hold')}: {hold.get('text') or hold.get('reason')} ({where})"
        lines.append(Text(text, "yellow"))
    if status.get("unknown"):
        lines.append(Text(f"{word('unknown')}: {status['unknown']}", "bold red"))
    stocks = _stocks(status, word)
    if width < 70:
        stocks.columns = [each for at, each in enumerate(stocks.columns) if at in (0, 1, 2, 7)]
    lines += ["", stocks]
    if status.get("orders"):
        lines += ["", _orders(status, language)]
    if health := health_line(status, word):
        lines += ["", Text(health, "dim")]
    return Group(*lines)


def _stocks(status: dict[str, Any], word: Any) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    keys = ("stock", "price", "change", "shares", "average", "stop", "target", "gain")
    for at, key in enumerate(keys):
        table.add_column(word(key), justify="right" if at else "left", no_wrap=True)
    for each in status.get("symbols") or []:
        held = bool(each.get("position"))
        table.add_row(
            str(each.get("name") or each.get("symbol")), f"{each.get('price') or 0:,}",
            coloured(each.get("change_pct") or 0.0, 2, "%"),
            *(
                (
                    f"{each['position']:,}", f"{each.get('average') or 0:,.0f}",
                    f"{each.get('stop') or 0:,}", f"{each.get('target') or 0:,}",
                    coloured(each.get("gain_krw") or 0),
                )
                if held else ("", "", "", "", "")
            ),
        )  # fmt: skip
    return table


def _orders(status: dict[str, Any], language: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    words = bot.SIDE_WORDS["en" if language == "en" else "ko"]
    for each in (status.get("orders") or [])[-8:]:
        side, state = str(each.get("side", "")), str(each.get("state") or "")
        state = state if language == "en" else bot.in_korean(state)
        table.add_row(
            str(each.get("at") or "")[11:19], str(each.get("name") or each.get("symbol")),
            words.get(side.upper(), side), f"{each.get('filled') or 0}/{each.get('quantity') or 0}",
            f"{each.get('price') or 0:,}", state, str(each.get("number") or ""),
        )  # fmt: skip
    return table


def show_status(options: argparse.Namespace, console: Console | None = None) -> int:
    """Print the status once; exit code 1 when nobody keeps it up to date."""
    path = status_file(options)
    status = read_status(path)
    age_s = max(0.0, time.time() - path.stat().st_mtime)
    running = age_s <= JUST_S or path.parent.resolve() in running_folders()
    name_stocks(status, path.parent)
    read_books(status)
    if options.json:
        print(
            json.dumps({**status, "file": str(path), "age_s": round(age_s, 1)}, ensure_ascii=False)
        )
    else:
        language = options.language or str(status.get("language") or "ko")
        console = console or Console()
        console.print(draw_status(status, age_s, language, console.width, running))
    return 0 if running and age_s <= STALE_S else bot.EXIT_FAILED
