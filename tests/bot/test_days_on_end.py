"""Days on end: a trader of a second day against a new one, dense evenings and mornings, restarts."""

import asyncio
import contextlib
import json
import shutil
from datetime import date

import edge
import harness
import pytest
from compare import differences
from test_trader import SYMBOL, Life, wishes

import kis_realtime_trading as bot
from companions import replay

FUND, KOSDAQ = "069500", "247540"
MONDAY = date(2026, 11, 23)

# Days in virtual time take as long as the machine needs.
pytestmark = pytest.mark.timeout(300)

# What a trader keeps for its own use over a night, and what belongs to the world around it.
MAY_DIFFER = (
    ".agenda._asked_at*", ".agenda._took_s*", "._clock", ".rest.*", ".auth.*", ".market._client*",
    ".orders._client*", ".socket._auth*", ".socket.sessions", ".socket.*_s", ".socket._clean",
    ".socket.registrations*", ".socket._acknowledged*", ".socket._keyed*", ".socket._told_down",
    ".socket._connect", ".decoder._ciphers*", ".decoder._usual*", ".socket._decoder*", ".agenda.is_held",
    ".socket.deliver", ".socket.up", "._asked", ".socket._pings", ".socket._failure",
)  # fmt: skip


def ledger_of_rows(folder):
    """Return the ledger that a new process would rebuild."""
    journal = bot.Journal(folder / "journal.sqlite3", read_only=True)
    try:
        return harness.past_of(journal).ledger
    finally:
        journal.close()


async def to(life, moment):
    """Wait for a moment of any day."""
    await life.world.clock.sleep((moment - life.world.clock.now()).total_seconds())


class Afternoon(bot.TradingStrategy):
    """Buys each stock once a day as soon as it may, and keeps it over night when it is told to."""

    def __init__(self, plan=(0.99, 1.01)):
        super().__init__()
        self.done, self.plan = set(), plan

    def on_bar(self, view, bar):
        return None

    def on_trade(self, view, trade):
        key = (view.symbol, trade.ts_exchange.date())
        if key in self.done or view.position.quantity:
            return None
        self.done.add(key)
        price = bot.step_ticks(trade.price, view.fund, 3)
        low, high = (view.round_price(price * part, up=False) for part in self.plan)
        return view.buy(4, price, f"{key}", bot.ExitPlan(low, high), "afternoon")


def test_a_trader_of_a_second_day_equals_a_new_one():
    """After an evening that cut a question off, nothing but what a new process would find is kept."""

    async def story(life):
        hang = {
            "match": {"path": "inquire-price", "from": "15:30:20"},
            "effect": {"do": "lose", "how": "hang"},
        }
        life.sim.faults.add(hang)
        trader = life.world.make_trader(harness.Nothing())
        run = asyncio.create_task(trader.run())
        await life.world.until("15:31:25")
        trader.broker.want(bot.Ask("price", SYMBOL))  # it is on its way when the day ends
        await life.world.until("15:40:00")
        night = dict(trader._busy_since)
        life.sim.faults.clear()
        shutil.copytree(life.world.folder, life.world.folder / "copy")
        await to(life, edge.at("08:29:59", MONDAY))
        copy = bot.Journal(life.world.folder / "copy" / "journal.sqlite3")
        services = bot.Services(
            life.world.clock, life.network, life.network.connect, copy, life.world.folder
        )
        fresh = bot.Trader(trader.settings, harness.Nothing(), services, harness.past_of(copy))
        while trader.engine.core.session.day != MONDAY:
            await asyncio.sleep(0.001)
        fresh.broker.begin_day(MONDAY)
        found = differences(trader.broker, fresh.broker, MAY_DIFFER)
        found += differences(trader.inbox, fresh.inbox, ("._more",))
        kept = dict(trader.counts), dict(trader._busy_since), trader.inbox.lost
        fresh.journal.close()
        watched = trader.watchdog.told = []
        trader.watchdog.tell = watched.append
        await to(life, edge.at("08:40:00", MONDAY))
        fed = watched.count("WATCHDOG=1")
        await harness.kill(run, trader)
        return found, night, kept, fed

    life = Life(start="15:29:00", density=1.0)
    found, night, kept, fed = life.play(story)
    assert found == []
    assert night == {}
    assert kept == ({}, {}, 0)
    assert fed > 500


def test_the_status_says_that_a_day_is_over_and_that_the_next_is_none():
    """A Friday's evening, the Saturday, the Monday before its preparation."""

    async def story(life):
        trader, found = life.world.make_trader(harness.Nothing()), []
        run = asyncio.create_task(trader.run())
        for day, clock in ((20, "15:40:00"), (21, "12:00:00"), (23, "07:00:00")):
            await to(life, edge.at(clock, date(2026, 11, day)))
            found.append(bot.status_of(trader)["phase"])
        await harness.kill(run, trader)
        return found

    assert Life(start="15:29:00", density=1.0).play(story) == ["after", "closed", "waiting"]


def check_replays(folder):
    """Replay the recording of each day of a process, to the end of the process, row by row."""
    firsts = sorted((folder / "records").glob("*-0000.gz"))
    lengths = []
    for first in firsts:
        again = replay.replay(first, Afternoon())
        with contextlib.closing(bot.Journal(folder / "journal.sqlite3", read_only=True)) as kept:
            live = replay.live_rows(kept, again.header["journal_seq"])
        assert not again.torn and again.rows == live
        lengths.append(len(live))
    assert len(firsts) == 2 and lengths[0] > lengths[1] + 30 > 60


def test_two_days_in_one_process_equal_the_rows_and_the_books():
    """A fund, a KOSDAQ and a KOSPI stock: bought, held over night, sold, bought; each evening and morning.

    The recording of the second day replays by itself, row by row, as that of both days does.
    """
    seen = {}

    async def story(life):
        trader = life.world.make_trader(Afternoon())
        run = asyncio.create_task(trader.run())

        def check(name):
            rows = differences(trader.engine.core.ledger, ledger_of_rows(life.world.folder))
            books = [each for each in harness.differences(life.sim, trader.engine.core.ledger)
                     if "not known" not in each]  # fmt: skip
            held = {
                s: p.quantity for s, p in trader.engine.core.ledger.positions.items() if p.quantity
            }
            fills = trader.engine.core.ledger.today.fills
            seen[name] = rows, books, sorted(held), fills, set(trader.engine.core.holds)

        await life.world.until("14:49:00")
        check("afternoon")
        await life.world.until("15:45:00")
        check("evening")
        trades = trader.counts["Trade"]
        await to(life, edge.at("08:45:00", MONDAY))
        check("morning")
        await to(life, edge.at("09:12:00", MONDAY))
        check("second day")
        second = trader.counts["Trade"]
        dates = {type(state.last_trade) and state.last_trade.ts_exchange.date()
                 for state in trader.engine.core.symbols.values()}  # fmt: skip
        trader.stop("enough")
        await run
        trader.journal.close()
        check_replays(life.world.folder)
        return trades, second, dates

    limits = {"max_data_age_s": 60, "max_quote_age_s": 60, "max_orders_per_minute": 30}
    life = Life(
        start="14:40:00", symbols=(SYMBOL, FUND, KOSDAQ), density=8.0,
        settings={"limits": limits, "flat_at": None, "entry_timeout_s": 120},
    )  # fmt: skip
    life.world.record = True
    trades, second, dates = life.play(story)
    for name, (rows, books, _, _, _) in seen.items():
        assert (name, rows, books) == (name, [], [])
    assert seen["afternoon"][3] > 0
    assert seen["morning"][2] == seen["evening"][2] != []
    assert seen["second day"][3] > 0
    assert seen["second day"][4] == set()
    assert dates == {MONDAY}
    reports = [json.loads(row.body) for row in life.rows("day")]
    assert [each["trades"] for each in reports] == [trades, second]
    assert all(each["fills"] > 0 for each in reports)


def test_a_restart_with_a_fund_and_a_kosdaq_stock_keeps_the_whole_ledger():
    """Killed in the middle, with shares, resting orders and finished rounds: every field is rebuilt."""

    async def story(life):
        found = []
        for moment in ("09:27:00", "09:33:00", "09:39:00"):
            trader = life.world.make_trader(Afternoon((0.999, 1.001)))
            found.append(differences(trader.engine.core.ledger, ledger_of_rows(life.world.folder)))
            run = asyncio.create_task(trader.run(one_day=True))
            await life.world.until(moment)
            live = trader.engine.core.ledger
            await harness.kill(run, trader)
            found.append(differences(live, ledger_of_rows(life.world.folder)))
        trader = life.world.make_trader(harness.Nothing())
        run = asyncio.create_task(trader.run(one_day=True))
        await asyncio.sleep(90)
        found.append(harness.differences(life.sim, trader.engine.core.ledger))
        taxed = {
            order.intent.symbol: order.tax_krw
            for order in trader.engine.core.ledger.orders.values()
            if order.intent.side is bot.Side.SELL and order.filled_quantity
        }
        await life.stop(trader, run)
        return found, taxed

    limits = {
        "max_data_age_s": 60,
        "max_quote_age_s": 60,
        "max_orders_per_minute": 30,
        "losses_in_a_row": 20,
        "losses_in_a_row_all": 50,
    }
    life = Life(symbols=(SYMBOL, FUND, KOSDAQ), density=20.0, settings={"limits": limits})
    found, taxed = life.play(story)
    assert [each for each in found if each] == []
    assert taxed[FUND] == 0
    assert any(tax > 0 for tax in taxed.values())


def test_in_the_morning_the_list_of_the_day_before_tells_what_its_orders_became():
    """Killed while an entry rested, which filled then: its shares are ours on Monday, not the owner's."""

    async def story(life):
        life.sim.faults.add(
            {"match": {"side": "BUY"}, "effect": {"do": "no_fill", "seconds": 90}}
        )  # fmt: skip
        trader, run = await life.begin(wishes("14:43:00", plan=(0.8, 1.2)))
        await life.world.until("14:43:20")
        await harness.kill(run, trader)
        await to(life, edge.at("08:31:00", MONDAY))
        trader, run = await life.begin()
        await asyncio.sleep(30)
        ledger = trader.engine.core.ledger
        await harness.kill(run, trader)
        return ledger.position(SYMBOL).quantity, ledger.external, ledger.position(SYMBOL).plan

    settings = {"limits": {"max_data_age_s": 60, "max_quote_age_s": 60}}
    quantity, external, plan = Life(start="14:36:00", settings=settings).play(story)
    assert (quantity, external) == (5, {})
    assert plan is not None, "shares without a plan have no guard"
