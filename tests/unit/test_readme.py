"""What README, its Korean twin and the examples name exists, and what exists is named there."""

import argparse
import re
import shlex
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import kis_realtime_trading as bot
from companions import simulator
from companions.options import build_parser, wrong_words

ROOT = Path(bot.__file__).resolve().parent
PAGES = ("README.md", "README.ko.md")
TOPICS = sorted(path.name for path in (ROOT / "docs" / "en").glob("*.md"))
GUIDES = {
    language: (readme, *(f"docs/{language}/{topic}" for topic in TOPICS))
    for language, readme in zip(("en", "ko"), PAGES, strict=True)
}
ALL = (*GUIDES["en"], *GUIDES["ko"], "CHANGELOG.md", "strategies/README.md")
TEXT = {name: (ROOT / name).read_text(encoding="utf-8") for name in ALL}
GUIDE = {language: "\n".join(TEXT[name] for name in names) for language, names in GUIDES.items()}
LANGUAGES = tuple(GUIDES)
EXAMPLE = (ROOT / "kis_devlp.yaml.example").read_text(encoding="utf-8")
SET_UP = "python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt && "
DEMO = SET_UP + ".venv/bin/python kis_realtime_trading.py --demo"
TESTS = SET_UP + ".venv/bin/python -m pytest -n auto"
# files that a user makes by following the page
MADE = {
    "live-NAME.yaml", "live-이름.yaml", "live-mine.yaml", "live-keys.yaml", "kis_devlp.yaml",
    "strategies/vwap_cross.py", "rehearsal/kis_devlp.yaml", "FILE.py", "day.png", "days.csv", "frames.txt",
    "~/KIS/config/kis_devlp.yaml", "path/to/file.py", "파일.py", "FILE.kis.yaml", "venues.yaml", ".kis.yaml", "kis_simulator.py",
}  # fmt: skip


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Return the long options of a parser."""
    return {o for action in parser._actions for o in action.option_strings if o.startswith("--")}


BOT_OPTIONS = options_of(build_parser())


OF_VENUES = "".join(
    (ROOT / "venues" / name).read_text("utf-8") for name in ("cli.py", "options.py")
)


def commands(text: str) -> list[str]:
    """Return the indented lines that run something, without their comment."""
    lines = re.findall(r"^ {4,}(\.venv/bin/\S.*|python3 .*|cp .*|install .*|sudo .*)$", text, re.M)
    return [line.partition("  #")[0].rstrip() for line in lines]


def runs(text: str) -> list[list[str]]:
    """Return the words of each call of a program of ours: its file and its arguments."""
    found = []
    for command in commands(text):
        for part in re.split(r"&&|\||<", command):
            words = shlex.split(part)
            if words[1:2] == ["-m"] and words[2].split(".")[0] in ("companions", "venues"):
                words[1:3] = [f"{words[2].replace('.', '/')}/__init__.py"]
            if len(words) > 1 and words[0].endswith("python") and words[1].endswith(".py"):
                found.append(words[1:])
    return found


def slug(title: str) -> str:
    """Return the anchor of a heading as it is made for links."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_the_two_commands_are_single_lines(page):
    """Each does all set-up itself, so that either may come first, and again."""
    lines = TEXT[page].splitlines()
    assert [lines.count("    " + each) for each in (DEMO, TESTS)] == [1, 1]
    assert lines.index("    " + DEMO) < 20


@pytest.mark.parametrize("page", ALL)
def test_every_command_is_understood(page):
    """Each call names a file that exists and arguments that its parser takes."""
    for file, *arguments in runs(TEXT[page]):
        assert (ROOT / file).is_file(), file
        if file == "kis_realtime_trading.py":
            assert wrong_words(arguments) is None
            build_parser().parse_args(arguments)
        elif file == "companions/simulator/__init__.py":
            simulator.build_parser().parse_args(arguments)
        else:
            venues = file == "venues/__init__.py"
            source = OF_VENUES if venues else (ROOT / file).read_text(encoding="utf-8")
            named = [word for word in arguments if word.startswith("--")]
            assert [word for word in named if f'"{word}"' not in source] == []


@pytest.mark.parametrize("page", range(len(TOPICS) + 1), ids=[PAGES[0], *TOPICS])
def test_both_languages_show_the_same_commands_and_code(page):
    """What is typed, printed and programmed is the same text in both; each page has its twin."""
    english, korean = (TEXT[names[page]] for names in GUIDES.values())
    assert commands(english) == commands(korean)
    blocks = [re.findall(r"^```python\n(.*?)^```", text, re.M | re.S) for text in (english, korean)]
    assert blocks[0] == blocks[1]
    figures = [
        [row.split() for row in re.findall(r"^    +\S+ +([\d,]+ +[\d,]+)$", text, re.M)]
        for text in (english, korean)
    ]
    assert figures[0] == figures[1]
    assert english.count("\n## ") == korean.count("\n## ")
    assert english.count("\n|") == korean.count("\n|")


def test_every_page_of_the_guide_is_linked_from_the_first():
    """A page that nothing leads to is not read; a page without its twin is not found."""
    assert sorted(path.name for path in (ROOT / "docs" / "ko").glob("*.md")) == TOPICS
    for language, (readme, *pages) in GUIDES.items():
        assert [page for page in pages if f"]({page})" not in TEXT[readme]] == [], language


@pytest.mark.parametrize("name", [*ALL, "kis_devlp.yaml.example", ".env.example"])
def test_every_option_named_exists(name):
    """Options in the prose are options of the bot; those of other programs stand in commands."""
    text = (ROOT / name).read_text(encoding="utf-8")
    others = {
        word for file, *rest in runs(text) if file != "kis_realtime_trading.py" for word in rest
    }
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - others
    named -= {"--now", "--papr", "--pap"}  # of systemctl; a mistake that is explained
    named -= set(re.findall(r'"(--[a-z-]+)"', OF_VENUES))
    assert named - BOT_OPTIONS == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_option_of_the_bot_is_explained(language):
    """The table of the command line is complete."""
    table = "\n".join(line for line in GUIDE[language].splitlines() if line.startswith("|"))
    assert {option for option in BOT_OPTIONS if f"`{option}" not in table} == set()


@pytest.mark.parametrize("name", ALL)
def test_links_lead_somewhere(name):
    """Files exist and headings do."""
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXT[name]):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.is_file(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
            assert anchor in {slug(title) for title in titles}, target


@pytest.mark.parametrize("name", [*ALL, "kis_devlp.yaml.example", ".env.example"])
def test_files_named_exist(name):
    """Names of files in the text are names of files here, or of files that the user makes."""
    text = (ROOT / name).read_text(encoding="utf-8")
    pattern = r"(?:[\w.~-]+/)*[\w.-]+\.(?:py|md|yaml\.example|yaml|txt|png)\b"
    named = {each for each in re.findall(pattern, text) if not each.startswith("//")} - MADE
    places = (ROOT, ROOT / "tests", ROOT / "tests" / "campaigns", (ROOT / name).parent)
    assert {
        each for each in named if not any((place / each).is_file() for place in places)
    } == set()


@pytest.mark.parametrize("page", PAGES)
def test_pictures_are_pictures(page):
    """The pictures shown are PNG files."""
    shown = re.findall(r"!\[.+?\]\((.+?)\)", TEXT[page])
    assert shown and all((ROOT / each).read_bytes()[:4] == b"\x89PNG" for each in shown)


@pytest.mark.parametrize("language", LANGUAGES)
def test_settings_named_exist_with_the_default_stated(language):
    """The table of settings: keys of BotSettings and Limits, and their defaults."""
    rows = re.findall(r"^\| (`[a-z_.`, ]+`) \| .* \| (.+?) \|$", GUIDE[language], re.M)
    assert len(rows) > 10
    for keys, defaults in rows:
        stated = [each.strip("` ") for each in defaults.split(", ")]
        for at, key in enumerate(re.findall(r"`([a-z_.]+)`", keys)):
            model = bot.Limits if key.startswith("limits.") else bot.BotSettings
            field = model.model_fields[key.removeprefix("limits.")]
            if key == "parameters":
                continue
            told = stated[min(at, len(stated) - 1)]
            wanted = field.get_default()
            shown = f"{wanted:%H:%M}" if hasattr(wanted, "hour") else str(wanted)
            assert told == shown or (field.is_required() and told in ("none", "없음")), key


@pytest.mark.parametrize("model", [bot.BotSettings, bot.Limits])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_setting_is_explained(language, model):
    """In the page or in the example file that it points to."""
    text = GUIDE[language] + EXAMPLE
    assert [key for key in model.model_fields if not re.search(rf"\b{key}\b", text)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_environment_variables_named_exist(language):
    """Variables of secrets are those that the program reads."""
    known = {*bot.ENVIRONMENT_KEYS, *bot.TELEGRAM_KEYS}
    assert set(re.findall(r"\b(?:KIS|TELEGRAM)_[A-Z_]+\b", GUIDE[language])) <= known


@pytest.mark.parametrize("language", LANGUAGES)
def test_exit_codes_are_the_programs(language):
    """The table lists every exit code of the file, and 0, 2 and 130."""
    codes = {
        value
        for name, value in vars(bot).items()
        if name.startswith("EXIT_") and type(value) is int
    }
    told = {int(each) for each in re.findall(r"^\| (\d{1,3}) \|", GUIDE[language], re.M)}
    assert told == codes | {0, 2, 130}


@pytest.mark.parametrize("language", LANGUAGES)
def test_levels_and_places_named_exist(language):
    """Every level of the kill switch is told; classes and methods named exist."""
    told = set(re.findall(r"--level ([A-Z_]+)", GUIDE[language])) - {"LEVEL", "OFF"}
    assert told == set(bot.KillLevel.__members__)
    for name in ("TradingStrategy", "ExitPlan", "Secret", "Ledger", "Trader"):
        assert name in GUIDE[language] and hasattr(bot, name)
    assert "KISOrder._send" in GUIDE[language] and hasattr(bot.KISOrder, "_send")


@pytest.mark.parametrize("language", LANGUAGES)
def test_figures_in_the_text_are_the_programs(language):
    """Numbers that the text repeats from the code."""
    facts = {
        "300": build_parser().get_default("speed") == 300,
        "24": timedelta(hours=24) == bot.ACKNOWLEDGED_FOR,
        "30": timedelta(minutes=30) == bot.START_BEFORE_OPEN,
        "180": bot.PROOF_OF_ABSENCE_S == 180,
        "10": bot.QUARANTINE_AFTER_S == 10 * 60,
        "13": 1 + 3 * 13 <= bot.MAX_REGISTRATIONS < 1 + 3 * 14,
        "2027-12-31": bot.CALENDAR_END.isoformat() == "2027-12-31",
    }
    for figure, holds in facts.items():
        assert holds and figure in GUIDE[language], figure
    assert [(below, float(part)) for below, _, part in bot.LIVE_RAMP] == [(5, 1.0), (15, 0.1)]
    assert bot.LIVE_RAMP[0][1] == 1


def test_the_version_has_an_entry_in_the_changes():
    """The newest numbered entry is the version of the file; above it only what is not released."""
    entries = re.findall(r"^## (\S+)", TEXT["CHANGELOG.md"], re.M)
    assert entries[entries[0] == "Unreleased"] == bot.__version__


def test_the_environment_example_names_every_variable():
    """Variables of .env.example are those that the program reads, all of them."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = re.findall(r"^#([A-Z_]+)=", text, re.M)
    assert sorted(named) == sorted([*bot.ENVIRONMENT_KEYS, *bot.TELEGRAM_KEYS])
    told = dict(re.findall(r"^#([A-Z_]+)= +# (\w+):", text, re.M))
    assert {key: told[key] for key in bot.ENVIRONMENT_KEYS} == bot.ENVIRONMENT_KEYS


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_of_keys_has_a_row_for_each_key_of_the_interlock(language):
    """What live_faults() looks at when nothing agrees, and the broker's own answer."""
    nobody = bot.Secret("")
    profile = bot.Profile("paper", "", "", nobody, nobody, nobody, "01", nobody, "")
    limits = dict.fromkeys((f"max_{each}_krw" for each in ("order", "symbol", "total")), 1)
    section = {"symbols": ["005930"], "limits": {**limits, "max_daily_loss_krw": 1}}
    settings = bot.Settings(profile, bot.BotSettings.model_validate(section), nobody, "")
    faults = bot.live_faults(settings, False, "", {}, "", datetime.now(bot.KST))
    rows = re.search(r"(?:^\|.*\n)+", TEXT[f"docs/{language}/real-money.md"], re.M)[0]
    assert rows.count("\n|") - 1 == len(faults) + 1
    for key in ("--live", "mode: live", "live_account_pin", "--credentials", "--acknowledge"):
        assert key in rows
