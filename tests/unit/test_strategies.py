"""The example strategies of strategies/ on hand-made bars: when each buys, how much, why not."""

from collections import deque
from datetime import date, timedelta
from pathlib import Path

import pytest

import kis_realtime_trading as bot

FOLDER = Path(bot.__file__).resolve().parent / "strategies"
SESSION = bot.session_of(date(2026, 11, 20))
SYMBOL = "005930"


def load(file, name, **parameters):
    """Return a strategy of the folder."""
    return bot.load_strategy(f"{FOLDER / file}:{name}", parameters)


def bar_of(n, close, low=None, high=None, volume=100, gap=False):
    """Return the n-th bar of five minutes of the day."""
    start = SESSION.open + timedelta(minutes=5 * n)
    low, high = low or close - 100, high or close + 100
    end = start + timedelta(minutes=5)
    return bot.Bar(SYMBOL, start, end, close, high, low, close, volume, 1, 9, gap)


def view_of(symbol=SYMBOL, cash_krw=10**8, open_orders=0, **changes):
    """Return a view with cash for many shares."""
    view = bot.StrategyView(symbol, SESSION.open, SESSION, bot.Position(), deque(maxlen=500))
    view.ask_cash, view.ask_orders = lambda symbol: cash_krw, lambda symbol: open_orders
    view.day_vwap = 69_900.0
    for name, value in changes.items():
        setattr(view, name, value)
    return view


def show(strategy, view, bars):
    """Close bars one after another; return what is wanted at each."""
    wants = []
    for bar in bars:
        view.bars.append(bar)
        wants.append(strategy.on_bar(view, bar))
    return wants


# --- opening range ----------------------------------------------------------------------

RANGE = [bar_of(n, 70_000, 69_600, 70_200) for n in range(6)]


def opening(**parameters):
    """Return the strategy without slippage."""
    return load("opening_range.py", "OpeningRange", slippage_pct=0, **parameters)


def test_the_first_close_above_the_range_is_bought_with_a_stop_in_its_middle():
    """Range 69,600 to 70,200; close 70,400: stop 69,900, target 1,000 higher, 50,000 won at risk."""
    wants = show(opening(), view_of(), [*RANGE, bar_of(6, 70_200), bar_of(7, 70_400)])
    assert wants[:-1] == [None] * 7
    request = wants[-1]
    assert (request.price, request.plan) == (70_400, bot.ExitPlan(69_900, 71_400))
    assert (request.quantity, request.signal) == (100, "0940")


@pytest.mark.parametrize(
    ("bars", "changes"),
    [
        ([*RANGE, bar_of(6, 70_200)], {}),
        ([*RANGE, bar_of(6, 70_400, volume=99)], {}),
        ([*RANGE, bar_of(6, 70_400, gap=True)], {}),
        ([*RANGE[:5], bar_of(5, 70_000, gap=True), bar_of(6, 70_400)], {}),
        ([*RANGE[:5], bar_of(5, 70_000, 66_000), bar_of(6, 70_400)], {}),
        ([*RANGE, bar_of(24, 70_400)], {}),
        ([bar_of(6, 70_400)], {}),
        ([*RANGE, bar_of(6, 70_400)], {"position": bot.Position(quantity=1)}),
        ([*RANGE, bar_of(6, 70_400)], {"cash_krw": 70_399}),
    ],
    ids=["at the high", "no volume", "gap", "gap in the range", "wild range", "late",
         "no range seen", "holds shares", "no cash"],
)  # fmt: skip
def test_one_missing_condition_is_no_opening_entry(bars, changes):
    """Each is needed; the usual case beside it buys."""
    assert show(opening(), view_of(**changes), bars)[-1] is None
    assert show(opening(), view_of(), [*RANGE, bar_of(6, 70_400)])[-1] is not None


def test_one_try_a_day_and_stock():
    """The second break of the same day is left; another stock has its own try."""
    strategy = opening()
    wants = show(strategy, view_of(), [*RANGE, bar_of(6, 70_400), bar_of(7, 70_600)])
    assert [want is None for want in wants[-2:]] == [False, True]
    other = show(strategy, view_of("000660"), [*RANGE, bar_of(6, 70_400)])
    assert other[-1] is not None


# --- VWAP pullback ----------------------------------------------------------------------

ABOVE = [bar_of(n, 70_300, high=70_500) for n in range(6)]
TOUCH = bar_of(6, 70_000, low=69_900)


def pullback(**parameters):
    """Return the strategy without slippage."""
    usual = {"above_bars": 6, "least_high_pct": 0.6, "touch_pct": 0.1, "slippage_pct": 0}
    return load("vwap_pullback.py", "VwapPullback", **{**usual, **parameters})


def test_a_touch_of_the_mean_after_bars_above_it_is_bought():
    """VWAP 69,900, stop 0.7 % below it at 69,400, target 1.5 % above the entry."""
    request = show(pullback(), view_of(), [*ABOVE, TOUCH])[-1]
    assert (request.price, request.plan) == (70_000, bot.ExitPlan(69_400, 71_100))
    assert (request.quantity, request.reason) == (50_000 // 600, "pullback")


@pytest.mark.parametrize(
    ("bars", "changes"),
    [
        ([*ABOVE, bar_of(6, 70_200, low=70_100)], {}),
        ([*ABOVE, bar_of(6, 69_900, low=69_800)], {}),
        ([*ABOVE[:5], bar_of(5, 69_900), TOUCH], {}),
        ([bar_of(n, 70_000, high=70_100) for n in range(6)] + [TOUCH], {}),
        ([*ABOVE[1:], TOUCH], {}),
        ([*ABOVE, TOUCH], {"day_vwap": 0.0}),
        ([*ABOVE, TOUCH], {"open_orders": 1}),
    ],
    ids=["no touch", "closed below", "one was below", "never far", "too few", "no VWAP", "order"],
)
def test_one_missing_condition_is_no_pullback(bars, changes):
    """Each is needed."""
    assert show(pullback(), view_of(**changes), bars)[-1] is None


def test_a_close_below_the_mean_sells():
    """Below by more than a touch; a close at the mean does not."""
    held = {"position": bot.Position(quantity=5)}
    assert show(pullback(), view_of(**held), [bar_of(0, 69_900)]) == [None]
    sold = show(pullback(), view_of(**held), [bar_of(0, 69_700)])[0]
    assert (sold.side, sold.quantity, sold.reason) == (bot.Side.SELL, 5, "below VWAP")


# --- daily rotation ---------------------------------------------------------------------

LEADER, OTHER = "000660", "005930"


def with_days(symbol, last, **changes):
    """Return a view that knows 70 closed days; the close of 6 days ago and older begin at 50,000."""
    view, day = view_of(symbol, **changes), SESSION.day
    closes = [50_000] * 64 + [last] * 6
    for close in reversed(closes):
        day = bot.previous_trading_day(day)
        bar = bot.whole_day(symbol, bot.DailyBar(day, close, close, close, close, 1, 1))
        view.bars.appendleft(bar)
    return view


def rotation(*views, **parameters):
    """Return the wishes of several stocks, each asked twice, in order."""
    strategy = load("daily_rotation.py", "DailyRotation", slippage_pct=0, **parameters)
    return [strategy._decide(view, 60_000) for view in (*views, *views)]


def test_the_strongest_is_bought_and_the_other_not():
    """Rank 1 of two: the whole budget; the first asked waits until the list is complete."""
    wants = rotation(with_days(LEADER, 55_000), with_days(OTHER, 51_000))
    assert [want is None for want in wants] == [True, True, False, True]
    bought = wants[2]
    assert (bought.symbol, bought.quantity, bought.price) == (LEADER, 16, 60_000)
    assert bought.plan == bot.ExitPlan(55_200)
    assert dict(bought.facts) == {"rank": 1, "rise": pytest.approx(10)}


def test_one_that_fell_behind_is_sold():
    """Rank 2 with no rank kept behind: sold; with one kept: held."""
    held = {"position": bot.Position(quantity=3)}
    views = with_days(LEADER, 55_000), with_days(OTHER, 51_000, **held)
    sold = [want for want in rotation(*views, keep=0) if want and want.side is bot.Side.SELL]
    assert [(each.symbol, each.quantity) for each in sold] == [(OTHER, 3)]
    kept = [want for want in rotation(*views, keep=1) if want and want.side is bot.Side.SELL]
    assert kept == []


def test_a_falling_leader_is_not_bought_and_is_sold():
    """least_pct 0: what fell is not held, even as the first."""
    held = {"position": bot.Position(quantity=3)}
    wants = rotation(with_days(LEADER, 49_000, **held), with_days(OTHER, 48_000))
    assert [want.side for want in wants if want] == [bot.Side.SELL]


def test_half_a_ranking_is_none():
    """A stock whose days do not reach yesterday keeps all waiting."""
    old = with_days(OTHER, 51_000)
    old.bars.pop()
    assert rotation(with_days(LEADER, 55_000), old) == [None] * 4
