"""Days of chance for the engine: what must hold at every step, and that what it wants is what was kept."""

import pytest
import walks

WORDS = (
    "code=SESSION", "code=POSITIONS", "code=ON_HOLD", "code=UNRESOLVED", "code=STALE", "code=OPPOSITE",
    "code=NO_QUOTE", "code=BLOCKED", "code=LEVEL", "code=ORDER_VALUE", "code=COLLAR",
    "code=CASH", "event=fill", "event=cancelled", "event=replaced",
    "event=found", "event=absent", "event=ambiguous", "event=refused", "filled", "round_closed",
    "external_order", "exit_waits", "order_quarantined", "orphan", "corporate_action", "levels_set",
    "mismatch", "symbol_stopped", "cash_differs",
)  # fmt: skip


@pytest.mark.parametrize("name", walks.KEPT)
def test_a_walk_is_what_was_kept(name):
    """Every row, call, question and alert with all its values, over two days; nothing leaves outside a limit.

    A step that moves one is shown here. `python tests/campaigns/oracle.py --renew` lets what happens
    now be what is expected; its head says when that is allowed.
    """
    found = walks.moved(name)
    assert found == [], "\n".join(found)


@pytest.mark.parametrize("name", walks.KEPT)
def test_what_the_engine_remembers_on_a_walk_is_what_was_kept(name):
    """All fields at each eighth step: what was noted for later is there before it matters.

    Named are the parts that moved. A field with another name moves them too: then only this is renewed.
    """
    assert walks.moved_state(name) == []


def test_one_share_more_is_shown():
    """What is kept of a walk does not pass for another one."""
    kept = walks.FILE.read_text()
    line = next(line for line in kept.splitlines() if line.startswith("doubts 3 "))
    assert walks.moved("doubts", kept.replace(line, line[:-1] + "x"))[0].startswith("part 3 of")
    assert walks.moved("doubts", kept + "doubts 999 09:00:00 0\n")


def test_the_walks_go_where_money_is():
    """Each refusal, doubt and end stands in one of them, or they would keep nothing."""
    text = " ".join(line for name in walks.KEPT for line in walks.lines_of(name))
    assert [word for word in WORDS if f" {word} " not in text] == []
