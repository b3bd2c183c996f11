"""The outbox: late messages are marked, an outage costs and doubles nothing, a fill rings."""

import asyncio
import contextlib
import json

import edge
import harness
import pytest
import telegram.ext  # noqa: F401  not while a clock runs

import kis_realtime_trading as bot
from companions import telegram_server

TOKEN, OWNER = "8012345678:AAHwx-plantedTokenOfTheBot_1234567890", 4242


@contextlib.asynccontextmanager
async def outbox(late_s=60.0):
    """Run a TelegramBot beside its server."""
    async with telegram_server.serve(TOKEN, OWNER) as (api, url):
        box = bot.TelegramBot(bot.Secret(TOKEN), str(OWNER), url)
        box.LATE_S, box.late_mark = late_s, "late"
        task = asyncio.create_task(box.run())
        try:
            yield api, box
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_late_message_says_when_it_was_true():
    """Marked with its time; a punctual one is not."""
    async with outbox(late_s=0.5) as (api, box):
        api.fault(502, "sendMessage", times=1)
        box.post("late one", clock="10:12")
        await edge.until(lambda: api.sent)
        box.post("punctual")
        await edge.until(lambda: len(api.sent) == 2)
    assert api.texts == ["[late 10:12] late one", "punctual"]


async def test_after_an_outage_what_waited_comes_as_one_digest():
    """In order, each with its time; urgent ones before and by themselves; rows are told."""
    async with outbox(late_s=0.5) as (api, box):
        told = []
        box.on_told = told.append
        api.fault(502, "sendMessage", times=1)
        for number in range(6):
            box.post(f"message {number}", clock=f"10:0{number}")
        box.post("urgent", urgent=True, row=7, clock="10:09")
        await edge.until(lambda: not box.outbox)
    assert api.texts[0] == "[late 10:09] urgent" and told == [7]
    assert len(api.texts) == 2
    lines = api.texts[1].split("\n")
    assert lines == ["[late]", *(f"10:0{number} message {number}" for number in range(6))]


async def test_a_huge_digest_is_cut_into_messages_that_telegram_takes():
    """Four thousand characters at most; nothing is left out."""
    async with outbox(late_s=0.2) as (api, box):
        api.fault(502, "sendMessage", times=1)
        for number in range(100):
            box.post(f"message {number:03d} " + "x" * 90)
        await edge.until(lambda: not box.outbox)
    joined = "\n".join(api.texts)
    assert all(joined.count(f"message {number:03d} ") == 1 for number in range(100))
    assert 3 <= len(api.texts) <= 5 and max(map(len, api.texts)) <= 4096


def test_a_change_that_a_fill_forestalled_is_not_told_on_the_phone():
    """Nothing is wrong: the order had nothing left to change; another refusal is told."""
    world = harness.World(edge.config())

    async def main():
        trader = world.make_trader(harness.Nothing())
        trader.bridge.telegram = bot.TelegramBot(bot.Secret(TOKEN), str(OWNER))
        for note in ("40330000 모의투자 정정/취소할 수량이 없습니다.", "40350000 다른 이유"):
            values = {"symbol": "005930", "side": bot.Side.SELL, "quantity": 1, "note": note}
            trader.bridge.execute([bot.Alert("change_refused", values)])
        trader.journal.close()
        return trader.bridge.telegram.outbox

    try:
        [told] = harness.run_virtual(main())
    finally:
        world.close()
    assert "다른 이유" in told


@pytest.mark.parametrize(
    ("users", "chat", "told"), [((OWNER,), OWNER, 0), ((OWNER,), -77, 1), ((OWNER, 7), OWNER, 1)]
)
def test_a_level_is_not_told_to_him_who_set_it_just_now(users, chat, told):
    """His answer says it; other readers of the chat are told. Refusals by a level are known by it."""
    world = harness.World(edge.config())

    async def main():
        trader = world.make_trader(harness.Nothing())
        trader.bridge.telegram = bot.TelegramBot(bot.Secret(TOKEN), str(chat), users=users)
        owner = bot.Phone(trader)
        answer = owner.obey(bot.PhoneWord(1, OWNER, "stop")).text
        first = trader.bridge.telegram.outbox
        refused = {
            "symbol": "005930",
            "side": bot.Side.BUY,
            "quantity": 1,
            "numbers": "ENTRIES_OFF",
        }
        for code in ("LEVEL", "CASH"):
            trader.bridge.execute([bot.Alert("refused", {**refused, "code": code})])
        trader.set_level("REDUCE_ONLY", "a rule")
        box = trader.bridge.telegram.outbox
        trader.journal.close()
        return answer, first, box

    try:
        answer, first, box = harness.run_virtual(main())
    finally:
        world.close()
    assert "신규 중지" in answer and len(first) == told
    assert [text[0] for text in box[told:]] == ["✋", "⛔"] and "CASH" in box[told]
    assert all("휴대폰 /stop" in text for text in first)


# --- what rings ---


def order(code, side=bot.Side.BUY, symbol="005930"):
    return bot.Alert(code, {"symbol": symbol, "side": side, "quantity": 1})


def test_a_fill_rings_and_its_order_is_not_told():
    """A resting order may be filled an hour later: what came of it is told, by its kind."""
    world = harness.World(edge.config())

    async def main():
        trader = world.make_trader(harness.Nothing())
        trader.bridge.telegram = telegram = bot.TelegramBot(bot.Secret(TOKEN), str(OWNER))
        more = {"price": 5, "average": 5, "total": 1, "left": 1, "reason": "x"}
        for code in ("order_sent", "partly_filled", "filled"):
            alert = order(code)
            trader.bridge.execute([alert._replace(values={**alert.values, **more})])
        trader.journal.close()
        return [(each.text[0], each.silent) for each in telegram._usual]

    try:
        assert harness.run_virtual(main()) == [("◐", True), ("✔", False)]
    finally:
        world.close()


@pytest.mark.parametrize(
    ("alert", "kind"),
    [
        (order("order_cancelled"), "entry"), (order("order_sent"), "screen"), (order("filled", bot.Side.SELL), "exit"),
        (order("partly_filled"), "fill"), (bot.Alert("round_closed", {}), "exit"),
        (bot.Alert("trouble", {}), "warning"), (bot.Alert("day_report", {}), "report"),
    ],
)  # fmt: skip
def test_every_alert_has_a_kind_for_the_choice_of_noise(alert, kind):
    """What is no order, start or report is a warning."""
    assert bot.kind_of(alert) == kind
    others = {"urgent", "screen", "line"}
    assert set(bot.KINDS.values()) == {*bot.DEFAULT_NOISE, *others}


def test_the_choice_of_noise_is_obeyed_and_outlives_a_restart():
    """Settings, then the owner's word; what is urgent rings whatever was chosen."""
    world = harness.World(edge.config(), settings={"notify": {"report": "off", "warning": "off"}})

    async def main():
        boxes = []
        for word in ("off", None):
            trader = world.make_trader(harness.Nothing())
            trader.bridge.telegram = bot.TelegramBot(bot.Secret(TOKEN), str(OWNER))
            if word:
                said = bot.PhoneWord(1, OWNER, "notify", ("entry", word))
                assert "(entry): 끔" in bot.Phone(trader).obey(said).text
            for code in ("order_cancelled", "order_unknown", "no_trades"):
                trader.bridge.execute(
                    [bot.Alert(code, {"symbol": "005930", "side": bot.Side.BUY, "quantity": 1,
                                      "price": 5, "reason": "x", "minutes": 5, "order_no": "1"})]
                )  # fmt: skip
            boxes.append(trader.bridge.telegram.outbox)
            trader.journal.close()
        return boxes

    try:
        boxes = harness.run_virtual(main())
    finally:
        world.close()
    assert [len(box) for box in boxes] == [1, 1] and all("결과 불명" in box[0] for box in boxes)


async def test_a_picture_for_the_chat_comes_silent_after_the_words_and_in_no_digest():
    """An hour without Telegram: the words in one message, the picture still as a picture."""
    async with outbox(late_s=0.2) as (api, box):
        api.fault(502, times=2)
        for number in range(4):
            box.post(f"alert {number}")
        box.reply(bot.Answer(photo=b"\x89PNG picture"))
        await edge.until(lambda: len(api.sent) == 2)
    assert "alert 0" in api.texts[0] and "alert 3" in api.texts[0]
    assert api.sent[1].photo and api.sent[1].chat_id == OWNER
    [call] = [form for method, form in api.calls if method == "sendPhoto"]
    assert call["disable_notification"] in ("true", "True")


# --- the whole bot ---


async def test_five_minutes_without_telegram_amid_fills_lose_and_double_nothing(tmp_path):
    """Every buy that was filled and every round trip stands in the chat, as often as it happened."""
    async with (
        telegram_server.serve(TOKEN, OWNER) as (api, url),
        edge.served(tmp_path, start="08:59:30", speed=60.0, density=30.0) as (desk, there),
    ):
        settings = harness.make_settings(
            desk.sim, telegram_api=url, symbols=["005930"], rest_calls_per_second=1000,
            limits={"max_data_age_s": 100, "max_quote_age_s": 60, "losses_in_a_row": 20,
                    "losses_in_a_row_all": 50}, exit_step_s=60,
            market_clock={"unix": there.clock.unix0, "market": there.clock.start, "speed": 60.0},
        )  # fmt: skip
        settings = bot.replace(
            settings, profile=desk.profile, telegram_token=bot.Secret(TOKEN),
            telegram_chat=str(OWNER),
        )  # fmt: skip
        journal = bot.Journal(tmp_path / "journal.sqlite3")
        services = bot.Services(
            desk.clock, desk.transport, bot.connect_websocket, journal, tmp_path
        )
        wishes = [
            harness.Wish(f"{hour:02d}:{minute:02d}:00", "005930", 5, plan=(0.997, 1.003))
            for hour in range(9, 15)
            for minute in range(2, 60, 2)
        ]
        trader = bot.Trader(settings, harness.Scripted(wishes), services, harness.past_of(journal))
        trader.bridge.telegram.LATE_S = 0.3
        run = asyncio.create_task(trader.run(one_day=True))
        rounds = lambda: [row for row in journal.rows("alert") if row.ref == "round_closed"]  # noqa: E731
        await edge.until(lambda: rounds(), 150)
        api.fault(502, times=10_000)  # no network to Telegram
        cut_at, before = trader.clock.now(), len(rounds())
        await edge.until(lambda: (trader.clock.now() - cut_at).total_seconds() >= 300, 150)
        await edge.until(lambda: len(rounds()) >= before + 2, 150)
        api.faults.clear()
        trader.set_level("FLATTEN_AND_HALT", "test")
        await edge.until(lambda: not trader.engine.core.ledger.open_orders(), 100)
        await edge.until(lambda: not trader.bridge.telegram.outbox, 100)
        rows = list(journal.rows("alert"))
        trader.stop("enough")
        await run
        journal.close()
    chat = "\n".join(api.texts).replace("005930", "삼성전자")  # before the balance named it
    told = [
        bot.say(bot.Alert(row.ref, {**json.loads(row.body), "symbol": "삼성전자"}), "ko")
        for row in rows
        if row.ref == "round_closed" or (row.ref == "filled" and '"BUY"' in row.body)
    ]
    assert len(told) >= 6
    assert [text for text in told if chat.count(text) != told.count(text)] == []
