"""What a Korean trader reads is Korean: the numbers of every refusal, the names of every hold."""

import ast
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import kis_realtime_trading as bot

PLACES = {  # what stands in a text where a value is put in
    "intent.symbol": "005930", "name": "last trade", "intent.purpose": "entry", "intent.side": "SELL",
    "intent.kind.name": "MARKET", "facts.phase": "closing auction", "far": "",
    "facts.paused_until": "10:30", "intent.quantity": "7", "price": "70100", "where": " in 005930",
}  # fmt: skip


def filled(text: ast.JoinedStr) -> str:
    """Return a text of the rules with a value in each place."""
    parts = []
    for part in text.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value))
        elif isinstance(part, ast.FormattedValue):
            late = isinstance(part.value, ast.IfExp)
            shown = ", too late for entries" if late else PLACES.get(ast.unparse(part.value), "7")
            parts.append(shown)
    return "".join(parts)


def refusals() -> list[str]:
    """Return the text of each refusal that the rules can give."""
    tree = ast.parse(Path(bot.__file__).read_text("utf-8"))
    rules = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("rule_")]
    texts = []
    for node in (each for rule in rules for each in ast.walk(rule)):
        if isinstance(node, ast.JoinedStr):
            texts.append(filled(node))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Refusal":
            texts += [arg.value for arg in node.args[1:] if isinstance(arg, ast.Constant)]
    return sorted({text for text in texts if " " in text and text[0] != " "})  # a part of another


BARRED = {*bot._BLOCKED_STATES.values(), *(why for *_, why in bot._BLOCKED_FLAGS)}


WON = ("7 won, at most 7", "7 won in all, at most 7")  # of the other two limits by the same rule


@pytest.mark.parametrize("text", [*refusals(), *WON, *sorted(BARRED), *map(str, bot.Phase)])
def test_the_numbers_of_a_refusal_are_told_in_korean(text: str):
    """No English word is left; a refusal that is added needs its words."""
    korean = bot.in_korean(text)
    assert re.search("[가-힣]", korean), korean
    assert re.findall("[a-z]{3,}", korean) == []


def test_holds_are_told_by_their_words():
    """Several at once as well; a text that only holds a comma stays as it is."""
    assert bot.in_korean("orders, feed") == "주문 내역을 다시 확인하는 중, 실시간 시세 끊김"
    assert bot.in_korean("stop") == "손절"
    assert bot.in_korean("one, two") == "one, two"


def test_a_long_word_of_a_broker_is_not_searched_through():
    """3,000 characters without a space cost a second before; what is beyond stays as it came."""
    long = "no answer to: price 005930: " + "x" * 100_000
    began = time.process_time()
    told = bot.in_korean(long)
    assert time.process_time() - began < 0.5
    assert told.endswith("x" * 99_000) and "no answer to" not in told


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        ("control file: 'level ENTRIES_OFF'", "명령행"), ("control file: 'rm -rf'", "알 수 없는 명령 'rm -rf'"),
        ("no order abc waits for an answer", "abc: 답을 기다리는 것이 없습니다"),
        ("no corporate action of 005930 waits for 'keep'", "005930: 답을 기다리는 것이 없습니다"),
        ("/j.sqlite3 cannot be written: database or disk is full", "/j.sqlite3에 쓸 수 없음: 디스크가 가득 참"),
        ("/j cannot be written: the disk does not answer", "/j에 쓸 수 없음: 디스크가 응답하지 않음"),
        ("005380 is not held: nothing is sold", "005380: 보유하지 않아 팔 것이 없습니다"),
        ("KIS cannot be reached: TimeoutError", "증권사가 응답하지 않습니다(시간 초과)"),
        ("no connection: ClientConnectorDNSError", "인터넷에 연결되지 않습니다"),
        ("no order list for 12 min", "주문 목록을 12분 동안 받지 못했습니다"),
        ("decided 157 s ago", "판단한 지 157초가 지나 내지 않았습니다"),
        ("entries were stopped before it left", "보내기 전에 매수가 막힘"),
        ("trading was interrupted before it left", "보내기 전에 거래가 멈춤"),
        ("no answer to: orders: IGW00002: 틀림", "증권사가 계좌 조회를 거부합니다: IGW00002: 틀림"),
        ("no answer to: orders 2026-11-20: X: y", "증권사가 계좌 조회를 거부합니다: X: y"),
        ("no answer to: price 005930: X: y", "증권사가 005930 현재가 조회를 거부합니다: X: y"),
    ],
)  # fmt: skip
def test_what_the_owner_asked_for_in_vain_is_said_in_korean(english: str, korean: str):
    """The answers of --level and its kin, and of the phone's commands, leave no English."""
    assert bot.in_korean(english) == korean


def test_what_is_left_at_the_end_is_named():
    """A person knows 삼성전자; the code stands where nobody knows a name."""
    shares = {"005930": SimpleNamespace(quantity=7), "000660": SimpleNamespace(quantity=1)}
    order = SimpleNamespace(intent=SimpleNamespace(symbol="005930"), order_no="0000000012")
    ledger: Any = SimpleNamespace(held=lambda: shares, open_orders=lambda: [order])
    told = bot.left_behind(ledger, "", lambda code: {"005930": "삼성전자"}.get(code, code))
    assert told == (
        "; held without a guard: 삼성전자 7, 000660 1; orders left at the broker: 삼성전자 0000000012"
    )
