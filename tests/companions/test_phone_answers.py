"""Answers of the phone out of journal and status: each word, both languages, pictures that are some."""

import base64
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import journals
import pytest
from PIL import Image

import kis_realtime_trading as bot
from companions import phone_answers

FEES = ("0.0140527", "0.0146527")
STATUS: dict[str, Any] = {
    "version": 1, "program": "9.9", "mode": "paper", "limits": {"max_order_krw": 1_000_000},
    "symbols": [{"symbol": "005930", "name": "", "price": 71_000, "change_pct": 1.5, "position": 3,
                 "halted": False, "average": 70_500.0, "stop": 69_000, "target": 0,
                 "gain_krw": 1_500, "gain_pct": 0.7}],
    "holds": [{"scope": "005930", "text": "x"}, {"scope": "all", "text": "y"}], "unknown": 0,
    "feed": {"connected": True, "age_s": None, "registered": 3, "trades": 5, "quotes": 6, "lost": 0},
    "queues": {"calls": 0, "telegram": 0}, "token": {"left_s": None}, "messages": ["한 줄 one"],
    "orders": [{"symbol": "005930", "side": "BUY", "filled": 1, "quantity": 3, "price": 70_000,
                "number": "0000000012", "state": "working"}],
    "equity_krw": 10_500_000, "cash_krw": 10_287_000,
    "day": {"realised_krw": -3, "open_krw": 500, "fees_krw": 4, "taxes_krw": 5},
    "process": {"memory_mb": 80.0, "journal_mb": 1.0, "uptime_s": 600},
}  # fmt: skip
ARGUMENTS = {"chart": ["삼성전자", "3"], "why": ["삼성전자"], "trades": ["30"], "profit": ["30"]}


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the journal of eight days, with a status beside it."""
    path = tmp_path_factory.mktemp("phone") / "journal-paper-x.sqlite3"
    journals.make_journal(path, 8, 40)
    (path.parent / "status.json").write_text(json.dumps(STATUS))
    return path


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize(
    "word", [each for each in phone_answers.ANSWERS if each not in ("names", "evening")]
)
def test_each_word_has_an_answer_in_the_readers_language(journal: Path, word: str, language: str):
    """Text that fits a message, and a picture where one belongs."""
    found = phone_answers.answer(journal, language, FEES, [word, *ARGUMENTS.get(word, [])])
    text = re.sub("[가-힣]*전자|SK하이닉스|에코프로비엠|한 줄", "", found["text"])
    assert found["text"] and len(found["text"]) < 4000 and "{" not in text
    figures_only = word in ("watchlist", "version", "chart", "logs", "locks", "holds")
    assert figures_only or bool(re.search("[가-힣]", text)) is (language == "ko"), text
    assert ("photo" in found) is (word in ("chart", "profit", "report"))
    if "photo" in found:
        assert len(found["text"]) < 1000
        image = Image.open(io.BytesIO(base64.b64decode(found["photo"])))
        assert image.width >= 800 and len(set(image.convert("L").tobytes())) > 20


def test_the_words_of_the_phone_are_answered_by_the_bot_or_here():
    """Every asking word of COMMANDS has exactly one place."""
    asking = {w.name for w in bot.COMMANDS.values() if w.danger is bot.Danger.ASK}
    assert asking - {"status"} == set(phone_answers.ANSWERS) - {"names", "evening"}


def test_what_is_held_and_the_table_of_words_are_told(journal: Path):
    """Average, price, gain, stop and target of a position; every word of the phone once."""
    held = phone_answers.answer(journal, "en", FEES, ["positions"])["text"]
    assert held.startswith("삼성전자 3 @ 70,500 → 71,000 · +1,500 (+0.7%)\n")
    assert held.endswith("  stop 69,000 · target -")
    for language in ("ko", "en"):
        told = phone_answers.answer(journal, language, FEES, ["help"])["text"].splitlines()
        words = [line.split()[0] for line in told if line.startswith("/")]
        phone = [f"/{word.name}" for word in bot.COMMANDS.values() if "phone" in word.doors]
        assert sorted(words) == sorted(phone)


def test_the_limits_have_korean_words():
    """A limit that is added needs a name here."""
    assert set(phone_answers.LIMIT_WORDS) == set(bot.Limits.model_fields)


@pytest.mark.parametrize(
    ("language", "lines"),
    [("ko", ("주문 1건 1,000,000원", "하루 손실률 3%", "당일 고점 대비 손실 없음", "체결가 유효 시간 2.5초")),
     ("en", ("one order 1,000,000 won", "the same 3%", "peak none", "last trade 2.5 s"))],
)  # fmt: skip
def test_limits_prices_and_ages_are_said_with_their_units(
    tmp_path: Path, language: str, lines: Any
):
    """No bare figure, no setting's name, no price of 0 for an order at the market, no age of 5,033.2 s."""
    limits = {"max_order_krw": 1_000_000, "max_daily_loss_pct": 3.0, "max_drawdown_krw": None,
              "max_data_age_s": 2.5}  # fmt: skip
    [order] = STATUS["orders"]
    feed = {**STATUS["feed"], "age_s": 5_033.2}
    status = {**STATUS, "limits": limits, "orders": [{**order, "price": 0}], "feed": feed}
    (tmp_path / "status.json").write_text(json.dumps(status))
    journal = tmp_path / "journal-paper-x.sqlite3"
    said = [
        phone_answers.answer(journal, language, FEES, [w])["text"]
        for w in ("limits", "orders", "health")
    ]
    assert all(line in said[0] for line in lines)
    assert "@ 0" not in said[1] and ("시장가" if language == "ko" else "@ market") in said[1]
    assert ("1시간 23분 전" if language == "ko" else "1h 23m ago") in said[2]


def test_a_week_is_told_by_its_monday(journal: Path):
    """As people call a week."""
    told = phone_answers.answer(journal, "ko", FEES, ["weekly"])["text"]
    assert re.search(r"\d{4}-\d\d-\d\d 주 [+-]", told) and "-W" not in told


def test_a_stock_or_order_that_is_not_there_is_said(journal: Path):
    """No trace, no silence."""
    assert "없습니다" in phone_answers.answer(journal, "ko", FEES, ["why", "999"])["text"]
    assert "없습니다" in phone_answers.answer(journal, "ko", FEES, ["chart", "카카오"])["text"]
    told = phone_answers.answer(journal, "ko", FEES, ["chart", "0000099999"])["text"]
    assert told.startswith("0000099999: 그런 종목이나 주문이 없거나")


def test_korean_letters_are_drawn_as_letters():
    """The font in use has them; boxes would stand there otherwise."""
    from matplotlib import font_manager, rcParams

    from companions import phone_pictures

    assert phone_pictures.set_up("ko")
    file = font_manager.findfont(rcParams["font.family"][0])
    from matplotlib.ft2font import FT2Font

    assert {ord("손"), ord("익"), ord("량")} <= set(FT2Font(file).get_charmap())


def test_the_picture_of_the_evening_stands_alone(journal: Path):
    """The bot's own message has the figures; this one has none to contradict them."""
    found = phone_answers.answer(journal, "ko", FEES, ["evening"])
    image = Image.open(io.BytesIO(base64.b64decode(found["photo"])))
    assert found["text"] == "" and image.width >= 800


@pytest.mark.parametrize("word", ["chart", "profit", "report"])
def test_a_picture_is_drawn_within_two_seconds_of_processor_time(journal: Path, word: str):
    """Drawing alone; the start of the process comes to it."""
    phone_answers.answer(journal, "ko", FEES, [word, *ARGUMENTS.get(word, [])])
    began = time.process_time()
    phone_answers.answer(journal, "ko", FEES, [word, *ARGUMENTS.get(word, [])])
    assert time.process_time() - began < 2.0
