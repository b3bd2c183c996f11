"""The agenda of questions, alone: values in, the next question out."""

from datetime import datetime, timedelta

import pytest

import kis_realtime_trading as bot

NOW = datetime(2026, 11, 20, 10, tzinfo=bot.KST)
ACCOUNT = ("orders", "cash", "holdings")


def later(seconds):
    """Return a moment after NOW."""
    return NOW + timedelta(seconds=seconds)


def settled(*held):
    """Return an agenda of which every usual question was just asked; some stocks are held."""
    agenda = bot.Agenda()
    agenda.is_held = held.__contains__
    for what in ACCOUNT:
        agenda.note_asked(what, NOW)
    return agenda


def test_at_first_every_usual_question_is_due_in_the_order_of_its_kinds():
    """Orders, then cash, then holdings; then none is due for the shortest span."""
    agenda = bot.Agenda()
    for what in ACCOUNT:
        asked, _ = agenda.take(ACCOUNT, True, NOW)
        agenda.note_asked(asked.what, NOW)
        assert asked == bot.Ask(what)
    assert agenda.take(ACCOUNT, True, NOW) == (None, bot.POLL_OPEN_S)


@pytest.mark.parametrize(("busy", "span"), [(True, bot.POLL_OPEN_S), (False, bot.POLL_IDLE_S)])
def test_orders_are_due_after_their_span(busy, span):
    """Not a moment before it, at it."""
    for at, due in ((span - 0.1, False), (span, True)):
        found, _ = settled().take(("orders",), busy, later(at))
        assert (found == bot.Ask("orders")) is due


def test_a_slow_answer_leaves_time_for_others():
    """One that took 20 s comes 40 s after it was asked, one that took 100 s after 130."""
    for took, span in ((20.0, 40.0), (100.0, 130.0)):
        agenda = settled()
        agenda.note_answered("orders", took)
        assert agenda.take(("orders",), True, later(span - 1)) == (None, 1.0)
        assert agenda.take(("orders",), True, later(span))[0] == bot.Ask("orders")


def test_a_question_is_noted_once_with_its_first_moment():
    """Wanted again it does not become younger: after ten seconds it goes before the first kind."""
    agenda = settled()
    for at in (0.0, 6.0):
        agenda.want(bot.Ask("cash"), later(at))
    agenda.want(bot.Ask("orders"), later(12.0))
    taken = [agenda.take(ACCOUNT, False, later(12.0))[0] for _ in range(2)]
    assert taken == [bot.Ask("cash"), bot.Ask("orders")]


def test_a_question_under_way_waits_for_its_end():
    """The same one is not put twice; afterwards it may be."""
    agenda, ask = settled(), bot.Ask("price", "005930")
    for _ in range(2):
        agenda.want(ask, NOW)
        assert agenda.take(("price",), False, NOW)[0] == ask
        agenda.want(ask, NOW)
        assert agenda.take(("price",), False, NOW)[0] is None
        del agenda.under_way[ask]
        agenda.waiting.clear()


def test_what_is_held_goes_first_and_waits_for_no_other():
    """Three prices of stocks that are not held go side by side, a fourth waits, a held one does not."""
    agenda = settled("held")
    for symbol in ("a", "b", "c", "d", "held"):
        agenda.want(bot.Ask("price", symbol), NOW)
    taken = [agenda.take(("price",), False, NOW)[0] for _ in range(5)]
    assert [each and each.symbol for each in taken] == ["held", "a", "b", "c", None]
    del agenda.under_way[bot.Ask("price", "b")]
    assert agenda.take(("price",), False, NOW)[0] == bot.Ask("price", "d")


def test_kinds_of_another_lane_are_left_to_it():
    """Who asks for prices is given no list, however long it waits."""
    agenda = bot.Agenda()
    agenda.want(bot.Ask("orders"), NOW)
    assert agenda.take(("price",), True, later(60)) == (None, bot.math.inf)
    assert agenda.take(("orders",), True, later(60))[0] == bot.Ask("orders")
