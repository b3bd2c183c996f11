"""One table of the broker's codes: what each means to a question, an order, the socket."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_house import FUNCTIONS, TREE, section_of

import kis_realtime_trading as bot

# The same by another hand: sets and patterns as they are told by the documents and by measuring.
QUESTION = {
    "pace": {"EGW00201", "EGW00215"}, "token": {"EGW00121", "EGW00122", "EGW00123"},
    "appkey": {"EGW00102", "EGW00103"}, "secret": {"EGW00104", "EGW00105"},
    "passing": {"EGW00001", "EGW00002", "EGW00300", "EGW00301", "90020000"},
    "empty": {"KIOK0560", "70070000", "APBK1631"}, "other": {"OPSQ2001"},
}  # fmt: skip
SOCKET = {
    "fine": {"OPSP0000", "OPSP0001", "OPSP0002", "OPSP0003"}, "key": {"OPSP0011", "OPSP9994"},
    "later": {"OPSP0007", "OPSP0009", "OPSP8999", "OPSP9993", "OPSP9995"}, "in-use": {"OPSP8996"},
}  # fmt: skip
ACCEPTED = {"APBK0013", "40600000", "40590000", "40630000"}
REFUSED = re.compile(r"APBK|APTR|APAC|KIER|4\d{7}$|90070000|OPSQ200[0-2]|IGW0000[279]")
AWAY = re.compile(r"EGW00(1[0-4]\d|20[15-9]|21[0-5]|003|004)$|EGW0200[4-7]|EGW00304")


def by_another_hand(code: str) -> tuple[str, str, str]:
    """Return the three meanings of a code."""
    question = next((word for word, codes in QUESTION.items() if code in codes), "")
    socket = next((word for word, codes in SOCKET.items() if code in codes), "")
    if code in ACCEPTED:
        return question, "accepted", socket
    order = "refused" if REFUSED.match(code) else "away" if AWAY.match(code) else ""
    return question, order, socket


def by_the_table(code: str) -> tuple[str, str, str]:
    """Return the three meanings of a code by the bot's table."""
    return (
        bot.meaning(code, "question"), bot.meaning(code, "order"), bot.meaning(code, "socket"),
    )  # fmt: skip


NAMED = sorted(
    ACCEPTED.union(*QUESTION.values(), *SOCKET.values())
    | {f"EGW{n:05d}" for n in range(2_100)}
    | {f"OPSP{n:04d}" for n in range(10_000)}
    | {f"{head}{tail}" for head in ("APBK", "APTR", "APAC", "KIER", "OPSQ", "IGW0", "MCA0") for tail in ("0000", "0007", "2000", "1631", "")}
    | {"", "40000000", "4000000", "400000000", "90070000", "90020001", "OPSQ2003", "IGW00008", "HTTP 500"}
)  # fmt: skip


def test_every_code_means_what_it_meant():
    """12,000 codes by the table and by another hand."""
    assert [code for code in NAMED if by_the_table(code) != by_another_hand(code)] == []


@given(st.text(alphabet="AEGWPBKTRIOSQMCH0123456789", max_size=9))
def test_any_code_means_the_same_to_both_hands(code):
    """Also one that nobody has seen: the rest is refused, UNKNOWN, or refused."""
    assert by_the_table(code) == by_another_hand(code)


@pytest.mark.parametrize("code", ["", "EGW00302", "NEVER", "HTTP 502"])
def test_what_nobody_knows_leaves_an_order_unknown(code):
    """Only a named code may say that nothing was accepted."""
    assert bot.meaning(code, "order") == ""


# Codes that we say ourselves, in the broker's words, stand where they are said; all others in the table.
SAID_BY_US = {"EGW00133", "EGW00121", "EGW02006"}


def test_codes_stand_in_the_table_only():
    """No section but the first decides by a code of its own."""
    texts = {
        id(node.body[0].value)
        for node in ast.walk(TREE)
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and isinstance(node.body[0], ast.Expr)
    }
    found = {
        node.value
        for node in ast.walk(TREE)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts
        and section_of(node.lineno) != 1 and re.match(r"(EGW|OPS[PQ]|APBK|APTR|IGW|KIER)", node.value)
    }  # fmt: skip
    assert found == SAID_BY_US
