"""One offline HTML file of a backtest: no script, no request, readable on a phone."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import kis_realtime_trading as bot
from companions import report_view, reports
from companions.backtest import charts
from companions.backtest.broker import Rules
from companions.backtest.checks import fill_sensitivity
from companions.backtest.history import History
from companions.backtest.page_words import FIGURES, RULES, WEEKDAYS, WORDS
from companions.backtest.run import BacktestResult
from companions.names import names_of

MOST_TRIPS, MOST_CHARTS = 400, 8
STYLE = """
:root{--up:#c9302c;--down:#1b5fc1;--line:#dfe4ea;--soft:#5a6675;--ink:#17202b;--paper:#fff;--card:#f5f7fa;--note:#fff3d6;--other:#8a94a0;--bought:#0a7d4b;--sold:#6b3fa0}
@media(prefers-color-scheme:dark){:root{--up:#ff7b72;--down:#6cb0ff;--line:#2b3440;--soft:#9aa7b5;--ink:#e6ebf0;--paper:#11161c;--card:#1a212a;--note:#3a3018;--other:#7d8894;--bought:#4fd79a;--sold:#c9a2ff}}
*{box-sizing:border-box}
body{font:15px/1.55 system-ui,"Apple SD Gothic Neo","Malgun Gothic","Noto Sans KR",sans-serif;margin:0 auto;max-width:980px;padding:16px;color:var(--ink);background:var(--paper);word-break:keep-all;overflow-wrap:anywhere}
h1{font-size:22px;line-height:1.3;margin:8px 0}h2{font-size:17px;margin:32px 0 8px}h3{font-size:15px;margin:16px 0 4px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
td,th{padding:5px 0 5px 12px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left;padding-left:0}th{color:var(--soft);font-weight:500}
.text td{white-space:normal}.left{text-align:left}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(136px,1fr));gap:8px}
.cards div{background:var(--card);border-radius:10px;padding:9px 12px}.cards b{display:block;font-size:17px;font-variant-numeric:tabular-nums}.cards span{color:var(--soft);font-size:13px}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:0 28px}
.up{color:var(--up)}.down{color:var(--down)}.soft{color:var(--soft)}.wide{overflow-x:auto}
.note{background:var(--note);padding:8px 12px;border-radius:8px;margin:8px 0}
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:12px}@media(max-width:600px){svg text{font-size:19px}}
.grid{stroke:var(--line)}.line,.trip{fill:none;stroke:currentColor;stroke-width:1.8}.line.other{color:var(--other)}.line.own{color:var(--ink);stroke-width:2.2}
.area{fill:currentColor;opacity:.18}.key.own{fill:var(--ink)}.key.other{fill:var(--other)}
.wick{stroke:currentColor;fill:none;stroke-width:1}.body{fill:currentColor}.wick.up,.body.up,.trip.up{color:var(--up)}.wick.down,.body.down,.trip.down{color:var(--down)}
.wick,.body{opacity:.55}.trip{stroke-width:1.4;stroke-dasharray:3 2}.bought{fill:var(--bought)}.sold{fill:var(--sold)}
"""


def _tone(amount: float) -> str:
    return "up" if amount > 0 else "down" if amount < 0 else ""


def _money(amount: float) -> str:
    return f'<td class="{_tone(amount)}">{amount:+,.0f}</td>'


def _table(heads: Sequence[str], rows: Sequence[str], none: str, style: str = "") -> str:
    if not rows:
        return f'<p class="soft">{none}</p>'
    head = "".join(f"<th>{html.escape(each)}</th>" for each in heads)
    return f'<div class="wide"><table class="{style}"><tr>{head}</tr>{"".join(rows)}</table></div>'


def shown(value: Any, kind: str) -> str:
    """Return a figure for people; one without a meaning is a dash.

    >>> shown(0.1234, "%"), shown(None, "x"), shown(1_234_567, "won"), shown(1.5, "x")
    ('+12.34 %', '–', '+1,234,567', '1.50')
    """
    if value is None:
        return "–"
    if kind == "%":
        return f"{100 * value:+.2f} %"
    if kind == "share":
        return f"{100 * value:.1f} %"
    if kind == "won":
        return f"{value:+,.0f}"
    return f"{value:,.2f}" if kind == "x" else f"{value:,.0f}" if kind == "n" else str(value)


class Page:
    """The parts of the page of one result, in one language."""

    def __init__(self, result: BacktestResult, rules: Rules, language: str) -> None:
        self._result, self._rules, self._language = result, rules, language
        self._words, self._report = WORDS[language], result.report
        self._figures, self._names = result.metrics(), names_of(None)

    def _reason(self, text: str) -> str:
        return bot.in_korean(text) if self._language == "ko" else text

    def _stock(self, symbol: str, name: str = "") -> str:
        return html.escape(name or self._names.get(symbol, symbol))

    def notes(self) -> str:
        """Return what must be read before any figure."""
        words, result = self._words, self._result
        said = [words["invented"]] if any("invented" in note for note in result.notes) else []
        said += [words["few"]] if result.report.totals.trips < 30 else []
        if result.differences:
            said.append(words["differ"] + "; ".join(result.differences[:5]))
        told = [note for note in result.notes if "invented" not in note]
        taught = sum("only taught" in note for note in told)
        said += [words["taught"].format(count=taught)] if taught else []
        said += [
            bot.in_language(note, self._language) for note in told if "only taught" not in note
        ]
        return "".join(f'<p class="note">{html.escape(note)}</p>' for note in said)

    def official(self) -> str:
        """Return the official number beside ours, where the strategy file asks for it."""
        parts = []
        for each in self._result.official:
            head, *lines = map(html.escape, each.said(self._language))
            deals = map(html.escape, each.by_deal(self._language))
            parts.append(f"<h2>{head}</h2><ul><li>{'<li>'.join(lines)}</ul>")
            parts.append(f'<p class="soft">{"<br>".join(deals)}</p>')
        return "".join(parts)

    def cards(self) -> str:
        """Return the figures that are looked at first."""
        f, sums, words = self._figures, self._report.totals, self._words
        cards = [
            (words["total"], f"{f['end_krw'] - f['money_krw']:+,}", f["end_krw"] - f["money_krw"]),
            (words["return"], shown(f["return"], "%"), f["return"] or 0),
            (words["market"], shown(f["market_return"], "%"), f["market_return"] or 0),
            (words["dd"], shown(f["max_drawdown"], "share"), 0),
            (words["sharpe"], shown(f["sharpe"], "x"), 0), (words["trades"], f"{sums.trips:,}", 0),
            (words["win"], shown(f["win_rate"], "share"), 0),
            (words["pf"], shown(f["profit_factor"], "x"), 0),
            (words["costs"], f"{sums.costs_krw:,}", 0),
            (words["luck"], shown(f["deflated_sharpe"], "share"), 0),
        ]  # fmt: skip
        return '<div class="cards">' + "".join(
            f'<div><span>{html.escape(name)}</span><b class="{_tone(tone)}">{value}</b></div>'
            for name, value, tone in cards
        ) + "</div>"  # fmt: skip

    def equity(self) -> str:
        """Return equity beside buying and holding, and the falls from each height."""
        words, days = self._words, self._report.days
        own = [float(self._result.money), *(float(day.equity_krw) for day in days)]
        held = [each * self._result.money for each in self._result.market]
        labels = [words["start"], *(f"{day.day:%y-%m-%d}" for day in days)]
        named = [(words["equity"], "own", own)]
        if len(held) == len(own):
            named.insert(0, (words["held"], "other", held))
        top, falls = own[0], []
        for value in own:
            top = max(top, value)
            falls.append(100 * (value / top - 1))
        return (
            f"<h2>{words['equity']}</h2>{charts.lines(labels, named, korean=self._language == 'ko')}"
            f"<h2>{words['drawdown']}</h2>"
            f"{charts.lines(labels, [(words['drawdown'], 'down', falls)], ' %', filled=True)}"
        )

    def months(self) -> str:
        """Return the returns of months, a line a year."""
        grid: dict[int, dict[int, float]] = {}
        before = float(self._result.money)
        for day in self._report.days:
            after = float(day.equity_krw)
            year = grid.setdefault(day.day.year, {})
            year[day.day.month] = (1 + year.get(day.day.month, 0.0)) * after / before - 1
            before = after
        rows = []
        for number, months in grid.items():
            cells = "".join(
                f'<td class="{_tone(months.get(m, 0.0))}">{f"{100 * months[m]:+.1f}" if m in months else ""}</td>'
                for m in range(1, 13)
            )
            whole = 1.0
            for each in months.values():
                whole *= 1 + each
            rows.append(f'<tr><td>{number}</td>{cells}<td class="{_tone(whole - 1)}"><b>{100 * (whole - 1):+.1f}</b></td></tr>')  # fmt: skip
        heads = ["%", *self._words["twelve"].split(), self._words["year"]]
        return f"<h2>{self._words['months']}</h2>{_table(heads, rows, self._words['none'])}"

    def trades(self, past: History | None) -> str:
        """Return candles with the round trips of each stock, those with most trips first."""
        if past is None:
            return ""
        trips: dict[str, list[reports.RoundTrip]] = {symbol: [] for symbol in past.minutes}
        for trip in self._report.trips:
            trips.setdefault(trip.symbol, []).append(trip)
        order = sorted(trips, key=lambda symbol: (-len(trips[symbol]), symbol))
        body = "".join(
            f"<h3>{self._stock(symbol)} <span class='soft'>{symbol} · {len(trips[symbol])}</span></h3>"
            f"{charts.candles(past.minutes.get(symbol, []), trips[symbol][-MOST_TRIPS:], symbol)}"
            for symbol in order[:MOST_CHARTS]
        )
        rest = order[MOST_CHARTS:]
        more = f'<p class="soft">{self._words["more"].format(count=len(rest))}</p>' if rest else ""
        return f'<h2>{self._words["trades_on"]}</h2><p class="soft">{self._words["legend"]}</p>{body}{more}'

    def figures(self) -> str:
        """Return all figures with what they mean."""
        half = (len(FIGURES) + 1) // 2
        tables = []
        for part in (FIGURES[:half], FIGURES[half:]):
            rows = [
                f"<tr><td>{korean if self._language == 'ko' else english}</td>"
                f"<td>{html.escape(shown(self._figures[key], kind))}</td></tr>"
                for key, kind, korean, english in part
            ]
            tables.append(f'<table class="text">{"".join(rows)}</table>')
        return f'<h2>{self._words["figures"]}</h2><div class="two">{"".join(tables)}</div>'

    def doubts(self, variants: Mapping[str, int]) -> str:
        """Return costs, and the result under other assumptions."""
        words, sums = self._words, self._report.totals
        net = self._figures["end_krw"] - self._figures["money_krw"]
        rows = [
            f"<tr><td>{words['costs_0']}</td>{_money(net + sums.costs_krw)}</tr>",
            f"<tr><td>{words['costs_1'].format(fees=f'{sums.fees_krw:,}', taxes=f'{sums.taxes_krw:,}')}</td>{_money(net)}</tr>",
            f"<tr><td>{words['costs_2']}</td>{_money(net - sums.costs_krw)}</tr>",
        ]  # fmt: skip
        rows += [
            f"<tr><td>{html.escape(RULES[self._language].get(name, name))}</td>{_money(won)}</tr>"
            for name, won in variants.items()
        ]
        findings = fill_sensitivity({"": net, **variants}, "") if net else []
        told = f'<p class="note">{words["fragile"]}</p>' if findings else ""
        count = words["trials"].format(count=self._figures["trials"])
        return (
            f"<h2>{words['doubts']}</h2>{told}<p>{count}</p>"
            f"{_table([words['assumed'], words['gain']], rows, words['none'], 'text')}"
        )

    def breakdowns(self) -> str:
        """Return gains by stock, reason, hour, weekday and month."""
        words, trips = self._words, self._report.trips

        def lines(found: Sequence[reports.GroupLine], name: Any) -> list[str]:
            return [
                f"<tr><td>{html.escape(name(line.key))}</td><td>{line.trips}</td>"
                f"<td>{line.win_rate_pct:.0f} %</td>{_money(line.gain_krw)}</tr>"
                for line in found
            ]

        weekdays = []
        for n, day in enumerate(WEEKDAYS[self._language]):
            each = [trip for trip in trips if trip.closed_at.weekday() == n]
            wins = sum(trip.gain_exact > 0 for trip in each)
            gain = sum(float(trip.gain_exact) for trip in each)
            if each:
                weekdays.append(f"<tr><td>{day}</td><td>{len(each)}</td><td>{100 * wins / len(each):.0f} %</td>{_money(gain)}</tr>")  # fmt: skip
        parts = [
            (words["name"], lines(reports.group(trips, "symbol"), lambda k: self._names.get(k, k))),
            (words["why"], lines(reports.group(trips, "reason"), self._reason)),
            (words["hour"], lines(reports.group(trips, "hour"), lambda k: f"{k}:00")),
            (words["weekday"], weekdays),
            (words["month"], lines(reports.group(trips, "month"), str)),
        ]  # fmt: skip
        tables = "".join(
            f"<div><h3>{name}</h3>{_table([name, words['count'], words['win'], words['gain']], rows, words['none'])}</div>"
            for name, rows in parts
        )
        return f'<h2>{words["breakdowns"]}</h2><div class="two">{tables}</div>'

    def refused(self) -> str:
        """Return the wishes that a rule did not let pass."""
        words = self._words
        rows = [
            f"<tr><td>{html.escape(report_view.Words(self._language).rule(str(code)))}</td><td>{count}</td></tr>"
            for code, count in self._report.refusals_by_rule().items()
        ]
        return f"<h2>{words['refused']}</h2>{_table([words['why'], words['count']], rows, words['none'])}"

    def trips(self) -> str:
        """Return the round trips, the newest first."""
        words, every = self._words, self._report.trips
        rows = [
            f"<tr><td>{trip.closed_at:%y-%m-%d %H:%M}</td><td class='left'>{self._stock(trip.symbol, trip.name)}</td>"
            f"<td>{trip.shares:,}</td><td>{trip.entry_price:,.0f}</td><td>{trip.exit_price:,.0f}</td>"
            f"{_money(trip.gain_krw)}<td class='{_tone(trip.gain_pct)}'>{trip.gain_pct:+.2f}</td>"
            f"<td class='left'>{html.escape(self._reason(trip.reason))}</td></tr>"
            for trip in every[: -MOST_TRIPS - 1 : -1]
        ]  # fmt: skip
        heads = [words[key] for key in ("when", "name", "shares", "entry", "exit", "gain")]
        more = len(every) - MOST_TRIPS
        said = f'<p class="soft">{words["older"].format(count=more)}</p>' if more > 0 else ""
        return f"<h2>{words['trips']}</h2>{_table([*heads, '%', words['why']], rows, words['none'])}{said}"

    def how(self) -> str:
        """Return how orders were filled, and that both books agree."""
        rules, words = self._rules, self._words
        text = words["rules"].format(
            latency=rules.latency_s, slip=rules.slip_ticks, share=f"{rules.share:.0%}"
        )
        books = "" if self._result.differences else f"<p>{words['equal']}</p>"
        return f"<h2>{words['how']}</h2><p>{html.escape(text)}</p>{books}"


def draw(
    result: BacktestResult, title: str, rules: Rules, language: str, past: History | None = None,
    variants: Mapping[str, int] | None = None,
) -> str:  # fmt: skip
    """Return the whole page. `variants`: the net result under other rules, by name."""
    page, words, report = Page(result, rules, language), WORDS[language], result.report
    return (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width,initial-scale=1"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{words['title']}: {html.escape(title)}</h1>"
        f'<p class="soft">{report.first} – {report.last} · {words["history"]} {result.history}</p>'
        f"{page.notes()}{page.cards()}{page.equity()}{page.months()}{page.trades(past)}"
        f"{page.official()}{page.figures()}{page.doubts(variants or {})}{page.breakdowns()}{page.refused()}"
        f"{page.trips()}{page.how()}</html>"
    )
