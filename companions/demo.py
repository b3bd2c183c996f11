"""A simulated day, compared book by book: `--demo`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import kis_realtime_trading as bot
from companions.screen import show_screen

WORDS = {
    "ko": {
        "start": "데모: 시세와 계좌는 모두 만들어 낸 것입니다. 하루가 약 {s:.0f}초에 지나갑니다.",
        "page": "화면은 계속 열려 있습니다. Ctrl-C로 끝냅니다.",
        "cut": "하루가 끝나기 전에 멈췄습니다. 장부 비교와 그림은 생략합니다.",
        "journal": "저널: {folder}",
        "picture": "그림: {file}",
        "no_start": "시뮬레이터가 시작되지 않았습니다. 확인할 파일: {file}",
        "equal": "두 장부가 원 단위까지 같습니다.",
        "differ": "⛔ 두 장부가 다릅니다: {names}",
        "trades": "체결(시장)", "bars": "봉", "orders": "주문", "fills": "체결(봇)", "gross": "실현손익",
        "fees": "수수료", "taxes": "세금", "net": "순손익", "cash": "현금",
    },
    "en": {
        "start": "demo: invented prices and account; one day in about {s:.0f} s",
        "page": "the page stays open; Ctrl-C ends it",
        "cut": "stopped before the end of the day: no comparison, no picture",
        "journal": "journal: {folder}",
        "picture": "picture: {file}",
        "no_start": "the simulator did not start; see {file}",
        "equal": "the books are equal to the won",
        "differ": "THE BOOKS DIFFER: {names}",
    },
}  # fmt: skip


def run_demo(options: argparse.Namespace) -> int:
    """Start the simulator as its own process, run the unchanged bot against it, compare books."""
    words = WORDS[options.speak]
    base = options.state or Path(bot.BotSettings.model_fields["state_dir"].default)
    folder = (base / f"demo-{datetime.now(bot.KST):%Y%m%d-%H%M%S}-{os.getpid()}").absolute()
    folder.mkdir(mode=0o700, parents=True)
    command = [
        sys.executable, "-m", "companions.simulator", "--port", "0", "--write-config", str(folder),
        "--seed", str(options.seed), "--speed", str(options.speed), "--start", "08:50",
        "--until-eof",
    ]  # fmt: skip
    print(str(words["start"]).format(s=7 * 3600 / options.speed), flush=True)
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
            watch = show_screen if sys.stdout.isatty() and not options.plain else None
            ends.enter_context(page_beside(options, folder))
            code, figures = bot.run_trader(settings, options, watch)
            signal.signal(
                signal.SIGTERM, signal.default_int_handler
            )  # the bot's own handler has gone with its loop
            print(str(words["journal"]).format(folder=folder), flush=True)
            if figures["cut_short"]:  # what was under way would differ, and a picture takes long
                print(words["cut"])
                return code
            return code or finish_demo(options, figures, ready["rest"])
        finally:
            process.kill()  # it has nothing to keep
            process.wait()


def page_folder(options: argparse.Namespace) -> Path:
    """Return the folder that the page shows: the given one, that of the running bot, the usual one."""
    from companions import status

    running = status.running_folders()
    usual = Path(bot.BotSettings.model_fields["state_dir"].default)
    return options.state or (running[0] if len(running) == 1 else usual)


@contextlib.contextmanager
def page_beside(options: argparse.Namespace, folder: Path) -> Iterator[None]:
    """Show the page of the demo as long as it runs, and on a terminal until Ctrl-C."""
    if not options.page:
        yield
        return
    from companions.page import server

    process = server.start(folder, options.port)
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
        en, ko = (str(WORDS[language]["no_start"]) for language in ("en", "ko"))
        file = folder / "simulator.log"
        raise bot.BotError(bot.Both(en.format(file=file), ko.format(file=file)))
    ready: dict[str, Any] = json.loads(line[6:])
    return ready


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
    words: dict[str, Any] = WORDS[options.speak]
    shown = options.picture if drawn.returncode == 0 else drawn.stderr.strip()[-300:]
    print(words["picture"].format(file=shown))
    different = [name for name in theirs if ours[name] != theirs[name]]
    print(f"{'':8}{'bot':>16}{'simulator':>16}")
    for name in ("trades", "bars", "orders", "fills", "gross", "fees", "taxes", "net", "cash"):
        value = f"{theirs[name]:>16,}" if name in theirs else ""
        print(f"{name:8}{ours[name]:>16,}{value}{'  <- DIFFERENT' if name in different else ''}")
    names = ", ".join(words.get(name, name) for name in different)
    print(words["differ"].format(names=names) if different else words["equal"])
    return bot.EXIT_FAILED if different else 0
