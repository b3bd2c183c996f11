"""Odd uses of the commands that read: each is answered with a sentence that says what to do."""

import argparse
import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from journals import make_journal

import kis_realtime_trading as bot
from companions import names, plain_words

BOT = Path(bot.__file__)


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> Path:
    """Return a state folder with two days of journal."""
    folder: Path = tmp_path_factory.mktemp("state")
    make_journal(folder / "journal-paper-000000000000.sqlite3", 2, 20)
    return folder


def said(*words: str, **environment: str) -> tuple[int, str]:
    """Run a command; return its exit code and all that it says."""
    command = [sys.executable, str(BOT), *words]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        timeout=150, env={**os.environ, **environment}, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.decode("utf-8", "replace")


def test_a_settings_file_of_another_encoding_is_told_so(tmp_path: Path):
    """Saved by a Korean editor of old: what to do stands there, no word of Python."""
    file = tmp_path / "kis_devlp.yaml"
    file.write_bytes("bot: {}  # 한글".encode("cp949"))
    code, told = said("--paper", "--config", str(file), "--state", str(tmp_path))
    assert code == bot.EXIT_SETTINGS
    assert "UTF-8이 아님(메모장: 다른 이름으로 저장, 인코딩 UTF-8)" in told and "codec" not in told


def test_what_the_system_refuses_is_told_in_korean():
    """The words of the system stand in Korean sentences too, also where the journal is late."""
    assert (
        bot.system_words(FileExistsError(17, "File exists", "/a")).ko
        == "/a: 같은 이름의 파일이 있음"
    )
    late = bot.Alert("journal_late", {"why": "database or disk is full"})
    assert "디스크가 가득 참" in bot.say(late, "ko") and "disk is full" in bot.say(late, "en")


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        (("--report", "--state", "/no/such"), 1, "저널의 폴더를 --state로 알려 주십시오"),
        (("--report", "--csv", "/no/such/x.csv"), 1, "폴더를 먼저 만드십시오"),
        (("--picture", "/no/such/day.png"), 1, "폴더를 먼저 만드십시오"),
        (("--report", "--csv", "/"), 1, "파일 이름까지 적으십시오"),
        (("--journal", "--type", "order"), 1, "다음 중에서 고르십시오: alert(알림), decision(판단)"),
        (("--why", "nosuch"), 1, "--journal --type intent"),
        (("--report", "--symbol", "삼성"), 1, "삼성: 모르는 종목입니다. 혹시: 삼성E&A 028050"),
        (("--report", "--symbol", "현대차"), 0, "이 기간에 매매가 없습니다"),
        (("--journal", "--symbol", "없는회사"), 1, "여섯 자리 종목코드로 적으십시오"),
        (("--backtest", "--data", "/no/such"), 1, "--fetch-history /no/such"),
        (("--status",), 1, "봇의 폴더를 --state로"),
        (("--replay", "README.md"), 1, "녹화의 첫 조각"),
    ],
)  # fmt: skip
def test_each_says_what_to_do(words: tuple[str, ...], code: int, answer: str, state: Path):
    """A wrong folder, file, kind, number or name: never a trace, never silence."""
    where = (
        ()
        if "--state" in words or words[0] in ("--backtest", "--replay")
        else ("--state", str(state))
    )
    got, text = said(*words, *where)
    assert (got, answer in text, "Traceback" in text) == (code, True, False), text
    assert not Path("/no").exists()  # who only reads makes no folder


def test_a_port_that_is_taken_is_answered_with_how_to_choose_another(state: Path):
    """The page says which port, and --port."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, text = said("--page", "--state", str(state), "--port", port)
    assert code == 1 and port in text and "--port로 다른 번호를" in text


@pytest.mark.parametrize("words", [("--report",), ("--journal",), ("--find", "삼"), ("--help",)])
def test_a_reader_that_goes_leaves_no_trace(words: tuple[str, ...], state: Path):
    """`| head -1` ends each command in silence."""
    where = ("--state", str(state)) if words[0] in ("--report", "--journal") else ()
    command = [sys.executable, str(BOT), *words, *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        told = process.stderr.read()
        process.wait(150)
    assert told == b""


def test_a_strategy_that_closes_the_output_is_named(monkeypatch: pytest.MonkeyPatch):
    """No trace at the end of a demo: one sentence names the line to take out; other faults stay."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())

    def closes(options: argparse.Namespace) -> int:
        if options.closes:
            sys.stdout.close()
        raise ValueError("of another kind")

    with pytest.raises(ValueError, match="of another kind"):
        plain_words.in_plain_words(closes)(argparse.Namespace(closes=False))
    with pytest.raises(bot.BotError, match=r"sys\.stdout\.close\(\)"):
        plain_words.in_plain_words(closes)(argparse.Namespace(closes=True))
    monkeypatch.setattr(sys, "stdout", None)  # closed by whoever started us: the fault stays itself
    with pytest.raises(ValueError, match="of another kind"):
        plain_words.in_plain_words(closes)(argparse.Namespace(closes=False))


@pytest.mark.parametrize("where", ["C", "POSIX", "ko_KR.EUC-KR"])
def test_korean_is_whole_in_any_locale(where: str, state: Path):
    """A terminal set to plain C still gets the letters that it can show."""
    code, text = said("--report", "--state", str(state), LC_ALL=where, PYTHONIOENCODING="utf-8")
    assert code == 0 and "매매 보고서" in text


def test_forty_columns_are_enough_for_the_figures(state: Path):
    """A narrow terminal shows fewer figures, each of them whole."""
    code, text = said("--report", "--state", str(state), COLUMNS="40")
    assert code == 0 and "기간 손익" in text
    assert max(len(line) for line in text.splitlines()) <= 40 and "…" not in text


def test_a_stock_is_named_by_name_or_code(state: Path):
    """--symbol and --why take the name that the report shows."""
    by_name = said("--report", "--state", str(state), "--symbol", "SK하이닉스")
    assert by_name == said("--report", "--state", str(state), "--symbol", "000660")
    assert names.code_of("에코프로비엠") == "247540"
    journal = said(
        "--journal", "--state", str(state), "--symbol", "SK하이닉스", "--type", "intent"
    )[1]
    assert journal and all(
        "SK하이닉스" in line and "000660" not in line for line in journal.splitlines()
    )


def test_the_screen_needs_a_terminal_and_says_what_does_not(state: Path):
    """In a pipe it names --status; in a terminal without a bot it ends with the reason."""
    bot.write_private(state / bot.STATUS_FILE, '{"version": 1, "language": "ko"}')
    code, text = said("--screen", "--state", str(state))
    assert code == 1 and "--status" in text
    (state / bot.STATUS_FILE).unlink()
    main, other = pty.openpty()
    command = [sys.executable, str(BOT), "--screen", "--state", str(state)]
    with subprocess.Popen(command, stdin=other, stdout=other, stderr=subprocess.PIPE) as process:
        assert process.stderr
        told = process.stderr.read().decode()
    os.close(main)
    os.close(other)
    assert process.returncode == 1 and "--state" in told and "Traceback" not in told


def test_the_next_command_is_one_that_this_person_can_type(monkeypatch, tmp_path: Path):
    """A bare machine has no `python`: the interpreter of the clone is named; `python` only where it is ours."""
    monkeypatch.chdir(BOT.parent)
    monkeypatch.setattr(sys, "executable", str(BOT.parent / ".venv/bin/python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert plain_words.start_of_command() == ".venv/bin/python kis_realtime_trading.py"
    other = tmp_path / "python"
    other.touch(0o755)
    assert plain_words.start_of_command() == ".venv/bin/python kis_realtime_trading.py"
    monkeypatch.setattr(sys, "executable", str(other))
    assert plain_words.start_of_command() == "python kis_realtime_trading.py"
    monkeypatch.chdir(tmp_path)
    assert plain_words.start_of_command() == f"python {BOT}"
