"""Names of stocks: shipped, added by the user, searched."""

from pathlib import Path

import pytest

import kis_realtime_trading as bot
from companions import names
from companions.options import build_parser


def test_the_shipped_codes_are_codes_and_each_has_one_name():
    """Six characters, a name, no doubled entry."""
    table = names.shipped()
    assert len(table) == names._TEXT.replace("\n", "|").strip("|").count("|") + 1
    assert all(len(code) == 6 and code.isalnum() and name for code, name in table.items())
    assert len(set(table.values())) == len(table)


def test_the_users_own_file_goes_first_and_odd_lines_are_skipped(tmp_path: Path):
    """CODE,NAME a line, with or without a byte order mark."""
    (tmp_path / names.FILE).write_text("005930,삼전\nnonsense\n123456,새 종목\n", "utf-8-sig")
    table = names.names_of(tmp_path)
    assert (table["005930"], table["123456"]) == ("삼전", "새 종목")
    assert table["000660"] == "SK하이닉스" and "nonsense" not in table


@pytest.mark.parametrize(
    ("word", "first"),
    [
        ("삼성전자", "005930"),
        ("005930", "005930"),
        ("kodex200", "069500"),
        ("sk하이", "000660"),
        ("네이버", "035420"),
        ("엘지전자", "066570"),
        ("코덱스 200", "069500"),
        ("삼전", "005930"),
        ("하이닉스", "000660"),
        ("케이티앤지", "033780"),
        ("현대자동차", "005380"),
    ],
)
def test_a_word_finds_by_name_or_code_whatever_its_case(word: str, first: str):
    """Capitals and blanks do not matter; names that begin with the word come first."""
    assert names.find(word)[0][0] == first


def test_nothing_finds_nothing():
    """An empty word lists no stocks."""
    assert names.find("  ") == []


def test_find_is_a_command(capsys: pytest.CaptureFixture[str]):
    """`--find` prints code and name, and says what to do when there is none."""
    from companions import command_line

    options = build_parser().parse_args(["--find", "에코프로"])
    assert command_line.run_command(options) == 0
    assert "247540  에코프로비엠" in capsys.readouterr().out
    options = build_parser().parse_args(["--find", "없는종목"])
    with pytest.raises(bot.BotError, match="없는종목"):
        command_line.run_command(options)


def test_a_message_names_its_stocks_and_nothing_else_changes() -> None:
    """A code alone becomes a name; prices, times, order numbers and account tails stay."""
    known = {"005930": "삼성전자", "005380": "현대차", "0001A0": "어느ETF", "151100": "가격아님"}
    said = "09:40:07 ✔ 005930 19주 151,100 · #0000151100 · ******66 · 20260105 (005380), 0001A0 151100원"
    assert names.with_names(said, known) == (
        "09:40:07 ✔ 삼성전자 19주 151,100 · #0000151100 · ******66 · 20260105 (현대차), 어느ETF 151100원"
    )
    assert names.with_names("111111 unknown", known) == "111111 unknown"


def test_a_name_of_the_users_own_file_goes_before_what_it_sounds_like(tmp_path: Path):
    """Who calls it so in his file finds it so."""
    (tmp_path / names.FILE).write_text("005930,삼전\n")
    assert names.code_of("삼전", tmp_path) == "005930"
    assert names.find("삼전", tmp_path)[0] == ("005930", "삼전")


def test_a_wrong_name_is_answered_with_the_nearest():
    """One stock that holds the word is meant; several are listed; nothing near: its code."""
    assert names.known_code("에코프로비") == "247540"
    assert names.known_code("") == "" and names.known_code("123456") == "123456"
    for word, answer in (
        ("삼성전지", "삼성전자 005930"),
        ("삼성", "삼성SDI 006400"),
        ("없는회사", "여섯 자리"),
    ):
        with pytest.raises(bot.BotError) as error:
            names.known_code(word)
        assert answer in error.value.said("ko")
