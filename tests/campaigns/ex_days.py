"""Two days with a corporate action in the night between them, drawn by the number.

Shares are bought in the afternoon and held over night. In the morning a stock has another price
scale, and perhaps another count of shares: split, reverse split, bonus, rights. The process goes on
or was started anew; the owner has shares of his own or none, and answers, or does not. days.py plays
one in four faulty days as such a pair.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from fractions import Fraction

import harness

import kis_realtime_trading as bot
from companions import simulator

ACTIONS = (  # what, its price and its count of shares against those of the evening
    ("split", Fraction(1, 2), Fraction(2)),
    ("split", Fraction(1, 5), Fraction(5)),
    ("split", Fraction(1, 10), Fraction(10)),
    ("reverse split", Fraction(5), Fraction(1, 5)),
    ("reverse split", Fraction(2), Fraction(1, 2)),
    ("bonus", Fraction(1, 2), Fraction(1)),
    ("bonus", Fraction(2, 3), Fraction(1)),
    ("rights", Fraction(17, 20), Fraction(1)),
    ("rights", Fraction(22, 25), Fraction(1)),
)
WORDS = ("", "", "scale", "scale", "keep")  # the owner's; "": he says nothing
OLD_SCALE = ("stop", "target", "trailing stop")  # reasons that rest on a level
SHARE = 0.25  # of the faulty days


@dataclass
class Night:
    """What happens between two days, and what the owner says of it."""

    action: simulator.ExDay
    word: str
    says_at: str
    restart: str  # when a new process begins on the second day, "": the old one goes on


class TwoDays(harness.Scripted):
    """Wants of each day what its own script says."""

    def __init__(self, by_day: Mapping[date, list[harness.Wish]]) -> None:
        super().__init__([])
        self.by_day = by_day

    def on_trade(self, view: bot.StrategyView, trade: bot.Trade) -> bot.OrderRequest | None:
        """Look into the script of the trade's day."""
        self.wishes = self.by_day[trade.ts_exchange.date()]
        return super().on_trade(view, trade)


def draws_one(number: int) -> bool:
    """Tell whether a faulty day of a number is a pair of days."""
    return random.Random(f"ex {number}").random() < SHARE


def moment(day: date, text: str) -> datetime:
    """Return HH:MM:SS of a day."""
    return datetime.combine(day, time.fromisoformat(text), bot.KST)


def make_pair(
    number: int, config: simulator.SimulatorConfig
) -> tuple[harness.World, TwoDays, Night]:
    """Make the two days of a number out of the settings and faults of its single day."""
    pick = random.Random(f"pair {number}")
    first = pick.choice([date(2026, 11, day) for day in (9, 10, 11, 16, 17, 18)])
    second = simulator.Calendar().next(first)
    symbol = pick.choice(config.symbols)
    _, price, shares = pick.choice(ACTIONS)
    action = simulator.ExDay(symbol, second, price, shares)
    his = {symbol: (pick.choice((10, 30)), 50_000)} if pick.random() < 0.3 else {}
    config = replace(config, day=first, ex_days=(action,), holdings=his)
    by_day = {
        first: [_wish(pick, 14, each, (0.9, 1.2)) for each in config.symbols],
        second: [_wish(pick, pick.randint(10, 14), pick.choice(config.symbols)) for _ in range(4)],
    }
    clock = f"{pick.randint(9, 13):02d}:{pick.randint(10, 59)}:00"
    restart = pick.choice(("", "", "07:00:00", "09:20:00"))
    night = Night(action, pick.choice(WORDS), clock, restart)
    settings = {
        "limits": {"max_data_age_s": 100, "losses_in_a_row": 20, "losses_in_a_row_all": 50},
        "flat_at": None,
        "on_corporate_action": pick.choice(("hold", "scale")),
    }
    world = harness.World(config, start="13:55:00", seed=number, settings=settings)
    return world, TwoDays(by_day), night


def _wish(
    pick: random.Random, hour: int, symbol: str, plan: tuple[float, float] = (0.97, 1.03)
) -> harness.Wish:
    at = f"{hour}:{pick.randint(0, 49):02d}:{pick.randint(0, 59):02d}"
    return harness.Wish(at, symbol, pick.choice((10, 20)), pick.choice((5, 3, 1)), plan)


async def play(world: harness.World, strategy: TwoDays, night: Night) -> bot.Trader:
    """Run the two days, the night between them and what the owner says."""
    driver = asyncio.create_task(world.network.drive())
    second = night.action.day

    async def to(text: str) -> None:
        await world.clock.sleep((moment(second, text) - world.clock.now()).total_seconds())

    try:
        trader = world.make_trader(strategy)
        run = asyncio.create_task(trader.run())
        await world.until("13:59:00")
        trader.feed(bot.Command("release", world.clock.now(), text="journal"))  # his shares are his
        if night.restart:
            await world.until("16:10:00")
            await harness.kill(run, trader)
            await to(night.restart)
            trader = world.make_trader(TwoDays(strategy.by_day))
            run = asyncio.create_task(trader.run())
        await to(night.says_at)
        if night.word:
            text = f"{night.action.symbol}={night.word}"
            trader.feed(bot.Command("levels", world.clock.now(), text=text))
        await to("16:10:00")
        trader.stop("the second day is over")
        await run
        return trader
    finally:
        driver.cancel()
        trader.journal.close()


def intents(world: harness.World) -> int:
    """Return how many orders both days meant."""
    journal = bot.Journal(world.folder / "journal.sqlite3", read_only=True)
    count = sum(1 for _ in journal.rows("intent"))
    journal.close()
    return count


def differences(world: harness.World, trader: bot.Trader) -> list[str]:
    """Compare ledger and books; the ledger forgets the orders of the first day, the rows do not."""
    journal = bot.Journal(world.folder / "journal.sqlite3", read_only=True)
    numbers = {json.loads(row.body).get("order_no", "-") for row in journal.rows("ledger")}
    journal.close()
    found = harness.differences(world.sim, trader.engine.core.ledger)
    known = {f"order {number} is not known" for number in numbers}
    return [each for each in found if each not in known]


def breaches(world: harness.World, trader: bot.Trader, night: Night) -> Iterator[str]:
    """Yield what must not be: a sale by a level of the old scale, an invented result."""
    journal = bot.Journal(world.folder / "journal.sqlite3", read_only=True)
    rows = list(journal.rows())
    journal.close()
    symbol, day = night.action.symbol, night.action.day.isoformat()
    seen, waits, odd, nets = False, False, False, {}
    held = 0
    for row in rows:
        body = json.loads(row.body)
        kind = body.get("type", "") if isinstance(body, dict) else ""
        if kind == "DayOpened" and body["day"] == day:
            held = trader_shares(rows, row.seq, symbol, trader)
        elif kind == "ActionSeen" and body["symbol"] == symbol:
            seen = waits = True
        elif kind == "ActionAnswered" and body["symbol"] == symbol:
            waits = False
        elif kind == "PositionAdjusted":
            odd = True
        elif row.kind == "day":
            nets[row.ref] = body["net"]
        elif row.kind == "intent" and row.at >= day and body["symbol"] == symbol:
            by_level = body["purpose"] == "exit" and body["reason"] in OLD_SCALE
            if by_level and held and (waits or not seen):
                yield f"{symbol} sold for {body['reason']} at a level of the old scale"
    books = world.sim.books()
    if not world.config.holdings and not odd and len(nets) == 2:
        off = sum(nets.values()) - books["realized_pnl_net_krw"]
        if abs(off) > 2:
            yield f"result: ours {sum(nets.values())}, theirs {books['realized_pnl_net_krw']}"


def trader_shares(rows: list[bot.JournalRow], before: int, symbol: str, trader: bot.Trader) -> int:
    """Return the shares of a stock that the rows before one make."""
    ledger = bot.Ledger(trader.bot.stock_fee_pct, trader.bot.fund_fee_pct)
    for row in rows:
        if row.seq < before and row.kind in bot.LEDGER_ROWS:
            bot.apply_row(ledger, row.kind, row.body)
    return ledger.position(symbol).quantity


def totals(world: harness.World, trader: bot.Trader, sound: bool) -> Iterator[str]:
    """Yield totals of the day that are not what REST tells (acml_vol); behind it, when frames lack."""
    for symbol, state in trader.engine.core.symbols.items():
        ours, theirs = state.builder.cum_volume, acml_vol(world.sim, symbol)
        if ours > theirs or (sound and ours != theirs):
            yield f"{symbol}: total of the day {ours}, REST {theirs}"


def acml_vol(sim: simulator.Simulator, symbol: str) -> int:
    """Return the volume of the day as the answer to a price question has it."""
    volume: int = sim.state()["stocks"][symbol]["volume"]
    return volume
