"""A whole order book kept from differences, as Binance tells them. Pure.

    differences ─▶ kept ─┐
    snapshot by REST ────┴─▶ those that it holds already are dropped; the first of the others must reach
                             back to it, each later one to the one before it ─▶ whole book
    a gap, or a connection that ended ─▶ no book; a new snapshot is wanted

A level of size 0 is gone. Until the book is whole nothing is shown.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any

from kis_realtime_trading import BadData
from venues.common import VBook, amount, field_of, int_field, text_field

SHOWN = 10  # levels a side
MOST_WAITING = 5_000
Levels = list[tuple[Decimal, Decimal]]


class DepthBook:
    """One symbol."""

    def __init__(self, venue: str, symbol: str) -> None:
        self._venue, self.symbol = venue, symbol
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}
        self._last: int | None = None  # the number of the last change that is in it
        self._waiting: deque[tuple[int, int, Levels, Levels]] = deque(maxlen=MOST_WAITING)
        self._newest = self.gaps = 0

    @property
    def whole(self) -> bool:
        """Tell whether it is the venue's book; else a snapshot is wanted."""
        return self._last is not None

    def begin(self) -> None:
        """Know nothing: a connection was opened anew."""
        self._last, self._newest = None, 0
        self._waiting.clear()

    def difference(self, frame: Any, seen_ns: int) -> VBook | None:
        """Take one `depthUpdate` in; return the book when it is whole. Raises BadData."""
        if text_field(frame, "s") != self.symbol:
            return None
        first, last = int_field(frame, "U"), int_field(frame, "u")
        self._newest = max(self._newest, last)
        self._waiting.append((first, last, _levels(frame, "b"), _levels(frame, "a")))
        return self._book(int_field(frame, "E"), seen_ns) if self.whole and self._follow() else None

    def snapshot(self, body: Any, seen_ns: int) -> VBook | None:
        """Take the answer of `depth` in; None: it is older than the differences we have. Raises BadData."""
        bids, asks, last = _levels(body, "bids"), _levels(body, "asks"), int_field(body, "lastUpdateId")  # fmt: skip
        if not self._waiting and last < self._newest:
            return None
        self._bids, self._asks = ({p: q for p, q in side if q} for side in (bids, asks))
        self._last = last
        return self._book(None, seen_ns) if self._follow() else None

    def _follow(self) -> bool:
        """Take in what waits; False at a gap: then nothing is known, and what is beyond it waits on."""
        while self._waiting and self._last is not None:
            first, last, bids, asks = self._waiting[0]
            if first > self._last + 1:
                self.gaps += 1
                self._last = None
                return False
            self._waiting.popleft()
            if last <= self._last:
                continue
            for side, changes in ((self._bids, bids), (self._asks, asks)):
                for price, size in changes:
                    if size:
                        side[price] = size
                    else:
                        side.pop(price, None)
            self._last = last
        return True

    def _book(self, ts_ms: int | None, seen_ns: int) -> VBook:
        bids = sorted(self._bids.items(), reverse=True)[:SHOWN]
        return VBook(self._venue, self.symbol, tuple(bids), tuple(sorted(self._asks.items())[:SHOWN]), ts_ms, seen_ns)  # fmt: skip


def _levels(record: Any, name: str) -> Levels:
    """Read price and size pairs."""
    rows = field_of(record, name)
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) >= 2 for row in rows):  # fmt: skip
        raise BadData(f"{name} is no list of levels")
    found = [(amount(row[0]), amount(row[1])) for row in rows]
    if any(price <= 0 or size < 0 for price, size in found):
        raise BadData(f"{name}: a level of nothing")
    return found
