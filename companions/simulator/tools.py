"""Small tools: market time, numbers from names, text of values.

Market time inside is `at`: milliseconds of Unix time, an int. Random numbers come from names."""

from __future__ import annotations

import hashlib
import random
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from companions.simulator.tables import KST, KST_OFFSET_S


def to_ms(moment: datetime) -> int:
    """Return Unix milliseconds of an aware moment."""
    return round(moment.timestamp() * 1000)


def to_moment(at: int) -> datetime:
    """Return the Korean time of Unix milliseconds."""
    return datetime.fromtimestamp(at / 1000, KST)


def midnight_ms(day: date) -> int:
    """Return the first millisecond of a Korean day."""
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=KST))


def second_of_day(at: int) -> int:
    """Return seconds since Korean midnight."""
    return (at // 1000 + KST_OFFSET_S) % 86_400


@cache
def hms_of(second: int) -> str:
    return f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"


def hms(at: int) -> str:
    """Return HHMMSS of market time."""
    return hms_of((at // 1000 + KST_OFFSET_S) % 86_400)


def parse_clock(text: str) -> int:
    """Return seconds of the day of HH:MM, HH:MM:SS, HHMM or HHMMSS."""
    digits = text.replace(":", "").strip()
    if len(digits) not in (4, 6) or not digits.isdigit():
        raise ValueError(f"expected HH:MM or HH:MM:SS, was {text!r}")
    digits = digits.ljust(6, "0")
    return int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:])


@lru_cache(maxsize=4096)
def ymd(day: date) -> str:
    """Return YYYYMMDD."""
    return day.strftime("%Y%m%d")


@lru_cache(maxsize=4096)
def parse_ymd(text: str) -> date | None:
    """Return the day of YYYYMMDD, or None when the text is not one."""
    try:
        return datetime.strptime(text.strip(), "%Y%m%d").date()
    except ValueError:
        return None


def half_up(value: Fraction) -> int:
    """Round half up (towards plus infinity), as both sides of the project do."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def decimals(value: Fraction, places: int) -> str:
    """Return a fraction with a fixed number of decimals, half up, exact."""
    above, below = value.numerator * 10**places, value.denominator
    scaled = (2 * above + below) // (2 * below)
    sign = "-" if scaled < 0 else ""
    whole, rest = divmod(abs(scaled), 10**places)
    return f"{sign}{whole}.{rest:0{places}d}"


def percent(part: float | Fraction, whole: float | Fraction, places: int = 2) -> str:
    """Return part / whole in percent; 0 when there is no whole."""
    return f"{float(part) * 100 / float(whole) if whole else 0.0:.{places}f}"


def padded(text: str, width: int = 80) -> str:
    """Pad as the inquiry answers of the broker do (doc examples)."""
    return text.ljust(width)


class Layout:
    """Broker field names beside our words: `field=word` takes the value of a word.

    `field=12` or `field=Y` (digits, upper case) is constant text, `field` alone is empty text.
    """

    def __init__(self, text: str) -> None:
        pairs = [item.partition("=") for item in text.split()]
        self._fields: dict[str, Any] = {name: word for name, _, word in pairs}
        self._named = [(name, word) for name, word in self._fields.items() if word.islower()]

    def fill(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields in order; KeyError names a word that is missing."""
        filled = self._fields.copy()
        for name, word in self._named:
            filled[name] = words[word]
        return filled


def as_text(value: Any) -> Any:
    """Turn every number of an answer into text; None becomes empty text."""
    if isinstance(value, dict):
        return {
            key: item
            if (kind := type(item)) is str
            else str(item)
            if kind is int
            else as_text(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [as_text(item) for item in value]
    return "" if value is None else str(value)


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
NORMAL = statistics.NormalDist()


@dataclass(frozen=True, slots=True)
class Dice:
    """Numbers that depend on the seed and a name only, never on the order of asking."""

    seed: int

    def _digest(self, name: tuple[object, ...], size: int) -> bytes:
        text = "|".join(str(part) for part in (self.seed, *name))
        return hashlib.blake2b(text.encode(), digest_size=size).digest()

    def unit(self, *name: object) -> float:
        """Return a number in (0, 1)."""
        return (int.from_bytes(self._digest(name, 7), "big") + 0.5) / 2**56

    def gauss(self, *name: object) -> float:
        """Return a standard normal number."""
        return NORMAL.inv_cdf(self.unit(*name))

    def stream(self, *name: object) -> random.Random:
        """Return a generator of its own for a longer sequence."""
        return random.Random(int.from_bytes(self._digest(name, 16), "big"))

    def text(self, length: int, alphabet: str, *name: object) -> str:
        """Return invented text, for example a key."""
        rng = self.stream(*name)
        return "".join(alphabet[int(rng.random() * len(alphabet))] for _ in range(length))
