"""What is kept of short days is what happens: row for row, order for order."""

import edge
import oracle
import pytest


@pytest.mark.parametrize("name", [*oracle.VIRTUAL, *oracle.RECORDED])
def test_a_kept_day_happens_again(name):
    """A step that moves a row is shown here; `python tests/campaigns/oracle.py` prints all of it.

    Its head says when `--renew` is allowed.
    """
    with edge.own_logging():
        found = oracle.difference(name)
    assert found == [], "\n".join(found)


def test_a_moved_row_is_shown(tmp_path, monkeypatch):
    """One share more in one kept intent: the line stands in the difference."""
    [name] = [each for each in oracle.RECORDED if each.endswith("paper")]
    for file in oracle.KEPT.glob(f"{name}*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    kept = tmp_path / f"{name}.txt"
    intent = next(line for line in kept.read_text().splitlines() if line.startswith("intent "))
    quantity = intent.partition('"quantity":')[2].partition(",")[0]
    moved = intent.replace(f'"quantity":{quantity},', f'"quantity":{int(quantity) + 1},')
    kept.write_text(kept.read_text().replace(intent, moved))
    monkeypatch.setattr(oracle, "KEPT", tmp_path)
    assert {f"-{moved}", f"+{intent}"} <= set(oracle.difference(name))


def test_the_kept_days_hold_what_money_rests_on():
    """Fills, cancels, lost answers and exits are in them, or they would keep nothing."""
    text = "".join(file.read_text() for file in oracle.KEPT.glob("*.txt"))
    for part in ('"event":"fill"', '"event":"no answer"', '"event":"found"', '"purpose":"exit"',
                 '"event":"cancelled"', "refusal ", "POST "):  # fmt: skip
        assert part in text, part
