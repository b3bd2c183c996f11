"""Kiwoom on loopback, from the protocol facts: token, orders, lists with pages, stream, conditions.

It holds the truth (orders, fills, money, members of conditions) and misbehaves on demand. Where a fact
is unconfirmed the reading can be chosen: see the fields under "readings".
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import heapq
import itertools
import json
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from aiohttp import WSMsgType, web

from venues.simulators.server import Reply, Server

SEOUL = timezone(timedelta(hours=9))
PATHS = {
    **dict.fromkeys(("kt10000", "kt10001", "kt10002", "kt10003"), "/api/dostk/ordr"),
    **dict.fromkeys(("kt00001", "kt00007", "kt00018", "ka00001", "ka10075", "ka10076"), "/api/dostk/acnt"),
    "ka10001": "/api/dostk/stkinfo", "ka10004": "/api/dostk/mrkcond",
}  # fmt: skip
NEEDED = {
    "kt10000": ("dmst_stex_tp", "stk_cd", "ord_qty", "trde_tp"),
    "kt10001": ("dmst_stex_tp", "stk_cd", "ord_qty", "trde_tp"),
    "kt10002": ("dmst_stex_tp", "orig_ord_no", "stk_cd", "mdfy_qty", "mdfy_uv"),
    "kt10003": ("dmst_stex_tp", "orig_ord_no", "stk_cd", "cncl_qty"),
    "kt00001": ("qry_tp",), "kt00018": ("qry_tp", "dmst_stex_tp"),
    "kt00007": ("qry_tp", "stk_bond_tp", "sell_tp", "dmst_stex_tp"),
    "ka10075": ("all_stk_tp", "trde_tp", "stex_tp"), "ka10076": ("qry_tp", "sell_tp", "stex_tp"),
    "ka10001": ("stk_cd",), "ka10004": ("stk_cd",), "ka00001": (),
}  # fmt: skip
GRID = ((2_000, 1), (5_000, 5), (20_000, 10), (50_000, 50), (200_000, 100), (500_000, 500))
NAMES = {"005930": "삼성전자", "000660": "SK하이닉스", "035420": "NAVER", "035720": "카카오"}
PRICES = {"005930": 70_000, "000660": 180_000, "035420": 210_000, "035720": 41_000}


def step_at(price: int) -> int:
    """Return the price step of a stock."""
    return next((step for below, step in GRID if price < below), 1_000)


@dataclass
class SimOrder:
    """One order number. `plan`: (when in ms, shares, won a share) of its fills."""

    number: int
    day: str
    symbol: str
    buys: bool
    quantity: int
    price: int  # 0 at market
    kind: str
    at_ms: int
    original: int = 0
    act: str = ""  # "", "change", "cancel"
    confirmed: int = 0
    rejected: str = ""
    plan: list[tuple[int, int, int]] = field(default_factory=list)
    ended_ms: int | None = None  # cancelled or changed
    api: bool = True

    @property
    def day_ends(self) -> int:
        """Return the midnight in Seoul after which it does not live."""
        begins = datetime.strptime(self.day, "%Y%m%d").replace(tzinfo=SEOUL)
        return int(begins.timestamp() * 1_000) + 86_400_000 - 1

    def fills(self, now_ms: int) -> list[tuple[int, int, int]]:
        """Return what has filled by now."""
        until = min(now_ms, self.day_ends, now_ms if self.ended_ms is None else self.ended_ms)
        return [each for each in self.plan if each[0] <= until]

    def filled(self, now_ms: int) -> int:
        """Return the shares filled by now."""
        return sum(shares for _, shares, _ in self.fills(now_ms))

    def amount(self, now_ms: int) -> int:
        """Return the won filled by now."""
        return sum(shares * won for _, shares, won in self.fills(now_ms))

    def rest(self, now_ms: int) -> int:
        """Return the shares that may still fill."""
        over = self.ended_ms is not None or now_ms > self.day_ends
        if self.act == "cancel" or self.rejected or over:
            return 0
        left = self.quantity - self.filled(now_ms)
        return 0 if self.kind in ("3", "10") and left else left


class Account:
    """Orders, money and shares of one account, its lists and its notices."""

    def __init__(self, now_ms: Callable[[], int], seed: int) -> None:
        self.now_ms, self.rng, self.fault = now_ms, random.Random(seed), ""
        self.prices = dict(PRICES)
        self.start_cash, self.start_shares = 100_000_000, {"005930": 1_000}
        self.orders: dict[tuple[str, int], SimOrder] = {}
        self.parts: Callable[[SimOrder], list[tuple[int, int]]] = lambda order: [(0, 100)]
        self.slip = 0  # won by which later fills of a buy are cheaper
        self.hidden: dict[int, int] = {}  # order number -> until when no list shows it
        self.lists_empty = False
        # readings of what is unconfirmed
        self.prefix, self.colons, self.fill_rows, self.cancel_keeps_rest = True, False, True, False
        self.ways = ("REST API", "영웅문S")  # how the day's list words our way and the owner's
        self._due: list[tuple[int, int, Callable[[], Any]]] = []
        self._count = itertools.count()

    def push(self, kind: str, item: str, values: dict[str, str]) -> None:
        """Send an entry to whoever registered for it."""
        raise NotImplementedError

    def today(self) -> str:
        """Return the day in Seoul."""
        return f"{datetime.fromtimestamp(self.now_ms() / 1_000, SEOUL):%Y%m%d}"

    def _place(self, given: dict[str, str], buys: bool) -> Reply:
        if self.fault == "closed":
            return _error(20, "[2000](RC4058:모의투자 장종료)", small=20, coded=False)
        symbol, market = given["stk_cd"], given["trde_tp"] == "3"
        if symbol not in self.prices:
            return _error(1902, "종목 정보가 없습니다")
        quantity, price = int(given["ord_qty"]), int(given.get("ord_uv") or "0")
        if quantity <= 0 or (market != (price == 0)) or price % step_at(price):
            return _error(20, "[2000](RC4022:호가단위를 확인하세요)", small=20, coded=False)
        wanted = quantity * (price or self.prices[symbol] * 13 // 10)
        if (wanted > self.money()) if buys else (quantity > self.free_shares(symbol)):
            return _error(
                20, "[2000](RC4025:주문가능 금액이나 수량이 부족합니다)", small=20, coded=False
            )
        order = self.add(symbol, buys, quantity, price, given["trde_tp"])
        return _good({"ord_no": f"{order.number:07d}", "dmst_stex_tp": "KRX"})

    def add(
        self, symbol: str, buys: bool, quantity: int, price: int, kind: str = "0", api: bool = True
    ) -> SimOrder:
        """Take an order (also the owner's, by another way) and plan its fills."""
        day = self.today()
        number = 1 + sum(1 for known in self.orders if known[0] == day)
        order = SimOrder(number, day, symbol, buys, quantity, price, kind, self.now_ms(), api=api)
        self.orders[day, number] = order
        self._plan(order)
        self._later(order.at_ms, lambda: self._notice(order, "접수"))
        return order

    def _plan(self, order: SimOrder) -> None:
        left, won = order.quantity, order.price or self.prices[order.symbol]
        for number, (delay, percent) in enumerate(self.parts(order)):
            if order.kind in ("3", "10"):
                delay, percent = 0, percent if order.kind == "10" else 100
            shares = left if percent == 100 else min(left, order.quantity * percent // 100)
            if shares <= 0:
                continue
            at, paid = order.at_ms + delay, won - number * self.slip * (1 if order.buys else -1)
            order.plan.append((at, shares, paid))
            left -= shares
            self._later(at, functools.partial(self._filled, order, at))
            if order.kind == "3":
                break

    def _filled(self, order: SimOrder, at_ms: int) -> None:
        if order.ended_ms is None or at_ms <= order.ended_ms:
            self._notice(order, "체결", at_ms)

    def _amend(self, given: dict[str, str], change: bool) -> Reply:
        """Change or cancel what is left of an order; the act has a number of its own."""
        now, day = self.now_ms(), self.today()
        order = self.orders.get((day, int(given["orig_ord_no"])))
        rest = order.rest(now) if order else 0
        asked = int(given["mdfy_qty" if change else "cncl_qty"])
        if order is None or not rest or asked > rest or order.symbol != given["stk_cd"]:
            return _error(
                20, "[2000](RC4032:원주문번호가 존재하지 않습니다)", small=20, coded=False
            )
        price = int(given.get("mdfy_uv") or "0")
        if change and (price <= 0 or price % step_at(price)):
            return _error(20, "[2000](RC4022:호가단위를 확인하세요)", small=20, coded=False)
        order.ended_ms = now
        number = 1 + sum(1 for known in self.orders if known[0] == day)
        amount = asked or rest
        child = SimOrder(number, day, order.symbol, order.buys, amount, price if change else order.price,
                         order.kind, now, order.number, "change" if change else "cancel",
                         0 if change else amount)  # fmt: skip
        self.orders[day, number] = child
        self._later(now, lambda: self._notice(child, "접수"))
        if change:
            self._plan(child)
        else:
            self._later(now, lambda: self._notice(order, "취소"))
        named = "mdfy_qty" if change else "cncl_qty"
        return _good({"ord_no": f"{number:07d}", "base_orig_ord_no": f"{order.number:07d}", named: f"{amount:012d}"})  # fmt: skip

    def money(self, reserve: bool = True) -> int:
        """Return the cash, less what open buys reserve."""
        now, won = self.now_ms(), self.start_cash
        for order in self.orders.values():
            won += order.amount(now) * (-1 if order.buys else 1) - self.fee(order)
            if order.buys and reserve:
                won -= order.rest(now) * (order.price or self.prices[order.symbol])
        return won

    def held(self, symbol: str) -> int:
        """Return the shares of a stock."""
        now, shares = self.now_ms(), self.start_shares.get(symbol, 0)
        for order in self.orders.values():
            if order.symbol == symbol:
                shares += order.filled(now) * (1 if order.buys else -1)
        return shares

    def free_shares(self, symbol: str) -> int:
        """Return the shares that no open sell has taken."""
        now = self.now_ms()
        taken = sum(o.rest(now) for o in self.orders.values() if o.symbol == symbol and not o.buys)
        return self.held(symbol) - taken

    def fee(self, order: SimOrder) -> int:
        """Return fee and tax of an order so far."""
        amount = order.amount(self.now_ms())
        return amount * 15 // 100_000 + (0 if order.buys else amount * 20 // 10_000)

    # --- lists --------------------------------------------------------------------------

    def _rows(self, tr: str, given: dict[str, str]) -> tuple[list[dict[str, str]], str]:
        now, day = self.now_ms(), self.today()
        if tr == "kt00018":
            names = [s for s in self.prices if self.held(s)]
            return [self._holding(symbol) for symbol in names], "acnt_evlt_remn_indv_tot"
        asked = given.get("ord_dt") or day
        shown = [o for o in self.orders.values()
                 if o.day == (asked if tr == "kt00007" else day) and not self.lists_empty
                 and self.hidden.get(o.number, 0) <= now
                 and (not given.get("stk_cd") or o.symbol == given["stk_cd"])]  # fmt: skip
        if tr == "kt00007":
            return [self._day_row(order) for order in shown], "acnt_ord_cntr_prps_dtl"
        if tr == "ka10075":
            return [self._open_row(order) for order in shown if order.rest(now)], "oso"
        rows = [row for order in shown for row in self._fill_rows(order)]
        return rows, "cntr"

    def _holding(self, symbol: str) -> dict[str, str]:
        code = f"A{symbol}" if self.prefix else symbol
        return {"stk_cd": code, "stk_nm": NAMES.get(symbol, symbol), "rmnd_qty": f"{self.held(symbol):015d}",
                "trde_able_qty": f"{self.free_shares(symbol):015d}", "pur_pric": f"{self.prices[symbol]:012d}",
                "cur_prc": f"{self.prices[symbol]:012d}"}  # fmt: skip

    def _clock(self, at_ms: int) -> str:
        at = datetime.fromtimestamp(at_ms / 1_000, SEOUL)
        return f"{at:%H:%M:%S}" if self.colons else f"{at:%H%M%S}"

    def _day_row(self, order: SimOrder) -> dict[str, str]:
        now = self.now_ms()
        filled, amount, rest = order.filled(now), order.amount(now), order.rest(now)
        cancelled = any(o.original == order.number and o.act == "cancel" and o.day == order.day for o in self.orders.values())  # fmt: skip
        if self.cancel_keeps_rest and cancelled:
            rest = order.quantity - filled
        word = {"": "", "change": "정정", "cancel": "취소"}[order.act]
        return {
            "ord_no": f"{order.number:07d}", "ori_ord": f"{order.original:07d}",
            "stk_cd": f"A{order.symbol}" if self.prefix else order.symbol,
            "stk_nm": NAMES.get(order.symbol, ""), "trde_tp": {"0": "보통", "3": "시장가"}.get(order.kind, "보통(IOC)"),
            "io_tp_nm": ("현금매수" if order.buys else "현금매도") + word, "mdfy_cncl": word,
            "ord_qty": f"{order.quantity:010d}", "ord_uv": f"{order.price:010d}",
            "cnfm_qty": f"{order.confirmed:010d}", "cntr_qty": f"{filled:010d}",
            "cntr_uv": f"{amount // filled if filled else 0:010d}", "ord_remnq": f"{rest:010d}",
            "ord_tm": self._clock(order.at_ms), "acpt_tp": "거부" if order.rejected else "접수",
            "comm_ord_tp": self.ways[0 if order.api else 1], "dmst_stex_tp": "KRX",
        }  # fmt: skip

    def _open_row(self, order: SimOrder) -> dict[str, str]:
        now = self.now_ms()
        filled, amount = order.filled(now), order.amount(now)
        word = "정정" if order.act == "change" else ""
        return {
            "ord_no": f"{order.number:07d}", "orig_ord_no": f"{order.original:07d}", "stk_cd": order.symbol,
            "stk_nm": NAMES.get(order.symbol, ""), "ord_stt": "접수", "io_tp_nm": ("+매수" if order.buys else "-매도") + word,
            "trde_tp": "보통", "ord_qty": str(order.quantity), "ord_pric": str(order.price),
            "oso_qty": str(order.rest(now)), "cntr_qty": str(filled), "cntr_tot_amt": str(amount),
            "cntr_pric": str(amount // filled if filled else 0), "tm": self._clock(order.at_ms), "stex_tp": "1",
        }  # fmt: skip

    def _fill_rows(self, order: SimOrder) -> list[dict[str, str]]:
        now, fills = self.now_ms(), order.fills(self.now_ms())
        if not self.fill_rows and fills:
            fills = [(now, order.filled(now), order.amount(now) // order.filled(now))]
        tax = 0 if order.buys else order.amount(now) * 20 // 10_000
        paid = {"tdy_trde_cmsn": str(self.fee(order) - tax), "tdy_trde_tax": str(tax)}
        return [{"ord_no": f"{order.number:07d}", "stk_cd": order.symbol, "cntr_qty": str(shares),
                 "cntr_pric": str(won), "ord_qty": str(order.quantity), **paid} for _, shares, won in fills]  # fmt: skip

    # --- notices ------------------------------------------------------------------------

    def _later(self, at_ms: int, act: Callable[[], Any]) -> None:
        heapq.heappush(self._due, (at_ms, next(self._count), act))

    def pump(self) -> None:
        """Send what has become due; call it before frames are taken."""
        while self._due and self._due[0][0] <= self.now_ms():
            heapq.heappop(self._due)[2]()

    def _notice(self, order: SimOrder, state: str, at_ms: int | None = None) -> None:
        at = self.now_ms() if at_ms is None else at_ms
        filled, amount = order.filled(at), order.amount(at)
        rest = 0 if state == "취소" else order.quantity - filled
        fills = order.fills(at)
        if order.act == "cancel":
            rest = order.quantity
        values = {
            "9201": "1234567811", "9203": f"{order.number:07d}", "904": f"{order.original:07d}",
            "9001": f"A{order.symbol}" if self.prefix else order.symbol, "302": NAMES.get(order.symbol, ""),
            "913": state, "900": str(order.quantity), "901": str(order.price), "902": str(rest),
            "903": str(amount) if filled else "", "909": str(len(fills)) if state == "체결" else "",
            "910": str(fills[-1][2]) if fills else "", "911": str(filled) if fills else "",
            "905": "+매수" if order.buys else "-매도", "907": "2" if order.buys else "1",
            "906": "보통", "908": self._clock(at).replace(":", ""), "919": "0",
            "938": str(self.fee(order)), "939": "0",
        }  # fmt: skip
        self.push("00", "", values)
        held = {"9001": f"A{order.symbol}", "930": str(self.held(order.symbol)),
                "933": str(self.free_shares(order.symbol))}  # fmt: skip
        self.push("04", "", held)


class KiwoomSimulator(Account):
    """The venue around one account of one key. `fault` is one of FAULTS, "" for none."""

    FAULTS = ("500", "429", "html", "cut", "1999", "token", "ip", "keys", "world", "closed")

    def __init__(self, now_ms: Callable[[], int], seed: int = 1, mock: bool = True) -> None:
        super().__init__(now_ms, seed)
        self.mock, self.page = mock, 3
        self.app, self.secret = "sim-kiwoom-app-key", "sim-kiwoom-secret-key"
        self.token, self.token_until, self.lifetime_s = "", 0, 18 * 3_600
        self.issued = self.revoked = 0
        self._serial = itertools.count(1)
        self.limit = 1 if mock else 5
        self._calls: dict[str, deque[int]] = {}
        self.calls: Counter[str] = Counter()
        self.over = 0
        self.sessions: list[Session] = []
        self.notice_faults: set[str] = set()  # drop, double, reorder
        self.conditions: dict[str, tuple[str, set[str]]] = {
            "0": ("돌파", {"005930"}), "1": ("눌림목", set()), "2": ("거래량 급증", {"035720"}),
        }  # fmt: skip
        self.answer_delay_ms, self.silent_login = 0, False

    # --- REST ---------------------------------------------------------------------------

    def rest(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request."""
        if troubled := _trouble(self.fault):
            return troubled
        if method != "POST" or "application/json" not in headers.get("content-type", ""):
            return _error(1512, "POST와 JSON만 받습니다")
        try:
            given = json.loads(body)
        except ValueError:
            return _error(1517, "JSON이 아닙니다")
        if not isinstance(given, dict) or not all(isinstance(each, str) for each in given.values()):
            return _error(1517, "모든 값은 문자열이어야 합니다")
        path = target.partition("?")[0]
        if path in ("/oauth2/token", "/oauth2/revoke"):
            return self._oauth(path, given)
        tr = headers.get("api-id", "")
        self.calls[tr] += 1
        if tr not in PATHS:
            return _error(1501 if not tr else 1505, "api-id")
        if PATHS[tr] != path:
            return _error(1504, f"API ID={tr}")
        if refused := self._authorized(headers) or self._limited(tr):
            return refused
        if missing := [name for name in NEEDED[tr] if name not in given]:
            return _error(1511, f"필수입력 파라미터={missing[0]}", small=2)
        return self._answer(tr, given, headers)

    def _oauth(self, path: str, given: Mapping[str, str]) -> Reply:
        now = self.now_ms()
        if self.fault == "world":
            return _error(8030, "투자구분(실전/모의)이 달라서 Appkey를 사용할수가 없습니다")
        if self.fault == "keys" or given.get("appkey") != self.app:
            return _error(8001, "App Key와 Secret Key 검증에 실패했습니다")
        if given.get("secretkey") != self.secret:
            return _error(8002, "App Key와 Secret Key 검증에 실패했습니다")
        if path.endswith("revoke"):
            if given.get("token") != self.token or not self.token:
                return _error(8015, "Token 폐기에 실패했습니다")
            self.token, self.revoked = "", self.revoked + 1
            return _good({})
        if given.get("grant_type") != "client_credentials":
            return _error(8012, "grant_type")
        if not self.token or now >= self.token_until:
            self.token = f"SIMTOKEN-{next(self._serial):04d}-{'x' * 40}"
            self.token_until, self.issued = now + self.lifetime_s * 1_000, self.issued + 1
        ends = datetime.fromtimestamp(self.token_until / 1_000, SEOUL)
        return _good({"token": self.token, "token_type": "bearer", "expires_dt": f"{ends:%Y%m%d%H%M%S}"})  # fmt: skip

    def expire_token(self) -> None:
        """End the token at once, whatever `expires_dt` said."""
        self.token = ""

    def _authorized(self, headers: Mapping[str, str]) -> Reply | None:
        given = headers.get("authorization", "")
        if not given.startswith("Bearer "):
            return _error(1514, "authorization")
        if self.fault == "ip":
            return _error(8010, "Token을 발급받은 IP와 서비스를 요청한 IP가 동일하지 않습니다")
        good = self.token and given == f"Bearer {self.token}" and self.now_ms() < self.token_until
        if self.fault == "token" or not good:
            return _error(8005, "Token이 유효하지 않습니다")
        return None

    def _limited(self, tr: str) -> Reply | None:
        """Count a call: five a second of each TR, on mock one over all; so are its own clock's windows."""
        now, name = self.now_ms(), "all" if self.mock else tr
        calls = self._calls.setdefault(name, deque())
        while calls and calls[0] <= now - 1_000:
            calls.popleft()
        if len(calls) >= self.limit:
            self.over += 1
            text = f"허용된 요청 개수를 초과하였습니다[1700:허용된 요청 개수를 초과하였습니다. 유량={self.limit}, API ID={tr}]"
            return Reply(429, json.dumps({"return_code": 5, "return_msg": text}))
        calls.append(now)
        return None

    def _answer(self, tr: str, given: dict[str, str], headers: Mapping[str, str]) -> Reply:
        if self.fault == "1999":
            return _error(1999, "예기치 못한 에러가 발생했습니다")
        if tr in ("kt10000", "kt10001"):
            return self._place(given, tr == "kt10000")
        if tr in ("kt10002", "kt10003"):
            return self._amend(given, tr == "kt10002")
        if tr in ("ka10001", "ka10004"):
            return self._stock(tr, given["stk_cd"])
        if tr == "ka00001":
            return _good({"acctNo": "1234567811"})
        if tr == "kt00001":
            money = {"entr": self.money(reserve=False), "ord_alow_amt": self.money()}
            return _good({name: f"{won:015d}" for name, won in money.items()})
        rows, name = self._rows(tr, given)
        return self._paged(rows, name, headers)

    def _paged(self, rows: list[dict[str, str]], name: str, headers: Mapping[str, str]) -> Reply:
        start = int(headers.get("next-key", "0")) if headers.get("cont-yn") == "Y" else 0
        end = start + self.page
        more = {"cont-yn": "Y" if end < len(rows) else "N", "next-key": str(end) if end < len(rows) else ""}  # fmt: skip
        return _good({name: rows[start:end]}, more)

    def _stock(self, tr: str, symbol: str) -> Reply:
        if symbol not in self.prices:
            return _error(1902, "종목 정보가 없습니다")
        price = self.prices[symbol]
        step = step_at(price)
        if tr == "ka10004":
            fields = {"buy_fpr_bid": f"-{price}", "buy_fpr_req": "1500",
                      "sel_fpr_bid": f"+{price + step}", "sel_fpr_req": "900"}  # fmt: skip
            return _good(fields)
        limits = [price * part // 100 // step * step for part in (130, 70)]
        return _good({"stk_cd": symbol, "stk_nm": NAMES.get(symbol, symbol), "cur_prc": f"-{price}",
                      "base_pric": str(price), "upl_pric": f"+{limits[0]}", "lst_pric": f"-{limits[1]}"})  # fmt: skip

    # --- market and conditions ----------------------------------------------------------

    def push(self, kind: str, item: str, values: dict[str, str]) -> None:
        """Send an entry to every session that registered for it."""
        frame = json.dumps({"data": [{"type": kind, "name": kind, "item": item, "values": values}], "trnm": "REAL"}, ensure_ascii=False)  # fmt: skip
        for session in self.sessions:
            if not session.closed and session.wants(kind, item):
                if kind == "00" and "drop" in self.notice_faults and self.rng.random() < 0.3:
                    continue
                session.out.append(frame)
                if kind == "00" and "double" in self.notice_faults:
                    session.out.append(frame)
                if kind == "00" and "reorder" in self.notice_faults and len(session.out) > 1:
                    session.out[-1], session.out[-2] = session.out[-2], session.out[-1]

    def tick(self) -> None:
        """Move every price by a step or none and send trade and book of each."""
        now = self._clock(self.now_ms()).replace(":", "")
        for symbol, price in self.prices.items():
            step = step_at(price)
            price = self.prices[symbol] = max(step, price + self.rng.choice((-step, 0, step)))
            size = self.rng.randint(1, 300) * self.rng.choice((-1, 1))
            self.push("0B", symbol, {"20": now, "10": f"-{price}", "15": f"{size:+d}", "12": "-0.50", "11": "-350",
                                     "17": f"+{price}", "18": f"-{price}", "27": f"+{price + step}",
                                     "28": f"-{price}", "14": "14", "9081": "KRX"})  # fmt: skip
            book = {"21": now, "71": "1500", "61": "900", "51": f"-{price}", "41": f"+{price + step}",
                    "42": f"+{price + 2 * step}", "62": "30", "52": "-0", "72": " 0"}  # fmt: skip
            self.push("0D", symbol, book)

    def flip(self, seq: str, symbol: str) -> None:
        """Let a stock into a condition, or out of it."""
        members = self.conditions[seq][1]
        members ^= {symbol}
        for session in self.sessions:
            if seq in session.live and not session.closed:
                values = {"841": f"{seq} ", "9001": f"A{symbol}" if self.prefix else symbol, "907": "2",
                          "843": "I" if symbol in members else "D", "20": self._clock(self.now_ms()).replace(":", "")}  # fmt: skip
                entry = {"type": "02", "name": "조건검색", "item": symbol, "values": values}
                session.out.append(json.dumps({"trnm": "REAL", "data": [entry]}, ensure_ascii=False))  # fmt: skip

    def connect(self) -> Session:
        """Open a connection; nothing is known of it before its LOGIN."""
        session = Session(self)
        self.sessions = [each for each in self.sessions if not each.closed] + [session]
        return session


class Session:
    """One connection of the stream: texts in by `hear`, texts out of `take`."""

    def __init__(self, venue: KiwoomSimulator) -> None:
        self._venue = venue
        self.out: deque[str] = deque()
        self.closed = self.logged_in = self.listed = False
        self.registered: set[tuple[str, str]] = set()
        self.live: set[str] = set()
        self.mute = ""  # a trnm that is never answered
        self.echoes = 0
        self._answers: list[tuple[int, str]] = []

    def wants(self, kind: str, item: str) -> bool:
        """Tell whether an entry of this kind and code was registered."""
        return (kind, item) in self.registered or (kind in ("00", "04") and any(k == kind for k, _ in self.registered))  # fmt: skip

    def take(self) -> list[str]:
        """Return the frames of now."""
        self._venue.pump()
        now = self._venue.now_ms()
        due = [text for at, text in self._answers if at <= now]
        self._answers = [each for each in self._answers if each[0] > now]
        frames = [*self.out, *due]
        self.out.clear()
        return frames

    def ping(self) -> None:
        """Ask for a sign of life."""
        self.out.append('{"trnm":"PING"}')

    def hear(self, text: str) -> None:
        """Take a message of the client."""
        try:
            frame = json.loads(text)
            name = frame["trnm"]
        except (ValueError, KeyError, TypeError):
            self._end("100013", "JSON")
            return
        if name == self.mute:
            return
        if name == "LOGIN":
            self._login(frame)
        elif not self.logged_in:
            self._end("R10004", "로그인이 필요합니다")
        elif name == "PING":
            self.echoes += 1
        elif name in ("REG", "REMOVE"):
            self._register(frame, name)
        elif name == "CNSRLST":
            self.listed = True
            rows = [[seq, named] for seq, (named, _) in self._venue.conditions.items()]
            self._say({"trnm": name, "return_code": 0, "return_msg": "", "data": rows})
        elif name == "CNSRREQ" and self.listed:
            self._search(frame)
        elif name == "CNSRCLR":
            self.live.discard(str(frame.get("seq")).strip())
            self._say({"trnm": name, "return_code": 0, "return_msg": "", "seq": frame.get("seq")})

    def _login(self, frame: dict[str, Any]) -> None:
        venue = self._venue
        if frame.get("token") != venue.token or not venue.token or venue.fault == "token":
            text = "로그인 인증에 실패하였습니다.[8005:Token이 유효하지 않습니다]"
            if not venue.silent_login:
                self.out.append(json.dumps({"trnm": "LOGIN", "return_code": 805004, "return_msg": text}))  # fmt: skip
            self.closed = True
            return
        for other in venue.sessions:
            if other is not self and other.logged_in and not other.closed:
                other._end("R10001", "동일한 App key로 접속이 되었습니다")
        self.logged_in = True
        self.out.append('{"trnm":"LOGIN","return_code":0,"return_msg":"","sor_yn":"Y"}')

    def _register(self, frame: dict[str, Any], name: str) -> None:
        data = frame.get("data")
        good = isinstance(data, list) and all(
            isinstance(each.get("item"), list) and isinstance(each.get("type"), list)
            for each in data
        )
        if not good or not isinstance(data, list):
            self._say(
                {"trnm": name, "return_code": 105111, "return_msg": "입력값이 잘못되었습니다"}
            )
            return
        pairs = {(kind, item) for each in data for kind in each["type"] for item in each["item"]}
        if name == "REMOVE":
            self.registered -= pairs
        else:
            self.registered = pairs | (self.registered if frame.get("refresh") != "0" else set())
        self._say({"data": [], "trnm": name, "return_code": "0", "return_msg": ""})

    def _search(self, frame: dict[str, Any]) -> None:
        venue, seq, kind = self._venue, str(frame.get("seq")).strip(), frame.get("search_type")
        answer: dict[str, Any] = {"trnm": "CNSRREQ", "seq": f"{seq:<4}", "return_code": 0, "return_msg": ""}  # fmt: skip
        if seq not in venue.conditions or (kind == "1" and len(self.live | {seq}) > 10):
            self._say(
                {**answer, "return_code": 900002, "return_msg": "없는 조건이거나 10개를 넘습니다"}
            )
            return
        members = sorted(venue.conditions[seq][1])
        if kind == "1":
            self.live.add(seq)
            answer["data"] = [{"jmcode": f"A{each}" if venue.prefix else each} for each in members] or None  # fmt: skip
        else:
            start = int(frame.get("next_key") or "0")
            rows, more = members[start : start + venue.page], len(members) > start + venue.page
            answer["data"] = [self._hit(each) for each in rows]
            answer |= {"cont_yn": "Y" if more else "N", "next_key": str(start + venue.page) if more else ""}  # fmt: skip
        self._say(answer)

    def _hit(self, symbol: str) -> dict[str, str]:
        price = self._venue.prices.get(symbol, 10_000)
        return {"9001": f"A{symbol}", "302": NAMES.get(symbol, symbol), "10": f"{price:09d}", "25": "5",
                "11": "-00000100", "12": "-00000130", "13": "000012345"}  # fmt: skip

    def _say(self, answer: dict[str, Any]) -> None:
        """Answer now, or later with what is true now."""
        text, delay = json.dumps(answer, ensure_ascii=False), self._venue.answer_delay_ms
        if delay:
            self._answers.append((self._venue.now_ms() + self._venue.rng.randint(0, delay), text))
        else:
            self.out.append(text)

    def _end(self, code: str, text: str) -> None:
        self.out.append(json.dumps({"trnm": "SYSTEM", "code": code, "message": text}, ensure_ascii=False))  # fmt: skip
        self.closed = True


class KiwoomServer(Server):
    """One port: REST, and a stream on which both sides speak."""

    def __init__(self, core: KiwoomSimulator, beat_s: float = 0.1, tick_s: float = 0.5) -> None:
        super().__init__(core, first_message=False, beat_s=beat_s)  # type: ignore[arg-type]
        self._venue, self._tick_s, self._ticking = core, tick_s, 0.0

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        socket, session = web.WebSocketResponse(), self._venue.connect()
        await socket.prepare(request)
        speaker = asyncio.create_task(self._speak(socket, session))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    session.hear(message.data)
        finally:
            session.closed = True
            speaker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await speaker
        return socket

    async def _speak(self, socket: web.WebSocketResponse, session: Session) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while not socket.closed:
                if loop.time() - self._ticking >= self._tick_s:
                    self._ticking = loop.time()
                    self._venue.tick()
                    self._venue.flip("0", self._venue.rng.choice(tuple(PRICES)))
                for frame in session.take():
                    await socket.send_str(frame)
                if session.closed:
                    await socket.close()
                await asyncio.sleep(self._beat_s)


def _trouble(fault: str) -> Reply | None:
    return {
        "500": Reply(500, '{"return_code":1,"return_msg":"server"}'), "html": Reply(200, "<html>점검</html>"),
        "429": Reply(429, '{"return_code":5,"return_msg":"[1700:유량=5]"}'), "cut": Reply(0, ""),
    }.get(fault)  # fmt: skip


def _good(fields: dict[str, Any], more: Mapping[str, str] | None = None) -> Reply:
    return Reply(200, json.dumps({**fields, "return_code": 0, "return_msg": "정상적으로 처리되었습니다"}), more or {})  # fmt: skip


def _error(code: int, text: str, small: int = 3, coded: bool = True) -> Reply:
    """Return a refusal: HTTP 200, a small number, the code in the text only."""
    said = f"처리에 실패했습니다[{code}:{text}]" if coded else text
    return Reply(200, json.dumps({"return_code": small, "return_msg": said}, ensure_ascii=False))
