"""Five days of trouble as a person lives through them: what the bot says on each, in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import edge
import harness

import kis_realtime_trading as bot


class CutNetwork:
    """The network between two times of day: no connection at all, and open sessions go silent."""

    def __init__(
        self, inner: harness.SimulatedNetwork, clock: bot.MarketClock, span: tuple[str, str]
    ):
        self._inner, self._clock, self._span = inner, clock, span

    @property
    def cut(self) -> bool:
        """Tell whether nothing gets through now."""
        return self._span[0] <= f"{self._clock.now():%H:%M}" < self._span[1]

    async def __call__(self, *request: Any) -> bot.HttpReply:
        if self.cut:
            raise bot.NotSent("no connection: ClientConnectorDNSError")
        return await self._inner(*request)

    async def connect(self, url: str) -> bot.Socket:
        """Open a session, when one can be opened."""
        if self.cut:
            raise OSError("Name or service not known")
        return CutSocket(self, await self._inner.connect(url))

    async def close(self) -> None:
        """Nothing is open."""


class CutSocket:
    """An open session: silent for good once the network was cut, as a dead line is."""

    def __init__(self, network: CutNetwork, inner: bot.Socket) -> None:
        self._network, self._inner, self._dead = network, inner, False
        self.close = inner.close

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        async for frame in self._inner:
            self._dead |= self._network.cut
            if not self._dead:
                yield frame

    async def send(self, message: str) -> None:
        """Send, also into a dead line: nobody notices that."""
        if not self._dead:
            await self._inner.send(message)


@dataclass
class Told:
    """What a day told, and how it ended."""

    lines: list[tuple[str, str]]  # (HH:MM:SS, text as the phone would show it), in order
    codes: list[str]  # the same, as codes of TEXTS
    ended: BaseException | None
    requests: list[tuple[str, str]]  # (HH:MM, last part of the path)
    log: list[
        tuple[str, str]
    ]  # code and text of all that the log told, also what the phone did not


def live(
    start: str, end: str, *, settings: dict[str, Any] | None = None, cut: tuple[str, str] = ("", ""),
    wishes: tuple[harness.Wish, ...] = (), profile: dict[str, Any] | None = None,
    gone: tuple[str, str] = ("", ""), **config: Any,
) -> Told:  # fmt: skip
    """Let a bot live from one time of a day to another; return what it told.

    `cut` is when there is no network, `gone` when there is no process: killed, and started again.
    """
    usual = {"density": 2.0, **config}
    world = harness.World(edge.config(**usual), start=start, settings=settings or {})
    requests: list[tuple[str, str]] = []

    def note(method: str, path: str) -> None:
        requests.append((f"{world.clock.now():%H:%M}", path.rpartition("/")[2]))

    async def main() -> BaseException | None:
        world.network.advance()
        world.network.before_request = note
        driver = asyncio.create_task(world.network.drive(alone=True))
        if any(cut):
            world.network = CutNetwork(world.network, world.clock, cut)  # type: ignore[assignment]
        strategy = harness.Scripted([replace(wish) for wish in wishes])
        trader = _trader(world, strategy, profile or {})
        run = asyncio.create_task(trader.run(one_day=True))
        if any(gone):
            await world.until(gone[0])
            await harness.kill(run, trader)
            await world.until(gone[1])
            trader = _trader(world, strategy, profile or {})
            run = asyncio.create_task(trader.run(one_day=True))
        clock = asyncio.create_task(world.until(end))
        await asyncio.wait({run, clock}, return_when=asyncio.FIRST_COMPLETED)
        if not run.done():
            trader.stop("the test is over")
        clock.cancel()
        result = await asyncio.gather(run, return_exceptions=True)
        trader.journal.close()
        driver.cancel()
        return result[0]

    try:
        ended = harness.run_virtual(main())
        journal = bot.Journal(world.folder / "journal.sqlite3", read_only=True)
        rows = list(journal.rows("alert"))
        journal.close()
    finally:
        world.close()
    log = [(row.ref, bot.say(bot.Alert(row.ref, values_of(row)), "ko")) for row in rows]
    rows = [row for row in rows if bot.KINDS[row.ref] != "screen"]
    lines = [(row.at[11:19], bot.say(bot.Alert(row.ref, values_of(row)), "ko")) for row in rows]
    return Told(lines, [row.ref for row in rows], ended, requests, log)


async def suspensions_told(trader: bot.Trader, stands_still: Callable[[], None]) -> tuple[int, int]:
    """Let something stand still between two spans of three seconds; return what the timer made of it.

    How often it counted the program as suspended, and how many errors it told.
    """
    trader.feed(bot.Command("day", trader.clock.now(), bot.session_of(edge.DAY)))
    timer = asyncio.create_task(trader._timer())
    await asyncio.sleep(3.0)
    stands_still()
    await asyncio.sleep(3.0)
    timer.cancel()
    await asyncio.gather(timer, return_exceptions=True)
    return trader.counts["suspended"], trader.bridge.said["error"]


def values_of(row: bot.JournalRow) -> dict[str, Any]:
    """Return the values of an alert as it was told."""
    values: dict[str, Any] = json.loads(row.body)
    if "side" in values:
        values["side"] = bot.Side(values["side"])
    return values


def _trader(
    world: harness.World, strategy: bot.TradingStrategy, profile: dict[str, Any]
) -> bot.Trader:
    journal = bot.Journal(world.folder / "journal.sqlite3")
    settings = harness.make_settings(world.sim, **world.settings)
    settings = replace(settings, profile=replace(settings.profile, **profile))
    services = bot.Services(
        world.clock, world.network, world.network.connect, journal, world.folder, None
    )
    return bot.Trader(settings, strategy, services, harness.past_of(journal))
