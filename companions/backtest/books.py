"""The report of a run from its rows as they are made, without a journal in between.

Equal to `reports.read_report` of the journal that the same rows make (a test compares them), but
nothing is written as JSON and read back: that is a third of the time of a run with many orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from companions import reports
from companions.figures import Refused, Report

Rows = Sequence[tuple[str, str, Any]]


class Books:
    """Takes the rows of a run, day by day; makes its report."""

    def __init__(self, fees: tuple[Decimal, Decimal], path: Path) -> None:
        self._accountant, self._path = reports.Accountant(*fees), path
        self._accountant.price_of = self._price_of
        self._closes: dict[str, int] = {}
        self._refused: list[Refused] = []
        self._notes: list[str] = []

    def _price_of(self, symbol: str) -> int:
        instrument = self._accountant.ledger.instruments.get(symbol)
        return self._closes.get(symbol) or (instrument.base_price if instrument else 0)

    def take(self, rows: Rows, at: datetime) -> None:
        """Take the rows of a day; `at` is the time that the journal gives them."""
        accountant = self._accountant
        for kind, ref, data in rows:
            if kind in ("intent", "ledger"):
                accountant.take_entry(data)
            elif kind == "instrument":
                accountant.ledger.instruments[data.symbol] = data
            elif kind == "refusal":
                self._refused.append(reports.refused_of(at, ref, data))
            elif kind == "day":
                self._notes += reports.compare_day(ref, data, accountant.ledger)
            elif kind == "bar":
                self._closes[ref] = data["bar"].close

    def report(self) -> Report:
        """Return the figures of all days so far. Once: it ends the last day."""
        self._accountant.end_day()
        still_open = self._accountant.open_positions()
        span = (None, None, "")
        return reports.report_of(
            self._path, self._accountant, still_open, self._refused, self._notes, span
        )
