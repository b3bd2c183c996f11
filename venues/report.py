"""What a day came to over all venues: from the journals and the store of the premium, asking nobody."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from venues.common import plain, rounded
from venues.settings import VenueSettings
from venues.store import PremiumStore
from venues.venue import Day, Venue
from venues.words import percent, say

DAY_MS = 86_400_000


def report_text(settings: VenueSettings, venues: Sequence[Venue], day: int) -> str:
    """Return the report of a day (a number of days since 1970, UTC)."""
    language, date = settings.language, datetime.fromtimestamp(day * 86_400, UTC).date()
    lines = [say("r_head", language, day=date.isoformat())]
    for venue in venues:
        lines.append(f"{say(venue.name, language)} ({venue.use})")
        days = venue.days(day)
        lines += [line for each in days for line in _day_lines(each, language)]
        if not days:
            lines.append(say("r_nothing", language))
    if not venues:
        lines.append(say("r_no_accounts", language))
    return "\n".join(lines + _premium_lines(settings, day))


def _day_lines(day: Day, language: str) -> list[str]:
    """Return the lines of one quote currency; what is nothing is left out."""
    lines = []
    if day.orders:
        lines.append(
            say("r_orders", language, orders=day.orders, filled=day.filled, refused=day.refused)
        )
    if day.bought or day.sold:
        lines.append(say("r_money", language, bought=money(day.bought, day.quote),
                         sold=money(day.sold, day.quote), quote=day.quote))  # fmt: skip
    if day.fees:
        fees = " · ".join(f"{plain(paid)} {asset}" for asset, paid in sorted(day.fees.items()))
        lines.append(say("r_fees", language, fees=fees))
    if day.sold and day.realized is None:
        lines.append(say("r_result_unknown", language))
    elif day.realized is not None:
        lines.append(
            say(
                "r_result",
                language,
                result=money(day.realized, day.quote, sign=True),
                quote=day.quote,
            )
        )
    if day.open:
        lines.append(say("r_open", language, open=day.open))
    if day.unresolved:
        lines.append(say("r_unresolved", language, count=day.unresolved, venue=day.venue))
    return lines


def money(value: Decimal, quote: str, sign: bool = False) -> str:
    """Return money for people: whole won, two places of anything else."""
    shown = rounded(Fraction(value), 0 if quote == "KRW" else 2)
    return f"{shown:+,f}" if sign else f"{shown:,f}"


def _premium_lines(settings: VenueSettings, day: int) -> list[str]:
    """Return the premium of each coin over the day, nothing where nothing was kept."""
    path, lines = settings.state_dir / "premium.sqlite3", []
    try:
        store = PremiumStore(path, read_only=True)
        try:
            for coin in settings.kimchi.coins:
                if span := store.span(coin, day * DAY_MS, (day + 1) * DAY_MS):
                    low, high, last = (percent(Fraction(ppm, 10**6)) for ppm in span)
                    lines.append(
                        say("r_kimchi", settings.language, coin=coin, last=last, low=low, high=high)
                    )
        finally:
            store.close()
    except sqlite3.Error:
        return []
    return lines
