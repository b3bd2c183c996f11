"""The kimchi premium: prices in, figures and alerts out. Pure; no order is ever sent from here.

No figure rather than a wrong one: a leg that is old, or ahead of us, gives none.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from venues.common import VQuote

MOST_AGE_MS, MOST_AHEAD_MS = 15_000, 5_000
LEAST_RATE, MOST_RATE = 500, 5_000  # won a dollar


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


class CoinAlert:
    """The state of one coin; asked once a second. A stale value changes nothing."""

    def __init__(self, rule: AlertRule) -> None:
        self.rule, self.zone, self.told = rule, Zone.NORMAL, Zone.NORMAL
        self._next, self._since = Zone.NORMAL, 0
        self._told_at: dict[Zone, int] = {}

    def second(self, now_s: int, value: Fraction | None) -> Zone | None:
        """Return the zone to tell now, None for nothing.

        A zone must hold `hold_s` without a break. The same side is told again after `cooldown_s`
        at the earliest; what was held back is told then, if it still stands.
        """
        if value is None:
            self._next = self.zone
        else:
            wanted = self.rule.wanted(self.zone, value)
            if wanted is not self._next:
                self._next, self._since = wanted, now_s
            if wanted is not self.zone and now_s - self._since >= self.rule.hold_s:
                self.zone = wanted
        if value is None or self.zone is self.told:
            return None
        if self.zone is not Zone.NORMAL:
            last = self._told_at.get(self.zone)
            if last is not None and now_s - last < self.rule.cooldown_s:
                return None
            self._told_at[self.zone] = now_s
        self.told = self.zone
        return self.zone
