"""One order call over all its answers and all its waits: what leaves when, and what it costs the others."""

import asyncio
import itertools
import json

import edge
import pytest
from test_calls_in_a_row import Scripted, clients, reply, run, token
from test_rest import intent

import kis_realtime_trading as bot

ACCEPTED = {"rt_cd": "0", "msg_cd": "APBK0013"}
# code -> outcome, whether the token is dropped, whether calls slow down (papers of the codes)
CODES = {
    "EGW00201": ("NOT_SENT", False, True), "EGW00215": ("NOT_SENT", False, True),
    "EGW00121": ("NOT_SENT", True, False), "EGW00122": ("NOT_SENT", True, False),
    "EGW00123": ("NOT_SENT", True, False), "EGW00103": ("NOT_SENT", False, False),
    "EGW00105": ("NOT_SENT", False, False), "EGW00130": ("NOT_SENT", False, False),
    "EGW02006": ("NOT_SENT", False, False), "EGW00131": ("NOT_SENT", False, False),
    "EGW00001": ("UNKNOWN", False, False), "EGW00300": ("UNKNOWN", False, False),
    "EGW00302": ("UNKNOWN", False, False), "90020000": ("UNKNOWN", False, False),
    "APBK0013": ("UNKNOWN", False, False), "ABCD1234": ("UNKNOWN", False, False),
    "": ("UNKNOWN", False, False), "APBK0919": ("REFUSED", False, False),
    "40310000": ("REFUSED", False, False), "OPSQ2001": ("REFUSED", False, False),
    "IGW00007": ("REFUSED", False, False), "KIOK0560": ("REFUSED", False, False),
}  # fmt: skip


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("status", [200, 500])
def test_a_refused_order_is_tried_once_and_costs_only_what_its_code_says(tmp_path, code, status):
    """One request; the token goes with its own codes, the pace with those of the pace, nothing with others."""

    async def main():
        no = reply(status, rt_cd="1", msg_cd=code, msg1="said")
        desk, transport = clients(tmp_path, (0, token()), (0, no), pace=10.0)
        answer = await desk.orders.submit(intent())
        posts = [name for name, *_ in transport.calls if name == "order-cash"]
        slowed = desk.rest.governor.budget()["per_s_now"] < 6.0
        return answer.outcome.name, desk.auth.left_s == 0, slowed, len(posts)

    if code == "KIOK0560":  # of the empty lists: as an answer to an order it says nothing
        assert run(main) == ("UNKNOWN", False, False, 1)
        return
    assert run(main) == (*CODES[code], 1)


@pytest.mark.parametrize("text", [
    "ServerDisconnectedError", "TimeoutError", "ClientOSError", "ClientPayloadError", "ConnectionResetError",
    "ClientConnectorError", "more than 4,194,304 bytes", "",
])  # fmt: skip
@pytest.mark.parametrize("error", [bot.NoAnswer, bot.NotSent])
@pytest.mark.parametrize("what", ["new", "cancel", "change"])
def test_what_became_of_an_order_hangs_on_the_first_byte_and_on_no_text(
    tmp_path, text, error, what
):
    """After it the outcome is unknown whatever ended the call; before it nothing was sent."""

    async def main():
        desk, transport = clients(tmp_path, (0, token()), (0, error(text)))
        if what == "new":
            answer = await desk.orders.submit(intent())
        else:
            answer = await desk.orders.change(
                bot.OrderCall(what, intent(), "0000000001", "1", "01")
            )
        return answer.outcome.name, len(transport.calls), desk.auth.left_s > 0

    outcome = "UNKNOWN" if error is bot.NoAnswer else "NOT_SENT"
    assert run(main) == (outcome, 2, True)


@pytest.mark.parametrize(
    ("branch", "kept"),
    [("06010", "06010"), ("91234", "91234"), ("", ""), ("a1B2", "a1B2"), ("0123456789", "0123456789"),
     ("123456", "123456"), ("01234567890", ""), ("06 10", ""), ("06010;", ""), (" 06010 ", "06010"),
     ("지점", ""), (None, "")],
)  # fmt: skip
def test_the_branch_of_an_accepted_order_is_kept_when_it_is_one(branch, kept):
    """Letters and digits, ten at most: a cancel carries it back; anything else would be an echo."""
    output = {"ODNO": "0000012345", "KRX_FWDG_ORD_ORGNO": branch}
    answer = bot.classify_order_answer(reply(**ACCEPTED, msg1="ok", output=output))
    assert (answer.outcome.name, answer.order_no, answer.branch) == ("ACCEPTED", "0000012345", kept)


@pytest.mark.parametrize("hash_s", [None, 0.1, 3.0])
@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("what", ["new", "cancel"])
@pytest.mark.parametrize("kept", [False, True])
def test_the_gate_is_asked_last_and_nothing_is_waited_for_behind_it(
    tmp_path, hash_s, fresh, what, kept
):
    """Token, hash and turn come first, however slow; from its word to the first byte no time passes."""

    async def main():
        loop, asked = asyncio.get_running_loop(), []
        output = {"ODNO": "0000012345", "KRX_FWDG_ORD_ORGNO": "1"}
        script = [(1.5, token()), *([(hash_s, reply(HASH="h" * 64))] if hash_s else [])]
        desk, transport = clients(
            tmp_path, *script, (0.5, reply(**ACCEPTED, output=output)), pace=0.5
        )
        if not fresh:
            await desk.auth.token()
        orders = bot.KISOrder(desk.client, hash_s is not None)

        def veto():
            asked.append((len(transport.calls), loop.time()))
            return bot.OrderAnswer(bot.Outcome.NOT_SENT, text="kept") if kept else None

        if what == "new":
            answer = await orders.submit(intent(), veto)
        else:
            answer = await orders.change(
                bot.OrderCall(what, intent(), "0000000001", "1", "00"), veto
            )
        return answer.outcome.name, asked, transport.times, [name for name, *_ in transport.calls]

    outcome, asked, times, names = run(main)
    before = ["tokenP", *(["hashkey"] if hash_s else [])]
    post = {"new": "order-cash", "cancel": "order-rvsecncl"}[what]
    assert names == ([*before] if kept else [*before, post])
    assert [count for count, _ in asked] == [len(before)]
    assert outcome == ("NOT_SENT" if kept else "ACCEPTED")
    if not kept:
        assert asked[0][1] == times[-1]
    spaced = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(gap >= 2.0 for gap in spaced)  # each call has a turn of its own


@pytest.mark.parametrize("paged", [False, True])
def test_an_order_list_holds_the_rows_of_its_day_and_those_without_one(tmp_path, paged):
    """Rows of the days before and after are of other orders, whose numbers may be the same."""

    def row(number, day):
        return {
            "odno": f"{number:010d}", "orgn_odno": "", "pdno": "005930", "sll_buy_dvsn_cd": "02", "ord_dt": day,
            "ord_dvsn_cd": "00", "ord_tmd": "100000", "ord_qty": "1", "ord_unpr": "70000", "rjct_qty": "0",
            "tot_ccld_qty": "0", "tot_ccld_amt": "0", "cncl_cfrm_qty": "0", "ord_gno_brno": "1",
        }  # fmt: skip

    days = ["20261119", "20261120", "", "20261121", "20251120", "20261120"]
    rows = [row(number, day) for number, day in enumerate(days, 1)]
    if paged:
        mark = {"ctx_area_fk100": "F", "ctx_area_nk100": "N"}
        first = reply(headers={"tr_cont": "F"}, rt_cd="0", msg_cd="K", output1=rows[:3], **mark)
        pages = [first, reply(rt_cd="0", msg_cd="K", output1=rows[3:])]
    else:
        pages = [reply(rt_cd="0", msg_cd="K", output1=rows)]

    async def main():
        desk, _ = clients(tmp_path, (0, token()), *[(0, each) for each in pages])
        seen = await desk.orders.orders_of(bot.date(2026, 11, 20))
        return [int(each.order_no) for each in seen.rows]

    assert run(main) == [2, 3, 6]


SUMMARY = {"prvs_rcdl_excc_amt": "5", "thdt_tlex_amt": "0", "tot_evlu_amt": "0"}


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("what", ["orders", "balance"])
def test_a_row_that_cannot_be_read_spoils_an_answer_only_when_its_stock_is_ours(
    tmp_path, what, ours
):
    """The owner's other stocks come in forms that nobody foresaw; half an answer about ours is none."""
    sound = {
        "odno": "1", "orgn_odno": "", "pdno": "005930", "sll_buy_dvsn_cd": "02", "ord_dt": "", "ord_dvsn_cd": "00",
        "ord_tmd": "100000", "ord_qty": "1", "ord_unpr": "70000", "rjct_qty": "0", "tot_ccld_qty": "0",
        "tot_ccld_amt": "0", "cncl_cfrm_qty": "0", "ord_gno_brno": "1", "hldg_qty": "3", "ord_psbl_qty": "3",
        "pchs_avg_pric": "1", "prdt_name": "A",
    }  # fmt: skip
    odd = {**sound, "odno": "2", "pdno": "000660", "ord_qty": "?", "hldg_qty": "?"}

    async def main():
        answer = reply(rt_cd="0", msg_cd="K", output1=[sound, odd], output2=[SUMMARY])
        desk, _ = clients(tmp_path, (0, token()), *[(0, answer)] * 4)
        desk.orders.matters = lambda symbol: ours or symbol == "005930"
        try:
            if what == "orders":
                return [row.symbol for row in (await desk.orders.orders_of(edge.DAY)).rows]
            return [each.symbol for each in (await desk.orders.balance()).holdings]
        except bot.BadData:
            return None

    assert run(main) == (None if ours else ["005930"])


OTHER_KIND = reply(rt_cd="1", msg_cd="OPSQ2001", msg1="x")


@pytest.mark.parametrize("then", ["refused", "other", "silence", "seen"])
def test_the_other_kind_of_balance_goes_first_only_once_it_was_seen(tmp_path, then):
    """A kind that brought nothing is not the one that is asked next."""
    no = reply(rt_cd="1", msg_cd="APBK0919", msg1="x")
    seen = reply(rt_cd="0", msg_cd="K", output1=[], output2=[SUMMARY])
    second = {
        "refused": [no],
        "other": [OTHER_KIND],
        "silence": [bot.NoAnswer("x")] * 4,
        "seen": [seen],
    }[then]

    async def main():
        script = [OTHER_KIND, *second, seen]
        desk, transport = clients(tmp_path, (0, token()), *[(0, each) for each in script])
        found = []
        for _ in range(2):
            try:
                found.append((await desk.orders.balance()).settled_cash_krw)
            except bot.AskFailed:
                found.append(None)
        asked = [params["INQR_DVSN"] for name, _, params in transport.calls if "balance" in name]
        return found, asked[0], asked[1], asked[-1]

    assert run(main) == (
        [5 if then == "seen" else None, 5],
        "02",
        "01",
        "01" if then == "seen" else "02",
    )


@pytest.mark.parametrize("code", ["APBK0919", "EGW02006", "40310000", "IGW00007", "OPSQ2000", "X1"])
def test_a_balance_that_is_refused_for_another_reason_is_not_asked_for_by_the_other_kind(
    tmp_path, code
):
    """A second question would hide the reason, and what it brought might be of another kind for good."""

    async def main():
        no = reply(rt_cd="1", msg_cd=code, msg1="x")
        seen = reply(rt_cd="0", msg_cd="K", output1=[], output2=[SUMMARY])
        desk, transport = clients(tmp_path, (0, token()), (0, no), (0, seen))
        with pytest.raises(bot.RequestRefused) as refused:
            await desk.orders.balance()
        await desk.orders.balance()
        asked = [params["INQR_DVSN"] for name, _, params in transport.calls if "balance" in name]
        return refused.value.code, asked

    assert run(main) == (code, ["02", "02"])


@pytest.mark.parametrize("said", [{}, {"output2": []}, {"output2": {}}, {"output2": [{"x": " "}]}])
def test_a_balance_without_amounts_is_no_answer_and_no_empty_account(tmp_path, said):
    """Read as zero, it would give up what is held, and the cash."""

    async def main():
        answer = reply(rt_cd="0", msg_cd="K", output1=[], **said)
        desk, _ = clients(tmp_path, (0, token()), *[(0, answer)] * 4)
        with pytest.raises(bot.BadData):
            await desk.orders.balance()

    run(main)


@pytest.mark.parametrize(("first", "second", "refused"), [
    ("99999999^x", "", True), ("", "", False), ("own", "own", False), ("own", "", False), ("99999999", "own", True),
])  # fmt: skip
def test_the_first_page_of_a_balance_says_whose_it_is(tmp_path, first, second, refused):
    """Another account there stops everything, whatever a later page says."""

    async def main():
        desk, transport = clients(tmp_path, (0, token()))
        named = [
            desk.profile.account.reveal() + "^1" if each == "own" else each
            for each in (first, second)
        ]
        head = {"output1": [], "output2": [SUMMARY]}
        transport.script += [
            (0, reply(headers={"tr_cont": "F"}, rt_cd="0", msg_cd="K", ctx_area_fk100=named[0],
                      ctx_area_nk100="N", **head)),
            (0, reply(rt_cd="0", msg_cd="K", ctx_area_fk100=named[1], ctx_area_nk100="", **head)),
        ]  # fmt: skip
        try:
            await desk.orders.balance()
        except bot.SettingsError:
            return True
        return False

    assert run(main) is refused


@pytest.mark.parametrize("result", [None, "", "0", "1", "2", " 0 ", " 1 "])
@pytest.mark.parametrize("key", ["msg_cd", "error_code"])
@pytest.mark.parametrize(
    ("code", "means"), [("APBK0919", "REFUSED"), ("EGW00130", "NOT_SENT"), ("ABC", "UNKNOWN")]
)
@pytest.mark.parametrize("number", ["", "0000012345"])
def test_an_order_was_refused_only_when_the_body_says_no_and_names_no_order(
    result, key, code, means, number
):
    """No: a result that is not 0, or an error of the gateway's own form; a number beside it contradicts it."""
    body = {key: code, "msg1": "said", "output": {"ODNO": number}}
    if result is not None:
        body["rt_cd"] = result
    answer = bot.classify_order_answer(reply(**body))
    said = (result or "").strip()
    no = said not in ("", "0") or (said == "" and key == "error_code")
    if said == "0" and number:
        assert (answer.outcome.name, answer.order_no) == ("ACCEPTED", number)
    else:
        assert answer.outcome.name == (means if no and not number else "UNKNOWN")
        assert answer.order_no == ""


@pytest.mark.parametrize("what", ["new", "cancel"])
@pytest.mark.parametrize("says", ["yes", "no"])
def test_what_an_answer_to_an_order_echoes_of_ours_is_starred(tmp_path, what, says):
    """Account, app key and secret, whether the order was taken or not."""

    async def main():
        desk, transport = clients(tmp_path, (0, token()))
        secrets = [each.reveal() for each in bot.secrets_of(desk.profile)]
        body = {"yes": ACCEPTED, "no": {"rt_cd": "1", "msg_cd": "APBK0919"}}[says]
        output = {"ODNO": "0000012345" if says == "yes" else "", "KRX_FWDG_ORD_ORGNO": "1"}
        transport.script.append((0, reply(**body, msg1="; ".join(secrets), output=output)))
        if what == "new":
            answer = await desk.orders.submit(intent())
        else:
            answer = await desk.orders.change(
                bot.OrderCall(what, intent(), "0000000001", "1", "00")
            )
        return (
            answer.outcome.name,
            [each for each in secrets if each and each in answer.text],
            answer.text,
        )

    outcome, shown, text = run(main)
    assert (outcome, shown) == ({"yes": "ACCEPTED", "no": "REFUSED"}[says], [])
    assert "***" in text


@pytest.mark.parametrize("cma", [False, True])
def test_orderable_cash_counts_a_cma_account_as_the_settings_say(tmp_path, cma):
    """And never what is lent: the figure without receivables."""

    async def main():
        desk, transport = clients(tmp_path, (0, token()))
        cash = {"nrcvb_buy_amt": "500", "max_buy_amt": "900", "ord_psbl_cash": "700"}
        transport.script.append((0, reply(rt_cd="0", msg_cd="K", output=cash)))
        desk.orders.cma = cma
        found = await desk.orders.orderable_cash()
        return found, transport.calls[-1][2]["CMA_EVLU_AMT_ICLD_YN"]

    assert run(main) == (500, "Y" if cma else "N")


def test_the_realised_result_of_a_day_is_the_total_of_its_last_page(tmp_path):
    """Each page carries a sum so far; paper has none, which is no zero."""

    async def main():
        script = [(0, token())]
        for number, following in ((100, "F"), (250, "")):
            total = {"tot_rlzt_pfls": f"{number}"}
            mark = {"ctx_area_fk100": f"{number}", "ctx_area_nk100": "N"}
            script.append((0, reply(
                headers={"tr_cont": following}, rt_cd="0", msg_cd="K", output1=[], output2=[total], **mark
            )))  # fmt: skip
        desk, _ = clients(tmp_path, *script)
        paper = await desk.orders.realized_today(bot.date(2026, 11, 20))
        real = desk.again(profile=bot.replace(desk.profile, environment="real"))
        return paper, await real.orders.realized_today(bot.date(2026, 11, 20))

    assert run(main) == (None, 250)


NO_TOKEN = {
    "keys": reply(403, error_code="EGW00103"), "pace": reply(403, error_code="EGW00133"),
    "odd": reply(200, rt_cd="0"), "off": bot.NotSent("no route"), "silent": bot.NoAnswer("nothing came"),
}  # fmt: skip


@pytest.mark.parametrize("why", NO_TOKEN)
@pytest.mark.parametrize("what", ["new", "cancel", "change"])
def test_without_a_token_nothing_leaves_and_the_call_is_answered(tmp_path, why, what):
    """Whatever keeps it from coming: the order was not sent, the program goes on and watches its stops."""

    async def main():
        desk, transport = clients(tmp_path, *[(0, NO_TOKEN[why])] * 9)
        call = bot.OrderCall(what, intent(), "0000000001", "1", "01")
        new = what == "new"
        answer = await (desk.orders.submit(intent()) if new else desk.orders.change(call))
        return answer.outcome.name, answer.text[:15], {name for name, *_ in transport.calls}

    assert run(main) == ("NOT_SENT", "before sending:", {"tokenP"})


@pytest.mark.parametrize("status", [200, 404, 500, 503])
@pytest.mark.parametrize("code", ["", "EGW00300"])
def test_an_answer_that_decides_nothing_bears_its_code_or_its_status(status, code):
    """It stands in the order's note: what the owner is asked about."""
    answer = bot.classify_order_answer(reply(status, rt_cd="1", msg_cd=code, msg1="said"))
    assert answer == bot.OrderAnswer(
        bot.Outcome.UNKNOWN, code=code or f"HTTP {status}", text="said"
    )


class Bodies(Scripted):
    """A transport that keeps the bodies of what is posted."""

    def __init__(self, *script):
        super().__init__(*script)
        self.bodies = []

    async def __call__(self, method, url, headers, params, body):
        self.bodies.append(body)
        return await super().__call__(method, url, headers, params, body)


@pytest.mark.parametrize("kind", list(bot.OrderKind))
@pytest.mark.parametrize("action", ["cancel", "change"])
def test_a_call_for_an_order_names_its_kind_and_a_price_only_where_there_is_one(
    tmp_path, kind, action
):
    """Of a cancel the kind that the order has; no price in it, nor in a change to a kind without one."""

    async def main():
        desk, _ = clients(tmp_path)
        transport = Bodies((0, token()))
        call = bot.OrderCall(action, intent(), "0000000001", "06010", str(kind), 70_000)
        await desk.again(transport=transport).orders.change(call)
        return json.loads(transport.bodies[-1])

    body = run(main)
    priced = action == "change" and kind.priced
    assert (body["ORD_DVSN"], body["ORD_UNPR"]) == (str(kind), "70000" if priced else "0")
    assert (body["ORGN_ODNO"], body["KRX_FWDG_ORD_ORGNO"]) == ("0000000001", "06010")
    assert (body["RVSE_CNCL_DVSN_CD"], body["QTY_ALL_ORD_YN"]) == (
        "01" if action == "change" else "02",
        "Y",
    )
