"""Figures over days, from the journal: round trips, days, groups, statistics. No layout here.

    report = read_report(path)                         everything the journal holds
    report = read_report(path, first=date(2026, 11, 1), symbol="005930")
    report.trips, report.days, report.totals           dataclasses; to_json(report) for programs
    group(report.trips, "symbol")                      day, week, month, symbol, reason, hour

Every won comes out of the bot's own Ledger: the rows are applied to one as at a start of the bot,
and what each fill changed in the ledger's totals of the day is given to the round trip it belongs
to. So the sums are exact: all round trips and what is still open add up to all days. Amounts that
are shown are rounded half up, each by itself, from exact fractions; sums are rounded once.

Reading takes no lock and changes nothing, also while the bot runs (see journal_reader).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import kis_realtime_trading as bot
from companions.figures import (
    DayResult,
    DaySymbol,
    Drawdown,
    GroupBy,
    GroupLine,
    OpenPosition,
    OrderLine,
    Refused,
    Report,
    RoundTrip,
    Statistics,
    drawdown,
    group,
    group_key,
    statistics,
    streaks,
    to_json,
    won,
)  # fmt: skip
from companions.journal_reader import JournalReader, Row, find_journals
from companions.names import names_of

# --- reading ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Trip:
    """A round trip under way."""

    opened_at: datetime
    entry_reason: str
    shares: int = 0
    sold: int = 0
    bought_krw: int = 0
    sold_krw: int = 0
    fees: int = 0
    taxes: int = 0
    gain: int | Fraction = 0
    reason: str = ""
    entries: list[str] = field(default_factory=list)
    exits: list[str] = field(default_factory=list)

    def closed(self, symbol: str, name: str, at: datetime) -> RoundTrip:
        """Return it as it ended."""
        return RoundTrip(
            symbol, name, self.opened_at, at, self.shares, self.sold, self.bought_krw, self.sold_krw,
            self.fees, self.taxes, Fraction(self.gain), self.entry_reason, self.reason or "owner",
            tuple(self.entries), tuple(self.exits),
        )  # fmt: skip


class Accountant:
    """Applies ledger rows one by one and notes what each changed. Feed it rows in order.

    `ledger` is one of its own, or (a backtest) the one that an engine keeps through it.
    """

    def __init__(
        self, stock_fee_pct: Decimal, fund_fee_pct: Decimal, ledger: bot.Ledger | None = None
    ) -> None:
        self.ledger = ledger or bot.Ledger(stock_fee_pct, fund_fee_pct)
        self.trips: list[RoundTrip] = []
        self.days: list[DayResult] = []
        self.by_symbol: dict[tuple[date, str], tuple[int | Fraction, int, int]] = {}
        self.orders: list[OrderLine] = []
        self.under_way: dict[str, _Trip] = {}
        self.price_of: Callable[[str], int] = lambda symbol: 0
        self._last_trip: dict[str, tuple[_Trip, int]] = {}  # for corrections: where it stands
        self._entries = self._exits = self._wins = 0
        self._open_before = 0

    def take(self, row: Row) -> bot.LedgerEntry | None:
        """Take a row of bot.LEDGER_ROWS. Raises bot.JournalError when it cannot be."""
        try:
            if row.kind == "instrument":
                return bot.apply_row(self.ledger, row.kind, row.body)
            entry = bot.entry_from_json(row.body)
            self.take_entry(entry)
            return entry
        except bot.IllegalTransition as error:
            raise bot.JournalError(
                bot.Both(
                    f"row {row.seq}: {error}", f"{row.seq}번 줄: {bot.in_language(error, 'ko')}"
                )
            ) from None
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            kind = type(error).__name__
            raise bot.JournalError(
                bot.Both(
                    f"row {row.seq} cannot be taken: {kind}",
                    f"{row.seq}번 줄을 읽을 수 없습니다: {kind}",
                )
            ) from None

    def take_entry(self, entry: bot.LedgerEntry) -> int:
        """Apply an entry and note what it changed; return the shares booked, as the ledger does."""
        if isinstance(entry, bot.DayOpened):
            self.end_day()
        order = self.ledger.orders.get(getattr(entry, "intent_id", ""))
        if isinstance(entry, bot.OrderUpdate) and order is not None and order.own:
            return self._take_update(entry, order)
        reason = self._exit_reasons() if self.under_way else {}
        booked = bot.Ledger.apply(self.ledger, entry)
        self._notice_taken_away(reason, entry.at)
        return booked

    def name_of(self, symbol: str) -> str:
        """Return the name of a stock as the journal knows it, "" otherwise."""
        instrument = self.ledger.instruments.get(symbol)
        return instrument.name if instrument else ""

    def _exit_reasons(self) -> dict[str, str]:
        return {symbol: self.ledger.position(symbol).exit_reason for symbol in self.under_way}

    def _take_update(self, entry: bot.OrderUpdate, order: bot.Order) -> int:
        if entry.event is not bot.OrderEvent.FILL:  # nothing else moves money
            return bot.Ledger.apply(self.ledger, entry)
        today, symbol = self.ledger.today, order.intent.symbol
        position = self.ledger.position(symbol)
        gross, fees, taxes = today.gross, today.fees_krw, today.taxes_krw
        shares, amount = order.filled_quantity, order.filled_amount_krw
        exit_reason = position.exit_reason
        booked = bot.Ledger.apply(self.ledger, entry)
        shares, amount = order.filled_quantity - shares, order.filled_amount_krw - amount
        if not shares and not amount:
            return booked
        fees, taxes = today.fees_krw - fees, today.taxes_krw - taxes
        net = today.gross - gross - fees - taxes
        self._book_day(symbol, net, fees, taxes)
        trip = self._trip_of(symbol, order, entry.at, shares)
        trip.gain, trip.fees, trip.taxes = trip.gain + net, trip.fees + fees, trip.taxes + taxes
        if order.intent.side is bot.Side.BUY:
            trip.shares, trip.bought_krw = trip.shares + shares, trip.bought_krw + amount
            ids = trip.entries
        else:
            trip.sold, trip.sold_krw = trip.sold + shares, trip.sold_krw + amount
            trip.reason = exit_reason or order.intent.reason or trip.reason
            ids = trip.exits
        ids += [order.intent.intent_id] if order.intent.intent_id not in ids else []
        self._settle(symbol, trip, entry.at)
        return booked

    def _trip_of(self, symbol: str, order: bot.Order, at: datetime, shares: int) -> _Trip:
        """Return the round trip that a fill belongs to: under way, a new one, or the last one.

        Money that a flat position still moves (a corrected amount, shares sold twice) belongs to
        the round trip that ended.
        """
        if symbol in self.under_way:
            return self.under_way[symbol]
        buying = order.intent.side is bot.Side.BUY and shares > 0
        if not buying and symbol in self._last_trip:
            return self._last_trip[symbol][0]
        trip = self.under_way[symbol] = _Trip(at, order.intent.reason)
        self._entries += 1
        return trip

    def _settle(self, symbol: str, trip: _Trip, at: datetime) -> None:
        """End a round trip when the shares are gone, or correct the one that had ended."""
        if self.under_way.get(symbol) is not trip:
            place = self._last_trip[symbol][1]
            was = self.trips[place]
            self.trips[place] = trip.closed(symbol, was.name, was.closed_at)
        elif not self.ledger.position(symbol).quantity:
            self._close(symbol, at)

    def _close(self, symbol: str, at: datetime) -> None:
        trip = self.under_way.pop(symbol)
        self._last_trip[symbol] = (trip, len(self.trips))
        self.trips.append(trip.closed(symbol, self.name_of(symbol), at))
        self._exits += 1
        self._wins += trip.gain > 0

    def _notice_taken_away(self, reasons: dict[str, str], at: datetime) -> None:
        """End the round trips whose last share left without an order of ours."""
        for symbol in reasons:
            if not self.ledger.position(symbol).quantity and symbol in self.under_way:
                self.under_way[symbol].reason = "owner"
                self._close(symbol, at)

    def _book_day(self, symbol: str, net: int | Fraction, fees: int, taxes: int) -> None:
        assert self.ledger.day is not None
        key = (self.ledger.day, symbol)
        before = self.by_symbol.get(key, (0, 0, 0))
        self.by_symbol[key] = (before[0] + net, before[1] + fees, before[2] + taxes)

    def held(self) -> dict[str, int]:
        """Return symbol -> shares of ours now."""
        return {s: p.quantity for s, p in self.ledger.positions.items() if p.quantity}

    def end_day(self) -> None:
        """Note the result of the day that ends, or has come this far."""
        ledger, day = self.ledger, self.ledger.day
        if day is None:
            return
        today, held = ledger.today, self.held()
        value = {symbol: self.price_of(symbol) * count for symbol, count in held.items()}
        cost = {symbol: ledger.position(symbol).cost for symbol in held}
        gains = (won(value[symbol] - cost[symbol]) for symbol in held if value[symbol])
        open_krw = sum(gains)
        orders = [o for o in ledger.orders.values() if o.intent.trade_date == day]
        self.days.append(DayResult(
            day, today.gross_krw, today.fees_krw, today.taxes_krw, today.net_krw, open_krw,
            today.net_krw + open_krw - self._open_before, ledger.cash_krw,
            ledger.cash_krw + sum(value[s] or won(cost[s]) for s in held),
            sum(o.own and bool(o.order_no) for o in orders), today.fills,
            self._entries, self._exits, self._wins, held,
        ))  # fmt: skip
        self.orders += [self._order_line(order) for order in orders]
        self._open_before = open_krw
        self._entries = self._exits = self._wins = 0

    def _order_line(self, order: bot.Order) -> OrderLine:
        intent, filled = order.intent, order.filled_quantity
        return OrderLine(
            intent.intent_id, order.order_no, intent.trade_date, intent.at, intent.symbol,
            self.name_of(intent.symbol), intent.side.name, intent.purpose, intent.quantity, filled,
            order.price, order.filled_amount_krw / filled if filled else 0.0, str(order.status),
            intent.reason,
        )  # fmt: skip

    def open_positions(self) -> list[OpenPosition]:
        """Return what is held now."""
        found = []
        for symbol, quantity in self.held().items():
            position, price = self.ledger.position(symbol), self.price_of(symbol)
            trip, plan = self.under_way.get(symbol), position.plan
            found.append(OpenPosition(
                symbol, self.name_of(symbol), quantity, position.average_price, price,
                won(price * quantity - position.cost) if price else 0,
                Fraction(trip.gain if trip else 0), position.opened_at,
                plan.stop_price if plan else 0, plan.target_price if plan else 0,
            ))  # fmt: skip
        return found


def price_before(reader: JournalReader, seq: int, symbol: str, ledger: bot.Ledger) -> int:
    """Return the close of the last bar of a stock up to a row, or its base price, or 0."""
    row = reader.last_of("bar", symbol, seq)
    if row is not None:
        bar = row.data().get("bar")
        close = bar.get("close") if isinstance(bar, dict) else None
        if type(close) is int:
            return close
    instrument = ledger.instruments.get(symbol)
    return instrument.base_price if instrument else 0


def read_report(
    path: Path, first: date | None = None, last: date | None = None, symbol: str = "",
    fees: tuple[Decimal, Decimal] = (bot.STOCK_FEE_PCT, bot.FUND_FEE_PCT),
) -> Report:  # fmt: skip
    """Read a journal and return the figures of a span of days, of one stock or of all.

    `fees` are the rates of stocks and funds that the settings name. A day whose stored figures
    differ (the rate was another one then) is named in `notes`. Raises bot.JournalError.
    """
    accountant, refused, notes = Accountant(*fees), [], []
    with JournalReader(path) as reader:
        accountant.price_of = lambda symbol: price_before(reader, at, symbol, accountant.ledger)
        at = 0
        for row in reader.rows((*bot.LEDGER_ROWS, "refusal", "day")):
            if row.kind == "refusal":
                refused.append(refused_of(_moment(row), row.ref, row.data()))
            elif row.kind == "day":
                notes += compare_day(row.ref, row.data(), accountant.ledger)
            else:
                accountant.take(row)
            at = row.seq
        at = reader.last_seq
        accountant.end_day()
        still_open = accountant.open_positions()
    return report_of(path, accountant, still_open, refused, notes, (first, last, symbol))


def refused_of(at: datetime, ref: str, data: dict[str, Any]) -> Refused:
    """Return the line of a refusal, from its row."""

    def number(key: str) -> int:
        return data[key] if type(data.get(key)) is int else 0

    return Refused(
        at, ref, str(data.get("symbol", ref)), str(data.get("code", "")),
        str(data.get("numbers", "")), number("quantity"), number("price"),
    )  # fmt: skip


def _moment(row: Row) -> datetime:
    try:
        moment = datetime.fromisoformat(row.at)
    except ValueError:
        raise bot.JournalError(
            bot.Both(f"row {row.seq} has no time", f"{row.seq}번 줄에 시각이 없습니다")
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=bot.KST)


def compare_day(ref: str, data: dict[str, Any], ledger: bot.Ledger) -> list[str]:
    """Return what a day's stored figures say otherwise than the ledger does here."""
    today = ledger.today
    ours = {
        "gross": today.gross_krw, "fees": today.fees_krw, "taxes": today.taxes_krw,
        "net": today.net_krw,
    }  # fmt: skip
    differ = [f"{k} {data[k]:,} then, {v:,} here" for k, v in ours.items()
              if type(data.get(k)) is int and data[k] != v]  # fmt: skip
    return [f"{ref}: {', '.join(differ)} (another fee rate?)"] if differ else []


def report_of(
    path: Path, accountant: Accountant, still_open: list[OpenPosition],
    refused: list[Refused], notes: list[str], span: tuple[date | None, date | None, str],
) -> Report:  # fmt: skip
    """Return the report of what was taken, cut to a span of days or to one stock."""
    first, last, symbol = span

    def inside(day: date, of: str) -> bool:
        return (
            (first is None or day >= first) and (last is None or day <= last)
            and symbol in ("", of)
        )  # fmt: skip

    days = tuple(day for day in accountant.days if inside(day.day, symbol))
    by_symbol = tuple(
        DaySymbol(day, of, Fraction(net), fees, taxes)
        for (day, of), (net, fees, taxes) in accountant.by_symbol.items()
        if inside(day, of)
    )
    trips = tuple(trip for trip in accountant.trips if inside(trip.day, trip.symbol))
    parts = path.stem.split("-")
    return Report(
        path.name, parts[1] if len(parts) > 2 else "", days[0].day if days else None,
        days[-1].day if days else None, symbol, days, by_symbol, trips,
        tuple(each for each in still_open if symbol in ("", each.symbol)),
        tuple(each for each in accountant.orders if inside(each.day, each.symbol)),
        tuple(each for each in refused if inside(each.at.date(), each.symbol)),
        statistics(trips, days), {s: i.name for s, i in accountant.ledger.instruments.items()},
        tuple(notes),
    )  # fmt: skip


def read_folder(
    folder: Path, first: date | None = None, last: date | None = None, symbol: str = "",
    fees: tuple[Decimal, Decimal] = (bot.STOCK_FEE_PCT, bot.FUND_FEE_PCT),
) -> list[Report]:  # fmt: skip
    """Return a report of each journal of a state folder (paper and real are two journals)."""
    return [read_report(path, first, last, symbol, fees) for path in find_journals(folder)]


def named(report: Report, folder: Path) -> Report:
    """Return a report that names each stock: as the journal does, else as the tables do."""
    told = {symbol: name for symbol, name in report.names.items() if name}
    names = {**names_of(folder), **told}
    trips = tuple(
        replace(trip, name=trip.name or names.get(trip.symbol, "")) for trip in report.trips
    )
    return replace(report, names=names, trips=trips)


__all__ = [
    "Accountant", "DayResult", "DaySymbol", "Drawdown", "GroupBy", "GroupLine", "OpenPosition", "OrderLine",
    "Refused", "Report", "RoundTrip", "Statistics", "drawdown", "group", "group_key", "named", "price_before",
    "read_folder", "read_report", "statistics", "streaks", "to_json", "won",
]  # fmt: skip
