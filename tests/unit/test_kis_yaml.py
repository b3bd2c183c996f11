"""`.kis.yaml` files: what they mean on made bars, and what is answered to spoilt ones."""

import ast
import importlib
import math
import random
import re
import statistics
import subprocess
import sys
from collections import deque
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

import kis_realtime_trading as bot
from companions import command_line
from companions.options import build_parser

FOLDER = Path(bot.__file__).resolve().parent / "strategies"
sys.path.insert(0, str(FOLDER))
kis_indicators, kis_plan, kis_yaml, kis_more_indicators = (
    importlib.import_module(name)
    for name in ("kis_indicators", "kis_plan", "kis_yaml", "kis_more_indicators")
)
SYMBOL = "005930"
FILES = sorted(FOLDER.glob("*.kis.yaml"))


def walk(seed, count=330):
    """Return made days on the price grid: open, high, low, close, volume columns."""
    rng, price = random.Random(seed), 70_000
    columns = kis_indicators.Columns([], [], [], [], [])
    for _ in range(count):
        opened = max(1_000, price + 100 * rng.randint(-8, 8))
        price = max(1_000, opened + 100 * rng.randint(-20, 20))
        columns.open.append(opened)
        columns.close.append(price)
        columns.high.append(max(opened, price) + 100 * rng.randint(0, 5))
        columns.low.append(min(opened, price) - 100 * rng.randint(0, 5))
        columns.volume.append(rng.randint(1, 10**6))
    return columns


# --- the ten files against a second reading ---------------------------------------------
# Written from the words of strategies/README.md, without the reader and the indicators.


def mean(c, day, n):
    """Return the mean close of n days up to a day."""
    return statistics.fmean(c.close[day - n + 1 : day + 1])


def rise(c, day, n):
    """Return the change over n days."""
    return c.close[day] / c.close[day - n] - 1


def top(c, day, n):
    """Return the highest close of the n days before a day."""
    return max(c.close[day - n : day])


def crosses(now, before):
    """Tell whether left of two (left, right) pairs rose above, and whether it fell below."""
    return before[0] <= before[1] and now[0] > now[1], before[0] >= before[1] and now[0] < now[1]


def place(c, day):
    """Return where the close lies in the day."""
    span = c.high[day] - c.low[day]
    return (c.close[day] - c.low[day]) / span if span else 0.5


def over(c, day, n):
    """Return the crosses of the close with the top of the n days before."""
    return crosses((c.close[day], top(c, day, n)), (c.close[day - 1], top(c, day - 1, n)))


SECOND = {
    "two_averages": lambda c, d: crosses(
        (mean(c, d, 5), mean(c, d, 20)), (mean(c, d - 1, 5), mean(c, d - 1, 20))
    ),
    "quarter_momentum": lambda c, d: (rise(c, d, 60) > 0, rise(c, d, 60) < 0),
    "year_high": lambda c, d: over(c, d, 252),
    "up_day": lambda c, d: (rise(c, d, 1) > 0, rise(c, d, 1) < 0),
    "below_average": lambda c, d: (c.close[d] < mean(c, d, 20), c.close[d] > mean(c, d, 20)),
    "breakout_guard": lambda c, d: (over(c, d, 20)[0], c.close[d] < top(c, d, 20)),
    "firm_close": lambda c, d: (place(c, d) >= 0.8, place(c, d) < 0.2),
    "wide_day": lambda c, d: (100 * (c.close[d] - c.close[d - 1]) > 3 * c.close[d - 1],
                              rise(c, d, 1) < 0),
    "week_dip": lambda c, d: (c.close[d] < mean(c, d, 5), c.close[d] > mean(c, d, 5)),
    "trend_and_day": lambda c, d: (
        c.close[d] > mean(c, d, 60) and rise(c, d, 1) > 0,
        c.close[d] < mean(c, d, 60) and rise(c, d, 1) < 0,
    ),
}  # fmt: skip


def test_each_shipped_file_has_its_second_reading():
    """Ten files, ten readings."""
    assert {file.name.partition(".")[0] for file in FILES} == set(SECOND)


@pytest.mark.parametrize("name", SECOND)
def test_decisions_equal_a_plain_second_reading(name):
    """On 20 walks of 330 days: entry and exit of every day after the warm-up are the same."""
    plan = kis_plan_of(name)
    seen = set()
    for seed in range(20):
        columns = walk(seed)
        judge = kis_plan.Judge(plan, columns)
        for day in range(plan.bars_needed, len(columns.close)):
            decision = judge.at(day)
            assert (decision.entry, decision.exit) == SECOND[name](columns, day), (seed, day)
            seen |= {("entry", decision.entry), ("exit", decision.exit)}
    assert len(seen) == 4  # each was true and false


def kis_plan_of(name):
    """Return the plan of a shipped file."""
    file = FOLDER / f"{name}.kis.yaml"
    return kis_yaml.read_plan(file.read_text("utf-8"), file.name)


@pytest.mark.parametrize("name", SECOND)
def test_a_decision_never_changes_with_what_comes_after(name):
    """Cut after the day, or followed by other days: the same decision and the same values."""
    plan, columns, other = kis_plan_of(name), walk(3), walk(4)
    for day in range(plan.bars_needed, len(columns.close), 7):
        cut = columns.cut(day + 1)
        forged = kis_indicators.Columns(
            *(getattr(cut, each) + getattr(other, each)[:30] for each in cut.__slots__)
        )
        decisions = [kis_plan.Judge(plan, each).at(day) for each in (columns, cut, forged)]
        assert decisions[0] == decisions[1] == decisions[2]


def test_both_rules_true_is_no_entry_and_an_exit():
    """Flat: an exit that holds too forbids the entry. Holding: it sells."""
    both = kis_plan.Decision(True, True, {})
    assert (both.wish(False), both.wish(True)) == ("", "sell")
    assert kis_plan.Decision(True, False, {}).wish(False) == "buy"


# --- spoilt files -----------------------------------------------------------------------

GOOD = """\
version: "1.0"
metadata:
  name: test
strategy:
  id: test
  params:
    days: {default: 5, min: 2, max: 50, type: int}
  indicators:
    - {id: sma, alias: line, params: {period: $days}}
    - {id: macd, alias: wave, params: {fast: 12, slow: 26, signal: 9}}
  entry:
    logic: AND
    conditions:
      - {indicator: close, operator: cross_above, compare_to: line}
      - {indicator: wave, operator: greater_than, value: 0, output: histogram}
  exit:
    logic: OR
    conditions:
      - {indicator: close, operator: cross_below, compare_to: line}
risk:
  stop_loss: {enabled: true, percent: 5}
"""
# (text replaced, by what, line of the fault, words of the answer)
SPOILT = [
    (GOOD, "", 1, "no mapping"),
    (GOOD, "- a\n", 1, "no mapping"),
    (GOOD, "a: [", 1, "YAML"),
    ("  name: test", "  title: x", 3, "name"),
    ("  id: test", "  id: 5", 5, "a text"),
    ("  id: test", "  id: test\n  id: twice", 6, "a second time (first in line 5)"),
    ("default: 5", "default: 99", 7, "at most its own max, 50"),
    ("default: 5", "min: 2", 7, "a second time"),
    ("default: 5", "default: 5.5", 7, "a whole number"),
    ("$days}", "$dasy}", 9, "did you mean 'days'?"),
    ("id: sma,", "id: smaa,", 9, "did you mean 'sma'?"),
    ("id: sma,", "id: beta,", 9, "not yet"),
    ("{period: $days}", "{}", 9, "usually 20"),
    ("{period: $days}", "{period: 0}", 9, "1 to 1000"),
    ("{period: $days}", "{period: 20.0}", 9, "a whole number"),
    ("alias: line", "alias: close", 9, "price field"),
    ("alias: wave", "alias: line", 10, "each alias once"),
    ("fast: 12", "fast: 30", 10, "less than slow"),
    ("output: histogram", "output: histogramm", 15, "did you mean 'histogram'?"),
    ("operator: cross_above", "operator: cross_abov", 14, "did you mean 'cross_above'?"),
    ("operator: cross_above", "operator: between", 14, "known operator"),
    ("compare_to: line}\n      - {indicator: wave", "compare_to: lin}\n      - {indicator: wave",
     14, "did you mean 'line'?"),
    ("value: 0,", 'compare_to: "30",', 15, "a number without quotes"),
    ("value: 0,", "value: 0, compare_to: line,", 15, "both value and compare_to"),
    ("value: 0,", "", 15, "neither value nor compare_to"),
    ("logic: AND", "logic: XOR", 12, "AND or OR"),
    ("indicator: wave, operator", "conditions: [], operator", 15, "a flat list"),
    ("stop_loss:", "stop_los:", 21, "did you mean 'stop_loss'?"),
    ("percent: 5", "percnt: 5", 21, "did you mean 'percent'?"),
    ("enabled: true, percent: 5", "enabled: true", 21, "no stop else"),
    ("percent: 5", "percent: 120", 21, "below 100"),
    ("percent: 5", "percent: five", 21, "a number"),
    ("percent: 5", "percent: $nothing", 21, "no such parameter"),
    ("value: 0,", "value: 0, compare_scalar: 0, compare_operation: div,", 15, "it divides"),
]  # fmt: skip


def faults_of(text):
    """Return the faults of a text."""
    with pytest.raises(bot.SettingsError) as caught:
        kis_yaml.read_plan(text, "f")
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(("old", "new", "line", "words"), SPOILT)
def test_a_spoilt_file_is_answered_with_its_line(old, new, line, words):
    """Each is refused; the answer names the line and what was meant."""
    assert GOOD.count(old) >= 1
    found = faults_of(GOOD.replace(old, new, 1))
    assert any(each.startswith(f"f:{line} ") and words in each for each in found), found


def test_all_faults_come_in_one_list():
    """Three mistakes, three lines."""
    text = GOOD.replace("sma,", "smaa,").replace("percent: 5", "percnt: 5").replace("AND", "XOR")
    assert {each.split()[0] for each in faults_of(text)} >= {"f:9", "f:21", "f:12"}


def test_an_exit_without_rule_needs_a_stop():
    """No exit and no stop is a position for ever; with a stop it is accepted."""
    start, end = GOOD.index("  exit:"), GOOD.index("risk:")
    bare = GOOD[:start] + GOOD[end:]
    assert kis_yaml.read_plan(bare, "f").stop_pct == 5
    assert any("a way out" in each for each in faults_of(bare.replace("true", "false")))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"1.0"', "1.0", "write it in quotes"),
        ("logic: OR", "logic: or", "read as OR"),
        ("id: sma", "id: SMA", "read as 'sma'"),
        ("cross_above", "equals", "official backtester refuses"),
        ("risk:", "universe: [a]\nrisk:", "means nothing here"),
        ("{period: $days}", "{period: 5}", "never used"),
    ],
)
def test_what_is_accepted_with_a_warning(old, new, words):
    """It never changes the meaning silently."""
    plan = kis_yaml.read_plan(GOOD.replace(old, new, 1), "f")
    assert any(words in each for each in plan.warnings)


def test_the_good_file_has_neither_fault_nor_warning():
    """The table above spoils this one."""
    plan = kis_yaml.read_plan(GOOD, "f")
    assert plan.warnings == ()
    assert (plan.stop_pct, plan.target_pct) == (5, None)
    assert plan.indicators["line"].params == {"period": 5}
    assert kis_yaml.read_plan(GOOD, "f", {"days": 7}).indicators["line"].params == {"period": 7}


def test_dead_conditions_are_named():
    """close > maximum of a window that holds today is never true."""
    text = GOOD.replace("id: sma", "id: maximum").replace("cross_above", "greater_than")
    found = kis_plan.dead_conditions(kis_yaml.read_plan(text, "f"), walk(1))
    assert [each.split(":")[0] for each in found if "never" in each][:1] == ["entry, line 14"]


def test_a_scalar_counts_in_comparisons_and_crosses():
    """close > line x 1.03, and the cross of the same band."""
    columns = walk(5)
    for operator in ("greater_than", "cross_above"):
        text = GOOD.replace("operator: cross_above, compare_to: line",
                            f"operator: {operator}, compare_to: line, compare_scalar: 1.03")  # fmt: skip
        plan = kis_yaml.read_plan(text, "f")
        rule = plan.entry.conditions[0]
        truths = kis_plan.Judge(plan, columns).truths(rule)
        above = [d >= 4 and columns.close[d] > mean(columns, d, 5) * 1.03 for d in range(330)]
        if operator == "cross_above":
            above = [d > 4 and above[d] and not above[d - 1] for d in range(330)]
        assert truths == above


# --- the strategy -----------------------------------------------------------------------


def view_of(columns, position=0, minutes=0):
    """Return a view in the first minutes of a day that follows these closed days."""
    day = datetime(2026, 11, 20, tzinfo=bot.KST).date()
    session = bot.session_of(day)
    bars, at = [], day
    for row in reversed(list(zip(*(getattr(columns, n) for n in columns.__slots__), strict=True))):
        at = bot.previous_trading_day(at)
        bars.append(bot.whole_day(SYMBOL, bot.DailyBar(at, *row, 0)))
    now = session.open + timedelta(minutes=minutes)
    held = bot.Position(quantity=position)
    view = bot.StrategyView(SYMBOL, now, session, held, deque(reversed(bars), maxlen=500))
    view.ask_cash = lambda symbol: 10**8
    return view


def first_trade(name, view, price, **parameters):
    """Return the wish at the first trade of the day."""
    strategy = bot.load_strategy(str(FOLDER / f"{name}.kis.yaml"), parameters)
    trade = bot.Trade(SYMBOL, view.now, price, 1, 1, price, False)
    return strategy.on_trade(view, trade), strategy.on_trade(view, trade)


def days_until(name, what):
    """Return days at whose end the file wants this."""
    plan = kis_plan_of(name)
    for seed in range(50):
        columns = walk(seed)
        for day in range(plan.bars_needed, 330):
            decision = kis_plan.Judge(plan, columns.cut(day + 1)).at(day)
            if decision.wish(what == "sell") == what:
                return columns.cut(day + 1)
    raise AssertionError(name)


@pytest.mark.parametrize("name", ["two_averages", "up_day", "firm_close"])
def test_the_order_goes_out_with_the_first_trade_after_the_signal(name):
    """Half of the budget, stop by the file's percent, once a day; the signal names the close."""
    view = view_of(days_until(name, "buy"))
    request, again = first_trade(name, view, 70_000, stocks=2, slippage_pct=0)
    assert again is None
    assert (request.side, request.quantity, request.price) == (bot.Side.BUY, 7, 70_000)
    assert (request.signal, request.plan.stop_price) == ("close 2026-11-19", 66_500)


def test_a_program_that_starts_late_buys_nothing_but_sells():
    """An entry belongs to the opening; an exit is never too late."""
    assert (
        first_trade("up_day", view_of(days_until("up_day", "buy"), minutes=11), 70_000)[0] is None
    )
    held = view_of(days_until("up_day", "sell"), position=3, minutes=200)
    assert first_trade("up_day", held, 70_000)[0].side is bot.Side.SELL


def test_missing_or_old_days_stop_the_stock_and_say_how_many():
    """Too few days, or days that do not reach yesterday, are no ground for an order."""
    few = view_of(walk(1, 10))
    with pytest.raises(ValueError, match="12 closed days are missing of 22"):
        first_trade("two_averages", few, 70_000)
    old = view_of(walk(1, 60))
    old.bars.pop()
    with pytest.raises(ValueError, match="the newest day is 2026-11-18"):
        first_trade("two_averages", old, 70_000)


def test_no_days_yet_is_no_decision():
    """The days are asked for in the morning; until they come the day stays open."""
    view = view_of(walk(1, 0))
    assert first_trade("two_averages", view, 70_000) == (None, None)


def test_a_file_without_stop_is_bought_without_a_plan():
    """What the file has not is not invented."""
    view = view_of(days_until("below_average", "buy"))
    assert first_trade("below_average", view, 70_000)[0].plan is None


def test_parameters_of_another_strategy_do_not_stop_a_file(caplog):
    """The settings' parameters belong to the strategy that they name; what is left out is said."""
    given = {"lookback_bars": 12, "stop_pct": 3.0, "budget_krw": 500_000}
    strategy = bot.load_strategy(str(FILES[0]), given)
    assert "does not use these parameters: lookback_bars, stop_pct" in caplog.text
    assert strategy.parameters.budget_krw == 500_000
    assert strategy.past_days == strategy.plan.bars_needed


# --- indicators -------------------------------------------------------------------------


def test_formulas_by_hand():
    """Small worked examples, by pencil."""
    closes = [10, 11, 12, 11, 13]
    assert kis_indicators.sma(closes, 3) == [None, None, 11.0, 34 / 3, 12.0]
    assert kis_indicators.ema(closes, 3) == [None, None, 11.0, 11.0, 12.0]
    assert kis_indicators.wma(closes, 2)[1:3] == [32 / 3, 35 / 3]
    assert kis_indicators.rsi([1, 2, 3, 2], 3) == [None, None, None, pytest.approx(200 / 3)]
    columns = kis_indicators.Columns([10] * 5, [12] * 5, [8] * 5, [9, 10, 11, 12, 8], [1] * 5)
    lines = kis_indicators.lines_of
    assert lines("ibs", {}, columns)["value"] == [0.25, 0.5, 0.75, 1.0, 0.0]
    assert lines("max", {"period": 2}, columns)["value"] == [None, None, 10, 11, 12]
    assert lines("maximum", {"period": 2}, columns)["value"] == [None, 10, 11, 12, 12]
    assert lines("consecutive", {"direction": "up"}, columns)["value"] == [0, 1, 2, 3, 0]
    shifted = lines("maximum", {"period": 2, "shift": 1}, columns)["value"]
    assert shifted == lines("max", {"period": 2}, columns)["value"]


USUAL = {key: dict(kind.params) for key, kind in kis_indicators.KINDS.items()}


@pytest.mark.parametrize("kind", sorted(kis_indicators.KINDS))
def test_every_indicator_is_defined_after_its_warm_up_and_never_looks_ahead(kind):
    """Outputs as declared, a value on the day bars_needed says, equal when the future is cut."""
    columns = walk(7, 400)
    needed = kis_indicators.bars_needed(kind, USUAL[kind])
    whole = kis_indicators.lines_of(kind, USUAL[kind], columns)
    cut = kis_indicators.lines_of(kind, USUAL[kind], columns.cut(needed))
    assert set(kis_indicators.KINDS[kind].outputs) == set(whole) | {"value"}
    for output, line in whole.items():
        assert line[needed - 1] is not None and line[needed - 2] is not None
        assert line[:needed] == cut[output]


TALIB = {
    "sma": "SMA", "dema": "DEMA", "tema": "TEMA", "lwma": "WMA", "trima": "TRIMA", "rsi": "RSI",
    "ema": "EMA", "cmo": "CMO", "cci": "CCI", "williams_r": "WILLR", "roc": "ROC",
    "trix": "TRIX", "natr": "NATR", "std": "STDDEV", "variance": "VAR", "obv": "OBV", "ad": "AD",
    "mfi": "MFI", "maximum": "MAX", "minimum": "MIN", "midpoint": "MIDPOINT",
    "midprice": "MIDPRICE", "bop": "BOP", "regression": "LINEARREG", "kama": "KAMA", "t3": "T3",
    "ultosc": "ULTOSC", "cho": "ADOSC", "sar": "SAR", "accbands": "ACCBANDS",
}  # fmt: skip
WANTS = {"cci": "hlc", "williams_r": "hlc", "natr": "hlc", "obv": "cv", "ad": "hlcv",
         "mfi": "hlcv", "midprice": "hl", "bop": "ohlc", "ultosc": "hlc", "cho": "hlcv",
         "sar": "hl", "accbands": "hlc"}  # fmt: skip
OTHERS = {
    "t3": {"timeperiod": 10, "vfactor": 0.7}, "cho": {"fastperiod": 3, "slowperiod": 10},
    "ultosc": {"timeperiod1": 7, "timeperiod2": 14, "timeperiod3": 28},
    "sar": {"acceleration": 0.02, "maximum": 0.2}, "accbands": {"timeperiod": 20},
}  # fmt: skip
COLUMN = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}


@pytest.mark.parametrize("kind", sorted(TALIB))
def test_equal_to_talib_where_it_is_installed(kind):
    """The last 50 of 330 days, to eight digits."""
    talib, numpy = pytest.importorskip("talib"), pytest.importorskip("numpy")
    columns = walk(9)
    given = [numpy.array(getattr(columns, COLUMN[x]), dtype=float) for x in WANTS.get(kind, "c")]
    length = {"timeperiod": USUAL[kind]["period"]} if "period" in USUAL[kind] else {}
    theirs = getattr(talib, TALIB[kind])(*given, **OTHERS.get(kind, length))
    theirs = list(theirs[1] if isinstance(theirs, tuple) else theirs)  # of bands the middle
    ours = kis_indicators.lines_of(kind, USUAL[kind], columns)["value"]
    assert ours[-50:] == pytest.approx(theirs[-50:], rel=1e-8, abs=1e-8)


HAND = kis_indicators.Columns(
    [10, 11, 12, 11, 13, 14], [12, 13, 13, 14, 15, 16], [9, 10, 11, 10, 12, 13],
    [11, 12, 11, 13, 14, 15], [100, 200, 100, 300, 200, 100],
)  # fmt: skip
BY_HAND = [
    # tenkan of 2 bars: (15 + 10) / 2, the middle of the last two
    ("ichimoku", {"tenkan": 2, "kijun": 3, "senkou_b": 4}, "tenkan", (16 + 12) / 2),
    ("ichimoku", {"tenkan": 2, "kijun": 3, "senkou_b": 4}, "chikou", 11),  # the close 3 bars ago
    # |H - L before|: 15 - 10, 16 - 12; true ranges 3 and 3
    ("vortex", {"period": 2}, "plus_vi", (5 + 4) / 6),
    ("vortex", {"period": 2}, "minus_vi", (abs(12 - 14) + abs(13 - 15)) / 6),
    ("chop", {"period": 2}, "value", 100 * math.log10(6 / (16 - 12)) / math.log10(2)),
    # Klinger needs its averages; eom: middle moves by 1 in a bar of 3 on 100 shares
    ("eom", {"period": 1, "scale": 100}, "value", 1.0 * 3 * 100 / 100),
    ("accbands", {"period": 1, "width": 4}, "upper", 16 * (1 + 4 * 3 / 29)),
    ("accbands", {"period": 1, "width": 4}, "lower", 13 * (1 - 4 * 3 / 29)),
    ("alma", {"period": 1, "sigma": 1, "offset": 0.85}, "value", 15),
    # body 1 2 -1 1 ... : (2 + 2 x -1 + 2 x 2 + 1) / 6 over (3 + 2 x 2 + 2 x 4 + 3) / 6, then of the newest
    ("rvi", {"period": 1}, "value", (-1 + 2 * 2 + 2 * 1 + 1) / (2 + 2 * 4 + 2 * 3 + 3)),
    ("coppock", {"short_roc": 1, "long_roc": 2, "wma": 1}, "value", 100 / 14 + 200 / 13),
    ("pivot", {"left_bars": 1, "right_bars": 1}, "low", 10),  # 10 between 11 and 12
]  # fmt: skip


@pytest.mark.parametrize(("kind", "params", "output", "value"), BY_HAND)
def test_more_formulas_by_hand(kind, params, output, value):
    """The newest value of six small bars, by pencil."""
    line = kis_indicators.lines_of(kind, params, HAND)[output]
    assert line[-1] == pytest.approx(value)


def test_a_cycle_of_the_adaptive_averages_by_hand():
    """KAMA on a straight way is the quick average; VIDYA without momentum stands still."""
    straight = [100, 101, 102, 103, 104]
    weight = (2 / 3) ** 2
    first = 101 + weight * (102 - 101)
    assert kis_more_indicators.kama(straight, 2)[2:4] == pytest.approx(
        [first, first + weight * (103 - first)]
    )
    flat = [100] * 12
    assert kis_more_indicators.vidya(flat, 3)[-1] == 100
    assert (
        kis_more_indicators.frama(kis_indicators.Columns(flat, flat, flat, flat, flat), 4)[-1]
        == 100
    )


def test_an_odd_fractal_length_is_refused():
    """It has two halves."""
    text = GOOD.replace("id: sma,", "id: frama,").replace("$days", "15")
    with pytest.raises(bot.SettingsError) as caught:
        kis_yaml.read_plan(text, "x.kis.yaml")
    assert any("even" in str(fault) for fault in caught.value.faults)


def test_the_clock_of_a_session_is_the_days_own():
    """A whole day runs from the opening to the close of its session."""
    bar = bot.whole_day(SYMBOL, bot.DailyBar(datetime(2026, 11, 20).date(), 1, 2, 1, 2, 5, 7))
    assert (bar.start.time(), bar.end.time(), bar.volume) == (time(9), time(15, 30), 5)


def test_a_file_is_checked_from_any_folder(tmp_path):
    """The command of the page: 0 for a file that can be traded, 1 with its faults."""
    spoilt = tmp_path / "spoilt.kis.yaml"
    spoilt.write_text(GOOD.replace("stop_loss", "stop_los"))
    broken, nowhere = tmp_path / "tab.kis.yaml", tmp_path / "none.kis.yaml"
    broken.write_text("metadata:\n\tname: x\n")
    for file, code, words, more in (
        (FILES[0], 0, "매매할 수 있습니다", ()), (spoilt, 1, "혹시 'stop_loss'?", ()),
        (FILES[0], 0, "can be traded", ("--language", "en")), (broken, 1, "tab.kis.yaml:2 (file): 탭", ()),
        (spoilt, 1, "did you mean", ("--language", "en")), (nowhere, 1, "파일이나 폴더가 없음", ()),
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, str(FOLDER / "kis_yaml.py"), str(file), *more],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode, words in done.stdout) == (code, True), done.stderr


def test_what_is_read_otherwise_is_told_once_in_the_readers_language(tmp_path, capsys):
    """A backtest makes the strategy for each set of fill rules: the file's oddities are told once."""
    file = tmp_path / "odd.kis.yaml"
    file.write_text(FILES[0].read_text("utf-8") + "universe: [a]\n", "utf-8")
    given = ["--backtest", "--days", "2", "--strategy", str(file), "--state", str(tmp_path)]
    assert command_line.run_command(build_parser().parse_args(given)) == 0
    told = capsys.readouterr()
    assert (told.out + told.err).count("'universe': 여기서는 뜻이 없어 읽지 않습니다") == 1
    assert "means nothing" not in told.out + told.err
    [warning] = kis_yaml.KisYaml(kis_yaml.KisYaml.Parameters(file=str(file))).warnings
    assert "'universe' means nothing here" in warning


def test_every_warning_has_its_korean():
    """Each text that the reader warns with is one of the table: no English is left in it."""
    source = (FOLDER / "kis_yaml.py").read_text("utf-8")
    calls = [
        node for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "warn"
    ]  # fmt: skip
    texts = []
    for call in calls:
        [text] = [
            each
            for each in ast.walk(call.args[1])
            if isinstance(each, ast.Constant | ast.JoinedStr)
        ][:1]
        parts = text.values if isinstance(text, ast.JoinedStr) else [text]
        texts.append("".join(
            str(each.value) if isinstance(each, ast.Constant) else "'x'" if "!r" in ast.unparse(each) else "7"
            for each in parts
        ).strip())  # fmt: skip
    assert len(texts) == 12
    for text in texts:
        assert re.search("[가-힣]", kis_yaml._both(text).ko), text


def test_faults_are_told_in_korean_as_well():
    """Each text that the reader puts into a fault has its Korean; a near word is asked about."""
    tree = ast.parse((FOLDER / "kis_yaml.py").read_text("utf-8"))
    words = kis_yaml._KOREAN
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    told = [
        each for call in calls if ast.unparse(call.func) == "self.fault" for each in call.args[2:]
    ]
    texts = {
        part.value
        for each in told
        for part in (
            each,
            *(each.values if isinstance(each, ast.BoolOp) else ()),
            *(getattr(each, n, None) for n in ("body", "orelse")),
        )
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }
    assert len(texts) > 30
    assert texts - set(words) == set()
    with pytest.raises(bot.SettingsError) as caught:
        kis_yaml.read_plan(GOOD.replace("percent: 5", "percnt: 5", 1), "f")
    assert any("혹시 'percent'?" in fault.said("ko") for fault in caught.value.faults)
