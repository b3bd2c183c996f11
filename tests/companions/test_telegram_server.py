"""The phone through the real library, against the small Bot API server on loopback."""

import asyncio
import contextlib

import edge
import harness
import pytest
import telegram.ext  # noqa: F401  not while a clock runs

import kis_realtime_trading as bot
from companions import telegram_server

TOKEN, OWNER = "8012345678:AAHwx-plantedTokenOfTheBot_1234567890", 4242


@contextlib.asynccontextmanager
async def phone(users=(OWNER,), obey=lambda word: bot.Answer(f"heard {word.command}"), newest=0):
    """Run a TelegramBot that answers every word, beside its server."""
    async with telegram_server.serve(TOKEN, OWNER) as (api, url):
        box = bot.TelegramBot(bot.Secret(TOKEN), str(OWNER), url, users)
        box.obey, box.newest = obey, newest
        task = asyncio.create_task(box.run())
        try:
            yield api, box
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_word_is_heard_once_and_answered():
    """The update is confirmed by the next question's offset."""
    words = []
    async with phone(obey=lambda word: words.append(word.command) or bot.Answer("done")) as (
        api,
        _,
    ):
        number = api.say("/stop")
        await edge.until(lambda: api.texts == ["done"] and api.confirmed == number + 1)
    assert words == ["stop"]


async def test_strangers_old_and_seen_words_do_nothing():
    """Counted, not answered."""
    words = []
    async with phone(obey=lambda word: words.append(word.command) or bot.Answer(), newest=1000) as (
        api,
        box,
    ):
        api.say("/resume")  # update 1000, seen before the restart
        api.say("/resume", age_s=100)
        api.say("/resume", **{"from": {"id": 7, "is_bot": False, "first_name": "x"}})
        api.say("/stop")
        await edge.until(lambda: words)
    assert words == ["stop"] and box.strangers == 1


async def test_without_listed_people_nothing_is_read():
    """An empty list: no question for updates at all."""
    async with phone(users=()) as (api, box):
        api.say("/stop")
        box.post("hello")
        await edge.until(lambda: api.texts == ["hello"])
        assert {method for method, _ in api.calls} == {"sendMessage"}


@pytest.mark.parametrize("effect", [502, "garbage", "big", "lost reply"])
async def test_trouble_of_the_server_costs_a_pause_not_a_message(effect):
    """Also a body of 5 MB, which is not read to its end; a lost reply may double a message."""
    async with phone(users=()) as (api, box):
        api.fault(effect, "sendMessage")
        box.post("one")
        box.post("two")
        await edge.until(lambda: "two" in api.texts)
    assert list(dict.fromkeys(api.texts)) == ["one", "two"]


async def test_a_redirect_is_not_followed():
    """The token goes to the host of the settings and to no other."""
    async with telegram_server.serve("other", 1) as (other, there), phone(users=()) as (api, box):
        api.fault("redirect", "sendMessage", to=f"{there}/botother/sendMessage")
        box.post("one")
        await edge.until(lambda: api.texts == ["one"])
        assert other.calls == []


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    """One rule for KIS and Telegram: straight to the host."""
    async with telegram_server.serve("other", 1) as (other, there):
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, there)
        async with phone(users=()) as (api, box):
            box.post("one")
            await edge.until(lambda: api.texts == ["one"])
        assert other.calls == []


async def test_a_chat_that_moved_is_followed():
    """The group became a supergroup: nothing is lost."""
    async with phone(users=()) as (api, box):
        api.fault("migrate", "sendMessage", chat=-1001)
        box.post("one")
        await edge.until(lambda: api.texts == ["one"])
        assert api.sent[0].chat_id == -1001


async def test_a_chat_that_moved_between_a_message_and_its_edit_is_followed():
    """The message of before stays behind in the old chat: its news is a new message, and all goes on."""
    async with phone(users=()) as (api, box):
        box.post("sent", key="a")
        await edge.until(lambda: api.texts == ["sent"])
        api.fault("migrate", "editMessageText", chat=-1001, times=1_000)
        box.post("filled", key="a")
        await edge.until(lambda: "filled" in api.texts)
        box.post("later", urgent=True)
        await edge.until(lambda: "later" in api.texts)
        assert [each.chat_id for each in api.sent] == [OWNER, -1001, -1001]


async def test_a_second_reader_is_trouble_until_it_ends():
    """409 is named as long as it lasts."""
    async with phone() as (api, box):
        api.fault(409, "getUpdates")
        await edge.until(lambda: box.trouble)
        api.say("/status")
        await edge.until(lambda: api.texts == ["heard status"])
        assert box.trouble == ""


# --- what the words do ---


def test_words_move_the_switch_of_a_trading_bot(tmp_path):
    """Down at once; up and selling all only by the code; each word a row before it acts."""
    world = harness.World(edge.config(), start="08:55:00")

    async def main():
        driver = asyncio.create_task(world.network.drive())
        trader = world.make_trader(harness.Scripted([]))
        run = asyncio.create_task(trader.run(one_day=True))
        await world.until("09:30:00")
        owner = bot.Phone(trader)
        numbers = iter(range(1, 100))

        def say(command, *arguments):
            return owner.obey(bot.PhoneWord(next(numbers), OWNER, command, arguments)).text

        levels = []
        for command in ("stop", "reduce", "stop", "resume"):
            answer = say(command)
            levels.append(trader.engine.core.ledger.level.name)
        code = answer.split()[-1]
        say("yes", "000000" if code != "000000" else "111111")
        levels.append(trader.engine.core.ledger.level.name)
        say("yes", say("resume").split()[-1])
        levels.append(trader.engine.core.ledger.level.name)
        shown = say("status")
        rows = [row.ref for row in trader.journal.rows("phone")]
        trader.stop("enough")
        await run
        trader.journal.close()
        driver.cancel()
        return levels, shown, rows

    try:
        levels, shown, rows = harness.run_virtual(main())
    finally:
        world.close()
    tight = ["ENTRIES_OFF", "REDUCE_ONLY", "REDUCE_ONLY", "REDUCE_ONLY"]
    assert [*tight, "REDUCE_ONLY", "ACTIVE"] == levels
    assert "오늘" in shown and "{" not in shown
    assert rows == ["1", "2", "3", "7"]  # what acted


def test_a_round_trip_is_told_in_one_line_with_its_gain(tmp_path):
    """Name or code, shares, price, won after all costs, per cent, minutes, reason, the day so far."""
    values = {
        "mark": "▲", "symbol": "현대차", "quantity": 13, "price": 219_500.0, "gain": "+62,300",
        "percent": "+2.2", "minutes": 41, "reason": "target", "day": "+207,583",
    }  # fmt: skip
    told = bot.say(bot.Alert("round_closed", values), "ko")
    assert (
        told == "▲ 현대차 13주 매도 219,500 · +62,300원 (+2.2%, 41분, 목표가), 오늘 실현 +207,583"
    )


def test_the_gain_told_is_the_gain_of_the_books(tmp_path):
    """The sum of the rounds told equals the day's net result, but for parts of a won."""
    world = harness.World(edge.config(density=4.0), start="08:55:00")

    async def main():
        driver = asyncio.create_task(world.network.drive())
        wishes = [harness.Wish("09:20:00", "005930", 5, 5), harness.Wish("09:40:00", "005930", -5, -40),
                  harness.Wish("10:20:00", "005930", 7, 5), harness.Wish("10:40:00", "005930", -7, -40)]  # fmt: skip
        trader = world.make_trader(harness.Scripted(wishes))
        run = asyncio.create_task(trader.run(one_day=True))
        await world.until("09:58:00")
        trader.set_level("FLATTEN_AND_HALT", "test")
        await world.until("10:10:00")
        ledger = trader.engine.core.ledger
        net, flat = ledger.today.net_krw, not ledger.position("005930").quantity
        rows = [
            bot.json.loads(r.body) for r in trader.journal.rows("alert") if r.ref == "round_closed"
        ]
        trader.stop("enough")
        await run
        trader.journal.close()
        driver.cancel()
        return net, flat, rows

    try:
        net, flat, rows = harness.run_virtual(main())
    finally:
        world.close()
    assert flat and rows
    assert abs(sum(int(row["gain"].replace(",", "")) for row in rows) - net) <= len(rows)
    assert rows[-1]["day"] == f"{net:+,}"


def test_an_urgent_alert_that_was_not_told_is_told_by_the_next_process():
    """Marked late; once it arrived it is written down and never told again. Usual ones are over."""
    world = harness.World(edge.config(), start="08:55:00")

    async def main():
        trader = world.make_trader(harness.Scripted([]))
        bridge = trader.bridge
        values = {"symbol": "005930", "side": bot.Side.SELL, "quantity": 3}
        bridge.execute([bot.Alert("order_unknown", values), bot.Alert("feed_back", {"count": "7"})])
        bridge.execute([bot.Alert("error", {"what": "second"})])
        boxes = []
        for told in ((), (1,), (1, 3)):
            for row in told:
                bridge.note_told(row)
            trader.journal.close()
            trader = world.make_trader(harness.Scripted([]))
            bridge = trader.bridge
            mark = bridge.telegram.late_mark
            bridge.telegram = bot.TelegramBot(bot.Secret(TOKEN), str(OWNER))
            bridge.telegram.late_mark = mark
            bridge.tell_again()
            boxes.append(bridge.telegram.outbox)
        rows = [(row.seq, row.ref) for row in trader.journal.rows("alert")]
        trader.journal.close()
        return boxes, rows

    try:
        (both, one, none), rows = harness.run_virtual(main())
    finally:
        world.close()
    assert rows == [(1, "order_unknown"), (2, "feed_back"), (3, "error")]
    assert len(both) == 2 and both[0].startswith("[늦은 알림 ") and "매도 3주" in both[0]
    assert [both[1]] == one and none == []


async def test_what_arrived_is_reported_by_its_row():
    """The mark is made after the server took the message, not before."""
    async with phone(users=()) as (api, box):
        arrived = []
        box.on_told = arrived.append
        api.fault(502, "sendMessage")
        box.post("urgent", urgent=True, row=17)
        box.post("usual")
        await edge.until(lambda: api.texts == ["urgent", "usual"])
    assert arrived == [17]


async def test_an_answer_goes_to_the_person_not_to_the_chat_of_alerts():
    """A code is nobody else's business, where alerts go to a group."""
    async with telegram_server.serve(TOKEN, OWNER) as (api, url):
        api.chats.add(-77)
        box = bot.TelegramBot(bot.Secret(TOKEN), "-77", url, (OWNER,))
        box.obey = lambda word: bot.Answer("code")
        task = asyncio.create_task(box.run())
        box.post("alert")
        api.say("/resume")
        await edge.until(lambda: len(api.sent) == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert {(each.chat_id, each.text) for each in api.sent} == {(-77, "alert"), (OWNER, "code")}


async def test_garbage_is_one_short_line_in_the_log(caplog):
    """The library would log the whole answer with a trace, at every try."""
    async with phone(users=()) as (api, box):
        api.fault("garbage", "sendMessage")
        api.fault("big", "sendMessage", size=900_000)
        box.post("one")
        await edge.until(lambda: api.texts == ["one"])
    lines = [record for record in caplog.records if record.levelno >= 30]
    assert len(lines) == 2 and all(record.exc_info is None for record in lines)
    assert max(len(record.getMessage()) for record in lines) < 200


async def test_stop_from_the_phone_takes_effect_within_two_seconds_while_it_trades(tmp_path):
    """Through the real library and sockets; the same update after a restart does nothing."""
    async with (
        telegram_server.serve(TOKEN, OWNER) as (api, url),
        edge.served(tmp_path, start="08:59:00", speed=600.0, density=5.0) as (desk, there),
    ):
        trader = edge.with_phone(
            desk, there, (url, TOKEN, OWNER), harness.Nothing(), telegram_users=[OWNER]
        )
        run = asyncio.create_task(trader.run(one_day=True))
        await edge.until(lambda: trader.counts["Trade"] > 20)
        number = api.say("/stop")
        level = bot.KillLevel.ENTRIES_OFF
        await edge.until(lambda: trader.engine.core.ledger.level is level, 2.0)
        await edge.until(lambda: any("신규 중지" in text for text in api.texts))
        assert trader.bridge.telegram.newest == number
        trader.stop("enough")
        await run
        rows = [row.ref for row in trader.journal.rows("phone")]
        trader.journal.close()
    assert rows == [str(number)]
