"""Kiwoom in virtual time: the simulator's core joined without sockets, faults of the wire on demand."""

import asyncio
import random
from collections import Counter

import order_stage

from kis_realtime_trading import HttpReply, NoAnswer, NotSent, Secret
from venues import kiwoom
from venues.kiwoom_client import Keys, KiwoomClient
from venues.simulators.kiwoom import KiwoomSimulator
from venues.wire import Http, Pacer, Statistics


class SimSocket:
    """A connection to the simulator's stream in virtual time: frames each tenth of a second."""

    def __init__(self, session):
        self.session, self.sent = session, []

    async def send(self, message):
        if self.session.closed:
            raise OSError("cut")
        self.sent.append(message)
        self.session.hear(message)

    async def close(self):
        self.session.closed = True

    async def __aiter__(self):
        while True:
            for frame in self.session.take():
                yield frame.encode()
            if self.session.closed:
                return
            await asyncio.sleep(0.1)


ORDER_TRS = ("kt10000", "kt10001")


class Time(order_stage.Time):
    """10:00 in Seoul at the start."""

    START_MS = 1_795_741_200_000  # 2026-11-27 10:00 in Seoul


class Wire:
    """The wire between program and simulator. `posts` counts orders that may have arrived."""

    def __init__(self, mock=False, seed=1):
        self.time, self.rng = Time(), random.Random(seed)
        self.core = KiwoomSimulator(self.time.wall_ms, seed, mock)
        self.world = kiwoom.WORLDS["mock" if mock else "live"]
        self.posts, self.acts = Counter(), Counter()  # orders by body, changes and cancels by TR
        self.fault, self.late_s, self.trouble = "", 0.0, 0.0
        self.only = ORDER_TRS  # what the fault strikes
        self.seen = []  # (api-id, headers) of every request
        self.bodies = []
        self.sockets, self.no_stream = [], False

    def http(self):
        pacer = Pacer(kiwoom.LIMITS)
        self.statistics = Statistics()
        return Http(
            self, pacer, self.statistics, self.time, kiwoom.hear_limits(pacer), random.Random(1)
        )

    def client(self, folder=None):
        """Return a client; with a folder it keeps its token there."""
        keys = Keys(Secret(self.core.app), Secret(self.core.secret))
        return KiwoomClient(self.http(), keys, self.world, "http://127.0.0.1", folder)

    async def connect(self, url, headers):
        """Open a connection to the stream."""
        if self.no_stream:
            raise OSError("refused")
        self.sockets.append(SimSocket(self.core.connect()))
        return self.sockets[-1]

    def step(self):
        """A moment at which a process may die; see the campaign."""

    async def __call__(self, method, url, headers, body, timeout_s):
        self.step()
        target = "/" + url.split("/", 3)[3]
        names = {name.lower(): value for name, value in headers.items()}
        tr = names.get("api-id", "")
        self.seen.append((tr, names))
        self.bodies.append((tr, body))

        def arrive():
            reply = self.core.rest(method, target, names, body)
            if reply.status == 0:
                raise NoAnswer("cut")
            return HttpReply(
                reply.status, reply.body, {k.lower(): v for k, v in reply.headers.items()}
            )

        reply = self._order(tr, body, arrive) if tr in self.only else self._other(arrive)
        if tr in ("kt10002", "kt10003") and tr not in self.only:
            self.acts[tr] += 1
        self.step()
        return reply

    def _order(self, tr, body, arrive):
        fault = self.fault
        if fault == "no_connection":
            raise NotSent("no connection")
        self.posts[tr, body] += 1
        if fault == "lost_before":
            raise NoAnswer("cut")
        if fault == "late":
            asyncio.get_running_loop().call_later(self.late_s, arrive)
            raise NoAnswer("timed out")
        if fault in ("500_without", "html_without"):
            status = 502 if fault[0] == "5" else 200
            return HttpReply(status, "<html>", {})
        if fault == "429":
            return HttpReply(429, '{"return_code":5,"return_msg":"[1700:...유량=5]"}', {})
        if fault == "1999":
            arrive()
            return HttpReply(200, '{"return_code":1,"return_msg":"[1999:예기치 못한 오류]"}', {})
        if fault == "closed":
            self.core.fault = "closed"
            reply = arrive()
            self.core.fault = ""
            return reply
        if fault == "token":
            self.core.expire_token()
            return arrive()
        before = set(self.core.orders)
        reply = arrive()
        if fault == "lag":
            until = self.time.wall_ms() + self.rng.randint(1, 100) * 1_000
            self.core.hidden |= {number: until for _, number in set(self.core.orders) - before}
        return {
            "lost_after": None, "lag": None if self.rng.random() < 0.5 else reply,
            "500_with": HttpReply(500, reply.text, {}), "html_with": HttpReply(200, "<html>", {}),
            "half_with": HttpReply(200, reply.text[:30], {}),
            "numberless": HttpReply(200, '{"return_code":0,"return_msg":"ok"}', {}),
        }.get(fault, reply) or order_stage.lost()  # fmt: skip

    def _other(self, arrive):
        if self.rng.random() < self.trouble:
            return order_stage.odd(
                self.rng.randrange(4), arrive, lambda status, text: HttpReply(status, text, {})
            )
        return arrive()

    async def close(self):
        """Nothing is open."""
