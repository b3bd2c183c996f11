"""Servers that refuse one kind of a question, or show an account of another kind."""

import json

import harness
import pytest
from test_trader import Life, wishes


class Choosy:
    """The network that refuses the balance by one INQR_DVSN, and notes what it was asked."""

    def __init__(self, inner, refused):
        self.inner, self.connect, self.refused = inner, inner.connect, refused
        self.balances, self.cash = [], []

    async def __call__(self, method, url, headers, params, body):
        reply = await self.inner(method, url, headers, params, body)
        if "psbl-order" in url:
            self.cash.append(params["CMA_EVLU_AMT_ICLD_YN"])
        if "inquire-balance" not in url:
            return reply
        self.balances.append(params["INQR_DVSN"])
        if params["INQR_DVSN"] not in self.refused:
            return reply
        text = {"rt_cd": "1", "msg_cd": "OPSQ2001", "msg1": "ERROR INPUT FIELD"}
        return reply._replace(text=json.dumps(text))


@pytest.mark.parametrize(
    ("refused", "bought"), [(("02",), True), (("01",), True), (("01", "02"), False)]
)
def test_a_balance_that_is_refused_by_one_kind_comes_by_the_other(refused, bought, caplog):
    """OPSQ2001 comes and goes: the day is traded, the change is said once, not at each question."""

    async def story(life):
        life.world.network = choosy = Choosy(life.network, refused)
        trader, run = await life.begin(wishes("09:22:00"))
        await life.world.until("09:26:00")
        await life.stop(trader, run)
        return choosy.balances

    life = Life()
    with caplog.at_level("WARNING", "kisbot"):
        asked = life.play(story)
    assert bool(life.orders) is bought
    assert caplog.text.count("the balance comes by") == (refused == ("02",))
    if bought:
        assert len(set(asked[2:])) == 1  # no second try at each question


@pytest.mark.parametrize("cma", [False, True])
def test_a_cma_account_is_asked_for_its_cma_value(cma):
    """Its deposit is 0, and nothing would ever be bought; the setting says so."""

    async def story(life):
        life.world.network = choosy = Choosy(life.network, ())
        trader, run = await life.begin(harness.Nothing())
        await life.world.until("09:21:00")
        await life.stop(trader, run)
        return set(choosy.cash)

    assert Life(settings={"cma": cma}).play(story) == {"Y" if cma else "N"}


def test_blank_rows_of_other_stocks_stop_no_trading():
    """An unreadable row of the owner's bond in balance and list: the day goes on."""

    async def story(life):
        inner = life.network

        class WithBond:
            connect = inner.connect

            async def __call__(self, method, url, headers, params, body):
                reply = await inner(method, url, headers, params, body)
                if "inquire-balance" in url or "daily-ccld" in url:
                    data = json.loads(reply.text)
                    data["output1"].append({"pdno": "KR103501", "odno": "7", "hldg_qty": ""})
                    return reply._replace(text=json.dumps(data))
                return reply

        life.world.network = WithBond()
        trader, run = await life.begin(wishes("09:22:00"))
        await life.world.until("09:26:00")
        holds = list(trader.engine.core.holds)
        await life.stop(trader, run)
        return holds

    life = Life()
    assert life.play(story) == []
    assert len(life.orders) == 1
