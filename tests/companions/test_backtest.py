"""Backtest: the engine over past minutes, a pessimistic broker, equal books, one meaning of time."""

import json
import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kis_realtime_trading as bot
from companions import command_line, reports
from companions.backtest import history, html, sweep
from companions.backtest.broker import Rules
from companions.backtest.run import Options, run
from companions.journal_reader import JournalReader
from companions.options import build_parser

LIMITS = {
    "max_order_krw": 3_000_000, "max_symbol_krw": 4_000_000, "max_total_krw": 9_000_000,
    "max_daily_loss_krw": 500_000,
}  # fmt: skip
SETTINGS = bot.BotSettings.model_validate({"symbols": ["005930"], "limits": LIMITS})
DAY = date(2026, 3, 3)
TEN = datetime(2026, 3, 3, 10, 0, tzinfo=bot.KST)


def breakout() -> bot.TradingStrategy:
    """Return the built-in strategy."""
    return bot.load_strategy("breakout", {})


@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.01, 0.1, 1.0]))
def test_the_ledger_and_the_brokers_books_are_equal_to_the_won(tmp_path_factory, seed, share):
    """Random walks, thin and thick volumes: cash, shares, fees and taxes agree in two books."""
    folder = tmp_path_factory.mktemp("run") / "a"
    result = run(
        SETTINGS, breakout(), history.invent(2, seed), Options(rules=Rules(share=share)), folder
    )
    assert result.differences == ()
    bought = sum(o.filled for o in result.report.orders if o.side == "BUY")
    sold = sum(o.filled for o in result.report.orders if o.side == "SELL")
    assert bought - sold == sum(each.quantity for each in result.report.open)


def test_the_same_history_gives_the_same_rows(tmp_path: Path):
    """Two runs: one digest; another seed: another."""
    runs = [
        run(SETTINGS, breakout(), history.invent(3, seed), Options(), tmp_path / name)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert runs[0].digest == runs[1].digest != runs[2].digest
    assert runs[0].history == runs[1].history != runs[2].history
    assert runs[0].report.trips  # something was traded


def test_the_report_of_a_run_is_the_one_of_its_journal(tmp_path: Path):
    """Made of the rows as they come, it equals what is read back; without a journal as well."""
    past = history.invent(4, 3)
    runs = [
        run(SETTINGS, breakout(), past, Options(journal=kept), tmp_path / f"{kept}")
        for kept in (True, False)
    ]
    read = reports.read_report(runs[0].journal)
    assert read.trips and read.refused
    assert runs[0].report == read == runs[1].report
    assert not runs[1].journal.exists() and runs[1].digest == ""


def test_what_comes_later_changes_nothing_before_it(tmp_path: Path):
    """The orders of two days are those of the same two days inside a longer history."""
    past = history.invent(6, 1)
    few = past.days()[:4]
    cut = {
        of: [bar for bar in bars if bar.start.date() in few] for of, bars in past.minutes.items()
    }
    short = run(
        SETTINGS, breakout(), history.History(cut, bases=past.bases), Options(), tmp_path / "short"
    )
    long = run(SETTINGS, breakout(), past, Options(), tmp_path / "long")
    assert short.report.orders
    days = {day.day for day in short.report.days}
    first = [order for order in long.report.orders if order.day in days]
    assert first == list(short.report.orders)


def test_a_minute_of_one_share_shows_its_low(tmp_path: Path):
    """A stop at the low of a thin minute must see it: every bar's low is a price of the day."""
    past = history.invent(1, 5, {"005930": 71_000})
    thin = [replace(bar, volume=1) for bar in past.minutes["005930"]]
    result = run(
        SETTINGS,
        breakout(),
        history.History({"005930": thin}, bases=past.bases),
        Options(bars=True),
        tmp_path / "x",
    )
    with JournalReader(result.journal) as reader:
        lows = [row.data()["bar"]["low"] for row in reader.rows(("bar",))]
    assert min(lows) == min(bar.low for bar in thin)


class Failing(bot.TradingStrategy):
    """Answers with what is no request, or divides by nothing."""

    class Parameters(bot.TradingStrategy.Parameters):
        """How it fails."""

        divides: bool = False

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> bot.OrderRequest | None:
        """Fail."""
        return 1 / 0 if self.parameters.divides else "sell"  # type: ignore[return-value]


@pytest.mark.parametrize("lane", ["thin", "exact"])
@pytest.mark.parametrize(
    ("divides", "told"),
    [
        (False, "its answer: expected an OrderRequest or None, got str"),
        (True, "ZeroDivisionError in line "),
    ],
)
def test_a_strategy_whose_code_fails_is_told_not_shown_as_a_day_without_trades(
    lane, divides, told, tmp_path: Path
):
    """Once for each stock and day, with the moment and, of an error, line and file."""
    strategy = Failing(Failing.Parameters(divides=divides))
    past = history.invent(2, 1, {"005930": 71_000})
    result = run(SETTINGS, strategy, past, Options(lane=lane, journal=False), tmp_path)
    assert len(result.failed) == 2 and result.to_json()["failed"] == list(result.failed)
    assert all(told in each and "005930 2026-03-0" in each for each in result.failed)
    assert not divides or all("of test_backtest.py" in each for each in result.failed)


def test_a_failing_strategy_ends_a_backtest_and_a_trial_with_the_reason(tmp_path: Path, capsys):
    """The exit code is not 0, the sweep takes it for no trial."""
    file = tmp_path / "mine.py"
    file.write_text(
        "import kis_realtime_trading as bot\nclass Mine(bot.TradingStrategy):\n"
        "    def on_bar(self, view, bar):\n        return bar.clsoe\n"
    )
    given = ["--backtest", "--days", "1", "--language", "en", "--state", str(tmp_path)]
    options = build_parser().parse_args([*given, "--strategy", f"{file}:Mine"])
    assert command_line.run_command(options) == bot.EXIT_FAILED
    told = " ".join(capsys.readouterr().out.split())
    assert (
        "AttributeError in line 4 of mine.py: 'Bar' object has no" in told and "(3 times)" in told
    )
    job = sweep.Job(sweep.Source(days=1), f"{file}:Mine", SETTINGS)
    assert "AttributeError in line 4" in sweep.one(job, {}).error
    options = build_parser().parse_args(
        [*given[:3], "--state", str(tmp_path), "--strategy", f"{file}:Mine"]
    )
    assert command_line.run_command(options) == bot.EXIT_FAILED
    told = " ".join(capsys.readouterr().out.split())
    assert (
        "전략의 on_bar: mine.py 4행 AttributeError: 'Bar' object has no attribute 'clsoe'" in told
    )


# --- history ----------------------------------------------------------------------------


GOOD = "2026-03-03 09:00,70000,70100,69900,70000,100\n"
SPOILT = [
    ("time,open\n", "first line"),
    ("2026-03-03 09:00,70000,69000,69900,70000,100\n", "line 2"),
    ("2026-03-03 09:00,x,70100,69900,70000,100\n", "line 2"),
    (GOOD + GOOD, "line 3"),
    ("2026-03-01 09:00,70000,70100,69900,70000,100\n", "no trading day"),
    ("2019-03-04 09:00,70000,70100,69900,70000,100\n", "begin with"),
    ("2026-03-03 09:00,70000,70100,69900,70000,-5\n", "line 2"),
    ("2026-03-03 09:00:30,70000,70100,69900,70000,5\n", "no full minute"),
]


@pytest.mark.parametrize(("text", "named"), SPOILT, ids=[n for _, n in SPOILT])
def test_a_spoilt_history_is_named_by_file_and_line(tmp_path: Path, text: str, named: str):
    """Nothing is guessed and nothing is left out silently."""
    head = "" if text.startswith("time") else ",".join(history.COLUMNS) + "\n"
    (tmp_path / "005930.csv").write_text(head + text)
    with pytest.raises(bot.BotError, match=named):
        history.read_folder(tmp_path, None, None)


def test_all_lines_of_a_spoilt_history_are_told_in_one_round(tmp_path: Path):
    """In the reader's language; of very many the first twelve and how many more there are."""
    bad = [
        "2026-03-03 09:01;70000;70100;69900;70000;100", '2026-03-03 09:02,"70,000",70100,69900,70000,100',
        "2026-03-03 09:03,70000,69000,69900,70000,100", "2026-03-03 09:04,70000", GOOD.strip(),
    ]  # fmt: skip
    head = ",".join(history.COLUMNS) + "\n"
    (tmp_path / "005930.csv").write_text(head + GOOD + "\n".join(bad) + "\n")
    with pytest.raises(bot.BotError) as caught:
        history.read_folder(tmp_path, None, None)
    korean = caught.value.said("ko").splitlines()
    assert korean[0].endswith("005930.csv: 읽을 수 없는 줄이 5개 있습니다")
    for line, words in zip(korean[1:], ("시각이 아닙니다", "open '70,000': 쉼표 없는 정수", "고가 69,000",
                                        "high '': 쉼표", "앞줄보다"), strict=True):  # fmt: skip
        assert words in line and "행: " in line
    assert [line.split(":")[0] for line in str(caught.value).splitlines()[1:]] == [
        f"  line {n}" for n in range(3, 8)
    ]
    (tmp_path / "005930.csv").write_text(head + "x\n" * 100)
    with pytest.raises(bot.BotError) as caught:
        history.read_folder(tmp_path, None, None)
    assert caught.value.said("ko").splitlines()[-1] == "  그 밖에 88행"


def test_a_sweep_of_a_name_that_the_strategy_lacks_is_no_sweep(tmp_path: Path):
    """No empty table and no verdict over nothing: the name that was meant."""
    for grid, words in (
        ("lookbak=6..24", "혹시 lookback_bars?"),
        ("lookback_bars=6-24", "'6-24' → 정수"),
    ):
        given = ["--backtest", "--days", "1", "--sweep", grid, "--state", str(tmp_path)]
        with pytest.raises(bot.BotError) as caught:
            command_line.run_command(build_parser().parse_args(given))
        assert words in caught.value.said(
            "ko"
        ) and "돌릴 수 있는 값이 없습니다" in caught.value.said("ko")
        assert "no run was possible" in str(caught.value)


def test_the_users_own_minutes_are_read(tmp_path: Path):
    """CODE.csv, Korean time, a period cut out of it."""
    lines = [
        "2026-03-03 09:00,70000,70100,69900,70000,100",
        "2026-03-04 09:00,70000,70100,69900,70000,9",
    ]
    (tmp_path / "005930.csv").write_text(",".join(history.COLUMNS) + "\n" + "\n".join(lines))
    past = history.read_folder(tmp_path, date(2026, 3, 4), None)
    [bar] = past.minutes["005930"]
    assert (bar.start.hour, bar.start.utcoffset(), bar.volume) == (9, timedelta(hours=9), 9)
    assert past.bases == {"005930": 70_000}  # the close of the day before the period


def test_market_and_kind_come_from_a_file_beside_the_minutes(tmp_path: Path):
    """KOSDAQ pays another tax, a fund none; what is not named is told to be taxed as KOSPI."""
    for code in ("005930", "247540", "069500"):
        (tmp_path / f"{code}.csv").write_text(",".join(history.COLUMNS) + "\n" + GOOD)
    stocks = tmp_path / "stocks.csv"
    stocks.write_text("code,market,fund\n247540,KOSDAQ,0\n069500,KOSPI,1\n")
    past = history.read_folder(tmp_path, None, None)
    assert (past.markets["247540"], past.funds) == ("KOSDAQ", {"069500"})
    assert any("taxed as KOSPI" in note and "005930" in note for note in past.notes)
    stocks.write_text("code,market,fund\n247540,NASDAQ,0\n")
    with pytest.raises(bot.BotError, match="line 2"):
        history.read_folder(tmp_path, None, None)


DAY_LINES = [
    "date,open,high,low,close,volume",
    "2026-03-03,70000,72000,69000,71000,400000",
    "2026-03-04,71000,73000,68000,70500,400000",
    "2026-03-05,70500,76000,70000,75000,400000",
    "2026-03-06,75000,75500,74000,74500,400000",
]


def test_whole_days_show_open_low_high_and_close(tmp_path: Path):
    """A file of days is some minutes a day: what rules of closed days need, the low before the high."""
    (tmp_path / "005930.csv").write_text("\n".join(DAY_LINES))
    past = history.read_folder(tmp_path, None, None)
    bars = past.minutes["005930"]
    assert len(bars) == 4 * 42 and past.days()[0] == date(2026, 3, 3)
    first = bars[:42]
    assert min(range(42), key=lambda n: first[n].low) < max(range(42), key=lambda n: first[n].high)
    assert (first[0].open, min(b.low for b in first), max(b.high for b in first), first[-1].close) == (
        70_000, 69_000, 72_000, 71_000,
    )  # fmt: skip
    assert sum(bar.volume for bar in first) == 400_000
    (tmp_path / "005930.csv").write_text("\n".join([*DAY_LINES[:2], "2026-03-07,1,1,1,1,1"]))
    with pytest.raises(bot.BotError, match=r"line 3: 2026-03-07 is no trading day"):
        history.read_folder(tmp_path, None, None)


def test_a_rule_file_buys_at_the_open_and_stops_near_its_stop_on_whole_days(tmp_path: Path):
    """up_day: bought at the open after a rising day; the stop 5 % below is met on the way down."""
    (tmp_path / "h").mkdir()
    lines = [*DAY_LINES, "2026-03-09,74500,76000,74000,75500,400000", "2026-03-10,75500,75600,60000,61000,400000"]  # fmt: skip
    (tmp_path / "h" / "005930.csv").write_text("\n".join(lines))
    root = Path(bot.__file__).parent
    strategy = bot.load_strategy(str(root / "strategies" / "up_day.kis.yaml"), {})
    settings = SETTINGS.model_copy(update={"flat_at": None})
    past = history.read_folder(tmp_path / "h", None, None)
    result = run(settings, strategy, past, Options(), tmp_path / "x")
    assert result.differences == ()
    entries = [order for order in result.report.orders if order.purpose == "entry" and order.filled]
    assert entries and all(f"{order.at:%H:%M}" == "09:00" for order in entries)
    [stopped] = [trip for trip in result.report.trips if trip.reason == "stop"]
    assert 0.90 < stopped.exit_price / stopped.entry_price < 0.96  # not at the low of the day


# --- the command ------------------------------------------------------------------------


def test_the_command_leaves_a_report_that_needs_nothing_else(tmp_path: Path, capsys):
    """Terminal, JSON and one HTML file without script or request; invented prices are said to be."""
    arguments = ["--backtest", "--days", "3", "--state", str(tmp_path)]
    assert command_line.run_command(build_parser().parse_args(arguments)) == 0
    said = capsys.readouterr().out
    assert "만들어 낸 시세" in said and "원 단위까지 같습니다" in said
    [page] = tmp_path.glob("*/report.html")
    text = page.read_text("utf-8")
    assert "만들어 낸 시세" in text and "<script" not in text
    assert not re.search(r"(?:src|href)=", text)
    [plain] = tmp_path.glob("*/result.json")
    figures = json.loads(plain.read_text("utf-8"))
    assert figures["differences"] == [] and figures["minutes"] == 3 * 3 * 380
    assert f"{figures['report']['totals']['gain_krw']:+,}" in text


def test_a_rule_file_of_days_trades_with_the_first_price_of_the_day(tmp_path: Path):
    """A .kis.yaml strategy gets its closed days each morning and orders at the next open, as live."""
    root = Path(bot.__file__).parent
    strategy = bot.load_strategy(str(root / "strategies" / "up_day.kis.yaml"), {})
    settings = SETTINGS.model_copy(update={"flat_at": None})
    past = history.invent(8, 3, {"005930": 71_000})
    result = run(settings, strategy, past, Options(), tmp_path / "days")
    assert result.differences == ()
    entries = [order for order in result.report.orders if order.purpose == "entry"]
    assert entries and all(f"{order.at:%H:%M}" <= "09:10" for order in entries)


def test_the_page_is_drawn_in_both_languages(tmp_path: Path):
    """Korean and English words, the same figures."""
    result = run(SETTINGS, breakout(), history.invent(2, 1), Options(), tmp_path / "x")
    pages = [html.draw(result, "<b>&", Rules(), language) for language in ("ko", "en")]
    assert "&lt;b&gt;&amp;" in pages[0] and "<b>&" not in pages[0]
    assert "백테스트" in pages[0] and "Backtest" in pages[1]
    total = f"{result.report.totals.gain_krw:+,}"
    assert total in pages[0] and total in pages[1]


def test_oddities_of_the_data_are_named_by_stock_and_day(tmp_path: Path):
    """A missing day, half a day, a jump like a split, a price on no tick; clean data says nothing."""
    past = history.invent(6, 1, {"005930": 71_000})
    assert history.faults_of(past) == []
    bars, days = past.minutes["005930"], past.days()
    odd = [bar for bar in bars if bar.start.date() not in (days[1], days[3])]
    odd += [bar for bar in bars if bar.start.date() == days[3]][:20]
    odd.sort(key=lambda bar: bar.start)
    cheap = {name: 9_000 for name in ("open", "high", "low", "close")}
    odd[-1] = replace(odd[-1], close=odd[-1].close + 7)
    odd = [replace(b, **cheap) if b.start.date() == days[4] else b for b in odd]
    found = history.faults_of(history.History({"005930": odd}))
    for named in (f"between {days[0]} and {days[2]}", f"{days[3]}: 20 minutes", f"{days[4]}: opens at 9,000", "on no tick"):  # fmt: skip
        assert any(named in fault for fault in found), named
    told = history.History({"005930": odd}, factors={"005930": {days[4]: 9_000 / 71_000}})
    assert not any(f"{days[4]}: opens" in fault for fault in history.faults_of(told))


def test_oddities_of_the_data_are_told_in_the_terminal_and_on_the_page(tmp_path: Path, capsys):
    """In the reader's language, so that nobody believes a run over half a history."""
    past = history.invent(4, 1, {"005930": 71_000})
    days, data = past.days(), tmp_path / "minutes"
    data.mkdir()
    rows = [
        f"{b.start:%Y-%m-%d %H:%M},{b.open},{b.high},{b.low},{b.close},{b.volume}"
        for b in past.minutes["005930"] if b.start.date() != days[2]
    ]  # fmt: skip
    (data / "005930.csv").write_text("time,open,high,low,close,volume\n" + "\n".join(rows))
    arguments = ["--backtest", "--data", str(data), "--state", str(tmp_path / "s")]
    for language, told, tax in (("ko", f"{days[1]}과 {days[3]} 사이의 거래일에 분봉이 없습니다", "코스피 세율"),
                                ("en", f"no minutes between {days[1]} and {days[3]}", "taxed as KOSPI")):  # fmt: skip
        options = build_parser(language).parse_args([*arguments, "--language", language])
        assert command_line.run_command(options) == 0
        said = " ".join(capsys.readouterr().out.split())
        page = max(tmp_path.glob("s/*/report.html")).read_text("utf-8")
        assert told in said and told in page
        assert tax in said and tax in page
