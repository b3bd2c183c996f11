"""Condition search (조건검색): which stocks are in which condition now, kept over reconnects. Pure.

Conditions are made in the broker's HTS. On each connection, one question at a time:

    CNSRLST ─▶ numbers and names ─▶ CNSRREQ live for each wanted name ─▶ its members now ─▶ pushes I / D

A condition is wanted by its name: its number may be another one after an edit in the HTS. The first
answer of a connection is compared with what was known, and the difference is told with `resync` set.
Pushes that come between question and answer are kept and applied over the answer: the last word on a
stock is the truth, whether the answer was made before it or after it.

A condition gives candidates, never an order. Unconfirmed, taken both ways: `A` before a code, blanks
behind a number, rows as pairs or objects, an empty `data` as null or as a list, pages of a live answer.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from kis_realtime_trading import BadData
from venues.kiwoom import ConditionPush, code_of, count, symbol_of, whole
from venues.wire import LineEnds

MOST_LIVE = 10
PATIENCE_S, MOST_TRIES = 10.0, 3
MOST_BUFFERED = 5_000


class ConditionChange(NamedTuple):
    """A stock that is in a condition now, or no more. `resync`: found when asked, not pushed just now."""

    name: str
    symbol: str
    inside: bool
    resync: bool


class Hit(NamedTuple):
    """A stock of a condition as one answer shows it; the price in won, the change as a part of one."""

    symbol: str
    name: str
    price: int
    change: Fraction


@dataclass
class Question:
    """One question: `kind` is list, live, once or clear."""

    kind: str
    name: str = ""
    seq: str = ""
    next_key: str = ""
    rows: list[Any] = field(default_factory=list)
    pushes: list[ConditionPush] = field(default_factory=list)
    asked_ns: int = 0
    tries: int = 0

    def text(self, exchange: str) -> str:
        """Return the message."""
        if self.kind == "list":
            return '{"trnm":"CNSRLST"}'
        if self.kind == "clear":
            return json.dumps({"trnm": "CNSRCLR", "seq": self.seq})
        fields = {"trnm": "CNSRREQ", "seq": self.seq, "stex_tp": exchange,
                  "search_type": "1" if self.kind == "live" else "0"}  # fmt: skip
        more = {"cont_yn": "Y" if self.next_key else "N", "next_key": self.next_key}
        return json.dumps({**fields, **more})


class ConditionFeed:
    """Members of every wanted condition. Messages in and out; the caller has the connection."""

    def __init__(
        self, wanted: Sequence[str], changed: Callable[[ConditionChange], None],
        once: Sequence[str] = (), exchange: str = "K",
    ) -> None:  # fmt: skip
        if len(set(wanted)) > MOST_LIVE:
            raise BadData(f"more than {MOST_LIVE} live conditions")
        self.wanted, self._once = tuple(dict.fromkeys(wanted)), tuple(once)
        self._changed, self._exchange = changed, exchange
        self.listed: dict[str, str] | None = None  # name -> number, None: not asked yet
        self.members: dict[str, set[str]] = {}  # by name; kept while a line is down
        self.fresh: set[str] = set()  # names whose members are those of now
        self.hits: dict[str, list[Hit]] = {}  # of questions asked once
        self.why: dict[str, str] = {}  # name -> why it is not live
        self.unread: Counter[str] = Counter()  # name -> rows of answers that could not be read
        self._queue: deque[Question] = deque()
        self._asking: Question | None = None
        self._names: dict[str, str] = {}  # number -> name, of this connection

    # --- the connection -----------------------------------------------------------------

    def begin(self) -> None:
        """A connection was logged in: nothing survives of the one before but what was known."""
        self.fresh, self._names, self._asking = set(), {}, None
        self._queue = deque([Question("list")])

    def ended(self) -> None:
        """The connection is over: members are what was known last, not what is."""
        self.fresh, self._asking = set(), None
        self._queue.clear()

    def stop(self, name: str) -> None:
        """Want a condition no more."""
        self.wanted = tuple(each for each in self.wanted if each != name)
        for seq in [seq for seq, known in self._names.items() if known == name]:
            del self._names[seq]
            self._queue.append(Question("clear", name, seq))
        self.members.pop(name, None)
        self.fresh.discard(name)

    def next_message(self, now_ns: int) -> str | None:
        """Return what is to be sent now, None while an answer is awaited or nothing is to be asked.

        Raises:
            LineEnds: a question had no answer three times; a new connection may help.
        """
        asking = self._asking
        if asking is not None:
            if now_ns - asking.asked_ns < PATIENCE_S * 10**9:
                return None
            if asking.tries >= MOST_TRIES:
                raise LineEnds(f"{asking.kind} {asking.name}: no answer")
        elif not self._queue:
            return None
        else:
            asking = self._asking = self._queue.popleft()
        asking.asked_ns, asking.tries = now_ns, asking.tries + 1
        return asking.text(self._exchange)

    # --- answers ------------------------------------------------------------------------

    def answer(self, frame: Mapping[str, Any]) -> None:
        """Take an answer. One that nobody waits for is left alone. Raises BadData."""
        asking, name = self._asking, frame.get("trnm")
        wanted = {"list": "CNSRLST", "clear": "CNSRCLR"}.get(
            asking.kind if asking else "", "CNSRREQ"
        )
        if asking is None or name != wanted:
            return
        seq = str(frame.get("seq") or "").strip()
        if asking.kind != "list" and seq not in ("", asking.seq):
            return
        if code := code_of(frame):
            self._asking = None
            told = f"{code}: {str(frame.get('return_msg') or '')[:120]}"
            if asking.kind == "list":
                raise LineEnds(f"CNSRLST {told}")
            self.why[asking.name] = told
            return
        if asking.kind == "list":
            self._list(frame.get("data"))
        elif asking.kind != "clear":
            self._page(asking, frame)
            return
        self._asking = None

    def _list(self, data: Any) -> None:
        """Read numbers and names; ask for each wanted one; say which are gone."""
        rows = [] if data is None else data
        if not isinstance(rows, list):
            raise BadData("no list of conditions")
        found: dict[str, str] = {}
        for row in rows:
            pair = (row.get("seq"), row.get("name")) if isinstance(row, dict) else row
            if not isinstance(pair, list | tuple) or len(pair) < 2:
                raise BadData("no row of a condition")
            found.setdefault(str(pair[1]).strip(), str(pair[0]).strip())
        self.listed = found
        for name in (*self.wanted, *self._once):
            self.why.pop(name, None)
            if name not in found:
                self.why[name] = "not in the list"
                self._become(name, set())
        for kind, names in (("live", self.wanted), ("once", self._once)):
            self._queue += [Question(kind, name, found[name]) for name in names if name in found]

    def _page(self, asking: Question, frame: Mapping[str, Any]) -> None:
        data = frame.get("data")
        rows = [] if data is None else data
        if not isinstance(rows, list):
            raise BadData("no list of members")
        for row in rows:
            try:
                asking.rows.append(_row(row))
            except BadData:
                self.unread[asking.name] += 1
        key = str(frame.get("next_key") or "").strip()
        if str(frame.get("cont_yn") or "N").strip().upper() == "Y" and key:
            asking.next_key, asking.tries = key, 0
            self._asking = None
            self._queue.appendleft(asking)
            return
        self._asking = None
        if asking.kind == "once":
            self.hits[asking.name] = asking.rows
            return
        members = {hit.symbol for hit in asking.rows}
        for push in asking.pushes:
            (members.add if push.inside else members.discard)(push.symbol)
        self._names[asking.seq] = asking.name
        self._become(asking.name, members)
        self.fresh.add(asking.name)

    def _become(self, name: str, now: set[str]) -> None:
        """Tell the difference to what was known."""
        known = self.members.get(name, set())
        self.members[name] = set(now)
        for symbol in sorted(known - now):
            self._changed(ConditionChange(name, symbol, False, True))
        for symbol in sorted(now - known):
            self._changed(ConditionChange(name, symbol, True, True))

    # --- pushes -------------------------------------------------------------------------

    def push(self, push: ConditionPush) -> None:
        """Take a stock that came in or left; a repeated one changes nothing."""
        for asking in (self._asking, *self._queue):
            if asking and asking.kind == "live" and asking.seq == push.seq and len(asking.pushes) < MOST_BUFFERED:  # fmt: skip
                asking.pushes.append(push)
        name = self._names.get(push.seq)
        if name is None or name not in self.fresh:
            return
        members = self.members[name]
        if push.inside != (push.symbol in members):
            (members.add if push.inside else members.discard)(push.symbol)
            self._changed(ConditionChange(name, push.symbol, push.inside, False))

    @property
    def done(self) -> bool:
        """Tell whether everything that was asked has an answer."""
        return self.listed is not None and self._asking is None and not self._queue

    def symbols(self) -> list[str]:
        """Return every stock that is in a condition, sorted."""
        return sorted(set().union(*self.members.values()))


def _row(row: Any) -> Hit:
    """Read a member: `jmcode` of a live answer, FIDs of one asked once; 12 is thousandths of a per cent."""
    if not isinstance(row, dict):
        raise BadData("no member of a condition")
    row = row["values"] if isinstance(row.get("values"), dict) else row
    symbol = symbol_of(row.get("jmcode") or row.get("9001"))
    change = whole(row.get("12", "")) or 0
    return Hit(
        symbol, str(row.get("302") or "").strip(), count(row, "10"), Fraction(change, 100_000)
    )
