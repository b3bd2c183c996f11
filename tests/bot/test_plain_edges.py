"""Edges of the world half that nothing else touches: each by a table or a plain second reading."""

import asyncio
import json
import logging
import subprocess
import threading
from types import SimpleNamespace
from typing import Any

import edge
import harness
import pytest
from test_calls_in_a_row import clients, good
from test_phone_alone import Api, phone, sending
from test_requests import STOCK, caught
from test_trader import SYMBOL
from test_trader_in_a_row import OTHER, let_go, parts
from test_websocket import Ear, Fake, listening, taking_all, usual, wanted_in
from test_websocket import ack as acknowledged

import kis_realtime_trading as bot

SESSION = bot.session_of(edge.DAY)


def saying(body: bytes) -> Any:
    """Return what a server does that gives every request this answer."""

    async def respond(server: Any, head: Any, sent: bytes, writer: Any) -> None:
        writer.write(edge.http(body))

    return respond


# --- services ---------------------------------------------------------------------------------


def test_libraries_speak_at_a_warning_and_the_bot_at_its_level():
    """A library at DEBUG writes requests with their headers."""
    root, ours = logging.getLogger(), logging.getLogger("kisbot")
    before = root.handlers[:], root.level, ours.level
    try:
        for level in (logging.DEBUG, logging.INFO):
            root.setLevel(logging.DEBUG)
            bot.set_up_logging(str, None, level)
            assert (root.level, ours.level, len(root.handlers)) == (logging.WARNING, level, 1)
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])


def test_a_disk_that_hangs_holds_no_end_of_the_program():
    """What waits for it is a thread that nobody waits for."""
    seen, beside = [], bot.Beside("test")
    beside.begin(lambda: seen.append(threading.current_thread().daemon))
    assert beside.end(30.0) and beside.close()
    assert seen == [True]


def test_the_writer_of_a_closed_journal_is_gone(tmp_path):
    """Its thread would stay behind, one for each start."""
    journal = bot.Journal(tmp_path / "journal.sqlite3")
    before = {each for each in threading.enumerate() if each.name == "journal"}
    journal.append([("note", "", {})], edge.at("09:00:00"))
    [writer] = {each for each in threading.enumerate() if each.name == "journal"} - before
    journal.close()
    writer.join(30)
    assert not writer.is_alive()


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_frame_with_any_end_of_a_line_stays_one_line(tmp_path, end):
    """A reader splits by them: half a frame would be a line of its own."""
    recorder = bot.Recorder(tmp_path / "records", edge.at("09:00:00"), {})
    recorder.frame(7, 1, f"0|a{end}b")
    assert recorder._lines[-1] == "J7 1 " + json.dumps(f"0|a{end}b")
    recorder.frame(8, 2, "0|ab")
    assert recorder._lines[-1] == "F8 2 0|ab"
    recorder.close()


def test_a_journal_tells_what_is_late_from_what_is_wrong():
    """Busy, locked, no memory, read only, I/O, full, cannot open: another try may do; by SQLite."""
    late = "SQLITE_BUSY SQLITE_LOCKED SQLITE_NOMEM SQLITE_READONLY SQLITE_IOERR SQLITE_FULL SQLITE_CANTOPEN"
    assert {getattr(bot.sqlite3, name) for name in late.split()} == bot.Journal._LATE_CODES


def test_a_past_that_nothing_was_read_into_is_empty():
    """No word of the phone is old, no alert untold, no day traded."""
    past = bot.Past(bot.Ledger())
    assert (past.end, past.since_flat, past.days, past.noise, past.newest_word, past.untold) == (
        "", [], set(), {}, 0, {}
    )  # fmt: skip


# --- REST ---------------------------------------------------------------------------------------


async def test_what_is_closed_closes_what_it_holds(tmp_path):
    """The clients their transport, the transport its connections: also those it left."""
    desk, transport = clients(tmp_path)
    seen: list[str] = []

    async def close():
        seen.append("transport")

    transport.close = close
    await desk.rest.close()
    assert seen == ["transport"]
    real = bot.AiohttpTransport()
    async with edge.RawServer(saying(b"{}")) as there:
        for _ in range(2):
            await real("GET", there.url, {}, {}, None)
            first = real._session
            await real._leave_connections()
        await real("GET", there.url, {}, {}, None)
        held = (first, real._session)
        await real.close()
    assert all(each.closed for each in held)


def test_any_answer_is_a_question_of_prices_without_a_token(tmp_path):
    """What is asked when the clock is in doubt needs no token; the list of trades, many prices."""

    async def ask(desk):
        await desk.rest.have_answered()

    [(method, path, headers, params, _)] = caught(tmp_path, "real", ask)
    assert (method, path, params) == ("GET", bot.ENDPOINTS["price"].path, {})
    assert "authorization" not in headers
    [request, *_] = caught(tmp_path, "paper", lambda desk: desk.market.last_trades(SYMBOL))
    assert request[1].endswith("/inquire-ccnl") and request[3] == STOCK
    assert request[2]["tr_id"] == "FHKST01010300"
    codes = [f"{n:06d}" for n in range(2)]
    [request, *_] = caught(tmp_path, "real", lambda desk: desk.market.many_prices(codes))
    assert request[1].endswith("/intstock-multprice") and request[2]["tr_id"] == "FHKST11300006"
    assert request[3] == {
        "FID_COND_MRKT_DIV_CODE_1": "J", "FID_INPUT_ISCD_1": "000000",
        "FID_COND_MRKT_DIV_CODE_2": "J", "FID_INPUT_ISCD_2": "000001",
    }  # fmt: skip


@pytest.mark.parametrize(("second", "newest"), [(0, "10:04"), (59, "10:04")])
def test_a_minute_is_finished_with_its_last_second(tmp_path, second, newest):
    """At 10:05:00 the minute from 10:04 is over, and the one from 10:05 runs."""

    async def main():
        rows = [
            {"stck_bsop_date": f"{edge.DAY:%Y%m%d}", "stck_cntg_hour": f"10{minute:02d}00",
             "stck_prpr": "5", "stck_oprc": "5", "stck_hgpr": "5", "stck_lwpr": "5", "cntg_vol": "1",
             "acml_tr_pbmn": "5"}
            for minute in (5, 4, 3)
        ]  # fmt: skip
        desk, _ = clients(
            tmp_path, (0, bot.HttpReply(200, '{"access_token":"t","expires_in":86400}', {})),
            (0, good(output2=rows)), (0, good(output2=[])),
        )  # fmt: skip
        bars = await desk.market.minute_bars_today(SYMBOL, edge.at(f"10:05:{second:02d}"), 3)
        return f"{bars[-1].start:%H:%M}"

    assert harness.run_virtual(main()) == newest


# --- the feed -----------------------------------------------------------------------------------


def test_what_was_refused_is_not_asked_for_again_in_its_session(tmp_path):
    """What nobody acknowledged is, each half minute; a new session asks for all of it."""

    async def main():
        desk, made = edge.desk(tmp_path), []

        def answer(message):
            pair = wanted_in(message)
            if pair == ("H0STCNT0", SYMBOL):
                return [acknowledged(*pair, "1", "OPSP9999", "invalid symbol")]
            return [] if pair and pair[0] == "H0STASP0" else taking_all(message)

        async def connect(url):
            made.append(Fake(answer))
            return made[-1]

        ear = Ear(desk, usual(desk), connect)
        ear.socket.expects_data = lambda: False
        async with listening(ear):
            for _ in range(20):
                await asyncio.sleep(5)
                made[-1].say('{"header":{"tr_id":"PINGPONG"}}')
            refused = dict(ear.socket.refused)
        asked = [wanted_in(each) for each in made[0].sent]
        return len(made), refused, [
            asked.count((tr_id, SYMBOL)) for tr_id in ("H0STCNT0", "H0STASP0")
        ]  # fmt: skip

    sessions, refused, counts = harness.run_virtual(main())
    assert sessions == 1 and set(refused) == {("H0STCNT0", SYMBOL)}
    assert counts[0] == 1 and counts[1] >= 3


# --- the phone ----------------------------------------------------------------------------------


def test_a_last_chance_lasts_until_both_queues_are_empty_or_the_time_is_over():
    """The outbox itself, what waits elsewhere, neither; never longer than was said."""

    async def main():
        loop, took = asyncio.get_running_loop(), []
        for own, other in ((False, False), (True, False), (False, True)):
            telegram, _ = phone()
            if own:
                telegram.post("x")
            began = loop.time()
            await telegram.flush(2.0, ["y"] if other else ())
            took.append(loop.time() - began)
        telegram, _ = phone()
        telegram.post("x")
        loop.call_later(0.5, telegram._usual.clear)
        began = loop.time()
        await telegram.flush(2.0)
        return took, loop.time() - began

    took, emptied = harness.run_virtual(main())
    assert took == [0.0, pytest.approx(2.0), pytest.approx(2.0)]
    assert emptied == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("waited_s", "count", "texts"), [(60.0, 3, 3), (60.01, 3, 1), (60.01, 2, 2), (3_600.0, 9, 1)]
)
def test_what_waited_for_a_minute_goes_together_from_three_on(waited_s, count, texts):
    """A minute to the second is not late; two late ones go by themselves."""

    async def main():
        telegram, _ = phone()
        for n in range(count):
            telegram.post(f"t{n}", clock="10:00")
        await asyncio.sleep(waited_s)
        first = telegram._gather(telegram._usual)
        return 1 if len(first) == count else count

    assert harness.run_virtual(main()) == texts


@pytest.mark.parametrize(("length", "together"), [(1_879, 2), (1_880, 1), (4_000, 1)])
def test_a_digest_is_one_message_of_telegram(length, together):
    """Its texts with their times stay below what one message may hold; one alone always goes."""

    async def main():
        telegram, _ = phone()
        for _ in range(3):
            telegram.post("x" * length, clock="10:00")
        await asyncio.sleep(61.0)
        api = Api()
        gathered = len(telegram._gather(telegram._usual))
        await sending(telegram, api, 5.0)
        return gathered, max(len(each[2]) for each in api.sent), len(telegram.outbox)

    gathered, longest, left = harness.run_virtual(main())
    assert (gathered, left) == (together, 0) and longest <= 4_096


async def test_the_door_of_the_phone_is_closed_behind_it():
    """Its session ends with the bot; one that was never opened as well."""
    door = bot._bounded_request()
    await door.shutdown()
    async with edge.RawServer(saying(b'{"ok":true}')) as there:
        assert (await door.do_request(there.url, "POST"))[0] == 200
        session = door._session
        await door.shutdown()
    assert session.closed and door.read_timeout == 15.0


# --- the trader ---------------------------------------------------------------------------------


def test_phases_of_a_day_are_named_for_people():
    """Of the session of today only when every stock is known; a stopped bot says so first."""

    async def story(life, trader):
        found = {}

        def look(name, clock):
            life.world.clock._start = edge.at(clock)
            life.world.clock._last = (0.0, edge.at(clock))
            found[name] = bot.phase_word(trader)

        found["morning"] = bot.phase_word(trader)
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        found["unknown"] = bot.phase_word(trader)
        for symbol in trader.engine.core.symbols:
            trader.feed(await trader.broker.answer(bot.Ask("price", symbol)))
        for clock in ("08:29:59", "08:30:00", "09:00:00", "15:19:59", "15:20:00", "15:30:00"):
            trader.engine.handle(bot.TimeEvent(edge.at(clock)))
            found[clock] = bot.phase_word(trader)
        trader.stop("enough")
        found["stopped"] = bot.phase_word(trader)
        return found

    assert parts(story, start="08:20:00") == {
        "morning": "waiting", "unknown": "preparing", "08:29:59": "preparing",
        "08:30:00": "before_open", "09:00:00": "trading", "15:19:59": "trading",
        "15:20:00": "closing", "15:30:00": "after", "stopped": "stopping",
    }  # fmt: skip


STATUS = (
    "version at limits program account_tail mode language phase session level holds symbols orders "
    "unknown cash_krw equity_krw day feed queues token calls budget messages preparing process"
)
OF_STATUS = {
    "day": "realised_krw open_krw result_krw result_pct fees_krw taxes_krw entries exits limit_krw",
    "feed": "connected sessions age_s registered refused trades quotes bad lost",
    "queues": "calls telegram log log_dropped", "preparing": "done of left_s",
    "process": "memory_mb journal_mb", "token": "left_s",
    "budget": "per_s per_s_now waiting left within_s too_many",
}  # fmt: skip
OF_SYMBOL = (
    "symbol name price age_s prev_close change_pct position average stop target gain_krw gain_pct "
    "exiting halted blocked book"
)


def test_a_status_is_what_the_books_say_field_by_field():
    """Readers outside know its names; its figures are those of ledger, queues and settings."""

    async def story(life, trader):
        core = trader.engine.core
        empty = bot.status_of(trader)
        row, _ = let_go(trader, side=bot.Side.BUY, purpose="entry")
        ledger, now = core.ledger, trader.clock.now()
        for symbol in core.symbols:
            trader.feed(await trader.broker.answer(bot.Ask("price", symbol)))
        held = ledger.position(SYMBOL)
        price = core.symbols[SYMBOL].instrument.last_price
        base = core.symbols[SYMBOL].instrument.base_price
        held.quantity, held.cost = 50, bot.Fraction(50 * price - 1_000)
        held.plan = bot.ExitPlan(price - 100, price + 100)
        ledger.today.fees_krw, ledger.today.taxes_krw = 7, 11
        trader.counts |= {"Trade": 3, "Quote": 4, "bad frames": 5}
        trader.inbox.lost = 6
        trader.tell("error", what="something odd")
        trader.feed(bot.Command("hold", now, text="calendar"))
        trader.bridge.calls.put_nowait((True, 0, bot.OrderCall("new", row.data)))
        told = json.loads(json.dumps(bot.status_of(trader), ensure_ascii=False))
        return empty, told, price, base, ledger, core

    empty, told, price, base, ledger, core = parts(story, start="09:30:00")
    assert " ".join(told) == STATUS and " ".join(empty) == STATUS
    for name, keys in OF_STATUS.items():
        assert " ".join(told[name]) == keys, name
    mine = next(each for each in told["symbols"] if each["symbol"] == SYMBOL)
    assert set(mine) == set(OF_SYMBOL.split())
    assert (mine["price"], mine["prev_close"], mine["position"]) == (price, base, 50)
    assert (mine["stop"], mine["target"], mine["gain_krw"]) == (price - 100, price + 100, 1_000)
    assert mine["average"] == round(price - 20, 2)
    assert mine["change_pct"] == round(100 * (price - base) / base, 2)
    assert mine["gain_pct"] == round(100 * 1_000 / (50 * price - 1_000), 2)
    assert (mine["age_s"], mine["halted"], mine["blocked"], mine["exiting"]) == (
        None,
        False,
        "",
        "",
    )
    day, feed = told["day"], told["feed"]
    assert (day["fees_krw"], day["taxes_krw"], day["realised_krw"]) == (7, 11, -18)
    assert (day["open_krw"], day["entries"], day["exits"]) == (1_000, 0, 0)
    assert (
        told["equity_krw"] == ledger.cash_krw + 50 * price and told["cash_krw"] == ledger.cash_krw
    )
    share = 100 * day["result_krw"] / (told["equity_krw"] - day["result_krw"])
    assert day["result_pct"] == round(share, 2)
    assert (feed["trades"], feed["quotes"], feed["bad"], feed["lost"]) == (3, 4, 5, 6)
    assert (feed["connected"], feed["sessions"], feed["age_s"]) == (False, 0, None)
    assert (told["queues"]["calls"], told["queues"]["telegram"], told["unknown"]) == (1, 0, 0)
    [order] = told["orders"]
    assert (order["symbol"], order["side"], order["quantity"], order["filled"]) == (
        SYMBOL, "BUY", 1, 0
    )  # fmt: skip
    assert (order["state"], order["own"], order["number"]) == ("submitting", True, "")
    assert [each["reason"] for each in told["holds"]].count("calendar") == 1
    hold = next(each for each in told["holds"] if each["reason"] == "calendar")
    assert hold["scope"] == "all" and hold["since"].startswith("2026-11-20T09:30")
    assert {each["scope"] for each in told["holds"] if each["reason"] == "unresolved"} == {SYMBOL}
    assert (told["version"], told["program"], told["level"]) == (1, bot.__version__, "ACTIVE")
    assert "something odd" in told["messages"][-1]
    assert told["preparing"] == {"done": 0, "of": 0, "left_s": 0}
    assert told["session"] == [SESSION.open.isoformat(), SESSION.close.isoformat()]
    assert told["limits"] == core.settings.limits.model_dump(mode="json")
    assert empty["session"] is None and empty["orders"] == [] and empty["phase"] == "waiting"


def test_calls_that_take_risk_away_go_before_entries():
    """Whatever was decided first: an exit, a cancel and a change wait for no entry."""

    async def story(life, trader):
        buy = let_go(trader, 1, side=bot.Side.BUY, purpose="entry")
        sell = let_go(trader, 2, quantity=5)
        other = let_go(trader, 3, side=bot.Side.BUY, purpose="entry")
        cancel = bot.OrderCall("cancel", other[1].intent, "0000000001")
        change = bot.OrderCall("change", sell[1].intent, "0000000001", kind="00", price=1)
        trader.bridge.execute(
            [buy[0], other[0], sell[0], buy[1], cancel, other[1], sell[1], change]
        )
        found = []
        while not trader.bridge.calls.empty():
            _, _, call = trader.bridge.calls.get_nowait()
            found.append((call.action, call.intent.side.name))
        return found

    assert parts(story, start="09:30:00") == [
        ("cancel", "BUY"), ("new", "SELL"), ("change", "SELL"), ("new", "BUY"), ("new", "BUY"),
    ]  # fmt: skip


def test_only_an_urgent_alert_has_a_receipt_and_a_place_at_the_other_door():
    """The row of an urgent one goes with it; a usual one has none: its arrival is not written down."""

    async def story(life, trader):
        telegram, doors = trader.bridge.telegram, trader.bridge.doors
        telegram._token = bot.Secret("1:a")
        doors._webhook = "http://127.0.0.1:1"
        bot_alert = bot.Alert("error", {"what": "fire"})
        trader.bridge.execute([bot.Alert("prepared", {"of": 1}), bot_alert])
        trader.bridge.tell("before_start", start="08:30", next="09:00")
        urgent = [(each.row, each.silent) for each in telegram._urgent]
        usual_ones = [(each.row, each.silent) for each in telegram._usual]
        rows = [(row.seq, row.ref) for row in trader.journal.rows("alert")]
        return urgent, usual_ones, len(doors.waiting), rows

    urgent, usual_ones, waiting, rows = parts(story)
    [seq] = [number for number, ref in rows if ref == "error"]
    assert (urgent, usual_ones, waiting) == ([(seq, False)], [(0, True)], 1)


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_steady_time_of_the_gate_is_market_time(speed):
    """At tenfold speed a second of the loop is ten of the market; no clock that somebody sets."""

    async def story(life, trader):
        life.world.clock.speed = speed
        before = trader.bridge.gate.steady()
        await asyncio.sleep(3.0)
        return trader.bridge.gate.steady() - before

    assert parts(story) == pytest.approx(3.0 * speed)


def test_a_silent_stock_that_is_held_stands_for_itself():
    """Its stop is blind; those without shares are told together, and none whose trades came since."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        core, missing = trader.engine.core, trader.silence.missing
        core.ledger.position(SYMBOL).quantity = 3
        missing |= {SYMBOL: "09:40:00", OTHER: "09:41:00"}
        return dict(trader._teller._of_stocks())

    found = parts(story, start="09:45:00", symbols=(SYMBOL, OTHER))
    assert set(found) == {f"silent {SYMBOL}", "silent"}
    assert found["silent"].endswith("at 09:41:00") and found[f"silent {SYMBOL}"].endswith(
        "09:40:00"
    )


WAITS = [  # now, day of the session that is waited for, code, what it says
    ("2026-11-20 07:00", "2026-11-20", "before_start", {"start": "08:30", "next": "09:00"}),
    ("2026-11-20 16:00", "2026-11-23", "session_over", {"next": "2026-11-23 09:00"}),
    ("2026-11-21 10:00", "2026-11-23", "closed_day", {"why": "Saturday"}),
    ("2026-11-22 10:00", "2026-11-23", "closed_day", {"why": "Sunday"}),
    ("2026-12-25 10:00", "2026-12-28", "closed_day", {"why": "holiday"}),
]  # fmt: skip


@pytest.mark.parametrize(("now", "day", "code", "says"), WAITS)
def test_the_reason_of_a_wait_is_the_right_one(now, day, code, says):
    """Before the open, behind the close, a weekend, a holiday in the week: a Friday is no weekend."""

    async def story(life, trader):
        at = bot.datetime.fromisoformat(now).replace(tzinfo=bot.KST)
        trader._teller.wait(at, bot.session_of(bot.date.fromisoformat(day)))
        [row] = trader.journal.rows("alert")
        return row.ref, json.loads(row.body)

    ref, body = parts(story)
    assert ref == code and says.items() <= body.items()


def test_a_recording_of_a_later_day_knows_the_holds_of_the_trader():
    """With them a replay of that day begins as the bot did."""

    async def story(life, trader):
        trader.feed(bot.Command("hold", trader.clock.now(), text="calendar"))
        return trader.recorder.holds_now() == trader.engine.core.holds, trader.recorder.holds_now()

    same, holds = parts(story)
    assert same and "calendar" in holds


def test_one_day_ends_as_a_day_and_not_as_a_missing_one(tmp_path):
    """The last word of --one-day is that the day is over, its exit needs no second look."""
    world = harness.World(
        harness.simulator.SimulatorConfig(symbols=(SYMBOL,), density=0.1), "15:29:00"
    )

    async def main():
        driver = asyncio.create_task(world.network.drive())
        trader = world.make_trader(harness.Nothing())
        await trader.run(one_day=True)
        driver.cancel()
        codes = [(row.ref, json.loads(row.body)) for row in trader.journal.rows("alert")]
        trader.journal.close()
        return codes

    try:
        codes = harness.run_virtual(main())
    finally:
        world.close()
    assert codes[-1][0] == "stopped" and codes[-1][1]["why"].startswith("the day is over")
    assert "session_over" not in [code for code, _ in codes]


# --- the screen beside ----------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [True, False])
def test_a_screen_that_does_not_end_is_ended(tmp_path, ends):
    """It has the time to show the report; then the terminal is wanted back."""
    seen: list[Any] = []

    def wait(seconds):
        seen.append(seconds)
        if not ends:
            raise subprocess.TimeoutExpired("screen", seconds)

    options = SimpleNamespace(paper=True, live=False, plain=False, verbose=False)
    screen = bot.ScreenBeside(tmp_path, options)
    screen._process = SimpleNamespace(
        poll=lambda: None, wait=wait, kill=lambda: seen.append("kill")
    )
    assert screen.is_open()
    screen._process.poll = lambda: 0
    assert not screen.is_open()
    screen.end()
    assert seen == [15.0] + ["kill"] * (not ends)
