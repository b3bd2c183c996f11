"""Sweeps: the same numbers whoever runs them, trials counted, luck named as luck."""

import argparse
import json
import random
import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

import kis_realtime_trading as bot
from companions import command_line
from companions.backtest import metrics, overfit, sweep
from companions.backtest.trials import FILE, Trial, Trials, asked_of, code_of
from companions.options import build_parser

LIMITS = {
    "max_order_krw": 3_000_000, "max_symbol_krw": 4_000_000, "max_total_krw": 9_000_000,
    "max_daily_loss_krw": 500_000,
}  # fmt: skip
SETTINGS = bot.BotSettings.model_validate({"symbols": ["005930"], "limits": LIMITS})
JOB = sweep.Job(sweep.Source(days=3, seed=2), "breakout", SETTINGS)
POINTS = sweep.points_of(sweep.parse_grid("lookback_bars=4..8..4,stop_pct=1|99,target_pct=0.6"))


def test_a_grid_is_read_and_its_points_are_all_combinations():
    """FROM..TO..STEP holds both ends; lists by |; whole numbers stay whole."""
    grid = sweep.parse_grid("short=5..20..5, long=20|60,stop=0.1..0.3..0.1")
    assert grid == {"short": [5, 10, 15, 20], "long": [20, 60], "stop": [0.1, 0.2, 0.3]}
    points = sweep.points_of(grid)
    assert len(points) == 24
    assert points[0] == {"short": 5, "long": 20, "stop": 0.1}


def test_random_points_are_of_the_grid_each_once_and_the_same_for_a_seed():
    """A random draw that is larger than the grid is the grid."""
    grid = sweep.parse_grid("a=1..30,b=1..30")
    points = sweep.points_of(grid, 50, 3)
    assert len({tuple(each.items()) for each in points}) == 50
    assert points == sweep.points_of(grid, 50, 3) != sweep.points_of(grid, 50, 4)
    assert len(sweep.points_of(grid, 900, 3)) == 900


SPOILT = ["", "short", "short=", "short=1..", "short=5..1", "short=1..9..0", "short=1..9..-1", "a=1,a=2",
          "a b=1", "short=x..y", "short=1..inf", "short=1..1e9"]  # fmt: skip


@pytest.mark.parametrize("text", SPOILT)
def test_a_grid_that_is_none_is_refused_with_its_part(text):
    """Nothing is guessed about what should run."""
    with pytest.raises(bot.BotError, match="--sweep"):
        sweep.points_of(sweep.parse_grid(text))


def test_too_many_points_are_refused_and_random_is_named():
    """A grid grows fast: the way out is told."""
    with pytest.raises(bot.BotError, match="--random"):
        sweep.points_of(sweep.parse_grid("a=1..200,b=1..200"))


def test_any_executor_gives_the_same_numbers_in_the_order_of_the_points():
    """Processes, threads, one after the other: equal; a refused point is no trial, and says why."""
    with ThreadPoolExecutor(3) as threads:
        by_threads = sweep.sweep(JOB, POINTS, threads)
    alone = [sweep.one(JOB, point) for point in POINTS]
    assert sweep.sweep(JOB, POINTS) == by_threads == alone
    assert [each.point for each in alone] == POINTS
    refused = [each for each in alone if each.error]
    assert len(refused) == 2 and all("stop_pct" in each.error for each in refused)
    assert all(each.trips and not each.differences for each in alone if not each.error)


def test_a_dask_scheduler_gives_the_same_numbers():
    """client.get_executor() of two workers on loopback, where Dask is installed."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = sweep.sweep(JOB, POINTS, client.get_executor())
    assert found == [sweep.one(JOB, point) for point in POINTS]


def test_parameters_of_a_rule_file_go_by_set():
    """`$period` of a .kis.yaml file is swept like a parameter of a class."""
    assert sweep.parameters_at("x.kis.yaml", {"budget_krw": 5}, {"short": 3}) == {
        "budget_krw": 5, "set": {"short": 3},
    }  # fmt: skip
    assert sweep.parameters_at("breakout", {"a": 1}, {"a": 2}) == {"a": 2}


# --- trials ------------------------------------------------------------------------------


def test_every_question_to_a_history_counts_once(tmp_path: Path):
    """The same question again is no new trial; another history has its own count."""
    trials = Trials(tmp_path)
    assert trials.of("h1") == (0, 0.0)
    trials.add([Trial("h1", "a", 0.1), Trial("h1", "b", 0.3), Trial("h2", "a", 9.0)])
    trials.add([Trial("h1", "a", 0.1)])
    count, spread = trials.of("h1")
    assert (count, round(spread, 6)) == (2, round(statistics.stdev([0.1, 0.3]), 6))
    assert trials.of("h2") == (1, 0.0)


def test_a_damaged_count_is_named_not_begun_anew(tmp_path: Path):
    """Luck must not be hidden by a broken line."""
    Trials(tmp_path).add([Trial("h1", "a", 0.1)])
    with (tmp_path / FILE).open("a") as file:
        file.write("{\n")
    with pytest.raises(bot.BotError, match="line 2"):
        Trials(tmp_path).of("h1")


def test_another_code_or_value_is_another_question(tmp_path: Path):
    """Parameters and the strategy's file both count."""
    file = tmp_path / "x.py"
    file.write_text("a = 1")
    before = code_of(f"{file}:X")
    file.write_text("a = 2")
    assert before != code_of(f"{file}:X")
    assert asked_of("x", "c", {"a": 1, "b": 2}) == asked_of("x", "c", {"b": 2, "a": 1})
    assert asked_of("x", "c", {"a": 1}) != asked_of("x", "c", {"a": 2})


# --- luck --------------------------------------------------------------------------------


def noise(pick: random.Random, trials: int, days: int) -> list[list[float]]:
    """Return the days of random strategies: long or out by a coin, on one random walk each."""
    walk = [pick.gauss(0, 0.01) for _ in range(days)]
    return [[move * pick.choice((-1, 0, 1)) for move in walk] for _ in range(trials)]


def test_random_strategies_on_random_walks_are_named_as_luck():
    """PBO near one half on average, and the deflated ratio rejects nearly every best one."""
    pick, found, passed = random.Random(1), [], 0
    for _ in range(40):
        returns = noise(pick, 30, 250)
        found.append(overfit.overfitting(returns, blocks=10).probability)
        ratios = [metrics.daily_sharpe(each) for each in returns]
        best = max(range(30), key=lambda n: ratios[n])
        passed += metrics.deflated_sharpe(returns[best], 30, statistics.stdev(ratios)) > 0.95
        assert metrics.probabilistic_sharpe(returns[best]) > 0.9  # alone it would have convinced
    assert 0.4 < statistics.fmean(found) < 0.6
    assert passed <= 4


def test_one_true_strategy_among_random_ones_is_believed():
    """The other way round: an edge that is there is not called overfitting."""
    pick = random.Random(2)
    returns = noise(pick, 30, 250)
    returns[7] = [each + 0.003 for each in returns[7]]
    verdict = overfit.overfitting(returns, blocks=10)
    assert verdict.probability < 0.1 and verdict.loss < 0.1
    ratios = [metrics.daily_sharpe(each) for each in returns]
    assert metrics.deflated_sharpe(returns[7], 30, statistics.stdev(ratios)) > 0.95


def test_equal_trials_are_a_coin_and_few_days_are_no_answer():
    """Ties take the middle rank: one half; two trials and four blocks are the least."""
    assert overfit.overfitting([[0.01, -0.01] * 20] * 4, blocks=4).probability == 0.5
    assert overfit.overfitting([[0.1] * 100]) is None
    assert overfit.overfitting([[0.1] * 4, [0.2] * 4]) is None


# --- walk forward ------------------------------------------------------------------------


def made(name: int, returns: list[float], trips: int = 5) -> sweep.Outcome:
    """Return a trial with these days."""
    days = tuple(date(2026, 3, 2) + timedelta(days=n) for n in range(len(returns)))
    return sweep.Outcome(
        {"n": name}, sharpe=metrics.daily_sharpe(returns), days=days, returns=tuple(returns),
        trips_of_day=(trips,) * len(returns),
    )  # fmt: skip


def test_a_window_is_judged_only_on_days_it_was_not_chosen_by():
    """Best inside is chosen, and lives on the next days, however badly it fares there."""
    rising = made(1, [0.01, 0.02, 0.01, 0.02, -0.03, -0.01])
    falling = made(2, [-0.01, -0.02, -0.01, -0.02, 0.03, 0.05])
    found = sweep.walk_forward([rising, falling], 4, 2, least_trips=1)
    [window] = found.windows
    assert window.point == {"n": 1}
    assert found.equity == pytest.approx((1.0, 0.97, 0.97 * 0.99))
    assert (window.inside, window.outside) == (
        (date(2026, 3, 2), date(2026, 3, 5)), (date(2026, 3, 6), date(2026, 3, 7)),
    )  # fmt: skip
    assert found.efficiency == pytest.approx(-0.02 / 0.015)


def test_the_future_of_a_window_changes_no_choice():
    """Other days after the window: the same points are chosen."""
    pick = random.Random(5)
    trials = [made(n, [pick.gauss(0, 0.01) for _ in range(30)]) for n in range(8)]
    other = [
        replace(t, returns=(*t.returns[:24], *(pick.gauss(0, 0.01) for _ in range(6))))
        for t in trials
    ]
    first, second = (sweep.walk_forward(each, 12, 6, 1).windows for each in (trials, other))
    assert [w.point for w in first][:2] == [w.point for w in second][:2]
    assert len(first) == 3


def test_a_window_without_enough_trips_chooses_nothing():
    """A ratio of three trades is no reason: out of the market instead."""
    found = sweep.walk_forward([made(1, [0.01, 0.02, 0.01, 0.02], trips=1)], 2, 1, least_trips=3)
    assert [window.point for window in found.windows] == [None, None]
    assert found.equity == (1.0, 1.0, 1.0)


def test_a_short_history_is_refused():
    """With the number of days that there are."""
    with pytest.raises(bot.BotError, match="2 days"):
        sweep.walk_forward([made(1, [0.01, 0.02])], 2, 1)


# --- the command -------------------------------------------------------------------------


def test_the_command_prints_the_best_and_what_to_believe(tmp_path: Path, capsys):
    """Terminal and JSON; trials of a second sweep on the same history are added to the count."""

    def run(*more: str) -> str:
        words = ["--backtest", "--days", "6", "--state", str(tmp_path), "--language", "en", *more]
        options: argparse.Namespace = build_parser().parse_args(words)
        assert command_line.run_command(options) == 0
        return capsys.readouterr().out

    said = run("--sweep", "lookback_bars=4|8,stop_pct=1|99", "--walk-forward", "3,1")
    assert "points that the strategy refuses" in said and "trials on this history so far: 2" in said
    assert "walk forward" in said and "(DSR)" in said
    found = json.loads(run("--sweep", "lookback_bars=6|8,stop_pct=1", "--json"))
    assert found["trials_on_history"] == 3
    assert "trials on this history so far: 4" in run()
