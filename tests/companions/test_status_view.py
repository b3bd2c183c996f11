"""`--status`: one screen from status.json, from any folder."""

from __future__ import annotations

import argparse
import json
import os
import time
from argparse import ArgumentError
from pathlib import Path

import pytest
from rich.console import Console

import kis_realtime_trading as bot
from companions import status
from companions.control import running_folders
from companions.demo import run_demo
from companions.options import build_parser, read_arguments

SAMPLE = {
    "version": 1, "at": "2026-11-27T10:01:02+09:00", "mode": "paper", "account_tail": "**01",
    "language": "ko", "phase": "trading", "level": "ACTIVE", "unknown": 1, "cash_krw": 9_000_000,
    "equity_krw": 10_006_500, "holds": [{"reason": "journal", "scope": "all", "text": "확인 중"}],
    "symbols": [
        {"symbol": "005930", "name": "삼성전자", "price": 71_000, "change_pct": 0.8, "position": 13,
         "average": 70_500.0, "stop": 69_000, "target": 73_000, "gain_krw": 6_500},
        {"symbol": "000660", "name": "SK하이닉스", "price": 182_500, "change_pct": -1.2,
         "position": 0},
    ],
    "orders": [{"number": "0000015700", "symbol": "005930", "side": "buy", "quantity": 13,
                "filled": 0, "price": 70_500, "state": "WORKING", "at": "2026-11-27T10:00:00+09:00"}],
    "day": {"result_krw": 6_500, "result_pct": 0.07, "realised_krw": 0, "open_krw": 6_500},
    "feed": {"connected": True, "age_s": 0.2},
}  # fmt: skip


def options(folder: Path | None, *words: str) -> argparse.Namespace:
    """Return the options of --status."""
    where = ["--state", str(folder)] if folder else []
    return build_parser().parse_args(["--status", *words, *where])


def test_one_screen_shows_what_matters(tmp_path):
    """Result, equity, level, hold, unknown order, stocks with stop and target: whole at 80x24."""
    (tmp_path / "status.json").write_text(json.dumps(SAMPLE))
    with open(os.devnull, "w") as nothing:
        console = Console(width=80, record=True, file=nothing)
        assert status.show_status(options(tmp_path), console) == 0
    text = console.export_text()
    for part in ("+6,500", "10,006,500", "매매 중", "확인 중", "결과 불명 주문: 1", "삼성전자", "69,000",
                 "73,000", "-1.20%", "0000015700", "매수"):  # fmt: skip
        assert part in text
    assert len(text.splitlines()) <= 24 and "…" not in text


def test_an_old_status_is_said_to_be_old(tmp_path):
    """A file that nobody keeps up to date is a failure, with how old it is."""
    file = tmp_path / "status.json"
    file.write_text(json.dumps(SAMPLE))
    for hours, said in (
        (0.002, "7초 전의"),
        (0.01, "36초 전의"),
        (0.7, "42분 전의"),
        (30, "30시간 전의 마지막 상태"),
    ):
        at = time.time() - hours * 3_600
        os.utime(file, (at, at))
        with open(os.devnull, "w") as nothing:
            console = Console(width=80, record=True, file=nothing)
            assert status.show_status(options(tmp_path), console) == bot.EXIT_FAILED
        told = console.export_text()
        assert "봇이 실행 중이 아닙니다" in told and said in told


def test_programs_get_json(tmp_path, capsys):
    """--json prints the file with its place and age."""
    (tmp_path / "status.json").write_text(json.dumps(SAMPLE))
    assert status.show_status(options(tmp_path, "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["level"], told["file"]) == ("ACTIVE", str(tmp_path / "status.json"))


def test_the_bot_that_runs_is_found_by_its_lock(tmp_path):
    """A process that holds the lock of an account open names the folder, wherever one stands."""
    lock = bot.AccountLock(bot.Secret("12345678" + "01" + str(tmp_path)), tmp_path)
    try:
        assert tmp_path in running_folders()
    finally:
        lock.release()
    assert tmp_path not in running_folders()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', "[" * 90_000])
def test_a_file_that_is_no_status_is_a_sentence(tmp_path, text):
    """Damage and other versions are named, not traced."""
    (tmp_path / "status.json").write_text(text)
    with pytest.raises(bot.BotError, match="not a status"):
        status.show_status(options(tmp_path))


@pytest.mark.parametrize("speed", ["0", "-5", "nan", "2000"])
def test_a_speed_that_cannot_be_is_refused(tmp_path, speed):
    """--speed out of its bounds is a sentence, and no folder is left."""
    words = ["--demo", f"--speed={speed}", "--state", str(tmp_path / "demos")]
    with pytest.raises(SystemExit):
        read_arguments(words)
    with pytest.raises(ArgumentError, match="1부터 1,000까지"):
        run_demo(build_parser().parse_args(words))
    assert not (tmp_path / "demos").exists()


def test_what_is_left_of_calls_token_and_memory_stands_below(tmp_path):
    """Calls so far, a minute's limit and what is left of it; refusals for pace only when there are."""
    more = {
        "budget": {"per_s": 0.9, "per_s_now": 0.9, "waiting": 0, "left": 31, "within_s": 60, "too_many": 2},
        "calls": {"inquire-price": {"count": 1_200}, "order-cash": {"count": 34}},
        "token": {"left_s": 79_200}, "process": {"memory_mb": 92.1, "journal_mb": 3.0},
    }  # fmt: skip
    wanted = {
        "ko": ("증권사 호출 1,234건 (1분에 54건까지, 지금 31건 남음) · 속도 초과 2번", "접근토큰 22시간 남음",
               "메모리 92.1 MB", "저널 3.0 MB"),
        "en": ("1,234 calls to the broker (54 a minute at most, 31 left now) · 2 refused as too many",
               "token for 22 h", "memory 92.1 MB"),
    }  # fmt: skip
    for language, parts in wanted.items():
        with open(os.devnull, "w") as nothing:
            console = Console(width=160, record=True, file=nothing)
            console.print(status.draw_status(SAMPLE | more, 0.0, language, 160))
        text = console.export_text().replace("\u00a0", " ")
        assert [part for part in parts if part not in text] == []
    more["budget"]["too_many"] = 0
    assert "속도 초과" not in status.health_line(
        more, lambda key, **v: status.WORDS[key][0].format(**v)
    )


def test_a_bot_that_is_off_is_told_from_one_that_hangs(tmp_path):
    """By its lock; what it holds is said to have no guard while it is off."""
    file = tmp_path / "status.json"
    file.write_text(json.dumps(SAMPLE))
    os.utime(file, (1_000_000_000, 1_000_000_000))
    off = ("봇이 실행 중이 아닙니다", "보유 1종목의 손절가를 지켜보는 것이 없습니다")
    for running in (False, True):
        lock = bot.AccountLock(bot.Secret("status of 1"), tmp_path) if running else None
        with open(os.devnull, "w") as nothing:
            console = Console(width=120, record=True, file=nothing)
            assert status.show_status(options(tmp_path), console) == 1
        text = console.export_text()
        assert ["봇이 멈췄거나" in text, *(part in text for part in off)] == (
            [True, False, False] if running else [False, True, True]
        )
        if lock:
            lock.release()


def test_a_bot_that_writes_every_ten_seconds_at_night_is_on(tmp_path, capsys):
    """Its lock is held: a status of seven seconds is neither old nor a last one."""
    file = tmp_path / "status.json"
    file.write_text(json.dumps(SAMPLE))
    os.utime(file, (time.time() - 7, time.time() - 7))
    lock = bot.AccountLock(bot.Secret("status of 2"), tmp_path)
    try:
        assert status.show_status(options(tmp_path)) == 0
    finally:
        lock.release()
    assert "⚠" not in capsys.readouterr().out


def test_after_the_close_nothing_is_said_to_be_traded():
    """The level ACTIVE reads as waiting for the next session then; any other level stays in sight."""
    for phase, level, said in (
        ("trading", "ACTIVE", "매매 중"), ("after", "ACTIVE", "다음 장 대기"), ("after", "ENTRIES_OFF", "신규 중지")
    ):  # fmt: skip
        told = SAMPLE | {"phase": phase, "level": level}
        assert status.level_word(told, bot.LEVEL_WORDS) == said
