"""What a `.kis.yaml` file means, and the judging of its conditions on closed days.

Knows: plans and columns of bars; values in, values out. Never knows: YAML, orders, the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import kis_indicators as indicators
import kis_more_indicators  # noqa: F401  (adds to KINDS)
from kis_indicators import Columns, Line

PRICES = ("close", "open", "high", "low", "volume", "price")


@dataclass(frozen=True, slots=True)
class Operand:
    """One side of a comparison: a line of values, or a number; the right side may be scaled."""

    source: str = ""  # alias or price field, "" for a number
    output: str = "value"
    number: float = 0.0
    scale: float | None = None
    scale_by: str = "mul"

    def scaled(self, value: float) -> float:
        """Return the value after compare_scalar."""
        by = self.scale
        if by is None:
            return value
        return {
            "mul": lambda: value * by, "div": lambda: value / by,
            "add": lambda: value + by, "sub": lambda: value - by,
        }[self.scale_by]()  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison, or a candlestick pattern when `pattern` is set."""

    left: Operand
    operator: str
    right: Operand
    pattern: str = ""
    signal: str = "detected"
    line: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions joined by AND or OR; without any it is never true."""

    all_of: bool
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Indicator:
    """An indicator as the file asks for it."""

    kind: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole file. Percents are of the price; None: there is none."""

    name: str
    indicators: Mapping[str, Indicator]
    entry: Group
    exit: Group
    stop_pct: float | None = None
    target_pct: float | None = None
    trail_pct: float | None = None
    max_share: float | None = None
    warnings: tuple[str, ...] = ()
    compat: str = ""  # "official": a backtest shows the official number beside ours

    @property
    def bars_needed(self) -> int:
        """Closed days before the first decision."""
        used = (indicators.bars_needed(each.kind, each.params) for each in self.indicators.values())
        patterns = any(each.pattern for each in (*self.entry.conditions, *self.exit.conditions))
        return max([3, *used, 60 if patterns else 0])


@dataclass(frozen=True, slots=True)
class Decision:
    """What the closed days say, and every value that was compared on the last one."""

    entry: bool
    exit: bool
    facts: dict[str, float]

    def wish(self, holding: bool) -> str:
        """Return buy, sell or "": flat, an exit that is true too forbids the entry."""
        if holding:
            return "sell" if self.exit else ""
        return "buy" if self.entry and not self.exit else ""


class Judge:
    """Computes the lines of a plan over some closed days and judges its conditions on them."""

    def __init__(self, plan: Plan, columns: Columns) -> None:
        self._plan, self._columns = plan, columns
        self._lines: dict[tuple[str, str], Line] = {}
        for name in PRICES:
            prices = getattr(columns, "close" if name == "price" else name)
            self._lines[name, "value"] = list(prices)
        for alias, each in plan.indicators.items():
            lines = indicators.lines_of(each.kind, each.params, columns)
            self._lines.update({(alias, output): line for output, line in lines.items()})
        for rule in (*plan.entry.conditions, *plan.exit.conditions):
            if rule.pattern and (rule.pattern, "pattern") not in self._lines:
                self._lines[rule.pattern, "pattern"] = indicators.pattern(rule.pattern, columns)

    def at(self, day: int) -> Decision:
        """Return the decision at the close of a day, counted from 0."""
        facts: dict[str, float] = {}
        for rule in (*self._plan.entry.conditions, *self._plan.exit.conditions):
            for side in (rule.left, rule.right):
                value = self._value(side, day)
                if side.source and value is not None:
                    facts[f"{side.source}.{side.output}"] = value
        return Decision(
            self._holds(self._plan.entry, day), self._holds(self._plan.exit, day), facts
        )

    def truths(self, rule: Condition) -> list[bool]:
        """Return on which days a single condition held."""
        return [self._true(rule, day) for day in range(len(self._columns.close))]

    def _holds(self, group: Group, day: int) -> bool:
        found = [self._true(rule, day) for rule in group.conditions]
        return bool(found) and (all(found) if group.all_of else any(found))

    def _value(self, side: Operand, day: int) -> float | None:
        if not side.source:
            return side.number
        value = self._lines[side.source, side.output][day] if day >= 0 else None
        return None if value is None else side.scaled(value)

    def _true(self, rule: Condition, day: int) -> bool:
        if rule.pattern:
            value = self._lines[rule.pattern, "pattern"][day] or 0.0
            if rule.pattern.endswith("_three_methods") and rule.pattern[0] in "rf":
                value = max(value, 0.0) if rule.pattern[0] == "r" else min(value, 0.0)
            wanted = {"bullish": value > 0, "bearish": value < 0}
            return wanted.get(rule.signal, value != 0)
        left, right = self._value(rule.left, day), self._value(rule.right, day)
        if left is None or right is None:
            return False
        if rule.operator not in ("up", "down"):
            return {
                ">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right,
                "==": left == right, "!=": left != right,
            }[rule.operator]  # fmt: skip
        before, other = self._value(rule.left, day - 1), self._value(rule.right, day - 1)
        if before is None or other is None or day < 1:
            return False  # no cross before both days are known
        if rule.operator == "up":
            return before <= other and left > right
        return before >= other and left < right


def dead_conditions(plan: Plan, columns: Columns) -> list[str]:
    """Name conditions that were never, or always, true on these days."""
    judge, found = Judge(plan, columns), []
    for side, group in (("entry", plan.entry), ("exit", plan.exit)):
        for rule in group.conditions:
            truths = judge.truths(rule)[plan.bars_needed :]
            if truths and len(set(truths)) == 1:
                word = "always" if truths[0] else "never"
                found.append(f"{side}, line {rule.line}: {word} true in {len(truths)} days")
    return found


def columns_of(bars: Sequence[Any]) -> Columns:
    """Return anything with open, high, low, close and volume as columns."""
    names = ("open", "high", "low", "close", "volume")
    return Columns(*([int(getattr(bar, name)) for bar in bars] for name in names))
