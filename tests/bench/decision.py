"""Frame to bar update to the strategy's decision that there is nothing to do.

In: FrameDecoder.decode, Engine.handle with bars, and a market second's work of the engine once in
500 frames; 20 stocks, 500 frames a second of market time, one end of a bar (20 bars) on the way. Out: the
socket, the recorder, the journal. Twice: with the built-in breakout, which decides on bars, and with
a strategy that is asked on every trade. Floor: str.split of the same frames.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence

import desk
import frames
import measure

import kis_realtime_trading as bot

BEFORE_BAR_END_S = 9 * 3_600 + 4 * 60 + 40  # 20 s before five past nine


class Listener(bot.TradingStrategy):
    """Is asked on every trade and wants nothing."""

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> None:
        return None

    def on_trade(self, view: bot.StrategyView, trade: bot.Trade) -> None:
        return None


def seconds(texts: list[str], strategy: bot.TradingStrategy, every: int) -> float:
    """Return the seconds for all frames; the time moves on before each `every`th frame."""
    engine = desk_of(strategy).engine
    handle, decode = engine.handle, bot.FrameDecoder(day=frames.DAY).decode
    start = desk.moment_of(frames.DAY, BEFORE_BAR_END_S)
    times = [
        bot.TimeEvent(start + bot.timedelta(seconds=n / 500)) for n in range(0, len(texts), every)
    ]
    groups = [(times[n // every], texts[n : n + every]) for n in range(0, len(texts), every)]
    began = time.perf_counter()
    for now, group in groups:
        handle(now)
        for frame in group:
            for event in decode(frame):
                handle(event)
    spent = time.perf_counter() - began
    if len(texts) >= 20_000 and engine.bars_closed < len(frames.SYMBOLS):
        raise AssertionError(f"{engine.bars_closed} bars: the trades did not reach the engine")
    return spent


def desk_of(strategy: bot.TradingStrategy) -> desk.Desk:
    """Return a desk on the morning of the day."""
    made = desk.Desk(desk.settings_of(frames.SYMBOLS), strategy)
    made.open_day(frames.DAY)
    return made


def figures(options: argparse.Namespace) -> Iterator[measure.Figure]:
    """Measure and yield the figures."""
    count = 1_000 if options.quick else 20_000
    span = (BEFORE_BAR_END_S, BEFORE_BAR_END_S + count // 500)
    texts = ["0|H0STCNT0|001|" + each.record for each in frames.trades(count, span=span)]

    def split() -> None:
        for frame in texts:
            frame.split("^")

    best = measure.seconds_of(
        {
            "split": split,
            "breakout": lambda: seconds(texts, desk.breakout(), 500),
            "listener": lambda: seconds(texts, Listener(), 500),
            "alone": lambda: seconds(texts, desk.breakout(), 1),
        },
        options.rounds,
    )
    floor = best["split"]
    yield measure.plain(
        "frame to decision, built-in breakout", best["breakout"] / count * 1e6, "us"
    )
    yield measure.at_most(
        "frame to decision, built-in breakout: ours / split", best["breakout"] / floor, 4
    )
    yield measure.at_most(
        "frame to decision, asked every trade: ours / split", best["listener"] / floor, 4
    )
    yield measure.plain(
        "the same, breakout, the time told before each frame", best["alone"] / floor
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark."""
    options = measure.read_options(measure.parser_of(__doc__, 15), arguments)
    return measure.show(figures(options), options)


if __name__ == "__main__":
    raise SystemExit(main())
