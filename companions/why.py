"""`--why ORDER|SYMBOL|last`: how an order came about and how it ended, in sentences with numbers.

An entry is told by the values that its strategy gave, an exit by the price, the stop or target that
fired and the highest price while it was held; then what the broker answered and what the round
trip brought. `--rows` shows the journal rows instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import kis_realtime_trading as bot
from companions import reports
from companions.journal_reader import JournalReader, Row
from companions.names import names_of

FACTS = {
    "close": ("종가", "close"), "highest": ("직전 최고가", "highest high before"),
    "volume": ("거래량", "volume"), "average_volume": ("평균 거래량", "average volume"),
    "vwap": ("당일 VWAP", "VWAP of the day"),
}  # fmt: skip
# Korean, English. {values} are ready texts.
SENTENCES: dict[str, tuple[str, str]] = {
    "entry": ("{at}, {stock} {quantity}주를 {price}에 사기로 했습니다. 신호: {reason}.",
        "{at}: wanted to buy {quantity} of {stock} at {price}. Signal: {reason}."),
    "breakout": (
        "봉이 {close}원에 끝나 직전 최고가 {highest}원을 넘었고, 거래량 {volume}주는 평균 {average_volume}주의 "
        "{ratio}배였으며, 종가가 당일 VWAP {vwap}원보다 높았습니다.",
        "The bar closed at {close} won, above the highest high before it, {highest}; its volume of "
        "{volume} was {ratio} times the average of {average_volume}; the close stood above the day's "
        "VWAP of {vwap}."),
    "facts": ("근거가 된 값: {facts}.", "Values it was based on: {facts}."),
    "plan": ("계획: 손절가 {stop}, 목표가 {target}, 추적 손절 {trail}.",
        "Plan: stop {stop}, target {target}, trailing stop {trail}."),
    "exit": ("{at}, {stock} {quantity}주를 팔기로 했습니다. 사유: {reason}.",
        "{at}: decided to sell {quantity} of {stock}. Reason: {reason}."),
    "stopped": ("그때 가격 {price}이 손절가 {stop} 이하였습니다.",
        "The price, {price}, was at or below the stop, {stop}."),
    "stop_passed": ("손절가 {stop}에 닿아 청산을 시작했고, 주문할 때의 가격은 {price}이었습니다.",
        "The stop, {stop}, had been touched; the price was {price} when the order was made."),
    "target_passed": ("목표가 {target}에 닿아 청산을 시작했고, 주문할 때의 가격은 {price}이었습니다.",
        "The target, {target}, had been touched; the price was {price} when the order was made."),
    "reached": ("그때 가격 {price}이 목표가 {target} 이상이었습니다.",
        "The price, {price}, was at or above the target, {target}."),
    "price": ("그때 가격은 {price}이었습니다.", "The price was {price}."),
    "high": ("보유하는 동안 봉의 최고가는 {high}이었습니다.",
        "The highest price of its bars while held was {high}."),
    "external": ("{at}, {stock} {quantity}주 {side}: 봇이 아니라 직접 내신 주문입니다.",
        "{at}: {side} {quantity} of {stock}: an order of your own, not the bot's."),
    "filled_whole": ("주문 {number}: {filled}주가 모두 평균 {average}에 체결되었습니다.",
        "Order {number}: all of {filled} filled at {average} on average."),
    "filled": ("주문 {number}: {quantity}주 가운데 {filled}주가 평균 {average}에 체결되었습니다.",
        "Order {number}: {filled} of {quantity} filled at {average} on average."),
    "unfilled": ("주문 {number}: 체결되지 않았습니다. 상태: {status}.",
        "Order {number}: nothing was filled. Status: {status}."),
    "refused": ("주문은 나가지 않았습니다. 규칙 {code}: {numbers}.",
        "No order left. Rule {code}: {numbers}."),
    "result": (
        "결과: {entry}에 사서 {exit}에 팔았고, 수수료 {fees}과 세금 {taxes}을 빼면 {gain} ({pct}%)입니다. 보유 {length}.",
        "Result: bought at {entry}, sold at {exit}; after fees of {fees} and taxes of {taxes} that is "
        "{gain} ({pct} %). Held for {length}."),
    "no_sale": ("결과: 봇이 팔지 않은 주식이 빠져나가 끝났습니다. 비용을 뺀 손익은 {gain}입니다.",
        "Result: the shares left without an order of the bot; after costs that is {gain}."),
    "held": ("아직 보유 중입니다.", "The shares are still held."),
}  # fmt: skip


@dataclass(slots=True)
class Found:
    """What the journal holds about one order."""

    ref: str
    rows: list[Row] = field(default_factory=list)  # of the order itself
    decision: Row | None = None  # the wish to buy, or to close the position
    refusal: Row | None = None
    high: int = 0  # highest price of the bars while held, for an exit


def find_ref(reader: JournalReader, wanted: str) -> str:
    """Return the intent id that a number, an id, a stock or `last` means; the newest of several."""
    found = ""
    number = wanted.zfill(10) if wanted.isdigit() and len(wanted) <= 10 else ""
    code = wanted.upper()
    for row in reader.rows(("intent", "ledger", "refusal")):
        if row.kind == "ledger" and not row.ref:
            continue
        if (
            (wanted == "last" and row.kind != "ledger")
            or row.ref == wanted
            or (number and f'"{number}"' in row.body)
            or (row.kind != "ledger" and f'"symbol":"{code}"' in row.body)
        ):
            found = row.ref
    if not found:
        raise bot.BotError(
            bot.Both(
                f"the journal has no order {wanted}; --journal --type intent lists them",
                f"저널에 {wanted} 주문이 없습니다. 주문 목록은 --journal --type intent로 볼 수 있습니다",
            )
        )
    return found


def gather(reader: JournalReader, ref: str) -> Found:
    """Return the rows of an order, and the decision that led to it."""
    found, symbol, side = Found(ref), "", ""
    kinds = ("intent", "ledger", "answer", "notice", "refusal", "decision")
    closing: dict[str, Row] = {}
    for row in reader.rows(kinds):
        if row.ref == ref:
            if row.kind == "decision":
                found.decision = row
            elif row.kind == "refusal":
                found.refusal = row
            else:
                found.rows.append(row)
            if row.kind in ("intent", "refusal"):
                data = row.data()
                symbol, side = str(data.get("symbol")), str(data.get("side"))
                if side == "SELL" and found.decision is None:
                    found.decision = closing.get(symbol)
        elif row.kind == "decision" and '"side":"SELL"' in row.body:
            closing[row.ref] = row
    return found


def highest(reader: JournalReader, symbol: str, start: datetime, end: datetime) -> int:
    """Return the highest price of the bars of a stock between two moments, 0 without bars."""
    high = 0
    for row in reader.rows(("bar",)):
        if row.ref == symbol and start.isoformat() <= row.at <= end.isoformat():
            bar = row.data().get("bar")
            if isinstance(bar, dict) and type(bar.get("high")) is int:
                high = max(high, bar["high"])
    return high


class Teller:
    """Makes sentences of what was found."""

    def __init__(
        self, report: reports.Report, language: str, names: Mapping[str, str] | None = None
    ) -> None:
        self.report, self.korean = report, language != "en"
        self._names = names or {}  # of stocks that the journal does not name

    def say(self, key: str, **values: Any) -> str:
        """Return a sentence."""
        return SENTENCES[key][not self.korean].format(**values)

    def won(self, value: Any, signed: bool = False) -> str:
        """Return a price or an amount with its unit; a dash for none."""
        if not isinstance(value, int | float) or not (value or signed):
            return "-"
        text = f"{value:+,.0f}" if signed else f"{value:,.1f}".removesuffix(".0")
        return f"{text}원" if self.korean else f"{text} won"

    def price(self, value: Any) -> str:
        """Return the price of an order; 0 means at the market."""
        return self.won(value) if value else ("시장가" if self.korean else "the market price")

    def reason(self, text: str) -> str:
        """Return a reason as the user reads it."""
        return bot.in_korean(text) if self.korean else text

    def stock(self, symbol: str) -> str:
        """Return the name of a stock with its code."""
        name = self.report.names.get(symbol, "") or self._names.get(symbol, "")
        return f"{name}({symbol})" if name else symbol

    def sentences(self, found: Found) -> Iterator[str]:
        """Yield what is to be said of an order, one sentence or two at a time."""
        line = next((o for o in self.report.orders if o.intent_id == found.ref), None)
        trip = next((t for t in self.report.trips if found.ref in (*t.entries, *t.exits)), None)
        decision = found.decision.data() if found.decision else {}
        if line and line.purpose == "external":
            side = bot.SIDE_WORDS["ko" if self.korean else "en"][line.side]
            yield self.say("external", at=f"{line.at:%Y-%m-%d %H:%M:%S}", side=side,
                           stock=self.stock(line.symbol), quantity=f"{line.quantity:,}")  # fmt: skip
        elif decision.get("side") == "SELL" or (line and line.side == "SELL"):
            yield from self.exit(found, decision, line)
        else:
            yield from self.entry(found, decision, line)
        if found.refusal:
            data = found.refusal.data()
            code = self.reason(str(data.get("code", "")))
            yield self.say("refused", code=code, numbers=self.reason(str(data.get("numbers", ""))))
        if line:
            yield self.outcome(line)
        if trip:
            yield self.result(trip)
        elif line and line.filled and line.purpose == "entry":
            yield self.say("held")

    def entry(
        self, found: Found, decision: dict[str, Any], line: reports.OrderLine | None
    ) -> Iterator[str]:
        """Tell why it was to be bought."""
        source = decision or (found.refusal.data() if found.refusal else {})
        at = found.decision or found.refusal
        moment = (
            at.at[:19].replace("T", " ") if at else f"{line.at:%Y-%m-%d %H:%M:%S}" if line else ""
        )
        symbol = str(source.get("symbol") or (line.symbol if line else ""))
        quantity = source.get("quantity") or (line.quantity if line else 0)
        price = source.get("price") or (line.price if line else 0)
        reason = str(source.get("reason") or (line.reason if line else "") or "-")
        yield self.say("entry", at=moment, stock=self.stock(symbol), quantity=f"{quantity:,}",
                       price=self.price(price), reason=self.reason(reason))  # fmt: skip
        facts = decision.get("facts")
        if isinstance(facts, dict) and facts:
            yield self.facts(facts)
        plan = decision.get("plan")
        if isinstance(plan, dict):
            trail = plan.get("trail_ratio") or 0
            yield self.say("plan", stop=self.won(plan.get("stop_price")),
                           target=self.won(plan.get("target_price")),
                           trail=f"{100 * trail:g}%" if trail else "-")  # fmt: skip

    def facts(self, facts: dict[str, Any]) -> str:
        """Tell the values of a strategy; those of the shipped breakout as its rule reads."""
        shown = {k: self._number(v) for k, v in facts.items()}
        if set(facts) == set(FACTS) and facts["average_volume"]:
            ratio = facts["volume"] / facts["average_volume"]
            return self.say("breakout", ratio=f"{ratio:.1f}", **shown)
        named = (f"{FACTS.get(k, (k, k))[not self.korean]} {v}" for k, v in shown.items())
        return self.say("facts", facts=", ".join(named))

    @staticmethod
    def _number(value: Any) -> str:
        if isinstance(value, int | float):
            return f"{value:,.2f}".rstrip("0").rstrip(".")
        return str(value)

    def exit(
        self, found: Found, decision: dict[str, Any], line: reports.OrderLine | None
    ) -> Iterator[str]:
        """Tell what made it sell."""
        moment = found.decision.at if found.decision else line.at.isoformat() if line else ""
        reason = str(decision.get("reason") or (line.reason if line else "-"))
        symbol = line.symbol if line else found.decision.ref if found.decision else ""
        quantity = decision.get("quantity") or (line.quantity if line else 0)
        yield self.say("exit", at=moment[:19].replace("T", " "), stock=self.stock(symbol),
                       quantity=f"{quantity:,}", reason=self.reason(reason))  # fmt: skip
        plan, price = decision.get("plan"), decision.get("price")
        plan = plan if isinstance(plan, dict) else {}
        if reason in ("stop", "trailing stop") and plan:
            stop = plan.get("stop_price") or 0
            key = (
                "stopped" if (price or 0) <= stop else "stop_passed"
            )  # it may have come back since
            yield self.say(key, price=self.won(price), stop=self.won(stop))
        elif reason == "target" and plan:
            target = plan.get("target_price") or 0
            key = "reached" if (price or 0) >= target else "target_passed"
            yield self.say(key, price=self.won(price), target=self.won(target))
        elif price:
            yield self.say("price", price=self.won(price))
        if found.high:
            yield self.say("high", high=self.won(found.high))

    def outcome(self, line: reports.OrderLine) -> str:
        """Tell what became of the order."""
        number = line.order_no or "-"
        if line.filled:
            key = "filled_whole" if line.filled == line.quantity else "filled"
            return self.say(key, number=number, quantity=f"{line.quantity:,}",
                            filled=f"{line.filled:,}", average=self.won(line.fill_price))  # fmt: skip
        status = self.reason(line.status)
        return self.say("unfilled", number=number, status=status)

    def result(self, trip: reports.RoundTrip) -> str:
        """Tell what the round trip brought."""
        gain = self.won(trip.gain_krw, signed=True)
        if not trip.sold:
            return self.say("no_sale", gain=gain)
        minutes, seconds = divmod(trip.duration_s, 60)
        length = f"{minutes}분 {seconds}초" if self.korean else f"{minutes} min {seconds} s"
        return self.say(
            "result", entry=self.won(trip.entry_price), exit=self.won(trip.exit_price),
            fees=self.won(trip.fees_krw, True).lstrip("+"), gain=gain,
            taxes=self.won(trip.taxes_krw, True).lstrip("+"), pct=f"{trip.gain_pct:+.2f}",
            length=length,
        )  # fmt: skip


def explain(
    path: Path, wanted: str, language: str,
    fees: tuple[Decimal, Decimal] = (bot.STOCK_FEE_PCT, bot.FUND_FEE_PCT),
) -> list[str]:  # fmt: skip
    """Return the sentences about one order of a journal. Raises bot.BotError when there is none."""
    report = reports.read_report(path, fees=fees)
    with JournalReader(path) as reader:
        found = gather(reader, find_ref(reader, wanted))
        trip = next((t for t in report.trips if found.ref in t.exits), None)
        if trip:
            found.high = highest(reader, trip.symbol, trip.opened_at, trip.closed_at)
    return list(Teller(report, language, names_of(path.parent)).sentences(found))


def rows_of(path: Path, wanted: str) -> Sequence[Row]:
    """Return the rows of one order, the decision that led to it first."""
    with JournalReader(path) as reader:
        found = gather(reader, find_ref(reader, wanted))
    rows = [*found.rows, *(r for r in (found.decision, found.refusal) if r)]
    return sorted(rows, key=lambda row: row.seq)
