"""Orders at Kiwoom: the port, and a desk that follows changes and hears notices.

No id of ours stands in a request, so the only protection against a doubled order is that one POST leaves
an intent, ever: rows first, then the request, and an unknown outcome is looked for in the lists, never
sent again (see kiwoom_proof). A change (`kt10002`) has price and quantity only, never another kind, and
gives a new number; a cancel has a number of its own.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from kis_realtime_trading import (
    KST,
    RESTING,
    BotError,
    NoAnswer,
    NotSent,
    OrderAnswer,
    OrderEvent,
    OrderStatus,
    Outcome,
    Side,
)
from venues import kiwoom
from venues.common import (
    ZERO,
    Absent,
    Intent,
    Kind,
    Market,
    OrderSeen,
    Purpose,
    Rules,
    VBalance,
    VOrder,
    VQuote,
    minus,
    plain,
    plus,
    sorted_fees,
)
from venues.kiwoom import KiwoomRefused, Notice
from venues.kiwoom_client import KiwoomClient
from venues.kiwoom_proof import (
    BLIND_AFTER_MS,
    BLIND_LISTS,
    OWN_END,
    SETTLE_MS,
    Before,
    Chain,
    Search,
    chain_of,
    day_of,
    fits,
    footprint,
    is_over,
    judge,
    known_numbers,
    moved,
    row_of,
    strangers,
    view_of,
    ways_of,
    window_s,
)
from venues.orders import Desk, MayBeIt, Refused
from venues.spot import Facts, ProofRule, SpotLedger, SpotOrder, Update, refusals
from venues.wire import LANE_EXIT, LANE_ORDER

log = logging.getLogger("kis.venues")

_E, _S = OrderEvent, OrderStatus
TRADE_KINDS = {Kind.LIMIT: "0", Kind.LIMIT_IOC: "10", Kind.SELL_AT_MARKET: "3"}
EXCHANGE = "KRX"
MOST_HEARD = 500  # numbers of nobody that are remembered


def order_body(intent: Intent) -> dict[str, str]:
    """Return the body of a new order; every value a text."""
    return {
        "dmst_stex_tp": EXCHANGE, "stk_cd": intent.symbol, "ord_qty": plain(intent.quantity or ZERO),
        "ord_uv": plain(intent.price) if intent.price is not None else "",
        "trde_tp": TRADE_KINDS[intent.kind], "cond_uv": "",
    }  # fmt: skip


class KiwoomOrders:
    """The port. `ledger` is the desk's: an order is looked for by what is known of all."""

    venue = kiwoom.VENUE
    proof = ProofRule(looks=3, after_ms=180_000)
    watch_lost_ms = 600_000  # nothing in a request expires: it may arrive late

    def __init__(self, client: KiwoomClient, account_mark: str) -> None:
        self.client, self.account_mark = client, account_mark
        self.ledger = SpotLedger()
        self.heard: dict[str, Notice] = {}  # by number: notices of orders nobody knows, of one day
        self._heard_day: date | None = None
        self._searches: dict[str, Search] = {}
        self._before: dict[str, Before] = {}
        self._free: dict[str, Decimal] = {}
        self._vanished: dict[str, int] = {}  # intent id -> when its rest was gone without a reason
        self.ways: set[str] = set()  # how lists word where our orders were entered
        self.listed: dict[str, tuple[int, int]] = {}  # intent id -> last shown when, at which price

    # --- sending ------------------------------------------------------------------------

    async def submit(self, intent: Intent, veto: Callable[[], str]) -> OrderAnswer:
        """Send the order: ONE attempt."""
        if intent.kind not in TRADE_KINDS:
            return OrderAnswer(Outcome.NOT_SENT, text=f"no {intent.kind} at Kiwoom")
        order = self.ledger.orders.get(intent.intent_id)
        asset = "KRW" if intent.side is Side.BUY else intent.symbol
        if order and asset in self._free:
            self._before[intent.intent_id] = Before(
                self._free[asset], footprint(self.ledger, order)
            )
        tr = kiwoom.BUY if intent.side is Side.BUY else kiwoom.SELL
        lane = LANE_EXIT if intent.purpose is Purpose.EXIT else LANE_ORDER
        return await self._post(tr, order_body(intent), lane, veto)

    async def _post(
        self, tr: str, body: Mapping[str, str], lane: int, veto: Callable[[], str] | None
    ) -> OrderAnswer:
        try:
            reply = await self.client.order(tr, body, lane, veto)
        except NotSent as error:
            return OrderAnswer(Outcome.NOT_SENT, text=str(error))
        except NoAnswer as error:
            return OrderAnswer(Outcome.UNKNOWN, text=str(error))
        answer = kiwoom.classify(reply)
        return answer._replace(text=self.client.redact(answer.text))

    async def test(self, intent: Intent) -> OrderAnswer:
        """Say what can be said without an order: Kiwoom has no test of one."""
        if intent.kind not in TRADE_KINDS:
            return OrderAnswer(Outcome.REFUSED, text=f"no {intent.kind} at Kiwoom")
        return OrderAnswer(Outcome.ACCEPTED)

    async def cancel(self, order: SpotOrder) -> OrderAnswer:
        """Ask for the end of all that is left; accepted means asked, not ended."""
        if not order.order_id:
            return OrderAnswer(Outcome.NOT_SENT, text="its number is not known")
        body = {"dmst_stex_tp": EXCHANGE, "orig_ord_no": order.order_id, "stk_cd": order.intent.symbol, "cncl_qty": "0"}  # fmt: skip
        return await self._post(kiwoom.CANCEL, body, LANE_EXIT, None)

    async def change(self, order: SpotOrder, price: Decimal, rest: Decimal, veto: Callable[[], str]) -> OrderAnswer:  # fmt: skip
        """Ask for another price of all that is left: ONE attempt. The answer has the new number."""
        body = {
            "dmst_stex_tp": EXCHANGE, "orig_ord_no": order.order_id, "stk_cd": order.intent.symbol,
            "mdfy_qty": plain(rest), "mdfy_uv": plain(price), "mdfy_cond_uv": "",
        }  # fmt: skip
        lane = LANE_EXIT if order.intent.purpose is Purpose.EXIT else LANE_ORDER
        return await self._post(kiwoom.CHANGE, body, lane, veto)

    # --- looking ------------------------------------------------------------------------

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.client.http.clock.wall_ms() / 1_000, UTC)

    async def look(self, intent: Intent, lists: bool) -> VOrder | Absent:
        """Look for an order in the lists of its day: by number, else by likeness.

        Raises:
            MayBeIt: a row or a notice may be it; why nobody can tell, in its text.
            NoAnswer: what was seen proves nothing; why, in its text.
        """
        order, asked = self.ledger.orders[intent.intent_id], self.client.http.clock.wall_ms()
        rows = await self.client.day_rows(intent.at)
        if order.numbers:
            return await self._known(order, rows, asked)
        return await self._search(order, rows, lists, asked)

    async def _known(self, order: SpotOrder, rows: Mapping[str, kiwoom.Row], asked_ms: int) -> VOrder:  # fmt: skip
        """Return an order whose number is known, with its changes."""
        intent, now = order.intent, self._now()
        chain = chain_of(order.numbers, rows, {}, intent.kind in OWN_END)
        if chain is None:
            raise NoAnswer(f"the list does not show {order.order_id}")
        over = is_over(intent, now)
        if chain.filled and not over:
            fills = await self.client.fills(intent.symbol)
            chain = chain_of(order.numbers, rows, fills, intent.kind in OWN_END) or chain
        self.listed[intent.intent_id] = (asked_ms, chain.price)
        self.ways |= ways_of(rows, order.numbers)
        return view_of(order, chain, over, self._settled(order, chain, asked_ms))

    def _settled(self, order: SpotOrder, chain: Chain, asked_ms: int) -> bool:
        """Tell whether a rest that is gone without a reason has been so for long."""
        key = order.intent.intent_id
        if chain.rest or chain.ended:
            self._vanished.pop(key, None)
            return False
        return asked_ms - self._vanished.setdefault(key, asked_ms) >= SETTLE_MS

    async def _search(
        self, order: SpotOrder, rows: dict[str, kiwoom.Row], late: bool, asked_ms: int
    ) -> VOrder | Absent:
        """Look for an order without a number; Absent only when everything agrees."""
        intent, over = order.intent, is_over(order.intent, self._now())
        known = known_numbers(self.ledger, day_of(intent))
        if missing := set(known) - set(rows):
            self._begin_anew(order)
            raise NoAnswer(f"the list does not show {min(missing)}, which we know")
        if not over:
            for number, row in (await self.client.open_rows()).items():
                rows.setdefault(number, row)
        self.ways |= ways_of(rows, known)
        if not self.ways:
            await self._learn_ways(order)
        free = strangers(rows, known, self.ways)
        sending = [o for o in self.ledger.orders.values() if o.status is _S.SUBMITTING and o is not order]  # fmt: skip
        free = [row for row in free if not any(fits(o.intent, row, window_s(o)) for o in sending)]
        verdict = judge(order, free, self.ledger, asked_ms, self.ways)
        if verdict.bound:
            return await self._bind(order, verdict.bound.number, rows, asked_ms)
        if verdict.unclear:
            self._begin_anew(order)
            raise MayBeIt(verdict.unclear)
        return await self._absent(order, rows, bool(known), late, asked_ms)

    async def _learn_ways(self, order: SpotOrder) -> None:
        """Learn from the newest day before how lists word where our orders were entered."""
        day = day_of(order.intent)
        before = [o.intent.at for o in self.ledger.orders.values() if o.numbers and day_of(o.intent) < day]  # fmt: skip
        if before:
            at = max(before)
            known = known_numbers(self.ledger, at.astimezone(KST).date())
            self.ways |= ways_of(await self.client.day_rows(at), known)

    async def _bind(
        self, order: SpotOrder, number: str, rows: Mapping[str, kiwoom.Row], asked_ms: int
    ) -> VOrder:
        """Return a row as this order: from now on its number is known."""
        chain = chain_of([number], rows, {}, order.intent.kind in OWN_END)
        if chain is None:
            raise NoAnswer(f"the list does not show {number}")
        if chain.filled and not is_over(order.intent, self._now()):
            fills = await self.client.fills(order.intent.symbol)
            chain = chain_of([number], rows, fills, order.intent.kind in OWN_END) or chain
        self._searches.pop(order.intent.intent_id, None)
        self.heard.pop(number, None)
        return view_of(order, chain, is_over(order.intent, self._now()), False)

    async def _absent(
        self, order: SpotOrder, rows: Mapping[str, kiwoom.Row], canary: bool, late: bool, asked_ms: int
    ) -> VOrder | Absent:  # fmt: skip
        """Weigh a list without a candidate together with notices and the account."""
        key = order.intent.intent_id
        search = self._searches.setdefault(key, Search())
        search.clean += 1
        order.absents = search.clean - 1  # complete lists in a row; the desk counts this one
        named = [each for number, each in self.heard.items() if number not in rows
                 and fits(order.intent, row_of(each), window_s(order))]  # fmt: skip
        if not late and not named:
            return Absent("no row fits")
        witness = await self._witness(order)
        if len(named) == 1 and witness is True:
            notice = named[0]
            self.heard.pop(notice.number)
            return self._from_notice(order, notice, OrderSeen.WORKING)
        if named:
            raise MayBeIt("a notice named " + ", ".join(sorted(each.number for each in named)))
        if witness is True:
            raise NoAnswer("the account moved by its size")
        aged = order.ended_ms is not None and asked_ms - order.ended_ms >= BLIND_AFTER_MS
        if witness is None and not (canary and aged and search.clean >= BLIND_LISTS):
            raise NoAnswer("nothing to compare the account with")
        return Absent(f"{search.clean} complete lists without it")

    def _begin_anew(self, order: SpotOrder) -> None:
        """A list that is not complete, or shows what may be the order: none is in a row with it."""
        self._searches.pop(order.intent.intent_id, None)
        order.absents = 0

    async def _witness(self, order: SpotOrder) -> bool | None:
        """Tell whether the account moved by the size of an order; None: nothing to compare with."""
        before = self._before.get(order.intent.intent_id)
        if before is None:
            return None
        others = footprint(self.ledger, order)
        if order.intent.side is Side.BUY:
            free = Decimal((await self.client.deposit()).free)
        else:
            held = {each.symbol: each.free for each in await self.client.holdings()}
            free = Decimal(held.get(order.intent.symbol, 0))
        return moved(order, before, free, others)

    @staticmethod
    def _from_notice(order: SpotOrder, notice: Notice, seen: OrderSeen) -> VOrder:
        intent = order.intent
        fees = sorted_fees({"KRW": Decimal(notice.fees)}) if notice.filled else ()
        return VOrder(
            kiwoom.VENUE, intent.symbol, intent.client_id, notice.number, seen, intent.side,
            intent.quantity, None, Decimal(notice.filled),
            Decimal(notice.amount if notice.filled else 0), fees, True, None, notice.state,
        )  # fmt: skip

    # --- notices ------------------------------------------------------------------------

    def hear(self, notice: Notice) -> tuple[SpotOrder | None, VOrder | None]:
        """Return the order a notice is of, and what it says of it; None: unknown, or look instead.

        A fill's notice is exact: quantity less rest, and the won so far. Everything else (a cancel, a
        change, a figure that cannot be) is a reason to look, not a figure.
        """
        today = self._now().astimezone(KST).date()
        if today != self._heard_day:
            self.heard, self._heard_day = {}, today
        order = known_numbers(self.ledger, today).get(notice.number)
        if order is None:
            self.heard.pop(notice.number, None)
            self.heard[notice.number] = notice
            while len(self.heard) > MOST_HEARD:
                del self.heard[next(iter(self.heard))]
            parent = known_numbers(self.ledger, today).get(notice.original)
            return parent, None
        if len(order.numbers) > 1 or notice.original:
            return order, None
        if notice.refused and not notice.amount and not order.filled:
            return order, self._from_notice(order, notice, OrderSeen.REJECTED)
        if not notice.filled or not plausible(order.intent, notice):
            return order, None
        whole = notice.filled == order.intent.quantity
        return order, self._from_notice(order, notice, OrderSeen.FILLED if whole else OrderSeen.WORKING)  # fmt: skip

    # --- before the wire ----------------------------------------------------------------

    async def rules(self, symbol: str) -> Rules | None:
        """Return the rules of a stock for today; None: Kiwoom knows no such stock."""
        try:
            stock = await self.client.stock(symbol)
        except KiwoomRefused as refusal:
            if refusal.act == kiwoom.STOCK_WRONG:
                return None
            raise
        return Rules(
            Market(kiwoom.VENUE, symbol, symbol, "KRW"), kiwoom.TICKS, Decimal(1), Decimal(1),
            min_price=Decimal(stock.lower), max_price=Decimal(stock.upper),
            fee=kiwoom.FEE[self.client.world.name], tradable=stock.last > 0,
        )  # fmt: skip

    async def balances(self) -> tuple[VBalance, ...]:
        """Return won and shares: free, and what is bound in orders."""
        money = await self.client.deposit()
        found = [VBalance("KRW", Decimal(money.free), Decimal(max(0, money.total - money.free)))]
        found += [
            VBalance(each.symbol, Decimal(each.free), Decimal(max(0, each.held - each.free)))
            for each in await self.client.holdings()
        ]
        return tuple(found)

    async def free(self) -> dict[str, Decimal]:
        """Return free won and shares; remembered as what an order that leaves next is compared with."""
        self._free = {each.asset: each.free for each in await self.balances()}
        return dict(self._free)

    async def quote(self, symbol: str) -> VQuote:
        """Return the best bid and ask."""
        return await self.client.quote(symbol)

    async def set_clock(self) -> None:
        """No request is signed with a time; nothing to set."""


def plausible(intent: Intent, notice: Notice) -> bool:
    """Tell whether a fill's notice can be of this order: stock, side, size, price on the right side."""
    if notice.symbol != intent.symbol or Decimal(notice.quantity) != intent.quantity:
        return False
    if notice.side not in (intent.side, None) or notice.filled > notice.quantity:
        return False
    if intent.price is None:
        return True
    bound = int(intent.price) * notice.filled
    return notice.amount <= bound if intent.side is Side.BUY else notice.amount >= bound


# --- the desk ---------------------------------------------------------------------------


class KiwoomDesk(Desk):
    """The desk of an account: follows new numbers of changed orders, takes notices."""

    def __init__(self, port: KiwoomOrders, *given: Any, **more: Any) -> None:
        super().__init__(port, *given, **more)
        self.kiwoom = port
        self._unshown: dict[
            str, int
        ] = {}  # changes without an answer -> since when they are looked for
        port.ledger = self.ledger

    def notice(self, notice: Notice) -> None:
        """Take a notice of the stream: book what it proves, look where it proves nothing."""
        order, seen = self.kiwoom.hear(notice)
        if seen is not None:
            self.take(seen)
        elif order is not None:
            self._next_look[order.intent.intent_id] = 0
        else:
            for each in self.ledger.orders.values():
                if each.status is _S.UNKNOWN and each.intent.symbol == notice.symbol:
                    self._next_look[each.intent.intent_id] = 0

    def _answered(self, intent: Intent, answer: OrderAnswer) -> None:
        """Take an answer; notices of its number that came before it follow."""
        super()._answered(intent, answer)
        if early := self.kiwoom.heard.pop(answer.order_no, None):
            self.notice(early)

    def take(self, seen: VOrder) -> None:
        """Take a view of an order; a newer number of it means that it was changed."""
        intent_id = self.ledger.by_client.get(seen.client_id)
        order = self.ledger.orders.get(intent_id or "")
        if order and order.numbers and seen.order_id and seen.order_id not in order.numbers:
            if order.open and order.status not in (_S.SUBMITTING, _S.REPLACE_PENDING):
                shown = self.kiwoom.listed.get(order.intent.intent_id, (0, 0))[1]
                price = Decimal(shown) if shown else order.asked_price or order.price
                self._write([self._replaced(order, seen.order_id, price)])
            seen = seen._replace(order_id="")
        super().take(seen)

    def _replaced(self, order: SpotOrder, number: str, price: Decimal | None) -> Update:
        now = self._clock.wall_ms()
        return Update(order.intent.intent_id, _E.REPLACED, now, number, price=price)

    async def settle_as(self, order: SpotOrder, number: str) -> str:
        """Believe the owner that a number is a quarantined order; why it cannot be, "" when it is."""
        row = (await self.kiwoom.client.day_rows(order.intent.at)).get(number)
        if row is None:
            return "s_unknown"
        if number in known_numbers(self.ledger, day_of(order.intent)):
            return "s_ours"
        if not fits(order.intent, row, float("inf")):
            return "s_other"
        self._write([Update(order.intent.intent_id, _E.FOUND, self._clock.wall_ms(), number)])
        await self.look(order)
        return ""

    # --- changing a price ---------------------------------------------------------------

    async def judge_change(self, order: SpotOrder, price: Decimal) -> tuple[str, ...]:
        """Return what speaks against another price: the rules of a new order in the place of this one."""
        rules = await self.port.rules(order.intent.symbol)
        rest = minus(order.intent.quantity or ZERO, order.filled)
        if rules is None or order.intent.price is None or rest <= 0:
            return ("unknown_market",)
        wish = replace(order.intent, price=price, quantity=rest)
        free = dict(await self.port.free())
        asset = "KRW" if order.intent.side is Side.BUY else order.intent.symbol
        freed = order.reserve if order.intent.side is Side.BUY else rest
        free[asset] = plus(free.get(asset, ZERO), freed)
        quote = await self.port.quote(order.intent.symbol)
        age = (self._clock.mono_ns() - quote.seen_ns) // 1_000_000
        facts = Facts(rules, quote.bid, quote.ask, age, free, self._clock.wall_ms())
        without = SpotLedger()
        old = copy.copy(order)
        old.status = _S.CANCELLED  # its fills count, its reserve does not
        without.orders = {**self.ledger.orders, order.intent.intent_id: old}
        without.level = self.ledger.level
        return tuple(refusals(wish, facts, without, self.limits()))

    async def change(self, intent_id: str, price: Decimal) -> SpotOrder | Refused:
        """Ask for another price of what is left, once; an unknown outcome is looked for, not sent again."""
        order = self.ledger.orders[intent_id]
        if order.status not in RESTING:
            return order
        against = await self.judge_change(order, price)
        if against:
            return Refused(against)
        if order.status not in RESTING:  # it moved while the rules were asked
            return order
        rest = minus(order.intent.quantity or ZERO, order.filled)
        self._write([Update(intent_id, _E.REPLACE_SENT, self._clock.wall_ms(), price=price)])
        sent: list[int] = []

        def veto() -> str:
            if sent or order.status is not _S.REPLACE_PENDING:
                return "it was sent already"
            sent.append(1)
            return ""

        try:
            answer = await self.kiwoom.change(order, price, rest, veto)
        except BotError as error:
            answer = OrderAnswer(Outcome.UNKNOWN, text=type(error).__name__)
        self._change_answered(order, answer)
        return order

    def _change_answered(self, order: SpotOrder, answer: OrderAnswer) -> None:
        intent_id, now = order.intent.intent_id, self._clock.wall_ms()
        self._next_look[intent_id] = 0
        if order.status is not _S.REPLACE_PENDING:
            return
        if answer.outcome is Outcome.ACCEPTED:
            self._write([self._replaced(order, answer.order_no, order.asked_price)])
            return
        event = {Outcome.REFUSED: _E.REFUSED, Outcome.NOT_SENT: _E.NOT_SENT}.get(answer.outcome, _E.NO_ANSWER)  # fmt: skip
        note = self.redact(f"{answer.code} {answer.text}".strip()[:200])
        self._write([Update(intent_id, event, now, note=note)])

    def rebuild(self, *given: Any) -> None:
        """Take every row in; a change that was under way when the program died is looked for."""
        super().rebuild(*given)
        now = self._clock.wall_ms()
        pending = [o for o in self.ledger.orders.values() if o.status is _S.REPLACE_PENDING]
        self._write(
            [Update(o.intent.intent_id, _E.NO_ANSWER, now, note="restart") for o in pending]
        )

    async def look(self, order: SpotOrder) -> None:
        """Look at one order; a change that the lists do not show for three minutes was not taken."""
        asked, key = self._clock.wall_ms(), order.intent.intent_id
        await super().look(order)
        if order.status is not _S.REPLACE_UNKNOWN:
            self._unshown.pop(key, None)
            return
        since = self._unshown.setdefault(key, asked)
        if asked - since >= SETTLE_MS and self.kiwoom.listed.get(key, (0, 0))[0] >= asked:
            self._write([Update(key, _E.STILL_WORKING, self._clock.wall_ms())])
