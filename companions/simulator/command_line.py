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

from companions.simulator.config import LAGS, SimulatorConfig, parse_bars_csv
from companions.simulator.shell import Served, serve
from companions.simulator.tables import DEFAULT_SYMBOLS, KST
from companions.simulator.tools import midnight_ms, parse_clock, to_moment, to_ms


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


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m companions.simulator",
        allow_abbrev=False,
        description="A KIS broker server on loopback, with a market of its own. Nothing is real.",
        epilog="When it listens it prints one line: READY {json}. Stop it with Ctrl-C. While it "
        "runs: curl http://127.0.0.1:PORT/simulator/state (also books, clock, faults). A client that "
        "lives on the clock on the wall: --date of today. One that knows old frames only: --set "
        "trade_fields=46 --set book_fields=59 --set notice_fields=23. "
        'A fault rule: {"match": {"path": "order-cash", "nth": 1}, "effect": {"do": "lose", '
        '"executed": true}}; a wrong one is answered with what is possible.',
    )
    usual, add = SimulatorConfig(), parser.add_argument
    codes, day = ",".join(DEFAULT_SYMBOLS), date.fromisoformat
    add("--host", default="127.0.0.1", help="loopback address to listen on (%(default)s)")
    add("--port", type=int, default=0, help="port of REST and WebSocket; 0 picks a free one")
    add("--ws-port", type=int, help="a second port for the WebSocket (default: the same)")
    add("--date", type=day, default=usual.day, help="trading day, YYYY-MM-DD (%(default)s)")
    add("--start", default="08:40", help="market time at the beginning (%(default)s)")
    add("--until", help="end by itself at this market time, HH:MM")
    add("--until-eof", action="store_true", help="end when standard input ends, as with its maker")
    add("--hold", type=float, default=0.0, help="seconds the clock stands still after READY")
    add("--speed", type=float, default=1.0, help="market seconds per second (%(default)g)")
    add("--seed", type=int, default=usual.seed, help="another seed: another market, other keys")
    add("--symbols", default=codes, help="stock codes, comma separated (%(default)s)")
    add("--environment", choices=("paper", "real"), default="paper", help="which host is played")
    add("--csv", type=Path, help="minute bars: symbol,time,open,high,low,close,volume")
    add("--cash", type=int, default=usual.initial_cash_krw, help="won to begin with (%(default)s)")
    add("--density", type=float, default=usual.density, help="trades a minute (%(default)g)")
    add("--limit", type=int, help="requests per market second (1 on paper, 18 on real)")
    add("--lag", choices=sorted(LAGS), default="none", help="how late lists and balances are")
    add("--faults", type=Path, metavar="FILE", help="JSON list of fault rules (see faults.py)")
    add("--events", type=Path, metavar="FILE", help="JSON list: at, type, symbol, seconds")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting of "
        "SimulatorConfig, for example trade_fields=46 or past_minutes_on_paper=false",
    )
    add("--write-config", type=Path, metavar="DIR", help="write DIR/kis_devlp.yaml for a client")
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
    try:
        asyncio.run(run(build_parser().parse_args(argv)))
    except (ValueError, OSError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2
    return 0
