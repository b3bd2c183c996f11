"""The outbox: one message follows an order, late ones are marked, an outage costs and doubles nothing."""

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


def by(key, silent=False, clock="10:00"):
    return {"key": key, "silent": silent, "clock": clock}


async def test_a_message_with_a_key_takes_the_place_of_the_earlier_one():
    """Sent, filled, closed: one message, edited in place; another key is another message."""
    async with outbox() as (api, box):
        for text in ("sent", "filled", "closed"):
            box.post(text, **by("a"))
            await edge.until(lambda text=text: api.texts == [text])
        box.post("other", **by("b"))
        await edge.until(lambda: api.texts == ["closed", "other"])
    assert [each.edits for each in api.sent] == [2, 0]


async def test_what_waits_is_replaced_and_not_sent_twice():
    """While nothing gets through only the newest state of an order waits."""
    async with outbox() as (api, box):
        api.fault(502, "sendMessage", times=2)
        for text in ("sent", "filled", "closed"):
            box.post(text, **by("a"))
        assert box.outbox == ["closed"]
        await edge.until(lambda: api.texts == ["closed"])
    assert api.sent[0].edits == 0


async def test_a_message_that_cannot_be_edited_is_sent_anew():
    """Deleted by the owner, or too old."""
    async with outbox() as (api, box):
        box.post("sent", **by("a"))
        await edge.until(lambda: api.texts == ["sent"])
        api.sent.clear()
        box.post("closed", **by("a"))
        await edge.until(lambda: api.texts == ["closed"])


async def test_the_same_text_again_is_no_new_message():
    """Telegram refuses an edit that changes nothing: that is fine."""
    async with outbox() as (api, box):
        for _ in range(2):
            box.post("same", **by("a"))
            await edge.until(lambda: not box.outbox)
    assert api.texts == ["same"]


async def test_a_late_message_says_when_it_was_true():
    """Marked with its time; a punctual one is not."""
    async with outbox(late_s=0.5) as (api, box):
        api.fault(502, "sendMessage", times=1)
        box.post("late one", **by("", clock="10:12"))
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
            box.post(f"message {number}", **by("", clock=f"10:0{number}"))
        box.post("urgent", urgent=True, row=7, **by("", clock="10:09"))
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


async def test_a_silent_message_does_not_ring():
    """The flag of Telegram; one that rings is not made silent by what replaces it."""
    async with outbox() as (api, box):
        box.post("silent", **by("a", silent=True))
        box.post("rings", **by("b"))
        box.post("rings still", **by("b", silent=True))
        await edge.until(lambda: not box.outbox)
    flags = [form.get("disable_notification") for _, form in api.calls]
    assert ["true" in str(flag).lower() for flag in flags] == [True, False]


# --- which alert belongs to which message ---


def order(code, side=bot.Side.BUY, symbol="005930"):
    return bot.Alert(code, {"symbol": symbol, "side": side, "quantity": 1})


def test_an_entry_has_a_message_and_a_whole_exit_has_one():
    """Each entry order its own; an exit that needs three orders is one story until it is closed."""
    threads, sell = bot.Threads(), bot.Side.SELL
    story = [
        order("order_sent"), order("partly_filled"), order("filled"), order("order_sent", sell),
        order("order_refused", sell), order("order_sent", sell), order("partly_filled", sell),
        order("filled", sell), bot.Alert("round_closed", {"symbol": "005930"}),
        order("order_sent"), order("order_cancelled"), order("order_sent", sell),
    ]  # fmt: skip
    keys = [threads.key(alert) for alert in story]
    assert len({keys[0], keys[3], keys[9], keys[11]}) == 4
    assert set(keys[:3]) == {keys[0]} and set(keys[3:9]) == {keys[3]} and keys[10] == keys[9]


def test_stocks_do_not_share_a_message_and_other_alerts_stand_alone():
    """A doubt is a message of its own."""
    threads = bot.Threads()
    assert threads.key(order("order_sent")) != threads.key(order("order_sent", symbol="000660"))
    assert threads.key(order("order_unknown")) == threads.key(bot.Alert("error", {})) == ""


@pytest.mark.parametrize(
    ("alert", "kind"),
    [
        (order("order_cancelled"), "entry"), (order("order_sent"), "entry"), (order("filled", bot.Side.SELL), "exit"),
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
            for code in ("order_sent", "order_unknown", "no_trades"):
                trader.bridge.execute(
                    [bot.Alert(code, {"symbol": "005930", "side": bot.Side.BUY, "quantity": 1,
                                      "price": 5, "reason": "x", "minutes": 5})]
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
            box.post(f"alert {number}", **by(""))
        box.reply(bot.Answer(photo=b"\x89PNG picture"))
        await edge.until(lambda: len(api.sent) == 2)
    assert "alert 0" in api.texts[0] and "alert 3" in api.texts[0]
    assert api.sent[1].photo and api.sent[1].chat_id == OWNER
    [call] = [form for method, form in api.calls if method == "sendPhoto"]
    assert call["disable_notification"] in ("true", "True")


# --- the whole bot ---


async def test_five_minutes_without_telegram_amid_fills_lose_and_double_nothing(tmp_path):
    """Every entry and every round trip stands in the chat once, in its last state."""
    async with (
        telegram_server.serve(TOKEN, OWNER) as (api, url),
        edge.served(tmp_path, start="08:59:30", speed=60.0, density=30.0) as (desk, there),
    ):
        wishes = [
            harness.Wish(f"{hour:02d}:{minute:02d}:00", "005930", 5, plan=(0.997, 1.003))
            for hour in range(9, 15)
            for minute in range(2, 60, 2)
        ]
        limits = {"max_data_age_s": 100, "max_quote_age_s": 60, "losses_in_a_row": 20,
                  "losses_in_a_row_all": 50}  # fmt: skip
        changes = {"limits": limits, "exit_step_s": 60}
        phone = (url, TOKEN, OWNER)
        trader = edge.with_phone(desk, there, phone, harness.Scripted(wishes), **changes)
        journal = trader.journal
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
    threads, last = bot.Threads(), {}
    for row in rows:
        values = json.loads(row.body)
        if "side" in values:
            values["side"] = bot.Side(values["side"])
        if key := threads.key(bot.Alert(row.ref, values)):
            last[key] = bot.say(bot.Alert(row.ref, {**values, "symbol": "삼성전자"}), "ko")
    chat = "\n".join(api.texts).replace("005930", "삼성전자")  # before the balance named it
    closed = [text for text in last.values() if "오늘 실현" in text]
    assert len(closed) >= 3
    assert [text for text in closed if chat.count(text) != 1] == []
    assert [text for text in last.values() if text not in chat] == []
