"""The pace of the gate on walks of chance: what left, and nothing else, takes room."""

import random

import pytest
from mad_engine import HELD, Stage
from test_gate import sell

import kis_realtime_trading as bot

E = bot.OrderEvent


@pytest.mark.parametrize("seed", range(14))
def test_only_what_left_in_the_last_second_and_minute_holds_back(tmp_path, seed):
    """Three in a second and thirty in a minute, new orders and changes; a refused one takes no room,
    a cancel neither takes nor needs any; that it is too fast is said of such a refusal only."""
    pick, stage = random.Random(seed), Stage(tmp_path)
    stage.hold(HELD, 20, 50_000)
    gate, left = stage.gate, []
    busy = seed % 2  # a minute full of orders, or seconds full of them
    for _ in range(90):
        stage.pass_time(pick.choice([0.0, 0.25, 0.5, 1.5] if busy else [0.0, 0.0, 0.25, 1.0]))
        now = stage.steady_s
        full = sum(now - at < 1 for at in left) >= 3 or sum(now - at < 60 for at in left) >= 30
        kind = pick.choice(["new", "new", "new", "change", "cancel", "too many", "none waits"])
        if kind in ("new", "too many"):
            intent = stage.write(sell(stage, quantity=1 if kind == "new" else 21))
            said = stage.refusal(intent)
        else:
            intent = stage.write(sell(stage, quantity=1))
            call = stage.resting(intent)
            if kind == "none waits":
                call = call._replace(price=1)
            said = gate.refusal(call._replace(action="cancel" if kind == "cancel" else "change"))
        paced = kind in ("new", "change") and full
        leaves = kind == "cancel" or (kind in ("new", "change") and not full)
        assert (said == "") is leaves
        assert ("left within" in said) is paced
        if not leaves:
            assert gate.too_fast is paced
        elif kind != "cancel":
            left.append(now)
        stage.answer(intent, E.NOT_SENT)
        if kind in ("change", "cancel", "none waits"):
            stage.ledger.apply(bot.OrderUpdate(intent.intent_id, E.CANCELLED, stage.clock.moment))
    stage.journal.close()
