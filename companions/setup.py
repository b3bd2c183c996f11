"""`--setup`: ask for what a settings file needs, test each answer at once, write the file.

It starts from the user's file, else from kis_devlp.yaml.example, and changes values only: comments
and everything else in the file stay. Nothing is written before the last question is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import kis_realtime_trading as bot
from companions import names
from companions.check import Check, send_message
from companions.plain_words import start_of_command
from kis_realtime_trading import Both

EXAMPLE = bot.HERE / "kis_devlp.yaml.example"
CODE = re.compile(r"[0-9A-Z]{6}|Q[0-9A-Z]{6}")
PARTS = ("keys", "account", "hts", "stocks", "money", "telegram")
TEXTS = {
    "ko": {
        "hello": "설정 파일을 함께 만듭니다. 모의투자용이며, 마지막에 물어본 뒤에만 저장합니다. 그만두려면 Ctrl-C.",
        "found": "설정 파일이 있습니다: {path}",
        "change": "무엇을 바꿀까요? 1 키  2 계좌  3 HTS 아이디  4 종목  5 돈과 한도  6 텔레그램  (Enter: 전부)",
        "portal": "앱키는 https://apiportal.koreainvestment.com 에서 모의투자 계좌로 신청하면 나옵니다.",
        "key": "모의투자 앱키 (붙여 넣기, 화면에 안 보임)",
        "secret": "모의투자 앱시크릿 (붙여 넣기, 화면에 안 보임)",
        "account": "모의투자 계좌번호 (예: 12345678-01, 화면에 안 보임)",
        "hts": "HTS 로그인 아이디",
        "stocks": "매매할 종목: 이름이나 코드, 쉼표로 구분 [{usual}]",
        "several": "{word}: 어느 것입니까?",
        "none": "{word}: 찾지 못했습니다. 여섯 자리 코드로 적어도 됩니다.",
        "money": "봇에게 맡길 돈, 원 [{usual:,}]",
        "loss": "하루에 잃어도 되는 돈, 원 [{usual:,}]",
        "why": "맡긴 돈의 2%를 넘게 잃으면 그날은 더 사지 않습니다. 한 종목에는 맡긴 돈을 종목 수로(많아야 셋) 나눈 만큼, "
        "손절 한 번에는 하루 한도의 3분의 1까지만 잃도록 정합니다.",
        "telegram": "텔레그램 봇 토큰 (@BotFather가 준 것, 안 쓰면 Enter)",
        "speak": "텔레그램에서 그 봇에게 아무 말이나 보낸 뒤 Enter (또는 채팅 번호)",
        "heard": "{name}님과의 대화방을 찾았습니다({chat}).",
        "unheard": "아직 받은 말이 없습니다.",
        "sent": "시험 메시지를 보냈습니다.",
        "again": "다시 적어 주십시오 (그대로 두려면 Enter)",
        "kept": "Enter: 지금 값 그대로",
        "both": "둘 다 다시 붙여 넣어 주십시오 (맞는 것은 Enter).",
        "later": "지금은 확인하지 못했습니다. 나중에 --check로 확인하십시오.",
        "wait": "토큰은 1분에 한 번만 나옵니다. {s:.0f}초 기다립니다...",
        "form": "형식이 다릅니다: {expected}",
        "form_money": "원 단위 숫자를 적으십시오: {low:,}~{high:,} (300만처럼 적어도 됩니다)",
        "form_key": "공백 없는 영문·숫자 36자 (받은 글자 {n}자)",
        "form_secret": "공백 없는 영문·숫자·기호 180자 (받은 글자 {n}자)",
        "form_account": "숫자 8자리, 또는 8자리-2자리. 예: 12345678-01 (받은 글자 {n}자)",
        "form_hts": "HTS에 로그인할 때 쓰는 아이디, 공백 없이 (받은 글자 {n}자)",
        "dear": "{name} 1주가 1건 한도 {limit:,}원보다 비쌉니다. 이 종목은 사지 못합니다.",
        "show": "이렇게 적습니다 (나머지는 기본값):",
        "write": "{path}에 저장할까요? [Y/n]",
        "write_over": "{path}: 이렇게 바꿀까요? [Y/n]",
        "nothing": "아무것도 쓰지 않았습니다.",
        "broken": "{path}: 읽을 수 없습니다. 이름을 바꾸어 두고({copy}) 새로 만들까요? [y/N]",
        "done": "저장했습니다: {path} (질문 {count}개). 다음에 입력할 명령:\n  {command}",
    },
    "en": {
        "hello": "This makes your settings file, for paper trading. Nothing is saved before the last question. Ctrl-C ends it.",
        "found": "There is a settings file: {path}",
        "change": "What shall change? 1 keys  2 account  3 HTS id  4 stocks  5 money and limits  6 Telegram  (Enter: all)",
        "portal": "The keys come from https://apiportal.koreainvestment.com: apply there with the paper account.",
        "key": "app key for paper trading (paste it; it is not shown)",
        "secret": "app secret for paper trading (paste it; it is not shown)",
        "account": "paper account number (as 12345678-01; it is not shown)",
        "hts": "HTS login id",
        "stocks": "stocks to trade: names or codes, separated by commas [{usual}]",
        "several": "{word}: which of these?",
        "none": "{word}: not found. Its six-digit code works as well.",
        "money": "money for the bot, won [{usual:,}]",
        "loss": "what a day may lose, won [{usual:,}]",
        "why": "Beyond 2% of that money nothing is bought for the rest of the day. One stock gets the money divided by the "
        "number of stocks (three at most), one stop loses a third of the day's limit.",
        "telegram": "Telegram bot token (from @BotFather; Enter for none)",
        "speak": "write anything to that bot in Telegram, then press Enter (or type the chat id)",
        "heard": "found the chat {chat} of {name}",
        "unheard": "nothing was heard yet",
        "sent": "a test message was sent",
        "again": "once more (Enter leaves it as it is)",
        "kept": "Enter keeps what is there",
        "both": "paste both once more (Enter keeps the one that is right)",
        "later": "this could not be tested now; --check tests it later",
        "wait": "a token is given once a minute: waiting {s:.0f} s...",
        "form": "not of that form: {expected}",
        "form_money": "a number of won, {low:,} to {high:,}",
        "form_key": "36 letters and digits without blanks ({n} came)",
        "form_secret": "180 letters, digits and signs without blanks ({n} came)",
        "form_account": "8 digits, or 8 and 2: 12345678-01 ({n} letters came)",
        "form_hts": "the id that you log in to HTS with, without blanks ({n} letters came)",
        "dear": "one share of {name} is more than {limit:,}, the limit of one order: it will not be bought",
        "show": "this is what is written (all else has its default):",
        "write": "save it to {path}? [Y/n]",
        "write_over": "change {path} like this? [Y/n]",
        "nothing": "nothing was written",
        "broken": "{path} cannot be read. Move it to {copy} and begin anew? [y/N]",
        "done": "saved: {path} ({count} questions). What to type next:\n  {command}",
    },
}  # fmt: skip


class Terminal:
    """Asks on the terminal, or reads lines where there is none; counts the questions."""

    def __init__(self) -> None:
        self.count = 0

    def ask(self, question: str, hidden: bool = False) -> str:
        """Return an answer without blanks around it. Raises EOFError at the end of the input."""
        self.count += 1
        if hidden and sys.stdin.isatty():
            return getpass.getpass(f"{question}: ").strip()
        print(f"{question}: ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.strip()


# --- the text of the file ---------------------------------------------------------------


def spans(text: str) -> dict[str, tuple[int, int, int]]:
    """Return where each value stands in a YAML text: (start, end, column of its key)."""
    found: dict[str, tuple[int, int, int]] = {}

    def end_of(node: Any) -> int:
        """Return the end without the comments behind, which the library counts as inside."""
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            return end_of(last[1] if isinstance(last, tuple) else last)
        return int(node.end_mark.index)

    def walk(node: Any, path: str) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                name = f"{path}.{key.value}".lstrip(".")
                found[name] = (value.start_mark.index, end_of(value), key.start_mark.column)
                walk(value, name)

    walk(yaml.compose(text, Loader=yaml.SafeLoader), "")
    return found


def with_value(text: str, path: str, value: str) -> str:
    """Return a YAML text with one value changed, or added to its section; comments stay."""
    places = spans(text)
    gap = "" if value.startswith("\n") else " "
    if path in places:
        start, end, indent = places[path]
        before, column = text[:start], start - (text.rfind("\n", 0, start) + 1)
        deeper = " " * (indent + 2 - column) if column <= indent else ""  # a list of dashes
        return before + (gap if before.endswith(":") else deeper) + value + text[end:]
    section, _, key = path.rpartition(".")
    if not section:
        return f"{key}:{gap}{value}\n{text}"

    def columns(of: str) -> list[int]:
        return [place[2] for name, place in places.items() if name.rpartition(".")[0] == of]

    start = places.get(section, (0, 0, 0))[0]
    if (not columns(section) and text[start : start + 1] != "{") or section not in places:
        above = section.rpartition(".")[0]
        if above in places and text[places[above][0]] == "{":
            return with_value(text, section, f"{{{key}: {value}}}")
        deep = places[above][2] + 2 if above in places else 2 * section.count(".")
        column = min(columns(above), default=deep)
        return with_value(text, section, f"\n{' ' * (column + 2)}{key}:{gap}{value}")
    if text[start] == "{":
        more = ", " if columns(section) else ""
        return f"{text[: start + 1]}{key}: {value}{more}{text[start + 1 :]}"
    at = text.rfind("\n", 0, start) + 1
    return f"{text[:at]}{' ' * columns(section)[0]}{key}:{gap}{value}\n{text[at:]}"


def quoted(value: str) -> str:
    """Return a text in YAML's double quotes."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass
class Answers:
    """What was answered, by the path of its setting; secrets marked."""

    values: dict[str, str] = field(default_factory=dict)
    secret: set[str] = field(default_factory=set)
    telegram: dict[str, str] = field(default_factory=dict)  # for the file .env

    def put(self, path: str, value: str, secret: bool = False) -> None:
        """Remember an answer as it will stand in the file."""
        self.values[path] = value
        if secret:
            self.secret.add(path)

    def shown(self) -> list[str]:
        """Return the lines for the user's eyes, by sections, secrets as stars."""
        lines: list[str] = []
        heads: list[str] = []
        for path, value in sorted(self.values.items(), key=lambda each: each[0].split(".")[:-1]):
            *above, key = path.split(".")
            for depth, name in enumerate(above):
                if heads[depth : depth + 1] != [name]:
                    lines.append(f"{'  ' * depth}{name}:")
            heads = above
            lines.append(f"{'  ' * len(above)}{key}: {'***' if path in self.secret else value}")
        return [*lines, *(f".env: {name}=***" for name in self.telegram)]


# --- the questions ----------------------------------------------------------------------


class Setup:
    """One conversation."""

    def __init__(self, options: argparse.Namespace, terminal: Terminal) -> None:
        self.options, self.terminal = options, terminal
        self.words = TEXTS[options.speak]
        self.path: Path = options.config or Path.cwd() / bot.SETTINGS_NAME
        if not options.config:
            with contextlib.suppress(bot.SettingsError):
                self.path = bot.find_settings(None)  # that of the official samples as well
        self.offline = False  # nobody answers: said once, nothing more is tried
        self.base, self.is_new = "", True
        self.answers = Answers()
        self.cash, self.prices = 0, dict[str, tuple[str, int]]()

    def say(self, key: str, **values: Any) -> None:
        """Print a text."""
        print(self.words[key].format(**values), flush=True)

    def ask(self, key: str, hidden: bool = False, **values: Any) -> str:
        """Ask a question."""
        return self.terminal.ask(self.words[key].format(**values), hidden)

    def run(self) -> int:
        """Ask, show, write; return the exit code."""
        self.say("hello")
        if not self.read_base():
            self.say("nothing")
            return bot.EXIT_FAILED
        wanted = self.wanted_parts()
        for part in PARTS:
            if part in wanted:
                getattr(self, f"ask_{part}")()
        text = self.base
        for path, value in self.answers.values.items():
            text = with_value(text, path, value)
        self.say("show")
        print("\n".join(f"    {line}" for line in self.answers.shown()))
        bot.read_settings(text, {}, "paper")  # whatever is wrong is told, nothing is written
        key = "write" if self.is_new else "write_over"
        if self.ask(key, path=self.path).lower() in ("n", "no", "아니오", "ㅜ"):
            self.say("nothing")
            return bot.EXIT_FAILED
        bot.write_private(self.path, text)
        self.write_telegram()
        config = f" --config {self.path}" if self.options.config else ""
        command = f"{start_of_command()} --paper{config}"
        self.say("done", path=self.path, count=self.terminal.count, command=command)
        return 0

    def read_base(self) -> bool:
        """Take the user's file, or the example; False when the user wants neither."""
        if not self.path.is_file():
            self.base = EXAMPLE.read_text("utf-8")
            return True
        self.say("found", path=self.path)
        self.base = self.path.read_text("utf-8", errors="replace")
        if not bot.parse_yaml(self.base)[1]:
            self.is_new = False
            return True
        copy = self.path.with_suffix(".old")
        if self.ask("broken", path=self.path, copy=copy).lower() not in ("y", "yes", "예", "ㅛ"):
            return False
        self.path.rename(copy)
        self.base = EXAMPLE.read_text("utf-8")
        return True

    def wanted_parts(self) -> set[str]:
        """Ask which parts of a file that is complete shall change; all of one that is not."""
        try:
            bot.read_settings(self.base, {}, "paper")
        except bot.SettingsError:
            return set(PARTS)
        chosen = {PARTS[int(digit) - 1] for digit in re.findall("[1-6]", self.ask("change"))}
        return chosen or set(PARTS)

    # --- testing an answer ---

    def value(self, path: str) -> str:
        """Return what stands for a setting now: the answer, else the file's text, else ""."""
        if path in self.answers.values:
            return str(yaml.safe_load(self.answers.values[path]))
        data: Any = bot.parse_yaml(self.base)[0]
        for part in path.split("."):
            data = data.get(part) if isinstance(data, dict) else None
        text = "" if data is None else str(data)
        return "" if bot._is_placeholder(text) else text

    def trial(self) -> bot.Settings:
        """Return settings good enough to ask the broker with, made of what is known so far."""
        account = self.value("my_paper_stock")
        hosts = {
            key: self.value(key) or bot.SettingsFile.model_fields[key].default
            for key in ("vps", "vops")
        }
        profile = bot.Profile(
            "paper", hosts["vps"].rstrip("/"), hosts["vops"].rstrip("/"),
            bot.Secret(self.value("paper_app")), bot.Secret(self.value("paper_sec")),
            bot.Secret(account[:8]), account.replace("-", "")[8:] or self.value("my_prod") or "01",
            bot.Secret(self.value("my_htsid")), f"kis-realtime-trading/{bot.__version__}",
        )  # fmt: skip
        section = bot.parse_yaml(self.base)[0].get("bot")
        kept = ("market_clock", "rest_calls_per_second", "telegram_api", "state_dir")
        of_file = {key: section[key] for key in kept if key in section} if section else {}
        limits = dict.fromkeys(bot.MONEY_LIMITS, 1)
        settings = bot.BotSettings.model_validate(
            {"symbols": ["005930"], "limits": limits, **of_file}
        )
        return bot.Settings(profile, settings, bot.Secret(""), "")

    def test(self, *steps: str) -> bool:
        """Ask the broker; print a line for each step; True when all went well or nobody answers."""

        if self.offline:
            return True

        async def ask_broker() -> bool:
            transport = bot.AiohttpTransport()
            check = Check(self.trial(), self.options, transport)
            works: dict[str, Callable[[], Awaitable[str]]] = {
                "token": check.token, "account": check.account, "approval": check.approval,
                "websocket": check.websocket,
            }  # fmt: skip
            try:
                for step in steps:
                    if not await check.step(step, works[step]):
                        if check.unreachable:
                            self.note_offline()
                        elif "EGW00133" in check.last_failure:
                            pause = 61.0 / check.clock.speed
                            self.say("wait", s=pause)
                            await asyncio.sleep(pause)
                            if await check.step(step, works[step]):
                                continue
                        return check.unreachable
                self.cash = check.cash or check.cma_krw or self.cash
                if check.cma_krw:
                    self.answers.put("bot.cma", "true")
                return True
            finally:
                await transport.close()

        return asyncio.run(ask_broker())

    def ask_until(
        self, key: str, path: str, pattern: str, steps: Sequence[str], secret: bool = False
    ) -> None:
        """Ask for one text until it has its form and the broker takes it, or the user insists."""
        question = key
        while True:
            kept = f" [{self.words['kept']}]" if self.value(path) and question == key else ""
            given = self.terminal.ask(self.words[question] + kept, secret)
            answer = given or self.value(path)
            if not re.fullmatch(pattern, answer):
                self.say("form", expected=self.words[f"form_{key}"].format(n=len(answer)))
                question = key
                continue
            self.answers.put(path, quoted(answer), secret)
            if not steps or (question == "again" and not given) or self.test(*steps):
                return
            question = "again"

    # --- the parts ---

    def ask_keys(self) -> None:
        """Ask for key and secret, which are tested together."""
        self.say("portal")
        while True:
            before = self.value("paper_app"), self.value("paper_sec")
            self.ask_until("key", "paper_app", r"[!-~]{8,128}", (), secret=True)
            self.ask_until("secret", "paper_sec", r"[!-~]{8,512}", (), secret=True)
            if self.test("token") or before == (self.value("paper_app"), self.value("paper_sec")):
                return
            self.say("both")

    def ask_account(self) -> None:
        """Ask for the account; its cash is shown."""
        form = r"[0-9]{8}(-?[0-9]{2})?"
        self.ask_until("account", "my_paper_stock", form, ("account",), secret=True)

    def ask_hts(self) -> None:
        """Ask for the HTS id; the order notice is registered with it."""
        self.ask_until("hts", "my_htsid", r"[!-~]{2,40}", ("approval", "websocket"))

    def ask_stocks(self) -> None:
        """Ask for stocks by name or code; each is asked for at the broker and named."""
        usual = "삼성전자, SK하이닉스"
        while True:
            text = self.ask("stocks", usual=usual) or usual
            codes = [self.code_of(word) for word in self.stocks_in(text)]
            if codes and all(codes) and self.look_up(list(dict.fromkeys(codes))):
                break
        unique = list(dict.fromkeys(codes))
        self.answers.put("bot.symbols", "[" + ", ".join(map(quoted, unique)) + "]")

    def stocks_in(self, text: str) -> Iterator[str]:
        """Return the stocks of an answer: between commas, or between blanks where each is one."""
        for part in filter(None, map(str.strip, re.split(r"[,;、·]", text))):
            pieces = part.split()
            known = (CODE.fullmatch(p.upper()) or names.find(p, self.options.state) for p in pieces)
            whole = names.find(part, self.options.state)  # KODEX 200
            yield from [part] if whole or not all(known) else pieces

    def code_of(self, word: str) -> str:
        """Return the code that a word means; asks when several stocks have it in their name."""
        if CODE.fullmatch(word.upper()):
            return word.upper()
        found = names.find(word, self.options.state)
        exact = [code for code, name in found if name.replace(" ", "") == word.replace(" ", "")]
        if exact or len(found) == 1:
            return (exact or [found[0][0]])[0]
        if not found:
            self.say("none", word=word)
            return ""
        for number, (code, name) in enumerate(found[:9], 1):
            print(f"  {number}  {code}  {name}")
        chosen = self.ask("several", word=word)
        if chosen.isdigit() and 1 <= int(chosen) <= len(found[:9]):
            return found[int(chosen) - 1][0]
        return chosen.upper() if CODE.fullmatch(chosen.upper()) else ""

    def note_offline(self) -> None:
        """Say once that answers cannot be tested now."""
        self.offline = True
        self.say("later")

    def look_up(self, codes: Sequence[str]) -> bool:
        """Ask the broker for each stock; False when one is unknown."""
        if self.offline:
            return True

        async def ask_broker() -> bool:
            transport = bot.AiohttpTransport()
            check = Check(self.trial(), self.options, transport)
            market = bot.KISMarketData(check.client)
            try:
                for code in codes:

                    async def named(code: str = code) -> str:
                        found = await market.price(code)
                        name = found.name or names.names_of(check.folder).get(code, "")
                        if not found.name and not found.last_price:
                            raise bot.BotError(
                                Both(f"{code}: no such stock", f"{code}: 없는 종목입니다")
                            )
                        self.prices[code] = (name, found.last_price)
                        return Both(
                            f"{code} {name} {found.last_price:,} won",
                            f"{code} {name} {found.last_price:,}원",
                        )

                    if not await check.step("stock", named):
                        if check.unreachable:
                            self.note_offline()
                        return check.unreachable
                return True
            finally:
                await transport.close()

        return asyncio.run(ask_broker())

    def ask_money(self) -> None:
        """Ask for the money of the bot and the loss of a day; the other limits follow from them."""
        usual = max(100_000, min(self.cash or 10_000_000, bot.CEILING_ORDER_KRW) // 10_000 * 10_000)
        money = self.ask_number("money", usual, 10_000, bot.CEILING_TOTAL_KRW)
        self.say("why")
        loss = self.ask_number("loss", max(1_000, money // 50), 1_000, money)
        symbols = yaml.safe_load(self.value("bot.symbols") or "['005930']")
        for path, value in suggested_limits(money, loss, len(symbols)).items():
            self.answers.put(path, f"{value:_}")
        limit = suggested_limits(money, loss, len(symbols))["bot.limits.max_order_krw"]
        for name, price in self.prices.values():
            if price > limit:
                self.say("dear", name=name, limit=limit)

    def ask_number(self, key: str, usual: int, low: int, high: int) -> int:
        """Ask for won; `1,000만` and `1000000원` are read as well."""
        while True:
            text = (
                self.ask(key, usual=usual)
                .replace(",", "")
                .replace("_", "")
                .removesuffix("원")
                .strip()
            )
            factor = 10_000 if text.endswith("만") else 1
            digits = text.removesuffix("만").strip()
            if not text:
                return usual
            if digits.isdigit() and low <= int(digits) * factor <= high:
                return int(digits) * factor
            self.say("form_money", low=low, high=high)

    # --- the phone ---

    def ask_telegram(self) -> None:
        """Ask for the phone, which may be left out; a test message is sent."""
        token = self.ask("telegram", hidden=True)
        if not token:
            return
        chat = self.ask("speak")
        api = self.trial().bot
        assert api is not None
        if not re.fullmatch(r"-?[0-9]+", chat):
            found = asyncio.run(heard_by(token, api.telegram_api))
            if found is None:
                self.say("unheard")
                chat = self.ask("speak")
            else:
                chat, name = found
                self.say("heard", chat=chat, name=name)
        settings = bot.Settings(self.trial().profile, bot.NO_SECTION, bot.Secret(token), chat)
        told = Both("kisbot: this is where alerts come", "kisbot: 알림이 여기로 옵니다")
        text = bot.in_language(told, self.options.speak)
        advice = asyncio.run(send_message(settings, api.telegram_api, text))
        if advice is None:
            self.say("sent")
        else:
            print(f"✗ {bot.in_language(advice, self.options.speak)}")
        self.answers.telegram = {"TELEGRAM_BOT_TOKEN": token, "TELEGRAM_CHAT_ID": chat}

    def write_telegram(self) -> None:
        """Put the phone into the file .env beside the settings; its other lines stay."""
        if not self.answers.telegram:
            return
        path = self.path.parent / ".env"
        before = path.read_text("utf-8").splitlines() if path.is_file() else []
        kept = [line for line in before if line.split("=")[0].strip() not in self.answers.telegram]
        lines = [*kept, *(f"{name}={value}" for name, value in self.answers.telegram.items())]
        bot.write_private(path, "\n".join(lines) + "\n")


def suggested_limits(money: int, loss: int, stocks: int) -> dict[str, int]:
    """Return the settings of money from two answers.

    >>> list(suggested_limits(10_000_000, 200_000, 3).values())
    [3330000, 3330000, 10000000, 200000, 66000]
    """
    one = money // max(1, min(stocks, 3))
    one = one // 10_000 * 10_000 or one
    return {
        "bot.limits.max_order_krw": min(one, bot.CEILING_ORDER_KRW),
        "bot.limits.max_symbol_krw": one,
        "bot.limits.max_total_krw": money,
        "bot.limits.max_daily_loss_krw": loss,
        "bot.parameters.risk_krw": min(10_000_000, max(1_000, loss // 3 // 1_000 * 1_000)),
    }


async def heard_by(token: str, api: str) -> tuple[str, str] | None:
    """Return chat and name of who wrote to a Telegram bot last; None when nobody did."""
    from telegram import Bot
    from telegram.error import TelegramError

    door = bot._bounded_request()
    try:
        phone = Bot(
            token, base_url=f"{api.rstrip('/')}/bot", request=door, get_updates_request=door
        )
        updates = await phone.get_updates(timeout=0)
        found = [each.effective_chat for each in updates if each.effective_chat]
        return (str(found[-1].id), found[-1].full_name or "") if found else None
    except TelegramError:
        return None
    finally:
        await door.shutdown()


def run_setup(options: argparse.Namespace, terminal: Terminal | None = None) -> int:
    """Talk with the user until a settings file stands; return the exit code."""
    os.umask(0o077)
    setup = Setup(options, terminal or Terminal())
    try:
        return setup.run()
    except (EOFError, KeyboardInterrupt):
        print()
        setup.say("nothing")
        return bot.EXIT_INTERRUPTED
