"""A simulated day, compared book by book: `--demo`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.cells import cell_len

import kis_realtime_trading as bot
from companions.control import running_folders
from companions.screen import trade_on_screen

WORDS: dict[str, dict[str, str]] = {
    "ko": {
        "start": "데모: 시세와 계좌는 모두 만들어 낸 것입니다. 하루가 약 {s:.0f}초에 지나갑니다.",
        "page": "화면은 계속 열려 있습니다. Ctrl-C로 끝냅니다.",
        "cut": "하루가 끝나기 전에 멈췄습니다. 장부 비교와 그림은 생략합니다.",
        "journal": "저널: {folder}",
        "picture": "그림: {file}",
        "no_start": "시뮬레이터가 시작되지 않았습니다: {why}",
        "slow": "이 컴퓨터에는 {wanted:g}배속이 빠릅니다. {speed:g}배속으로 돌립니다.",
        "pruned": "오래된 데모 폴더 {count}개를 지웠습니다(최근 {kept}개는 둡니다).",
        "reason": "대개 컴퓨터가 이 배속을 따라가지 못해서입니다. 다시: --demo --speed {speed:g}",
        "together": "체결 수는 달라도 주식 수와 금액은 같습니다: 여러 체결을 조회 한 번에 함께 알았습니다.",
        "equal": "두 장부가 원 단위까지 같습니다.",
        "differ": "⛔ 두 장부가 다릅니다: {names}",
        "trades": "체결(시장)", "bars": "봉", "orders": "주문", "fills": "체결(봇)", "gross": "실현손익",
        "fees": "수수료", "taxes": "세금", "net": "순손익", "cash": "현금",
        "bot": "봇", "simulator": "시뮬레이터", "different": "다름",
    },
    "en": {
        "start": "demo: invented prices and account; one day in about {s:.0f} s",
        "page": "the page stays open; Ctrl-C ends it",
        "cut": "stopped before the end of the day: no comparison, no picture",
        "journal": "journal: {folder}",
        "picture": "picture: {file}",
        "no_start": "the simulator did not start: {why}",
        "slow": "this machine is too slow for {wanted:g} times: it runs {speed:g} times faster than the market",
        "pruned": "{count} old folders of demos were removed ({kept} are kept)",
        "reason": "most often the machine cannot keep up with this speed. Again: --demo --speed {speed:g}",
        "together": "fewer fills, but the same shares and won: one answer told of several fills at once",
        "equal": "the books are equal to the won",
        "differ": "THE BOOKS DIFFER: {names}",
    },
}  # fmt: skip


KEPT_FOLDERS = 5
SAMPLE_S = 0.075  # what sample_work takes where a day at FAST_ENOUGH keeps its books equal
FAST_ENOUGH, LEAST_SPEED = 700.0, 30.0


def sample_work() -> float:
    """Do a little of what a day is made of; return the seconds on the clock, busy neighbours included."""
    frame, began = "^".join(str(70_000 + number) for number in range(46)), time.perf_counter()
    for _ in range(5_000):
        sum(int(part) for part in frame.split("^"))
    return time.perf_counter() - began


def fitting_speed(wanted: float, took_s: float, cores: int) -> float:
    """Return the speed wanted, or the highest that a machine keeps up with, in steps of ten.

    Bot and simulator want a core each: 300 wanted, a third of the pace on one core gives 110.

    >>> fitting_speed(300, 3 * SAMPLE_S, 1), fitting_speed(300, SAMPLE_S, 2)
    (110.0, 300)
    """
    most = FAST_ENOUGH * min(1.0, cores / 2) * SAMPLE_S / took_s
    return wanted if wanted <= most else min(wanted, max(LEAST_SPEED, most // 10 * 10))


def prune_demos(base: Path, keep: int) -> int:
    """Remove the oldest folders of demos but `keep`, none of a bot that runs; return how many."""
    running = {folder.resolve() for folder in running_folders()}
    found = [
        folder
        for folder in sorted(base.glob("demo-*"))
        if re.fullmatch(r"demo-\d{8}-\d{6}-\d+", folder.name)
        and folder.is_dir() and not folder.is_symlink() and folder.resolve() not in running
    ]  # fmt: skip
    old = found[:-keep] if keep else found
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return len(old)


def run_demo(options: argparse.Namespace) -> int:
    """Start the simulator as its own process, run the unchanged bot against it, compare books."""
    words = WORDS[options.speak]
    if options.page:
        from companions.page import server

        server.refuse_taken(options.port)
    took_s = sum(sample_work() for _ in range(3)) / 3
    wanted, cores = options.speed, len(os.sched_getaffinity(0))
    options.speed = fitting_speed(wanted, took_s, cores)
    if options.speed < wanted:
        print(words["slow"].format(wanted=wanted, speed=options.speed), flush=True)
    base = options.state or Path(bot.BotSettings.model_fields["state_dir"].default)
    folder = (base / f"demo-{datetime.now(bot.KST):%Y%m%d-%H%M%S}-{os.getpid()}").absolute()
    folder.mkdir(mode=0o700, parents=True)
    if count := prune_demos(base, KEPT_FOLDERS):
        print(words["pruned"].format(count=count, kept=KEPT_FOLDERS), flush=True)
    command = [
        sys.executable, "-m", "companions.simulator", "--port", "0", "--write-config", str(folder),
        "--seed", str(options.seed), "--speed", str(options.speed), "--start", "08:50",
        "--until-eof",
    ]  # fmt: skip
    print(words["start"].format(s=7 * 3600 / options.speed), flush=True)
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # as Ctrl-C, which ends the picture's process as well
    with (folder / "simulator.log").open("w") as errors, contextlib.ExitStack() as ends:
        process = subprocess.Popen(  # out of reach of Ctrl-C; ends with us by the end of its input
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            start_new_session=True, cwd=bot.HERE,
        )  # fmt: skip
        try:
            ready = wait_ready(process, folder)
            options.config, options.state = folder / bot.SETTINGS_NAME, folder
            options.one_day, options.language = True, options.speak
            settings, _ = bot.load_settings(options, "paper")
            watched = sys.stdout.isatty() and not options.plain
            ends.enter_context(page_beside(options, folder))
            if options.phone:
                from companions import phone_page

                wait = sys.stdin.isatty() and not options.page
                beside = phone_page.beside(settings, options.speak, wait)
                settings = ends.enter_context(beside)
            with contextlib.ExitStack() as last:
                trader = bot.start_up(settings, options, last, watched)
                day = trade_on_screen(trader) if watched else bot.trade(trader, one_day=True)
                code, figures, cut = asyncio.run(day), trader.summary(), trader.stopping()
            signal.signal(
                signal.SIGTERM, signal.default_int_handler
            )  # the bot's own handler has gone with its loop
            print(words["journal"].format(folder=folder), flush=True)
            if cut:  # what was under way would differ, and a picture takes long
                print(words["cut"])
                return code
            return code or finish_demo(options, figures, ready["rest"])
        finally:
            process.kill()  # it has nothing to keep
            process.wait()
            if not any(folder.glob("journal-*.sqlite3")):  # it failed before anything happened
                shutil.rmtree(folder, ignore_errors=True)


def page_folder(options: argparse.Namespace) -> Path:
    """Return the folder that the page shows: the given one, that of the running bot, the usual one."""

    running = running_folders()
    usual = Path(bot.BotSettings.model_fields["state_dir"].default)
    return options.state or (running[0] if len(running) == 1 else usual)


@contextlib.contextmanager
def page_beside(options: argparse.Namespace, folder: Path) -> Iterator[None]:
    """Show the page of the demo as long as it runs, and on a terminal until Ctrl-C."""
    if not options.page:
        yield
        return
    from companions.page import server

    process = server.start(folder, options.port, options.speak)
    try:
        yield
        if sys.stdin.isatty():
            print(WORDS[options.speak]["page"], flush=True)
            process.wait()
    finally:
        process.terminate()
        process.wait()


def wait_ready(process: subprocess.Popen[str], folder: Path) -> dict[str, Any]:
    """Return what the simulator says when it listens."""
    line = process.stdout.readline() if process.stdout else ""
    if not line.startswith("READY "):
        en, ko = (WORDS[language]["no_start"] for language in ("en", "ko"))
        log = (folder / "simulator.log").read_text("utf-8", "replace").strip().splitlines()
        why = log[-1][:300] if log else "-"
        raise bot.BotError(bot.Both(en.format(why=why), ko.format(why=why)))
    ready: dict[str, Any] = json.loads(line[6:])
    return ready


def in_cells(text: str, cells: int) -> str:
    """Return a text with blanks behind it, or before it, until it takes so many cells of a terminal.

    >>> in_cells("봉", 4), in_cells("bars", -6)
    ('봉  ', '  bars')
    """
    blanks = " " * (abs(cells) - cell_len(text))
    return text + blanks if cells > 0 else blanks + text


def finish_demo(options: argparse.Namespace, ours: dict[str, Any], url: str) -> int:
    """Compare our figures with the simulator's own books, print both, draw the picture."""
    with urllib.request.urlopen(f"{url}/simulator/books", timeout=5) as answer:
        books = json.loads(answer.read())
    theirs = {
        "trades": sum(books["trades_sent"].values()),
        "orders": books["order_count"],
        "fills": books["fill_count"],
        "gross": books["realized_pnl_gross_krw"],
        "fees": books["fees_krw"],
        "taxes": books["taxes_krw"],
        "net": books["realized_pnl_net_krw"],
        "cash": books["cash_krw"],
    }
    options.picture = options.state / "day.png"
    command = [
        sys.executable, str(bot.HERE / "companions"), "--picture", str(options.picture),
        "--state", str(options.state), "--language", options.speak,
    ]  # fmt: skip
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    words = WORDS[options.speak]
    shown = options.picture if drawn.returncode == 0 else drawn.stderr.strip()[-300:]
    print(words["picture"].format(file=shown))
    different = [name for name in theirs if ours[name] != theirs[name]]
    if different == ["fills"]:  # of the same shares and won
        print(words["together"])
        different = []
    print(in_cells("", 12) + "".join(in_cells(words.get(k, k), -16) for k in ("bot", "simulator")))
    for name in ("trades", "bars", "orders", "fills", "gross", "fees", "taxes", "net", "cash"):
        value = f"{theirs[name]:>16,}" if name in theirs else ""
        mark = f"  <- {words.get('different', 'DIFFERENT')}" if name in different else ""
        print(f"{in_cells(words.get(name, name), 12)}{ours[name]:>16,}{value}{mark}")
    names = ", ".join(words.get(name, name) for name in different)
    print(words["differ"].format(names=names) if different else words["equal"])
    if different:
        print(words["reason"].format(speed=max(LEAST_SPEED, options.speed // 3)))
    return bot.EXIT_FAILED if different else 0
