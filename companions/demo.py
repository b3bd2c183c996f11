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

MOST_SPEED = 1_000  # beyond it seconds of the market pass between two looks at anything


def run_demo(options: argparse.Namespace) -> int:
    """Start the simulator as its own process, run the unchanged bot against it, compare books."""
    if not 1 <= options.speed <= MOST_SPEED:
        raise bot.wrong_setting("--speed", f"{options.speed:g}", f"1 to {MOST_SPEED} times")
    base = options.state or Path(bot.BotSettings.model_fields["state_dir"].default)
    folder = (base / f"demo-{datetime.now(bot.KST):%Y%m%d-%H%M%S}-{os.getpid()}").absolute()
    folder.mkdir(mode=0o700, parents=True)
    command = [
        sys.executable, "-m", "companions.simulator", "--port", "0", "--write-config", str(folder),
        "--seed", str(options.seed), "--speed", str(options.speed), "--start", "08:50",
        "--until-eof",
    ]  # fmt: skip
    print(
        f"demo: invented prices and account; one day in about {7 * 3600 / options.speed:.0f} s",
        flush=True,
    )
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
            options.config, options.state, options.one_day = (
                folder / bot.SETTINGS_NAME,
                folder,
                True,
            )
            settings, _ = bot.load_settings(options, "paper")
            watch = show_screen if sys.stdout.isatty() and not options.plain else None
            ends.enter_context(page_beside(options, folder))
            code, figures = bot.run_trader(settings, options, watch)
            signal.signal(
                signal.SIGTERM, signal.default_int_handler
            )  # the bot's own handler has gone with its loop
            print(f"journal: {folder}", flush=True)
            if figures["cut_short"]:  # what was under way would differ, and a picture takes long
                print("stopped before the end of the day: no comparison, no picture")
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
            print("화면은 계속 열려 있습니다. Ctrl-C로 끝냅니다.", flush=True)
            process.wait()
    finally:
        process.terminate()
        process.wait()


def wait_ready(process: subprocess.Popen[str], folder: Path) -> dict[str, Any]:
    """Return what the simulator says when it listens."""
    line = process.stdout.readline() if process.stdout else ""
    if not line.startswith("READY "):
        raise bot.BotError(f"the simulator did not start; see {folder / 'simulator.log'}")
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
        sys.executable,
        str(bot.HERE / "companions"),
        "--picture",
        str(options.picture),
        "--state",
        str(options.state),
    ]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    print(f"picture: {options.picture if drawn.returncode == 0 else drawn.stderr.strip()[-300:]}")
    different = [name for name in theirs if ours[name] != theirs[name]]
    print(f"{'':8}{'bot':>16}{'simulator':>16}")
    for name in ("trades", "bars", "orders", "fills", "gross", "fees", "taxes", "net", "cash"):
        shown = f"{theirs[name]:>16,}" if name in theirs else ""
        print(f"{name:8}{ours[name]:>16,}{shown}{'  <- DIFFERENT' if name in different else ''}")
    print(
        f"THE BOOKS DIFFER: {', '.join(different)}"
        if different
        else "the books are equal to the won"
    )
    return bot.EXIT_FAILED if different else 0
