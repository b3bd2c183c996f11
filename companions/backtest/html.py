"""One offline HTML file of a backtest: no script, no request, readable on a phone."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import kis_realtime_trading as bot
from companions import reports
from companions.backtest.run import BacktestResult
from companions.names import names_of

STYLE = """
:root{--up:#c9302c;--down:#1b5fc1;--line:#dfe4ea;--soft:#5a6675}
body{font:15px/1.5 system-ui,"Noto Sans KR","Malgun Gothic",sans-serif;margin:0 auto;max-width:960px;padding:16px;color:#17202b}
h1{font-size:22px}h2{font-size:17px;margin-top:28px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
td,th{padding:5px 8px 5px 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left}th{color:var(--soft);font-weight:500}
.up{color:var(--up)}.down{color:var(--down)}.soft{color:var(--soft)}.wide{overflow-x:auto}
.note{background:#fff3d6;padding:8px 12px;border-radius:8px}svg{width:100%;height:auto}
"""
WORDS = {
    "ko": {"title": "백테스트", "result": "결과", "equity": "평가자산", "drawdown": "낙폭", "months": "월별", "trips": "매매 내역", "refused": "규칙에 막힌 주문", "how": "체결 가정", "total": "순손익", "trades": "매매", "win": "승률", "pf": "손익비(PF)", "dd": "최대 낙폭", "costs": "수수료·세금", "reason": "청산 이유", "invented": "만들어 낸 시세입니다. 이 결과는 실제 시장에 대해 아무것도 말해 주지 않습니다.", "equal": "장부와 증권사 쪽 계산이 원 단위까지 같습니다.", "differ": "장부와 증권사 쪽 계산이 다릅니다: ", "few": "매매가 30회보다 적어 숫자 하나하나에 기대기 어렵습니다.", "rules": "주문은 {latency}초 뒤 도착해 그 다음 가격부터 체결됩니다. 시장가성 주문은 도착 전후 가격 중 나쁜 쪽에서 {slip}틱 불리하게, 걸어 둔 주문은 가격이 지정가를 지나가야 체결됩니다. 각 가격 거래량의 {share}까지만 체결됩니다. 한 봉 안의 순서는 불리한 쪽으로 봅니다. 보유 중이면 저가가, 매수를 기다리면 고가가 먼저입니다.", "none": "없음", "entry": "매수", "exit": "매도", "when": "시각", "name": "종목", "shares": "수량", "gain": "손익", "why": "이유", "month": "월", "count": "횟수"},
    "en": {"title": "Backtest", "result": "Result", "equity": "Equity", "drawdown": "Drawdown", "months": "By month", "trips": "Round trips", "refused": "Wishes refused by a rule", "how": "How orders are filled", "total": "Net", "trades": "Trades", "win": "Win rate", "pf": "Profit factor", "dd": "Max drawdown", "costs": "Fees and taxes", "reason": "By reason of exit", "invented": "The prices are invented. This result says nothing about a market.", "equal": "The ledger and the broker's books are equal to the won.", "differ": "The ledger and the broker's books differ: ", "few": "Fewer than 30 round trips: no single figure can be leaned on.", "rules": "An order arrives {latency} s later and meets only prices after that. One that crosses the market pays the worse of the prices before and after its arrival and {slip} tick more; one that rests needs a price through its limit. At most {share} of each price's volume is ours. Within a bar the bad case is taken: the low first against what is held, the high first against a buy that waits.", "none": "none", "entry": "bought", "exit": "sold", "when": "Time", "name": "Stock", "shares": "Shares", "gain": "Gain", "why": "Reason", "month": "Month", "count": "Count"},
}  # fmt: skip


def _tone(amount: float) -> str:
    return "up" if amount > 0 else "down" if amount < 0 else ""


def _money(amount: float) -> str:
    return f'<td class="{_tone(amount)}">{amount:+,.0f}</td>'


def _table(heads: Sequence[str], rows: Sequence[str], none: str) -> str:
    if not rows:
        return f'<p class="soft">{none}</p>'
    head = "".join(f"<th>{html.escape(each)}</th>" for each in heads)
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def curve(values: Sequence[float], colour: str, floor: float | None = None) -> str:
    """Return a line as SVG with its first, lowest, highest and last value."""
    if len(values) < 2:
        return ""
    low, high = min(*values, floor if floor is not None else values[0]), max(values)
    span, width = (high - low) or 1.0, 900 / (len(values) - 1)
    points = " ".join(
        f"{i * width:.1f},{210 - 190 * (value - low) / span:.1f}" for i, value in enumerate(values)
    )
    label = f"{low:,.0f} … {high:,.0f}"
    return (
        f'<svg viewBox="0 0 960 230" role="img" aria-label="{label}"><polyline points="{points}" '
        f'fill="none" stroke="{colour}" stroke-width="2"/><text x="0" y="228" font-size="13">{label}'
        f'</text><text x="860" y="14" font-size="13" text-anchor="middle">{values[-1]:,.0f}</text></svg>'
    )


def draw(result: BacktestResult, title: str, rules: Any, language: str) -> str:
    """Return the whole page."""
    words, report = WORDS[language], result.report
    sums, known = report.totals, names_of(None)
    equity = [float(day.equity_krw) for day in report.days]
    peak, fall = 0.0, []
    for value in equity:
        peak = max(peak, value)
        fall.append(value - peak)
    factor = "–" if sums.profit_factor is None else f"{sums.profit_factor:.2f}"
    rate = "–" if sums.win_rate_pct is None else f"{sums.win_rate_pct:.1f} %"
    facts = [
        (words["total"], f"{sums.gain_krw:+,}"), (words["trades"], str(sums.trips)),
        (words["win"], rate), (words["pf"], factor),
        (words["dd"], f"{sums.drawdown.krw:,} ({sums.drawdown.pct:.2f} %)"),
        (words["costs"], f"{sums.fees_krw + sums.taxes_krw:,}"),
    ]  # fmt: skip
    trips = [
        f"<tr><td>{trip.closed_at:%m-%d %H:%M}</td><td>{html.escape(trip.name or known.get(trip.symbol, trip.symbol))}</td>"
        f"<td>{trip.shares:,}</td><td>{trip.entry_price:,.0f}</td><td>{trip.exit_price:,.0f}</td>"
        f"{_money(trip.gain_krw)}<td>{html.escape(_reason(trip.reason, language))}</td></tr>"
        for trip in report.trips
    ]  # fmt: skip

    def grouped(by: reports.GroupBy) -> list[str]:
        return [
            f"<tr><td>{html.escape(_reason(line.key, language))}</td><td>{line.trips}</td>"
            f"{_money(line.gain_krw)}</tr>"
            for line in reports.group(report.trips, by)
        ]

    groups = {"months": grouped("month"), "reason": grouped("reason")}
    refused = [
        f"<tr><td>{html.escape(str(code))}</td><td>{count}</td></tr>"
        for code, count in report.refusals_by_rule().items()
    ]
    notes = [words["invented"]] if any("invented" in note for note in result.notes) else []
    notes += [words["few"]] if sums.trips < 30 else []
    notes.append(words["differ"] + "; ".join(result.differences) if result.differences else words["equal"])  # fmt: skip
    how = words["rules"].format(latency=rules.latency_s, slip=rules.slip_ticks, share=f"{rules.share:.0%}")  # fmt: skip
    said = "".join(f'<p class="note">{html.escape(note)}</p>' for note in notes)
    rows = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in facts)
    heads = [words[key] for key in ("when", "name", "shares", "entry", "exit", "gain", "why")]
    return (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width,initial-scale=1"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{words['title']}: {html.escape(title)}</h1>"
        f'<p class="soft">{report.first} – {report.last} · {result.history}</p>{said}'
        f"<h2>{words['result']}</h2><table>{rows}</table>"
        f"<h2>{words['equity']}</h2>{curve(equity, '#c9302c')}"
        f"<h2>{words['drawdown']}</h2>{curve(fall, '#1b5fc1', 0.0)}"
        f"<h2>{words['months']}</h2>{_table([words['month'], words['count'], words['gain']], groups['months'], words['none'])}"
        f"<h2>{words['reason']}</h2>{_table([words['why'], words['count'], words['gain']], groups['reason'], words['none'])}"
        f"<h2>{words['refused']}</h2>{_table([words['why'], words['count']], refused, words['none'])}"
        f"<h2>{words['trips']}</h2>{_table(heads, trips, words['none'])}"
        f"<h2>{words['how']}</h2><p>{html.escape(how)}</p></html>"
    )


def _reason(text: str, language: str) -> str:
    return bot.in_korean(text) if language == "ko" else text
