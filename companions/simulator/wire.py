"""Realtime frames and order notices as text.

Field orders: kis-fields (doc, partly measured)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple

from Crypto.Cipher import AES
from Crypto.Util.Padding import pad

from companions.simulator.config import Credentials
from companions.simulator.exchange import Happening
from companions.simulator.market import AUCTIONS
from companions.simulator.rules import NO_BAND, sign_code
from companions.simulator.tables import BRANCH, KINDS, SIDE_CODE
from companions.simulator.tape import Tape
from companions.simulator.tools import hms


def frame(tr_id: str, records: Sequence[str], encrypted: bool = False) -> str:
    """Return `enc|tr_id|count|payload`."""
    return f"{int(encrypted)}|{tr_id}|{len(records):03d}|{'^'.join(records)}"


def cut_fields(record: str, width: int, full: int) -> str:
    """Return a record in an older, narrower layout, or with invented fields at the end."""
    if width == full:
        return record
    fields = record.split("^")[:width]
    return "^".join(fields + ["0"] * (width - len(fields)))


def book_record(tape: Tape, at: int) -> str:
    """Return the 63 fields of H0STASP0. Outside auctions 49..52 hold nonsense (observed)."""
    depth = tape.depth()
    price, quantity = tape.expected if tape.state in AUCTIONS else (0, 0)
    change = price - tape.base
    asks, bids = depth.ask_total, depth.bid_total
    more_asks, more_bids = asks - tape.shown[0], bids - tape.shown[1]
    tape.shown = (asks, bids)
    return (
        f"{tape.listing.code}^{hms(at)}^{hour_class(tape.state)}^{depth.text}^{asks}^{bids}^0^0"
        f"^{price}^{quantity}^{quantity or tape.volume}^{change}"
        f"^{sign_code(change, price, NO_BAND)}^{change * 100 / tape.base:.2f}^{tape.volume}"
        f"^{more_asks}^{more_bids}^0^0^0^{(depth.asks[0] + depth.bids[0]) // 2}^0^0^2"
    )


def united_book_record(record: str) -> str:
    """Return the 66 fields of H0UNASP0: the book of KRX, no mid prices of NXT, exchange KRX."""
    fields = record.split("^")
    return "^".join([*fields[:62], "0", "0", "0", "1"])


def hour_class(state: str) -> str:
    """Return HOUR_CLS_CODE: A closing auction (unconfirmed), B before the open, C in a VI."""
    return {"opening": "B", "vi": "C", "halt": "C", "closing": "A", "before": "B"}.get(state, "0")


def status_record(tape: Tape, code: str) -> str:
    """Return the 11 fields of H0STMKO0."""
    halted, vi = ("Y", "58") if tape.state == "halt" else ("N", "55"), tape.state == "vi"
    coming = {"opening": "112", "closing": "121", "closed": "129"}.get(tape.state, "")
    reason = "거래정지" if tape.state == "halt" else "(null)"
    head = f"{tape.listing.code}^{halted[0]}^{reason}^{code}^{coming}^^00^{halted[1]}"
    return f"{head}^{'Y' if vi else 'N'}^N^1"


class NoticeFlags(NamedTuple):
    """Fields 5, 12, 13 and 14 of an order notice."""

    change: str  # RCTF_CLS
    refused: str  # RFUS_YN
    filled: str  # CNTG_YN
    accepted: str  # ACPT_YN


NOTICE_FLAGS = {
    "received": NoticeFlags("0", "0", "1", "1"),  # (measured)
    "fill": NoticeFlags("0", "0", "2", "2"),  # (measured)
    "cancelled": NoticeFlags("2", "0", "1", "2"),  # (measured on paper, 2026-08-20)
    "modified": NoticeFlags("1", "0", "1", "2"),  # documented, not measured
    "refused": NoticeFlags("0", "1", "1", "1"),  # documented, not measured
    "expired": NoticeFlags("0", "0", "1", "3"),  # IOC/FOK, documented, not measured
}


def notice_record(
    happening: Happening, at: int, who: Credentials, environment: str, width: int
) -> str:
    """Return the clear text of a notice with 26 or 23 fields."""
    what, order, quantity, price = happening
    flags, life = NOTICE_FLAGS[what], {"day": "0", "ioc": "1", "fok": "2"}[KINDS[order.kind].life]
    change = flags.change
    if what == "refused":
        change = {"new": "0", "modify": "1", "cancel": "2"}[order.role]
    account, side = who.active(environment)[2] + who.product, SIDE_CODE[order.side][0]
    price_text = "" if what == "received" else f"{order.price:09d}"
    head = (
        f"{who.hts_id}^{account}^{order.odno}^{order.origin_odno}^{side}^{change}^{order.kind}^{life}"
        f"^{order.symbol}^{quantity:010d}^{price:09d}^{hms(at)}^{flags.refused}^{flags.filled}"
        f"^{flags.accepted}^{BRANCH[environment]}^{order.quantity:09d}^홍길동"
    )
    if width == 23:
        return f"{head}^1Y^10^^{order.listing.name}^{price_text}"
    return cut_fields(f"{head}^^1^N^^10^^{order.listing.name}^{price_text}", width, 26)


def encrypt(text: str, key: str, iv: str) -> str:
    """Return base64 of AES-256-CBC with PKCS7 padding; key and iv are their UTF-8 bytes."""
    cipher = AES.new(key.encode(), AES.MODE_CBC, iv.encode())
    return base64.b64encode(cipher.encrypt(pad(text.encode(), 16))).decode()
