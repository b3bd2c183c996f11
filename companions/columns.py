"""The events of a recording in columns, made once beside it: a replay then reads no text.

    records/20261120-084500-0000.gz        the recording: the truth, as it came
    records/20261120-084500-0000.columns   made by the first replay; may be deleted at any time

It holds, block by block, the order of the events, the times and the trades as whole numbers, and the
lines of everything else as they are; it is about as large as the recording. Its head names the hash of the recording's files and of this
program: with another byte or another decoder it counts for nothing and is made again.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import kis_realtime_trading as bot

FORMAT = b"kis columns 1\n"
BLOCK = 1 << 16  # events
TIME, TRADE, LINE = 0, 1, 2
_SIZES = struct.Struct("<5I")  # bytes, events, times, trades, bytes of the other lines
_SUM = 4  # bytes of the checksum at the end


class Block(NamedTuple):
    """Some events in order: what each is, and the next of each kind."""

    kinds: bytes
    times: Iterator[datetime]
    trades: Iterator[bot.Trade]
    lines: Iterator[str]


def key_of(files: Sequence[Path]) -> bytes:
    """Return what a recording's columns are bound to: its bytes and this program."""
    said = hashlib.sha256(f"{sys.byteorder} {bot.build_hash()}".encode())
    for file in files:
        with file.open("rb") as opened:
            said.update(hashlib.file_digest(opened, "sha256").digest())
    return said.digest()


def place_of(first: Path) -> Path:
    """Return where the columns of a recording are."""
    return first.with_suffix(".columns")


class Writer:
    """Takes events as they are replayed; leaves the columns when all of them came."""

    def __init__(self, first: Path, key: bytes) -> None:
        self._path = place_of(first)
        self._draft = self._path.with_suffix(".columns-new")
        self._file = os.fdopen(
            os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
        )
        self._sum, self._broken = 0, False
        self._put(FORMAT + key)
        self._begin()

    def _begin(self) -> None:
        self._kinds, self._times = bytearray(), array("q")
        self._rows: list[tuple[str, int, int, int, int, int, bool]] = []
        self._lines: list[str] = []

    def _put(self, data: bytes) -> None:
        self._sum = zlib.crc32(data, self._sum)
        if not self._broken:
            try:
                self._file.write(data)
            except OSError:  # a full disk: the replay goes on without columns
                self._broken = True

    def time(self, micros: int) -> None:
        """Take a moment of market time."""
        self._kinds.append(TIME)
        self._times.append(micros)
        if len(self._kinds) >= BLOCK:
            self._flush()

    def trades(self, events: Sequence[bot.MarketEvent]) -> bool:
        """Take the trades of a frame; False when it holds anything else: then its line counts."""
        if not events or any(type(event) is not bot.Trade for event in events):
            return False
        for event in events:
            assert type(event) is bot.Trade
            self._rows.append((event[0], (event[1] - bot.EPOCH) // timedelta(0, 0, 1), *event[2:]))
        self._kinds += bytes((TRADE,)) * len(events)
        return True

    def line(self, line: str) -> None:
        """Take a line as it is."""
        self._kinds.append(LINE)
        self._lines.append(line)

    def _flush(self) -> None:
        columns = list(zip(*self._rows, strict=True)) or [()] * 7
        symbols = sorted(set(columns[0]))
        places = {symbol: n for n, symbol in enumerate(symbols)}
        numbers = b"".join(array("q", column).tobytes() for column in columns[1:6])
        other = json.dumps([symbols, self._lines]).encode()
        body = b"".join((
            self._kinds, self._times.tobytes(), numbers,
            array("H", [places[symbol] for symbol in columns[0]]).tobytes(), bytes(columns[6]), other,
        ))  # fmt: skip
        sizes = (len(body), len(self._kinds), len(self._times), len(self._rows), len(other))
        self._put(_SIZES.pack(*sizes) + body)
        self._begin()

    def close(self, whole: bool) -> None:
        """Put the columns in their place, or drop them when the replay did not come to its end."""
        if whole and self._kinds:
            self._flush()
        try:
            self._file.write(self._sum.to_bytes(_SUM, "little"))
            self._file.close()
        except OSError:
            self._broken = True
        if whole and not self._broken:
            os.replace(self._draft, self._path)
        else:
            self._draft.unlink(missing_ok=True)


def begin(first: Path, key: bytes) -> Writer | None:
    """Begin the columns of a recording; None where nothing can be written. Orphans are deleted."""
    for old in first.parent.glob("*.columns*"):
        if not old.with_suffix(".gz").exists():
            old.unlink(missing_ok=True)
    try:
        return Writer(first, key)
    except OSError:
        return None


def blocks_of(first: Path, key: bytes) -> Iterator[Block] | None:
    """Return the blocks of a recording's columns; None when there are none that count."""
    path = place_of(first)
    try:
        size = path.stat().st_size - _SUM
        with path.open("rb") as file:
            if file.read(len(FORMAT) + len(key)) != FORMAT + key:
                return None
            file.seek(0)
            said, left = 0, size
            while left > 0 and (data := file.read(min(left, 1 << 20))):
                said = zlib.crc32(data, said)
                left -= len(data)
            if file.read() != said.to_bytes(_SUM, "little"):
                return None
    except OSError:
        return None
    return _blocks(path, len(FORMAT) + len(key), size)


def _blocks(path: Path, begin: int, end: int) -> Iterator[Block]:
    with path.open("rb") as file:
        file.seek(begin)
        while file.tell() < end:
            length, events, times, trades, other = _SIZES.unpack(file.read(_SIZES.size))
            yield _block(file.read(length), events, times, trades, other)


def _block(body: bytes, events: int, times: int, trades: int, other: int) -> Block:
    at = events
    moments = array("q", body[at : at + 8 * times])
    at += 8 * times
    numbers = [array("q", body[at + 8 * trades * n : at + 8 * trades * (n + 1)]) for n in range(5)]
    at += 40 * trades
    places, halted = array("H", body[at : at + 2 * trades]), body[at + 2 * trades : at + 3 * trades]
    symbols, lines = json.loads(body[len(body) - other :])
    epoch, new = bot.EPOCH, tuple.__new__
    when = {micros: epoch + timedelta(0, 0, micros) for micros in set(numbers[0])}
    values = zip(
        map(symbols.__getitem__, places), map(when.__getitem__, numbers[0]), *numbers[1:],
        map((False, True).__getitem__, halted), strict=True,
    )  # fmt: skip
    gaps = map(timedelta, itertools.repeat(0), itertools.repeat(0), moments)
    return Block(
        body[:events], map(epoch.__add__, gaps), map(new, itertools.repeat(bot.Trade), values),
        iter(lines),
    )  # fmt: skip
