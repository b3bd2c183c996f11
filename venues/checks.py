"""`check`: what keeps the monitor from working, by its cause, all in one round. Sends no order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kis_realtime_trading import BadData, BotError, Both, HttpReply, NoAnswer, NotSent, in_language
from venues import binance, upbit
from venues.board import Board
from venues.common import int_field, parse_json
from venues.monitor import Feeds, Hosts, symbols_of
from venues.settings import Environment, VenueSettings
from venues.wire import Call, Clock, Http, Line, Pacer, Statistics, VenueTransport, server_date_ms

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
}


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
            if len(seen) == len(feeds.lines) or len(whys) == len(feeds.lines):
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
