"""The words of the command line: what each does, what it goes with, what is said to a mistake.

The bot's file reads the few command lines that it serves itself; all others come here.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import kis_realtime_trading as bot
from companions.plain_words import start_of_command

EXIT_WRONG_WORDS = 2


class Option(NamedTuple):
    """One word of the command line."""

    flag: str
    value: str  # what stands behind it, "" for a switch
    beside: str  # the commands that it goes with, "*" for all; "" is a command itself
    en: str
    ko: str


LEVELS = tuple(bot.KillLevel.__members__)
# option and value | commands it goes with; -: it is one, *: all | help in both languages
_OPTIONS_TEXT = """
= look = 보기
--demo | - | a simulated day on this machine; needs no account | 모의 시장에서 하루를 돌려 봅니다(계좌 불필요)
--speed N | --demo | times faster than the market, 1 to 1000 (300) | 배속 1~1000 (기본 300)
--seed N | --demo --backtest | another day (21); on 4 all examples trade | 다른 날 (기본 21); 4는 예제 전략이 모두 매매
--phone | --demo | the phone's chat in the browser | 휴대폰 대화를 브라우저로
--plain | --demo --paper --live | lines instead of the live screen | 움직이는 화면 대신 글줄로
--status | - | how the running bot is now | 실행 중인 봇의 지금 상태
--json | --status | for programs | 프로그램이 읽는 형식으로
--screen | - | the same, live; `q` ends the screen, not the bot | 같은 내용을 실시간으로; q는 화면만 끝냅니다
--page | - | in the browser, also with --demo | 브라우저로 봅니다; --demo와도 함께
--port N | --page | on 127.0.0.1 (8765) | 127.0.0.1의 포트 (기본 8765)
= trade = 매매
--setup | - | ask for everything and write the settings file | 물어보면서 설정 파일을 만듭니다
--check | - | test the set-up; sends no order | 설정과 연결을 점검합니다; 주문은 내지 않습니다
--real | --check | the real account, not paper | 모의 대신 실전 계좌를 점검
--paper | - | trade on the paper server | 모의투자 서버에서 매매
--live | - | trade real money; every key must agree | 실전 매매; 모든 잠금이 풀려야 시작합니다
--make-pin | - | the pin of the real account, for the settings | 설정에 적을 실전 계좌의 핀
--acknowledge | - | sign the limits for 24 hours of --live | 한도를 확인하고 24시간 동안 --live를 허락
--credentials FILE | --live --make-pin --acknowledge --check --fetch-history | real keys | 실전 키 파일
--strategy NAME | --demo --paper --live --check --backtest --replay | or FILE.py:CLASS | 파일.py:클래스도
--one-day | --paper --live | end after one trading day | 하루만 매매하고 끝냅니다
= steer the running bot = 실행 중인 봇에 지시
--level LEVEL | - | or tighter: {levels} | 매매 단계: {levels}
--resolve INTENT=absent|ORDER | - | answer about an order of unknown fate | 결과를 모르는 주문에 대한 답
--levels SYMBOL=scale|keep | - | answer a split or an ex-date | 분할·권리락에 대한 답
--accept-orders | - | orders unknown to the journal are your own | 저널에 없는 주문은 직접 내신 것
= results = 결과
--report | - | results by day, stock and reason | 날짜·종목·이유별 손익과 왕복 매매
--csv FILE | --report | all round trips as a file | 왕복 매매를 파일로
--journal | - | everything that happened, line by line | 일어난 일을 한 줄씩
--type KIND,... | --journal | intent, ledger, alert, refusal, bar | intent, ledger, alert, refusal, bar
--follow | --journal | go on as it grows | 늘어나는 대로 계속
--from DAY | --report --journal --backtest --fetch-history | from 2026-11-01 on | 2026-11-01부터
--to DAY | --report --journal --backtest --fetch-history | up to that day | 그날까지
--symbol CODE | --report --journal --backtest --fetch-history | one stock | 한 종목만
--why ORDER | - | explain an order: number, stock or `last` | 주문의 이유: 주문번호, 종목코드, last
--rows | --why | the rows of the journal instead | 문장 대신 저널의 줄
--picture FILE | - | draw the last day as PNG | 마지막 날을 PNG 그림으로
= tools = 도구
--backtest | - | a strategy over past or invented minutes | 지난 분봉이나 만들어 낸 분봉으로 전략을 돌립니다
--data DIR | --backtest | folder of CODE.csv, minutes | 종목코드.csv(분봉)가 있는 폴더
--days N | --backtest | invented days, 1 to 250 (20) | 만들어 낼 날 수 1~250 (기본 20)
--money WON | --backtest | at the start (10,000,000) | 시작 금액(원) (기본 10,000,000)
--html FILE | --backtest | where the report goes | 보고서를 쓸 곳
--sweep GRID | --backtest | many runs: NAME=FROM..TO..STEP,NAME=A|B | 여러 값으로: 이름=처음..끝..간격,이름=A|B
--random N | --backtest | so many random points of the grid | 그중 무작위로 N개만
--walk-forward DAYS | --backtest | choose on 60, judge on the next 20: 60,20 | 60일로 고르고 다음 20일로 판정: 60,20
--fetch-history DIR | - | minutes and days of KIS for --data | KIS에서 --data용 분봉·일봉 받기
--replay FILE | - | run a recording again and compare | 녹화된 하루를 다시 돌려 비교
--find WORD | - | codes of the stocks whose name holds a word | 이름으로 종목코드 찾기
--decode | - | raw frames from standard input as JSON | 표준 입력의 원시 프레임을 JSON으로
--key TEXT | --decode | AES key of encrypted frames | 암호화된 프레임의 AES 키
--iv TEXT | --decode | AES iv | AES iv
--print-systemd-unit | - | a systemd unit for this file and user | systemd 유닛 파일을 출력
= everywhere = 공통
--config FILE | * | settings file | 설정 파일
--state DIR | * | folder of journal and token | 저널과 토큰의 폴더
--language ko|en | * | of everything that is told (ko) | 알림과 안내의 언어 (기본 ko)
--verbose | * | log more | 로그를 더 자세히
--version | * | print the version | 버전
--help | * | this text | 이 안내
"""
# bounds of a number, or the values of a choice
BOUNDS: dict[str, tuple[Any, ...]] = {
    "--speed": (1.0, 1_000.0), "--seed": (0, 2**31), "--port": (1, 65_535), "--days": (1, 250),
    "--random": (1, 10_000), "--money": (1_000_000, 10**12), "--level": LEVELS, "--language": bot.LANGUAGES,
}  # fmt: skip
USUAL = {
    "--speed": 300.0, "--seed": 21, "--port": 8765, "--days": 20, "--money": 10_000_000, "--key": "",
    "--iv": "",
}  # fmt: skip


def _read_options() -> dict[tuple[str, str], list[Option]]:
    """Return the options by the titles of their groups."""
    groups: dict[tuple[str, str], list[Option]] = {}
    options: list[Option] = []
    for line in _OPTIONS_TEXT.strip().splitlines():
        if line.startswith("="):
            _, english, korean = (part.strip() for part in line.split("="))
            options = groups[english, korean] = []
        else:
            head, beside, english, korean = (part.strip() for part in line.split(" | "))
            flag, _, value = head.partition(" ")
            options.append(Option(flag, value, "" if beside == "-" else beside, english, korean))
    return groups


OPTIONS = _read_options()
WORDS_KNOWN = {option.flag: option for group in OPTIONS.values() for option in group}
MAKES_NO_USE_OF = {"--demo": {"--config"}, "--decode": {"--config", "--state"}}  # of what all take
HELP = {
    "en": """\
A trading bot for Korea Investment & Securities (KIS) in one file.

  {program} COMMAND [OPTIONS]

{options}
examples
  {program} --demo --speed 600  # a day in 40 s
  {program} --setup   # asks for keys, stocks, limits
  {program} --check   # sends no order
  {program} --paper   # Ctrl-C or SIGTERM ends it
  {program} --level ENTRIES_OFF   # no new entries
  {program} --why last   # why the last order

exit codes
  0 done   1 failed   2 wrong words   70 internal error   74 journal
  75 already running   78 settings   130 interrupted

Settings are looked for in --config, ./kis_devlp.yaml,
~/KIS/config/kis_devlp.yaml. Secrets may come from the environment or .env.
At the end resting entries are taken back, shares stay.
""",
    "ko": """\
한국투자증권(KIS) 자동매매 봇. 파일 하나로 되어 있습니다.

  {program} 명령 [옵션]

{options}
예
  {program} --demo --speed 600  # 하루를 40초에
  {program} --setup   # 키, 종목, 한도를 묻습니다
  {program} --check   # 점검, 주문 없음
  {program} --paper   # Ctrl-C로 끝냅니다
  {program} --level ENTRIES_OFF   # 새로 사지 않음
  {program} --why last   # 마지막 주문의 이유

종료 코드
  0 정상   1 실패   2 옵션 오류   70 내부 오류   74 저널
  75 이미 실행 중   78 설정   130 중단됨

설정 파일은 --config, ./kis_devlp.yaml, ~/KIS/config/kis_devlp.yaml 순서로
찾습니다. 키는 환경 변수나 .env에 두어도 됩니다. Ctrl-C나 SIGTERM을 받으면
미체결 매수를 취소하고 끝납니다. 보유 주식은 그대로 둡니다.
""",
}


def help_text(language: str) -> str:
    """Return what --help prints: commands and options by group, examples, exit codes."""
    lines = []
    for titles, options in OPTIONS.items():
        lines.append(titles[language == "ko"])
        for option in options:
            head = f"{'  ' if option.beside in ('', '*') else '    '}{option.flag} {option.value}"
            text = option.ko if language == "ko" else option.en
            text = text.format(levels=", ".join(LEVELS[1:]))
            lines += [f"{head:25} {text}"] if len(head) < 26 else [head, f"{'':25} {text}"]
        lines.append("")
    return HELP[language].format(program=f"python {bot.PROGRAM}", options="\n".join(lines))


def _reader_of(option: Option, language: str) -> Callable[[str], Any]:
    """Return the function that reads a value, or refuses it in the reader's language."""
    bounds: tuple[Any, ...] = BOUNDS.get(option.flag, ())
    if not bounds and option.value != "DAY":
        return Path if option.value in ("FILE", "DIR") else str

    def read_day(text: str) -> str:
        with contextlib.suppress(ValueError):
            return date.fromisoformat(text).isoformat()
        said = bot.Both(
            f"{text!r} is no day as 2026-11-27", f"{text!r}: 날짜를 적으십시오, 예: 2026-11-27"
        )
        raise argparse.ArgumentTypeError(bot.in_language(said, language))

    def read_choice(text: str) -> str:
        for value in bounds:
            if value.lower() == text.lower():
                return str(value)
        wanted = ", ".join(bot.near_words(text, bounds) or bounds)
        said = bot.Both(
            f"{text!r} is none of {wanted}", f"{text!r}: 다음 중 하나를 적으십시오: {wanted}"
        )
        raise argparse.ArgumentTypeError(bot.in_language(said, language))

    def read_number(text: str) -> float:
        low, high = bounds
        with contextlib.suppress(ValueError):
            value: float = type(low)(text.replace(",", ""))
            if low <= value <= high:
                return value
        said = bot.Both(
            f"{text!r} is no number of {low:,.15g} to {high:,.15g}",
            f"{text!r}: {low:,.15g}부터 {high:,.15g}까지의 숫자를 적으십시오",
        )
        raise argparse.ArgumentTypeError(bot.in_language(said, language))

    if not bounds:
        return read_day
    return read_choice if isinstance(bounds[0], str) else read_number


def build_parser(language: str = "ko") -> argparse.ArgumentParser:
    """Return the parser of the words of OPTIONS; how they go together is read_arguments' matter."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    names = {"--from": "first", "--to": "last"}
    for flag, option in WORDS_KNOWN.items():
        name = names.get(flag, flag.lstrip("-").replace("-", "_"))
        if option.value:
            kind = _reader_of(option, language)
            parser.add_argument(flag, dest=name, default=USUAL.get(flag), type=kind)
        else:
            short = ("-h",) if flag == "--help" else ()
            parser.add_argument(flag, *short, dest=name, action="store_true")
    parser.set_defaults(speak=language)  # the language of what is told to whoever typed this
    return parser


def _word_behind(arguments: Sequence[str], flag: str) -> str:
    """Return the value of an option that nobody has checked yet, "" without."""
    for word, after in itertools.pairwise([*arguments, ""]):
        if word.partition("=")[0] == flag:
            return word.partition("=")[2] or after
    return ""


def language_of(arguments: Sequence[str]) -> str:
    """Return the language to speak before anything is read: the option, else the settings', else ko."""
    asked, config = (_word_behind(arguments, flag) for flag in ("--language", "--config"))
    if "--demo" in arguments and asked.lower() not in bot.LANGUAGES:
        return "ko"
    return bot.language_of(asked.lower(), Path(config) if config else None)


def flags_in(arguments: Sequence[str]) -> list[str]:
    """Return the words that are options, or were meant to be; values behind `=` cut off."""
    found = [word.partition("=")[0] for word in arguments if re.match(r"[-–—−－]+\D", word)]
    return ["--help" if flag == "-h" else flag for flag in found]


def commands_in(arguments: Sequence[str]) -> list[str]:
    """Return the commands of a command line."""
    return [flag for flag in flags_in(arguments) if not WORDS_KNOWN[flag].beside]


def wrong_words(arguments: Sequence[str]) -> bot.Both | None:
    """Return what is wrong with the words of a command line, as words and together; None: nothing."""
    flags = flags_in(arguments)
    for flag in flags:
        if flag not in WORDS_KNOWN:
            near = " / ".join(bot.near_words(flag, WORDS_KNOWN))
            return bot.Both(
                f"{flag}: there is no such option." + (f" Did you mean {near}?" if near else ""),
                f"{flag}: 그런 옵션은 없습니다." + (f" 혹시 {near}입니까?" if near else ""),
            )
    twice = [flag for flag, count in Counter(flags).items() if count > 1]
    if twice:
        return bot.Both(f"{twice[0]} stands there twice.", f"{twice[0]}: 두 번 적혀 있습니다.")
    commands = commands_in(arguments)
    listed = ", ".join(commands)
    if {"--help", "--version"} & set(flags) or not commands:
        return None
    if len(commands) > 1 and set(commands) != {"--demo", "--page"}:
        return bot.Both(
            f"One command at a time: {listed}. A running bot is asked from a second terminal.",
            f"명령은 한 번에 하나만 씁니다: {listed}. 실행 중인 봇은 다른 터미널에서 봅니다.",
        )
    return next((wrong for flag in flags if (wrong := _out_of_place(flag, commands))), None)


def _out_of_place(flag: str, commands: Sequence[str]) -> bot.Both | None:
    """Return why an option does not go with the commands beside it; None: it does."""
    beside, listed = WORDS_KNOWN[flag].beside, ", ".join(commands)
    if any(flag in MAKES_NO_USE_OF.get(command, ()) for command in commands):
        return bot.Both(
            f"{listed} makes no use of {flag}.", f"{flag}: {listed}에서는 쓰지 않습니다."
        )
    if beside in ("", "*") or set(beside.split()) & set(commands):
        return None
    goes = beside.replace(" ", ", ")
    return bot.Both(
        f"{flag} does not go with {listed}. It goes with {goes}.",
        f"{flag}: {listed}에서는 쓰지 않습니다. 함께 쓰는 명령: {goes}",
    )


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read a command line. Ends the program, as --help does, with a sentence for every mistake."""
    language = language_of(arguments)
    wrong, options = _read_words(arguments, build_parser(language))
    if options and (options.help or options.version):
        try:
            print(help_text(language).rstrip() if options.help else bot.__version__, flush=True)
        except BrokenPipeError:  # into `head`: what is left goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0)
    if wrong or options is None:
        more = bot.Both("All options, with examples:", "전체 옵션과 예:")
        print(bot.in_language(wrong, language), file=sys.stderr)
        print(f"{bot.in_language(more, language)} {start_of_command()} --help", file=sys.stderr)
        raise SystemExit(EXIT_WRONG_WORDS)
    return options


def _read_words(
    arguments: Sequence[str], parser: argparse.ArgumentParser
) -> tuple[str | None, argparse.Namespace | None]:
    """Return what is wrong with a command line, or its options."""
    wrong: str | None = wrong_words(arguments)
    if wrong:
        return wrong, None
    try:
        options, loose = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:  # a value that is missing, too much, or refused
        flag, message = str(error.argument_name).partition("/")[0], str(error.message)
        if message.startswith("expected"):
            value = WORDS_KNOWN[flag].value
            en, ko = (
                f"{flag} needs a value: {flag} {value}",
                f"{flag}: 값이 필요합니다: {flag} {value}",
            )
            return bot.Both(en, ko), None
        if message.startswith("ignored"):
            return bot.Both(f"{flag} takes no value.", f"{flag}: 값을 받지 않습니다."), None
        return f"{flag} {message}", None
    if loose:
        near = " / ".join(bot.near_words(loose[0], WORDS_KNOWN))
        return bot.Both(
            f"{loose[0]!r} belongs to nothing." + (f" Did you mean {near}?" if near else ""),
            f"{loose[0]!r}: 무슨 말인지 알 수 없습니다." + (f" 혹시 {near}입니까?" if near else ""),
        ), None
    if not commands_in(arguments) and not (options.help or options.version):
        en, ko = "Say what to do, for example --demo.", "무엇을 할지 적어 주십시오. 예: --demo"
        return bot.Both(en, ko), None
    return None, options
