#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5",
#   "websockets==17.4",
#   "pycryptodome==4.4.0",
#   "pyyaml==6.0.3",
#   "pydantic==2.14.3",
#   "python-dotenv==1.2.4",
#   "python-telegram-bot[rate-limiter]==22.8",
#   "pandas==3.1.1",
#   "rich==15.0.0",
#   "matplotlib==3.11.2",
#   "koreanize-matplotlib==0.1.1",
# ]
# ///
"""A trading bot for Korea Investment & Securities (KIS) in one file.

It turns the realtime trades of KRX stocks into bars, lets a strategy decide, checks
every wish against limits, writes the intent down, and only then sends the order.
It never resends an order whose outcome it does not know: it looks first.

    python kis_realtime_trading.py --demo       a whole day against a simulated KIS, no account needed
    python kis_realtime_trading.py --check      test the set-up step by step, sends no order
    python kis_realtime_trading.py --paper      trade on the KIS paper server
    python kis_realtime_trading.py --help       everything else

Map of this file (each section uses only what stands above it):

     1. CONSTANTS AND WIRE TABLES   hosts, endpoints, realtime layouts, ticks, taxes, calendar
     2. ERRORS                      named by what the caller must do
     3. DATA TYPES                  Trade, Quote, Bar, Order, Position, Secret; events and actions
     4. SETTINGS                    text in, settings or a full list of faults out
     5. MARKET RULES                tick, session, trading day, fee, tax
     6. WIRE CODEC                  frames and REST bodies to types and back
     7. BARS                        trades to bars
        --- GROUND above, DECIDE below ---
     8. LEDGER                      order states as a table, positions, cash, P&L
     9. RISK                        small rules: allow, or refuse with a code and the numbers
    10. STRATEGY                    TradingStrategy and the built-in breakout
    11. RECONCILER                  what lists, balances and notices prove; orders of unknown outcome
    12. STATE                       what the desks share on one day; the agenda of questions
    13. ENTRIES                     wishes to intents; every order passes EntryDesk.submit
    14. EXITS                       stops, targets, and the work until nothing is left
    15. REPLIES                     answers and notices of the broker
    16. COMMANDS                    start, day, feed, stop, the owner's word
    17. ENGINE                      events in, actions out: the whole decision path
        --- above: no asyncio, no network, no files, no clock, no random, no logging ---
    18. RUNTIME SERVICES            market clock, redacting log, recording, lock of the account
    19. WORDS                       what people read, in two languages
    20. KISAuth                     [network] access token, approval key
    21. REST                        [network] the only HTTP call, pacing, retries of queries
    22. KISMarketData               [network] prices, trades, bars, holidays
    23. KISWebSocket                [network] registrations, heartbeat, reconnection
    24. TelegramBot                 [network] alerts that never block trading
        --- MONEY: read these three and LEDGER, and you know the worst that can happen ---
    25. JOURNAL                     every row durable before anything rests on it
    26. GATE                       the last look before the wire, by another hand than the rules
    27. KISOrder                    [network] THE ONLY CODE THAT SENDS AN ORDER: KISOrder._send
        --- RUN ---
    28. TRADER                      start-up, loops, carrying out the engine's actions, shutdown
    29. COMMAND LINE                arguments, exit codes, main()

The way of an order: EntryDesk.submit -> check_order -> Bridge.execute (journal row, durable)
-> Trader._call_lane -> KISOrder.submit -> Gate -> KISOrder._send.

What you may want to find first:

    where an order leaves, and what refuses it   KISOrder._send (27); RULES (9), GATE (26)
    what stops entries now, what a restart keeps HOLDS (12)
    what is tried again, and how often           tables of Pauses; which question goes next: Agenda (12)
    whether it can be sent twice                 the theory on top of 11
    whether a stop can be lost                   the answer on top of 14
    what a code of KIS means                     CODES (1)
    what is believed after a restart             start_up (29) lists its steps; Past (25)
    who may command it                           COMMANDS (16)
    where secrets go                             each call of reveal()
"""

from __future__ import annotations

if __name__ == "__main__":  # until run_guarded runs, Ctrl-C ends it without the trace of an import
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    import os
    import sys

    _TOOLS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "companions")
    _OWN = {"--paper", "--live", "--make-pin", "--acknowledge"}  # see OWN_COMMANDS
    if os.path.isdir(_TOOLS) and not _OWN & {word.partition("=")[0] for word in sys.argv}:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))  # see _run_tools
        os.execv(sys.executable, [sys.executable, _TOOLS, *sys.argv[1:]])

import abc
import argparse
import asyncio
import base64
import binascii
import bisect
import contextlib
import difflib
import enum
import errno
import fcntl
import functools
import gzip
import hashlib
import heapq
import hmac
import importlib.util
import inspect
import io
import itertools
import json
import logging
import math
import operator
import os
import queue
import re
import resource
import secrets
import signal
import socket
import sqlite3
import stat
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter, defaultdict, deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as clock_time
from decimal import Decimal
from email.utils import parsedate_to_datetime
from fractions import Fraction
from pathlib import Path
from signal import SIGALRM, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    NoReturn,
    Protocol,
    TypeAlias,
    TypeVar,
    get_args,
)

import yaml
from Crypto.Cipher import AES
from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, WebSocketException
from websockets.frames import Opcode as WebSocketOpcode

if TYPE_CHECKING:
    import aiohttp

__version__ = "0.2.0"

# ======================================================================================
# === 1. CONSTANTS AND WIRE TABLES ===
# ======================================================================================
# Knows: what the broker and the exchange say, each with source and date. "doc" is the
# official API document of 2026-09-11 and the official samples; "measured" was seen in a
# real answer or frame on the date given. Never knows: an account, a time, a decision.

KST = timezone(timedelta(hours=9), "KST")  # no daylight saving since 1988
NEVER = datetime(2000, 1, 1, tzinfo=KST)  # before every moment that the program sees

REAL_REST = "https://openapi.koreainvestment.com:9443"  # doc
PAPER_REST = "https://openapivts.koreainvestment.com:29443"  # doc
REAL_WS = "ws://ops.koreainvestment.com:21000"  # doc; plain text, there is no wss service
PAPER_WS = "ws://ops.koreainvestment.com:31000"  # doc
TELEGRAM_API = "https://api.telegram.org"
WS_PATH = "/tryitout"  # doc sample; root and /tryitout/<TR> work as well (seen)
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
ALLOWED_HOSTS = frozenset({REAL_REST, PAPER_REST})  # and loopback; anything else is refused


class Endpoint(NamedTuple):
    """One REST service: method, TR ids (None: not offered there), rows in a page, path."""

    method: str
    real: str | None
    paper: str | None
    rows: int
    path: str


# doc, TR ids in force since NXT and SOR; the older TTTC08xxU ids may be blocked without notice.
# past_minute_bars, doc: not on paper; one user got it to work there (2026-07-11): tried, unconfirmed.
_ENDPOINTS_TEXT = """
price               GET  FHKST01010100  FHKST01010100    1  quotations/inquire-price
order_book          GET  FHKST01010200  FHKST01010200    1  quotations/inquire-asking-price-exp-ccn
trades              GET  FHKST01010300  FHKST01010300   30  quotations/inquire-ccnl
daily_bars          GET  FHKST03010100  FHKST03010100  100  quotations/inquire-daily-itemchartprice
minute_bars         GET  FHKST03010200  FHKST03010200   30  quotations/inquire-time-itemchartprice
past_minute_bars    GET  FHKST03010230  FHKST03010230  120  quotations/inquire-time-dailychartprice
holidays            GET  CTCA0903R      -               25  quotations/chk-holiday
many_prices         GET  FHKST11300006  -               30  quotations/intstock-multprice
overseas_price      GET  HHDFS00000300  HHDFS00000300    1  /uapi/overseas-price/v1/quotations/price
overseas_daily_bars GET  HHDFS76240000  HHDFS76240000  100  /uapi/overseas-price/v1/quotations/dailyprice
buy                 POST TTTC0012U      VTTC0012U        1  trading/order-cash
sell                POST TTTC0011U      VTTC0011U        1  trading/order-cash
change              POST TTTC0013U      VTTC0013U        1  trading/order-rvsecncl
buying_power        GET  TTTC8908R      VTTC8908R        1  trading/inquire-psbl-order
orders              GET  TTTC0081R      VTTC0081R      100  trading/inquire-daily-ccld
realized            GET  TTTC8715R      -                1  trading/inquire-period-trade-profit
balance             GET  TTTC8434R      VTTC8434R       50  trading/inquire-balance
"""
ENDPOINTS = {
    name: Endpoint(
        method, real, None if paper == "-" else paper, int(rows),
        path if path[0] == "/" else f"/uapi/domestic-stock/v1/{path}",
    )
    for name, method, real, paper, rows, path in map(str.split, _ENDPOINTS_TEXT.split("\n")[1:-1])
}  # fmt: skip
OAUTH_TOKEN, OAUTH_REVOKE, OAUTH_APPROVAL = "/oauth2/tokenP", "/oauth2/revokeP", "/oauth2/Approval"
HASHKEY = "/uapi/hashkey"

MAX_REGISTRATIONS = 41  # per session, all TRs together (measured 2026-07-10: the 42nd is refused)
MAX_PAGES = 150  # 2,250 rows of a paper day at 15 a page; each cancel is a row of its own
# Calls a second: 18 real, 1 paper since 2026-04-20 (doc; paper measured 2026-07-29). We stay below.
REST_CALLS_PER_SECOND = {"real": 15.0, "paper": 0.9}
# What a code of the broker means: as the answer to a question, to an order, on the socket (doc, and
# measured). The first pattern that matches from the first letter on decides. "-", and a code that is
# not here: a question is refused, an order is of unknown outcome, a registration is refused.
_CODES_TEXT = r"""
EGW00201$|EGW00215$             pace     away     -        too many calls: nothing was executed
EGW0012[123]$                   token    away     -        the token is invalid, not found, expired
EGW0010[23]$                    appkey   away     -        the app key is invalid
EGW0010[45]$                    secret   away     -        its secret is
EGW0000[12]$|EGW0030[01]$       passing  -        -        the server's trouble: never order again
90020000$                       passing  -        -
EGW00(1[0-4]\d|20[5-9]|21[0-4]|003|004)$|EGW0200[4-7]|EGW00304
                                -        away     -        turned away by the gateway before any routing
APBK0013$|40(60|59|63)0000$     -        accepted -        beside anything but rt_cd 0 it contradicts that
APBK1631$                       empty    refused  -        nothing to show
KIOK0560$|70070000$             empty    -        -
OPSQ2001$                       other    refused  -        this kind of list; another kind may come
APBK|APTR|APAC|KIER|4\d{7}$|90070000|OPSQ200[0-2]|IGW0000[279]
                                -        refused  -        by the ledger or an input check
OPSP000[0-3]$                   -        -        fine     registered, or so already
OPSP0011$|OPSP9994$             -        -        key      the approval key is none: get a new one
OPSP8996$                       -        -        in-use   another session holds this app key
OPSP0007$|OPSP0009$|OPSP8999$|OPSP999[35]$
                                -        -        later    try the registration again
"""
CODES = tuple(
    (re.compile(row[0]), dict(zip(("question", "order", "socket"), row[1:], strict=True)))
    for row in re.findall(r"^(\S+)\s+(\S+)\s+(\S+)\s+(\S+)", _CODES_TEXT, re.M)
)


@functools.lru_cache(256)
def meaning(code: str, where: Literal["question", "order", "socket"]) -> str:
    """Return what a code of the broker means there, by CODES; "" nothing that we know."""
    words = next((means[where] for pattern, means in CODES if pattern.match(code)), "-")
    return "" if words == "-" else words


def by_gateway(text: str) -> bool:
    """Tell whether a text begins with a code of the gateway, which routes calls and books nothing."""
    return text.startswith("EGW")


def nothing_left(note: str) -> bool:
    """Tell whether a cancel was refused since nothing is left to cancel (measured on paper)."""
    return note.startswith("40330000") or "수량이 없" in note


# The paper server's order list may stay empty although orders exist (measured 2026-08-19).
EMPTY_LISTS = {"real": False, "paper": True}
NOTICE_TRS = {"real": "H0STCNI0", "paper": "H0STCNI9"}
ENCRYPTED_TRS = frozenset({"H0STCNI0", "H0STCNI9", "H0GSCNI0", "H0GSCNI9"})  # refused in plain text

# Tick sizes since 2023-01-25, KOSPI, KOSDAQ, KONEX, NXT (exchange rule): price below -> tick.
STOCK_TICKS = (
    (2_000, 1), (5_000, 5), (20_000, 10), (50_000, 50), (200_000, 100), (500_000, 500), (math.inf, 1_000),
)  # fmt: skip
FUND_TICKS = ((2_000, 1), (math.inf, 5))  # ETF, ETN

# Weekdays on which KRX is closed (MMDD). Made and checked by a test with the package "holidays".
CLOSED_DAYS: dict[int, str] = {
    2023: "0123 0124 0301 0501 0505 0529 0606 0815 0928 0929 1002 1003 1009 1225 1229",
    2024: "0101 0209 0212 0301 0410 0501 0506 0515 0606 0815 0916 0917 0918 1001 1003 1009 1225 1231",
    2025: "0101 0127 0128 0129 0130 0303 0501 0505 0506 0603 0606 0815 1003 1006 1007 1008 1009 1225 1231",
    2026: "0101 0216 0217 0218 0302 0501 0505 0525 0603 0717 0817 0924 0925 1005 1009 1225 1231",
    2027: "0101 0208 0209 0301 0503 0505 0513 0719 0816 0914 0915 0916 1004 1011 1227 1231",
}
# College entrance exam: everything one hour later. 2027 is the usual third Thursday: unconfirmed.
EXAM_DAYS = frozenset(
    map(date.fromisoformat, ["2023-11-16", "2024-11-14", "2025-11-13", "2026-11-19", "2027-11-18"])
)
CALENDAR_END = date(2027, 12, 31)

# Sell tax by the year of SETTLEMENT (two trading days after the trade), parts per 100,000:
# (transaction tax, rural tax). KOSDAQ pays one rate. ETF and ETN pay none. (tax rule, 7.5)
SELL_TAX: dict[int, dict[str, tuple[int, int]]] = {
    2023: {"KOSPI": (50, 150), "KOSDAQ": (200, 0), "KONEX": (100, 0)},
    2024: {"KOSPI": (30, 150), "KOSDAQ": (180, 0), "KONEX": (100, 0)},
    2025: {"KOSPI": (0, 150), "KOSDAQ": (150, 0), "KONEX": (100, 0)},
    2026: {"KOSPI": (50, 150), "KOSDAQ": (200, 0), "KONEX": (100, 0)},
    2027: {"KOSPI": (50, 150), "KOSDAQ": (200, 0), "KONEX": (100, 0)},  # not announced
    2028: {"KOSPI": (50, 150), "KOSDAQ": (200, 0), "KONEX": (100, 0)},  # not announced
}
STOCK_FEE_PCT, FUND_FEE_PCT = Decimal("0.0140527"), Decimal("0.0146527")  # BanKIS online, each side

# Hard ceilings: no setting may go above them.
CEILING_ORDER_KRW = 100_000_000
CEILING_TOTAL_KRW = 1_000_000_000
CEILING_ORDERS_PER_MINUTE = 30
CEILING_ORDERS_PER_SECOND = 3
CEILING_QUANTITY = 1_000_000
OWNERS_LEG = "owner"  # of an intent that the owner's own `buy` began

CLOCK_TOLERANCE_S = 2.0  # small steps back of our clock are no time; the broker's may differ so

# ======================================================================================
# === 2. ERRORS ===
# ======================================================================================
# Named by what the caller must do. No message carries a secret, a token or an account number.
#
#   BotError
#    +-- SettingsError      fix the settings (exit code 78); carries every fault at once
#    +-- AlreadyRunning     stop the other process first (exit code 75)
#    +-- JournalError       stop trading; the journal cannot be trusted or written (exit code 74)
#    |    +-- JournalLate    try again; nothing that rests on these rows may be done before
#    +-- IllegalTransition  stop the symbol: an order was told what its status does not allow
#    +-- AskFailed          asked, and got nothing usable; of a question: ask again later
#         +-- BadData         drop this frame or answer; never guess a price from it
#         +-- RequestRefused  the broker said no: read `code` and `text`
#         |    +-- TokenRefused   get a new token once
#         +-- NotSent         no byte left; asking again is safe
#         +-- NoAnswer        a byte left and no usable answer came: the outcome is UNKNOWN


# What the system and SQLite refuse, in Korean; their English stays where a word is missing.
SYSTEM_WORDS = {
    "No space left on device": "디스크가 가득 참", "database or disk is full": "디스크가 가득 참",
    "Read-only file system": "읽기 전용 디스크", "attempt to write a readonly database": "쓸 수 없는 파일",
    "Permission denied": "권한 없음", "unable to open database file": "파일을 열 수 없음",
    "disk I/O error": "디스크 오류", "database is locked": "다른 프로그램이 쓰는 중", "Not a directory": "폴더가 아님",
    "File exists": "같은 이름의 파일이 있음", "Too many open files": "연 파일이 너무 많음",
    "No such file or directory": "파일이나 폴더가 없음", "Is a directory": "파일이 아니라 폴더",
    "the disk does not answer": "디스크가 응답하지 않음", " cannot be written: ": "에 쓸 수 없음: ",
}  # fmt: skip


class Both(str):
    """An English text that carries its Korean; whoever shows it chooses (see in_language)."""

    ko: str

    def __new__(cls, en: str, ko: str) -> Both:
        text = super().__new__(cls, en)
        text.ko = ko
        return text


def system_words(error: Exception) -> Both:
    """Return what the system or SQLite refused, in both languages, about which file."""
    what = getattr(error, "strerror", None) or str(error)
    file = getattr(error, "filename", None)
    head = f"{file}: " if file else ""
    return Both(f"{head}{what}", f"{head}{SYSTEM_WORDS.get(what, what)}")


def in_language(text: object, language: str) -> str:
    """Return a text in the reader's language, as it stands where there is only one."""
    return text.ko if isinstance(text, Both) and language == "ko" else str(text)


class BotError(Exception):
    """Base of every error this program raises on purpose. Its text may be of both languages."""

    def said(self, language: str) -> str:
        text = self.args[0] if len(self.args) == 1 else str(self)
        return in_language(text, language)


class SettingsError(BotError):
    """The settings cannot be used. `faults` lists everything that is wrong, not only the first."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)

    def said(self, language: str) -> str:
        return "; ".join(fault.said(language) for fault in self.faults)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C of the user, by our own handler: what a strategy raises itself is told apart from it."""


class KeysRefused(SettingsError):
    """KIS calls our app key or secret invalid. It is not asked again: a person must mend them."""


class AlreadyRunning(BotError):
    """Another process trades this account."""


class JournalError(BotError):
    """The journal is broken, foreign, or cannot be written. Nothing may be sent."""


class JournalLate(JournalError):
    """The journal cannot be written just now: locked, a full disk, a folder that was moved."""


class AskFailed(BotError):
    """Somebody was asked and gave nothing usable. An order call tells its kinds apart, always."""


class BadData(AskFailed):
    """A frame, body or value that cannot be what it claims to be. Drop it."""


class RequestRefused(AskFailed):
    """The broker answered and refused. Nothing was executed unless the code says otherwise."""

    def __init__(self, code: str, text: str, status: int = 200) -> None:
        super().__init__(f"{code or 'no code'}: {text.strip() or 'no text'} (HTTP {status})")
        self.code, self.text, self.status = code, text.strip(), status


class TokenRefused(RequestRefused):
    """The access token is no longer accepted (EGW00121, EGW00122, EGW00123)."""


class NotSent(AskFailed):
    """The connection failed before a byte of the request was written."""


class NoAnswer(AskFailed):
    """The request may have arrived; no usable answer came back."""


class IllegalTransition(BotError):
    """An event that the table does not allow. The symbol is stopped, the state is kept."""


class Fault(NamedTuple):
    """One thing wrong with the settings."""

    key: str
    found: str
    expected: str
    line: int = 0  # of the file, 0: none

    def __str__(self) -> str:
        where = f" (line {self.line})" if self.line else ""
        return f"{self.key}{where}: found {self.found}, expected {self.expected}"

    def said(self, language: str) -> str:
        if language != "ko":
            return str(self)
        found, expected = in_language(self.found, "ko"), in_language(self.expected, "ko")
        return f"{self.key}{f' ({self.line}행)' if self.line else ''}: {found} → {expected}"


def wrong_setting(key: str, found: str, expected: str) -> SettingsError:
    return SettingsError([Fault(key, found, expected)])


def refuse(faults: Sequence[Fault]) -> None:
    """Raise SettingsError with faults, if there are some."""
    if faults:
        raise SettingsError(faults)


def near_words(word: str, known: Iterable[str]) -> list[str]:
    """Return the words that somebody who typed another one may have meant, the nearest first."""
    bare = word.strip("-–—−－_ ").lower().replace("_", "-")
    by_bare = {each.strip("-").lower().replace("_", "-"): each for each in known}
    longer = [each for each in by_bare if len(bare) > 1 and each.startswith(bare)]
    found = longer[:2] or difflib.get_close_matches(bare, by_bare, 1, 0.6)
    return [by_bare[each] for each in found]


# ======================================================================================
# === 3. DATA TYPES ===
# ======================================================================================
# Knows: the words of the field, one type each. Prices, money and shares are int (won,
# shares). Times are aware datetimes in KST. Never knows: where a value came from.


class Secret:
    """A text that must not be shown: str, repr, format and pickle give `***`, JSON refuses it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself. Call it only where it leaves for the broker or Telegram."""
        return self._value

    def fingerprint(self) -> str:
        """Return 12 hex digits that identify the text without telling it.

        Slow on purpose: an account has eight digits, and file names show this.
        """
        return hashlib.scrypt(self._value.encode(), salt=b"kis-bot", n=1 << 12, r=8, p=1).hex()[:12]

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self._value.encode(), other._value.encode()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, ("***",)

    def __copy__(self, memo: object = None) -> Secret:  # pydantic copies what has no hash
        return self

    __deepcopy__ = __copy__


class Side(enum.StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class OrderKind(enum.StrEnum):
    """ORD_DVSN of KRX stocks (doc). Futures use other numbers: never share this table."""

    LIMIT = "00"
    MARKET = "01"
    BEST_LIMIT = "03"  # at the opposite best price
    PRIORITY_LIMIT = "04"  # at the own best price
    LIMIT_IOC = "11"
    LIMIT_FOK = "12"
    MARKET_IOC = "13"
    MARKET_FOK = "14"
    BEST_IOC = "15"
    BEST_FOK = "16"

    @property
    def priced(self) -> bool:
        """Whether ORD_UNPR carries a price; otherwise it is "0"."""
        return self in (OrderKind.LIMIT, OrderKind.LIMIT_IOC, OrderKind.LIMIT_FOK)


class Trade(NamedTuple):
    """An execution in the market feed (never ours). One H0STCNT0 record."""

    symbol: str
    ts_exchange: datetime
    price: int
    volume: int  # shares of this trade
    cum_volume: int  # shares of the day so far, this trade included
    cum_value_krw: int
    halted: bool


class Quote(NamedTuple):
    """Best bid and ask with sizes. One H0STASP0 record; 0 where a side is empty."""

    symbol: str
    ts_exchange: datetime
    ask: int
    bid: int
    ask_size: int
    bid_size: int
    expected_price: int  # of the running auction; 0 outside auctions
    session_code: str  # HOUR_CLS_CODE: 0 continuous, A B C expected, D after hours

    @property
    def in_auction(self) -> bool:
        """Whether it shows expected prices after 09:00: a VI auction (doc)."""
        return self.session_code == "C"


class MarketStatus(NamedTuple):
    """A change of a stock's trading state. One H0STMKO0 record (real host only)."""

    symbol: str
    halted: bool
    vi_active: bool
    phase: str  # MKOP_CLS_CODE, "174" circuit breaker on, "175" off, "" when not told


class KillLevel(enum.IntEnum):
    """The kill switch. Each level includes the ones above it."""

    ACTIVE = 0
    ENTRIES_OFF = 1  # no new entries
    REDUCE_ONLY = 2  # resting entries are taken back as well
    FLATTEN_AND_HALT = 3  # positions are closed as well


class NoticeKind(enum.StrEnum):
    """What an order notice says. Only FILL moves shares."""

    RECEIVED = "received"
    CONFIRMED = "confirmed"
    FILL = "fill"
    REFUSED = "refused"
    REST_CANCELLED = "rest cancelled"  # what IOC or FOK left over


class Notice(NamedTuple):
    """One H0STCNI0 / H0STCNI9 record of our account. There is no fill id and no replay."""

    kind: NoticeKind
    action: str  # RCTF_CLS: 0 new, 1 modify, 2 cancel
    order_no: str  # 10 digits
    original_no: str  # 10 digits, "" for a new order
    symbol: str
    side: Side
    quantity: int  # of this fill when kind is FILL, else of the order
    price: int
    time: str  # HHMMSS


@dataclass(frozen=True, slots=True)
class Bar:
    """Trades of one symbol in [start, end), plus the closing auction in the last bar."""

    symbol: str
    start: datetime
    end: datetime
    open: int
    high: int
    low: int
    close: int
    volume: int
    value_krw: int
    trade_count: int
    gap: bool = False  # trades are missing: the feed was down, or shares of over 1 % unseen


HALTED = "trading halted"


@dataclass(frozen=True, slots=True)
class Instrument:
    """What the market rules need to know of a stock on one day."""

    symbol: str
    market: str  # KOSPI, KOSDAQ or KONEX
    fund: bool  # ETF or ETN: other tick sizes, no sell tax
    base_price: int
    upper_limit: int
    lower_limit: int
    last_price: int
    blocked: str = ""  # why no order may be sent: halted, administrative issue, ...
    name: str = ""

    @property
    def halted(self) -> bool:
        return self.blocked == HALTED


@dataclass(frozen=True, slots=True)
class Holding:
    """A line of the balance."""

    symbol: str
    quantity: int
    sellable: int
    average_price: Decimal
    name: str = ""


@dataclass(frozen=True, slots=True)
class Balance:
    """The account as the broker shows it.

    `settled_cash_krw` is prvs_rcdl_excc_amt: cash after all trades so far (D+2).
    dnca_tot_amt does not subtract unsettled buys and is not used.
    """

    settled_cash_krw: int
    fees_today_krw: int  # fees and taxes of today, thdt_tlex_amt
    total_value_krw: int
    holdings: tuple[Holding, ...]


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """A row of the order list of a day, as the broker shows it."""

    order_no: str
    original_no: str
    branch: str
    symbol: str
    side: Side
    kind: str
    quantity: int
    price: int
    filled_quantity: int
    filled_amount_krw: int
    cancelled_quantity: int
    rejected_quantity: int
    time: str  # HHMMSS

    @property
    def alive(self) -> int:
        """Shares that may still be filled under this number."""
        ended = self.filled_quantity + self.cancelled_quantity + self.rejected_quantity
        return self.quantity - ended


@dataclass(frozen=True, slots=True)
class ExitPlan:
    """When a position is to be closed. Prices in won; trail_ratio 0.01 is one per cent."""

    stop_price: int
    target_price: int = 0  # 0: none
    trail_ratio: float = 0.0  # 0: none; the stop follows the highest price above cost so far behind


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a strategy wants. It never sends; the engine checks, sizes down or refuses.

    `signal` names the cause (for instance the end of the bar) and makes the intent id: the
    same signal seen again, also after a restart, cannot become a second order.
    """

    symbol: str
    side: Side
    quantity: int
    signal: str
    kind: OrderKind = OrderKind.LIMIT
    price: int = 0
    plan: ExitPlan | None = None
    reason: str = ""
    facts: tuple[tuple[str, float], ...] = ()  # indicator values, for the journal
    owners: bool = False  # the owner's `buy`; never a strategy's


@dataclass(frozen=True, slots=True)
class DailyBar:
    """One day of one stock; price in won (int) or foreign currency (Decimal), value in won."""

    day: date
    open: int | Decimal
    high: int | Decimal
    low: int | Decimal
    close: int | Decimal
    volume: int
    value: int


class OrderStatus(enum.StrEnum):
    """Where an order stands. If you add one: TRANSITIONS, OPEN_STATUSES and the sets below it."""

    SUBMITTING = "submitting"  # the row is durable; the request may or may not have left
    NOT_SENT = "not sent"
    REJECTED = "rejected"
    UNKNOWN = "unknown"  # a request left and no usable answer came
    LOST = "lost"  # proved absent at the broker
    QUARANTINED = "quarantined"  # only the owner can say
    WORKING = "working"
    PARTIAL = "partially filled"
    FILLED = "filled"
    CANCEL_PENDING = "cancel pending"
    CANCEL_UNKNOWN = "cancel unknown"
    REPLACE_PENDING = "replace pending"
    REPLACE_UNKNOWN = "replace unknown"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class OrderEvent(enum.StrEnum):
    """What can happen to an order. Answers belong to the request that is under way."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_SENT = "not sent"
    NO_ANSWER = "no answer"
    CANCEL_SENT = "cancel sent"
    REPLACE_SENT = "replace sent"
    FOUND = "found"  # the order list shows it
    ABSENT = "absent"  # proved not to exist
    AMBIGUOUS = "ambiguous"  # several could be it, or time ran out
    STILL_WORKING = "still working"  # the order list shows a rest after a cancel or replace
    REPLACED = "replaced"  # the order list shows the child
    FILL = "fill"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected after acceptance"
    EXPIRED = "expired"


_S, _E = OrderStatus, OrderEvent
# Statuses in which nothing else may be sent for the symbol (but the cancel of a known order).
UNRESOLVED = frozenset({
    _S.SUBMITTING, _S.UNKNOWN, _S.QUARANTINED, _S.CANCEL_PENDING, _S.CANCEL_UNKNOWN,
    _S.REPLACE_PENDING, _S.REPLACE_UNKNOWN,
})  # fmt: skip
RESTING = frozenset({_S.WORKING, _S.PARTIAL})
OPEN_STATUSES = UNRESOLVED | RESTING
DOUBTFUL = frozenset({_S.UNKNOWN, _S.QUARANTINED})  # nobody knows whether the order exists
UNKNOWN_OUTCOME = DOUBTFUL | {_S.CANCEL_UNKNOWN, _S.REPLACE_UNKNOWN}  # of it, or of its change
NEVER_EXISTED = frozenset({_S.NOT_SENT, _S.REJECTED, _S.LOST})


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """The decision to send one order, durable before the first byte leaves. At most one POST."""

    intent_id: str
    trade_date: date
    symbol: str
    side: Side
    kind: OrderKind
    quantity: int
    price: int
    purpose: Literal["entry", "exit", "external"]
    leg: str
    signal: str
    at: datetime
    reserve_krw: int = 0  # cash that the broker will hold back for a buy
    cash_before_krw: int = -1  # orderable cash known before it, -1 unknown
    sellable_before: int = -1
    plan: ExitPlan | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """One event of one order. For FILL quantity and amount are CUMULATIVE for `order_no`."""

    intent_id: str
    event: OrderEvent
    at: datetime
    order_no: str = ""
    branch: str = ""
    quantity: int = 0
    amount_krw: int = 0
    price: int = 0
    kind: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class NumberHeard:
    """A notice named an order number that an order without one may have."""

    intent_id: str
    order_no: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PlanUpdate:
    """The exit plan of a position changed (a trailing stop moved)."""

    symbol: str
    plan: ExitPlan
    at: datetime


@dataclass(frozen=True, slots=True)
class DayOpened:
    """A trading day begins; what earlier days left over is forgotten or kept as unresolved."""

    day: date
    at: datetime
    waits: bool = False  # the owner's sells wait for the account of the day; False in older rows


@dataclass(frozen=True, slots=True)
class AccountTaken:
    """The account as the broker shows it is taken over: settled cash, shares that are not ours."""

    cash_krw: int
    external: dict[str, int]
    at: datetime


@dataclass(frozen=True, slots=True)
class SymbolStopped:
    """No new orders in this symbol today, and why; "" lifts it."""

    symbol: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ExitStarted:
    """A position is to be closed, whatever happens to the single orders of it."""

    symbol: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LevelSet:
    """The kill switch was moved. It holds over restarts until it is moved again."""

    level: KillLevel
    reason: str
    by_rule: bool  # a rule's level ends with its day, the owner's does not
    at: datetime


@dataclass(frozen=True, slots=True)
class PositionAdjusted:
    """Our shares changed without an order of ours: the owner sold by phone, for example."""

    symbol: str
    quantity: int
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class HoldSet:
    """A hold on entries that outlives a restart ("row" in HOLDS) began or ended."""

    reason: str
    on: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class CloseKept:
    """The last price of a day of a stock held over night, to know the next base price by."""

    symbol: str
    price: int
    day: date
    sure: bool  # of the closing auction or of REST after it; else the last trade that was heard
    at: datetime


@dataclass(frozen=True, slots=True)
class ActionSeen:
    """Over night a held stock's price scale or share count changed; exits wait for its answer."""

    symbol: str
    kind: Literal["split", "reverse split", "ex-date", "unexplained"]
    close: int  # of yesterday
    base: int  # of today
    before: int  # shares of ours
    after: int  # the same for the same cost: only a split of either kind changes them
    at: datetime


@dataclass(frozen=True, slots=True)
class ActionAnswered:
    """A corporate action is settled, by the owner or the settings; `plan` are the levels to come."""

    symbol: str
    base: int
    plan: ExitPlan | None
    note: str
    at: datetime


LedgerEntry: TypeAlias = (
    OrderIntent | OrderUpdate | NumberHeard | PlanUpdate | ExitStarted | DayOpened | AccountTaken
    | LevelSet | SymbolStopped | PositionAdjusted | HoldSet | CloseKept | ActionSeen
    | ActionAnswered
)  # fmt: skip


@dataclass(slots=True)
class Order:
    """An intent and what became of it. A modified order keeps its intent and gains a number."""

    intent: OrderIntent
    since: datetime  # of the present status
    status: OrderStatus = OrderStatus.SUBMITTING
    order_no: str = ""
    branch: str = ""
    price: int = 0
    kind: str = ""
    fills: dict[str, tuple[int, int]] = field(default_factory=dict)  # number -> shares, won
    fee_krw: int = 0
    tax_krw: int = 0
    note: str = ""  # what led to the present status
    pending_price: int = 0
    pending_kind: str = ""
    cancel_tries: int = 0
    heard: list[str] = field(default_factory=list)  # numbers that notices named for it

    @property
    def filled_quantity(self) -> int:
        return sum([quantity for quantity, _ in self.fills.values()])

    @property
    def filled_amount_krw(self) -> int:
        return sum([amount for _, amount in self.fills.values()])

    @property
    def remaining(self) -> int:
        """Shares that may still be filled; 0 once the order is over."""
        return self.intent.quantity - self.filled_quantity if self.status in OPEN_STATUSES else 0

    @property
    def own(self) -> bool:
        """Whether this program sent it."""
        return self.intent.purpose != "external"


@dataclass(slots=True)
class Position:
    """Shares of ours in one stock; average cost exact, fees not included."""

    quantity: int = 0
    cost: int | Fraction = 0
    plan: ExitPlan | None = None
    opened_at: datetime | None = None
    result: int | Fraction = 0  # of this round so far, after costs
    exit_reason: str = ""  # why it is being closed
    owners: bool = False  # opened by the owner's own `buy`: no wish of a strategy sells it
    scale: int | Fraction = 1  # today's price scale by that of the cost: below 1 after ex-dates

    @property
    def average_price(self) -> float:
        """Average price paid, won; 0 when flat."""
        return float(self.cost / self.quantity) if self.quantity else 0.0

    def values(self) -> tuple[Any, ...]:
        """Return everything that a position is, to compare it and to bring it back."""
        return (
            self.quantity, self.cost, self.plan, self.opened_at, self.result, self.exit_reason,
            self.owners, self.scale,
        )  # fmt: skip

    def take(self, values: tuple[Any, ...]) -> None:
        """Be again what values() returned; the object stays, since views hold it."""
        for name, value in zip(self.__slots__, values, strict=True):
            setattr(self, name, value)

    def clear(self) -> None:
        self.take(Position().values())


@dataclass(slots=True)
class DayTotals:
    """What a day brought, won. `gross` is exact; show it rounded."""

    gross: int | Fraction = 0
    fees_krw: int = 0
    taxes_krw: int = 0
    orders: int = 0
    fills: int = 0
    peak_krw: int = 0  # highest realised net result from yesterday's close on
    earlier: Fraction = Fraction(0)  # of the result: what shares of the night had gained by then
    sold: dict[str, int] = field(default_factory=dict)  # of these shares
    losses: dict[str, int] = field(default_factory=dict)  # lost rounds in a row; "" is over all
    lost_at: dict[str, datetime] = field(default_factory=dict)

    @property
    def gross_krw(self) -> int:
        """Realised P&L before costs, rounded half up."""
        gross = self.gross
        return (2 * gross.numerator + gross.denominator) // (2 * gross.denominator)

    @property
    def exact_net(self) -> int | Fraction:
        """Realised result net of costs, to the part of a won."""
        return self.gross - (self.fees_krw + self.taxes_krw)

    @property
    def net_krw(self) -> int:
        """Realised P&L after all fees and taxes of the day."""
        return self.gross_krw - self.fees_krw - self.taxes_krw


class OrderList(NamedTuple):
    """The broker's order list of a day, all pages. No list is not an empty list."""

    rows: tuple[BrokerOrder, ...]
    day: date | None = None  # of a day before this one


MarketEvent: TypeAlias = Trade | Quote | Notice | MarketStatus


class TimeEvent(NamedTuple):
    """Market time moved on. Comes before each batch of frames and at least once a second."""

    now: datetime


class Cash(NamedTuple):
    """Orderable cash without receivables (nrcvb_buy_amt)."""

    amount_krw: int


class PastBars(NamedTuple):
    """Closed bars of one symbol, oldest first."""

    symbol: str
    bars: tuple[Bar, ...]


class Seen(NamedTuple):
    """An answer of the broker to a question asked at `asked_at` (market time)."""

    value: Instrument | Balance | Cash | OrderList | PastBars
    asked_at: datetime


_Value = TypeVar("_Value")


class Known(NamedTuple, Generic[_Value]):
    """What the broker told last, and when it was asked: it may have changed since."""

    value: _Value
    asked_at: datetime = NEVER

    def age_s(self, now: datetime) -> float:
        """Return for how many seconds of market time it may be wrong."""
        return (now - self.asked_at).total_seconds()


class Outcome(enum.StrEnum):
    """How an order call ended. UNKNOWN is neither success nor failure."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_SENT = "not sent"
    UNKNOWN = "unknown"


TOO_FAST = "TOO_FAST"  # code of an answer of the gate: its own count is full, nothing left


class OrderAnswer(NamedTuple):
    """The end of one order call. `order_no` is set only when accepted."""

    outcome: Outcome
    order_no: str = ""
    branch: str = ""
    code: str = ""
    text: str = ""


class OrderAnswered(NamedTuple):
    """An order call for this intent has ended."""

    intent_id: str
    answer: OrderAnswer
    at: datetime


class Command(NamedTuple):
    """Something that happens to the program: a day, a connection, its start and end, a level.

    names: restarted (text: time of the last journal row), day (with the session), feed up, feed
    down, stop (text "cancel" takes resting entries back), level (text says why), resolve (text:
    INTENT=absent or INTENT=ORDER NUMBER), hold and release (text: a reason to stop entries),
    levels (text: SYMBOL=scale or SYMBOL=keep, the answer to a corporate action), and the owner's
    buy, sell, cancel, unlock (text: the arguments of COMMANDS).
    """

    name: Literal[
        "restarted", "day", "feed up", "feed down", "stop", "level", "resolve", "hold", "release",
        "levels", "buy", "sell", "cancel", "unlock",
    ]  # fmt: skip
    at: datetime
    session: Session | None = None
    text: str = ""
    level: KillLevel = KillLevel.ACTIVE


Event: TypeAlias = MarketEvent | TimeEvent | Seen | OrderAnswered | Command


class Record(NamedTuple):
    """A journal row, to be written before anything of the same event is done."""

    kind: str
    ref: str
    data: Any


class Pauses(tuple[float, ...]):
    """Seconds to wait after the first, second ... try that failed; the last of them goes on."""

    __slots__ = ()

    def after(self, failed: int) -> float:
        """Return the pause after so many tries that failed, before that the first."""
        return self[min(max(failed, 1), len(self)) - 1]

    def each(self) -> Iterator[float]:
        """Yield one pause after the other, without end."""
        return itertools.chain(self, itertools.repeat(self[-1]))


class OrderCall(NamedTuple):
    """One call to the broker: a new order, a cancel, or a change of kind and price."""

    action: Literal["new", "cancel", "change"]
    intent: OrderIntent
    order_no: str = ""
    branch: str = ""
    kind: str = ""
    price: int = 0


class Alert(NamedTuple):
    """Something to tell a person: a code of TEXTS and its values."""

    code: str
    values: dict[str, Any]


Question: TypeAlias = Literal["orders", "cash", "holdings", "price"]


class Ask(NamedTuple):
    """A question to put to the broker soon."""

    what: Question
    symbol: str = ""  # or the day of an older order list


Action: TypeAlias = Record | OrderCall | Alert | Ask

# ======================================================================================
# === 4. SETTINGS ===
# ======================================================================================
# Knows: how kis_devlp.yaml (the file of the official KIS samples plus our section `bot`) and
# the environment look, as TEXT. Reports all faults at once. Never opens a file.

ENVIRONMENT_KEYS = {  # environment variable -> key of kis_devlp.yaml
    "KIS_APP_KEY_REAL": "my_app",
    "KIS_APP_SECRET_REAL": "my_sec",
    "KIS_APP_KEY_VIRTUAL": "paper_app",
    "KIS_APP_SECRET_VIRTUAL": "paper_sec",
    "KIS_ACCOUNT_NUMBER": "my_acct_stock",
    "KIS_VIRTUAL_ACCOUNT": "my_paper_stock",
    "KIS_HTS_ID": "my_htsid",
}
VARIABLES = {key: variable for variable, key in ENVIRONMENT_KEYS.items()}
TELEGRAM_KEYS = ("TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID")
# Of the file: key, secret, account, REST and WebSocket host.
KEYS_OF: dict[str, tuple[str, ...]] = {
    "real": ("my_app", "my_sec", "my_acct_stock", "prod", "ops"),
    "paper": ("paper_app", "paper_sec", "my_paper_stock", "vps", "vops"),
}
FORMS = {  # last part of a key of the file -> what it is, how it looks
    "app": ("the app key", "앱키(36자)", r"[!-~]{8,128}"),
    "sec": ("the app secret", "앱시크릿(180자)", r"[!-~]{8,512}"),
    "stock": ("the account: 8 digits", "계좌번호 앞 8자리", r"[0-9]{8}(-?[0-9]{2})?"),
    "htsid": ("the HTS id, for order notices", "HTS 로그인 아이디(체결통보용)", r"[!-~]{2,40}"),
    "prod": ("two digits in quotes, usually '01'", "따옴표로 묶은 두 자리, 보통 '01'", r"[0-9]{2}"),
    "agent": ("one line of plain text", "영문 한 줄", r"[ -~]{1,500}"),
}
MAX_SETTINGS_BYTES = 64 * 1024
_PLACEHOLDER = re.compile(
    r"앱키|시크릿|사용자|계좌|입력|여기|[<>]|change.?me|placeholder|x{4,}|\*{3,}"
    r"|(?<![a-z0-9])(your|paste|here|todo)(?![a-z0-9])|your.?(app|key|secret|account|hts|id)",
    re.IGNORECASE,
)
# A key or secret as KIS makes them; chance puts any short word into one of some thousand.
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z])[0-9A-Za-z+/=]{30,}")
_LOOPBACK_URL = re.compile(
    r"(https?|wss?)://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?(/[\w./-]*)?"
)
# A host elsewhere only by https; this machine (tests, a relay of one's own) also without.
_SAFE_URL = re.compile(
    r"(https://[\w-]+(\.[\w-]+)+|https?://(127\.0\.0\.1|localhost|\[::1\]))(:[0-9]{1,5})?([/?][!-~]*)?",
    re.ASCII,
)


def _is_placeholder(text: str) -> bool:
    return _PLACEHOLDER.search(text) is not None and not _RANDOM.fullmatch(text)


def _shown(value: object) -> str:
    """Return a number, a short text or an address as it stands; of anything else the kind: no secrets."""
    text = repr(value) if isinstance(value, str) else str(value)
    most = 62 if "://" in text else 24
    secret = isinstance(value, str) and re.search("[0-9]{8}", text)  # may be an account
    if len(text) <= most and not secret and not isinstance(value, (dict, list)):
        return text
    return _kind_of(value, f" of {len(text)} characters", f" ({len(text)}자)")


_KINDS = {
    "str": "글자", "int": "숫자", "float": "숫자", "bool": "true/false", "dict": "묶음", "list": "목록",
}  # fmt: skip


def _kind_of(value: object, en: str = "", ko: str = "") -> Both:
    """Return what kind of value stands there, where the value itself may be a secret."""
    kind = type(value).__name__
    return Both(f"a {kind}{en}", f"{_KINDS.get(kind, kind)}{ko}")


NOTHING = Both("nothing", "비어 있음")
UNKNOWN_KEY = Both("an unknown key", "모르는 항목")


def _named(key: object) -> str:
    """Return a key as it stands; not one too long or odd for a key, which may be a secret."""
    text = str(key)
    return text if len(text) <= 30 and text.isprintable() else f"(key of {len(text)} characters)"


class Unfit(ValueError):
    """A value that a validator refuses: what is expected, and what was found where it says more.

    Of a value that may be a secret `found` tells the kind. `part` is the key inside that is meant.
    """

    def __init__(self, en: str, ko: str, found: str = "", part: str = "") -> None:
        super().__init__(Both(en, ko))
        self.found, self.part = found, part


@dataclass(frozen=True, slots=True)
class Reading:
    """What validators know of a person's file: the context of its model.

    Settings that contradict each other are a fault of such a file. A recording, whose limits may be
    those of the first live days, is read without one.
    """

    environment: Literal["real", "paper"]
    simulated: bool  # the REST host is this machine
    outside: bool = True  # keys may come from the environment: not those of --live
    heard: dict[str, Any] = field(default_factory=dict)  # by the last key, also what contradicts


def _above(value: Any, info: ValidationInfo) -> dict[str, Any]:
    """Return what stands above a setting, and itself; keep it for those that are read later."""
    heard: dict[str, Any] = info.context.heard if info.context else {}
    heard[str(info.field_name)] = value
    return {**info.data, **heard}


class _Strict(BaseModel):
    """Unknown keys are faults, values are frozen, stock codes read as numbers become text."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, coerce_numbers_to_str=True, allow_inf_nan=False
    )


MONEY_LIMITS = ("max_order_krw", "max_symbol_krw", "max_total_krw", "max_daily_loss_krw")
NOT_ABOVE = (  # a limit, the one that holds it, what it would mean otherwise
    ("max_order_krw", "max_symbol_krw", "an order above what a stock may hold", "한 종목 한도를 넘는 주문"),
    ("max_symbol_krw", "max_total_krw", "one stock above what all may hold", "전체 한도를 넘는 종목"),
    ("max_daily_loss_krw", "max_total_krw", "more lost than is ever held", "보유 한도보다 큰 손실"),
    ("max_orders_per_minute", "max_orders_per_day", "a minute uses up the day", "1분에 하루치 주문"),
)  # fmt: skip


class Limits(_Strict):
    """What may leave this program at most. Money limits have no default: missing means refuse."""

    max_order_krw: int = Field(gt=0, le=CEILING_ORDER_KRW, description="won, one order")
    max_symbol_krw: int = Field(gt=0, le=CEILING_TOTAL_KRW, description="won held in one stock")
    max_total_krw: int = Field(gt=0, le=CEILING_TOTAL_KRW, description="won held in all stocks")
    max_daily_loss_krw: int = Field(gt=0, le=CEILING_TOTAL_KRW, description="won lost today")
    max_daily_loss_pct: float = Field(3.0, gt=0, le=50, description="% of the morning's equity")
    max_drawdown_krw: int | None = Field(None, gt=0, description="won below today's peak")
    losses_in_a_row: int = Field(3, ge=1, le=20, description="lost rounds: symbol pauses")
    losses_in_a_row_all: int = Field(5, ge=1, le=50, description="lost rounds: everything pauses")
    loss_pause_minutes: int = Field(30, ge=1, le=390)
    max_quantity: int = Field(CEILING_QUANTITY, ge=1, le=CEILING_QUANTITY, description="shares")
    max_positions: int = Field(5, ge=1, le=40)
    max_orders_per_minute: int = Field(6, ge=1, le=CEILING_ORDERS_PER_MINUTE)
    max_orders_per_day: int = Field(100, ge=1, le=2_000)
    collar_pct: float = Field(3.0, gt=0, le=10, description="order price against last price")
    max_data_age_s: float = Field(3.0, ge=0.5, le=120, description="older trades open nothing")
    max_quote_age_s: float = Field(5.0, ge=0.5, le=120, description="older REST prices neither")

    @field_validator(*dict.fromkeys(name for pair in NOT_ABOVE for name in pair[:2]))
    @classmethod
    def _fits(cls, value: int, info: ValidationInfo) -> int:
        known = _above(value, info)
        for name, other, en, ko in NOT_ABOVE if info.context else ():
            if info.field_name in (name, other) and known.get(name, 0) > known.get(other, math.inf):
                rule = f"{name} ({known[name]:,}) <= {other} ({known[other]:,})"
                raise Unfit(f"{rule}: {en}", f"{rule}: {ko}", f"{value:,}")
        return value


class ClockAnchor(_Strict):
    """Market time of a simulated server: market + (unix time now - unix) x speed."""

    unix: float
    market: datetime
    speed: float = Field(1.0, gt=0, le=5_000)

    @field_validator("market")
    @classmethod
    def _needs_zone(cls, value: datetime) -> datetime:
        if value.tzinfo is None or not 2000 <= value.year < 2100:
            such = "2026-11-20T08:50:00+09:00"
            raise Unfit(f"a time with zone, such as {such}", f"시간대가 있는 시각, 예: {such}")
        return value.astimezone(KST)


LATEST_ENTRY = clock_time(15, 20)  # continuous trading ends (rule)
LATEST_FLAT = clock_time(15, 29)  # the closing auction takes orders until 15:30 (rule)
BARE_TIME = ("a time of day without zone, such as 15:12", "시간대 없는 시각, 예: 15:12")


Kind: TypeAlias = Literal["entry", "fill", "exit", "refusal", "warning", "start", "report"]
Noise: TypeAlias = Literal["on", "silent", "off"]
DEFAULT_NOISE: dict[Kind, Noise] = {
    "entry": "on", "fill": "silent", "exit": "on", "refusal": "silent", "warning": "on",
    "start": "silent", "report": "on",
}  # fmt: skip


class BotSettings(_Strict):
    """The section `bot` of kis_devlp.yaml."""

    symbols: tuple[str, ...] = Field(min_length=1, max_length=20)
    limits: Limits
    mode: Literal["paper", "live"] = Field("paper", description="live: one key of several")
    live_account_pin: str = Field("", description="made by --make-pin")
    language: Literal["ko", "en"] = "ko"
    strategy: str = Field("breakout", description="breakout, or path/to/file.py:ClassName")
    parameters: dict[str, Any] = Field(default_factory=dict, description="of the strategy")
    bar_minutes: int = Field(5, ge=1, le=60)
    bar_lateness_s: float = Field(3.0, ge=0, le=300, description="a bar closes this late")
    entry_timeout_s: float = Field(30.0, ge=1, le=3_600, description="unfilled entries go")
    exit_step_s: float = Field(5.0, ge=1, le=600, description="an exit order is made stronger")
    last_entry: clock_time = Field(clock_time(14, 50), validate_default=True)
    flat_at: clock_time | None = Field(clock_time(15, 12), validate_default=True)
    on_stop: Literal["cancel", "keep"] = "cancel"
    on_corporate_action: Literal["hold", "scale"] = Field("hold", description="stop and target")
    funds: tuple[str, ...] = Field((), description="symbols to be treated as ETF or ETN")
    stock_fee_pct: Decimal = Field(STOCK_FEE_PCT, ge=0, le=1)
    fund_fee_pct: Decimal = Field(FUND_FEE_PCT, ge=0, le=1)
    hashkey: bool = False
    cma: bool = False  # the cash of a CMA account stands in its CMA value, its deposit is 0
    rest_calls_per_second: float | None = Field(None, gt=0, le=1_000_000)
    state_dir: str = "kis_state"
    record: bool = Field(True, description="keep raw frames and events for replays")
    record_days: int = Field(30, ge=1, le=3_650)
    record_max_mb: int = Field(2_000, ge=10, le=1_000_000)
    telegram_api: str = TELEGRAM_API
    telegram_users: tuple[int, ...] = Field((), max_length=10, description="who may command")
    notify: dict[Kind, Noise] = Field({}, description="what rings: on, silent, off")
    webhook_url: SecretStr = Field(SecretStr(""), description="what is urgent goes there as well")
    heartbeat_url: SecretStr = Field(SecretStr(""), description="asked each minute: it lives")
    market_clock: ClockAnchor | None = None

    @field_validator("symbols", "funds")
    @classmethod
    def _codes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [code for code in value if not re.fullmatch(r"[0-9A-Z]{6}|Q[0-9A-Z]{6}", code)]
        twice = [code for code, count in Counter(value).items() if count > 1]
        if wrong or twice:
            lost = [f"'{code:0>6}'" for code in wrong if code.isdecimal() and len(code) < 6]
            such = ", ".join(lost) or "'005930'"
            odd = [f"'{code}'" if len(code) < 8 else "***" for code in wrong]
            raise Unfit(
                f"six characters each, once, in quotes, as {such}; see --find NAME",
                f"여섯 자리 종목코드를 따옴표로 한 번씩, 예: {such}; --find 이름으로 찾기",
                ", ".join([*odd[:3], *(f"{code} x2" for code in twice[:3])]),
            )
        return value

    @field_validator("parameters")
    @classmethod
    def _one_stop_does_not_end_the_day(cls, value: dict[str, Any], info: ValidationInfo) -> Any:
        risk, most = value.get("risk_krw"), _above(value, info).get("max_daily_loss_krw", math.inf)
        if isinstance(risk, int) and risk > most:
            raise Unfit(
                f"at most limits.max_daily_loss_krw, {most:,}: one stop would end the day",
                f"하루 손실 한도({most:,}) 이하; 손절 한 번에 하루가 끝납니다", f"{risk:,}", "risk_krw",
            )  # fmt: skip
        return value

    @field_validator("last_entry")
    @classmethod
    def _leaves_time_to_buy(cls, value: clock_time, info: ValidationInfo) -> clock_time:
        if value.tzinfo:
            raise Unfit(*BARE_TIME)
        wait = _above(value, info).get("parameters", {}).get("first_bar_minutes")
        minutes = 9 * 60 + (wait if isinstance(wait, int) and 0 <= wait < 400 else 0)
        opens = clock_time(minutes // 60, minutes % 60)
        if info.context and not opens < value <= LATEST_ENTRY:
            raise Unfit(
                f"after {opens:%H:%M} and not after {LATEST_ENTRY:%H:%M}: no time is left to buy",
                f"{opens:%H:%M} 뒤, {LATEST_ENTRY:%H:%M}까지; 매수할 시간이 없습니다",
            )
        return value

    @field_validator("flat_at")
    @classmethod
    def _leaves_time_to_sell(cls, value: clock_time | None, info: ValidationInfo) -> Any:
        if value and value.tzinfo:
            raise Unfit(*BARE_TIME)
        last_entry = _above(value, info).get("last_entry")
        if value and last_entry and value < last_entry:
            raise Unfit(
                f"not before last_entry, {last_entry:%H:%M}: it would be sold at once",
                f"last_entry({last_entry:%H:%M})보다 이르지 않게; 사자마자 팔게 됩니다",
            )
        if value and value > LATEST_FLAT:
            raise Unfit(
                f"not after {LATEST_FLAT:%H:%M}: no order is taken after 15:30",
                f"{LATEST_FLAT:%H:%M} 이전; 15:30이 지나면 주문을 받지 않습니다",
            )
        return value

    @field_validator("market_clock", "rest_calls_per_second")
    @classmethod
    def _as_outside_a_simulator(cls, value: Any, info: ValidationInfo) -> Any:
        if not value or not info.context or info.context.simulated:
            return value
        most = REST_CALLS_PER_SECOND[info.context.environment]
        if info.field_name == "market_clock":
            found = Both("a clock", "시계가 적혀 있음")
            raise Unfit("nothing outside a simulator", "시뮬레이터가 아니면 비울 것", found)
        if value > most:
            raise Unfit(f"at most {most} outside a simulator", f"시뮬레이터가 아니면 {most} 이하")
        return value

    @field_validator("telegram_api", "webhook_url", "heartbeat_url")
    @classmethod
    def _safe_address(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name == "telegram_api":  # the token leaves for Telegram only
            if value != TELEGRAM_API and not _LOOPBACK_URL.fullmatch(value):
                raise Unfit(TELEGRAM_API, TELEGRAM_API)
        elif value and not _SAFE_URL.fullmatch(value.get_secret_value()):  # itself a secret
            raise Unfit("https://...", "https:// 주소", Both("another address", "다른 주소"))
        return value


# What --check takes where a file has no section `bot`: no stock, and limits that let nothing out.
NO_SECTION = BotSettings.model_construct(
    symbols=(), limits=Limits.model_construct(None, **dict.fromkeys(MONEY_LIMITS, 0))
)


class SettingsFile(_Strict):
    """kis_devlp.yaml, whole: the keys of the official samples, and our section.

    Only what one environment needs is looked at; the other half may be empty. Needs a Reading.
    """

    model_config = ConfigDict(validate_default=True)

    my_app: str = ""
    my_sec: str = ""
    paper_app: str = ""
    paper_sec: str = ""
    my_htsid: str = ""
    my_acct_stock: str = ""
    my_acct_future: str = ""
    my_paper_stock: str = ""
    my_paper_future: str = ""
    my_prod: str = "01"
    prod: str = REAL_REST
    ops: str = REAL_WS
    vps: str = PAPER_REST
    vops: str = PAPER_WS
    my_token: str = ""
    my_agent: str = f"kis-realtime-trading/{__version__}"
    bot: BotSettings

    @field_validator(*sum(KEYS_OF.values(), ()), "my_htsid", "my_prod", "my_agent")
    @classmethod
    def _as_kis_makes_them(cls, value: str, info: ValidationInfo) -> str:
        name, environment = str(info.field_name), info.context.environment  # type: ignore[union-attr]
        if name in KEYS_OF["paper" if environment == "real" else "real"]:
            return value
        if name in ("prod", "ops", "vps", "vops"):
            return _host(value, cls.model_fields[name].default, environment)
        en, ko, form = FORMS[name.rpartition("_")[2]]
        variable = VARIABLES.get(name)
        if name in KEYS_OF[environment]:
            kind = {"real": "실전", "paper": "모의투자"}[environment]
            en, ko = f"{en} ({environment})", f"{kind} {ko}"
        if variable and info.context.outside:  # type: ignore[union-attr]
            en, ko = f"{en}, or {variable}", f"{ko}, 또는 환경변수 {variable}"
        if not value.strip():
            raise Unfit(en, ko, NOTHING)
        if variable and _is_placeholder(value):
            raise Unfit(en, ko, Both("the placeholder of the example", "예제의 문구 그대로"))
        if not re.fullmatch(form, value):
            count = len(value)
            raise Unfit(
                en, ko, Both(f"{count} characters of another form", f"형식이 다른 {count}자")
            )
        if name.endswith("_sec") and len(info.data.get(KEYS_OF[environment][0], "")) > len(value):
            shorter = Both("shorter than the app key", "앱키보다 짧음")
            raise Unfit("key and secret not swapped", "앱키와 시크릿이 서로 바뀌지 않게", shorter)
        return value


def _host(url: str, official: str, environment: str) -> str:
    """Return a base URL: the official one, or this machine (a simulator). Raises Unfit."""
    url, hosts = url.rstrip("/"), (REAL_REST, REAL_WS, PAPER_REST, PAPER_WS)
    here = _LOOPBACK_URL.fullmatch(url)
    if url == official or (here and here[1] in (official.partition(":")[0], "http")):
        return url
    wrong = Both("the host of the other environment", "다른 쪽(실전/모의)의 주소")
    found = wrong if url in hosts else _shown(url) if "://" in url else _kind_of(url)
    en, ko = ("real", "실전") if environment == "real" else ("paper", "모의")
    raise Unfit(f"{official} ({en})", f"{official} ({ko})", found)


@dataclass(frozen=True, slots=True)
class Profile:
    """Where to connect and as whom. Made for one environment; never holds the other's keys."""

    environment: Literal["real", "paper"]
    rest_url: str
    ws_url: str
    app_key: Secret
    app_secret: Secret
    account: Secret  # 8 digits, CANO
    product: str  # 2 digits, ACNT_PRDT_CD
    hts_id: Secret
    agent: str

    @property
    def simulated(self) -> bool:
        """Whether the REST host is this machine."""
        return urllib.parse.urlsplit(self.rest_url).hostname in LOOPBACK_HOSTS

    @property
    def mode(self) -> str:
        return self.environment + (" (simulated)" if self.simulated else "")

    @property
    def account_tail(self) -> str:
        """Return the account as shown to people: its last two digits."""
        return "******" + self.account.reveal()[-2:]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything read from the file and the environment."""

    profile: Profile
    bot: BotSettings
    telegram_token: Secret
    telegram_chat: str


class _Loader(yaml.SafeLoader):
    """YAML without the traps: 005930 stays text, 15:15 stays text, `on` is no boolean.

    Plain safe_load reads codes of digits 0-7 as octal numbers and lets doubled keys win silently.
    Doubled keys are collected as faults instead. Tags, anchors, aliases and merges have no place in
    a settings file: they make objects, and few lines stand for millions of values.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.doubled: list[Fault] = []
        self.lines: dict[str, int] = {}  # of each key by its path, as bot.limits.max_order_krw
        self._above: list[str] = []

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        marked = event.anchor or getattr(event, "tag", None)
        if marked or (getattr(event, "value", "") == "<<" and event.implicit[0]):
            problem = "a tag, anchor, alias or merge"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        if index is None:  # the text, or a key of it
            return super().compose_node(parent, index)  # type: ignore[arg-type]
        line = getattr(index, "start_mark", event.start_mark).line + 1
        self._above.append(str(getattr(index, "value", index)))
        path = ".".join(self._above)
        if first := self.lines.get(path):
            found = Both(f"a second time, first in line {first}", f"{first}행에 이미 있음")
            key = ".".join(map(_named, self._above))
            self.doubled.append(Fault(key, found, Both("each key once", "한 번만"), line))
        self.lines.setdefault(path, line)
        node = super().compose_node(parent, index)
        self._above.pop()
        return node


_Loader.yaml_implicit_resolvers = {}  # anything else is a text
for _tag, _pattern, _first in (
    ("null", r"^(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?(0|[1-9][0-9_]*)$", [*"-+0123456789"]),
    ("float", r"^[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$", [*"-+.0123456789"]),
    ("bool", r"^(true|false|True|False)$", [*"tTfF"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


NO_YAML = "(file)"  # the key of a fault of the whole file
YAML_PROBLEMS = {  # what the parser says, and how a Korean is told; the first that fits
    "'\\t'": "탭", "anchor, alias": "태그나 앵커", "mapping values are not allowed": "한 줄에 콜론(:)이 둘이거나 들여쓰기가 다름",
    "expected ':'": "콜론(:)이 없음", "end of stream": "닫지 않은 따옴표나 괄호",
    "<block end>": "이 줄이나 위에 닫지 않은 따옴표, 또는 다른 들여쓰기",
    "cannot start any token": "따옴표로 묶지 않은 기호", "escape": "큰따옴표 안의 \\",
}  # fmt: skip


def parse_yaml(text: str) -> tuple[dict[str, Any], list[Fault]]:
    """Read YAML text into a mapping; return it with the faults seen on the way."""
    try:
        if len(text.encode()) > (most := MAX_SETTINGS_BYTES):
            large = Both(f"more than {most:,} bytes", f"{most:,}바이트보다 큼")
            return {}, [Fault(NO_YAML, large, Both("a settings file", "설정 파일"))]
        loader = _Loader(text)
        data = loader.get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = str(getattr(error, "problem", "")).removeprefix("found ")
        begins = "while scanning a" in str(getattr(error, "context", ""))  # a quote, or a key
        where = getattr(error, "context_mark" if begins else "problem_mark", None)
        known = (korean for english, korean in YAML_PROBLEMS.items() if english in problem)
        found = Both(problem or "no YAML", next(known, "YAML로 읽을 수 없는 글"))
        expected = Both(
            "YAML text, two blanks a level, no tabs, quotes in pairs",
            "YAML 형식: 한 단계에 빈칸 두 개, 탭 없이, 따옴표는 짝을 맞추어",
        )
        return {}, [Fault(NO_YAML, found, expected, where.line + 1 if where else 0)]
    if data is not None and not isinstance(data, dict):
        lines = Both("lines of `key: value`", "`항목: 값`으로 된 줄")
        return {}, [Fault(NO_YAML, _kind_of(data), lines)]
    return {str(key): value for key, value in (data or {}).items()}, loader.doubled


def model_faults(model: type[BaseModel], error: ValidationError, *prefix: str) -> list[Fault]:
    """Turn the errors of pydantic into faults of our own words; `prefix`: the keys above the model."""
    faults = []
    for item in error.errors():
        cause, inner, loc = item.get("ctx", {}).get("error"), model, item["loc"] or ("",)
        for part in loc[:-1]:
            inner = _inner_model(inner, part) or inner
        fields, path = inner.model_fields, [*prefix, *map(_named, loc)]
        field = next((fields[part] for part in reversed(loc) if part in fields), None)
        if isinstance(cause, Unfit) and cause.part:
            path.append(cause.part)
        nothing = item["type"] == "missing" or item["input"] is None
        found = getattr(cause, "found", "") or (NOTHING if nothing else _shown(item["input"]))
        if item["type"] in ("extra_forbidden", "invalid_key"):
            found, expected = UNKNOWN_KEY, _place_of(str(loc[-1]), fields, ".".join(path[:-1]))
        elif isinstance(cause, ValueError) and cause.args:
            expected = cause.args[0]
        else:
            expected = _wanted(field, item["type"] == "dict_type", isinstance(loc[-1], int))
        faults.append(Fault(".".join(path), found, expected))
    return faults


def _inner_model(model: Any, name: Any) -> Any:
    """Return the model that stands under a key of another, None where there is none."""
    field = model.model_fields.get(name)
    kinds = get_args(field.annotation) or (field.annotation,) if field else ()
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


_WANTED = {
    int: ("a whole number", "정수"), float: ("a number", "숫자"), Decimal: ("a number", "숫자"),
    bool: ("true or false", "true 또는 false"), clock_time: ("a time as 15:12", "시각, 예: 15:12"),
    str: ("a text in quotes", "따옴표로 묶은 글자"), tuple: ("a list as [a, b]", "목록, 예: [a, b]"),
    datetime: ("a time with zone", "시간대가 있는 시각"), SecretStr: ("an address", "주소"),
}  # fmt: skip


def _wanted(field: Any, lines: bool = False, inside: bool = False) -> Both:
    """Return what a setting, or what is inside its list, has to be: kind, bounds, whether null."""
    example = "kis_devlp.yaml.example"
    section = (f"indented lines as in {example}", f"{example}처럼 들여 쓴 줄")
    if field is None or lines:
        return Both(*section)
    kinds, origin = get_args(field.annotation), getattr(field.annotation, "__origin__", None)
    if origin is dict and getattr(kinds[1], "__origin__", None) is Literal:  # notify
        origin, kinds = Literal, get_args(kinds[1])
    if origin is Literal:
        known = ", ".join(map(str, kinds))
        return Both(f"one of {known}", f"{known} 중 하나")
    if inside:
        return Both(*_WANTED.get(kinds[0], section))
    kind = next((k for k in (origin, *kinds, field.annotation) if k in _WANTED), None)
    en, ko = _WANTED[kind] if kind else section
    for bound, english, korean in (
        ("gt", "above {}", "{} 초과"), ("ge", "from {}", "{} 이상"), ("lt", "below {}", "{} 미만"),
        ("le", "up to {}", "{} 이하"), ("min_length", "at least {}", "{}개 이상"),
        ("max_length", "at most {}", "{}개 이하"),
    ):  # fmt: skip
        for mark in field.metadata:
            if (value := getattr(mark, bound, None)) is not None:
                shown = f"{value:,}" if isinstance(value, (int, float)) else str(value)
                en, ko = f"{en}, {english.format(shown)}", f"{ko}, {korean.format(shown)}"
    if type(None) in kinds:
        en, ko = f"{en}, or null", f"{ko}, 또는 null"
    if kind and field.is_required():
        en, ko = f"{en}; there is no default on purpose", f"{ko}; 기본값이 없습니다"
    return Both(en, ko)


def _place_of(key: str, known: Iterable[str], prefix: str) -> Both:
    """Return what to write in place of a key that nobody knows there."""
    sections: dict[str, Any] = {"": SettingsFile, "bot": BotSettings, "bot.limits": Limits}
    for name, model in sections.items():
        if key in model.model_fields and name != prefix:
            en, ko = (f"`{name}`", f"{name} 아래") if name else ("the left margin", "맨 왼쪽")
            return Both(f"to stand under {en}", f"{ko}에 둘 것")
    near = ", ".join(near_words(key, known))
    for name, model in sections.items():  # of another section with its path
        words = near_words(key, model.model_fields)
        near = near or next((f"{name}.{each}".strip(".") for each in words), "")
    if near:
        return Both(f"{near}, perhaps", f"혹시 {near}?")
    where = "kis_devlp.yaml.example" if prefix in sections else ", ".join(sorted(known)) or "none"
    return Both(f"one of the keys of {where}", f"{where}에 있는 항목")


def placed(faults: Iterable[Fault], text: str) -> list[Fault]:
    """Return faults with the lines of the file that they are about, in the order of the file."""
    try:
        loader = _Loader(text)
        loader.get_single_node()
        lines = loader.lines
    except (yaml.YAMLError, ValueError, RecursionError):
        lines = {}  # such a file has one fault, which names its line itself
    found = []
    for fault in faults:
        key = fault.key.split(" ")[0]
        while key and key not in lines:  # one that is missing belongs to its section
            key = key.rpartition(".")[0]
        found.append(fault._replace(line=fault.line or lines.get(key, 0)))
    return sorted(found, key=lambda fault: fault.line or math.inf)


def is_simulated(data: Mapping[str, Any], environment: Literal["real", "paper"]) -> bool:
    """Tell whether the REST host of a file is this machine."""
    return _LOOPBACK_URL.fullmatch(str(data.get(KEYS_OF[environment][3]))) is not None


def read_settings(
    text: str, environ: Mapping[str, str], environment: Literal["real", "paper"],
    live_text: str | None = None, need_bot: bool = True,
) -> Settings:  # fmt: skip
    """Turn texts into the settings of one environment. Raises SettingsError with all faults.

    `live_text`: the file that holds the real keys; then none is taken from `environ`.
    """
    data, faults = parse_yaml(text)
    given = {key: value.strip() for key, value in environ.items() if value.strip()}
    faults += _keys_outside(data, given) if live_text is None else _live_keys(data, live_text)
    if any(NO_YAML in fault.key for fault in faults):  # or all that it holds would be missing
        raise SettingsError(faults)
    token, chat = (given.get(key, "") for key in TELEGRAM_KEYS)
    if not re.fullmatch(r"[!-~]*", token + chat):
        odd = Both("blanks or odd characters", "빈칸이나 이상한 글자")
        faults.append(Fault(" ".join(TELEGRAM_KEYS), odd, Both("plain texts", "영문자와 숫자")))
    if bool(token) != bool(chat):
        both = Both("both Telegram values, or neither", "텔레그램 값 둘 다, 또는 둘 다 없이")
        faults.append(Fault(TELEGRAM_KEYS[bool(token)], NOTHING, both))
    known = SettingsFile.model_fields  # of which an empty one is its default
    written = {
        key: each for key, each in data.items() if each not in (None, "") or key not in known
    }
    if not need_bot:
        written.setdefault("bot", NO_SECTION)
    reading = Reading(environment, is_simulated(data, environment), live_text is None)
    try:
        file = SettingsFile.model_validate(written, context=reading)
    except ValidationError as error:
        faults += model_faults(SettingsFile, error)
    if faults:  # real keys have a file of their own: such a fault has no line of this one
        ours = [each for each in faults if each.key.startswith("bot") or live_text is None]
        others = [fault for fault in faults if fault not in ours]
        raise SettingsError([*placed(ours, text), *others])
    app, secret, account, rest, ws = (getattr(file, key) for key in KEYS_OF[environment])
    digits = account.replace("-", "")
    profile = Profile(
        environment, rest, ws, Secret(app), Secret(secret), Secret(digits[:8]),
        digits[8:] or file.my_prod, Secret(file.my_htsid), file.my_agent,
    )  # fmt: skip
    return Settings(profile, file.bot, Secret(token), chat)


def _keys_outside(data: dict[str, Any], environ: Mapping[str, str]) -> Iterator[Fault]:
    """Take keys from the environment; one that contradicts the file is a fault."""
    for variable, key in ENVIRONMENT_KEYS.items():
        inside, outside = str(data.get(key) or ""), environ.get(variable)
        if outside and (not inside or _is_placeholder(inside)):
            data[key] = outside
        elif outside and outside != inside:
            found = Both(f"another value than {variable}", f"{variable}와 다른 값")
            yield Fault(
                key, found, Both("the same value, or one of them only", "같은 값, 또는 한쪽에만")
            )


def _live_keys(data: dict[str, Any], live_text: str) -> Iterator[Fault]:
    """Take the real keys from their own file; in the common file they are a fault."""
    keys, faults = parse_yaml(live_text)
    yield from (fault._replace(key=f"live file: {fault.key}") for fault in faults)
    for name in ("my_app", "my_sec"):
        if (here := str(data.get(name) or "")) and not _is_placeholder(here):
            beside = Both("a real key beside the paper keys", "모의 키 옆에 실전 키가 있음")
            yield Fault(name, beside, Both("only in the live- file", "live- 파일에만"))
    for name, value in keys.items():
        if name in ("my_app", "my_sec", "my_acct_stock", "my_prod", "my_htsid"):
            data[name] = value
        else:
            yield Fault(
                f"live file: {_named(name)}", UNKNOWN_KEY, "my_app, my_sec, my_acct_stock ..."
            )


# --- the keys to real money -------------------------------------------------------------

ACKNOWLEDGED_FOR = timedelta(hours=24)
LIVE_FILE_PREFIX = "live-"
# Live days so far, below -> (shares in one order, part of the money limits). Then the full limits.
LIVE_RAMP = ((5, 1, Fraction(1)), (15, CEILING_QUANTITY, Fraction(1, 10)))


def make_pin(account: str, product: str, salt: str) -> str:
    """Return the pin of an account: it tells whether an account is the right one, not which."""
    raw = hashlib.scrypt(f"{account}-{product}".encode(), salt=salt.encode(), n=1 << 12, r=8, p=1)
    return f"{salt}${raw.hex()[:32]}"


def signature(profile: Profile, limits: Limits, build: str) -> dict[str, str]:
    """Return what the owner signs for: real money follows this account, limits and program only."""
    every_limit = hashlib.sha256(limits.model_dump_json().encode()).hexdigest()[:16]
    return {"account": profile.account_tail, "limits": every_limit, "build": build}


def live_faults(
    settings: Settings, command_line: bool, credentials_file: str, acknowledged: Mapping[str, str],
    build: str, now: datetime,
) -> list[Fault]:  # fmt: skip
    """Return what keeps real money locked; empty when every key agrees. Sends nothing.

    `command_line`: --live was given. `credentials_file`: the name of the file that the real keys
    came from, "" for none. `acknowledged`: what the owner signed last. `build`: hash of this program.
    """
    profile, bot = settings.profile, settings.bot
    pin, account = bot.live_account_pin, profile.account.reveal()
    right = make_pin(account, profile.product, pin.split("$")[0] or "-")
    pinned = hmac.compare_digest(right.encode(), pin.encode())
    try:
        age = now - datetime.fromisoformat(acknowledged.get("at", ""))
    except (ValueError, TypeError):  # no time, a number in its place, a time without zone
        age = ACKNOWLEDGED_FOR * 2
    hosts = (profile.environment, profile.rest_url, profile.ws_url) == ("real", REAL_REST, REAL_WS)
    said = signature(profile, bot.limits, build)
    named = all(acknowledged.get(name) == value for name, value in said.items())
    fresh = timedelta(0) <= age <= ACKNOWLEDGED_FOR
    apart = credentials_file.startswith(LIVE_FILE_PREFIX)
    others = Both("other account, limits or program", "다른 계좌·한도·프로그램의 서명")
    tests = (
        (command_line, "command line", Both("no --live", "--live 없음"), "--live"),
        (bot.mode == "live", "bot.mode", repr(bot.mode), "live"),
        (pinned, "bot.live_account_pin", Both("another account's pin, or none", "다른 계좌의 핀"), "--make-pin"),
        (hosts, "prod and ops", profile.rest_url, f"{REAL_REST} and {REAL_WS}"),
        (apart, "--credentials", credentials_file or NOTHING, f"{LIVE_FILE_PREFIX}NAME.yaml"),
        (named, "acknowledgement", others, "--acknowledge"),
        (fresh, "acknowledgement", Both("none within 24 h", "24시간 안의 서명이 없음"), "--acknowledge"),
    )  # fmt: skip
    return [Fault(key, found, expected) for good, key, found, expected in tests if not good]


def ramped_limits(limits: Limits, live_days: int) -> Limits:
    """Return the limits of the first live days: one share an order, then a tenth of the money."""
    for below, shares, part in LIVE_RAMP:
        if live_days < below:
            smaller = {name: max(1, int(getattr(limits, name) * part)) for name in MONEY_LIMITS}
            smaller["max_quantity"] = min(shares, limits.max_quantity)
            return limits.model_copy(update=smaller)
    return limits


# ======================================================================================
# === 5. MARKET RULES ===
# ======================================================================================
# Knows: tick sizes, sessions, trading days, fees and taxes by date. Pure functions of their
# arguments. Never knows: today.


class Phase(enum.StrEnum):
    """Where the exchange stands in its day."""

    CLOSED = "closed"
    OPENING_AUCTION = "opening auction"
    CONTINUOUS = "continuous"
    CLOSING_AUCTION = "closing auction"
    AFTER = "after close"


_AUCTION = timedelta(minutes=10)  # of the close; that of the open lasts three times as long


@dataclass(frozen=True, slots=True)
class Session:
    """The regular KRX session of one day, times aware in KST."""

    day: date
    open: datetime
    close: datetime

    @property
    def auction_start(self) -> datetime:
        """Start of the closing auction, ten minutes before the close."""
        return self.close - _AUCTION

    def phase(self, now: datetime) -> Phase:
        """Return the phase at a moment. The auctions end up to 30 s late at random (rule)."""
        if now < self.open:
            return Phase.CLOSED if now < self.open - 3 * _AUCTION else Phase.OPENING_AUCTION
        if now < self.close - _AUCTION:
            return Phase.CONTINUOUS
        return Phase.CLOSING_AUCTION if now < self.close else Phase.AFTER


def is_trading_day(day: date) -> bool:
    """Tell whether KRX opens. Raises BadData for a year the table does not hold."""
    if day.year not in CLOSED_DAYS:
        raise BadData(
            f"no calendar for {day.year}: update this program (table ends {CALENDAR_END})"
        )
    return day.weekday() < 5 and f"{day:%m%d}" not in CLOSED_DAYS[day.year].split()


def next_trading_day(day: date, count: int = 1) -> date:
    """Return the trading day `count` trading days after `day`, below 0 before it."""
    step = 1 if count > 0 else -1
    while count:
        day += timedelta(days=step)
        count -= step * is_trading_day(day)
    return day


previous_trading_day = functools.partial(next_trading_day, count=-1)


USUAL_HOURS = clock_time(9), clock_time(15, 30)


def session_of(day: date) -> Session | None:
    """Return the regular session of a day, None when KRX is closed.

    First trading day of a year: opens at 10:00, closes as usual. Exam day: one hour later (rule).
    """
    if not is_trading_day(day):
        return None
    opens, closes = USUAL_HOURS
    if day in EXAM_DAYS:
        opens, closes = clock_time(10), clock_time(16, 30)
    elif day.month == 1 and not any(is_trading_day(day.replace(day=n)) for n in range(1, day.day)):
        opens = clock_time(10)
    return Session(day, datetime.combine(day, opens, KST), datetime.combine(day, closes, KST))


def tick_size(price: int, fund: bool) -> int:
    """Return the price step at a price in won."""
    bands = FUND_TICKS if fund else STOCK_TICKS
    return bands[bisect.bisect(bands, (price, math.inf))][1]  # the first that begins above it


def round_to_tick(price: float, fund: bool, up: bool) -> int:
    """Round a price to a valid one, towards the stated direction.

    Passive is down for a buy and up for a sell; aggressive is the other way round.
    >>> round_to_tick(1_999.2, fund=False, up=True), round_to_tick(50_149, fund=False, up=False)
    (2000, 50100)
    """
    if not math.isfinite(price):
        raise BadData(f"no valid price near {price}")
    whole = math.ceil(price) if up else math.floor(price)
    step = tick_size(whole, fund)
    rounded = -(-whole // step) * step if up else whole // step * step
    if rounded <= 0:
        raise BadData(f"no valid price near {price}")
    return rounded


def is_valid_tick(price: int, fund: bool) -> bool:
    """Tell whether an order may carry this price."""
    return price > 0 and price % tick_size(price, fund) == 0


def step_ticks(price: int, fund: bool, steps: int) -> int:
    """Move a price by a number of ticks; the tick of the band of the new price counts."""
    for _ in range(abs(steps)):
        price = round_to_tick(price + (1 if steps > 0 else -1), fund, up=steps > 0)
    return price


ActionKind: TypeAlias = Literal["nothing", "split", "reverse split", "ex-date", "unexplained"]


def classify_action(
    close: int, base: int, before: int, shown: int, fund: bool = False
) -> ActionKind:
    """Say what happened over night to a stock: yesterday's close, today's base price, shares.

    The base price of a usual day is the close, to a tick. A split moves price and shares against
    each other; on the ex-date of a bonus or rights issue the price falls first and the shares come
    weeks later. Shares alone prove nothing here: the owner may have bought or sold.

    >>> classify_action(70_000, 70_000, 10, 10), classify_action(70_000, 70_000, 10, 15)
    ('nothing', 'nothing')
    >>> classify_action(70_000, 14_000, 10, 50), classify_action(1_000, 10_000, 100, 10)
    ('split', 'reverse split')
    >>> classify_action(8_290, 2_765, 100, 100), classify_action(8_290, 8_300, 100, 100)
    ('ex-date', 'nothing')
    >>> classify_action(70_000, 14_000, 10, 20), classify_action(1_000, 10_000, 100, 100)
    ('unexplained', 'unexplained')
    """
    if min(close, base, before) <= 0 or abs(base - close) <= tick_size(max(close, base), fund):
        return "nothing"
    if shown == before:
        return "ex-date" if base < close else "unexplained"
    expected, more = Fraction(before * close, base), shown > before
    if abs(shown - expected) <= max(Fraction(1), expected / 50) and more is (base < close):
        return "split" if more else "reverse split"
    return "unexplained"


def scaled_plan(plan: ExitPlan, close: int, base: int, fund: bool) -> ExitPlan:
    """Move stop and target by base / close, to a tick on the careful side of each.

    >>> scaled_plan(ExitPlan(68_000, 75_000), 70_000, 14_000, False)
    ExitPlan(stop_price=13600, target_price=15000, trail_ratio=0.0)
    """
    stop = round_to_tick(max(1.0, plan.stop_price * base / close), fund, up=False)
    target = plan.target_price and round_to_tick(plan.target_price * base / close, fund, up=True)
    return replace(plan, stop_price=stop, target_price=target)


def order_fee(amount_krw: int, rate_pct: Decimal) -> int:
    """Return the fee of an order with this filled amount so far, rounded half up.

    A further fill of the same order costs the DIFFERENCE of two such values, so the total does
    not depend on how the order was split. Rounding fits 140 won on 995,000 (measured, paper,
    2026-08-19) and is otherwise unconfirmed.
    >>> order_fee(995_000, Decimal("0.0140527"))
    140
    """
    part, of = rate_pct.as_integer_ratio()
    return (2 * amount_krw * part + 100 * of) // (200 * of)


def settlement_year(day: date) -> int:
    """Return the year in which a trade of this day settles: two trading days later (rule).

    It asks no calendar of the next year, so that sells on the last days of the table can be booked.
    """
    if day.month < 12:
        return day.year
    left = sum(is_trading_day(date(day.year, 12, each)) for each in range(day.day + 1, 32))
    return day.year + (left < 2)


def sell_tax(amount_krw: int, instrument_market: str, fund: bool, day: date) -> int:
    """Return the tax on what a sell order filled, by settlement year (rule); each part cut to the won.

    Rates are those of the year in which it settles; ETF and ETN pay none (rule).
    >>> sell_tax(1_234_567, "KOSPI", False, date(2026, 11, 20))   # 617 + 1,851
    2468
    """
    if fund:
        return 0  # ETF and ETN pay none (rule)
    rates = SELL_TAX[settlement_year(day)]
    transaction, rural = rates.get(instrument_market, rates["KOSPI"])
    return amount_krw * transaction // 100_000 + amount_krw * rural // 100_000


def session_ahead(now: datetime) -> Session:
    """Return the session of today while it is not over, else that of the next trading day."""
    day = now.date()
    while (session := session_of(day)) is None or now >= session.close:
        day = next_trading_day(day)
    return session


# ======================================================================================
# === 6. WIRE CODEC ===
# ======================================================================================
# Knows: how frames and REST bodies look. Tolerant of added fields, strict about everything
# money depends on: a value that is not clearly a number is BadData, never zero.
# Never knows: sockets, sessions, what a value is used for.

# Longest number that is read: 18 digits are 10 ** 18 won, more than the whole market.
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(\.0{1,18})?")
_DECIMAL = re.compile(r"[+-]?([0-9]{1,18}\.?[0-9]{0,18}|\.[0-9]{1,18})")
SIDE_OF_CODE = {"01": Side.SELL, "02": Side.BUY}  # in inquiries and notices (doc)
_new_tuple = tuple.__new__  # _new_tuple(Trade, values): Trade(*values) without argument parsing


# Parts of patterns: a text, a number, a field that is counted only.
_TEXT, _NUMBER, _SKIP = r"\^([^|^]*+)", r"\^([0-9]{1,18}+)", r"\^[^|^]*+"
_NO_MATCH = re.compile("(?!)").match  # while the short way of a day is not compiled yet


def _usual_trade(day: str, width: int) -> str:
    """Return the pattern of one H0STCNT0 record of a day: regular trading (20), not halted (N).

    Its groups are code, time, price, shares and the two totals. Every field is counted; what is no
    total is looked up among texts that were read field by field before.
    """
    return (
        rf"([^|^]*+){_TEXT * 2}{_SKIP * 9}{_TEXT}{_NUMBER * 2}{_SKIP * 18}"
        rf"\^{day}\^20\^N{_SKIP * (width - 36)}"
    )


def _usual_quote(day: str, width: int) -> str:
    """Return the pattern of one H0STASP0 record, of any day: it carries none.

    Its groups are code, time, session, best ask and bid, their sizes, and the expected price.
    """
    best = _NUMBER + f"{_SKIP * 9}{_NUMBER}" * 3
    return rf"([^|^]*+){_TEXT * 2}{best}{_SKIP * 13}\^([0-9]{{0,18}}+){_SKIP * (width - 48)}"


class Control(NamedTuple):
    """A JSON frame: an acknowledgement, a refusal, or PINGPONG."""

    tr_id: str
    tr_key: str
    result: str  # rt_cd: 0 ok, 1 refused, 9 session refused; "" for PINGPONG
    code: str
    text: str
    key: str = ""
    iv: str = ""


def parse_control(text: str) -> Control:
    """Read a JSON frame. Raises BadData when it is not one."""
    try:
        message = json.loads(text)
        body = message.get("body") or {}
        header = (message.get("header") if "msg_cd" in body else message["header"]) or {}
        output = body.get("output") or {}
        return Control(
            *(str(header.get(name) or "") for name in ("tr_id", "tr_key")),
            *(str(body.get(name) or "").strip() for name in ("rt_cd", "msg_cd", "msg1")),
            *(str(output.get(name) or "") for name in ("key", "iv")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadData(f"no control message: {type(error).__name__}") from None


def registration_message(approval_key: str, tr_id: str, tr_key: str, register: bool) -> str:
    """Return the text that registers (tr_type 1) or releases (2) one TR and key (doc)."""
    header = {"approval_key": approval_key, "custtype": "P", "tr_type": "1" if register else "2"}
    header["content-type"] = "utf-8"
    return json.dumps({"header": header, "body": {"input": {"tr_id": tr_id, "tr_key": tr_key}}})


class _Cipher:
    """AES-256-CBC of one registration (doc: key and iv are the ASCII texts themselves).

    One object for all frames: the IV is fed as a first block, which puts CBC back to its start.
    Making a new AES object for each frame costs more than decrypting (measured, 2.7 times).
    """

    def __init__(self, key: str, iv: str) -> None:
        if not (key.isascii() and iv.isascii() and (len(key), len(iv)) == (32, 16)):
            raise BadData(
                f"a key of {len(key)} and iv of {len(iv)} characters, not ASCII 32 and 16"
            )
        self._iv = iv.encode()
        self._aes = AES.new(key.encode(), AES.MODE_CBC, self._iv)

    def decrypt(self, text: str) -> str:
        """Return the plain text of a base64 payload; line breaks are passed over. Raises BadData."""
        if "\n" in text:
            text = "".join(text.split())
        try:
            raw = binascii.a2b_base64(text, strict_mode=True)
        except ValueError:
            raise BadData("payload is no base64") from None
        if not raw or len(raw) % 16:
            raise BadData(f"payload of {len(raw)} bytes, not whole blocks of 16")
        plain = self._aes.decrypt(self._iv + raw)
        padding = plain[-1]
        if not 1 <= padding <= 16 or plain[-padding:] != bytes((padding,)) * padding:
            raise BadData("wrong key, or a damaged payload: bad padding")
        return plain[16:-padding].decode("utf-8", "replace")  # a name may be cut inside a letter


class _Usual(NamedTuple):
    """The short way of frames that begin alike."""

    width: int  # fields of a record
    match: Callable[[str], re.Match[str] | None]
    read: Callable[[re.Match[str]], Sequence[MarketEvent]]


class FrameDecoder:
    """Turns `enc|tr_id|count|payload` into typed events; remembers keys and the trade date.

    Record width is fields / count, because layouts grow at the end (46 -> 47 on 2026-09-14).
    """

    def __init__(self, account: str = "", day: date | None = None) -> None:
        self._account = account  # 10 digits; notices of other accounts of the HTS id are dropped
        self._ciphers: dict[str, _Cipher] = {}
        self._times: dict[str, datetime] = {}  # HHMMSS -> datetime of the day below
        self._numbers: dict[str, int] = {}  # texts above zero of prices and shares, which repeat
        # The short way, once frames of that width and count were read field by field.
        self._one_usual: Callable[[str], re.Match[str] | None] = _NO_MATCH
        self._usual: dict[str, _Usual] = {}  # by frame[:15]
        self.books: dict[str, str] = {}  # code -> the newest frame with its order book, unread
        self._day_text = ""
        if day:
            self.set_day(day)
        # TR -> fewest fields of a record that are known, reader of one; None: of another account
        self._readers: dict[str, tuple[int, Callable[[list[str]], MarketEvent | None]]] = {
            "H0STCNT0": (46, self._trade), "H0STASP0": (59, self._quote), "H0STMKO0": (10, _status),
            "H0STCNI0": (23, self._notice), "H0STCNI9": (23, self._notice),
        }  # fmt: skip

    def set_day(self, day: date) -> None:
        """Set the date of frames that carry a time only."""
        self._day_text = f"{day:%Y%m%d}"
        self._one_usual = _NO_MATCH
        self._usual.clear()
        self._times.clear()
        self._numbers.clear()
        self.books.clear()

    def _learn(self, tr_id: str, width: int, count: int) -> None:
        """Prepare the short way for frames of today with so many records of so many fields."""
        if tr_id not in ("H0STCNT0", "H0STASP0"):
            return
        head = f"0|{tr_id}|{count:03d}|"
        known = self._usual.get(head)
        if width > 100 or count > 10 or (known and known.width == width):
            return  # to compile 10 records takes some milliseconds
        trades = tr_id == "H0STCNT0"
        record = (_usual_trade if trades else _usual_quote)(self._day_text, width)
        match = re.compile(re.escape(head) + r"\^".join([record] * count)).fullmatch
        read = self._usual_trades if trades else self._usual_quotes
        self._usual[head] = _Usual(width, match, read)
        if trades and count == 1:
            self._one_usual = match

    def set_key(self, tr_id: str, key: str, iv: str) -> None:
        """Keep the key of an acknowledgement. A new session brings new keys."""
        self._ciphers[tr_id] = _Cipher(key, iv)

    def decode(self, frame: str) -> Sequence[MarketEvent]:
        """Return the events of a data frame, oldest first. BadData: count it, never guess."""
        try:
            match = self._one_usual(frame)  # nearly all: one trade of today, by the short way
            if match:
                symbol, at, price_text, shares, total_text, value_text = match.groups()
                numbers = self._numbers
                price, volume = numbers[price_text], numbers[shares]
                total, value = int(total_text), int(value_text)
                if volume <= total and 0.1 <= value / (price * total) <= 10.0:
                    values = (symbol, self._times[at], price, volume, total, value, False)
                    return (_new_tuple(Trade, values),)
            usual = self._usual.get(frame[:15])
            if usual and (match := usual.match(frame)) and (events := usual.read(match)):
                return events
        except KeyError:
            pass  # a text that comes for the first time today
        try:
            tr_id, count, payload = self.open_frame(frame)
            if tr_id not in self._readers:
                raise BadData(f"TR {tr_id[:12]!r} is not one that the bot registers")
            (least, read), fields = self._readers[tr_id], payload.split("^")
            width = record_width(len(fields), count)
            if width < least:
                raise BadData(f"{tr_id}: {width} fields a record, at least {least} are known")
            found = [read(fields[at : at + width]) for at in range(0, len(fields), width)]
            self._learn(tr_id, width, count)
            return [event for event in found if event is not None]
        except (ValueError, IndexError, OverflowError) as error:
            raise BadData(f"not a frame that can be read: {error}") from None

    def open_frame(self, frame: str) -> tuple[str, int, str]:
        """Return TR id, record count and plain payload of a frame. Raises BadData.

        The first character decides about encryption, not the acknowledgement (doc).
        """
        parts = frame.split("|", 4)
        if len(parts) != 4:  # five: a second frame in it, whose trades would be lost silently
            raise BadData("not of the form enc|tr_id|count|payload")
        mode, tr_id, count_text, payload = parts
        count = _digits(count_text) if len(count_text) <= 4 else 0
        if not count:
            raise BadData(f"record count {count_text[:8]!r}")
        if mode == "0" and tr_id in ENCRYPTED_TRS:
            raise BadData(f"{tr_id} in plain text: order notices are only believed encrypted")
        if mode == "0":
            return tr_id, count, payload
        if mode != "1":
            raise BadData(f"encryption mark {mode[:4]!r}, neither 0 nor 1")
        if tr_id not in self._ciphers:
            raise BadData(f"{tr_id[:12]} is encrypted and its key is not known")
        return tr_id, count, self._ciphers[tr_id].decrypt(payload)

    def _usual_trades(self, match: re.Match[str]) -> list[Trade]:
        """Read the groups of several trades; [] when one of them is not as usual."""
        trades, numbers, times = [], self._numbers, self._times
        records = zip(*[iter(match.groups())] * 6, strict=True)
        for symbol, at, price_text, shares, total_text, value_text in records:
            price, volume = numbers[price_text], numbers[shares]
            total, value = int(total_text), int(value_text)
            if volume > total or not 0.1 <= value / (price * total) <= 10.0:
                return []
            values = (symbol, times[at], price, volume, total, value, False)
            trades.append(_new_tuple(Trade, values))
        return trades

    def _usual_quotes(self, match: re.Match[str]) -> list[Quote]:
        """Read the groups of order books."""
        quotes, times, books = [], self._times, self.books
        for symbol, at, session, *numbers, due in zip(*[iter(match.groups())] * 8, strict=True):
            if len(books) < 200 or symbol in books:  # 41 registrations are the most
                books[symbol] = match.string
            values = (symbol, times[at], *map(int, numbers), int(due or 0), session)
            quotes.append(_new_tuple(Quote, values))
        return quotes

    def _trade(self, f: list[str]) -> Trade | None:
        """Read one H0STCNT0 record field by field; None of a block or a basket, agreed beside the book.

        The totals of the day must fit: the engine takes trades below a total for old ones, so one
        wild total would make it deaf. Within a day limits keep prices within 1.9 times of their
        mean, on the first day of a listing within 6.7 times (rule); 10 is beyond both.
        """
        if f[34][1:2] in ("2", "3"):  # NEW_MKOP_CLS_CODE (doc)
            return None
        if f[33] == self._day_text:
            moment = self._times.get(f[1]) or self._time(f[1])
        else:  # its own date: after a reconnect it may be yesterday's
            moment = _moment(f[33], f[1])
            if not self._day_text:  # order books carry none: theirs is that of the first trade
                self.set_day(moment.date())
        price, volume = (self._numbers.get(text) or self._number(text) for text in (f[2], f[12]))
        total, value = _digits(f[13]), _digits(f[14])
        if not (0 < volume <= total and price and 0.1 <= value / (price * total) <= 10.0):
            raise BadData(f"{volume} shares at {price}, of {total} for {value} won")
        return Trade(f[0], moment, price, volume, total, value, f[35] == "Y")

    def _quote(self, f: list[str]) -> Quote:
        """Read one H0STASP0 record field by field."""
        ts = self._times.get(f[1]) or self._time(f[1])
        ask, bid, ask_size, bid_size = (_digits(f[n]) for n in (3, 13, 23, 33))
        expected = _digits(f[47]) if f[47] else 0
        return Quote(f[0], ts, ask, bid, ask_size, bid_size, expected, f[2])

    def _notice(self, f: list[str]) -> Notice | None:
        """Read an order notice; 26 fields (real) and 23 (paper, measured 2026-08-19): 0..17 agree.

        An account was seen with a dash and without its product code: 8 digits may be ours.
        """
        account = f[1].strip().replace("-", "")
        if self._account and not (self._account.startswith(account) and len(account) >= 8):
            return None
        if f[4] not in SIDE_OF_CODE:
            raise BadData(f"side {f[4][:4]!r} in an order notice")
        if f[12] in ("1", "Y"):
            kind = NoticeKind.REFUSED
        elif f[13] == "2":
            kind = NoticeKind.FILL
        elif f[14] == "3":
            kind = NoticeKind.REST_CANCELLED
        else:
            kind = NoticeKind.CONFIRMED if f[14] == "2" else NoticeKind.RECEIVED
        quantity, price = _digits(f[9] or "0"), _digits(f[10] or "0")
        if kind is NoticeKind.FILL and not (quantity and price):
            raise BadData(f"notice of a fill of {quantity} shares at {price} won")
        return Notice(
            kind, f[5], normalize_order_no(f[2]), normalize_order_no(f[3]), stock_code(f[8]),
            SIDE_OF_CODE[f[4]], quantity, price, f[11],
        )  # fmt: skip

    def _number(self, text: str) -> int:
        """Return a price or a number of shares, remembered for the next record unless it is 0."""
        number = _digits(text)
        if len(self._numbers) > 100_000:
            self._numbers.clear()
        if number:
            self._numbers[text] = number
        return number

    def _time(self, text: str) -> datetime:
        """Return HHMMSS of the present day as a datetime, remembered for the next record."""
        moment = self._times[text] = _moment(self._day_text, text)
        return moment


def _digits(text: str) -> int:
    """Return a number of digits 0 to 9 only: int() would take "+5", " 5 ", "1_000", "٥" as well."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadData(f"found {text[:20]!r}, expected up to 18 digits")
    return int(text)


def _moment(day: str, time_of_day: str) -> datetime:
    """Return YYYYMMDD and HHMMSS as market time; anything shorter or impossible is BadData."""
    text = day + time_of_day
    try:
        if len(day) == 8 and len(time_of_day) == 6 and text.isascii() and text.isdigit():
            return datetime.fromisoformat(f"{day}T{time_of_day}").replace(tzinfo=KST)
    except ValueError:
        pass
    raise BadData(f"found {day[:10]!r} {time_of_day[:8]!r}, expected YYYYMMDD and HHMMSS")


def date_of(text: str) -> date:
    return _moment(text, "000000").date()


def record_width(total: int, count: int) -> int:
    width, rest = divmod(total, count)
    if rest:
        raise BadData(f"{total} fields do not divide into {count} records")
    return width


Row: TypeAlias = "Mapping[str, Any]"  # an object of a REST answer
Matters: TypeAlias = Callable[[str], bool]  # whether a stock is one of ours


def stock_code(text: str, matters: Matters | None = None) -> str:
    """Return a stock's code in our one spelling: no padding, capitals, no leading A of an old format.

    An ETN is written with its Q or without; here as the one of ours that `matters` knows.
    """
    code = text.strip().upper()
    code = code[1:] if len(code) == 7 and code[0] == "A" else code
    if matters and not matters(code):
        other = code[1:] if code[:1] == "Q" else f"Q{code}"
        return other if matters(other) else code
    return code


def _status(f: Sequence[str]) -> MarketStatus:
    return MarketStatus(f[0], f[1] == "Y", f[8] == "Y", f[3])


def normalize_order_no(text: str) -> str:
    """Return an order number as 10 digits, "" for none.

    Seen: zero padded, blank padded, without zeros. Compare only what this returns.
    """
    digits = text.strip().lstrip("0")
    if not digits:
        return ""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        raise BadData(f"order number {text[:14]!r}")
    return digits.zfill(10)


def text_of(record: Row, key: str) -> str:
    """Return a text of a REST record without its padding, "" when missing. Raises BadData."""
    if not isinstance(record, dict):
        raise BadData(f"{key}: found a {type(record).__name__} in place of an object")
    value = record.get(key)
    text = "" if value is None else str(value).strip()
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise BadData(f"{key}: half a character, which no file or screen can take")
    return text


def whole(record: Row, key: str) -> int:
    """Return a whole number of a REST record. Missing, empty or odd text is BadData, never 0."""
    text = text_of(record, key)
    if not _WHOLE.fullmatch(text):
        raise BadData(f"{key}: found {text[:20]!r}, expected a whole number")
    return int(text.partition(".")[0])


def natural(record: Row, key: str) -> int:
    """Return a whole number that cannot be below 0: a price, a number of shares. Raises BadData."""
    number = whole(record, key)
    if number < 0:
        raise BadData(f"{key}: found {number}, expected 0 or more")
    return number


def _or_0(record: Row, key: str) -> int:
    """Return a number that may be blank, which is no value (doc): 0. A missing one is BadData."""
    return 0 if str(record.get(key)).strip() == "" else natural(record, key)


def decimal_of(record: Row, key: str) -> Decimal:
    """Return a decimal number of a REST record. Raises BadData."""
    text = text_of(record, key)
    if not _DECIMAL.fullmatch(text):
        raise BadData(f"{key}: found {text[:20]!r}, expected a number")
    return Decimal(text)


def output_of(body: Row, *names: str) -> Any:
    """Return the first container present (the document and its examples differ in names)."""
    for name in names:
        if isinstance(body, dict) and name in body:
            return body[name]
    raise BadData(f"answer without {' or '.join(names)}")


def rows_of(body: Row, *names: str) -> list[Row]:
    """Return a container as a list of non-empty objects; one object counts as a list of one."""
    rows = output_of(body, *names)
    rows = rows if isinstance(rows, list) else [rows]
    if not all(isinstance(row, dict) for row in rows):
        raise BadData(f"{names[0]} does not hold objects")
    return [row for row in rows if any(str(value).strip() for value in row.values())]


# iscd_stat_cls_code of inquire-price that forbid opening a position (doc)
_BLOCKED_STATES = {
    "51": "administrative issue", "52": "investment risk", "53": "investment warning",
    "58": HALTED, "59": "short-term overheated",
}  # fmt: skip
# One code names one state; flags beside it name the same ones (doc), and the last days of a listing.
_BLOCKED_FLAGS = (
    ("sltr_yn", "Y", "liquidation trading"), ("mang_issu_cls_code", "Y", _BLOCKED_STATES["51"]),
    ("mrkt_warn_cls_code", "03", _BLOCKED_STATES["52"]), ("short_over_yn", "Y", _BLOCKED_STATES["59"]),
    ("mrkt_warn_cls_code", "02", _BLOCKED_STATES["53"]),
)  # fmt: skip


def parse_price(symbol: str, body: Row, fund_codes: Iterable[str] = ()) -> Instrument:
    """Read inquire-price (FHKST01010100).

    ETF and ETN are recognised by their tick size, the market name (texts unconfirmed), a Q code, or
    the settings. A tick size that contradicts our tables blocks the stock.
    """
    record = output_of(body, "output")
    echo = text_of(record, "stck_shrn_iscd") or symbol
    if echo.strip("0") and stock_code(echo).removeprefix("Q") != symbol.removeprefix("Q"):
        raise BadData(f"asked for the price of {symbol}, got {echo[:9]!r}")
    market_name = text_of(record, "rprs_mrkt_kor_name").upper()
    price, tick = natural(record, "stck_prpr"), natural(record, "aspr_unit")
    by_tick = tick == tick_size(price, True) != tick_size(price, False)
    named = market_name in ("ETF", "ETN") or symbol.startswith("Q") or symbol in fund_codes
    fund = named or by_tick
    flags = (why for name, value, why in _BLOCKED_FLAGS if text_of(record, name) == value)
    blocked = _BLOCKED_STATES.get(text_of(record, "iscd_stat_cls_code"), "") or next(flags, "")
    if text_of(record, "temp_stop_yn") == "Y":
        blocked = HALTED
    if not blocked and price > 0 and tick != tick_size(price, fund):
        blocked = f"tick size {tick} contradicts the table"
    return Instrument(
        symbol=symbol, fund=fund, last_price=price, blocked=blocked,
        market=_market_of(market_name),
        base_price=natural(record, "stck_sdpr"), upper_limit=_or_0(record, "stck_mxpr"),
        lower_limit=_or_0(record, "stck_llam"), name=text_of(record, "hts_kor_isnm"),
    )  # fmt: skip


def _market_of(name: str) -> str:
    """Return KOSPI, KOSDAQ or KONEX by the market's name (texts unconfirmed); KOSPI when unsure."""
    if "KOSDAQ" in name or "KSQ" in name:
        return "KOSDAQ"
    return "KONEX" if "KONEX" in name or "코넥스" in name else "KOSPI"


def parse_minute_bars(symbol: str, body: Row) -> list[Bar]:
    """Read a page of minute bars (FHKST03010200, FHKST03010230), oldest first.

    stck_cntg_hour is the start of the minute. The value of a minute is estimated from its prices.
    """
    bars = []
    for row in rows_of(body, "output2"):
        start = _moment(text_of(row, "stck_bsop_date"), text_of(row, "stck_cntg_hour"))
        start = start.replace(second=0)
        opened, high, low, close = (
            natural(row, f"stck_{name}") for name in ("oprc", "hgpr", "lwpr", "prpr")
        )
        volume = natural(row, "cntg_vol")
        value = (high + low + close) * volume // 3
        end = start + timedelta(minutes=1)
        bars.append(Bar(symbol, start, end, opened, high, low, close, volume, value, 0))
    return sorted(bars, key=lambda bar: bar.start)


def sound_minutes(bars: Iterable[Bar]) -> list[Bar]:
    """Return the bars that can be true: one a minute, prices in order and within a day's limits.

    Within a day limits keep prices within 1.9 times of each other; the middle close is the measure.
    """
    once = {bar.start: bar for bar in bars}
    closes: dict[date, list[int]] = {}
    for bar in once.values():
        closes.setdefault(bar.start.date(), []).append(bar.close)
    usual = {day: sorted(each)[(len(each) - 1) // 2] for day, each in closes.items()}
    return [
        bar for start, bar in sorted(once.items())
        if 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        and usual[start.date()] <= 1.9 * bar.low and bar.high <= 1.9 * usual[start.date()]
    ]  # fmt: skip


def parse_daily_bars(body: Row) -> list[DailyBar]:
    """Read a window of FHKST03010100, newest first; an empty period is an empty list."""
    keys = ("stck_oprc", "stck_hgpr", "stck_lwpr", "stck_clpr", "acml_vol", "acml_tr_pbmn")
    return [
        DailyBar(date_of(text_of(row, "stck_bsop_date")), *(natural(row, key) for key in keys))
        for row in rows_of(body, "output2")
    ]


# How the confirmed cancelled shares are called: in answers (seen 2022, 2024, 2025), in the document.
_CANCELLED_KEYS = ("cncl_cfrm_qty", "cnc_cfrm_qty")


def _every(symbol: str) -> bool:
    return True


def readable(rows: Iterable[Row], read: Callable[[Row], Any], matters: Matters) -> Iterator[Any]:
    """Read rows. One of a stock that is not ours may be blank: it is left out."""
    for row in rows:
        try:
            yield read(row)
        except BadData:
            named = {str(k).lower(): v for k, v in row.items()} if isinstance(row, dict) else {}
            symbol = stock_code(text_of(named, "pdno"), matters) if named.get("pdno") else ""
            if not symbol or matters(symbol):
                raise


def parse_broker_orders(rows: Iterable[Row], matters: Matters = _every) -> list[BrokerOrder]:
    """Read rows of inquire-daily-ccld. Keys are compared without case (`excg_id_dvsn_Cd`)."""

    def read(row: Row) -> BrokerOrder:
        if not isinstance(row, dict):
            raise BadData(f"found a {type(row).__name__} in place of an order")
        r = {key.lower(): value for key, value in row.items()}
        side = SIDE_OF_CODE.get(text_of(r, "sll_buy_dvsn_cd"))
        if side is None:
            raise BadData(f"sll_buy_dvsn_cd {text_of(r, 'sll_buy_dvsn_cd')[:4]!r}")
        cancelled = [natural(r, key) for key in _CANCELLED_KEYS if key in r]
        if len(set(cancelled)) != 1:
            raise BadData(f"{_CANCELLED_KEYS[0]}: found {cancelled}, expected one number")
        order = BrokerOrder(
            order_no=normalize_order_no(text_of(r, "odno")),
            original_no=normalize_order_no(text_of(r, "orgn_odno")),
            branch=text_of(r, "ord_gno_brno"), symbol=stock_code(text_of(r, "pdno"), matters),
            side=side,
            kind=text_of(r, "ord_dvsn_cd"), time=text_of(r, "ord_tmd"),
            quantity=natural(r, "ord_qty"), price=natural(r, "ord_unpr"),
            filled_quantity=natural(r, "tot_ccld_qty"),
            filled_amount_krw=natural(r, "tot_ccld_amt"),
            cancelled_quantity=cancelled[0],
            rejected_quantity=natural(r, "rjct_qty"),
        )  # fmt: skip
        if not order.order_no:
            raise BadData("an order without a number")
        if (order.filled_quantity > 0) != (order.filled_amount_krw > 0):
            filled = f"{order.filled_quantity} shares for {order.filled_amount_krw} won"
            raise BadData(f"order {order.order_no}: filled {filled}")
        return order

    return list(readable(rows, read, matters))


def parse_balance(holding_rows: Iterable[Row], summary: Row, matters: Matters = _every) -> Balance:
    """Read inquire-balance: output1 holds the holdings, output2 one account summary (doc).

    Sold-out stocks stay in the list with quantity 0 for two days; they are left out. The broker's
    average price is for the eye only: blank, it is 0.
    """

    def read(row: Row) -> Holding:
        symbol, blank = stock_code(text_of(row, "pdno"), matters), not text_of(row, "pchs_avg_pric")
        return Holding(
            symbol, natural(row, "hldg_qty"), natural(row, "ord_psbl_qty"),
            Decimal(0) if blank else decimal_of(row, "pchs_avg_pric"), text_of(row, "prdt_name"),
        )  # fmt: skip

    holdings = list(readable(holding_rows, read, matters))
    return Balance(
        whole(summary, "prvs_rcdl_excc_amt"), whole(summary, "thdt_tlex_amt"),
        whole(summary, "tot_evlu_amt"), _added_lines(each for each in holdings if each.quantity > 0),
    )  # fmt: skip


def _added_lines(lines: Iterable[Holding]) -> tuple[Holding, ...]:
    """Add the lines of one stock (cash and credit, several loan dates: the document's example)."""
    found: dict[str, Holding] = {}
    for line in lines:
        had = found.get(line.symbol)
        if had:
            shares = had.quantity + line.quantity
            cost = had.average_price * had.quantity + line.average_price * line.quantity
            line = replace(
                had, quantity=shares, sellable=had.sellable + line.sellable,
                average_price=cost / shares,
            )  # fmt: skip
        found[line.symbol] = line
    return tuple(found.values())


def order_body(
    profile: Profile, symbol: str, kind: str, quantity: int, price: int
) -> dict[str, str]:
    """Return the body of order-cash: exactly nine upper-case keys, texts only.

    A left-out key, an extra key or a decimal gave IGW00007 (measured 2026-06-01, 2026-08-11).
    """
    return {
        "CANO": profile.account.reveal(), "ACNT_PRDT_CD": profile.product, "PDNO": symbol,
        "ORD_DVSN": kind, "ORD_QTY": str(quantity), "ORD_UNPR": str(price),
        "EXCG_ID_DVSN_CD": "KRX", "SLL_TYPE": "", "CNDT_PRIC": "",
    }  # fmt: skip


# ======================================================================================
# === 7. BARS ===
# ======================================================================================
# Knows: how trades become bars. Exchange time in the frame decides, never the arrival.
# Rule of lateness: a bar is closed by the first trade at or after its end, or when market
# time passes its end by the lateness; trades of a closed bar that come later are counted
# and left out. An interval without a trade makes no bar.


# A total of the day that grew by so many times the last one is believed with the second trade that
# says so: at once it would make all true trades look old. A real gap only costs that trade.
WILD_JUMP = 10
DEAF_TRADES = 3  # later trades of a lower, growing total: then the higher one was no total


class BarBuilder:
    """Builds the bars of one symbol on one day. Give it only trades with a rising ACML_VOL.

    A jump of ACML_VOL beyond the trade's own volume means that trades were missed. The last bar
    takes the closing auction, which prints up to 30 s after the close; later trades belong to the
    after-market and to no bar.
    """

    def __init__(self, symbol: str, session: Session, minutes: int) -> None:
        self.symbol, self._session, self._length = symbol, session, timedelta(minutes=minutes)
        self.last_end = session.close + timedelta(minutes=1)
        self._start = self.end = session.open  # end of the bar being built, or of the last one
        self._open = self._high = self._low = self._close = 0
        self._count = self._volume = self._value = self._unseen = 0
        self._doubted = 0  # a total that jumped too far to be believed from one trade
        self.cum_volume = self.cum_value_krw = 0
        self.dropped = 0  # trades outside the session, of a closed bar, or with a wild total
        self.gap_until = session.open  # bars that begin before this moment miss trades

    @property
    def day_vwap(self) -> float:
        """Volume weighted average price of the day by the broker's own totals, 0 before a trade."""
        return self.cum_value_krw / self.cum_volume if self.cum_volume else 0.0

    def add(self, trade: Trade) -> Bar | None:
        """Take a trade in; return the bar that it closed, if any."""
        _, ts, price, volume, cum_volume, cum_value_krw, _ = trade
        unseen = 0
        if self.cum_volume and cum_volume != self.cum_volume + volume:
            unseen = cum_volume - self.cum_volume - volume
            if unseen > WILD_JUMP * self.cum_volume and not self._confirmed(cum_volume):
                self.dropped += 1
                return None
            self._unseen += unseen
        self.cum_volume, self.cum_value_krw = cum_volume, cum_value_krw
        closed = None
        if ts >= self.end:
            closed = self.close_bar()
            if ts >= self.last_end:
                self.dropped += 1
                return closed
            self._begin(ts)
            if closed:
                self._unseen = unseen  # on which side of the border is not known
        elif ts < self._start:
            self.dropped += 1
            return None
        if not self._count:
            self._open = self._high = self._low = price
        elif price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        self._close = price
        self._count += 1
        self._volume += volume
        self._value += price * volume
        return closed

    def begin_again(self, trade: Trade) -> None:
        """Forget a total that was none: the day stood before this trade."""
        self.cum_volume = trade.cum_volume - trade.volume
        self.gap_until = max(self.gap_until, self.end)  # trades were dropped

    def _confirmed(self, cum_volume: int) -> bool:
        """Tell whether a wild total goes on from the one before it; remember it for the next."""
        doubted, self._doubted = self._doubted, cum_volume
        return 0 < cum_volume - doubted <= WILD_JUMP * doubted

    def close_bar(self) -> Bar | None:
        """Close the bar being built; None when it has no trade."""
        if not self._count:
            return None
        gap = self._start < self.gap_until or abs(self._unseen) * 100 > self._volume
        bar = Bar(
            self.symbol, self._start, min(self.end, self._session.close), self._open, self._high,
            self._low, self._close, self._volume, self._value, self._count, gap,
        )  # fmt: skip
        self._count = self._volume = self._value = self._unseen = 0
        self._start = self.end
        return bar

    def _begin(self, ts: datetime) -> None:
        """Begin the session-aligned bar that holds `ts`."""
        opened, closes = self._session.open, self._session.close
        self._start = opened + (ts - opened) // self._length * self._length
        if self._start >= closes:
            self._start -= self._length
        self.end = self._start + self._length
        if self.end >= closes:
            self.end = self.last_end


def combine_bars(bars: Iterable[Bar], minutes: int) -> list[Bar]:
    """Join one-minute bars into session-aligned bars, oldest first (for warm-up)."""
    joined: list[Bar] = []
    for bar in bars:
        session = session_of(bar.start.date())
        if session is None or not session.open <= bar.start <= session.close:
            continue
        length = timedelta(minutes=minutes)
        start = session.open + (bar.start - session.open) // length * length
        if start >= session.close:
            start -= length
        if joined and joined[-1].start == start and joined[-1].symbol == bar.symbol:
            last = joined[-1]
            joined[-1] = replace(
                last, high=max(last.high, bar.high), low=min(last.low, bar.low), close=bar.close,
                volume=last.volume + bar.volume, value_krw=last.value_krw + bar.value_krw,
                trade_count=last.trade_count + bar.trade_count, gap=last.gap or bar.gap,
            )  # fmt: skip
        else:
            joined.append(replace(bar, start=start, end=min(start + length, session.close)))
    return joined


def whole_day(symbol: str, day: DailyBar) -> Bar:
    """Return a daily bar as one bar from the opening to the close of its session."""
    session = session_of(day.day)
    if session is None:
        raise BadData(f"{symbol}: {day.day} is no trading day")
    return Bar(
        symbol, session.open, session.close, int(day.open), int(day.high), int(day.low),
        int(day.close), day.volume, day.value, 0,
    )  # fmt: skip


# ======================================================================================
# === 8. LEDGER ===
# ======================================================================================
# Knows: what we meant to do, what may exist at the broker, what was filled, what it earned.
# It changes only by apply(entry); every entry is a journal row, so that the journal rebuilds
# it. Fills are booked from the broker's cumulative figures, never added up from notices.
# Never knows: prices of the market, limits, who asked.

_ENDINGS = {_E.CANCELLED: _S.CANCELLED, _E.REJECTED: _S.REJECTED, _E.EXPIRED: _S.EXPIRED}
_ALIVE = {_E.FILLED: _S.FILLED, **_ENDINGS}
_LATE = {_E.FOUND: _S.WORKING}  # seen at the broker although we had closed it: adopt, alert
# status -> event -> next status. WORKING stands for PARTIAL too once something is filled.
# Anything that is not here stops the symbol and alerts. Late fills are legal and booked.
TRANSITIONS: dict[OrderStatus, dict[OrderEvent, OrderStatus]] = {
    _S.SUBMITTING: {
        _E.ACCEPTED: _S.WORKING, _E.REFUSED: _S.REJECTED, _E.NOT_SENT: _S.NOT_SENT,
        _E.NO_ANSWER: _S.UNKNOWN,
    },
    _S.UNKNOWN: {_E.FOUND: _S.WORKING, _E.ABSENT: _S.LOST, _E.AMBIGUOUS: _S.QUARANTINED},
    _S.QUARANTINED: {_E.FOUND: _S.WORKING, _E.ABSENT: _S.LOST},
    _S.NOT_SENT: _LATE,
    _S.LOST: _LATE,
    _S.REJECTED: {**_LATE, _E.FILL: _S.REJECTED, _E.FILLED: _S.FILLED},
    _S.WORKING: {
        **_ALIVE, _E.FILL: _S.WORKING, _E.STILL_WORKING: _S.WORKING, _E.REPLACED: _S.WORKING,
        _E.CANCEL_SENT: _S.CANCEL_PENDING, _E.REPLACE_SENT: _S.REPLACE_PENDING,
    },
    _S.CANCEL_PENDING: {
        **_ALIVE, _E.FILL: _S.CANCEL_PENDING, _E.ACCEPTED: _S.CANCEL_PENDING,
        _E.REFUSED: _S.WORKING, _E.NOT_SENT: _S.WORKING, _E.NO_ANSWER: _S.CANCEL_UNKNOWN,
        _E.STILL_WORKING: _S.WORKING, _E.REPLACED: _S.WORKING,
    },
    _S.CANCEL_UNKNOWN: {
        **_ALIVE, _E.FILL: _S.CANCEL_UNKNOWN, _E.STILL_WORKING: _S.WORKING,
        _E.REPLACED: _S.WORKING,
    },
    _S.REPLACE_PENDING: {
        **_ALIVE, _E.FILL: _S.REPLACE_PENDING, _E.ACCEPTED: _S.WORKING, _E.REFUSED: _S.WORKING,
        _E.NOT_SENT: _S.WORKING, _E.NO_ANSWER: _S.REPLACE_UNKNOWN, _E.REPLACED: _S.WORKING,
    },
    _S.REPLACE_UNKNOWN: {
        **_ALIVE, _E.FILL: _S.REPLACE_UNKNOWN, _E.STILL_WORKING: _S.WORKING,
        _E.REPLACED: _S.WORKING,
    },
    _S.CANCELLED: {_E.FILL: _S.CANCELLED, _E.FILLED: _S.FILLED},
    _S.EXPIRED: {_E.FILL: _S.EXPIRED, _E.FILLED: _S.FILLED},
    _S.FILLED: {},
}  # fmt: skip
TRANSITIONS[_S.PARTIAL] = TRANSITIONS[_S.WORKING]


class Ledger:
    """Orders, positions, cash. Worked example (KOSPI, 2026, fee 0.0140527 %):

    buy 10 at 70,000 and sell 10 at 71,000: gross 10,000, fees 98 + 100, taxes 355 + 1,065,
    net 8,382 won; cash changes by exactly that.
    """

    def __init__(
        self, stock_fee_pct: Decimal = STOCK_FEE_PCT, fund_fee_pct: Decimal = FUND_FEE_PCT
    ) -> None:
        self._fee_pct = {False: stock_fee_pct, True: fund_fee_pct}
        self.instruments: dict[str, Instrument] = {}  # set each morning; decides fee and tax
        self.orders: dict[str, Order] = {}  # by intent id
        self._alive: dict[str, Order] = {}  # those of them that are or may be open
        self.by_number: dict[tuple[date, str], str] = {}  # (trade date, number) -> intent id
        self.positions: dict[str, Position] = defaultdict(Position)
        self.external: dict[str, int] = {}  # shares of the account that are not ours
        self.stopped: dict[str, str] = {}  # symbol -> why nothing more is begun in it today
        self.closes: dict[str, CloseKept] = {}
        self.actions: dict[str, ActionSeen] = {}  # corporate actions without an answer
        self.overnight: dict[str, tuple[int, int | Fraction]] = {}  # shares, cost of the morning
        self.holds: dict[str, datetime] = {}  # lasting reasons to begin nothing, with their begin
        self.day: date | None = None
        self.account_day: date | None = None  # of the last AccountTaken
        self._waits = self.level_by_rule = False  # the first: whether the owner's sells wait for it
        self.level = self.owners_level = KillLevel.ACTIVE  # now; by his own last word
        self.today = DayTotals()
        self.cash_krw = 0  # the broker's settled cash plus everything we booked since
        self.morning_cash_krw = 0

    def apply(self, entry: LedgerEntry) -> int:
        """Take an entry in; return the shares that a fill newly booked, else 0.

        IllegalTransition: the table forbids it; a fill that came with it is booked all the same.
        """
        if isinstance(entry, OrderUpdate):
            return self._apply_update(entry)
        if isinstance(entry, OrderIntent):
            if entry.intent_id in self.orders:
                raise IllegalTransition(f"intent {entry.intent_id} a second time")
            order = Order(entry, entry.at, price=entry.price, kind=str(entry.kind))
            self.orders[entry.intent_id] = self._alive[entry.intent_id] = order
            self.today.orders += order.own
        elif isinstance(entry, NumberHeard):
            heard = self.orders[entry.intent_id].heard
            heard += [entry.order_no] if entry.order_no not in heard else []
        elif isinstance(entry, PlanUpdate):
            self.position(entry.symbol).plan = entry.plan
        elif isinstance(entry, ExitStarted):
            self.position(entry.symbol).exit_reason = entry.reason
        elif isinstance(entry, PositionAdjusted):
            self._take_away(entry.symbol, self.position(entry.symbol).quantity - entry.quantity)
        elif isinstance(entry, AccountTaken):
            self.cash_krw, self.external = entry.cash_krw, dict(entry.external)
            if self.account_day != self.day:
                self.morning_cash_krw, self.account_day = entry.cash_krw, self.day
        elif isinstance(entry, SymbolStopped) and entry.why:
            self.stopped[entry.symbol] = entry.why
        elif isinstance(entry, SymbolStopped):
            self.stopped.pop(entry.symbol, None)
            self.today.losses.pop(entry.symbol, None)  # its pause is over as well
        elif isinstance(entry, HoldSet):
            self.holds.pop(entry.reason, None)
            if entry.on:
                self.holds[entry.reason] = entry.at
        elif isinstance(entry, LevelSet):
            self.level, self.level_by_rule = entry.level, entry.by_rule
            self.owners_level = self.owners_level if entry.by_rule else entry.level
        elif isinstance(entry, CloseKept):
            self.closes[entry.symbol] = entry
        elif isinstance(entry, ActionSeen | ActionAnswered):
            self._apply_action(entry)
        else:  # a day begins: finished orders of earlier ones go, unresolved ones stay
            self.day, self.today, self.stopped = entry.day, DayTotals(), {}
            self._waits = entry.waits
            self.overnight = {key: (each.quantity, each.cost) for key, each in self.held().items()}
            day, orders, numbers = entry.day, self.orders.values(), self.by_number.items()
            kept = [o for o in orders if o.intent.trade_date == day or o.status in UNRESOLVED]
            self.orders = {order.intent.intent_id: order for order in kept}
            self.by_number = {number: key for number, key in numbers if key in self.orders}
            self._look_for_alive()
        return 0

    def _apply_action(self, entry: ActionSeen | ActionAnswered) -> None:
        """Carry the cost over to the new count of shares; an answer sets the levels."""
        symbol, position = entry.symbol, self.position(entry.symbol)
        if isinstance(entry, ActionAnswered):
            seen, scaled = self.actions.pop(symbol, None), entry.plan != position.plan
            if seen and scaled and seen.before == seen.after:
                position.scale *= Fraction(seen.base, seen.close)
            self.closes.pop(symbol, None)  # it was looked at
            position.plan = entry.plan if position.quantity else None
            return
        self.actions[symbol] = entry
        if not entry.after:  # less than a share of ours is left
            self._take_away(symbol, position.quantity)
        elif entry.after != position.quantity:
            _, cost = self.overnight.get(symbol, (0, position.cost))
            position.quantity, self.overnight[symbol] = entry.after, (entry.after, cost)

    def position(self, symbol: str) -> Position:
        """Return the position of a symbol, an empty one if there is none."""
        return self.positions[symbol]

    def held(self) -> dict[str, Position]:
        """Return the positions that hold shares, by symbol."""
        return {symbol: each for symbol, each in self.positions.items() if each.quantity}

    def order_of(self, order_no: str) -> Order | None:
        """Return today's order that has or had this number."""
        intent_id = self.by_number.get((self.day, order_no)) if self.day else None
        return self.orders.get(intent_id) if intent_id else None

    def open_orders(self, symbol: str = "") -> list[Order]:
        """Return the orders that are or may be alive at the broker, oldest first."""
        return [each for each in self._alive.values() if symbol in ("", each.intent.symbol)]

    def _look_for_alive(self) -> None:
        self._alive = {key: o for key, o in self.orders.items() if o.status in OPEN_STATUSES}

    def _apply_update(self, update: OrderUpdate) -> int:
        """Move an order as TRANSITIONS say; return the shares booked, which any status may bring."""
        order = self.orders[update.intent_id]
        event, booked = update.event, 0
        if event is OrderEvent.FILL:
            booked = self._book_fill(order, update)
            if order.filled_quantity >= order.intent.quantity:
                event = OrderEvent.FILLED
        following = TRANSITIONS[order.status].get(event)
        if following is None:
            if booked or event is OrderEvent.FILLED:
                return booked
            raise IllegalTransition(f"{order.status} order {update.intent_id} got: {event}")
        if event in (OrderEvent.ACCEPTED, OrderEvent.FOUND, OrderEvent.REPLACED):
            self._bind(order, update)
        elif event is OrderEvent.REPLACE_SENT:
            order.pending_price, order.pending_kind = update.price, update.kind
        elif event is OrderEvent.CANCEL_SENT:
            order.cancel_tries += 1
        if following is OrderStatus.WORKING and order.filled_quantity:
            following = OrderStatus.PARTIAL
        if following is not order.status:
            order.status, order.since, order.note = following, update.at, update.note
            self._look_for_alive()
        return booked

    def _bind(self, order: Order, update: OrderUpdate) -> None:
        """Give the order a number; of a cancel it is only remembered, of a replace it takes over."""
        if not update.order_no:
            return
        self.by_number[(order.intent.trade_date, update.order_no)] = order.intent.intent_id
        if order.status is OrderStatus.CANCEL_PENDING and update.event is OrderEvent.ACCEPTED:
            return
        if order.status in (OrderStatus.REPLACE_PENDING, OrderStatus.REPLACE_UNKNOWN):
            order.price, order.kind = order.pending_price, order.pending_kind
        order.order_no = update.order_no
        order.branch = update.branch or order.branch
        if update.price or update.kind:
            order.price, order.kind = update.price, update.kind or order.kind

    def _book_fill(self, order: Order, update: OrderUpdate) -> int:
        """Book what is new of a cumulative fill: fewer shares are ignored, another amount is not."""
        number = update.order_no or order.order_no
        had_quantity, had_amount = order.fills.get(number, (0, 0))
        quantity, amount = update.quantity - had_quantity, update.amount_krw - had_amount
        if quantity < 0 or (quantity, amount) == (0, 0):
            return 0
        order.fills[number] = (update.quantity, update.amount_krw)
        if order.own:
            self._move_position(order, quantity, amount, update.at)
            self.today.fills += quantity > 0
        else:
            self._move_external(order, quantity, amount)
        return quantity

    def _move_position(self, order: Order, quantity: int, amount: int, at: datetime) -> None:
        """Move shares and cost; the plan of an entry is armed by its fill, a flat one is bare."""
        position = self.position(order.intent.symbol)
        position.result -= self._charge(order)
        if order.intent.side is Side.BUY:
            if not position.quantity:
                position.owners = order.intent.leg == OWNERS_LEG
            position.opened_at = position.opened_at or at
            position.plan = position.plan or order.intent.plan
            position.quantity += quantity
            position.cost += amount
            self.today.gross -= 0 if position.quantity else amount
            symbol = order.intent.symbol
            if self.external.get(symbol, 0) < 0:  # the owner's sell was listed before this fill
                self.external[symbol] += self._take_away(symbol, -self.external[symbol])
        else:
            held, out = position.quantity, position.cost
            if not 0 < held <= quantity:  # not all of it, as nearly always
                out *= Fraction(min(quantity, held), held or 1)
            gain = amount - out
            self.today.gross += gain
            position.result += gain
            position.cost -= out
            position.quantity = max(0, position.quantity - quantity)
            self._leave_to_earlier_days(order.intent.symbol, quantity)
            since = math.floor(self.today.net_krw - self.today.earlier)
            self.today.peak_krw = max(self.today.peak_krw, since)
        self.cash_krw -= order.intent.side.sign * amount
        if not position.quantity and quantity:  # a corrected amount ends no round again
            for key in (order.intent.symbol, ""):  # lost rounds in a row: of this stock, over all
                lost = position.result < 0
                self.today.losses[key] = self.today.losses.get(key, 0) + 1 if lost else 0
                if lost:
                    self.today.lost_at[key] = at
            self.actions.pop(order.intent.symbol, None)
            position.clear()

    def _leave_to_earlier_days(self, symbol: str, quantity: int) -> None:
        """Note what sold shares of the night had gained by today's base price; they go first."""
        (shares, cost), known = self.overnight.get(symbol, (0, 0)), self.instruments.get(symbol)
        sold = self.today.sold.get(symbol, 0)
        if known and known.base_price and (gone := min(quantity, shares - sold)) > 0:
            self.today.sold[symbol] = sold + gone
            self.today.earlier += (known.base_price * shares - cost) * Fraction(gone, shares)

    def _charge(self, order: Order) -> int:
        """Charge fee and tax, the difference of the cumulative figures; return it."""
        intent, instrument = order.intent, self.instruments.get(order.intent.symbol)
        fund = bool(instrument and instrument.fund)
        market = instrument.market if instrument else "KOSPI"
        amounts = [amount for _, amount in order.fills.values()]
        fee = sum(order_fee(amount, self._fee_pct[fund]) for amount in amounts)
        selling = intent.side is Side.SELL
        tax = sum(sell_tax(each, market, fund, intent.trade_date) for each in amounts if selling)
        new_fee, new_tax = fee - order.fee_krw, tax - order.tax_krw
        self.cash_krw -= new_fee + new_tax
        order.fee_krw, order.tax_krw = fee, tax
        if order.own:
            self.today.fees_krw += new_fee
            self.today.taxes_krw += new_tax
        return new_fee + new_tax

    def _move_external(self, order: Order, quantity: int, amount: int) -> None:
        """Follow the owner's own trades; what he sells beyond his own shares was ours.

        His sell may be listed before our buy: then his count is below zero until ours is booked; or
        before the account of the day is taken, of what he bought while nobody looked.
        """
        self._charge(order)
        symbol, waits = order.intent.symbol, self._waits and self.account_day != self.day
        left = self.external.get(symbol, 0) + order.intent.side.sign * quantity
        taken = self._take_away(symbol, -left) if left < 0 and not waits else 0
        self.external[symbol] = left + taken
        self.cash_krw -= order.intent.side.sign * amount

    def _take_away(self, symbol: str, quantity: int) -> int:
        """Remove shares at cost, no gain or loss of ours; return how many there were to remove."""
        position = self.position(symbol)
        quantity = max(0, min(quantity, position.quantity))
        if quantity:
            shares, cost = self.overnight.get(symbol, (0, 0))
            gone = min(quantity, shares)  # what nobody of ours sold brings no result today
            if shares:
                self.overnight[symbol] = (shares - gone, cost - cost * Fraction(gone, shares))
            position.cost -= position.cost * Fraction(quantity, position.quantity)
            position.quantity -= quantity
            if not position.quantity:
                self.actions.pop(symbol, None)
                position.clear()
        return quantity


def day_figures(ledger: Ledger, trades: int, bars: int) -> dict[str, Any]:
    """Return the figures of a day; money in won."""
    today, held = ledger.today, [f"{symbol} {p.quantity}" for symbol, p in ledger.held().items()]
    taken = [o for o in ledger.orders.values() if o.own and o.order_no]  # by the broker
    return {
        "day": ledger.day.isoformat() if ledger.day else "-", "trades": trades, "bars": bars,
        "orders": sum(order.intent.trade_date == ledger.day for order in taken),
        "fills": today.fills, "gross": today.gross_krw, "fees": today.fees_krw,
        "taxes": today.taxes_krw, "net": today.net_krw, "cash": ledger.cash_krw,
        "positions": ", ".join(held) or "-",
    }  # fmt: skip


def has_exposure(ledger: Ledger) -> bool:
    """Return whether shares are held or an order may still give some."""
    return bool(ledger.held() or ledger.open_orders())


def left_behind(ledger: Ledger, late: str, name: Callable[[str], str] = str) -> str:
    """Return what is left when the program ends: shares that nobody guards, orders, rows."""
    held = ", ".join(f"{name(s)} {each.quantity}" for s, each in ledger.held().items())
    left = ", ".join(f"{name(o.intent.symbol)} {o.order_no}" for o in ledger.open_orders())
    named = ("held without a guard: ", held), ("orders left at the broker: ", left), ("", late)
    return "".join(f"; {what}{which}" for what, which in named if which)


# ======================================================================================
# === 9. RISK ===
# ======================================================================================
# Knows: reasons not to send an order. Each rule is one small function of the facts; RULES is
# the one path, and every rule on it is asked. A rule that cannot decide refuses.
# Never knows: how to send, how to ask the broker, what a strategy had in mind.


class Refusal(NamedTuple):
    """Why an order is not sent: a code, and the numbers that decided."""

    code: str
    numbers: str


@dataclass(slots=True)  # a frozen one takes three times as long to make
class RiskFacts:
    """Everything the rules may look at, taken at one moment. Money in won.

    Orders of unknown outcome count as filled in `symbol_krw` and `total_krw`, and their cash as
    spent in `free_cash_krw`.
    """

    now: datetime
    phase: Phase
    limits: Limits
    instrument: Instrument | None
    last_price: int = 0
    last_price_age_s: float = math.inf
    quote_price: int = 0  # of the last REST answer
    quote_age_s: float = math.inf
    free_cash_krw: int | None = None
    symbol_krw: int = 0
    total_krw: int = 0
    positions: int = 0
    position: int = 0
    open_sells: int = 0
    opposite_resting: bool = False
    unresolved: str = ""
    halted: bool = False
    exiting: str = ""  # why the position is being closed
    holds: tuple[str, ...] = ()
    stopped: str = ""
    level: KillLevel = KillLevel.ACTIVE
    entries_until: datetime | None = None
    orders_last_minute: int = 0
    orders_last_second: int = 0
    orders_today: int = 0
    day_loss_krw: int = 0
    drawdown_krw: int = 0
    morning_equity_krw: int = 0
    paused_until: datetime | None = None
    fee_pct: Decimal = STOCK_FEE_PCT


Rule: TypeAlias = Callable[[RiskFacts, OrderIntent], Refusal | None]


def order_value(facts: RiskFacts, intent: OrderIntent) -> int:
    """Return what an order can cost: its price, or the upper limit for orders without one (doc)."""
    upper = facts.instrument.upper_limit if facts.instrument else 0
    return (intent.price if intent.kind.priced else upper) * intent.quantity


def _entry(intent: OrderIntent) -> bool:
    return intent.purpose == "entry"


def rule_known_instrument(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse a stock whose price limits are not known; a priced exit is judged by its price."""
    known, priced_exit = facts.instrument, intent.purpose == "exit" and intent.kind.priced
    limits = known is not None and 0 < known.lower_limit < known.upper_limit
    if known is None or not (limits or priced_exit):
        return Refusal("NO_INSTRUMENT", f"{intent.symbol}: no base price or limits from the broker")
    return None


def rule_quantity(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse anything but a whole, positive, allowed number of shares."""
    most = facts.limits.max_quantity if _entry(intent) else CEILING_QUANTITY
    if type(intent.quantity) is not int or not 0 < intent.quantity <= most:
        return Refusal("QUANTITY", f"{intent.quantity!r} shares, expected 1 to {most}")
    return None


EXIT_NEAR, EXIT_CONFIRMED_S = 0.10, 60.0  # of an exit without limits: its price to the broker's own


def rule_price(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse a missing price, a wrong tick, a price outside the band of the day."""
    known, price = facts.instrument, intent.price
    if not intent.kind.priced:
        return None if price == 0 else Refusal("PRICE", f"{intent.kind.name} with a price")
    if known is None or type(price) is not int or not is_valid_tick(price, known.fund):
        return Refusal("TICK", f"{price!r} is no valid price step")
    if not 0 < known.lower_limit < known.upper_limit and intent.purpose == "exit":
        near = abs(price - facts.quote_price) <= facts.quote_price * EXIT_NEAR
        if near and facts.quote_age_s <= EXIT_CONFIRMED_S:
            return None  # the broker tells no limits, but a price that confirms this one
    if not known.lower_limit <= price <= known.upper_limit:
        return Refusal("BAND", f"{price} outside {known.lower_limit}..{known.upper_limit}")
    return None


def rule_collar(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse an entry far from the last trade, or from a fresh REST price, or without either.

    The socket is plain text; REST is TLS. Both must agree before money is put at risk.
    """
    if not _entry(intent):
        return None
    if facts.quote_age_s > facts.limits.max_quote_age_s or facts.quote_price <= 0:
        return Refusal("NO_QUOTE", f"no REST price within {facts.limits.max_quote_age_s:.0f} s")
    asked = intent.price if intent.kind.priced else facts.last_price
    for name, reference in (("last trade", facts.last_price), ("REST price", facts.quote_price)):
        if abs(asked - reference) * 100 > facts.limits.collar_pct * reference:
            far = f"{asked} against {name} {reference}, at most {facts.limits.collar_pct} %"
            return Refusal("COLLAR", far)
    return None


def rule_fresh_data(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse an entry on an old price."""
    age, limit = facts.last_price_age_s, facts.limits.max_data_age_s
    if _entry(intent) and not -CLOCK_TOLERANCE_S <= age <= limit:
        return Refusal("STALE", f"last trade {age:.1f} s old, at most {limit} s")
    return None


def rule_session(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse entries outside continuous trading, and exits when nothing can be filled."""
    if _entry(intent):
        late = facts.entries_until is not None and facts.now >= facts.entries_until
        if facts.phase is not Phase.CONTINUOUS or late:
            return Refusal("SESSION", f"{facts.phase}{', too late for entries' if late else ''}")
    elif facts.phase not in (Phase.CONTINUOUS, Phase.CLOSING_AUCTION):
        return Refusal("SESSION", str(facts.phase))
    return None


def rule_tradable(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse a halted stock; refuse entries into warned ones."""
    if facts.halted:
        return Refusal("HALTED", f"{intent.symbol} is halted or in an auction")
    if _entry(intent) and facts.instrument and facts.instrument.blocked:
        return Refusal("BLOCKED", facts.instrument.blocked)
    return None


def rule_holds(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse entries by the kill switch, in a stopped stock, and while something is not known."""
    if not _entry(intent):
        return None
    if facts.level is not KillLevel.ACTIVE:
        return Refusal("LEVEL", facts.level.name)
    if facts.stopped:
        return Refusal("STOPPED", facts.stopped)
    return Refusal("ON_HOLD", ", ".join(facts.holds)) if facts.holds else None


def rule_unresolved(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse an order while one of the stock is in doubt or rests against it; entries, in an exit."""
    if facts.unresolved:
        return Refusal("UNRESOLVED", facts.unresolved)
    if facts.opposite_resting:
        return Refusal("OPPOSITE", "an own order of the other side rests in the book")
    if _entry(intent) and facts.exiting:
        return Refusal("EXITING", facts.exiting)
    return None


def rule_position(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse to sell more than we hold, to buy into too many stocks, to sell as an entry."""
    if _entry(intent) is not (intent.side is Side.BUY):
        return Refusal("SIDE", f"{intent.purpose} by {intent.side}")
    if intent.side is Side.SELL:
        free = facts.position - facts.open_sells
        if intent.quantity > free:
            return Refusal("POSITION", f"sell {intent.quantity}, held and free {free}")
    elif not facts.position and facts.positions >= facts.limits.max_positions:
        return Refusal("POSITIONS", f"{facts.positions} held, at most {facts.limits.max_positions}")
    return None


def rule_plan(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse an entry whose stop is not below its price, or whose target is not above it."""
    plan, price = intent.plan, intent.price if intent.kind.priced else facts.last_price
    if not _entry(intent) or plan is None:
        return None
    if not 0 < plan.stop_price < price or 0 < plan.target_price <= price:
        return Refusal("PLAN", f"stop {plan.stop_price}, target {plan.target_price} at {price}")
    return None


def rule_value(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse a buy above the limit of one order, or that would hold too much of a stock or in all."""
    value, limits = order_value(facts, intent), facts.limits
    in_symbol, in_all = facts.symbol_krw + value, facts.total_krw + value
    for code, sum_krw, where, limit in (
        ("ORDER_VALUE", value, "", min(limits.max_order_krw, CEILING_ORDER_KRW)),
        ("SYMBOL_VALUE", in_symbol, f" in {intent.symbol}", limits.max_symbol_krw),
        ("TOTAL_VALUE", in_all, " in all", min(limits.max_total_krw, CEILING_TOTAL_KRW)),
    ):
        if intent.side is Side.BUY and sum_krw > limit:
            return Refusal(code, f"{sum_krw:,} won{where}, at most {limit:,}")
    return None


def rule_cash(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse a buy without the cash for it, fee included; unknown cash refuses."""
    if intent.side is Side.SELL:
        return None
    value = order_value(facts, intent)
    need = value + order_fee(value, facts.fee_pct)
    if facts.free_cash_krw is None:
        return Refusal("CASH", "orderable cash is not known")
    if need > facts.free_cash_krw:
        return Refusal("CASH", f"needs {need:,} won, free {facts.free_cash_krw:,}")
    return None


def rule_rate(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse when orders come too fast: the brake on a runaway. Exits have the hard ceiling."""
    limit = facts.limits.max_orders_per_minute if _entry(intent) else CEILING_ORDERS_PER_MINUTE
    if facts.orders_last_minute >= limit:
        return Refusal("RATE", f"{facts.orders_last_minute} orders in a minute, at most {limit}")
    if facts.orders_last_second >= CEILING_ORDERS_PER_SECOND:
        return Refusal("RATE", f"{facts.orders_last_second} orders within a second")
    if _entry(intent) and facts.orders_today >= facts.limits.max_orders_per_day:
        return Refusal("DAY_RATE", f"{facts.orders_today} orders today")
    return None


def day_loss_limit(limits: Limits, morning_equity_krw: int) -> int:
    """Return the loss in won that ends a day: the smaller of the won and the per cent limit."""
    by_pct = int(morning_equity_krw * limits.max_daily_loss_pct / 100)
    return min(limits.max_daily_loss_krw, by_pct) if by_pct > 0 else limits.max_daily_loss_krw


def rule_losses(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Refuse entries after the loss of the day, a fall from its peak, or lost rounds in a row."""
    if not _entry(intent):
        return None
    limit = day_loss_limit(facts.limits, facts.morning_equity_krw)
    fall = facts.limits.max_drawdown_krw
    if facts.day_loss_krw >= limit:
        return Refusal("DAY_LOSS", f"{facts.day_loss_krw:,} won lost today, at most {limit:,}")
    if fall is not None and facts.drawdown_krw >= fall:
        return Refusal("DRAWDOWN", f"{facts.drawdown_krw:,} won below the peak, at most {fall:,}")
    if facts.paused_until and facts.now < facts.paused_until:
        return Refusal("LOSING_STREAK", f"paused until {facts.paused_until:%H:%M}")
    return None


RULES: tuple[Rule, ...] = (
    rule_known_instrument, rule_quantity, rule_price, rule_holds, rule_session, rule_tradable,
    rule_unresolved, rule_position, rule_rate, rule_losses, rule_fresh_data, rule_collar, rule_plan,
    rule_value, rule_cash,
)  # fmt: skip


def check_order(facts: RiskFacts, intent: OrderIntent) -> Refusal | None:
    """Ask every rule; return the first refusal, None when the order may leave."""
    for rule in RULES:
        if found := rule(facts, intent):
            return found
    return None


# ======================================================================================
# === 10. STRATEGY ===
# ======================================================================================
# Knows: bars, trades, quotes, its position, the time. Returns what it wants.
# Never knows: the broker, other strategies, whether this is a test or real money.


@dataclass(slots=True)
class StrategyView:
    """What a strategy may see of one symbol. It lives all day and is kept current.

    `bars` holds closed bars, oldest first, warm-up included (trade_count 0).
    """

    symbol: str
    now: datetime
    session: Session
    position: Position
    bars: deque[Bar] = field(default_factory=lambda: deque(maxlen=500))
    fund: bool = False
    last_price: int = 0
    quote: Quote | None = None
    day_vwap: float = 0.0
    ask_cash: Callable[[str], int] = lambda symbol: 0  # asked only when a strategy looks
    ask_orders: Callable[[str], int] = lambda symbol: 0

    @property
    def cash_krw(self) -> int:
        """Won that limits and the account leave for one more order now, 0 when unknown."""
        return self.ask_cash(self.symbol)

    @property
    def open_orders(self) -> int:
        """Orders of the symbol that are or may be alive at the broker."""
        return self.ask_orders(self.symbol)

    def shown(self) -> tuple[Any, ...]:
        """Return what the engine goes by, to compare it and to bring it back."""
        return self.symbol, self.session, self.position, self.bars, self.fund, self.quote

    def show(self, values: tuple[Any, ...]) -> None:
        """Show again what shown() returned."""
        self.symbol, self.session, self.position, self.bars, self.fund, self.quote = values

    def round_price(self, price: float, up: bool) -> int:
        """Round a price to a valid one in the stated direction."""
        return round_to_tick(price, self.fund, up)

    def buy(
        self, quantity: int, price: float, signal: str, plan: ExitPlan, reason: str, **facts: float
    ) -> OrderRequest:
        """Want to buy at a limit price (rounded up to a tick: aggressive)."""
        return OrderRequest(
            self.symbol, Side.BUY, quantity, signal, OrderKind.LIMIT, self.round_price(price, up=True),
            plan, reason, tuple(sorted(facts.items())),
        )  # fmt: skip

    def sell(self, signal: str, reason: str, **facts: float) -> OrderRequest:
        """Want to close the whole position; the engine chooses and works the price."""
        return OrderRequest(
            self.symbol, Side.SELL, self.position.quantity, signal, OrderKind.LIMIT, 0, None, reason,
            tuple(sorted(facts.items())),
        )  # fmt: skip


class TradingStrategy(abc.ABC):
    """Base of all strategies. Write on_bar; the others are optional.

    One object serves all symbols; keep state in dictionaries by symbol. Ask no clock, no network,
    no random numbers: the same events must give the same answers, or a replay would differ.
    """

    past_days: int = 0  # closed days wanted in view.bars each morning, instead of past minutes
    warnings: Sequence[str] = ()  # what of its file is read otherwise than it may be meant

    class Parameters(_Strict):
        """Settings of the strategy, from `bot.parameters`."""

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.parameters: Any = parameters or self.Parameters()

    @abc.abstractmethod
    def on_bar(self, view: StrategyView, bar: Bar) -> OrderRequest | None:
        """Decide when a bar of view.symbol has closed; bar is view.bars[-1]."""

    def on_trade(self, view: StrategyView, trade: Trade) -> OrderRequest | None:
        """Decide on a trade. Called for each one: keep it short."""
        return None

    def on_quote(self, view: StrategyView, quote: Quote) -> OrderRequest | None:
        """Decide on a change of best bid or ask."""
        return None

    def on_fill(self, view: StrategyView, side: Side, quantity: int, price: float) -> None:
        """Take note of a fill of ours: shares and average price of this fill."""
        return None


def check_request(request: Any) -> None:
    """Raise TypeError for anything but None or an order request; its numbers are for the rules."""
    if request is None:
        return
    if not isinstance(request, OrderRequest) or not isinstance(request.plan, ExitPlan | None):
        raise TypeError(f"expected an OrderRequest or None, got {type(request).__name__}")
    names = (request.symbol, request.signal, request.reason)
    if not all(isinstance(each, str) for each in names):
        raise TypeError("symbol, signal and reason of an OrderRequest are texts")
    if any(len(each) > 200 or not each.isprintable() for each in names):  # a lone surrogate too
        raise TypeError("symbol, signal and reason of an OrderRequest are short, readable texts")
    if not all(isinstance(name, str) and name.isprintable() for name, _ in request.facts):
        raise TypeError("the names of facts are readable texts")
    if not isinstance(request.side, Side) or not isinstance(request.kind, OrderKind):
        raise TypeError("side is a Side and kind an OrderKind")
    if request.owners is not False:
        raise TypeError("owners marks a wish of the owner, never of a strategy")
    numbers = [request.quantity, request.price, *(value for _, value in request.facts)]
    if odd := [each for each in numbers if type(each) not in (int, float, type(None))]:
        kind = f"{type(odd[0]).__module__}.{type(odd[0]).__name__}".removeprefix("builtins.")
        raise TypeError(f"quantity, price and facts are plain int or float, not {kind}")
    plan = request.plan
    if plan and not (type(plan.stop_price) is type(plan.target_price) is int):
        raise TypeError("stop and target of an ExitPlan are whole won: view.round_price(...)")
    if plan and not (type(plan.trail_ratio) in (int, float) and 0 <= plan.trail_ratio < 1):
        raise TypeError("trail_ratio is a share below 1: 0.01 for one per cent")


class Breakout(TradingStrategy):
    """Buy when a bar closes above the highest high of the last bars, on volume, above VWAP.

    The size risks a fixed part of the money: (entry - stop) x shares = risk. Stop, target and
    trailing stop belong to the engine. This is an example; nothing promises that it earns.
    """

    class Parameters(_Strict):
        lookback_bars: int = Field(12, ge=2, le=200, description="closed bars to look back over")
        volume_ratio: float = Field(1.5, ge=0, le=50, description="bar volume / average volume")
        risk_krw: int = Field(50_000, ge=1_000, le=10_000_000, description="won lost at the stop")
        stop_pct: float = Field(1.2, gt=0, le=20, description="% below the entry")
        target_pct: float = Field(2.4, ge=0, le=50, description="% above the entry, 0: none")
        trail_pct: float = Field(1.2, ge=0, le=20, description="% below the high, 0: none")
        slippage_pct: float = Field(0.2, ge=0, le=2, description="% paid above the close")
        first_bar_minutes: int = Field(5, ge=0, le=120, description="no entry before, after open")
        cooldown_bars: int = Field(3, ge=0, le=100, description="bars to wait after an entry")

    def __init__(self, parameters: TradingStrategy.Parameters | None = None) -> None:
        super().__init__(parameters)
        self._wait: dict[str, int] = {}

    def on_bar(self, view: StrategyView, bar: Bar) -> OrderRequest | None:
        p, symbol = self.parameters, view.symbol
        waiting = self._wait.get(symbol, 0)
        self._wait[symbol] = max(0, waiting - 1)
        early = bar.end <= view.session.open + timedelta(minutes=p.first_bar_minutes)
        if len(view.bars) <= p.lookback_bars or waiting or early or bar.gap:
            return None
        if view.position.quantity or view.open_orders:
            return None
        before = [view.bars[at] for at in range(-1 - p.lookback_bars, -1)]
        high, volume = max(b.high for b in before), sum(b.volume for b in before) / len(before)
        broke_out = bar.close > high and bar.volume >= p.volume_ratio * volume
        if not (broke_out and bar.close > view.day_vwap > 0):
            return None
        entry = view.round_price(bar.close * (1 + p.slippage_pct / 100), up=True)
        stop = view.round_price(max(1.0, entry * (1 - p.stop_pct / 100)), up=False)
        target = view.round_price(entry * (1 + p.target_pct / 100), up=True) if p.target_pct else 0
        if stop >= entry:
            return None  # a stock of 1 won, or a stop closer than the numbers of a float
        quantity = min(p.risk_krw // (entry - stop), view.cash_krw // entry)
        if quantity <= 0:
            return None
        self._wait[symbol] = p.cooldown_bars
        plan = ExitPlan(stop, target, p.trail_pct / 100)
        return view.buy(
            quantity, entry, f"{bar.end:%H%M}", plan, "breakout",
            close=bar.close, highest=high, volume=bar.volume, average_volume=volume, vwap=view.day_vwap,
        )  # fmt: skip


STRATEGIES: dict[str, type[TradingStrategy]] = {"breakout": Breakout}

# ======================================================================================
# === 11. RECONCILER ===
# ======================================================================================
# Knows: what the broker's lists, balances and notices prove about our orders, and when silence
# proves that one never arrived. It yields ledger entries; whoever reads them applies each
# before the next is made. Never knows: prices of the market, why an order was wanted.
#
# What may be believed?
# - A row of the order list under a number of ours: yes, its amounts are booked. If symbol, side or
#   shares cannot be our order's, nothing of it is booked and the stock stops.
# - That a row is missing: only from a list that shows every number the broker gave us today (the
#   canary), and not within LIST_GRACE_S of an answer. On the paper server lists stay empty at times:
#   there one without any known order proves nothing.
# - A notice: that something happened. It may come twice, late, or never, so it books nothing; its
#   number is a hint, and a fill is booked from it only where the balance agrees and lists are blind.
# - Cash and sellable shares: a second witness of one lone order, never of two at once.
# - A code of the gateway (EGW...): that the broker answered. Not that nothing went on.
# - Silence: nothing for PROOF_OF_ABSENCE_S; then, with complete lists and a witness, absence.
#
# The life of an order, drawn for the case that an answer is missing:
#
#   row durable -> SUBMITTING -> one call -+- accepted ------> WORKING -> FILLED, CANCELLED, EXPIRED
#                      |                   +- refused -------> REJECTED: an equal row is the owner's
#                 process dies             +- no byte left --> NOT_SENT: the same; but a row taken before
#                      |                   |                   the gateway's answer (EGW...) is bound
#                      +-------------------+- no usable answer -> UNKNOWN
#   UNKNOWN: nothing else is sent for the stock; lists are asked at LOOK_AFTER_S
#      +- one row fits, no twin could be meant ------------------> WORKING
#      +- one number heard, and the account moved by its size ---> WORKING
#      +- 3 complete lists in a row without it, PROOF_OF_ABSENCE_S, a witness, no number heard -> LOST
#      +- several rows fit, or QUARANTINE_AFTER_S ---------------> QUARANTINED, the owner is asked
#      +- the night: LOST if a complete list came late enough, else QUARANTINED
#   QUARANTINED: --resolve, or a list that shows it after all. LOST: a row of its time is bound late,
#   and an entry's rest is cancelled then.
#
# Never resent: no arrow leads back to SUBMITTING, and an intent's number of calls is at most one.

LIST_GRACE_S = 5.0  # a list asked this soon after an answer may not show it yet (measured lags)
PROOF_OF_ABSENCE_S = 180.0  # orders surfaced 83 s after a time-out elsewhere, balances lag minutes
QUARANTINE_AFTER_S = 600.0
NOTICE_PATIENCE_S = 5.0  # so long notices may be on their way before a lone row is bound
HINT_PATIENCE_S = 15.0  # then notices and balance together stand in for a list without the order
SPENT_S = 45.0  # a list showed as all of an order what was filled of it, for 36 s (seen elsewhere)
ARRIVAL_WINDOW_S = 60.0  # of a lost order: one that arrived, arrived during its call
CALL_S = 15.0  # a call that was under way has ended by now
LOOK_AFTER_S = (1, 2, 4, 8, 15, 30, 60, 90, 120, 150, 180, 200, 220, 240, 300, 360, 420, 480, 540)


Proof: TypeAlias = "Iterator[LedgerEntry]"  # the caller applies each entry before the next is made


@dataclass(slots=True)
class Search:
    """What was seen while looking for an order of unknown outcome."""

    clean_lists: int = 0  # valid lists without a candidate
    witnesses: int = 0  # looks at cash or sellable shares
    arrived: bool = False  # they fell by what the order reserves


@dataclass(slots=True)
class Hint:
    """What notices said of an order number and the list does not show yet."""

    since: datetime
    quantity: int = 0
    amount_krw: int = 0
    cancelled: bool = False


def time_of_row(row: BrokerOrder, day: date) -> datetime | None:
    """Return when the broker took an order, None when the row does not say."""
    if not re.fullmatch(r"([01]\d|2[0-3])[0-5]\d[0-5]\d", row.time):
        return None
    at = clock_time(int(row.time[:2]), int(row.time[2:4]), int(row.time[4:]))
    return datetime.combine(day, at, KST)


def fits(intent: OrderIntent, row: BrokerOrder, within_s: float = math.inf) -> bool:
    """Tell whether a row could be this intent, taken so many seconds after the decision at most."""
    at = time_of_row(row, intent.trade_date)
    later = (at - intent.at.replace(microsecond=0)).total_seconds() if at else 0.0
    return (
        (row.symbol, row.side, row.quantity, row.price)
        == (intent.symbol, intent.side, intent.quantity, intent.price)
        and row.kind in ("", str(intent.kind))
        and not row.original_no
        and -CLOCK_TOLERANCE_S <= later <= within_s
    )


def chain_of(row: BrokerOrder, rows: Mapping[str, BrokerOrder]) -> list[BrokerOrder]:
    """Return a row, the one that it was changed from, and so on, as far as they are listed."""
    chain = [row]
    while chain[-1].original_no in rows and len(chain) <= len(rows):
        chain.append(rows[chain[-1].original_no])
    return chain


def candidates(intent: OrderIntent, rows: list[BrokerOrder], within_s: float) -> list[BrokerOrder]:
    """Return the rows that could be an intent; one taken while it was tried is preferred."""
    found = [row for row in rows if fits(intent, row, within_s)]
    near = [row for row in found if fits(intent, row, CALL_S)]
    return near if len(found) > 1 and len(near) == 1 else found


def arrival_s(order: Order) -> float:
    """Return how long after its decision the broker may have taken an order without a number.

    Never, when it was refused or did not leave (no connection, no token). The owner, told of it,
    may try the same by phone; that order is his: told, counted, never touched. Codes of the gateway
    (EGW...) are not all proved to mean that nothing went on, so a row taken before that answer
    came may be ours and is bound. One taken later is not: ours came before its answer or never.
    No intent is sent a second time, whichever it is.
    """
    if order.status is OrderStatus.UNKNOWN:
        return math.inf
    if order.status not in (OrderStatus.NOT_SENT, OrderStatus.REJECTED):
        return ARRIVAL_WINDOW_S
    if order.status is OrderStatus.REJECTED or not by_gateway(order.note):
        return -math.inf
    answered_s = (order.since - order.intent.at).total_seconds()
    return answered_s + CLOCK_TOLERANCE_S


def living_part(
    ledger: Ledger, order: Order, rows: Mapping[str, BrokerOrder]
) -> BrokerOrder | None:
    """Return a row of another number of an order that is alive: the owner changed a part of it."""
    key = order.intent.intent_id
    numbers = (number for (_, number), known in ledger.by_number.items() if known == key)
    return next((rows[each] for each in numbers if each in rows and rows[each].alive > 0), None)


def contradicts(order: Order, row: BrokerOrder) -> bool:
    """Tell whether a row with our number cannot be our order: nothing of it is booked."""
    intent, (had, _) = order.intent, order.fills.get(row.order_no, (0, 0))
    too_many = order.filled_quantity - had + row.filled_quantity > intent.quantity
    return (row.symbol, row.side) != (intent.symbol, intent.side) or (order.own and too_many)


def _external_id(day: date | None, row: BrokerOrder) -> str:
    return f"external-{day:%Y%m%d}-{row.order_no}"


class Ages:
    """For how long open orders have been as they are; our clock may be set meanwhile."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._counted: dict[str, tuple[datetime, datetime]] = {}  # id -> its since, counted from
        self._spent: dict[str, datetime] = {}  # number -> since when nothing of it is alive

    def begin_anew(self, now: datetime) -> None:
        """Count from now on: the times that open orders bear are of another clock."""
        self._counted = {o.intent.intent_id: (o.since, now) for o in self._ledger.open_orders()}
        self._spent.clear()

    def of(self, order: Order, at: datetime) -> float:
        """Return the seconds at a moment, negative when it was before."""
        since, begun = self._counted.get(order.intent.intent_id, (None, order.since))
        return (at - (begun if since == order.since else order.since)).total_seconds()

    def spent_s(self, row: BrokerOrder, at: datetime) -> float:
        """Return for how many seconds lists have shown nothing alive under a number."""
        if row.alive > 0:
            self._spent.pop(row.order_no, None)
            return 0.0
        return (at - self._spent.setdefault(row.order_no, at)).total_seconds()


def give_up(ledger: Ledger, ages: Ages, now: datetime) -> Proof:
    """Quarantine what could not be resolved in time: only the owner can say."""
    for order in ledger.open_orders():
        if order.status is OrderStatus.UNKNOWN and ages.of(order, now) > QUARANTINE_AFTER_S:
            note = "no proof in ten minutes"
            yield OrderUpdate(order.intent.intent_id, OrderEvent.AMBIGUOUS, now, note=note)


def expire(ledger: Ledger, lists: Sequence[datetime], close: datetime, now: datetime) -> Proof:
    """Yield the end of day orders: 15 minutes after the close, after two lists a minute apart."""
    proved = len(lists) > 1 and lists[-1] - lists[0] >= timedelta(minutes=1)
    if now < close + timedelta(minutes=15) or not proved:
        return
    for order in ledger.open_orders():
        if order.status not in DOUBTFUL | {OrderStatus.SUBMITTING}:
            yield OrderUpdate(order.intent.intent_id, OrderEvent.EXPIRED, now, order.order_no)


class Reconciler:
    """Says what lists, balances and notices prove about our orders; applies nothing itself."""

    def __init__(self, ledger: Ledger, empty_lists: bool) -> None:
        self._ledger, self._empty_lists = ledger, empty_lists  # see EMPTY_LISTS
        self.searches: dict[str, Search] = {}  # by intent id
        self.hints: dict[str, Hint] = {}  # by order number
        self._shown: set[str] | None = None  # numbers in the last list
        self._valid_at: datetime | None = None  # when the last list was asked, if it was valid
        self._fitted: set[str] = set()  # orders without a number that rows of it may be
        self.ages = Ages(ledger)
        self.after_close: list[datetime] = []  # when lists were asked after the close
        self._rows: dict[str, BrokerOrder] = {}  # of the list that is read, by number
        self._looked_at = self._now = NEVER  # when it was asked, and is read

    def read_list(self, seen: OrderList, asked_at: datetime, now: datetime) -> Proof:
        """Yield what an order list proves; the newest number of an order explains those before."""
        day = self._ledger.day
        if day is None:
            return
        self._rows = {row.order_no: row for row in seen.rows}
        self._looked_at, self._now = asked_at, now
        strangers: list[BrokerOrder] = []
        yield from self._read_known(strangers)
        numbered = [each for each in self._ledger.orders.values() if each.order_no]
        ours = {each.order_no for each in numbered if each.intent.trade_date == day}
        self._shown = set(self._rows)
        valid = ours <= self._shown and bool(ours or not self._empty_lists)
        self._valid_at = asked_at if valid else None
        yield from self._search(strangers, valid)
        yield from self._adopt(strangers, day)

    def _read_known(self, strangers: list[BrokerOrder], only: Order | None = None) -> Proof:
        """Read the rows of orders that are known, or only of one; the others are strangers."""
        followed, chains = set[str](), [chain_of(row, self._rows) for row in self._rows.values()]
        for chain in sorted(chains, key=lambda chain: (-len(chain), chain[0].order_no)):
            row, numbers = chain[0], (chain[0].order_no, *(each.original_no for each in chain))
            order = next(filter(None, map(self._ledger.order_of, numbers)), None)
            if order is None:
                strangers.append(row)
            if order is None or only not in (None, order):
                continue
            explained = order.intent.intent_id in followed or row.order_no in order.fills
            if row.original_no and not explained:
                yield from self._read_child(order, row, followed)
            else:
                yield from self._read_row(order, row)

    def _read_row(self, order: Order, row: BrokerOrder) -> Proof:
        """Read the row of an order of ours: its fills first, then whether it ended or lives on.

        Only the newest number of an order tells its end, and not while a call for it is under way.
        """
        key, intent, now = order.intent.intent_id, order.intent, self._now
        had, had_krw = order.fills.get(row.order_no, (0, 0))
        if contradicts(order, row):
            if intent.symbol not in self._ledger.stopped:
                yield SymbolStopped(intent.symbol, f"row {row.order_no} is not what was sent", now)
            return
        corrected = row.filled_quantity == had > 0 and row.filled_amount_krw != had_krw
        if row.filled_quantity > had or corrected:
            yield OrderUpdate(
                key, OrderEvent.FILL, now, row.order_no, quantity=row.filled_quantity,
                amount_krw=row.filled_amount_krw,
            )  # fmt: skip
            self._use_hint(row.order_no, row.filled_quantity - had)
        if row.order_no != order.order_no or order.status not in OPEN_STATUSES:
            return
        if order.status is OrderStatus.REPLACE_PENDING:
            return  # its call is under way and will end by an answer
        over = order.filled_quantity + row.cancelled_quantity + row.rejected_quantity
        age = self.ages.of(order, self._looked_at)
        settled = age >= (CALL_S if order.status is OrderStatus.CANCEL_PENDING else LIST_GRACE_S)
        replaced = order.status is OrderStatus.REPLACE_UNKNOWN and row.cancelled_quantity > 0
        if replaced and age < PROOF_OF_ABSENCE_S:
            return  # its rest may live on under a number that the list does not show yet
        # of a changed order: a part of it was cancelled under a number of before, or lives on there
        gone = self.ages.spent_s(row, self._looked_at) >= SPENT_S and bool(row.original_no)
        if gone and (part := living_part(self._ledger, order, self._rows)):
            yield OrderUpdate(
                key, OrderEvent.REPLACED, now, part.order_no, part.branch, price=part.price,
                kind=part.kind, note="its other part",
            )  # fmt: skip
        elif gone or (over >= intent.quantity and row.cancelled_quantity + row.rejected_quantity):
            event = OrderEvent.REJECTED if row.rejected_quantity else OrderEvent.CANCELLED
            yield OrderUpdate(key, event, now, row.order_no)
        elif order.status in UNRESOLVED and settled and over < order.intent.quantity:
            yield OrderUpdate(key, OrderEvent.STILL_WORKING, now, row.order_no)

    def _read_child(self, root: Order, row: BrokerOrder, followed: set[str]) -> Proof:
        """Follow a changed order under its new number. The row of a cancel has nothing to fill.

        A cancel's row is told by a kind that asks for a price, or that of its order, without one
        (form unconfirmed).
        """
        if row.order_no == root.order_no:  # its newest number, alive or not
            followed.add(root.intent.intent_id)
            yield from self._read_row(root, row)
            return
        unpriced = ("", root.kind, *(k for k in OrderKind if k.priced))
        is_cancel = not row.price and row.kind in unpriced
        if root.status not in OPEN_STATUSES and row.filled_quantity:  # listed after its end was
            yield from self._read_row(root, row)
        if root.status not in OPEN_STATUSES or not (row.alive > 0 or row.filled_quantity):
            return
        if is_cancel and not row.filled_quantity:
            return
        followed.add(root.intent.intent_id)
        yield OrderUpdate(
            root.intent.intent_id, OrderEvent.REPLACED, self._now, row.order_no, row.branch,
            price=row.price, kind=row.kind, note="seen in the order list",
        )  # fmt: skip
        yield from self._read_row(root, row)

    def _search(self, strangers: list[BrokerOrder], valid: bool) -> Proof:
        """Look for orders whose outcome is unknown, and for dead ones that turn up late.

        A row that fits an order still being sent belongs to that one. A lone row proves nothing
        when an order that was taken for the owner's, or one that a notice named, fits as well.
        """
        orders = [
            order
            for order in self._ledger.orders.values()
            if not order.order_no and order.own and order.intent.trade_date == self._ledger.day
        ]
        day, known, self._fitted = self._ledger.day, self._ledger.orders, set()
        owners = [row for row in self._rows.values() if orders and _external_id(day, row) in known]
        sending = [each.intent for each in orders if each.status is OrderStatus.SUBMITTING]
        free = [row for row in strangers if not any(fits(each, row) for each in sending)]
        for order in orders:
            unknown = order.status is OrderStatus.UNKNOWN
            within_s = arrival_s(order)
            found = candidates(order.intent, free, within_s)
            named = {row.order_no for row in found}
            self._fitted |= {order.intent.intent_id} if found else set()
            twins = any(fits(order.intent, row, within_s) for row in owners) or any(
                number not in named and self._ledger.order_of(number) is None
                for number in order.heard
            )
            age_s = self.ages.of(order, self._looked_at)
            just = (self._looked_at - order.intent.at).total_seconds() < CALL_S + NOTICE_PATIENCE_S
            early = age_s < NOTICE_PATIENCE_S and just  # else a process that died sent it
            if len(found) == 1 and not twins and unknown and early:
                pass  # notices of an equal order may be on their way
            elif len(found) == 1 and not twins:
                yield from self._bind(order, found[0].order_no, found[0].branch, "order list")
                yield from self._read_known([], order)  # with what it became since
            elif unknown:
                yield from self._judge(order, found, valid)
            for row in found if unknown or (len(found) == 1 and not twins) else ():
                free.remove(row)
                strangers.remove(row)

    def _bind(self, order: Order, number: str, branch: str, where: str) -> Proof:
        key, note = order.intent.intent_id, f"seen in {where}"
        yield OrderUpdate(key, OrderEvent.FOUND, self._now, number, branch, note=note)

    def _judge(self, order: Order, found: list[BrokerOrder], valid: bool) -> Proof:
        """Judge an unknown order after a list without exactly one candidate."""
        key, age = order.intent.intent_id, self.ages.of(order, self._looked_at)
        search = self.searches.setdefault(key, Search())
        if found:
            note = "equal orders: " + ", ".join(row.order_no for row in found)
            yield OrderUpdate(key, OrderEvent.AMBIGUOUS, self._now, note=note)
            return
        search.clean_lists = search.clean_lists + 1 if valid else 0
        witnessed = search.witnesses > 0 or (age >= 300 and search.clean_lists >= 6)
        waited = (self._looked_at - order.intent.at).total_seconds() >= HINT_PATIENCE_S
        heard = [number for number in order.heard if self._ledger.order_of(number) is None]
        if len(order.heard) == len(heard) == 1 and search.arrived and waited:
            yield from self._bind(order, heard[0], "", "a notice and the account")
        elif (
            age >= PROOF_OF_ABSENCE_S and search.clean_lists >= 3 and witnessed
            and not search.arrived and not order.heard
        ):  # fmt: skip
            note = f"{search.clean_lists} complete lists in {age:.0f} s without it"
            yield OrderUpdate(key, OrderEvent.ABSENT, self._now, note=note)

    def _adopt(self, strangers: list[BrokerOrder], day: date) -> Proof:
        """Take in orders that are not ours: counted, never touched."""
        for row in strangers:
            key = _external_id(day, row)
            perhaps_ours = any(
                fits(order.intent, row, ARRIVAL_WINDOW_S if order.status is _S.QUARANTINED else math.inf)
                for order in self._ledger.open_orders(row.symbol)
                if order.own and order.status in DOUBTFUL | {_S.SUBMITTING}
            )  # fmt: skip
            if perhaps_ours or key in self._ledger.orders or not row.quantity or row.original_no:
                continue
            kind = OrderKind(row.kind) if row.kind in list(OrderKind) else OrderKind.LIMIT
            yield OrderIntent(
                key, day, row.symbol, row.side, kind, row.quantity, row.price, "external",
                "external", row.order_no, self._now, reason="an order of the owner",
            )  # fmt: skip
            yield OrderUpdate(key, OrderEvent.ACCEPTED, self._now, row.order_no, row.branch)
            yield from self._read_row(self._ledger.orders[key], row)

    # --- notices and the account ---

    def note_notice(self, notice: Notice, now: datetime) -> Proof:
        """Remember what a notice says until something confirms it; yield numbers that it names."""
        order = self._ledger.order_of(notice.order_no) or self._ledger.order_of(notice.original_no)
        if order is None:
            tried = (OrderStatus.SUBMITTING, OrderStatus.UNKNOWN)
            for each in self._ledger.open_orders(notice.symbol):
                same = (each.intent.side, each.intent.quantity) == (notice.side, notice.quantity)
                if each.status in tried and same and notice.action == "0":
                    yield NumberHeard(each.intent.intent_id, notice.order_no, now)
            return
        taken_back = notice.kind is NoticeKind.CONFIRMED and notice.action == "2"
        if notice.kind is NoticeKind.FILL:
            hint = self.hints.setdefault(notice.order_no, Hint(now))
            hint.quantity += notice.quantity
            hint.amount_krw += notice.quantity * notice.price
        elif taken_back or notice.kind is NoticeKind.REST_CANCELLED:
            hint = self.hints.setdefault(notice.original_no or notice.order_no, Hint(now))
            some = taken_back and 0 < notice.quantity < order.remaining - hint.quantity
            hint.cancelled |= not some  # the owner may take back a part

    def _use_hint(self, number: str, shares: int) -> None:
        """Take what a list has booked out of what notices said."""
        hint = self.hints.get(number)
        if hint and hint.quantity:
            left = max(0, hint.quantity - shares)
            hint.amount_krw = hint.amount_krw * left // hint.quantity
            hint.quantity = left

    def read_balance(
        self, holdings: Mapping[str, Holding], asked_at: datetime, now: datetime
    ) -> Proof:
        """Yield fills that notices told and the balance confirms, where the list lacks the order."""
        for number, hint in list(self.hints.items()):
            order = self._ledger.order_of(number)
            if order is None or self._shown is None or number in self._shown:
                continue
            waited = (asked_at - hint.since).total_seconds() >= HINT_PATIENCE_S
            if not waited or order.status not in OPEN_STATUSES:
                continue
            symbol, key = order.intent.symbol, order.intent.intent_id
            held = self._ledger.position(symbol).quantity + self._ledger.external.get(symbol, 0)
            shown = holdings[symbol].quantity if symbol in holdings else 0
            if hint.quantity and shown == held + order.intent.side.sign * hint.quantity:
                had_quantity, had_amount = order.fills.get(number, (0, 0))
                yield OrderUpdate(
                    key, OrderEvent.FILL, now, number, quantity=had_quantity + hint.quantity,
                    amount_krw=had_amount + hint.amount_krw, note="notices and the balance agree",
                )  # fmt: skip
                self._use_hint(number, hint.quantity)
            if hint.cancelled and not hint.quantity and order.status in OPEN_STATUSES:
                yield OrderUpdate(key, OrderEvent.CANCELLED, now, number, note="by notice")

    def witness(self, order: Order, fell_by: int, expected: int, asked_at: datetime) -> None:
        """Take a second look at an unknown order: did cash or sellable shares fall by its size?"""
        arrived = fell_by * 2 >= expected
        called_s = (asked_at - order.intent.at).total_seconds()
        if (called_s if arrived else self.ages.of(order, asked_at)) >= LIST_GRACE_S:
            search = self.searches.setdefault(order.intent.intent_id, Search())
            search.witnesses += 1
            search.arrived = arrived

    # --- what time proves ---

    def read_old_list(self, seen: OrderList, now: datetime) -> Proof:
        """Yield what the list of an earlier day says of our orders of it; an empty one says nothing."""
        rows = self._rows = {row.order_no: row for row in seen.rows}
        self._looked_at = self._now = now
        for order in self._ledger.open_orders() if rows else ():
            row = rows.get(order.order_no)
            if order.own and order.order_no and order.intent.trade_date == seen.day:
                if row:
                    yield from self._read_row(order, row)
                if order.status in OPEN_STATUSES:
                    note = "day ended" if row else "not in the list of its day"
                    key = order.intent.intent_id
                    yield OrderUpdate(key, OrderEvent.EXPIRED, now, order.order_no, note=note)

    def end_day(self, now: datetime) -> Proof:
        """End what an earlier day left open: day orders are dead, its last list tells the rest.

        It proves no absence where it shows what may be the order, or where a notice told of one.
        """
        looked = self._valid_at
        for order in self._ledger.open_orders():
            key = order.intent.intent_id
            late = looked and looked.date() > order.intent.trade_date
            aged = late or (looked and self.ages.of(order, looked) >= PROOF_OF_ABSENCE_S)
            perhaps = key in self._fitted or order.heard
            proved = aged and not perhaps
            absent = OrderEvent.ABSENT if proved else OrderEvent.AMBIGUOUS
            event = absent if order.status in DOUBTFUL else OrderEvent.EXPIRED
            if event in TRANSITIONS[order.status]:
                yield OrderUpdate(key, event, now, order.order_no, note="day ended")


# ======================================================================================
# === 12. STATE ===
# ======================================================================================
# Knows: what the desks below share on one day: settings, ledger, symbols, the time, the holds,
# the actions of the event at hand; and which question to the broker goes next. Never knows: who
# decides what with it.


class Hold(NamedTuple):
    """A reason to begin nothing new: where it holds, what a restart makes of it, who ends it.

    `restart`: "row" - a ledger row keeps it; "asked" - each start begins with it, or finds its cause
    again before the first entry; "over" - it belongs to the process that ends.
    """

    scope: str  # "all" or "stock"
    restart: str
    ended_by: str
    ko: str
    en: str


JOURNAL_LATE = "journal late"  # rows wait in memory: resting entries are taken back as well
# name | scope restart | who ends it | how it is called in both languages
_HOLDS_TEXT = """
starting | all asked | orders, account and cash of today are seen
  | 시작 점검 중: 주문·잔고·예수금 확인 | starting: orders, account and cash are being looked at
account | all asked | a balance of today that fits the ledger
  | 오늘 잔고를 아직 확인하지 못함 | today's balance has not been seen yet
orders | all asked | an order list asked after the gap
  | 주문 내역을 다시 확인하는 중 | the order list is being looked at again
old order list | all asked | an order list | 주문 내역이 오래됨 | the order list is too old
feed | all asked | all registrations acknowledged | 실시간 시세 끊김 | the realtime feed is down
no trades | all asked | a trade of any stock | 체결이 하나도 들어오지 않음 | no trade has come in
clock | all asked | a Date of the broker that agrees
  | 컴퓨터 시계가 증권사와 다름 | this computer's clock differs from the broker's
journal late | all over | a written row; a start without a sound journal ends with 74
  | 저널을 쓰지 못해 기다리는 중 | the journal cannot be written at the moment
stopping | all over | the end of day or program | 매매 종료 | trading has ended
journal | all row | the owner: --accept-orders | 저널에 없는 오늘 주문이 있음 (--accept-orders로 확인)
  | the journal lacks an order of today (answer with --accept-orders)
mismatch | all row | a balance that equals the ledger | 증권사 잔고와 수량이 다름 | other shares than the broker shows
calendar | all row | the broker's calendar | 증권사가 오늘을 휴장으로 표시함 | the broker calls this day closed
level | all row | the owner, or the next day when a rule moved it
  | 매수를 멈춰 둠, 다시 하려면 --level ACTIVE 또는 /resume | off until --level ACTIVE or /resume
stopped | stock row | the next trading day | 오늘은 이 종목 신규 중지 | no more entries in this stock today
action | stock row | the owner: --levels, or on_corporate_action
  | 권리락·액면분할 확인 필요 (--levels로 답변) | a corporate action waits (answer with --levels)
unresolved | stock row | what becomes of the order | 결과를 기다리는 주문이 있음 | an order whose outcome is awaited
exiting | stock row | the end of the exit | 청산 중 | the position is being closed
pause | stock row | its time | 연속 손실로 쉬는 중 | a pause after lost rounds
"""
HOLDS = {
    name: Hold(*how.split(), *words)
    for name, how, *words in (
        row.split(" | ") for row in _HOLDS_TEXT.replace("\n  |", " |").strip().splitlines()
    )
}


@dataclass(slots=True)
class ExitRun:
    """An exit under way: why, how strong its order is by now, when to make it stronger."""

    reason: str
    step: int = 0
    next_at: datetime | None = None
    refusals: int = 0
    refused_at: datetime | None = None
    unsent: int = 0  # tries in a row that reached nobody
    too_fast: int = 0  # tries in a row turned away by a count of orders; the first one is told
    resell: bool = False
    waits_since: datetime | None = None
    told_at: datetime | None = None


_UNQUOTED = Known(0)
AUCTION_LONGEST = timedelta(minutes=5)  # a VI lasts two minutes and a half; longer is no VI
AUCTION_AFTER_HALT = timedelta(minutes=11)  # that of a circuit breaker lasts ten


@dataclass(slots=True)
class SymbolState:
    """What the engine keeps of one symbol on one day."""

    view: StrategyView
    builder: BarBuilder
    instrument: Instrument | None = None
    lower_limit: int = 1  # of the instrument, once it is known
    upper_limit: int = 1 << 40
    last_trade: Trade | None = None
    quoted: Known[int] = _UNQUOTED  # price of the last REST answer
    halted: bool = False
    auction: bool = False
    auction_since: datetime | None = None
    auction_longest: timedelta = AUCTION_LONGEST
    halted_by_rest: bool = False
    exit: ExitRun | None = None
    waiting: OrderRequest | None = None  # for a fresh REST price
    waiting_until: datetime | None = None
    deaf: int = 0  # trades in a row that look old beside a total of the day
    deaf_total: int = 0  # and the total of the last of them
    price_due: datetime = NEVER  # when to ask again for limits and price of the day
    limits_asked: int = 0  # questions for limits of shares that are held, in a row
    unasked: bool = False  # its strategy failed, or the settings do not name it: guarded only
    refused: set[str] = field(default_factory=set)  # intents refused once are not asked again

    @property
    def limits_known(self) -> bool:
        """Whether the broker told price limits of this day."""
        known = self.instrument
        return known is not None and 0 < known.lower_limit < known.upper_limit

    def ask_strategy(self, on: bool) -> None:
        self.unasked = not on

    def mark_halted(self, halted: bool) -> None:
        """The feed says whether the stock is traded."""
        self.halted = halted
        if halted:
            self.auction_longest = AUCTION_AFTER_HALT

    def note_rest_halt(self, halted: bool) -> None:
        """REST says it; what the feed halted, only the feed lifts."""
        by_feed = self.last_trade is not None and self.last_trade.halted
        if halted or (self.halted_by_rest and not by_feed):
            self.mark_halted(halted)
        self.halted_by_rest = halted

    def note_auction(self, expected: bool, now: datetime) -> None:
        """A quote shows expected prices of an auction, or real ones."""
        since = self.auction_since = (self.auction_since or now) if expected else None
        self.auction = since is not None and now < since + self.auction_longest

    def end_auction(self) -> None:
        """A trade came after its last quote."""
        self.auction, self.auction_since = False, None
        self.auction_longest = AUCTION_LONGEST

    def lose_feed(self) -> None:
        """Forget marks that nobody would end; REST tells halts."""
        self.end_auction()
        self.halted = self.halted_by_rest


LIMITS_UNTOLD = 2  # questions for the limits of a held stock that bring none, before it is told
KILL_SWITCH = "kill switch"  # the owner's word: it sells also what waits for an answer
EXIT_KINDS = (OrderKind.LIMIT, OrderKind.BEST_LIMIT, OrderKind.MARKET)  # stronger step by step
LIST_MAX_AGE_S = 180.0  # entries stop when the broker's order list was not seen for so long
OLD_CLOSE_RATIO = 0.30  # the most that a price moves in a day: more over some is asked about
EXIT_DOUBT_RATIO = 0.10  # a trade so far from the last REST price closes nothing by itself
EXIT_WAIT_ALERT_S = 60.0  # a market exit that rests longer is told, then hourly
TRADE_AHEAD = timedelta(minutes=1)  # a trade of a time so far ahead is none, if our clock is right
CLOSE_SETTLES = timedelta(minutes=1)  # so long after the close the price of the auction may come
AUCTION_RACE = timedelta(seconds=2)  # a trade and a quote of one moment may overtake each other
ACCOUNT_SETTLES = timedelta(seconds=LIST_GRACE_S)  # then a list has every fill that a balance has
REFUSALS_IN_A_ROW, REFUSALS_IN_ALL = 3, 5  # by the broker; then the symbol, or all entries, stop
REFUSED_CHANGES_UNTOLD = 2  # of one order: then it is alive and cannot be changed
GUARD_SILENCE_S = 10.0  # without a trade for so long, REST prices guard a position
PRICE_RETRY_S = 30.0  # between questions for a stock whose price limits are not known
BARRED_RETRY_S = 600.0  # ... for a stock that trades though it was barred this morning
EXIT_PAUSES, EXIT_PAUSE_MOST_S = Pauses((1, 2, 4, 8, 16, 32)), 60.0  # times exit_step_s
TOO_FAST_PAUSES = Pauses((1.0, 1.0, 2.0, 4.0))  # each try counts as an order: few of them
CANCEL_PAUSES = Pauses((2.0, 4.0, 8.0, 60.0))
GONE_PAUSES = Pauses((15.0, 60.0, 300.0))  # ... refused since nothing is left: a list may be late


class DayFacts:
    """What the desks may ask of the day: prices, orders, money. Changes nothing."""

    settings: BotSettings
    ledger: Ledger
    symbols: dict[str, SymbolState]
    session: Session | None
    now: datetime

    def last_price(self, symbol: str) -> int:
        """Return the last known price, 0 when there is none."""
        state = self.symbols.get(symbol)
        if state and state.last_trade:
            return state.last_trade.price
        return state.quoted.value if state else 0

    def fresh_price(self, symbol: str) -> int:
        """Return the newest price there is: REST's, when trades have been silent since."""
        state = self.symbols.get(symbol)
        if state is None or state.last_trade is None:
            return self.last_price(symbol)
        later_s = (state.quoted.asked_at - state.last_trade.ts_exchange).total_seconds()
        return state.quoted.value if later_s > GUARD_SILENCE_S else state.last_trade.price

    def price_or_cost(self, symbol: str) -> int:
        """Return the last price; before the first one today's base price or what the shares cost."""
        known, held = self.ledger.instruments.get(symbol), self.ledger.position(symbol)
        base = known.base_price if known else 0
        return self.last_price(symbol) or max(base, math.ceil(held.average_price))

    def todays_own(self, symbol: str) -> list[Order]:
        """Return our orders of today that may be alive; day orders of earlier days are dead."""
        orders, today = self.ledger.open_orders(symbol), self.ledger.day
        return [order for order in orders if order.own and order.intent.trade_date == today]

    def occupied(self) -> set[str]:
        """Return the symbols in which we hold shares or may come to hold some."""
        buying = [order.intent for order in self.ledger.open_orders() if order.own]
        bought = {intent.symbol for intent in buying if intent.side is Side.BUY}
        return bought | self.ledger.held().keys()

    def matters(self, symbol: str) -> bool:
        """Tell whether a stock is one of ours: named by the settings, held, or ordered."""
        ledger = self.ledger
        ordered = (order.intent.symbol for order in ledger.orders.values() if order.own)
        return symbol in self.settings.symbols or symbol in ledger.positions or symbol in ordered

    def sent_since(self, moment: datetime) -> int:
        """Return how many orders of ours were decided since a moment, also before a restart.

        One decided at a time yet to come, by a wrong clock of before a restart, is not recent.
        """
        count = 0
        for order in reversed(self.ledger.orders.values()):
            if order.own and order.intent.at <= moment:
                break
            count += order.own and order.intent.at <= self.now
        return count

    def clock(self, at: clock_time | None) -> datetime | None:
        """Return a setting's time of day today; a day that runs an hour late shifts it too."""
        session = self.session
        if at is None or session is None:
            return None
        usual = datetime.combine(session.day, USUAL_HOURS[1], KST)
        return datetime.combine(session.day, at, KST) + (session.close - usual)

    def day_result_krw(self) -> int:
        """Return today's P&L, won: realised net of costs, plus open positions at the last price.

        What was held over night counts from yesterday's close: 10 bought at 70,000, close 84,000,
        today 72,000 is a loss of 120,000 today, though a gain of 20,000 in all.
        """
        result: int | Fraction = self.ledger.today.net_krw
        for symbol, position in self.ledger.positions.items():
            if position.quantity:
                price = self.fresh_price(symbol) or self.price_or_cost(symbol)
                result += price * position.quantity - position.cost
        worth, paid = self._carried()
        return math.floor(result - worth + paid)

    def morning_equity_krw(self) -> int:
        """Return what the account was worth at yesterday's close: cash, and shares of ours."""
        return self.ledger.morning_cash_krw + self._carried()[0]

    def _carried(self) -> tuple[int, int | Fraction]:
        """Return what the shares held over night were worth at today's base price, and their cost."""
        worth = 0
        spent: int | Fraction = 0
        for symbol, (shares, cost) in self.ledger.overnight.items():
            state = self.symbols.get(symbol)  # base: the close, or what stands for it on an ex-day
            if state and state.instrument and state.instrument.base_price:
                worth += shares * state.instrument.base_price
                spent += cost
        return worth, spent


class Core(DayFacts):
    """What the desks share: settings, ledger, symbols, the time, the actions of this event."""

    def __init__(self, settings: BotSettings, ledger: Ledger, empty_lists: bool) -> None:
        self.settings, self.ledger = settings, ledger
        self.empty_lists = empty_lists
        self.reconciler = Reconciler(ledger, empty_lists)
        self.symbols: dict[str, SymbolState] = {}
        self.session: Session | None = None
        self.now = NEVER
        self.holds: dict[str, datetime] = {}
        self.cash: Known[int | None] = Known(None)  # orderable, won
        self.holdings: Known[dict[str, Holding]] = Known({})
        self.list_asked_at = NEVER
        self.out: list[Action] = []
        self.calling: set[str] = set()  # intents with a call under way; asked for membership only
        self.last_fill_at = NEVER
        self.journal_end = NEVER  # time of the last row before this process
        self.cancel_entries = False
        self.clock_doubted = False  # today our clock was not the broker's
        self.clean: Callable[[str], str] = str  # takes secrets out of a stranger's text
        self.on_fill: Callable[[Order, int, float], None] = lambda order, shares, price: None

    @property
    def phase(self) -> Phase:
        return self.session.phase(self.now) if self.session else Phase.CLOSED

    def move_to(self, now: datetime) -> None:
        """Set the time. Before the first day the clock may be set; in a day none goes back."""
        self.now = max(self.now, now) if self.session else now

    def record(self, kind: str, ref: str, value: Any = None, /, **data: Any) -> None:
        """Add a journal row, of one value or of several with names."""
        self.out.append(Record(kind, ref, data if value is None else value))

    def take_actions(self) -> list[Action]:
        actions, self.out = self.out, []
        return actions

    def alert(self, code: str, /, **values: Any) -> None:
        self.out.append(Alert(code, values))

    def alert_of(self, intent: OrderIntent, code: str, /, **values: Any) -> None:
        """Tell of an order: stock, side and shares of its intent, and what else."""
        of_it = {"symbol": intent.symbol, "side": intent.side, "quantity": intent.quantity}
        self.out.append(Alert(code, {**of_it, **values}))

    def ask(self, what: Question, symbol: str = "") -> None:
        self.out.append(Ask(what, symbol))

    def call(self, action: Literal["new", "cancel", "change"], order: Order) -> None:
        """Have a call made. One at a time for an order: its answer makes room for the next."""
        self.calling.add(order.intent.intent_id)
        kind, price = order.kind, order.price
        if action == "change":
            kind, price = order.pending_kind, order.pending_price
        self.out.append(OrderCall(action, order.intent, order.order_no, order.branch, kind, price))

    def take_cash(self, amount_krw: int | None, asked_at: datetime) -> None:
        """Take over what the broker says can be spent; None: not known yet."""
        self.cash = Known(amount_krw, asked_at)

    def note_list(self, asked_at: datetime) -> None:
        """Note when the order list was asked, or from when on it is missed."""
        self.list_asked_at = asked_at

    def end_call(self, intent_id: str = "") -> None:
        """Note that a call has ended; "": all, those of a day before."""
        self.calling = self.calling - {intent_id} if intent_id else set()

    def hold(self, name: str, on: bool) -> None:
        """Put entries on hold for a reason of HOLDS, or end that reason."""
        kind = HOLDS[name]
        if on is (name in self.holds):
            return
        if on:
            self.holds[name] = self.now
        else:
            del self.holds[name]
        self.record("hold", name, on=on)
        if kind.restart == "row":
            self.apply(HoldSet(name, on, self.now))

    def hold_anew(self, name: str) -> None:
        """Put entries on hold, or hold them for the same reason from now on."""
        self.hold(name, on=True)
        self.holds[name] = self.now

    def take_lasting_holds(self) -> None:
        self.holds |= self.ledger.holds

    def apply(self, entry: LedgerEntry) -> int:
        """Apply an entry and journal it. An illegal event stops its symbol, never the program."""
        ref = getattr(entry, "intent_id", "")
        order = self.ledger.orders.get(ref)
        was: tuple[Position, int, int | Fraction] | None = None
        if order and isinstance(entry, OrderUpdate) and entry.event is OrderEvent.FILL:
            held = Position(*self.ledger.position(order.intent.symbol).values())
            was = held, order.filled_amount_krw, self.ledger.today.exact_net
        try:
            booked = self.ledger.apply(entry)
        except IllegalTransition as error:
            self.stop_symbol(order.intent.symbol if order else "", str(error))
            return 0
        ours = isinstance(entry, OrderIntent) and entry.purpose != "external"
        self.out.append(Record("intent" if ours else "ledger", ref, entry))
        if order and booked and was:  # a fill
            before, spent, worth = was
            gain = before.result + self.ledger.today.exact_net - worth
            self._after_fill(order, booked, order.filled_amount_krw - spent)
            left = self.ledger.position(order.intent.symbol).quantity
            if order.own and before.quantity and not left:
                self._tell_round(order, before, gain)
        if order and isinstance(entry, OrderUpdate):
            self._tell_update(order, entry)
        elif isinstance(entry, SymbolStopped) and entry.why:
            self.alert("symbol_stopped", symbol=entry.symbol, why=entry.why)
        return booked

    def stop_symbol(self, symbol: str, why: str) -> None:
        """Begin nothing more in a symbol today, and say so."""
        self.apply(SymbolStopped(symbol, why, self.now))

    def set_level(self, level: KillLevel, reason: str, by_rule: bool) -> None:
        """Move the kill switch; a rule can only tighten it."""
        same = level is self.ledger.level and by_rule is self.ledger.level_by_rule
        if same or (by_rule and level <= self.ledger.level):
            return
        self.apply(LevelSet(level, reason, by_rule, self.now))
        mark = "▶" if level is KillLevel.ACTIVE else "⛔"
        self.alert("level", mark=mark, level=level.name, reason=reason)

    def _after_fill(self, order: Order, shares: int, amount: int) -> None:
        self.last_fill_at = self.now
        intent, price = order.intent, amount / shares
        if not order.own:
            return
        left = intent.quantity - order.filled_quantity
        self.alert_of(
            intent, "filled" if left <= 0 else "partly_filled", quantity=shares, price=price,
            left=left, reason=intent.reason, total=order.filled_quantity,
            average=order.filled_amount_krw / order.filled_quantity,
        )  # fmt: skip
        self.on_fill(order, shares, price)
        self.ask("cash")

    def _tell_round(self, order: Order, before: Position, gain: int | Fraction) -> None:
        """Tell what a round trip earned after all its costs; per cent of what the shares cost."""
        intent, opened = order.intent, before.opened_at or self.now
        paid = before.average_price * order.filled_quantity
        self.alert(
            "round_closed", mark="▲" if gain >= 0 else "▼", symbol=intent.symbol,
            quantity=order.filled_quantity, price=order.filled_amount_krw / order.filled_quantity,
            gain=f"{math.floor(gain):+,}", percent=f"{100 * float(gain) / paid:+.2f}" if paid else "-",
            minutes=math.floor((self.now - opened).total_seconds() / 60), reason=intent.reason,
            day=f"{self.ledger.today.net_krw:+,}",
        )  # fmt: skip

    def _tell_update(self, order: Order, update: OrderUpdate) -> None:
        """Alert about the ends and doubts of an order; words like "filled" only when proved."""
        code = {
            _E.NO_ANSWER: "order_unknown", _E.ABSENT: "order_lost", _E.FOUND: "order_found",
            _E.AMBIGUOUS: "order_quarantined", _E.CANCELLED: "order_cancelled",
            _E.REJECTED: "order_rejected",
        }.get(update.event)  # fmt: skip
        if code and order.own:
            number, reason = order.order_no, order.intent.reason
            self.alert_of(order.intent, code, order_no=number, note=update.note, reason=reason)


def name_of(core: Core, symbol: str) -> str:
    """Return the name of a stock, "" unknown: the price answer names none, the balance does."""
    state, holding = core.symbols.get(symbol), core.holdings.value.get(symbol)
    instrument = state.instrument if state else None
    return (instrument.name if instrument else "") or (holding.name if holding else "")


POLL_OPEN_S, POLL_IDLE_S, POLL_ACCOUNT_S = 5.0, 30.0, 60.0  # market seconds between questions
WAITED_LONG_S = 10.0  # a question that waited so long goes first
PRICES_SIDE_BY_SIDE = 3  # questions for stocks that are not held


class Agenda:
    """Which question goes to the broker next: those that were wanted, and the usual ones when due.

    What is held goes first, and waits for no stock that is not. Then the first kind named, but one
    that waited long goes before it: on paper the pages of one order list may take longer than the
    time to the next.
    """

    def __init__(self) -> None:
        self.is_held: Callable[[str], bool] = lambda symbol: False
        self.waiting: dict[Ask, datetime] = {}  # with the time since when each waits
        self.under_way: dict[Ask, bool] = {}
        self._asked_at: dict[Question, datetime] = {}
        self._took_s: dict[Question, float] = {}  # market seconds, by the last answer

    def want(self, ask: Ask, now: datetime) -> None:
        """Note a question; asked once however often it is wanted."""
        self.waiting.setdefault(ask, now)

    def note_asked(self, what: Question, now: datetime) -> None:
        """Note that a question of a kind is being asked: the usual one is due a span later."""
        self._asked_at[what] = now

    def note_answered(self, what: Question, took_s: float) -> None:
        """Note how long an answer took; a slow one leaves time for others."""
        self._took_s[what] = took_s

    def take(
        self, kinds: Sequence[Question], busy: bool, now: datetime
    ) -> tuple[Ask | None, float]:
        """Return the next question of some kinds; None, and in how many market seconds one is due."""
        pause = self._want_usual(kinds, busy, now)
        prices = [ask for ask in self.under_way if ask.what == "price"]
        others = sum(not self.is_held(ask.symbol) for ask in prices)
        asks = [
            ask for ask in self.waiting
            if ask.what in kinds and ask not in self.under_way
            and (ask.what != "price" or self.is_held(ask.symbol) or others < PRICES_SIDE_BY_SIDE)
        ]  # fmt: skip
        if not asks:
            return None, pause
        long_ago = now - timedelta(seconds=WAITED_LONG_S)
        first = min(
            asks, key=lambda a: (
                not self.is_held(a.symbol), min(self.waiting[a], long_ago), kinds.index(a.what)
            ),
        )  # fmt: skip
        del self.waiting[first]
        self.under_way[first] = True
        return first, 0.0

    def _want_usual(self, kinds: Sequence[Question], busy: bool, now: datetime) -> float:
        """Note the questions that are due; return the market seconds until the next one is."""
        pause = math.inf
        spans: dict[Question, float] = {
            "orders": POLL_OPEN_S if busy else POLL_IDLE_S,
            "cash": POLL_ACCOUNT_S,
            "holdings": POLL_ACCOUNT_S,
        }
        for what, span in spans.items():
            if what not in kinds:
                continue
            last, took_s = self._asked_at.get(what), self._took_s.get(what, 0.0)
            span = max(span, min(2 * took_s, took_s + POLL_IDLE_S))  # the rest is for others
            left = span - (now - last).total_seconds() if last else 0.0
            pause = min(pause, left)
            if left <= 0:
                self.want(Ask(what), now)
        return max(pause, 0.01)


# ======================================================================================
# === 13. ENTRIES ===
# ======================================================================================
# Knows: how a wish becomes an intent, is asked through all rules, and leaves. Every order, also
# an exit, goes through EntryDesk.submit. Never knows: how the broker is reached.


def new_scale(core: Core, symbol: str, shown: int = 0) -> bool:
    """Tell whether today's base price is not the close that we kept of yesterday.

    One of an earlier day, while this program was off, says it only from OLD_CLOSE_RATIO on, or
    together with as many other shares (`shown` are all of the account) as a split would give.
    """
    state, kept, session = (core.symbols.get(symbol), core.ledger.closes.get(symbol), core.session)
    if state is None or kept is None or session is None or state.instrument is None:
        return False
    base, close, fund = state.instrument.base_price, kept.price, state.view.fund
    if not base or kept.day >= session.day:
        return False
    if kept.day < previous_trading_day(session.day):
        before = core.ledger.position(symbol).quantity + core.ledger.external.get(symbol, 0)
        split = shown and "split" in classify_action(close, base, before, shown, fund)
        return bool(split) or abs(base - close) > close * OLD_CLOSE_RATIO
    if not kept.sure and abs(base - close) * 10 <= close:
        return False  # the closing auction may have moved it so far
    return classify_action(close, base, 1, 1, fund) != "nothing"


def action_doubt(core: Core, symbol: str) -> bool:
    """Tell whether the price scale of a stock changed over night and nobody said what holds."""
    return symbol in core.ledger.actions or ("account" in core.holds and new_scale(core, symbol))


def answer_action(core: Core, symbol: str, word: str, note: str) -> bool:
    """Settle a corporate action: scale the levels, or keep them; False when none waits."""
    seen, position = core.ledger.actions.get(symbol), core.ledger.position(symbol)
    if seen is None or word not in ("scale", "keep"):
        return False
    plan, state = position.plan, core.symbols.get(symbol)
    if plan and word == "scale":
        plan = scaled_plan(plan, seen.close, seen.base, bool(state and state.view.fund))
    core.apply(ActionAnswered(symbol, seen.base, plan, f"{word}: {note}", core.now))
    core.alert(
        "levels_set", symbol=symbol, word=word, quantity=position.quantity,
        stop=plan.stop_price if plan else 0, target=plan.target_price if plan else 0,
    )  # fmt: skip
    return True


def note_action(core: Core, symbol: str, shown: int | None) -> None:
    """Look at a held stock once a morning: what happened to its price scale and its shares?

    `shown` are all shares of the account, None when they may have changed since the morning.
    """
    ledger, ours = core.ledger, core.ledger.position(symbol)
    if not ours.quantity or not new_scale(core, symbol, shown or 0):
        return
    state, waits, kept = core.symbols[symbol], ledger.actions.get(symbol), ledger.closes[symbol]
    close, known = kept.price, state.instrument
    base, before = known.base_price if known else 0, ours.quantity + ledger.external.get(symbol, 0)
    kind = classify_action(close, base, before, shown, state.view.fund) if shown else "unexplained"
    if kind == "nothing" or (waits and kept.day < waits.at.date()):
        return  # the same one; with a close of later it is another
    after = ours.quantity * shown // before if shown and "split" in kind else ours.quantity
    if waits:  # his word will hold for both: the levels are those of before the first
        close, base = waits.close, max(1, waits.base * base // close)
    core.apply(ActionSeen(symbol, kind, close, base, ours.quantity, after, core.now))
    core.alert(
        "corporate_action", symbol=symbol, kind=kind, close=close, base=base,
        before=before, shown=shown or 0, ours=after,
    )  # fmt: skip
    if kind != "unexplained" and not waits and core.settings.on_corporate_action == "scale":
        answer_action(core, symbol, "scale", "as the settings say")


def intent_id_of(strategy: str, day: date, symbol: str, side: Side, signal: str, leg: str) -> str:
    """Return the id of an intent: the same cause gives the same id, also after a restart."""
    cause = "|".join((strategy, day.isoformat(), symbol, side, signal, leg))
    return hashlib.sha256(cause.encode()).hexdigest()[:16]


def paused_until(core: Core, symbol: str) -> datetime | None:
    """Return the end of a pause after lost rounds in a row."""
    limits, today = core.settings.limits, core.ledger.today
    for key, most in ((symbol, limits.losses_in_a_row), ("", limits.losses_in_a_row_all)):
        if today.losses.get(key, 0) >= most:
            until = today.lost_at[key] + timedelta(minutes=limits.loss_pause_minutes)
            if core.now < until:
                return until
    return None


def holds_of(core: Core, symbol: str) -> dict[str, str]:
    """Return what lets no entry begin in a stock now: reasons of HOLDS, each with its detail."""
    found, ledger, state = dict.fromkeys(core.holds, ""), core.ledger, core.symbols.get(symbol)
    if ledger.level is not KillLevel.ACTIVE:
        found["level"] = ledger.level.name
    if symbol in ledger.stopped:
        found["stopped"] = ledger.stopped[symbol]
    if action_doubt(core, symbol):
        found["action"] = ""
    for order in core.todays_own(symbol):
        if order.status in UNRESOLVED:
            found["unresolved"] = order.order_no or order.intent.intent_id
    if state and state.exit:
        found["exiting"] = state.exit.reason
    if until := paused_until(core, symbol):
        found["pause"] = f"{until:%H:%M}"
    return found


def rests(order: Order) -> bool:
    """Tell whether an order rests in the book: the broker has not said that nothing of it is left."""
    return order.status in RESTING and not nothing_left(order.note)


ONCE_MORE, ONCE_MORE_S = " again", 20.0  # behind the signal of a wish turned away; an older is not


class EntryDesk:
    """Turns wishes into intents, asks the risk rules, and lets an order pass: the only way out."""

    def __init__(self, core: Core, strategy_name: str) -> None:
        self._core, self._name = core, strategy_name
        self.paced: list[Order] = []  # entries that wait for a list without them

    def consider(self, state: SymbolState, request: OrderRequest, ask_again: bool = True) -> None:
        """Turn a wish to buy into an order, a refusal, or a question for a fresh price."""
        core, most = self._core, self._core.settings.limits.max_quantity
        if type(request.quantity) is int and most < request.quantity <= CEILING_QUANTITY:
            request = replace(request, quantity=most)
        intent = self._intent_of(state, request)
        if intent.intent_id in core.ledger.orders or intent.intent_id in state.refused:
            return
        if state.waiting and state.waiting.signal == request.signal:
            return  # its price is on the way
        facts = self._facts(state, intent)
        refusal = check_order(facts, intent)
        if refusal and refusal.code == "NO_QUOTE" and ask_again:
            self.give_up_waiting(state, "a newer wish took its place")
            state.waiting = request
            wait = 2 * core.settings.limits.max_quote_age_s
            state.waiting_until = core.now + timedelta(seconds=wait)
            core.ask("price", request.symbol)
            return
        core.record(
            "decision", intent.intent_id, symbol=request.symbol, side="BUY", reason=request.reason,
            quantity=request.quantity, price=request.price, plan=request.plan,
            facts=dict(request.facts), signal=request.signal,
        )  # fmt: skip
        if self.submit(state, intent, facts):
            state.refused.add(intent.intent_id)

    def try_again(self, asked_at: datetime) -> Iterator[Order]:
        """Wish again for entries that the broker's pace turned away: a list and the cash lack them.

        Yield those that are too old for it, or that it turned away often enough.
        """
        core, waiting = self._core, self.paced
        looked_at = min(asked_at, core.cash.asked_at)
        self.paced = [o for o in waiting if (looked_at - o.since).total_seconds() < LIST_GRACE_S]
        for order in (each for each in waiting if each not in self.paced):
            intent, state = order.intent, core.symbols.get(order.intent.symbol)
            if order.status is not OrderStatus.NOT_SENT:
                continue  # it is there after all
            age_s, often = (core.now - intent.at).total_seconds(), intent.signal.count(ONCE_MORE)
            there = not self._cash_denies(order)
            if state is None or there or age_s > ONCE_MORE_S or often > 1:
                yield order
                continue
            self.consider(state, OrderRequest(
                intent.symbol, intent.side, intent.quantity, intent.signal + ONCE_MORE, intent.kind,
                intent.price, intent.plan, intent.reason, owners=intent.leg == OWNERS_LEG,
            ))  # fmt: skip

    def _cash_denies(self, order: Order) -> bool:
        """Tell whether the cash says that an order is not there, and nothing else moved it since."""
        core, intent = self._core, order.intent
        cash, before = core.cash.value, intent.cash_before_krw
        others = (each.since for each in core.ledger.orders.values() if each is not order)
        if cash is None or before < 0 or max([core.last_fill_at, *others]) >= intent.at:
            return False
        return (before - cash) * 2 < intent.reserve_krw

    def price_came(self, state: SymbolState) -> None:
        """Go on with a wish that waited for this price."""
        if state.waiting:
            request, state.waiting = state.waiting, None
            self.consider(state, request, ask_again=False)

    def give_up_waiting(self, state: SymbolState, why: str) -> None:
        """End a wish that waits for a price. A refused signal is not asked again."""
        if state.waiting is None:
            return
        intent, symbol = self._intent_of(state, state.waiting), state.view.symbol
        key = intent.intent_id
        self._core.record("refusal", key, symbol=symbol, code="NO_QUOTE", numbers=why)
        if state.waiting.owners:  # he waits for an answer
            self._core.alert_of(intent, "refused", code="NO_QUOTE", numbers=why)
        state.waiting = None
        state.refused.add(key)

    def _intent_of(self, state: SymbolState, request: OrderRequest) -> OrderIntent:
        core, day = self._core, self._core.now.date()
        upper = state.instrument.upper_limit if state.instrument else 0
        price = request.price if request.kind.priced else upper
        odd = type(price) is not int or type(request.quantity) is not int  # the rules refuse it
        value = 0 if odd else price * request.quantity
        fee = order_fee(value, self._fee_pct(state))
        return OrderIntent(
            intent_id_of(self._name, day, request.symbol, request.side, request.signal, "entry"),
            day, request.symbol, request.side, request.kind, request.quantity, request.price,
            "entry", OWNERS_LEG if request.owners else "entry", request.signal, core.now,
            reserve_krw=value + fee,
            cash_before_krw=-1 if core.cash.value is None else core.cash.value, plan=request.plan,
            reason=request.reason,
        )  # fmt: skip

    def submit(
        self, state: SymbolState, intent: OrderIntent, facts: RiskFacts | None = None
    ) -> Refusal | None:
        """Ask every rule; on yes write the intent and send it. The only way to an order.

        `facts` are those of this moment when the caller has them already. None: it leaves.
        """
        core = self._core
        run = state.exit if intent.purpose == "exit" else None
        again = run and (run.too_fast or run.refusals or run.unsent)  # its first try was told
        refusal = check_order(facts or self._facts(state, intent), intent)
        if refusal:
            core.record(
                "refusal", intent.intent_id, symbol=intent.symbol, side=intent.side,
                quantity=intent.quantity, price=intent.price, code=refusal.code,
                numbers=refusal.numbers, purpose=intent.purpose,
            )  # fmt: skip
            late = intent.leg != OWNERS_LEG and core.clock(core.settings.last_entry)
            as_set = refusal.code == "SESSION" and late and core.now >= late
            if not as_set and not (again and refusal.code == "RATE"):
                core.alert_of(intent, "refused", code=refusal.code, numbers=refusal.numbers)
            return refusal
        core.apply(intent)
        if core.ledger.orders[intent.intent_id].intent is not intent:
            return Refusal("TWICE", intent.intent_id)
        core.call("new", core.ledger.orders[intent.intent_id])
        if not again:
            price, kind = intent.price, intent.kind.name
            core.alert_of(intent, "order_sent", price=price, kind=kind, reason=intent.reason)
        return None

    def _facts(self, state: SymbolState, intent: OrderIntent) -> RiskFacts:
        """Gather what the rules look at. What blocks an exit is a doubtful sell; an entry, any doubt."""
        core, symbol = self._core, state.view.symbol
        own = core.todays_own(symbol)
        if state.exit and state.exit.resell and intent.purpose == "exit":
            own = [order for order in own if order.status not in DOUBTFUL]
        entry, sides = intent.purpose == "entry", {each.intent.side for each in own if rests(each)}
        blocking = [
            each for each in own
            if each.status in UNRESOLVED and (entry or each.intent.side is Side.SELL)
        ]  # fmt: skip
        last, result, worth = state.last_trade, core.day_result_krw(), self._worth()
        return RiskFacts(
            now=core.now,
            phase=core.phase,
            limits=core.settings.limits,
            instrument=state.instrument,
            last_price=core.last_price(symbol),
            last_price_age_s=(core.now - last.ts_exchange).total_seconds() if last else math.inf,
            quote_price=state.quoted.value,
            quote_age_s=state.quoted.age_s(core.now),
            free_cash_krw=self._free_cash(),
            symbol_krw=worth[symbol],
            total_krw=sum(worth.values()),
            positions=len(core.occupied() - {symbol}),
            position=state.view.position.quantity,
            open_sells=sum(each.remaining for each in own if each.intent.side is Side.SELL),
            opposite_resting=bool(sides - {intent.side}),
            unresolved=f"{blocking[0].intent.leg} is {blocking[0].status}" if blocking else "",
            halted=state.halted or state.auction,
            exiting=state.exit.reason if state.exit else "",
            holds=tuple(core.holds),
            stopped=core.ledger.stopped.get(symbol, "")
            or ("a corporate action waits for an answer" if action_doubt(core, symbol) else ""),
            level=core.ledger.level,
            entries_until=core.clock(core.settings.last_entry),
            orders_last_minute=core.sent_since(core.now - timedelta(minutes=1)),
            orders_last_second=core.sent_since(core.now - timedelta(seconds=1)),
            orders_today=core.ledger.today.orders,
            day_loss_krw=-result,
            drawdown_krw=core.ledger.today.peak_krw - result,
            morning_equity_krw=core.morning_equity_krw(),
            paused_until=paused_until(core, symbol),
            fee_pct=self._fee_pct(state),
        )

    def _fee_pct(self, state: SymbolState) -> Decimal:
        settings = self._core.settings
        return settings.fund_fee_pct if state.view.fund else settings.stock_fee_pct

    def _free_cash(self) -> int | None:
        """Return orderable cash less what buys since that answer hold back; None when unknown."""
        core = self._core
        cash, asked_at = core.cash
        if cash is None:
            return None
        since = asked_at - timedelta(seconds=LIST_GRACE_S)
        return cash - sum(
            order.intent.reserve_krw
            for order in core.ledger.orders.values()
            if order.status in UNRESOLVED
            or (order.intent.at >= since and order.status not in NEVER_EXISTED)
        )

    def _worth(self) -> dict[str, int]:
        """Return won held in each symbol, open buys counted as filled.

        What fell counts at its cost, as at the gate: a limit is of won put in, and a fall of the
        price makes no room for more.
        """
        core, ledger = self._core, self._core.ledger
        worth = {}
        for symbol in core.symbols:
            held = ledger.position(symbol)
            shares = held.quantity + ledger.external.get(symbol, 0)
            now = shares * core.price_or_cost(symbol) if shares else 0
            worth[symbol] = max(now, math.ceil(held.cost))
        for order in ledger.open_orders():
            symbol = order.intent.symbol
            if order.intent.side is Side.BUY and symbol in worth:
                known = core.symbols[symbol].instrument
                upper = known.upper_limit if known else core.price_or_cost(symbol)
                worth[symbol] += order.remaining * (order.price or upper)
        return worth

    def room(self, symbol: str) -> int:
        """Return the won that limits and cash leave for one more buy, fee set aside."""
        core, limits, worth = self._core, self._core.settings.limits, self._worth()
        free = self._free_cash() or 0
        free -= order_fee(free, core.settings.stock_fee_pct) + 1
        room = min(
            free, limits.max_order_krw, limits.max_symbol_krw - worth.get(symbol, 0),
            limits.max_total_krw - sum(worth.values()),
        )  # fmt: skip
        return max(0, room)


# ======================================================================================
# === 14. EXITS ===
# ======================================================================================
# Knows: when a position must be closed, and how its order is worked until nothing is left. It
# never waits for a strategy. Never knows: why the position was opened.
#
# Can a stop be lost? It lives in Position.plan, in this process and in rows of the journal; no stop
# order rests at the broker.
# - Armed: by the first booked fill of the entry, whose intent row carries the plan. Looked at on each
#   trade of the feed, and on REST prices while trades are silent for GUARD_SILENCE_S (watch).
# - Moved: by a trailing stop, at prices above what the shares cost (a PlanUpdate row before it counts),
#   or by the owner's --levels.
# - Held back: while a corporate action waits (levels of another scale), and for one price that is too
#   old or EXIT_DOUBT_RATIO off: REST is asked, and its answer counts. A halt or an auction holds the
#   order back, not the decision: the exit has begun, and is told when it waits.
# - Gone: when the position is flat. Neither the strategy's fault nor the kill switch takes it.
# - When the process dies: nobody watches until it is started again; then held stocks are asked first.
#   A begun exit is a row (ExitStarted) and goes on (resume); its sell without an answer is UNKNOWN,
#   and a second one leaves only when a later balance shows the shares free (_may_resell). A stop that
#   had trailed is a row as well.
# - The order grows stronger in steps: LIMIT at the bid, BEST_LIMIT, MARKET, by changing the same order,
#   so that two sells are never out for the same shares.


class ExitDesk:
    """Closes positions: watches plans on every trade, works exit orders until nothing is left."""

    def __init__(self, core: Core, entries: EntryDesk) -> None:
        self._core, self._entries = core, entries

    def watch(self, state: SymbolState, price: int, at: datetime) -> None:
        """Look at a price of a moment: stop, target, trailing stop."""
        core, symbol, position = self._core, state.view.symbol, state.view.position
        plan = position.plan
        if not position.quantity or plan is None or state.exit or action_doubt(core, symbol):
            return  # the last: levels of another price scale
        age = abs((core.now - at).total_seconds())
        usual = state.quoted.value or (state.instrument.base_price if state.instrument else 0)
        odd = abs(price - usual) > usual * EXIT_DOUBT_RATIO
        if odd or age > core.settings.limits.max_data_age_s:
            core.ask("price", symbol)  # forged, odd or late: let REST say it
            return
        if price <= plan.stop_price:
            trailed = plan.trail_ratio > 0 and plan.stop_price >= position.average_price
            self.start(state, "trailing stop" if trailed else "stop")
        elif plan.target_price and price >= plan.target_price:
            self.start(state, "target")
        elif plan.trail_ratio and price * position.quantity > position.cost * position.scale:
            trailing = max(1.0, price * (1 - plan.trail_ratio))
            stop = round_to_tick(trailing, state.view.fund, up=False)
            if stop * 1000 >= plan.stop_price * 1001:  # a row for each 0.1 %, not for each tick
                core.apply(PlanUpdate(symbol, replace(plan, stop_price=stop), core.now))

    def start(self, state: SymbolState, reason: str) -> None:
        """Begin to close the position, if there is one and it is not being closed."""
        core, position = self._core, state.view.position
        waits = action_doubt(core, state.view.symbol)
        if not position.quantity or (waits and reason != KILL_SWITCH):
            return
        if state.exit and not (waits and state.exit.reason != reason):
            return  # else one of before the night waits: his word sells it
        state.exit = ExitRun(reason)
        core.apply(ExitStarted(state.view.symbol, reason, core.now))
        core.record(
            "decision", state.view.symbol, side="SELL", reason=reason, quantity=position.quantity,
            price=core.last_price(state.view.symbol), plan=position.plan,
        )  # fmt: skip
        self.work(state)

    def work(self, state: SymbolState) -> None:
        """Take the next step of an exit under way. Called on start, on answers and each second."""
        run, core, position = state.exit, self._core, state.view.position
        if run is None:
            return
        if run.reason != KILL_SWITCH and action_doubt(core, state.view.symbol):
            return  # begun before the night
        symbol = state.view.symbol
        own = core.todays_own(symbol)
        buys = [order for order in own if order.intent.side is Side.BUY]
        sells = [order for order in own if order.intent.side is Side.SELL]
        if not position.quantity and not own:
            state.exit = None
            return
        for order in buys:
            self.cancel(order)
        tradable = core.phase in (Phase.CONTINUOUS, Phase.CLOSING_AUCTION)
        if not tradable or not position.quantity:
            return
        if state.halted or state.auction:
            self._tell_waiting(state, run, position.quantity)
            return
        resting = [order for order in sells if order.status in RESTING]
        run.resell = self._may_resell(symbol, sells)
        if resting:
            self._strengthen(state, run, resting)
        elif (not sells or run.resell) and not any(map(rests, buys)):
            self._send_exit(state, run)

    def _may_resell(self, symbol: str, sells: list[Order]) -> bool:
        """Tell whether shares behind a sell of unknown outcome are shown free by a later balance.

        The broker's ledger refuses to sell more than is held (to be confirmed live), so a second
        full exit cannot sell twice; shares of the owner in the same stock forbid it.
        """
        core = self._core
        unknown = [order for order in sells if order.status in DOUBTFUL]
        if not unknown or len(unknown) < len(sells) or core.ledger.external.get(symbol):
            return False
        asked_at, age_s = core.holdings.asked_at, core.reconciler.ages.of
        looked = all(  # an unknown order arrived before its call ended, if at all
            age_s(each, asked_at) >= LIST_GRACE_S
            if each.status is OrderStatus.UNKNOWN
            else (asked_at - each.intent.at).total_seconds() >= LIST_GRACE_S
            for each in unknown
        )
        held, ours = core.holdings.value.get(symbol), core.ledger.position(symbol).quantity
        # more shares than ours are the owner's, also while his order is not listed yet
        return looked and held is not None and held.sellable >= ours >= held.quantity

    def back_off(self, run: ExitRun, stronger: bool) -> None:
        """Wait longer after each refusal; a refused price is answered by a stronger order."""
        run.step = min(run.step + stronger, len(EXIT_KINDS) - 1)
        run.refusals, run.refused_at = run.refusals + 1, self._core.now
        run.next_at = self._core.now + self._pause_after(run.refusals + 1)

    def wait_for_room(self, run: ExitRun) -> None:
        """Try again in seconds: an order too many for a count, neither a refusal nor a dead host."""
        run.too_fast += 1
        run.next_at = self._core.now + timedelta(seconds=TOO_FAST_PAUSES.after(run.too_fast))

    def _pause_after(self, failed: int) -> timedelta:
        steps = self._core.settings.exit_step_s * EXIT_PAUSES.after(failed)
        return timedelta(seconds=min(EXIT_PAUSE_MOST_S, steps))

    def reached_nobody(self, run: ExitRun) -> None:
        """Count a try of which no byte left; the next one comes at the next step at the earliest."""
        run.unsent += 1
        run.next_at = self._core.now + timedelta(seconds=self._core.settings.exit_step_s)

    def note_end(self, run: ExitRun, accepted: bool) -> None:
        """A try reached the broker, or ended by something else than a count of orders."""
        run.too_fast = 0
        if accepted:
            run.refusals = 0

    def note_life(self) -> None:
        """The broker answered something: exits go at their usual pace again."""
        for state in self._core.symbols.values():
            if state.exit:
                state.exit.unsent = 0

    def resume(self, state: SymbolState) -> None:
        """Go on with an exit that was under way, as strong as its order was."""
        position, symbol = state.view.position, state.view.symbol
        if position.quantity and position.exit_reason:
            state.exit = ExitRun(position.exit_reason)
        for order in self._core.todays_own(symbol):
            if order.intent.purpose == "exit":
                step = EXIT_KINDS.index(OrderKind(order.kind)) if order.kind in EXIT_KINDS else 0
                state.exit = ExitRun(order.intent.reason, step, self._core.now)

    def cancel(self, order: Order) -> None:
        """Take a resting order back; again, with growing pauses, while the list shows it alive."""
        core = self._core
        closed = core.phase in (Phase.AFTER, Phase.CLOSED)
        if order.status not in RESTING or not order.own or closed:
            return
        if order.intent.intent_id in core.calling or order.intent.trade_date != core.ledger.day:
            return  # a number of another day means another order today
        gone = nothing_left(order.note)
        pause = (GONE_PAUSES if gone else CANCEL_PAUSES).after(order.cancel_tries)
        if order.cancel_tries and (core.now - order.since).total_seconds() < pause:
            return
        if gone and core.list_asked_at <= order.since:
            return  # filled or gone, says the broker: only a list of later can say that it is not
        core.apply(OrderUpdate(order.intent.intent_id, OrderEvent.CANCEL_SENT, core.now))
        core.call("cancel", order)

    def _reaches_nobody(self, run: ExitRun) -> bool:
        """Tell whether to wait for a sign of life, which ends this at once, before the next try.

        Otherwise a dead host costs an intent, its rows and two messages at every step for hours.
        """
        step = timedelta(seconds=self._core.settings.exit_step_s)
        waits = run.next_at and self._core.now < run.next_at + self._pause_after(run.unsent) - step
        if waits:
            self._core.ask("orders")
        return bool(waits)

    def _send_exit(self, state: SymbolState, run: ExitRun) -> None:
        """Send the next sell, if its pause is over and shares and price are known."""
        core, position, symbol = self._core, state.view.position, state.view.symbol
        if (run.next_at and core.now < run.next_at) or self._reaches_nobody(run):
            return
        run.next_at = core.now + timedelta(seconds=core.settings.exit_step_s)
        fresh = state.instrument and state.quoted.age_s(core.now) <= EXIT_CONFIRMED_S
        if not core.last_price(symbol) or not (state.limits_known or fresh):
            self._tell_waiting(state, run, position.quantity)
            core.ask("price", symbol)  # ask; never a market order for want of a price
            return
        quantity = self._to_sell(symbol, run)
        if not quantity:
            self._tell_waiting(state, run, position.quantity)
            core.ask("holdings")
            return
        kind, price = self._kind_and_price(state, run)
        exits = sum(
            order.intent.symbol == symbol and order.intent.purpose == "exit"
            for order in core.ledger.orders.values()
        )
        leg = f"exit:{exits + 1}"
        opened = f"{position.opened_at:%H%M%S}" if position.opened_at else "earlier"
        intent = OrderIntent(
            intent_id_of("engine", core.now.date(), symbol, Side.SELL, f"{run.reason}:{opened}", leg),
            core.now.date(), symbol, Side.SELL, kind, quantity, price, "exit", leg,
            f"{run.reason}:{opened}", core.now, reason=run.reason,
            sellable_before=held.sellable if (held := core.holdings.value.get(symbol)) else -1,
        )  # fmt: skip
        refusal = self._entries.submit(state, intent)
        if refusal and refusal.code == "RATE":
            self.wait_for_room(run)
        elif refusal:
            self.back_off(run, stronger=refusal.code in ("TICK", "BAND", "PRICE"))

    def _to_sell(self, symbol: str, run: ExitRun) -> int:
        """Return the shares to sell: all, but after a refusal no more than a newer balance frees."""
        core, quantity = self._core, self._core.ledger.position(symbol).quantity
        quantity = min(quantity, CEILING_QUANTITY)  # the rest follows
        if run.refused_at is None or core.holdings.asked_at < run.refused_at:
            return quantity
        held = core.holdings.value.get(symbol)
        return min(quantity, held.sellable if held else 0)

    def _kind_and_price(self, state: SymbolState, run: ExitRun) -> tuple[OrderKind, int]:
        """Choose kind and price. A missing price never makes a market order: the steps do."""
        core, instrument = self._core, state.instrument
        kind = EXIT_KINDS[run.step]
        if core.phase is Phase.CLOSING_AUCTION and kind is OrderKind.BEST_LIMIT:
            kind = OrderKind.MARKET
        if not state.limits_known:
            kind = OrderKind.LIMIT  # and again at a newer bid
        if not kind.priced:
            return kind, 0
        quote = state.view.quote
        last = core.fresh_price(state.view.symbol)  # a dead feed's last trade may be far away
        bid = min(last, quote.bid) if quote and quote.bid else last  # a quote may be the older one
        price = round_to_tick(bid, state.view.fund, up=False)
        return kind, max(price, instrument.lower_limit if instrument else 0)

    def _strengthen(self, state: SymbolState, run: ExitRun, resting: list[Order]) -> None:
        """Make resting exit orders stronger when it is time; a market order can only wait."""
        core = self._core
        if run.next_at and core.now < run.next_at:
            return
        if not (state.limits_known or core.last_price(state.view.symbol)):
            return  # a start without limits: nothing to make a price of, which is being asked
        run.next_at = core.now + timedelta(seconds=core.settings.exit_step_s)
        weaker = [order for order in resting if order.kind != OrderKind.MARKET]
        if not weaker:
            self._tell_waiting(state, run, resting[0].remaining)
            return
        run.step = min(run.step + 1, len(EXIT_KINDS) - 1)
        kind, price = self._kind_and_price(state, run)
        for order in weaker:
            key = order.intent.intent_id
            if key not in core.calling:
                core.apply(OrderUpdate(key, _E.REPLACE_SENT, core.now, price=price, kind=str(kind)))
                core.call("change", order)

    def _tell_waiting(self, state: SymbolState, run: ExitRun, quantity: int) -> None:
        """Tell that nobody buys: a lower limit lock, a halt. It is not sold before it is sold."""
        core = self._core
        run.waits_since = run.waits_since or core.now
        first = run.waits_since + timedelta(seconds=EXIT_WAIT_ALERT_S)
        if core.now < (run.told_at + timedelta(hours=1) if run.told_at else first):
            return
        run.told_at = core.now
        core.alert("exit_waits", symbol=state.view.symbol, quantity=quantity, reason=run.reason)


# ======================================================================================
# === 15. REPLIES ===
# ======================================================================================
# Knows: what each answer and notice of the broker changes: orders, shares, cash, prices, holds.
# Never knows: how it was asked.


def brake_refusals(core: Core, symbol: str) -> None:
    """Stop the entries of a stock, or all, that the broker refuses again and again."""
    orders = [o for o in reversed(core.ledger.orders.values()) if o.intent.purpose == "entry"]
    here = [order for order in orders if order.intent.symbol == symbol]
    in_a_row, in_all = (
        sum(1 for _ in itertools.takewhile(lambda o: o.status is OrderStatus.REJECTED, each))
        for each in (here, orders)
    )
    if in_a_row >= REFUSALS_IN_A_ROW and symbol not in core.ledger.stopped:
        core.stop_symbol(symbol, f"{in_a_row} entries refused in a row")
    if in_all >= REFUSALS_IN_ALL:
        why = f"{in_all} entries refused in a row"
        core.set_level(KillLevel.ENTRIES_OFF, why, by_rule=True)


class AccountDesk:
    """Takes the account of a day over, and compares it with ours from then on."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._first: Known[Balance] | None = None  # of a day, until a list of later confirms it
        self._missing: Known[dict[str, int]] = Known({})  # shares of ours that a balance lacked
        self._fewer: Known[dict[str, int]] = Known({})  # shares of the owner's than we count

    def note_first(self, seen: Balance, asked_at: datetime) -> None:
        """Keep the first balance of a day until a list of later confirms it."""
        if self._first is None or asked_at < self._first.asked_at:  # one overtook another
            self._first = Known(seen, asked_at)

    def wants_list(self) -> bool:
        """Tell whether a list asked now could confirm the first balance."""
        core, due = self._core, self._first and self._first.asked_at + ACCOUNT_SETTLES
        return due is not None and core.list_asked_at < due <= core.now

    def confirm(self, asked_at: datetime) -> None:
        """Take the first balance when a list, asked at this time, brought no fill since it was asked.

        A fill between the last list and the balance stands in it already: booked again, what the owner
        sold of his own would be taken out of ours, and the stop with it.
        """
        core, first = self._core, self._first
        if first is None or asked_at < first.asked_at + ACCOUNT_SETTLES or "orders" in core.holds:
            return
        self._first = None
        if core.last_fill_at > first.asked_at or first.asked_at.date() != asked_at.date():
            core.ask("holdings")
        elif self._take(first.value, first.asked_at):
            core.hold("account", on=False)

    def compare(self, seen: Balance, asked_at: datetime) -> None:
        """Compare shares and cash with the broker's once nothing moved for a while.

        Other shares stop entries until both agree. Fewer of the owner's than we count (a line that came
        twice in the morning, shares that he moved) are taken over after three minutes, but in a stock
        traded today the balance may only be late: counted too low, his next sell would take ours. Other
        cash (a withdrawal, a dividend) is told and taken over.
        """
        core, ledger = self._core, self._core.ledger
        quiet = (asked_at - core.last_fill_at).total_seconds() >= PROOF_OF_ABSENCE_S
        if not quiet or any(order.status in UNRESOLVED for order in ledger.open_orders()):
            return
        different, fewer, held = [], dict[str, int](), core.holdings.value
        moving = {order.intent.symbol for order in ledger.open_orders()}  # a fill may be on its way
        traded = {each.intent.symbol for each in ledger.orders.values() if each.filled_quantity}
        for symbol in (each for each in core.symbols if each not in moving):
            ours = ledger.position(symbol).quantity + ledger.external.get(symbol, 0)
            theirs = held[symbol].quantity if symbol in held else 0
            if ours != theirs:
                different.append(f"{symbol} {ours} / {theirs}")
                own = ledger.position(symbol).quantity
                if own <= theirs < ours and symbol not in traded:
                    fewer[symbol] = theirs - own
        if fewer != self._fewer.value:
            self._fewer = Known(fewer, asked_at)
        elif fewer and self._fewer.age_s(asked_at) >= PROOF_OF_ABSENCE_S:
            core.apply(AccountTaken(ledger.cash_krw, {**ledger.external, **fewer}, core.now))
        if different and "mismatch" not in core.holds:
            core.alert("mismatch", what=", ".join(different))
        core.hold("mismatch", on=bool(different) or ("mismatch" in core.holds and bool(moving)))
        if not different and not moving and seen.settled_cash_krw != ledger.cash_krw:
            core.alert("cash_differs", ours=ledger.cash_krw, theirs=seen.settled_cash_krw)
            core.apply(AccountTaken(seen.settled_cash_krw, dict(ledger.external), core.now))

    def _take(self, seen: Balance, asked_at: datetime) -> bool:
        """Begin a day with the broker's figures; what is not in our ledger is the owner's.

        Shares of ours that are missing must be missing in two balances some minutes apart before
        they are given up: one balance may be empty or old. Until then return False.
        """
        core, ledger = self._core, self._core.ledger
        held = {each.symbol: each for each in seen.holdings}
        for symbol in sorted(set(held) & set(ledger.positions)):
            note_action(core, symbol, held[symbol].quantity)
        external, fewer, missing = dict[str, int](), dict[str, int](), dict[str, int]()
        for symbol in sorted({*held, *ledger.positions}):
            ours = ledger.position(symbol).quantity
            theirs = held[symbol].quantity if symbol in held else 0
            if theirs < ours:
                fewer[symbol] = theirs
                if ours + ledger.external.get(symbol, 0) != theirs:  # no sells of his explain it
                    missing[symbol] = theirs
            elif theirs > ours:
                external[symbol] = theirs - ours
        opens = core.session.open if core.session else asked_at  # early balances come empty
        if missing != self._missing.value or self._missing.asked_at < opens:
            self._missing = Known(missing, max(asked_at, opens))
            for each, theirs in missing.items():
                core.alert("mismatch", what=f"{each} {ledger.position(each).quantity} / {theirs}")
        if missing and self._missing.age_s(asked_at) < PROOF_OF_ABSENCE_S:
            return False
        whose = [f"{each} {external[each]}" for each in external if each in core.symbols]
        if whose and ledger.account_day is None:  # the journal's first day: perhaps one was lost
            core.hold("journal", on=True)
            core.alert("journal_empty", what=", ".join(whose))
        for symbol, theirs in missing.items():
            core.alert("error", what=f"{symbol}: {theirs} in the account, no stop for the rest")
        for symbol, theirs in fewer.items():
            core.apply(PositionAdjusted(symbol, theirs, f"the broker shows {theirs}", core.now))
        self._missing = self._fewer = Known({})
        core.apply(AccountTaken(seen.settled_cash_krw, external, core.now))
        return True


class BrokerDesk:
    """Takes in what the broker says: answers to orders, lists, balances, prices, notices."""

    def __init__(
        self, core: Core, entries: EntryDesk, exits: ExitDesk, account: AccountDesk
    ) -> None:
        self._core, self._entries, self._exits = core, entries, exits
        self._account = account
        self._unchanged: Counter[str] = Counter()  # refused changes, by the intent
        self._told: dict[tuple[str, str], datetime] = {}  # refused exits, by stock and code
        self._readers: dict[type, Callable[[Any, datetime], None]] = {
            Instrument: self._on_price, OrderList: self._on_orders, Balance: self._on_balance,
            Cash: self._on_cash, PastBars: self._on_past_bars,
        }  # fmt: skip

    def on_seen(self, seen: Seen) -> None:
        """Take an answer to a question in."""
        self._exits.note_life()
        self._readers[type(seen.value)](seen.value, seen.asked_at)

    def on_answer(self, event: OrderAnswered) -> None:
        """Take the end of an order call in. An answer that the list overtook changes nothing."""
        core, answer = self._core, event.answer
        order = core.ledger.orders.get(event.intent_id)
        if order is None:  # only in the replay of a recording by another version or strategy
            core.record("stray", event.intent_id, answer=answer)
            return
        unknown = answer.outcome is Outcome.UNKNOWN  # the other outcomes are events of that name
        outcome = _E.NO_ANSWER if unknown else _E[answer.outcome.name]
        core.end_call(event.intent_id)
        core.record("answer", event.intent_id, answer=answer)
        too_fast = answer.code == TOO_FAST  # the gate's word, not the broker's
        code = "" if too_fast else answer.code
        if code or answer.order_no:
            self._exits.note_life()
        slower = meaning(code, "question") == "pace"  # nothing was executed: a count as well
        paced = too_fast or (slower and outcome is _E.NOT_SENT)
        number, note = answer.order_no, f"{code} {answer.text}".strip()
        namesake = core.ledger.order_of(number)
        if namesake and namesake.own and namesake is not order:  # the list will tell its number
            outcome, number, note = _E.NO_ANSWER, "", f"{number} is the number of another order"
        if order.status in (_S.SUBMITTING, _S.CANCEL_PENDING, _S.REPLACE_PENDING):
            branch = answer.branch
            core.apply(OrderUpdate(event.intent_id, outcome, core.now, number, branch, note=note))
            if outcome in (OrderEvent.REFUSED, OrderEvent.NOT_SENT):
                self._on_refused(order, note, paced)
        core.ask("orders")
        state = core.symbols.get(order.intent.symbol)
        if state and state.exit and not paced and order.intent.purpose == "exit":
            self._exits.note_end(state.exit, accepted=outcome is OrderEvent.ACCEPTED)
        if core.cancel_entries and order.intent.purpose == "entry":
            self._exits.cancel(order)  # it was accepted after the stop
        if state:
            self._exits.work(state)

    def on_notice(self, notice: Notice) -> None:
        """A notice wakes us up; the amounts of record come from the order list."""
        core = self._core
        order = core.ledger.order_of(notice.order_no) or core.ledger.order_of(notice.original_no)
        core.record("notice", order.intent.intent_id if order else "", notice=notice)
        for entry in core.reconciler.note_notice(notice, core.now):
            core.apply(entry)
        core.ask("orders")

    def _on_refused(self, order: Order, note: str, too_fast: bool) -> None:
        """Tell, and give an exit that was refused a growing pause before its next try."""
        core, intent = self._core, order.intent
        state = core.symbols.get(intent.symbol)
        run = state.exit if state and intent.purpose == "exit" else None
        if too_fast and run:
            self._exits.wait_for_room(run)
            if run.too_fast > 1:
                return
        is_new = order.status in (OrderStatus.REJECTED, OrderStatus.NOT_SENT)
        if too_fast and is_new and intent.purpose == "entry" and by_gateway(note):
            self._entries.paced.append(order)
            return
        self._unchanged[intent.intent_id] += not is_new  # often it is filled by then, which is told
        often = self._unchanged[intent.intent_id] == REFUSED_CHANGES_UNTOLD
        if (is_new and self._is_news(intent, note)) or often:
            code = "order_refused" if is_new else "change_refused"
            core.alert_of(intent, code, note=note, reason=intent.reason)
        core.ask("cash")
        if run and order.status is OrderStatus.NOT_SENT and not too_fast:
            self._exits.reached_nobody(run)
        elif run and not too_fast:
            self._exits.back_off(run, stronger=order.status is OrderStatus.REJECTED)
            core.ask("holdings")
        brake_refusals(core, intent.symbol)

    def _is_news(self, intent: OrderIntent, note: str) -> bool:
        """Tell whether to tell of a refusal: an exit that fails alike at every try is told hourly."""
        if intent.purpose != "exit":
            return True
        key, now = (intent.symbol, note.partition(" ")[0]), self._core.now
        if now < self._told.get(key, NEVER) + timedelta(hours=1):
            return False
        self._told[key] = now
        return True

    def _on_orders(self, seen: OrderList, asked_at: datetime) -> None:
        """Book what a list proves, then let every exit go on with what is known now."""
        core = self._core
        if seen.day and seen.day != core.ledger.day:
            if sum(map(core.apply, core.reconciler.read_old_list(seen, core.now))):
                core.hold("account", on=True)  # its shares passed for the owner's until now
                core.ask("holdings")
            return
        over = core.session and asked_at >= core.session.close + CLOSE_SETTLES
        if over and "clock" not in core.holds:
            core.reconciler.after_close.append(asked_at)
        rows = seen  # times of another clock tell nothing about ours
        if core.clock_doubted:
            rows = OrderList(tuple(replace(row, time="") for row in seen.rows))
        turned_up: list[Order] = []
        for entry in core.reconciler.read_list(rows, asked_at, core.now):
            update = entry if isinstance(entry, OrderUpdate) else None
            order = core.ledger.orders.get(update.intent_id) if update else None
            was_dead = order is not None and order.status in NEVER_EXISTED
            if update and update.event is _E.STILL_WORKING and update.intent_id in core.calling:
                continue  # its cancel waits for its turn: the answer is still to come
            core.apply(entry)
            if isinstance(entry, OrderIntent):
                self._on_external(entry, seen)
            if order and was_dead and order.intent.purpose == "entry":
                turned_up.append(order)
        for order in turned_up:
            self._exits.cancel(order)  # keep what is filled, no more; one that ended is left alone
        core.note_list(asked_at)
        if asked_at >= core.holds.get("orders", NEVER):
            core.hold("orders", on=False)
        self._account.confirm(asked_at)
        self._leave_start_up()
        for order in self._entries.try_again(asked_at):
            intent, note = order.intent, order.note
            core.alert_of(intent, "order_refused", note=note, reason=intent.reason)
        for state in core.symbols.values():
            self._exits.work(state)

    def _on_external(self, entry: OrderIntent, seen: OrderList) -> None:
        """Tell of an order that is not ours; at start-up it may be ours and the journal too old."""
        core = self._core
        core.alert_of(entry, "external_order", order_no=entry.signal)
        row = next(each for each in seen.rows if each.order_no == entry.signal)
        at = time_of_row(row, entry.trade_date) or core.now
        if "starting" in core.holds and entry.symbol in core.symbols and at > core.journal_end:
            core.hold("journal", on=True)
            core.alert("journal_old", order_no=entry.signal, at=f"{at:%H:%M:%S}")

    def _on_cash(self, seen: Cash, asked_at: datetime) -> None:
        """Take orderable cash: what may be spent, and the witness of a lone buy."""
        core = self._core
        core.take_cash(seen.amount_krw, asked_at)
        for order in self._lone_unknown(Side.BUY):
            fell_by = order.intent.cash_before_krw - seen.amount_krw
            core.reconciler.witness(order, fell_by, order.intent.reserve_krw, asked_at)
        self._leave_start_up()

    def _on_balance(self, seen: Balance, asked_at: datetime) -> None:
        """Take a balance: a witness of a lone sell, the first of a day, or a comparison with ours."""
        core = self._core
        core.holdings = Known({each.symbol: each for each in seen.holdings}, asked_at)
        for order in self._lone_unknown(Side.SELL):
            held = core.holdings.value.get(order.intent.symbol)
            fell_by = order.intent.sellable_before - (held.sellable if held else 0)
            core.reconciler.witness(order, fell_by, order.intent.quantity, asked_at)
        if "account" in core.holds:
            self._account.note_first(seen, asked_at)
            return
        for entry in core.reconciler.read_balance(core.holdings.value, asked_at, core.now):
            core.apply(entry)
        self._account.compare(seen, asked_at)

    def _lone_unknown(self, side: Side) -> list[Order]:
        """Return unknown orders of one side since which nothing else moved the account."""
        core = self._core
        alive = core.ledger.open_orders()
        unknown = [o for o in alive if o.status is OrderStatus.UNKNOWN and o.intent.side is side]
        if len(unknown) != 1:
            return []
        newest = max(order.intent.at for order in core.ledger.orders.values())
        if not unknown[0].intent.at == newest > core.last_fill_at:
            return []
        intent = unknown[0].intent
        before = intent.cash_before_krw if side is Side.BUY else intent.sellable_before
        return unknown if before >= 0 else []

    def _leave_start_up(self) -> None:
        """End the start-up hold once orders, account and cash have been seen."""
        core = self._core
        waiting = {"orders", "account"} & set(core.holds)
        if core.cash.value is not None and not waiting:
            core.hold("starting", on=False)

    def _on_price(self, instrument: Instrument, asked_at: datetime) -> None:
        """Take a REST price: limits, halts, the price that a wish waits for and that stops look at."""
        core, symbol = self._core, instrument.symbol
        state = core.symbols.get(symbol)
        today = state.instrument if state else None
        if today and not 0 < instrument.lower_limit < instrument.upper_limit:
            last, blocked = instrument.last_price, instrument.blocked
            instrument = replace(today, last_price=last, blocked=blocked)  # limits do not vanish
        fixed = replace(instrument, last_price=0)
        if core.ledger.instruments.get(symbol) != fixed:
            core.ledger.instruments[symbol] = fixed
            core.record("instrument", symbol, fixed)
        if state is None:
            return
        state.instrument, state.view.fund = instrument, instrument.fund
        if 0 < instrument.lower_limit < instrument.upper_limit:
            state.lower_limit, state.upper_limit = instrument.lower_limit, instrument.upper_limit
        price, opens = instrument.last_price, core.session.open if core.session else asked_at
        early = today.last_price if today and state.quoted.asked_at == NEVER else 0
        fresh = state.last_trade is not None or (asked_at >= opens and price != early)
        # REST's price of before the open, and as long as it stands, may be of last evening's after-market
        if price > 0:
            state.quoted = Known(price, asked_at) if fresh else Known(instrument.base_price)
        if "account" not in core.holds:  # its answer came late
            note_action(core, symbol, None)
        waits, base, day = core.ledger.actions.get(symbol), instrument.base_price, core.now.date()
        still = waits and base and classify_action(waits.close, base, 1, 1, instrument.fund)
        if waits and still == "nothing" and waits.before == waits.after and waits.at.date() == day:
            answer_action(core, symbol, "keep", "the base price is the close after all")
        state.note_rest_halt(instrument.halted)
        self._entries.price_came(state)
        if core.phase is Phase.CONTINUOUS and fresh and price > 0:
            self._exits.watch(state, price, core.now)  # of the answer, not older

    def _on_past_bars(self, seen: PastBars, asked_at: datetime) -> None:
        """Put past bars before those of today, each moment once."""
        state = self._core.symbols.get(seen.symbol)
        if state:
            known = list(state.view.bars)  # live bars may have closed before these came
            if seen.bars and seen.bars[-1].end - seen.bars[-1].start > timedelta(hours=2):
                # whole days: they take the place of everything of earlier days, short bars as well
                known = [bar for bar in known if bar.start.date() > seen.bars[-1].start.date()]
            older = [bar for bar in seen.bars if known and bar.end <= known[0].start]
            newer = [bar for bar in seen.bars if not known or bar.start >= known[-1].end]
            state.view.bars.clear()
            state.view.bars.extend([*older, *known, *newer])


# ======================================================================================
# === 16. COMMANDS ===
# ======================================================================================
# Knows: what happens to the program: its start, a day, the feed, its end, the owner's word; all
# words of the owner stand in one table, COMMANDS. Never knows: through which door a word came.


class Danger(enum.StrEnum):
    """What a word may do, and so what a chat must show before it acts: nothing, a tap, a code."""

    ASK = "ask"
    DOWN = "down"
    CONFIRM = "down_confirm"
    UP = "up"


ARGUMENTS_KO = {
    "STOCK": "종목", "SHARES": "수량", "PRICE": "가격", "ORDER": "주문번호", "DAYS": "일수", "LINES": "줄수",
    "INTENT": "주문기호", "KIND": "종류",
}  # fmt: skip


class OwnersWord(NamedTuple):
    """One command of the owner. Arguments are names of ARGUMENTS, in brackets when they may lack.

    `doors` are those besides the control file, which takes every word that does something:
    signal, line (the command line), phone, page. `event` becomes a Command with the arguments, or
    with `text`; a word with a level moves the kill switch, downward words never up.
    """

    name: str
    aliases: tuple[str, ...]
    arguments: tuple[str, ...]
    danger: Danger
    doors: frozenset[str]
    level: KillLevel | None
    event: Any  # a name of Command
    text: str
    ko: str
    en: str

    @property
    def need(self) -> int:
        """Return how many arguments it cannot do without."""
        return sum(not form.startswith("[") for form in self.arguments)

    def usage(self, language: str) -> str:
        """Return the word with its arguments, as a person types it."""
        forms = (form for form in self.arguments if form != "[CODE]")
        said = " ".join((self.name, *forms))
        for english, korean in ARGUMENTS_KO.items() if language == "ko" else ():
            said = said.replace(english, korean)
        return said


class Said(NamedTuple):
    """A word of the owner with its arguments, each of its form."""

    word: OwnersWord
    values: tuple[str, ...] = ()


ARGUMENTS = {
    "STOCK": "Q?[0-9A-Z]{6}", "SHARES": "[1-9][0-9]{0,5}", "PRICE": "[1-9][0-9]{0,8}",
    "ORDER": "[0-9]{1,10}", "LEVEL": "|".join(KillLevel.__members__), "CODE": "[0-9]{6}",
    "INTENT=absent|ORDER": r"[0-9A-Za-z_-]+=(?:absent|[0-9]{1,10})", "LINES": "[1-9][0-9]?",
    "STOCK=scale|keep": "Q?[0-9A-Z]{6}=(?:scale|keep)", "DAYS": "[1-9][0-9]{0,2}",
    "STOCK|ORDER": "[0-9A-Za-z가-힣][0-9A-Za-z가-힣&.-]{0,23}",
    "KIND": "|".join(DEFAULT_NOISE), "on|silent|off": "on|silent|off",
}  # fmt: skip
# name aliases | arguments | danger | doors | what it does | help in both languages
_COMMANDS_TEXT = """
status | - | ask | phone | - | 지금 상태: 손익, 보유, 시세, 매매 단계 | how it stands: result, holdings, feed, level
positions | - | ask | phone | - | 보유 종목과 손절·목표가 | what is held, with stop and target
orders | - | ask | phone | - | 미체결 주문 | open orders
trades | [DAYS] | ask | phone | - | 오늘의 왕복 매매 | round trips of today
profit | [DAYS] | ask | phone | - | 손익 곡선과 낙폭 그림 | equity and drawdown, as a picture
daily | [DAYS] | ask | phone | - | 일별 손익 | results by day
weekly | - | ask | phone | - | 주별 손익 | results by week
monthly | - | ask | phone | - | 월별 손익 | results by month
performance | - | ask | phone | - | 종목별 손익 | results by stock
stats | - | ask | phone | - | 승률, 손익비(PF), 최대 낙폭 | win rate, profit factor, drawdown
balance | - | ask | phone | - | 예수금과 평가금액 | cash and equity
chart | STOCK|ORDER [DAYS] | ask | phone | - | 종목 차트: 진입, 청산, 손절가 | candles with entries, exits, stop
report | - | ask | phone | - | 오늘의 보고서와 그림 | report of the day, with its picture
why | [STOCK|ORDER] | ask | phone | - | 주문의 이유: 주문번호나 종목 | why an order: its number or stock
watchlist | - | ask | phone | - | 관심 종목의 시세 | prices of the watched stocks
limits | - | ask | phone | - | 한도 | the limits
holds | - | ask | phone | - | 지금 새로 사지 않는 이유 | why nothing is bought now
locks | - | ask | phone | - | 오늘 멈춘 종목 | stocks stopped for today
health | - | ask | phone | - | 봇의 건강: 시세, 대기열, 메모리 | feed, queues, memory
logs | [LINES] | ask | phone | - | 최근 알림 | the last messages
version | - | ask | phone | - | 버전 | the version
help start | [CODE] | ask | phone | - | 이 안내 | this text
stop stopentry | - | down | signal phone page | level ENTRIES_OFF | 새로 사지 않습니다 | no new entries
reduce | - | down | phone page | level REDUCE_ONLY | 미체결 매수도 취소합니다 | takes resting entries back too
notify | [KIND] [on|silent|off] | down | phone | notify | 알림: 소리, 소리 없이, 끔 | which messages ring
cancel | ORDER | down | phone | cancel | 미체결 매수 주문을 취소합니다 | takes a resting entry back
flatten | - | down_confirm | signal phone page | level FLATTEN_AND_HALT | 전부 팔고 멈춥니다 | sells all and halts
sell | STOCK | down_confirm | phone | sell | 한 종목을 모두 팝니다 | sells all shares of a stock
resume | - | up | phone | level ACTIVE | 매매를 다시 시작합니다 | trades again
buy | STOCK SHARES [PRICE] | up | phone | buy | 직접 삽니다. 규칙과 한도는 그대로 | buys, within every rule
unlock | STOCK | up | phone | unlock | 오늘 멈춘 종목을 다시 허용합니다 | lets a stopped stock be bought again
resolve | INTENT=absent|ORDER | up | line phone | resolve | 결과를 모르는 주문에 답합니다 | answers a lost order
accept | - | up | line phone | release journal | 저널에 없는 주문을 직접 낸 것으로 칩니다 | unknown orders are your own
levels | STOCK=scale|keep | up | line phone | levels | 분할·권리락에 답합니다 | answers a split
level | LEVEL | up | line | level | 매매 단계를 바로 정합니다 | sets the level
"""


def _read_commands() -> dict[str, OwnersWord]:
    """Return the words of the owner by their names."""
    found = {}
    for line in _COMMANDS_TEXT.strip().splitlines():
        names, arguments, danger, doors, does, korean, english = (
            part.strip().removeprefix("-") for part in line.split(" | ")
        )
        name, *aliases = names.split()
        event, _, text = does.partition(" ")
        found[name] = OwnersWord(
            name, tuple(aliases), tuple(arguments.split()), Danger(danger),
            frozenset(doors.split()), KillLevel.__members__.get(text), event, text, korean, english,
        )  # fmt: skip
    return found


COMMANDS = _read_commands()
_WORD_OF = {name: word for word in COMMANDS.values() for name in (word.name, *word.aliases)}


def read_words(words: Sequence[str]) -> Said | OwnersWord | None:
    """Return what words say; the command alone when its arguments are wrong, None: no command."""
    word = _WORD_OF.get(words[0]) if words else None
    if word is None:
        return None
    values = tuple(words[1:])
    forms = [ARGUMENTS[form.strip("[]")] for form in word.arguments[: len(values)]]
    right = word.need <= len(values) == len(forms)
    if right and all(re.fullmatch(f, v, re.ASCII) for f, v in zip(forms, values, strict=True)):
        return Said(word, values)
    return word


class CommandDesk:
    """Obeys what happens to the program: start, day, feed, stop, and the owner's word."""

    def __init__(self, core: Core, entries: EntryDesk, exits: ExitDesk) -> None:
        self._core, self._entries, self._exits = core, entries, exits
        self._owners = {
            "resolve": self._resolve, "levels": self._levels, "buy": self._buy, "sell": self._sell,
            "cancel": self._cancel, "unlock": self._unlock,
        }  # fmt: skip

    def obey(self, command: Command) -> None:
        """Journal a command and carry it out."""
        self._core.move_to(command.at)
        self._core.record("command", command.name, text=command.text, level=command.level.name)
        if command.name == "restarted":
            self._on_restart(command.text)
        elif command.name == "day" and command.session:
            self._on_day(command.session)
        elif command.name == "stop":
            self._on_stop(cancel=command.text == "cancel")
        elif command.name == "level":
            self._core.set_level(command.level, command.text, by_rule=False)
        elif command.name in self._owners:
            self._owners[command.name](command.text)
        elif command.name in ("hold", "release"):
            if command.text == "clock":  # before and after a step forward
                self._core.clock_doubted |= command.name == "hold"
                self._core.reconciler.ages.begin_anew(self._core.now)
            self._core.hold(command.text, on=command.name == "hold")
        else:
            self._on_feed(up=command.name == "feed up")

    def _levels(self, text: str) -> None:
        symbol, _, word = text.partition("=")
        if not answer_action(self._core, symbol, word, "the owner says so"):
            self._core.alert("error", what=f"no corporate action of {symbol} waits for {word!r}")

    def _buy(self, text: str) -> None:
        """Wish to buy for the owner: the rules and the gate judge it like any wish.

        Without a price the limit is two ticks above the best offer, or above the last price. A new
        position of this kind has no plan, and no wish of a strategy sells it; `sell`, `flatten`, the
        end of the day and the kill switch do.
        """
        core, (symbol, shares, *given) = self._core, text.split(" ")
        state = core.symbols.get(symbol)
        if state is None or symbol not in core.settings.symbols:
            core.alert("error", what=f"{symbol} is not in the settings: nothing is bought")
            return
        quote, price = state.view.quote, int(given[0]) if given else 0
        if not price:
            near = quote.ask if quote and quote.ask else core.fresh_price(symbol)
            price = step_ticks(near, state.view.fund, 2) if near else 0
        signal = f"owner:{core.now:%H%M%S%f}"
        wish = OrderRequest(
            symbol, Side.BUY, int(shares), signal, price=price, reason="the owner", owners=True
        )
        self._entries.consider(state, wish)

    def _sell(self, text: str) -> None:
        core, state = self._core, self._core.symbols.get(text)
        if state is None or not state.view.position.quantity:
            core.alert("error", what=f"{text} is not held: nothing is sold")
        else:
            self._exits.start(state, "the owner")
            if action_doubt(core, text) and (not state.exit or state.exit.reason != KILL_SWITCH):
                core.alert("error", what=f"{text} is not sold: a corporate action waits")

    def _cancel(self, text: str) -> None:
        core, order = self._core, self._core.ledger.order_of(text.zfill(10))
        entry = order is not None and order.own and order.intent.purpose == "entry"
        if order is None or not entry or order.status not in RESTING:
            core.alert("error", what=f"no entry {text} rests at the broker: nothing is cancelled")
            return
        self._exits.cancel(order)

    def _unlock(self, text: str) -> None:
        """Let a stock be bought again that a rule, a fault or lost rounds had stopped for today."""
        core, state = self._core, self._core.symbols.get(text)
        if text not in core.ledger.stopped and not paused_until(core, text):
            core.alert("error", what=f"{text} is not stopped")
            return
        core.apply(SymbolStopped(text, "", core.now))
        if state:
            state.ask_strategy(text in core.settings.symbols)

    def _resolve(self, text: str) -> None:
        """Take the owner's word about a quarantined order."""
        core = self._core
        intent_id, _, said = text.partition("=")
        order = core.ledger.orders.get(intent_id)
        if order is None or order.status is not OrderStatus.QUARANTINED:
            core.alert("error", what=f"no order {intent_id} waits for an answer")
            return
        try:
            number = "" if said == "absent" else normalize_order_no(said)
        except BadData:
            number = ""
        today = order.intent.trade_date == core.ledger.day
        taken = (order.intent.trade_date, number) in core.ledger.by_number
        if said != "absent" and (not number or taken):
            core.alert("error", what=f"{said!r} is neither `absent` nor the number of a free order")
            return
        event = OrderEvent.FOUND if number else OrderEvent.ABSENT
        core.apply(OrderUpdate(intent_id, event, core.now, number, note="the owner says so"))
        core.ask("orders", "" if today or not number else order.intent.trade_date.isoformat())

    def _on_restart(self, journal_end: str) -> None:
        """Requests that were under way when the process died have no answer."""
        core = self._core
        core.journal_end = datetime.fromisoformat(journal_end) if journal_end else NEVER
        core.take_lasting_holds()
        for order in core.ledger.open_orders():
            if order.status in (_S.SUBMITTING, _S.CANCEL_PENDING, _S.REPLACE_PENDING):
                key = order.intent.intent_id
                core.apply(OrderUpdate(key, _E.NO_ANSWER, core.now, note="process ended"))

    def _on_day(self, session: Session) -> None:
        """Prepare a trading day; exits under way before a restart go on."""
        core = self._core
        core.session, core.cancel_entries = session, False
        core.note_list(core.now)  # from here on one is missed
        core.hold("stopping", on=False)
        core.hold("old order list", on=False)
        known = core.ledger.instruments if core.ledger.day == session.day else {}
        if core.ledger.day != session.day:
            core.take_cash(None, core.cash.asked_at)
            core.clock_doubted = "clock" in core.holds
            core.end_call()
            core.hold("starting", on=True)
            if core.symbols:  # this process has seen all that happened since
                core.journal_end = core.now
            for entry in core.reconciler.end_day(core.now):
                core.apply(entry)
            core.apply(DayOpened(session.day, core.now, waits=True))
            core.reconciler = Reconciler(core.ledger, core.empty_lists)
            if core.ledger.level_by_rule:
                core.apply(LevelSet(core.ledger.owners_level, "a new day", False, core.now))
        core.hold("account", on=core.ledger.account_day != session.day)
        core.hold("orders", on=True)
        core.hold("feed", on=True)
        old, core.symbols = core.symbols, {}
        orphans = sorted(core.occupied() - set(core.settings.symbols))
        for symbol in (*core.settings.symbols, *orphans):
            view = StrategyView(symbol, core.now, session, core.ledger.position(symbol))
            view.ask_cash = self._entries.room
            view.ask_orders = lambda symbol: len(core.ledger.open_orders(symbol))
            if symbol in old:
                view.bars.extend(old[symbol].view.bars)
            builder = BarBuilder(symbol, session, core.settings.bar_minutes)
            instrument = known.get(symbol)  # of this day, from before a restart
            view.fund = instrument is not None and instrument.fund
            state = SymbolState(view, builder, instrument, unasked=symbol in orphans)
            core.symbols[symbol] = state
            self._exits.resume(state)
        for symbol in orphans:
            core.alert("orphan", symbol=symbol, quantity=core.ledger.position(symbol).quantity)

    def _on_feed(self, up: bool) -> None:
        """Nothing is replayed after a gap: look at the orders before any entry."""
        core = self._core
        core.hold("feed", on=not up)
        core.record("feed", "", up=up)
        core.reconciler.hints.clear()  # after a gap they are incomplete
        for state in core.symbols.values():
            state.builder.gap_until = core.now if up else NEVER.replace(year=9999)
            if not up:
                state.lose_feed()
        if up:
            core.hold_anew("orders")  # a list asked before does not count
            core.ask("orders")
            core.ask("holdings")

    def _on_stop(self, cancel: bool) -> None:
        core = self._core
        core.cancel_entries = cancel
        core.hold("stopping", on=True)
        for order in core.ledger.open_orders():
            if cancel and order.intent.purpose == "entry":
                self._exits.cancel(order)


# ======================================================================================
# === 17. ENGINE ===
# ======================================================================================
# Knows: everything above, and composes it: events in, actions out. The whole decision path
# is a pure function of the sequence of events: time arrives as an event, answers of the
# broker arrive as events. Replay, tests and trading are ways to feed it.
# Never knows: a clock, a socket, a file, whether it runs for real.
#
# An event passes once, in this order: frames (_on_trade, _on_quote) move bars, then stops, then the
# strategy, so that a strategy's code never stands before a stop; answers go to the BrokerDesk,
# commands to the CommandDesk; the time, once a second, to all that waits (_on_time).


def ask_price_again(core: Core, state: SymbolState, pause_s: float) -> None:
    """Have REST tell a stock's price, unless the last such question is less than its pause ago."""
    if core.now >= state.price_due:
        state.price_due = core.now + timedelta(seconds=pause_s)
        core.ask("price", state.view.symbol)


def is_deaf(core: Core, state: SymbolState, trade: Trade) -> bool:
    """Tell whether an earlier total of the day, forged or wrong, makes true trades look old.

    Repeated and late trades are no later than the last one; a few that are, with growing totals, are.
    """
    last = state.last_trade
    if last is None or trade.ts_exchange <= last.ts_exchange:
        return False
    state.deaf = state.deaf + 1 if trade.cum_volume > state.deaf_total else 1
    state.deaf_total = trade.cum_volume
    if state.deaf == 1:
        core.ask("price", trade.symbol)
    if state.deaf < DEAF_TRADES:
        return False
    dropped = f"{DEAF_TRADES - 1} trades were dropped"
    core.alert("error", what=f"{trade.symbol}: a wrong total of the day came; {dropped}")
    state.builder.begin_again(trade)
    return True


def ask_price(core: Core, state: SymbolState) -> None:
    """Have REST tell limits that are not known, and the price of a held stock without trades."""
    held = bool(state.view.position.quantity)
    if state.instrument and not held:
        return
    last = state.last_trade
    silent = last is None or (core.now - last.ts_exchange).total_seconds() > GUARD_SILENCE_S
    unguarded = held and core.phase is Phase.CONTINUOUS and silent
    if state.limits_known:
        state.limits_asked = 0
    if (not state.limits_known or unguarded) and core.now >= state.price_due:
        state.limits_asked += held and not state.limits_known
        if state.limits_asked == LIMITS_UNTOLD:
            quantity = state.view.position.quantity
            core.alert("no_limits", symbol=state.view.symbol, quantity=quantity)
        ask_price_again(core, state, GUARD_SILENCE_S if unguarded else PRICE_RETRY_S)


class Engine:
    """handle(event) -> actions. One for each process; feed it every event in order."""

    def __init__(
        self, settings: BotSettings, strategy: TradingStrategy, ledger: Ledger, empty_lists: bool
    ) -> None:
        self.core = Core(settings, ledger, empty_lists)
        self.core.on_fill = self._tell_strategy
        self.strategy = strategy
        self.entries = EntryDesk(self.core, type(strategy).__name__)
        self.exits = ExitDesk(self.core, self.entries)
        self.account = AccountDesk(self.core)
        broker = BrokerDesk(self.core, self.entries, self.exits, self.account)
        commands = CommandDesk(self.core, self.entries, self.exits)
        self.digest = hashlib.sha256()
        self.bars_closed = 0
        self._hears_trades = type(strategy).on_trade is not TradingStrategy.on_trade
        self._hears_quotes = type(strategy).on_quote is not TradingStrategy.on_quote
        self._next_second = NEVER
        self._lateness = timedelta(seconds=settings.bar_lateness_s)
        self._looks: dict[str, int] = {}
        self._handlers: dict[type, Callable[[Any], None]] = {
            Trade: self._on_trade, Quote: self._on_quote, TimeEvent: self._on_time,
            MarketStatus: self._on_status, Command: commands.obey, Notice: broker.on_notice,
            Seen: broker.on_seen, OrderAnswered: broker.on_answer,
        }  # fmt: skip
        self.core.hold("starting", on=True)

    def handle(self, event: Event) -> Sequence[Action]:
        """Take one event in; return what is to be done, in order."""
        self._handlers[type(event)](event)
        return self.finish() if self.core.out else ()

    def finish(self) -> Sequence[Action]:
        """Hand over what the events since the last time led to."""
        actions = self.core.take_actions()
        for action in actions:
            if isinstance(action, Record):
                self.digest.update(canonical_json(action).encode())
        return actions

    def expects_data(self) -> bool:
        """Tell whether something should be heard of the market now and then."""
        states = self.core.symbols.values()
        idle = all(state.halted or state.auction for state in states)
        return self.core.phase is Phase.CONTINUOUS and not idle

    def too_late(self, call: OrderCall) -> str:
        """Return why an entry that waited to be sent must not leave any more; "" when it may."""
        core = self.core
        if call.action != "new" or call.intent.purpose != "entry":
            return ""
        state, level = core.symbols[call.intent.symbol], core.ledger.level
        if core.holds or level is not KillLevel.ACTIVE:
            return "entries were stopped before it left"
        if core.phase is not Phase.CONTINUOUS or state.halted or state.auction:
            return "trading was interrupted before it left"
        age = (core.now - call.intent.at).total_seconds()
        return f"decided {age:.0f} s ago" if age > core.settings.limits.max_quote_age_s else ""

    # --- market data ---

    def _on_trade(self, trade: Trade) -> None:
        """Take a trade: refuse the impossible, then bars, then stops, then the strategy."""
        symbol, at, price, _, total, _, halted = trade
        state, session = self.core.symbols.get(symbol), self.core.session
        if state is None or session is None or not session.open <= at < state.builder.last_end:
            return  # not ours, of another day, or of after-hours trading: no price of this book
        if not state.lower_limit <= price <= state.upper_limit:
            ask_price_again(self.core, state, PRICE_RETRY_S)  # or the limits changed in the day
            return  # impossible on this day: broken or forged
        if at > self.core.now + TRADE_AHEAD and not self.core.clock_doubted:
            return  # nor has that moment come: all later trades would be late for their bars
        fresh = total > state.builder.cum_volume or is_deaf(self.core, state, trade)
        if fresh:
            state.deaf, bar = 0, state.builder.add(trade)
            state.last_trade = trade
            if state.halted is not halted:
                self._set_halted(state, halted)
            quote = state.view.quote
            if state.auction and not (quote and at <= quote.ts_exchange + AUCTION_RACE):
                state.end_auction()  # a trade later than its last quote ended it
            if state.instrument and state.instrument.blocked and not halted:
                # trades come of a stock that REST called halted or barred: perhaps it is no longer
                wait_s = PRICE_RETRY_S if state.instrument.halted else BARRED_RETRY_S
                ask_price_again(self.core, state, wait_s)
            if bar is not None:
                self._on_bar(state, bar)
        if state.view.position.quantity:
            self.exits.watch(state, price, at)
        if fresh and self._hears_trades:
            self._consult(state, self.strategy.on_trade, trade)

    def _on_quote(self, quote: Quote) -> None:
        state = self.core.symbols.get(quote.symbol)
        if state is None:
            return
        state.view.quote = quote
        state.note_auction(quote.in_auction, self.core.now)
        if self._hears_quotes and self.core.phase in (Phase.CONTINUOUS, Phase.CLOSING_AUCTION):
            self._consult(state, self.strategy.on_quote, quote)

    def _on_bar(self, state: SymbolState, bar: Bar) -> None:
        self.bars_closed += 1
        state.view.bars.append(bar)
        self.core.record("bar", bar.symbol, bar=bar)
        self._consult(state, self.strategy.on_bar, bar)

    def _on_status(self, status: MarketStatus) -> None:
        state = self.core.symbols.get(status.symbol)
        if state and state.halted != (status.halted or status.vi_active):
            self._set_halted(state, status.halted or status.vi_active)

    def _set_halted(self, state: SymbolState, halted: bool) -> None:
        """Note that a stock stopped or resumed; the alarms tell it when shares are held."""
        state.mark_halted(halted)
        self.core.record("status", state.view.symbol, halted=halted)

    def _consult(self, state: SymbolState, method: Callable[..., Any], *seen: Any) -> None:
        """Ask the strategy; its wish to sell goes to the exit desk, to buy to the risk rules.

        A strategy that fails stops the entries of the symbol for the day and is told; the guard
        of the position goes on without it.
        """
        core, view = self.core, state.view
        if state.unasked:
            return
        view.now, view.last_price = core.now, core.last_price(view.symbol)
        view.day_vwap = state.builder.day_vwap
        shown, held, before = view.shown(), view.position, view.position.values()
        try:
            request = method(view, *seen)
            check_request(request)
            same = all(map(operator.is_, view.shown(), shown))
            if not same or held.values() != before:
                raise TypeError("a view and its position are shown to be read")
        except Interrupted:
            raise
        except BaseException as error:  # its sys.exit() or KeyboardInterrupt is no end of the bot
            view.show(shown)
            held.take(before)
            state.ask_strategy(False)
            core.stop_symbol(view.symbol, _fault_of(error, method.__name__, core.clean))
            return
        if request is None:
            return
        if request.symbol != view.symbol:
            core.record("refusal", request.symbol, code="SYMBOL", numbers="not the view's symbol")
        elif request.side is Side.SELL and held.owners:
            core.record("refusal", request.symbol, code="SIDE", numbers="the owner bought it")
        elif request.side is Side.SELL:
            self.exits.start(state, request.reason or "strategy")
        else:
            self.entries.consider(state, request)

    def _tell_strategy(self, order: Order, shares: int, price: float) -> None:
        state = self.core.symbols.get(order.intent.symbol)
        if state:
            self._consult(state, self.strategy.on_fill, order.intent.side, shares, price)

    # --- the clock ---

    def _obey_level(self, state: SymbolState) -> None:
        """Take resting entries back from REDUCE_ONLY on, close positions at FLATTEN_AND_HALT."""
        level = self.core.ledger.level
        if level >= KillLevel.REDUCE_ONLY:
            for order in self.core.ledger.open_orders(state.view.symbol):
                if order.intent.purpose == "entry":
                    self.exits.cancel(order)
        if level is KillLevel.FLATTEN_AND_HALT:
            self.exits.start(state, KILL_SWITCH)

    def _check_day_loss(self) -> None:
        """Tighten the kill switch for the rest of a day that lost too much."""
        core = self.core
        limit = day_loss_limit(core.settings.limits, core.morning_equity_krw())
        if core.ledger.level < KillLevel.REDUCE_ONLY and core.day_result_krw() <= -limit:
            why = f"day loss of {limit:,} won reached"
            core.set_level(KillLevel.REDUCE_ONLY, why, by_rule=True)

    def _keep_closes(self) -> None:
        """Keep the close of what is held over night, and before it, if this ends early, the last price."""
        core, session = self.core, self.core.session
        if session is None or core.now < session.auction_start:
            return
        settled = session.close + CLOSE_SETTLES
        late = core.now >= settled
        trades = [state.last_trade for state in core.symbols.values() if state.last_trade]
        heard = max((trade.ts_exchange for trade in trades), default=NEVER)
        if "clock" in core.holds and heard < session.auction_start:
            return  # by a clock that may be wrong: no trade of the exchange is so late
        for symbol, state in core.symbols.items():
            kept, price = core.ledger.closes.get(symbol), core.fresh_price(symbol)
            known = kept and kept.day == session.day and not (late and kept.at < settled)
            if known or not (state.view.position.quantity and price):
                continue
            heard_at = state.last_trade.ts_exchange if state.last_trade else NEVER
            sure = late and max(heard_at, state.quoted.asked_at) >= session.close
            if sure or not late or core.now >= session.close + timedelta(seconds=80):
                core.apply(CloseKept(symbol, price, session.day, sure, core.now))
                if late and (state.exit or core.settings.flat_at):
                    quantity = state.view.position.quantity
                    why = state.exit.reason if state.exit else "end of day"
                    age_s = (core.now - core.list_asked_at).total_seconds()
                    if state.exit and age_s > LIST_MAX_AGE_S:
                        why += f"; perhaps sold, no order list since {core.list_asked_at:%H:%M}"
                    core.alert("unsold", symbol=symbol, quantity=quantity, reason=why)
            else:
                ask_price_again(core, state, GUARD_SILENCE_S)

    def _check_quiet(self) -> None:
        """Notice an order list that grew old, and a day on which nothing is traded."""
        core = self.core
        if core.phase is not Phase.CONTINUOUS or core.session is None:
            return
        age = (core.now - core.list_asked_at).total_seconds()
        core.hold("old order list", on=age > LIST_MAX_AGE_S)
        silent = all(state.last_trade is None for state in core.symbols.values())
        late = silent and core.now >= core.session.open + timedelta(minutes=5)
        if late and "no trades" not in core.holds and "feed" not in core.holds:
            core.alert("no_trades", minutes=5)
        core.hold("no trades", on=late)

    def _on_time(self, event: TimeEvent) -> None:
        """Move the time on; each second let stops, bars, waits and searches look at it."""
        core = self.core
        if core.now <= event.now < self._next_second:
            core.now = event.now
            return  # nearly always: within the second that was worked already
        core.move_to(event.now)
        if event.now < self._next_second or core.session is None:
            return
        self._next_second = event.now + timedelta(seconds=1)
        flat_at = core.clock(core.settings.flat_at)
        doubted = "clock" in core.holds  # nothing is sold by a time that may be wrong
        late = core.now > core.holds.get(JOURNAL_LATE, core.now) + timedelta(seconds=1)
        flat = flat_at is not None and core.now >= flat_at and not doubted
        for state in core.symbols.values():
            self._each_second(state, flat)
        alive = core.ledger.open_orders()
        for order in alive:
            age = (core.now - order.intent.at).total_seconds()
            old = flat or late or age >= core.settings.entry_timeout_s
            if order.intent.purpose == "entry" and old:
                self.exits.cancel(order)
        if self.entries.paced:  # what was asked so soon after may not show them yet
            core.ask("orders")
            core.ask("cash")
        if self.account.wants_list():
            core.ask("orders")
        self._check_day_loss()
        self._check_quiet()
        self._keep_closes()
        self._look_for_unknown()
        given_up = give_up(core.ledger, core.reconciler.ages, core.now)
        lists = () if doubted else core.reconciler.after_close
        ended = expire(core.ledger, lists, core.session.close, core.now)
        for entry in itertools.chain(given_up, ended):
            core.apply(entry)

    def _each_second(self, state: SymbolState, flat: bool) -> None:
        core = self.core
        state.note_auction(state.auction_since is not None, core.now)  # its end may show nothing
        if core.now >= state.builder.end + self._lateness:
            bar = state.builder.close_bar()
            if bar:
                self._on_bar(state, bar)
        if state.waiting_until and core.now > state.waiting_until:
            self.entries.give_up_waiting(state, "no REST price came")
        ask_price(core, state)
        if flat:
            self.exits.start(state, "end of day")
        self._obey_level(state)
        self.exits.work(state)

    def _look_for_unknown(self) -> None:
        """Ask for the order list at growing intervals while an outcome is not known."""
        core = self.core
        doubtful = UNRESOLVED - {_S.SUBMITTING, _S.QUARANTINED}
        for order in core.ledger.open_orders():
            today = order.intent.trade_date == core.ledger.day
            old = order.own and order.status in RESTING and not today
            if order.status not in doubtful and not old:
                continue
            key = f"{order.intent.intent_id} {order.since}"
            done = self._looks.get(key, 0)
            age = core.reconciler.ages.of(order, core.now)
            if done < len(LOOK_AFTER_S) and age >= LOOK_AFTER_S[done]:
                self._looks[key] = done + 1
                core.ask("orders", order.intent.trade_date.isoformat() if old else "")
                core.ask("cash" if order.intent.side is Side.BUY else "holdings")


def _where(error: BaseException) -> str:
    """Return the kind of an error and the line that raised it; its text may hold anything."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{type(error).__name__} in line {trace.tb_lineno if trace else 0}"


def _fault_of(error: BaseException, method: str = "", clean: Callable[[str], str] = str) -> str:
    """Return method and kind of a strategy's error, the last line of the user's own file in it, its text.

    The text as Python or the strategy wrote it, cleaned of secrets before it is cut, and without
    addresses: a replay gives the same.
    """
    trace, place, of = error.__traceback__, "", f"{method} of the strategy: " if method else ""
    while trace:
        if trace.tb_frame.f_code is check_request.__code__:
            return f"{of}its answer: {clean(str(error))}"
        file = trace.tb_frame.f_code.co_filename
        own = file != __file__
        place = f" in line {trace.tb_lineno} of {file.rpartition('/')[2]}" if own else place
        trace = trace.tb_next
    text = error.args[0] if error.args and type(error.args[0]) is str else ""
    text = re.sub(r" at 0x[0-9a-f]+", "", clean(" ".join(text.split())))[:120]
    text = text.encode("utf-8", "replace").decode()
    what = (type(error).__name__ + place if place else _where(error)) + (text and f": {text}")
    return of + what


def canonical_json(value: Any) -> str:
    """Return the one text of a value: sorted keys, no blanks; dataclasses carry their type name."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Turn a value into JSON types; times as ISO text, decimals and fractions as text."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, datetime | date | clock_time):
        return value.isoformat()
    names = getattr(value, "__dataclass_fields__", None) or getattr(value, "_fields", None)
    if names:
        return {"type": type(value).__name__, **{n: _plain(getattr(value, n)) for n in names}}
    if isinstance(value, list | tuple | deque):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal | Fraction):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in the journal")


# ======================================================================================
# === 18. RUNTIME SERVICES ===
# ======================================================================================
# Knows: the market clock, the log, the recording, the lock of an account. From here on code
# touches the world. Never knows: the broker, what a decision means.

log = logging.getLogger("kisbot")
STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # both count a sleep of the machine
DISK_ANSWERS_WITHIN_S = 0.5  # one that takes longer for its fsync (1 to 30 ms) is not waited for


class MarketClock:
    """Market time (aware, KST): a moment and the steady time since; it never goes back in a day.

    Whoever sets the host's clock moves nothing here: `correct` follows it once the broker's Date
    agrees. Sessions, bars and decisions use market time, time-outs and pacing the loop's own. A
    simulated server may run faster; the anchor says how.
    """

    def __init__(self, anchor: ClockAnchor | None = None) -> None:
        self._anchor, self.speed = anchor, anchor.speed if anchor else 1.0
        in_s = anchor.unix - time.time() if anchor else 0.0  # it stands still until then
        self.set(anchor.market if anchor else self.host(), in_s)

    def now(self) -> datetime:
        passed_s = max(0.0, self._steady_s() - self._since_s)
        return self._base + timedelta(seconds=passed_s * self._rate)

    def host(self) -> datetime:
        """Return the time of the host's clock, which may be set; a simulated server has ours."""
        return datetime.now(KST) if self._anchor is None else self.now()

    def set(self, moment: datetime, in_s: float = 0.0) -> None:
        """Go on from a moment that is now, or so many seconds ahead; before the first day."""
        self._base, self._since_s, self._rate = moment, self._steady_s() + in_s, self.speed

    def correct(self, moment: datetime) -> None:
        """Step forward to a moment; ahead of it, run at half speed until it is reached."""
        now = self.now()
        self.set(max(now, moment))
        if (now - moment).total_seconds() > CLOCK_TOLERANCE_S:
            self._rate /= 2

    def _steady_s(self) -> float:
        return time.clock_gettime(STEADY)

    async def sleep(self, market_seconds: float) -> None:
        await asyncio.sleep(max(0.0, market_seconds) / self.speed)


class Redactor:
    """Takes secrets out of any text: plain, URL, base64, hex and JSON forms, whole or in pieces.

    Works on runs of eight characters, so that a piece of a secret is found as well.
    """

    _RUN = 8
    _issued: ClassVar[deque[set[str]]] = deque(maxlen=8)  # runs of what servers gave us
    _issued_runs: ClassVar[set[str]] = set()

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._runs: set[str] = set()
        self._short: list[str] = []
        for secret in secrets:
            for form in self._forms(secret.reveal()):
                if len(form) < self._RUN:
                    self._short.append(form)
                last = len(form) - self._RUN + 1
                self._runs.update(form[at : at + self._RUN] for at in range(last))
        self._short.sort(key=len, reverse=True)

    @classmethod
    def learn(cls, secret: Secret) -> None:
        """Let every redactor know a token or key that a server gave this process."""
        runs = Redactor([secret])._runs
        if runs not in cls._issued:
            cls._issued.append(runs)
            cls._issued_runs = set().union(*cls._issued)

    @staticmethod
    def _forms(text: str) -> set[str]:
        raw = text.encode()
        forms = {text, json.dumps(text)[1:-1], raw.hex(), raw.hex().upper(), text[::-1]}
        forms |= {urllib.parse.quote(text, safe=""), urllib.parse.quote_plus(text)}
        for shift in range(3):  # base64 of a longer text that holds the secret at any offset
            coded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
            inner = coded[shift + 1 if shift else 0 :][:-1]
            forms |= {inner, inner.replace("+", "-").replace("/", "_")}
        return {form for form in forms if len(form) >= 4}

    def __call__(self, text: str) -> str:
        """Return the text with `***` in place of every secret."""
        runs, issued, length = self._runs, self._issued_runs, self._RUN
        spans: list[list[int]] = []  # start and end, overlapping runs joined
        for at in range(len(text) - length + 1):
            if (piece := text[at : at + length]) in runs or piece in issued:
                if not spans or at > spans[-1][1]:
                    spans.append([at, at])
                spans[-1][1] = at + length
        for start, end in reversed(spans):
            text = text[:start] + "***" + text[end:]
        for short in self._short:
            text = text.replace(short, "***")
        return text


def secrets_of(profile: Profile) -> list[Secret]:
    account = Secret(profile.account.reveal() + profile.product)
    return [profile.app_key, profile.app_secret, profile.account, account, profile.hts_id]


def all_secrets(settings: Settings) -> list[Secret]:
    doors = settings.bot.webhook_url, settings.bot.heartbeat_url
    addresses = [Secret(door.get_secret_value()) for door in doors]
    return [*secrets_of(settings.profile), settings.telegram_token, *addresses]


EPOCH = datetime(1970, 1, 1, tzinfo=UTC).astimezone(KST)


class _RedactingFormatter(logging.Formatter):
    """The last step of every log line, traces of libraries included."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redact = redact

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return Korean time with its offset, in whatever zone the machine lives."""
        at = EPOCH + timedelta(seconds=record.created)
        return at.isoformat(" ", "milliseconds")

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


def set_up_logging(redact: Callable[[str], str], stream: Any, level: int = logging.INFO) -> None:
    """Send all logs, redacted, to one stream; keep chatty libraries at WARNING."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_RedactingFormatter(redact))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    log.setLevel(level)


class Beside:
    """Does one piece of work after another in a thread of its own: a disk that hangs holds nobody else."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: queue.SimpleQueue[tuple[Callable[[], None], Future[None]] | None]
        self._work, self._last = queue.SimpleQueue(), Future[None]()
        self._last.set_result(None)
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        return self._work.qsize()

    def begin(self, work: Callable[[], None]) -> None:
        """Have a piece of work done after those before it; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._do_all, name=self._name, daemon=True)
            self._thread.start()
        self._last = Future()
        self._work.put((work, self._last))

    def end(self, patience_s: float) -> bool:
        """Wait a while; return whether all the work is over. Raises what the last piece raised."""
        try:
            error = self._last.exception(patience_s)
        except TimeoutError:
            return False
        if error:
            raise error
        return True

    def close(self) -> bool:
        """Let the thread go when its work is over; return whether it is."""
        self._work.put(None)
        return self._last.done()

    def _do_all(self) -> None:
        while item := self._work.get():
            work, future = item
            try:
                work()
                future.set_result(None)
            except (sqlite3.Error, OSError) as error:  # raised again where the end is waited for
                future.set_exception(error)
            finally:
                if not future.done():
                    future.set_exception(BotError("the work broke off"))


class LogThread(logging.Handler):
    """Hands redacted lines to a thread of its own: trading waits for no terminal and no disk.

    Ctrl-S in a terminal or a marked text in a console holds the writer, once for two minutes the
    whole bot with its stops. Lines that find no room are dropped, counted, and told afterwards.
    """

    MOST_LINES = 5_000

    def __init__(self, stream: Any, silent: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self._stream, self._silent, self.dropped, self._told = stream, silent, 0, 0
        self.beside = Beside("log")

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line; never waits."""
        if self._silent():
            return
        if self.beside.waiting < self.MOST_LINES:
            self.beside.begin(functools.partial(self._write, self.format(record)))
        else:
            self.dropped += 1

    def _write(self, line: str) -> None:
        """Write past the stream's buffer: a lock held in there would abort the end of the program."""
        if self.dropped > self._told:
            self._told, missing = self.dropped, self.dropped - self._told
            line += f"\n({missing} lines of the log were dropped: nobody took them)"
        # a pipe whose reader went, a closed file, none: closed by whoever started us
        with contextlib.suppress(OSError, ValueError, AttributeError):
            try:
                place = self._stream.fileno()
            except (OSError, AttributeError):  # no file at all
                self._stream.write(line + "\n")
                return
            data = f"{line}\n".encode("utf-8", "backslashreplace")
            while data:
                data = data[os.write(place, data) :]


class LogFile:
    """The log in the state folder, its owner's only; a full one becomes .1, older ones .2 to .KEPT.

    Opened anew for each text: logrotate, or the owner of a full disk, may have taken it away.
    """

    MOST_BYTES, KEPT = 5_000_000, 5

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, text: str) -> None:
        """Append a text. Raises OSError when it cannot be; the next text tries anew."""
        data = text.encode("utf-8", "backslashreplace")
        names = [str(self._path), *(f"{self._path}.{number + 1}" for number in range(self.KEPT))]
        with contextlib.suppress(FileNotFoundError):
            full = os.lstat(self._path).st_size + len(data) > self.MOST_BYTES
            for older, oldest in reversed([*itertools.pairwise(names)]) if full else ():
                with contextlib.suppress(FileNotFoundError):
                    os.replace(older, oldest)
        how = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        with os.fdopen(os.open(self._path, how, 0o600), "ab", buffering=0) as file:
            while data:
                data = data[file.write(data) :]


def log_by_thread(path: Path, silent: Callable[[], bool] = lambda: False) -> Callable[[], None]:
    """Let threads write the log: one to a file, one to where it went; return what ends that.

    While `silent` says so the second writes nothing: a screen has the terminal. At the end the usual
    handler is back, unless a thread hangs: then nothing else may wait.
    """
    root = logging.getLogger()
    [usual] = root.handlers
    stream = getattr(usual, "stream", sys.stderr)
    threads = [LogThread(stream, silent), LogThread(LogFile(path))]
    for each in threads:
        each.setFormatter(usual.formatter)
    root.handlers[:] = threads

    def end() -> None:
        if all([each.beside.end(2.0) for each in threads]):
            root.handlers[:] = [usual]

    return end


STUCK_S = 120.0  # a call or question that takes longer is stuck; the watchdog goes hungry


def gets_on(busy_since: Mapping[str, float], now: float, answered_s: float) -> bool:
    """Tell whether nothing is stuck; a call is one answer, a question may be many pages."""
    lasts = {what: at if what == "call" else max(at, answered_s) for what, at in busy_since.items()}
    return all(now - last < STUCK_S for last in lasts.values())


class Watchdog:
    """Tells systemd that the program is ready and makes progress (sd_notify)."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self.beats = 0  # signs of life so far

    def tell(self, text: str) -> None:
        """Send READY=1, WATCHDOG=1 or STOPPING=1; outside systemd only the signs are counted."""
        self.beats += text == "WATCHDOG=1"
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.setblocking(False)  # a supervisor that does not read holds nothing up
            s.sendto(text.encode(), address)


RECORD_SEGMENT_BYTES = 64 * 1024 * 1024
RECORD_WAITING = 64 * 1024 * 1024  # characters that a slow disk may leave in memory


class Recorder:
    """Writes what the engine is given, in its order, for replays.

    Lines: S header (JSON), T market time in microseconds, F or X `monotonic_ns connection frame`
    (X: encrypted, its notice follows as an event), J the same with the frame as JSON because it
    holds a line break, E other events (JSON). Each flush adds one whole gzip member: a kill loses
    at most what was not flushed, never breaks the file. A day has a file of its own, which names
    the one that it continues. A thread writes: a disk that hangs holds nothing else.
    """

    def __init__(
        self, folder: Path, started: datetime, header: Mapping[str, Any], most_bytes: int = 1 << 60,
        kept_days: int = 30,
    ) -> None:  # fmt: skip
        folder.mkdir(mode=0o700, exist_ok=True)
        self.path = self._free(folder, started)  # the segment being written
        self.header_of_now: Callable[[], Mapping[str, Any]] = dict  # for the file of a later day
        self.holds_now: Callable[[], Mapping[str, datetime]] = dict  # likewise
        self.secrets: Sequence[Secret] = ()
        self._most, self._kept, self._room = most_bytes, timedelta(days=kept_days), 0
        self._lines: list[str] = ["S" + json.dumps(header, ensure_ascii=False)]
        self._last_time = NEVER
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._written, self.broken = 0, ""
        self._begun = self.path  # the newest file that was begun
        self._handed = self._taken = 0  # characters
        self._beside = Beside("recorder")

    @staticmethod
    def _free(folder: Path, at: datetime) -> Path:
        path = folder / f"{at:%Y%m%d-%H%M%S}-0000.gz"
        while path.exists():  # two starts in one second of market time
            path = folder / path.name.replace("-0000", "x-0000")
        return path

    def begin_day(self, now: datetime) -> None:
        """Go on in a file of this day, with which a replay may begin."""
        if self._begun.name.startswith(f"{now:%Y%m%d}"):
            return
        self.flush()
        holds = {name: since.isoformat() for name, since in self.holds_now().items()}
        header = {**self.header_of_now(), "continues": self._begun.name, "holds": holds}
        self._begun = self._free(self._begun.parent, now)
        self._hand_over("S" + json.dumps(header, ensure_ascii=False) + "\n", self._begun)

    def time(self, now: datetime) -> None:
        if now != self._last_time:
            self._last_time = now
            self._lines.append(f"T{(now - EPOCH) // timedelta(microseconds=1)}")

    def frame(self, stamp_ns: int, connection: int, frame: str) -> None:
        mark = "X" if frame[:1] == "1" else "F"
        if mark == "F" and frame[2:10] in ENCRYPTED_TRS:  # in plain text: account and HTS id
            mark, frame = "X", f"{frame[:11]}not recorded"
        if "\n" in frame or "\r" in frame:
            mark, frame = "J", json.dumps(frame)
        self._lines.append(f"{mark}{stamp_ns} {connection} {frame}")

    def event(self, event: Any) -> None:
        """Record any other event; the line of the time is repeated after it, also of the same time."""
        self._lines.append("E" + canonical_json(event))
        self._last_time = NEVER

    def flush(self) -> None:
        """Have written what has gathered. A full or slow disk ends the recording, not the trading."""
        if self._lines and not self.broken:
            text = "\n".join(self._lines) + "\n"
            self._handed += len(text)
            if self._handed - self._taken > RECORD_WAITING:
                self._end("the disk is too slow")
            else:
                self._hand_over(text)
        self._lines.clear()

    def settle(self, seconds: float) -> bool:
        """Tell whether all that was handed over is written, after a while at most."""
        return self._beside.end(seconds)

    def close(self) -> None:
        """Flush and close; a disk that hangs is left alone."""
        self.flush()
        self._beside.begin(lambda: os.close(self._file))
        self._beside.close()
        with contextlib.suppress(OSError):  # a disk that says only now what it lost: the last words
            self.settle(2.0)  # are still to be sent

    def _hand_over(self, text: str, path: Path | None = None) -> None:
        self._beside.begin(functools.partial(self._take, text, path))

    def _take(self, text: str, path: Path | None) -> None:
        """Write a text, without secrets, into the file of now or a new one; in the thread."""
        for secret in self.secrets:  # whole ones: an odd frame may echo what we sent
            text = text.replace(secret.reveal(), "***") if secret else text
        if not self.broken:
            try:
                self._write(gzip.compress(text.encode("utf-8", "backslashreplace"), 1), path)
            except OSError as error:
                self._end(error.strerror or "")
        self._taken += len(text)

    def _end(self, why: str) -> None:
        self.broken = f"recording stopped: {why}"
        log.warning("%s", self.broken)

    def _write(self, member: bytes, path: Path | None) -> None:
        if path or self._written >= RECORD_SEGMENT_BYTES:
            self._begin_segment(path)
        if path or len(member) > self._room:
            self._make_room(len(member))
        if os.write(self._file, member) < len(member):  # no room for the rest
            os.ftruncate(self._file, self._written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._written += len(member)
        self._room -= len(member)

    def _begin_segment(self, path: Path | None) -> None:
        stem, _, part = self.path.stem.rpartition("-")
        path, old = path or self.path.with_name(f"{stem}-{int(part) + 1:04d}.gz"), self._file
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.path, self._written = path, 0
        os.close(old)

    def _make_room(self, size: int) -> None:
        """Delete recordings of days long past, then the oldest until so many bytes fit.

        That of this day stays, and so does, counted, what cannot be deleted.
        """
        files = {file: file.stat().st_size for file in sorted(self.path.parent.glob("*.gz"))}
        own = self.path.name.rpartition("-")[0]
        first = f"{datetime.strptime(own[:8], '%Y%m%d') - self._kept:%Y%m%d}"
        for file in files:
            go = file.name[:8] < first or sum(files.values()) + size > self._most
            if go and not file.name.startswith(own):
                try:
                    file.unlink(missing_ok=True)
                    files[file] = 0
                except OSError as error:
                    log.warning("an old recording stays: %s", error)
        self._room = self._most - sum(files.values())
        if size > self._room:
            raise OSError(errno.EFBIG, "bot.record_max_mb is reached")


class AccountLock:
    """One process for one account; the operating system frees it at death.

    The name of an abstract socket holds over all folders, users and sandboxes of a machine
    (Linux), a lock on a file of the state folder between containers that share only this.
    """

    def __init__(self, account: Secret, folder: Path) -> None:
        mark, file = account.fingerprint(), -1
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = folder / f"account-{mark}.lock"
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            name.bind(f"\0kisbot-{mark}")
        except OSError as error:
            name.close()
            if file >= 0:
                os.close(file)
            if error.errno not in (errno.EWOULDBLOCK, errno.EADDRINUSE):
                raise JournalError(Both(
                    f"{path}: {error.strerror}; is the folder writable?",
                    f"{path}: {SYSTEM_WORDS.get(str(error.strerror), error.strerror)}. "
                    "폴더에 쓸 수 있는지 확인하십시오",
                )) from None  # fmt: skip
            raise AlreadyRunning(Both(
                "another bot already trades this account; stop it first",
                "이 계좌로 매매 중인 봇이 이미 있습니다. 먼저 그 봇을 끝내십시오",
            )) from None  # fmt: skip
        self._name, self._file = name, file

    def release(self) -> None:
        """Let another process in. The file stays: a lock on a name that was taken away is none."""
        self._name.close()
        os.close(self._file)


CONTROL_FILE = "control"  # in the state folder; a line: a word of COMMANDS with its arguments
MAX_CONTROL_BYTES = 4096


def _owners_text(path: Path) -> str:
    """Return a short text that the owner himself left; of anything else not a word is read.

    A link could lead to any file of the owner, and its lines would stand in the journal and on the
    phone. Raises OSError or UnicodeDecodeError.
    """
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(opened, encoding="utf-8") as file:
        seen = os.fstat(opened)
        plain = stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1
        if not plain or seen.st_size > MAX_CONTROL_BYTES:
            return "unreadable: no short text"
        if seen.st_uid != os.geteuid() or seen.st_mode & stat.S_IWOTH:
            return "unreadable: not the owner's own file"
        return file.read().strip()


def take_words(path: Path) -> Iterator[str]:
    """Take away what the owner left in the control file; yield its lines, none without a file.

    The file is deleted once all were obeyed: a bot killed before that obeys them at its next start.
    """
    taken = path.with_suffix(".taken")  # a command that comes now makes a new file
    if not os.path.lexists(taken):
        if not os.path.lexists(path):
            return
        with contextlib.suppress(OSError):
            os.replace(path, taken)
    try:
        text = _owners_text(taken)
    except (OSError, UnicodeDecodeError) as error:
        text = f"unreadable: {error}"
    yield from text.split("\n")
    try:
        taken.unlink(missing_ok=True)
    except OSError:  # a folder
        with contextlib.suppress(OSError):
            os.replace(taken, f"{taken}-{taken.stat().st_ino}")


# ======================================================================================
# === 19. WORDS ===
# ======================================================================================
# Knows: what people read, in two languages: alerts by their code, and reasons, which the journal
# keeps in English. Never knows: who reads it, where it is sent.


# What people read: code | how the phone tells it | Korean | English. {values} are filled in by say().
# A line that begins with a space goes on with the row above. How: a kind of message, for the choice of
# noise; urgent: rings in any case, again after a restart; screen: not on the phone, everybody expects it;
# line: of another message.
_TEXTS_TEXT = r"""
started | start | ▶ 시작: {mode} · 계좌 {account} · {symbols}종목 · 전략 {strategy}
 | ▶ started: {mode} · account {account} · {symbols} stocks · strategy {strategy}
stopped | start | ■ 종료: {why} | ■ stopped: {why}
closed_day | start | 오늘은 휴장일입니다 ({why}). 다음 개장: {next} | closed today ({why}). Next session: {next}
session_over | start | 오늘 장은 끝났습니다. 다음 개장: {next}{held}
 | today's session is over. Next session: {next}{held}
before_start | start | {start}에 매매 준비를 시작합니다. 개장 {next}
 | preparation starts at {start}, the session at {next}
order_sent | entry | → {symbol} {quantity}주 {side} 주문 {price} ({reason})
 | → {symbol}: order to {side} {quantity} at {price} ({reason})
filled | entry | ✔ {symbol} {total}주 {side} 체결 {average} ({reason})
 | ✔ {symbol}: {side} {total} filled at {average} ({reason})
partly_filled | fill | ◐ {symbol} {total}주 {side} 체결 {average}, 남은 {left}주 ({reason})
 | ◐ {symbol}: {side} {total} filled at {average}, {left} left ({reason})
round_closed | exit | {mark} {symbol} {quantity}주 매도 {price} · {gain}원 ({percent}%, {minutes}분, {reason}),
 오늘 실현 {day}
 | {mark} {symbol} {quantity} sold {price} · {gain} won ({percent}%, {minutes} min, {reason}) · realised
 {day}
refused | refusal | ✋ 주문하지 않음: {symbol} {side} {quantity}주 [{code}] {numbers}
 | ✋ not sent: {symbol} {side} {quantity} [{code}] {numbers}
order_refused | refusal | ✖ 주문 거부: {symbol} {side} {quantity}주: {note}
 | ✖ order refused by the broker: {symbol} {side} {quantity}: {note}
change_refused | refusal | ✖ 정정·취소 거부: {symbol} {side} {quantity}주: {note}
 | ✖ change or cancel refused: {symbol} {side} {quantity}: {note}
order_rejected | refusal | ✖ 접수 후 거부: {symbol} {side} {quantity}주 (주문 {order_no})
 | ✖ rejected after acceptance: {symbol} {side} {quantity} (order {order_no})
order_cancelled | entry | ↩ 취소 확인: {symbol} {side} (주문 {order_no})
 | ↩ cancelled: {symbol} {side} (order {order_no})
order_unknown | urgent | ❓ 결과 불명: {symbol} {side} {quantity}주. 다시 보내지 않고 조회합니다
 | ❓ outcome unknown: {symbol} {side} {quantity}. Looking, not sending again
order_found | warning | 🔎 주문 확인: {symbol} {side} {quantity}주 (주문 {order_no})
 | 🔎 order found at the broker: {symbol} {side} {quantity} (order {order_no})
order_lost | warning | 🔎 접수되지 않은 주문: {symbol} {side} {quantity}주 ({note})
 | 🔎 the order never arrived: {symbol} {side} {quantity} ({note})
order_quarantined | urgent | ⛔ 확인 필요: {symbol} {side} {quantity}주가 접수되었는지 알 수 없습니다. HTS에서 확인하십시오 ({note})
 | ⛔ please check in the KIS app: did {symbol} {side} {quantity} arrive? ({note})
external_order | warning | 👤 직접 내신 주문: {symbol} {side} {quantity}주 (주문 {order_no})
 | 👤 an order of your own: {symbol} {side} {quantity} (order {order_no})
mismatch | urgent | ⛔ 잔고 불일치 (봇 / 증권사): {what}. 신규 진입을 멈춥니다
 | ⛔ holdings differ (bot / broker): {what}. No entries until they agree
orphan | warning | ⚠️ {symbol} {quantity}주를 보유 중이나 설정에 없습니다. 손절·청산만 계속합니다
 | ⚠️ holding {quantity} {symbol}, which the settings do not name: guarded, never bought
symbol_stopped | urgent | ⛔ {symbol} 중지: {why} | ⛔ {symbol} stopped: {why}
journal_old | warning | ⛔ 봇이 꺼져 있던 {at}의 주문이 저널에 없습니다: {order_no}. 직접 내신 주문이면 --accept-orders
 | ⛔ order {order_no} of {at} is not in the journal. If it is your own: --accept-orders
no_limits | urgent | ⛔ {symbol} {quantity}주: 증권사가 오늘의 가격제한폭을 알려주지 않습니다. 30초마다 다시 묻고, 팔아야 하면 증권사 현재가로 확인된
 매수호가에 지정가로 냅니다
 | ⛔ {symbol}, {quantity} held: the broker tells no price limits of today. Asked again each 30 s; an exit
 goes as a limit at the bid that the broker's own price confirms
journal_empty | urgent | ⛔ 저널이 비어 있는데 계좌에 {what}주가 있습니다. 봇이 산 주식이면 저널을 복원하고, 직접 사신 주식이면 --accept-orders
 (그때까지 새 주문 없음)
 | ⛔ the journal is empty, but the account holds {what}. Bought by the bot: restore the journal; your own:
 --accept-orders (no entries until then)
corporate_action | urgent | ⛔ {symbol} 권리락·분할 등: {kind}. 전일 종가 {close}원 → 기준가 {base}원, 계좌 {before}주 →
 {shown}주 (봇 {ours}주). 답하실 때까지 이 종목은 사지도 팔지도 않습니다: --levels {symbol}=scale (손절·목표가를 비율대로) 또는 =keep (그대로)
 | ⛔ {symbol}, corporate action: {kind}. Last close {close}, base price {base} won; account {before} →
 {shown} shares (ours {ours}). Neither bought nor sold until you answer: --levels {symbol}=scale (move stop
 and target) or =keep (leave them)
journal_late | urgent | ⛔ 저널을 저장할 수 없습니다: {why}. 새 주문을 멈추고 손절을 지켜보며 다시 시도합니다. 매도·취소는 저장되는 즉시 나갑니다. 디스크와 폴더를
 확인하십시오
 | ⛔ the journal cannot be written: {why}. Nothing new is begun; stops are watched, and sells and cancels
 leave as soon as it can. Please look at disk and folder
sell_waits | urgent | ⛔ {symbol} {quantity}주 매도({reason})가 아직 나가지 못했습니다: 저널이 저장되는 즉시 나갑니다. 급하면 HTS·MTS에서 직접
 파십시오
 | ⛔ the sell of {quantity} {symbol} ({reason}) has not left: it leaves as soon as the journal can be
 written. If it cannot wait, sell by hand
journal_back | warning | ✓ 저널을 다시 저장합니다 ({seconds}초 동안 멈춤)
 | ✓ the journal is written again (after {seconds} s)
unsold | urgent | ⛔ 장이 끝났으나 {symbol} {quantity}주를 팔지 못했습니다 ({reason})
 | ⛔ the session is over and {quantity} {symbol} are not sold ({reason})
levels_set | warning | ✓ {symbol} {quantity}주 감시 재개 ({word}): 손절 {stop}원, 목표 {target}원
 | ✓ {symbol}: {quantity} guarded again ({word}): stop {stop}, target {target} won
level | warning | {mark} 매매 단계: {level} ({reason}) | {mark} level: {level} ({reason})
trouble | warning | ⚠ 주의: {what}{held} | ⚠ attention: {what}{held}
trouble_lasts | warning | ⚠ {minutes}분째 {what}{held} | ⚠ for {minutes} min: {what}{held}
trouble_over | warning | ✓ 해결됨 ({minutes}분 만에): {what} | ✓ over, after {minutes} min: {what}
keys_refused | urgent | ■ 종료: 증권사가 앱키를 인정하지 않습니다. {what} 값을 고치고 다시 시작하십시오{held}
 | ■ stopped: KIS does not accept our key. Correct {what}, then start again{held}
feed_back | screen | ✓ 실시간 연결됨 ({count}개 등록) | ✓ realtime feed up ({count} registrations)
preparing | screen | … 매매 준비 중: {of}종목 중 {done}, 약 {minutes}분 남음
 | … preparing {done} of {of}, about {minutes} min left
prepared | screen | ✓ {of}종목 준비를 마쳤습니다 | ✓ {of} stocks are prepared
exit_waits | warning | ⚠ {symbol} {quantity}주 매도가 체결되지 않고 있습니다 ({reason})
 | ⚠ {symbol}: {quantity} still not sold, nobody buys ({reason})
no_trades | warning | ⚠ 장 시작 {minutes}분 동안 체결이 없습니다. 임시 휴장일 수 있습니다
 | ⚠ no trade in the first {minutes} minutes: an unplanned holiday?
cash_differs | warning | ⚠ 현금 차이: 봇 {ours}원, 증권사 {theirs}원. 증권사 금액을 따릅니다
 | ⚠ cash differs: bot {ours}, broker {theirs} won. The broker's figure is taken over
calendar_differs | warning | ⛔ {day}: 달력은 개장일, 증권사는 휴장일입니다. 신규 진입을 멈춥니다
 | ⛔ {day}: open by the calendar, closed by the broker. No entries
error | urgent | ⚠ 오류: {what} | ⚠ error: {what}
morning | report | ☀ {day} 매매 준비 완료 · {mode} · 계좌 {account} · 장 {hours}\n매매 단계: {level} · 현금 {cash}원\n한도:
 1회 {order}원, 하루 손실 {loss}원{lines}
 | ☀ {day} ready · {mode} · account {account} · session {hours}\nlevel: {level} · cash {cash} won\nlimits:
 order {order}, day's loss {loss} won{lines}
held_line | line | • {symbol} {quantity}주 (평균 {average}원, 전일 대비 {change}%): 손절 {stop}, 목표 {target} 감시 중
 | • {symbol} {quantity} (average {average}, {change}% today): stop {stop}, target {target} armed
own_line | line | • 직접 보유(봇이 팔지 않음): {what} | • your own, never sold by the bot: {what}
doubts_line | line | ❓ 결과를 모르는 주문 {count}건 | ❓ orders of unknown outcome: {count}
hold_line | line | ⏸ 신규 주문을 막는 이유: {what} | ⏸ no entries because of: {what}
day_report | report | 📋 {day} 손익 {result}원 ({percent}%)\n실현 {net} = 매도차익 {gross} − 수수료 {fees} − 세금
 {taxes}{lines}\n평가금액 {equity}원 · 이번 달 실현 {month}원\n보유: {positions}\n다음 개장: {next}
 | 📋 {day}: {result} won ({percent}%)\nrealised {net} = gross {gross} − fees {fees} − taxes
 {taxes}{lines}\nequity {equity} won · month realised {month}\nheld {positions}\nnext session {next}
rounds_line | line | 매매 {count}번 (이익 {won}, 손실 {lost}) · 최고 {best} · 최저 {worst}
 | {count} round trips ({won} with a gain, {lost} with a loss) · best {best} · worst {worst}
stock_line | line | • {symbol} {gain}원 ({count}번) | • {symbol} {gain} won ({count})
refusals_line | line | 내지 않은 주문 {count}건:{lines} | orders not sent, {count}:{lines}
refusal_line | line | • {code} {count}건 | • {code} {count}
feed_line | line | 시세 {trades}건 · 봉 {bars}개 · 연결 {sessions}번
 | {trades} trades · {bars} bars · feed sessions: {sessions}
mute_line | line | 체결가격이 오지 않은 종목: {what} | no trade came of: {what}
costs_line | line | 증권사의 수수료·세금과 {difference}원 다릅니다 | the broker's costs differ by {difference} won
realized_line | line | 증권사 실현손익 {realized}원 | realised by the broker's figures: {realized} won
standing_line | line | ⚠ 해결되지 않음: {what} | ⚠ not over yet: {what}
"""
_TEXT_ROWS = [
    row.replace("\\n", "\n").split(" | ")
    for row in _TEXTS_TEXT.strip().replace("\n ", " ").splitlines()
]
TEXTS = {code: (korean, english) for code, _, korean, english in _TEXT_ROWS}
KINDS = {code: how for code, how, *_ in _TEXT_ROWS}
URGENT = frozenset(code for code, how in KINDS.items() if how == "urgent")
# One message follows an order from sent to filled to closed; these alerts are its states.
ORDER_STATES = frozenset({
    "order_sent", "partly_filled", "filled", "order_cancelled", "order_refused", "order_rejected",
    "order_lost", "round_closed",
})  # fmt: skip


def kind_of(alert: Alert) -> str:
    """Return how an alert is told: what happens to a sell is an exit."""
    kind = KINDS[alert.code]
    return "exit" if kind == "entry" and alert.values.get("side") is Side.SELL else kind


class Threads:
    """Gives the alerts of one entry, and of one round trip's end, the key of one message."""

    def __init__(self) -> None:
        self._number: Counter[tuple[str, str]] = Counter()
        self._over: set[tuple[str, str]] = set()

    def key(self, alert: Alert) -> str:
        """Return the key of the message that an alert belongs into, "" when it stands alone.

        An entry has a message for itself; all orders of an exit have one, until it is closed.
        """
        if alert.code not in ORDER_STATES:
            return ""
        side = str(alert.values.get("side", Side.SELL))
        thread = str(alert.values["symbol"]), side
        if alert.code == "order_sent" and (side == Side.BUY or thread in self._over):
            self._number[thread] += 1
            self._over.discard(thread)
        if alert.code == "round_closed":
            self._over.add(thread)
        return f"{thread[1]} {thread[0]} {self._number[thread]}"


SIDE_WORDS = {"ko": {"BUY": "매수", "SELL": "매도"}, "en": {"BUY": "buy", "SELL": "sell"}}
# What a rule means that refused, Korean and English.
REFUSAL_WORDS = {
    "NO_INSTRUMENT": ("가격제한폭 미확인", "no price limits known"), "QUANTITY": ("수량", "shares"),
    "PRICE": ("가격", "price"), "TICK": ("호가단위", "price step"),
    "BAND": ("가격제한폭 밖", "outside the price limits"), "COLLAR": ("현재가와 차이 큼", "far from the market"),
    "NO_QUOTE": ("확인 시세 없음", "no confirmed price"), "STALE": ("시세가 오래됨", "old prices"),
    "SESSION": ("주문 시간 아님", "not at this hour"), "HALTED": ("거래정지", "trading halt"),
    "BLOCKED": ("주의 종목", "warned stock"), "STOPPED": ("종목 중지", "stock stopped"),
    "ON_HOLD": ("확인 중", "on hold"), "LEVEL": ("매매 단계", "level"),
    "UNRESOLVED": ("결과 불명 주문", "order of unknown outcome"),
    "OPPOSITE": ("반대 주문 대기", "order of the other side"), "EXITING": ("청산 중", "being sold"),
    "SIDE": ("매매 방향", "side"), "POSITION": ("보유 수량 초과", "more than held"),
    "POSITIONS": ("보유 종목 수", "stocks held"), "PLAN": ("손절·목표가", "stop or target"),
    "ORDER_VALUE": ("1회 한도", "limit of one order"), "CASH": ("현금 부족", "cash"),
    "SYMBOL_VALUE": ("종목 한도", "limit of one stock"), "TOTAL_VALUE": ("전체 한도", "limit of all"),
    "RATE": ("주문 속도", "orders in a minute"), "DAY_RATE": ("하루 주문 수", "orders in a day"),
    "DAY_LOSS": ("하루 손실 한도", "loss of the day"), "DRAWDOWN": ("고점 대비 손실", "fall from the peak"),
    "LOSING_STREAK": ("연속 손실", "losses in a row"), "TWICE": ("같은 신호", "same signal"),
}  # fmt: skip
LEVEL_WORDS = {
    "ACTIVE": "매매 중", "ENTRIES_OFF": "신규 중지", "REDUCE_ONLY": "축소만", "FLATTEN_AND_HALT": "전량 매도 후 정지",
}  # fmt: skip
# The Korean of reasons that rules, desks and the trader give in English, as the journal keeps them.
REASON_WORDS = {
    "entry rule": "매수 규칙", "exit rule": "매도 규칙", "opening range": "시초 범위 돌파", "dip": "과매도 반등",
    "pullback": "VWAP 눌림목", "above VWAP": "VWAP 돌파", "below VWAP": "VWAP 이탈", "leads": "상승률 상위",
    "fell behind": "순위 하락", "breakout": "돌파", "stop": "손절", "trailing stop": "추적 손절", "target": "목표가",
    "end of day": "장 마감 청산", "kill switch": "비상 청산", "strategy": "전략", "a new day": "새 거래일",
    "the day is over": "하루 매매를 마쳤습니다", "no session now": "지금은 장이 아닙니다",
    "split": "액면분할", "reverse split": "액면병합", "ex-date": "권리락", "unexplained": "알 수 없음",
    "scale": "비율 조정", "keep": "그대로", "by notice": "통보로 확인", "no proof in ten minutes": "10분 동안 확인되지 않음",
    "paper": "모의투자", "real": "실전투자", "paper (simulated)": "모의투자(시뮬레이터)",
    "real (simulated)": "실전투자(시뮬레이터)", **{name: f"{ko}({name})" for name, ko in LEVEL_WORDS.items()},
    "process ended": "프로그램이 끝남", "entries were stopped before it left": "보내기 전에 매수가 막힘",
    "trading was interrupted before it left": "보내기 전에 거래가 멈춤",
    "the owner says so": "사용자 확인", "the owner": "직접 지시", "nothing": "없음",
    "journal late": "저널 저장 지연", "day ended": "하루가 끝남",
    "the program was suspended": "프로그램이 멈춰 있었음", "closed by the server": "서버가 끊음",
    "liquidation trading": "정리매매",
    "administrative issue": "관리종목", "investment risk": "투자위험종목", "investment warning": "투자경고종목",
    "short-term overheated": "단기과열종목", HALTED: "거래정지", "no REST price came": "현재가 조회에 답이 없음",
    "a corporate action waits for an answer": "권리락·분할에 대한 답을 기다림",
    "orderable cash is not known": "주문가능금액을 아직 모름",
    "an own order of the other side rests in the book": "반대 방향의 봇 주문이 걸려 있음",
    # what an order is
    "submitting": "전송 중", "not sent": "보내지 못함", "rejected": "거부됨", "unknown": "결과 불명",
    "lost": "접수되지 않음", "quarantined": "확인 필요", "working": "대기 중",
    "partially filled": "일부 체결", "filled": "체결", "cancel pending": "취소 중",
    "cancel unknown": "취소 결과 불명", "replace pending": "정정 중",
    "replace unknown": "정정 결과 불명", "cancelled": "취소됨", "expired": "당일 만료",
}  # fmt: skip
# Parts of reasons that carry values, English pattern and Korean: first what rules refuse, in the order
# of RULES, then what else happens. A row may build on what those above it made; a second space counts.
_PHRASES_TEXT = r"""
(\S+): no base price or limits from the broker => \1: 증권사가 기준가와 가격제한폭을 알려주지 않음
(\S+) shares, expected 1 to (\S+) => \1주, 1~\2주여야 함
(\w+) with a price => \1 주문에 가격이 있음
(\S+) is no valid price step => \1원은 호가단위에 맞지 않음
(\d+) outside (\d+)\.\.(\d+) => \1원, 가격제한폭 \2~\3원 밖
no REST price within (\d+) s => \1초 안에 확인한 현재가가 없음
(\S+) against last trade (\S+), at most (\S+) % => 주문가 \1, 최근 체결가 \2, 허용 차이 \3%
(\S+) against REST price (\S+), at most (\S+) % => 주문가 \1, 조회한 현재가 \2, 허용 차이 \3%
last trade (\S+) s old, at most (\S+) s => 마지막 체결 \1초 전, 최대 \2초
^opening auction => 장 시작 동시호가
^closing auction => 장 마감 동시호가
^continuous => 장중
^after close => 장 마감 후
^closed\b(?= *$|,) => 휴장
, too late for entries => , 신규 진입 마감 시각 지남
(\S+) is halted or in an auction => \1: 거래정지 또는 단일가 매매 중
^(?:entry|owner) is [a-z ]+$ => 매수 주문이 진행 중
^exit:\d+ is [a-z ]+$ => 매도 주문이 진행 중
^(?:entry|exit) by (\w+)$ => \1 방향이 맞지 않음
sell (\S+), held and free (\S+) => 매도 \1주, 팔 수 있는 수량 \2주
^(\d+) held, at most (\d+) => 보유 \1종목, 최대 \2종목
stop (\S+), target (\S+) at (\S+) => 손절 \1, 목표 \2, 가격 \3
(\S+) won in all, at most (\S+) => 전체 \1원, 최대 \2원
(\S+) won in (\S+), at most (\S+) => \2 합계 \1원, 최대 \3원
(\S+) won lost today, at most (\S+) => 오늘 손실 \1원, 한도 \2원
(\S+) won below the peak, at most (\S+) => 고점보다 \1원 줄어듦, 한도 \2원
(\S+) won, at most (\S+) => \1원, 최대 \2원
needs (\S+) won, free (\S+) => 필요 \1원, 주문가능 \2원
(\d+) orders in a minute, at most (\d+) => 1분에 \1건, 최대 \2건
(\d+) orders within a second => 1초에 \1건
^(\d+) orders today => 오늘 \1건
paused until (\S+) => \1까지 쉼
\bno end within (\S+) s$ => \1초가 지나도 끝나지 않음
\b(on_\w+) of the strategy: => 전략의 \1:
its answer: expected an OrderRequest or None, got (\w+) => OrderRequest나 None이 아니라 \1 값을 돌려줌
its answer: => 돌려준 주문이 틀림:
(\w+(?:Error|Exit|Exception)) in line (\d+) of (\S+\.py) => \3 \2행 \1
(SIG[A-Z0-9]+) received => \1 신호를 받았습니다
held without a guard: => 봇 없이 남는 보유:
orders left at the broker: => 증권사에 남은 주문:
stood still, or the clock was set, for (\d+) s => 컴퓨터가 \1초 동안 멈췄거나 시계가 바뀌었습니다. 주문 목록을 다시 본 뒤에 매수합니다
no access token: => 접근토큰을 받지 못했습니다:
gate: (\d+) orders left within (\d+) s => \2초 안에 주문 \1건이 나가 잠시 뒤 다시 냅니다
^phone / => 휴대폰 /
^gate: => 점검:
(?:점검: )?decided (\d+) s ago => 판단한 지 \1초가 지나 내지 않았습니다
점검: exchange: .* => 거래소 주문 시간이 아닙니다
점검: no such .* in the ledger => 점검: 장부에 없음
점검: its row is not durable => 점검: 저널에 저장 안 됨
점검: level (\w+) => 매매 단계 \1
점검: (\S+) shares, at most (\S+) => 점검: \1주, 최대 \2주
점검: it left already => 이미 나간 주문
점검: (\d+) to sell, (\d+) held => 점검: 매도 \1주, 보유 \2주
(\S+) is none of ours => 설정에 없는 \1
a buy is cancelled, never changed => 매수는 취소만
is none of our orders => 봇의 주문이 아님
KIS cannot be reached: no connection: \w+ => 증권사에 연결되지 않습니다 (인터넷 연결 확인)
KIS cannot be reached: HTTP (\d+) with a page, maintenance\? => 증권사 서버가 점검 중인 것 같습니다 (HTTP \1)
^no connection: \w+ => 인터넷에 연결되지 않습니다
KIS cannot be reached: TimeoutError => 증권사가 응답하지 않습니다(시간 초과)
KIS cannot be reached: => 증권사가 응답하지 않습니다:
realtime feed lost: => 실시간 시세 끊김:
perhaps sold, no order list since (\S+) => \1부터 주문 목록을 받지 못해 이미 팔렸을 수 있음
no order list for (\d+) min => 주문 목록을 \1분 동안 받지 못했습니다
; not guarded: =>  · 손절을 볼 수 없는 보유:
; should have been sold: =>  · 팔렸어야 할 보유:
no order list of (\S+): => \1 주문 목록을 읽지 못했습니다:
no realtime data: => 실시간 시세를 받지 못합니다:
no order notices: .*polling only: => 증권사가 HTS ID(my_htsid)를 인정하지 않아 체결통보가 오지 않습니다. 체결은 조회로 확인합니다:
trading halted: (.+) => 거래정지 중: \1주
no trades of (.+) come, KIS had one at (\S+) => \1 실시간 체결이 오지 않습니다 (증권사에는 \2 체결 있음)
no trades of (\S+) come$ => \1 체결이 오지 않아 다시 연결
no answer to: (?:orders|cash|holdings)(?: [-\d]+)?: => 증권사가 계좌 조회를 거부합니다:
no answer to: price (\w+): => 증권사가 \1 현재가 조회를 거부합니다:
control file: 'level \w+' => 명령행
control file: ('.*') => 알 수 없는 명령 \1
no (?:order|corporate action of) (\S+) waits for .* => \1: 답을 기다리는 것이 없습니다
(\S+): (\d+) in the account, no stop for the rest => \1: 계좌에 \2주만 있어 나머지는 더는 손절을 보지 않습니다
(\S+) is not held: nothing is sold => \1: 보유하지 않아 팔 것이 없습니다
(\S+) is not stopped => \1: 멈춘 종목이 아닙니다
no entry (\S+) rests at the broker: nothing is cancelled => \1: 취소할 미체결 매수가 없습니다
'(.+)' is neither `absent` nor the number of a free order => \1: absent나, 다른 주문에 쓰이지 않은 주문번호를 적으십시오
(\S+): a wrong total of the day came; (\d+) trades were dropped => \1: 실시간 누적 거래량이 잘못 와서 체결 \2건을 버렸습니다
this clock is (-?\d+) s off the broker's => 이 컴퓨터의 시계가 증권사와 \1초 다릅니다
this clock says (.+): waiting for that of KIS => 이 컴퓨터의 시계가 \1입니다. 증권사의 시각을 확인할 때까지 기다립니다
(\w+_url) does not take what is sent => \1 주소가 받지 않습니다
another program reads this bot's messages => 다른 프로그램이 텔레그램 봇의 메시지를 읽습니다. 토큰이 샜을 수 있습니다
Telegram refuses us => 텔레그램이 거부합니다
recording stopped: => 녹화를 멈췄습니다:
(\S+): (\d+) odd minute bars => \1: 과거 분봉 \2개가 이상하여 버렸습니다
this computer is too slow: (\d+) frames lost => 이 컴퓨터가 느려 시세 \1건을 잃었습니다
(\d+) entries refused in a row => 진입 주문이 \1번 연달아 거부됨
day loss of ([\d,]+) won reached => 오늘 손실이 한도 \1원에 이름
(\d+) complete lists in (\d+) s without it => \2초 동안 목록 \1번에 없음
equal orders: => 같은 주문이 여럿:
silent for (\d+) s => \1초 동안 조용함
no data for (\d+) s => \1초 동안 시세 없음
"""
PHRASES = tuple((re.compile(english), korean) for english, korean in (
    *(line.split(" => ") for line in _PHRASES_TEXT.strip().split("\n")),
    *((re.escape(english), korean) for english, korean in SYSTEM_WORDS.items()),
))  # fmt: skip
LONGEST_REASON = 400  # characters


def in_korean(text: str) -> str:
    """Return a reason in Korean as far as it is known; the broker's own words stay."""
    if text in REASON_WORDS:
        return REASON_WORDS[text]
    if text in REFUSAL_WORDS:
        return f"{REFUSAL_WORDS[text][0]}({text})"
    if HOLDS.keys() >= set(text.split(", ")):
        return ", ".join(HOLDS[name].ko for name in text.split(", "))
    text, rest = text[:LONGEST_REASON], text[LONGEST_REASON:]  # a broker's page is not searched
    for english, korean in PHRASES:
        text = english.sub(korean, text)
    return "; ".join(REASON_WORDS.get(part, part) for part in text.split("; ")) + rest


# --- what the phone answers, out of the status ---

PHASE_WORDS = {
    "waiting": "장 시작 대기", "closed": "휴장", "preparing": "준비 중", "before_open": "개장 전 동시호가",
    "trading": "장중", "closing": "마감 동시호가", "after": "장 마감", "stopping": "종료 중",
}  # fmt: skip


DONE = {  # what is answered when a word was taken; "" when it was refused
    "stop": ("✓ 새로 사지 않습니다 ({level})", "✓ no new entries ({level})"),
    "reduce": ("✓ 새로 사지 않고 미체결 매수를 취소합니다 ({level})",
        "✓ no new entries, resting ones are taken back ({level})"),
    "cancel": ("취소를 보냅니다. 확인되면 알립니다", "the cancel is sent; its answer is told"),
    "flatten": ("전량 매도를 시작합니다. 체결되면 알립니다", "selling all; fills are told"),
    "sell": ("매도를 시작합니다. 체결되면 알립니다", "selling; the fill is told"),
    "resume": ("▶ 매매를 다시 합니다", "▶ trading again"),
    "buy": ("주문을 보냅니다. 체결되면 알립니다", "the order is sent; its fill is told"),
    "unlock": ("✓ 다시 살 수 있습니다", "✓ it may be bought again"),
    "": ("✋ 하지 않았습니다\n{why}", "✋ not done\n{why}"),
}  # fmt: skip
NEXT_STEPS = {  # buttons under an answer
    "status": ("positions", "orders", "profit", "health"), "positions": ("status", "orders"),
    "orders": ("positions", "status"), "holds": ("status", "locks"), "stop": ("status", "resume"),
    "reduce": ("orders", "resume"), "flatten": ("positions", "status"), "resume": ("status", "stop"),
    "help": ("status", "positions"), "daily": ("weekly", "monthly"), "stats": ("performance", "trades"),
    "sell": ("positions", "orders"), "buy": ("positions", "orders"), "limits": ("status",),
}  # fmt: skip
BUTTON_WORDS = {
    "status": "상태", "positions": "보유", "orders": "미체결", "profit": "손익 그림", "health": "건강",
    "locks": "멈춘 종목", "resume": "매매 재개", "stop": "신규 중지", "weekly": "주별", "monthly": "월별",
    "performance": "종목별", "trades": "왕복 매매",
}  # fmt: skip


NOISE_WORDS = {
    "entry": "진입", "fill": "일부 체결", "exit": "청산", "refusal": "거부·보류", "warning": "주의",
    "start": "시작·종료", "report": "아침·저녁 보고", "on": "소리", "silent": "소리 없이", "off": "끔",
}  # fmt: skip


def noise_answer(
    noise: Mapping[Kind, Noise], korean: bool
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return what each kind of message does, and buttons that turn it one step further."""
    says, buttons = ["🔔 알림" if korean else "🔔 messages"], []
    for kind, how in noise.items():
        then = {"on": "silent", "silent": "off", "off": "on"}[how]
        named, *states = (NOISE_WORDS[each] if korean else each for each in (kind, how, then))
        says.append(f"{named} ({kind}): {states[0]}" if korean else f"{named}: {states[0]}")
        buttons.append((f"{named} → {states[1]}", f"/notify {kind} {then}"))
    says.append(("급한 알림은 언제나 울립니다", "what is urgent always rings")[not korean])
    return "\n".join(says), tuple(buttons)


def phone_status(status: Mapping[str, Any], korean: bool) -> str:
    """Return what the phone is told at once: mode, phase, level; result; what is held; the feed."""
    day, count = status["day"], len(status["orders"])
    held, up = sum(bool(e["position"]) for e in status["symbols"]), status["feed"]["connected"]
    names = {"all": ""} | {e["symbol"]: f"{e['name'] or e['symbol']}: " for e in status["symbols"]}
    holds = [f"⏸ {names[each['scope']]}{each['text']}" for each in status["holds"][:3]]
    mode, level, phase = status["mode"], status["level"], status["phase"].replace("_", " ")
    won, percent = f"{day['result_krw']:+,}", f"{day['result_pct']:+.2f}"
    lines = [f"today {won} won ({percent}%) · {held} held"]
    lines += [f"feed {'up' if up else 'down'} · {count} open orders"]
    if korean:
        mode, phase, level = in_korean(mode), PHASE_WORDS[status["phase"]], LEVEL_WORDS[level]
        lines = [f"오늘 {won}원 ({percent}%) · 보유 {held}종목"]
        lines += [f"시세 {'연결됨' if up else '끊김'} · 미체결 {count}건"]
    return "\n".join([f"{mode} · {status['account_tail']} · {phase} · {level}", *lines, *holds])


class AlarmRule(NamedTuple):
    """How a kind of trouble is told. Seconds of the market's clock."""

    patience_s: float = 0.0  # it must have stood so long
    steady_s: float = 60.0  # it must have been away so long before it counts as over
    again_s: float = 3_600.0  # while it stands it is told again after this
    under: tuple[str, ...] = ()  # while one of these stands, that one says it all


# Every kind of trouble: something is wrong now, and will be right again. What merely happens (a
# refusal, a fill) is no trouble and is told as it comes.
ALARMS: dict[str, AlarmRule] = {
    "broker": AlarmRule(patience_s=45.0),  # no answer, or pages of a maintenance
    "token": AlarmRule(under=("broker",)),
    "earlier": AlarmRule(under=("broker",)),  # the order list of an earlier day
    "answer": AlarmRule(under=("broker",)),  # one question is refused again and again
    # it answers, but gives no order list
    "list": AlarmRule(patience_s=300.0, under=("broker", "token")),
    "feed": AlarmRule(patience_s=90.0, under=("broker",)),
    "refused": AlarmRule(again_s=math.inf),  # a registration
    # one stock, of which KIS knows trades
    "silent": AlarmRule(patience_s=120.0, under=("broker", "feed")),
    "halted": AlarmRule(patience_s=180.0),  # a stock that is held; an interruption (VI) lasts two
    "clock": AlarmRule(steady_s=600.0),
    "recording": AlarmRule(again_s=math.inf),
    "telegram": AlarmRule(patience_s=30.0),  # also on the second address
    "webhook": AlarmRule(patience_s=60.0, again_s=math.inf),
    "heartbeat": AlarmRule(patience_s=180.0, again_s=math.inf),
    "bars": AlarmRule(again_s=math.inf),  # minutes of the warm-up that cannot be
    "slow": AlarmRule(again_s=math.inf),  # frames were lost: this computer is too slow
}


@dataclass(slots=True)
class _Episode:
    """One trouble from its beginning to its end."""

    what: str
    since: datetime
    away: datetime | None = None
    told: datetime | None = None
    returns: int = 0  # within an hour each


def minutes_between(earlier: datetime, later: datetime) -> int:
    """Return whole minutes as people count them: at least one."""
    return max(1, round((later - earlier).total_seconds() / 60))


class Alarms:
    """Decides when a trouble is told: first, once an hour while it stands, and when it is over.

    It is shown all that stands now, again and again, and keeps nothing else. A trouble that comes
    and goes is one trouble until it stayed away, twice as long after each return within an hour;
    what nobody was told of has no end to be told.
    """

    def __init__(self) -> None:
        self._open: dict[str, _Episode] = {}
        self._over: dict[str, _Episode] = {}  # the last one that was told, by its key

    def look(
        self, now: datetime, standing: Mapping[str, str], awake: bool, held: str = ""
    ) -> list[Alert]:
        """Return what to tell now. Keys of `standing` are kinds, or kind and detail: "answer cash".

        Not `awake`: an hour in which nobody can act; what still stands then is told later.
        `held` names what is unguarded meanwhile.
        """
        for key, what in standing.items():
            episode = self._open.get(key)
            if not episode:
                episode = self._open[key] = _Episode(what, now)
                last = self._over.get(key)
                if last and last.away and (now - last.away).total_seconds() < 3_600.0:
                    episode.returns = last.returns + 1
            if episode.away and not episode.told:
                episode.since = now  # patience is for trouble that stays
            episode.what, episode.away = what, None
        found = (self._judge(key, key in standing, now, held) for key in list(self._open))
        return [alert for alert in found if alert] if awake else []

    def _judge(self, key: str, stands: bool, now: datetime, held: str) -> Alert | None:
        """Return what to tell of one trouble; None while it is young, told, or told by one above it."""
        rule, episode = ALARMS[key.partition(" ")[0]], self._open[key]
        if not stands:
            episode.away = episode.away or now
            steady_s = rule.steady_s * 2 ** min(episode.returns, 5)
            if (now - episode.away).total_seconds() < steady_s:
                return None
            del self._open[key]
            if episode.told:
                self._over[key] = episode
            lasted = minutes_between(episode.since, episode.away)
            over = Alert("trouble_over", {"what": episode.what, "minutes": lasted})
            return over if episode.told else None
        above = [self._open[kind] for kind in rule.under if kind in self._open]
        if any(each.told for each in above) and not episode.told:
            episode.since = now  # it is told for itself when it outlasts the other
        if any(each.told or not each.away for each in above):
            return None
        waits_s = rule.again_s if episode.told else rule.patience_s
        if (now - (episode.told or episode.since)).total_seconds() < waits_s:
            return None
        code = "trouble_lasts" if episode.told else "trouble"
        episode.told = now
        lasted = minutes_between(episode.since, now)
        return Alert(code, {"what": episode.what, "minutes": lasted, "held": held})

    def end_day(self) -> list[str]:
        """Forget everything at the end of a day; return what was told and never ended."""
        left = [each.what for each in self._open.values() if each.told and not each.away]
        self._open.clear()
        self._over.clear()
        return left


def morning_lines(core: Core, names: Callable[[str], str]) -> list[Alert]:
    """Return the lines of a morning or a restart: what is held and armed, what is not clear."""
    lines = []
    for symbol, position in core.ledger.positions.items():
        plan, state = position.plan, core.symbols.get(symbol)
        price = core.fresh_price(symbol)
        base = state.instrument.base_price if state and state.instrument else 0
        if position.quantity:
            lines.append(Alert("held_line", {
                "symbol": names(symbol), "quantity": position.quantity,
                "average": round(position.average_price), "stop": plan.stop_price if plan else 0,
                "target": plan.target_price if plan else 0,
                "change": f"{100 * (price / base - 1):+.1f}" if price and base else "-",
            }))  # fmt: skip
    external = [f"{names(each)} {count:,}" for each, count in core.ledger.external.items() if count]
    if external:
        lines.append(Alert("own_line", {"what": ", ".join(external)}))
    doubts = sum(order.status in UNRESOLVED for order in core.ledger.open_orders())
    if doubts:
        lines.append(Alert("doubts_line", {"count": doubts}))
    halted = () if core.ledger.level is KillLevel.ACTIVE else ("level",)
    holds = (*core.ledger.holds, *halted, *("action",) * bool(core.ledger.actions))
    return lines + [Alert("hold_line", {"what": name}) for name in holds]


def say(alert: Alert, language: str) -> str:
    """Return an alert in the language of the user; numbers with thousands separators."""
    shown: dict[str, Any] = {"mark": ""}  # rows of older programs have none
    for key, value in alert.values.items():
        if isinstance(value, Side) or (key == "side" and value in SIDE_WORDS[language]):  # a row's
            shown[key] = SIDE_WORDS[language][value]
        elif isinstance(value, float):
            shown[key] = f"{value:,.1f}".removesuffix(".0")
        elif isinstance(value, int) and not isinstance(value, bool):
            shown[key] = f"{value:,}"
        elif isinstance(value, list):  # alerts, a line each; dictionaries in the journal
            pairs = ((e["code"], e["values"]) if isinstance(e, dict) else e for e in value)
            shown[key] = "".join("\n" + say(Alert(*each), language) for each in pairs)
        elif language == "ko" and isinstance(value, str):
            shown[key] = in_korean(value)
        elif key == "code" and value in REFUSAL_WORDS:
            shown[key] = f"{REFUSAL_WORDS[value][1]} ({value})"
        elif alert.code == "hold_line" and value in HOLDS:
            shown[key] = HOLDS[value].en
        else:
            shown[key] = value
    return TEXTS[alert.code][language != "ko"].format_map(shown)


def errors_of(error: BaseException | None) -> list[BaseException]:
    """Return the errors of a group, groups in it opened, cancellations left out."""
    if isinstance(error, BaseExceptionGroup):
        return [found for each in error.exceptions for found in errors_of(each)]
    return [] if error is None or isinstance(error, asyncio.CancelledError) else [error]


def _named_error(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if isinstance(error, BotError) else _where(error)


# ======================================================================================
# === 20. KISAuth ===
# ======================================================================================
# Knows: the access token (24 h, one issue a minute, a message to the owner at each) and the
# approval key of the WebSocket. Never knows: what they are used for.


class HttpReply(NamedTuple):
    """An HTTP answer, whatever its status."""

    status: int
    text: str
    headers: Mapping[str, str]  # lower-case names

    def body(self) -> dict[str, Any]:
        """Return the JSON object. Raises BadData: no usable answer."""
        try:
            body = json.loads(self.text)
            if "\\u" in self.text:  # an escaped lone surrogate could not be written down: "?"
                body = json.loads(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise BadData(
                f"HTTP {self.status} without JSON ({len(self.text)} characters)"
            ) from None
        if not isinstance(body, dict):
            raise BadData(f"HTTP {self.status} with a JSON {type(body).__name__}")
        return body


HttpCall: TypeAlias = Callable[..., Awaitable[HttpReply]]  # Rest.call, the one HTTP call
TOKEN_SPARE = timedelta(minutes=10)  # renew when less is left
TOKEN_MORNING_SPARE = timedelta(hours=12)  # renew before a trading day when less is left
TOKEN_PAUSE_S = 61.0  # one issue a minute (EGW00133, measured)
TOKEN_PAUSES = Pauses((1.0, 4.0, 16.0, TOKEN_PAUSE_S))  # in the morning


def app_keys(profile: Profile, secret_name: str = "appsecret") -> dict[str, str]:
    """Return app key and secret as KIS names them in a body or in headers (doc)."""
    return {"appkey": profile.app_key.reveal(), secret_name: profile.app_secret.reveal()}


def code_of(body: Mapping[str, Any]) -> str:
    """Return the code of an answer; what does not look like one may be an echo of anything."""
    code = str(body.get("msg_cd") or body.get("error_code") or "").strip()
    return code if re.fullmatch(r"[0-9A-Za-z]{0,12}", code) else "odd code"


class KISAuth:
    """Holds the token of one app key in one environment; file-cached, one refresh at a time."""

    def __init__(self, profile: Profile, call: HttpCall, folder: Path, clock: MarketClock) -> None:
        self._profile, self._call, self._clock = profile, call, clock
        self._mark = f"{profile.environment}-{profile.app_key.fingerprint()}"
        self._file = folder / f"token-{self._mark}.json"
        self._lock = asyncio.Lock()
        self._token = Secret("")
        self._expires = NEVER
        self._dead = Secret("")
        self._next_issue = -math.inf  # loop time
        self._worked = False  # these keys gave a good token since they were last refused
        self._cause: BotError | None = None  # why the last issue failed

    async def token(self, spare: timedelta = TOKEN_SPARE) -> Secret:
        """Return a token good for at least `spare`: from memory, the file, or a new one.

        When no new one can be had, one that is good for less is returned as long as it is good.

        Raises:
            KeysRefused: app key or secret are invalid; KIS is not asked with them again.
            RequestRefused: the broker gives none (EGW00133: wait a minute), or calls keys invalid that
                worked until now: one such answer may be false, a second one is not.
            NoAnswer, NotSent, BadData: asked and got nothing usable; try again later.
        """
        if self._is_good(spare):
            return self._token
        async with self._lock:
            if not self._is_good(spare):
                self._load()
            if not self._is_good(spare):
                try:
                    await self._issue()
                except (KeysRefused, AskFailed) as error:
                    self._cause = error
                    if not self._is_good(min(spare, TOKEN_SPARE)):
                        raise
                    if isinstance(error, KeysRefused):  # perhaps a false one: asked once more
                        self._cause = None
                    log.warning("no new token (%s); the old one is good for now", error)
            return self._token

    def drop_token(self, token: Secret) -> None:
        """Forget a token that the server no longer accepts; a newer one is kept."""
        if token == self._token:
            self._dead, self._token, self._expires = token, Secret(""), NEVER
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)

    async def approval_key(self) -> Secret:
        """Return a new approval key for a WebSocket session (the app secret is `secretkey` here)."""
        keys = {"grant_type": "client_credentials", **app_keys(self._profile, "secretkey")}
        body = await self._post(OAUTH_APPROVAL, keys)
        key = Secret(_needed(body, "approval_key"))
        Redactor.learn(key)
        return key

    @property
    def left_s(self) -> int:
        """Return for how many seconds the token is still good, 0 without one."""
        left = (self._expires - self._clock.now()).total_seconds()
        return max(0, round(left)) if self._token else 0

    def _is_good(self, spare: timedelta) -> bool:
        return bool(self._token) and self._clock.now() + spare < self._expires

    async def _issue(self) -> None:
        """Ask for a token; inside six hours the server hands out the same one again (doc)."""
        loop = asyncio.get_running_loop()
        if isinstance(self._cause, KeysRefused) or (self._cause and loop.time() < self._next_issue):
            raise self._cause.with_traceback(None)  # our own pace says nothing about the broker
        if loop.time() < self._next_issue:
            raise RequestRefused("EGW00133", "a token was asked for less than a minute ago", 403)
        self._next_issue = loop.time() + TOKEN_PAUSE_S / self._clock.speed
        asked = self._clock.now()
        keys = {"grant_type": "client_credentials", **app_keys(self._profile)}
        try:
            body = await self._post(OAUTH_TOKEN, keys)
        except NotSent:
            self._next_issue = loop.time()  # the server saw nothing: its minute did not begin
            raise
        except RequestRefused as refusal:
            invalid = meaning(refusal.code, "question") in ("appkey", "secret")
            worked, self._worked = self._worked, self._worked and not invalid
            if invalid and not worked:
                raise self._refused_keys(refusal.code) from None
            raise
        token = Secret(_needed(body, "access_token"))
        if token == self._dead:  # a dead token comes back inside six hours (one source)
            keys = {**app_keys(self._profile), "token": token.reveal()}
            await self._post(OAUTH_REVOKE, keys)
            raise RequestRefused("EGW00121", "the server gave a dead token again; revoked it", 403)
        Redactor.learn(token)
        self._token, self._expires, self._cause = token, _token_expiry(body, asked), None
        self._worked = True
        disk = Beside("token")
        disk.begin(self._store)
        disk.close()
        if not disk.end(DISK_ANSWERS_WITHIN_S):
            log.warning("the token is not kept yet for a restart: the disk does not answer")

    def _refused_keys(self, code: str) -> KeysRefused:
        """Return the error of keys that KIS calls invalid, with the line of the file to look at."""
        what, environment = meaning(code, "question"), self._profile.environment
        line = {"appkey": "app", "secret": "sec"}[what]
        expected = Both(
            f"the {what} of the {environment} server, copied anew from the KIS site",
            f"KIS 사이트에서 다시 복사한 {'모의투자' if environment == 'paper' else '실전'} 키",
        )
        key = f"{'paper' if environment == 'paper' else 'my'}_{line}"
        found = Both(f"one that KIS calls invalid ({code})", f"KIS가 틀렸다고 합니다({code})")
        return KeysRefused([Fault(key, found, expected)])

    def _load(self) -> None:
        """Take the cached token if it is ours and readable by nobody else."""
        try:
            if stat.S_IMODE(self._file.stat().st_mode) & 0o077:
                log.warning("token file %s was readable by others", self._file)
                return
            data = json.loads(self._file.read_text())
            expires = datetime.fromisoformat(data["expires"])
            if expires.tzinfo is None:
                raise ValueError("a time without a zone")
            if data["mark"] == self._mark:
                self._token, self._expires = Secret(_needed(data, "token")), expires
                Redactor.learn(self._token)
                self._worked |= self._is_good(TOKEN_SPARE)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, BadData, RecursionError):
            log.warning("token file %s cannot be read; asking for a new token", self._file)

    def _store(self) -> None:
        """Keep the token for a restart; in a thread of its own."""
        token, expires = self._token.reveal(), self._expires.isoformat()
        kept = {"mark": self._mark, "token": token, "expires": expires}
        try:
            write_private(self._file, json.dumps(kept))
        except OSError as error:
            log.warning("the token is not kept for a restart: %s", error)

    async def _post(self, path: str, body: Mapping[str, str]) -> dict[str, Any]:
        reply = await self._call("POST", path, headers={}, body=body, lane=LANE_QUERY)
        answer = reply.body()
        code = code_of(answer)
        if reply.status != 200 or code not in ("", "0"):
            text = str(answer.get("error_description") or answer.get("msg1") or "")
            raise RequestRefused(code, Redactor(secrets_of(self._profile))(text), reply.status)
        return answer


def _needed(body: Mapping[str, Any], key: str) -> str:
    value = str(body.get(key) or "")
    if not re.fullmatch(r"[!-~]+", value):
        raise BadData(f"answer without a usable {key}")
    return value


def _token_expiry(body: Mapping[str, Any], asked: datetime) -> datetime:
    """Return when a token ends. The text is KST without a zone (doc); expires_in is the fallback.

    A text that has passed already comes of another zone or of a clock that is wrong: a new token is good.
    """
    text = str(body.get("access_token_token_expired") or "")
    seconds = str(body.get("expires_in") or "0")
    left = asked + timedelta(seconds=int(seconds) if re.fullmatch("[0-9]{1,6}", seconds) else 0)
    try:
        shown = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=KST)
    except ValueError:
        return left
    return shown if shown > asked + TOKEN_SPARE else left


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        own = functools.partial(os.open, mode=0o600)
        with open(fresh, "w", encoding="utf-8", errors="backslashreplace", opener=own) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)  # half of it, on a full disk


# ======================================================================================
# === 21. REST ===
# ======================================================================================
# Knows: how to reach the REST host: pacing by lanes, the only HTTP call, what may be asked
# again. A query may be repeated. A POST of an order is tried once, whatever happens.
# Never knows: what an answer means for a position.

LANE_EXIT, LANE_ORDER, LANE_LOOK, LANE_QUERY = range(4)  # smaller goes first
CONNECT_TIMEOUT_S, TOTAL_TIMEOUT_S = 3.0, 10.0
QUERY_PAUSES = Pauses((1.0, 2.0, 4.0))  # after no answer; then it is given up
LINE_PAUSES = Pauses((1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0))  # before a line is tried again
OLD_LIST_PAUSES = Pauses((5.0, 30.0, 60.0))  # before the list of an earlier day is asked again
reconnect_pauses = LINE_PAUSES.each
MAX_BODY_BYTES = 4 * 1024 * 1024
CLOCK_OFF_S = 3.0  # our clock against the server's Date header, which has whole seconds
ALL_REFUSED_S, TOKEN_DOUBT_S = 120.0, 3600.0  # nothing but unknown refusals; between two doubts


class Transport(Protocol):
    """Sends one HTTP request. Raises NotSent before the first byte, NoAnswer after it."""

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], params: Mapping[str, str],
        body: bytes | None,
    ) -> Awaitable[HttpReply]: ...  # fmt: skip

    async def close(self) -> None:
        """Close what is open."""


class AiohttpTransport:
    """The network: TLS checked, no redirects, no proxies, no repeats, a deadline on everything."""

    def __init__(self) -> None:
        import aiohttp  # noqa: F401  0.2 s, which nobody who only reads a journal waits for

        self._session: aiohttp.ClientSession | None = None  # made inside the running loop
        self._left: aiohttp.ClientSession | None = None  # one whose connections are not used again

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], params: Mapping[str, str],
        body: bytes | None,
    ) -> HttpReply:  # fmt: skip
        import aiohttp

        host = urllib.parse.urlsplit(url)
        of_kis = f"{host.scheme}://{host.netloc}" in ALLOWED_HOSTS
        if not of_kis and host.hostname not in LOOPBACK_HOSTS:
            raise NotSent(f"{host.hostname} is no host of KIS")
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TOTAL_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        try:
            async with self._session.request(
                method, url, headers=headers, params=params, data=body, allow_redirects=False
            ) as response:
                names = {key.lower(): value for key, value in response.headers.items()}
                if names.get("tr_id", "") not in ("", headers.get("tr_id", "")):
                    await self._leave_connections()
                    raise NoAnswer(f"an answer to {names['tr_id'][:13]!r} came instead")
                raw = bytearray()
                async for part in response.content.iter_any():
                    raw += part
                    if len(raw) > MAX_BODY_BYTES:
                        raise NoAnswer(f"more than {MAX_BODY_BYTES:,} bytes")
                return HttpReply(response.status, raw.decode("utf-8", "replace"), names)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"no connection: {type(error).__name__}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(type(error).__name__) from None

    async def _leave_connections(self) -> None:
        """Use none of these again: an answer that came twice shifts all that follow it.

        What is under way on the others still ends; they are closed the next time, or at the end.
        """
        if self._left:
            await self._left.close()
        self._left, self._session = self._session, None

    async def close(self) -> None:
        for session in (self._session, self._left):
            if session:
                await session.close()


BUDGET_S = 60  # calls left: of so many seconds, of the machine's clock


class Governor:
    """Spaces calls evenly below the broker's limit; urgent lanes overtake; slows down when told."""

    def __init__(self, calls_per_second: float) -> None:
        self._usual_gap = self._gap = 1.0 / calls_per_second
        self._free_at = 0.0
        self._queue: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._turns: deque[float] = deque(maxlen=100_000)  # of the last BUDGET_S

    def budget(self) -> dict[str, Any]:
        """Return calls a second allowed and allowed now, how many wait, how many are left to use."""
        since = asyncio.get_running_loop().time() - BUDGET_S
        while self._turns and self._turns[0] <= since:
            self._turns.popleft()
        most, now = BUDGET_S / self._usual_gap, BUDGET_S / self._gap
        return {
            "per_s": round(most / BUDGET_S, 2), "per_s_now": round(now / BUDGET_S, 2),
            "waiting": len(self._queue), "left": max(0, int(now) - len(self._turns)), "within_s": BUDGET_S,
        }  # fmt: skip

    async def turn(self, lane: int) -> None:
        """Wait for this call's turn; return at once when nobody waits and the gap is over."""
        if not self._queue and asyncio.get_running_loop().time() >= self._free_at:
            self._take_turn()
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (lane, next(self._count), future))
        self._schedule()
        await future

    def slow_down(self) -> None:
        """The server refused for pace: double the gap; it comes back step by step."""
        self._gap = min(self._gap * 2, max(2.0, self._usual_gap))

    def _schedule(self) -> None:
        if self._timer is None and self._queue:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, self._free_at - loop.time()), self._release)

    def _release(self) -> None:
        self._timer = None
        while self._queue:
            _, _, future = heapq.heappop(self._queue)
            if not future.done():
                self._take_turn()
                future.set_result(None)
                break
        self._schedule()

    def _take_turn(self) -> None:
        now = asyncio.get_running_loop().time()
        self._turns.append(now)
        self._free_at = now + self._gap
        self._gap = max(self._usual_gap, self._gap * 0.98)


class CallFigures:
    """Statistics of the calls of one service: how many, what failed by code, how long they took."""

    KEPT = 256  # response times

    def __init__(self) -> None:
        self.count = 0
        self.errors: Counter[str] = Counter()
        self._took_s: deque[float] = deque(maxlen=self.KEPT)

    def note(self, took_s: float, error: str) -> None:
        """Count one call; `error` is its code, "" when it was answered with a yes."""
        self.count += 1
        self._took_s.append(took_s)
        if error:
            self.errors[error] += 1

    def figures(self) -> dict[str, Any]:
        """Return count, errors by code, median and 99 % of the last response times, ms."""
        took = sorted(self._took_s) or [0.0]
        worst = took[len(took) * 99 // 100]
        return {
            "count": self.count, "errors": dict(self.errors),
            "ms_median": round(statistics.median(took) * 1e3, 1), "ms_p99": round(worst * 1e3, 1),
        }  # fmt: skip


def refusal_in(reply: HttpReply) -> str:
    """Return the code of a refusal for the statistics, "" for a yes; long answers are no refusals."""
    body: dict[str, Any] = {}
    with contextlib.suppress(BadData):
        body = reply.body() if len(reply.text) <= 4_000 else {}
    if reply.status == 200 and body.get("rt_cd") == "0":
        return ""
    return code_of(body) or ("" if reply.status == 200 else f"HTTP {reply.status}")


class Rest:
    """The only way to the REST host."""

    def __init__(self, profile: Profile, transport: Transport, calls_per_second: float) -> None:
        self._profile, self._transport = profile, transport
        self.governor = Governor(calls_per_second)
        self.clock_offset_s = 0.0  # Date header minus the host's clock, 0 where they agree
        self.clock_off = False
        self.answered_s = -math.inf  # loop time of the last answer to anything
        self.trouble = ""  # why nothing usable comes, "" after an answer in JSON
        self.figures: dict[str, CallFigures] = {}  # by the last part of the path

    def told(self) -> dict[str, Any]:
        """Return the figures of each service and what is left of the pace that all share."""
        calls = {name: each.figures() for name, each in self.figures.items()}
        errors = [item for each in self.figures.values() for item in each.errors.items()]
        too_many = sum(n for code, n in errors if meaning(code, "question") == "pace")
        too_many += sum(n for code, n in errors if code == "HTTP 429")
        return {"calls": calls, "budget": self.governor.budget() | {"too_many": too_many}}

    async def call(
        self, method: str, path: str, *, headers: Mapping[str, str], body: Any = None,
        lane: int | None, params: Mapping[str, str] | None = None,
    ) -> HttpReply:  # fmt: skip
        """Make one HTTP call. THE ONLY HTTP CALL OF THE PROGRAM. `lane` None: it had its turn."""
        if lane is not None:
            await self.governor.turn(lane)
        raw = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        kind = "application/json; charset=utf-8"
        sent = {"content-type": kind, "user-agent": self._profile.agent, **headers}
        url = self._profile.rest_url + path
        began, error = asyncio.get_running_loop().time(), "cut off"
        try:
            reply = await self._transport(method, url, sent, params or {}, raw)
            error = refusal_in(reply)
        except (NotSent, NoAnswer) as failure:
            error, self.trouble = type(failure).__name__, str(failure)
            raise
        finally:
            took = asyncio.get_running_loop().time() - began
            self.figures.setdefault(path.rpartition("/")[2], CallFigures()).note(took, error)
        self.answered_s = asyncio.get_running_loop().time()
        page = reply.text.lstrip()[:1] != "{"
        self.trouble = f"HTTP {reply.status} with a page, maintenance?" if page else ""
        self._look_at_clock(reply.headers.get("date", ""), took)
        return reply

    async def have_answered(self) -> None:
        """Have any answer come, for its Date; it needs no token. Raises NotSent, NoAnswer."""
        await self.call("GET", ENDPOINTS["price"].path, headers={}, lane=LANE_QUERY)

    async def close(self) -> None:
        await self._transport.close()

    def _look_at_clock(self, text: str, took_s: float) -> None:
        """Compare our clock with the Date of an answer, which was set while it took so long."""
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            seen = parsedate_to_datetime(text)
            seen = seen if seen.tzinfo else seen.replace(tzinfo=UTC)  # a Date is in GMT (rule)
            late_s = seen.timestamp() - time.time()
            offset_s = late_s if late_s > 0 else min(0.0, late_s + took_s)
            most = CLOCK_OFF_S / 2 if self.clock_off else CLOCK_OFF_S  # whole seconds waver
            self.clock_off = abs(offset_s) > most
            self.clock_offset_s = offset_s if self.clock_off else 0.0


class KISClient:
    """Calls of one account: headers, token, refusals, repeats of queries, pages."""

    def __init__(self, profile: Profile, rest: Rest, auth: KISAuth, clock: MarketClock) -> None:
        self.profile, self.rest, self.auth, self._clock = profile, rest, auth, clock
        self.clean = Redactor(secrets_of(profile))  # for texts of the broker, which may echo ours
        self._refused_since_s = math.inf  # loop time; since then no question had a yes
        self._next_doubt_s = -math.inf

    def tr_id(self, name: str) -> str:
        """Return the TR id of a service. Raises RequestRefused where it is not offered."""
        endpoint = ENDPOINTS[name]
        tr_id = endpoint.real if self.profile.environment == "real" else endpoint.paper
        if tr_id is None:
            raise RequestRefused("EGW02006", f"{name} is not offered on the paper server", 500)
        return tr_id

    def account_params(self) -> dict[str, str]:
        return {"CANO": self.profile.account.reveal(), "ACNT_PRDT_CD": self.profile.product}

    async def get(
        self, name: str, params: Mapping[str, str], *, lane: int = LANE_QUERY, tr_cont: str = ""
    ) -> tuple[dict[str, Any], str]:
        """Ask a query; return (body, tr_cont of the answer). Repeats when that is safe.

        Raises:
            RequestRefused: the broker refused. NoAnswer, NotSent, BadData: no usable answer.
        """
        path, tr_id, renewed = ENDPOINTS[name].path, self.tr_id(name), False
        pauses = iter(QUERY_PAUSES)
        while True:
            try:
                token = await self.auth.token()
                headers = self.headers(tr_id, token, tr_cont)
                reply = await self.rest.call("GET", path, headers=headers, params=params, lane=lane)
                body = reply.body()
                self.raise_refusal(reply.status, body, token)
                self._refused_since_s = math.inf
                return body, reply.headers.get("tr_cont", "").strip()
            except TokenRefused:
                if renewed:
                    raise
                renewed = True
            except AskFailed as error:
                code = getattr(error, "code", None)  # of a refusal; without an answer there is none
                means = "passing" if code is None else meaning(code, "question")
                pause = next(pauses, None)
                if means not in ("pace", "passing") or pause is None:
                    raise
                if means == "pace":
                    self.rest.governor.slow_down()
                else:
                    await self._clock.sleep(pause)

    def headers(self, tr_id: str, token: Secret, tr_cont: str = "") -> dict[str, str]:
        """Return the headers of a call (doc)."""
        return {
            "authorization": f"Bearer {token.reveal()}", **app_keys(self.profile),
            "tr_id": tr_id, "tr_cont": tr_cont, "custtype": "P",
        }  # fmt: skip

    def raise_refusal(self, status: int, body: Mapping[str, Any], token: Secret) -> None:
        """Raise when a body says no; business refusals come with HTTP 200, gateway ones with 500."""
        code = code_of(body)
        if str(body.get("rt_cd", "")).strip() == "0" or meaning(code, "question") == "empty":
            return
        text = self.clean(str(body.get("msg1") or body.get("error_description") or ""))
        if meaning(code, "question") == "token":
            self.auth.drop_token(token)
            raise TokenRefused(code, text, status)
        if not code:
            raise BadData(f"HTTP {status}: an answer without rt_cd and code")
        if not any(pattern.match(code) for pattern, _ in CODES):
            self._doubt_token(token)
        raise RequestRefused(code, text, status)

    def _doubt_token(self, token: Secret) -> None:
        """Drop the token, once an hour, when nothing but refusals in unknown codes came for a while.

        Tokens die in a maintenance. That the gateway says so in one of its usual codes is not proved.
        """
        now = asyncio.get_running_loop().time()
        self._refused_since_s = min(self._refused_since_s, now)
        if now - self._refused_since_s >= ALL_REFUSED_S and now >= self._next_doubt_s:
            self._next_doubt_s = now + TOKEN_DOUBT_S
            self.auth.drop_token(token)

    async def pages(
        self, name: str, params: Mapping[str, str], width: str = "100", lane: int = LANE_QUERY
    ) -> list[dict[str, Any]]:
        """Ask all pages. Raises BadData when paging does not end as it should: never half a list."""
        keys = (f"CTX_AREA_FK{width}", f"CTX_AREA_NK{width}")
        bodies: list[dict[str, Any]] = []
        seen: set[tuple[str, ...]] = set()
        context, tr_cont = ("", ""), ""
        while len(bodies) < MAX_PAGES:
            asked = {**params, **dict(zip(keys, context, strict=True))}
            body, following = await self.get(name, asked, lane=lane, tr_cont=tr_cont)
            bodies.append(body)
            if following not in ("F", "M"):
                return bodies
            context = (str(body.get(keys[0].lower(), "")), str(body.get(keys[1].lower(), "")))
            if context in seen or not any(part.strip() for part in context):
                raise BadData(f"{name}: page {len(bodies)} leads back to an earlier one")
            seen.add(context)
            tr_cont = "N"
        raise BadData(f"{name}: more than {MAX_PAGES} pages")


# ======================================================================================
# === 22. KISMarketData ===
# ======================================================================================
# Knows: how to ask for prices, bars and holidays; what no bot needs (order books, tables of pandas,
# stocks abroad) is in companions/market_data.py. Never knows: orders.


class KISMarketData:
    """Quotations of domestic stocks (market J: KRX)."""

    def __init__(self, client: KISClient, fund_codes: Iterable[str] = ()) -> None:
        self._client, self._funds = client, tuple(fund_codes)

    async def price(self, symbol: str, lane: int = LANE_QUERY) -> Instrument:
        """Return price, base price, limits and state of a stock."""
        body, _ = await self._client.get("price", _stock(symbol), lane=lane)
        seen = parse_price(symbol, body, self._funds)
        return replace(seen, name=self._client.clean(seen.name[:40]))

    async def last_trades(self, symbol: str) -> list[tuple[str, int, int]]:
        """Return the last 30 trades, newest first: (HHMMSS, price, shares)."""
        body, _ = await self._client.get("trades", _stock(symbol))
        return [
            (text_of(row, "stck_cntg_hour"), whole(row, "stck_prpr"), whole(row, "cntg_vol"))
            for row in rows_of(body, "output")
        ]

    async def minute_bars_today(self, symbol: str, now: datetime, count: int) -> list[Bar]:
        """Return up to `count` finished one-minute bars of today, oldest first (30 rows a call)."""
        params = {**_stock(symbol), "FID_PW_DATA_INCU_YN": "N", "FID_ETC_CLS_CODE": ""}
        return await self._walk_minutes("minute_bars", params, now, count, lambda b: b.end <= now)

    async def minute_bars_of(self, symbol: str, day: date, count: int = 400) -> list[Bar]:
        """Return up to `count` one-minute bars of a past day, oldest first (120 rows a call)."""
        session = session_of(day)
        if session is None:
            return []
        params = {
            **_stock(symbol), "FID_INPUT_DATE_1": f"{day:%Y%m%d}", "FID_PW_DATA_INCU_YN": "Y",
            "FID_FAKE_TICK_INCU_YN": "",
        }  # fmt: skip
        return await self._walk_minutes(
            "past_minute_bars", params, session.close, count, lambda b: b.start.date() == day
        )

    async def _walk_minutes(
        self, name: str, params: Mapping[str, str], asked: datetime, count: int,
        keep: Callable[[Bar], bool],
    ) -> list[Bar]:  # fmt: skip
        """Ask pages of one-minute bars back from a moment to the open of its day."""
        found: dict[datetime, Bar] = {}
        session = session_of(asked.date())
        while session and len(found) < count and asked >= session.open:
            at = {"FID_INPUT_HOUR_1": f"{asked:%H%M%S}"}
            body, _ = await self._client.get(name, {**params, **at})
            page = parse_minute_bars(params["FID_INPUT_ISCD"], body)
            fresh = [bar for bar in page if keep(bar) and bar.start not in found]
            if not fresh:
                break
            found.update((bar.start, bar) for bar in fresh if bar.start.date() == session.day)
            asked = fresh[0].start - timedelta(minutes=1)
        return [found[start] for start in sorted(found)][-count:]

    async def daily_bars(
        self, symbol: str, first: date, last: date, adjusted: bool = True
    ) -> list[DailyBar]:
        """Return daily bars of any span, oldest first; walks windows of 100 rows."""
        found: dict[date, DailyBar] = {}
        until = last
        while until >= first:
            params = {
                **_stock(symbol), "FID_INPUT_DATE_1": f"{first:%Y%m%d}",
                "FID_INPUT_DATE_2": f"{until:%Y%m%d}", "FID_PERIOD_DIV_CODE": "D",
                "FID_ORG_ADJ_PRC": "0" if adjusted else "1",
            }  # fmt: skip
            body, _ = await self._client.get("daily_bars", params)
            page = [bar for bar in parse_daily_bars(body) if first <= bar.day <= until]
            found.update((bar.day, bar) for bar in page)
            if len(page) < ENDPOINTS["daily_bars"].rows:
                break
            until = min(bar.day for bar in page) - timedelta(days=1)
        return [found[day] for day in sorted(found)]

    async def is_open_day(self, day: date) -> bool | None:
        """Ask the broker whether a day is an open day (opnd_yn); None on paper. Once a day."""
        if self._client.profile.environment == "paper":
            return None
        params = {"BASS_DT": f"{day:%Y%m%d}", "CTX_AREA_NK": "", "CTX_AREA_FK": ""}
        body, _ = await self._client.get("holidays", params)
        for row in rows_of(body, "output"):
            if text_of(row, "bass_dt") == f"{day:%Y%m%d}":
                return text_of(row, "opnd_yn") == "Y"
        raise BadData(f"the holiday list does not hold {day}")


def _stock(symbol: str) -> dict[str, str]:
    return {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": symbol}


# ======================================================================================
# === 23. KISWebSocket ===
# ======================================================================================
# Knows: one session: connect, register, answer PINGPONG, notice silence, come back with
# growing pauses and register everything again. Data frames are handed on unread.
# Never knows: what a frame means, what was missed (nothing is replayed).

SILENCE_S = 60.0  # no frame of any kind for this long: the session is dead (PINGPONG every 10 s)
NEWS_TRAVELS = timedelta(seconds=5)  # from a trade to the list of trades, and to us
NO_DATA_S = 300.0  # PINGPONG but no data in trading hours: registrations were lost, the key expired
STEADY_S = 60.0  # a session this long ends the growth of the pauses
REGISTER_PAUSE_S = {"real": 0.05, "paper": 0.5}  # official sample
REGISTER_AGAIN_S = 30.0
MOST_FRAME_BYTES = 1 << 17  # real ones have some kB (8 kB, 2026-05); a larger one ends the session
MOST_PINGS, PING_SPAN_S = 100, 10.0  # the server sends one in ten seconds
TRIES_UNTOLD = 2  # sessions, or rounds of registrations, that may fail before it is told


class Socket(Protocol):
    """What KISWebSocket needs of a connection."""

    def __aiter__(self) -> AsyncIterator[str | bytes]: ...

    def send(self, message: str) -> Awaitable[None]: ...

    def close(self) -> Awaitable[None]: ...


Connect: TypeAlias = Callable[[str], Awaitable[Socket]]


class _Guarded(ClientConnection):
    """A connection that gives bytes, and ends when it is sent pings without end: each costs an answer.

    One byte that is no UTF-8 costs that frame, not the session. Such text frames were seen on the real
    server (2026-05, around the auctions). The library would close with 1007, and the server then called
    the app key in use, for seconds or for hours.
    """

    _pings, _since_s = 0, -math.inf

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        with contextlib.suppress(ConnectionClosedOK):
            while True:
                yield await self.recv(decode=False)

    def process_event(self, event: Any) -> None:
        if getattr(event, "opcode", None) is WebSocketOpcode.PING:
            if self.loop.time() - self._since_s > PING_SPAN_S:
                self._pings, self._since_s = 0, self.loop.time()
            self._pings += 1
            if self._pings > MOST_PINGS:
                self.transport.abort()
        super().process_event(event)


class _NoDetour(websocket_connect):
    """Opens a session at the address of the settings or not at all.

    The library follows a redirect, also to another host and in plain text: whoever answers the
    handshake would be given the approval key and the HTS id.
    """

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def connect_websocket(url: str) -> Socket:
    """Open a session. Library pings are off: the server does not always answer them."""
    return await _NoDetour(
        url, ping_interval=None, compression=None, max_size=MOST_FRAME_BYTES, proxy=None,
        open_timeout=10.0, close_timeout=1.0, max_queue=256,  # full: no closing handshake ends
        create_connection=_Guarded,
    )  # fmt: skip


async def _always() -> bool:
    return True


class KISWebSocket:
    """One realtime session at a time, a new one whenever it ends, until cancelled."""

    def __init__(
        self, url: str, auth: KISAuth, decoder: FrameDecoder, connect: Connect, pause_s: float
    ) -> None:
        self._url, self._auth, self._decoder, self._connect = url + WS_PATH, auth, decoder, connect
        self._register_pause_s = pause_s
        self.registrations: list[tuple[str, str]] = []  # (TR id, key), the most important first
        self.refused: dict[tuple[str, str], str] = {}
        self.deliver: Callable[[str], None] = lambda frame: None
        self.on_change: Callable[[bool, str], None] = lambda up, why: None
        self.expects_data: Callable[[], bool] = lambda: False
        self.missed: Callable[[], Awaitable[bool]] = _always  # had KIS trades that did not come?
        self._acknowledged: set[tuple[str, str]] = set()
        self._keyed: set[str] = set()  # TRs whose key this session has told
        self._clean: Callable[[str], str] = str
        self._last_frame_s = self._last_data_s = 0.0
        self._pings, self._pinged_since_s = 0, -math.inf
        self._no_data_s = NO_DATA_S  # doubled each time, until data comes
        self._failure, self._in_use = "", False
        self.up = False  # whether everything wanted is registered and acknowledged
        self._told_down = False
        self.sessions = 0  # opened so far; names the connection in recordings

    async def run(self) -> NoReturn:
        """Keep a session up until cancelled. May be run again: nothing counts as up before."""
        self.up = self._told_down = False
        pauses, tries = LINE_PAUSES.each(), 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            why = await self._one_session()
            tries += 1
            if self.up or tries == TRIES_UNTOLD:
                self._tell_down(why)
            if loop.time() - began >= STEADY_S:
                pauses = LINE_PAUSES.each()
            pause = 30.0 if self._in_use else next(pauses)
            log.warning("realtime session ended (%s); next try in %.0f s", why, pause)
            await asyncio.sleep(pause)

    def _tell_down(self, why: str) -> None:
        """Tell once that nothing comes, also when nothing ever came."""
        self.up = False
        if not self._told_down:
            self._told_down = True
            self.on_change(False, why)

    async def _one_session(self) -> str:
        """Run one session to its end; return why it ended."""
        self._acknowledged, self._keyed, self._failure, self.refused = set(), set(), "", {}
        self._in_use = False
        self._last_frame_s = self._last_data_s = asyncio.get_running_loop().time()
        self._pings, self._pinged_since_s = 0, -math.inf
        try:
            key = await self._auth.approval_key()
            notices = NOTICE_TRS.values()
            named = [Secret(key) for tr_id, key in self.registrations if tr_id in notices]
            self._clean = Redactor([key, *named])  # of what the server says: it may echo ours
            async with asyncio.timeout(15.0):
                socket = await self._connect(self._url)
            self.sessions += 1
        except (BotError, OSError, WebSocketException, TimeoutError) as error:
            return f"no session: {type(error).__name__}: {error}"
        beside = self._register_all(socket, key), self._watch_silence(socket)
        helpers = [asyncio.create_task(each) for each in beside]
        try:
            async for message in socket:
                self._last_frame_s = asyncio.get_running_loop().time()
                await self._take(socket, message)
                if self._failure:
                    break
            return self._failure or "closed by the server"
        except (ConnectionClosed, OSError) as error:
            return self._failure or f"closed: {type(error).__name__}"
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                async with asyncio.timeout(3.0):  # wait_for of 3.11 may swallow a cancel
                    await socket.close()

    def renew(self, why: str) -> None:
        """End the session; the next one registers everything again."""
        self._failure = why  # looked at with the next frame, a PINGPONG at the latest

    def troubles(self) -> Iterator[tuple[str, str]]:
        """Yield what the server does not register, by the keys of ALARMS."""
        for (tr_id, key), why in self.refused.items():
            if tr_id in NOTICE_TRS.values():  # their key is the HTS id
                what = "no order notices: KIS refuses the HTS id (my_htsid)"
                yield "refused notices", f"{what}, fills come by polling only: {why}"
            else:
                yield f"refused {tr_id} {key}", f"no realtime data: {tr_id} {key}: {why}"

    async def _register_all(self, socket: Socket, key: Secret) -> None:
        """Register everything; again what nobody acknowledged or the server could not do yet."""
        with contextlib.suppress(ConnectionClosed, OSError):
            for turn in itertools.count():
                if turn == TRIES_UNTOLD and not self.up:
                    self._tell_down("registrations are not acknowledged")
                for pair in self.registrations[:MAX_REGISTRATIONS]:
                    if pair not in self._acknowledged and pair not in self.refused:
                        await socket.send(registration_message(key.reveal(), *pair, register=True))
                        await asyncio.sleep(self._register_pause_s)
                await asyncio.sleep(REGISTER_AGAIN_S)

    async def _watch_silence(self, socket: Socket) -> None:
        loop, why = asyncio.get_running_loop(), f"silent for {SILENCE_S:.0f} s"
        while (left := self._last_frame_s + SILENCE_S - loop.time()) > 0:
            if not self.expects_data():
                self._last_data_s = loop.time()
            if loop.time() - self._last_data_s >= self._no_data_s:
                if await self.missed():
                    why = f"no data for {self._no_data_s:.0f} s"
                    self._no_data_s *= 2
                    break
                self._last_data_s = loop.time()  # nobody traded: the line is good
            await asyncio.sleep(min(left, 10.0))
        self._failure = why
        with contextlib.suppress(OSError, WebSocketException):
            await socket.close()

    async def _take(self, socket: Socket, message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        if text[:1] != "{":
            self._last_data_s, self._no_data_s = self._last_frame_s, NO_DATA_S
            self.deliver(text)
            return
        try:
            control = parse_control(text)
        except BadData:
            self.deliver(self._clean(text))  # counted there like every broken frame
            return
        control = control._replace(code=self._clean(control.code), text=self._clean(control.text))
        if control.tr_id == "PINGPONG":
            if self._last_frame_s - self._pinged_since_s > PING_SPAN_S:
                self._pings, self._pinged_since_s = 0, self._last_frame_s
            self._pings += 1
            if self._pings > MOST_PINGS:
                self._failure = "pings without end"
                return
            await socket.send(text)  # the same text back keeps the session (measured 2026-08-19)
        else:
            self._acknowledge(control)

    def _acknowledge(self, control: Control) -> None:
        """Take the answer to a registration: kept, to be tried again, refused, or the end of a session."""
        pair = (control.tr_id, control.tr_key)
        means = meaning(control.code, "socket")
        if means == "fine" or control.result == "0":
            if control.key and control.iv:
                with contextlib.suppress(BadData):
                    self._decoder.set_key(control.tr_id, control.key, control.iv)
                    self._keyed.add(control.tr_id)
            if control.tr_id in NOTICE_TRS.values() and control.tr_id not in self._keyed:
                self._failure = "order notices without a key"  # only a new session brings one
                return
            self._acknowledged.add(pair)
        elif means == "later":
            what = self._clean(" ".join(pair))
            log.warning("registration of %s: %s; tried again", what, control.text)
        elif control.result == "9" or means == "key":
            self._failure = f"{control.code} {control.text}"
            self._in_use = means == "in-use"
        elif pair in self.registrations and pair not in self.refused:  # told once, nothing strange
            self.refused[pair] = f"{control.code} {control.text}"
            log.error("registration of %s %s refused: %s", *pair, self.refused[pair])
        wanted = set(self.registrations[:MAX_REGISTRATIONS]) - set(self.refused)
        if not self.up and wanted <= self._acknowledged:
            self.up, self._told_down = True, False
            self.on_change(True, f"{len(wanted)}")


def registrations_of(profile: Profile, symbols: Iterable[str]) -> list[tuple[str, str]]:
    """Return what to register, the most important first, 41 at most."""
    real = profile.environment == "real"
    trs = ("H0STCNT0", "H0STASP0", "H0STMKO0") if real else ("H0STCNT0", "H0STASP0")
    notice = (NOTICE_TRS[profile.environment], profile.hts_id.reveal())
    return [notice, *itertools.product(trs, symbols)][:MAX_REGISTRATIONS]


class Silence:
    """Asks KIS whether the feed keeps trades back: a stock that nobody trades is no fault of it."""

    def __init__(
        self, core: Core, market: KISMarketData, feed: KISWebSocket, clock: MarketClock
    ) -> None:
        self._core, self._market, self._feed, self._clock = core, market, feed, clock
        self.missing: dict[str, str] = {}  # stock -> time of a trade of KIS that never came
        self._asked: dict[str, datetime] = {}
        self._renewed: set[str] = set()

    async def run(self) -> NoReturn:
        """Look after single stocks that are silent for long while others may flow; a day long."""
        self.missing, self._asked, self._renewed = {}, {}, set()  # of the day before
        while True:
            await self._clock.sleep(60.0)
            for symbol in list(self._core.symbols):
                if self._is_due(symbol):
                    self._asked[symbol] = self._clock.now()
                    with contextlib.suppress(AskFailed):
                        self._judge(symbol, await self._late_trade(symbol))

    async def any(self) -> bool:
        """Tell whether a trade of any stock was missed. No answer: it may be."""
        try:
            for symbol in list(self._core.symbols):
                if await self._late_trade(symbol):
                    return True
        except AskFailed:
            return True
        return False

    def heard(self, symbol: str) -> datetime:
        """Return when the feed told a trade last, the open before the first."""
        last, session = self._core.symbols[symbol].last_trade, self._core.session
        return last.ts_exchange if last else session.open if session else self._core.now

    def _is_due(self, symbol: str) -> bool:
        state, core, now = self._core.symbols[symbol], self._core, self._clock.now()
        since = max(self.heard(symbol), self._asked.get(symbol, NEVER))
        silent = (now - since).total_seconds() >= NO_DATA_S
        asleep = state.halted or state.auction or core.phase is not Phase.CONTINUOUS
        return silent and not asleep and self._feed.up

    async def _late_trade(self, symbol: str) -> str:
        """Return the time of the last trade at KIS when the feed did not tell it, else ""."""
        trades = await self._market.last_trades(symbol)
        heard, now = self.heard(symbol), self._clock.now()
        first, last = f"{heard + NEWS_TRAVELS:%H%M%S}", f"{now - NEWS_TRAVELS:%H%M%S}"
        at = next((at for at, *_ in trades if at < last), "")
        return f"{at[:2]}:{at[2:4]}:{at[4:6]}" if first < at else ""

    def _judge(self, symbol: str, at: str) -> None:
        """Renew the session once for a stock whose trades do not come; then it is told."""
        if not at:
            self.missing.pop(symbol, None)
            return
        self.missing[symbol] = at
        if symbol not in self._renewed:
            self._renewed.add(symbol)
            self._feed.renew(f"no trades of {symbol} come")


# ======================================================================================
# === 24. TelegramBot ===
# ======================================================================================
# Knows: how to tell a person something without ever holding trading up (a bounded outbox, a task
# that empties it), and whose words count: a fresh message of a listed person in his own chat.
# Never knows: what a word does. Without a token the same lines go to the log only.

LONG_PAUSE_S = 600.0  # after a refusal (blocked, token revoked), and at most when told to wait
WORD_MAX_AGE_S, CLOCK_SKEW_S = 60, 5  # of a message, by Telegram's date; older ones never act
CODE_LASTS_S, CODE_TRIES, CODE_LOCK_S = 60.0, 3, 900.0
MAX_ANSWER_BYTES = 1024 * 1024  # of the Bot API; a poll of 20 short updates is far smaller
# letters and digits of ASCII, and Korean for the names of stocks
_PHONE_WORD = re.compile(r"/([a-z]{1,32})((?: [0-9A-Za-z가-힣&.=_-]{1,40}){0,4})", re.ASCII)


class PhoneWord(NamedTuple):
    """What a listed person said just now: a command and its arguments."""

    update_id: int
    user: int
    command: str
    arguments: tuple[str, ...] = ()
    tapped: bool = False  # said by a button under a message of ours


class Answer(NamedTuple):
    """What is said to a person: a text, buttons (their face, the word they say), a picture."""

    text: str = ""
    buttons: tuple[tuple[str, str], ...] = ()
    photo: bytes = b""


def phone_word(
    update: Mapping[str, Any], users: Collection[int], newest: int, unix_now: float
) -> PhoneWord | str:
    """Return what an update orders, or why it orders nothing.

    Only a new message counts (no edit, no forward, no channel, no group) or a tap on a button of
    ours, from a listed numeric id in his own private chat, at most 60 s old, with an id above every
    one seen. Nobody tells when a button was tapped: one that stands for longer only asks.
    """
    number, kind = update.get("update_id"), "message"
    if "callback_query" in update:
        kind = "callback_query"
    said = update.get(kind)
    if set(update) != {"update_id", kind} or not isinstance(said, Mapping):
        return "no new message"
    tapped, message = kind != "message", said if kind == "message" else said.get("message")
    if not isinstance(message, Mapping):
        return "no sender"
    sender, chat = said.get("from"), message.get("chat")
    if not isinstance(sender, Mapping) or not isinstance(chat, Mapping):
        return "no sender"
    user = sender.get("id")
    if type(user) is not int or user not in users or sender.get("is_bot"):
        return "stranger"
    if chat.get("type") != "private" or chat.get("id") != user or "sender_chat" in message:
        return "not a private chat"
    forwarded = any(key.startswith("forward") for key in message)
    if forwarded or "via_bot" in message or ("edit_date" in message and not tapped):
        return "not his own words"
    date_s, text = message.get("date"), said.get("data") if tapped else message.get("text")
    if type(number) is not int or number <= newest or type(date_s) is not int:
        return "seen before"
    match = _PHONE_WORD.fullmatch(text) if isinstance(text, str) else None
    known = _WORD_OF.get(match[1]) if match else None
    asks = tapped and known is not None and known.danger is Danger.ASK and date_s > 0
    if not asks and not -CLOCK_SKEW_S <= unix_now - date_s <= WORD_MAX_AGE_S:
        return "too old"
    if match is None:
        return "no command"
    return PhoneWord(number, user, match[1], tuple(match[2].split()), tapped)


def hint_for(text: str, korean: bool) -> Answer:
    """Answer what is no command, "/STOP" or "상태": what was meant hangs below as a button."""
    words = {face: each for each, face in BUTTON_WORDS.items()} | {
        each.name: each.name for each in COMMANDS.values() if "phone" in each.doors
    }
    near = [words[each] for each in near_words(text.lstrip("/ ").partition(" ")[0], words)]
    named = "".join(f" /{each}" for each in near)
    if korean:
        told, meant = "모르는 명령입니다. 영어 소문자로 적으며, 전체는 /help", f". 혹시:{named}"
    else:
        told, meant = "no such command: small letters, all are in /help", f". Perhaps:{named}"
    buttons = tuple((f"/{each}", f"/{each}") for each in near if not COMMANDS[each].need)
    return Answer(told + (meant if near else ""), buttons)


class PhoneCodes:
    """Codes of one use for what needs proof: one waits for a person, for 60 s and one try.

    Three wrong ones within a quarter of an hour: no code for that person until it has passed.
    """

    def __init__(self, draw: Callable[[int], int] = secrets.randbelow) -> None:
        self._draw = draw
        self._open: dict[int, tuple[Said | None, str, float]] = {}  # person -> what, code, until
        self._wrong: dict[int, list[float]] = {}  # person -> until when each wrong one counts

    def issue(self, user: int, said: Said, now: float) -> str:
        """Return a new code, "" while the person is locked; an earlier one is void."""
        self._wrong[user] = [until for until in self._wrong.get(user, ()) if now < until]
        if len(self._wrong[user]) >= CODE_TRIES:
            return ""
        code = f"{self._draw(1_000_000):06d}"
        self._open[user] = said, code, now + CODE_LASTS_S
        return code

    def take(self, user: int, code: str, now: float) -> Said | None:
        """Return what a code stands for, None for a wrong or an old one: it is void then, too."""
        said, wanted, until = self._open.pop(user, (None, "", -math.inf))
        if now > until:
            return None
        if hmac.compare_digest(wanted.encode(), code.encode()):
            self._wrong.pop(user, None)
            return said
        self._wrong.setdefault(user, []).append(now + CODE_LOCK_S)
        return None


def _bounded_request() -> Any:
    """Return the library's door to the network: no proxies, no redirects, short bodies only."""
    import aiohttp
    from telegram.error import NetworkError, TimedOut
    from telegram.request import BaseRequest, RequestData

    class BoundedRequest(BaseRequest):
        _session: aiohttp.ClientSession | None = None

        @property
        def read_timeout(self) -> float:
            return 15.0

        @staticmethod
        def parse_json_payload(payload: bytes) -> Any:
            try:
                return json.loads(payload)
            except (ValueError, RecursionError):  # the library would log all of it, with a trace
                raise NetworkError(f"no JSON ({len(payload):,} bytes)") from None

        async def initialize(self) -> None:
            return None

        async def shutdown(self) -> None:
            if self._session:
                await self._session.close()

        async def do_request(
            self, url: str, method: str, request_data: RequestData | None = None, *_: Any, **__: Any
        ) -> tuple[int, bytes]:
            if self._session is None:
                timeout = aiohttp.ClientTimeout(total=45.0, sock_connect=10.0)
                self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
            data: Any = request_data.json_parameters if request_data else {}
            if request_data and request_data.contains_files:
                data = aiohttp.FormData(data)
                for name, (file, content, mime) in request_data.multipart_data.items():
                    data.add_field(name, content, filename=file, content_type=mime)
            try:
                async with self._session.request(
                    method, url, data=data, allow_redirects=False
                ) as response:
                    raw = bytearray()
                    async for part in response.content.iter_any():
                        raw += part
                        if len(raw) > MAX_ANSWER_BYTES:
                            raise NetworkError(f"more than {MAX_ANSWER_BYTES:,} bytes")
                    return response.status, bytes(raw)
            except TimeoutError:
                raise TimedOut from None
            except (aiohttp.ClientError, OSError) as error:  # their texts hold the token's URL
                raise NetworkError(type(error).__name__) from None

    return BoundedRequest()


class Letter(NamedTuple):
    """A message that waits. With a key it takes the place of an earlier one of that key."""

    text: str
    since_s: float  # loop time
    row: int = 0  # of the alert in the journal, 0 none
    key: str = ""
    silent: bool = False
    clock: str = ""  # when it happened, HH:MM
    chat: str = ""  # "" the chat of the settings
    answer: Answer = Answer()  # its buttons and picture


def menu_of(language: str) -> list[tuple[str, str]]:
    """Return the commands that Telegram offers behind the slash."""
    words = (word for word in COMMANDS.values() if "phone" in word.doors)
    return [(word.name, word.ko if language == "ko" else word.en) for word in words]


def _buttons(buttons: Sequence[tuple[str, str]]) -> Any:
    """Return buttons as the library wants them, two in a row; None without any."""
    from telegram import InlineKeyboardButton, InlineKeyboardMarkup

    faces = [InlineKeyboardButton(face, callback_data=word) for face, word in buttons]
    rows = [faces[at : at + 2] for at in range(0, len(faces), 2)]
    return InlineKeyboardMarkup(rows) if rows else None


class TelegramBot:
    """Alerts to one chat; words of listed persons from their private chats."""

    OUTBOX = 500
    LATE_S, DIGEST = 60.0, 3  # so late it is marked; so many late ones become one message

    def __init__(
        self, token: Secret, chat: str, api: str = TELEGRAM_API, users: Collection[int] = ()
    ) -> None:
        self._token, self._chat, self._api = token, chat, api.rstrip("/")
        self.users = frozenset(users)
        self.newest = 0  # update id; the journal knows that of an earlier process
        self.strangers = 0
        self.trouble = ""  # why words may not be ours: no upward command while it stands
        self.obey: Callable[[PhoneWord], Answer] = lambda word: Answer()
        self.language, self.pairing = "ko", ""  # the code that `/start CODE` must bring
        self.on_paired: Callable[[int], None] = lambda user: None
        self._wrong_pairings = 0
        self._taps: set[asyncio.Future[Any]] = set()  # being confirmed
        self.on_told: Callable[[int], None] = lambda row: None  # an alert of this row arrived
        self._urgent: deque[Letter] = deque(maxlen=self.OUTBOX)
        self._usual: deque[Letter] = deque(maxlen=self.OUTBOX)
        self._ids: dict[str, tuple[str, int]] = {}  # key -> chat and number of its message
        self.late_mark = "late"
        self._more = asyncio.Event()
        self.sent = self.failed = 0

    def post(
        self, text: str, urgent: bool = False, row: int = 0, key: str = "", silent: bool = False,
        clock: str = "",
    ) -> None:  # fmt: skip
        """Put a message into the outbox; returns at once. The oldest goes when it is full.

        `row` is the alert's in the journal. One with the key of an earlier one takes its place: in
        the outbox, or in the chat by an edit.
        """
        if not self._token:
            return
        box = self._urgent if urgent else self._usual
        letter = Letter(_sendable(text), _loop_time(), row, key, silent, clock)
        for at in (at for at, waits in enumerate(box) if key and waits.key == key):
            box[at] = letter._replace(since_s=box[at].since_s, silent=silent and box[at].silent)
            break
        else:
            box.append(letter)
        self._more.set()

    def reply(self, answer: Answer, user: int = 0) -> None:
        """Answer a person in his own chat, before the usual alerts; 0: to the chat of alerts, after."""
        if self._token and (answer.text or answer.photo):
            since_s = _loop_time() if user else math.inf  # never late: no digest takes a picture
            text, chat = _sendable(answer.text), str(user or "")
            letter = Letter(text, since_s, silent=not user, chat=chat, answer=answer)
            (self._urgent if user else self._usual).append(letter)
            self._more.set()

    def said_by_whom_it_tells(self, reason: str) -> bool:
        """Tell whether the one reader of the chat said it himself, and so had his answer there."""
        alone = self._chat.isdigit() and self.users == {int(self._chat)}
        return alone and reason.startswith("phone /")

    @property
    def hears(self) -> bool:
        return bool(self._token)

    @property
    def outbox(self) -> list[str]:
        """What waits to be sent, the urgent first."""
        return [letter.text for letter in (*self._urgent, *self._usual)]

    async def run(self) -> None:
        """Send what is in the outbox, and listen when somebody may command, until cancelled."""
        if not self._token:
            return
        from telegram import Bot  # 26 MB and 0.4 s: only where it is used

        doors = [_bounded_request() for _ in range(2)]
        bot = Bot(
            self._token.reveal(), base_url=f"{self._api}/bot", request=doors[0],
            get_updates_request=doors[1],
        )  # fmt: skip
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send_all(bot))
                if self.users or self.pairing:
                    group.create_task(self._listen(bot))
        finally:
            for door in doors:
                await door.shutdown()

    async def _listen(self, bot: Any) -> NoReturn:
        """Take words until cancelled. What an update does is written before it is confirmed."""
        from telegram.error import Conflict, Forbidden, InvalidToken

        pauses, offset = LINE_PAUSES.each(), self.newest + 1 if self.newest else None
        kinds, menu_due = ["message", "callback_query"], True
        while True:
            try:
                async with asyncio.timeout(50.0):
                    if menu_due:
                        await bot.set_my_commands(menu_of(self.language))
                        menu_due = False
                    updates = await bot.get_updates(
                        offset=offset, timeout=20, limit=20, allowed_updates=kinds
                    )
            except Exception as error:  # also an answer that the library cannot read
                refused = isinstance(error, Forbidden | InvalidToken)
                pause = LONG_PAUSE_S if refused else next(pauses)
                if refused:
                    self.trouble = f"Telegram refuses us ({error})"
                elif isinstance(error, Conflict):  # a second poller: perhaps a stolen token
                    self.trouble = "another program reads this bot's messages"
                log.warning("Telegram: %s; listening again in %.0f s", type(error).__name__, pause)
                await asyncio.sleep(pause)
                continue
            pauses, self.trouble = LINE_PAUSES.each(), ""
            for update in updates:
                offset = update.update_id + 1
                why = self._hear(update.to_dict())
                if update.callback_query:  # or its button turns on and on
                    self._confirm_tap(bot, update.callback_query.id, why)

    def _confirm_tap(self, bot: Any, query: str, why: str) -> None:
        ko, en = "오래된 단추입니다. 명령을 보내십시오", "an old button: send the command"
        text = (ko if self.language == "ko" else en) if why == "too old" else None
        call = asyncio.gather(bot.answer_callback_query(query, text), return_exceptions=True)
        self._taps.add(call)
        call.add_done_callback(self._taps.discard)

    def _hear(self, update: Mapping[str, Any]) -> str:
        """Do what an update orders; return why it orders nothing, "" when it did."""
        now = time.time()
        word = phone_word(update, self.users, self.newest, now)
        if isinstance(word, PhoneWord):
            self.newest = word.update_id
            try:
                self.reply(self.obey(word), word.user)
            except Exception:  # the next word may be /stop
                log.exception("/%s of the phone failed", word.command)
                self.reply(Answer(f"⚠ /{word.command}: ?"), word.user)
            return ""
        if word == "stranger" and not self._pair(update, now):
            self.strangers += 1
            if self.strangers == 1:
                log.warning("somebody who is not in telegram_users wrote to the bot")
        elif word == "no command" and "message" in update:
            said = update["message"]
            self.reply(hint_for(str(said.get("text")), self.language == "ko"), said["chat"]["id"])
        return word

    def _pair(self, update: Mapping[str, Any], now: float) -> bool:
        """Take the first person in who brings the code of the terminal; three wrong ones end it."""
        user = (update.get("message") or {}).get("from", {}).get("id")
        if not self.pairing or type(user) is not int:
            return False
        word = phone_word(update, (user,), self.newest, now)
        if not isinstance(word, PhoneWord) or word.command != "start" or not word.arguments:
            return False
        self.newest = word.update_id
        if hmac.compare_digest(word.arguments[0].encode(), self.pairing.encode()):
            self.pairing, self.users = "", self.users | {user}
            self.on_paired(user)
            self.reply(self.obey(word), user)
            return True
        self._wrong_pairings += 1
        if self._wrong_pairings >= CODE_TRIES:
            self.pairing = ""
            log.warning("three wrong pairing codes: a restart shows a new one")
        return False

    async def _send_all(self, bot: Any) -> NoReturn:
        """Empty the outbox until cancelled; only a text that Telegram will never take is given up."""
        from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, RetryAfter

        pauses = LINE_PAUSES.each()
        while True:
            await self._more.wait()
            while box := self._urgent or self._usual:
                items, why, pause = self._gather(box), "", 0.0
                try:
                    async with asyncio.timeout(20.0):
                        await self._deliver(bot, items)
                except (Forbidden, InvalidToken) as error:  # the owner can undo it; so can they
                    why, pause = f"Telegram refuses us ({error})", LONG_PAUSE_S
                except ChatMigrated as moved:  # a group became a supergroup
                    self._chat, self._ids = str(moved.new_chat_id), {}  # its messages stay behind
                    log.warning("Telegram: the chat has a new id: TELEGRAM_CHAT_ID=%s", self._chat)
                    continue
                except RetryAfter as wait:
                    pause = min(max(0.5, _seconds(wait.retry_after)) + 0.5, LONG_PAUSE_S)
                except BadRequest as error:  # this text will never be taken; the log has it
                    self.failed += 1
                    log.error("Telegram does not take a message: %s", error)
                    self._take_out(box, items)
                    continue
                except Exception as error:  # also an answer that the library cannot read
                    why, pause = f"Telegram: {type(error).__name__}", next(pauses)
                if pause:
                    self.failed += why != ""
                    log.warning("%s; next try in %.0f s", why or "Telegram has us wait", pause)
                    await asyncio.sleep(pause)
                    continue
                pauses = LINE_PAUSES.each()
                self.sent += 1
                for row in (item.row for item in items if item.row):
                    self.on_told(row)
                self._take_out(box, items)
            self._more.clear()

    def _gather(self, box: deque[Letter]) -> list[Letter]:
        """Return what goes now: the first, or after an outage as many late ones as fit together."""
        before_s = _loop_time() - self.LATE_S
        late = [*itertools.takewhile(lambda each: each.since_s < before_s and not each.chat, box)]
        if len(late) < self.DIGEST:
            return [box[0]]
        sizes = itertools.accumulate(len(each.text) + 20 for each in late)
        return [each for each, size in zip(late, sizes, strict=True) if size < 3_800] or [box[0]]

    async def _deliver(self, bot: Any, items: list[Letter]) -> None:
        """Send a message, or edit the one that it takes the place of; late ones say when."""
        from telegram.error import BadRequest

        first, late = items[0], items[0].since_s < _loop_time() - self.LATE_S
        text = first.text
        if len(items) > 1:
            lines = (f"{each.clock} {each.text}".strip() for each in items)
            text = f"[{self.late_mark}]\n" + "\n".join(lines)
        elif late and first.clock:
            text = f"[{self.late_mark} {first.clock}] {text}"
        known = self._ids.get(first.key) if len(items) == 1 else None
        if known:
            with contextlib.suppress(BadRequest):  # too old, deleted: then it is a new message
                try:
                    await bot.edit_message_text(text, chat_id=known[0], message_id=known[1])
                except BadRequest as error:
                    if "not modified" not in str(error):
                        raise
                return
        quiet = all(each.silent for each in items)
        chat = first.chat or self._chat
        how = {"reply_markup": _buttons(first.answer.buttons), "disable_notification": quiet}
        if first.answer.photo:
            await bot.send_photo(chat, first.answer.photo, caption=text[:1000] or None, **how)
            return
        sent = await bot.send_message(chat, text, **how)
        if first.key and len(items) == 1:
            self._ids[first.key] = chat, sent.message_id
            self._ids = dict(list(self._ids.items())[-200:])

    @staticmethod
    def _take_out(box: deque[Letter], items: list[Letter]) -> None:
        """Take out what was sent; what took its place meanwhile, or was dropped, is another."""
        kept = [waits for waits in box if not any(waits is item for item in items)]
        box.clear()
        box.extend(kept)

    async def flush(self, seconds: float, also: Collection[str] = ()) -> None:
        """Give the outbox, and what waits elsewhere, a last chance before the program ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.outbox or also:
                    await asyncio.sleep(0.05)


class SideDoors:
    """Two addresses beside Telegram: what is urgent goes to one, a sign of life to the other.

    A dead man's switch elsewhere rings when the signs stay away. A queue and a task of its own: a
    dead host costs some words here and nothing of the trading. The addresses are secrets.
    """

    EVERY_S, PAUSES = 60.0, LINE_PAUSES

    def __init__(self, bot: BotSettings) -> None:
        self._webhook = bot.webhook_url.get_secret_value()
        self._heartbeat = bot.heartbeat_url.get_secret_value()
        self.waiting: deque[str] = deque(maxlen=50)
        self.troubles: dict[str, str] = {}  # by the keys of ALARMS

    def post(self, text: str) -> None:
        """Put an alert into the queue; returns at once. The oldest goes when it is full."""
        if self._webhook:
            self.waiting.append(_sendable(text[:3_000]))

    async def run(self, watchdog: Watchdog) -> None:
        """Send words, and signs while the trader gives them, until cancelled."""
        import aiohttp

        if self._webhook or self._heartbeat:
            timeout = aiohttp.ClientTimeout(total=10.0)
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(self._tell(session))
                group.create_task(self._live(session, watchdog))

    async def _tell(self, session: aiohttp.ClientSession) -> NoReturn:
        failed = 0
        while True:
            await asyncio.sleep(self.PAUSES.after(failed + 1))
            if self.waiting:
                first = self.waiting[0]
                call = session.post(self._webhook, json={"text": first}, allow_redirects=False)
                why = await self._open("webhook", call)
                again = why != "" and (why[:1] != "4" or why == "429")  # else it is never taken
                failed = failed + 1 if again else 0
                if not again and self.waiting[0] is first:
                    self.waiting.popleft()

    async def _live(self, session: aiohttp.ClientSession, watchdog: Watchdog) -> NoReturn:
        beats = 0
        while True:
            if self._heartbeat and watchdog.beats != beats:
                beats = watchdog.beats
                await self._open("heartbeat", session.get(self._heartbeat, allow_redirects=False))
            await asyncio.sleep(self.EVERY_S if beats else self.PAUSES[0])

    async def _open(self, key: str, call: Any) -> str:
        """Return "" when it was taken, else why not: a status, or an error without its text."""
        import aiohttp

        try:
            async with call as reply:
                why = "" if reply.status < 300 else str(reply.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = type(error).__name__
        if why and key not in self.troubles:
            log.warning("%s_url does not take what is sent: %s", key, why)
        self.troubles |= {key: f"{key}_url does not take what is sent: {why}"}
        if not why:
            del self.troubles[key]
        return why


def _sendable(text: str) -> str:
    """Return as much of a text as one message takes; a lone surrogate becomes "?"."""
    return text[:4000].encode("utf-8", "replace").decode()


def _loop_time() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:  # nothing runs yet
        return 0.0


FIGURES_S = 90.0  # an answer that takes longer is given up; below STUCK_S: the evening waits


async def work_out(journal: Path, bot: BotSettings, *words: str) -> Any:
    """Have the folder companions work an answer out in a process of its own, within its time.

    None: it has none, or not in time. The process gets neither keys nor tokens.
    """
    tools = Path(__file__).resolve().parent
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    process = None
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "companions.phone_answers", str(journal.absolute()), bot.language,
            str(bot.stock_fee_pct), str(bot.fund_fee_pct), *words, cwd=tools, env=kept,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(FIGURES_S):
            raw, wrong = await process.communicate()
        if process.returncode == 0:
            return json.loads(raw)
        why = wrong.decode("utf-8", "replace")[-200:].strip()
    except (ValueError, OSError) as error:  # no JSON; too late, no memory: trading goes on
        why = f"{type(error).__name__} {error}"
    finally:
        if process and process.returncode is None:
            process.kill()
            await process.communicate()  # its pipes end as well: they would outlive the event loop
    log.warning("no answer to /%s: %s", words[0], why)
    return None


def _seconds(value: Any) -> float:
    """Return retry_after as seconds; newer releases give a timedelta."""
    return float(value.total_seconds() if isinstance(value, timedelta) else value)


# ======================================================================================
# === 25. JOURNAL ===
# ======================================================================================
# Knows: the one file of everything that was decided, sent, told and done, and how it becomes a
# ledger again. Rows are only added, chained, and durable before anything rests on them.
# Never knows: the broker, what a row means for a position.


class JournalRow(NamedTuple):
    """One row as stored. `hash` chains it to all rows before it."""

    seq: int
    at: str
    kind: str
    ref: str
    body: str
    hash: str


def reading_uri(path: Path) -> str:
    """Return how SQLite opens a journal to read it; also where not even a lock can be written."""
    sealed = not os.access(path.parent, os.W_OK) and not os.path.exists(f"{path}-wal")
    return f"file:{urllib.parse.quote(str(path))}?mode=ro{'&immutable=1' if sealed else ''}"


class Journal:
    """Everything the bot decided, sent, was told and did: one SQLite file, rows only added.

    Rows carry a sequence number without gaps and a hash chain; a row is durable (WAL,
    synchronous FULL) when append() returns. The unique table `intents` makes a second order for
    one intent impossible even if the code above were wrong. Rows are written by a thread of its own:
    a disk that does not answer makes them late, and holds no stop and no word of the owner.
    """

    VERSION, READS = 3, (1, 2, 3)  # 1 had no HoldSet, 2 no DayOpened.waits; verify() raises them
    _FIRST_HASH = "0" * 64

    PATIENCE_S = 30.0  # of the opening, for a lock of another program; append() waits for no lock
    _LATE_CODES = frozenset({5, 6, 7, 8, 10, 13, 14})  # busy ... I/O error, full, cannot open

    def __init__(self, path: Path, read_only: bool = False, patience_s: float = PATIENCE_S) -> None:
        self.path, self._tip = path, path.with_suffix(".tip")
        try:
            writing = f"file:{urllib.parse.quote(str(path))}?mode=rwc"
            uri = reading_uri(path) if read_only else writing
            connect = functools.partial(
                sqlite3.connect, uri=True, isolation_level=None, timeout=patience_s
            )
            self._db = connect(uri, check_same_thread=False)  # the writer's, but one at a time
            if not read_only:
                self._refuse_strange_files()
                self._prepare()
            # a commit that hangs holds its connection, and whoever would read by it
            self._reader = self._db if read_only else connect(uri.replace("=rwc", "=ro"))
            version = self._reader.execute("PRAGMA user_version").fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            if type(error) is sqlite3.DatabaseError:  # none at all, or damaged
                raise self._damage(str(error)) from None
            raise JournalError(Both(
                f"{path}: {error}; check that the folder can be written",
                f"{path}: {system_words(error).ko}. 폴더에 쓸 수 있는지 확인하십시오",
            )) from None  # fmt: skip
        self._older = version != self.VERSION and not read_only
        if version not in self.READS:
            raise self._damage(
                f"format {version}, this program writes {self.VERSION}; use the program version that "
                "wrote it"
            )
        here = os.stat(path)
        self._place = (here.st_dev, here.st_ino)
        self.last_seq, self._last_hash = 0, self._FIRST_HASH
        self._failure = ""  # of an append that no second try mends: nothing may follow it
        self._doubtful = False  # whether rows of a try that failed are there after all
        self._writer = Beside("journal")
        self._end = (0, "")  # number and hash of the last row that it was given
        self._waits: Sequence[tuple[str, str, Any]] | None = None  # those rows, until they are over
        for each in (self._db, self._reader):
            each.execute("PRAGMA busy_timeout=0")

    def _refuse_strange_files(self) -> None:
        """Refuse a tip that leads elsewhere, and files of another user."""
        for file in (self._tip, self.path):
            with contextlib.suppress(FileNotFoundError):
                seen = os.lstat(file)
                link = file is self._tip and not stat.S_ISREG(seen.st_mode)
                if link or seen.st_uid != os.geteuid():
                    raise JournalError(
                        f"{file} is a link or of another user: not written to; look who put it there"
                    )

    def _prepare(self) -> None:
        os.chmod(self.path, 0o600)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        if not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            self._db.executescript(
                "BEGIN; CREATE TABLE rows (seq INTEGER PRIMARY KEY, at TEXT NOT NULL, "
                "kind TEXT NOT NULL, ref TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL);"
                "CREATE TABLE intents (id TEXT PRIMARY KEY) WITHOUT ROWID;"
                f"PRAGMA user_version={self.VERSION}; COMMIT;"
            )

    def _damage(self, what: str) -> JournalError:
        """Return the error of a file that cannot be gone on with, and what its owner can do."""
        return JournalError(Both(
            f"{self.path}: {what}. Restore the newest good copy; or, when no position and no order is "
            f"open, move all files {self.path.stem}.* away",
            f"{self.path}: {what}. 온전한 최근 사본으로 되돌리십시오. 보유 주식도 미체결 주문도 없다면 "
            f"{self.path.stem}.* 파일을 모두 다른 곳으로 옮기십시오",
        ))  # fmt: skip

    def verify(self, take: Callable[[JournalRow], None] = lambda row: None) -> None:
        """Read the whole chain once, and hand each sound row over.

        Raises JournalError naming the first row that is not as written; what was taken is void then.
        """
        previous, expected, intents = self._FIRST_HASH, 0, set()
        try:
            for row in self.rows():
                expected += 1
                if row.seq != expected:
                    raise self._damage(f"row {expected} is missing")
                if row.hash != _chain(previous, *row[:5]):
                    raise self._damage(f"row {row.seq} is not what was written")
                if row.kind == "intent":
                    intents.add(row.ref)
                take(row)
                previous = row.hash
            self.last_seq, self._last_hash = expected, previous
            self._check_tip()
            stored = {row[0] for row in self._reader.execute("SELECT id FROM intents")}
        except (sqlite3.Error, UnicodeDecodeError, TypeError) as error:  # also NULL, BLOB for TEXT
            raise self._damage(f"row {expected + 1} cannot be read: {error}") from None
        if stored != intents:
            raise self._damage("the table of intents differs from the rows")
        if self._older:
            self._db.execute(f"PRAGMA user_version={self.VERSION}")

    def _check_tip(self) -> None:
        """Refuse a journal older than the one written here (a restored backup), or another one."""
        try:
            number, _, mark = self._tip.read_text().strip().partition(" ")
            seq = int(number)
        except (OSError, ValueError):
            return
        if seq > self.last_seq:
            raise self._damage(
                f"it ends at row {self.last_seq}, but row {seq} was written already: an older copy "
                "was put in its place"
            )
        row = self._reader.execute("SELECT hash FROM rows WHERE seq = ?", (seq,)).fetchone()
        if row and len(mark) == len(row[0]) and mark != row[0]:  # a shorter one is a torn tip
            raise self._damage(f"another journal was put in its place: row {seq} differs")

    def append(self, rows: Sequence[tuple[str, str, Any]], at: datetime) -> None:
        """Write rows (kind, ref, data) in one durable transaction, in order. Waits for no lock.

        Raises:
            JournalLate: give the same rows again later, before any other.
            JournalError: nothing that depends on these rows may be done, written or not.
        """
        if not rows:
            return
        self.check_in_place()
        if (given := self._waits) is not None:
            self._take_over(0.0)
            if given is rows:
                return
        stored, previous, seq = [], self._last_hash, self.last_seq
        for kind, ref, data in rows:
            seq += 1
            # a lone surrogate, which UTF-8 cannot hold, becomes the JSON escape of itself
            body = canonical_json(data).encode("utf-8", "backslashreplace").decode()
            previous = _chain(previous, seq, at.isoformat(), kind, ref, body)
            stored.append((seq, at.isoformat(), kind, ref, body, previous))
        self._waits, self._end = rows, (seq, previous)
        self._writer.begin(functools.partial(self._store, stored))
        self._take_over(DISK_ANSWERS_WITHIN_S)

    def _take_over(self, patience_s: float) -> None:
        """Take over what the writer did with its rows. Raises like append()."""
        try:
            if not self._writer.end(patience_s):
                raise JournalLate(f"{self.path} cannot be written: the disk does not answer")
        except sqlite3.Error as error:
            text, self._waits = f"{self.path} cannot be written: {error}", None
            if getattr(error, "sqlite_errorcode", -1) & 0xFF in self._LATE_CODES:
                raise JournalLate(text) from None
            self._failure = text
            raise JournalError(text) from None
        except OSError as error:
            self._waits = None
            raise JournalLate(f"{self._tip} cannot be written: {error.strerror}") from None
        self.last_seq, self._last_hash = self._end
        self._waits, self._doubtful = None, False

    def _store(self, stored: Sequence[tuple[Any, ...]]) -> None:
        """Write rows and the tip; in the writer's thread."""
        seq, previous = stored[-1][0], stored[-1][-1]
        try:
            if not (self._doubtful and self._last_row() == (seq, previous)):
                self._write(stored)
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        finally:
            self._doubtful = True
        tip = os.open(self._tip, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(tip, "w") as file:
            file.write(f"{seq} {previous}\n")

    def _write(self, stored: Sequence[tuple[Any, ...]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO rows VALUES (?,?,?,?,?,?)", stored)
        made = [(ref,) for _, _, kind, ref, _, _ in stored if kind == "intent"]
        self._db.executemany("INSERT INTO intents VALUES (?)", made)
        self._db.execute("COMMIT")

    def _last_row(self) -> Any:
        return self._db.execute("SELECT seq, hash FROM rows ORDER BY seq DESC LIMIT 1").fetchone()

    def check_in_place(self) -> None:
        """Raise JournalError when the file was replaced or a row is missing, JournalLate: no file."""
        if self._failure:  # whoever heard of it may have been a signal's handler
            raise JournalError(self._failure)
        try:
            here = os.stat(self.path)
        except OSError as error:
            raise JournalLate(f"{self.path} is gone while in use: {error.strerror}") from None
        if (here.st_dev, here.st_ino) != self._place:
            raise JournalError(f"{self.path} was replaced while in use: restore the right one")

    def rows(self, *kinds: str, since: str = "") -> Iterator[JournalRow]:
        """Read rows in order, all or of some kinds, from a time on."""
        which = f"kind IN ({','.join('?' * len(kinds))}) AND " if kinds else ""
        query = f"SELECT * FROM rows WHERE {which}at >= ? ORDER BY seq"
        for row in self._reader.execute(query, (*kinds, since)):
            yield JournalRow(*row)

    def has_intent(self, intent_id: str) -> bool:
        """Tell whether an intent is written; an unreadable file has none."""
        try:
            query = "SELECT 1 FROM intents WHERE id = ?"
            found = self._reader.execute(query, (intent_id,)).fetchone()
        except sqlite3.Error:
            return False
        return found is not None

    def close(self) -> None:
        """Close the file; one whose disk hangs is left as it is."""
        self._reader.close()
        if self._writer.close():
            self._db.close()


def _chain(previous: str, seq: int, at: str, kind: str, ref: str, body: str) -> str:
    text = "\x1f".join((previous, str(seq), at, kind, ref, body))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


LEDGER_ROWS = ("intent", "ledger", "instrument")
_ENTRY_TYPES: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind) for kind in get_args(LedgerEntry)
}


def entry_from_json(text: str) -> LedgerEntry:
    """Turn the body of a ledger row back into the entry. Raises JournalError."""
    try:
        data = json.loads(text)
        entry: LedgerEntry = _ENTRY_TYPES[data.pop("type")].validate_python(data)
        return entry
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise JournalError(f"a ledger row cannot be read: {error}") from None


def apply_row(ledger: Ledger, kind: str, body: str) -> LedgerEntry | None:
    """Apply the body of a ledger row, or take over an instrument; return the entry."""
    if kind == "instrument":
        data = json.loads(body)
        data.pop("type")
        ledger.instruments[data["symbol"]] = Instrument(**data)
        return None
    entry = entry_from_json(body)
    ledger.apply(entry)
    return entry


@dataclass(slots=True)
class Past:
    """What the journal tells a start, gathered in one reading of its rows."""

    ledger: Ledger  # the one to trade with
    end: str = ""  # time of the last ledger row
    since_flat: list[tuple[str, str]] = field(default_factory=list)  # rows that the ledger rests on
    days: set[str] = field(default_factory=set)  # with a report
    noise: dict[str, str] = field(default_factory=dict)  # what the owner chose, by kind of message
    newest_word: int = 0  # of the phone: its update id
    untold: dict[str, JournalRow] = field(default_factory=dict)  # urgent alerts, by row number

    def take(self, row: JournalRow) -> None:
        if row.kind in LEDGER_ROWS:
            self._take_ledger_row(row)
        elif row.kind == "day":
            self.days.add(row.ref)
        elif row.kind == "notify":
            self.noise[row.ref] = json.loads(row.body)
        elif row.kind == "phone":
            self.newest_word = max(self.newest_word, int(row.ref))
        elif row.kind == "alert" and row.ref in URGENT:
            self.untold[str(row.seq)] = row
        elif row.kind == "told":
            self.untold.pop(row.ref, None)

    def _take_ledger_row(self, row: JournalRow) -> None:
        flat = '"type":"DayOpened"' in row.body and not has_exposure(self.ledger)
        try:
            apply_row(self.ledger, row.kind, row.body)
        except IllegalTransition as error:
            raise JournalError(f"row {row.seq}: {error}") from None
        if flat:
            lasting = '"type":"HoldSet"'
            self.since_flat = [
                each for each in self.since_flat if each[0] == "instrument" or lasting in each[1]
            ]
        self.since_flat.append((row.kind, row.body))
        self.end = row.at


def read_past(journal: Journal, ledger: Ledger) -> Past:
    """Read a journal from its first row to its last, each believed only behind a sound chain."""
    past = Past(ledger)
    journal.verify(past.take)
    return past


def rows_since_flat(journal: Journal) -> list[tuple[str, str]]:
    """Return kind and body of the rows that the ledger rests on now: a later day's recording begins so."""
    past = Past(Ledger())
    for row in journal.rows(*LEDGER_ROWS):
        past.take(row)
    return past.since_flat


# ======================================================================================
# === 26. GATE ===
# ======================================================================================
# Knows: ledger, journal, limits and ceilings, the clocks, and its own count of what left.
# A second hand behind engine, rules and desks, of which it knows nothing, so that one mistake
# does not hide in both. An exit meets only what makes it the same order twice, the ceilings,
# the hours and the shares held: a stop is never held back for a doubt.
#
# What may leave without a durable row? Nothing. While the journal is late (locked, a full disk, an
# fsync that hangs) the process goes on: it watches stops, hears the owner, reads lists, and holds in
# memory what it would write. A stop that fires then is told at once: only he can sell meanwhile.
# - A new order: never. A process that died then would begin another for the same cause.
# - A protective sell: no. After a death the next process would see the stop unfired and sell
#   again; that the broker refuses more than is held is not proved. A row in advance ("this sell
#   may leave") would not help: each restart would have to take it for an order of unknown
#   outcome. The sell waits with its row, and leaves the moment the row is durable.
# - A cancel or change: no. It cannot double an order, but a change gives the order a number that
#   only memory knows. It waits like the sell: the disk was back in every drill within seconds.
# So all that a death in this state loses is what the broker's lists and balance tell again.


class Gate:
    """The last look at an order, a change or a cancel, in its turn, right before the first byte."""

    def __init__(
        self, settings: BotSettings, ledger: Ledger, journal: Journal, clock: MarketClock,
        steady: Callable[[], float],
    ) -> None:  # fmt: skip
        self.steady = steady  # market seconds that nobody sets; a sleeping machine stops them
        self.limits, self.symbols = settings.limits, settings.symbols
        self.ledger, self.journal, self.clock = ledger, journal, clock
        self.decided: dict[str, float] = {}  # intent id -> steady time of its durable row
        self.left: dict[str, float] = {}  # intent id -> steady time when it left
        self.too_fast = False  # the last refusal was one of pace: there will be room in seconds
        self.doubts: Callable[[], bool] = lambda: False  # whether the clock may be wrong

    def expect(self, intent: OrderIntent) -> None:
        """Hear that the row of an intent was written by this process."""
        self.decided[intent.intent_id] = self.steady()

    def refusal(self, call: OrderCall) -> str:
        """Return why a call must not be made; "" lets it go, and counts it unless it is a cancel."""
        for check in GATE[call.action]:
            if reason := check(self, call):
                self.too_fast = check is gate_pace
                return f"gate: {reason}"
        if call.action != "cancel":
            new = call.action == "new"
            left = call.intent.intent_id if new else f"change {len(self.left)} of {call.order_no}"
            self.left[left] = self.steady()
        return ""


def gate_once(gate: Gate, call: OrderCall) -> str:
    """Refuse what left already, or what nobody is waiting to send."""
    intent = call.intent
    order = gate.ledger.orders.get(intent.intent_id)
    if intent.intent_id in gate.left:
        return "it left already"
    unsent = order is not None and order.intent == intent and order.status is _S.SUBMITTING
    return "" if unsent else "no such order waits in the ledger"


def gate_durable(gate: Gate, call: OrderCall) -> str:
    """Refuse an intent without a row that outlives this process, or of another process."""
    intent = call.intent
    written = intent.intent_id in gate.decided and gate.journal.has_intent(intent.intent_id)
    return "" if written else "its row is not durable"


def gate_side(gate: Gate, call: OrderCall) -> str:
    """Refuse an entry that sells, an exit that buys, and orders that are not ours."""
    meant = (call.intent.purpose, call.intent.side) in (("entry", Side.BUY), ("exit", Side.SELL))
    return "" if meant else f"{call.intent.purpose} {call.intent.side}"


def gate_symbol(gate: Gate, call: OrderCall) -> str:
    """Refuse a stock that is neither in the settings nor held."""
    intent = call.intent
    held = intent.symbol in gate.ledger.positions and gate.ledger.positions[intent.symbol].quantity
    return "" if held or intent.symbol in gate.symbols else f"{intent.symbol} is none of ours"


def gate_quantity(gate: Gate, call: OrderCall) -> str:
    """Refuse no shares, or too many for one order."""
    intent = call.intent
    most = CEILING_QUANTITY
    if intent.purpose == "entry":
        most = min(most, gate.limits.max_quantity)
    return "" if 0 < intent.quantity <= most else f"{intent.quantity:,} shares, at most {most:,}"


def gate_worth(gate: Gate, intent: OrderIntent, quantity: int, price: int) -> int:
    """Return what shares may cost: by their price, or by the highest of the day. 0: not known."""
    known = gate.ledger.instruments.get(intent.symbol)
    return quantity * (price or (known.upper_limit if known else 0))


def gate_value(gate: Gate, call: OrderCall) -> str:
    """Refuse a buy above the value of one order, or of a value that nobody knows."""
    if call.intent.side is Side.SELL:
        return ""
    value = gate_worth(gate, call.intent, call.intent.quantity, call.intent.price)
    most = min(gate.limits.max_order_krw, CEILING_ORDER_KRW)
    return "" if 0 < value <= most else f"{value:,} won, at most {most:,}"


def gate_total(gate: Gate, call: OrderCall) -> str:
    """Refuse a buy when what is held, at cost, and what is being bought exceed the total.

    The rules count what is held at its cost or its price, whichever is higher, so what they let
    pass passes here too: this is the won that went in, which no price of a feed can make smaller.
    """
    if call.intent.side is Side.SELL:
        return ""
    ledger, most = gate.ledger, min(gate.limits.max_total_krw, CEILING_TOTAL_KRW)
    total = math.ceil(sum(each.cost for each in ledger.positions.values()))
    for order in ledger.open_orders():
        if order.own and order.intent.side is Side.BUY:
            total += gate_worth(gate, order.intent, order.remaining, order.price)
    return "" if total <= most else f"{total:,} won in all, at most {most:,}"


def gate_holding(gate: Gate, call: OrderCall) -> str:
    """Refuse to sell more than is held; a doubtful sell, or one of a day before, holds no stop back."""
    intent = call.intent
    if intent.side is Side.BUY:
        return ""
    held = gate.ledger.positions.get(intent.symbol, Position()).quantity
    selling = sum(
        order.remaining
        for order in gate.ledger.open_orders(intent.symbol)
        if order.own
        and order.intent.side is Side.SELL
        and order.status not in DOUBTFUL
        and order.intent.trade_date == intent.trade_date  # a day order is dead the next day
    )
    return "" if selling <= held and intent.quantity <= held else f"{selling} to sell, {held} held"


def gate_pace(gate: Gate, call: OrderCall) -> str:
    """Refuse more orders than the ceilings of a second and a minute, by what left here."""
    now = gate.steady()
    for span, most in ((1.0, CEILING_ORDERS_PER_SECOND), (60.0, CEILING_ORDERS_PER_MINUTE)):
        count = sum(now - at < span for at in gate.left.values())
        if count >= most:
            return f"{count} orders left within {span:.0f} s"
    return ""


def gate_hours(gate: Gate, call: OrderCall) -> str:
    """Refuse what the exchange would not take now; entries outside continuous trading."""
    now = gate.clock.now()
    session = session_of(now.date())
    phase = session.phase(now) if session else Phase.CLOSED
    allowed = (Phase.CONTINUOUS, Phase.CLOSING_AUCTION)[: 2 if call.intent.purpose == "exit" else 1]
    return "" if phase in allowed else f"exchange: {phase}"


def gate_level(gate: Gate, call: OrderCall) -> str:
    """Refuse entries against the kill switch."""
    level = gate.ledger.level
    stopped = call.intent.purpose != "exit" and level is not KillLevel.ACTIVE
    return f"level {level.name}" if stopped else ""


def gate_pause(gate: Gate, call: OrderCall) -> str:
    """Refuse an entry that a pause of the machine made old: by market time or steady time."""
    intent = call.intent
    if intent.purpose == "exit":
        return ""
    if gate.doubts():
        return "the clock is in doubt"
    most = gate.limits.max_quote_age_s
    waited_s = (gate.clock.now() - intent.at).total_seconds()
    steady_s = gate.steady() - gate.decided.get(intent.intent_id, -math.inf)
    old = not -CLOCK_TOLERANCE_S <= waited_s <= most or steady_s > most
    return f"decided {max(waited_s, steady_s):.0f} s ago" if old else ""


def change_sells(gate: Gate, call: OrderCall) -> str:
    """Refuse to change a buy: it is only ever cancelled, a changed one could cost more."""
    return "a buy is cancelled, never changed" if call.intent.side is Side.BUY else ""


def change_waits(gate: Gate, call: OrderCall) -> str:
    """Refuse a change that the ledger does not wait for: one left already, or another price."""
    order = gate.ledger.orders.get(call.intent.intent_id)
    waits = order is not None and order.status is _S.REPLACE_PENDING
    meant = call.kind, call.price
    same = order is not None and (order.pending_kind, order.pending_price) == meant
    return "" if waits and same else "no such change waits in the ledger"


def change_ours(gate: Gate, call: OrderCall) -> str:
    """Refuse to touch an order that is not ours, by its number: the account has an owner."""
    order = gate.ledger.orders.get(call.intent.intent_id)
    ours = order is not None and order.own and order.order_no == call.order_no != ""
    ours &= call.intent.trade_date == gate.ledger.day  # the numbers of each day begin anew
    return "" if ours else f"{call.order_no or 'no number'} is none of our orders"


# What each call meets. Of a cancel the number alone is looked at: what takes risk away is not held back.
GATE: dict[str, tuple[Callable[[Gate, OrderCall], str], ...]] = {
    "new": (
        gate_once, gate_durable, gate_side, gate_symbol, gate_quantity, gate_value, gate_total,
        gate_holding, gate_pace, gate_hours, gate_level, gate_pause,
    ),
    "change": (change_sells, change_waits, gate_pace, gate_hours, change_ours),
    "cancel": (change_ours,),
}  # fmt: skip


# ======================================================================================
# === 27. KISOrder ===
# ======================================================================================
# Knows: the only code that sends, changes or cancels an order, and how to read the account.
# One call of _send is one HTTP attempt, never repeated. Its outcome is accepted, refused, not
# sent, or UNKNOWN. Never knows: why an order is wanted.


def classify_order_answer(reply: HttpReply) -> OrderAnswer:
    """Judge the answer to an order POST. Anything that is not clear is UNKNOWN.

    The body decides, not the status: HTTP 500 carries ordinary refusals (measured). EGW00300,
    EGW00301, EGW00302 and every code not listed here mean "check the last transaction".
    """
    try:
        body = reply.body()
        output = body.get("output") or {}
        fields = {key.lower(): str(value or "") for key, value in output.items()}
        order_no = normalize_order_no(fields.get("odno", ""))
    except (BadData, AttributeError):
        return OrderAnswer(Outcome.UNKNOWN, code=f"HTTP {reply.status}", text="no usable body")
    code = code_of(body)
    text = str(body.get("msg1") or body.get("error_description") or "").strip()
    result = str(body.get("rt_cd", "")).strip()
    if result == "0" and order_no:
        branch = fields.get("krx_fwdg_ord_orgno", "").strip()
        branch = branch if re.fullmatch(r"[0-9A-Za-z]{0,10}", branch) else ""
        return OrderAnswer(Outcome.ACCEPTED, order_no, branch, code, text)
    says_no = result not in ("", "0") or (result == "" and "error_code" in body)
    means = meaning(code, "order") if says_no and not order_no else ""
    if means == "refused":
        return OrderAnswer(Outcome.REFUSED, code=code, text=text)
    if means == "away":
        return OrderAnswer(Outcome.NOT_SENT, code=code, text=text)
    return OrderAnswer(Outcome.UNKNOWN, code=code or f"HTTP {reply.status}", text=text)


Veto: TypeAlias = Callable[[], OrderAnswer | None]


class KISOrder:
    """Sends orders of one account and reads the account."""

    def __init__(self, client: KISClient, hashkey: bool = False) -> None:
        self._client, self._hashkey = client, hashkey
        self.matters: Matters = _every  # whether rows of a stock must be readable
        self.cma = False
        self._by = "02"  # INQR_DVSN of the balance: by stock, or "01" by loan date

    async def submit(self, intent: OrderIntent, veto: Veto | None = None) -> OrderAnswer:
        """Send a new cash order. The intent must be durable in the journal before."""
        body = order_body(
            self._client.profile, intent.symbol, str(intent.kind), intent.quantity,
            intent.price if intent.kind.priced else 0,
        )  # fmt: skip
        lane = LANE_EXIT if intent.purpose == "exit" else LANE_ORDER
        return await self._send("buy" if intent.side is Side.BUY else "sell", body, lane, veto)

    async def change(self, call: OrderCall, veto: Veto | None = None) -> OrderAnswer:
        """Cancel the whole rest of an order, or change its kind and price.

        A cancel gets a number of its own; a changed order lives on under a new number.
        """
        cancel = call.action == "cancel"
        priced = not cancel and OrderKind(call.kind).priced
        body = {
            **self._client.account_params(), "KRX_FWDG_ORD_ORGNO": call.branch,
            "ORGN_ODNO": call.order_no, "ORD_DVSN": call.kind,
            "RVSE_CNCL_DVSN_CD": "02" if cancel else "01",
            "ORD_QTY": "0",  # ignored with QTY_ALL_ORD_YN = Y (doc)
            "ORD_UNPR": str(call.price) if priced else "0", "QTY_ALL_ORD_YN": "Y",
            "EXCG_ID_DVSN_CD": "KRX", "CNDT_PRIC": "",
        }  # fmt: skip
        return await self._send("change", body, LANE_EXIT, veto)

    async def _send(
        self, name: str, body: Mapping[str, str], lane: int, veto: Veto | None = None
    ) -> OrderAnswer:
        """Make ONE attempt to place, change or cancel an order. AN ORDER LEAVES HERE, ONLY HERE.

        `veto` is asked when the turn has come, the last thing before the first byte: an answer that
        it returns keeps the order here.
        """
        try:
            tr_id = self._client.tr_id(name)
            token = await self._client.auth.token()
            headers = self._client.headers(tr_id, token)
            if self._hashkey:
                headers["hashkey"] = await self._hash_of(body)
            await self._client.rest.governor.turn(lane)
        except (KeysRefused, AskFailed) as error:
            return OrderAnswer(Outcome.NOT_SENT, text=f"before sending: {error}")
        if veto and (kept := veto()):
            return kept
        try:
            reply = await self._client.rest.call(
                "POST", ENDPOINTS[name].path, headers=headers, body=body, lane=None
            )
        except NotSent as error:
            return OrderAnswer(Outcome.NOT_SENT, text=str(error))
        except NoAnswer as error:
            return OrderAnswer(Outcome.UNKNOWN, text=str(error))
        answer = classify_order_answer(reply)
        answer = answer._replace(text=self._client.clean(answer.text))
        if meaning(answer.code, "question") == "token":
            self._client.auth.drop_token(token)
        if meaning(answer.code, "question") == "pace":
            self._client.rest.governor.slow_down()
        return answer

    async def _hash_of(self, body: Mapping[str, str]) -> str:
        client, lane = self._client, LANE_ORDER
        keys = app_keys(client.profile)
        reply = await client.rest.call("POST", HASHKEY, headers=keys, body=body, lane=lane)
        return _needed(reply.body(), "HASH")

    async def orders_of(self, day: date) -> OrderList:
        """Return the order list of a day, all pages, all exchanges, no filter.

        Raises BadData, NoAnswer, NotSent, RequestRefused: there is no list, which is not an empty one.
        """
        params = {
            **self._client.account_params(),
            "INQR_STRT_DT": f"{day:%Y%m%d}", "INQR_END_DT": f"{day:%Y%m%d}",
            "SLL_BUY_DVSN_CD": "00", "PDNO": "", "CCLD_DVSN": "00", "INQR_DVSN": "01",
            "INQR_DVSN_3": "00", "ORD_GNO_BRNO": "", "ODNO": "", "INQR_DVSN_1": "",
            "EXCG_ID_DVSN_CD": "KRX" if self._client.profile.environment == "paper" else "ALL",
        }  # fmt: skip
        bodies = await self._client.pages("orders", params, lane=LANE_LOOK)
        rows = [
            row
            for body in bodies
            for row in rows_of(body, "output1")
            if text_of({k.lower(): v for k, v in row.items()}, "ord_dt") in ("", f"{day:%Y%m%d}")
        ]
        return OrderList(tuple(parse_broker_orders(rows, self.matters)))

    async def balance(self) -> Balance:
        """Return holdings and cash, all pages. Raises like orders_of.

        A server that refuses one kind of list (OPSQ2001, seen to come and go) is asked for the other.
        """
        try:
            return await self._balance(self._by)
        except RequestRefused as refusal:
            if meaning(refusal.code, "question") != "other":
                raise
            other = "01" if self._by == "02" else "02"
            seen = await self._balance(other)
            log.warning("the balance comes by INQR_DVSN %s now: %s was refused", other, self._by)
            self._by = other
            return seen

    async def _balance(self, by: str) -> Balance:
        params = {
            **self._client.account_params(), "AFHR_FLPR_YN": "N", "OFL_YN": "", "INQR_DVSN": by,
            "UNPR_DVSN": "01", "FUND_STTL_ICLD_YN": "N", "FNCG_AMT_AUTO_RDPT_YN": "N",
            "PRCS_DVSN": "00",
        }  # fmt: skip
        bodies = await self._client.pages("balance", params)
        self._check_account(bodies[0])
        summary = next(iter(rows_of(bodies[0], "output2")), {})  # none has no amounts: BadData
        holdings = [row for body in bodies for row in rows_of(body, "output1")]
        return parse_balance(holdings, summary, self.matters)

    def _check_account(self, body: Mapping[str, Any]) -> None:
        """Refuse an answer that names another account (ctx_area_fk100 begins with the number)."""
        named = re.match(r"\s*(\d{8})\b", str(body.get("ctx_area_fk100", "")))
        if named and named[1] != self._client.profile.account.reveal():
            raise wrong_setting("account", "the broker answers for another one", "the same")

    async def realized_today(self, day: date) -> int | None:
        """Return the broker's realised result of a day, won; None on paper, which has none."""
        if self._client.profile.environment == "paper":
            return None
        params = {
            **self._client.account_params(), "SORT_DVSN": "00", "INQR_STRT_DT": f"{day:%Y%m%d}",
            "INQR_END_DT": f"{day:%Y%m%d}", "CBLC_DVSN": "00", "PDNO": "",
        }  # fmt: skip
        bodies = await self._client.pages("realized", params)
        totals = rows_of(bodies[-1], "output2")
        return whole(totals[0], "tot_rlzt_pfls") if totals else None

    async def orderable_cash(self) -> int:
        """Return won that can be spent without receivables (nrcvb_buy_amt; never max_buy_amt)."""
        params = {
            **self._client.account_params(), "PDNO": "", "ORD_UNPR": "", "ORD_DVSN": "01",
            "CMA_EVLU_AMT_ICLD_YN": "Y" if self.cma else "N", "OVRS_ICLD_YN": "N",
        }  # fmt: skip
        body, _ = await self._client.get("buying_power", params)
        return whole(output_of(body, "output"), "nrcvb_buy_amt")


# ======================================================================================
# === 28. TRADER ===
# ======================================================================================
# Knows: everything that runs: start-up, the loops, the shutdown. The only place where the
# engine and the network meet. It decides nothing about orders: it feeds events and carries
# out actions, journal first.

REFUSALS_UNTOLD = 3  # of one question in a row, each tried several times, before it is told
LOG_FILE = "bot.log"
SCREEN_OF = "KISBOT_SCREEN_OF"  # tells the screen beside a bot whose it is
SCREEN_ENDS_WITHIN_S = 15.0
STATUS_FILE = "status.json"  # in the state folder: how it is now
SUSPENDED_S = 5.0  # a timer this late means that frames and notices may be missing
SUSPENDED_TOLD_S = 60.0  # shorter ones are told once a day
INBOX_LIMIT, INBOX_CHARACTERS = 50_000, 32_000_000
LONG_WARM_UP_S = 60.0  # a longer one is told
BATCH = 256
START_BEFORE_OPEN = timedelta(minutes=30)
END_AFTER_CLOSE = timedelta(minutes=30)


class Inbox:
    """Frames waiting for the engine. Order notices overtake; when full the oldest trades go."""

    def __init__(self) -> None:
        self._notices: deque[tuple[int, str]] = deque()
        self._market: deque[tuple[int, str]] = deque()
        self._more = asyncio.Event()
        self.lost = self._size = 0  # frames; characters that wait

    def put(self, frame: str) -> None:
        """Take a frame in, stamped with monotonic nanoseconds; never blocks."""
        box = self._notices if frame[:1] == "1" else self._market
        box.append((time.monotonic_ns(), frame))
        self._size += len(frame)
        while len(box) > INBOX_LIMIT or self._size > INBOX_CHARACTERS:
            self._size -= len((self._market or self._notices).popleft()[1])
            self.lost += 1
        self._more.set()

    async def batch(self) -> list[tuple[int, str]]:
        """Wait for frames; return up to BATCH of them with their stamps, notices first."""
        await self._more.wait()
        frames = list(self._notices)
        self._notices.clear()
        while self._market and len(frames) < BATCH:
            frames.append(self._market.popleft())
        self._size -= sum(len(frame) for _, frame in frames)
        if not self._market:
            self._more.clear()
        return frames


@dataclass(slots=True)
class Services:
    """The edges of the program; a test hands in others."""

    clock: MarketClock
    transport: Transport
    connect: Connect
    journal: Journal
    folder: Path
    recorder: Recorder | None = None
    show_status: Callable[[Trader], None] = lambda trader: None


class Broker:
    """All clients of one account, and the engine's questions to it: which goes when, what came of it."""

    def __init__(self, profile: Profile, bot: BotSettings, services: Services) -> None:
        self._clock = clock = services.clock
        pace = bot.rest_calls_per_second or REST_CALLS_PER_SECOND[profile.environment]
        self.rest = Rest(profile, services.transport, pace)
        self.auth = KISAuth(profile, self.rest.call, services.folder, clock)
        client = KISClient(profile, self.rest, self.auth, clock)
        self.market = KISMarketData(client, bot.funds)
        self.orders = KISOrder(client, bot.hashkey)
        self.orders.cma = bot.cma
        self.decoder = FrameDecoder(profile.account.reveal() + profile.product)
        pause_s = 0.0 if profile.simulated else REGISTER_PAUSE_S[profile.environment]
        ws = profile.ws_url
        self.socket = KISWebSocket(ws, self.auth, self.decoder, services.connect, pause_s)
        self.troubles: dict[str, str] = {}  # what is wrong now, by the keys of ALARMS
        self._day = date.min
        self._refusals: Counter[Ask] = Counter()  # in a row
        self.agenda, self._asked = Agenda(), asyncio.Event()

    def want(self, ask: Ask) -> None:
        """Note a question; asked once however often it is wanted."""
        self.agenda.want(ask, self._clock.now())
        self._asked.set()

    def begin_day(self, day: date) -> None:
        """Begin a day: nothing is under way, whatever the end of the last one cut off unasked."""
        self.decoder.set_day(day)
        self._day = day
        self.agenda.under_way.clear()
        self.troubles.pop("feed", None)  # of the evening: this day's has not begun

    async def next_question(self, kinds: Sequence[Question], busy: bool) -> Ask:
        """Wait for the next question of some kinds; the usual ones come alone."""
        while True:
            ask, pause = self.agenda.take(kinds, busy, self._clock.now())
            if ask:
                return ask
            self._asked.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause, POLL_OPEN_S) / self._clock.speed):
                    await self._asked.wait()

    async def answer(self, ask: Ask) -> Seen | None:
        """Put a question to the broker. None: no answer, which says nothing."""
        asked_at, began = self._clock.now(), asyncio.get_running_loop().time()
        self.agenda.note_asked(ask.what, asked_at)
        key = f"answer {ask.what} {ask.symbol}"
        try:
            if ask.what == "price":
                value: Any = await self.market.price(ask.symbol, LANE_LOOK)
            elif ask.what == "orders":
                old = date.fromisoformat(ask.symbol) if ask.symbol else None
                value = await self.orders.orders_of(old or self._day)  # whatever our clock says
                value = value._replace(day=old)
            elif ask.what == "cash":
                value = Cash(await self.orders.orderable_cash())
            else:
                value = await self.orders.balance()
        except AskFailed as error:
            asked = f"{ask.what} {ask.symbol}".strip()
            log.warning("question for %s failed: %s", asked, error)
            self._refusals[ask] += isinstance(error, RequestRefused | BadData)
            if self._refusals[ask] >= REFUSALS_UNTOLD:
                self.troubles[key] = f"no answer to: {asked}: {error}"
            return None
        finally:
            self.agenda.under_way.pop(ask, None)
            self._asked.set()
        del self._refusals[ask]
        self.troubles.pop(key, None)
        took_s = asyncio.get_running_loop().time() - began
        self.agenda.note_answered(ask.what, took_s * self._clock.speed)
        return Seen(value, asked_at)

    async def past(self, symbol: str, session: Session, minutes: int, days: int) -> Seen:
        """Return closed bars for warm-up: of so many days before a session, else of minutes till now.

        A server that has none leaves fewer or no bars.
        """
        now, last, bars = self._clock.now(), previous_trading_day(session.day), list[Bar]()
        try:
            if days:
                first = last - timedelta(days=days * 8 // 5 + 21)  # weekends and holidays
                found = (await self.market.daily_bars(symbol, first, last))[-days:]
                known = (
                    day for day in found if day.day.year in CLOSED_DAYS and session_of(day.day)
                )
                return Seen(PastBars(symbol, tuple(whole_day(symbol, day) for day in known)), now)
            bars, need = await self.market.minute_bars_today(symbol, now, 400), 40 * minutes
            if len(bars) < need:
                bars = await self.market.minute_bars_of(symbol, last, need - len(bars)) + bars
        except AskFailed as error:
            log.warning("%s: no past bars (%s)", symbol, error)
        sound = sound_minutes(bars)
        self.troubles.pop(f"bars {symbol}", None)
        if len(sound) < len(bars):
            self.troubles[f"bars {symbol}"] = f"{symbol}: {len(bars) - len(sound)} odd minute bars"
        closed = [bar for bar in combine_bars(sound, minutes) if bar.end <= now]
        return Seen(PastBars(symbol, tuple(closed)), now)


def _log_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("Telegram ended (%s: %s); alerts go to the log only", type(error).__name__, error)


LATE_TOLD_S, LATE_RETRY_S = 1.0, 0.25
LATE_MOST_S = 300.0  # then the program ends: what it would still learn, a new one asks again


class ClockDoubt:
    """Whether market time may be believed: the host's clock and the broker's Date are its witnesses.

    Where both agree it follows them. Where they differ it goes on by steady time, and is good if it
    agreed with both before and does with the broker. Prices go on being judged in doubt; nothing is
    sold or ended by a time that may be wrong.
    """

    def __init__(self, clock: MarketClock, rest: Rest, real: bool) -> None:
        self._clock, self._rest, self._real = clock, rest, real
        self._settled = self._agreed = False
        self._ahead_s, self._jumped_s = math.nan, -math.inf  # host less loop time; loop time

    def doubts(self) -> bool:
        """Correct the clock by what host and broker agree on; tell whether it is in doubt."""
        if not self._real or self._rest.answered_s == -math.inf:
            return False
        host, steady_s = self._clock.host(), asyncio.get_running_loop().time()
        ahead_s = host.timestamp() / self._clock.speed - steady_s
        if abs(ahead_s - self._ahead_s) > CLOCK_TOLERANCE_S:
            self._jumped_s = steady_s  # set, or the machine slept
        self._ahead_s = ahead_s
        if self._rest.answered_s < self._jumped_s:
            return True
        if not self._rest.clock_off:
            self._agreed = True
            self._clock.correct(host)
        behind_s = (host - self._clock.now()).total_seconds() + self._rest.clock_offset_s
        return not self._agreed or abs(behind_s) > CLOCK_OFF_S

    async def astray(self) -> str:
        """Set the clock before the first day; return why none may begin yet, "" when it may."""
        if not self._real or self._settled:
            return ""
        with contextlib.suppress(NotSent, NoAnswer):
            await self._rest.have_answered()
            self._clock.set(self._clock.host() + timedelta(seconds=self._rest.clock_offset_s))
            self._settled = self._clock.now().year in CLOSED_DAYS
        says = f"this clock says {self._clock.now():%Y-%m-%d %H:%M}: waiting for that of KIS"
        return "" if self._settled else says


class Bridge:
    """The only door of the engine: events in, recorded; actions out, journal first.

    While the journal is late, rows wait here in their order, and every call with its rows. Facts
    and words do not wait: stops are watched, the phone is told, lists are read.
    """

    def __init__(
        self, settings: Settings, bot: BotSettings, strategy: TradingStrategy, services: Services,
        past: Past, want: Callable[[Ask], None],
    ) -> None:  # fmt: skip
        self.clock, self.journal = services.clock, services.journal
        self.recorder, self._want, self._language = services.recorder, want, bot.language
        self.telegram = TelegramBot(
            settings.telegram_token, settings.telegram_chat, bot.telegram_api, bot.telegram_users
        )
        self.engine = Engine(bot, strategy, past.ledger, EMPTY_LISTS[settings.profile.environment])
        if self.recorder:
            self.recorder.holds_now = lambda: self.engine.core.holds
        self.gate = Gate(bot, past.ledger, self.journal, self.clock, self._steady)
        self.noise: dict[Any, Any] = {**DEFAULT_NOISE, **bot.notify, **past.noise}
        self._untold, self.telegram.newest = list(past.untold.values()), past.newest_word
        self._threads, self._lines = Threads(), dict[str, str]()
        self.names: dict[str, str] = {}  # of stocks, where the broker told none yet
        self.telegram.late_mark = "늦은 알림" if bot.language == "ko" else "late"
        self.doors = SideDoors(bot)
        self.messages: deque[str] = deque(maxlen=200)
        self.said: Counter[str] = Counter()  # alerts by code
        self.calls: asyncio.PriorityQueue[tuple[int, int, OrderCall]] = asyncio.PriorityQueue()
        self.under_way: OrderCall | None = None  # the call that is being made
        self._redact = self.engine.core.clean = Redactor(all_secrets(settings))
        self._ticket = itertools.count()
        self._unwritten: deque[tuple[list[tuple[str, str, Any]], datetime, Callable[[], None]]]
        self._unwritten = deque()  # rows, their time, what rests on them
        self._late_since_s, self._late_told = math.inf, False  # loop time
        self.late = ""  # why the journal cannot be written now
        self._sells: list[OrderIntent] = []  # that wait for it, untold

    def feed(self, event: Event) -> None:
        """Give the engine the time and an event, and carry out what it wants."""
        self.handle(TimeEvent(self.clock.now()))
        self.handle(event)

    def handle(self, event: Event) -> None:
        """Give the engine an event, recorded, and carry out what it wants."""
        known = "clock" in self.engine.core.holds
        if isinstance(event, TimeEvent) and not known and self.gate.doubts():
            # before anything is done by this time
            self.handle(Command("hold", event.now, text="clock"))
            self._want(Ask("cash"))  # its answer confirms the clock, or does not
        if self.recorder:
            if isinstance(event, TimeEvent):
                self.recorder.time(event.now)
            elif not isinstance(event, Trade | Quote | MarketStatus):
                self.recorder.event(event)
        actions = self.engine.handle(event)
        if actions:
            self.execute(actions)

    def execute(self, actions: Sequence[Action]) -> None:
        """Write every row first, durably; only then do what they stand for."""
        rows: list[tuple[str, str, Any]] = []
        says: list[Callable[[], None]] = []
        sends = [action for action in actions if isinstance(action, OrderCall)]
        next_row = self.journal.last_seq + sum(len(each) for each, _, _ in self._unwritten) + 1
        for action in actions:
            if isinstance(action, Record):
                rows.append(action)
            elif isinstance(action, Alert):
                told = self._clean(action)
                says.append(functools.partial(self.say, told, next_row + len(rows)))
                rows.append(("alert", *told))
            elif isinstance(action, OrderCall):
                call = {"action": action.action, "kind": action.kind, "price": action.price}
                rows.append(("request", action.intent.intent_id, call))
        self.write(rows, functools.partial(self._release, sends, says) if sends else None)
        if self.late:
            self._sells += [
                c.intent for c in sends if (c.action, c.intent.purpose) == ("new", "exit")
            ]
        for action in actions:
            if isinstance(action, Ask):
                self._want(action)
        for words in says if not sends else ():
            words()

    def _clean(self, alert: Alert) -> Alert:
        """Take secrets out of the texts of an alert: a server may echo what it was sent."""
        texts = {k: self._redact(v) for k, v in alert.values.items() if type(v) is str}
        return alert._replace(values={**alert.values, **texts})

    def _release(self, sends: Sequence[OrderCall], says: Sequence[Callable[[], None]]) -> None:
        """Let calls go whose rows are durable; the gate refuses an entry that waited long for them."""
        for call in sends:
            self.gate.expect(call.intent)
            patient = call.action == "new" and call.intent.purpose == "entry"
            self.calls.put_nowait((patient, next(self._ticket), call))
        loop = asyncio.get_running_loop()
        for words in says:  # the order goes first, then the words:
            loop.call_soon(loop.call_soon, words)  # its task runs next, and writes one turn later

    # --- rows ---

    def write(
        self, rows: list[tuple[str, str, Any]], then: Callable[[], None] | None = None
    ) -> None:
        """Write rows, then do what rests on them; both later, in order, while the journal is late.

        Raises JournalError: it never will be written.
        """
        self._unwritten.append((rows, self.clock.now(), then or (lambda: None)))
        self.write_waiting()

    def write_waiting(self) -> bool:
        """Write what waits; False while the journal is late, which holds entries at once."""
        try:
            self.journal.check_in_place()
            while self._unwritten:
                rows, at, then = self._unwritten[0]
                self.journal.append(rows, at)
                self._unwritten.popleft()
                then()
            return True
        except JournalLate as error:
            began, self.late = not self.late, str(error)
            if began:
                loop = asyncio.get_running_loop()
                self._late_since_s, self._late_told = loop.time(), False
                loop.call_later(LATE_RETRY_S, self._try_again)
                self.feed(Command("hold", self.clock.now(), text=JOURNAL_LATE))
            return False

    def _try_again(self) -> None:
        """Go on where the journal was late, or tell that it is, and wait on."""
        loop = asyncio.get_running_loop()
        late_s = loop.time() - self._late_since_s
        try:
            written = self.write_waiting()
        except JournalError as error:  # wrong: check_journal() ends the program
            log.error("%s", error)
            return
        if written:
            self.late, self._sells = "", []
            self.feed(Command("release", self.clock.now(), text=JOURNAL_LATE))
            if self._late_told:
                self.tell("journal_back", seconds=round(late_s))
            return
        loop.call_later(LATE_RETRY_S, self._try_again)
        if late_s >= LATE_TOLD_S and not self._late_told:
            self._late_told = True
            self.tell("journal_late", why=self.late)
        while self._late_told and self._sells:  # only the owner can sell meanwhile
            intent = self._sells.pop(0)
            values = {"symbol": intent.symbol, "quantity": intent.quantity}
            self.tell("sell_waits", reason=intent.reason, **values)

    def check_journal(self) -> None:
        """Raise JournalError when the journal is wrong, or late for too long."""
        self.write_waiting()
        late_s = asyncio.get_running_loop().time() - self._late_since_s
        if self.late and late_s > LATE_MOST_S:
            raise JournalError(f"{self.late}; tried for {late_s:.0f} s")

    def _steady(self) -> float:
        return asyncio.get_running_loop().time() * self.clock.speed

    def veto(self, call: OrderCall) -> OrderAnswer | None:
        """Return the answer to a call that must not leave: the engine's word, then the gate's."""
        if late := self.engine.too_late(call):
            return OrderAnswer(Outcome.NOT_SENT, text=late)
        if reason := self.gate.refusal(call):
            code = TOO_FAST if self.gate.too_fast else ""
            return OrderAnswer(Outcome.NOT_SENT, code=code, text=reason)
        return None

    def end_calls(self) -> None:
        """Answer every call that is still open: what waited never left, what was cut off is unknown."""
        if call := self.under_way:
            self.under_way = None
            self.calls.task_done()
            cut = OrderAnswer(Outcome.UNKNOWN, text="cut off by the end of the day")
            self.feed(OrderAnswered(call.intent.intent_id, cut, self.clock.now()))
        late = OrderAnswer(Outcome.NOT_SENT, text="the day ended before it left")
        while not self.calls.empty():
            _, _, call = self.calls.get_nowait()
            self.calls.task_done()
            self.feed(OrderAnswered(call.intent.intent_id, late, self.clock.now()))

    def tell(self, code: str, **values: Any) -> None:
        """Tell a person something that the engine does not know of."""
        self.execute([Alert(code, values)])

    def say(self, alert: Alert, row: int = 0) -> None:
        """Say an alert (the journal's row) to the log, the screen and the phone."""
        self.said[alert.code] += 1
        named = say(self._named(alert), self._language)
        key, line = self._threads.key(alert), f"{self.clock.now():%H:%M:%S} {named}"
        if key:  # one line follows an order, as its message on the phone does
            with contextlib.suppress(ValueError):
                self.messages.remove(self._lines.pop(key, ""))
            self._lines = dict([*self._lines.items(), (key, line)][-200:])
        self.messages.append(line)
        kind = kind_of(alert)
        urgent, noise = kind == "urgent", self.noise.get(kind, "on")
        log.log(logging.WARNING if urgent else logging.INFO, "%s", named)
        sold = alert.code == "filled" and alert.values["side"] is Side.SELL
        held = self.engine.core.ledger.position(alert.values["symbol"]).quantity if sold else 1
        if urgent or alert.code.startswith("trouble"):
            self.doors.post(named)
        known = alert.code == "change_refused" and nothing_left(alert.values["note"])
        known |= alert.code == "refused" and alert.values["code"] == "LEVEL"
        known |= alert.code == "level" and self.telegram.said_by_whom_it_tells(
            alert.values["reason"]
        )
        if not held or known or noise == "off" or kind == "screen":
            return  # another message tells it: of the round trip, the fill, the level, the answer
        self.telegram.post(
            named + self._guard_of(alert), urgent, row if urgent else 0, key, noise == "silent",
            f"{self.clock.now():%H:%M}",
        )  # fmt: skip

    def _guard_of(self, alert: Alert) -> str:
        """Return the stop and target of what was just bought."""
        if alert.code != "filled" or alert.values["side"] is not Side.BUY:
            return ""
        plan = self.engine.core.ledger.position(alert.values["symbol"]).plan
        if plan is None:
            return ""
        stop, target = ("손절", "목표") if self._language == "ko" else ("stop", "target")
        aim = f" · {target} {plan.target_price:,}" if plan.target_price else ""
        return f" · {stop} {plan.stop_price:,}{aim}"

    def set_noise(self, *chosen: str) -> None:
        """Choose what a kind of message does from now on, also after a restart; one word asks."""
        if len(chosen) == 2:
            self.execute([Record("notify", *chosen)])
            self.noise |= {chosen[0]: chosen[1]}

    def note_told(self, row: int) -> None:
        """Write down that an urgent alert reached the phone: a later process does not repeat it."""
        try:
            self.write([("told", str(row), {})])
        except JournalError as error:
            log.error("an alert was told, but not written down as told: %s", error)

    def tell_again(self) -> None:
        """Tell the urgent alerts of the last day that an earlier process did not bring to the phone."""
        after = (self.clock.now() - timedelta(days=1)).isoformat()
        late = [row for row in self._untold if row.at >= after]
        for row in late[-TelegramBot.OUTBOX // 10 :]:
            text = say(self._named(Alert(row.ref, json.loads(row.body))), self._language)
            mark = self.telegram.late_mark
            self.telegram.post(f"[{mark} {row.at[5:16].replace('T', ' ')}] {text}", True, row.seq)

    def name(self, symbol: str) -> str:
        """Return the name of a stock, its code where nobody knows one."""
        known = name_of(self.engine.core, symbol)  # the balance forgets it with the last share
        return self.names.setdefault(symbol, known) if known else self.names.get(symbol, symbol)

    async def learn_names(self) -> None:
        """Learn how companions name stocks: the broker names only what is held."""
        if Path(__file__).with_name("companions").is_dir():
            found = await work_out(self.journal.path, self.engine.core.settings, "names")
            self.names |= found or {}

    def held(self, only: str = "") -> str:
        """Return what is held, all or `only` one stock, by name, with its shares."""
        held = self.engine.core.ledger.positions.items()
        named = ((self.name(s), each.quantity) for s, each in held if only in ("", s))
        unit = "주" if self._language == "ko" else ""
        return ", ".join(f"{name} {quantity:,}{unit}" for name, quantity in named if quantity)

    def _named(self, alert: Alert) -> Alert:
        """Return an alert with the name of its stock instead of the code, where it is known."""
        symbol = alert.values.get("symbol")
        name = self.name(symbol) if isinstance(symbol, str) and symbol else symbol
        return alert._replace(values={**alert.values, "symbol": name}) if name else alert


class Morning:
    """Asks what must be known before the first decision of a day, and feeds it to the engine."""

    def __init__(
        self, bridge: Bridge, broker: Broker, stop: asyncio.Event,
        wait: Callable[[datetime], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._bridge, self._broker, self._stop, self._wait = bridge, broker, stop, wait
        self.progress = 0, 0, 0  # stocks that are warm, all, seconds left

    async def prepare(self, session: Session) -> bool:
        """Ask what must be known before the first decision; False when stopped meanwhile."""
        await self._end_earlier_day(session)
        if self._stop.is_set():
            return False
        self._bridge.feed(Command("day", self._bridge.clock.now(), session))
        pauses = TOKEN_PAUSES.each()
        while not self._stop.is_set():
            try:
                await self._broker.auth.token(TOKEN_MORNING_SPARE)
                self._broker.troubles.pop("token", None)
                break
            except AskFailed as error:
                log.warning("no access token: %s", error)
                self._broker.troubles["token"] = f"no access token: {error}"
                await self._wait(self._bridge.clock.now() + timedelta(seconds=next(pauses)))
        core = self._bridge.engine.core
        held = core.occupied()
        prices = [Ask("price", symbol) for symbol in core.symbols]
        account = Ask("orders"), Ask("holdings"), Ask("cash")
        if held:  # guarded first: all else is asked beside it
            for ask in prices:
                if ask.symbol not in held:
                    self._broker.want(ask)
            async with asyncio.TaskGroup() as group:  # one that hangs holds no other
                for ask in prices:
                    if ask.symbol in held:
                        group.create_task(self._ask(ask))
                await self._ask(*account)
        else:
            await self._confirm_calendar(session)
            await self._ask(*prices, *account)
        return not self._stop.is_set()

    async def _ask(self, *asks: Ask) -> None:
        for ask in asks:
            if not self._stop.is_set() and (seen := await self._broker.answer(ask)):
                self._bridge.feed(seen)

    async def warm_up(self, session: Session) -> None:
        """Warm the strategy up; on the paper server this can take minutes, which is told once."""
        if self._bridge.engine.core.occupied():
            await self._confirm_calendar(session)
        engine, began, told = self._bridge.engine, self._bridge.clock.now(), False
        symbols, minutes = engine.core.settings.symbols, engine.core.settings.bar_minutes
        for done, symbol in enumerate(symbols):
            if self._stop.is_set():
                return
            spent_s = (self._bridge.clock.now() - began).total_seconds()
            left_s = spent_s / done * (len(symbols) - done) if done else 0.0
            self.progress = done, len(symbols), round(left_s)
            if done > 2 and left_s > LONG_WARM_UP_S and not told:  # the first take longer
                told = True
                left = math.ceil(left_s / 60)
                self._bridge.tell("preparing", done=done, of=len(symbols), minutes=left)
            days = engine.strategy.past_days
            self._bridge.feed(await self._broker.past(symbol, session, minutes, days))
        self.progress = len(symbols), len(symbols), 0
        if told:
            self._bridge.tell("prepared", of=len(symbols))

    async def _confirm_calendar(self, session: Session) -> None:
        """Ask the broker once a day whether it opens (real server only); disagreeing stops entries."""
        try:
            opens = await self._broker.market.is_open_day(session.day)
        except AskFailed as error:
            log.warning("the broker's calendar could not be read: %s", error)
            return
        if opens is False:
            self._bridge.tell("calendar_differs", day=session.day.isoformat())
        name: Literal["hold", "release"] = "hold" if opens is False else "release"
        self._bridge.feed(Command(name, self._bridge.clock.now(), text="calendar"))

    async def _end_earlier_day(self, session: Session) -> None:
        """Read the order list of an earlier day that left orders open.

        Without it their fills are lost, and their shares would pass for the owner's. So it is given
        up only when the market is about to open, or is open, and the broker can be reached.
        """
        ledger = self._bridge.engine.core.ledger
        if ledger.day is None or ledger.day == session.day or not ledger.open_orders():
            return
        for pause in OLD_LIST_PAUSES.each():
            asked_at = self._bridge.clock.now()
            try:
                self._bridge.feed(Seen(await self._broker.orders.orders_of(ledger.day), asked_at))
                self._broker.troubles.pop("earlier", None)
                return
            except AskFailed as error:
                log.warning("no order list of %s: %s", ledger.day, error)
                self._broker.troubles["earlier"] = f"no order list of {ledger.day}: {error}"
                soon = asked_at >= session.open - timedelta(minutes=5)
                late = soon and pause == OLD_LIST_PAUSES[-1]
                if self._stop.is_set() or (late and not isinstance(error, NotSent)):
                    return
                await self._wait(asked_at + timedelta(seconds=pause))


def phase_word(trader: Trader) -> str:
    """Return where the day stands, one word of the status."""
    core, now = trader.engine.core, trader.clock.now()
    if trader.stopping():
        return "stopping"
    if core.session is None or core.session.day != now.date():
        return "waiting" if session_ahead(now).day == now.date() else "closed"
    if any(state.instrument is None for state in core.symbols.values()):
        return "preparing"
    words = {
        Phase.CLOSED: "preparing", Phase.OPENING_AUCTION: "before_open",
        Phase.CONTINUOUS: "trading", Phase.CLOSING_AUCTION: "closing", Phase.AFTER: "after",
    }  # fmt: skip
    return words[core.phase]


def status_of(trader: Trader) -> dict[str, Any]:
    """Return the status: money in won, times in KST; fields of version 1 only grow."""
    core, profile, clock = trader.engine.core, trader.profile, trader.clock
    ledger, now = core.ledger, clock.now()
    symbols = [_status_of_symbol(trader, each, now) for each in core.symbols]
    ages = [each["age_s"] for each in symbols if each["age_s"] is not None]
    logs = [each for each in logging.getLogger().handlers if isinstance(each, LogThread)]
    opened = sum(each["gain_krw"] for each in symbols)
    worth = sum(each["price"] * each["position"] for each in symbols)
    today, open_orders = ledger.today, ledger.open_orders()
    limits, equity = core.settings.limits, ledger.cash_krw + worth
    result = core.day_result_krw()  # the figure that the limit measures: from yesterday's close
    fills = [order for order in ledger.orders.values() if order.own and order.filled_quantity]
    return {
        "version": 1, "at": now.isoformat(timespec="seconds"),
        "limits": core.settings.limits.model_dump(mode="json"),
        "program": __version__, "account_tail": profile.account_tail,
        "mode": profile.mode, "language": trader.bot.language, "phase": phase_word(trader),
        "session": core.session and [core.session.open.isoformat(), core.session.close.isoformat()],
        "level": ledger.level.name,
        "holds": _status_of_holds(core, trader.bot.language),
        "symbols": symbols, "orders": [_status_of_order(order) for order in open_orders],
        "unknown": sum(order.status in UNKNOWN_OUTCOME for order in open_orders),
        "cash_krw": ledger.cash_krw, "equity_krw": equity,
        "day": {
            "realised_krw": today.net_krw, "open_krw": opened, "result_krw": result,
            "result_pct": round(100 * result / (equity - result), 2) if equity > result else 0.0,
            "fees_krw": today.fees_krw, "taxes_krw": today.taxes_krw,
            "entries": sum(order.intent.purpose == "entry" for order in fills),
            "exits": sum(order.intent.purpose == "exit" for order in fills),
            "limit_krw": day_loss_limit(limits, core.morning_equity_krw()),
        },
        "feed": {
            "connected": trader.broker.socket.up, "sessions": trader.broker.socket.sessions,
            "age_s": min(ages, default=None),  # of the newest trade of all stocks
            "registered": len(trader.broker.socket.registrations),
            "refused": len(trader.broker.socket.refused),
            "trades": trader.counts["Trade"], "quotes": trader.counts["Quote"],
            "bad": trader.counts["bad frames"], "lost": trader.inbox.lost,
        },
        "queues": {
            "calls": trader.bridge.calls.qsize(), "telegram": len(trader.bridge.telegram.outbox),
            "log": sum(each.beside.waiting for each in logs), "log_dropped": sum(e.dropped for e in logs),
        },
        "token": {"left_s": trader.broker.auth.left_s},
        **trader.broker.rest.told(),
        "messages": list(trader.bridge.messages)[-20:],
        "preparing": dict(zip(("done", "of", "left_s"), trader.morning.progress, strict=True)),
        "process": _status_of_process(trader),
    }  # fmt: skip


def _status_of_holds(core: Core, language: str) -> list[dict[str, Any]]:
    """Return what holds entries back, in all stocks and in single ones, in the user's words."""
    found: list[dict[str, Any]] = []
    for symbol in core.symbols:
        for reason, detail in holds_of(core, symbol).items():
            scope = symbol if HOLDS[reason].scope == "stock" else "all"
            if scope == "all" and any(each["reason"] == reason for each in found):
                continue
            said = HOLDS[reason].en if language == "en" else HOLDS[reason].ko
            detail = detail if language == "en" else in_korean(detail)
            since = core.holds.get(reason)
            found.append({
                "reason": reason, "scope": scope, "since": since and since.isoformat(),
                "text": f"{said} ({detail})" if detail else said,
            })  # fmt: skip
    return found


def _status_of_symbol(trader: Trader, symbol: str, now: datetime) -> dict[str, Any]:
    core = trader.engine.core
    state, position = core.symbols[symbol], core.ledger.position(symbol)
    trade, instrument, plan = state.last_trade, state.instrument, position.plan
    base = instrument.base_price if instrument else 0
    price = trade.price if trade else (instrument.last_price if instrument else 0)
    gain = round(price * position.quantity - position.cost) if price else 0
    return {
        "symbol": symbol, "price": price,
        "age_s": round((now - trade.ts_exchange).total_seconds(), 1) if trade else None,
        "prev_close": base, "change_pct": round(100 * (price / base - 1), 2) if base else 0.0,
        "position": position.quantity, "average": round(position.average_price, 2),
        "stop": plan.stop_price if plan else 0, "target": plan.target_price if plan else 0,
        "gain_krw": gain, "exiting": position.exit_reason, "halted": state.halted,
        "gain_pct": round(float(100 * gain / position.cost), 2) if position.cost else 0.0,
        "blocked": instrument.blocked if instrument else "",
        "name": trader.bridge.name(symbol).removeprefix(symbol),  # "" where nobody knows one
        "book": trader.broker.decoder.books.get(symbol),
    }  # fmt: skip


def _status_of_order(order: Order) -> dict[str, Any]:
    intent = order.intent
    return {
        "intent": intent.intent_id, "number": order.order_no, "symbol": intent.symbol,
        "side": intent.side.value, "quantity": intent.quantity, "filled": order.filled_quantity,
        "price": order.price, "state": order.status.value, "at": order.since.isoformat(),
        "own": order.own,
    }  # fmt: skip


def _status_of_process(trader: Trader) -> dict[str, Any]:
    """Return memory and disk; a system without /proc tells no memory."""
    memory_mb = 0.0
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory_mb = round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    journal_mb = 0.0
    with contextlib.suppress(OSError):
        path = trader.journal.path  # beside it stands what is not yet in it
        files = path.parent.glob(f"{path.name}*")
        journal_mb = round(sum(file.stat().st_size for file in files) / 1e6, 1)
    return {"memory_mb": memory_mb, "journal_mb": journal_mb}


class StatusFile:
    """How it is now, for readers outside the process: `status.json` in the state folder.

    Written at most once a second by a thread of its own, whole or not at all, for the owner only.
    A disk that hangs holds this thread and nothing else: what cannot be taken is left out.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / STATUS_FILE
        self._beside = Beside("status")
        self._began_s = time.monotonic()

    def show(self, trader: Trader) -> None:
        """Hand the present status over; returns at once."""
        if self._beside.waiting:
            return
        status = status_of(trader)
        status |= {"pid": os.getpid()}
        status["process"]["uptime_s"] = round(time.monotonic() - self._began_s)
        text = json.dumps(status, ensure_ascii=False)
        self._beside.begin(functools.partial(write_private, self._path, text))


PHONE_USERS = "telegram-users.json"  # in the state folder: who paired


class Phone:
    """What the words of the owner do: asked, down at once, after a tap, or with a code."""

    def __init__(self, trader: Trader) -> None:
        self._trader, self._codes = trader, PhoneCodes()
        self._korean = trader.bot.language == "ko"
        self._asked: asyncio.Queue[tuple[Said, int]] = asyncio.Queue(3)  # to be worked out
        self._users_file = trader.journal.path.parent / PHONE_USERS

    async def run(self) -> None:
        """Send alerts and hear words until cancelled; what an earlier process heard is over."""
        telegram, bridge = self._trader.bridge.telegram, self._trader.bridge
        bridge.tell_again()
        telegram.obey, telegram.on_told = self.obey, bridge.note_told
        telegram.language, telegram.on_paired = self._trader.bot.language, self._paired
        telegram.users |= self._users_of_before()
        if telegram.hears and not telegram.users:
            telegram.pairing = f"{secrets.randbelow(1_000_000):06d}"
            said = f"/start {telegram.pairing}"
            how = self._say(f"휴대폰 연결: 봇과의 대화방에 {said} 를 보내십시오",
                f"to pair the phone send {said} to the bot")  # fmt: skip
            log.warning("%s", how)
            bridge.messages.append(f"{bridge.clock.now():%H:%M:%S} {how}")  # for a screen
        async with asyncio.TaskGroup() as group:
            if telegram.hears:
                group.create_task(self._answer_asked())
            group.create_task(telegram.run())
            group.create_task(bridge.doors.run(self._trader.watchdog))

    def _users_of_before(self) -> frozenset[int]:
        try:
            users = json.loads(self._users_file.read_text("utf-8"))
        except (OSError, ValueError):
            return frozenset()
        return frozenset(each for each in users if type(each) is int)

    def _paired(self, user: int) -> None:
        write_private(self._users_file, json.dumps(sorted(self._trader.bridge.telegram.users)))
        log.warning("%s", self._say(f"휴대폰이 연결되었습니다 (텔레그램 사용자 {user})",
            f"the phone is paired (Telegram user {user})"))  # fmt: skip

    def obey(self, word: PhoneWord) -> Answer:
        """Do a word, once its proof is there, and return the answer."""
        if word.command == "yes":
            return self._prove(word)
        known = _WORD_OF.get(word.command)
        if known is None or "phone" not in known.doors:
            return hint_for(word.command, self._korean)
        values = [
            self._code_of(value) if form.strip("[]").startswith("STOCK") else value
            for form, value in itertools.zip_longest(known.arguments, word.arguments, fillvalue="")
            if value
        ]
        said = read_words((known.name, *values))
        if not isinstance(said, Said):
            usage = known.usage(self._trader.bot.language)
            ko, en = f"이렇게 쓰십시오: /{usage}", f"write: /{usage}"
            stock = values[0].partition("=")[0] if values else ""
            if "STOCK" in "".join(known.arguments[:1]) and not stock.isascii():
                ko, en = f"{stock}: 모르는 종목입니다. {ko}", f"no stock {stock} is known. {en}"
            return Answer(self._say(ko, en))
        if known.danger is Danger.ASK:
            return self._tell(said, word.user)
        return self._act(said, word)

    def _code_of(self, text: str) -> str:
        """Return the code of a stock that was named, or the text itself."""
        bridge = self._trader.bridge
        known = bridge.names | {each: bridge.name(each) for each in bridge.engine.core.symbols}
        text, equals, answer = text.partition("=")  # of /levels
        names = {code: name.replace(" ", "").lower() for code, name in known.items()}
        exact = [code for code, name in names.items() if name == text.lower()]
        partly = [code for code, name in names.items() if text.lower() in name]
        partly = [code for code in partly if code in self._trader.bot.symbols] or partly
        # /sell 하이닉스: only one has it; of many 삼성 the traded one
        found = exact or ([] if text.isascii() else partly)
        code = found[0] if len(found) == 1 else text.upper() if text.isascii() else text
        return code + equals + answer.lower()

    def _prove(self, word: PhoneWord) -> Answer:
        """Do what was asked before, when its code came back; what takes risk on is never tapped."""
        if not word.arguments:
            return Answer(self._say("이렇게 쓰십시오: /yes 번호", "write: /yes CODE"))
        said = self._codes.take(word.user, " ".join(word.arguments), _loop_time())
        if said is None or (word.tapped and said.word.danger is Danger.UP):
            return Answer(self._say(
                "번호가 맞지 않거나 60초가 지났습니다. 처음부터 다시 하십시오", "wrong or old code: start again"
            ))  # fmt: skip
        return self._act(said, word, proved=True)

    def _act(self, said: Said, word: PhoneWord, proved: bool = False) -> Answer:
        bridge, danger = self._trader.bridge, said.word.danger
        if danger is Danger.UP and (trouble := bridge.telegram.trouble):
            told = f"지금은 할 수 없습니다: {in_korean(trouble)}"
            return Answer(self._say(told, f"not now: {trouble}"))
        if danger is not Danger.DOWN and not proved:
            return self._ask_proof(said, word.user)
        what = {"user": word.user, "command": said.word.name, "arguments": list(said.values)}
        try:
            bridge.execute([Record("phone", str(word.update_id), what)])
            return self._do(said)
        except JournalError as error:
            log.error("/%s of the phone cannot be written down: %s", said.word.name, error)
            return Answer(self._say(
                "저널에 적을 수 없어 실행하지 않았습니다", "not done: it cannot be written down"
            ))  # fmt: skip

    def _ask_proof(self, said: Said, user: int) -> Answer:
        """Ask for a tap, or for a code that is sent back."""
        if not (code := self._codes.issue(user, said, _loop_time())):
            return Answer(self._say("15분 동안 잠겨 있습니다", "locked for 15 minutes"))
        yes = f"/yes {code}"
        named, *more = (*map(self._trader.bridge.name, said.values), "")
        does = f"{named}: {self._say(said.word.ko, said.word.en)}".removeprefix(": ")
        if said.word.name in ("flatten", "sell"):
            held = self._trader.bridge.held(*said.values)
            does += f" ({held or self._say('보유 없음', 'nothing is held')})"
        if said.word.danger is Danger.CONFIRM:
            face = self._say("네, 실행합니다", "yes, do it")
            ask = self._say("60초 안에 누르십시오", "tap within 60 s")
            return Answer(f"⚠ {does}\n{ask}", ((face, yes),))
        if said.word.name == "buy":
            shares, price = more[0], self._say("현재가 부근", "a limit near the market")
            if more[1]:
                price = f"{int(more[1]):,}{self._say('원', ' won')}"
            does = self._say(f"{named} {shares}주를 {price}에 삽니다. 손절·목표가는 없습니다",
                f"buys {shares} {named} at {price}, without stop or target")  # fmt: skip
        ask = self._say("60초 안에 보내십시오", "within 60 s send")
        return Answer(f"{does}\n{ask}: {yes}")

    def _do(self, said: Said) -> Answer:
        """Obey, and say what came of it: only what the broker confirmed is told as done."""
        trader, name, told = self._trader, said.word.name, self._trader.bridge.said
        before = told["error"], told["refused"]
        trader.obey(said, f"phone /{name}")
        if name == "notify":
            return Answer(*noise_answer(trader.bridge.noise, self._korean))
        failed = before != (told["error"], told["refused"])
        done = DONE.get("" if failed else name, ("✓ 답을 전했습니다", "✓ taken"))
        level = trader.engine.core.ledger.level.name
        told_here = self._trader.bridge.telegram.said_by_whom_it_tells("phone /")
        urgent = before[0] != told["error"] and told_here  # stands in the chat already
        why = trader.bridge.messages[-1][9:] if failed and not urgent else ""  # behind its time
        text = done[not self._korean].format(level=self._say(LEVEL_WORDS[level], level), why=why)
        return Answer(text.rstrip(), self._next(name))

    def _say(self, korean: str, english: str) -> str:
        return korean if self._korean else english

    def _next(self, name: str) -> tuple[tuple[str, str], ...]:
        steps = NEXT_STEPS.get(name, ())
        return tuple((BUTTON_WORDS[each] if self._korean else each, f"/{each}") for each in steps)

    def _tell(self, said: Said, user: int) -> Answer:
        """Answer a question: out of the status at once, out of the journal when it is worked out."""
        name = said.word.name
        if name == "status":
            text = phone_status(status_of(self._trader), self._korean)
            return Answer(text, self._next(name))
        if self._asked.full():
            return Answer(self._say(
                "앞의 답을 만들고 있습니다. 잠시 뒤 다시 물어보십시오",
                "still working on the answer before: ask again",
            ))  # fmt: skip
        self._asked.put_nowait((said, user))
        return Answer()

    async def _answer_asked(self) -> NoReturn:
        """Have one question after another worked out."""
        journal, settings = self._trader.journal.path, self._trader.bot
        while True:
            said, user = await self._asked.get()
            name = said.word.name
            found = await work_out(journal, settings, name, *said.values)
            if isinstance(found, dict):
                photo = base64.b64decode(found.get("photo", ""))
                answer = Answer(str(found.get("text", "")), self._next(name), photo)
            else:
                more = " ".join(f"/{w.name}" for w in COMMANDS.values() if w.danger != Danger.ASK)
                answer = Answer(self._say(
                    f"/{name}의 답을 만들지 못했습니다 (companions 폴더가 봇 파일 옆에 있어야 합니다). "
                    f"그 폴더 없이도 됩니다: /status {more}",
                    f"no answer to /{name} (it needs the folder companions beside the bot's file). "
                    f"Without it: /status {more}",
                ))  # fmt: skip
            self._trader.bridge.telegram.reply(answer, user)


class Teller:
    """Tells people what no event tells: the wait for a session, trouble, the evening, the end."""

    def __init__(self, trader: Trader) -> None:
        self._trader, self._bridge, self._broker = trader, trader.bridge, trader.broker
        self._core, self._alarms = trader.engine.core, Alarms()
        self._told_day = self._morning_of = date.min  # the session whose waiting was told
        self._sessions_before = 0  # of the feed, before this day

    def wait(self, now: datetime, session: Session) -> None:
        """Say once why nothing is traded now and when the next session is."""
        if session.day == self._told_day:
            return
        self._told_day = session.day
        following, today = f"{session.open:%Y-%m-%d %H:%M}", session_of(now.date())
        if session.day == now.date():
            start = f"{session.open - START_BEFORE_OPEN:%H:%M}"
            self._bridge.tell("before_start", start=start, next=f"{session.open:%H:%M}")
        elif today:
            held = self._bridge.held() if self._core.settings.flat_at else ""
            late = f"; should have been sold: {held}" if held else ""
            self._bridge.tell("session_over", next=following, held=late)
        else:
            why = f"{now:%A}" if now.weekday() > 4 else "holiday"
            self._bridge.tell("closed_day", why=why, next=following)

    def look(self) -> None:
        """Show the alarms what is wrong now, and tell what they decide."""
        core, now, standing = self._core, self._bridge.clock.now(), dict(self._broker.troubles)
        recorder, inbox, rest = self._bridge.recorder, self._trader.inbox, self._broker.rest
        off = self._trader.doubt.doubts()
        if off is not ("clock" in core.holds):
            self._bridge.feed(Command("hold" if off else "release", now, text="clock"))
        if rest.clock_off and self._trader.bot.market_clock is None:
            standing["clock"] = f"this clock is {rest.clock_offset_s:.0f} s off the broker's"
        if trouble := rest.trouble:
            standing["broker"] = f"KIS cannot be reached: {trouble}"
        age_s = (now - core.list_asked_at).total_seconds()
        if "old order list" in core.holds and age_s > LIST_MAX_AGE_S:
            standing["list"] = f"no order list for {age_s / 60:.0f} min"  # 5 at least, see ALARMS
        standing |= {**dict(self._broker.socket.troubles()), **dict(self._of_stocks())}
        standing |= self._bridge.doors.troubles
        if trouble := self._bridge.telegram.trouble:
            standing["telegram"] = trouble
        if recorder:
            recorder.flush()
            if recorder.broken:
                standing["recording"] = recorder.broken
        if inbox.lost:
            standing["slow"] = f"this computer is too slow: {inbox.lost} frames lost"
        held = self._bridge.held() if "broker" in standing else ""
        unguarded = f"; not guarded: {held}" if held else ""
        alerts = self._alarms.look(now, standing, self._awake(now), unguarded)
        if alerts:
            self._bridge.execute(alerts)

    def _of_stocks(self) -> Iterator[tuple[str, str]]:
        """Return what is wrong with single stocks."""
        silent, quiet = self._trader.silence.missing, dict[str, list[tuple[str, str]]]()
        for symbol, state in self._core.symbols.items():
            name, quantity = self._bridge.name(symbol), state.view.position.quantity
            if state.halted and quantity:
                yield f"halted {symbol}", f"trading halted: {name} {quantity:,}"
            if (at := silent.get(symbol)) and f"{self._trader.silence.heard(symbol):%H:%M:%S}" < at:
                key = f"silent {symbol}" if quantity else "silent"
                quiet.setdefault(key, []).append((at, name))  # a blind stop stands for itself
        for key, found in quiet.items():
            names, last = [name for _, name in found], max(found)[0]
            more = f" +{len(names) - 5}" if len(names) > 5 else ""
            yield key, f"no trades of {', '.join(names[:5])}{more} come, KIS had one at {last}"

    def _awake(self, now: datetime) -> bool:
        """Tell whether this is an hour of alarms: from the preparation to the close.

        With shares or orders left a while longer: as long as something can be done about them.
        """
        session = self._core.session
        if session is None or "clock" in self._core.holds:  # an hour that may be wrong says nothing
            return session is not None
        exposed = has_exposure(self._core.ledger)
        end = session.close + (END_AFTER_CLOSE if exposed else timedelta())
        return session.open - START_BEFORE_OPEN <= now < end  # of its own day

    def morning(self) -> None:
        """Tell once a day, when the feed is up, what holds today and what is armed."""
        core, session, ledger = self._core, self._core.session, self._core.ledger
        if session is None or session.day == self._morning_of:
            return
        self._morning_of = session.day
        limits, profile = core.settings.limits, self._trader.profile
        self._bridge.tell(
            "morning", day=f"{session.day}", mode=profile.mode, account=profile.account_tail,
            hours=f"{session.open:%H:%M}–{session.close:%H:%M}", level=ledger.level.name,
            cash="?" if "account" in core.holds else ledger.cash_krw, order=limits.max_order_krw,
            loss=day_loss_limit(limits, core.morning_equity_krw()),
            lines=morning_lines(core, self._bridge.name),
        )  # fmt: skip

    async def evening(self, figures: Mapping[str, Any]) -> None:
        """Report the day, with the difference of its costs to the broker's own figures."""
        digest = self._trader.engine.digest.hexdigest()
        self._bridge.execute([Record("day", figures["day"], {**figures, "digest": digest})])
        theirs, realized, day = None, None, figures["day"]
        if not self._trader.stopping():
            try:
                theirs = (await self._broker.orders.balance()).fees_today_krw
                today = self._bridge.clock.now().date()
                realized = await self._broker.orders.realized_today(today)
            except AskFailed as error:
                log.warning("the broker's figures of the day could not be read: %s", error)
        session, now = self._core.session, self._bridge.clock.now()
        following = "-"
        with contextlib.suppress(BadData):  # the last day of the calendar
            ahead = session_ahead(max(now, session.close) if session else now)
            self._told_day, following = ahead.day, f"{ahead.open:%Y-%m-%d %H:%M}"
        costs_off = None if theirs is None else theirs - figures["fees"] - figures["taxes"]
        worth = self._core.ledger.positions.items()
        equity = figures["cash"] + sum(self._core.fresh_price(s) * p.quantity for s, p in worth)
        result = self._core.day_result_krw()  # as the status and the limit have it
        before = equity - result
        if before <= 0 and not figures["trades"]:
            return  # ended before the account was read: nothing is known to report
        shown = {
            **figures, "net": f"{figures['net']:+,}", "result": f"{result:+,}", "equity": equity,
            "percent": f"{100 * result / before:+.2f}" if before > 0 else "-", "next": following,
            "positions": self._bridge.held() or "nothing", "month": f"{self._month(day):+,}",
            "lines": self._lines(figures, costs_off, realized),
        }  # fmt: skip
        self._bridge.tell("day_report", **shown)
        trader, telegram = self._trader, self._bridge.telegram
        if telegram.hears and not trader.stopping() and self._bridge.noise["report"] != "off":
            found = await work_out(trader.journal.path, trader.bot, "evening")
            telegram.reply(Answer(photo=base64.b64decode((found or {}).get("photo", ""))))

    def _month(self, day: str) -> int:
        """Return the result of the month so far, won; the last report of a day counts."""
        days = {row.ref: json.loads(row.body)["net"] for row in self._bridge.journal.rows("day")}
        return sum(net for each, net in days.items() if each[:7] == day[:7])

    def _lines(
        self, figures: Mapping[str, Any], costs_off: int | None, realized: int | None
    ) -> list[Alert]:
        """Return the lines of an evening: round trips, stocks, refused wishes, feed, doubts.

        `costs_off` are the broker's costs less ours, `realized` is his figure; None: not known.
        """
        lines, rounds, refusals = list[Alert](), list[tuple[str, int]](), Counter[str]()
        stocks, counts = Counter[str](), Counter[str]()
        for row in self._bridge.journal.rows("alert", "refusal", since=figures["day"]):
            body = json.loads(row.body)
            if row.kind == "refusal":
                refusals[body["code"]] += 1
            elif row.ref == "round_closed":
                name, gain = self._bridge.name(body["symbol"]), int(body["gain"].replace(",", ""))
                rounds.append((name, gain))
                stocks[name] += gain
                counts[name] += 1
        if rounds:
            best, worst = (pick(rounds, key=lambda each: each[1]) for pick in (max, min))
            won = sum(gain > 0 for _, gain in rounds)
            lines.append(Alert("rounds_line", {
                "count": len(rounds), "won": won, "lost": len(rounds) - won,
                "best": f"{best[0]} {best[1]:+,}", "worst": f"{worst[0]} {worst[1]:+,}",
            }))  # fmt: skip
        for name, gain in stocks.most_common() if len(stocks) > 1 else ():
            lines.append(Alert("stock_line", {
                "symbol": name, "gain": f"{gain:+,}", "count": counts[name],
            }))  # fmt: skip
        if refusals:
            most = refusals.most_common()
            each = [Alert("refusal_line", {"code": code, "count": n}) for code, n in most]
            lines.append(Alert("refusals_line", {"count": refusals.total(), "lines": each}))
        sessions = self._broker.socket.sessions - self._sessions_before
        self._sessions_before += sessions
        lines.append(Alert("feed_line", {
            "trades": figures["trades"], "bars": figures["bars"], "sessions": sessions,
        }))  # fmt: skip
        states = self._core.symbols.items()
        mute = ", ".join(self._bridge.name(s) for s, state in states if state.last_trade is None)
        if mute and self._trader.counts["Trade"]:
            lines.append(Alert("mute_line", {"what": mute}))
        if costs_off:
            lines.append(Alert("costs_line", {"difference": costs_off}))
        if realized is not None:
            lines.append(Alert("realized_line", {"realized": f"{realized:+,}"}))
        return lines + [Alert("standing_line", {"what": what}) for what in self._alarms.end_day()]

    def goodbye(self, why: str) -> None:
        """Tell that the program ends, also when that cannot be written any more."""
        errors = errors_of(sys.exception())
        left = left_behind(self._core.ledger, self._bridge.late, self._bridge.name)
        why = ("; ".join(map(_named_error, errors)) or why) + left
        keys = [f.key for each in errors if isinstance(each, KeysRefused) for f in each.faults]
        try:
            if keys:
                self._bridge.tell("keys_refused", what=", ".join(keys), held=left)
            else:
                self._bridge.tell("stopped", why=why)
        except JournalError as error:
            self._bridge.say(Alert("stopped", {"why": f"{why}; {error}"}))


class Trader:
    """Runs one account: prepares a day, feeds the engine, carries out its actions, ends the day."""

    def __init__(
        self, settings: Settings, strategy: TradingStrategy, services: Services, past: Past
    ) -> None:
        self.settings, self.bot, self.profile = settings, settings.bot, settings.profile
        self.clock, self.journal = services.clock, services.journal
        self.recorder, self.watchdog = services.recorder, Watchdog()
        self.broker = Broker(self.profile, self.bot, services)
        self.bridge = Bridge(settings, self.bot, strategy, services, past, self.broker.want)
        self.engine, self.feed, self.tell = self.bridge.engine, self.bridge.feed, self.bridge.tell
        self._stop = asyncio.Event()
        self.stopping = self._stop.is_set
        self.morning = Morning(self.bridge, self.broker, self._stop, self._wait_until)
        self.inbox, self._controls = Inbox(), services.folder / CONTROL_FILE
        self.counts: Counter[str] = Counter()
        self._why, self._show = "the day is over", services.show_status
        self._bad_frame_logged_s = self._next_wall_second_s = -math.inf
        self._bars_before = 0  # bars closed before this day
        self._journal_end = past.end
        self.doubt = ClockDoubt(self.clock, self.broker.rest, self.bot.market_clock is None)
        self.bridge.gate.doubts = self.doubt.doubts
        self.broker.agenda.is_held = lambda symbol: symbol in self.engine.core.occupied()
        self.broker.orders.matters = self.engine.core.matters
        self._busy_since: dict[str, float] = {}  # loop time at which a call or question began
        self.silence = Silence(self.engine.core, self.broker.market, self.broker.socket, self.clock)
        self._teller = Teller(self)

    # --- days ---

    async def run(self, one_day: bool = False) -> None:
        """Trade day after day until stopped; with `one_day` end after the first day."""
        telegram = asyncio.create_task(Phone(self).run())
        telegram.add_done_callback(_log_death)
        try:
            self.feed(Command("restarted", self.clock.now(), text=self._journal_end))
            self.tell(
                "started", mode=self.profile.mode, account=self.profile.account_tail,
                symbols=len(self.bot.symbols), strategy=type(self.engine.strategy).__name__,
            )  # fmt: skip
            self.watchdog.tell("READY=1")
            while not self._stop.is_set():
                session = await self._next_session(one_day)
                if session is None:
                    break
                await self._trade_day(session)
                if one_day:
                    break
        finally:
            self.watchdog.tell("STOPPING=1")
            self._teller.goodbye(self._why)
            if self.recorder:
                self.recorder.close()
            await self.bridge.telegram.flush(2.0, self.bridge.doors.waiting)
            telegram.cancel()
            await asyncio.gather(telegram, return_exceptions=True)

    def stop(self, why: str) -> None:
        """End the program in an orderly way; may be called from a signal handler, also twice."""
        self._why = why
        self._stop.set()

    async def _next_session(self, one_day: bool) -> Session | None:
        """Return the session to trade, waiting for its morning; None when stopped or not today.

        It looks again and again: a host that starts with a wrong clock sets it soon after.
        """
        told = ""
        while not self._stop.is_set():
            if why := await self.doubt.astray():
                if not told:
                    told = why
                    self.tell("error", what=why)
                await self._pause(60.0)
                continue
            now = self.clock.now()
            session = session_ahead(now)
            left = (session.open - START_BEFORE_OPEN - now).total_seconds()
            if left <= 0:
                return session
            self._teller.wait(now, session)
            if one_day and session.day != now.date():
                self._why = "no session now"
                break
            await self._pause(left)
        return None

    async def _wait_until(self, moment: datetime) -> None:
        while not self._stop.is_set() and (left := (moment - self.clock.now()).total_seconds()) > 0:
            await self._pause(left)

    async def _pause(self, market_seconds: float) -> None:
        self._read_control()
        self._each_wall_second()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(market_seconds / self.clock.speed, 10.0)):
                await self._stop.wait()

    async def _trade_day(self, session: Session) -> None:
        """Run the loops of one day. A loop that ends by an error ends the program."""
        socket = self.broker.socket
        self.counts.clear()
        self.silence.missing.clear()  # of the day before
        self.inbox.lost = 0
        if self.recorder:
            self.recorder.begin_day(self.clock.now())
        self._bars_before = self.engine.bars_closed
        self.broker.begin_day(session.day)
        socket.deliver, socket.on_change = self.inbox.put, self._on_feed
        socket.expects_data, socket.missed = self.engine.expects_data, self.silence.any
        async with asyncio.TaskGroup() as group:
            steady = self._pump(), self._timer(), self._call_lane()
            loops: list[asyncio.Task[Any]] = [group.create_task(each) for each in steady]
            if await self.morning.prepare(session):
                socket.registrations = registrations_of(self.profile, self.engine.core.symbols)
                questions = self._prices(), self._questions("orders", "cash", "holdings")
                loops += [group.create_task(each) for each in questions]
                guard = has_exposure(self.engine.core.ledger)
                if not guard:
                    await self.morning.warm_up(session)
                feed = socket.run(), self.silence.run()
                loops += [group.create_task(each) for each in feed]
                if guard:  # stops are watched before a strategy is warm
                    loops.append(group.create_task(self.morning.warm_up(session)))
                await self._until_day_over(session)
            await self._wind_down()
            for task in loops:
                task.cancel()
        self._busy_since.clear()
        self.bridge.end_calls()
        self._busy_since["evening"] = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            beat = group.create_task(self._beat())
            await self._teller.evening(self.summary())
            beat.cancel()
        self._busy_since.clear()

    def _on_feed(self, up: bool, why: str) -> None:
        self.feed(Command("feed up" if up else "feed down", self.clock.now()))
        if up:
            self.broker.troubles.pop("feed", None)
            self.tell("feed_back", count=why)
            self._teller.morning()
        else:
            self.broker.troubles["feed"] = f"realtime feed lost: {why}"

    # --- the loops ---

    async def _pump(self) -> NoReturn:
        """Decode frames and feed them, notices first; yield to others after each batch."""
        while True:
            frames = await self.inbox.batch()
            self.bridge.handle(TimeEvent(self.clock.now()))
            for stamp_ns, frame in frames:
                if self.recorder:
                    self.recorder.frame(stamp_ns, self.broker.socket.sessions, frame)
                try:
                    events = self.broker.decoder.decode(frame)
                except BadData as error:
                    self._count_bad_frame(error)
                    continue
                for event in events:
                    self.counts[type(event).__name__] += 1
                    self.bridge.handle(event)
                if not self.bridge.calls.empty():
                    await asyncio.sleep(0)  # an order does not wait for the rest of the batch
            await asyncio.sleep(0)

    def _count_bad_frame(self, error: BadData) -> None:
        self.counts["bad frames"] += 1
        now = asyncio.get_running_loop().time()
        if now - self._bad_frame_logged_s >= 60.0:
            self._bad_frame_logged_s = now
            log.warning("bad frames so far: %d; the last: %s", self.counts["bad frames"], error)

    async def _timer(self) -> NoReturn:
        """Move the engine's time on, once a market second but at most 50 times a second."""
        loop, market = asyncio.get_running_loop(), self.clock.now()
        last = loop.time()
        while True:  # a blocked loop shows in its own time, a host that slept in the market's
            slept_s = (self.clock.now() - market).total_seconds() / self.clock.speed
            if (gap_s := max(loop.time() - last, slept_s)) > SUSPENDED_S:
                up, why = self.broker.socket.up, "the program was suspended"
                self.feed(Command("feed up" if up else "feed down", self.clock.now(), text=why))
                self.counts["suspended"] += 1
                if self.counts["suspended"] == 1 or gap_s >= SUSPENDED_TOLD_S:
                    self.tell("error", what=f"stood still, or the clock was set, for {gap_s:.0f} s")
            last, market = loop.time(), self.clock.now()
            self.bridge.handle(TimeEvent(self.clock.now()))
            self._read_control()
            self._each_wall_second()
            await asyncio.sleep(max(0.02, 1.0 / self.clock.speed))

    async def _beat(self) -> NoReturn:
        """Look after what may go wrong while the day is reported: its questions take their time."""
        while True:
            self._each_wall_second()
            await asyncio.sleep(1.0)

    def _each_wall_second(self) -> None:
        """Look after what may go wrong; feed the watchdog only while calls and questions get on."""
        now = asyncio.get_running_loop().time()
        if now < self._next_wall_second_s:
            return
        self._next_wall_second_s = now + 1.0
        self._show(self)
        self.bridge.check_journal()
        self._teller.look()
        if gets_on(self._busy_since, now, self.broker.rest.answered_s):
            self.watchdog.tell("WATCHDOG=1")

    def _read_control(self) -> None:
        """Obey commands that the owner left as a file; what cannot be read halts entries."""
        for line in take_words(self._controls):
            reason, said = f"control file: {line[:40]!r}", read_words(line.strip().split(" "))
            if isinstance(said, Said) and said.word.danger is not Danger.ASK:
                self.obey(said, reason)
            else:
                self.tighten_level(KillLevel.REDUCE_ONLY, reason)

    def obey(self, said: Said, reason: str) -> None:
        """Do a word of the owner. The door that it came through has asked for its proof."""
        word, text = said.word, " ".join(said.values)
        if word.event == "notify":
            self.bridge.set_noise(*said.values)
        elif word.event != "level":
            self.feed(Command(word.event, self.clock.now(), text=text or word.text))
        elif word.danger is Danger.UP:
            self.set_level(text or word.text, reason)
        elif word.level is not None:
            self.tighten_level(word.level, reason)

    def set_level(self, name: str, reason: str) -> None:
        self.feed(Command("level", self.clock.now(), text=reason, level=KillLevel[name]))

    def tighten_level(self, level: KillLevel, reason: str) -> None:
        """Move the kill switch up to a level, never down."""
        self.set_level(max(level, self.engine.core.ledger.level).name, reason)

    async def _call_lane(self) -> NoReturn:
        """Make order calls one after another, exits and cancels first."""
        while True:
            _, _, call = await self.bridge.calls.get()
            self._busy_since["call"] = asyncio.get_running_loop().time()
            self.bridge.under_way = call
            veto = functools.partial(self.bridge.veto, call)
            if call.action == "new":
                answer = await self.broker.orders.submit(call.intent, veto)  # <- orders leave here
            else:
                answer = await self.broker.orders.change(call, veto)
            self.bridge.under_way = None
            self.feed(OrderAnswered(call.intent.intent_id, answer, self.clock.now()))
            self.bridge.calls.task_done()
            del self._busy_since["call"]

    async def _questions(self, *kinds: Question) -> NoReturn:
        """Put questions of some kinds to the broker, one at a time."""
        while True:
            busy = bool(self.engine.core.ledger.open_orders())
            await self._put(await self.broker.next_question(kinds, busy), kinds[0])

    async def _prices(self) -> NoReturn:
        """Put price questions side by side: one that hangs holds no other."""
        async with asyncio.TaskGroup() as group:
            while True:
                ask = await self.broker.next_question(("price",), False)
                group.create_task(self._put(ask, f"price {ask.symbol}"))

    async def _put(self, ask: Ask, lane: str) -> None:
        self._busy_since[lane] = asyncio.get_running_loop().time()
        if seen := await self.broker.answer(ask):
            self.feed(seen)
        del self._busy_since[lane]

    # --- the end ---

    async def _until_day_over(self, session: Session) -> None:
        """Wait for the end of the day or a stop."""
        await self._wait_until(session.close + timedelta(seconds=90))
        ledger, last = self.engine.core.ledger, session.close + END_AFTER_CLOSE
        while ledger.open_orders() and self.clock.now() < last and not self._stop.is_set():
            await self._wait_until(self.clock.now() + timedelta(seconds=1))

    async def _wind_down(self) -> None:
        """Stop entries, let calls under way end, take entries back if the settings say so."""
        self.feed(Command("stop", self.clock.now(), text=self.bot.on_stop))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.5 if self.profile.simulated else TOTAL_TIMEOUT_S):
                await self.bridge.calls.join()

    def summary(self) -> dict[str, Any]:
        """Return the figures of the day; money in won."""
        bars = self.engine.bars_closed - self._bars_before
        return day_figures(self.engine.core.ledger, self.counts["Trade"], bars)


# ======================================================================================
# === 29. COMMAND LINE ===
# ======================================================================================
# Knows: arguments, files, exit codes, the terminal. Exit codes: 0 done, 1 failed, 2 wrong
# arguments, 70 internal error, 74 journal, 75 already running, 78 settings.

EXIT_FAILED, EXIT_INTERNAL, EXIT_JOURNAL, EXIT_RUNNING, EXIT_SETTINGS = 1, 70, 74, 75, 78
EXIT_INTERRUPTED = 130
SETTINGS_NAME, PROGRAM = "kis_devlp.yaml", "kis_realtime_trading.py"
HERE = Path(__file__).resolve().parent
LANGUAGES = ("ko", "en")


# What this file does itself, and the options of each. Every other command line, also one with a
# mistake in it, goes to the folder companions: it tells what is wrong, and prints --help.
OWN_COMMANDS = {
    "--paper": {"--strategy", "--one-day", "--plain"},
    "--live": {"--strategy", "--one-day", "--plain", "--credentials"},
    "--make-pin": {"--credentials"},
    "--acknowledge": {"--credentials"},
}
OF_EVERY_COMMAND = {"--config", "--state", "--language", "--verbose"}


class _OwnParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadData(message)


def own_options(arguments: Sequence[str]) -> argparse.Namespace | None:
    """Return the options of a command of this file; None when they are for companions, or wrong."""
    given = [word.partition("=")[0] for word in arguments if word.startswith("-")]
    commands = [flag for flag in given if flag in OWN_COMMANDS]
    if len(commands) != 1 or len(set(given)) < len(given):
        return None
    if not {*given} <= {*commands, *OWN_COMMANDS[commands[0]], *OF_EVERY_COMMAND}:
        return None
    parser = _OwnParser(add_help=False, allow_abbrev=False)
    for flag in (*OWN_COMMANDS, "--one-day", "--plain", "--verbose"):
        parser.add_argument(flag, action="store_true")
    for flag in ("--config", "--state", "--credentials"):
        parser.add_argument(flag, type=Path)
    parser.add_argument("--strategy")
    parser.add_argument("--language", type=str.lower, choices=LANGUAGES)
    try:
        options = parser.parse_args(arguments)
    except BadData:
        return None
    options.demo, options.speak = False, language_of(options.language or "", options.config)
    return options


def language_of(asked: str, config: Path | None) -> str:
    """Return the language to speak before anything is read: the one asked for, else the settings'."""
    if asked not in LANGUAGES:
        with contextlib.suppress(BotError, OSError, ValueError, AttributeError):
            text = find_settings(config).read_text("utf-8")
            asked = str(parse_yaml(text)[0].get("bot", {}).get("language", ""))
    return asked if asked in LANGUAGES else "ko"


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    options = own_options(given)
    if options is None:
        pairs = itertools.pairwise([*given, ""])
        asked = next((after for flag, after in pairs if flag == "--language"), "")
        speak = language_of(asked, None)
        return run_guarded(argparse.Namespace(speak=speak), lambda _: _run_tools(given, speak))
    return run_guarded(options, _run_mode)


def show_any_letter() -> None:
    """Let a terminal without Korean show the numbers of the letters instead of ending a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run_guarded(options: argparse.Namespace, command: Callable[[argparse.Namespace], int]) -> int:
    """Run a command; turn known errors into a sentence and an exit code."""
    speak = options.speak
    try:
        show_any_letter()
        if signal.getsignal(SIGINT) is signal.SIG_DFL:  # see the first lines of the program
            signal.signal(SIGINT, signal.default_int_handler)
        return command(options)
    except SettingsError as error:
        count = len(error.faults)
        tell(speak, f"{count} fault(s) in the settings; nothing was sent:",
             f"설정에 고칠 곳이 {count}군데 있습니다. 아무것도 보내지 않았습니다.", sys.stderr)  # fmt: skip
        for fault in error.faults:
            print(f"  - {fault.said(speak)}", file=sys.stderr)
        return EXIT_SETTINGS
    except AlreadyRunning as error:
        print(error.said(speak), file=sys.stderr)
        return EXIT_RUNNING
    except JournalError as error:
        tell(speak, f"journal: {error}", f"저널: {error.said('ko')}", sys.stderr)
        return EXIT_JOURNAL
    except BotError as error:
        tell(speak, f"failed: {error}", f"실패: {error.said('ko')}", sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        said = system_words(error)
        tell(speak, f"failed: {said}", f"실패: {said.ko}", sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        tell(speak, "interrupted", "중단했습니다", sys.stderr)
        return EXIT_INTERRUPTED


def tell(language: str, en: str, ko: str, file: Any = None) -> None:
    """Print a text in the language of whoever typed the command."""
    print(ko if language == "ko" else en, file=file, flush=True)


def _run_mode(options: argparse.Namespace) -> int:
    if not options.paper:
        return run_live(options)
    settings, path = load_settings(options, "paper")
    try:
        return run_trader(settings, options)
    except SettingsError as error:  # of the strategy
        faults = of_command_line(options, error.faults)
        raise SettingsError(placed(faults, settings_text(path))) from None


ALONE = Both(
    """\
the folder companions is not beside this file. Alone it does:
  --paper        trade on the paper server; Ctrl-C or SIGTERM ends it
  --live         trade real money; every key must agree
  --make-pin     the pin of the real account, for the settings
  --acknowledge  sign the limits for 24 hours of --live
with --strategy NAME --one-day --credentials FILE --config FILE --state DIR --language ko|en --verbose;
SIGUSR1 ends buying in a bot that runs, SIGUSR2 sells everything.""",
    """\
companions 폴더가 필요합니다. 이 파일 옆에 두십시오. 파일 하나로는 다음만 됩니다.
  --paper        모의투자 서버에서 매매; Ctrl-C로 끝냅니다
  --live         실전 매매; 모든 잠금이 풀려야 시작합니다
  --make-pin     설정에 적을 실전 계좌의 핀
  --acknowledge  한도를 확인하고 24시간 동안 --live를 허락
함께 쓰는 옵션: --strategy NAME --one-day --credentials FILE --config FILE --state DIR --language ko|en --verbose
실행 중인 봇은 SIGUSR1에 신규 매수를 멈추고 SIGUSR2에 모두 팝니다.""",
)


def _run_tools(arguments: Sequence[str], speak: str) -> int:
    """Hand the command line to the folder companions; this file never imports it."""
    tools = HERE / "companions"
    if not tools.is_dir():
        if not {"--help", "-h", "--version"} & {*arguments}:
            raise BotError(ALONE)
        tell(speak, f"{PROGRAM} {__version__}\n{ALONE}", f"{PROGRAM} {__version__}\n{ALONE.ko}")
        return 0
    sys.stdout.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, (SIGINT,))  # until the first lines there
    os.execv(sys.executable, [sys.executable, str(tools), *arguments])


# --- settings and files -----------------------------------------------------------------


READABLE = Both("a readable UTF-8 file", "읽을 수 있는 UTF-8 파일")


def find_settings(given: Path | None) -> Path:
    """Return the settings file. Raises SettingsError naming the places looked at."""
    folders = Path.cwd(), Path(os.path.expanduser("~/KIS/config"))
    places = [given] if given else [folder / SETTINGS_NAME for folder in folders]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    found = Both(f"no settings in {looked}", f"설정 파일이 없음: {looked}")
    expected = Both(
        f"{SETTINGS_NAME}: --setup makes one, or copy kis_devlp.yaml.example",
        f"{SETTINGS_NAME}: --setup으로 만들거나 kis_devlp.yaml.example을 복사하십시오",
    )
    raise wrong_setting("(file)", found, expected)


def settings_text(file: Path) -> str:
    """Return the text of a settings file, of a longer one the beginning. Raises SettingsError."""
    try:
        with file.open(encoding="utf-8-sig") as handle:  # Windows puts a mark first
            return handle.read(MAX_SETTINGS_BYTES + 1)
    except UnicodeDecodeError:
        found = Both("no UTF-8", "UTF-8이 아님(메모장: 다른 이름으로 저장, 인코딩 UTF-8)")
    except OSError as error:
        found = system_words(error)
    raise wrong_setting(str(file), found, READABLE)


def load_settings(
    options: argparse.Namespace, environment: Literal["real", "paper"], need_bot: bool = True
) -> tuple[Settings, Path]:
    """Read the settings file, .env and the environment."""
    path = find_settings(options.config)
    environ = {} if options.demo else dict(os.environ)  # the demo has keys and nobody's phone
    for place in (path.parent / ".env", Path.cwd() / ".env"):
        if place.is_file() and not options.demo:
            beside = dotenv_values(stream=io.StringIO(settings_text(place)))
            environ = {**{key: value or "" for key, value in beside.items()}, **environ}
            break
    text = settings_text(path)
    data, faults = parse_yaml(text)[0], list[Fault]()
    try:
        settings = read_settings(text, environ, environment, need_bot=need_bot)
    except SettingsError as error:  # what else there is to mend is told in the same round
        faults = [*error.faults, *placed(strategy_faults(options, data.get("bot")), text)]
    if data and not is_simulated(data, environment):
        faults += open_files(path, path.parent / ".env", Path.cwd() / ".env")
    refuse(sorted(faults, key=lambda fault: fault.line or math.inf))
    return as_asked(settings, options), path


def as_asked(settings: Settings, options: argparse.Namespace) -> Settings:
    """Return settings with what the command line says in their place.

    Another strategy takes over the parameters that it knows; the rest are those of the first.
    """
    bot = settings.bot
    if options.language:
        bot = bot.model_copy(update={"language": options.language})
    if options.strategy and options.strategy != bot.strategy:
        known: Collection[str] = ()
        with contextlib.suppress(SettingsError):  # told when it is loaded
            known = strategy_class(options.strategy).Parameters.model_fields
        kept = {key: value for key, value in bot.parameters.items() if key in known}
        bot = bot.model_copy(update={"strategy": options.strategy, "parameters": kept})
    return replace(settings, bot=bot)


def load_live_settings(options: argparse.Namespace) -> Settings:
    """Read the settings with the real keys from their own file; paper never opens that file."""
    path, live = find_settings(options.config), options.credentials
    if live is None and os.environ.get("CREDENTIALS_DIRECTORY"):
        live = options.credentials = Path(os.environ["CREDENTIALS_DIRECTORY"]) / "live-keys.yaml"
    if live is None or not live.is_file():
        name = Both(f"a file {LIVE_FILE_PREFIX}NAME.yaml", f"{LIVE_FILE_PREFIX}이름.yaml 파일")
        raise wrong_setting("--credentials", str(live) if live else NOTHING, name)
    refuse(open_files(path, live))
    return as_asked(
        read_settings(settings_text(path), os.environ, "real", settings_text(live)), options
    )


def run_live(options: argparse.Namespace, transport: Transport | None = None) -> int:
    """Trade real money, or prepare two of its keys. Nothing is sent unless all keys agree."""
    settings = load_live_settings(options)
    profile, bot = settings.profile, settings.bot
    if options.make_pin:
        pin = make_pin(profile.account.reveal(), profile.product, secrets.token_hex(8))
        print(f"bot:\n  live_account_pin: '{pin}'")
        return 0
    file = state_folder(options, bot) / "live-acknowledgement.json"
    if options.acknowledge:
        return acknowledge(settings, bot, file)
    acknowledged: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError, TypeError):  # none, or nothing of ours
        acknowledged = dict(json.loads(file.read_text()))
    name, now = options.credentials.name, datetime.now(KST)
    refuse(live_faults(settings, options.live, name, acknowledged, build_hash(), now))
    return run_trader(settings, options, transport)


def acknowledge(settings: Settings, bot: BotSettings, file: Path) -> int:
    """Show account and limits; store the owner's signature when he types them back."""
    tail = settings.profile.account_tail
    wanted = f"REAL MONEY {tail[-2:]}"
    tell(bot.language, f"account {tail}, limits:", f"계좌 {tail}, 한도:")
    for key, value in bot.limits.model_dump().items():
        print(f"  {key}: {value:,}" if isinstance(value, int) else f"  {key}: {value}")
    question = Both(
        f"type {wanted!r} to allow --live for 24 hours with exactly these: ",
        f"이 한도 그대로 24시간 동안 실전 매매를 허락하려면 {wanted!r}(이)라고 입력하십시오: ",
    )
    print(in_language(question, bot.language), end="", flush=True)
    if sys.stdin.readline().strip() != wanted:
        refused = "not acknowledged; nothing was written"
        raise BotError(Both(refused, "입력이 달라 허락하지 않았습니다. 아무것도 쓰지 않았습니다."))
    said = signature(settings.profile, bot.limits, build_hash())
    write_private(file, json.dumps({**said, "at": datetime.now(KST).isoformat()}))
    tell(bot.language, "acknowledged", "허락했습니다. 24시간 동안 유효합니다.")
    return 0


@contextlib.contextmanager
def _users_code() -> Iterator[None]:
    """Tell what goes wrong in the user's own file as a fault of the settings, with its line."""
    try:
        yield
    except (BotError, ValidationError):
        raise
    except (Exception, SystemExit) as error:  # of a line, a constructor; its sys.exit() is no end
        named = isinstance(error, SyntaxError)  # its text names file and line
        found = f"{type(error).__name__}: {error}" if named else _fault_of(error)
        expected = Both("a file that can be read", "오류 없이 읽히는 파일")
        raise wrong_setting("bot.strategy", found, expected) from None


def strategy_class(name: str) -> Any:
    """Return the class of `breakout`, FILE.py:ClassName or FILE.kis.yaml. Raises SettingsError."""
    if name in STRATEGIES:
        return STRATEGIES[name]
    if name.endswith(".kis.yaml"):
        return _class_from_file(HERE / "strategies" / "kis_yaml.py", "KisYaml")
    file, _, class_name = (name, "", "") if name.endswith(".py") else name.rpartition(":")
    return _class_from_file(Path(file), class_name)


def load_strategy(name: str, parameters: Mapping[str, Any]) -> TradingStrategy:
    """Make the strategy of a name. Raises SettingsError."""
    kind = strategy_class(name)
    if name.endswith(".kis.yaml"):
        others = set(kind.Parameters.model_fields) & set(parameters)
        if left := sorted(set(parameters) - others):  # those of another strategy, or a stop
            log.warning("%s does not use these parameters: %s", name, ", ".join(left))
        parameters = {"file": name, **{key: parameters[key] for key in sorted(others)}}
    try:
        with _users_code():
            strategy: TradingStrategy = kind(kind.Parameters.model_validate(dict(parameters)))
        return strategy
    except ValidationError as error:
        faults = model_faults(kind.Parameters, error, "bot", "parameters")
        raise SettingsError(faults) from None


def strategy_faults(options: argparse.Namespace, section: Any) -> Sequence[Fault]:
    """Return what is wrong with the strategy of a section `bot`, as far as one can be read."""
    section = section if isinstance(section, dict) else {}
    name, parameters = section.get("strategy") or "breakout", section.get("parameters") or {}
    try:
        if isinstance(parameters, dict):
            load_strategy(options.strategy or str(name), parameters)
    except SettingsError as error:
        return of_command_line(options, error.faults)
    return ()


def of_command_line(options: argparse.Namespace, faults: Sequence[Fault]) -> list[Fault]:
    """Return faults of a strategy by the name of the option that asked for it, if one did."""
    name = "--strategy" if options.strategy else "bot.strategy"
    return [each._replace(key=name) if each.key == "bot.strategy" else each for each in faults]


def _class_from_file(file: Path, class_name: str) -> type[TradingStrategy]:
    if not file.is_file() or file.suffix != ".py":
        name = f"{file}:{class_name}".removeprefix(".:") if class_name else str(file)
        near = near_words(class_name, STRATEGIES) if file == Path() else []
        known = ", ".join(near or sorted(STRATEGIES))
        expected = Both(
            f"{known}, or FILE.py:CLASS, or FILE.kis.yaml",
            f"{known}, 또는 있는 파일.py:클래스나 파일.kis.yaml",
        )
        raise wrong_setting("bot.strategy", name, expected)
    sys.modules.setdefault("kis_realtime_trading", sys.modules[__name__])
    spec = importlib.util.spec_from_file_location(f"strategy_{file.stem}", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    if (beside := str(file.resolve().parent)) not in sys.path:
        sys.path.append(beside)  # for its own modules; behind ours, so that it hides none
    with _users_code():
        spec.loader.exec_module(module)
    kind = getattr(module, class_name, None)
    if not (isinstance(kind, type) and issubclass(kind, TradingStrategy)):
        kinds = (each for each in vars(module).values() if isinstance(each, type))
        own = (each for each in kinds if each.__module__ == spec.name)
        derived = [each for each in own if issubclass(each, TradingStrategy)]
        there = ", ".join(f"{file}:{each.__name__}" for each in derived)
        expected = Both(there or "FILE.py:CLASS", there or "파일.py:클래스")
        name = f"{file}:{class_name}"
        found = Both(
            f"{name} is no TradingStrategy", f"{name}은(는) TradingStrategy를 상속하지 않음"
        )
        raise wrong_setting("bot.strategy", found, expected)
    refuse(list(_wrong_methods(kind)))
    return kind


METHODS = {  # of a strategy, as they are called
    "__init__": "self, parameters=None", "on_bar": "self, view, bar", "on_trade": "self, view, trade",
    "on_quote": "self, view, quote", "on_fill": "self, view, side, quantity, price",
}  # fmt: skip


def _wrong_methods(kind: type[TradingStrategy]) -> Iterator[Fault]:
    """Yield the methods of somebody's strategy that cannot be called as they will be."""
    for name, wanted in METHODS.items():
        method = getattr(kind, name)
        with contextlib.suppress(TypeError):
            inspect.signature(method).bind(*wanted.split(","))
            if not inspect.iscoroutinefunction(method):
                continue
        code = getattr(method, "__code__", None)
        where = f" in line {code.co_firstlineno}" if code else ""
        expected = Both(f"def {name}({wanted}), no async", f"async 없이 def {name}({wanted})")
        yield Fault("bot.strategy", f"{kind.__name__}.{name}{where}", expected)


def state_folder(options: argparse.Namespace, bot: BotSettings | None) -> Path:
    """Return the folder for journal, token and lock, for a bot made with owner-only rights."""
    given = options.state or os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    folder = Path(given or (bot or NO_SECTION).state_dir)
    if bot:  # who only reads makes none: a mistyped folder would be there the next time
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def journal_path(folder: Path, profile: Profile) -> Path:
    mark = f"{profile.environment}-{profile.account.fingerprint()}"
    return folder / f"journal-{mark}.sqlite3"


# --- trading ----------------------------------------------------------------------------


SIGNALS = {SIGUSR1: "stop", SIGUSR2: "flatten"}  # words of COMMANDS


def lock_of(profile: Profile) -> Secret:
    """Return what one process may hold at a time: the account; one more for each simulator."""
    return Secret(profile.account.reveal() + (profile.rest_url if profile.simulated else ""))


class ScreenBeside:
    """The live screen of a bot started in a terminal: a process beside it that reads status.json.

    A terminal that is held, or a screen that dies, holds nothing up: the log goes to its file, and
    to the terminal again once the screen is gone.
    """

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder = folder
        ends = sys.stdin, sys.stdout, sys.stderr  # None: closed by whoever started us
        terminal = all(each is not None and each.isatty() for each in ends)
        wanted = (options.paper or options.live) and not options.plain and not options.verbose
        self._wanted = wanted and terminal and (HERE / "companions").is_dir()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Open it, once the bot is sure to run."""
        if self._wanted:
            tool = str(HERE / "companions")
            command = [sys.executable, tool, "--screen", "--state", str(self._folder)]
            about = {**os.environ, SCREEN_OF: str(os.getpid())}
            self._process = subprocess.Popen(command, env=about)

    def is_open(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def end(self) -> None:
        """Let it show the report of the day and give the terminal back."""
        if self._process:
            try:
                self._process.wait(SCREEN_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()


def keep_secrets_in() -> None:
    """Let no core dump hold the keys that were read, and no child inherit them with the environment."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in (*ENVIRONMENT_KEYS, *TELEGRAM_KEYS):
        os.environ.pop(name, None)


def run_trader(
    settings: Settings, options: argparse.Namespace, transport: Transport | None = None
) -> int:
    """Run the bot until its end; return its exit code. `transport`: the network of a test."""
    with contextlib.ExitStack() as last:
        trader = start_up(settings, options, last, transport=transport)
        return asyncio.run(trade(trader, options.one_day))


def start_up(
    settings: Settings, options: argparse.Namespace, last: contextlib.ExitStack,
    watched: bool = False, transport: Transport | None = None,
) -> Trader:  # fmt: skip
    """Make the trader of an account, step by step; `last` ends what was begun, in reverse.

    With `watched` the terminal is another's: the log goes to its file alone. What it believes is the
    journal; no byte has left yet. What the broker says comes afterwards:
    Trader.run ("restarted": calls that were under way are UNKNOWN), then Morning.prepare.
    """
    bot, profile = settings.bot, settings.profile
    # 1. No core dump and no child process gets the secrets.
    keep_secrets_in()
    # 2. A folder of the owner's own.
    folder = state_folder(options, bot)
    path = journal_path(folder, profile)
    if not profile.simulated:
        refuse([*open_files(folder, path), *strange_folder(folder)])
    # 3. One process for the account; the terminal is given back when all else has ended.
    screen = ScreenBeside(folder, options)
    last.callback(screen.end)
    last.callback(AccountLock(lock_of(profile), folder).release)
    # 4. The strategy, and a log without secrets that nothing waits for.
    strategy = load_strategy(options.strategy or bot.strategy, bot.parameters)
    level = logging.DEBUG if options.verbose else logging.INFO
    set_up_logging(Redactor(all_secrets(settings)), sys.stderr, level)
    last.callback(log_by_thread(folder / LOG_FILE, (lambda: True) if watched else screen.is_open))
    for warning in strategy.warnings:
        log.warning("%s", in_language(warning, bot.language))
    if strategy.past_days and bot.flat_at:
        log.warning("the strategy judges closed days; flat_at sells before each close")
    # 5. The journal, read once: chain and tip, ledger, what was told and chosen.
    journal = Journal(path)
    last.callback(journal.close)
    past = read_past(journal, Ledger(bot.stock_fee_pct, bot.fund_fee_pct))
    # 6. Smaller limits in the first live days.
    if profile.environment == "real" and not profile.simulated:
        bot = bot.model_copy(update={"limits": ramped_limits(bot.limits, len(past.days))})
        settings = replace(settings, bot=bot)
    # 7. A recording that begins with the rows which the ledger rests on.
    clock = MarketClock(bot.market_clock)
    recorder = start_recorder(settings, options, journal, past, clock.now(), folder)
    # 8. Clients, engine and gate on that ledger, not yet connected.
    services = Services(
        clock, transport or AiohttpTransport(), connect_websocket, journal, folder, recorder,
        StatusFile(folder).show,
    )  # fmt: skip
    trader = Trader(settings, strategy, services, past)
    screen.start()
    return trader


def build_hash() -> str:
    """Return the hash of this file: which program it is."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


def start_recorder(
    settings: Settings, options: argparse.Namespace, journal: Journal, past: Past, now: datetime,
    folder: Path,
) -> Recorder | None:  # fmt: skip
    """Begin a recording with everything a replay needs to start from the same state."""
    bot = settings.bot
    if not bot.record:
        return None

    def header(rows: list[tuple[str, str]]) -> dict[str, Any]:
        return {
            "version": __version__, "build": build_hash(), "rows": rows,
            "environment": settings.profile.environment, "strategy": options.strategy or bot.strategy,
            "settings": bot.model_dump(mode="json"), "journal": journal.path.name,
            "journal_seq": journal.last_seq,
        }  # fmt: skip

    first, most = header(past.since_flat), bot.record_max_mb * 1_000_000
    try:
        recorder = Recorder(folder / "records", now, first, most, bot.record_days)
    except OSError as error:
        log.warning("nothing is recorded: %s", error)
        return None
    recorder.header_of_now = lambda: header(rows_since_flat(journal))
    recorder.secrets = [each for each in all_secrets(settings) if len(each.reveal()) >= 12]
    return recorder


def open_files(*paths: Path) -> list[Fault]:
    """Return a fault for each file and folder that others than its owner may read."""
    return [
        Fault(str(path), Both(f"mode {mode:o}", f"권한 {mode:o}"), f"chmod go-rwx {path}")
        for path in dict.fromkeys(paths)
        if path.exists() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077
    ]


def strange_folder(folder: Path) -> list[Fault]:
    """Return what is wrong with a state folder that others own, or could put another in place of."""
    faults, place = [], folder.resolve()
    if place.stat().st_uid != os.geteuid():
        found = Both("owned by another user", "다른 사용자의 폴더")
        faults.append(Fault(str(folder), found, Both("a folder of your own", "자기 소유의 폴더")))
    for parent in place.parents:
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            found = Both(
                f"everybody may rename it in {parent}", f"{parent}에서는 누구나 이름을 바꿈"
            )
            mend = Both(
                f"chmod o-w {parent}, or another folder", f"chmod o-w {parent}, 또는 다른 폴더"
            )
            faults.append(Fault(str(folder), found, mend))
    return faults


def interrupt_endless_strategy(look_s: float = 5.0) -> None:
    """Raise TimeoutError in a strategy whose one call is seen by two looks in a row, `look_s` apart.

    Its loop would hold up all else: stops, the owner's words, Ctrl-C. Code of C ends by itself.
    """
    seen: list[Any] = [None]

    def look(_: int, frame: Any) -> None:
        inside = None
        while frame and frame.f_code is not Engine._consult.__code__:
            inside, frame = frame, frame.f_back
        theirs = inside and inside.f_code.co_filename != __file__  # not the engine's own work
        if frame and frame is seen[0] and theirs:
            raise TimeoutError(f"no end within {look_s:g} s")
        seen[0] = frame

    signal.signal(SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, look_s, look_s)


async def trade(trader: Trader, one_day: bool) -> int:
    """Run a trader under signal handlers; return the exit code."""
    loop = asyncio.get_running_loop()
    run = asyncio.create_task(trader.run(one_day))
    names = asyncio.create_task(trader.bridge.learn_names())

    def stop(name: str) -> None:
        trader.stop(f"{name} received")
        loop.call_later(2.0 if trader.profile.simulated else 20.0, run.cancel)

    for number in (SIGINT, SIGTERM, SIGHUP):
        if number is not SIGHUP or signal.getsignal(SIGHUP) is not signal.SIG_IGN:  # nohup
            loop.add_signal_handler(number, stop, number.name)
    for number, name in SIGNALS.items():
        loop.add_signal_handler(number, trader.obey, Said(COMMANDS[name]), number.name)
    interrupt_endless_strategy()
    try:
        await run
        return EXIT_JOURNAL if trader.bridge.late else 0
    except asyncio.CancelledError:
        log.warning("stopped before everything under way had ended")
        return 0
    except (Exception, BaseExceptionGroup) as error:
        return _explain_failure(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        names.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):  # its process may hang with a disk
                await asyncio.gather(names, return_exceptions=True)
        await trader.broker.rest.close()


def _explain_failure(group: BaseException) -> int:
    """Log why the bot ended; a known error in one line, anything else with its trace."""
    errors = errors_of(group)
    for error in errors:
        known = isinstance(error, BotError)
        log.critical("%s: %s", type(error).__name__, error, exc_info=None if known else error)
    codes = {JournalError: EXIT_JOURNAL, SettingsError: EXIT_SETTINGS, KeysRefused: EXIT_SETTINGS}
    return max((codes.get(type(e), EXIT_INTERNAL) for e in errors), default=EXIT_INTERNAL)


if __name__ == "__main__":
    exit_code = main()
    signal.signal(SIGINT, signal.SIG_DFL)  # nothing is left to be ended in order
    sys.exit(exit_code)
