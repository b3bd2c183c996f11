"""What people read of the venues, in two languages: column heads, alerts, findings."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from kis_realtime_trading import Both, OrderStatus
from venues.common import rounded

TEXTS: dict[str, tuple[str, str]] = {
    "upbit": ("업비트", "Upbit"),
    "binance": ("바이낸스", "Binance"),
    "kiwoom": ("키움", "Kiwoom"),
    "h_positionals": ("명령과 값", "commands and values"),
    "h_options": ("옵션", "options"),
    "no_choice": (
        "{typed}: 여기에 쓸 수 있는 말이 아닙니다. 쓸 수 있는 말: {all}.",
        "{typed}: not known here. Known are: {all}.",
    ),
    "no_option": ("{typed}: 그런 옵션은 없습니다.", "{typed}: there is no such option."),
    "is_missing": ("빠진 것: {what}", "missing: {what}"),
    "one_missing": ("다음 중 하나가 필요합니다: {what}", "one of these is needed: {what}"),
    "no_value": ("{what}: 값이 필요합니다.", "{what}: a value is missing."),
    "no_such_value": (
        "{what}: 읽을 수 없는 값입니다: {typed}",
        "{what}: this value cannot be read: {typed}",
    ),
    "not_both": (
        "{what}: {typed} 옵션과 함께 쓸 수 없습니다.",
        "{what}: not together with {typed}.",
    ),
    "ambiguous": (
        "{typed}: 어느 옵션인지 알 수 없습니다: {all}",
        "{typed}: it could be any of {all}",
    ),
    "no_use": (
        "거래소에 물었으나 쓸 수 있는 답이 없습니다: {why}. 주문은 보내지 않았습니다.",
        "A venue gave no answer of use: {why}. No order was sent.",
    ),
    "book_unheard": (
        "{symbol}: 호가가 오지 않았습니다. {why}\n종목 이름이 맞습니까? 업비트 KRW-BTC, 바이낸스 BTCUSDT, 키움 005930처럼 씁니다.",
        "{symbol}: no book came. {why}\nIs the name right? KRW-BTC at Upbit, BTCUSDT at Binance, 005930 at Kiwoom.",
    ),
    "c_empty": ("지금은 해당 종목이 없습니다", "no stock is in it now"),
    "find_why": ("원인 찾기: python -m venues check", "To find the cause: python -m venues check"),
    "perhaps": ("혹시 {near}입니까?", "Did you mean {near}?"),
    "all_options": ("전체 옵션: {program} --help", "All options: {program} --help"),
    "m_trouble": (
        "{venue}: 문제가 이어져 다시 시작합니다. 다른 거래소는 계속됩니다. ({why})",
        "{venue}: trouble goes on, it is begun anew; the others go on. ({why})",
    ),
    "m_stopped": (
        "{venue}: 저널에 쓸 수 없어 이 거래소의 주문 확인을 멈췄습니다. 다른 거래소는 계속됩니다. ({why})",
        "{venue}: its journal cannot be written, orders there are no longer looked after; the others go on. ({why})",
    ),
    "m_started": (
        "시작했습니다. 김프와 함께 보는 계좌: {venues}",
        "Started: the premium, and these accounts: {venues}",
    ),
    "k_started": (
        "김치 프리미엄을 지켜보고 있습니다. 알림이 있을 때만 출력합니다. 끝내기: Ctrl-C",
        "Watching the premium: alerts only are printed. End: Ctrl-C",
    ),
    "m_ended": ("끝냈습니다. 남아 있는 주문: {open}", "Ended. Orders still open: {open}"),
    "m_none": ("없음", "none"),
    "r_head": (
        "[하루 결산] {day} (09시부터 24시간)",
        "[day report] {day} (24 h from 09:00 in Seoul)",
    ),
    "r_nothing": ("  주문 없음", "  no orders"),
    "r_orders": (
        "  주문 {orders}, 체결 {filled}, 거부 {refused}",
        "  orders {orders}, filled {filled}, refused {refused}",
    ),
    "r_money": ("  매수 {bought} · 매도 {sold} {quote}", "  bought {bought} · sold {sold} {quote}"),
    "r_fees": ("  수수료 {fees}", "  fees {fees}"),
    "r_result": ("  실현 손익 {result} {quote}", "  realized {result} {quote}"),
    "r_result_unknown": (
        "  실현 손익: 알 수 없음 (여기서 사지 않은 것을 팔았습니다)",
        "  realized: unknown (something sold was not bought here)",
    ),
    "r_open": ("  미체결 {open}", "  open {open}"),
    "r_unresolved": (
        "  확인 안 된 주문 {count}: python -m venues orders resolve {venue}",
        "  not resolved {count}: python -m venues orders resolve {venue}",
    ),
    "r_kimchi": (
        "김프 {coin} {last} (최저 {low}, 최고 {high})",
        "premium {coin} {last} (low {low}, high {high})",
    ),
    "r_no_accounts": (
        "주문을 쓰도록 설정한 거래소가 없습니다.",
        "No venue is set up for orders.",
    ),
    "b_title": ("잔고", "Balances"),
    "b_asset": ("자산", "asset"),
    "b_free": ("사용 가능", "free"),
    "b_locked": ("주문 중", "in orders"),
    "b_won": ("평가(원)", "worth (won)"),
    "b_total": ("합계", "total"),
    "b_unknown": (
        "시세를 모르는 자산은 합계에서 뺐습니다",
        "the total leaves out what has no price",
    ),
    "b_old": ("{venue}: 잔고를 아직 받지 못했습니다", "{venue}: no balances yet"),
    "b_age": ("{venue}: {age}초 전 잔고", "{venue}: balances of {age} s ago"),
    "b_level": ("{venue}: 킬 스위치 {level}", "{venue}: kill switch {level}"),
    "o_no_orders": ("아직 주문이 없습니다.", "No orders yet."),
    "o_title": ("주문", "Orders"),
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
        "실행 중인 프로그램이 없습니다: {path} 파일이 없거나 오래되었습니다. 먼저 실행: python -m venues run",
        "nothing is running: {path} is missing or old; start it: python -m venues run",
    ),
    "try_this": (
        "처음이라면: python -m venues kimchi --demo   (끝내기: Ctrl-C)",
        "New here? python -m venues kimchi --demo   (Ctrl-C ends it)",
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
    "book_title": ("호가 {symbol}", "Order book {symbol}"),
    "book_none": ("{symbol}: 호가를 기다리는 중… {why}", "{symbol}: waiting for its book… {why}"),
    "size": ("잔량", "size"),
    "watch_title": ("시세", "Quotes"),
    "o_time": ("시각", "time"),
    "o_symbol": ("종목", "symbol"),
    "o_side": ("구분", "side"),
    "o_wanted": ("주문", "wanted"),
    "o_price": ("가격", "price"),
    "o_status": ("상태", "status"),
    "o_filled": ("체결", "filled"),
    "o_fees": ("수수료", "fees"),
    "o_id": ("id", "id"),
    "o_buy": ("매수", "buy"),
    "o_sell": ("매도", "sell"),
    "o_market": ("시장가", "market"),
    "o_refused": ("주문하지 않았습니다.", "Not sent:"),
    "o_ramp": (
        "  실제 돈을 쓰는 첫 {days}일 동안은 모든 금액 한도가 10분의 1입니다.",
        "  On the first {days} days with real money every money limit is a tenth.",
    ),
    "o_dry_good": (
        "모의 확인: 거래소도 받을 수 있는 주문입니다. 보내려면 --send를 붙이십시오.",
        "Dry run: the venue would take it. Add --send to send it.",
    ),
    "o_dry_rules": (
        "규칙 확인: 한도와 잔고, 호가에 맞는 주문입니다. 키움에는 시험 주문이 없습니다. 보내려면 --send를 붙이십시오.",
        "Checked: it fits the limits, the balance and the price steps. Kiwoom has no test of an order. Add --send to send it.",
    ),
    "c_title": ("조건검색", "Condition search"),
    "c_name": ("조건", "condition"),
    "c_count": ("종목 수", "stocks"),
    "c_stock": ("종목", "stock"),
    "c_change": ("등락", "change"),
    "c_none": (
        "영웅문4에서 만들어 서버에 저장한 조건이 없습니다.",
        "No conditions: make them in the HTS and save them on the server.",
    ),
    "c_in": ("{time} 편입 {name}: {stock}{more}", "{time} in   {name}: {stock}{more}"),
    "c_out": ("{time} 이탈 {name}: {stock}{more}", "{time} out  {name}: {stock}{more}"),
    "c_resync": (" (조회로 확인)", " (found when asked)"),
    "c_down": ("{time} 연결 끊김: {why}", "{time} down: {why}"),
    "c_up": ("{time} 연결됨", "{time} connected"),
    "c_why": ("{name}: {why}", "{name}: {why}"),
    "c_odd": (
        "{name}: {count}종목은 읽을 수 없는 형식이어서 뺐습니다",
        "{name}: {count} stocks came in a form that cannot be read and are left out",
    ),
    "c_gone": ("이 이름의 조건이 없습니다", "there is no condition of this name"),
    "o_dry_bad": ("모의 확인: 거래소가 거부합니다: {why}", "Dry run: the venue refuses it: {why}"),
    "o_change": (
        "{id}: {rest}주를 {price}원으로 정정할 수 있습니다. 보내려면 --send를 붙이십시오.",
        "{id}: {rest} left may go to {price} won. Add --send to send it.",
    ),
    "s_unknown": (
        "그날 주문 목록에 없는 번호입니다: {number}",
        "the list of that day has no such number: {number}",
    ),
    "s_ours": (
        "이미 다른 주문의 번호입니다: {number}",
        "the number of another order of yours here: {number}",
    ),
    "s_other": (
        "종목, 수량, 가격이나 시간이 이 주문과 다릅니다: {number}",
        "another stock, quantity, price or time than this order: {number}",
    ),
    "o_level": ("킬 스위치: {level}", "Kill switch: {level}"),
    "o_none": (
        "주문을 쓰도록 설정한 거래소가 없습니다. venues.yaml.example을 보십시오.",
        "No venue is set up for orders; see venues.yaml.example.",
    ),
    "o_pin": (
        "{limits}\n이 키와 이 한도로 실제 돈을 쓰려면 venues.yaml의 {venue}에 적으십시오:\n  live_pin: {pin}",
        "{limits}\nTo let real money follow this key and these limits write under {venue} in venues.yaml:\n  live_pin: {pin}",
    ),
    "t_unknown": (
        "{id}: 응답이 없어 접수 여부를 모릅니다. 다시 보내지 않고 거래소에 확인합니다.",
        "{id}: no answer, so nobody knows whether it was taken. It is not sent again; the venue is asked.",
    ),
    "t_lost": (
        "{id}: 거래소에 없는 것으로 확인했습니다.",
        "{id}: proved not to exist at the venue.",
    ),
    "t_quarantined": (
        "{id}: 10분 동안 확인하지 못했습니다. 거래소 앱에서 찾아보고 알려 주십시오: orders settle",
        "{id}: not known after ten minutes. Look for it in the venue's app, then say: orders settle",
    ),
    "t_doubted": (
        "{id}: 접수되지 않은 것으로 보았는데, 그 주문일 수 있는 것이 나타났습니다. 거래소 앱에서 확인하고 알려 주십시오: orders settle",
        "{id}: it was believed lost, and something that may be it has appeared. Look in the venue's app, then say: orders settle",
    ),
    "t_found_late": (
        "{id}: 없는 줄 알았던 주문이 나타났습니다. 장부에 넣었습니다.",
        "{id}: it was believed lost and exists after all; it is booked.",
    ),
    "t_contradiction": (
        "{id}: 거래소의 응답이 서로 다릅니다. 확인된 쪽을 따릅니다.",
        "{id}: the venue contradicts itself; what was seen is believed.",
    ),
}


# What `--help` says, in English as the code has it, and in Korean.
HELP = {
    "show this help": "이 도움말을 보여 주고 끝냅니다",
    "the kimchi premium; needs no key": "김치 프리미엄. 키가 필요 없습니다",
    "print one table and end": "표를 한 번 찍고 끝냅니다",
    "print alerts only, for a service": "알림만 찍습니다. 서비스용",
    "draw what was kept, and end": "기록을 그래프로 보여 주고 끝냅니다",
    "of --history": "--history의 시간 범위",
    "one coin only, of --history": "--history에서 볼 코인 하나",
    "premium.sqlite3 of the state folder by default": "기록 파일. 기본은 상태 폴더의 premium.sqlite3",
    "live prices of the markets in the settings; needs no key": "설정한 종목의 실시간 시세. 키가 필요 없습니다",
    "ten levels of one market: KRW-BTC, BTCUSDT, 005930": "종목 하나의 10단계 호가: KRW-BTC, BTCUSDT, 005930",
    "Kiwoom's condition search: names, members, who comes and goes": "키움 조건검색: 이름, 종목, 편입과 이탈",
    "print the stocks of one condition and end": "조건 하나의 종목을 찍고 끝냅니다",
    "print the names and end": "조건 이름을 찍고 끝냅니다",
    "the stocks in them with live prices, as a table": "조건에 든 종목의 실시간 시세표",
    "follow so long; 0: until Ctrl-C": "볼 시간(초). 0이면 Ctrl-C까지",
    "all of it as a service: premium, balances, open orders, day report": "전체를 서비스로: 김프, 잔고, 미체결, 하루 결산",
    "end after so long; 0: never": "돌릴 시간(초). 0이면 끝내지 않습니다",
    "what a day came to: orders, fees, result, premium; asks nobody": "하루 결산: 주문, 수수료, 손익, 김프. 거래소에 묻지 않습니다",
    "2026-11-27; today by default": "2026-11-27처럼. 기본은 오늘",
    "lines and calls of the running monitor": "실행 중인 프로그램의 잔고, 연결, 호출",
    "find what keeps the monitor from working; sends no order": "동작하지 않는 원인을 찾습니다. 주문은 보내지 않습니다",
    "venues.yaml by default": "설정 파일. 기본은 venues.yaml",
    "the settings', else ko": "ko 또는 en. 기본은 설정, 없으면 ko",
    "simulated venues, no network": "모의 거래소. 네트워크를 쓰지 않습니다",
    "seconds to wait at most": "기다릴 최대 시간(초)",
    "seconds to look at most": "확인할 최대 시간(초)",
    "orders at Upbit, Binance, Kiwoom; a dry run unless --send is given; alone: the table of all": "업비트·바이낸스·키움 주문. --send가 없으면 확인만. 혼자 쓰면 전체 주문표",
    "what the journals say; asks nobody": "저널의 주문 내역. 거래소에 묻지 않습니다",
    "check one order; with --send it leaves, once": "주문을 확인합니다. --send면 한 번 보냅니다",
    "KRW-BTC at Upbit, BTCUSDT at Binance, 005930 at Kiwoom": "업비트 KRW-BTC, 바이낸스 BTCUSDT, 키움 005930",
    "of the coin or stock": "코인이나 주식의 수량",
    "what a market buy spends": "시장가 매수에 쓸 금액",
    "of a limit order": "지정가",
    "the same cause on the same day is the same order, sent once": "같은 날 같은 cause는 같은 주문. 한 번만 나갑니다",
    "take one order back": "주문 하나를 취소합니다",
    "as `orders list` shows it": "`orders list`에 나오는 id",
    "another price of what is left, at Kiwoom; with --send it leaves, once": "키움 미체결 수량의 가격 정정. --send면 한 번 보냅니다",
    "the new price": "새 가격",
    "send it; without this it is only checked": "보냅니다. 없으면 확인만 합니다",
    "with --send: real money": "--send와 함께: 실제 돈",
    "say what became of an order that you had to look for; sends nothing": "직접 확인한 주문의 결과를 알려 줍니다. 아무것도 보내지 않습니다",
    "the venue has no such order": "거래소에 그런 주문이 없음",
    "its order number at Kiwoom": "키움의 주문 번호",
    "look what became of open orders; sends none": "미확인·미체결 주문을 조회합니다. 주문은 보내지 않습니다",
    "the kill switch: 0 on, 1 no entries, 2 take entries back as well": "킬 스위치: 0 해제, 1 진입 금지, 2 미체결 진입도 취소",
    "print the pin that real money needs in the settings": "실제 돈에 필요한 핀을 찍습니다",
}


def helped(text: str, language: str) -> str:
    """Return a line of the help."""
    return text if language == "en" else HELP[text]


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


REASONS: dict[str, Both] = {
    "unknown_market": Both("the venue has no such market", "거래소에 없는 종목입니다"),
    "not_tradable": Both("it is not traded now", "지금은 거래할 수 없는 종목입니다"),
    "no_quote": Both("no fresh price to compare with", "비교할 최신 호가가 없습니다"),
    "tick": Both("the price is off the price steps", "호가 단위에 맞지 않는 가격입니다"),
    "min_price": Both("the price is below the venue's least", "거래소의 최저 가격보다 낮습니다"),
    "max_price": Both("the price is above the venue's most", "거래소의 최고 가격보다 높습니다"),
    "step": Both("the quantity is off the venue's steps", "수량 단위에 맞지 않습니다"),
    "funds_step": Both("the amount is off the venue's steps", "금액 단위에 맞지 않습니다"),
    "min_quantity": Both("less than the venue's least quantity", "최소 수량보다 적습니다"),
    "max_quantity": Both("more than the venue's most quantity", "최대 수량보다 많습니다"),
    "min_notional": Both("less than the venue's least amount", "최소 주문 금액보다 적습니다"),
    "max_notional": Both("more than the venue's most amount", "최대 주문 금액보다 많습니다"),
    "unresolved": Both("an earlier order of this market is not resolved yet: orders resolve", "이 종목의 앞선 주문이 아직 확인되지 않았습니다: orders resolve"),
    "orders_a_minute": Both("limits.orders_a_minute is reached", "limits.orders_a_minute에 닿았습니다"),
    "kill_level": Both("the kill switch stops entries: orders level", "킬 스위치가 진입을 막고 있습니다: orders level"),
    "balance": Both("not enough free at the venue, with its fee", "거래소의 사용 가능 잔고가 수수료까지 모자랍니다"),
    "max_order": Both("above limits.max_order", "limits.max_order를 넘습니다"),
    "max_coin": Both("above limits.max_coin with what is held and open", "보유·미체결까지 더하면 limits.max_coin을 넘습니다"),
    "max_total": Both("above limits.max_total with what is held and open", "보유·미체결까지 더하면 limits.max_total을 넘습니다"),
    "max_day": Both("above limits.max_day with what was bought today (from 09:00 in Seoul)", "오늘(09시부터) 매수한 것까지 더하면 limits.max_day를 넘습니다"),
    "price_band": Both("the price is further from the market than limits.collar_pct", "시세에서 limits.collar_pct보다 먼 가격입니다"),
}  # fmt: skip
STATUS_WORDS = {
    "submitting": "전송 중", "not sent": "미전송", "rejected": "거부", "unknown": "확인 중", "lost": "미접수 확인",
    "quarantined": "직접 확인 필요", "working": "미체결", "partially filled": "일부 체결", "filled": "체결",
    "cancel pending": "취소 요청", "cancel unknown": "취소 확인 중", "replace pending": "정정 요청",
    "replace unknown": "정정 확인 중", "cancelled": "취소", "expired": "종료(잔량 취소)",
}  # fmt: skip


def status_word(status: OrderStatus, language: str) -> str:
    """Return a status for the user."""
    return STATUS_WORDS[status.value] if language == "ko" else status.value
