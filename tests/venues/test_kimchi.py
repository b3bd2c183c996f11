"""The premium and its alerts: values in, values out."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from venues.common import VQuote
from venues.kimchi import JUMP, AlertRule, CoinAlert, News, _near, premium, usable

RULE = AlertRule(Decimal(5), Decimal(-3))


def quote(bid, ask, ts_ms=None, seen_ns=0):
    """Return a quote of size one."""
    return VQuote("v", "s", Decimal(bid), Decimal(1), Decimal(ask), Decimal(1), ts_ms, seen_ns)


def heard(coin, values, start=0):
    """Return what is told over some seconds: (second, news)."""
    told = ((at, coin.second(at, value)) for at, value in enumerate(values, start))
    return [(at, news) for at, each in told for news in each]


def test_the_premium_is_of_the_middles_and_exact():
    """The worked example of the docstring; an impossible rate gives no figure."""
    legs = quote(100_500, 101_500), quote(69, 71)
    assert Fraction(101_000, 98_000) - 1 == premium(*legs, Fraction(1_400))
    assert premium(*legs, Fraction(14)) is None


def test_an_old_leg_is_not_used():
    """Old by arrival, old by the exchange, ahead of us: each is enough."""
    now_ms, now_ns = 100_000, 100_000 * 10**6
    assert usable(quote(1, 2, 99_000, now_ns), now_ms, now_ns)
    assert not usable(quote(1, 2, 99_000, now_ns - 16 * 10**9), now_ms, now_ns)
    assert not usable(quote(1, 2, 80_000, now_ns), now_ms, now_ns)
    assert not usable(quote(1, 2, 106_000, now_ns), now_ms, now_ns)
    assert not usable(None, now_ms, now_ns)


def test_an_alert_needs_its_hold_and_is_told_once():
    """Ten seconds above tell it once; nine do not."""
    six = Fraction(6, 100)
    assert heard(CoinAlert(RULE), [six] * 10 + [Fraction(0)] * 30) == []
    assert heard(CoinAlert(RULE), [six] * 60) == [(10, News.HIGH)]


def test_hysteresis_keeps_a_zone():
    """4.6 per cent is still high after 6; 4.5 is normal again, and that is told."""
    values = [Fraction(6, 100)] * 11 + [Fraction(46, 1000)] * 30 + [Fraction(45, 1000)] * 11
    assert heard(CoinAlert(RULE), values) == [(10, News.HIGH), (51, News.NORMAL)]


def test_the_same_side_waits_for_its_cooldown():
    """Back above at once: held back, told when the time is over and it still stands."""
    values = [Fraction(6, 100)] * 11 + [Fraction(0)] * 11 + [Fraction(6, 100)] * 1_000
    told = heard(CoinAlert(RULE), values)
    assert told == [(10, News.HIGH), (21, News.NORMAL), (910, News.HIGH)]


def test_a_gap_is_no_evidence():
    """A second without data starts the hold anew and changes nothing else."""
    values = [Fraction(6, 100)] * 9 + [None] + [Fraction(6, 100)] * 9
    assert heard(CoinAlert(RULE), values) == []


def test_it_is_told_again_each_hour_while_it_stands():
    """Once at its begin, then each repeat_s; 0 means once."""
    values = [Fraction(6, 100)] * 8_000
    assert [at for at, _ in heard(CoinAlert(RULE), values)] == [10, 3610, 7210]
    once = AlertRule(Decimal(5), Decimal(-3), repeat_s=0)
    assert [at for at, _ in heard(CoinAlert(once), values)] == [10]


def test_a_step_further_is_told_within_the_cooldown():
    """6 %, then 7.0 % for its hold: told again at once; 6.9 % is not."""
    values = [Fraction(6, 100)] * 20 + [Fraction(69, 1000)] * 20 + [Fraction(7, 100)] * 20
    assert heard(CoinAlert(RULE), values) == [(10, News.HIGH), (50, News.HIGH)]


def test_silence_and_return_are_told_once():
    """Two minutes without a figure, then one again."""
    values = [Fraction(0)] * 5 + [None] * 500 + [Fraction(0)] * 5
    assert heard(CoinAlert(RULE), values) == [(125, News.SILENT), (505, News.BACK)]


def test_what_nobody_saw_does_not_count_as_held():
    """A process that slept six seconds begins the hold anew, of a zone and of a step; five seconds are a slow moment."""
    six, seven = Fraction(6, 100), Fraction(7, 100)
    for gap, first in ((5, 11), (6, 21)):
        coin = CoinAlert(RULE)
        seconds = [*range(1, 6), *range(5 + gap, 60)]
        assert [at for at in seconds if coin.second(at, six)] == [first]
        further = [*range(60, 65), *range(64 + gap, 90)]
        assert [at for at in further if coin.second(at, seven)] == [59 + first]


@given(
    st.fractions(Fraction(1, 1000), 10**7),
    st.fractions(Fraction(1, 1000), 10**7),
    st.sampled_from([97, 100, 103]),
)
def test_a_jump_is_three_parts_of_a_hundred_to_the_last_digit(one, factor, hundredths):
    """Counted in whole numbers: the same as the quotient says, at the border and beside it."""
    for other in (factor, one * hundredths / 100, one * hundredths / 100 + Fraction(1, 10**12)):
        assert _near(other, one) is (abs(other / one - 1) <= JUMP)
        assert _near(one, other) is (abs(one / other - 1) <= JUMP)
