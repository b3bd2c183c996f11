"""A KIS broker server on loopback: REST, WebSocket, encrypted notices, a market and the truth.

What it is for: the demo, the tests and rehearsals of a trading bot. It is written from the
protocol facts alone, not from the bot's tables, so that one mistake does not hide in both.
Nothing here reaches the internet; prices, keys and account numbers are invented from a seed.

    python kis_simulator.py --port 8080 --speed 300 --write-config demo
    python kis_simulator.py --help

In a test, without sockets and clocks (time is handed in):

    sim = Simulator(SimulatorConfig(environment="paper", density=2.0))
    sim.advance(datetime(2026, 11, 20, 9, 5, tzinfo=KST), mono=0.0)
    reply = sim.request("GET", path, params, headers, b"")
    truth = sim.books()

Same configuration and the same calls at the same times give the same bytes, always.

Map (each section uses only what stands above it; 1-15 know no sockets, clocks or threads):

     1  CONSTANTS AND TABLES      times, ticks, taxes, holidays, stocks, texts of refusals
     2  SMALL TOOLS               market time as milliseconds, seeded numbers, text of values
     3  CALENDAR AND RULES        trading days, sessions, tick sizes, price band, fees and taxes
     4  CONFIGURATION             SimulatorConfig, Credentials
     5  PRICE HISTORY             daily bars and minute plans of any day, from the seed
     6  FAULTS                    rules that make the server misbehave
     7  AGENDA AND TAPE           the queue of coming events; the live state of one stock
     8  MARKET                    auctions, trading, halts: what happens on a day
     9  LEDGER                    orders, fills, cash, positions: the truth
    10  EXCHANGE                  accepts, refuses, matches, cancels
    11  WIRE                      realtime frames and order notices
    12  SESSIONS                  WebSocket sessions without sockets
    13  QUOTATIONS                REST answers about the market
    14  ACCOUNT AND ORDERS        REST answers about the account, order entry
    15  GATEWAY AND SIMULATOR     tokens, limits, dispatch; the composition
    16  SHELL                     aiohttp server on loopback
    17  COMMAND LINE              arguments, configuration file, main()

Marks in comments: (doc) official document or sample; (measured, date) seen in a real answer;
(rule) exchange or tax rule; unconfirmed: one weak source, or nobody measured it; (invented):
made up here because the real value is unknown.

Money rules, shared with the bot (unconfirmed where the broker is silent):

* fee of an order = round half up(cumulative filled amount x rate), rate 0.000140527 for stocks and
  0.000146527 for ETF and ETN. A further fill is charged the difference of the cumulative fee, so
  the total does not depend on how the order was split into fills. Example: 995,000 won -> 140 won
  (measured on paper, 2026-08-19).
* sell taxes, also cumulative per order: KOSPI floor(amount x transaction tax) + floor(amount x
  rural tax), KOSDAQ floor(amount x rate), ETF and ETN none. The settlement day decides the year.
* realised profit: average cost, exact; a sell takes out average cost x quantity. Gross = sells -
  cost taken out, rounded half up to the won. Net = gross - all fees (buys and sells) - taxes.
* our own fills are not printed on the tape: the market does not feel us.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import csv
import dataclasses
import hashlib
import heapq
import io
import ipaddress
import itertools
import json
import math
import operator
import os
import random
import re
import signal
import statistics
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from aiohttp import WSMsgType, web
from Crypto.Cipher import AES
from Crypto.Util.Padding import pad

__all__ = [
    "KST",
    "Credentials",
    "Reply",
    "Session",
    "Simulator",
    "SimulatorConfig",
    "main",
    "parse_bars_csv",
    "serve",
]

# =====================================================================================
# === 1. CONSTANTS AND TABLES ==========================================================
# =====================================================================================
# Facts of the broker and the exchange as data. No code below invents a number of its own.

KST = timezone(timedelta(hours=9))  # no daylight saving in Korea
DAY_MS = 86_400_000
KST_OFFSET_S = 9 * 3600
DEFAULT_SEED = 21  # a lively day on the default date: early breakouts, winners and losers

# (price below, tick size), won; 1,000 from 500,000 won on. (rule, since 2023-01-25)
TICK_BANDS = ((2_000, 1), (5_000, 5), (20_000, 10), (50_000, 50), (200_000, 100), (500_000, 500))
TOP_TICK = 1_000

FEE_PER_BILLION = {"stock": 140_527, "etf": 146_527}  # BanKIS online rates (doc)

# Sell tax per 10,000 by year of settlement: KOSPI transaction, KOSPI rural, KOSDAQ. (rule)
SELL_TAX = {2023: (5, 15, 20), 2024: (3, 15, 18), 2025: (0, 15, 15), 2026: (5, 15, 20)}

# Weekdays without trading; 2027 is computed from the law and unconfirmed.
HOLIDAYS = {
    2018: "0101 0215 0216 0301 0501 0507 0522 0606 0613 0815 0924 0925 0926 1003 1009 1225 1231",
    2019: "0101 0204 0205 0206 0301 0501 0506 0606 0815 0912 0913 1003 1009 1225 1231",
    2020: "0101 0124 0127 0415 0430 0501 0505 0817 0930 1001 1002 1009 1225 1231",
    2021: "0101 0211 0212 0301 0505 0519 0816 0920 0921 0922 1004 1011 1231",
    2022: "0131 0201 0202 0301 0309 0505 0601 0606 0815 0909 0912 1003 1010 1230",
    2023: "0123 0124 0301 0501 0505 0529 0606 0815 0928 0929 1002 1003 1009 1225 1229",
    2024: "0101 0209 0212 0301 0410 0501 0506 0515 0606 0815 0916 0917 0918 1001 1003 1009 1225 "
    "1231",
    2025: "0101 0127 0128 0129 0130 0303 0501 0505 0506 0603 0606 0815 1003 1006 1007 1008 1009 "
    "1225 1231",
    2026: "0101 0216 0217 0218 0302 0501 0505 0525 0603 0717 0817 0924 0925 1005 1009 1225 1231",
    2027: "0101 0208 0209 0301 0503 0505 0513 0719 0816 0914 0915 0916 1004 1011 1227 1231",
}
# CSAT, +1 h; 2027 is the usual third Thursday and not announced yet.
EXAM_DAYS = frozenset(
    {date(2024, 11, 14), date(2025, 11, 13), date(2026, 11, 19), date(2027, 11, 18)}
)


class Listing(NamedTuple):
    """One stock. `anchor` is an invented price level (won), `volatility` one day's deviation."""

    code: str
    name: str
    english: str
    market: str  # KOSPI or KOSDAQ
    etf: bool
    anchor: int
    shares: int
    volume: int  # typical shares a day
    volatility: float


_LISTED = """
005930|삼성전자|SamsungElec|KOSPI||71400|5919637922|13500000|0.017
000660|SK하이닉스|SK hynix|KOSPI||187300|728002365|3100000|0.024
035420|NAVER|NAVER|KOSPI||183600|158437008|620000|0.020
005380|현대차|HyundaiMtr|KOSPI||196400|204757766|540000|0.019
247540|에코프로비엠|ECOPRO BM|KOSDAQ||132700|97801344|800000|0.030
069500|KODEX 200|KODEX 200|KOSPI|ETF|38450|181000000|4800000|0.011
"""


def _read_listing(line: str) -> Listing:
    code, name, english, market, etf, anchor, shares, volume, volatility = line.split("|")
    numbers = int(anchor), int(shares), int(volume), float(volatility)
    return Listing(code, name, english, market, bool(etf), *numbers)


LISTINGS = {row.code: row for row in map(_read_listing, _LISTED.split("\n")[1:-1])}
DEFAULT_SYMBOLS = tuple(LISTINGS)


class Kind(NamedTuple):
    """How one order kind (ORD_DVSN) behaves."""

    name: str
    pricing: str  # limit, market, best (opposite best), own (own best)
    life: str  # day, ioc, fok


KINDS = {
    "00": Kind("지정가", "limit", "day"),
    "01": Kind("시장가", "market", "day"),
    "02": Kind("조건부지정가", "limit", "day"),  # becomes a market order in the closing auction
    "03": Kind("최유리지정가", "best", "day"),
    "04": Kind("최우선지정가", "own", "day"),
    "11": Kind("IOC지정가", "limit", "ioc"),
    "12": Kind("FOK지정가", "limit", "fok"),
    "13": Kind("IOC시장가", "market", "ioc"),
    "14": Kind("FOK시장가", "market", "fok"),
    "15": Kind("IOC최유리", "best", "ioc"),
    "16": Kind("FOK최유리", "best", "fok"),
}
AUCTION_KINDS = ("00", "01", "02")  # single-price sessions take nothing else (rule)
CLOSED_KINDS = ("05", "06", "41", "42", "43", "44", "45", "46", "47")  # sessions not played here

# reason: code on real, code on paper, text. Codes APBK90xx and 40999xxx are invented: the real ones
# are unknown, clients are advised to match the text.
REFUSALS = {
    "wrong_day": ("APBK0919", "40100000", "장운영일자가 주문일과 상이합니다(영업일 아님)"),
    "before_open": ("APBK0918", "40570000", "장시작전 입니다.(장운영시간이 아닙니다)"),
    "closed": ("APBK0918", "40580000", "장종료 입니다.(장운영시간이 아닙니다)"),
    "no_cash": ("APBK0952", "40250000", "주문가능금액을 초과 했습니다"),
    "no_shares": ("APBK0400", "40240000", "주문가능수량을 초과 했습니다(잔고내역 없음)"),
    "unknown_stock": ("APBK0656", "40070000", "주문처리가 안되었습니다(매매불가 종목)"),
    "halted": ("APBK0066", "40070000", "주문처리가 안되었습니다(거래정지 종목)"),
    "tick": ("APBK9001", "40030000", "호가단위 오류입니다."),
    "band": ("APBK9002", "40999002", "상/하한가를 벗어난 가격입니다."),
    "nothing": ("APBK9003", "40330000", "정정/취소할 수량이 없습니다."),
    "kind": ("APBK1943", "40999004", "해당 주문유형은 주문할 수 없습니다."),
    "quantity": ("APBK9005", "40999005", "주문수량을 확인하시기 바랍니다."),
    "exchange": ("APBK9006", "40999006", "거래소 구분을 확인하시기 바랍니다."),
}


def _texts(table: str) -> dict[str, str]:
    """Read lines `code text`."""
    return dict(line.split(" ", 1) for line in table.strip().split("\n"))


GATEWAY_TEXT = _texts("""
EGW00102 AppKey는 필수입니다.
EGW00103 유효하지 않은 AppKey입니다.
EGW00105 유효하지 않은 AppSecret입니다.
EGW00115 grant_type은 필수입니다.
EGW00116 유효하지 않은 grant_type입니다.
EGW00121 유효하지 않은 token 입니다.
EGW00122 token을 찾을 수 없습니다.
EGW00123 기간이 만료된 token 입니다.
EGW00131 hashkey가 유효하지 않습니다.
EGW00133 접근토큰 발급 잠시 후 다시 시도하세요(1분당 1회)
EGW00201 초당 거래건수를 초과하였습니다.
EGW00205 credentials_type이 유효하지 않습니다.(Bearer)
EGW00300 거래 라우팅 중 오류가 발생했습니다.
EGW00301 연결 시간이 초과되었습니다. 직전 거래를 반드시 확인하세요.
EGW00302 거래시간이 초과되었습니다. 직전 거래를 반드시 확인하세요.
EGW00304 앱키와 앱시크릿이 일치하지 않습니다.
EGW00310 유효하지 않은 TR_ID 입니다.
EGW02004 실전투자 도메인은 모의투자 앱키로 호출하실 수 없습니다.
EGW02005 실전투자 TR 이 아닙니다.
EGW02006 모의투자 TR 이 아닙니다.
EGW02007 모의투자 도메인은 실전투자 앱키로 호출하실 수 없습니다.
IGW00002 앱키와 계좌번호가 일치하지 않습니다.
IGW00007 MCA 전문바디 구성 중 오류가 발생하였습니다.
MCA00124 해당 서비스를 찾을수 없습니다.
""")

WS_TEXT = _texts("""
OPSP0000 SUBSCRIBE SUCCESS
OPSP0001 UNSUBSCRIBE SUCCESS
OPSP0002 ALREADY IN SUBSCRIBE
OPSP0003 UNSUBSCRIBE ERROR(not found!)
OPSP0008 MAX SUBSCRIBE OVER
OPSP0011 invalid approval : NOT FOUND
OPSP8991 invalid tr_id
OPSP8993 invalid tr_key
OPSP8996 ALREADY IN USE appkey
OPSP8997 invalid tr_type
OPSP8998 invalid custtype
OPSP9990 tr_key is missing
OPSP9991 input is missing
OPSP9992 body is missing
OPSP9996 appkey is missing
OPSP9997 custtype is missing
OPSP9998 header is missing
OPSP9999 JSON PARSING ERROR
""")

TRADE_TRS = ("H0STCNT0", "H0UNCNT0")  # the UN feed repeats KRX here: there is no second venue
BOOK_TR, UNITED_BOOK_TR, STATUS_TR = "H0STASP0", "H0UNASP0", "H0STMKO0"
NOTICE_TR = {"real": "H0STCNI0", "paper": "H0STCNI9"}
HTS_STREAMS = ("H0STCNI0", "H0STCNI9", "H0GSCNI0", "H0GSCNI9")  # key is the HTS id; GS stays silent
# Documented on the real host and registered like there, but nothing is played on them.
SILENT_STOCKS = (
    *("H0STANC0", "H0NXCNT0", "H0NXASP0", "H0NXANC0", "H0NXMKO0", "H0UNANC0", "H0UNMKO0"),
    *("H0STOUP0", "H0STOAC0", "H0STOAA0", "H0STPGM0", "H0UNPGM0", "H0NXPGM0", "H0STMBC0"),
    *("H0UNMBC0", "H0NXMBC0"),
)
SILENT_KEYS = dict.fromkeys(("H0UPCNT0", "H0UPANC0", "H0UPPGM0"), r"\d{4}") | dict.fromkeys(
    ("HDFSCNT0", "HDFSASP0", "HDFSASP1"), r"[DR][A-Z]{3}[A-Z0-9./]+"
)  # index and overseas streams: the form of their key
STREAMS = {
    "real": (
        *(*TRADE_TRS, BOOK_TR, UNITED_BOOK_TR, STATUS_TR, "H0STCNI0", "H0GSCNI0"),
        *(*SILENT_STOCKS, *SILENT_KEYS),
    ),
    "paper": ("H0STCNT0", BOOK_TR, "H0STCNI9", "H0GSCNI9"),
}
SIDE_CODE = {"SELL": ("01", "현금매도"), "BUY": ("02", "현금매수")}
BRANCH = {"real": "06010", "paper": "00950"}  # (measured)

# =====================================================================================
# === 2. SMALL TOOLS ===================================================================
# =====================================================================================
# Market time inside is `at`: milliseconds of Unix time, an int. Random numbers come from names.


def to_ms(moment: datetime) -> int:
    """Return Unix milliseconds of an aware moment."""
    return round(moment.timestamp() * 1000)


def to_moment(at: int) -> datetime:
    """Return the Korean time of Unix milliseconds."""
    return datetime.fromtimestamp(at / 1000, KST)


def midnight_ms(day: date) -> int:
    """Return the first millisecond of a Korean day."""
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=KST))


def second_of_day(at: int) -> int:
    """Return seconds since Korean midnight."""
    return (at // 1000 + KST_OFFSET_S) % 86_400


@cache
def _hms_of(second: int) -> str:
    return f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"


def hms(at: int) -> str:
    """Return HHMMSS of market time."""
    return _hms_of((at // 1000 + KST_OFFSET_S) % 86_400)


def parse_clock(text: str) -> int:
    """Return seconds of the day of HH:MM, HH:MM:SS, HHMM or HHMMSS."""
    digits = text.replace(":", "").strip()
    if len(digits) not in (4, 6) or not digits.isdigit():
        raise ValueError(f"expected HH:MM or HH:MM:SS, was {text!r}")
    digits = digits.ljust(6, "0")
    return int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:])


@lru_cache(maxsize=4096)
def ymd(day: date) -> str:
    """Return YYYYMMDD."""
    return day.strftime("%Y%m%d")


@lru_cache(maxsize=4096)
def parse_ymd(text: str) -> date | None:
    """Return the day of YYYYMMDD, or None when the text is not one."""
    try:
        return datetime.strptime(text.strip(), "%Y%m%d").date()
    except ValueError:
        return None


def half_up(value: Fraction) -> int:
    """Round half up (towards plus infinity), as both sides of the project do."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def decimals(value: Fraction, places: int) -> str:
    """Return a fraction with a fixed number of decimals, half up, exact."""
    above, below = value.numerator * 10**places, value.denominator
    scaled = (2 * above + below) // (2 * below)
    sign = "-" if scaled < 0 else ""
    whole, rest = divmod(abs(scaled), 10**places)
    return f"{sign}{whole}.{rest:0{places}d}"


def percent(part: float | Fraction, whole: float | Fraction, places: int = 2) -> str:
    """Return part / whole in percent; 0 when there is no whole."""
    return f"{float(part) * 100 / float(whole) if whole else 0.0:.{places}f}"


def padded(text: str, width: int = 80) -> str:
    """Pad as the inquiry answers of the broker do (doc examples)."""
    return text.ljust(width)


class Layout:
    """Broker field names beside our words: `field=word` takes the value of a word.

    `field=12` or `field=Y` (digits, upper case) is constant text, `field` alone is empty text.
    """

    def __init__(self, text: str) -> None:
        pairs = [item.partition("=") for item in text.split()]
        self._fields: dict[str, Any] = {name: word for name, _, word in pairs}
        self._named = [(name, word) for name, word in self._fields.items() if word.islower()]

    def fill(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields in order; KeyError names a word that is missing."""
        filled = self._fields.copy()
        for name, word in self._named:
            filled[name] = words[word]
        return filled


def as_text(value: Any) -> Any:
    """Turn every number of an answer into text; None becomes empty text."""
    if isinstance(value, dict):
        return {
            key: item
            if (kind := type(item)) is str
            else str(item)
            if kind is int
            else as_text(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [as_text(item) for item in value]
    return "" if value is None else str(value)


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_NORMAL = statistics.NormalDist()


@dataclass(frozen=True, slots=True)
class Dice:
    """Numbers that depend on the seed and a name only, never on the order of asking."""

    seed: int

    def _digest(self, name: tuple[object, ...], size: int) -> bytes:
        text = "|".join(str(part) for part in (self.seed, *name))
        return hashlib.blake2b(text.encode(), digest_size=size).digest()

    def unit(self, *name: object) -> float:
        """Return a number in (0, 1)."""
        return (int.from_bytes(self._digest(name, 7), "big") + 0.5) / 2**56

    def gauss(self, *name: object) -> float:
        """Return a standard normal number."""
        return _NORMAL.inv_cdf(self.unit(*name))

    def stream(self, *name: object) -> random.Random:
        """Return a generator of its own for a longer sequence."""
        return random.Random(int.from_bytes(self._digest(name, 16), "big"))

    def text(self, length: int, alphabet: str, *name: object) -> str:
        """Return invented text, for example a key."""
        rng = self.stream(*name)
        return "".join(alphabet[int(rng.random() * len(alphabet))] for _ in range(length))


# =====================================================================================
# === 3. CALENDAR AND RULES ============================================================
# =====================================================================================
# Exchange rules as functions of date and price. Seconds of the day are Korean.


class SessionTimes(NamedTuple):
    """Seconds of the day of one KRX trading day."""

    auction: int  # opening auction starts, orders are taken from here
    open: int
    closing: int  # closing auction starts
    close: int

    @property
    def minutes(self) -> int:
        """Return the length of continuous trading."""
        return (self.closing - self.open) // 60


class Calendar:
    """Trading days of KRX; `extra` holds holidays that nobody planned."""

    def __init__(self, extra: Iterable[date] = ()) -> None:
        self.extra = set(extra)
        self._known: dict[date, bool] = {}
        self._following: dict[date, date] = {}

    def close_day(self, day: date) -> None:
        """Add an unplanned holiday."""
        self.extra.add(day)
        self._known.clear()
        self._following.clear()

    def is_trading_day(self, day: date) -> bool:
        """Tell whether KRX trades on that day."""
        known = self._known.get(day)
        if known is None:
            listed = HOLIDAYS.get(day.year, "0101 0301 0501 0505 0606 0815 1003 1009 1225 1231")
            closed = day.weekday() >= 5 or day.strftime("%m%d") in listed.split()
            known = self._known[day] = not closed and day not in self.extra
        return known

    def previous(self, day: date) -> date:
        """Return the trading day before."""
        day -= timedelta(days=1)
        while not self.is_trading_day(day):
            day -= timedelta(days=1)
        return day

    def next(self, day: date) -> date:
        """Return the trading day after."""
        following = self._following.get(day)
        if following is None:
            following = day + timedelta(days=1)
            while not self.is_trading_day(following):
                following += timedelta(days=1)
            self._following[day] = following
        return following

    def settlement_day(self, day: date) -> date:
        """Return the day two trading days later (T+2)."""
        return self.next(self.next(day))

    def session(self, day: date) -> SessionTimes:
        """Return the hours of a trading day, with its two special cases."""
        if day in EXAM_DAYS:
            return SessionTimes(34_200, 36_000, 58_800, 59_400)  # 09:30 10:00 16:20 16:30
        if self.previous(day).year != day.year:
            return SessionTimes(32_400, 36_000, 55_200, 55_800)  # auction 09:00-10:00
        return SessionTimes(30_600, 32_400, 55_200, 55_800)  # 08:30 09:00 15:20 15:30


@lru_cache(maxsize=65_536)
def tick_size(price: int, etf: bool = False) -> int:
    """Return the tick size at a price, won."""
    if etf:
        return 1 if price < 2_000 else 5
    for bound, tick in TICK_BANDS:
        if price < bound:
            return tick
    return TOP_TICK


@lru_cache(maxsize=65_536)
def floor_tick(price: int, etf: bool = False) -> int:
    """Return the valid price at or below."""
    return price - price % tick_size(price, etf)


def ceil_tick(price: int, etf: bool = False) -> int:
    """Return the valid price at or above."""
    return -(-price // tick_size(price, etf)) * tick_size(price, etf)


NO_BAND = (-1, 10**12)  # where limits do not matter


def price_band(base: int, etf: bool = False) -> tuple[int, int]:
    """Return (lower, upper) limit: base -/+ 30 %, rounded towards the base. (rule)"""
    return ceil_tick(-(-base * 7 // 10), etf), floor_tick(base * 13 // 10, etf)


def fee_of(amount: int, etf: bool) -> int:
    """Return the broker's fee on a filled amount, won, half up.

    >>> fee_of(995_000, etf=False)
    140
    """
    return (amount * FEE_PER_BILLION["etf" if etf else "stock"] * 2 + 10**9) // (2 * 10**9)


def sell_tax_of(amount: int, listing: Listing, settled: date) -> int:
    """Return the taxes on a sold amount, won; `settled` decides the year.

    >>> sell_tax_of(1_000_003, LISTINGS["005930"], date(2026, 11, 24))
    2000
    """
    if listing.etf:
        return 0
    year = min(max(settled.year, min(SELL_TAX)), max(SELL_TAX))
    transaction, rural, kosdaq = SELL_TAX[year]
    if listing.market == "KOSDAQ":
        return amount * kosdaq // 10_000
    return amount * transaction // 10_000 + amount * rural // 10_000


def sign_code(change: int, price: int, band: tuple[int, int]) -> str:
    """Return the broker's sign: 1 upper limit, 2 up, 3 flat, 4 lower limit, 5 down."""
    if change > 0:
        return "1" if price >= band[1] else "2"
    if change < 0:
        return "4" if price <= band[0] else "5"
    return "3"


# =====================================================================================
# === 4. CONFIGURATION =================================================================
# =====================================================================================
# Everything a caller can choose. All values are plain, so a test can print and repeat them.


class Lag(NamedTuple):
    """Lognormal delay in market seconds; a median of 0 means none."""

    median_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0

    def draw(self, rng: random.Random) -> int:
        """Return one delay in milliseconds."""
        if not self.median_s:
            return 0
        sigma = math.log(max(self.p99_s / self.median_s, 1.0)) / 2.326
        seconds = self.median_s * math.exp(sigma * _NORMAL.inv_cdf(rng.random() or 0.5))
        return round(min(seconds, self.max_s) * 1000)


NO_LAG = Lag()
LAGS = {  # name -> (order list, balance)
    "none": (NO_LAG, NO_LAG),
    "typical": (Lag(0.3, 4.0, 10.0), Lag(2.0, 15.0, 30.0)),
    "wild": (Lag(0.3, 30.0, 300.0), Lag(5.0, 120.0, 300.0)),
}

Bar5 = tuple[int, int, int, int, int]  # open, high, low, close, volume
CsvBars = Mapping[str, Mapping[tuple[date | None, int], Bar5]]  # symbol -> (day, second) -> bar


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """All choices of one simulation. Times of day are Korean market time."""

    day: date = date(2026, 11, 20)
    seed: int = DEFAULT_SEED
    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    environment: str = "paper"  # or "real"
    initial_cash_krw: int = 10_000_000
    holdings: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # symbol -> (qty, price)
    density: float = 60.0  # trades a minute and stock, on average
    bars: CsvBars = field(default_factory=dict)
    faults: tuple[Mapping[str, Any], ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    extra_holidays: tuple[date, ...] = ()
    requests_per_second: int | None = None  # None = 18 real, 1 paper
    list_lag: Lag = NO_LAG
    balance_lag: Lag = NO_LAG
    notice_lag_ms: tuple[int, int] = (150, 400)  # market time, after the event
    early_notice_share: float = 0.4  # receipts that come before the HTTP answer (2 of 5, measured)
    early_notice_delay_s: float = 0.15  # the answer then waits this long, transport seconds
    trade_fields: int = 47  # or 46
    book_fields: int = 63  # or 62, 59
    notice_fields: int | None = None  # None = 26 real, 23 paper
    accept_old_tr_ids: bool = True
    strict_order_body: bool = False  # all nine keys on current TR ids, as clients are advised
    past_minutes_on_paper: bool = True  # doc says no, one report of 2026-07-11 says yes
    after_close: str = "rest_then_cancelled"  # or "rest", "cancelled": look of dead day orders
    registrations: int = 41
    pingpong_s: float = 10.0  # monotonic
    dead_session_s: float = 100.0  # monotonic
    session_linger_s: float = 0.0  # a lost session blocks the app key this long, monotonic
    auction_quote_s: float = 10.0  # market seconds between expected prices
    expiry_shift_s: float | None = None  # a token shows its end so much later; None = see run()

    def __post_init__(self) -> None:
        if self.environment not in ("paper", "real"):
            raise ValueError(f"environment is paper or real, was {self.environment!r}")
        if self.after_close not in ("rest_then_cancelled", "rest", "cancelled"):
            raise ValueError(f"unknown after_close {self.after_close!r}")

    @property
    def paper(self) -> bool:
        """Tell whether the paper host is played."""
        return self.environment == "paper"

    @property
    def limit(self) -> int:
        """Return requests per second of market time (doc notice of 2026-04-20)."""
        return self.requests_per_second or (1 if self.paper else 18)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Invented keys and account numbers of both environments, derived from the seed."""

    real_key: str
    real_secret: str
    paper_key: str
    paper_secret: str
    real_account: str
    paper_account: str
    product: str
    hts_id: str

    @classmethod
    def from_seed(cls, seed: int) -> Credentials:
        """Build keys of the right lengths: app key 36, secret 180, account 8 + 2."""
        dice = Dice(seed)
        return cls(
            real_key="PS" + dice.text(34, LETTERS, "real key"),
            real_secret=dice.text(179, LETTERS + "+/", "real secret") + "=",
            paper_key="PS" + dice.text(34, LETTERS, "paper key"),
            paper_secret=dice.text(179, LETTERS + "+/", "paper secret") + "=",
            real_account="6" + dice.text(7, "0123456789", "real account"),
            paper_account="5" + dice.text(7, "0123456789", "paper account"),
            product="01",
            hts_id="sim" + dice.text(5, "abcdefghijklmnopqrstuvwxyz0123456789", "hts id"),
        )

    def active(self, environment: str) -> tuple[str, str, str]:
        """Return (app key, app secret, 8-digit account) of the environment."""
        if environment == "paper":
            return self.paper_key, self.paper_secret, self.paper_account
        return self.real_key, self.real_secret, self.real_account


def parse_bars_csv(text: str) -> dict[str, dict[tuple[date | None, int], Bar5]]:
    """Read minute bars `symbol,time,open,high,low,close,volume`.

    `time` is HH:MM[:SS] (any day) or YYYY-MM-DD HH:MM[:SS]. Returns symbol -> (day, second) -> bar.
    """
    bars: dict[str, dict[tuple[date | None, int], Bar5]] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), start=2):
        try:
            stamp = row["time"].strip().replace("T", " ")
            day_text, _, clock = stamp.rpartition(" ")
            day = date.fromisoformat(day_text) if day_text else None
            bar = (
                int(row["open"]),
                int(row["high"]),
                int(row["low"]),
                int(row["close"]),
                int(row["volume"]),
            )
            bars.setdefault(row["symbol"].strip().zfill(6), {})[day, parse_clock(clock)] = bar
        except (KeyError, ValueError, AttributeError) as error:
            raise ValueError(f"line {number} of the bars is not usable: {row} ({error})") from None
    return bars


# =====================================================================================
# === 5. PRICE HISTORY =================================================================
# =====================================================================================
# Any day of any stock as a pure function of the seed: a daily bar, and minutes that fit into it.
# The simulated day is one of these days, so tomorrow's history shows what today did.


@dataclass(slots=True)
class Bar:
    """Open, high, low, close (won), volume (shares), value (won) over some time."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    value: int = 0

    def words(self, before: int = 0) -> dict[str, Any]:
        """Return the words that layouts use, with the change from an earlier close."""
        change = self.close - before
        return {
            "open": self.open,
            "high": self.high,
            "low": self.low,
            "close": self.close,
            "volume": self.volume,
            "value": self.value,
            "change": change,
            "rate": percent(change, before),
            "sign": sign_code(change, self.close, NO_BAND),
        }


@dataclass(frozen=True, slots=True)
class DayPlan:
    """The intended course of one stock on one day."""

    base: int  # previous close
    minutes: tuple[Bar, ...]  # continuous trading, one per minute; volume 0 = no trade
    opening: tuple[int, int]  # price and volume of the opening auction
    closing: tuple[int, int]  # the same of the closing auction
    usual: float  # mean volume of a minute
    exact: bool = False  # minutes come from a file and must be met exactly


class History:
    """Daily bars and day plans, invented from the seed or read from a file."""

    def __init__(
        self, dice: Dice, listings: Mapping[str, Listing], calendar: Calendar, bars: CsvBars
    ) -> None:
        self._dice, self._calendar, self._bars = dice, calendar, bars
        self.listings = dict(listings)
        self._closes: dict[tuple[str, date], int] = {}
        self._days: dict[tuple[str, date], Bar] = {}
        self._plans: dict[tuple[str, date], DayPlan] = {}
        self._recorded: dict[tuple[str, date], list[tuple[str, Bar]]] = {}

    def anchor(self, code: str, day: date) -> None:
        """Shift a stock whose bars come from a file so that history ends at their first open."""
        first = min(((d or day, s), bar) for (d, s), bar in self._bars[code].items())[1][0]
        listing = self.listings[code]
        scaled = round(listing.anchor * first / self.close(code, self._calendar.previous(day)))
        self.listings[code] = listing._replace(anchor=max(scaled, 1))
        self._closes.clear()
        self._days[code, self._calendar.previous(day)] = Bar(
            first, first, first, first, listing.volume
        )

    def close(self, code: str, day: date) -> int:
        """Return the close of a trading day, won."""
        key = (code, day)
        if key in self._days:
            return self._days[key].close
        if key not in self._closes:
            listing = self.listings[code]
            price = listing.anchor * math.exp(listing.volatility * _level(self._dice, code, day))
            self._closes[key] = max(floor_tick(round(price), listing.etf), 1)
        return self._closes[key]

    def daily(self, code: str, day: date) -> Bar:
        """Return the daily bar of a trading day."""
        key = (code, day)
        if key not in self._days:
            before = self.close(code, self._calendar.previous(day))
            ends = (before, self.close(code, day))
            self._days[key] = _invented_day(self._dice, self.listings[code], day, ends)
        return self._days[key]

    def record(self, code: str, day: date, minutes: list[tuple[str, Bar]], close: int) -> None:
        """Keep what really happened on a simulated day, for the days after it."""
        if not minutes:
            return
        bars = [bar for _, bar in minutes]
        self._recorded[code, day] = minutes
        self._days[code, day] = Bar(
            bars[0].open,
            max(bar.high for bar in bars),
            min(bar.low for bar in bars),
            close,
            sum(bar.volume for bar in bars),
            sum(bar.value for bar in bars),
        )

    def plan(self, code: str, day: date) -> DayPlan:
        """Return the minutes of a trading day; they fit into its daily bar."""
        key = (code, day)
        if key not in self._plans:
            if len(self._plans) > 400:
                self._plans.clear()
            base = self.close(code, self._calendar.previous(day))
            session = self._calendar.session(day)
            if code in self._bars:
                self._plans[key] = _plan_from_file(self.file_bars(code, day), base, session)
            else:
                bar = dataclasses.astuple(self.daily(code, day))
                self._plans[key] = _plan_from_seed(
                    self._dice, self.listings[code], day, base, bar, session.minutes
                )
        return self._plans[key]

    def file_bars(self, code: str, day: date) -> dict[int, Bar5]:
        """Return the bars of a file for one day: second of the day -> bar."""
        return {
            s: bar for (d, s), bar in sorted(self._bars[code].items(), key=str) if d in (None, day)
        }

    def minute_rows(self, code: str, day: date) -> list[tuple[str, Bar]]:
        """Return (HHMMSS, bar) of a past day, oldest first, minutes without trade left out."""
        if (code, day) in self._recorded:
            return self._recorded[code, day]
        plan, session = self.plan(code, day), self._calendar.session(day)
        rows: list[tuple[str, Bar]] = []
        for index, bar in enumerate(plan.minutes):
            volume = bar.volume + (plan.opening[1] if index == 0 else 0)
            if volume:
                second = session.open + 60 * index
                rows.append((_hms_of(second), replace(bar, volume=volume)))
        price, volume = plan.closing
        rows.append((_hms_of(session.close), Bar(price, price, price, price, volume)))
        for _, bar in rows:
            bar.value = (bar.open + bar.high + bar.low + bar.close) * bar.volume // 4
        return rows


# What a seed invents is the same in every simulator of a process: tests make hundreds of them.
OCTAVES = 9


@lru_cache(maxsize=65_536)
def _node(dice: Dice, code: str, octave: int, cell: int) -> float:
    return dice.gauss("level", code, octave, cell)


@lru_cache(maxsize=16_384)
def _level(dice: Dice, code: str, day: date) -> float:
    """Return a fractal walk: log distance from the anchor in units of volatility."""
    week, weekday = divmod(day.toordinal() - 1, 7)
    index, total = week * 5 + min(weekday, 4), 0.0
    for octave in range(OCTAVES):
        cell, offset = index >> octave, index & ((1 << octave) - 1)
        left = _node(dice, code, octave, cell)
        if offset:
            left += (_node(dice, code, octave, cell + 1) - left) * offset / (1 << octave)
        total += 0.5 * math.sqrt(1 << octave) * left
    return total


@lru_cache(maxsize=16_384)
def _invented_day(dice: Dice, listing: Listing, day: date, closes: tuple[int, int]) -> Bar:
    """Return a daily bar between the close of the day before and its own; not to be changed."""
    code, sd, etf = listing.code, listing.volatility, listing.etf
    base, wanted = closes
    low_limit, high_limit = price_band(base, etf)

    def fit(price: float) -> int:
        return min(max(floor_tick(round(price), etf), low_limit), high_limit)

    close = fit(wanted)
    opened = fit(base * math.exp(0.35 * sd * dice.gauss(code, day, "gap")))
    reach = [0.25 + 0.55 * abs(dice.gauss(code, day, name)) for name in ("high", "low")]
    high = fit(max(opened, close) * math.exp(sd * reach[0]))
    low = fit(min(opened, close) * math.exp(-sd * reach[1]))
    move = abs(math.log(high / low))
    volume = round(
        listing.volume * math.exp(0.3 * dice.gauss(code, day, "volume") + 6 * move - 0.25)
    )
    typical = (opened + high + low + 2 * close) * volume // 5
    return Bar(opened, max(high, opened, close), min(low, opened, close), close, volume, typical)


def _plan_from_file(given: Mapping[int, Bar5], base: int, session: SessionTimes) -> DayPlan:
    """Plan a day from minute bars of a file; missing minutes have no trades."""
    empty = (base, base, base, base, 0)
    minutes = tuple(Bar(*given.get(session.open + 60 * i, empty)) for i in range(session.minutes))
    last = next((bar.close for bar in reversed(minutes) if bar.volume), base)
    closing = given.get(session.close, (last, last, last, last, 0))
    first = next((bar.open for bar in minutes if bar.volume), base)
    usual = sum(bar.volume for bar in minutes) / len(minutes) or 1.0
    return DayPlan(base, minutes, (first, 0), (closing[3], closing[4]), usual, exact=True)


@lru_cache(maxsize=400)
def _plan_from_seed(
    dice: Dice, listing: Listing, day: date, base: int, daily: tuple[int, ...], count: int
) -> DayPlan:
    """Plan a day: regimes with trends, noise, and volume that follows the moves."""
    bar, rng = Bar(*daily), dice.stream(listing.code, day, "plan")
    path, pace = _day_path(rng, bar, count)
    prices = [
        min(max(floor_tick(round(bar.open * math.exp(x)), listing.etf), bar.low), bar.high)
        for x in path
    ]
    top, bottom = path.index(max(path)), path.index(min(path))
    opening, closing = round(bar.volume * 0.025), round(bar.volume * 0.04)
    weights = [
        pace[i]
        * (0.8 + 1.1 * math.exp(-i / 9) + 0.7 * math.exp((i - count) / 18))
        * (0.6 + 0.8 * rng.random())
        for i in range(count)
    ]
    scale = (bar.volume - opening - closing) / sum(weights)
    minutes, last = [], bar.open
    for i, price in enumerate(prices):
        wick = tick_size(price, listing.etf) * int(2.2 * rng.random())
        high, low = max(last, price) + (wick if rng.random() < 0.5 else 0), min(last, price) - wick
        high = bar.high if i == top else min(high, bar.high)
        low = bar.low if i == bottom else max(low, bar.low)
        minutes.append(Bar(last, high, low, price, int(weights[i] * scale)))
        last = price
    minutes[-1].volume += bar.volume - opening - closing - sum(m.volume for m in minutes)
    usual = (bar.volume - opening - closing) / count
    return DayPlan(base, tuple(minutes), (bar.open, opening), (bar.close, closing), usual)


def _day_path(rng: random.Random, bar: Bar, count: int) -> tuple[list[float], list[float]]:
    """Return the log price and the activity of every minute; extremes of the day are touched.

    Quiet stretches take turns with moves: a move begins with many trades and often goes on in the
    direction of the day, so that a breakout is sometimes right and sometimes not.
    """
    low, high = math.log(bar.low / bar.open), math.log(bar.high / bar.open)
    end, span = math.log(bar.close / bar.open), math.log(bar.high / bar.low) or 1e-4
    bias = 0.72 if end > 0 else 0.28
    raw: list[float] = []
    pace: list[float] = []
    level = noise = 0.0
    while len(raw) < count:
        quiet, length = 12 + int(25 * rng.random()), 12 + int(30 * rng.random())
        size = span * (0.25 + 0.45 * rng.random())
        goal = level + (size if rng.random() < bias else -size)
        goal = min(max(goal, low), high) if len(raw) + quiet + length < count - 30 else end
        strength = 1.6 + 2.4 * rng.random()
        for step in range(quiet + length):
            moving = max(step - quiet, 0) / length
            noise = 0.85 * noise + (rng.random() - 0.5) * span * 0.07
            fade = min(1.0, max(count - len(raw) - 1, 0) / 8)
            raw.append(level + (goal - level) * math.sqrt(moving) + noise * fade)
            pace.append(0.6 + (strength * (1.1 - moving) if step >= quiet else 0.0))
        level = goal
    raw[count - 1] = end
    return _stretch(raw[:count], low, high, end), pace[:count]


def _stretch(raw: list[float], low: float, high: float, end: float) -> list[float]:
    """Map a path monotonically so that its extremes become the given ones."""
    top, bottom, best, worst = max(end, 0.0), min(end, 0.0), max(raw), min(raw)
    up = (high - top) / (best - top) if best > top else 1.0
    down = (low - bottom) / (worst - bottom) if worst < bottom else 1.0
    return [
        top + (x - top) * up if x > top else bottom + (x - bottom) * down if x < bottom else x
        for x in raw
    ]


# =====================================================================================
# === 6. FAULTS ========================================================================
# =====================================================================================
# A rule is {"match": {...}, "effect": {"do": name, ...}}. Rules are asked at five points: before a
# request is executed, after it (answer), when an order is accepted, when a notice is built and when
# a frame leaves. The effects themselves live where they act; this section only decides.
#
# match (all optional): path (part of it), tr_id, kind, symbol, side (BUY, SELL), from and to
# (market time HH:MM[:SS]), probability, nth (a number or list, counted per rule), times (strike at
# most so often). Kinds of requests: oauth quotation account order modify cancel; of orders: order
# cancel; of notices: received fill modified cancelled refused expired; of frames: trade book notice
# status control.

# effect -> (point, parameters it may have); `executed` decides whether the request takes effect
EFFECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "lose": ("answer", ("executed", "how")),  # how: reset or hang
    "error": ("answer", ("executed", "status", "code", "text", "rt_cd")),
    "html": ("answer", ("executed", "status")),
    "token": ("request", ("code",)),  # the token used dies: EGW00121 or EGW00123
    "delay": ("answer", ("seconds",)),  # transport seconds
    "garble": ("answer", ("how",)),  # truncate, text, unquoted, empty, charset
    "empty": ("answer", ()),  # all lists of the answer are empty
    "repeat_page": ("answer", ()),  # page 1 again and again, "more follows"
    "odno": ("answer", ("style",)),  # empty, lower, blank, short, missing
    "set": ("answer", ("field", "value")),  # overwrite a field wherever it occurs
    "drop": ("answer", ("field",)),  # leave a field out wherever it occurs
    "stale_balance": ("request", ("seconds",)),  # holdings and cash stand still, market seconds
    "list_delay": ("order", ("seconds",)),  # the order appears in lists later
    "unsettled": ("order", ("seconds",)),  # lists show order quantity = filled quantity
    "no_fill": ("order", ("seconds",)),  # the exchange does not match it
    "refuse_later": ("order", ("seconds",)),  # accepted, refused afterwards
    "cancel_refused": ("order", ("seconds",)),  # a cancel is accepted, refused afterwards
    "notice_drop": ("notice", ()),
    "notice_delay": ("notice", ("seconds",)),
    "notice_repeat": ("notice", ("times",)),
    "notice_swap": ("notice", ()),  # sent after the notice that follows it
    "frame_drop": ("frame", ()),
    "frame_repeat": ("frame", ("times",)),
    "frame_swap": ("frame", ()),  # sent after the frame that follows it
    "frame_garble": ("frame", ("how",)),  # truncate, text, count, key
    "frame_extra": ("frame", ("fields",)),  # more (or, negative, fewer) fields per record
    "ws_close": ("frame", ()),  # the connection breaks instead of the frame
}
MATCH_KEYS = frozenset(
    {"path", "tr_id", "kind", "symbol", "side", "nth", "times", "from", "to", "probability"}
)


@dataclass(slots=True)
class FaultRule:
    """One rule with its counters."""

    number: int
    match: dict[str, Any]
    effect: dict[str, Any]
    point: str
    window: tuple[int, int]  # seconds of the day
    seen: int = 0
    fired: int = 0

    def agrees(self, facts: Mapping[str, str], second: int) -> bool:
        """Tell whether all conditions but nth, times and probability hold."""
        if not self.window[0] <= second < self.window[1]:
            return False
        for key in ("tr_id", "kind", "symbol", "side"):
            if key in self.match and self.match[key] != facts.get(key):
                return False
        return str(self.match.get("path", "")) in facts.get("path", "")


class FaultBook:
    """All rules; says which effects apply now. Seeded, so a run can be repeated."""

    def __init__(self, rng: random.Random, clock: Callable[[], int]) -> None:
        self._rng, self._clock = rng, clock
        self._rules: list[FaultRule] = []
        self._points: set[str] = set()
        self._count = 0

    def add(self, rule: Mapping[str, Any]) -> int:
        """Check and add a rule; return its number. Raises ValueError that names the mistake."""
        match, effect = dict(rule.get("match", {})), dict(rule.get("effect", {}))
        name = effect.get("do")
        if name not in EFFECTS:
            raise ValueError(f"effect.do is one of {', '.join(EFFECTS)}, was {name!r}")
        point, allowed = EFFECTS[name]
        wrong = [key for key in match if key not in MATCH_KEYS]
        wrong += [key for key in effect if key not in ("do", *allowed)]
        if wrong:
            raise ValueError(
                f"unknown keys {wrong}; match has {sorted(MATCH_KEYS)}, {name} has {allowed}"
            )
        if "executed" in allowed and not effect.get("executed", False):
            point = "request"
        window = (parse_clock(match.get("from", "00:00")), parse_clock(match.get("to", "23:59:59")))
        self._count += 1
        self._rules.append(FaultRule(self._count, match, effect, point, window))
        self._points.add(point)
        return self._count

    def clear(self, number: int | None = None) -> None:
        """Remove one rule or all."""
        self._rules = [r for r in self._rules if number is not None and r.number != number]
        self._points = {rule.point for rule in self._rules}

    def watches(self, point: str) -> bool:
        """Tell whether any rule acts at this point (cheap, for the hot path)."""
        return point in self._points

    def fire(self, point: str, **facts: str) -> list[dict[str, Any]]:
        """Return the effects that apply, in the order the rules were added."""
        if not self._rules:
            return []
        second, effects = second_of_day(self._clock()), []
        for rule in self._rules:
            if rule.point == point and rule.agrees(facts, second):
                rule.seen += 1
                if self._strikes(rule):
                    rule.fired += 1
                    effects.append(rule.effect)
        return effects

    def _strikes(self, rule: FaultRule) -> bool:
        nth, times = rule.match.get("nth"), rule.match.get("times")
        if nth is not None and rule.seen not in (nth if isinstance(nth, list) else [nth]):
            return False
        if times is not None and rule.fired >= times:
            return False
        return "probability" not in rule.match or self._rng.random() < rule.match["probability"]

    def rows(self) -> list[dict[str, Any]]:
        """Return all rules with their counters."""
        return [
            {
                "number": r.number,
                "match": r.match,
                "effect": r.effect,
                "seen": r.seen,
                "fired": r.fired,
            }
            for r in self._rules
        ]


# =====================================================================================
# === 7. AGENDA AND TAPE ===============================================================
# =====================================================================================
# The agenda orders everything that will happen. A tape is what the market shows of one stock.
# The ground is what every later part stands on.


class Agenda:
    """Coming events by market time; equal times keep the order of adding."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = self.now = 0

    def add(self, at: int, action: Callable[..., None], *arguments: Any) -> None:
        """Plan `action(at, *arguments)`."""
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, action, arguments))

    def next_at(self) -> int | None:
        """Return the time of the next event."""
        return self._heap[0][0] if self._heap else None

    def run(self, until: int) -> None:
        """Do everything up to and including `until`; `now` is the time of each event."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            at, _, action, arguments = heapq.heappop(heap)
            self.now = at
            action(at, *arguments)
        self.now = until


class Ground(NamedTuple):
    """What all parts share."""

    config: SimulatorConfig
    who: Credentials
    dice: Dice
    calendar: Calendar
    history: History
    agenda: Agenda
    faults: FaultBook


class Depth(NamedTuple):
    """Ten levels on both sides, best first; 0 where there is no level."""

    asks: tuple[int, ...]
    bids: tuple[int, ...]
    ask_sizes: tuple[int, ...]
    bid_sizes: tuple[int, ...]
    ask_total: int
    bid_total: int
    text: str  # the forty numbers as they stand in a frame


Levels = tuple[int, ...]
Sizes = tuple[Levels, Levels, int, int, str]  # of asks and bids, their sums, as text
Print = tuple[int, int, str]  # price, quantity, side
BUY, SELL, AUCTION = "1", "5", "3"  # side codes of a printed trade (doc)
DEEP = (1.0, 1.5, 1.8, 2.0, 2.1, 2.2, 2.2, 2.3, 2.3, 2.4)  # size of a level against the best one
NO_LEVELS = (0,) * 10


def make_depth(asks: Levels, bids: Levels, ask_sizes: Levels, bid_sizes: Levels) -> Depth:
    """Return a book; sizes without a price count as none."""
    ask_sizes = tuple(size if price else 0 for price, size in zip(asks, ask_sizes, strict=True))
    bid_sizes = tuple(size if price else 0 for price, size in zip(bids, bid_sizes, strict=True))
    text = "^".join(map(str, asks + bids + ask_sizes + bid_sizes))
    return Depth(asks, bids, ask_sizes, bid_sizes, sum(ask_sizes), sum(bid_sizes), text)


class TradeRow(NamedTuple):
    """One printed trade as the inquiries show it."""

    at: int
    price: int
    quantity: int
    volume: int  # cumulative
    ask: int
    bid: int
    bought: int
    sold: int


@lru_cache(maxsize=400)
def _invented_sizes(dice: Dice, listing: Listing, day: date) -> tuple[list[Sizes], Any]:
    """Return the books of a day, and the state of the generator of its tape behind them."""
    unit, rng = max(listing.volume / 4000, 3.0), dice.stream(listing.code, day, "tape")
    sizes = []
    for _ in range(64):
        asks = tuple(1 + int(unit * d * (0.3 + 1.4 * rng.random())) for d in DEEP)
        bids = tuple(1 + int(unit * d * (0.3 + 1.4 * rng.random())) for d in DEEP)
        sizes.append((asks, bids, sum(asks), sum(bids), "^".join(map(str, asks + bids))))
    return sizes, rng.getstate()


class Tape:
    """The live state of one stock on one day: prices, totals, book, minute bars."""

    def __init__(self, listing: Listing, day: date, plan: DayPlan, ground: Ground) -> None:
        self.listing, self.day, self.plan = listing, day, plan
        self.rng = random.Random(0)
        self._history, self._before = ground.history, ground.calendar.previous(day)
        self.base, self.band = plan.base, price_band(plan.base, listing.etf)
        self.state = "before"  # before, opening, open, vi, halt, closing, closed
        self.lock = 0  # +1 at the upper limit, -1 at the lower limit
        self.minute = 0
        self.carry = 0  # planned volume that was not printed yet
        self.last, self.open, self.high, self.low = plan.base, 0, 0, 0
        self.open_clock = self.high_clock = self.low_clock = "000000"
        self.volume = self.value = self.bought = self.sold = self.buys = self.sells = 0
        self.quantity, self.side = 0, AUCTION
        self.ask, self.bid = plan.base + tick_size(plan.base, listing.etf), plan.base
        self.expected = (0, 0)  # price and quantity of the coming auction
        self.moves = 0  # bursts so far; picks the sizes of the book
        self.taken: dict[int, int] = {}  # what our orders took from the book since it turned
        self._depth: Depth | None = None
        self.minutes: dict[int, Bar] = {}  # second of the day -> bar
        self.trades: list[TradeRow] = []
        self.watched = False  # somebody wants wire records
        self.records: list[str] = []  # of the last burst
        self.shown = (0, 0)  # total sizes in the last book frame
        self.previous_volume = max(ground.history.daily(listing.code, self._before).volume, 1)
        self._yesterday: list[int] = []  # cumulative volume of the day before, by minute of the day
        self._sizes, state = _invented_sizes(ground.dice, listing, day)
        self.rng.setstate(state)  # it goes on behind them
        self._ladders: dict[tuple[int, int], tuple[Levels, Levels, str]] = {}
        self.words: tuple[tuple[Depth, str, tuple[int, int]], dict[str, Any]] | None = None

    def tick(self, price: int) -> int:
        """Return the tick size of this stock at a price."""
        return tick_size(price, self.listing.etf)

    def snap(self, price: float) -> int:
        """Return the nearest valid price below, inside the band of the day."""
        return min(max(floor_tick(round(price), self.listing.etf), self.band[0]), self.band[1])

    def trade(self, at: int, prints: Sequence[Print]) -> None:
        """Apply printed trades; with a watcher, `records` holds one wire record for each."""
        self.turn_book()
        self.records = []
        second, clock = second_of_day(at) // 60 * 60, hms(at)
        for price, quantity, side in prints:
            self._count(clock, price, quantity, side)
            bar = self.minutes.get(second)
            if bar is None:
                bar = self.minutes[second] = Bar(price, price, price, price, 0)
            bar.high, bar.low, bar.close = max(bar.high, price), min(bar.low, price), price
            bar.volume += quantity
            bar.value += price * quantity
            totals = self.volume, self.ask, self.bid, self.bought, self.sold
            self.trades.append(TradeRow(at, price, quantity, *totals))
            self._depth = None
            if self.watched:
                self.records.append(trade_record(self, clock, second // 60))

    def turn_book(self) -> None:
        """Let the sizes of the book change; what our orders took comes back."""
        self.moves += 1
        self.taken.clear()
        self._depth = None

    def take(self, price: int, quantity: int) -> None:
        """Take shares out of the book until it turns."""
        self.taken[price] = self.taken.get(price, 0) + quantity
        self._depth = None

    def _count(self, clock: str, price: int, quantity: int, side: str) -> None:
        if not self.open:
            self.open = self.high = self.low = price
            self.open_clock = self.high_clock = self.low_clock = clock
        if price > self.high:
            self.high, self.high_clock = price, clock
        elif price < self.low:
            self.low, self.low_clock = price, clock
        self.last, self.quantity, self.side = price, quantity, side
        self.volume += quantity
        self.value += price * quantity
        if side == BUY:
            self.bought += quantity
            self.buys += 1
            self.ask, self.bid = price, floor_tick(price - 1, self.listing.etf)
            return
        self.ask, self.bid = price + self.tick(price), price
        if side == SELL:  # an auction counts on neither side (measured sample, 2023-06-12)
            self.sold += quantity
            self.sells += 1

    def depth(self) -> Depth:
        """Return the book now; what our own orders took is gone until it turns."""
        if self._depth is None:
            self._depth = self._locked_depth() if self.lock else self._open_depth()
        return self._depth

    def _open_depth(self) -> Depth:
        asks, bids, prices = self._ladder()
        ask_sizes, bid_sizes, ask_total, bid_total, sizes = self._sizes[self.moves % 64]
        if not self.taken and asks[9] and bids[9]:
            text = f"{prices}^{sizes}"
            return Depth(asks, bids, ask_sizes, bid_sizes, ask_total, bid_total, text)
        left = [
            tuple(
                max(size - self.taken.get(price, 0), 0) for price, size in zip(*side, strict=True)
            )
            for side in ((asks, ask_sizes), (bids, bid_sizes))
        ]
        return make_depth(asks, bids, left[0], left[1])

    def _locked_depth(self) -> Depth:
        """Return a one-sided book: many at the price limit, nobody on the other side."""
        asks, bids, _ = self._ladder()
        ask_sizes, bid_sizes, ask_total, bid_total, _ = self._sizes[self.moves % 64]
        low, high = self.band
        if self.lock > 0:
            prices = (high, *[price for price in bids if 0 < price < high], *NO_LEVELS)[:10]
            return make_depth(NO_LEVELS, prices, NO_LEVELS, (bid_total * 40, *bid_sizes[1:]))
        prices = (low, *[price for price in asks if price > low], *NO_LEVELS)[:10]
        return make_depth(prices, NO_LEVELS, (ask_total * 40, *ask_sizes[1:]), NO_LEVELS)

    def _ladder(self) -> tuple[Levels, Levels, str]:
        key = (self.ask, self.bid)
        if key not in self._ladders:
            asks, bids, etf, (low, high) = [], [], self.listing.etf, self.band
            ask, bid = key
            for _ in range(10):
                asks.append(ask if low <= ask <= high else 0)
                bids.append(bid if low <= bid <= high else 0)
                ask, bid = ask + tick_size(ask, etf), floor_tick(max(bid - 1, 0), etf)
            self._ladders[key] = (tuple(asks), tuple(bids), "^".join(map(str, asks + bids)))
        return self._ladders[key]

    def volume_yesterday(self, minute: int) -> int:
        """Return the volume of the day before up to a minute of the day."""
        if not self._yesterday:
            by_minute = [0] * 1440
            for clock, bar in self._history.minute_rows(self.listing.code, self._before):
                by_minute[parse_clock(clock) // 60] += bar.volume
            self._yesterday = list(itertools.accumulate(by_minute))
        return self._yesterday[minute]


def trade_record(tape: Tape, clock: str, minute: int) -> str:
    """Return the 47 fields of H0STCNT0 for the last trade. (doc; 47 measured, 2026-09-15)"""
    price, base, volume = tape.last, tape.base, tape.volume
    change, before = price - base, tape.volume_yesterday(minute)
    asks, bids, ask_sizes, bid_sizes, ask_total, bid_total, _ = tape.depth()
    strength = tape.bought * 100 / tape.sold if tape.sold else 0.0
    rate = -(-tape.bought * 100 // volume) / 100  # rounded up (observed)
    up, high, low = price - tape.open, price - tape.high, price - tape.low
    return (
        f"{tape.listing.code}^{clock}^{price}^{sign_code(change, price, tape.band)}^{change}"
        f"^{change * 100 / base:.2f}^{tape.value / volume:.2f}^{tape.open}^{tape.high}^{tape.low}"
        f"^{asks[0]}^{bids[0]}^{tape.quantity}^{volume}^{tape.value}^{tape.sells}^{tape.buys}"
        f"^{tape.buys - tape.sells}^{strength:.2f}^{tape.sold}^{tape.bought}^{tape.side}^{rate:.2f}"
        f"^{volume * 100 / tape.previous_volume:.2f}"
        f"^{tape.open_clock}^{'2' if up > 0 else '5' if up else '3'}^{up}"
        f"^{tape.high_clock}^{'5' if high else '3'}^{high}"
        f"^{tape.low_clock}^{'2' if low else '3'}^{low}"
        f"^{ymd(tape.day)}^20^N^{ask_sizes[0]}^{bid_sizes[0]}^{ask_total}^{bid_total}"
        f"^{volume * 100 / tape.listing.shares:.2f}^{before}"
        f"^{volume * 100 / before if before else 0.0:.2f}^0^^{tape.open}^2"
    )


# =====================================================================================
# === 8. MARKET ========================================================================
# =====================================================================================
# Runs a day: opening auction, continuous trading, closing auction, and what is scripted against it.
# Knows nothing of orders, accounts or frames; it tells its listeners.


class MarketListener(Protocol):
    """Who wants to know what the market does."""

    def on_trades(self, at: int, tape: Tape, prints: Sequence[Print]) -> None:
        """Trades were printed in continuous trading."""

    def on_auction(self, at: int, tape: Tape, price: int, quantity: int) -> None:
        """An auction was decided; the print has been applied."""

    def on_quote(self, at: int, tape: Tape) -> None:
        """Only the book or the expected price changed."""

    def on_status(self, at: int, tape: Tape, code: str) -> None:
        """The phase or the state of a stock changed (MKOP_CLS_CODE)."""

    def on_day_end(self, at: int) -> None:
        """Day orders die."""


EVENTS = ("vi", "halt", "resume", "limit_up", "limit_down", "unlock", "circuit_breaker", "holiday")
AUCTIONS = ("opening", "vi", "closing")  # states that collect orders


class Market:
    """All tapes of the current day and the clock work behind them."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._agenda = ground, ground.agenda
        self._config, self._calendar = ground.config, ground.calendar
        self.listeners: list[MarketListener] = []
        self.tapes: dict[str, Tape] = {}
        self.vi_log: list[dict[str, Any]] = []
        self.day = ground.config.day
        self.session = self._calendar.session(self.day)
        self._run = 0  # what was planned for an earlier run of the day is ignored
        for event in self._config.events:
            self._check_event(str(event["type"]), event.get("symbol"))
            parse_clock(str(event["at"]).rpartition("T")[2])

    def start_day(self, day: date) -> None:
        """Prepare the tapes of a day and plan its course; on a closed day yesterday's stay."""
        watched = [code for code, tape in self.tapes.items() if tape.watched]
        trading = self._calendar.is_trading_day(day)
        self._run += 1
        self.day, self.session, self.vi_log = day, self._calendar.session(day), []
        if trading or not self.tapes:
            self.tapes = {code: self._new_tape(code, day, trading) for code in self._config.symbols}
        for code, tape in self.tapes.items():
            tape.watched = code in watched
            tape.state = "before" if trading else "closed"
        if trading:
            self._plan_day(midnight_ms(day))

    def _new_tape(self, code: str, day: date, trading: bool) -> Tape:
        history, before = self._ground.history, self._calendar.previous(day)
        plan = history.plan(code, day if trading else before)
        tape = Tape(history.listings[code], day, plan, self._ground)
        if not trading:
            tape.last = history.close(code, before)
        return tape

    def _plan_day(self, start: int) -> None:
        times, plan = self.session, self._plan
        plan(start + times.auction * 1000, self._enter, "opening", "110")
        step = round(self._config.auction_quote_s * 1000)
        for first, last in ((times.auction, times.open), (times.closing, times.close)):
            for at in range(first * 1000 + step, last * 1000, step):
                plan(start + at, self._quote_auction)
        for tape in self.tapes.values():
            waits = [int(tape.rng.random() * 30_000) for _ in range(2)]  # random end (rule)
            plan(start + times.open * 1000 + waits[0], self._open, tape)
            plan(start + times.close * 1000 + waits[1], self._close, tape)
        plan(start + times.closing * 1000, self._enter, "closing", "121")
        plan(start + (times.close + 60) * 1000, self._end)
        for event in self._config.events:
            day, _, clock = str(event["at"]).rpartition("T")
            if self.day == (date.fromisoformat(day) if day else self._config.day):
                what = event["type"], event.get("symbol"), float(event.get("seconds", 0))
                plan(start + parse_clock(clock) * 1000, self.event, *what)

    def _plan(self, at: int, action: Callable[..., None], *arguments: Any) -> None:
        """Put something on the agenda that dies when the day is cancelled or over."""
        self._agenda.add(at, self._act, self._run, action, arguments)

    def _act(
        self, at: int, run: int, action: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        if run == self._run:
            action(at, *arguments)

    # --- phases ---------------------------------------------------------------------

    def _enter(self, at: int, state: str, code: str) -> None:
        """Begin an auction for every stock that trades."""
        for tape in self.tapes.values():
            if tape.state in ("before", "open"):
                tape.state = state
                tape.expected = (0, 0)
            self._tell_status(at, tape, code)

    def _quote_auction(self, at: int) -> None:
        for tape in self.tapes.values():
            if tape.state in AUCTIONS:
                self._expect(at, tape)

    def _expect(self, at: int, tape: Tape) -> None:
        """Publish an expected price on the way to the auction's result."""
        times = self.session
        first, last = times.closing, times.close
        if tape.state == "opening":
            first, last = times.auction, times.open
        share = min(max((second_of_day(at) - first) / (last - first), 0.05), 1.0)
        (goal, volume), start = self._goal(tape), tape.last
        noise = (tape.rng.random() - 0.5) * (1 - share) * tape.listing.volatility * start
        price = tape.snap(start + (goal - start) * math.sqrt(share) + noise)
        tape.expected = (price, max(round(volume * share), 1))
        tape.ask, tape.bid = price + tape.tick(price), price
        tape.turn_book()
        for listener in self.listeners:
            listener.on_quote(at, tape)

    def _goal(self, tape: Tape) -> tuple[int, int]:
        """Return price and volume that the running auction will have."""
        if tape.lock:
            return tape.band[1 if tape.lock > 0 else 0], 10
        if tape.state == "opening":
            return tape.plan.opening
        if tape.state == "closing":
            return tape.plan.closing[0], tape.plan.closing[1] + tape.carry
        minute = tape.plan.minutes[min(tape.minute, len(tape.plan.minutes) - 1)]
        return minute.close, max(tape.carry, 1)

    def _auction(self, at: int, tape: Tape) -> None:
        """Decide an auction: one print, then the listeners."""
        price, quantity = self._goal(tape)
        tape.expected, tape.carry = (0, 0), 0
        if quantity:
            tape.trade(at, [(price, quantity, AUCTION)])
        else:
            tape.records = []
        for listener in self.listeners:
            listener.on_auction(at, tape, price, quantity)

    def _open(self, at: int, tape: Tape) -> None:
        if tape.state == "opening":
            self._auction(at, tape)
            tape.state = "open"
            self._tell_status(at, tape, "112")
        self._minute(at, tape)

    def _close(self, at: int, tape: Tape) -> None:
        if tape.state in ("closing", "vi"):
            tape.state = "closing"
            self._auction(at, tape)
        tape.state = "closed"
        self._tell_status(at, tape, "129")

    def _end(self, at: int) -> None:
        for listener in self.listeners:
            listener.on_day_end(at)
        for code, tape in self.tapes.items():
            rows = [(_hms_of(second), bar) for second, bar in sorted(tape.minutes.items())]
            self._ground.history.record(code, self.day, rows, tape.last)

    # --- continuous trading ---------------------------------------------------------

    def _minute(self, at: int, tape: Tape) -> None:
        """Plan the trades of one minute of one stock, then the next minute."""
        minutes, first = tape.plan.minutes, self.session.open
        index = (second_of_day(at) - first) // 60
        end = midnight_ms(self.day) + (first + 60 * (index + 1)) * 1000
        if index + 1 < len(minutes):
            self._plan(end, self._minute, tape)
        tape.minute, bar = index, minutes[index]
        volume = bar.volume + (0 if tape.plan.exact else tape.carry)
        count = self._trade_count(tape, bar, volume) if volume else 0
        if not count:
            tape.carry = volume
            return
        tape.carry = 0
        prints = minute_prints(tape.rng, bar, count, volume, tape)
        for when, burst in bursts(tape.rng, prints, at, end):
            self._plan(when, self._burst, tape, burst)

    def _trade_count(self, tape: Tape, bar: Bar, volume: int) -> int:
        """Return how many trades this minute prints, after the activity of the plan."""
        wanted = self._config.density * min(bar.volume / tape.plan.usual, 6.0)
        count = int(wanted) + (tape.rng.random() < wanted % 1)
        return min(max(count, 4) if tape.plan.exact else count, volume)

    def _burst(self, at: int, tape: Tape, prints: Sequence[Print]) -> None:
        if tape.state != "open":
            tape.carry += sum(p[1] for p in prints)
            return
        if tape.lock:
            price, side = (tape.band[1], SELL) if tape.lock > 0 else (tape.band[0], BUY)
            prints = [(price, max(quantity // 20, 1), side) for _, quantity, _ in prints]
        tape.trade(at, prints)
        for listener in self.listeners:
            listener.on_trades(at, tape, prints)

    # --- scripted events ------------------------------------------------------------

    def event(self, at: int, kind: str, symbol: str | None = None, seconds: float = 0.0) -> None:
        """Make something happen now. `symbol` None means every stock. See EVENTS.

        vi: 2-minute call auction (or `seconds`); halt: until resume (or for `seconds`);
        limit_up / limit_down: locked without the other side until unlock; circuit_breaker: all stop
        20 minutes, then 10 minutes auction; holiday: the rest of the day is cancelled.
        """
        self._check_event(kind, symbol)
        if kind == "holiday":
            self._cancel_day()
            return
        for tape in [self.tapes[symbol]] if symbol else list(self.tapes.values()):
            if kind == "vi" and tape.state == "open":
                reference = tape.open or tape.base
                row = {"tape": tape, "from": hms(at), "to": "", "price": tape.last}
                self.vi_log.append(row | {"reference": reference})
                self._collect(at, tape, seconds or 120 + tape.rng.random() * 30, "")
            elif kind == "halt" and tape.state in ("open", *AUCTIONS):
                self._halt(at, tape, "164")
                if seconds:
                    self._plan(at + round(seconds * 1000), self._resume, tape)
            elif kind == "resume":
                self._resume(at, tape)
            elif kind in ("limit_up", "limit_down", "unlock"):
                tape.lock = {"limit_up": 1, "limit_down": -1, "unlock": 0}[kind]
                tape.turn_book()
            elif kind == "circuit_breaker" and tape.state in ("open", "vi"):
                self._halt(at, tape, "174")
                self._plan(at + 1_200_000, self._after_breaker, tape)

    def _check_event(self, kind: str, symbol: str | None) -> None:
        if kind not in EVENTS:
            raise ValueError(f"event type is one of {', '.join(EVENTS)}, was {kind!r}")
        if symbol is not None and symbol not in self._config.symbols:
            raise ValueError(f"no stock {symbol!r} in this simulation")

    def _halt(self, at: int, tape: Tape, code: str) -> None:
        tape.state = "halt"
        self._tell_status(at, tape, code)

    def _after_breaker(self, at: int, tape: Tape) -> None:
        if tape.state == "halt":
            self._tell_status(at, tape, "184")
            self._collect(at, tape, 600.0, "185")

    def _collect(self, at: int, tape: Tape, seconds: float, code: str) -> None:
        """Call an auction for some seconds; `code` is the status at its end."""
        tape.state = "vi"
        self._tell_status(at, tape, "")
        self._expect(at, tape)
        self._plan(at + round(seconds * 1000), self._end_auction, tape, code)

    def _end_auction(self, at: int, tape: Tape, code: str) -> None:
        """Decide a called auction; after 15:20 the closing auction swallows it."""
        if tape.state != "vi":
            return
        for row in self.vi_log:
            if row["tape"] is tape:
                row["to"] = row["to"] or hms(at)
        if second_of_day(at) < self.session.closing:
            self._auction(at, tape)
            tape.state = "open"
        else:
            tape.state = "closing"
        self._tell_status(at, tape, code)

    def _resume(self, at: int, tape: Tape) -> None:
        """End a halt with a single price."""
        if tape.state == "halt":
            tape.state = "vi"
            self._end_auction(at, tape, "")

    def _cancel_day(self) -> None:
        self._calendar.close_day(self.day)
        self._run += 1
        for tape in self.tapes.values():
            tape.state = "closed"

    def _tell_status(self, at: int, tape: Tape, code: str) -> None:
        for listener in self.listeners:
            listener.on_status(at, tape, code)


def minute_prints(rng: random.Random, bar: Bar, count: int, volume: int, tape: Tape) -> list[Print]:
    """Return trades that walk open - extremes - close of a minute and share its volume."""
    prices = _walk(rng, bar, count, tape.listing.etf)
    draw = [0.08 + (x := rng.random()) * x for _ in range(count)]
    scale = (volume - count) / sum(draw)
    prints: list[Print] = []
    before, side, left = tape.last, tape.side if tape.side != AUCTION else BUY, volume
    for index, price in enumerate(prices):
        if price != before:
            side = BUY if price > before else SELL
        elif rng.random() < 0.4:
            side = SELL if side == BUY else BUY
        quantity = left if index == count - 1 else 1 + int(draw[index] * scale)
        prints.append((price, quantity, side))
        left -= quantity
        before = price
    return prints


def _walk(rng: random.Random, bar: Bar, count: int, etf: bool) -> list[int]:
    """Return `count` prices from open to close that touch both extremes (from 4 prices on)."""
    first, second = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
    if count < 4:
        return [first, second, bar.close][3 - count :]
    one = 1 + int(rng.random() * (count - 3))
    two = one + 1 + int(rng.random() * (count - 2 - one))
    prices: list[int] = []
    stops = ((0, bar.open), (one, first), (two, second), (count - 1, bar.close))
    tick = tick_size(bar.low, etf)
    for (i, a), (j, b) in itertools.pairwise(stops):
        for k in range(i, j):
            price = a
            if k > i:
                price = round(a + (b - a) * (k - i) / (j - i) + (rng.random() - 0.5) * 1.6 * tick)
                price = min(max(floor_tick(price, etf), bar.low), bar.high)
            prices.append(price)
    prices.append(bar.close)
    return prices


def bursts(
    rng: random.Random, prints: Sequence[Print], start: int, end: int
) -> list[tuple[int, Sequence[Print]]]:
    """Group trades into bursts of 1 to 4 and give each a time in [start, end)."""
    groups, index = [], 0
    while index < len(prints):
        size = 1 if rng.random() < 0.82 else 2 + int(rng.random() * 3)
        groups.append(prints[index : index + size])
        index += size
    span = max(end - start - 1, 1)
    times = sorted(start + 1 + int(rng.random() * span) for _ in groups)
    return [(min(at, end - 1), group) for at, group in zip(times, groups, strict=True)]


# =====================================================================================
# === 9. LEDGER ========================================================================
# =====================================================================================
# Who has what. The truth changes at once; a second account is what the broker shows, later.


class Fill(NamedTuple):
    """One execution of ours, with the fee and tax it added."""

    order: Order
    quantity: int
    price: int
    at: int
    fee: int
    tax: int
    list_at: int  # appears in order lists from here

    def truth(self) -> dict[str, Any]:
        """Return what `books` says of a fill."""
        order, when = self.order, to_moment(self.at).isoformat()
        words = {"order_no": order.odno, "symbol": order.symbol, "side": order.side}
        return {**words, "quantity": self.quantity, "price": self.price, "time": when}


@dataclass(slots=True, eq=False)
class Order:
    """One order number. `origin` is the number it modifies or cancels."""

    number: int
    day: date
    listing: Listing
    side: str  # BUY or SELL
    kind: str  # ORD_DVSN
    quantity: int
    price: int  # as sent; 0 without a price
    at: int
    source: str = "api"  # or owner
    role: str = "new"  # or modify, cancel
    origin: Order | None = None
    limit: int = 0  # worst price it may meet; 0 = any
    reserve: int = 0  # won held back per open share of a buy
    queue: int = 0  # shares before us at our price
    filled: int = 0
    amount: int = 0
    cancelled: int = 0
    rejected: int = 0
    fee: int = 0
    tax: int = 0
    list_at: int = 0
    settled_at: int = 0  # until then lists show order quantity = filled quantity
    hold_until: int = 0  # not matched before
    died: int = 0  # shares that died at the close
    died_list_at: int = 0  # from here lists show them as cancelled
    fills: list[Fill] = field(default_factory=list)

    @property
    def rest(self) -> int:
        """Return the shares that can still trade."""
        return self.quantity - self.filled - self.cancelled - self.rejected

    @property
    def symbol(self) -> str:
        """Return the stock code."""
        return self.listing.code

    @property
    def odno(self) -> str:
        """Return the order number as the broker writes it."""
        return f"{self.number:010d}"

    @property
    def origin_odno(self) -> str:
        """Return the number of the original order, empty for a new one."""
        return self.origin.odno if self.origin else ""

    def truth(self) -> dict[str, Any]:
        """Return what `books` says of an order."""
        return {
            "order_no": self.odno,
            "original_order_no": self.origin_odno,
            "symbol": self.symbol,
            "side": self.side,
            "kind": self.kind,
            "quantity": self.quantity,
            "price": self.price,
            "filled_quantity": self.filled,
            "filled_amount_krw": self.amount,
            "cancelled_quantity": self.cancelled,
            "rejected_quantity": self.rejected,
            "remaining_quantity": self.rest,
            "fee_krw": self.fee,
            "tax_krw": self.tax,
            "time": to_moment(self.at).isoformat(),
            "source": self.source,
        }


@dataclass(slots=True)
class Position:
    """Shares held and their exact cost."""

    quantity: int = 0
    cost: Fraction = Fraction(0)
    last_day: date = date.min

    @property
    def average(self) -> Fraction:
        """Return the average price, exact."""
        return self.cost / self.quantity if self.quantity else Fraction(0)

    def truth(self) -> dict[str, Any]:
        """Return what `books` says of a position."""
        cost, average = half_up(self.cost), decimals(self.average, 4)
        return {"quantity": self.quantity, "average_price": average, "cost_krw": cost}


@dataclass(slots=True)
class Turnover:
    """What one stock did in the account on one day, won and shares."""

    buy_quantity: int = 0
    buy_amount: int = 0
    buy_fee: int = 0
    sell_quantity: int = 0
    sell_amount: int = 0
    sell_fee: int = 0
    tax: int = 0
    cost_sold: Fraction = Fraction(0)

    @property
    def costs(self) -> int:
        """Return fees and taxes."""
        return self.buy_fee + self.sell_fee + self.tax

    @property
    def flow(self) -> int:
        """Return the change of cash."""
        return self.sell_amount - self.buy_amount - self.costs

    @property
    def realized(self) -> Fraction:
        """Return the gross realised profit, exact."""
        return self.sell_amount - self.cost_sold


class Account:
    """Cash, positions and turnover; changed by fills and by the owner only."""

    def __init__(self, cash: int) -> None:
        self.initial, self.transfers = cash, 0
        self.positions: dict[str, Position] = {}
        self.turnover: dict[tuple[date, str], Turnover] = {}

    def apply(self, fill: Fill) -> None:
        """Book one fill."""
        order = fill.order
        position = self.positions.setdefault(order.symbol, Position())
        turn = self.turnover.setdefault((order.day, order.symbol), Turnover())
        amount = fill.quantity * fill.price
        position.last_day = order.day
        if order.side == "BUY":
            position.quantity += fill.quantity
            position.cost += amount
            turn.buy_quantity += fill.quantity
            turn.buy_amount += amount
            turn.buy_fee += fill.fee
            return
        cost = position.average * fill.quantity
        position.quantity -= fill.quantity
        position.cost -= cost
        turn.sell_quantity += fill.quantity
        turn.sell_amount += amount
        turn.sell_fee += fill.fee
        turn.tax += fill.tax
        turn.cost_sold += cost

    def total(self, name: str, day: date | None = None) -> Any:
        """Return the sum of one field of the turnover, of one day or of all."""
        return sum(getattr(t, name) for (d, _), t in self.turnover.items() if day in (None, d))

    @property
    def cash(self) -> int:
        """Return settled plus unsettled cash, won."""
        return self.initial + self.transfers + int(self.total("flow"))

    def cash_on(self, calendar: Calendar, today: date, days: int) -> int:
        """Return the deposit at D+`days`: trades settle on the second trading day after."""
        for _ in range(days):
            today = calendar.next(today)
        late = {day for day, _ in self.turnover if calendar.settlement_day(day) > today}
        return self.cash - sum(t.flow for (day, _), t in self.turnover.items() if day in late)

    def held(self, symbol: str) -> int:
        """Return the shares held."""
        position = self.positions.get(symbol)
        return position.quantity if position else 0


class Ledger:
    """All orders and fills, the true account and the one the inquiries show."""

    def __init__(self, ground: Ground) -> None:
        self._calendar, config = ground.calendar, ground.config
        self.truth, self.shown = Account(config.initial_cash_krw), Account(config.initial_cash_krw)
        self.orders: list[Order] = []
        self._working: dict[str, list[Order]] = {}
        self.fills: list[Fill] = []
        self._late: deque[tuple[int, Fill]] = deque()
        self.frozen_until = 0
        self._last_number = 0
        for symbol, (quantity, price) in config.holdings.items():
            for account in (self.truth, self.shown):
                account.positions[symbol] = Position(quantity, Fraction(quantity * price))

    def add(self, order: Order) -> Order:
        """Keep an accepted order or message."""
        self.orders.append(order)
        if order.role != "cancel":
            self._working.setdefault(order.symbol, []).append(order)
        return order

    def next_number(self, rng: random.Random) -> int:
        """Return the next order number; other customers take numbers in between."""
        if not self._last_number:
            self._last_number = 700 + int(rng.random() * 40_000)
        self._last_number += 1 + int(rng.random() * 6)
        return self._last_number

    def find(self, number: str, day: date) -> Order | None:
        """Find an order of the day by its number in any padding."""
        digits = number.strip()
        if not digits.isdigit():
            return None
        wanted = int(digits)
        return next((o for o in reversed(self.orders) if o.number == wanted and o.day == day), None)

    def open_orders(self, symbol: str | None = None, side: str | None = None) -> list[Order]:
        """Return orders with a rest, oldest first within a stock."""
        lists = [self._working.get(symbol, [])] if symbol else self._working.values()
        return [o for orders in lists for o in orders if o.rest > 0 and side in (None, o.side)]

    def forget_done(self, symbol: str) -> None:
        """Keep the list of working orders short."""
        self._working[symbol] = [order for order in self._working[symbol] if order.rest > 0]

    def reserved(self) -> int:
        """Return the cash that open buys hold back, fees included."""
        total = 0
        for order in self.open_orders(side="BUY"):
            amount = order.rest * order.reserve
            total += amount + fee_of(order.amount + amount, order.listing.etf) - order.fee
        return total

    def available(self) -> int:
        """Return the cash that a new buy may use, won."""
        return self.truth.cash - self.reserved()

    def sellable(self, symbol: str, account: Account) -> int:
        """Return the shares that a new sell may use."""
        selling = sum(order.rest for order in self.open_orders(symbol, "SELL"))
        return account.held(symbol) - selling

    def fill(self, order: Order, quantity: int, price: int, at: int, lags: tuple[int, int]) -> Fill:
        """Book an execution; fee and tax are charged as differences of the cumulative amounts."""
        order.filled += quantity
        order.amount += quantity * price
        fee, tax = fee_of(order.amount, order.listing.etf), 0
        if order.side == "SELL":
            settled = self._calendar.settlement_day(order.day)
            tax = sell_tax_of(order.amount, order.listing, settled)
        fill = Fill(order, quantity, price, at, fee - order.fee, tax - order.tax, at + lags[0])
        order.fee, order.tax = fee, tax
        order.fills.append(fill)
        self.fills.append(fill)
        self.truth.apply(fill)
        self._late.append((at + lags[1], fill))
        self.show(at)
        return fill

    def show(self, at: int) -> None:
        """Let the shown account catch up."""
        while self._late and self._late[0][0] <= at and at >= self.frozen_until:
            self.shown.apply(self._late.popleft()[1])

    def transfer(self, amount: int) -> None:
        """Let the owner pay in (positive) or withdraw (negative), won."""
        self.truth.transfers += amount
        self.shown.transfers += amount

    def start_day(self, day: date) -> None:
        """Restart order numbers and forget holdings sold out two trading days ago."""
        self._last_number = 0
        oldest = self._calendar.previous(self._calendar.previous(day))
        for account in (self.truth, self.shown):
            for symbol, position in list(account.positions.items()):
                if not position.quantity and position.last_day <= oldest:
                    del account.positions[symbol]


class ListedState(NamedTuple):
    """Quantities of an order as an inquiry shows them."""

    quantity: int
    filled: int
    amount: int
    cancelled: int
    rejected: int
    rest: int


def listed_state(order: Order, at: int) -> ListedState:
    """Return what order lists show at that time: late fills, unsettled and dead quantities."""
    fills = [fill for fill in order.fills if fill.list_at <= at]
    filled = sum(fill.quantity for fill in fills)
    amount = sum(fill.quantity * fill.price for fill in fills)
    if at < order.settled_at:
        return ListedState(filled, filled, amount, 0, 0, 0)
    cancelled = order.cancelled - (order.died if at < order.died_list_at else 0)
    rest = order.quantity - filled - cancelled - order.rejected
    return ListedState(order.quantity, filled, amount, cancelled, order.rejected, rest)


# =====================================================================================
# === 10. EXCHANGE =====================================================================
# =====================================================================================
# Takes order requests, refuses or accepts them, and meets them with the book and the tape.
# Says what happened through one callback; knows nothing of REST, frames or encryption.


class Ticket(NamedTuple):
    """A wanted order."""

    symbol: str
    side: str
    kind: str
    quantity: int
    price: int
    source: str = "api"


class Change(NamedTuple):
    """A wanted modification (new kind and price) or cancellation of an order."""

    number: str
    cancel: bool
    everything: bool
    quantity: int
    kind: str
    price: int
    source: str = "api"


class Happening(NamedTuple):
    """Something that the owner of the order is told."""

    what: str  # received, fill, modified, cancelled, refused, expired
    order: Order
    quantity: int
    price: int


class Exchange:
    """Acceptance and matching of our orders."""

    def __init__(self, ground: Ground, market: Market, ledger: Ledger) -> None:
        self._config, self._calendar, self._faults = ground.config, ground.calendar, ground.faults
        self._agenda, self._market, self._ledger = ground.agenda, market, ledger
        self._rng = ground.dice.stream("exchange")
        self.tell: Callable[[int, Happening], None] = lambda at, happening: None

    # --- acceptance -----------------------------------------------------------------

    def refusal(self, ticket: Ticket) -> str | None:
        """Return the first reason against a ticket, or None. The order of checks is invented."""
        tape = self._market.tapes.get(ticket.symbol)
        if tape is None:
            return "unknown_stock"
        reason = self._closed(tape, ticket.kind) or self._malformed(tape, ticket)
        return reason or self._too_poor(tape, ticket)

    def _closed(self, tape: Tape, kind: str) -> str | None:
        if not self._calendar.is_trading_day(self._market.day):
            return "wrong_day"
        if tape.state in ("before", "closed"):
            return "before_open" if tape.state == "before" else "closed"
        if kind in CLOSED_KINDS:
            return "closed"
        if kind not in KINDS or (tape.state in AUCTIONS and kind not in AUCTION_KINDS):
            return "kind"
        return "halted" if tape.state == "halt" else None

    @staticmethod
    def _malformed(tape: Tape, ticket: Ticket) -> str | None:
        if ticket.quantity <= 0:
            return "quantity"
        if KINDS[ticket.kind].pricing == "limit":
            if not tape.band[0] <= ticket.price <= tape.band[1]:
                return "band"
            if ticket.price % tape.tick(ticket.price):
                return "tick"
        return None

    def _too_poor(self, tape: Tape, ticket: Ticket) -> str | None:
        if ticket.side == "SELL":
            # A fresh fill is not sellable before the balance shows it (measured on paper).
            accounts = (self._ledger.shown, self._ledger.truth)
            left = min(self._ledger.sellable(ticket.symbol, account) for account in accounts)
            return "no_shares" if ticket.quantity > left else None
        amount = ticket.quantity * self.reserve_price(tape, ticket)
        needed = amount + fee_of(amount, tape.listing.etf)
        return "no_cash" if needed > self._ledger.available() else None

    @staticmethod
    def reserve_price(tape: Tape, ticket: Ticket) -> int:
        """Return the won held back per share: the upper limit for orders without a price.

        Also for 02, which may become a market order (invented; keeps cash from going negative).
        """
        priced = KINDS[ticket.kind].pricing == "limit" and ticket.kind != "02"
        return ticket.price if priced else tape.band[1]

    def place(self, ticket: Ticket, at: int) -> Order | str:
        """Accept an order and try to match it; or return the name of the refusal."""
        reason = self.refusal(ticket)
        if reason:
            return reason
        order = self._new_order(ticket, at, "new", None)
        self.tell(at, Happening("received", order, order.quantity, order.price))
        self._admit(order, at)
        return order

    def _new_order(self, ticket: Ticket, at: int, role: str, origin: Order | None) -> Order:
        tape = self._market.tapes[ticket.symbol]
        price = ticket.price if KINDS[ticket.kind].pricing == "limit" else 0
        order = Order(
            number=self._ledger.next_number(self._rng),
            day=self._market.day,
            listing=tape.listing,
            side=ticket.side,
            kind=ticket.kind,
            quantity=ticket.quantity,
            price=price,
            at=at,
            source=ticket.source,
            role=role,
            origin=origin,
            limit=price,
            reserve=self.reserve_price(tape, ticket),
            list_at=at + self._config.list_lag.draw(self._rng),
        )
        return self._ledger.add(order)

    def _admit(self, order: Order, at: int) -> None:
        """Apply order faults, then let the order meet the market."""
        for effect in self._fire(order, "order"):
            until = at + round(float(effect.get("seconds", 0)) * 1000)
            if effect["do"] == "list_delay":
                order.list_at = until
            elif effect["do"] == "unsettled":
                order.settled_at = until
            elif effect["do"] == "no_fill":
                order.hold_until = until
                self._agenda.add(until, self._match_again, order)
            elif effect["do"] == "refuse_later":
                order.hold_until = until + 1
                self._agenda.add(until, self._refuse_later, order)
        self._match_again(at, order)

    def _fire(self, order: Order, kind: str) -> list[dict[str, Any]]:
        return self._faults.fire("order", kind=kind, symbol=order.symbol, side=order.side)

    def _refuse_later(self, at: int, order: Order) -> None:
        quantity = order.rest
        if quantity:
            order.rejected += quantity
            self.tell(at, Happening("refused", order, quantity, order.price))

    # --- modify and cancel ----------------------------------------------------------

    def change(self, change: Change, at: int) -> Order | str:
        """Modify or cancel; the message gets a number of its own. Returns it or a refusal."""
        tapes = self._market.tapes
        old = self._ledger.find(change.number, self._market.day)
        tape = tapes[old.symbol] if old else next(iter(tapes.values()))
        reason = self._closed(tape, "00")
        if reason in ("closed", "before_open", "wrong_day"):
            return reason
        if old is None or old.rest <= 0 or old.role == "cancel":
            return "nothing"
        quantity = old.rest if change.everything else change.quantity
        if not 0 < quantity <= old.rest:
            return "nothing" if quantity else "quantity"
        act = self._cancel if change.cancel else self._modify
        return act(old, quantity, change, at)

    def _cancel(self, old: Order, quantity: int, change: Change, at: int) -> Order | str:
        message = self._message(old, quantity, change.source, at)
        late = [e for e in self._fire(old, "cancel") if e["do"] == "cancel_refused"]
        if late:
            message.cancelled, message.rejected = 0, quantity
            when = at + round(float(late[0].get("seconds", 0)) * 1000)
            self._agenda.add(when, self.tell, Happening("refused", message, quantity, 0))
            return message
        old.cancelled += quantity
        self.tell(at, Happening("cancelled", message, quantity, 0))
        return message

    def _message(self, old: Order, quantity: int, source: str, at: int) -> Order:
        number = self._ledger.next_number(self._rng)
        message = Order(number, old.day, old.listing, old.side, old.kind, quantity, 0, at, source)
        message.role, message.origin, message.cancelled = "cancel", old, quantity
        message.list_at = at + self._config.list_lag.draw(self._rng)
        return self._ledger.add(message)

    def _modify(self, old: Order, quantity: int, change: Change, at: int) -> Order | str:
        ticket = Ticket(old.symbol, old.side, change.kind, quantity, change.price, change.source)
        old.cancelled += quantity  # the moved part; lists show it as confirmed cancel (unconfirmed)
        reason = self.refusal(ticket)
        if reason:
            old.cancelled -= quantity
            return reason
        order = self._new_order(ticket, at, "modify", old)
        self.tell(at, Happening("modified", order, quantity, order.price))
        self._admit(order, at)
        return order

    # --- matching -------------------------------------------------------------------

    def _match_again(self, at: int, order: Order) -> None:
        tape = self._market.tapes[order.symbol]
        if order.rest <= 0 or at < order.hold_until or tape.state != "open":
            return
        self._set_price(order, tape)
        kind = KINDS[order.kind]
        if kind.life == "fok" and sum(s for _, s in self._levels(order, tape)) < order.rest:
            self._expire(order, at)
            return
        self._take(order, tape, at)
        if kind.life != "day" and order.rest:
            self._expire(order, at)
        elif order.rest:
            order.queue = self._queue_before(order, tape)

    @staticmethod
    def _set_price(order: Order, tape: Tape) -> None:
        """Give best and priority orders the price they take on arrival."""
        pricing = KINDS[order.kind].pricing
        if order.limit or pricing not in ("best", "own"):
            return
        depth = tape.depth()
        buying = order.side == "BUY"
        price = depth.asks[0] if buying == (pricing == "best") else depth.bids[0]
        order.limit = price or tape.last

    def _levels(self, order: Order, tape: Tape) -> list[tuple[int, int]]:
        """Return (price, size) of the opposite side that the order may meet, best first."""
        depth, buying = tape.depth(), order.side == "BUY"
        prices, sizes = (depth.asks, depth.ask_sizes) if buying else (depth.bids, depth.bid_sizes)
        sign = 1 if buying else -1
        return [
            (price, size)
            for price, size in zip(prices, sizes, strict=True)
            if price and size and (not order.limit or price * sign <= order.limit * sign)
        ]

    def _take(self, order: Order, tape: Tape, at: int, passive: bool = False) -> None:
        """Meet the displayed book; a resting order that is met trades at its own price."""
        for price, size in self._levels(order, tape):
            quantity = min(size, order.rest)
            if quantity <= 0:
                return
            tape.take(price, quantity)
            self._fill(order, quantity, order.limit if passive and order.limit else price, at)

    def _queue_before(self, order: Order, tape: Tape) -> int:
        """Return the shares before a resting order: those shown at its price, more deeper down."""
        depth, buying = tape.depth(), order.side == "BUY"
        prices, sizes = (depth.bids, depth.bid_sizes) if buying else (depth.asks, depth.ask_sizes)
        if order.limit in prices:
            return sizes[prices.index(order.limit)]
        sign = 1 if buying else -1
        return 0 if order.limit * sign > prices[0] * sign else max(sizes) * 3

    def on_trades(self, at: int, tape: Tape, prints: Sequence[Print]) -> None:
        """Let resting orders trade with what passes."""
        orders = self._ledger.open_orders(tape.listing.code)
        for order in orders:
            if at >= order.hold_until:
                for price, quantity, side in prints if order.limit else ():
                    self._pass(order, price, quantity, side, at)
                self._take(order, tape, at, passive=True)
        if orders:
            self._ledger.forget_done(tape.listing.code)

    def _pass(self, order: Order, price: int, quantity: int, side: str, at: int) -> None:
        """Trade a resting order with one print: behind the queue at its price, first beyond it."""
        buying = order.side == "BUY"
        beyond = price < order.limit if buying else price > order.limit
        if beyond:
            order.queue, share = 0, quantity * 4
        elif price == order.limit and side == (SELL if buying else BUY):
            ahead = min(order.queue, quantity)
            order.queue -= ahead
            share = quantity - ahead
        else:
            return
        if (count := min(share, order.rest)) > 0:
            self._fill(order, count, order.limit, at)

    def on_auction(self, at: int, tape: Tape, price: int, quantity: int) -> None:
        """Fill what an auction price meets; better limits first, then time."""

        def any_price(order: Order) -> bool:
            return not order.limit or (order.kind == "02" and tape.state == "closing")

        def rank(order: Order) -> tuple[bool, int, int]:
            sign = -1 if order.side == "BUY" else 1
            return not any_price(order), sign * order.limit, order.number

        for side in ("BUY", "SELL"):
            left = quantity
            for order in sorted(self._ledger.open_orders(tape.listing.code, side), key=rank):
                meets = order.limit >= price if side == "BUY" else order.limit <= price
                count = min(order.rest, left)
                if count > 0 and (any_price(order) or meets) and at >= order.hold_until:
                    left -= count
                    self._fill(order, count, price, at)
        for order in self._ledger.open_orders(tape.listing.code):
            order.queue = 0

    def _fill(self, order: Order, quantity: int, price: int, at: int) -> None:
        config, rng = self._config, self._rng
        lags = (config.list_lag.draw(rng), config.balance_lag.draw(rng))
        self._ledger.fill(order, quantity, price, at, lags)
        self.tell(at, Happening("fill", order, quantity, price))

    def _expire(self, order: Order, at: int) -> None:
        quantity = order.rest
        order.cancelled += quantity
        self.tell(at, Happening("expired", order, quantity, order.price))

    def on_quote(self, at: int, tape: Tape) -> None:
        """Nothing to do: auctions only collect."""

    def on_status(self, at: int, tape: Tape, code: str) -> None:
        """When trading (re)starts, orders that waited meet the book."""
        if tape.state == "open":
            for order in self._ledger.open_orders(tape.listing.code):
                self._match_again(at, order)

    def on_day_end(self, at: int) -> None:
        """Day orders die; how lists show it is configured. No notice is sent (unconfirmed)."""
        look = self._config.after_close
        later = {"cancelled": 0, "rest_then_cancelled": at + 30 * 60_000, "rest": at + DAY_MS}[look]
        for order in self._ledger.open_orders():
            order.died = order.rest
            order.cancelled += order.died
            order.died_list_at = later


# =====================================================================================
# === 11. WIRE =========================================================================
# =====================================================================================
# Realtime frames and order notices as text. Field orders: kis-fields (doc, partly measured).


def frame(tr_id: str, records: Sequence[str], encrypted: bool = False) -> str:
    """Return `enc|tr_id|count|payload`."""
    return f"{int(encrypted)}|{tr_id}|{len(records):03d}|{'^'.join(records)}"


def cut_fields(record: str, width: int, full: int) -> str:
    """Return a record in an older, narrower layout, or with invented fields at the end."""
    if width == full:
        return record
    fields = record.split("^")[:width]
    return "^".join(fields + ["0"] * (width - len(fields)))


def book_record(tape: Tape, at: int) -> str:
    """Return the 63 fields of H0STASP0. Outside auctions 49..52 hold nonsense (observed)."""
    depth = tape.depth()
    price, quantity = tape.expected if tape.state in AUCTIONS else (0, 0)
    change = price - tape.base
    asks, bids = depth.ask_total, depth.bid_total
    more_asks, more_bids = asks - tape.shown[0], bids - tape.shown[1]
    tape.shown = (asks, bids)
    return (
        f"{tape.listing.code}^{hms(at)}^{hour_class(tape.state)}^{depth.text}^{asks}^{bids}^0^0"
        f"^{price}^{quantity}^{quantity or tape.volume}^{change}"
        f"^{sign_code(change, price, NO_BAND)}^{change * 100 / tape.base:.2f}^{tape.volume}"
        f"^{more_asks}^{more_bids}^0^0^0^{(depth.asks[0] + depth.bids[0]) // 2}^0^0^2"
    )


def united_book_record(record: str) -> str:
    """Return the 66 fields of H0UNASP0: the book of KRX, no mid prices of NXT, exchange KRX."""
    fields = record.split("^")
    return "^".join([*fields[:62], "0", "0", "0", "1"])


def hour_class(state: str) -> str:
    """Return HOUR_CLS_CODE: A closing auction (unconfirmed), B before the open, C in a VI."""
    return {"opening": "B", "vi": "C", "halt": "C", "closing": "A", "before": "B"}.get(state, "0")


def status_record(tape: Tape, code: str) -> str:
    """Return the 11 fields of H0STMKO0."""
    halted, vi = ("Y", "58") if tape.state == "halt" else ("N", "55"), tape.state == "vi"
    coming = {"opening": "112", "closing": "121", "closed": "129"}.get(tape.state, "")
    reason = "거래정지" if tape.state == "halt" else "(null)"
    head = f"{tape.listing.code}^{halted[0]}^{reason}^{code}^{coming}^^00^{halted[1]}"
    return f"{head}^{'Y' if vi else 'N'}^N^1"


class NoticeFlags(NamedTuple):
    """Fields 5, 12, 13 and 14 of an order notice."""

    change: str  # RCTF_CLS
    refused: str  # RFUS_YN
    filled: str  # CNTG_YN
    accepted: str  # ACPT_YN


NOTICE_FLAGS = {
    "received": NoticeFlags("0", "0", "1", "1"),  # (measured)
    "fill": NoticeFlags("0", "0", "2", "2"),  # (measured)
    "cancelled": NoticeFlags("2", "0", "1", "2"),  # (measured on paper, 2026-08-20)
    "modified": NoticeFlags("1", "0", "1", "2"),  # documented, not measured
    "refused": NoticeFlags("0", "1", "1", "1"),  # documented, not measured
    "expired": NoticeFlags("0", "0", "1", "3"),  # IOC/FOK, documented, not measured
}


def notice_record(
    happening: Happening, at: int, who: Credentials, environment: str, width: int
) -> str:
    """Return the clear text of a notice with 26 or 23 fields."""
    what, order, quantity, price = happening
    flags, life = NOTICE_FLAGS[what], {"day": "0", "ioc": "1", "fok": "2"}[KINDS[order.kind].life]
    change = flags.change
    if what == "refused":
        change = {"new": "0", "modify": "1", "cancel": "2"}[order.role]
    account, side = who.active(environment)[2] + who.product, SIDE_CODE[order.side][0]
    price_text = "" if what == "received" else f"{order.price:09d}"
    head = (
        f"{who.hts_id}^{account}^{order.odno}^{order.origin_odno}^{side}^{change}^{order.kind}^{life}"
        f"^{order.symbol}^{quantity:010d}^{price:09d}^{hms(at)}^{flags.refused}^{flags.filled}"
        f"^{flags.accepted}^{BRANCH[environment]}^{order.quantity:09d}^홍길동"
    )
    if width == 23:
        return f"{head}^1Y^10^^{order.listing.name}^{price_text}"
    return cut_fields(f"{head}^^1^N^^10^^{order.listing.name}^{price_text}", width, 26)


def encrypt(text: str, key: str, iv: str) -> str:
    """Return base64 of AES-256-CBC with PKCS7 padding; key and iv are their UTF-8 bytes."""
    cipher = AES.new(key.encode(), AES.MODE_CBC, iv.encode())
    return base64.b64encode(cipher.encrypt(pad(text.encode(), 16))).decode()


# =====================================================================================
# === 12. SESSIONS =====================================================================
# =====================================================================================
# WebSocket sessions without sockets: text in, text out through `outbox`, one session per app key.


class Refused(Exception):
    """A control message that cannot be served; carries the code of the answer."""

    def __init__(self, code: str, rt_cd: str = "1") -> None:
        super().__init__(code)
        self.code, self.rt_cd = code, rt_cd


def _part(message: Any, name: str, code: str) -> dict[str, Any]:
    part = message.get(name) if isinstance(message, dict) else None
    if not isinstance(part, dict):
        raise Refused(code)
    return part


def read_registration(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and body.input of a registration; raise Refused that names what is wrong."""
    try:
        message = json.loads(text)
    except ValueError:
        raise Refused("OPSP9999") from None
    header = _part(message, "header", "OPSP9998")
    wanted = _part(_part(message, "body", "OPSP9992"), "input", "OPSP9991")
    for part, name, code in (
        (header, "approval_key", "OPSP9996"),
        (header, "custtype", "OPSP9997"),
        (header, "tr_type", "OPSP8997"),
        (wanted, "tr_id", "OPSP8991"),
        (wanted, "tr_key", "OPSP9990"),
    ):
        if not part.get(name):
            raise Refused(code)
    return header, wanted


class Session:
    """One connection. `outbox` is drained by the shell; `closed` says why it ended."""

    def __init__(self, hub: Hub, number: int, mono: float) -> None:
        self._hub, self.number = hub, number
        self.outbox: deque[str] = deque()
        self.closed: str | None = None
        self.registered: dict[tuple[str, str], None] = {}
        self.app_key = ""
        self.next_ping, self.unanswered = mono + hub.config.pingpong_s, 0.0
        dice = Dice(hub.config.seed)
        self.key = dice.text(32, "abcdefghijklmnopqrstuvwxyz", "ws key", number)
        self.iv = dice.text(16, "0123456789abcdef", "ws iv", number)
        self.swapped: str | None = None  # a frame that waits for the next one

    def receive_text(self, text: str) -> None:
        """Handle a text frame of the client: a registration, or an echoed PINGPONG."""
        if self.closed:
            return
        if self._is_pingpong(text):
            self.unanswered = 0.0
            return
        tr_id, tr_key = "(null)", ""
        try:
            header, wanted = read_registration(text)
            self._hub.authorise(self, header)
            tr_id, tr_key = str(wanted.get("tr_id", "")), str(wanted.get("tr_key", ""))
            code = self._hub.subscribe(self, str(header["tr_type"]), tr_id, tr_key)
            self._answer(tr_id, tr_key, "0", code)
        except Refused as refusal:
            self._answer(tr_id, tr_key, refusal.rt_cd, refusal.code)
            if refusal.code == "OPSP8996":
                self.close("app key in use")

    def receive_pong(self, payload: bytes) -> None:
        """Handle a PONG control frame; it answers when it carries the PINGPONG text."""
        if b"PINGPONG" in payload:
            self.unanswered = 0.0

    def receive_ping(self, payload: bytes) -> None:
        """Handle a PING control frame; the older official sample answers PINGPONG with one."""
        self.receive_pong(payload)

    def disconnect(self) -> None:
        """Tell that the transport is gone."""
        self.close("client gone")

    def close(self, reason: str) -> None:
        """End the session once."""
        if not self.closed:
            self.closed = reason
            self._hub.forget(self)

    def tick(self, mono: float) -> None:
        """Send PINGPONG when due; end the session when none was answered for too long."""
        config = self._hub.config
        if self.unanswered and mono - self.unanswered > config.dead_session_s:
            self.close("no PINGPONG answer")
        elif mono >= self.next_ping:
            self.next_ping = mono + config.pingpong_s
            self.unanswered = self.unanswered or mono
            header = {
                "tr_id": "PINGPONG",
                "datetime": to_moment(self._hub.now).strftime("%Y%m%d%H%M%S"),
            }
            self._hub.send(self, json.dumps({"header": header}), "control", "PINGPONG", "")

    @staticmethod
    def _is_pingpong(text: str) -> bool:
        try:
            return bool(json.loads(text)["header"]["tr_id"] == "PINGPONG")
        except (ValueError, TypeError, KeyError):
            return False

    def _answer(self, tr_id: str, tr_key: str, rt_cd: str, code: str) -> None:
        """Acknowledge. `encrypt` is Y for notices: the official sample decrypts only then.

        The document prints N there too (unconfirmed which is sent); a client that goes by the
        first character of the frame does not care.
        """
        body: dict[str, Any] = {"rt_cd": rt_cd, "msg_cd": code, "msg1": WS_TEXT[code]}
        if rt_cd == "0":
            body["output"] = {"iv": self.iv, "key": self.key}
        elif code in ("OPSP9999", "OPSP8996"):
            tr_id, tr_key = "(null)", ""
        secret = "Y" if rt_cd == "0" and tr_id in HTS_STREAMS else "N"
        header = {"tr_id": tr_id, "tr_key": tr_key, "encrypt": secret}
        text = json.dumps({"header": header, "body": body}, ensure_ascii=False)
        self._hub.send(self, text, "control", tr_id, tr_key)


class Hub:
    """All sessions: who listens to what, and the way of every frame."""

    OUTBOX_LIMIT = 200_000  # a slower client is cut off (invented)

    def __init__(self, ground: Ground) -> None:
        self.config, self.who = ground.config, ground.who
        self._faults, self._agenda = ground.faults, ground.agenda
        self._rng = ground.dice.stream("notices")
        self.sessions: list[Session] = []
        self.watchers: dict[tuple[str, str], list[Session]] = {}
        self.approvals: dict[str, tuple[str, int]] = {}  # approval key -> (app key, end of life)
        self.symbols = frozenset(ground.config.symbols)
        self.watch: Callable[[str, bool], None] = lambda symbol, on: None
        self.mono, self.frames_sent, self._opened = 0.0, 0, 0
        self.trades_sent: dict[str, int] = {}
        self._lost: tuple[str, float] = ("", 0.0)  # app key of a session that broke, when
        self._notice_at = 0
        self._notice_swapped: list[tuple[int, Happening]] = []

    # --- sessions -------------------------------------------------------------------

    def connect(self) -> Session:
        """Open a session."""
        self._opened += 1
        session = Session(self, self._opened, self.mono)
        self.sessions.append(session)
        return session

    def forget(self, session: Session) -> None:
        """Drop all registrations of a closed session."""
        for tr_id, tr_key in list(session.registered):
            self._unwatch(session, tr_id, tr_key)
        if session in self.sessions:
            self.sessions.remove(session)
        if session.app_key:
            self._lost = (session.app_key, self.mono)

    def authorise(self, session: Session, header: Mapping[str, Any]) -> None:
        """Check approval key, customer type and the one-session rule."""
        approval = self.approvals.get(str(header["approval_key"]))
        if str(header["custtype"]) not in ("P", "B"):
            raise Refused("OPSP8998")
        if str(header["tr_type"]) not in ("1", "2"):
            raise Refused("OPSP8997")
        if session.app_key:
            return  # an open session keeps working after the key expires (doc)
        if approval is None or approval[1] <= self.now:
            raise Refused("OPSP0011")
        lingering = (
            self._lost[0] == approval[0]
            and self.mono < self._lost[1] + self.config.session_linger_s
        )
        if lingering or any(other.app_key == approval[0] for other in self.sessions):
            raise Refused("OPSP8996", "9")
        session.app_key = approval[0]

    def subscribe(self, session: Session, tr_type: str, tr_id: str, tr_key: str) -> str:
        """Register or release; return the code of the answer or raise Refused."""
        if tr_id not in STREAMS[self.config.environment]:
            raise Refused("OPSP8991")
        if not self._knows(tr_id, tr_key):
            raise Refused("OPSP8993")
        key = (tr_id, tr_key)
        if tr_type == "2":
            if key not in session.registered:
                raise Refused("OPSP0003")
            self._unwatch(session, tr_id, tr_key)
            return "OPSP0001"
        if key in session.registered:
            raise Refused("OPSP0002")
        if len(session.registered) >= self.config.registrations:
            raise Refused("OPSP0008")
        session.registered[key] = None
        self.watchers.setdefault(key, []).append(session)
        self.watch(tr_key, True)
        return "OPSP0000"

    def _knows(self, tr_id: str, tr_key: str) -> bool:
        if tr_id in HTS_STREAMS:
            return tr_key == self.who.hts_id
        if tr_id in SILENT_KEYS:
            return re.fullmatch(SILENT_KEYS[tr_id], tr_key) is not None
        return tr_key in self.symbols

    def _unwatch(self, session: Session, tr_id: str, tr_key: str) -> None:
        session.registered.pop((tr_id, tr_key), None)
        self.watchers.get((tr_id, tr_key), []).remove(session)
        self.watch(tr_key, any(self.watchers.get((tr, tr_key)) for tr in TRADE_TRS))

    @property
    def now(self) -> int:
        """Return market time."""
        return self._agenda.now

    def tick(self, mono: float) -> None:
        """Advance the monotonic clock, on which PINGPONG runs."""
        self.mono = mono
        for session in list(self.sessions):
            session.tick(mono)

    def next_tick(self) -> float:
        """Return the monotonic time before which `tick` finds nothing to do."""
        dead_s = self.config.dead_session_s
        return min(
            (
                min(each.next_ping, each.unanswered + dead_s if each.unanswered else math.inf)
                for each in self.sessions
            ),
            default=math.inf,
        )

    # --- frames ---------------------------------------------------------------------

    def send(self, session: Session, text: str, kind: str, tr_id: str, tr_key: str) -> None:
        """Put a frame into the outbox, through the frame faults."""
        if session.closed:
            return
        self.frames_sent += 1
        if not self._faults.watches("frame"):
            session.outbox.append(text)
        else:
            self._send_faulty(session, text, kind, tr_id, tr_key)
        if len(session.outbox) > self.OUTBOX_LIMIT:
            session.close("slow client")

    def _send_faulty(self, session: Session, text: str, kind: str, tr_id: str, tr_key: str) -> None:
        copies, waiting = 1, session.swapped
        for effect in self._faults.fire("frame", kind=kind, tr_id=tr_id, symbol=tr_key):
            if effect["do"] == "frame_drop":
                copies = 0
            elif effect["do"] == "frame_repeat":
                copies = int(effect.get("times", 2))
            elif effect["do"] == "frame_swap" and waiting is None:
                session.swapped = text
                return
            elif effect["do"] == "ws_close":
                session.close("dropped")
                return
            elif effect["do"] in ("frame_garble", "frame_extra"):
                text = spoil_frame(text, effect)
        session.outbox.extend([text] * copies)
        if waiting is not None:
            session.outbox.append(waiting)
            session.swapped = None

    def publish(self, tr_id: str, symbol: str, records: Sequence[str], kind: str) -> None:
        """Send records to everybody who registered."""
        for session in list(self.watchers.get((tr_id, symbol), ())):
            self.send(session, frame(tr_id, records), kind, tr_id, symbol)
            if kind == "trade":
                self.trades_sent[symbol] = self.trades_sent.get(symbol, 0) + len(records)

    # --- market ---------------------------------------------------------------------

    def on_trades(self, at: int, tape: Tape, prints: Sequence[Print]) -> None:
        """Send the trades, then the book."""
        symbol = tape.listing.code
        if tape.records:
            width = self.config.trade_fields
            records = [cut_fields(record, width, 47) for record in tape.records]
            for tr_id in TRADE_TRS:
                if self.watchers.get((tr_id, symbol)):
                    self.publish(tr_id, symbol, records, "trade")
        self.on_quote(at, tape)

    def on_quote(self, at: int, tape: Tape) -> None:
        """Send the book."""
        symbol = tape.listing.code
        streams = [tr for tr in (BOOK_TR, UNITED_BOOK_TR) if self.watchers.get((tr, symbol))]
        if not streams:
            return
        record = book_record(tape, at)
        for tr_id in streams:
            narrow = cut_fields(record, self.config.book_fields, 63)
            text = narrow if tr_id == BOOK_TR else united_book_record(record)
            self.publish(tr_id, symbol, [text], "book")

    def on_auction(self, at: int, tape: Tape, price: int, quantity: int) -> None:
        """Send the print of an auction."""
        self.on_trades(at, tape, ())

    def on_status(self, at: int, tape: Tape, code: str) -> None:
        """Send the market status (real only)."""
        self.publish(STATUS_TR, tape.listing.code, [status_record(tape, code)], "status")

    def on_day_end(self, at: int) -> None:
        """Nothing is sent at the end of the day."""

    # --- notices --------------------------------------------------------------------

    def notify(self, at: int, happening: Happening, early: bool) -> None:
        """Plan the notice of a happening; notices keep their order unless a fault swaps them."""
        low, high = self.config.notice_lag_ms
        lag = 0 if early else low + int(self._rng.random() * (high - low))
        when = self._notice_at = max(self._notice_at, at + lag)
        copies = 1
        facts = {
            "kind": happening.what,
            "symbol": happening.order.symbol,
            "side": happening.order.side,
        }
        stamped = (at, happening)
        for effect in self._faults.fire("notice", **facts):
            if effect["do"] == "notice_drop":
                copies = 0
            elif effect["do"] == "notice_delay":
                when = at + round(float(effect.get("seconds", 0)) * 1000)
            elif effect["do"] == "notice_repeat":
                copies = int(effect.get("times", 2))
            elif effect["do"] == "notice_swap" and not self._notice_swapped:
                self._notice_swapped.append(stamped)
                return
        pending = [stamped] * copies + self._notice_swapped
        self._notice_swapped = []
        if early and when <= at:
            self._deliver(at, pending)
        else:
            self._agenda.add(when, self._deliver, pending)

    def _deliver(self, _: int, pending: Sequence[tuple[int, Happening]]) -> None:
        environment = self.config.environment
        width = self.config.notice_fields or (23 if self.config.paper else 26)
        tr_id = NOTICE_TR[environment]
        for at, happening in pending:
            text = notice_record(happening, at, self.who, environment, width)
            for session in list(self.watchers.get((tr_id, self.who.hts_id), ())):
                wire = frame(tr_id, [encrypt(text, session.key, session.iv)], encrypted=True)
                self.send(session, wire, "notice", tr_id, happening.order.symbol)


def spoil_frame(text: str, effect: Mapping[str, Any]) -> str:
    """Damage a frame: cut it, replace it, lie about the count, or change the record width."""
    if effect["do"] == "frame_garble":
        how = str(effect.get("how", "truncate"))
        head, _, rest = text.partition("|00")
        return {
            "truncate": text[: len(text) // 2],
            "text": "garbage \ufffd {not json",
            "count": f"{head}|00{int(rest[:1] or 1) + 1}{rest[1:]}" if rest else text,
            "key": text[:-8] + "AAAAAAA=" if text.startswith("1|") else text,
        }.get(how, text)
    parts = text.split("|", 3)
    if len(parts) < 4 or parts[0] != "0":
        return text
    count, fields = int(parts[2]), parts[3].split("^")
    width = len(fields) // count
    records = ["^".join(fields[i * width : (i + 1) * width]) for i in range(count)]
    wanted = width + int(effect.get("fields", 1))
    return "|".join([*parts[:3], "^".join(cut_fields(record, wanted, width) for record in records)])


# =====================================================================================
# === 13. QUOTATIONS ===================================================================
# =====================================================================================
# REST answers about the market. Layouts pair the broker's field names with our words; every value
# leaves as text. Words of a stock come from `stock_words`, words of a bar from Bar.words.


@dataclass(frozen=True, slots=True)
class Call:
    """One REST call after the gateway's checks; parameter names in upper case."""

    path: str
    tr_id: str
    params: Mapping[str, str]
    body: Mapping[str, Any]
    tr_cont: str
    at: int

    def get(self, name: str) -> str:
        """Return a query parameter without blanks, empty when missing."""
        return str(self.params.get(name, "")).strip()


@dataclass(slots=True)
class Answer:
    """Payload and envelope of a successful call."""

    payload: dict[str, Any]
    msg_cd: str = "MCA00000"
    msg1: str = "정상처리 되었습니다."
    tr_cont: str = ""


class Rejected(Exception):
    """A business refusal: HTTP 200 with rt_cd other than 0."""

    def __init__(self, msg_cd: str, msg1: str, rt_cd: str = "1") -> None:
        super().__init__(msg_cd)
        self.msg_cd, self.msg1, self.rt_cd = msg_cd, msg1, rt_cd


def inquiry(payload: dict[str, Any], tr_cont: str = "", empty: bool = False) -> Answer:
    """Wrap an account inquiry; its text is padded with blanks (doc examples)."""
    if tr_cont in ("F", "M"):
        return Answer(
            payload, "KIOK0500", padded("조회가 계속됩니다.다음버튼을 Click 하십시오."), tr_cont
        )
    if empty:
        return Answer(payload, "KIOK0560", padded("조회할 내용이 없습니다"), tr_cont)
    return Answer(payload, "KIOK0510", padded("조회가 완료되었습니다"), tr_cont)


def blank(value: Any) -> Any:
    """Return the same structure filled with "0": how an unknown stock is answered (observed)."""
    if isinstance(value, dict):
        return {key: blank(item) for key, item in value.items()}
    return [] if isinstance(value, list) else "0"


def change_words(price: int, tape: Tape) -> dict[str, Any]:
    """Return change, rate and sign of a price against the previous close."""
    change = price - tape.base
    sign = sign_code(change, price, tape.band)
    return {"change": change, "rate": percent(change, tape.base), "sign": sign}


def stock_words(tape: Tape) -> dict[str, Any]:
    """Return the words of a stock as it stands now."""
    state = (tape.depth(), tape.state, tape.expected)  # every trade makes a new book
    known = tape.words
    if known is None or known[0][0] is not state[0] or known[0][1:] != state[1:]:
        known = tape.words = (state, _stock_words(tape))
    return known[1].copy()


def _stock_words(tape: Tape) -> dict[str, Any]:
    listing, last, depth = tape.listing, tape.last, tape.depth()
    halted = tape.state == "halt"
    expected = tape.expected if tape.state in AUCTIONS else (0, 0)
    return change_words(last, tape) | {
        "code": listing.code,
        "name": listing.name,
        "market": listing.market,
        "index": "KOSPI200" if listing.market == "KOSPI" else "KSQ150",
        "issue": "58" if halted else "55",
        "halted": "Y" if halted else "N",
        "vi": "Y" if tape.state == "vi" else "N",
        "last": last,
        "base": tape.base,
        "open": tape.open,
        "high": tape.high,
        "low": tape.low,
        "upper": tape.band[1],
        "lower": tape.band[0],
        "volume": tape.volume,
        "value": tape.value,
        "vwap": f"{tape.value / tape.volume if tape.volume else 0.0:.2f}",
        "previous_volume": tape.previous_volume,
        "volume_change": tape.volume - tape.previous_volume,
        "volume_rate": percent(tape.volume, tape.previous_volume),
        "turnover": percent(tape.volume, listing.shares),
        "tick": tape.tick(last),
        "width": tape.band[1] - tape.base,
        "substitute": tape.base * 7 // 10,
        "shares": listing.shares,
        "cap": listing.shares * last // 10**8,
        "eps": f"{last / 14.2:.2f}",
        "bps": f"{last / 1.35:.2f}",
        "ask": depth.asks[0],
        "bid": depth.bids[0],
        "ask_size": depth.ask_sizes[0],
        "bid_size": depth.bid_sizes[0],
        "asks": depth.ask_total,
        "bids": depth.bid_total,
        "more_bids": depth.bid_total - depth.ask_total,
        "expected": expected[0],
        "expected_volume": expected[1],
        "hour_class": hour_class(tape.state),
        "operation": {"before": "10", "opening": "10", "closed": "31"}.get(tape.state, "20"),
        "coming": {"opening": "112", "closing": "121"}.get(tape.state, "311"),
        "high_at": tape.high_clock,
        "low_at": tape.low_clock,
        "up": last - tape.open,
        "up_sign": sign_code(last - tape.open, last, tape.band),
        "up_rate": percent(last - tape.open, tape.open),
    }


PRICE = Layout("""
    iscd_stat_cls_code=issue marg_rate=20.00 rprs_mrkt_kor_name=index bstp_kor_isnm=market
    temp_stop_yn=halted oprc_rang_cont_yn=N clpr_rang_cont_yn=N crdt_able_yn=Y stck_prpr=last
    prdy_vrss=change prdy_vrss_sign=sign prdy_ctrt=rate acml_tr_pbmn=value acml_vol=volume
    prdy_vrss_vol_rate=volume_rate stck_oprc=open stck_hgpr=high stck_lwpr=low stck_mxpr=upper
    stck_llam=lower stck_sdpr=base wghn_avrg_stck_prc=vwap hts_frgn_ehrt=51.20 frgn_ntby_qty=0
    pgtr_ntby_qty=0 rstc_wdth_prc=width stck_fcam=100 stck_sspr=substitute aspr_unit=tick
    hts_deal_qty_unit_val=1 lstn_stcn=shares hts_avls=cap per=14.20 pbr=1.35 stac_month=12
    vol_tnrt=turnover eps=eps bps=bps stck_shrn_iscd=code vi_cls_code=vi ovtm_vi_cls_code=N
    invt_caful_yn=N mrkt_warn_cls_code=00 short_over_yn=N sltr_yn=N mang_issu_cls_code=N
    w52_hgpr=year_high w52_hgpr_vrss_prpr_ctrt=from_high w52_hgpr_date=high_day
    w52_lwpr=year_low w52_lwpr_vrss_prpr_ctrt=from_low w52_lwpr_date=low_day
    d250_hgpr=year_high d250_hgpr_vrss_prpr_rate=from_high d250_hgpr_date=high_day
    d250_lwpr=year_low d250_lwpr_vrss_prpr_rate=from_low d250_lwpr_date=low_day
    stck_dryy_hgpr=year_high dryy_hgpr_vrss_prpr_rate=from_high dryy_hgpr_date=high_day
    stck_dryy_lwpr=year_low dryy_lwpr_vrss_prpr_rate=from_low dryy_lwpr_date=low_day
""")
PRICE_2 = Layout("""
    rprs_mrkt_kor_name=index crdt_able_yn=Y stck_mxpr=upper elw_pblc_yn=N prdy_clpr_vrss_oprc_rate=open_rate crdt_rate=0.00
    marg_rate=20.00 lwpr_vrss_prpr=low_gap lwpr_vrss_prpr_sign=low_sign
    prdy_clpr_vrss_lwpr_rate=low_rate stck_lwpr=low hgpr_vrss_prpr=high_gap
    hgpr_vrss_prpr_sign=high_sign prdy_clpr_vrss_hgpr_rate=high_rate stck_hgpr=high
    oprc_vrss_prpr=open_gap oprc_vrss_prpr_sign=open_sign mang_issu_yn=N divi_app_cls_code=00
    short_over_yn=N mrkt_warn_cls_code=00 invt_caful_yn=N stange_runup_yn=N ssts_hot_yn=N
    low_current_yn=N vi_cls_code=vi short_over_cls_code stck_llam=lower new_lstn_cls_name
    vlnt_deal_cls_name stck_sdpr=base bstp_cls_code=000000 stck_prdy_clpr=base insn_pbnt_yn=N
    stck_prpr=last
    prdy_vrss=change prdy_vrss_sign=sign prdy_ctrt=rate acml_tr_pbmn=value acml_vol=volume
    prdy_vrss_vol_rate=volume_rate bstp_kor_isnm=market sltr_yn=N trht_yn=halted
    oprc_rang_cont_yn=N vlnt_fin_cls_code stck_oprc=open prdy_vol=previous_volume
""")
BOOK_TOTALS = Layout("""
    total_askp_rsqn=asks total_bidp_rsqn=bids total_askp_rsqn_icdc=0 total_bidp_rsqn_icdc=0
    ovtm_total_askp_rsqn=0 ovtm_total_bidp_rsqn=0 ovtm_total_askp_icdc=0 ovtm_total_bidp_icdc=0
    ntby_aspr_rsqn=more_bids new_mkop_cls_code=operation
""")
BOOK_EXPECTED = Layout("""
    antc_mkop_cls_code=coming stck_prpr=last stck_oprc=open stck_hgpr=high stck_lwpr=low
    stck_sdpr=base antc_cnpr=expected antc_cntg_vrss_sign=expected_sign
    antc_cntg_vrss=expected_change antc_cntg_prdy_ctrt=expected_rate antc_vol=expected_volume
    stck_shrn_iscd=code vi_cls_code=vi
""")
TRADE = Layout("""
    stck_cntg_hour=clock stck_prpr=price prdy_vrss=change prdy_vrss_sign=sign
    cntg_vol=quantity tday_rltv=strength prdy_ctrt=rate
""")
TRADE_BY_TIME = Layout("""
    stck_cntg_hour=clock stck_prpr=price prdy_vrss=change prdy_vrss_sign=sign prdy_ctrt=rate
    askp=ask bidp=bid tday_rltv=strength acml_vol=volume cnqn=quantity
""")
TRADE_HEAD = Layout("""
    stck_prpr=last prdy_vrss=change prdy_vrss_sign=sign prdy_ctrt=rate acml_vol=volume
    prdy_vol=previous_volume rprs_mrkt_kor_name=market
""")
CHART_HEAD = Layout("""
    prdy_vrss=change prdy_vrss_sign=sign prdy_ctrt=rate stck_prdy_clpr=base acml_vol=volume
    acml_tr_pbmn=value hts_kor_isnm=name stck_prpr=last
""")
MINUTE_ROW = Layout("""
    stck_bsop_date=day stck_cntg_hour=clock stck_prpr=close stck_oprc=open stck_hgpr=high
    stck_lwpr=low cntg_vol=volume acml_tr_pbmn=total
""")
DAILY_HEAD = Layout("""
    stck_shrn_iscd=code prdy_vol=previous_volume stck_mxpr=upper stck_llam=lower stck_oprc=open
    stck_hgpr=high stck_lwpr=low stck_prdy_oprc=before_open stck_prdy_hgpr=before_high
    stck_prdy_lwpr=before_low askp=ask bidp=bid prdy_vrss_vol=volume_change vol_tnrt=turnover
    stck_fcam=100 lstn_stcn=shares cpfn=0 hts_avls=cap per=14.20 eps=eps pbr=1.35
""")
LOAN_RATE = {"itewhol_loan_rmnd_ratem name": "0.10"}  # the key has a blank (seen 2026-08)
DAILY_ROW = Layout("""
    stck_bsop_date=day stck_clpr=close stck_oprc=open stck_hgpr=high stck_lwpr=low
    acml_vol=volume acml_tr_pbmn=value flng_cls_code=00 prtt_rate=0.00 mod_yn=N
    prdy_vrss_sign=sign prdy_vrss=change revl_issu_reas
""")
DAILY_SHORT_ROW = Layout("""
    stck_bsop_date=day stck_oprc=open stck_hgpr=high stck_lwpr=low stck_clpr=close
    acml_vol=volume prdy_vrss_vol_rate=volume_rate prdy_vrss=change prdy_vrss_sign=sign
    prdy_ctrt=rate hts_frgn_ehrt=51.20 frgn_ntby_qty=0 flng_cls_code=00 acml_prtt_rate=1.00
""")
PERIODS: dict[str, tuple[int, Callable[[date], Any]]] = {  # days per bar at most, key of a bar
    "D": (1, lambda day: day),
    "W": (5, lambda day: day.isocalendar()[:2]),
    "M": (23, lambda day: (day.year, day.month)),
    "Y": (260, lambda day: day.year),
}
FIRST_DAY = date(2018, 1, 2)  # history begins here


def merge_bars(days: Iterable[tuple[Any, Bar]], key: Callable[[Any], Any]) -> list[tuple[Any, Bar]]:
    """Merge bars, newest first, whose times share a key; each takes the newest time."""
    merged: list[tuple[Any, Bar]] = []
    for _, group in itertools.groupby(days, key=lambda item: key(item[0])):
        part = list(group)
        bars = [bar for _, bar in part]
        high, low = max(bar.high for bar in bars), min(bar.low for bar in bars)
        volume, value = sum(bar.volume for bar in bars), sum(bar.value for bar in bars)
        whole = Bar(bars[-1].open, high, low, bars[0].close, volume, value)
        merged.append((part[0][0], whole))
    return merged


class Quotations:
    """Prices, books and bars of one stock."""

    def __init__(self, ground: Ground, market: Market) -> None:
        self._market, self._history, self._calendar = market, ground.history, ground.calendar
        self._dice = ground.dice
        self._year_words: dict[tuple[str, date], dict[str, Any]] = {}

    def _about(self, call: Call, build: Callable[[Tape, Call], dict[str, Any]]) -> Answer:
        if call.get("FID_COND_MRKT_DIV_CODE") not in ("J", "NX", "UN"):
            raise Rejected("OPSQ2001", "ERROR INVALID FID_COND_MRKT_DIV_CODE", "2")
        tape = self._market.tapes.get(call.get("FID_INPUT_ISCD"))
        if tape is None:
            return Answer(blank(build(next(iter(self._market.tapes.values())), call)))
        return Answer(build(tape, call))

    # --- price, book, trades --------------------------------------------------------

    def price(self, call: Call) -> Answer:
        """inquire-price."""
        return self._about(call, self._price)

    def price_2(self, call: Call) -> Answer:
        """inquire-price-2: other fields of the same stock (doc).

        Six documented names without a value are left out altogether, as the server does
        (seen 2026-09-27, one source): flng_cls_name, mrkt_warn_cls_name and the like.
        """

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            words = stock_words(tape)
            for name in ("open", "high", "low"):
                gap = tape.last - words[name]
                words |= {f"{name}_gap": gap, f"{name}_sign": sign_code(gap, tape.last, NO_BAND)}
                words[f"{name}_rate"] = percent(words[name] - tape.base, tape.base)
            return {"output": PRICE_2.fill(words)}

        return self._about(call, build)

    def _price(self, tape: Tape, call: Call) -> dict[str, Any]:
        words = stock_words(tape) | self._year(tape)
        words["from_high"] = percent(tape.last - words["year_high"], words["year_high"])
        words["from_low"] = percent(tape.last - words["year_low"], words["year_low"])
        return {"output": PRICE.fill(words)}

    def _year(self, tape: Tape) -> dict[str, Any]:
        """Return the extremes of the 250 trading days before today."""
        key = (tape.listing.code, self._market.day)
        if key not in self._year_words:
            day, bars = self._market.day, []
            for _ in range(250):
                day = self._calendar.previous(day)
                bars.append((self._history.daily(tape.listing.code, day), day))
            high, high_day = max((bar.high, day) for bar, day in bars)
            low, low_day = min((bar.low, day) for bar, day in bars)
            words = {"year_high": high, "high_day": ymd(high_day)}
            self._year_words[key] = words | {"year_low": low, "low_day": ymd(low_day)}
        return self._year_words[key]

    def book(self, call: Call) -> Answer:
        """inquire-asking-price-exp-ccn."""
        return self._about(call, self._book)

    def _book(self, tape: Tape, call: Call) -> dict[str, Any]:
        depth, words = tape.depth(), stock_words(tape)
        expected = change_words(words["expected"], tape)
        words |= {f"expected_{name}": value for name, value in expected.items()}
        levels: dict[str, Any] = {"aspr_acpt_hour": hms(call.at)}
        names = ("askp", "bidp", "askp_rsqn", "bidp_rsqn", "askp_rsqn_icdc", "bidp_rsqn_icdc")
        for name, values in zip(names, (*depth[:4], NO_LEVELS, NO_LEVELS), strict=True):
            levels |= {f"{name}{i}": value for i, value in enumerate(values, start=1)}
        return {"output1": levels | BOOK_TOTALS.fill(words), "output2": BOOK_EXPECTED.fill(words)}

    @staticmethod
    def _trade_words(tape: Tape, row: TradeRow) -> dict[str, Any]:
        words = row._asdict() | change_words(row.price, tape)
        return words | {"clock": hms(row.at), "strength": percent(row.bought, row.sold)}

    def last_trades(self, call: Call) -> Answer:
        """inquire-ccnl: 30 rows, newest first."""

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            rows = tape.trades[:-31:-1]
            return {"output": [TRADE.fill(self._trade_words(tape, row)) for row in rows]}

        return self._about(call, build)

    def trades_by_time(self, call: Call) -> Answer:
        """inquire-time-itemconclusion: 30 trades up to an hour, newest first.

        The table of the document calls the price stck_pbpr, its example and the server stck_prpr
        (seen 2026-09-27, one source).
        """

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            hour = call.get("FID_INPUT_HOUR_1") or "235959"
            fitting = (row for row in reversed(tape.trades) if hms(row.at) <= hour)
            rows = itertools.islice(fitting, 30)
            words = [self._trade_words(tape, row) for row in rows]
            head = TRADE_HEAD.fill(stock_words(tape))
            return {"output1": head, "output2": [TRADE_BY_TIME.fill(w) for w in words]}

        return self._about(call, build)

    # --- bars -----------------------------------------------------------------------

    def minutes_today(self, call: Call) -> Answer:
        """inquire-time-itemchartprice: 30 bars up to an hour, newest first."""
        return self._about(call, self._minutes_today)

    def _minutes_today(self, tape: Tape, call: Call) -> dict[str, Any]:
        hour, now = call.get("FID_INPUT_HOUR_1"), second_of_day(call.at) // 60 * 60
        wanted = parse_clock(hour) // 60 * 60 if hour.isdigit() and int(hour) else now
        bars = dict(tape.minutes)
        if bars and tape.state != "closed":
            known = max(bars)
            for second in range(max(known + 60, wanted - 29 * 60), wanted + 1, 60):
                # A minute without a trade repeats the price; the running one shows the volume
                # of the bar before, as the real server does until the first trade.
                volume = bars[known].volume if second == now else 0
                bars[second] = Bar(tape.last, tape.last, tape.last, tape.last, volume)
        rows = [(_hms_of(second), bar) for second, bar in sorted(bars.items())]
        return self._minute_answer(tape, tape.day, rows, _hms_of(wanted), 30)

    def minutes_past(self, call: Call) -> Answer:
        """inquire-time-dailychartprice: 120 bars of one day up to an hour, newest first."""
        return self._about(call, self._minutes_past)

    def _minutes_past(self, tape: Tape, call: Call) -> dict[str, Any]:
        day = parse_ymd(call.get("FID_INPUT_DATE_1")) or tape.day
        oldest = tape.day - timedelta(days=366)  # one year is kept (doc)
        rows: list[tuple[str, Bar]] = []
        if day == tape.day:
            rows = [(_hms_of(second), bar) for second, bar in sorted(tape.minutes.items())]
        elif oldest <= day < tape.day and self._calendar.is_trading_day(day):
            rows = self._history.minute_rows(tape.listing.code, day)
        return self._minute_answer(tape, day, rows, call.get("FID_INPUT_HOUR_1") or "235959", 120)

    @staticmethod
    def _minute_answer(
        tape: Tape, day: date, rows: Sequence[tuple[str, Bar]], hour: str, most: int
    ) -> dict[str, Any]:
        totals = itertools.accumulate(bar.value for _, bar in rows)
        output = [
            MINUTE_ROW.fill(bar.words() | {"day": ymd(day), "clock": clock, "total": total})
            for (clock, bar), total in zip(rows, totals, strict=True)
            if clock <= hour
        ]
        head = CHART_HEAD.fill(stock_words(tape))
        return {"output1": head, "output2": output[: -most - 1 : -1]}

    def _days(self, tape: Tape, first: date, last: date, rows: int) -> list[tuple[date, Bar]]:
        """Return daily bars newest first; today's bar is included and unfinished."""
        found: list[tuple[date, Bar]] = []
        if last >= tape.day:
            if tape.volume and first <= tape.day:
                bar = Bar(tape.open, tape.high, tape.low, tape.last, tape.volume, tape.value)
                found.append((tape.day, bar))
            last = tape.day - timedelta(days=1)
        day = self._calendar.previous(last + timedelta(days=1))
        while day >= max(first, FIRST_DAY) and len(found) < rows:
            found.append((day, self._history.daily(tape.listing.code, day)))
            day = self._calendar.previous(day)
        return found

    def _periods(self, tape: Tape, call: Call, rows: int) -> list[tuple[date, Bar]]:
        """Return bars of days, weeks, months or years, newest first, one more than wanted."""
        first = parse_ymd(call.get("FID_INPUT_DATE_1")) or FIRST_DAY
        last = parse_ymd(call.get("FID_INPUT_DATE_2")) or self._market.day
        days, key = PERIODS.get(call.get("FID_PERIOD_DIV_CODE"), PERIODS["D"])
        return merge_bars(self._days(tape, first, last, rows * days), key)[:rows]

    def _period_words(self, tape: Tape, call: Call, rows: int) -> list[dict[str, Any]]:
        bars = self._periods(tape, call, rows)
        words = []
        for index, (day, bar) in enumerate(bars):
            before = bars[index + 1][1] if index + 1 < len(bars) else None
            if before is None:
                before = self._history.daily(tape.listing.code, self._calendar.previous(day))
            growth = percent(bar.volume - before.volume, before.volume)
            words.append(bar.words(before.close) | {"day": ymd(day), "volume_rate": growth})
        return words

    def daily_chart(self, call: Call) -> Answer:
        """inquire-daily-itemchartprice: 100 bars between two days, newest first."""

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            before = self._history.daily(tape.listing.code, self._calendar.previous(tape.day))
            words = stock_words(tape) | {"before_open": before.open}
            words |= {"before_high": before.high, "before_low": before.low}
            rows = [DAILY_ROW.fill(w) for w in self._period_words(tape, call, 100)]
            head = CHART_HEAD.fill(words) | DAILY_HEAD.fill(words) | LOAN_RATE
            return {"output1": head, "output2": rows}

        return self._about(call, build)

    def daily_short(self, call: Call) -> Answer:
        """inquire-daily-price: 30 bars, newest first."""

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            rows = self._period_words(tape, call, 30)
            return {"output": [DAILY_SHORT_ROW.fill(words) for words in rows]}

        return self._about(call, build)


class Index(NamedTuple):
    """A market index. `level` is its invented height when all stocks stand at their anchors."""

    name: str
    market: str
    level: int


INDEXES = {
    "0001": Index("종합", "KOSPI", 2700),
    "1001": Index("KOSDAQ", "KOSDAQ", 870),
    "2001": Index("KOSPI200", "KOSPI", 360),
}
INDEX_PRICE = Layout("""
    bstp_nmix_prpr=close bstp_nmix_prdy_vrss=change prdy_vrss_sign=sign bstp_nmix_prdy_ctrt=rate
    acml_vol=volume prdy_vol=volume_before acml_tr_pbmn=value prdy_tr_pbmn=value_before
    bstp_nmix_oprc=open prdy_nmix_vrss_nmix_oprc=open_gap oprc_vrss_prpr_sign=open_sign
    bstp_nmix_oprc_prdy_ctrt=open_rate bstp_nmix_hgpr=high prdy_nmix_vrss_nmix_hgpr=high_gap
    hgpr_vrss_prpr_sign=high_sign bstp_nmix_hgpr_prdy_ctrt=high_rate bstp_nmix_lwpr=low
    prdy_clpr_vrss_lwpr=low_gap lwpr_vrss_prpr_sign=low_sign prdy_clpr_vrss_lwpr_rate=low_rate
    ascn_issu_cnt=rising uplm_issu_cnt=at_upper stnr_issu_cnt=flat down_issu_cnt=falling
    lslm_issu_cnt=at_lower dryy_bstp_nmix_hgpr=year_high dryy_hgpr_vrss_prpr_rate=from_high
    dryy_bstp_nmix_hgpr_date=high_day dryy_bstp_nmix_lwpr=year_low
    dryy_lwpr_vrss_prpr_rate=from_low dryy_bstp_nmix_lwpr_date=low_day total_askp_rsqn=asks
    total_bidp_rsqn=bids seln_rsqn_rate=ask_rate shnu_rsqn_rate=bid_rate ntby_rsqn=more_bids
""")
INDEX_HEAD = Layout("""
    bstp_nmix_prdy_vrss=change prdy_vrss_sign=sign bstp_nmix_prdy_ctrt=rate prdy_nmix=before
    acml_vol=volume acml_tr_pbmn=value hts_kor_isnm=name bstp_nmix_prpr=close bstp_cls_code=code
    prdy_vol=volume_before bstp_nmix_oprc=open bstp_nmix_hgpr=high bstp_nmix_lwpr=low
    futs_prdy_oprc=open_before futs_prdy_hgpr=high_before futs_prdy_lwpr=low_before
""")
INDEX_DAY_ROW = Layout("""
    stck_bsop_date=day bstp_nmix_prpr=close bstp_nmix_oprc=open bstp_nmix_hgpr=high
    bstp_nmix_lwpr=low acml_vol=volume acml_tr_pbmn=value mod_yn=N
""")
INDEX_MINUTE_ROW = Layout("""
    stck_bsop_date=day stck_cntg_hour=clock bstp_nmix_prpr=close bstp_nmix_oprc=open
    bstp_nmix_hgpr=high bstp_nmix_lwpr=low cntg_vol=volume acml_tr_pbmn=total
""")


class Indexes:
    """Market indexes, computed from the stocks of this simulation by market value.

    Bars of an index are in hundredths of a point; volume in 1,000 shares and value in million won,
    as on the realtime feed of indexes (unconfirmed for REST). Highs and lows are those of the
    stocks together, a little too wide (invented).
    """

    def __init__(self, ground: Ground, market: Market) -> None:
        self._market, self._history, self._calendar = market, ground.history, ground.calendar

    def _find(self, call: Call) -> tuple[Index, list[Tape]]:
        """Return the index of a call and its stocks; any when none is of its market."""
        if call.get("FID_COND_MRKT_DIV_CODE") != "U":
            raise Rejected("OPSQ2001", "ERROR INVALID FID_COND_MRKT_DIV_CODE", "2")
        index = INDEXES.get(call.get("FID_INPUT_ISCD"), INDEXES["0001"])
        tapes = list(self._market.tapes.values())
        stocks = [tape for tape in tapes if not tape.listing.etf] or tapes
        return index, [tape for tape in stocks if tape.listing.market == index.market] or stocks

    @staticmethod
    def _weigh(index: Index, rows: Sequence[tuple[Listing, Bar]]) -> Bar:
        """Return the bar of an index from the bars of its stocks."""
        whole = sum(row.shares * row.anchor for row, _ in rows)
        opened, high, low, close = (
            round(100 * index.level * sum(row.shares * price(bar) for row, bar in rows) / whole)
            for price in map(operator.attrgetter, ("open", "high", "low", "close"))
        )
        volume, value = (sum(getattr(b, name) for _, b in rows) for name in ("volume", "value"))
        return Bar(opened, high, low, close, volume // 1000, value // 1_000_000)

    def _today(self, index: Index, tapes: Sequence[Tape]) -> Bar:
        rows = []
        for tape in tapes:
            prices = (tape.open or tape.base, tape.high or tape.base, tape.low or tape.base)
            rows.append((tape.listing, Bar(*prices, tape.last, tape.volume, tape.value)))
        return self._weigh(index, rows)

    def _past(self, index: Index, tapes: Sequence[Tape], day: date) -> Bar:
        history = self._history
        rows = [(tape.listing, history.daily(tape.listing.code, day)) for tape in tapes]
        return self._weigh(index, rows)

    @staticmethod
    def _words(bar: Bar, before: int) -> dict[str, Any]:
        """Return the words of a bar with points as text."""
        words, close = bar.words(before), bar.close
        for name in ("open", "high", "low"):
            gap = getattr(bar, name) - before
            words |= {f"{name}_rate": percent(gap, before), f"{name}_gap": f"{gap / 100:.2f}"}
            words[f"{name}_sign"] = sign_code(close - getattr(bar, name), close, NO_BAND)
        points = {n: f"{words[n] / 100:.2f}" for n in ("open", "high", "low", "close", "change")}
        return words | points | {"before": f"{before / 100:.2f}"}

    def _now(self, call: Call, index: Index, tapes: Sequence[Tape]) -> dict[str, Any]:
        yesterday = self._past(index, tapes, self._calendar.previous(self._market.day))
        words = self._words(self._today(index, tapes), yesterday.close)
        earlier = self._words(yesterday, yesterday.close)
        words |= {f"{name}_before": earlier[name] for name in ("open", "high", "low", "volume")}
        code = call.get("FID_INPUT_ISCD")
        return words | {"name": index.name, "code": code, "value_before": yesterday.value}

    def price(self, call: Call) -> Answer:
        """inquire-index-price (real only)."""
        index, tapes = self._find(call)
        words, asks, bids = self._now(call, index, tapes), 0, 0
        counts = dict.fromkeys(("1", "2", "3", "4", "5"), 0)
        for tape in tapes:
            depth = tape.depth()
            asks, bids = asks + depth.ask_total, bids + depth.bid_total
            counts[sign_code(tape.last - tape.base, tape.last, tape.band)] += 1
        words |= {"rising": counts["1"] + counts["2"], "falling": counts["4"] + counts["5"]}
        words |= {"at_upper": counts["1"], "flat": counts["3"], "at_lower": counts["4"]}
        words |= {"asks": asks, "bids": bids, "more_bids": bids - asks}
        words |= {"ask_rate": percent(asks, asks + bids), "bid_rate": percent(bids, asks + bids)}
        year = [(self._past(index, tapes, day), day) for day in self._this_year()]
        year = year or [(self._today(index, tapes), self._market.day)]
        high, high_day = max((bar.high, day) for bar, day in year)
        low, low_day = min((bar.low, day) for bar, day in year)
        last = float(words["close"]) * 100
        words |= {"year_high": f"{high / 100:.2f}", "high_day": ymd(high_day)}
        words |= {"year_low": f"{low / 100:.2f}", "low_day": ymd(low_day)}
        words |= {"from_high": percent(last - high, high), "from_low": percent(last - low, low)}
        return Answer({"output": INDEX_PRICE.fill(words)})

    def _this_year(self) -> list[date]:
        """Return the trading days of this year before today, newest first."""
        days, day = [], self._calendar.previous(self._market.day)
        while day.year == self._market.day.year:
            days.append(day)
            day = self._calendar.previous(day)
        return days

    def daily(self, call: Call) -> Answer:
        """inquire-daily-indexchartprice: 50 bars between two days, newest first (rows: doc)."""
        index, tapes = self._find(call)
        first = parse_ymd(call.get("FID_INPUT_DATE_1")) or FIRST_DAY
        day = parse_ymd(call.get("FID_INPUT_DATE_2")) or self._market.day
        size, key = PERIODS.get(call.get("FID_PERIOD_DIV_CODE"), PERIODS["D"])
        days: list[tuple[date, Bar]] = []
        if day >= self._market.day:
            if first <= self._market.day and any(tape.volume for tape in tapes):
                days.append((self._market.day, self._today(index, tapes)))
            day = self._market.day - timedelta(days=1)
        day = self._calendar.previous(day + timedelta(days=1))
        while day >= max(first, FIRST_DAY) and len(days) < 50 * size:
            days.append((day, self._past(index, tapes, day)))
            day = self._calendar.previous(day)
        rows = [
            INDEX_DAY_ROW.fill(self._words(bar, bar.close) | {"day": ymd(day)})
            for day, bar in merge_bars(days, key)[:50]
        ]
        return Answer({"output1": INDEX_HEAD.fill(self._now(call, index, tapes)), "output2": rows})

    def minutes(self, call: Call) -> Answer:
        """inquire-time-indexchartprice: bars of today, newest first (real only).

        FID_INPUT_HOUR_1 is the length of a bar in seconds (doc); below 60 it is taken as 60 here.
        """
        index, tapes = self._find(call)
        wanted = call.get("FID_INPUT_HOUR_1")
        step = max(int(wanted) if wanted.isdigit() else 60, 60)
        last = {tape.listing.code: tape.base for tape in tapes}
        bars: list[tuple[int, Bar]] = []
        for second in sorted(set().union(*(tape.minutes for tape in tapes))):
            rows = []
            for tape in tapes:
                price = last[tape.listing.code]
                bar = tape.minutes.get(second) or Bar(price, price, price, price, 0)
                last[tape.listing.code] = bar.close
                rows.append((tape.listing, bar))
            bars.append((second, self._weigh(index, rows)))
        merged = merge_bars(reversed(bars), lambda second: second // step)
        totals = list(itertools.accumulate(bar.value for _, bar in reversed(merged)))[::-1]
        output = [
            INDEX_MINUTE_ROW.fill(
                self._words(bar, bar.close)
                | {"day": ymd(self._market.day), "clock": _hms_of(second), "total": total}
            )
            for (second, bar), total in zip(merged, totals, strict=True)
        ]
        head = INDEX_HEAD.fill(self._now(call, index, tapes))
        return Answer({"output1": head, "output2": output[:102]})


class Flows(Quotations):
    """Who traded one stock: kinds of investors, brokers; and the market that was abolished."""

    def investors(self, call: Call) -> Answer:
        """inquire-investor: 30 days, newest first; nothing of today until the close (doc).

        That today's row stands there with empty values is unconfirmed. Net quantities of persons,
        foreigners and institutions add up to nothing (invented).
        """

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            return {"output": [self._investor_row(tape, w) for w in self._recent(tape, call)]}

        return self._about(call, build)

    def _recent(self, tape: Tape, call: Call) -> list[dict[str, Any]]:
        daily = replace(call, params={**call.params, "FID_PERIOD_DIV_CODE": "D"})
        return self._period_words(tape, daily, 30)

    def _investor_row(self, tape: Tape, words: Mapping[str, Any]) -> dict[str, Any]:
        row = {"stck_bsop_date": words["day"], "stck_clpr": words["close"]}
        row |= {"prdy_vrss": words["change"], "prdy_vrss_sign": words["sign"]}
        known = words["day"] != ymd(tape.day) or tape.state == "closed"
        volume, net = words["volume"], {}
        for kind in ("frgn", "orgn"):
            part = 0.05 * self._dice.gauss("flow", tape.listing.code, words["day"], kind)
            net[kind] = round(volume * min(max(part, -0.15), 0.15))
        net["prsn"] = -net["frgn"] - net["orgn"]
        bought = {k: (round(volume * part) + net[k]) // 2 for k, part in INVESTORS.items()}
        counts = {"ntby": net, "shnu": bought, "seln": {k: bought[k] - net[k] for k in net}}
        for name, unit in (("ntby", "qty"), ("shnu", "vol"), ("seln", "vol")):
            for suffix, factor in ((unit, 10**6), ("tr_pbmn", words["close"])):
                for kind in INVESTORS:
                    value = counts[name][kind] * factor // 10**6  # money in million won
                    row[f"{kind}_{name}_{suffix}"] = value if known else ""
        return row

    def brokers(self, call: Call) -> Answer:
        """inquire-member: five largest sellers and buyers of today (invented)."""

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            output: dict[str, Any] = {}
            for side in ("seln", "shnu"):
                for number, name in enumerate(BROKERS, start=1):
                    part = 30 - 5 * number
                    output[f"{side}_mbcr_no{number}"] = f"{90 + number:05d}"
                    output[f"{side}_mbcr_name{number}"] = name
                    output[f"total_{side}_qty{number}"] = tape.volume * part // 100
                    output[f"{side}_mbcr_rlim{number}"] = f"{part if tape.volume else 0:.2f}"
                    output[f"{side}_qty_icdc{number}"] = 0
                    output[f"{side}_mbcr_glob_yn_{number}"] = "N"
                output |= {f"glob_total_{side}_qty": 0, f"glob_{side}_rlim": "0.00"}
                output[f"glob_total_{side}_qty_icdc"] = 0
            return {"output": output | {"glob_ntby_qty": 0, "acml_vol": tape.volume}}

        return self._about(call, build)

    def overtime_trades(self, call: Call) -> Answer:
        """inquire-time-overtimeconclusion: no trades, this market ended on 2026-09-13.

        What the real server answers since then is unconfirmed.
        """
        return self._about(call, lambda tape, call: {"output1": OVERTIME.fill({}), "output2": []})

    def overtime_days(self, call: Call) -> Answer:
        """inquire-daily-overtimeprice: 30 days, newest first, without after-hours trades."""

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            rows = [OVERTIME_ROW.fill(words) for words in self._recent(tape, call)]
            return {"output1": OVERTIME.fill({}), "output2": rows}

        return self._about(call, build)


MANY_ROW = Layout("""
    inter_shrn_iscd=code inter_kor_isnm=name inter2_prpr=last inter2_prdy_vrss=change
    prdy_vrss_sign=sign prdy_ctrt=rate acml_vol=volume inter2_oprc=open inter2_hgpr=high
    inter2_lwpr=low inter2_llam=lower inter2_mxpr=upper inter2_askp=ask inter2_bidp=bid
    seln_rsqn=ask_size shnu_rsqn=bid_size total_askp_rsqn=asks total_bidp_rsqn=bids
    acml_tr_pbmn=value inter2_prdy_clpr=base inter2_sdpr=base intr_antc_cnpr=expected
    intr_antc_vol=expected_volume hour_cls_code=hour_class mrkt_trtm_cls_name
    kospi_kosdaq_cls_name=market
""")
RANK_ROW = Layout("""
    hts_kor_isnm=name mksc_shrn_iscd=code stck_shrn_iscd=code data_rank=rank stck_prpr=last
    prdy_vrss_sign=sign prdy_vrss=change prdy_ctrt=rate acml_vol=volume prdy_vol=previous_volume
    lstn_stcn=shares avrg_vol=previous_volume n_befr_clpr_vrss_prpr_rate=rate
    vol_inrt=volume_rate vol_tnrt=turnover nday_vol_tnrt=turnover avrg_tr_pbmn=value
    tr_pbmn_tnrt=turnover nday_tr_pbmn_tnrt=turnover acml_tr_pbmn=value stck_hgpr=high
    hgpr_hour=high_at stck_lwpr=low lwpr_hour=low_at cnnt_ascn_dynu=0 cnnt_down_dynu=0
    oprc_vrss_prpr_sign=up_sign oprc_vrss_prpr=up oprc_vrss_prpr_rate=up_rate prd_rsfl=change
    prd_rsfl_rate=rate stck_avls=cap mrkt_whol_avls_rlim=0.00
""")
BROKERS = ("가나증권", "다라증권", "마바증권", "사아증권", "자차증권")  # invented
INVESTORS = {"prsn": 0.55, "frgn": 0.27, "orgn": 0.18}  # share of the volume (invented)
OVERTIME = Layout("""
    ovtm_untp_prpr=0 ovtm_untp_prdy_vrss=0 ovtm_untp_prdy_vrss_sign=3 ovtm_untp_prdy_ctrt=0.00
    ovtm_untp_vol=0 ovtm_untp_tr_pbmn=0 ovtm_untp_mxpr=0 ovtm_untp_llam=0 ovtm_untp_oprc=0
    ovtm_untp_hgpr=0 ovtm_untp_lwpr=0 ovtm_untp_antc_cnpr=0 ovtm_untp_antc_cntg_vrss=0
    ovtm_untp_antc_cntg_vrss_sign=3 ovtm_untp_antc_cntg_ctrt=0.00 ovtm_untp_antc_vol=0
""")
OVERTIME_ROW = Layout("""
    stck_bsop_date=day ovtm_untp_prpr=0 ovtm_untp_prdy_vrss=0 ovtm_untp_prdy_vrss_sign=3
    ovtm_untp_prdy_ctrt=0.00 ovtm_untp_vol=0 stck_clpr=close prdy_vrss=change prdy_vrss_sign=sign
    prdy_ctrt=rate acml_vol=volume ovtm_untp_tr_pbmn=0
""")
OVERSEAS_DETAIL = Layout("""
    rsym=key zdiv=4 curr=USD vnit=1 open=base high=high low=low last=close base=base pvol=1000000
    pamt=amount uplp=0 dnlp=0 h52p=high52 h52d=day l52p=low52 l52d=day perx=20.00 pbrx=3.00
    epsx=10.00 bpsx=50.00 shar=1000000000 mcap=amount tomv=amount t_xprc=won t_xdif=0 t_xrat=rate
    t_rate=1400.00 t_xsgn=sign e_ordyn=orderable e_hogau=0.0100 e_parp=0 e_icod tvol=900000
    tamt=amount etyp_nm
""")
VI_ROW = Layout("""
    hts_kor_isnm=name mksc_shrn_iscd=code vi_cls_code=active bsop_date=day cntg_vi_hour=from
    vi_cncl_hour=to vi_kind_code=1 vi_prc=price vi_stnd_prc=reference vi_dprt=gap
    vi_dmc_stnd_prc=0 vi_dmc_dprt=0.00 vi_count=1
""")
HOLIDAY_ROW = Layout("""
    bass_dt=day wday_dvsn_cd=weekday bzdy_yn=open tr_day_yn=business opnd_yn=open sttl_day_yn=open
""")
INFO = Layout("""
    pdno=long_code prdt_type_cd=300 prdt_name=name prdt_name120=name prdt_abrv_name=name
    prdt_eng_name=english prdt_eng_name120=english prdt_eng_abrv_name=english std_pdno=isin
    shtn_pdno=code prdt_sale_stat_cd prdt_risk_grad_cd prdt_clsf_name=market
""")
STOCK_INFO = Layout("""
    pdno=long_code prdt_type_cd=300 prdt_name=name prdt_name120=name prdt_abrv_name=name
    prdt_eng_name=english mket_id_cd=market_id scty_grp_id_cd=group excg_dvsn_cd=exchange
    lstg_stqt=shares papr=100 kospi200_item_yn=kospi etf_dvsn_cd=etf tr_stop_yn=halted
    admn_item_yn=N thdt_clpr=last bfdy_clpr=base lstg_abol_dt std_pdno=isin
    cptt_trad_tr_psbl_yn=nxt nxt_tr_stop_yn=N
""")


class Lists:
    """Answers about many stocks: calendar, master data, rankings; and a little overseas."""

    def __init__(self, ground: Ground, market: Market) -> None:
        self._market, self._calendar, self._dice = market, ground.calendar, ground.dice

    def holidays(self, call: Call) -> Answer:
        """chk-holiday: 25 days a page from BASS_DT on, about 100 days in all."""
        first = parse_ymd(call.get("BASS_DT")) or self._market.day
        start = (parse_ymd(call.get("CTX_AREA_NK")) if call.tr_cont == "N" else None) or first
        rows = [self._holiday_row(start + timedelta(days=i)) for i in range(25)]
        follow = start + timedelta(days=25)
        more = follow < first + timedelta(days=100)
        context = {"ctx_area_nk": ymd(follow) if more else "", "ctx_area_fk": ymd(first)}
        tr_cont = ("F" if start == first else "M") if more else "E"
        return inquiry({**context, "output": rows}, tr_cont)

    def _holiday_row(self, day: date) -> dict[str, Any]:
        words = {"day": ymd(day), "weekday": f"{day.isoweekday() % 7 + 1:02d}"}
        words["open"] = "Y" if self._calendar.is_trading_day(day) else "N"
        words["business"] = "Y" if day.weekday() < 5 else "N"
        return HOLIDAY_ROW.fill(words)

    def _listing_words(self, call: Call) -> dict[str, Any]:
        tape = self._market.tapes.get(call.get("PDNO"))
        if tape is None:
            raise Rejected("KIOK0560", padded("조회할 내용이 없습니다"), "7")
        row, kosdaq = tape.listing, tape.listing.market == "KOSDAQ"
        return stock_words(tape) | {
            "english": row.english,
            "long_code": f"00000A{row.code}",
            "isin": f"KR7{row.code}003",
            "market_id": "KSQ" if kosdaq else "STK",
            "exchange": "03" if kosdaq else "02",
            "group": "EF" if row.etf else "ST",
            "etf": "1" if row.etf else "",
            "kospi": "N" if kosdaq or row.etf else "Y",
            "nxt": "N" if row.etf else "Y",
        }

    def search_info(self, call: Call) -> Answer:
        """search-info (CTPF1604R)."""
        return inquiry({"output": INFO.fill(self._listing_words(call))})

    def stock_info(self, call: Call) -> Answer:
        """search-stock-info (CTPF1002R)."""
        return inquiry({"output": STOCK_INFO.fill(self._listing_words(call))})

    def many_prices(self, call: Call) -> Answer:
        """intstock-multprice: up to 30 codes."""
        codes = [call.get(f"FID_INPUT_ISCD_{i}") for i in range(1, 31)]
        tapes = [self._market.tapes[code] for code in codes if code in self._market.tapes]
        return Answer({"output": [MANY_ROW.fill(stock_words(tape)) for tape in tapes]})

    def vi_status(self, call: Call) -> Answer:
        """inquire-vi-status: interruptions of today, newest first."""
        wanted, rows = call.get("FID_INPUT_ISCD"), []
        for vi in reversed(self._market.vi_log):
            words = stock_words(vi["tape"]) | vi | {"day": ymd(self._market.day)}
            words["active"] = "N" if vi["to"] else "Y"
            words["gap"] = percent(vi["price"] - vi["reference"], vi["reference"])
            if wanted in ("", words["code"]):
                rows.append(VI_ROW.fill(words))
        return Answer({"output": rows})

    def volume_rank(self, call: Call) -> Answer:
        """volume-rank: by volume, or by value with FID_BLNG_CLS_CODE 3."""
        by_value = call.get("FID_BLNG_CLS_CODE") == "3"
        return self._ranking(lambda tape: tape.value if by_value else tape.volume)

    def fluctuation(self, call: Call) -> Answer:
        """fluctuation: gainers, or losers with FID_RANK_SORT_CLS_CODE 1."""
        sign = -1 if call.get("FID_RANK_SORT_CLS_CODE") == "1" else 1
        return self._ranking(lambda tape: sign * (tape.last / tape.base - 1))

    def market_cap(self, call: Call) -> Answer:
        """market-cap: the dearest companies first."""
        return self._ranking(lambda tape: tape.listing.shares * tape.last)

    def _ranking(self, key: Callable[[Tape], float]) -> Answer:
        tapes = sorted(self._market.tapes.values(), key=key, reverse=True)[:30]
        rows = [RANK_ROW.fill(stock_words(t) | {"rank": n}) for n, t in enumerate(tapes, start=1)]
        return Answer({"output": rows})

    def _foreign(self, symbol: str, day: date) -> float:
        """Return an invented close in dollars."""
        level, phase = (self._dice.unit(name, symbol) for name in ("overseas", "phase"))
        wave = 0.12 * math.sin(day.toordinal() / 37 + 6 * phase)
        return (40 + 260 * level) * (1 + wave + 0.01 * self._dice.gauss("overseas", symbol, day))

    def _foreign_words(self, call: Call, day: date) -> dict[str, Any]:
        close = self._foreign(call.get("SYMB"), day)
        base = self._foreign(call.get("SYMB"), day - timedelta(days=1))
        prices = {"close": close, "base": base, "gap": abs(close - base)}
        prices |= {"high": max(close, base) * 1.01, "low": min(close, base) * 0.99}
        words: dict[str, Any] = {name: f"{price:.4f}" for name, price in prices.items()}
        sign, rate = "2" if close >= base else "5", f"{(close - base) * 100 / base:+.2f}"
        words |= {"sign": sign, "rate": rate, "amount": f"{close * 9e5:.0f}", "day": ymd(day)}
        return words | {"key": f"D{call.get('EXCD')}{call.get('SYMB')}", "orderable": "매매 가능"}

    @staticmethod
    def overseas_nothing(call: Call) -> Answer:
        """Overseas account inquiries: nothing is held, nothing was ordered."""
        context = {"ctx_area_fk200": padded("", 200), "ctx_area_nk200": padded("", 200)}
        empty: dict[str, Any] = {"output": [], "output1": [], "output2": [], "output3": {}}
        return inquiry({**context, **empty}, "D", empty=True)

    @staticmethod
    def day_or_night(call: Call) -> Answer:
        """dayornight: whether the overseas account runs on the night ledger; N here (invented)."""
        return inquiry({"output": {"PSBL_YN": "N"}})

    def overseas_detail(self, call: Call) -> Answer:
        """overseas price-detail (HHDFS76200200, real only)."""
        words = self._foreign_words(call, self._market.day)
        close = float(words["close"])
        words |= {"high52": f"{close * 1.3:.4f}", "low52": f"{close * 0.7:.4f}"}
        return Answer({"output": OVERSEAS_DETAIL.fill(words | {"won": f"{close * 1400:.0f}"})})

    def overseas_price(self, call: Call) -> Answer:
        """overseas price (HHDFS00000300)."""
        layout = Layout("""rsym=key zdiv=4 base=base pvol=1000000 last=close sign=sign diff=gap
            rate=rate tvol=900000 tamt=amount ordy=orderable""")
        return Answer({"output": layout.fill(self._foreign_words(call, self._market.day))})

    def overseas_daily(self, call: Call) -> Answer:
        """overseas dailyprice (HHDFS76240000): 100 rows, newest first."""
        layout = Layout("""xymd=day clos=close sign=sign diff=gap rate=rate open=base high=high
            low=low tvol=900000 tamt=amount pbid=close vbid=100 pask=close vask=100""")
        last = parse_ymd(call.get("BYMD")) or self._market.day
        days = [day for i in range(140) if (day := last - timedelta(days=i)).weekday() < 5]
        rows = [layout.fill(self._foreign_words(call, day)) for day in days[:100]]
        head = {"rsym": f"D{call.get('EXCD')}{call.get('SYMB')}", "zdiv": "4", "nrec": len(rows)}
        return Answer({"output1": head, "output2": rows})


# =====================================================================================
# === 14. ACCOUNT AND ORDERS ===========================================================
# =====================================================================================
# REST answers about the account, and the doors through which orders come in.

HOLDING = Layout("""
    pdno=symbol prdt_name=name trad_dvsn_name=cash_trade bfdy_buy_qty=bought_before
    bfdy_sll_qty=sold_before thdt_buyqty=bought thdt_sll_qty=sold hldg_qty=quantity
    ord_psbl_qty=sellable pchs_avg_pric=average pchs_amt=cost prpr=last evlu_amt=value
    evlu_pfls_amt=profit evlu_pfls_rt=profit_rate evlu_erng_rt=0.00000000 loan_dt loan_amt=0
    stln_slng_chgs=0 expd_dt fltt_rt=rate bfdy_cprs_icdc=change item_mgna_rt_name=20%
    grta_rt_name sbst_pric=substitute stck_loan_unpr=0.0000
""")
SUMMARY = Layout("""
    dnca_tot_amt=cash_0 nxdy_excc_amt=cash_1 prvs_rcdl_excc_amt=cash_2 cma_evlu_amt=0
    bfdy_buy_amt=bought_before thdt_buy_amt=bought nxdy_auto_rdpt_amt=0
    bfdy_sll_amt=sold_before thdt_sll_amt=sold d2_auto_rdpt_amt=0 bfdy_tlex_amt=costs_before
    thdt_tlex_amt=costs tot_loan_amt=0 scts_evlu_amt=value tot_evlu_amt=total nass_amt=total
    fncg_gld_auto_rdpt_yn pchs_amt_smtl_amt=cost evlu_amt_smtl_amt=value
    evlu_pfls_smtl_amt=profit tot_stln_slng_chgs=0 bfdy_tot_asst_evlu_amt=total_before
    asst_icdc_amt=growth asst_icdc_erng_rt=0.00000000
""")
PROFIT_SUMMARY = Layout("""
    rlzt_pfls=realized rlzt_erng_rt=realized_rate real_evlu_pfls=profit
    real_evlu_pfls_erng_rt=profit_rate
""")
ASSET_ROW = Layout("""
    pchs_amt=cost evlu_amt=value evlu_pfls_amt=profit crdt_lnd_amt=0 real_nass_amt=value
    whol_weit_rt=weight
""")
ASSET_SUM = Layout("""
    pchs_amt_smtl=cost nass_tot_amt=total loan_amt_smtl=0 evlu_pfls_amt_smtl=profit
    evlu_amt_smtl=value tot_asst_amt=total tot_lnda_tot_ulst_lnda=0 cma_auto_loan_amt=0
    tot_mgln_amt=0 stln_evlu_amt=0 crdt_fncg_amt=0 ocl_apl_loan_amt=0 pldg_stup_amt=0
    frcr_evlu_tota=0 tot_dncl_amt=cash_2 cma_evlu_amt=0 dncl_amt=cash_2 tot_sbst_amt=0
    thdt_rcvb_amt=0 ovrs_stck_evlu_amt1=0 ovrs_bond_evlu_amt=0 mmf_cma_mgge_loan_amt=0
    sbsc_dncl_amt=0 pbst_sbsc_fnds_loan_use_amt=0 etpr_crdt_grnt_loan_amt=0
""")
BUYING_POWER = Layout("""
    ord_psbl_cash=available ord_psbl_sbst=0 ruse_psbl_amt=0 fund_rpch_chgs=0
    psbl_qty_calc_unpr=price nrcvb_buy_amt=amount nrcvb_buy_qty=quantity max_buy_amt=debt_amount
    max_buy_qty=debt_quantity cma_evlu_amt=0 ovrs_re_use_amt_wcrc=0 ord_psbl_frcr_amt_wcrc=0
""")
SELLABLE = Layout("""
    pdno=symbol prdt_name=name buy_qty=bought sll_qty=sold cblc_qty=quantity nsvg_qty=0
    ord_psbl_qty=sellable pchs_avg_pric=average pchs_amt=cost now_pric=last evlu_amt=value
    evlu_pfls_amt=profit evlu_pfls_rt=profit_rate
""")
# captured answers of 2022 to 2025 say cncl_cfrm_qty, the document cnc_cfrm_qty: both are sent
ORDER_ROW = Layout("""
    ord_dt=day ord_gno_brno=branch odno=odno orgn_odno=origin ord_dvsn_name=kind_name
    sll_buy_dvsn_cd=side sll_buy_dvsn_cd_name=side_name rvse_cncl_dvsn_name=action pdno=symbol
    prdt_name=name ord_qty=quantity ord_unpr=price ord_tmd=clock tot_ccld_qty=filled
    avg_prvs=average cncl_yn=is_cancelled ccld_yn=is_filled tot_ccld_amt=amount loan_dt
    ordr_empno=source ord_dvsn_cd=kind cncl_cfrm_qty=cancelled cnc_cfrm_qty=cancelled rmn_qty=rest
    rjct_qty=rejected
    ccld_cndt_name=life inqr_ip_addr=address cpbc_ordp_ord_rcit_dvsn_cd
    cpbc_ordp_infm_mthd_dvsn_cd infm_tmd=fill_clock ctac_tlno prdt_type_cd=300
    excg_dvsn_cd=exchange cpbc_ordp_mtrl_dvsn_cd ord_orgno=branch rsvn_ord_end_dt
    excg_id_dvsn_Cd=KRX stpm_cndt_pric=0 stpm_efct_occr_dtmd
""")
OPEN_ROW = Layout("""
    ord_gno_brno=branch odno=odno orgn_odno=origin ord_dvsn_name=kind_name pdno=symbol
    prdt_name=name rvse_cncl_dvsn_name=action ord_qty=quantity ord_unpr=price ord_tmd=clock
    tot_ccld_qty=filled tot_ccld_amt=amount psbl_qty=rest sll_buy_dvsn_cd=side ord_dvsn_cd=kind
    mgco_aptm_odno excg_dvsn_cd=exchange excg_id_dvsn_cd=KRX excg_id_dvsn_name=KRX
    stpm_cndt_pric=0 stpm_efct_occr_yn
""")
TRADES_PROFIT_ROW = Layout("""
    trad_dt=day pdno=long_code prdt_name=name trad_dvsn_name=cash_trade loan_dt hldg_qty=held
    pchs_unpr=cost_price buy_qty=buy_quantity buy_amt=buy_amount sll_pric=sell_price
    sll_qty=sell_quantity sll_amt=sell_amount rlzt_pfls=net pfls_rt=net_rate fee=fees tl_tax=tax
    loan_int=0
""")
DAY_PROFIT_ROW = Layout("""
    trad_dt=day buy_amt=buy_amount sll_amt=sell_amount rlzt_pfls=net fee=fees loan_int=0
    tl_tax=tax pfls_rt=net_rate sll_qty1=sell_quantity buy_qty1=buy_quantity
""")
PROFIT_SUM = Layout("""
    sll_qty_smtl=sell_quantity sll_tr_amt_smtl=sell_amount sll_fee_smtl=sell_fee
    sll_tltx_smtl=tax sll_excc_amt_smtl=sell_settled buyqty_smtl=buy_quantity
    buy_qty_smtl=buy_quantity buy_tr_amt_smtl=buy_amount buy_fee_smtl=buy_fee buy_tax_smtl=0
    buy_excc_amt_smtl=buy_settled tot_qty=quantity tot_tr_amt=amount tot_fee=fees tot_tltx=tax
    tot_excc_amt=flow tot_rlzt_pfls=net loan_int=0 tot_pftrt=net_rate
""")


def take_page(rows: list[dict[str, Any]], call: Call, size: int, key: str) -> Answer:
    """Return the rows of one page under `output1`, with tr_cont and the two context values.

    `key` is a field that tells rows apart; the last one of a page is where the next one starts.
    """
    mark = call.get("CTX_AREA_NK100") if call.tr_cont == "N" else ""
    keys = [str(row[key]) for row in rows]
    start = (keys.index(mark) + 1 if mark in keys else len(rows)) if mark else 0
    part, more = rows[start : start + size], len(rows) > start + size
    search = "!^".join((call.get("CANO"), call.get("ACNT_PRDT_CD"), call.tr_id))
    follow = keys[start + size - 1] if more else ""
    context = {"ctx_area_fk100": padded(search, 100), "ctx_area_nk100": padded(follow, 100)}
    tr_cont = ("M" if start else "F") if more else ("E" if start else "D")
    return inquiry({**context, "output1": part}, tr_cont, empty=not rows)


class AccountDesk:
    """Inquiries about cash, holdings, orders and profits."""

    def __init__(self, ground: Ground, market: Market, ledger: Ledger) -> None:
        self._config, self._calendar, self._history = ground.config, ground.calendar, ground.history
        self._market, self._ledger = market, ledger
        self._rows: dict[Order, tuple[Any, dict[str, Any], dict[str, Any]]] = {}

    # --- balance --------------------------------------------------------------------

    def balance(self, call: Call) -> Answer:
        """inquire-balance: output1 holdings, output2 one account summary."""
        words = self._holdings(call)
        rows = [HOLDING.fill(word) for word in words]
        answer = take_page(rows, call, 20 if self._config.paper else 50, "pdno")
        answer.payload["output2"] = [SUMMARY.fill(self._summary(words))]
        return answer

    def _holdings(self, call: Call) -> list[dict[str, Any]]:
        self._ledger.show(call.at)
        return [self._holding(symbol) for symbol in self._ledger.shown.positions]

    def _holding(self, symbol: str) -> dict[str, Any]:
        account, tape, today = self._ledger.shown, self._market.tapes[symbol], self._market.day
        position = account.positions[symbol]
        turn = account.turnover.get((today, symbol), Turnover())
        before = account.turnover.get((self._calendar.previous(today), symbol), Turnover())
        cost, value = half_up(position.cost), position.quantity * tape.last
        words = {"symbol": symbol, "cash_trade": "현금", "quantity": position.quantity}
        words |= {"bought": turn.buy_quantity, "sold": turn.sell_quantity}
        words |= {"bought_before": before.buy_quantity, "sold_before": before.sell_quantity}
        words |= {"sellable": max(self._ledger.sellable(symbol, account), 0)}
        words |= {"average": decimals(position.average, 4), "cost": cost, "value": value}
        words |= {"profit": value - cost, "profit_rate": percent(value - cost, cost)}
        return stock_words(tape) | words

    def _summary(self, holdings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        account, today = self._ledger.shown, self._market.day
        yesterday = self._calendar.previous(today)
        value, cost = (sum(row[name] for row in holdings) for name in ("value", "cost"))
        words: dict[str, Any] = {"value": value, "cost": cost, "profit": value - cost}
        for days in range(3):
            words[f"cash_{days}"] = account.cash_on(self._calendar, today, days)
        for suffix, day in (("", today), ("_before", yesterday)):
            words[f"bought{suffix}"] = account.total("buy_amount", day)
            words[f"sold{suffix}"] = account.total("sell_amount", day)
            words[f"costs{suffix}"] = account.total("costs", day)
        held_before = sum(
            (row["quantity"] - row["bought"] + row["sold"]) * row["base"] for row in holdings
        )
        words["total"] = value + words["cash_2"]
        words["total_before"] = held_before + words["cash_2"] - account.total("flow", today)
        words["growth"] = words["total"] - words["total_before"]
        return words

    def balance_with_profit(self, call: Call) -> Answer:
        """inquire-balance-rlz-pl: the balance and the net realised profit of today."""
        answer, account, day = self.balance(call), self._ledger.shown, self._market.day
        words = self._summary(self._holdings(call))
        words["realized"] = half_up(Fraction(account.total("realized", day))) - words["costs"]
        words["realized_rate"] = percent(words["realized"], account.total("cost_sold", day), 8)
        words["profit_rate"] = percent(words["profit"], words["cost"], 8)
        answer.payload["output2"][0] |= PROFIT_SUMMARY.fill(words)
        return answer

    def assets(self, call: Call) -> Answer:
        """inquire-account-balance: 20 asset classes and sums.

        The document prints the containers as Output1 and Output2; the official sample and two
        public clients read output1 and output2, so these are sent (unconfirmed).
        """
        words = self._summary(self._holdings(call))
        total, cash = words["total"], words["cash_2"]
        classes = {0: (words["cost"], words["value"]), 17: (cash, cash), 19: (total, total)}
        rows = []
        for index in range(20):
            cost, value = classes.get(index, (0, 0))
            row = {"cost": cost, "value": value, "profit": value - cost}
            rows.append(ASSET_ROW.fill(row | {"weight": percent(value, total)}))
        return inquiry({"output1": rows, "output2": ASSET_SUM.fill(words)})

    # --- buying power and sellable quantity -----------------------------------------

    def buying_power(self, call: Call) -> Answer:
        """inquire-psbl-order. nrcvb_* is what can be used; max_* counts debt (a trap)."""
        tape, sent = self._market.tapes.get(call.get("PDNO")), call.get("ORD_UNPR")
        available = max(self._ledger.available(), 0)
        etf = tape is not None and tape.listing.etf
        amount = available - fee_of(available, etf)
        price = 0
        if tape is not None:
            limit = KINDS.get(call.get("ORD_DVSN"), KINDS["01"]).pricing == "limit"
            price = int(sent) if limit and sent.isdigit() and int(sent) else tape.band[1]
        words = {
            "available": available,
            "price": price,
            "amount": amount,
            "debt_amount": amount * 2,
        }
        words |= {"quantity": amount // price if price else 0}
        words |= {"debt_quantity": amount * 2 // price if price else 0}
        return inquiry({"output": BUYING_POWER.fill(words)})

    def sellable(self, call: Call) -> Answer:
        """inquire-psbl-sell (real only)."""
        self._ledger.show(call.at)
        if call.get("PDNO") not in self._ledger.shown.positions:
            raise Rejected("KIOK0560", padded("조회할 내용이 없습니다"), "7")
        return inquiry({"output": SELLABLE.fill(self._holding(call.get("PDNO")))})

    # --- orders ---------------------------------------------------------------------

    def daily_orders(self, call: Call) -> Answer:
        """inquire-daily-ccld: orders and fills between two days."""
        first, last = self._span(call)
        visible = [
            o for o in self._ledger.orders if o.list_at <= call.at and first <= o.day <= last
        ]
        listed = [self._listed(o, call.at) for o in visible if self._wanted(o, call)]
        keep = {"01": "filled", "02": "rest"}.get(call.get("CCLD_DVSN"))
        listed = [each for each in listed if keep is None or each[0][keep] > 0]
        if call.get("INQR_DVSN") != "01":
            listed.reverse()
        words, rows = [each[0] for each in listed], [each[1] for each in listed]
        answer = take_page(rows, call, 15 if self._config.paper else 100, "odno")
        orders = [word for word in words if word["role"] != "cancel"]
        quantity, amount = (sum(word[name] for word in orders) for name in ("filled", "amount"))
        answer.payload["output2"] = {
            "tot_ord_qty": sum(word["quantity"] for word in orders),
            "tot_ccld_qty": quantity,
            "tot_ccld_amt": amount,
            "prsm_tlex_smtl": sum(o.fee + o.tax for o in visible),  # ignores the ODNO filter (doc)
            "pchs_avg_pric": decimals(Fraction(amount, quantity or 1), 4),
        }
        if not rows and self._config.paper:
            answer.msg_cd = "70070000"
        return answer

    def _span(self, call: Call) -> tuple[date, date]:
        """Return the first and last day that an inquiry asks for."""
        first, last = (parse_ymd(call.get(name)) for name in ("INQR_STRT_DT", "INQR_END_DT"))
        return first or self._market.day, last or self._market.day

    @staticmethod
    def _wanted(order: Order, call: Call) -> bool:
        number = call.get("ODNO")
        return (
            call.get("SLL_BUY_DVSN_CD") in ("", "00", SIDE_CODE[order.side][0])
            and call.get("PDNO") in ("", order.symbol)
            and (not number or (number.isdigit() and int(number) == order.number))
            and call.get("EXCG_ID_DVSN_CD") != "NXT"
        )

    def _listed(self, order: Order, at: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return words and row of an order in a list; the last ones while nothing changed."""
        fills = sum(fill.list_at <= at for fill in order.fills)
        state = (listed_state(order, at), fills, order.kind, order.price)
        known = self._rows.get(order)
        if known is None or known[0] != state:
            words = self._order_words(order, at)
            known = self._rows[order] = (state, words, as_text(ORDER_ROW.fill(words)))
        return known[1:]

    def _order_words(self, order: Order, at: int) -> dict[str, Any]:
        seen, kind, api = listed_state(order, at), KINDS[order.kind], order.source == "api"
        action = {"cancel": "취소", "modify": "정정", "new": ""}[order.role]
        side, side_name = SIDE_CODE[order.side]
        fills = [fill for fill in order.fills if fill.list_at <= at]
        return seen._asdict() | {
            "day": ymd(order.day),
            "branch": BRANCH[self._config.environment],
            "odno": order.odno,
            "origin": order.origin_odno,
            "role": order.role,
            "action": action,
            "kind": order.kind,
            "kind_name": kind.name,
            "life": {"day": "없음", "ioc": "IOC", "fok": "FOK"}[kind.life],
            "side": side,
            "side_name": side_name + action,
            "symbol": order.symbol,
            "name": order.listing.name,
            "exchange": "02" if order.listing.market == "KOSPI" else "03",
            "price": order.price,
            "clock": hms(order.at),
            "fill_clock": hms(fills[-1].at) if fills else "",
            "average": decimals(Fraction(seen.amount, seen.filled or 1), 4),
            "is_cancelled": "Y" if seen.cancelled and not seen.rest else "N",
            "is_filled": "Y" if seen.filled else "N",
            "source": "OpnAPI" if api else "MTS",
            "address": "127.000.000.001" if api else "010.000.000.009",
        }

    def open_orders(self, call: Call) -> Answer:
        """inquire-psbl-rvsecncl (real only)."""
        side = {"1": "SELL", "2": "BUY"}.get(call.get("INQR_DVSN_2"))
        orders = [o for o in self._ledger.open_orders(side=side) if o.list_at <= call.at]
        rows = [OPEN_ROW.fill(self._order_words(order, call.at)) for order in orders]
        answer = take_page(rows, call, 50, "odno")
        answer.payload["output"] = answer.payload.pop("output1")
        return answer

    # --- profits --------------------------------------------------------------------

    def _turnovers(self, call: Call) -> list[tuple[date, str, Turnover]]:
        first, last = self._span(call)
        rows = [
            (day, symbol, turn)
            for (day, symbol), turn in self._ledger.shown.turnover.items()
            if first <= day <= last and call.get("PDNO") in ("", symbol)
        ]
        return sorted(rows, key=lambda row: row[:2], reverse=call.get("SORT_DVSN") != "01")

    @staticmethod
    def _profit_words(turns: Sequence[Turnover]) -> dict[str, Any]:
        """Return sums over turnovers; `net` is the realised profit after all costs."""
        words: dict[str, Any] = {
            item.name: sum(getattr(turn, item.name) for turn in turns)
            for item in dataclasses.fields(Turnover)
        }
        fees, sold = words["buy_fee"] + words["sell_fee"], words["sell_quantity"] or 1
        net = sum(half_up(turn.realized) - turn.costs for turn in turns)
        words |= {"fees": fees, "net": net, "net_rate": percent(net, words["cost_sold"], 8)}
        words |= {"cost_price": decimals(Fraction(words["cost_sold"]) / sold, 4)}
        words |= {"sell_price": decimals(Fraction(words["sell_amount"], sold), 4)}
        words |= {"sell_settled": words["sell_amount"] - words["sell_fee"] - words["tax"]}
        words |= {"buy_settled": words["buy_amount"] + words["buy_fee"]}
        words |= {"quantity": words["buy_quantity"] + words["sell_quantity"]}
        words |= {"amount": words["buy_amount"] + words["sell_amount"]}
        return words | {"flow": sum(turn.flow for turn in turns)}

    def trades_profit(self, call: Call) -> Answer:
        """inquire-period-trade-profit: realised profit by stock and day, net of all costs."""
        rows = []
        for day, symbol, turn in self._turnovers(call):
            words = self._profit_words([turn]) | {"day": ymd(day), "long_code": f"00000A{symbol}"}
            words |= {"name": self._history.listings[symbol].name, "cash_trade": "현금"}
            words["held"] = self._ledger.shown.held(symbol)
            rows.append(TRADES_PROFIT_ROW.fill(words) | {"page": ymd(day) + symbol})
        return self._profit_answer(call, rows)

    def daily_profit(self, call: Call) -> Answer:
        """inquire-period-profit: the same by day."""
        rows = []
        for day, group in itertools.groupby(self._turnovers(call), key=lambda row: row[0]):
            words = self._profit_words([turn for _, _, turn in group]) | {"day": ymd(day)}
            rows.append(DAY_PROFIT_ROW.fill(words) | {"page": ymd(day)})
        return self._profit_answer(call, rows)

    def _profit_answer(self, call: Call, rows: list[dict[str, Any]]) -> Answer:
        answer = take_page(rows, call, 50, "page")
        for row in answer.payload["output1"]:
            del row["page"]
        turns = [turn for _, _, turn in self._turnovers(call)]
        answer.payload["output2"] = PROFIT_SUM.fill(self._profit_words(turns))
        return answer


PLAIN_KEYS = ("CANO", "ACNT_PRDT_CD", "PDNO", "ORD_DVSN", "ORD_QTY", "ORD_UNPR")
ORDER_KEYS = (*PLAIN_KEYS, "EXCG_ID_DVSN_CD", "SLL_TYPE", "CNDT_PRIC")
OLD_KEYS = ("CTAC_TLNO", "SLL_TYPE", "ALGO_NO")  # sent by the first official sample, 2022
CHANGE_KEYS = (
    *("CANO", "ACNT_PRDT_CD", "KRX_FWDG_ORD_ORGNO", "ORGN_ODNO", "ORD_DVSN"),
    *("RVSE_CNCL_DVSN_CD", "ORD_QTY", "ORD_UNPR", "QTY_ALL_ORD_YN"),
)
OLD_TRS = _texts("""
TTTC0802U TTTC0012U
TTTC0801U TTTC0011U
TTTC0803U TTTC0013U
TTTC8036R TTTC0084R
TTTC8001R TTTC0081R
CTSC9115R CTSC9215R
VTTC0802U VTTC0012U
VTTC0801U VTTC0011U
VTTC0803U VTTC0013U
VTTC8001R VTTC0081R
VTSC9115R VTSC9215R
""")  # old id -> current id (doc); the old ones know six keys of an order
BUY_TRS = ("TTTC0012U", "VTTC0012U")


class BadBody(Exception):
    """An order body from which the broker cannot build its message: IGW00007."""


class OrderDesk:
    """order-cash and order-rvsecncl."""

    REAL = ("APBK0013", "주문 전송 완료 되었습니다.")
    PAPER: ClassVar = {  # (measured) but for modify, which is invented
        "BUY": ("40600000", "모의투자 매수주문이 완료 되었습니다."),
        "SELL": ("40590000", "모의투자 매도주문이 완료 되었습니다."),
        "cancel": ("40630000", "모의투자 취소주문이 완료 되었습니다."),
        "modify": ("40620000", "모의투자 정정주문이 완료 되었습니다."),
    }

    def __init__(self, ground: Ground, exchange: Exchange) -> None:
        self._config, self._exchange = ground.config, exchange

    def _read(self, call: Call, needed: Sequence[str], optional: Sequence[str]) -> dict[str, str]:
        """Return the body when the broker could build its message from it; else raise BadBody."""
        body = call.body
        wrong = [key for key in needed if key not in body]
        wrong += [key for key in body if key not in needed and key not in optional]
        wrong += [key for key, value in body.items() if not isinstance(value, str)]
        wrong += [key for key in ("ORD_QTY", "ORD_UNPR") if not str(body.get(key)).isdigit()]
        if wrong:
            raise BadBody(", ".join(wrong))
        venue = body.get("EXCG_ID_DVSN_CD") or "KRX"  # left out = KRX (doc)
        if venue not in (("KRX",) if self._config.paper else ("KRX", "SOR")):
            raise self._refusal("exchange")
        return {key: value.strip() for key, value in body.items()}

    def _refusal(self, name: str) -> Rejected:
        real, paper, text = REFUSALS[name]
        if self._config.paper:
            return Rejected(paper, f"모의투자 {text}")
        return Rejected(real, text, "7")

    def place(self, call: Call) -> Answer:
        """order-cash.

        Which keys a current TR id can do without is measured for one only: sells without
        CNDT_PRIC were refused while buys passed (2026-08-11). That EXCG_ID_DVSN_CD may be left
        out is documented (KRX then), that SLL_TYPE may be is unconfirmed.
        """
        current = OLD_TRS.get(call.tr_id, call.tr_id)
        side = "BUY" if current in BUY_TRS else "SELL"
        needed: tuple[str, ...] = PLAIN_KEYS
        if call.tr_id == current and self._config.strict_order_body:
            needed = ORDER_KEYS
        elif call.tr_id == current and side == "SELL":
            needed = (*PLAIN_KEYS, "CNDT_PRIC")
        allowed = ORDER_KEYS if call.tr_id == current else (*ORDER_KEYS, *OLD_KEYS)
        body = self._read(call, needed, allowed)
        quantity, price = int(body["ORD_QTY"]), int(body["ORD_UNPR"])
        ticket = Ticket(body["PDNO"], side, body["ORD_DVSN"], quantity, price)
        return self._answer(self._exchange.place(ticket, call.at), side)

    def change(self, call: Call) -> Answer:
        """order-rvsecncl: modify or cancel. What other codes are answered is unconfirmed."""
        body = self._read(call, CHANGE_KEYS, ("EXCG_ID_DVSN_CD", "CNDT_PRIC"))
        if body["RVSE_CNCL_DVSN_CD"] not in ("01", "02") or body["QTY_ALL_ORD_YN"] not in (
            "Y",
            "N",
        ):
            raise BadBody("RVSE_CNCL_DVSN_CD or QTY_ALL_ORD_YN")
        cancel, everything = body["RVSE_CNCL_DVSN_CD"] == "02", body["QTY_ALL_ORD_YN"] == "Y"
        quantity, price = int(body["ORD_QTY"]), int(body["ORD_UNPR"])
        wanted = Change(body["ORGN_ODNO"], cancel, everything, quantity, body["ORD_DVSN"], price)
        return self._answer(
            self._exchange.change(wanted, call.at), "cancel" if cancel else "modify"
        )

    def _answer(self, result: Order | str, what: str) -> Answer:
        if isinstance(result, str):
            raise self._refusal(result)
        branch = BRANCH[self._config.environment]
        output = {"KRX_FWDG_ORD_ORGNO": branch, "ODNO": result.odno, "ORD_TMD": hms(result.at)}
        return Answer({"output": output}, *(self.PAPER[what] if self._config.paper else self.REAL))


# =====================================================================================
# === 15. GATEWAY AND SIMULATOR ========================================================
# =====================================================================================
# Tokens, limits and checks in front of the desks; then everything put together.


class Endpoint(NamedTuple):
    """One REST service: its TR ids per host, its handler and the query fields it insists on."""

    method: str
    handler: str  # desk.method
    real: tuple[str, ...]
    paper: tuple[str, ...]
    fields: tuple[str, ...]


# path | handler | TR ids real | TR ids paper ("=" the same, empty: not offered) | needed fields
_SERVICES = """
quotations/inquire-price|quotes.price|FHKST01010100|=|STOCK
quotations/inquire-price-2|quotes.price_2|FHPST01010000||STOCK
quotations/inquire-asking-price-exp-ccn|quotes.book|FHKST01010200|=|STOCK
quotations/inquire-ccnl|quotes.last_trades|FHKST01010300|=|STOCK
quotations/inquire-time-itemconclusion|quotes.trades_by_time|FHPST01060000|=|STOCK FID_INPUT_HOUR_1
quotations/inquire-daily-price|quotes.daily_short|FHKST01010400|=|STOCK PERIOD
quotations/inquire-daily-itemchartprice|quotes.daily_chart|FHKST03010100|=|STOCK SPAN PERIOD
quotations/inquire-time-itemchartprice|quotes.minutes_today|FHKST03010200|=|MINUTES FID_ETC_CLS_CODE
quotations/inquire-time-dailychartprice|quotes.minutes_past|FHKST03010230|=|MINUTES FID_INPUT_DATE_1
quotations/inquire-investor|flows.investors|FHKST01010900|=|STOCK
quotations/inquire-member|flows.brokers|FHKST01010600|=|STOCK
quotations/inquire-time-overtimeconclusion|flows.overtime_trades|FHPST02310000|=|STOCK
quotations/inquire-daily-overtimeprice|flows.overtime_days|FHPST02320000|=|STOCK
quotations/inquire-index-price|indexes.price|FHPUP02100000||STOCK
quotations/inquire-daily-indexchartprice|indexes.daily|FHKUP03500100|=|STOCK SPAN INDEX_PERIOD
quotations/inquire-time-indexchartprice|indexes.minutes|FHKUP03500200||STOCK FID_INPUT_HOUR_1
quotations/volume-rank|lists.volume_rank|FHPST01710000||FID_COND_MRKT_DIV_CODE
ranking/fluctuation|lists.fluctuation|FHPST01700000||FID_COND_MRKT_DIV_CODE
ranking/market-cap|lists.market_cap|FHPST01740000||FID_COND_MRKT_DIV_CODE
quotations/chk-holiday|lists.holidays|CTCA0903R||BASS_DT
quotations/search-stock-info|lists.stock_info|CTPF1002R||PRDT_TYPE_CD PDNO
quotations/search-info|lists.search_info|CTPF1604R||PRDT_TYPE_CD PDNO
quotations/inquire-vi-status|lists.vi_status|FHPST01390000||
quotations/intstock-multprice|lists.many_prices|FHKST11300006||FID_INPUT_ISCD_1
/uapi/overseas-price/v1/quotations/price|lists.overseas_price|HHDFS00000300|=|EXCD SYMB
/uapi/overseas-price/v1/quotations/dailyprice|lists.overseas_daily|HHDFS76240000|=|EXCD SYMB
/uapi/overseas-price/v1/quotations/price-detail|lists.overseas_detail|HHDFS76200200||EXCD SYMB
{US}dayornight|lists.day_or_night|JTTT3010R||
{US}inquire-balance|lists.overseas_nothing|TTTS3012R|VTTS3012R|ACCOUNT
{US}inquire-ccnl|lists.overseas_nothing|TTTS3035R|VTTS3035R|ACCOUNT
{US}inquire-nccs|lists.overseas_nothing|TTTS3018R||ACCOUNT
{US}inquire-present-balance|lists.overseas_nothing|CTRP6504R|VTRP6504R|ACCOUNT
{US}inquire-period-profit|lists.overseas_nothing|TTTS3039R||ACCOUNT
trading/order-cash|orders.place|TTTC0012U TTTC0011U|VTTC0012U VTTC0011U|
trading/order-rvsecncl|orders.change|TTTC0013U|VTTC0013U|
trading/inquire-psbl-rvsecncl|account.open_orders|TTTC0084R||ACCOUNT PAGES INQR_DVSN_1 INQR_DVSN_2
trading/inquire-psbl-order|account.buying_power|TTTC8908R|VTTC8908R|ACCOUNT PDNO POWER
trading/inquire-psbl-sell|account.sellable|TTTC8408R||ACCOUNT PDNO
trading/inquire-daily-ccld|account.daily_orders|TTTC0081R CTSC9215R|VTTC0081R VTSC9215R|ORDERS PAGES
trading/inquire-balance|account.balance|TTTC8434R|VTTC8434R|ACCOUNT BALANCE PAGES
trading/inquire-balance-rlz-pl|account.balance_with_profit|TTTC8494R||ACCOUNT BALANCE PAGES
trading/inquire-account-balance|account.assets|CTRP6548R||ACCOUNT
trading/inquire-period-trade-profit|account.trades_profit|TTTC8715R||ACCOUNT DAYS
trading/inquire-period-profit|account.daily_profit|TTTC8708R||ACCOUNT DAYS
""".replace("{US}", "/uapi/overseas-stock/v1/trading/")
_FIELD_GROUPS = {
    "STOCK": "FID_COND_MRKT_DIV_CODE FID_INPUT_ISCD",
    "PERIOD": "FID_PERIOD_DIV_CODE FID_ORG_ADJ_PRC",
    "INDEX_PERIOD": "FID_PERIOD_DIV_CODE",
    "SPAN": "FID_INPUT_DATE_1 FID_INPUT_DATE_2",
    "MINUTES": "FID_COND_MRKT_DIV_CODE FID_INPUT_ISCD FID_INPUT_HOUR_1 FID_PW_DATA_INCU_YN",
    "ACCOUNT": "CANO ACNT_PRDT_CD",
    "PAGES": "CTX_AREA_FK100 CTX_AREA_NK100",
    "DAYS": "INQR_STRT_DT INQR_END_DT",
    "POWER": "ORD_UNPR ORD_DVSN CMA_EVLU_AMT_ICLD_YN OVRS_ICLD_YN",
    "ORDERS": "CANO ACNT_PRDT_CD INQR_STRT_DT INQR_END_DT SLL_BUY_DVSN_CD INQR_DVSN PDNO CCLD_DVSN "
    "ORD_GNO_BRNO ODNO INQR_DVSN_3 INQR_DVSN_1",
    "BALANCE": "AFHR_FLPR_YN OFL_YN INQR_DVSN UNPR_DVSN FUND_STTL_ICLD_YN FNCG_AMT_AUTO_RDPT_YN "
    "PRCS_DVSN",
}


def _read_service(line: str) -> tuple[str, Endpoint]:
    path, handler, real, paper, fields = line.split("|")
    if not path.startswith("/"):
        path = f"/uapi/domestic-stock/v1/{path}"
    names = " ".join(_FIELD_GROUPS.get(name, name) for name in fields.split()).split()
    ours = tuple(real.split())
    method = "POST" if handler.startswith("orders") else "GET"
    theirs = ours if paper == "=" else tuple(paper.split())
    return path, Endpoint(method, handler, ours, theirs, tuple(names))


ENDPOINTS = dict(map(_read_service, _SERVICES.strip().split("\n")))
_TRADING = "/uapi/domestic-stock/v1/trading/"
# Buying power asked on the path of the daily orders: the first official sample did so (2022) and
# clients copied it, so the host seems to go by the TR id. Whether it still does is unconfirmed.
DETOURS = {
    (f"{_TRADING}inquire-daily-ccld", tr_id): f"{_TRADING}inquire-psbl-order"
    for tr_id in ("TTTC8908R", "VTTC8908R")
}


class Request(NamedTuple):
    """One HTTP request: header names in lower case, query names in upper case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    sent: Mapping[str, Any]  # the JSON body
    at: int
    pace_s: float


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer. `delay_s` is transport time; `fate` says whether it arrives at all."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    delay_s: float = 0.0
    fate: str = "answer"  # or reset_before, reset_after, hang

    def json(self) -> Any:
        """Return the parsed body."""
        return json.loads(self.body)


class Failure(Exception):
    """A refusal of the gateway itself; becomes an HTTP error."""

    def __init__(self, code: str, status: int = 500, text: str | None = None) -> None:
        super().__init__(code)
        self.code, self.status = code, status
        self.text = GATEWAY_TEXT.get(code, "오류가 발생하였습니다.") if text is None else text


@dataclass(slots=True)
class Token:
    """One access token and its life."""

    text: str
    issued: int
    expires: int
    dead: str = ""  # code with which it is refused


class TokenDesk:
    """OAuth: tokens, approval keys, hash keys. Refusals carry error_code, not rt_cd."""

    HOUR = 3_600_000

    def __init__(self, ground: Ground, hub: Hub) -> None:
        self._config, self._who, self._dice, self._hub = ground.config, ground.who, ground.dice, hub
        self.tokens: dict[str, Token] = {}
        self._asked_s: float | None = None
        self._count = 0

    def serve(self, request: Request) -> dict[str, Any]:
        """Answer a call under /oauth2 or the hash key service."""
        table: dict[str, Callable[[Request], dict[str, Any]]] = {
            "/oauth2/tokenP": self._token,
            "/oauth2/revokeP": self._revoke,
            "/oauth2/Approval": self._approval,
            "/uapi/hashkey": self._hashkey,
        }
        if request.method != "POST" or request.path not in table:
            raise Failure("MCA00124")
        return table[request.path](request)

    def check_keys(self, app_key: Any, secret: Any, oauth: bool = False) -> None:
        """Raise Failure unless key and secret belong to this host."""
        ours, status = self._who.active(self._config.environment), 403 if oauth else 500
        foreign = self._who.active("real" if self._config.paper else "paper")[0]
        if not app_key:
            raise Failure("EGW00102", status)
        if app_key == foreign:
            raise Failure("EGW02007" if self._config.paper else "EGW02004")
        if app_key != ours[0]:
            raise Failure("EGW00103", status)
        if secret != ours[1]:
            raise Failure("EGW00105" if oauth else "EGW00304", status)

    def _check_grant(self, request: Request, secret: str) -> None:
        grant = request.sent.get("grant_type")
        if grant != "client_credentials":
            raise Failure("EGW00116" if grant else "EGW00115", 403)
        self.check_keys(request.sent.get("appkey"), request.sent.get(secret), oauth=True)

    def _token(self, request: Request) -> dict[str, Any]:
        """tokenP: the same token within 6 hours, one issue a minute."""
        self._check_grant(request, "appsecret")
        if self._asked_s is not None and request.pace_s < self._asked_s + 60:
            raise Failure("EGW00133", 403)
        self._asked_s = request.pace_s
        token = self.issue(request.at)
        shown = to_moment(token.expires + round((self._config.expiry_shift_s or 0) * 1000))
        return {
            "access_token": token.text,
            "access_token_token_expired": f"{shown:%Y-%m-%d %H:%M:%S}",
            "token_type": "Bearer",
            "expires_in": 86400,
        }

    def issue(self, now: int, fresh: bool = False) -> Token:
        """Return the token of the last 6 hours, or a new one that replaces it."""
        for token in reversed(self.tokens.values()):
            if not fresh and not token.dead and now < token.issued + 6 * self.HOUR:
                return token
            token.dead = token.dead or "EGW00121"
        self._count += 1
        aud = self._dice.text(64, LETTERS, "aud", self._count, now)
        claims = {"sub": "token", "aud": aud, "iat": now, "jti": self._app_key}
        text = self._signed(base64.urlsafe_b64encode(to_json(claims)).decode().rstrip("="))
        return self._keep(text, now)

    @property
    def _app_key(self) -> str:
        return self._who.active(self._config.environment)[0]

    def _keep(self, text: str, issued: int) -> Token:
        self.tokens[text] = Token(text, issued, issued + 24 * self.HOUR)
        return self.tokens[text]

    def _signed(self, claims: str) -> str:
        """Return a JWT of about 350 characters (measured); its content is invented."""
        signature = self._dice.text(86, LETTERS + "-_", "jwt", claims)
        return f"eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9.{claims}.{signature}"

    def _recall(self, text: str) -> Token | None:
        """Return a token that a server of this seed gave before it was started again.

        Public clients keep tokens on disk and trust them for a day; the real server does not
        forget them. What was revoked before the start is alive again.
        """
        claims = text.split(".")[1] if text.count(".") == 2 else ""
        if not claims or text != self._signed(claims):
            return None
        told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        return self._keep(text, told["iat"]) if told["jti"] == self._app_key else None

    def _revoke(self, request: Request) -> dict[str, Any]:
        self.check_keys(request.sent.get("appkey"), request.sent.get("appsecret"), oauth=True)
        token = self.tokens.get(str(request.sent.get("token", "")))
        if token is not None:
            token.dead = "EGW00121"
        return {"code": 200, "message": "접근토큰 폐기에 성공하였습니다"}

    def _approval(self, request: Request) -> dict[str, Any]:
        """Approval: a key for registrations, 24 hours. The secret is called secretkey here."""
        self._check_grant(request, "secretkey")
        self._count += 1
        digits = self._dice.text(32, "0123456789abcdef", "approval", self._count, request.at)
        key = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        self._hub.approvals[key] = (request.sent["appkey"], request.at + 24 * self.HOUR)
        return {"approval_key": key}

    def _hashkey(self, request: Request) -> dict[str, Any]:
        self.check_keys(request.headers.get("appkey"), request.headers.get("appsecret"))
        return {"BODY": request.sent, "HASH": self.hash_of(request.sent)}

    @staticmethod
    def hash_of(body: Mapping[str, Any]) -> str:
        """Return the hash key of an order body."""
        return hashlib.sha256(json.dumps(body, ensure_ascii=False).encode()).hexdigest()

    def check_bearer(self, header: str, now: int) -> None:
        """Raise Failure unless the authorization header carries a living token."""
        if not header.startswith("Bearer "):
            raise Failure("EGW00205")
        text = header.removeprefix("Bearer ").strip()
        token = self.tokens.get(text) or self._recall(text)
        if token is None:
            raise Failure("EGW00121" if text else "EGW00122")
        if token.dead or token.expires <= now:
            raise Failure(token.dead or "EGW00123")


class Gateway:
    """The front of the REST server: faults, checks, dispatch, envelope."""

    def __init__(self, ground: Ground, desks: Mapping[str, Any], tokens: TokenDesk) -> None:
        self._config, self._who, self._faults = ground.config, ground.who, ground.faults
        self._rng = ground.dice.stream("gateway")
        self._desks, self._tokens = desks, tokens
        self.counts: dict[str, int] = {}
        self._recent: deque[float] = deque()
        self.early_receipt = False  # of the order being served
        self._served = 0
        self._first_pages: dict[str, Reply] = {}
        self._last_bodies: dict[tuple[str | None, ...], tuple[Answer, bytes]] = {}

    def serve(self, request: Request) -> Reply:
        """Serve one request, through the faults before and after execution."""
        self.counts[request.path] = self.counts.get(request.path, 0) + 1
        self._served += 1
        facts = self._facts(request)
        for effect in self._faults.fire("request", **facts):
            spoiled = self._before(effect, request)
            if spoiled is not None:
                return spoiled
        self.early_receipt = self._rng.random() < self._config.early_notice_share
        reply = self._execute(request)
        if facts["kind"] == "order" and self.early_receipt and reply.status == 200:
            reply = replace(reply, delay_s=self._config.early_notice_delay_s)
        for effect in self._faults.fire("answer", **facts):
            reply = self._after(effect, reply, request.path)
        return reply

    @staticmethod
    def _facts(request: Request) -> dict[str, str]:
        """Return what fault rules may ask about a request."""
        path, sent, query = request.path, request.sent, request.query
        tr_id = request.headers.get("tr_id", "")
        kind = "account" if "/trading/" in path else "quotation"
        if path.startswith("/oauth2"):
            kind = "oauth"
        elif path.endswith("order-cash"):
            kind = "order"
        elif path.endswith("order-rvsecncl"):
            kind = "cancel" if sent.get("RVSE_CNCL_DVSN_CD") == "02" else "modify"
        side = "BUY" if OLD_TRS.get(tr_id, tr_id) in BUY_TRS else "SELL" if kind == "order" else ""
        symbol = str(sent.get("PDNO") or query.get("PDNO") or query.get("FID_INPUT_ISCD") or "")
        return {"path": path, "tr_id": tr_id, "kind": kind, "symbol": symbol, "side": side}

    def _execute(self, request: Request) -> Reply:
        try:
            if request.path.startswith("/oauth2/") or request.path == "/uapi/hashkey":
                return self._reply(request, 200, self._tokens.serve(request))
            answer = self._data(request)
        except Rejected as error:
            body = {"rt_cd": error.rt_cd, "msg_cd": error.msg_cd, "msg1": error.msg1}
            return self._reply(request, 200, body)
        except BadBody:
            return self._failed(request, Failure("IGW00007"))
        except Failure as error:
            return self._failed(request, error)
        return Reply(200, self._headers(request, answer.tr_cont), self._body_of(request, answer))

    def _body_of(self, request: Request, answer: Answer) -> bytes:
        """Return an answer as bytes; the same ones while the answer stays the same."""
        what = (request.path, *map(request.query.get, ("PDNO", "FID_INPUT_ISCD")))
        known = self._last_bodies.get(what)
        if known is None or known[0] != answer:
            envelope = {"rt_cd": "0", "msg_cd": answer.msg_cd, "msg1": answer.msg1}
            known = (answer, to_json(as_text(answer.payload) | envelope))
            self._last_bodies[what] = known
        return known[1]

    def _reply(
        self, request: Request, status: int, payload: Mapping[str, Any], tr_cont: str = ""
    ) -> Reply:
        return Reply(status, self._headers(request, tr_cont), to_json(payload))

    def _headers(self, request: Request, tr_cont: str) -> dict[str, str]:
        return {
            "Content-Type": "application/json; charset=utf-8",
            "tr_id": request.headers.get("tr_id", ""),
            "tr_cont": tr_cont,
            "gt_uid": f"SIM{self._served:029d}",
        }

    def _failed(self, request: Request, error: Failure) -> Reply:
        if error.status == 403:
            body = {"error_code": error.code, "error_description": error.text}
        else:
            body = {"rt_cd": "1", "msg_cd": error.code, "msg1": error.text}
        return self._reply(request, error.status, body)

    # --- checks ---------------------------------------------------------------------

    def _data(self, request: Request) -> Answer:
        """Check one data call and serve it. The order of the checks is unconfirmed."""
        headers, sent = request.headers, request.sent
        tr_id = headers.get("tr_id", "").strip()
        endpoint = ENDPOINTS.get(DETOURS.get((request.path, tr_id), request.path))
        if endpoint is None or endpoint.method != request.method:
            raise Failure("MCA00124")
        self._tokens.check_keys(headers.get("appkey"), headers.get("appsecret"))
        self._tokens.check_bearer(headers.get("authorization", ""), request.at)
        self._check_pace(request.pace_s)
        self._check_tr(endpoint, tr_id)
        if request.method == "POST" and not sent:
            raise Failure("IGW00007")
        if headers.get("hashkey") and headers["hashkey"] != self._tokens.hash_of(sent):
            raise Failure("EGW00131")
        missing = [name for name in endpoint.fields if name not in request.query]
        if missing:
            raise Rejected("OPSQ2001", f"ERROR : INPUT FIELD NOT FOUND [{missing[0]}]", "2")
        self._check_account(request.query if request.method == "GET" else sent)
        tr_cont = headers.get("tr_cont", "").strip()
        call = Call(request.path, tr_id, request.query, sent, tr_cont, request.at)
        desk, _, handler = endpoint.handler.partition(".")
        answer: Answer = getattr(self._desks[desk], handler)(call)
        return answer

    def _check_pace(self, pace_s: float) -> None:
        """Count calls over a sliding second; a refused call is not counted (unconfirmed)."""
        while self._recent and self._recent[0] <= pace_s - 1.0 + 1e-9:
            self._recent.popleft()
        if len(self._recent) >= self._config.limit:
            raise Failure("EGW00201")
        self._recent.append(pace_s)

    def _check_tr(self, endpoint: Endpoint, tr_id: str) -> None:
        """Refuse a TR id that is not of this service and host.

        Clients make paper ids by a V in the first place. Where no paper service exists the id is
        unknown, too: OPSQ0002, seen twice for VTTC0084R (2026-06-12 and later); the HTTP status
        was not noted, 200 as of the other OPSQ codes is unconfirmed.
        """
        current = OLD_TRS.get(tr_id, tr_id) if self._config.accept_old_tr_ids else tr_id
        ours, other = endpoint.real, endpoint.paper
        if self._config.paper:
            ours, other = other, ours
            if tr_id == "FHKST03010230" and not self._config.past_minutes_on_paper:
                ours = ()
        if current in ours:
            return
        if current in other:
            raise Failure("EGW02006" if self._config.paper else "EGW02005")
        made = {f"V{name[1:]}" for name in (*other, *OLD_TRS) if OLD_TRS.get(name, name) in other}
        if self._config.paper and not ours and tr_id in made:
            raise Rejected("OPSQ0002", "없는 서비스 코드 입니다")
        raise Failure("EGW00310")

    def _check_account(self, source: Mapping[str, Any]) -> None:
        account = [self._who.active(self._config.environment)[2], self._who.product]
        names = [name for name in ("CANO", "ACNT_PRDT_CD") if name in source]
        if len(names) == 2 and [str(source[name]).strip() for name in names] != account:
            raise Failure("IGW00002")

    # --- faults ---------------------------------------------------------------------

    def _before(self, effect: Mapping[str, Any], request: Request) -> Reply | None:
        """Apply an effect that comes before execution; a Reply ends the request."""
        if effect["do"] == "token":
            text = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
            if text in self._tokens.tokens:
                self._tokens.tokens[text].dead = str(effect.get("code", "EGW00123"))
            return None
        if effect["do"] == "stale_balance":
            until = request.at + round(float(effect.get("seconds", 60)) * 1000)
            self._desks["ledger"].frozen_until = until
            return None
        if effect["do"] == "lose":
            return Reply(0, {}, b"", fate="hang" if effect.get("how") == "hang" else "reset_before")
        return self._instead(effect, request)

    def _instead(self, effect: Mapping[str, Any], request: Request) -> Reply:
        """Return the answer of an `error` or `html` effect."""
        if effect["do"] == "html":
            body = (
                b"<html><head><title>Error</title></head><body><h1>Bad Gateway</h1></body></html>"
            )
            return Reply(int(effect.get("status", 502)), {"Content-Type": "text/html"}, body)
        code = str(effect.get("code", "EGW00002"))
        status = int(effect.get("status", 403 if code == "EGW00133" else 500))
        return self._failed(request, Failure(code, status, effect.get("text")))

    def _after(self, effect: Mapping[str, Any], reply: Reply, path: str) -> Reply:
        """Apply an effect to an answer whose request was executed."""
        name = effect["do"]
        if name == "lose":
            return replace(reply, fate="hang" if effect.get("how") == "hang" else "reset_after")
        if name in ("error", "html"):
            request = Request("", path, {}, {"tr_id": reply.headers.get("tr_id", "")}, {}, 0, 0.0)
            return self._instead(effect, request)
        if name == "delay":
            return replace(reply, delay_s=reply.delay_s + float(effect.get("seconds", 1)))
        if name == "garble":
            return replace(reply, body=garble_body(reply.body, str(effect.get("how", "truncate"))))
        if name == "repeat_page":
            first = self._first_pages.setdefault(path, reply)
            return replace(first, headers={**first.headers, "tr_cont": "M"})
        return replace(reply, body=to_json(edit_payload(read_json(reply.body), effect)))


_TO_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_json(payload: Mapping[str, Any]) -> bytes:
    """Return an answer as bytes."""
    return _TO_JSON(payload).encode()


def read_json(body: bytes) -> dict[str, Any]:
    """Return the object in a body, empty when there is none."""
    try:
        value = json.loads(body) if body else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def garble_body(body: bytes, how: str) -> bytes:
    """Damage a body: truncate, text, unquoted (a key without quotes), empty, charset."""
    if how == "unquoted":
        return body.replace(b'"msg_cd"', b"msg_cd", 1)
    if how == "charset":
        return body.decode().encode("euc-kr", "replace")
    return {"text": b"Service Unavailable", "empty": b""}.get(how, body[: len(body) * 2 // 3])


ODNO_STYLES: dict[str, Callable[[str], str]] = {
    "empty": lambda number: "",
    "blank": lambda number: number.lstrip("0").rjust(10),
    "short": lambda number: number.lstrip("0"),
}


def edit_payload(value: Any, effect: Mapping[str, Any]) -> Any:
    """Apply empty, odno, set and drop to a parsed answer, at any depth."""
    if isinstance(value, list):
        return [] if effect["do"] == "empty" else [edit_payload(item, effect) for item in value]
    if not isinstance(value, dict):
        return value
    edited: dict[str, Any] = {}
    for key, item in value.items():
        name, style = key, str(effect.get("style", "empty"))
        if effect["do"] == "odno" and key.upper() == "ODNO":
            if style == "missing":
                continue
            name = key.lower() if style == "lower" else key
            item = ODNO_STYLES[style](str(item)) if style in ODNO_STYLES else item
        elif key == effect.get("field"):
            if effect["do"] == "drop":
                continue
            item = effect.get("value", "")
        edited[name] = edit_payload(item, effect)
    return edited


class Simulator:
    """The whole server without sockets: time, requests and text in; replies and frames out."""

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        self.config = config = config or SimulatorConfig()
        self.credentials = Credentials.from_seed(config.seed)
        dice, agenda, calendar = Dice(config.seed), Agenda(), Calendar(config.extra_holidays)
        self.faults = FaultBook(dice.stream("faults"), lambda: agenda.now)
        listings = {code: _listing(code, dice) for code in config.symbols}
        history = History(dice, listings, calendar, config.bars)
        for code in config.bars:
            if code in listings:
                history.anchor(code, config.day)
        ground = Ground(config, self.credentials, dice, calendar, history, agenda, self.faults)
        self._ground, self._agenda = ground, agenda
        self._market, self._ledger = Market(ground), Ledger(ground)
        self._exchange = Exchange(ground, self._market, self._ledger)
        self._hub = Hub(ground)
        self._tokens = TokenDesk(ground, self._hub)
        desks = {
            "quotes": Quotations(ground, self._market),
            "flows": Flows(ground, self._market),
            "indexes": Indexes(ground, self._market),
            "lists": Lists(ground, self._market),
            "account": AccountDesk(ground, self._market, self._ledger),
            "orders": OrderDesk(ground, self._exchange),
            "ledger": self._ledger,
        }
        self._gateway = Gateway(ground, desks, self._tokens)
        self._pace_s, self._serving = 0.0, False
        self._exchange.tell, self._hub.watch = self._tell, self._watch
        self._market.listeners = [self._exchange, self._hub]
        for rule in config.faults:
            self.faults.add(rule)
        agenda.now = midnight_ms(config.day)
        self._midnight = midnight_ms(config.day + timedelta(days=1))  # the next one
        self._next = (0, to_moment(0))  # the last answer of next_event
        self._market.start_day(config.day)

    def _watch(self, symbol: str, on: bool) -> None:
        if symbol in self._market.tapes:
            self._market.tapes[symbol].watched = on

    def _tell(self, at: int, happening: Happening) -> None:
        early = self._serving and self._gateway.early_receipt and happening.what == "received"
        self._hub.notify(at, happening, early)

    # --- time -----------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """Return the market time of the last advance."""
        return to_moment(self._agenda.now)

    def advance(self, now: datetime, mono: float = 0.0, pace_s: float | None = None) -> None:
        """Run the market up to `now` (aware). Time never runs backwards.

        `mono`: seconds on a monotonic clock, for PINGPONG and dead sessions only.
        `pace_s`: clock of the request limits; default is market time. A shell whose market stands
        still hands in a clock that moves.
        """
        at = max(to_ms(now), self._agenda.now)
        self._pace_s = at / 1000 if pace_s is None else pace_s
        while at >= self._midnight:
            follow = self._market.day + timedelta(days=1)
            self._agenda.run(self._midnight)
            self._ledger.start_day(follow)
            self._market.start_day(follow)
            self._midnight = midnight_ms(follow + timedelta(days=1))
        self._agenda.run(at)
        self._hub.tick(mono)

    def next_event(self) -> datetime:
        """Return the market time of the next thing that will happen, at the latest midnight."""
        at = min(self._agenda.next_at() or self._midnight, self._midnight)
        if at != self._next[0]:
            self._next = (at, to_moment(at))
        return self._next[1]

    def next_tick(self) -> float:
        """Return the `mono` from which on a session needs an advance, whatever the market does."""
        return self._hub.next_tick()

    # --- the server -----------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> Reply:
        """Answer one HTTP request at the time of the last advance."""
        path = f"/{path.lstrip('/')}"  # one public client sends //uapi/...
        if path.startswith("/simulator/"):
            return self._admin(method, path.removeprefix("/simulator/"), params, body)
        query = {key.upper(): value for key, value in params.items()}
        names = {key.lower(): value for key, value in headers.items()}
        sent, now = read_json(body), self._agenda.now
        self._serving = True
        try:
            return self._gateway.serve(Request(method, path, query, names, sent, now, self._pace_s))
        finally:
            self._serving = False

    def connect(self) -> Session:
        """Open a WebSocket session."""
        return self._hub.connect()

    @property
    def sessions(self) -> list[Session]:
        """Return the open WebSocket sessions."""
        return self._hub.sessions

    def books(self) -> dict[str, Any]:
        """Return the truth: cash, positions, orders, fills, counters. Won and shares are ints."""
        account, orders = self._ledger.truth, self._ledger.orders
        fees = account.total("buy_fee") + account.total("sell_fee")
        taxes, gross = account.total("tax"), half_up(Fraction(account.total("realized")))
        return {
            "market_time": self.now.isoformat(),
            "cash_krw": account.cash,
            "initial_cash_krw": account.initial,
            "transfers_krw": account.transfers,
            "fees_krw": fees,
            "taxes_krw": taxes,
            "realized_pnl_gross_krw": gross,
            "realized_pnl_net_krw": gross - fees - taxes,
            "positions": {
                symbol: position.truth()
                for symbol, position in account.positions.items()
                if position.quantity
            },
            "orders": [order.truth() for order in orders if order.role != "cancel"],
            "fills": [fill.truth() for fill in self._ledger.fills],
            "order_count": sum(o.role == "new" and o.source == "api" for o in orders),
            "fill_count": len(self._ledger.fills),
            "requests": dict(self._gateway.counts),
            "trades_sent": dict(self._hub.trades_sent),
            "frames_sent": self._hub.frames_sent,
        }

    # --- the owner and the script ---------------------------------------------------

    def manual_order(
        self, symbol: str, side: str, quantity: int, price: int = 0, kind: str = "00"
    ) -> str:
        """Place an order as the owner by phone; return its number. ValueError when refused."""
        ticket = Ticket(symbol, side, kind, quantity, price, "owner")
        return self._number(self._exchange.place(ticket, self._agenda.now))

    def manual_cancel(self, order_no: str) -> str:
        """Cancel the rest of an order as the owner; return the number of the cancel."""
        wanted = Change(order_no, True, True, 0, "00", 0, "owner")
        return self._number(self._exchange.change(wanted, self._agenda.now))

    @staticmethod
    def _number(result: Order | str) -> str:
        if isinstance(result, str):
            raise ValueError(f"refused: {result}")
        return result.odno

    def transfer_cash(self, amount_krw: int) -> None:
        """Pay in (positive) or withdraw (negative)."""
        self._ledger.transfer(amount_krw)

    def second_client(self) -> str:
        """Let another program with the same key take a new token; the old one dies."""
        return self._tokens.issue(self._agenda.now, fresh=True).text

    def market_event(self, kind: str, symbol: str | None = None, seconds: float = 0.0) -> None:
        """Make something happen in the market now; kinds as in Market.event."""
        self._market.event(self._agenda.now, kind, symbol, seconds)

    def drop_sessions(self) -> None:
        """Break all WebSocket connections."""
        for session in list(self._hub.sessions):
            session.close("dropped")

    def state(self) -> dict[str, Any]:
        """Return the market as a person would want to see it."""
        names = ("state", "lock", "base", "open", "high", "low", "last", "volume")
        return {
            "market_time": self.now.isoformat(),
            "environment": self.config.environment,
            "trading_day": self._ground.calendar.is_trading_day(self._market.day),
            "sessions": [[f"{tr} {key}" for tr, key in s.registered] for s in self._hub.sessions],
            "faults": self.faults.rows(),
            "stocks": {
                code: {"name": tape.listing.name} | {name: getattr(tape, name) for name in names}
                for code, tape in self._market.tapes.items()
            },
        }

    def _admin(self, method: str, name: str, params: Mapping[str, str], body: bytes) -> Reply:
        """Serve /simulator/...; never rate limited, never faulty."""
        try:
            sent = json.loads(body) if body else {}
            result: Any = self._administer(method, name.rstrip("/"), params, sent)
            status = 200
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            result, status = {"error": f"{type(error).__name__}: {error}"}, 400
        return Reply(status, {"Content-Type": "application/json; charset=utf-8"}, to_json(result))

    def _administer(self, method: str, name: str, params: Mapping[str, str], sent: Any) -> Any:
        rules = sent if isinstance(sent, list) else [sent]
        number = int(params["number"]) if "number" in params else None
        clock = {"market_time": self.now.isoformat(), "next": self.next_event().isoformat()}
        actions: dict[str, Callable[[], Any]] = {
            "GET state": self.state,
            "GET books": self.books,
            "GET clock": lambda: clock,
            "GET faults": self.faults.rows,
            "POST faults": lambda: {"numbers": [self.faults.add(rule) for rule in rules]},
            "DELETE faults": lambda: self.faults.clear(number),
            "POST manual-order": lambda: {"order_no": self.manual_order(**sent)},
            "POST manual-cancel": lambda: {"order_no": self.manual_cancel(**sent)},
            "POST cash": lambda: self.transfer_cash(int(sent["amount"])),
            "POST market-event": lambda: self.market_event(
                sent["type"], sent.get("symbol"), float(sent.get("seconds", 0))
            ),
            "POST second-client": lambda: {"token": self.second_client()[-8:]},
            "POST drop-sessions": self.drop_sessions,
        }
        if f"{method} {name}" not in actions:
            raise KeyError(f"there are {', '.join(actions)}")
        result = actions[f"{method} {name}"]()
        return {"ok": True} if result is None else result


def _listing(code: str, dice: Dice) -> Listing:
    """Return a known stock or invent one for an unknown code."""
    if code in LISTINGS:
        return LISTINGS[code]
    price = round(8_000 * math.exp(2.5 * dice.unit("anchor", code)))
    size = (price, 50_000_000, 900_000, 0.022)
    return Listing(code, f"종목{code}", f"Stock{code}", "KOSPI", False, *size)


# =====================================================================================
# === 16. SHELL ========================================================================
# =====================================================================================
# The only place with sockets and clocks: an aiohttp server on loopback that drives the core.


class MarketClock:
    """Market time from the wall clock: start + (unix - unix0) x speed, not before start."""

    def __init__(self, start: datetime, speed: float, hold_s: float) -> None:
        self.start, self.speed = start, speed
        self.unix0 = time.time() + hold_s
        self._stopped_at: float | None = None

    def pace_s(self) -> float:
        """Return market seconds since start; negative before it."""
        at = time.time() if self._stopped_at is None else self._stopped_at
        return (at - self.unix0) * self.speed

    def stop(self) -> None:
        """Let the market stand still until go_on()."""
        self._stopped_at = self._stopped_at or time.time()

    def go_on(self) -> None:
        """Go on where the market stood still. Whoever follows this clock needs the new `unix0`."""
        if self._stopped_at is not None:
            self.unix0 += time.time() - self._stopped_at
            self._stopped_at = None

    def now(self) -> datetime:
        """Return market time."""
        return self.start + timedelta(seconds=max(self.pace_s(), 0.0))


class Shell:
    """Serves one Simulator over HTTP and WebSocket."""

    def __init__(self, simulator: Simulator, clock: MarketClock) -> None:
        self._simulator, self._clock = simulator, clock
        self._wake: dict[int, asyncio.Event] = {}

    def advance(self) -> None:
        """Bring the core to the present and wake the sessions that have something to send."""
        clock = self._clock
        self._simulator.advance(clock.now(), time.monotonic(), clock.pace_s())
        self._wake_all()

    def _wake_all(self) -> None:
        for event in self._wake.values():
            event.set()

    async def run_clock(self) -> None:
        """Advance for ever."""
        pause = 0.005 if self._clock.speed > 10 else 0.02
        while True:
            self.advance()
            await asyncio.sleep(pause)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve any request on any path; an upgrade becomes a WebSocket."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._serve_socket(request)
        body, query = await request.read(), dict(request.query)
        self.advance()
        reply = self._simulator.request(request.method, request.path, query, request.headers, body)
        self._wake_all()
        if reply.fate == "hang":
            await asyncio.Event().wait()  # until the client goes away
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        if reply.fate != "answer":
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return web.Response(status=reply.status, headers=dict(reply.headers), body=reply.body)

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=1 << 20)
        await socket.prepare(request)
        self.advance()
        session = self._simulator.connect()
        event = self._wake[session.number] = asyncio.Event()
        pump = asyncio.create_task(self._pump(session, socket, event, request.transport))
        try:
            async for message in socket:
                self.advance()
                if message.type is WSMsgType.TEXT:
                    session.receive_text(message.data)
                elif message.type is WSMsgType.PONG:
                    session.receive_pong(bytes(message.data))
                elif message.type is WSMsgType.PING:
                    session.receive_ping(bytes(message.data))
                    await socket.pong(message.data)
                event.set()
        finally:
            session.disconnect()
            event.set()
            del self._wake[session.number]
            await pump
        return socket

    @staticmethod
    async def _pump(
        session: Session,
        socket: web.WebSocketResponse,
        event: asyncio.Event,
        transport: asyncio.Transport | None,
    ) -> None:
        """Send what the session has to say; end the connection when the session ends."""
        with contextlib.suppress(ConnectionError):
            while not (session.closed or socket.closed) or session.outbox:
                while session.outbox and not socket.closed:
                    await socket.send_str(session.outbox.popleft())
                if socket.closed:
                    return
                if not session.closed:
                    event.clear()
                    await event.wait()
            if session.closed == "dropped" and transport is not None:
                transport.abort()
            else:
                await socket.close()


def require_loopback(host: str) -> str:
    """Return the host when it is this machine; raise ValueError otherwise."""
    if host == "localhost" or ipaddress.ip_address(host).is_loopback:
        return host
    raise ValueError(f"the simulator listens on loopback only, was {host!r}")


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    simulator: Simulator
    clock: MarketClock
    rest_url: str
    ws_url: str


@contextlib.asynccontextmanager
async def serve(
    config: SimulatorConfig,
    start: datetime,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ws_port: int | None = None,
    speed: float = 1.0,
    hold_s: float = 0.0,
) -> AsyncIterator[Served]:
    """Run a server on loopback for the time of the context. Port 0 picks a free one."""
    require_loopback(host)
    simulator = Simulator(config)
    simulator.advance(start, time.monotonic(), -1e9)
    clock = MarketClock(start, speed, hold_s + 3600)  # stands still until everything listens
    shell = Shell(simulator, clock)
    application = web.Application(client_max_size=1 << 20)
    application.router.add_route("*", "/{anything:.*}", shell.handle)
    runner = web.AppRunner(
        application, handler_cancellation=True, shutdown_timeout=0.5, access_log=None
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        if ws_port is not None:
            await web.TCPSite(runner, host, ws_port).start()
        first, last = runner.addresses[0][1], runner.addresses[-1][1]
        clock.unix0 = time.time() + hold_s
        async with asyncio.TaskGroup() as tasks:  # a fault of the core ends the server loudly
            ticker = tasks.create_task(shell.run_clock())
            try:
                name = f"[{host}]" if ":" in host else host
                yield Served(simulator, clock, f"http://{name}:{first}", f"ws://{name}:{last}")
            finally:
                ticker.cancel()
    finally:
        for session in list(simulator.sessions):
            session.close("server ends")
        shell.advance()
        await runner.cleanup()


# =====================================================================================
# === 17. COMMAND LINE =================================================================
# =====================================================================================
# Arguments, the configuration file for a client, READY line, exit.


def config_yaml(served: Served) -> str:
    """Return kis_devlp.yaml in the format of the official samples, pointing at this server.

    THE TEMPLATE. The `bot:` section at the end is for the client of this project; change it here.
    All keys and account numbers are invented and worthless. Hosts that are not played point at
    port 9 of this machine, where nothing listens.
    """
    config, who, clock = served.simulator.config, served.simulator.credentials, served.clock
    hosts = {"prod": "http://127.0.0.1:9", "ops": "ws://127.0.0.1:9"}
    hosts |= {"vps": "http://127.0.0.1:9", "vops": "ws://127.0.0.1:9"}
    hosts["vps" if config.paper else "prod"] = served.rest_url
    hosts["vops" if config.paper else "ops"] = served.ws_url
    lines = {
        "my_app": who.real_key,
        "my_sec": who.real_secret,
        "paper_app": who.paper_key,
        "paper_sec": who.paper_secret,
        "my_htsid": who.hts_id,
        "my_acct_stock": who.real_account,
        "my_acct_future": who.real_account,
        "my_paper_stock": who.paper_account,
        "my_paper_future": who.paper_account,
        "my_prod": who.product,
        **hosts,
        "my_token": "",
        "my_agent": "Mozilla/5.0 (simulator)",
    }
    head = "# Written by kis_simulator.py: invented keys, loopback addresses.\n"
    return (
        head
        + "".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items())
        + (
            "bot:\n"
            f"  symbols: {json.dumps(list(config.symbols))}\n"
            "  market_clock:\n"
            f"    unix: {clock.unix0!r}\n"
            f"    market: {json.dumps(clock.start.isoformat())}\n"
            f"    speed: {clock.speed:g}\n"
            f"  rest_calls_per_second: {config.limit * clock.speed * 0.4:g}\n"
            "  limits:  # of an invented account; set your own in a real file\n"
            "    max_order_krw: 3_000_000\n"
            "    max_symbol_krw: 4_000_000\n"
            "    max_total_krw: 8_000_000\n"
            "    max_daily_loss_krw: 500_000\n"
            f"    max_data_age_s: {min(120.0, max(3.0, clock.speed * 0.2)):g}\n"
            f"    max_quote_age_s: {min(120.0, max(5.0, clock.speed * 0.2)):g}\n"
            f"  bar_lateness_s: {min(120.0, max(3.0, clock.speed * 0.1)):g}\n"
            f"  exit_step_s: {min(120.0, max(5.0, clock.speed * 0.2)):g}\n"
            f"  entry_timeout_s: {min(600.0, max(30.0, clock.speed * 0.5)):g}\n"
        )
    )


def write_config(directory: Path, text: str) -> Path:
    """Write kis_devlp.yaml, readable by its owner only; return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "kis_devlp.yaml"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="kis_simulator.py",
        description="A KIS broker server on loopback, with a market of its own. Nothing is real.",
        epilog="When it listens it prints one line: READY {json}. Stop it with Ctrl-C. While it "
        "runs: curl http://127.0.0.1:PORT/simulator/state (also books, clock, faults). A client that "
        "lives on the clock on the wall: --date of today. One that knows old frames only: --set "
        "trade_fields=46 --set book_fields=59 --set notice_fields=23. "
        'A fault rule: {"match": {"path": "order-cash", "nth": 1}, "effect": {"do": "lose", '
        '"executed": true}}; a wrong one is answered with what is possible.',
    )
    usual, add = SimulatorConfig(), parser.add_argument
    codes, day = ",".join(DEFAULT_SYMBOLS), date.fromisoformat
    add("--host", default="127.0.0.1", help="loopback address to listen on (%(default)s)")
    add("--port", type=int, default=0, help="port of REST and WebSocket; 0 picks a free one")
    add("--ws-port", type=int, help="a second port for the WebSocket (default: the same)")
    add("--date", type=day, default=usual.day, help="trading day, YYYY-MM-DD (%(default)s)")
    add("--start", default="08:40", help="market time at the beginning (%(default)s)")
    add("--until", help="end by itself at this market time, HH:MM")
    add("--until-eof", action="store_true", help="end when standard input ends, as with its maker")
    add("--hold", type=float, default=0.0, help="seconds the clock stands still after READY")
    add("--speed", type=float, default=1.0, help="market seconds per second (%(default)g)")
    add("--seed", type=int, default=usual.seed, help="another seed: another market, other keys")
    add("--symbols", default=codes, help="stock codes, comma separated (%(default)s)")
    add("--environment", choices=("paper", "real"), default="paper", help="which host is played")
    add("--csv", type=Path, help="minute bars: symbol,time,open,high,low,close,volume")
    add("--cash", type=int, default=usual.initial_cash_krw, help="won to begin with (%(default)s)")
    add("--density", type=float, default=usual.density, help="trades a minute (%(default)g)")
    add("--limit", type=int, help="requests per market second (1 on paper, 18 on real)")
    add("--lag", choices=sorted(LAGS), default="none", help="how late lists and balances are")
    add("--faults", type=Path, metavar="FILE", help="JSON list of fault rules (section 6)")
    add("--events", type=Path, metavar="FILE", help="JSON list: at, type, symbol, seconds")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting of "
        "SimulatorConfig, for example trade_fields=46 or past_minutes_on_paper=false",
    )
    add("--write-config", type=Path, metavar="DIR", help="write DIR/kis_devlp.yaml for a client")
    return parser


def _setting(text: str) -> Any:
    """Read a number, true or false; anything else is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def config_from(arguments: argparse.Namespace) -> SimulatorConfig:
    """Turn the command line into a configuration. Raises ValueError that names the mistake."""

    def rows(path: Path | None) -> tuple[Any, ...]:
        return tuple(json.loads(path.read_text("utf-8"))) if path else ()

    bars = parse_bars_csv(arguments.csv.read_text("utf-8")) if arguments.csv else {}
    more = {name: _setting(value) for name, _, value in (s.partition("=") for s in arguments.set)}
    unknown = [name for name in more if name not in SimulatorConfig.__dataclass_fields__]
    if unknown:
        raise ValueError(f"--set knows no {', '.join(unknown)}")
    symbols = tuple(code.strip() for code in arguments.symbols.split(",") if code.strip())
    config = SimulatorConfig(
        day=arguments.date,
        seed=arguments.seed,
        symbols=tuple(bars) if bars and symbols == DEFAULT_SYMBOLS else symbols,
        environment=arguments.environment,
        initial_cash_krw=arguments.cash,
        density=arguments.density,
        bars=bars,
        faults=rows(arguments.faults),
        events=rows(arguments.events),
        requests_per_second=arguments.limit,
        list_lag=LAGS[arguments.lag][0],
        balance_lag=LAGS[arguments.lag][1],
        early_notice_delay_s=max(0.15 / arguments.speed, 0.004),
    )
    return replace(config, **more)


async def run(arguments: argparse.Namespace) -> None:
    """Serve until a signal or until the market time that was asked for.

    Public clients read the end of a token against the clock on the wall and ask for a new one on
    every call when the market day lies in the past, so it is shown later by that distance.
    """
    config = config_from(arguments)
    start = to_moment(midnight_ms(config.day) + parse_clock(arguments.start) * 1000)
    if config.expiry_shift_s is None:
        past = (datetime.now(KST) - start).total_seconds()
        config = replace(config, expiry_shift_s=max(past, 0.0))
    until = parse_clock(arguments.until) if arguments.until else None
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
    if arguments.until_eof:
        _stop_at_eof(stop)
    ports = {"host": arguments.host, "port": arguments.port, "ws_port": arguments.ws_port}
    pace = {"speed": arguments.speed, "hold_s": arguments.hold}
    async with serve(config, start, **ports, **pace) as served:
        path = None
        if arguments.write_config:
            path = str(write_config(arguments.write_config, config_yaml(served)))
        ready = {"rest": served.rest_url, "ws": served.ws_url, "unix0": served.clock.unix0}
        ready |= {"market": start.isoformat(), "speed": arguments.speed, "hold": arguments.hold}
        ready |= {"date": config.day.isoformat(), "environment": config.environment, "config": path}
        with contextlib.suppress(BrokenPipeError):  # whoever started it has already gone
            print(f"READY {json.dumps(ready)}", flush=True)
        await _wait(served, stop, until)


def _stop_at_eof(stop: asyncio.Event) -> None:
    """Stop when standard input ends. A file, /dev/null or none at all counts as ended already."""
    try:
        asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    except (PermissionError, ValueError):  # epoll watches no files
        stop.set()


async def _wait(served: Served, stop: asyncio.Event, until: int | None) -> None:
    """Wait for the end, with a line on a terminal now and then."""
    end = math.inf if until is None else midnight_ms(served.simulator.config.day) + until * 1000
    shown = time.monotonic()
    while not stop.is_set() and to_ms(served.clock.now()) < end:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.05)
        if sys.stderr.isatty() and time.monotonic() > shown + 5:
            shown = time.monotonic()
            books = served.simulator.books()
            counts = ", ".join(
                f"{books[n]} {n}" for n in ("frames_sent", "order_count", "fill_count")
            )
            print(f"{served.clock.now():%H:%M:%S}  {counts}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server; return the exit code."""
    try:
        asyncio.run(run(build_parser().parse_args(argv)))
    except (ValueError, OSError) as error:
        print(f"kis_simulator: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
