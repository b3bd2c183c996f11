"""Alerts: in order, urgent ones first, never in the way of trading, and every text complete."""

import ast
import asyncio
import contextlib
import inspect
import io
import itertools
import logging
import re
import string
import time
from dataclasses import dataclass, field

import edge
import harness
import pytest
import telegram.ext  # noqa: F401  not while a hurried clock runs
from aiohttp import web

import kis_realtime_trading as bot
from companions import report_view

TOKEN = "8012345678:AAHwx-plantedTokenOfTheBot_1234567890"
CHAT = "4242"


@dataclass
class BotApi:
    """A Bot API server on loopback: says what it is told to, notes what it was sent."""

    replies: list = field(default_factory=list)  # (status, body) for the next calls
    texts: list = field(default_factory=list)  # what was taken, in order
    calls: list = field(default_factory=list)  # (loop time, method, text)
    open: asyncio.Event = field(default_factory=asyncio.Event)  # while clear, calls get no answer

    def __post_init__(self):
        self.open.set()

    async def handle(self, request):
        """Answer one call of the Bot API."""
        form = await request.post()
        now = asyncio.get_running_loop().time()
        self.calls.append((now, request.path, form.get("text", ""), form.get("chat_id", "")))
        await self.open.wait()
        for number, (when, status, body) in enumerate(self.replies):
            if when is None or when in form.get("text", ""):
                if when is None:
                    self.replies.pop(number)
                return web.json_response(body, status=status)
        self.texts.append(form["text"])
        chat = {"id": int(CHAT), "type": "private"}
        result = {"message_id": len(self.texts), "date": 1_795_000_000, "chat": chat}
        return web.json_response({"ok": True, "result": {**result, "text": form["text"]}})

    def refuse(self, status, description, when=None, **parameters):
        """Refuse the next call, or every call whose text holds `when`."""
        body = {"ok": False, "error_code": status, "description": description}
        self.replies.append((when, status, {**body, "parameters": parameters}))


@contextlib.asynccontextmanager
async def api_server():
    """Run a Bot API server."""
    api = BotApi()
    application = web.Application()
    application.router.add_route("*", "/{anything:.*}", api.handle)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield api, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def sending(url, token=TOKEN):
    """Run a TelegramBot beside the test."""
    telegram = bot.TelegramBot(bot.Secret(token), CHAT, url)
    task = asyncio.create_task(telegram.run())
    try:
        yield telegram, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- delivery ---


async def test_alerts_arrive_in_order():
    """Each once, in the order of posting, in the one chat."""
    async with api_server() as (api, url), sending(url) as (telegram, _):
        for n in range(30):
            telegram.post(f"message {n}")
        await edge.until(lambda: telegram.sent == 30)
    assert api.texts == [f"message {n}" for n in range(30)]
    assert {CHAT} == {chat for *_, chat in api.calls}
    assert {f"/bot{TOKEN}/sendMessage"} == {path for _, path, *_ in api.calls}
    assert (telegram.sent, telegram.failed) == (30, 0)


async def test_urgent_alerts_go_first():
    """What was waiting before them waits a little longer."""
    async with api_server() as (api, url):
        telegram = bot.TelegramBot(bot.Secret(TOKEN), CHAT, url)
        for n in range(5):
            telegram.post(f"usual {n}")
        telegram.post("urgent", urgent=True)
        task = asyncio.create_task(telegram.run())
        await edge.until(lambda: len(api.texts) == 6)
        task.cancel()
    assert api.texts == ["urgent", *(f"usual {n}" for n in range(5))]


async def test_urgent_alerts_keep_their_own_order():
    """First what happened first: "unknown", then "quarantined", not the reverse."""
    async with api_server() as (api, url):
        telegram = bot.TelegramBot(bot.Secret(TOKEN), CHAT, url)
        for n in range(4):
            telegram.post(f"urgent {n}", urgent=True)
        task = asyncio.create_task(telegram.run())
        await edge.until(lambda: len(api.texts) == 4)
        task.cancel()
    assert api.texts == [f"urgent {n}" for n in range(4)]


async def test_an_urgent_alert_during_a_sending_doubles_nothing():
    """The one under way is taken out of the outbox when it has arrived, wherever it stands."""
    async with api_server() as (api, url), sending(url) as (telegram, _):
        api.open.clear()
        telegram.post("first")
        await edge.until(lambda: api.calls)
        telegram.post("urgent", urgent=True)
        api.open.set()
        telegram.post("last")
        await edge.until(lambda: "last" in api.texts)
    assert sorted(api.texts) == ["first", "last", "urgent"]


async def test_a_wait_below_nothing_does_not_storm_the_server():
    """An odd retry_after: asked again after a second, not thousands of times in it."""
    async with api_server() as (api, url), sending(url) as (telegram, _):
        api.refuse(429, "Too Many Requests", retry_after=-5)
        telegram.post("message")
        await edge.until(lambda: api.texts)
    times = [moment for moment, *_ in api.calls]
    assert len(times) == 2 and times[1] - times[0] >= 0.9


async def test_retry_after_is_obeyed():
    """429: nothing is sent before the time that Telegram names, then everything, in order (T02)."""
    async with api_server() as (api, url), sending(url) as (telegram, _):
        api.refuse(429, "Too Many Requests: retry after 1", retry_after=1)
        for n in range(3):
            telegram.post(f"message {n}")
        await edge.until(lambda: len(api.texts) == 3)
    times = [moment for moment, *_ in api.calls]
    assert times[1] - times[0] >= 1.0
    assert api.texts == [f"message {n}" for n in range(3)]
    assert telegram.failed == 0


@pytest.mark.parametrize("status", [500, 502, 409])
async def test_server_trouble_is_retried(status):
    """Telegram's own errors cost a pause, not a message (T01, T03)."""
    async with api_server() as (api, url), sending(url) as (telegram, _):
        api.refuse(status, "trouble")
        telegram.post("one")
        telegram.post("two")
        await edge.until(lambda: len(api.texts) == 2)
    assert api.texts == ["one", "two"]
    assert telegram.failed == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, {"ok": True, "result": 5}), (200, {"ok": True, "result": {"message_id": 1}}), (200, []),
     (429, {"ok": False, "error_code": 429, "parameters": {"retry_after": "soon"}})],
)  # fmt: skip
async def test_an_answer_that_the_library_cannot_read_does_not_end_the_alerts(status, body):
    """One odd answer, of a proxy perhaps, must not make the phone silent for weeks."""
    async with api_server() as (api, url), sending(url) as (telegram, _):
        api.replies.append((None, status, body))
        telegram.post("one")
        telegram.post("two")
        await edge.until(lambda: len(api.texts) == 2)
    assert api.texts == ["one", "two"]


REFUSALS = [(403, "Forbidden: bot was blocked by the user"), (401, "no"), (404, "Not Found")]


@pytest.mark.parametrize(("status", "text"), REFUSALS)
async def test_a_refusal_is_tried_again_for_nobody_restarts_the_bot(
    status, text, monkeypatch, caplog
):
    """Blocked, or a token that is not taken: told in the log at each rare try, nothing is lost."""
    monkeypatch.setattr(bot, "LONG_PAUSE_S", 5.0)
    async with api_server() as (api, url), sending(url) as (telegram, _):
        api.refuse(status, text)
        api.refuse(status, text)
        telegram.post("one")
        telegram.post("urgent", urgent=True)
        await edge.until(lambda: len(api.texts) == 2)
    assert api.texts == ["urgent", "one"]
    times = [moment for moment, *_ in api.calls]
    assert all(after - before >= 5.0 for before, after in itertools.pairwise(times[:3]))
    assert len([r for r in caplog.records if "Telegram refuses" in r.getMessage()]) == 2


async def test_a_refused_outbox_does_not_hold_the_goodbye():
    """The program ends although the last words cannot be sent."""
    async with api_server() as (api, url), sending(url) as (telegram, _):
        api.refuse(403, "Forbidden: bot was blocked by the user")
        telegram.post("one")
        await edge.until(lambda: telegram.failed)
        await asyncio.wait_for(telegram.flush(2), 60)
        assert telegram.outbox == ["one"]


def test_the_goodbye_waits_two_seconds_and_no_longer():
    """To the tick, in virtual time: nobody sends what waits."""

    async def goodbye():
        telegram = bot.TelegramBot(bot.Secret(TOKEN), CHAT)
        telegram.post("one")
        await telegram.flush(2.0)
        return telegram.outbox, asyncio.get_running_loop().time()

    assert harness.run_virtual(goodbye()) == (["one"], 2.0)


async def test_a_huge_wait_is_cut_to_ten_minutes(monkeypatch):
    """Nobody knows why Telegram says days; urgent alerts go first when it takes them again."""
    monkeypatch.setattr(bot, "LONG_PAUSE_S", 5.0)
    async with api_server() as (api, url), sending(url) as (telegram, _):
        api.refuse(429, "Too Many Requests: retry after 86400", retry_after=86_400)
        telegram.post("usual")
        await edge.until(lambda: api.calls)
        telegram.post("urgent", urgent=True)
        await edge.until(lambda: len(api.texts) == 2)
    assert api.texts == ["urgent", "usual"]
    assert api.calls[1][0] - api.calls[0][0] >= 5.0


@pytest.mark.parametrize(
    ("text", "arrives"),
    [("poison", []), ("order refused: \ud800", ["order refused: ?"])],
    ids=["400", "surrogate"],
)
async def test_a_message_that_can_never_be_sent_does_not_hold_up_the_others(text, arrives):
    """Telegram answers 400 for one text, or it cannot even be encoded: the next ones arrive."""
    async with api_server() as (api, url), sending(url) as (telegram, _):
        api.refuse(400, "Bad Request: message is not what we like", when="poison")
        telegram.post(text)
        telegram.post("order unknown")
        await edge.until(lambda: api.texts == [*arrives, "order unknown"], 1.0)


async def test_without_a_token_nothing_is_kept_and_nothing_runs():
    """The log is enough."""
    telegram = bot.TelegramBot(bot.Secret(""), "")
    for _ in range(1000):
        telegram.post("x", urgent=True)
    edge.run_without_waiting(telegram.run())
    edge.run_without_waiting(telegram.flush(5))
    assert not telegram.outbox


async def test_the_outbox_is_bounded():
    """500 wait at most; the oldest goes (T03), whatever the length of the texts."""
    async with api_server() as (api, url):
        telegram = bot.TelegramBot(bot.Secret(TOKEN), CHAT, url)
        for n in range(telegram.OUTBOX + 100):
            telegram.post(f"{n:04d} " + "x" * 10_000)
        assert len(telegram.outbox) == telegram.OUTBOX
        assert max(len(text) for text in telegram.outbox) <= 4096
        assert telegram.outbox[0].startswith("0100")
        assert not api.calls


async def test_an_urgent_alert_into_a_full_outbox_costs_nothing():
    """It stands in front; the usual ones wait in a box of their own."""
    telegram = bot.TelegramBot(bot.Secret(TOKEN), CHAT, "http://127.0.0.1:9")
    for n in range(telegram.OUTBOX):
        telegram.post(f"{n}")
    telegram.post("urgent", urgent=True)
    assert telegram.outbox[0] == "urgent"
    assert f"{telegram.OUTBOX - 1}" in telegram.outbox and "0" in telegram.outbox


@pytest.mark.parametrize("dead", ["nobody listens", "hangs"])
async def test_a_dead_server_holds_nothing_up(dead):
    """Posting returns at once and the event loop stays free while Telegram is gone (T03)."""
    async with api_server() as (api, url):
        api.open.clear()
        async with sending(url if dead == "hangs" else "http://127.0.0.1:9") as (telegram, task):
            telegram.post("first")
            await edge.until(lambda: api.calls or telegram.failed)  # imports are done
            worst, last = 0.0, time.monotonic()
            for n in range(300):
                telegram.post(f"message {n}", urgent=n % 50 == 0)
                await asyncio.sleep(0.001)
                worst, last = max(worst, time.monotonic() - last), time.monotonic()
            assert not task.done()
            before = time.monotonic()
            await telegram.flush(0.2)
            assert time.monotonic() - before < 1.0
    assert worst < 0.3


async def test_messages_of_a_dead_hour_arrive_when_the_server_is_back():
    """What was kept is sent in order after the pause."""
    async with api_server() as (api, url), sending(url) as (telegram, _):
        for _ in range(2):
            api.refuse(502, "gone")
        for n in range(10):
            telegram.post(f"message {n}")
        await edge.until(lambda: len(api.texts) == 10)
        times = [moment for moment, *_ in api.calls]
    assert api.texts == [f"message {n}" for n in range(10)]
    assert times[1] - times[0] >= 0.9 and times[2] - times[1] >= 1.9  # growing pauses


# --- secrets ---


async def test_the_token_is_never_in_the_log():
    """Also with the libraries at DEBUG, while calls succeed, fail and are refused (S01)."""
    stream = io.StringIO()
    with edge.own_logging():
        bot.set_up_logging(bot.Redactor([bot.Secret(TOKEN)]), stream, logging.DEBUG)
        for name in ("", "httpx", "httpcore", "telegram", "asyncio"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        try:
            async with api_server() as (api, url):
                async with sending(url) as (telegram, _):
                    api.refuse(502, "trouble")
                    telegram.post("one")
                    await edge.until(lambda: api.texts)
                    api.refuse(403, f"Forbidden: {TOKEN} was blocked")
                    telegram.post("two")
                    await edge.until(lambda: len(api.calls) == 3)
                async with sending("http://127.0.0.1:9") as (telegram, _):
                    telegram.post("three")
                    await edge.until(lambda: telegram.failed)
        finally:
            for name in ("", "httpx", "httpcore", "telegram", "asyncio"):
                logging.getLogger(name).setLevel(logging.NOTSET)
    text = stream.getvalue()
    assert "sendMessage" in text  # the libraries did talk
    for start in range(len(TOKEN) - 8):
        assert TOKEN[start : start + 9] not in text


# --- texts ---

TREE = ast.parse((edge.ROOT / "kis_realtime_trading.py").read_text())
SAYING = {"alert", "tell", "Alert"}


def alerts_in_source():
    """Return (code, given names, line) of every alert that the source makes with a literal code."""
    found = []
    for node in ast.walk(TREE):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        to_systemd = "watchdog" in ast.unparse(node.func)
        if name not in SAYING or not node.args or to_systemd:
            continue
        names = {keyword.arg for keyword in node.keywords}
        if name == "Alert" and len(node.args) > 1 and isinstance(node.args[1], ast.Dict):
            keys = node.args[1].keys
            names = (
                {key.value for key in keys if isinstance(key, ast.Constant)}
                if all(keys)
                else {None}
            )
        for part in ast.walk(node.args[0]):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                found.append((part.value, names, node.lineno))
    return found


def words_in(text):
    """Return the names that a text wants to be filled in."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("code", sorted(bot.TEXTS))
def test_both_languages_say_the_same(code):
    """Two texts, Korean first, that need the same values."""
    korean, english = bot.TEXTS[code]
    assert korean.strip() and english.strip() and korean != english
    assert words_in(korean) == words_in(english)
    assert any("가" <= letter <= "힣" for letter in korean) or code == "level"
    assert not any("가" <= letter <= "힣" for letter in english)


def test_every_alert_of_the_source_has_a_text_and_all_its_values():
    """A missing value would be a KeyError in the middle of trading."""
    found = alerts_in_source()
    assert len(found) >= 25
    for code, names, line in found:
        assert code in bot.TEXTS, f"line {line}: no text for {code}"
        if None not in names:  # **values, judged by the runs below
            missing = words_in(bot.TEXTS[code][0]) - names
            assert not missing, f"line {line}: {code} lacks {missing}"


def test_every_text_is_used_and_every_urgent_code_exists():
    """No text without a place that says it."""
    tables = [n for n in TREE.body if isinstance(n, ast.AnnAssign | ast.Assign)]
    said = {
        node.value
        for part in TREE.body
        if part not in tables
        for node in ast.walk(part)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(bot.TEXTS) <= said
    assert set(bot.TEXTS) >= bot.URGENT


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        ("trailing stop", "추적 손절"),
        ("STALE", "시세가 오래됨(STALE)"),
        ("the day is over; held without a guard: 005930 7",
         "하루 매매를 마쳤습니다; 봇 없이 남는 보유: 005930 7"),
        ("SIGTERM received", "SIGTERM 신호를 받았습니다"),
        ("3 complete lists in 200 s without it", "200초 동안 목록 3번에 없음"),
        ("APBK0919 장종료", "APBK0919 장종료"),
        ("my own reason", "my own reason"),
        ("gate: decided 62 s ago", "판단한 지 62초가 지나 내지 않았습니다"),
        ("gate: exchange: after close", "거래소 주문 시간이 아닙니다"),
        ("gate: 5 to sell, 3 held", "점검: 매도 5주, 보유 3주"),
        ("realtime feed lost: no trades of 005930 come",
         "실시간 시세 끊김: 005930 체결이 오지 않아 다시 연결"),
    ],
)  # fmt: skip
def test_reasons_are_told_in_korean(english, korean):
    """What the code says in English is told in Korean; words of others stay as they are."""
    assert korean == bot.in_korean(english)
    assert english in bot.say(bot.Alert("stopped", {"why": english}), "en")


def test_every_refusal_has_korean_words():
    """A code that a rule can give has its words, and the reverse."""
    codes = set(re.findall(r'Refusal\(\s*"([A-Z_]+)"', inspect.getsource(bot)))
    for rule in bot.RULES:
        codes |= set(re.findall(r'\("([A-Z_]+)"', inspect.getsource(rule)))
    assert codes == set(bot.REFUSAL_WORDS)


def test_a_rule_is_told_in_words_of_both_languages():
    """A bare code says nothing to who meets it for the first time; the code stays beside its words."""
    refused = {
        "symbol": "삼성전자",
        "side": "BUY",
        "quantity": 3,
        "code": "SESSION",
        "numbers": "closed",
    }
    assert "[주문 시간 아님(SESSION)] 휴장" in bot.say(bot.Alert("refused", refused), "ko")
    assert "[not at this hour (SESSION)] closed" in bot.say(bot.Alert("refused", refused), "en")
    line = bot.Alert("refusal_line", {"code": "DAY_LOSS", "count": 2})
    assert bot.say(line, "en") == "• loss of the day (DAY_LOSS) 2"
    assert report_view.Words("en").rule("DAY_LOSS") == "loss of the day (DAY_LOSS)"
    assert report_view.Words("ko").rule("DAY_LOSS") == "하루 손실 한도(DAY_LOSS)"


def test_a_row_is_said_in_a_language_other_than_that_of_its_day():
    """What the journal keeps of a message names no language: side, and that nothing is held."""
    values = dict.fromkeys(words_in(bot.TEXTS["day_report"][0]), 0) | {
        "positions": "nothing",
        "lines": [],
    }
    assert "보유: 없음" in bot.say(bot.Alert("day_report", values), "ko")
    assert "held nothing" in bot.say(bot.Alert("day_report", values), "en")


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("code", sorted(bot.TEXTS))
def test_a_text_with_its_values_has_no_holes(code, language):
    """Filled with numbers and sides: nothing is left open, thousands are separated."""
    values = dict.fromkeys(words_in(bot.TEXTS[code][0]), 1_234_567)
    text = bot.say(bot.Alert(code, values), language)
    assert "{" not in text and "}" not in text and len(text) < 4096
    assert not values or "1,234,567" in text


@pytest.mark.parametrize(
    ("value", "korean", "english"),
    [
        (1_234_567, "1,234,567", "1,234,567"),
        (-5, "-5", "-5"),
        (71_400.0, "71,400", "71,400"),
        (71_433.333, "71,433.3", "71,433.3"),
        (True, "True", "True"),
        ("005930", "005930", "005930"),
        (bot.Side.BUY, "매수", "buy"),
        (bot.Side.SELL, "매도", "sell"),
    ],
)
def test_values_are_said_as_people_write_them(value, korean, english):
    """Thousands separators, no needless decimals, sides in words; codes stay as they are."""
    alert = bot.Alert("error", {"what": value})
    assert bot.say(alert, "ko").endswith(f" {korean}")
    assert bot.say(alert, "en").endswith(f" {english}")


def test_braces_in_a_value_are_not_read_as_names():
    """A text of the broker is shown as it is."""
    assert "{symbol} {0} {" in bot.say(bot.Alert("error", {"what": "{symbol} {0} {"}), "en")


# --- the whole bot ---


def test_every_alert_of_a_lively_day_can_be_said(tmp_path):
    """Orders, fills, cancels, faults, halts: whatever happens is told in both languages."""
    config = edge.config(
        density=4.0,
        faults=(
            {"match": {"kind": "order", "nth": 2}, "effect": {"do": "lose", "how": "reset"}},
            {"match": {"kind": "order", "nth": 3}, "effect": {"do": "refuse_later", "seconds": 3}},
        ),
        events=({"at": "09:28", "type": "halt", "symbol": "005930", "seconds": 60},),
    )
    world = harness.World(config, start="08:55:00")

    async def main():
        driver = asyncio.create_task(world.network.drive())
        wishes = [harness.Wish(f"{h:02d}:{m:02d}:00", "005930", 5, t) for h, m, t in (
            (9, 2, 5), (9, 7, 5), (9, 12, 5), (9, 17, -40), (9, 25, 5))]  # fmt: skip
        trader = world.make_trader(harness.Scripted(wishes))
        run = asyncio.create_task(trader.run(one_day=True))
        await world.until("09:16:00")
        world.sim.manual_order("005930", "BUY", 1, 0, "01")
        world.sim.drop_sessions()
        await world.until("09:36:00")
        trader.set_level("FLATTEN_AND_HALT", "test")
        await world.until("09:40:00")
        trader.stop("enough")
        await run
        trader.journal.close()
        driver.cancel()
        journal = bot.Journal(world.folder / "journal.sqlite3", read_only=True)
        return [(row.ref, bot.json.loads(row.body)) for row in journal.rows("alert")]

    try:
        alerts = harness.run_virtual(main())
    finally:
        world.close()
    assert len({code for code, _ in alerts}) >= 9
    for code, values in alerts:
        for language in ("ko", "en"):
            assert "{" not in bot.say(bot.Alert(code, values), language)


async def test_a_dead_telegram_does_not_delay_trading(tmp_path):
    """Half a market hour at speed with a Bot API that never answers: same trades, no lag."""
    async with (
        api_server() as (api, url),
        edge.served(tmp_path, start="08:59:00", speed=600.0, density=20.0) as (desk, there),
    ):
        api.open.clear()
        trader = edge.with_phone(desk, there, (url, TOKEN, CHAT), harness.Nothing())
        run = asyncio.create_task(trader.run(one_day=True))
        await edge.until(lambda: trader.counts["Trade"] > 200 and api.calls)
        told_s, lags = [], []
        for _ in range(5):  # the best of them is the bot's own: a busy machine only adds
            heard = trader.counts["Trade"]
            await edge.until(lambda heard=heard: trader.counts["Trade"] > heard)
            began = time.monotonic()
            for n in range(5):
                trader.tell("error", what=f"number {n}")
            told_s.append(time.monotonic() - began)
            lags.append((desk.clock.now() - trader.engine.core.now).total_seconds())
        trader.stop("enough")
        await asyncio.wait_for(run, 600)  # how long in virtual time: test_held_outputs.py
        trader.journal.close()
    assert min(told_s) < 0.1
    assert min(lags) < 600.0  # a second of real time
