"""Kiwoom's stream and its condition search; a thousand cuts by tests/campaigns/kiwoom_cuts.py."""

import asyncio
import contextlib
import json
from decimal import Decimal

import kiwoom_cuts
import pytest
from harness import run_virtual
from kiwoom_stage import SimSocket, Wire

from kis_realtime_trading import BadData, Side
from venues.common import VBook, VQuote, VTicker, VTrade
from venues.kiwoom import BalanceSeen, ConditionPush, Notice, read_real, stamp_ms
from venues.kiwoom_conditions import ConditionChange, ConditionFeed, Hit
from venues.kiwoom_stream import KiwoomLine, Session
from venues.wire import LineEnds, Statistics

D = Decimal


class Stage:
    """A line to the simulator, what it took, and how it changed."""

    def __init__(self, stocks=("005930",), wanted=(), once=(), account=True):
        self.wire = Wire()
        self.events, self.changes, self.lines = [], [], []
        self.feed = ConditionFeed(wanted, self.changes.append, once)
        self.client = self.wire.client()
        self.session = Session(self.events.append, stocks, account, self.feed)
        self.line = KiwoomLine(
            self.client.tokens, "ws://127.0.0.1", self.session, self.lines.append, Statistics(),
            self.wire.time, self.wire.connect,
        )  # fmt: skip

    @property
    def core(self):
        return self.wire.core

    @property
    def socket(self):
        return self.wire.sockets[-1]

    def sent(self, name):
        """Return the messages of one name on the newest connection."""
        return [text for text in self.socket.sent if json.loads(text)["trnm"] == name]


def staged(act, **given):
    """Run something beside a line in virtual time; return the stage and what it gave."""

    async def scene():
        stage = Stage(**given)
        task = asyncio.create_task(stage.line.run())
        try:
            return stage, await act(stage)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return run_virtual(scene())


async def seconds(count):
    """Let time pass."""
    await asyncio.sleep(count)


# --- the line ---------------------------------------------------------------------------


def test_login_comes_first_then_everything_is_registered():
    """The bare token, before anything else; prices of the stocks, orders and balance of the account."""

    async def act(stage):
        await seconds(2)
        return [json.loads(text) for text in stage.socket.sent]

    stage, sent = staged(act, stocks=("005930", "000660_AL"))
    assert sent[0] == {"trnm": "LOGIN", "token": stage.core.token}
    registered = {(kind, item) for each in sent if each["trnm"] == "REG"
                  for data in each["data"] for kind in data["type"] for item in data["item"]}  # fmt: skip
    assert registered == {("00", ""), ("04", ""), *((k, s) for k in ("0B", "0D") for s in ("005930", "000660_AL"))}  # fmt: skip
    assert stage.line.up


def test_trades_books_and_quotes_are_read():
    """A sign is no minus: 70,000 below yesterday; the taker by the sign of FID 15; empty levels left out."""

    async def act(stage):
        await seconds(2)
        for _ in range(20):
            stage.core.tick()
            await seconds(1)

    stage, _ = staged(act)
    kinds = {type(event) for event in stage.events}
    assert {VTrade, VQuote, VBook, VTicker} <= kinds
    assert {event.taker for event in stage.events if isinstance(event, VTrade)} == {
        Side.BUY,
        Side.SELL,
    }
    book = next(event for event in stage.events if isinstance(event, VBook))
    assert (len(book.bids), len(book.asks)) == (1, 2)
    assert book.bids[0][0] < book.asks[0][0] < book.asks[1][0]
    assert all(event.price > 0 for event in stage.events if isinstance(event, VTrade))


def test_a_ping_is_sent_back_as_it_came():
    """The very same frame: the only sign of life there is."""

    async def act(stage):
        await seconds(2)
        stage.socket.session.ping()
        await seconds(1)
        return stage.socket.session.echoes, stage.sent("PING")

    _, found = staged(act)
    assert found == (1, ['{"trnm":"PING"}'])


def test_own_orders_come_as_notices():
    """Accepted, filled in part, cancelled: each with its figures, and the shares held."""

    async def act(stage):
        await seconds(2)
        stage.core.parts = lambda order: [(500, 40)]
        stage.core.add("005930", True, 10, 70_000)
        await seconds(2)

    stage, _ = staged(act)
    notices = [event for event in stage.events if isinstance(event, Notice)]
    assert [(each.state, each.filled, each.amount) for each in notices] == [
        ("접수", 0, 0),
        ("체결", 4, 280_000),
    ]
    assert BalanceSeen("005930", 1_004, 1_004) in stage.events


def test_a_cut_line_comes_back_and_registers_anew():
    """Nothing survives a connection: LOGIN, REG and the conditions again; down is told, so is up."""

    async def act(stage):
        await seconds(2)
        stage.socket.session.closed = True
        await seconds(5)
        return len(stage.wire.sockets), stage.sent("REG"), stage.sent("CNSRLST")

    stage, (count, registered, listed) = staged(act, wanted=("돌파",))
    assert (count, len(registered), len(listed)) == (2, 2, 1)
    assert [change.up for change in stage.lines] == [True, False, True]


def test_a_token_that_login_refuses_is_replaced():
    """The inner 8005 stands in the text only; the next try has a new token."""

    async def act(stage):
        await stage.client.tokens.token()
        stage.core.expire_token()
        await seconds(10)
        return stage.core.issued, stage.line.up

    assert staged(act)[1] == (2, True)


def test_a_connection_that_ends_without_a_word_may_be_the_token():
    """Three in a row that end before LOGIN is answered: a new token, then it works."""

    async def act(stage):
        await stage.client.tokens.token()
        stage.core.expire_token()
        stage.core.silent_login = True
        await seconds(30)
        return stage.core.issued, stage.line.up, len(stage.wire.sockets)

    assert staged(act)[1] == (2, True, 4)


def test_another_session_with_the_key_is_told_and_not_chased_away():
    """R10001: this one waits a minute, it does not come back in a second."""

    async def act(stage):
        await seconds(2)
        other = SimSocket(stage.core.connect())
        await other.send(json.dumps({"trnm": "LOGIN", "token": stage.core.token}))
        await seconds(30)
        before, why, alive = len(stage.wire.sockets), stage.line.why, not other.session.closed
        await seconds(40)
        return before, why, alive, len(stage.wire.sockets)

    _, (before, why, alive, after) = staged(act)
    assert (before, alive, after) == (1, True, 2)
    assert "R10001" in why


def test_garbage_costs_its_frame_only():
    """Bytes that are no JSON, frames without values, unknown names: counted, the line stays."""

    async def act(stage):
        await seconds(2)
        good = len(stage.events)
        stage.socket.session.out.extend(["\x00{", "[]", '{"trnm":"REAL"}', '{"trnm":"REAL","data":[{}]}', '{"trnm":"NEW"}'])  # fmt: skip
        stage.core.tick()
        await seconds(2)
        return len(stage.events) > good, stage.line.stats.bad, len(stage.wire.sockets)

    assert staged(act)[1] == (True, 4, 1)


def test_a_silent_line_is_dead():
    """Two minutes without a frame, not even a PING: a new connection."""

    async def act(stage):
        await seconds(150)
        return len(stage.wire.sockets)

    assert staged(act)[1] == 2


def test_stocks_are_registered_and_left_while_it_runs():
    """One more stock, one less, on the same connection; both hold over a reconnect."""

    async def act(stage):
        await seconds(2)
        stage.session.watch("000660", True)
        stage.session.watch("000660", True)
        stage.session.watch("005930", False)
        await seconds(2)
        first = set(stage.socket.session.registered)
        stage.socket.session.closed = True
        await seconds(5)
        return first, set(stage.socket.session.registered)

    _, (first, second) = staged(act)
    assert first == second == {("0B", "000660"), ("0D", "000660"), ("00", ""), ("04", "")}


def test_nothing_before_login_is_believed():
    """Prices before the answer to LOGIN are none of this session."""
    session = Session(lambda event: None, (), False, None)
    with pytest.raises(BadData):
        session.read(b'{"trnm":"REAL","data":[]}', 0, 0)


def test_the_time_of_a_stamp_is_near_our_clock():
    """HHmmss says no day: just after midnight 23:59:59 is yesterday's."""
    midnight = 1_795_705_200_000  # 2026-11-27 00:00 in Seoul
    assert stamp_ms(86_399, midnight + 1_000) == midnight - 1_000
    assert stamp_ms(36_000, midnight + 36_000_500) == midnight + 36_000_000
    assert stamp_ms(None, midnight) is None


def test_a_frame_may_have_its_data_first_and_several_entries():
    """The order of members means nothing; each entry is read, an unknown type is left out."""
    values = {"841": "4 ", "9001": "A005930", "843": "I", "20": "100000"}
    entries = [{"type": "02", "values": values}, {"type": "0g", "item": "x", "values": {}}, {"type": "02", "values": {**values, "843": "D"}}]  # fmt: skip
    found = read_real(json.loads(json.dumps({"data": entries, "trnm": "REAL"})), 0, 0)
    assert found == [ConditionPush("4", "005930", True, 36_000), ConditionPush("4", "005930", False, 36_000)]  # fmt: skip
    with pytest.raises(BadData):
        read_real({"data": [{"type": "02", "values": {**values, "843": "?"}}]}, 0, 0)


# --- conditions -------------------------------------------------------------------------


def test_the_list_is_asked_first_then_each_condition_one_at_a_time():
    """CNSRLST, then live questions, each after the answer before it."""

    async def act(stage):
        stage.core.answer_delay_ms = 2_000
        await seconds(15)
        return [json.loads(text)["trnm"] for text in stage.socket.sent if "CNSR" in text]

    stage, names = staged(act, wanted=("돌파", "눌림목", "거래량 급증"))
    assert names == ["CNSRLST", "CNSRREQ", "CNSRREQ", "CNSRREQ"]
    assert stage.feed.members == {"돌파": {"005930"}, "눌림목": set(), "거래량 급증": {"035720"}}
    assert stage.feed.listed == {"돌파": "0", "눌림목": "1", "거래량 급증": "2"}
    assert stage.feed.done


def test_members_come_and_go_and_a_double_is_ignored():
    """I adds, D removes, told once each; the first members are told as found when asked."""

    async def act(stage):
        await seconds(2)
        stage.core.flip("0", "000660")
        await seconds(1)
        frame = {"trnm": "REAL", "data": [{"type": "02", "values": {"841": "0", "9001": "000660", "843": "I"}}]}  # fmt: skip
        stage.socket.session.out.append(json.dumps(frame))
        stage.core.flip("0", "005930")
        await seconds(1)

    stage, _ = staged(act, wanted=("돌파",))
    assert stage.changes == [
        ConditionChange("돌파", "005930", True, True), ConditionChange("돌파", "000660", True, False),
        ConditionChange("돌파", "005930", False, False),
    ]  # fmt: skip
    assert stage.feed.members["돌파"] == {"000660"}


def test_a_reconnect_tells_the_difference():
    """While the line was down one came and one left: both told with `resync`, the third not at all."""

    async def act(stage):
        await seconds(2)
        stage.core.flip("0", "035420")
        await seconds(1)
        stage.changes.clear()
        stage.socket.session.closed = True
        stage.core.flip("0", "000660")
        stage.core.flip("0", "005930")
        assert stage.feed.members["돌파"] == {"005930", "035420"}
        await seconds(5)
        return set(stage.feed.fresh)

    stage, fresh = staged(act, wanted=("돌파",))
    assert stage.changes == [
        ConditionChange("돌파", "005930", False, True), ConditionChange("돌파", "000660", True, True),
    ]  # fmt: skip
    assert fresh == {"돌파"}


def test_while_a_line_is_down_members_are_not_fresh():
    """What was known last is kept, and is not called what is."""

    async def act(stage):
        await seconds(2)
        assert stage.feed.fresh == {"돌파"}
        stage.wire.no_stream = True
        stage.socket.session.closed = True
        await seconds(2)
        return stage.feed.fresh, stage.feed.members

    assert staged(act, wanted=("돌파",))[1] == (set(), {"돌파": {"005930"}})


def test_pushes_between_question_and_answer_win_over_it():
    """The answer was made before two pushes that came first: the last word on a stock is the truth."""

    async def act(stage):
        stage.core.answer_delay_ms = 3_000
        for _ in range(60):
            stage.core.flip("0", "000660")
            stage.core.flip("0", "005930")
            await seconds(0.1)
        await seconds(10)
        return stage.feed.members["돌파"] == stage.core.conditions["0"][1]

    assert staged(act, wanted=("돌파",))[1]


def test_a_condition_is_known_by_its_name_not_its_number():
    """Edited in the HTS: another number after a reconnect, the same members; another one has left the list."""

    async def act(stage):
        await seconds(2)
        stage.core.conditions = {"7": stage.core.conditions["0"]}
        stage.socket.session.closed = True
        stage.changes.clear()
        await seconds(5)
        stage.core.flip("7", "000660")
        await seconds(1)

    stage, _ = staged(act, wanted=("돌파", "거래량 급증"))
    assert stage.changes == [
        ConditionChange("거래량 급증", "035720", False, True), ConditionChange("돌파", "000660", True, False),
    ]  # fmt: skip
    assert "거래량 급증" in stage.feed.why


def test_a_question_without_an_answer_is_asked_again_then_the_line_begins_anew():
    """Three times ten seconds, then a new connection, on which it is answered."""

    async def act(stage):
        await seconds(28)
        asked, count = len(stage.sent("CNSRREQ")), len(stage.wire.sockets)
        await seconds(20)
        return asked, count, len(stage.wire.sockets), set(stage.feed.fresh)

    async def muted(stage):
        connect = stage.core.connect

        def mute():
            session = connect()
            if len(stage.wire.sockets) == 0:
                session.mute = "CNSRREQ"
            return session

        stage.core.connect = mute
        return await act(stage)

    assert staged(muted, wanted=("돌파",))[1] == (3, 1, 2, {"돌파"})


def test_a_refused_condition_is_told_and_the_others_go_on():
    """Kiwoom refuses one: why stands there, the next is asked."""

    async def act(stage):
        search = type(stage.core.connect())._search
        await seconds(0)

        def refusing(session, frame):
            if frame["seq"] == "0":
                session._say(
                    {"trnm": "CNSRREQ", "seq": "0", "return_code": 900002, "return_msg": "실패"}
                )
            else:
                search(session, frame)

        type(stage.core.connect())._search = refusing
        try:
            await seconds(5)
            return set(stage.feed.fresh)
        finally:
            type(stage.core.connect())._search = search

    stage, fresh = staged(act, wanted=("돌파", "거래량 급증"))
    assert "900002" in stage.feed.why["돌파"]
    assert fresh == {"거래량 급증"}


def test_asked_once_all_pages_come_with_prices():
    """Three a page, four members: thousandths of a per cent, zeros before the price, nobody twice."""

    async def act(stage):
        stage.core.conditions["0"][1].update(("000660", "035420", "035720"))
        await seconds(5)
        return stage.feed.hits["돌파"]

    stage, hits = staged(act, once=("돌파",))
    assert [hit.symbol for hit in hits] == ["000660", "005930", "035420", "035720"]
    assert hits[1] == Hit("005930", "삼성전자", 70_000, hits[1].change)
    assert hits[1].change * 100 == Decimal("-0.13").as_integer_ratio()[0] / Decimal(100) or float(hits[1].change) == pytest.approx(-0.0013)  # fmt: skip
    assert len(stage.sent("CNSRREQ")) == 2


def test_a_condition_that_is_wanted_no_more_is_cleared():
    """CNSRCLR with its number; later pushes of it change nothing."""

    async def act(stage):
        await seconds(2)
        stage.feed.stop("돌파")
        await seconds(2)
        stage.core.flip("0", "000660")
        await seconds(1)
        return stage.sent("CNSRCLR"), stage.socket.session.live

    stage, (cleared, live) = staged(act, wanted=("돌파", "거래량 급증"))
    assert [json.loads(text)["seq"] for text in cleared] == ["0"]
    assert live == {"2"}
    assert "돌파" not in stage.feed.members


def test_more_than_ten_live_conditions_are_refused_before_anything_is_asked():
    """Ten a login are offered."""
    ConditionFeed([str(n) for n in range(10)], print)
    with pytest.raises(BadData):
        ConditionFeed([str(n) for n in range(11)], print)


@pytest.mark.parametrize("data", [None, [], [{"jmcode": "A005930"}], [{"jmcode": "005930"}], [{"9001": "A005930", "302": "삼성전자"}]])  # fmt: skip
def test_every_reading_of_members_is_taken(data):
    """No data, an empty list, codes with and without A, FIDs."""
    changes = []
    feed = ConditionFeed(("돌파",), changes.append)
    feed.begin()
    assert json.loads(feed.next_message(0))["trnm"] == "CNSRLST"
    feed.answer({"trnm": "CNSRLST", "return_code": "0", "data": [{"seq": "4", "name": "돌파"}]})
    assert json.loads(feed.next_message(0))["seq"] == "4"
    feed.answer({"trnm": "CNSRREQ", "return_code": 0, "seq": "4   ", "data": data})
    assert feed.members == {"돌파": {"005930"} if data else set()}
    assert feed.fresh == {"돌파"}


def test_pushes_before_the_answer_are_applied_over_it():
    """Asked, then one came and one left, then the answer as it was when asked: both pushes hold."""
    feed = ConditionFeed(("돌파",), lambda change: None)
    feed.begin()
    feed.next_message(0)
    feed.answer({"trnm": "CNSRLST", "return_code": 0, "data": [["0", "돌파"]]})
    feed.next_message(0)
    feed.push(ConditionPush("0", "000660", True, None))
    feed.push(ConditionPush("0", "005930", False, None))
    feed.answer({"trnm": "CNSRREQ", "return_code": 0, "seq": "0", "data": [{"jmcode": "A005930"}]})
    assert feed.members == {"돌파": {"000660"}}


def test_what_cannot_be_read_is_asked_again():
    """Members that are no list: bad data, the question stays open and is asked again."""
    feed = ConditionFeed(("돌파",), print)
    feed.begin()
    feed.next_message(0)
    with pytest.raises(BadData):
        feed.answer({"trnm": "CNSRLST", "return_code": 0, "data": "x"})
    assert feed.next_message(5 * 10**9) is None
    assert feed.next_message(11 * 10**9) == '{"trnm":"CNSRLST"}'
    feed.next_message(22 * 10**9)
    with pytest.raises(LineEnds):
        feed.next_message(33 * 10**9)


def test_an_answer_to_another_question_is_left_alone():
    """A late answer with another number is not taken for the one that is awaited."""
    feed = ConditionFeed(("돌파", "눌림목"), print)
    feed.begin()
    feed.next_message(0)
    feed.answer({"trnm": "CNSRLST", "return_code": 0, "data": [["0", "돌파"], ["1", "눌림목"]]})
    feed.next_message(0)
    feed.answer({"trnm": "CNSRREQ", "return_code": 0, "seq": "1", "data": [{"jmcode": "005930"}]})
    assert feed.members == {}


def test_members_equal_the_truth_after_every_cut():
    """Sixty random cuts among moves, delays and doubled pushes: each time the members are the simulator's."""
    result = kiwoom_cuts.cuts(60, 5)
    assert (result.cuts, result.wrong, result.told_wrong) == (60, [], [])
    assert result.checks >= 60
