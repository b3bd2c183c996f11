"""`--journal` and `--why`: the journal for people, with filters, into a pager or as it grows.

    python kis_realtime_trading.py --journal --from 2026-11-26 --symbol 005930 --type alert,intent
    python kis_realtime_trading.py --journal --follow
    python kis_realtime_trading.py --journal | head

The whole journal is printed with its hash chain verified; what is chosen from it is not verified.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import kis_realtime_trading as bot
from companions import report_view, why
from companions.journal_reader import JournalReader, Row, find_journals

FOLLOW_S = 0.5


def pager_friendly(command: Callable[[argparse.Namespace], int]) -> Callable[..., int]:
    """Let a command end in silence when its reader, a pager or `head`, has gone."""

    def run(options: argparse.Namespace) -> int:
        try:
            code = command(options)
            sys.stdout.flush()
            return code
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the last flush, too
            return 0

    return run


def in_short(row: Row, language: str) -> str:
    """Return the body of a row in a few words."""
    data = row.data()
    data.pop("type", None)
    if row.kind == "alert" and row.ref in bot.TEXTS:
        try:
            return bot.say(bot.Alert(row.ref, data), language).replace("\n", " ")
        except (KeyError, ValueError, IndexError, TypeError):  # a foreign row: shown as it is
            return row.body
    if row.kind == "bar" and isinstance(data.get("bar"), dict):
        data = {k: v for k, v in data["bar"].items() if k not in ("type", "symbol")}
    return " ".join(f"{key}={value}" for key, value in data.items() if value not in (None, "", 0))


def line_of(row: Row, language: str) -> str:
    """Return a row as one line, without control characters."""
    text = f"{row.seq:>6} {row.at[:19]} {row.kind:9} {row.ref:18} {in_short(row, language)}"
    return "".join(each if each.isprintable() else "?" for each in text)


def chooser(options: argparse.Namespace) -> Callable[[Row], bool]:
    """Return what tells whether a row is wanted by --from, --to and --symbol."""
    first = report_view.day_of(options.first, "--from")
    last = report_view.day_of(options.last, "--to")
    start = first.isoformat() if first else ""
    end = (last + timedelta(days=1)).isoformat() if last else "~"
    symbol, orders = (options.symbol or "").upper(), set[str]()

    def wanted(row: Row) -> bool:
        if not start <= row.at < end:
            return False
        if not symbol:
            return True
        named = row.ref == symbol or f'"{symbol}"' in row.body
        if named and row.kind in ("intent", "decision", "refusal"):
            orders.add(row.ref)
        return named or row.ref in orders

    return wanted


def kinds_of(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the kinds of rows that --type names."""
    return tuple(word.strip() for word in (options.type or "").split(",") if word.strip())


def followed(reader: JournalReader, kinds: tuple[str, ...]) -> Iterator[Row]:
    """Yield the rows that are there, then each new one, without end."""
    seen = 0
    for turn in itertools.count():
        if turn:
            time.sleep(FOLLOW_S)
        last = reader.last_seq
        yield from reader.rows(kinds, after=seen, until=last)
        seen = last


@pager_friendly
def show_journal(options: argparse.Namespace) -> int:
    """Print the rows of each journal of the state folder that the filters choose."""
    language, _ = report_view.settings_of(options)
    kinds, some = kinds_of(options), bool(options.first or options.last or options.symbol)
    for path in find_journals(bot.state_folder(options, None)):
        wanted = chooser(options)
        with JournalReader(path) as reader:
            if not (kinds or some or options.follow):
                print(f"{path}: chain of {reader.verify()} rows verified")
            source = followed(reader, kinds) if options.follow else reader.rows(kinds)
            for row in source:
                if wanted(row):
                    print(line_of(row, language), flush=options.follow)
    return 0


@pager_friendly
def show_why(options: argparse.Namespace) -> int:
    """Explain one order in sentences, or show its rows. The newest journal that knows it answers."""
    language, fees = report_view.settings_of(options)
    paths = find_journals(bot.state_folder(options, None))
    failure: bot.BotError | None = None
    for path in sorted(paths, key=lambda each: -each.stat().st_mtime):
        try:
            if options.rows:
                lines = [line_of(row, language) for row in why.rows_of(path, options.why)]
            else:
                lines = why.explain(path, options.why, language, fees)
        except bot.JournalError:
            raise
        except bot.BotError as error:
            failure = error
            continue
        print(*lines, sep="\n")
        return 0
    raise failure or bot.BotError(
        bot.Both(
            f"the journal has no order {options.why}",
            f"저널에 {options.why} 주문이 없습니다.",
        )
    )
