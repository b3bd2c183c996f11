"""One account of a spot venue as the settings mean it: keys, limits, journal, lock, port."""

from __future__ import annotations

import asyncio
import hashlib
import urllib.parse
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from kis_realtime_trading import (
    AccountLock,
    AlreadyRunning,
    Both,
    Fault,
    Journal,
    Redactor,
    Secret,
    SettingsError,
)
from venues import binance, kiwoom, upbit
from venues.binance_orders import HOSTS as BINANCE_HOSTS
from venues.binance_orders import STREAMS, BinanceOrders
from venues.kiwoom_client import Keys, KiwoomClient
from venues.kiwoom_orders import KiwoomDesk, KiwoomOrders
from venues.monitor import Hosts
from venues.orders import Desk, StreamPort
from venues.settings import SECRETS, Environment, MoneyLimits, VenueSettings
from venues.spot import ORDER_ROWS, SpotLedger, SpotLimits, SpotOrder, entry_of
from venues.upbit_orders import UpbitOrders
from venues.wire import Clock, Http, Pacer, Statistics, Transport

VENUES = {upbit.VENUE: SECRETS[:2], binance.VENUE: SECRETS[2:4], kiwoom.VENUE: SECRETS[4:]}
SENDING = {
    upbit.VENUE: ("live",),
    binance.VENUE: ("testnet", "demo", "live"),
    kiwoom.VENUE: ("mock", "live"),
}
LOCK_WAIT_S, LOCK_PAUSE_S = 15.0, 0.1  # the manager holds an account for one round of looks


class Account(NamedTuple):
    """One venue as the settings mean it."""

    venue: str
    use: str
    limits: SpotLimits
    keys: tuple[Secret, Secret]
    base: str
    pin: str  # what stands in the settings
    secrets: tuple[Secret, ...]  # of every venue: an answer may echo any
    stream: str = ""  # of the account, "" for none

    @property
    def right_pin(self) -> str:
        """Return the pin of this key and these limits: it changes with either."""
        said = "|".join((self.venue, self.keys[0].fingerprint(), str(self.limits)))
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def file(self, folder: Path) -> Path:
        """Return the journal: one a venue and world."""
        return folder / f"orders-{self.venue}-{self.use}.sqlite3"


def spot_limits(limits: MoneyLimits) -> SpotLimits:
    """Return the limits of the settings as the rules take them."""
    return SpotLimits(
        limits.max_order, limits.max_coin, limits.max_total, limits.max_day,
        limits.orders_a_minute, limits.collar_pct,
    )  # fmt: skip


def account_of(venue: str, settings: VenueSettings, given: Environment, hosts: Hosts) -> Account:
    """Return the account of a venue. Raises SettingsError: no orders are set up there."""
    section: Any = getattr(settings, venue)
    if section.use in ("off", "watch"):
        uses = ", ".join(("dry", *SENDING[venue]) if venue == upbit.VENUE else SENDING[venue])
        expected = Both(f"one of {uses}, for orders; see venues.yaml.example", f"주문에는 {uses} 중 하나. venues.yaml.example 참고")  # fmt: skip
        raise SettingsError([Fault(f"{venue}.use", section.use, expected)])
    if section.limits is None:
        expected = Both("max_order, max_coin, max_total, max_day: nothing is ordered without", "max_order, max_coin, max_total, max_day. 없으면 주문하지 않습니다")  # fmt: skip
        raise SettingsError([Fault(f"{venue}.limits", Both("none", "없음"), expected)])
    first, second = (given.keys[name] for name in VENUES[venue])
    base, stream = _places(venue, section.use, hosts)
    limits = spot_limits(section.limits)
    stream = stream if section.use in SENDING[venue] else ""
    return Account(venue, section.use, limits, (first, second), base, section.live_pin, tuple(given.secrets()), stream)  # fmt: skip


def _places(venue: str, use: str, hosts: Hosts) -> tuple[str, str]:
    """Return where an account's REST and private stream are; "" for no stream."""
    simulated = hosts != Hosts()
    if venue == upbit.VENUE:
        return hosts.upbit_rest, hosts.upbit_stream
    if venue == kiwoom.VENUE:
        world = kiwoom.WORLDS[use]
        stream = (hosts.kiwoom_stream if simulated else world.stream) + kiwoom.STREAM_PATH
        return (hosts.kiwoom_rest if simulated else world.rest), stream
    if simulated:
        return hosts.binance_rest, f"{hosts.binance_stream}/ws-api/v3"
    return BINANCE_HOSTS[use], STREAMS.get(use, "")


def sending_faults(account: Account, live: bool) -> list[Fault]:
    """Return what keeps an order from being sent; empty: it may leave."""
    found = []
    if account.use not in SENDING[account.venue]:
        allowed = ", ".join(SENDING[account.venue])
        found.append(Fault(f"{account.venue}.use", account.use, Both(f"one of {allowed}, for --send", f"--send에는 {allowed} 중 하나")))  # fmt: skip
    if account.use == "live":
        if not live:
            found.append(Fault("--live", Both("nothing", "없음"), Both("--live, for real money", "실제 돈에는 --live")))  # fmt: skip
        if account.pin != account.right_pin:
            text = Both(
                f"the pin of this key and these limits: python -m venues orders pin {account.venue}",
                f"이 키와 한도의 핀: python -m venues orders pin {account.venue}",
            )
            found.append(
                Fault(f"{account.venue}.live_pin", Both("none or another", "없거나 다름"), text)
            )
    elif live:
        text = Both("live; --live is for real money only", "live. --live는 실제 돈에만 씁니다")
        found.append(Fault(f"{account.venue}.use", account.use, text))
    return found


def read_ledger(path: Path) -> SpotLedger:
    """Return the ledger of a journal, empty where there is none."""
    ledger = SpotLedger()
    if path.exists():
        journal = Journal(path, read_only=True)
        for row in journal.rows(*ORDER_ROWS):
            ledger.apply(entry_of(row.body))
        journal.close()
    return ledger


def lock_of(account: Account, folder: Path) -> AccountLock:
    """Lock an account over the machine. Raises AlreadyRunning."""
    # Simulated accounts have all the same key: there the folder is the account.
    place = str(folder.resolve()) if account.base.startswith("http://") else account.base
    return AccountLock(Secret(f"{place}:{account.keys[0].reveal()}"), folder)


async def waited_lock(account: Account, folder: Path, wait_s: float = LOCK_WAIT_S) -> AccountLock:
    """Lock an account, waiting for whoever has it just now. Raises AlreadyRunning."""
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    while True:
        try:
            return lock_of(account, folder)
        except AlreadyRunning:
            if loop.time() >= until:
                raise
        await asyncio.sleep(LOCK_PAUSE_S)


class Wire(NamedTuple):
    """The way to a venue: who carries, who asks, who orders."""

    transport: Transport
    http: Http
    port: StreamPort | KiwoomOrders


def wire_of(
    account: Account, hosts: Hosts, clock: Clock, statistics: Statistics, folder: Path | None = None
) -> Wire:
    """Return the way to an account's venue; nothing is asked yet. `folder` keeps Kiwoom's token."""
    module: Any = {upbit.VENUE: upbit, kiwoom.VENUE: kiwoom}.get(account.venue, binance)
    transport = hosts.transport([urllib.parse.urlsplit(account.base).netloc])
    pacer = Pacer(module.LIMITS)
    http = Http(transport, pacer, statistics, clock, module.hear_limits(pacer))
    if account.venue == kiwoom.VENUE:
        client = KiwoomClient(http, Keys(*account.keys), kiwoom.WORLDS[account.use], account.base, folder)  # fmt: skip
        client.hide(account.secrets)
        return Wire(transport, http, KiwoomOrders(client, account.keys[0].fingerprint()))
    kind: Any = UpbitOrders if account.venue == upbit.VENUE else BinanceOrders
    return Wire(transport, http, kind(http, *account.keys, base=account.base))


def new_desk(
    account: Account, port: StreamPort | KiwoomOrders, journal: Journal, clock: Clock,
    tell: Callable[[str, SpotOrder], None],
) -> Desk:  # fmt: skip
    """Return the desk of an account, rebuilt from its journal."""
    given: Any = (journal, account.limits, clock, tell, account.use == "live")
    desk = KiwoomDesk(port, *given) if isinstance(port, KiwoomOrders) else Desk(port, *given)
    desk.redact = Redactor(account.secrets)
    desk.rebuild()
    return desk


@asynccontextmanager
async def desk_of(
    account: Account, folder: Path, clock: Clock, tell: Callable[[str, SpotOrder], None],
    hosts: Hosts | None = None,
) -> AsyncIterator[Desk]:  # fmt: skip
    """Open the desk of an account: lock, journal, port; close it again."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = await waited_lock(account, folder)
    transport, _, port = wire_of(account, hosts or Hosts(), clock, Statistics(), folder)
    journal = None
    try:
        journal = Journal(account.file(folder))
        await port.set_clock()
        yield new_desk(account, port, journal, clock, tell)
    finally:
        await transport.close()
        if journal:
            journal.close()
        lock.release()
