"""Replay a recording of invented days through codec and engine with the built-in breakout.

The recording is made first, by the bot's own Recorder beside an engine whose orders a broker fills
at once, each trade in a frame and a batch of its own (the dearest case). Measured in processor time,
since one replay lasts seconds, are three ways, all with the digest of all rows:

from the file   companions.replay, which is what `--replay` runs: hashing the file, unpacking the
                columns that the first replay left beside it, engine, the rows as JSON
from its text   the same without columns, as the first replay reads it: unpacking the file,
                decoding, engine, the rows as JSON
engine alone    the same events made beforehand, as a backtest gets its ticks

The digest and the orders of each must equal those of the run that was recorded.

"Normalised" is trades a second times the microseconds of str.split of a 47-field frame in this run:
the rate on a machine where that split takes 1 us. Official way: read_csv for each frame, the trade
appended to a table of the last 2,000 trades, bars by resample. Floor: one addition for each trade.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import desk
import frames
import measure
import official
import pandas

import kis_realtime_trading as bot
from companions import replay as replaying

SYMBOLS = frames.SYMBOLS[:5]
MORNING = (
    frames.OPEN_S,
    frames.OPEN_S + 7_500,
)  # 09:00 to 11:05, busy: some ten trades a second each
MORNING_SETTINGS = {"last_entry": "10:50:00", "flat_at": "11:00:00"}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording and what the engine decided when it was made."""

    path: Path
    days: dict[date, list[frames.Print]]
    digest: str
    intents: list[bot.OrderIntent]

    @property
    def trades(self) -> int:
        """Number of trades."""
        return sum(map(len, self.days.values()))


def record(folder: Path, trades: int, days: int) -> Recorded:
    """Run the engine over invented days and record them."""
    settings = desk.settings_of(SYMBOLS, **MORNING_SETTINGS)
    header = {
        "environment": "real", "strategy": "breakout", "settings": settings.model_dump(mode="json"),
        "rows": [],
    }  # fmt: skip
    recorder = bot.Recorder(folder / "records", desk.moment_of(frames.DAY, 0), header)
    made = desk.Desk(settings, desk.breakout(), recorder)
    prints = {}
    for day in desk.trading_days(frames.DAY, days):
        prints[day] = list(frames.trades(trades // days, SYMBOLS, day=day, span=MORNING))
        made.open_day(day)
        made.trade(day, prints[day], spread_us=37)
    recorder.flush()
    recorder.settle(60.0)
    recorder.close()
    first = next(iter(sorted((folder / "records").iterdir())))
    return Recorded(first, prints, made.engine.digest.hexdigest(), made.intents)


def replay(recorded: Recorded, columns: bool = True) -> float:
    """Replay and compare; return processor seconds (the replay alone, not the comparison)."""
    began = time.process_time()
    done = replaying.replay(recorded.path, columns=columns)
    spent = time.process_time() - began
    intents = [ref for kind, ref, _ in done.rows if kind == "intent"]
    if done.digest != recorded.digest or intents != [i.intent_id for i in recorded.intents]:
        raise AssertionError("the replay differs from the run that was recorded")
    if done.trades != recorded.trades:
        raise AssertionError(f"{done.trades} trades replayed of {recorded.trades}")
    return spent


def events_of(recorded: Recorded) -> list[bot.Event]:
    """Return everything that the engine is given in a replay."""
    decoder, events = bot.FrameDecoder(), list[bot.Event]()
    for line in replaying.read_lines(recorded.path):
        if line[:1] == "F":
            events += decoder.decode(line.split(" ", 2)[2])
        elif line[:1] == "T":
            moved = bot.timedelta(microseconds=int(line[1:]))
            events.append(bot.TimeEvent(bot.EPOCH + moved))
        elif line[:1] == "E":
            other = replaying.event_from_json(line[1:])
            if isinstance(other, bot.Command) and other.session:
                decoder.set_day(other.session.day)
            events.append(other)
    return events


def drive(recorded: Recorded, events: list[bot.Event]) -> float:
    """Give an engine its events; return processor seconds."""
    settings = desk.settings_of(SYMBOLS, **MORNING_SETTINGS)
    ledger = bot.Ledger(settings.stock_fee_pct, settings.fund_fee_pct)
    engine = bot.Engine(settings, desk.breakout(), ledger, empty_lists=False)
    handle = engine.handle
    began = time.process_time()
    for event in events:
        handle(event)
    spent = time.process_time() - began
    if engine.digest.hexdigest() != recorded.digest:
        raise AssertionError("the engine decides otherwise than in the run that was recorded")
    return spent


def official_way(texts: list[str], history: pandas.DataFrame) -> None:
    """Take trades in as tables and make bars of them."""
    for n, text in enumerate(texts):
        _, _, price, volume, *_ = official.read_trade(text)
        at = history.index[-1] + pandas.Timedelta(milliseconds=n)
        trade = pandas.DataFrame({"price": [price], "volume": [volume]}, index=[at])
        history = pandas.concat([history.iloc[1:], trade])
        official.bars(history, 5)


def figures(options: argparse.Namespace) -> Iterator[measure.Figure]:
    """Measure and yield the figures."""
    trades, days = (2_000, 1) if options.quick else (options.trades, options.days)
    texts = frames.trade_frames(1_000)
    few = texts[: 2 if options.quick else 10]
    history = pandas.DataFrame(
        {"price": [70_000] * 2_000, "volume": [1] * 2_000},
        index=pandas.date_range("2026-11-20 09:00:00", periods=2_000, freq="1s"),
    )

    def split() -> None:
        for text in texts:
            text.split("^")

    with tempfile.TemporaryDirectory() as folder:
        recorded = record(Path(folder), trades, days)
        volumes = [each.shares for day in recorded.days.values() for each in day]

        def addition() -> None:
            total = 0
            for shares in volumes:
                total += shares

        events = events_of(recorded)
        best = measure.seconds_of(
            {
                "replay": lambda: replay(recorded),
                "text": lambda: replay(recorded, columns=False),
                "engine": lambda: drive(recorded, events), "split": split, "addition": addition,
                "official": lambda: official_way(few, history),
            },
            options.rounds,
        )  # fmt: skip
    count = recorded.trades
    rate, split_us = count / best["replay"], best["split"] / len(texts) * 1e6
    yield measure.plain("replay, orders", len(recorded.intents), "orders")
    yield measure.plain("replay", rate, "trades/s")
    yield measure.at_least(
        "replay from the file, normalised (split 1 us)", rate * split_us, 300_000, "trades/s"
    )
    text = count / best["text"]
    yield measure.plain("replay from its text", text, "trades/s")
    yield measure.plain("replay: from the file / from its text", rate / text)
    yield measure.plain("engine alone", count / best["engine"], "trades/s")
    yield measure.at_least(
        "engine alone, normalised (split 1 us)",
        count / best["engine"] * split_us,
        300_000,
        "trades/s",
    )
    yield measure.plain("replay: official way / ours", best["official"] / len(few) * rate)
    yield measure.plain("replay: ours / one addition a trade", best["replay"] / best["addition"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark."""
    parser = measure.parser_of(__doc__, 5)
    parser.add_argument(
        "--trades", type=int, default=400_000, help="trades in all (default 400000)"
    )
    parser.add_argument("--days", type=int, default=1, help="trading days (default 1)")
    options = measure.read_options(parser, arguments)
    return measure.show(figures(options), options)


if __name__ == "__main__":
    raise SystemExit(main())
