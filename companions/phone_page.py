"""`--demo --phone`: the chat with the bot as a page on 127.0.0.1, without Telegram and without a token.

One process serves the small Bot API to the bot and a page that looks like the chat to the
browser: the same messages, buttons and pictures; what is typed or tapped goes to the bot as updates.
The address holds a key as that of the page does; nothing else is let in.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web

import kis_realtime_trading as bot
from companions import telegram_server
from companions.page.door import Door, end_with_maker

STATIC = Path(__file__).parent / "phone_static"
FILES = {"chat.js": "text/javascript", "chat.css": "text/css"}
STAYS = (
    "대화 화면은 계속 열려 있습니다. Ctrl-C로 끝냅니다.",
    "the chat stays open; Ctrl-C ends it",
)
COOKIE, USER = "kisbot_phone", 4242


class Chat:
    """The page beside one BotApi."""

    def __init__(self, api: telegram_server.BotApi, key: str, language: str) -> None:
        self.api, self.door, self._language = api, Door(key, COOKIE), language
        self._mine: list[tuple[float, str]] = []  # when and what the person typed

    def app(self) -> web.Application:
        """Return the application with its routes."""
        app = web.Application(middlewares=[self.door.guard], client_max_size=4096)
        app.router.add_get("/", self.index)
        for name in FILES:
            app.router.add_get(f"/{name}", self.file)
        app.router.add_get("/api/chat", self.chat)
        app.router.add_get("/photo/{number}", self.photo)
        app.router.add_post("/api/say", self.say)
        app.router.add_post("/api/tap", self.tap)
        return app

    async def index(self, request: web.Request) -> web.StreamResponse:
        """Return the one HTML page."""
        return web.Response(
            text=(STATIC / "chat.html").read_text("utf-8"), content_type="text/html"
        )

    async def file(self, request: web.Request) -> web.StreamResponse:
        """Return one of the files of FILES."""
        name = request.path[1:]
        return web.Response(
            body=(STATIC / name).read_bytes(), content_type=FILES[name], charset="utf-8"
        )

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Return what stands in the chat, oldest first."""

        def shown(at: float) -> str:
            return f"{datetime.fromtimestamp(at, bot.KST):%H:%M}"

        entries: list[tuple[float, dict[str, Any]]] = [
            (sent.at, {
                "id": f"b{sent.message_id}", "number": sent.message_id, "mine": False,
                "text": sent.text, "edits": sent.edits, "buttons": sent.buttons,
                "photo": bool(sent.photo), "at": shown(sent.at),
            })
            for sent in self.api.sent
        ]  # fmt: skip
        entries += [
            (at, {"id": f"m{n}", "number": 0, "mine": True, "text": text, "edits": 0, "buttons": (),
                  "photo": False, "at": shown(at)})
            for n, (at, text) in enumerate(self._mine)
        ]  # fmt: skip
        messages = [each for _, each in sorted(entries, key=lambda entry: entry[0])]
        return web.json_response({
            "language": self._language, "commands": self.api.commands, "version": len(messages),
            "messages": messages, "toasts": [text for _, text in self.api.toasts],
        })  # fmt: skip

    async def photo(self, request: web.Request) -> web.StreamResponse:
        """Return a picture of a message."""
        number = request.match_info["number"]
        for sent in self.api.sent:
            if str(sent.message_id) == number and sent.photo:
                return web.Response(body=sent.photo, content_type="image/png")
        return web.Response(status=404)

    async def say(self, request: web.Request) -> web.StreamResponse:
        """Let the person write to the bot."""
        text = str((await self._body(request)).get("text", ""))[:200]
        if text:
            self._mine.append((time.time(), text))
            self.api.say(text)
        return web.json_response({})

    async def tap(self, request: web.Request) -> web.StreamResponse:
        """Let the person tap a button that stands in the chat."""
        body = await self._body(request)
        for sent in self.api.sent:
            known = {data for _, data in sent.buttons}
            if sent.message_id == body.get("number") and body.get("data") in known:
                self.api.tap(str(body["data"]), sent.message_id)
        return web.json_response({})

    @staticmethod
    async def _body(request: web.Request) -> dict[str, Any]:
        try:
            body = json.loads(await request.text())
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}


async def serve(port: int, language: str, told: Callable[[dict[str, str]], None]) -> None:
    """Serve API and page until cancelled; `told` gets token, api and page."""
    token, key = f"{USER}:{secrets.token_urlsafe(26)}", secrets.token_urlsafe(18)
    async with telegram_server.serve(token, USER) as (api, url):
        chat = Chat(api, key, language)
        runner = web.AppRunner(chat.app(), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            chat.door.port = runner.addresses[0][1]
            page = f"http://127.0.0.1:{chat.door.port}/?key={key}"
            told({"token": token, "api": url, "page": page})
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


@contextlib.contextmanager
def beside(settings: bot.Settings, language: str, wait: bool) -> Iterator[bot.Settings]:
    """Run the chat as a process of its own; yield settings by which the bot talks to it.

    `wait`: the page stays open until Ctrl-C when the day is over.
    """
    root = Path(bot.__file__ or "").parent
    command = [sys.executable, "-m", "companions.phone_page", "--until-eof", "--language", language]
    paths = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": paths}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        ready = json.loads((process.stdout.readline() if process.stdout else "") or "{}")
        if not ready:
            raise bot.BotError(
                bot.Both("the chat did not start", "대화 화면이 시작되지 않았습니다")
            )
        korean = f"휴대폰 대화 화면 (브라우저로 여십시오): {ready['page']}"
        print(korean if language == "ko" else f"the phone's chat: {ready['page']}", flush=True)
        section = settings.bot.model_copy(
            update={"telegram_api": ready["api"], "telegram_users": (USER,)}
        )
        yield replace(
            settings, bot=section, telegram_token=bot.Secret(ready["token"]),
            telegram_chat=str(USER),
        )  # fmt: skip
        if wait:
            print(STAYS[language == "en"], flush=True)
            process.wait()
    finally:
        process.terminate()
        process.wait()


def main() -> int:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="companions.phone_page", allow_abbrev=False)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--language", choices=("ko", "en"), default="ko")
    parser.add_argument("--until-eof", action="store_true", help="end with its maker")
    options = parser.parse_args()
    if options.until_eof:
        end_with_maker()

    def tell(ready: dict[str, str]) -> None:
        print(json.dumps(ready), flush=True)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.port, options.language, tell))
    return 0


if __name__ == "__main__":
    sys.exit(main())
