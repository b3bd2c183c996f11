"""Decode H0STCNT0 frames, text of the socket to typed trades, and H0STASP0 to quotes.

Ours: FrameDecoder.decode, every check in. Official: pandas.read_csv for each frame, the result
left as text (typing it costs them more and is shown beside). Floor: str.split of the same frames.
All ways get the same invented frames of 47 and 63 fields; the socket is out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import frames
import measure
import official

import kis_realtime_trading as bot


def figures(options: argparse.Namespace) -> Iterator[measure.Figure]:
    """Measure and yield the figures."""
    count, few = (200, 2) if options.quick else (1_000, 4)
    ones = frames.trade_frames(count)
    tens = frames.trade_frames(count // 10, records=10)
    books = frames.quote_frames(count)
    decode = bot.FrameDecoder(day=frames.DAY).decode

    def ours_one() -> None:
        for frame in ones:
            decode(frame)

    def ours_ten() -> None:
        for frame in tens:
            decode(frame)

    def ours_book() -> None:
        for frame in books:
            decode(frame)

    def split_book() -> None:
        for frame in books:
            frame.split("^")

    def split_one() -> None:
        for frame in ones:
            frame.split("^")

    def split_ten() -> None:
        for frame in tens:
            frame.split("^")

    def official_text() -> None:
        for frame in ones[:few]:
            official.read_frame(frame)

    def official_typed() -> None:
        for frame in ones[:few]:
            official.read_trade(frame)

    ways = (
        ours_one, ours_ten, ours_book, split_one, split_ten, split_book, official_text, official_typed,
    )  # fmt: skip
    best = measure.seconds_of({way.__name__: way for way in ways}, options.rounds)
    one, ten = best["ours_one"] / count, best["ours_ten"] / (len(tens) * 10)
    text, typed = best["official_text"] / few, best["official_typed"] / few
    split = best["split_one"] / count
    yield measure.plain("split of a 47-field frame", split * 1e6, "us")
    yield measure.plain("decode, one record", one * 1e6, "us")
    yield measure.at_least("decode, one record: official way / ours", text / one, 1_000)
    yield measure.plain("decode, one record, both typed: official way / ours", typed / one)
    yield measure.at_most("decode, one record: ours / split", one / split, 2.5)
    yield measure.at_most("decode, ten records: ours a record / ours of one record", ten / one, 1)
    yield measure.plain(
        "decode, ten records: ours / split of the same", best["ours_ten"] / best["split_ten"]
    )
    yield measure.plain(
        "decode, order book: ours / split of the same", best["ours_book"] / best["split_book"]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark."""
    options = measure.read_options(measure.parser_of(__doc__, 300), arguments)
    return measure.show(figures(options), options)


if __name__ == "__main__":
    raise SystemExit(main())
