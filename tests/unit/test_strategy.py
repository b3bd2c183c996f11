"""The built-in breakout on hand-made bars: when it wants to buy, how much, with which plan."""

from collections import deque
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kis_realtime_trading as bot

DAY = date(2026, 11, 20)
SESSION = bot.session_of(DAY)
SYMBOL = "005930"
START = datetime.combine(DAY, time(10), bot.KST)
CALM = [(69_900, 100), (70_000, 100), (69_800, 100)]  # high, volume


def bar_of(n, high, volume, close=None, gap=False, start=START):
    """Return the n-th bar of five minutes from a start; it closes at its high unless told."""
    begin = start + timedelta(minutes=5 * n)
    close = high if close is None else close
    end = begin + timedelta(minutes=5)
    return bot.Bar(SYMBOL, begin, end, high - 100, high, high - 200, close, volume, 1, 9, gap)


def view_of(bars=(), cash_krw=100_000_000, open_orders=0, **changes):
    """Return a view with some bars already seen, cash for many shares, and a VWAP below."""
    view = bot.StrategyView(SYMBOL, START, SESSION, bot.Position(), deque(bars, maxlen=500))
    view.day_vwap, view.ask_cash = 69_000.0, lambda symbol: cash_krw
    view.ask_orders = lambda symbol: open_orders
    for name, value in changes.items():
        setattr(view, name, value)
    return view


def breakout(**parameters):
    """Return the strategy with a look back of three bars."""
    values = {"lookback_bars": 3, "volume_ratio": 1.5, **parameters}
    return bot.Breakout(bot.Breakout.Parameters(**values))


def show(strategy, view, *bars):
    """Close bars one after another; return what is wanted at each."""
    wants = []
    for bar in bars:
        view.bars.append(bar)
        wants.append(strategy.on_bar(view, bar))
    return wants


CALM_BARS = [bar_of(n, high, volume) for n, (high, volume) in enumerate(CALM)]
RISE = bar_of(3, 70_100, 150)


def last_want(*bars, strategy=None, **changes):
    """Return what is wanted at the last of some bars."""
    return show(strategy or breakout(), view_of(**changes), *bars)[-1]


def test_a_close_above_the_highest_high_on_volume_above_vwap_is_bought():
    """All conditions hold: one request, signal = end of the bar, figures for the journal."""
    request = last_want(*CALM_BARS, RISE)
    assert (request.symbol, request.side, request.kind) == (SYMBOL, bot.Side.BUY, "00")
    assert (request.signal, request.reason) == ("1020", "breakout")
    assert dict(request.facts) == {
        "close": 70_100, "highest": 70_000, "volume": 150, "average_volume": 100, "vwap": 69_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("bar", "changes"),
    [
        (bar_of(3, 70_000, 150), {}),
        (bar_of(3, 70_500, 150, close=70_000), {}),
        (bar_of(3, 70_100, 149), {}),
        (bar_of(3, 70_100, 150, gap=True), {}),
        (RISE, {"day_vwap": 70_100.0}),
        (RISE, {"day_vwap": 0.0}),
        (RISE, {"position": bot.Position(quantity=1)}),
        (RISE, {"open_orders": 1}),
        (RISE, {"cash_krw": 70_299}),
        (RISE, {"cash_krw": 0}),
    ],
    ids=["close at the high", "only its high above", "volume", "gap", "below vwap", "no vwap",
         "holds shares", "an order is open", "cash for no share", "cash unknown"],
)  # fmt: skip
def test_one_missing_condition_is_no_entry(bar, changes):
    """Each condition is needed; the usual case beside it buys."""
    assert last_want(*CALM_BARS, bar, **changes) is None
    assert last_want(*CALM_BARS, RISE) is not None


def test_too_few_bars_are_no_entry():
    """Until the look back is full nothing is known to be high."""
    assert show(breakout(), view_of(), *CALM_BARS[:2], RISE) == [None] * 3


def test_past_bars_warm_it_up():
    """Bars of before, in the view when the first bar closes, count."""
    view = view_of(CALM_BARS)
    assert show(breakout(), view, RISE)[0] is not None


def test_the_bar_itself_is_not_in_its_look_back():
    """It is compared with the bars before it, and counts for the next ones."""
    higher = bar_of(4, 70_100, 400)
    wants = show(breakout(cooldown_bars=0), view_of(), *CALM_BARS, RISE, higher)
    assert [want is None for want in wants] == [True, True, True, False, True]


@pytest.mark.parametrize(("minutes", "early"), [(0, False), (5, True), (4, False), (10, True)])
def test_the_first_minutes_are_no_entry(minutes, early):
    """A bar that ends within the first minutes after the opening is only learnt from."""
    yesterday = [bar_of(n, *each, start=START - timedelta(days=1)) for n, each in enumerate(CALM)]
    first = bar_of(0, 70_100, 150, start=SESSION.open)
    want = show(breakout(first_bar_minutes=minutes), view_of(yesterday), first)[0]
    assert (want is None) is early


def rising(count):
    """Return bars that each break out."""
    return [bar_of(3 + n, 70_100 + 100 * n, 200 * 2**n) for n in range(count)]


def test_a_cooldown_follows_an_entry():
    """So soon after an entry nothing is bought again."""
    wants = show(breakout(cooldown_bars=3), view_of(), *CALM_BARS, *rising(3))
    assert [want is None for want in wants[3:]] == [False, True, True]


@pytest.mark.parametrize("bars", [1, 3])
def test_the_cooldown_lasts_as_many_bars_as_said(bars):
    """cooldown_bars: "bars to wait after an entry"; 1 waits for one bar."""
    wants = show(breakout(cooldown_bars=bars), view_of(), *CALM_BARS, *rising(bars + 2))
    assert [want is None for want in wants[3:]] == [False, *[True] * bars, False]


def test_no_entry_no_cooldown():
    """A bar that could not be bought for lack of cash starts no pause."""
    strategy, view = breakout(), view_of(cash_krw=0)
    show(strategy, view, *CALM_BARS, RISE)
    view.ask_cash = lambda symbol: 10**8
    assert show(strategy, view, bar_of(4, 70_300, 400))[0] is not None


def test_symbols_do_not_mix():
    """One object serves all symbols."""
    strategy = breakout()
    assert show(strategy, view_of(), *CALM_BARS, RISE)[-1] is not None
    other = view_of()
    other.symbol = "000660"
    assert show(strategy, other, *CALM_BARS[:2], RISE) == [None] * 3


def test_the_size_risks_the_stated_money():
    """Entry 70,300, stop 69,400: 900 won a share; 50,000 won of risk are 55 shares."""
    request = last_want(*CALM_BARS, RISE, strategy=breakout(risk_krw=50_000))
    # 70,100 x 1.002 = 70,240.2 up; x 0.988 = 69,456.4 down; x 1.024 = 71,987.2 up
    assert (request.price, request.plan) == (70_300, bot.ExitPlan(69_400, 72_000, 0.012))
    assert request.quantity == 50_000 // 900


def test_the_size_is_limited_by_the_cash():
    """What limits and account leave for one order is never exceeded."""
    assert last_want(*CALM_BARS, RISE, cash_krw=3 * 70_300 + 1).quantity == 3


def test_no_target_and_no_trail_when_switched_off():
    """0 means none."""
    plan = last_want(*CALM_BARS, RISE, strategy=breakout(target_pct=0, trail_pct=0)).plan
    assert (plan.target_price, plan.trail_ratio) == (0, 0.0)


@pytest.mark.parametrize(
    ("price", "settings"),
    [(1, {"slippage_pct": 0}), (70_100, {"slippage_pct": 0, "stop_pct": 1e-15})],
    ids=["1 won", "no distance"],
)
def test_no_entry_without_room_for_a_stop(price, settings):
    """A plan whose stop is not below the entry would be sold at once."""
    bars = [*(bar_of(n, 0, 100) for n in range(3)), bar_of(3, price, 150)]
    assert show(breakout(**settings), view_of(day_vwap=0.5), *bars)[-1] is None


@given(
    st.integers(1_000, 900_000), st.booleans(), st.floats(0.1, 20), st.floats(0, 50),
    st.floats(0, 2), st.integers(1_000, 10**7), st.integers(0, 10**9),
)  # fmt: skip
def test_orders_and_plans_have_valid_prices_and_stay_within_risk(
    price, fund, stop_pct, target_pct, slippage_pct, risk, cash
):
    """Valid ticks, stop < entry <= target, size within cash and risk, at any price."""
    level = bot.round_to_tick(price, fund, up=True)
    strategy = breakout(
        stop_pct=stop_pct, target_pct=target_pct, slippage_pct=slippage_pct, risk_krw=risk
    )
    view = view_of(fund=fund, cash_krw=cash, day_vwap=1.0)
    high = bot.step_ticks(level, fund, 1)
    calm = [bar_of(n, level, 100) for n in range(3)]
    request = show(strategy, view, *calm, bar_of(3, high, 150))[-1]
    if request is None:
        return
    plan = request.plan
    prices = [request.price, plan.stop_price, *([plan.target_price] if plan.target_price else [])]
    assert all(bot.is_valid_tick(each, fund) for each in prices)
    assert plan.stop_price < request.price
    assert not plan.target_price or plan.target_price >= request.price
    assert 0 < request.quantity * request.price <= cash
    assert request.quantity * (request.price - plan.stop_price) <= risk


def test_the_view_makes_requests_in_valid_prices():
    """buy() rounds up to a tick; sell() wants the whole position at the engine's price."""
    view = view_of(position=bot.Position(quantity=7))
    bought = view.buy(1, 70_001, "s", bot.ExitPlan(69_000), "why", b=2.0, a=1.0)
    assert (bought.price, bought.facts) == (70_100, (("a", 1.0), ("b", 2.0)))
    sold = view.sell("s", "why")
    assert (sold.side, sold.quantity, sold.price) == (bot.Side.SELL, 7, 0)


@pytest.mark.parametrize(
    "values",
    [
        {"lookback_bars": 1},
        {"stop_pct": 0},
        {"risk_krw": 0},
        {"unheard_of": 1},
        {"slippage_pct": 3},
    ],
)
def test_parameters_are_checked(values):
    """Bounds and spelling."""
    with pytest.raises(bot.ValidationError):
        bot.Breakout.Parameters(**values)


def test_the_strategy_is_known_by_its_name():
    """`strategy: breakout` of the settings."""
    assert bot.STRATEGIES["breakout"] is bot.Breakout


def test_a_strategy_may_use_modules_beside_it(tmp_path):
    """A file of helpers in the same folder is found, from whatever folder the bot is started."""
    (tmp_path / "helpers_beside.py").write_text("FEW = 3\n", "utf-8")
    file = tmp_path / "mine_with_helpers.py"
    file.write_text(
        "import helpers_beside\nfrom kis_realtime_trading import TradingStrategy\n\n\n"
        "class Mine(TradingStrategy):\n    few = helpers_beside.FEW\n\n"
        "    def on_bar(self, view, bar):\n        return None\n",
        "utf-8",
    )
    assert bot.load_strategy(f"{file}:Mine", {}).few == 3


def test_a_number_of_another_library_is_named():
    """numpy's numbers are no plain ones: the answer says whose they are."""

    class Whole(int):
        """Stands for numpy.int64."""

    wish = bot.OrderRequest("005930", bot.Side.BUY, Whole(3), "x", plan=bot.ExitPlan(1))
    with pytest.raises(TypeError, match=r"plain int or float, not test_strategy\.Whole"):
        bot.check_request(wish)


class Text(str):
    """A text of another library."""

    __slots__ = ()


PLAN = bot.ExitPlan(66_000, 71_000, 0.01)
# field -> values that are taken, values that are not
REQUESTS = {
    "symbol": (["005930", "", "a" * 200, Text("005930")], [None, 5930, b"005930", "a" * 201, "a\n", "\ud800"]),
    "side": ([bot.Side.BUY, bot.Side.SELL], ["BUY", "buy", 1, None]),
    "quantity": ([0, -1, 10**9, 1.5, None], [True, "3", Decimal(3), Fraction(3), [3]]),
    "signal": (["", "x" * 200, "신호"], [None, 3, "x" * 201, "x\t", "\ud800x"]),
    "kind": ([bot.OrderKind.LIMIT, bot.OrderKind.MARKET], ["00", "LIMIT", 0, None]),
    "price": ([0, 70_000, 70_000.5, None], [False, "70000", Decimal(70_000)]),
    "plan": (
        [None, PLAN, bot.ExitPlan(0), bot.ExitPlan(1, 0, 0), bot.ExitPlan(1, 0, 0.999)],
        [66_000, (66_000, 0), "plan", bot.ExitPlan(66_000.0), bot.ExitPlan(True), bot.ExitPlan(66_000, 71_000.0),
         bot.ExitPlan(66_000, None), bot.ExitPlan(66_000, 0, 1), bot.ExitPlan(66_000, 0, 1.0),
         bot.ExitPlan(66_000, 0, -0.1), bot.ExitPlan(66_000, 0, float("nan")), bot.ExitPlan(66_000, 0, "0.1"),
         bot.ExitPlan(66_000, 0, True), bot.ExitPlan(66_000.0, 71_000.0)],
    ),
    "reason": (["", "돌파"], [None, 1, "x" * 201, "a\x00"]),
    "facts": (
        [(), (("close", 70_000),), (("a", 1.5), ("b", None)), (("", 0),)],
        [(("close", True),), (("close", "x"),), ((1, 1),), (("a\n", 1),), (("a", 1), ("b", Decimal(1)))],
    ),
    "owners": ([False], [True, 0, None, "", "no"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_each_field_of_a_wish_is_of_its_form(name):
    """One field alone, with and without a plan; what is no wish at all, too."""
    taken, refused = REQUESTS[name]
    for plan in (None, PLAN):
        wish = bot.OrderRequest("005930", bot.Side.BUY, 3, "x", plan=plan)
        for value in taken:
            bot.check_request(replace(wish, **{name: value}))
        for value in refused:
            with pytest.raises(TypeError):
                bot.check_request(replace(wish, **{name: value}))


@pytest.mark.parametrize("value", [0, False, "", (), "buy", 1, bot.OrderRequest])
def test_a_wish_is_a_wish_or_none(value):
    """None wants nothing; what is merely empty is a mistake of the strategy."""
    bot.check_request(None)
    with pytest.raises(TypeError, match="expected an OrderRequest or None"):
        bot.check_request(value)


def test_a_view_keeps_the_newest_five_hundred_bars():
    """As the documents say; the oldest go first."""
    view = bot.StrategyView("005930", START, SESSION, bot.Position())
    view.bars.extend(range(502))
    assert list(view.bars) == list(range(2, 502))
