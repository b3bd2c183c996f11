"""Bars and days from servers of chance: pages of any size, gaps, rows of other days, a page that stays.

What comes out is reckoned from what the server has, never asked of the bot.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from datetime import date, datetime, time, timedelta

import edge
import pytest
from test_calls_in_a_row import clients, good, reply, token
from test_rest import run

import kis_realtime_trading as bot

SYMBOL = edge.SYMBOLS[0]
EARLIER = date(2026, 11, 18)  # the day between them opens late
NOW = edge.at("10:05:30")


def prices(start, **more):
    """Return a row of a minute or of a day, by the broker's names; its volume tells it from others."""
    return {
        "stck_bsop_date": f"{start:%Y%m%d}", "stck_oprc": "70000", "stck_hgpr": "70100",
        "stck_lwpr": "69900", "acml_tr_pbmn": "0", **more,
    }  # fmt: skip


class Server:
    """A transport that has minutes and days, and shows the newest of a page up to what is asked."""

    def __init__(self, minutes=(), days=(), page=30, stays=False, others=()):
        self.minutes, self.days, self.page, self.others = (
            sorted(minutes),
            sorted(days),
            page,
            others,
        )
        self.stays = stays  # it knows no hour: the first page again and again
        self.asked = []

    async def __call__(self, method, url, headers, params, body):
        await asyncio.sleep(0)
        name = url.rpartition("/")[2]
        if name == "tokenP":
            return token()
        self.asked.append(dict(params))
        assert len(self.asked) < 500, "it asks for ever"
        if "FID_INPUT_HOUR_1" in params:
            day = params.get("FID_INPUT_DATE_1", f"{edge.DAY:%Y%m%d}")
            until = "235959" if self.stays else params["FID_INPUT_HOUR_1"]
            rows = [each for each in self.minutes if f"{each:%Y%m%d%H%M%S}" <= day + until]
            return good(output2=[
                prices(each, stck_cntg_hour=f"{each:%H%M%S}", stck_prpr="70000",
                       cntg_vol=f"{each:%d%H%M}")
                for each in reversed(rows[-self.page:])
            ])  # fmt: skip
        first, last = params["FID_INPUT_DATE_1"], params["FID_INPUT_DATE_2"]
        rows = [each for each in self.days if first <= f"{each:%Y%m%d}" <= last][-self.page :]
        return good(output2=[
            prices(each, stck_clpr="70000", acml_vol=f"{each:%Y%m%d}")
            for each in reversed(sorted({*rows, *self.others}))
        ])  # fmt: skip

    async def close(self):
        """Nothing is open."""


def market_of(folder, server):
    """Return market data of clients that reach a server."""
    return edge.desk(folder).again(transport=server).market


def minutes_of(pick, day, until, share):
    """Return the minutes of a day, some of them without a trade."""
    start = datetime.combine(day, time(9), bot.KST)
    count = int((until - start) / timedelta(minutes=1)) + 1
    return [start + timedelta(minutes=n) for n in range(count) if pick.random() < share]


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("today", [True, False])
def test_a_walk_over_minutes_brings_the_newest_that_there_are(tmp_path, seed, today):
    """Of the day asked for, finished, each once, oldest first, in as many pages as they need."""
    pick = random.Random(seed)
    page, share = pick.choice([2, 3, 7, 30]), pick.choice([1.0, 1.0, 0.8, 0.1])
    count = pick.choice([1, 2, 7, 30, 31, 60, 400])
    day = edge.DAY if today else EARLIER
    until = NOW if today else edge.at("15:30:00", EARLIER)
    if not today:
        page = pick.choice([30, 120])
    minutes = minutes_of(pick, day, until, share)
    before = minutes_of(
        pick, bot.previous_trading_day(day), edge.at("09:30", day) - timedelta(days=1), share
    )
    server = Server([*before, *minutes] if pick.random() < 0.5 else minutes, page=page)
    ripe = [each for each in minutes if not today or each + timedelta(minutes=1) <= NOW]

    async def main():
        market = market_of(tmp_path, server)
        if today:
            return await market.minute_bars_today(SYMBOL, NOW, count)
        return await market.minute_bars_of(SYMBOL, day, count)

    bars = run(main)
    assert [(bar.start, bar.volume) for bar in bars] == [
        (each, int(f"{each:%d%H%M}")) for each in ripe[-count:]
    ]
    hours = [each["FID_INPUT_HOUR_1"] for each in server.asked]
    assert hours[0] == (f"{NOW:%H%M%S}" if today else "153000")
    assert hours == sorted(set(hours), reverse=True) and all(hour >= "090000" for hour in hours)
    assert len(hours) <= min(len(minutes), count) // page + 2


@pytest.mark.parametrize("page", [2, 30])
@pytest.mark.parametrize("count", [30, 400])
def test_a_server_that_shows_one_page_only_is_not_asked_for_ever(tmp_path, page, count):
    """Its newest page is all that there is; one further question shows that."""
    minutes = minutes_of(random.Random(1), edge.DAY, NOW, 1.0)
    server = Server(minutes, page=page, stays=True)

    async def main():
        return await market_of(tmp_path, server).minute_bars_today(SYMBOL, NOW, count)

    bars = run(main)
    assert [bar.start for bar in bars] == [each for each in minutes[-page:] if each < minutes[-1]]
    assert len(server.asked) <= 2


@pytest.mark.parametrize("seed", range(40))
def test_a_walk_over_days_brings_each_of_the_span_once(tmp_path, seed):
    """Windows of a hundred rows, each from the day before the oldest; rows outside the span are none."""
    pick = random.Random(seed)
    last = edge.DAY - timedelta(days=pick.choice([0, 1, 30]))
    first = last - timedelta(days=pick.choice([0, 3, 98, 99, 100, 199, 200, 320]))
    span = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    days = [each for each in span if pick.random() < pick.choice([1.0, 0.9])]
    outside = [first - timedelta(days=1), last + timedelta(days=1)] if pick.random() < 0.5 else []
    server = Server(days=days, page=100, others=outside)
    adjusted = pick.random() < 0.5

    async def main():
        return await market_of(tmp_path, server).daily_bars(SYMBOL, first, last, adjusted)

    assert [(bar.day, bar.volume) for bar in run(main)] == [
        (each, int(f"{each:%Y%m%d}")) for each in days
    ]
    pages = [days[max(0, end - 100) : end] for end in range(len(days), -1, -100)]
    ends = [last] + [page[0] - timedelta(days=1) for page in pages if len(page) == 100]
    asked = [(each["FID_INPUT_DATE_1"], each["FID_INPUT_DATE_2"]) for each in server.asked]
    assert asked == [(f"{first:%Y%m%d}", f"{end:%Y%m%d}") for end in ends if end >= first]
    assert {each["FID_ORG_ADJ_PRC"] for each in server.asked} == {"0" if adjusted else "1"}


# what the broker says of a day -> whether it opens; None: that says nothing of it
OPENS = {"Y": True, "N": False, "": False, "y": False, "1": False, None: False}


@pytest.mark.parametrize("said", OPENS)
@pytest.mark.parametrize("place", ["first", "last", "missing"])
def test_a_day_opens_when_its_own_row_says_so(tmp_path, said, place):
    """The days around it say nothing of it; a list without it is no answer."""
    around = [("20261119", "Y"), ("20261121", "N"), ("20261123", "Y")]
    own = [] if place == "missing" else [("20261120", said)]
    rows = [*own, *around] if place == "first" else [*around, *own]
    answer = good(output=[{"bass_dt": day, "opnd_yn": word} for day, word in rows])

    async def main():
        desk, _ = clients(tmp_path, (0, token()), (0, answer))
        desk.profile = edge.profile_of(desk.sim, environment="real")
        market = desk.again().market
        try:
            return await market.is_open_day(date(2026, 11, 20))
        except bot.BadData:
            return "no answer"

    assert run(main) == ("no answer" if place == "missing" else OPENS[said])


@pytest.mark.parametrize("first", [False, True])
def test_a_price_that_trading_waits_for_overtakes_what_nobody_waits_for(tmp_path, first):
    """It goes in its own lane: before warm-up questions, in whatever order both were begun."""

    async def main():
        desk, transport = clients(tmp_path, (0, token()), pace=1.0)
        await desk.auth.token()
        await desk.rest.governor.turn(bot.LANE_QUERY)
        usual = desk.market.price("000660")
        looks = desk.market.price(SYMBOL, bot.LANE_LOOK)
        calls = (looks, usual) if first else (usual, looks)
        await asyncio.gather(*calls, return_exceptions=True)
        return [params["FID_INPUT_ISCD"] for _, _, params in transport.calls[1:]]

    assert run(main) == [SYMBOL, "000660"]


@pytest.mark.parametrize("codes", [(), (SYMBOL,), ("000660",), ("000660", SYMBOL)])
def test_a_code_that_the_settings_call_a_fund_is_one(tmp_path, codes):
    """The sell tax and the tick depend on it, whatever the broker calls it."""

    async def main():
        desk = edge.desk(tmp_path)
        market = bot.KISMarketData(desk.client, iter(codes))
        return [(await market.price(SYMBOL)).fund for _ in range(2)]

    assert run(main) == [SYMBOL in codes] * 2


# --- the account ---

HASHES = {"a" * 64: "ACCEPTED", "": "NOT_SENT", None: "NOT_SENT", "missing": "NOT_SENT"}


@pytest.mark.parametrize("given", HASHES)
def test_an_order_leaves_with_its_hash_or_not_at_all(tmp_path, given):
    """A server that gives none had no order: none is sent without."""

    async def main():
        answer = reply() if given == "missing" else reply(HASH=given)
        yes = good(output={"ODNO": "0000012345", "KRX_FWDG_ORD_ORGNO": "1"})
        desk, transport = clients(tmp_path, (0, token()), (0, answer), (0, yes))
        intent = bot.OrderIntent(
            "i1",
            edge.DAY,
            SYMBOL,
            bot.Side.BUY,
            bot.OrderKind.LIMIT,
            1,
            60_000,
            "entry",
            "0",
            "s",
            NOW,
        )
        said = await bot.KISOrder(desk.client, hashkey=True).submit(intent)
        sent = [
            headers.get("hashkey") for name, headers, _ in transport.calls if name == "order-cash"
        ]
        return said.outcome.name, sent

    assert run(main) == (HASHES[given], [given] if HASHES[given] == "ACCEPTED" else [])


TOTALS = {"": None, "0": 0, "-1200": -1200, "1.5": "unreadable", "x": "unreadable"}


@pytest.mark.parametrize("environment", ["real", "paper"])
@pytest.mark.parametrize("total", TOTALS)
def test_no_figure_of_the_day_is_no_zero(tmp_path, environment, total):
    """None without a total and on paper; a total that cannot be read is an error."""

    async def main():
        totals = [{"tot_rlzt_pfls": total}] if total else []
        answer = good(output1=[], output2=totals)
        desk, transport = clients(tmp_path, (0, token()), (0, answer))
        desk.profile = edge.profile_of(desk.sim, environment=environment)
        found = "unreadable"
        with contextlib.suppress(bot.BadData):
            found = await desk.again().orders.realized_today(edge.DAY)
        return found, len(transport.calls)

    assert run(main) == ((None, 0) if environment == "paper" else (TOTALS[total], 2))


@pytest.mark.parametrize(
    ("said", "name"), [("삼성전자", "삼성전자"), ("x" * 60, "x" * 40), ("{key} 전자", "***")]
)
def test_the_name_of_a_stock_is_short_and_echoes_no_key(tmp_path, said, name):
    """It is told on screen and phone, and written down."""

    async def main():
        desk = edge.desk(tmp_path)
        first = desk.transport

        async def echo(*call):
            answer = await first(*call)
            body = json.loads(answer.text)
            if "output" in body:
                secret = desk.profile.app_secret.reveal()
                body["output"]["hts_kor_isnm"] = said.format(key=secret)
            return answer._replace(text=json.dumps(body))

        echo.close = first.close
        return (await desk.again(transport=echo).market.price(SYMBOL)).name

    assert run(main) == name
