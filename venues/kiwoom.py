"""Kiwoom REST: hosts, limits, codes of errors, the codec of its rows and frames. Pure.

From the broker's published interface; not tried against its servers. Where a fact is unconfirmed both
readings are taken: a code may have an `A` before it, a number may be padded, signed or blank, a row's
time may have colons, an error's code may stand in `return_code` or only in the text as `[8005:...]`.

A sign before a price tells the direction against yesterday; the price is its absolute value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from kis_realtime_trading import (
    KST,
    STOCK_TICKS,
    BadData,
    Both,
    HttpReply,
    OrderAnswer,
    Outcome,
    RequestRefused,
    Side,
    in_language,
)
from venues.common import VBook, VQuote, VTicker, VTrade, amount, parse_json, read_each
from venues.wire import Call, Limit, Pacer

VENUE = "kiwoom"
STREAM_PATH = "/api/dostk/websocket"


class World(NamedTuple):
    """Where a key is good: mock and live have different hosts and different keys."""

    name: str
    rest: str
    stream: str


WORLDS = {
    "mock": World("mock", "https://mockapi.kiwoom.com", "wss://mockapi.kiwoom.com:10000"),
    "live": World("live", "https://api.kiwoom.com", "wss://api.kiwoom.com:10000"),
}
BUY, SELL, CHANGE, CANCEL = "kt10000", "kt10001", "kt10002", "kt10003"
DAY_LIST, OPEN_LIST, FILL_LIST = "kt00007", "ka10075", "ka10076"
DEPOSIT, HOLDINGS, ACCOUNT, STOCK, BOOK = "kt00001", "kt00018", "ka00001", "ka10001", "ka10004"
PATHS = {
    **dict.fromkeys((BUY, SELL, CHANGE, CANCEL), "/api/dostk/ordr"),
    **dict.fromkeys((DAY_LIST, OPEN_LIST, FILL_LIST, DEPOSIT, HOLDINGS, ACCOUNT), "/api/dostk/acnt"),
    STOCK: "/api/dostk/stkinfo", BOOK: "/api/dostk/mrkcond",
}  # fmt: skip
TOKEN_PATH, REVOKE_PATH = "/oauth2/token", "/oauth2/revoke"
# Live: five questions and five orders a second are published; measured are five of each TR, each TR on
# its own. The stricter of both holds. Mock: one a second over all. A fifth of the orders is kept.
LIMITS = {"query": Limit(5, 1.0), "order": Limit(5, 1.0, kept=1), "all": Limit(1, 1.0)}
FEE = {"mock": Decimal("0.0035"), "live": Decimal("0.00015")}  # of a buy; both unconfirmed
TICKS = tuple(  # a price on this grid is on the finer one of funds as well
    (Decimal(low), Decimal(step))
    for (low, _), (_, step) in zip(((0, 0), *STOCK_TICKS), STOCK_TICKS, strict=False)
)[::-1]


def group_of(tr: str, world: World) -> str:
    """Return the limit group of a call."""
    if world.name == "mock":
        return "all"
    return "order" if PATHS.get(tr) == PATHS[BUY] else "query"


# --- numbers ----------------------------------------------------------------------------


def whole(value: object) -> int | None:
    """Read a whole number with sign, zeros or blanks around it; None for a blank. Raises BadData."""
    text = (
        str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else "?"
    )
    if text == "" or value is None:
        return None
    if re.fullmatch(r"[+-]?[0-9]{1,3}(,[0-9]{3})+", text):
        text = text.replace(",", "")
    if not re.fullmatch(r"[+-]{0,2}[0-9]{1,18}(\.0+)?", text):
        raise BadData("no whole number")
    return int(text.lstrip("+-").partition(".")[0]) * (-1 if text.startswith("-") else 1)


def count(record: Mapping[str, Any], name: str) -> int:
    """Return a quantity or amount that cannot be negative; a blank is 0."""
    return abs(whole(record.get(name, "")) or 0)


def symbol_of(text: object) -> str:
    """Return a code without the letter that some answers put before it. Raises BadData.

    A for stocks and funds, Q for notes (ETN), J for warrants (ELW, 신주인수권).
    """
    code = str(text).strip()
    code = code[1:] if re.fullmatch(r"[A-Z][0-9A-Z]{6}(_(NX|AL))?", code) else code
    if not re.fullmatch(r"[0-9A-Z]{6}(_(NX|AL))?", code):
        raise BadData("no code of a stock")
    return code


def number_of(text: object) -> str:
    """Return an order number as seven digits or more, "" for none (blank or zeros)."""
    digits = str(text or "").strip()
    if not digits or not digits.strip("0"):
        return ""
    if not re.fullmatch(r"[0-9]{1,10}", digits):
        raise BadData("no order number")
    return digits.lstrip("0").zfill(7)


def second_of(text: object) -> int | None:
    """Return the second of the day of HHmmss or HH:MM:SS, None when it says no time."""
    digits = str(text or "").replace(":", "").strip()
    if not re.fullmatch(r"([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]", digits):
        return None
    return int(digits[:2]) * 3_600 + int(digits[2:4]) * 60 + int(digits[4:])


def side_of(*texts: object) -> Side | None:
    """Return the side that a text tells: 매도, 매수, 현금매수, +매수, -매도정정 ..."""
    for text in texts:
        if "매도" in str(text):
            return Side.SELL
        if "매수" in str(text):
            return Side.BUY
    return None


# --- errors -----------------------------------------------------------------------------

WAIT, TOKEN, KEYS, PROGRAM, STOCK_WRONG, UNSURE = "wait", "token", "keys", "program", "stock", "unsure"  # fmt: skip
_TOKEN = Both(
    "the token is no longer good; a new one is asked for", "토큰이 유효하지 않아 새로 발급받습니다"
)
_PROGRAM = Both(
    "the request is not what Kiwoom expects; this program may be too old",
    "키움이 받는 형식이 아닙니다. 프로그램이 오래되었을 수 있습니다",
)
_KEYS = Both(
    "app key or secret is wrong; copy both anew",
    "앱키나 시크릿이 틀렸습니다. 둘 다 다시 복사하십시오",
)
_WORLD = Both(
    "a key of the other world: mock and live have keys of their own",
    "모의투자와 실전의 키가 바뀌었습니다. 각각 따로 발급받은 키를 쓰십시오",
)
_WAIT = Both("too many calls; it waits and goes on", "호출이 너무 많아 잠시 기다립니다")
_STOCK = Both(
    "Kiwoom knows no such stock there", "키움에 없는 종목이거나 그 시장의 종목이 아닙니다"
)
ERRORS: dict[str, tuple[str, Both]] = {
    **dict.fromkeys(("1501", "1504", "1505", "1511", "1512", "1513", "1514", "1515", "1516", "1517",
                     "8011", "8012"), (PROGRAM, _PROGRAM)),
    "1687": (WAIT, Both("the same call came again and again and was stopped", "같은 호출이 반복되어 막혔습니다")),
    **dict.fromkeys(("1700", "1701", "1702", "5"), (WAIT, _WAIT)),
    **dict.fromkeys(("1901", "1902", "1903"), (STOCK_WRONG, _STOCK)),
    "1999": (UNSURE, Both("an unexpected failure at Kiwoom", "키움 쪽의 예기치 못한 오류입니다")),
    **dict.fromkeys(("8001", "8002", "8020"), (KEYS, _KEYS)),
    **dict.fromkeys(("8003", "8005", "8006", "8009", "3", "8016"), (TOKEN, _TOKEN)),
    "8010": (TOKEN, Both("the token was issued to another address; a new one is asked for", "다른 IP에서 발급한 토큰이어서 새로 발급받습니다")),
    **dict.fromkeys(("8030", "8031"), (KEYS, _WORLD)),
    **dict.fromkeys(("8040", "8050", "8103"), (TOKEN, Both("Kiwoom does not accept this device or token; is its address registered?", "단말이나 토큰 인증에 실패했습니다. 키움에 이 IP가 등록되어 있는지 확인하십시오"))),
    "8104": (PROGRAM, Both("the mock server does not offer this", "모의투자에서 제공하지 않는 기능입니다")),
    "8200": (KEYS, Both("not offered to accounts of companies", "법인 계좌에는 제공하지 않는 기능입니다")),
}  # fmt: skip


class KiwoomRefused(RequestRefused):
    """Kiwoom answered and refused; says what it means and what to do."""

    @property
    def act(self) -> str:
        """Return what kind of refusal it is, "" for one that the table does not know."""
        return ERRORS.get(self.code, ("", _PROGRAM))[0]

    def said(self, language: str) -> str:
        """Return it for the user."""
        known = ERRORS.get(self.code)
        told = Both("Kiwoom refused", "키움이 거부했습니다") if known is None else known[1]
        return f"Kiwoom: {in_language(told, language)} ({self.code or '?'}: {self.text[:120]})"


def code_of(body: Mapping[str, Any]) -> str:
    """Return the code of an answer, "" when it is good.

    The text's `[8005:...]` says more than `return_code`, which may be a small number.
    """
    returned = body.get("return_code")
    if not isinstance(returned, bool) and str(returned).strip() in ("0", "00"):
        return ""
    text = str(body.get("return_msg") or "")
    for found in re.findall(r"\[([0-9]{4}):", text) + re.findall(r"\((RC[0-9]{4})[:)]", text):
        return str(found)
    code = str(returned if returned is not None else "?").strip()
    return code if re.fullmatch(r"[0-9A-Za-z-]{1,12}", code) else "?"


def body_of(reply: HttpReply) -> dict[str, Any]:
    """Return the object of an answer. Raises BadData."""
    body = parse_json(reply.text)
    if not isinstance(body, dict) or "return_code" not in body:
        raise BadData(f"HTTP {reply.status} without a return_code")
    return body


def classify(reply: HttpReply) -> OrderAnswer:
    """Return how an order call ended: by the body, never by the status alone.

    Refused by name: business reasons `(RC4025:...)`, unknown stocks, malformed requests. Not sent:
    limits, tokens, keys. Everything else may have been taken: 5xx, 1999, a good code without a number.
    """
    try:
        body = body_of(reply)
    except BadData:
        status = reply.status
        outcome = Outcome.NOT_SENT if status == 429 else Outcome.UNKNOWN
        return OrderAnswer(outcome, code=str(status), text="an answer that cannot be read")
    code, text = code_of(body), str(body.get("return_msg") or "")[:160]
    if reply.status >= 500:
        return OrderAnswer(Outcome.UNKNOWN, code=str(reply.status), text=text)
    if not code:
        try:
            number = number_of(body.get("ord_no"))
        except BadData:
            number = ""
        if number and reply.status < 300:
            return OrderAnswer(Outcome.ACCEPTED, order_no=number)
        return OrderAnswer(Outcome.UNKNOWN, code=str(reply.status), text="no order number")
    act = ERRORS.get(code, ("", _PROGRAM))[0]
    if act in (WAIT, TOKEN, KEYS) or reply.status == 429:
        return OrderAnswer(Outcome.NOT_SENT, code=code, text=text)
    if act in (PROGRAM, STOCK_WRONG) or code.startswith("RC"):
        return OrderAnswer(Outcome.REFUSED, code=code, text=text)
    return OrderAnswer(Outcome.UNKNOWN, code=code, text=text)


def hear_limits(pacer: Pacer) -> Callable[[Call, HttpReply], None]:
    """Return what takes a told limit (유량=5) to the pacer, and a refusal that came with HTTP 200."""

    def heard(call: Call, reply: HttpReply) -> None:
        if '"return_code":0' in reply.text[-400:].replace(" ", ""):
            return  # nearly every answer
        try:
            body = body_of(reply)
        except BadData:
            return
        if ERRORS.get(code_of(body), ("",))[0] != WAIT:
            return
        budget = pacer.budgets[call.group]
        if told := re.search(r"유량=([0-9]{1,3})", str(body.get("return_msg"))):
            budget.capacity = max(1, min(budget.capacity, int(told[1])))
        if reply.status != 429:
            pacer.refused(call.group, None)

    return heard


# --- rows of orders ---------------------------------------------------------------------


class Row(NamedTuple):
    """One order number as a list shows it. `second`: of the day in Seoul, None when not told."""

    number: str
    original: str
    symbol: str
    side: Side | None
    quantity: int
    price: int  # 0 at market
    kind: str  # as the list words it
    filled: int
    amount: int  # won filled; quantity x average where the list has only an average
    rest: int
    second: int | None
    act: str  # "change", "cancel" or "" for an order itself
    confirmed: int  # of a cancel: how much it took back
    rejected: bool
    entered: str = ""  # where it was entered, as the list words it


def _act(*texts: object) -> str:
    said = " ".join(str(text) for text in texts)
    return "cancel" if "취소" in said else "change" if "정정" in said else ""


def read_day_row(row: Any) -> Row:
    """Read a row of `kt00007`. Its average price is whole won: the amount may be short by a won a share."""
    if not isinstance(row, dict):
        raise BadData("no row")
    original, filled = number_of(row.get("ori_ord")), count(row, "cntr_qty")
    return Row(
        number_of(row.get("ord_no")), original, symbol_of(row.get("stk_cd")),
        side_of(row.get("io_tp_nm")), count(row, "ord_qty"), count(row, "ord_uv"),
        str(row.get("trde_tp") or ""), filled, filled * count(row, "cntr_uv"),
        count(row, "ord_remnq"), second_of(row.get("ord_tm")),
        _act(row.get("mdfy_cncl"), row.get("io_tp_nm")) if original else "",
        count(row, "cnfm_qty"), "거부" in str(row.get("acpt_tp")) + str(row.get("mdfy_cncl")),
        str(row.get("comm_ord_tp") or "").strip(),
    )  # fmt: skip


def read_open_row(row: Any) -> Row:
    """Read a row of `ka10075`; it knows the exact amount."""
    if not isinstance(row, dict):
        raise BadData("no row")
    original, filled = number_of(row.get("orig_ord_no")), count(row, "cntr_qty")
    total = count(row, "cntr_tot_amt") or filled * count(row, "cntr_pric")
    return Row(
        number_of(row.get("ord_no")), original, symbol_of(row.get("stk_cd")),
        side_of(row.get("io_tp_nm")), count(row, "ord_qty"), count(row, "ord_pric"),
        str(row.get("trde_tp") or ""), filled, total, count(row, "oso_qty"),
        second_of(row.get("tm")), _act(row.get("io_tp_nm")) if original else "", 0,
        "거부" in str(row.get("ord_stt")),
    )  # fmt: skip


class FillSum(NamedTuple):
    """What `ka10076` says of one order number."""

    quantity: int
    amount: int
    fees: int  # fee and tax; the largest told, as they are of the day so far


def read_fills(rows: list[Any]) -> dict[str, FillSum]:
    """Add up `ka10076` by order number: a row a fill and a row an order are both right."""
    found: dict[str, FillSum] = {}
    for row in rows:
        if not isinstance(row, dict):
            raise BadData("no row")
        number, shares = number_of(row.get("ord_no")), count(row, "cntr_qty")
        had = found.get(number, FillSum(0, 0, 0))
        paid = count(row, "tdy_trde_cmsn") + count(row, "tdy_trde_tax")
        won = had.amount + shares * count(row, "cntr_pric")
        found[number] = FillSum(had.quantity + shares, won, max(had.fees, paid))
    return found


# --- frames of the stream ---------------------------------------------------------------


class Notice(NamedTuple):
    """What type `00` says of one order number."""

    number: str
    original: str
    symbol: str
    side: Side | None
    state: str
    quantity: int
    price: int
    rest: int
    amount: int
    fill_no: str
    fees: int
    second: int | None
    refused: bool

    @property
    def filled(self) -> int:
        """Return the shares filled so far, as quantity less rest; only a fill's notice can say it.

        After a cancel the rest is 0 as well, and a refusal has neither: they book nothing.
        """
        shares = self.quantity - self.rest
        return shares if "체결" in self.state and shares > 0 and self.amount > 0 else 0


class ConditionPush(NamedTuple):
    """A stock that came into a condition or left it."""

    seq: str
    symbol: str
    inside: bool
    second: int | None


class BalanceSeen(NamedTuple):
    """What type `04` says: shares held and free to sell."""

    symbol: str
    held: int
    free: int


Event = VTrade | VQuote | VBook | VTicker | Notice | ConditionPush | BalanceSeen


def stamp_ms(second: int | None, wall_ms: int) -> int | None:
    """Return milliseconds since 1970 of a second of the day in Seoul, near our own clock."""
    if second is None:
        return None
    here = datetime.fromtimestamp(wall_ms / 1_000, KST)
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + timedelta(seconds=second)
    if at - here > timedelta(hours=12):
        at -= timedelta(days=1)
    return int(at.timestamp() * 1_000)


def read_real(frame: Mapping[str, Any], seen_ns: int, wall_ms: int) -> list[Event]:
    """Read a REAL frame: each entry that can be read; types not known are left out.

    Raises:
        PartlyBad: an entry cannot be read; those of the others are its `events`.
        BadData: nothing of it can be read.
    """
    data = frame.get("data")
    data = [data] if isinstance(data, dict) else data
    if not isinstance(data, list):
        raise BadData("REAL without data")
    return read_each(data, lambda each: _entry(each, seen_ns, wall_ms))


def _entry(each: Any, seen_ns: int, wall_ms: int) -> list[Event]:
    values = each.get("values") if isinstance(each, dict) else None
    if not isinstance(values, dict):
        raise BadData("an entry without values")
    kind, item = str(each.get("type")), each.get("item")
    if kind == "0B":
        return _trade(values, symbol_of(item), seen_ns, wall_ms)
    if kind == "0D":
        return _book(values, symbol_of(item), seen_ns, wall_ms)
    if kind == "00":
        return [read_notice(values)]
    if kind == "04":
        return [BalanceSeen(symbol_of(values.get("9001")), count(values, "930"), count(values, "933"))]  # fmt: skip
    return [_condition(values)] if kind == "02" else []


def _trade(values: Mapping[str, Any], symbol: str, seen_ns: int, wall_ms: int) -> list[Event]:
    price, signed = Decimal(count(values, "10")), whole(values.get("15", "")) or 0
    at = stamp_ms(second_of(values.get("20")), wall_ms)
    if not price:
        raise BadData("a price of nothing")
    change = re.fullmatch(r"\+?([+-]?)-?([0-9]+(?:\.[0-9]+)?)", str(values.get("12") or "").strip())
    pct = amount(change[1].strip("+") + change[2]) if change else None
    high, low = (Decimal(count(values, name)) or None for name in ("17", "18"))
    found: list[Event] = [
        VTicker(VENUE, symbol, price, at, None, pct, high, low, None, None, seen_ns)
    ]
    if signed:
        taker = Side.BUY if signed > 0 and str(values["15"]).strip().startswith("+") else None
        taker = Side.SELL if signed < 0 else taker  # in auctions it has no sign: nobody took
        found.append(VTrade(VENUE, symbol, price, Decimal(abs(signed)), taker, "", at, seen_ns))
    return found


def _book(values: Mapping[str, Any], symbol: str, seen_ns: int, wall_ms: int) -> list[Event]:
    """Read ten levels: 41.. and 61.. ask prices and sizes, 51.. and 71.. of the bids."""
    sides = []
    for prices, sizes in ((51, 71), (41, 61)):
        levels = ((Decimal(count(values, str(prices + n))), Decimal(count(values, str(sizes + n)))) for n in range(10))  # fmt: skip
        sides.append(tuple(level for level in levels if level[0]))
    bids, asks = sides
    at = stamp_ms(second_of(values.get("21")), wall_ms)
    found: list[Event] = [VBook(VENUE, symbol, bids, asks, at, seen_ns)]
    if bids and asks:
        found.append(VQuote(VENUE, symbol, *bids[0], *asks[0], at, seen_ns))
    return found


def read_notice(values: Mapping[str, Any]) -> Notice:
    """Read the values of type `00`. Raises BadData."""
    side = {"1": Side.SELL, "2": Side.BUY}.get(str(values.get("907") or "").strip())
    number, state = number_of(values.get("9203")), str(values.get("913") or "").strip()
    if not number:
        raise BadData("a notice without an order number")
    reason = str(values.get("919") or "0").strip()
    return Notice(
        number, number_of(values.get("904")), symbol_of(values.get("9001")),
        side or side_of(values.get("905")), state, count(values, "900"), count(values, "901"),
        count(values, "902"), count(values, "903"), str(values.get("909") or "").strip(),
        count(values, "938") + count(values, "939"), second_of(values.get("908")),
        "거부" in state or reason.strip("0") != "",
    )  # fmt: skip


def _condition(values: Mapping[str, Any]) -> ConditionPush:
    way = str(values.get("843") or "").strip().upper()
    if way not in ("I", "D"):
        raise BadData("neither in nor out of a condition")
    seq = str(values.get("841") or "").strip()
    return ConditionPush(seq, symbol_of(values.get("9001")), way == "I", second_of(values.get("20")))  # fmt: skip
