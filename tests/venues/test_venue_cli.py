"""What a user reads of a monitor: its status, its history, its alerts on the phone."""

import argparse
import asyncio
import json
from decimal import Decimal

import aiohttp
import pytest
from harness import run_virtual
from venue_stage import LoopClock, Stage

from companions import telegram_server
from kis_realtime_trading import NoAnswer, Secret
from venues import accounts, cli
from venues.cli import main, venues_of
from venues.monitor import Monitor
from venues.settings import Environment, KimchiSettings, VenueSettings
from venues.wire import Clock, NotConnected

pytestmark = pytest.mark.usefixtures("short_seconds")

TOKEN = "8012345678:AAHwx-plantedTokenOfTheBot_1234567890"


def ran(folder, seconds, break_at=None):
    """Run a monitor that keeps what it sees for so many seconds of virtual time."""

    async def scene():
        stage = Stage()
        stage.clock = LoopClock()
        stage.clock.START_MS = Clock().wall_ms() - seconds * 1_000  # it ends now, for the reader
        for core in stage.cores.values():
            core._now_ms = stage.clock.wall_ms
        settings = VenueSettings(state_dir=folder)
        monitor = Monitor(settings, Environment(), stage.hosts(), stage.clock)
        await asyncio.sleep(0.5)
        task = asyncio.create_task(monitor.run(lambda: None))
        if break_at:
            await asyncio.sleep(break_at)
            stage.cores["binance"].fault = "500"
            stage.cut("upbit")
        await asyncio.sleep(seconds - (break_at or 0))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtual(scene())


def test_the_status_tells_lines_and_calls(tmp_path, capsys):
    """Reconnects, frames, and of each call count, errors, median and p99; owner only; in two languages."""
    state = tmp_path / "state"
    ran(state, 400, break_at=200)
    status = json.loads((state / "status.json").read_text())
    assert oct((state / "status.json").stat().st_mode & 0o777) == "0o600"
    call = status["venues"]["binance"]["calls"]["exchangeInfo"]
    assert call["http_5xx"] > 0 < call["ok"]
    assert call["ms_p99"] >= call["ms_p50"]
    assert status["venues"]["upbit"]["lines"]["upbit market"]["reconnects"] == 1
    (tmp_path / "v.yaml").write_text(f"state_dir: {state}\nlanguage: en\n")
    for language, word in (("ko", "재연결"), ("en", "reconnects")):
        assert main(["status", "--settings", str(tmp_path / "v.yaml"), "--language", language]) == 0
        shown = capsys.readouterr().out
        assert word in shown
        assert "exchangeInfo" in shown


def test_a_status_that_is_old_is_not_shown_as_now(tmp_path, capsys):
    """No file, a broken one, one of a minute ago: nothing is running."""
    (tmp_path / "v.yaml").write_text(f"state_dir: {tmp_path}\nlanguage: en\n")
    for text in (None, "{", json.dumps({"at_ms": Clock().wall_ms() - 61_000})):
        if text is not None:
            (tmp_path / "status.json").write_text(text)
        assert main(["status", "--settings", str(tmp_path / "v.yaml")]) == 1
        assert "nothing is running" in capsys.readouterr().out


def test_the_history_is_drawn(tmp_path, capsys):
    """Every coin with its newest figure, its least and most, and a chart with per cents at the left."""
    ran(tmp_path, 900)
    options = argparse.Namespace(language="en", store=None, hours=24, coin=None)
    assert cli.show_history(options, VenueSettings(state_dir=tmp_path)) == 0
    shown = capsys.readouterr().out
    assert "XRP  +1.60%  (+1.60% … +1.60%)" in shown
    assert shown.count("┤") == 4 * 6
    options.store = tmp_path / "none.sqlite3"
    assert cli.show_history(options, VenueSettings()) == 1


def test_an_alert_arrives_on_the_phone_once(tmp_path):
    """All coins of a second in one message, by the outbox of the bot."""

    async def scene():
        kimchi = KimchiSettings(high_pct=Decimal(-20), low_pct=Decimal(-30), hold_s=0)
        settings = VenueSettings(state_dir=tmp_path, kimchi=kimchi, language="en")
        async with telegram_server.serve(TOKEN, 77) as (api, url), venues_of(True) as hosts:
            given = Environment(telegram_token=Secret(TOKEN), telegram_chat="77", telegram_api=url)
            monitor = Monitor(settings, given, hosts, Clock())
            task = asyncio.create_task(monitor.run(lambda: None))
            async with asyncio.timeout(30):
                while sum(text.count(" high ") for text in api.texts) < 4:
                    await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return api.texts

    texts = asyncio.run(scene())
    assert sum(text.count(" high ") for text in texts) == 4
    assert all("against KRW-USDT" in text for text in texts)


@pytest.mark.parametrize("command", ["watch", "check"])
def test_the_other_commands_have_a_demo(command, capsys):
    """Without key and network, with exit code 0."""
    arguments = [command, "--demo", "--wait", "20", *(["--once"] if command == "watch" else [])]
    assert main(arguments) == 0
    assert "업비트" in capsys.readouterr().out or command == "watch"


@pytest.mark.parametrize("language", ["ko", "en"])
def test_quotes_fit_eighty_columns_without_a_cut(language, capsys, monkeypatch):
    """Every figure whole, the venue by its name."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["watch", "--demo", "--once", "--language", language]) == 0
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert {"ko": "바이낸스", "en": "Binance"}[language] in shown


@pytest.mark.parametrize(("language", "word"), [("ko", "원인 찾기"), ("en", "To find the cause")])
def test_a_table_without_figures_names_the_command_that_finds_the_cause(language, word, capsys):
    """Nothing came in the time that was given: the exit code is 1, and the last line says what to do."""
    assert main(["kimchi", "--demo", "--once", "--wait", "0", "--language", language]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert word in last and "venues check" in last


@pytest.mark.parametrize("command", [["watch"], ["watch", "--book", "NOSUCH"]])
@pytest.mark.parametrize(("language", "word"), [("ko", "원인 찾기"), ("en", "To find the cause")])
def test_a_market_that_says_nothing_names_the_command_as_well(command, language, word, capsys):
    """Prices or a book that did not come; a name that no venue knows is asked about."""
    arguments = [*command, "--demo", "--once", "--wait", "0.2" if command[1:] else "0"]
    assert main([*arguments, "--language", language]) == 1
    shown = capsys.readouterr().out
    assert word in shown.splitlines()[-1]
    assert ({"ko": "종목 이름이 맞습니까", "en": "Is the name right"}[language] in shown) is bool(
        command[1:]
    )


@pytest.mark.parametrize(("language", "said"), [
    ("ko", ("주소(도메인)를 찾지 못합니다", "주문은 보내지 않았습니다", "원인 찾기")),
    ("en", ("its name cannot be resolved", "No order was sent", "To find the cause")),
])  # fmt: skip
def test_a_question_without_an_answer_is_told_in_words(language, said):
    """Nothing was ordered, why, and the command that finds the cause; never the name of a class."""
    lost = NotConnected(aiohttp.ClientConnectorDNSError(None, OSError("x")))
    text = cli.no_use(lost, language)
    assert all(word in text for word in said)
    assert "Error" not in text
    assert "HTTP 503" in cli.no_use(NoAnswer("chance: HTTP 503"), language)


def test_no_network_ends_a_command_with_words(tmp_path, monkeypatch, capsys):
    """Nobody listens where the venue should be: exit code 1, no trace, nothing ordered."""
    limits = "limits: {max_order: 5, max_coin: 5, max_total: 5, max_day: 5}"
    (tmp_path / "venues.yaml").write_text(
        f"state_dir: {tmp_path}/state\nbinance: {{use: testnet, {limits}}}"
    )
    for name in ("BINANCE_API_KEY", "BINANCE_SECRET_KEY"):
        monkeypatch.setenv(name, "k" * 64)
    monkeypatch.setitem(accounts.BINANCE_HOSTS, "testnet", "http://127.0.0.1:9")
    monkeypatch.setattr("venues.wire.QUERY_PAUSES_S", ())
    words = ["orders", "place", "binance", "buy", "BTCUSDT", "--quantity", "1", "--price", "1"]
    assert main([*words, "--settings", str(tmp_path / "venues.yaml")]) == 1
    told = capsys.readouterr().err
    assert "주문은 보내지 않았습니다" in told and "k" * 64 not in told


@pytest.mark.parametrize(("made", "said"), [
    (None, "없는 파일"), ("folder", "폴더"), (b"\xff\xfe", "UTF-8 글자가 아님"),
])  # fmt: skip
def test_a_settings_file_that_cannot_be_read_is_told_in_korean(made, said, tmp_path, capsys):
    """What it is, and what is wanted, without the name of an error."""
    file = tmp_path / "venues.yaml"
    if made == "folder":
        file.mkdir()
    elif made:
        file.write_bytes(made)
    assert main(["check", "--settings", str(file)]) == 78
    told = capsys.readouterr().err
    assert said in told and "Error" not in told
