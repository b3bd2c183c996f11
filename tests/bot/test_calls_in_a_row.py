"""What one call leaves for the next: tokens, turns, figures, doubts; each against a plain reading."""

import asyncio
import contextlib
import itertools
import json
import os
import time
from datetime import timedelta
from email.utils import formatdate
from typing import Any

import edge
import pytest
from test_rest import run

import kis_realtime_trading as bot


class Scripted:
    """A transport that answers by a script: what, after how many seconds; then good answers."""

    def __init__(self, *script: Any) -> None:
        self.script, self.calls, self.times = list(script), [], []

    async def __call__(self, method, url, headers, params, body):
        self.times.append(asyncio.get_running_loop().time())
        self.calls.append((url.rpartition("/")[2], dict(headers), dict(params)))
        takes_s, what = self.script.pop(0) if self.script else (0.0, good())
        await asyncio.sleep(takes_s)
        if isinstance(what, Exception):
            raise what
        return what

    async def close(self):
        """Nothing is open."""


def reply(status=200, headers=None, **body):
    """Return an answer in JSON."""
    return bot.HttpReply(status, json.dumps(body), headers or {})


def good(**more):
    return reply(rt_cd="0", msg_cd="MCA00000", **more)


def token(name="t1", **more):
    """Return the answer of tokenP."""
    ends = {"access_token_token_expired": "2026-11-21 10:05:30", "expires_in": 86_400}
    return reply(**{"access_token": f"token-{name}-abcdefgh", **ends, **more})


def clients(folder, *script, pace=float(edge.PLENTY)):
    """Return clients in virtual time whose server answers by a script."""
    desk = edge.desk(folder)
    transport = Scripted(*script)
    return desk.again(transport=transport, pace=pace), transport


# --- tokens ---


def learn_others():
    """Let redactors know so many new things that they forget those of before."""
    for n in range(8):
        bot.Redactor.learn(bot.Secret(f"#{n}" * 10))


def test_whatever_a_server_gave_is_starred_also_after_a_restart(tmp_path):
    """The token when it comes, the same out of the file of an earlier process, the approval key."""
    shown = bot.Redactor([])
    learn_others()  # no token of another test is known

    async def main():
        desk, _ = clients(tmp_path, (0, token()), (0, reply(approval_key="approval-abcdefgh")))
        texts = [f"echo {(await desk.auth.token()).reveal()}"]
        texts.append(f"echo {(await desk.auth.approval_key()).reveal()}")
        told = [shown(text) for text in texts]
        learn_others()  # as good as another process
        assert shown(texts[0]) == texts[0]
        again, transport = clients(tmp_path)
        assert (await again.auth.token()).reveal() in texts[0]
        assert transport.calls == []
        return [*told, shown(texts[0])]

    assert run(main) == ["echo ***"] * 3


@pytest.mark.parametrize("takes_s", [0.0, 9.0])
@pytest.mark.parametrize("text", ["", "soon"])
def test_a_token_without_a_clear_end_lives_from_its_question_on(tmp_path, takes_s, text):
    """`expires_in` counts from asking, however slow the answer: never longer than the server's."""

    async def main():
        desk, _ = clients(
            tmp_path, (takes_s, token(access_token_token_expired=text, expires_in=3600))
        )
        asked = desk.clock.now()
        await desk.auth.token()
        left = desk.auth.left_s
        return desk.auth._expires - asked, left

    assert run(main) == (timedelta(hours=1), 3600 - takes_s)


@pytest.mark.parametrize("expires_in", ["", "x", "-5", "12.5", "1e3", 0, None, "12345678"])
def test_a_token_without_any_end_is_good_for_nothing(tmp_path, expires_in):
    """It ends with its question; the next one who wants it asks again."""

    async def main():
        given = token(access_token_token_expired="", expires_in=expires_in)
        desk, _ = clients(tmp_path, (0, given))
        asked = desk.clock.now()
        await desk.auth.token()
        return desk.auth._expires == asked, desk.auth.left_s

    assert run(main) == (True, 0)


def test_a_refusal_without_a_text_has_none(tmp_path):
    """Not the word None; with one in either form it is told, cleaned."""

    async def main():
        texts = []
        for body in ({}, {"error_description": "why"}, {"msg1": "why"}, {"msg1": None}):
            desk, _ = clients(tmp_path, (0, reply(403, error_code="EGW00201", **body)))
            with pytest.raises(bot.RequestRefused) as refusal:
                await desk.auth.token()
            texts.append(str(refusal.value).rpartition("EGW00201")[2].strip(" :"))
        return texts

    texts = run(main)
    assert [("why" in text, "None" in text) for text in texts] == [
        (False, False), (True, False), (True, False), (False, False),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ['"\\ud800"', '"a\\udfff\\u0041"', '"\\ud83d\\ude00"', '"값"'])
def test_whatever_a_body_says_can_be_written_down(text):
    """Half a surrogate becomes a question mark, a whole pair its letter."""
    body = bot.HttpReply(200, f'{{"msg1": {text}}}', {}).body()
    assert body["msg1"].encode("utf-8").decode() == body["msg1"]
    assert body["msg1"] in ("?", "a?A", "\U0001f600", "값")


def test_a_reason_of_before_a_good_token_is_not_told_again(tmp_path):
    """Refused, given, dropped: within the minute our own pace is the reason, not the old refusal."""

    async def main():
        no = reply(403, error_code="EGW00201", error_description="too many")
        desk, transport = clients(tmp_path, (0, no), (0, token("t1")), (0, token("t2")))
        codes = []
        for wait_s in (0, 61.5, 1, 61.5):
            await asyncio.sleep(wait_s)
            try:
                given = await desk.auth.token()
                codes.append("given")
                desk.auth.drop_token(given)
            except bot.RequestRefused as refusal:
                codes.append(refusal.code)
        return codes, len(transport.calls)

    assert run(main) == (["EGW00201", "given", "EGW00133", "given"], 3)


@pytest.mark.parametrize("speed", [1.0, 60.0])
@pytest.mark.parametrize("takes_s", [0.0, 8.0])
def test_the_minute_of_a_token_begins_with_its_question(tmp_path, takes_s, speed):
    """61 s of the server's time after asking it may be asked again; half a second before not yet."""

    async def main():
        desk, transport = clients(tmp_path, *[(takes_s, token(f"t{n}")) for n in range(3)])
        desk.clock.speed = speed
        loop = asyncio.get_running_loop()
        began = loop.time()
        desk.auth.drop_token(await desk.auth.token())
        counts = []
        for until_s in (60.5, 61.1):
            await asyncio.sleep(max(0.0, began + until_s / speed - loop.time()))
            with contextlib.suppress(bot.RequestRefused):
                await desk.auth.token()
            counts.append(len(transport.calls))
        return counts

    early = takes_s > 60.5 / speed  # the answer itself took longer
    assert run(main) == [2 if early else 1, 2]


def test_those_who_waited_for_a_token_that_cannot_be_kept_use_it_all_the_same(tmp_path):
    """The file still holds the old one, which has ended: memory counts, one is asked for."""

    async def main():
        first = token("t1", access_token_token_expired="2026-11-20 10:06:30", expires_in=60)
        desk, transport = clients(tmp_path, (0, first), (1.0, token("t2")))
        await desk.auth.token()  # in the file
        await asyncio.sleep(62)
        [kept] = tmp_path.glob("token-*")
        kept.with_name(f".{kept.name}.{os.getpid()}").mkdir()  # the disk takes no other
        given = await asyncio.gather(*(desk.auth.token() for _ in range(5)))
        return {each.reveal() for each in given}, len(transport.calls)

    assert run(main) == ({"token-t2-abcdefgh"}, 2)


def test_a_dropped_token_is_not_found_again_by_a_restart(tmp_path):
    """Neither in memory nor in the file; a newer one of the file stays when an old one is dropped."""

    async def main():
        desk, _ = clients(tmp_path, (0, token("t1")), (0, token("t2")))
        first = await desk.auth.token()
        desk.auth.drop_token(first)
        left = [desk.auth.left_s, list(tmp_path.glob("token-*"))]
        await asyncio.sleep(62)
        await desk.auth.token()
        desk.auth.drop_token(first)
        again, _ = clients(tmp_path)
        return left, (await again.auth.token()).reveal()

    assert run(main) == ([0, []], "token-t2-abcdefgh")


# --- turns ---


def test_who_comes_while_others_wait_does_not_go_before_them():
    """The loop was held past the moment of the next turn: a question then waits behind the exit."""

    async def main():
        loop, governor, went = asyncio.get_running_loop(), bot.Governor(1.0), []

        async def call(name, lane):
            await governor.turn(lane)
            went.append((name, round(loop.time(), 3)))

        await governor.turn(bot.LANE_QUERY)
        exit_ = asyncio.create_task(call("exit", bot.LANE_EXIT))
        await asyncio.sleep(0.5)
        loop.virtual_now += 5.0  # something held the loop
        await call("question", bot.LANE_QUERY)
        await exit_
        return went

    assert run(main) == [("exit", 5.5), ("question", 6.5)]


@pytest.mark.parametrize("count", [1, 3])
def test_after_all_who_waited_gave_up_the_next_ones_go_on(count):
    """Each cancelled while it waited: later calls get their turns, one a second."""

    async def main():
        loop, governor = asyncio.get_running_loop(), bot.Governor(1.0)
        await governor.turn(bot.LANE_QUERY)
        waiting = [asyncio.create_task(governor.turn(bot.LANE_QUERY)) for _ in range(count)]
        await asyncio.sleep(0.1)
        for task in waiting:
            task.cancel()
        await asyncio.sleep(10)
        times = []
        async with asyncio.timeout(30):
            for _ in range(2):
                await asyncio.gather(*(governor.turn(bot.LANE_QUERY) for _ in range(2)))
                times.append(round(loop.time() - 10.1, 3))
        return times

    assert run(main) == [1.0, 3.0]


def test_a_gap_doubles_to_two_seconds_at_most_and_comes_back_by_its_calls():
    """After n refusals for pace, and m calls: the gap by a plain reading; never below the usual one."""

    async def main():
        loop, usual = asyncio.get_running_loop(), 0.1
        governor, gap, seen = bot.Governor(10.0), 0.1, []
        for refusals, calls in ((1, 3), (0, 200), (3, 10), (9, 1), (0, 400)):
            for _ in range(refusals):
                governor.slow_down()
                gap = min(gap * 2, 2.0)
            times = []
            for _ in range(calls):
                await governor.turn(bot.LANE_QUERY)
                times.append(loop.time())
            wanted = []
            for _ in range(calls):
                wanted.append(gap)
                gap = max(usual, gap * 0.98)
            found = [b - a for a, b in itertools.pairwise(times)]
            seen.append(found == pytest.approx(wanted[: calls - 1]))
        slow = bot.Governor(0.25)  # a pace below one call in two seconds is never made faster
        slow.slow_down()
        return seen, slow._gap

    assert run(main) == ([True] * 5, 4.0)


# --- what a call leaves ---

PAGE = bot.HttpReply(503, "<html>maintenance</html>", {})
CALLS = {
    "good": (1.0, good()), "no": (1.0, reply(500, rt_cd="1", msg_cd="EGW00123")), "page": (1.0, PAGE),
    "not sent": (1.0, bot.NotSent("no connection: X")), "no answer": (9.0, bot.NoAnswer("TimeoutError")),
    "bare": (1.0, bot.HttpReply(500, "", {})), "list": (1.0, bot.HttpReply(200, " [1]", {})),
}  # fmt: skip
LEAVES = {
    "good": ("", ""), "no": ("", "EGW00123"), "page": ("HTTP 503 with a page, maintenance?", "HTTP 503"),
    "not sent": ("no connection: X", "NotSent"), "no answer": ("TimeoutError", "NoAnswer"),
    "bare": ("HTTP 500 with a page, maintenance?", "HTTP 500"),
    "list": ("HTTP 200 with a page, maintenance?", ""),
}  # fmt: skip


@pytest.mark.parametrize("first", CALLS)
@pytest.mark.parametrize("second", CALLS)
def test_after_any_two_calls_the_last_one_says_how_it_stands(tmp_path, first, second):
    """Trouble, the time of the last answer and the figures: by the last call, whatever was before."""

    async def main():
        desk, _ = clients(tmp_path, CALLS[first], CALLS[second])
        loop, rest = asyncio.get_running_loop(), desk.rest
        assert rest.answered_s == -bot.math.inf and rest.trouble == ""
        answered = []
        for name in (first, second):
            with contextlib.suppress(bot.NotSent, bot.NoAnswer):
                await rest.call("GET", f"/a/{name}", headers={}, lane=bot.LANE_QUERY)
                answered.append(loop.time())
            assert rest.trouble == LEAVES[name][0]
            assert rest.answered_s == (answered[-1] if answered else -bot.math.inf)
        return {name: dict(each.errors) for name, each in rest.figures.items()}

    found = run(main)
    for name in {first, second}:
        code, times = LEAVES[name][1], 2 if first == second else 1
        assert found[name] == ({code: times} if code else {})


def test_a_call_that_is_cancelled_is_counted_as_cut_off_and_leaves_the_rest(tmp_path):
    """The close cancels a question: no answer, no trouble, a call all the same."""

    async def main():
        desk, _ = clients(tmp_path, (0.0, good()), (60.0, good()))
        await desk.rest.call("GET", "/a/x", headers={}, lane=bot.LANE_QUERY)
        before = desk.rest.answered_s
        task = asyncio.create_task(desk.rest.call("GET", "/a/x", headers={}, lane=bot.LANE_QUERY))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        figures = desk.rest.figures["x"]
        return (
            desk.rest.trouble,
            desk.rest.answered_s == before,
            figures.count,
            dict(figures.errors),
        )

    assert run(main) == ("", True, 2, {"cut off": 1})


def test_the_pages_of_a_list_go_on_where_the_last_one_ended(tmp_path):
    """Each is asked with the context of the page before it, `tr_cont` N, and a token of that moment."""

    async def main():
        def page(n, following):
            body = {"ctx_area_fk100": f"F{n}", "ctx_area_nk100": f"N{n}", "n": n}
            return reply(headers={"tr_cont": following}, rt_cd="0", msg_cd="K", **body)

        dead = reply(500, rt_cd="1", msg_cd="EGW00123")
        desk, transport = clients(
            tmp_path, (0, token("t1")), (0, page(1, "F")), (0, dead), (1, token("t2")),
            (0, page(2, "M")), (0, page(3, "D")),
        )  # fmt: skip
        await desk.auth.token()
        await asyncio.sleep(62)  # another one may be asked for
        pages = await desk.client.pages("orders", {"A": "1"})
        asked = [
            (h.get("tr_cont"), p.get("CTX_AREA_FK100"), p.get("CTX_AREA_NK100"), h["authorization"][13:15])
            for path, h, p in transport.calls if path != "tokenP"
        ]  # fmt: skip
        return [each["n"] for each in pages], asked

    found, asked = run(main)
    assert found == [1, 2, 3]
    assert asked == [
        ("", "", "", "t1"), ("N", "F1", "N1", "t1"), ("N", "F1", "N1", "t2"), ("N", "F2", "N2", "t2"),
    ]  # fmt: skip


# --- connections ---


async def test_an_answer_to_another_call_ends_the_use_of_its_connections_and_no_call_under_way():
    """The call beside it still gets its answer; new ones open connections of their own."""
    waiting = asyncio.Event()

    async def respond(server, head, body, writer):
        name = head[1].rpartition("/")[2]
        if name == "slow":
            await waiting.wait()
        tr_id = "OTHER" if name == "odd" else head[2].get("tr_id", "")
        writer.write(
            edge.http(json.dumps({"n": name}).encode(), tr_id=tr_id).replace(b"tr-id", b"tr_id")
        )

    async with edge.RawServer(respond) as server:
        transport = bot.AiohttpTransport()

        async def call(name):
            return await transport("GET", f"{server.url}/{name}", {"tr_id": "MINE"}, {}, None)

        try:
            slow = asyncio.create_task(call("slow"))
            await edge.until(lambda: server.heads)
            sessions = []
            for _ in range(3):
                with pytest.raises(bot.NoAnswer):
                    await call("odd")
                assert json.loads((await call("fine")).text) == {"n": "fine"}
                sessions.append(transport._session)
                if len(sessions) == 1:
                    waiting.set()
                    assert json.loads((await slow).text) == {"n": "slow"}
        finally:
            await transport.close()
    assert len(set(sessions)) == 3 and server.connections == 5
    assert [session.closed for session in sessions] == [True] * 3


@pytest.mark.parametrize(
    ("times_s", "median", "worst"),
    [([], 0, 0), ([1], 1000, 1000), ([3, 1, 2], 2000, 3000), (range(1, 101), 50_500, 100_000),
     (range(1, 201), 100_500, 199_000), (range(1, 1001), 872_500, 998_000)],
)  # fmt: skip
def test_the_figures_of_a_service_are_of_its_last_256_calls(times_s, median, worst):
    """The middle, and the time that one in a hundred exceeds; the count is of all."""
    figures = bot.CallFigures()
    for each in times_s:
        figures.note(float(each), "")
    found = figures.figures()
    assert (found["ms_median"], found["ms_p99"], found["count"]) == (median, worst, len(times_s))


@pytest.mark.parametrize("code", ["EGW00121", "EGW00123"])
def test_an_order_refused_for_its_token_costs_that_token_and_no_newer_one(tmp_path, code):
    """It was renewed while the call was on its way: the new one stays, the old one is not sent again."""

    async def main():
        from test_rest import intent

        dead = reply(500, rt_cd="1", msg_cd=code, msg1="x")
        desk, transport = clients(tmp_path, (0, token("t1")), (5.0, dead), (0, token("t2")))
        first = await desk.auth.token()
        await asyncio.sleep(62)  # another one may be asked for
        order = asyncio.create_task(desk.orders.submit(intent()))
        await asyncio.sleep(1)
        desk.auth.drop_token(first)  # by another call
        newer = await desk.auth.token()
        answer = await order
        return answer.outcome.name, newer == await desk.auth.token(), len(transport.calls)

    assert run(main) == ("NOT_SENT", True, 3)


def test_of_a_balance_in_pages_the_first_tells_the_account_and_all_tell_holdings(tmp_path):
    """The summary of the first page counts; a second list with the same contexts is read like the first."""

    async def main():
        desk, _ = clients(tmp_path, (0, token()), *[(0, each) for each in pages * 2])
        return [await desk.orders.balance() for _ in range(2)]

    def page(n, following, cash):
        holding = {"pdno": f"00000{n}", "hldg_qty": "1", "ord_psbl_qty": "1", "pchs_avg_pric": "5"}
        summary = {"prvs_rcdl_excc_amt": cash, "thdt_tlex_amt": "0", "tot_evlu_amt": "0"}
        contexts = {"ctx_area_fk100": f"F{n}", "ctx_area_nk100": f"N{n}"}
        return reply(
            headers={"tr_cont": following}, rt_cd="0", msg_cd="K", output1=[holding], output2=[summary],
            **contexts,
        )  # fmt: skip

    pages = [page(1, "F", "100"), page(2, "M", "200"), page(3, "D", "300")]
    first, second = run(main)
    assert first == second
    assert (first.settled_cash_krw, [h.symbol for h in first.holdings]) == (
        100, ["000001", "000002", "000003"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("errors", "code"),
    [([bot.JournalError("x")], 74), ([ValueError("x")], 70), ([bot.KeysRefused([])], 78),
     ([bot.SettingsError([])], 78), ([bot.NoAnswer("x")], 70),
     ([ValueError("x"), bot.JournalError("y")], 74), ([bot.JournalError("y"), ValueError("x")], 74),
     ([bot.JournalError("y"), bot.KeysRefused([]), ValueError("x")], 78)],
)  # fmt: skip
def test_the_exit_code_is_that_of_the_gravest_error(errors, code):
    """Settings before the journal before anything else, in whatever order and depth they came."""
    assert bot._explain_failure(ExceptionGroup("all", errors)) == code
    nested = ExceptionGroup("a", [ExceptionGroup("b", [each]) for each in errors])
    assert bot._explain_failure(nested) == code


def test_a_kind_of_balance_that_is_refused_is_answered_by_the_other_which_then_goes_first(tmp_path):
    """By stock, by loan date, and back again: each time there is a balance, and the next asks so first."""

    async def main():
        desk, transport = clients(
            tmp_path, (0, token()), *[(0, each) for each in (no, seen, seen, no, seen, seen)]
        )
        found = [(await desk.orders.balance()).settled_cash_krw for _ in range(4)]
        return found, [
            p["INQR_DVSN"] for path, _, p in transport.calls if path == "inquire-balance"
        ]

    no = reply(200, rt_cd="1", msg_cd="OPSQ2001", msg1="x")
    summary = {"prvs_rcdl_excc_amt": "5", "thdt_tlex_amt": "0", "tot_evlu_amt": "0"}
    seen = good(output1=[], output2=[summary])
    assert run(main) == ([5] * 4, ["02", "01", "01", "01", "02", "02"])


@pytest.mark.parametrize(("after_s", "dropped"), [(119.9, False), (120.0, True)])
def test_a_token_is_doubted_from_two_minutes_of_odd_refusals_on_and_again_an_hour_later(
    tmp_path, after_s, dropped
):
    """Counted from the first refusal, not from the last."""

    async def main():
        desk, _ = clients(tmp_path, (0, token("t1")), (0, token("t2")), (0, token("t3")))
        costs, loop = [], asyncio.get_running_loop()
        client, began = desk.client, loop.time()

        async def refused():
            given = await desk.auth.token()
            with contextlib.suppress(bot.RequestRefused):
                client.raise_refusal(500, {"rt_cd": "1", "msg_cd": "XYZ00001"}, given)
            if not desk.auth.left_s:
                costs.append(loop.time() - began)

        await refused()
        for wait_s in (60.0, after_s - 60.0, 0.0, 3_599.9, 0.1):
            await asyncio.sleep(wait_s)
            await refused()
        return costs

    costs = run(main)
    first = 120.0 if dropped else 119.9 + 3_599.9
    assert costs[0] == pytest.approx(first, abs=0.05)
    assert costs[1:] == ([pytest.approx(120.0 + 3_600.0, abs=0.05)] if dropped else [])


def test_a_private_file_takes_its_name_when_all_of_it_is_on_the_disk(tmp_path, monkeypatch):
    """Written, flushed, synced, then renamed: a power cut leaves the old one or the new one."""
    path, seen, sync = tmp_path / "f", [], bot.os.fsync

    def fsync(place):
        seen.append(
            (bot.os.fstat(place).st_size, path.read_text(), bot.os.fstat(place).st_mode & 0o777)
        )
        sync(place)

    monkeypatch.setattr(bot.os, "fsync", fsync)
    path.write_text("old")
    bot.write_private(path, "new and longer")
    assert seen == [(14, "old", 0o600)]
    assert (path.read_text(), [each.name for each in tmp_path.iterdir()]) == (
        "new and longer",
        ["f"],
    )


def test_a_balance_of_another_account_is_refused_whichever_way_it_was_asked(tmp_path):
    """By stock or by loan date, the first time or later: the account of the settings or none."""

    async def main():
        desk, _ = clients(
            tmp_path, (0, token()), *[(0, each) for each in (mine, other, no, mine, other)]
        )
        found = []
        for _ in range(4):
            try:
                found.append((await desk.orders.balance()).settled_cash_krw)
            except bot.SettingsError:
                found.append("another")
        return found

    summary = {"prvs_rcdl_excc_amt": "5", "thdt_tlex_amt": "0", "tot_evlu_amt": "0"}
    no = reply(200, rt_cd="1", msg_cd="OPSQ2001", msg1="x")
    mine = good(output1=[], output2=[summary], ctx_area_fk100="")
    other = good(output1=[], output2=[summary], ctx_area_fk100="99999999!^01")
    assert run(main) == [5, "another", 5, "another"]


@pytest.mark.parametrize(
    ("code", "waits", "gap"), [("EGW00201", [0, 0, 0], 8), ("EGW00300", [1, 2, 4], 1)]
)
def test_a_refusal_for_pace_slows_all_calls_and_a_passing_one_waits_by_itself(
    tmp_path, code, waits, gap
):
    """Thrice refused, then answered: the gap doubled each time, or pauses and the gap of before."""

    async def main():
        no = reply(500, rt_cd="1", msg_cd=code, msg1="x")
        desk, transport = clients(tmp_path, (0, token()), *[(0, no)] * 3)
        usual = desk.rest.governor._gap
        await desk.client.get("price", {})
        spans = [round(b - a) for a, b in itertools.pairwise(transport.times[1:])]
        return spans, round(desk.rest.governor._gap / usual)

    assert run(main) == (waits, gap)


@pytest.mark.parametrize(("dated_s", "takes_s", "off"), [(-8, 8.0, False), (-8, 1.0, True), (5, 8.0, True), (-1, 0.0, False)])  # fmt: skip
def test_a_slow_answer_says_nothing_against_our_clock(tmp_path, dated_s, takes_s, off):
    """Its date was set while it was on its way; one of the future, or older than that, tells."""
    dated = formatdate(time.time() + dated_s + 0.5, usegmt=True)

    async def main():
        desk, _ = clients(tmp_path, (takes_s, reply(headers={"date": dated}, rt_cd="0")))
        await desk.rest.call("GET", "/a/x", headers={}, lane=bot.LANE_QUERY)
        return desk.rest.clock_off

    assert run(main) is off


def test_a_clock_that_is_off_is_right_again_only_when_it_is_clearly_so(tmp_path):
    """Doubted above three seconds, believed again below one and a half: whole seconds waver."""

    async def main():
        desk, transport = clients(tmp_path)
        seen = []
        for off_s in (2.2, 4.2, 2.2, 2.2, 0.2, 2.2):
            dated = formatdate(time.time() + off_s + 0.8, usegmt=True)
            transport.script.append((0, reply(headers={"date": dated}, rt_cd="0")))
            await desk.rest.call("GET", "/a/x", headers={}, lane=bot.LANE_QUERY)
            seen.append(desk.rest.clock_off)
        return seen

    assert run(main) == [False, True, True, True, False, False]


@pytest.mark.parametrize("of_today", [True, False])
def test_minutes_are_those_of_the_day_that_was_asked_for(tmp_path, of_today):
    """A page may reach back into the day before: its bars are none of this one."""

    def rows(day, *clocks):
        prices = {f"stck_{name}": "1000" for name in ("oprc", "hgpr", "lwpr", "prpr")}
        return [
            {"stck_bsop_date": day, "stck_cntg_hour": clock, "cntg_vol": "1", **prices} for clock in clocks
        ]  # fmt: skip

    async def main():
        page = good(
            output2=[*rows("20261120", "090100", "090000"), *rows("20261119", "162900", "162800")]
        )
        desk, _ = clients(tmp_path, (0, token()), (0, page), (0, page))
        if of_today:
            bars = await desk.market.minute_bars_today("005930", edge.at("09:03:00"), 10)
        else:
            bars = await desk.market.minute_bars_of("005930", edge.DAY, 10)
        return [f"{bar.start:%d %H:%M}" for bar in bars]

    assert run(main) == ["20 09:00", "20 09:01"]
