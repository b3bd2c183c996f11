"""One-minute bars of the user, checked; or invented ones, said to be invented.

A file CODE.csv a stock, with the columns time,open,high,low,close,volume; time is the start of the
minute in KST, `2026-11-20 09:00` or ISO. Prices in won, volume in shares. Raw prices, not adjusted.
With `date` instead of `time` (2026-11-20) a line is a whole day: then the open is shown at the opening,
the low before the high, the close: enough for rules of closed days, no more.
A file stocks.csv beside them, columns code,market,fund, names what is not KOSPI (tax) or an ETF.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import kis_realtime_trading as bot
from companions.backtest.path import worth

DAYS = ("date", "open", "high", "low", "close", "volume")
COLUMNS = ("time", "open", "high", "low", "close", "volume")
STOCKS, MANIFEST, MARKETS = "stocks.csv", "manifest.json", ("KOSPI", "KOSDAQ", "KONEX")
MOST_FAULTS = 12
STEPS = 20  # minutes from the open to the low of a day, and from there to the high
MOST_BYTES = 500_000_000
BAND = 0.30  # the price limit of a day, as a share of the base price (rule since 2015-06-15)
FIRST_DAY = date(2023, 1, 25)  # tick sizes and tax of the tables hold from here on
TWO = [f"{number:02}" for number in range(60)]  # formatted once: a digest takes many
INVENTED = {"005930": 71_000, "000660": 182_500, "035720": 41_250}


@dataclass(slots=True)
class History:
    """Minutes by stock, oldest first, with a hash of all of them and notes about oddities."""

    minutes: dict[str, list[bot.Bar]]
    notes: list[bot.Both] = field(default_factory=list)
    invented: bool = False
    bases: dict[str, int] = field(default_factory=dict)  # close of the day before the first one
    markets: dict[str, str] = field(default_factory=dict)  # KOSPI unless said otherwise
    funds: set[str] = field(default_factory=set)
    factors: dict[str, dict[date, float]] = field(default_factory=dict)  # ex-days: new / old price

    _digest: tuple[int, str] = (0, "")  # of how many bars

    @property
    def digest(self) -> str:
        """Return a hash that names exactly these bars; made once, for sweeps ask it often."""
        count = sum(map(len, self.minutes.values()))
        if self._digest[0] != count:
            said = hashlib.sha256()
            for symbol, bars in sorted(self.minutes.items()):
                day, head, rows = date.min, "", list[str]()
                for bar in bars:
                    at = bar.start
                    if (today := at.date()) != day:
                        day, head = today, f"{symbol}{today:%Y%m%d}"
                    rows.append(f"{head}{TWO[at.hour]}{TWO[at.minute]}{bar.open},{bar.high},{bar.low},"
                                f"{bar.close},{bar.volume};")  # fmt: skip
                said.update("".join(rows).encode())
            self._digest = count, said.hexdigest()[:16]
        return self._digest[1]

    def days(self) -> list[date]:
        """Return the days of any stock, oldest first."""
        return sorted({bar.start.date() for bars in self.minutes.values() for bar in bars})


def read_folder(folder: Path, first: date | None, last: date | None) -> History:
    """Read every CODE.csv of a folder. Raises bot.BotError naming file and row of a fault."""
    files = sorted(folder.glob("*.csv")) if folder.is_dir() else []
    files = [file for file in files if file.name != STOCKS]
    files = [file for file in files if not file.name.endswith(".days.csv")] or files
    if not files:
        columns = ",".join(COLUMNS)
        raise bot.BotError(
            bot.Both(
                f"no CODE.csv in {folder}: columns {columns}, KST minutes; "
                f"--fetch-history {folder} fetches them",
                f"{folder}에 종목코드.csv가 없습니다. 한 줄이 1분이고 열은 {columns}(한국 시각)입니다. "
                f"--fetch-history {folder}로 받을 수도 있습니다",
            )
        )
    history = History({})
    for file in files:
        symbol, every = file.stem.partition(".")[0].upper(), _read_file(file)
        before = [bar.close for bar in every if first and bar.start.date() < first]
        bars = [bar for bar in every if _within(bar.start.date(), first, last)]
        if bars:
            history.minutes[symbol] = bars
        if before:
            history.bases[symbol] = before[-1]
    _read_stocks(folder / STOCKS, history)
    _read_factors(folder / MANIFEST, history)
    if not history.minutes:
        raise bot.BotError(
            bot.Both(
                f"no minute of the period in {folder}", f"{folder}에 그 기간의 분봉이 없습니다"
            )
        )
    for day in history.days():
        if day < FIRST_DAY:
            raise bot.BotError(
                bot.Both(
                    f"{day}: the tables of ticks and taxes begin with {FIRST_DAY}",
                    f"{day}: 호가단위와 세율 표가 {FIRST_DAY}부터라 그 앞의 날은 돌릴 수 없습니다",
                )
            )
        if not bot.is_trading_day(day):
            raise bot.BotError(
                bot.Both(
                    f"{day} is no trading day of KRX, but the history has minutes of it",
                    f"{day}: 거래일이 아닌데 시세가 들어 있습니다",
                )
            )
    faults = faults_of(history)
    history.notes += faults[:MOST_FAULTS]
    if (more := len(faults) - MOST_FAULTS) > 0:
        history.notes.append(
            bot.Both(f"{more} more such oddities", f"이런 곳이 {more}군데 더 있습니다")
        )
    return history


def _read_stocks(file: Path, history: History) -> None:
    """Take in market and kind of the stocks; what is not named is a KOSPI stock."""
    rows = []
    if file.is_file():
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    for number, row in enumerate(rows, 2):
        code, market, fund = (row.get(name) or "" for name in ("code", "market", "fund"))
        if not code or market not in MARKETS or fund not in ("", "0", "1"):
            raise bot.BotError(
                bot.Both(
                    f"{file} line {number}: code, market of {'/'.join(MARKETS)}, fund 0 or 1",
                    f"{file} {number}행: 종목코드, 시장({'/'.join(MARKETS)}), fund(0 또는 1)를 적으십시오",
                )
            )
        history.markets[code] = market
        if fund == "1":
            history.funds.add(code)
    unnamed = sorted(set(history.minutes) - set(history.markets))
    if unnamed:
        named = ", ".join(unnamed)
        history.notes.append(bot.Both(
            f"taxed as KOSPI, for want of {STOCKS}: {named}",
            f"{STOCKS}에 없어 코스피 세율로 계산합니다: {named}",
        ))  # fmt: skip


def _read_factors(file: Path, history: History) -> None:
    """Take in the ex-days that were fetched with the minutes, and say that they are there."""
    if not file.is_file():
        return
    try:
        kept = json.loads(file.read_text("utf-8"))["symbols"]
        for symbol in set(kept) & set(history.minutes):
            found = {date.fromisoformat(d): float(f) for d, f in kept[symbol]["factors"].items()}
            if any(not 0 < factor < 1_000 for factor in found.values()):
                raise ValueError(symbol)
            history.factors[symbol] = found
    except (ValueError, KeyError, TypeError, AttributeError):
        raise bot.BotError(
            bot.Both(f"{file}: the factors cannot be read", f"{file}: 수정계수를 읽을 수 없습니다")
        ) from None


def faults_of(history: History) -> list[bot.Both]:
    """Return what looks wrong in minutes: missing days, half days, jumps, prices off their tick.

    A jump beyond the price limit of a day is a split that nobody told of. Prices off their tick are
    adjusted ones: then the price limits, ticks and share counts are not those of the day.
    """
    found: list[bot.Both] = []
    for symbol, bars in sorted(history.minutes.items()):
        by_day: dict[date, list[bot.Bar]] = {}
        for bar in bars:
            by_day.setdefault(bar.start.date(), []).append(bar)
        days = sorted(by_day)
        usual = sorted(len(each) for each in by_day.values())[len(by_day) // 2]
        before = history.bases.get(symbol, 0)
        for n, day in enumerate(days):
            if n and bot.next_trading_day(days[n - 1]) != day:
                found.append(bot.Both(
                    f"{symbol}: no minutes between {days[n - 1]} and {day}",
                    f"{symbol}: {days[n - 1]}과 {day} 사이의 거래일에 분봉이 없습니다",
                ))  # fmt: skip
            if (count := len(by_day[day])) < usual // 2:
                found.append(bot.Both(
                    f"{symbol} {day}: {count} minutes, {usual} on other days",
                    f"{symbol} {day}: 분봉 {count}개뿐입니다(다른 날은 {usual}개)",
                ))  # fmt: skip
            first = by_day[day][0].open
            scaled = before * history.factors.get(symbol, {}).get(day, 1.0)
            if before and abs(first - scaled) > scaled * BAND:
                found.append(bot.Both(
                    f"{symbol} {day}: opens at {first:,} after a close of {before:,}: a split?",
                    f"{symbol} {day}: 전일 종가 {before:,}원인데 시가가 {first:,}원: 액면분할?",
                ))  # fmt: skip
            before = by_day[day][-1].close
        fund = symbol in history.funds
        off = next((bar for bar in bars if not bot.is_valid_tick(bar.close, fund)), None)
        if off:
            at = f"{symbol} {off.start:%Y-%m-%d %H:%M}: "
            found.append(bot.Both(
                f"{at}{off.close:,} is on no tick: adjusted prices?",
                f"{at}{off.close:,}원은 호가단위에 맞지 않습니다: 수정주가?",
            ))  # fmt: skip
    return found


def _within(day: date, first: date | None, last: date | None) -> bool:
    return (first is None or day >= first) and (last is None or day <= last)


def _read_file(file: Path) -> list[bot.Bar]:
    if file.stat().st_size > MOST_BYTES:
        raise bot.BotError(
            bot.Both(
                f"{file} is larger than {MOST_BYTES:,} bytes",
                f"{file}: 너무 큽니다(최대 {MOST_BYTES:,}바이트)",
            )
        )
    bars: list[bot.Bar] = []
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader, symbol = csv.DictReader(lines), file.stem.partition(".")[0].upper()
        heads = tuple(reader.fieldnames or ())
        if heads != COLUMNS and heads[: len(DAYS)] != DAYS:
            either = f"{','.join(COLUMNS)} or {','.join(DAYS)}"
            raise bot.BotError(
                bot.Both(
                    f"{file}: the first line must be {either}",
                    f"{file}: 첫 줄은 {','.join(COLUMNS)} 또는 {','.join(DAYS)}이어야 합니다",
                )
            )
        faults: list[bot.Both] = []
        for row in reader:
            try:
                found = [_bar_of(symbol, row)] if heads == COLUMNS else _day_of(symbol, row)
                if bars and found[0].start <= bars[-1].start:
                    raise ValueError(bot.Both(
                        f"{found[0].start:%Y-%m-%d %H:%M} does not come after the line before",
                        f"{found[0].start:%Y-%m-%d %H:%M}: 앞줄보다 뒤의 시각이 아닙니다",
                    ))  # fmt: skip
            except (ValueError, TypeError, bot.BadData) as error:
                korean, number = bot.in_language(error.args[0], "ko"), reader.line_num
                faults.append(bot.Both(f"line {number}: {error}", f"{number}행: {korean}"))
            else:
                bars += found
    if faults:
        raise bot.BotError(_in_one_round(file, faults))
    return bars


def _in_one_round(file: Path, faults: list[bot.Both]) -> bot.Both:
    """Return what is wrong in a file, line by line; of many the first and how many there are."""
    more = len(faults) - MOST_FAULTS
    korean = [each.ko for each in faults[:MOST_FAULTS]] + [f"그 밖에 {more:,}행"] * (more > 0)
    english = [*faults[:MOST_FAULTS], *[f"{more:,} more lines"] * (more > 0)]
    return bot.Both(
        "\n  ".join([f"{file}: lines that cannot be read: {len(faults):,}", *english]),
        "\n  ".join([f"{file}: 읽을 수 없는 줄이 {len(faults):,}개 있습니다", *korean]),
    )


def _day_of(symbol: str, row: dict[str, str]) -> list[bot.Bar]:
    """Return a whole day as minutes: open, slowly down to the low, up to the high, close.

    Slowly, so that a stop on the way is sold near its price and not at the low of the day.
    """
    try:
        day = date.fromisoformat(row["date"])
    except ValueError:
        raise ValueError(bot.Both(
            f"{row['date'][:40]!r} is no day as 2026-11-20",
            f"{row['date'][:40]!r}: 날짜가 아닙니다(예: 2026-11-20)",
        )) from None  # fmt: skip
    session = bot.session_of(day)
    if session is None:
        raise ValueError(bot.Both(f"{day} is no trading day of KRX", f"{day}: 거래일이 아닙니다"))
    first, high, low, last, volume = _numbers(row)
    shown = [(session.open, first, first)]
    for hours, begin, end in ((1, first, low), (3, low, high)):
        at, before = session.open + timedelta(hours=hours), begin
        for n in range(1, STEPS + 1):
            price = begin + (end - begin) * n / STEPS
            after = end if n == STEPS else bot.round_to_tick(price, False, up=end > begin)
            shown.append((at + timedelta(minutes=n), before, after))
            before = after
    shown.append((session.auction_start - timedelta(minutes=1), last, last))
    part, rest = divmod(volume, len(shown))
    bars = []
    for n, (start, opened, closed) in enumerate(shown):
        shares = part + (rest if n == len(shown) - 1 else 0)
        top, bottom, end_of = max(opened, closed), min(opened, closed), start + timedelta(minutes=1)
        value = worth(shares, opened, top, bottom, closed)
        bars.append(bot.Bar(symbol, start, end_of, opened, top, bottom, closed, shares, value, 4))
    return bars


def _numbers(row: dict[str, str]) -> tuple[int, int, int, int, int]:
    """Return open, high, low, close and volume of a row. Raises ValueError."""
    try:
        first, high, low, last, volume = (int(row[name]) for name in COLUMNS[1:])
    except (ValueError, TypeError):
        name = next(each for each in COLUMNS[1:] if not re.fullmatch(r"-?[0-9]+", row[each] or ""))
        text = (row[name] or "")[:40]
        raise ValueError(bot.Both(
            f"{name} {text!r} is no whole number", f"{name} {text!r}: 쉼표 없는 정수를 적으십시오"
        )) from None  # fmt: skip
    if not 0 < low <= min(first, last) <= max(first, last) <= high:
        raise ValueError(bot.Both(
            f"low {low} <= open {first}, close {last} <= high {high} does not hold",
            f"저가 {low:,} ≤ 시가 {first:,}, 종가 {last:,} ≤ 고가 {high:,}가 아닙니다",
        ))  # fmt: skip
    if volume < 0:
        raise ValueError(bot.Both(f"volume {volume}", f"거래량 {volume:,}"))
    return first, high, low, last, volume


def _bar_of(symbol: str, row: dict[str, str]) -> bot.Bar:
    try:
        start = datetime.fromisoformat(row["time"])
    except ValueError:
        raise ValueError(bot.Both(
            f"{row['time'][:40]!r} is no time as 2026-11-20 09:00",
            f"{row['time'][:40]!r}: 시각이 아닙니다(예: 2026-11-20 09:00)",
        )) from None  # fmt: skip
    start = start.replace(tzinfo=bot.KST) if start.tzinfo is None else start.astimezone(bot.KST)
    first, high, low, last, volume = _numbers(row)
    if start.second or start.microsecond:
        raise ValueError(bot.Both(
            f"{row['time']} is no full minute", f"{row['time']}: 분 단위의 시각이 아닙니다"
        ))  # fmt: skip
    value = worth(volume, first, high, low, last) if volume else 0
    return bot.Bar(symbol, start, start + timedelta(minutes=1), first, high, low, last, volume, value, 4)  # fmt: skip


def invent(days: int, seed: int, symbols: dict[str, int] | None = None) -> History:
    """Return invented minutes: a random walk without drift. Results on it say nothing of a market."""
    pick, minutes = random.Random(seed), {}
    for symbol, price in (symbols or INVENTED).items():
        bars: list[bot.Bar] = []
        day, at = date(2026, 3, 2), float(price)
        for _ in range(days):
            day = bot.next_trading_day(day)
            session = bot.session_of(day)
            assert session
            base, moment = at, session.open
            while moment < session.auction_start:
                walk = [at]
                for _ in range(3):
                    step = walk[-1] * (1 + pick.gauss(0, 0.0006))
                    walk.append(min(max(step, base * 0.75), base * 1.25))
                at = walk[-1]
                ticks = [bot.round_to_tick(each, False, up=False) for each in walk]
                volume = max(40, round(pick.lognormvariate(8, 0.7)))
                bars.append(bot.Bar(
                    symbol, moment, moment + timedelta(minutes=1), ticks[0], max(ticks), min(ticks),
                    ticks[-1], volume, volume * sum(ticks) // 4, 4,
                ))  # fmt: skip
                moment += timedelta(minutes=1)
        minutes[symbol] = bars
    bases = dict(symbols or INVENTED)
    note = bot.Both(
        "invented prices: a random walk without drift", "만들어 낸 시세: 추세 없는 무작위"
    )
    return History(minutes, [note], True, bases)
