"""What a person sees of Kiwoom: orders, conditions, watch, check; real money behind the interlock."""

import asyncio
import re
from decimal import Decimal

import pytest
from harness import run_virtual
from kiwoom_stage import Wire

from kis_realtime_trading import (
    Both,
    Journal,
    KillLevel,
    OrderEvent,
    OrderStatus,
    Secret,
    SettingsError,
    Side,
)
from venues import accounts, cli, kiwoom_cli, orders_cli
from venues.checks import CAUSES, Check
from venues.cli import demo_account, main
from venues.common import Kind
from venues.kiwoom import ERRORS, WORLDS, read_notice
from venues.manager import FACTORY, venues_in
from venues.monitor import Hosts
from venues.orders import Refused, Wish
from venues.settings import read_settings
from venues.simulators.kiwoom import KiwoomSimulator
from venues.spot import Requested, Update, rows_of
from venues.spot_venue import SpotVenue
from venues.venue import Context
from venues.wire import Clock

pytestmark = pytest.mark.usefixtures("short_seconds")

KEYS = {"KIWOOM_APP_KEY": "k" * 20, "KIWOOM_SECRET_KEY": "s" * 20}


def said(capsys, *arguments, code=0):
    """Run a command on the simulated venues; return what it printed, without a secret in it."""
    assert main([*arguments, "--demo"]) == code
    out, err = capsys.readouterr()
    for secret in [each.reveal() for each in demo_account()[1].secrets()]:
        assert secret not in out + err
    return out + err


BUY = ("orders", "place", "kiwoom", "buy", "005930", "--quantity", "10", "--price")


def test_a_dry_run_says_that_kiwoom_has_none(capsys):
    """Only our own rules can be asked: it says so, and places nothing."""
    shown = said(capsys, *BUY, "70000", "--language", "en")
    assert "Kiwoom has no test of an order" in shown
    assert "시험 주문이 없습니다" in said(capsys, *BUY, "70000")


def test_an_order_is_sent_once_and_shown(capsys):
    """With --send it leaves to the mock world; what became of it stands in the table."""
    assert "filled" in said(capsys, *BUY, "70100", "--send", "--language", "en")


@pytest.mark.parametrize(
    "more", [("--kind", "post", "--quantity", "1", "--price", "70000"), ("--kind", "market", "--money", "70000")]
)  # fmt: skip
def test_kinds_that_kiwoom_lacks_are_refused_before_anything_is_asked(capsys, more):
    """Post-only, and a market buy whose cost has no bound."""
    shown = said(capsys, "orders", "place", "kiwoom", "buy", "005930", *more, code=78)
    assert "키움" in shown


def test_an_order_off_the_price_steps_is_refused(capsys):
    """70,050 is no price of a stock at 70,000: said, not rounded up."""
    shown = said(capsys, *BUY, "85000", "--language", "en", code=1)
    assert "limits.collar_pct" in shown


def test_real_money_needs_the_word_and_the_pin():
    """`live` is the same interlock as at the other venues: --live and the pin of key and limits."""
    text = "kiwoom: {use: live, limits: {max_order: 1000000, max_coin: 1000000, max_total: 2000000, max_day: 1000000}}"  # fmt: skip
    settings, given = read_settings(text, KEYS)
    account = accounts.account_of("kiwoom", settings, given, Hosts())
    assert account.base == WORLDS["live"].rest
    assert [fault.key for fault in accounts.sending_faults(account, False)] == [
        "--live",
        "kiwoom.live_pin",
    ]
    assert accounts.sending_faults(account._replace(pin=account.right_pin), True) == []
    mock = read_settings(text.replace("live", "mock"), KEYS)
    account = accounts.account_of("kiwoom", *mock, Hosts())
    assert account.base == WORLDS["mock"].rest
    assert accounts.sending_faults(account, False) == []
    assert [fault.key for fault in accounts.sending_faults(account, True)] == ["kiwoom.use"]


def test_without_limits_nothing_is_ordered():
    """Even prices need a key, so a key without limits is for prices and conditions only."""
    settings, given = read_settings("kiwoom: {use: mock}", KEYS)
    with pytest.raises(SettingsError):
        accounts.account_of("kiwoom", settings, given, Hosts())
    context = Context(settings, given, Hosts(), Clock(), print)
    assert "kiwoom" not in venues_in(context)
    assert "kiwoom" in FACTORY


@pytest.mark.parametrize(
    ("text", "environ"),
    [("kiwoom: {use: mock}", {}), ("kiwoom: {use: mock}", {"KIWOOM_APP_KEY": "k"}),
     ("kiwoom: {use: paper}", KEYS), ("kiwoom: {use: mock, stocks: [삼성]}", KEYS),
     ("kiwoom: {use: mock, conditions: [a, a]}", KEYS), ("kiwoom: {use: mock, conditions: [1,2,3,4,5,6,7,8,9,10,11]}", KEYS)],
)  # fmt: skip
def test_wrong_settings_are_named(text, environ):
    """No key, half a pair, an unknown world, no code of a stock, a name twice, more than ten."""
    with pytest.raises(SettingsError) as error:
        read_settings(text, environ)
    assert any("kiwoom" in fault.key.lower() for fault in error.value.faults)


def test_conditions_are_listed_asked_and_followed(capsys):
    """Names; the stocks of one with prices; who comes and goes."""
    assert "눌림목" in said(capsys, "conditions", "--list")
    shown = said(capsys, "conditions", "--once", "거래량 급증", "--language", "en")
    assert "035720 카카오" in shown and "-0.13%" in shown
    followed = said(capsys, "conditions", "--seconds", "1.5")
    assert "편입 거래량 급증: 035720 (조회로 확인)" in followed
    assert "이 이름의 조건이 없습니다" in said(capsys, "conditions", "--once", "없음", code=1)


def test_stocks_in_a_condition_are_shown_with_their_prices(capsys):
    """`--prices`: code, condition, last, bid and ask of what is inside now."""
    shown = said(capsys, "conditions", "--prices", "--seconds", "2.5", "--language", "en")
    assert "돌파" in shown
    assert re.search(r"│ 0\d{5} │ .* │ +[\d,]{6,} │ +[\d,]{6,} │ +[\d,]{6,} │ [+-]\d", shown)


def test_conditions_without_a_key_say_what_to_set(capsys, tmp_path, monkeypatch):
    """Switched off: which setting and which names of the environment."""
    monkeypatch.chdir(tmp_path)
    assert main(["conditions", "--list"]) == 78
    assert "KIWOOM_APP_KEY" in "".join(capsys.readouterr())


def test_watch_shows_the_stocks(capsys):
    """Bid, ask and the change of the day beside the other venues."""
    assert "005930" in said(capsys, "watch", "--once")


# --- check ------------------------------------------------------------------------------


def checked(fault="", conditions=(), twice=False):
    """Check the key against a simulator in virtual time."""
    wire = Wire()
    wire.core.fault = fault
    settings, given = read_settings("kiwoom: {use: live}", KEYS)
    section = settings.kiwoom.model_copy(update={"conditions": conditions})
    settings = settings.model_copy(update={"kiwoom": section})
    given = given.model_copy(update={"keys": {**given.keys, "KIWOOM_APP_KEY": Secret(wire.core.app), "KIWOOM_SECRET_KEY": Secret(wire.core.secret)}})  # fmt: skip
    hosts = Hosts(
        transport=lambda hosts: wire, kiwoom_rest="http://127.0.0.1", kiwoom_stream="ws://127.0.0.1"
    )

    async def scene(tmp):
        settings_here = settings.model_copy(update={"state_dir": tmp})
        line = kiwoom_cli.KiwoomLine
        original = line.__init__.__defaults__
        line.__init__.__defaults__ = (wire.connect,)
        if twice:
            wire.no_stream = True
        try:
            return await kiwoom_cli.check_key(settings_here, given, hosts, wire.time, 8.0)
        finally:
            line.__init__.__defaults__ = original

    return scene


@pytest.mark.parametrize(
    ("fault", "conditions", "down", "codes"),
    [("", (), False, ["ok", "ok"]), ("", ("없음",), False, ["ok", "kiwoom_condition"]),
     ("keys", (), False, ["kiwoom_keys"]), ("world", (), False, ["kiwoom_keys"]), ("ip", (), False, ["kiwoom_token"]),
     ("1999", (), False, ["kiwoom_unsure"]), ("cut", (), False, ["kiwoom_silent"]), ("html", (), False, ["kiwoom_silent"]),
     ("", (), True, ["ok", "kiwoom_stream"])],
)  # fmt: skip
def test_check_finds_the_cause(fault, conditions, down, codes, tmp_path):
    """Right, a missing condition, wrong keys, the other world, another address, trouble, a closed port."""
    found = run_virtual(checked(fault, conditions, down)(tmp_path))
    assert [each.code for each in found] == codes
    assert all(each.code == "ok" or each.code in CAUSES for each in found)


def test_every_refusal_has_a_cause_in_both_languages():
    """Whatever Kiwoom answers, `check` has words for it and for what to do."""
    assert {f"kiwoom_{act}" for act, _ in ERRORS.values()} <= set(CAUSES)
    for texts in kiwoom_cli.CAUSES.values():
        assert all(isinstance(text, Both) and text.ko != str(text) for text in texts)


def test_check_asks_kiwoom_where_it_is_set_up(capsys, monkeypatch):
    """In the round of all checks the key of Kiwoom has its line."""
    asked = []

    async def noted(*given):
        asked.append(given)
        return [kiwoom_cli.Found(Both("Kiwoom, key", "키움 키"), "ok", "")]

    monkeypatch.setattr(kiwoom_cli, "check_key", noted)
    settings, given = demo_account()
    check = Check(settings, given, Hosts(), Clock(), 0.1)
    monkeypatch.setattr(check, "_upbit_key", lambda *a: asyncio.sleep(0))
    monkeypatch.setattr(check, "_binance_key", lambda *a: asyncio.sleep(0))
    asyncio.run(check._keys())
    assert len(asked) == 1
    assert check.findings[-1].good


def test_the_manager_keeps_kiwoom_like_the_others(tmp_path):
    """Balances are asked, orders looked after, by the desk that follows Kiwoom's numbers."""
    settings, given = demo_account()
    settings = settings.model_copy(update={"state_dir": tmp_path})

    async def scene():
        async with cli.venues_of(True) as hosts:
            context = Context(settings, given, hosts, Clock(), print)
            venue = venues_in(context)["kiwoom"]
            account = accounts.account_of("kiwoom", settings, given, hosts)
            async with accounts.desk_of(account, tmp_path, Clock(), lambda code, order: None, hosts) as desk:  # fmt: skip
                wish = Wish(
                    "005930", Side.BUY, Kind.LIMIT, Decimal(1), None, Decimal(70_000), cause="x"
                )
                placed = await desk.place(wish)
                assert not isinstance(placed, Refused)
            task = asyncio.create_task(venue.run())
            for _ in range(200):
                await asyncio.sleep(0.05)
                if venue.holdings() and not venue.orders()[0].open and venue.line.up:
                    break
            up = venue.line.up
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return venue, up

    venue, up = asyncio.run(scene())
    assert up
    assert venue.orders()[0].status is OrderStatus.FILLED
    assert {each.asset for each in venue.holdings()[0]} >= {"KRW", "005930"}
    assert venue.level() is KillLevel.ACTIVE


def test_the_manager_books_notices_when_its_journal_is_open(tmp_path):
    """A notice waits for the next round, then it is booked before anything is asked."""
    wire = Wire()
    wire.core.parts = lambda order: []
    settings, given = read_settings(
        "kiwoom: {use: live, limits: {max_order: 9000000, max_coin: 9000000, max_total: 9000000, max_day: 9000000}}",
        {"KIWOOM_APP_KEY": wire.core.app, "KIWOOM_SECRET_KEY": wire.core.secret},
    )
    settings = settings.model_copy(update={"state_dir": tmp_path})
    hosts = Hosts(
        transport=lambda names: wire, kiwoom_rest="http://127.0.0.1", kiwoom_stream="ws://127.0.0.1"
    )

    async def scene():
        account = accounts.account_of("kiwoom", settings, given, hosts)
        async with accounts.desk_of(
            account, tmp_path, wire.time, lambda code, order: None, hosts
        ) as desk:
            await desk.place(
                Wish("005930", Side.BUY, Kind.LIMIT, Decimal(1), None, Decimal(70_000), cause="x")
            )
        venue = SpotVenue(account, Context(settings, given, hosts, wire.time, print))
        port = accounts.wire_of(account, hosts, wire.time, venue.statistics, tmp_path).port
        await venue._look(port)
        assert venue.orders()[0].status is OrderStatus.WORKING
        values = {"9203": "0000001", "9001": "A005930", "913": "체결", "900": "1", "901": "70000", "902": "0",
                  "903": "69900", "907": "2", "908": "100001", "909": "1", "919": "0", "938": "10"}  # fmt: skip
        venue.notice(read_notice(values))
        await venue._look(port)
        return venue.orders()[0]

    order = run_virtual(scene())
    assert (order.status, order.filled, order.fees) == (OrderStatus.FILLED, "1", "10 KRW")


def test_another_price_and_the_owners_word_by_command(tmp_path, capsys, monkeypatch):
    """A resting order is checked, then changed once; what could not be found out is settled by the owner."""
    settings, given = demo_account()
    settings = settings.model_copy(update={"state_dir": tmp_path, "language": "en"})
    monkeypatch.setattr(KiwoomSimulator, "_plan", lambda self, order: None)

    async def scene():
        async with cli.venues_of(True) as hosts:

            async def run(*arguments):
                typed = ["orders", *arguments, "--language", "en", "--wait", "2"]
                return await orders_cli.run(cli.build_parser().parse_args(typed), settings, given, hosts)  # fmt: skip

            assert await run("place", "kiwoom", "buy", "005930", "--quantity", "10", "--price", "70000", "--send") == 0  # fmt: skip
            file = tmp_path / "orders-kiwoom-mock.sqlite3"
            (order,) = accounts.read_ledger(file).orders.values()
            known = order.intent.client_id[:11]
            assert await run("change", "kiwoom", known, "--price", "1") == 1
            assert await run("change", "kiwoom", known, "--price", "69900") == 0
            assert accounts.read_ledger(file).orders[order.intent.intent_id].price is None
            assert await run("change", "kiwoom", known, "--price", "69900", "--send") == 0
            with pytest.raises(SettingsError):
                await run("settle", "kiwoom", known, "--never")
            with pytest.raises(SettingsError):
                await run("change", "kiwoom", known, "--price", "dear")
            changed = accounts.read_ledger(file).orders[order.intent.intent_id]
            lost = order.intent.__class__(**{**{name: getattr(order.intent, name) for name in order.intent.__slots__},
                                             "intent_id": "lost", "client_id": "kb-lostlostlost"})  # fmt: skip
            journal = Journal(file)
            journal.verify()
            rows = rows_of([lost, Requested("lost", 1), Update("lost", OrderEvent.NO_ANSWER, 2),
                            Update("lost", OrderEvent.AMBIGUOUS, 3)])  # fmt: skip
            journal.append(rows, lost.at)
            journal.close()
            assert await run("settle", "kiwoom", "lostlost", "--number", changed.order_id) == 1
            assert await run("settle", "kiwoom", "lostlost", "--never") == 0
            return changed, accounts.read_ledger(file).orders["lost"]

    changed, settled = asyncio.run(scene())
    assert (changed.price, len(changed.numbers), changed.status) == (Decimal(69_900), 2, OrderStatus.WORKING)  # fmt: skip
    assert settled.status is OrderStatus.LOST
    shown = capsys.readouterr().out
    assert " 69,900 " in shown.partition("Add --send")[2]
    assert "10 left may go to 69,900 won" in shown
    assert "the number of another order of yours" in shown


@pytest.mark.parametrize("venue", ["upbit", "binance"])
def test_a_change_is_kiwooms_alone(venue, tmp_path):
    """Elsewhere it is a cancel and another order: said before anything is asked of an order."""
    settings, given = demo_account()
    settings = settings.model_copy(update={"state_dir": tmp_path})

    async def scene():
        async with cli.venues_of(True) as hosts:
            typed = cli.build_parser().parse_args(["orders", "change", venue, "x", "--price", "1"])
            with pytest.raises(SettingsError, match=r"orders change"):
                typed.language = "en"
                await orders_cli.run(typed, settings, given, hosts)

    asyncio.run(scene())
