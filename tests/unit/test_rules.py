"""Market rules: tick sizes, price band, sessions, trading days, fees and taxes."""

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import edge
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kis_realtime_trading as bot

STOCK_BORDERS = [2_000, 5_000, 20_000, 50_000, 200_000, 500_000]
prices = st.integers(1, 3_000_000) | st.sampled_from(
    [border + offset for border in STOCK_BORDERS for offset in (-1, 0, 1)]
)


def at(day, text):
    """Return market time of a day."""
    return datetime.combine(day, time.fromisoformat(text), bot.KST)


# --- tick sizes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "stock", "fund"),
    [  # reference 7.3
        (1, 1, 1), (1_999, 1, 1), (2_000, 5, 5), (4_999, 5, 5), (5_000, 10, 5), (19_999, 10, 5),
        (20_000, 50, 5), (49_999, 50, 5), (50_000, 100, 5), (199_999, 100, 5), (200_000, 500, 5),
        (499_999, 500, 5), (500_000, 1_000, 5), (2_000_000, 1_000, 5),
    ],
)  # fmt: skip
def test_tick_size_on_both_sides_of_every_border(price, stock, fund):
    """A border belongs to the band above it; ETF and ETN have two bands only."""
    assert (bot.tick_size(price, False), bot.tick_size(price, True)) == (stock, fund)


@pytest.mark.parametrize(
    ("price", "up", "expected"),
    [
        (1_999.2, True, 2_000), (1_999.2, False, 1_999), (2_001, False, 2_000), (2_001, True, 2_005),
        (4_999, True, 5_000), (4_999, False, 4_995), (19_995, True, 20_000), (20_049, False, 20_000),
        (49_951, True, 50_000), (50_149, False, 50_100), (199_901, True, 200_000),
        (200_499, False, 200_000), (499_501, True, 500_000), (500_999, False, 500_000),
        (71_900, True, 71_900), (71_900, False, 71_900), (71_900.0001, True, 72_000),
    ],
)  # fmt: skip
def test_rounding_at_the_borders(price, up, expected):
    """Rounding ends on a valid price of the band where it ends."""
    assert bot.round_to_tick(price, False, up) == expected


@given(prices | st.floats(1, 3_000_000), st.booleans(), st.booleans())
def test_rounding_gives_the_nearest_valid_price_and_never_the_wrong_way(price, fund, up):
    """Valid tick, in the stated direction, less than a tick away; a valid price stays."""
    rounded = bot.round_to_tick(price, fund, up)
    assert bot.is_valid_tick(rounded, fund)
    assert rounded >= price if up else rounded <= price
    assert abs(rounded - price) < bot.tick_size(int(price), fund)
    assert bot.round_to_tick(rounded, fund, up) == rounded


@pytest.mark.parametrize("price", [0, 0.9, -5, -70_000, float("nan"), float("inf")])
def test_no_price_is_made_of_nothing(price):
    """Rounding down to nothing, or what is no number, is BadData, never a price of 0."""
    with pytest.raises(bot.BadData):
        bot.round_to_tick(price, False, up=False)


@pytest.mark.parametrize(
    ("price", "valid"), [(0, False), (-100, False), (71_900, True), (71_950, False)]
)
def test_valid_ticks(price, valid):
    """Only positive multiples of the tick of their band are prices."""
    assert bot.is_valid_tick(price, False) is valid


@pytest.mark.parametrize(
    ("price", "steps", "expected"),
    [(1_999, 1, 2_000), (2_000, 1, 2_005), (2_000, -1, 1_999), (2_005, -2, 1_999), (49_950, 2, 50_100),
     (50_000, -1, 49_950), (500_000, -1, 499_500), (71_900, 0, 71_900)],
)  # fmt: skip
def test_steps_across_a_border_use_the_tick_of_the_new_price(price, steps, expected):
    """A step over a border is as long as the band that it ends in says."""
    assert bot.step_ticks(price, False, steps) == expected


@given(prices, st.booleans(), st.integers(1, 30))
def test_steps_up_and_down_lead_back(price, fund, steps):
    """So many ticks up and as many down end where they began."""
    start = bot.round_to_tick(price, fund, up=True)
    assert bot.step_ticks(bot.step_ticks(start, fund, steps), fund, -steps) == start


# --- price band -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "fund", "expected"),
    [
        (72_000, False, (50_400, 93_600)),
        (10_000, False, (7_000, 13_000)),
        (1_999, False, (1_400, 2_595)),  # 1,399.3 and 2,598.7: towards the base price
        (3_845, False, (2_695, 4_995)),  # 2,691.5 and 4,998.5
        (3_850, False, (2_695, 5_000)),  # 5,005 is in the band of 10
        (71_900, False, (50_400, 93_400)),  # 50,330 and 93,470
        (10_005, True, (7_005, 13_005)),  # 7,003.5 and 13,006.5
        (1, False, (1, 1)),
    ],
)
def test_price_band_golden_cases(base, fund, expected):
    """30 per cent of the base price, rounded towards it by the tick of the limit."""
    assert edge.price_band(base, fund) == expected


@given(prices, st.booleans())
def test_the_band_holds_valid_prices_within_thirty_per_cent(base, fund):
    """Both limits are orders that the exchange takes; one tick further would not be."""
    lower, upper = edge.price_band(base, fund)
    assert bot.is_valid_tick(lower, fund)
    assert bot.is_valid_tick(upper, fund)
    assert lower * 100 >= base * 70
    assert upper * 100 <= base * 130
    assert bot.step_ticks(upper, fund, 1) * 100 > base * 130


@given(prices, st.booleans(), st.booleans(), st.integers(0, 10_000))
def test_rounding_inside_the_band_stays_inside(base, fund, up, share):
    """A price between the limits, rounded either way, does not cross them."""
    lower, upper = edge.price_band(base, fund)
    price = lower + (upper - lower) * share / 10_000
    assert lower <= bot.round_to_tick(price, fund, up) <= upper


@given(
    prices, st.booleans(), st.sampled_from(bot.Side), st.booleans(),
    st.integers(0, 10_000) | st.sampled_from(STOCK_BORDERS), st.sampled_from([0, 0.25, -0.25, 1, -1]),
)  # fmt: skip
def test_a_rounded_price_is_an_order_the_exchange_takes(base, fund, side, passive, where, beside):
    """Any band, product, side and direction: a valid tick in the band, never the wrong way.

    Passive is down for a buy and up for a sell; aggressive is the other way round.
    """
    lower, upper = edge.price_band(base, fund)
    price = where if where > 10_000 else lower + (upper - lower) * where / 10_000
    price = min(max(price + beside, lower), upper)
    up = (side is bot.Side.BUY) is not passive
    rounded = bot.round_to_tick(price, fund, up)
    assert type(rounded) is int and lower <= rounded <= upper
    assert bot.is_valid_tick(rounded, fund)
    assert rounded >= price if up else rounded <= price
    between = (
        range(rounded - 1, math.ceil(price) - 1, -1)
        if up
        else range(rounded + 1, math.floor(price) + 1)
    )
    assert not any(bot.is_valid_tick(each, fund) for each in between), "not the nearest"


# --- days -------------------------------------------------------------------------------


@pytest.mark.parametrize("year", sorted(bot.CLOSED_DAYS))
def test_closed_days_are_weekdays_in_order_and_once(year):
    """The table lists real dates, rising, each once, no weekend."""
    texts = bot.CLOSED_DAYS[year].split()
    days = [date(year, int(text[:2]), int(text[2:])) for text in texts]
    assert days == sorted(set(days))
    assert all(day.weekday() < 5 for day in days)


def test_the_calendar_ends_where_the_tables_end():
    """CALENDAR_END, closed days, exam days and tax rates cover the same years."""
    assert date(max(bot.CLOSED_DAYS), 12, 31) == bot.CALENDAR_END
    assert sorted(day.year for day in bot.EXAM_DAYS) == sorted(bot.CLOSED_DAYS)
    assert set(bot.CLOSED_DAYS) <= set(bot.SELL_TAX)


@pytest.mark.parametrize("day", [date(2022, 12, 30), date(2028, 1, 3)])
def test_a_year_without_a_table_is_refused(day):
    """A day is never guessed to be open."""
    with pytest.raises(bot.BadData):
        bot.is_trading_day(day)


@pytest.mark.parametrize(
    ("day", "following", "previous"),
    [
        (date(2026, 11, 20), date(2026, 11, 23), date(2026, 11, 19)),  # a Friday
        (date(2026, 12, 30), None, date(2026, 12, 29)),
        (date(2025, 12, 30), date(2026, 1, 2), date(2025, 12, 29)),  # year end
        (date(2025, 10, 2), date(2025, 10, 10), date(2025, 10, 1)),  # a week of Chuseok
        (date(2026, 2, 14), date(2026, 2, 19), date(2026, 2, 13)),  # Saturday before Seollal
    ],
)
def test_next_and_previous_trading_day(day, following, previous):
    """Weekends, holidays and the last business day of the year are stepped over."""
    assert bot.previous_trading_day(day) == previous
    assert following is None or bot.next_trading_day(day) == following


def test_trading_days_are_counted():
    """Two trading days after a Thursday before Chuseok is the Monday after it."""
    assert bot.next_trading_day(date(2025, 10, 2), 2) == date(2025, 10, 13)
    assert bot.next_trading_day(date(2025, 10, 4), 0) == date(2025, 10, 4)


@given(st.dates(date(2023, 1, 10), date(2027, 12, 20)))
def test_next_and_previous_trading_day_undo_each_other(day):
    """Nothing lies between a trading day and the next one."""
    following = bot.next_trading_day(day)
    assert bot.is_trading_day(following)
    assert not any(
        bot.is_trading_day(day + timedelta(days=n)) for n in range(1, (following - day).days)
    )
    assert bot.previous_trading_day(following) == (
        day if bot.is_trading_day(day) else bot.previous_trading_day(day)
    )


# --- sessions ---------------------------------------------------------------------------

NORMAL, FIRST, EXAM = date(2026, 11, 20), date(2026, 1, 2), date(2026, 11, 19)


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        (NORMAL, "09:00", "15:30"),
        (FIRST, "10:00", "15:30"),
        (date(2024, 1, 2), "10:00", "15:30"),
        (date(2025, 1, 2), "10:00", "15:30"),
        (date(2027, 1, 4), "10:00", "15:30"),  # the 2nd is a Saturday
        (date(2026, 1, 5), "09:00", "15:30"),  # the second trading day
        (date(2026, 2, 2), "09:00", "15:30"),  # first of a month that is not January
        (EXAM, "10:00", "16:30"),
        (date(2025, 11, 13), "10:00", "16:30"),
        (date(2024, 11, 14), "10:00", "16:30"),
        (date(2026, 12, 30), "09:00", "15:30"),  # the last day of a year is a normal one
    ],
)
def test_sessions_of_normal_and_special_days(day, opens, closes):
    """First trading day of a year opens at 10:00; on exam day everything is an hour later."""
    assert bot.session_of(day) == bot.Session(day, at(day, opens), at(day, closes))


@pytest.mark.parametrize(
    "day", [date(2026, 11, 21), date(2026, 11, 22), date(2026, 12, 25), date(2026, 12, 31), date(2027, 1, 1)]
)  # fmt: skip
def test_no_session_on_closed_days(day):
    """Weekends, holidays, 31 December."""
    assert bot.session_of(day) is None


P = bot.Phase


@pytest.mark.parametrize(
    ("day", "text", "phase"),
    [
        (NORMAL, "08:29:59", P.CLOSED), (NORMAL, "08:30", P.OPENING_AUCTION),
        (NORMAL, "08:59:59.999999", P.OPENING_AUCTION), (NORMAL, "09:00", P.CONTINUOUS),
        (NORMAL, "15:19:59", P.CONTINUOUS), (NORMAL, "15:20", P.CLOSING_AUCTION),
        (NORMAL, "15:29:59", P.CLOSING_AUCTION), (NORMAL, "15:30", P.AFTER),
        (NORMAL, "23:59", P.AFTER), (NORMAL, "00:00", P.CLOSED),
        (FIRST, "09:29", P.CLOSED), (FIRST, "09:59", P.OPENING_AUCTION), (FIRST, "10:00", P.CONTINUOUS),
        (FIRST, "15:20", P.CLOSING_AUCTION),
        (EXAM, "09:30", P.OPENING_AUCTION), (EXAM, "10:00", P.CONTINUOUS),
        (EXAM, "15:30", P.CONTINUOUS), (EXAM, "16:20", P.CLOSING_AUCTION), (EXAM, "16:30", P.AFTER),
    ],
)  # fmt: skip
def test_phases_begin_and_end_on_the_second(day, text, phase):
    """Each phase holds its first moment and not its last."""
    assert bot.session_of(day).phase(at(day, text)) is phase


def test_phase_knows_the_hour_in_korea_whatever_the_zone_of_the_time():
    """A time in another zone means the same moment."""
    moment = datetime.fromisoformat("2026-11-20T00:30:00+00:00")
    assert bot.session_of(NORMAL).phase(moment) is P.CONTINUOUS


# --- fees and taxes ---------------------------------------------------------------------

STOCK_FEE, FUND_FEE = Decimal("0.0140527"), Decimal("0.0146527")


@pytest.mark.parametrize(
    ("amount", "rate", "expected"),
    [
        (0, STOCK_FEE, 0),
        (995_000, STOCK_FEE, 140),  # 139.82
        (700_000, STOCK_FEE, 98),  # 98.37
        (710_000, STOCK_FEE, 100),  # 99.77
        (710_000, FUND_FEE, 104),  # 104.03
        (100_000_000, STOCK_FEE, 14_053),  # 14,052.7
        (5_000, Decimal("0.01"), 1),  # 0.5: half is rounded up
        (4_999, Decimal("0.01"), 0),
        (1_000_000, Decimal("0"), 0),
    ],
)
def test_fee_golden_cases(amount, rate, expected):
    """A per cent rate of the amount, half a won up."""
    assert bot.order_fee(amount, rate) == expected


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=5))
def test_the_fee_of_an_order_does_not_depend_on_its_fills(amounts):
    """Differences of cumulative fees add up to the fee of the whole."""
    paid = total = 0
    for amount in amounts:
        paid += bot.order_fee(total + amount, STOCK_FEE) - bot.order_fee(total, STOCK_FEE)
        total += amount
    assert paid == bot.order_fee(sum(amounts), STOCK_FEE)


@pytest.mark.parametrize(
    ("day", "market", "expected"),
    [  # of a sell of 1,234,567 won; each part cut to the won
        (date(2023, 6, 12), "KOSPI", 2_468),  # 0.05 % 617.28, 0.15 % 1,851.85
        (date(2023, 6, 12), "KOSDAQ", 2_469),  # 0.20 % 2,469.13
        (date(2024, 6, 12), "KOSPI", 2_221),  # 0.03 % 370.37, 0.15 % 1,851.85
        (date(2024, 6, 12), "KOSDAQ", 2_222),  # 0.18 % 2,222.22
        (date(2025, 6, 12), "KOSPI", 1_851),  # 0 %, 0.15 % 1,851.85
        (date(2025, 6, 12), "KOSDAQ", 1_851),  # 0.15 %
        (date(2026, 6, 12), "KOSPI", 2_468),
        (date(2026, 6, 12), "KOSDAQ", 2_469),
        # the year of the settlement decides, two trading days later
        (date(2023, 12, 26), "KOSDAQ", 2_469),  # settled 12-28
        (date(2023, 12, 27), "KOSDAQ", 2_222),  # settled 2024-01-02
        (date(2024, 12, 26), "KOSPI", 2_221),  # settled 12-30
        (date(2024, 12, 27), "KOSPI", 1_851),  # settled 2025-01-02
        (date(2024, 12, 30), "KOSPI", 1_851),  # settled 2025-01-03
        (date(2025, 12, 26), "KOSDAQ", 1_851),  # settled 12-30
        (date(2025, 12, 29), "KOSDAQ", 2_469),  # settled 2026-01-02
        (date(2025, 12, 30), "KOSDAQ", 2_469),  # settled 2026-01-05
        (date(2026, 12, 29), "KOSPI", 2_468),  # settled 2027-01-04
    ],
)
def test_sell_tax_golden_cases(day, market, expected):
    """KOSPI pays transaction and rural tax, KOSDAQ one rate; sells late in a year pay the next's."""
    assert bot.sell_tax(1_234_567, market, False, day) == expected


@given(st.dates(date(2023, 1, 1), date(2027, 12, 28)))
def test_the_year_of_settlement_is_that_of_the_second_trading_day(day):
    """Counted in the old year only, it is the same as by the calendar of both."""
    assert bot.settlement_year(day) == bot.next_trading_day(day, 2).year


@pytest.mark.parametrize("market", ["KOSPI", "KOSDAQ"])
def test_funds_pay_no_sell_tax(market):
    """ETF and ETN are exempt."""
    assert bot.sell_tax(1_234_567, market, True, date(2026, 6, 12)) == 0


@pytest.mark.parametrize("amount", [0, 1, 99])
def test_tax_of_small_amounts_is_cut_to_the_won(amount):
    """Below a won of tax nothing is due."""
    assert bot.sell_tax(amount, "KOSPI", False, date(2026, 6, 12)) == 0


@pytest.mark.parametrize("day", [date(2027, 12, 29), date(2027, 12, 30)])
def test_sells_on_every_day_of_the_calendar_can_be_taxed(day):
    """A fill that cannot be booked would stop the bot with a position half booked."""
    assert bot.is_trading_day(day)
    assert bot.sell_tax(1_000_000, "KOSPI", False, day) == 2_000
