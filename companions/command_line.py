"""Which option of the bot's file is which program here."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import kis_realtime_trading as bot
from companions.control import leave_control
from companions.decode import decode_lines, use_utf8
from companions.demo import page_folder, run_demo
from companions.draw import draw_picture
from companions.options import read_arguments
from companions.replay import show_replay
from companions.systemd import systemd_unit


def show_names(options: argparse.Namespace) -> int:
    """Print code and name of the stocks that a word finds."""
    from companions import names

    use_utf8(sys.stdin, sys.stdout)
    found = names.find(options.find, options.state)
    for code, name in found:
        print(f"{code}  {name}")
    if not found:
        raise bot.BotError(bot.Both(
            f"no stock named {options.find!r}: its six-digit code always works",
            f"{options.find!r}: 이름에 이 말이 든 종목을 찾지 못했습니다. 여섯 자리 종목코드는 언제나 쓸 수 있습니다.",
        ))  # fmt: skip
    return 0


def interrupt(*_: object) -> NoReturn:
    """Handle SIGINT where a strategy's code runs without a loop: Ctrl-C is not its fault."""
    raise bot.Interrupted


def run_command(options: argparse.Namespace) -> int:
    """Choose the command."""
    if options.replay or options.backtest:
        signal.signal(signal.SIGINT, interrupt)
    if options.decode:
        use_utf8(sys.stdin, sys.stdout)
        return decode_lines(sys.stdin, sys.stdout, options.key, options.iv)
    if options.setup:
        from companions import setup

        return setup.run_setup(options)
    if options.check:
        from companions import check

        return asyncio.run(check.check_set_up(options))
    if options.level or options.resolve or options.levels or options.accept_orders:
        return leave_control(options)
    if options.status:
        from companions import status

        return status.show_status(options)
    if options.screen:
        from companions import screen

        return screen.run_screen(options)
    if options.journal or options.why or options.report:
        from companions import journal_view, report_view

        if options.report:
            return report_view.show_report(options)
        return journal_view.show_why(options) if options.why else journal_view.show_journal(options)
    if options.replay:
        return show_replay(options)
    if options.picture:
        return draw_picture(options)
    if options.print_systemd_unit:
        print(systemd_unit(options))
        return 0
    if options.demo:
        return run_demo(options)
    if options.backtest:
        from companions.backtest import command

        return command.show_backtest(options)
    if options.fetch_history:
        from companions.backtest import fetch

        return fetch.show_fetch(options)
    if options.find is not None:
        return show_names(options)
    if options.page:
        from companions.page import server

        return server.run(page_folder(options), options.port, options.speak)
    raise bot.BotError(bot.Both(
        "start the bot itself for this option: python kis_realtime_trading.py",
        "이 옵션은 봇 파일로 시작하십시오: python kis_realtime_trading.py",
    ))  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Read a command line and run it, as `python companions` does."""
    return bot.run_guarded(read_arguments(arguments), run_command)
