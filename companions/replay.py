"""A recording again, compared row by row: `--replay`."""

from __future__ import annotations

import argparse
import gzip
import json
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

import kis_realtime_trading as bot
from companions.columns import TIME, TRADE, Block, Writer, begin, blocks_of, key_of


class Replayed(NamedTuple):
    """What a recording gives when it is run again."""

    header: dict[str, Any]
    rows: list[tuple[str, str, str]]  # kind, ref, body: as the journal would hold them
    digest: str
    trades: int
    torn: bool  # the last second of the recording is missing


def read_lines(first: Path) -> Iterator[str]:
    """Yield the lines of a run, all its segments and days; damage ends one with an empty line."""
    for file in files_of(first):
        yield from _lines_of(file)


def files_of(first: Path) -> Iterator[Path]:
    """Yield the files of a run: all segments of each of its days."""
    later = sorted(file for file in first.parent.glob("*-0000.gz") if file.name > first.name)
    while True:
        yield from _segments(first)
        following = [file for file in later if _continues(file) == first.name]
        if not following:
            return
        first = following[0]


def _continues(first: Path) -> str:
    """Return the name of the file that a recording goes on from, "" for the first of a run."""
    start = next(_lines_of(first), "")
    try:
        return str(json.loads(start[1:]).get("continues", "")) if start.startswith("S") else ""
    except ValueError:
        return ""


def _segments(first: Path) -> list[Path]:
    return sorted(first.parent.glob(f"{first.name.rpartition('-')[0]}-*.gz"))


MOST_TIMES = 200  # as large as its file; ours unpack to some ten times
MOST_LINE = 8 << 20


def _lines_of(segment: Path) -> Iterator[str]:
    """Yield the lines of one file. Raises bot.BotError when it unpacks to more than one of ours."""
    rest, room = b"", MOST_TIMES * segment.stat().st_size + (1 << 20)
    try:
        with gzip.open(segment) as file:
            while block := file.read1(1 << 18):
                room -= len(block)
                if room < 0 or len(rest) > MOST_LINE:
                    raise bot.BotError(
                        bot.Both(
                            f"{segment}: not one of ours: it unpacks to {MOST_TIMES} times its size, or a "
                            f"line has more than {MOST_LINE >> 20} MB",
                            f"{segment}: 이 봇의 녹화가 아닙니다(풀면 {MOST_TIMES}배를 넘거나 한 줄이 {MOST_LINE >> 20}MB를 넘음)",
                        )
                    )
                whole, newline, after = block.rpartition(b"\n")
                if newline:
                    text = (rest + whole).decode("utf-8", "surrogateescape")
                    yield from text.split("\n")
                    rest = after
                else:
                    rest += block
    except (EOFError, gzip.BadGzipFile, zlib.error):
        yield ""


_EVENT_TYPES: dict[str, Any] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (
        bot.Notice,
        bot.OrderAnswered,
        bot.Command,
        bot.Instrument,
        bot.Balance,
        bot.Cash,
        bot.OrderList,
        bot.PastBars,
    )
}


def event_from_json(text: str) -> bot.Event:
    """Turn a recorded event back into itself. Raises bot.BadData."""
    try:
        data = json.loads(text)
        if data["type"] == "Seen":
            value = _EVENT_TYPES[data["value"]["type"]].validate_python(_untyped(data["value"]))
            return bot.Seen(value, datetime.fromisoformat(data["asked_at"]))
        event: bot.Event = _EVENT_TYPES[data["type"]].validate_python(_untyped(data))
        return event
    except (ValueError, KeyError, TypeError) as error:
        raise bot.BadData(f"a recorded event cannot be read: {error}") from None


def _untyped(value: Any) -> Any:
    """Take the type names out of a plain value."""
    if isinstance(value, dict):
        return {key: _untyped(item) for key, item in value.items() if key != "type"}
    return [_untyped(item) for item in value] if isinstance(value, list) else value


def replay(
    first: Path, strategy: bot.TradingStrategy | None = None, named: str = "", columns: bool = True
) -> Replayed:
    """Drive codec and engine with a recording, as fast as they go.

    `strategy` replaces the recorded one. A file of code that the recording names runs only when the
    user named it as well: a recording may be somebody else's. The first replay leaves `columns`
    beside the file, later ones read those. Raises bot.BotError for what is no recording.
    """
    if not first.is_file():
        raise bot.BotError(
            bot.Both(
                f"no file {first}; recordings are in the folder records beside the journal",
                f"파일이 없습니다: {first}. 녹화는 저널 옆의 records 폴더에 있습니다",
            )
        )
    lines = read_lines(first)
    start = next(lines, "")
    if not start.startswith("S"):
        raise bot.BotError(
            bot.Both(
                f"{first} is not the first segment (-0000.gz) of a recording",
                f"{first}: 녹화의 첫 조각(-0000.gz)이 아닙니다",
            )
        )
    try:
        header = json.loads(start[1:])
        settings = bot.BotSettings.model_validate(header["settings"])
        ledger = bot.Ledger(settings.stock_fee_pct, settings.fund_fee_pct)
        for kind, body in header["rows"]:
            bot.apply_row(ledger, kind, body)
        recorded = str(header["strategy"])
    except (ValueError, KeyError, TypeError, RecursionError, bot.BotError) as error:
        raise bot.BotError(
            bot.Both(
                f"line 1 of the recording cannot be read ({type(error).__name__})",
                f"녹화의 1행을 읽을 수 없습니다({type(error).__name__})",
            )
        ) from None
    if not strategy and recorded not in (*bot.STRATEGIES, named):
        raise bot.BotError(
            bot.Both(
                f"the recording ran {recorded}; if you trust that file, name it: --strategy {recorded}",
                f"녹화된 전략은 {recorded}입니다. 그 파일을 믿는다면 적어 주십시오: --strategy {recorded}",
            )
        )
    chosen = strategy or bot.load_strategy(recorded, settings.parameters)
    engine = bot.Engine(settings, chosen, ledger, bot.EMPTY_LISTS[header["environment"]])
    if "continues" in header:  # a later day of a process: what a new one says, it said long before
        engine.finish()
        held = header.get("holds", {"stopping": bot.NEVER.isoformat()})  # files of before 0.2
        engine.core.holds = {name: datetime.fromisoformat(at) for name, at in held.items()}
    return _drive(engine, first, lines, header, columns)


def recorded_strategy(first: Path) -> str:
    """Return the strategy that a recording names, "" when it is none."""
    start = next(read_lines(first), "") if first.is_file() else ""
    try:
        return str(json.loads(start[1:]).get("strategy", "")) if start.startswith("S") else ""
    except (ValueError, RecursionError):
        return ""


class _Driver:
    """Feeds an engine from lines or from columns; collects the rows it wants written."""

    def __init__(self, engine: bot.Engine) -> None:
        self.engine, self.decoder = engine, bot.FrameDecoder()
        self.rows: list[tuple[str, str, str]] = []
        self.trades = 0
        self.at = 1  # line or event, for who asks where it broke

    def keep(self, actions: Iterable[bot.Action]) -> None:
        """Keep the rows among some actions."""
        for action in actions:
            if isinstance(action, bot.Record):
                self.rows.append((action.kind, action.ref, bot.canonical_json(action.data)))

    def events(self, line: str) -> Sequence[bot.Event]:
        """Return the events of a line of frames or of another event."""
        if line[0] == "E":
            other = event_from_json(line[1:])
            if isinstance(other, bot.Command) and other.session:
                self.decoder.set_day(other.session.day)
            return (other,)
        frame = line.split(" ", 2)[2]
        try:
            return self.decoder.decode(json.loads(frame) if line[0] == "J" else frame)
        except bot.BadData:
            return ()

    def lines(self, lines: Iterator[str], columns: Writer | None) -> bool:
        """Feed lines; tell whether the recording is torn. `columns` take what they mean."""
        handle, decode, keep = self.engine.handle, self.decoder.decode, self.keep
        trade, epoch, torn = bot.Trade, bot.EPOCH, False  # looked up once: for each line
        for line in lines:
            self.at += 1
            mark = line[:1]
            if mark == "F":
                try:
                    events = decode(line.split(" ", 2)[2])
                except bot.BadData:
                    continue
                for event in events:
                    self.trades += type(event) is trade
                    if actions := handle(event):
                        keep(actions)
                if columns and not columns.trades(events):
                    columns.line(line)
            elif mark == "T":
                micros = int(line[1:])
                if actions := handle(bot.TimeEvent(epoch + timedelta(0, 0, micros))):
                    keep(actions)
                if columns:
                    columns.time(micros)
            elif mark in ("E", "J"):
                self.line(line)
                if columns:
                    columns.line(line)
            torn = torn or not line
        return torn

    def line(self, line: str) -> None:
        """Feed the events of one line."""
        for event in self.events(line):
            self.trades += type(event) is bot.Trade
            self.keep(self.engine.handle(event))

    def blocks(self, blocks: Iterator[Block]) -> None:
        """Feed the columns of a recording that was read before.

        As `Engine.handle` does, but nobody needs to ask of what kind an event is; and of the many
        moments within a second that was worked already only the time moves.
        """
        engine, core, event_of = self.engine, self.engine.core, bot.TimeEvent
        on_trade, on_time, over = engine._on_trade, engine._on_time, engine._next_second
        for kinds, times, trades, lines in blocks:
            next_time, next_trade = times.__next__, trades.__next__
            self.trades += kinds.count(TRADE)
            for kind in kinds:
                if kind == TRADE:
                    on_trade(next_trade())
                elif kind == TIME:
                    now = next_time()
                    if core.now <= now < over:
                        core.now = now
                        continue
                    on_time(event_of(now))
                    over = engine._next_second
                else:
                    self.line(next(lines))
                    over = engine._next_second
                if core.out:
                    self.keep(engine.finish())
            self.at += len(kinds)


def _drive(
    engine: bot.Engine, first: Path, lines: Iterator[str], header: dict[str, Any], columns: bool
) -> Replayed:
    """Feed a recording to an engine: its columns where they are, else its lines."""
    driver, torn, key = _Driver(engine), False, b""
    if columns:
        key = key_of(list(files_of(first)))
    blocks = blocks_of(first, key) if columns else None
    writer = begin(first, key) if columns and not blocks else None
    whole = False
    try:
        if blocks:
            driver.blocks(blocks)
        else:
            torn = driver.lines(lines, writer)
            whole = not torn
    except Exception as error:  # somebody's file: any odd text, whatever reads it
        if type(error) is bot.BotError:  # it unpacks to too much
            raise
        what = f"line {driver.at} of the recording cannot be read ({type(error).__name__})"
        raise bot.BotError(what) from error
    finally:
        if writer:
            writer.close(whole)
    return Replayed(header, driver.rows, engine.digest.hexdigest(), driver.trades, torn)


UNCOMPARED = (
    "alert",
    "request",
    "day",
    "phone",
    "told",
)  # rows that the trader adds around the engine's


def live_rows(journal: bot.Journal, after: int) -> list[tuple[str, str, str]]:
    """Return what the live run wrote after a row, as far as the engine decided it."""
    rows: list[tuple[str, str, str]] = []
    for row in journal.rows():
        if row.seq > after and row.kind not in UNCOMPARED:
            rows.append((row.kind, row.ref, row.body))
    starts = [n for n, row in enumerate(rows) if row[:2] == ("command", "restarted")]
    # the next process has a recording of its own; its first row comes just before its start
    return rows[: starts[1] - 1] if len(starts) > 1 else rows


WORDS: dict[str, tuple[str, str]] = {
    "start": ("녹화를 다시 돌립니다: {file} ({mb:.1f} MB). 처음에는 시간이 더 걸립니다.",
              "replaying {file} ({mb:.1f} MB); the first time takes longer"),
    "done": ("체결 {trades:,}건, 봉 {bars:,}개, 주문 결정 {intents}건을 {s:.2f}초에 처리했습니다(초당 {rate:,.0f}건)",
             "{trades:,} trades, {bars} bars, {intents} intents in {s:.2f} s ({rate:,.0f} trades a second)"),
    "torn": ("녹화가 중간에 끝납니다. 그때 봇이 강제로 종료되었습니다",
             "the recording ends in the middle: its process was killed"),
    "alone": ("비교할 저널이 없습니다: {file}", "no journal {file} to compare with"),
    "build": ("다른 프로그램 파일(버전 {version})의 녹화라서 판단이 다를 수 있습니다",
              "recorded by another program file (version {version}): it may decide otherwise"),
    "differs": ("처음 다른 곳: 시작 뒤 {row}번째 줄", "FIRST DIFFERENCE at row {row} after the start"),
    "more": ("처음 다른 곳: 재생이 {n}줄 더 판단합니다", "FIRST DIFFERENCE: the replay decides {n} rows more"),
    "equal": ("실제와 같습니다: {n}줄", "equal to the live run: {n} rows"),
    "unrecorded": ("실제의 마지막 {n}줄은 녹화되지 않았습니다", "the last {n} of the live run were not recorded"),
}  # fmt: skip


SIDES = {"BUY": "매수", "SELL": "매도"}


def say(language: str, key: str, **values: Any) -> None:
    """Print a sentence in the reader's language, at once."""
    print(WORDS[key][language == "en"].format(**values), flush=True)


def show_replay(options: argparse.Namespace) -> int:
    """Replay a recording and compare it with the journal beside it."""
    path: Path = options.replay
    language = options.speak
    if path.is_file():
        say(language, "start", file=path.name, mb=path.stat().st_size / 1e6)
    strategy = None
    if options.strategy:
        strategy = (
            None
            if options.strategy == recorded_strategy(path)
            else bot.load_strategy(options.strategy, {})
        )
    began = time.perf_counter()
    result = replay(path, strategy, options.strategy or "")
    spent = time.perf_counter() - began
    bars = sum(kind == "bar" for kind, _, _ in result.rows)
    intents = sum(kind == "intent" for kind, _, _ in result.rows)
    say(language, "done", trades=result.trades, bars=bars, intents=intents, s=spent,
        rate=result.trades / spent)  # fmt: skip
    print(f"digest {result.digest}")
    if result.torn:
        say(language, "torn")
    file = path.parent.parent / result.header["journal"]
    if not file.is_file():
        say(language, "alone", file=file)
        return 0
    journal = bot.Journal(file, read_only=True)
    journal.verify()
    live = live_rows(journal, result.header["journal_seq"])
    if not strategy and result.header["build"] != bot.build_hash():
        say(language, "build", version=result.header["version"])
    if strategy or result.header["build"] != bot.build_hash():
        show_orders(live, result.rows, language)
    if strategy:  # the answers of the recording are not its own: a run of its own has fills
        from companions.backtest import command

        return command.show_recorded(path, options.strategy, options)
    return show_difference(live, result.rows, language)


def show_difference(
    live: list[tuple[str, str, str]], again: list[tuple[str, str, str]], language: str = "en"
) -> int:
    """Print the first row that differs with what stands around it; 0 when there is none.

    A process that was killed may have written rows whose recording was not flushed any more.
    """
    for at, (left, right) in enumerate(zip(live, again, strict=False)):
        if left != right:
            say(language, "differs", row=at + 1)
            names = ("live", "replay") if language == "en" else ("실제", "재생")
            for name, rows in zip(names, (live, again), strict=True):
                for n in range(max(0, at - 3), min(len(rows), at + 3)):
                    mark = ">>" if n == at else "  "
                    print(f"{mark} {name:6} {rows[n][0]:9} {rows[n][1]:18} {rows[n][2][:160]}")
            return bot.EXIT_FAILED
    if len(again) > len(live):
        say(language, "more", n=len(again) - len(live))
        return bot.EXIT_FAILED
    missing = len(live) - len(again)
    say(language, "equal", n=len(again))
    if missing:
        say(language, "unrecorded", n=missing)
    return 0


def show_orders(
    live: list[tuple[str, str, str]], again: list[tuple[str, str, str]], language: str = "en"
) -> None:
    """Print the orders of both histories that are not in the other, side by side."""

    def orders(rows: list[tuple[str, str, str]]) -> dict[str, str]:
        found = {}
        for kind, ref, body in rows:
            if kind == "intent":
                i = json.loads(body)
                side = SIDES[i["side"]] if language == "ko" else i["side"]
                found[ref] = f"{i['at'][11:19]} {i['symbol']} {side} {i['quantity']} @ {i['price']}"
        return found

    left, right = orders(live), orders(again)
    other = [ref for ref in {*left, *right} if left.get(ref) != right.get(ref)]
    if other:
        print(f"{'live':46}replay" if language == "en" else f"{'실제':44}재생")
    for ref in sorted(other, key=lambda r: left.get(r) or right[r]):
        print(f"{left.get(ref, '-'):46}{right.get(ref, '-')}")
