"""Names of stocks, so that a person reads 삼성전자 and not 005930; `--find WORD` searches them.

A table of large stocks and funds is shipped, so that it works without a network. A file
`stock-names.csv` (lines CODE,NAME) in the state folder adds to it and goes first. The broker's own
name, where an answer carries one, goes before both. Names change: a code decides, never a name.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping
from pathlib import Path

import kis_realtime_trading as bot

FILE = "stock-names.csv"
MOST_BYTES = 1_000_000

_TEXT = """
005930 삼성전자|000660 SK하이닉스|373220 LG에너지솔루션|207940 삼성바이오로직스|005380 현대차|000270 기아
068270 셀트리온|005490 POSCO홀딩스|035420 NAVER|035720 카카오|051910 LG화학|006400 삼성SDI|105560 KB금융
055550 신한지주|028260 삼성물산|012330 현대모비스|066570 LG전자|003670 포스코퓨처엠|086790 하나금융지주
096770 SK이노베이션|034730 SK|015760 한국전력|032830 삼성생명|017670 SK텔레콤|018260 삼성에스디에스
009150 삼성전기|033780 KT&G|030200 KT|323410 카카오뱅크|259960 크래프톤|011200 HMM|010130 고려아연
316140 우리금융지주|090430 아모레퍼시픽|036570 엔씨소프트|251270 넷마블|352820 하이브|003550 LG|024110 기업은행
000810 삼성화재|042700 한미반도체|009540 HD한국조선해양|329180 HD현대중공업|012450 한화에어로스페이스
042660 한화오션|047810 한국항공우주|064350 현대로템|267260 HD현대일렉트릭|010140 삼성중공업
034020 두산에너빌리티|000100 유한양행|128940 한미약품|326030 SK바이오팜|302440 SK바이오사이언스
051900 LG생활건강|097950 CJ제일제당|004020 현대제철|011170 롯데케미칼|010950 S-Oil|078930 GS|006800 미래에셋증권
005940 NH투자증권|016360 삼성증권|071050 한국금융지주|138040 메리츠금융지주|000720 현대건설|028050 삼성E&A
021240 코웨이|271560 오리온|003490 대한항공|180640 한진칼|035250 강원랜드|069960 현대백화점|139480 이마트
004170 신세계|023530 롯데쇼핑|011070 LG이노텍|034220 LG디스플레이|032640 LG유플러스|000990 DB하이텍
377300 카카오페이|088980 맥쿼리인프라|018880 한온시스템|161390 한국타이어앤테크놀로지|011780 금호석유
009830 한화솔루션|000880 한화|001040 CJ|004990 롯데지주|006260 LS|010120 LS ELECTRIC|298040 효성중공업
003230 삼양식품|004370 농심|000080 하이트진로|007310 오뚜기|022100 포스코DX|047050 포스코인터내셔널
247540 에코프로비엠|086520 에코프로|028300 HLB|196170 알테오젠|277810 레인보우로보틱스|066970 엘앤에프
058470 리노공업|357780 솔브레인|240810 원익IPS|403870 HPSP|039030 이오테크닉스|145020 휴젤|214150 클래시스
068760 셀트리온제약|293490 카카오게임즈|263750 펄어비스|112040 위메이드|041510 에스엠|035900 JYP Ent.
122870 와이지엔터테인먼트|069500 KODEX 200|122630 KODEX 레버리지|114800 KODEX 인버스
252670 KODEX 200선물인버스2X|229200 KODEX 코스닥150|233740 KODEX 코스닥150레버리지|102110 TIGER 200
133690 TIGER 미국나스닥100|360750 TIGER 미국S&P500
"""


# Six characters of which the first is a digit, alone: no part of a price, an order number or a time.
_CODE = re.compile(r"(?<![\w.,*-])[0-9][0-9A-Z]{5}(?![\w*-])")


@functools.cache
def shipped() -> Mapping[str, str]:
    """Return the shipped table: code to name."""
    entries = (entry.partition(" ") for entry in _TEXT.strip().replace("\n", "|").split("|"))
    return {code: name for code, _, name in entries}


def names_of(folder: Path | None) -> dict[str, str]:
    """Return the shipped names with those of the user's own file; a line that is none is skipped."""
    names = dict(shipped())
    path = folder / FILE if folder else None
    if path is None or not path.is_file() or path.stat().st_size > MOST_BYTES:
        return names
    for line in path.read_text("utf-8-sig", errors="replace").splitlines():
        code, comma, name = line.strip().partition(",")
        if comma and code.isalnum() and name.strip():
            names[code.strip()] = name.strip()[:40]
    return names


def code_of(word: str, folder: Path | None = None) -> str:
    """Return the code of a stock that is named by its code or its whole name; else the word itself.

    >>> code_of("현대차"), code_of("kodex200"), code_of("005930"), code_of("last")
    ('005380', '069500', '005930', 'last')
    """
    wanted = {word.strip().lower().replace(" ", ""), spelled(word)}
    for code, name in names_of(folder).items():
        if name.lower().replace(" ", "") in wanted:
            return code
    return word.strip().upper() if re.fullmatch(r"[0-9][0-9a-zA-Z]{5}", word.strip()) else word


# How Koreans write what a company writes in letters of its own.
SPOKEN = (
    ("네이버", "naver"), ("에스케이", "sk"), ("엘지", "lg"), ("케이티앤지", "kt&g"), ("케이티", "kt"),
    ("포스코", "posco"), ("씨제이", "cj"), ("지에스", "gs"), ("엘에스", "ls"), ("에이치디", "hd"), ("에이치엘비", "hlb"),
    ("에이치엠엠", "hmm"), ("에스오일", "s-oil"), ("디비", "db"), ("엔에이치", "nh"), ("케이비", "kb"), ("코덱스", "kodex"),
    ("타이거", "tiger"), ("제이와이피", "jyp"), ("현대자동차", "현대차"), ("기아차", "기아"), ("삼전", "삼성전자"),
    ("하이닉스", "sk하이닉스"), ("현차", "현대차"),
)  # fmt: skip


def spelled(word: str) -> str:
    """Return a name as the tables have it, small letters without blanks.

    >>> spelled("네이버"), spelled("SK 하이닉스"), spelled("하이닉스"), spelled("코덱스 200")
    ('naver', 'sk하이닉스', 'sk하이닉스', 'kodex200')
    """
    wanted = word.strip().lower().replace(" ", "")
    for spoken, written in SPOKEN:
        if spoken in wanted and written not in wanted:
            wanted = wanted.replace(spoken, written)
    return wanted


def known_code(word: str, folder: Path | None = None) -> str:
    """Return the code of a stock, "" for "". Raises bot.BotError with the nearest names."""
    code = code_of(word, folder)
    if not code or re.fullmatch(r"[0-9][0-9A-Z]{5}", code):
        return code
    near = find(word, folder) or [
        (code, name) for code, name in names_of(folder).items()
        if name in difflib.get_close_matches(word, names_of(folder).values(), 3, 0.6)
    ]  # fmt: skip
    if len(near) == 1:
        return near[0][0]
    listed = ", ".join(f"{name} {code}" for code, name in near[:5])
    raise bot.BotError(bot.Both(
        f"no stock is called {word!r}." + (f" Did you mean {listed}?" if near else " Its six-digit code works."),
        f"{word}: 모르는 종목입니다." + (f" 혹시: {listed}" if near else " 여섯 자리 종목코드로 적으십시오."),
    ))  # fmt: skip


def with_names(text: str, names: Mapping[str, str]) -> str:
    """Return a message with the names of its stocks in place of their codes.

    >>> with_names("→ 005380 13주 매수 주문 219,500", {"005380": "현대차"})
    '→ 현대차 13주 매수 주문 219,500'
    """
    return _CODE.sub(lambda found: names.get(found[0], found[0]), text)


def find(word: str, folder: Path | None = None) -> list[tuple[str, str]]:
    """Return (code, name) of every stock whose code or name holds a word, the closest names first."""
    wanted, typed = spelled(word), word.strip().lower().replace(" ", "")
    if not wanted:
        return []
    found = [
        (code, name)
        for code, name in names_of(folder).items()
        if wanted in code.lower()
        or any(each in name.lower().replace(" ", "") for each in (typed, wanted))
    ]
    return sorted(found, key=lambda each: (not each[1].lower().startswith(wanted), each[1]))
