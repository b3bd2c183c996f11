"""The report of a run as it is made, without a journal in between.

The engine's own ledger passes each entry through the accountant of reports, so that it is booked once.
Equal to `reports.read_report` of the journal that the same run makes (a test compares them), but
nothing is written as JSON and read back: that is a third of the time of a run with many orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import kis_realtime_trading as bot
from companions import reports
from companions.figures import Refused, Report

Rows = Sequence[tuple[str, str, Any]]


class KeptLedger(bot.Ledger):
    """The ledger of an engine; an accountant notes what each entry changes."""

    def __init__(self, fees: tuple[Decimal, Decimal]) -> None:
        super().__init__(*fees)
        self.accountant = reports.Accountant(*fees, self)

    def apply(self, entry: bot.LedgerEntry) -> int:
        """Take an entry in, and have it noted."""
        return self.accountant.take_entry(entry)


class Books:
    """Keeps the ledger of a run, takes its other rows day by day; makes its report."""

    def __init__(self, fees: tuple[Decimal, Decimal], path: Path) -> None:
        self.ledger, self._path = KeptLedger(fees), path
        self._accountant = self.ledger.accountant
        self._accountant.price_of = self._price_of
        self._closes: dict[str, int] = {}
        self._refused: list[Refused] = []

    def _price_of(self, symbol: str) -> int:
        instrument = self._accountant.ledger.instruments.get(symbol)
        return self._closes.get(symbol) or (instrument.base_price if instrument else 0)

    def take(self, rows: Rows, at: datetime) -> None:
        """Take the rows of a day; `at` is the time that the journal gives them."""
        for kind, ref, data in rows:
            if kind == "refusal":
                self._refused.append(reports.refused_of(at, ref, data))
            elif kind == "bar":
                self._closes[ref] = data["bar"].close

    def report(self) -> Report:
        """Return the figures of all days so far. Once: it ends the last day."""
        self._accountant.end_day()
        still_open = self._accountant.open_positions()
        span = (None, None, "")
        return reports.report_of(self._path, self._accountant, still_open, self._refused, [], span)
