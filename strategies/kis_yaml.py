"""Run a `.kis.yaml` strategy file: one reader, one meaning, in backtest, demo, paper and live.

    python kis_realtime_trading.py --demo --strategy strategies/two_averages.kis.yaml
    python strategies/kis_yaml.py strategies/two_averages.kis.yaml     (checks the file only)

Knows: the format of the official backtester and what we take it to mean. Daily bars only, long
only, one position a stock. The signal is judged on closed days; the order goes out with the first
trade of the next day. Stops are watched on every trade, by the engine. What a file says and cannot
be kept is refused with its line: a stop that is believed and absent costs money.
Set `flat_at: null` in the settings, else the bot sells before each close.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

HERE = Path(__file__).resolve().parent
sys.path += [each for each in (str(HERE), str(HERE.parent)) if each not in sys.path]
import kis_indicators as indicators  # noqa: E402
from kis_plan import PRICES, Condition, Decision, Group, Indicator, Judge, Operand, Plan, columns_of  # noqa: E402

import kis_realtime_trading as bot  # noqa: E402
from kis_realtime_trading import Bar, ExitPlan, Fault, OrderRequest, SettingsError, StrategyView  # noqa: E402

OPERATORS = {
    **dict.fromkeys(("greater_than", "gt", ">", "breaks"), ">"),
    **dict.fromkeys(("less_than", "lt", "<"), "<"),
    **dict.fromkeys(("greater_equal", "gte", ">=", "greater_than_or_equal"), ">="),
    **dict.fromkeys(("less_equal", "lte", "<=", "less_than_or_equal"), "<="),
    **dict.fromkeys(("equal", "equals", "eq", "=="), "=="),
    **dict.fromkeys(("not_equal", "!="), "!="),
    **dict.fromkeys(("cross_above", "crosses_above", "crossover", "indicator_cross_above"), "up"),
    **dict.fromkeys(
        ("cross_below", "crosses_below", "crossunder", "indicator_cross_below"), "down"
    ),
}
OURS_ONLY = {"equals", "eq", "greater_than_or_equal", "less_than_or_equal"}
SCALES = ("mul", "div", "add", "sub")
KEYS = {
    "": ("version", "metadata", "strategy", "risk", "compat"),
    "metadata": ("name", "description", "author", "created_at", "updated_at", "tags"),
    "strategy": ("id", "category", "params", "indicators", "candlesticks", "entry", "exit"),
    "param": ("default", "min", "max", "step", "type", "description"),
    "indicator": ("id", "alias", "name", "params", "output"),
    "candlestick": ("id", "alias", "name"),
    "group": ("logic", "conditions"),
    "condition": (
        "indicator", "operator", "value", "compare_to", "output", "compare_output", "compare_scalar",
        "compare_operation", "candlestick", "signal",
    ),
    "risk": ("stop_loss", "take_profit", "trailing_stop", "max_position_size"),
    "stop": ("enabled", "percent"),
}  # fmt: skip
# parameters that are no counts of bars, with their bounds
REAL = {
    "std": (0.1, 10), "multiplier": (0.1, 10), "sigma": (1, 100), "offset": (0, 1), "width": (0.1, 20),
    "volume_factor": (0, 1), "scale": (1, 1e12), "af_start": (0.001, 1), "af_step": (0.001, 1),
    "af_max": (0.001, 1),
}  # fmt: skip
# what would be a stop, wherever it stands and however it is spelt
STOPS = ("risk", "stop_loss", "take_profit", "trailing_stop", "stop", "target", "trailing")
GUARDS = (
    "stoploss", "takeprofit", "trailing", "maxloss", "losscut", "cutloss", "timestop", "holdingdays",
    "maxholding", "profittarget", "손절", "익절", "로스컷", "트레일링", "손실", "목표수익",
)  # fmt: skip
# names that people write, near to a wrong one of ours
MEANT = {
    "ma": "sma", "moving_average": "sma", "bb": "bollinger", "bbands": "bollinger",
    "cross_up": "cross_above", "cross_over": "cross_above", "golden_cross": "cross_above",
    "cross_down": "cross_below", "cross_under": "cross_below", "dead_cross": "cross_below",
}  # fmt: skip
LEAST_PCT, SMALL_PCT = 0.25, 0.5  # per cent: the tax of a sale alone takes 0.2
MOST_NUMBER = 1e15
MAX_FILE_BYTES = 200_000
MOST_DAYS = 480  # a view keeps 500 bars


# --- reading a file ---------------------------------------------------------------------


@dataclass(slots=True)
class _Map:
    """A mapping of the file: values with the line on which each stands."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    line: int = 0

    def get(self, key: str, usual: Any = None) -> Any:
        value = self.values.get(key)
        return usual if value is None else value


_KOREAN_TEXT = """
an alias (*name) = 별칭(*이름)|every value written out = 모든 값을 직접 적을 것|YAML text = YAML 형식|no mapping = 항목이 없음
metadata, strategy and risk = metadata, strategy, risk|a text or a number = 글자나 숫자|once = 한 번만
an unknown key = 모르는 항목|nothing = 비어 있음|a mapping = `항목: 값` 줄|a list of mappings = 항목의 목록
a number = 숫자|a text = 글자|no condition and no stop = 조건도 손절도 없음|a way out of the position = 파는 방법 하나는 있을 것
no default = 기본값 없음|a default, or a value by `set` = 기본값, 또는 set으로 준 값
a whole number, as its type says = 자료형대로 정수|set, but not a parameter = set에 있으나 매개변수가 아님
no such parameter = 없는 매개변수|a name under params = params 아래의 이름|each alias once = 별칭은 한 번씩
no name of a price field: the price would hide it = 가격 필드와 다른 이름(가격에 가려집니다)
an indicator that is built here; this one is not yet = 여기서 지원하는 지표(이것은 아직 아님)
a known indicator = 아는 지표|up or down = up 또는 down|a whole number = 정수|1 to 1000 = 1부터 1000까지
an even number: it has two halves = 짝수(반으로 나눕니다)|a number of 0.1 to 10 = 0.1부터 10까지의 숫자|a pattern that the backtester knows too = 백테스터도 아는 캔들 패턴
a known pattern = 아는 캔들 패턴|TA-Lib installed (pip install TA-Lib) = TA-Lib 설치(pip install TA-Lib)
AND or OR = AND 또는 OR|no condition = 조건 없음|at least one: it would buy at once = 하나 이상; 없으면 곧바로 삽니다
a group in a group = 그룹 속의 그룹|a flat list = 한 겹의 목록|bullish, bearish or detected = bullish, bearish, detected 중 하나
an alias or a price field = 별칭이나 가격 필드|a known operator = 아는 연산자|one of the two = 둘 중 하나만
not 0: it divides = 0이 아닐 것(나누는 수)|0 to 1 = 0부터 1까지|true or false = true 또는 false
a per cent above 0, below 100 = 0 초과 100 미만의 %|enabled without a percent = 켰으나 percent가 없음
a percent: no stop else = percent 값; 없으면 손절이 없습니다
a stop that nobody would watch = 아무도 지켜보지 않을 손절|risk at the left edge, as in the examples = 예시처럼 맨 왼쪽의 risk 아래
enabled and percent, or no such line = enabled와 percent를 적거나 이 줄을 지울 것|a finite number = 유한한 숫자
a merge of maps (<<) = 항목 합치기(<<)|no text = 글자가 아님
official, or no such line = official, 아니면 이 줄을 지울 것
a mapping where a list is meant = 목록이 아니라 항목|something else than mappings = 항목이 아닌 것
digits without commas = 쉼표 없는 숫자|set, but no line of the file uses it = set에 있으나 파일 어디에도 쓰이지 않음
$name where it is meant, or no such set = 쓸 자리에 $이름, 아니면 set에서 지울 것
a parameter that sounds like a stop and guards nothing = 손절처럼 들리지만 아무것도 지키지 않는 매개변수
its $name under risk, or no such parameter = risk 아래에 그 $이름, 아니면 매개변수를 지울 것
a per cent: 5 for 5 % = % 값(5 %는 5)
"""
_KOREAN = dict(each.split(" = ") for each in _KOREAN_TEXT.strip().replace("\n", "|").split("|"))


# What is read otherwise than it may be meant. English, Korean.
_WARNINGS = tuple((re.compile(english), korean) for english, korean in (
    (r"did you mean (.+)\?", r"혹시 \1?"), (r"(\S+) is read as (\S+), as YAML 1.1 does", r"\1: YAML 1.1에 따라 숫자 \2 값으로 읽습니다"),
    (r"('.+') means nothing here and is not read\.", r"\1: 여기서는 뜻이 없어 읽지 않습니다."),
    (r"version (\S+) is a number: write it in quotes", r"version \1: 숫자이므로 따옴표로 묶으십시오"),
    (r"the official number stands .*", "백테스트에는 공식 숫자를 나란히 적고, 주문은 백테스트와 실전 모두 이 프로그램의 뜻을 따릅니다"),
    (r"the parameter ('.+') is never used", r"매개변수 \1: 쓰이지 않습니다"), (r"id ('.+') is read as ('.+')", r"지표 \1: \2로 읽습니다"),
    (r"(\S+): conditions without an output mean ('.+') \(official: main\)",
        r"\1: output을 적지 않은 조건은 \2로 봅니다(공식은 main)"),
    (r"(\S+) has no parameter ('.+?')\.", r"\1: 매개변수 \2가 없습니다."), (r"logic ('.+') is read as (\S+)", r"logic \1: \2로 읽습니다"),
    (r"no operator: greater_than is meant", "연산자가 없어 greater_than으로 봅니다"),
    (r"operator ('.+'): the official backtester refuses it", r"연산자 \1: 공식 백테스터는 받지 않습니다"),
    (r"(\S+): (\S+) is \S+ %; for (\S+) % write \S+", r"\1: \2는 \2%입니다. \3%라면 \3라고 적으십시오"),
))  # fmt: skip


def _both(text: str) -> bot.Both:
    """Return a text of a fault or a warning with its Korean."""
    korean = _KOREAN.get(text, text)
    for english, words in _WARNINGS if korean == text else ():
        korean = english.sub(words, korean)
    known = (words for english, words in bot.YAML_PROBLEMS.items() if english in korean)
    return bot.Both(text, next(known, korean))


class _Lines:
    """Reads YAML with the line of everything, and collects faults and warnings."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.faults: list[Fault] = []
        self.warnings: list[str] = []

    def fault(self, line: int, key: str, found: Any, expected: str) -> None:
        seen, wanted = _both(str(found)[:80]), _both(str(expected))
        self.faults.append(Fault(f"{self._source}:{line} {key}", seen, wanted))

    def warn(self, line: int, text: str) -> None:
        said, where = _both(text), f"{self._source}:{line}"
        self.warnings.append(bot.Both(f"{where} {said}", f"{where} {said.ko}"))

    # --- YAML with lines ---

    def tree(self, text: str) -> _Map | None:
        """Return the top mapping, None when there is none."""
        text = text.removeprefix("\ufeff")
        if len(text.encode()) > MAX_FILE_BYTES:
            self.fault(1, "(file)", f"{len(text)} characters", f"at most {MAX_FILE_BYTES} bytes")
            return None
        try:
            if any(isinstance(each, yaml.AliasEvent) for each in yaml.parse(text, yaml.SafeLoader)):
                self.fault(1, "(file)", "an alias (*name)", "every value written out")
                return None
            node = yaml.compose(text, yaml.SafeLoader)
        except (yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            if mark and mark.line >= text.rstrip().count("\n"):  # the end: where did it begin?
                mark = getattr(error, "context_mark", None) or mark
            found = getattr(error, "problem", None) or getattr(error, "reason", "") or "no YAML"
            before = text[: getattr(error, "position", None) or 0]  # of a character that is none
            line = mark.line if mark else before.count("\n")
            self.fault(line + 1, "(file)", found, "YAML text")
            return None
        value = self._plain(node) if node else None
        if not isinstance(value, _Map):
            self.fault(1, "(file)", "no mapping", "metadata, strategy and risk")
            return None
        return value

    def _plain(self, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            line = node.start_mark.line + 1
            try:
                value = yaml.SafeLoader("").construct_object(node)
            except (ValueError, yaml.YAMLError):
                self.fault(line, "(value)", node.value, "a text or a number")
                return None
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and not abs(value) < MOST_NUMBER:
                self.fault(line, "(value)", node.value, "a finite number")
                return None
            if number and re.match(r"[-+]?0[0-7_]+$|.*:", node.value):
                self.warn(line, f"{node.value} is read as {value}, as YAML 1.1 does")
            return value
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(each) for each in node.value]
        found = _Map(line=node.start_mark.line + 1)
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key == "<<":
                self.fault(line, key, "a merge of maps (<<)", "every value written out")
            if key in found.values:
                self.fault(line, key, f"a second time (first in line {found.lines[key]})", "once")
            found.values[key], found.lines[key] = self._plain(value_node), line
        return found

    def _known(self, where: _Map, kind: str, strict: bool = False) -> None:
        """Name keys that mean nothing: a warning, but a fault where a stop may be meant."""
        for key in where.values:
            if key not in KEYS[kind]:
                line, near = where.lines[key], near_to(key, KEYS[kind])
                if strict:
                    self.fault(line, f"risk.{key}", "an unknown key", near or " ".join(KEYS[kind]))
                elif key.isdecimal():  # {value: 1,000} is a 1 and a key 000
                    self.fault(line, key, "an unknown key", "digits without commas")
                elif _may_be_a_stop(key, where.values[key]):
                    here = "a stop that nobody would watch"
                    self.fault(line, key, here, "risk at the left edge, as in the examples")
                else:
                    self.warn(line, f"{key!r} means nothing here and is not read. {near}".strip())

    def _map(self, where: _Map, key: str, needed: bool = False) -> _Map:
        value = where.values.get(key)
        if isinstance(value, _Map):
            return value
        if value is not None or needed:
            line = where.lines.get(key, where.line)
            self.fault(line, key, "nothing" if value is None else type(value).__name__, "a mapping")
        return _Map(line=where.lines.get(key, where.line))

    def _list(self, where: _Map, key: str) -> list[_Map]:
        value = where.get(key, [])
        line = where.lines.get(key, where.line)
        if not isinstance(value, list) or not all(isinstance(each, _Map) for each in value):
            found = "something else than mappings" if isinstance(value, list) else str(value)[:40]
            found = "a mapping where a list is meant" if isinstance(value, _Map) else found
            self.fault(line, key, found, "a list of mappings")
            return []
        return value


class _Reader(_Lines):
    """Reads one file into a Plan."""

    def __init__(self, source: str, overrides: Mapping[str, Any]) -> None:
        super().__init__(source)
        self._overrides = overrides
        self._params: dict[str, Any] = {}
        self._used: set[str] = set()
        self._indicators: dict[str, Indicator] = {}
        self._outputs: dict[str, str] = {}  # alias -> output that conditions mean by default
        self._patterns: dict[str, str] = {}

    def _number(self, where: _Map, key: str, what: str) -> float | None:
        """Return a number after $name, None with a fault when it is none."""
        value = self._resolved(where.values.get(key), where.lines.get(key, where.line))
        if isinstance(value, bool) or not isinstance(value, int | float):
            if value is not None:
                self.fault(where.lines[key], what, repr(value), "a number")
            return None
        return value

    # --- parts of the format ---

    def read(self, text: str) -> Plan | None:
        """Return the plan; None when the text is no mapping."""
        top = self.tree(text)
        if top is None:
            return None
        self._known(top, "")
        version = top.get("version", "1.0")
        if not isinstance(version, str):
            self.warn(top.lines["version"], f"version {version} is a number: write it in quotes")
        compat = str(top.get("compat", ""))
        if compat == "official":
            self.warn(top.lines["compat"], "the official number stands beside a backtest; "
                      "orders follow this program's meaning, there and live")  # fmt: skip
        elif compat:
            self.fault(top.lines["compat"], "compat", compat, "official, or no such line")
        metadata, strategy = self._map(top, "metadata", True), self._map(top, "strategy", True)
        self._known(metadata, "metadata")
        self._known(strategy, "strategy")
        name = metadata.get("name")
        for where, key in ((metadata, "name"), (strategy, "id")):
            if where.values and not isinstance(where.get(key), str):
                self.fault(where.lines.get(key, where.line), key, where.get(key), "a text")
        self._read_params(self._map(strategy, "params"))
        for entry in self._list(strategy, "indicators"):
            self._read_indicator(entry)
        for entry in self._list(strategy, "candlesticks"):
            self._read_candlestick(entry)
        entry_rules = self._group(strategy, "entry", needed=True)
        exit_rules = self._group(strategy, "exit", needed=False)
        risk = self._risk(self._map(top, "risk"))
        if not exit_rules.conditions and not any(risk[:3]):
            line = strategy.lines.get("exit", strategy.line)
            self.fault(line, "exit", "no condition and no stop", "a way out of the position")
        self._name_unused(self._map(strategy, "params"), guarded=any(risk[:3]))
        return Plan(
            str(name), dict(self._indicators), entry_rules, exit_rules, *risk,
            tuple(self.warnings), compat,
        )  # fmt: skip

    def _read_params(self, params: _Map) -> None:
        for name in params.values:
            each, line = self._map(params, name), params.lines[name]
            self._known(each, "param")
            value = self._overrides.get(name, each.values.get("default"))
            self._params[name] = value
            least, most = each.values.get("min"), each.values.get("max")
            if value is None:
                self.fault(line, name, "no default", "a default, or a value by `set`")
            elif isinstance(value, int | float):
                if isinstance(least, int | float) and value < least:
                    self.fault(line, name, value, f"at least its own min, {least}")
                if isinstance(most, int | float) and value > most:
                    self.fault(line, name, value, f"at most its own max, {most}")
                if each.get("type") == "int" and not isinstance(value, int):
                    self.fault(line, name, value, "a whole number, as its type says")
        for name in sorted(set(self._overrides) - set(params.values)):
            self.fault(params.line, name, "set, but not a parameter", near_to(name, params.values))

    def _name_unused(self, params: _Map, guarded: bool) -> None:
        """Name parameters without effect: a fault when one was set, or passes for the only stop."""
        for unused in sorted(set(self._params) - self._used):
            line = params.lines[unused]
            if unused in self._overrides:
                expected = "$name where it is meant, or no such set"
                self.fault(line, unused, "set, but no line of the file uses it", expected)
            elif _may_be_a_stop(unused) and not guarded:
                here = "a parameter that sounds like a stop and guards nothing"
                self.fault(line, unused, here, "its $name under risk, or no such parameter")
            else:
                self.warn(line, f"the parameter {unused!r} is never used")

    def _resolved(self, value: Any, line: int) -> Any:
        """Replace $name by its value."""
        if not isinstance(value, str) or not re.fullmatch(r"\$[A-Za-z_]\w*", value):
            return value
        name = value[1:]
        self._used.add(name)
        if name not in self._params:
            near = near_to(name, self._params)
            self.fault(line, value, "no such parameter", near or "a name under params")
        return self._params.get(name)

    def _alias(self, entry: _Map, kind: str, taken: Iterable[str]) -> str:
        line = entry.lines.get("alias", entry.line)
        if isinstance(entry.get("alias"), _Map | list):
            self.fault(line, "alias", "no text", "a text")
        alias = str(
            entry.get("alias", "") or f"{kind}_{sum(a.startswith(kind) for a in taken) + 1}"
        )
        if alias in taken:
            self.fault(line, "alias", alias, "each alias once")
        if alias in PRICES:
            self.fault(line, "alias", alias, "no name of a price field: the price would hide it")
        return alias

    def _read_indicator(self, entry: _Map) -> None:
        self._known(entry, "indicator")
        given = entry.get("id", "")
        kind, line = str(given).lower(), entry.lines.get("id", entry.line)
        if kind != given:
            self.warn(line, f"id {given!r} is read as {kind!r}")
        if kind in indicators.NOT_BUILT:
            self.fault(line, "id", kind, "an indicator that is built here; this one is not yet")
        elif kind not in indicators.KINDS:
            near = near_to(kind, indicators.KINDS)
            self.fault(line, "id", kind or "nothing", near or "a known indicator")
        alias = self._alias(entry, kind, self._indicators)
        output = str(entry.get("output", "value"))
        params = self._indicator_params(kind, self._map(entry, "params"), line)
        self._indicators[alias] = Indicator(kind, params)
        if kind not in indicators.KINDS:
            return
        if output != "value":
            self.warn(
                line, f"{alias}: conditions without an output mean {output!r} (official: main)"
            )
        if output not in indicators.KINDS[kind].outputs:
            outputs = indicators.KINDS[kind].outputs
            self.fault(line, "output", output, near_to(output, outputs) or " ".join(outputs))
        self._outputs[alias] = output

    def _indicator_params(self, kind: str, given: _Map, line: int) -> dict[str, Any]:
        wanted = indicators.KINDS[kind].params if kind in indicators.KINDS else {}
        params: dict[str, Any] = {}
        for name in given.values:
            at = given.lines[name]
            params[name] = value = self._resolved(given.values[name], at)
            if wanted and name not in wanted and name != "shift":
                self.warn(at, f"{kind} has no parameter {name!r}. {near_to(name, wanted)}".strip())
            elif name == "direction" and value not in ("up", "down"):
                self.fault(at, name, value, "up or down")
            elif name != "direction" and (name in wanted or name == "shift"):
                self._check_length(at, name, value)
        for name, usual in wanted.items():
            if name not in given.values:
                self.fault(line, f"params.{name}", "nothing", f"a value, usually {usual}")
        if kind == "frama" and isinstance(params.get("period"), int) and params["period"] % 2:
            self.fault(line, "params.period", params["period"], "an even number: it has two halves")
        fast, slow = params.get("fast"), params.get("slow")
        if isinstance(fast, int) and isinstance(slow, int) and fast >= slow:
            self.fault(line, "params.fast", fast, f"less than slow, {slow}")
        return params

    def _check_length(self, line: int, name: str, value: Any) -> None:
        if name in REAL:
            real = isinstance(value, int | float) and not isinstance(value, bool)
            low, high = REAL[name]
            if not real or not low <= value <= high:
                self.fault(line, name, value, f"a number of {low:g} to {high:g}")
        elif isinstance(value, bool) or not isinstance(value, int):
            self.fault(line, name, value, "a whole number")
        elif not (0 if name == "shift" else 1) <= value <= 1000:
            self.fault(line, name, value, "1 to 1000")

    def _read_candlestick(self, entry: _Map) -> None:
        self._known(entry, "candlestick")
        name = str(entry.get("id", ""))
        self._pattern(name, entry.lines.get("id", entry.line))
        self._patterns[self._alias(entry, name, self._patterns)] = name

    def _pattern(self, name: str, line: int) -> None:
        if name in indicators.BUILDER_ONLY:
            self.fault(line, "candlestick", name, "a pattern that the backtester knows too")
        elif name not in indicators.PATTERNS:
            near = near_to(name, indicators.PATTERNS)
            self.fault(line, "candlestick", name, near or "a known pattern")
        elif not indicators.has_talib():
            self.fault(line, "candlestick", name, "TA-Lib installed (pip install TA-Lib)")

    def _group(self, strategy: _Map, key: str, needed: bool) -> Group:
        where = self._map(strategy, key, needed)
        self._known(where, "group")
        given = where.get("logic", "AND" if where.values or needed else "OR")
        logic, line = str(given).upper(), where.lines.get("logic", where.line)
        if logic not in ("AND", "OR"):
            self.fault(line, f"{key}.logic", given, "AND or OR")
        elif logic != given:
            self.warn(line, f"logic {given!r} is read as {logic}")
        rules = self._list(where, "conditions")
        if needed and not rules and where.values.get("conditions", []) == []:
            self.fault(where.line, key, "no condition", "at least one: it would buy at once")
        found = tuple(filter(None, (self._condition(each) for each in rules)))
        return Group(logic == "AND", found)

    def _condition(self, entry: _Map) -> Condition | None:
        if "conditions" in entry.values:
            self.fault(entry.line, "conditions", "a group in a group", "a flat list")
            return None
        self._known(entry, "condition")
        left = entry.get("indicator")
        if isinstance(left, _Map | list):
            self.fault(entry.lines["indicator"], "indicator", "no text", "a text")
            return None
        if entry.get("candlestick") or left in self._patterns:
            given = str(entry.get("candlestick") or left)
            name = self._patterns.get(given, given)
            self._pattern(name, entry.lines.get("candlestick", entry.line))
            signal = str(entry.get("signal", "detected"))
            if signal not in ("bullish", "bearish", "detected"):
                line = entry.lines["signal"]
                self.fault(line, "signal", signal, "bullish, bearish or detected")
            return Condition(Operand(), "", Operand(), name, signal, entry.line)
        operator = self._operator(entry)
        if left is None:
            self.fault(entry.line, "indicator", "nothing", "an alias or a price field")
            return None
        side = self._operand(str(left), entry, "indicator", "output")
        return Condition(side, operator, self._right(entry), line=entry.line)

    def _operator(self, entry: _Map) -> str:
        given = str(entry.get("operator", "greater_than"))
        line = entry.lines.get("operator", entry.line)
        if "operator" not in entry.values:
            self.warn(line, "no operator: greater_than is meant")
        if given.lower() in OURS_ONLY:
            self.warn(line, f"operator {given!r}: the official backtester refuses it")
        if given.lower() not in OPERATORS:
            self.fault(line, "operator", given, near_to(given, OPERATORS) or "a known operator")
        return OPERATORS.get(given.lower(), ">")

    def _right(self, entry: _Map) -> Operand:
        sides = [key for key in ("value", "compare_to") if entry.values.get(key) is not None]
        if len(sides) != 1:
            found = "both value and compare_to" if sides else "neither value nor compare_to"
            self.fault(entry.line, "condition", found, "one of the two")
            return Operand()
        key = sides[0]
        value = self._resolved(entry.values[key], entry.lines[key])
        scale = self._number(entry, "compare_scalar", "compare_scalar")
        by = str(entry.get("compare_operation", "mul"))
        if by not in SCALES:
            line = entry.lines["compare_operation"]
            self.fault(line, "compare_operation", by, near_to(by, SCALES) or " ".join(SCALES))
        if by == "div" and scale == 0:
            self.fault(entry.lines["compare_scalar"], "compare_scalar", 0, "not 0: it divides")
        if isinstance(value, int | float) and not isinstance(value, bool):
            fixed = Operand(scale=scale, scale_by=by)
            broken = by not in SCALES or (by == "div" and scale == 0)
            return Operand(number=float(value) if broken else fixed.scaled(float(value)))
        if value is None:
            return Operand()  # its $name is a fault already
        side = self._operand(str(value), entry, key, "compare_output")
        return Operand(side.source, side.output, 0.0, scale, by)

    def _operand(self, name: str, entry: _Map, key: str, output_key: str) -> Operand:
        if name in PRICES:
            return Operand(name)
        line = entry.lines[key]
        if name not in self._indicators:
            near = near_to(name, [*self._indicators, *PRICES])
            expected = "a number without quotes" if _is_number(name) else near
            self.fault(line, key, name, expected or "an alias or a price field")
            return Operand()
        output = str(entry.get(output_key, self._outputs.get(name, "value")))
        kind = self._indicators[name].kind
        if kind in indicators.KINDS and output not in indicators.KINDS[kind].outputs:
            outputs = indicators.KINDS[kind].outputs
            line = entry.lines.get(output_key, line)
            self.fault(line, output_key, output, near_to(output, outputs) or " ".join(outputs))
        return Operand(name, output)

    def _risk(self, risk: _Map) -> tuple[float | None, float | None, float | None, float | None]:
        self._known(risk, "risk", strict=True)
        stop, target, trail = (
            self._stop(risk, key) for key in ("stop_loss", "take_profit", "trailing_stop")
        )
        share = self._number(risk, "max_position_size", "risk.max_position_size")
        if share is not None and not 0 < share <= 1:
            self.fault(risk.lines["max_position_size"], "risk.max_position_size", share, "0 to 1")
        return stop, target, trail, share

    def _stop(self, risk: _Map, key: str) -> float | None:
        where = self._map(risk, key)
        if key in risk.values and (risk.values[key] is None or where.values == {}):
            expected = "enabled and percent, or no such line"
            self.fault(risk.lines[key], f"risk.{key}", "nothing", expected)
        self._known(where, "stop", strict=True)
        on, percent = where.values.get("enabled"), self._number(where, "percent", f"risk.{key}")
        line = where.lines.get("percent", where.line)
        if not (on is None or isinstance(on, bool)):
            self.fault(where.lines["enabled"], f"risk.{key}.enabled", on, "true or false")
        if where.values and on is None:
            self.fault(where.line, f"risk.{key}.enabled", "nothing", "true or false")
        if percent is not None and not 0 < percent <= (1000 if key == "take_profit" else 99):
            self.fault(line, f"risk.{key}.percent", percent, "a per cent above 0, below 100")
        elif percent is not None and percent < LEAST_PCT and on is True:
            self.fault(line, f"risk.{key}.percent", percent, "a per cent: 5 for 5 %")
        elif percent is not None and percent < SMALL_PCT and on is True:
            self.warn(line, f"{key}: {percent} is {percent} %; for {percent * 100:g} % write "
                      f"{percent * 100:g}")  # fmt: skip
        if on is True and percent is None:
            self.fault(line, f"risk.{key}", "enabled without a percent", "a percent: no stop else")
        return percent if on is True else None


def near_to(name: str, known: Iterable[str]) -> str:
    """Return "did you mean ...?", "" when nothing is near."""
    names = [str(each) for each in known]
    meant = MEANT.get(str(name).lower().replace("-", "_").replace(" ", "_"))
    if meant in names:
        return f"did you mean {meant!r}?"
    found = difflib.get_close_matches(str(name), names, 1, 0.6)
    return f"did you mean {found[0]!r}?" if found else ""


def _may_be_a_stop(key: str, value: Any = None) -> bool:
    """Tell whether a key that is not read, or one below it, may be meant to guard a position.

    >>> [_may_be_a_stop(each) for each in ("Risk", "stopLoss", "stop-los", "trailing stop", "risk_notes")]
    [True, True, True, True, False]
    >>> [_may_be_a_stop(each) for each in ("손절", "sl", "max_loss_pct", "risk_management", "costs")]
    [True, True, True, False, False]
    >>> _may_be_a_stop("risk_management", _Map()), _may_be_a_stop("order", [_Map({"익절": 5})])
    (True, True)
    """
    plain = re.sub(r"[\W_]", "", key.lower())
    below = value if isinstance(value, list) else [value]
    return bool(
        plain in ("sl", "tp")
        or any(word in plain for word in GUARDS)
        or (isinstance(value, _Map) and plain.startswith(("risk", "위험", "리스크")))
        or difflib.get_close_matches(plain, [s.replace("_", "") for s in STOPS], 1, 0.85)
        or any(
            _may_be_a_stop(inner, each.values[inner])
            for each in below if isinstance(each, _Map) for inner in each.values
        )
    )  # fmt: skip


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(\.\d+)?", text) is not None


def read_plan(text: str, source: str = "file", overrides: Mapping[str, Any] | None = None) -> Plan:
    """Read the text of a file. Raises SettingsError with every fault, each with its line."""
    reader = _Reader(source, overrides or {})
    plan = reader.read(text)
    if reader.faults or plan is None:
        raise SettingsError(reader.faults)
    return plan


# --- the strategy -----------------------------------------------------------------------


class LacksDays(ValueError):
    """It cannot judge: its past days do not reach. Its stock stops; its code is right."""


class KisYaml(bot.TradingStrategy):
    """Trades a `.kis.yaml` file: judged on closed days, ordered with the first trade after them.

    Percents of stop and target count from the limit price of the order. Nothing is bought later
    than `entry_minutes` after the opening: a program that starts at noon has missed the order. An
    exit is never too late. A strategy that lacks days says how many, and its stock stops.
    """

    class Parameters(bot.TradingStrategy.Parameters):
        """Settings under `bot.parameters`."""

        file: str = Field(description="path of the .kis.yaml file")
        set: dict[str, int | float] = Field(default_factory=dict, description="values of $params")
        budget_krw: int = Field(1_000_000, ge=10_000, le=10**9, description="won, all stocks")
        stocks: int = Field(1, ge=1, le=20, description="stocks that share the budget equally")
        slippage_pct: float = Field(0.3, ge=0, le=3, description="% paid above the first price")
        entry_minutes: int = Field(10, ge=1, le=300, description="no entry later after the opening")

    def __init__(self, parameters: bot.TradingStrategy.Parameters | None = None) -> None:
        super().__init__(parameters)
        path = Path(self.parameters.file)
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            found = (
                bot.system_words(error)
                if isinstance(error, OSError)
                else f"{path.name}: {error.reason}"
            )
            raise bot.wrong_setting("bot.strategy", found, bot.READABLE) from None
        self.plan = read_plan(text, path.name, self.parameters.set)
        if self.plan.bars_needed > MOST_DAYS:
            found = f"{self.plan.bars_needed} days"
            raise bot.wrong_setting(path.name, found, f"at most {MOST_DAYS} days before a decision")
        self.warnings = self.plan.warnings
        self.past_days = self.plan.bars_needed  # the bot fetches so many closed days each morning
        self._decided: dict[str, Any] = {}

    def on_bar(self, view: StrategyView, bar: Bar) -> OrderRequest | None:
        """Decide once a day, should the days have come after the first trade."""
        return self._once(view, bar.close)

    def on_trade(self, view: StrategyView, trade: bot.Trade) -> OrderRequest | None:
        """Decide with the first trade of the day."""
        return self._once(view, trade.price)

    def _once(self, view: StrategyView, price: int) -> OrderRequest | None:
        if self._decided.get(view.symbol) == view.session.day:
            return None
        days = closed_days(view)
        if not days:
            return None  # they are on their way
        self._decided[view.symbol] = view.session.day
        missing = self.plan.bars_needed - len(days)
        if missing > 0:
            raise LacksDays(f"{missing} closed days are missing of {self.plan.bars_needed}")
        last = bot.previous_trading_day(view.session.day)
        if days[-1].start.date() != last:
            raise LacksDays(f"the newest day is {days[-1].start:%Y-%m-%d}, not {last}")
        decision = Judge(self.plan, columns_of(days)).at(len(days) - 1)
        wish = decision.wish(view.position.quantity > 0)
        signal = f"close {last}"
        if wish == "sell":
            return view.sell(signal, "exit rule", **decision.facts)
        late = (view.now - view.session.open).total_seconds() > 60 * self.parameters.entry_minutes
        return self._buy(view, price, signal, decision) if wish == "buy" and not late else None

    def _buy(
        self, view: StrategyView, price: int, signal: str, decision: Decision
    ) -> OrderRequest | None:
        p, plan = self.parameters, self.plan
        entry = view.round_price(price * (1 + p.slippage_pct / 100), up=True)
        share = min(1 / p.stocks, plan.max_share or 1.0)
        quantity = min(int(p.budget_krw * share), view.cash_krw) // entry
        if quantity <= 0 or view.open_orders:
            return None
        exits = exit_plan(plan, view, entry)
        request = view.buy(quantity, entry, signal, ExitPlan(1), "entry rule", **decision.facts)
        return dataclasses.replace(request, plan=exits)


def exit_plan(plan: Plan, view: StrategyView, entry: int) -> ExitPlan | None:
    """Return stop, target and trail of a purchase at a price; None when the file has none."""
    if not (plan.stop_pct or plan.target_pct or plan.trail_pct):
        return None
    widest = max(plan.stop_pct or 0.0, 0.0) or plan.trail_pct or 99.0
    if plan.stop_pct and plan.trail_pct:
        widest = min(plan.stop_pct, plan.trail_pct)
    stop = min(view.round_price(max(1.0, entry * (1 - widest / 100)), up=False), entry - 1)
    target = (
        view.round_price(entry * (1 + plan.target_pct / 100), up=True) if plan.target_pct else 0
    )
    return ExitPlan(max(1, stop), target, (plan.trail_pct or 0.0) / 100)


def closed_days(view: StrategyView) -> list[Bar]:
    """Return the daily bars among the bars of a view: those that cover a whole session."""
    return [
        bar
        for bar in view.bars
        if bar.start.date() < view.session.day and (bar.end - bar.start).total_seconds() > 4 * 3600
    ]


def main(arguments: Sequence[str]) -> int:
    """Check files; print warnings and faults. Return 0 when every file can be traded."""
    parser = argparse.ArgumentParser(prog="kis_yaml.py", allow_abbrev=False)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.kis.yaml")
    parser.add_argument("--language", choices=bot.LANGUAGES, default="ko")
    options = parser.parse_args(arguments)
    code, english = 0, options.language == "en"
    for file in options.files:
        try:
            plan = read_plan(file.read_text("utf-8"), file.name)
        except SettingsError as error:
            code = 1
            print(*(fault.said(options.language) for fault in error.faults), sep="\n")
            continue
        except (OSError, UnicodeDecodeError) as error:
            said = bot.system_words(error) if isinstance(error, OSError) else bot.READABLE
            code = 1
            print(bot.in_language(said, options.language))
            continue
        few = plan.bars_needed <= MOST_DAYS
        code = max(code, int(not few))
        can = "can be traded" if few else f"needs more than {MOST_DAYS}"
        able = "매매할 수 있습니다" if few else f"매매할 수 없습니다(일봉은 {MOST_DAYS}개까지)"
        told = f"{file}: {can}; {plan.bars_needed:,} closed days"
        korean = f"{file}: {able}. 판단에 마감된 일봉 {plan.bars_needed:,}개가 필요합니다"
        warnings = (bot.in_language(each, options.language) for each in plan.warnings)
        print(*warnings, told if english else korean, sep="\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
