"""Every reason of HOLDS: a restart in that state begins nothing that the process before would not."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import edge
import harness
import pytest
from test_trader import SYMBOL, Dated, Life, wishes

import kis_realtime_trading as bot

BAD_GATEWAY = {"do": "html", "status": 502}
LATE = edge.at("09:20:20")


def broken(path: str, **when: str) -> dict[str, Any]:
    """Return the fault that a question fails for the rest of the day."""
    return {"match": {"path": path, **when}, "effect": BAD_GATEWAY}


def by_hand(life: Life, trader: bot.Trader, *entries: Any) -> None:
    """Apply entries and let their rows be written, as an event would."""
    core = trader.engine.core
    for entry in entries:
        core.apply(entry)
    actions, core.out = core.out, []
    trader.bridge.execute(actions)


async def hold(reason: str, life: Life, trader: bot.Trader) -> None:
    """Put a lasting hold on."""
    trader.engine.core.hold(reason, on=True)
    by_hand(life, trader)


async def level(life: Life, trader: bot.Trader) -> None:
    """Let the owner move the switch."""
    trader.set_level("ENTRIES_OFF", "the owner")


async def stopped(life: Life, trader: bot.Trader) -> None:
    """Let a stock be stopped for the day."""
    by_hand(life, trader, bot.SymbolStopped(SYMBOL, "3 entries refused in a row", LATE))


async def action(life: Life, trader: bot.Trader) -> None:
    """Let a corporate action wait for the owner."""
    seen = bot.ActionSeen(SYMBOL, "unexplained", 70_000, 35_000, 5, 5, LATE)
    by_hand(life, trader, seen)


async def unresolved(life: Life, trader: bot.Trader) -> None:
    """Wait until the wish of 09:20 has no answer."""
    orders = trader.engine.core.ledger.orders
    while not any(each.status in bot.UNRESOLVED for each in orders.values()):
        await asyncio.sleep(0.1)


async def exiting(life: Life, trader: bot.Trader) -> None:
    """Wait for the shares of the wish, then begin an exit that has not sent its order yet."""
    core = trader.engine.core
    while not core.ledger.position(SYMBOL).quantity:
        await asyncio.sleep(0.1)
    by_hand(life, trader, bot.ExitStarted(SYMBOL, "stop", core.now))
    core.symbols[SYMBOL].exit = bot.ExitRun("stop")


async def pause(life: Life, trader: bot.Trader) -> None:
    """Wait for a lost round trip; one is enough here."""
    while not trader.engine.core.ledger.today.losses:
        await asyncio.sleep(0.1)


async def late_journal(life: Life, trader: bot.Trader) -> None:
    """Let the journal be late."""
    trader.feed(bot.Command("hold", life.world.clock.now(), text=bot.JOURNAL_LATE))


async def stopping(life: Life, trader: bot.Trader) -> None:
    """Ask the bot to end; it dies before it has."""
    trader.engine.core.hold("stopping", on=True)


async def nothing(life: Life, trader: bot.Trader) -> None:
    """Only wait."""


@dataclass
class Case:
    """How a state comes about, and what holds entries in the process after it."""

    make: Callable[[Life, bot.Trader], Awaitable[None]] = nothing
    faults: tuple[dict[str, Any], ...] = ()
    strategy: bot.TradingStrategy | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    clock_off_s: int = 0
    density: float = 10.0
    until: str = "09:20:30"
    after: str = ""  # another reason that takes its place; "" for the same


LOST_ORDER = (
    {"match": {"kind": "order"}, "effect": {"do": "lose", "how": "reset", "executed": True}},
)
CASES = {
    "starting": Case(faults=(broken("inquire-balance"),)),
    "account": Case(faults=(broken("inquire-balance"),)),
    "orders": Case(faults=(broken("daily-ccld"),)),
    "old order list": Case(
        faults=(broken("daily-ccld", **{"from": "09:19:40"}),), until="09:23:30", after="orders"
    ),
    "feed": Case(faults=(broken("Approval"),)),
    "no trades": Case(density=1e-6),
    "clock": Case(clock_off_s=90),
    bot.JOURNAL_LATE: Case(late_journal),
    "stopping": Case(stopping),
    "journal": Case(lambda life, trader: hold("journal", life, trader)),
    "mismatch": Case(lambda life, trader: hold("mismatch", life, trader)),
    "calendar": Case(lambda life, trader: hold("calendar", life, trader)),
    "level": Case(level),
    "stopped": Case(stopped),
    "action": Case(action),
    "unresolved": Case(unresolved, LOST_ORDER, wishes("09:19:30"), until="09:19:30"),
    "exiting": Case(exiting, strategy=wishes("09:19:30")),
    "pause": Case(
        pause, strategy=wishes("09:19:30", plan=(0.9999, 1.5)), settings={"limits": {"losses_in_a_row": 1}}
    ),
}  # fmt: skip


def test_every_reason_has_its_case():
    """A new reason without a restart in its state is not finished."""
    assert set(CASES) == set(bot.HOLDS)


@pytest.mark.parametrize("reason", sorted(CASES))
def test_a_restart_lifts_no_hold_that_still_has_its_reason(reason):
    """Killed while held: what stops entries in the next process, before it asked and after."""
    case, kind = CASES[reason], bot.HOLDS[reason]

    async def story(life):
        if case.clock_off_s:
            life.world.network = Dated(life.network, case.clock_off_s)
            life.world.network.connect = life.network.connect
        for fault in case.faults:
            life.sim.faults.add(fault)
        trader, run = await life.begin(case.strategy)
        await life.world.until(case.until)
        await case.make(life, trader)
        before = bot.holds_of(trader.engine.core, SYMBOL)
        await harness.kill(run, trader)
        trader, run = await life.begin()
        while SYMBOL not in trader.engine.core.symbols:
            await asyncio.sleep(0.001)
        early = bot.holds_of(trader.engine.core, SYMBOL)
        await asyncio.sleep(4.0)
        later = bot.holds_of(trader.engine.core, SYMBOL)
        await harness.kill(run, trader)
        return before, early, later

    life = Life(environment="real", density=case.density, settings=case.settings)
    before, early, later = life.play(story)
    assert reason in before
    assert early, "the first moment of the next process lets entries begin"
    if kind.restart == "row":
        assert reason in early
        assert early[reason] == before[reason]
    elif kind.restart == "asked":
        assert (case.after or reason) in later
    else:
        assert reason not in later


def test_a_reason_that_is_not_in_the_table_is_an_error():
    """No hold under a name that nobody wrote words for."""

    async def story(life):
        trader, run = await life.begin()
        await life.world.until("09:20:00")
        with pytest.raises(KeyError):
            trader.engine.core.hold("because", on=True)
        await life.stop(trader, run)

    Life().play(story)


def test_what_the_table_says_holds_is_refused_by_a_rule():
    """The status and the rules see the same: each reason at hand makes an entry impossible."""

    async def story(life):
        trader, run = await life.begin()
        await life.world.until("09:19:40")
        core, desk = trader.engine.core, trader.engine.entries
        state = core.symbols[SYMBOL]
        intent = bot.OrderIntent(
            "f" * 16, core.now.date(), SYMBOL, bot.Side.BUY, bot.OrderKind.LIMIT, 1,
            state.last_trade.price, "entry", "entry", "test", core.now,
        )  # fmt: skip
        free = bot.check_order(desk._facts(state, intent), intent)
        refused = {}
        for reason in sorted(bot.HOLDS):
            if bot.HOLDS[reason].scope == "all" and reason != "level":
                core.hold(reason, on=True)
                refused[reason] = bot.check_order(desk._facts(state, intent), intent)
                core.hold(reason, on=False)
        core.ledger.stopped[SYMBOL] = "why"
        refused["stopped"] = bot.check_order(desk._facts(state, intent), intent)
        await harness.kill(run, trader)
        return free, refused

    limits = {"limits": {"max_data_age_s": 60, "max_quote_age_s": 60}}
    free, refused = Life(environment="real", density=60.0, settings=limits).play(story)
    assert free is None
    assert {reason for reason, found in refused.items() if found is None} == set()
    assert refused["feed"].numbers == "feed"


def test_a_host_that_slept_is_seen_by_market_time_alone():
    """The loop's clock stands still with the host: a jump of market time holds entries for a list.

    The owner is told once.
    """

    async def story(life):
        trader, run = await life.begin()
        await life.world.until("09:20:30")
        assert bot.holds_of(trader.engine.core, SYMBOL) == {}
        clock, asked = life.world.clock, life.names().count("inquire-daily-ccld")
        clock._start, clock._last = clock._start + bot.timedelta(seconds=40), (-1.0, clock._start)
        held = []
        for _ in range(1000):
            held += bot.holds_of(trader.engine.core, SYMBOL)
            await asyncio.sleep(0.002)
        after = life.names().count("inquire-daily-ccld") - asked
        await life.stop(trader, run)
        return set(held), after

    life = Life(environment="real", density=60.0)
    held, asked = life.play(story)
    assert "orders" in held
    assert asked >= 1
    [told] = [row.body for row in life.rows("alert") if row.ref == "error"]
    assert "stood still, or the clock was set, for 4" in told
