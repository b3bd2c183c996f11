"""The kimchi premium: prices in, figures and alerts out. Pure; no order is ever sent from here.

No figure rather than a wrong one: a leg that is old, or ahead of us, gives none; nor does a won
rate that jumps, a coin whose first premium cannot be believed, or a market that is halted.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from venues.common import VQuote

MOST_AGE_MS, MOST_AHEAD_MS = 15_000, 5_000
LEAST_RATE, MOST_RATE = 500, 5_000  # won a dollar
JUMP, JUMP_S = Fraction(3, 100), 60  # a rate that moves so much in so many seconds is held
GAP_S = 5  # a process that slept so long has not seen what lay between
PARKED_FROM = Fraction(30, 100)  # a first premium beyond it: perhaps two coins of one name


def mid(quote: VQuote) -> Fraction:
    """Return the middle of best bid and ask."""
    return (Fraction(quote.bid) + Fraction(quote.ask)) / 2


def usable(quote: VQuote | None, now_ms: int, now_ns: int) -> bool:
    """Tell whether a quote is young by our clock and, where it has one, by the exchange's."""
    if quote is None or (now_ns - quote.seen_ns) // 1_000_000 > MOST_AGE_MS:
        return False
    return quote.ts_ms is None or -MOST_AHEAD_MS <= now_ms - quote.ts_ms <= MOST_AGE_MS


def premium(won: VQuote, dollars: VQuote, rate: Fraction) -> Fraction | None:
    """Return won price / (dollar price x rate) - 1, None for a rate that cannot be.

    101,000 won against 70 USDT at 1,400 won: 101000 / 98000 - 1 = 3.06 %.
    """
    if not LEAST_RATE <= rate <= MOST_RATE:
        return None
    return mid(won) / (mid(dollars) * rate) - 1


class RateGuard:
    """Believes a won rate only when it did not jump, or stands after a jump, or a bank agrees.

    All coins hang on this one price: one wrong print of KRW-USDT would raise every alert at once.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[int, Fraction]] = deque()  # believed, of the last minute
        self._held: tuple[int, Fraction] | None = None  # since when, which rate

    @property
    def held(self) -> bool:
        """Tell whether the newest rate is not believed yet."""
        return self._held is not None

    def heard(self, now_ms: int, rate: Fraction, bank: Fraction | None) -> None:
        """Take a new rate."""
        while self._seen and self._seen[0][0] < now_ms - JUMP_S * 1_000:
            self._seen.popleft()
        if self._held:
            since, first = self._held
            if bank is not None and _near(rate, bank):
                self._believe(now_ms, rate, anew=True)
            elif not _near(rate, first):
                back = bool(self._seen) and all(_near(rate, old) for _, old in self._seen)
                self._believe(now_ms, rate) if back else self._hold(now_ms, rate)
            elif now_ms - since >= JUMP_S * 1_000:
                self._believe(now_ms, rate, anew=True)
        elif all(_near(rate, old) for _, old in self._seen):
            self._believe(now_ms, rate)
        elif bank is not None and _near(rate, bank):
            self._believe(now_ms, rate, anew=True)
        else:
            self._hold(now_ms, rate)

    def _hold(self, now_ms: int, rate: Fraction) -> None:
        self._held = (now_ms, rate)

    def _believe(self, now_ms: int, rate: Fraction, anew: bool = False) -> None:
        self._held = None
        if anew:
            self._seen.clear()
        if not self._seen or now_ms - self._seen[-1][0] >= 1_000 or self._seen[-1][1] != rate:
            self._seen.append((now_ms, rate))


def _near(one: Fraction, other: Fraction) -> bool:
    """Tell whether abs(one / other - 1) <= JUMP, of rates above 0; in whole numbers: asked often."""
    a, b, c, d = one.numerator, one.denominator, other.numerator, other.denominator
    return abs(a * d - c * b) * JUMP.denominator <= JUMP.numerator * c * b


class Figure(enum.StrEnum):
    """Which premium: against Upbit's own KRW-USDT (tradable), or a bank's rate (the press)."""

    USDT = "usdt"
    FX = "fx"


class News(enum.StrEnum):
    """What is told of a coin."""

    HIGH = "high"
    LOW = "low"
    NORMAL = "normal"  # back from high or low
    SILENT = "silent"  # no figure for two minutes
    BACK = "back"  # there is a figure again


class Zone(enum.StrEnum):
    """Where a coin's premium stands."""

    NORMAL = "normal"
    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class AlertRule:
    """When it is told. Per cents; seconds."""

    high_pct: Decimal
    low_pct: Decimal
    hysteresis_pct: Decimal = Decimal("0.5")
    hold_s: int = 10
    cooldown_s: int = 900
    step_pct: Decimal = Decimal(1)
    repeat_s: int = 3_600  # told again while it stands; 0: never
    silent_s: int = 120

    def wanted(self, zone: Zone, value: Fraction) -> Zone:
        """Return the zone of a value, given the zone it comes from."""
        pct = value * 100
        high, low = Fraction(self.high_pct), Fraction(self.low_pct)
        slack = Fraction(self.hysteresis_pct)
        if pct >= high or (zone is Zone.HIGH and pct > high - slack):
            return Zone.HIGH
        if pct <= low or (zone is Zone.LOW and pct < low + slack):
            return Zone.LOW
        return Zone.NORMAL

    def further(self, zone: Zone, value: Fraction, told: Fraction) -> bool:
        """Tell whether a value stands a whole step beyond what was told last."""
        gone = (value - told) * 100 if zone is Zone.HIGH else (told - value) * 100
        return zone is not Zone.NORMAL and gone >= Fraction(self.step_pct)


class CoinAlert:
    """The state of one coin; asked once a second. A stale value changes nothing."""

    def __init__(self, rule: AlertRule) -> None:
        self.rule, self.zone, self.told = rule, Zone.NORMAL, Zone.NORMAL
        self._next, self._since = Zone.NORMAL, 0
        self._further_since: int | None = None
        self._last: dict[Zone, tuple[int, Fraction]] = {}  # when and with which value it was told
        self._silent_since: int | None = None
        self._silence_told, self._asked = False, 0

    def second(self, now_s: int, value: Fraction | None) -> tuple[News, ...]:
        """Return what to tell now.

        A zone must hold `hold_s` without a break, seen all the time. The same side is told again after `cooldown_s`
        at the earliest, unless it stood `step_pct` further for `hold_s`; what was held back is told
        when the time is over, if it still stands; while it stands it is told again each `repeat_s`.
        """
        if now_s - self._asked > GAP_S:
            self._next, self._further_since = self.zone, None
        self._asked = now_s
        if value is None:
            return self._no_value(now_s)
        back, self._silent_since, self._silence_told = self._silence_told, None, False
        wanted = self.rule.wanted(self.zone, value)
        if wanted is not self._next:
            self._next, self._since = wanted, now_s
        if wanted is not self.zone and now_s - self._since >= self.rule.hold_s:
            self.zone = wanted
        news: tuple[News, ...] = (News.BACK,) if back else ()
        if self._due(now_s, value):
            self.told, self._further_since = self.zone, None
            self._last[self.zone] = (now_s, value)
            news += (News(self.zone.value),)
        return news

    def _no_value(self, now_s: int) -> tuple[News, ...]:
        self._next, self._further_since = self.zone, None
        if self._silent_since is None:
            self._silent_since = now_s
        if self._silence_told or now_s - self._silent_since < self.rule.silent_s:
            return ()
        self._silence_told = True
        return (News.SILENT,)

    def _due(self, now_s: int, value: Fraction) -> bool:
        """Tell whether the zone that stands now is to be told now."""
        zone, rule, last = self.zone, self.rule, self._last.get(self.zone)
        if zone is Zone.NORMAL:
            return self.told is not Zone.NORMAL
        if last is None:
            return True
        if not rule.further(zone, value, last[1]):
            self._further_since = None
        elif self._further_since is None:
            self._further_since = now_s
        if self._further_since is not None and now_s - self._further_since >= rule.hold_s:
            return True
        wait = rule.cooldown_s if zone is not self.told else rule.repeat_s
        return now_s - last[0] >= wait if zone is not self.told or rule.repeat_s else False
