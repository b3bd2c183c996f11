"""The page of a backtest: complete in both languages, offline, drawn fast, readable on a phone."""

import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

import kis_realtime_trading as bot
from companions import report_view
from companions.backtest import charts, history, html, metrics, page_words
from companions.backtest.broker import Rules
from companions.backtest.run import Options, run

LIMITS = {
    "max_order_krw": 3_000_000, "max_symbol_krw": 4_000_000, "max_total_krw": 9_000_000,
    "max_daily_loss_krw": 500_000,
}  # fmt: skip
SETTINGS = bot.BotSettings.model_validate({"symbols": ["005930"], "limits": LIMITS})


@pytest.fixture(scope="module")
def past():
    """Return invented days of three stocks."""
    return history.invent(12, 4)


@pytest.fixture(scope="module")
def result(past, tmp_path_factory):
    """Return a run over them."""
    folder = tmp_path_factory.mktemp("page") / "run"
    return run(SETTINGS, bot.load_strategy("breakout", {}), past, Options(), folder)


@pytest.fixture(scope="module")
def year():
    """Return the minutes of a stock in 250 invented days."""
    return history.invent(250, 1, {"005930": 71_000}).minutes["005930"]


def drawn(result, past, language="ko"):
    """Return the page."""
    others = {"nearer": 5, "touch": -100_000}
    return html.draw(result, "<b>&", Rules(), language, past, others)


def test_both_languages_have_all_words_and_every_figure_its_name():
    """A word that is missing would be seen by one half of the readers only."""
    korean, english = page_words.WORDS["ko"], page_words.WORDS["en"]
    assert set(korean) == set(english)
    assert set(page_words.RULES["ko"]) == set(page_words.RULES["en"])
    fields = [{k: re.findall(r"{(\w+)}", v) for k, v in w.items()} for w in (korean, english)]
    assert {k: set(v) for k, v in fields[0].items()} == {k: set(v) for k, v in fields[1].items()}


def test_every_figure_of_the_page_is_one_of_the_metrics(result):
    """And none is named twice."""
    keys = [key for key, *_ in page_words.FIGURES]
    assert set(keys) <= set(metrics.metrics_of(result.report, 1)) and len(keys) == len(set(keys))


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_page_needs_nothing_else_and_shows_everything(result, past, language):
    """No script, no request; equity, falls, months, candles, figures, doubts, tables, rules."""
    page = drawn(result, past, language)
    assert "<script" not in page and not re.search(r"(?:src|href|@import)\W", page)
    assert "<b>&<" not in page and "&lt;b&gt;&amp;" in page
    words = page_words.WORDS[language]
    for key in ("equity", "drawdown", "months", "trades_on", "figures", "doubts", "breakdowns",
                "refused", "trips", "how", "invented"):  # fmt: skip
        assert words[key] in page, key
    assert page.count("<svg") == 2 + 3
    assert page.count('class="bought"') == len(result.report.trips) == page.count('class="sold"')
    assert words["fragile"] in page  # a variant turned the result round
    rules = [report_view.Words(language).rule(code) for code in result.report.refusals_by_rule()]
    assert rules and all(f"<td>{rule}</td>" in page for rule in rules)


def test_books_that_differ_are_the_first_thing_said(result, past):
    """And nobody reads that they are equal."""
    page = drawn(replace(result, differences=("2026-03-04 cash: ledger 1, broker 2",)), past)
    assert page.index("ledger 1, broker 2") < page.index('class="cards"')
    assert page_words.WORDS["ko"]["equal"] not in page


def test_an_empty_result_is_a_page_too(past, tmp_path):
    """A strategy that never trades: dashes, no drawing that fails."""
    quiet = bot.load_strategy("breakout", {"volume_ratio": 50})
    result = run(SETTINGS, quiet, past, Options(), tmp_path / "x")
    page = html.draw(result, "x", Rules(), "ko", past, {})
    assert not result.report.trips and "–" in page and "nan" not in page.lower()


def test_months_multiply_to_the_return_of_the_year(result, past):
    """The table of months is the equity again, day by day."""
    page = drawn(result, past)
    whole = result.report.days[-1].equity_krw / result.money - 1
    assert f"<b>{100 * whole:+.1f}</b>" in page


def test_candles_hold_every_high_and_low_and_stay_few(year):
    """Joined bars lose no extreme; a year makes no more candles than a screen shows."""
    for days in (1, 5, 60, 200):
        bars = year[: days * len(year) // 250 : 1 if days < 9 else 30]
        shown = charts.candles_of(bars)
        assert 1 < len(shown) <= 1.25 * charts.MOST_CANDLES
        assert max(c.high for c in shown) == max(b.high for b in bars)
        assert min(c.low for c in shown) == min(b.low for b in bars)
        assert (shown[0].open, shown[-1].close) == (bars[0].open, bars[-1].close)


def test_a_thinned_line_keeps_its_highest_and_lowest_point():
    """Ten years of days fit the screen without losing the fall that matters."""
    values = [float(n % 17) for n in range(5_000)]
    values[1_234], values[3_210] = 99.0, -99.0
    kept = {value for _, value in charts._thin(values)}
    assert {99.0, -99.0} <= kept and len(charts._thin(values)) <= charts.MOST_POINTS + 2


def test_a_year_is_drawn_in_under_two_seconds(year):
    """CPU time of a page with a stock-year of minutes and 400 round trips in its charts."""
    began = time.process_time()
    charts.candles(year, [], "005930")
    assert time.process_time() - began < 2.0


def test_the_page_fits_a_phone_and_a_screen(result, past, tmp_path):
    """In Chromium, 1280 and 390 pixels wide: nothing sticks out sideways."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium: apt-get install chromium")
    file = tmp_path / "page.html"
    file.write_text(drawn(result, past), "utf-8")
    with playwright.sync_playwright() as here:
        browser = here.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for width in (1280, 390):
            page = browser.new_page(viewport={"width": width, "height": 900})
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(Path(file).as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert [url for url in asked if not url.startswith("file:")] == []
        browser.close()
