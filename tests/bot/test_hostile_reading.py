"""What a hostile reading of the way of money found, one rule each: the smallest input that went wrong."""

import asyncio
from datetime import date, datetime, time, timedelta

import harness
import pytest
from test_days_of_others import overnight
from test_engine import (
    DAY,
    NEXT_DAY,
    SYMBOL,
    Bench,
    alerts,
    asks,
    calls,
    instrument,
    orders_of,
    wish,
)
from test_trader import Life, wishes
from test_wrong_clocks import wrong_clock

import kis_realtime_trading as bot

S = bot.OrderStatus
WIDE = bot.ExitPlan(40_000)


def again(bench):
    """Return the process after this one, five seconds later, before any price came."""
    second = Bench(ledger=bench.ledger, flat_at=None)
    second.now = bench.now + timedelta(seconds=5)
    second.command("restarted", text=bench.now.isoformat())
    second.command("day", session=bot.session_of(second.now.date()))
    return second


# --- the loss of the day before the first price ---


@pytest.mark.parametrize("close", [84_000, 56_000])
def test_shares_without_a_price_after_a_restart_have_lost_nothing(close):
    """Bought at 70,000, close 84,000, restarted at 10:00: no price yet is no loss of 140,000."""
    second = again(overnight(close))
    second.wait(3)
    assert second.engine.core.day_result_krw() >= 0
    assert second.ledger.level is bot.KillLevel.ACTIVE


def test_shares_bought_today_without_a_price_after_a_restart_stand_at_their_cost():
    """Bought at 80,000 beside a base price of 70,000."""
    bench = Bench().start()
    bench.hold_shares(plan=WIDE, price=71_000)
    second = again(bench)
    second.wait(3)
    costs = bench.ledger.today.net_krw
    assert second.engine.core.day_result_krw() == costs < 0


# --- plans at the edge of what a price can be ---


def test_a_stop_of_one_won_survives_a_split():
    """Scaled it would be a fifth of a won: no price, and no end of the program."""
    scaled = bot.scaled_plan(bot.ExitPlan(1, 90_000), 70_000, 14_000, False)
    assert scaled == bot.ExitPlan(1, 18_000)


def test_a_trail_as_wide_as_the_price_is_no_end_of_the_program():
    """99.999 % below 70,100 is less than a won."""
    bench = Bench().start()
    bench.hold_shares(plan=bot.ExitPlan(1, 0, 0.99999))
    bench.trade(70_100)
    bench.trade(70_200)
    assert bench.ledger.position(SYMBOL).plan.stop_price == 1


def test_a_start_without_limits_and_price_waits_with_a_resting_exit():
    """A restart beside a resting sell, limits shown as 0: no new price is made of nothing."""
    bench = Bench().start()
    bench.hold_shares()
    bench.state.instrument = bot.Instrument(SYMBOL, "KOSPI", False, 70_000, 0, 0, 70_000)
    bench.trade(68_000)
    bench.seen(bot.Instrument(SYMBOL, "KOSPI", False, 70_000, 0, 0, 68_000))
    [call] = [each for each in calls(bench.actions) if each.intent.purpose == "exit"]
    bench.ledger.apply(
        bot.OrderUpdate(call.intent.intent_id, bot.OrderEvent.ACCEPTED, bench.now, "0000000077")
    )
    second = again(bench)
    done = second.wait(30)
    assert calls(done) == []
    assert asks(done, "price")
    done = second.seen(bot.Instrument(SYMBOL, "KOSPI", False, 70_000, 0, 0, 67_900))
    [change] = calls(done + second.wait(10), "change")
    assert (change.kind, change.price) == (bot.OrderKind.LIMIT, 67_900)


# --- a cancel that finds nothing left ---


def refuse_cancels(bench, seconds, lists, text="40330000 nothing left"):
    """Let seconds pass in which each cancel is refused and lists come; return how many cancels."""
    code, _, words = text.partition(" ")
    sent = 0
    for second in range(seconds):
        for call in calls(bench.wait(1), "cancel"):
            sent += 1
            bench.answer(call, bot.Outcome.REFUSED, code=code, text=words)
        if lists and second % 5 == 0:
            bench.list_of(*bench.rows())
    return sent


def resting_entry():
    """Return a bench whose entry is older than its time, and nobody cancelled it yet."""
    bench = Bench(entry_timeout_s=60).start()
    [call] = calls(bench.want(wish()))
    bench.answer(call)
    return bench


@pytest.mark.parametrize("text", ["40330000 x", "APBK9003 정정/취소할 수량이 없습니다."])
def test_a_cancel_that_finds_nothing_left_waits_for_a_list(text):
    """The order is filled or gone; without a list of later no second cancel, however long."""
    bench = resting_entry()
    assert refuse_cancels(bench, 900, lists=False, text=text) == 1
    assert bot.Ask("orders", "") in bench.actions


def test_a_list_that_is_late_costs_few_cancels():
    """For nine minutes it shows the filled order alive: 4 cancels, not 12."""
    bench = resting_entry()
    assert refuse_cancels(bench, 560, lists=True) <= 4
    [order] = orders_of(bench)
    bench.fill(order)
    assert order.status is S.FILLED
    assert calls(bench.wait(400), "cancel") == []


def test_a_buy_of_which_nothing_is_left_holds_no_stop_back():
    """4 of 10 are booked, its cancel found nothing, the list is late: a stop sells the 4 at once."""
    bench = Bench(entry_timeout_s=60).start()
    [call] = calls(bench.want(wish(plan=bot.ExitPlan(69_000))))
    bench.answer(call)
    [order] = orders_of(bench)
    bench.fill(order, 4)
    assert refuse_cancels(bench, 80, lists=False) == 1
    [sell] = calls(bench.trade(68_900), "new")
    assert (sell.intent.side, sell.intent.quantity) == (bot.Side.SELL, 4)
    bench.answer(sell)
    bench.list_of(bench.row(order, 10), bench.row(orders_of(bench)[-1], 4, 68_900))
    [rest] = calls(bench.wait(8), "new")
    assert rest.intent.quantity == 6


def test_a_cancel_refused_for_another_reason_is_tried_again_soon():
    """The order may be alive: a second after the pause it is tried, list or no list."""
    bench = resting_entry()
    assert refuse_cancels(bench, 75, lists=False, text="IGW00007 two calls at once") >= 2


# --- an exit that fails alike at every try ---


def fail_exits(bench, seconds, outcome=bot.Outcome.REFUSED, code="40070000", text="no"):
    """Let seconds pass in which each new exit fails so; return the alerts and how many were tried."""
    told, tried = [], 0
    for _ in range(seconds):
        done = bench.wait(1)
        told += alerts(done)
        for call in calls(done, "new"):
            tried += 1
            told += alerts(bench.answer(call, outcome, code=code, text=text))
    return told, tried


@pytest.mark.parametrize(
    ("outcome", "code"), [(bot.Outcome.REFUSED, "40070000"), (bot.Outcome.NOT_SENT, "")]
)
def test_an_exit_that_is_refused_all_day_is_told_hourly(outcome, code):
    """Tried each minute for two hours: three refusals are told, and one try; not 240 messages."""
    bench = Bench().start()
    bench.hold_shares(plan=WIDE)
    bench.command("level", level=bot.KillLevel.FLATTEN_AND_HALT, text="x")
    told, tried = fail_exits(bench, 7_400, outcome, code)
    assert tried > 100
    assert (told.count("order_sent"), told.count("order_refused")) == (1, 3)


def test_another_reason_is_told_at_once_and_an_entry_at_each_time():
    """The broker says something new: no hour is waited for; entries are few and all told."""
    bench = Bench().start()
    bench.hold_shares(plan=WIDE)
    for signal in ("a", "b"):
        [call] = calls(bench.want(wish(signal)))
        done = bench.answer(call, bot.Outcome.REFUSED, code="40070000", text="no")
        assert alerts(done).count("order_refused") == 1
    bench.command("level", level=bot.KillLevel.FLATTEN_AND_HALT, text="x")
    assert fail_exits(bench, 300)[0].count("order_refused") == 1
    assert fail_exits(bench, 300, code="APBK0919")[0].count("order_refused") == 1


# --- ages and a clock that is set ---


def of_unknown_outcome(bench):
    """Let an entry end without an answer; return the order."""
    [call] = calls(bench.want(wish()))
    bench.answer(call, bot.Outcome.UNKNOWN)
    return bench.ledger.orders[call.intent.intent_id]


def look(bench, times):
    """Let seconds pass, each with an empty list and the cash of before."""
    for _ in range(times):
        bench.wait(1)
        bench.list_of()
        bench.seen(bot.Cash(10_000_000))


def jump(bench, **by):
    """Set the clock; the bridge holds entries for it before anything else is done."""
    bench.now += timedelta(**by)
    bench.command("hold", text="clock")


@pytest.mark.parametrize("minutes", [4, 12, 400])
def test_a_clock_that_jumps_ahead_proves_no_absence(minutes):
    """Lists in the seconds after an order prove nothing, whatever the clock says of their age."""
    bench = Bench().start()
    order = of_unknown_outcome(bench)
    jump(bench, minutes=minutes)
    look(bench, 30)
    assert order.status is S.UNKNOWN
    look(bench, 170)
    assert order.status is (S.LOST if minutes < 300 else order.status)


def test_silence_proves_absence_from_the_moment_at_which_the_clock_was_corrected():
    """What happened by a clock an hour behind did not last an hour."""
    bench = Bench().start("11:00:00")
    order = of_unknown_outcome(bench)
    bench.command("hold", text="clock")
    bench.now += timedelta(hours=1)
    bench.command("release", text="clock")
    look(bench, 150)
    assert order.status is S.UNKNOWN
    look(bench, 60)
    assert order.status is S.LOST


def test_a_sell_of_unknown_outcome_is_not_sold_again_for_a_jump():
    """A balance of the same second, by the clock four minutes later, shows nothing free."""
    bench = Bench().start()
    bench.hold_shares(plan=bot.ExitPlan(69_000))
    bench.balance((SYMBOL, 10))
    [call] = calls(bench.trade(68_900))
    bench.answer(call, bot.Outcome.UNKNOWN)
    jump(bench, minutes=4)
    bench.balance((SYMBOL, 10))
    assert calls(bench.wait(3), "new") == []
    bench.wait(3)
    bench.balance((SYMBOL, 10))
    [second] = calls(bench.wait(3), "new")
    assert second.intent.quantity == 10


def test_a_clock_in_the_evening_ends_no_order_and_keeps_no_close():
    """At 10:06 it jumps to 16:06: the entry lives, and the price of now is no close of the day."""
    bench = Bench(entry_timeout_s=60, flat_at=None).start()
    bench.hold_shares(plan=WIDE)
    [call] = calls(bench.want(wish("later")))
    bench.answer(call)
    order = bench.ledger.orders[call.intent.intent_id]
    jump(bench, hours=6)
    done = []
    for _ in range(120):
        done += bench.wait(1) + bench.list_of(*bench.rows()) + bench.seen(instrument(price=70_000))
    assert order.status in bot.OPEN_STATUSES
    assert bench.ledger.closes == {}
    assert "unsold" not in alerts(done)


def test_a_clock_that_is_never_right_keeps_the_close_by_the_exchanges_time():
    """It is held as doubtful all day; the trades of the closing auction say what time it is."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(plan=WIDE)
    bench.command("hold", text="clock")
    bench.at("15:29:00")
    bench.at("15:30:10")
    bench.trade(70_100)
    bench.at("15:31:10")
    assert bench.ledger.closes[SYMBOL].price == 70_100


def test_the_next_day_begins_with_ages_of_its_own():
    """What was counted anew yesterday is nothing today."""
    bench = Bench(flat_at=None).start()
    of_unknown_outcome(bench)
    jump(bench, minutes=4)
    bench.command("release", text="clock")
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    bench.start("10:00:00")
    order = of_unknown_outcome(bench)
    look(bench, 60)
    assert order.status is S.UNKNOWN
    look(bench, 140)
    assert order.status is S.LOST


# --- the doors ---


def test_the_order_list_is_that_of_the_day_whatever_the_clock_says():
    """A clock that jumps to the next day asks for no list of a day that has not begun."""
    asked = []

    async def story(life):
        set_off = wrong_clock(life)
        trader, run = await life.begin(wishes("09:20:00", plan=(0.8, 1.2)))
        of_day = trader.broker.orders.orders_of

        async def note(day):
            asked.append(day)
            return await of_day(day)

        trader.broker.orders.orders_of = note
        await asyncio.sleep(100)
        set_off(24 * 3600)
        await asyncio.sleep(90)
        await life.stop(trader, run)

    life = Life(density=20.0)
    life.play(story)
    assert set(asked) == {life.sim.config.day}
    assert len(asked) > 5


class LongMemory(harness.Nothing):
    """Looks back further than the calendar of this program does."""

    past_days = 1_000


def test_days_before_the_calendar_are_left_out():
    """Daily bars of 2022 and earlier are no bars of a session that is known; the rest is."""

    async def story(life):
        trader, run = await life.begin()
        days = [bot.DailyBar(date(2022, 12, n), 1, 1, 1, 1, 1, 1) for n in (28, 29)]
        days += [bot.DailyBar(date(2026, 11, 19), 70, 71, 69, 70, 5, 350)]

        async def of_long_ago(symbol, first, last):
            return days

        trader.broker.market.daily_bars = of_long_ago
        session = bot.session_of(DAY)
        seen = await trader.broker.past(SYMBOL, session, 1, LongMemory.past_days)
        await life.stop(trader, run)
        return [bar.close for bar in seen.value.bars]

    assert Life().play(story) == [70]


def test_the_last_day_of_the_calendar_is_reported_and_says_what_to_do():
    """The next session is not known: the evening is told all the same, then that an update is due."""

    async def story(life):
        trader = life.world.make_trader(harness.Nothing())
        run = asyncio.create_task(trader.run())
        await asyncio.wait([run])
        trader.journal.close()
        return str(run.exception())

    life = Life(start="15:28:00", day=date(2027, 12, 30))
    assert "no calendar for 2028: update this program" in life.play(story)
    assert life.alerts()[-2:] == ["day_report", "stopped"]


@pytest.mark.parametrize(
    ("start", "day", "said"),
    [
        ("00:00:05", "2026-11-21", "closed_day"), ("12:00:00", "2026-11-22", "closed_day"),
        ("23:59:50", "2026-11-20", "session_over"), ("15:30:01", "2026-11-20", "session_over"),
        ("00:00:01", "2026-11-23", "before_start"), ("09:00:00", "2026-12-25", "closed_day"),
        ("08:59:59", "2026-11-19", "before_start"), ("15:45:00", "2026-11-19", "morning"),
        ("15:29:55", "2026-11-20", "morning"), ("09:59:58", "2026-01-02", "morning"),
    ],
)  # fmt: skip
def test_a_start_at_an_odd_hour_says_where_the_day_stands(start, day, said):
    """Midnight, a weekend, a holiday, seconds around open and close, exam day and the first of a year."""

    async def story(life):
        trader = life.world.make_trader(harness.Nothing())
        run = asyncio.create_task(trader.run())
        await asyncio.sleep(60)
        ended = run.done()
        await life.stop(trader, run)
        return ended

    life = Life(start=start, day=date.fromisoformat(day))
    assert life.play(story) is False
    assert said in life.alerts()
    assert not {"error", "trouble"} & set(life.alerts())
