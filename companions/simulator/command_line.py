"""Arguments, the configuration file for a client, READY line, exit."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from companions.simulator import words
from companions.simulator.config import LAGS, SimulatorConfig, parse_bars_csv
from companions.simulator.shell import Served, serve
from companions.simulator.tables import DEFAULT_SYMBOLS, KST
from companions.simulator.tools import midnight_ms, parse_clock, to_moment, to_ms

MOST_SPEED = 100_000


def config_yaml(served: Served) -> str:
    """Return kis_devlp.yaml in the format of the official samples, pointing at this server.

    THE TEMPLATE. The `bot:` section at the end is for the client of this project; change it here.
    All keys and account numbers are invented and worthless. Hosts that are not played point at
    port 9 of this machine, where nothing listens.
    """
    config, who, clock = served.simulator.config, served.simulator.credentials, served.clock
    hosts = {"prod": "http://127.0.0.1:9", "ops": "ws://127.0.0.1:9"}
    hosts |= {"vps": "http://127.0.0.1:9", "vops": "ws://127.0.0.1:9"}
    hosts["vps" if config.paper else "prod"] = served.rest_url
    hosts["vops" if config.paper else "ops"] = served.ws_url
    lines = {
        "my_app": who.real_key,
        "my_sec": who.real_secret,
        "paper_app": who.paper_key,
        "paper_sec": who.paper_secret,
        "my_htsid": who.hts_id,
        "my_acct_stock": who.real_account,
        "my_acct_future": who.real_account,
        "my_paper_stock": who.paper_account,
        "my_paper_future": who.paper_account,
        "my_prod": who.product,
        **hosts,
        "my_token": "",
        "my_agent": "Mozilla/5.0 (simulator)",
    }
    head = "# Written by companions.simulator: invented keys, loopback addresses.\n"
    return (
        head
        + "".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items())
        + (
            "bot:\n"
            f"  symbols: {json.dumps(list(config.symbols))}\n"
            "  market_clock:\n"
            f"    unix: {clock.unix0!r}\n"
            f"    market: {json.dumps(clock.start.isoformat())}\n"
            f"    speed: {clock.speed:g}\n"
            f"  rest_calls_per_second: {config.limit * clock.speed * 0.4:g}\n"
            "  limits:  # of an invented account; set your own in a real file\n"
            "    max_order_krw: 3_000_000\n"
            "    max_symbol_krw: 4_000_000\n"
            "    max_total_krw: 8_000_000\n"
            "    max_daily_loss_krw: 500_000\n"
            f"    max_data_age_s: {min(120.0, max(3.0, clock.speed * 0.2)):g}\n"
            f"    max_quote_age_s: {min(120.0, max(5.0, clock.speed * 0.2)):g}\n"
            f"  bar_lateness_s: {min(120.0, max(3.0, clock.speed * 0.1)):g}\n"
            f"  exit_step_s: {min(120.0, max(5.0, clock.speed * 0.2)):g}\n"
            f"  entry_timeout_s: {min(600.0, max(30.0, clock.speed * 0.5)):g}\n"
        )
    )


def write_config(directory: Path, text: str) -> Path:
    """Write kis_devlp.yaml, readable by its owner only; return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "kis_devlp.yaml"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def build_parser(language: str = "ko") -> words.Parser:
    """Return the command line."""
    parser = words.Parser(language)
    usual, add = SimulatorConfig(), parser.add
    codes, day = ",".join(DEFAULT_SYMBOLS), date.fromisoformat
    add("language", choices=("ko", "en"), default="ko")
    add("host", default="127.0.0.1")
    add("port", type=int, default=0)
    add("ws-port", type=int)
    add("date", type=day, default=usual.day)
    add("start", default="08:40")
    add("until")
    add("until-eof", action="store_true")
    add("hold", type=float, default=0.0)
    add("speed", type=float, default=1.0)
    add("seed", type=int, default=usual.seed)
    add("symbols", default=codes)
    add("environment", choices=("paper", "real"), default="paper")
    add("csv", type=Path)
    add("cash", type=int, default=usual.initial_cash_krw)
    add("density", type=float, default=usual.density)
    add("limit", type=int)
    add("lag", choices=sorted(LAGS), default="none")
    add("faults", type=Path, metavar="FILE")
    add("events", type=Path, metavar="FILE")
    add("set", action="append", default=[], metavar="NAME=VALUE")
    add("write-config", type=Path, metavar="DIR")
    return parser


def _setting(text: str) -> Any:
    """Read a number, true or false; anything else is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def config_from(arguments: argparse.Namespace) -> SimulatorConfig:
    """Turn the command line into a configuration. Raises ValueError that names the mistake."""

    def rows(path: Path | None) -> tuple[Any, ...]:
        return tuple(json.loads(path.read_text("utf-8"))) if path else ()

    bars = parse_bars_csv(arguments.csv.read_text("utf-8")) if arguments.csv else {}
    more = {name: _setting(value) for name, _, value in (s.partition("=") for s in arguments.set)}
    unknown = [name for name in more if name not in SimulatorConfig.__dataclass_fields__]
    if not 0 < arguments.speed <= MOST_SPEED:
        raise ValueError(f"--speed {arguments.speed:g}")
    if unknown:
        raise ValueError(f"--set knows no {', '.join(unknown)}")
    symbols = tuple(code.strip() for code in arguments.symbols.split(",") if code.strip())
    config = SimulatorConfig(
        day=arguments.date,
        seed=arguments.seed,
        symbols=tuple(bars) if bars and symbols == DEFAULT_SYMBOLS else symbols,
        environment=arguments.environment,
        initial_cash_krw=arguments.cash,
        density=arguments.density,
        bars=bars,
        faults=rows(arguments.faults),
        events=rows(arguments.events),
        requests_per_second=arguments.limit,
        list_lag=LAGS[arguments.lag][0],
        balance_lag=LAGS[arguments.lag][1],
        early_notice_delay_s=max(0.15 / arguments.speed, 0.004),
    )
    return replace(config, **more)


async def run(arguments: argparse.Namespace) -> None:
    """Serve until a signal or until the market time that was asked for.

    Public clients read the end of a token against the clock on the wall and ask for a new one on
    every call when the market day lies in the past, so it is shown later by that distance.
    """
    config = config_from(arguments)
    if parse_clock(arguments.start) >= 86_400:
        raise ValueError(f"expected HH:MM or HH:MM:SS, was {arguments.start!r}")
    start = to_moment(midnight_ms(config.day) + parse_clock(arguments.start) * 1000)
    if config.expiry_shift_s is None:
        past = (datetime.now(KST) - start).total_seconds()
        config = replace(config, expiry_shift_s=max(past, 0.0))
    until = parse_clock(arguments.until) if arguments.until else None
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
    if arguments.until_eof:
        _stop_at_eof(stop)
    ports = {"host": arguments.host, "port": arguments.port, "ws_port": arguments.ws_port}
    pace = {"speed": arguments.speed, "hold_s": arguments.hold}
    async with serve(config, start, **ports, **pace) as served:
        path = None
        if arguments.write_config:
            path = str(write_config(arguments.write_config, config_yaml(served)))
        ready = {"rest": served.rest_url, "ws": served.ws_url, "unix0": served.clock.unix0}
        ready |= {"market": start.isoformat(), "speed": arguments.speed, "hold": arguments.hold}
        ready |= {"date": config.day.isoformat(), "environment": config.environment, "config": path}
        with contextlib.suppress(BrokenPipeError):  # whoever started it has already gone
            print(f"READY {json.dumps(ready)}", flush=True)
        await _wait(served, stop, until)


def _stop_at_eof(stop: asyncio.Event) -> None:
    """Stop when standard input ends. A file, /dev/null or none at all counts as ended already."""
    try:
        asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    except (PermissionError, ValueError):  # epoll watches no files
        stop.set()


async def _wait(served: Served, stop: asyncio.Event, until: int | None) -> None:
    """Wait for the end, with a line on a terminal now and then."""
    end = math.inf if until is None else midnight_ms(served.simulator.config.day) + until * 1000
    shown = time.monotonic()
    while not stop.is_set() and to_ms(served.clock.now()) < end:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.05)
        if sys.stderr.isatty() and time.monotonic() > shown + 5:
            shown = time.monotonic()
            books = served.simulator.books()
            counts = ", ".join(
                f"{books[n]} {n}" for n in ("frames_sent", "order_count", "fill_count")
            )
            print(f"{served.clock.now():%H:%M:%S}  {counts}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server; return the exit code."""
    given = sys.argv[1:] if argv is None else argv
    language = words.language_in(given)
    try:
        asyncio.run(run(build_parser(language).parse_args(given)))
    except (ValueError, OSError) as error:
        print(words.told(str(error), language), file=sys.stderr)
        return 2
    return 0
