"""The chat of the demo: only with its key; what is typed and tapped goes to the bot as updates."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import edge
import pytest

import kis_realtime_trading as bot
from companions import phone_page


@contextlib.asynccontextmanager
async def chat() -> AsyncIterator[tuple[dict[str, str], bot.TelegramBot]]:
    """Serve the chat with a bot that answers each word."""
    ready: dict[str, str] = {}
    serving = asyncio.create_task(phone_page.serve(0, "en", ready.update))
    await edge.until(lambda: ready)
    box = bot.TelegramBot(
        bot.Secret(ready["token"]), str(phone_page.USER), ready["api"], (phone_page.USER,)
    )
    buttons = (("go", "/stop"),)
    box.obey = lambda word: bot.Answer(f"heard {word.command}", buttons, b"\x89PNG" * word.tapped)
    listening = asyncio.create_task(box.run())
    try:
        yield ready, box
    finally:
        for task in (serving, listening):
            task.cancel()
        await asyncio.gather(serving, listening, return_exceptions=True)


async def test_words_and_taps_reach_the_bot_and_its_answers_the_page():
    """A typed word, then a tap on the button of its answer, which is a picture; the menu is there."""
    async with chat() as (ready, _), aiohttp.ClientSession() as session:
        base = ready["page"].partition("/?")[0]
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            async with session.get(ready["page"]) as page:
                assert "chat.js" in await page.text()

            async def post(path: str, body: dict[str, object]) -> int:
                send = session.post(f"{base}{path}", json=body, headers={"Origin": base})
                async with send as reply:
                    return reply.status

            async def state() -> dict[str, list[dict[str, object]]]:
                async with session.get(f"{base}/api/chat") as reply:
                    return await reply.json()

            async def waits(count: int) -> list[dict[str, object]]:
                while len((await state())["messages"]) < count:
                    await asyncio.sleep(0.02)
                return (await state())["messages"]

            assert await post("/api/say", {"text": "/status"}) == 200
            said = await asyncio.wait_for(waits(2), 90)
            assert [each["text"] for each in said] == ["/status", "heard status"]
            await post("/api/tap", {"number": said[1]["number"], "data": "/flatten"})  # no such
            await post("/api/tap", {"number": said[1]["number"], "data": "/stop"})
            told = (await asyncio.wait_for(waits(3), 90))[2]
            assert told["text"] == "heard stop" and told["photo"]
            assert (await state())["commands"][0]["command"] == "status"


async def test_without_the_key_or_from_another_site_nothing_is_shown_or_done():
    """No cookie, a foreign host, a foreign origin."""
    async with chat() as (ready, _), aiohttp.ClientSession() as session:
        base = ready["page"].partition("/?")[0]
        async with session.get(f"{base}/api/chat") as reply:
            assert reply.status == 403
        async with session.get(f"{base}/?key=guess") as reply:
            assert reply.status == 403
        async with session.get(ready["page"], headers={"Host": "evil.example"}) as reply:
            assert reply.status == 403
        cookie = {"Cookie": f"{phone_page.COOKIE}={ready['page'].partition('key=')[2]}"}
        async with session.post(f"{base}/api/say", json={"text": "/stop"}, headers=cookie) as reply:
            assert reply.status == 403


def test_the_files_of_the_page_load_nothing_from_elsewhere():
    """Everything is ours and on this machine."""
    for file in Path(phone_page.STATIC).iterdir():
        assert "http" not in file.read_text("utf-8"), file


@pytest.mark.parametrize("words", [["companions.phone_page"], ["companions.page", "--port", "0"]])
def test_a_page_ends_with_whoever_made_it_however_that_ended(tmp_path, words):
    """A demo that is killed, or whose terminal is closed, leaves no server behind: their input ends."""
    more = ["--state", str(tmp_path)] if "companions.page" in words else []
    process = subprocess.Popen(
        [sys.executable, "-m", *words, *more, "--until-eof"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, cwd=edge.ROOT, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout and process.stdout.readline()  # it serves
        assert process.poll() is None and process.stdin
        process.stdin.close()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
