"""The doors of the trader by themselves: rows before calls, the lane, the stop, the questions, the inbox."""

import asyncio
import itertools
import sqlite3
from dataclasses import replace

import edge
import harness
import pytest
from test_trader import SYMBOL, Life, wishes

import kis_realtime_trading as bot

OTHER = "000660"


class LateOnce(bot.Journal):
    """A journal that is late exactly for the rows that a test names, for some tries."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.tries_left, self.late_for = 0, lambda kind, data: False

    def append(self, rows, at):
        if self.tries_left and any(self.late_for(kind, data) for kind, _, data in rows):
            self.tries_left -= 1
            raise bot.JournalLate("late, exactly for these rows")
        super().append(rows, at)


def intent_rows(kind, data):
    """Tell the row of an intent."""
    return kind == "intent"


def cancel_rows(kind, data):
    """Tell the row of a cancel's request."""
    return kind == "request" and data["action"] == "cancel"


def with_journal(life, strategy, **settings):
    """Return a trader whose journal can be late."""
    journal = LateOnce(life.world.folder / "journal.sqlite3")
    services = bot.Services(
        life.world.clock, life.network, life.network.connect, journal, life.world.folder
    )
    made = harness.make_settings(life.sim, **{**life.world.settings, **settings})
    trader = bot.Trader(made, strategy, services, harness.past_of(journal))
    return trader, asyncio.create_task(trader.run(one_day=True))


@pytest.mark.parametrize(
    ("rows", "path"), [(intent_rows, "order-cash"), (cancel_rows, "order-rvsecncl")]
)
def test_no_call_stands_in_the_lane_before_its_rows(rows, path):
    """The append that holds them fails for three seconds: nothing is queued, nothing leaves, then once."""

    async def story(life):
        trader, run = with_journal(life, wishes("09:20:30", offset_ticks=-30))
        await life.world.until("09:20:20")
        trader.journal.late_for, trader.journal.tries_left = rows, 12
        seen = []
        for _ in range(3000):
            await asyncio.sleep(0.03)
            if trader.bridge.late:
                waits = [call for _, _, call in trader.bridge.calls._queue]
                posts = [each for each, _ in life.network.posts if each.endswith(path)]
                seen.append((waits, posts))
        await life.stop(trader, run)
        return seen, trader.journal.tries_left

    life = Life(settings={"limits": {"max_quote_age_s": 100}, "entry_timeout_s": 20})
    seen, left = life.play(story)
    assert left == 0
    assert seen
    assert all(each == ([], []) for each in seen), seen[0]
    assert sum(each.endswith(path) for each, _ in life.network.posts) == 1


def test_exits_and_cancels_leave_the_lane_before_entries():
    """Three entries wait; an exit and a cancel come later and go first, in their own order."""

    async def story(life):
        trader, run = await life.begin()
        await life.world.until("09:19:30")
        intent = bot.OrderIntent(
            "0" * 16, edge.DAY, SYMBOL, bot.Side.BUY, bot.OrderKind.LIMIT, 1, 70_000, "entry", "entry",
            "s", life.world.clock.now(),
        )  # fmt: skip
        entries = [bot.OrderCall("new", replace(intent, intent_id=f"{n:016d}")) for n in range(3)]
        sell = replace(intent, intent_id="e" * 16, side=bot.Side.SELL, purpose="exit")
        urgent = [
            bot.OrderCall("new", sell), bot.OrderCall("cancel", intent), bot.OrderCall("change", sell),
        ]  # fmt: skip
        lane = trader.bridge.calls
        trader.bridge._release(
            [entries[0], urgent[0], entries[1], urgent[1], entries[2], urgent[2]], []
        )
        order = [lane.get_nowait()[2] for _ in range(6)]
        for _ in order:
            lane.task_done()
        await life.stop(trader, run)
        return [order.index(each) for each in [*urgent, *entries]]

    assert Life().play(story) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("seconds", "event"), [(1.0, "accepted"), (8.0, "no answer")])
def test_a_stop_waits_for_a_call_under_way_and_calls_it_unknown_when_it_is_cut_off(seconds, event):
    """It left: it may be at the broker. The next process looks for it and takes it back."""

    async def story(life):
        fault = {
            "match": {"kind": "order", "times": 1},
            "effect": {"do": "delay", "seconds": seconds},
        }
        life.sim.faults.add(fault)
        trader, run = await life.begin(wishes("09:20:30", offset_ticks=-30))
        while not life.network.posts:
            await asyncio.sleep(0.01)
        trader.stop("the test")
        await run
        [order] = trader.engine.core.ledger.orders.values()
        trader.journal.close()
        events = [row.body for row in life.rows("ledger") if order.intent.intent_id in row.body]
        status = order.status
        trader, run = await life.begin()
        await asyncio.sleep(60)
        [order] = trader.engine.core.ledger.orders.values()
        await life.stop(trader, run)
        return status, events, order

    life = Life()
    status, events, order = life.play(story)
    assert any(f'"event":"{event}"' in each for each in events), events
    assert (status is bot.OrderStatus.UNKNOWN) == (event == "no answer")
    assert order.status is bot.OrderStatus.CANCELLED
    assert [each["remaining_quantity"] for each in life.orders] == [0]


# --- what is registered ---


@pytest.mark.parametrize("environment", ["paper", "real"])
@pytest.mark.parametrize("count", [1, 13, 14, 20])
def test_notices_are_registered_however_many_stocks_there_are(environment, count):
    """First in line, then all trades, then books; 41 at most."""
    profile = replace(
        edge.profile_of(edge.simulator.Simulator(edge.config())), environment=environment
    )
    symbols = [f"{n:06d}" for n in range(count)]
    found = bot.registrations_of(profile, symbols)
    assert found[0] == (bot.NOTICE_TRS[environment], profile.hts_id.reveal())
    assert found[1 : count + 1] == [("H0STCNT0", symbol) for symbol in symbols]
    trs = 3 if environment == "real" else 2
    assert len(found) == min(1 + trs * count, bot.MAX_REGISTRATIONS)


def test_a_held_stock_that_the_settings_no_longer_name_is_registered_and_guarded():
    """Its stop fires by the feed."""

    async def story(life):
        trader, run = await life.begin(wishes("09:20:00", plan=(0.8, 1.2)))
        await life.world.until("09:22:00")
        held = trader.engine.core.ledger.position(SYMBOL).quantity
        await life.stop(trader, run)
        life.world.settings["symbols"] = [OTHER]
        trader, run = await life.begin()
        await life.world.until("09:24:00")
        registered = list(trader.broker.socket.registrations)
        heard = trader.engine.core.symbols[SYMBOL].last_trade is not None
        await life.stop(trader, run)
        return held, registered, heard

    life = Life(symbols=(SYMBOL, OTHER))
    held, registered, heard = life.play(story)
    assert held == 5
    assert ("H0STCNT0", SYMBOL) in registered and ("H0STASP0", SYMBOL) in registered
    assert heard


# --- the inbox ---


def test_what_a_full_batch_left_comes_without_another_frame():
    """600 frames at once, none after: three batches."""

    async def main():
        inbox = bot.Inbox()
        for n in range(600):
            inbox.put(f"0|{n}")
        async with asyncio.timeout(5):
            return [len(await inbox.batch()) for _ in range(3)]

    assert harness.run_virtual(main()) == [bot.BATCH, bot.BATCH, 600 - 2 * bot.BATCH]


def test_when_the_inbox_is_full_the_oldest_trades_go_and_no_notice():
    """What is newest is what a stop needs."""

    async def main():
        inbox = bot.Inbox()
        inbox.put("1|notice")
        for n in range(bot.INBOX_LIMIT + 3):
            inbox.put(f"0|{n}")
        first = await inbox.batch()
        return inbox.lost, [frame for _, frame in first[:2]]

    assert harness.run_virtual(main()) == (3, ["1|notice", "0|3"])


# --- questions ---


def broker_of(life):
    """Return the clients of a bot that is not run."""
    return life.world.make_trader(harness.Nothing()).broker


def test_a_question_wanted_again_and_again_goes_first_after_ten_seconds():
    """Wanting it again does not make it young."""

    async def story(life):
        broker = broker_of(life)
        for _ in range(4):
            broker.want(bot.Ask("cash"))
            await asyncio.sleep(4)
        broker.want(bot.Ask("orders"))
        broker.agenda._asked_at = dict.fromkeys(
            ("orders", "cash", "holdings"), life.world.clock.now()
        )
        return [await broker.next_question(("orders", "cash", "holdings"), True) for _ in range(2)]

    assert Life().play(story) == [bot.Ask("cash"), bot.Ask("orders")]


@pytest.mark.parametrize(("busy", "span"), [(True, bot.POLL_OPEN_S), (False, bot.POLL_IDLE_S)])
def test_an_account_with_orders_is_asked_often(busy, span):
    """Every five seconds with orders open, every thirty without."""

    async def story(life):
        broker, times = broker_of(life), []
        broker.agenda._asked_at = {
            each: life.world.clock.now() for each in ("orders", "cash", "holdings")
        }
        while len(times) < 3:
            ask = await broker.next_question(("orders",), busy)
            times.append(asyncio.get_running_loop().time())
            await broker.answer(ask)
        return [round(b - a) for a, b in itertools.pairwise(times)]

    assert Life().play(story) == [span] * 2


@pytest.mark.parametrize("ask", [bot.Ask("orders"), bot.Ask("cash"), bot.Ask("holdings"), bot.Ask("price", SYMBOL)])  # fmt: skip
def test_an_answer_is_as_old_as_its_question(ask):
    """Seven seconds on the way: the answer is of the moment before."""

    async def story(life):
        broker = broker_of(life)
        life.network.answers_s = (7.0, 7.0)
        before = life.world.clock.now()
        seen = await broker.answer(ask)
        return (seen.asked_at - before).total_seconds(), (
            life.world.clock.now() - seen.asked_at
        ).total_seconds()

    asked, age = Life().play(story)
    assert asked == 0.0
    assert age >= 7.0


def test_refusals_of_a_question_are_counted_in_a_row():
    """Two, an answer, two: nothing to tell; three in a row are."""

    async def story(life):
        broker, told = broker_of(life), []
        ask = bot.Ask("cash")
        for answers in ("xx.xx", "xxx"):
            for each in answers:
                life.sim.faults.clear()
                if each == "x":
                    life.sim.faults.add(
                        {"match": {"path": "psbl-order"},
                         "effect": {"do": "error", "code": "OPSQ0001", "status": 200, "rt_cd": "1"}}
                    )  # fmt: skip
                await broker.answer(ask)
            told.append(bool(broker.troubles))
        return told

    assert Life().play(story) == [False, True]


# --- a suspension ---


@pytest.mark.parametrize("up", [True, False])
def test_after_a_suspension_the_feed_is_what_it_is(up):
    """Entries wait for a list when it is up, for the feed when it is down."""

    async def story(life):
        trader, run = await life.begin()
        await life.world.until("09:20:30")
        trader.broker.socket.up = up
        clock = life.world.clock
        clock._start, clock._last = clock._start + bot.timedelta(seconds=40), (-1.0, clock._start)
        await asyncio.sleep(1.5)
        down = "feed" in trader.engine.core.holds
        await harness.kill(run, trader)
        return down

    assert Life(environment="real").play(story) is (not up)


# --- slow answers ---


@pytest.mark.parametrize("answers_s", [(1.0, 4.0), (4.0, 9.0)])
def test_a_day_of_slow_answers_keeps_the_books(answers_s):
    """Every question takes seconds: shares, cash and orders are right, and no fact is too young."""
    young = []

    async def story(life):
        life.network.answers_s = answers_s
        trader, run = await life.begin(
            wishes("09:21:00", "09:23:00", "09:25:00", plan=(0.998, 1.002))
        )
        handle, left = trader.bridge.engine.handle, {}

        def note(method, path):
            left[path.rpartition("/")[2]] = life.world.clock.now()

        def watching(event):
            if isinstance(event, bot.Seen) and not isinstance(event.value, bot.PastBars):
                kind = {bot.OrderList: "inquire-daily-ccld", bot.Balance: "inquire-balance",
                        bot.Cash: "inquire-psbl-order", bot.Instrument: "inquire-price"}  # fmt: skip
                if event.asked_at > left[kind[type(event.value)]]:
                    young.append(event)
            return handle(event)

        life.network.before_request = note
        trader.bridge.engine.handle = watching
        await life.world.until("09:28:00")
        trader.set_level("FLATTEN_AND_HALT", "test")
        await life.world.until("09:31:00")
        await life.stop(trader, run)
        return trader

    limits = {"max_quote_age_s": 20, "losses_in_a_row": 20, "losses_in_a_row_all": 50}
    life = Life(environment="real", density=40.0, settings={"limits": limits})
    trader = life.play(story)
    assert young == []
    assert len(life.orders) >= 2
    assert harness.differences(life.sim, trader.engine.core.ledger) == []
    assert not trader.engine.core.ledger.open_orders()
    assert "symbol_stopped" not in life.alerts()


# --- the journal behind the doors ---


class CommitsThenFails:
    """A database whose commit is done and reported as failed, once: so a full disk may look."""

    def __init__(self, database):
        self.database, self.left = database, 1

    def execute(self, sql, *parameters):
        result = self.database.execute(sql, *parameters)
        if sql == "COMMIT" and self.left:
            self.left -= 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        return result

    def __getattr__(self, name):
        return getattr(self.database, name)


def test_rows_whose_commit_was_done_and_reported_as_failed_are_written_once(tmp_path):
    """The second try finds them there: no gap, no second row, no end of the bot."""
    journal = bot.Journal(tmp_path / "journal.sqlite3")
    journal.verify()
    journal._db = CommitsThenFails(journal._db)
    rows = [("note", "", {"n": 1}), ("note", "", {"n": 2})]
    with pytest.raises(bot.JournalLate):
        journal.append(rows, edge.at("10:00:00"))
    journal.append(rows, edge.at("10:00:00"))
    journal.append([("note", "", {"n": 3})], edge.at("10:00:01"))
    assert [row.seq for row in journal.rows()] == [1, 2, 3]
    journal.close()
    again = bot.Journal(tmp_path / "journal.sqlite3")
    again.verify()
    again.close()


def test_rows_that_waited_are_written_in_their_order_and_a_second_wait_counts_from_its_own_begin():
    """Two spells of a late journal, six minutes apart: told twice, nothing ends, no row overtakes."""

    async def story(life):
        trader, run = with_journal(life, harness.Nothing())
        trader.journal.late_for = lambda kind, data: True
        for moment in ("09:20:30", "09:27:00"):
            await life.world.until(moment)
            trader.journal.tries_left = 40
            for n in range(3):
                trader.bridge.execute([bot.Record("note", f"{moment} {n}", {})])
                await asyncio.sleep(0.1)
            while trader.bridge.late:
                await asyncio.sleep(0.1)
        ended = run.done()
        await life.stop(trader, run)
        return ended

    life = Life()
    assert life.play(story) is False
    notes = [row.ref for row in life.rows("note")]
    assert notes == sorted(notes) and len(notes) == 6
    times = [row.at for row in life._kept]
    assert times == sorted(times)
    assert life.alerts().count("journal_late") == life.alerts().count("journal_back") == 2
