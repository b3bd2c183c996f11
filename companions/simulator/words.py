"""The simulator's command line in Korean and English: help, and what is said of a mistake."""

from __future__ import annotations

import argparse
import difflib
import itertools
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

ABOUT = (
    "이 컴퓨터에서만 열리는 모의 KIS 서버입니다. 시장도 스스로 만듭니다. 진짜인 것은 하나도 없습니다.",
    "A KIS broker server on loopback, with a market of its own. Nothing is real.",
)
MORE = (
    "준비되면 READY {json} 한 줄을 출력합니다. Ctrl-C로 끝냅니다. 돌아가는 동안: "
    "curl http://127.0.0.1:PORT/simulator/state (books, clock, faults도 됩니다). 실제 시계로 움직이는 "
    "클라이언트에는 --date로 오늘을 줍니다. 옛 프레임만 아는 클라이언트: --set trade_fields=46 --set "
    "book_fields=59 --set notice_fields=23. 장애 규칙의 예: "
    '{"match": {"path": "order-cash", "nth": 1}, "effect": {"do": "lose", "executed": true}}. '
    "틀리게 적으면 가능한 값을 알려 줍니다.",
    "When it listens it prints one line: READY {json}. Stop it with Ctrl-C. While it "
    "runs: curl http://127.0.0.1:PORT/simulator/state (also books, clock, faults). A client that "
    "lives on the clock on the wall: --date of today. One that knows old frames only: --set "
    "trade_fields=46 --set book_fields=59 --set notice_fields=23. "
    'A fault rule: {"match": {"path": "order-cash", "nth": 1}, "effect": {"do": "lose", '
    '"executed": true}}; a wrong one is answered with what is possible.',
)
HELP = {
    "help": ("이 안내를 보여 줍니다", "show this help"),
    "language": ("도움말과 오류의 언어: ko 또는 en (%(default)s)", "of help and errors: ko or en (%(default)s)"),
    "host": ("열 주소, 이 컴퓨터 안에서만 (%(default)s)", "loopback address to listen on (%(default)s)"),
    "port": ("REST와 웹소켓의 포트. 0이면 빈 포트", "port of REST and WebSocket; 0 picks a free one"),
    "ws-port": ("웹소켓만의 포트 (기본: 같은 포트)", "a second port for the WebSocket (default: the same)"),
    "date": ("거래일, YYYY-MM-DD (%(default)s)", "trading day, YYYY-MM-DD (%(default)s)"),
    "start": ("시작할 때의 장 시각 (%(default)s)", "market time at the beginning (%(default)s)"),
    "until": ("이 장 시각에 스스로 끝납니다, HH:MM", "end by itself at this market time, HH:MM"),
    "until-eof": ("표준 입력이 닫히면 끝납니다", "end when standard input ends, as with its maker"),
    "hold": ("READY 뒤 시계를 세워 둘 초", "seconds the clock stands still after READY"),
    "speed": ("실제 1초에 지나갈 장의 초 (%(default)g)", "market seconds per second (%(default)g)"),
    "seed": ("다른 숫자면 다른 시장과 다른 키", "another seed: another market, other keys"),
    "symbols": ("종목코드, 쉼표로 구분 (%(default)s)", "stock codes, comma separated (%(default)s)"),
    "environment": ("흉내 낼 서버: 모의 paper, 실전 real", "which host is played"),
    "csv": ("분봉 파일: symbol,time,open,high,low,close,volume",
        "minute bars: symbol,time,open,high,low,close,volume"),
    "cash": ("처음 예수금, 원 (%(default)s)", "won to begin with (%(default)s)"),
    "density": ("종목당 1분 체결 수 (%(default)g)", "trades a minute (%(default)g)"),
    "limit": ("장의 1초에 받는 호출 수 (모의 1, 실전 18)", "requests per market second (1 on paper, 18 on real)"),
    "lag": ("주문 내역과 잔고가 늦는 정도", "how late lists and balances are"),
    "faults": ("장애 규칙의 JSON 목록 (faults.py 참고)", "JSON list of fault rules (see faults.py)"),
    "events": ("사건의 JSON 목록: at, type, symbol, seconds", "JSON list: at, type, symbol, seconds"),
    "set": ("SimulatorConfig의 다른 설정, 예: trade_fields=46 또는 past_minutes_on_paper=false",
        "any other setting of SimulatorConfig, for example trade_fields=46 or past_minutes_on_paper=false"),
    "write-config": ("클라이언트가 쓸 DIR/kis_devlp.yaml을 적습니다", "write DIR/kis_devlp.yaml for a client"),
}  # fmt: skip
# What is found wrong -> how it is told; the groups fill the words.
SAID: tuple[tuple[str, str, str], ...] = (
    (r"argument --([\w-]+).*?: invalid choice: '?(.*?)'? \(choose from (.*)\)",
        "--{0} '{1}': {2} 가운데 하나여야 합니다.", "--{0} {1!r} is none of {2}."),
    (r"unrecognized arguments: (\S+).*", "{0}: 그런 옵션은 없습니다.", "{0}: there is no such option."),
    (r"argument --([\w-]+).*?: expected .*", "--{0} 뒤에 값이 있어야 합니다.", "--{0} needs a value."),
    (r"argument --([\w-]+).*?: invalid \w+ value: '(.*)'",
        "--{0} '{1}': 쓸 수 없는 값입니다.", "--{0} {1!r} cannot be used."),
    (r"--set knows no (.*)", "--set에 그런 이름은 없습니다: {0}", "--set knows no {0}"),
    (r"--speed (.*)", "--speed {0}: 0보다 크고 100,000 이하여야 합니다.", "--speed {0}: above 0, 100,000 at most."),
    (r"expected HH:MM or HH:MM:SS, was '(.*)'", "'{0}': 시각은 HH:MM 또는 HH:MM:SS로 적습니다.",
        "{0!r} is no time as HH:MM or HH:MM:SS."),
    (r"the simulator listens on loopback only, was '(.*)'",
        "{0}: 이 컴퓨터 안의 주소(127.0.0.1)에서만 열립니다.", "{0}: it listens on loopback only (127.0.0.1)."),
    (r".*No such file or directory: '(.*)'", "{0}: 그런 파일이 없습니다.", "{0}: there is no such file."),
    (r"\[Errno \d+\].*[Aa]ddress already in use.*", "그 포트는 이미 쓰이고 있습니다. --port 0이면 빈 포트를 고릅니다.",
        "That port is taken; --port 0 picks a free one."),
    (r"Expecting .*", "JSON이 아닙니다: {whole}", "That is no JSON: {whole}"),
)  # fmt: skip


def told(mistake: str, language: str, flags: Sequence[str] = ()) -> str:
    """Return a mistake in a language, with the option that may have been meant.

    >>> told("unrecognized arguments: --sped 3", "ko", ["--speed"])
    '--sped: 그런 옵션은 없습니다. 혹시 --speed입니까?'
    """
    for pattern, korean, english in SAID:
        if found := re.fullmatch(pattern, mistake, re.S):
            words = (korean if language == "ko" else english).format(*found.groups(), whole=mistake)
            if pattern.startswith("unrec") and (
                near := difflib.get_close_matches(found[1], flags, 1)
            ):
                return words + (
                    f" 혹시 {near[0]}입니까?" if language == "ko" else f" Did you mean {near[0]}?"
                )
            return words.replace("'", "") if pattern.endswith("from (.*)\\)") else words
    return mistake


class Parser(argparse.ArgumentParser):
    """A parser that helps and complains in one language."""

    def __init__(self, language: str) -> None:
        korean = language == "ko"
        super().__init__(prog="python -m companions.simulator", allow_abbrev=False, add_help=False,
            description=ABOUT[not korean], epilog=MORE[not korean])  # fmt: skip
        self.language = language
        self._optionals.title = "옵션" if korean else "options"
        self.add("help", action="help")

    def add(self, name: str, **more: Any) -> None:
        """Add an option with its words."""
        short = ("-h",) if name == "help" else ()
        self.add_argument(*short, f"--{name}", help=HELP[name][self.language != "ko"], **more)

    def format_help(self) -> str:
        """Begin in the language, too."""
        text = super().format_help()
        return text.replace("usage:", "사용법:", 1) if self.language == "ko" else text

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where all options stand; exit 2."""
        print(told(message, self.language, list(self._option_string_actions)), file=sys.stderr)
        print(
            "모든 옵션: --help" if self.language == "ko" else "all options: --help", file=sys.stderr
        )
        raise SystemExit(2)


def language_in(arguments: Sequence[str]) -> str:
    """Return the language asked for, before anything else is read."""
    words = " ".join(arguments).replace("=", " ").split()
    asked = [after for word, after in itertools.pairwise(words) if word == "--language"]
    return "en" if asked[:1] == ["en"] else "ko"
