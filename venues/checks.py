"""`check`: what keeps the monitor from working, by its cause, all in one round. Sends no order."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kis_realtime_trading import (
    UNRESOLVED,
    BadData,
    BotError,
    Both,
    HttpReply,
    Journal,
    JournalError,
    NoAnswer,
    NotSent,
    Secret,
    in_language,
)
from venues import binance, binance_orders, kiwoom, kiwoom_cli, upbit, upbit_orders
from venues.accounts import VENUES, account_of, read_ledger
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
    NotConnected,
    Pacer,
    Statistics,
    Transport,
    VenueTransport,
    server_date_ms,
)

MOST_OFF_MS, LEAST_FREE_MB = 1_000, 200
NAMES = {
    upbit.VENUE: Both("Upbit", "업비트"), binance.VENUE: Both("Binance", "바이낸스"),
    kiwoom.VENUE: Both("Kiwoom", "키움"),
}  # fmt: skip


class Finding(NamedTuple):
    """One thing looked at. `code` names a cause, "ok" for none; `text` goes into its words."""

    about: str
    code: str
    text: str = ""

    @property
    def good(self) -> bool:
        """Tell whether nothing is wrong here."""
        return self.code == "ok"

    def said(self, language: str) -> str:
        """Return the finding for the user: what it is, and below it what to do."""
        about, text = in_language(self.about, language), in_language(self.text, language)
        if self.good:
            return f"✓ {about}: {text or in_language(ALL_RIGHT, language)}"
        cause = CAUSES[self.code]
        what, do = in_language(cause.what, language), in_language(cause.do, language)
        more = f" ({text})" if text and "{text}" not in cause.what + cause.do else ""
        return f"✗ {about}: {what.format(text=text)}{more}\n    → {do.format(text=text)}"


ALL_RIGHT = Both("all right", "정상")


class Cause(NamedTuple):
    """What is behind a fault, and what to do about it; `{text}` is filled in."""

    what: Both
    do: Both


CAUSES: dict[str, Cause] = {
    "no_connection": Cause(
        Both("no connection", "연결되지 않습니다"),
        Both("is there a network, does a firewall let port 443 out?", "네트워크와 방화벽(443 포트)을 확인하십시오"),
    ),
    "dns": Cause(
        Both("its name cannot be resolved", "주소(도메인)를 찾지 못합니다"),
        Both("look at the DNS server: /etc/resolv.conf, resolvectl status", "DNS 설정을 확인하십시오: /etc/resolv.conf, resolvectl status"),
    ),
    "tls": Cause(
        Both("no trusted encrypted connection (TLS)", "암호화 연결(TLS)을 신뢰할 수 없습니다"),
        Both("set the clock, update ca-certificates; a proxy that opens connections must not stand between", "시계를 맞추고 ca-certificates를 갱신하십시오. 중간에서 암호를 푸는 프록시가 있으면 안 됩니다"),
    ),
    "timeout": Cause(
        Both("no connection within 3 seconds", "3초 안에 연결되지 않습니다"),
        Both("a firewall may drop it silently: try from another network", "방화벽이 막고 있을 수 있습니다. 다른 네트워크에서 시도해 보십시오"),
    ),
    "cut": Cause(
        Both("connected, but no answer came", "연결은 되지만 응답이 없습니다"),
        Both("try again; look at a proxy or firewall between", "다시 시도하고, 중간의 프록시나 방화벽을 확인하십시오"),
    ),
    "country": Cause(
        Both("it does not serve this country or address (HTTP 403/451)", "이 국가나 IP에는 서비스하지 않습니다(HTTP 403/451)"),
        Both("run it on a server elsewhere", "다른 곳의 서버에서 실행하십시오"),
    ),
    "too_many": Cause(
        Both("too many requests from this address (HTTP 429)", "이 IP의 요청이 너무 많습니다(HTTP 429)"),
        Both("end other programs that use the same limit, try again in a minute", "같은 한도를 쓰는 다른 프로그램을 끝내고 1분 뒤 다시 하십시오"),
    ),
    "banned": Cause(
        Both("this address is banned for a while (HTTP 418)", "이 IP가 일시 차단되었습니다(HTTP 418)"),
        Both("stop every program and wait; going on makes it longer", "모든 프로그램을 멈추고 기다리십시오. 계속 요청하면 길어집니다"),
    ),
    "server_trouble": Cause(
        Both("the venue has trouble (HTTP 5xx)", "거래소 쪽 장애입니다(HTTP 5xx)"),
        Both("wait; read the venue's notices", "기다리면서 거래소 공지를 확인하십시오"),
    ),
    "maintenance": Cause(
        Both("a page instead of data", "데이터 대신 웹 페이지가 옵니다"),
        Both("maintenance: read the venue's notices; or a login page of the network answers for it", "점검 중인지 거래소 공지를 보십시오. 와이파이 로그인 페이지가 대신 응답할 수도 있습니다"),
    ),
    "refused": Cause(
        Both("the question was refused", "요청이 거부되었습니다"),
        Both("look at the markets in venues.yaml; this program may be too old", "venues.yaml의 종목을 확인하십시오. 프로그램이 오래되었을 수도 있습니다"),
    ),
    "silent": Cause(
        Both("the stream stands, but nothing comes", "실시간 연결은 되었지만 아무것도 오지 않습니다"),
        Both("try again with --wait 30; a proxy may hold it back", "--wait 30으로 다시 해 보십시오. 중간 프록시가 막을 수도 있습니다"),
    ),
    "garbage": Cause(
        Both("the stream sends what cannot be read", "실시간 데이터를 읽을 수 없습니다"),
        Both("update this program", "프로그램을 새 버전으로 바꾸십시오"),
    ),
    "stream_down": Cause(
        Both("the stream does not stand", "실시간 연결이 되지 않습니다"),
        Both("if the line above is all right, a firewall may refuse WebSockets", "위의 연결이 정상이라면 방화벽이 WebSocket을 막는지 확인하십시오"),
    ),
    "clock": Cause(
        Both("{text}", "{text}"),
        Both("set it by NTP: timedatectl set-ntp true", "NTP로 맞추십시오: timedatectl set-ntp true"),
    ),
    "clock_far": Cause(
        Both("the venue's clock and this machine's disagree too much", "거래소와 이 서버의 시계가 너무 다릅니다"),
        Both("set it by NTP: timedatectl set-ntp true", "NTP로 맞추십시오: timedatectl set-ntp true"),
    ),
    "unknown_symbol": Cause(
        Both("no such market: {text}", "없는 종목: {text}"),
        Both("correct the spelling in venues.yaml: KRW-BTC at Upbit, BTCUSDT at Binance", "venues.yaml의 표기를 고치십시오: 업비트 KRW-BTC, 바이낸스 BTCUSDT"),
    ),
    "halted": Cause(
        Both("not traded now: {text}", "거래 중지: {text}"),
        Both("nothing to do: it is shown without a figure until it trades again", "할 일은 없습니다. 거래가 다시 시작될 때까지 값 없이 표시합니다"),
    ),
    "bank_old": Cause(
        Both("{text}: too old or in the future", "{text}: 오래되었거나 미래 시각입니다"),
        Both("write today's rate under bank_rates; until then it is neither shown nor alerts", "bank_rates에 오늘 환율을 적으십시오. 그때까지 표시도 알림도 하지 않습니다"),
    ),
    "folder": Cause(
        Both("{text}", "{text}"),
        Both("it must be a folder that this user can write: state_dir in venues.yaml", "이 사용자가 쓸 수 있는 폴더여야 합니다: venues.yaml의 state_dir"),
    ),
    "mode": Cause(
        Both("others can read {text}", "다른 사용자가 {text} 파일을 읽을 수 있습니다"),
        Both("chmod 600 the files and chmod 700 the folder", "파일은 chmod 600, 폴더는 chmod 700으로 바꾸십시오"),
    ),
    "owner": Cause(
        Both("{text} belongs to another user", "{text}의 소유자가 다른 사용자입니다"),
        Both("run it as one user, or chown the folder", "한 사용자로만 실행하거나 chown으로 소유자를 바꾸십시오"),
    ),
    "space": Cause(
        Both("only {text} MB are free on the disk", "디스크에 {text} MB만 남았습니다"),
        Both("free some: an order is not sent when it cannot be written down first", "공간을 비우십시오. 먼저 기록하지 못하면 주문을 보내지 않습니다"),
    ),
    "journal": Cause(
        Both("{text}", "{text}"),
        Both("orders of this venue stay off until it is mended", "고칠 때까지 이 거래소의 주문은 나가지 않습니다"),
    ),
    "unresolved": Cause(
        Both("orders that are not resolved: {text}", "확인되지 않은 주문: {text}"),
        Both("python -m venues orders resolve; then look in the venue's app", "python -m venues orders resolve를 하고, 거래소 앱에서도 확인하십시오"),
    ),
    "pin": Cause(
        Both("use: live without the right live_pin", "use: live인데 live_pin이 없거나 다릅니다"),
        Both("python -m venues orders pin {text}", "python -m venues orders pin {text}"),
    ),
    "telegram_token": Cause(
        Both("it does not know this token", "모르는 토큰입니다"),
        Both("ask @BotFather for the right one: TELEGRAM_BOT_TOKEN", "@BotFather에서 다시 확인하십시오: TELEGRAM_BOT_TOKEN"),
    ),
    "telegram_chat": Cause(
        Both("the chat is unknown to the bot", "봇이 모르는 대화입니다"),
        Both("write the bot one message first, check TELEGRAM_CHAT_ID", "봇에게 먼저 메시지를 보내고 TELEGRAM_CHAT_ID를 확인하십시오"),
    ),
    "key_wrong": Cause(
        Both("the key or its secret is not the right one", "키나 시크릿이 맞지 않습니다"),
        Both("copy both anew; keys of one world (testnet, demo, live) do not work in another", "둘 다 다시 복사하십시오. 테스트넷·데모·실거래의 키는 서로 통하지 않습니다"),
    ),
    "key_expired": Cause(
        Both("the key has expired", "키가 만료되었습니다"),
        Both("make a new one on the venue's site", "거래소 사이트에서 새로 발급하십시오"),
    ),
    "key_ends": Cause(
        Both("the key ends within a week", "키가 일주일 안에 만료됩니다"),
        Both("make a new one before", "그 전에 새로 발급하십시오"),
    ),
    "key_address": Cause(
        Both("this machine's address is not registered for the key", "이 서버의 IP가 키에 등록되어 있지 않습니다"),
        Both("register it on the venue's site; curl -s https://checkip.amazonaws.com shows it", "거래소 사이트에서 등록하십시오. curl -s https://checkip.amazonaws.com 으로 알 수 있습니다"),
    ),
    "key_rights": Cause(
        Both("the key lacks a right", "키의 권한이 모자랍니다"),
        Both("allow balances, orders to see, orders to place; never withdrawals", "자산조회, 주문조회, 주문하기를 주십시오. 출금 권한은 주지 마십시오"),
    ),
    "key_terms": Cause(
        Both("the venue's terms are not accepted yet", "약관 동의가 필요합니다"),
        Both("accept them on its site", "거래소 사이트에서 동의하십시오"),
    ),
    "key_withdraws": Cause(
        Both("the key may withdraw", "출금 권한이 있는 키입니다"),
        Both("make one that may not, and delete this one", "출금 권한이 없는 키를 새로 발급하고 이 키는 지우십시오"),
    ),
    "key_unknown": Cause(
        Both("the venue refuses the key, it does not say why", "거래소가 키를 거부하지만 이유를 알려 주지 않습니다"),
        Both("look at its state on the venue's site", "거래소 사이트에서 키 상태를 확인하십시오"),
    ),
}  # fmt: skip
CAUSES |= {code: Cause(*texts) for code, texts in kiwoom_cli.CAUSES.items()}
KEY_CAUSES = {
    "jwt_verification": "key_wrong", "invalid_access_key": "key_wrong", "expired_access_key": "key_expired",
    "no_authorization_ip": "key_address", "no_authorization_token": "key_wrong", "out_of_scope": "key_rights",
    "thirdparty_agreement_required": "key_terms", "-1022": "key_wrong", "-2014": "key_wrong",
    "-2015": "key_address", "-1021": "clock_far",
}  # fmt: skip
KEY_DAYS = 7


def cause_of(error: BotError | None, reply: HttpReply | None) -> str:
    """Return the code of what is behind a failure, "ok" for an answer of use."""
    if isinstance(error, NotConnected):
        return error.kind
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
        self._journals()
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
        self.findings.append(Finding(about, code, text))

    def _folder(self) -> None:
        folder, about = self.settings.state_dir, Both("state folder", "상태 폴더")
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = folder / f".check.{os.getpid()}"
            probe.write_text("x")
            probe.unlink()
            found = [folder, *sorted(folder.iterdir())]
            strange = [each for each in found if each.lstat().st_uid != os.geteuid()]
            open_ = [each for each in found if stat.S_IMODE(each.lstat().st_mode) & 0o077]
            free_mb = shutil.disk_usage(folder).free // 10**6
        except OSError as error:
            self._add(about, "folder", f"{folder}: {error.strerror}")
            return
        for code, names in (("owner", strange), ("mode", open_)):
            if names:
                self._add(about, code, ", ".join(each.name for each in names))
        if free_mb < LEAST_FREE_MB:
            self._add(about, "space", str(free_mb))
        if not strange and not open_ and free_mb >= LEAST_FREE_MB:
            self._add(about, "ok", str(folder))

    def _bank(self) -> None:
        rates, about = self.settings.bank_rates, Both("bank rate", "은행 환율")
        if not rates:
            return
        if Board(self.settings, self._clock).bank(self._clock.wall_ms()) is None:
            newest = max(rates, key=lambda each: each.at)
            self._add(about, "bank_old", f"{newest.source}, {newest.at.isoformat()}")
        else:
            self._add(about, "ok")

    def _journals(self) -> None:
        """Read the journal of each account whole; name orders that are not resolved, and a missing pin."""
        for venue in VENUES:
            section: Any = getattr(self.settings, venue)
            if section.use not in (*ORDERING, "mock") or section.limits is None:
                continue
            if VENUES[venue][0] not in self.environment.keys:
                continue
            account = account_of(venue, self.settings, self.environment, self.hosts)
            about, path = (
                Both(f"{NAMES[venue]}, orders", f"{NAMES[venue].ko} 주문"),
                account.file(self.settings.state_dir),
            )
            if account.use == "live" and account.pin != account.right_pin:
                self._add(about, "pin", venue)
            if not path.exists():
                continue
            try:
                journal = Journal(path, read_only=True)
                try:
                    journal.verify()
                finally:
                    journal.close()
                orders = read_ledger(path).orders.values()
            except JournalError as error:
                self._add(about, "journal", Both(str(error), error.said("ko")))
                continue
            doubtful = [o.intent.client_id[3:11] for o in orders if o.status in UNRESOLVED]
            if doubtful:
                self._add(about, "unresolved", ", ".join(doubtful))

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
                    "one of kimchi.coins or binance.markets",
                    "kimchi.coins나 binance.markets 중 하나",
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
            self._add(NAMES[venue], "unknown_symbol", ", ".join(unknown))
        halted = sorted(
            {s for s in wanted if s in found and venue == binance.VENUE and found[s][1]}
        )
        if halted:
            self._add(NAMES[venue], "halted", ", ".join(f"{s} ({found[s][1]})" for s in halted))
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
                f"this machine's clock is {seconds} s {'ahead' if ahead else 'behind'}",
                f"이 컴퓨터의 시계가 {seconds}초 {'빠릅니다' if ahead else '느립니다'}",
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
            return "refused" if why.startswith("LineEnds") else "stream_down", why
        return "silent", ""

    async def _telegram(self) -> None:
        """Ask Telegram who the bot is and whether it may write to the chat; nothing is sent."""
        token, about = self.environment.telegram_token, Both("Telegram", "텔레그램")
        if not token:
            return
        api = self.environment.telegram_api.rstrip("/")
        transport = VenueTransport([api.removeprefix("https://")])
        try:
            for method, code in (
                ("getMe", "telegram_token"),
                (f"getChat?chat_id={self.environment.telegram_chat}", "telegram_chat"),
            ):
                url = f"{api}/bot{token.reveal()}/{method}"
                reply = await transport("GET", url, {}, None, 10.0)
                if reply.status != 200:
                    self._add(about, code)
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
        if self.settings.kiwoom.use != "off" and SECRETS[4] in given:
            found = await kiwoom_cli.check_key(self.settings, self.environment, self.hosts, self._clock, self._wait_s)  # fmt: skip
            self.findings += [Finding(*each) for each in found]

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
