"""Strategy files as other people write them: 30 spoilt ones are answered, 20 odd ones are read.

Each answer names line and field. A stop that stands in a file is kept, or the file is refused.
"""

import sys
from pathlib import Path

import pytest

import kis_realtime_trading as bot

FOLDER = Path(bot.__file__).parent / "strategies"
sys.path += [str(FOLDER)] if str(FOLDER) not in sys.path else []
import kis_yaml  # noqa: E402

GOOD = """\
version: "1.0"
metadata:
  name: 골든 크로스
strategy:
  id: golden
  params:
    days: {default: 5, min: 2, max: 50, type: int}
  indicators:
    - {id: sma, alias: line, params: {period: $days}}
    - {id: rsi, alias: strength, params: {period: 14}}
  entry:
    logic: AND
    conditions:
      - {indicator: close, operator: cross_above, compare_to: line}
      - {indicator: strength, operator: less_than, value: 70}
  exit:
    logic: OR
    conditions:
      - {indicator: close, operator: cross_below, compare_to: line}
risk:
  stop_loss: {enabled: true, percent: 5}
  take_profit: {enabled: true, percent: 10}
  trailing_stop: {enabled: false, percent: 3}
"""
DEEP = "[" * 1_200
# what is replaced, by what, line and field of the answer, words of it
SPOILT = {
    "tab": ("  name: 골든", "\tname: 골든", 3, "(file)", "YAML text"),
    "no space after a colon": ("  id: golden", "  id:golden", 6, "(file)", "YAML text"),
    "quote left open": ('version: "1.0"', 'version: "1.0', 1, "(file)", "YAML text"),
    "two documents": ("risk:", "---\nrisk:", 20, "(file)", "YAML text"),
    "a zero byte": ("  name: 골든", "  name: \0골든", 3, "(file)", "special characters"),
    "brackets without end": ("golden", DEEP, 7, "(file)", "YAML text"),
    "anchor and alias": (
        "exit:\n    logic: OR", "exit: &x\n    logic: OR\n    more: *x", 1, "(file)", "written out",
    ),
    "merge": ("risk:\n", "<<: {risk: {}}\nrisk:\n", 20, "<<", "written out"),
    "code in a tag": ("golden", "!!python/name:os.system", 5, "(value)", "a text or a number"),
    "percent sign": ("percent: 5}", "percent: 5%}", 21, "risk.stop_loss", "a number"),
    "number in quotes": ("percent: 5}", 'percent: "5"}', 21, "risk.stop_loss", "a number"),
    "decimal comma": ("percent: 5}", "percent: [5,5]}", 21, "risk.stop_loss", "a number"),
    "not a number": ("percent: 5}", "percent: .nan}", 21, "(value)", "finite"),
    "endless stop": ("percent: 5}", "percent: .inf}", 21, "(value)", "finite"),
    "negative stop": ("percent: 5}", "percent: -5}", 21, "risk.stop_loss.percent", "above 0"),
    "stop of nothing": ("percent: 5}", "percent: 0}", 21, "risk.stop_loss.percent", "above 0"),
    "on as a number": ("enabled: true, percent: 5", "enabled: 1, percent: 5", 21,
                       "risk.stop_loss.enabled", "true or false"),
    "on as a text": ("enabled: true, percent: 5", 'enabled: "true", percent: 5', 21,
                     "risk.stop_loss.enabled", "true or false"),
    "stop without a switch": ("enabled: true, percent: 5", "percent: 5", 21,
                              "risk.stop_loss.enabled", "true or false"),
    "stop without anything": ("stop_loss: {enabled: true, percent: 5}", "stop_loss:", 21,
                              "risk.stop_loss", "enabled and percent"),
    "stop as a number": ("stop_loss: {enabled: true, percent: 5}", "stop_loss: 5", 21,
                         "stop_loss", "a mapping"),
    "stop twice": ("  take_profit: {enabled: true, percent: 10}",
                   "  stop_loss: {enabled: false, percent: 9}", 22, "stop_loss", "a second time"),
    "Risk in capitals": ("\nrisk:", "\nRisk:", 20, "Risk", "left edge"),
    "risk below strategy": ("\nrisk:\n", "\n  risk:\n", 20, "risk", "left edge"),
    "stop at the top": ("\nrisk:\n", "\nstopLoss: {enabled: true, percent: 5}\nrisk:\n", 20,
                        "stopLoss", "left edge"),
    "a number of 400 digits": ("value: 70", f"value: {'9' * 400}", 15, "(value)", "finite"),
    "unknown indicator": ("id: rsi", "id: 볼린저", 10, "id", "a known indicator"),
    "nested group": ("- {indicator: strength, operator: less_than, value: 70}",
                     "- logic: OR\n        conditions: [{indicator: close}]", 15, "conditions", "flat"),
    "a list as a name": ("indicator: strength", "indicator: [strength]", 15, "indicator", "a text"),
    "risk under another name": ("\nrisk:", "\nrisk_management:", 20, "risk_management", "left edge"),
    "risk in Korean": ("\nrisk:", "\n위험관리:", 20, "위험관리", "left edge"),
    "stop in Korean": ("risk:", "손절: 5\nrisk:", 20, "손절", "left edge"),
    "stop as two letters": ("risk:", "sl: 5\nrisk:", 20, "sl", "left edge"),
    "stop far below another key": ("risk:", "order:\n  - {exit: {stop_loss_pct: 5}}\nrisk:", 20, "order",
                                   "left edge"),
    "stop beside the rules": ("  entry:", "  stop_loss_pct: 5\n  entry:", 11, "stop_loss_pct", "left edge"),
    "an exit by days": ("exit:\n", "exit:\n    max_holding_days: 5\n", 17, "max_holding_days", "left edge"),
    "a fraction for a per cent": ("percent: 5}", "percent: 0.05}", 21, "risk.stop_loss.percent", "5 for 5 %"),
    "a fraction of a target": ("percent: 10}", "percent: 0.1}", 22, "risk.take_profit.percent", "5 for 5 %"),
    "commas in a number": ("value: 70}", "value: 70,000}", 15, "000", "without commas"),
    "conditions as a mapping": (
        "      - {indicator: close, operator: cross_above, compare_to: line}\n"
        "      - {indicator: strength, operator: less_than, value: 70}\n",
        "      a: {indicator: close}\n", 13, "conditions", "a mapping where",
    ),
    "no strategy": (GOOD[GOOD.index("strategy:") : GOOD.index("risk:")], "", 1, "strategy", "a mapping"),
}  # fmt: skip
# what is replaced, by what, words of a warning ("" for none), what differs in the plan
ODD = {
    "byte order mark": ("version:", "\ufeffversion:", "", {}),
    "Windows line ends": ("\n", "\r\n", "", {}),
    "old Mac line ends": ("\n", "\r", "", {}),
    "comments everywhere": ("\n", "  # 설명: a note\n", "", {}),
    "an anchor that nobody uses": ("risk:", "risk: &guard", "", {}),
    "end of document": (GOOD, GOOD + "...\n", "", {}),
    "start of document": (GOOD, "---\n" + GOOD, "", {}),
    "yes for true": ("enabled: true", "enabled: yes", "", {}),
    "on for true": ("enabled: true", "enabled: On", "", {}),
    "fraction of a per cent": ("percent: 5}", "percent: 0.5}", "", {"stop_pct": 0.5}),
    "stop from a parameter": ("percent: 5}", "percent: $days}", "", {}),
    "octal as YAML has it": ("percent: 5}", "percent: 010}", "read as 8", {"stop_pct": 8}),
    "a Korean alias with blanks": ("line", "이동 평균선", "", {}),
    "a Korean parameter in the notes": ("min: 2", "min: 2, description: '날짜: 5일'", "", {}),
    "a name in quotes with a colon": ("골든 크로스", '"골든: 크로스 #1"', "", {"name": "골든: 크로스 #1"}),
    "blocks of its own": ("risk:", "universe: [005930]\ncosts: {fee: 0.015}\nrisk:", "means nothing", {}),
    "operator in capitals": ("cross_above", "CROSS_ABOVE", "", {}),
    "version as a number": ('"1.0"', "1.0", "in quotes", {}),
    "an indicator in capitals": ("id: rsi", "id: RSI", "read as 'rsi'", {}),
    "no exit rule, only stops": (GOOD[GOOD.index("  exit:") : GOOD.index("risk:")], "", "", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_file_is_refused_with_line_and_field(name: str):
    """Never by a traceback, never by a plan without the stop that the file names."""
    old, new, line, field, words = SPOILT[name]
    assert GOOD.count(old) >= 1
    with pytest.raises(bot.SettingsError) as caught:
        kis_yaml.read_plan(GOOD.replace(old, new, 1), "f")
    found = [str(fault) for fault in caught.value.faults]
    assert any(each.startswith(f"f:{line} {field}") and words in each for each in found), found
    assert all(fault.said("ko") for fault in caught.value.faults)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_but_valid_file_keeps_its_meaning(name: str):
    """Stop, target and rules are those of the plain file; what differs is said."""
    old, new, words, other = ODD[name]
    assert GOOD.count(old) >= 1
    plain, plan = kis_yaml.read_plan(GOOD, "f"), kis_yaml.read_plan(GOOD.replace(old, new), "f")
    expected = {"stop_pct": 5, "target_pct": 10, "trail_pct": None, "name": plain.name, **other}
    assert {key: getattr(plan, key) for key in expected} == expected
    assert len(plan.entry.conditions) == 2
    assert [(rule.operator, rule.right.number) for rule in plan.entry.conditions] == [
        (rule.operator, rule.right.number) for rule in plain.entry.conditions
    ]
    assert [each.params for each in plan.indicators.values()] == [{"period": 5}, {"period": 14}]
    assert any(words in each for each in plan.warnings) if words else plan.warnings == ()


ONLY_NAMED = GOOD[: GOOD.index("risk:")].replace(
    "    days:", "    stop_loss_pct: {default: 5}\n    days:"
)


def test_a_parameter_that_sounds_like_a_stop_is_none():
    """Alone it is refused; beside a stop it is named; set to a value that nothing uses: refused."""
    with pytest.raises(bot.SettingsError) as caught:
        kis_yaml.read_plan(ONLY_NAMED, "f")
    assert str(caught.value.faults[0]).startswith("f:7 stop_loss_pct: found a parameter")
    guarded = ONLY_NAMED + GOOD[GOOD.index("risk:") :]
    plan = kis_yaml.read_plan(guarded, "f")
    assert plan.stop_pct == 5 and plan.warnings == (
        "f:7 the parameter 'stop_loss_pct' is never used",
    )
    with pytest.raises(bot.SettingsError) as caught:
        kis_yaml.read_plan(guarded, "f", {"stop_loss_pct": 3})
    assert [str(each) for each in caught.value.faults] == [
        "f:7 stop_loss_pct: found set, but no line of the file uses it, expected $name where it is "
        "meant, or no such set"
    ]


def test_a_small_per_cent_is_read_and_doubted():
    """0.3 may be meant as 30 %; it is kept as it stands, and said."""
    plan = kis_yaml.read_plan(GOOD.replace("percent: 10", "percent: 0.3"), "f")
    assert plan.target_pct == 0.3 and plan.warnings == (
        "f:22 take_profit: 0.3 is 0.3 %; for 30 % write 30",
    )


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("cross_up", "cross_above"), ("golden_cross", "cross_above"), ("dead-cross", "cross_below"),
     ("cross_down", "cross_below")],
)  # fmt: skip
def test_a_cross_is_never_guessed_the_other_way(wrong: str, meant: str):
    """The hint for a cross that is no operator names the same direction."""
    with pytest.raises(bot.SettingsError, match=f"did you mean '{meant}'"):
        kis_yaml.read_plan(GOOD.replace("cross_above", wrong), "f")


def test_the_checker_counts_the_days_a_view_can_hold(tmp_path: Path, capsys):
    """A file that no bot would trade is not called good by the checker."""
    file = tmp_path / "long.kis.yaml"
    file.write_text(GOOD.replace("period: 14", "period: 900"), "utf-8")
    assert kis_yaml.main([str(file)]) == 1
    assert (
        "매매할 수 없습니다(일봉은 480개까지). 판단에 마감된 일봉 1,152개가"
        in capsys.readouterr().out
    )


def test_there_are_enough_of_both():
    """Forty spoilt and twenty odd files."""
    assert len(SPOILT) >= 40 and len(ODD) >= 20


def test_a_file_on_the_disk_is_read_as_it_is(tmp_path: Path):
    """UTF-8 with and without a mark; another encoding is named, not guessed."""
    file = tmp_path / "전략.kis.yaml"
    for encoding in ("utf-8", "utf-8-sig"):
        file.write_text(GOOD, encoding)
        strategy = bot.load_strategy(str(file), {})
        assert strategy.plan.name == "골든 크로스" and strategy.plan.stop_pct == 5
    file.write_text(GOOD, "cp949")
    with pytest.raises(bot.SettingsError, match="UTF-8"):
        bot.load_strategy(str(file), {})
