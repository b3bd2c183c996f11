"""A slice of a day and of a thousand cuts in virtual time; the whole by tests/campaigns/venue_days.py."""

import venue_days


def test_a_quarter_of_an_hour_with_cuts_miss_and_double_no_alert():
    """Every alert of the plain model is told once, at its second; nothing else is told."""
    result = venue_days.run(900, seed=3)
    assert (result.missed, result.doubled, result.stale, result.wrong) == (0, 0, 0, 0)
    assert result.told >= 3
    assert result.cuts >= 2


def test_forty_cuts_leave_no_stale_figure():
    """Lines come back within a minute of the venue; nothing old and nothing wrong is shown."""
    result = venue_days.run(10**9, seed=4, chance=0.1, most_cuts=40)
    assert (result.stale, result.wrong, result.missed) == (0, 0, 0)
    assert result.opened > 40


def test_five_minutes_over_real_sockets_with_cuts():
    """Real servers, connections and cuts; time jumps on only when every socket is quiet."""
    result = venue_days.over_sockets(300, 5, 0.03, 10**9, float("inf"))
    assert (result.missed, result.doubled, result.stale, result.wrong) == (0, 0, 0, 0)
    assert result.cuts >= 2
    assert result.opened > 4
