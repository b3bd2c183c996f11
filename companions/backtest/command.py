"""`--backtest`: read or invent a history, run it, print the report, leave JSON and one HTML file."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

import kis_realtime_trading as bot
from companions import reports
from companions.backtest import html, metrics, recorded, sweep_view
from companions.backtest.broker import Rules
from companions.backtest.history import History
from companions.backtest.run import BacktestResult, Options, run
from companions.backtest.sweep import Job, Source, history_of
from companions.backtest.trials import Trial, Trials, asked_of, code_of
from companions.names import known_code
from companions.report_view import day_of, draw_report

MOST_S = 20.0  # a run that takes longer is not repeated under other rules
VARIANTS = {
    "nearer": Rules(path="nearer"), "touch": Rules(through=False),
    "no slippage": Rules(slip_ticks=0, worse=False), "slow": Rules(latency_s=25.0),
}  # fmt: skip
WORDS = {
    "ko": {
        "invented": "시세 파일이 없어 만들어 낸 시세로 돌립니다(추세 없는 무작위). 결과는 실제 시장과 무관합니다.",
        "running": "백테스트", "equal": "장부와 증권사 쪽 계산이 원 단위까지 같습니다.",
        "differ": "⛔ 장부와 증권사 쪽 계산이 다릅니다: ", "left": "보고서: {html}\n결과(JSON): {json}\n저널: {journal}",
        "speed": "분봉 {minutes:,}개를 {s:.1f}초에 처리했습니다(초당 {rate:,.0f}개).",
        "failed": "⛔ 전략 파일의 코드에서 오류가 나 그날 그 종목은 더 사지 않았습니다({count}번). 처음: {why}",
        "trials": "이 시세로 해 본 시험: {count}가지. 샤프지수가 운보다 나을 확률(DSR): {sure}",
    },
    "en": {
        "invented": "No history given: invented prices (a random walk). The result says nothing of a market.",
        "running": "backtest", "equal": "the ledger and the broker's books are equal to the won",
        "differ": "⛔ the ledger and the broker's books differ: ", "left": "report: {html}\nresult (JSON): {json}\njournal: {journal}",
        "speed": "{minutes:,} minutes in {s:.1f} s ({rate:,.0f} a second)",
        "failed": "⛔ the strategy's own code failed, and nothing more was bought in that stock that day ({count} times); first: {why}",
        "trials": "trials on this history so far: {count}; likelihood that its Sharpe ratio is more than luck (DSR): {sure}",
    },
}  # fmt: skip


def settings_for(options: argparse.Namespace) -> bot.BotSettings:
    """Return the section `bot` of the user's settings, or limits made from the money."""
    money = options.money
    limits = {
        "max_order_krw": money * 3 // 10, "max_symbol_krw": money * 4 // 10,
        "max_total_krw": money, "max_daily_loss_krw": max(1, money // 20),
    }  # fmt: skip
    if options.config:
        settings, _ = bot.load_settings(options, "paper")
        return settings.bot
    return bot.BotSettings.model_validate({"symbols": ["005930"], "limits": limits})


def show_backtest(options: argparse.Namespace) -> int:
    """Run a backtest for a person; 1 when the two books differ or the strategy fails."""
    if options.money < 1_000_000:
        raise bot.BotError(
            bot.Both("--money: at least 1,000,000 won", "--money: 1,000,000원 이상을 적으십시오")
        )
    if not 1 <= options.days <= 250:
        raise bot.BotError(
            bot.Both("--days: 1 to 250", "--days: 1부터 250까지의 숫자를 적으십시오")
        )
    settings = settings_for(options)
    if options.language:
        settings = settings.model_copy(update={"language": options.language})
    words, console = WORDS[settings.language], Console()
    if options.data and options.data.is_file():
        return show_recorded(options.data, options.strategy or "", options)
    source = Source(
        str(options.data) if options.data else "", day_of(options.first, "--from"),
        day_of(options.last, "--to"), known_code(options.symbol or "", options.state),
        options.days, options.seed,
    )  # fmt: skip
    if not options.data:
        Console(stderr=options.json).print(words["invented"], style="yellow")
    past = history_of(source)
    name = options.strategy or settings.strategy
    given = {} if options.strategy else settings.parameters
    base = options.state or Path(bot.BotSettings.model_fields["state_dir"].default)
    stamp = f"{datetime.now(bot.KST):%Y%m%d-%H%M%S-%f}"
    folder = (base / f"backtest-{stamp}").absolute()
    trials = Trials(base)
    if options.sweep:
        job = Job(source, name, settings, given, options.money)
        return sweep_view.show_sweep(options, job, trials, folder)
    strategy = bot.load_strategy(name, given)
    for warning in strategy.warnings:
        print(f"! {bot.in_language(warning, settings.language)}", file=sys.stderr)
    if strategy.past_days:  # rules of days hold over night
        settings = settings.model_copy(update={"flat_at": None})
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words["running"], total=len(past.days()))
        step = Options(options.money, on_day=lambda done, of: bar.update(task, completed=done))
        result = run(settings, strategy, past, step, folder)
    asked = asked_of(name, code_of(name), given)
    trials.add([Trial(result.history, asked, metrics.daily_sharpe(result.returns()) or 0.0)])
    result = dataclasses.replace(result, trials=trials.of(result.history))
    if plan := getattr(strategy, "plan", None):
        result = dataclasses.replace(result, official=beside_official(plan, past))
    page, plain = options.html or folder / "report.html", folder / "result.json"
    title = f"{type(strategy).__name__} · {', '.join(sorted(past.minutes))}"
    others = (
        other_rules(settings, name, given, past, options.money) if result.took_s < MOST_S else {}
    )
    drawn = html.draw(result, title, step.rules, settings.language, past, others)
    bot.write_private(page, drawn)
    bot.write_private(plain, json.dumps(result.to_json(), ensure_ascii=False, indent=1))
    if options.json:
        print(json.dumps(result.to_json(), ensure_ascii=False))
        return bot.EXIT_FAILED if result.differences or result.failed else 0
    console.print(
        draw_report(reports.named(result.report, folder), settings.language, console.width)
    )
    say_end(console, words, result)
    for note in past.notes[past.invented :]:
        console.print(f"! {bot.in_language(note, settings.language)}", style="yellow")
    for each in result.official:
        print(*each.said(settings.language), sep="\n")
    paths: dict[str, Any] = {"html": page, "json": plain, "journal": result.journal}
    print(words["left"].format(**paths), file=sys.stdout)
    return bot.EXIT_FAILED if result.differences or result.failed else 0


def beside_official(plan: Any, past: History) -> tuple[Any, ...]:
    """Return the official number of each stock, if the strategy file asks for it."""
    if plan.compat != "official":
        return ()
    from companions.backtest.compat import beside

    return tuple(beside(plan, symbol, bars) for symbol, bars in sorted(past.minutes.items()))


def show_recorded(file: Path, name: str, options: argparse.Namespace) -> int:
    """Run a strategy over a recording with fills; compare it with the live journal beside it."""
    found = recorded.read(file)
    own = not name or name == found.strategy
    if own and not name and found.strategy not in bot.STRATEGIES:
        raise bot.BotError(bot.Both(
            f"the recording ran {found.strategy}; if you trust that file, name it: --strategy {found.strategy}",
            f"기록의 전략은 {found.strategy}입니다. 그 파일을 믿으면 --strategy {found.strategy}로 적으십시오",
        ))  # fmt: skip
    strategy = bot.load_strategy(name or found.strategy, found.settings.parameters if own else {})
    language = options.language or found.settings.language
    words, console = WORDS[language], Console()
    base = options.state or file.parent.parent
    folder = (base / f"backtest-{datetime.now(bot.KST):%Y%m%d-%H%M%S-%f}").absolute()
    result, past = recorded.run_recorded(found, strategy, Options(options.money), folder)
    page = options.html or folder / "report.html"
    title = f"{type(strategy).__name__} · {file.name}"
    bot.write_private(page, html.draw(result, title, Rules(), language, past))
    plain = json.dumps(result.to_json(), ensure_ascii=False, indent=1)
    bot.write_private(folder / "result.json", plain)
    if options.json:
        print(json.dumps(result.to_json(), ensure_ascii=False))
        return bot.EXIT_FAILED if result.differences or result.failed else 0
    console.print(draw_report(reports.named(result.report, folder), language, console.width))
    if found.journal.is_file():
        compared = recorded.compare(found.journal, result.journal, sorted(found.trades))
        print(*recorded.said(compared, language), sep="\n")
    print(
        words["equal"]
        if not result.differences
        else words["differ"] + "; ".join(result.differences)
    )
    print(words["left"].format(html=page, json=folder / "result.json", journal=result.journal))
    return bot.EXIT_FAILED if result.differences or result.failed else 0


def other_rules(
    settings: bot.BotSettings, name: str, given: Mapping[str, Any], past: History, money: int
) -> dict[str, int]:
    """Return the net result under other fill rules: what the assumptions cost, in won."""
    found = {}
    for rule, rules in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            strategy = bot.load_strategy(name, given)
            result = run(settings, strategy, past, Options(money, rules), Path(folder) / "run")
        found[rule] = result.metrics()["end_krw"] - money
    return found


def say_end(console: Console, words: dict[str, str], result: BacktestResult) -> None:
    """Print speed, trials, and whether both books agree."""
    rate = result.minutes / max(result.took_s, 1e-9)
    console.print(words["speed"].format(minutes=result.minutes, s=result.took_s, rate=rate))
    deflated = result.metrics()["deflated_sharpe"]
    sure = "–" if deflated is None else f"{deflated:.0%}"
    console.print(words["trials"].format(count=result.trials[0], sure=sure))
    if result.failed:
        first = str(result.failed[0])
        why = bot.in_korean(first) if words is WORDS["ko"] else first
        told = words["failed"].format(count=len(result.failed), why=why)
        console.print(told, style="bold red")
    if result.differences:
        console.print(words["differ"] + "; ".join(result.differences), style="bold red")
    else:
        console.print(words["equal"])
