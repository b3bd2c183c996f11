"""A mistyped command line is answered in the user's language, and names what may have been meant."""

import pytest

from venues.cli import build_parser, main

SAID = {
    "kimch": ("혹시 kimchi입니까?", "Did you mean kimchi?"),
    "kimchi --oncee": ("혹시 --once입니까?", "Did you mean --once?"),
    "kimchi --on": ("", ""),  # short for --once: no mistake
    "kimchi --hours x": ("읽을 수 없는 값입니다: x", "cannot be read: x"),
    "kimchi --hours": ("값이 필요합니다", "a value is missing"),
    "report --day 20": ("읽을 수 없는 값입니다: 20", "cannot be read: 20"),
    "orders place upbit buy": ("빠진 것: symbol", "missing: symbol"),
    "orders place upbit by KRW-BTC": ("혹시 buy입니까?", "Did you mean buy?"),
    "orders settle upbit 3": ("하나가 필요합니다: --never --number", "is needed: --never --number"),
    "orders settle upbit 3 --never --number 4": ("함께 쓸 수 없습니다", "not together with --never"),
    "conditions --l": ("어느 옵션인지", "could be any of"),
}  # fmt: skip


@pytest.mark.parametrize("typed", SAID)
@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_mistake_is_answered_in_the_language_of_the_user(capsys, typed, language):
    """Exit 2, one sentence and where the help stands; nothing of argparse's English; a short form is none."""
    words = [*typed.split(), *(["--language", "en"] if language == "en" else [])]
    expected = SAID[typed][language == "en"]
    if not expected:
        assert build_parser(language).parse_args(words).once
        return
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert expected in said.err and "--help" in said.err and not said.out
    assert "usage" not in said.err and "argument" not in said.err


@pytest.mark.parametrize(("language", "words"), [("ko", ("사용법: ", "옵션:", "이 도움말")), ("en", ("usage: ", "options:", "show this help"))])  # fmt: skip
def test_the_help_is_of_one_language(capsys, language, words):
    """Headings too, also of the commands below."""
    for command in ([], ["orders"], ["orders", "place"]):
        with pytest.raises(SystemExit) as ended:
            main([*command, "--help", *(["--language", "en"] if language == "en" else [])])
        shown = capsys.readouterr().out
        assert ended.value.code == 0 and all(word in shown for word in words)
