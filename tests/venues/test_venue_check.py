"""`check` explains faults by their cause: one planted at a time, over real sockets on loopback."""

import asyncio
import inspect
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from aiohttp import TCPConnector, web
from aiohttp.abc import AbstractResolver

from kis_realtime_trading import Journal, OrderEvent, Secret, Side
from venues import checks
from venues.accounts import account_of
from venues.checks import CAUSES, Check, Finding
from venues.cli import main
from venues.common import Intent, Kind, Purpose
from venues.monitor import Hosts
from venues.settings import (
    SECRETS,
    BankRate,
    BinanceSettings,
    Environment,
    KimchiSettings,
    MoneyLimits,
    UpbitSettings,
    VenueSettings,
)
from venues.simulators.binance import BinanceSimulator
from venues.simulators.market import Market
from venues.simulators.server import Server
from venues.simulators.upbit import UpbitSimulator
from venues.spot import Requested, Update, rows_of
from venues.wire import Clock, VenueTransport

pytestmark = pytest.mark.usefixtures("short_seconds")

OLD = BankRate(source="bank", krw=1_400, at=datetime(2020, 1, 1, tzinfo=UTC))
TOKEN = Secret("123456:abcdefghijklmnopqrstuvwxyz")


def telegram(known, chat):
    """Return a Telegram that knows this token or not, this chat or not."""

    async def answer(request):
        good = known if request.path.endswith("getMe") else chat
        return web.json_response({"ok": good}, status=200 if good else 401)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    return app


async def findings_of(plant, settings, environment=None, down=(), app=None, wait_s=20.0):
    """Run the check against both simulators after something was planted; code by what it is about."""
    clock, market = Clock(), Market()
    cores = UpbitSimulator(market, clock.wall_ms), BinanceSimulator(market, clock.wall_ms)
    servers = Server(cores[0], True, beat_s=0.05), Server(cores[1], False, beat_s=0.05)
    runner = web.AppRunner(app) if app else None
    for server in servers:
        await server.start()
    plant(*cores)
    here, there = (f"127.0.0.1:{server.port}" for server in servers)
    for number in down:
        await servers[number].stop()
    given = environment or Environment()
    if runner:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        api = f"http://127.0.0.1:{runner.addresses[0][1]}"
        given = Environment(telegram_token=TOKEN, telegram_chat="5", telegram_api=api)
    hosts = Hosts(f"http://{here}", f"ws://{here}/websocket/v1", f"http://{there}", f"ws://{there}")
    try:
        return await Check(settings, given, hosts, clock, wait_s).run()
    finally:
        for number, server in enumerate(servers):
            if number not in down:
                await server.stop()
        if runner:
            await runner.cleanup()


def codes(plant, tmp_path, down=(), app=None, wait_s=20.0, **settings):
    """Return every code but ok, by what it is about (in English)."""
    given = VenueSettings(state_dir=tmp_path / "state", **settings)
    found = asyncio.run(findings_of(plant, given, down=down, app=app, wait_s=wait_s))
    for finding in found:
        for language in ("ko", "en"):
            assert TOKEN.reveal() not in finding.said(language)
            assert finding.said(language).strip()
    return {(str(f.about), f.code) for f in found if not f.good}


def nothing(upbit, binance):
    """Plant nothing."""


def test_a_sound_setting_has_no_finding(tmp_path):
    """Nothing planted, nothing found; Telegram included."""
    assert codes(nothing, tmp_path, app=telegram(True, True)) == set()


@pytest.mark.parametrize(
    ("number", "fault", "code"),
    [
        (0, "500", "server_trouble"), (0, "429", "too_many"), (0, "418", "banned"),
        (1, "451", "country"), (1, "html", "maintenance"), (1, "cut", "cut"),
    ],
)  # fmt: skip
def test_a_venue_in_trouble_is_named_by_its_cause(tmp_path, number, fault, code):
    """HTTP 500, 429, 418, 451, a page of maintenance, a cut: six causes, six codes."""

    def plant(*cores):
        cores[number].fault = fault

    assert (("Upbit", "Binance")[number], code) in codes(plant, tmp_path)


@pytest.mark.parametrize(
    ("number", "fault", "code"),
    [
        (0, "silent", "silent"),
        (1, "garbage", "garbage"),
        (0, "refused", "refused"),
        (1, "shutdown", "refused"),
    ],
)
def test_a_stream_in_trouble_is_named_by_its_cause(tmp_path, number, fault, code):
    """Nothing comes, nothing readable comes, the venue refuses or ends it."""

    def plant(*cores):
        cores[number].fault = fault

    wait_s = 1.0 if fault == "silent" else 20.0  # only of silence is the end of the wait the sign
    about = ("Upbit, stream", "Binance, stream")[number]
    assert (about, code) in codes(plant, tmp_path, wait_s=wait_s)


def test_a_venue_that_is_not_there_is_named(tmp_path):
    """No connection: both by REST and by the stream."""
    found = codes(nothing, tmp_path, down=(0,))
    assert found == {("Upbit", "no_connection"), ("Upbit, stream", "stream_down")}


@pytest.mark.parametrize("number", [0, 1])
def test_a_wrong_clock_is_named(tmp_path, number):
    """Five seconds off against the venue's clock."""

    def plant(*cores):
        cores[number].clock_off_ms = 4_000

    assert (("Upbit", "Binance")[number], "clock") in codes(plant, tmp_path)


def test_unknown_and_halted_markets_are_named(tmp_path):
    """A coin that a venue does not list; one that it does not trade now."""

    def plant(upbit, binance):
        upbit.missing.add("KRW-SOL")
        binance.states["XRPUSDT"] = "BREAK"

    assert {("Upbit", "unknown_symbol"), ("Binance", "halted")} <= codes(plant, tmp_path)
    many = KimchiSettings(coins=("BTC", "NONE"))
    assert ("Binance", "unknown_symbol") in codes(nothing, tmp_path, kimchi=many)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    """A file stands where the state folder should be."""
    (tmp_path / "state").write_text("")
    assert ("state folder", "folder") in codes(nothing, tmp_path)


def test_an_old_bank_rate_is_named(tmp_path):
    """It is neither shown nor alerts; the user hears why."""
    assert codes(nothing, tmp_path, bank_rates=(OLD,)) == {("bank rate", "bank_old")}


@pytest.mark.parametrize(
    ("known", "chat", "code"), [(False, False, "telegram_token"), (True, False, "telegram_chat")]
)
def test_a_wrong_token_or_chat_is_named(tmp_path, known, chat, code):
    """Telegram is asked, nothing is sent."""
    assert codes(nothing, tmp_path, app=telegram(known, chat)) == {("Telegram", code)}


LIMITS = MoneyLimits(max_order=1, max_coin=2, max_total=3, max_day=3)
TEXTS = ("sim-upbit-access-key", "sim-upbit-secret-key", "sim-binance-api-key", "sim-binance-secret-key")  # fmt: skip
KEYS = Environment(keys=dict(zip(SECRETS[:4], map(Secret, TEXTS), strict=True)))


def ordering(folder, pinned=True):
    """Return settings that order at both venues, with the right pins or without."""
    sections = {"upbit": UpbitSettings(use="live", limits=LIMITS),
                "binance": BinanceSettings(use="live", limits=LIMITS)}  # fmt: skip
    settings = VenueSettings(state_dir=folder / "state", **sections)
    for venue, section in sections.items():
        pin = account_of(venue, settings, KEYS, Hosts()).right_pin if pinned else ""
        settings = settings.model_copy(update={venue: section.model_copy(update={"live_pin": pin})})
    return settings


@pytest.mark.parametrize(
    ("about", "field", "value", "code"),
    [
        ("Upbit, key", "key_fault", "no_authorization_ip", "key_address"),
        ("Upbit, key", "key_fault", "expired_access_key", "key_expired"),
        ("Upbit, key", "key_fault", "out_of_scope", "key_rights"),
        ("Upbit, key", "secret", "another secret", "key_wrong"),
        ("Upbit, key", "key_ends", "2020-01-01T00:00:00+09:00", "key_ends"),
        ("Binance, key", "secret", "another secret", "key_wrong"),
        ("Binance, key", "key_fault", -2015, "key_address"),
        ("Binance, key", "withdraws", True, "key_withdraws"),
    ],
)
def test_a_key_in_trouble_is_named_by_its_cause(tmp_path, about, field, value, code):
    """Address, rights, end, secret, withdrawals: asked by balances, nothing is ordered."""

    def plant(*cores):
        setattr(cores[about.startswith("Binance")], field, value)

    found = asyncio.run(findings_of(plant, ordering(tmp_path), KEYS))
    assert {(str(f.about), f.code) for f in found if not f.good} == {(about, code)}
    said = "\n".join(f.said(language) for f in found for language in ("ko", "en"))
    assert not [text for text in TEXTS if text in said]


def test_real_money_without_its_pin_is_named(tmp_path):
    """The settings say live; the pin of this key and these limits is not there."""
    found = asyncio.run(findings_of(nothing, ordering(tmp_path, pinned=False), KEYS))
    named = {(str(f.about), f.code) for f in found if not f.good}
    assert named == {("Upbit, orders", "pin"), ("Binance, orders", "pin")}
    assert "orders pin upbit" in "".join(f.said("en") for f in found)


def test_a_journal_that_was_changed_and_an_order_without_end_are_named(tmp_path):
    """A row of an order that nobody knows the end of; then a tip that says more rows were there."""
    settings = ordering(tmp_path)
    path = account_of("upbit", settings, KEYS, Hosts()).file(settings.state_dir)
    path.parent.mkdir(mode=0o700)
    at = datetime(2026, 11, 27, tzinfo=UTC)
    intent = Intent("i1", f"kb-{7:024d}", "upbit", "KRW-BTC", "BTC/KRW", Side.BUY, Kind.LIMIT,
                    Decimal(1), None, Decimal(1000), Purpose.ENTRY, "l", "s", at)  # fmt: skip
    journal = Journal(path)
    journal.append(rows_of([intent, Requested("i1", 0), Update("i1", OrderEvent.NO_ANSWER, 0)]), at)
    journal.close()
    for tip, code in ((None, "unresolved"), ("99 x", "journal")):
        if tip:
            path.with_suffix(".tip").write_text(tip)
        found = asyncio.run(findings_of(nothing, settings, KEYS))
        assert {(str(f.about), f.code) for f in found if not f.good} == {("Upbit, orders", code)}
    journal = Journal(path, read_only=True)
    assert len(list(journal.rows())) == 3
    journal.close()


def test_files_that_others_can_read_are_named(tmp_path):
    """Prices of a private account are nobody else's: the mode of the folder and of each file."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (folder / "status.json").write_text("{}")
    (folder / "status.json").chmod(0o644)
    assert codes(nothing, tmp_path) == {("state folder", "mode")}
    (folder / "status.json").chmod(0o600)
    folder.chmod(0o755)
    assert codes(nothing, tmp_path) == {("state folder", "mode")}


class NoNames(AbstractResolver):
    """A DNS server that knows nothing."""

    async def resolve(self, host, port=0, family=0):
        raise OSError("Name or service not known")

    async def close(self):
        pass


@pytest.mark.parametrize("code", ["dns", "tls"])
def test_a_name_and_a_certificate_in_trouble_are_named(code, tmp_path):
    """A name that nobody resolves; a server that does not speak TLS where TLS is asked for."""

    async def scene():
        clock = Clock()
        core = UpbitSimulator(Market(), clock.wall_ms)
        server = Server(core, True, beat_s=0.05)
        await server.start()
        here = f"127.0.0.1:{server.port}"
        rest = "https://api.upbit.com" if code == "dns" else f"https://{here}"
        hosts = Hosts(rest, f"ws://{here}/websocket/v1", rest, f"ws://{here}",
                      transport=lambda names: VenueTransport(
                          ["api.upbit.com"], lambda: TCPConnector(resolver=NoNames())))  # fmt: skip
        settings = VenueSettings(state_dir=tmp_path / "state")
        try:
            return await Check(settings, Environment(), hosts, clock, 2.0).run()
        finally:
            await server.stop()

    named = {(str(f.about), f.code) for f in asyncio.run(scene()) if not f.good}
    assert {("Upbit", code), ("Binance", code)} <= named


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_wrong_setting_is_named_with_its_line_and_what_was_meant(language, tmp_path, capsys):
    """`check` reads the same settings: an unknown key and a wrong value in one round, exit code 78."""
    (tmp_path / "v.yaml").write_text("upbit:\n  market: [KRW-BTC]\nkimchi:\n  high_pct: 900\n")
    assert main(["check", "--settings", str(tmp_path / "v.yaml"), "--language", language]) == 78
    told = capsys.readouterr().err
    assert "upbit.market" in told
    assert "markets" in told
    assert "kimchi.high_pct" in told


def test_every_cause_speaks_both_languages_and_says_what_to_do():
    """What it is and what to do about it, in Korean and in English; no brace is left over."""
    assert len(CAUSES) >= 30
    for code, cause in CAUSES.items():
        finding = Finding("x", code, "TEXT")
        for language in ("ko", "en"):
            what, do = finding.said(language).split("\n    → ")
            assert len(what) > 6 < len(do), code
            assert "{" not in what + do, code
        texts = (cause.what, cause.do)
        assert all(text == "{text}" or str(text).isascii() for text in texts), code
        for text in texts:
            korean = any("가" <= letter <= "힣" for letter in text.ko)
            assert korean or text.ko in ("{text}", "python -m venues orders pin {text}"), code


def test_every_cause_that_the_check_can_name_has_words():
    """A code that stands in the program stands in the table, and the reverse."""
    source = inspect.getsource(checks)
    used = set(re.findall(r'"([a-z]+(?:_[a-z]+)*)"', source))
    assert {code for code in checks.KEY_CAUSES.values()} <= set(CAUSES)
    others = {"no_connection", "dns", "tls", "timeout", *checks.kiwoom_cli.CAUSES}
    assert set(CAUSES) - used - others == set()
