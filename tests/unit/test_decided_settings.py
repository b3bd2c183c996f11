"""Every setting, written down a second time: what it is when nobody says, and how far it may go.

Also the words and small rules of the data types, each by a plain second reading.
"""

import itertools
import json
import math
from datetime import datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import kis_realtime_trading as bot

NEEDED = object()
NOW = datetime(2026, 11, 20, 10, tzinfo=bot.KST)
# name -> default, lowest that is taken, highest that is taken (None: no bound)
LIMITS: dict[str, tuple[Any, Any, Any]] = {
    "max_order_krw": (NEEDED, 1, 100_000_000), "max_symbol_krw": (NEEDED, 1, 1_000_000_000),
    "max_total_krw": (NEEDED, 1, 1_000_000_000), "max_daily_loss_krw": (NEEDED, 1, 1_000_000_000),
    "max_daily_loss_pct": (3.0, 1e-9, 50.0), "max_drawdown_krw": (None, 1, None),
    "losses_in_a_row": (3, 1, 20), "losses_in_a_row_all": (5, 1, 50),
    "loss_pause_minutes": (30, 1, 390), "max_quantity": (1_000_000, 1, 1_000_000),
    "max_positions": (5, 1, 40), "max_orders_per_minute": (6, 1, 30),
    "max_orders_per_day": (100, 1, 2_000), "collar_pct": (3.0, 1e-9, 10.0),
    "max_data_age_s": (3.0, 0.5, 120.0), "max_quote_age_s": (5.0, 0.5, 120.0),
}  # fmt: skip
SECTION: dict[str, tuple[Any, Any, Any]] = {
    "bar_minutes": (5, 1, 60), "bar_lateness_s": (3.0, 0.0, 300.0),
    "entry_timeout_s": (30.0, 1.0, 3_600.0), "exit_step_s": (5.0, 1.0, 600.0),
    "stock_fee_pct": (Decimal("0.0140527"), Decimal(0), Decimal(1)),
    "fund_fee_pct": (Decimal("0.0146527"), Decimal(0), Decimal(1)),
    "rest_calls_per_second": (None, 1e-9, 1_000_000.0), "record_days": (30, 1, 3_650),
    "record_max_mb": (2_000, 10, 1_000_000),
}  # fmt: skip
CLOCK: dict[str, tuple[Any, Any, Any]] = {"speed": (1.0, 1e-9, 5_000.0)}
# name -> default and the words that are taken
WORDS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "mode": ("paper", ("paper", "live")), "language": ("ko", ("ko", "en")),
    "on_stop": ("cancel", ("cancel", "keep")), "on_corporate_action": ("hold", ("hold", "scale")),
}  # fmt: skip
PLAIN: dict[str, Any] = {
    "live_account_pin": "", "strategy": "breakout", "parameters": {}, "last_entry": time(14, 50),
    "flat_at": time(15, 12), "funds": (), "hashkey": False, "cma": False, "state_dir": "kis_state",
    "record": True, "telegram_api": "https://api.telegram.org", "telegram_users": (), "notify": {},
    "market_clock": None,
}  # fmt: skip
MONEY = {name: 1_000 for name in LIMITS if LIMITS[name][0] is NEEDED}
LEAST: dict[str, Any] = {"symbols": ["005930"], "limits": MONEY}


def limits_with(name: str, value: Any) -> bot.Limits:
    """Return limits with one of them chosen."""
    return bot.Limits.model_validate(MONEY | {name: value})


def section_with(name: str, value: Any) -> bot.BotSettings:
    """Return a section with one setting chosen."""
    return bot.BotSettings.model_validate(LEAST | {name: value})


def clock_with(name: str, value: Any) -> bot.ClockAnchor:
    """Return a clock of a simulator with one setting chosen."""
    usual = {"unix": 1.0, "market": "2026-11-20T08:50:00+09:00"}
    return bot.ClockAnchor.model_validate(usual | {name: value})


BOUNDED = [
    *((limits_with, bot.Limits, name, *row) for name, row in LIMITS.items()),
    *((section_with, bot.BotSettings, name, *row) for name, row in SECTION.items()),
    *((clock_with, bot.ClockAnchor, name, *row) for name, row in CLOCK.items()),
]


def step_of(value: Any) -> Any:
    """Return the smallest step that leaves a bound behind."""
    return 1 if isinstance(value, int) else type(value)("0.0001" if value < 1_000 else "1")


@pytest.mark.parametrize(("made", "kind", "name", "default", "low", "high"), BOUNDED)
def test_a_setting_is_taken_up_to_its_bounds_and_not_beyond(made, kind, name, default, low, high):
    """Both bounds belong to it, the next value outside does not; left out it is its default."""
    assert getattr(made(name, low), name) == low
    with pytest.raises(ValidationError):
        made(name, low - step_of(low))
    if high is not None:
        assert getattr(made(name, high), name) == high
        with pytest.raises(ValidationError):
            made(name, high + step_of(high))
    field = kind.model_fields[name]
    assert field.is_required() is (default is NEEDED)
    if default is not NEEDED:
        assert field.default == default and type(field.default) is type(default)


@pytest.mark.parametrize("name", WORDS)
def test_a_word_of_the_settings_is_one_of_those_written_down(name):
    """Each of them is taken, a near one is not, and the safe one is the default."""
    default, words = WORDS[name]
    assert getattr(bot.BotSettings.model_validate(LEAST), name) == default
    assert [getattr(section_with(name, word), name) for word in words] == list(words)
    with pytest.raises(ValidationError):
        section_with(name, words[0].upper())


def test_every_setting_that_nobody_chose_is_its_default():
    """No setting stands outside these tables: who adds one writes it down twice."""
    section = bot.BotSettings.model_validate(LEAST)
    assert {name: getattr(section, name) for name in PLAIN} == PLAIN
    assert [each.get_secret_value() for each in (section.webhook_url, section.heartbeat_url)] == [
        "", ""
    ]  # fmt: skip
    others = {"symbols", "limits", "webhook_url", "heartbeat_url"}
    assert set(bot.BotSettings.model_fields) == {*SECTION, *WORDS, *PLAIN, *others}
    assert set(bot.Limits.model_fields) == set(LIMITS)
    assert set(bot.ClockAnchor.model_fields) == {"unix", "market", "speed"}
    assert bot.DEFAULT_NOISE == {
        "entry": "on", "fill": "silent", "exit": "on", "refusal": "silent", "warning": "on",
        "start": "silent", "report": "on",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "most"), [("symbols", 20), ("telegram_users", 10)])
def test_a_list_holds_so_many_and_no_more(name, most):
    """Twenty stocks, ten persons; funds are bound by the stocks there are."""
    many = [f"{n:06d}" if name == "symbols" else n for n in range(most + 1)]
    assert len(getattr(section_with(name, many[:most]), name)) == most
    with pytest.raises(ValidationError):
        section_with(name, many)


def test_settings_are_frozen_and_know_no_other_key():
    """A limit that a strategy could move, or a mistyped one that is ignored, is no limit."""
    section = bot.BotSettings.model_validate(LEAST)
    for frozen, name in ((section, "mode"), (section.limits, "max_order_krw")):
        with pytest.raises(ValidationError):
            setattr(frozen, name, getattr(frozen, name))
    with pytest.raises(ValidationError):
        limits_with("max_order", 1)


@pytest.mark.parametrize(
    ("year", "taken"), [(1999, False), (2000, True), (2099, True), (2100, False)]
)
def test_a_clock_of_a_simulator_stands_in_this_century(year, taken):
    """A time with zone between 2000 and 2099; it is kept in Korean time."""
    text = f"{year}-06-01T00:00:00+00:00"
    if not taken:
        with pytest.raises(ValidationError):
            clock_with("market", text)
        return
    market = clock_with("market", text).market
    assert (market, market.utcoffset()) == (datetime.fromisoformat(text), timedelta(hours=9))


def test_the_environment_fills_the_keys_that_it_names():
    """Real names fill real keys, paper names paper ones."""
    assert bot.ENVIRONMENT_KEYS == {
        "KIS_APP_KEY_REAL": "my_app", "KIS_APP_SECRET_REAL": "my_sec",
        "KIS_APP_KEY_VIRTUAL": "paper_app", "KIS_APP_SECRET_VIRTUAL": "paper_sec",
        "KIS_ACCOUNT_NUMBER": "my_acct_stock", "KIS_VIRTUAL_ACCOUNT": "my_paper_stock",
        "KIS_HTS_ID": "my_htsid",
    }  # fmt: skip
    assert bot.TELEGRAM_KEYS == ("TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID")
    fields = bot.SettingsFile.model_fields
    assert {key: field.default for key, field in fields.items() if field.default} == {
        "prod": "https://openapi.koreainvestment.com:9443",
        "ops": "ws://ops.koreainvestment.com:21000",
        "vps": "https://openapivts.koreainvestment.com:29443",
        "vops": "ws://ops.koreainvestment.com:31000", "my_prod": "01",
        "my_agent": f"kis-realtime-trading/{bot.__version__}", "bot": fields["bot"].default,
    }  # fmt: skip
    assert set(fields) == {
        "my_app", "my_sec", "paper_app", "paper_sec", "my_htsid", "my_prod", "my_token", "my_agent",
        "my_acct_stock", "my_acct_future", "my_paper_stock", "my_paper_future",
        "prod", "ops", "vps", "vops", "bot",
    }  # fmt: skip
    assert fields["bot"].is_required()


# --- contradictions -----------------------------------------------------------------------


def section_of(limits: dict[str, Any], context: Any = None, **more: Any) -> bot.BotSettings:
    """Return a section with its money limits far apart, but for those given."""
    wide = {"max_order_krw": 10, "max_symbol_krw": 1_000, "max_total_krw": 100_000,
            "max_daily_loss_krw": 500}  # fmt: skip
    return bot.BotSettings.model_validate(
        {**LEAST, "limits": wide | limits, **more}, context=context
    )


def contradictions(limits: dict[str, Any], **more: Any) -> list[str]:
    """Return the keys that are told when a section stands in somebody's file."""
    try:
        section_of(limits, context=bot.Reading("paper", False), **more)
    except ValidationError as error:
        return [fault.key for fault in bot.model_faults(bot.BotSettings, error)]
    return []


@pytest.mark.parametrize(
    ("name", "other", "most"),
    [("max_order_krw", "max_symbol_krw", 1_000), ("max_symbol_krw", "max_total_krw", 100_000),
     ("max_daily_loss_krw", "max_total_krw", 100_000),
     ("max_orders_per_minute", "max_orders_per_day", 6)],
)  # fmt: skip
@pytest.mark.parametrize("over", [0, 1])
def test_a_limit_may_equal_the_one_that_holds_it(name, other, most, over):
    """One won more is a fault of the later one, unless one of them is faulty itself."""
    limits = {name: most + over, other: most}
    if name == "max_symbol_krw":
        limits |= {"max_order_krw": 10}
    later = max((name, other), key=list(LIMITS).index)
    assert contradictions(limits) == [f"limits.{later}"] * over
    assert section_of(limits).limits  # a recording, say, is read with any
    without = contradictions(limits | {other: "x"})
    assert without == [f"limits.{other}"]  # what cannot be read accuses nobody


@pytest.mark.parametrize(("risk", "faults"), [(500, 0), (501, 1), ("501", 0), (None, 0)])
def test_one_stop_may_cost_what_a_day_may(risk, faults):
    """risk_krw of the parameters against the loss of a day; what is no number is the strategy's."""
    parameters = {"risk_krw": risk} if risk is not None else {}
    assert contradictions({}, parameters=parameters) == ["parameters.risk_krw"] * faults
    of_limits = contradictions({"max_order_krw": "x"}, parameters=parameters)
    assert of_limits == ["limits.max_order_krw", *["parameters.risk_krw"] * faults]
    unread = contradictions({"max_daily_loss_krw": "x"}, parameters=parameters)
    assert unread == ["limits.max_daily_loss_krw"]


@pytest.mark.parametrize(
    ("entry", "wait", "fine"),
    [("09:00", None, False), ("09:00:01", None, True), ("15:20", None, True),
     ("15:20:01", None, False), ("09:30", 30, False), ("09:30:01", 30, True), ("09:31", 30, True),
     ("10:05", 65, False), ("10:06", 65, True), ("09:01", -1, True), ("09:01", 400, True),
     ("09:01", "x", True), ("15:20", 399, False)],
)  # fmt: skip
def test_a_day_has_a_minute_to_buy_in(entry, wait, fine):
    """After the open and the strategy's own waiting, not after the last trade."""
    parameters = {} if wait is None else {"first_bar_minutes": wait}
    found = contradictions({}, last_entry=entry, flat_at=None, parameters=parameters)
    assert found == ["last_entry"] * (not fine)


@pytest.mark.parametrize(
    ("last_entry", "flat_at", "taken"),
    [("14:50", "14:50", True), ("14:50", "14:49:59", False), ("15:29", "15:29", True),
     ("14:50", "15:29:01", False), ("14:50", "15:29", True)],
)  # fmt: skip
def test_the_sale_of_the_day_lies_between_the_last_entry_and_the_last_order(
    last_entry, flat_at, taken
):
    """Not before what is bought last, not when no order is taken any more."""
    values = {**LEAST, "last_entry": last_entry, "flat_at": flat_at}
    try:
        bot.BotSettings.model_validate(values)
    except ValidationError as error:
        assert not taken and [each["loc"] for each in error.errors()] == [("flat_at",)]
    else:
        assert taken


# --- real money ---------------------------------------------------------------------------


@given(days=st.integers(0, 40), money=st.integers(1, 10**8), shares=st.integers(1, 1_000_000))
def test_the_first_live_days_never_allow_more_than_was_chosen(days, money, shares):
    """Every money limit shrinks alike and to one won at least; a smaller number of shares stays."""
    chosen = bot.Limits.model_validate(
        {name: money + n for n, name in enumerate(MONEY)} | {"max_quantity": shares}
    )
    found, tenth = bot.ramped_limits(chosen, days), 5 <= days < 15
    for name in MONEY:
        wanted = getattr(chosen, name)
        assert getattr(found, name) == (max(1, wanted // 10) if tenth else wanted)
    assert found.max_quantity == (1 if days < 5 else shares)
    others = set(LIMITS) - set(MONEY) - {"max_quantity"}
    assert all(getattr(found, name) == getattr(chosen, name) for name in others)


def test_a_pin_tells_account_product_and_salt_apart():
    """It begins with its salt; any other account, product or salt makes another one."""
    pins = [bot.make_pin(*each) for each in itertools.product(
        ("01234567", "01234568"), ("01", "22"), ("salt", "pepper"))]  # fmt: skip
    assert len(set(pins)) == len(pins)
    assert [pin.split("$")[0] for pin in pins] == ["salt", "pepper"] * 4
    assert all(len(pin.split("$")[1]) == 32 for pin in pins)
    assert not any("01234567" in pin for pin in pins)


# --- words and small rules of the data types ------------------------------------------------


def test_the_words_that_journal_and_broker_know_are_what_they_were():
    """A journal of yesterday holds them; the broker reads the kinds of orders."""
    assert {each.name: each.value for each in bot.OrderKind} == {
        "LIMIT": "00", "MARKET": "01", "BEST_LIMIT": "03", "PRIORITY_LIMIT": "04",
        "LIMIT_IOC": "11", "LIMIT_FOK": "12", "MARKET_IOC": "13", "MARKET_FOK": "14",
        "BEST_IOC": "15", "BEST_FOK": "16",
    }  # fmt: skip
    assert {each.name for each in bot.OrderKind if each.priced} == {
        "LIMIT", "LIMIT_IOC", "LIMIT_FOK"
    }  # fmt: skip
    assert {each: each.sign for each in bot.Side} == {"BUY": 1, "SELL": -1}
    assert {each.name: each.value for each in bot.KillLevel} == {
        "ACTIVE": 0, "ENTRIES_OFF": 1, "REDUCE_ONLY": 2, "FLATTEN_AND_HALT": 3
    }  # fmt: skip
    usual = {each.name: each.name.lower().replace("_", " ") for each in bot.OrderStatus}
    assert {each.name: each.value for each in bot.OrderStatus} == usual | {
        "PARTIAL": "partially filled"
    }
    usual = {each.name: each.name.lower().replace("_", " ") for each in bot.OrderEvent}
    assert {each.name: each.value for each in bot.OrderEvent} == usual | {
        "REJECTED": "rejected after acceptance"
    }
    assert {each.name: each.value for each in bot.Outcome} == {
        "ACCEPTED": "accepted", "REFUSED": "refused", "NOT_SENT": "not sent", "UNKNOWN": "unknown"
    }  # fmt: skip
    assert [each.value for each in bot.NoticeKind] == [
        "received", "confirmed", "fill", "refused", "rest cancelled"
    ]  # fmt: skip


def test_every_status_is_in_the_sets_that_it_belongs_to():
    """Open, resting, in doubt, never there: each status written down once more."""
    marks = {
        "SUBMITTING": "u", "UNKNOWN": "udo", "QUARANTINED": "udo", "CANCEL_PENDING": "u",
        "CANCEL_UNKNOWN": "uo", "REPLACE_PENDING": "u", "REPLACE_UNKNOWN": "uo", "WORKING": "r",
        "PARTIAL": "r", "NOT_SENT": "n", "REJECTED": "n", "LOST": "n", "FILLED": "", "CANCELLED": "",
        "EXPIRED": "",
    }  # fmt: skip
    sets = {"u": bot.UNRESOLVED, "r": bot.RESTING, "d": bot.DOUBTFUL, "o": bot.UNKNOWN_OUTCOME,
            "n": bot.NEVER_EXISTED}  # fmt: skip
    for status in bot.OrderStatus:
        found = {mark for mark, members in sets.items() if status in members}
        assert found == set(marks[status.name]), status
        assert (status in bot.OPEN_STATUSES) is bool(found & {"u", "r"}), status


def order_of(status: bot.OrderStatus, quantity: int = 10, purpose: Any = "entry") -> bot.Order:
    """Return an order with two numbers under which 3 and 4 shares were filled."""
    intent = bot.OrderIntent(
        "i", NOW.date(), "005930", bot.Side.BUY, bot.OrderKind.LIMIT, quantity, 70_000, purpose, "", "s", NOW
    )  # fmt: skip
    fills = {"1": (3, 210_000), "2": (4, 280_004)}
    return bot.Order(intent, NOW, status=status, fills=fills)


@pytest.mark.parametrize("status", bot.OrderStatus)
def test_an_order_counts_the_fills_of_all_its_numbers(status):
    """What remains is what was not filled, nothing once the order is over."""
    order = order_of(status)
    assert (order.filled_quantity, order.filled_amount_krw) == (7, 490_004)
    assert order.remaining == (3 if status in bot.OPEN_STATUSES else 0)
    assert order.own and not order_of(status, purpose="external").own


def test_a_position_comes_back_as_it_was_and_forgets_all_when_it_is_cleared():
    """Every field takes part: one left out would be kept, or lost, over a round."""
    full = bot.Position(
        7,
        Fraction(490_004),
        bot.ExitPlan(1, 2, 0.5),
        NOW,
        Fraction(1, 3),
        "stop",
        True,
        Fraction(1, 2),
    )
    fields = [getattr(full, name) for name in bot.Position.__dataclass_fields__]
    assert list(full.values()) == fields and len(set(map(repr, fields))) == len(fields)
    other = bot.Position()
    other.take(full.values())
    assert other == full and other.average_price == 490_004 / 7
    other.clear()
    assert other == bot.Position() and other.average_price == 0.0
    assert bot.Position().values() == (0, 0, None, None, 0, "", False, 1)


@given(parts=st.integers(-(10**7), 10**7), fees=st.integers(0, 999), taxes=st.integers(0, 999))
def test_the_result_of_a_day_is_rounded_half_up_and_net_of_its_costs(parts, fees, taxes):
    """The exact one to the part of a won, the shown one to the won."""
    totals = bot.DayTotals(gross=Fraction(parts, 6), fees_krw=fees, taxes_krw=taxes)
    assert totals.gross_krw == math.floor(Fraction(parts, 6) + Fraction(1, 2))
    assert totals.exact_net == Fraction(parts, 6) - fees - taxes
    assert totals.net_krw == totals.gross_krw - fees - taxes


def test_pauses_grow_and_then_stay():
    """The first after the first failure; the last of them without end."""
    pauses = bot.Pauses((1.0, 2.0, 4.0))
    assert [pauses.after(failed) for failed in range(6)] == [1.0, 1.0, 2.0, 4.0, 4.0, 4.0]
    assert list(itertools.islice(pauses.each(), 5)) == [1.0, 2.0, 4.0, 4.0, 4.0]


def test_small_figures_of_the_data_types():
    """A bar without a gap, a halted stock, an auction, the age of what the broker told."""
    assert not bot.Bar("005930", NOW, NOW, 1, 1, 1, 9, 4, 30, 1).gap
    stock = ("005930", "KOSPI", False, 1, 1, 1, 1)
    assert [bot.Instrument(*stock, why).halted for why in ("", "trading halted", "halted")] == [
        False, True, False
    ]  # fmt: skip
    for code, auction in zip("0ABCD", (False, False, False, True, False), strict=True):
        assert bot.Quote("005930", NOW, 1, 1, 1, 1, 1, code).in_auction is auction
    assert bot.Known(1, NOW).age_s(NOW + timedelta(minutes=2)) == 120.0
    assert bot.Known(1).age_s(NOW) > 10**8  # never told is as old as can be


def profile_of(**changed: Any) -> bot.Profile:
    """Return the profile of a paper account, changed."""
    values: dict[str, Any] = {
        "environment": "paper", "rest_url": bot.PAPER_REST, "ws_url": bot.PAPER_WS,
        "app_key": bot.Secret("k"), "app_secret": bot.Secret("s"), "account": bot.Secret("12345678"),
        "product": "01", "hts_id": bot.Secret("h"), "agent": "a",
    }  # fmt: skip
    return bot.Profile(**values | changed)


@pytest.mark.parametrize(
    ("url", "here"),
    [("http://127.0.0.1:1", True), ("http://localhost", True), ("http://[::1]:9", True),
     ("https://127.0.0.1.example.com", False), ("https://openapi.koreainvestment.com:9443", False)],
)  # fmt: skip
def test_only_this_machine_counts_as_simulated(url, here):
    """By the name of the host; the words for people say so."""
    assert profile_of(rest_url=url).simulated is here
    for environment in ("real", "paper"):
        shown = profile_of(rest_url=url, environment=environment).mode
        assert shown == environment + (" (simulated)" if here else "")
    assert profile_of().account_tail == "******78"


def test_a_secret_equals_its_text_and_a_mark_tells_texts_apart():
    """The mark of an account names its files: it must not change from one version to the next."""
    assert bot.Secret("12345678").fingerprint() == "93e7408bfb18"
    assert json.dumps(str(bot.Secret("x"))) == '"***"'
    assert f"{bot.Secret('x'):>9}" == repr(bot.Secret("x")) == "***"
