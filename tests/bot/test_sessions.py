"""Sessions of the feed one after another: each begins like the first, whatever the last one left."""

import asyncio
import copy
import itertools
import json

import edge
import pytest
from test_websocket import Ear, Fake, Line, ack, listening, run, taking_all, usual, wanted_in

import kis_realtime_trading as bot

PING = json.dumps({"header": {"tr_id": "PINGPONG", "datetime": "20261120100530"}})
DATA = "0|H0STCNT0|001|any"


def refusing(tr_id):
    """Refuse the registrations of a TR for good, take the others."""

    def answer(message):
        pair = wanted_in(message)
        if pair and pair[0] == tr_id:
            return [ack(*pair, "1", "OPSP8991", "no")]
        return taking_all(message)

    return answer


def without_key(message):
    """Acknowledge, but tell no key of the notices."""
    pair = wanted_in(message)
    return [ack(*pair, key="", iv="")] if pair else []


# what may differ when a session begins: how many there were, what is fixed, what was told of the last
KEPT = {"sessions", "_auth", "_decoder", "_connect", "_url", "_clean", "deliver", "on_change",
        "expects_data", "registrations", "_register_pause_s", "_told_down"}  # fmt: skip


def beginning(socket):
    """Return the fields of a socket, moments as ages; called when a session is about to open."""
    now = asyncio.get_running_loop().time()
    found = {}
    for name, value in vars(socket).items():
        if name not in KEPT:
            moment = isinstance(value, float) and name.endswith("_s") and name != "_no_data_s"
            found[name] = round(now - value, 1) if moment else copy.copy(value)
    return found


async def silence(fake):
    """Say nothing until the session is given up."""
    await asyncio.sleep(bot.SILENCE_S + 1)


async def broken(fake):
    """Talk for a while, then break."""
    for text in (PING, DATA, DATA):
        fake.say(text)
        await asyncio.sleep(5)
    await fake.close()


async def in_use(fake):
    """Be told that the key is in use."""
    fake.say(DATA)
    await asyncio.sleep(1)
    fake.say(ack("", "", "9", "OPSP8996", "ALREADY IN USE appkey"))
    await asyncio.sleep(40)


ENDS = {
    "silence": (taking_all, silence), "a break": (taking_all, broken), "a key in use": (taking_all, in_use),
    "a registration refused": (refusing("H0STASP0"), broken), "no key of notices": (without_key, broken),
}  # fmt: skip


@pytest.mark.parametrize("again", ["next session", "next day"])
@pytest.mark.parametrize("name", sorted(ENDS))
def test_a_session_begins_as_if_it_were_the_first(tmp_path, name, again):
    """After each kind of end, and when run() begins anew: field by field."""
    on_text, story = ENDS[name]

    async def main():
        desk, seen = edge.desk(tmp_path), []
        makers = [lambda: Fake(on_text), lambda: Fake(taking_all)]

        async def connect(url):
            seen.append(beginning(ear.socket))
            return makers.pop(0)() if len(makers) > 1 else makers[0]()

        made = Line()

        async def noting(url):
            fake = await connect(url)
            made.made.append(fake)
            return fake

        ear = Ear(desk, usual(desk), noting)
        async with listening(ear):
            await asyncio.sleep(0.1)
            await story(made.made[0])
            if again == "next session":
                await asyncio.sleep(5)
        if again == "next day":
            count = len(seen)
            await asyncio.sleep(3600)
            async with listening(ear):
                await asyncio.sleep(0.1)
            seen[:] = [seen[0], *seen[count:]]
        return seen

    first, second, *_ = run(main)
    assert second == first


def test_after_a_reconnection_everything_is_registered_and_the_loss_is_told_each_time(tmp_path):
    """Three sessions: three times all registrations, up, down, up, down, up."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(lambda: Fake(taking_all))
        ear = Ear(desk, usual(desk), line)
        async with listening(ear):
            for _ in range(2):
                await asyncio.sleep(3)
                await line.made[-1].close()
                await asyncio.sleep(5)
        sent = [[wanted_in(text) for text in fake.sent] for fake in line.made]
        return usual(desk), sent, [up for up, _ in ear.changes]

    wanted, sent, changes = run(main)
    assert sent == [wanted] * 3
    assert changes == [True, False, True, False, True]


def test_a_registration_refused_in_one_session_is_tried_in_the_next(tmp_path):
    """The server may have changed its mind; the feed is the whole feed again."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(lambda: Fake(refusing("H0STASP0")), lambda: Fake(taking_all))
        ear = Ear(desk, usual(desk), line)
        async with listening(ear):
            await asyncio.sleep(3)
            refused = dict(ear.socket.refused)
            await line.made[0].close()
            await asyncio.sleep(5)
        return len(refused), ear.socket.refused, [why for up, why in ear.changes if up]

    assert run(main) == (1, {}, ["2", "3"])


def test_a_second_session_without_a_key_of_notices_is_no_session(tmp_path):
    """The key of the first cannot read what the second sends."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(lambda: Fake(taking_all), lambda: Fake(without_key), lambda: Fake(taking_all))
        ear = Ear(desk, usual(desk), line)
        async with listening(ear):
            await asyncio.sleep(3)
            await line.made[0].close()
            await asyncio.sleep(10)
        return len(line.made), [up for up, _ in ear.changes]

    assert run(main) == (3, [True, False, True])


def test_the_patience_with_a_silent_feed_is_short_again_once_data_came(tmp_path):
    """300 s, doubled to 600 by a silence, 300 again."""

    async def main():
        desk = edge.desk(tmp_path)
        line = Line(lambda: Fake(taking_all))
        ear = Ear(desk, usual(desk), line)
        ear.socket.expects_data = lambda: True

        async def pings(until):
            for _ in itertools.count():
                await asyncio.sleep(10)
                line.made[-1].say(PING)
                if until():
                    return

        async with listening(ear):
            await pings(lambda: len(line.made) == 2)
            line.made[-1].say(DATA)
            await asyncio.sleep(1)
            assert ear.socket._no_data_s == bot.NO_DATA_S
            await pings(lambda: len(line.made) == 3)
        return line.gaps()

    assert run(main) == [pytest.approx(301, abs=15), pytest.approx(302, abs=15)]


def test_hours_in_which_nothing_is_expected_do_not_count_as_silence(tmp_path):
    """A morning of pings, then the open: the first trade has five minutes."""

    async def main():
        desk, opened = edge.desk(tmp_path), asyncio.Event()
        line = Line(lambda: Fake(taking_all))
        ear = Ear(desk, usual(desk), line)
        ear.socket.expects_data = opened.is_set
        async with listening(ear):
            for second in range(0, 1500, 10):
                await asyncio.sleep(10)
                line.made[-1].say(PING)
                if second == 1200:
                    opened.set()
        return len(line.made)

    assert run(main) == 1
