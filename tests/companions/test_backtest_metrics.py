"""The figures of a backtest: each by its worked example, and by a second, plain way."""

import doctest
import inspect
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kis_realtime_trading as bot
from companions.backtest import charts, history, html, metrics, overfit, path, sweep
from companions.backtest.run import Options, run


@pytest.mark.parametrize("module", [charts, html, metrics, overfit, path, sweep])
def test_every_worked_example_holds(module):
    """The docstrings are run as they stand."""
    found = doctest.testmod(module)
    assert found.failed == 0 and found.attempted > 0


def test_every_formula_has_a_worked_example():
    """A public function of numbers without an example is one that nobody checked by hand."""
    needs_a_run = {"exposure", "metrics_of"}
    bare = [
        name
        for name, each in inspect.getmembers(metrics, inspect.isfunction)
        if each.__module__ == metrics.__name__
        and name[0] != "_"
        and ">>>" not in (each.__doc__ or "")
    ]
    assert set(bare) == needs_a_run


VALUES = st.lists(st.floats(-0.2, 0.2).map(lambda x: round(x, 4)), min_size=3, max_size=60)


def plain(returns):
    """Return the figures again, written out without help of the module."""
    n = len(returns)
    equity = [100.0]
    for each in returns:
        equity.append(equity[-1] * (1 + each))
    mean = sum(returns) / n
    variance = sum((r - mean) ** 2 for r in returns) / (n - 1)
    deviation = math.sqrt(variance)
    below = math.sqrt(sum(r * r for r in returns if r < 0) / n)
    worst = max(1 - equity[j] / equity[i] for i in range(n + 1) for j in range(i, n + 1))
    m2, m3, m4 = (sum((r - mean) ** k for r in returns) / n for k in (2, 3, 4))
    water = longest = 0
    for i in range(1, n + 1):
        water = water + 1 if equity[i] < max(equity[:i]) else 0
        longest = max(longest, water)
    won, lost = [r for r in returns if r > 0], [-r for r in returns if r < 0]
    growth = equity[-1] / equity[0]
    s = mean / deviation if deviation > 1e-12 else None
    psr = None
    if s is not None:
        square = 1 - m3 / m2**1.5 * s + (m4 / m2**2 - 1) / 4 * s * s
        if square > 0:
            psr = 0.5 * (1 + math.erf(s * math.sqrt(n - 1) / math.sqrt(square) / math.sqrt(2)))
    return equity, {
        "cagr": growth ** (250 / n) - 1, "volatility": deviation * 250**0.5,
        "sharpe": s * 250**0.5 if s is not None else None,
        "sortino": mean / below * 250**0.5 if below > 1e-12 else None,
        "drawdown": worst, "water": longest,
        "calmar": (growth ** (250 / n) - 1) / worst if worst > 0 else None,
        "pf": sum(won) / sum(lost) if lost else None,
        "sqn": math.sqrt(n) * s if s is not None else None,
        "kelly": len(won) / n - (1 - len(won) / n) / ((sum(won) / len(won)) / (sum(lost) / len(lost))) if won and lost else None,
        "psr": psr,
    }  # fmt: skip


@given(VALUES)
def test_each_figure_equals_a_second_plain_way(returns):
    """Two ways to the same numbers; None where a figure has no meaning."""
    equity, expected = plain(returns)
    ours = {
        "cagr": metrics.cagr(equity), "volatility": metrics.volatility(returns),
        "sharpe": metrics.sharpe(returns), "sortino": metrics.sortino(returns),
        "drawdown": metrics.max_drawdown(equity)[0], "water": metrics.longest_under_water(equity),
        "calmar": metrics.calmar(equity), "pf": metrics.profit_factor(returns),
        "sqn": metrics.sqn(returns), "kelly": metrics.kelly(returns),
        "psr": metrics.probabilistic_sharpe(returns),
    }  # fmt: skip
    for name, value in expected.items():
        if value is None or ours[name] is None:
            assert ours[name] is value or abs(value or 0) < 1e-9, name
        else:
            assert ours[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


@pytest.mark.parametrize(
    "name", [n for n in dir(metrics) if n in ("sharpe", "sortino", "volatility", "sqn", "kelly")]
)
def test_nothing_becomes_infinite(name):
    """No day, one day, days without a change: None, never a division by zero."""
    for values in ([], [0.01], [0.01, 0.01], [0.0, 0.0, 0.0]):
        found = getattr(metrics, name)(values)
        assert found is None or math.isfinite(found)


def test_the_figures_of_a_run_agree_with_its_report(tmp_path: Path):
    """End, costs and trips are the journal's; exposure is a share of the sessions."""
    limits = {
        "max_order_krw": 3_000_000, "max_symbol_krw": 4_000_000, "max_total_krw": 9_000_000,
        "max_daily_loss_krw": 500_000,
    }  # fmt: skip
    settings = bot.BotSettings.model_validate({"symbols": ["005930"], "limits": limits})
    past = history.invent(6, 1)
    result = run(settings, bot.load_strategy("breakout", {}), past, Options(), tmp_path / "x")
    found = metrics.metrics_of(result.report, 10_000_000, [1.0, 1.1, 1.2, 1.3, 1.2, 1.1, 1.3])
    assert found["end_krw"] == result.report.days[-1].equity_krw
    assert found["trips"] == len(result.report.trips) > 0
    assert found["market_return"] == pytest.approx(0.3)
    seconds = sum((t.closed_at - t.opened_at).total_seconds() for t in result.report.trips)
    assert 0 < found["exposure"] <= seconds / (6 * 6.5 * 3_600) + 1e-9
    assert found["deflated_sharpe"] == found["probabilistic_sharpe"]
    many = metrics.metrics_of(result.report, 10_000_000, trials=100, spread=0.1)
    assert many["deflated_sharpe"] < many["probabilistic_sharpe"]
