"""The command line: what a user types, sees and is told; against a served simulator."""

import asyncio
import functools
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import edge
import pytest
from test_codec import IV, KEY, OFFICIAL_TRADE, encrypted, notice_text

import kis_realtime_trading as bot
from companions import simulator
from companions.command_line import main, run_command
from companions.decode import decode_lines
from companions.demo import wait_ready
from companions.options import build_parser, read_arguments

ROUNDS = """
import kis_realtime_trading as bot
class Rounds(bot.TradingStrategy):
    def on_bar(self, view, bar):
        if view.position.quantity or view.open_orders:
            return None
        price = bot.step_ticks(view.last_price, view.fund, 5)
        plan = bot.ExitPlan(view.round_price(price * 0.995, up=False),
                            view.round_price(price * 1.005, up=True))
        return view.buy(3, price, bar.end.isoformat(), plan, "round")
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder that is the home and the present one; no variables of ours."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [*os.environ]:
        if name.startswith(("KIS_", "TELEGRAM_", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY")):
            monkeypatch.delenv(name)
    return tmp_path


def options(*arguments):
    return build_parser().parse_args(arguments)


# --- settings ---

TEN_FAULTS = """
paper_app: "모의투자 앱키"
paper_sec: ""
my_htsid: "a b"
my_paper_stock: "1234"
my_prod: 1
vps: "https://openapi.koreainvestment.com:9443"
vops: "ws://evil.example:31000"
bot:
  symbols: [5930]
  bar_minutes: 0
  colour: red
  limits: {max_order_krw: 1, max_symbol_krw: 1, max_total_krw: 1, max_daily_loss_krw: 1}
"""
FAULTY_KEYS = (
    "paper_app", "paper_sec", "my_htsid", "my_paper_stock", "my_prod", "vps", "vops", "bot.symbols",
    "bot.bar_minutes", "bot.colour",
)  # fmt: skip


@pytest.mark.parametrize("mode", ["--paper", "--check"])
def test_ten_faults_are_told_in_one_run(home, capsys, mode):
    """Exit code 78; each on a line with its key, what was found and what is expected."""
    (home / "kis_devlp.yaml").write_text(TEN_FAULTS, encoding="utf-8")
    (home / "kis_devlp.yaml").chmod(0o600)
    read = read_arguments([mode, "--language", "en"])
    run = bot._run_mode if mode == "--paper" else run_command
    assert bot.run_guarded(read, run) == bot.EXIT_SETTINGS
    head, *lines = capsys.readouterr().err.splitlines()
    assert head == "10 fault(s) in the settings; nothing was sent:"
    for key in FAULTY_KEYS:
        [line] = [each for each in lines if each.startswith((f"  - {key}:", f"  - {key} "))]
        assert ": found " in line and ", expected " in line
    assert len(lines) == 10
    assert {path.name for path in home.iterdir()} == {"kis_devlp.yaml"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--paper"], "copy kis_devlp.yaml.example"),
        (["--paper", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--live"], "live-NAME.yaml"),
        (["--live", "--credentials", "live-none.yaml"], "live-NAME.yaml"),
    ],
)
def test_a_missing_file_is_told_with_where_it_was_looked_for(home, capsys, arguments, told):
    """Exit code 78 and what to do; nothing is made."""
    if "--live" in arguments:
        (home / "kis_devlp.yaml").write_text("my_prod: '01'\n")
    assert bot.main([*arguments, "--language", "en"]) == bot.EXIT_SETTINGS
    assert told in capsys.readouterr().err
    assert not (home / "kis_state").exists()


STRATEGIES = {
    "nowhere.py:Any": "nowhere.py:Any",
    "bare.py": "--strategy: found bare.py: is no TradingStrategy, expected FILE.py:CLASS",
    "unmade.py": "unmade.py: is no TradingStrategy, expected unmade.py:Other",
    "bare.py:Missing": "bare.py:Missing is no TradingStrategy",
    "bare.py:Other": "bare.py:Other is no TradingStrategy, expected FILE.py:CLASS",
    "bare.txt:Other": "FILE.py:CLASS",
    "slip.py:Other": "SyntaxError",
    "lacks.py:Other": "ModuleNotFoundError",
    "breaks.py:Other": "ZeroDivisionError in line 1 of breaks.py: division by zero, expected",
    "leaves.py:Other": "SystemExit in line 2 of leaves.py",
    "unmade.py:Other": "ValueError in line 4 of unmade.py",
    "unmade.py:Another": "unmade.py:Another is no TradingStrategy, expected unmade.py:Other",
    "short.py:Other": "Other.on_bar in line 3, expected def on_bar(self, view, bar), no async",
    "waits.py:Other": "Other.on_bar in line 3, expected def on_bar(self, view, bar), no async",
    "closed.py:Other": "Other.__init__ in line 3, expected def __init__(self, parameters=None)",
}


async def test_a_strategy_that_is_none_is_told_before_anything_is_sent(home, capsys):
    """A missing file, no class, another class: exit code 78; the next start finds no lock."""
    for name in ("bare.py", "bare.txt"):
        (home / name).write_text("class Other:\n    pass\n")
    (home / "slip.py").write_text("class Other\n    pass\n")
    (home / "lacks.py").write_text("import a_library_of_nobody\n")
    (home / "breaks.py").write_text("rate = 1 / 0\n")
    (home / "leaves.py").write_text("import sys\nsys.exit()\n")
    head = "from kis_realtime_trading import TradingStrategy\nclass Other(TradingStrategy):\n"
    body = "    def __init__(self, parameters):\n        raise ValueError('no')\n"
    (home / "unmade.py").write_text(f"{head}{body}    def on_bar(self, view, bar): ...\n")
    (home / "short.py").write_text(f"{head}    def on_bar(self, bar): ...\n")
    (home / "waits.py").write_text(f"{head}    async def on_bar(self, view, bar): ...\n")
    body = "    def __init__(self): ...\n    def on_bar(self, view, bar): ...\n"
    (home / "closed.py").write_text(f"{head}{body}")
    async with simulator.serve(edge.config(seed=4201), edge.at("10:05:30")) as there:
        edge.write_config(home, there)
        for name, told in STRATEGIES.items():
            started = bot.main(["--paper", "--strategy", name, "--language", "en"])
            assert started == bot.EXIT_SETTINGS
            assert told in capsys.readouterr().err
        assert not there.simulator.books()["requests"]


@pytest.mark.parametrize(
    ("strategy", "left"),
    [("", {"risk_krw": 9_000, "lookback_bars": 7}), ("breakout", {"risk_krw": 9_000, "lookback_bars": 7}),
     ("opening_range.py:OpeningRange", {"risk_krw": 9_000}), ("nowhere.py:Any", {})],
)  # fmt: skip
def test_another_strategy_takes_over_the_parameters_that_it_knows(home, strategy, left):
    """Those of the settings are the first one's: a parameter that it does not know is no fault."""
    limits = dict.fromkeys(bot.MONEY_LIMITS, 1_000_000)
    parameters = {"risk_krw": 9_000, "lookback_bars": 7}
    section = bot.BotSettings(symbols=("005930",), limits=limits, parameters=parameters)
    profile = edge.profile_of(simulator.Simulator(edge.config()))
    settings = bot.Settings(profile, section, bot.Secret(""), "")
    name = f"{edge.ROOT / 'strategies'}/{strategy}" if ".py" in strategy else strategy
    asked = bot.as_asked(settings, options("--paper", *(["--strategy", name] if name else [])))
    assert asked.bot.parameters == left
    assert asked.bot.strategy == (name or "breakout")


def test_a_terminal_without_korean_ends_no_command(monkeypatch):
    """Letters that it cannot show are shown as numbers."""
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    assert bot.run_guarded(build_parser().parse_args(["--journal"]), say_korean) == 0
    assert shown.getvalue() == rb"\uc2dc\uc791" + b"\n"


def say_korean(options):
    """Be a command that prints Korean."""
    print("시작", flush=True)
    return 0


# --- words for a bot that runs ---


def test_words_for_the_bot_are_left_in_order(home, capsys):
    """--level, --resolve, --accept-orders: one line each; a word not yet obeyed is kept."""
    assert main(["--level", "FLATTEN_AND_HALT", "--state", "state"]) == 1
    assert "봇의 폴더를 --state로" in capsys.readouterr().err  # no bot lives there
    assert not (home / "state").exists()  # a mistyped folder is not made
    (home / "state").mkdir(mode=0o700)
    (home / "state" / "journal-paper-x.sqlite3").touch()
    assert main(["--level", "FLATTEN_AND_HALT", "--state", "state"]) == 0
    assert main(["--resolve", "abc=absent", "--state", "state"]) == 0
    assert main(["--accept-orders", "--state", "state"]) == 0
    left = home / "state" / bot.CONTROL_FILE
    assert left.read_text() == "level FLATTEN_AND_HALT\nresolve abc=absent\naccept"
    assert oct(stat.S_IMODE(left.stat().st_mode)) == "0o600"
    assert capsys.readouterr().out.count("실행 중인 봇은 1초 안에") == 3


@pytest.mark.parametrize("word", ["abc", "abc=", "=absent", "abc=perhaps", "a=1 b", "a=1\nlevel X"])
def test_nonsense_about_a_quarantine_is_refused_before_it_is_left(home, capsys, word):
    """--resolve of nonsense ends with 1 and leaves nothing."""
    (home / "journal-paper-x.sqlite3").touch()
    assert main(["--resolve", word, "--state", "."]) == 1
    assert "INTENT=absent" in capsys.readouterr().err
    assert not (home / bot.CONTROL_FILE).exists()


@pytest.mark.parametrize(
    ("alert", "code", "said"),
    [
        (("level", {"level": "REDUCE_ONLY", "reason": "owner"}), 0, "level: REDUCE_ONLY (owner)"),
        (("error", {"what": "no order abc waits for an answer"}), 1, "no order abc waits"),
    ],
)
def test_the_answer_of_the_running_bot_is_waited_for_and_printed(home, capsys, alert, code, said):
    """What it obeyed and told since is printed; an error ends with 1."""
    folder = home / "elsewhere"
    folder.mkdir()
    control, file = folder / bot.CONTROL_FILE, folder / "journal-paper-x.sqlite3"
    now = bot.datetime.now(bot.KST)
    bot.Journal(file).close()

    def obey():
        while not control.exists():
            threading.Event().wait(0.01)
        journal = bot.Journal(file)
        journal.verify()
        journal.append([("command", "level", {}), ("alert", *alert)], now)
        journal.close()
        control.unlink()

    lock = bot.AccountLock(bot.Secret(f"{folder}"), folder)
    running = threading.Thread(target=obey)
    running.start()
    words = ("--level", "REDUCE_ONLY")
    try:
        assert main([*words, "--state", str(folder), "--language", "en"]) == code
    finally:
        running.join(10.0)
        lock.release()
    shown = capsys.readouterr().out
    assert "the bot took it: level REDUCE_ONLY" in shown and said in shown


def test_a_word_is_left_behind_garbage_that_nobody_obeyed(home):
    """The kill switch works whatever lies there already."""
    (home / "journal-paper-x.sqlite3").touch()
    (home / bot.CONTROL_FILE).write_bytes(b"\xff\xfe\x00")
    assert main(["--level", "FLATTEN_AND_HALT", "--state", "."]) == 0
    assert (home / bot.CONTROL_FILE).read_text().endswith("\nlevel FLATTEN_AND_HALT")


def test_a_user_without_a_home_is_told_where_settings_were_looked_for(home, capsys, monkeypatch):
    """As in a container whose user has no line in the list of users."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    assert bot.main(["--paper"]) == bot.EXIT_SETTINGS
    assert bot.SETTINGS_NAME in capsys.readouterr().err


def test_an_env_file_that_is_no_text_is_told(home, capsys):
    """One sentence that names the file."""
    (home / bot.SETTINGS_NAME).write_text("my_htsid: a")
    (home / ".env").write_bytes(b"\xff\xfeK\x00")
    assert bot.main(["--paper", "--language", "en"]) == bot.EXIT_SETTINGS
    assert f"{home / '.env'}: found" in capsys.readouterr().err


# --- decode ---

BROKEN = ("0|H0STCNT0|001|005930^0933", "1|H0STCNI9|001|AAAA", "0|NONSENSE|001|x", "hello", "{")


def decoded(frames, *more):
    """Return the JSON objects that --decode prints for frames."""
    target = io.StringIO()
    given = options("--decode", *more)
    assert decode_lines(frames, target, given.key, given.iv) == 0
    return [json.loads(line) for line in target.getvalue().splitlines()]


def test_decode_learns_keys_from_an_acknowledgement_and_never_shows_them():
    """A recorded session decodes by itself; without its key a notice is refused with the reason."""
    output = {"iv": IV, "key": KEY}
    body = {"rt_cd": "0", "msg_cd": "OPSP0000", "msg1": "SUBSCRIBE SUCCESS", "output": output}
    header = {"tr_id": "H0STCNI0", "tr_key": "user", "encrypt": "N"}
    answer = json.dumps({"header": header, "body": body})
    notice = encrypted(notice_text())
    refused, control, read = decoded([notice, answer, notice])
    assert "key" in refused["refused"] and read["ODER_NO"] == "0000002891"
    assert control == {"tr_id": "H0STCNI0", "control": "OPSP0000 SUBSCRIBE SUCCESS"}


def test_decode_goes_on_behind_bytes_that_are_no_text(monkeypatch):
    """Captured frames held bytes that are no UTF-8; the locale of the machine does not matter."""
    lines = [b"0|H0STANC0|001|\xb0\xa1", OFFICIAL_TRADE.encode(), b'{"header":{"tr_id":"\\ud800"}}']
    source = io.TextIOWrapper(io.BytesIO(b"\n".join(lines)), encoding="ascii")
    target = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdin", source)
    monkeypatch.setattr(sys, "stdout", target)
    assert run_command(options("--decode")) == 0
    target.seek(0)
    refused, trade, control = [json.loads(line) for line in target]
    assert refused["frame"] == "0|H0STANC0|001|\ufffd\ufffd"
    assert (trade["STCK_PRPR"], control["tr_id"]) == (71_900, "?")


@pytest.mark.parametrize(("key", "iv"), [("short", IV), (KEY, ""), (KEY + "x", IV)])
def test_a_key_of_another_length_is_told(key, iv):
    """Not a trace: which options are wrong."""
    with pytest.raises(bot.BotError, match="--key and --iv"):
        decoded([OFFICIAL_TRADE], "--key", key, "--iv", iv)


# --- journal ---


def test_the_journal_of_a_demo_is_found_by_its_hint(tmp_path):
    """A newcomer types --journal after the demo, whose folder lies one deeper."""
    folder = tmp_path / "demo-1"
    folder.mkdir()
    bot.Journal(folder / "journal-paper-x.sqlite3").close()
    options = build_parser().parse_args(["--journal", "--state", str(tmp_path)])
    with pytest.raises(bot.BotError, match=str(folder)):
        run_command(options)


# --- systemd ---


def test_the_unit_names_this_program_and_holds_no_secret(home, capsys):
    """Program, settings, user; final exit codes are not restarted; the watchdog is on."""
    given = options("--print-systemd-unit", "--config", "trading/kis_devlp.yaml")
    assert run_command(given) == 0
    lines = capsys.readouterr().out.splitlines()
    unit = dict(line.split("=", 1) for line in lines if "=" in line)
    program = edge.ROOT / "kis_realtime_trading.py"
    assert unit["ExecStart"] == (
        f"{sys.executable} -I {program} --paper --config {home / 'trading' / 'kis_devlp.yaml'}"
    )
    assert unit["Type"] == "notify" and int(unit["WatchdogSec"]) > 0
    assert unit["RestartPreventExitStatus"].split() == ["75", "74", "78"]
    assert unit["StateDirectoryMode"] == "0700" and unit["UMask"] == "0077"
    assert [line for line in lines if line.startswith("[")] == ["[Unit]", "[Service]", "[Install]"]


def test_the_unit_quotes_what_systemd_would_read_otherwise(home, capsys):
    """A folder may hold blanks and percent signs."""
    given = options("--print-systemd-unit", "--config", "my 100% bot/kis_devlp.yaml")
    assert run_command(given) == 0
    path = str(home / "my 100%% bot" / "kis_devlp.yaml")
    assert f'--config "{path}"' in capsys.readouterr().out


# --- processes, as a user starts them ---

# Starts the rest of its arguments; prints their peak of memory, kB. A process that the tests
# started themselves would count the tests' own memory, which it had until exec.
MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=sys.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


async def one_file_alone(home):
    """Copied into an empty folder with a configuration: --help, and what it lacks for the rest."""
    program = shutil.copy(edge.ROOT / "kis_realtime_trading.py", home)
    async with simulator.serve(edge.config(), edge.at("10:05:30")) as there:
        edge.write_config(home, there)

        async def run(*arguments):
            process = await asyncio.create_subprocess_exec(
                sys.executable, program, *arguments, cwd=home, env=edge.environment(home),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            return await edge.end_of(process)

        shown, checked, demo = await asyncio.gather(
            run("--help", "--language", "en"), run("--check"), run("--demo")
        )
        assert not there.simulator.books()["orders"]
    assert (shown.code, shown.err) == (0, "")
    own = ("paper", "live", "make-pin", "acknowledge", "strategy", "one-day", "credentials")
    assert [each for each in own if f"--{each} " not in shown.out] == []
    assert "Ctrl-C or SIGTERM" in shown.out and "companions" in shown.out
    for each in (checked, demo):
        assert each.code == bot.EXIT_FAILED and "Traceback" not in each.err
        assert "companions 폴더가 필요합니다" in each.err
    left = {path.name for path in home.iterdir()}
    assert left == {"kis_realtime_trading.py", "kis_devlp.yaml"}


async def frames_in_objects_out(home):
    """As a user would: frames in, one JSON object a record out, in order, exit code 0."""
    frames = [OFFICIAL_TRADE, encrypted(notice_text()), *BROKEN, OFFICIAL_TRADE]
    text = "\ufeff" + "\r\n".join(frames) + "\n\n"
    asked = functools.partial(edge.run_bot, home, "--decode", "--key", KEY, "--iv", IV, stdin=text)
    ended = await asyncio.to_thread(asked)
    assert (ended.returncode, ended.stderr) == (0, "")
    first, notice, *refused, last = [json.loads(line) for line in ended.stdout.splitlines()]
    assert first == last
    assert (first["tr_id"], first["STCK_PRPR"], first["CNTG_VOL"]) == ("H0STCNT0", 71900, 1)
    assert (notice["tr_id"], notice["ODER_NO"], notice["CNTG_UNPR"]) == (
        "H0STCNI0", "0000002891", 3190,
    )  # fmt: skip
    assert len(refused) == len(BROKEN)
    assert all(each["refused"] and each["frame"] for each in refused)
    assert KEY not in ended.stdout


async def afternoon_on_paper(tmp_path, started):
    """Against a simulator of its own: exit code 0, equal books, less than 150 MB of memory."""
    (tmp_path / "rounds.py").write_text(ROUNDS)
    log, environ = tmp_path / "bot.err", edge.environment(tmp_path)
    simulated = subprocess.Popen(
        [sys.executable, "-m", "companions.simulator", "--port", "0", "--seed", "4202", "--start", "14:40",
         "--speed", "100", "--symbols", "005930", "--density", "10", "--write-config",
         str(tmp_path), "--hold", "4"],
        stdout=subprocess.PIPE, text=True, cwd=edge.ROOT, env=environ,
    )  # fmt: skip
    try:
        ready = wait_ready(simulated, tmp_path)
        # a slow machine begins late, and asks a price for longer than a fifth of a second
        settings = tmp_path / "kis_devlp.yaml"
        text = re.sub("(max_(data|quote)_age_s): .*", r"\1: 120", settings.read_text("utf-8"))
        settings.write_text(text + '  last_entry: "15:19"\n  flat_at: "15:20"\n', "utf-8")
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-c", MEASURE, sys.executable,
                 str(edge.ROOT / "kis_realtime_trading.py"), "--paper", "--one-day",
                 "--strategy", "rounds.py:Rounds"],
                stdout=subprocess.PIPE, stderr=errors, cwd=tmp_path, env=environ, text=True,
            )  # fmt: skip
            await edge.until(lambda: "▶" in log.read_text() or process.poll() is not None)
            started.set()
            peak_kb, _ = await asyncio.to_thread(process.communicate)
        with urllib.request.urlopen(f"{ready['rest']}/simulator/books", timeout=60) as answer:
            books = json.loads(answer.read())
    finally:
        simulated.terminate()
        simulated.communicate(timeout=60)
    told = log.read_text()
    assert process.returncode == 0, told
    assert "Traceback" not in told and "■ 종료: 하루 매매를 마쳤습니다" in told
    assert int(peak_kb) < 150_000
    [path] = (tmp_path / "kis_state").glob("journal-*.sqlite3")
    journal, ledger = bot.Journal(path, read_only=True), bot.Ledger()
    assert bot.read_past(journal, ledger).end
    journal.close()
    held = {code: each.quantity for code, each in ledger.positions.items() if each.quantity}
    assert held == {code: each["quantity"] for code, each in books["positions"].items()}
    assert ledger.cash_krw == books["cash_krw"]
    assert ledger.today.orders >= books["order_count"]  # ours count refused ones as well
    assert ledger.today.fills == books["fill_count"]
    assert books["fill_count"] >= 2


@pytest.mark.usefixtures("cold_starts")
async def test_a_paper_day_and_beside_it_the_file_alone_and_frames_decoded(tmp_path):
    """Three users at once, each in a folder of his own: the day is mostly waiting."""
    homes = [tmp_path / name for name in ("paper", "place with blanks", "frames")]
    for home in homes:
        home.mkdir()
    started = asyncio.Event()

    async def beside():
        await started.wait()
        await asyncio.gather(one_file_alone(homes[1]), frames_in_objects_out(homes[2]))

    async with asyncio.TaskGroup() as group:
        group.create_task(afternoon_on_paper(homes[0], started))
        group.create_task(beside())


def test_the_first_lines_know_the_commands_of_this_file():
    """What is not one of them is handed over before anything else is loaded: the two sets agree."""
    text = Path(bot.__file__).read_text("utf-8")
    found = re.search(r"^    _OWN = (\{.*?\})", text, re.M)
    assert found and set(re.findall(r'"(--[\w-]+)"', found[1])) == set(bot.OWN_COMMANDS)
    assert text.index("_OWN & ") < text.index("from pydantic import")
