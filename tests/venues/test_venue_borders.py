"""Borders of rules that orders at the venues rest on: figures, names and moments, each with its neighbour."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from harness import run_virtual
from test_kiwoom_orders import on_desk, place
from test_kiwoom_orders import wish as share_wish
from test_venue_orders import FACTS, LIMITS, intent
from venue_stage import Stage

from kis_realtime_trading import (
    BadData,
    HttpReply,
    NoAnswer,
    NotSent,
    OrderEvent,
    OrderStatus,
    Outcome,
    Secret,
    SettingsError,
    Side,
)
from venues import binance, binance_orders, book_cli, kiwoom, monitor, upbit, upbit_orders
from venues.binance_orders import BinanceOrders, read_rules
from venues.checks import Check
from venues.common import Kind, Market
from venues.keeping import STEADY_S, Kept
from venues.kiwoom import FillSum, read_fills
from venues.kiwoom_client import KiwoomClient
from venues.settings import Environment, VenueSettings, read_settings
from venues.spot import SpotLedger, Update, refusals
from venues.spot_venue import order_line
from venues.upbit_orders import UpbitOrders
from venues.wire import (
    LANE_ORDER,
    LANE_QUERY,
    Budget,
    CallStats,
    Clock,
    Limit,
    Pacer,
    VenueTransport,
)

D, S, E = Decimal, OrderStatus, OrderEvent


def booked(*orders):
    """Return a ledger of orders: each an intent, the event that ends its call, and what follows."""
    ledger = SpotLedger()
    for made, event, more in orders:
        ledger.apply(made)
        ledger.apply(Update(made.intent_id, event, 1, order_id="u"))
        if more:
            ledger.apply(Update(made.intent_id, E.FILL, 2, **more))
    return ledger


# --- rules before the wire --------------------------------------------------------------


def test_the_money_in_a_coin_is_buys_less_sells_and_never_below_nothing():
    """Bought for 300, sold for 100: 200 are in it, so that 100 more of 300 may go; sold for more than paid: nothing."""
    bought = (intent(2), E.ACCEPTED, {"filled": D("0.001"), "filled_funds": D(300)})
    sold = intent(3, side=Side.SELL)
    for funds, left in ((D(100), 200), (D(300), 0), (D(500), 0)):
        ledger = booked(bought, (sold, E.ACCEPTED, {"filled": D("0.001"), "filled_funds": funds}))
        assert ledger.invested("KRW-BTC") == left


def test_only_unresolved_buys_of_the_same_money_hold_back_what_is_free():
    """One order in doubt, one at work (the venue has blocked its money itself), one in doubt in dollars: 89,000 won."""
    free = {"KRW": D(89_000 * 2) + D("44.5")}  # two orders and the fee of one
    doubt = (intent(2, symbol="KRW-ETH", pair="ETH/KRW"), E.NO_ANSWER, None)
    work = (intent(3, symbol="KRW-XRP", pair="XRP/KRW"), E.ACCEPTED, None)
    dollars = (intent(4, symbol="USDT-ETH", pair="ETH/USDT"), E.NO_ANSWER, None)
    limits = replace(LIMITS, max_coin=D(10**6), max_total=D(10**6), max_day=D(10**6))
    for orders, codes in (
        ((doubt, work, dollars), []),
        ((doubt, (intent(5, symbol="KRW-SOL", pair="SOL/KRW"), E.NO_ANSWER, None)), ["balance"]),
    ):
        assert refusals(intent(), replace(FACTS, free=free), booked(*orders), limits) == codes


# --- what an answer means ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "status", "body", "outcome"),
    [
        (binance_orders, 503, '{"code":-1013,"msg":"x"}', Outcome.UNKNOWN),
        (binance_orders, 500, '{"code":-1021,"msg":"x"}', Outcome.UNKNOWN),
        (binance_orders, 499, '{"code":-1013,"msg":"x"}', Outcome.REFUSED),
        (upbit_orders, 500, '{"error":{"name":"jwt_verification"}}', Outcome.UNKNOWN),
        (upbit_orders, 499, '{"error":{"name":"under_min_total_bid"}}', Outcome.REFUSED),
        (upbit_orders, 499, '{"error":{"name":"jwt_verification"}}', Outcome.NOT_SENT),
    ],
)
def test_from_500_on_nobody_knows_whatever_the_body_says(module, status, body, outcome):
    """A server in trouble cannot say that it did nothing; below 500 its words count."""
    assert module.classify(HttpReply(status, body, {}), "me").outcome is outcome


@pytest.mark.parametrize("name", sorted(upbit_orders.NOT_SENT | upbit_orders.REFUSED))
def test_each_name_of_upbit_has_its_one_meaning(name):
    """Names of keys and signatures: nothing was sent. Names of a wish that was weighed: refused. As documented."""
    not_sent = {
        "jwt_verification", "invalid_query_payload", "expired_access_key", "invalid_access_key",
        "no_authorization_ip", "no_authorization_token", "out_of_scope",
        "thirdparty_agreement_required", "too_many_requests",
    }  # fmt: skip
    reply = HttpReply(400, json.dumps({"error": {"name": name}}), {})
    wanted = Outcome.NOT_SENT if name in not_sent else Outcome.REFUSED
    assert upbit_orders.classify(reply, "me").outcome is wanted
    assert not_sent == upbit_orders.NOT_SENT


@pytest.mark.parametrize(
    ("port", "looks", "after_ms"), [(BinanceOrders, 3, 30_000), (UpbitOrders, 3, 60_000)]
)
def test_absence_needs_three_looks_and_the_time_of_its_venue(port, looks, after_ms):
    """Binance: its window of 5 s, 10 s and a clock that may be wrong by 15; Upbit: a minute."""
    assert (port.proof.looks, port.proof.after_ms) == (looks, after_ms)


FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.02", "maxPrice": "90000", "tickSize": "0.01"},
    {"filterType": "LOT_SIZE", "minQty": "0.0003", "maxQty": "9000", "stepSize": "0.0001"},
    {"filterType": "MARKET_LOT_SIZE", "minQty": "0", "maxQty": "80", "stepSize": "0.001"},
    {"filterType": "NOTIONAL", "minNotional": "5", "maxNotional": "7000"},
]


def test_every_filter_of_binance_has_its_place():
    """Ten figures, all different: none is read from another's field; the older filter stands in for the newer."""
    row = {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "status": "TRADING", "filters": FILTERS}  # fmt: skip
    rules = read_rules(json.dumps({"symbols": [row]}), "BTCUSDT", D("0.001"))
    assert rules.market == Market("binance", "BTCUSDT", "BTC", "USDT")
    assert rules.ticks == ((D(0), D("0.01")),)
    assert (rules.step, rules.min_quantity, rules.max_quantity) == (D("0.0001"), D("0.0003"), D(9000))  # fmt: skip
    assert (rules.market_step, rules.market_max) == (D("0.001"), D(80))
    assert (rules.min_notional, rules.max_notional) == (D(5), D(7000))
    assert (rules.min_price, rules.max_price, rules.fee) == (D("0.02"), D(90000), D("0.001"))
    assert rules.tradable and rules.funds_step == 0
    old = [*FILTERS[:3], {"filterType": "MIN_NOTIONAL", "minNotional": "10"}]
    halted = {**row, "filters": old, "status": "BREAK"}
    rules = read_rules(json.dumps({"symbols": [halted]}), "BTCUSDT", D(0))
    assert (rules.min_notional, rules.max_notional, rules.tradable) == (10, 0, False)


@pytest.mark.parametrize(
    "changes", [{"clientOrderId": "kb-other"}, {"symbol": "ETHUSDT"}, {"status": "NEW"}]
)
def test_a_look_of_binance_believes_only_the_order_that_it_asked_for(changes):
    """Another id, or our id at another market: no answer about ours."""
    made = intent(venue="binance", symbol="BTCUSDT", pair="BTC/USDT")
    body = {"symbol": "BTCUSDT", "orderId": 1, "clientOrderId": made.client_id, "side": "BUY", "status": "NEW",
            "executedQty": "0", "cummulativeQuoteQty": "0", "origQty": "0.001"} | changes  # fmt: skip
    port = BinanceOrders(None, Secret("key"), Secret("secret"), "https://x")
    if changes == {"status": "NEW"}:
        assert asyncio.run(port._own(body, made)).order_id == "1"
    else:
        with pytest.raises(BadData):
            asyncio.run(port._own(body, made))


# --- pacer, statistics, tasks -----------------------------------------------------------


def test_a_server_may_stop_a_group_for_an_hour_at_most():
    """`Retry-After` of a day: an hour, then it is asked again. Without one: a second, doubling to a minute."""

    async def scene():
        pacer = Pacer({"g": Limit(10, 1.0)})
        closed = []
        for said in (86_400.0, 3_599.0):
            pacer.budgets["g"].closed_until = 0.0
            pacer.refused("g", said)
            closed.append(pacer.budgets["g"].closed_until)
        return closed

    assert run_virtual(scene()) == [3_600.0, 3_599.0]


@pytest.mark.parametrize(
    ("used", "weight", "wait"),
    [
        ([(0.0, 1), (0.3, 1), (0.6, 8)], 1, 0.3),
        ([(0.0, 1), (0.3, 1), (0.6, 8)], 2, 0.6),
        ([(0.0, 1), (0.3, 1), (0.6, 8)], 3, 0.9),
        ([(0.0, 1), (0.3, 1), (0.6, 7)], 1, 0.0),
    ],
)
def test_a_wait_ends_when_just_enough_has_left_the_window(used, weight, wait):
    """Ten a second are spent at 0.0, 0.3 and 0.6; at 0.7 one, two or three more must wait for one, two or all of them."""
    budget = Budget(Limit(10, 1.0))
    for at, each in used:
        budget.spend(at, each)
    assert budget.wait_for(0.7, weight, LANE_QUERY) == pytest.approx(wait)
    assert budget.wait_for(0.7, weight, LANE_ORDER) == pytest.approx(wait)


def test_the_last_hour_of_a_call_is_sixty_minutes_and_what_is_older_goes():
    """One call a minute over 200 minutes, every second one fails: sixty and thirty; no more minutes than that are kept."""
    stats = CallStats()
    for minute in range(200):
        stats.count("sent", minute * 60_000)
        if minute % 2:
            stats.count("unknown", minute * 60_000)
    told = stats.as_json(199 * 60_000)
    assert (told["sent_last_hour"], told["failed_last_hour"], told["sent"]) == (60, 30, 200)
    assert len(stats._minutes) <= 61


def test_a_steady_minute_begins_the_count_of_failures_anew():
    """Told is the second failure in a row: one after a steady run is the first of its row again."""

    async def scene():
        told, runs = [], iter((1.0, STEADY_S, 1.0, 1.0))

        async def work():
            await asyncio.sleep(next(runs, 10_000.0))
            raise RuntimeError(f"at {asyncio.get_running_loop().time():.0f}")

        kept = Kept("v", work, lambda name, why: told.append(why))
        task = asyncio.create_task(kept.run())
        seen = []
        while kept.restarts < 4:
            await asyncio.sleep(0.5)
            seen.append((kept.restarts, len(told)))
        task.cancel()
        return {count: max(n for each, n in seen if each == count) for count, _ in seen}

    told = run_virtual(scene())
    assert (told[1], told[2], told[3], told[4]) == (0, 0, 1, 1)


# --- figures and names that stand once --------------------------------------------------


def test_hosts_of_kiwoom_are_those_of_its_documentation():
    """Keys of one world go to that world only: scheme, host and port of all four addresses."""
    live, mock = kiwoom.WORLDS["live"], kiwoom.WORLDS["mock"]
    assert tuple(live) == ("live", "https://api.kiwoom.com", "wss://api.kiwoom.com:10000")
    assert tuple(mock) == ("mock", "https://mockapi.kiwoom.com", "wss://mockapi.kiwoom.com:10000")


def test_months_freshness_and_ranks_have_their_length():
    """A rank is of 30 days, a book is fresh for 15 seconds."""
    assert (monitor.MONTH_MS, book_cli.FRESH_NS) == (30 * 24 * 3_600 * 1_000, 15 * 10**9)


def test_one_fill_without_fees_adds_nothing_of_its_own():
    """The sum of one row is the row."""
    row = {"ord_no": "1", "cntr_qty": "3", "cntr_pric": "100"}
    assert read_fills([row]) == {"0000001": FillSum(3, 300, 0)}


@pytest.mark.parametrize("simple", [True, False])
def test_a_ticker_of_upbit_has_each_figure_in_its_place(simple):
    """All figures different, in both formats."""
    short = {"ty": "ticker", "cd": "KRW-BTC", "tp": 7, "ttms": 5, "scr": 0.01, "hp": 9, "lp": 3, "atv24h": 11,
             "atp24h": 13, "ms": "ACTIVE", "its": False, "tms": 6}  # fmt: skip
    names = {"ty": "type", "cd": "code", "tp": "trade_price", "ttms": "trade_timestamp", "scr": "signed_change_rate",
             "hp": "high_price", "lp": "low_price", "atv24h": "acc_trade_volume_24h", "atp24h": "acc_trade_price_24h",
             "ms": "market_state", "its": "is_trading_suspended", "tms": "timestamp"}  # fmt: skip
    frame = short if simple else {names[key]: value for key, value in short.items()}
    (ticker,) = upbit.read_frame(json.dumps(frame).encode(), 1)
    assert (ticker.last, ticker.last_ts_ms, ticker.change_day_pct) == (7, 5, 1)
    assert (ticker.high, ticker.low, ticker.base_24h, ticker.quote_24h) == (9, 3, 11, 13)
    assert ticker.trading


def test_a_quote_of_kiwoom_has_each_side_in_its_place():
    """Four figures, all different; a book without one side is none."""

    def quote(**changes):
        answer = {"buy_fpr_bid": "-70000", "sel_fpr_bid": "70100", "buy_fpr_req": "15", "sel_fpr_req": "16"} | changes  # fmt: skip
        client = object.__new__(KiwoomClient)

        async def ask(tr, body, lane):
            return answer, None

        client.ask, client.http = ask, type("Http", (), {"clock": Clock()})()
        return asyncio.run(client.quote("005930"))

    seen = quote()
    assert (seen.bid, seen.bid_size, seen.ask, seen.ask_size) == (70_000, 15, 70_100, 16)
    for side in ("buy_fpr_bid", "sel_fpr_bid"):
        with pytest.raises(NoAnswer):
            quote(**{side: "0"})


def test_the_line_of_an_order_says_when_it_was_decided():
    """In milliseconds since 1970, as all tables compare."""
    ledger = booked((intent(), E.ACCEPTED, None))
    line = order_line(ledger.orders["i1"], "dry")
    assert line.at_ms == 1_795_741_200_000 == round(intent().at.timestamp() * 1_000)
    assert (line.symbol, line.side, line.open) == ("KRW-BTC", Side.BUY, True)


def test_the_time_of_a_bank_rate_needs_its_zone():
    """`2026-11-27 09:00` may be Seoul or London: refused; with a zone it is taken."""
    text = "bank_rates: [{source: a, krw: 1400, at: '2026-11-27T09:00:00%s'}]"
    for zone in ("+09:00", "Z"):
        rate = read_settings(text % zone, {})[0].bank_rates[0]
        assert rate.at.tzinfo is not None
    with pytest.raises(SettingsError) as caught:
        read_settings(text % "", {})
    assert [fault.key for fault in caught.value.faults] == ["bank_rates.0.at"]


def test_a_key_of_binance_that_cannot_be_asked_about_is_a_finding():
    """The venue is not there at all: one finding with a cause, not silence and not `ok`."""
    stage = Stage()
    stage.closed.add("binance")

    async def scene():
        check = Check(VenueSettings(), Environment(), stage.hosts(), stage.clock, 1.0)
        await check._binance_key(Secret("k" * 20), Secret("s" * 20), "http://binance")
        return [(str(each.about), each.code, each.good) for each in check.findings]

    ((about, code, good),) = run_virtual(scene())
    assert (about, good) == ("Binance, key", False)
    assert code != "ok"


# --- Kiwoom: absence that nothing can be compared with ----------------------------------


def test_without_a_figure_from_before_six_lists_are_enough_and_five_are_not(tmp_path):
    """Five minutes and a canary stand in for the account, and six complete lists in a row: the sixth proves it."""

    async def act(world, desk):
        await place(world, desk, share_wish("first"))
        await place(world, desk, share_wish("x", quantity=D(3)), "lost_before")
        again = world.opened(tmp_path / "orders.sqlite3")
        placed = list(again.ledger.orders.values())[-1]
        await asyncio.sleep(400)  # nobody looked: the time is over, lists there are none
        counts = []
        while placed.status is S.UNKNOWN and len(counts) < 20:
            await again.look(placed)
            counts.append(again.port._searches[placed.intent.intent_id].clean)
            await asyncio.sleep(1)
        return placed.status, counts

    status, counts = on_desk(tmp_path, act)[1]
    assert status is S.LOST
    assert counts[-1] == 6


@pytest.mark.parametrize("value", [None, "absent", "odd"])
@pytest.mark.parametrize("name", ["ttms", "scr", "hp", "lp", "atv24h", "atp24h"])
def test_a_figure_that_upbit_does_not_tell_is_unknown_and_an_odd_one_is_refused(name, value):
    """Price and code are what a ticker needs; the rest may be missing or null, not something else."""
    frame = {"ty": "ticker", "cd": "KRW-BTC", "tp": 7, "ttms": 5, "scr": 0.01, "hp": 9, "lp": 3, "atv24h": 11, "atp24h": 13}  # fmt: skip
    field = {"ttms": "last_ts_ms", "scr": "change_day_pct", "hp": "high", "lp": "low", "atv24h": "base_24h",
             "atp24h": "quote_24h"}[name]  # fmt: skip
    frame[name] = value
    if value == "absent":
        del frame[name]
    raw = json.dumps(frame).encode()
    if value == "odd":
        with pytest.raises(BadData):
            upbit.read_frame(raw, 1)
        return
    (ticker,) = upbit.read_frame(raw, 1)
    assert [each for each in ticker._fields if getattr(ticker, each) is None] == [
        each for each in ticker._fields if each in ("change_24h_pct", field)
    ]


@pytest.mark.parametrize("name", ["o", "h", "l", "v", "q"])
def test_a_figure_that_binance_does_not_tell_is_unknown(name):
    """Symbol, price and time are what a ticker needs."""
    frame = {"e": "24hrMiniTicker", "E": 5, "s": "BTCUSDT", "c": "7", "o": "5", "h": "9", "l": "3", "v": "11", "q": "13"}  # fmt: skip
    field = {"o": "change_24h_pct", "h": "high", "l": "low", "v": "base_24h", "q": "quote_24h"}[name]  # fmt: skip
    del frame[name]
    (ticker,) = binance.read_frame(json.dumps(frame).encode(), 1)
    empty = {each for each in ticker._fields if getattr(ticker, each) is None}
    assert empty == {"change_day_pct", field}
    with pytest.raises(BadData):
        binance.read_frame(json.dumps({**frame, name: "x"}).encode(), 1)


BUY_FOR = {"kind": Kind.BUY_FOR, "quantity": None, "price": None, "funds": "20000"}
SELL = {"kind": Kind.SELL_AT_MARKET, "side": Side.SELL, "price": None}
FIELDS = [
    ({}, "side=bid ord_type=limit volume=0.001 price=89000000 smp_type=cancel_taker",
     "side=BUY type=LIMIT timeInForce=GTC quantity=0.001 price=89000000"),
    ({"kind": Kind.LIMIT_IOC}, "side=bid ord_type=limit volume=0.001 price=89000000 time_in_force=ioc smp_type=cancel_taker",
     "side=BUY type=LIMIT timeInForce=IOC quantity=0.001 price=89000000"),
    ({"kind": Kind.POST_ONLY, "side": Side.SELL}, "side=ask ord_type=limit volume=0.001 price=89000000 time_in_force=post_only",
     "side=SELL type=LIMIT_MAKER quantity=0.001 price=89000000"),
    (BUY_FOR, "side=bid ord_type=price price=20000 smp_type=cancel_taker", "side=BUY type=MARKET quoteOrderQty=20000"),
    (SELL, "side=ask ord_type=market volume=0.001 smp_type=cancel_taker", "side=SELL type=MARKET quantity=0.001"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "upbit_wants", "binance_wants"), FIELDS)
def test_an_order_of_each_kind_has_exactly_the_fields_of_the_documentation(
    changes, upbit_wants, binance_wants
):
    """Names, values and order of them; nothing more, as a price too many is refused."""
    made = intent(**changes)
    seen = [" ".join("=".join(pair) for pair in module.order_fields(made)) for module in (upbit_orders, binance_orders)]  # fmt: skip
    assert seen == [
        f"market=KRW-BTC {upbit_wants} identifier={made.client_id}",
        f"symbol=KRW-BTC {binance_wants} newClientOrderId={made.client_id} newOrderRespType=FULL"
        " selfTradePreventionMode=EXPIRE_TAKER",
    ]


def test_a_named_host_is_reached_by_tls_only():
    """The venue's own host passes the gate; without TLS, or one letter off, it does not."""
    transport = VenueTransport(["api.upbit.com"])
    transport._check("https://api.upbit.com/v1/accounts")
    for url in ("http://api.upbit.com/v1", "https://api.upbit.co/v1", "https://xapi.upbit.com/v1"):
        with pytest.raises(NotSent):
            transport._check(url)


@pytest.mark.parametrize(("code", "asked"), [(-1021, 1), (-1013, 0), (-1022, 0)])
def test_only_a_wrong_clock_asks_for_the_time_anew(code, asked):
    """-1021: the difference is measured for the next order; this one is not sent again."""
    seen = []

    class Wire:
        clock = Clock()

        async def once(self, make, veto=None):
            seen.append(make().method)
            return HttpReply(400, json.dumps({"code": code, "msg": "x"}), {})

        async def query(self, make):
            seen.append(make().name)
            return HttpReply(200, '{"serverTime":5}', {})

    port = BinanceOrders(Wire(), Secret("key"), Secret("secret"), "https://x")
    asyncio.run(port.submit(intent(), lambda: ""))
    assert seen == ["POST", *["time"] * asked]
    assert (port.offset_ms != 0) == bool(asked)
