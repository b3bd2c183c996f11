"""`python -m venues orders`: list, place, cancel, resolve, level, pin. A dry run unless --send is given."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kis_realtime_trading import (
    RESTING,
    BadData,
    Both,
    Fault,
    KillLevel,
    OrderStatus,
    Outcome,
    SettingsError,
    Side,
    in_language,
)
from venues import kiwoom
from venues.accounts import (
    Account,
    account_of,
    desk_of,
    sending_faults,
)
from venues.common import Kind, Purpose, amount, minus, plain
from venues.kiwoom_orders import KiwoomDesk
from venues.manager import venues_in
from venues.monitor import Hosts
from venues.orders import RAMP_DAYS, Desk, Refused, Wish
from venues.overview import orders_table as table_of
from venues.settings import Environment, VenueSettings
from venues.spot import SpotLedger, SpotOrder
from venues.spot_venue import order_line, short_id
from venues.venue import Context
from venues.wire import Clock
from venues.words import REASONS, say, status_word

CHANGING = (OrderStatus.REPLACE_PENDING, OrderStatus.REPLACE_UNKNOWN)
KINDS = {"limit": Kind.LIMIT, "ioc": Kind.LIMIT_IOC, "post": Kind.POST_ONLY}


# --- what is shown ----------------------------------------------------------------------


def orders_table(ledger: SpotLedger, account: Account, language: str) -> Table:
    """Return the orders of one account, the newest last."""
    lines = [order_line(order, account.use) for order in ledger.orders.values()]
    return table_of(lines, language, Console().width, Clock().wall_ms())


def _print_refused(desk: Desk, codes: tuple[str, ...], language: str) -> None:
    """Say why an order was refused, a line each."""
    print(say("o_refused", language))
    for code in codes:
        print(f"  - {in_language(REASONS[code], language)}")
    if desk.ramped and any(code.startswith("max_") for code in codes):
        print(say("o_ramp", language, days=RAMP_DAYS))


def tell(language: str) -> Callable[[str, SpotOrder], None]:
    """Return what tells the user of an order that needs eyes."""
    return lambda code, order: print(say(f"t_{code}", language, id=short_id(order)))


# --- commands ---------------------------------------------------------------------------


def wish_of(options: argparse.Namespace) -> Wish:
    """Return the wish that was typed. Raises SettingsError."""
    side = Side.BUY if options.side == "buy" else Side.SELL
    try:
        quantity, money, price = (
            None if text is None else amount(text)
            for text in (options.quantity, options.money, options.price)
        )
    except BadData:
        raise SettingsError([Fault("--quantity, --money, --price", Both("no number", "숫자가 아님"), "0.001")]) from None  # fmt: skip
    if options.kind == "market" and side is Side.BUY and options.venue == kiwoom.VENUE:
        raise SettingsError([Fault("--kind", options.kind, Both("limit or ioc for a buy at Kiwoom: its cost must have a bound", "키움 매수는 limit이나 ioc. 시장가 매수는 금액을 한정할 수 없습니다"))])  # fmt: skip
    if options.kind == "market":
        kind = Kind.BUY_FOR if side is Side.BUY else Kind.SELL_AT_MARKET
        right = (money is not None) == (side is Side.BUY) and (quantity is None) == (side is Side.BUY) and price is None  # fmt: skip
        text = Both("market: --money for a buy, --quantity for a sell, no --price", "시장가: 매수는 --money, 매도는 --quantity, --price 없이")  # fmt: skip
    else:
        kind = KINDS[options.kind]
        if kind is Kind.POST_ONLY and options.venue == kiwoom.VENUE:
            raise SettingsError([Fault("--kind", options.kind, Both("limit, ioc, market at Kiwoom", "키움에서는 limit, ioc, market"))])  # fmt: skip
        right = quantity is not None and price is not None and money is None
        text = Both("--quantity and --price", "--quantity와 --price")
    if not right or any(each is not None and each <= 0 for each in (quantity, money, price)):
        raise SettingsError([Fault("orders place", options.kind, text)])
    purpose = Purpose.ENTRY if side is Side.BUY else Purpose.EXIT
    cause = options.cause or f"typed {Clock().wall_ms()}"
    return Wish(options.symbol, side, kind, quantity, money, price, purpose, cause)


async def place(options: argparse.Namespace, account: Account, folder: Path) -> int:
    """Check an order, or send it once with --send."""
    language, wish = options.language, wish_of(options)
    if options.send and (faults := sending_faults(account, options.live)):
        raise SettingsError(faults)
    async with desk_of(account, folder, Clock(), tell(language)) as desk:
        if not options.send:
            return await _dry(desk, wish, language)
        placed = await desk.place(wish)
        if isinstance(placed, Refused):
            _print_refused(desk, placed.codes, language)
            return 1
        placed = await desk.resolved(placed.intent.intent_id, options.wait)
        Console().print(orders_table(_only(placed), account, language))
        if placed.note and placed.status in (OrderStatus.REJECTED, OrderStatus.NOT_SENT):
            print(placed.note)
        return 0 if placed.status not in (OrderStatus.REJECTED, OrderStatus.NOT_SENT) else 1


def _only(order: SpotOrder) -> SpotLedger:
    ledger = SpotLedger()
    ledger.orders[order.intent.intent_id] = order
    return ledger


async def _dry(desk: Desk, wish: Wish, language: str) -> int:
    """Ask rules and venue about an order; nothing is placed, nothing is written."""
    intent, against = await desk.judge(wish)
    if intent is None or against:
        _print_refused(desk, against, language)
        return 1
    answer = await desk.port.test(intent)
    shown = plain(intent.price) if intent.price else say("o_market", language)
    wanted = plain(intent.quantity or intent.funds or Decimal(0))
    side = say("o_buy" if intent.side is Side.BUY else "o_sell", language)
    print(f"{intent.venue} {intent.symbol} {side} {wanted} @ {shown}")
    if answer.outcome is Outcome.ACCEPTED:
        print(say("o_dry_rules" if intent.venue == kiwoom.VENUE else "o_dry_good", language))
        return 0
    why = desk.redact(f"{answer.code} {answer.text}".strip()) or answer.outcome
    print(say("o_dry_bad", language, why=why))
    return 1


def _find(ledger: SpotLedger, text: str) -> SpotOrder:
    wanted = "kb-" + text.removeprefix("kb-")
    found = [o for o in ledger.orders.values() if o.intent.client_id.startswith(wanted)]
    if len(found) != 1 or len(wanted) < 9:
        expected = Both("the id of one order, as `orders list` shows it", "`orders list`에 나오는 주문 하나의 id")  # fmt: skip
        raise SettingsError([Fault("orders cancel", text[:40], expected)])
    return found[0]


async def cancel(options: argparse.Namespace, account: Account, folder: Path) -> int:
    """Take one order back and look what became of it."""
    async with desk_of(account, folder, Clock(), tell(options.language)) as desk:
        order = _find(desk.ledger, options.id)
        await desk.cancel(order.intent.intent_id)
        await desk.resolved(order.intent.intent_id, options.wait)
        Console().print(orders_table(_only(order), account, options.language))
        return 0 if not order.open else 1


async def change(options: argparse.Namespace, account: Account, folder: Path) -> int:
    """Ask for another price of what is left of an order at Kiwoom; checked only without --send."""
    language = options.language
    try:
        price = amount(options.price)
    except BadData:
        raise SettingsError([Fault("--price", options.price[:40], Both("a price in won", "원 단위 가격"))]) from None  # fmt: skip
    if options.send and (faults := sending_faults(account, options.live)):
        raise SettingsError(faults)
    async with desk_of(account, folder, Clock(), tell(language)) as desk:
        if not isinstance(desk, KiwoomDesk):
            expected = Both("kiwoom; elsewhere cancel it and place another", "kiwoom. 다른 거래소는 취소한 뒤 새로 주문하십시오")  # fmt: skip
            raise SettingsError([Fault("orders change", account.venue, expected)])
        order = _find(desk.ledger, options.id)
        if order.status not in RESTING:
            Console().print(orders_table(_only(order), account, language))
            return 1
        if not options.send:
            if against := await desk.judge_change(order, price):
                _print_refused(desk, against, language)
                return 1
            rest = plain(minus(order.intent.quantity or Decimal(0), order.filled))
            print(say("o_change", language, id=short_id(order), rest=rest, price=f"{price:,}"))
            return 0
        changed = await desk.change(order.intent.intent_id, price)
        if isinstance(changed, Refused):
            _print_refused(desk, changed.codes, language)
            return 1
        loop = asyncio.get_running_loop()
        until = loop.time() + options.wait
        while order.status in CHANGING and loop.time() < until:
            await asyncio.sleep(0.25)
            await desk.resolve()
        Console().print(orders_table(_only(order), account, language))
        return 0 if order.status not in CHANGING and (order.price == price or not order.open) else 1


async def settle(options: argparse.Namespace, account: Account, folder: Path) -> int:
    """Say what became of an order that could not be found out. Sends nothing."""
    language = options.language
    async with desk_of(account, folder, Clock(), tell(language)) as desk:
        order = _find(desk.ledger, options.id)
        if order.status is not OrderStatus.QUARANTINED:
            expected = Both("an order to be looked at by you; another is still looked for, or known", "직접 확인이 필요한 주문. 나머지는 확인 중이거나 이미 확인되었습니다")  # fmt: skip
            raise SettingsError([Fault("orders settle", f"{short_id(order)} {status_word(order.status, language)}", expected)])  # fmt: skip
        if options.never:
            desk.settle(order)
        elif isinstance(desk, KiwoomDesk):
            number = options.number.zfill(7)
            if why := await desk.settle_as(order, number):
                print(say(why, language, number=number))
                return 1
        else:
            expected = Both("--never; here an order is found by its own id", "--never. 여기서는 자체 id로 주문을 찾습니다")  # fmt: skip
            raise SettingsError([Fault("--number", account.venue, expected)])
        Console().print(orders_table(_only(order), account, language))
        return 0


async def resolve(options: argparse.Namespace, account: Account, folder: Path) -> int:
    """Look at every open order until each is at rest or the time is over. Sends no order."""
    async with desk_of(account, folder, Clock(), tell(options.language)) as desk:
        loop = asyncio.get_running_loop()
        until = loop.time() + options.wait
        await desk.resolve()
        while desk.ledger.open_orders() and loop.time() < until:
            await asyncio.sleep(0.5)
            await desk.resolve()
        Console().print(orders_table(desk.ledger, account, options.language))
        return 0 if not desk.ledger.open_orders() else 1


async def level(options: argparse.Namespace, account: Account, folder: Path) -> int:
    """Move the kill switch of a venue; from REDUCE_ONLY on resting entries are taken back."""
    async with desk_of(account, folder, Clock(), tell(options.language)) as desk:
        desk.set_level(KillLevel(options.number), "typed")
        await desk.obey_level()
        await desk.resolve()
        print(say("o_level", options.language, level=KillLevel(options.number).name))
        return 0


async def run(
    options: argparse.Namespace, settings: VenueSettings, given: Environment, hosts: Hosts
) -> int:
    """Run one of the commands of `orders`."""
    if options.action == "list":
        return _list(options, settings, given, hosts)
    account = account_of(options.venue, settings, given, hosts)
    if options.action == "pin":
        names = ("max_order", "max_coin", "max_total", "max_day")
        limits = ", ".join(f"{name} {getattr(account.limits, name):,f}" for name in names)
        print(say("o_pin", options.language, limits=limits, pin=account.right_pin, venue=account.venue))  # fmt: skip
        return 0
    actions = {"place": place, "cancel": cancel, "change": change, "resolve": resolve, "settle": settle, "level": level}  # fmt: skip
    action: Any = actions[options.action]
    code: int = await action(options, account, settings.state_dir)
    return code


def _list(options: argparse.Namespace, settings: VenueSettings, given: Environment, hosts: Hosts) -> int:  # fmt: skip
    """Show what the journals of all venues say, in one table; asks nobody, locks nothing."""
    clock, width = Clock(), Console().width
    venues = venues_in(Context(settings, given, hosts, clock, print))
    if options.venue:
        account_of(options.venue, settings, given, hosts)  # says why there is none
        venues = {options.venue: venues[options.venue]}
    if not venues:
        print(say("o_none", options.language))
        return 1
    lines = [line for venue in venues.values() for line in venue.orders()]
    Console().print(table_of(lines, options.language, width, clock.wall_ms()))
    return 0
