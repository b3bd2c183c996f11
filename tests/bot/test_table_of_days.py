"""Days of other people as one table: what public reports describe, played by the simulator.

Each line is a day on which something odd happens from the start or from a moment on. What must hold
is the same for all but what the line names: five shares are bought, sold by the kill switch, once
each, journal and broker agree to the won, nothing stays open, and the alerts named were said.
"""

from typing import Any, NamedTuple

import harness
import pytest
from test_trader import SYMBOL, Life, wishes

import kis_realtime_trading as bot


class Situation(NamedTuple):
    """A line: its name, the fault rules, the alerts that must be said, those that must not."""

    name: str
    match: dict[str, Any]
    effect: dict[str, Any]
    said: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ("mismatch", "error", "external_order", "cash_differs")
    bought: bool = True


PRICE, BALANCE, LIST = (
    {"path": "inquire-price"},
    {"path": "inquire-balance"},
    {"path": "daily-ccld"},
)
ACCOUNT, ALL = {"kind": "account"}, {"path": "/uapi"}
LATER = {"from": "09:23", "to": "09:24"}


def field(name: str, value: str) -> dict[str, Any]:
    """Return the effect that overwrites a field wherever it occurs."""
    return {"do": "set", "field": name, "value": value}


TABLE = (
    Situation("a quiet day", PRICE, {"do": "delay", "seconds": 0}),
    Situation("codes with a leading A in account answers", ACCOUNT, {"do": "spelling"}),
    Situation("codes with a leading A in price answers", PRICE, {"do": "spelling"}),
    Situation("one stock in several balance lines", BALANCE, {"do": "lines"}),
    Situation("a blank row of another stock in the balance", BALANCE, {"do": "stranger"}),
    Situation("a blank row of another stock in the order list", LIST, {"do": "stranger"}),
    Situation("blank average prices", BALANCE, field("pchs_avg_pric", "")),
    Situation("limits of 0 while shares are held", {**PRICE, **LATER}, field("stck_mxpr", "0")),
    Situation("no limits all day: nothing is bought", PRICE, field("stck_mxpr", "0"), bought=False),
    Situation("a maintenance page for a minute", {**ALL, **LATER}, {"do": "html", "status": 503},
              unsaid=("mismatch", "external_order", "cash_differs")),
    Situation("bodies that take nine seconds", {**ALL, **LATER}, {"do": "delay", "seconds": 9}),
    Situation("a busy server (EGW00201) for a minute", {**ACCOUNT, **LATER},
              {"do": "error", "code": "EGW00201"}),
    Situation("a token that dies again and again", {**ACCOUNT, "probability": 0.05},
              {"do": "token", "code": "EGW00123"}),
    Situation("half an answer now and then", {**ACCOUNT, "probability": 0.2},
              {"do": "garble", "how": "truncate"}),
    Situation("the balance of some minutes ago", {**BALANCE, **LATER},
              {"do": "stale_balance", "seconds": 60}),
    Situation("fills that no notice tells", {"kind": "fill"}, {"do": "notice_drop"}),
    Situation("every notice twice", {"kind": "fill"}, {"do": "notice_repeat", "times": 2}),
    Situation("an order that lists show late", {"kind": "order"}, {"do": "list_delay", "seconds": 20}),
)  # fmt: skip


@pytest.mark.parametrize("line", TABLE, ids=[line.name for line in TABLE])
def test_a_day_of_other_people(line):
    """What the table says must hold, holds."""

    async def story(life):
        life.sim.faults.add({"match": line.match, "effect": line.effect})
        trader, run = await life.begin(wishes("09:22:00", plan=(0.8, 1.2)))
        await life.world.until("09:25:00")
        trader.set_level("FLATTEN_AND_HALT", "test")
        await life.world.until("09:29:00")
        await life.stop(trader, run)
        return trader.engine.core.ledger

    life = Life(density=60.0)
    ledger = life.play(story)
    sides = [order["side"] for order in life.orders if order["filled_quantity"]]
    assert sides == (["BUY", "SELL"] if line.bought else [])
    assert harness.differences(life.sim, ledger) == []
    assert (ledger.position(SYMBOL).quantity, ledger.open_orders()) == (0, [])
    assert bot.KillLevel.FLATTEN_AND_HALT is ledger.level
    said = set(life.alerts())
    assert set(line.said) <= said
    assert not set(line.unsaid) & said
