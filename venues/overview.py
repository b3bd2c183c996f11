"""All venues in one table: what is held, what was ordered, how lines and calls are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from kis_realtime_trading import OrderStatus, Side
from venues.board import SEOUL
from venues.venue import OrderLine
from venues.words import say, status_word

OLD_BALANCES_S = 90  # asked each 30 s
WIDE_ORDERS = 120  # columns that a table of orders needs with everything in it


def _table(title: str, language: str, left: Iterable[str], right: Iterable[str] = ()) -> Table:
    table = Table(title=title, box=box.SIMPLE, padding=(0, 0, 0, 1), title_justify="left")
    for word in left:
        table.add_column(say(word, language), no_wrap=word not in ("o_status", "b_name"))
    for word in right:
        table.add_column(say(word, language), justify="right", no_wrap=True)
    return table


# --- balances ---------------------------------------------------------------------------


def balances_table(status: Mapping[str, Any], language: str) -> Table:
    """Return what every account holds, with its worth in won and the sum; notes below it."""
    heads = ("b_free", "b_locked", "b_won")
    table = _table(say("b_title", language), language, ("venue", "b_asset"), heads)
    total, unknown, notes = 0, False, []
    for venue, account in status["accounts"].items():
        name = say(venue, language)
        for held in account["holdings"]:
            worth = held["won"]
            total, unknown = total + (worth or 0), unknown or worth is None
            asset = (
                held["asset"]
                if held["name"] == held["asset"]
                else f"{held['name']} {held['asset']}"
            )
            shown = "-" if worth is None else f"{worth:,}"
            table.add_row(f"{name} ({account['use']})", asset, grouped(held["free"]),
                          grouped(held["locked"]), shown, style=None if fresh(status, account) else "dim")  # fmt: skip
        notes += _notes(name, status, account, language)
    if table.row_count:
        table.add_section()
        table.add_row(say("b_total", language), "", "", "", f"{total:,}", style="bold")
    if unknown:
        notes.append(say("b_unknown", language))
    table.caption, table.caption_justify = escape("\n".join(notes)) or None, "left"
    return table


def fresh(status: Mapping[str, Any], account: Mapping[str, Any]) -> bool:
    """Tell whether balances are of the last minute and a half."""
    at = account["at_ms"]
    return at is not None and status["at_ms"] - at <= OLD_BALANCES_S * 1_000


def _notes(
    name: str, status: Mapping[str, Any], account: Mapping[str, Any], language: str
) -> list[str]:
    notes = []
    if account["at_ms"] is None:
        notes.append(say("b_old", language, venue=name))
    elif not fresh(status, account):
        notes.append(
            say("b_age", language, venue=name, age=(status["at_ms"] - account["at_ms"]) // 1_000)
        )
    if account["level"] != "ACTIVE":
        notes.append(say("b_level", language, venue=name, level=account["level"]))
    return notes


def grouped(text: str) -> str:
    """Return an amount with thousands grouped; every digit stays."""
    return f"{Decimal(text):,f}"


# --- orders -----------------------------------------------------------------------------


def orders_table(lines: Iterable[OrderLine], language: str, width: int, now_ms: int) -> Table:
    """Return every order of every venue, the newest last; open ones are bold."""
    wide = width >= WIDE_ORDERS
    heads: tuple[str, ...] = (
        "o_time",
        "venue",
        "o_symbol",
        "o_side",
        "o_wanted",
        "o_price",
        "o_status",
    )
    heads += ("o_filled", "o_fees", "o_id") if wide else ("o_id",)
    table = _table(say("o_title", language), language, heads)
    if not wide:
        table.padding, table.pad_edge = 0, False
    today = datetime.fromtimestamp(now_ms / 1_000, UTC).astimezone(SEOUL).date()
    for line in sorted(lines, key=lambda each: each.at_ms):
        at = datetime.fromtimestamp(line.at_ms / 1_000, UTC).astimezone(SEOUL)
        short = f"{at:%H:%M}" if at.date() == today else f"{at:%m-%d}"
        venue, status = say(line.venue, language), status_word(line.status, language)
        filled = grouped(line.filled)
        if not wide and filled != "0" and line.status is not OrderStatus.FILLED:
            status += f" ({filled})"
        table.add_row(
            f"{at:%m-%d %H:%M}" if wide else short, f"{venue} ({line.use})" if wide else venue,
            line.symbol, say("o_buy" if line.side is Side.BUY else "o_sell", language),
            grouped(line.wanted), grouped(line.price) if line.price else say("o_market", language),
            status, *((filled, line.fees or "-") if wide else ()), line.id,
            style="bold" if line.open else None,
        )  # fmt: skip
    if not table.row_count:
        table.caption, table.caption_justify = say("o_no_orders", language), "left"
    return table


# --- lines and calls --------------------------------------------------------------------


def lines_table(status: Mapping[str, Any], title: str, language: str) -> Table:
    """Return every line: up since, reconnects, frames."""
    table = _table(title, language, ("line", "up"), ("reconnects", "frames", "bad", "last_frame"))
    for each in status["venues"].values():
        for name, line in each["lines"].items():
            up = say("up" if line["up_since_ms"] else "down", language)
            age = line["last_frame_age_ms"]
            last = "-" if age is None else say("seconds", language, s=age // 1_000)
            counts = (f"{line[k]:,}" for k in ("reconnects", "frames", "bad"))
            table.add_row(name, up, *counts, last)
    return table


def calls_table(status: Mapping[str, Any], language: str) -> Table:
    """Return every call: how often, how often it failed, how long it took."""
    heads = ("count", "errors", "median", "p99", "slowest")
    table = _table("", language, ("venue", "call"), heads)
    for venue, each in status["venues"].items():
        for name, call in each["calls"].items():
            failed = sum(
                call[k] for k in ("not_sent", "unknown", "http_4xx", "http_5xx", "http_429")
            )
            times = [f"{call[k]:,} ms" for k in ("ms_p50", "ms_p99", "ms_max")]
            table.add_row(
                say(venue.split()[0], language), name, f"{call['sent']:,}", f"{failed:,}", *times
            )
    return table
