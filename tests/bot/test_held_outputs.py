"""Everything that the bot writes to is held for a minute, and a stop has to fire meanwhile."""

import argparse
import asyncio
import contextlib
import logging
import os
import socket
from dataclasses import replace

import edge
import harness
from test_late_journal import falling
from test_trader import SYMBOL, Life

import kis_realtime_trading as bot


class Watching(harness.Scripted):
    """Buys once, and notes when a trade first stands at its stop."""

    fell_at = None

    def on_trade(self, view, trade):
        plan = view.position.plan
        if plan and self.fell_at is None and trade.price <= plan.stop_price:
            self.fell_at = trade.ts_exchange
        return super().on_trade(view, trade)


@contextlib.contextmanager
def held_file():
    """Yield the writing end of a pipe that takes nothing: a terminal after Ctrl-S, a hung disk."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    yield writing
    os.close(reading)
    os.close(writing)


def hold_recorder(trader, file):
    """Let the recording go to a disk that takes nothing."""
    assert trader.recorder.settle(5)
    os.dup2(file, trader.recorder._file)


def begin(life, telegram):
    """Return a bot with recorder, status file and phone."""
    bare = harness.make_settings(life.sim, telegram_api=telegram)
    settings = replace(bare, telegram_token=bot.Secret("1:a"), telegram_chat="1")
    journal, clock = bot.Journal(life.world.folder / "journal.sqlite3"), life.world.clock
    past = harness.past_of(journal)
    os.mkfifo(life.world.folder / f".{bot.STATUS_FILE}.{os.getpid()}")  # its disk hangs as well
    options = argparse.Namespace(strategy="watching")
    recorder = bot.start_recorder(settings, options, journal, past, clock.now(), life.world.folder)
    show = bot.StatusFile(life.world.folder).show
    services = bot.Services(
        clock, life.network, life.network.connect, journal, life.world.folder, recorder, show
    )
    strategy = Watching([harness.Wish("09:20:00", SYMBOL, 5, plan=(0.97, 1.2))])
    return bot.Trader(settings, strategy, services, past), strategy


def test_a_stop_fires_within_a_second_while_every_output_is_held():
    """Terminal, log disk, phone, recorder and status file take nothing from 09:24:30 to 09:25:30."""

    async def story(life, phone, terminal, disk):
        trader, strategy = begin(life, f"http://127.0.0.1:{phone.getsockname()[1]}")
        run = asyncio.create_task(trader.run(one_day=True))
        await life.world.until("09:24:30")
        hold_recorder(trader, disk)
        lines = bot.LogThread(open(terminal, "w", closefd=False))  # noqa: SIM115
        lines.setFormatter(logging.Formatter())
        bot.log.addHandler(lines)
        for number in range(100):
            bot.log.warning("a line that nobody takes: %d", number)
        await life.world.until("09:25:30")
        bot.log.removeHandler(lines)
        stuck = lines.beside.end(0.01), trader.recorder.settle(0.01), trader.bridge.telegram.sent
        loop = asyncio.get_running_loop()
        began = loop.time()
        await life.stop(trader, run)
        return strategy.fell_at, stuck, trader, loop.time() - began

    life = Life(density=120.0, bars=falling())
    with socket.create_server(("127.0.0.1", 0)) as phone, held_file() as one, held_file() as two:
        fell_at, stuck, trader, ended_s = life.play(lambda life: story(life, phone, one, two))
    assert stuck == (False, False, 0)  # they were held indeed
    assert 2.0 <= ended_s < 3.0  # the last words have two seconds
    [sold] = [order for order in life.orders if order["side"] == "SELL"]
    waited_s = (bot.datetime.fromisoformat(sold["time"]) - fell_at).total_seconds()
    assert 0.0 <= waited_s <= 1.0
    assert trader.engine.core.ledger.position(SYMBOL).quantity == 0
    assert edge.at("09:25:00") <= fell_at < edge.at("09:25:30")
