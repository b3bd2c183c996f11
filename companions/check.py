"""`--check`: everything that trading needs, tested one by one, with what to do about each failure.

It sends no order. While a bot runs with the same account nothing is asked of the broker: a second
token, a second WebSocket session or a faster pace would disturb it. What that bot says of itself
is shown in place of it.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import logging
import re
import shutil
import sys
import time
import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import kis_realtime_trading as bot
from companions.control import running_folders
from companions.names import names_of
from companions.plain_words import start_of_command
from kis_realtime_trading import Both

LEAST_DISK_MB = 200  # the journal and a day's recording
CALENDAR_WARNING_DAYS = 45
CODE = re.compile(r"\b(?:[A-Z]{3,4}\d{4,5}|\d{8})\b")

KEYS = Both(
    "copy app key and secret again from the portal, without blanks, both from the same line",
    "포털에서 앱키와 앱시크릿을 빈칸 없이, 같은 줄의 것으로 다시 복사하십시오",
)
ACCOUNT = Both(
    "the account these keys were issued for: first 8 digits of the number; my_prod its last 2",
    "이 앱키를 신청한 계좌여야 합니다: 계좌번호 앞 8자리, my_prod는 뒤 2자리",
)
PRODUCT = Both(
    "my_prod, the last 2 digits of the account: usually '01'; then the 8 digits themselves",
    "my_prod(계좌번호 뒤 2자리)를 보십시오. 보통 '01'입니다. 그다음은 앞 8자리",
)
OTHER_ENVIRONMENT = Both(
    "these keys belong to the other environment: paper keys under paper_, real ones in live-NAME.yaml",
    "다른 쪽(실전/모의)의 키입니다. 모의투자 키는 paper_에, 실전 키는 live-이름.yaml에 둡니다",
)
SESSION = Both(
    "another program uses these keys for its WebSocket: end it; after a crash wait some minutes",
    "다른 프로그램이 같은 앱키로 웹소켓을 쓰고 있습니다. 끝내십시오. 비정상 종료 뒤에는 몇 분 기다리십시오",
)
HTS_ID = Both(
    "my_htsid: the login of the HTS, in the right case; not the account number",
    "my_htsid는 HTS 로그인 아이디입니다(대소문자 구분). 계좌번호가 아닙니다",
)
BY_CODE: Mapping[str, Both] = {
    "EGW00133": Both(
        "a token is given once a minute: wait a minute; let only one program use these keys",
        "토큰은 1분에 한 번만 발급됩니다. 1분 뒤에 다시 하고, 이 앱키는 한 프로그램만 쓰게 하십시오",
    ),
    "EGW00201": Both(
        "too many calls a second: end other programs with these keys, then try again",
        "초당 호출 수를 넘었습니다. 같은 앱키를 쓰는 다른 프로그램을 끝내고 다시 하십시오",
    ),
    "EGW00206": Both(
        "this API is not allowed to these keys: look at the application in the portal",
        "이 앱키에 권한이 없습니다. 포털의 신청 내용을 확인하십시오",
    ),
    "EGW00207": Both(
        "this computer's address is not among those allowed in the portal",
        "이 컴퓨터의 IP가 포털의 허용 목록에 없습니다",
    ),
    "90070000": Both(
        "apply for the paper API with the same login that owns the paper account",
        "모의투자 계좌를 만든 아이디로 Open API를 신청하십시오",
    ),
    **dict.fromkeys(("EGW00102", "EGW00103", "EGW00105", "EGW00304"), KEYS),
    **dict.fromkeys(("EGW02004", "EGW02007"), OTHER_ENVIRONMENT),
    **dict.fromkeys(("IGW00002", "OPSQ2000", "APAC0081"), ACCOUNT),
    **dict.fromkeys(("OPSP8992", "OPSP8993"), HTS_ID),
    "OPSP8996": SESSION,
}  # fmt: skip
BY_CAUSE = (  # what the text of an error without a code says
    (r"DNSError|gaierror", Both(
        "no name is found: is this computer on the internet, does its DNS work?",
        "주소를 찾지 못했습니다. 인터넷 연결과 DNS를 확인하십시오")),
    (r"Certificate|SSL", Both(
        "the certificate is refused: is the clock right, does a proxy or a virus scanner stand between?",
        "인증서가 거부되었습니다. 시계가 맞는지, 중간에 프록시나 백신이 있는지 확인하십시오")),
    (r"no connection", Both(
        "the host does not answer: a firewall (ports 9443, 29443, 21000, 31000), or maintenance",
        "서버에 연결되지 않습니다. 방화벽(9443, 29443, 21000, 31000번 포트)이나 KIS 점검 시간을 확인하십시오")),
    (r"HTTP 5\d\d|without JSON|Timeout|no acknowledgement", Both(
        "the server is in maintenance or overloaded: try again in some minutes",
        "서버가 점검 중이거나 바쁩니다. 몇 분 뒤에 다시 하십시오")),
    (r"another one", ACCOUNT),
)  # fmt: skip
BY_STEP: Mapping[str, Both] = {
    "token": KEYS,
    "approval": Both("the same keys; is WebSocket use applied for?", "같은 앱키입니다. 포털에서 신청 내용을 확인하십시오"),
    "account": ACCOUNT,
    "websocket": SESSION,
    "stock": Both("--find NAME tells the code of a stock", "--find 이름으로 종목코드를 찾을 수 있습니다"),
}  # fmt: skip
NAMES: Mapping[str, Both] = {
    name: Both(name, korean)
    for name, korean in {
        "settings": "설정", "strategy": "전략", "disk": "디스크", "bot": "실행 중인 봇",
        "calendar": "거래일", "token": "접근토큰", "clock": "시계", "approval": "접속키",
        "account": "계좌", "limits": "한도", "stock": "종목", "websocket": "웹소켓",
        "telegram": "텔레그램",
    }.items()
}  # fmt: skip


def advice_for(step: str, error: bot.BotError, profile: bot.Profile) -> Both:
    """Return what to do about a failure: by its code, else by its cause, else by its step."""
    text = str(error)
    code = getattr(error, "code", "") or next(iter(CODE.findall(text)), "")
    if code in BY_CODE:
        advice = BY_CODE[code]
        return PRODUCT if advice is ACCOUNT and profile.product != "01" else advice
    for pattern, advice in BY_CAUSE:
        if re.search(pattern, text):
            return advice
    place = "docs/{}/troubleshooting.md"
    other = Both(f"look it up in {place.format('en')}", f"{place.format('ko')}에서 찾아보십시오")
    return BY_STEP.get(step, other)


class Board:
    """The list that is printed: a mark, what was tested, what was seen, what to do."""

    def __init__(self, language: str) -> None:
        self.language, self.failed = language, 0

    def show(self, mark: str, step: str, text: str, advice: str | None = None) -> None:
        """Print one line; `✗` counts as a failure, `!` is worth reading."""
        self.failed += mark == "✗"
        name = bot.in_language(NAMES[step], self.language)
        wide = sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in name)
        english = self.language == "en" or isinstance(text, bot.Both)
        said = bot.in_language(text, self.language) if english else bot.in_korean(text)
        said = said.replace("\n", " ")
        print(f"{mark} {name}{' ' * max(0, 13 - wide)} {said}", flush=True)
        if advice:
            print(f"{'':16}→ {bot.in_language(advice, self.language)}", flush=True)


class Keeping:
    """A transport that keeps the answers about the balance: the bot adds lines of one stock up."""

    def __init__(self, inner: bot.Transport) -> None:
        self._inner = inner
        self.kept: list[bot.HttpReply] = []

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], params: Mapping[str, str],
        body: bytes | None,
    ) -> bot.HttpReply:  # fmt: skip
        reply = await self._inner(method, url, headers, params, body)
        if url.endswith("/inquire-balance") and reply.status == 200:
            self.kept.append(reply)
        return reply

    async def close(self) -> None:
        """Close the transport behind."""
        await self._inner.close()


class Check:
    """The steps of one check. Each prints its line; what needs a failed one is left out."""

    def __init__(
        self, settings: bot.Settings, options: argparse.Namespace, transport: bot.Transport
    ) -> None:
        self.settings, self.options = settings, options
        self.profile, self.bot = settings.profile, settings.bot
        self.board = Board(options.speak)
        self.folder = bot.state_folder(options, self.bot)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # a token is kept there
        self.clock = bot.MarketClock(self.bot.market_clock)
        pace = self.bot.rest_calls_per_second or bot.REST_CALLS_PER_SECOND[self.profile.environment]
        self.door = Keeping(transport)
        self.rest = bot.Rest(self.profile, self.door, pace)
        self.auth = bot.KISAuth(self.profile, self.rest.call, self.folder, self.clock)
        self.client = bot.KISClient(self.profile, self.rest, self.auth, self.clock)
        self.cash, self.unreachable, self.busy = 0, False, False
        self.cma_krw = 0  # what a CMA account has to spend, where the deposit is 0
        self.last_failure = ""
        self.known: list[str] = []  # symbols that the broker answered for

    async def run(self) -> None:
        """Walk through all steps."""
        self.strategy()
        self.disk()
        self.calendar()
        self.busy = self.another_runs()
        if self.busy:
            self.word_of_the_other()
        elif await self.step("token", self.token):
            self.clock_offset()
            if await self.step("account", self.account):
                self.limits()
            for symbol in self.bot.symbols or ("005930",):
                await self.step("stock", functools.partial(self.stock, symbol))
            if await self.step("approval", self.approval):
                await self.step("websocket", self.websocket)
        await self.telegram()

    async def step(self, name: str, work: Callable[[], Awaitable[str]]) -> bool:
        """Do a step that asks the broker; return whether it went well. Without a line: not asked."""
        if self.unreachable:
            return False
        try:
            text = await work()
        except bot.BotError as error:
            self.last_failure = str(error)
            self.unreachable = isinstance(error, bot.NotSent)  # the next would wait as long
            said = error.said(self.board.language)
            self.board.show("✗", name, said, advice_for(name, error, self.profile))
            return False
        if text:
            self.board.show("✓", name, text)
        return True

    # --- this machine ---

    def strategy(self) -> None:
        """Show the strategy, which load_settings would have refused, with its parameters."""
        if not self.bot.symbols:  # see NO_SECTION
            self.board.show("!", "settings", Both(
                "no section `bot`: --paper will ask for symbols and limits",
                "bot 부분이 없습니다. 매매하려면 종목과 한도를 적어야 합니다",
            ), Both(f"{start_of_command()} --setup", f"{start_of_command()} --setup"))  # fmt: skip
            return
        name = self.options.strategy or self.bot.strategy
        try:
            loaded = bot.load_strategy(name, self.bot.parameters)
        except bot.SettingsError as error:
            raise bot.SettingsError(bot.of_command_line(self.options, error.faults)) from None
        values = loaded.parameters.model_dump()
        shown = ", ".join(f"{key} {value}" for key, value in values.items())
        self.board.show("✓", "strategy", f"{name} ({shown})" if shown else name)
        for warning in loaded.warnings:
            self.board.show("!", "strategy", warning)

    def disk(self) -> None:
        """Look whether journal and recordings have room."""
        free = shutil.disk_usage(self.folder).free // 1_000_000
        wanted = self.bot.record_max_mb if self.bot.record else LEAST_DISK_MB
        mark = "✗" if free < LEAST_DISK_MB else "!" if free < wanted else "✓"
        self.board.show(mark, "disk", Both(
            f"{free:,} MB free in {self.folder}", f"{self.folder}에 {free:,} MB 남음"
        ), None if mark == "✓" else Both(
            f"make room, or lower record_max_mb ({wanted:,})", f"공간을 비우거나 record_max_mb({wanted:,})를 줄이십시오"
        ))  # fmt: skip

    def calendar(self) -> None:
        """Name the next session, and the end of the built-in calendar when it is near."""
        now = self.clock.now()
        session = bot.session_ahead(now)
        left = (bot.CALENDAR_END - now.date()).days
        near = left < CALENDAR_WARNING_DAYS
        day = f"{session.day} {session.open:%H:%M}-{session.close:%H:%M}"
        self.board.show("!" if near else "✓", "calendar", Both(f"next session {day}", f"다음 장 {day}"), Both(
            f"the calendar ends in {left} days: update this program",
            f"달력이 {left}일 뒤에 끝납니다. 프로그램을 새것으로 바꾸십시오",
        ) if near else None)  # fmt: skip

    def another_runs(self) -> bool:
        """Tell whether a bot holds the lock of this account."""
        try:
            bot.AccountLock(bot.lock_of(self.profile), self.folder).release()
        except bot.AlreadyRunning:
            return True
        except bot.JournalError as error:
            self.board.show("✗", "bot", error.said(self.board.language))
        return False

    def word_of_the_other(self) -> None:
        """Show what the running bot says of itself; ask the broker nothing."""
        self.board.show("!", "bot", Both(
            "a bot trades this account now: nothing was asked of the broker, so as not to disturb it",
            "이 계좌로 봇이 실행 중입니다. 방해하지 않으려고 증권사에는 아무것도 묻지 않았습니다",
        ))  # fmt: skip
        for folder in {self.folder.resolve(), *running_folders()}:
            try:
                path = folder / bot.STATUS_FILE
                told: dict[str, Any] = json.loads(path.read_text("utf-8"))
                age = time.time() - path.stat().st_mtime
            except (OSError, ValueError):
                continue
            if told.get("account_tail") != self.profile.account_tail:
                continue
            up = bool(told.get("feed", {}).get("connected"))
            known = names_of(folder)
            names = ", ".join(
                str(each.get("name") or known.get(each["symbol"], each["symbol"]))
                for each in told["symbols"]
            )
            self.board.show("✓" if up and age < 60 else "!", "bot", Both(
                f"its word of {age:.0f} s ago: feed {'up' if up else 'down'}, cash {told['cash_krw']:,} won, {names}",
                f"{age:.0f}초 전 상태: 실시간 {'연결' if up else '끊김'}, 현금 {told['cash_krw']:,}원, {names}",
            ))  # fmt: skip

    # --- the broker ---

    async def token(self) -> str:
        """Get an access token, from the file or a new one."""
        await self.auth.token()
        return Both("access token in hand", "접근토큰을 받았습니다")

    def clock_offset(self) -> None:
        """Compare this clock with the broker's Date."""
        if self.bot.market_clock:
            return
        off = self.rest.clock_offset_s
        text = Both("within 3 s of the broker's", "증권사 시각과 3초 이내")
        if self.rest.clock_off:
            text = Both(f"{off:+.0f} s against the broker's", f"증권사 시각과 {off:+.0f}초 차이")
        self.board.show("✗" if self.rest.clock_off else "✓", "clock", text, Both(
            "set it: timedatectl set-ntp true (WSL: wsl --shutdown, then start again)",
            "맞추십시오: timedatectl set-ntp true (WSL은 wsl --shutdown 뒤 다시 시작)",
        ) if self.rest.clock_off else None)  # fmt: skip

    async def account(self) -> str:
        """Ask the balance; tell what kind of account it is."""
        orders = bot.KISOrder(self.client)
        balance = await orders.balance()
        self.cash = balance.settled_cash_krw
        lines = [row for reply in self.door.kept for row in bot.rows_of(reply.body(), "output1")]
        credit = [row for row in lines if is_credit(row)]
        if credit:
            names = ", ".join(str(row.get("prdt_name", "")).strip() for row in credit[:3])
            self.board.show("!", "account", Both(
                f"bought on credit: {names}. The bot knows cash lines only", f"신용 보유분: {names}. 봇은 현금 주식만 다룹니다"
            ), Both("give the bot an account of its own", "봇에게는 전용 계좌를 주십시오"))  # fmt: skip
        if self.cash == 0:
            await self.look_for_cma(orders)
        held = ", ".join(
            f"{each.name or each.symbol} {each.quantity:,}" for each in balance.holdings
        )
        return Both(
            f"cash {self.cash:,} won (D+2), {len(balance.holdings)} holdings{': ' + held if held else ''}",
            f"현금 {self.cash:,}원(D+2), 보유 {len(balance.holdings)}종목{': ' + held if held else ''}",
        )

    async def look_for_cma(self, orders: bot.KISOrder) -> None:
        """Tell why there is no cash: the money of a CMA account stands elsewhere."""
        orders.cma = True
        cash = self.cma_krw = await orders.orderable_cash()
        if cash and self.bot.cma:
            self.cash = cash
        elif cash:
            self.board.show("!", "account", Both(
                f"a CMA account: deposit 0, orderable with its CMA value {cash:,} won",
                f"CMA 계좌입니다: 예수금 0원, CMA를 포함한 주문가능금액 {cash:,}원",
            ), Both("write cma: true under bot", "bot 아래에 cma: true를 적으십시오"))  # fmt: skip
        else:
            self.board.show("!", "account", Both(
                "no cash: nothing can be bought", "현금이 없습니다: 매수할 수 없습니다"
            ), Both("pay some in", "입금하십시오"))  # fmt: skip

    def limits(self) -> None:
        """Compare the limits with the cash that is there."""
        if not self.bot.symbols:
            return
        limits, risk = self.bot.limits, self.bot.parameters.get("risk_krw")
        notes: list[str] = []
        for name in ("max_order_krw", "max_total_krw"):
            value = getattr(limits, name)
            if value > self.cash > 0:
                notes.append(
                    Both(
                        f"{name} {value:,} is more than the cash",
                        f"{name} {value:,}원이 현금보다 큽니다",
                    )
                )
        if self.cash and limits.max_daily_loss_krw * 10 > self.cash:
            share = 100 * limits.max_daily_loss_krw / self.cash
            notes.append(Both(
                f"a day may lose {share:.0f}% of the cash", f"하루에 현금의 {share:.0f}%까지 잃을 수 있습니다"
            ))  # fmt: skip
        if risk is None and limits.max_daily_loss_krw < 50_000 and self.bot.strategy == "breakout":
            notes.append(Both(
                "risk_krw (50,000 when not given) is more than a day may lose",
                "risk_krw(적지 않으면 50,000원)가 하루 손실 한도보다 큽니다",
            ))  # fmt: skip
        for note in notes:
            self.board.show("!", "limits", note)
        if not notes:
            text = (
                f"{limits.max_order_krw:,} / {limits.max_symbol_krw:,} / {limits.max_total_krw:,}"
            )
            loss = bot.day_loss_limit(limits, self.cash)
            by_pct = f"{limits.max_daily_loss_pct:g}%" if loss < limits.max_daily_loss_krw else ""
            self.board.show("✓", "limits", Both(
                f"order / stock / all {text}, loss of a day {loss:,} won"
                + (f" ({by_pct} of the cash)" if by_pct else ""),
                f"1건/종목/전체 {text}원, 하루 손실 {loss:,}원" + (f"(현금의 {by_pct})" if by_pct else ""),
            ))  # fmt: skip

    async def stock(self, symbol: str) -> str:
        """Ask one stock; name it; say when it cannot be traded or is dearer than the limit."""
        try:
            found = await bot.KISMarketData(self.client).price(symbol)
        except (bot.RequestRefused, bot.BadData) as error:
            if getattr(error, "code", "").startswith("EGW"):
                raise
            raise bot.BotError(Both(
                f"{symbol}: no such stock ({error})", f"{symbol}: 없는 종목입니다 ({error})"
            )) from None  # fmt: skip
        name = found.name or names_of(self.folder).get(symbol, "")
        if not found.last_price and not found.name:
            raise bot.BotError(Both(f"{symbol}: no such stock", f"{symbol}: 없는 종목입니다"))
        self.known.append(symbol)
        dear = 0 < self.bot.limits.max_order_krw < found.last_price
        said = f"{symbol} {name} {found.last_price:,}"
        if found.blocked:
            why = bot.in_korean(found.blocked)
            self.board.show("!", "stock", Both(f"{said}: {found.blocked}", f"{said}원: {why}"))
        elif dear:
            text = Both(
                f"{said}: one share is more than max_order_krw",
                f"{said}원: 1주가 max_order_krw보다 비쌉니다",
            )
            self.board.show("!", "stock", text)
        else:
            return Both(f"{said} won ({found.market})", f"{said}원 ({found.market})")
        return ""

    async def approval(self) -> str:
        """Get the key of a WebSocket session."""
        await self.auth.approval_key()
        return Both("WebSocket key in hand", "웹소켓 접속키를 받았습니다")

    async def websocket(self) -> str:
        """Register the trades of a stock and the order notice; wait for both acknowledgements."""
        profile = self.profile
        symbol = next(iter(self.known), "005930")
        socket = bot.KISWebSocket(
            profile.ws_url, self.auth, bot.FrameDecoder(), bot.connect_websocket, 0.1
        )
        notices = (bot.NOTICE_TRS[profile.environment], profile.hts_id.reveal())
        socket.registrations = [notices, ("H0STCNT0", symbol)]
        up = asyncio.Event()
        socket.on_change = lambda is_up, why: up.set()
        task = asyncio.create_task(socket.run())
        try:
            async with asyncio.timeout(12.0):
                await up.wait()
        except TimeoutError:
            raise bot.NoAnswer("no acknowledgement within 12 s") from None
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if socket.refused:
            code, _, text = "; ".join(socket.refused.values()).partition(" ")
            raise bot.RequestRefused(code, text)
        return Both("trades and order notices registered", "체결가와 체결통보를 등록했습니다")

    # --- the phone ---

    async def telegram(self) -> None:
        """Send one message to the phone, and say so."""
        if not self.settings.telegram_token:
            self.board.show("!", "telegram", Both(
                "none: alerts are seen in the terminal and the log only", "설정 없음: 알림은 화면과 로그에만 나옵니다"
            ))  # fmt: skip
            return
        said = Both("kisbot: a test message of --check", "kisbot: --check가 보낸 시험 메시지입니다")
        advice = await send_message(
            self.settings, self.bot.telegram_api, bot.in_language(said, self.board.language)
        )
        if advice is None:
            self.board.show(
                "✓", "telegram", Both("one test message was sent", "시험 메시지를 하나 보냈습니다")
            )
        else:
            self.board.show(
                "✗", "telegram", Both("no message arrived", "메시지가 가지 않았습니다"), advice
            )


def is_credit(row: Mapping[str, Any]) -> bool:
    """Tell whether a line of the balance was bought on credit (loan date or loan, doc)."""
    loan = str(row.get("loan_amt", "")).strip().lstrip("0")
    return bool(str(row.get("loan_dt", "")).strip("0 ") or loan)


async def send_message(settings: bot.Settings, api: str, text: str) -> Both | None:
    """Send a text to the chat of the settings; return what to do when it does not get there."""
    from telegram import Bot
    from telegram.error import BadRequest, Forbidden, InvalidToken, TelegramError

    token, chat = settings.telegram_token.reveal(), settings.telegram_chat
    door = bot._bounded_request()
    try:
        phone = Bot(token, base_url=f"{api.rstrip('/')}/bot", request=door)
        await phone.send_message(chat, text)
    except InvalidToken:  # its text holds the token
        return Both(
            "TELEGRAM_BOT_TOKEN: copy it again from @BotFather",
            "TELEGRAM_BOT_TOKEN을 @BotFather에서 다시 복사하십시오",
        )
    except Forbidden:
        return Both(
            "open the chat with your bot and press Start",
            "텔레그램에서 봇과의 대화를 열고 시작을 누르십시오",
        )
    except BadRequest:
        return Both(
            "TELEGRAM_CHAT_ID: the number of your chat; write to the bot first",
            "TELEGRAM_CHAT_ID는 대화의 숫자입니다. 먼저 봇에게 아무 말이나 보내십시오",
        )
    except TelegramError as error:
        name = type(error).__name__
        return Both(f"Telegram is out of reach ({name})", f"텔레그램에 닿지 않습니다 ({name})")
    finally:
        await door.shutdown()
    return None


async def check_set_up(options: argparse.Namespace, transport: bot.Transport | None = None) -> int:
    """Test a set-up and print the list; 0 when nothing failed."""
    environment: Literal["real", "paper"] = "real" if options.real else "paper"
    if options.real and options.credentials:
        settings, path = bot.load_live_settings(options), bot.find_settings(options.config)
    else:
        settings, path = bot.load_settings(options, environment, need_bot=False)
    redactor = bot.Redactor(bot.all_secrets(settings))
    level = logging.WARNING if options.verbose else logging.CRITICAL  # the list says it itself
    bot.set_up_logging(redactor, sys.stderr, level)
    door = transport or bot.AiohttpTransport()
    check = Check(settings, options, door)
    tail = settings.profile.account_tail
    kind = Both(
        f"{path} ({environment}, account {tail})",
        f"{path} ({'실전' if options.real else '모의'}, 계좌 {tail})",
    )
    check.board.show("✓", "settings", kind)
    try:
        await check.run()
    except bot.SettingsError as error:
        raise bot.SettingsError(bot.placed(error.faults, path.read_text("utf-8"))) from None
    finally:
        await door.close()
    failed, command = check.board.failed, "--acknowledge" if options.real else "--paper"
    given = [
        f" {flag} {value}"
        for flag, value in (("--config", options.config), ("--state", options.state))
        if value
    ]
    command = f"{start_of_command()} {command}{''.join(given)}"
    if failed:
        end = Both(f"{failed} to mend", f"고칠 것 {failed}가지")
    elif check.busy:
        end = Both("nothing to mend; the bot runs", "고칠 것이 없고, 봇은 실행 중입니다")
    else:
        end = Both(f"all is well. Next: {command}", f"모두 좋습니다. 다음: {command}")
    none = Both("no order was sent", "주문은 내지 않았습니다")
    print(f"{bot.in_language(none, options.speak)}. {bot.in_language(end, options.speak)}")
    return bot.EXIT_FAILED if failed else 0
