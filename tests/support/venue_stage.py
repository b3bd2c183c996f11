"""Both venues and the monitor in virtual time: cores of the simulators joined without sockets."""

import asyncio

from venues.monitor import Hosts
from venues.simulators.binance import BinanceSimulator
from venues.simulators.market import Market
from venues.simulators.upbit import UpbitSimulator


class LoopClock:
    """Wall time and monotonic time of the loop."""

    START_MS = 1_795_000_000_000

    def mono_ns(self):
        return round(asyncio.get_running_loop().time() * 10**9)

    def wall_ms(self):
        return self.START_MS + self.mono_ns() // 10**6


class HandMarket(Market):
    """Prices that only the test moves."""

    def walk(self):
        pass

    def premium(self, coin):
        """Return the premium in the plainest way, from the texts that the venues show."""
        from fractions import Fraction

        won, dollars, rate = (
            Fraction(text) for text in (self.won(coin), self.dollars(coin), self.won("USDT"))
        )
        return won / (dollars * rate) - 1


class Socket:
    """A connection to a core: one beat a second, at whole seconds, until somebody cuts it."""

    def __init__(self, core, url, silent):
        self._core, self._url, self._silent = core, url, silent
        self.first, self.cut, self.beaten = "", asyncio.Event(), None

    async def send(self, message):
        self.first = message

    async def close(self):
        self.cut.set()

    async def __aiter__(self):
        names, loop = self._core.opened(self._url, self.first), asyncio.get_running_loop()
        while True:
            wait = int(loop.time() + 1e-6) + 1 - loop.time()
            try:
                async with asyncio.timeout(wait):
                    await self.cut.wait()
                raise OSError("cut")
            except TimeoutError:
                pass
            if self._silent():
                continue
            for frame in self._core.beat(names) or ():
                yield frame
            self.beaten = loop.time()

    @property
    def live(self):
        """Tell whether it stands and said something in the last second and a half."""
        age = asyncio.get_running_loop().time() - (self.beaten or -10)
        return not self.cut.is_set() and age < 1.5


class Stage:
    """Two cores, the newest socket to each, and what is broken."""

    def __init__(self, market=None):
        self.clock, self.market = LoopClock(), market or HandMarket()
        self.cores = {
            "upbit": UpbitSimulator(self.market, self.clock.wall_ms),
            "binance": BinanceSimulator(self.market, self.clock.wall_ms),
        }
        self.sockets, self.opened, self.closed, self.mute = {}, 0, set(), set()
        self.hung = set()  # venues that take a connection and never answer

    def hosts(self):
        """Return what the monitor connects to."""
        return Hosts(
            "http://upbit",
            "ws://upbit",
            "http://binance",
            "ws://binance",
            self._connect,
            self._transport,
        )

    def live(self):
        """Tell whether both venues spoke in this second."""
        return all(name in self.sockets and self.sockets[name].live for name in self.cores)

    def cut(self, venue):
        """End the connections of a venue."""
        for name in (venue, f"{venue} account"):
            if name in self.sockets:
                self.sockets[name].cut.set()

    async def _connect(self, url, headers):
        venue = "upbit" if "upbit" in url else "binance"
        if venue in self.closed:
            raise OSError("refused")
        if venue in self.hung:
            await asyncio.Event().wait()
        self.opened += 1
        lower = {name.lower(): value for name, value in headers.items()}
        if not self.cores[venue].welcome(url, lower):
            raise OSError("HTTP 401")
        name = f"{venue} account" if "private" in url or "ws-api" in url else venue
        self.sockets[name] = Socket(self.cores[venue], url, lambda: name in self.mute)
        return self.sockets[name]

    def _transport(self, hosts):
        return Transport(self, "upbit" if "upbit" in hosts[0] else "binance")


class Transport:
    """HTTP to a core without a socket."""

    def __init__(self, stage, venue):
        self._stage, self._venue, self._core = stage, venue, stage.cores[venue]

    async def __call__(self, method, url, headers, body, timeout_s):
        from kis_realtime_trading import HttpReply, NoAnswer, NotSent

        if self._venue in self._stage.closed:
            raise NotSent("no connection")
        if self._venue in self._stage.hung:
            await asyncio.sleep(timeout_s)
            raise NoAnswer("TimeoutError")
        target = "/" + url.split("/", 3)[3]
        lower = {name.lower(): value for name, value in headers.items()}
        reply = self._core.rest(method, target, lower, body or b"")
        if reply.status == 0:
            raise NoAnswer("cut")
        names = {name.lower(): value for name, value in reply.headers.items()}
        return HttpReply(reply.status, reply.body, names)

    async def close(self):
        pass


def told_by_model(values, rule):
    """Tell the alerts of one coin in the plainest way: look back over the seconds each second."""
    from venues.kimchi import News, Zone

    zone = told = Zone.NORMAL
    last, heard, zones, silent = {}, [], [], False
    for at, value in enumerate(values):
        back = values[max(0, at - rule.hold_s) : at + 1]
        whole = len(back) == rule.hold_s + 1
        if whole and None not in back and len({rule.wanted(zone, v) for v in back}) == 1:
            zone = rule.wanted(zone, back[0])
        zones.append(zone)
        if value is None:
            gap = next((n for n in range(at + 1) if values[at - n] is not None), at + 1)
            if gap - 1 >= rule.silent_s and not silent:
                heard, silent = [*heard, (at, News.SILENT)], True
            continue
        if silent:
            heard, silent = [*heard, (at, News.BACK)], False
        if zone is Zone.NORMAL:
            due = told is not Zone.NORMAL
        elif zone not in last:
            due = True
        else:
            since, told_value = last[zone]
            span = range(at - rule.hold_s, at + 1)
            further = span[0] > since and all(
                values[n] is not None
                and zones[n] is zone
                and rule.further(zone, values[n], told_value)
                for n in span
            )
            wait = rule.cooldown_s if zone is not told else rule.repeat_s
            due = further or (at - since >= wait and (zone is not told or rule.repeat_s > 0))
        if due:
            told, last[zone] = zone, (at, value)
            heard.append((at, News(zone.value)))
    return heard
