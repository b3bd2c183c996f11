"""Access token and approval key: one issue a minute, one file for each key and environment."""

import asyncio
import json
import resource
import stat
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import edge
import harness
import pytest

import kis_realtime_trading as bot

TOKEN_CODES = ("EGW00121", "EGW00122", "EGW00123")


@pytest.fixture(params=("paper", "real"))
def environment(request):
    """Both environments."""
    return request.param


def run(main: Callable[[], object]):
    """Run a test in virtual time."""
    return harness.run_virtual(main())


def quiet_desk(folder, **more):
    """Return clients of a market in which little happens."""
    return edge.desk(folder, **{"density": 0.1, "symbols": ("005930",), **more})


def token_files(folder):
    return sorted(folder.glob("token-*.json"))


class Script:
    """The HTTP call of KISAuth, answered from a list; the last answer stays."""

    def __init__(self, *answers):
        self.answers, self.sent = list(answers), []

    async def __call__(self, method, path, *, headers, body, lane):
        self.sent.append((path, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, fields = answer
        return bot.HttpReply(status, fields if isinstance(fields, str) else json.dumps(fields), {})

    def paths(self):
        return [path for path, _ in self.sent]


def token_answer(token="T" * 40, expires="2026-11-21 10:00:00", **more):
    """Return a good answer of tokenP."""
    fields = {"access_token": token, "access_token_token_expired": expires, "expires_in": 86400}
    return 200, {**fields, "token_type": "Bearer", **more}


def scripted(desk, *answers):
    """Return a KISAuth of the desk's account whose calls are answered from a list."""
    script = Script(*answers)
    return bot.KISAuth(desk.profile, script, desk.folder, desk.clock), script


# --- issue, cache, reuse ---


def test_a_token_is_issued_and_the_server_takes_it(tmp_path, environment):
    """The token that tokenP gives opens the next calls."""

    async def main():
        desk = quiet_desk(tmp_path, environment=environment)
        await desk.market.order_book("005930")
        await desk.market.last_trades("005930")
        assert desk.requests("tokenP") == 1

    run(main)


def test_the_token_is_kept_in_a_file_of_its_owner(tmp_path, environment):
    """Mode 0600, named by environment and app key, without the key itself."""

    async def main():
        desk = quiet_desk(tmp_path, environment=environment)
        token = await desk.auth.token()
        [file] = token_files(tmp_path)
        assert oct(stat.S_IMODE(file.stat().st_mode)) == "0o600"
        assert json.loads(file.read_text())["token"] == token.reveal()
        assert environment in file.name and desk.profile.app_key.fingerprint() in file.name
        assert desk.profile.app_key.reveal() not in file.read_text() + file.name
        assert desk.profile.app_secret.reveal() not in file.read_text()
        assert sorted(tmp_path.iterdir()) == [file]  # nothing half-written is left

    run(main)


def test_another_process_takes_the_token_from_the_file(tmp_path, environment):
    """A restart asks for no token, so the owner gets no message."""

    async def main():
        desk = quiet_desk(tmp_path, environment=environment)
        first = await desk.auth.token()
        for _ in range(50):
            again = desk.again()
            assert first == await again.auth.token()
        await again.market.order_book("005930")
        assert desk.requests("tokenP") == 1

    run(main)


def test_twenty_askers_cause_one_issue(tmp_path):
    """Askers at the same time share one request."""

    async def main():
        desk = quiet_desk(tmp_path)
        tokens = await asyncio.gather(*(desk.auth.token() for _ in range(20)))
        assert all(token == tokens[0] for token in tokens)
        assert desk.requests("tokenP") == 1

    run(main)


def test_twenty_askers_of_a_failing_server_cause_one_request(tmp_path):
    """A refused issue is not repeated by those who waited for it."""

    async def main():
        desk = quiet_desk(tmp_path)
        desk.fault("error", {"path": "tokenP"}, code="EGW00133", status=403)
        found = await asyncio.gather(
            *(desk.auth.token() for _ in range(20)), return_exceptions=True
        )
        assert {bot.RequestRefused} == {type(each) for each in found}
        assert desk.requests("tokenP") == 1

    run(main)


@pytest.mark.parametrize("code", ["EGW00102", "EGW00103", "EGW00104", "EGW00105"])
def test_a_key_that_kis_calls_invalid_is_not_sent_again(tmp_path, code):
    """Hours later neither: the same error, one request. A good old token is used as long as it is."""

    async def main():
        desk = quiet_desk(tmp_path)
        desk.fault("error", {"path": "tokenP"}, code=code, status=403)
        for _ in range(3):
            with pytest.raises(bot.KeysRefused, match=code):
                await desk.auth.token()
            await asyncio.sleep(3_600)
        assert desk.requests("tokenP") == 1

    run(main)


def test_keys_that_kis_refused_while_a_token_was_good_are_tried_once_more(tmp_path):
    """A false EGW00103 at the morning's renewal does not end the program when the token ends."""

    async def main():
        desk = quiet_desk(tmp_path)
        first = await desk.auth.token()
        desk.fault("error", {"path": "tokenP"}, code="EGW00103", status=403)
        await asyncio.sleep(120)
        assert await desk.auth.token(timedelta(hours=25)) == first
        desk.sim.faults.clear()
        await asyncio.sleep(24 * 3_600 - 420)
        assert await desk.auth.token() != first
        assert desk.requests("tokenP") == 3

    run(main)


def test_our_own_pace_does_not_hide_why_there_is_no_token(tmp_path):
    """Asked again within the minute: the true cause, not EGW00133 of a question never put."""

    async def main():
        desk = quiet_desk(tmp_path)
        desk.fault("error", {"path": "tokenP"}, code="EGW00002", status=500)
        for _ in range(3):
            with pytest.raises(bot.RequestRefused, match="EGW00002"):
                await desk.auth.token()
            await asyncio.sleep(5)
        assert desk.requests("tokenP") == 1

    run(main)


def test_a_cancelled_asker_does_not_hold_the_others_up(tmp_path):
    """Cancelling the one who asks leaves the lock free and the next one asks."""

    async def main():
        desk = quiet_desk(tmp_path)
        desk.fault("lose", {"path": "tokenP", "times": 1}, how="hang")
        first = asyncio.create_task(desk.auth.token())
        others = [asyncio.create_task(desk.auth.token()) for _ in range(3)]
        await asyncio.sleep(1.0)
        first.cancel()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        await asyncio.sleep(bot.TOKEN_PAUSE_S)
        assert await desk.auth.token()

    run(main)


# --- two environments, two keys ---


def test_paper_and_real_never_share_a_file(tmp_path):
    """Even with one app key in both the files differ; a token is read by its own side only."""

    async def main():
        paper = quiet_desk(tmp_path, environment="paper")
        mixed = edge.profile_of(paper.sim, environment="real")
        await paper.auth.token()
        script = Script(token_answer("R" * 40))
        real = bot.KISAuth(mixed, script, tmp_path, paper.clock)
        assert bot.Secret("R" * 40) == await real.token()
        assert len(token_files(tmp_path)) == 2

    run(main)


def test_each_app_key_has_a_file_of_its_own(tmp_path):
    """Another key of the same environment never gets this key's token."""

    async def main():
        desk = quiet_desk(tmp_path)
        await desk.auth.token()
        other = edge.profile_of(desk.sim, app_key=bot.Secret("PSother" + "x" * 29))
        script = Script(token_answer("B" * 40))
        auth = bot.KISAuth(other, script, tmp_path, desk.clock)
        assert bot.Secret("B" * 40) == await auth.token()
        assert len(token_files(tmp_path)) == 2

    run(main)


def test_a_file_copied_to_another_key_is_not_used(tmp_path):
    """The file says inside whose token it holds."""

    async def main():
        desk = quiet_desk(tmp_path)
        await desk.auth.token()
        [file] = token_files(tmp_path)
        other = edge.profile_of(desk.sim, app_key=bot.Secret("PSother" + "x" * 29))
        script = Script(token_answer("B" * 40))
        auth = bot.KISAuth(other, script, tmp_path, desk.clock)
        mark = other.app_key.fingerprint()
        bot.write_private(tmp_path / f"token-paper-{mark}.json", file.read_text())
        assert bot.Secret("B" * 40) == await auth.token()

    run(main)


# --- renewal ---


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Seoul"])
@pytest.mark.parametrize(("minutes_left", "issues"), [(11, 1), (9, 2), (0, 2), (-30, 2)])
def test_the_token_is_renewed_before_it_ends_in_korean_time(
    tmp_path, monkeypatch, zone, minutes_left, issues
):
    """The expiry text is KST without a zone, wherever the host stands."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()

    async def main():
        desk = quiet_desk(tmp_path, start="15:00:00")
        await desk.auth.token()
        await asyncio.sleep(24 * 3600 - minutes_left * 60)
        await desk.again().market.order_book("005930")
        assert issues == desk.requests("tokenP")

    try:
        run(main)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("expires", ["", "tomorrow", "2026-11-21", None])
def test_expires_in_is_used_when_the_text_cannot_be_read(tmp_path, expires):
    """A token lives `expires_in` seconds from asking when its end is not told."""

    async def main():
        desk = quiet_desk(tmp_path)
        auth, script = scripted(desk, token_answer(expires=expires, expires_in=7200))
        await auth.token()
        await asyncio.sleep(6500)
        await auth.token()
        assert len(script.sent) == 1
        await asyncio.sleep(600)
        await auth.token()
        assert len(script.sent) == 2

    run(main)


@pytest.mark.parametrize(
    ("hours_left", "issues"), [(13, 1), (11.5, 2)], ids=["enough for the day", "not enough"]
)
def test_a_token_that_ends_during_the_day_is_renewed_in_the_morning(tmp_path, hours_left, issues):
    """Before a trading day twelve hours must be left."""

    async def main():
        desk = quiet_desk(tmp_path, start="20:00:00")
        await desk.auth.token()
        await asyncio.sleep((24 - hours_left) * 3600)
        await desk.auth.token(bot.TOKEN_MORNING_SPARE)
        assert issues == desk.requests("tokenP")

    run(main)


@pytest.mark.parametrize(
    "failure",
    [bot.NotSent("no connection"), bot.NoAnswer("TimeoutError"), (403, {"error_code": "EGW00133"})],
    ids=["not sent", "no answer", "EGW00133"],
)
def test_a_failed_early_renewal_leaves_the_good_token_in_use(tmp_path, failure):
    """A token with eleven hours left is still good when no newer one can be had (R16)."""

    async def main():
        desk = quiet_desk(tmp_path, start="10:00:00")
        auth, _ = scripted(desk, token_answer(expires="2026-11-20 21:00:00"), failure)
        await auth.token()
        await asyncio.sleep(120)
        assert bot.Secret("T" * 40) == await auth.token(bot.TOKEN_MORNING_SPARE)

    run(main)


# --- one issue a minute ---


def test_a_second_issue_within_a_minute_is_not_even_asked_for(tmp_path):
    """EGW00133 is said here, without a request; after the minute it works."""

    async def main():
        desk = quiet_desk(tmp_path)
        auth, script = scripted(desk, token_answer("A" * 40), token_answer("B" * 40))
        auth.drop_token(await auth.token())
        await asyncio.sleep(50)
        with pytest.raises(bot.RequestRefused, match="EGW00133"):
            await auth.token()
        assert len(script.sent) == 1
        await asyncio.sleep(12)
        assert bot.Secret("B" * 40) == await auth.token()

    run(main)


def test_the_servers_own_refusal_of_a_second_issue_is_understood(tmp_path):
    """A restart inside the minute without a file: 403 EGW00133 names the code; then it works."""

    async def main():
        desk = quiet_desk(tmp_path)
        token = await desk.auth.token()
        desk.auth.drop_token(token)
        fresh = desk.again()
        with pytest.raises(bot.RequestRefused) as refused:
            await fresh.auth.token()
        assert (refused.value.code, refused.value.status) == ("EGW00133", 403)
        await asyncio.sleep(bot.TOKEN_PAUSE_S)
        assert token == await fresh.auth.token()  # within six hours the same one (doc)

    run(main)


def test_a_loop_of_questions_never_asks_for_more_than_one_token_a_minute(tmp_path):
    """A server that kills every token at once sees at most one issue a minute."""

    async def main():
        desk = quiet_desk(tmp_path)
        desk.fault("token", {"kind": "quotation"})
        for _ in range(60):
            with pytest.raises(bot.RequestRefused):
                await desk.market.order_book("005930")
            await asyncio.sleep(2)
        assert desk.requests("tokenP") <= 3

    run(main)


def test_an_issue_that_was_not_sent_may_be_repeated_at_once(tmp_path):
    """A refused connection cost the server nothing: the bot must not be tokenless for a minute."""

    async def main():
        desk = quiet_desk(tmp_path)
        auth, script = scripted(desk, bot.NotSent("no connection"), token_answer())
        with pytest.raises(bot.NotSent):
            await auth.token()
        await asyncio.sleep(2)
        assert await auth.token()
        assert len(script.sent) == 2

    run(main)


# --- dropped, and not dropped ---


@pytest.mark.parametrize("code", TOKEN_CODES)
def test_a_token_that_the_server_no_longer_takes_is_dropped_and_renewed_once(tmp_path, code):
    """EGW00121, EGW00122, EGW00123: a new token once, then the call again."""

    async def main():
        desk = quiet_desk(tmp_path)
        old = await desk.auth.token()
        await asyncio.sleep(7 * 3600)
        desk.fault("token", {"kind": "quotation", "times": 1}, code=code)
        await desk.market.order_book("005930")
        assert desk.requests("tokenP") == 2
        assert desk.requests("exp-ccn") == 2
        assert old != await desk.auth.token()
        assert json.loads(token_files(tmp_path)[0].read_text())["token"] != old.reveal()

    run(main)


@pytest.mark.parametrize("code", TOKEN_CODES)
def test_a_call_is_repeated_once_with_a_new_token_and_then_refused(tmp_path, code):
    """A server that refuses every token is not asked for ever."""

    async def main():
        desk = quiet_desk(tmp_path)
        await desk.auth.token()
        await asyncio.sleep(7 * 3600)
        desk.fault("error", {"path": "exp-ccn"}, code=code)
        with pytest.raises(bot.TokenRefused):
            await desk.market.order_book("005930")
        assert (desk.requests("exp-ccn"), desk.requests("tokenP")) == (2, 2)

    run(main)


OTHER_CODES = (
    *("EGW00001", "EGW00002", "EGW00003", "EGW00101", "EGW00103", "EGW00105", "EGW00120"),
    *("EGW00124", "EGW00130", "EGW00131", "EGW00133", "EGW00201", "EGW00205", "EGW00215"),
    *("EGW00300", "EGW00301", "EGW00302", "EGW00304", "EGW02004", "EGW02006", "IGW00002"),
    *("IGW00007", "MCA00124", "OPSQ2001", "APBK0919", "40580000", "90020000", "XYZ", ""),
)


@pytest.mark.parametrize("code", OTHER_CODES)
def test_no_other_error_costs_the_token(tmp_path, code):
    """Only the three token codes drop it; a storm of anything else does not (R13)."""

    async def main():
        desk = quiet_desk(tmp_path)
        before = await desk.auth.token()
        desk.fault("error", {"kind": "quotation"}, code=code)
        for _ in range(5):
            with pytest.raises(bot.BotError):
                await desk.market.order_book("005930")
        desk.sim.faults.clear()
        await desk.market.order_book("005930")
        assert before == await desk.auth.token()
        assert desk.requests("tokenP") == 1

    run(main)


@pytest.mark.parametrize(
    "fault",
    [("html", {"status": 502}), ("lose", {"how": "reset"}), ("garble", {"how": "truncate"})],
    ids=lambda each: each[0],
)
def test_broken_answers_do_not_cost_the_token(tmp_path, fault):
    """502, a lost connection and half a body say nothing about the token."""

    async def main():
        desk = quiet_desk(tmp_path)
        await desk.auth.token()
        desk.fault(fault[0], {"kind": "quotation"}, **fault[1])
        with pytest.raises(bot.BotError):
            await desk.market.order_book("005930")
        assert desk.requests("tokenP") == 1 and token_files(tmp_path)

    run(main)


def test_dropping_an_older_token_keeps_the_newer_one(tmp_path):
    """A late refusal of a call with the old token must not cost the new one."""

    async def main():
        desk = quiet_desk(tmp_path)
        old = await desk.auth.token()
        desk.auth.drop_token(old)
        await asyncio.sleep(7 * 3600)
        new = await desk.auth.token()
        assert new != old
        desk.auth.drop_token(old)
        assert new == await desk.auth.token()
        assert token_files(tmp_path)

    run(main)


def test_a_token_replaced_by_another_program_is_renewed(tmp_path):
    """Another program took a new token; ours died and is replaced without a storm (R15)."""

    async def main():
        desk = quiet_desk(tmp_path)
        await desk.auth.token()
        await asyncio.sleep(120)
        desk.sim.second_client()
        await desk.market.order_book("005930")
        assert desk.requests("tokenP") == 2

    run(main)


def test_a_dead_token_given_again_is_revoked(tmp_path):
    """Inside six hours tokenP may return the same dead token: revoke it, ask a minute later."""

    async def main():
        desk = quiet_desk(tmp_path)
        auth, script = scripted(
            desk,
            token_answer("D" * 40),
            token_answer("D" * 40),
            (200, {"code": 200, "message": "ok"}),
            token_answer("N" * 40),
        )
        auth.drop_token(await auth.token())
        await asyncio.sleep(bot.TOKEN_PAUSE_S)
        with pytest.raises(bot.RequestRefused, match="dead token"):
            await auth.token()
        path, body = script.sent[-1]
        assert (path, body["token"]) == (bot.OAUTH_REVOKE, "D" * 40)
        assert not token_files(tmp_path)
        await asyncio.sleep(bot.TOKEN_PAUSE_S)
        assert bot.Secret("N" * 40) == await auth.token()

    run(main)


# --- the file is not trusted blindly ---

GOOD = {"token": "F" * 40, "expires": "2026-11-21T09:00:00+09:00"}
BAD_FILES = {
    "empty": "",
    "no JSON": "{",
    "binary": "\x00\x01\x02",
    "a list": "[1, 2]",
    "a number": "7",
    "null": "null",
    "no expiry": {"token": "F" * 40},
    "no token": {"expires": GOOD["expires"]},
    "expiry is no time": {**GOOD, "expires": "soon"},
    "expiry is a number": {**GOOD, "expires": 1795000000},
    "expired": {**GOOD, "expires": "2026-11-20T10:00:00+09:00"},
    "empty token": {**GOOD, "token": ""},
    "mark of another key": {**GOOD, "mark": "paper-000000000000"},
    "no mark": {**GOOD, "mark": None},
    "nested too deep": "[" * 100_000,
    "token with a line break": {**GOOD, "token": "F" * 40 + "\nx: y"},
    "token that is no text": {**GOOD, "token": "\ud800"},
}


def write_cache(desk, content, mode=0o600):
    """Put a token file in place; a mapping gets the right mark unless it brings its own."""
    mark = f"{desk.profile.environment}-{desk.profile.app_key.fingerprint()}"
    file = desk.folder / f"token-{mark}.json"
    text = content if isinstance(content, str) else json.dumps({"mark": mark, **content})
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_good_file_is_used(tmp_path):
    """The control of the tests below: this form is taken."""

    async def main():
        desk = quiet_desk(tmp_path)
        write_cache(desk, GOOD)
        assert bot.Secret(GOOD["token"]) == await desk.auth.token()
        assert desk.requests("tokenP") == 0

    run(main)


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_corrupt_or_foreign_file_is_ignored_and_replaced(tmp_path, name):
    """R17: no crash, a new token, and the file is good again."""

    async def main():
        desk = quiet_desk(tmp_path)
        file = write_cache(desk, BAD_FILES[name])
        token = await desk.auth.token()
        assert token.reveal().startswith("eyJ")
        assert desk.requests("tokenP") == 1
        assert json.loads(file.read_text())["token"] == token.reveal()
        assert oct(stat.S_IMODE(file.stat().st_mode)) == "0o600"

    run(main)


def test_an_expiry_without_a_zone_in_the_file_is_ignored(tmp_path):
    """A file edited by hand must not crash the bot."""

    async def main():
        desk = quiet_desk(tmp_path)
        write_cache(desk, {**GOOD, "expires": "2026-11-21T09:00:00"})
        assert await desk.auth.token()

    run(main)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o644])
def test_a_file_that_others_can_read_is_ignored(tmp_path, mode):
    """What others could read may be known to them: a new token, mode 0600."""

    async def main():
        desk = quiet_desk(tmp_path)
        file = write_cache(desk, GOOD, mode)
        assert bot.Secret(GOOD["token"]) != await desk.auth.token()
        assert oct(stat.S_IMODE(file.stat().st_mode)) == "0o600"

    run(main)


# --- approval key, revoke ---


def test_the_approval_key_is_asked_with_secretkey(tmp_path, environment):
    """The app secret is called secretkey on this call; each asking gives a key that registers."""

    async def main():
        desk = quiet_desk(tmp_path, environment=environment)
        first, second = await desk.auth.approval_key(), await desk.auth.approval_key()
        assert first != second
        session = desk.sim.connect()
        text = bot.registration_message(second.reveal(), "H0STCNT0", "005930", register=True)
        session.receive_text(text)
        assert "OPSP0000" in session.outbox[-1]
        auth, script = scripted(desk, (200, {"approval_key": "k" * 36}))
        await auth.approval_key()
        assert {"grant_type", "appkey", "secretkey"} == set(script.sent[0][1])

    run(main)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((403, {"error_code": "EGW00103", "error_description": "bad key"}), bot.RequestRefused),
        ((200, {"rt_cd": "1", "msg_cd": "EGW00002", "msg1": "x"}), bot.RequestRefused),
        ((500, {"approval_key": "k", "access_token": "t"}), bot.RequestRefused),
        ((200, {}), bot.BadData),
        ((200, {"approval_key": "", "access_token": ""}), bot.BadData),
        ((200, {"approval_key": None, "access_token": None}), bot.BadData),
        ((200, "<html>"), bot.BadData),
        ((502, ""), bot.BadData),
        ((200, "[]"), bot.BadData),
        (bot.NoAnswer("x"), bot.NoAnswer),
        (bot.NotSent("x"), bot.NotSent),
    ],
)
@pytest.mark.parametrize("what", ["token", "approval_key"])
def test_every_useless_answer_is_an_error_of_ours(tmp_path, what, answer, error):
    """Nothing but a full answer gives a key; nothing is stored."""

    async def main():
        desk = quiet_desk(tmp_path)
        auth, _ = scripted(desk, answer)
        refused_key = what == "token" and isinstance(answer, tuple) and "EGW00103" in str(answer[1])
        with pytest.raises(bot.KeysRefused if refused_key else error):
            await getattr(auth, what)()
        assert not token_files(tmp_path)

    run(main)


def test_no_error_shows_a_secret(tmp_path):
    """Messages of errors carry codes and texts of the broker, never what was sent."""

    async def main():
        desk = quiet_desk(tmp_path)
        wrong = edge.profile_of(desk.sim, app_secret=bot.Secret("wrong" * 36))
        auth = bot.KISAuth(wrong, desk.rest.call, tmp_path, desk.clock)
        with pytest.raises(bot.KeysRefused) as refused:
            await auth.token()
        shown = f"{refused.value!r} {refused.value}"
        assert "EGW00105" in shown
        for secret in (wrong.app_key, wrong.app_secret, wrong.account):
            assert secret.reveal() not in shown

    run(main)


@pytest.mark.parametrize("room", [None, 0, 50])
def test_a_token_that_cannot_be_kept_is_used_from_memory(tmp_path, room, caplog):
    """A full disk, or a folder in the way: told in the log; nothing of a token lies about."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def main():
        desk = quiet_desk(tmp_path)
        if room is None:
            mark = f"{desk.profile.environment}-{desk.profile.app_key.fingerprint()}"
            (tmp_path / f"token-{mark}.json").mkdir()
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        token = await desk.auth.token()
        for _ in range(3):
            assert await desk.auth.token() is token
        await desk.orders.balance()
        assert desk.requests("tokenP") == 1

    try:
        run(main)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [file for file in tmp_path.iterdir() if file.is_file()] == []
    assert "not kept for a restart" in caplog.text


def test_a_file_written_privately_is_whole_or_not_there(tmp_path):
    """The name appears with its full content; an older file is replaced, modes never widen."""
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o666)
    bot.write_private(path, "new")
    assert path.read_text() == "new"
    assert oct(stat.S_IMODE(path.stat().st_mode)) == "0o600"
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "shown", ["2026-11-19 09:59:59", "2026-11-20 09:59:59", "2026-11-20 10:00:30"]
)
def test_a_new_token_that_shows_a_past_end_is_good_all_the_same(shown):
    """Another zone, or a clock that is wrong: no token was kept, one asked for each minute."""
    asked = datetime(2026, 11, 20, 10, tzinfo=bot.KST)
    _, body = token_answer(expires=shown, expires_in=7200)
    assert bot._token_expiry(body, asked) == asked + timedelta(hours=2)


def test_the_expiry_of_an_answer_is_korean_time():
    """Parsed as Asia/Seoul (doc), aware."""
    asked = datetime(2026, 11, 20, 10, tzinfo=bot.KST)
    _, body = token_answer(expires="2026-11-21 09:59:59")
    found = bot._token_expiry(body, asked)
    assert found == datetime(2026, 11, 21, 9, 59, 59, tzinfo=bot.KST)
    assert found.utcoffset() == timedelta(hours=9)
