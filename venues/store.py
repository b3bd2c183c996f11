"""`premium.sqlite3`: the premium by the minute, written by the monitor, read by anybody.

One table `minute`, one row a coin and minute: `minute` (minutes since 1970, UTC), `coin`, and the
premium against Upbit's own KRW-USDT in parts per million, whole numbers: `o`, `h`, `l`, `c`.
"""

from __future__ import annotations

import os
import sqlite3
import urllib.parse
from fractions import Fraction
from pathlib import Path

from venues.common import rounded

KEPT_MINUTES = 30 * 24 * 60
CACHE_KIB = 256  # ranks read the whole month each minute: SQLite would keep 2 MB of it
LEVELS = "▁▂▃▄▅▆▇█"


class PremiumStore:
    """The file. Opened read-only it never makes one."""

    def __init__(self, path: Path, read_only: bool = False) -> None:
        if not read_only:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._cleared = -1  # the minute in which old rows were dropped last
        mode = "ro" if read_only else "rwc"
        uri = f"file:{urllib.parse.quote(str(path))}?mode={mode}"
        self._db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=2.0)
        self._db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        if not read_only:
            os.chmod(path, 0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")  # a power cut may cost seconds of figures
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS minute (minute INTEGER, coin TEXT, o INTEGER NOT NULL, "
                "h INTEGER NOT NULL, l INTEGER NOT NULL, c INTEGER NOT NULL, "
                "PRIMARY KEY (minute, coin)) WITHOUT ROWID"
            )

    def put(self, now_ms: int, coin: str, premium: Fraction) -> None:
        """Take a figure into its minute; drop what is older than 30 days."""
        minute, ppm = now_ms // 60_000, round(premium * 1_000_000)
        self._db.execute(
            "INSERT INTO minute VALUES (?1, ?2, ?3, ?3, ?3, ?3) ON CONFLICT DO UPDATE SET "
            "h = max(h, ?3), l = min(l, ?3), c = ?3", (minute, coin, ppm),
        )  # fmt: skip
        if minute != self._cleared:
            self._cleared = minute
            self._db.execute("DELETE FROM minute WHERE minute < ?", (minute - KEPT_MINUTES,))

    def closes(self, coin: str, since_ms: int) -> list[tuple[int, int]]:
        """Return (minute, last figure in ppm) in order."""
        asked = "SELECT minute, c FROM minute WHERE coin = ? AND minute >= ? ORDER BY minute"
        return [(row[0], row[1]) for row in self._db.execute(asked, (coin, since_ms // 60_000))]

    def span(self, coin: str, since_ms: int, until_ms: int) -> tuple[int, int, int] | None:
        """Return least, most and last figure of a span in ppm, None for nothing kept."""
        where = "FROM minute WHERE coin = ? AND minute >= ? AND minute < ?"
        given = (coin, since_ms // 60_000, until_ms // 60_000)
        low, high = self._db.execute(f"SELECT min(l), max(h) {where}", given).fetchone()
        if low is None:
            return None
        last = self._db.execute(f"SELECT c {where} ORDER BY minute DESC LIMIT 1", given).fetchone()
        return low, high, last[0]

    def rank(self, coin: str, ppm: int, since_ms: int) -> int | None:
        """Return how many per cent of the minutes since then closed lower; None: fewer than 60."""
        asked = "SELECT count(*), total(c < ?) FROM minute WHERE coin = ? AND minute >= ?"
        count, lower = self._db.execute(asked, (ppm, coin, since_ms // 60_000)).fetchone()
        return int(lower) * 100 // count if count >= 60 else None

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def chart(values: list[int], width: int = 60) -> str:
    """Return figures as a line of blocks, the newest at the right, "" for none."""
    shown = values[-width:]
    if not shown:
        return ""
    least, span = min(shown), max(shown) - min(shown)
    return "".join(LEVELS[(each - least) * 7 // span if span else 0] for each in shown)


def columns(rows: list[tuple[int, int]], width: int) -> list[int | None]:
    """Spread (minute, ppm) over columns of equal time: the last of each; None: nothing known."""
    if not rows:
        return []
    first, span = rows[0][0], rows[-1][0] - rows[0][0] + 1
    found: list[int | None] = [None] * min(width, span)
    for minute, ppm in rows:
        found[(minute - first) * len(found) // span] = ppm
    return found


def plot(rows: list[tuple[int, int]], width: int = 60, height: int = 6) -> list[str]:
    """Return a chart of (minute, ppm): lines of text, per cents at the left; gaps stay empty."""
    found = columns(rows, width)
    known = [each for each in found if each is not None]
    if not known:
        return []
    least, most = min(known), max(known)
    span = max(1, most - least)
    lines = []
    for row in range(height - 1, -1, -1):
        cells = []
        for each in found:
            # eighths of a row above the bottom of this one; the least still shows one
            filled = -1 if each is None else (each - least) * (8 * height - 1) // span + 1 - 8 * row
            cells.append(" " if filled <= 0 else LEVELS[min(filled, 8) - 1])
        edge = {height - 1: most, 0: least}.get(row)
        label = "" if edge is None else f"{rounded(Fraction(edge, 10_000), 2):+}%"
        lines.append(f"{label:>9} ┤{''.join(cells)}".rstrip())
    return lines
