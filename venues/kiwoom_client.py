"""Kiwoom's REST side: the token (au10001, au10002) and questions with their pages.

The token is kept in a file of its own, for its owner only, and given back as long as it is good:
Kiwoom is told both ways whether a second issue keeps the first alive, so one is asked for only when
none is left. `expires_dt` is believed, not a fixed lifetime (24 h is said, 18 h was measured).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from kis_realtime_trading import (
    KST,
    BadData,
    BotError,
    HttpReply,
    NoAnswer,
    NotSent,
    Redactor,
    Secret,
    write_private,
)
from venues import kiwoom
from venues.common import VQuote, field_of, text_field
from venues.kiwoom import KiwoomRefused, World, body_of, code_of, count
from venues.wire import (
    LANE_EXIT,
    LANE_LOOK,
    LANE_QUERY,
    ORDER_TIMEOUT_S,
    TOTAL_TIMEOUT_S,
    Call,
    Http,
)

log = logging.getLogger("kis.venues")

SPARE_S = 600  # renew when less is left; the broker's own sample uses ten minutes
ISSUE_PAUSE_S = 60.0  # after a refusal
MOST_PAGES = 100
WAITS_S = (1.0, 2.0, 4.0)  # after a refusal for the limit that came with HTTP 200


class Keys(NamedTuple):
    """App key and its secret; one pair is one account in one world."""

    app: Secret
    secret: Secret


class KiwoomToken:
    """The token of one key: from memory, the file, or a new one. One issue at a time."""

    def __init__(self, http: Http, keys: Keys, world: World, base: str, folder: Path | None) -> None:  # fmt: skip
        self._http, self._keys, self._world, self._base = http, keys, world, base
        self._mark = f"{world.name}-{keys.app.fingerprint()}"
        self._file = folder / f"kiwoom-token-{self._mark}.json" if folder else None
        self.redact: Callable[[str], str] = Redactor(keys)
        self._lock = asyncio.Lock()
        self._token, self._until_ms = Secret(""), 0
        self._dead: set[str] = set()
        self._refused: KiwoomRefused | None = None
        self._not_before = 0  # ns of our clock

    @property
    def left_s(self) -> int:
        """Return for how many seconds the token is still good, 0 without one."""
        return max(0, self._until_ms - self._http.clock.wall_ms()) // 1_000 if self._token else 0

    async def token(self) -> Secret:
        """Return a good token.

        Raises:
            KiwoomRefused: the keys are wrong, or none is given; not asked again for a minute.
            NoAnswer, NotSent, BadData: asked and got nothing of use.
        """
        if self.left_s > SPARE_S:
            return self._token
        async with self._lock:
            if self.left_s <= SPARE_S:
                self._load()
            if self.left_s <= SPARE_S:
                await self._issue()
            return self._token

    def drop(self, token: Secret) -> None:
        """Forget a token that is no longer accepted; a newer one is kept."""
        if token == self._token and token:
            self._dead = {token.reveal()}
            self._token, self._until_ms = Secret(""), 0
            if self._file:
                with contextlib.suppress(OSError):
                    self._file.unlink(missing_ok=True)

    async def revoke(self) -> None:
        """Give the token back. A refusal (8015, 8016) is nothing to worry about."""
        self._load()
        if token := self._token:
            self.drop(token)
            await self._revoke(token.reveal())

    async def _issue(self) -> None:
        """Ask for a token; one that was dropped and comes back is revoked, and asked for once more."""
        now = self._http.clock.mono_ns()
        if self._refused and now < self._not_before:
            raise self._refused.with_traceback(None)
        for _ in range(2):
            body = await self._ask(
                kiwoom.TOKEN_PATH, {"grant_type": "client_credentials", **self._pair()}, "au10001"
            )
            token = text_field(body, "token")
            if not re.fullmatch(r"[!-~]{8,4000}", token):
                raise BadData("an answer without a usable token")
            if token not in self._dead:
                break
            await self._revoke(token)
        else:
            raise NoAnswer("the same dead token came back")
        self._refused = None
        self._token, self._until_ms = Secret(token), _expiry_ms(body)
        Redactor.learn(self._token)
        self._store()

    async def _revoke(self, token: str) -> None:
        try:
            await self._ask(kiwoom.REVOKE_PATH, {**self._pair(), "token": token}, "au10002")
        except KiwoomRefused as refusal:
            log.info("token not revoked: %s", refusal.code)

    def _pair(self) -> dict[str, str]:
        return {"appkey": self._keys.app.reveal(), "secretkey": self._keys.secret.reveal()}

    async def _ask(self, path: str, body: Mapping[str, str], name: str) -> dict[str, Any]:
        reply = await self._http.query(
            lambda: _call(self._base, path, name, self._world, body, {}, LANE_EXIT)
        )
        answer = body_of(reply)
        if code := code_of(answer):
            text = self.redact(str(answer.get("return_msg") or ""))
            self._refused = KiwoomRefused(code, text, reply.status)
            self._not_before = self._http.clock.mono_ns() + round(ISSUE_PAUSE_S * 10**9)
            raise self._refused
        return answer

    def _load(self) -> None:
        """Take the kept token if it is ours and readable by nobody else."""
        if self._file is None:
            return
        try:
            if stat.S_IMODE(self._file.stat().st_mode) & 0o077:
                log.warning(
                    "token file %s was readable by others; asking for a new one", self._file
                )
                return
            kept = json.loads(self._file.read_text())
            if kept["mark"] == self._mark and kept["token"] not in self._dead:
                self._token, self._until_ms = Secret(str(kept["token"])), int(kept["until_ms"])
                Redactor.learn(self._token)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            log.warning("token file %s cannot be read; asking for a new one", self._file)

    def _store(self) -> None:
        if self._file is None:
            return
        kept = {"mark": self._mark, "token": self._token.reveal(), "until_ms": self._until_ms}
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._file, json.dumps(kept))
        except OSError as error:
            log.warning("the token is not kept for a restart: %s", error)


def _expiry_ms(body: Mapping[str, Any]) -> int:
    """Return when a token ends: `expires_dt` is the clock of Seoul. Raises BadData."""
    try:
        ends = datetime.strptime(str(body.get("expires_dt")), "%Y%m%d%H%M%S").replace(tzinfo=KST)
    except ValueError:
        raise BadData("a token without expires_dt") from None
    return int(ends.timestamp() * 1_000)


def _call(
    base: str, path: str, tr: str, world: World, body: Mapping[str, str], more: Mapping[str, str],
    lane: int = LANE_QUERY,
) -> Call:  # fmt: skip
    headers = {"Content-Type": "application/json;charset=UTF-8", "api-id": tr, **more}
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    orders = path == kiwoom.PATHS[kiwoom.BUY]
    timeout = ORDER_TIMEOUT_S if orders else TOTAL_TIMEOUT_S
    group = kiwoom.group_of(tr, world)
    return Call(tr, group, "POST", base + path, headers, raw, lane, 1, timeout)


class Deposit(NamedTuple):
    """Money of the account in won."""

    total: int
    free: int


class Holding(NamedTuple):
    """Shares of one stock."""

    symbol: str
    name: str
    held: int
    free: int
    average: int
    price: int


class StockInfo(NamedTuple):
    """A stock as `ka10001` tells it; prices in won."""

    symbol: str
    name: str
    last: int
    upper: int
    lower: int
    base: int


class KiwoomClient:
    """Questions to one account. A refused token is replaced once, then the refusal is told."""

    def __init__(
        self, http: Http, keys: Keys, world: World, base: str = "", folder: Path | None = None
    ) -> None:
        self.http, self.world, self.base = http, world, base or world.rest
        self.tokens = KiwoomToken(http, keys, world, self.base, folder)
        self.redact: Callable[[str], str] = Redactor(keys)

    def hide(self, secrets: Iterable[Secret]) -> None:
        """Show none of these, whatever Kiwoom echoes."""
        self.redact = self.tokens.redact = Redactor(secrets)

    async def ask(
        self, tr: str, body: Mapping[str, str], lane: int = LANE_QUERY,
        more: Mapping[str, str] | None = None,
    ) -> tuple[dict[str, Any], HttpReply]:  # fmt: skip
        """Ask once, through refusals that only say "wait" or "another token".

        Raises:
            KiwoomRefused: Kiwoom answered and refused.
            NoAnswer, NotSent, BadData: no answer of use.
        """
        renewed = False
        for wait in (*WAITS_S, None):
            token = await self.tokens.token()
            headers = {"authorization": f"Bearer {token.reveal()}", **(more or {})}
            reply = await self.http.query(
                lambda: _call(self.base, kiwoom.PATHS[tr], tr, self.world, body, headers, lane)  # noqa: B023
            )
            try:
                answer = body_of(reply)
            except BadData:  # a page of maintenance: it may be over in a second
                if wait is None:
                    raise
                await asyncio.sleep(wait)
                continue
            code = code_of(answer)
            if not code:
                return answer, reply
            text = self.redact(str(answer.get("return_msg") or ""))
            refused = KiwoomRefused(code, text, reply.status)
            if refused.act == kiwoom.TOKEN and not renewed:
                renewed = True
                self.tokens.drop(token)
                continue
            if refused.act != kiwoom.WAIT or wait is None:
                raise refused
            await asyncio.sleep(wait)
        raise NoAnswer(f"{tr}: no answer of use")

    async def pages(
        self, tr: str, body: Mapping[str, str], rows: str, lane: int = LANE_QUERY
    ) -> list[Any]:
        """Ask for a list to its end. Raises NoAnswer when its end is not reached: half a list is none."""
        found: list[Any] = []
        more: dict[str, str] = {}
        seen: set[str] = set()
        for _ in range(MOST_PAGES):
            answer, reply = await self.ask(tr, body, lane, more)
            page = answer.get(rows, [])
            if not isinstance(page, list):
                raise BadData(f"{tr}: {rows} is no list")
            found += page
            if reply.headers.get("cont-yn", "N").strip().upper() != "Y":
                return found
            key = reply.headers.get("next-key", "").strip()
            if not key or key in seen:
                raise NoAnswer(f"{tr}: more pages, but no way on")
            seen.add(key)
            more = {"cont-yn": "Y", "next-key": key}
        raise NoAnswer(f"{tr}: more than {MOST_PAGES} pages")

    async def order(
        self, tr: str, body: Mapping[str, str], lane: int, veto: Callable[[], str] | None
    ) -> HttpReply:
        """Send an order, a change or a cancel: ONE attempt. Raises NotSent, NoAnswer.

        The token is had before; a token that is refused here is dropped, the order is not repeated.
        """
        try:
            token = await self.tokens.token()
        except BotError as error:  # its lost answer says nothing of an order: none has left
            raise NotSent(f"no token: {error}") from None
        headers = {"authorization": f"Bearer {token.reveal()}"}
        reply = await self.http.once(
            lambda: _call(self.base, kiwoom.PATHS[tr], tr, self.world, body, headers, lane), veto
        )
        with contextlib.suppress(BadData):
            if kiwoom.ERRORS.get(code_of(body_of(reply)), ("",))[0] == kiwoom.TOKEN:
                self.tokens.drop(token)
        return reply

    # --- questions ----------------------------------------------------------------------

    async def stock(self, symbol: str) -> StockInfo:
        """Return a stock's price and limits of the day. KiwoomRefused with 1901..1903: no such stock."""
        answer, _ = await self.ask(kiwoom.STOCK, {"stk_cd": symbol})
        names = ("cur_prc", "upl_pric", "lst_pric", "base_pric")
        last, upper, lower, base = (count(answer, name) for name in names)
        return StockInfo(symbol, str(answer.get("stk_nm") or symbol), last, upper, lower, base)

    async def quote(self, symbol: str) -> VQuote:
        """Return the best bid and ask. Raises NoAnswer when one side is empty."""
        answer, _ = await self.ask(kiwoom.BOOK, {"stk_cd": symbol}, LANE_LOOK)
        bid, ask, bids, asks = (
            Decimal(count(answer, name))
            for name in ("buy_fpr_bid", "sel_fpr_bid", "buy_fpr_req", "sel_fpr_req")
        )
        if not bid or not ask:
            raise NoAnswer(f"{symbol}: a side of the book is empty")
        return VQuote(kiwoom.VENUE, symbol, bid, bids, ask, asks, None, self.http.clock.mono_ns())

    async def deposit(self) -> Deposit:
        """Return the money of the account."""
        answer, _ = await self.ask(kiwoom.DEPOSIT, {"qry_tp": "2"}, LANE_LOOK)
        field_of(answer, "ord_alow_amt")
        return Deposit(count(answer, "entr"), count(answer, "ord_alow_amt"))

    async def holdings(self) -> list[Holding]:
        """Return the shares of the account, all pages."""
        body = {"qry_tp": "1", "dmst_stex_tp": "KRX"}
        rows = await self.pages(kiwoom.HOLDINGS, body, "acnt_evlt_remn_indv_tot", LANE_LOOK)
        return [
            Holding(
                kiwoom.symbol_of(field_of(row, "stk_cd")), str(row.get("stk_nm") or "").strip(),
                count(row, "rmnd_qty"), count(row, "trde_able_qty"), count(row, "pur_pric"),
                count(row, "cur_prc"),
            )
            for row in rows
        ]  # fmt: skip

    async def day_rows(self, day: datetime) -> dict[str, kiwoom.Row]:
        """Return every order number of a day in Seoul: `kt00007`, all pages."""
        body = {
            "ord_dt": f"{day.astimezone(KST):%Y%m%d}", "qry_tp": "1", "stk_bond_tp": "1",
            "sell_tp": "0", "stk_cd": "", "fr_ord_no": "", "dmst_stex_tp": "%",
        }  # fmt: skip
        rows = await self.pages(kiwoom.DAY_LIST, body, "acnt_ord_cntr_prps_dtl", LANE_LOOK)
        read = [kiwoom.read_day_row(row) for row in rows]
        return {row.number: row for row in read if row.number}

    async def open_rows(self) -> dict[str, kiwoom.Row]:
        """Return every open order: `ka10075`, all pages."""
        body = {"all_stk_tp": "0", "trde_tp": "0", "stk_cd": "", "stex_tp": "0"}
        rows = await self.pages(kiwoom.OPEN_LIST, body, "oso", LANE_LOOK)
        read = [kiwoom.read_open_row(row) for row in rows]
        return {row.number: row for row in read if row.number}

    async def fills(self, symbol: str) -> dict[str, kiwoom.FillSum]:
        """Return what today's order numbers of a stock filled: `ka10076`, all pages."""
        body = {"qry_tp": "1", "sell_tp": "0", "stex_tp": "0", "stk_cd": symbol, "ord_no": ""}
        return kiwoom.read_fills(await self.pages(kiwoom.FILL_LIST, body, "cntr", LANE_LOOK))

    async def account_mark(self) -> str:
        """Return the account's last two digits, to be shown."""
        answer, _ = await self.ask(kiwoom.ACCOUNT, {})
        return text_field(answer, "acctNo")[-2:]
