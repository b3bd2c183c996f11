"""KISMarketData over real sockets: typed values that agree with the simulator, or an error."""

import itertools
import subprocess
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal

import edge
import harness
import pytest

import kis_realtime_trading as bot

SYMBOL, ETF = "005930", "069500"


@pytest.fixture(params=("paper", "real"))
def environment(request):
    """Both environments."""
    return request.param


def stock(desk, symbol=SYMBOL):
    """Return what the simulator's market shows of a stock."""
    return desk.sim.state()["stocks"][symbol]


def between(before, value, after):
    """Tell whether a value was true at some moment of the call."""
    return min(before, after) <= value <= max(before, after)


# --- price, book, trades ---


@pytest.mark.parametrize("symbol", edge.SYMBOLS)
async def test_price_agrees_with_the_market(tmp_path, environment, symbol):
    """Last price, base price, limits, market and kind of the stock, all typed."""
    async with edge.served(tmp_path, environment=environment, symbols=edge.SYMBOLS) as (desk, _):
        before = stock(desk, symbol)
        found = await desk.market.price(symbol)
        after = stock(desk, symbol)
    assert between(before["last"], found.last_price, after["last"])
    assert found.base_price == before["base"]
    fund = symbol == ETF
    assert edge.price_band(found.base_price, fund) == (found.lower_limit, found.upper_limit)
    assert (found.symbol, found.market, found.fund) == (symbol, "KOSPI", fund)
    assert not found.blocked


async def test_a_kosdaq_stock_is_known_as_one(tmp_path, environment):
    """The sell tax depends on it."""
    async with edge.served(tmp_path, environment=environment, symbols=("247540",)) as (desk, _):
        assert (await desk.market.price("247540")).market == "KOSDAQ"


async def test_an_unknown_code_has_no_price(tmp_path, environment):
    """The server answers with zeros: no price, no limits that an order could keep, no book."""
    async with edge.served(tmp_path, environment=environment) as (desk, _):
        found = await desk.market.price("999999")
        assert (found.last_price, found.upper_limit, found.lower_limit) == (0, 0, 0)
        book = await desk.market.order_book("999999")
        assert (book.asks, book.bids, book.expected_price) == ((), (), 0)


async def test_the_order_book_is_in_order(tmp_path, environment):
    """Asks rise, bids fall, nothing crosses, steps are ticks, sizes are positive."""
    async with edge.served(tmp_path, environment=environment, symbols=edge.SYMBOLS) as (desk, _):
        for symbol in edge.SYMBOLS:
            book = await desk.market.order_book(symbol)
            asks = [level.price for level in book.asks]
            bids = [level.price for level in book.bids]
            assert len(asks) == len(bids) == 10
            assert asks == sorted(asks) and bids == sorted(bids, reverse=True)
            assert bids[0] < asks[0]
            assert all(level.size > 0 for level in (*book.asks, *book.bids))
            assert all(bot.is_valid_tick(price, symbol == ETF) for price in asks + bids)
            assert book.expected_price == 0
            assert abs(asks[0] - stock(desk, symbol)["last"]) < stock(desk, symbol)["last"] * 0.02


async def test_an_auction_shows_its_expected_price(tmp_path):
    """Before 09:00 the book has an expected price."""
    async with edge.served(tmp_path, start="08:55:00") as (desk, _):
        book = await desk.market.order_book(SYMBOL)
        low, high = edge.price_band(stock(desk)["base"], False)
        assert low <= book.expected_price <= high


async def test_a_locked_stock_has_a_one_sided_book(tmp_path):
    """At the upper limit there are no asks; empty levels are left out."""
    async with edge.served(tmp_path) as (desk, _):
        desk.sim.market_event("limit_up", SYMBOL)
        desk.sim.advance(desk.clock.now() + timedelta(minutes=2))
        book = await desk.market.order_book(SYMBOL)
        assert book.asks == () and book.bids[0].price == edge.price_band(stock(desk)["base"], 0)[1]


async def test_last_trades_are_the_newest_thirty(tmp_path, environment):
    """Newest first; the first one carries the last price."""
    async with edge.served(tmp_path, environment=environment, density=20.0) as (desk, _):
        before = stock(desk)["last"]
        trades = await desk.market.last_trades(SYMBOL)
        after = stock(desk)["last"]
    times = [moment for moment, _, _ in trades]
    assert len(trades) == 30 and times == sorted(times, reverse=True)
    assert between(before, trades[0][1], after)
    assert all(volume > 0 for _, _, volume in trades)
    assert "100000" < times[-1] <= times[0] <= "100600"


CODES = tuple(f"{n:06d}" for n in range(100_010, 100_045))  # 35 invented stocks


async def test_many_prices_take_thirty_codes_a_call_on_the_real_server(tmp_path):
    """35 codes are two calls; each price equals the one of the single question."""
    async with edge.served(
        tmp_path, environment="real", symbols=CODES, density=0.1, start="08:50:00"
    ) as (desk, _):
        prices = await desk.market.many_prices(CODES)
        assert list(CODES) == list(prices)
        assert desk.requests("intstock-multprice") == 2
        assert desk.requests("inquire-price") == 0
        assert prices[CODES[34]] == (await desk.market.price(CODES[34])).last_price


async def test_many_prices_are_asked_one_by_one_on_paper(tmp_path):
    """The service is not offered there."""
    async with edge.served(tmp_path, symbols=edge.SYMBOLS) as (desk, _):
        prices = await desk.market.many_prices(edge.SYMBOLS)
        assert set(edge.SYMBOLS) == set(prices)
        assert (desk.requests("intstock-multprice"), desk.requests("inquire-price")) == (0, 3)
        assert await desk.market.many_prices([]) == {}


# --- numbers that are none ---

ODD_NUMBERS = ("", " ", "-", "1,234", "12.5", "1e5", "None", "0x10", "NaN", "--5", None)


@pytest.mark.parametrize(
    ("call", "path", "field"),
    [
        ("price", "inquire-price", "stck_prpr"),
        ("price", "inquire-price", "stck_sdpr"),
        ("order_book", "exp-ccn", "askp1"),
        ("order_book", "exp-ccn", "bidp_rsqn10"),
        ("last_trades", "inquire-ccnl", "stck_prpr"),
        ("price", "inquire-price", "stck_mxpr"),
        ("price", "inquire-price", "stck_llam"),
    ],
)
def test_a_field_that_is_no_number_is_never_zero(tmp_path, call, path, field):
    """R25: money fields are strict, whatever the server puts there; blank limits are not known."""

    async def main():
        desk = edge.desk(tmp_path)
        await getattr(desk.market, call)(SYMBOL)
        blank = 2 if field in ("stck_mxpr", "stck_llam") else 0
        for value in ODD_NUMBERS[blank:]:
            desk.fault("set", {"path": path, "times": 1}, field=field, value=value)
            try:
                taken = await getattr(desk.market, call)(SYMBOL)
            except bot.BadData:
                continue
            pytest.fail(f"{value!r} was taken: {taken}")

    harness.run_virtual(main())


@pytest.mark.parametrize("field", ["stck_prpr", "aspr_unit", "stck_sdpr", "stck_mxpr", "stck_llam"])
def test_a_field_that_is_missing_is_never_zero(tmp_path, field):
    """A renamed field gives no price at all (R25)."""

    async def main():
        desk = edge.desk(tmp_path)
        desk.fault("drop", {"path": "inquire-price"}, field=field)
        with pytest.raises(bot.BadData):
            await desk.market.price(SYMBOL)

    harness.run_virtual(main())


@pytest.mark.parametrize("call", ["price", "order_book", "last_trades"])
def test_an_answer_without_its_container_is_bad_data(tmp_path, call):
    """An envelope that says success and holds nothing is no answer."""

    async def main():
        desk = edge.desk(tmp_path)
        for field in ("output", "output1", "output2"):
            desk.fault("drop", {"kind": "quotation"}, field=field)
        with pytest.raises(bot.BadData):
            await getattr(desk.market, call)(SYMBOL)

    harness.run_virtual(main())


# --- daily bars ---


def trading_days(first, last):
    """Return the trading days of a span by the bot's calendar."""
    count = (last - first).days + 1
    return [d for d in (first + timedelta(days=n) for n in range(count)) if bot.is_trading_day(d)]


@pytest.mark.parametrize("days", [1, 5, 139, 145, 380])
async def test_daily_bars_of_any_span_are_complete(tmp_path, environment, days):
    """Windows of 100 rows are walked: every trading day once, oldest first, sane prices."""
    last = date(2026, 11, 19)
    first = last - timedelta(days=days)
    async with edge.served(tmp_path, environment=environment, start="08:30:00") as (desk, _):
        bars = await desk.market.daily_bars(SYMBOL, first, last)
        asked = desk.requests("itemchartprice")
        base = stock(desk)["base"]
    wanted = trading_days(first, last)
    assert wanted == [bar.day for bar in bars]
    assert asked <= len(wanted) // 100 + 1
    assert bars[-1].close == base  # yesterday's close is today's base price
    for bar in bars:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.volume > 0 and bar.low * bar.volume <= bar.value <= bar.high * bar.volume


async def test_more_than_250_trading_days_are_read(tmp_path):
    """A year and a half: four windows, 250 days and more."""
    async with edge.served(tmp_path, start="08:30:00") as (desk, _):
        bars = await desk.market.daily_bars(SYMBOL, date(2025, 3, 3), date(2026, 11, 19))
    days = [bar.day for bar in bars]
    assert len(days) > 400 and days == sorted(set(days))
    moves = [later.close / earlier.close for earlier, later in itertools.pairwise(bars)]
    assert all(0.69 < move < 1.31 for move in moves)  # no day leaves the band of the day before


async def test_todays_bar_is_the_running_day(tmp_path):
    """The bar of today is included and unfinished, as the server gives it."""
    async with edge.served(tmp_path) as (desk, _):
        before = stock(desk)
        bars = await desk.market.daily_bars(SYMBOL, edge.DAY, edge.DAY)
        assert [bar.day for bar in bars] == [edge.DAY]
        assert between(before["last"], bars[0].close, stock(desk)["last"])


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (date(2026, 11, 21), date(2026, 11, 22)),  # a weekend
        (date(2026, 11, 19), date(2026, 11, 18)),  # nothing between
        (date(2016, 1, 4), date(2016, 1, 8)),  # before the history
    ],
)
async def test_a_span_without_days_is_empty(tmp_path, first, last):
    """No bars is an empty list, in few questions."""
    async with edge.served(tmp_path) as (desk, _):
        assert await desk.market.daily_bars(SYMBOL, first, last) == []
        assert desk.requests("itemchartprice") <= 1


# --- minute bars ---


async def test_minute_bars_of_today_are_finished_and_complete(tmp_path, environment):
    """From 09:00 to the last finished minute, oldest first; 30 rows a call."""
    async with edge.served(tmp_path, environment=environment, density=6.0) as (desk, _):
        now = desk.clock.now()
        bars = await desk.market.minute_bars_today(SYMBOL, now, 400)
        shown = stock(desk)
    assert [edge.at("09:00") + timedelta(minutes=n) for n in range(65)] == [b.start for b in bars]
    assert bars[-1].end <= now < bars[-1].end + timedelta(minutes=1)
    assert max(bar.high for bar in bars) <= shown["high"]
    assert min(bar.low for bar in bars) >= shown["low"]
    assert bars[0].open == shown["open"]
    assert sum(bar.volume for bar in bars) <= shown["volume"]
    for bar in bars:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high


async def test_the_running_minute_is_left_out_whenever_it_is_asked(tmp_path):
    """Ten moments of one minute give the same bars: what is returned never changes again."""

    async with edge.served(tmp_path, density=30.0, start="09:31:00") as (desk, _):
        kept = {}
        for second in range(0, 120, 13):
            now = edge.at("09:31:00") + timedelta(seconds=second)
            desk.sim.advance(now, pace_s=second + 1e6)
            for bar in await desk.market.minute_bars_today(SYMBOL, now, 10):
                assert kept.setdefault(bar.start, bar) == bar
                assert bar.end <= now
        assert len(kept) == 11


@pytest.mark.parametrize("start", ["08:45:00", "09:00:00", "09:00:40"])
async def test_before_the_first_finished_minute_there_are_no_bars(tmp_path, start):
    """Nothing is made up from the auction or from the running minute."""
    async with edge.served(tmp_path, start=start) as (desk, _):
        assert await desk.market.minute_bars_today(SYMBOL, edge.at(start), 400) == []


@pytest.mark.parametrize("count", [1, 29, 30, 31, 64])
async def test_as_many_bars_as_wanted(tmp_path, count):
    """The newest ones, and no more pages than needed."""
    async with edge.served(tmp_path, density=6.0) as (desk, _):
        now = desk.clock.now()
        bars = await desk.market.minute_bars_today(SYMBOL, now, count)
        assert len(bars) == count and bars[-1].end > now - timedelta(minutes=1)
        assert desk.requests("inquire-time-itemchartprice") <= count // 30 + 2


async def test_on_a_closed_day_there_are_no_minutes_of_today(tmp_path):
    """A Saturday has no session: no question, no bars."""
    saturday = date(2026, 11, 21)
    async with edge.served(tmp_path) as (desk, _):
        now = edge.at("11:00", saturday)
        assert await desk.market.minute_bars_today(SYMBOL, now, 30) == []
        assert await desk.market.minute_bars_of(SYMBOL, saturday) == []
        assert desk.requests("chartprice") == 0


@pytest.mark.parametrize("day", [date(2026, 11, 18), date(2026, 11, 19), date(2026, 1, 2)])
async def test_minute_bars_of_a_past_day_fit_its_daily_bar(tmp_path, environment, day):
    """The whole session (also one that began an hour later), 120 rows a call, oldest first."""
    async with edge.served(tmp_path, environment=environment, start="08:30:00") as (desk, _):
        bars = await desk.market.minute_bars_of(SYMBOL, day)
        asked = desk.requests("time-dailychartprice")
        [whole] = await desk.market.daily_bars(SYMBOL, day, day)
    session = bot.session_of(day)
    starts = [bar.start for bar in bars]
    assert starts == sorted(set(starts))
    assert starts[0] == session.open and starts[-1] == session.close
    assert asked <= 5
    assert bars[0].open == whole.open and bars[-1].close == whole.close
    assert max(bar.high for bar in bars) == whole.high
    assert min(bar.low for bar in bars) == whole.low
    assert sum(bar.volume for bar in bars) == whole.volume


async def test_paper_may_refuse_past_minutes(tmp_path):
    """The document says it is not offered there: a refusal with its code, not an empty list."""
    async with edge.served(tmp_path, past_minutes_on_paper=False) as (desk, _):
        with pytest.raises(bot.RequestRefused) as refused:
            await desk.market.minute_bars_of(SYMBOL, date(2026, 11, 18))
        assert refused.value.code == "EGW02006"


# --- frames ---


async def test_frames_have_the_promised_columns(tmp_path, environment):
    """date open high low close volume value; one row a bar, the same values as the bars."""
    async with edge.served(tmp_path, environment=environment, density=6.0) as (desk, _):
        now, first = desk.clock.now(), date(2026, 9, 1)
        daily = await desk.market.daily_frame(SYMBOL, first, date(2026, 11, 19))
        bars = await desk.market.daily_bars(SYMBOL, first, date(2026, 11, 19))
        today = await desk.market.minute_frame(SYMBOL, edge.DAY, now)
        past = await desk.market.minute_frame(SYMBOL, date(2026, 11, 18), now)
        empty = await desk.market.daily_frame(SYMBOL, date(2026, 11, 21), date(2026, 11, 22))
    for frame in (daily, today, past, empty):
        assert list(frame.columns) == ["date", "open", "high", "low", "close", "volume", "value"]
    assert len(empty) == 0
    assert [b.day for b in bars] == list(daily["date"])
    assert [b.close for b in bars] == daily["close"].tolist()
    assert [b.value for b in bars] == daily["value"].tolist()
    assert daily["volume"].dtype.kind == "i"
    assert len(today) == 65 and today["date"].iloc[0] == edge.at("09:00")
    assert len(past) == 381 or len(past) == 391
    assert today["date"].is_monotonic_increasing and past["date"].is_monotonic_increasing


def test_pandas_is_not_imported_before_it_is_needed(tmp_path):
    """80 MB are spared: neither the import of the file nor a start of the trader brings it in."""
    code = (
        "import sys, kis_realtime_trading as b; b.own_options(['--paper']); "
        "print(sorted({'pandas', 'numpy', 'telegram', 'rich', 'matplotlib'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=edge.ROOT, capture_output=True, text=True, timeout=120,
        env=edge.environment(tmp_path), check=True,
    )  # fmt: skip
    assert ended.stdout.strip() == "[]"


# --- calendar ---


@pytest.mark.parametrize(
    ("day", "opens"),
    [
        (date(2026, 11, 20), True),
        (date(2026, 11, 21), False),
        (date(2026, 12, 25), False),
        (date(2026, 12, 31), False),
        (date(2027, 1, 1), False),
        (date(2027, 2, 8), False),
    ],
)
async def test_the_broker_says_whether_a_day_is_open(tmp_path, day, opens):
    """opnd_yn of the real server; one question."""
    async with edge.served(tmp_path, environment="real") as (desk, _):
        assert opens is await desk.market.is_open_day(day)
        assert opens is bot.is_trading_day(day)
        assert desk.requests("chk-holiday") == 1


async def test_a_sudden_holiday_is_told(tmp_path):
    """A day that the calendar does not know as closed."""
    async with edge.served(tmp_path, environment="real", extra_holidays=(edge.DAY,)) as (desk, _):
        assert await desk.market.is_open_day(edge.DAY) is False


async def test_the_paper_server_is_not_asked_for_holidays(tmp_path):
    """Not offered there: None, no request."""
    async with edge.served(tmp_path) as (desk, _):
        assert await desk.market.is_open_day(edge.DAY) is None
        assert desk.requests("chk-holiday") == 0


def test_a_calendar_without_the_day_is_no_answer(tmp_path):
    """A list for other days proves nothing."""

    async def main():
        desk = edge.desk(tmp_path, environment="real")
        desk.fault("set", {"path": "chk-holiday"}, field="bass_dt", value="20200101")
        with pytest.raises(bot.BadData):
            await desk.market.is_open_day(edge.DAY)

    harness.run_virtual(main())


# --- overseas ---


@pytest.mark.parametrize("exchange", ["NAS", "NYS", "HKS", "TSE"])
async def test_overseas_prices_are_decimals(tmp_path, environment, exchange):
    """Local currency, exact; a hundred days, oldest first, ending where asked."""
    async with edge.served(tmp_path, environment=environment) as (desk, _):
        price = await desk.market.overseas_price(exchange, "AAPL")
        bars = await desk.market.overseas_daily_bars(exchange, "AAPL", date(2026, 10, 30))
        now = await desk.market.overseas_daily_bars(exchange, "AAPL")
    assert isinstance(price, Decimal) and price > 0
    days = [bar.day for bar in bars]
    assert len(days) == 100 and days == sorted(set(days)) and days[-1] == date(2026, 10, 30)
    assert all(isinstance(bar.close, Decimal) and bar.low <= bar.close <= bar.high for bar in bars)
    assert now[-1].close == price


async def test_trades_of_the_exchange_are_in_korean_time(tmp_path, environment):
    """Bars carry aware times of KST."""
    async with edge.served(tmp_path, environment=environment) as (desk, _):
        [bar] = await desk.market.minute_bars_today(SYMBOL, desk.clock.now(), 1)
    assert bar.start.utcoffset() == timedelta(hours=9)
    assert isinstance(bar.start, datetime) and bar.start.date() == edge.DAY
