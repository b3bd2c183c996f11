"""KISOrder: one attempt, a clear outcome or UNKNOWN, and the account as the broker shows it."""

import asyncio
import itertools
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import edge
import harness
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kis_realtime_trading as bot

SYMBOL = "005930"
O = bot.Outcome  # noqa: E741


@pytest.fixture(params=("paper", "real"))
def environment(request):
    """Both environments."""
    return request.param


def run(main):
    """Run a test in virtual time."""
    return harness.run_virtual(main())


def band(desk):
    """Return the lowest and the highest price of the day."""
    return edge.price_band(desk.sim.state()["stocks"][SYMBOL]["base"], False)


def intent(price, **more):
    """Return an intent to buy three shares."""
    usual = {
        "intent_id": "i1", "trade_date": edge.DAY, "symbol": SYMBOL, "side": bot.Side.BUY,
        "kind": bot.OrderKind.LIMIT, "quantity": 3, "price": price, "purpose": "entry",
        "leg": "0", "signal": "s", "at": edge.at("10:05:30"),
    }  # fmt: skip
    return bot.OrderIntent(**{**usual, **more})


def change(order, answer, action, kind="00", price=0):
    """Return the call that cancels or changes an accepted order."""
    return bot.OrderCall(action, order, answer.order_no, answer.branch, kind, price)


# --- sending, changing, cancelling ---


async def test_an_order_arrives_as_it_was_meant(tmp_path, environment):
    """Symbol, side, kind, quantity and price reach the exchange; the number comes back padded."""
    async with edge.served(tmp_path, environment=environment) as (desk, _):
        low, _ = band(desk)
        answer = await desk.orders.submit(intent(low))
        [order] = desk.own_orders
    assert answer.outcome is O.ACCEPTED
    assert (len(answer.order_no), len(answer.branch)) == (10, 5)
    assert answer.code == ("40600000" if environment == "paper" else "APBK0013")
    shown = {name: order[name] for name in ("symbol", "side", "kind", "quantity", "price")}
    assert shown == {"symbol": SYMBOL, "side": "BUY", "kind": "00", "quantity": 3, "price": low}
    assert bot.normalize_order_no(order["order_no"]) == answer.order_no


async def test_a_market_order_carries_no_price(tmp_path, environment):
    """ORD_UNPR is "0" for kinds without a price, whatever the intent says."""
    async with edge.served(tmp_path, environment=environment) as (desk, _):
        wish = intent(71_400, kind=bot.OrderKind.MARKET, quantity=2)
        answer = await desk.orders.submit(wish)
        [order] = desk.own_orders
    assert answer.outcome is O.ACCEPTED
    assert (order["kind"], order["filled_quantity"]) == ("01", 2)


async def test_a_sell_is_a_sell(tmp_path, environment):
    """Shares go down, the TR id of sells is used, cash comes."""
    held = {SYMBOL: (10, 70_000)}
    async with edge.served(tmp_path, environment=environment, holdings=held) as (desk, _):
        wish = intent(0, side=bot.Side.SELL, kind=bot.OrderKind.MARKET, quantity=4, purpose="exit")
        answer = await desk.orders.submit(wish)
        [order] = desk.own_orders
        assert desk.sim.books()["positions"][SYMBOL]["quantity"] == 6
    assert answer.outcome is O.ACCEPTED
    assert order["side"] == "SELL"


async def test_a_cancel_takes_the_whole_rest(tmp_path, environment):
    """The cancel has a number of its own; the order is dead."""
    async with edge.served(tmp_path, environment=environment) as (desk, _):
        order = intent(band(desk)[0])
        answer = await desk.orders.submit(order)
        cancelled = await desk.orders.change(change(order, answer, "cancel"))
        [truth] = [o for o in desk.own_orders if not o["original_order_no"]]
        again = await desk.orders.change(change(order, answer, "cancel"))
    assert cancelled.outcome is O.ACCEPTED and cancelled.order_no != answer.order_no
    assert truth["remaining_quantity"] == 0
    assert again.outcome is O.REFUSED  # nothing left to cancel


@pytest.mark.parametrize(("kind", "priced"), [("00", True), ("03", False), ("01", False)])
async def test_a_change_lives_on_under_a_new_number(tmp_path, environment, kind, priced):
    """Kind and price are changed; what stays open keeps its quantity."""
    async with edge.served(tmp_path, environment=environment) as (desk, _):
        low, _ = band(desk)
        order = intent(low)
        first = await desk.orders.submit(order)
        price = bot.step_ticks(low, False, 3)
        second = await desk.orders.change(change(order, first, "change", kind, price))
        found = {each["order_no"]: each for each in desk.own_orders}
    assert second.outcome is O.ACCEPTED and second.order_no != first.order_no
    moved = next(o for o in found.values() if o["original_order_no"])
    assert moved["quantity"] == 3
    if priced:
        assert moved["price"] == price


@pytest.mark.parametrize(
    ("change_", "start", "outcome"),
    [
        ({"price": 71_401}, "10:05:30", O.REFUSED),  # no tick
        ({"price": 1_000}, "10:05:30", O.REFUSED),  # outside the band
        ({"quantity": 999_999}, "10:05:30", O.REFUSED),  # no cash
        ({"symbol": "999999"}, "10:05:30", O.REFUSED),  # no such stock
        ({"side": bot.Side.SELL}, "10:05:30", O.REFUSED),  # no shares
        ({"quantity": 0}, "10:05:30", O.REFUSED),
        ({}, "07:30:00", O.REFUSED),  # before the open
        ({}, "16:30:00", O.REFUSED),  # after the close
    ],
)
def test_what_the_ledger_refuses_is_refused(tmp_path, environment, change_, start, outcome):
    """An ordinary refusal comes with HTTP 200 and its code and text; nothing exists."""

    async def main():
        desk = edge.desk(tmp_path, environment=environment, start=start)
        wish = replace(intent(band(desk)[0]), **change_)
        answer = await desk.orders.submit(wish)
        assert answer.outcome is outcome
        assert answer.code and answer.text and not answer.order_no
        assert not desk.own_orders

    run(main)


# --- the body ---

NINE = (
    *("CANO", "ACNT_PRDT_CD", "PDNO", "ORD_DVSN", "ORD_QTY"),
    *("ORD_UNPR", "EXCG_ID_DVSN_CD", "SLL_TYPE", "CNDT_PRIC"),
)


@given(
    side=st.sampled_from(list(bot.Side)),
    kind=st.sampled_from(list(bot.OrderKind)),
    quantity=st.integers(1, bot.CEILING_QUANTITY),
    price=st.integers(1, 5_000_000),
)
def test_an_order_has_exactly_nine_keys_of_text(side, kind, quantity, price):
    """Nine upper-case keys, values of text, digits without decimals or separators."""
    sent = []

    class Catch:
        async def __call__(self, method, url, headers, params, body):
            sent.append((method, url, headers, params, json.loads(body)))
            if url.endswith("tokenP"):
                return bot.HttpReply(200, '{"access_token":"t","expires_in":86400}', {})
            return bot.HttpReply(500, "", {})

    async def main(folder):
        desk = edge.desk(folder).again(transport=Catch())
        wish = intent(price, side=side, kind=kind, quantity=quantity)
        return desk, await desk.orders.submit(wish)

    with edge.temporary_folder() as folder:
        desk, answer = harness.run_virtual(main(folder))
    method, url, headers, params, body = sent[-1]
    assert (method, params) == ("POST", {})
    assert url.endswith(bot.ENDPOINTS["buy"].path)
    assert set(NINE) == set(body) and all(isinstance(value, str) for value in body.values())
    assert body["CANO"] == desk.profile.account.reveal()
    assert int(body["ORD_QTY"]) == quantity and body["ORD_QTY"].isdigit()
    assert body["ORD_UNPR"] == (str(price) if kind.priced else "0")
    assert (body["EXCG_ID_DVSN_CD"], body["SLL_TYPE"], body["CNDT_PRIC"]) == ("KRX", "", "")
    assert headers["tr_id"] == ("VTTC0012U" if side is bot.Side.BUY else "VTTC0011U")
    assert headers["authorization"] == "Bearer t" and headers["custtype"] == "P"
    assert answer.outcome is O.UNKNOWN


def test_a_change_has_the_keys_of_the_document(tmp_path):
    """order-rvsecncl: the original number, quantity 0 with QTY_ALL_ORD_YN = Y, text only."""
    sent = []

    class Catch:
        async def __call__(self, method, url, headers, params, body):
            sent.append((headers.get("tr_id"), json.loads(body)))
            return bot.HttpReply(200, '{"access_token":"t","expires_in":86400}', {})

    async def main():
        desk = edge.desk(tmp_path, environment="real").again(transport=Catch())
        answer = bot.OrderAnswer(O.ACCEPTED, "0000000762", "06010")
        await desk.orders.change(change(intent(1), answer, "cancel", "00", 71_400))
        await desk.orders.change(change(intent(1), answer, "change", "00", 71_400))
        await desk.orders.change(change(intent(1), answer, "change", "01", 71_400))

    run(main)
    (tr_cancel, cancel), (_, priced), (_, market) = sent[1:]
    assert tr_cancel == "TTTC0013U"
    assert set(cancel) == {
        *("CANO", "ACNT_PRDT_CD", "KRX_FWDG_ORD_ORGNO", "ORGN_ODNO", "ORD_DVSN"),
        *("RVSE_CNCL_DVSN_CD", "ORD_QTY", "ORD_UNPR", "QTY_ALL_ORD_YN"),
        *("EXCG_ID_DVSN_CD", "CNDT_PRIC"),
    }
    assert (cancel["RVSE_CNCL_DVSN_CD"], cancel["ORD_UNPR"]) == ("02", "0")
    assert (priced["RVSE_CNCL_DVSN_CD"], priced["ORD_UNPR"]) == ("01", "71400")
    assert market["ORD_UNPR"] == "0"
    for body in (cancel, priced, market):
        assert (body["ORGN_ODNO"], body["KRX_FWDG_ORD_ORGNO"]) == ("0000000762", "06010")
        assert (body["ORD_QTY"], body["QTY_ALL_ORD_YN"]) == ("0", "Y")
        assert all(isinstance(value, str) for value in body.values())


def test_nothing_reaches_the_other_environment(tmp_path, environment):
    """Keys, account and TR ids of one environment; a service that paper lacks is not asked for."""

    async def main():
        desk = edge.desk(tmp_path, environment=environment)
        letters = set()
        for name in bot.ENDPOINTS:
            try:
                letters.add(desk.client.tr_id(name)[0])
            except bot.RequestRefused as refused:
                assert environment == "paper" and refused.code == "EGW02006"
        assert letters == ({"V", "F", "H"} if environment == "paper" else {"T", "C", "F", "H"})

    run(main)


# --- one attempt; before and after the first byte ---


def test_trouble_before_sending_is_not_sent(tmp_path):
    """No token, no hash key: the order never left and the server saw none."""

    async def main():
        for fault in ("tokenP", "hashkey"):
            desk = edge.desk(tmp_path / fault, hashkey=True)
            (tmp_path / fault).mkdir()
            desk.fault("html", {"path": fault}, status=502)
            answer = await desk.orders.submit(intent(band(desk)[0]))
            assert answer.outcome is O.NOT_SENT and "before sending" in answer.text
            assert desk.requests("order-cash") == 0

    run(main)


@pytest.mark.parametrize(
    ("error", "outcome"), [(bot.NotSent("x"), O.NOT_SENT), (bot.NoAnswer("x"), O.UNKNOWN)]
)
def test_the_first_byte_decides(tmp_path, error, outcome):
    """Before it: not sent. After it: unknown. Never a second attempt."""
    count = []

    class Broken:
        def __init__(self, inner):
            self.inner = inner

        async def __call__(self, method, url, headers, params, body):
            if "order-cash" in url:
                count.append(url)
                raise error
            return await self.inner(method, url, headers, params, body)

    async def main():
        desk = edge.desk(tmp_path)
        desk = desk.again(transport=Broken(desk.transport))
        answer = await desk.orders.submit(intent(band(desk)[0]))
        assert answer.outcome is outcome
        assert len(count) == 1

    run(main)


@pytest.mark.parametrize("code", ["EGW00121", "EGW00122", "EGW00123"])
def test_a_refused_token_is_dropped_but_the_order_is_not_repeated(tmp_path, code):
    """NOT_SENT, one request; the next call has a new token."""

    async def main():
        desk = edge.desk(tmp_path)
        await desk.auth.token()
        await asyncio.sleep(120)
        desk.fault("token", {"kind": "order", "times": 1}, code=code)
        answer = await desk.orders.submit(intent(band(desk)[0]))
        assert (answer.outcome, answer.code) == (O.NOT_SENT, code)
        assert desk.requests("order-cash") == 1
        answer = await desk.orders.submit(intent(band(desk)[0]))
        assert answer.outcome is O.ACCEPTED
        assert desk.requests("tokenP") == 2

    run(main)


def test_exits_overtake_entries_and_questions(tmp_path):
    """A full queue of questions: the exit is the next request, then cancels, then the entry."""
    seen = []

    async def main():
        held = {SYMBOL: (10, 70_000)}
        desk = edge.desk(tmp_path, environment="real", holdings=held, pace=2.0)
        await desk.auth.token()
        desk.transport.before_request = lambda method, path: seen.append(path.rpartition("/")[2])
        asking = [asyncio.create_task(desk.market.order_book(SYMBOL)) for _ in range(10)]
        await asyncio.sleep(0.6)
        low, _ = band(desk)
        out = intent(0, side=bot.Side.SELL, kind=bot.OrderKind.MARKET, purpose="exit")
        calls = [
            asyncio.create_task(desk.orders.orders_of(edge.DAY)),
            asyncio.create_task(desk.orders.submit(intent(low))),
            asyncio.create_task(desk.orders.submit(out)),
        ]
        await asyncio.gather(*asking, *calls)
        orders = [o["side"] for o in desk.own_orders]
        assert orders == ["SELL", "BUY"]

    run(main)
    later = seen[2:5] if seen[1] != "order-cash" else seen[1:4]
    assert later == ["order-cash", "order-cash", "inquire-daily-ccld"]


# --- hashkey ---


def test_the_hash_of_an_order_overtakes_questions_as_its_order_does(tmp_path):
    """A full queue of questions: neither the hash nor the order behind it waits for them."""
    seen = []

    async def main():
        desk = edge.desk(tmp_path, environment="real", pace=2.0, hashkey=True)
        await desk.auth.token()
        low, _ = band(desk)
        desk.transport.before_request = lambda method, path: seen.append(path.rpartition("/")[2])
        asking = [asyncio.create_task(desk.market.price(SYMBOL)) for _ in range(10)]
        await asyncio.sleep(0.6)
        await desk.orders.submit(intent(low))
        await asyncio.gather(*asking)

    run(main)
    assert seen.index("hashkey") <= 2 and seen.index("order-cash") == seen.index("hashkey") + 1


def test_the_hash_key_is_sent_when_wanted(tmp_path, environment):
    """The simulator checks it against the body; without the switch the service is not asked."""

    async def main():
        for switch in (False, True):
            folder = tmp_path / str(switch)
            folder.mkdir()
            desk = edge.desk(folder, environment=environment, hashkey=switch)
            order = intent(band(desk)[0])
            answer = await desk.orders.submit(order)
            assert answer.outcome is O.ACCEPTED
            changed = await desk.orders.change(change(order, answer, "cancel"))
            assert changed.outcome is O.ACCEPTED
            assert desk.requests("hashkey") == 2 * switch

    run(main)


def test_a_wrong_hash_key_is_refused_before_the_ledger(tmp_path):
    """EGW00131: nothing was accepted."""

    async def main():
        desk = edge.desk(tmp_path, hashkey=True)
        desk.fault("set", {"path": "hashkey"}, field="HASH", value="0" * 64)
        answer = await desk.orders.submit(intent(band(desk)[0]))
        assert (answer.outcome, answer.code) == (O.NOT_SENT, "EGW00131")
        assert not desk.own_orders

    run(main)


# --- the judgement of an answer ---


def reply(body, status=200):
    return bot.HttpReply(status, body if isinstance(body, str) else json.dumps(body), {})


def accepted(odno="0000000762", code="APBK0013", **more):
    output = {"KRX_FWDG_ORD_ORGNO": "06010", "ODNO": odno, "ORD_TMD": "131421"}
    return {"rt_cd": "0", "msg_cd": code, "msg1": "ok", "output": output, **more}


# code -> what an order POST that got it has become (reference section 6, reliability 2.5)
CODES = {
    O.REFUSED: (
        *("APBK0918", "APBK0919", "APBK0400", "APBK0952", "APBK0656", "APBK0066", "APBK1664"),
        *("APBK1943", "APBK3013", "APBK1617", "APAC0489", "APAC0081", "APAC0071", "APAC0134"),
        *("APBK1234", "APBK9999", "APTR0001", "KIER0001"),
        *("40030000", "40070000", "40100000", "40240000", "40250000", "40310000", "40330000"),
        *("40570000", "40580000", "40910000", "40999999", "90070000"),
        *("OPSQ2000", "OPSQ2001", "OPSQ2002", "IGW00002", "IGW00007", "IGW00009"),
    ),
    O.NOT_SENT: (
        *("EGW00003", "EGW00004", "EGW00101", "EGW00102", "EGW00103", "EGW00104", "EGW00105"),
        *("EGW00114", "EGW00115", "EGW00116", "EGW00121", "EGW00122", "EGW00123", "EGW00130"),
        *("EGW00131", "EGW00132", "EGW00133", "EGW00201", "EGW00205", "EGW00206", "EGW00207"),
        *("EGW00208", "EGW00209", "EGW00210", "EGW00213", "EGW00215", "EGW00304"),
        *("EGW02004", "EGW02005", "EGW02006", "EGW02007"),
    ),
    O.UNKNOWN: (
        *("EGW00001", "EGW00002", "EGW00202", "EGW00203", "EGW00300", "EGW00301", "EGW00302"),
        *("OPSQ0003", "OPSQ0011", "OPSQ1002", "OPSQ9995", "OPSQ9999", "90020000", "MCA00000"),
        *("EGW00999", "EGW99999", "XYZ00001", "4003000", "400300000", "apbk0919", "0", "ERROR"),
    ),
}
FAMILIES = [(code, outcome) for outcome, codes in CODES.items() for code in codes]


@pytest.mark.parametrize(("code", "outcome"), FAMILIES)
def test_each_code_has_its_judgement(code, outcome):
    """The body decides, not the status; what is not listed is UNKNOWN."""
    for case in itertools.product(("1", "7", "9"), (200, 500)):
        result, status = case
        answer = bot.classify_order_answer(
            reply({"rt_cd": result, "msg_cd": code, "msg1": "  text  "}, status)
        )
        assert (answer.outcome, answer.code, answer.text) == (outcome, code, "text"), case
        assert not answer.order_no, case


@pytest.mark.parametrize(("code", "outcome"), [("EGW00133", O.NOT_SENT), ("EGW00002", O.UNKNOWN)])
def test_codes_of_the_oauth_form_are_read_as_well(code, outcome):
    """error_code and error_description, HTTP 403."""
    answer = bot.classify_order_answer(
        reply({"error_code": code, "error_description": "text"}, 403)
    )
    assert (answer.outcome, answer.code, answer.text) == (outcome, code, "text")


@pytest.mark.parametrize(
    "odno", ["0000000762", "762", "       762", "762       ", "00762", 762, "0000000762 "]
)
@pytest.mark.parametrize("spell", [str.upper, str.lower], ids=["upper", "lower"])
def test_every_spelling_of_a_number_is_the_same_number(odno, spell):
    """Padded, stripped, blank, lower-case keys: accepted, as ten digits (R09), with any code."""
    for code in ("APBK0013", "40600000", "40590000", "40630000", "", "NEW00001"):
        body = accepted(odno, code)
        body["output"] = {spell(key): value for key, value in body["output"].items()}
        answer = bot.classify_order_answer(reply(body))
        found = (answer.outcome, answer.order_no, answer.branch)
        assert found == (O.ACCEPTED, "0000000762", "06010"), code


UNCLEAR = {
    "no number": accepted(""),
    "zeros": accepted("0000000000"),
    "blanks": accepted("          "),
    "null": accepted(None),
    "letters": accepted("ABC"),
    "too long": accepted("12345678901"),
    "a list": {**accepted(), "output": [accepted()["output"]]},
    "a text": {**accepted(), "output": "0000000762"},
    "no output": {"rt_cd": "0", "msg_cd": "APBK0013"},
    "null output": {**accepted(), "output": None},
    "minus": accepted("-762"),
    "a float": accepted(762.0),
    "other digits": accepted("٧٦٢"),
    "not JSON": "<html>",
    "cut": json.dumps(accepted())[:-20],
    "nothing": "",
    "a list of all": "[]",
    "null body": "null",
    "a number": "0",
    "unquoted": '{"rt_cd":"0",msg_cd:"APBK0013"}',
    "empty object": {},
    "other words": {"status": "ok"},
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_anything_that_is_not_clear_is_unknown(name):
    """Neither success nor failure: look, never send again; whatever the status."""
    for status in (200, 201, 302, 400, 401, 403, 429, 500, 502, 503, 504):
        answer = bot.classify_order_answer(reply(UNCLEAR[name], status))
        assert (answer.outcome, answer.order_no) == (O.UNKNOWN, ""), status


@pytest.mark.parametrize("status", [200, 500])
def test_a_clear_acceptance_counts_with_any_status(status):
    """rt_cd 0 and a number: the order exists."""
    assert bot.classify_order_answer(reply(accepted(), status)).outcome is O.ACCEPTED


CONTRADICTIONS = {
    "result missing": {k: v for k, v in accepted().items() if k != "rt_cd"},
    "result empty": accepted(rt_cd=""),
    "result null": accepted(rt_cd=None),
    "refusal with a number": accepted(rt_cd="1"),
    "refusal with a number, paper": accepted(code="40600000", rt_cd="7"),
    "result missing, paper": {k: v for k, v in accepted(code="40600000").items() if k != "rt_cd"},
    "success code without number": {"rt_cd": "1", "msg_cd": "APBK0013", "output": {}},
    "gateway code with a number": accepted(code="EGW00201", rt_cd="1"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_an_answer_that_contradicts_itself_is_unknown(name):
    """An order number or a success code beside anything but rt_cd 0 may mean that it exists."""
    answer = bot.classify_order_answer(reply(CONTRADICTIONS[name]))
    assert answer.outcome is O.UNKNOWN


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
        | st.sampled_from(["0", "1", "7", "APBK0013", "EGW00201", "0000000001"]),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rt_cd", "msg_cd", "msg1", "output", "ODNO", "odno", "error_code"]),
            inner, max_size=4,
        ),
        max_leaves=12,
    ),
    status=st.sampled_from([200, 403, 500, 502]),
)  # fmt: skip
def test_no_answer_is_too_odd_to_be_judged(body, status):
    """Any JSON gives an outcome; ACCEPTED only with rt_cd 0 and a number of ten digits."""
    answer = bot.classify_order_answer(reply(json.dumps(body), status))
    if answer.outcome is O.ACCEPTED:
        assert str(body["rt_cd"]).strip() == "0"
        assert len(answer.order_no) == 10 and answer.order_no.isdigit()
    else:
        assert answer.order_no == ""


@pytest.mark.parametrize("style", ["empty", "missing"])
def test_an_accepted_order_without_a_number_is_unknown(tmp_path, style):
    """rt_cd 0 without ODNO: it exists, and only looking finds it (E9)."""

    async def main():
        desk = edge.desk(tmp_path)
        desk.fault("odno", {"kind": "order"}, style=style)
        answer = await desk.orders.submit(intent(band(desk)[0]))
        assert answer.outcome is O.UNKNOWN
        assert len(desk.own_orders) == 1

    run(main)


# --- reading the account ---

HOLDINGS = {"005930": (10, 70_000), "000660": (3, 187_350)}


async def test_the_balance_is_the_simulators(tmp_path, environment):
    """Settled cash, holdings, sellable shares, average prices; before and after trades."""
    async with edge.served(
        tmp_path, environment=environment, holdings=HOLDINGS, symbols=edge.SYMBOLS
    ) as (desk, _):
        before = await desk.orders.balance()
        assert before.settled_cash_krw == desk.sim.books()["cash_krw"]
        assert {h.symbol: h.quantity for h in before.holdings} == {"005930": 10, "000660": 3}
        assert Decimal(70_000) == next(h for h in before.holdings if h.quantity == 10).average_price
        buy = intent(0, kind=bot.OrderKind.MARKET, symbol="069500", quantity=2)
        await desk.orders.submit(buy)
        _, high = band(desk)
        rests = intent(high, side=bot.Side.SELL, quantity=4, purpose="exit")
        assert (await desk.orders.submit(rests)).outcome is O.ACCEPTED
        books, after = desk.sim.books(), await desk.orders.balance()
    assert after.settled_cash_krw == books["cash_krw"]
    assert after.fees_today_krw == books["fees_krw"] + books["taxes_krw"] > 0
    held = {h.symbol: h for h in after.holdings}
    assert (held["069500"].quantity, held["005930"].sellable) == (2, 6)
    assert after.total_value_krw > books["cash_krw"]


async def test_sold_out_stocks_are_left_out_of_the_balance(tmp_path):
    """They stay in the broker's list with quantity 0 for two days."""
    async with edge.served(tmp_path, holdings={SYMBOL: (2, 70_000)}) as (desk, _):
        sell = intent(0, side=bot.Side.SELL, kind=bot.OrderKind.MARKET, quantity=2)
        await desk.orders.submit(sell)
        assert (await desk.orders.balance()).holdings == ()


def test_a_balance_of_several_pages_is_whole(tmp_path):
    """20 holdings a page on paper."""

    async def main():
        codes = tuple(f"{n:06d}" for n in range(100_010, 100_060))
        held = {code: (n + 1, 10_000) for n, code in enumerate(codes)}
        desk = edge.desk(tmp_path, symbols=codes, holdings=held, start="07:00:00", density=0.01)
        balance = await desk.orders.balance()
        assert {c: q for c, (q, _) in held.items()} == {
            h.symbol: h.quantity for h in balance.holdings
        }
        assert desk.requests("inquire-balance") == 3

    run(main)


@pytest.mark.parametrize(
    ("do", "effect"),
    [
        ("empty", {}),
        ("drop", {"field": "output2"}),
        ("drop", {"field": "output1"}),
        ("drop", {"field": "prvs_rcdl_excc_amt"}),
        ("set", {"field": "prvs_rcdl_excc_amt", "value": ""}),
        ("set", {"field": "hldg_qty", "value": "-"}),
        ("drop", {"field": "hldg_qty"}),
        ("set", {"field": "pchs_avg_pric", "value": "n/a"}),
    ],
    ids=str,
)
def test_an_account_that_cannot_be_read_is_no_account(tmp_path, do, effect):
    """A renamed or empty field is BadData, never an empty account (R19, R25)."""

    async def main():
        desk = edge.desk(tmp_path, holdings={SYMBOL: (10, 70_000)})
        desk.fault(do, {"path": "inquire-balance"}, **effect)
        with pytest.raises(bot.BadData):
            await desk.orders.balance()

    run(main)


def test_an_answer_for_another_account_stops_everything(tmp_path):
    """ctx_area_fk100 begins with the account: another one is a fault of the settings (F08)."""

    async def main():
        desk = edge.desk(tmp_path)
        other = "99999999!^01!^VTTC8434R".ljust(100)
        desk.fault("set", {"path": "inquire-balance"}, field="ctx_area_fk100", value=other)
        with pytest.raises(bot.SettingsError) as error:
            await desk.orders.balance()
        assert desk.profile.account.reveal() not in str(error.value)

    run(main)


async def test_the_order_list_says_what_happened(tmp_path, environment):
    """Open, filled, cancelled and changed orders with numbers, fills and amounts of the truth."""
    async with edge.served(tmp_path, environment=environment) as (desk, _):
        low, _ = band(desk)
        rests, dead, moved = intent(low), intent(low, quantity=2), intent(low, quantity=5)
        first = await desk.orders.submit(rests)
        second = await desk.orders.submit(dead)
        third = await desk.orders.submit(moved)
        filled = await desk.orders.submit(intent(0, kind=bot.OrderKind.MARKET, quantity=7))
        await desk.orders.change(change(dead, second, "cancel"))
        price = bot.step_ticks(low, False, 1)
        fourth = await desk.orders.change(change(moved, third, "change", "00", price))
        rows = {row.order_no: row for row in (await desk.orders.orders_of(edge.DAY)).rows}
        truth = {o["order_no"]: o for o in desk.own_orders}
    assert (rows[first.order_no].quantity, rows[first.order_no].filled_quantity) == (3, 0)
    assert rows[second.order_no].cancelled_quantity == 2
    assert rows[fourth.order_no].original_no == third.order_no
    assert (rows[fourth.order_no].quantity, rows[fourth.order_no].price) == (5, price)
    done = rows[filled.order_no]
    assert (done.filled_quantity, done.kind, done.side) == (7, "01", bot.Side.BUY)
    amounts = [o["filled_amount_krw"] for o in truth.values() if o["filled_quantity"] == 7]
    assert [done.filled_amount_krw] == amounts
    assert all(row.branch and len(row.order_no) == 10 for row in rows.values())


def test_the_list_of_a_day_without_orders_is_empty(tmp_path, environment):
    """An empty day is a valid list; "nothing to show" is no refusal."""

    async def main():
        desk = edge.desk(tmp_path, environment=environment)
        assert (await desk.orders.orders_of(edge.DAY)).rows == ()
        assert (await desk.orders.orders_of(edge.DAY - timedelta(days=1))).rows == ()

    run(main)


@pytest.mark.parametrize(
    "effect",
    [
        {"do": "drop", "field": "output1"},
        {"do": "drop", "field": "tot_ccld_qty"},
        {"do": "set", "field": "tot_ccld_qty", "value": ""},
        {"do": "set", "field": "sll_buy_dvsn_cd", "value": "03"},
        {"do": "set", "field": "odno", "value": "none"},
        {"do": "set", "field": "ord_qty", "value": "3.5"},
    ],
    ids=str,
)
def test_an_order_list_that_cannot_be_read_is_no_list(tmp_path, effect):
    """One unreadable row makes the whole list worthless (R25)."""

    async def main():
        desk = edge.desk(tmp_path)
        await desk.orders.submit(intent(band(desk)[0]))
        desk.sim.faults.add({"match": {"path": "daily-ccld"}, "effect": effect})
        with pytest.raises(bot.BadData):
            await desk.orders.orders_of(edge.DAY)

    run(main)


async def test_orderable_cash_is_without_receivables(tmp_path, environment):
    """nrcvb_buy_amt, never max_buy_amt; it falls when an order reserves cash."""
    async with edge.served(tmp_path, environment=environment) as (desk, _):
        before = await desk.orders.orderable_cash()
        assert before <= desk.sim.books()["cash_krw"]
        low, _ = band(desk)
        await desk.orders.submit(intent(low, quantity=10))
        after = await desk.orders.orderable_cash()
        assert before - after >= 10 * low
        desk.fault("set", {"path": "psbl-order"}, field="max_buy_amt", value="999999999999")
        assert await desk.orders.orderable_cash() == after


async def test_the_brokers_result_of_the_day(tmp_path, environment):
    """Realised result on the real server; paper has none and is not asked."""
    async with edge.served(tmp_path, environment=environment, holdings={SYMBOL: (9, 70_000)}) as (
        desk,
        _,
    ):
        sell = intent(0, side=bot.Side.SELL, kind=bot.OrderKind.MARKET, quantity=5)
        await desk.orders.submit(sell)
        found = await desk.orders.realized_today(edge.DAY)
        books = desk.sim.books()
    if environment == "paper":
        assert found is None
    else:
        assert abs(found - books["realized_pnl_net_krw"]) < books["fees_krw"] + 2
        assert found != 0


def test_a_wrong_account_is_refused_with_its_code(tmp_path):
    """IGW00002: the number does not belong to the key."""

    async def main():
        desk = edge.desk(tmp_path)
        other = replace(desk.profile, account=bot.Secret("50000001"))
        desk = desk.again(profile=other)
        with pytest.raises(bot.RequestRefused, match="IGW00002"):
            await desk.orders.balance()
        answer = await desk.orders.submit(intent(band(desk)[0]))
        assert (answer.outcome, answer.code) == (O.REFUSED, "IGW00002")

    run(main)
