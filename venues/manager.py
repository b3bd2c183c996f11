"""One process over all venues: the premium, and every account that the settings name.

Each venue is a task of its own, begun again alone (`keeping.py`). What people read of all of them
together is in `overview.py` and `report.py`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, NoReturn

from venues import binance, kiwoom, upbit
from venues.accounts import account_of
from venues.board import SEOUL
from venues.common import day_of, plain
from venues.keeping import HUNG_S, Kept
from venues.monitor import Hosts, Monitor
from venues.report import report_text
from venues.settings import ORDERING, Environment, VenueSettings
from venues.spot_venue import SpotVenue
from venues.venue import Context, Holding, Venue
from venues.wire import Clock
from venues.words import say

log = logging.getLogger("kis.venues")

Make = Callable[[Context], Venue | None]


def make_spot(venue: str, context: Context) -> Venue | None:
    """Return the account of a venue, None where the settings mean none."""
    section: Any = getattr(context.settings, venue)
    if section.use not in (*ORDERING, "mock") or section.limits is None:
        return None
    account = account_of(venue, context.settings, context.environment, context.hosts)
    return SpotVenue(account, context)


# A new venue is one line here: a function that returns its account, None where it is not set up.
FACTORY: Mapping[str, Make] = {
    upbit.VENUE: functools.partial(make_spot, upbit.VENUE),
    binance.VENUE: functools.partial(make_spot, binance.VENUE),
    kiwoom.VENUE: functools.partial(make_spot, kiwoom.VENUE),
}


def venues_in(context: Context, factory: Mapping[str, Make] = FACTORY) -> dict[str, Venue]:
    """Return every account of the settings; nothing is asked."""
    made = ((name, make(context)) for name, make in factory.items())
    return {name: venue for name, venue in made if venue}


class Manager:
    """The premium and all accounts, each kept alone."""

    def __init__(
        self, settings: VenueSettings, environment: Environment, hosts: Hosts, clock: Clock,
        keep: bool = True, factory: Mapping[str, Make] = FACTORY,
    ) -> None:  # fmt: skip
        self.settings, self._clock = settings, clock
        self.monitor = Monitor(settings, environment, hosts, clock, keep)
        self.monitor.more = self._status
        self.context = Context(settings, environment, hosts, clock, self.tell, self._beat)
        self.venues = venues_in(self.context, factory)
        self.kept = {
            name: Kept(name, venue.run, self._troubled, HUNG_S)
            for name, venue in self.venues.items()
        }
        self._reported = day_of(clock.wall_ms())  # the day that goes on

    def tell(self, text: str) -> None:
        """Tell people one line, with the time."""
        now = datetime.fromtimestamp(self._clock.wall_ms() / 1_000, UTC)
        self.monitor.tell(f"[{now.astimezone(SEOUL):%m-%d %H:%M}] {text}")

    def _beat(self, venue: str) -> None:
        self.kept[venue].beat()

    def _troubled(self, venue: str, why: str) -> None:
        code = "m_stopped" if self.kept[venue].ended else "m_trouble"
        language = self.settings.language
        self.tell(say(code, language, venue=say(venue, language), why=why))

    async def run(self, seconds: Callable[[], None]) -> NoReturn:
        """Run until cancelled; then tell what is still open."""
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(each.run()) for each in self.kept.values()]

        def second() -> None:
            self._report_due()
            seconds()

        try:
            await self.monitor.run(second)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _report_due(self) -> None:
        """Tell the day that is over, once, at 00:00 UTC (09:00 in Seoul)."""
        day = day_of(self._clock.wall_ms())
        if day > self._reported:
            over, self._reported = self._reported, day
            self.monitor.tell(self.report(over))

    def report(self, day: int) -> str:
        """Return the report of a day."""
        return report_text(self.settings, list(self.venues.values()), day)

    # --- the status file ----------------------------------------------------------------

    def _status(self, now_ms: int) -> dict[str, Any]:
        accounts: dict[str, Any] = {}
        statistics: dict[str, Any] = {}
        down: dict[str, str] = {}
        for name, venue in self.venues.items():
            kept, held = self.kept[name], venue.holdings()
            troubles = {f"{name} {part}": why for part, why in venue.down().items()}
            down |= troubles | ({name: kept.why} if kept.why else {})
            accounts[name] = {
                "use": venue.use, "level": venue.level().name, "restarts": kept.restarts,
                "stopped": kept.ended, "at_ms": held[1] if held else None,
                "holdings": [self._shown(name, each) for each in held[0]] if held else [],
            }  # fmt: skip
            statistics[f"{name} orders"] = venue.statistics.as_json(now_ms)
        return {"accounts": accounts, "venues": statistics, "down": down}

    def _shown(self, venue: str, held: Holding) -> dict[str, Any]:
        price = self.monitor.board.won_of(venue, held.asset)
        won = Fraction(held.won) if held.won is not None else None
        if won is None and price is not None:
            won = (Fraction(held.free) + Fraction(held.locked)) * price
        return {
            "asset": held.asset, "name": held.name, "free": plain(held.free),
            "locked": plain(held.locked), "won": None if won is None else round(won),
        }  # fmt: skip
