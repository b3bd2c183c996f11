"""The whole bot: start-up, holds, restarts, the end; in virtual time, and as real processes."""

import asyncio
import contextlib
import itertools
import json
import os
import resource
import signal
import socket
import sqlite3
import time
from datetime import date, datetime, timedelta
from email.utils import format_datetime

import edge
import harness
import pytest

import kis_realtime_trading as bot
from companions import simulator
from companions.options import build_parser

SYMBOL = "005930"


class Life:
    """A world in which a bot lives: made, run, stopped, killed; closed at the end."""

    def __init__(self, start="09:19:00", settings=None, speed=1.0, **config):
        usual = edge.config(**{"density": 10.0, **config})
        self.world = harness.World(usual, start=start, settings=settings or {}, speed=speed)
        self.sim, self.network = self.world.sim, self.world.network
        self.requests = []
        self._kept = None  # the journal, once the folder is gone
        self.network.before_request = self.note

    def note(self, method, path):
        self.requests.append((f"{self.world.clock.now():%H:%M:%S}", path.rpartition("/")[2]))

    async def begin(self, strategy=None):
        """Start a bot; return it with its task."""
        trader = self.world.make_trader(strategy or harness.Nothing())
        return trader, asyncio.create_task(trader.run(one_day=True))

    def play(self, story):
        """Run a story in virtual time; return what it returns."""

        async def main():
            self.network.advance()
            driver = asyncio.create_task(self.network.drive())
            try:
                return await story(self)
            finally:
                driver.cancel()

        try:
            result = harness.run_virtual(main())
            self._kept = self._read()
            return result
        finally:
            self.world.close()

    async def stop(self, trader, run):
        """End a bot in an orderly way."""
        trader.stop("the test is over")
        await run
        trader.journal.close()

    def names(self):
        return [name for _, name in self.requests]

    @property
    def orders(self):
        return list(harness.api_roots(self.sim))

    def rows(self, *kinds):
        """Return the journal rows of some kinds, verified; also when the story is over."""
        rows = self._read() if self._kept is None else self._kept
        return [row for row in rows if row.kind in kinds]

    def _read(self):
        journal = bot.Journal(self.world.folder / "journal.sqlite3", read_only=True)
        try:
            journal.verify()
            return list(journal.rows())
        finally:
            journal.close()

    def alerts(self):
        return [row.ref for row in self.rows("alert")]


def wishes(*times, **more):
    return harness.Scripted([harness.Wish(each, SYMBOL, 5, **more) for each in times])


# --- start-up ---


@pytest.mark.parametrize("environment", ["paper", "real"])
def test_everything_is_known_before_the_feed_begins(environment):
    """The time, token, calendar (real), prices, past bars, orders, account, cash; then the session."""

    async def story(life):
        trader, run = await life.begin(wishes("09:19:01"))
        await life.world.until("09:21:00")
        await life.stop(trader, run)
        return trader

    life = Life(environment=environment, symbols=("005930", "000660"))
    life.play(story)
    time_is, *names = life.names()
    assert time_is == "inquire-price"  # whatever answers bears the broker's Date
    first = [names.index(name) for name in (
        "tokenP", "inquire-price", "inquire-daily-ccld", "inquire-balance", "inquire-psbl-order",
        "Approval")]  # fmt: skip
    assert first == sorted(first)
    assert ("chk-holiday" in names) is (environment == "real")
    assert names.count("tokenP") == 1
    if "order-cash" in names:
        assert names.index("order-cash") > names.index("Approval")


def test_no_entry_before_the_bot_is_ready():
    """Wishes during the start-up are refused with their reason, written down, and not kept."""

    async def story(life):
        life.network.sim.faults.add(
            {"match": {"path": "daily-ccld"}, "effect": {"do": "html", "status": 502}}
        )
        trader, run = await life.begin(wishes("09:19:30", "09:25:00"))
        await life.world.until("09:24:00")
        assert "orders" in trader.engine.core.holds
        refused = len(life.rows("refusal"))
        life.sim.faults.clear()
        await life.world.until("09:27:00")
        assert not trader.engine.core.holds
        await life.stop(trader, run)
        return refused

    life = Life()
    refused = life.play(story)
    assert refused == 1
    assert [order["time"][11:16] for order in life.orders] == ["09:25"]


@pytest.mark.parametrize(
    ("path", "hold"),
    [("daily-ccld", "orders"), ("inquire-balance", "account"), ("psbl-order", "starting")],
)
def test_an_unanswered_question_holds_entries(path, hold):
    """No list, no account, no cash: no entries, however long it takes."""

    async def story(life):
        life.sim.faults.add({"match": {"path": path}, "effect": {"do": "lose", "how": "hang"}})
        trader, run = await life.begin(wishes("09:25:00", "09:34:00"))
        await life.world.until("09:36:00")
        assert hold in trader.engine.core.holds
        await life.stop(trader, run)

    life = Life()
    life.play(story)
    assert not life.orders


class DeadAfter:
    """The network until it is cut."""

    def __init__(self, inner):
        self.inner, self.cut = inner, False

    async def __call__(self, *request):
        if self.cut:
            raise bot.NotSent("no connection")
        return await self.inner(*request)

    async def connect(self, url):
        return await self.inner.connect(url)

    async def close(self):
        """Nothing is open."""


def test_a_dead_rest_host_beside_a_living_feed_is_told_once_each_time():
    """Prices come, but no stop of the position could be sold: the owner must know."""

    async def story(life):
        network = life.world.network = DeadAfter(life.network)
        trader, run = await life.begin(wishes("09:20:00", plan=(0.8, 1.2)))
        for cut, until in ((False, "09:23:00"), (True, "09:40:00"), (False, "09:45:00")):
            network.cut = cut
            await life.world.until(until)
        network.cut = True
        await life.world.until("09:50:00")
        network.cut = False
        await life.stop(trader, run)

    life = Life()
    life.play(story)
    told = [row.body for row in life.rows("alert") if row.ref == "trouble"]
    assert len(told) == 2
    assert all("cannot be reached" in each and "삼성전자 5" in each for each in told)


def test_an_exit_is_sold_soon_after_a_long_dead_rest_host_came_back():
    """Few tries while nothing got through, seconds and not the pause of a minute after that."""

    async def story(life):
        network = life.world.network = DeadAfter(life.network)
        trader, run = await life.begin(wishes("09:20:00", plan=(0.8, 1.2)))
        await life.world.until("09:23:00")
        network.cut = True
        trader.set_level("FLATTEN_AND_HALT", "the test")
        await life.world.until("09:43:30")
        assert life.sim.books()["positions"]
        network.cut = False
        await life.world.until("09:43:40")
        await life.stop(trader, run)

    life = Life()
    life.play(story)
    assert not life.sim.books()["positions"]
    assert len(life.rows("intent")) < 30


def test_a_feed_that_is_down_holds_entries_until_the_list_was_read():
    """The session breaks: no entry until it is back and the order list was seen again."""

    async def story(life):
        life.sim.faults.add(
            {"match": {"path": "Approval", "from": "09:25", "to": "09:35"},
             "effect": {"do": "html", "status": 502}}
        )  # fmt: skip
        trader, run = await life.begin(wishes("09:22:00", "09:38:00"))
        await life.world.until("09:26:00")
        life.sim.drop_sessions()
        await life.world.until("09:30:00")
        assert "feed" in trader.engine.core.holds
        await life.world.until("09:40:00")
        assert not trader.engine.core.holds
        await life.stop(trader, run)

    life = Life()
    life.play(story)
    assert [order["time"][11:16] for order in life.orders] == ["09:22", "09:38"]
    told = [row.body for row in life.rows("alert") if row.ref.startswith("trouble")]
    assert len(told) == 2 and all("feed lost" in each for each in told)  # lost, back


def test_the_intent_is_durable_before_its_request():
    """At each order request the journal on disk already holds its row (I9)."""
    seen = []

    async def story(life):
        def look(method, path):
            if "/trading/order" in path:
                refs = {row.ref for row in life.rows("request")}
                intents = {row.ref for row in life.rows("intent")}
                seen.append((len(life.rows("request")), refs <= intents))

        life.network.before_request = look
        trader, run = await life.begin(wishes("09:20:30", "09:23:00", plan=(0.999, 1.002)))
        await life.world.until("09:30:00")
        await life.stop(trader, run)

    life = Life(density=30.0)
    life.play(story)
    assert len(seen) >= 3
    for number, (rows, known) in enumerate(seen, 1):
        assert rows >= number and known


# --- notices ---


def lively(faults=(), **config):
    """Play a lively quarter of an hour with five rounds; return the life and its trader."""
    times = ("09:20:30", "09:22:00", "09:23:30", "09:25:00", "09:26:30")
    limits = {"losses_in_a_row": 20, "losses_in_a_row_all": 50}

    async def story(life):
        trader, run = await life.begin(wishes(*times, plan=(0.998, 1.002)))
        await life.world.until("09:28:00")
        trader.set_level("FLATTEN_AND_HALT", "test")
        await life.world.until("09:30:30")
        await life.stop(trader, run)
        return trader

    life = Life(density=40.0, faults=tuple(faults), settings={"limits": limits}, **config)
    trader = life.play(story)
    return life, trader


NOTICE_DAYS = {
    "as usual": ("real", ()),
    "all lost": ("paper", ({"match": {}, "effect": {"do": "notice_drop"}},)),
    "14 of 18 lost": (
        "paper",
        ({"match": {"nth": [1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17]},
          "effect": {"do": "notice_drop"}},),
    ),
    "14 of 18 lost, real": (
        "real",
        ({"match": {"nth": [1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 17]},
          "effect": {"do": "notice_drop"}},),
    ),
    "all doubled": ("real", ({"match": {}, "effect": {"do": "notice_repeat", "times": 2}},)),
    "swapped": ("paper", ({"match": {"nth": [1, 3, 5, 7, 9]}, "effect": {"do": "notice_swap"}},)),
    "late": ("paper", ({"match": {}, "effect": {"do": "notice_delay", "seconds": 40}},)),
    "damaged": (
        "real",
        ({"match": {"kind": "notice"}, "effect": {"do": "frame_garble", "how": "key"}},),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTICE_DAYS)
def test_whatever_happens_to_notices_position_and_cash_are_right(name):
    """Shares exactly, cash to the won; a notice wakes the bot up, the list is the record."""
    environment, faults = NOTICE_DAYS[name]
    life, trader = lively(faults, environment=environment)
    ledger, came = trader.engine.core.ledger, trader.counts["Notice"]
    assert harness.differences(life.sim, ledger) == []
    assert len(life.orders) >= 6 and life.sim.books()["fill_count"] >= 6
    assert not any(position.quantity for position in ledger.positions.values())
    assert not ledger.open_orders()
    if name.startswith("14 of 18"):
        assert 4 <= came < 10  # the four, and what came after the eighteenth
    elif name in ("all lost", "damaged"):
        assert came == 0
    else:
        assert came >= 2 * len(life.orders)


def test_notices_before_the_answers_of_their_orders_are_understood():
    """Every receipt comes before the HTTP answer: no order is taken for the owner's."""
    life, trader = lively(early_notice_share=1.0, early_notice_delay_s=2.0, notice_lag_ms=(0, 1))
    assert harness.differences(life.sim, trader.engine.core.ledger) == []
    assert "external_order" not in life.alerts()
    assert all(order.own for order in trader.engine.core.ledger.orders.values())


# --- restarts ---


@pytest.mark.parametrize(
    ("after_ms", "notices"),
    [(1, True), (12, True), (60, True), (1000, True), (3000, True), (25, False), (1000, False)],
)
def test_a_death_around_the_fill_leaves_no_unprotected_position(after_ms, notices):
    """Killed between the order and its first news: the next bot finds shares and their plan."""
    faults = () if notices else ({"match": {}, "effect": {"do": "notice_drop"}},)

    async def story(life):
        posted = asyncio.Event()

        def look(method, path):
            if path.endswith("order-cash"):
                posted.set()

        life.network.before_request = look
        trader, run = await life.begin(wishes("09:20:00", plan=(0.98, 1.3)))
        await posted.wait()
        await asyncio.sleep(after_ms / 1000)
        await harness.kill(run, trader)
        trader, run = await life.begin(wishes())
        ledger = trader.engine.core.ledger
        for _ in range(600):
            if ledger.position(SYMBOL).quantity:
                break
            await asyncio.sleep(0.1)
        position = ledger.position(SYMBOL)  # as soon as the shares are known
        known = (position.quantity, position.plan.stop_price if position.plan else 0)
        held = {s: p["quantity"] for s, p in life.sim.books()["positions"].items()}
        life.sim.market_event("limit_down", SYMBOL)
        await asyncio.sleep(40)
        sells = [order for order in life.orders if order["side"] == "SELL"]
        await life.stop(trader, run)
        return held, known, sells

    life = Life(faults=faults)
    held, known, sells = life.play(story)
    buys = [order for order in life.orders if order["side"] == "BUY"]
    assert len(buys) <= 1
    if not held:  # it never left, or is looked for
        assert known == (0, 0)
        return
    assert known[0] == held[SYMBOL] == 5
    assert known[1] > 0
    assert len(sells) == 1 and sells[0]["quantity"] == 5


def test_fifty_restarts_in_a_day_ask_for_one_token_and_send_nothing_more():
    """The state is the same each time (P10)."""

    async def story(life):
        trader, run = await life.begin(wishes("09:20:30", plan=(0.8, 1.2)))
        await life.world.until("09:24:00")
        for _ in range(50):
            await harness.kill(run, trader)
            trader, run = await life.begin(wishes("09:20:30", plan=(0.8, 1.2)))
            await asyncio.sleep(8)
        await life.stop(trader, run)
        return trader

    life = Life()
    trader = life.play(story)
    assert len(life.orders) == 1
    assert life.names().count("tokenP") == 1
    assert harness.differences(life.sim, trader.engine.core.ledger) == []


def test_a_restart_in_mid_session_watches_its_positions_within_half_a_minute():
    """Start-up has 30 s (2.9); until the feed is up no stop is watched. Past bars come after it."""
    codes = (SYMBOL, "000660", "035420", "005380", "247540", "069500")

    async def story(life):
        trader, run = await life.begin(wishes("14:03:00", plan=(0.8, 1.2)))
        await life.world.until("14:06:00")
        await harness.kill(run, trader)
        began = life.world.clock.now()
        trader, run = await life.begin()
        while "feed" in trader.engine.core.holds or trader.engine.core.session is None:
            await asyncio.sleep(0.5)
        taken = (life.world.clock.now() - began).total_seconds()
        await life.world.until("14:12:00")
        bars = [len(trader.engine.core.symbols[code].view.bars) for code in codes]
        held = trader.engine.core.ledger.position(SYMBOL).quantity
        await life.stop(trader, run)
        return taken, held, bars

    life = Life(
        start="14:00:00", symbols=codes, density=2.0, settings={"rest_calls_per_second": 0.9}
    )
    taken, held, bars = life.play(story)
    assert taken <= 30
    assert held == 5
    assert min(bars) > 30


def test_a_morning_without_new_tokens_goes_on_with_the_good_old_one():
    """tokenP is dead, the token of last night has ten hours left: positions are watched (R16)."""

    async def story(life):
        life.sim.faults.add({"match": {"path": "tokenP"}, "effect": {"do": "lose", "how": "hang"}})
        token = life.sim._tokens.issue(life.sim._agenda.now)
        settings = harness.make_settings(life.sim)
        mark = f"paper-{settings.profile.app_key.fingerprint()}"
        text = {"mark": mark, "token": token.text, "expires": edge.at("19:00").isoformat()}
        bot.write_private(life.world.folder / f"token-{mark}.json", json.dumps(text))
        trader, run = await life.begin()
        await life.world.until("09:40:00")
        holds = set(trader.engine.core.holds)
        await life.stop(trader, run)
        return holds

    assert "feed" not in Life().play(story)


def test_without_any_token_the_bot_waits_and_says_so():
    """Refused again and again: told, at most one request a minute, and it goes on by itself."""

    async def story(life):
        life.sim.faults.add(
            {"match": {"path": "tokenP", "to": "09:30"},
             "effect": {"do": "error", "code": "EGW00133", "status": 403}}
        )  # fmt: skip
        trader, run = await life.begin()
        await life.world.until("09:33:00")
        assert not trader.engine.core.holds
        await life.stop(trader, run)

    life = Life()
    life.play(story)
    asked = [moment for moment, name in life.requests if name == "tokenP"]
    assert 5 <= len(asked) <= 14
    told = [row.body for row in life.rows("alert") if row.ref == "trouble"]
    assert len(told) == 1 and "EGW00133" in told[0]


# --- the list of a long day ---


def test_four_hundred_orders_of_a_paper_day_are_all_known():
    """15 rows a page: all pages are read, also our own order among them (R21)."""

    async def story(life):
        sides = ("BUY", "SELL")
        placed = [life.sim.manual_order(SYMBOL, sides[n % 2], 1, 0, "01") for n in range(400)]
        trader, run = await life.begin(wishes("09:19:30"))
        await life.world.until("09:19:20")
        assert "journal" in trader.engine.core.holds
        trader.feed(bot.Command("release", life.world.clock.now(), text="journal"))
        await life.world.until("09:20:10")
        known = {o.order_no for o in trader.engine.core.ledger.orders.values()}
        found = harness.differences(life.sim, trader.engine.core.ledger)
        holds = set(trader.engine.core.holds)
        await life.stop(trader, run)
        return set(placed) - known, found, holds

    life = Life(density=60.0, settings={"rest_calls_per_second": 15.0})
    assert life.play(story) == (set(), [], set())
    assert len(life.orders) == 1
    pages = life.names().count("inquire-daily-ccld")
    assert pages >= 27 and life.sim.books()["fill_count"] >= 401


# --- control file and levels ---


def leave(life, text):
    """Leave a word of the owner for the bot."""
    bot.write_private(life.world.folder / bot.CONTROL_FILE, text)


@pytest.mark.parametrize("level", list(bot.KillLevel.__members__))
def test_a_level_in_the_control_file_is_obeyed_and_kept_over_a_restart(level):
    """Within a second or two; told once; the file is taken away."""

    async def story(life):
        trader, run = await life.begin(wishes("09:20:00", "09:23:30", plan=(0.8, 1.2)))
        await life.world.until("09:21:00")
        leave(life, f"level {level}\n")
        await asyncio.sleep(3)
        assert trader.engine.core.ledger.level.name == level
        assert not (life.world.folder / bot.CONTROL_FILE).exists()
        await life.world.until("09:22:30")
        await harness.kill(run, trader)
        trader, run = await life.begin(wishes("09:20:00", "09:23:30", plan=(0.8, 1.2)))
        await life.world.until("09:25:30")
        assert trader.engine.core.ledger.level.name == level
        await life.stop(trader, run)

    life = Life()
    life.play(story)
    bought = [o for o in life.orders if o["side"] == "BUY"]
    sold = [o for o in life.orders if o["side"] == "SELL"]
    assert len(bought) == (2 if level == "ACTIVE" else 1)
    assert bool(sold) is (level == "FLATTEN_AND_HALT")
    assert life.alerts().count("level") == (level != "ACTIVE")


@pytest.mark.parametrize(
    "content",
    [b"", b"level", b"level nonsense", b"stop!!", b"\xff\xfe\x00", b"LEVEL ACTIVE", b"level active",
     b"level 0", b"x" * 100_000],
    ids=lambda content: repr(content[:12]),
)  # fmt: skip
def test_what_cannot_be_read_in_the_control_file_stops_entries(content):
    """Somebody wanted something: no new risk until he says it clearly."""

    async def story(life):
        trader, run = await life.begin()
        levels = []
        for before in ("ACTIVE", "FLATTEN_AND_HALT"):
            await asyncio.sleep(30)
            leave(life, f"level {before}")
            await asyncio.sleep(3)
            (life.world.folder / bot.CONTROL_FILE).write_bytes(content)
            await asyncio.sleep(3)
            levels.append(trader.engine.core.ledger.level)
            assert not (life.world.folder / bot.CONTROL_FILE).exists()
        await life.stop(trader, run)
        return levels

    stricter = [bot.KillLevel.REDUCE_ONLY, bot.KillLevel.FLATTEN_AND_HALT]
    assert Life(density=1.0).play(story) == stricter


def make_folder(path):
    (path / "in it").mkdir(parents=True)


def make_pipe(path):
    os.mkfifo(path)


def make_long(path):
    path.write_text("level ACTIVE\n" * 100_000)


@pytest.mark.parametrize("make", [make_folder, make_pipe, make_long])
def test_what_is_no_control_file_stops_entries_once_and_blocks_no_word(make):
    """Neither read, nor waited for, nor told fifty times a second; the next word is obeyed."""

    async def story(life):
        trader, run = await life.begin()
        await asyncio.sleep(30)
        for _ in range(2):
            make(life.world.folder / bot.CONTROL_FILE)
            await asyncio.sleep(5)
            assert trader.engine.core.ledger.level is bot.KillLevel.REDUCE_ONLY
        leave(life, "level FLATTEN_AND_HALT")
        await asyncio.sleep(5)
        assert trader.engine.core.ledger.level is bot.KillLevel.FLATTEN_AND_HALT
        await life.stop(trader, run)

    life = Life(density=1.0)
    life.play(story)
    assert sum(row.ref == "level" for row in life.rows("command")) == 3


def test_a_word_that_a_killed_bot_had_taken_but_not_obeyed_is_obeyed_by_the_next():
    """Killed between taking the file and writing the level down: the owner's word is not lost."""

    async def story(life):
        taken = (life.world.folder / bot.CONTROL_FILE).with_suffix(".taken")
        bot.write_private(taken, "level ENTRIES_OFF")
        trader, run = await life.begin()
        await asyncio.sleep(5)
        assert trader.engine.core.ledger.level is bot.KillLevel.ENTRIES_OFF
        assert not taken.exists()
        await life.stop(trader, run)

    Life(density=1.0).play(story)


def test_a_restart_does_not_lift_the_hold_of_an_unknown_order():
    """The order is in the ledger by then, the doubt is not over: the owner's word alone ends it."""

    async def story(life):
        life.sim.manual_order(SYMBOL, "BUY", 1, 0, "01")
        trader, run = await life.begin()
        await life.world.until("09:21:00")
        await life.stop(trader, run)
        trader, run = await life.begin(wishes("09:23:00", "09:26:00"))
        await life.world.until("09:24:00")
        held, orders = set(trader.engine.core.holds), len(life.orders)
        leave(life, "accept")
        await life.world.until("09:28:00")
        await life.stop(trader, run)
        return held, orders

    life = Life()
    assert life.play(story) == ({"journal"}, 0)
    assert [order["time"][11:16] for order in life.orders] == ["09:26"]


def test_orders_that_the_journal_does_not_know_wait_for_the_owners_word():
    """Orders of today from before the start hold entries until `accept` (D10)."""

    async def story(life):
        life.sim.manual_order(SYMBOL, "BUY", 1, 0, "01")
        trader, run = await life.begin(wishes("09:22:00", "09:26:00"))
        await life.world.until("09:24:00")
        assert "journal" in trader.engine.core.holds
        leave(life, "accept")
        await life.world.until("09:28:00")
        assert "journal" not in trader.engine.core.holds
        await life.stop(trader, run)

    life = Life()
    life.play(story)
    assert [order["time"][11:16] for order in life.orders] == ["09:26"]
    assert "journal_old" in life.alerts()


@pytest.mark.parametrize("answer", ["absent", "number"])
def test_the_owner_resolves_a_quarantined_order(answer):
    """An order of unknown outcome that nothing proves: `resolve ID=...` ends the doubt."""
    faults = (
        {"match": {"kind": "order", "nth": 1},
         "effect": {"do": "lose", "how": "reset", "executed": answer == "number"}},
        {"match": {"path": "daily-ccld", "from": "09:25"}, "effect": {"do": "html", "status": 502}},
        {"match": {}, "effect": {"do": "notice_drop"}},
    )  # fmt: skip

    async def story(life):
        trader, run = await life.begin(wishes("09:25:30"))
        await life.world.until("09:40:00")
        [order] = trader.engine.core.ledger.orders.values()
        assert order.status is bot.OrderStatus.QUARANTINED
        said = "absent" if answer == "absent" else life.orders[0]["order_no"]
        life.sim.faults.clear()
        leave(life, f"resolve {order.intent.intent_id}={said}")
        await life.world.until("09:46:00")
        found = harness.differences(life.sim, trader.engine.core.ledger)
        await life.stop(trader, run)
        return order.status, found

    life = Life(faults=faults)
    status, found = life.play(story)
    assert found == []
    assert status is (bot.OrderStatus.LOST if answer == "absent" else bot.OrderStatus.FILLED)


# --- clock, odd answers ---


class Dated:
    """The network with a Date header that is off by some seconds."""

    def __init__(self, inner, off):
        self.inner, self.off = inner, off

    async def __call__(self, method, url, headers, params, body):
        reply = await self.inner(method, url, headers, params, body)
        moment = datetime.fromtimestamp(time.time() + self.off, tz=bot.UTC)
        return reply._replace(headers={**reply.headers, "date": format_datetime(moment, True)})


@pytest.mark.parametrize(("off", "held"), [(0, False), (2, False), (90, True), (-3600, True)])
def test_a_clock_that_is_off_holds_entries(off, held):
    """Against the Date header of the broker (R27); told once, lifted when it agrees again."""

    async def story(life):
        life.world.network = dated = Dated(life.network, off)
        dated.connect = life.network.connect
        trader, run = await life.begin(wishes("09:21:00"))
        await life.world.until("09:22:00")
        assert ("clock" in trader.engine.core.holds) is held
        dated.off = 0
        await life.world.until("09:23:00")
        assert "clock" not in trader.engine.core.holds
        await life.stop(trader, run)

    life = Life()
    life.play(story)
    assert bool(life.orders) is not held
    assert life.alerts().count("trouble") == held


class Wrong(bot.MarketClock):
    """The bot's own clock on a host whose clock is off by some seconds, and that may have slept."""

    def __init__(self, right):
        self.right, self.off_s, self.slept_s = right, 0, 0
        self.speed, self._anchor, self._base = right.speed, None, None

    def now(self):
        if self._base is None:  # a loop runs from now on
            self.set(self.host())
        return super().now()

    def host(self):
        return self.right.now() + timedelta(seconds=self.off_s + self.slept_s)

    def _steady_s(self):
        return asyncio.get_running_loop().time() + self.slept_s


def test_a_host_s_clock_that_is_set_back_does_not_end_the_questions():
    """An hour back: lists, cash and balance are asked as before, not again after that hour."""

    async def story(life):
        right = life.world.clock
        life.world.clock = wrong = Wrong(right)
        life.world.network = dated = Dated(life.network, 0)
        dated.connect = life.network.connect
        trader, run = await life.begin()
        await asyncio.sleep(120)
        wrong.off_s, dated.off, seen = -3600, 3600, len(life.requests)
        await asyncio.sleep(120)
        await life.stop(trader, run)
        return life.names()[seen:]

    names = Life().play(story)
    for path in ("inquire-daily-ccld", "inquire-psbl-order", "inquire-balance"):
        assert 2 <= names.count(path) <= 5, path


@pytest.mark.parametrize("environment", ["paper", "real"])
@pytest.mark.parametrize("off_s", [90, -90, 3600])
def test_an_exit_whose_answer_was_lost_is_found_by_a_clock_that_is_off(off_s, environment):
    """Rows of the list carry the broker's time: ours may be far from it, the order is ours (R27)."""

    async def story(life):
        right = life.world.clock
        life.world.clock = wrong = Wrong(right)
        life.world.network = dated = Dated(life.network, 0)
        dated.connect = life.network.connect
        trader, run = await life.begin(wishes("09:21:00", plan=(0.8, 1.2)))
        await asyncio.sleep(240)
        wrong.off_s, dated.off = off_s, -off_s
        await asyncio.sleep(40)
        lost = {"match": {"path": "order-cash"}, "effect": {"do": "lose", "executed": True}}
        life.sim.faults.add(lost)
        trader.set_level("FLATTEN_AND_HALT", "test")
        await asyncio.sleep(120)
        await life.stop(trader, run)
        return trader.engine.core.ledger

    life = Life(environment=environment)
    ledger = life.play(story)
    assert [(o["side"], o["filled_quantity"]) for o in life.orders] == [("BUY", 5), ("SELL", 5)]
    assert life.alerts().count("order_unknown") == life.alerts().count("order_found") == 1
    assert not life.alerts().count("external_order") and ledger.today.gross
    assert harness.differences(life.sim, ledger) == []


@pytest.mark.parametrize("hours", [9, -9])
def test_a_host_that_starts_with_a_wrong_clock_trades_the_day_once_it_is_right(hours):
    """The clock of a restarted machine may be nine hours off until it hears of the right time.

    The day begins by the broker's Date, with stops and without entries until both agree.
    """

    async def story(life):
        right = life.world.clock
        life.world.clock = wrong = Wrong(right)
        life.world.network = dated = Dated(life.network, -hours * 3600)
        dated.connect = life.network.connect
        wrong.off_s = hours * 3600
        trader = life.world.make_trader(wishes("09:20:30", "09:23:00"))
        run = asyncio.create_task(trader.run())
        await asyncio.sleep(110)
        during = list(trader.engine.core.holds), trader.engine.core.phase
        wrong.off_s = dated.off = 0
        await life.world.until("09:24:00")
        await life.stop(trader, run)
        return during

    life = Life()
    assert life.play(story) == (["clock"], bot.Phase.CONTINUOUS)
    assert [order["time"][11:16] for order in life.orders] == ["09:23"]


@pytest.mark.parametrize("offs", [(4.2, 2.6, 4.2, 2.6, 1.2), (-3.2, -1.6, -3.2, -1.6, -0.2)])
def test_a_clock_around_the_limit_is_told_once_and_not_at_every_answer(offs):
    """The Date header has whole seconds: the same clock looks up to a second better or worse."""

    async def story(life):
        life.world.network = dated = Dated(life.network, 0)
        dated.connect = life.network.connect
        trader, run = await life.begin()
        held = []
        for minute, dated.off in enumerate(offs, 21):
            await life.world.until(f"09:{minute}:00")
            held.append("clock" in trader.engine.core.holds)
        await life.stop(trader, run)
        return held

    life = Life()
    assert life.play(story) == [True, True, True, True, False]
    assert life.alerts().count("trouble") == 1


class Rewritten:
    """The network with another text in the answers of one path."""

    def __init__(self, inner, path, old, new):
        self.inner, self.path, self.old, self.new = inner, path, old, new
        self.connect = inner.connect

    async def __call__(self, method, url, headers, params, body):
        reply = await self.inner(method, url, headers, params, body)
        if self.path in url:
            reply = reply._replace(text=reply.text.replace(self.old, self.new))
        return reply


def test_an_odd_text_of_the_broker_does_not_end_the_bot():
    """JSON may carry a lone surrogate; the answer to an order must still be written down."""

    async def story(life):
        life.world.network = Rewritten(life.network, "order-cash", '"msg1":"', '"msg1":"\\ud800')
        trader, run = await life.begin(wishes("09:25:00"))
        await life.world.until("09:28:00")
        assert not run.done(), run.exception()
        await life.stop(trader, run)

    Life().play(story)


def test_an_answer_that_breaks_our_own_rules_ends_the_program_loudly():
    """Another account in the balance is a fault of the settings: the task group ends (F08)."""

    async def story(life):
        other = "99999999!^01!^VTTC8434R".ljust(100)
        life.sim.faults.add(
            {"match": {"path": "inquire-balance"},
             "effect": {"do": "set", "field": "ctx_area_fk100", "value": other}}
        )  # fmt: skip
        trader, run = await life.begin(wishes("09:25:00"))
        with pytest.raises(BaseExceptionGroup) as group:
            await run
        trader.journal.close()
        return bot._explain_failure(group.value)

    life = Life()
    assert life.play(story) == bot.EXIT_SETTINGS
    assert not life.orders
    goodbye = life.rows("alert")[-1]
    assert (goodbye.ref, "answers for another one" in goodbye.body) == ("stopped", True)


def test_a_goodbye_does_not_wait_behind_orders_in_the_queue():
    """It is said at once: when the run dies, the last flush to the phone comes right behind it."""

    async def story(life):
        life.sim.faults.add({"match": {"kind": "order"}, "effect": {"do": "lose", "how": "hang"}})
        both = [harness.Wish("09:20:00", symbol, 5) for symbol in life.sim.config.symbols]
        trader, run = await life.begin(harness.Scripted(both))
        await life.world.until("09:20:04")
        assert trader.bridge.under_way and not trader.bridge.calls.empty()
        trader.tell("stopped", why="the reason")
        said = trader.bridge.messages[-1]
        await life.stop(trader, run)
        return said

    assert "the reason" in Life(symbols=(SYMBOL, "000660"), density=60.0).play(story)


class Endless:
    """The network whose order lists never end: each page leads to another one."""

    def __init__(self, inner):
        self.inner, self.connect, self.pages = inner, inner.connect, 0

    async def __call__(self, method, url, headers, params, body):
        reply = await self.inner(method, url, headers, params, body)
        if not url.endswith("inquire-daily-ccld"):
            return reply
        self.pages += 1
        text = json.dumps({**json.loads(reply.text), "ctx_area_nk100": f"{self.pages:020d}"})
        return reply._replace(text=text, headers={**reply.headers, "tr_cont": "M"})


def test_a_list_of_many_pages_does_not_starve_the_watchdog(monkeypatch):
    """On paper or from a slow server they take minutes: the service must not be killed for it."""
    fed = []

    async def story(life):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as systemd:
            systemd.bind("")
            monkeypatch.setenv("NOTIFY_SOCKET", "@" + systemd.getsockname()[1:].decode())
            life.world.network = endless = Endless(life.network)
            slow = {"match": {"path": "daily-ccld"}, "effect": {"do": "delay", "seconds": 2}}
            life.sim.faults.add(slow)
            trader, run = await life.begin()
            for _ in range(300):
                await asyncio.sleep(2)
                with contextlib.suppress(BlockingIOError):
                    while systemd.recv(99):
                        fed.append(asyncio.get_running_loop().time())
            await life.stop(trader, run)
            return endless.pages

    pages = Life(settings={"rest_calls_per_second": 0.9}).play(story)
    assert pages > bot.MAX_PAGES and len(fed) > 500
    assert max(later - earlier for earlier, later in itertools.pairwise(fed)) < 5


@pytest.mark.parametrize("hangs", [False, True])
def test_a_slow_report_of_the_day_does_not_starve_the_watchdog(monkeypatch, hangs):
    """Its questions are retried for 75 s, the unit waits for 60: fed by progress, as all day."""
    fed = []

    async def story(life):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as systemd:
            systemd.bind("")
            monkeypatch.setenv("NOTIFY_SOCKET", "@" + systemd.getsockname()[1:].decode())
            trader, run = await life.begin()
            await life.world.until("15:31:00")
            effect = {"do": "lose", "how": "hang"} if hangs else {"do": "delay", "seconds": 9}
            life.sim.faults.add({"match": {"path": "inquire-balance"}, "effect": effect})
            while not run.done():
                await asyncio.sleep(1)
                with contextlib.suppress(BlockingIOError):
                    while systemd.recv(99):
                        fed.append(asyncio.get_running_loop().time())
            trader.journal.close()

    life = Life(start="15:20:00")
    life.play(story)
    assert max(later - earlier for earlier, later in itertools.pairwise(fed)) < 20
    assert "day_report" in life.alerts()


def test_a_bot_ended_before_it_knew_the_account_reports_no_day():
    """A Ctrl-C in the first seconds: no result of 0 won, no equity of 0 won."""

    async def story(life):
        trader, run = await life.begin()
        await asyncio.sleep(0.2)
        await life.stop(trader, run)

    life = Life(start="08:40:00")
    life.play(story)
    assert "day_report" not in life.alerts() and life.alerts()[-1] == "stopped"


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("inquire-price", f"{SYMBOL} 현재가 조회"),
        ("psbl-order", "계좌 조회"),
        ("inquire-balance", "계좌 조회"),
    ],
)
def test_a_question_that_is_refused_again_and_again_is_told(path, what):
    """A wrong code in the settings, a product without this service: nothing will ever be bought."""

    async def story(life):
        rule = {"match": {"path": path}, "effect": {"do": "error", "code": "OPSQ2001"}}
        life.sim.faults.add(rule)
        trader, run = await life.begin()
        await life.world.until("09:40:00")
        told = [text for text in trader.bridge.messages if "거부합니다" in text]
        await life.stop(trader, run)
        return told

    told = Life().play(story)
    assert len(told) == 1
    assert what in told[0] and "OPSQ2001" in told[0]


def test_a_question_that_is_refused_now_and_then_is_not_told():
    """Only in a row; an outage without any answer is told by the age of the order list."""

    async def story(life):
        match = {"path": "psbl-order", "nth": [2, 3, 5, 6, 8, 9]}
        life.sim.faults.add({"match": match, "effect": {"do": "error", "code": "OPSQ2001"}})
        trader, run = await life.begin()
        await life.world.until("09:35:00")
        told = [text for text in trader.bridge.messages if "거부합니다" in text]
        await life.stop(trader, run)
        return told

    assert Life().play(story) == []


@pytest.mark.parametrize(("mute", "name"), [("000660", "SK하이닉스"), ("000660", ""), (None, "")])
def test_the_report_names_stocks_of_which_no_trade_came(mute, name):
    """A registration that was acknowledged and brings nothing, or a stock that nobody trades."""

    async def story(life):
        if mute:
            life.sim.faults.add({"match": {"symbol": mute}, "effect": {"do": "frame_drop"}})
        trader, run = await life.begin()
        trader.bridge.names |= {"000660": name} if name else {}
        await run
        trader.journal.close()
        return [text for text in trader.bridge.messages if "📋" in text]

    symbols = (SYMBOL, "000660")
    [report] = Life(start="15:27:00", symbols=symbols, density=10.0).play(story)
    assert (f"\n체결가격이 오지 않은 종목: {name or mute}\n" in f"{report}\n") is bool(mute)


def test_a_clock_set_forward_during_a_question_does_not_end_the_polls():
    """What an answer took is no matter of the host's clock: an hour would be two without a list."""

    async def story(life):
        trader, run = await life.begin()
        await life.world.until("09:25:00")

        def jump(method, path):
            life.note(method, path)
            if path.endswith("daily-ccld"):
                life.network.before_request = life.note
                life.world.clock._start += timedelta(hours=1)

        life.network.before_request = jump
        await asyncio.sleep(900)
        await life.stop(trader, run)

    life = Life(density=1.0)
    life.play(story)
    lists = [at for at, name in life.requests if name == "inquire-daily-ccld" and at > "10:2"]
    asked = [datetime.strptime(at, "%H:%M:%S") for at in lists]
    assert asked[-1] - asked[0] > timedelta(minutes=14)
    assert max(later - earlier for earlier, later in itertools.pairwise(asked)) < timedelta(
        minutes=1
    )


@pytest.mark.parametrize("notices", [False, True])
@pytest.mark.parametrize("orders", [75, 260])
def test_a_long_order_list_on_paper_leaves_time_for_other_questions(orders, notices):
    """15 rows a page, a page a second: its polls took all calls; no cash, no holdings, no feed."""

    async def story(life):
        low = bot.round_to_tick(life.sim.state()["stocks"][SYMBOL]["base"] * 0.72, False, up=True)
        for _ in range(orders):
            life.sim.manual_order(SYMBOL, "BUY", 1, low)
        trader, run = await life.begin()
        while f"{life.world.clock.now():%H:%M}" < "09:26":
            await asyncio.sleep(1)
            if notices:
                trader.broker.want(bot.Ask("orders"))
        feed = trader.broker.socket.up
        await life.stop(trader, run)
        return feed

    life = Life(requests_per_second=None, initial_cash_krw=100_000_000)
    assert life.play(story)
    for name in ("inquire-balance", "inquire-psbl-order"):
        asked = [datetime.strptime(at, "%H:%M:%S") for at, each in life.requests if each == name]
        longest = max(later - earlier for earlier, later in itertools.pairwise(asked))
        assert longest <= timedelta(seconds=115), name
        assert asked[-1] >= datetime.strptime("09:24:00", "%H:%M:%S")


# --- the journal fails ---


class FullDisk(bot.Journal):
    """A journal on a disk that is full from some row on."""

    full_from = 10**9

    def append(self, rows, at):
        if rows and self.last_seq + len(rows) >= self.full_from:
            raise bot.JournalError("the disk is full")
        super().append(rows, at)


def test_a_disk_that_is_full_at_the_start_is_told_to_the_phone():
    """Restarted by systemd on a full disk: nobody guards the position, and the owner is told."""

    async def story(life):
        trader, run = await life.begin(wishes("09:20:00", plan=(0.8, 1.2)))
        await life.world.until("09:23:00")
        await harness.kill(run, trader)
        journal = FullDisk(life.world.folder / "journal.sqlite3")
        past = harness.past_of(journal)
        journal.full_from = journal.last_seq
        settings = harness.make_settings(life.sim)
        services = bot.Services(
            life.world.clock, life.network, life.network.connect, journal, life.world.folder
        )
        trader = bot.Trader(settings, wishes(), services, past)
        with pytest.raises(bot.JournalError):
            await trader.run(one_day=True)
        journal.close()
        return trader.bridge.messages

    [told] = Life().play(story)
    assert "the disk is full" in told and f"{SYMBOL} 5" in told


def test_a_level_that_could_not_be_written_ends_the_bot():
    """A signal's handler hears of it, and nobody hears the handler: nothing may go on from there."""

    async def story(life):
        trader, run = await life.begin(wishes("09:25:00"))
        await life.world.until("09:24:00")
        with contextlib.closing(sqlite3.connect(life.world.folder / "journal.sqlite3")) as other:
            other.execute(
                "CREATE TRIGGER full BEFORE INSERT ON rows BEGIN SELECT RAISE(ABORT, 'full'); END"
            )
            with pytest.raises(bot.JournalError):
                trader.tighten_level(bot.KillLevel.ENTRIES_OFF, "SIGUSR1")
            other.execute("DROP TRIGGER full")
        with pytest.raises(BaseExceptionGroup) as group:
            await run
        ended = f"{life.world.clock.now():%H:%M}"
        trader.journal.close()
        return ended, bot._explain_failure(group.value)

    life = Life()
    assert life.play(story) == ("09:24", bot.EXIT_JOURNAL)
    assert not life.orders


@pytest.mark.parametrize("more", [0, 1, 2, 3, 8])
def test_nothing_is_sent_that_could_not_be_written(more):
    """The n-th write fails: the bot ends with the journal's error; every order has its intent."""

    async def story(life):
        journal = FullDisk(life.world.folder / "journal.sqlite3")
        past = harness.past_of(journal)
        settings = harness.make_settings(life.sim)
        services = bot.Services(
            life.world.clock, life.network, life.network.connect, journal, life.world.folder
        )
        trader = bot.Trader(settings, wishes("09:25:00", "09:27:00"), services, past)
        run = asyncio.create_task(trader.run(one_day=True))
        await life.world.until("09:24:50")
        journal.full_from = journal.last_seq + more
        with pytest.raises((bot.JournalError, BaseExceptionGroup)) as error:
            await run
        journal.close()
        return error.value

    life = Life()
    error = life.play(story)
    code = bot._explain_failure(error) if isinstance(error, BaseExceptionGroup) else 74
    assert code == bot.EXIT_JOURNAL
    assert len(life.orders) <= len(life.rows("intent"))
    assert life.names().count("order-cash") == len(life.orders) <= len(life.rows("request"))


# --- days ---


class OnceADay(bot.TradingStrategy):
    """Buys five shares after the first bar from 09:20 on of each day."""

    def __init__(self):
        super().__init__()
        self.days = set()

    def on_bar(self, view, bar):
        day = bar.start.date()
        if day in self.days or bar.start.time() < bot.clock_time(9, 20):
            return None
        self.days.add(day)
        price = bot.step_ticks(bar.close, view.fund, 5)
        return view.buy(5, price, day.isoformat(), bot.ExitPlan(1, 10**7), "daily")


def test_three_days_in_one_process():
    """Afternoon, weekend, whole day, morning: each prepared, traded, reported; books right."""

    async def story(life):
        trader = life.world.make_trader(OnceADay())
        run = asyncio.create_task(trader.run())
        left = edge.at("09:40", date(2026, 11, 24)) - life.world.clock.now()
        done, _ = await asyncio.wait({run}, timeout=left.total_seconds() / life.world.speed)
        assert not done, run
        holds = set(trader.engine.core.holds)
        trader.stop("three days are enough")
        await run
        trader.journal.close()
        found = harness.differences(life.sim, trader.engine.core.ledger)
        return holds, [each for each in found if "not known" not in each]  # the ledger keeps a day

    limits = {"max_data_age_s": 100, "max_quote_age_s": 60}
    patience = {"bar_lateness_s": 30, "exit_step_s": 60, "rest_calls_per_second": 270.0}
    settings = {"limits": limits, **patience}
    life = Life(start="14:20:00", density=1.0, speed=300.0, settings=settings)
    assert life.play(story) == (set(), [])
    reports = [json.loads(row.body) for row in life.rows("day")]
    assert [each["day"] for each in reports] == ["2026-11-20", "2026-11-23", "2026-11-24"]
    assert [each["fills"] for each in reports] == [2, 2, 1]  # closed before each evening
    assert all(0 < each["trades"] < 600 for each in reports)
    assert 60 < reports[1]["bars"] <= 79 and reports[2]["bars"] <= 8  # of the day alone
    bought = [order["time"][:10] for order in life.orders if order["side"] == "BUY"]
    assert bought == [each["day"] for each in reports]
    assert life.names().count("tokenP") == 3
    assert {"closed_day", "session_over"}.isdisjoint(life.alerts())  # the reports name the next
    reports = [row.body for row in life.rows("alert") if row.ref == "day_report"]
    assert ["2026-11-23 09:00" in reports[0], "2026-11-24 09:00" in reports[1]] == [True, True]


@pytest.mark.parametrize(("minutes", "stopped"), [(1, False), (20, False), (1, True)])
def test_a_network_that_is_dead_in_the_morning_costs_no_fill_of_the_day_before(minutes, stopped):
    """Killed while an entry rested, which filled then: on Monday its shares are ours, and guarded."""

    async def story(life):
        network = life.world.network = DeadAfter(life.network)
        late = {"match": {"side": "BUY"}, "effect": {"do": "no_fill", "seconds": 60}}
        life.sim.faults.add(late)
        trader, run = await life.begin(wishes("14:25:00", plan=(0.8, 1.2)))
        await life.world.until("14:25:20")
        await harness.kill(run, trader)
        monday = edge.at("08:31", date(2026, 11, 23))
        await life.world.clock.sleep((monday - life.world.clock.now()).total_seconds())
        network.cut = True
        trader, run = await life.begin()
        await asyncio.sleep(minutes * 60)
        if stopped:
            await life.stop(trader, run)
        network.cut = False
        if stopped:
            trader, run = await life.begin()
        await asyncio.sleep(25 * 60)
        await life.stop(trader, run)
        return trader.engine.core.ledger

    life = Life(start="14:19:00")
    ledger = life.play(story)
    assert len(life.rows("request")) == 1  # nothing more was asked of an order of Friday
    assert (ledger.position(SYMBOL).quantity, ledger.external) == (5, {})
    assert ledger.position(SYMBOL).plan is not None


@pytest.mark.parametrize(
    ("start", "day"), [("16:00:00", edge.DAY), ("10:00:00", date(2026, 11, 21))]
)
def test_one_day_ends_at_once_when_there_is_none(start, day):
    """After the close, on a Saturday: said with the next session; the broker is asked for the time."""
    world = harness.World(edge.config(day=day), start=start)

    async def main():
        trader = world.make_trader(harness.Nothing())
        await trader.run(one_day=True)
        trader.journal.close()
        return list(trader.bridge.messages)

    try:
        messages = harness.run_virtual(main())
        assert sum(world.network.sim.books()["requests"].values()) == 1
    finally:
        world.close()
    assert any("2026-11-23 09:00" in text for text in messages)


def test_stopping_in_the_night_takes_no_time():
    """Waiting for the morning is interrupted at once."""

    async def story(life):
        trader = life.world.make_trader(harness.Nothing())
        run = asyncio.create_task(trader.run())
        await asyncio.sleep(3600)
        trader.stop("enough")
        began = asyncio.get_running_loop().time()
        await run
        trader.journal.close()
        return asyncio.get_running_loop().time() - began

    assert Life(start="20:00:00", density=0.1).play(story) < 1.0


@pytest.mark.parametrize(("on_stop", "left"), [("cancel", 0), ("keep", 1)])
def test_the_settings_say_what_becomes_of_resting_entries_at_the_end(on_stop, left):
    """Taken back, or left in the book; either way the journal knows."""

    async def story(life):
        trader, run = await life.begin(wishes("09:25:00", offset_ticks=-20))
        await life.world.until("09:26:30")
        assert [o["remaining_quantity"] for o in life.orders] == [5]
        await life.stop(trader, run)

    life = Life(settings={"on_stop": on_stop, "entry_timeout_s": 600})
    life.play(story)
    assert [o["remaining_quantity"] for o in life.orders] == [5 * left]


# --- real processes ---

FAST = 300.0
BUSY = """
import kis_realtime_trading as bot
class Busy(bot.TradingStrategy):
    def on_bar(self, view, bar):
        if view.position.quantity or view.open_orders:
            return None
        price = bot.step_ticks(view.last_price, view.fund, 3)
        plan = bot.ExitPlan(view.round_price(price * 0.997, up=False),
                            view.round_price(price * 1.003, up=True))
        return view.buy(3, price, bar.end.isoformat(), plan, "busy")
"""


@contextlib.asynccontextmanager
async def rehearsal(folder, seed, speed=FAST, start="08:59:00", **config):
    """Serve a simulator as for a process of the bot; yield it with the arguments to start one.

    Each test has a seed of its own, hence an account of its own: tests may run side by side.
    """
    settings = edge.config(
        seed=seed, density=10.0, **{"requests_per_second": None, "environment": "paper", **config}
    )
    home = folder / f"home{seed}"
    home.mkdir()
    (home / "busy.py").write_text(BUSY)
    async with simulator.serve(settings, edge.at(start), speed=speed) as there:
        path = edge.write_config(home, there, bar_minutes=1)
        arguments = ["--paper", "--config", str(path), "--strategy", "busy.py:Busy"]
        yield there, home, [*arguments, "--state", str(home / "state"), "--one-day"]


def verified(home):
    """Open and verify the journal of a home; return its rows."""
    [path] = (home / "state").glob("journal-*.sqlite3")
    journal = bot.Journal(path, read_only=True)
    journal.verify()
    rows = list(journal.rows())
    journal.close()
    return rows


async def until_said(process, words="▶"):
    """Read the log of a bot up to the line with some words, usually that it started."""
    while words.encode() not in (line := await process.stderr.readline()):
        assert line, f"it ended before it said {words}"


async def stopped(process, number):
    """Send a signal; return how the process ended and how long that took."""
    loop = asyncio.get_running_loop()
    process.send_signal(number)
    began = loop.time()
    ended = await edge.end_of(process)
    return ended, loop.time() - began


@pytest.mark.parametrize("after_s", [0.0, 1.2, 20.1, 60.5, 60.62, 61.5, 63.0])
def test_a_stop_at_any_moment_ends_the_day_in_time(after_s):
    """In the start-up, with an order under way, with a position: 3 s, whole journal, books agree."""

    async def story(life):
        life.sim.faults.add({"match": {"kind": "order"}, "effect": {"do": "lose", "how": "hang"}})
        trader, run = await life.begin(wishes("09:20:00"))
        await asyncio.sleep(after_s)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await life.stop(trader, run)
        return loop.time() - began

    life = Life(density=60.0)
    assert life.play(story) < 3.0
    rows = life.rows("intent", "alert", "request")
    assert rows[-1].ref == "stopped"
    requests = sum(row.kind == "request" for row in rows)
    assert life.names().count("order-cash") <= requests == sum(row.kind == "intent" for row in rows)


async def test_the_second_bot_ends_at_once_and_signals_only_tighten_the_first(tmp_path):
    """Exit code 75 in 2 s, no request, from another folder (P08); the first obeys signals.

    SIGUSR2 closes everything, SIGUSR1 after it loosens nothing, SIGTERM ends it.
    """
    async with rehearsal(tmp_path, 4103) as (there, home, arguments):
        sim = there.simulator
        first = await edge.start_bot(home, *arguments)
        await edge.until(lambda: sim.books()["positions"])
        elsewhere = [*arguments[:-3], "--state", str(home / "other"), "--one-day"]
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = await edge.end_of(await edge.start_bot(home, *elsewhere))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert (ended.code, ended.out) == (bot.EXIT_RUNNING, ""), ended.err
        assert ended.err.startswith("이 계좌로 매매 중인") and ended.err.count("\n") == 1
        # processor time, importing included: what others do on this machine must not matter
        assert after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime < 2.0
        counts = sim.books()["requests"]
        first.send_signal(signal.SIGUSR2)
        await until_said(first, "FLATTEN_AND_HALT")  # two signals at once may come in any order
        await edge.until(lambda: not sim.books()["positions"])
        first.send_signal(signal.SIGUSR1)
        ended, taken = await stopped(first, signal.SIGTERM)
        assert (ended.code, taken < 15.0) == (0, True), ended.err
    assert counts["/oauth2/tokenP"] == 1  # its first request; the first bot may have connected anew
    assert not list((home / "other").glob("journal-*"))
    levels = [json.loads(row.body)["level"] for row in verified(home) if "LevelSet" in row.body]
    assert levels == [bot.KillLevel.FLATTEN_AND_HALT]


async def test_a_journal_that_cannot_be_opened_ends_the_bot_before_a_request(tmp_path, capsys):
    """Exit code 74 with the path, nothing sent."""
    async with rehearsal(tmp_path, 4104) as (there, home, arguments):
        settings, _ = bot.load_settings(build_parser().parse_args(arguments), "paper")
        path = bot.journal_path(home / "state", settings.profile)
        path.mkdir(parents=True)
        path.parent.chmod(0o700)
        arguments[arguments.index("busy.py:Busy")] = "breakout"
        with edge.own_logging():
            assert bot.main(arguments) == bot.EXIT_JOURNAL
        assert path.name in capsys.readouterr().err
        assert not there.simulator.books()["requests"]


async def sighup_of_a_lost_terminal(tmp_path):
    """As SIGTERM: the owner is told that nobody guards any more."""
    async with rehearsal(tmp_path, 4106) as (_, home, arguments):
        process = await edge.start_bot(home, *arguments)
        await until_said(process)
        ended, _ = await stopped(process, signal.SIGHUP)
        assert ended.code == 0, ended.err
    assert verified(home)[-1].ref == "stopped"


async def sigint_in_the_start_up(tmp_path):
    """Ctrl-C: exit code 0 within 3 s, no trace, a whole journal, nothing sent."""
    async with rehearsal(tmp_path, 4101) as (there, home, arguments):
        process = await edge.start_bot(home, *arguments)
        await until_said(process)
        ended, taken = await stopped(process, signal.SIGINT)
        assert (ended.code, ended.out) == (0, ""), ended.err
        assert taken < 15.0 and "Traceback" not in ended.err
        assert not there.simulator.books()["orders"]
    assert verified(home)[-1].ref == "stopped"


async def sigterm_with_an_order_under_way(tmp_path):
    """The answer hangs: 3 s, no trace; the order is written down as begun, not as answered."""
    hang = {"match": {"kind": "order"}, "effect": {"do": "lose", "how": "hang", "executed": True}}
    async with rehearsal(tmp_path, 4102, faults=(hang,)) as (there, home, arguments):
        process = await edge.start_bot(home, *arguments)
        await edge.until(lambda: there.simulator.books()["orders"])
        ended, taken = await stopped(process, signal.SIGTERM)
        assert ended.code == 0, ended.err
        assert taken < 15.0 and "Traceback" not in ended.err
        orders = there.simulator.books()["order_count"]
    rows = verified(home)
    assert rows[-1].ref == "stopped"
    assert orders == 1 == sum(row.kind == "intent" for row in rows)


async def a_disk_that_fills_up(tmp_path):
    """It goes on and says so; ended then, 74: every order at the server has its intent (D01)."""

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    async with rehearsal(tmp_path, 4105) as (there, home, arguments):
        process = await asyncio.create_subprocess_exec(
            edge.sys.executable, str(edge.ROOT / "kis_realtime_trading.py"), *arguments, cwd=home,
            env=edge.environment(home), stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, preexec_fn=small_files,
        )  # fmt: skip
        await until_said(process, "저장할 수 없습니다")
        ended, _ = await stopped(process, signal.SIGTERM)
        posted = [o for o in there.simulator.books()["orders"] if o["source"] == "api"]
    assert ended.code == bot.EXIT_JOURNAL, ended.err[-2000:]
    assert "Traceback" not in ended.err
    assert len(posted) <= sum(row.kind == "intent" for row in verified(home))


async def test_four_processes_end_as_they_should(tmp_path):
    """By Ctrl-C, by SIGTERM, by SIGHUP and by a full disk, side by side."""
    async with asyncio.TaskGroup() as group:
        group.create_task(sigint_in_the_start_up(tmp_path))
        group.create_task(sigterm_with_an_order_under_way(tmp_path))
        group.create_task(sighup_of_a_lost_terminal(tmp_path))
        group.create_task(a_disk_that_fills_up(tmp_path))


# --- the gate ---


def test_an_order_that_a_broken_engine_hands_over_does_not_leave():
    """Five million shares given to the door behind the engine: nothing reaches the exchange."""

    async def story(life):
        trader, run = await life.begin()
        await life.world.until("09:20:00")
        intent = bot.OrderIntent(
            "mad", life.world.clock.now().date(), SYMBOL, bot.Side.BUY, bot.OrderKind.LIMIT,
            5_000_000, 70_000, "exit", "exit", "s", life.world.clock.now(),
        )  # fmt: skip
        trader.engine.core.apply(intent)
        trader.engine.core.call("new", trader.engine.core.ledger.orders["mad"])
        actions, trader.engine.core.out = trader.engine.core.out, []
        trader.bridge.execute(actions)
        await life.world.until("09:20:20")
        order = trader.engine.core.ledger.orders["mad"]
        await life.stop(trader, run)
        return order.status, order.note

    life = Life()
    assert life.play(story) == (bot.OrderStatus.NOT_SENT, "gate: exit BUY")
    assert life.orders == []
