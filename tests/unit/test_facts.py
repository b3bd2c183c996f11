"""What the rules look at, read a second time: worlds of chance, each fact reckoned from their description.

A world is a plain description: orders with their statuses and ages, shares, prices, holds, a night. The
engine gets it through its own doors or as it would keep it; the reading below knows only the description
and what the papers say of each fact. Nothing here asks the bot for a figure that it then expects.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from test_engine import BUY, DAY, OTHER, SELL, SYMBOL, Bench, K, S, instrument

import kis_realtime_trading as bot

FUND, STRAY = "069500", "000660"  # an ETF; a stock that the settings no longer name
EARLIER = bot.previous_trading_day(DAY)
STOCK_FEE, FUND_FEE = Decimal("0.0140527"), Decimal("0.0042087")
RESTING = {"working", "partially filled"}
IN_DOUBT = {  # an answer is awaited, or never came
    "submitting", "unknown", "quarantined", "cancel pending", "cancel unknown", "replace pending",
    "replace unknown",
}  # fmt: skip
NEVER_WAS = {"not sent", "rejected", "lost"}


@dataclass
class Line:
    """One order of a world."""

    symbol: str
    side: bot.Side
    purpose: str
    status: bot.OrderStatus
    quantity: int
    filled: int
    price: int  # as it was sent; 0: at the market
    price_now: int  # after a change
    today: bool
    ago_s: float  # since it was decided; below zero: the clock was set back meanwhile
    reserve: int
    leg: str
    note: str

    @property
    def alive(self):
        return self.status.value in RESTING | IN_DOUBT

    @property
    def own(self):
        return self.purpose != "external"

    @property
    def rest(self):
        return self.quantity - self.filled


@dataclass
class Stock:
    """What is known of one stock in a world; None or 0: nothing."""

    known: bot.Instrument | None
    trade: tuple[int, float] | None  # price, seconds ago
    quoted: tuple[int, float] | None
    halted: bool
    auction: bool
    exiting: str
    resell: bool
    shares: int
    cost: Fraction
    owners: int
    stopped: str
    action: int | None  # days since a corporate action was seen that nobody answered
    overnight: tuple[int, Fraction] | None
    lost: tuple[int, float] | None  # rounds in a row, seconds since the last


@dataclass
class World:
    """A moment of a day."""

    now: datetime
    late_day: bool
    flat: bool
    last_entry: time
    level: bot.KillLevel
    holds: list[str]
    cash: tuple[int, float] | None
    peak: int
    gross: Fraction
    fees: int
    taxes: int
    orders_today: int
    morning_cash: int
    lost_over_all: tuple[int, float] | None
    stocks: dict[str, Stock]
    lines: list[Line] = field(default_factory=list)


def some(pick, value, one_in=3):
    """Return a value, or once in so many None."""
    return None if pick.randrange(one_in) == 0 else value


def draw_line(pick, ago_s):
    """Draw an order."""
    purpose = pick.choice(["entry", "entry", "exit", "exit", "external"])
    side = {"entry": BUY, "exit": SELL}.get(purpose) or pick.choice([BUY, SELL])
    status = pick.choice([*S, S.WORKING, S.PARTIAL, S.UNKNOWN, S.CANCEL_PENDING])
    quantity = pick.randint(2, 20)
    if status is S.FILLED:
        filled = quantity
    elif status is S.PARTIAL or (status.value in IN_DOUBT and pick.random() < 0.3):
        filled = pick.randint(1, quantity - 1)
    else:
        filled = 0
    price = pick.choice([0, 68_000, 69_500, 71_100])
    note = pick.choice(["", "", "40330000 정정취소 가능수량이 없습니다.", "busy"])
    return Line(
        pick.choice([SYMBOL, SYMBOL, OTHER, FUND, STRAY]), side, purpose, status, quantity, filled, price,
        pick.choice([price, price, 70_200 if price else 0]), pick.random() < 0.8, ago_s,
        pick.choice([quantity * 70_000, quantity * 91_000]) if side is BUY and purpose == "entry" else 0,
        {"entry": pick.choice(["entry", bot.OWNERS_LEG]), "exit": "exit:1", "external": ""}[purpose],
        note if status.value in RESTING else "",
    )  # fmt: skip


def draw_stock(pick, symbol):
    """Draw what is known of a stock."""
    base = pick.choice([70_000, 68_400, 75_300])
    known = some(pick, instrument(symbol, base), 5)
    if known:
        known = replace(
            known, fund=symbol == FUND, base_price=base, upper_limit=int(base * 1.3) // 100 * 100,
            blocked=pick.choice(["", "", "warned"]),
        )  # fmt: skip
    shares = pick.choice([0, 0, 7, 30])
    cost = Fraction(shares * pick.choice([70_000, 90_000]) + pick.choice([0, 1]) * 5, 3) * 3
    cost += Fraction(1, 3) if shares and pick.random() < 0.3 else 0
    return Stock(
        known=known,
        trade=some(pick, (pick.choice([69_000, 70_100, 74_000]), pick.choice([0.5, 2.5, 9.0, 40.0])), 4),
        quoted=some(pick, (pick.choice([69_400, 70_300, 60_000]), pick.choice([0.0, 4.0, 25.0, 90.0])), 4),
        halted=pick.random() < 0.2, auction=pick.random() < 0.2,
        exiting=pick.choice(["", "stop", "target"]) if shares else "",
        resell=pick.random() < 0.5, shares=shares, cost=cost if shares else Fraction(0),
        owners=pick.choice([0, 0, 11]), stopped=pick.choice(["", "", "", "a fault"]),
        action=pick.choice([None] * 6 + [0, 1, 5]),
        overnight=some(pick, (5, Fraction(pick.choice([350_000, 410_001]))), 2),
        lost=some(pick, (pick.choice([1, 3, 4]), pick.choice([10.0, 1_795.0, 1_805.0])), 2),
    )  # fmt: skip


def draw(seed):
    """Draw a world."""
    pick = random.Random(seed)
    now = datetime.combine(
        DAY, pick.choice([time(8, 50), time(10, 31), time(14, 50), time(15, 24)]), bot.KST
    )
    ages = sorted((pick.choice([0.4, 0.99, 1.0, 3.0, 7.0, 59.0, 60.0, 61.0, 400.0, -3.0])
                   for _ in range(pick.randint(0, 9))), reverse=True)  # fmt: skip
    return World(
        now=now, late_day=pick.random() < 0.2, flat=pick.random() < 0.5,
        last_entry=pick.choice([time(14, 45), time(15, 5)]), level=pick.choice(list(bot.KillLevel)),
        holds=pick.sample(["feed", "clock", "no trades", "journal", "mismatch"], pick.randint(0, 2)),
        cash=some(pick, (pick.choice([500_000, 3_000_000]), pick.choice([0.0, 2.0, 5.0, 55.0, 56.0])), 5),
        peak=pick.choice([0, 40_000]), gross=Fraction(pick.choice([0, 31_000, -62_001]), 3),
        fees=pick.choice([0, 412]), taxes=pick.choice([0, 1_033]), orders_today=pick.randint(0, 40),
        morning_cash=pick.choice([0, 9_000_000]),
        lost_over_all=some(pick, (pick.choice([4, 5]), pick.choice([5.0, 1_799.0, 1_801.0])), 2),
        stocks={symbol: draw_stock(pick, symbol) for symbol in (SYMBOL, OTHER, FUND)},
        lines=[draw_line(pick, each) for each in ages],
    )  # fmt: skip


def build(world):
    """Put a world into an engine; return its bench."""
    bench = Bench(
        symbols=(SYMBOL, OTHER, FUND), funds=(FUND,), last_entry=world.last_entry,
        flat_at=None, stock_fee_pct=STOCK_FEE, fund_fee_pct=FUND_FEE,
        limits={"losses_in_a_row": 3, "losses_in_a_row_all": 5, "loss_pause_minutes": 30},
    )  # fmt: skip
    core, ledger = bench.engine.core, bench.ledger
    bench.command("restarted")
    hours = bot.session_of(DAY)
    hours = replace(hours, close=hours.close + timedelta(hours=world.late_day))
    bench.command("day", session=hours)
    bench.now = world.now
    core.now = world.now
    core.holds = dict.fromkeys(world.holds, world.now)
    for symbol, stock in world.stocks.items():
        state = core.symbols[symbol]
        state.instrument, state.view.fund = stock.known, symbol == FUND
        if stock.known:
            ledger.instruments[symbol] = replace(stock.known, last_price=0)
        if stock.trade:
            price, ago_s = stock.trade
            at = world.now - timedelta(seconds=ago_s)
            state.last_trade = bot.Trade(symbol, at, price, 10, 10, 10 * price, False)
        if stock.quoted:
            state.quoted = bot.Known(
                stock.quoted[0], world.now - timedelta(seconds=stock.quoted[1])
            )
        state.halted, state.auction = stock.halted, stock.auction
        if stock.exiting:
            state.exit = bot.ExitRun(stock.exiting, resell=stock.resell)
        position = state.view.position
        position.quantity, position.cost = stock.shares, stock.cost
        ledger.external |= {symbol: stock.owners} if stock.owners else {}
        if stock.stopped:
            ledger.stopped[symbol] = stock.stopped
        if stock.action is not None:
            seen_at = world.now - timedelta(days=stock.action)
            ledger.actions[symbol] = bot.ActionSeen(
                symbol, "ex-date", 70_000, 60_000, 5, 5, seen_at
            )
        if stock.overnight:
            ledger.overnight[symbol] = stock.overnight
        if stock.lost:
            ledger.today.losses[symbol] = stock.lost[0]
            ledger.today.lost_at[symbol] = world.now - timedelta(seconds=stock.lost[1])
    if world.lost_over_all:
        ledger.today.losses[""] = world.lost_over_all[0]
        ledger.today.lost_at[""] = world.now - timedelta(seconds=world.lost_over_all[1])
    for number, line in enumerate(world.lines):
        at = world.now - timedelta(seconds=line.ago_s)
        kind = K.LIMIT if line.price else K.MARKET
        ledger.apply(bot.OrderIntent(
            f"i{number}", DAY if line.today else EARLIER, line.symbol, line.side, kind, line.quantity,
            line.price, line.purpose, line.leg, f"s{number}", at, reserve_krw=line.reserve,
        ))  # fmt: skip
        order = ledger.orders[f"i{number}"]
        order.status, order.note, order.price = line.status, line.note, line.price_now
        order.fills = {f"{number}": (line.filled, line.filled * 70_000)} if line.filled else {}
    ledger._look_for_alive()
    today = ledger.today
    today.gross, today.fees_krw, today.taxes_krw = world.gross, world.fees, world.taxes
    today.peak_krw, today.orders = world.peak, world.orders_today
    ledger.level, ledger.morning_cash_krw = world.level, world.morning_cash
    core.cash = bot.Known(None)
    if world.cash:
        core.cash = bot.Known(world.cash[0], world.now - timedelta(seconds=world.cash[1]))
    return bench


# --- the second reading ---


def last_price(stock):
    """The last trade, else what REST told; 0 nothing."""
    return stock.trade[0] if stock.trade else stock.quoted[0] if stock.quoted else 0


def newest_price(stock):
    """The last trade, but REST's price when trades have been silent for over ten seconds before it."""
    if stock.trade and stock.quoted and stock.trade[1] - stock.quoted[1] > 10.0:
        return stock.quoted[0]
    return last_price(stock)


def price_or_cost(stock):
    """Before the first price: the base price or what a share cost, whichever is more."""
    base = stock.known.base_price if stock.known else 0
    each = math.ceil(float(stock.cost / stock.shares)) if stock.shares else 0
    return last_price(stock) or max(base, each)


def worth_of(world):
    """Won in each stock: shares of both at the price, ours never below cost, open buys as if filled."""
    worth = {}
    for symbol, stock in world.stocks.items():
        now = (stock.shares + stock.owners) * price_or_cost(stock)
        worth[symbol] = max(now, math.ceil(stock.cost))
        upper = stock.known.upper_limit if stock.known else price_or_cost(stock)
        worth[symbol] += sum(
            line.rest * (line.price_now or upper)
            for line in world.lines
            if line.alive and line.side is BUY and line.symbol == symbol
        )
    return worth


def result_of(world):
    """Today's result: realised after costs, and what is held since yesterday's close."""
    realised = math.floor(world.gross + Fraction(1, 2)) - world.fees - world.taxes
    held, night = Fraction(0), Fraction(0)
    for stock in world.stocks.values():
        if stock.shares:
            price = newest_price(stock) or price_or_cost(stock)
            held += price * stock.shares - stock.cost
        if stock.overnight and stock.known:
            shares, cost = stock.overnight
            night += shares * stock.known.base_price - cost
    return math.floor(realised + held - night)


def pause_of(world, symbol):
    """Three lost rounds of a stock, or five of all, pause for half an hour after the last of them."""
    ends = []
    for lost, most in ((world.stocks[symbol].lost, 3), (world.lost_over_all, 5)):
        if lost and lost[0] >= most and lost[1] < 1_800:
            ends.append(world.now - timedelta(seconds=lost[1]) + timedelta(minutes=30))
    return ends[0] if ends else None


def free_cash(world):
    """The broker's figure less the buys that it may not have in it yet, or of which nobody knows."""
    if world.cash is None:
        return None
    cash, ago_s = world.cash
    return cash - sum(
        line.reserve
        for line in world.lines
        if line.status.value in IN_DOUBT
        or (line.ago_s <= ago_s + 5.0 and line.status.value not in NEVER_WAS)
    )


def reading(world, symbol, purpose):
    """Reckon every fact that has a value of its own, by name."""
    stock, worth, result = world.stocks[symbol], worth_of(world), result_of(world)
    side = SELL if purpose == "exit" else BUY
    own = [
        line for line in world.lines
        if line.symbol == symbol and line.own and line.today and line.alive
    ]  # fmt: skip
    if purpose == "exit" and stock.exiting and stock.resell:
        own = [line for line in own if line.status.value not in ("unknown", "quarantined")]
    in_book = {
        line.side for line in own
        if line.status.value in RESTING and not line.note.startswith("40330000")
    }  # fmt: skip
    doubts = [
        line for line in own
        if line.status.value in IN_DOUBT and (purpose == "entry" or line.side is SELL)
    ]  # fmt: skip
    held = {each for each, its in world.stocks.items() if its.shares}
    bought = {line.symbol for line in world.lines if line.own and line.alive and line.side is BUY}
    decided = [line.ago_s for line in world.lines if line.own and line.ago_s >= 0]
    hour = timedelta(hours=world.late_day)
    opens, closes = time(9), datetime.combine(DAY, time(15, 30), bot.KST) + hour
    if world.now.time() < opens:
        phase = bot.Phase.OPENING_AUCTION
    elif world.now < closes - timedelta(minutes=10):
        phase = bot.Phase.CONTINUOUS
    else:
        phase = bot.Phase.CLOSING_AUCTION
    until = datetime.combine(DAY, world.last_entry, bot.KST) + hour
    night = sum(
        each.overnight[0] * each.known.base_price
        for each in world.stocks.values()
        if each.overnight and each.known
    )
    expected = {
        "now": world.now, "phase": phase, "instrument": stock.known,
        "last_price": last_price(stock),
        "last_price_age_s": stock.trade[1] if stock.trade else math.inf,
        "quote_price": stock.quoted[0] if stock.quoted else 0,
        "free_cash_krw": free_cash(world), "symbol_krw": worth[symbol],
        "total_krw": sum(worth.values()), "positions": len((held | bought) - {symbol}),
        "position": stock.shares,
        "open_sells": sum(line.rest for line in own if line.side is SELL),
        "opposite_resting": bool(in_book - {side}),
        "unresolved": f"{doubts[0].leg} is {doubts[0].status.value}" if doubts else "",
        "halted": stock.halted or stock.auction, "exiting": stock.exiting,
        "holds": tuple(world.holds),
        "stopped": stock.stopped or ("" if stock.action is None else "a corporate action waits for an answer"),
        "level": world.level, "entries_until": until,
        "orders_last_minute": sum(ago_s < 60 for ago_s in decided),
        "orders_last_second": sum(ago_s < 1 for ago_s in decided),
        "orders_today": world.orders_today, "day_loss_krw": -result,
        "drawdown_krw": world.peak - result, "morning_equity_krw": world.morning_cash + night,
        "paused_until": pause_of(world, symbol), "fee_pct": FUND_FEE if symbol == FUND else STOCK_FEE,
    }  # fmt: skip
    if stock.quoted:
        expected["quote_age_s"] = stock.quoted[1]
    return expected


def intent_of(symbol, purpose, now):
    """Return an order to be judged."""
    side = SELL if purpose == "exit" else BUY
    return bot.OrderIntent("x", DAY, symbol, side, K.LIMIT, 1, 70_000, purpose, purpose, "x", now)


@pytest.mark.parametrize("purpose", ["entry", "exit"])
@pytest.mark.parametrize("symbol", [SYMBOL, OTHER, FUND])
def test_each_fact_is_what_a_plain_reading_of_the_day_says(symbol, purpose):
    """Every field, for an entry and an exit, in worlds of chance."""
    for seed in range(250):
        world = draw(f"{symbol}{seed}")
        bench = build(world)
        facts = bench.engine.entries._facts(
            bench.engine.core.symbols[symbol], intent_of(symbol, purpose, world.now)
        )
        expected = reading(world, symbol, purpose)
        found = {name: getattr(facts, name) for name in expected}
        assert found == expected, seed
        if world.stocks[symbol].quoted is None:
            assert facts.quote_age_s > 10 * 365 * 86_400
        assert facts.limits is bench.settings.limits


@pytest.mark.parametrize("symbol", [SYMBOL, OTHER, FUND])
def test_the_room_for_one_more_buy_is_the_tightest_limit_or_the_cash(symbol):
    """One order, the stock, all stocks, and the cash that is free with the fee set aside; never below 0."""
    for seed in range(150):
        world = draw(f"room {symbol}{seed}")
        bench = build(world)
        worth, free = worth_of(world), free_cash(world) or 0
        fee = Decimal(free) * STOCK_FEE / 100
        room = min(
            free - int(fee.to_integral_value(ROUND_HALF_UP)) - 1, 2_000_000, 4_000_000 - worth[symbol],
            9_000_000 - sum(worth.values()),
        )  # fmt: skip
        assert bench.engine.entries.room(symbol) == max(0, room), seed


@pytest.mark.parametrize("symbol", [SYMBOL, OTHER, FUND])
def test_what_holds_an_entry_back_is_told_whole(symbol):
    """All reasons of a stock, each with its detail, as the status shows them."""
    for seed in range(150):
        world = draw(f"holds {symbol}{seed}")
        stock = world.stocks[symbol]
        expected = dict.fromkeys(world.holds, "")
        if world.level is not bot.KillLevel.ACTIVE:
            expected["level"] = world.level.name
        if stock.stopped:
            expected["stopped"] = stock.stopped
        if stock.action is not None:
            expected["action"] = ""
        doubts = [
            number for number, line in enumerate(world.lines)
            if line.symbol == symbol and line.own and line.today and line.status.value in IN_DOUBT
        ]  # fmt: skip
        if doubts:
            expected["unresolved"] = f"i{doubts[-1]}"
        if stock.exiting:
            expected["exiting"] = stock.exiting
        if until := pause_of(world, symbol):
            expected["pause"] = f"{until:%H:%M}"
        assert bot.holds_of(build(world).engine.core, symbol) == expected, seed


# --- wishes, and those that the broker's pace turned away ---


@pytest.mark.parametrize("fund", [False, True])
@pytest.mark.parametrize("owners", [False, True])
@pytest.mark.parametrize("kind", [K.LIMIT, K.MARKET, K.BEST_LIMIT])
@pytest.mark.parametrize("cash", [None, 0, 3_000_000])
def test_the_intent_of_a_wish_says_what_the_broker_will_hold_back(fund, owners, kind, cash):
    """At its price, or the highest of the day without one, with the fee of its kind of stock."""
    bench = Bench(
        symbols=(SYMBOL, FUND), funds=(FUND,), stock_fee_pct=STOCK_FEE, fund_fee_pct=FUND_FEE
    )
    bench.start()
    symbol = FUND if fund else SYMBOL
    core, state = bench.engine.core, bench.engine.core.symbols[symbol]
    state.instrument, state.view.fund = (
        replace(instrument(symbol), fund=fund, upper_limit=88_000),
        fund,
    )
    core.cash = bot.Known(cash, bench.now)
    price = 70_000 if kind is K.LIMIT else 0
    asked = bot.OrderRequest(symbol, BUY, 7, "s", kind, price, None, "why", owners=owners)
    intent = bench.engine.entries._intent_of(state, asked)
    value = 7 * (price or 88_000)
    fee = int((value * (FUND_FEE if fund else STOCK_FEE) / 100).to_integral_value(ROUND_HALF_UP))
    assert intent.reserve_krw == value + fee
    assert intent.cash_before_krw == (-1 if cash is None else cash)
    assert (intent.leg, intent.purpose) == (bot.OWNERS_LEG if owners else "entry", "entry")
    assert (intent.trade_date, intent.at, intent.reason) == (DAY, bench.now, "why")
    assert (intent.symbol, intent.quantity, intent.price, intent.kind) == (symbol, 7, price, kind)


def paced_order(bench, at, since, status, signal):
    """Return an entry that the broker's pace turned away, as the desk keeps it."""
    intent = bot.OrderIntent(
        "paced", DAY, SYMBOL, BUY, K.LIMIT, 10, 70_000, "entry", "entry", signal, at, reserve_krw=700_098,
        cash_before_krw=5_000_000,
    )  # fmt: skip
    bench.ledger.apply(intent)
    order = bench.ledger.orders["paced"]
    order.status, order.since = status, since
    bench.ledger._look_for_alive()
    bench.engine.entries.paced.append(order)
    return order


@pytest.mark.parametrize("decided", [6.0, 12.0, 19.9, 20.0, 20.1, 40.0])
@pytest.mark.parametrize("listed", [0.0, 2.0, 5.9, 6.0])
@pytest.mark.parametrize("cash_asked", [0.0, 0.9, 3.0])
def test_a_wish_that_was_turned_away_goes_again_only_when_list_and_cash_lack_it(
    decided, listed, cash_asked
):
    """Both looked five seconds after it; it is young; the cash did not fall; it went at most twice."""
    for away, status, fell, moved, tries in (
        (6.0, S.NOT_SENT, 0, None, 0), (5.0, S.NOT_SENT, 0, None, 1), (6.0, S.NOT_SENT, 0, None, 2),
        (6.0, S.WORKING, 0, None, 0), (6.0, S.NOT_SENT, 350_048, None, 0),
        (6.0, S.NOT_SENT, 350_049, None, 0), (6.0, S.NOT_SENT, 800_000, None, 1),
        (6.0, S.NOT_SENT, 0, "fill", 0), (6.0, S.NOT_SENT, 0, "order", 0),
        (6.0, S.NOT_SENT, -800_000, None, 0), (6.0, S.NOT_SENT, None, None, 0),
        (1.0, S.NOT_SENT, 0, None, 0),
    ):  # fmt: skip
        bench = Bench(flat_at=None).start()
        bench.trade(70_000)
        bench.seen(instrument())
        core, desk, now = bench.engine.core, bench.engine.entries, bench.now
        ago = {"at": now - timedelta(seconds=decided), "since": now - timedelta(seconds=away)}
        signal = "s" + bot.ONCE_MORE * tries
        order = paced_order(bench, ago["at"], ago["since"], status, signal)
        core.cash = bot.Known(
            None if fell is None else 5_000_000 - fell, now - timedelta(seconds=cash_asked)
        )
        if moved == "fill":
            core.last_fill_at = ago["at"]
        elif moved == "order":
            bench.ledger.apply(
                replace(order.intent, intent_id="other", symbol=OTHER, at=ago["at"], reserve_krw=0)
            )
            bench.ledger.orders["other"].status = S.REJECTED
            bench.ledger._look_for_alive()
        told = list(desk.try_again(now - timedelta(seconds=listed)))
        if away - max(listed, cash_asked) < 5.0:
            expected = [], [order], False
        elif status is not S.NOT_SENT:
            expected = [], [], False
        elif decided > 20.0 or tries > 1 or fell is None or moved or 2 * fell >= 700_098:
            expected = [order], [], False
        else:
            expected = [], [], True
        again = [
            each for each in bench.ledger.orders.values() if each.intent.signal == signal + " again"
        ]
        assert (told, desk.paced, bool(again)) == expected, (away, status, fell, moved, tries)
