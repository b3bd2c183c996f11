"""The same seed gives the same day, whatever process, hash seed and zone of the host."""

import days
import determinism
import edge


def test_same_seed_same_trace_under_every_hash_seed_and_zone():
    """A short day with faults in three processes and in this one: one trace; another day differs."""
    outcomes = determinism.traces(hash_seeds=3, days=1, first=3, until="10:05", times=1)
    assert [len(names) for names in outcomes.values()] == [3], outcomes
    with edge.own_logging():
        here, another = (days.run_day((number, True, "10:05")) for number in (3, 4))
    assert here[1] == []
    assert here[2] > 0
    assert list(outcomes) == [f"3 {here[3]}\n"]
    assert here[3] != another[3]
