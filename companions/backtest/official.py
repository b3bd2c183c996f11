"""The number of the official backtester beside ours, on the same closed days, and why they differ.

    python companions/backtest/official.py FILE.kis.yaml DAYS.csv

DAYS.csv has the columns date, open, high, low, close, volume, oldest first. Both runs hold one
stock with all the money. The official one is restated here from its source (2026-07): filled at
the close that made the signal, stops judged at the close, warm-up inside the period, a false cross
on the first day, 0.2 % tax at any date, no rounding to won. What its engine decides at run time
(how much cash it leaves, when exactly a market order fills) was read, not run: unconfirmed.
Ours here: the next open, stops inside the day at the stop or the worse open, the bot's fee and tax.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path += [each for each in (str(ROOT), str(ROOT / "strategies")) if each not in sys.path]
import kis_yaml  # noqa: E402
from kis_indicators import Columns  # noqa: E402
from kis_plan import Condition, Decision, Judge, Plan  # noqa: E402

import kis_realtime_trading as bot  # noqa: E402

OFFICIAL_FEE, OFFICIAL_TAX = 0.00015, 0.002  # of the amount; the tax on sales, at any date
OFFICIAL_FREE = 0.0025  # share of the money that its engine keeps back (read, unconfirmed)
START_KRW = 100_000_000


@dataclass(frozen=True, slots=True)
class Deal:
    """One purchase and its sale; the last one may be open and is valued at the last close."""

    bought: date
    price: float
    sold: date | None
    sale: float
    shares: int
    why: str


@dataclass(frozen=True, slots=True)
class Run:
    """Result of a run: the money at the end and its deals."""

    name: str
    end_krw: float
    deals: tuple[Deal, ...]

    @property
    def gain_pct(self) -> float:
        """Return the gain on the start money, per cent."""
        return 100 * (self.end_krw / START_KRW - 1)


class OfficialJudge(Judge):
    """Judges as the generated official program does: before the first judged day all was 0."""

    def __init__(self, plan: Plan, columns: Columns) -> None:
        super().__init__(plan, columns)
        self._now = 0
        lines = [self._lines[key] for key in self._lines if key[0] in plan.indicators]
        ready = [
            day for day in range(len(columns.close)) if all(line[day] is not None for line in lines)
        ]
        self.first = ready[0] if ready else len(columns.close)

    def _true(self, rule: Condition, day: int) -> bool:
        if rule.operator not in ("up", "down"):
            return super()._true(rule, day)
        sides = [
            [self._official(side.source, side.output, side.number, at) for at in (day - 1, day)]
            for side in (rule.left, rule.right)
        ]
        (before, left), (other, right) = sides
        if rule.operator == "up":
            return before <= other and left > right
        return before >= other and left < right

    def _official(self, source: str, output: str, number: float, day: int) -> float:
        """Return a value without its scalar, which crosses drop; 0 where it was never stored."""
        if not source:
            return number
        kept = source not in ("open", "high", "low", "volume") or day >= self._now
        return (self._lines[source, output][day] or 0.0) if day >= self.first and kept else 0.0

    def at(self, day: int) -> Decision:
        """Return the decision at the close of a day."""
        self._now = day
        return super().at(day)


def run_official(
    plan: Plan, columns: Columns, days: Sequence[date], kind: type[Judge] | None = None,
    dated: bool = False,
) -> Run:  # fmt: skip
    """Return what the official rules give: same close, stops at the close, its own costs.

    To see what a rule makes: another judge, or fee and tax of the day (`dated`).
    """
    usual = OfficialJudge(plan, columns)
    judge = kind(plan, columns) if kind else usual
    cash, shares, deals = float(START_KRW), 0, list[Deal]()
    entry, top, bought = 0.0, 0.0, days[0]
    for day in range(usual.first, len(days)):
        close = columns.close[day]
        decision = judge.at(day)
        if not shares and decision.entry:
            shares = int(cash * (1 - OFFICIAL_FREE) / (close * (1 + OFFICIAL_FEE)))
            cash -= shares * close + _costs(shares * close, None, dated)
            entry, top, bought = close, close, days[day]
            continue
        top = max(top, close)
        why = "exit" if decision.exit else _stop_at_close(plan, close, entry, top)
        if shares and why:
            cash += shares * close - _costs(shares * close, days[day], dated)
            deals.append(Deal(bought, entry, days[day], close, shares, why))
            shares = 0
    last = columns.close[-1]
    if shares:
        deals.append(Deal(bought, entry, None, last, shares, "open"))
    return Run("official", cash + shares * last, tuple(deals))


def _costs(amount: float, sold: date | None, dated: bool) -> float:
    """Return fee, and tax of a sale: the official rates, or those of its day."""
    if not dated:
        return amount * (OFFICIAL_FEE + (OFFICIAL_TAX if sold else 0.0))
    fee = bot.order_fee(int(amount), bot.STOCK_FEE_PCT)
    return fee + (bot.sell_tax(int(amount), "KOSPI", False, sold) if sold else 0)


def _stop_at_close(plan: Plan, close: float, entry: float, top: float) -> str:
    gain = 100 * (close / entry - 1) if entry else 0.0
    if plan.stop_pct and gain <= -plan.stop_pct:
        return "stop"
    if plan.target_pct and gain >= plan.target_pct:
        return "target"
    fallen = 100 * (1 - close / top) if top else 0.0
    return "trailing stop" if plan.trail_pct and fallen >= plan.trail_pct else ""


def run_ours(plan: Plan, columns: Columns, days: Sequence[date]) -> Run:
    """Return what our meaning gives: the next open, stops inside the day, the worse of two first.

    It begins on the day on which the official one may, so that the periods are the same.
    """
    judge, cash, shares, deals = Judge(plan, columns), START_KRW, 0, []
    entry = stop = target = top = 0
    bought, fee_pct = days[0], bot.STOCK_FEE_PCT
    first = OfficialJudge(plan, columns).first + 1
    for day in range(first, len(days)):
        opened, high, low = columns.open[day], columns.high[day], columns.low[day]
        wish = judge.at(day - 1).wish(shares > 0)
        if wish == "buy":
            shares = cash // opened
            while shares and shares * opened + bot.order_fee(shares * opened, fee_pct) > cash:
                shares -= 1
            cash -= shares * opened + bot.order_fee(shares * opened, fee_pct)
            entry = top = opened
            bought = days[day]
            stop = _down(entry, plan.stop_pct)
            target = (
                bot.round_to_tick(entry * (1 + plan.target_pct / 100), False, up=True)
                if plan.target_pct
                else 0
            )
        stop = max(stop, _down(top, plan.trail_pct))
        price, why = 0, ""
        if shares and wish == "sell":
            price, why = opened, "exit"
        elif shares and stop and low <= stop:
            price, why = min(stop, opened), "stop"
        elif shares and target and high >= target:
            price, why = max(target, opened), "target"
        if price:
            worth = shares * price
            cash += (
                worth
                - bot.order_fee(worth, fee_pct)
                - bot.sell_tax(worth, "KOSPI", False, days[day])
            )
            deals.append(Deal(bought, entry, days[day], price, shares, why))
            shares, stop, target = 0, 0, 0
        top = max(top, high)
    last = columns.close[-1]
    if shares:
        deals.append(Deal(bought, entry, None, last, shares, "open"))
    return Run("ours", cash + shares * last, tuple(deals))


def _down(price: int, pct: float | None) -> int:
    return bot.round_to_tick(price * (1 - pct / 100), False, up=False) if pct and price else 0


def pairs_of(official: Run, ours: Run) -> list[tuple[Deal | None, Deal | None]]:
    """Return the deals of both that mean the same signal, and those that only one of them made."""
    theirs = {deal.bought: deal for deal in official.deals}
    found: list[tuple[Deal | None, Deal | None]] = []
    matched = set()
    for deal in ours.deals:
        before = max((day for day in theirs if day < deal.bought), default=None)
        if before is None or before in matched or (deal.bought - before).days > 15:
            found.append((None, deal))
            continue
        matched.add(before)
        found.append((theirs[before], deal))
    return found + [(theirs[day], None) for day in sorted(set(theirs) - matched)]


def differences(official: Run, ours: Run) -> list[str]:
    """Name each deal that only one of the two made, and each that both made at other prices."""
    found = [
        f"{official.name} {official.gain_pct:+.2f} %, {ours.name} {ours.gain_pct:+.2f} %: "
        f"{ours.gain_pct - official.gain_pct:+.2f} points"
    ]
    for other, deal in pairs_of(official, ours):
        if deal is None and other is not None:
            found.append(f"{other.bought}: only the official buys, at {other.price:,.0f}")
        elif other is None and deal is not None:
            found.append(f"{deal.bought}: only ours buys, at {deal.price:,.0f}")
        elif other is not None and deal is not None:
            found.append(
                f"{other.bought}: official {other.price:,.0f} at the close of the signal, ours "
                f"{deal.price:,.0f} at the open of {deal.bought}; left by {other.why} at "
                f"{other.sale:,.0f} on {other.sold}, ours by {deal.why} at {deal.sale:,.0f} on "
                f"{deal.sold}"
            )
    return found


def read_days(file: Path) -> tuple[Columns, list[date]]:
    """Return the days of a CSV file. Raises BadData for rows out of order or without a number."""
    columns, days = Columns([], [], [], [], []), []
    with file.open(newline="", encoding="utf-8-sig") as text:
        for number, row in enumerate(csv.DictReader(text), 2):
            try:
                days.append(date.fromisoformat(row["date"]))
                for name in columns.__slots__:
                    getattr(columns, name).append(int(row[name]))
            except (KeyError, ValueError, TypeError) as error:
                raise bot.BadData(f"{file.name} row {number}: {error}") from None
            if days[1:] and days[-1] <= days[-2]:
                raise bot.BadData(f"{file.name} row {number}: {days[-1]} is not after {days[-2]}")
    if not days:
        raise bot.BadData(f"{file.name} holds no day")
    return columns, days


def compare(plan: Plan, columns: Columns, days: Sequence[date]) -> list[str]:
    """Return the lines of the comparison."""
    return differences(run_official(plan, columns, days), run_ours(plan, columns, days))


def main(arguments: Sequence[str]) -> int:
    """Compare a file on the days of a CSV file; print the result line by line."""
    if len(arguments) != 2:
        print("usage: companions/backtest/official.py FILE.kis.yaml DAYS.csv")
        return 2
    file, days_file = map(Path, arguments)
    found: list[Any] = []
    try:
        plan = kis_yaml.read_plan(file.read_text("utf-8"), file.name)
        found = [*plan.warnings, *compare(plan, *read_days(days_file))]
    except bot.SettingsError as error:
        print(*error.faults, sep="\n")
        return 1
    except (bot.BadData, OSError) as error:
        print(error)
        return 1
    print(*found, sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
