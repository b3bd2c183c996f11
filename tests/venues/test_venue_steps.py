"""The desk and the ports step by step: a port and a wire that say what a test writes, in virtual time."""

import asyncio
import json
import random
from decimal import Decimal

import pytest
from harness import run_virtual
from order_stage import Time
from test_venue_orders import FACTS, RULES, intent, view

from kis_realtime_trading import (
    BadData,
    HttpReply,
    Journal,
    KillLevel,
    NoAnswer,
    OrderAnswer,
    OrderEvent,
    OrderStatus,
    Outcome,
    Secret,
    Side,
)
from venues import binance, kiwoom, upbit
from venues.accounts import Account, sending_faults
from venues.binance_orders import BinanceOrders, read_rules
from venues.binance_orders import classify as binance_classify
from venues.binance_orders import read_order as read_binance
from venues.common import Absent, Kind, Market, OrderSeen, Purpose, Rules, VBalance, VQuote
from venues.kiwoom_proof import footprint
from venues.orders import MOST_PAUSE_S, RAMP_PART, WORKING_LOOK_S, Desk, Refused, Wish
from venues.spot import ProofRule, SpotLedger, SpotLimits, SpotOrder, Update, dust, refusals
from venues.upbit_orders import UpbitOrders, read_order
from venues.wire import Http, Pacer, Statistics

D, S, E = Decimal, OrderStatus, OrderEvent
MANY = SpotLimits(*[D(10**12)] * 4, 60, D(5))
DAY_S = 86_400.0


class Port:
    """A venue that does what it is told; `answer` and `seen` may be an error, a value or a function."""

    venue, account_mark, watch_lost_ms = "upbit", "mark", 600_000
    proof = ProofRule(looks=3, after_ms=60_000)

    def __init__(self, time):
        self.time, self.quote_age_ms = time, 0
        self.answer, self.seen = OrderAnswer(Outcome.ACCEPTED, order_no="u1"), NoAnswer("cut")
        self.cancelled, self.lists, self.cancels = [], [], Outcome.ACCEPTED

    @staticmethod
    def _said(what, *given):
        found = what(*given) if callable(what) else what
        if isinstance(found, Exception):
            raise found
        return found

    async def submit(self, meant, veto):
        if why := veto():
            return OrderAnswer(Outcome.NOT_SENT, text=why)
        return self._said(self.answer, meant)

    async def look(self, meant, lists):
        self.lists.append(lists)
        return self._said(self.seen, meant)

    async def cancel(self, order):
        self.cancelled.append(order.intent.intent_id)
        return OrderAnswer(self.cancels)

    async def rules(self, symbol):
        return RULES

    async def free(self):
        return {"KRW": D(10**9), "BTC": D(10)}

    async def quote(self, symbol):
        seen_ns = self.time.mono_ns() - self.quote_age_ms * 10**6
        return VQuote("upbit", symbol, D(89_000_000), D(1), D(89_001_000), D(1), None, seen_ns)


def desk_of(tmp_path, live=False, told=None):
    """Return a desk at a port that is told what to say, and its time."""
    time = Time()
    port = Port(time)
    tell = (lambda code, order: told.append(code)) if told is not None else lambda code, order: None
    return Desk(port, Journal(tmp_path / "j.sqlite3"), MANY, time, tell, live), port


def wish(cause="a", **changes):
    """Return a wish for 0.001 BTC at the market's price."""
    made = Wish("KRW-BTC", Side.BUY, Kind.LIMIT, D("0.001"), None, D(89_000_000), cause=cause)
    return made._replace(**changes)


def shown(seen=OrderSeen.WORKING, filled="0", funds="0"):
    """Return a look that shows the order it is asked for."""
    return lambda meant: view(filled, funds, seen, client_id=meant.client_id)


# --- before the wire --------------------------------------------------------------------


@pytest.mark.parametrize(("age_ms", "passes"), [(3_000, True), (3_001, False), (60_000, False)])
def test_an_order_needs_a_price_of_the_last_three_seconds(age_ms, passes, tmp_path):
    """What was quoted before is no bound for what it may cost."""

    async def scene():
        desk, port = desk_of(tmp_path)
        port.quote_age_ms = age_ms
        return await desk.place(wish())

    placed = run_virtual(scene())
    assert placed == Refused(("no_quote",)) or passes
    assert isinstance(placed, SpotOrder) is passes


def test_another_leg_is_another_order(tmp_path):
    """The same cause once more, as a second leg: two intents, two client ids."""

    async def scene():
        desk, _ = desk_of(tmp_path)
        return [desk.intent_of(wish(leg=leg), "BTC/KRW") for leg in ("entry:1", "entry:2")]

    one, other = run_virtual(scene())
    assert one.intent_id != other.intent_id
    assert one.client_id != other.client_id


def test_the_fourth_day_with_orders_has_the_whole_limits(tmp_path):
    """Three days have orders, today not counted: the fourth is ramped no more; with two it still is."""

    async def scene():
        desk, _ = desk_of(tmp_path, live=True)
        found = []
        for day in range(4):
            found.append(desk.ramped)
            assert isinstance(await desk.place(wish(f"d{day}", quantity=D("0.0001"))), SpotOrder)
            found.append(desk.ramped)
            await asyncio.sleep(DAY_S)
        return found

    assert run_virtual(scene()) == [True] * 6 + [False] * 2


def test_what_an_unresolved_sale_may_still_take_is_not_free():
    """Ten coins, three of which are in a sale of five that is half known: eight are left, not five."""
    ledger = SpotLedger()
    made = intent(side=Side.SELL, quantity="5", symbol="KRW-BTC")
    ledger.orders["i1"] = SpotOrder(made, S.CANCEL_UNKNOWN, filled=D(3))
    facts = FACTS.__class__(RULES, FACTS.bid, FACTS.ask, 100, {"BTC": D(10)}, FACTS.now_ms)
    for quantity, wrong in (("8", []), ("8.00000001", ["balance"])):
        meant = intent(2, side=Side.SELL, quantity=quantity)
        found = refusals(meant, facts, ledger, MANY)
        assert [code for code in found if code == "balance"] == wrong


@pytest.mark.parametrize(("most", "at_market", "allowed"), [("5", "9", "5"), ("9", "5", "5"), ("0", "5", "5")])  # fmt: skip
def test_a_sale_at_market_keeps_both_bounds(most, at_market, allowed):
    """LOT_SIZE and MARKET_LOT_SIZE both hold; 0 is no bound."""
    rules = Rules(
        RULES.market, RULES.ticks, RULES.step, max_quantity=D(most), market_max=D(at_market)
    )
    facts = FACTS.__class__(rules, FACTS.bid, FACTS.ask, 100, {"BTC": D(100)}, FACTS.now_ms)
    for quantity, wrong in ((D(allowed), False), (D(allowed) + D("0.00000001"), True)):
        meant = intent(side=Side.SELL, kind=Kind.SELL_AT_MARKET, quantity=str(quantity), price=None)
        assert ("max_quantity" in refusals(meant, facts, SpotLedger(), MANY)) is wrong


def test_dust_is_what_a_falling_price_leaves_unsold():
    """A holding just worth the minimum cannot be sold safely: valued 5 % below the bid it is dust."""
    rules = Rules(Market("u", "s", "b", "q"), ((D(0), D(1)),), D("0.01"), min_notional=D(5_000))
    assert dust(D("51.5"), rules, D(100)) == D("51.5")
    assert dust(D("52.64"), rules, D(100)) == 0


# --- what an answer means ---------------------------------------------------------------


def test_an_error_that_no_port_named_leaves_the_order_unknown(tmp_path):
    """It may have left: looked for, never called not sent."""

    async def scene():
        desk, port = desk_of(tmp_path)
        port.answer = BadData("odd")
        return (await desk.place(wish())).status

    assert run_virtual(scene()) is S.UNKNOWN


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.NOT_SENT, Outcome.UNKNOWN])
def test_what_was_seen_before_its_answer_stands_against_it(outcome, tmp_path):
    """The stream showed it while the call was under way: the answer changes nothing; a refusal is told."""
    told = []

    async def scene():
        desk, port = desk_of(tmp_path, told=told)

        def answer(meant):
            desk.take(view(client_id=meant.client_id))
            assert desk.due() == []  # its call is under way: nobody looks
            return OrderAnswer(outcome)

        port.answer = answer
        placed = await desk.place(wish())
        return placed.status, placed in desk.due()

    assert run_virtual(scene()) == (S.WORKING, True)
    assert told == ([] if outcome is Outcome.UNKNOWN else ["contradiction"])


def test_a_refused_order_that_exists_is_adopted(tmp_path):
    """The venue refused it and shows it at work: it is at work."""

    async def scene():
        desk, port = desk_of(tmp_path)
        port.answer = OrderAnswer(Outcome.REFUSED, code="odd")
        placed = await desk.place(wish())
        before = placed.status
        desk.take(view(client_id=placed.intent.client_id))
        return before, placed.status, placed.order_id

    assert run_virtual(scene()) == (S.REJECTED, S.WORKING, "u1")


# --- looking ----------------------------------------------------------------------------


def test_looks_that_fail_come_later_and_later_but_each_minute_at_least(tmp_path):
    """5, 10, 15 ... 60, 60 s; one that had an answer ends the growth."""

    async def scene():
        desk, port = desk_of(tmp_path)
        port.answer = OrderAnswer(Outcome.UNKNOWN)
        placed = await desk.place(wish())
        loop, gaps = asyncio.get_running_loop(), []

        async def failing(count):
            last = None
            while count:
                if placed in desk.due():
                    await desk.look(placed)
                    gaps.append(loop.time() - last if last is not None else 0)
                    last, count = loop.time(), count - 1
                await asyncio.sleep(0.5)

        await failing(16)
        port.seen = Absent("none")
        await desk.look(placed)
        port.seen = NoAnswer("cut")
        gaps.append(None)
        await failing(2)
        return gaps

    gaps = run_virtual(scene())
    again = gaps.index(None)
    steps = [gap for gap in gaps[1:again] if gap]
    assert steps == sorted(steps)
    assert max(steps) <= MOST_PAUSE_S + 1
    assert gaps[again + 2] <= 2 * WORKING_LOOK_S + 1


def test_a_cancel_is_followed_by_a_look_at_once(tmp_path):
    """Asked is not ended: what became of it is asked now, not at the next turn."""

    async def scene():
        desk, port = desk_of(tmp_path)
        placed = await desk.place(wish())
        port.seen = shown()
        await desk.look(placed)
        assert placed not in desk.due()
        await desk.cancel(placed.intent.intent_id)
        assert placed in desk.due()
        port.seen = shown(OrderSeen.FILLED, "0.001", "89000")
        await desk.resolve()
        return placed.status

    assert run_virtual(scene()) is S.FILLED


def test_a_kill_level_takes_entries_back_and_leaves_exits(tmp_path):
    """REDUCE_ONLY: a resting sale goes on, it is the way out."""

    async def scene():
        desk, port = desk_of(tmp_path)
        entry = await desk.place(wish("in"))
        exit_ = await desk.place(
            wish("out", side=Side.SELL, price=D(89_001_000), purpose=Purpose.EXIT)
        )
        desk.set_level(KillLevel.REDUCE_ONLY, "test")
        await desk.obey_level()
        return port.cancelled == [entry.intent.intent_id], entry.status, exit_.status

    assert run_virtual(scene()) == (True, S.CANCEL_PENDING, S.WORKING)


# --- the ports over a wire of answers ---------------------------------------------------


class Answers:
    """A wire: what a path answers, and what was asked."""

    def __init__(self, **said):
        self.said, self.asked, self.timeouts = said, [], []

    async def __call__(self, method, url, headers, body, timeout_s):
        path, _, query = url.partition("?")
        self.timeouts.append(timeout_s)
        self.asked.append((path.removeprefix("http://x"), query))
        name = path.rsplit("/", 1)[1]
        status, document = self.said[name]
        return HttpReply(
            status, document if isinstance(document, str) else json.dumps(document), {}
        )

    async def close(self):
        """Nothing is open."""


def port_of(venue, answers):
    """Return a port over a wire of answers."""
    time, module = Time(), {"upbit": upbit, "binance": binance}[venue]
    pacer = Pacer(module.LIMITS)
    http = Http(answers, pacer, Statistics(), time, lambda call, reply: None, random.Random(1))
    kind = {"upbit": UpbitOrders, "binance": BinanceOrders}[venue]
    return kind(http, Secret("key-of-a-test"), Secret("secret-of-a-test"), base="http://x")


GONE = (404, {"error": {"name": "order_not_found", "message": ""}})
ELSEWHERE = {"uuid": "u9", "identifier": "kb-of-another"}


def looked(venue, lists=True, **said):
    """Return what a look gives (or the error it raises), and what was asked."""
    answers = Answers(**said)
    symbol, pair = ("KRW-BTC", "BTC/KRW") if venue == "upbit" else ("BTCUSDT", "BTC/USDT")
    meant = intent(venue=venue, symbol=symbol, pair=pair)

    async def scene():
        try:
            return await port_of(venue, answers).look(meant, lists)
        except (BadData, NoAnswer) as error:
            return error

    return run_virtual(scene()), answers.asked


def test_upbits_absence_is_its_own_word_and_both_lists():
    """Only order_not_found, and only when open and ended orders since a minute before are without it."""
    seen, asked = looked("upbit", order=GONE, open=(200, []), closed=(200, [ELSEWHERE]))
    assert seen == Absent("order_not_found")
    assert [path for path, _ in asked] == ["/v1/order", "/v1/orders/open", "/v1/orders/closed"]
    assert "start_time=2026-11-27T00%3A59%3A00Z" in asked[2][1]
    assert "states[]=wait&states[]=watch" in asked[1][1]
    assert "states[]=done&states[]=cancel" in asked[2][1]


@pytest.mark.parametrize("said", [
    {"order": (404, {"error": {"name": "not_found", "message": ""}})},
    {"order": (404, "<html>")},
    {"order": (401, {"error": {"name": "order_not_found", "message": ""}})},
    {"order": GONE, "open": (403, []), "closed": (200, [])},
    {"order": GONE, "open": (200, []), "closed": (401, [])},
    {"order": GONE, "open": (200, {}), "closed": (200, [])},
    {"order": GONE, "open": (200, []), "closed": (200, ["u1"])},
    {"order": GONE, "open": (200, [ELSEWHERE] * 100), "closed": (200, [])},
    {"order": GONE, "open": (200, []), "closed": (200, [ELSEWHERE] * 1_000)},
])  # fmt: skip
def test_nothing_else_is_upbits_absence(said):
    """Another 404, a page of HTML, a list that was refused, is odd, or may go on: nothing is proved."""
    assert isinstance(looked("upbit", **said)[0], NoAnswer | BadData)


UNKNOWN_ORDER = (400, {"code": -2013, "msg": "Order does not exist."})
THEIRS = {"clientOrderId": "kb-of-another", "orderId": 9}


def test_binances_absence_is_its_own_word_and_both_lists():
    """Only -2013, and only when open orders and all since a minute before are without it."""
    seen, asked = looked(
        "binance", order=UNKNOWN_ORDER, openOrders=(200, []), allOrders=(200, [THEIRS])
    )
    assert seen == Absent("-2013")
    since = int(intent().at.timestamp() * 1_000) - 60_000
    assert f"startTime={since}&" in asked[2][1]


@pytest.mark.parametrize("said", [
    {"order": (400, {"code": -1121, "msg": "Invalid symbol."})},
    {"order": (400, "<html>")},
    {"order": UNKNOWN_ORDER, "openOrders": (403, []), "allOrders": (200, [])},
    {"order": UNKNOWN_ORDER, "openOrders": (200, []), "allOrders": (200, {"code": 0})},
    {"order": UNKNOWN_ORDER, "openOrders": (200, []), "allOrders": (200, [THEIRS] * 1_000)},
])  # fmt: skip
def test_nothing_else_is_binances_absence(said):
    """Another refusal, a list that was refused, is odd, or may go on: nothing is proved."""
    assert isinstance(looked("binance", **said)[0], NoAnswer | BadData)


def test_the_dearer_fee_is_reserved():
    """A buy may be maker or taker, bid or ask: the balance must do for the dearer."""
    chance = {"bid_fee": "0.0005", "ask_fee": "0.002", "market": {"id": "KRW-BTC", "bid": {"currency": "KRW", "min_total": "5000"}, "ask": {"currency": "BTC"}, "state": "active"}}  # fmt: skip
    answers = Answers(chance=(200, chance), instruments=(200, [{"tick_size": "1000"}]))
    rules = run_virtual(port_of("upbit", answers).rules("KRW-BTC"))
    assert rules.fee == D("0.002")


DONE = {"uuid": "u1", "identifier": "kb-1", "market": "KRW-BTC", "side": "bid", "ord_type": "limit", "state": "done",
        "price": "100", "volume": "2", "executed_volume": "2", "paid_fee": "0.1", "trades_count": 1,
        "trades": [{"funds": "200", "volume": "2"}]}  # fmt: skip


@pytest.mark.parametrize(
    ("count", "funds"), [(1, D(200)), (2, None), (None, D(200)), ("1", D(200))]
)
def test_money_is_known_when_every_trade_is_there(count, funds):
    """The list of trades may lag behind their count: then nothing is booked of it."""
    order = read_order({**DONE, "trades_count": count}, "KRW")
    assert (order.filled_funds, order.fees_known) == (funds, funds is not None)


# --- Binance's words --------------------------------------------------------------------


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007, -1008])
@pytest.mark.parametrize("status", [200, 400, 500])
def test_codes_that_leave_it_open_are_unknown(code, status):
    """The venue itself does not know what became of the request."""
    reply = HttpReply(status, json.dumps({"code": code, "msg": "x"}), {})
    assert binance_classify(reply, "kb-1").outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("code", [-1003, -1015, -1021, -1022, -2014, -2015])
def test_codes_of_limits_clock_and_keys_were_never_sent(code):
    """Refused before anything was looked at."""
    reply = HttpReply(400, json.dumps({"code": code, "msg": "x"}), {})
    assert binance_classify(reply, "kb-1").outcome is Outcome.NOT_SENT


FILLED = {"symbol": "BTCUSDT", "side": "BUY", "clientOrderId": "kb-1", "orderId": 1, "status": "FILLED",
          "origQty": "2", "executedQty": "2", "cummulativeQuoteQty": "200"}  # fmt: skip


def test_fees_are_known_when_every_trade_is_there_and_added_by_asset():
    """Two trades in one asset and one in another; one that is missing leaves them unknown."""
    trades = [{"qty": "0.5", "commission": "0.1", "commissionAsset": "BNB"},
              {"qty": "0.5", "commission": "0.2", "commissionAsset": "BNB"},
              {"qty": "1", "commission": "0.003", "commissionAsset": "BTC"}]  # fmt: skip
    whole = read_binance(FILLED, trades, "BTC")
    assert (whole.fees, whole.fees_known) == ((("BNB", D("0.3")), ("BTC", D("0.003"))), True)
    part = read_binance(FILLED, trades[:2], "BTC")
    assert (part.fees, part.fees_known) == ((), False)


@pytest.mark.parametrize(("status", "code", "outcome"), [
    (429, -1003, Outcome.NOT_SENT), (418, -1003, Outcome.NOT_SENT), (429, 0, Outcome.NOT_SENT),
    (400, -2011, Outcome.UNKNOWN), (400, -1021, Outcome.NOT_SENT), (200, None, Outcome.ACCEPTED),
])  # fmt: skip
def test_a_cancel_that_never_arrived_is_known_not_to(status, code, outcome):
    """Limits and clock: the order works on, and the cancel may be sent again."""
    body = {} if code is None else {"code": code, "msg": "x"}
    port = port_of("binance", Answers(order=(status, body)))
    order = SpotOrder(intent(venue="binance", symbol="BTCUSDT"))
    assert run_virtual(port.cancel(order)).outcome is outcome


def test_a_market_without_its_filters_is_refused():
    """Ticks and steps are never guessed."""
    body = json.dumps({"symbols": [{"symbol": "BTCUSDT", "filters": None}]})
    with pytest.raises(BadData):
        read_rules(body, "BTCUSDT", D(0))


def test_balances_are_a_list_of_assets():
    """An object in its place is no answer."""
    rows = [{"asset": "BTC", "free": "1", "locked": "0"}]
    answers = Answers(account=(200, {"balances": rows}))
    assert run_virtual(port_of("binance", answers).balances()) == (VBalance("BTC", D(1), D(0)),)


def test_only_the_first_update_of_a_call_ends_it():
    """A ledger knows when a call ended; a later word moves nothing."""
    ledger = SpotLedger()
    ledger.apply(intent())
    ledger.apply(Update("i1", E.NO_ANSWER, 5))
    ledger.apply(Update("i1", E.FOUND, 9, "u1"))
    assert ledger.orders["i1"].ended_ms == 5


# --- Kiwoom's account as a witness; what real money needs -------------------------------


def test_what_others_took_counts_with_their_fees():
    """Won that another order spent, still may spend, and paid as fees: else they would look like this one's."""
    ledger = SpotLedger()
    for number in (1, 2):
        made = intent(number, quantity="10", price="1000", venue="kiwoom", symbol="005930", pair="005930/KRW")  # fmt: skip
        ledger.orders[f"i{number}"] = SpotOrder(made, S.WORKING)
    other = ledger.orders["i2"]
    other.filled, other.filled_funds, other.fees = D(4), D(3_990), {"KRW": D(7)}
    assert footprint(ledger, ledger.orders["i1"]) == 3_990 + 6_000 + 7


@pytest.mark.parametrize(("status", "outcome"), [
    (200, Outcome.ACCEPTED), (302, Outcome.UNKNOWN), (400, Outcome.UNKNOWN), (500, Outcome.UNKNOWN),
])  # fmt: skip
def test_kiwooms_number_counts_in_a_good_answer_only(status, outcome):
    """A good code and a number behind another HTTP status contradict each other: looked for."""
    body = '{"return_code":0,"return_msg":"ok","ord_no":"0000007"}'
    assert kiwoom.classify(HttpReply(status, body, {})).outcome is outcome


def test_a_pin_is_of_one_key_and_of_these_limits():
    """Higher limits want another pin; so does another key."""
    keys = Secret("key-one-of-a-test"), Secret("secret-of-a-test")
    account = Account("upbit", "live", MANY, keys, "", "", ())
    dearer = account._replace(limits=SpotLimits(*[D(10**13)] * 4, 60, D(5)))
    other = account._replace(keys=(Secret("key-two-of-a-test"), keys[1]))
    assert len({account.right_pin, dearer.right_pin, other.right_pin}) == 3
    assert not sending_faults(account._replace(pin=account.right_pin), True)
    assert sending_faults(dearer._replace(pin=account.right_pin), True)


@pytest.mark.parametrize(("use", "live", "faults"), [("testnet", False, 0), ("testnet", True, 1), ("demo", True, 1), ("watch", False, 1)])  # fmt: skip
def test_live_is_said_for_real_money_only(use, live, faults):
    """Who types --live in a test world thinks that he is somewhere else."""
    keys = Secret("key-one-of-a-test"), Secret("secret-of-a-test")
    assert len(sending_faults(Account("binance", use, MANY, keys, "", "", ()), live)) == faults


# --- over restarts, cancels and borders -------------------------------------------------


def test_a_journal_that_is_read_again_is_believed_once(tmp_path):
    """The manager opens it each round: the last row is not a new one."""

    async def scene():
        desk, port = desk_of(tmp_path)
        port.seen = shown(OrderSeen.CANCELLED)
        placed = await desk.place(wish())
        await desk.look(placed)
        for _ in range(2):
            desk.rebuild(Journal(tmp_path / "j.sqlite3"))
        return placed.status

    assert run_virtual(scene()) is S.CANCELLED


def test_what_was_under_way_when_a_process_died_is_in_doubt(tmp_path):
    """A cancel that was written and perhaps sent; an order that was requested: never sent again."""

    async def scene():
        desk, port = desk_of(tmp_path)
        placed = await desk.place(wish())
        key = placed.intent.intent_id
        desk._write([Update(key, E.CANCEL_SENT, 1)])
        again = Desk(port, Journal(tmp_path / "j.sqlite3"), MANY, port.time)
        again.rebuild()
        order = again.ledger.orders[key]
        status, order.status = order.status, S.SUBMITTING  # were the code above wrong
        port.answer = OrderAnswer(Outcome.ACCEPTED, order_no="u2")
        return status, (await again._submit(placed.intent)).outcome

    assert run_virtual(scene()) == (S.CANCEL_UNKNOWN, Outcome.NOT_SENT)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.UNKNOWN])
def test_a_cancel_that_was_refused_proves_nothing(outcome, tmp_path):
    """It may be filled by now: only a look says that it works."""

    async def scene():
        desk, port = desk_of(tmp_path)
        placed = await desk.place(wish())
        port.cancels = outcome
        await desk.cancel(placed.intent.intent_id)
        return placed.status

    assert run_virtual(scene()) is S.CANCEL_UNKNOWN


def test_only_what_rests_is_taken_back(tmp_path):
    """An order nobody knows of cannot be cancelled: it is looked for."""

    async def scene():
        desk, port = desk_of(tmp_path)
        port.answer = OrderAnswer(Outcome.UNKNOWN)
        placed = await desk.place(wish())
        await desk.cancel(placed.intent.intent_id)
        return port.cancelled, placed.status

    assert run_virtual(scene()) == ([], S.UNKNOWN)


def test_a_quarantined_order_is_looked_for_in_the_lists_as_well(tmp_path):
    """Its owner was asked; the venue goes on being asked, by both witnesses."""

    async def scene():
        desk, port = desk_of(tmp_path)
        port.answer = OrderAnswer(Outcome.UNKNOWN)
        placed = await desk.place(wish())
        await asyncio.sleep(700.0)
        await desk.look(placed)
        assert placed.status is S.QUARANTINED
        await desk.look(placed)
        return port.lists

    assert run_virtual(scene()) == [True, True]


def test_what_a_venue_echoes_is_written_without_keys(tmp_path):
    """The note of an answer goes through the redactor before it is a row."""

    async def scene():
        desk, port = desk_of(tmp_path)
        desk.redact = lambda text: text.replace("secret-of-a-test", "***")
        port.answer = OrderAnswer(Outcome.REFUSED, code="odd", text="you sent secret-of-a-test")
        await desk.place(wish())
        return [row.body for row in desk._journal.rows()]

    rows = run_virtual(scene())
    assert "***" in rows[-1]
    assert not [row for row in rows if "secret-of-a-test" in row]


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, 89_000_000), (Side.SELL, 89_001_000)])
def test_a_price_between_two_steps_goes_to_the_better_one(side, price, tmp_path):
    """Down for a buy, up for a sale; the venue never sees the odd one."""

    async def scene():
        desk, _ = desk_of(tmp_path)
        purpose = Purpose.ENTRY if side is Side.BUY else Purpose.EXIT
        return await desk.place(wish(side=side, price=D(89_000_400), purpose=purpose))

    assert run_virtual(scene()).intent.price == price


@pytest.mark.parametrize(("ago_ms", "refused"), [(1, True), (59_999, True), (60_000, False)])
def test_orders_a_minute_are_those_of_a_whole_minute(ago_ms, refused):
    """Each of the last sixty seconds counts."""
    ledger = SpotLedger()
    ledger.orders["i1"] = SpotOrder(intent(), S.FILLED, requested_ms=FACTS.now_ms - ago_ms)
    one = SpotLimits(*[D(10**12)] * 4, 1, D(5))
    assert ("orders_a_minute" in refusals(intent(2), FACTS, ledger, one)) is refused


def test_the_most_that_a_venue_takes_is_a_bound():
    """An order worth more than max_total, and money that is no whole won."""
    rules = Rules(RULES.market, RULES.ticks, RULES.step, max_notional=D(89_000), funds_step=D(1))
    facts = FACTS.__class__(rules, FACTS.bid, FACTS.ask, 100, {"KRW": D(10**9)}, FACTS.now_ms)
    for quantity, found in (("0.001", []), ("0.00100001", ["max_notional"])):
        assert refusals(intent(quantity=quantity), facts, SpotLedger(), MANY) == found
    for funds, found in (("6000", []), ("6000.5", ["funds_step"])):
        meant = intent(kind=Kind.BUY_FOR, quantity=None, price=None, funds=funds)
        assert refusals(meant, facts, SpotLedger(), MANY) == found


def test_every_money_limit_is_a_tenth_while_ramped():
    """Order, coin, total and day; the number of orders and the collar stay."""
    limits = SpotLimits(D(10), D(20), D(30), D(40), 6, D(3)).part(RAMP_PART)
    assert limits == SpotLimits(D(1), D(2), D(3), D(4), 6, D(3))


@pytest.mark.parametrize(("state", "tradable"), [("active", True), ("preview", False), ("delisted", False)])  # fmt: skip
def test_only_an_active_market_is_traded(state, tradable):
    """A coin before its start or at its end is no market."""
    market = {"id": "KRW-BTC", "bid": {"currency": "KRW", "min_total": "5000"}, "ask": {"currency": "BTC"}, "state": state}  # fmt: skip
    chance = {"bid_fee": "0.0005", "ask_fee": "0.0005", "market": market}
    answers = Answers(chance=(200, chance), instruments=(200, [{"tick_size": "1000"}]))
    assert run_virtual(port_of("upbit", answers).rules("KRW-BTC")).tradable is tradable


@pytest.mark.parametrize(("status", "outcome"), [
    (200, Outcome.ACCEPTED), (400, Outcome.UNKNOWN), (404, Outcome.UNKNOWN), (500, Outcome.UNKNOWN),
    (429, Outcome.NOT_SENT),
])  # fmt: skip
def test_upbits_cancel_is_asked_only_by_a_good_answer(status, outcome):
    """order_not_found behind a cancel may be a filled order: looked at."""
    port = port_of("upbit", Answers(order=(status, {"error": {"name": "order_not_found"}})))
    assert run_virtual(port.cancel(SpotOrder(intent()))).outcome is outcome


def test_requests_to_binance_carry_its_clock_and_an_order_waits_longer():
    """Ours plus the difference; an order has 15 seconds, as the venue itself waits 10."""
    answers = Answers(time=(200, {"serverTime": Time.START_MS + 7_000}), order=(200, {}))
    port = port_of("binance", answers)

    async def scene():
        await port.set_clock()
        await port.submit(intent(venue="binance", symbol="BTCUSDT"), lambda: "")

    run_virtual(scene())
    assert f"timestamp={Time.START_MS + 7_000}&" in answers.asked[-1][1]
    assert answers.timeouts[-1] == 15.0
    answers = Answers(orders=(201, {}))
    run_virtual(port_of("upbit", answers).submit(intent(), lambda: ""))
    assert answers.timeouts == [15.0]
