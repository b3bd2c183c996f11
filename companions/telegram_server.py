"""A small Bot API server on loopback, for tests and for trying the phone without a token.

It keeps one private chat, checks every call against the rules of the Bot API (length of texts, ids,
buttons, one reader of updates) and can be told to misbehave: `fault(409)`, `fault(429, retry_after=5)`,
`fault(502)`, `fault("garbage")`, `fault("big", size=5_000_000)`, `fault("hang")`,
`fault("lost reply")`, `fault("migrate", chat=-100...)`. Tokens here are invented ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MOST_TEXT, MOST_CAPTION, MOST_CALLBACK_BYTES, MOST_PHOTO_BYTES = 4096, 1024, 64, 10_000_000


@dataclass
class Fault:
    """What the next calls of a method get instead of the true answer."""

    effect: int | str
    method: str = ""  # any
    times: int = 1
    values: dict[str, Any] = field(default_factory=dict)


@dataclass
class Sent:
    """A message in the chat, as it stands now."""

    message_id: int
    chat_id: int
    text: str
    edits: int = 0
    buttons: tuple[tuple[str, str], ...] = ()  # face, data
    photo: bytes = b""
    at: float = 0.0


class BadCall(Exception):
    """A call that the Bot API would refuse."""

    def __init__(self, code: int, text: str, **parameters: Any) -> None:
        super().__init__(text)
        self.code, self.text, self.parameters = code, text, parameters


def units(text: str) -> int:
    """Return the length as Telegram counts it, in UTF-16 units (doc: message length)."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def check_text(text: str, most: int = MOST_TEXT) -> None:
    """Refuse an empty or overlong text, as Telegram does."""
    if not text.strip():
        raise BadCall(400, "Bad Request: message text is empty")
    if units(text) > most:
        raise BadCall(400, "Bad Request: message is too long")


def check_markup(markup: str) -> tuple[tuple[str, str], ...]:
    """Return the buttons; refuse those that Telegram would not show."""
    if not markup:
        return ()
    try:
        rows = json.loads(markup).get("inline_keyboard", [])
        found = [(each["text"], each.get("callback_data", "x")) for row in rows for each in row]
    except (ValueError, AttributeError, KeyError, TypeError):
        raise BadCall(400, "Bad Request: can't parse reply keyboard markup JSON object") from None
    if any(not 1 <= len(data.encode()) <= MOST_CALLBACK_BYTES for _, data in found):
        raise BadCall(400, "Bad Request: BUTTON_DATA_INVALID")
    return tuple(found)


def check_commands(text: str) -> list[dict[str, str]]:
    """Return the commands of a menu; refuse those that Telegram does not take."""
    try:
        found = [(str(each["command"]), str(each["description"])) for each in json.loads(text)]
    except (ValueError, KeyError, TypeError):
        raise BadCall(400, "Bad Request: can't parse commands JSON object") from None
    for name, told in found:
        if not re.fullmatch("[a-z0-9_]{1,32}", name) or not 1 <= len(told) <= 256:
            raise BadCall(400, "Bad Request: BOT_COMMAND_INVALID")
    if len(found) > 100:
        raise BadCall(400, "Bad Request: too many commands")
    return [{"command": name, "description": told} for name, told in found]


class BotApi:
    """The server's state: what was sent, what waits to be read, how to misbehave."""

    def __init__(self, token: str, user: int) -> None:
        self.token, self.user, self.chats = token, user, {user}
        self.sent: list[Sent] = []
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.faults: list[Fault] = []
        self.updates: list[dict[str, Any]] = []
        self.commands: list[dict[str, str]] = []  # the menu
        self.toasts: list[tuple[str, str]] = []  # answered taps: id and text
        self.confirmed = 0  # updates below were confirmed by an offset
        self._next_update, self._readers = 1000, 0
        self._news = asyncio.Event()
        self.changed = asyncio.Event()  # set by each message

    # --- what a test or a page does ---

    def fault(self, effect: int | str, method: str = "", times: int = 1, **values: Any) -> None:
        """Give the next calls another answer."""
        self.faults.append(Fault(effect, method, times, values))

    def say(self, text: str, age_s: float = 0.0, **changes: Any) -> int:
        """Let the person write; `changes` replaces parts of the message. Return the update's id."""
        person = {"id": self.user, "is_bot": False, "first_name": "주인"}
        message = {
            "message_id": 5000 + self._next_update, "date": int(time.time() - age_s),
            "chat": {"id": self.user, "type": "private"}, "from": person, "text": text, **changes,
        }  # fmt: skip
        return self.push({"message": message})

    def tap(self, data: str, message_id: int = 1, **changes: Any) -> int:
        """Let the person tap a button of a message; `changes` replaces parts of the query."""
        person = {"id": self.user, "is_bot": False, "first_name": "주인"}
        sent = next((s for s in self.sent if s.message_id == message_id), None)
        date = int(sent.at if sent else time.time())
        message = {
            "message_id": message_id, "date": date, "text": sent.text if sent else "",
            "chat": {"id": self.user, "type": "private"},
        }  # fmt: skip
        query = {
            "id": str(self._next_update), "from": person, "message": message, "data": data,
            "chat_instance": "1", **changes,
        }  # fmt: skip
        return self.push({"callback_query": query})

    def push(self, update: dict[str, Any]) -> int:
        """Let an update of any kind come."""
        number, self._next_update = self._next_update, self._next_update + 1
        self.updates.append({"update_id": number, **update})
        self._news.set()
        return number

    @property
    def texts(self) -> list[str]:
        """Return what stands in the chat, in order."""
        return [each.text for each in self.sent]

    # --- the calls ---

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one call."""
        _, path, method = request.path.split("/", 2) if request.path.count("/") == 2 else ("",) * 3
        form = {**request.query}
        for name, value in (await request.post()).items():
            is_file = isinstance(value, web.FileField)
            form[name] = value.file.read().hex() if is_file else str(value)  # type: ignore[union-attr]
        self.calls.append((method, form))
        fault = self._take_fault(method)
        try:
            if path != f"bot{self.token}":
                raise BadCall(401, "Unauthorized")
            if fault:
                early = await self._misbehave(fault, request)
                if early is not None:
                    return early
            known = getattr(self, f"_do_{method.lower()}", None)
            if known is None:
                raise BadCall(404, "Not Found: method not found")
            result = await known(form)
        except BadCall as error:
            body = {"ok": False, "error_code": error.code, "description": error.text}
            return web.json_response({**body, "parameters": error.parameters}, status=error.code)
        if fault and fault.effect == "lost reply" and request.transport:
            request.transport.abort()
        return web.json_response({"ok": True, "result": result})

    def _take_fault(self, method: str) -> Fault | None:
        for fault in self.faults:
            if fault.method in ("", method):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    async def _misbehave(self, fault: Fault, request: web.Request) -> web.StreamResponse | None:
        values = fault.values
        if isinstance(fault.effect, int):
            raise BadCall(fault.effect, values.pop("text", "trouble"), **values)
        if fault.effect == "migrate":
            self.chats.add(values["chat"])
            text = "Bad Request: group chat was upgraded to a supergroup chat"
            raise BadCall(400, text, migrate_to_chat_id=values["chat"])
        if fault.effect == "garbage":
            return web.Response(text="<html>no bot here</html>", content_type="text/html")
        if fault.effect == "big":
            return web.Response(body=b"x" * int(values.get("size", 5_000_000)))
        if fault.effect == "redirect":
            return web.Response(status=302, headers={"Location": values["to"]})
        if fault.effect == "hang":
            await asyncio.sleep(float(values.get("seconds", 3600.0)))
        return None

    def _message(self, sent: Sent) -> dict[str, Any]:
        chat = {"id": sent.chat_id, "type": "private" if sent.chat_id > 0 else "supergroup"}
        date = int(time.time())
        message = {"message_id": sent.message_id, "date": date, "chat": chat}
        if not sent.photo:
            return {**message, "text": sent.text}
        size = {"file_id": "x", "file_unique_id": "x", "width": 800, "height": 600}
        return {**message, "caption": sent.text, "photo": [size]}

    def _chat(self, form: dict[str, str]) -> int:
        chat = form.get("chat_id", "")
        if not chat.lstrip("-").isdigit() or int(chat) not in self.chats:
            raise BadCall(400, "Bad Request: chat not found")
        return int(chat)

    async def _do_getme(self, form: dict[str, str]) -> Any:
        return {"id": 8012345678, "is_bot": True, "first_name": "시험 봇", "username": "test_bot"}

    async def _do_sendmessage(self, form: dict[str, str]) -> Any:
        chat = self._chat(form)
        check_text(form.get("text", ""))
        buttons = check_markup(form.get("reply_markup", ""))
        return self._note(Sent(len(self.sent) + 1, chat, form["text"], buttons=buttons))

    def _note(self, sent: Sent) -> dict[str, Any]:
        sent.at = time.time()
        self.sent.append(sent)
        self.changed.set()
        return self._message(sent)

    async def _do_sendphoto(self, form: dict[str, str]) -> Any:
        chat, caption = self._chat(form), form.get("caption", "")
        if units(caption) > MOST_CAPTION:
            raise BadCall(400, "Bad Request: message caption is too long")
        buttons = check_markup(form.get("reply_markup", ""))
        name = form.get("photo", "").removeprefix("attach://")
        try:
            photo = bytes.fromhex(form.get(name, name))
        except ValueError:
            photo = b""
        if not photo.startswith((b"\x89PNG", b"\xff\xd8")) or len(photo) > MOST_PHOTO_BYTES:
            raise BadCall(400, "Bad Request: IMAGE_PROCESS_FAILED")
        return self._note(Sent(len(self.sent) + 1, chat, caption, 0, buttons, photo))

    async def _do_setmycommands(self, form: dict[str, str]) -> Any:
        self.commands = check_commands(form.get("commands", ""))
        return True

    async def _do_answercallbackquery(self, form: dict[str, str]) -> Any:
        if units(form.get("text", "")) > 200:
            raise BadCall(400, "Bad Request: MESSAGE_TOO_LONG")
        self.toasts.append((form.get("callback_query_id", ""), form.get("text", "")))
        return True

    async def _do_editmessagetext(self, form: dict[str, str]) -> Any:
        chat = self._chat(form)
        check_text(form.get("text", ""))
        number = form.get("message_id", "")
        found = [s for s in self.sent if str(s.message_id) == number and s.chat_id == chat]
        if not found:
            raise BadCall(400, "Bad Request: message to edit not found")
        if found[0].text == form["text"]:
            raise BadCall(400, "Bad Request: message is not modified")
        found[0].text, found[0].edits = form["text"], found[0].edits + 1
        return self._message(found[0])

    async def _do_getupdates(self, form: dict[str, str]) -> Any:
        if self._readers:
            text = "Conflict: terminated by other getUpdates request"
            raise BadCall(409, text)
        offset, limit = int(form.get("offset", 0)), int(form.get("limit", 100))
        until = asyncio.get_running_loop().time() + min(50, int(form.get("timeout", 0)))
        self._readers += 1
        try:
            self.confirmed = max(self.confirmed, offset)
            self.updates = [u for u in self.updates if u["update_id"] >= offset]
            while not self.updates:
                self._news.clear()
                left = until - asyncio.get_running_loop().time()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, left)):
                        await self._news.wait()
                if asyncio.get_running_loop().time() >= until:
                    break
            return self.updates[:limit]
        finally:
            self._readers -= 1


@contextlib.asynccontextmanager
async def serve(token: str, user: int) -> AsyncIterator[tuple[BotApi, str]]:
    """Serve one bot and one person on a free port of this machine; yield its state and address."""
    api = BotApi(token, user)
    application = web.Application(client_max_size=MOST_PHOTO_BYTES + 100_000)
    application.router.add_route("*", "/{anything:.*}", api.handle)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield api, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
