"""`check` explains faults by their cause: one planted at a time, over real sockets on loopback."""

import asyncio
from datetime import UTC, datetime

import pytest
from aiohttp import web

from kis_realtime_trading import Secret
from venues.checks import CAUSES, Check
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
from venues.wire import Clock

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
ORDERING = {
    "upbit": UpbitSettings(use="live", limits=LIMITS),
    "binance": BinanceSettings(use="live", limits=LIMITS),
}


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

    texts = (
        "sim-upbit-access-key",
        "sim-upbit-secret-key",
        "sim-binance-api-key",
        "sim-binance-secret-key",
    )
    given = Environment(keys=dict(zip(SECRETS[:4], map(Secret, texts), strict=True)))
    settings = VenueSettings(state_dir=tmp_path / "state", **ORDERING)
    found = asyncio.run(findings_of(plant, settings, given))
    assert {(str(f.about), f.code) for f in found if not f.good} == {(about, code)}
    said = "\n".join(f.said(language) for f in found for language in ("ko", "en"))
    assert not [text for text in texts if text in said]


def test_every_cause_speaks_both_languages():
    """A cause has its sentence in Korean and in English."""
    for code, text in CAUSES.items():
        assert any("가" <= letter <= "힣" for letter in text.ko), code
        assert str(text).isascii(), code
