"""What was used must be as good as new: after a day, a gap, a bad frame, a restart.

Two objects, one with a past and one without, are compared field by field; a short list says what may
differ, and why. A mistake that leaves something over shows here whatever it will break later.
"""

from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest
from compare import differences
from test_codec import quote_frame, trade_frame
from test_engine import (
    BUY,
    DAY,
    NEXT_DAY,
    OTHER,
    SYMBOL,
    Bench,
    alerts,
    calls,
    instrument,
    orders_of,
    restarted,
    wish,
)

import kis_realtime_trading as bot

S, E = bot.OrderStatus, bot.OrderEvent

# --- the decoder ---


def trade(records=1, **changes):
    """Return a frame of trades of DAY, all alike."""
    frame = trade_frame(**{"f33": f"{DAY:%Y%m%d}", "f34": "20", "f35": "N", **changes})
    head, _, record = frame.rpartition("|")
    return head.replace("|001", f"|{records:03d}") + "|" + "^".join([record] * records)


def book(**changes):
    """Return a frame of an order book."""
    return quote_frame(**changes)


def decoded(decoder, frame):
    """Return the events of a frame, or that it is bad."""
    try:
        return list(decoder.decode(frame))
    except bot.BadData:
        return "bad"


# name -> frames that cannot be read, or not be believed
BAD_FRAMES = {
    "price of 0": [trade(f2="0"), trade(f2="0")],
    "no shares": [trade(f12="0"), trade(f12="0")],
    "price and shares of 0": [trade(f2="0", f12="0"), trade(2, f2="0"), trade(2, f2="00")],
    "total of 0": [trade(f13="0", f14="0"), trade(f13="0")],
    "value far above the total": [trade(f14="99985324170000"), trade(2, f14="99985324170000")],
    "total far above the value": [trade(f13="305250700"), trade(3, f13="305250700")],
    "more shares than the total": [trade(f12="9999999"), trade(f12="9999999")],
    "a time that is none": [trade(f1="256199"), book(f1="256199"), trade(f1="93354")],
    "a trade of yesterday": [trade(f33="20261119"), trade(2, f33="20261119")],
    "a trade of a day that is none": [trade(f33="20261340"), trade(f33="2026112")],
    "cut off": [trade()[:-30], trade()[:40], "0|H0STCNT0|001|", "0|H0STCNT0|001"],
    "more records than told": [
        trade(2).replace("|002|", "|001|"),
        trade().replace("|001|", "|003|"),
    ],
    "numbers with signs": [trade(f2="-71900"), trade(f12="+1"), trade(f13="3,052,507")],
    "numbers of other alphabets": [trade(f2="٧١٩٠٠"), book(f3="٧١٩٠٠")],
    "a book of words": [book(f3="x"), book(f23=""), book(f47="y")],
    "another TR": [trade().replace("H0STCNT0", "H0STXXX0"), "0|H0STCNI0|001|plain"],
    "a halted trade": [trade(f35="Y"), trade(f34="30")],
    "no frame": ["", "|", "|||", "{", "2|H0STCNT0|001|x"],
}


@pytest.mark.parametrize("name", sorted(BAD_FRAMES))
def test_a_bad_frame_leaves_nothing_behind(name):
    """What follows a frame that cannot be read is read as by a decoder that never saw it."""
    used, fresh = bot.FrameDecoder("1234567801", DAY), bot.FrameDecoder("1234567801", DAY)
    good = [trade(), book(), trade(f12="7", f13="900", f14="64710000")]
    for decoder in (used, fresh):  # both know the short way by now
        for frame in good * 2:
            decoder.decode(frame)
    for frame in BAD_FRAMES[name]:
        decoded(used, frame)
    for frame in [*good, *BAD_FRAMES[name], *good]:
        assert decoded(used, frame) == decoded(fresh, frame), frame[:60]
    assert used._day_text == fresh._day_text


@pytest.mark.parametrize("name", sorted(BAD_FRAMES))
def test_a_bad_frame_is_judged_alike_by_the_short_way_and_the_long(name):
    """A decoder that knows the short way believes nothing that one without it refuses."""
    for frame in BAD_FRAMES[name]:
        used = bot.FrameDecoder("1234567801", DAY)
        for known in [trade(), book(), trade(records=2), trade()]:
            used.decode(known)
        assert decoded(used, frame) == decoded(bot.FrameDecoder("1234567801", DAY), frame)


def test_a_decoder_of_a_second_day_equals_a_new_one():
    """set_day leaves nothing of the day before but the keys of the session."""
    used, fresh = bot.FrameDecoder("", DAY), bot.FrameDecoder("", NEXT_DAY)
    for frame in (trade(), book(), trade(records=2)):
        used.decode(frame)
    used.set_day(NEXT_DAY)
    assert differences(used, fresh) == []
    monday = f"{NEXT_DAY:%Y%m%d}"
    for frame in (trade(f33=monday), book(), trade(f33=monday), trade()):
        assert used.decode(frame) == fresh.decode(frame)
        assert differences(used, fresh, (".*match", "._one_usual", "*._usual*")) == []
    assert (used._one_usual is bot._NO_MATCH) is (fresh._one_usual is bot._NO_MATCH) is False


def test_a_new_session_brings_its_own_key():
    """The last key of a TR counts, and only that."""
    used, fresh = bot.FrameDecoder("", DAY), bot.FrameDecoder("", DAY)
    used.set_key("H0STCNI0", "a" * 32, "b" * 16)
    for decoder in (used, fresh):
        decoder.set_key("H0STCNI0", "c" * 32, "d" * 16)
    texts = [each._ciphers["H0STCNI0"]._aes.encrypt(b"e" * 32) for each in (used, fresh)]
    assert texts[0] == texts[1]


# --- bars ---


def moment(text):
    """Return a moment of the day."""
    return datetime.combine(DAY, time.fromisoformat(text), bot.KST)


def test_a_builder_between_two_bars_equals_one_that_begins_there():
    """What was missed, counted or doubted belongs to the bar that was closed."""
    used = bot.BarBuilder(SYMBOL, bot.session_of(DAY), 5)
    total = 0
    for text, shares, missed in (("09:01:00", 10, 0), ("09:02:00", 10, 7), ("09:04:00", 5, 0)):
        total += shares + missed
        used.add(bot.Trade(SYMBOL, moment(text), 70_000, shares, total, total * 70_000, False))
    assert used.close_bar().gap
    fresh = bot.BarBuilder(SYMBOL, bot.session_of(DAY), 5)
    fresh.cum_volume, fresh.cum_value_krw = used.cum_volume, used.cum_value_krw
    fresh._start = fresh.end = used.end
    # prices of the last bar are overwritten by the first trade of the next
    assert differences(used, fresh, ("._open", "._high", "._low", "._close")) == []
    for text, missed in (("09:05:10", 3), ("09:07:00", 0)):
        total += 10 + missed
        for each in (used, fresh):
            each.add(bot.Trade(SYMBOL, moment(text), 70_100, 10, total, total * 70_000, False))
    assert used.close_bar() == fresh.close_bar()


@pytest.mark.parametrize(("missed_at", "marked"), [("09:04:59", [True, False]), ("09:05:01", [True, True]),
                                                   ("09:07:00", [False, True])])  # fmt: skip
def test_missed_trades_mark_the_bars_in_which_they_may_have_been(missed_at, marked):
    """Missed inside a bar: that one; over a border: both sides, for nobody knows on which."""
    builder, total, bars = bot.BarBuilder(SYMBOL, bot.session_of(DAY), 5), 0, []
    for text in (
        "09:01:00",
        "09:04:50",
        "09:04:59",
        "09:05:01",
        "09:07:00",
        "09:10:00",
        "09:15:00",
    ):
        total += 10 + (60 if text == missed_at else 0)
        trade_ = bot.Trade(SYMBOL, moment(text), 70_000, 10, total, total * 70_000, False)
        bars.append(builder.add(trade_))
    assert [bar.gap for bar in bars if bar] == [*marked, False]


# --- the engine: a second day ---

# A new process may not know, and need not: what it had for its own use.
MAY_DIFFER = (
    "*.view.ask_*", "*.room", "*.on_fill", "*.bars", ".bars_closed", ".strategy*", ".digest*", "*.out",
    "*.holds*",  # their begin; which there are is compared apart
    "*.journal_end",  # this process saw all; a new one reads the time of the last row
    "*.cash?1?",  # of the cash that both do not know
    "*.holdings*",  # the balance of yesterday: the first answer of the day replaces it
    "*.last_fill_at", "._looks*", "._next_second",
)  # fmt: skip


def next_morning(bench):
    """Go to 08:30 of the next trading day and tell the engine of it."""
    bench.now = datetime.combine(NEXT_DAY, time(8, 30), bot.KST)
    return bench.feed(bot.TimeEvent(bench.now)) + bench.command(
        "day", session=bot.session_of(NEXT_DAY)
    )


def evening(bench):
    """Let the day end as the trader ends it."""
    bench.at("15:31:00")
    bench.at("15:32:00")
    bench.list_of(*bench.rows())
    bench.wait(61)
    bench.list_of(*bench.rows())
    bench.command("stop", text="cancel")
    bench.command("feed down")


def far():
    """Return a plan that no price of these tests reaches."""
    return bot.ExitPlan(1_000, 200_000)


def with_an_entry_left(bench):
    """An entry rests when the day is stopped."""
    [call] = calls(bench.want(wish("rest")))
    bench.answer(call)


def with_shares(bench):
    """Shares are held over night."""
    bench.hold_shares()


def with_an_exit(bench):
    """An exit is under way, refused twice, when the day ends."""
    bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    bench.answer(call, bot.Outcome.REFUSED, code="APBK0919")
    [call] = calls(bench.wait(70), "new")
    bench.answer(call)


def with_doubts(bench):
    """A clock that was off, a stock that was stopped, an auction, a halt, a wish without a price."""
    bench.command("hold", text="clock")
    bench.command("release", text="clock")
    bench.engine.core.stop_symbol(SYMBOL, "a reason of today")
    bench.quote(70_000, OTHER, "C")
    bench.trade(70_000, OTHER, halted=True)
    bench.strategy.wishes = [wish("late", OTHER)]
    bench.at("10:06:00")
    bench.trade(70_000, OTHER)


def with_a_balance_that_differs(bench):
    """Shares of another number are shown."""
    bench.hold_shares()
    bench.wait(200)
    bench.balance((SYMBOL, 7))


def with_an_unknown_order(bench):
    """An order got no answer, notices named a number, and nobody knows in the evening."""
    [call] = calls(bench.want(wish("lost")))
    bench.answer(call, bot.Outcome.UNKNOWN)
    bench.feed(bot.Notice(bot.NoticeKind.RECEIVED, "0", "0000000077", "", SYMBOL, BUY, 10, 0, ""))
    bench.wait(30)


def with_hints(bench):
    """A notice told of a fill that no list showed."""
    [call] = calls(bench.want(wish("hint")))
    bench.answer(call)
    number = orders_of(bench)[0].order_no
    bench.feed(bot.Notice(bot.NoticeKind.FILL, "0", number, "", SYMBOL, BUY, 4, 70_000, ""))


DAYS = (
    with_an_entry_left, with_shares, with_an_exit, with_doubts, with_a_balance_that_differs,
    with_an_unknown_order, with_hints,
)  # fmt: skip


@pytest.mark.parametrize("happening", DAYS, ids=lambda each: each.__name__)
def test_an_engine_of_a_second_day_equals_one_that_starts_that_day(happening):
    """Whatever happened on the first: what a new process would not know is not known."""
    used = Bench().start()
    happening(used)
    evening(used)
    fresh = restarted(used, "15:40:00")
    fresh.now = used.now
    fresh.command("restarted", text=used.now.isoformat())
    next_morning(used)
    next_morning(fresh)
    assert set(used.engine.core.holds) == set(fresh.engine.core.holds)
    assert differences(used.engine, fresh.engine, MAY_DIFFER) == []


@pytest.mark.parametrize("happening", DAYS, ids=lambda each: each.__name__)
def test_the_ledger_of_a_restart_equals_the_one_that_lived(happening):
    """Every field: rows are all that a new process has."""
    used = Bench().start()
    happening(used)
    assert differences(used.ledger, restarted(used).ledger) == []
    evening(used)
    next_morning(used)
    assert differences(used.ledger, restarted(used).ledger) == []


def test_what_was_stopped_for_a_day_trades_on_the_next():
    """Stop, taken back, symbol stopped: on the second day an entry leaves and stays."""
    bench = Bench().start()
    with_an_entry_left(bench)
    with_doubts(bench)
    evening(bench)
    next_morning(bench)
    for symbol in (SYMBOL, OTHER):
        bench.seen(instrument(symbol))
    held = dict(bench.engine.core.holds)
    assert {"orders", "account", "feed", "starting"} <= set(held)
    bench.list_of(*bench.rows())
    bench.account()
    assert "starting" in bench.engine.core.holds  # the cash of yesterday is not today's
    bench.seen(bot.Cash(10_000_000))
    assert set(bench.engine.core.holds) == {"feed"}
    bench.command("feed up")
    bench.list_of(*bench.rows())
    bench.totals = dict.fromkeys(bench.totals, 0)
    bench.at("09:00:01")
    bench.trade(70_000)
    bench.at("10:00:00")
    [call] = calls(bench.want(wish("second day")), "new")
    assert calls(bench.answer(call)) == []
    assert bench.ledger.orders[call.intent.intent_id].status is S.WORKING


def test_the_bars_of_a_day_are_seen_on_the_next():
    """A strategy begins the second day with what it knew; a gap of a night is no loss of memory."""
    bench = Bench().start()
    for text in ("10:00:30", "10:05:30", "10:10:30"):
        bench.at(text)
        bench.trade(70_000)
    bench.at("10:16:00")
    seen = [bar.start for bar in bench.state.view.bars]
    evening(bench)
    next_morning(bench)
    assert len(seen) == 3
    assert [bar.start for bar in bench.state.view.bars][:3] == seen


def test_shares_missing_on_two_mornings_are_waited_for_on_each():
    """One empty balance of a later morning gives nothing up, although one did on an earlier day."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(far())
    for day in (NEXT_DAY, date(2026, 11, 24)):
        evening(bench)
        bench.now = datetime.combine(day, time(9, 5), bot.KST)
        bench.command("day", session=bot.session_of(day))
        for symbol in (SYMBOL, OTHER):
            bench.seen(instrument(symbol))
        bench.list_of()
        bench.account((SYMBOL, 7))
        assert (day, bench.ledger.position(SYMBOL).quantity) == (day, 10)
        bench.now += timedelta(seconds=bot.PROOF_OF_ABSENCE_S + 1)
        bench.account((SYMBOL, 7))
        assert (day, bench.ledger.position(SYMBOL).quantity) == (day, 7)
        bench.seen(bot.Cash(10_000_000))
        bench.command("feed up")
        bench.list_of()
        bench.totals = dict.fromkeys(bench.totals, 0)
        bench.at("09:10:01")
        bench.trade(70_000, OTHER)
        bench.at("10:00:00")
        bench.hold_shares(far(), quantity=3)  # the same shares can be missing again
        assert bench.ledger.position(SYMBOL).quantity == 10


def test_an_order_of_the_owner_before_the_second_morning_is_his():
    """The process saw all that it sent itself: an order of 08:20 stops nothing."""
    bench = Bench().start()
    evening(bench)
    next_morning(bench)
    row = bot.BrokerOrder(
        "0000000900", "", "06010", OTHER, BUY, "00", 5, 60_000, 0, 0, 0, 0, "082000"
    )
    assert "external_order" in alerts(bench.list_of(row))
    assert "journal" not in bench.engine.core.holds


def test_the_close_of_each_evening_is_kept():
    """The morning after is compared with the evening before, not with an older one."""
    bench = Bench().start()
    bench.hold_shares(far())
    for day, price in ((DAY, 70_100), (NEXT_DAY, 71_200)):
        if day != DAY:
            next_morning(bench)
            for symbol in (SYMBOL, OTHER):
                bench.seen(replace(instrument(symbol), base_price=70_100))
            bench.list_of()
            bench.balance((SYMBOL, 10))
            bench.seen(bot.Cash(10_000_000))
            bench.totals = dict.fromkeys(bench.totals, 0)
        bench.at("15:30:10")
        bench.trade(price)
        bench.at("15:32:00")
        kept = bench.ledger.closes[SYMBOL]
        assert (kept.day, kept.price) == (day, price)


def test_a_close_of_another_week_is_compared_with_nothing():
    """A bot that was off for days does not take the moves of those days for a split."""
    bench = Bench().start()
    bench.hold_shares(far())
    bench.at("15:30:10")
    bench.trade(70_000)
    bench.at("15:32:00")
    later = restarted(bench, "15:40:00")
    later.now = datetime.combine(date(2026, 11, 25), time(8, 30), bot.KST)
    later.command("restarted", text=bench.now.isoformat())
    later.command("day", session=bot.session_of(date(2026, 11, 25)))
    later.seen(bot.Instrument(SYMBOL, "KOSPI", False, 80_000, 104_000, 56_000, 80_000))
    later.list_of()
    actions = later.balance((SYMBOL, 10))
    assert later.ledger.actions == {}
    assert "corporate_action" not in alerts(actions)


# --- the engine: a gap ---


def test_an_engine_after_a_gap_equals_one_that_heard_the_same_without():
    """Marks of auctions, hints of notices and what was waited for do not outlive the gap."""

    used, fresh = Bench().start(), Bench().start()
    for bench in (used, fresh):
        bench.trade(70_000)
    used.quote(70_000, code="C")  # an auction that ends unseen
    used.command("feed down")
    used.command("feed up")
    fresh.quote(70_000)
    fresh.command("feed down")
    fresh.command("feed up")
    for bench in (used, fresh):
        bench.wait(10)
        bench.list_of(*bench.rows())
        bench.trade(70_100)
        bench.quote(70_000)
    assert differences(used.engine, fresh.engine, MAY_DIFFER) == []


def test_a_notice_from_before_a_gap_counts_no_more():
    """Some may be missing: what was heard before is not added to what is heard after."""
    bench = Bench().start()
    with_hints(bench)
    assert bench.engine.core.reconciler.hints
    bench.command("feed down")
    bench.command("feed up")
    assert bench.engine.core.reconciler.hints == {}


def test_after_a_gap_list_and_balance_are_asked():
    """Nothing is replayed: orders and shares are looked at again."""
    bench = Bench().start()
    bench.command("feed down")
    actions = bench.command("feed up")
    assert [a.what for a in actions if isinstance(a, bot.Ask)] == ["orders", "holdings"]


@pytest.mark.parametrize("seconds", [10, 290])
def test_a_bar_that_ends_in_a_gap_is_marked(seconds):
    """Closed by time while the feed is down, or after it came back: trades may be missing."""
    bench = Bench().start("10:00:00")
    bench.trade(70_000)
    bench.at("10:04:00")
    bench.trade(70_000)
    bench.command("feed down")
    bench.wait(70 if seconds < 60 else seconds)
    bars = [bar for bar in bench.state.view.bars if bar.start.time() == time(10, 0)]
    assert [bar.gap for bar in bars] == [True]


def test_a_second_auction_of_a_day_is_believed_like_the_first():
    """Each auction has its own five minutes."""
    bench = Bench().start()
    for text in ("10:00:10", "10:30:00", "11:00:00"):
        bench.at(text)
        bench.quote(70_000, code="C")
        assert bench.state.auction, text
        bench.wait(5)
        bench.trade(70_000)
        assert not bench.state.auction, text


@pytest.mark.parametrize("early", ["08:31:00", "09:05:00"])
def test_shares_missing_late_in_the_evening_are_waited_for_in_the_morning_again(early):
    """The night is no second look: an empty balance before the open gives nothing up at once."""
    bench = Bench(flat_at=None).start()
    bench.hold_shares(far())
    evening(bench)
    day = date(2026, 11, 24)
    for of, at in ((NEXT_DAY, "15:29:00"), (day, early)):
        bench.now = datetime.combine(of, time.fromisoformat(at), bot.KST)
        bench.command("day", session=bot.session_of(of))
        bench.list_of()
        bench.account()
        assert (of, bench.ledger.position(SYMBOL).quantity) == (of, 10)
    opens = datetime.combine(day, time(9), bot.KST)
    bench.now = max(bench.now, opens) + timedelta(seconds=bot.PROOF_OF_ABSENCE_S + 1)
    bench.account()
    assert bench.ledger.position(SYMBOL).quantity == 0
