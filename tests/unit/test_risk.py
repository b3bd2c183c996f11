"""Risk: every rule refuses a case that nothing else refuses, and lets its neighbour pass."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kis_realtime_trading as bot

DAY = date(2026, 11, 20)
SYMBOL = "005930"
NOW = datetime.combine(DAY, time(10), bot.KST)
STOCK = bot.Instrument(SYMBOL, "KOSPI", False, 70_000, 91_000, 49_000, 70_000)
LIMITS = bot.Limits(
    max_order_krw=1_000_000, max_symbol_krw=3_000_000, max_total_krw=5_000_000,
    max_daily_loss_krw=200_000, max_daily_loss_pct=2.0, max_drawdown_krw=150_000, max_positions=3,
    max_orders_per_minute=6, max_orders_per_day=100, collar_pct=3.0, max_data_age_s=3.0,
    max_quote_age_s=5.0,
)  # fmt: skip
FACTS = bot.RiskFacts(
    now=NOW, phase=bot.Phase.CONTINUOUS, limits=LIMITS, instrument=STOCK, last_price=70_000,
    last_price_age_s=1.0, quote_price=70_000, quote_age_s=1.0, free_cash_krw=10_000_000,
    position=10, positions=1, symbol_krw=700_000, total_krw=700_000, morning_equity_krw=10_000_000,
    entries_until=NOW + timedelta(hours=4),
)  # fmt: skip
ENTRY = bot.OrderIntent(
    "id", DAY, SYMBOL, bot.Side.BUY, bot.OrderKind.LIMIT, 10, 70_000, "entry", "entry", "1000", NOW
)
EXIT = replace(ENTRY, side=bot.Side.SELL, purpose="exit", leg="exit:1")
MARKET = {"kind": bot.OrderKind.MARKET, "price": 0}


def facts(**changes):
    """Return facts under which everything may pass, with changes."""
    return replace(FACTS, **changes)


def limits(**changes):
    """Return facts with other limits."""
    return facts(limits=LIMITS.model_copy(update=changes))


def stock(**changes):
    """Return facts with another instrument."""
    return facts(instrument=replace(STOCK, **changes))


def entry(**changes):
    """Return the usual entry, changed."""
    return replace(ENTRY, **changes)


def exit_of(**changes):
    """Return the usual exit, changed."""
    return replace(EXIT, **changes)


# rule, code, the case that it alone refuses, a neighbour that passes
CASES = [
    (bot.rule_known_instrument, "NO_INSTRUMENT", stock(lower_limit=0), ENTRY, FACTS, ENTRY),
    (bot.rule_known_instrument, "NO_INSTRUMENT", facts(instrument=None), exit_of(**MARKET),
     FACTS, exit_of(**MARKET)),
    (bot.rule_quantity, "QUANTITY", FACTS, entry(quantity=0), FACTS, entry(quantity=1)),
    (bot.rule_quantity, "QUANTITY", FACTS, entry(quantity=-1), FACTS, entry(quantity=1)),
    (bot.rule_quantity, "QUANTITY", FACTS, entry(quantity=1.0), FACTS, entry(quantity=1)),
    (bot.rule_quantity, "QUANTITY", FACTS, entry(quantity=True), FACTS, entry(quantity=1)),
    (bot.rule_quantity, "QUANTITY", facts(position=2_000_000), exit_of(quantity=1_000_001),
     facts(position=2_000_000), exit_of(quantity=1_000_000)),
    (bot.rule_quantity, "QUANTITY", limits(max_quantity=9), ENTRY,
     limits(max_quantity=9), entry(quantity=9)),
    (bot.rule_quantity, "QUANTITY", limits(max_quantity=9), ENTRY, limits(max_quantity=9), EXIT),
    (bot.rule_price, "TICK", FACTS, entry(price=70_050), FACTS, entry(price=70_100)),
    (bot.rule_price, "TICK", FACTS, entry(price=70_005), stock(fund=True), entry(price=70_005)),
    (bot.rule_price, "TICK", stock(fund=True), entry(price=70_003), stock(fund=True), entry(price=70_005)),
    (bot.rule_price, "TICK", FACTS, entry(price=70_000.0), FACTS, entry(price=70_000)),
    (bot.rule_price, "TICK", FACTS, exit_of(price=0), FACTS, exit_of(price=100_000 - 51_000)),
    (bot.rule_price, "BAND", FACTS, exit_of(price=48_950), FACTS, exit_of(price=49_000)),
    (bot.rule_price, "BAND", FACTS, exit_of(price=91_100), FACTS, exit_of(price=91_000)),
    (bot.rule_price, "PRICE", FACTS, entry(kind=bot.OrderKind.MARKET), FACTS, entry(**MARKET)),
    (bot.rule_holds, "LEVEL", facts(level=bot.KillLevel.ENTRIES_OFF), ENTRY, FACTS, ENTRY),
    (bot.rule_holds, "LEVEL", facts(level=bot.KillLevel.FLATTEN_AND_HALT), ENTRY,
     facts(level=bot.KillLevel.FLATTEN_AND_HALT), EXIT),
    (bot.rule_holds, "ON_HOLD", facts(holds=("feed",)), ENTRY, facts(holds=("feed",)), EXIT),
    (bot.rule_holds, "STOPPED", facts(stopped="why"), ENTRY, facts(stopped="why"), EXIT),
    (bot.rule_session, "SESSION", facts(phase=bot.Phase.CLOSING_AUCTION), ENTRY,
     facts(phase=bot.Phase.CLOSING_AUCTION), EXIT),
    (bot.rule_session, "SESSION", facts(phase=bot.Phase.OPENING_AUCTION), ENTRY, FACTS, ENTRY),
    (bot.rule_session, "SESSION", facts(phase=bot.Phase.OPENING_AUCTION), EXIT, FACTS, EXIT),
    (bot.rule_session, "SESSION", facts(phase=bot.Phase.AFTER), EXIT, FACTS, EXIT),
    (bot.rule_session, "SESSION", facts(phase=bot.Phase.CLOSED), EXIT, FACTS, EXIT),
    (bot.rule_session, "SESSION", facts(entries_until=NOW), ENTRY,
     facts(entries_until=NOW + timedelta(microseconds=1)), ENTRY),
    (bot.rule_tradable, "HALTED", facts(halted=True), ENTRY, FACTS, ENTRY),
    (bot.rule_tradable, "HALTED", facts(halted=True), EXIT, FACTS, EXIT),
    (bot.rule_tradable, "BLOCKED", stock(blocked="investment risk"), ENTRY,
     stock(blocked="investment risk"), EXIT),
    (bot.rule_unresolved, "UNRESOLVED", facts(unresolved="entry is unknown"), ENTRY, FACTS, ENTRY),
    (bot.rule_unresolved, "UNRESOLVED", facts(unresolved="exit:1 is unknown"), EXIT, FACTS, EXIT),
    (bot.rule_unresolved, "EXITING", facts(exiting="stop"), ENTRY, facts(exiting="stop"), EXIT),
    (bot.rule_unresolved, "OPPOSITE", facts(opposite_resting=True), EXIT, FACTS, EXIT),
    (bot.rule_position, "POSITION", FACTS, exit_of(quantity=11), FACTS, exit_of(quantity=10)),
    (bot.rule_position, "POSITION", facts(open_sells=1), EXIT,
     facts(open_sells=1), exit_of(quantity=9)),
    (bot.rule_position, "POSITIONS", facts(position=0, positions=3), ENTRY,
     facts(position=0, positions=2), ENTRY),
    (bot.rule_position, "POSITIONS", facts(position=0, positions=3), ENTRY,
     facts(position=1, positions=3), ENTRY),
    (bot.rule_rate, "RATE", facts(orders_last_minute=6), ENTRY, facts(orders_last_minute=5), ENTRY),
    (bot.rule_rate, "RATE", facts(orders_last_minute=30), EXIT, facts(orders_last_minute=29), EXIT),
    (bot.rule_rate, "RATE", facts(orders_last_second=3), EXIT, facts(orders_last_second=2), EXIT),
    (bot.rule_rate, "DAY_RATE", facts(orders_today=100), ENTRY, facts(orders_today=99), ENTRY),
    (bot.rule_rate, "DAY_RATE", facts(orders_today=100), ENTRY, facts(orders_today=100), EXIT),
    (bot.rule_losses, "DAY_LOSS", facts(day_loss_krw=200_000), ENTRY,
     facts(day_loss_krw=199_999), ENTRY),
    (bot.rule_losses, "DAY_LOSS", facts(day_loss_krw=100_000, morning_equity_krw=5_000_000), ENTRY,
     facts(day_loss_krw=99_999, morning_equity_krw=5_000_000), ENTRY),
    (bot.rule_losses, "DAY_LOSS", facts(day_loss_krw=900_000), ENTRY,
     facts(day_loss_krw=900_000), EXIT),
    (bot.rule_losses, "DRAWDOWN", facts(drawdown_krw=150_000), ENTRY,
     facts(drawdown_krw=149_999), ENTRY),
    (bot.rule_losses, "LOSING_STREAK", facts(paused_until=NOW + timedelta(seconds=1)), ENTRY,
     facts(paused_until=NOW), ENTRY),
    (bot.rule_fresh_data, "STALE", facts(last_price_age_s=3.1), ENTRY,
     facts(last_price_age_s=3.0), ENTRY),
    (bot.rule_fresh_data, "STALE", facts(last_price_age_s=-2.1), ENTRY,
     facts(last_price_age_s=-2.0), ENTRY),
    (bot.rule_fresh_data, "STALE", facts(last_price_age_s=float("inf")), ENTRY,
     facts(last_price_age_s=float("inf")), EXIT),
    (bot.rule_collar, "NO_QUOTE", facts(quote_age_s=5.1), ENTRY, facts(quote_age_s=5.0), ENTRY),
    (bot.rule_collar, "NO_QUOTE", facts(quote_price=0), ENTRY, FACTS, ENTRY),
    (bot.rule_collar, "COLLAR", facts(quote_price=67_900), ENTRY, facts(quote_price=68_000), ENTRY),
    (bot.rule_collar, "COLLAR", facts(last_price=72_200), ENTRY, facts(last_price=72_100), ENTRY),
    (bot.rule_collar, "COLLAR", facts(last_price=0), ENTRY, facts(last_price=0), EXIT),
    (bot.rule_collar, "COLLAR", facts(last_price=72_200), entry(quantity=5, **MARKET),
     FACTS, entry(quantity=5, **MARKET)),
    (bot.rule_position, "SIDE", facts(position=20), replace(EXIT, purpose="entry"), FACTS, EXIT),
    (bot.rule_plan, "PLAN", FACTS, entry(plan=bot.ExitPlan(70_000)),
     FACTS, entry(plan=bot.ExitPlan(69_900))),
    (bot.rule_plan, "PLAN", FACTS, entry(plan=bot.ExitPlan(0)), FACTS, entry(plan=None)),
    (bot.rule_plan, "PLAN", FACTS, entry(plan=bot.ExitPlan(69_000, 70_000)),
     FACTS, entry(plan=bot.ExitPlan(69_000, 70_100))),
    (bot.rule_value, "ORDER_VALUE", FACTS, entry(quantity=15), FACTS, entry(quantity=14)),
    (bot.rule_value, "ORDER_VALUE", FACTS, entry(quantity=11, **MARKET),
     FACTS, entry(quantity=10, **MARKET)),
    (bot.rule_value, "ORDER_VALUE", facts(position=15), entry(quantity=15),
     facts(position=15), exit_of(quantity=15)),
    (bot.rule_value, "SYMBOL_VALUE", facts(symbol_krw=2_300_001), ENTRY,
     facts(symbol_krw=2_300_000), ENTRY),
    (bot.rule_value, "TOTAL_VALUE", facts(total_krw=4_300_001), ENTRY,
     facts(total_krw=4_300_000), ENTRY),
    (bot.rule_cash, "CASH", facts(free_cash_krw=700_097), ENTRY, facts(free_cash_krw=700_098), ENTRY),
    (bot.rule_cash, "CASH", facts(free_cash_krw=None), ENTRY, facts(free_cash_krw=None), EXIT),
    (bot.rule_cash, "CASH", facts(free_cash_krw=910_000), entry(**MARKET),
     facts(free_cash_krw=910_128), entry(**MARKET)),
]  # fmt: skip
IDS = [f"{rule.__name__[5:]}-{code}-{n}" for n, (rule, code, *_) in enumerate(CASES)]


@pytest.mark.parametrize(("rule", "code", "asked", "intent", "_a", "_b"), CASES, ids=IDS)
def test_a_rule_refuses_its_case_with_code_and_numbers(rule, code, asked, intent, _a, _b):
    """check_order says the rule's code and the numbers that decided."""
    refusal = bot.check_order(asked, intent)
    assert refusal is not None, "every rule let it pass"
    assert (refusal.code, bool(refusal.numbers)) == (code, True)
    assert refusal == rule(asked, intent)


def test_every_rule_is_necessary():
    """With a rule removed its case passes: no other rule refuses it."""
    for rule, code, asked, intent, *_ in CASES:
        others = [other for other in bot.RULES if other is not rule]
        assert (code, [other for other in others if other(asked, intent)]) == (code, [])


def test_the_neighbour_of_each_case_passes():
    """The border itself is allowed or refused as stated, not one further."""
    for _, code, *_, asked, intent in CASES:
        assert (code, bot.check_order(asked, intent)) == (code, None)


def test_every_rule_of_the_file_is_on_the_one_path():
    """A rule that is written and not asked would be no rule; each has a case here."""
    written = {value for name, value in vars(bot).items() if name.startswith("rule_")}
    assert set(bot.RULES) == written == {case[0] for case in CASES}
    assert len(bot.RULES) == len(written)


def test_usual_entry_and_exit_pass():
    """The facts that all cases change by one step let both through."""
    assert bot.check_order(FACTS, ENTRY) is None
    assert bot.check_order(FACTS, EXIT) is None


def test_hard_ceilings_hold_whatever_the_settings_say():
    """Limits made without validation cannot lift the ceilings."""
    wild = LIMITS.model_copy(
        update={"max_order_krw": 10**12, "max_symbol_krw": 10**12, "max_total_krw": 10**12}
    )
    rich = facts(limits=wild, free_cash_krw=10**12)
    assert bot.check_order(rich, entry(quantity=1_429)).code == "ORDER_VALUE"
    assert bot.check_order(replace(rich, total_krw=10**9), ENTRY).code == "TOTAL_VALUE"


@pytest.mark.parametrize(
    ("cash", "pct", "expected"),
    [(10_000_000, 2.0, 200_000), (10_000_000, 1.0, 100_000), (4_000_000, 2.0, 80_000), (0, 2.0, 200_000)],
)  # fmt: skip
def test_the_smaller_loss_limit_counts(cash, pct, expected):
    """Won or per cent of the morning's cash; without cash the won."""
    made = LIMITS.model_copy(update={"max_daily_loss_pct": pct})
    assert bot.day_loss_limit(made, cash) == expected


def test_no_drawdown_limit_means_none():
    """The limit is optional."""
    free = replace(limits(max_drawdown_krw=None), drawdown_krw=10**9)
    assert bot.check_order(free, ENTRY) is None


def test_an_order_without_a_price_costs_the_upper_limit():
    """The broker reserves it (doc)."""
    assert bot.order_value(FACTS, entry(**MARKET)) == 910_000
    assert bot.order_value(FACTS, ENTRY) == 700_000


def test_the_fee_of_a_fund_is_its_own():
    """Cash is compared with the fee of the product."""
    tight = facts(free_cash_krw=700_102, fee_pct=Decimal("0.0146527"))
    assert bot.check_order(tight, ENTRY).code == "CASH"


def test_a_sell_as_an_entry_is_refused():
    """This bot never sells but to close."""
    assert bot.check_order(FACTS, exit_of(purpose="entry")) is not None


@given(
    st.integers(-5, 2_000_000), st.integers(-5, 200_000), st.sampled_from(list(bot.OrderKind)),
    st.booleans(), st.integers(0, 20), st.integers(0, 6_000_000), st.integers(0, 6_000_000),
)  # fmt: skip
def test_what_passes_is_within_every_limit(quantity, price, kind, selling, held, worth, cash):
    """Whatever is asked: an order that passes is valid, in the band, affordable and covered."""
    asked = facts(position=held, symbol_krw=worth, total_krw=worth, free_cash_krw=cash)
    intent = replace(EXIT if selling else ENTRY, quantity=quantity, price=price, kind=kind)
    if bot.check_order(asked, intent) is not None:
        return
    value = (price if kind.priced else 91_000) * quantity
    assert 0 < quantity <= bot.CEILING_QUANTITY
    assert (49_000 <= price <= 91_000 and price % 100 == 0) if kind.priced else price == 0
    if selling:
        assert quantity <= held
    else:
        assert value <= min(1_000_000, cash)
        assert worth + value <= 3_000_000
