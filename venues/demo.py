"""The simulated venues of `--demo`: servers on loopback, their keys, small limits."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal

from kis_realtime_trading import Secret
from venues.accounts import account_of
from venues.monitor import Hosts
from venues.settings import (
    SECRETS,
    BinanceSettings,
    Environment,
    KiwoomSettings,
    MoneyLimits,
    UpbitSettings,
    VenueSettings,
)
from venues.simulators.binance import BinanceSimulator
from venues.simulators.kiwoom import KiwoomServer, KiwoomSimulator
from venues.simulators.market import Market
from venues.simulators.server import Server
from venues.simulators.upbit import UpbitSimulator
from venues.wire import Clock


@contextlib.asynccontextmanager
async def simulated() -> AsyncIterator[Hosts]:
    """Run the three venues on loopback while they are used."""
    clock, market = Clock(), Market()
    servers = (
        Server(UpbitSimulator(market, clock.wall_ms), first_message=True),
        Server(BinanceSimulator(market, clock.wall_ms), first_message=False),
        KiwoomServer(KiwoomSimulator(clock.wall_ms, mock=False)),
    )
    try:
        for server in servers:
            await server.start()
        here, there, third = (f"127.0.0.1:{server.port}" for server in servers)
        yield Hosts(
            f"http://{here}", f"ws://{here}/websocket/v1", f"http://{there}", f"ws://{there}",
            kiwoom_rest=f"http://{third}", kiwoom_stream=f"ws://{third}",
        )  # fmt: skip
    finally:
        for server in servers:
            await server.stop()


def account() -> tuple[VenueSettings, Environment]:
    """Return settings and keys of the simulated venues: small limits, no real money anywhere."""
    clock, market = Clock(), Market()
    ours, theirs = UpbitSimulator(market, clock.wall_ms), BinanceSimulator(market, clock.wall_ms)
    third = KiwoomSimulator(clock.wall_ms)
    texts = (ours.access, ours.secret, theirs.key, theirs.secret, third.app, third.secret)
    limits = [MoneyLimits(max_order=Decimal(most), max_coin=Decimal(2 * most), max_total=Decimal(5 * most),
                          max_day=Decimal(5 * most)) for most in (2_000_000, 150, 5_000_000)]  # fmt: skip
    settings = VenueSettings(
        upbit=UpbitSettings(use="live", limits=limits[0]),
        binance=BinanceSettings(use="testnet", limits=limits[1]),
        kiwoom=KiwoomSettings(use="mock", limits=limits[2], conditions=("돌파", "거래량 급증")),
    )
    given = Environment(keys=dict(zip(SECRETS, map(Secret, texts), strict=True)))
    pin = account_of("upbit", settings, given, Hosts()).right_pin
    section = settings.upbit.model_copy(update={"live_pin": pin})
    return settings.model_copy(update={"upbit": section}), given
