"""History from the broker: complete, resumable, never beside a trading bot, read by the backtest."""

import argparse
import csv
import json
from datetime import date
from pathlib import Path

import edge
import pytest

import kis_realtime_trading as bot
from companions.backtest import fetch, history
from companions.options import build_parser

DAYS = [date(2026, 11, 17), date(2026, 11, 18), date(2026, 11, 19)]  # the 19th is the exam day
SYMBOL = "005930"


def rows_of(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with file.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


async def fetched(tmp_path: Path, days: list[date], stop_after: int = 0, symbols=(SYMBOL,)):
    """Fetch days from a simulator; `stop_after` ends it after so many days, as a kill would."""
    store, seen = fetch.Store(tmp_path / "h"), []

    def on_day(symbol: str, day: date) -> None:
        seen.append((symbol, day))
        if len(seen) == stop_after:
            raise KeyboardInterrupt

    async with edge.served(tmp_path, symbols=("005930", "247540", "069500")) as (desk, _):
        if stop_after:
            with pytest.raises(KeyboardInterrupt):
                await fetch.fetch(desk.market, store, symbols, days, on_day)
        else:
            await fetch.fetch(desk.market, store, symbols, days, on_day)
        asked = desk.requests("inquire-time-dailychartprice")
    return store, seen, asked


async def test_minutes_days_and_kinds_are_fetched_and_read_by_the_backtest(tmp_path):
    """All minutes of the sessions, the exam day an hour later, market and fund beside them."""
    store, _, _ = await fetched(tmp_path, DAYS, symbols=(SYMBOL, "247540", "069500"))
    past = history.read_folder(store.folder, None, None)
    assert set(past.minutes) == {SYMBOL, "247540", "069500"}
    assert (past.markets["247540"], past.funds) == ("KOSDAQ", {"069500"})
    assert past.days() == DAYS
    for day in DAYS:
        session = bot.session_of(day)
        starts = [b.start for b in past.minutes[SYMBOL] if b.start.date() == day]
        assert session.open <= starts[0] and starts[-1] <= session.close
        assert len(starts) > 300
    daily = rows_of(store.folder / f"{SYMBOL}.days.csv")
    assert [row["date"] for row in daily] == [str(day) for day in DAYS]
    for row in daily:
        bars = [b for b in past.minutes[SYMBOL] if str(b.start.date()) == row["date"]]
        assert max(b.high for b in bars) <= int(row["high"])
        assert min(b.low for b in bars) >= int(row["low"])


async def test_it_goes_on_where_it_was_killed_and_asks_nothing_twice(tmp_path):
    """Cut after a day, even in the middle of its rows: the end is what one run would have given."""
    store, _, _ = await fetched(tmp_path, DAYS, stop_after=1)
    file = store.folder / f"{SYMBOL}.csv"
    with file.open("a") as rows:
        rows.write("2026-11-18 09:00,70000,70")  # the next day was being written
    again, seen, asked = await fetched(tmp_path, DAYS)
    assert [day for _, day in seen] == DAYS[1:]
    whole, _, all_asked = await fetched(tmp_path / "other", DAYS)
    assert file.read_bytes() == (whole.folder / f"{SYMBOL}.csv").read_bytes()
    assert again.kept == whole.kept
    assert 0 < asked < all_asked
    _, seen, asked = await fetched(tmp_path, DAYS)
    assert (seen, asked) == ([], 0)


async def test_the_manifest_names_rows_and_hash_of_each_day(tmp_path):
    """What was fetched can be checked years later."""
    store, _, _ = await fetched(tmp_path, DAYS[:1])
    kept = json.loads((store.folder / history.MANIFEST).read_text())["symbols"][SYMBOL]
    [(day, said)] = kept["days"].items()
    assert day == str(DAYS[0]) and said["rows"] == len(rows_of(store.folder / f"{SYMBOL}.csv"))
    assert len(said["sha256"]) == 16


def test_a_strange_file_or_a_torn_manifest_is_refused(tmp_path):
    """Nothing of the user's is cut or overwritten."""
    own = tmp_path / f"{SYMBOL}.csv"
    own.write_text("time,open\n")
    with pytest.raises(bot.BotError, match="not of this program"):
        fetch.Store(tmp_path).repair(SYMBOL)
    assert own.read_text() == "time,open\n"
    (tmp_path / history.MANIFEST).write_text("{")
    with pytest.raises(bot.BotError, match="cannot be read"):
        fetch.Store(tmp_path)


def daily(day: int, close: int) -> bot.DailyBar:
    """Return a daily bar of March 2026."""
    return bot.DailyBar(date(2026, 3, day), close, close, close, close, 1, close)


def test_factors_are_the_days_on_which_the_scale_changes():
    """A split of one into five between the 3rd and the 4th: new price over old is 0.2."""
    raw = [daily(3, 500_000), daily(4, 100_000), daily(5, 101_000)]
    adjusted = [daily(3, 100_000), daily(4, 100_000), daily(5, 101_000)]
    assert fetch.factors_of(raw, adjusted) == {"2026-03-04": 0.2}
    assert fetch.factors_of(raw[1:], adjusted[1:]) == {}


def test_today_is_not_fetched_and_the_usual_span_is_twenty_days():
    """Its last minutes are not over."""
    today = date(2026, 11, 20)
    options = argparse.Namespace(first=None, last=None)
    found = fetch.span_of(options, today)
    assert found[-1] == date(2026, 11, 19) and len(found) == fetch.USUAL_DAYS
    options = argparse.Namespace(first="2026-11-16", last="2026-12-31")
    assert fetch.span_of(options, today) == [date(2026, 11, n) for n in (16, 17, 18, 19)]
    with pytest.raises(bot.BotError, match="no trading day"):
        fetch.span_of(argparse.Namespace(first="2026-11-20", last=None), today)


async def test_the_command_fetches_and_is_refused_beside_a_trading_bot(
    tmp_path, capsys, monkeypatch
):
    """The account's lock decides; afterwards it is free again."""
    import asyncio

    async with edge.served(tmp_path, symbols=(SYMBOL,)) as (_, there):
        config = edge.write_config(tmp_path, there, symbols=[SYMBOL], language="en")
        words = ["--fetch-history", str(tmp_path / "h"), "--config", str(config), "--state",
                 str(tmp_path), "--from", "2026-11-18", "--language", "en"]  # fmt: skip
        options = build_parser("en").parse_args(words)
        settings, _ = bot.load_settings(options, "paper")
        held = bot.AccountLock(bot.lock_of(settings.profile), tmp_path)
        with pytest.raises(bot.AlreadyRunning):
            await asyncio.to_thread(fetch.show_fetch, options)
        held.release()
        assert await asyncio.to_thread(fetch.show_fetch, options) == 0
        bot.AccountLock(bot.lock_of(settings.profile), tmp_path).release()
    said = capsys.readouterr().out
    assert f"{SYMBOL}: 2 days" in said and "--backtest --data" in said
    assert history.read_folder(tmp_path / "h", None, None).days() == DAYS[1:]


async def test_a_stock_is_fetched_by_its_name_and_nothing_is_said_to_be_nothing(tmp_path, capsys):
    """A name is looked up; days without minutes are one line; no advice to run what is not there."""
    import asyncio

    async with edge.served(tmp_path, symbols=(SYMBOL,)) as (_, there):
        config = edge.write_config(tmp_path, there, symbols=[SYMBOL], language="en")

        def show(folder: str, first: str, last: str, symbol: str) -> int:
            words = ["--fetch-history", str(tmp_path / folder), "--config", str(config), "--state", str(tmp_path),
                     "--from", first, "--to", last, "--symbol", symbol, "--language", "en"]  # fmt: skip
            return fetch.show_fetch(build_parser("en").parse_args(words))

        assert await asyncio.to_thread(show, "h", "2026-11-18", "2026-11-19", "삼성전자") == 0
        assert f"{SYMBOL}: 2 days" in capsys.readouterr().out
        with pytest.raises(bot.BotError, match="no stock is called"):
            await asyncio.to_thread(show, "h", "2026-11-18", "2026-11-19", "삼송전짜")
        code = await asyncio.to_thread(show, "g", "2024-11-18", "2024-11-20", SYMBOL)
    said = " ".join(capsys.readouterr().out.split())
    assert (
        code == bot.EXIT_FAILED
        and f"{SYMBOL}: no minutes on 3 days (2024-11-18 – 2024-11-20" in said
    )
    assert "--from and --to" in said and "--backtest" not in said
