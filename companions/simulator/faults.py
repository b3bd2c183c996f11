"""Rules that make the server misbehave.

A rule is {"match": {...}, "effect": {"do": name, ...}}. Rules are asked at five points: before a
request is executed, after it (answer), when an order is accepted, when a notice is built and when
a frame leaves. The effects themselves live where they act; this section only decides.

match (all optional): path (part of it), tr_id, kind, symbol, side (BUY, SELL), from and to
(market time HH:MM[:SS]), probability, nth (a number or list, counted per rule), times (strike at
most so often). Kinds of requests: oauth quotation account order modify cancel; of orders: order
cancel; of notices: received fill modified cancelled refused expired; of frames: trade book notice
status control."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from companions.simulator.tools import parse_clock, second_of_day

# effect -> (point, parameters it may have); `executed` decides whether the request takes effect
EFFECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "lose": ("answer", ("executed", "how")),  # how: reset or hang
    "error": ("answer", ("executed", "status", "code", "text", "rt_cd")),
    "html": ("answer", ("executed", "status")),
    "token": ("request", ("code",)),  # the token used dies: EGW00121 or EGW00123
    "delay": ("answer", ("seconds",)),  # transport seconds
    "garble": ("answer", ("how",)),  # truncate, text, unquoted, empty, charset
    "empty": ("answer", ()),  # all lists of the answer are empty
    "repeat_page": ("answer", ()),  # page 1 again and again, "more follows"
    "odno": ("answer", ("style",)),  # empty, lower, blank, short, missing
    "set": ("answer", ("field", "value")),  # overwrite a field wherever it occurs
    "drop": ("answer", ("field",)),  # leave a field out wherever it occurs
    "spelling": ("answer", ()),  # codes of stocks with a leading A
    "lines": ("answer", ()),  # what is held comes in several lines of the balance
    "stranger": ("answer", ()),  # one more row, of another stock, with blanks
    "stale_balance": ("request", ("seconds",)),  # holdings and cash stand still, market seconds
    "list_delay": ("order", ("seconds",)),  # the order appears in lists later
    "unsettled": ("order", ("seconds",)),  # lists show order quantity = filled quantity
    "no_fill": ("order", ("seconds",)),  # the exchange does not match it
    "refuse_later": ("order", ("seconds",)),  # accepted, refused afterwards
    "cancel_refused": ("order", ("seconds",)),  # a cancel is accepted, refused afterwards
    "notice_drop": ("notice", ()),
    "notice_delay": ("notice", ("seconds",)),
    "notice_repeat": ("notice", ("times",)),
    "notice_swap": ("notice", ()),  # sent after the notice that follows it
    "frame_drop": ("frame", ()),
    "frame_repeat": ("frame", ("times",)),
    "frame_swap": ("frame", ()),  # sent after the frame that follows it
    "frame_garble": ("frame", ("how",)),  # truncate, text, count, key
    "frame_extra": ("frame", ("fields",)),  # more (or, negative, fewer) fields per record
    "ws_close": ("frame", ()),  # the connection breaks instead of the frame
}
MATCH_KEYS = frozenset(
    {"path", "tr_id", "kind", "symbol", "side", "nth", "times", "from", "to", "probability"}
)


@dataclass(slots=True)
class FaultRule:
    """One rule with its counters."""

    number: int
    match: dict[str, Any]
    effect: dict[str, Any]
    point: str
    window: tuple[int, int]  # seconds of the day
    seen: int = 0
    fired: int = 0

    def agrees(self, facts: Mapping[str, str], second: int) -> bool:
        """Tell whether all conditions but nth, times and probability hold."""
        if not self.window[0] <= second < self.window[1]:
            return False
        for key in ("tr_id", "kind", "symbol", "side"):
            if key in self.match and self.match[key] != facts.get(key):
                return False
        return str(self.match.get("path", "")) in facts.get("path", "")


class FaultBook:
    """All rules; says which effects apply now. Seeded, so a run can be repeated."""

    def __init__(self, rng: random.Random, clock: Callable[[], int]) -> None:
        self._rng, self._clock = rng, clock
        self._rules: list[FaultRule] = []
        self._points: set[str] = set()
        self._count = 0

    def add(self, rule: Mapping[str, Any]) -> int:
        """Check and add a rule; return its number. Raises ValueError that names the mistake."""
        match, effect = dict(rule.get("match", {})), dict(rule.get("effect", {}))
        name = effect.get("do")
        if name not in EFFECTS:
            raise ValueError(f"effect.do is one of {', '.join(EFFECTS)}, was {name!r}")
        point, allowed = EFFECTS[name]
        wrong = [key for key in match if key not in MATCH_KEYS]
        wrong += [key for key in effect if key not in ("do", *allowed)]
        if wrong:
            raise ValueError(
                f"unknown keys {wrong}; match has {sorted(MATCH_KEYS)}, {name} has {allowed}"
            )
        if "executed" in allowed and not effect.get("executed", False):
            point = "request"
        window = (parse_clock(match.get("from", "00:00")), parse_clock(match.get("to", "23:59:59")))
        self._count += 1
        self._rules.append(FaultRule(self._count, match, effect, point, window))
        self._points.add(point)
        return self._count

    def clear(self, number: int | None = None) -> None:
        """Remove one rule or all."""
        self._rules = [r for r in self._rules if number is not None and r.number != number]
        self._points = {rule.point for rule in self._rules}

    def watches(self, point: str) -> bool:
        """Tell whether any rule acts at this point (cheap, for the hot path)."""
        return point in self._points

    def fire(self, point: str, **facts: str) -> list[dict[str, Any]]:
        """Return the effects that apply, in the order the rules were added."""
        if not self._rules:
            return []
        second, effects = second_of_day(self._clock()), []
        for rule in self._rules:
            if rule.point == point and rule.agrees(facts, second):
                rule.seen += 1
                if self._strikes(rule):
                    rule.fired += 1
                    effects.append(rule.effect)
        return effects

    def _strikes(self, rule: FaultRule) -> bool:
        nth, times = rule.match.get("nth"), rule.match.get("times")
        if nth is not None and rule.seen not in (nth if isinstance(nth, list) else [nth]):
            return False
        if times is not None and rule.fired >= times:
            return False
        return "probability" not in rule.match or self._rng.random() < rule.match["probability"]

    def rows(self) -> list[dict[str, Any]]:
        """Return all rules with their counters."""
        return [
            {
                "number": r.number,
                "match": r.match,
                "effect": r.effect,
                "seen": r.seen,
                "fired": r.fired,
            }
            for r in self._rules
        ]
