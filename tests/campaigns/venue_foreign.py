"""Other people's clients against our simulated venues, each in an environment of its own.

    python tests/campaigns/venue_foreign.py --retries             # what the official Upbit SDK does when an answer is lost
    python tests/campaigns/venue_foreign.py --orders 200          # ccxt and our ports over one script of orders

Both are installed with pip into a temporary folder (or --folder, to keep it); nothing of them is used by
the bot. The simulated venue counts what is posted and holds the truth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import venv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from kis_realtime_trading import Outcome, Secret, Side  # noqa: E402
from venues import binance, upbit  # noqa: E402
from venues.binance_orders import BinanceOrders  # noqa: E402
from venues.common import Intent, Kind, OrderSeen, Purpose, VOrder  # noqa: E402
from venues.simulators.binance import BinanceSimulator  # noqa: E402
from venues.simulators.market import Market  # noqa: E402
from venues.simulators.server import Server  # noqa: E402
from venues.simulators.upbit import UpbitSimulator  # noqa: E402
from venues.spot import SpotOrder  # noqa: E402
from venues.upbit_orders import UpbitOrders  # noqa: E402
from venues.wire import Clock, Http, Pacer, Statistics, VenueTransport  # noqa: E402

SDK, CCXT = "upbit-sdk==1.1.0", "ccxt==4.5.90"
RETRIES = """
import json, sys
from upbit import Upbit
url, identifier, retries = sys.argv[1:]
client = Upbit(access_key="sim-upbit-access-key", secret_key="sim-upbit-secret-key", base_url=url)
if retries != "as it comes":
    client = client.with_options(max_retries=int(retries))
try:
    more = {"identifier": identifier} if identifier else {}
    order = client.orders.create(market="KRW-BTC", side="bid", ord_type="price", price="20000", **more)
    print(json.dumps({"answer": order.uuid}))
except Exception as error:
    print(json.dumps({"error": type(error).__name__}))
"""
SCRIPTED = """
import json, sys
import ccxt
venue, url = sys.argv[1:]
script = json.load(sys.stdin)
keys = {"upbit": ("sim-upbit-access-key", "sim-upbit-secret-key"),
        "binance": ("sim-binance-api-key", "sim-binance-secret-key")}[venue]
client = getattr(ccxt, venue)({"apiKey": keys[0], "secret": keys[1], "enableRateLimit": False})
client.set_sandbox_mode(False)
symbol, name, quote = ("BTC/KRW", "KRW-BTC", "KRW") if venue == "upbit" else ("BTC/USDT", "BTCUSDT", "USDT")
for key in list(client.urls["api"]):
    client.urls["api"][key] = url if venue == "upbit" else url + "/api/v3"
market = {"id": name, "symbol": symbol, "base": "BTC", "quote": quote, "baseId": "BTC", "quoteId": quote,
          "type": "spot", "spot": True, "active": True, "precision": {"amount": 1e-8, "price": 0.01},
          "limits": {"amount": {}, "price": {}, "cost": {}}, "info": {"orderTypes": ["LIMIT", "MARKET"]}, "contract": False, "swap": False,
          "future": False, "option": False, "margin": False, "linear": None, "inverse": None}
client.set_markets([market])
found = []
for each in script:
    params = {"clientOrderId": each["id"]}
    if each["kind"] == "ioc":
        params["timeInForce"] = "IOC" if venue == "binance" else "ioc"
    kind, amount, price = ("market", each["quantity"], None) if "market" in each["kind"] else ("limit", each["quantity"], each["price"])
    if each["kind"] == "market buy":
        amount = None
        params["quoteOrderQty" if venue == "binance" else "cost"] = float(each["money"])
    order = client.create_order(symbol, kind, each["side"], float(amount) if amount else 0, float(price) if price else None, params)
    order = client.fetch_order(order["id"], symbol)
    if order["status"] == "open":
        client.cancel_order(order["id"], symbol)
        order = client.fetch_order(order["id"], symbol)
    found.append({"status": order["status"], "filled": order["filled"], "cost": order["cost"],
                  "side": order["side"], "client": order["clientOrderId"] or order["info"].get("identifier")})
print(json.dumps(found))
"""


def python_with(package: str, folder: Path) -> Path:
    """Return an interpreter of its own with a package."""
    home = folder / package.partition("=")[0]
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", package], check=True)
    return python


async def child(python: Path, source: str, given: str, *arguments: str) -> Any:
    """Run a program of another environment; return the JSON it prints last."""
    process = await asyncio.create_subprocess_exec(
        str(python), "-c", source, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    out, _ = await process.communicate(given.encode())
    return json.loads(out.decode().strip().splitlines()[-1])


async def retries(folder: Path) -> int:
    """Lose the answers to one market buy of the SDK; show how often the venue saw it posted."""
    python, clock = python_with(SDK, folder), Clock()
    bad = 0
    for option, identifier, expected in (
        ("as it comes", "", (3, 3)), ("as it comes", "sdk-1", (3, 1)), ("0", "sdk-2", (1, 1)),
    ):  # fmt: skip
        core = UpbitSimulator(Market(), clock.wall_ms)
        server = Server(core, first_message=True)
        await server.start()
        core.lose = 9
        told = await child(
            python, RETRIES, "", f"http://127.0.0.1:{server.port}", identifier, option
        )
        seen, orders = core.posts[identifier], len(core.matching.by_client(identifier))
        print(f"{SDK}, retries {option}, identifier {identifier or 'none'}: posted {seen} times, {orders} orders, "
              f"it says {told}")  # fmt: skip
        bad += (seen, orders) != expected
        await server.stop()
    core = UpbitSimulator(Market(), clock.wall_ms)
    server = Server(core, first_message=True)
    await server.start()
    core.lose = 9
    port = port_of("upbit", f"http://127.0.0.1:{server.port}")
    answer = await port.submit(
        intent_of("upbit", script_of("upbit", 1, core)[0], clock), lambda: ""
    )
    print(f"ours: posted {sum(core.posts.values())} times, outcome {answer.outcome.value}")
    bad += sum(core.posts.values()) != 1 or answer.outcome is not Outcome.UNKNOWN
    await port.close()
    await server.stop()
    return int(bad > 0)


# --- 200 orders -------------------------------------------------------------------------

KINDS = {"limit": Kind.LIMIT, "ioc": Kind.LIMIT_IOC, "market buy": Kind.BUY_FOR,
         "market sell": Kind.SELL_AT_MARKET}  # fmt: skip
PARTS = ([(0, 100)], [(0, 40)], [])


def script_of(venue: str, count: int, core: Any) -> list[dict[str, str]]:
    """Return orders as texts: limits that fill, half fill or rest, IOC, markets."""
    rng, made = random.Random(5), []
    up = venue == "upbit"
    for number in range(count):
        kind = rng.choice(["limit", "limit", "ioc", "market buy", "market sell"])
        side = {"market buy": "buy", "market sell": "sell"}.get(kind) or rng.choice(["buy", "sell"])
        price = "88000000" if up else "62000.5"
        made.append({"id": f"kb-{number:024d}", "kind": kind, "side": side, "price": price,
                     "quantity": f"0.{rng.randint(100, 400):05d}",
                     "money": str(rng.randint(10_000, 90_000)) if up else str(rng.randint(10, 90))})  # fmt: skip
    core.matching.parts = lambda order: PARTS[order.number % 3]
    core.matching.start = dict.fromkeys(("KRW", "USDT", "BTC"), Decimal(10**12))
    return made


class Ours:
    """A port with the transport that it must close."""

    def __init__(self, port: Any, transport: VenueTransport) -> None:
        self.submit, self.look, self.cancel, self.close = port.submit, port.look, port.cancel, transport.close  # fmt: skip


def port_of(venue: str, base: str) -> Ours:
    """Return our port to a simulated venue."""
    module: Any = upbit if venue == "upbit" else binance
    transport, pacer = VenueTransport([]), Pacer(module.LIMITS)
    http = Http(transport, pacer, Statistics(), Clock(), module.hear_limits(pacer))
    if venue == "upbit":
        keys = Secret("sim-upbit-access-key"), Secret("sim-upbit-secret-key")
        return Ours(UpbitOrders(http, *keys, base=base), transport)
    keys = Secret("sim-binance-api-key"), Secret("sim-binance-secret-key")
    return Ours(BinanceOrders(http, *keys, base), transport)


def intent_of(venue: str, each: dict[str, str], clock: Clock) -> Intent:
    """Return a line of the script as we mean it."""
    kind, side = KINDS[each["kind"]], Side.BUY if each["side"] == "buy" else Side.SELL
    symbol, pair = ("KRW-BTC", "BTC/KRW") if venue == "upbit" else ("BTCUSDT", "BTC/USDT")
    money = Decimal(each["money"]) if kind is Kind.BUY_FOR else None
    quantity = None if kind is Kind.BUY_FOR else Decimal(each["quantity"])
    price = Decimal(each["price"]) if kind in (Kind.LIMIT, Kind.LIMIT_IOC) else None
    purpose = Purpose.ENTRY if side is Side.BUY else Purpose.EXIT
    at = datetime.fromtimestamp(clock.wall_ms() / 1_000, UTC)
    return Intent(each["id"], each["id"], venue, symbol, pair, side, kind, quantity, money, price,
                  purpose, "l", "s", at)  # fmt: skip


async def ours(venue: str, base: str, script: list[dict[str, str]]) -> list[VOrder]:
    """Place, look, cancel what rests, look again."""
    port, clock, found = port_of(venue, base), Clock(), []
    for each in script:
        intent = intent_of(venue, each, clock)
        answer = await port.submit(intent, lambda: "")
        assert answer.outcome is Outcome.ACCEPTED, answer
        seen = await port.look(intent, False)
        if isinstance(seen, VOrder) and seen.seen is OrderSeen.WORKING:
            await port.cancel(SpotOrder(intent))
            seen = await port.look(intent, False)
        assert isinstance(seen, VOrder)
        found.append(seen)
    await port.close()
    return found


SAME = {OrderSeen.FILLED: {"closed"}, OrderSeen.CANCELLED: {"canceled"},
        OrderSeen.EXPIRED: {"expired", "canceled"}}  # fmt: skip


def differences(mine: list[VOrder], theirs: list[dict[str, Any]]) -> list[str]:
    """Return where both readings of one script differ; ccxt gives floats, which are read by their text."""
    found = []
    for number, (one, other) in enumerate(zip(mine, theirs, strict=True)):
        filled, cost = (Decimal(repr(other[name] or 0)) for name in ("filled", "cost"))
        funds = one.filled_funds or Decimal(0)
        near = abs(funds - cost) <= Decimal("0.00001") * max(1, funds)
        good = other["status"] in SAME.get(one.seen, ()) and one.filled == filled and near
        if not good or other["client"] != one.client_id:
            found.append(f"{number}: {one.seen.value} {one.filled} {funds}, ccxt: {other}")
    return found


async def agree(count: int, folder: Path) -> int:
    """Let ccxt and our ports do the same script at two equal venues; compare every order."""
    python, clock, bad = python_with(CCXT, folder), Clock(), 0
    for venue in ("upbit", "binance"):
        kind: Any = UpbitSimulator if venue == "upbit" else BinanceSimulator
        cores = [kind(Market(), clock.wall_ms) for _ in range(2)]
        servers = [Server(core, first_message=venue == "upbit") for core in cores]
        for server in servers:
            await server.start()
        bases = [f"http://127.0.0.1:{server.port}" for server in servers]
        script, _ = (script_of(venue, count // 2, core) for core in cores)
        theirs = await child(python, SCRIPTED, json.dumps(script), venue, bases[0])
        mine = await ours(venue, bases[1], script)
        found = differences(mine, theirs)
        ends = {seen.value: sum(each.seen is seen for each in mine) for seen in SAME}
        print(f"{venue}: {len(mine)} orders, {len(found)} differ; {ends}")
        print("\n".join(found[:10]))
        bad += len(found)
        for server in servers:
            await server.stop()
    return int(bad > 0)


def main() -> int:
    """Run by the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--retries", action="store_true")
    parser.add_argument("--orders", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = (options.folder or Path(name)).resolve()
        codes = [asyncio.run(retries(folder))] if options.retries else []
        codes += [asyncio.run(agree(options.orders, folder))] if options.orders else []
    return max(codes, default=2)


if __name__ == "__main__":
    sys.exit(main())
