"""Read a journal that may be in use, large, or somebody else's; nothing here can change it.

The bot's own `Journal` verifies the whole hash chain, which takes seconds on a year of trading.
Reports and pictures do not: they open the file read only (`mode=ro`, also while the bot writes),
read it in short transactions so that the bot can tidy its file in between, and trust the rows as
far as their form goes. `--journal --verify` and the bot's start check the chain.

A foreign file is data, not a program: only the two tables that the bot makes are read, by name
and type; views, virtual tables and generated columns are refused before anything is selected, and
no row may be longer than MOST_ROW_BYTES.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import kis_realtime_trading as bot

MOST_ROW_BYTES = 1_000_000  # the longest row ever written by the bot has some 3,000
BATCH_ROWS, BATCH_BYTES = 5_000, 8_000_000  # of one read transaction
COLUMNS = (
    ("seq", "INTEGER"), ("at", "TEXT"), ("kind", "TEXT"), ("ref", "TEXT"), ("body", "TEXT"),
    ("hash", "TEXT"),
)  # fmt: skip


class Row(NamedTuple):
    """One row of a journal, without its hash."""

    seq: int
    at: str  # ISO, KST
    kind: str
    ref: str
    body: str  # JSON

    def data(self) -> dict[str, Any]:
        """Return the body. Raises bot.JournalError when it is no JSON object."""
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError):
            raise bot.JournalError(
                bot.Both(f"row {self.seq} is no JSON", f"{self.seq}번 줄이 JSON이 아닙니다")
            ) from None
        if not isinstance(data, dict):
            raise bot.JournalError(
                bot.Both(
                    f"row {self.seq} is no JSON object", f"{self.seq}번 줄이 JSON 객체가 아닙니다"
                )
            )
        return data


class JournalReader:
    """Rows of one journal file, in batches. Use as a context manager, or close()."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise bot.JournalError(bot.Both(f"no journal {path}", f"{path}: 그런 저널이 없습니다"))
        uri = bot.reading_uri(path.absolute())
        try:
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=2.0)
            self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_ROW_BYTES)
            self._db.execute("PRAGMA trusted_schema=OFF")
            self._db.execute("PRAGMA query_only=ON")
            self._check_form()
        except sqlite3.Error as error:
            raise bot.JournalError(
                bot.Both(
                    f"{path} cannot be read: {error}",
                    f"{path}: 읽을 수 없습니다({bot.system_words(error).ko})",
                )
            ) from None

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _check_form(self) -> None:
        """Refuse a file that is not made as the bot makes it, before anything of it is read."""
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version not in bot.Journal.READS:
            raise bot.JournalError(
                bot.Both(
                    f"{self.path}: format {version}, this program reads {bot.Journal.VERSION}",
                    f"{self.path}: 형식 {version}입니다. 이 프로그램은 {bot.Journal.VERSION}을 읽습니다",
                )
            )
        found = self._db.execute("SELECT type, name FROM sqlite_master LIMIT 20").fetchall()
        kinds = self._db.execute("PRAGMA table_list('rows')").fetchall()
        columns = [
            (each[1], each[2]) for each in self._db.execute("PRAGMA table_xinfo('rows')")
            if not each[6]
        ]  # fmt: skip
        hidden = any(each[6] for each in self._db.execute("PRAGMA table_xinfo('rows')"))
        plain = [each[2] for each in kinds if each[0] == "main"] == ["table"]
        if ("table", "rows") not in found or not plain or hidden or tuple(columns) != COLUMNS:
            raise bot.JournalError(
                bot.Both(
                    f"{self.path} is not a journal of this bot",
                    f"{self.path}: 이 봇의 저널이 아닙니다",
                )
            )

    @property
    def last_seq(self) -> int:
        """Return the number of the newest row, 0 when there is none."""
        return int(self._ask("SELECT COALESCE(MAX(seq), 0) FROM rows")[0][0])

    def rows(
        self, kinds: Sequence[str] = (), after: int = 0, until: int | None = None
    ) -> Iterator[Row]:
        """Read rows in order, all or of some kinds, with numbers over `after` and up to `until`.

        Each batch is a transaction of its own: a reader that pauses (a pager) holds nothing up.
        """
        last = self.last_seq if until is None else until
        where = f" AND kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        query = (
            "SELECT seq, at, kind, ref, body FROM rows WHERE seq > ? AND seq <= ?"
            f"{where} ORDER BY seq LIMIT {BATCH_ROWS}"
        )
        while True:
            batch = self._batch(query, (after, last, *kinds))
            yield from batch
            if not batch:
                return
            after = batch[-1].seq

    def verify(self) -> int:
        """Check the hash chain of all rows; return how many. Raises bot.JournalError."""
        previous, seq, last = "0" * 64, 0, self.last_seq
        query = "SELECT seq, at, kind, ref, body, hash FROM rows WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 500"
        while seq < last:
            for found in self._ask(query, (seq, last)):
                row = self._row(found[:5])
                if row.seq != seq + 1:
                    raise bot.JournalError(
                        bot.Both(
                            f"{self.path}: row {seq + 1} is missing",
                            f"{self.path}: {seq + 1}번 줄이 없습니다",
                        )
                    )
                if found[5] != bot._chain(previous, *row):
                    raise bot.JournalError(
                        bot.Both(
                            f"{self.path}: row {row.seq} is not what was written",
                            f"{self.path}: {row.seq}번 줄이 처음 쓴 것과 다릅니다",
                        )
                    )
                previous, seq = found[5], row.seq
        return seq

    def last_days(self, count: int) -> list[int]:
        """Return the numbers of the rows that opened the last days, oldest first."""
        found = self._ask(
            "SELECT seq FROM rows WHERE kind = 'ledger' AND body LIKE '%\"type\":\"DayOpened\"%' "
            "ORDER BY seq DESC LIMIT ?",
            (count,),
        )
        return sorted(int(each[0]) for each in found)

    def last_of(self, kind: str, ref: str, until: int, back: int = 20_000) -> Row | None:
        """Return the newest row of a kind and ref up to a number, among the `back` rows before."""
        found = self._ask(
            "SELECT seq, at, kind, ref, body FROM rows WHERE seq <= ? AND seq > ? AND kind = ? "
            "AND ref = ? ORDER BY seq DESC LIMIT 1",
            (until, until - back, kind, ref),
        )
        return self._row(found[0]) if found else None

    def _ask(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise bot.JournalError(
                bot.Both(
                    f"{self.path} cannot be read: {error}",
                    f"{self.path}: 읽을 수 없습니다({bot.system_words(error).ko})",
                )
            ) from None

    def _batch(self, query: str, values: Sequence[Any]) -> list[Row]:
        batch, size = [], 0
        try:
            with contextlib.closing(self._db.execute(query, values)) as cursor:
                for found in cursor:
                    batch.append(self._row(found))
                    size += len(batch[-1].body)
                    if size > BATCH_BYTES:
                        break
        except sqlite3.Error as error:
            raise bot.JournalError(
                bot.Both(
                    f"{self.path} cannot be read: {error}",
                    f"{self.path}: 읽을 수 없습니다({bot.system_words(error).ko})",
                )
            ) from None
        return batch

    def _row(self, found: Sequence[Any]) -> Row:
        if not all(type(text) is str for text in found[1:]):
            raise bot.JournalError(
                bot.Both(
                    f"{self.path}: row {found[0]} is not as the bot writes rows",
                    f"{self.path}: {found[0]}번 줄이 봇이 쓰는 모양이 아닙니다",
                )
            )
        return Row(*found)


def find_journals(folder: Path) -> list[Path]:
    """Return the journals of a state folder. Raises bot.BotError when there is none."""
    found = sorted(folder.glob("journal-*.sqlite3"))
    if not found:
        below = sorted({path.parent for path in folder.glob("*/journal-*.sqlite3")})
        english, korean = (
            (f"; there is one in {below[-1]}", f" 예: --state {below[-1]}") if below else ("", "")
        )
        raise bot.BotError(
            bot.Both(
                f"no journal in {folder}; name its folder with --state{english}",
                f"{folder}에 저널이 없습니다. 저널의 폴더를 --state로 알려 주십시오.{korean}",
            )
        )
    return found


__all__ = ["JournalReader", "Row", "find_journals"]
