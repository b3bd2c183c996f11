"""Scripted days on which the market, the exchange or the owner misbehaves."""

import asyncio
import json
from datetime import date, datetime
from typing import Any

import harness
import pytest

import kis_realtime_trading as bot
from companions import simulator

SYMBOL = "005930"


class Day:
    """What a scripted day left: the trader, the simulator's orders, the alerts that were said."""

    def __init__(self, wishes: list[harness.Wish], start: str = "09:45:00", **config: Any) -> None:
        until = config.pop("until", "10:40:00")
        withdraw = config.pop("withdraw", 0)
        settings = config.pop("settings", {})
        world = harness.World(
            simulator.SimulatorConfig(symbols=(SYMBOL,), density=20.0, **config),
            start=start,
            settings=settings,
        )

        async def play() -> bot.Trader:
            driver = asyncio.create_task(world.network.drive())
            trader = world.make_trader(harness.Scripted(wishes))
            run = asyncio.create_task(trader.run(one_day=True))
            if withdraw:
                await world.until("09:47:00")
                world.sim.transfer_cash(-withdraw)
            await world.until(until)
            trader.stop("the test is over")
            await run
            driver.cancel()
            return trader

        self.trader = harness.run_virtual(play())
        self.posts = world.network.posts
        self.orders = world.sim.books()["orders"]
        self.refusals = [o for o in self.orders if o["rejected_quantity"]]
        self.differences = harness.differences(world.sim, self.trader.engine.core.ledger)
        rows = list(self.trader.journal.rows())
        self.alerts = [
            (row.at[11:19], row.ref, json.loads(row.body)) for row in rows if row.kind == "alert"
        ]
        self.rows = rows
        self.trader.journal.close()
        world.close()

    def said(self, code: str) -> list[str]:
        """Return the times at which an alert was said."""
        return [at for at, ref, _ in self.alerts if ref == code]

    def times(self, side: str) -> list[str]:
        """Return when orders of one side reached the exchange."""
        return [o["time"][11:19] for o in self.orders if o["side"] == side]


def test_stop_during_a_volatility_interruption_waits_for_trading():
    """In the single-price phase nothing is sent; the exit goes as soon as trading goes on."""
    wishes = [
        harness.Wish("09:50:00", SYMBOL, 10, plan=(0.97, 1.2)),
        harness.Wish("09:59:58", SYMBOL, 5),
    ]
    event = {"at": "10:00", "type": "vi", "symbol": SYMBOL, "seconds": 120}
    day = Day(
        wishes,
        events=(event,),
        settings={"last_entry": "10:01", "flat_at": "10:01"},
        until="10:06:00",
    )
    during = [at for at in day.times("SELL") + day.times("BUY") if "10:00:00" <= at < "10:02:00"]
    assert during == []
    assert [at[:5] for at in day.times("SELL")] == ["10:02"]
    assert day.differences == []
    assert not day.refusals


def test_lower_limit_lock_is_told_and_does_not_spin():
    """Nobody buys: one order made stronger twice, then waiting, told, and again after an hour."""
    events = (
        {"at": "10:00", "type": "limit_down", "symbol": SYMBOL},
        {"at": "10:31", "type": "unlock", "symbol": SYMBOL},
    )
    day = Day([harness.Wish("09:50:00", SYMBOL, 10, plan=(0.97, 1.2))], events=events)
    sells = [body for path, body in day.posts if body.get("PDNO") == SYMBOL and "CNDT_PRIC" in body]
    changes = [path for path, _ in day.posts if path.endswith("order-rvsecncl")]
    assert (len(sells), len(changes)) == (2, 2)  # the buy, the sell, and two changes of it
    assert [at[:5] for at in day.said("exit_waits")] == ["10:01"]
    assert day.said("filled")[-1] >= "10:31:00"
    assert day.trader.engine.core.ledger.position(SYMBOL).quantity == 0
    assert day.differences == []


@pytest.mark.parametrize(
    ("event", "quiet_until"),
    [
        ({"at": "10:00", "type": "circuit_breaker"}, "10:30:00"),
        ({"at": "10:00", "type": "halt", "symbol": SYMBOL}, "10:40:00"),
    ],
)
def test_halted_market_gets_no_order(event, quiet_until):
    """During a circuit breaker or a halt neither entry nor exit is sent; afterwards the exit is."""
    events = (event, {"at": "10:40", "type": "resume", "symbol": SYMBOL})
    wishes = [
        harness.Wish("09:50:00", SYMBOL, 10, plan=(0.97, 1.2)),
        harness.Wish("10:05:00", SYMBOL, 5),
    ]
    day = Day(
        wishes,
        events=events,
        settings={"last_entry": "10:10", "flat_at": "10:10"},
        until="10:50:00",
    )
    assert not [at for at in day.times("BUY") + day.times("SELL") if "10:00:00" <= at < quiet_until]
    assert len(day.times("SELL")) == 1
    assert day.trader.engine.core.ledger.position(SYMBOL).quantity == 0
    assert day.differences == []


def test_held_stock_that_halts_is_told():
    """The owner hears of a halt that lasts, and of its end, while shares are held (real server)."""
    events = (
        {"at": "10:00", "type": "halt", "symbol": SYMBOL},
        {"at": "10:20", "type": "resume", "symbol": SYMBOL},
    )
    day = Day(
        [harness.Wish("09:50:00", SYMBOL, 10, plan=(0.9, 1.2))],
        events=events, environment="real", until="10:25:00",
    )  # fmt: skip
    assert [at[:5] for at in day.said("trouble")] == ["10:03"]
    assert [at[:5] for at in day.said("trouble_over")] == ["10:21"]


def test_exam_day_runs_one_hour_late():
    """On the exam day nothing leaves before 10:00 and entries end an hour later."""
    exam = date(2026, 11, 19)
    wishes = [
        harness.Wish(at, SYMBOL, 3, plan=(0.9, 1.2)) for at in ("09:59:00", "15:45:00", "15:55:00")
    ]
    morning = Day(wishes[:1], start="09:50:00", day=exam, until="10:10:00")
    assert [at >= "10:00:00" for at in morning.times("BUY")] == [True]
    evening = Day(wishes[1:], start="15:40:00", day=exam, until="16:32:00")
    assert ["15:45:00" <= at < "15:50:00" for at in evening.times("BUY")] == [True]
    assert evening.times("SELL")[0][:5] == "16:12"
    assert morning.differences == evening.differences == []


@pytest.mark.parametrize("environment", ["paper", "real"])
def test_unplanned_holiday_sends_nothing_and_says_so(environment):
    """No trade in five minutes is told; the real server's calendar is asked as well."""
    day = Day(
        [harness.Wish("09:00:00", SYMBOL, 3)],
        start="08:50:00", extra_holidays=(date(2026, 11, 20),), environment=environment,
        until="09:30:00",
    )  # fmt: skip
    assert day.posts == []
    assert day.said("no_trades") == ["09:05:00"]
    assert len(day.said("calendar_differs")) == (environment == "real")


def test_cash_withdrawn_by_the_owner_limits_the_next_order():
    """The entry is refused with the numbers, the difference is told and taken over."""
    day = Day([harness.Wish("09:55:00", SYMBOL, 10)], withdraw=9_500_000, until="10:02:00")
    assert day.posts == []
    assert len(day.said("cash_differs")) == 1
    [refusal] = [json.loads(row.body) for row in day.rows if row.kind == "refusal"]
    assert refusal["code"] == "CASH"
    assert day.differences == []


def test_owner_sells_the_bots_shares_by_phone():
    """The position follows, nothing is sold twice."""
    world = harness.World(
        simulator.SimulatorConfig(symbols=(SYMBOL,), density=20.0), start="09:20:00"
    )

    async def play() -> bot.Trader:
        driver = asyncio.create_task(world.network.drive())
        wishes = [harness.Wish("09:25:00", SYMBOL, 10, plan=(0.9, 1.2))]
        trader = world.make_trader(harness.Scripted(wishes))
        run = asyncio.create_task(trader.run(one_day=True))
        await world.until("09:27:00")
        world.sim.manual_order(SYMBOL, "SELL", 10, 0, "01")
        await world.until("09:29:00")
        trader.stop("the test is over")
        await run
        driver.cancel()
        return trader

    trader = harness.run_virtual(play())
    assert trader.engine.core.ledger.position(SYMBOL).quantity == 0
    assert harness.differences(world.sim, trader.engine.core.ledger) == []
    assert len(world.network.posts) == 1
    world.close()


def test_first_trading_day_of_a_year_opens_at_ten():
    """2026-01-02: sessions and clock settings agree."""
    session = bot.session_of(date(2026, 1, 2))
    assert session is not None, "no trading day"
    assert session.open == datetime(2026, 1, 2, 10, tzinfo=bot.KST)
