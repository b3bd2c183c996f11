"""The phone's sender, listener and side doors against a server of a few lines, in virtual time."""

import asyncio
import contextlib
import functools
import itertools
from types import SimpleNamespace

import harness
import pytest
from telegram.error import BadRequest, Conflict, Forbidden, RetryAfter
from test_phone_words import NOW, OWNER, update

import kis_realtime_trading as bot


class Api:
    """A Bot API that answers by a script: an error, or nothing; it notes what it was sent."""

    def __init__(self, *script):
        self.script, self.sent, self.asked_s = list(script), [], []

    async def _answer(self, kind, *what, **how):
        self.asked_s.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.1)
        failure = self.script.pop(0) if self.script else None
        if failure is not None:
            raise failure
        self.sent.append((kind, *what, how))
        return SimpleNamespace(message_id=len(self.sent))

    async def send_message(self, chat, text, **how):
        return await self._answer("new", chat, text, **how)

    async def edit_message_text(self, text, **how):
        return await self._answer("edit", how["chat_id"], text)

    async def send_photo(self, chat, photo, **how):
        return await self._answer("photo", chat, how["caption"], **how)


def phone():
    """Return a phone with a token, and what was told to have arrived."""
    made, told = bot.TelegramBot(bot.Secret("1:a"), "42", users=(OWNER,)), []
    made.on_told = told.append
    return made, told


async def sending(telegram, api, seconds):
    """Send for a while."""
    task = asyncio.create_task(telegram._send_all(api))
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


FAILURES = (OSError("x"), Forbidden("x"), RetryAfter(3), TimeoutError(), None)


@pytest.mark.parametrize("failure", FAILURES, ids=[type(each).__name__ for each in FAILURES])
def test_an_alert_counts_as_told_when_it_has_arrived(failure):
    """Not while it fails; then once, whatever failed before, and nothing waits any more."""

    async def main():
        telegram, told = phone()
        api = Api(failure)
        telegram.post("a", urgent=True, row=7)
        await sending(telegram, api, 0.15)
        early = list(told)
        await sending(telegram, api, bot.LONG_PAUSE_S + 10)
        return early, told, [each[2] for each in api.sent], telegram.outbox

    early, told, sent, left = harness.run_virtual(main())
    assert (early, told, sent, left) == ([7] if failure is None else [], [7], ["a"], [])


def test_a_text_that_is_refused_for_good_goes_and_is_not_told():
    """The next goes on at once."""

    async def main():
        telegram, told = phone()
        api = Api(BadRequest("can't parse"))
        for row in (1, 2):
            telegram.post(f"t{row}", urgent=True, row=row)
        await sending(telegram, api, 1.0)
        return (
            told,
            [each[2] for each in api.sent],
            telegram.outbox,
            (telegram.sent, telegram.failed),
        )

    assert harness.run_virtual(main()) == ([2], ["t2"], [], (1, 1))


def test_pauses_after_failures_grow_and_begin_anew_after_a_success():
    """One second, two, four; a message that arrived; one second again."""

    async def main():
        telegram, _ = phone()
        api = Api(OSError(), OSError(), OSError(), None, OSError(), None)
        telegram.post("a")
        telegram.post("b")
        await sending(telegram, api, 20)
        return [round(b - a - 0.1, 3) for a, b in itertools.pairwise(api.asked_s)]

    assert harness.run_virtual(main()) == [1.0, 2.0, 4.0, 0.0, 1.0]


def test_a_key_edits_its_message_as_long_as_it_is_one_of_the_last_two_hundred():
    """An order of long ago gets a new message; the memory of their numbers does not grow."""

    async def main():
        telegram, _ = phone()
        api = Api()
        for n in (*range(201), 200, 0, 0):
            telegram.post(f"t{n}", key=f"k{n}")
            await sending(telegram, api, 0.5)
        return [each[0] for each in api.sent[-3:]], len(telegram._ids)

    assert harness.run_virtual(main()) == (["edit", "new", "edit"], 200)


def test_an_answer_comes_with_its_buttons_its_picture_and_its_bell():
    """Two buttons a row; to a person it rings, to the chat of alerts it does not."""

    async def main():
        telegram, _ = phone()
        api = Api()
        buttons = (("A", "/a"), ("B", "/b"), ("C", "/c"))
        telegram.reply(bot.Answer("words", buttons), OWNER)
        telegram.reply(bot.Answer("under it", photo=b"png"))
        telegram.reply(bot.Answer(), OWNER)
        await sending(telegram, api, 2.0)
        (kind, chat, text, how), picture = api.sent[0], api.sent[1]
        rows = [[each.callback_data for each in row] for row in how["reply_markup"].inline_keyboard]
        return kind, chat, text, rows, how["disable_notification"], picture[:3], picture[3]["disable_notification"], len(api.sent)  # fmt: skip

    assert harness.run_virtual(main()) == (
        "new", str(OWNER), "words", [["/a", "/b"], ["/c"]], False, ("photo", "42", "under it"), True, 2,
    )  # fmt: skip


@pytest.mark.parametrize(("between_s", "marked"), [(20.0, False), (55.0, True)])
def test_a_message_that_takes_the_place_of_another_is_as_late_as_that_one(between_s, marked):
    """An order that waited a minute is told as late, however new its last state is."""

    async def main():
        telegram, _ = phone()
        telegram.post("sent", key="k", clock="10:00")
        await asyncio.sleep(between_s)
        telegram.post("filled", key="k", clock="10:01")
        await asyncio.sleep(10.0)
        api = Api()
        await sending(telegram, api, 1.0)
        return [each[2] for each in api.sent]

    assert harness.run_virtual(main()) == ["[late 10:01] filled" if marked else "filled"]


def test_two_alerts_of_the_same_words_are_two():
    """Each has its row and its receipt."""

    async def main():
        telegram, told = phone()
        api = Api()
        for row in (1, 2):
            telegram.post("the same", urgent=True, row=row)
        await sending(telegram, api, 2.0)
        return told, len(api.sent), telegram.outbox

    assert harness.run_virtual(main()) == ([1, 2], 2, [])


def test_every_alert_of_a_digest_counts_as_told():
    """Five that waited an hour come as one message: five rows, five receipts, in their order."""

    async def main():
        telegram, told = phone()
        for row in range(1, 6):
            telegram.post(f"t{row}", urgent=True, row=row, clock="10:00")
        await asyncio.sleep(3_600)
        api = Api()
        await sending(telegram, api, 1.0)
        return told, [each[2] for each in api.sent]

    told, [text] = harness.run_virtual(main())
    assert told == [1, 2, 3, 4, 5]
    assert text.split("\n") == ["[late]", *(f"10:00 t{row}" for row in range(1, 6))]


# --- the listener ---


class Updates(Api):
    """A server of updates: lists of them, or errors; then nothing new."""

    def __init__(self, *script):
        super().__init__()
        self.script, self.offsets, self.seen = list(script), [], []

    async def set_my_commands(self, menu):
        self.seen.append("menu")

    async def get_updates(self, offset, **how):
        self.offsets.append(offset)
        await asyncio.sleep(0.5)
        found = self.script.pop(0) if self.script else []
        if isinstance(found, Exception):
            raise found
        return found


def given(made):
    """Return an update as the library gives it."""
    return SimpleNamespace(
        update_id=made["update_id"], to_dict=lambda: made, callback_query=made.get("callback_query")
    )


@contextlib.asynccontextmanager
async def listening(telegram, api):
    """Listen beside a test."""
    task = asyncio.create_task(telegram._listen(api))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_second_reader_is_trouble_until_the_next_good_answer():
    """Refused, disturbed, or heard again: what stands is of the last answer; the offset goes on."""

    async def main():
        telegram, _ = phone()
        telegram.newest = 1000
        api = Updates(
            Conflict("x"), [], Forbidden("y"), [given(update(1001)), given(update(1005))], []
        )
        seen = []
        async with listening(telegram, api):
            for wait_s in (0.7, 1.5, 0.7, bot.LONG_PAUSE_S + 0.5, 2.0):
                await asyncio.sleep(wait_s)
                seen.append(telegram.trouble.partition(" ")[0])
        return seen, api.offsets[:6], api.seen

    seen, offsets, menus = harness.run_virtual(main())
    assert seen == ["another", "", "Telegram", "", ""]
    assert offsets[0] == 1001 and offsets[-1] == 1006 and menus == ["menu"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_word_acts_once_though_doing_it_fails(monkeypatch, fails):
    """Its number counts before it is done: the same update again does nothing, the next one does."""
    monkeypatch.setattr(bot.time, "time", lambda: NOW)
    telegram, _ = phone()
    telegram.newest, done = 1000, []

    def obey(word):
        done.append(word.update_id)
        if fails:
            raise RuntimeError("x")
        return bot.Answer("ok")

    telegram.obey = obey
    why = [telegram._hear(update(number)) for number in (1001, 1001, 1002)]
    assert done == [1001, 1002] and why == ["", "seen before", ""]
    assert len(telegram._urgent) == 2


def test_a_word_that_pairs_or_does_not_counts_once(monkeypatch):
    """Read again it is old: no second wrong code, no second pairing, no answer again."""
    monkeypatch.setattr(bot.time, "time", lambda: NOW)
    telegram, paired = bot.TelegramBot(bot.Secret("1:a"), "42"), []
    telegram.newest, telegram.pairing = 1000, "123456"
    telegram.on_paired = paired.append
    telegram.obey = lambda word: bot.Answer("hello")
    for number, code in ((1001, "000000"), (1001, "000000"), (1002, "999999"), (1002, "999999")):
        telegram._hear(update(number, text=f"/start {code}"))
    assert telegram.pairing == "123456"  # two wrong ones, not four
    for _ in range(2):
        telegram._hear(update(1003, text="/start 123456"))
    assert (paired, telegram.users, len(telegram._urgent)) == ([OWNER], {OWNER}, 1)
    assert telegram.newest == 1003


# --- the side doors ---


class Hook:
    """An address that takes what it is sent after a while, with the status that a test says."""

    def __init__(self, *statuses):
        self.statuses, self.taken, self.asked_s = list(statuses), [], []
        self.meanwhile = []  # what happens while something is on its way, once each

    @contextlib.asynccontextmanager
    async def post(self, url, json, allow_redirects):
        self.asked_s.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.5)
        if self.meanwhile:
            self.meanwhile.pop()()
        status = self.statuses.pop(0) if self.statuses else 200
        if status < 300:
            self.taken.append(json["text"])
        yield SimpleNamespace(status=status)

    get = post


def doors(**addresses):
    """Return side doors with addresses."""
    return bot.SideDoors(
        bot.BotSettings.model_validate(
            {"symbols": ["005930"], "limits": harness.LIMITS, **addresses}
        )
    )


def test_what_was_put_out_of_a_full_queue_while_it_was_sent_takes_no_other_with_it():
    """The oldest is dropped by newer ones while it is on its way: each of those still goes, once."""

    async def main():
        made, hook = doors(webhook_url="https://x.example/h"), Hook()
        for n in range(50):
            made.post(f"t{n}")
        hook.meanwhile.append(functools.partial(made.post, "new"))
        task = asyncio.create_task(made._tell(hook))
        await asyncio.sleep(200)
        task.cancel()
        return hook.taken, list(made.waiting)

    taken, left = harness.run_virtual(main())
    assert taken == [*(f"t{n}" for n in range(50)), "new"] and left == []


@pytest.mark.parametrize(
    ("statuses", "pauses"),
    [((500, 500, 200), [1, 2, 4, 1]), ((429, 200), [1, 2, 1]), ((404, 200), [1, 1, 1]),
     ((500,) * 8, [1, 2, 4, 8, 16, 32, 60, 60])],
)  # fmt: skip
def test_an_address_in_trouble_is_asked_more_and_more_seldom(statuses, pauses):
    """What may be taken later is tried again, up to once a minute; what never will be goes."""

    async def main():
        made, hook = doors(webhook_url="https://x.example/h"), Hook(*statuses)
        made.post("a")
        made.post("b")
        made.post("c")
        task = asyncio.create_task(made._tell(hook))
        await asyncio.sleep(1_000)
        task.cancel()
        times = [0.0, *hook.asked_s]
        return [round(b - a - 0.5 * (a != 0)) for a, b in itertools.pairwise(times)]

    assert harness.run_virtual(main())[: len(pauses)] == pauses
