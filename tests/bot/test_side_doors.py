"""The second address for what is urgent, and the sign of life: never on the way of trading."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import edge
import harness
import pytest
from aiohttp import web

import kis_realtime_trading as bot
from companions import simulator


class Host:
    """A host that takes what is posted, with the statuses that it is told to answer."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.seen = list(statuses), list[tuple[str, str, bytes]]()

    async def handle(self, request: web.Request) -> web.Response:
        """Note a call and answer it."""
        self.seen.append((request.method, request.path, await request.read()))
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    def texts(self) -> list[str]:
        """Return the texts that came to the webhook."""
        return [json.loads(body)["text"] for method, _, body in self.seen if method == "POST"]


@contextlib.asynccontextmanager
async def serving(*statuses: int) -> AsyncIterator[tuple[Host, str]]:
    """Serve a host on a free port of this machine."""
    host, application = Host(*statuses), web.Application()
    application.router.add_route("*", "/{anything:.*}", host.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield host, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def doors_to(webhook: str = "", heartbeat: str = "") -> bot.SideDoors:
    """Return quick doors to two addresses."""
    settings = harness.make_settings(
        simulator.Simulator(edge.config()), webhook_url=webhook, heartbeat_url=heartbeat
    )
    assert settings.bot is not None
    doors = bot.SideDoors(settings.bot)
    doors.PAUSES, doors.EVERY_S = bot.Pauses((0.01, 0.02, 0.04, 0.05)), 0.05  # type: ignore[misc]
    return doors


@contextlib.asynccontextmanager
async def running(doors: bot.SideDoors) -> AsyncIterator[bot.Watchdog]:
    """Let doors run beside a trader whose signs the watchdog counts."""
    watchdog = bot.Watchdog()
    task = asyncio.create_task(doors.run(watchdog))
    try:
        yield watchdog
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_words_arrive_in_their_order_as_a_text_and_nothing_else():
    """One body has one field: no account, no key, no address."""
    async with serving() as (host, url):
        doors = doors_to(f"{url}/hook")
        async with running(doors):
            for text in ("⛔ 하나", "⛔ 둘"):
                doors.post(text)
            await edge.until(lambda: not doors.waiting)
    assert host.texts() == ["⛔ 하나", "⛔ 둘"]
    assert {path for _, path, _ in host.seen} == {"/hook"}
    assert all(set(json.loads(body)) == {"text"} for _, _, body in host.seen)
    assert doors.troubles == {}


@pytest.mark.parametrize("statuses", [(500, 503), (429,)])
async def test_a_host_in_trouble_is_asked_again_and_nothing_is_lost(statuses: tuple[int, ...]):
    """After each refusal the same text again; the trouble ends when it is taken."""
    async with serving(*statuses) as (host, url):
        doors = doors_to(url)
        async with running(doors):
            doors.post("⛔")
            await edge.until(lambda: doors.troubles)
            assert str(statuses[0]) in doors.troubles["webhook"]
            await edge.until(lambda: not doors.waiting)
            await edge.until(lambda: not doors.troubles)
    assert host.texts() == ["⛔"] * (len(statuses) + 1)


async def test_a_text_that_is_refused_for_good_does_not_hold_the_next():
    """404: the address is wrong, or gone; that is trouble until one is taken again."""
    async with serving(404) as (host, url):
        doors = doors_to(url)
        async with running(doors):
            doors.post("⛔ 하나")
            await edge.until(lambda: "404" in doors.troubles.get("webhook", ""))
            doors.post("⛔ 둘")
            await edge.until(lambda: not doors.troubles)
    assert host.texts() == ["⛔ 하나", "⛔ 둘"]


async def test_a_redirect_is_not_followed():
    """What was meant for one host goes to no other."""
    async with serving(302, 302) as (host, url):
        doors = doors_to(f"{url}/hook", f"{url}/life")
        async with running(doors) as watchdog:
            watchdog.tell("WATCHDOG=1")
            doors.post("⛔")
            await edge.until(lambda: not doors.waiting)
            await edge.until(lambda: len(host.seen) >= 3)
    assert "/elsewhere" not in {path for _, path, _ in host.seen}


async def test_a_dead_host_holds_nothing_up_and_the_queue_is_bounded():
    """Words are put in at once, the oldest go; the address is in no text of the trouble."""
    doors = doors_to("http://127.0.0.1:1/secret-part")
    async with running(doors):
        posted_s = edge.quickest_s(lambda: [doors.post(f"⛔ {number}") for number in range(10_000)])
        assert posted_s < 0.1
        await edge.until(lambda: doors.troubles)
    assert doors.waiting[0] == "⛔ 9950" and len(doors.waiting) == 50
    assert "secret-part" not in doors.troubles["webhook"] and "127" not in doors.troubles["webhook"]


async def test_signs_of_life_come_only_while_the_trader_gets_on():
    """A stuck trader gives none: the watchdog elsewhere rings."""
    async with serving() as (host, url):
        doors = doors_to(heartbeat=f"{url}/life")
        async with running(doors) as watchdog:
            await asyncio.sleep(0.1)
            assert host.seen == []
            for count in (1, 2, 3):
                watchdog.tell("WATCHDOG=1")
                await edge.until(lambda count=count: len(host.seen) == count)
            watchdog.tell("STOPPING=1")
            await asyncio.sleep(0.2)
    assert host.seen == [("GET", "/life", b"")] * 3


async def test_without_addresses_nothing_is_kept_and_nothing_runs():
    """The usual case costs nothing."""
    doors = doors_to()
    doors.post("⛔")
    edge.run_without_waiting(doors.run(bot.Watchdog()))
    assert not doors.waiting


# --- the whole bot ---


def test_what_is_urgent_and_what_lasts_goes_there_cleaned_and_named():
    """Fills and reports do not; a secret in a text of the broker is starred."""
    world = harness.World(edge.config(), settings={"webhook_url": "http://127.0.0.1:1/x"})

    async def main() -> list[str]:
        trader = world.make_trader(harness.Nothing())
        account = trader.profile.account.reveal()
        order = {"symbol": "005930", "side": bot.Side.BUY, "quantity": 1, "price": 5, "reason": "x"}
        trader.bridge.names["005930"] = "삼성전자"
        for code, values in (
            ("order_sent", order), ("order_unknown", order), ("stopped", {"why": "x"}),
            ("error", {"what": f"account {account}"}),
            ("trouble", {"what": "no answer", "held": ""}),
        ):  # fmt: skip
            trader.bridge.execute([bot.Alert(code, values)])
        trader.journal.close()
        assert not any(account in text for text in trader.bridge.doors.waiting)
        return list(trader.bridge.doors.waiting)

    try:
        unknown, error, trouble = harness.run_virtual(main())
    finally:
        world.close()
    assert "결과 불명: 삼성전자" in unknown and "account ***" in error and "주의" in trouble


def test_the_addresses_are_among_the_secrets():
    """Logs and messages star them, and the settings in a recording do not show them."""
    url = "https://example.com/ping/ab"
    settings = harness.make_settings(simulator.Simulator(edge.config()), heartbeat_url=url)
    assert url in [each.reveal() for each in bot.all_secrets(settings)]
    assert settings.bot and "ping" not in settings.bot.model_dump_json()
