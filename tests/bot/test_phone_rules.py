"""Each rule on the way of a word from the phone, taken alone: what it stops, and what it lets pass.

The rows and actions of the phone are noted, not carried out (phone_updates.half_of).
"""

import asyncio
import functools
import re
from collections.abc import Callable
from typing import Any

import edge
import harness
import phone_updates
import pytest

import kis_realtime_trading as bot
from companions import simulator

A, B = 4242, 4243


class Desk:
    """A phone whose acts are noted, two owners, and a clock that can be moved."""

    def __init__(self, trader: bot.Trader) -> None:
        self.trader = trader
        self.phone, self._take = phone_updates.half_of(trader)
        self.numbers = iter(range(1, 1000))
        self.rows: list[tuple[str, str]] = []

    def say(self, text: str, user: int = A, tapped: bool = False) -> bot.Answer:
        """Let a person say something; what it did stands in `rows`."""
        name, *values = text.removeprefix("/").split()
        word = bot.PhoneWord(next(self.numbers), user, name, tuple(values), tapped)
        answer = self.phone.obey(word)
        self.rows = self._take()
        return answer

    @property
    def acted(self) -> bool:
        """Tell whether the last word did something."""
        return any(kind == "command" for kind, _ in self.rows)

    def code(self, text: str, user: int = A) -> str:
        """Ask for the proof of an action; return the code."""
        answer = self.say(text, user)
        assert not self.acted, text
        line = answer.buttons[0][1] if answer.buttons else answer.text
        [code] = re.findall(r"/yes ([0-9]{6})$", line)
        return code


def at_a_desk(story: Callable[[Desk], Any]) -> None:
    """Run a story in virtual time."""
    world = harness.World(edge.config(), start="09:30:00")

    async def main() -> None:
        trader = world.make_trader(harness.Nothing())
        result = story(Desk(trader))
        if asyncio.iscoroutine(result):
            await result
        trader.journal.close()

    try:
        harness.run_virtual(main())
    finally:
        world.close()


UP = ("resume", "buy 005930 3", "buy 005930 3 70000", "unlock 005930", "accept", "resolve a=absent")


@pytest.mark.parametrize("action", UP)
def test_what_raises_risk_wants_its_code_typed(action: str):
    """Not without, not by a button, not twice; its row stands before what it does."""

    def story(desk: Desk) -> None:
        code = desk.code(action)
        desk.say(f"yes {code}", tapped=True)
        assert not desk.acted
        code = desk.code(action)
        desk.say("yes")  # the command alone, as Telegram sends it when its link is tapped
        desk.say(f"yes {code}")
        assert [kind for kind, _ in desk.rows] == ["phone", "command"]
        assert desk.rows[1] == ("command", action)
        desk.say(f"yes {code}")
        assert not desk.acted

    at_a_desk(story)


@pytest.mark.parametrize("action", ["flatten", "sell 005930"])
def test_selling_wants_a_tap(action: str):
    """The word alone only asks."""

    def story(desk: Desk) -> None:
        code = desk.code(action)
        desk.say(f"yes {code}", tapped=True)
        assert [kind for kind, _ in desk.rows] == ["phone", "command"]

    at_a_desk(story)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("sell 삼성전자", "⚠ 삼성전자: 한 종목을 모두 팝니다 (보유 없음)"),
        ("sell 하이닉스", "⚠ SK하이닉스: "),  # a part that only one has
        ("sell 삼성", "⚠ 삼성전자: "),  # two have it, one of them is traded here
        ("sell 삼성물", "⚠ 삼성물산: "),
        (
            "sell 주식",
            "주식: 모르는 종목입니다. 이렇게 쓰십시오: /sell 종목",
        ),  # two have it
        ("buy 삼성전자 열주", "이렇게 쓰십시오: /buy 종목 수량 [가격]"),  # not the stock is wrong
        (
            "levels 없는것=keep",
            "없는것: 모르는 종목입니다. 이렇게 쓰십시오: /levels 종목=scale|keep",
        ),
        ("sell 9", "이렇게 쓰십시오: /sell 종목"),  # no part of a number
        ("cancel 삼성전자", "이렇게 쓰십시오: /cancel 주문번호"),
        ("resume 삼성", "이렇게 쓰십시오: /resume"),
    ],
)
def test_a_stock_is_named_whole_or_by_a_part_that_only_one_has(said: str, answer: str):
    """A name that is none, or that two share, is said to be unknown: it is nobody's order."""

    def story(desk: Desk) -> None:
        names = {
            "005930": "삼성전자",
            "028260": "삼성물산",
            "000660": "SK하이닉스",
            "999999": "9 자리",
            "111111": "가주식",
            "222222": "나주식",
        }
        desk.trader.bridge.names |= names
        assert desk.say(said).text.startswith(answer) and not desk.acted

    at_a_desk(story)


@pytest.mark.parametrize(
    ("said", "korean", "button"),
    [
        ("/STOP", "모르는 명령입니다. 영어 소문자로 적으며, 전체는 /help. 혹시: /stop", "/stop"),
        ("상태", "모르는 명령입니다. 영어 소문자로 적으며, 전체는 /help. 혹시: /status", "/status"),
        (
            "/Flaten",
            "모르는 명령입니다. 영어 소문자로 적으며, 전체는 /help. 혹시: /flatten",
            "/flatten",
        ),
        (
            "/sel 삼성전자",
            "모르는 명령입니다. 영어 소문자로 적으며, 전체는 /help. 혹시: /sell",
            "",
        ),  # of what?
        ("안녕하세요", "모르는 명령입니다. 영어 소문자로 적으며, 전체는 /help", ""),
        ("", "모르는 명령입니다. 영어 소문자로 적으며, 전체는 /help", ""),
    ],
)
def test_what_is_no_command_is_answered_with_what_was_meant(said: str, korean: str, button: str):
    """The nearest word hangs below as a button; a word that needs a stock is only named."""
    assert bot.hint_for(said, korean=True) == bot.Answer(korean, ((button, button),) * bool(button))
    assert "small letters" in bot.hint_for(said, korean=False).text


def test_a_word_nearly_right_does_nothing_and_is_answered():
    """/stautus is no /status: not the whole help comes, but the word that was meant."""

    def story(desk: Desk) -> None:
        answer = desk.say("stautus")
        assert answer.text.endswith("혹시: /status") and not desk.acted

    at_a_desk(story)


def test_selling_all_says_first_what_it_would_sell():
    """The tap is asked for with names and shares; also when there is nothing to sell."""

    def story(desk: Desk) -> None:
        assert "전부 팔고 멈춥니다 (보유 없음)" in desk.say("flatten").text
        desk.trader.bridge.names["005930"] = "삼성전자"
        desk.trader.engine.core.ledger.position("005930").quantity = 1_300
        assert "전부 팔고 멈춥니다 (삼성전자 1,300주)" in desk.say("flatten").text

    at_a_desk(story)


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_morning_under_a_lower_level_says_how_trading_goes_on(language: str):
    """A level holds over restarts: who forgot it reads both ways back, and no line when it is ACTIVE."""

    def story(desk: Desk) -> None:
        core = desk.trader.engine.core
        assert bot.morning_lines(core, str) == []
        core.ledger.level = bot.KillLevel.FLATTEN_AND_HALT
        [line] = bot.morning_lines(core, str)
        told = bot.say(line, language)
        assert "--level ACTIVE" in told and "/resume" in told and told.startswith("⏸")
        assert "of before" in bot.say(bot.Alert("hold_line", {"what": "of before"}), language)

    at_a_desk(story)


@pytest.mark.parametrize("action", ["stop", "stopentry", "reduce", "cancel 12"])
def test_what_lowers_risk_is_done_at_once(action: str):
    """Also from a button, also while another program reads the bot's messages."""

    def story(desk: Desk) -> None:
        desk.trader.bridge.telegram.trouble = "another program reads this bot's messages"
        for tapped in (False, True):
            desk.say(action, tapped=tapped)
            assert [kind for kind, _ in desk.rows] == ["phone", "command"]

    at_a_desk(story)


def test_nothing_upward_while_another_program_reads_along():
    """The code may have been read by it."""

    def story(desk: Desk) -> None:
        code = desk.code("resume")
        desk.trader.bridge.telegram.trouble = "another program reads this bot's messages"
        answer = desk.say(f"yes {code}")
        assert not desk.acted and "다른 프로그램" in answer.text
        assert "60초" not in desk.say("buy 005930 3").text

    at_a_desk(story)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("resume", "accept"), ("buy 005930 3", "buy 005930 4"), ("unlock 005930", "resume"),
        ("buy 005930 3 70000", "buy 005930 3 123456"), ("sell 005930", "flatten"),
    ],
)  # fmt: skip
def test_a_code_stands_for_what_was_asked_last(first: str, second: str):
    """What was asked before it is void: it is never done by a code, its own or the other's."""

    def story(desk: Desk) -> None:
        code = desk.code(first)
        newer = desk.code(second)
        desk.say(f"yes {newer}")
        assert desk.rows[1] == ("command", second)
        desk.say(f"yes {code}")
        assert not desk.acted
        code, newer = desk.code(first), desk.code(second)
        if code != newer:
            desk.say(f"yes {code}")
            assert not desk.acted
            desk.say(f"yes {newer}")  # the wrong one has voided it
            assert not desk.acted

    at_a_desk(story)


def test_a_code_is_for_its_person_alone():
    """Two listed people: each has a code of his own."""

    def story(desk: Desk) -> None:
        desk.trader.bridge.telegram.users = frozenset((A, B))
        code = desk.code("resume", A)
        desk.say(f"yes {code}", B)
        assert not desk.acted
        own = desk.code("accept", B)
        if own != code:
            desk.say(f"yes {own}", A)
            assert not desk.acted
        desk.say(f"yes {own}", B)
        assert desk.rows[1] == ("command", "accept")

    at_a_desk(story)


@pytest.mark.parametrize(("after_s", "acts"), [(59.0, True), (61.0, False)])
def test_a_code_lives_for_a_minute(after_s: float, acts: bool):
    """Of the steady clock, whatever the host's clock says."""

    async def story(desk: Desk) -> None:
        code = desk.code("resume")
        await asyncio.sleep(after_s)
        desk.say(f"yes {code}")
        assert desk.acted is acts

    at_a_desk(story)


def test_a_code_has_one_try():
    """A wrong one voids it, "/yes" alone does not: a guess has one chance in a million."""

    def story(desk: Desk) -> None:
        code = desk.code("resume")
        assert "/yes 번호" in desk.say("yes").text
        for wrong in ("000000" if code != "000000" else "111111", code):
            assert "처음부터" in desk.say(f"yes {wrong}").text
            assert not desk.acted

    at_a_desk(story)


def test_three_wrong_codes_lock_the_person_and_no_other():
    """No new code for a quarter of an hour; an old or a used one that is sent again is no guess."""

    async def story(desk: Desk) -> None:
        for _ in range(bot.CODE_TRIES):
            code = desk.code("resume")
            for tried in ("000000" if code != "000000" else "111111", code, code, code):
                desk.say(f"yes {tried}")
                assert not desk.acted
        assert "잠겨" in desk.say("resume").text and "잠겨" in desk.say("sell 005930").text
        desk.say(f"yes {desk.code('resume', B)}", B)
        assert desk.acted
        await asyncio.sleep(bot.CODE_LOCK_S - 5)
        assert "잠겨" in desk.say("flatten").text
        await asyncio.sleep(10)
        desk.say(f"yes {desk.code('resume')}")
        assert desk.acted

    at_a_desk(story)


def test_a_right_code_forgets_the_wrong_ones():
    """Two slips of the thumb, a right one, two slips: nobody is locked."""

    def story(desk: Desk) -> None:
        for slips in (bot.CODE_TRIES - 1, bot.CODE_TRIES - 1):
            for _ in range(slips):
                desk.say("yes 000000" if desk.code("resume") != "000000" else "yes 111111")
            desk.say(f"yes {desk.code('resume')}")
            assert desk.acted

    at_a_desk(story)


def test_codes_are_drawn_out_of_a_million():
    """Six digits, each as likely as any other."""
    asked: list[int] = []
    codes = bot.PhoneCodes(lambda count: asked.append(count) or count - 1)
    assert codes.issue(A, bot.Said(bot.COMMANDS["resume"]), 0.0) == "999999" and asked == [
        1_000_000
    ]


@pytest.mark.parametrize("text", ["level ACTIVE", "levels", "set max_order_krw 9", "quit"])
def test_words_without_a_door_to_the_phone_do_nothing(text: str):
    """Limits, mode, account and keys cannot be changed from a chat."""

    def story(desk: Desk) -> None:
        desk.say(text)
        assert desk.rows == []

    at_a_desk(story)


@pytest.mark.parametrize(
    "values", ["005930 ０３", "005930 3 7０000", "005930 -3", "005930 0", "005930 1e3", "005930 3.5",
               "005930 1000000", "5930 3", "005930 3 0"],
)  # fmt: skip
def test_a_number_that_is_none_buys_nothing(values: str):
    """Digits of ASCII, whole, above zero; the answer shows how it is written."""

    def story(desk: Desk) -> None:
        answer = desk.say(f"buy {values}")
        assert desk.rows == [] and "/buy" in answer.text and "60초" not in answer.text

    at_a_desk(story)


def test_what_was_not_done_is_answered_with_its_reason():
    """In the answer itself, whatever else is told where."""
    world = harness.World(edge.config(), start="09:30:00")

    async def main() -> list[str]:
        trader = world.make_trader(harness.Nothing())
        phone, numbers, said = bot.Phone(trader), iter(range(1, 99)), list[str]()
        for text in ("cancel 12", "sell 005930", "buy 000001 3"):
            name, *values = text.split()
            answer = phone.obey(bot.PhoneWord(next(numbers), A, name, tuple(values)))
            line = answer.buttons[0][1] if answer.buttons else answer.text
            if code := re.findall(r" ([0-9]{6})$", line):
                word = bot.PhoneWord(next(numbers), A, "yes", (code[0],))
                answer = phone.obey(word)
            said.append(answer.text)
        trader.journal.close()
        return said

    try:
        said = harness.run_virtual(main())
    finally:
        world.close()
    assert all(text.startswith("✋ 하지 않았습니다\n⚠ 오류: ") for text in said), said


def test_what_the_chat_told_already_is_not_told_again():
    """An urgent alert goes to the chat of the one owner by itself: the answer does not repeat it."""
    world = harness.World(edge.config(), start="09:30:00")

    async def main() -> list[str]:
        trader = world.make_trader(harness.Nothing())
        phone, telegram, said = bot.Phone(trader), trader.bridge.telegram, list[str]()
        for number, chat in enumerate((str(B), str(A)), 1):
            telegram.users, telegram._chat = frozenset({A}), chat
            said.append(phone.obey(bot.PhoneWord(number, A, "cancel", ("12",))).text)
        trader.journal.close()
        return said

    try:
        elsewhere, here = harness.run_virtual(main())
    finally:
        world.close()
    assert "12: 취소할 미체결 매수가 없습니다" in elsewhere and here == "✋ 하지 않았습니다"


def test_words_of_before_a_restart_do_not_act_again():
    """The number of the newest word comes out of the journal before anything is heard."""
    life = harness.World(edge.config(), start="09:30:00")

    async def main() -> None:
        trader = life.make_trader(harness.Nothing())
        bot.Phone(trader).obey(bot.PhoneWord(1234, A, "stop"))
        trader.journal.close()
        trader = life.make_trader(harness.Nothing())
        task = asyncio.create_task(bot.Phone(trader).run())
        await asyncio.sleep(1)
        assert trader.bridge.telegram.newest == 1234
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        trader.journal.close()

    try:
        harness.run_virtual(main())
    finally:
        life.close()


def test_the_last_number_is_kept_when_a_word_is_heard():
    """The same update again does nothing."""
    box, heard = bot.TelegramBot(bot.Secret("1:planted"), "1", users=(A,)), list[int]()
    box.obey = lambda word: heard.append(word.update_id) or bot.Answer()  # type: ignore[func-returns-value]
    now = int(phone_updates.time.time())
    person = {"id": A, "is_bot": False}
    message = {"date": now, "chat": {"id": A, "type": "private"}, "from": person, "text": "/stop"}
    for _ in range(3):
        box._hear({"update_id": 7, "message": message})
    assert heard == [7]


@pytest.mark.parametrize("wrong", [1, 2, 3])
def test_a_pairing_ends_with_its_first_person_or_the_third_wrong_code(wrong: int):
    """The right code after fewer than three wrong ones pairs; nobody after it, with the same code."""
    settings = harness.make_settings(simulator.Simulator(edge.config()))
    assert settings.bot and not settings.bot.telegram_users
    box, paired = bot.TelegramBot(bot.Secret("1:planted"), "1"), list[int]()
    box.pairing, box.on_paired = "123456", paired.append
    numbers = iter(range(1, 100))
    now = int(phone_updates.time.time())

    def say(user: int, code: str) -> None:
        person = {"id": user, "is_bot": False}
        message = {"date": now, "chat": {"id": user, "type": "private"}, "from": person,
                   "text": f"/start {code}"}  # fmt: skip
        box._hear({"update_id": next(numbers), "message": message})

    for code in ("654321", "123457", "000000")[:wrong]:
        say(B, code)
    assert paired == []
    say(A, "123456")
    say(B, "123456")
    assert paired == ([A] if wrong < 3 else [])
    assert box.users == frozenset(paired) and box.pairing == ""


def test_the_referee_of_the_campaign_stands_alone():
    """It has its own list of what is free, confirmed and upward: the same as the table's."""
    table = functools.partial(
        lambda danger: {w.name for w in bot.COMMANDS.values() if w.danger is danger}
    )
    first = lambda words: {each.split()[0] for each in words}  # noqa: E731
    assert first(phone_updates.FREE) - {"stopentry"} <= table(bot.Danger.DOWN)
    assert first(phone_updates.CONFIRMED) == table(bot.Danger.CONFIRM)
    assert first(phone_updates.UP) <= table(bot.Danger.UP)
