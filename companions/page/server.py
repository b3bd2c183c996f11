"""Answers the browser: on 127.0.0.1 only, to whoever holds the key printed at the start.

Who gets in, and what a browser may do with it, stands in door.py. Downward commands (entries off,
reduce only, flatten) need a typed word and go to the bot by its own command line; none goes up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

import kis_realtime_trading as bot
from companions.page import data
from companions.page.door import HEADERS, Door, Handler, end_with_maker
from companions.plain_words import words_of

STATIC = Path(__file__).parent / "static"
COOKIE = "kisbot_page"
USUAL_PORT = 8765
MOST_STREAMS = 24
LOOK_S = 0.5  # between two looks at the status file
COMMAND_PATIENCE_S = 20.0
# What the buttons may do, and the words that must be typed for it, Korean or English.
CONFIRM = {
    "ENTRIES_OFF": ("신규중지", "ENTRIES OFF"),
    "REDUCE_ONLY": ("축소", "REDUCE"),
    "FLATTEN_AND_HALT": ("전량매도", "FLATTEN"),
}
FILES = {
    "page.js": "text/javascript",
    "page.css": "text/css",
    "lightweight-charts.standalone.production.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


class Page:
    """The handlers of one state folder."""

    def __init__(self, folder: Path, key: str, port: int) -> None:
        self._folder, self._door = folder, Door(key, COOKIE, port)
        self._cached = data.Cached(folder)
        self._reading = asyncio.Lock()
        self._streams = 0

    def app(self) -> web.Application:
        """Return the application with its routes."""
        app = web.Application(
            middlewares=[self._door.guard, self._tell_faults], client_max_size=4096
        )
        app.router.add_get("/", self.index)
        for name in FILES:
            app.router.add_get(f"/{name}", self.file)
        app.router.add_get("/events", self.events)
        app.router.add_get("/api/results", self.results)
        app.router.add_get("/api/candles", self.candles)
        app.router.add_get("/api/journal", self.journal)
        app.router.add_get("/api/why", self.why)
        app.router.add_get("/api/premium", self.premium)
        app.router.add_post("/api/command", self.command)
        return app

    @web.middleware
    async def _tell_faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except bot.BotError as error:
            return web.json_response({"error": str(error)}, status=404)

    async def index(self, request: web.Request) -> web.StreamResponse:
        """Return the one HTML page."""
        return web.Response(
            text=(STATIC / "index.html").read_text("utf-8"), content_type="text/html"
        )

    async def file(self, request: web.Request) -> web.StreamResponse:
        """Return one of the files of FILES."""
        name = request.path[1:]
        return web.Response(
            body=(STATIC / name).read_bytes(), content_type=FILES[name], charset="utf-8"
        )

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream the status as server-sent events whenever it changes; a beat every ten seconds."""
        if self._streams >= MOST_STREAMS:
            return web.Response(status=503, text="too many open pages")
        self._streams += 1
        try:
            response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
            await response.prepare(request)
            last, quiet = "", 0.0
            while True:
                status = await asyncio.to_thread(data.read_status, self._folder)
                text = json.dumps({**status, "written_s": None}, ensure_ascii=False)
                if text != last or quiet >= 10.0:
                    sent = json.dumps(status, ensure_ascii=False)
                    await response.write(f"event: status\ndata: {sent}\n\n".encode())
                    last, quiet = text, 0.0
                await asyncio.sleep(LOOK_S)
                quiet += LOOK_S
        except ConnectionError:  # the browser went
            return response
        finally:
            self._streams -= 1

    async def results(self, request: web.Request) -> web.StreamResponse:
        """Return the figures over days."""
        report = await self._report()
        return web.json_response(await asyncio.to_thread(data.results, report, _language(request)))

    async def candles(self, request: web.Request) -> web.StreamResponse:
        """Return bars and marks of one stock."""
        symbol = request.query.get("symbol", "")
        if not (symbol.isascii() and symbol.isalnum() and len(symbol) <= 12):
            return web.json_response({"error": "no such stock"}, status=400)
        report = await self._report()
        return web.json_response(
            await asyncio.to_thread(data.candles, self._folder, symbol, report)
        )

    async def journal(self, request: web.Request) -> web.StreamResponse:
        """Return the newest rows of the journal."""
        kind, text = request.query.get("kind", "")[:20], request.query.get("text", "")[:40]
        rows = await asyncio.to_thread(
            data.journal_rows, self._folder, kind, text, _language(request)
        )
        return web.json_response(rows)

    async def why(self, request: web.Request) -> web.StreamResponse:
        """Return in sentences how one order came about and what became of it."""
        wanted = request.query.get("ref", "last")[:20]
        async with self._reading:
            said = await asyncio.to_thread(data.sentences, self._folder, wanted, _language(request))
        return web.json_response({"sentences": said})

    async def premium(self, request: web.Request) -> web.StreamResponse:
        """Return the last day of the kimchi premium, no coins when nobody watches it."""
        return web.json_response({"coins": await asyncio.to_thread(data.premium, self._folder)})

    async def command(self, request: web.Request) -> web.StreamResponse:
        """Leave a downward command for the bot; the body names it and the word that was typed."""
        try:
            wanted = json.loads(await request.text())
            level, typed = str(wanted["level"]), str(wanted["typed"]).strip()
        except (ValueError, KeyError, TypeError):
            return web.json_response({"error": "no command"}, status=400)
        if level not in CONFIRM:
            return web.json_response({"error": "not from here"}, status=403)
        if typed not in CONFIRM[level]:
            return web.json_response({"error": "the word differs"}, status=409)
        done, text = await leave_command(level, self._folder)
        return web.json_response({"done": done, "text": text}, status=200 if done else 502)

    async def _report(self) -> Any:
        async with self._reading:  # one reader of the journal at a time
            return await asyncio.to_thread(self._cached.report)


def _language(request: web.Request) -> str:
    return "en" if request.query.get("language") == "en" else "ko"


async def leave_command(level: str, folder: Path) -> tuple[bool, str]:
    """Give the bot a level through its own command line; return whether it was taken, and its words."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, bot.__file__ or "", "--level", level, "--state", str(folder.absolute()),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(COMMAND_PATIENCE_S):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return False, "the bot's command line did not answer"
    return process.returncode == 0, said.decode("utf-8", "replace").strip()[-400:]


def refuse_taken(port: int) -> None:
    """Raise bot.BotError when a port cannot be opened: said before a day begins, not beside it."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise bot.BotError(words_of(error, f"127.0.0.1:{port}")) from error


async def serve(folder: Path, port: int, told: Callable[[str], None]) -> None:
    """Show the page until cancelled. `told` gets its address once it can be opened."""
    key, listening = secrets.token_urlsafe(24), socket.create_server(("127.0.0.1", port))
    port = listening.getsockname()[1]  # 0 asked for a free one
    page = Page(folder, key, port)
    runner = web.AppRunner(page.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        told(f"http://127.0.0.1:{port}/?key={key}")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def start(folder: Path, port: int, language: str) -> subprocess.Popen[bytes]:
    """Start the page as a process of its own, out of reach of the bot's Ctrl-C."""
    root = Path(bot.__file__ or "").parent
    command = [
        sys.executable, "-m", "companions.page", "--state", str(folder), "--port", str(port),
        "--language", language, "--until-eof",
    ]  # fmt: skip
    paths = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    environ = {**os.environ, "PYTHONPATH": paths}
    return subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, start_new_session=True)


def run(folder: Path, port: int, language: str = "ko") -> int:
    """Show the page of a state folder until Ctrl-C; return the exit code."""
    if not folder.is_dir():
        print(
            f"상태 폴더가 없습니다: {folder} (--state DIR)"
            if language == "ko"
            else f"no state folder {folder}: give --state DIR",
            file=sys.stderr,
        )
        return bot.EXIT_FAILED

    def tell(url: str) -> None:
        at = url.partition("/?")[0].rpartition(":")[2]
        tunnel = f"ssh -L {at}:127.0.0.1:{at} SERVER"
        if language == "ko":
            print(
                f"화면 주소 (접속 키가 들어 있으니 남에게 주지 마십시오):\n  {url}\n서버에 있다면 내 컴퓨터에서: {tunnel}\n끝내기: Ctrl-C",
                flush=True,
            )
        else:
            print(
                f"the page (with its key; give it to nobody):\n  {url}\nfrom another computer: {tunnel}\nCtrl-C ends it",
                flush=True,
            )

    try:
        os.nice(5)  # the bot goes first
        asyncio.run(serve(folder, port, tell))
    except OSError as error:
        raise bot.BotError(words_of(error, f"127.0.0.1:{port}")) from error
    except KeyboardInterrupt:
        pass
    return 0


def main() -> int:
    """Read the arguments and show the page."""
    parser = argparse.ArgumentParser(prog="companions.page", allow_abbrev=False)
    parser.add_argument(
        "--state", type=Path, default=Path("kis_state"), help="state folder of the bot"
    )
    parser.add_argument("--port", type=int, default=USUAL_PORT)
    parser.add_argument("--language", choices=("ko", "en"), default="ko")
    parser.add_argument("--until-eof", action="store_true", help="end with its maker")
    options = parser.parse_args()
    if options.until_eof:
        end_with_maker()
    return run(options.state, options.port, options.language)
