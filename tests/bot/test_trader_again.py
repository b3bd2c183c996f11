"""The trader's parts once more, each over a grid of what may have happened to it before."""

import asyncio
import json
from types import SimpleNamespace

import edge
import pytest
from test_calls_in_a_row import reply
from test_late_journal import locked
from test_trader import SYMBOL, Life, Wrong
from test_trader_in_a_row import entry_of, let_go, parts, run_for, trader_of

import kis_realtime_trading as bot

SESSION = bot.session_of(edge.DAY)
LEVELS = tuple(bot.KillLevel)
PATHS = {
    "cash": "inquire-psbl-order", "price": "inquire-price", "orders": "inquire-daily-ccld",
    "holdings": "inquire-balance",
}  # fmt: skip


@pytest.mark.parametrize("what", PATHS)
@pytest.mark.parametrize("ended", ["answered", "refused", "unreadable", "cut off"])
def test_a_question_that_ended_in_any_way_can_be_asked_again(what, ended):
    """Nothing of it stays under way: it would never be asked again."""

    async def story(life, trader):
        agenda, ask = trader.broker.agenda, bot.Ask(what, SYMBOL if what == "price" else "")
        await trader.broker.auth.token()
        life.wire.script[PATHS[what]] = {
            "answered": [], "refused": [reply(200, rt_cd="1", msg_cd="OPSQ0001", msg1="no")] * 9,
            "unreadable": [bot.HttpReply(200, {}, b"[]")] * 9, "cut off": [30.0],
        }[ended]  # fmt: skip
        trader.broker.want(ask)
        taken = await trader.broker.next_question((what,), False)
        assert taken == ask and list(agenda.under_way) == [ask]
        answer = asyncio.create_task(trader.broker.answer(taken))
        await asyncio.sleep(20)
        if ended == "cut off":
            answer.cancel()
        [seen] = await asyncio.gather(answer, return_exceptions=True)
        trader.broker.want(ask)
        async with asyncio.timeout(60):
            again = await trader.broker.next_question((what,), False)
        return isinstance(seen, bot.Seen), again == ask

    assert parts(story) == (ended == "answered", True)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("line", ["odd", "status", "stop", "reduce", "flatten"])
def test_a_line_of_the_control_file_never_loosens(level, line):
    """What cannot be read lets nothing be bought, and what was tighter stays so."""

    async def story(life, trader):
        trader.set_level(level.name, "before")
        trader._controls.write_text(line)
        trader._read_control()
        return trader.engine.core.ledger.level

    asked = {"stop": bot.KillLevel.ENTRIES_OFF, "flatten": bot.KillLevel.FLATTEN_AND_HALT}
    assert parts(story) is max(level, asked.get(line, bot.KillLevel.REDUCE_ONLY))


@pytest.mark.parametrize("lane", ["call", "orders"])
@pytest.mark.parametrize("busy_s", [0.0, bot.STUCK_S - 1, bot.STUCK_S, 500.0])
@pytest.mark.parametrize("answered_s", [0.0, bot.STUCK_S - 1, bot.STUCK_S])
def test_the_watchdog_is_fed_while_a_question_is_young_or_the_broker_answers(
    lane, busy_s, answered_s
):
    """A question may be many pages, of which some came; a call is one answer."""

    async def story(life, trader):
        await asyncio.sleep(1_000)
        now = asyncio.get_running_loop().time()
        trader._busy_since[lane] = now - busy_s
        trader.broker.rest.answered_s = now - answered_s
        before = trader.watchdog.beats
        trader._each_wall_second()
        return trader.watchdog.beats - before

    since = busy_s if lane == "call" else min(busy_s, answered_s)
    assert parts(story) == int(since < bot.STUCK_S)


@pytest.mark.parametrize("order", ["none", "open", "ends later"])
@pytest.mark.parametrize("stopped", [False, True])
def test_a_day_is_over_after_the_close_and_soon_after_whatever_is_still_open(order, stopped):
    """A minute and a half later without open orders, half an hour with them, at once when stopped."""

    async def story(life, trader):
        if order != "none":
            row, _ = let_go(trader)
            trader.engine.core.ledger.orders[row.ref].status = bot.OrderStatus.WORKING
        day = asyncio.create_task(trader._until_day_over(SESSION))
        await asyncio.sleep(60)
        if stopped:
            trader.stop("test")
        if order == "ends later":
            await asyncio.sleep(600)
            trader.engine.core.ledger.orders[row.ref].status = bot.OrderStatus.FILLED
            trader.engine.core.ledger._look_for_alive()
        async with asyncio.timeout(2_000):
            await day
        return (trader.clock.now() - SESSION.close).total_seconds()

    after_s = parts(story, start="15:29:50")
    begin = {"none": 90, "open": 1_800, "ends later": 650}[order]
    if stopped and order != "ends later":
        begin = 50
    assert begin <= after_s <= begin + 12


def test_what_can_never_be_written_is_not_told_as_if_it_had_been():
    """The journal is wrong: the error goes up, no order and no word of that event leaves."""

    async def story(life, trader):
        row, call = let_go(trader)
        trader.journal.path.unlink()
        trader.journal.path.write_bytes(b"another file")
        urgent = bot.Alert("error", {"what": "x"})
        for actions in ([urgent], [row, call, urgent]):
            with pytest.raises(bot.JournalError):
                trader.bridge.execute(actions)
        return list(trader.bridge.messages), trader.bridge.calls.qsize()

    assert parts(story) == ([], 0)


def test_an_hour_of_market_time_in_a_minute_is_no_jump_of_the_clock():
    """Steady time is compared at the speed of the market's clock."""

    async def story(life, trader):
        doubt = bot.ClockDoubt(trader.clock, trader.broker.rest, True)
        await trader.broker.rest.have_answered()
        seen = []
        for _ in range(3):
            seen.append(doubt.doubts())
            await asyncio.sleep(60)
        return seen

    assert parts(story, speed=60.0) == [False, False, False]
    assert parts(story) == [False, False, False]


@pytest.mark.parametrize("noise", ["on", "silent", "off"])
@pytest.mark.parametrize(
    ("code", "values", "kind"),
    [("error", {"what": "x"}, "warning"), ("mismatch", {"what": "x"}, "warning"),
     ("unsold", {"symbol": SYMBOL, "quantity": 3, "reason": "stop"}, "warning"),
     ("symbol_stopped", {"symbol": SYMBOL, "why": "x"}, "warning"),
     ("closed_day", {"why": "holiday", "next": "-"}, "start"), ("no_trades", {"minutes": 5}, "warning")],
)  # fmt: skip
def test_the_owner_silences_what_is_usual_and_nothing_that_is_urgent(noise, code, values, kind):
    """Off: not on the phone. What needs him rings whatever he chose for its kind, with its row's number."""

    async def story(life):
        trader = trader_of(life, telegram="1:a")
        trader.bridge.set_noise(kind, noise)
        trader.bridge.execute([bot.Alert(code, dict(values))])
        [row] = list(trader.journal.rows("alert"))
        telegram = trader.bridge.telegram
        letters = [(letter.row, letter.silent) for letter in (*telegram._urgent, *telegram._usual)]
        urgent = len(telegram._urgent)
        trader.journal.close()
        return letters, urgent, row.seq

    letters, urgent, seq = Life().play(story)
    if code in bot.URGENT:
        assert (letters, urgent) == ([(seq, False)], 1)
    else:
        assert (letters, urgent) == ([] if noise == "off" else [(0, noise == "silent")], 0)


@pytest.mark.parametrize("form", ["plain", "part", "hex"])
@pytest.mark.parametrize("code", ["error", "order_refused"])
def test_what_a_server_echoes_of_our_secrets_is_told_and_written_with_stars(form, code):
    """On the screen, in the journal, on the phone: whatever text of an alert holds it."""

    async def story(life):
        trader = trader_of(life, telegram="1:a")
        secret = trader.profile.app_secret.reveal()
        shown = {"plain": secret, "part": secret[3:15], "hex": secret.encode().hex()}[form]
        values = {"what": f"echo {shown}"}
        if code == "order_refused":
            values = {
                "symbol": SYMBOL,
                "side": bot.Side.BUY,
                "quantity": 1,
                "reason": "r",
                "note": f"no {shown}",
            }
        trader.bridge.execute([bot.Alert(code, values)])
        told = [*trader.bridge.messages, *trader.bridge.telegram.outbox]
        told += [row.body for row in trader.journal.rows("alert")]
        trader.journal.close()
        return shown, told

    shown, told = Life().play(story)
    assert len(told) == 3
    assert [text for text in told if shown in text or "***" not in text] == []


def test_a_clock_that_is_astray_is_told_once_while_it_lasts():
    """Asked each minute, told with the first; the day begins when it is right."""

    async def story(life):
        wrong = Wrong(life.world.clock)
        life.world.clock, wrong.off_s = wrong, 40 * 366 * 86_400
        trader = trader_of(life)
        trader.doubt = bot.ClockDoubt(wrong, trader.broker.rest, True)
        waiting = asyncio.create_task(trader._next_session(False))
        await asyncio.sleep(400)
        told = [row for row in trader.journal.rows("alert") if row.ref == "error"]
        asked = len(life.wire.of("inquire-price"))
        wrong.off_s = 0
        async with asyncio.timeout(200):
            session = await waiting
        trader.journal.close()
        return len(told), asked > 3, session.day

    assert Life(start="09:19:00").play(story) == (1, True, edge.DAY)


def test_the_session_that_an_evening_told_is_not_told_again_while_it_is_waited_for():
    """The report names it; of the one behind it a word comes when it is waited for."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        await trader._teller.evening(trader.summary())
        told = []
        following = bot.session_of(bot.next_trading_day(edge.DAY))
        for session in (following, following, bot.session_of(bot.next_trading_day(edge.DAY, 2))):
            before = len(list(trader.journal.rows("alert")))
            trader._teller.wait(trader.clock.now(), session)
            told.append(len(list(trader.journal.rows("alert"))) - before)
        return told

    assert parts(story, start="15:35:00") == [0, 0, 1]


@pytest.mark.parametrize("up", [False, True])
def test_the_engine_knows_of_the_feed_before_it_is_told(up):
    """What a message says of holds is what holds then; trouble stands while the feed is down only."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        trader.broker.troubles["feed"] = "before"
        seen = trader.journal.last_seq
        trader._on_feed(up, "why")
        rows = [(row.kind, row.ref) for row in trader.journal.rows() if row.seq > seen]
        return rows, dict(trader.broker.troubles), "feed" in trader.engine.core.holds

    rows, troubles, held = parts(story)
    known = rows.index(("command", "feed up" if up else "feed down"))
    told = [ref for kind, ref in rows[known:] if kind == "alert"]
    assert "alert" not in [kind for kind, _ in rows[:known]]
    assert told == (["feed_back", "morning"] if up else [])
    assert troubles == ({} if up else {"feed": "realtime feed lost: why"}) and held is not up


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("off", [False, True])
@pytest.mark.parametrize("by_date", [False, True])
def test_each_look_holds_entries_by_a_doubted_clock_and_lets_go_of_one_that_is_right(
    held, off, by_date
):
    """Held while it is doubted and no longer; told as trouble when the broker's Date says how far it is off."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        if held:
            trader.feed(bot.Command("hold", trader.clock.now(), text="clock"))
        trader.doubt, trader.bridge.gate.doubts = SimpleNamespace(doubts=lambda: off), lambda: False
        trader.broker.rest.clock_off, trader.broker.rest.clock_offset_s = by_date, 9.0
        trader.recorder.seen.clear()
        trader._teller.look()
        commands = [(each.name, each.text) for each in trader.recorder.events(bot.Command)]
        told = [
            json.loads(row.body)["what"]
            for row in trader.journal.rows("alert")
            if row.ref == "trouble"
        ]
        return "clock" in trader.engine.core.holds, commands, told

    now_held, commands, told = parts(story)
    assert now_held is off
    assert commands == ([] if held is off else [("hold" if off else "release", "clock")])
    assert told == (["this clock is 9 s off the broker's"] if by_date else [])


@pytest.mark.parametrize(
    ("traded_s", "quoted_s", "price"), [(5, 500, 70_000), (500, 5, 71_000), (None, 5, 71_000)]
)
def test_the_equity_of_an_evening_is_cash_and_shares_at_the_newest_price(traded_s, quoted_s, price):
    """The last trade, or what REST told since when trades had been silent; the per cent is of the morning's."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        core, now = trader.engine.core, trader.clock.now()
        state = core.symbols[SYMBOL]
        state.view.position.quantity, state.view.position.cost = 10, 690_000
        core.ledger.cash_krw, core.ledger.today.gross = 1_000_000, bot.Fraction(17_000)
        state.last_trade = None
        if traded_s is not None:
            at = now - bot.timedelta(seconds=traded_s)
            state.last_trade = bot.Trade(SYMBOL, at, 70_000, 1, 1, 70_000, False)
        state.quoted = bot.Known(71_000, now - bot.timedelta(seconds=quoted_s))
        await trader._teller.evening(trader.summary())
        [row] = [each for each in trader.journal.rows("alert") if each.ref == "day_report"]
        return json.loads(row.body)

    told = parts(story, start="15:35:00")
    equity = 1_000_000 + 10 * price
    assert (told["equity"], told["net"]) == (equity, "+17,000")
    result = 17_000 + 10 * price - 690_000  # the figure of the status, what is held included
    assert told["result"] == f"{result:+,}"
    assert told["percent"] == f"{100 * result / (equity - result):+.2f}"


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("what", PATHS)
def test_an_answer_that_comes_while_all_winds_down_is_heard(what, stopped):
    """It may hold the last fill; the lane is free behind it, also without an answer."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        await trader.broker.auth.token()
        life.wire.script[PATHS[what]] = [5.0]
        ask = bot.Ask(what, SYMBOL if what == "price" else "")
        put = asyncio.create_task(trader._put(ask, "lane"))
        await asyncio.sleep(1)
        busy = "lane" in trader._busy_since
        if stopped:
            trader.stop("test")
        await put
        heard = [type(each.value).__name__ for each in trader.recorder.events(bot.Seen)]
        return busy, "lane" in trader._busy_since, heard

    kind = {"cash": "Cash", "price": "Instrument", "orders": "OrderList", "holdings": "Balance"}[
        what
    ]
    assert parts(story) == (True, False, [kind])


@pytest.mark.parametrize(
    "form", ["whole", "eight digits", "with a dash", "another product", "another"]
)
def test_notices_of_the_account_of_the_settings_reach_the_engine(form):
    """Ten digits, or the eight of the account; those of another account of the HTS id are dropped."""

    async def story(life, trader):
        from test_codec import IV, KEY, encrypted, notice_text

        tr_id = bot.NOTICE_TRS[trader.profile.environment]
        trader.broker.decoder.set_key(tr_id, KEY, IV)
        account, product = trader.profile.account.reveal(), trader.profile.product
        named = {
            "whole": account + product, "eight digits": account, "with a dash": f"{account}-{product}",
            "another product": account + "22", "another": "99999999" + product,
        }[form]  # fmt: skip
        trader.inbox.put(encrypted(notice_text(f1=named), tr_id))
        await run_for(trader._pump(), 0.1)
        return trader.counts["Notice"]

    assert parts(story) == int(form in ("whole", "eight digits", "with a dash"))


@pytest.mark.parametrize("what", PATHS)
@pytest.mark.parametrize("how", ["refused", "unreadable", "silence", "nobody"])
def test_only_what_the_broker_refuses_again_and_again_is_told(what, how):
    """A question without an answer says nothing about itself: that is the broker's trouble, told for all."""

    async def story(life, trader):
        await trader.broker.auth.token()
        life.wire.script[PATHS[what]] = {
            "refused": [reply(200, rt_cd="1", msg_cd="OPSQ0001", msg1="no")],
            "unreadable": [reply(200, rt_cd="0", msg_cd="K")], "silence": [bot.NoAnswer("x")],
            "nobody": [bot.NotSent("x")],
        }[how] * 40  # fmt: skip
        ask = bot.Ask(what, SYMBOL if what == "price" else "")
        told = []
        for _ in range(bot.REFUSALS_UNTOLD + 1):
            assert await trader.broker.answer(ask) is None
            told.append(f"answer {what} {ask.symbol}" in trader.broker.troubles)
        return told

    judged = how in ("refused", "unreadable")
    assert parts(story) == [False] * (bot.REFUSALS_UNTOLD - 1) + [judged] * 2


@pytest.mark.parametrize(
    ("action", "purpose", "told"),
    [("new", "exit", True), ("cancel", "exit", False), ("change", "exit", False), ("new", "entry", False),
     ("cancel", "entry", False)],
)  # fmt: skip
def test_of_what_waits_for_the_journal_only_a_new_sell_is_told(action, purpose, told):
    """Only the owner can sell meanwhile; what waits of orders that are there already is no sell."""

    async def story(life):
        trader = trader_of(life)
        side = bot.Side.SELL if purpose == "exit" else bot.Side.BUY
        row, call = let_go(trader, purpose=purpose, side=side)
        with locked(life, trader):
            trader.bridge.execute([row, call._replace(action=action)])
            await asyncio.sleep(3)
            said = trader.bridge.said["sell_waits"]
        while trader.bridge.late:
            await asyncio.sleep(0.5)
        trader.journal.close()
        return said, trader.bridge.calls.qsize()

    assert Life().play(story) == (int(told), 1)


def test_calls_leave_in_the_order_of_their_decisions_and_questions_behind_their_rows():
    """Exits and cancels first, each kind as it came; where rows cannot be written nothing is asked."""

    async def story(life, trader):
        kinds = [("new", "entry"), ("new", "exit"), ("new", "entry"), ("cancel", "entry"), ("new", "exit"),
                 ("change", "exit"), ("new", "entry")]  # fmt: skip
        for number, (action, purpose) in enumerate(kinds, 1):
            side = bot.Side.BUY if purpose == "entry" else bot.Side.SELL
            row, call = let_go(trader, number, purpose=purpose, side=side)
            trader.bridge.execute([row, call._replace(action=action), bot.Ask("cash")])
        lane, left = trader.bridge.calls, []
        while not lane.empty():
            left.append(int(lane.get_nowait()[2].intent.intent_id))
        agenda = trader.broker.agenda
        wanted = bot.Ask("cash") in agenda.waiting
        agenda.waiting.clear()
        trader.journal.path.unlink()
        trader.journal.path.write_bytes(b"another file")
        with pytest.raises(bot.JournalError):
            trader.bridge.execute([bot.Record("note", "", {}), bot.Ask("cash")])
        return left, wanted, dict(agenda.waiting)

    assert parts(story) == ([2, 4, 5, 6, 1, 3, 7], True, {})


def test_the_strategy_is_warmed_up_for_the_stocks_of_the_settings():
    """Not for one that is held and no longer named: nothing asks a strategy about it."""

    async def story(life, trader):
        trader.engine.core.ledger.position("000660").quantity = 5
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        await trader.broker.auth.token()
        await trader.morning.warm_up(SESSION)
        return [each.value.symbol for each in trader.recorder.events(bot.Seen)], trader.bot.symbols

    seen, named = parts(story)
    assert seen == list(named) and "000660" not in seen


@pytest.mark.parametrize("left", [0, 4])
@pytest.mark.parametrize("side", list(bot.Side))
def test_the_fill_of_a_sell_rings_while_shares_are_left(left, side):
    """The last one is told by the round trip; a buy is always told."""

    async def story(life):
        trader = trader_of(life, telegram="1:a")
        trader.engine.core.ledger.position(SYMBOL).quantity = left
        values = {"symbol": SYMBOL, "side": side, "quantity": 1, "price": 70_000.0, "left": 0, "reason": "r",
                  "total": 1, "average": 70_000.0}  # fmt: skip
        trader.bridge.execute([bot.Alert("filled", values)])
        told = len(trader.bridge.telegram.outbox)
        trader.journal.close()
        return told

    assert Life().play(story) == (0 if side is bot.Side.SELL and not left else 1)


def test_each_look_shows_the_troubles_of_its_own_moment():
    """What is over in the next moment stands in no later one; the age of a list is told in minutes."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        core, shown = trader.engine.core, []
        trader._teller._alarms = SimpleNamespace(
            look=lambda now, standing, awake, held: shown.append(dict(standing))
        )
        trader.broker.rest.trouble = "down"
        core.hold("old order list", on=True)
        core.note_list(trader.clock.now() - bot.timedelta(minutes=7))
        trader._teller.look()
        trader.broker.rest.trouble = ""
        core.hold("old order list", on=False)
        trader._teller.look()
        return shown, dict(trader.broker.troubles)

    shown, troubles = parts(story)
    assert shown[0] == {"broker": "KIS cannot be reached: down", "list": "no order list for 7 min"}
    assert (shown[1], troubles) == ({}, {})


def test_a_list_that_came_just_now_is_no_old_one():
    """Its hold ends with the next second: an evening's report told "no order list for 0 min" as trouble."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        core, shown = trader.engine.core, []
        trader._teller._alarms = SimpleNamespace(
            look=lambda now, standing, awake, held: shown.append(dict(standing))
        )
        core.hold("old order list", on=True)
        core.note_list(trader.clock.now())
        trader._teller.look()
        return shown

    assert parts(story) == [{}]


@pytest.mark.parametrize("known", [False, True])
def test_a_morning_without_a_balance_tells_no_cash_of_zero(known):
    """A failed question is no zero, in words either: keys of another account were told as 0 won."""

    async def story(life, trader):
        trader.feed(bot.Command("day", trader.clock.now(), SESSION))
        if known:
            trader.engine.core.hold("account", on=False)
        trader._on_feed(True, "why")
        return [text for text in trader.bridge.messages if "매매 준비 완료" in text]

    [told] = parts(story)
    assert f"현금 {'0' if known else '?'}원" in told


def test_what_was_silent_yesterday_is_no_trouble_of_this_morning():
    """A trade missed at 15:14 was told at 08:37, until the feed was up: nobody trades before the open."""

    async def story(life):
        trader, run = await life.begin()
        trader.silence.missing = {SYMBOL: "15:14:11"}
        trader.silence._asked = {SYMBOL: bot.NEVER}
        await life.world.until("08:30:02")
        found = dict(trader.silence.missing), dict(trader.silence._asked)
        await life.stop(trader, run)
        return found

    missing, asked = Life(start="08:29:50").play(story)
    assert asked == {SYMBOL: bot.NEVER}  # the feed of the day is not up yet
    assert missing == {}


@pytest.mark.parametrize("row", [1, 7, 250])
def test_what_reached_the_phone_is_noted_by_its_own_row(row):
    """A later process repeats what has no such note."""

    async def story(life, trader):
        trader.bridge.note_told(row)
        return [each.ref for each in trader.journal.rows("told")]

    assert parts(story) == [f"{row}"]


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("opens", [False, True])
def test_the_calendar_is_asked_once_each_morning_before_the_stocks_or_behind_the_guard(held, opens):
    """Without shares before the first price, with some at the warm-up; what it says holds or lets go."""

    async def story(life, trader):
        if held:
            trader.engine.core.ledger.position(SYMBOL).quantity = 5
        answer = reply(
            rt_cd="0",
            msg_cd="K",
            output=[{"bass_dt": f"{edge.DAY:%Y%m%d}", "opnd_yn": "Y" if opens else "N"}],
        )
        life.wire.script["chk-holiday"] = [answer] * 9
        await trader.morning.prepare(SESSION)
        early = len(life.wire.of("chk-holiday"))
        await trader.morning.warm_up(SESSION)
        asked = len(life.wire.of("chk-holiday"))
        said = [
            each.name for each in trader.recorder.events(bot.Command) if each.text == "calendar"
        ]
        return early, asked, said, "calendar" in trader.engine.core.holds

    early, asked, said, holds = parts(story, environment="real")
    assert (early, asked) == (0 if held else 1, 1)
    assert (said, holds) == (["release" if opens else "hold"], not opens)


@pytest.mark.parametrize("day", ["none", "before", "same"])
@pytest.mark.parametrize("orders", [False, True])
def test_only_a_day_before_with_open_orders_is_ended_by_its_list(day, orders):
    """A restart of the same day asks for no list of an earlier one: its own is asked in its turn."""

    async def story(life, trader):
        core = trader.engine.core
        earlier = bot.previous_trading_day(edge.DAY)
        core.ledger.day = {"none": None, "before": earlier, "same": edge.DAY}[day]
        if orders:
            core.ledger.apply(entry_of(1))
        await trader.morning._end_earlier_day(SESSION)
        return [each.params["INQR_STRT_DT"] for each in life.wire.of("inquire-daily-ccld")]

    asked = parts(story)
    wanted = f"{bot.previous_trading_day(edge.DAY):%Y%m%d}"
    assert asked == ([wanted] if day == "before" and orders else [])
