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

KEPT_MINUTES = 30 * 24 * 60
LEVELS = "▁▂▃▄▅▆▇█"


class PremiumStore:
    """The file. Opened read-only it never makes one."""

    def __init__(self, path: Path, read_only: bool = False) -> None:
        if not read_only:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = "ro" if read_only else "rwc"
        uri = f"file:{urllib.parse.quote(str(path))}?mode={mode}"
        self._db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=2.0)
        if not read_only:
            os.chmod(path, 0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
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
        self._db.execute("DELETE FROM minute WHERE minute < ?", (minute - KEPT_MINUTES,))

    def closes(self, coin: str, since_ms: int) -> list[tuple[int, int]]:
        """Return (minute, last figure in ppm) in order."""
        asked = "SELECT minute, c FROM minute WHERE coin = ? AND minute >= ? ORDER BY minute"
        return [(row[0], row[1]) for row in self._db.execute(asked, (coin, since_ms // 60_000))]

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
