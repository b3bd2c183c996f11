"""`--journal` and `--why`: the journal for people, with filters, into a pager or as it grows.

    python kis_realtime_trading.py --journal --from 2026-11-26 --symbol 005930 --type alert,intent
    python kis_realtime_trading.py --journal --follow
    python kis_realtime_trading.py --journal | head

The whole journal is printed with its hash chain verified; what is chosen from it is not verified.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from datetime import timedelta

from rich.cells import cell_len

import kis_realtime_trading as bot
from companions import report_view, row_words, why
from companions.control import folder_to_read
from companions.journal_reader import JournalReader, Row, find_journals
from companions.names import code_of, known_code, names_of

FOLLOW_S = 0.5


def in_short(row: Row) -> str:
    """Return the body of a row in a few words."""
    data = row.data()
    data.pop("type", None)
    if row.kind == "bar" and isinstance(data.get("bar"), dict):
        data = {k: v for k, v in data["bar"].items() if k not in ("type", "symbol")}
    return " ".join(f"{key}={value}" for key, value in data.items() if value not in (None, "", 0))


def raw_line(row: Row) -> str:
    """Return a row as one line, its values under the names that programs use."""
    return _shown(f"{row.seq:>6} {row.at[:19]} {row.kind:9} {row.ref:18} {in_short(row)}")


def line_of(
    row: Row, language: str, names: Mapping[str, str], orders: MutableMapping[str, str]
) -> str:
    """Return a row as one line in the reader's words; `orders` remembers the stocks of orders."""
    data = row.data()
    data = data["bar"] if row.kind == "bar" and isinstance(data.get("bar"), dict) else data
    said = row_words.in_words(row.kind, row.ref, data, language, names, orders)
    return _shown(f"{row.seq:>6} {row.at[:19]} {row.kind:10} {said}")


def folded(lines: Sequence[str], wide: int, indent: int = 0) -> list[str]:
    """Return lines that break between words and stand under each other; no width: as they are.

    >>> folded(["a result of -4,020 won"], 16, 2)
    ['a result of', '  -4,020 won']
    """
    if not wide:
        return list(lines)
    room, found = wide if wide > 60 else wide * 2, list[str]()
    indent = indent if wide > 60 else 2
    for line in lines:
        row = ""
        for word in line.split(" "):
            if row.strip() and cell_len(row) + 1 + cell_len(word) > min(room, wide):
                found.append(row)
                row = " " * indent + word
            else:
                row = f"{row} {word}" if row else word
        found.append(row)
    return found


def _shown(text: str) -> str:
    """Return a text without control characters."""
    return "".join(each if each.isprintable() else "?" for each in text)


def chooser(options: argparse.Namespace) -> Callable[[Row], bool]:
    """Return what tells whether a row is wanted by --from, --to and --symbol."""
    first = report_view.day_of(options.first, "--from")
    last = report_view.day_of(options.last, "--to")
    start = first.isoformat() if first else ""
    end = (last + timedelta(days=1)).isoformat() if last else "~"
    symbol, orders = known_code(options.symbol or "", options.state), set[str]()

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
    kinds = tuple(word.strip().lower() for word in (options.type or "").split(",") if word.strip())
    if unknown := [kind for kind in kinds if kind not in row_words.KINDS]:
        known = ", ".join(row_words.KINDS)
        korean = ", ".join(f"{kind}({words[0]})" for kind, words in row_words.KINDS.items())
        wrong = f"--type {','.join(unknown)}"
        raise bot.BotError(
            bot.Both(f"{wrong}: none of {known}", f"{wrong}: 다음 중에서 고르십시오: {korean}")
        )
    return kinds


def followed(reader: JournalReader, kinds: tuple[str, ...]) -> Iterator[Row]:
    """Yield the rows that are there, then each new one, without end."""
    seen = 0
    for turn in itertools.count():
        if turn:
            time.sleep(FOLLOW_S)
        last = reader.last_seq
        yield from reader.rows(kinds, after=seen, until=last)
        seen = last


def show_journal(options: argparse.Namespace) -> int:
    """Print the rows of each journal of the state folder that the filters choose."""
    language, _ = report_view.settings_of(options)
    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    kinds, some = kinds_of(options), bool(options.first or options.last or options.symbol)
    for path in find_journals(folder_to_read(options)):
        wanted, names, orders = chooser(options), names_of(path.parent), dict[str, str]()
        with JournalReader(path) as reader:
            if not (kinds or some or options.follow):
                count = reader.verify()
                korean = f"{path}: {count:,}줄의 해시 사슬이 온전합니다"
                print(f"{path}: chain of {count:,} rows verified" if language == "en" else korean)
            read = (*kinds, "intent") if kinds else ()  # which say of what stock the others are
            source = followed(reader, read) if options.follow else reader.rows(read)
            for row in source:
                line, shown = line_of(row, language, names, orders), not kinds or row.kind in kinds
                if wanted(row) and shown:
                    print(*folded([line], wide, 38), sep="\n", flush=options.follow)
    return 0


def show_why(options: argparse.Namespace) -> int:
    """Explain one order in sentences, or show its rows. The newest journal that knows it answers."""
    language, fees = report_view.settings_of(options)
    paths = find_journals(folder_to_read(options))
    failure: bot.BotError | None = None
    wanted = code_of(options.why, paths[0].parent) or options.why
    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for path in sorted(paths, key=lambda each: -each.stat().st_mtime):
        try:
            if options.rows:
                lines = [raw_line(row) for row in why.rows_of(path, wanted)]
            else:
                lines = why.explain(path, wanted, language, fees)
        except bot.JournalError:
            raise
        except bot.BotError as error:
            failure = error
            continue
        print(*(lines if options.rows else folded(lines, wide)), sep="\n")
        return 0
    raise failure or bot.BotError(
        bot.Both(
            f"the journal has no order {options.why}",
            f"저널에 {options.why} 주문이 없습니다",
        )
    )
