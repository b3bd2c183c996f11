"""No update acts without its proof (a slice of the campaign), and /stop acts in every state."""

import asyncio
import json
import time
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
    "every code is right": (
        bot.PhoneCodes,
        "take",
        lambda codes, user, code, now: codes._open.pop(user, (None,))[0],
    ),
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


def faulty(do: str, match: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a state in which the broker misbehaves from the time of the stop on, or before."""
    return {"faults": ({"match": match, "effect": {"do": do, **more}},), "until": "09:20:40"}


STATES: dict[str, dict[str, Any]] = {
    "waits for its morning": {"start": "08:20:00", "until": "08:25:00"},
    "no token yet": {"faults": (broken("tokenP"),), "until": "09:20:00"},
    "no account yet": {"faults": (broken("inquire-balance"),), "until": "09:20:00"},
    "no order list yet": {"faults": (broken("daily-ccld"),), "until": "09:20:00"},
    "no feed": {"faults": (broken("Approval"),), "until": "09:20:00"},
    "reconnects again and again": faulty("ws_close", {"from": "09:20:00"}),
    "an order whose answer hangs": faulty("lose", {"kind": "order"}, how="hang", executed=True),
    "an unresolved order": {"faults": LOST_ORDER, "until": "09:20:40"},
    "slow answers": faulty("delay", {"from": "09:19:30"}, seconds=8),
    "a token that dies": faulty("token", {"from": "09:20:00"}, code="EGW00123"),
    "garbled frames": faulty("frame_garble", {"from": "09:20:00"}, how="text"),
    "a flood of frames": {"density": 3_000.0, "until": "09:20:40"},
    "a journal that cannot be written": {"until": "09:20:40", "journal": "away"},
    "a switch that is further up": {"until": "09:20:40", "level": "REDUCE_ONLY"},
    "trading": {"until": "09:20:40"},
}


@pytest.mark.parametrize("state", STATES)
def test_stop_acts_within_two_seconds_in_every_state(state: str):
    """Market time, from the update to the last order; the word has its row, a restart finds the level."""
    case = dict(STATES[state])
    until, start = case.pop("until"), case.pop("start", "09:19:00")
    away, wanted = case.pop("journal", ""), case.pop("level", "ENTRIES_OFF")

    async def story(life: Life) -> tuple[float, int, int]:
        trader, run = await life.begin(wishes("09:20:30", "09:20:39", "09:23:00", "09:24:00"))
        await life.world.until(until)
        if wanted != "ENTRIES_OFF":
            trader.set_level(wanted, "before")
        telegram, file = trader.bridge.telegram, life.world.folder / "journal.sqlite3"
        telegram.users, telegram.obey = frozenset({OWNER}), bot.Phone(trader).obey
        if away:
            file.rename(file.with_suffix(".away"))
        loop = asyncio.get_running_loop()
        began = loop.time()
        person = {"id": OWNER, "is_bot": False, "first_name": "x"}
        message = {"message_id": 1, "date": int(time.time()), "from": person, "text": "/stop",
                   "chat": {"id": OWNER, "type": "private"}}  # fmt: skip
        assert telegram._hear({"update_id": 1, "message": message}) == ""
        assert trader.engine.core.ledger.level.name == wanted
        took, bought = loop.time() - began, len(life.orders)
        if away:
            await asyncio.sleep(5)
            file.with_suffix(".away").rename(file)
        await asyncio.sleep(300)
        after = len(life.orders)
        await life.stop(trader, run)
        return took, bought, after

    life = Life(start=start, **{"density": 60.0, **case})
    took, bought, after = life.play(story)
    assert took < 2.0 and after == bought
    assert [row.ref for row in life.rows("phone")] == ["1"]
    levels = [
        json.loads(row.body)["level"] for row in life.rows("ledger") if "LevelSet" in row.body
    ]
    assert levels[-1] == bot.KillLevel[wanted]
