"""`compat: official` in a strategy file: the official number beside ours, and what lies between.

The run itself trades by our meaning. Beside it stands what the official backtester shows for the
same closed days, one stock with all the money, and the way from its number to ours: one rule is
changed at a time. What its engine decides at run time was read, not run (see `official`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from companions.backtest import official  # first: it puts the folder of the formats on the path
from companions.backtest.official import Deal

# isort: split
from kis_indicators import Columns
from kis_plan import Judge, Plan

import kis_realtime_trading as bot

MOST_LINES = 40
WHY = {
    "exit": "매도 규칙",
    "stop": "손절",
    "target": "목표",
    "trailing stop": "추적 손절",
    "open": "보유 중",
}
WORDS = {
    "ko": {
        "head": "공식 백테스터의 숫자와 비교({symbol}, 일봉, 한 종목에 1억 원 전부)",
        "official": "공식 규칙 그대로", "cross": "첫날의 거짓 교차와 교차에서 빠지는 배율을 고치면",
        "costs": "세금과 수수료를 거래일의 것으로 하면(공식은 언제나 0.015 %와 0.2 %)",
        "ours": "다음 날 시가에 사고팔고, 손절과 목표를 장중에 보면(이 프로그램의 뜻)",
        "close": "공식은 신호가 난 바로 그 종가에 체결합니다. 그 값을 보고 그 값에 살 수는 없습니다.",
        "stops": "공식은 손절과 목표를 종가에서만 봅니다. 장중에 닿은 것은 놓치고, 종가까지의 손실을 모두 냅니다.",
        "first": "공식은 첫날 이전 값을 0으로 보아, 처음부터 위에 있으면 교차로 칩니다.",
        "scale": "공식은 교차 조건에서 compare_scalar를 버립니다.",
        "warm": "공식은 지표가 준비될 때까지의 날을 시험 기간에 넣습니다.",
        "share": "공식은 max_position_size를 쓰지 않습니다.",
        "refused": "공식 백테스터는 이 파일을 거절합니다: {what}. 위의 숫자는 고쳐 읽은 것입니다.",
        "theirs": "공식", "us": "이 프로그램", "none": "매매 없음", "held": "보유 중",
        "short": "일봉이 {days}일뿐입니다. 지표에 {needed}일이 필요합니다.",
    },
    "en": {
        "head": "Beside the official backtester ({symbol}, daily bars, one stock with all of 100,000,000 won)",
        "official": "by the official rules", "cross": "without its false cross on the first day, scalars kept in crosses",
        "costs": "with tax and fee of the day (official: 0.015 % and 0.2 % always)",
        "ours": "bought and sold at the next open, stops and targets watched inside the day (our meaning)",
        "close": "The official one fills at the very close that made the signal; nobody can buy at a price after seeing it.",
        "stops": "It looks at stops and targets at the close only: what was touched inside the day is missed, the whole gap is paid.",
        "first": "It takes values before the first day for 0: what is above from the start counts as a cross.",
        "scale": "It drops compare_scalar in crosses.",
        "warm": "The days until its indicators are ready lie inside the tested period.",
        "share": "It never uses max_position_size.",
        "refused": "The official backtester refuses this file: {what}. The number above is of the file as it is meant.",
        "theirs": "official", "us": "ours", "none": "no trade", "held": "still held",
        "short": "there are {days} daily bars; the indicators need {needed}",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Beside:
    """The official number of a stock, ours, and what lies between them."""

    symbol: str
    days: int
    needed: int
    steps: tuple[tuple[str, float], ...]  # rule changed -> gain, per cent; the first is official
    rules: tuple[str, ...]  # what the official one does otherwise with this file
    refused: str  # why the official one would not take the file at all
    deals: tuple[tuple[Deal | None, Deal | None], ...]  # official, ours

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "symbol": self.symbol, "days": self.days, "gain_pct": dict(self.steps),
            "rules": list(self.rules), "refused": self.refused, "deals": self.by_deal("en"),
        }  # fmt: skip

    def said(self, language: str) -> list[str]:
        """Return the lines for people: the head, a line for each step, then the reasons."""
        words = WORDS[language]
        lines = [words["head"].format(symbol=self.symbol)]
        if not self.steps:
            return [*lines, words["short"].format(days=self.days, needed=self.needed)]
        before = None
        for key, gain in self.steps:
            change = "" if before is None else f" ({gain - before:+.2f})"
            lines.append(f"{gain:+9.2f} %{change}  {words[key]}")
            before = gain
        lines += [words[rule] for rule in self.rules]
        return lines + ([words["refused"].format(what=self.refused)] if self.refused else [])

    def by_deal(self, language: str) -> list[str]:
        """Return a line for each deal: where the official one bought and sold, and where ours did."""
        return [
            f"{_told(theirs, WORDS[language]['theirs'], language)} · "
            f"{_told(ours, WORDS[language]['us'], language)}"
            for theirs, ours in self.deals
        ]


def _told(deal: Deal | None, who: str, language: str) -> str:
    words = WORDS[language]
    if deal is None:
        return f"{who}: {words['none']}"
    sold = f"{deal.sold} {deal.sale:,.0f}" if deal.sold else words["held"]
    why = deal.why if language == "en" else WHY.get(deal.why, deal.why)
    return f"{who}: {deal.bought} {deal.price:,.0f} → {sold} ({why})"


def beside(plan: Plan, symbol: str, minutes: Sequence[bot.Bar]) -> Beside:
    """Compare a plan on the closed days of a stock."""
    columns, days = days_of(minutes)
    if len(days) <= plan.bars_needed:
        return Beside(symbol, len(days), plan.bars_needed, (), (), "", ())
    theirs, ours = (
        official.run_official(plan, columns, days),
        official.run_ours(plan, columns, days),
    )
    crossed = official.run_official(plan, columns, days, Judge)
    dated = official.run_official(plan, columns, days, Judge, dated=True)
    steps = tuple(
        (key, run.gain_pct)
        for key, run in (("official", theirs), ("cross", crossed), ("costs", dated), ("ours", ours))
    )
    found = official.pairs_of(theirs, ours)
    return Beside(
        symbol, len(days), plan.bars_needed, steps, rules_of(plan), refused_of(plan),
        tuple(found[:MOST_LINES]),
    )  # fmt: skip


def days_of(minutes: Sequence[bot.Bar]) -> tuple[Columns, list[Any]]:
    """Return the closed days of some minutes."""
    by_day: dict[Any, list[bot.Bar]] = {}
    for bar in minutes:
        by_day.setdefault(bar.start.date(), []).append(bar)
    rows = [
        (
            bars[0].open, max(b.high for b in bars), min(b.low for b in bars), bars[-1].close,
            sum(b.volume for b in bars),
        )
        for bars in by_day.values()
    ]  # fmt: skip
    high_low = [list(each) for each in zip(*rows, strict=True)] or [[], [], [], [], []]
    opens, highs, lows, closes, volumes = high_low
    return Columns(opens, highs, lows, closes, volumes), list(by_day)


def rules_of(plan: Plan) -> tuple[str, ...]:
    """Return what the official backtester does otherwise with a plan."""
    conditions = (*plan.entry.conditions, *plan.exit.conditions)
    crosses = [rule for rule in conditions if rule.operator in ("up", "down")]
    found = ["close", "warm"]
    found += ["stops"] if plan.stop_pct or plan.target_pct or plan.trail_pct else []
    found += ["first"] if crosses else []
    found += ["scale"] if any(rule.right.scale is not None for rule in crosses) else []
    return (*found, "share") if plan.max_share else tuple(found)


def refused_of(plan: Plan) -> str:
    """Return why the official backtester would not take a plan; "" when it does."""
    kinds = {each.kind for each in plan.indicators.values()}
    found = [f"id {kind}" for kind in ("max", "min", "kst", "pivot") if kind in kinds]
    found += ["operator" for each in plan.warnings if "the official backtester refuses it" in each]
    return ", ".join(dict.fromkeys(found))
