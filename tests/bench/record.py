"""Record a feed of 41 registrations at 500 frames a second: processor time and bytes.

In: Recorder.time before each frame (each frame a batch of its own, the dearest case), Recorder.frame,
a flush each second with compression and write to a file. 20 stocks with trades and order books, one
notice in 1,000 frames. Processor time of the process, user and system; the making of the frames is
out. The prices are invented; real ones compress a little differently.
"""

from __future__ import annotations

import argparse
import base64
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import desk
import frames
import measure

import kis_realtime_trading as bot

PER_SECOND = 500


def feed(count: int, books: bool) -> list[str]:
    """Return frames as they come: trades, or trades and order books by turns, and a few notices."""
    rng = random.Random(7)
    stocks = {code: frames.Stock(code) for code in frames.SYMBOLS}
    span = (frames.OPEN_S, frames.OPEN_S + max(1, count // PER_SECOND))
    texts = []
    for n, trade in enumerate(frames.trades(count, span=span)):
        if books and n % 1_000 == 999:
            texts.append(f"1|H0STCNI0|001|{base64.b64encode(rng.randbytes(160)).decode()}")
        elif books and n % 2:
            stock = stocks[trade.code]
            stock.price, stock.volume = trade.price, stock.volume + trade.shares
            texts.append("0|H0STASP0|001|" + stock.book(rng, frames.clock_text(trade.second)))
        else:
            texts.append("0|H0STCNT0|001|" + trade.record)
    return texts


def record(texts: list[str]) -> tuple[float, int]:
    """Record frames; return processor seconds and bytes on disk."""
    start = desk.moment_of(frames.DAY, frames.OPEN_S)
    times = [start + timedelta(microseconds=n * 2_000 + n % 700) for n in range(len(texts))]
    stamps = [1_000_000_000_000 + n * 2_000_000 + n * 7_919 % 900_000 for n in range(len(texts))]
    with tempfile.TemporaryDirectory() as folder:
        recorder = bot.Recorder(Path(folder) / "records", start, {})
        began = time.process_time()
        for n, text in enumerate(texts):
            recorder.time(times[n])
            recorder.frame(stamps[n], 1, text)
            if n % PER_SECOND == PER_SECOND - 1:
                recorder.flush()
        recorder.close()
        spent = time.process_time() - began
        if recorder.broken:
            raise AssertionError(recorder.broken)
        return spent, sum(file.stat().st_size for file in (Path(folder) / "records").iterdir())


def figures(options: argparse.Namespace) -> Iterator[measure.Figure]:
    """Measure and yield the figures."""
    count = PER_SECOND * (2 if options.quick else 60)
    mixed, trades = feed(count, books=True), feed(count, books=False)
    sizes: dict[str, int] = {}

    def run(name: str, texts: list[str]) -> float:
        spent, sizes[name] = record(texts)
        return spent

    best = measure.seconds_of(
        {"mixed": lambda: run("mixed", mixed), "trades": lambda: run("trades", trades)},
        options.rounds,
    )
    share = best["mixed"] / (count / PER_SECOND) * 100
    yield measure.at_most("recording, 500 frames a second: share of a core", share, 3, "%")
    yield measure.plain("recording, processor time a frame", best["mixed"] / count * 1e6, "us")
    yield measure.plain("recording, processor time a trade", best["trades"] / count * 1e6, "us")
    raw = sum(len(text) for text in trades) / count
    yield measure.plain("recording, on disk a trade", sizes["trades"] / count, "bytes")
    yield measure.plain(
        "recording, text of the frame / on disk, trades", raw / sizes["trades"] * count
    )
    yield measure.plain(
        "recording, on disk a frame, half order books", sizes["mixed"] / count, "bytes"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark."""
    options = measure.read_options(measure.parser_of(__doc__, 7), arguments)
    return measure.show(figures(options), options)


if __name__ == "__main__":
    raise SystemExit(main())
