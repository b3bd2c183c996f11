"""The same breakout on the same trades: this bot's replay against NautilusTrader's backtest.

Theirs: nautilus_trader, pinned, in an environment of its own that this script makes (in a temporary
folder, or in --venv, which is kept); TradeTick objects made beforehand; five-minute bars from trade
ticks; a Strategy that is called for bars only. Timed is BacktestEngine.run() alone. The day's
volume weighted price, which a TradeTick does not carry, is given to it ready for each bar.

Ours, with all risk rules: Engine.handle with events made beforehand, which is the same scope; and
companions.replay of the recording, which unpacks and decodes as well.

Both count their orders, and the entries must be the same: stock, bar, shares, price. For that the
breakout has a far stop, no target and no trail, and closes at 11:00: how each engine fills stops is
no question of speed. Both run in turn, in processes of their own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import desk
import frames
import measure
import replay

import kis_realtime_trading as bot

PINNED = {(3, 11): "1.221.0", (3, 12): "1.231.0", (3, 13): "1.231.0"}  # newest for each Python
HERE = Path(__file__).resolve().parent


def make_environment(python: str, folder: Path) -> Path:
    """Install NautilusTrader for a Python interpreter; return the interpreter that has it."""
    made = folder / "bin" / "python"
    if made.exists():
        return made
    asked = "import sys; print(*sys.version_info[:2])"
    shown = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True)
    major, minor = map(int, shown.stdout.split())
    version = PINNED.get((major, minor))
    if version is None:
        raise SystemExit(f"Python {major}.{minor}: no pinned version, only for {sorted(PINNED)}")
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    install = [made, "-m", "pip", "install", "-q", "--only-binary", ":all:"]
    subprocess.run([*install, f"nautilus_trader=={version}"], check=True)
    return made


def vwap_at_bars(prints: list[frames.Print]) -> dict[str, list[tuple[int, float]]]:
    """Return for each stock (end of bar, VWAP as our engine sees it): the closing trade is in."""
    found: dict[str, list[tuple[int, float]]] = {}
    totals: dict[str, tuple[int, int, int]] = {}
    for trade in prints:
        end, shares, value = totals.get(trade.code, (0, 0, 0))
        shares, value = shares + trade.shares, value + trade.price * trade.shares
        if end and trade.second >= end:
            found.setdefault(trade.code, []).append((end, value / shares))
        totals[trade.code] = (trade.second // 300 * 300 + 300, shares, value)
    return found


def write_trades(recorded: replay.Recorded, file: Path) -> None:
    """Write what the other side needs, as JSON."""
    days = [
        {
            "midnight": int(desk.moment_of(day, 0).timestamp()),
            "vwap": vwap_at_bars(prints),
            "trades": [(each.second, each.code, each.price, each.shares) for each in prints],
        }
        for day, prints in recorded.days.items()
    ]
    limits = {"entries_until": 10 * 3_600 + 50 * 60, "flat_at": 11 * 3_600}
    file.write_text(json.dumps({"days": days, "breakout": parameters(), **limits}))


def parameters() -> dict[str, float]:
    """Return all parameters of the breakout."""
    made: dict[str, float] = desk.breakout().parameters.model_dump()
    return made


def entries_of(intents: list[bot.OrderIntent]) -> list[list[object]]:
    """Return the entries in the form of the other side."""
    return sorted(
        [f"{each.trade_date:%Y%m%d}", each.symbol, each.signal, each.quantity, each.price]
        for each in intents
        if each.side is bot.Side.BUY
    )


def figures(options: argparse.Namespace) -> Iterator[measure.Figure]:
    """Measure and yield the figures."""
    trades = 20_000 if options.quick else options.trades
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recorded = replay.record(folder, trades, options.days)
        write_trades(recorded, folder / "trades.json")
        python = make_environment(options.python, options.venv or folder / "venv")
        theirs: list[dict[str, object]] = []
        with subprocess.Popen(
            [python, "-W", "ignore", str(HERE / "nautilus_side.py"), str(folder / "trades.json")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as other:  # fmt: skip
            assert other.stdin and other.stdout
            version = other.stdout.readline().strip()
            stdin, stdout = other.stdin, other.stdout

            def run_theirs() -> float:
                stdin.write("run\n")
                stdin.flush()
                theirs.append(json.loads(stdout.readline()))
                return min(float(str(theirs[-1][name])) for name in ("wall", "cpu"))

            events = replay.events_of(recorded)
            best = measure.seconds_of(
                {
                    "engine": lambda: replay.drive(recorded, events),
                    "replay": lambda: replay.replay(recorded),
                    "theirs": run_theirs,
                },
                options.rounds,
            )
            stdin.close()
    for done in theirs:
        if done["entries"] != entries_of(recorded.intents):
            raise AssertionError(
                f"entries differ: {done['entries']}, {entries_of(recorded.intents)}"
            )
        if done["orders"] != len(recorded.intents):
            raise AssertionError(f"{done['orders']} orders, ours {len(recorded.intents)}")
    count = recorded.trades
    yield measure.plain("orders, ours", len(recorded.intents), "orders")
    yield measure.plain(f"orders, {version}", float(str(theirs[-1]["orders"])), "orders")
    yield measure.plain("engine, ours", count / best["engine"], "trades/s")
    yield measure.plain("replay from the file, ours", count / best["replay"], "trades/s")
    yield measure.plain(f"backtest, {version}", count / best["theirs"], "trades/s")
    yield measure.at_least("events ready: their time / ours", best["theirs"] / best["engine"], 1)
    yield measure.at_least("from the file: their time / ours", best["theirs"] / best["replay"], 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark."""
    parser = measure.parser_of(__doc__, 3)
    parser.add_argument(
        "--trades", type=int, default=400_000, help="trades in all (default 400000)"
    )
    parser.add_argument("--days", type=int, default=1, help="trading days (default 1)")
    parser.add_argument("--python", default=sys.executable, help="interpreter for their side")
    parser.add_argument("--venv", type=Path, help="keep their environment here and use it again")
    options = measure.read_options(parser, arguments)
    return measure.show(figures(options), options)


if __name__ == "__main__":
    raise SystemExit(main())
