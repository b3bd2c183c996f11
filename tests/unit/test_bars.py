"""Bars: exchange time decides, every trade is in one bar or counted as dropped."""

from datetime import date, datetime, time, timedelta

import pytest
from compare import differences
from hypothesis import given
from hypothesis import strategies as st

import kis_realtime_trading as bot
from companions.backtest.thin import add_minute, idle, take_minutes

NORMAL, FIRST, EXAM = date(2026, 11, 20), date(2026, 1, 2), date(2026, 11, 19)
SYMBOL = "005930"


def at(text, day=NORMAL):
    """Return market time of a day."""
    return datetime.combine(day, time.fromisoformat(text), bot.KST)


def tape(*rows, start=0, day=NORMAL):
    """Return trades of (time, price, shares) with a rising ACML_VOL."""
    trades, total, value = [], start, 0
    for text, price, volume in rows:
        total, value = total + volume, value + price * volume
        trades.append(bot.Trade(SYMBOL, at(text, day), price, volume, total, value, False))
    return trades


def build(trades, minutes=5, day=NORMAL):
    """Feed trades; return all bars, the last one closed by hand, and the builder."""
    builder = bot.BarBuilder(SYMBOL, bot.session_of(day), minutes)
    bars = [builder.add(trade) for trade in trades] + [builder.close_bar()]
    return [bar for bar in bars if bar], builder


def span(bar):
    """Return start and end as HH:MM."""
    return f"{bar.start:%H:%M}", f"{bar.end:%H:%M}"


def test_a_bar_holds_open_high_low_close_volume_and_value():
    """The first and last price, the extremes, the sums, of trades in [start, end)."""
    trades = tape(("09:00", 100, 1), ("09:01", 103, 2), ("09:03", 98, 3), ("09:04:59", 101, 4))
    expected = bot.Bar(
        SYMBOL, at("09:00"), at("09:05"), 100, 103, 98, 101, 10, 100 + 206 + 294 + 404, 4
    )
    assert build(trades)[0] == [expected]


def test_the_first_trade_at_or_after_the_end_closes_a_bar():
    """09:05:00 belongs to the next bar."""
    bars, _ = build(tape(("09:04:59.999", 100, 1), ("09:05", 101, 2)))
    assert [(span(bar), bar.volume) for bar in bars] == [
        (("09:00", "09:05"), 1),
        (("09:05", "09:10"), 2),
    ]


def test_an_interval_without_a_trade_makes_no_bar():
    """From 09:05 to 09:20 nothing is invented."""
    bars, _ = build(tape(("09:01", 100, 1), ("09:21", 101, 2)))
    assert [span(bar) for bar in bars] == [("09:00", "09:05"), ("09:20", "09:25")]


@pytest.mark.parametrize(
    ("minutes", "text", "expected"),
    [
        (1, "09:00:59", ("09:00", "09:01")), (1, "15:29:59", ("15:29", "15:30")),
        (3, "12:00", ("12:00", "12:03")), (7, "09:07", ("09:07", "09:14")),
        (7, "15:27", ("15:25", "15:30")), (10, "09:19:59", ("09:10", "09:20")),
        (13, "10:00", ("09:52", "10:05")), (30, "15:29", ("15:00", "15:30")),
        (60, "09:59", ("09:00", "10:00")), (60, "15:10", ("15:00", "15:30")),
    ],
)  # fmt: skip
def test_bars_are_aligned_to_the_opening(minutes, text, expected):
    """A bar begins a whole number of lengths after the opening and ends with the session."""
    [bar], _ = build(tape((text, 100, 1)), minutes)
    assert span(bar) == expected


@pytest.mark.parametrize(
    ("day", "text", "expected"),
    [(FIRST, "10:07", ("10:05", "10:10")), (EXAM, "10:07", ("10:05", "10:10")),
     (EXAM, "16:28", ("16:25", "16:30"))],
)  # fmt: skip
def test_days_that_open_at_ten_align_their_bars_to_ten(day, text, expected):
    """The session of the day counts, not the usual one."""
    [bar], builder = build(tape((text, 100, 1), day=day), day=day)
    assert (span(bar), builder.dropped) == (expected, 0)


@pytest.mark.parametrize("minutes", [1, 2, 5, 7, 11, 15, 30, 59, 60])
@pytest.mark.parametrize("text", ["15:30", "15:30:29", "15:30:59.999"])
def test_the_closing_auction_print_belongs_to_the_last_bar(minutes, text):
    """It comes up to 30 s after the close and is part of the session."""
    bars, builder = build(tape(("15:19:59", 100, 5), (text, 105, 7)), minutes)
    last = bars[-1]
    assert (last.close, last.end, builder.dropped) == (105, at("15:30"), 0)
    assert last.start < at("15:30")
    assert sum(bar.volume for bar in bars) == 12


def test_the_auction_print_joins_a_last_bar_that_is_being_built():
    """One bar from 15:15 on with the last continuous trade and the auction."""
    bars, _ = build(tape(("15:16", 100, 5), ("15:30:12", 105, 7)), 15)
    assert [(span(bar), bar.volume, bar.close) for bar in bars] == [(("15:15", "15:30"), 12, 105)]


@pytest.mark.parametrize("text", ["08:35", "08:59:59", "15:31", "16:00", "19:59"])
def test_trades_outside_the_session_are_in_no_bar(text):
    """Pre-market and after-market trades are counted and left out."""
    bars, builder = build(tape((text, 100, 5)))
    assert (bars, builder.dropped) == ([], 1)


def test_an_after_market_trade_closes_the_last_bar():
    """Nothing can come for it any more."""
    builder = bot.BarBuilder(SYMBOL, bot.session_of(NORMAL), 5)
    first, late = tape(("15:29", 100, 5), ("15:45", 101, 5))
    assert builder.add(first) is None
    assert span(builder.add(late)) == ("15:25", "15:30")


def test_time_closes_a_bar_and_late_trades_are_counted_and_left_out():
    """A bar closed by time stays as it was; the late trade is not in the next one either."""
    builder = bot.BarBuilder(SYMBOL, bot.session_of(NORMAL), 5)
    first, late, following = tape(("09:04", 100, 1), ("09:04:59", 90, 2), ("09:05", 101, 4))
    builder.add(first)
    closed = builder.close_bar()
    assert (closed.low, closed.volume) == (100, 1)
    assert builder.add(late) is None
    assert builder.add(following) is None
    assert (builder.close_bar().volume, builder.dropped) == (4, 1)


def test_closing_an_empty_bar_gives_nothing():
    """Closing twice, or before a trade, is harmless."""
    builder = bot.BarBuilder(SYMBOL, bot.session_of(NORMAL), 5)
    assert builder.close_bar() is None
    builder.add(tape(("09:01", 100, 1))[0])
    assert [builder.close_bar().volume, builder.close_bar()] == [1, None]


# --- gaps -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missed", "gap"),
    [(0, False), (1, False), (2, True), (500, True)],
    ids=["none", "1%", "2%", "5x"],
)
def test_missed_trades_mark_the_bar(missed, gap):
    """ACML_VOL that jumps by over one per cent of the bar says that trades were missed."""
    first = tape(("09:01", 100, 50))
    second = tape(("09:02", 100, 50), start=50 + missed)
    [bar], _ = build(first + second)
    assert bar.gap is gap


def test_joining_late_is_no_jump():
    """The first trade seen sets the total; what came before is told by gap_until."""
    [bar], _ = build(tape(("11:01", 100, 50), start=1_000_000))
    assert not bar.gap


def test_bars_that_begin_before_the_feed_was_up_are_marked():
    """gap_until is the moment from which the feed was complete."""
    builder = bot.BarBuilder(SYMBOL, bot.session_of(NORMAL), 5)
    builder.gap_until = at("09:07")
    trades = tape(("09:06", 100, 1), ("09:12", 100, 1), ("09:16", 100, 1))
    bars = [builder.add(trade) for trade in trades]
    assert [bar.gap for bar in bars if bar] == [True, False]


def test_trades_missed_across_a_border_mark_both_bars():
    """Nobody knows on which side of 09:05 the missed shares were traded."""
    bars, _ = build(tape(("09:04", 100, 50)) + tape(("09:06", 100, 50), start=550))
    assert [bar.gap for bar in bars] == [True, True]


def test_one_wild_total_changes_nothing():
    """It is in no bar, and the true trades that follow are neither old nor a jump."""
    [wild] = tape(("09:02", 100, 50), start=10**12)
    true = tape(("09:01", 100, 50), ("09:03", 101, 50))
    bars, builder = build([true[0], wild, wild, true[1]])
    assert [(bar.trade_count, bar.volume, bar.gap) for bar in bars] == [(2, 100, False)]
    assert (builder.cum_volume, builder.dropped) == (100, 2)


def test_a_total_that_a_second_trade_confirms_is_believed():
    """After a long gap the first trade looks wild; the next one goes on from it."""
    first = tape(("09:01", 100, 50))
    after = tape(("11:01", 100, 50), ("11:02", 101, 50), start=10**6)
    bars, builder = build(first + after)
    assert [(bar.trade_count, bar.gap) for bar in bars] == [(1, True), (1, True)]
    assert (builder.cum_volume, builder.dropped) == (10**6 + 100, 1)


# --- properties -------------------------------------------------------------------------

moments = st.integers(-3_600, 8 * 3_600).map(lambda s: at("09:00") + timedelta(seconds=s))
rows = st.lists(st.tuples(moments, st.integers(1, 500), st.integers(1, 1000)), max_size=12)
lengths = st.integers(1, 60)


def trades_of(table):
    """Return trades in the order of the table with a rising ACML_VOL."""
    trades, total = [], 0
    for moment, price, volume in table:
        total += volume
        trades.append(bot.Trade(SYMBOL, moment, price, volume, total, 0, False))
    return trades


@given(rows, lengths)
def test_every_trade_is_in_one_bar_or_dropped(table, minutes):
    """Also when trades come out of order: counts of all bars + dropped = all trades."""
    bars, builder = build(trades_of(table), minutes)
    assert sum(bar.trade_count for bar in bars) + builder.dropped == len(table)


@given(rows, lengths)
def test_bars_in_order_equal_a_naive_grouping(table, minutes):
    """Trades in order: each bar is the group of its interval, the closing print in the last."""
    trades = trades_of(sorted(table, key=lambda row: row[0]))
    groups: dict[datetime, list[bot.Trade]] = {}
    for trade in trades:
        if at("09:00") <= trade.ts_exchange < at("15:31"):
            inside = min(trade.ts_exchange, at("15:30") - timedelta(microseconds=1))
            number = (inside - at("09:00")) // timedelta(minutes=minutes)
            start = at("09:00") + number * timedelta(minutes=minutes)
            groups.setdefault(start, []).append(trade)
    expected = [
        bot.Bar(
            SYMBOL, start, min(start + timedelta(minutes=minutes), at("15:30")),
            group[0].price, max(t.price for t in group), min(t.price for t in group),
            group[-1].price, sum(t.volume for t in group),
            sum(t.price * t.volume for t in group), len(group),
        )
        for start, group in groups.items()
    ]  # fmt: skip
    assert build(trades, minutes)[0] == expected


@given(rows, lengths, st.data())
def test_arrival_in_batches_does_not_matter(table, minutes, data):
    """Time that closes bars in between, not before a bar's end, changes no bar."""
    trades = trades_of(sorted(table, key=lambda row: row[0]))
    expected, _ = build(trades, minutes)
    builder = bot.BarBuilder(SYMBOL, bot.session_of(NORMAL), minutes)
    found = []
    for trade in trades:
        if trade.ts_exchange >= builder.end and data.draw(st.booleans()):
            found.append(builder.close_bar())
        found.append(builder.add(trade))
    found.append(builder.close_bar())
    assert [bar for bar in found if bar] == expected


# --- combining --------------------------------------------------------------------------


def minute_bar(text, price=100, volume=10, day=NORMAL, gap=False):
    """Return a bar of one minute."""
    start = at(text, day)
    end = start + timedelta(minutes=1)
    return bot.Bar(SYMBOL, start, end, price, price + 2, price - 2, price + 1, volume,
                   price * volume, 0, gap)  # fmt: skip


def test_minute_bars_are_joined_into_session_aligned_bars():
    """Open of the first, close of the last, extremes, sums."""
    minutes = [minute_bar("09:03", 100), minute_bar("09:04", 110), minute_bar("09:05", 90)]
    expected = [
        bot.Bar(SYMBOL, at("09:00"), at("09:05"), 100, 112, 98, 111, 20, 2_100, 0),
        bot.Bar(SYMBOL, at("09:05"), at("09:10"), 90, 92, 88, 91, 10, 900, 0),
    ]
    assert bot.combine_bars(minutes, 5) == expected


def test_minute_bars_outside_the_session_are_left_out():
    """Pre-market, after-market, closed days."""
    outside = [minute_bar("08:40"), minute_bar("15:31"), minute_bar("17:00")]
    assert bot.combine_bars([*outside, minute_bar("10:00", day=date(2026, 11, 21))], 5) == []


def test_the_auction_minute_joins_the_last_bar():
    """The minute bar of 15:30 is the closing auction."""
    joined = bot.combine_bars([minute_bar("15:29", 100), minute_bar("15:30", 120)], 5)
    assert [(span(bar), bar.close) for bar in joined] == [(("15:25", "15:30"), 121)]


def test_days_are_not_joined():
    """The last bar of a day and the first of the next stay two."""
    two = [minute_bar("15:29", day=date(2026, 11, 18)), minute_bar("10:00", day=EXAM)]
    assert [span(bar)[0] for bar in bot.combine_bars(two, 60)] == ["15:00", "10:00"]


@pytest.mark.parametrize("minutes", [7, 60])
def test_joined_bars_end_as_built_bars_do(minutes):
    """The last bar of a day ends with the session, also when its length does not divide it."""
    [built], _ = build(tape(("15:29", 100, 10)), minutes)
    [joined] = bot.combine_bars([minute_bar("15:29")], minutes)
    assert (joined.start, joined.end) == (built.start, built.end)


@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_gap_in_any_minute_marks_the_joined_bar(where):
    """A bar with a missing part is a bar with a gap, wherever it is."""
    minutes = [minute_bar(f"09:0{n}", gap=n == where) for n in range(3)]
    [joined] = bot.combine_bars(minutes, 5)
    assert joined.gap


@given(st.sets(st.integers(0, 390), max_size=15), st.sampled_from([1, 2, 3, 5, 10, 15, 30]))
def test_joining_keeps_every_share(offsets, minutes):
    """The volume of the joined bars is the volume of the minutes; starts rise."""
    ones = [
        minute_bar(f"{9 + offset // 60:02d}:{offset % 60:02d}", volume=1 + offset)
        for offset in sorted(offsets)
    ]
    joined = bot.combine_bars(ones, minutes)
    assert sum(bar.volume for bar in joined) == sum(bar.volume for bar in ones)
    starts = [bar.start for bar in joined]
    assert starts == sorted(set(starts))


def test_vwap_of_the_day():
    """Value by volume, by the broker's own totals; 0 before a trade."""
    builder = bot.BarBuilder(SYMBOL, bot.session_of(NORMAL), 5)
    assert builder.day_vwap == 0.0
    trade = bot.Trade(SYMBOL, at("09:01"), 110, 10, 100, 10_000, False)
    builder.add(trade)
    assert builder.day_vwap == 100.0


# --- whole minutes ----------------------------------------------------------------------

minutes_of_trades = st.dictionaries(
    st.integers(0, 388),
    st.lists(st.tuples(st.integers(90, 110), st.integers(1, 9)), min_size=1, max_size=4),
    min_size=1, max_size=8,
)  # fmt: skip


def minutes_and_trades(table):
    """Return the minutes of a table with the trades of each: [(minute, trades)]."""
    total = value = 0
    found = []
    for offset, rows in sorted(table.items()):
        start, trades = at("09:00") + timedelta(minutes=offset), []
        for second, (price, volume) in enumerate(rows):
            total, value = total + volume, value + price * volume
            moment = start + timedelta(seconds=second)
            trades.append(bot.Trade(SYMBOL, moment, price, volume, total, value, False))
        prices = [trade.price for trade in trades]
        minute = bot.Bar(
            SYMBOL, start, start + timedelta(minutes=1), prices[0], max(prices), min(prices), prices[-1],
            sum(trade.volume for trade in trades),
            sum(trade.price * trade.volume for trade in trades), len(trades),
        )  # fmt: skip
        found.append((minute, trades))
    return found


@given(minutes_of_trades, st.sampled_from([1, 3, 5, 7, 60]))
def test_a_builder_of_whole_minutes_equals_one_of_their_trades(table, minutes):
    """The same bars, and every field of the builder, after each minute."""
    session = bot.session_of(NORMAL)
    one, other = (bot.BarBuilder(SYMBOL, session, minutes) for _ in range(2))
    for minute, trades in minutes_and_trades(table):
        if minute.start >= one.end:
            assert one.close_bar() == other.close_bar()
        assert [one.add(trade) for trade in trades] == [None] * len(trades)
        add_minute(other, minute, minute.start)
        assert differences(one, other) == []
        assert one.day_vwap == other.day_vwap
    assert one.close_bar() == other.close_bar()
    assert differences(one, other) == []


@given(minutes_of_trades)
def test_minutes_taken_as_bars_equal_ones_that_were_built_and_closed(table):
    """What comes after them finds the same builder."""
    session = bot.session_of(NORMAL)
    one, other = (bot.BarBuilder(SYMBOL, session, 1) for _ in range(2))
    for minute, _ in minutes_and_trades(table):
        add_minute(one, minute, minute.start)
        assert one.close_bar().trade_count == minute.trade_count
        take_minutes(other, minute.end, one.cum_volume, one.cum_value_krw)
        assert idle(one) and idle(other)
        assert shown(one) == shown(other)


def shown(builder):
    """Return what the next trade of a builder without a trade depends on."""
    open_only = ("_open", "_high", "_low", "_close")  # set by the first trade of a bar
    return {name: getattr(builder, name) for name in vars(builder) if name not in open_only}


def test_a_builder_is_idle_until_something_stands_in_it():
    """Nothing, a trade, a closed bar, shares that were missed."""
    builder = bot.BarBuilder(SYMBOL, bot.session_of(NORMAL), 5)
    seen = [idle(builder)]
    for trade in tape(("09:00", 100, 10), ("09:01", 100, 10)):
        builder.add(trade)
        seen.append(idle(builder))
    builder.close_bar()
    seen.append(idle(builder))
    assert seen == [True, False, False, True]


@given(minutes_of_trades, st.sampled_from([1, 3, 5, 7, 60]))
def test_joined_minutes_equal_bars_built_of_the_trades(table, minutes):
    """Two ways to a bar, the same in every field."""
    found = minutes_and_trades(table)
    built, _ = build([trade for _, trades in found for trade in trades], minutes)
    assert bot.combine_bars([minute for minute, _ in found], minutes) == built


def test_a_whole_day_is_one_bar_from_the_opening_to_the_close():
    """Every field of a daily bar in its place; a day without a session is refused."""
    day = bot.DailyBar(EXAM, 100.0, 110.0, 90.0, 105.0, 1_234, 123_456)
    expected = bot.Bar(
        SYMBOL, at("10:00", EXAM), at("16:30", EXAM), 100, 110, 90, 105, 1_234, 123_456, 0
    )
    assert bot.whole_day(SYMBOL, day) == expected
    with pytest.raises(bot.BadData, match=r"005930: 2026-11-21 is no trading day"):
        bot.whole_day(SYMBOL, bot.DailyBar(date(2026, 11, 21), 1.0, 1.0, 1.0, 1.0, 1, 1))


@given(
    st.lists(st.tuples(st.sampled_from([1, 3, 12, 40, 200, 2_000]), st.integers(1, 9)), max_size=12)
)
def test_wild_totals_are_believed_only_from_the_one_just_before(jumps):
    """Against a plain count: a total far too high waits for a second one that goes on from it."""
    builder = bot.BarBuilder(SYMBOL, bot.session_of(NORMAL), 5)
    builder.add(tape(("09:00", 100, 10))[0])
    total, doubted, dropped = 10, 0, 0
    base = 10
    for n, (factor, volume) in enumerate(jumps):
        said = base * factor + volume
        base = (
            said if factor < 40 or n % 3 else base
        )  # the next one goes on from here, or from before
        builder.add(
            bot.Trade(SYMBOL, at("09:01") + timedelta(seconds=n), 100, volume, said, 1, False)
        )
        if said - total - volume > 10 * total:
            before, doubted = doubted, said
            if not 0 < said - before <= 10 * before:
                dropped += 1
                continue
        total = said
    assert (builder.cum_volume, builder.dropped) == (total, dropped)


def test_a_second_wild_total_is_the_one_that_a_third_must_go_on_from():
    """Two forged totals of different size: a trade after the second one is believed, not after the first."""
    totals = {"near the first": 5_010, "near the second": 90_010}
    believed = {}
    for name, third in totals.items():
        builder = bot.BarBuilder(SYMBOL, bot.session_of(NORMAL), 5)
        for second, total in enumerate((10, 5_000, 90_000, third)):
            builder.add(
                bot.Trade(SYMBOL, at("09:01") + timedelta(seconds=second), 100, 10, total, 1, False)
            )
        believed[name] = builder.cum_volume
    assert believed == {"near the first": 10, "near the second": 90_010}


def test_a_bar_in_which_a_wrong_total_dropped_trades_is_marked():
    """The day stood before this trade: its own bar misses what was dropped, the next one nothing."""
    builder = bot.BarBuilder(SYMBOL, bot.session_of(NORMAL), 5)
    bars = [builder.add(trade) for trade in tape(("09:00", 100, 10), ("09:01", 100, 50))]
    late = tape(("09:02", 100, 5), ("09:06", 100, 5), ("09:11", 100, 5), start=10)
    builder.begin_again(late[0])
    bars += [builder.add(trade) for trade in late]
    assert [(bar.volume, bar.gap) for bar in bars if bar] == [(65, True), (5, False)]
