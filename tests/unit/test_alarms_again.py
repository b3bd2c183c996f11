"""Alarms over days of chance: each word that is told, against the rules read a second time."""

import math
import random
from datetime import datetime, timedelta

import pytest

import kis_realtime_trading as bot

START = datetime(2026, 11, 20, 9, 30, tzinfo=bot.KST)
# seconds of patience, of being away before it is over, between two tellings; what tells it all
RULES = {
    "broker": (45, 60, 3_600, ()), "answer cash": (0, 60, 3_600, ("broker",)),
    "token": (0, 60, 3_600, ("broker",)), "list": (300, 60, 3_600, ("broker", "token")),
    "feed": (90, 60, 3_600, ("broker",)), "silent x": (120, 60, 3_600, ("broker", "feed")),
    "clock": (0, 600, 3_600, ()), "telegram": (30, 60, 3_600, ()), "slow": (0, 60, math.inf, ()),
}  # fmt: skip


class Diary:
    """What a person who is shown the same would write down of each trouble, in seconds of the day."""

    def __init__(self):
        self.open, self.ended = {}, {}

    def look(self, at, standing, awake, held):
        for key, words in standing.items():
            page = self.open.get(key)
            if page is None:
                page = self.open[key] = {"began": at, "gone": None, "told": None, "returns": 0}
                end, returns = self.ended.get(key, (-math.inf, 0))
                if at - end < 3_600:
                    page["returns"] = returns + 1
            elif page["gone"] is not None and page["told"] is None:
                page["began"] = at  # what went untold begins anew
            page |= {"words": words, "gone": None}
        told = []
        for key in list(self.open) if awake else ():
            told += self.about(key, key in standing, at, held)
        return told

    def about(self, key, stands, at, held):
        patience, steady, again, above = RULES[key]
        page = self.open[key]
        if not stands:
            if page["gone"] is None:
                page["gone"] = at
            if at - page["gone"] < steady * 2 ** min(page["returns"], 5):
                return []
            del self.open[key]
            if page["told"] is None:
                return []
            self.ended[key] = page["gone"], page["returns"]
            return [("trouble_over", page["words"], page["gone"] - page["began"], None)]
        higher = [self.open[each] for each in above if each in self.open]
        if page["told"] is None and any(each["told"] is not None for each in higher):
            page["began"] = at
        if any(each["told"] is not None or each["gone"] is None for each in higher):
            return []
        if page["told"] is None:
            if at - page["began"] < patience:
                return []
            code = "trouble"
        elif at - page["told"] < again:
            return []
        else:
            code = "trouble_lasts"
        page["told"] = at
        return [(code, page["words"], at - page["began"], held)]

    def evening(self):
        left = [
            p["words"] for p in self.open.values() if p["told"] is not None and p["gone"] is None
        ]
        self.open, self.ended = {}, {}
        return left


def minutes(seconds):
    """Count whole minutes as people do: at least one."""
    return max(1, round(seconds / 60))


@pytest.mark.parametrize("seed", range(80))
def test_on_a_day_of_troubles_each_is_told_as_the_rules_say(seed):
    """What is told, when, with which minutes and words; over an evening into the next day."""
    pick = random.Random(seed)
    alarms, diary = bot.Alarms(), Diary()
    until, standing, awake, at, count = dict.fromkeys(RULES, 0), {}, True, 0, 0
    for look in range(700):
        at += pick.choice([1, 10, 10, 30, 200])
        for key in RULES:
            if at < until[key]:
                continue
            until[key] = at + pick.choice([5, 40, 70, 130, 500, 4_000])
            if key in standing:
                del standing[key]
            elif pick.random() < 0.6:
                count += 1
                standing[key] = f"{key} {count}"
        if standing and pick.random() < 0.05:  # other words for what stands
            key = pick.choice(list(standing))
            standing[key] = f"{key}, still"
        awake = not awake if pick.random() < 0.02 else awake
        held = pick.choice(["", "; not guarded: x"])
        found = alarms.look(START + timedelta(seconds=at), dict(standing), awake, held)
        expected = diary.look(at, standing, awake, held)
        assert [
            (each.code, each.values["what"], each.values["minutes"], each.values.get("held"))
            for each in found
        ] == [(code, words, minutes(lasted), what) for code, words, lasted, what in expected]
        if look == 400:
            assert alarms.end_day() == diary.evening()
