"""The whole bot and the simulator's core in one event loop, one thread, no sockets, no waiting.

Time is virtual: when nobody has anything to do the loop jumps to the next timer. The same seed
gives the same trace. Everything of the bot is real: Trader, clients, journal, codec; only the edges
(clock, HTTP transport, WebSocket) are handed in, as in a real start.
"""

from __future__ import annotations

import argparse
import asyncio
import contextvars
import heapq
import itertools
import math
import random
import shutil
import sys
import tempfile
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosedError

import kis_realtime_trading as bot
from companions import simulator

SHARED_MEMORY = Path("/dev/shm")
bot.DISK_ANSWERS_WITHIN_S = 30.0  # virtual time does not wait for a disk: this machine may be slow


class _Call:
    """A callback that waits for its turn: a lean handle, made a hundred thousand times a day."""

    __slots__ = ("args", "callback", "context")

    def __init__(
        self, callback: Any, args: tuple[Any, ...], context: contextvars.Context | None
    ) -> None:
        self.callback, self.args = callback, args
        self.context = contextvars.copy_context() if context is None else context

    def cancel(self) -> None:
        """Forget what was to be called."""
        self.callback = self.args = None  # type: ignore[assignment]

    def cancelled(self) -> bool:
        """Tell whether it will not be called."""
        return self.callback is None


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time() is virtual and starts at 0.

    It never looks at a socket and never waits: when nothing is ready it jumps to the next timer.
    Timers of the same moment ring in the order in which they were set. Of asyncio's loop it takes what every
    loop has: nothing private.
    """

    _runs = False

    def __init__(self) -> None:
        self.virtual_now = 0.0
        super().__init__()
        self._calls: deque[_Call] = deque()
        self._timers: list[tuple[float, int, _Call]] = []
        self._count = itertools.count()
        self._over = False
        self._open: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()

    def time(self) -> float:
        return self.virtual_now

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> _Call:  # type: ignore[override]
        call = _Call(callback, args, context)
        self._calls.append(call)
        return call

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> _Call:  # type: ignore[override]
        call = _Call(callback, args, context)
        heapq.heappush(self._timers, (when, next(self._count), call))
        return call

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> _Call:  # type: ignore[override]
        return self.call_at(self.virtual_now + delay, callback, *args, context=context)

    call_soon_threadsafe = call_soon  # there are no other threads

    def stop(self) -> None:
        self._over = True

    def is_running(self) -> bool:
        return self._runs

    def run_forever(self) -> None:
        """Run until stopped. `_set_running_loop` is what asyncio offers to those who write loops."""
        hooks, self._runs = sys.get_asyncgen_hooks(), True
        sys.set_asyncgen_hooks(self._open.add, self._finish)
        asyncio._set_running_loop(self)
        try:
            self._call_until_stopped()
        finally:
            asyncio._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)
            self._runs = False

    def _call_until_stopped(self) -> None:
        calls, timers = self._calls, self._timers
        while not self._over:
            if not calls:
                self._jump()
            for _ in range(len(calls)):  # what they add waits for the next turn
                call = calls.popleft()
                if call.callback is not None:
                    try:
                        call.context.run(call.callback, *call.args)
                    except (SystemExit, KeyboardInterrupt):
                        raise
                    except BaseException as error:
                        told = {"message": f"Exception in {call.callback!r}", "exception": error}
                        self.call_exception_handler(told)
            if timers and timers[0][0] < self.virtual_now + 1e-9:
                self._ring()
        self._over = False

    def _finish(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Close a generator that nobody reads to its end."""
        self._open.discard(generator)
        if not self.is_closed():
            self.create_task(generator.aclose())  # type: ignore[arg-type]

    async def shutdown_asyncgens(self) -> None:
        await asyncio.gather(*(each.aclose() for each in self._open), return_exceptions=True)

    def _jump(self) -> None:
        """Move the time on to the next timer."""
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        if not timers:
            raise RuntimeError("deadlock: every task waits and no timer is set")
        self.virtual_now = max(self.virtual_now, timers[0][0])
        self._ring()

    def _ring(self) -> None:
        """Let every timer ring whose moment has come."""
        timers, end = self._timers, self.virtual_now + 1e-9
        while timers and timers[0][0] < end:
            self._calls.append(heapq.heappop(timers)[2])


def run_virtual(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


class VirtualClock(bot.MarketClock):
    """Market time that follows the loop's virtual time, one to one or faster."""

    def __init__(self, start: datetime, speed: float = 1.0) -> None:
        self._start, self.speed = start, speed
        self._last = (0.0, start)  # the moment asked for last; it is asked for many times

    def now(self) -> datetime:
        at = asyncio.get_running_loop().time()
        if at != self._last[0]:
            self._last = (at, self._start + timedelta(seconds=at * self.speed))
        return self._last[1]

    host = now

    def set(self, moment: datetime, in_s: float = 0.0) -> None:
        """Stay as it is: it is never wrong."""


class SimulatedNetwork:
    """Transport and WebSocket of the bot, joined to a Simulator without sockets."""

    def __init__(self, sim: simulator.Simulator, clock: VirtualClock, seed: int) -> None:
        self.sim, self._clock = sim, clock
        self._random = random.Random(seed)
        self._sockets: list[SimulatedSocket] = []
        self.posts: list[tuple[str, dict[str, str]]] = []  # every order POST that left, in order
        self.before_request: Callable[[str, str], None] = lambda method, path: None
        self.answers_s = (0.002, 0.02)  # how long the answer to a question is on its way
        self._alone = False

    def advance(self) -> None:
        """Bring the simulator to the present and wake listeners."""
        self.sim.advance(self._clock.now(), asyncio.get_running_loop().time())
        for socket in self._sockets:
            socket.wake()

    async def drive(self, alone: bool = False) -> None:
        """Move the simulator on for ever; in big steps while nobody listens.

        `alone`: nobody but the bot touches the simulator, so beats that would find nothing to do
        are left out. The others come at the same moments as without.
        """
        self._alone = alone
        self._failed = asyncio.get_running_loop().create_future()
        self._plan()
        try:
            await self._failed
        finally:
            self._timer.cancel()

    def _beat(self) -> None:
        try:
            self.advance()
            self._plan()
        except Exception as error:
            self._failed.set_exception(error)

    def _plan(self) -> None:
        """Set the timer of the next beat that finds something to do."""
        loop, speed = asyncio.get_running_loop(), self._clock.speed
        now, self._event = loop.time(), self.sim.next_event()
        wait = (self._event - self._clock.now()).total_seconds() / speed
        most = max(0.02, 1.0 / speed) if self._sockets else 30.0
        self._last, self._step, steps = now, min(max(wait, 0.2 / speed), most), 1
        if self._alone and self._sockets and wait > most:
            idle = min(wait / most - 1, (self.sim.next_tick() - now) / most)
            steps = max(1, math.ceil(idle - 1e-9))
        self._timer = loop.call_at(now + self._step * steps, self._beat)

    def _changed(self, closed: bool = False) -> None:
        """Beat when the next beat would have come, had none been left out."""
        if self._alone and (closed or self.sim.next_event() != self._event):
            loop, self._event = asyncio.get_running_loop(), self.sim.next_event()
            steps = math.ceil((loop.time() - self._last) / self._step)
            self._timer.cancel()
            self._timer = loop.call_at(self._last + self._step * steps, self._beat)

    async def __call__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        params: Mapping[str, str],
        body: bytes | None,
    ) -> bot.HttpReply:
        path = url.split("//", 1)[1].partition("/")[2]
        self.before_request(method, path)
        await asyncio.sleep(self._random.uniform(0.002, 0.02))
        self.advance()
        if method == "POST" and "/trading/" in path:
            self.posts.append((path, bot.json.loads(body or b"{}")))
        reply = self.sim.request(method, "/" + path, dict(params), dict(headers), body or b"")
        self.advance()
        self._changed()
        if reply.fate == "hang" or reply.delay_s >= bot.TOTAL_TIMEOUT_S:
            await asyncio.sleep(bot.TOTAL_TIMEOUT_S)
            raise bot.NoAnswer("TimeoutError")
        way_s = self._random.uniform(*(self.answers_s if method == "GET" else (0.002, 0.02)))
        await asyncio.sleep(reply.delay_s + way_s)
        if reply.fate != "answer":
            raise bot.NoAnswer("ServerDisconnectedError")
        names = {key.lower(): value for key, value in reply.headers.items()}
        return bot.HttpReply(reply.status, reply.body.decode("utf-8", "replace"), names)

    async def close(self) -> None:
        """Nothing is open."""

    async def connect(self, url: str) -> bot.Socket:
        """Open a simulated WebSocket."""
        self.advance()
        socket = SimulatedSocket(self)
        self._sockets.append(socket)
        return socket

    def forget(self, socket: SimulatedSocket) -> None:
        """Drop a closed socket."""
        if socket in self._sockets:
            self._sockets.remove(socket)
            self._changed(closed=True)


class SimulatedSocket:
    """One WebSocket session of the simulator, as the bot sees it."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self._network, self._session = network, network.sim.connect()
        self._more = asyncio.Event()

    def wake(self) -> None:
        """Let the reader look whether something has come."""
        if self._session.outbox or self._session.closed:
            self._more.set()

    async def send(self, message: str) -> None:
        if self._session.closed:
            raise ConnectionClosedError(None, None)
        self._network.advance()
        self._session.receive_text(message)
        self.wake()

    async def close(self) -> None:
        self._session.disconnect()
        self._network.forget(self)
        self._more.set()

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self._frames()

    async def _frames(self) -> AsyncIterator[str]:
        while True:
            while self._session.outbox:
                yield self._session.outbox.popleft()
            if self._session.closed:
                return
            self._more.clear()
            await self._more.wait()


LIMITS: dict[str, Any] = {
    "max_order_krw": 3_000_000,
    "max_symbol_krw": 4_000_000,
    "max_total_krw": 8_000_000,
    "max_daily_loss_krw": 500_000,
}


def make_settings(sim: simulator.Simulator, **changes: Any) -> bot.Settings:
    """Return settings that fit a simulator; `changes` go into the section `bot`."""
    who, paper = sim.credentials, sim.config.paper
    profile = bot.Profile(
        environment="paper" if paper else "real",
        rest_url="http://127.0.0.1:1",
        ws_url="ws://127.0.0.1:1",
        app_key=bot.Secret(who.paper_key if paper else who.real_key),
        app_secret=bot.Secret(who.paper_secret if paper else who.real_secret),
        account=bot.Secret(who.paper_account if paper else who.real_account),
        product=who.product,
        hts_id=bot.Secret(who.hts_id),
        agent="test",
    )
    limits = {**LIMITS, **changes.pop("limits", {})}
    section = {"symbols": list(sim.config.symbols), "limits": limits, **changes}
    return bot.Settings(profile, bot.BotSettings.model_validate(section), bot.Secret(""), "")


class Nothing(bot.TradingStrategy):
    """Wants nothing."""

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> None:
        return None


@dataclass
class Wish:
    """An entry to be wanted at the first trade at or after a time."""

    at: str  # HH:MM:SS
    symbol: str
    quantity: int = 10
    offset_ticks: int = 5  # above the last price; negative rests below it
    plan: tuple[float, float] = (0.97, 1.03)  # stop and target against the price
    done: bool = False


class Scripted(bot.TradingStrategy):
    """Wants what the script says, when it says so."""

    def __init__(self, wishes: list[Wish]) -> None:
        super().__init__()
        self.wishes = wishes

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> None:
        return None

    def on_trade(self, view: bot.StrategyView, trade: bot.Trade) -> bot.OrderRequest | None:
        now = f"{trade.ts_exchange:%H:%M:%S}"
        for wish in self.wishes:
            if wish.done or wish.symbol != view.symbol or now < wish.at:
                continue
            wish.done = True
            price = bot.step_ticks(trade.price, view.fund, wish.offset_ticks)
            stop = view.round_price(price * wish.plan[0], up=False)
            target = view.round_price(price * wish.plan[1], up=True)
            plan = bot.ExitPlan(stop, target)
            return view.buy(wish.quantity, price, wish.at, plan, "script")
        return None


def past_of(journal: bot.Journal) -> bot.Past:
    """Return what a journal tells a bot that starts, with the usual fees."""
    return bot.read_past(journal, bot.Ledger())


@dataclass
class World:
    """A simulator, a folder for the journal, and bots that come and go."""

    config: simulator.SimulatorConfig
    start: str = "08:50:00"
    seed: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    record: bool = False
    speed: float = 1.0

    def __post_init__(self) -> None:
        self.sim = simulator.Simulator(self.config)
        moment = datetime.combine(
            self.config.day, datetime.strptime(self.start, "%H:%M:%S").time(), bot.KST
        )
        self.clock = VirtualClock(moment, self.speed)
        self.network = SimulatedNetwork(self.sim, self.clock, self.seed)
        base = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="kisbot-test-", dir=base))
        self.trader: bot.Trader | None = None

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def make_trader(self, strategy: bot.TradingStrategy) -> bot.Trader:
        """Start the bot's process, so to speak: open the journal, rebuild, make a Trader."""
        journal = bot.Journal(self.folder / "journal.sqlite3")
        past = past_of(journal)
        settings = make_settings(self.sim, **self.settings)
        recorder = None
        if self.record:
            options = argparse.Namespace(strategy="scripted")
            now = self.clock.now()
            recorder = bot.start_recorder(settings, options, journal, past, now, self.folder)
        services = bot.Services(
            self.clock, self.network, self.network.connect, journal, self.folder, recorder
        )
        self.trader = bot.Trader(settings, strategy, services, past)
        return self.trader

    async def until(self, moment: str) -> None:
        """Wait for a market time HH:MM:SS."""
        target = datetime.combine(
            self.config.day, datetime.strptime(moment, "%H:%M:%S").time(), bot.KST
        )
        await self.clock.sleep((target - self.clock.now()).total_seconds())

    async def day(self, strategy: bot.TradingStrategy, alone: bool = False) -> bot.Trader:
        """Run one bot for the rest of the day; `alone`: nobody else touches the simulator."""
        driver = asyncio.create_task(self.network.drive(alone))
        trader = self.make_trader(strategy)
        try:
            await trader.run(one_day=True)
        finally:
            driver.cancel()
            trader.journal.close()
        return trader

    async def day_with_restarts(
        self, strategy: Callable[[], bot.TradingStrategy], kills: list[str]
    ) -> bot.Trader:
        """Run the day; at each time in `kills` the process dies and another begins."""
        driver = asyncio.create_task(self.network.drive())
        try:
            for moment in kills:
                trader = self.make_trader(strategy())
                run = asyncio.create_task(trader.run(one_day=True))
                await self.until(moment)
                await kill(run, trader)
            trader = self.make_trader(strategy())
            await trader.run(one_day=True)
            trader.journal.close()
            return trader
        finally:
            driver.cancel()


async def kill(run: asyncio.Task[None], trader: bot.Trader) -> None:
    """Let a bot vanish: nothing it would still say or write reaches anybody."""
    trader.journal.close()
    if trader.recorder:
        trader.recorder.settle(5.0)
    trader.bridge.execute = lambda actions: None  # type: ignore[method-assign]  # a dead process is silent
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


def differences(sim: simulator.Simulator, ledger: bot.Ledger) -> list[str]:
    """Compare a ledger with the truth, shares exactly and money to the won."""
    books, found = sim.books(), []
    held = {symbol: each["quantity"] for symbol, each in books["positions"].items()}
    ours = {symbol: ledger.position(symbol).quantity for symbol in ledger.positions}
    for symbol in sorted({*held, *ours}):
        mine = ours.get(symbol, 0) + ledger.external.get(symbol, 0)
        if mine != held.get(symbol, 0):
            found.append(f"{symbol}: ours {mine}, theirs {held.get(symbol, 0)}")
    if ledger.cash_krw != books["cash_krw"]:
        found.append(f"cash: ours {ledger.cash_krw}, theirs {books['cash_krw']}")
    roots = [o for o in books["orders"] if o["source"] == "api" and not o["original_order_no"]]
    known = {o.order_no for o in ledger.orders.values()} | {
        number for o in ledger.orders.values() for number in o.fills
    }
    for order in roots:
        if order["filled_quantity"] and order["order_no"] not in known:
            found.append(f"order {order['order_no']} is not known")
    return found


def api_roots(sim: simulator.Simulator) -> Iterator[dict[str, Any]]:
    """Yield the orders that our API key placed, without modifies."""
    for order in sim.books()["orders"]:
        if order["source"] == "api" and not order["original_order_no"]:
            yield order


__all__ = [
    "LIMITS", "Nothing", "Scripted", "VirtualClock", "VirtualLoop", "Wish", "World", "api_roots",
    "deque", "differences", "kill", "make_settings", "run_virtual",
]  # fmt: skip
