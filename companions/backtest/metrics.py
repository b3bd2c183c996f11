"""The figures of a backtest: one formula each, with an example worked by hand.

Returns are of trading days, arithmetic, net of all costs; a year has 250 of them and the square root
of 250 makes a daily ratio a yearly one. Deviations are of a sample (n - 1). A figure that has no
meaning (too few days, no loss, no deviation) is None, never 0 and never infinite.

    python -m doctest companions/backtest/metrics.py
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from datetime import timedelta
from statistics import NormalDist
from typing import Any

import kis_realtime_trading as bot
from companions.figures import Report, RoundTrip

YEAR = 250  # trading days
EULER = 0.5772156649015329


def returns_of(equity: Sequence[float]) -> list[float]:
    """Return the change of each day as a share of the day before; equity begins with the money.

    >>> returns_of([100, 110, 99])
    [0.1, -0.1]
    """
    return [round(after / before - 1, 15) for before, after in itertools.pairwise(equity)]


def total_return(equity: Sequence[float]) -> float | None:
    """Return the gain of the whole period.

    >>> total_return([100, 110, 121])
    0.21
    """
    return round(equity[-1] / equity[0] - 1, 15) if len(equity) > 1 else None


def cagr(equity: Sequence[float]) -> float | None:
    """Return the yearly growth that leads from the first to the last value.

    21 % in 500 trading days, two years, are 10 % a year:
    >>> round(cagr([100] * 500 + [121]), 12)
    0.1
    """
    if len(equity) < 2 or equity[-1] <= 0:
        return None
    growth: float = (equity[-1] / equity[0]) ** (YEAR / (len(equity) - 1))
    return growth - 1


def volatility(returns: Sequence[float]) -> float | None:
    """Return the standard deviation of a year.

    Deviations from the mean 0 are 0.01 twice: variance 0.0002 / 1, root 0.01414, times root of 250:
    >>> round(volatility([0.01, -0.01]), 6)
    0.223607
    """
    return statistics.stdev(returns) * math.sqrt(YEAR) if len(returns) > 1 else None


def daily_sharpe(returns: Sequence[float], free: float = 0.0) -> float | None:
    """Return mean less the riskless return of a day, over the standard deviation; not annualised.

    Mean 0.02, deviation 0.01:
    >>> daily_sharpe([0.01, 0.02, 0.03])
    2.0
    """
    deviation = statistics.stdev(returns) if len(returns) > 1 else 0.0
    return round((statistics.fmean(returns) - free) / deviation, 12) if deviation > 1e-12 else None


def sharpe(returns: Sequence[float], free_year: float = 0.0) -> float | None:
    """Return the Sharpe ratio of a year: daily times the root of 250.

    >>> round(sharpe([0.01, 0.02, 0.03]), 4)
    31.6228
    """
    ratio = daily_sharpe(returns, free_year / YEAR)
    return ratio * math.sqrt(YEAR) if ratio is not None else None


def sortino(returns: Sequence[float], free_year: float = 0.0) -> float | None:
    """Return mean over the root mean square of the falls, of a year; days up count as no fall.

    Mean 0.01; falls 0, 0.02, 0: root of 0.0004 / 3 = 0.011547; ratio 0.8660 times root of 250:
    >>> round(sortino([0.02, -0.02, 0.03]), 3)
    13.693
    """
    if len(returns) < 2:
        return None
    over = [each - free_year / YEAR for each in returns]
    falls = math.sqrt(statistics.fmean([min(0.0, each) ** 2 for each in over]))
    return statistics.fmean(over) / falls * math.sqrt(YEAR) if falls > 1e-12 else None


def max_drawdown(equity: Sequence[float]) -> tuple[float, int, int, int | None]:
    """Return the deepest fall as a share of the height before, and where: top, bottom, recovery.

    >>> max_drawdown([100, 120, 90, 100, 125, 110])
    (0.25, 1, 2, 4)
    >>> max_drawdown([100, 101])
    (0.0, 0, 0, 0)
    """
    worst, top, found = 0.0, 0, (0, 0)
    for n, value in enumerate(equity):
        if value >= equity[top]:
            top = n
        fall = 1 - value / equity[top] if equity[top] > 0 else 0.0
        if fall > worst:
            worst, found = fall, (top, n)
    high, low = found
    back = (n for n in range(low, len(equity)) if equity[n] >= equity[high])
    return worst, high, low, next(back, None)


def longest_under_water(equity: Sequence[float]) -> int:
    """Return the most days in a row below a height that was reached before.

    >>> longest_under_water([100, 99, 98, 101, 100, 102])
    2
    """
    top, run, longest = -math.inf, 0, 0
    for value in equity:
        run = 0 if value >= top else run + 1
        top, longest = max(top, value), max(longest, run)
    return longest


def calmar(equity: Sequence[float]) -> float | None:
    """Return yearly growth over the deepest fall.

    Two years, 21 % in all, once 20 % down: 0.1 / 0.2:
    >>> round(calmar([100] * 250 + [80] + [100] * 249 + [121]), 9)
    0.5
    """
    growth, fall = cagr(equity), max_drawdown(equity)[0]
    return growth / fall if growth is not None and fall > 0 else None


def profit_factor(gains: Sequence[float]) -> float | None:
    """Return the sum of the gains over the sum of the losses.

    >>> profit_factor([300, -100, -50])
    2.0
    """
    lost = -sum(each for each in gains if each < 0)
    return sum(each for each in gains if each > 0) / lost if lost else None


def expectancy(gains: Sequence[float]) -> float | None:
    """Return the mean of a round trip.

    >>> expectancy([300, -100, -50])
    50.0
    """
    return statistics.fmean(gains) if gains else None


def expectancy_ratio(gains: Sequence[float]) -> float | None:
    """Return what a round trip earns for each won of a usual loss: rate x (1 + payoff) - 1.

    One of three wins, 300 against a usual loss of 75: 1/3 x (1 + 4) - 1:
    >>> round(expectancy_ratio([300, -100, -50]), 6)
    0.666667
    """
    won, lost = [g for g in gains if g > 0], [g for g in gains if g < 0]
    if not won or not lost:
        return None
    return len(won) / len(gains) * (1 + statistics.fmean(won) / -statistics.fmean(lost)) - 1


def sqn(gains: Sequence[float]) -> float | None:
    """Return Van Tharp's system quality number: root of the count x mean / deviation.

    Mean 2, deviation 1, three trips: root of 3 x 2:
    >>> round(sqn([1, 2, 3]), 4)
    3.4641
    """
    deviation = statistics.stdev(gains) if len(gains) > 1 else 0.0
    return math.sqrt(len(gains)) * statistics.fmean(gains) / deviation if deviation > 0 else None


def kelly(gains: Sequence[float]) -> float | None:
    """Return the share of the money that grows it fastest, were the future like this: p - q / b.

    One of three wins, payoff 4: 1/3 - 2/3 / 4:
    >>> round(kelly([300, -100, -50]), 6)
    0.166667
    """
    won, lost = [g for g in gains if g > 0], [g for g in gains if g < 0]
    if not won or not lost:
        return None
    rate, payoff = len(won) / len(gains), statistics.fmean(won) / -statistics.fmean(lost)
    return rate - (1 - rate) / payoff


def best_share(gains: Sequence[float], count: int) -> float | None:
    """Return how much of all that was won came from the best trips; near 1 it hangs on them.

    >>> best_share([300, 100, -50, 100], 1)
    0.6
    """
    won = sorted((each for each in gains if each > 0), reverse=True)
    return sum(won[:count]) / sum(won) if won else None


def alpha_beta(returns: Sequence[float], market: Sequence[float]) -> tuple[float, float] | None:
    """Return the yearly return beside the market's (arithmetic), and how much one moves with it.

    Twice the market and 0.001 a day more: alpha 250 x 0.001, beta 2:
    >>> [round(each, 9) for each in alpha_beta([0.021, -0.019, 0.001], [0.01, -0.01, 0.0])]
    [0.25, 2.0]
    """
    if len(returns) != len(market) or len(returns) < 2:
        return None
    spread = statistics.variance(market)
    if spread <= 1e-18:
        return None
    beta = statistics.covariance(returns, market) / spread
    return YEAR * (statistics.fmean(returns) - beta * statistics.fmean(market)), beta


def skewness(returns: Sequence[float]) -> float | None:
    """Return the third standardised moment: below 0 the bad days are the large ones.

    Mean 0, moments 6 / 3 = 2 and 6 / 3 = 2, that is -1, -1, 2: 2 / 2 ** 1.5:
    >>> round(skewness([-1, -1, 2]), 6)
    0.707107
    """
    moments = _moments(returns)
    return moments[1] / moments[0] ** 1.5 if moments else None


def kurtosis(returns: Sequence[float]) -> float | None:
    """Return the fourth standardised moment; 3 for a normal distribution.

    Moments 2 and (1 + 1 + 16) / 3 = 6: 6 / 4:
    >>> kurtosis([-1, -1, 2])
    1.5
    """
    moments = _moments(returns)
    return moments[2] / moments[0] ** 2 if moments else None


def _moments(returns: Sequence[float]) -> tuple[float, float, float] | None:
    """Return the second, third and fourth central moment, None without a spread."""
    if len(returns) < 2:
        return None
    mean = statistics.fmean(returns)
    two, three, four = (statistics.fmean([(r - mean) ** k for r in returns]) for k in (2, 3, 4))
    return (two, three, four) if two > 1e-24 else None


def probabilistic_sharpe(returns: Sequence[float], against: float = 0.0) -> float | None:
    """Return how likely the true daily Sharpe ratio is above a value (Bailey, Lopez de Prado 2012).

    Normal((s - against) x root(n - 1) / root(1 - skew x s + (kurtosis - 1) / 4 x s^2)). With s = 2,
    n = 3, skew 0, kurtosis 1.5: 2 x 1.41421 / root(1.5) = 2.3094:
    >>> round(probabilistic_sharpe([0.01, 0.02, 0.03]), 4)
    0.9895
    """
    ratio, skew, fat = daily_sharpe(returns), skewness(returns), kurtosis(returns)
    if ratio is None or skew is None or fat is None:
        return None
    spread = 1 - skew * ratio + (fat - 1) / 4 * ratio**2
    if spread <= 0:
        return None
    return NormalDist().cdf((ratio - against) * math.sqrt(len(returns) - 1) / math.sqrt(spread))


def luck(trials: int, spread: float) -> float:
    """Return the best daily Sharpe ratio that chance alone gives among so many trials.

    `spread` is the standard deviation of their ratios. Bailey and Lopez de Prado (2014):
    spread x ((1 - e) x Z(1 - 1/N) + e x Z(1 - 1/(N x 2.718))), e the Euler-Mascheroni constant.
    For N = 10: 0.42278 x 1.28155 + 0.57722 x 1.78917 = 1.57455:
    >>> round(luck(10, 1.0), 3), luck(1, 1.0)
    (1.575, 0.0)
    """
    if trials < 2:
        return 0.0
    z = NormalDist().inv_cdf
    return spread * ((1 - EULER) * z(1 - 1 / trials) + EULER * z(1 - 1 / (trials * math.e)))


def deflated_sharpe(returns: Sequence[float], trials: int, spread: float) -> float | None:
    """Return how likely the true Sharpe ratio is above what luck gives; 0.95 is a usual demand.

    One trial is no luck, so it is the probabilistic ratio:
    >>> deflated_sharpe([0.01, 0.02, 0.03], 1, 0.5) == probabilistic_sharpe([0.01, 0.02, 0.03])
    True
    """
    return probabilistic_sharpe(returns, luck(trials, spread))


def least_days(returns: Sequence[float], sure: float = 0.95) -> float | None:
    """Return how many days such a Sharpe ratio needs to be above 0 by this probability.

    1 + (1 - skew s + (kurtosis - 1) / 4 s^2) x (Z / s)^2; s = 2: 1 + 1.5 x (1.64485 / 2)^2:
    >>> round(least_days([0.01, 0.02, 0.03]), 3)
    2.015
    """
    ratio, skew, fat = daily_sharpe(returns), skewness(returns), kurtosis(returns)
    if ratio is None or skew is None or fat is None or ratio <= 0:
        return None
    spread = 1 - skew * ratio + (fat - 1) / 4 * ratio**2
    return 1 + spread * (NormalDist().inv_cdf(sure) / ratio) ** 2


def exposure(trips: Sequence[RoundTrip], report: Report) -> float | None:
    """Return the share of the sessions' time in which anything was held."""
    sessions = [each for day in report.days if (each := bot.session_of(day.day))]
    spans = sorted((trip.opened_at, trip.closed_at) for trip in trips)
    held = timedelta()
    for session in sessions:
        reached = session.open
        for begin, end in spans:
            begin, end = max(begin, reached), min(end, session.close)
            if begin < end:
                held, reached = held + (end - begin), end
    length = sum((each.close - each.open for each in sessions), timedelta())
    return held / length if length else None


def metrics_of(
    report: Report, money: int, market: Sequence[float] = (), trials: int = 1, spread: float = 0.0
) -> dict[str, Any]:  # fmt: skip
    """Return all figures of a run by name. `market` is the equity of buying and holding."""
    equity = [float(money), *(float(day.equity_krw) for day in report.days)]
    returns, gains = returns_of(equity), [float(trip.gain_exact) for trip in report.trips]
    fall, top, bottom, back = max_drawdown(equity)
    days, sums = report.days, report.totals
    free = [None, *(day.day.isoformat() for day in days)]
    gross = sum(each for each in gains if each > 0)
    beside = alpha_beta(returns, returns_of(market)) if market else None
    return {
        "money_krw": money, "end_krw": round(equity[-1]), "return": total_return(equity),
        "market_return": total_return(market) if market else None, "cagr": cagr(equity),
        "volatility": volatility(returns), "sharpe": sharpe(returns), "sortino": sortino(returns),
        "calmar": calmar(equity), "max_drawdown": fall, "drawdown_from": free[top],
        "drawdown_to": free[bottom], "drawdown_recovered": free[back] if back is not None else None,
        "days_under_water": longest_under_water(equity), "exposure": exposure(report.trips, report),
        "trips": sums.trips, "trips_a_day": sums.trips / len(days) if days else None,
        "win_rate": sums.win_rate_pct / 100 if sums.win_rate_pct is not None else None,
        "profit_factor": profit_factor(gains), "expectancy_krw": expectancy(gains),
        "expectancy_ratio": expectancy_ratio(gains), "sqn": sqn(gains), "kelly": kelly(gains),
        "turnover": sums.turnover_krw / money if money else None,
        "fees_krw": sums.fees_krw, "taxes_krw": sums.taxes_krw,
        "costs_of_gains": sums.costs_krw / gross if gross else None,
        "best_1": best_share(gains, 1), "best_3": best_share(gains, 3), "best_5": best_share(gains, 5),
        "alpha": beside[0] if beside else None, "beta": beside[1] if beside else None,
        "skewness": skewness(returns), "kurtosis": kurtosis(returns),
        "probabilistic_sharpe": probabilistic_sharpe(returns), "trials": trials,
        "deflated_sharpe": deflated_sharpe(returns, trials, spread), "least_days": least_days(returns),
    }  # fmt: skip
