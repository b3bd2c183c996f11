"""What somebody who mistyped is told: the wrong word, the nearest right one, and nothing done."""

import re
import unicodedata

import pytest

import kis_realtime_trading as bot
from companions.command_line import main
from companions.options import (
    EXIT_WRONG_WORDS,
    MAKES_NO_USE_OF,
    WORDS_KNOWN,
    build_parser,
    read_arguments,
    wrong_words,
)

# what is typed -> what the answer holds, in Korean and in English
MISTAKES = {
    "--papr": ("혹시 --paper입니까?", "Did you mean --paper?"),
    "--pap": ("혹시 --paper입니까?", "Did you mean --paper?"),
    "--liv": ("혹시 --live입니까?", "Did you mean --live?"),
    "paper": ("혹시 --paper입니까?", "Did you mean --paper?"),
    "—check": ("혹시 --check입니까?", "Did you mean --check?"),
    "-demo": ("혹시 --demo입니까?", "Did you mean --demo?"),
    "--Report": ("혹시 --report입니까?", "Did you mean --report?"),
    "--one_day --paper": ("혹시 --one-day입니까?", "Did you mean --one-day?"),
    "--paper --live": ("한 번에 하나만", "One command at a time: --paper, --live"),
    "--paper --speed 10": ("함께 쓰는 명령: --demo", "It goes with --demo."),
    "--demo --config x.yaml": ("--demo에서는 쓰지 않습니다", "--demo makes no use of --config"),
    "--demo --speed 0": ("1부터 1,000까지", "1 to 1,000"),
    "--demo --speed 2000": ("1부터 1,000까지", "1 to 1,000"),
    "--demo --speed nan": ("1부터 1,000까지", "1 to 1,000"),
    "--page --port 99999": ("1부터 65,535까지", "1 to 65,535"),
    "--level OFF": ("ACTIVE, ENTRIES_OFF", "'OFF' is none of ACTIVE, ENTRIES_OFF"),
    "--level flatten": (": FLATTEN_AND_HALT", "is none of FLATTEN_AND_HALT"),
    "--report --from yesterday": ("예: 2026-11-27", "no day as 2026-11-27"),
    "--report --to 20261131": ("예: 2026-11-27", "no day as 2026-11-27"),
    "--why": ("값이 필요합니다: --why ORDER", "--why needs a value: --why ORDER"),
    "--demo=5": ("값을 받지 않습니다", "takes no value"),
    "--demo --demo": ("두 번", "twice"),
    "--paper now": ("'now'", "'now'"),
    "": ("예: --demo", "for example --demo"),
}

HELPS = ("--help", "--version")


@pytest.mark.parametrize("typed", MISTAKES)
@pytest.mark.parametrize("language", bot.LANGUAGES)
def test_a_typing_error_is_named_with_what_was_meant(
    tmp_path, monkeypatch, capsys, typed, language
):
    """Exit code 2, one sentence and the way to the help, no word of argparse, nothing written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main([*typed.split(), "--language", language])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (EXIT_WRONG_WORDS, "")
    assert MISTAKES[typed][language == "en"] in said.err
    assert said.err.count("\n") == 2 and said.err.endswith("kis_realtime_trading.py --help\n")
    assert not any(word in said.err for word in ("usage", "argument", "invalid", "expected"))
    assert not [*tmp_path.iterdir()]


def test_no_abbreviation_is_ever_taken():
    """A word that is cut short starts nothing, in each program with a command line."""
    for flag in WORDS_KNOWN:
        short = flag[:-1]
        if short not in WORDS_KNOWN:
            assert wrong_words([short]) is not None, short
            assert build_parser().parse_known_args([short])[1] == [short]


def test_each_option_goes_with_the_commands_that_it_names_and_no_other():
    """Every pair of a command and an option is taken or refused as the table says."""
    commands = [flag for flag, option in WORDS_KNOWN.items() if not option.beside]
    for flag, option in WORDS_KNOWN.items():
        assert {*option.beside.split()} <= {*commands, "*"}, flag
        for command in commands:
            wrong = wrong_words([command, flag])
            useless = flag in MAKES_NO_USE_OF.get(command, ())
            fits = option.beside == "*" or command in option.beside.split()
            if option.beside:
                assert (wrong is None) is (fits and not useless), (command, flag)
    assert wrong_words(["--demo", "--page", "--port=1"]) is None


@pytest.mark.parametrize("language", bot.LANGUAGES)
def test_the_help_names_every_option_once_and_fits_a_terminal(capsys, language):
    """Groups, examples and exit codes in the language asked for; no line is wider than 80 cells."""
    with pytest.raises(SystemExit) as ended:
        main(["--help", "--language", language])
    lines = capsys.readouterr().out.splitlines()
    assert ended.value.code == 0
    firsts = [line.split()[0] for line in lines if line.startswith(("  --", "    --"))]
    assert firsts == list(WORDS_KNOWN)
    wide = [sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in line) for line in lines]
    assert max(wide) <= 80
    for code in (0, 1, 2, 70, 74, 75, 78, 130):
        assert any(f"  {code} " in line for line in lines), code
    korean = any("가" <= letter <= "힣" for line in lines for letter in line)
    assert korean is (language == "ko")


def test_the_settings_say_which_language_is_spoken(tmp_path, monkeypatch, capsys):
    """`language: en` of the settings holds for mistakes and help; --language goes before it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / bot.SETTINGS_NAME).write_text("bot:\n  language: en\n")
    for arguments, told in ((["--papr"], "Did you mean"), (["--papr", "--language=ko"], "혹시")):
        with pytest.raises(SystemExit):
            main(arguments)
        assert told in capsys.readouterr().err


def test_words_that_are_right_are_read(monkeypatch, tmp_path):
    """Values behind a blank or `=`, numbers with commas, levels in any case."""
    monkeypatch.chdir(tmp_path)
    read = read_arguments(
        ["--backtest", "--money", "5,000,000", "--days=3", "--from", "2026-01-02"]
    )
    assert (read.money, read.days, read.first, read.speak) == (5_000_000, 3, "2026-01-02", "ko")
    assert read_arguments(["--level", "entries_off"]).level == "ENTRIES_OFF"


def test_the_bots_file_takes_what_the_table_gives_it_and_nothing_else():
    """Its own short reader and the table agree about every pair of words; no value is lost."""
    own = set(bot.OWN_COMMANDS)
    for command in own:
        for flag, option in WORDS_KNOWN.items():
            words = [command, flag, *(["ko"] if option.value else [])]
            fits = flag not in own and wrong_words(words) is None and not flag.startswith(HELPS)
            read = bot.own_options(words)
            assert (read is not None) is fits, words
            if read is not None:
                asked = vars(read_arguments(words))
                assert vars(read).items() <= asked.items(), words
    wrong = (
        [], ["--paper", "--live"], ["--paper", "--paper"], ["--paper", "--strategy"],
        ["--paper=1"], ["--paper", "x"], ["--pap"], ["--paper", "--language", "de"], ["--", "--paper"],
    )  # fmt: skip
    assert [words for words in wrong if bot.own_options(words) is not None] == []


@pytest.mark.parametrize("language", bot.LANGUAGES)
def test_the_ten_of_the_guide_are_answered_as_it_says(tmp_path, monkeypatch, capsys, language):
    """Word by word, so that the table is never stale."""
    monkeypatch.chdir(tmp_path)
    guide = (bot.HERE / "docs" / language / "troubleshooting.md").read_text("utf-8")
    rows = re.findall(r"^\| `([^`|]+)` \| (.+) \|$", guide, re.M)
    assert len(rows) >= 10
    for typed, answer in rows:
        with pytest.raises(SystemExit):
            main([*typed.split(), "--language", language])
        assert capsys.readouterr().err.splitlines()[0] == answer
