"""The policy of alarms: first, hourly, back; patience, hours, one trouble under another."""

from datetime import datetime, timedelta

import pytest

import kis_realtime_trading as bot

START = datetime(2026, 11, 20, 9, 30, tzinfo=bot.KST)


def told(*spans, minutes=300, awake=lambda minute: True, step_s=10, held=""):
    """Show alarms a day: spans are (key, first minute, last minute). Return [(minute, code, what)]."""
    alarms, found = bot.Alarms(), []
    for second in range(0, minutes * 60, step_s):
        minute = second / 60
        standing = {key: f"{key}!" for key, first, last in spans if first <= minute < last}
        now = START + timedelta(seconds=second)
        for alert in alarms.look(now, standing, awake(minute), held):
            found.append((round(minute, 1), alert.code, alert.values["what"]))
    return found


def codes(found):
    return [code for _, code, _ in found]


def test_a_trouble_is_told_first_hourly_and_when_it_is_over():
    """Two hours and a half: one, two repetitions, one end."""
    found = told(("answer cash", 0, 150))
    assert codes(found) == ["trouble", "trouble_lasts", "trouble_lasts", "trouble_over"]
    assert [minute for minute, *_ in found] == [0.0, 60.0, 120.0, 151.0]


def test_what_was_short_is_not_told_at_all():
    """Below its patience neither a beginning nor an end."""
    assert told(("broker", 10, 10.5), ("feed", 20, 21)) == []


def test_what_comes_and_goes_is_one_trouble():
    """Away for less than a minute is not over: a flapping line is told once and hourly."""
    spans = [("answer cash", at, at + 0.5) for at in range(100)]
    assert codes(told(*spans)) == ["trouble", "trouble_lasts", "trouble_over"]


def test_what_returns_after_its_end_is_told_less_and_less():
    """A question that is answered each third minute: no message each time, for five hours."""
    spans = [("answer cash", at, at + 1) for at in range(0, 300, 3)]
    found = told(*spans, minutes=320)
    assert codes(found)[:4] == ["trouble", "trouble_over", "trouble", "trouble_lasts"]
    assert (
        len(found) == 8 and codes(found)[-1] == "trouble_over"
    )  # 200 when each return counts anew


def test_a_trouble_of_another_hour_ends_as_soon_as_the_first():
    """An hour after its end it is forgotten."""
    found = told(("answer cash", 0, 1), ("answer cash", 62, 63), minutes=100)
    assert [minute for minute, *_ in found] == [0.0, 2.0, 62.0, 64.0]


def test_patience_is_for_trouble_that_stays():
    """Ten failures of half a minute, a good answer after each: not told."""
    assert told(*[("broker", at, at + 0.5) for at in range(0, 100, 10)]) == []


def test_one_trouble_says_what_is_under_it():
    """No network: neither the feed nor a list nor the token is told beside it, at no time."""
    spans = [(key, 1, 130) for key in ("broker", "feed", "list", "token", "answer price 005930")]
    assert {what for *_, what in told(*spans)} == {"broker!"}
    assert codes(told(*spans)) == ["trouble", "trouble_lasts", "trouble_lasts", "trouble_over"]


def test_what_outlasts_the_trouble_above_it_is_told_for_itself():
    """REST is back, the feed is not: told, its patience counted from then on."""
    found = told(("broker", 0, 60), ("feed", 0, 100))
    assert (61.0, "trouble_over", "broker!") in found
    feed = [(minute, code) for minute, code, what in found if what == "feed!"]
    assert [code for _, code in feed] == ["trouble", "trouble_over"]
    assert 62.0 < feed[0][0] <= 63.0


def test_an_hour_in_which_nobody_can_act_is_silent():
    """What still stands when the hours begin is told then; what ended in the night is not."""
    night = lambda minute: minute >= 100  # noqa: E731
    assert codes(told(("answer cash", 0, 90), awake=night)) == []
    assert told(("answer cash", 0, 110), awake=night)[0] == (100.0, "trouble", "answer cash!")


def test_what_is_held_is_named():
    """Shares that nobody can guard stand in the message."""
    alert = bot.Alarms().look(START, {"token": "no token"}, True, "; not guarded: 삼성전자 5")[0]
    assert "삼성전자 5" in bot.say(alert, "ko") and "not guarded" in bot.say(alert, "en")


def test_the_end_of_the_day_forgets_and_returns_what_never_ended():
    """Told and still standing: for the evening's report. Nothing is told of it next morning."""
    alarms = bot.Alarms()
    alarms.look(START, {"token": "no token", "broker": "away"}, True)
    assert alarms.end_day() == []  # the broker was not told yet, and says the token's trouble too
    alarms.look(START, {"clock": "off"}, True)
    assert alarms.end_day() == ["off"]
    assert alarms.look(START + timedelta(hours=18), {}, True) == []


@pytest.mark.parametrize("kind", sorted(bot.ALARMS))
def test_no_kind_of_trouble_exceeds_the_rule(kind):
    """Seven hours of any: one at the start, at most one an hour, one at the end."""
    found = codes(told((kind, 0, 300), minutes=320))
    assert found[0] == "trouble" and found[-1] == "trouble_over"
    assert found.count("trouble") == found.count("trouble_over") == 1 and len(found) <= 2 + 5
    rule = bot.ALARMS[kind]
    assert rule.again_s >= 3600 and set(rule.under) <= set(bot.ALARMS)


def test_what_only_the_owner_can_do_rings():
    """A sell that cannot leave, shares left after the close, an order that he must look for."""
    assert {"sell_waits", "unsold", "order_quarantined", "mismatch", "no_limits"} <= bot.URGENT
