"""Borders of the world half: full boxes, last moments, what ends with its session, what is no sum."""

import asyncio
import base64
import json
import math
import threading
import time
from collections import deque
from datetime import timedelta
from types import SimpleNamespace

import edge
import harness
import pytest
from mad_engine import HELD, Stage
from telegram.error import ChatMigrated
from test_calls_in_a_row import clients, good, token
from test_gate import sell
from test_phone_alone import Api, phone, sending
from test_settings import LIVE_FILE, LIVE_KEYS
from test_trader import SYMBOL
from test_trader_in_a_row import NO, parts, with_open_order_of_yesterday
from test_websocket import Ear, Fake, ack, listening, taking_all, usual, wanted_in
from troubles import suspensions_told

import kis_realtime_trading as bot

SESSION = bot.session_of(edge.DAY)


# --- services -------------------------------------------------------------------------------------


def test_a_short_secret_inside_another_leaves_nothing_of_the_longer_one():
    """The longest first, in whatever order they were learned."""
    for words in (("abcd", "abcdef"), ("abcdef", "abcd")):
        clean = bot.Redactor(bot.Secret(each) for each in words)
        assert clean("x abcdef y abcd z") == "x *** y *** z"


@pytest.mark.parametrize("shift", range(3))
@pytest.mark.parametrize("coded", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_in_either_alphabet_of_base64_is_taken_out(shift, coded):
    """Plus and slash, or minus and underscore, at any offset of what holds it."""
    secret = "~~~>>>???~~~>>>???~~~"
    text = coded(b"x" * shift + secret.encode()).decode().rstrip("=")
    assert not text.isalnum()
    left = bot.Redactor([bot.Secret(secret)])(text)
    assert "***" in left and len(left) <= 9


def test_a_disk_is_waited_for_as_long_as_was_said_and_no_longer():
    """What is not over by then goes on; it is waited for again the next time."""
    beside, go = bot.Beside("test"), threading.Event()
    beside.begin(lambda: go.wait(30) and None)
    began = time.monotonic()
    assert not beside.end(0.01) and not beside.end(0.0)
    assert time.monotonic() - began < 20.0
    go.set()
    assert beside.end(30.0) and beside.close()


# --- REST and tokens ----------------------------------------------------------------------------


@pytest.mark.parametrize(("left_s", "asked"), [(599, 2), (600, 2), (601, 1)])
def test_a_token_with_its_spare_to_the_second_is_renewed(tmp_path, left_s, asked):
    """Good is what lives longer than the spare: exactly as long is not enough."""

    async def main():
        ends = (edge.at("10:05:30") + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S")
        desk, transport = clients(
            tmp_path, (0, token(access_token_token_expired=ends)), (0, token("t2"))
        )
        await desk.auth.token()
        await asyncio.sleep(3_600 - left_s)
        await desk.auth.token()
        return len(transport.calls)

    assert harness.run_virtual(main()) == asked


@pytest.mark.parametrize("mark", ["F", "M"])
def test_a_page_that_leads_nowhere_is_not_followed(tmp_path, mark):
    """More rows are said to come and no context says where: half a list is none, at once."""

    async def main():
        page = good(ctx_area_fk100="  ", ctx_area_nk100="", output1=[])
        desk, transport = clients(
            tmp_path, (0, token()), *[(0, page._replace(headers={"tr_cont": mark}))] * 3
        )
        with pytest.raises(bot.BadData, match="page 1 leads back"):
            await desk.client.pages("orders", {})
        return len(transport.calls)

    assert harness.run_virtual(main()) == 2  # the token and one page


# --- the feed -----------------------------------------------------------------------------------


def test_a_session_that_failed_is_closed_before_the_next(tmp_path):
    """The server lets one key have one session: an open one would refuse the next."""

    async def main():
        desk, made, open_then = edge.desk(tmp_path), [], []

        async def connect(url):
            open_then.append([each.closed.is_set() for each in made])
            made.append(Fake(taking_all))
            return made[-1]

        ear = Ear(desk, usual(desk), connect)
        async with listening(ear):
            await asyncio.sleep(5)
            for _ in range(3):
                ear.socket.renew("enough")
                made[-1].say('{"header":{"tr_id":"PINGPONG"}}')
                await asyncio.sleep(30)
        return open_then, made[-1].closed.is_set()

    open_then, last = harness.run_virtual(main())
    assert open_then == [[], [True], [True] * 2, [True] * 3] and last


def test_a_stock_without_a_trade_was_heard_last_when_the_market_opened():
    """Without a session it was heard just now; with a trade at its time in the exchange."""
    state, now = SimpleNamespace(last_trade=None), edge.at("09:30:00")
    core = SimpleNamespace(symbols={SYMBOL: state}, session=None, now=now)
    silence = bot.Silence(core, None, None, None)
    found = [silence.heard(SYMBOL)]
    core.session = SESSION
    found.append(silence.heard(SYMBOL))
    state.last_trade = SimpleNamespace(ts_exchange=edge.at("09:10:00"))
    found.append(silence.heard(SYMBOL))
    assert found == [now, SESSION.open, edge.at("09:10:00")]


def test_a_key_of_another_line_is_no_key_of_the_notices(tmp_path):
    """Registered before us and told without a key: only a new session brings one."""

    async def main():
        desk, made = edge.desk(tmp_path), []
        notice = bot.NOTICE_TRS[desk.profile.environment]

        def answer(message):
            pair = wanted_in(message)
            if pair is None or pair[0] == notice:
                return []
            known = (notice, desk.profile.hts_id.reveal())
            return [ack(*pair), ack(*known, "1", "OPSP0002", "ALREADY IN SUBSCRIBE")]

        async def connect(url):
            made.append(Fake(answer if not made else taking_all))
            return made[-1]

        ear = Ear(desk, usual(desk), connect)
        async with listening(ear):
            await asyncio.sleep(20)
        return len(made), [up for up, _ in ear.changes]

    assert harness.run_virtual(main()) == (2, [True])


# --- the phone ----------------------------------------------------------------------------------


@pytest.mark.parametrize("urgent", [True, False])
def test_an_outbox_is_full_at_five_hundred_and_the_oldest_goes(urgent):
    """Nothing that waits may fill the memory; a webhook holds fifty."""
    telegram, _ = phone()
    for n in range(510):
        telegram.post(f"{n}", urgent=urgent)
    assert telegram.outbox == [f"{n}" for n in range(10, 510)]
    doors = bot.SideDoors(
        SimpleNamespace(webhook_url=bot.SecretStr("http://x"), heartbeat_url=bot.SecretStr(""))
    )
    for n in range(60):
        doors.post(f"{n}")
    assert doors.waiting == deque(f"{n}" for n in range(10, 60))


def test_messages_stay_behind_in_a_chat_that_moved():
    """A group became a supergroup: what would be edited there is a new message here."""

    async def main():
        telegram, _ = phone()
        api = Api(None, ChatMigrated(-10042))
        for text in ("sent", "filled", "closed"):
            telegram.post(text, key="a")
            await sending(telegram, api, 1.0)
        return [each[:3] for each in api.sent]

    assert harness.run_virtual(main()) == [
        ("new", "42", "sent"), ("new", "-10042", "filled"), ("edit", "-10042", "closed"),
    ]  # fmt: skip


def test_a_word_that_a_rule_refused_is_answered_as_not_done():
    """Down at once, then a buy: the answer itself says that nothing was sent, and why."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        trader.feed(await trader.broker.answer(bot.Ask("price", SYMBOL)))
        trader.tighten_level(bot.KillLevel.ENTRIES_OFF, "owner")
        answer = bot.Phone(trader)._do(bot.read_words(("buy", SYMBOL, "3")))
        told = trader.bridge.said
        return answer.text, told["refused"], told["error"], trader.bridge.calls.qsize()

    text, refused, errors, calls = parts(story, start="09:30:00")
    assert text.startswith("✋") and (refused, errors, calls) == (1, 0, 0)


def test_a_new_phone_has_heard_and_told_nothing():
    """The first word of its owner counts, the first stranger is logged."""
    made, _ = phone()
    assert (made.newest, made.strangers, made.sent, made.failed) == (0, 0, 0, 0)
    assert (made.trouble, made.pairing, made.outbox) == ("", "", [])


async def test_an_end_of_telegram_is_told_once_and_a_usual_one_not(caplog):
    """Cancelled, done, broken: only the last is a death."""

    async def broken():
        raise ValueError("odd")

    tasks = [asyncio.create_task(asyncio.sleep(n)) for n in (0, 100)]
    tasks.append(asyncio.create_task(broken()))
    await asyncio.sleep(0.01)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        bot._log_death(task)
    assert [each.getMessage() for each in caplog.records] == [
        "Telegram ended (ValueError: odd); alerts go to the log only"
    ]


async def test_a_sign_of_life_goes_out_with_the_first_beat_and_each_minute():
    """No beat, no sign; without a new one the switch elsewhere is left to ring."""
    asked, watchdog = [], SimpleNamespace(beats=0)

    class Reply:
        status = 200

        async def __aenter__(self):
            return self

        async def __aexit__(self, *error):
            return None

    session = SimpleNamespace(get=lambda url, **how: asked.append(url) or Reply())
    doors = bot.SideDoors(
        SimpleNamespace(webhook_url=bot.SecretStr(""), heartbeat_url=bot.SecretStr("http://x"))
    )
    for beats in (0, 1, 2):
        watchdog.beats = beats
        task = asyncio.create_task(doors._live(session, watchdog))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert asked == ["http://x"] * bool(beats)
        asked.clear()


# --- gate and trader ------------------------------------------------------------------------------


def test_what_is_being_sold_is_no_part_of_what_is_being_bought(tmp_path):
    """Held at cost and resting buys make the total; a resting sell of any price adds nothing."""
    stage = Stage(tmp_path)
    stage.hold(HELD, 20, 50_000)
    for _ in range(2):
        stage.write(stage.intent(quantity=10, price=95_000))
    stage.write(sell(stage, quantity=10, price=90_000))
    fits = stage.write(stage.intent(quantity=1, price=100_000))
    over = stage.write(stage.intent(quantity=1, price=1))
    assert bot.gate_total(stage.gate, bot.OrderCall("new", fits)) != "" and over is not None
    stage.answer(over, bot.OrderEvent.NOT_SENT)
    assert bot.gate_total(stage.gate, bot.OrderCall("new", fits)) == ""
    stage.journal.close()


def test_a_question_that_is_wanted_is_put_at_once():
    """Who waits for the next one does not wait for the next round."""

    async def story(life, trader):
        loop, broker = asyncio.get_running_loop(), trader.broker
        broker.agenda.is_held = lambda symbol: False
        began = loop.time()
        waiting = asyncio.create_task(broker.next_question(("price",), False))
        await asyncio.sleep(1.0)
        idle = not waiting.done()
        broker.want(bot.Ask("price", SYMBOL))
        ask = await waiting
        return idle, ask, loop.time() - began

    idle, ask, took_s = parts(story)
    assert (idle, ask) == (True, bot.Ask("price", SYMBOL)) and took_s == pytest.approx(
        1.0, abs=0.01
    )


@pytest.mark.parametrize("slept_s", [0.0, 3.9, 5.1, 600.0])
def test_a_host_that_slept_shows_in_the_market_time_alone(slept_s):
    """The loop's own time stood still with it: stops may have been missed all the same."""

    async def story(life, trader):
        def slept():
            life.world.clock._start += timedelta(seconds=slept_s)
            life.world.clock._last = (-1.0, life.world.clock._start)

        return await suspensions_told(trader, slept)

    suspended = slept_s > bot.SUSPENDED_S
    assert parts(story, start="09:30:00") == (suspended, suspended)


def test_a_question_that_was_answered_is_no_longer_under_way():
    """One left behind would starve the watchdog two minutes later, and end a sound bot."""

    async def story(life, trader):
        for what in ("cash", "orders", "holdings"):
            await trader._put(bot.Ask(what), "account")
        return dict(trader._busy_since)

    assert parts(story, start="09:30:00") == {}


def test_one_day_on_a_closed_day_says_that_there_is_none():
    """A Saturday: told with the next session, ended at once, without a report of a day."""

    async def story(life, trader):
        life.world.clock._start = edge.at("10:00:00") + timedelta(days=1)
        life.world.clock._last = (-1.0, life.world.clock._start)
        await trader.run(one_day=True)
        return [(row.ref, json.loads(row.body)) for row in trader.journal.rows("alert", "day")]

    told = parts(story)
    assert [ref for ref, _ in told] == ["started", "closed_day", "stopped"]
    assert told[-1][1]["why"].startswith("no session now")


@pytest.mark.parametrize("word_s", [0.0, 0.5, math.inf])
def test_the_end_waits_for_words_that_have_not_left_two_seconds_at_most(word_s):
    """What was told last reaches whoever it is for; an address that is dead holds nothing up."""

    async def story(life, trader):
        life.world.clock._start = edge.at("10:00:00") + timedelta(days=1)
        life.world.clock._last = (-1.0, life.world.clock._start)
        loop, words = asyncio.get_running_loop(), trader.bridge.doors.waiting
        began = loop.time()
        if word_s:
            words.append("sold")
        if word_s < math.inf:
            loop.call_later(word_s, words.clear)
        await trader.run(one_day=True)
        return loop.time() - began

    assert parts(story) == pytest.approx(min(word_s, 2.0), abs=0.1)


def test_a_month_is_one_of_its_own_year():
    """Last year's November is another one."""

    async def story(life, trader):
        for day, net in (
            ("2025-11-20", 1_000),
            ("2026-10-30", 100),
            ("2026-11-19", 10),
            ("2026-11-20", 1),
        ):
            trader.bridge.execute([bot.Record("day", day, {"net": net})])
        return trader._teller._month("2026-11-20")

    assert parts(story) == 11


def test_each_day_counts_its_own_trades_and_losses():
    """What the day before counted stands in no report of this one."""

    async def story(life, trader):
        trader.counts |= {"Trade": 7, "bad frames": 2, "suspended": 1}
        trader.inbox.lost = 3
        trader.stop("enough")
        await trader._trade_day(SESSION)
        return sum(trader.counts.values()), trader.inbox.lost

    assert parts(story, start="08:40:00") == (0, 0)


@pytest.mark.parametrize(
    ("start", "refusals", "asked"),
    [("09:30:00", 9, 3), ("08:54:00", 9, 4), ("09:30:00", 2, 3), ("08:40:00", 9, 10)],
)
def test_the_list_of_an_earlier_day_is_given_up_when_the_market_waits(start, refusals, asked):
    """Three refusals with the market open or five minutes before; earlier in the morning never."""

    async def story(life, trader):
        with_open_order_of_yesterday(trader)
        await trader.broker.auth.token()
        await asyncio.sleep(2)
        life.wire.script["inquire-daily-ccld"] = [NO] * refusals
        await trader.morning._end_earlier_day(SESSION)
        return len(life.wire.of("inquire-daily-ccld"))

    assert parts(story, start=start) == asked


# --- settings -------------------------------------------------------------------------------------


def test_a_fault_of_our_section_has_its_line_also_beside_real_keys():
    """Those of the real keys have none: they stand in a file of their own."""
    text = LIVE_FILE.replace("max_order_krw: 1000000", "max_order_krw: x")
    with pytest.raises(bot.SettingsError) as caught:
        bot.read_settings(text, {}, "real", LIVE_KEYS.replace("my_sec", "my_secret"))
    lines = {fault.key: fault.line for fault in caught.value.faults}
    line = [n for n, each in enumerate(text.splitlines(), 1) if "max_order_krw" in each]
    assert lines.pop("bot.limits.max_order_krw") == line[0]
    assert lines and not any(lines.values())


@pytest.mark.parametrize(
    ("key", "shown"),
    [("x" * 30, True), ("x" * 31, False), ("a\tb", False), ("a\x00b", False), ("한글", True)],
)
def test_a_key_is_shown_when_it_is_short_and_can_be_printed(key, shown):
    """Thirty characters; one with a control character in it could be anything."""
    assert bot._named(key) == (key if shown else f"(key of {len(key)} characters)")


@pytest.mark.parametrize(
    ("value", "shown"),
    [("x" * 22, True), ("x" * 23, False), ("http://" + "x" * 53, True), ("http://" + "x" * 54, False),
     (10**23, True), (10**24, False), ([1, 2], False), ("12345678", False), ("1234567", True)],
)  # fmt: skip
def test_a_value_is_shown_when_it_is_too_short_for_a_secret(value, shown):
    """24 characters with its quotes, an address up to 62; of anything else only the kind is told."""
    text = repr(value) if isinstance(value, str) else str(value)
    assert (bot._shown(value) == text) is shown
    if not shown:
        assert f"of {len(text)} characters" in bot._shown(value)
        assert json.dumps(value)[1:20] not in bot._shown(value)
