"""--setup: from nothing to a file that trades, by answering questions; nothing written unasked."""

import asyncio
import doctest
import json
import os
import pty
import select
import signal
import stat
import subprocess
import sys
import urllib.request

import edge
import pytest
import yaml

import kis_realtime_trading as bot
from companions import setup, simulator, telegram_server
from companions.demo import wait_ready
from companions.options import build_parser

# Buys one share at every bar, so that a slow machine orders as well.
BUYER = """
import kis_realtime_trading as bot
class Buyer(bot.TradingStrategy):
    class Parameters(bot.TradingStrategy.Parameters):
        risk_krw: int
    def on_bar(self, view, bar):
        plan = bot.ExitPlan(view.round_price(bar.close * 0.9, up=False))
        return view.buy(1, view.last_price, bar.end.isoformat(), plan, "round")
"""
EXAMPLE = (edge.ROOT / "kis_devlp.yaml.example").read_text("utf-8")


class Script(setup.Terminal):
    """Answers from a list; what is asked beyond it ends the input."""

    def __init__(self, *answers):
        super().__init__()
        self.answers, self.asked, self.hidden = list(answers), [], []

    def ask(self, question, hidden=False):
        self.count += 1
        self.asked.append(question)
        self.hidden.append(hidden)
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder that is the present one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    before = os.umask(0o077)
    yield tmp_path
    os.umask(before)


def addresses(data):
    """Return a file that knows where the simulator is and how fast, and nothing of the user."""
    section = {key: value for key, value in data["bot"].items() if key != "symbols"}
    limits = section["limits"].items()
    section["limits"] = {key: value for key, value in limits if key not in bot.MONEY_LIMITS}
    lines = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in section.items())
    hosts = f'vps: "{data["vps"]}"\nvops: "{data["vops"]}"  # of a simulator\n'
    return f"{hosts}bot:\n{lines}"


async def talk(home, *answers, served=None, file=addresses, language="en", **more):
    """Run the set-up in a thread against a served simulator; return code, script and the data."""
    async with simulator.serve(edge.config(**(served or {})), edge.at("10:05:30")) as there:
        data, _ = bot.parse_yaml(simulator.config_yaml(there))
        data |= more
        text = file(data) if callable(file) else file
        if text:
            (home / bot.SETTINGS_NAME).write_text(text)
        script = Script(*(each.format(**data) for each in answers))
        options = build_parser(language).parse_args(["--setup", "--language", language])
        code = await asyncio.to_thread(setup.run_setup, options, script)
        assert not there.simulator.books()["orders"]
    return code, script, data


ALL = (
    "{paper_app}", "{paper_sec}", "{my_paper_stock}-01", "{my_htsid}", "삼성전자", "", "", "", "",
)  # fmt: skip


async def test_nine_answers_make_a_file_that_is_read(home, capsys):
    """Keys are asked hidden and shown as stars; the file is the owner's alone; limits follow the cash."""
    code, script, data = await talk(home, *ALL)
    out = capsys.readouterr().out
    assert (code, script.count) == (0, 9)
    path = home / bot.SETTINGS_NAME
    assert oct(stat.S_IMODE(path.stat().st_mode)) == "0o600"
    settings = bot.read_settings(path.read_text(), {}, "paper")
    limits = settings.bot.limits
    assert settings.profile.account.reveal() == data["my_paper_stock"]
    assert settings.bot.symbols == ("005930",)
    assert (limits.max_total_krw, limits.max_daily_loss_krw) == (10_000_000, 200_000)
    assert settings.bot.parameters == {"risk_krw": 66_000}
    assert out.rstrip().endswith("kis_realtime_trading.py --paper")
    assert "# of a simulator" in path.read_text()
    assert script.hidden[:2] == [True, True]
    for secret in (data["paper_app"], data["paper_sec"], data["my_paper_stock"]):
        assert secret not in out


async def test_stocks_stand_between_commas_or_blanks(home):
    """A name with a blank in it stays whole."""
    given = [*ALL[:4], "삼성전자 하이닉스, KODEX 200", *ALL[5:]]
    served = {"symbols": ("005930", "000660", "069500")}
    code, script, _ = await talk(home, *given, served=served)
    assert (code, script.count) == (0, 9)
    settings = bot.read_settings((home / bot.SETTINGS_NAME).read_text(), {}, "paper")
    assert settings.bot.symbols == ("005930", "000660", "069500")


async def test_each_answer_is_tested_at_once_and_asked_again(home, capsys):
    """Wrong secret, wrong account, unknown stock: told with what to do, then asked once more."""
    answers = [
        "{paper_app}", "A" * 180, "", "{paper_sec}", "50999999", "{my_paper_stock}", "no body",
        "somebody", "{my_htsid}", "없는회사", "999990", "삼성전자", "", "x", "1만", "", "",
    ]  # fmt: skip
    code, script, _ = await talk(home, *answers)
    out = capsys.readouterr().out
    assert code == 0 and not script.answers
    for told in (
        "EGW00105",
        "IGW00002",
        "login of the HTS",
        "없는회사",
        "999990",
        "not of that form",
    ):
        assert told in out, told


async def test_what_has_another_form_is_told_what_was_expected(home, capsys):
    """How many letters and of what kind: the answers themselves are hidden or mistyped."""
    answers = [
        "abc",
        "{paper_app}",
        "short",
        "{paper_sec}",
        "1234",
        "{my_paper_stock}",
        "a b",
        "{my_htsid}",
    ]
    await talk(home, *answers, language="ko")
    out = capsys.readouterr().out
    for told in (
        "36자 (받은 글자 3자)",
        "180자 (받은 글자 5자)",
        "예: 12345678-01 (받은 글자 4자)",
        "(받은 글자 3자)",
    ):
        assert told in out, told


async def test_enter_keeps_an_answer_that_the_broker_refuses(home, capsys):
    """The user may know better: the file can be written and tested later."""
    answers = [*ALL[:2], "50999999", "", *ALL[3:]]
    code, _, _ = await talk(home, *answers)
    assert code == 0
    assert "50999999" in (home / bot.SETTINGS_NAME).read_text()


@pytest.mark.parametrize("given", [3, 9])
async def test_nothing_is_written_before_the_last_answer(home, capsys, given):
    """The input ends early, or the last answer is no: the file is as it was."""
    answers = ALL[:given] if given < 9 else (*ALL[:8], "n")
    code, _, data = await talk(home, *answers)
    assert code != 0
    assert (home / bot.SETTINGS_NAME).read_text() == addresses(data)
    assert "nothing was written" in capsys.readouterr().out


async def test_one_thing_is_changed_and_the_rest_stays(home, capsys):
    """Run again on a whole file: only what was chosen is asked and changed, comments stay."""

    def whole(data):
        text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
        return "# mine\n" + text.replace("symbols:", "symbols: # two\n ")

    two = {"symbols": ("005930", "035720")}
    code, script, data = await talk(home, "4", "카카오, 005930", "y", file=whole, served=two)
    text = (home / bot.SETTINGS_NAME).read_text()
    assert (code, script.count) == (0, 3)
    assert text.startswith("# mine\n")
    found = bot.parse_yaml(text)[0]
    assert found["bot"].pop("symbols") == ["035720", "005930"]
    data["bot"].pop("symbols")
    assert {**found, "bot": {**found["bot"]}} == bot.parse_yaml(yaml.safe_dump(data))[0]


async def test_a_broken_file_is_moved_away_only_when_the_user_says_so(home, capsys):
    """Anything but yes ends with the file untouched."""
    code, _, _ = await talk(home, "", file="a: [")
    assert code == bot.EXIT_FAILED and (home / bot.SETTINGS_NAME).read_text() == "a: ["
    assert {each.name for each in home.iterdir()} == {bot.SETTINGS_NAME}


async def test_without_a_server_the_answers_are_taken_untested(home, capsys):
    """No network: said once an answer, and the file is written all the same."""

    def nowhere(data):
        return addresses({**data, "vps": "http://127.0.0.1:9", "vops": "ws://127.0.0.1:9",
                          "bot": {**data["bot"], "market_clock": {**data["bot"]["market_clock"], "speed": 5000}}})  # fmt: skip

    code, _, _ = await talk(home, *ALL, file=nowhere)
    assert code == 0
    assert capsys.readouterr().out.count("--check tests it later") == 1


async def test_the_file_of_the_official_samples_is_taken_as_it_is(home, capsys):
    """In ~/KIS/config: its keys are offered to be kept, the section `bot` is added, the rest stays."""
    folder = home / "KIS" / "config"
    folder.mkdir(parents=True)

    def official(data):
        keys = {key: value for key, value in data.items() if key not in ("bot", "vps", "vops")}
        (folder / bot.SETTINGS_NAME).write_text("# mine\n" + yaml.safe_dump(keys) + addresses(data))
        return ""

    answers = ["", "", "", "", "삼성전자", "", "", "", ""]
    code, script, _ = await talk(home, *answers, file=official)
    assert code == 0
    assert "keeps what is there" in script.asked[0]
    text = (folder / bot.SETTINGS_NAME).read_text()
    assert text.startswith("# mine\n") and text.count("paper_app:") == 1
    assert bot.read_settings(text, {}, "paper").bot.symbols == ("005930",)


async def test_the_phone_is_found_by_what_its_owner_says(home, capsys):
    """The chat comes from the update; a message is sent; token and chat go into .env, mode 600."""
    token = "123456:" + "A" * 35
    (home / ".env").write_text("OTHER=1\nTELEGRAM_CHAT_ID=5\n")
    async with telegram_server.serve(token, 77) as (api, url):
        api.say("hello")
        file = lambda data: addresses(data) + f'  telegram_api: "{url}"\n'  # noqa: E731
        code, _, _ = await talk(home, *ALL[:7], token, "", "", file=file)
    assert code == 0 and len(api.texts) == 1
    env = home / ".env"
    assert env.read_text() == f"OTHER=1\nTELEGRAM_BOT_TOKEN={token}\nTELEGRAM_CHAT_ID=77\n"
    assert oct(stat.S_IMODE(env.stat().st_mode)) == "0o600"
    assert token not in capsys.readouterr().out


PATHS = [
    ("paper_app", '"x"'), ("my_prod", '"22"'), ("bot.symbols", '["000270"]'),
    ("bot.limits.max_order_krw", "5_000"), ("bot.parameters.risk_krw", "9_000"),
    ("bot.language", "en"), ("bot.flat_at", "null"), ("bot.new_key", "1"), ("brand_new", "1"),
    ("bot.market_clock.unix", "1"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), PATHS)
@pytest.mark.parametrize(
    "text",
    [EXAMPLE, "bot: {limits: {max_order_krw: 1, max_total_krw: 2}, symbols: [a, b]}\n", "", "# only\n",
     "bot:\n  symbols:\n    - a\n    - b\n  # behind\n  limits:\n    max_order_krw: 1\nmy_prod: x\n"],
    ids=["example", "braces", "empty", "comment", "blocks"],
)  # fmt: skip
def test_one_value_is_changed_and_everything_else_stays(text, path, value):
    """In every style of YAML: the other values and all comments are what they were."""
    fresh = setup.with_value(text, path, value)
    before = bot.parse_yaml(text)[0]
    after, faults = bot.parse_yaml(fresh)
    assert faults == []
    inner, wanted = after, before
    *above, last = path.split(".")
    for part in above:
        wanted[part] = wanted.get(part) or {}
        inner, wanted = inner[part], wanted[part]
    assert inner.pop(last) == bot.parse_yaml(f"a: {value}")[0]["a"]
    wanted.pop(last, None)
    assert after == before
    assert [line for line in text.splitlines() if line.strip().startswith("#")] == [
        line for line in fresh.splitlines() if line.strip().startswith("#")
    ]


def test_the_example_filled_in_is_a_file_that_trades():
    """What a user without a file gets: the example with comments, read without a fault."""
    text = EXAMPLE
    answers = {
        "paper_app": "PS" + "a1B2" * 9, "paper_sec": "z9Y8/+x=" * 22, "my_paper_stock": "12345678",
        "my_htsid": "trader",
    }  # fmt: skip
    for path, value in answers.items():
        text = setup.with_value(text, path, setup.quoted(value))
    for path, value in setup.suggested_limits(5_000_000, 100_000, 2).items():
        text = setup.with_value(text, path, f"{value:_}")
    settings = bot.read_settings(text, {}, "paper")
    assert settings.bot.limits.max_order_krw == 2_500_000
    assert text.count("\n") == EXAMPLE.count("\n")


@pytest.mark.parametrize("money", [10_000, 123_456, 1_000_000_000])
@pytest.mark.parametrize("stocks", [1, 2, 20])
def test_suggested_limits_never_contradict_each_other(money, stocks):
    """Whatever the money and the number of stocks."""
    values = setup.suggested_limits(money, max(1_000, money // 50), stocks)
    limits = {path.rpartition(".")[2]: n for path, n in values.items() if ".limits." in path}
    risk = {"risk_krw": values["bot.parameters.risk_krw"]}
    section = {"symbols": ["005930"], "limits": limits, "parameters": risk}
    made = bot.BotSettings.model_validate(section, context=bot.Reading("paper", False))
    assert made.parameters == risk


def test_the_worked_example_holds():
    """The numbers in the docstring."""
    assert doctest.testmod(setup) == (0, 1)


# --- as a user does it: on a terminal, then the bot trades -------------------------------


def on_a_terminal(home, command, answers):
    """Run a command on a terminal of its own, answer each question; return all that was shown."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command, cwd=home, env=edge.environment(home), stdin=slave, stdout=slave, stderr=slave,
        preexec_fn=lambda: os.login_tty(slave),
    )  # fmt: skip
    os.close(slave)
    shown, waiting, left = b"", b"", list(answers)
    while True:
        if not select.select([master], [], [], 90)[0]:
            break
        try:
            part = os.read(master, 4096)
        except OSError:  # its end of the terminal is closed
            break
        if not part:
            break
        shown, waiting = shown + part, waiting + part
        if waiting.endswith(b": ") and left:
            os.write(master, left.pop(0).encode() + b"\n")
            waiting = b""
    os.close(master)
    return process.wait(60), shown.decode(), left


@pytest.mark.usefixtures("cold_starts")
@pytest.mark.timeout(180)
def test_from_nothing_to_the_first_paper_order(tmp_path):
    """The simulator's address, nine answers on a terminal, --paper: an order arrives."""
    environ, sim, user = edge.environment(tmp_path), tmp_path / "sim", tmp_path / "user"
    user.mkdir()
    (user / "buyer.py").write_text(BUYER)
    simulated = subprocess.Popen(
        [sys.executable, "-m", "companions.simulator", "--port", "0", "--start", "08:59",
         "--speed", "150", "--hold", "6", "--symbols", "005930,000660", "--write-config", str(sim)],
        stdout=subprocess.PIPE, text=True, cwd=edge.ROOT, env=environ,
    )  # fmt: skip
    trading = None
    try:
        ready = wait_ready(simulated, sim)
        data, _ = bot.parse_yaml((sim / bot.SETTINGS_NAME).read_text())
        (user / bot.SETTINGS_NAME).write_text(addresses(data))
        answers = [each.format(**data) for each in ALL]
        answers[4] = "삼성전자, SK하이닉스"
        program = [sys.executable, str(edge.ROOT / "kis_realtime_trading.py")]
        code, shown, left = on_a_terminal(user, [*program, "--setup"], answers)
        assert (code, left) == (0, []), shown
        assert "질문 9개" in shown and "--paper" in shown.splitlines()[-1]
        assert data["paper_sec"] not in shown and data["paper_app"] not in shown
        with (user / "log").open("w") as log:
            trading = subprocess.Popen(
                [*program, "--paper", "--one-day", "--strategy", "buyer.py:Buyer"], cwd=user,
                env=environ, stderr=log,
            )  # fmt: skip
        orders = 0
        while not orders and trading.poll() is None:
            with urllib.request.urlopen(f"{ready['rest']}/simulator/books", timeout=60) as answer:
                orders = json.loads(answer.read())["order_count"]
            select.select([], [], [], 0.2)
        assert orders, (trading.returncode, (user / "log").read_text())
    finally:
        for process in filter(None, (trading, simulated)):
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
