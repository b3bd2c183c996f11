"""The pacer is never over a limit: every group, virtual time, headers that shrink the budget."""

import asyncio
import random

import pytest
from harness import run_virtual
from hypothesis import given
from hypothesis import strategies as st

from kis_realtime_trading import HttpReply
from venues import binance, kiwoom, upbit
from venues.wire import LANE_EXIT, LANE_LOOK, LANE_ORDER, LANE_QUERY, Budget, Call, Limit, Pacer

LANES = [LANE_EXIT, LANE_ORDER, LANE_LOOK, LANE_QUERY]
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 1_500),
        st.integers(1, 4),
        st.sampled_from(LANES),
        st.none() | st.integers(0, 12),
    ),
    max_size=80,
)  # (pause in ms, weight, lane, what a header says is left)
GROUPS = [(module, name) for module in (upbit, binance, kiwoom) for name in module.LIMITS]


def within(spent, at):
    """Return what left in the second that ends now."""
    return sum(weight for when, weight in spent if at - 1.0 + 1e-9 < when <= at)


@given(EVENTS)
def test_after_a_header_no_more_leaves_than_it_says(events):
    """What others took is not there for us within the second; never over the limit."""
    budget, now, spent, others = Budget(Limit(10, 1.0, kept=2)), 0.0, [], []
    for pause_ms, weight, lane, left in events:
        now += pause_ms / 1_000
        if left is not None:
            budget.told_left(now, left)
            known = within(spent, now) + within(others, now)  # what was told before is no news
            others.append((now, max(0, 10 - left - known)))
        while wait := budget.wait_for(now, weight, lane):
            now += wait
        budget.spend(now, weight)
        spent.append((now, weight))
        assert within(spent, now) + within(others, now) <= 10


def header_of(module, limit, used):
    """Return what a venue says about its limit."""
    if module is upbit:
        return {"remaining-req": f"group=x; min=600; sec={max(0, limit.weight - used)}"}
    return {"x-mbx-used-weight-1m": str(used)}


@pytest.mark.parametrize(("module", "group"), GROUPS, ids=[f"{m.VENUE}-{g}" for m, g in GROUPS])
def test_a_shared_limit_is_never_crossed(module, group):
    """Another program takes up to half of it; the sum never passes what the venue allows."""
    limit = module.LIMITS[group]
    heavy = max(1, limit.weight // 60)  # of one call

    async def scene():
        pacer, loop, rng = Pacer(module.LIMITS), asyncio.get_running_loop(), random.Random(7)
        heard, used, over = module.hear_limits(pacer), [], 0

        def count(now):
            used[:] = [each for each in used if each[0] > now - limit.seconds + 1e-9]
            return sum(weight for _, weight in used)

        async def other():
            while True:  # it stays below half, and is seen before we use the rest
                if count(loop.time()) < limit.weight // 2:
                    used.append((loop.time(), heavy))
                    name = "x" if module is upbit else group
                    reply = HttpReply(200, "{}", header_of(module, limit, count(loop.time())))
                    if module is upbit or group == "weight":
                        heard(
                            Call("c", group if name == "x" else name, "GET", "", {}),
                            reply_of(reply, group),
                        )
                    else:
                        pacer.left(group, limit.weight - count(loop.time()))
                await asyncio.sleep(rng.uniform(0.0, limit.seconds / limit.weight * 4 * heavy))

        async def ours():
            nonlocal over
            await pacer.turn(group, rng.choice(LANES), heavy)
            used.append((loop.time(), heavy))
            over += count(loop.time()) > limit.weight

        stranger = loop.create_task(other())
        await asyncio.gather(*(ours() for _ in range(limit.weight * 4 // heavy)))
        stranger.cancel()
        return over, loop.time()

    over, took = run_virtual(scene())
    assert over == 0
    assert took >= limit.seconds * 2


def reply_of(reply, group):
    """Return the answer with the group's own name in its header."""
    headers = {
        name: text.replace("group=x", f"group={group}") for name, text in reply.headers.items()
    }
    return reply._replace(headers=headers)
