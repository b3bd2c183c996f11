"""Kiwoom's REST side: token, questions, pages, refusals, limits."""

import asyncio
import inspect
import json
import stat
from datetime import datetime

import pytest
from harness import run_virtual
from hypothesis import given, settings
from hypothesis import strategies as st
from kiwoom_stage import Wire

from kis_realtime_trading import KST, BadData, Both, NoAnswer, Outcome, Side, in_language
from venues import kiwoom
from venues.kiwoom import (
    ERRORS,
    FillSum,
    KiwoomRefused,
    classify,
    code_of,
    number_of,
    read_day_row,
    read_fills,
    second_of,
    side_of,
    symbol_of,
    whole,
)
from venues.simulators import kiwoom as simulator
from venues.simulators.server import Reply
from venues.wire import LANE_EXIT, LANE_QUERY, Pacer

NOON = datetime(2026, 11, 27, 12, tzinfo=KST)


def asked(act, folder=None, **world):
    """Run something with a client in virtual time; return the wire and what it gave."""
    wire = Wire(**world)

    async def scene():
        return await act(wire, wire.client(folder))

    return wire, run_virtual(scene())


def issues(wire):
    """Return how often a token was asked for."""
    return [tr for tr, _ in wire.seen].count("au10001")


# --- token ------------------------------------------------------------------------------


def test_a_token_is_asked_for_once_and_kept_for_its_owner(tmp_path):
    """Ten questions at once and a second program: one issue; the file is readable by its owner only."""

    async def act(wire, client):
        await asyncio.gather(*(client.deposit() for _ in range(4)))
        await wire.client(tmp_path).deposit()

    wire, _ = asked(act, tmp_path)
    (file,) = tmp_path.iterdir()
    assert (wire.core.issued, issues(wire)) == (1, 1)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert wire.core.app not in file.name + file.read_text()


def test_a_token_is_renewed_before_its_end(tmp_path):
    """`expires_dt` is believed: ten minutes before it a new one is asked for, a minute earlier not."""

    async def act(wire, client):
        await client.deposit()
        await asyncio.sleep(wire.core.lifetime_s - 660)
        await client.deposit()
        assert issues(wire) == 1
        await asyncio.sleep(120)
        await client.deposit()
        return issues(wire)

    assert asked(act, tmp_path)[1] == 2


def test_a_refused_token_is_replaced_once_then_told(tmp_path):
    """Ended early: one new issue and the answer. Refused for ever: no storm of issues."""

    async def act(wire, client):
        await client.deposit()
        wire.core.expire_token()
        await client.deposit()
        assert (wire.core.issued, issues(wire)) == (2, 2)
        wire.core.fault = "token"
        with pytest.raises(KiwoomRefused) as error:
            await client.deposit()
        assert issues(wire) <= 4
        return error.value

    _, error = asked(act, tmp_path)
    assert error.code == "8005"
    assert "토큰" in error.said("ko")
    assert "token" in error.said("en")


def test_a_dead_token_that_comes_back_is_revoked_first(tmp_path):
    """A second issue may hand out the same token: one that was refused is given back, then asked anew."""

    async def act(wire, client):
        token = await client.tokens.token()
        client.tokens.drop(token)  # Kiwoom said 8010: of another address
        return token, await client.tokens.token()

    wire, (old, new) = asked(act, tmp_path)
    assert old != new
    assert (wire.core.revoked, wire.core.issued) == (1, 2)


def test_wrong_keys_are_not_tried_again_and_again():
    """8001 is told at once, and for a minute nothing more is asked."""

    async def act(wire, client):
        wire.core.fault = "keys"
        for _ in range(5):
            with pytest.raises(KiwoomRefused) as error:
                await client.deposit()
        return error.value

    wire, error = asked(act)
    assert (error.code, issues(wire)) == ("8001", 1)
    assert "앱키" in error.said("ko")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"mark":"x"}', '{"mark":1,"token":2,"until_ms":"x"}']
)
def test_a_broken_token_file_is_no_token(text, tmp_path):
    """Garbage, another key's, or one that others could read: a new token is asked for."""

    async def act(wire, client):
        await client.deposit()
        (file,) = tmp_path.iterdir()
        kept = file.read_text()
        file.write_text(text)
        await wire.client(tmp_path).deposit()
        file.write_text(kept)
        file.chmod(0o644)
        await wire.client(tmp_path).deposit()
        return issues(wire)

    assert asked(act, tmp_path)[1] == 3


def test_revoking_gives_the_token_back_and_forgets_the_file(tmp_path):
    """After it the file is gone and the next question asks for a new one."""

    async def act(wire, client):
        await client.deposit()
        await client.tokens.revoke()
        assert list(tmp_path.iterdir()) == []
        await client.deposit()

    wire, _ = asked(act, tmp_path)
    assert (wire.core.revoked, wire.core.issued) == (1, 2)


# --- questions --------------------------------------------------------------------------


def test_prices_and_balances_are_read_without_sign_and_zeros():
    """-70000 is 70,000 won below yesterday; 000000000100000 won is 100,000; A005930 is 005930."""

    async def act(wire, client):
        stock, quote = await client.stock("005930"), await client.quote("005930")
        return (
            stock,
            quote,
            await client.deposit(),
            await client.holdings(),
            await client.account_mark(),
        )

    _, (stock, quote, deposit, holdings, mark) = asked(act)
    assert (stock.last, stock.upper, stock.lower, stock.name) == (
        70_000,
        91_000,
        49_000,
        "삼성전자",
    )
    assert (quote.bid, quote.ask, quote.bid_size) == (70_000, 70_100, 1_500)
    assert (deposit.free, deposit.total) == (100_000_000, 100_000_000)
    assert [(h.symbol, h.held, h.free) for h in holdings] == [("005930", 1_000, 1_000)]
    assert mark == "11"


def test_every_value_of_a_request_is_a_text_and_its_path_fits():
    """Numbers are refused by Kiwoom, so is a TR on another path: the simulator would say so."""

    async def act(wire, client):
        await client.day_rows(NOON)
        await client.open_rows()
        await client.fills("005930")
        await client.holdings()

    wire, _ = asked(act)
    for tr, body in wire.bodies:
        assert all(isinstance(value, str) for value in json.loads(body).values()), tr


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 11), st.integers(1, 5), st.booleans())
def test_a_list_is_read_to_its_end(orders, page, prefix):
    """However many rows a page has: every order, once, with the very same body."""

    async def act(wire, client):
        wire.core.page, wire.core.prefix = page, prefix
        for number in range(orders):
            wire.core.add("005930", True, number + 1, 70_000)
        rows = await client.day_rows(datetime.fromtimestamp(wire.time.wall_ms() / 1_000, KST))
        return rows, await client.fills("005930")

    wire, (rows, fills) = asked(act)
    assert [row.quantity for row in rows.values()] == list(range(1, orders + 1))
    assert [each.quantity for each in fills.values()] == list(range(1, orders + 1))
    assert {row.symbol for row in rows.values()} <= {"005930"}
    assert len({body for tr, body in wire.bodies if tr == "kt00007"}) == 1


@pytest.mark.parametrize("key", ["", "3"])
def test_half_a_list_is_no_list(key):
    """More pages promised without a way on, or the same key again: an error, not the rows so far."""

    async def act(wire, client):
        answer = wire.core._paged

        def looping(rows, name, headers):
            reply = answer(rows, name, headers)
            return Reply(200, reply.body, {"cont-yn": "Y", "next-key": key})

        wire.core._paged = looping
        with pytest.raises(NoAnswer):
            await client.open_rows()

    asked(act)


@pytest.mark.parametrize(
    ("fault", "code"), [("1999", "1999"), ("world", "8030"), ("ip", "8010"), ("keys", "8001")]
)
def test_a_refusal_says_what_to_do_in_both_languages(fault, code):
    """The code stands in the text only, with HTTP 200: it is found there."""

    async def act(wire, client):
        wire.core.fault = fault
        with pytest.raises(KiwoomRefused) as error:
            await client.deposit()
        return error.value

    _, error = asked(act)
    assert error.code == code
    assert code in error.said("ko") and code in error.said("en")
    assert in_language(ERRORS[code][1], "ko") in error.said("ko")


def test_an_unknown_stock_is_told_as_one():
    """1902: dropped by name, not taken for trouble of the server."""

    async def act(wire, client):
        with pytest.raises(KiwoomRefused) as error:
            await client.stock("999999")
        return error.value.act

    assert asked(act)[1] == kiwoom.STOCK_WRONG


@pytest.mark.parametrize("fault", ["500", "html", "cut", "429"])
def test_trouble_ends_in_an_error_not_in_a_figure(fault):
    """Asked again with pauses, then an error of ours; a page of maintenance is no balance."""

    async def act(wire, client):
        await client.tokens.token()
        wire.core.fault = fault
        with pytest.raises((NoAnswer, BadData)):
            await client.deposit()

    asked(act)


# --- limits -----------------------------------------------------------------------------


@pytest.mark.parametrize("mock", [True, False])
def test_the_pacer_is_never_over_the_limit(mock):
    """Sixty calls of every kind at once: the simulator counts none beyond its limit, mock or live."""

    async def act(wire, client):
        body = {
            "dmst_stex_tp": "KRX",
            "stk_cd": "005930",
            "ord_qty": "1",
            "ord_uv": "70000",
            "trde_tp": "0",
        }
        calls = [client.quote("005930") for _ in range(20)] + [client.deposit() for _ in range(20)]
        calls += [client.order(kiwoom.BUY, body, LANE_EXIT, None) for _ in range(20)]
        await asyncio.gather(*calls)

    wire, _ = asked(act, mock=mock)
    assert wire.core.over == 0
    assert sum(wire.core.calls.values()) == 60


def test_a_told_limit_shrinks_the_budget():
    """유량=2 in a refusal: from then on two a second leave, not five; a larger figure changes nothing."""

    async def act(wire, client):
        wire.core.limit = 2
        await asyncio.gather(*(client.quote("005930") for _ in range(30)))
        first = wire.core.over
        await asyncio.gather(*(client.quote("005930") for _ in range(30)))
        return first, wire.core.over, client.http.pacer.budgets["query"].capacity

    _, (first, both, capacity) = asked(act)
    assert 0 < first == both
    assert capacity == 2
    pacer = Pacer(kiwoom.LIMITS)
    assert pacer.budgets["all"].capacity == 1


def test_an_exit_goes_before_questions():
    """On mock one call a second leaves: the exit that came last is the next."""

    async def act(wire, client):
        await client.tokens.token()
        asking = [asyncio.ensure_future(client.quote("005930")) for _ in range(5)]
        await asyncio.sleep(0.01)
        body = {
            "dmst_stex_tp": "KRX",
            "stk_cd": "005930",
            "ord_qty": "1",
            "ord_uv": "",
            "trde_tp": "3",
        }
        await client.order(kiwoom.SELL, body, LANE_EXIT, None)
        done = sum(task.done() for task in asking)
        await asyncio.gather(*asking)
        return done

    assert LANE_EXIT < LANE_QUERY
    assert asked(act, mock=True)[1] <= 1


# --- codec ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [("-20800", -20_800), ("+000123", 123), (" 0", 0), ("-0", 0), ("", None), ("000000000100", 100), (7, 7), ("12.00", 12)],
)  # fmt: skip
def test_numbers_are_padded_signed_or_blank(text, number):
    """Read as numbers, never compared as texts."""
    assert whole(text) == number


@pytest.mark.parametrize("text", ["1e5", "12.5", "NaN", "0x10", True, None, "1" * 30, "１２"])
def test_what_is_no_number_is_refused(text):
    """A fraction, an exponent, foreign digits: bad data rather than a wrong figure."""
    if text is None:
        assert whole("") is None
    with pytest.raises(BadData):
        whole(text if text is not None else [])


def test_codes_numbers_times_and_sides_have_several_spellings():
    """A005930, 39490_NX, 09:00:15, 현금매수: all readings of the same."""
    assert [symbol_of(text) for text in ("A005930", " 005930 ", "039490_NX", "A039490_AL")] == [
        "005930", "005930", "039490_NX", "039490_AL"]  # fmt: skip
    assert [number_of(text) for text in ("0000024", "24", "0000000", "", None)] == ["0000024", "0000024", "", "", ""]  # fmt: skip
    assert [second_of(text) for text in ("09:00:15", "090015", "", "250000")] == [32_415, 32_415, None, None]  # fmt: skip
    assert [side_of(text) for text in ("현금매수", "-매도정정", "+매수", "?")] == [Side.BUY, Side.SELL, Side.BUY, None]  # fmt: skip
    for text in ("", "AAPL", "00593", "A00593O1"):
        with pytest.raises(BadData):
            symbol_of(text)


def test_fills_are_added_up_whichever_way_they_come():
    """A row a fill, or a row an order with its average: the same quantity and amount."""
    each = [{"ord_no": "1", "cntr_qty": "3", "cntr_pric": "100", "tdy_trde_cmsn": "7"},
            {"ord_no": "0000001", "cntr_qty": "7", "cntr_pric": "+110", "tdy_trde_cmsn": "9"}]  # fmt: skip
    assert read_fills(each) == {"0000001": FillSum(10, 1_070, 9)}
    assert read_fills([{"ord_no": "1", "cntr_qty": "10", "cntr_pric": "107"}]) == {"0000001": FillSum(10, 1_070, 0)}  # fmt: skip


def test_a_row_of_a_cancel_is_told_by_either_text():
    """`mdfy_cncl` or the side's text says it; without an original order it is an order."""
    row = {"ord_no": "7", "ori_ord": "5", "stk_cd": "A005930", "io_tp_nm": "매수취소", "ord_qty": "3", "cnfm_qty": "3"}  # fmt: skip
    assert (read_day_row(row).act, read_day_row(row).confirmed) == ("cancel", 3)
    assert read_day_row({**row, "io_tp_nm": "매수", "mdfy_cncl": "정정"}).act == "change"
    assert read_day_row({**row, "ori_ord": "0000000"}).act == ""
    for wrong in (None, [], {}, {**row, "stk_cd": "?"}, {**row, "ord_qty": "x"}):
        with pytest.raises(BadData):
            read_day_row(wrong)


def reply(status, **body):
    """Return an answer."""
    from kis_realtime_trading import HttpReply

    return HttpReply(status, json.dumps(body, ensure_ascii=False), {})


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(200, return_code=0, ord_no="0000024"), Outcome.ACCEPTED),
        (reply(200, return_code="0", ord_no="24"), Outcome.ACCEPTED),
        (reply(200, return_code=0, ord_no=""), Outcome.UNKNOWN),
        (reply(200, return_code=0), Outcome.UNKNOWN),
        (reply(200, ord_no="0000024"), Outcome.UNKNOWN),
        (reply(500, return_code=0, ord_no="0000024"), Outcome.UNKNOWN),
        (reply(500, return_code=20, return_msg="(RC4025:잔고 부족)"), Outcome.UNKNOWN),
        (reply(200, return_code=20, return_msg="[2000](RC4058:모의투자 장종료)"), Outcome.REFUSED),
        (reply(200, return_code=2, return_msg="[1511:필수입력 파라미터=stk_cd]"), Outcome.REFUSED),
        (
            reply(200, return_code=3, return_msg="[8005:Token이 유효하지 않습니다]"),
            Outcome.NOT_SENT,
        ),
        (reply(429, return_code=5, return_msg="[1700:유량=5]"), Outcome.NOT_SENT),
        (reply(200, return_code=5, return_msg="x"), Outcome.NOT_SENT),
        (reply(200, return_code=1, return_msg="[1999:예기치 못한 에러]"), Outcome.UNKNOWN),
        (reply(200, return_code=77, return_msg="모르는 말"), Outcome.UNKNOWN),
        (reply(400, return_code=77, return_msg="모르는 말"), Outcome.UNKNOWN),
    ],
)
def test_an_order_answer_is_judged_by_its_body(answer, outcome):
    """Only what says that nothing was taken is refused or not sent; all else may stand at Kiwoom."""
    assert classify(answer).outcome is outcome


def test_html_is_no_answer_to_an_order():
    """A page of maintenance with HTTP 200 or 502: unknown."""
    from kis_realtime_trading import HttpReply

    for status in (200, 502, 404):
        assert classify(HttpReply(status, "<html>", {})).outcome is Outcome.UNKNOWN
    assert classify(HttpReply(429, "<html>", {})).outcome is Outcome.NOT_SENT


def test_a_code_is_found_where_it_stands():
    """The text's code goes before the small number; a good answer has none."""
    assert code_of({"return_code": 3, "return_msg": "실패[8005:Token]"}) == "8005"
    assert code_of({"return_code": 20, "return_msg": "[2000](RC4025:x)"}) == "RC4025"
    assert code_of({"return_code": "0", "return_msg": "[8005:x]"}) == ""
    assert code_of({"return_code": False}) == "False"  # no zero: nothing says that it is good
    assert code_of({}) == "?"


def test_every_error_speaks_both_languages():
    """Each code of the table has a Korean and an English text that differ."""
    assert all(isinstance(text, Both) and text.ko != str(text) for _, text in ERRORS.values())


def test_the_simulator_refuses_what_kiwoom_refuses():
    """A number for a text, a missing field, a wrong path, a GET, no token: each by its own code."""
    sim = simulator.KiwoomSimulator(lambda: 1_795_741_200_000)
    head = {"content-type": "application/json;charset=UTF-8", "api-id": "kt00001"}

    def code(method, path, headers, body):
        return code_of(json.loads(sim.rest(method, path, headers, json.dumps(body).encode()).body))

    pair = {"grant_type": "client_credentials", "appkey": sim.app, "secretkey": sim.secret}
    sim.rest("POST", "/oauth2/token", head, json.dumps(pair).encode())
    good = {**head, "authorization": f"Bearer {sim.token}"}
    assert code("POST", "/api/dostk/acnt", head, {"qry_tp": "2"}) == "1514"
    assert code("POST", "/api/dostk/acnt", good, {"qry_tp": 2}) == "1517"
    assert code("POST", "/api/dostk/ordr", good, {"qry_tp": "2"}) == "1504"
    assert code("GET", "/api/dostk/acnt", good, {"qry_tp": "2"}) == "1512"
    assert code("POST", "/api/dostk/acnt", good, {"qry_tp": "2"}) == ""
    assert "venues." not in inspect.getsource(simulator).replace("venues.simulators", "")
