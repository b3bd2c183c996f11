"""Kiwoom's stream: LOGIN, REG of prices, orders and balances, PING echoed, conditions, reconnects.

One connection a key: a second one ends the first (SYSTEM R10001), which is told, and tried again once a
minute. Nothing survives a connection: after each LOGIN everything is registered and asked anew. An
order's fills are booked from cumulative figures, so a doubled or late notice books nothing twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from websockets.asyncio.client import connect as websocket_connect

from kis_realtime_trading import BadData, BotError, Secret
from venues import kiwoom
from venues.common import FeedChange, PartlyBad, parse_json
from venues.kiwoom import ConditionPush, Event, code_of, read_real
from venues.kiwoom_client import KiwoomToken
from venues.kiwoom_conditions import ConditionChange, ConditionFeed
from venues.wire import (
    Clock,
    Connect,
    Line,
    LineEnds,
    LinePlan,
    Socket,
    Statistics,
    _Frames,
    trusted,
)

SILENCE_S = 120.0
OTHER_SESSION_S = 60.0  # after R10001: another program has this key; ours must not chase it away
TOKEN_WAIT_S = 30.0
ITEMS_A_GROUP = 100  # often said of a registration; unconfirmed
MOST_UNANSWERED = 3  # then the token may be the reason: Kiwoom may end a connection without a word
PRICES, ACCOUNT = ("0B", "0D"), ("00", "04")


async def connect_kiwoom(url: str, headers: Mapping[str, str]) -> Socket:
    """Open a connection. The library's own ping is off: only PING frames keep this line alive."""
    return _Frames(
        await websocket_connect(
            url, additional_headers=dict(headers), compression=None, proxy=None, max_size=1 << 20,
            max_queue=1024, open_timeout=10, close_timeout=1, ping_interval=None,
            ssl=trusted() if url.startswith("wss:") else None,
        )
    )  # fmt: skip


class LoginRefused(LineEnds):
    """Kiwoom did not take the token."""


class Session:
    """One connection as messages: what comes in, what goes out. No socket, no clock."""

    def __init__(
        self, take: Callable[[Event], None], stocks: Sequence[str], account: bool,
        conditions: ConditionFeed | None,
    ) -> None:  # fmt: skip
        self._take, self._account, self.conditions = take, account, conditions
        self.stocks: dict[str, str] = {}  # whose prices are wanted -> the group they stand in
        self._given = 0
        for symbol in stocks:
            self._add(symbol)
        self.out: deque[str] = deque()
        self.logged_in = self.was_in = False  # now; at any time of the newest connection
        self.refused: dict[str, str] = {}  # registration -> why

    def _add(self, symbol: str) -> str:
        if symbol not in self.stocks:
            self.stocks[symbol] = str(10 + self._given // ITEMS_A_GROUP)
            self._given += 1
        return self.stocks[symbol]

    def begin(self, token: Secret) -> None:
        """A connection stands: log in, with nothing before it."""
        self.out.clear()
        self.logged_in = self.was_in = False
        self.out.append(json.dumps({"trnm": "LOGIN", "token": token.reveal()}))

    def ended(self) -> None:
        """The connection is over."""
        self.out.clear()
        self.logged_in = False
        if self.conditions:
            self.conditions.ended()

    def watch(self, symbol: str, on: bool) -> None:
        """Want the prices of a stock, or want them no more."""
        if on == (symbol in self.stocks):
            return
        group = self._add(symbol) if on else self.stocks.pop(symbol)
        if self.logged_in:
            self.out.append(_register("REG" if on else "REMOVE", group, [symbol], PRICES))

    def read(self, raw: bytes, seen_ns: int, wall_ms: int) -> None:
        """Take one frame. Raises BadData for what cannot be read, LineEnds when it is over."""
        frame = parse_json(raw)
        if not isinstance(frame, dict):
            raise BadData("no object")
        name = frame.get("trnm")
        if name == "PING":
            self.out.append(raw.decode())  # the very same frame back
        elif name == "SYSTEM":
            raise LineEnds(f"{frame.get('code')}: {str(frame.get('message'))[:80]}")
        elif name == "LOGIN":
            self._login(frame)
        elif not self.logged_in:
            raise BadData("something before the answer to LOGIN")
        elif name == "REAL":
            self._real(frame, seen_ns, wall_ms)
        elif name in ("REG", "REMOVE"):
            if code := code_of(frame):
                self.refused[str(name)] = f"{code}: {str(frame.get('return_msg') or '')[:80]}"
        elif self.conditions and str(name).startswith("CNSR"):
            self.conditions.answer(frame)

    def tick(self, now_ns: int) -> None:
        """Ask the next question about conditions, once the one before is answered."""
        if self.logged_in and self.conditions and (text := self.conditions.next_message(now_ns)):
            self.out.append(text)

    def _login(self, frame: Mapping[str, Any]) -> None:
        if code := code_of(frame):
            raise LoginRefused(f"LOGIN {code}: {str(frame.get('return_msg') or '')[:80]}")
        self.logged_in, self.was_in, self.refused = True, True, {}
        if self._account:
            self.out.append(_register("REG", "1", [""], ACCOUNT))
        for group in dict.fromkeys(self.stocks.values()):
            items = [symbol for symbol, where in self.stocks.items() if where == group]
            self.out.append(_register("REG", group, items, PRICES))
        if self.conditions:
            self.conditions.begin()

    def _real(self, frame: Mapping[str, Any], seen_ns: int, wall_ms: int) -> None:
        try:
            events, bad = read_real(frame, seen_ns, wall_ms), None
        except PartlyBad as error:
            events, bad = error.events, error
        for event in events:
            if not isinstance(event, ConditionPush):
                self._take(event)
            elif self.conditions:
                self.conditions.push(event)
        if bad:
            raise bad


def _register(name: str, group: str, items: Sequence[str], types: Sequence[str]) -> str:
    fields: dict[str, Any] = {"trnm": name, "grp_no": group}
    if name == "REG":
        fields["refresh"] = "1"  # keep what is registered
    data = [{"item": list(items), "type": list(types)}]
    return json.dumps({**fields, "data": data}, ensure_ascii=False)


class KiwoomLine(Line):
    """The socket of one key, for ever."""

    def __init__(
        self, tokens: KiwoomToken, url: str, session: Session, changed: Callable[[FeedChange], None],
        statistics: Statistics, clock: Clock, connect: Connect = connect_kiwoom,
    ) -> None:  # fmt: skip
        self.session, self._tokens = session, tokens
        self._said = asyncio.Event()
        self._ended: LineEnds | None = None
        self._unanswered = 0  # connections in a row that ended before LOGIN was answered
        plan = LinePlan(
            kiwoom.VENUE, "kiwoom", lambda: url, self._hello, silence_s=SILENCE_S,
        )  # fmt: skip
        super().__init__(plan, self._frame, changed, statistics, clock, connect)

    def _hello(self) -> list[str]:
        """Return what is said first: LOGIN."""
        messages = list(self.session.out)
        self.session.out.clear()
        return messages

    def _frame(self, raw: bytes, seen_ns: int) -> None:
        try:
            self.session.read(raw, seen_ns, self._clock.wall_ms())
            self.session.tick(seen_ns)
        except LineEnds as ends:
            self._ended = ends
            raise
        if self.session.out:
            self._said.set()

    async def _session(self) -> str:
        """Hold one connection with a good token; return why it ended."""
        self._ended = None
        try:
            async with asyncio.timeout(TOKEN_WAIT_S):
                token = await self._tokens.token()
        except (BotError, TimeoutError) as error:
            return f"token: {type(error).__name__}: {error}"[:120]
        self.session.begin(token)
        try:
            why = await super()._session()
        finally:
            self.session.ended()
        self._unanswered = 0 if self.session.was_in else self._unanswered + 1
        if isinstance(self._ended, LoginRefused) or self._unanswered >= MOST_UNANSWERED:
            self._tokens.drop(token)
            self._unanswered = 0
        elif "R10001" in str(self._ended or ""):
            self._set(False, why)
            await asyncio.sleep(OTHER_SESSION_S)
        return why

    async def _listen(self, socket: Socket) -> str:
        speaker = asyncio.create_task(self._speak(socket))
        reader = asyncio.create_task(super()._listen(socket))
        try:
            await asyncio.wait((speaker, reader), return_when=asyncio.FIRST_COMPLETED)
            return (reader if reader.done() else speaker).result()
        finally:
            for task in (speaker, reader):
                task.cancel()
            await asyncio.gather(speaker, reader, return_exceptions=True)

    async def _speak(self, socket: Socket) -> str:
        """Send what is to be said; once a second see whether an answer is overdue."""
        while True:
            while self.session.out:
                await socket.send(self.session.out.popleft())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._said.wait()
            self._said.clear()
            try:
                self.session.tick(self._clock.mono_ns())
            except LineEnds as ends:
                self._ended = ends
                raise


class Follower:
    """Keeps the prices of stocks in a condition registered, up to a number of them."""

    def __init__(self, watch: Callable[[str, bool], None], most: int, always: Sequence[str]) -> None:  # fmt: skip
        self._watch, self._most, self._always = watch, most, frozenset(always)
        self._inside: dict[str, set[str]] = {}  # symbol -> names of conditions
        self.followed: set[str] = set()

    def changed(self, change: ConditionChange) -> None:
        """Take a change of members."""
        names = self._inside.setdefault(change.symbol, set())
        (names.add if change.inside else names.discard)(change.name)
        if not names:
            del self._inside[change.symbol]
            if change.symbol in self.followed:
                self.followed.discard(change.symbol)
                self._watch(change.symbol, False)
        waiting = sorted(set(self._inside) - self.followed - self._always)
        for symbol in waiting[: max(0, self._most - len(self.followed))]:
            self.followed.add(symbol)
            self._watch(symbol, True)
