"""The manager: every venue kept alone. A matrix of venue and fault in virtual time."""

import asyncio
import contextlib
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from harness import run_virtual
from rich.cells import cell_len
from rich.console import Console
from venue_stage import LoopClock, Stage

from kis_realtime_trading import BadData, Journal, JournalError, OrderEvent, OrderStatus, Side
from venues import binance, overview, upbit
from venues.accounts import account_of, desk_of
from venues.cli import demo_account, main
from venues.common import Hint, Intent, Kind, Purpose
from venues.keeping import Kept
from venues.manager import FACTORY, Manager
from venues.orders import Wish
from venues.settings import KimchiSettings
from venues.venue import Holding
from venues.wire import LineEnds, Statistics

D = Decimal
WISHES = {
    "upbit": Wish("KRW-BTC", Side.BUY, Kind.LIMIT, D("0.002"), None, D("88000000"), cause="m"),
    "binance": Wish("BTCUSDT", Side.BUY, Kind.LIMIT, D("0.002"), None, D("62000"), cause="m"),
}
OTHER = {"upbit": "binance", "binance": "upbit"}
FILLS_MS = 60_000


class Scene:
    """A manager over both simulated venues, an order resting at each."""

    def __init__(self, folder, factory=FACTORY, language="en", left_s=40_000):
        self.stage = Stage()
        day_ms = 86_400_000
        self.stage.clock.START_MS = 1_795_000_000_000 // day_ms * day_ms + day_ms - left_s * 1_000
        settings, self.given = demo_account()
        kimchi = KimchiSettings(coins=("BTC",))
        changed = {"state_dir": folder, "language": language, "kimchi": kimchi}
        self.settings, self.factory = settings.model_copy(update=changed), factory

    async def __aenter__(self):
        hosts, clock = self.stage.hosts(), self.stage.clock
        for venue, wish in WISHES.items():
            self.stage.cores[venue].matching.parts = lambda order: [(FILLS_MS, 100)]
            account = account_of(venue, self.settings, self.given, hosts)
            folder = self.settings.state_dir
            async with desk_of(account, folder, clock, lambda *each: None, hosts) as desk:
                assert (await desk.place(wish)).status is OrderStatus.WORKING
        self.manager = Manager(self.settings, self.given, hosts, clock, factory=self.factory)
        self.told = []
        self.manager.monitor.tell = self.told.append
        self.task = asyncio.create_task(self.manager.run(lambda: None))
        await asyncio.sleep(20.0)
        return self

    async def __aexit__(self, *error):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    def age_s(self, venue):
        """Return how old the balances of a venue are."""
        held = self.manager.venues[venue].holdings()
        return (self.stage.clock.wall_ms() - held[1]) / 1_000

    def well(self, venue):
        """Tell whether balances are young, its stream speaks and no part of it is down."""
        line = self.manager.monitor.feeds.statistics[venue].lines[f"{venue} market"]
        silent_s = (self.stage.clock.wall_ms() - line.last_frame_ms) / 1_000
        return self.age_s(venue) < 45 and silent_s < 3 and not self.manager.venues[venue].down()

    def ends(self, venue):
        """Return what was told of orders of a venue that filled."""
        name = {"upbit": "Upbit", "binance": "Binance"}[venue]
        return [text for text in self.told if name in text and "filled" in text]


def plant(stage, venue, fault):
    """Let a venue have a fault; "" mends it."""
    core = stage.cores[venue]
    core.fault = ""
    core.key_fault, core.clock_off_ms = type(core.key_fault)(), 0
    stage.closed.discard(venue)
    stage.hung.discard(venue)
    if fault == "dead":
        stage.closed.add(venue)
        stage.cut(venue)
    elif fault == "hang":
        stage.hung.add(venue)
        stage.cut(venue)
    elif fault == "key":
        core.key_fault = "no_authorization_ip" if venue == "upbit" else -2015
    elif fault == "clock":
        core.clock_off_ms = 600_000
    else:
        core.fault = fault


FAULTS = ["dead", "hang", "cut", "silent", "garbage", "500", "429", "418", "451", "html", "key",
          "clock"]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("venue", ["upbit", "binance"])
def test_one_venue_in_trouble_never_stops_another(venue, fault, tmp_path):
    """The other's prices, balances and orders go on each second; the sick one comes back by itself."""

    async def scene():
        async with Scene(tmp_path) as scene:
            assert scene.well(venue)
            plant(scene.stage, venue, fault)
            sick = 0
            for _ in range(100):
                await asyncio.sleep(1.0)
                assert scene.well(OTHER[venue]), scene.told
                sick += not scene.well(venue) or scene.manager.monitor.board.figures("BTC") is None
            assert len(scene.ends(OTHER[venue])) == 1
            assert sick > 40
            plant(scene.stage, venue, "")
            await asyncio.sleep(90.0)
            assert scene.well(venue), scene.manager.venues[venue].down()
            assert len(scene.ends(venue)) == len(scene.ends(OTHER[venue])) == 1
            assert scene.manager.kept[OTHER[venue]].restarts == 0

    run_virtual(scene())


@pytest.mark.parametrize("venue", ["upbit", "binance"])
def test_a_broken_journal_stops_the_orders_of_its_venue_only(venue, tmp_path):
    """It is told at once and not begun anew: nothing may rest on such rows. The other goes on."""

    async def scene():
        async with Scene(tmp_path) as scene:
            use = scene.manager.venues[venue].use
            (tmp_path / f"orders-{venue}-{use}.tip").write_text("999 x\n")
            await asyncio.sleep(100.0)
            assert scene.manager.kept[venue].ended
            assert len([text for text in scene.told if "journal" in text]) == 1
            assert scene.well(OTHER[venue])
            assert len(scene.ends(OTHER[venue])) == 1
            assert scene.ends(venue) == []

    run_virtual(scene())


class Odd:
    """A venue of another kind, by the protocol alone; `act` is what its task does."""

    name, use = "kiwoom", "mock"

    def __init__(self, act):
        self.statistics, self._act = Statistics(), act

    async def run(self):
        await self._act()

    def holdings(self):
        return [Holding("005930", "삼성전자", D(10), D(0), D(700_000))], LoopClock().wall_ms()

    def down(self):
        return {}

    def orders(self):
        return []

    def days(self, day):
        return []

    def level(self):
        from kis_realtime_trading import KillLevel

        return KillLevel.ACTIVE


async def _dies():
    raise KeyError("a fault of the program")


async def _ends():
    return None


async def _hangs():
    await asyncio.Event().wait()


async def _clings():
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30.0)


@pytest.mark.parametrize("act", [_dies, _ends, _hangs])
def test_a_venue_of_another_kind_is_kept_by_the_same_protocol(act, tmp_path):
    """It dies, ends or gives no sign of life: begun anew with growing pauses, told, alone."""

    async def scene():
        odd = Odd(act)
        async with Scene(tmp_path, {**FACTORY, "kiwoom": lambda context: odd}) as scene:
            await asyncio.sleep(450.0)
            kept = scene.manager.kept["kiwoom"]
            assert 2 <= kept.restarts < 30
            assert len([text for text in scene.told if "Kiwoom: trouble" in text]) >= 1
            assert all(scene.well(venue) for venue in OTHER)
            assert all(len(scene.ends(venue)) == 1 for venue in OTHER)
            status = scene.manager.monitor.status(scene.stage.clock.wall_ms())
            assert status["accounts"]["kiwoom"]["holdings"][0]["won"] == 700_000
            assert status["down"]["kiwoom"]

    run_virtual(scene())


def test_a_journal_error_ends_a_task_for_good_and_others_do_not():
    """The one fault after which nothing may be begun anew."""

    async def scene():
        told, count = [], 0

        async def work():
            nonlocal count
            count += 1
            raise JournalError("disk") if count == 3 else RuntimeError("x")

        kept = Kept("v", work, lambda name, why: told.append(why))
        await kept.run()
        return kept, told, count

    kept, told, count = run_virtual(scene())
    assert (kept.ended, kept.restarts, count, told[-1]) == (True, 2, 3, "disk")


def test_a_typed_command_has_its_turn_while_the_manager_runs(tmp_path):
    """The manager holds an account for a round only; what was typed is read, looked at and told."""

    async def scene():
        async with Scene(tmp_path) as scene:
            hosts, clock = scene.stage.hosts(), scene.stage.clock
            account = account_of("binance", scene.settings, scene.given, hosts)
            scene.stage.cores["binance"].matching.parts = lambda order: [(30_000, 100)]
            second = WISHES["binance"]._replace(cause="typed")
            async with desk_of(account, tmp_path, clock, lambda *each: None, hosts) as desk:
                assert (await desk.place(second)).status is OrderStatus.WORKING
                await asyncio.sleep(20.0)  # the manager waits: it has not the lock
            await asyncio.sleep(12.0)
            assert len(scene.ends("binance")) == 1
            await asyncio.sleep(60.0)
            assert len(scene.ends("binance")) == 2
            assert not [o for o in scene.manager.venues["binance"].orders() if o.open]

    run_virtual(scene())


def test_the_day_is_reported_once_at_nine_in_seoul(tmp_path):
    """Orders, money and fees of the day that is over, with the premium."""

    async def scene():
        async with Scene(tmp_path, left_s=300) as scene:
            await asyncio.sleep(900.0)
            return [text for text in scene.told if "day report" in text]

    (text,) = run_virtual(scene())
    assert "Upbit (live)\n  orders 1, filled 1, refused 0\n  bought 176,000 · sold 0 KRW" in text
    assert "fees 88 KRW" in text
    assert "Binance (testnet)" in text
    assert "bought 124.00 · sold 0.00 USDT" in text
    assert "premium BTC" in text


def test_one_table_of_balances_and_of_orders_over_all_venues(tmp_path):
    """`status` shows what all accounts hold and the sum, `orders` every order; within 80 columns."""

    async def scene():
        async with Scene(tmp_path) as scene:
            await asyncio.sleep(100.0)
            stage = scene.stage
            status = scene.manager.monitor.status(stage.clock.wall_ms())
            lines = [line for v in scene.manager.venues.values() for line in v.orders()]
            return status, lines, stage.clock.wall_ms()

    status, lines, now_ms = run_virtual(scene())
    for language, total in (("ko", "합계"), ("en", "total")):
        console = Console(width=80, file=io.StringIO())
        console.print(overview.balances_table(status, language))
        console.print(overview.orders_table(lines, language, 80, now_ms))
        shown = console.file.getvalue()
        assert all(cell_len(row) <= 80 for row in shown.splitlines())
        for word in (total, "KRW-BTC", "BTCUSDT", "99,824,000"):
            assert word in shown, shown
        assert "…" not in shown
    for width in (100, 119, 120):
        console = Console(width=width, file=io.StringIO())
        console.print(overview.orders_table(lines, "ko", width, now_ms))
        shown = console.file.getvalue()
        assert "…" not in shown, shown
        assert ("(testnet)" in shown) is (width >= 120)
    held = {v: {h["asset"]: h for h in a["holdings"]} for v, a in status["accounts"].items()}
    assert held["upbit"]["KRW"]["won"] == 99_824_000
    assert held["binance"]["USDT"]["won"] == round(D(99_876) * 1_408)


def test_what_has_no_fresh_price_has_no_worth(tmp_path):
    """A line that is down takes the worth of its coins with it; old balances are dim and said to be old."""

    async def scene():
        async with Scene(tmp_path) as scene:
            plant(scene.stage, "binance", "dead")
            await asyncio.sleep(120.0)
            return scene.manager.monitor.status(scene.stage.clock.wall_ms())

    status = run_virtual(scene())
    worth = {h["asset"]: h["won"] for h in status["accounts"]["binance"]["holdings"]}
    assert worth["BTC"] is None
    assert not overview.fresh(status, status["accounts"]["binance"])
    assert overview.fresh(status, status["accounts"]["upbit"])
    assert "balances of" in str(overview.balances_table(status, "en").caption)


def filled(intent, quantity, funds, fees, at_ms):
    """Return the entries of an order that fills at once."""
    from venues.spot import Requested, Update

    named = intent.intent_id
    return [intent, Requested(named, at_ms), Update(named, OrderEvent.ACCEPTED, at_ms, "u"),
            Update(named, OrderEvent.FILL, at_ms, "u", D(quantity), D(funds), fees),
            Update(named, OrderEvent.FILLED, at_ms)]  # fmt: skip


def test_a_day_is_booked_at_average_cost_with_its_fees(tmp_path):
    """Two buys, half of it sold the next day: what it earned, to the digit; another's coin is unknown."""
    from venues.spot import rows_of
    from venues.spot_venue import days_of

    path, day_ms = tmp_path / "j.sqlite3", 86_400_000
    journal = Journal(path)
    fee = (("KRW", D(50)),)
    entries = []
    for number, (side, quantity, funds, at_ms) in enumerate(
        [(Side.BUY, "1", "100000", 1_000), (Side.BUY, "1", "120000", 2_000),
         (Side.SELL, "1", "130000", day_ms + 1_000), (Side.SELL, "5", "500000", 2 * day_ms)]
    ):  # fmt: skip
        at = datetime.fromtimestamp(at_ms / 1_000, UTC)
        purpose = Purpose.ENTRY if side is Side.BUY else Purpose.EXIT
        intent = Intent(f"i{number}", f"kb-{number:024d}", "upbit", "KRW-BTC", "BTC/KRW", side,
                        Kind.LIMIT, D(quantity), None, D(funds), purpose, "l", "s", at)  # fmt: skip
        entries += filled(intent, quantity, funds, fee, at_ms)
    journal.append(rows_of(entries), datetime.fromtimestamp(0, UTC))
    journal.close()
    (first,), (second,), (third,) = (days_of(path, day, "upbit", "live") for day in range(3))
    assert (first.bought, first.sold, first.realized, first.orders) == (220_000, 0, None, 2)
    assert (second.sold, second.realized) == (130_000, 130_000 - 50 - 110_050)
    assert (third.sold, third.realized) == (500_000, None)
    assert first.fees == {"KRW": D(100)}


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_commands_of_all_venues_have_a_demo(language, capsys):
    """`orders` alone is the list; `report` and `run` work without key and network."""
    for words, shown in ((["orders"], ("아직 주문이", "No orders yet")), (["report"], ("주문 없음", "no orders")),
                         (["run", "--seconds", "1.5"], ("남아 있는 주문: 없음", "still open: none"))):  # fmt: skip
        assert main([*words, "--demo", "--language", language]) == 0
        assert shown[language == "en"] in capsys.readouterr().out


# --- private lines ----------------------------------------------------------------------


@pytest.mark.parametrize("venue", ["upbit", "binance"])
def test_a_hint_of_the_private_line_asks_at_once(venue, tmp_path):
    """A fill is asked for within two seconds; what the stream says of it is believed of nothing."""

    async def scene():
        async with Scene(tmp_path) as scene:
            core, stats = scene.stage.cores[venue], scene.manager.venues[venue].statistics
            assert scene.manager.venues[venue].line.up
            await asyncio.sleep(2.0)
            (order,) = core.matching.orders.values()
            order.plan = [(scene.stage.clock.wall_ms() + 500, order.quantity)]
            await asyncio.sleep(2.5)
            assert len(scene.ends(venue)) == 1
            assert stats.lines[f"{venue} account"].frames > 0
            return scene.age_s(venue)

    assert run_virtual(scene()) < 3


@pytest.mark.parametrize("venue", ["upbit", "binance"])
def test_a_private_line_that_lies_moves_nothing(venue, tmp_path):
    """It says filled while the venue's answer says open: the order stays open."""

    async def scene():
        async with Scene(tmp_path) as scene:
            core = scene.stage.cores[venue]
            (order,) = core.matching.orders.values()
            lie = {"upbit": {"ty": "myOrder", "id": order.client_id, "s": "done", "ev": 9},
                   "binance": {"event": {"e": "executionReport", "c": order.client_id, "X": "FILLED"}}}  # fmt: skip
            core._private_frames = lambda *given: [json.dumps(lie[venue]).encode()]
            await asyncio.sleep(15.0)
            assert scene.ends(venue) == []
            assert [o for o in scene.manager.venues[venue].orders() if o.open]

    run_virtual(scene())


@pytest.mark.parametrize("venue", ["upbit", "binance"])
def test_without_its_private_line_a_venue_goes_on_by_questions(venue, tmp_path):
    """The line is refused or cut for ever: orders are looked at by REST; when it is back, all is asked."""

    async def scene():
        async with Scene(tmp_path) as scene:
            stage = scene.stage
            refused = stage.cores[venue]
            kept = refused.welcome
            refused.welcome = lambda target, headers: (
                "private" not in target and "ws-api" not in target
            )
            stage.sockets[f"{venue} account"].cut.set()
            await asyncio.sleep(70.0)
            assert scene.manager.venues[venue].down()["account line"]
            assert len(scene.ends(venue)) == 1
            assert scene.age_s(venue) < 45
            refused.welcome = kept
            for _ in range(20):  # a try that real threads had made late is followed by another
                await asyncio.sleep(10.0)
                if scene.manager.venues[venue].line.up:
                    break
            await asyncio.sleep(10.0)
            assert scene.manager.venues[venue].line.up
            assert scene.manager.venues[venue].down() == {}

    run_virtual(scene())


def test_a_thousand_hints_are_a_few_questions(tmp_path):
    """A stream that floods does not use up the limit: hints of a moment are one question."""

    async def scene():
        async with Scene(tmp_path) as scene:
            venue = scene.manager.venues["upbit"]
            before = scene.stage.cores["upbit"].requests
            for _ in range(100):
                for _ in range(10):
                    venue.hint(Hint(""))
                await asyncio.sleep(0.1)
            return scene.stage.cores["upbit"].requests - before

    assert run_virtual(scene()) < 80


@pytest.mark.parametrize(
    ("read", "raw", "hints"),
    [
        (upbit.read_private, {"type": "myOrder", "code": "KRW-BTC", "uuid": "u", "identifier": "kb-1",
                              "state": "trade", "price": 100, "is_maker": None}, ["kb-1"]),
        (upbit.read_private, {"ty": "myOrder", "cd": "KRW-BTC", "uid": "u", "s": "cancel"}, [""]),
        (upbit.read_private, [{"ty": "myOrder", "id": "kb-2", "s": "prevented"}], ["kb-2"]),
        (upbit.read_private, {"type": "myAsset", "assets": [{"currency": "KRW", "balance": "1"}]}, [""]),
        (upbit.read_private, {"type": "announcement", "title": "x"}, []),
        (upbit.read_private, {"status": "UP"}, []),
        (upbit.read_private, {"error": {"name": "INVALID_AUTH", "message": "x"}}, LineEnds),
        (upbit.read_private, 7, BadData), (upbit.read_private, {"a": 1}, BadData),
        (binance.read_private, {"id": 1, "status": 200, "result": {"subscriptionId": 0}}, []),
        (binance.read_private, {"subscriptionId": 0, "event": {"e": "executionReport", "c": "kb-1",
                                                               "C": "", "X": "NEW", "N": None}}, ["kb-1"]),
        (binance.read_private, {"event": {"e": "executionReport", "c": "own", "C": "kb-1"}}, ["kb-1", "own"]),
        (binance.read_private, {"event": {"e": "outboundAccountPosition", "B": []}}, [""]),
        (binance.read_private, {"event": {"e": "balanceUpdate", "a": "BTC", "d": "1"}}, [""]),
        (binance.read_private, {"event": {"e": "listStatus"}}, []),
        (binance.read_private, {"event": {"e": "eventStreamTerminated", "E": 1}}, LineEnds),
        (binance.read_private, {"event": {"e": "serverShutdown", "E": 1}}, LineEnds),
        (binance.read_private, {"id": 1, "status": 400, "error": {"code": -1022}}, LineEnds),
        (binance.read_private, {"event": None}, BadData), (binance.read_private, [], BadData),
    ],
)  # fmt: skip
def test_a_private_frame_is_a_hint_an_end_or_nothing(read, raw, hints):
    """Every kind the documentations name, odd ones, and those of lists."""
    frame = json.dumps(raw).encode()
    if isinstance(hints, list):
        assert [hint.client_id for hint in read(frame)] == hints
    else:
        with pytest.raises(hints):
            read(frame)
