"""Risk a second time: the rules written down plainly, against the bot's, at and around every border."""

import math
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from test_risk import CASES, ENTRY, EXIT, FACTS, IDS, LIMITS, NOW, STOCK

import kis_realtime_trading as bot

BUY, SELL, K = bot.Side.BUY, bot.Side.SELL, bot.OrderKind
PHASE = bot.Phase
STEPS_OF_A_STOCK = (
    (2_000, 1),
    (5_000, 5),
    (20_000, 10),
    (50_000, 50),
    (200_000, 100),
    (500_000, 500),
)


def step_of(price):
    """Return the price step of a share by the exchange's table."""
    return next((step for below, step in STEPS_OF_A_STOCK if price < below), 1_000)


def code_by_hand(f, i):
    """Return the code of the first reason against an order, "" for none, by a second set of rules."""
    buys, limits, known, priced = i.purpose == "entry", f.limits, f.instrument, i.kind.priced
    banded = known is not None and 0 < known.lower_limit < known.upper_limit
    if known is None or (not banded and (buys or not priced)):
        return "NO_INSTRUMENT"
    if i.quantity < 1 or i.quantity > (limits.max_quantity if buys else 1_000_000):
        return "QUANTITY"
    if not priced and i.price:
        return "PRICE"
    if priced:
        if i.price <= 0 or i.price % step_of(i.price):
            return "TICK"
        confirmed = abs(i.price - f.quote_price) * 10 <= f.quote_price and f.quote_age_s <= 60
        if not (confirmed and not banded) and not known.lower_limit <= i.price <= known.upper_limit:
            return "BAND"
    if buys and f.level is not bot.KillLevel.ACTIVE:
        return "LEVEL"
    if buys and f.stopped:
        return "STOPPED"
    if buys and f.holds:
        return "ON_HOLD"
    if buys and (f.phase is not PHASE.CONTINUOUS or (f.entries_until and f.now >= f.entries_until)):
        return "SESSION"
    if f.phase not in (PHASE.CONTINUOUS, PHASE.CLOSING_AUCTION):
        return "SESSION"
    if f.halted:
        return "HALTED"
    if buys and known.blocked:
        return "BLOCKED"
    if f.unresolved:
        return "UNRESOLVED"
    if f.opposite_resting:
        return "OPPOSITE"
    if buys and f.exiting:
        return "EXITING"
    return code_of_money(f, i, buys)


def code_of_money(f, i, buys):
    """Return the code of the first reason of position, pace, loss, freshness and money."""
    limits, known, priced = f.limits, f.instrument, i.kind.priced
    if buys is not (i.side is BUY):
        return "SIDE"
    if i.side is SELL and i.quantity + f.open_sells > f.position:
        return "POSITION"
    if i.side is BUY and f.position == 0 and f.positions >= limits.max_positions:
        return "POSITIONS"
    if (
        f.orders_last_minute >= (limits.max_orders_per_minute if buys else 30)
        or f.orders_last_second >= 3
    ):
        return "RATE"
    if not buys:
        return ""
    if f.orders_today >= limits.max_orders_per_day:
        return "DAY_RATE"
    by_share = f.morning_equity_krw * limits.max_daily_loss_pct / 100
    if f.day_loss_krw >= min(
        [limits.max_daily_loss_krw, *([int(by_share)] if by_share >= 1 else [])]
    ):
        return "DAY_LOSS"
    if limits.max_drawdown_krw and f.drawdown_krw >= limits.max_drawdown_krw:
        return "DRAWDOWN"
    if f.paused_until and f.now < f.paused_until:
        return "LOSING_STREAK"
    if not -2 <= f.last_price_age_s <= limits.max_data_age_s:
        return "STALE"
    if f.quote_age_s > limits.max_quote_age_s or f.quote_price <= 0:
        return "NO_QUOTE"
    at = i.price if priced else f.last_price
    if any(abs(at - r) > r * limits.collar_pct / 100 for r in (f.last_price, f.quote_price)):
        return "COLLAR"
    if i.plan and not (
        0 < i.plan.stop_price < at and (not i.plan.target_price or i.plan.target_price > at)
    ):
        return "PLAN"
    value = i.quantity * (i.price if priced else known.upper_limit)
    for code, limit in (
        ("ORDER_VALUE", limits.max_order_krw), ("SYMBOL_VALUE", limits.max_symbol_krw - f.symbol_krw),
        ("TOTAL_VALUE", limits.max_total_krw - f.total_krw),
    ):  # fmt: skip
        if value > limit:
            return code
    fee = (2 * value * int(f.fee_pct * 10_000_000) + 10**9) // (2 * 10**9)
    return "CASH" if f.free_cash_krw is None or value + fee > f.free_cash_krw else ""


# Of each fact values at its border, one below and one beyond; the usual one is drawn most.
NEAR = {
    "phase": list(PHASE), "last_price": [0, 67_900, 68_000, 72_100, 72_200, 70_001, 67_961, 67_962],
    "last_price_age_s": [-2.1, -2.0, 0.0, 3.0, 3.1, math.inf], "quote_price": [0, 67_900, 68_000, 72_200, 67_961],
    "quote_age_s": [4.9, 5.0, 5.1, 60.0, 60.1, math.inf], "free_cash_krw": [None, 700_097, 700_098, 910_127, 910_128],
    "symbol_krw": [2_299_999, 2_300_000, 2_300_001], "total_krw": [4_300_000, 4_300_001, 4_089_999, 4_090_001],
    "positions": [2, 3, 4], "position": [0, 1, 9, 10, 11], "open_sells": [0, 1, 10],
    "opposite_resting": [True], "unresolved": ["entry is unknown"], "halted": [True], "exiting": ["stop"],
    "holds": [("feed",)], "stopped": ["why"], "level": list(bot.KillLevel),
    "entries_until": [None, NOW, NOW + timedelta(microseconds=1), NOW - timedelta(seconds=1)],
    "orders_last_minute": [5, 6, 7, 29, 30, 31], "orders_last_second": [2, 3, 4], "orders_today": [99, 100, 101],
    "day_loss_krw": [-5, 99_999, 100_000, 199_999, 200_000, 200_001], "drawdown_krw": [149_999, 150_000, 150_001],
    "morning_equity_krw": [0, 49, 50, 99, 5_000_000, 20_000_000],
    "paused_until": [NOW, NOW + timedelta(microseconds=1)], "fee_pct": [Decimal("0.0146527"), Decimal(1)],
    "instrument": [
        None, replace(STOCK, blocked="risk"), replace(STOCK, lower_limit=0), replace(STOCK, upper_limit=0),
        replace(STOCK, lower_limit=91_000), replace(STOCK, lower_limit=70_000), replace(STOCK, upper_limit=70_000),
    ],
    "limits": [LIMITS.model_copy(update={"max_drawdown_krw": None}), LIMITS.model_copy(update={"max_quantity": 9})],
}  # fmt: skip
PLANS = [None, bot.ExitPlan(69_900), bot.ExitPlan(70_000), bot.ExitPlan(0), bot.ExitPlan(69_000, 70_000),
         bot.ExitPlan(69_000, 70_100), bot.ExitPlan(70_100, 72_000)]  # fmt: skip
PRICES = [
    70_000,
    70_000,
    70_100,
    70_050,
    0,
    48_950,
    49_000,
    91_000,
    91_100,
    72_100,
    67_900,
    76_900,
    77_000,
    77_100,
]


def test_the_rules_say_what_a_second_set_of_rules_says():
    """The first reason, or none, for orders at and around every border, several borders at once."""
    pick, passed = random.Random(5), 0
    for _ in range(6_000):
        fields = pick.sample(list(NEAR), pick.choice((0, 1, 1, 2, 2, 3)))
        facts = replace(FACTS, **{name: pick.choice(NEAR[name]) for name in fields})
        kind = pick.choice((K.LIMIT, K.LIMIT, K.LIMIT, K.BEST_LIMIT, K.MARKET))
        price = pick.choice(PRICES) if pick.random() < 0.4 else 70_000
        intent = replace(
            pick.choice((ENTRY, ENTRY, EXIT)), kind=kind, plan=pick.choice(PLANS),
            price=price if kind is K.LIMIT or pick.random() < 0.1 else 0,
            quantity=pick.choice((10,) * 9 + (0, -1, 1, 9, 11, 14, 15, 1_000_000, 1_000_001)),
        )  # fmt: skip
        if pick.random() < 0.05:
            intent = replace(intent, side=SELL if intent.side is BUY else BUY)
        refusal = bot.check_order(facts, intent)
        found, expected = refusal.code if refusal else "", code_by_hand(facts, intent)
        assert found == expected, (fields, facts, intent)
        passed += not found
    assert 1_000 < passed < 4_000  # neither everything nor nothing


@pytest.mark.parametrize("age", [0.0, 60.0, 60.1, math.inf])
@pytest.mark.parametrize("quote", [0, 1, 64_000, 70_000, 77_800])
def test_an_exit_without_limits_by_a_second_set_of_rules(quote, age):
    """Each price at and around a tenth of the broker's own, for stocks without one limit or the other."""
    for known in (
        replace(STOCK, lower_limit=0),
        replace(STOCK, upper_limit=0),
        replace(STOCK, lower_limit=91_000),
    ):
        facts = replace(FACTS, instrument=known, quote_price=quote, quote_age_s=age)
        for price in (
            1,
            57_600,
            57_700,
            62_900,
            63_000,
            69_900,
            70_000,
            70_400,
            70_500,
            77_000,
            77_100,
            85_600,
        ):
            refusal = bot.check_order(facts, replace(EXIT, price=price))
            assert (refusal.code if refusal else "") == code_by_hand(
                facts, replace(EXIT, price=price)
            ), price


SAID = """
005930: no base price or limits from the broker
005930: no base price or limits from the broker
0 shares, expected 1 to 1000000
-1 shares, expected 1 to 1000000
1.0 shares, expected 1 to 1000000
True shares, expected 1 to 1000000
1000001 shares, expected 1 to 1000000
10 shares, expected 1 to 9
10 shares, expected 1 to 9
70050 is no valid price step
70005 is no valid price step
70003 is no valid price step
70000.0 is no valid price step
0 is no valid price step
48950 outside 49000..91000
91100 outside 49000..91000
MARKET with a price
ENTRIES_OFF
FLATTEN_AND_HALT
feed
why
closing auction
opening auction
opening auction
after close
closed
continuous, too late for entries
005930 is halted or in an auction
005930 is halted or in an auction
investment risk
entry is unknown
exit:1 is unknown
stop
an own order of the other side rests in the book
sell 11, held and free 10
sell 10, held and free 9
3 held, at most 3
3 held, at most 3
6 orders in a minute, at most 6
30 orders in a minute, at most 30
3 orders within a second
100 orders today
100 orders today
200,000 won lost today, at most 200,000
100,000 won lost today, at most 100,000
900,000 won lost today, at most 200,000
150,000 won below the peak, at most 150,000
paused until 10:00
last trade 3.1 s old, at most 3.0 s
last trade -2.1 s old, at most 3.0 s
last trade inf s old, at most 3.0 s
no REST price within 5 s
no REST price within 5 s
70000 against REST price 67900, at most 3.0 %
70000 against last trade 72200, at most 3.0 %
70000 against last trade 0, at most 3.0 %
72200 against REST price 70000, at most 3.0 %
entry by SELL
stop 70000, target 0 at 70000
stop 0, target 0 at 70000
stop 69000, target 70000 at 70000
1,050,000 won, at most 1,000,000
1,001,000 won, at most 1,000,000
1,050,000 won, at most 1,000,000
3,000,001 won in 005930, at most 3,000,000
5,000,001 won in all, at most 5,000,000
needs 700,098 won, free 700,097
orderable cash is not known
needs 910,128 won, free 910,000
"""


@pytest.mark.parametrize(
    ("case", "said"), list(zip(CASES, SAID.strip().splitlines(), strict=True)), ids=IDS
)
def test_a_refusal_names_the_numbers_that_decided(case, said):
    """Word for word: what was asked, and the limit."""
    assert bot.check_order(case[2], case[3]).numbers == said
