"""Orders of Upbit and Binance: one POST an intent, whatever happens; the whole by tests/campaigns/venue_orders.py."""

import asyncio
import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import venue_orders
from harness import run_virtual
from hypothesis import given
from hypothesis import strategies as st
from venue_orders import World

from kis_realtime_trading import (
    HttpReply,
    IllegalTransition,
    JournalError,
    KillLevel,
    OrderEvent,
    OrderStatus,
    Outcome,
    Secret,
    Side,
)
from venues import binance_orders, upbit_orders
from venues.common import Intent, Kind, Market, OrderSeen, Purpose, Rules, VOrder, client_id_of
from venues.orders import Refused, Wish
from venues.spot import (
    Facts,
    LevelSet,
    ProofRule,
    Requested,
    SpotLedger,
    SpotLimits,
    SpotOrder,
    Update,
    absence_proved,
    dust,
    entry_of,
    refusals,
    updates_of,
)

AT = datetime(2026, 11, 27, 1, tzinfo=UTC)
D = Decimal
RULES = Rules(Market("upbit", "KRW-BTC", "BTC", "KRW"), ((D(0), D(1000)),), D("0.00000001"),
              min_notional=D(5000), fee=D("0.0005"))  # fmt: skip
LIMITS = SpotLimits(D(100_000), D(300_000), D(500_000), D(400_000), 6, D(3))
FREE = {"KRW": D(1_000_000), "BTC": D("0.01")}
FACTS = Facts(RULES, D(89_000_000), D(89_001_000), 100, FREE, 1_795_000_000_000)


def intent(
    number=1,
    side=Side.BUY,
    kind=Kind.LIMIT,
    quantity="0.001",
    price="89000000",
    funds=None,
    **changes,
):
    """Return an intent of a market of Upbit."""

    def read(text):
        return None if text is None else D(text)

    made = Intent(f"i{number}", f"kb-{number:024d}", "upbit", "KRW-BTC", "BTC/KRW", side, kind, read(quantity),
                  read(funds), read(price), Purpose.ENTRY if side is Side.BUY else Purpose.EXIT,
                  "entry:1", "s", AT)  # fmt: skip
    return replace(made, **changes)


def view(
    filled="0", funds="0", seen=OrderSeen.WORKING, fees=(), known=True, client_id=f"kb-{1:024d}"
):
    """Return what a venue shows of an order."""
    return VOrder("upbit", "KRW-BTC", client_id, "u1", seen, Side.BUY, D("0.001"), None, D(filled), D(funds),
                  fees, known, None, seen.value)  # fmt: skip


# --- campaigns, a slice -----------------------------------------------------------------


@pytest.mark.parametrize("venue", ["upbit", "binance"])
def test_orders_under_faults_end_as_the_venue_says(venue, tmp_path):
    """Lost, late, doubled, cut and lying answers: 0 doubled POSTs, 0 wrong ends, fees to the digit."""
    result = venue_orders.faulted(venue, 50, 11, tmp_path)
    assert (result.doubled, result.undecided, result.wrong, result.floats) == (0, [], [], [])
    assert result.texts > 150
    assert {"filled", "cancelled", "lost", "not sent"} <= set(result.ends)


@pytest.mark.parametrize("venue", ["upbit", "binance"])
def test_a_kill_at_any_step_loses_and_doubles_nothing(venue, tmp_path):
    """Every fifteenth journal write and request of a scripted day: a restart knows every order."""
    result, count = venue_orders.kills(venue, tmp_path, every=15)
    assert (result.doubled, result.wrong, result.floats) == (0, [], [])
    assert count >= 9


def test_a_look_that_failed_is_no_look(tmp_path):
    """A venue that answers nothing from the first minute to the ninth uses up no look: then all is proved."""

    async def scene():
        world = World("upbit", 1)
        desk = world.desk(tmp_path / "j.sqlite3")
        world.fault = "lost_before"
        order = await desk.place(wish())
        world.fault = ""
        moments = []
        while order.status is OrderStatus.UNKNOWN:
            now = world.time.mono_ns() // 10**9
            world.look_trouble = 1.0 if 60 <= now < 540 else 0.0
            world.rng.seed(1)  # an error 500 or no JSON, never half an answer
            looks = order.looks
            if desk.due():
                moments.append(now)
                await desk.resolve()
                assert order.looks == looks + (not world.look_trouble)
            await asyncio.sleep(1.0)
        return order, moments

    order, moments = run_virtual(scene())
    assert order.status is OrderStatus.LOST
    gaps = [later - one for one, later in itertools.pairwise(moments)]
    assert max(gaps) <= 75 and len(moments) < 40  # soon again, and not all the time


# --- the only way out -------------------------------------------------------------------


def wish(cause="a", **changes):
    """Return a wish for 0.002 BTC near the market of the simulated Upbit."""
    made = Wish("KRW-BTC", Side.BUY, Kind.LIMIT, D("0.002"), None, D("70400000"), cause=cause)
    return made._replace(**changes)


def on_desk(tmp_path, act, venue="upbit"):
    """Run something with a desk in virtual time; return the world and what it gave."""
    world = World(venue, 1)

    async def scene():
        desk = world.desk(tmp_path / "orders.sqlite3")
        return await act(world, desk)

    return world, run_virtual(scene())


def test_the_rows_stand_before_the_request(tmp_path):
    """Intent and request are durable when the POST leaves: looked at from the wire."""
    seen = []

    async def act(world, desk):
        send = world._post

        def looked(client_id, arrive):
            seen.extend(row.kind for row in desk._journal.rows())
            return send(client_id, arrive)

        world._post = looked
        await desk.place(wish())

    on_desk(tmp_path, act)
    assert seen == ["intent", "request"]


def test_a_journal_that_cannot_be_written_sends_nothing(tmp_path):
    """A disk that fails at the intent or at the request: no POST, an error."""

    async def act(world, desk):
        for fail_at in (1, 2):
            count, append = 0, desk._journal.append

            def failing(rows, at, append=append, fail_at=fail_at):
                nonlocal count
                count += 1
                if count == fail_at:
                    raise JournalError("disk")
                append(rows, at)

            desk._journal.append = failing
            with pytest.raises(JournalError):
                await desk.place(wish(f"c{fail_at}"))
            desk._journal.append = append

    world, _ = on_desk(tmp_path, act)
    assert sum(world.posts.values()) == 0


def test_the_same_wish_is_one_order_also_after_a_restart(tmp_path):
    """The cause makes the id: a repeat sends nothing, today and in the next process."""

    async def act(world, desk):
        first = await desk.place(wish())
        assert await desk.place(wish()) is first
        again = world.desk(tmp_path / "orders.sqlite3")
        repeated = await again.place(wish())
        assert repeated.intent == first.intent

    world, _ = on_desk(tmp_path, act)
    assert sum(world.posts.values()) == 1


def test_a_second_call_for_an_intent_is_vetoed(tmp_path):
    """Even if the code above were wrong: the last hand before the wire lets an intent through once."""

    async def act(world, desk):
        world.fault = "lost_before"
        placed = await desk.place(wish())
        desk.ledger.orders[placed.intent.intent_id].status = OrderStatus.SUBMITTING
        return (await desk._submit(placed.intent)).outcome

    world, outcome = on_desk(tmp_path, act)
    assert (outcome, sum(world.posts.values())) == (Outcome.NOT_SENT, 1)


def test_while_one_is_unknown_nothing_new_leaves_for_the_coin(tmp_path):
    """A lost answer stops its coin until the look has said what became of it."""

    async def act(world, desk):
        world.fault = "lost_after"
        first = await desk.place(wish("a"))
        world.fault = ""
        assert first.status is OrderStatus.UNKNOWN
        assert await desk.place(wish("b")) == Refused(("unresolved",))
        await asyncio.sleep(2.0)
        await desk.resolve()
        assert first.status is OrderStatus.FILLED
        assert (await desk.place(wish("b"))).status is OrderStatus.WORKING

    world, _ = on_desk(tmp_path, act)
    assert sum(world.posts.values()) == 2


def test_a_kill_level_outlives_a_restart_and_stops_entries_only(tmp_path):
    """Entries are refused from ENTRIES_OFF on; an exit passes; REDUCE_ONLY takes resting entries back."""

    async def act(world, desk):
        world.core.matching.parts = lambda order: []
        resting = await desk.place(wish("rest"))
        desk.set_level(KillLevel.REDUCE_ONLY, "test")
        again = world.desk(tmp_path / "orders.sqlite3")
        assert again.ledger.level is KillLevel.REDUCE_ONLY
        assert await again.place(wish("b")) == Refused(("kill_level",))
        await again.obey_level()
        await again.resolve()
        assert again.ledger.orders[resting.intent.intent_id].status is OrderStatus.CANCELLED
        sell = wish(
            "exit", side=Side.SELL, kind=Kind.SELL_AT_MARKET, price=None, purpose=Purpose.EXIT
        )
        assert (await again.place(sell)).status is OrderStatus.WORKING

    on_desk(tmp_path, act)


def test_the_veto_is_asked_at_the_last_moment(tmp_path):
    """The kill switch that moves while the order waits for its turn still stops it."""

    async def act(world, desk):
        turn = desk.port._http.pacer.turn

        async def slow(group, lane, weight=1):
            await turn(group, lane, weight)
            if group == "order":
                desk.set_level(KillLevel.ENTRIES_OFF, "while it waited")

        desk.port._http.pacer.turn = slow
        return await desk.place(wish())

    world, order = on_desk(tmp_path, act)
    assert (order.status, sum(world.posts.values())) == (OrderStatus.NOT_SENT, 0)


def test_real_money_begins_with_a_tenth(tmp_path):
    """On the first three days with live orders every money limit is a tenth."""

    async def act(world, desk):
        desk._live = True
        assert desk.limits().max_order * 10 == venue_orders.LIMITS.max_order
        for day in range(4):
            await desk.place(wish(str(day)))
            await asyncio.sleep(86_400.0)
        return desk.limits()

    _, limits = on_desk(tmp_path, act)
    assert limits == venue_orders.LIMITS


# --- proof, booking ---------------------------------------------------------------------


def test_absence_needs_looks_and_time():
    """Two looks are not enough, nor is the third a second too early; each alone would be wrong."""
    rule = ProofRule(looks=3, after_ms=60_000)
    order = SpotOrder(intent(), ended_ms=1_000, absents=3)
    assert absence_proved(order, rule, 61_000)
    assert not absence_proved(order, rule, 60_999)
    order.absents = 2
    assert not absence_proved(order, rule, 61_000)


ABSENT = {
    "binance": ("/api/v3/order?", 400, '{"code":-2013,"msg":"Order does not exist."}'),
    "upbit": ("/v1/order?", 404, '{"error":{"name":"order_not_found","message":"x"}}'),
}


@pytest.mark.parametrize("venue", ["binance", "upbit"])
def test_a_list_that_shows_the_order_outweighs_the_single_question(venue, tmp_path):
    """The single question may lag behind; the lists, where ours is not the first, are asked before LOST."""

    async def act(world, desk):
        symbol, price = (
            ("BTCUSDT", D("50000")) if venue == "binance" else ("KRW-BTC", D("70400000"))
        )
        await desk.place(wish("before", symbol=symbol, price=price))
        world.fault = "lost_after"
        placed = await desk.place(wish(symbol=symbol, price=price))
        rest, (start, status, text) = world.core.rest, ABSENT[venue]

        def lagging(method, target, headers, body):
            reply = rest(method, target, headers, body)
            if target.startswith(start) and placed.order_id == "":
                return reply._replace(status=status, body=text)
            return reply

        world.core.rest = lagging
        await desk.resolved(placed.intent.intent_id, 120.0)
        return placed

    _, placed = on_desk(tmp_path, act, venue)
    assert placed.status is OrderStatus.FILLED


def test_looks_without_an_answer_end_in_quarantine_not_in_a_guess(tmp_path):
    """Ten minutes of errors: only the owner can say; found later it is adopted."""

    async def act(world, desk):
        world.fault = "lost_after"
        placed = await desk.place(wish())
        world.core.fault = "500"
        await desk.resolved(placed.intent.intent_id, 700.0)
        assert placed.status is OrderStatus.QUARANTINED
        world.core.fault = ""
        await desk.resolved(placed.intent.intent_id, 1_300.0)
        return placed

    _, placed = on_desk(tmp_path, act)
    assert placed.status is OrderStatus.FILLED


@pytest.mark.parametrize(("venue", "fault"), [("upbit", "out_of_scope"), ("binance", -2015)])
def test_a_refused_question_is_no_absence(venue, fault, tmp_path):
    """The key lost its right to look: that says nothing of the order, however often it is said."""

    async def act(world, desk):
        world.fault = "lost_after"
        up = venue == "upbit"
        placed = await desk.place(wish() if up else wish(symbol="BTCUSDT", price=D("50000")))
        world.core.key_fault = fault
        await desk.resolved(placed.intent.intent_id, 300.0)
        assert placed.status is OrderStatus.UNKNOWN
        world.core.key_fault = "" if up else 0
        await desk.resolved(placed.intent.intent_id, 700.0)
        return placed

    _, placed = on_desk(tmp_path, act, venue)
    assert placed.status is OrderStatus.FILLED


def test_a_request_that_arrives_after_the_proof_is_found_although_a_look_fails(tmp_path):
    """Nothing in a request to Upbit expires: believed lost, it comes at 400 s; the look at 600 s fails."""

    async def act(world, desk):
        world.fault, world.late_s = "late", 400.0
        placed = await desk.place(wish())
        seen = set()
        for second in range(700):
            world.core.fault = "cut" if 590 < second < 640 else ""
            await desk.resolve()
            seen.add(placed.status)
            await asyncio.sleep(1.0)
        assert OrderStatus.LOST in seen
        return placed

    world, placed = on_desk(tmp_path, act)
    assert (placed.status, sum(world.posts.values())) == (OrderStatus.FILLED, 1)


FILLS = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=30)


@given(FILLS)
def test_only_cumulative_figures_are_booked(steps):
    """Repeated, reordered, shrinking views: what is booked is the largest that was seen, once."""
    ledger = SpotLedger()
    ledger.apply(intent())
    ledger.apply(Requested("i1", 0))
    ledger.apply(Update("i1", OrderEvent.ACCEPTED, 0, "u1"))
    most = 0
    for filled, twice in steps:
        most = max(most, filled)
        for _ in range(1 + twice):
            fees = (("KRW", D(filled) * 5),) if filled else ()
            seen = view(str(D(filled) / 10_000), str(filled * 8_900), fees=fees)
            for update in list(updates_of(ledger.orders["i1"], seen, 0)):
                ledger.apply(update)
    assert ledger.orders["i1"].filled == D(most) / 10_000
    assert ledger.moved.get("BTC", D(0)) == D(most) / 10_000
    assert ledger.moved.get("KRW", D(0)) == -(most * 8_900 + most * 5)


def test_a_smaller_figure_takes_nothing_back():
    """A view that is older in one figure and newer in another books only what is more."""
    ledger = SpotLedger()
    ledger.apply(intent())
    ledger.apply(Update("i1", OrderEvent.ACCEPTED, 0, "u1"))
    ledger.apply(Update("i1", OrderEvent.FILL, 1, "u1", D("0.0005"), D(44_500), (("KRW", D(20)),)))
    ledger.apply(Update("i1", OrderEvent.FILL, 2, "u1", D("0.0004"), D(40_000), (("KRW", D(22)),)))
    order = ledger.orders["i1"]
    assert (order.filled, order.filled_funds, order.fees) == (
        D("0.0005"),
        D(44_500),
        {"KRW": D(22)},
    )
    assert ledger.moved == {"BTC": D("0.0005"), "KRW": D(-44_522)}


def test_a_filled_order_without_its_fees_stays_open_until_they_are_known():
    """The end is booked with the figures, never before them."""
    ledger = SpotLedger()
    ledger.apply(intent())
    ledger.apply(Update("i1", OrderEvent.ACCEPTED, 0, "u1"))
    order = ledger.orders["i1"]
    for seen in (view("0.001", "89000", OrderSeen.FILLED, known=False),
                 view("0.001", "89000", OrderSeen.FILLED, (("KRW", D("44.5")),))):  # fmt: skip
        for update in list(updates_of(order, seen, 0)):
            ledger.apply(update)
        assert order.filled == D("0.001")
        assert (order.status is OrderStatus.FILLED) == bool(order.fees)


def test_a_row_is_read_back_as_it_was(tmp_path):
    """Intent, request, update, level: through the journal's text and back, Decimal to Decimal."""
    from kis_realtime_trading import canonical_json

    for entry in (
        intent(), intent(kind=Kind.BUY_FOR, quantity=None, price=None, funds="6000"), Requested("i1", 5),
        Update("i1", OrderEvent.FILL, 5, "u", D("0.00000001"), D("890.5"), (("KRW", D("0.1")),), "n"),
        LevelSet(KillLevel.REDUCE_ONLY, "why", 5),
    ):  # fmt: skip
        assert entry == entry_of(canonical_json(entry))
    with pytest.raises(JournalError):
        entry_of('{"type":"Update"}')


def test_what_the_table_forbids_is_an_error():
    """A filled order is not cancelled."""
    ledger = SpotLedger()
    ledger.apply(intent())
    with pytest.raises(IllegalTransition):
        ledger.apply(Update("i1", OrderEvent.CANCELLED, 0))


# --- rules before the wire --------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "facts", "code"),
    [
        ({"price": D(89_000_500)}, {}, "tick"),
        ({"quantity": D("0.000000001")}, {}, "step"),
        ({"quantity": D("0.00005")}, {}, "min_notional"),
        ({"quantity": D("0.00113")}, {}, "max_order"),
        ({"price": D(92_000_000)}, {}, "price_band"),
        ({}, {"quote_age_ms": 3_001}, "no_quote"),
        ({}, {"bid": D(0)}, "no_quote"),
        ({}, {"free": {"KRW": D(89_044)}}, "balance"),
        ({}, {"rules": None}, "unknown_market"),
        ({}, {"rules": replace(RULES, tradable=False)}, "not_tradable"),
        ({}, {"rules": replace(RULES, max_quantity=D("0.0009"))}, "max_quantity"),
        ({}, {"rules": replace(RULES, min_quantity=D("0.002"))}, "min_quantity"),
        ({"side": Side.SELL, "price": D(86_000_000), "purpose": Purpose.EXIT}, {}, "price_band"),
        ({"side": Side.SELL, "quantity": D("0.02"), "purpose": Purpose.EXIT}, {}, "balance"),
    ],
)
def test_each_rule_refuses_what_it_is_for(changes, facts, code):
    """One thing wrong, one code; the sound order beside it passes."""
    assert refusals(intent(), FACTS, SpotLedger(), LIMITS) == []
    found = refusals(replace(intent(), **changes), replace(FACTS, **facts), SpotLedger(), LIMITS)
    assert code in found


def test_the_sums_count_what_is_bought_and_what_may_be():
    """Coin, total and day: filled buys and the open rest of others count; sells give back."""
    ledger = SpotLedger()
    now = int(AT.timestamp()) * 1_000
    facts = replace(FACTS, now_ms=now)
    for number in range(2, 5):
        ledger.apply(intent(number))
        ledger.apply(Update(f"i{number}", OrderEvent.ACCEPTED, now - 3_600_000, "u"))
    assert ledger.invested("KRW-BTC") == 3 * 89_000
    assert refusals(intent(), facts, ledger, LIMITS) == ["max_coin"]
    assert refusals(intent(), facts, ledger, replace(LIMITS, max_coin=D(10**6))) == []
    assert refusals(
        intent(), facts, ledger, replace(LIMITS, max_coin=D(10**6), max_day=D(355_999))
    ) == ["max_day"]
    assert refusals(
        intent(), facts, ledger, replace(LIMITS, max_coin=D(10**6), max_total=D(355_999))
    ) == ["max_total"]


def test_orders_a_minute_stop_entries_not_exits():
    """The sixth in a minute is refused; a sale is not."""
    ledger = SpotLedger()
    for number in range(2, 8):
        ledger.apply(intent(number))
        ledger.apply(Requested(f"i{number}", FACTS.now_ms - 1_000))
        ledger.apply(Update(f"i{number}", OrderEvent.REFUSED, FACTS.now_ms))
    assert refusals(intent(), FACTS, ledger, LIMITS) == ["orders_a_minute"]
    sell = intent(side=Side.SELL, price="89000000")
    assert refusals(sell, FACTS, ledger, LIMITS) == []


def test_dust_is_what_cannot_be_sold():
    """Below the step, or all of it below the minimum."""
    assert dust(D("0.00000000"), RULES, FACTS.bid) == 0
    assert dust(D("0.00005"), RULES, FACTS.bid) == D("0.00005")
    steps = replace(RULES, step=D("0.001"))
    assert dust(D("0.0123"), steps, FACTS.bid) == D("0.0003")


# --- wire -------------------------------------------------------------------------------

UPBIT = [
    (201, '{"uuid":"u","identifier":"me"}', Outcome.ACCEPTED), (201, '{"uuid":"u","identifier":"other"}', Outcome.UNKNOWN),
    (201, '{"uuid":"u","ident', Outcome.UNKNOWN), (200, "<html>", Outcome.UNKNOWN), (500, "{}", Outcome.UNKNOWN),
    (400, '{"error":{"name":"insufficient_funds_bid"}}', Outcome.REFUSED),
    (400, '{"error":{"name":"duplicated_identifier"}}', Outcome.UNKNOWN),
    (401, '{"error":{"name":"nonce_used"}}', Outcome.UNKNOWN), (400, "", Outcome.UNKNOWN),
    (401, '{"error":{"name":"no_authorization_ip"}}', Outcome.NOT_SENT), (429, "", Outcome.NOT_SENT),
    (500, '{"error":{"name":"insufficient_funds_bid"}}', Outcome.UNKNOWN),
]  # fmt: skip
BINANCE = [
    (200, '{"orderId":1,"clientOrderId":"me"}', Outcome.ACCEPTED), (200, '{"orderId":1,"clientOrderId":"x"}', Outcome.UNKNOWN),
    (200, "{}", Outcome.UNKNOWN), (400, '{"code":-1007,"msg":"Timeout"}', Outcome.UNKNOWN), (503, "", Outcome.UNKNOWN),
    (400, '{"code":-2010,"msg":"Account has insufficient balance"}', Outcome.REFUSED),
    (400, '{"code":-2010,"msg":"Duplicate order sent."}', Outcome.UNKNOWN),
    (400, '{"code":-1013,"msg":"Filter failure"}', Outcome.REFUSED), (400, '{"code":-1021,"msg":"t"}', Outcome.NOT_SENT),
    (401, '{"code":-2015,"msg":"key"}', Outcome.NOT_SENT), (418, "", Outcome.NOT_SENT),
    (451, "", Outcome.NOT_SENT), (400, '{"code":-9999,"msg":"new"}', Outcome.UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(
    ("module", "status", "body", "outcome"),
    [(upbit_orders, *each) for each in UPBIT] + [(binance_orders, *each) for each in BINANCE],
)
def test_an_answer_is_believed_by_its_body(module, status, body, outcome):
    """What the venue did not say in so many words is unknown, never refused."""
    assert module.classify(HttpReply(status, body, {}), "me").outcome is outcome


def test_the_query_is_hashed_plain_and_sent_encoded():
    """Brackets stay, a colon is encoded on the wire and not in the hash."""
    raw, sent = upbit_orders.query_of(
        [("states[]", "wait"), ("start_time", "2026-11-27T00:00:00Z")]
    )
    assert raw == "states[]=wait&start_time=2026-11-27T00:00:00Z"
    assert sent == "states[]=wait&start_time=2026-11-27T00%3A00%3A00Z"


def test_the_signature_of_binance_is_the_one_of_its_documentation():
    """HMAC-SHA256 over the text as sent, the signature last."""
    import hashlib
    import hmac

    text = binance_orders.signed([("symbol", "BTCUSDT")], Secret("s"), 5)
    head, _, mark = text.rpartition("&signature=")
    assert head == "symbol=BTCUSDT&recvWindow=5000&timestamp=5"
    assert hmac.new(b"s", head.encode(), hashlib.sha256).hexdigest() == mark


@pytest.mark.parametrize("module", [upbit_orders, binance_orders])
def test_no_number_on_the_wire_has_an_exponent(module):
    """0.00000005 is written in full; a market order carries no price."""
    small = intent(quantity="0.00000005", price="89000000")
    texts = dict(module.order_fields(small))
    assert "0.00000005" in texts.values()
    market = intent(side=Side.SELL, kind=Kind.SELL_AT_MARKET, quantity="1", price=None)
    assert "price" not in dict(module.order_fields(market))
    money = intent(kind=Kind.BUY_FOR, quantity=None, price=None, funds="6000")
    fields = dict(module.order_fields(money))
    assert not {"volume", "quantity"} & set(fields)


def test_a_client_id_is_derived_and_fits_every_venue():
    """The same cause, the same id; 27 characters that Binance's pattern takes."""
    one, other = client_id_of("binance", "a", "i"), client_id_of("upbit", "a", "i")
    assert one == client_id_of("binance", "a", "i") != other
    assert len(one) == 27


def test_secrets_stand_in_no_row(tmp_path):
    """Neither key nor secret nor token in the journal's file, whatever was asked and answered."""

    async def act(world, desk):
        for number, fault in enumerate(["", "500_with", "lost_after", "429", "no_connection"]):
            world.fault = fault
            await desk.place(wish(str(number)))
            world.fault = ""
            await asyncio.sleep(70.0)
            await desk.resolve()
        return [row.body for row in desk._journal.rows()]

    world, bodies = on_desk(tmp_path, act)
    text = "\n".join(bodies)
    assert len(bodies) >= 12
    assert json.loads(bodies[0])["client_id"] in text
    for secret in (world.core.access, world.core.secret, "Bearer"):
        assert secret not in text
