"""The bot's file alone, from its command line to the first trader: files, words, exit codes, signals."""

import argparse
import asyncio
import json
import logging
import os
import signal
import stat
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import edge
import harness
import pytest

import kis_realtime_trading as bot
from companions import simulator

FILE = """\
paper_app: PSpaperpaperpaperpaperpaperpaperpape
paper_sec: PaperSecretPaperSecretPaperSecretPaperSecretPaperSecret
my_htsid: trader1
my_paper_stock: '00765432'
my_acct_stock: '01234567'
bot:
  symbols: ['005930']
  language: en
  parameters: {risk_krw: 9_000}
  limits: {max_order_krw: 1_000, max_symbol_krw: 2_000, max_total_krw: 20_000, max_daily_loss_krw: 10_000}
"""
HERE = f"vps: http://127.0.0.1:1\nvops: ws://127.0.0.1:1\n{FILE}"  # as with a simulator
LIVE = "my_app: PSrealrealrealrealrealrealrealrealre\nmy_sec: " + "RealSecret" * 6 + "\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home, which is the present folder as well; no variables of ours."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [*os.environ]:
        if name.startswith(("KIS_", "TELEGRAM_", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY")):
            monkeypatch.delenv(name)
    return tmp_path


def put(path: Path, text: str, mode: int = 0o600) -> Path:
    """Write a file with its rights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def options(**more: Any) -> argparse.Namespace:
    """Return the options of a command."""
    usual = dict.fromkeys(
        ("config", "state", "credentials", "strategy", "language", "demo", "paper", "live", "plain",
         "verbose", "make_pin", "acknowledge", "one_day")
    )  # fmt: skip
    return argparse.Namespace(**{**usual, "speak": "en", **more})


# --- words and exit codes -------------------------------------------------------------------


ENDS: list[tuple[Any, int, str]] = [
    (bot.wrong_setting("k", "f", "e"), 78, "1 fault(s)"),
    (bot.KeysRefused([bot.Fault("k", "f", "e")]), 78, "k: found f, expected e"),
    (bot.AlreadyRunning("twice"), 75, "twice"), (bot.JournalError("torn"), 74, "journal: torn"),
    (bot.BadData("odd"), 1, "failed: odd"), (bot.NotSent("off"), 1, "failed: off"),
    (OSError(28, "full"), 1, "failed: full"), (KeyboardInterrupt(), 130, "interrupted"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "code", "told"), ENDS, ids=[str(e[1]) + e[2] for e in ENDS])
def test_a_command_ends_with_the_code_of_its_error_and_one_sentence(error, code, told, capsys):
    """On the error stream, no trace; what a command returns is its code otherwise."""

    def command(asked):
        assert asked.speak == "en"
        if error:
            raise error
        return 5

    assert bot.run_guarded(options(), command) == code
    shown = capsys.readouterr()
    assert (shown.out, told in shown.err, "Traceback" in shown.err) == ("", True, False)
    assert bot.run_guarded(options(), lambda asked: 5) == 5
    with pytest.raises(ZeroDivisionError):  # a fault of the program is no known error
        bot.run_guarded(options(), lambda asked: 1 // 0)


@pytest.mark.parametrize(
    ("asked", "written", "spoken"),
    [("en", "ko", "en"), ("ko", "en", "ko"), ("", "en", "en"), ("", "ko", "ko"), ("de", "en", "en"),
     ("", "de", "ko"), ("", None, "ko"), ("", "[", "ko")],
)  # fmt: skip
def test_the_language_is_the_one_asked_for_else_the_one_of_the_settings(
    home, asked, written, spoken
):
    """Korean where neither says one; a file that cannot be read says none."""
    if written is not None:
        put(home / "kis_devlp.yaml", f"bot:\n  language: {written}\n")
    assert bot.language_of(asked, None) == spoken
    other = put(home / "other.yaml", "bot: {language: en}\n")
    assert bot.language_of("", other) == "en"
    put(other, "bot: 5\n")
    assert bot.language_of("", other) == "ko"


def test_alone_the_file_helps_with_its_own_commands_and_refuses_the_others(
    home, capsys, monkeypatch
):
    """Help and version are told with exit code 0; any other word names what is missing."""
    monkeypatch.setattr(bot, "HERE", home)  # no folder companions beside it
    for words in (["--help"], ["-h"], ["--version"], ["--language", "en", "--help"]):
        assert bot.main(words) == 0
        told = capsys.readouterr().out
        assert f"{bot.PROGRAM} {bot.__version__}" in told and "--make-pin" in told
        assert ("trade real money" in told) is ("en" in words)
    for words in ([], ["--chek"], ["--paper", "--live"]):
        assert bot.main(words) == bot.EXIT_FAILED
        shown = capsys.readouterr()
        assert shown.out == "" and "companions" in shown.err


# option -> the commands of the file that take it; what stands behind it
TAKEN = {
    "--strategy": ("--paper --live", "x.py:Any"), "--one-day": ("--paper --live", ""),
    "--plain": ("--paper --live", ""), "--credentials": ("--live --make-pin --acknowledge", "live-x.yaml"),
    "--config": ("--paper --live --make-pin --acknowledge", "c.yaml"), "--verbose": ("--paper --live --make-pin --acknowledge", ""),
    "--state": ("--paper --live --make-pin --acknowledge", "s"),
    "--language": ("--paper --live --make-pin --acknowledge", "en"),
}  # fmt: skip
OURS = ("--paper", "--live", "--make-pin", "--acknowledge")


@pytest.mark.parametrize("command", OURS)
def test_the_file_takes_one_command_each_option_once_and_only_those_of_it(command):
    """All else goes to the companions: two commands, an option twice, in part, or of another command."""
    alone = bot.own_options([command])
    assert [name for name in OURS if getattr(alone, name[2:].replace("-", "_"))] == [command]
    for other in OURS:
        assert bot.own_options([command, other]) is None
        assert bot.own_options([other, command]) is None
    for option, (commands, value) in TAKEN.items():
        words = [option, value] if value else [option]
        known = command in commands.split()
        for given in ([command, *words], [*words, command]):
            assert (bot.own_options(given) is not None) is known
        assert bot.own_options([command, *words, *words]) is None
        assert bot.own_options([command, option[:-1], *words[1:]]) is None
        assert bot.own_options([*words]) is None
        if value:
            assert bot.own_options([command, option]) is None
            assert (bot.own_options([command, f"{option}={value}"]) is not None) is known
            assert bot.own_options([command, f"{option}={value}", *words]) is None
    assert bot.own_options([command, "word"]) is None


@pytest.mark.parametrize("gone", ["paper_app", "paper_sec", "my_paper_stock"])
def test_paper_needs_the_keys_of_paper_alone(home, gone):
    """What lacks is named, and nothing of real money is: nothing is begun."""
    lines = [line for line in FILE.splitlines(True) if not line.startswith(gone)]
    put(home / "kis_devlp.yaml", "".join(lines))
    with pytest.raises(bot.SettingsError) as caught:
        bot._run_mode(options(paper=True))
    assert [fault.key.partition(" ")[0] for fault in caught.value.faults] == [gone]
    assert not (home / "kis_state").exists()


@pytest.mark.parametrize("command", ["live", "make_pin", "acknowledge"])
def test_real_money_without_its_keys_is_not_tried_on_paper(home, command):
    """The missing file is named; with keys of paper nothing is begun either."""
    put(home / "kis_devlp.yaml", FILE.partition("\n")[2])
    with pytest.raises(bot.SettingsError) as caught:
        bot._run_mode(options(**{command: True}))
    assert [fault.key for fault in caught.value.faults] == ["--credentials"]
    assert not (home / "kis_state").exists()


@pytest.mark.parametrize("typed", ["REAL MONEY 67\n", "no\n"])
def test_a_pin_and_a_signature_begin_nothing(home, monkeypatch, capsys, typed):
    """No journal, no lock, no log: only what was asked for; each of the commands its own."""
    put(home / "kis_devlp.yaml", FILE.partition("\n")[2])  # no key of paper: it could not begin
    live = str(put(home / "live-keys.yaml", LIVE))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(readline=lambda: typed))
    assert bot.main(["--make-pin", "--credentials", live]) == 0
    assert "live_account_pin" in capsys.readouterr().out
    signed = bot.main(["--acknowledge", "--credentials", live]) == 0
    assert signed is (typed != "no\n")
    found = [each.name for each in (home / "kis_state").iterdir()]
    assert found == ["live-acknowledgement.json"] * signed


# --- files ------------------------------------------------------------------------------------


def test_settings_are_looked_for_here_and_then_in_the_folder_of_the_samples(home):
    """A file that is named is the only one; this folder comes before ~/KIS/config."""
    with pytest.raises(bot.SettingsError) as caught:
        bot.find_settings(None)
    assert f"{home}/kis_devlp.yaml, {home}/home/KIS/config/kis_devlp.yaml" in str(caught.value)
    far = put(home / "home/KIS/config/kis_devlp.yaml", FILE)
    assert bot.find_settings(None) == far
    near = put(home / "kis_devlp.yaml", FILE)
    assert bot.find_settings(None) == near
    assert bot.find_settings(far) == far
    for missing in (home / "none.yaml", home):  # a folder is no file
        with pytest.raises(bot.SettingsError, match="none.yaml|" + str(home)):
            bot.find_settings(missing)


def test_the_environment_counts_before_an_env_file_and_one_of_them_is_read(home, monkeypatch):
    """Beside the settings first, then the present folder; a demo has neither."""
    config = put(home / "far" / "kis_devlp.yaml", FILE)
    values = "TELEGRAM_BOT_TOKEN=1:{0}\nTELEGRAM_CHAT_ID={0}\nKIS_HTS_ID=\n"

    def chat(**more):
        return bot.load_settings(options(config=config, **more), "paper")[0].telegram_chat

    assert chat() == ""
    put(home / ".env", values.format("near"))
    assert chat() == "near"
    put(home / "far" / ".env", values.format("beside"))
    assert chat() == "beside"
    monkeypatch.setenv("TELEGRAM_CHAT_ID", "outside")
    assert (chat(), chat(demo=True)) == ("outside", "")


def test_one_env_file_is_read_and_either_may_be_open_to_nobody(home):
    """The one beside the settings hides the other whole; rights are looked at in both places."""
    config = put(home / "far" / "kis_devlp.yaml", FILE)
    put(home / "far" / ".env", "KIS_HTS_ID=\n")
    put(home / ".env", "TELEGRAM_BOT_TOKEN=1:x\nTELEGRAM_CHAT_ID=7\n")
    assert bot.load_settings(options(config=config), "paper")[0].telegram_chat == ""
    for place in (home / ".env", home / "far" / ".env", config):
        place.chmod(0o644)
        with pytest.raises(bot.SettingsError) as caught:
            bot.load_settings(options(config=config), "paper")
        assert [fault.key for fault in caught.value.faults] == [str(place)]
        place.chmod(0o600)


@pytest.mark.parametrize("name", ["kis_devlp.yaml", ".env"])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604, 0o620, 0o610, 0o601])
@pytest.mark.parametrize("text", [FILE, HERE], ids=["the broker", "a simulator"])
def test_keys_that_others_may_read_are_a_fault_outside_a_simulator(home, name, mode, text):
    """Any right of anybody else; a simulator's keys open nothing."""
    put(home / "kis_devlp.yaml", text)
    put(home / ".env", "")
    (home / name).chmod(mode)
    if mode & 0o077 and text is FILE:
        with pytest.raises(bot.SettingsError) as caught:
            bot.load_settings(options(), "paper")
        assert [fault.key for fault in caught.value.faults] == [str(home / name)]
        assert f"{mode:o}" in caught.value.faults[0].found
    else:
        assert bot.load_settings(options(), "paper")[0].profile.simulated is (text is HERE)


@pytest.mark.parametrize("name", ["kis_devlp.yaml", ".env"])
def test_a_file_that_is_no_text_is_named(home, name):
    """Its own name, not the other's."""
    put(home / "kis_devlp.yaml", HERE)
    (home / name).write_bytes(b"my_htsid: \xff\xfe")
    with pytest.raises(bot.SettingsError) as caught:
        bot.load_settings(options(), "paper")
    assert [fault.key for fault in caught.value.faults] == [str(home / name)]


def test_what_the_command_line_says_stands_in_place_of_the_settings(home):
    """Language and strategy; without them the settings hold. The limits are never touched."""
    put(home / "kis_devlp.yaml", HERE)
    plain, path = bot.load_settings(options(), "paper")
    assert (path, plain.bot.language, plain.bot.strategy) == (home / path.name, "en", "breakout")
    asked = bot.load_settings(options(language="ko", strategy="x.py:Any"), "paper")[0]
    assert (asked.bot.language, asked.bot.strategy, asked.bot.parameters) == ("ko", "x.py:Any", {})
    assert asked.bot.limits == plain.bot.limits and asked.profile == plain.profile
    same = bot.load_settings(options(strategy="breakout"), "paper")[0]
    assert same.bot == plain.bot


def test_the_state_folder_is_the_one_asked_for_then_systemds_then_the_settings(home, monkeypatch):
    """Made for a bot, for its owner only; who only reads makes none."""
    section = bot.BotSettings.model_validate(
        {"symbols": ["005930"], "limits": dict.fromkeys(bot.MONEY_LIMITS, 1), "state_dir": "mine/x"}
    )
    assert bot.state_folder(options(), None) == Path("kis_state")
    assert not Path("kis_state").exists()
    folder = bot.state_folder(options(), section)
    assert folder == Path("mine/x") and stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert bot.state_folder(options(), section) == folder  # is there already
    monkeypatch.setenv("STATE_DIRECTORY", f"{home}/systemd:{home}/second")
    assert bot.state_folder(options(), section) == home / "systemd"
    assert bot.state_folder(options(state=home / "asked"), section) == home / "asked"
    assert not (home / "second").exists()


def profile_of(**changed: Any) -> bot.Profile:
    """Return a profile, changed."""
    values: dict[str, Any] = {
        "environment": "paper", "rest_url": bot.PAPER_REST, "ws_url": bot.PAPER_WS,
        "app_key": bot.Secret("k"), "app_secret": bot.Secret("s"), "account": bot.Secret("12345678"),
        "product": "01", "hts_id": bot.Secret("h"), "agent": "a",
    }  # fmt: skip
    return bot.Profile(**values | changed)


def test_each_account_and_environment_has_a_journal_of_its_own_and_one_lock_an_account():
    """Paper and real never share a journal; simulators may run beside each other, brokers not."""
    one, other = profile_of(), profile_of(account=bot.Secret("12345679"))
    real = profile_of(environment="real", rest_url=bot.REAL_REST)
    paths = {bot.journal_path(Path("s"), each) for each in (one, other, real)}
    assert len(paths) == 3 and {path.parent for path in paths} == {Path("s")}
    assert all("12345678" not in path.name for path in paths)
    assert {path.name.split("-")[1] for path in paths} == {"paper", "real"}
    here = [profile_of(rest_url=f"http://127.0.0.1:{port}") for port in (1, 2)]
    locks = [bot.lock_of(each).reveal() for each in (one, real, other, *here)]
    assert locks[0] == locks[1] and len(set(locks)) == 4


# --- real money -------------------------------------------------------------------------------


def test_real_keys_come_from_their_own_file_or_from_systemd(home, monkeypatch):
    """Named by the option, else live-keys.yaml of CREDENTIALS_DIRECTORY; neither is a fault."""
    put(home / "kis_devlp.yaml", FILE)
    far = put(home / "credentials" / "live-keys.yaml", LIVE)
    for live in (None, home / "none.yaml"):
        with pytest.raises(bot.SettingsError, match="--credentials"):
            bot.load_live_settings(options(credentials=live))
    asked = options(credentials=put(home / "live-mine.yaml", LIVE.replace("PSreal", "PSmine")))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(far.parent))
    assert bot.load_live_settings(asked).profile.app_key.reveal().startswith("PSmine")
    asked = options(language="ko")
    settings = bot.load_live_settings(asked)
    assert asked.credentials == far and settings.bot.language == "ko"
    assert settings.profile.app_key.reveal().startswith("PSreal")
    assert (settings.profile.environment, settings.profile.account.reveal()) == (
        "real", "01234567"
    )  # fmt: skip
    far.write_bytes(b"\xff\xfe")
    with pytest.raises(bot.SettingsError, match="UTF-8"):
        bot.load_live_settings(options())


def test_a_signature_names_account_limits_program_and_time(home, monkeypatch, capsys):
    """Only the exact words write it; the limits are shown before; it is the owner's file."""
    put(home / "kis_devlp.yaml", FILE)
    live = put(home / "live-keys.yaml", LIVE)
    settings = bot.load_live_settings(options(credentials=live))
    file = home / "signed.json"
    for text in ("", "REAL MONEY\n", "real money 67\n", "REAL MONEY 68\n"):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(readline=lambda text=text: text))
        with pytest.raises(bot.BotError, match="nothing was written"):
            bot.acknowledge(settings, settings.bot, file)
        assert not file.exists()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(readline=lambda: " REAL MONEY 67 \n"))
    assert bot.acknowledge(settings, settings.bot, file) == 0
    signed = json.loads(file.read_text())
    assert set(signed) == {"account", "limits", "build", "at"}
    assert (signed["account"], signed["build"]) == ("******67", bot.build_hash())
    assert signed["limits"] == bot.signature(settings.profile, settings.bot.limits, "")["limits"]
    age = bot.datetime.now(bot.KST) - bot.datetime.fromisoformat(signed["at"])
    assert bot.timedelta(0) <= age < bot.timedelta(minutes=1)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = capsys.readouterr().out
    assert "max_total_krw: 20,000" in shown and "collar_pct: 3.0" in shown


def test_a_pin_is_printed_with_a_salt_of_its_own_and_unlocks_its_account(home, capsys):
    """Twice asked it differs, and either tells the account."""
    put(home / "kis_devlp.yaml", FILE)
    live = put(home / "live-keys.yaml", LIVE)
    pins = []
    for _ in range(2):
        assert bot.run_live(options(credentials=live, make_pin=True)) == 0
        pins.append(capsys.readouterr().out.partition("'")[2].partition("'")[0])
    assert pins[0] != pins[1]
    assert all(bot.make_pin("01234567", "01", pin.split("$")[0]) == pin for pin in pins)
    put(home / "kis_devlp.yaml", f"my_prod: '22'\n{FILE}")
    assert bot.run_live(options(credentials=live, make_pin=True)) == 0
    pin = capsys.readouterr().out.partition("'")[2].partition("'")[0]
    assert bot.make_pin("01234567", "22", pin.split("$")[0]) == pin
    assert not (home / "kis_state").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "5", "null"])
def test_a_signature_that_cannot_be_read_is_none(home, text):
    """Whatever stands in its file, the other keys are looked at and nothing is sent."""
    put(home / "kis_devlp.yaml", FILE)
    live = put(home / "live-keys.yaml", LIVE)
    put(home / "kis_state" / "live-acknowledgement.json", text)
    with pytest.raises(bot.SettingsError) as caught:
        bot.run_live(options(credentials=live, live=True))
    assert [fault.key for fault in caught.value.faults] == [
        "bot.mode", "bot.live_account_pin", "acknowledgement", "acknowledgement"
    ]  # fmt: skip


def test_settings_without_our_section_unlock_nothing(home):
    """What --check stands in for the section lets nothing out: no mode, no pin, no stock, no won."""
    profile = profile_of(environment="real", rest_url=bot.REAL_REST, ws_url=bot.REAL_WS)
    settings = bot.Settings(profile, bot.NO_SECTION, bot.Secret(""), "")
    found = bot.live_faults(settings, True, "live-x.yaml", {}, "b", edge.at("09:00:00"))
    assert {"bot.mode", "bot.live_account_pin"} < {fault.key for fault in found}
    assert bot.NO_SECTION.symbols == ()
    assert {getattr(bot.NO_SECTION.limits, name) for name in bot.MONEY_LIMITS} == {0}


# --- somebody's strategy ------------------------------------------------------------------------

HEAD = "from kis_realtime_trading import TradingStrategy\nclass Mine(TradingStrategy):\n"
METHODS = {  # a body -> the method that cannot be called so, "" for a sound one
    "def on_bar(self, view, bar): ...": "", "def on_bar(self, *more): ...": "",
    "def on_bar(self, view): ...": "on_bar", "def on_bar(self, view, bar, more): ...": "on_bar",
    "async def on_bar(self, view, bar): ...": "on_bar",
    "def on_bar(self, view, bar, more=1): ...": "", "def on_trade(self, view): ...": "on_trade",
    "def on_quote(self): ...": "on_quote", "def on_fill(self, view, side): ...": "on_fill",
    "async def on_fill(self, view, side, quantity, price): ...": "on_fill",
    "def __init__(self): ...": "__init__", "def __init__(self, p, q): ...": "__init__",
    "def __init__(self, p=None): super().__init__(p)": "",
}  # fmt: skip


@pytest.mark.parametrize("body", METHODS)
def test_a_method_that_cannot_be_called_as_it_will_be_is_named_with_its_line(home, body):
    """Before anything is sent, in the words of the file."""
    usual = "" if "on_bar" in body else "    def on_bar(self, view, bar): ...\n"
    file = put(home / "mine.py", f"{HEAD}    {body}\n{usual}")
    if not METHODS[body]:
        assert bot.load_strategy(f"{file}:Mine", {}).__class__.__name__ == "Mine"
        return
    with pytest.raises(bot.SettingsError) as caught:
        bot.load_strategy(f"{file}:Mine", {})
    found = [(fault.key, fault.found) for fault in caught.value.faults]
    assert found == [("bot.strategy", f"Mine.{METHODS[body]} in line 3")]


@pytest.mark.parametrize(
    "wrong",
    [
        "raise SystemExit",
        "import sys; sys.exit(0)",
        "1 // 0",
        "open('none')",
        "def f(:",
        "import no_such",
    ],
)
@pytest.mark.parametrize("where", ["file", "constructor"])
def test_whatever_goes_wrong_in_the_users_file_is_a_fault_of_the_strategy(home, wrong, where):
    """Its own end is none of the program."""
    body = (
        f"    def __init__(self, p=None):\n        {wrong}\n    def on_bar(self, view, bar): ...\n"
    )
    file = put(home / "mine.py", f"{wrong}\n{HEAD}" if where == "file" else f"{HEAD}{body}")
    with pytest.raises(bot.SettingsError) as caught:
        bot.load_strategy(f"{file}:Mine", {})
    assert [fault.key for fault in caught.value.faults] == ["bot.strategy"]


def test_parameters_of_a_strategy_are_faults_of_their_own_and_none_is_dropped(home):
    """An unknown one, one out of bounds; those that are known reach it."""
    assert bot.load_strategy("breakout", {"risk_krw": 9_000}).parameters.risk_krw == 9_000
    with pytest.raises(bot.SettingsError) as caught:
        bot.load_strategy("breakout", {"risk_krw": 1, "colour": 2})
    assert {fault.key for fault in caught.value.faults} == {
        "bot.parameters.risk_krw", "bot.parameters.colour"
    }  # fmt: skip
    section = {"symbols": 5, "strategy": "brekout"}
    for unreadable in (None, [], "x", {"parameters": 5}):
        assert bot.strategy_faults(options(), unreadable) == ()
    assert bot.strategy_faults(options(strategy="breakout"), section) == ()
    [fault] = bot.strategy_faults(options(), section)
    assert fault.key == "bot.strategy" and fault.expected.startswith("breakout, or FILE.py")


@pytest.mark.parametrize("name", ["x.py:Mine", "x.txt:Mine", "x.py:", "x.py", "", ":Mine"])
def test_a_strategy_is_a_python_file_and_a_class(home, name):
    """No file, another kind of file, no class."""
    put(home / "x.txt", HEAD)
    with pytest.raises(bot.SettingsError) as caught:
        bot.strategy_class(name)
    assert [fault.key for fault in caught.value.faults] == ["bot.strategy"]


# --- the recording that a start begins, and what it lowers ------------------------------------------


@pytest.mark.parametrize(("asked", "named"), [("other.py:Any", "other.py:Any"), (None, "breakout")])
def test_a_recording_names_what_a_replay_needs(tmp_path, asked, named):
    """The strategy that really runs, the settings, the rows; no secret of any length that matters."""
    settings = harness.make_settings(simulator.Simulator(edge.config()))
    settings = bot.replace(settings, telegram_token=bot.Secret("123:telegram-token"))
    journal = bot.Journal(tmp_path / "journal.sqlite3")
    journal.append(
        [("ledger", "", bot.DayOpened(edge.DAY, edge.at("09:00:00")))], edge.at("09:00:00")
    )
    past, now = harness.past_of(journal), edge.at("09:00:00")
    recorder = bot.start_recorder(settings, options(strategy=asked), journal, past, now, tmp_path)
    made = recorder.header_of_now()
    assert made == {
        "version": bot.__version__, "build": bot.build_hash(), "rows": past.since_flat,
        "environment": settings.profile.environment, "strategy": named,
        "settings": settings.bot.model_dump(mode="json"), "journal": "journal.sqlite3",
        "journal_seq": 1,
    }  # fmt: skip
    kept = {each.reveal() for each in recorder.secrets}
    assert "123:telegram-token" in kept and settings.profile.app_secret.reveal() in kept
    assert all(len(each) >= 12 for each in kept)
    recorder.close()
    off = settings.bot.model_copy(update={"record": False})
    chosen = bot.replace(settings, bot=off)
    assert bot.start_recorder(chosen, options(), journal, past, now, tmp_path) is None
    journal.close()


def test_a_screen_opens_only_in_a_terminal_beside_a_bot_that_trades(tmp_path, monkeypatch):
    """Not with --plain or --verbose, not without companions, not when a stream goes elsewhere."""
    streams = ("stdin", "stdout", "stderr")
    wanted = options(paper=True)

    def opens(asked, ends=(True, True, True), here=bot.HERE):
        with monkeypatch.context() as patch:
            for name, terminal in zip(streams, ends, strict=True):
                patch.setattr(sys, name, SimpleNamespace(isatty=lambda terminal=terminal: terminal))
            patch.setattr(bot, "HERE", here)
            return bot.ScreenBeside(tmp_path, asked)._wanted

    assert opens(wanted) and opens(options(live=True))
    assert not opens(options())
    assert not opens(options(paper=True, plain=True)) and not opens(
        options(paper=True, verbose=True)
    )
    assert not opens(wanted, here=tmp_path)
    for n in range(3):
        assert not opens(wanted, tuple(each != n for each in range(3)))
    for name in streams:  # closed by whoever started us: Python has None there
        with monkeypatch.context() as patch:
            patch.setattr(sys, name, None)
            assert not bot.ScreenBeside(tmp_path, wanted)._wanted
    screen = bot.ScreenBeside(tmp_path, options())
    screen.start()
    assert not screen.is_open()
    screen.end()


# --- signals, and how a run ends ----------------------------------------------------------------


class Stage:
    """What _trade needs of a trader; it runs until it is stopped, or for ever."""

    def __init__(
        self, heeds: bool = True, late: str = "", error: BaseException | None = None
    ) -> None:
        self.heeds, self.error, self.done = heeds, error, asyncio.Event()
        self.profile = SimpleNamespace(simulated=True)
        self.bridge = SimpleNamespace(late=late, learn_names=self.learn_names)
        self.heard: list[Any] = []
        self.closed = self.learnt = False
        self.broker = SimpleNamespace(rest=SimpleNamespace(close=self.close))

    async def close(self) -> None:
        self.closed = True

    async def learn_names(self) -> None:
        self.learnt = True
        await asyncio.sleep(3600.0)

    async def run(self, one_day: bool) -> None:
        self.heard.append(one_day)
        if self.error:
            raise self.error
        await self.done.wait()

    def stop(self, why: str) -> None:
        self.heard.append(why)
        if self.heeds:
            self.done.set()

    def obey(self, said: Any, reason: str) -> None:
        self.heard.append((said.word.name, reason))
        self.done.set()


@pytest.mark.parametrize(
    ("number", "heard"),
    [(signal.SIGINT, "SIGINT received"), (signal.SIGTERM, "SIGTERM received"),
     (signal.SIGHUP, "SIGHUP received"), (signal.SIGUSR1, ("stop", "SIGUSR1")),
     (signal.SIGUSR2, ("flatten", "SIGUSR2"))],
)  # fmt: skip
def test_a_signal_does_what_the_guide_says(number, heard):
    """Three end the bot in order, two are words of the owner."""

    async def main():
        stage, before = Stage(), signal.getsignal(signal.SIGINT)
        assert not stage.learnt
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), number)
        code = await bot.trade(stage, True)
        assert before is not None and stage.learnt  # how companions name stocks, with no phone too
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)  # no look after the end
        return code, stage.heard, stage.closed

    assert asyncio.run(main()) == (0, [True, heard], True)


@pytest.mark.parametrize(
    ("stage", "code"),
    [({"late": "the disk does not answer"}, 74), ({}, 0), ({"error": bot.JournalError("x")}, 74),
     ({"error": bot.wrong_setting("a", "b", "c")}, 78), ({"error": ZeroDivisionError()}, 70),
     ({"error": ExceptionGroup("x", [bot.KeysRefused([])])}, 78),
     ({"error": asyncio.CancelledError()}, 0)],
)  # fmt: skip
def test_a_run_ends_with_its_code_and_its_connections_closed(stage, code):
    """A journal that is late at the end is no good end."""

    async def main():
        made = Stage(**stage)
        asyncio.get_running_loop().call_soon(made.done.set)
        return await bot.trade(made, False), made.closed, made.heard

    logging.getLogger("kisbot").setLevel(logging.CRITICAL + 1)
    try:
        assert asyncio.run(main()) == (code, True, [False])
    finally:
        logging.getLogger("kisbot").setLevel(logging.NOTSET)


class Noting(harness.VirtualLoop):
    """A loop in virtual time that notes which signals are listened to."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: dict[Any, Any] = {}

    def add_signal_handler(self, number: Any, callback: Any, *more: Any) -> None:
        self.heard[number] = lambda: callback(*more)


@pytest.mark.parametrize(("simulated", "patience_s"), [(True, 2.0), (False, 20.0)])
def test_a_bot_that_does_not_end_in_order_is_cut_off(simulated, patience_s, caplog):
    """20 seconds for calls under way, two beside a simulator; then exit code 0 all the same."""

    async def main():
        loop, stage = asyncio.get_running_loop(), Stage(heeds=False)
        stage.profile.simulated = simulated
        loop.call_later(1.0, lambda: loop.heard[signal.SIGTERM]())
        return await bot.trade(stage, False), loop.time(), stage.closed

    with asyncio.Runner(loop_factory=Noting) as runner:
        assert runner.run(main()) == (0, pytest.approx(1.0 + patience_s), True)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_bot_under_nohup_outlives_its_terminal(ignored, monkeypatch):
    """A hang-up that was ignored before the start stays ignored; all other signals are listened to."""

    async def main():
        stage = Stage()
        stage.done.set()
        await bot.trade(stage, False)
        return set(asyncio.get_running_loop().heard)

    usual = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with asyncio.Runner(loop_factory=Noting) as runner:
            assert runner.run(main()) == usual | (set() if ignored else {signal.SIGHUP})
    finally:
        signal.signal(signal.SIGHUP, before)
