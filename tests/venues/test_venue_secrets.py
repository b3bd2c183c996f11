"""Keys that were planted stand in no output, log, file, message or argument list of any command."""

import argparse
import asyncio
import base64
import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import traceback
import urllib.parse
from decimal import Decimal
from pathlib import Path

import pytest

from companions import telegram_server
from kis_realtime_trading import BotError, Redactor, Secret, SettingsError, set_up_logging
from venues import accounts, cli, demo
from venues.manager import Manager
from venues.options import VENUES
from venues.settings import SECRETS, KimchiSettings, read_settings
from venues.simulators import kiwoom as kiwoom_simulator
from venues.simulators.server import Reply

pytestmark = pytest.mark.usefixtures("short_seconds")

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "8012345678:AAHwx-plantedTokenOfTheBot_1234567890"
PLANTED = {
    name: f"Planted{number}{'qWeRtYuIoP' * 3}{number}" for number, name in enumerate(SECRETS)
}
BUY = {
    "upbit": ("upbit", "buy", "KRW-BTC", "--quantity", "0.002", "--price", "88000000"),
    "binance": ("binance", "buy", "BTCUSDT", "--quantity", "0.002", "--price", "63000"),
    "kiwoom": ("kiwoom", "buy", "005930", "--quantity", "10", "--price", "70000"),
}
COMMANDS = [
    ("kimchi", "--once"), ("watch", "--once"), ("watch", "--book", "BTCUSDT", "--once"), ("check",), ("status",), ("run", "--seconds", "2.5"),
    ("report",), ("orders", "list"), ("orders", "resolve", "upbit"), ("orders", "level", "binance", "1"),
    ("orders", "pin", "upbit"), ("orders", "place", *BUY["upbit"]), ("orders", "place", *BUY["binance"]),
    ("orders", "place", *BUY["upbit"], "--send", "--live"), ("orders", "place", *BUY["binance"], "--send"),
    ("orders", "cancel", "upbit", "000000"), ("orders", "settle", "upbit", "000000", "--never"),
    ("orders", "change", "kiwoom", "000000", "--price", "1", "--send"), ("orders", "place", *BUY["kiwoom"], "--send"),
    ("conditions", "--list"), ("conditions", "--once", "돌파"), ("conditions", "--seconds", "0.5"),
]  # fmt: skip


def forms(text):
    """Return how a key may look when somebody writes it: plain, coded, its begin and its end."""
    inner = base64.b64encode(text.encode()).decode()[:-4]
    return {
        text,
        text[:12],
        text[-12:],
        inner,
        text.encode().hex(),
        urllib.parse.quote(text, safe=""),
    }


def echoing(core, texts):
    """Let a simulated venue answer every signed request, and every line, with all the keys."""
    echo = " ".join(texts)
    body = json.dumps(
        {"error": {"name": "no_" + echo, "message": echo}, "code": -2010, "msg": echo}
    )
    core.setattr(demo.UpbitSimulator, "_private", lambda *given: Reply(400, body))
    core.setattr(demo.BinanceSimulator, "_private", lambda *given: Reply(400, body))
    told = {"return_code": 20, "return_msg": f"[8005:{echo}](RC4025:{echo})"}
    core.setattr(demo.KiwoomSimulator, "_answer", lambda *given: Reply(200, json.dumps(told)))
    say = kiwoom_simulator.Session._say
    core.setattr(
        kiwoom_simulator.Session, "_say", lambda self, answer: say(self, {**answer, **told})
    )
    core.setattr(demo.UpbitSimulator, "_frame", lambda *given: body.encode())
    core.setattr(demo.BinanceSimulator, "_data", lambda *given: {"e": echo, "s": echo})


def run_command(arguments, folder, given, url):
    """Run a command on simulated venues, as the program does, in a folder that stays."""
    settings, keys = cli.demo_account()
    kimchi = KimchiSettings(high_pct=Decimal(-20), low_pct=Decimal(-30), hold_s=0)
    settings = settings.model_copy(update={"state_dir": folder, "kimchi": kimchi, "language": "en"})
    more = {"telegram_token": Secret(TOKEN), "telegram_chat": "77", "telegram_api": url}
    keys = keys.model_copy(update=more)
    options = cli.build_parser().parse_args([*arguments, "--language", "en"])
    options.speak, options.demo, options.wait = "en", True, 1.0
    log = io.StringIO()
    set_up_logging(Redactor(keys.secrets()), log, logging.DEBUG)
    raised = ""
    try:
        if options.command == "status":
            cli.show_status(settings)
        else:
            asyncio.run(cli._COMMANDS[options.command](options, settings, keys))
    except (BotError, SystemExit):
        raised = traceback.format_exc()
    return log.getvalue() + raised, [each.reveal() for each in keys.secrets()]


@pytest.mark.parametrize("echo", [False, True], ids=["well", "echoing"])
@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: "-".join(words[:3]))
def test_no_command_shows_a_key(arguments, echo, tmp_path, capfd, monkeypatch):
    """Each command on a venue that is well and on one whose every answer echoes the keys."""
    kept = logging.getLogger().handlers[:]
    texts = [each.reveal() for each in cli.demo_account()[1].secrets()]
    if echo:
        echoing(monkeypatch, texts)
    try:
        said, texts = run_command(arguments, tmp_path, monkeypatch, "http://127.0.0.1:9")
    finally:
        logging.getLogger().handlers[:] = kept
    out, err = capfd.readouterr()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for text in texts:
        for form in forms(text):
            for place in (out, err, said, written.decode("utf-8", "replace")):
                assert form not in place, form


def test_every_command_is_among_them():
    """A new command or action cannot be forgotten here."""
    parser = cli.build_parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    named = set()
    for name, each in commands.choices.items():
        inner = [a for a in each._actions if isinstance(a, argparse._SubParsersAction)]
        named |= {(name, action) for action in inner[0].choices} if inner else {(name,)}
    tried = {words[: 2 if words[0] == "orders" else 1] for words in COMMANDS}
    assert named == tried


def test_what_is_told_on_the_phone_holds_no_key(tmp_path, monkeypatch):
    """A venue refuses its line with the keys in the text: told, shown and kept without them."""
    settings, given = cli.demo_account()
    texts = [each.reveal() for each in given.secrets()]
    settings = settings.model_copy(update={"state_dir": tmp_path, "language": "en"})

    async def scene():
        async with telegram_server.serve(TOKEN, 77) as (api, url), cli.venues_of(True) as hosts:
            phone = {"telegram_token": Secret(TOKEN), "telegram_chat": "77", "telegram_api": url}
            manager = Manager(settings, given.model_copy(update=phone), hosts, cli.Clock())
            manager._troubled("upbit", f"refused: {texts[0]}")
            manager.kept["upbit"].why = f"refused {' '.join(texts)}"
            task = asyncio.create_task(manager.run(lambda: None))
            async with asyncio.timeout(20):
                while not any("trouble" in text for text in api.texts):
                    await asyncio.sleep(0.05)
            status = manager.monitor.status(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return api.texts, status

    told, status = asyncio.run(scene())
    everything = json.dumps([told, status])
    assert "refused" in everything
    for text in (*texts, TOKEN):
        assert not [form for form in forms(text) if form in everything]


@pytest.mark.parametrize("place", ["upbit", "kimchi", "language", "nowhere"])
def test_a_key_pasted_into_the_settings_is_counted_not_shown(place):
    """Under a section, as a value, or as the name of a key."""
    key = PLANTED["UPBIT_ACCESS_KEY"]
    text = {"upbit": f"upbit: {{access_key: {key}}}", "kimchi": f"kimchi: {{coins: [{key}]}}",
            "language": f"language: {key}", "nowhere": f"{key}: 1"}[place]  # fmt: skip
    with pytest.raises(SettingsError) as caught:
        read_settings(text, {})
    said = str(caught.value) + "".join(f.said(s) for f in caught.value.faults for s in ("ko", "en"))
    assert not [form for form in forms(key) if form in said]


@pytest.mark.usefixtures("cold_starts")
@pytest.mark.parametrize(
    "arguments", [["orders"], ["orders", "pin", "binance"], ["report"], ["status"]]
)
def test_a_process_shows_its_keys_to_nobody(arguments, tmp_path):
    """Keys come by the environment: neither arguments, output nor files of the real process hold one."""
    limits = "limits: {max_order: 5, max_coin: 5, max_total: 5, max_day: 5}"
    (tmp_path / "venues.yaml").write_text(
        f"language: en\nupbit: {{use: dry, {limits}}}\nbinance: {{use: testnet, {limits}}}\n"
    )
    environ = {**os.environ, **PLANTED, "PYTHONPATH": str(ROOT), "TELEGRAM_BOT_TOKEN": TOKEN,
               "TELEGRAM_CHAT_ID": "5"}  # fmt: skip
    command = [sys.executable, "-m", "venues", *arguments]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:  # fmt: skip
        listed = ""
        with contextlib.suppress(OSError):
            listed = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        out, _ = process.communicate(timeout=150)
    assert process.returncode in (0, 1), out
    assert tuple(accounts.VENUES) == VENUES
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for text in (*PLANTED.values(), TOKEN):
        for form in forms(text):
            assert form not in out + listed + files.decode("utf-8", "replace")
