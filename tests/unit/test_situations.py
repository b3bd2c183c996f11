"""The page of situations: complete, the same in both languages, and every test that it names exists."""

import re
from pathlib import Path

import pytest

import kis_realtime_trading as bot

ROOT = Path(bot.__file__).resolve().parent
KEYS = [f"{part}{n}" for part, most in (("A", 40), ("B", 31), ("D", 24), ("E", 5))
        for n in range(1, most + 1)]  # fmt: skip


def rows_of(language):
    """Return the rows of the table, each as its cells."""
    text = (ROOT / "docs" / language / "situations.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| ([A-Z]\d+ \|.*) \|$", text, re.M)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_situation_is_left_out(language):
    """Each has its number once, in order, and says what was, what is, and where it is held."""
    rows = rows_of(language)
    assert [row[0] for row in rows] == KEYS
    assert [row for row in rows if len(row) != 5 or not all(row)] == []


def test_every_test_that_is_named_exists():
    """File and function; a test that was renamed is missed here."""
    missing = []
    for key, *_, named in rows_of("en"):
        file, name = re.fullmatch(r"`(tests/\S+\.py)` `(test_\w+)`", named).groups()
        text = (ROOT / file).read_text(encoding="utf-8") if (ROOT / file).is_file() else ""
        if not re.search(rf"^(async )?def {name}\(", text, re.M):
            missing.append((key, named))
    assert missing == []


def test_both_languages_name_the_same_tests():
    """A row that was mended in one is mended in the other."""
    english, korean = rows_of("en"), rows_of("ko")
    assert [row[-1] for row in english] == [row[-1] for row in korean]
