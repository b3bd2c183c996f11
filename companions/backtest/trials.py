"""How often a history was asked: every run on it counts, for luck grows with each.

A line for each run in `trials.jsonl`, by the hash of the history. The same strategy with the same
parameters counts once. The deflated Sharpe ratio takes count and spread from here: asking again costs.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import kis_realtime_trading as bot

FILE, MOST_BYTES = "trials.jsonl", 50_000_000


class Trial(NamedTuple):
    """One run: what was asked of which history, and its daily Sharpe ratio."""

    history: str
    asked: str  # strategy, its code and its parameters, as a hash
    sharpe: float


def asked_of(strategy: str, code: str, parameters: Mapping[str, Any]) -> str:
    """Return the hash of a question: name, code and parameters."""
    text = json.dumps([strategy, code, dict(parameters)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_of(name: str) -> str:
    """Return the hash of a strategy's file; of a built-in one that of the program."""
    file = Path(name if name.endswith(".kis.yaml") else name.rpartition(":")[0])
    return (
        hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else bot.build_hash()
    )


class Trials:
    """The trials in a folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE

    def add(self, trials: Iterable[Trial]) -> None:
        """Keep trials; lines are whole, also with two programs writing."""
        text = "".join(json.dumps(each._asdict()) + "\n" for each in trials)
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with os.fdopen(os.open(self._file, flags, 0o600), "ab") as file:
            file.write(text.encode())

    def of(self, history: str) -> tuple[int, float]:
        """Return how many different questions a history was asked, and the spread of the answers.

        Raises bot.BotError for a file that cannot be read: the count must not silently begin anew.
        """
        found: dict[str, float] = {}
        if self._file.is_file():
            if self._file.stat().st_size > MOST_BYTES:
                raise bot.BotError(
                    bot.Both(
                        f"{self._file} is larger than {MOST_BYTES:,} bytes",
                        f"{self._file}: 너무 큽니다(최대 {MOST_BYTES:,}바이트)",
                    )
                )
            for number, line in enumerate(self._file.read_text("utf-8").splitlines(), 1):
                try:
                    trial = Trial(**json.loads(line))
                except (ValueError, TypeError):
                    raise bot.BotError(
                        bot.Both(
                            f"{self._file} line {number} is no trial",
                            f"{self._file} {number}행: 시험 기록이 아닙니다",
                        )
                    ) from None
                if trial.history == history:
                    found[trial.asked] = trial.sharpe
        spread = statistics.stdev(found.values()) if len(found) > 1 else 0.0
        return len(found), spread
