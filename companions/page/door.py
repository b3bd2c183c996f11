"""Who gets in to a page of ours: this machine, with the key that was printed at the start.

The first visit carries the key in the address and gets a cookie (HttpOnly, same site). A foreign Host
header, a missing cookie or another site's request gets nothing. No script but ours runs
(Content-Security-Policy), nothing is loaded from anywhere else.
"""

from __future__ import annotations

import hmac
import os
import sys
import threading
from collections.abc import Awaitable, Callable

from aiohttp import web

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NO_KEY = (
    "접속 키가 붙은 주소로 여십시오 (터미널에 나와 있습니다).\n"
    "Open the address with the key, printed in the terminal."
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def end_with_maker() -> None:
    """End this process when its input ends: whoever made it has gone, in whatever way."""

    def wait() -> None:
        while sys.stdin.buffer.read(1):
            pass
        os._exit(0)  # it has nothing to keep

    threading.Thread(target=wait, name="maker", daemon=True).start()


class Door:
    """Lets requests in to one page. `port` is where it listens, known once it does."""

    def __init__(self, key: str, cookie: str, port: int = 0) -> None:
        self.key, self.cookie, self.port = key, cookie, port

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in only this machine's address with the cookie, or with the key on the first visit."""
        host = request.headers.get("Host", "")
        if host not in {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]")}:
            return web.Response(status=403, text="unknown host", headers=HEADERS)
        given = request.query.get("key", "") if request.path == "/" else ""
        if given and hmac.compare_digest(given.encode(), self.key.encode()):
            answer = web.Response(status=302, headers={**HEADERS, "Location": "/"})
            answer.set_cookie(self.cookie, self.key, httponly=True, samesite="Strict", path="/")
            return answer
        shown = request.cookies.get(self.cookie, "")
        if not hmac.compare_digest(shown.encode(), self.key.encode()):
            return web.Response(status=403, text=NO_KEY, headers=HEADERS)
        if request.method == "POST" and request.headers.get("Origin") != f"http://{host}":
            return web.json_response({"error": "another site asks"}, status=403, headers=HEADERS)
        response = await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response
