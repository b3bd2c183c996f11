"""The board: what is shown, and above all what is not; alerts against a plain model."""

import random
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from venues.cli import COINS, Board
from venues.common import FeedChange, VQuote
from venues.kimchi import AlertRule, CoinAlert, Zone

RULE = AlertRule(Decimal(5), Decimal(-3), hold_s=3, cooldown_s=40)


class HandClock:
    """Time that a test moves."""

    def __init__(self):
        self.ms = 1_000_000

    def wall_ms(self):
        return self.ms

    def mono_ns(self):
        return self.ms * 1_000_000


def fill(board, clock, venue, dollars=100):
    """Let a venue say a price of every symbol."""
    symbols = {
        "upbit": [f"KRW-{c}" for c in (*COINS, "USDT")],
        "binance": [f"{c}USDT" for c in COINS],
    }
    for symbol in symbols[venue]:
        price = Decimal(
            1_400 if symbol == "KRW-USDT" else dollars * (1_400 if venue == "upbit" else 1)
        )
        stamp = clock.ms if venue == "upbit" else None
        board.take(
            VQuote(venue, symbol, price, Decimal(1), price, Decimal(1), stamp, clock.mono_ns())
        )


def test_no_stale_figure_over_a_thousand_cuts():
    """A figure is shown exactly when both lines are up and spoke within 15 s."""
    rng, clock = random.Random(5), HandClock()
    board = Board(RULE, clock)
    spoke = {"upbit": None, "binance": None}
    for _ in range(1_000):
        venue = rng.choice(["upbit", "binance"])
        if rng.random() < 0.3:
            board.changed(FeedChange(venue, "l", False, "cut"))
            spoke[venue] = None
        else:
            fill(board, clock, venue)
            spoke[venue] = clock.ms
        clock.ms += rng.choice([1, 1_000, 9_000, 20_000])
        fresh = all(at is not None and clock.ms - at <= 15_000 for at in spoke.values())
        assert fresh == (board.figures("BTC") is not None) == board.complete()


def model(values):
    """Tell the alerts in the plainest way: look back over the last seconds each second."""
    zone = told = Zone.NORMAL
    last, heard = {}, []
    for at, value in enumerate(values):
        back = values[max(0, at - RULE.hold_s) : at + 1]
        zones = [None if v is None else RULE.wanted(zone, v) for v in back]
        if len(back) == RULE.hold_s + 1 and len(set(zones)) == 1 and zones[0] is not None:
            zone = zones[0]
        if value is None or zone is told:
            continue
        if zone is not Zone.NORMAL:
            if zone in last and at - last[zone] < RULE.cooldown_s:
                continue
            last[zone] = at
        told = zone
        heard.append((at, zone))
    return heard


STEPS = st.lists(
    st.tuples(st.sampled_from([None, -4, -3, -2, 0, 4, 5, 6]), st.integers(1, 12)), max_size=40
)


@given(STEPS)
def test_no_alert_is_missed_or_doubled(steps):
    """The machine tells what a plain look back over the seconds tells, at the same second."""
    values = [
        None if p is None else Fraction(p, 100) for p, seconds in steps for _ in range(seconds)
    ]
    coin = CoinAlert(RULE)
    told = ((at, coin.second(at, value)) for at, value in enumerate(values))
    assert model(values) == [(at, zone) for at, zone in told if zone]
