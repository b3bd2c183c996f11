"""Answers of the phone out of journal and status: figures, reasons, pictures. An own process.

    python -m companions.phone_answers JOURNAL LANGUAGE STOCK_FEE FUND_FEE WORD [ARGUMENT ...]

prints one JSON object, {"text": ..., "photo": base64 of a PNG} ("names": code to name). The bot
starts it with a time limit and without keys; nothing here can reach it back.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import kis_realtime_trading as bot
from companions import report_view, reports, why
from companions.names import names_of, spelled
from companions.status import STATUS_NAME, name_stocks, read_status

WEEKDAYS = {"ko": "월화수목금토일", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}
MOST_LINES = 30


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with all that its answer needs."""

    journal: Path
    language: str
    fees: tuple[Decimal, Decimal]
    values: Sequence[str]

    def say(self, korean: str, english: str) -> str:
        """Choose the language."""
        return korean if self.language == "ko" else english

    def number(self, usual: int, at: int = 0) -> int:
        """Return an argument that is a number."""
        return int(self.values[at]) if len(self.values) > at else usual

    def report(self) -> reports.Report:
        """Read the whole journal; stocks are named."""
        return reports.named(reports.read_report(self.journal, fees=self.fees), self.journal.parent)

    def won(self, amount: int) -> str:
        """Return an amount of a result."""
        return f"{amount:+,}{self.say('원', ' won')}"


def many(count: int, word: str) -> str:
    """Return a number with its English word.

    >>> many(1, "win"), many(0, "win")
    ('1 win', '0 wins')
    """
    return f"{count:,} {word}{'s' if count != 1 else ''}"


def mark(amount: int) -> str:
    """Return up or down, as Korean screens show it."""
    return "▲" if amount > 0 else "▼" if amount < 0 else "―"


def lines_of(lines: Iterable[str], asked: Asked) -> str:
    """Return the newest lines, or that there is nothing yet."""
    found = list(lines)
    return "\n".join(found[-MOST_LINES:]) or asked.say("아직 기록이 없습니다", "nothing yet")


def trades(asked: Asked) -> dict[str, str]:
    """Round trips of the last days."""
    report, count = asked.report(), asked.number(1)
    days = {day.day for day in report.days[-count:]}
    lines = [
        f"{mark(t.gain_krw)} {f'{t.closed_at:%m-%d} ' if count > 1 else ''}{t.closed_at:%H:%M} "
        f"{t.name or t.symbol} {t.sold:,}{asked.say('주', '')} {t.entry_price:,.0f}→{t.exit_price:,.0f} "
        f"{t.gain_krw:+,} ({t.gain_pct:+.1f}%, {reason(t.reason, asked)})"
        for t in report.trips if t.day in days
    ]  # fmt: skip
    total = sum(t.gain_krw for t in report.trips if t.day in days)
    if lines:
        lines.append(asked.say(f"합계 {total:+,}원", f"in all {total:+,} won"))
    return {"text": lines_of(lines, asked)}


def reason(text: str, asked: Asked) -> str:
    """Return why a position was closed, in the reader's language."""
    return bot.in_korean(text) if asked.language == "ko" else text


def daily(asked: Asked) -> dict[str, str]:
    """Results of the last days."""
    report, names = asked.report(), WEEKDAYS[asked.language]
    lines = [
        f"{mark(d.result_krw)} {d.day:%m-%d} {names[d.day.weekday()]} {d.result_krw:+,} "
        + asked.say(
            f"({d.exits}회, 이익 {d.wins})",
            f"({many(d.exits, 'round trip')}, {many(d.wins, 'win')})",
        )
        for d in report.days[-asked.number(7) :]
    ]
    total = sum(d.result_krw for d in report.days[-asked.number(7) :])
    return {"text": lines_of([*lines, asked.say("합계 ", "in all ") + asked.won(total)], asked)}


def name_of(report: reports.Report, by: reports.GroupBy, key: str, asked: Asked) -> str:
    """Return what a sum is of: a stock by its name, a week by its Monday."""
    if by == "week":
        return report_view.Words(asked.language).week(key)
    return report.names.get(key, key) if by == "symbol" else key


def grouped(by: reports.GroupBy, most: int) -> Callable[[Asked], dict[str, str]]:
    """Return the answer that sums round trips up by week, month or stock."""

    def answer(asked: Asked) -> dict[str, str]:
        report = asked.report()
        groups = reports.group(report.trips, by)
        if by == "symbol":
            groups = sorted(groups, key=lambda line: line.gain_krw)
        lines = [
            f"{mark(g.gain_krw)} {name_of(report, by, g.key, asked)} "
            f"{g.gain_krw:+,} "
            + asked.say(
                f"({g.trips}회, 승률 {g.win_rate_pct:.0f}%)",
                f"({many(g.trips, 'round trip')}, win rate {g.win_rate_pct:.0f}%)",
            )
            for g in groups[-most:]
        ]
        return {"text": lines_of(lines[::-1] if by == "symbol" else lines, asked)}

    return answer


def stats(asked: Asked) -> dict[str, str]:
    """What all round trips and days come to."""
    t = asked.report().totals
    if not t.trips:
        return {"text": lines_of([], asked)}
    factor = "-" if t.profit_factor is None else f"{t.profit_factor:.2f}"
    mean = "-" if t.expectancy_krw is None else f"{t.expectancy_krw:+,.0f}"
    minutes = (t.average_duration_s or 0) / 60
    return {"text": asked.say(
        f"왕복 {t.trips}회 · 승률 {t.win_rate_pct or 0:.1f}% · 손익비(PF) {factor}\n"
        f"순손익 {t.gain_krw:+,}원 · 1회 평균 {mean}원\n최고 {t.best_krw:+,} · 최저 {t.worst_krw:+,}\n"
        f"연속 이익 {t.longest_wins}회 · 연속 손실 {t.longest_losses}회 · 평균 보유 {minutes:.0f}분\n"
        f"수수료 {t.fees_krw:,} · 세금 {t.taxes_krw:,}\n"
        f"{t.days}일 (오른 날 {t.days_up}, 내린 날 {t.days_down}) · 최대 낙폭 {t.drawdown.krw:,}원",
        f"{many(t.trips, 'round trip')} · win rate {t.win_rate_pct or 0:.1f}% · profit factor {factor}\n"
        f"net {t.gain_krw:+,} won · mean {mean} won\nbest {t.best_krw:+,} · worst {t.worst_krw:+,}\n"
        f"wins in a row {t.longest_wins} · losses {t.longest_losses} · held {minutes:.0f} min\n"
        f"fees {t.fees_krw:,} · taxes {t.taxes_krw:,}\n"
        f"{many(t.days, 'day')} ({t.days_up} up, {t.days_down} down) · drawdown {t.drawdown.krw:,} won",
    )}  # fmt: skip


def report_of_day(asked: Asked) -> dict[str, str]:
    """The last day in figures, with its picture."""
    from companions import phone_pictures

    report = asked.report()
    if not report.days:
        return {"text": lines_of([], asked)}
    day = report.days[-1]
    trips = [t for t in report.trips if t.day == day.day]
    refused = [each for each in report.refused if each.at.date() == day.day]
    lines = [
        asked.say(
            f"{day.day} {asked.won(day.result_krw)}\n실현 {day.net_krw:+,} · 평가 {day.open_krw:+,} · "
            f"수수료 {day.fees_krw:,} · 세금 {day.taxes_krw:,}\n왕복 {len(trips)}회, 이익 {day.wins} · "
            f"주문 {day.orders} · 보류 {len(refused)}",
            f"{day.day} {asked.won(day.result_krw)}\nrealised {day.net_krw:+,} · open "
            f"{day.open_krw:+,} · fees {day.fees_krw:,} · taxes {day.taxes_krw:,}\n"
            f"{many(len(trips), 'round trip')}, {many(day.wins, 'win')} · "
            f"{many(day.orders, 'order')} · {len(refused)} refused",
        )
    ]
    if trips:
        best, worst = (f(trips, key=lambda t: t.gain_krw) for f in (max, min))
        lines += [
            asked.say("최고 ", "best ") + f"{best.name or best.symbol} {best.gain_krw:+,}",
            asked.say("최저 ", "worst ") + f"{worst.name or worst.symbol} {worst.gain_krw:+,}",
        ]
    photo = phone_pictures.of_day(asked.journal, asked.fees, asked.language)
    return {"text": "\n".join(lines), "photo": base64.b64encode(photo).decode()}


def evening(asked: Asked) -> dict[str, str]:
    """The picture of the day alone: the bot has told its figures."""
    from companions import phone_pictures

    photo = phone_pictures.of_day(asked.journal, asked.fees, asked.language)
    return {"text": "", "photo": base64.b64encode(photo).decode()}


def code_of(asked: Asked, wanted: str) -> str:
    """Return the code of a stock that was named; what is no name stays."""
    known = names_of(asked.journal.parent).items()
    names = {code: name.replace(" ", "").lower() for code, name in known}
    spoken = spelled(wanted)
    exact = [code for code, name in names.items() if name == spoken]
    partly = [code for code, name in names.items() if spoken in name]
    found = exact or partly
    return found[0] if len(found) == 1 else wanted.upper()


def reasons(asked: Asked) -> dict[str, str]:
    """Why an order came about and what became of it."""
    wanted = code_of(asked, asked.values[0]) if asked.values else "last"
    try:
        said = why.explain(asked.journal, wanted, asked.language, asked.fees)
    except bot.JournalError:
        raise
    except bot.BotError:
        return {"text": asked.say(f"그런 주문이 없습니다: {wanted}", f"no such order: {wanted}")}
    return {"text": "\n".join(said)}


def chart(asked: Asked) -> dict[str, str]:
    """Candles of a stock with what was done in it."""
    from companions import phone_pictures

    code = code_of(asked, asked.values[0])
    days = min(asked.number(1, at=1), 20)
    photo = phone_pictures.of_stock(asked.journal, asked.fees, asked.language, code, days)
    if not photo:
        text = asked.say(
            f"{code}: 그런 종목이나 주문이 없거나, 아직 봉이 없습니다",
            f"{code}: no such stock or order, or no bars yet",
        )
        return {"text": text}
    name = names_of(asked.journal.parent).get(code, "")
    return {"text": f"{name} {code}".strip(), "photo": base64.b64encode(photo).decode()}


def profit(asked: Asked) -> dict[str, str]:
    """Equity and drawdown as a picture."""
    from companions import phone_pictures

    days = asked.report().days[-asked.number(60) :]
    if not days:
        return {"text": lines_of([], asked)}
    total = sum(day.result_krw for day in days)
    fall = reports.drawdown(days)
    text = asked.say(
        f"{len(days)}일 {asked.won(total)} · 평가금액 {days[-1].equity_krw:,}원 · 최대 낙폭 {fall.krw:,}원",
        f"{many(len(days), 'day')} {asked.won(total)} · equity {days[-1].equity_krw:,} won · drawdown {fall.krw:,}",
    )
    if len(days) == 1:
        photo = phone_pictures.of_day(asked.journal, asked.fees, asked.language, result_only=True)
    else:
        photo = phone_pictures.of_results(days, asked.language)
    return {"text": text, "photo": base64.b64encode(photo).decode()}


def names(asked: Asked) -> dict[str, str]:
    """Code to name of the stocks that tables know."""
    return names_of(asked.journal.parent)


# --- out of the status ---

# Korean, its unit, English, its unit.
LIMIT_WORDS = {
    "max_order_krw": ("주문 1건", "원", "one order", " won"), "max_symbol_krw": ("한 종목", "원", "one stock", " won"),
    "max_total_krw": ("전체", "원", "all stocks", " won"), "max_daily_loss_krw": ("하루 손실", "원", "loss of a day", " won"),
    "max_daily_loss_pct": ("하루 손실률", "%", "the same", "%"),
    "max_drawdown_krw": ("당일 고점 대비 손실", "원", "fall from the day's peak", " won"),
    "losses_in_a_row": ("한 종목 연속 손실", "회", "losses in a row, one stock", ""),
    "losses_in_a_row_all": ("전체 연속 손실", "회", "losses in a row, all", ""),
    "loss_pause_minutes": ("연속 손실 뒤 쉬는 시간", "분", "pause after them", " min"),
    "max_quantity": ("주문 1건 수량", "주", "shares of an order", ""),
    "max_positions": ("동시 보유", "종목", "stocks held at once", ""),
    "max_orders_per_minute": ("1분 주문", "건", "orders in a minute", ""),
    "max_orders_per_day": ("하루 주문", "건", "orders in a day", ""),
    "collar_pct": ("현재가와의 차이", "%", "away from the market", "%"),
    "max_data_age_s": ("체결가 유효 시간", "초", "age of the last trade", " s"),
    "max_quote_age_s": ("조회 현재가 유효 시간", "초", "age of the asked price", " s"),
}  # fmt: skip


def status_of(asked: Asked) -> dict[str, Any]:
    """Return what the bot wrote down a second ago, its stocks named."""
    status = read_status(asked.journal.parent / STATUS_NAME)
    name_stocks(status, asked.journal.parent)
    return status


def positions(asked: Asked) -> dict[str, str]:
    """Shares, average and price, gain, stop and target."""
    lines = []
    for each in status_of(asked)["symbols"]:
        if each["position"]:
            stop, target = (f"{each[key]:,}" if each[key] else "-" for key in ("stop", "target"))
            lines.append(
                f"{each['name'] or each['symbol']} {each['position']:,}{asked.say('주', '')}"
                f" @ {each['average']:,.0f} → {each['price']:,}"
                f" · {each['gain_krw']:+,} ({each['gain_pct']:+.1f}%)\n"
                + asked.say(f"  손절 {stop} · 목표 {target}", f"  stop {stop} · target {target}")
            )
    return {"text": "\n".join(lines) or asked.say("보유 종목이 없습니다", "nothing held")}


def help_(asked: Asked) -> dict[str, str]:
    """The table of the owner's words."""
    titles = {
        bot.Danger.ASK: ("물어보기", "ask"), bot.Danger.DOWN: ("바로 실행", "at once"),
        bot.Danger.CONFIRM: ("한 번 더 누르면 실행", "after one tap"),
        bot.Danger.UP: ("확인 번호로 실행", "with a code"),
    }  # fmt: skip
    lines = []
    for danger, title in titles.items():
        lines.append(f"— {asked.say(*title)}")
        lines += [
            f"/{word.usage(asked.language)} {asked.say(word.ko, word.en)}"
            for word in bot.COMMANDS.values()
            if word.danger is danger and "phone" in word.doors
        ]
    return {"text": "\n".join(lines)}


def watchlist(asked: Asked) -> dict[str, str]:
    """Prices of the watched stocks."""
    lines = (
        f"{'●' if each['position'] else '○'} {each['name'] or each['symbol']} {each['price']:,} "
        f"({each['change_pct']:+.2f}%){asked.say(' 거래정지', ' halted') if each['halted'] else ''}"
        for each in status_of(asked)["symbols"]
    )
    return {"text": "\n".join(lines)}


def limits(asked: Asked) -> dict[str, str]:
    """The limits that hold now, those of real money's first days included."""
    lines = []
    for key, value in status_of(asked)["limits"].items():
        korean, unit, english, english_unit = LIMIT_WORDS[key]
        most = asked.say("없음", "none")
        if value is not None:
            most = f"{value:,}".removesuffix(".0") + asked.say(unit, english_unit)
        lines.append(f"{asked.say(korean, english)} {most}")
    more = asked.say("한도는 설정 파일에서만 바꿉니다", "the settings file alone changes them")
    return {"text": "\n".join([*lines, more])}


def orders(asked: Asked) -> dict[str, str]:
    """Open orders with their numbers."""
    status, at_market = status_of(asked), asked.say("시장가·최유리", "market")
    named = {each["symbol"]: each["name"] for each in status["symbols"]}
    lines = [
        f"{named.get(e['symbol']) or e['symbol']} {bot.SIDE_WORDS[asked.language][e['side']]} "
        f"{e['filled']:,}/{e['quantity']:,} @ {format(e['price'], ',') if e['price'] else at_market} · "
        f"{e['number'] or reason(e['state'], asked)}"
        for e in status["orders"]
    ]
    return {"text": "\n".join(lines) or asked.say("미체결 주문이 없습니다", "no open order")}


def balance(asked: Asked) -> dict[str, str]:
    """Cash and equity."""
    status = status_of(asked)
    day = status["day"]
    return {"text": asked.say(
        f"평가금액 {status['equity_krw']:,}원\n현금 {status['cash_krw']:,}원\n"
        f"실현 {day['realised_krw']:+,}원 · 평가 {day['open_krw']:+,}원\n"
        f"수수료 {day['fees_krw']:,}원 · 세금 {day['taxes_krw']:,}원",
        f"equity {status['equity_krw']:,} won\ncash {status['cash_krw']:,} won\n"
        f"realised {day['realised_krw']:+,} · open {day['open_krw']:+,}\n"
        f"fees {day['fees_krw']:,} · taxes {day['taxes_krw']:,}",
    )}  # fmt: skip


def holds(asked: Asked) -> dict[str, str]:
    """Why nothing is bought now, in all stocks or in one."""
    status = status_of(asked)
    named = {each["symbol"]: each["name"] for each in status["symbols"]}
    lines = [
        f"⏸ {'' if e['scope'] == 'all' else (named.get(e['scope']) or e['scope']) + ': '}{e['text']}"
        for e in status["holds"]
    ]
    none = asked.say("지금 막는 이유가 없습니다", "nothing is held back")
    return {"text": "\n".join(lines) or none}


def locks(asked: Asked) -> dict[str, str]:
    """Stocks in which nothing is bought now, with the reason."""
    status = status_of(asked)
    named = {each["symbol"]: each["name"] for each in status["symbols"]}
    lines = [
        f"🔒 {named.get(e['scope']) or e['scope']} {e['scope']}: {e['text']}"
        for e in status["holds"] if e["scope"] != "all"
    ]  # fmt: skip
    return {"text": "\n".join(lines) or asked.say("멈춘 종목이 없습니다", "no stock is stopped")}


def health(asked: Asked) -> dict[str, str]:
    """Feed, queues, token, memory."""
    status = status_of(asked)
    feed, queues, process = status["feed"], status["queues"], status["process"]
    age, left = feed["age_s"], status["token"]["left_s"]
    hours = f"{left / 3600:.0f}" if isinstance(left, int | float) else "-"
    age = "-" if age is None else report_view.Words(asked.language).length(age)
    hours = "-" if hours == "-" else f"{int(hours):,}"
    return {"text": asked.say(
        f"시세 {'연결됨' if feed['connected'] else '끊김'} · 마지막 체결 {age} 전\n"
        f"등록 {feed['registered']} · 체결 {feed['trades']:,} · 호가 {feed['quotes']:,} · 유실 {feed['lost']:,}\n"
        f"대기: 주문 {queues['calls']} · 알림 {queues['telegram']} · 결과 불명 {status['unknown']}\n"
        f"토큰 {hours}시간 남음 · 메모리 {process['memory_mb']} MB · 저널 {process['journal_mb']} MB\n"
        f"가동 {process.get('uptime_s', 0) // 60}분",
        f"feed {'up' if feed['connected'] else 'down'} · last trade {age} ago\n"
        f"{feed['registered']} registered · {feed['trades']:,} trades · {feed['quotes']:,} quotes · "
        f"{feed['lost']:,} lost\nwaiting: {queues['calls']} calls · {queues['telegram']} messages · "
        f"{status['unknown']} of unknown outcome\ntoken for {hours} h · {process['memory_mb']} MB · "
        f"journal {process['journal_mb']} MB\nup {process.get('uptime_s', 0) // 60} min",
    )}  # fmt: skip


def logs(asked: Asked) -> dict[str, str]:
    """The last messages, twenty at most."""
    return {"text": lines_of(status_of(asked)["messages"][-asked.number(10) :], asked)}


def version(asked: Asked) -> dict[str, str]:
    """The program and its mode."""
    status = status_of(asked)
    mode = bot.in_korean(status["mode"]) if asked.language == "ko" else status["mode"]
    return {"text": f"kis_realtime_trading {status['program']} · {mode}"}


ANSWERS: dict[str, Callable[[Asked], dict[str, str]]] = {
    "trades": trades, "daily": daily, "weekly": grouped("week", 8), "monthly": grouped("month", 12),
    "performance": grouped("symbol", 20), "stats": stats, "report": report_of_day, "evening": evening, "why": reasons,
    "chart": chart, "profit": profit, "names": names, "watchlist": watchlist, "limits": limits,
    "positions": positions, "help": help_, "orders": orders, "balance": balance, "holds": holds, "locks": locks, "health": health, "logs": logs, "version": version,
}  # fmt: skip


def answer(journal: Path, language: str, fees: tuple[str, str], words: Sequence[str]) -> Any:
    """Return the answer to a word with its arguments. Raises bot.JournalError."""
    rates = (Decimal(fees[0]), Decimal(fees[1]))
    return ANSWERS[words[0]](Asked(journal, language, rates, words[1:]))


def main(arguments: Sequence[str]) -> int:
    """Print one answer."""
    os.nice(5)  # the bot goes first
    journal, language, stock_fee, fund_fee, *words = arguments
    out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8")
    json.dump(answer(Path(journal), language, (stock_fee, fund_fee), words), out)
    out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
