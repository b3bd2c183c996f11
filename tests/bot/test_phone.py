"""Every word of the phone through the real library, while a bot trades on the simulator."""

import asyncio
import contextlib
import re
import stat
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import edge
import harness
import pytest
import telegram.ext  # noqa: F401  not while a clock runs

import kis_realtime_trading as bot
from companions import telegram_server
from companions.simulator.shell import Served

TOKEN, OWNER, ALERTS = "8012345678:AAHwx-plantedTokenOfTheBot_1234567890", 4242, -77
SYMBOL = "005930"
PATIENT = {"max_data_age_s": 120.0, "max_quote_age_s": 120.0}  # the market runs fast here
PHONE = [word for word in bot.COMMANDS.values() if "phone" in word.doors]


@dataclass
class Chat:
    """The owner's chat with a bot that trades."""

    api: telegram_server.BotApi
    trader: bot.Trader
    took: dict[str, float] = field(default_factory=dict)

    def mine(self) -> list[telegram_server.Sent]:
        """Return what was answered, without the alerts."""
        return [each for each in self.api.sent if each.chat_id != ALERTS]

    async def ask(self, text: str, tapped: bool = False) -> telegram_server.Sent:
        """Say something and wait for the answer."""
        count, began = len(self.mine()), time.monotonic()
        if tapped:
            self.api.tap(text, self.mine()[-1].message_id)
        else:
            self.api.say(text)
        await edge.until(lambda: len(self.mine()) > count)
        self.took[text.split()[0]] = time.monotonic() - began
        return self.mine()[count]

    async def say(self, text: str) -> None:
        """Say something that is not answered."""
        number = self.api.say(text)
        await edge.until(lambda: self.api.confirmed > number)

    @property
    def level(self) -> str:
        """Return where the kill switch is."""
        return self.trader.engine.core.ledger.level.name


@contextlib.asynccontextmanager
async def trading(
    tmp_path: Any,
    language: str = "ko",
    start: str = "09:00:00",
    speed: float = 20.0,
    **changes: Any,
) -> AsyncIterator[Chat]:
    """Let a bot trade with real sockets in quick time; the owner's chat stands beside it."""
    there: Served
    monkey = pytest.MonkeyPatch()
    monkey.setattr(bot, "FIGURES_S", 200.0)  # a busy machine
    async with (
        telegram_server.serve(TOKEN, OWNER) as (api, url),
        edge.served(tmp_path, start=start, speed=speed, density=120.0) as (desk, there),
    ):
        api.chats.add(ALERTS)
        trader = edge.with_phone(
            desk, there, (url, TOKEN, ALERTS), harness.Scripted([]),
            language=language, bar_minutes=1, limits=PATIENT, **{"telegram_users": [OWNER], **changes},
        )  # fmt: skip
        run = asyncio.create_task(trader.run(one_day=True))
        try:
            await edge.until(lambda: trader.counts["Trade"] > 20)
            yield Chat(api, trader)
        finally:
            trader.stop("enough")
            await run
            trader.journal.close()
            monkey.undo()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("language", ["ko", "en"])
async def test_every_word_is_answered_in_the_owners_language(tmp_path: Any, language: str):
    """Asking words at once or out of another process; the others as their danger asks."""
    async with trading(tmp_path, language) as chat:
        names = [each["command"] for each in chat.api.commands]
        assert names == [word.name for word in PHONE]
        code = (await chat.ask(f"/buy {SYMBOL} 3")).text.split()[-1]
        assert re.fullmatch("[0-9]{6}", code)
        await chat.ask(f"/yes {code}")
        position = chat.trader.engine.core.ledger.position(SYMBOL)
        await edge.until(lambda: position.quantity == 3)
        await edge.until(lambda: (tmp_path / bot.STATUS_FILE).is_file())
        bars = chat.trader.journal.rows  # a chart needs one
        await edge.until(lambda: next(bars("bar"), None) is not None)
        processes = [word.name for word in PHONE if word.name != "status"]
        elsewhere = processes[
            language == "ko" :: 2
        ]  # each in one language here, all in test_phone_answers
        for word in PHONE:
            if word.danger is bot.Danger.ASK and word.name not in elsewhere:
                given = " 삼성전자" if word.name == "chart" else ""
                sent = await chat.ask(f"/{word.name}{given}")
                korean = bool(re.search("[가-힣]", sent.text.replace("삼성전자", "")))
                known = {"watchlist", "version", "chart"}  # names and figures only
                assert word.name in known or korean is (language == "ko"), sent.text
                assert "companions" not in sent.text and "{" not in sent.text
                assert ("simulated" in sent.text) <= (language == "en"), sent.text
                assert bool(sent.photo) is (word.name in ("chart", "profit", "report")), word.name
        assert position.owners and "3" in (await chat.ask("/positions")).text
        await chat.ask(f"/sell {SYMBOL}")
        [(_, tap)] = chat.mine()[-1].buttons
        assert position.quantity == 3
        await chat.ask(tap, tapped=True)
        await edge.until(lambda: position.quantity == 0)
        await chat.ask("/stop")
        assert chat.level == "ENTRIES_OFF"
        rings = await chat.ask("/notify")
        assert (
            f"{'일부 체결 (fill): 소리 없이' if language == 'ko' else 'fill: silent'}\n"
            in rings.text
        )
        tap = next(word for _, word in rings.buttons if " fill " in word)
        rings = await chat.ask(tap, tapped=True)
        assert f"{'(fill): 끔' if language == 'ko' else 'fill: off'}\n" in rings.text
        assert [(row.ref, row.body) for row in chat.trader.journal.rows("notify")] == [
            ("fill", '"off"')
        ]
    if language == "ko":  # the table, for a look: pytest -s
        for name, took in chat.took.items():
            print(f"{name:14} {took:6.2f} s")


async def test_a_tap_confirms_once_and_a_code_must_be_typed(tmp_path: Any):
    """The button of /flatten works once; the code of /resume in a button does nothing."""
    async with trading(tmp_path) as chat:
        [(_, tap)] = (await chat.ask("/flatten")).buttons
        assert chat.level == "ACTIVE"
        await chat.ask(tap, tapped=True)
        assert chat.level == "FLATTEN_AND_HALT"
        code = (await chat.ask("/resume")).text.split()[-1]
        await chat.ask(f"/yes {code}", tapped=True)
        assert chat.level == "FLATTEN_AND_HALT"
        code = (await chat.ask("/resume")).text.split()[-1]
        await chat.ask(f"/yes {code}")
        assert chat.level == "ACTIVE"
        assert "맞지 않거나" in (await chat.ask(tap, tapped=True)).text
        assert chat.level == "ACTIVE"
        assert len(chat.api.toasts) == 3  # no button turns on and on


@pytest.mark.parametrize("text", ["/notify all off", "/notify fill loud", "/notify fill off x"])
async def test_a_choice_of_noise_that_is_none_changes_nothing(tmp_path: Any, text: str):
    """The answer shows how it is written; the first word alone shows what is chosen."""
    async with trading(tmp_path) as chat:
        before = dict(chat.trader.bridge.noise)
        assert "/notify [종류] [on|silent|off]" in (await chat.ask(text)).text
        assert "(fill)" in (await chat.ask("/notify fill")).text
        assert chat.trader.bridge.noise == before
        assert list(chat.trader.journal.rows("notify")) == []


async def test_an_old_button_only_asks(tmp_path: Any):
    """A day later: nothing acts, and the toast says so; a question is answered."""
    async with trading(tmp_path) as chat:
        await chat.ask("/flatten")
        chat.api.sent[-1].at -= 3600.0
        chat.api.tap("/stop", chat.mine()[-1].message_id)
        await edge.until(lambda: chat.api.toasts)
        assert chat.level == "ACTIVE" and "오래된" in chat.api.toasts[0][1]
        assert "오늘" in (await chat.ask("/status", tapped=True)).text


async def test_a_phone_is_paired_by_the_code_of_the_terminal(tmp_path: Any, caplog: Any):
    """Without listed users: a stranger's words do nothing, the code takes its bringer in for good."""
    async with trading(tmp_path, telegram_users=[]) as chat:
        await edge.until(lambda: "/start" in caplog.text)
        code = re.search(r"/start ([0-9]{6})", caplog.text)[1]
        wrong = "000000" if code != "000000" else "111111"
        for text in ("/stop", f"/start {wrong}"):
            await chat.say(text)
        assert chat.mine() == [] and chat.level == "ACTIVE"
        assert "/status" in (await chat.ask(f"/start {code}")).text
        await chat.ask("/stop")
        assert chat.level == "ENTRIES_OFF"
        file = tmp_path / bot.PHONE_USERS
        assert file.read_text() == f"[{OWNER}]" and stat.S_IMODE(file.stat().st_mode) == 0o600
        assert chat.trader.bridge.telegram.pairing == ""


async def test_three_wrong_codes_end_the_pairing(tmp_path: Any, caplog: Any):
    """One in 333,333 for a guess; the right code comes too late."""
    async with trading(tmp_path, telegram_users=[]) as chat:
        await edge.until(lambda: "/start" in caplog.text)
        code = re.search(r"/start ([0-9]{6})", caplog.text)[1]
        wrong = "000000" if code != "000000" else "111111"
        for text in (*[f"/start {wrong}"] * 3, f"/start {code}"):
            await chat.say(text)
        assert chat.mine() == [] and not chat.trader.bridge.telegram.users


async def test_a_second_reader_turns_upward_words_off_and_no_other(tmp_path: Any):
    """409 may be a stolen token: /resume is refused while it stands, /stop is not."""
    async with trading(tmp_path) as chat:
        chat.trader.bridge.telegram.trouble = "another program reads this bot's messages"
        owner = bot.Phone(chat.trader)
        word = bot.PhoneWord(10**6, OWNER, "resume")
        assert "지금은 할 수 없습니다" in owner.obey(word).text
        assert owner.obey(word._replace(command="stop")).text.startswith("✓")
        assert chat.level == "ENTRIES_OFF"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("picture", [True, False])
async def test_the_report_of_the_day_comes_with_its_picture(
    tmp_path: Any, monkeypatch: Any, picture: bool
):
    """The words first, then the picture, silent, by itself; without companions the words alone."""
    if not picture:
        monkeypatch.setattr(bot, "__file__", str(tmp_path / "kis_realtime_trading.py"))
    async with trading(tmp_path, start="15:05:00", speed=150.0) as chat:
        sent = chat.api.sent
        await edge.until(lambda: any("■" in each.text for each in sent), 120.0)  # the day is over
    at = next(at for at, each in enumerate(sent) if each.text.startswith("📋"))
    photos = [each for each in sent[at:] if each.photo]
    assert [each.chat_id for each in photos] == [ALERTS] * picture
    assert not picture or photos[0].text == ""


async def test_questions_wait_for_each_other_and_a_fifth_is_told_so(tmp_path: Any):
    """Buttons are tapped faster than a process answers; the newest of too many is asked again."""
    async with trading(tmp_path) as chat:
        for word in ("daily", "orders", "limits"):
            chat.api.say(f"/{word}")
        await edge.until(lambda: len(chat.mine()) == 3, 120.0)
        told = "\n".join(each.text for each in chat.mine())
        assert "합계" in told and "미체결" in told and "설정 파일" in told and "잠시 뒤" not in told
        for _ in range(6):
            chat.api.say("/daily")
        await edge.until(lambda: any("잠시 뒤" in each.text for each in chat.mine()))


async def test_a_process_that_cannot_begin_costs_an_answer_and_nothing_else(
    tmp_path: Any, monkeypatch: Any
):
    """No memory, no more processes: a sentence; the evening and the phone go on."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no such program"))
    async with trading(tmp_path) as chat:
        assert "만들지 못했습니다" in (await chat.ask("/daily")).text
        assert "오늘" in (await chat.ask("/status")).text
        trader = chat.trader
        assert await bot.work_out(trader.journal.path, trader.bot, "evening") is None


async def test_answers_do_not_ask_where_the_bot_was_started(tmp_path: Any, monkeypatch: Any):
    """A state folder named from another folder than the bot's: answers and the picture find it."""
    monkeypatch.chdir(tmp_path)
    bot.Journal(Path("journal-paper-x.sqlite3")).close()
    settings = bot.BotSettings.model_validate({"symbols": ["005930"], "limits": harness.LIMITS})
    found = await bot.work_out(Path("journal-paper-x.sqlite3"), settings, "stats")
    assert found == {"text": "아직 기록이 없습니다"}


async def test_without_companions_a_figure_is_a_clear_sentence(tmp_path: Any, monkeypatch: Any):
    """The bot's file alone: it trades, tells what it knows itself, and says what is missing."""
    monkeypatch.setattr(bot, "__file__", str(tmp_path / "kis_realtime_trading.py"))
    async with trading(tmp_path) as chat:
        assert "companions" in (await chat.ask("/daily")).text
        assert "오늘" in (await chat.ask("/status")).text


async def test_the_answer_to_a_split_names_its_stock_by_code_or_name(tmp_path: Any):
    """/levels asks for its code back, and does what it says: the answer is no part of the stock's code."""
    async with trading(tmp_path) as chat:
        await chat.trader.bridge.learn_names()  # by a process
        for said in ("/levels 005930=keep", "/levels 삼성전자=Keep"):
            asked = (await chat.ask(said)).text
            assert re.search(r"/yes [0-9]{6}$", asked), asked
        code = asked.split()[-1]
        answer = (await chat.ask(f"/yes {code}")).text
        assert "하지 않았습니다" in answer  # no split waits for it
        rows = [row.body for row in chat.trader.journal.rows("command") if row.ref == "levels"]
        assert len(rows) == 1 and "005930=keep" in rows[0]
