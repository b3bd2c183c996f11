"""Facts of the broker and the exchange as data; no code here invents a number of its own."""

from __future__ import annotations

from datetime import date, timedelta, timezone
from typing import NamedTuple

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


def texts(table: str) -> dict[str, str]:
    """Read lines `code text`."""
    return dict(line.split(" ", 1) for line in table.strip().split("\n"))


GATEWAY_TEXT = texts("""
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

WS_TEXT = texts("""
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
