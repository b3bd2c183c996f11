"""Drills against an adversary: each was seen to go wrong once, and is shown here the right way."""

import contextlib
import gzip
import json
import logging
import os
import re
import resource
from dataclasses import replace

import edge
import pytest
from test_engine import SYMBOL, Bench, Scripted, wish

import kis_realtime_trading as bot
from companions import replay


class Ending(Scripted):
    """Ends, or writes where it may only read, at the first trade it is shown in a bar."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def on_bar(self, view, bar):
        return self.act(view) if view.symbol == SYMBOL else None


def leaves(error):
    """Return what a strategy does that raises this."""

    def act(view):
        raise error

    return act


def writes(view):
    """Take itself for the owner of three shares."""
    view.position.quantity = 3


def swaps(view):
    """Put another position into the place of the one that is shown."""
    view.position = bot.Position(quantity=3)


@pytest.mark.parametrize(
    "act",
    [leaves(SystemExit(0)), leaves(KeyboardInterrupt()), leaves(GeneratorExit()), writes, swaps],
    ids=["exit", "interrupt", "generator", "writes", "swaps"],
)
def test_a_strategy_that_ends_or_writes_stops_its_own_stock_only(act):
    """The program lives on, the stock is stopped, and the position shown is as it was."""
    bench = Bench(Ending(act)).start()
    bench.trade(70_000)
    bench.at("10:05:00")
    bench.trade(70_000)
    assert "of the strategy" in bench.ledger.stopped[SYMBOL]
    assert list(bench.ledger.stopped) == [SYMBOL]
    assert bench.engine.core.symbols[SYMBOL].view.position.quantity == 0


@pytest.mark.parametrize(
    "odd",
    [
        replace(wish(), reason="\ud800"),
        replace(wish(), signal="x" * 201),
        replace(wish(), facts=(("\udfff", 1),)),
    ],
)
def test_a_text_that_no_file_can_hold_is_no_wish(odd):
    """A lone surrogate ended the program when the journal wrote it."""
    with pytest.raises(TypeError):
        bot.check_request(odd)


async def test_a_redirected_handshake_is_not_followed():
    """The approval key goes to the address of the settings or nowhere."""
    asked_elsewhere = []

    async def elsewhere(server, head, body, writer):
        asked_elsewhere.append(head)
        writer.write(edge.http(b"", "404 Not Found"))

    async with edge.RawServer(elsewhere) as other:

        async def away(server, head, body, writer):
            writer.write(edge.http(b"", "302 Found", Location=other.url.replace("http", "ws")))

        async with edge.RawServer(away) as server:
            with pytest.raises(bot.WebSocketException):
                await bot.connect_websocket(server.url.replace("http", "ws"))
            assert server.connections == 1
    assert asked_elsewhere == []


@pytest.mark.parametrize("how", ["soft link", "hard link", "for all to write"])
def test_a_control_file_that_is_not_the_owners_own_is_refused_without_its_words(tmp_path, how):
    """Through a link the lines of any file of the owner stood in the journal and on the phone."""
    secret, control = tmp_path / "secret", tmp_path / "control"
    secret.write_text("level FLATTEN_AND_HALT my-secret")
    if how == "soft link":
        control.symlink_to(secret)
    elif how == "hard link":
        os.link(secret, control)
    else:
        control.write_text(secret.read_text())
        control.chmod(0o666)
    [said] = bot.take_words(control)
    assert said.startswith("unreadable")
    assert "secret" not in said.replace(str(tmp_path), "")
    assert secret.read_text() == "level FLATTEN_AND_HALT my-secret"
    assert not os.path.lexists(control)


def test_a_core_dump_is_refused_by_the_program_itself():
    """Secrets stand in the memory of the process: RLIMIT_CORE is lowered before anything runs."""
    bot.refuse_core_dumps()
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


def test_log_lines_carry_korean_time_and_its_offset():
    """On a server that lives in UTC nobody has to guess."""
    formatter = bot._RedactingFormatter(str)
    record = logging.LogRecord("kisbot", logging.INFO, "", 0, "said", None, None)
    record.created = 1_795_737_600.25  # 2026-11-27 00:00:00.25 UTC
    assert formatter.format(record) == "2026-11-27 09:00:00.250+09:00 INFO kisbot: said"


def test_a_recording_runs_no_code_of_its_own_choice(tmp_path):
    """Somebody's recording names a file: it runs only when the command line names it too."""
    ran, file = tmp_path / "ran", tmp_path / "evil.py"
    file.write_text(f"open({str(ran)!r}, 'w')\n")
    settings = {"symbols": [SYMBOL], "limits": dict.fromkeys(
        ("max_order_krw", "max_symbol_krw", "max_total_krw", "max_daily_loss_krw"), 1_000_000)}  # fmt: skip
    header = {"settings": settings, "rows": [], "strategy": f"{file}:Evil", "environment": "paper"}
    recording = tmp_path / "20261120-085011-0000.gz"
    with gzip.open(recording, "wt") as out:
        out.write(f"S{json.dumps(header)}\n")
    with pytest.raises(bot.BotError, match="--strategy"):
        replay.replay(recording)
    assert not ran.exists()


def test_a_held_terminal_holds_no_log_line_and_drops_are_told():
    """Ctrl-S for a while: nobody waits, what found no room is counted and told when it goes on."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as held:
        thread = bot.LogThread(held)
        for number in range(20_000):  # several times the pipe and the queue
            thread.emit(logging.LogRecord("kisbot", 20, "", 0, f"{number} {'x' * 80}", None, None))
        assert thread.dropped > 0
        assert not thread.end(0.01)
        shown = b""
        os.set_blocking(reading, False)
        while not thread.end(0.001):
            with contextlib.suppress(BlockingIOError):
                shown += os.read(reading, 1 << 20)
        with contextlib.suppress(BlockingIOError):
            shown += os.read(reading, 1 << 20)
    os.close(reading)
    told = re.findall(rb"\((\d+) lines of the log were dropped", shown)
    assert sum(map(int, told)) == thread.dropped
