"""How often the account is asked about: by steady time, and never so often that others starve."""

import asyncio
import itertools
from datetime import timedelta

import edge
import pytest
from test_doors import broker_of
from test_trader import Life, Wrong

import kis_realtime_trading as bot

USUAL = ("orders", "cash", "holdings")


def all_just_asked(broker, now):
    """Let no usual question be due at once."""
    for kind in USUAL:
        broker.agenda.note_asked(kind, now)


async def asked_at(life, broker, count, kinds=("orders",)):
    """Return the loop times at which the next questions were put, each answered before the next."""
    times = []
    while len(times) < count:
        ask = await broker.next_question(kinds, True)
        times.append(asyncio.get_running_loop().time())
        await broker.answer(ask)
    return times


@pytest.mark.parametrize(
    ("takes_s", "speed", "span_s"),
    [(1.0, 1, 5), (2.4, 1, 5), (4.0, 1, 8), (12.0, 1, 24), (29.0, 1, 58), (31.0, 1, 61), (50.0, 1, 80),
     (0.2, 10, 0.5), (1.0, 10, 2), (5.0, 10, 8)],
)  # fmt: skip
def test_a_list_leaves_as_much_time_to_others_as_it_took(takes_s, speed, span_s):
    """At least five market seconds apart, twice the time it took, never more than 30 s after its end."""

    async def story(life):
        broker = broker_of(life)
        await broker.auth.token()
        all_just_asked(broker, life.world.clock.now())
        life.network.answers_s = (takes_s, takes_s)
        times = await asked_at(life, broker, 4)
        return [b - a for a, b in itertools.pairwise(times)][1:]

    spans = Life(environment="real", speed=speed).play(story)
    assert spans == [pytest.approx(span_s, rel=0.05, abs=0.1)] * 2


@pytest.mark.parametrize("set_by_s", [3600, 40, -40, -3600])
def test_a_clock_that_is_set_while_a_list_comes_changes_no_pace(set_by_s):
    """The list took four seconds, not an hour: it is asked again after eight."""

    async def story(life):
        life.world.clock = wrong = Wrong(life.world.clock)
        broker = broker_of(life)
        await broker.auth.token()
        all_just_asked(broker, wrong.now())
        life.network.answers_s = (4.0, 4.0)
        asyncio.get_running_loop().call_later(7.0, lambda: setattr(wrong, "off_s", set_by_s))
        times = await asked_at(life, broker, 5)  # the first after five: the clock is set during it
        return [b - a for a, b in itertools.pairwise(times)]

    spans = Life(environment="real").play(story)
    assert max(spans) < 9.0  # never waits for what the clock says
    assert spans[-2:] == [pytest.approx(8.0, abs=0.2)] * 2


def test_cash_and_holdings_are_asked_each_minute_and_the_list_between():
    """In ten minutes with orders open: each of the two ten times, the list a hundred and more."""

    async def story(life):
        broker, asked = broker_of(life), []
        loop = asyncio.get_running_loop()
        all_just_asked(broker, life.world.clock.now())
        began = loop.time()
        while loop.time() - began < 610.0:
            ask = await broker.next_question(USUAL, True)
            asked.append(ask.what)
            await broker.answer(ask)
        return [asked.count(each) for each in USUAL]

    orders, cash, holdings = Life(environment="real").play(story)
    assert (cash, holdings) == (10, 10)
    assert 100 <= orders <= 122


def test_what_nobody_asks_for_is_not_asked():
    """A lane of prices puts no question by itself; a lane of lists no price."""

    async def story(life):
        broker = broker_of(life)
        waiting = asyncio.create_task(broker.next_question(("price",), True))
        await asyncio.sleep(300)
        idle, _ = waiting.done(), broker.want(bot.Ask("price", "005930"))
        price = await waiting
        broker.want(bot.Ask("price", "000660"))
        asked = {(await broker.next_question(USUAL, True)).what for _ in range(3)}
        return idle, price, asked

    assert Life().play(story) == (False, bot.Ask("price", "005930"), set(USUAL))


def test_each_kind_of_question_keeps_its_own_pace():
    """Cash that takes a minute makes cash seldom, not the list; a price makes nothing seldom."""
    agenda, now = bot.Agenda(), edge.at("10:00:00")
    for kind in USUAL:
        agenda.note_asked(kind, now)
    agenda.note_answered("cash", 50.0)
    agenda.note_answered("price", 500.0)
    due = {}
    for second in range(1, 90):
        while (taken := agenda.take(USUAL, True, now + timedelta(seconds=second))[0]) is not None:
            due.setdefault(taken.what, second)
            agenda.under_way.pop(taken)
            agenda.note_asked(taken.what, now + timedelta(seconds=second))
    assert due == {"orders": 5, "holdings": 60, "cash": 80}


def test_what_the_night_cut_off_is_asked_the_next_day():
    """A question that was taken and never answered is under way for that day only."""

    async def story(life):
        broker = broker_of(life)
        ask, now = bot.Ask("price", "005930"), life.world.clock.now()
        broker.want(ask)
        taken = [await broker.next_question(("price",), True)]
        broker.want(ask)
        taken.append(broker.agenda.take(("price",), True, now)[0])
        broker.troubles["feed"] = "lost in the evening"
        broker.begin_day(life.world.config.day)
        taken.append(broker.agenda.take(("price",), True, now)[0])
        return [each is not None for each in taken], broker.troubles

    assert Life().play(story) == ([True, False, True], {})
