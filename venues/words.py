"""What people read of the venues, in two languages: column heads, alerts, findings."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from venues.common import rounded

TEXTS: dict[str, tuple[str, str]] = {
    "title": ("김치 프리미엄", "Kimchi premium"),
    "coin": ("코인", "coin"),
    "upbit_won": ("업비트(원)", "Upbit (won)"),
    "binance_won": ("바이낸스(원)", "Binance (won)"),
    "usdt": ("김프(테더)", "premium (USDT)"),
    "fx": ("김프(은행)", "premium (bank)"),
    "since9": ("09시부터", "since 9"),
    "day": ("24시간", "24 h"),
    "volume": ("대금(억)", "volume (₩100m)"),
    "rank": ("30일 위치", "30 d rank"),
    "note": ("알림", "alert"),
    "high": ("높음", "high"),
    "low": ("낮음", "low"),
    "normal": ("평소 수준", "back to normal"),
    "halted": ("거래 중지", "halted"),
    "parked": ("확인 필요", "to confirm"),
    "held": ("환율 급변", "rate jumped"),
    "stale": ("", ""),
    "bank": ("{source} {rate}원 ({age})", "{source} {rate} won ({age})"),
    "bank_old": ("{source} 환율 오래됨 ({age})", "{source} rate is old ({age})"),
    "age": ("{hours}시간 전", "{hours} h ago"),
    "alert_head": ("[김프] {time}", "[kimchi premium] {time}"),
    "alert_high": (
        "{coin} {figure} 높음 ({name})\n  업비트 {won}원 · 바이낸스 {dollars}원 · KRW-USDT {rate}{more}",
        "{coin} {figure} high ({name})\n  Upbit {won} won · Binance {dollars} won · KRW-USDT {rate}{more}",
    ),
    "alert_low": (
        "{coin} {figure} 낮음 ({name})\n  업비트 {won}원 · 바이낸스 {dollars}원 · KRW-USDT {rate}{more}",
        "{coin} {figure} low ({name})\n  Upbit {won} won · Binance {dollars} won · KRW-USDT {rate}{more}",
    ),
    "alert_normal": ("{coin} {figure} 평소 수준으로 복귀", "{coin} {figure} back to normal"),
    "alert_silent": (
        "{coin} 2분째 값이 없습니다{why}. 그동안 알림도 없습니다",
        "{coin} no figure for two minutes{why}; no alert until it is back",
    ),
    "alert_back": ("{coin} 값이 다시 나옵니다: {figure}", "{coin} has a figure again: {figure}"),
    "more_day": (" · 24시간 {change}", " · 24 h {change}"),
    "more_volume": (" · 거래대금 {volume}억 원", " · ₩{volume}00m traded"),
    "name_usdt": ("테더 기준", "against KRW-USDT"),
    "name_fx": ("은행 환율 기준", "against a bank's rate"),
    "name_parked": (
        "{coin}: 첫 김프가 {figure}입니다. 이름만 같은 다른 코인일 수 있어 멈춰 두었습니다. 맞다면 venues.yaml의 kimchi.confirmed에 적으십시오",
        "{coin}: the first premium was {figure}; it may be another coin of the same name, so it is set aside. If it is right, name it under kimchi.confirmed in venues.yaml",
    ),
    "nothing_yet": ("아직 기록이 없습니다: {path}", "nothing recorded yet: {path}"),
    "no_status": (
        "실행 중인 프로그램이 없습니다: {path}이(가) 없거나 오래되었습니다",
        "nothing is running: {path} is missing or old",
    ),
    "status_head": ("{at} 기준, {age}초 전", "as of {at}, {age} s ago"),
    "line": ("연결", "line"),
    "up": ("정상", "up"),
    "down": ("끊김", "down"),
    "reconnects": ("재연결", "reconnects"),
    "frames": ("수신", "frames"),
    "bad": ("불량", "bad"),
    "last_frame": ("마지막 수신", "last frame"),
    "call": ("호출", "call"),
    "count": ("횟수", "count"),
    "errors": ("오류", "errors"),
    "median": ("중앙값", "median"),
    "p99": ("p99", "p99"),
    "slowest": ("최대", "slowest"),
    "seconds": ("{s}초 전", "{s} s ago"),
    "venue": ("거래소", "venue"),
    "symbol": ("종목", "symbol"),
    "last": ("현재가", "last"),
    "bid": ("매수호가", "bid"),
    "ask": ("매도호가", "ask"),
    "watch_title": ("시세", "Quotes"),
}


def say(code: str, language: str, **values: object) -> str:
    """Return a text by its code."""
    return TEXTS[code][language == "en"].format(**values)


def percent(value: Fraction, places: int = 2) -> str:
    """Return a part of one as per cents with sign."""
    return f"{rounded(value * 100, places):+}%"


def price(value: Fraction) -> str:
    """Return a price with as many places as its size asks for."""
    places = 0 if value >= 1_000 else 2 if value >= 1 else 6
    return f"{rounded(value, places):,f}"


def hundred_millions(won: Decimal) -> str:
    """Return won in units of 억."""
    return f"{rounded(Fraction(won) / 10**8, 0):,}"
