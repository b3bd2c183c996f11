"""What the page shows, read from the state folder. Plain JSON values; money in won, times in KST."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any

import kis_realtime_trading as bot
from companions import reports, row_words, why
from companions.journal_reader import JournalReader, find_journals
from companions.names import names_of, with_names
from companions.order_book import read_books
from companions.report_view import Words
from companions.status import STALE_S, holds_of

MOST_JOURNAL_ROWS = 300
KST_S = 9 * 3600  # the chart has no time zones: it is given Korean wall time as if it were UTC


def read_status(folder: Path) -> dict[str, Any]:
    """Return the status with its age in seconds; {} fields only when there is none."""
    path = folder / bot.STATUS_FILE
    try:
        changed = path.stat().st_mtime
        status = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"stale": True, "written_s": None}
    if not isinstance(status, dict):
        return {"stale": True, "written_s": None}
    age = max(0.0, time.time() - changed)
    known = names_of(folder)
    for each in status.get("symbols", ()):
        each["name"] = each.get("name") or known.get(each.get("symbol", ""), "")
    read_books(status)
    status["holds"] = holds_of(status)
    status["messages"] = [with_names(str(each), known) for each in status.get("messages", ())]
    return {**status, "written_s": round(age, 1), "stale": age > STALE_S}


def newest_journal(folder: Path) -> Path:
    """Return the journal written last. Raises bot.BotError when there is none."""
    return max(find_journals(folder), key=lambda path: path.stat().st_mtime)


class Cached:
    """The report of the newest journal, made again only when rows came, and not more than once in 3 s."""

    PAUSE_S = 3.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._of: tuple[Path, int] | None = None
        self._at = -1e9
        self._report: Any = None

    def report(self) -> Any:
        """Return the reports.Report of the newest journal."""
        path = newest_journal(self._folder)
        if self._report is not None and time.monotonic() - self._at < self.PAUSE_S:
            return self._report
        with JournalReader(path) as reader:
            seq = reader.last_seq
        if self._of != (path, seq):
            self._report, self._of = reports.read_report(path), (path, seq)
        self._at = time.monotonic()
        return self._report


def results(report: Any, language: str) -> dict[str, Any]:
    """Return the figures of the results page: days, totals, groups, round trips (newest first).

    Reasons are worded in the reader's language; the journal keeps them in English.
    """
    words = Words(language)
    known = names_of(None)
    shown: dict[str, Any] = {
        "days": reports.to_json(report.days), "totals": reports.to_json(report.totals),
        "trips": reports.to_json(report.trips[-500:][::-1]), "notes": reports.to_json(report.notes),
        "orders": reports.to_json(report.orders[-300:][::-1]),
        "refused": {words.rule(code): n for code, n in report.refusals_by_rule().items()},
        "result_krw": sum(day.result_krw for day in report.days),
        "by_reason": reports.to_json(reports.group(report.trips, "reason")),
        "by_symbol": reports.to_json(reports.group(report.trips, "symbol")),
        "by_month": reports.to_json(reports.group(report.trips, "month")),
    }  # fmt: skip
    for line in (*shown["trips"], *shown["orders"]):
        line["name"] = line.get("name") or known.get(line["symbol"], "")
    for line in (*shown["trips"], *shown["orders"]):
        for key in ("reason", "entry_reason"):
            if key in line:
                line[key] = words.reason(line[key])
    for line in shown["by_symbol"]:
        line["name"] = report.names.get(line["key"]) or known.get(line["key"], "")
    for line in shown["by_reason"]:
        line["key"] = words.reason(line["key"])
    return shown


def _seconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) + KST_S


def candles(folder: Path, symbol: str, report: Any, most: int = 400) -> dict[str, Any]:
    """Return the newest bars of a stock and its filled orders as marks."""
    bars: deque[dict[str, Any]] = deque(maxlen=most)
    with JournalReader(newest_journal(folder)) as reader:
        for row in reader.rows(("bar",), after=max(0, reader.last_seq - 60_000)):
            if row.ref != symbol:
                continue
            bar = row.data()["bar"]
            value, volume = bar["value_krw"], bar["volume"]
            bars.append({
                "time": _seconds(bar["start"]), "open": bar["open"], "high": bar["high"],
                "low": bar["low"], "close": bar["close"], "volume": volume, "value": value,
            })  # fmt: skip
    first = bars[0]["time"] if bars else 0
    gains = {intent: trip.gain_krw for trip in report.trips for intent in trip.exits[-1:]}
    marks = [
        {
            "time": round(order.at.timestamp()) + KST_S, "side": order.side,
            "shares": order.filled, "price": order.fill_price, "gain": gains.get(order.intent_id),
        }
        for order in report.orders
        if order.symbol == symbol and order.filled
    ]  # fmt: skip
    in_time = sorted({bar["time"]: bar for bar in bars}.values(), key=lambda bar: int(bar["time"]))
    marks = [mark for mark in marks if mark["time"] >= first]
    return {"symbol": symbol, "bars": in_time, "marks": marks}


def premium(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the premium of each coin by the minute in %, of the last day in the monitor's store.

    The store stands beside the state folder, as both programs make them; {} when there is none.
    """
    path = folder.absolute().parent / "venue_state" / "premium.sqlite3"
    since = int(time.time()) // 60 - 24 * 60
    found: dict[str, list[dict[str, Any]]] = {}
    with contextlib.suppress(sqlite3.Error):
        db = sqlite3.connect(bot.reading_uri(path), uri=True, timeout=1.0)
        with contextlib.closing(db):
            asked = "SELECT coin, minute, c FROM minute WHERE minute >= ? ORDER BY minute"
            for coin, minute, ppm in db.execute(asked, (since,)):
                point = {"time": minute * 60 + KST_S, "value": ppm / 10_000}
                found.setdefault(str(coin)[:12], []).append(point)
    return found


def sentences(folder: Path, wanted: str, language: str) -> list[str]:
    """Return what `--why` says of an order. Raises bot.BotError when the journal has none."""
    return why.explain(newest_journal(folder), wanted, language)


def journal_rows(folder: Path, kind: str, text: str, language: str) -> list[dict[str, Any]]:
    """Return the newest rows of a kind ("" for all but bars) that contain a text, newest first."""
    found: deque[dict[str, Any]] = deque(maxlen=MOST_JOURNAL_ROWS)
    known = names_of(folder)
    codes, orders = {name: code for code, name in known.items()}, dict[str, str]()
    text = codes.get(text.strip(), text.strip())  # a stock may be searched by its name
    with JournalReader(newest_journal(folder)) as reader:
        kinds = (kind, "intent") if kind else ()  # which say of what stock the others are
        for row in reader.rows(kinds, after=max(0, reader.last_seq - 20_000)):
            if not kind and row.kind in ("bar", "hold"):
                continue
            data = row.data()
            data = data.get("bar", data) if row.kind == "bar" else data
            said = row_words.in_words(row.kind, row.ref, data, language, known, orders)
            if kind and row.kind != kind:
                continue
            about = row.ref, row.body, said, orders.get(row.ref, "")
            if text and not any(text in each for each in about):
                continue
            kind_word = row_words.kind_word(row.kind, language)
            found.append({"seq": row.seq, "at": row.at[:19], "kind": kind_word, "text": said})
    return list(found)[::-1]
