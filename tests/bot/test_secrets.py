"""Planted secrets: nothing that the bot writes or prints may hold one, in any encoding."""

import asyncio
import base64
import gzip
import json
import logging
import os
import re
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import harness
import pytest
from test_trader import Life

import kis_realtime_trading as bot
from companions import simulator

ROOT = Path(__file__).resolve().parent.parent.parent


def encodings(secret: str) -> Iterator[str]:
    """Yield ten ways in which a text can hide in another one."""
    raw = secret.encode()
    yield secret
    yield secret[::-1]
    yield urllib.parse.quote(secret, safe="")
    yield urllib.parse.quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield raw.hex()
    yield raw.hex().upper()
    for shift in range(3):
        yield base64.b64encode(b"x" * shift + raw).decode()[shift + 2 : -4]


def pieces(secret: str, length: int = 8) -> set[str]:
    """Return every run of `length` characters of every encoding; not those of digits only.

    Such runs of the hexadecimal forms stand in any long text full of numbers by chance.
    """
    found = set()
    for text in encodings(secret):
        found |= {text[at : at + length] for at in range(max(0, len(text) - length + 1))}
    return {each for each in found if not each.isdigit()}


def leaks(text: str, secrets: dict[str, str]) -> list[str]:
    """Return the names of the secrets of which a piece stands in a text.

    Of a number only the whole counts, alone between other characters: pieces of it stand in any
    long text full of digits.
    """
    windows = {text[at : at + 8] for at in range(max(0, len(text) - 7))}
    found = []
    for name, secret in secrets.items():
        if secret.isdigit():
            whole = "|".join(re.escape(each) for each in encodings(secret))
            leaked = re.search(rf"(?<![0-9A-Fa-f])({whole})(?![0-9A-Fa-f])", text) is not None
        else:
            leaked = bool(windows & pieces(secret))
        if leaked:
            found.append(name)
    return found


def written(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield name and content of every file but the token cache, recordings unpacked."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(("token-", "kis_devlp")):
            raw = path.read_bytes()
            yield (
                path.name,
                (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("latin-1"),
            )


def secrets_of(sim: simulator.Simulator) -> dict[str, str]:
    """Return everything of a simulated account that must not be shown."""
    who = sim.credentials
    key, secret, account = who.active(sim.config.environment)
    return {
        "app key": key,
        "app secret": secret,
        "account": account,
        "account with product": account + who.product,
        "hts id": who.hts_id,
    }


def test_the_test_finds_what_it_looks_for():
    """A planted piece is found in each encoding, and an innocent text is not."""
    secret = "PSx81kd93kLsd02Qj4/+7=" + "kd8s02"
    for text in encodings(secret):
        assert leaks(f"... {text} ...", {"it": secret}) == ["it"]
    assert leaks("an innocent text of some length", {"it": secret}) == []


def test_redactor_takes_every_encoding_and_piece_out():
    """What comes out of the log formatter holds no run of eight characters of a secret."""
    secret = "Zx81+kd93/kLsd02Qj47kd8s02PwQ=="
    redact = bot.Redactor([bot.Secret(secret)])
    for text in [*encodings(secret), secret[3:12], f"url?appsecret={secret}&x=1"]:
        assert leaks(redact(f"before {text} after"), {"it": secret}) == []
    assert redact("nothing of that kind") == "nothing of that kind"


@pytest.mark.parametrize("environment", ["paper", "real"])
def test_a_day_full_of_faults_leaves_no_secret_behind(environment, caplog):
    """Journal, recording, log and messages of a day with broken answers are clean."""
    caplog.set_level(logging.DEBUG)
    faults = (
        {
            "match": {"kind": "quotation", "probability": 0.2},
            "effect": {"do": "html", "status": 502},
        },
        {
            "match": {"kind": "account", "probability": 0.2},
            "effect": {"do": "garble", "how": "text"},
        },
        {"match": {"kind": "account", "nth": 9}, "effect": {"do": "token", "code": "EGW00123"}},
        {
            "match": {"kind": "order", "nth": 2},
            "effect": {"do": "lose", "how": "reset", "executed": True},
        },
        {
            "match": {"kind": "notice", "nth": 2},
            "effect": {"do": "frame_garble", "how": "truncate"},
        },
        {"match": {"kind": "trade", "nth": 500}, "effect": {"do": "ws_close"}},
    )
    config = simulator.SimulatorConfig(
        symbols=("005930",), density=20.0, environment=environment, faults=faults
    )
    world = harness.World(config, start="09:10:00", record=True)

    async def play() -> bot.Trader:
        driver = asyncio.create_task(world.network.drive())
        wishes = [harness.Wish("09:12:00", "005930"), harness.Wish("09:20:00", "005930", 3, -3)]
        trader = world.make_trader(harness.Scripted(wishes))
        run = asyncio.create_task(trader.run(one_day=True))
        await world.until("09:40:00")
        trader.stop("the test is over")
        await run
        driver.cancel()
        return trader

    trader = harness.run_virtual(play())
    trader.journal.close()
    token = next(world.folder.glob("token-*"))
    secrets = secrets_of(world.sim) | {"token": json.loads(token.read_text())["token"]}
    texts = [
        *written(world.folder),
        ("log", caplog.text),
        ("messages", "\n".join(trader.bridge.messages)),
    ]
    assert len(texts) >= 4
    assert {name: leaks(text, secrets) for name, text in texts if leaks(text, secrets)} == {}
    world.close()


LEAKING_STRATEGY = """
import kis_realtime_trading as bot

class Leaking(bot.TradingStrategy):
    def on_bar(self, view, bar):
        return None

    def on_quote(self, view, quote):
        raise Fatal("a library that talks: " + open({path!r}).read())

class Fatal(BaseException):  # worse than an Exception, and all the same its stock only
    pass
"""


async def test_an_error_that_holds_every_secret_is_told_without_them(tmp_path):
    """A strategy's error whose text holds every secret stops its stock; none of them is printed."""
    config = simulator.SimulatorConfig(symbols=("005930",), requests_per_second=1000)
    start = datetime(2026, 11, 20, 9, 10, tzinfo=bot.KST)
    async with simulator.serve(config, start, speed=20.0) as served:
        path = simulator.write_config(tmp_path, simulator.config_yaml(served))
        secrets = secrets_of(served.simulator)
        said = tmp_path / "said.txt"
        said.write_text("\n".join(secrets.values()))
        (tmp_path / "leaking.py").write_text(LEAKING_STRATEGY.format(path=str(said)))
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "kis_realtime_trading.py"), "--paper", "--plain", "--verbose",
            "--config", str(path), "--state", str(tmp_path / "state"),
            "--strategy", f"{tmp_path / 'leaking.py'}:Leaking",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path)},
        )  # fmt: skip
        assert process.stdout
        lines = []
        async with asyncio.timeout(150):
            while "Fatal" not in (lines or [""])[-1]:  # told: its stock is stopped
                lines.append((await process.stdout.readuntil()).decode())
            process.terminate()
            lines.append((await process.stdout.read()).decode())
            await process.wait()
    text = "".join(lines)
    assert process.returncode == 0
    assert leaks(text, secrets) == []
    for name, content in written(tmp_path / "state"):
        assert (name, leaks(content, secrets)) == (name, [])


def test_an_alert_passes_the_redactor_before_journal_and_phone():
    """Whatever text reached it: the journal's row and what is said have no key in it."""
    life = Life()

    async def story(life):
        trader, run = await life.begin()
        await life.world.until("09:20:00")
        key = trader.profile.app_key.reveal()
        trader.tell("error", what=f"the server said {key}")
        said = trader.bridge.messages[-1]
        await life.stop(trader, run)
        return key, said

    key, said = life.play(story)
    assert key not in said and "***" in said
    assert not [row for row in life.rows("alert") if key in row.body]
