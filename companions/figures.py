"""What reports are made of: round trips, days, groups, statistics, and the sums over them.

Pure values: nothing here reads a file. Amounts are whole won, rounded half up, each by itself;
sums are made of exact fractions (`..._exact`) and rounded once.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from typing import Any, Literal

GroupBy = Literal["day", "week", "month", "symbol", "reason", "hour"]


def won(exact: int | Fraction) -> int:
    """Round half up to whole won, as the ledger does."""
    return (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One position from the first share bought to the last one gone.

    Worked example (KOSPI, 2026): 10 bought at 70,000, sold at 71,000: gain_krw 8,382, gain_pct
    1.197 (of the 700,000 paid).
    """

    symbol: str
    name: str  # "" when the journal does not know it
    opened_at: datetime
    closed_at: datetime
    shares: int  # bought
    sold: int  # by our orders; less than `shares` when the owner took some away
    bought_krw: int
    sold_krw: int
    fees_krw: int
    taxes_krw: int
    gain_exact: Fraction = field(repr=False)  # after costs
    entry_reason: str
    reason: str  # why it was closed: stop, target, trailing stop, end of day, ... or "owner"
    entries: tuple[str, ...]  # intent ids
    exits: tuple[str, ...]

    @property
    def gain_krw(self) -> int:
        """Gain after all fees and taxes, won."""
        return won(self.gain_exact)

    @property
    def gain_pct(self) -> float:
        """Gain after costs in per cent of what was paid for the shares."""
        return float(100 * self.gain_exact / self.bought_krw) if self.bought_krw else 0.0

    @property
    def entry_price(self) -> float:
        """Average price paid, won."""
        return self.bought_krw / self.shares if self.shares else 0.0

    @property
    def exit_price(self) -> float:
        """Average price received, won; 0 when nothing was sold by us."""
        return self.sold_krw / self.sold if self.sold else 0.0

    @property
    def duration_s(self) -> int:
        """Seconds from the first fill to the last."""
        return round((self.closed_at - self.opened_at).total_seconds())

    @property
    def day(self) -> date:
        """The day it was closed."""
        return self.closed_at.date()


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """Shares of ours at the end of what the journal holds."""

    symbol: str
    name: str
    quantity: int
    average_price: float
    price: int  # close of the newest bar, or the base price; 0 when neither is known
    open_krw: int  # value at `price` less what the shares cost, before costs of selling
    booked_exact: Fraction = field(repr=False)  # fees so far and gain of parts already sold
    opened_at: datetime | None
    stop_price: int
    target_price: int


@dataclass(frozen=True, slots=True)
class DayResult:
    """One trading day. Realised figures are the ledger's own of that day."""

    day: date
    gross_krw: int
    fees_krw: int
    taxes_krw: int
    net_krw: int  # realised, after costs
    open_krw: int  # of what was held at its end, against cost
    result_krw: int  # net plus the change of open_krw since the day before
    cash_krw: int
    equity_krw: int  # cash and our shares at the last price
    orders: int
    fills: int
    entries: int  # round trips begun
    exits: int  # round trips ended
    wins: int  # of the ended ones, after costs
    held: dict[str, int]  # symbol -> shares at the end


@dataclass(frozen=True, slots=True)
class DaySymbol:
    """What the fills of one stock changed on one day."""

    day: date
    symbol: str
    net_exact: Fraction = field(repr=False)
    fees_krw: int
    taxes_krw: int

    @property
    def net_krw(self) -> int:
        """Realised result after costs, won."""
        return won(self.net_exact)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One order as it stood at the end of its day."""

    intent_id: str
    order_no: str
    day: date
    at: datetime
    symbol: str
    name: str
    side: str  # BUY or SELL
    purpose: str  # entry, exit, external (the owner's)
    quantity: int
    filled: int
    price: int  # asked for; 0: at the market
    fill_price: float  # average, 0 when nothing was filled
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A wish that a rule did not let pass."""

    at: datetime
    intent_id: str
    symbol: str
    code: str
    numbers: str
    quantity: int
    price: int


@dataclass(frozen=True, slots=True)
class GroupLine:
    """Round trips that share a key."""

    key: str
    trips: int
    wins: int
    gain_exact: Fraction = field(repr=False)
    fees_krw: int
    taxes_krw: int

    @property
    def gain_krw(self) -> int:
        """Gain of all of them after costs, won."""
        return won(self.gain_exact)

    @property
    def win_rate_pct(self) -> float:
        """Share that gained, per cent."""
        return 100 * self.wins / self.trips if self.trips else 0.0


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall of the summed results of days from a height before, both in won."""

    krw: int = 0  # 0 or positive
    pct: float = 0.0  # of the equity at the height
    top: date | None = None  # None: from the start
    bottom: date | None = None
    recovered: date | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """What round trips and days come to. Ratios are None where they have no meaning."""

    trips: int
    wins: int
    losses: int
    win_rate_pct: float | None
    gain_krw: int  # of the closed round trips, after costs
    profit_krw: int  # sum of the gains
    loss_krw: int  # sum of the losses, negative or 0
    profit_factor: float | None  # profit / loss; None without a loss
    expectancy_krw: float | None  # mean of a round trip
    average_win_krw: float | None
    average_loss_krw: float | None
    best_krw: int
    worst_krw: int
    longest_wins: int  # in a row
    longest_losses: int
    current_streak: int  # wins in a row now, negative: losses
    average_duration_s: float | None
    fees_krw: int
    taxes_krw: int
    turnover_krw: int  # bought and sold
    days: int
    days_up: int
    days_down: int
    best_day: date | None
    worst_day: date | None
    drawdown: Drawdown

    @property
    def costs_krw(self) -> int:
        """Fees and taxes, won."""
        return self.fees_krw + self.taxes_krw


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a journal says about a span of days."""

    journal: str  # file name
    environment: str  # paper, real or ""
    first: date | None
    last: date | None
    symbol: str  # "" for all
    days: tuple[DayResult, ...]  # whole account, also when a symbol was asked for
    by_symbol: tuple[DaySymbol, ...]
    trips: tuple[RoundTrip, ...]
    open: tuple[OpenPosition, ...]
    orders: tuple[OrderLine, ...]
    refused: tuple[Refused, ...]
    totals: Statistics
    names: dict[str, str]
    notes: tuple[str, ...]  # what does not fit, in English

    def refusals_by_rule(self) -> dict[str, int]:
        """Return code -> how often, most frequent first."""
        return dict(Counter(each.code for each in self.refused).most_common())


# --- sums ---------------------------------------------------------------------------


def group_key(trip: RoundTrip, by: GroupBy) -> str:
    """Return the key of a round trip: its day of closing, ISO week, month, stock, reason, hour."""
    if by == "day":
        return trip.day.isoformat()
    if by == "week":
        year, week, _ = trip.day.isocalendar()
        return f"{year}-W{week:02d}"
    if by == "month":
        return f"{trip.day:%Y-%m}"
    if by == "symbol":
        return trip.symbol
    if by == "reason":
        return trip.reason
    return f"{trip.opened_at:%H}"  # the hour of the entry: what one can do something about


def group(trips: Iterable[RoundTrip], by: GroupBy) -> list[GroupLine]:
    """Sum round trips by a key, keys in order; stocks and reasons by gain, best first."""
    sets: dict[str, list[RoundTrip]] = {}
    for trip in trips:
        sets.setdefault(group_key(trip, by), []).append(trip)
    lines = [
        GroupLine(
            key, len(members), sum(each.gain_exact > 0 for each in members),
            sum((each.gain_exact for each in members), Fraction(0)),
            sum(each.fees_krw for each in members), sum(each.taxes_krw for each in members),
        )
        for key, members in sets.items()
    ]  # fmt: skip
    if by in ("symbol", "reason"):
        return sorted(lines, key=lambda line: (-line.gain_exact, line.key))
    return sorted(lines, key=lambda line: line.key)


def streaks(gains: Iterable[Fraction]) -> tuple[int, int, int]:
    """Return the longest wins and losses in a row and the present run (negative: losses)."""
    run = most_wins = most_losses = 0
    for gain in gains:
        if gain > 0:
            run = run + 1 if run > 0 else 1
        elif gain < 0:
            run = run - 1 if run < 0 else -1
        else:
            run = 0
        most_wins, most_losses = max(most_wins, run), max(most_losses, -run)
    return most_wins, most_losses, run


def drawdown(days: Sequence[DayResult]) -> Drawdown:
    """Return the deepest fall of the summed day results; of two equal ones the earlier."""
    total = top = 0
    top_day: date | None = None
    worst = Drawdown()
    start = days[0].equity_krw - days[0].result_krw if days else 0
    for each in days:
        total += each.result_krw
        if total >= top:
            if worst.krw and worst.recovered is None and worst.top == top_day:
                worst = dataclasses.replace(worst, recovered=each.day)
            top, top_day = total, each.day
        elif top - total > worst.krw:
            height = start + top
            pct = 100 * (top - total) / height if height > 0 else 0.0
            worst = Drawdown(top - total, pct, top_day, each.day)
    return worst


def statistics(trips: Sequence[RoundTrip], days: Sequence[DayResult]) -> Statistics:
    """Return the figures of round trips, in order of closing, and of days."""
    gains = [trip.gain_exact for trip in trips]
    wins, losses = [g for g in gains if g > 0], [g for g in gains if g < 0]
    profit, loss = sum(wins, Fraction(0)), sum(losses, Fraction(0))
    most_wins, most_losses, run = streaks(gains)
    traded = [day for day in days if day.result_krw or day.fills]

    def mean(values: Sequence[Fraction | int]) -> float | None:
        return float(sum(values, Fraction(0)) / len(values)) if values else None

    return Statistics(
        trips=len(trips), wins=len(wins), losses=len(losses),
        win_rate_pct=100 * len(wins) / len(trips) if trips else None,
        gain_krw=won(profit + loss), profit_krw=won(profit), loss_krw=won(loss),
        profit_factor=float(profit / -loss) if loss else None,
        expectancy_krw=mean(gains), average_win_krw=mean(wins), average_loss_krw=mean(losses),
        best_krw=won(max(gains, default=Fraction(0))),
        worst_krw=won(min(gains, default=Fraction(0))),
        longest_wins=most_wins, longest_losses=most_losses, current_streak=run,
        average_duration_s=mean([trip.duration_s for trip in trips]),
        fees_krw=sum(trip.fees_krw for trip in trips),
        taxes_krw=sum(trip.taxes_krw for trip in trips),
        turnover_krw=sum(trip.bought_krw + trip.sold_krw for trip in trips),
        days=len(days), days_up=sum(day.result_krw > 0 for day in days),
        days_down=sum(day.result_krw < 0 for day in days),
        best_day=max(traded, key=lambda d: d.result_krw).day if traded else None,
        worst_day=min(traded, key=lambda d: d.result_krw).day if traded else None,
        drawdown=drawdown(days),
    )  # fmt: skip


def to_json(value: Any) -> Any:
    """Return plain JSON types: fields and properties of dataclasses, times ISO, no fractions."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value) if not f.name.endswith("_exact")]
        kind = type(value)
        names += [name for name in vars(kind) if isinstance(getattr(kind, name), property)]
        return {name: to_json(getattr(value, name)) for name in names}
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


__all__ = [
    "DayResult", "DaySymbol", "Drawdown", "GroupBy", "GroupLine", "OpenPosition", "OrderLine",
    "Refused", "Report", "RoundTrip", "Statistics", "drawdown", "group", "group_key", "statistics",
    "streaks", "to_json", "won",
]  # fmt: skip
