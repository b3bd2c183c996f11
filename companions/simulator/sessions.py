"""WebSocket sessions without sockets: text in, text out through `outbox`, one session per app key."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from companions.simulator.exchange import Happening
from companions.simulator.tables import (
    BOOK_TR,
    HTS_STREAMS,
    NOTICE_TR,
    SILENT_KEYS,
    STATUS_TR,
    STREAMS,
    TRADE_TRS,
    UNITED_BOOK_TR,
    WS_TEXT,
)
from companions.simulator.tape import Ground, Print, Tape
from companions.simulator.tools import Dice, to_moment
from companions.simulator.wire import (
    book_record,
    cut_fields,
    encrypt,
    frame,
    notice_record,
    status_record,
    united_book_record,
)


class Refused(Exception):
    """A control message that cannot be served; carries the code of the answer."""

    def __init__(self, code: str, rt_cd: str = "1") -> None:
        super().__init__(code)
        self.code, self.rt_cd = code, rt_cd


def _part(message: Any, name: str, code: str) -> dict[str, Any]:
    part = message.get(name) if isinstance(message, dict) else None
    if not isinstance(part, dict):
        raise Refused(code)
    return part


def read_registration(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and body.input of a registration; raise Refused that names what is wrong."""
    try:
        message = json.loads(text)
    except ValueError:
        raise Refused("OPSP9999") from None
    header = _part(message, "header", "OPSP9998")
    wanted = _part(_part(message, "body", "OPSP9992"), "input", "OPSP9991")
    for part, name, code in (
        (header, "approval_key", "OPSP9996"),
        (header, "custtype", "OPSP9997"),
        (header, "tr_type", "OPSP8997"),
        (wanted, "tr_id", "OPSP8991"),
        (wanted, "tr_key", "OPSP9990"),
    ):
        if not part.get(name):
            raise Refused(code)
    return header, wanted


class Session:
    """One connection. `outbox` is drained by the shell; `closed` says why it ended."""

    def __init__(self, hub: Hub, number: int, mono: float) -> None:
        self._hub, self.number = hub, number
        self.outbox: deque[str] = deque()
        self.closed: str | None = None
        self.registered: dict[tuple[str, str], None] = {}
        self.app_key = ""
        self.next_ping, self.unanswered = mono + hub.config.pingpong_s, 0.0
        dice = Dice(hub.config.seed)
        self.key = dice.text(32, "abcdefghijklmnopqrstuvwxyz", "ws key", number)
        self.iv = dice.text(16, "0123456789abcdef", "ws iv", number)
        self.swapped: str | None = None  # a frame that waits for the next one

    def receive_text(self, text: str) -> None:
        """Handle a text frame of the client: a registration, or an echoed PINGPONG."""
        if self.closed:
            return
        if self._is_pingpong(text):
            self.unanswered = 0.0
            return
        tr_id, tr_key = "(null)", ""
        try:
            header, wanted = read_registration(text)
            self._hub.authorise(self, header)
            tr_id, tr_key = str(wanted.get("tr_id", "")), str(wanted.get("tr_key", ""))
            code = self._hub.subscribe(self, str(header["tr_type"]), tr_id, tr_key)
            self._answer(tr_id, tr_key, "0", code)
        except Refused as refusal:
            self._answer(tr_id, tr_key, refusal.rt_cd, refusal.code)
            if refusal.code == "OPSP8996":
                self.close("app key in use")

    def receive_pong(self, payload: bytes) -> None:
        """Handle a PONG control frame; it answers when it carries the PINGPONG text."""
        if b"PINGPONG" in payload:
            self.unanswered = 0.0

    def receive_ping(self, payload: bytes) -> None:
        """Handle a PING control frame; the older official sample answers PINGPONG with one."""
        self.receive_pong(payload)

    def disconnect(self) -> None:
        """Tell that the transport is gone."""
        self.close("client gone")

    def close(self, reason: str) -> None:
        """End the session once."""
        if not self.closed:
            self.closed = reason
            self._hub.forget(self)

    def tick(self, mono: float) -> None:
        """Send PINGPONG when due; end the session when none was answered for too long."""
        config = self._hub.config
        if self.unanswered and mono - self.unanswered > config.dead_session_s:
            self.close("no PINGPONG answer")
        elif mono >= self.next_ping:
            self.next_ping = mono + config.pingpong_s
            self.unanswered = self.unanswered or mono
            header = {
                "tr_id": "PINGPONG",
                "datetime": to_moment(self._hub.now).strftime("%Y%m%d%H%M%S"),
            }
            self._hub.send(self, json.dumps({"header": header}), "control", "PINGPONG", "")

    @staticmethod
    def _is_pingpong(text: str) -> bool:
        try:
            return bool(json.loads(text)["header"]["tr_id"] == "PINGPONG")
        except (ValueError, TypeError, KeyError):
            return False

    def _answer(self, tr_id: str, tr_key: str, rt_cd: str, code: str) -> None:
        """Acknowledge. `encrypt` is Y for notices: the official sample decrypts only then.

        The document prints N there too (unconfirmed which is sent); a client that goes by the
        first character of the frame does not care.
        """
        body: dict[str, Any] = {"rt_cd": rt_cd, "msg_cd": code, "msg1": WS_TEXT[code]}
        if rt_cd == "0":
            body["output"] = {"iv": self.iv, "key": self.key}
        elif code in ("OPSP9999", "OPSP8996"):
            tr_id, tr_key = "(null)", ""
        secret = "Y" if rt_cd == "0" and tr_id in HTS_STREAMS else "N"
        header = {"tr_id": tr_id, "tr_key": tr_key, "encrypt": secret}
        text = json.dumps({"header": header, "body": body}, ensure_ascii=False)
        self._hub.send(self, text, "control", tr_id, tr_key)


class Hub:
    """All sessions: who listens to what, and the way of every frame."""

    OUTBOX_LIMIT = 200_000  # a slower client is cut off (invented)

    def __init__(self, ground: Ground) -> None:
        self.config, self.who = ground.config, ground.who
        self._faults, self._agenda = ground.faults, ground.agenda
        self._rng = ground.dice.stream("notices")
        self.sessions: list[Session] = []
        self.watchers: dict[tuple[str, str], list[Session]] = {}
        self.approvals: dict[str, tuple[str, int]] = {}  # approval key -> (app key, end of life)
        self.symbols = frozenset(ground.config.symbols)
        self.watch: Callable[[str, bool], None] = lambda symbol, on: None
        self.mono, self.frames_sent, self._opened = 0.0, 0, 0
        self.trades_sent: dict[str, int] = {}
        self._lost: tuple[str, float] = ("", 0.0)  # app key of a session that broke, when
        self._notice_at = 0
        self._notice_swapped: list[tuple[int, Happening]] = []

    # --- sessions -------------------------------------------------------------------

    def connect(self) -> Session:
        """Open a session."""
        self._opened += 1
        session = Session(self, self._opened, self.mono)
        self.sessions.append(session)
        return session

    def forget(self, session: Session) -> None:
        """Drop all registrations of a closed session."""
        for tr_id, tr_key in list(session.registered):
            self._unwatch(session, tr_id, tr_key)
        if session in self.sessions:
            self.sessions.remove(session)
        if session.app_key:
            self._lost = (session.app_key, self.mono)

    def authorise(self, session: Session, header: Mapping[str, Any]) -> None:
        """Check approval key, customer type and the one-session rule."""
        approval = self.approvals.get(str(header["approval_key"]))
        if str(header["custtype"]) not in ("P", "B"):
            raise Refused("OPSP8998")
        if str(header["tr_type"]) not in ("1", "2"):
            raise Refused("OPSP8997")
        if session.app_key:
            return  # an open session keeps working after the key expires (doc)
        if approval is None or approval[1] <= self.now:
            raise Refused("OPSP0011")
        lingering = (
            self._lost[0] == approval[0]
            and self.mono < self._lost[1] + self.config.session_linger_s
        )
        if lingering or any(other.app_key == approval[0] for other in self.sessions):
            raise Refused("OPSP8996", "9")
        session.app_key = approval[0]

    def subscribe(self, session: Session, tr_type: str, tr_id: str, tr_key: str) -> str:
        """Register or release; return the code of the answer or raise Refused."""
        if tr_id not in STREAMS[self.config.environment]:
            raise Refused("OPSP8991")
        if not self._knows(tr_id, tr_key):
            raise Refused("OPSP8993")
        key = (tr_id, tr_key)
        if tr_type == "2":
            if key not in session.registered:
                raise Refused("OPSP0003")
            self._unwatch(session, tr_id, tr_key)
            return "OPSP0001"
        if key in session.registered:
            raise Refused("OPSP0002")
        if len(session.registered) >= self.config.registrations:
            raise Refused("OPSP0008")
        session.registered[key] = None
        self.watchers.setdefault(key, []).append(session)
        self.watch(tr_key, True)
        return "OPSP0000"

    def _knows(self, tr_id: str, tr_key: str) -> bool:
        if tr_id in HTS_STREAMS:
            return tr_key == self.who.hts_id
        if tr_id in SILENT_KEYS:
            return re.fullmatch(SILENT_KEYS[tr_id], tr_key) is not None
        return tr_key in self.symbols

    def _unwatch(self, session: Session, tr_id: str, tr_key: str) -> None:
        session.registered.pop((tr_id, tr_key), None)
        self.watchers.get((tr_id, tr_key), []).remove(session)
        self.watch(tr_key, any(self.watchers.get((tr, tr_key)) for tr in TRADE_TRS))

    @property
    def now(self) -> int:
        """Return market time."""
        return self._agenda.now

    def tick(self, mono: float) -> None:
        """Advance the monotonic clock, on which PINGPONG runs."""
        self.mono = mono
        for session in list(self.sessions):
            session.tick(mono)

    def next_tick(self) -> float:
        """Return the monotonic time before which `tick` finds nothing to do."""
        dead_s = self.config.dead_session_s
        return min(
            (
                min(each.next_ping, each.unanswered + dead_s if each.unanswered else math.inf)
                for each in self.sessions
            ),
            default=math.inf,
        )

    # --- frames ---------------------------------------------------------------------

    def send(self, session: Session, text: str, kind: str, tr_id: str, tr_key: str) -> None:
        """Put a frame into the outbox, through the frame faults."""
        if session.closed:
            return
        self.frames_sent += 1
        if not self._faults.watches("frame"):
            session.outbox.append(text)
        else:
            self._send_faulty(session, text, kind, tr_id, tr_key)
        if len(session.outbox) > self.OUTBOX_LIMIT:
            session.close("slow client")

    def _send_faulty(self, session: Session, text: str, kind: str, tr_id: str, tr_key: str) -> None:
        copies, waiting = 1, session.swapped
        for effect in self._faults.fire("frame", kind=kind, tr_id=tr_id, symbol=tr_key):
            if effect["do"] == "frame_drop":
                copies = 0
            elif effect["do"] == "frame_repeat":
                copies = int(effect.get("times", 2))
            elif effect["do"] == "frame_swap" and waiting is None:
                session.swapped = text
                return
            elif effect["do"] == "ws_close":
                session.close("dropped")
                return
            elif effect["do"] in ("frame_garble", "frame_extra"):
                text = spoil_frame(text, effect)
        session.outbox.extend([text] * copies)
        if waiting is not None:
            session.outbox.append(waiting)
            session.swapped = None

    def publish(self, tr_id: str, symbol: str, records: Sequence[str], kind: str) -> None:
        """Send records to everybody who registered."""
        for session in list(self.watchers.get((tr_id, symbol), ())):
            self.send(session, frame(tr_id, records), kind, tr_id, symbol)
            if kind == "trade":
                self.trades_sent[symbol] = self.trades_sent.get(symbol, 0) + len(records)

    # --- market ---------------------------------------------------------------------

    def on_trades(self, at: int, tape: Tape, prints: Sequence[Print]) -> None:
        """Send the trades, then the book."""
        symbol = tape.listing.code
        if tape.records:
            width = self.config.trade_fields
            records = [cut_fields(record, width, 47) for record in tape.records]
            for tr_id in TRADE_TRS:
                if self.watchers.get((tr_id, symbol)):
                    self.publish(tr_id, symbol, records, "trade")
        self.on_quote(at, tape)

    def on_quote(self, at: int, tape: Tape) -> None:
        """Send the book."""
        symbol = tape.listing.code
        streams = [tr for tr in (BOOK_TR, UNITED_BOOK_TR) if self.watchers.get((tr, symbol))]
        if not streams:
            return
        record = book_record(tape, at)
        for tr_id in streams:
            narrow = cut_fields(record, self.config.book_fields, 63)
            text = narrow if tr_id == BOOK_TR else united_book_record(record)
            self.publish(tr_id, symbol, [text], "book")

    def on_auction(self, at: int, tape: Tape, price: int, quantity: int) -> None:
        """Send the print of an auction."""
        self.on_trades(at, tape, ())

    def on_status(self, at: int, tape: Tape, code: str) -> None:
        """Send the market status (real only)."""
        self.publish(STATUS_TR, tape.listing.code, [status_record(tape, code)], "status")

    def on_day_end(self, at: int) -> None:
        """Nothing is sent at the end of the day."""

    # --- notices --------------------------------------------------------------------

    def notify(self, at: int, happening: Happening, early: bool) -> None:
        """Plan the notice of a happening; notices keep their order unless a fault swaps them."""
        low, high = self.config.notice_lag_ms
        lag = 0 if early else low + int(self._rng.random() * (high - low))
        when = self._notice_at = max(self._notice_at, at + lag)
        copies = 1
        facts = {
            "kind": happening.what,
            "symbol": happening.order.symbol,
            "side": happening.order.side,
        }
        stamped = (at, happening)
        for effect in self._faults.fire("notice", **facts):
            if effect["do"] == "notice_drop":
                copies = 0
            elif effect["do"] == "notice_delay":
                when = at + round(float(effect.get("seconds", 0)) * 1000)
            elif effect["do"] == "notice_repeat":
                copies = int(effect.get("times", 2))
            elif effect["do"] == "notice_swap" and not self._notice_swapped:
                self._notice_swapped.append(stamped)
                return
        pending = [stamped] * copies + self._notice_swapped
        self._notice_swapped = []
        if early and when <= at:
            self._deliver(at, pending)
        else:
            self._agenda.add(when, self._deliver, pending)

    def _deliver(self, _: int, pending: Sequence[tuple[int, Happening]]) -> None:
        environment = self.config.environment
        width = self.config.notice_fields or (23 if self.config.paper else 26)
        tr_id = NOTICE_TR[environment]
        for at, happening in pending:
            text = notice_record(happening, at, self.who, environment, width)
            for session in list(self.watchers.get((tr_id, self.who.hts_id), ())):
                wire = frame(tr_id, [encrypt(text, session.key, session.iv)], encrypted=True)
                self.send(session, wire, "notice", tr_id, happening.order.symbol)


def spoil_frame(text: str, effect: Mapping[str, Any]) -> str:
    """Damage a frame: cut it, replace it, lie about the count, or change the record width."""
    if effect["do"] == "frame_garble":
        how = str(effect.get("how", "truncate"))
        head, _, rest = text.partition("|00")
        return {
            "truncate": text[: len(text) // 2],
            "text": "garbage \ufffd {not json",
            "count": f"{head}|00{int(rest[:1] or 1) + 1}{rest[1:]}" if rest else text,
            "key": text[:-8] + "AAAAAAA=" if text.startswith("1|") else text,
        }.get(how, text)
    parts = text.split("|", 3)
    if len(parts) < 4 or parts[0] != "0":
        return text
    count, fields = int(parts[2]), parts[3].split("^")
    width = len(fields) // count
    records = ["^".join(fields[i * width : (i + 1) * width]) for i in range(count)]
    wanted = width + int(effect.get("fields", 1))
    return "|".join([*parts[:3], "^".join(cut_fields(record, wanted, width) for record in records)])
