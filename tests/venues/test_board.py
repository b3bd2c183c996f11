"""The board: what is shown, and above all what is not; alerts against a plain model."""

import random
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from venue_stage import told_by_model

from venues.board import Board
from venues.common import FeedChange, VQuote, VTicker
from venues.kimchi import AlertRule, CoinAlert, News
from venues.settings import KimchiSettings, VenueSettings

RULE = AlertRule(Decimal(5), Decimal(-3), hold_s=3, cooldown_s=40, silent_s=20)
COINS = ("BTC", "ETH", "XRP", "SOL")


class HandClock:
    """Time that a test moves."""

    def __init__(self):
        self.ms = 1_000_000

    def wall_ms(self):
        return self.ms

    def mono_ns(self):
        return self.ms * 1_000_000


def fill(board, clock, venue, dollars=100, rate=1_400):
    """Let a venue say a price of every symbol."""
    symbols = {
        "upbit": [f"KRW-{c}" for c in (*COINS, "USDT")],
        "binance": [f"{c}USDT" for c in COINS],
    }
    for symbol in symbols[venue]:
        price = Decimal(
            rate if symbol == "KRW-USDT" else dollars * (1_400 if venue == "upbit" else 1)
        )
        stamp = clock.ms if venue == "upbit" else None
        board.take(
            VQuote(venue, symbol, price, Decimal(1), price, Decimal(1), stamp, clock.mono_ns())
        )


def test_no_stale_figure_over_a_thousand_cuts():
    """A figure is shown exactly when both lines are up and spoke within 15 s."""
    rng, clock = random.Random(5), HandClock()
    board = Board(VenueSettings(), clock)
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


STEPS = st.lists(
    st.tuples(st.sampled_from([None, -5, -4, -3, -2, 0, 4, 5, 6, 7]), st.integers(1, 12)),
    max_size=40,
)


@given(STEPS, st.integers(0, 4), st.sampled_from([0, 7, 60]))
def test_no_alert_is_missed_or_doubled(steps, hold_s, repeat_s):
    """The machine tells what a plain look back over the seconds tells, at the same second."""
    rule = replace(RULE, hold_s=hold_s, repeat_s=repeat_s)
    values = [
        None if p is None else Fraction(p, 100) for p, seconds in steps for _ in range(seconds)
    ]
    coin = CoinAlert(rule)
    told = ((at, coin.second(at, value)) for at, value in enumerate(values))
    assert told_by_model(values, rule) == [(at, news) for at, each in told for news in each]


def board_of(clock, **kimchi):
    """Return a board of settings, both venues quoted at 1,400 won a dollar and no premium."""
    board = Board(VenueSettings(kimchi=KimchiSettings(**kimchi)), clock)
    for venue in ("upbit", "binance"):
        fill(board, clock, venue)
    return board


def say_rate(board, clock, won):
    """Let Upbit say a new KRW-USDT."""
    price = Decimal(won)
    quote = VQuote(
        "upbit", "KRW-USDT", price, Decimal(1), price, Decimal(1), clock.ms, clock.mono_ns()
    )
    board.take(quote)


def test_a_jump_of_the_rate_is_held_until_it_stands():
    """4 % at once hides every figure for a minute; back at the old rate, it is believed at once."""
    clock = HandClock()
    board = board_of(clock)
    assert board.state("BTC")[1] == ""
    say_rate(board, clock, 1_456)
    assert board.state("BTC") == (None, "held")
    clock.ms += 5_000
    say_rate(board, clock, 1_400)
    assert board.state("BTC")[1] == ""
    say_rate(board, clock, 1_456)
    for seconds in range(1, 61):
        assert board.state("BTC") == (None, "held"), seconds
        clock.ms += 1_000
        for venue in ("upbit", "binance"):
            fill(board, clock, venue, rate=1_456)
    assert board.state("BTC")[1] == ""


def test_a_coin_that_begins_with_a_third_is_parked_until_its_owner_confirms_it():
    """31 % at first sight is another coin of the same name; named in the settings it is shown."""
    clock = HandClock()
    for confirmed, why in (((), "parked"), (("BTC",), "")):
        board = Board(VenueSettings(kimchi=KimchiSettings(confirmed=confirmed)), clock)
        fill(board, clock, "upbit", dollars=131)
        fill(board, clock, "binance")
        assert board.state("BTC")[1] == why
    board = board_of(clock)
    assert board.state("BTC")[1] == ""  # sound at first sight
    fill(board, clock, "upbit", dollars=131)
    assert board.state("BTC")[1] == ""


def ticker(venue, symbol, clock, trading):
    """Return a ticker of a market."""
    one = Decimal(1)
    return VTicker(
        venue, symbol, one, clock.ms, None, one, one, one, one, one, clock.mono_ns(), trading
    )


def test_a_halted_market_gives_no_figure_and_no_alert():
    """Halted by its stream or by a list, at either side: neither figure nor alert, until it ends."""
    clock = HandClock()
    board = board_of(clock, high_pct=Decimal(-1), low_pct=Decimal(-20), hold_s=0, cooldown_s=0)
    board.take(ticker("upbit", "KRW-BTC", clock, trading=False))
    board.listed("binance", frozenset({"ETHUSDT"}))
    assert [board.state(coin)[1] for coin in COINS] == ["halted", "halted", "", ""]
    assert board.second(1) == [("XRP", News.HIGH), ("SOL", News.HIGH)]
    board.take(ticker("upbit", "KRW-BTC", clock, trading=True))
    board.listed("binance", frozenset())
    assert board.second(2) == [("BTC", News.HIGH), ("ETH", News.HIGH)]


def test_a_line_that_went_down_leaves_nothing_it_said():
    """Neither a price nor a halt outlives the connection; what the other venue said stays."""
    clock = HandClock()
    board = board_of(clock)
    for venue in ("upbit", "binance"):
        fill(board, clock, venue)
        board.take(
            ticker(venue, {"upbit": "KRW-BTC", "binance": "ETHUSDT"}[venue], clock, trading=False)
        )
    assert (board.halted("BTC"), board.halted("ETH")) == (True, True)
    board.changed(FeedChange("upbit", "upbit market", False, "cut"))
    assert (board.halted("BTC"), board.halted("ETH")) == (False, True)
    assert board.state("BTC") == (None, "stale")


def test_one_message_tells_all_coins_of_a_second():
    """Which premium, both prices in won and the rate; natural in both languages."""
    clock = HandClock()
    board = board_of(clock, high_pct=Decimal(-1), low_pct=Decimal(-20), hold_s=0)
    news = board.second(1)
    korean, english = (board.text_of(news, language) for language in ("ko", "en"))
    assert korean.count("높음") == english.count("high") == 4
    assert "BTC +0.00% 높음 (테더 기준)\n  업비트 140,000원 · 바이낸스 140,000원" in korean
    assert "KRW-USDT 1,400.0" in english


def test_an_old_bank_rate_gives_no_premium():
    """26 hours on weekdays, 80 over a weekend; never from the future."""
    clock = HandClock()
    from datetime import UTC, datetime, timedelta

    from venues.settings import BankRate

    def at(day, hours):
        clock.ms = (
            int((datetime(2026, 11, day, 9, tzinfo=UTC) + timedelta(hours=hours)).timestamp())
            * 1_000
        )
        rate = BankRate(source="bank", krw=1_400, at=datetime(2026, 11, day, 9, tzinfo=UTC))
        board = Board(VenueSettings(bank_rates=(rate,)), clock)
        for venue in ("upbit", "binance"):
            fill(board, clock, venue)
        return board.figures("BTC").fx is not None

    assert [at(25, hours) for hours in (-1, 0, 26, 27)] == [False, True, True, False]  # Wednesday
    assert [at(27, hours) for hours in (27, 80, 81)] == [True, True, False]  # Friday
