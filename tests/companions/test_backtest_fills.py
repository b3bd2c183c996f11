"""How a backtest fills: the table of its rules, the bad case inside a bar, no won made or lost."""

from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import lanes
import pytest

import kis_realtime_trading as bot
from companions.backtest import history
from companions.backtest.broker import Broker, Rules
from companions.backtest.path import Leg
from companions.backtest.run import Options, run

LIMITS = {
    "max_order_krw": 9_000_000, "max_symbol_krw": 9_000_000, "max_total_krw": 9_000_000,
    "max_daily_loss_krw": 5_000_000, "max_daily_loss_pct": 50,
}  # fmt: skip
SETTINGS = bot.BotSettings.model_validate(
    {"symbols": ["005930"], "limits": LIMITS, "bar_minutes": 1, "entry_timeout_s": 600}
)
DAY = date(2026, 3, 3)
TEN = datetime(2026, 3, 3, 10, 0, tzinfo=bot.KST)
BUY, SELL = bot.Side.BUY, bot.Side.SELL
S = "005930"


def at(second: float) -> datetime:
    """Return a moment after ten o'clock."""
    return TEN + timedelta(seconds=second)


def sent(broker: Broker, side: bot.Side, price: int, kind: str = "00", quantity: int = 10, last: int = 0) -> bot.OrderAnswer:  # fmt: skip
    """Send one order at ten o'clock; return the answer."""
    purpose = "entry" if side is BUY else "exit"
    intent = bot.OrderIntent(
        f"{side}{price}{quantity}", DAY, S, side, bot.OrderKind(kind), quantity, price, purpose, "", "", TEN
    )  # fmt: skip
    return broker.take(bot.OrderCall("new", intent, kind=kind, price=price), TEN, last)


def holder(**rules: object) -> Broker:
    """Return a broker with money, ten shares and the limits of a day at 70,000."""
    broker = Broker(Rules(**rules), 10_000_000, shares={S: 10}, cost={S: 600_000})  # type: ignore[arg-type]
    broker.limits[S] = (49_000, 91_000)
    return broker


# rule | side, limit, kind | market at its arrival | prices met | what it is filled at, 0: it waits
FILLS = [
    ("market buy: the next price and a tick", BUY, 0, "01", 70_000, [70_000], 70_100),
    ("market buy: never better than the market at its arrival", BUY, 0, "01", 70_500, [70_000], 70_600),
    ("best limit sell: the next price less a tick", SELL, 0, "03", 70_000, [68_000], 67_900),
    ("market sell: never better than the market at its arrival", SELL, 0, "01", 69_500, [70_000], 69_400),
    ("a buy that crosses pays a tick more", BUY, 70_500, "00", 70_000, [70_000], 70_100),
    ("a buy that crosses pays its limit at most", BUY, 70_200, "00", 70_900, [70_000], 70_200),
    ("a sell that crosses gets a tick less", SELL, 69_500, "00", 70_000, [70_000], 69_900),
    ("a sell that crosses gets its limit at least", SELL, 69_500, "00", 69_000, [70_000], 69_500),
    ("a buy touched at its limit waits", BUY, 70_000, "00", 70_000, [70_000, 70_000], 0),
    ("a sell touched at its limit waits", SELL, 70_000, "00", 70_000, [70_000, 70_000], 0),
    ("a buy that rests: a price through it, at its limit", BUY, 70_000, "00", 70_300, [70_300, 69_900], 70_000),
    ("a sell that rests: a price through it, at its limit", SELL, 70_500, "00", 70_000, [70_000, 70_600], 70_500),
    ("a buy that rests gets no more from a gap", BUY, 70_000, "00", 70_300, [70_300, 66_000], 70_000),
    ("a sell below a gap waits", SELL, 69_500, "00", 69_500, [69_000, 69_200], 0),
    ("locked at the upper limit nothing is bought", BUY, 0, "01", 91_000, [91_000], 0),
    ("at the lower limit nothing is sold", SELL, 0, "01", 49_000, [49_000], 0),
    ("slippage ends at the price limit", BUY, 0, "01", 90_900, [90_900], 91_000),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "side", "price", "kind", "last", "prices", "paid"), FILLS, ids=[f[0] for f in FILLS]
)
def test_an_order_is_filled_by_the_table(rule, side, price, kind, last, prices, paid):
    """Each line of the table: what the next prices do to one order."""
    broker = holder(vi=False)
    number = sent(broker, side, price, kind, last=last).order_no
    for n, each in enumerate(prices, 1):
        broker.meet(S, each, 1_000, at(n))
    order = broker.orders[number]
    assert (order.filled, order.amount) == ((10, 10 * paid) if paid else (0, 0)), rule


def test_a_touch_fills_when_it_is_asked_for():
    """`through: False` is the optimistic rule, and only a setting."""
    broker = holder(through=False)
    number = sent(broker, BUY, 70_000, last=70_000).order_no
    assert broker.meet(S, 70_000, 1_000, at(1)) == 10
    assert broker.orders[number].amount == 700_000


def test_an_auction_has_one_price_for_all():
    """No tick is lost in the single price; a limit that does not reach it waits."""
    broker = holder()
    reached, short = sent(broker, BUY, 70_000).order_no, sent(broker, BUY, 69_900).order_no
    broker.meet(S, 70_000, 1_000, at(1), single=True)
    assert (broker.orders[reached].amount, broker.orders[short].filled) == (700_000, 0)


def test_a_vi_stops_all_fills_for_two_minutes_and_ends_in_a_single_price():
    """Ten per cent from the last single price; afterwards that price is the new measure."""
    broker = holder()
    broker.open_day({S: 70_000})
    number = sent(broker, BUY, 0, "01", last=70_000).order_no
    assert broker.meet(S, 77_000, 1_000, at(1)) == 0
    assert broker.meet(S, 77_100, 1_000, at(100)) == 0
    assert broker.meet(S, 77_200, 1_000, at(121)) == 10
    assert broker.orders[number].amount == 772_000  # no slippage in a single price
    assert broker.anchors[S] == 77_200


def test_a_price_at_the_moment_of_arrival_fills_nothing():
    """Only prices after the arrival count."""
    broker = holder()
    sent(broker, BUY, 71_000)
    assert broker.meet(S, 70_000, 1_000, TEN) == 0
    assert broker.meet(S, 70_000, 1_000, at(1)) == 10


def test_the_room_of_a_price_is_used_once():
    """Two orders share what the volume leaves us; the rest waits."""
    broker = holder()
    first, second = (sent(broker, BUY, 71_000, quantity=n).order_no for n in (5, 7))
    assert broker.meet(S, 70_000, 8, at(1)) == 8
    assert (broker.orders[first].filled, broker.orders[second].filled) == (5, 3)


def test_shares_that_are_not_held_cannot_be_sold():
    """A second sell of the same shares is refused, as the broker would."""
    broker = holder()
    assert sent(broker, SELL, 75_000).order_no
    assert sent(broker, SELL, 75_100).code == "APBK0400"


@pytest.mark.parametrize(("kind", "price", "each"), [("01", 0, 91_000), ("00", 70_000, 70_000)])
def test_a_buy_holds_back_its_limit_price_or_the_upper_limit(kind, price, each):
    """The real broker counts a market buy at the upper limit, with the fee: one won less refuses."""
    need = 10 * each + bot.order_fee(10 * each, bot.STOCK_FEE_PCT)
    enough, short = holder(), holder()
    enough.cash, short.cash = need, need - 1
    assert sent(enough, BUY, price, kind).order_no
    assert enough.orderable().amount_krw == 0
    assert sent(short, BUY, price, kind).code == "APBK0952"


# --- inside a bar ------------------------------------------------------------------------


def bars_of(*prices: tuple[int, int, int, int], volume: int = 100_000) -> history.History:
    """Return a day of minutes from its open: (open, high, low, close)."""
    session = bot.session_of(DAY)
    assert session
    made = []
    for n, (first, high, low, last) in enumerate(prices):
        start = session.open + timedelta(minutes=n)
        worth = volume * (first + high + low + last) // 4
        made.append(bot.Bar(S, start, start + timedelta(minutes=1), first, high, low, last, volume, worth, 4))  # fmt: skip
    return history.History({S: made}, bases={S: 70_000})


class Once(bot.TradingStrategy):
    """Wants to buy at a price when the first bar has closed."""

    def __init__(self, price: int, plan: bot.ExitPlan) -> None:
        super().__init__()
        self._price, self._plan, self._done = price, plan, False

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> bot.OrderRequest | None:
        """Ask once."""
        if self._done:
            return None
        self._done = True
        return view.buy(10, self._price, "once", self._plan, "once")


def prices_of(folder: Path, strategy: bot.TradingStrategy, past: history.History, **rules: object) -> list[tuple[str, float]]:  # fmt: skip
    """Return the reason and average price of each order that was filled."""
    result = run(SETTINGS, strategy, past, Options(rules=Rules(**rules)), folder / "run")  # type: ignore[arg-type]
    assert result.differences == ()
    return [(o.reason, o.fill_price) for o in result.report.orders if o.filled]


FLAT = (70_000, 70_000, 70_000, 70_000)


def test_an_entry_is_filled_at_the_next_open_never_at_the_low_behind_it(tmp_path: Path):
    """Decided at the close of a bar it meets the next open, a tick worse; not that bar's low."""
    past = bars_of(FLAT, (70_000, 70_000, 69_000, 69_500), FLAT, FLAT)
    [entry] = prices_of(tmp_path, Once(70_200, bot.ExitPlan(60_000)), past)
    assert entry == ("once", 70_100)


def test_a_purchase_at_the_low_reaches_no_target_at_the_high_of_the_same_bar(tmp_path: Path):
    """Which came first is not known: by default the high was before. `low first` is the dream."""
    wild = (70_000, 71_000, 69_000, 69_500)
    past = bars_of(FLAT, FLAT, wild, (69_500, 69_500, 69_500, 69_500), FLAT)
    strategy = Once(69_200, bot.ExitPlan(60_000, 70_900))
    assert prices_of(tmp_path / "a", strategy, past) == [("once", 69_200)]
    dream = prices_of(tmp_path / "b", Once(69_200, bot.ExitPlan(60_000, 70_900)), past, path="low first")  # fmt: skip
    assert [reason for reason, _ in dream] == ["once", "target"]


def test_a_purchase_inside_a_bar_can_meet_its_stop_in_the_same_bar(tmp_path: Path):
    """What comes after the fill counts: the low below the limit is a stop, too."""
    past = bars_of(FLAT, FLAT, (70_000, 70_000, 68_000, 69_900), FLAT, FLAT)
    found = prices_of(tmp_path, Once(69_200, bot.ExitPlan(68_500)), past)
    assert [reason for reason, _ in found] == ["once", "stop"]
    assert found[1][1] <= 68_500


def test_a_stop_and_a_target_in_one_bar_are_a_stop(tmp_path: Path):
    """Against what is held the low comes first."""
    past = bars_of(FLAT, FLAT, (70_000, 72_000, 68_000, 71_000), FLAT, FLAT)
    found = prices_of(tmp_path, Once(70_200, bot.ExitPlan(69_000, 71_000)), past)
    assert [reason for reason, _ in found] == ["once", "stop"]


def test_a_gap_beyond_the_stop_is_paid_in_full(tmp_path: Path):
    """The first price beyond the stop is the open: nothing is filled at the stop itself."""
    low = (68_000, 68_000, 68_000, 68_000)
    found = prices_of(tmp_path, Once(70_200, bot.ExitPlan(69_500)), bars_of(FLAT, FLAT, low, low))
    assert [reason for reason, _ in found] == ["once", "stop"]
    assert found[1][1] == 67_900


def test_a_target_is_sold_near_its_price_not_at_the_high(tmp_path: Path):
    """The line passes the target long before the high; the sale pays a tick and gains nothing."""
    up = (70_000, 75_000, 70_000, 75_000)
    late = (75_000, 75_000, 75_000, 75_000)
    found = prices_of(tmp_path, Once(70_200, bot.ExitPlan(60_000, 71_000)), bars_of(FLAT, FLAT, up, late))  # fmt: skip
    assert [reason for reason, _ in found] == ["once", "target"]
    assert 70_900 <= found[1][1] <= 71_000


def test_a_line_meets_each_level_once_and_stays_between_its_ends():
    """Levels in their order on the way; prices on ticks; none beyond the end."""
    leg = Leg(S, TEN, at(20), 70_000, 69_000, 5)
    assert leg.crossing([69_500, 69_900, 68_000], [70_500]) == (at(2), 69_900)
    leg.passed.add(69_900)
    assert leg.crossing([69_500, 69_900], []) == (at(10), 69_500)
    assert [leg.at(at(n), False) for n in (0, 7, 20)] == [70_000, 69_600, 69_000]


# --- money -------------------------------------------------------------------------------


def test_the_first_day_of_a_stock_only_teaches_its_close(tmp_path: Path):
    """Its base price is not known before the open: nothing is traded, and it is said."""
    past = history.invent(3, 1)
    blind = history.History(past.minutes)
    result = run(SETTINGS, bot.load_strategy("breakout", {}), blind, Options(), tmp_path / "x")
    assert [day.day for day in result.report.days] == past.days()[1:]
    assert sum("only taught" in note for note in result.notes) == 3


TAXES = [
    ("KOSPI", date(2026, 3, 3), 50, 150), ("KOSDAQ", date(2026, 3, 3), 200, 0),
    ("KONEX", date(2026, 3, 3), 100, 0), ("KOSDAQ", date(2025, 3, 4), 150, 0),
    ("KOSPI", date(2024, 3, 4), 30, 150), ("KOSPI", date(2025, 12, 30), 50, 150),
]  # fmt: skip


@pytest.mark.parametrize(("market", "day", "transaction", "rural"), TAXES)
def test_a_sale_is_taxed_by_market_and_day_of_settlement(market, day, transaction, rural):
    """Ten sold at 70,000 in two parts: the tax of 700,000, each part cut to the won, and the fee."""
    broker = Broker(Rules(), 0, shares={S: 10}, cost={S: 600_000}, markets={S: market})
    intent = bot.OrderIntent("x", day, S, SELL, bot.OrderKind.MARKET, 10, 0, "exit", "", "", TEN)
    broker.take(bot.OrderCall("new", intent, kind="01"), TEN)
    for n in (1, 2):
        broker.meet(S, 70_000, 5, at(n), single=True)
    fee = round(Fraction(700_000) * Fraction(bot.STOCK_FEE_PCT) / 100)
    tax = 700_000 * transaction // 100_000 + 700_000 * rural // 100_000
    assert broker.cash == 700_000 - fee - tax
    assert broker.fees_today == fee + tax


def test_costs_of_every_market_are_those_of_the_ledger(tmp_path: Path):
    """A KOSDAQ stock, a fund and a KOSPI stock: two books, the same won on each day."""
    past = history.invent(4, 3)
    past.markets["035720"] = "KOSDAQ"
    past.funds.add("000660")
    result = run(SETTINGS, bot.load_strategy("breakout", {}), past, Options(), tmp_path / "x")
    assert result.differences == ()
    by_symbol = Counter({trip.symbol: trip.taxes_krw for trip in result.report.trips})
    assert {trip.symbol for trip in result.report.trips} == set(past.minutes)
    assert by_symbol["000660"] == 0 < by_symbol["035720"]
    sold = sum(trip.sold_krw for trip in result.report.trips if trip.symbol == "035720")
    assert abs(sum(t.taxes_krw for t in result.report.trips if t.symbol == "035720") - sold * 0.002) < 10  # fmt: skip


class Leaky(Broker):
    """A broker that loses a won with each fill."""

    def _book(self, order, shares, price):
        super()._book(order, shares, price)
        self.cash -= 1


def test_a_won_that_vanishes_is_told_with_its_day(tmp_path: Path, monkeypatch):
    """Cash and shares are counted day by day, by the orders, the broker and the ledger."""
    monkeypatch.setattr("companions.backtest.run.Broker", Leaky)
    past = history.invent(3, 1)
    result = run(SETTINGS, bot.load_strategy("breakout", {}), past, Options(), tmp_path / "x")
    assert result.differences
    assert all(each.startswith("2026-03-0") and "cash" in each for each in result.differences)


# --- two lanes ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_whole_minutes_change_nothing(seed: int, tmp_path: Path):
    """Engine, exact and thin lane make the same rows, byte for byte (campaign: 1,000 seeds)."""
    whole, _, difference = lanes.one(seed, tmp_path)
    assert difference == ""
    assert whole >= 0


@pytest.mark.parametrize(
    ("name", "seed"), [("stop", 0), ("target", 2), ("trail", 0), ("doubt", 50)]
)
def test_a_thin_lane_that_sleeps_through_a_level_is_told(name: str, seed: int, tmp_path: Path):
    """A planted fault makes other rows than the exact lane (campaign: --planted)."""
    case = lanes.Case(seed, tmp_path)
    exact = case.run(lane="exact", journal=False)
    assert lanes.difference(exact, case.run(lane="thin", journal=False)) == ""
    deaf = case.run(lane="thin", journal=False, whole=lanes.PLANTED[name])
    assert lanes.difference(exact, deaf)


class Misbehaving(bot.TradingStrategy):
    """Holds from the fifth bar on; at the fiftieth it does what it must not."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.bars = how, 0

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> bot.OrderRequest | None:
        """Buy once, then misbehave once."""
        self.bars += view.symbol == "000660"
        if self.bars == 5:
            return view.buy(3, bar.close * 1.01, f"{bar.end}", bot.ExitPlan(1), "buy")
        if self.bars != 50:
            return None
        if self.how == "raises":
            raise ValueError("no")
        if self.how == "another position":
            view.position = bot.Position(7)
        if self.how == "more shares":
            view.position.quantity += 1
        if self.how == "other bars":
            view.bars = view.bars.copy()
        return "sell" if self.how == "a word" else None  # type: ignore[return-value]


@pytest.mark.parametrize("stocks", [{"000660": 182_500}, {"005930": 71_000, "000660": 182_500}])
@pytest.mark.parametrize(
    "how", ["raises", "another position", "more shares", "other bars", "a word", "nothing"]
)
def test_a_strategy_that_misbehaves_does_so_alike_in_both_lanes(how, stocks, tmp_path: Path):
    """Error, a moved position, an answer that is none: the same rows, and the position is as it was."""
    past, found = history.invent(1, 3, stocks), {}
    for lane in ("thin", "exact"):
        kept = found.setdefault(lane, [])
        keep = lambda of, at, kept=kept: kept.extend(map(lanes.text_of, of))  # noqa: E731
        result = run(SETTINGS, Misbehaving(how), past, Options(lane=lane, journal=False, on_rows=keep), tmp_path)  # fmt: skip
        assert result.differences == ()
        assert len(result.failed) == (len(stocks) if how != "nothing" else 0)
        assert (result.thin > 250) is (lane == "thin")
    assert found["thin"] == found["exact"]


class Purse(bot.TradingStrategy):
    """Holds two stocks; before the first is asked, the other's price of the same minute counts."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, datetime, int]] = []

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> bot.OrderRequest | None:
        """Note what is left of the cash; buy once."""
        self.seen.append((view.symbol, view.now, view.cash_krw))
        if view.position.quantity or view.open_orders:
            return None
        return view.buy(6, bar.close * 1.01, f"{bar.end}", bot.ExitPlan(1), "buy")


def test_the_cash_that_a_strategy_sees_counts_the_newest_prices_in_both_lanes(tmp_path: Path):
    """What is held of another stock is worth its last price before this bar closed, minute by minute."""
    past = history.invent(1, 3, {"005930": 71_000, "000660": 182_500})
    purses = {lane: Purse() for lane in ("thin", "exact")}
    for lane, purse in purses.items():
        result = run(SETTINGS, purse, past, Options(lane=lane, journal=False), tmp_path)
        assert (result.thin > 500) is (lane == "thin")
    assert purses["thin"].seen == purses["exact"].seen
    assert len({cash for *_, cash in purses["exact"].seen}) > 10


def test_the_thin_lane_takes_nearly_all_minutes_of_a_quiet_day(tmp_path: Path):
    """Else its speed is a tale; and a strategy that hears each trade gets no whole minute."""
    past, strategy = history.invent(2, 1), bot.load_strategy("breakout", {})
    result = run(SETTINGS, strategy, past, Options(), tmp_path / "a")
    assert result.thin > 0.7 * result.minutes
    hearing = run(SETTINGS, lanes.TradeDice(1), past, Options(), tmp_path / "b")
    assert hearing.thin == 0


class Clocked(bot.TradingStrategy):
    """Notes how long after its end it is shown each bar."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[float] = []

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> None:
        """Look at the clock."""
        self.late.append((view.now - bar.end).total_seconds())


@pytest.mark.parametrize("lane", ["thin", "exact"])
def test_a_bar_closes_at_its_end_when_nothing_is_traded_after_it(lane, tmp_path: Path):
    """A hole of half an hour after two of its three minutes: the bar does not wait for its end."""
    past = history.invent(1, 5, {S: 71_000})
    kept = [bar for bar in past.minutes[S] if bar.start.hour != 10 or bar.start.minute % 3 != 2]
    holes = [bar for bar in kept if bar.start.hour != 10 or not 11 <= bar.start.minute < 45]
    strategy = Clocked()
    settings = SETTINGS.model_copy(update={"bar_minutes": 3})
    run(settings, strategy, history.History({S: holes}, bases=past.bases), Options(lane=lane), tmp_path / "x")  # fmt: skip
    assert len(strategy.late) > 100 and set(strategy.late[:-1]) == {0.0}


def test_bars_with_volume_beyond_the_four_points_stay_whole(tmp_path: Path):
    """One share a minute shows four prices; both lanes count it alike."""
    past = history.invent(1, 5, {S: 71_000})
    thin = [replace(bar, volume=1) for bar in past.minutes[S]]
    digests = {
        run(
            SETTINGS, bot.load_strategy("breakout", {}), history.History({S: thin}, bases=past.bases),
            Options(lane=lane), tmp_path / lane,
        ).digest
        for lane in ("thin", "exact")
    }  # fmt: skip
    assert len(digests) == 1


# --- splits ------------------------------------------------------------------------------


def two_days(factor: float) -> history.History:
    """Return a quiet day at 70,000, and the next day in another scale."""
    first = bars_of(*[FLAT] * 30).minutes[S]
    scaled = [
        replace(
            bar, start=bar.start + timedelta(days=1), end=bar.end + timedelta(days=1),
            **dict.fromkeys(("open", "high", "low", "close"), round(70_000 * factor)),
        )
        for bar in first
    ]  # fmt: skip
    factors = {S: {DAY + timedelta(days=1): factor}}
    return history.History({S: [*first, *scaled]}, bases={S: 70_000}, factors=factors)


@pytest.mark.parametrize(("factor", "shares"), [(0.2, 50), (0.9, 10), (2.0, 5)])
def test_an_ex_day_moves_prices_shares_and_stops_but_sells_nothing(factor, shares, tmp_path: Path):
    """A split of one into five: five times the shares; the stop of the old scale sells nothing."""
    settings = SETTINGS.model_copy(update={"flat_at": None})
    strategy = Once(70_200, bot.ExitPlan(69_000))
    result = run(settings, strategy, two_days(factor), Options(), tmp_path / "x")
    assert result.differences == ()
    [held] = result.report.open
    assert held.quantity == shares and not result.report.trips
    assert held.stop_price == pytest.approx(69_000 * factor, rel=0.002)
    assert any("prices x" in note for note in result.notes)


def test_closed_days_are_shown_in_the_scale_that_was_known(tmp_path: Path):
    """Before the ex-day nobody sees its factor; on it the days before are rescaled."""
    seen = {}

    class Looks(bot.TradingStrategy):
        """Notes the closes of the days it is shown."""

        past_days = 5

        def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> None:
            """Look once a day."""
            days = [b.close for b in view.bars if b.end - b.start > timedelta(hours=4)]
            seen.setdefault(view.session.day, days)

    past = two_days(0.2)
    last = DAY + timedelta(days=2)
    third = [replace(b, start=b.start + timedelta(days=1), end=b.end + timedelta(days=1))
             for b in past.minutes[S] if b.start.date() > DAY]  # fmt: skip
    past.minutes[S] += third
    settings = SETTINGS.model_copy(update={"flat_at": None})
    run(settings, Looks(), past, Options(), tmp_path / "x")
    assert seen == {DAY: [], DAY + timedelta(days=1): [14_000], last: [14_000, 14_000]}
