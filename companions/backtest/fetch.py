"""`--fetch-history DIR`: minutes and days of KIS into files that `--backtest --data DIR` reads.

CODE.csv holds raw minutes, a day after the other; CODE.days.csv raw days beside adjusted closes;
stocks.csv market and kind; manifest.json what was fetched when, with hashes, and the factors of
splits. It goes on where it ended: a day is in the file when the manifest says so. Questions stand in
the slowest lane, at the pace of the settings, and not while a bot trades the account.

Unconfirmed, for want of a real server: whether the paper server gives minutes of past days (its
documentation says no), how far back (the sample says a year), whether minutes are adjusted for
splits. Minutes after 15:30, of the after-market since 2026-09-14, are cut off.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

import kis_realtime_trading as bot
from companions.backtest.history import COLUMNS, MANIFEST, STOCKS
from companions.names import known_code
from companions.plain_words import start_of_command
from companions.report_view import day_of

USUAL_DAYS = 20
DAY_COLUMNS = ("date", "open", "high", "low", "close", "volume", "adjusted_close")
WORDS = {
    "ko": {
        "what": "{symbol} {day}", "done": "{symbol}: {days}일, 분봉 {rows:,}개 ({first} – {last})",
        "empty": "{symbol}: {days}일은 분봉이 없습니다({first} – {last}: 거래정지, 상장 전, 또는 서버가 보관하지 않는 날)",
        "nothing": "받은 분봉이 없습니다. 기간은 --from과 --to, 종목은 --symbol로 바꿀 수 있습니다",
        "split": "{symbol} {day}: 수정계수 {factor} (액면분할이나 권리락)",
        "next": "이제 돌려 보십시오: {program} --backtest --data {folder}",
    },
    "en": {
        "what": "{symbol} {day}", "done": "{symbol}: {days} days, {rows:,} minutes ({first} – {last})",
        "empty": "{symbol}: no minutes on {days} days ({first} – {last}: halted, not listed yet, or not kept that long)",
        "nothing": "no minutes were fetched; --from and --to change the period, --symbol the stock",
        "split": "{symbol} {day}: factor {factor} (a split or an ex-date)",
        "next": "now try it: {program} --backtest --data {folder}",
    },
}  # fmt: skip


class Store:
    """The files of a folder and their manifest."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder, self._file = folder, folder / MANIFEST
        self.kept: dict[str, dict[str, Any]] = {}
        if self._file.is_file():
            try:
                self.kept = json.loads(self._file.read_text("utf-8"))["symbols"]
            except (ValueError, KeyError, TypeError):
                raise bot.BotError(
                    bot.Both(
                        f"{self._file} cannot be read: move it away to begin anew",
                        f"{self._file}: 읽을 수 없습니다. 옮겨 두고 다시 받으십시오",
                    )
                ) from None

    def of(self, symbol: str) -> dict[str, Any]:
        """Return what is kept of a stock."""
        return self.kept.setdefault(symbol, {"days": {}, "empty": [], "factors": {}})

    def repair(self, symbol: str) -> None:
        """Cut off rows of a day that was being written when a program died."""
        file, known = self.folder / f"{symbol}.csv", self.of(symbol)
        size = known.get("bytes", 0)
        if not file.is_file():
            if size:
                raise bot.BotError(
                    bot.Both(
                        f"{file} is gone, but the manifest knows its days",
                        f"{file}: 없어졌는데 manifest.json에는 그 날들이 적혀 있습니다",
                    )
                )
            bot.write_private(file, ",".join(COLUMNS) + "\n")
        elif file.stat().st_size < size:
            raise bot.BotError(
                bot.Both(
                    f"{file} is shorter than the manifest says: move both away",
                    f"{file}: manifest.json에 적힌 것보다 짧습니다. 둘 다 옮겨 두고 다시 받으십시오",
                )
            )
        elif size:
            os.truncate(file, size)
        else:
            raise bot.BotError(
                bot.Both(
                    f"{file} is not of this program: choose another folder",
                    f"{file}: 이 프로그램이 만든 것이 아닙니다. 다른 폴더를 쓰십시오",
                )
            )
        known["bytes"] = file.stat().st_size

    def add(self, symbol: str, day: date, bars: Sequence[bot.Bar]) -> None:
        """Append a day, then note it: in this order it can be repeated."""
        known, file = self.of(symbol), self.folder / f"{symbol}.csv"
        text = "".join(
            f"{b.start:%Y-%m-%d %H:%M},{b.open},{b.high},{b.low},{b.close},{b.volume}\n"
            for b in bars
        )
        with file.open("a", encoding="utf-8", newline="") as rows:
            rows.write(text)
            rows.flush()
            os.fsync(rows.fileno())
        known["bytes"] = file.stat().st_size
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        known["days"][day.isoformat()] = {"rows": len(bars), "sha256": digest}
        self.save()

    def save(self) -> None:
        """Write the manifest anew, whole or not at all."""
        kept = {"source": "KIS, market J (KRX), raw prices", "symbols": self.kept}
        bot.write_private(
            self._file, json.dumps(kept, ensure_ascii=False, indent=1, sort_keys=True)
        )

    def write_stocks(self) -> None:
        """Write market and kind of all stocks that are kept."""
        rows = [
            f"{symbol},{known['market']},{int(known['fund'])}\n"
            for symbol, known in sorted(self.kept.items())
            if "market" in known
        ]
        bot.write_private(self.folder / STOCKS, "code,market,fund\n" + "".join(rows))


def factors_of(raw: Sequence[bot.DailyBar], adjusted: Sequence[bot.DailyBar]) -> dict[str, float]:
    """Return the days on which prices change their scale: new price over old.

    Adjusted closes are in today's scale, so the ratio adjusted / raw jumps on an ex-day. A change of
    less than half a per cent is the rounding of small prices.
    """
    ratio = {day.day: float(day.close) for day in adjusted}
    found, before = {}, 0.0
    for day in raw:
        if day.day not in ratio or not day.close:
            continue
        now = ratio[day.day] / float(day.close)
        if before and abs(before / now - 1) > 0.005:
            found[day.day.isoformat()] = round(before / now, 6)
        before = now
    return found


async def fetch(
    market: bot.KISMarketData, store: Store, symbols: Sequence[str], days: Sequence[date],
    on_day: Callable[[str, date], None] = lambda symbol, day: None,
) -> None:  # fmt: skip
    """Fetch what is not kept yet, day by day; whatever ends it, the next call goes on."""
    for symbol in symbols:
        known = store.of(symbol)
        shown = await market.price(symbol)
        known.update(market=shown.market, fund=shown.fund, name=shown.name)
        store.repair(symbol)
        last = max(known["days"], default="")
        for day in days:
            if day.isoformat() <= last or day.isoformat() in known["empty"]:
                continue  # rows stand in order of time: an older day has its own folder
            session = bot.session_of(day)
            bars = await market.minute_bars_of(symbol, day)
            kept = [
                b for b in bars if session and session.open <= b.start <= session.close and b.volume
            ]
            if kept:
                store.add(symbol, day, kept)
            else:
                known["empty"].append(day.isoformat())
            on_day(symbol, day)
        raw = await market.daily_bars(symbol, days[0], days[-1], adjusted=False)
        adjusted = await market.daily_bars(symbol, days[0], days[-1])
        known["factors"] = factors_of(raw, adjusted)
        bot.write_private(store.folder / f"{symbol}.days.csv", days_text(raw, adjusted))
        store.save()
    store.write_stocks()


def days_text(raw: Sequence[bot.DailyBar], adjusted: Sequence[bot.DailyBar]) -> str:
    """Return raw days beside the adjusted closes, as CSV."""
    closes = {day.day: day.close for day in adjusted}
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(DAY_COLUMNS)
    for each in raw:
        prices = (each.open, each.high, each.low, each.close)
        rows.writerow((each.day, *prices, each.volume, closes.get(each.day, "")))
    return text.getvalue()


def span_of(options: argparse.Namespace, today: date) -> list[date]:
    """Return the trading days to fetch, never today: its last minute is not over."""
    last = min(day_of(options.last, "--to") or today, today - timedelta(days=1))
    first = day_of(options.first, "--from")
    if first is None:
        first = last + timedelta(days=1)
        for _ in range(USUAL_DAYS):
            first = bot.previous_trading_day(first)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    found = [day for day in days if bot.is_trading_day(day)]
    if not found:
        raise bot.BotError(
            bot.Both(
                f"no trading day from {first} to {last}",
                f"{first}부터 {last}까지 거래일이 없습니다",
            )
        )
    return found


def show_fetch(options: argparse.Namespace) -> int:
    """Fetch for a person; 1 when the broker refused or had nothing. Raises AlreadyRunning while a bot trades."""
    if options.credentials:
        settings = bot.load_live_settings(options)
    else:
        settings, _ = bot.load_settings(options, "paper")
    words, console, folder = WORDS[settings.bot.language], Console(), options.fetch_history
    state, clock = (
        bot.state_folder(options, settings.bot),
        bot.MarketClock(settings.bot.market_clock),
    )
    only = known_code(options.symbol or "", state)
    symbols = [only] if only else list(settings.bot.symbols)
    lock = bot.AccountLock(bot.lock_of(settings.profile), state)
    store, days = Store(folder), span_of(options, clock.now().date())

    async def work(bar: Progress) -> None:
        transport = bot.AiohttpTransport()
        profile, section = settings.profile, settings.bot
        pace = section.rest_calls_per_second or bot.REST_CALLS_PER_SECOND[profile.environment]
        rest = bot.Rest(profile, transport, pace)
        auth = bot.KISAuth(profile, rest.call, state, clock)
        market = bot.KISMarketData(bot.KISClient(profile, rest, auth, clock), section.funds)
        task = bar.add_task("", total=len(symbols) * len(days))

        def on_day(symbol: str, day: date) -> None:
            bar.update(task, advance=1, description=words["what"].format(symbol=symbol, day=day))

        try:
            await fetch(market, store, symbols, days, on_day)
        finally:
            await transport.close()

    try:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            asyncio.run(work(bar))
    except (bot.RequestRefused, bot.NoAnswer, bot.NotSent, bot.BadData) as error:
        console.print(f"⛔ {error}", style="bold red")
        return bot.EXIT_FAILED
    finally:
        store.save()
        lock.release()
    tell(console, words, store, symbols)
    if not any(store.of(symbol)["days"] for symbol in symbols):
        console.print(words["nothing"], style="bold red")
        return bot.EXIT_FAILED
    print(words["next"].format(folder=folder, program=start_of_command()))
    return 0


def tell(console: Console, words: dict[str, str], store: Store, symbols: Sequence[str]) -> None:
    """Print what is kept of each stock, what is missing, and where its scale changes."""
    for symbol in symbols:
        known = store.of(symbol)
        days = sorted(known["days"])
        if days:
            rows = sum(day["rows"] for day in known["days"].values())
            said = {
                "symbol": symbol,
                "days": len(days),
                "rows": rows,
                "first": days[0],
                "last": days[-1],
            }
            console.print(words["done"].format(**said))
        if empty := sorted(known["empty"]):
            said = {"symbol": symbol, "days": len(empty), "first": empty[0], "last": empty[-1]}
            console.print(words["empty"].format(**said), style="yellow")
        for day, factor in known["factors"].items():
            console.print(
                words["split"].format(symbol=symbol, day=day, factor=factor), style="yellow"
            )
