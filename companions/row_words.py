"""What a row of the journal says, in the reader's words: stocks by name, sides and reasons worded.

For the page and `--journal`. Nothing is left out that a person asks about; what only programs need (type
names, the key that the row stands under, empty values) is. A foreign row is shown as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import kis_realtime_trading as bot
from companions.names import with_names

MOST_TEXT = 500
# Korean, English; what a row is about.
KINDS: dict[str, tuple[str, str]] = {
    "alert": ("알림", "message"), "decision": ("판단", "decision"), "intent": ("주문 결정", "intent"),
    "request": ("전송", "request"), "answer": ("응답", "answer"), "notice": ("통보", "notice"),
    "ledger": ("장부", "ledger"), "refusal": ("내지 않은 주문", "refusal"), "hold": ("보류", "hold"),
    "command": ("지시", "command"), "feed": ("시세 연결", "feed"), "instrument": ("종목 정보", "instrument"),
    "bar": ("봉", "bar"), "day": ("하루", "day"), "status": ("거래 상태", "status"), "clock": ("시계", "clock"),
    "stray": ("주인 없는 응답", "stray answer"), "phone": ("휴대폰", "phone"), "told": ("전달됨", "told"),
}  # fmt: skip
WORDS: dict[str, tuple[str, str]] = {
    "event": ("", ""), "outcome": ("", ""),  # what happened stands first, by itself
    "symbol": ("종목", "stock"), "side": ("구분", "side"), "quantity": ("수량", "shares"),
    "price": ("가격", "price"), "reason": ("사유", "reason"), "stop_price": ("손절", "stop"),
    "target_price": ("목표", "target"), "trail_ratio": ("추적", "trail"), "status": ("상태", "state"),
    "order_no": ("주문번호", "order"), "original_no": ("원주문", "original order"),
    "filled_quantity": ("체결", "filled"), "code": ("코드", "code"), "text": ("내용", "text"),
    "note": ("내용", "note"), "numbers": ("내용", "numbers"), "day": ("날짜", "day"), "level": ("단계", "level"),
    "cash_krw": ("현금", "cash"), "cash": ("현금", "cash"), "cash_before_krw": ("직전 주문가능", "cash before"),
    "reserve_krw": ("예약", "reserved"), "amount_krw": ("금액", "amount"),
    "start": ("시작", "from"), "open": ("시가", "open"), "high": ("고가", "high"), "low": ("저가", "low"),
    "close": ("종가", "close"), "volume": ("거래량", "volume"),
    "value_krw": ("거래대금", "value"), "trade_count": ("체결 수", "trades"),
    "average_volume": ("평균 거래량", "average volume"), "highest": ("직전 최고", "highest"),
    "vwap": ("VWAP", "VWAP"), "action": ("요청", "action"),
    "kind": ("종류", "kind"), "purpose": ("목적", "purpose"),
    "trade_date": ("거래일", "day"), "up": ("연결", "connected"), "on": ("걸림", "on"),
    "base_price": ("기준가", "base"), "upper_limit": ("상한가", "upper limit"),
    "lower_limit": ("하한가", "lower limit"), "last_price": ("현재가", "last price"), "name": ("이름", "name"),
    "market": ("시장", "market"), "fund": ("ETF·ETN", "fund"), "blocked": ("주의", "blocked"),
    "orders": ("주문", "orders"), "fills": ("체결", "fills"), "net": ("순손익", "net"),
    "gross": ("매도차익", "gross"), "fees": ("수수료", "fees"), "taxes": ("세금", "taxes"),
    "bars": ("봉", "bars"), "trades": ("시세 체결", "trades"), "positions": ("보유", "held"),
    "equity": ("평가금액", "equity"), "halted": ("거래정지", "halted"), "back_s": ("되돌아간 초", "back s"),
    "gap": ("체결 빠짐", "trades missed"), "waits": ("잔고 확인을 기다림", "waits for the account"),
}  # fmt: skip
ORDER = {key: at for at, key in enumerate(WORDS)}  # of what is said of a row
VALUES: dict[str, str] = {
    "BUY": "매수", "SELL": "매도", "entry": "진입", "exit": "청산", "accepted": "접수", "refused": "거부",
    "fill": "체결", "received": "접수", "confirmed": "확인", "new": "신규", "cancel": "취소", "replace": "정정",
    "cancel sent": "취소 전송", "replace sent": "정정 전송", "cancelled": "취소됨", "filled": "체결",
    "rest cancelled": "잔량 취소", "rejected": "거부됨", "unknown": "결과 불명", "KOSPI": "코스피",
    "KOSDAQ": "코스닥", "True": "예", "False": "아니요", "change": "정정",
}  # fmt: skip
ACTIONS = {"1": "change", "2": "cancel"}  # of a notice, as KIS numbers them
# Kinds of orders, as KIS numbers them (ORD_DVSN). Korean, English.
ORDER_KINDS: dict[str, tuple[str, str]] = {
    "01": ("시장가", "market"), "03": ("최유리지정가", "best limit"), "04": ("최우선지정가", "priority limit"),
    "11": ("지정가 IOC", "limit IOC"), "12": ("지정가 FOK", "limit FOK"), "13": ("시장가 IOC", "market IOC"),
    "14": ("시장가 FOK", "market FOK"), "15": ("최유리 IOC", "best IOC"), "16": ("최유리 FOK", "best FOK"),
}  # fmt: skip
# For programs: the key above says it already, or nobody but the bot can use it.
SILENT = frozenset({
    "type", "at", "intent_id", "branch", "signal", "leg", "digest", "sellable_before", "end", "time",
})  # fmt: skip
COMMAND_WORDS = {
    "start": "시작", "restarted": "다시 시작", "day": "하루 시작", "feed up": "시세 연결", "feed down": "시세 끊김",
    "stop": "매매 종료", "level": "매매 단계", "resolve": "결과 불명 주문의 답", "hold": "보류 시작", "release": "보류 사유 해소",
}  # fmt: skip
WHOLE_DAY = frozenset({"day", "instrument", "feed", "hold", "status"})  # where False says something


def kind_word(kind: str, language: str) -> str:
    """Return what a kind of row is called."""
    return KINDS[kind][language == "en"] if kind in KINDS else kind


def in_words(
    kind: str, ref: str, data: Mapping[str, Any], language: str, names: Mapping[str, str],
    orders: MutableMapping[str, str] | None = None,
) -> str:  # fmt: skip
    """Return a row's body in a few words; an alert as the owner read it.

    `orders` remembers the stock of each order from row to row: its answers and fills do not name it.
    """
    if kind == "alert" and ref in bot.TEXTS:
        try:
            said = bot.say(bot.Alert(ref, dict(data)), language)
            return with_names(said.replace("\n", " · ").replace("· • ", "· "), names)
        except (KeyError, ValueError, IndexError, TypeError):  # of an earlier version, or foreign
            pass
    if kind == "phone" and isinstance(data.get("arguments"), list):
        words = [
            f"/{data.get('command')}",
            *(names.get(each, each) for each in map(str, data["arguments"])),
        ]
        who = f"{'user' if language == 'en' else '사용자'} {data.get('user')}"
        return f"{' '.join(words)} · {who}"[:MOST_TEXT]
    if orders is not None and kind in ("intent", "decision", "refusal") and data.get("symbol"):
        orders[ref] = str(data["symbol"])
    symbol = (orders or {}).get(ref, ref)
    parts = list(_parts(data, language, names, kind in WHOLE_DAY))
    if kind == "hold" and ref in bot.HOLDS:
        parts.insert(0, bot.HOLDS[ref].en if language == "en" else bot.HOLDS[ref].ko)
    elif kind == "command":
        parts.insert(0, ref if language == "en" else COMMAND_WORDS.get(ref, ref))
    elif symbol in names and "symbol" not in str(data):
        parts.insert(0, names[symbol])
    return " · ".join(parts)[:MOST_TEXT]


def _parts(
    data: Mapping[str, Any], language: str, names: Mapping[str, str], false_too: bool
) -> Iterator[str]:
    """Yield `word value` of what a row says: nested values too, nothing empty, no type names."""
    side = str(data.get("side") or "")
    if (
        data.get("symbol") and side in VALUES and data.get("quantity")
    ):  # an order: said as people do
        name, shares = names.get(data["symbol"], data["symbol"]), data["quantity"]
        if language == "en":
            yield f"{name} {side.lower()} {shares:,}"
        else:
            yield f"{name} {shares:,}주 {VALUES[side]}"
        data = {k: v for k, v in data.items() if k not in ("symbol", "side", "quantity")}
    for key, value in sorted(data.items(), key=lambda pair: ORDER.get(pair[0], len(ORDER))):
        if isinstance(value, dict):
            yield from _parts(value, language, names, false_too)
        elif key in SILENT or value in (None, "", []) or (value == -1 and key.endswith("_krw")):
            continue
        elif isinstance(value, bool):
            if value or (false_too and key in ("up", "on", "halted")):
                yield f"{_word(key, language)} {_value(key, str(value), language, names)}"
        elif value != 0 and not (key in ("kind", "action") and str(value) in ("0", "00")):
            yield f"{_word(key, language)} {_value(key, value, language, names)}".lstrip()


def _word(key: str, language: str) -> str:
    if key in WORDS:
        return WORDS[key][language == "en"]
    return key.replace("_", " ")


def _value(key: str, value: Any, language: str, names: Mapping[str, str]) -> str:
    if key.endswith("_ratio") and isinstance(value, int | float):
        return f"{100 * value:g}%"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    text = ACTIONS.get(str(value), str(value)) if key == "action" else str(value)
    if key == "kind" and text in ORDER_KINDS:
        return ORDER_KINDS[text][language == "en"]
    if key == "symbol":
        return names.get(text, text)
    if key == "start":
        return text[11:16]
    if language == "en":
        if key == "code" and text in bot.REFUSAL_WORDS:
            return f"{bot.REFUSAL_WORDS[text][1]} ({text})"
        return {"True": "yes", "False": "no"}.get(text, text)
    return VALUES.get(text) or bot.in_korean(text)


__all__ = ["KINDS", "in_words", "kind_word"]
