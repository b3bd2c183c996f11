"""`check`: what keeps the monitor from working, by its cause, all in one round. Sends no order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kis_realtime_trading import (
    BadData,
    BotError,
    Both,
    HttpReply,
    NoAnswer,
    NotSent,
    Secret,
    in_language,
)
from venues import binance, binance_orders, upbit, upbit_orders
from venues.binance_orders import BinanceOrders
from venues.board import Board
from venues.common import int_field, parse_json
from venues.monitor import Feeds, Hosts, symbols_of
from venues.settings import ORDERING, SECRETS, Environment, VenueSettings
from venues.upbit_orders import UpbitOrders
from venues.wire import (
    Call,
    Clock,
    Http,
    Line,
    Pacer,
    Statistics,
    Transport,
    VenueTransport,
    server_date_ms,
)

MOST_OFF_MS = 1_000
NAMES = {upbit.VENUE: Both("Upbit", "업비트"), binance.VENUE: Both("Binance", "바이낸스")}


class Finding(NamedTuple):
    """One thing looked at. `code` names a cause, "ok" for none."""

    about: str
    code: str
    text: str

    @property
    def good(self) -> bool:
        """Tell whether nothing is wrong here."""
        return self.code == "ok"

    def said(self, language: str) -> str:
        """Return the finding as a line for the user."""
        mark = "✓" if self.good else "✗"
        return f"{mark} {in_language(self.about, language)}: {in_language(self.text, language)}"


CAUSES: dict[str, Both] = {
    "ok": Both("all right", "정상"),
    "no_connection": Both(
        "no connection; is there a network, a firewall, a DNS server?",
        "연결되지 않습니다. 네트워크, 방화벽, DNS를 확인하십시오",
    ),
    "cut": Both(
        "connected, but no answer came; try again, look at a proxy or firewall between",
        "연결은 되지만 응답이 없습니다. 다시 시도하고, 중간의 프록시나 방화벽을 확인하십시오",
    ),
    "country": Both(
        "it does not serve this country or address (HTTP 403/451); run the bot elsewhere",
        "이 국가나 IP에는 서비스하지 않습니다(HTTP 403/451). 다른 서버에서 실행하십시오",
    ),
    "too_many": Both(
        "too many requests from this address (HTTP 429); another program uses the same limit",
        "이 IP의 요청이 너무 많습니다(HTTP 429). 같은 한도를 쓰는 다른 프로그램이 있습니다",
    ),
    "banned": Both(
        "this address is banned for a while (HTTP 418); stop every program and wait",
        "이 IP가 일시 차단되었습니다(HTTP 418). 모든 프로그램을 멈추고 기다리십시오",
    ),
    "server_trouble": Both(
        "the venue has trouble (HTTP 5xx); nothing to do here but wait",
        "거래소 쪽 장애입니다(HTTP 5xx). 기다리는 수밖에 없습니다",
    ),
    "maintenance": Both(
        "a page instead of data: maintenance, or something between answers for it",
        "데이터 대신 웹 페이지가 옵니다. 점검 중이거나 중간 장비가 대신 응답합니다",
    ),
    "refused": Both("the question was refused", "요청이 거부되었습니다"),
    "silent": Both(
        "the stream stands, but nothing comes",
        "실시간 연결은 되었지만 아무것도 오지 않습니다",
    ),
    "garbage": Both(
        "the stream sends what cannot be read; this program may be too old",
        "실시간 데이터를 읽을 수 없습니다. 이 프로그램이 오래되었을 수 있습니다",
    ),
    "stream_down": Both("the stream does not stand", "실시간 연결이 되지 않습니다"),
    "key_wrong": Both(
        "the key or its secret is not the right one; copy both anew. Keys of one world (testnet, demo, "
        "live) do not work in another",
        "키나 시크릿이 맞지 않습니다. 둘 다 다시 복사하십시오. 테스트넷·데모·실거래의 키는 서로 통하지 않습니다",
    ),
    "key_expired": Both("the key has expired; make a new one", "키가 만료되었습니다. 새로 발급하십시오"),
    "key_ends": Both("the key ends within a week; make a new one", "키가 일주일 안에 만료됩니다. 새로 발급하십시오"),
    "key_address": Both(
        "this machine's address is not registered for the key", "이 서버의 IP가 키에 등록되어 있지 않습니다"
    ),
    "key_rights": Both(
        "the key lacks a right: balances, orders to see, orders to place; never withdrawals",
        "키의 권한이 모자랍니다: 자산조회, 주문조회, 주문하기. 출금 권한은 주지 마십시오",
    ),
    "key_terms": Both("the venue's terms must be accepted on its site first", "거래소 사이트에서 약관에 먼저 동의해야 합니다"),
    "key_withdraws": Both(
        "the key may withdraw; make one that may not", "출금 권한이 있는 키입니다. 출금 권한이 없는 키를 쓰십시오"
    ),
    "key_unknown": Both("the venue refuses the key, it does not say why", "거래소가 키를 거부하지만 이유를 알려 주지 않습니다"),
}  # fmt: skip
KEY_CAUSES = {
    "jwt_verification": "key_wrong", "invalid_access_key": "key_wrong", "expired_access_key": "key_expired",
    "no_authorization_ip": "key_address", "no_authorization_token": "key_wrong", "out_of_scope": "key_rights",
    "thirdparty_agreement_required": "key_terms", "-1022": "key_wrong", "-2014": "key_wrong",
    "-2015": "key_address", "-1021": "clock_far",
}  # fmt: skip
KEY_DAYS = 7
CAUSES["clock_far"] = Both(
    "the venue's clock and this machine's disagree too much",
    "거래소와 이 서버의 시계가 너무 다릅니다",
)


def cause_of(error: BotError | None, reply: HttpReply | None) -> str:
    """Return the code of what is behind a failure, "ok" for an answer of use."""
    if isinstance(error, NotSent):
        return "no_connection"
    if isinstance(error, NoAnswer):
        return "cut"
    if reply is None:
        return "refused"
    by_status = {403: "country", 451: "country", 429: "too_many", 418: "banned"}
    if code := by_status.get(reply.status):
        return code
    if reply.status >= 500:
        return "server_trouble"
    try:
        parse_json(reply.text)
    except BadData:
        return "maintenance"
    return "ok" if reply.status < 400 else "refused"


class Check:
    """Everything that is looked at, in order; each fault is told with its cause."""

    def __init__(
        self, settings: VenueSettings, environment: Environment, hosts: Hosts, clock: Clock,
        wait_s: float = 8.0,
    ) -> None:  # fmt: skip
        self.settings, self.environment, self.hosts = settings, environment, hosts
        self._clock, self._wait_s = clock, wait_s
        self.findings: list[Finding] = []

    async def run(self) -> list[Finding]:
        """Look at everything; return what was found."""
        self._folder()
        self._bank()
        await self._venue(
            upbit.VENUE, lambda: upbit.markets_call(self.hosts.upbit_rest), upbit.read_markets
        )
        await self._binance()
        await self._streams()
        await self._telegram()
        await self._keys()
        return self.findings

    def _add(self, about: str, code: str, text: str = "") -> None:
        self.findings.append(Finding(about, code, text or CAUSES[code]))

    def _folder(self) -> None:
        folder, about = self.settings.state_dir, Both("state folder", "상태 폴더")
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = folder / f".check.{os.getpid()}"
            probe.write_text("x")
            probe.unlink()
        except OSError as error:
            text = f"{folder}: {error.strerror}"
            self._add(about, "folder", Both(f"{text}; it must be writable", f"{text}. 쓸 수 있어야 합니다"))  # fmt: skip
            return
        self._add(about, "ok", str(folder))

    def _bank(self) -> None:
        rates, about = self.settings.bank_rates, Both("bank rate", "은행 환율")
        if not rates:
            return
        if Board(self.settings, self._clock).bank(self._clock.wall_ms()) is None:
            newest = max(rates, key=lambda each: each.at)
            text = f"{newest.source}, {newest.at.isoformat()}"
            self._add(about, "bank_old", Both(
                f"{text}: too old or in the future; it is not shown and never alerts",
                f"{text}: 오래되었거나 미래 시각이라 표시도 알림도 하지 않습니다",
            ))  # fmt: skip
        else:
            self._add(about, "ok")

    async def _ask(self, venue: str, make: Callable[[], Call]) -> tuple[str, HttpReply | None]:
        module: Any = {upbit.VENUE: upbit, binance.VENUE: binance}[venue]
        transport = self.hosts.transport(module.HOSTS)
        http = Http(transport, Pacer(module.LIMITS), Statistics(), self._clock)
        try:
            reply = await http.once(make)
        except BotError as error:
            return cause_of(error, None), None
        finally:
            await transport.close()
        return cause_of(None, reply), reply

    async def _venue(self, venue: str, make: Callable[[], Call], read: Any) -> None:
        """Ask for the list of markets: connection, clock, unknown and halted markets."""
        code, reply = await self._ask(venue, make)
        if code != "ok" or reply is None:
            if venue == binance.VENUE and reply is not None and "-1121" in reply.text:
                text = Both(
                    "it does not know one of the coins of kimchi.coins or binance.markets",
                    "kimchi.coins나 binance.markets 중에 없는 종목이 있습니다",
                )
                self._add(NAMES[venue], "unknown_symbol", text)
            else:
                self._add(NAMES[venue], code)
            return
        self._offset(venue, server_date_ms(reply))
        try:
            found = read(reply.text)
        except BotError:
            self._add(NAMES[venue], "maintenance")
            return
        wanted = [*symbols_of(self.settings)[venue], *self._markets(venue)]
        unknown = sorted({symbol for symbol in wanted if symbol not in found})
        if unknown:
            names = ", ".join(unknown)
            text = Both(f"no such market: {names}", f"없는 종목: {names}")
            self._add(NAMES[venue], "unknown_symbol", text)
        halted = sorted(
            {s for s in wanted if s in found and venue == binance.VENUE and found[s][1]}
        )
        if halted:
            names = ", ".join(f"{s} ({found[s][1]})" for s in halted)
            self._add(
                NAMES[venue], "halted", Both(f"not traded now: {names}", f"거래 중지: {names}")
            )
        if not unknown and not halted:
            self._add(NAMES[venue], "ok")

    async def _binance(self) -> None:
        base, wanted = self.hosts.binance_rest, symbols_of(self.settings)[binance.VENUE]
        names = list(dict.fromkeys([*wanted, *self._markets(binance.VENUE)]))
        await self._venue(
            binance.VENUE, lambda: binance.markets_call(base, names), binance.read_markets
        )
        code, reply = await self._ask(
            binance.VENUE, lambda: Call("time", "weight", "GET", f"{base}/api/v3/time", {})
        )
        if code == "ok" and reply:
            self._offset(binance.VENUE, int_field(parse_json(reply.text), "serverTime"))

    def _markets(self, venue: str) -> Sequence[str]:
        section: Any = self.settings.upbit if venue == upbit.VENUE else self.settings.binance
        markets: Sequence[str] = section.markets if section.use != "off" else ()
        return markets

    def _offset(self, venue: str, server_ms: int | None) -> None:
        if server_ms is None:
            return
        off = self._clock.wall_ms() - server_ms
        most = MOST_OFF_MS + (1_000 if venue == upbit.VENUE else 0)  # its clock has whole seconds
        if abs(off) > most:
            seconds = f"{abs(off) / 1_000:.1f}"
            ahead = off > 0
            text = Both(
                f"this machine's clock is {seconds} s {'ahead' if ahead else 'behind'}; set it by NTP "
                "(timedatectl set-ntp true)",
                f"이 컴퓨터의 시계가 {seconds}초 {'빠릅니다' if ahead else '느립니다'}. NTP로 "
                "맞추십시오 (timedatectl set-ntp true)",
            )
            self._add(NAMES[venue], "clock", text)

    async def _streams(self) -> None:
        """Open both streams until each gave something that can be read, or the time is over."""
        seen: set[str] = set()
        feeds = Feeds(
            self.hosts, self._clock, symbols_of(self.settings),
            lambda event: seen.add(event.venue), lambda change: None,  # type: ignore[attr-defined]
        )  # fmt: skip
        whys: dict[str, str] = {}
        tasks = [asyncio.create_task(line.run()) for line in feeds.lines]
        for _ in range(int(self._wait_s * 20)):
            whys |= {line.plan.venue: line.why for line in feeds.lines if line.why}
            told = seen | set(whys) | {line.plan.venue for line in feeds.lines if line.stats.bad}
            if len(told) == len(feeds.lines):
                break
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for line in feeds.lines:
            about = in_language(NAMES[line.plan.venue], "en")
            about = Both(f"{about}, stream", f"{NAMES[line.plan.venue].ko} 실시간")
            self._add(about, *self._stream(line, seen, whys))

    @staticmethod
    def _stream(line: Line, seen: set[str], whys: dict[str, str]) -> tuple[str, str]:
        if line.plan.venue in seen:
            return "ok", ""
        if line.stats.bad:
            return "garbage", ""
        if why := whys.get(line.plan.venue):
            code = "refused" if why.startswith("LineEnds") else "stream_down"
            return code, Both(f"{CAUSES[code]}: {why}", f"{CAUSES[code].ko}: {why}")
        return "silent", ""

    async def _telegram(self) -> None:
        """Ask Telegram who the bot is and whether it may write to the chat; nothing is sent."""
        token, about = self.environment.telegram_token, Both("Telegram", "텔레그램")
        if not token:
            return
        api = self.environment.telegram_api.rstrip("/")
        transport = VenueTransport([api.removeprefix("https://")])
        try:
            for method, code, text in (
                ("getMe", "telegram_token", Both(
                    "it does not know this token; ask @BotFather for the right one",
                    "모르는 토큰입니다. @BotFather에서 다시 확인하십시오")),
                (f"getChat?chat_id={self.environment.telegram_chat}", "telegram_chat", Both(
                    "the chat is unknown to the bot: write it one message first, check TELEGRAM_CHAT_ID",
                    "봇이 모르는 대화입니다. 봇에게 먼저 메시지를 보내고 TELEGRAM_CHAT_ID를 확인하십시오")),
            ):  # fmt: skip
                url = f"{api}/bot{token.reveal()}/{method}"
                reply = await transport("GET", url, {}, None, 10.0)
                if reply.status != 200:
                    self._add(about, code, text)
                    return
        except BotError as error:
            self._add(about, cause_of(error, None))
            return
        finally:
            await transport.close()
        self._add(about, "ok")

    async def _keys(self) -> None:
        """Ask what the keys may do: nothing is ordered. Only where orders are set up."""
        given = self.environment.keys
        if self.settings.upbit.use in ORDERING and SECRETS[0] in given:
            await self._upbit_key(given[SECRETS[0]], given[SECRETS[1]])
        use = self.settings.binance.use
        if use in ORDERING and SECRETS[2] in given:
            here = self.hosts.binance_rest if self.hosts != Hosts() else binance_orders.HOSTS[use]
            await self._binance_key(given[SECRETS[2]], given[SECRETS[3]], here)

    def _http(self, base: str) -> tuple[Http, Transport]:
        module: Any = upbit if base == self.hosts.upbit_rest else binance
        transport = self.hosts.transport([base.partition("://")[2]])
        return Http(transport, Pacer(module.LIMITS), Statistics(), self._clock), transport

    async def _upbit_key(self, access: Secret, secret: Secret) -> None:
        about = Both("Upbit, key", "업비트 키")
        http, transport = self._http(self.hosts.upbit_rest)
        port = UpbitOrders(http, access, secret, self.hosts.upbit_rest)
        try:
            reply = await http.once(port.accounts_call)
            code = KEY_CAUSES.get(
                upbit_orders.error_name(reply), "" if reply.status == 200 else "key_unknown"
            )
            ends = await port.key_expires() if not code else None
        except BotError as error:
            self._add(about, cause_of(error, None))
            return
        finally:
            await transport.close()
        left = ends.timestamp() - self._clock.wall_ms() / 1_000 if ends else None
        if left is not None and left < KEY_DAYS * 86_400:
            code = "key_ends"
        self._add(about, code or "ok")

    async def _binance_key(self, key: Secret, secret: Secret, base: str) -> None:
        about = Both("Binance, key", "바이낸스 키")
        http, transport = self._http(base)
        port = BinanceOrders(http, key, secret, base)
        try:
            await port.set_clock()
            reply = await http.once(port.account_call)
            number = binance_orders.error_of(reply)[0]
            code = KEY_CAUSES.get(str(number), "" if reply.status == 200 else "key_unknown")
            if not code and self.settings.binance.use == "live" and await port.may_withdraw():
                code = "key_withdraws"
        except BotError as error:
            self._add(about, cause_of(error, None))
            return
        finally:
            await transport.close()
        self._add(about, code or "ok")
