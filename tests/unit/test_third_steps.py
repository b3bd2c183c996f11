"""Rules of the engine that show late: over a night, beside a call under way, after a slow answer.

Each was found by taking a line of the engine away and seeing nobody miss it.
"""

from dataclasses import replace
from datetime import datetime, time, timedelta
from fractions import Fraction

import pytest
from test_engine import (
    BUY,
    DAY,
    NEXT_DAY,
    OTHER,
    SELL,
    SYMBOL,
    Bench,
    K,
    S,
    Scripted,
    alerts,
    asks,
    calls,
    instrument,
    orders_of,
    records,
    restarted,
    wish,
)

import kis_realtime_trading as bot

FAR = bot.ExitPlan(50_000, 90_000)


def notice(kind, number, quantity=10, action="0", original="", side=BUY, price=70_000):
    """Return a notice about SYMBOL."""
    return bot.Notice(kind, action, number, original, SYMBOL, side, quantity, price, "100000")


def sending(bench, signal="first", **more):
    """Have an entry leave that has no answer yet; return its call and its order."""
    [call] = calls(bench.want(wish(signal, plan=FAR, **more)), "new")
    return call, bench.ledger.orders[call.intent.intent_id]


def next_day(bench, text="08:30:00"):
    """Let the next trading day begin in the same process."""
    bench.now = datetime.combine(NEXT_DAY, time.fromisoformat(text), bot.KST)
    bench.totals = dict.fromkeys(bench.totals, 0)
    return bench.feed(bot.TimeEvent(bench.now)) + bench.command(
        "day", session=bot.session_of(NEXT_DAY)
    )


# --- an exit over a night ---


def test_an_exit_of_yesterday_waits_while_the_price_scale_is_in_doubt():
    """A split over night: the exit that was under way sells nothing until the owner has answered."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares()
    bench.trade(68_900)
    assert bench.state.exit
    [call] = calls(bench.actions, "new")[-1:]
    bench.answer(call, bot.Outcome.REFUSED, code="APBK0919")
    bench.at("15:30:05")
    bench.trade(68_900)
    bench.at("15:31:10")
    next_day(bench)
    half = bot.Instrument(SYMBOL, "KOSPI", False, 34_450, 44_750, 24_150, 34_450)
    bench.seen(half)
    bench.seen(instrument(OTHER))
    bench.list_of()
    bench.account((SYMBOL, 20))
    bench.seen(bot.Cash(10_000_000))
    bench.command("feed up")
    bench.list_of()
    assert bench.ledger.actions.keys() == {SYMBOL} and bench.state.exit
    bench.at("09:00:05")
    assert calls(bench.trade(34_450) + bench.wait(70)) == []
    done = bench.command("levels", text=f"{SYMBOL}=scale") + bench.wait(2)
    [sell] = calls(done, "new")
    assert (sell.intent.side, sell.intent.quantity) == (SELL, 20)


def test_an_exit_before_the_opening_only_waits():
    """It went on after a restart at 08:35: no try is refused, and the first leaves as trading begins."""
    first = Bench(exit_step_s=5).start()
    first.hold_shares()
    first.trade(68_900)
    bench = Bench(ledger=restarted(first).ledger, exit_step_s=5, flat_at=None)
    bench.now = datetime.combine(NEXT_DAY, time(8, 35), bot.KST)
    bench.start("08:40:00", holdings=[(SYMBOL, 10)])
    run = bench.state.exit
    assert run.reason == "stop"
    done = bench.wait(30) + bench.list_of() + bench.at("08:59:59")
    assert (records(done, "refusal"), calls(done), run.refusals) == ([], [], 0)
    assert [call.intent.side for call in calls(bench.at("09:00:00"), "new")] == [SELL]


# --- a call that has no answer yet ---


def test_an_order_under_way_has_no_witness_yet():
    """Cash of the time of the call is no look at an order of unknown outcome."""
    bench = Bench().start()
    call, order = sending(bench)
    bench.wait(8)
    bench.seen(bot.Cash(10_000_000))
    bench.wait(3)
    bench.answer(call, bot.Outcome.UNKNOWN)
    assert order.status is S.UNKNOWN
    assert bench.engine.core.reconciler.searches == {}


def test_an_order_that_rests_has_no_witness():
    """Nor is there one for an order whose outcome is known, when a change of it is lost later."""
    bench = Bench().start()
    call, _ = sending(bench)
    bench.answer(call)
    bench.wait(8)
    bench.seen(bot.Cash(10_000_000))
    assert bench.engine.core.reconciler.searches == {}


@pytest.mark.parametrize("status", ["resting", "cancelling", "quarantined"])
def test_a_notice_names_only_an_order_that_waits_for_its_number(status):
    """An equal order of the owner does not become the number of one that is known, or is asked about."""
    bench = Bench().start()
    call, order = sending(bench)
    if status == "quarantined":
        bench.answer(call, bot.Outcome.UNKNOWN)
        bench.engine.core.apply(
            bot.OrderUpdate(call.intent.intent_id, bot.OrderEvent.AMBIGUOUS, bench.now)
        )
        assert order.status is S.QUARANTINED
    else:
        bench.answer(call)
    if status == "cancelling":
        bench.command("stop", text="cancel")
        assert order.status is S.CANCEL_PENDING
    bench.feed(notice(bot.NoticeKind.RECEIVED, "0000000900"))
    assert order.heard == []


def test_a_number_and_the_account_bind_by_when_the_balance_was_asked():
    """A question of before the patience is over proves nothing, however late its answer comes."""
    bench = Bench().start()
    call, order = sending(bench)
    bench.feed(notice(bot.NoticeKind.RECEIVED, "0000000077"))
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.wait(6)
    bench.seen(bot.Cash(10_000_000 - order.intent.reserve_krw))
    asked = order.intent.at + timedelta(seconds=14)
    bench.now = max(bench.now, asked) + timedelta(seconds=10)
    bench.feed(bot.TimeEvent(bench.now))
    bench.list_of(asked_at=asked)
    assert order.status is S.UNKNOWN
    bench.list_of(asked_at=order.intent.at + timedelta(seconds=15))
    assert (order.status, order.order_no) == (S.WORKING, "0000000077")


def test_a_call_of_yesterday_is_over_today():
    """Its answer never came: nothing of today waits for it."""
    bench = Bench().start()
    sending(bench)
    next_day(bench)
    assert bench.engine.core.calling == set()


# --- past bars ---


def past(day, count, minutes):
    """Return bars of so many minutes from the opening of a day on."""
    begin = datetime.combine(day, time(9), bot.KST)
    length = timedelta(minutes=minutes)
    return tuple(
        bot.Bar(
            SYMBOL,
            begin + n * length,
            begin + (n + 1) * length,
            70_000,
            70_000,
            70_000,
            70_000,
            1,
            70_000,
            0,
        )
        for n in range(count)
    )


def test_a_long_history_of_minutes_takes_no_other_day_away():
    """Whole days take the place of short bars; three hours of minutes do not."""
    bench = Bench().start()
    first = past(DAY - timedelta(days=2), 3, 5)
    bench.seen(bot.PastBars(SYMBOL, first))
    bench.seen(bot.PastBars(SYMBOL, past(DAY - timedelta(days=1), 40, 5)))
    assert list(bench.state.view.bars)[:3] == list(first)
    assert len(bench.state.view.bars) == 43
    bench.seen(bot.PastBars(SYMBOL, past(DAY - timedelta(days=1), 1, 390)))
    assert len(bench.state.view.bars) == 1


# --- totals of the day ---


def test_trades_older_than_a_wrong_total_ask_once_and_are_then_believed():
    """The first asks REST; the third is believed, told, and the count begins anew."""
    bench = Bench().start()
    bench.trade(70_000)
    bench.totals[SYMBOL] += 40  # below WILD_JUMP
    bench.trade(70_000)
    bench.totals[SYMBOL] = 12
    seen = []
    for _ in range(3):
        bench.wait(1)
        bench.totals[SYMBOL] += 1
        seen.append(bench.trade(70_000, volume=1))
    assert [len(asks(each, "price")) for each in seen] == [1, 0, 0]
    assert [alerts(each) for each in seen] == [[], [], ["error"]]
    assert bench.state.deaf == 0
    assert bench.state.builder.cum_volume == bench.totals[SYMBOL]


# --- what a strategy is shown ---


class Looking(Scripted):
    """Notes what it is shown at each trade."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def on_trade(self, view, trade):
        self.shown.append(
            (view.now, view.last_price, view.day_vwap, view.open_orders, view.cash_krw > 0)
        )


def test_a_strategy_is_shown_this_moment():
    """The time of the bot, the price of the trade that it is asked about, the day's average."""
    bench = Bench(strategy=Looking()).start()
    bench.wait(3)
    bench.trade(70_300)
    assert bench.strategy.shown[-1] == (bench.now, 70_300, 69_000.0, 0, True)
    call, _ = sending(bench)
    bench.answer(call)
    bench.wait(2)
    bench.trade(70_200)
    assert bench.strategy.shown[-1] == (bench.now, 70_200, 69_000.0, 1, True)


# --- what an exit writes and says ---


def test_the_decision_to_sell_stands_in_the_journal_with_what_decided():
    """Why, how many, at which price, by which plan; the level of the exit before the order."""
    bench = Bench().start()
    bench.hold_shares()
    done = bench.trade(68_900)
    kinds = [each.kind for each in done if isinstance(each, bot.Record)]
    assert kinds.index("ledger") < kinds.index("decision") < kinds.index("intent")
    assert records(done, "decision") == [
        bot.Record("decision", SYMBOL, {
            "side": "SELL", "reason": "stop", "quantity": 10, "price": 68_900,
            "plan": bot.ExitPlan(69_000, 72_000),
        })
    ]  # fmt: skip


def test_a_waiting_exit_is_told_after_a_minute_and_each_hour_though_it_waited_before():
    """Told once, it is told again an hour later, not within; a halt and a locked price alike."""
    bench = Bench(flat_at=None, exit_step_s=600).start()
    bench.hold_shares()
    bench.trade(68_900)
    bench.trade(68_900, halted=True)
    told = []
    for minute in range(1, 135):
        before = len(bench.actions)
        bench.wait(60)
        bench.list_of(*bench.rows())
        if "exit_waits" in alerts(bench.actions[before:]):
            told.append(minute)
    assert told in ([1, 61, 121], [2, 62, 122])


def test_an_exit_on_its_last_step_stays_a_market_order():
    """Changes make it stronger three times at most, one after the other."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    kinds = []
    done = bench.trade(68_900)
    for _ in range(6):
        for call in calls(done):
            kinds.append((call.action, call.kind or str(call.intent.kind)))
            bench.answer(call)
        bench.list_of(*bench.rows())
        done = bench.wait(6)
    assert kinds == [("new", K.LIMIT), ("change", K.BEST_LIMIT), ("change", K.MARKET)]


def test_each_sent_order_and_fill_is_told_with_its_numbers():
    """What a person is told: every value, not only the code."""
    bench = Bench().start()
    [call] = calls(bench.want(wish("told", reason="a cause")), "new")
    bench.answer(call)
    [order] = orders_of(bench)
    bench.fill(order, 4)
    bench.fill(order, 10, 70_100)
    told = [
        (each.code, each.values)
        for each in bench.actions
        if isinstance(each, bot.Alert) and each.code in ("order_sent", "partly_filled", "filled")
    ]
    common = {"symbol": SYMBOL, "side": BUY, "reason": "a cause"}
    assert told == [
        ("order_sent", {**common, "quantity": 10, "price": 70_000, "kind": "LIMIT"}),
        ("partly_filled", {**common, "quantity": 4, "price": 70_000.0, "left": 6, "total": 4, "average": 70_000.0}),
        ("filled", {
            **common, "quantity": 6, "price": (701_000 - 280_000) / 6, "left": 0, "total": 10,
            "average": 70_100.0,
        }),
    ]  # fmt: skip


# --- rows ---


def test_a_value_that_has_no_place_in_the_journal_is_refused():
    """Each kind of value by its one text; another kind is an error, not a text of its own."""
    values = {
        "side": BUY, "fraction": Fraction(1, 3), "day": DAY, "none": None, "row": (1, 2.5, True),
        "quote": bot.Quote(SYMBOL, datetime.combine(DAY, time(10), bot.KST), 2, 1, 0, 0, 0, "C"),
    }  # fmt: skip
    assert bot.canonical_json(values) == (
        '{"day":"2026-11-20","fraction":"1/3","none":null,"quote":{"ask":2,"ask_size":0,"bid":1,"bid_size":0,'
        '"expected_price":0,"session_code":"C","symbol":"005930","ts_exchange":"2026-11-20T10:00:00+09:00",'
        '"type":"Quote"},"row":[1,2.5,true],"side":"BUY"}'
    )
    for odd in ({1, 2}, object(), b"bytes"):
        with pytest.raises(TypeError, match="has no place in the journal"):
            bot.canonical_json({"a": odd})


class Meddling(Scripted):
    """Writes into one field of what it is shown, and fails or not."""

    def __init__(self, name, fails):
        super().__init__()
        self.name, self.fails = name, fails

    def on_trade(self, view, trade):
        other = (
            view.position.values() and bot.Position(quantity=99)
            if self.name == "position"
            else None
        )
        setattr(view, self.name, other)
        if self.fails:
            raise ValueError


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", ["symbol", "session", "position", "bars", "fund", "quote"])
def test_what_a_strategy_wrote_into_its_view_is_not_what_the_engine_goes_by(name, fails):
    """Field by field: it is put back, its stock is stopped, and the stop of the position still fires."""
    bench = Bench().start()
    bench.hold_shares()
    bench.quote(69_900)
    view = bench.state.view
    before = getattr(view, name)
    bench.engine.strategy = Meddling(name, fails)
    bench.engine._hears_trades = True
    bench.trade(70_000)
    assert getattr(view, name) is before
    assert SYMBOL in bench.ledger.stopped
    assert [call.intent.quantity for call in calls(bench.trade(68_900), "new")] == [10]


HINTS = {
    ("received", "0"): "", ("received", "1"): "", ("received", "2"): "",
    ("confirmed", "0"): "", ("confirmed", "1"): "", ("confirmed", "2"): "cancelled",
    ("refused", "0"): "", ("refused", "1"): "", ("refused", "2"): "",
    ("fill", "0"): "10 shares", ("fill", "1"): "10 shares", ("fill", "2"): "10 shares",
    ("rest cancelled", "0"): "cancelled", ("rest cancelled", "1"): "cancelled", ("rest cancelled", "2"): "cancelled",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "action"), HINTS)
def test_what_each_notice_hints_at(kind, action):
    """Fills and ends only; a receipt, a refusal and the confirmation of a change end no order."""
    bench = Bench().start()
    call, _ = sending(bench)
    bench.answer(call)
    [order] = orders_of(bench)
    bench.feed(notice(bot.NoticeKind(kind), order.order_no, action=action))
    hints = bench.engine.core.reconciler.hints
    found = {key: (each.quantity, each.amount_krw, each.cancelled) for key, each in hints.items()}
    expected = {
        "": {},
        "cancelled": {order.order_no: (0, 0, True)},
        "10 shares": {order.order_no: (10, 700_000, False)},
    }
    assert found == expected[HINTS[kind, action]]


def test_each_list_takes_only_its_news_out_of_what_notices_said():
    """Eight shares were heard of: lists that show three, then five, leave five and three open."""
    bench = Bench().start()
    call, order = sending(bench)
    bench.answer(call)
    for shares in (3, 5):
        bench.feed(notice(bot.NoticeKind.FILL, order.order_no, shares))
    left = []
    for filled in (3, 5, 5, 8):
        bench.fill(order, filled)
        hint = bench.engine.core.reconciler.hints[order.order_no]
        left.append((hint.quantity, hint.amount_krw))
    assert left == [(5, 350_000), (3, 210_000), (3, 210_000), (0, 0)]


def test_the_newest_look_at_the_account_says_whether_an_order_arrived():
    """Cash that was held back and is free again: by then the order is not there."""
    bench = Bench().start()
    call, order = sending(bench)
    bench.answer(call, bot.Outcome.UNKNOWN)
    seen = []
    for cash in (
        10_000_000 - order.intent.reserve_krw,
        10_000_000,
        10_000_000 - order.intent.reserve_krw,
    ):
        bench.wait(10)
        bench.seen(bot.Cash(cash))
        [search] = bench.engine.core.reconciler.searches.values()
        seen.append((search.witnesses, search.arrived))
    assert seen == [(1, True), (2, False), (3, True)]


def test_an_answer_without_limits_still_says_that_a_stock_is_barred():
    """The limits of the day stay, price and warning are the newest; the next whole answer lifts it."""
    bench = Bench().start()
    bench.seen(bot.Instrument(SYMBOL, "KOSPI", False, 0, 0, 0, 70_500, blocked=bot.HALTED))
    known = bench.state.instrument
    assert (known.lower_limit, known.upper_limit, known.last_price, known.blocked) == (
        49_000, 91_000, 70_500, bot.HALTED,
    )  # fmt: skip
    assert bench.state.halted
    bench.seen(instrument())
    assert (bench.state.instrument.blocked, bench.state.halted) == ("", False)


def test_shares_of_a_middle_number_do_not_bring_it_back():
    """Changed twice, and the list shows only then what was filled in between: the newest number stays."""
    bench = Bench(exit_step_s=5).start()
    bench.hold_shares()
    done, rows = bench.trade(68_900), bench.rows()
    for _ in range(3):
        [call] = calls(done)
        bench.answer(call)
        done = bench.wait(6)
    [_, order] = orders_of(bench)
    first, second, third = [
        number
        for (_, number), key in bench.ledger.by_number.items()
        if key == order.intent.intent_id
    ]
    assert order.order_no == third
    old = bench.row(order, number=first, cancelled_quantity=10)
    middle = bench.row(order, 3, 68_800, second, original_no=first, cancelled_quantity=7)
    newest = replace(bench.row(order, number=third, original_no=second), quantity=7)
    for seen in ((old, middle, newest), (newest, middle, old)):
        bench.list_of(*rows, *seen)
        assert (order.order_no, order.filled_quantity, order.status) == (third, 3, S.PARTIAL)
    assert "REPLACED" not in str([row.data for row in records(bench.actions, "ledger")])


def test_a_trade_of_a_moment_to_come_fires_nothing_but_a_question():
    """Ten seconds ahead of a clock that is right: REST says what it is worth."""
    bench = Bench().start()
    bench.hold_shares()
    ahead = bench.trade(68_900, ts=bench.now + timedelta(seconds=10))
    assert (calls(ahead), [each.symbol for each in asks(ahead, "price")]) == ([], [SYMBOL])
    assert bench.state.exit is None
    assert [call.intent.side for call in calls(bench.seen(instrument(price=68_900)), "new")] == [
        SELL
    ]


@pytest.mark.parametrize(("original", "adopted"), [("", 1), ("0000000800", 0)])
def test_the_change_of_an_order_that_nobody_knows_is_no_new_order(original, adopted):
    """Its first number comes with a later list: counted twice, the owner's shares would double."""
    bench = Bench().start()
    row = bot.BrokerOrder(
        "0000000801", original, "06010", SYMBOL, BUY, "00", 5, 70_000, 0, 0, 0, 0, "100100"
    )
    bench.list_of(row)
    assert len(bench.ledger.orders) == adopted
    assert alerts(bench.actions).count("external_order") == adopted


class FailsOnce(Scripted):
    """Fails at its first trade; counts how often it is asked."""

    asked = 0

    def on_trade(self, view, trade):
        self.asked += trade.symbol == SYMBOL
        if trade.symbol == SYMBOL and self.asked == 1:
            raise ValueError


def test_an_unlocked_stock_is_asked_about_again():
    """Its strategy had failed: stopped for the day, until the owner lets it go on."""
    bench = Bench(strategy=FailsOnce()).start("09:00:00")
    asked = []
    for word in ("", "unlock", ""):
        if word:
            bench.command(word, text=SYMBOL)
        bench.wait(1)
        bench.trade(70_000)
        asked.append(bench.strategy.asked)
    assert asked == [1, 2, 3]
    assert bench.ledger.stopped == {}


def test_the_number_of_another_order_resolves_nothing():
    """It is refused and told: two orders of one number would share its fills."""
    bench = Bench().start()
    call, known = sending(bench)
    bench.answer(call)
    lost, order = sending(bench, "second", price=70_100)
    bench.answer(lost, bot.Outcome.UNKNOWN)
    bench.engine.core.apply(
        bot.OrderUpdate(order.intent.intent_id, bot.OrderEvent.AMBIGUOUS, bench.now)
    )
    told = bench.command("resolve", text=f"{order.intent.intent_id}={known.order_no}")
    assert (alerts(told)[-1], order.status, order.order_no) == ("error", S.QUARANTINED, "")
    assert bench.ledger.order_of(known.order_no) is known
