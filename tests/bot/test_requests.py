"""Golden requests: what leaves for each query and order, parameter by parameter, by environment.

The tables are written by hand from the broker's document and its samples, not taken from the bot.
"""

import asyncio
import json
from dataclasses import replace
from datetime import date

import edge
import harness
import pytest

import kis_realtime_trading as bot

DAY = "20261120"
ACCOUNT = {"CANO": "12345678", "ACNT_PRDT_CD": "01"}
STOCK = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": "005930"}
DOMESTIC, OVERSEAS = "/uapi/domestic-stock/v1", "/uapi/overseas-price/v1/quotations"
FIRST_PAGE = {"CTX_AREA_FK100": "", "CTX_AREA_NK100": ""}
NOT_OFFERED = None

# name -> how it is asked, path, TR id real, TR id paper, parameters ("ALL/KRX": real / paper)
QUERIES = {
    "price": (
        lambda desk: desk.market.price("005930"), f"{DOMESTIC}/quotations/inquire-price",
        "FHKST01010100", "FHKST01010100", STOCK,
    ),
    "order book": (
        lambda desk: desk.market.order_book("005930"), f"{DOMESTIC}/quotations/inquire-asking-price-exp-ccn",
        "FHKST01010200", "FHKST01010200", STOCK,
    ),
    "minute bars": (
        lambda desk: desk.market.minute_bars_today("005930", edge.at("10:05:30"), 5),
        f"{DOMESTIC}/quotations/inquire-time-itemchartprice", "FHKST03010200", "FHKST03010200",
        {**STOCK, "FID_PW_DATA_INCU_YN": "N", "FID_ETC_CLS_CODE": "", "FID_INPUT_HOUR_1": "100530"},
    ),
    "minute bars of a day": (
        lambda desk: desk.market.minute_bars_of("005930", date(2026, 11, 19), 5),
        f"{DOMESTIC}/quotations/inquire-time-dailychartprice", "FHKST03010230", "FHKST03010230",
        {**STOCK, "FID_INPUT_DATE_1": "20261119", "FID_PW_DATA_INCU_YN": "Y",
         "FID_FAKE_TICK_INCU_YN": "", "FID_INPUT_HOUR_1": "163000"},
    ),
    "daily bars": (
        lambda desk: desk.market.daily_bars("005930", date(2026, 11, 2), date(2026, 11, 19)),
        f"{DOMESTIC}/quotations/inquire-daily-itemchartprice", "FHKST03010100", "FHKST03010100",
        {**STOCK, "FID_INPUT_DATE_1": "20261102", "FID_INPUT_DATE_2": "20261119",
         "FID_PERIOD_DIV_CODE": "D", "FID_ORG_ADJ_PRC": "0"},
    ),
    "calendar": (
        lambda desk: desk.market.is_open_day(date(2026, 11, 20)), f"{DOMESTIC}/quotations/chk-holiday",
        "CTCA0903R", NOT_OFFERED, {"BASS_DT": DAY, "CTX_AREA_NK": "", "CTX_AREA_FK": ""},
    ),
    "overseas price": (
        lambda desk: desk.market.overseas_price("NAS", "AAPL"), f"{OVERSEAS}/price",
        "HHDFS00000300", "HHDFS00000300", {"AUTH": "", "EXCD": "NAS", "SYMB": "AAPL"},
    ),
    "overseas days": (
        lambda desk: desk.market.overseas_daily_bars("NAS", "AAPL", date(2026, 11, 19)),
        f"{OVERSEAS}/dailyprice", "HHDFS76240000", "HHDFS76240000",
        {"AUTH": "", "EXCD": "NAS", "SYMB": "AAPL", "GUBN": "0", "BYMD": "20261119", "MODP": "1"},
    ),
    "order list": (
        lambda desk: desk.orders.orders_of(date(2026, 11, 20)), f"{DOMESTIC}/trading/inquire-daily-ccld",
        "TTTC0081R", "VTTC0081R",
        {**ACCOUNT, **FIRST_PAGE, "INQR_STRT_DT": DAY, "INQR_END_DT": DAY, "SLL_BUY_DVSN_CD": "00",
         "PDNO": "", "CCLD_DVSN": "00", "INQR_DVSN": "01", "INQR_DVSN_3": "00", "ORD_GNO_BRNO": "",
         "ODNO": "", "INQR_DVSN_1": "", "EXCG_ID_DVSN_CD": "ALL/KRX"},
    ),
    "balance": (
        lambda desk: desk.orders.balance(), f"{DOMESTIC}/trading/inquire-balance",
        "TTTC8434R", "VTTC8434R",
        {**ACCOUNT, **FIRST_PAGE, "AFHR_FLPR_YN": "N", "OFL_YN": "", "INQR_DVSN": "02",
         "UNPR_DVSN": "01", "FUND_STTL_ICLD_YN": "N", "FNCG_AMT_AUTO_RDPT_YN": "N", "PRCS_DVSN": "00"},
    ),
    "orderable cash": (
        lambda desk: desk.orders.orderable_cash(), f"{DOMESTIC}/trading/inquire-psbl-order",
        "TTTC8908R", "VTTC8908R",
        {**ACCOUNT, "PDNO": "", "ORD_UNPR": "", "ORD_DVSN": "01", "CMA_EVLU_AMT_ICLD_YN": "N",
         "OVRS_ICLD_YN": "N"},
    ),
    "realised": (
        lambda desk: desk.orders.realized_today(date(2026, 11, 20)),
        f"{DOMESTIC}/trading/inquire-period-trade-profit", "TTTC8715R", NOT_OFFERED,
        {**ACCOUNT, **FIRST_PAGE, "SORT_DVSN": "00", "INQR_STRT_DT": DAY, "INQR_END_DT": DAY,
         "CBLC_DVSN": "00", "PDNO": ""},
    ),
}  # fmt: skip


class Catching:
    """A transport that notes every request and answers it with nothing that is a list or a price."""

    def __init__(self):
        self.seen = []

    async def __call__(self, method, url, headers, params, body):
        path = "/" + url.split("//", 1)[1].partition("/")[2]
        self.seen.append((method, path, dict(headers), dict(params), json.loads(body or b"{}")))
        token = '{"access_token":"t","expires_in":86400}'
        refusal = '{"rt_cd":"1","msg_cd":"X","msg1":"no"}'
        return bot.HttpReply(200, token if "oauth2" in url else refusal, {})

    async def close(self):
        """Nothing is open."""


def caught(tmp_path, environment, ask):
    """Return the requests of a call, the token's left out."""

    async def main():
        transport = Catching()
        desk = edge.desk(tmp_path, environment=environment).again(transport=transport)
        account = replace(desk.profile, account=bot.Secret("12345678"), product="01")
        desk = desk.again(profile=account)
        try:
            await ask(desk)
        except bot.BotError:
            assert transport.seen
        return [each for each in transport.seen if "oauth2" not in each[1]]

    return harness.run_virtual(main())


@pytest.mark.parametrize("environment", ["real", "paper"])
@pytest.mark.parametrize("name", sorted(QUERIES))
def test_each_query_asks_for_exactly_this(tmp_path, name, environment):
    """Path, TR id and every parameter; on paper what is not offered there is not asked in its place."""
    ask, path, real, paper, parameters = QUERIES[name]
    requests = caught(tmp_path, environment, ask)
    tr_id = real if environment == "real" else paper
    if tr_id is NOT_OFFERED:
        assert not [each for each in requests if each[1] == path]
        return
    method, found_path, headers, found, _ = requests[0]
    expected = {
        key: value.split("/")[environment == "paper"] if value == "ALL/KRX" else value
        for key, value in parameters.items()
    }
    assert (method, found_path, headers["tr_id"]) == ("GET", path, tr_id)
    assert found == expected
    assert (headers["custtype"], headers["tr_cont"]) == ("P", "")


def test_every_query_of_the_bot_is_in_the_table():
    """A new service without its parameters written down is not finished."""
    paths = {path for _, path, *_ in QUERIES.values()}
    elsewhere = {"inquire-ccnl", "intstock-multprice"}  # not on the way of money
    of_the_bot = {each.path for each in bot.ENDPOINTS.values() if each.method == "GET"}
    assert {each for each in of_the_bot if each.rpartition("/")[2] not in elsewhere} == paths


def intent(**more):
    """Return an intent to buy three shares at 71,400."""
    usual = {
        "intent_id": "i1", "trade_date": edge.DAY, "symbol": "005930", "side": bot.Side.BUY,
        "kind": bot.OrderKind.LIMIT, "quantity": 3, "price": 71_400, "purpose": "entry", "leg": "0",
        "signal": "s", "at": edge.at("10:05:30"),
    }  # fmt: skip
    return bot.OrderIntent(**{**usual, **more})


CASH = {
    **ACCOUNT, "PDNO": "005930", "ORD_QTY": "3", "EXCG_ID_DVSN_CD": "KRX", "SLL_TYPE": "",
    "CNDT_PRIC": "",
}  # fmt: skip
CHANGE = {
    **ACCOUNT, "KRX_FWDG_ORD_ORGNO": "06010", "ORGN_ODNO": "0000000762", "ORD_QTY": "0",
    "QTY_ALL_ORD_YN": "Y", "EXCG_ID_DVSN_CD": "KRX", "CNDT_PRIC": "",
}  # fmt: skip
M, B, L = bot.OrderKind.MARKET, bot.OrderKind.BEST_LIMIT, bot.OrderKind.LIMIT
SELL = {"side": bot.Side.SELL, "purpose": "exit"}


def changing(action, kind, price):
    """Return how a change or cancel of order 762 is sent."""
    call = bot.OrderCall(action, intent(), "0000000762", "06010", kind, price)
    return lambda desk: desk.orders.change(call)


# name -> how it is sent, path, last part of the TR id, body
ORDERS = {
    "buy, limit": (lambda desk: desk.orders.submit(intent()), "order-cash", "TTC0012U",
                   {**CASH, "ORD_DVSN": "00", "ORD_UNPR": "71400"}),
    "buy, market": (lambda desk: desk.orders.submit(intent(kind=M)), "order-cash", "TTC0012U",
                    {**CASH, "ORD_DVSN": "01", "ORD_UNPR": "0"}),
    "sell, limit": (lambda desk: desk.orders.submit(intent(**SELL)), "order-cash", "TTC0011U",
                    {**CASH, "ORD_DVSN": "00", "ORD_UNPR": "71400"}),
    "sell, best": (lambda desk: desk.orders.submit(intent(kind=B, **SELL)), "order-cash", "TTC0011U",
                   {**CASH, "ORD_DVSN": "03", "ORD_UNPR": "0"}),
    "sell, market": (lambda desk: desk.orders.submit(intent(kind=M, **SELL)), "order-cash", "TTC0011U",
                     {**CASH, "ORD_DVSN": "01", "ORD_UNPR": "0"}),
    "cancel": (changing("cancel", "00", 71_400), "order-rvsecncl", "TTC0013U",
               {**CHANGE, "RVSE_CNCL_DVSN_CD": "02", "ORD_DVSN": "00", "ORD_UNPR": "0"}),
    "change to a price": (changing("change", "00", 71_300), "order-rvsecncl", "TTC0013U",
                          {**CHANGE, "RVSE_CNCL_DVSN_CD": "01", "ORD_DVSN": "00", "ORD_UNPR": "71300"}),
    "change to market": (changing("change", "01", 71_300), "order-rvsecncl", "TTC0013U",
                         {**CHANGE, "RVSE_CNCL_DVSN_CD": "01", "ORD_DVSN": "01", "ORD_UNPR": "0"}),
}  # fmt: skip


@pytest.mark.parametrize("environment", ["real", "paper"])
@pytest.mark.parametrize("name", sorted(ORDERS))
def test_each_order_sends_exactly_this(tmp_path, name, environment):
    """One POST: path, TR id and every key of the body."""
    send, path, tr_id, expected = ORDERS[name]
    [(method, found_path, headers, params, body)] = caught(tmp_path, environment, send)
    assert (method, found_path) == ("POST", f"{DOMESTIC}/trading/{path}")
    assert headers["tr_id"] == ("T" if environment == "real" else "V") + tr_id
    assert (params, body) == ({}, expected)


@pytest.mark.parametrize(("name", "width"), [("orders", "100"), ("balance", "100")])
def test_the_next_page_is_asked_with_its_mark_and_the_context_of_the_one_before(
    tmp_path, name, width
):
    """tr_cont N, and both context values as they came."""
    asked = []

    class Pages(Catching):
        async def __call__(self, method, url, headers, params, body):
            if "oauth2" in url:
                return await super().__call__(method, url, headers, params, body)
            asked.append((headers["tr_cont"], params["CTX_AREA_FK100"], params["CTX_AREA_NK100"]))
            number = len(asked)
            body = {"rt_cd": "0", "ctx_area_fk100": f"f{number}", "ctx_area_nk100": f"n{number}"}
            return bot.HttpReply(
                200,
                json.dumps(body),
                {"tr_cont": "F" if number == 1 else "M" if number < 3 else "D"},
            )

    async def main():
        desk = edge.desk(tmp_path).again(transport=Pages())
        await desk.client.pages(name, {})

    harness.run_virtual(main())
    assert asked == [("", "", ""), ("N", "f1", "n1"), ("N", "f2", "n2")]


@pytest.mark.parametrize("what", ["exit", "cancel", "change"])
def test_an_order_that_makes_safer_overtakes_entries_and_questions(tmp_path, what):
    """At a call a second: two questions and two entries wait, the exit comes last and goes first."""

    async def main():
        transport = Catching()
        desk = edge.desk(tmp_path, pace=1.0).again(transport=transport)
        await desk.auth.token()
        await desk.rest.governor.turn(bot.LANE_QUERY)  # the pace is used up
        exit_call = {
            "exit": lambda: desk.orders.submit(intent(kind=M, **SELL)),
            "cancel": lambda: changing("cancel", "00", 0)(desk),
            "change": lambda: changing("change", "01", 0)(desk),
        }[what]
        tasks = []
        for each in (
            lambda: desk.client.get("price", STOCK),
            lambda: desk.orders.submit(intent()),
            exit_call,
        ):
            tasks.append(asyncio.create_task(each()))
            await asyncio.sleep(0.01)
        await asyncio.gather(*tasks, return_exceptions=True)
        return [
            headers.get("tr_id", "")
            for _, path, headers, _, _ in transport.seen
            if "oauth2" not in path
        ]

    first = {"exit": "VTTC0011U", "cancel": "VTTC0013U", "change": "VTTC0013U"}[what]
    assert harness.run_virtual(main()) == [first, "VTTC0012U", "FHKST01010100"]


def test_the_last_look_is_taken_when_the_turn_has_come(tmp_path):
    """What was right before the wait may be wrong after it: asked once, at the end of the wait."""

    async def main():
        desk, looks = edge.desk(tmp_path, pace=0.2).again(transport=Catching()), []
        await desk.auth.token()
        await desk.rest.governor.turn(bot.LANE_QUERY)
        began = asyncio.get_running_loop().time()

        def look():
            looks.append(round(asyncio.get_running_loop().time() - began))
            return bot.OrderAnswer(bot.Outcome.NOT_SENT, text="no more")

        answer = await desk.orders.submit(intent(), look)
        return looks, answer.outcome, answer.text

    assert harness.run_virtual(main()) == ([5], bot.Outcome.NOT_SENT, "no more")


def test_a_token_that_an_order_was_refused_for_is_not_used_again(tmp_path):
    """EGW00123 on an order: the next call has a new token."""

    class Expired(Catching):
        count = 0

        async def __call__(self, method, url, headers, params, body):
            await super().__call__(method, url, headers, params, body)
            if "oauth2" in url:
                self.count += 1
                text = json.dumps({"access_token": f"t{self.count}", "expires_in": 86400})
                return bot.HttpReply(200, text, {})
            return bot.HttpReply(500, '{"rt_cd":"1","msg_cd":"EGW00123","msg1":"expired"}', {})

    async def main():
        transport = Expired()
        desk = edge.desk(tmp_path).again(transport=transport)
        for _ in range(2):
            await desk.orders.submit(intent())
            await asyncio.sleep(100)
        return [
            headers["authorization"]
            for _, path, headers, _, _ in transport.seen
            if "trading" in path
        ]

    assert harness.run_virtual(main()) == ["Bearer t1", "Bearer t2"]


def test_an_order_of_the_owner_at_the_other_exchange_is_in_the_list_of_a_real_account(tmp_path):
    """Asked for one exchange only, his shares would be a mismatch that nobody can explain."""

    async def main():
        desk = edge.desk(tmp_path, environment="real")
        base = desk.sim.state()["stocks"]["005930"]["base"]
        low = edge.price_band(base, False)[0]
        numbers = {
            desk.sim.manual_order("005930", "BUY", 1, low, exchange=each) for each in ("KRX", "NXT")
        }
        await asyncio.sleep(10)
        seen = await desk.orders.orders_of(date(2026, 11, 20))
        return numbers, {row.order_no for row in seen.rows}

    placed, listed = harness.run_virtual(main())
    assert listed == {bot.normalize_order_no(number) for number in placed}
