"""`--report`, `--journal` and `--why` as a user meets them: filters, sentences, a pager's end."""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import journals
import pytest
from rich.cells import cell_len
from rich.console import Console

import kis_realtime_trading as bot
from companions import control, journal_view, report_view, row_words, why
from companions.options import build_parser

BOT = Path(bot.__file__)


def options(folder: Path, *words: str) -> argparse.Namespace:
    """Return the options of a command line for a state folder."""
    return build_parser().parse_args([*words, "--state", str(folder)])


@pytest.fixture
def made(tmp_path):
    """A day with one round trip that a trailing stop ended, its decisions beside it."""
    maker = journals.JournalMaker(tmp_path / "journal-paper-0000.sqlite3", symbols=("005930",))
    maker.price["005930"] = 70_000
    maker.open_day(date(2026, 1, 5))
    maker.now = maker.now.replace(hour=9, minute=30)
    plan = bot.ExitPlan(69_100, 71_700, 0.012)
    facts = {
        "close": 69_900, "highest": 69_800, "volume": 5_000, "average_volume": 2_000.0,
        "vwap": 69_500.5,
    }  # fmt: skip
    wish = {"symbol": "005930", "side": "BUY", "reason": "breakout", "quantity": 10,
            "price": 70_000, "plan": plan, "facts": facts, "signal": "0930"}  # fmt: skip
    key = f"{maker.number + 1:016x}"
    maker.rows.append(("decision", key, wish))
    maker.fill(maker.send("005930", bot.Side.BUY, 10, "breakout", "entry"), 10)
    maker.bars(5)
    maker.price["005930"] = 71_000
    stop = {"side": "SELL", "reason": "trailing stop", "quantity": 10, "price": 70_900,
            "plan": bot.ExitPlan(71_000, 71_700, 0.012)}  # fmt: skip
    maker.rows.append(("decision", "005930", stop))
    maker.put(bot.ExitStarted("005930", "trailing stop", maker.now))
    maker.fill(maker.send("005930", bot.Side.SELL, 10, "trailing stop", "exit"), 10)
    maker.close_day()
    return maker


def test_an_entry_is_explained_by_the_rule_and_its_values(made):
    """The values of the decision, the plan and the result stand in sentences, in both languages."""
    korean = " ".join(why.explain(made.path, "1", "ko"))
    for part in ("삼성전자(005930) 10주를 70,000원에", "직전 최고가 69,800원", "2.5배", "손절가 69,100원",
                 "+8,382원"):  # fmt: skip
        assert part in korean
    english = " ".join(why.explain(made.path, "1", "en"))
    for part in ("10 of 삼성전자(005930)", "2.5 times", "stop 69,100 won", "+8,382 won"):
        assert part in english


@pytest.mark.parametrize("wanted", ["last", "005930", "2", f"{2:016x}"])
def test_an_exit_is_explained_by_the_stop_that_fired(made, wanted):
    """`last`, a stock, a number and an id name the same exit: price, stop, high and result."""
    text = " ".join(why.explain(made.path, wanted, "ko"))
    for part in ("추적 손절", "70,900원이 손절가 71,000원 이하", "최고가는", "+8,382원"):
        assert part in text


def test_an_order_that_is_not_there_is_named(made, tmp_path):
    """A number that no order has is a sentence."""
    with pytest.raises(bot.BotError, match="no order 777"):
        journal_view.show_why(options(tmp_path, "--why", "777"))


def test_the_journal_is_filtered(made, tmp_path, capsys):
    """--type, --symbol, --from and --to choose; nothing is said of the chain then."""
    journal_view.show_journal(options(tmp_path, "--journal", "--type", "intent,day"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines] == ["intent", "intent", "day"]
    journal_view.show_journal(options(tmp_path, "--journal", "--from", "2026-01-06"))
    assert capsys.readouterr().out == ""
    journal_view.show_journal(options(tmp_path, "--journal", "--to", "2026-01-05"))
    assert len(capsys.readouterr().out.splitlines()) == made.journal.last_seq


def test_a_changed_row_is_named(made, tmp_path):
    """The whole journal is shown only when its chain holds."""
    made.journal._db.execute("UPDATE rows SET body = replace(body, '70000', '70010')")
    with pytest.raises(bot.JournalError, match="is not what was written"):
        journal_view.show_journal(options(tmp_path, "--journal"))


@pytest.mark.parametrize(
    ("kind", "ref", "data", "korean", "english"),
    [
        ("phone", "7", {"user": 4242, "command": "sell", "arguments": ["005380"]},
         "/sell 현대차 · 사용자 4242", "/sell 현대차 · user 4242"),
        ("phone", "8", {"user": 4242, "command": "notify", "arguments": ["entry", "off"]},
         "/notify entry off · 사용자 4242", "/notify entry off · user 4242"),
        ("ledger", "", {"day": "2026-11-20", "waits": True},
         "날짜 2026-11-20 · 잔고 확인을 기다림 예", "day 2026-11-20 · waits for the account yes"),
        ("command", "release", {"text": "calendar"},
         "보류 사유 해소 · 내용 증권사가 오늘을 휴장으로 표시함", "release · text calendar"),
    ],
)  # fmt: skip
def test_rows_of_the_phone_and_of_a_morning_are_told_in_words(kind, ref, data, korean, english):
    """They stood there as `phone  command sell · user 4,242` and `waits 예`."""
    names = {"005380": "현대차"}
    assert row_words.in_words(kind, ref, data, "ko", names) == korean
    assert row_words.in_words(kind, ref, data, "en", names) == english
    assert row_words.kind_word("phone", "ko") == "휴대폰"


def test_a_pager_that_goes_leaves_no_trace(made, tmp_path):
    """`--journal | head` ends in silence."""
    made.bars(300)
    command = [sys.executable, str(BOT), "--journal", "--state", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_report_fits_eighty_columns(made, tmp_path, language):
    """Every figure of a round trip is whole at 80 columns; nothing is cut with dots."""
    console = Console(width=80, record=True, file=subprocess_null())
    chosen = options(tmp_path, "--report", "--csv", str(tmp_path / "trips.csv"))
    chosen.language = language
    report_view.show_report(chosen, console)
    text = console.export_text()
    assert "…" not in text
    assert "+8,382" in text and "70,000" in text and "71,000" in text


def subprocess_null():
    """Return a file that keeps nothing."""
    return open("/dev/null", "w")


def test_the_csv_holds_every_round_trip(made, tmp_path, capsys):
    """A spreadsheet gets whole won, and no text of it is a formula."""
    file = tmp_path / "trips.csv"
    report_view.show_report(options(tmp_path, "--report", "--csv", str(file)))
    [row] = csv.DictReader(file.read_text("utf-8-sig").splitlines())
    korean = ("종목코드", "매수가", "손익", "매수 사유", "매도 사유")
    assert [row[key] for key in korean] == ["005930", "70000", "8382", "돌파", "추적 손절"]
    report_view.show_report(
        options(tmp_path, "--report", "--csv", str(file), "--language", "en"), Console(quiet=True)
    )
    [row] = csv.DictReader(file.read_text("utf-8-sig").splitlines())
    english = ("symbol", "entry_price", "gain_krw", "entry_reason", "reason")
    told = ["005930", "70000", "8382", "breakout", "trailing stop"]
    assert [row[key] for key in english] == told
    assert report_view._harmless("=HYPERLINK()") == "'=HYPERLINK()"


def test_a_week_is_told_by_its_monday(made, tmp_path):
    """Nobody knows by heart when week 2 of a year is."""
    console = Console(width=80, record=True, file=subprocess_null())
    report_view.show_report(options(tmp_path, "--report"), console)
    assert "2026-01-05 주" in (text := console.export_text()) and "W02" not in text


def test_a_day_that_is_none_is_a_setting_at_fault():
    """Yesterday is answered with how to write a day."""
    with pytest.raises(bot.SettingsError, match="2026-11-27"):
        report_view.day_of("yesterday", "--from")


def test_long_lines_break_between_words_and_no_figure_is_cut():
    """Nothing is wider than the terminal, letters of Korean count two, what follows is indented."""
    line = "  2100 2026-11-18T15:31:38 alert      " + "손익 -4,020원 (-0.13%) · 세금 5,980원 " * 12
    for wide in (40, 80, 120):
        rows = journal_view.folded([line.rstrip()], wide, 38)
        assert max(map(cell_len, rows)) <= wide
        assert " ".join(" ".join(rows).split()) == " ".join(line.split())
        assert {row[:2] for row in rows[1:]} == {"  "}
    assert journal_view.folded([line], 0) == [line]  # into a pager or a file


def test_without_a_folder_the_journal_of_the_bot_that_runs_is_read(tmp_path, monkeypatch):
    """The folder named goes first, then the usual one if it has a journal; several bots: the usual one."""
    monkeypatch.chdir(tmp_path)
    asked, usual = build_parser().parse_args(["--journal"]), Path("kis_state")
    for running, read in (([], usual), ([tmp_path], tmp_path), ([tmp_path, Path("/b")], usual)):
        monkeypatch.setattr(control, "running_folders", lambda running=running: running)
        assert control.folder_to_read(asked) == read
    monkeypatch.setattr(control, "running_folders", lambda: [tmp_path])
    named = build_parser().parse_args(["--journal", "--state", "elsewhere"])
    assert control.folder_to_read(named) == Path("elsewhere")
    usual.mkdir()
    (usual / "journal-paper-x.sqlite3").touch()
    assert control.folder_to_read(asked) == usual


def test_times_of_the_csv_are_times_of_a_spreadsheet(made):
    """Day and second of this market: no zone and no fraction that a spreadsheet takes for a text."""
    path = made.path.parent / "trips.csv"
    report_view.show_report(
        options(made.path.parent, "--report", "--csv", str(path)), Console(quiet=True)
    )
    [row] = csv.DictReader(path.read_text("utf-8-sig").splitlines())
    for key in ("매수 시각", "매도 시각"):
        assert datetime.strptime(row[key], "%Y-%m-%d %H:%M:%S").date() == made.now.date()


@pytest.mark.parametrize(
    ("reason", "price", "said"),
    [("trailing stop", 70_900, "70,900원이 손절가 71,000원 이하"), ("trailing stop", 71_200, "손절가 71,000원에 닿아"),
     ("target", 71_800, "71,800원이 목표가 71,700원 이상"), ("target", 71_500, "목표가 71,700원에 닿아")],
)  # fmt: skip
def test_a_price_that_came_back_is_not_said_to_be_beyond_its_line(tmp_path, reason, price, said):
    """The order may be made when the price stands on the other side again: the sentence stays true."""
    maker = journals.JournalMaker(tmp_path / "journal-paper-0000.sqlite3", symbols=("005930",))
    maker.open_day(date(2026, 1, 5))
    maker.fill(maker.send("005930", bot.Side.BUY, 10, "breakout", "entry"), 10)
    row = {"side": "SELL", "reason": reason, "quantity": 10, "price": price,
           "plan": bot.ExitPlan(71_000, 71_700, 0.012)}  # fmt: skip
    maker.rows.append(("decision", "005930", row))
    maker.put(bot.ExitStarted("005930", reason, maker.now))
    maker.fill(maker.send("005930", bot.Side.SELL, 10, reason, "exit"), 10)
    maker.close_day()
    told = "\n".join(why.explain(maker.path, "last", "ko"))
    assert said in told and f"{price:,}원" in told
