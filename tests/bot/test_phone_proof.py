"""No update acts without its proof (a slice of the campaign), and /stop acts in every state."""

import asyncio
from typing import Any

import phone_updates
import pytest
from test_holds import LOST_ORDER, broken
from test_trader import Life, wishes

import kis_realtime_trading as bot

OWNER = 4242


def test_no_update_of_chance_acts_without_a_fresh_row_and_its_proof():
    """The whole campaign is run by its own command; here a slice, most of it the half that decides."""
    seen = phone_updates.run(500, 3)
    assert seen["acted"] > 15 and seen["nothing"] > 150
    half = phone_updates.run(8_000, 4, whole=False)
    assert half["acted"] > 300 and half["nothing"] > 4_000


MISTAKES: dict[str, Any] = {
    "every code is right": (bot.PhoneCodes, "take", lambda *_: True),
    "codes live for ever": (bot, "CODE_LASTS_S", 1e9),
    "old words count": (bot, "WORD_MAX_AGE_S", 10**9),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_campaign_finds_a_planted_mistake(mistake: str, monkeypatch: pytest.MonkeyPatch):
    """Each proof that is taken away lets something act that must not."""
    monkeypatch.setattr(*MISTAKES[mistake])
    with pytest.raises(AssertionError):
        for seed in range(1, 9):
            phone_updates.run(4_000, seed, whole=False)


STATES: dict[str, dict[str, Any]] = {
    "waits for its morning": {"start": "08:20:00", "until": "08:25:00"},
    "no token yet": {"faults": (broken("tokenP"),), "until": "09:20:00"},
    "no account yet": {"faults": (broken("inquire-balance"),), "until": "09:20:00"},
    "no feed": {"faults": (broken("Approval"),), "until": "09:20:00"},
    "an unresolved order": {"faults": LOST_ORDER, "until": "09:20:40"},
    "a flood of frames": {"density": 3_000.0, "until": "09:20:40"},
    "trading": {"until": "09:20:40"},
}


@pytest.mark.parametrize("state", STATES)
def test_stop_acts_within_two_seconds_in_every_state(state: str):
    """Market time; from then on nothing is bought, and the level outlives the process."""
    case = dict(STATES[state])
    until, start = case.pop("until"), case.pop("start", "09:19:00")

    async def story(life: Life) -> tuple[float, int, int]:
        trader, run = await life.begin(wishes("09:20:30", "09:23:00", "09:24:00"))
        await life.world.until(until)
        loop = asyncio.get_running_loop()
        began, bought = loop.time(), len(life.orders)
        phone = bot.Phone(trader)
        answer = phone.obey(bot.PhoneWord(1, OWNER, "stop")).text
        assert "ENTRIES_OFF" in answer
        assert trader.engine.core.ledger.level is bot.KillLevel.ENTRIES_OFF
        took = loop.time() - began
        await asyncio.sleep(300)
        after = len(life.orders)
        await life.stop(trader, run)
        return took, bought, after

    life = Life(start=start, **{"density": 60.0, **case})
    took, bought, after = life.play(story)
    assert took < 2.0 and after == bought
    assert [row.ref for row in life.rows("phone")] == ["1"]
