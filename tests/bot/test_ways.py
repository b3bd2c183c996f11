"""The walks of tests/support/ways.py: how much of the file a reader of one order meets may only fall."""

import pytest
import ways

# Functions that an order passes and that the minutes before it did not. Raise a number only in a
# commit that says what the reader gets for it.
MOST_TO_THE_WIRE, MOST_TO_THE_BOOKING, MOST_WHEN_LOST, MOST_IN_A_RESTART = 112, 140, 150, 260


@pytest.mark.parametrize("lost", [False, True])
def test_an_order_passes_no_more_functions_than_before(lost):
    """From the wish to the wire and to the booked fill, also when the answer never comes."""
    wire, walk = ways.of_an_order(lost)
    own = [name for name in walk.names if name not in walk.usual]
    to_the_wire = [name for name in walk.names[:wire] if name not in walk.usual]
    assert {"EntryDesk.submit", "Gate.refusal", "KISOrder._send"} <= set(to_the_wire)
    assert "Ledger._book_fill" in own and ("Reconciler._bind" in own) is lost
    assert len(to_the_wire) <= MOST_TO_THE_WIRE
    assert len(own) <= (MOST_WHEN_LOST if lost else MOST_TO_THE_BOOKING)


def test_a_restart_passes_no_more_functions_than_before():
    """From the journal to the first look at the stop of what is held."""
    names = ways.of_a_restart().names
    assert {"read_past", "CommandDesk._on_restart", "Morning.prepare", "ExitDesk.watch"} <= set(
        names
    )
    assert len(names) <= MOST_IN_A_RESTART
