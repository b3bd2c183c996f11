"""The only way to the REST host: pacing, one attempt for an order, full answers or none."""

import asyncio
import contextlib
import itertools
import json
import socket

import edge
import harness
import pytest

import kis_realtime_trading as bot

ORDER_CASH = bot.ENDPOINTS["buy"].path


def run(main):
    """Run a test in virtual time."""
    return harness.run_virtual(main())


def intent(**more):
    """Return an intent to buy one share of Samsung at a price that rests."""
    usual = {
        "intent_id": "i1", "trade_date": edge.DAY, "symbol": "005930", "side": bot.Side.BUY,
        "kind": bot.OrderKind.LIMIT, "quantity": 1, "price": 60_000, "purpose": "entry",
        "leg": "0", "signal": "s", "at": edge.at("10:05:30"),
    }  # fmt: skip
    return bot.OrderIntent(**{**usual, **more})


def lower_band(desk):
    """Return a price at which a buy rests."""
    return edge.price_band(desk.sim.state()["stocks"]["005930"]["base"], False)[0]


# --- pacing ---


def busiest_second(times):
    """Return the largest number of moments in any half-open second."""
    return max(sum(0 <= each - start < 1.0 - 1e-6 for each in times) for start in times)


@pytest.mark.parametrize("rate", [0.9, 3.0, 15.0])
def test_calls_never_exceed_the_rate_in_any_second(rate):
    """Evenly spaced from the first call on, also after a rest: no burst is saved up."""

    async def main():
        loop, governor, times = asyncio.get_running_loop(), bot.Governor(rate), []

        async def call():
            await governor.turn(bot.LANE_QUERY)
            times.append(loop.time())

        await asyncio.gather(*(call() for _ in range(40)))
        await asyncio.sleep(100)
        await asyncio.gather(*(call() for _ in range(40)))
        return times

    times = run(main)
    assert busiest_second(times) <= max(1, rate)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert min(gaps) >= 1 / rate - 1e-6


@pytest.mark.parametrize(
    ("environment", "limit"), [("paper", 1), ("real", 18)], ids=["paper", "real"]
)
def test_the_usual_pace_is_never_refused_by_the_server(tmp_path, environment, limit):
    """60 questions at once at the built-in pace: not one EGW00201 at the limits of 2026-04-20."""

    async def main():
        pace = bot.REST_CALLS_PER_SECOND[environment]
        desk = edge.desk(
            tmp_path, environment=environment, requests_per_second=None, pace=pace, density=0.5
        )
        assert desk.sim.config.limit == limit
        await asyncio.gather(*(desk.market.order_book("005930") for _ in range(60)))
        assert desk.requests("exp-ccn") == 60  # a refusal would have been repeated

    run(main)


def test_exits_and_orders_overtake_questions():
    """Twenty questions wait; then a look, an order and an exit come: they go first, exits first."""

    async def main():
        governor, done = bot.Governor(1.0), []

        async def call(name, lane):
            await governor.turn(lane)
            done.append(name)

        tasks = [asyncio.create_task(call(f"q{n}", bot.LANE_QUERY)) for n in range(20)]
        await asyncio.sleep(2.5)
        before = len(done)
        for name, lane in (
            ("look", bot.LANE_LOOK),
            ("order", bot.LANE_ORDER),
            ("exit 1", bot.LANE_EXIT),
            ("exit 2", bot.LANE_EXIT),
        ):
            tasks.append(asyncio.create_task(call(name, lane)))
        await asyncio.gather(*tasks)
        assert done[before : before + 4] == ["exit 1", "exit 2", "order", "look"]
        assert [f"q{n}" for n in range(20)] == [name for name in done if name[0] == "q"]

    run(main)


def test_a_call_that_was_given_up_takes_no_turn():
    """Cancelled waiters are skipped without a pause."""

    async def main():
        loop, governor = asyncio.get_running_loop(), bot.Governor(1.0)
        await governor.turn(bot.LANE_QUERY)
        waiting = [asyncio.create_task(governor.turn(bot.LANE_QUERY)) for _ in range(30)]
        last = asyncio.create_task(governor.turn(bot.LANE_QUERY))
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await last
        assert loop.time() == pytest.approx(1.0)

    run(main)


def test_refusals_for_pace_slow_down_and_the_pace_comes_back():
    """Each refusal doubles the gap up to a bound; quiet calls bring it back step by step."""

    async def main():
        loop, governor = asyncio.get_running_loop(), bot.Governor(10.0)

        async def gap():
            await governor.turn(bot.LANE_QUERY)
            before = loop.time()
            await governor.turn(bot.LANE_QUERY)
            return loop.time() - before

        assert await gap() == pytest.approx(0.1)
        governor.slow_down()
        await governor.turn(bot.LANE_QUERY)
        assert await gap() > 0.15
        for _ in range(20):
            governor.slow_down()
        assert 1.5 < await gap() <= 2.0
        for _ in range(400):
            await governor.turn(bot.LANE_QUERY)
        assert await gap() == pytest.approx(0.1)

    run(main)


@pytest.mark.parametrize("code", ["EGW00201", "EGW00215"])
def test_a_question_refused_for_pace_is_repeated_more_slowly(tmp_path, code):
    """EGW00201 and EGW00215: nothing was executed; the same question again, later."""

    async def main():
        desk = edge.desk(tmp_path, pace=10.0)
        await desk.auth.token()
        desk.fault("error", {"path": "exp-ccn", "times": 3}, code=code)
        began = asyncio.get_running_loop().time()
        await desk.market.order_book("005930")
        assert desk.requests("exp-ccn") == 4
        assert asyncio.get_running_loop().time() - began > 0.1 + 0.2 + 0.4

    run(main)


def test_a_lowered_limit_is_found_within_ten_seconds(tmp_path):
    """The server silently allows 3 calls a second instead of 15 (R11): calls still succeed."""

    async def main():
        desk = edge.desk(
            tmp_path, environment="real", requests_per_second=3, pace=15.0, density=0.5
        )
        await desk.auth.token()
        loop = asyncio.get_running_loop()
        failed = 0
        while loop.time() < 10:
            try:
                await desk.market.order_book("005930")
            except bot.RequestRefused:
                failed += 1
        asked = desk.requests("exp-ccn")
        good = 0
        while loop.time() < 20:
            await desk.market.order_book("005930")
            good += 1
        wasted = desk.requests("exp-ccn") - asked - good
        assert failed <= 3
        assert good >= 15 and wasted <= good

    run(main)


# --- questions are repeated, orders never ---

TROUBLE = {
    "lost before": ("lose", {"how": "reset"}),
    "lost after": ("lose", {"how": "reset", "executed": True}),
    "hangs": ("lose", {"how": "hang"}),
    "hangs after": ("lose", {"how": "hang", "executed": True}),
    "502": ("html", {"status": 502}),
    "503 after": ("html", {"status": 503, "executed": True}),
    "cut": ("garble", {"how": "truncate"}),
    "text": ("garble", {"how": "text"}),
    "empty": ("garble", {"how": "empty"}),
    "unquoted": ("garble", {"how": "unquoted"}),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_a_question_without_a_usable_answer_is_repeated_and_then_given_up(tmp_path, name):
    """After 1, 2 and 4 seconds; then the error, never an empty answer."""
    do, effect = TROUBLE[name]

    async def main():
        desk = edge.desk(tmp_path)
        await desk.auth.token()
        number = desk.fault(do, {"path": "exp-ccn", "times": 3}, **effect)
        began = asyncio.get_running_loop().time()
        await desk.market.order_book("005930")
        assert desk.requests("exp-ccn") == 4
        assert asyncio.get_running_loop().time() - began >= 7.0
        desk.sim.faults.clear(number)
        desk.fault(do, {"path": "exp-ccn"}, **effect)
        with pytest.raises((bot.NoAnswer, bot.BadData)):
            await desk.market.order_book("005930")
        assert desk.requests("exp-ccn") == 8

    run(main)


def test_a_charset_of_another_time_does_not_crash(tmp_path):
    """An answer in EUC-KR is read with marks in place of letters, or refused; numbers stay right."""

    async def main():
        desk = edge.desk(tmp_path)
        right = await desk.market.price("005930")
        desk.fault("garble", {"path": "inquire-price"}, how="charset")
        with contextlib.suppress(bot.BadData):
            found = await desk.market.price("005930")
            assert (right.base_price, right.upper_limit) == (found.base_price, found.upper_limit)

    run(main)


@pytest.mark.parametrize("code", ["APBK0919", "EGW00304", "IGW00007", "OPSQ2001", "EGW02006"])
def test_a_question_that_was_refused_is_not_repeated(tmp_path, code):
    """A refusal is an answer: HTTP 500 with JSON carries its code (R06)."""

    async def main():
        desk = edge.desk(tmp_path)
        await desk.auth.token()
        desk.fault("error", {"path": "exp-ccn"}, code=code, text="  why not   ")
        with pytest.raises(bot.RequestRefused) as refused:
            await desk.market.order_book("005930")
        error = refused.value
        assert (error.code, error.text, error.status) == (code, "why not", 500)
        assert desk.requests("exp-ccn") == 1

    run(main)


@pytest.mark.parametrize("one_yes", [False, True])
def test_a_token_is_doubted_when_nothing_but_unknown_refusals_come(tmp_path, one_yes):
    """After a maintenance (public report): two minutes of them drop the token, once an hour.

    One question that is answered meanwhile proves the token good. The server hands out the same
    one again at first, which is revoked then: no token for two minutes more.
    """

    async def main():
        desk, tokens = edge.desk(tmp_path), []
        await desk.auth.token()
        desk.fault("error", {"path": "inquire-price"}, code="EGW09999")
        for minute in range(75):
            with pytest.raises(bot.RequestRefused):
                await desk.market.price("005930")
            if one_yes:
                await desk.market.order_book("005930")
            left = desk.auth.left_s  # 0: it was dropped, the next question asks for another
            tokens += [minute] if not left else []
            await asyncio.sleep(60)
        return tokens

    assert run(main) == ([] if one_yes else [2, 3, 4, 62, 63, 64])


def test_known_refusals_say_nothing_about_the_token(tmp_path):
    """A service that is not offered, an input that is wrong: the token stays."""

    async def main():
        desk = edge.desk(tmp_path)
        await desk.auth.token()
        for code in ("EGW02006", "OPSQ2001", "APBK0919"):
            desk.fault("error", {"path": "exp-ccn", "times": 8}, code=code)
            for _ in range(8):
                with pytest.raises(bot.RequestRefused):
                    await desk.market.order_book("005930")
                await asyncio.sleep(60)
        assert desk.auth.left_s > 0

    run(main)


@pytest.mark.parametrize("code", ["EGW00001", "EGW00002", "EGW00300", "EGW00301", "90020000"])
def test_a_question_refused_for_a_passing_trouble_is_repeated(tmp_path, code):
    """Reference 6.1: temporary error, routing, time-out at the server: RETRY for questions."""

    async def main():
        desk = edge.desk(tmp_path)
        await desk.auth.token()
        desk.fault("error", {"path": "exp-ccn", "times": 1}, code=code)
        await desk.market.order_book("005930")

    run(main)


@pytest.mark.parametrize("environment", ["paper", "real"])
@pytest.mark.parametrize("name", TROUBLE)
def test_an_order_is_posted_once_whatever_happens(tmp_path, name, environment):
    """One attempt, outcome UNKNOWN; the server counts one request (I11)."""
    do, effect = TROUBLE[name]

    async def main():
        desk = edge.desk(tmp_path, environment=environment)
        await desk.auth.token()
        desk.fault(do, {"kind": "order"}, **effect)
        answer = await desk.orders.submit(intent(price=lower_band(desk)))
        await asyncio.sleep(60)
        assert bot.Outcome.UNKNOWN is answer.outcome
        assert not answer.order_no
        assert desk.requests("order-cash") == 1
        executed = effect.get("executed", False) or do == "garble"
        assert len(desk.own_orders) == executed

    run(main)


@pytest.mark.parametrize("code", ["EGW00201", "EGW00123", "EGW00301", "EGW00002", "IGW00007"])
def test_a_refused_order_is_not_repeated_either(tmp_path, code):
    """Not even where nothing was executed: a new try is a new decision."""

    async def main():
        desk = edge.desk(tmp_path)
        await desk.auth.token()
        desk.fault("error", {"kind": "order"}, code=code)
        answer = await desk.orders.submit(intent())
        await asyncio.sleep(60)
        assert answer.outcome is not bot.Outcome.ACCEPTED and answer.code == code
        assert desk.requests("order-cash") == 1 and not desk.own_orders

    run(main)


# --- pages ---


@pytest.mark.parametrize(
    ("environment", "orders", "pages"),
    [
        ("paper", 0, 1),
        ("paper", 15, 1),
        ("paper", 16, 2),
        ("paper", 47, 4),
        ("real", 100, 1),
        ("real", 101, 2),
    ],
)
def test_all_pages_of_a_list_are_read(tmp_path, environment, orders, pages):
    """15 rows a page on paper, 100 on the real server; every number once, in order."""

    async def main():
        desk = edge.desk(tmp_path, environment=environment, density=0.5)
        price = lower_band(desk)
        placed = [desk.sim.manual_order("005930", "BUY", 1, price) for _ in range(orders)]
        found = [row.order_no for row in (await desk.orders.orders_of(edge.DAY)).rows]
        assert placed == found
        assert desk.requests("daily-ccld") == pages

    run(main)


PAGE_FAULTS = {
    "second page refused": ("error", {"nth": 2}, {"code": "OPSQ2001"}),
    "second page lost four times": ("lose", {"nth": [2, 3, 4, 5]}, {"how": "reset"}),
    "second page is html four times": ("html", {"nth": [2, 3, 4, 5]}, {"status": 502}),
    "first page again and again": ("repeat_page", {}, {}),
    "second page without rows": ("drop", {"nth": 2}, {"field": "output1"}),
}


@pytest.mark.parametrize("name", PAGE_FAULTS)
def test_half_a_list_is_never_returned(tmp_path, name):
    """When paging does not end as it should there is no list (R20)."""
    do, match, effect = PAGE_FAULTS[name]

    async def main():
        desk = edge.desk(tmp_path, density=0.5)
        price = lower_band(desk)
        for _ in range(40):
            desk.sim.manual_order("005930", "BUY", 1, price)
        desk.fault(do, {"path": "daily-ccld", **match}, **effect)
        with pytest.raises(bot.BotError):
            await desk.orders.orders_of(edge.DAY)
        assert desk.requests("daily-ccld") <= 30

    run(main)


class Pages:
    """A transport that answers pages from a function of their number; tokens are given freely."""

    def __init__(self, page):
        self.page, self.asked = page, []

    async def __call__(self, method, url, headers, params, body):
        if url.endswith("tokenP"):
            fields = {"access_token": "T" * 40, "expires_in": 86400}
            return bot.HttpReply(200, json.dumps(fields), {})
        self.asked.append((headers["tr_cont"], dict(params)))
        tr_cont, more = self.page(len(self.asked))
        fields = {"rt_cd": "0", "msg_cd": "KIOK0510", "msg1": "ok", "output1": [], **more}
        return bot.HttpReply(200, json.dumps(fields), {"tr_cont": tr_cont})


def paging(tmp_path, page):
    """Return clients whose pages come from a function."""
    desk = edge.desk(tmp_path)
    transport = Pages(page)
    return desk.again(transport=transport), transport


def context(number):
    return {"ctx_area_fk100": "A^01^".ljust(100), "ctx_area_nk100": f"{number}".ljust(100)}


@pytest.mark.parametrize("last", ["D", "E", "", " "])
def test_paging_ends_at_the_last_part(tmp_path, last):
    """F and M go on, D, E and nothing end; the context goes back unchanged, upper case."""

    async def main():
        desk, transport = paging(
            tmp_path, lambda n: ({1: "F", 2: "M"}.get(n, last), {**context(n), "page": n})
        )
        bodies = await desk.client.pages("orders", {"CANO": "1"})
        assert [body["page"] for body in bodies] == [1, 2, 3]
        assert [tr_cont for tr_cont, _ in transport.asked] == ["", "N", "N"]
        assert context(2)["ctx_area_nk100"] == transport.asked[2][1]["CTX_AREA_NK100"]
        assert transport.asked[2][1]["CANO"] == "1"

    run(main)


@pytest.mark.parametrize(
    "page",
    [
        lambda n: ("M", context(n)),
        lambda n: ("M", context(1)),
        lambda n: ("M", context(n % 3)),
        lambda n: ("F", {"ctx_area_fk100": " " * 100, "ctx_area_nk100": " " * 100}),
        lambda n: ("F", {}),
    ],
    ids=["without end", "stands still", "in a circle", "blank context", "no context"],
)
def test_paging_that_leads_nowhere_is_an_error(tmp_path, page):
    """A bounded number of requests, then BadData: never a list."""

    async def main():
        desk, transport = paging(tmp_path, page)
        with pytest.raises(bot.BadData):
            await desk.client.pages("orders", {})
        assert len(transport.asked) <= bot.MAX_PAGES

    run(main)


def test_six_hundred_paper_orders_fit_into_the_page_limit(tmp_path):
    """MAX_PAGES is above what a busy paper day needs, and such a list is read in full."""

    async def main():
        desk, _ = paging(tmp_path, lambda n: ("M" if n < bot.MAX_PAGES else "E", context(n)))
        assert len(await desk.client.pages("orders", {})) == bot.MAX_PAGES

    run(main)


# --- bodies ---


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "<html></html>", "Service Unavailable", "[]", "7", "null", '"text"', "{", "{]",
        '{"rt_cd":"0"', "[" * 100_000, "\ufeff{}", "NaN",
    ],
    ids=lambda text: text[:12] or "nothing",
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 500])
def test_a_body_that_is_no_object_is_bad_data(text, status):
    """BadData with the status and the length, never the text itself."""
    with pytest.raises(bot.BadData, match=f"HTTP {status}"):
        bot.HttpReply(status, text, {}).body()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"rt_cd": "0"}, None),
        ({"rt_cd": 0}, None),
        ({"rt_cd": " 0 ", "msg_cd": "KIOK0510"}, None),
        ({"rt_cd": "1", "msg_cd": "70070000"}, None),
        ({"rt_cd": "1", "msg_cd": "KIOK0560"}, None),
        ({"rt_cd": "1", "msg_cd": "EGW00123"}, bot.TokenRefused),
        ({"rt_cd": "1", "msg_cd": " EGW00121 "}, bot.TokenRefused),
        ({"error_code": "EGW00103", "error_description": "x"}, bot.RequestRefused),
        ({"rt_cd": "7", "msg_cd": "APBK0919"}, bot.RequestRefused),
        ({"rt_cd": "2", "msg_cd": "OPSQ2001"}, bot.RequestRefused),
        ({"msg_cd": "MCA00000"}, bot.RequestRefused),
        ({"rt_cd": ""}, bot.BadData),
        ({}, bot.BadData),
        ({"output": {}}, bot.BadData),
    ],
    ids=str,
)
def test_the_body_says_whether_a_question_was_refused(tmp_path, body, error):
    """rt_cd as text decides; "nothing to show" is no refusal; without both there is no answer."""

    async def main():
        desk = edge.desk(tmp_path)
        if error is None:
            desk.client.raise_refusal(500, body, bot.Secret("t"))
            return
        with pytest.raises(error) as raised:
            desk.client.raise_refusal(200, body, bot.Secret("t"))
        assert type(raised.value) is error

    run(main)


# --- the network itself ---


def query(url, method="GET", body=None):
    """Make one call of the real transport and give its outcome back."""

    async def main():
        transport = bot.AiohttpTransport()
        try:
            return await transport(method, url, {"tr_id": "X"}, {"A": "1"}, body)
        except bot.BotError as error:
            return error
        finally:
            await transport.close()

    return main()


FOREIGN = (
    "https://openapi.koreainvestment.com",
    "https://openapi.koreainvestment.com:443/x",
    "http://openapi.koreainvestment.com:9443/x",
    "https://openapi.koreainvestment.com:9443@evil.example/x",
    "https://openapi.koreainvestment.com:29443/x",
    "https://openapivts.koreainvestment.com:9443/x",
    "https://openapi.koreainvestment.com.evil.example:9443/x",
    "https://evil.example:9443/x",
    "https://127.0.0.1.evil.example/x",
    "https://127.0.0.1@evil.example/x",
    "http://2130706433.evil.example/x",
    "http://10.0.0.1/x",
    "http://0.0.0.0:80/x",
    "http://[::ffff:10.0.0.1]/x",
    "https:///x",
    "/uapi/x",
    "",
)


@pytest.mark.parametrize("url", FOREIGN)
async def test_no_other_host_is_ever_reached(url):
    """KIS and this machine only: refused before a name is looked up, nothing sent."""
    began = asyncio.get_running_loop().time()
    found = await query(url, "POST", b"{}")
    assert isinstance(found, bot.NotSent) and "no host of KIS" in str(found)
    assert asyncio.get_running_loop().time() - began < 0.2


async def answer_json(server, head, body, writer):
    writer.write(edge.http(b'{"rt_cd":"0"}'))


async def test_a_refused_connection_is_not_sent():
    """Nobody listens: no byte left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
        assert isinstance(await query(url, "POST", b"{}"), bot.NotSent)


async def test_no_tls_is_not_sent():
    """A host that speaks no TLS never sees the body; there is no fallback (R28)."""

    seen = bytearray()

    async def talk(reader, writer):
        seen.extend(await reader.read(4096))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found = await query(f"https://127.0.0.1:{port}/x", "POST", b"SECRET-BODY")
    server.close()
    assert isinstance(found, bot.NotSent)
    assert b"SECRET-BODY" not in seen


async def close_at_once(server, head, body, writer):
    writer.close()


async def reset_at_once(server, head, body, writer):
    writer.transport.abort()


async def half_a_head(server, head, body, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await writer.drain()
    writer.close()


async def half_a_body(server, head, body, writer):
    writer.write(edge.http(b'{"rt_cd":"0"}' + b" " * 200)[:-150])
    await writer.drain()
    writer.close()


async def half_a_chunk(server, head, body, writer):
    writer.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"rt_cd":"0"}')
    await writer.drain()
    writer.close()


async def no_http(server, head, body, writer):
    writer.write(b"220 mail.example ESMTP\r\n\r\n")
    await writer.drain()
    writer.close()


async def broken_gzip(server, head, body, writer):
    writer.write(edge.http(b"this is no gzip", Content_Encoding="gzip"))


async def never(server, head, body, writer):
    await asyncio.Event().wait()


async def drip(server, head, body, writer):
    answer = edge.http(b'{"rt_cd":"0"}' + b" " * 4000)
    for at in range(len(answer)):
        writer.write(answer[at : at + 1])
        await writer.drain()
        await asyncio.sleep(0.01)


BREAKS = (*(close_at_once, reset_at_once, half_a_head, no_http, broken_gzip, never, drip),)


@pytest.mark.parametrize("behave", BREAKS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_that_breaks_is_no_answer(monkeypatch, behave, method):
    """A byte left and nothing usable came back: NoAnswer, and the server saw one POST."""
    monkeypatch.setattr(bot, "TOTAL_TIMEOUT_S", 0.4)
    began = asyncio.get_running_loop().time()
    async with edge.RawServer(behave) as server:
        found = await query(server.url + "/x", method, b"{}" if method == "POST" else None)
        assert isinstance(found, bot.NoAnswer), found
        assert server.count("POST") == (method == "POST")
    assert asyncio.get_running_loop().time() - began < 2.0


@pytest.mark.parametrize("behave", [half_a_body, half_a_chunk], ids=lambda each: each.__name__)
async def test_a_body_that_ends_too_early_is_no_answer(behave):
    """The head promised more: what came is not handed on as if it were the answer."""
    async with edge.RawServer(behave) as server:
        assert isinstance(await query(server.url + "/x"), bot.NoAnswer)


async def in_pieces(server, head, body, writer):
    answer = edge.http(json.dumps({"rt_cd": "0", "output": ["x" * 50] * 40, "end": 1}).encode())
    for at in range(0, len(answer), 700):
        writer.write(answer[at : at + 700])
        await writer.drain()
        await asyncio.sleep(0.02)


async def in_chunks(server, head, body, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    text = json.dumps({"rt_cd": "0", "output": ["x" * 50] * 40, "end": 1}).encode()
    for at in range(0, len(text), 700):
        part = text[at : at + 700]
        writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)
    writer.write(b"0\r\n\r\n")


async def large(server, head, body, writer):
    text = json.dumps({"rt_cd": "0", "output": ["x" * 1000] * 1000, "end": 1}).encode()
    writer.write(edge.http(text))


@pytest.mark.parametrize("behave", [in_pieces, in_chunks, large], ids=lambda each: each.__name__)
async def test_an_answer_in_several_packets_is_read_to_its_end(behave):
    """TCP cuts where it likes: a whole answer must not become UNKNOWN because of that."""
    async with edge.RawServer(behave) as server:
        found = await query(server.url + "/x")
        assert found.body()["end"] == 1


async def endless(server, head, body, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(piece)
            await writer.drain()


async def test_a_body_without_end_is_cut_off():
    """At most a few megabytes are read; what comes out is no answer."""
    async with edge.RawServer(endless) as server:
        found = await query(server.url + "/x")
        if isinstance(found, bot.HttpReply):
            assert len(found.text) <= bot.MAX_BODY_BYTES
            with pytest.raises(bot.BadData):
                found.body()
        else:
            assert isinstance(found, bot.NoAnswer)


async def redirect(server, head, body, writer):
    writer.write(edge.http(b"", "307 Temporary Redirect", Location=f"{server.url}/elsewhere"))


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_redirect_is_not_followed(method):
    """An order goes where it was sent, or nowhere."""
    async with edge.RawServer(redirect) as server:
        found = await query(server.url + "/order", method, b"{}" if method == "POST" else None)
        assert found.status == 307
        assert [path for _, path, _ in server.heads] == ["/order?A=1"]


async def test_a_redirected_order_is_of_unknown_outcome(tmp_path):
    """3xx is no answer of the ledger."""
    async with edge.RawServer(redirect) as server:
        transport = bot.AiohttpTransport()
        reply = await transport("POST", server.url + ORDER_CASH, {}, {}, b"{}")
        await transport.close()
        assert bot.Outcome.UNKNOWN is bot.classify_order_answer(reply).outcome


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    """HTTP_PROXY of the host must not see keys."""
    async with edge.RawServer(answer_json) as proxy, edge.RawServer(answer_json) as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        assert (await query(server.url + "/x")).status == 200
        assert not proxy.heads


@pytest.mark.parametrize("behave", [close_at_once, reset_at_once], ids=["close", "reset"])
async def test_an_order_on_a_kept_connection_that_dies_is_sent_once(behave):
    """The server closes the idle connection as the order arrives: no silent second POST (I11)."""

    async def first_good(server, head, body, writer):
        if head[0] == "GET":
            writer.write(edge.http(b'{"rt_cd":"0"}'))
        else:
            await behave(server, head, body, writer)

    async with edge.RawServer(first_good) as server:
        transport = bot.AiohttpTransport()
        await transport("GET", server.url + "/x", {}, {}, None)
        with pytest.raises((bot.NoAnswer, bot.NotSent)) as error:
            await transport("POST", server.url + ORDER_CASH, {}, {}, b'{"ODNO":1}')
        await transport.close()
        assert isinstance(error.value, bot.NoAnswer)
        assert server.count("POST") == 1


async def test_an_idle_connection_that_was_closed_does_not_repeat_an_order():
    """The server closed the kept connection before: the order leaves at most once."""
    closed = asyncio.Event()

    async def once(server, head, body, writer):
        writer.write(edge.http(b'{"rt_cd":"0"}'))
        if head[0] == "GET":
            await writer.drain()
            writer.close()
            closed.set()

    async with edge.RawServer(once) as server:
        transport = bot.AiohttpTransport()
        await transport("GET", server.url + "/x", {}, {}, None)
        await closed.wait()
        with contextlib.suppress(bot.NoAnswer, bot.NotSent):
            await transport("POST", server.url + ORDER_CASH, {}, {}, b"{}")
        await transport.close()
        assert server.count("POST") <= 1


@pytest.mark.parametrize("environment", ["paper", "real"])
@pytest.mark.parametrize(
    ("how", "executed"), [("reset", False), ("reset", True)], ids=["before", "after"]
)
async def test_one_request_for_an_order_over_real_sockets(tmp_path, environment, how, executed):
    """The connection breaks in the middle of the call: the simulator counts one order request."""
    async with edge.served(tmp_path, environment=environment) as (desk, _):
        await desk.market.price("005930")
        desk.fault("lose", {"kind": "order"}, how=how, executed=executed)
        price = lower_band(desk)
        answer = await desk.orders.submit(intent(price=price))
        assert bot.Outcome.UNKNOWN is answer.outcome
        assert desk.requests("order-cash") == 1
        assert len(desk.own_orders) == executed


async def test_the_clock_of_the_server_is_noticed():
    """The Date header tells how far our clock is off; nonsense in it changes nothing."""
    stamps = iter(["Thu, 01 Jan 2026 00:00:00 GMT", "soon", "", "Thu, 99 Foo 2026 00:00:00 GMT"])

    async def dated(server, head, body, writer):
        writer.write(edge.http(b'{"rt_cd":"0"}', Date=next(stamps)))

    async with edge.RawServer(dated) as server:
        transport = bot.AiohttpTransport()
        profile = edge.profile_of(edge.simulator.Simulator(edge.config()), rest_url=server.url)
        rest = bot.Rest(profile, transport, 1000.0)
        assert rest.clock_offset_s == 0.0
        offsets = []
        for _ in range(4):
            await rest.call("GET", "/x", headers={}, lane=bot.LANE_QUERY)
            offsets.append(rest.clock_offset_s)
        await transport.close()
    assert offsets[0] < -86_400 * 30
    assert offsets == [offsets[0]] * 4


async def test_a_body_is_json_as_the_official_samples_send_it():
    """UTF-8 JSON with its content type, the agent of the settings, no form data."""
    async with edge.RawServer(answer_json) as server:
        transport = bot.AiohttpTransport()
        sim = edge.simulator.Simulator(edge.config())
        profile = edge.profile_of(sim, rest_url=server.url, agent="Mozilla/5.0 (me)")
        rest = bot.Rest(profile, transport, 1000.0)
        await rest.call("POST", "/x", headers={"tr_id": "A"}, body={"K": "값"}, lane=0)
        await transport.close()
        _, _, headers = server.heads[0]
        assert headers["content-type"] == "application/json; charset=utf-8"
        assert headers["user-agent"] == "Mozilla/5.0 (me)"
        assert json.loads(server.bodies[0]) == {"K": "값"}


def test_the_budget_is_what_a_minute_still_allows():
    """One call a second: 60 a minute; used turns are away from it until they are a minute old."""

    async def main():
        governor = bot.Governor(1.0)
        whole = {"per_s": 1.0, "per_s_now": 1.0, "waiting": 0, "left": 60, "within_s": 60}
        assert governor.budget() == whole
        calls = [asyncio.create_task(governor.turn(bot.LANE_QUERY)) for _ in range(30)]
        await asyncio.sleep(19.5)
        assert governor.budget() == whole | {"waiting": 10, "left": 40}
        await asyncio.gather(*calls)
        governor.slow_down()  # the broker said: too many
        assert governor.budget() == whole | {"per_s_now": 0.5, "left": 0}
        await asyncio.sleep(60)
        assert governor.budget()["left"] == 30

    run(main)


def test_too_many_calls_are_counted_over_all_services(tmp_path):
    """A 429 and the broker's code for pace count, another refusal does not."""

    async def main():
        rest = edge.desk(tmp_path).rest
        for service, codes in {"a": ["EGW00201", "APBK0918"], "b": ["HTTP 429", ""]}.items():
            rest.figures[service] = bot.CallFigures()
            for code in codes:
                rest.figures[service].note(0.1, code)
        told = rest.told()
        assert told["budget"]["too_many"] == 2
        assert told["calls"]["a"]["count"] == told["calls"]["b"]["count"] == 2

    run(main)
