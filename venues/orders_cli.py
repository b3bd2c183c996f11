"""`python -m venues orders`: list, place, cancel, resolve, level, pin. A dry run unless --send is given."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import urllib.parse
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from kis_realtime_trading import (
    AccountLock,
    BadData,
    BotError,
    Both,
    Fault,
    Journal,
    KillLevel,
    OrderStatus,
    Outcome,
    Redactor,
    Secret,
    SettingsError,
    Side,
    in_language,
)
from venues import binance, upbit
from venues.binance_orders import HOSTS as BINANCE_HOSTS
from venues.binance_orders import BinanceOrders
from venues.board import SEOUL, WIDE
from venues.common import Kind, Purpose, amount, plain
from venues.monitor import Hosts
from venues.orders import RAMP_DAYS, Desk, OrderPort, Refused, Wish
from venues.settings import SECRETS, Environment, MoneyLimits, VenueSettings
from venues.spot import SpotLedger, SpotLimits, SpotOrder, entry_of
from venues.upbit_orders import UpbitOrders
from venues.wire import Clock, Http, Pacer, Statistics, VenueTransport
from venues.words import REASONS, STATUS_WORDS, say

VENUES = {upbit.VENUE: SECRETS[:2], binance.VENUE: SECRETS[2:4]}
SENDING = {upbit.VENUE: ("live",), binance.VENUE: ("testnet", "demo", "live")}
SHOWN_ID = 11  # letters of a client id: enough to name it
KINDS = {"limit": Kind.LIMIT, "ioc": Kind.LIMIT_IOC, "post": Kind.POST_ONLY}


class Account(NamedTuple):
    """One venue as the settings mean it."""

    venue: str
    use: str
    limits: SpotLimits
    keys: tuple[Secret, Secret]
    base: str
    pin: str  # what stands in the settings
    secrets: tuple[Secret, ...]  # of every venue: an answer may echo any

    @property
    def right_pin(self) -> str:
        """Return the pin of this key and these limits: it changes with either."""
        said = "|".join((self.venue, self.keys[0].fingerprint(), str(self.limits)))
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def file(self, folder: Path) -> Path:
        """Return the journal: one a venue and world."""
        return folder / f"orders-{self.venue}-{self.use}.sqlite3"


def spot_limits(limits: MoneyLimits) -> SpotLimits:
    """Return the limits of the settings as the rules take them."""
    return SpotLimits(
        limits.max_order, limits.max_coin, limits.max_total, limits.max_day,
        limits.orders_a_minute, limits.collar_pct,
    )  # fmt: skip


def account_of(venue: str, settings: VenueSettings, given: Environment, hosts: Hosts) -> Account:
    """Return the account of a venue. Raises SettingsError: no orders are set up there."""
    section: Any = settings.upbit if venue == upbit.VENUE else settings.binance
    if section.use in ("off", "watch") or section.limits is None:
        expected = Both("dry, or where orders go: see venues.yaml.example", "dry 등 주문을 쓰는 값, venues.yaml.example 참고")  # fmt: skip
        raise SettingsError([Fault(f"{venue}.use", section.use, expected)])
    first, second = (given.keys[name] for name in VENUES[venue])
    base = hosts.upbit_rest if venue == upbit.VENUE else BINANCE_HOSTS[section.use]
    if hosts != Hosts():  # simulated ones
        base = hosts.upbit_rest if venue == upbit.VENUE else hosts.binance_rest
    return Account(venue, section.use, spot_limits(section.limits), (first, second), base, section.live_pin, tuple(given.secrets()))  # fmt: skip


def sending_faults(account: Account, live: bool) -> list[Fault]:
    """Return what keeps an order from being sent; empty: it may leave."""
    found = []
    if account.use not in SENDING[account.venue]:
        allowed = ", ".join(SENDING[account.venue])
        found.append(Fault(f"{account.venue}.use", account.use, Both(f"one of {allowed}, for --send", f"--send에는 {allowed} 중 하나")))  # fmt: skip
    if account.use == "live":
        if not live:
            found.append(Fault("--live", Both("nothing", "없음"), Both("--live, for real money", "실제 돈에는 --live")))  # fmt: skip
        if account.pin != account.right_pin:
            text = Both(
                f"the pin of this key and these limits: python -m venues orders pin {account.venue}",
                f"이 키와 한도의 핀: python -m venues orders pin {account.venue}",
            )
            found.append(
                Fault(f"{account.venue}.live_pin", Both("none or another", "없거나 다름"), text)
            )
    elif live:
        text = Both("live; --live is for real money only", "live. --live는 실제 돈에만 씁니다")
        found.append(Fault(f"{account.venue}.use", account.use, text))
    return found


def read_ledger(path: Path) -> SpotLedger:
    """Return the ledger of a journal, empty where there is none."""
    ledger = SpotLedger()
    if path.exists():
        journal = Journal(path, read_only=True)
        for row in journal.rows("intent", "request", "update", "level"):
            ledger.apply(entry_of(row.body))
        journal.close()
    return ledger


@asynccontextmanager
async def desk_of(
    account: Account, folder: Path, clock: Clock, tell: Callable[[str, SpotOrder], None]
) -> AsyncIterator[Desk]:
    """Open the desk of an account: lock, journal, port; close it again."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Simulated accounts have all the same key: there the folder is the account.
    place = str(folder) if account.base.startswith("http://127.0.0.1") else account.base
    lock = AccountLock(Secret(f"{place}:{account.keys[0].reveal()}"), folder)
    transport = VenueTransport([urllib.parse.urlsplit(account.base).netloc])
    journal = Journal(account.file(folder))
    try:
        module: Any = upbit if account.venue == upbit.VENUE else binance
        pacer = Pacer(module.LIMITS)
        http = Http(transport, pacer, Statistics(), clock, module.hear_limits(pacer))
        port: OrderPort
        if account.venue == upbit.VENUE:
            port = UpbitOrders(http, *account.keys, base=account.base)
        else:
            port = BinanceOrders(http, *account.keys, base=account.base)
            await port.set_clock()
        desk = Desk(port, journal, account.limits, clock, tell, account.use == "live")
        desk.redact = Redactor(account.secrets)
        desk.rebuild()
        yield desk
    finally:
        await transport.close()
        journal.close()
        lock.release()


# --- what is shown ----------------------------------------------------------------------


def orders_table(ledger: SpotLedger, account: Account, language: str) -> Table:
    """Return every order, the newest last."""
    table = Table(title=f"{account.venue} ({account.use})", box=box.SIMPLE, padding=(0, 0, 0, 1))
    heads = ["time", "symbol", "side", "wanted", "price", "status", "filled", "id"]
    heads += ["fees"] if Console().width >= WIDE else []
    for head in heads:
        table.add_column(say(f"o_{head}", language), no_wrap=True)
    for order in ledger.orders.values():
        intent = order.intent
        wanted = plain(intent.quantity or intent.funds or Decimal(0))
        side = say("o_buy" if intent.side is Side.BUY else "o_sell", language)
        fees = " ".join(f"{plain(paid)} {asset}" for asset, paid in sorted(order.fees.items()))
        cells = (
            f"{intent.at.astimezone(SEOUL):%m-%d %H:%M}", intent.symbol, side, wanted,
            plain(intent.price) if intent.price else "-", status_word(order.status, language),
            plain(order.filled), intent.client_id[:SHOWN_ID], fees or "-",
        )  # fmt: skip
        table.add_row(*cells[: len(heads)])
    return table


def status_word(status: OrderStatus, language: str) -> str:
    """Return a status for the user."""
    return STATUS_WORDS[status.value] if language == "ko" else status.value


def _print_refused(desk: Desk, codes: tuple[str, ...], language: str) -> None:
    """Say why an order was refused, a line each."""
    print(say("o_refused", language))
    for code in codes:
        print(f"  - {in_language(REASONS[code], language)}")
    if desk.ramped and any(code.startswith("max_") for code in codes):
        print(say("o_ramp", language, days=RAMP_DAYS))


def tell(language: str) -> Callable[[str, SpotOrder], None]:
    """Return what tells the user of an order that needs eyes."""
    return lambda code, order: print(
        say(f"t_{code}", language, id=order.intent.client_id[:SHOWN_ID])
    )


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
    if options.kind == "market":
        kind = Kind.BUY_FOR if side is Side.BUY else Kind.SELL_AT_MARKET
        right = (money is not None) == (side is Side.BUY) and (quantity is None) == (side is Side.BUY) and price is None  # fmt: skip
        text = Both("market: --money for a buy, --quantity for a sell, no --price", "시장가: 매수는 --money, 매도는 --quantity, --price 없이")  # fmt: skip
    else:
        kind = KINDS[options.kind]
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
        print(say("o_dry_good", language))
        return 0
    why = desk.redact(f"{answer.code} {answer.text}".strip()) or answer.outcome
    print(say("o_dry_bad", language, why=why))
    return 1


def _find(ledger: SpotLedger, text: str) -> SpotOrder:
    found = [o for o in ledger.orders.values() if o.intent.client_id.startswith(text)]
    if len(found) != 1 or len(text) < 6:
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
    action: Any = {"place": place, "cancel": cancel, "resolve": resolve, "level": level}[
        options.action
    ]
    code: int = await action(options, account, settings.state_dir)
    return code


def _list(options: argparse.Namespace, settings: VenueSettings, given: Environment, hosts: Hosts) -> int:  # fmt: skip
    """Show what the journals say; asks nobody, locks nothing."""
    shown = 0
    for venue in VENUES:
        if options.venue not in (None, venue):
            continue
        try:
            account = account_of(venue, settings, given, hosts)
        except BotError:
            if options.venue:
                raise
            continue
        Console().print(orders_table(read_ledger(account.file(settings.state_dir)), account, options.language))  # fmt: skip
        shown += 1
    if not shown:
        print(say("o_none", options.language))
    return 0 if shown else 1


def add_parser(commands: Any, common: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add `orders` and its commands."""
    text = "orders at Upbit and Binance; a dry run unless --send is given"
    actions = commands.add_parser("orders", help=text, description=text).add_subparsers(
        dest="action", required=True
    )

    def action(name: str, words: str, venue: bool = True) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = actions.add_parser(name, help=words, description=words)
        made.add_argument("venue", choices=tuple(VENUES), nargs=None if venue else "?")
        common(made)
        return made

    action("list", "what the journals say; asks nobody", venue=False)
    order = action("place", "check one order; with --send it leaves, once")
    order.add_argument("side", choices=("buy", "sell"))
    order.add_argument("symbol", help="KRW-BTC at Upbit, BTCUSDT at Binance")
    order.add_argument("--quantity", help="of the coin")
    order.add_argument("--money", help="what a market buy spends")
    order.add_argument("--price", help="of a limit order")
    order.add_argument("--kind", choices=("limit", "ioc", "post", "market"), default="limit")
    order.add_argument(
        "--cause", help="the same cause on the same day is the same order, sent once"
    )
    order.add_argument(
        "--send", action="store_true", help="send it; without this it is only checked"
    )
    order.add_argument("--live", action="store_true", help="with --send: real money")
    action("cancel", "take one order back").add_argument("id", help="as `orders list` shows it")
    action("resolve", "look what became of open orders; sends none")
    moved = action("level", "the kill switch: 0 on, 1 no entries, 2 take entries back as well")
    moved.add_argument("number", type=int, choices=(0, 1, 2))
    action("pin", "print the pin that real money needs in the settings")
