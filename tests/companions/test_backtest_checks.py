"""The checks of a backtest: who peeks is caught in every way, who does not is left alone."""

import itertools
import random
import statistics
from datetime import date, timedelta
from pathlib import Path

import pytest

import kis_realtime_trading as bot
from companions.backtest import checks

FOLDER = Path(bot.__file__).resolve().parent / "strategies"


def made_bars(seed=1, days=6):
    """Return five-minute bars of some days: a walk with dips and runs, on ticks."""
    rng, price, bars, day = random.Random(seed), 70_000, [], date(2026, 10, 12)
    for _ in range(days):
        session = bot.session_of(day)
        for n in range(78):
            start = session.open + timedelta(minutes=5 * n)
            opened, price = price, max(5_000, price + 100 * rng.choice((-5, -2, -1, 0, 0, 1, 2, 5)))
            high, low = max(opened, price) + 100, min(opened, price) - 100
            volume = rng.randint(100, 5_000)
            end = start + timedelta(minutes=5)
            bars.append(bot.Bar("005930", start, end, opened, high, low, price, volume,
                                price * volume, 9))  # fmt: skip
        day = bot.next_trading_day(day)
    return bars


BARS = made_bars()


class Peeker(bot.TradingStrategy):
    """Buys when a line that was computed over all the data says so, sells when it does not."""

    def __init__(self, data, wants):
        super().__init__()
        self._wants, self._at = wants(data), {bar.start: n for n, bar in enumerate(data)}

    def on_bar(self, view, bar):
        n = self._at.get(bar.start)
        on = n is not None and self._wants[n]
        if view.position.quantity:
            return None if on else view.sell(f"{bar.end}", "off")
        return view.buy(1, bar.close, f"{bar.end}", bot.ExitPlan(1_000), "on") if on else None


def closes(data):
    """Return the closes."""
    return [bar.close for bar in data]


def ahead(data, n):
    """Return the closes n bars later, the last one where there is none."""
    found = closes(data)
    return [found[min(at + n, len(found) - 1)] for at in range(len(found))]


def of_day(data, of):
    """Return a value of the whole day at each of its bars."""
    days = {d: of(list(g)) for d, g in itertools.groupby(data, lambda bar: bar.start.date())}
    return [days[bar.start.date()] for bar in data]


def above(data, line):
    """Return where the close is above a line."""
    return [bar.close > value for bar, value in zip(data, line, strict=True)]


def below(data, line):
    """Return where the close is below a line."""
    return [bar.close < value for bar, value in zip(data, line, strict=True)]


def windows(data, left, right, of):
    """Return a value of the closes from some bars before to some bars after."""
    found = closes(data)
    return [of(found[max(0, n - left) : n + right + 1]) for n in range(len(found))]


def slope(values):
    """Return the mean change between the ends."""
    return (values[-1] - values[0]) / len(values)


PEEKS = {
    "next close": lambda d: below(d, ahead(d, 1)),
    "close of five bars later": lambda d: below(d, ahead(d, 5)),
    "next high": lambda d: [d[min(n + 1, len(d) - 1)].high > b.high for n, b in enumerate(d)],
    "next open": lambda d: [d[min(n + 1, len(d) - 1)].open > b.open for n, b in enumerate(d)],
    "next volume": lambda d: [d[min(n + 1, len(d) - 1)].volume > b.volume
                              for n, b in enumerate(d)],
    "centred mean": lambda d: below(d, windows(d, 3, 3, statistics.fmean)),
    "centred low": lambda d: [b.close == low for b, low in
                              zip(d, windows(d, 4, 4, min), strict=True)],
    "highest of all": lambda d: above(d, [0.97 * max(closes(d))] * len(d)),
    "lowest of all": lambda d: below(d, [1.02 * min(closes(d))] * len(d)),
    "mean of all": lambda d: below(d, [statistics.fmean(closes(d))] * len(d)),
    "median of all": lambda d: above(d, [statistics.median(closes(d))] * len(d)),
    "z score of all": lambda d: above(d, [statistics.fmean(closes(d))
                                          + 0.5 * statistics.pstdev(closes(d))] * len(d)),
    "scaled by all": lambda d: above(d, [(min(closes(d)) + max(closes(d))) / 2] * len(d)),
    "rank in all": lambda d: [sorted(closes(d)).index(b.close) * 3 < len(d) for b in d],
    "the day's last close": lambda d: below(d, of_day(d, lambda day: day[-1].close)),
    "the day's high": lambda d: [b.high == high for b, high in
                                 zip(d, of_day(d, lambda day: max(x.high for x in day)),
                                     strict=True)],
    "the day's volume": lambda d: [b.volume * 70 > total for b, total in
                                   zip(d, of_day(d, lambda day: sum(x.volume for x in day)),
                                       strict=True)],
    "the last close of all": lambda d: below(d, [closes(d)[-1]] * len(d)),
    "a trend of all": lambda d: [b.close > d[0].close + n * slope(closes(d))
                                 for n, b in enumerate(d)],
    "how many bars there are": lambda d: [n % 5 == len(d) % 5 for n in range(len(d))],
}  # fmt: skip


def test_there_are_twenty_ways():
    """The table is what the report counts."""
    assert len(PEEKS) == 20


@pytest.mark.parametrize("way", PEEKS)
def test_who_peeks_is_caught(way):
    """Each planted way changes a decision when the future changes."""
    found = checks.look_ahead(lambda data: Peeker(data, PEEKS[way]), BARS)
    assert found and all(each.check == "look-ahead" for each in found)


HONEST = {
    "previous close": lambda d: [False, *(b.close > a.close for a, b in itertools.pairwise(d))],
    "trailing mean": lambda d: below(d, windows(d, 10, 0, statistics.fmean)),
    "highest so far": lambda d: [b.close > 0.97 * max(closes(d)[: n + 1])
                                 for n, b in enumerate(d)],
    "all but the newest": lambda d: [n > 0 and b.close > statistics.fmean(closes(d)[:n])
                                     for n, b in enumerate(d)],
}  # fmt: skip


@pytest.mark.parametrize("way", HONEST)
def test_who_computes_ahead_but_looks_back_is_left_alone(way):
    """Whole columns are no fault by themselves."""
    assert checks.all_checks(lambda data: Peeker(data, HONEST[way]), BARS) == []


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("breakout", {"volume_ratio": 0.5}),
        (
            f"{FOLDER / 'mean_reversion.py'}:MeanReversion",
            {"entry_deviations": 0.5, "min_gain_pct": 0},
        ),
        (f"{FOLDER / 'opening_range.py'}:OpeningRange", {"volume_ratio": 0.2, "widest_pct": 20}),
        (f"{FOLDER / 'vwap_pullback.py'}:VwapPullback", {"above_bars": 2, "least_high_pct": 0}),
    ],
    ids=["breakout", "mean reversion", "opening range", "VWAP pullback"],
)
def test_the_examples_raise_no_alarm(name, parameters):
    """They wish for something on these bars, and never peek."""

    def make(data):
        return bot.load_strategy(name, parameters)

    assert checks.wishes_of(make, BARS)
    assert checks.all_checks(make, BARS) == []


class Dice(bot.TradingStrategy):
    """Asks for chance, which a strategy must not."""

    chance = random.Random(3)

    def on_bar(self, view, bar):
        if self.chance.random() < 0.1 and not view.position.quantity:
            return view.buy(1, bar.close, f"{bar.end}", bot.ExitPlan(1_000), "chance")
        return None


def test_chance_is_caught():
    """Two runs over the same bars differ."""
    assert [each.check for each in checks.determinism(lambda data: Dice(), BARS)] == ["determinism"]


class Old(bot.TradingStrategy):
    """Wants what depends on its 40 last bars."""

    def on_bar(self, view, bar):
        known = list(view.bars)[-40:]
        return view.buy(len(known), bar.close, f"{bar.end}", bot.ExitPlan(1_000), "x")


def test_too_little_history_is_told():
    """40 bars: 10 and 20 are too few, 40 and 80 are enough."""
    found = checks.warm_up(lambda data: Old(), BARS, start=200, least=10)
    assert found == {10: False, 20: False, 40: True, 80: True}


def test_a_result_that_hangs_on_the_fill_rule_is_told():
    """The worked example of the docstring, and a change of sign."""
    won = {"through": 100_000, "touch": 40_000, "share": 60_000, "late": -1}
    found = [each.text for each in checks.fill_sensitivity(won, "through")]
    assert found == [
        "100,000 won by 'through', 40,000 by 'touch'",
        "100,000 won by 'through', -1 by 'late'",
    ]
