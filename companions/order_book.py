"""The levels of an order book, out of the H0STASP0 frame that the status holds for each stock.

The bot keeps the newest frame of a stock as it came, which costs nothing on the way of an order; who
shows a book reads it here. A picture for people, never the ground of an order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ASKS, BIDS, SIZES = 3, 13, 20  # fields of a record: ten prices a side, and where their sizes stand


def levels(frame: object, symbol: str) -> dict[str, Any] | None:
    """Return time, asks and bids as [price, shares], best first; None when there is no such book.

    >>> frame = "0|H0STASP0|001|" + "^".join(["A", "093000", "0", "11", *["0"] * 9, "10", *["0"] * 45])
    >>> levels(frame, "A")
    {'time': '093000', 'asks': [[11, 0]], 'bids': [[10, 0]]}
    """
    try:
        count, payload = str(frame).split("|", 3)[2:]
        fields = payload.split("^")
        records = range(0, len(fields), len(fields) // int(count))
        f = fields[max(at for at in records if fields[at] == symbol) :]
        asks, bids = (
            [[int(f[at]), int(f[at + SIZES])] for at in range(side, side + 10) if f[at].strip("0")]
            for side in (ASKS, BIDS)
        )
    except (ValueError, IndexError, ZeroDivisionError):
        return None
    return {"time": f[1], "asks": asks, "bids": bids}


def read_books(status: Mapping[str, Any]) -> None:
    """Put the levels in the place of each frame of a status."""
    for each in status.get("symbols") or []:
        each["book"] = levels(each.get("book"), str(each.get("symbol")))
