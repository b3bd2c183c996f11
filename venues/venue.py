"""What a venue is to the manager, whichever it is: a task to keep, balances, orders, a day.

A new venue plugs in by one class with these methods and one line in `FACTORY` of `manager.py`. Its
constructor touches no network, so that orders and days can be shown without asking anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple, Protocol

from kis_realtime_trading import KillLevel, OrderStatus, Side
from venues.monitor import Hosts
from venues.settings import Environment, VenueSettings
from venues.wire import Clock, Statistics


class Context(NamedTuple):
    """What every venue is given. `tell` is for people: one line, in the language of the settings."""

    settings: VenueSettings
    environment: Environment
    hosts: Hosts
    clock: Clock
    tell: Callable[[str], None]
    beat: Callable[[str], None] = lambda venue: None  # to be called at least once a minute


class Holding(NamedTuple):
    """What an account holds of one thing. `won`: its worth where the venue says it, else None."""

    asset: str
    name: str
    free: Decimal
    locked: Decimal
    won: Decimal | None = None


class OrderLine(NamedTuple):
    """One order as people read it; amounts are texts already."""

    venue: str
    use: str
    at_ms: int
    symbol: str
    side: Side
    wanted: str
    price: str  # "" for an order at market
    status: OrderStatus
    filled: str
    fees: str
    id: str
    open: bool


@dataclass
class Day:
    """What a venue's day came to, from its journal. Money in `quote`; fees by what they are paid in."""

    venue: str
    use: str
    quote: str
    orders: int = 0
    filled: int = 0
    refused: int = 0
    bought: Decimal = Decimal(0)
    sold: Decimal = Decimal(0)
    fees: dict[str, Decimal] = field(default_factory=dict)
    realized: Decimal | None = None  # None: nothing was sold, or it was not bought here
    open: int = 0
    unresolved: int = 0


class Venue(Protocol):
    """One account at one venue, kept by the manager."""

    name: str
    use: str
    statistics: Statistics

    async def run(self) -> None:
        """Hold lines, watch balances and orders until cancelled; whatever it raises, it is begun anew."""

    def holdings(self) -> tuple[Sequence[Holding], int] | None:
        """Return what the account held when it was asked last, and when (wall ms); None: never yet."""

    def down(self) -> Mapping[str, str]:
        """Return what does not work now: part -> why."""

    def orders(self) -> Sequence[OrderLine]:
        """Return every order of the journal, the newest last; asks nobody."""

    def days(self, day: int) -> Sequence[Day]:
        """Return the figures of a day (00:00 UTC), one a quote currency; asks nobody."""

    def level(self) -> KillLevel:
        """Return where the kill switch of this venue stands."""
