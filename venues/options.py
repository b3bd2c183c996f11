"""What can be typed behind `python -m venues`, with its help. Loads no command."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from venues.arguments import Parser
from venues.words import helped

VENUES = ("upbit", "binance", "kiwoom")
_OF_LIST = ("--settings", "--language", "--demo", "--wait", *VENUES)


def with_action(arguments: Sequence[str]) -> list[str]:
    """Return what was typed; `orders` alone is `orders list`."""
    typed = list(arguments)
    if typed[:1] == ["orders"] and (not typed[1:] or typed[1] in _OF_LIST):
        typed.insert(1, "list")
    return typed


def build_parser(language: str = "ko") -> argparse.ArgumentParser:
    """Return the arguments, their help in a language."""
    t = functools.partial(helped, language=language)
    parser = Parser(prog="python -m venues", language=language)
    commands = parser.add_subparsers(dest="command")

    def command(name: str, text: str, wait: float = 10.0) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
        made.add_argument("--settings", type=Path, help=t("venues.yaml by default"))
        made.add_argument("--language", choices=("ko", "en"), help=t("the settings', else ko"))
        if name != "status":
            made.add_argument("--demo", action="store_true", help=t("simulated venues, no network"))
            made.add_argument("--wait", type=float, default=wait, help=t("seconds to wait at most"))
        return made

    kimchi = command("kimchi", t("the kimchi premium; needs no key"))
    kimchi.add_argument("--once", action="store_true", help=t("print one table and end"))
    kimchi.add_argument("--plain", action="store_true", help=t("print alerts only, for a service"))
    kimchi.add_argument("--history", action="store_true", help=t("draw what was kept, and end"))
    kimchi.add_argument("--hours", type=int, default=24, help=t("of --history"))
    kimchi.add_argument("--coin", help=t("one coin only, of --history"))
    kimchi.add_argument(
        "--store", type=Path, help=t("premium.sqlite3 of the state folder by default")
    )
    watch = command("watch", t("live prices of the markets in the settings; needs no key"))
    watch.add_argument(
        "--book", metavar="SYMBOL", help=t("ten levels of one market: KRW-BTC, BTCUSDT, 005930")
    )
    watch.add_argument("--once", action="store_true", help=t("print one table and end"))

    def common(made: argparse.ArgumentParser) -> None:
        made.add_argument("--settings", type=Path, help=t("venues.yaml by default"))
        made.add_argument("--language", choices=("ko", "en"), help=t("the settings', else ko"))
        made.add_argument("--demo", action="store_true", help=t("simulated venues, no network"))
        made.add_argument("--wait", type=float, default=10.0, help=t("seconds to look at most"))

    _orders(commands, common, t)
    searched = command(
        "conditions", t("Kiwoom's condition search: names, members, who comes and goes")
    )
    searched.add_argument(
        "--once", metavar="NAME", help=t("print the stocks of one condition and end")
    )
    searched.add_argument("--list", action="store_true", help=t("print the names and end"))
    searched.add_argument(
        "--prices", action="store_true", help=t("the stocks in them with live prices, as a table")
    )
    searched.add_argument(
        "--seconds", type=float, default=0.0, help=t("follow so long; 0: until Ctrl-C")
    )
    run = command("run", t("all of it as a service: premium, balances, open orders, day report"))
    run.add_argument("--seconds", type=float, default=0.0, help=t("end after so long; 0: never"))
    report = command("report", t("what a day came to: orders, fees, result, premium; asks nobody"))
    report.add_argument("--day", type=date.fromisoformat, help=t("2026-11-27; today by default"))
    command("status", t("lines and calls of the running monitor"))
    command("check", t("find what keeps the monitor from working; sends no order"), 8.0)
    return parser


def _orders(commands: Any, common: Callable[[argparse.ArgumentParser], None], t: Callable[[str], str]) -> None:  # fmt: skip
    """Add `orders` and its commands."""
    text = t(
        "orders at Upbit, Binance, Kiwoom; a dry run unless --send is given; alone: the table of all"
    )
    whole = commands.add_parser("orders", help=text, description=text)
    actions = whole.add_subparsers(dest="action", required=True)

    def action(name: str, words: str, venue: bool = True) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = actions.add_parser(name, help=words, description=words)
        made.add_argument("venue", choices=VENUES, nargs=None if venue else "?")
        common(made)
        return made

    action("list", t("what the journals say; asks nobody"), venue=False)
    order = action("place", t("check one order; with --send it leaves, once"))
    order.add_argument("side", choices=("buy", "sell"))
    order.add_argument("symbol", help=t("KRW-BTC at Upbit, BTCUSDT at Binance, 005930 at Kiwoom"))
    order.add_argument("--quantity", help=t("of the coin or stock"))
    order.add_argument("--money", help=t("what a market buy spends"))
    order.add_argument("--price", help=t("of a limit order"))
    order.add_argument("--kind", choices=("limit", "ioc", "post", "market"), default="limit")
    order.add_argument(
        "--cause", help=t("the same cause on the same day is the same order, sent once")
    )
    action("cancel", t("take one order back")).add_argument(
        "id", help=t("as `orders list` shows it")
    )
    changed = action(
        "change", t("another price of what is left, at Kiwoom; with --send it leaves, once")
    )
    changed.add_argument("id", help=t("as `orders list` shows it"))
    changed.add_argument("--price", required=True, help=t("the new price"))
    for made in (order, changed):
        made.add_argument(
            "--send", action="store_true", help=t("send it; without this it is only checked")
        )
        made.add_argument("--live", action="store_true", help=t("with --send: real money"))
    settled = action(
        "settle", t("say what became of an order that you had to look for; sends nothing")
    )
    settled.add_argument("id", help=t("as `orders list` shows it"))
    said = settled.add_mutually_exclusive_group(required=True)
    said.add_argument("--never", action="store_true", help=t("the venue has no such order"))
    said.add_argument("--number", help=t("its order number at Kiwoom"))
    action("resolve", t("look what became of open orders; sends none"))
    moved = action("level", t("the kill switch: 0 on, 1 no entries, 2 take entries back as well"))
    moved.add_argument("number", type=int, choices=(0, 1, 2))
    action("pin", t("print the pin that real money needs in the settings"))
