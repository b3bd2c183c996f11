"""The page: who gets in, what it shows, what its buttons may do."""

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import aiohttp
import pytest
from journals import make_journal

import kis_realtime_trading as bot
from companions import reports, row_words
from companions.journal_reader import JournalReader
from companions.names import names_of
from companions.page import data, server
from venues.store import PremiumStore

STATUS = {
    "version": 1, "at": "2026-11-20T10:30:00+09:00", "mode": "paper", "account_tail": "******66",
    "language": "ko", "phase": "trading", "level": "ACTIVE", "holds": [], "orders": [],
    "symbols": [], "cash_krw": 1, "equity_krw": 1, "messages": ["10:00:00 <b>굵게</b>"],
    "day": {
        "realised_krw": 0, "open_krw": 0, "result_krw": 0, "result_pct": 0.0, "fees_krw": 0,
        "taxes_krw": 0, "entries": 0, "exits": 0, "limit_krw": 1,
    },
    "feed": {"connected": True, "trades": 0, "lost": 0, "age_s": 0.4}, "calls": {},
    "queues": {"calls": 0, "telegram": 0, "log": 0, "log_dropped": 0}, "token": {"left_s": 3600},
    "process": {"memory_mb": 1.0, "journal_mb": 1.0, "uptime_s": 1},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a state folder with five days of journal and a status."""
    make_journal(tmp_path / "journal-paper-000000000000.sqlite3", 5, 60)
    bot.write_private(tmp_path / bot.STATUS_FILE, json.dumps(STATUS, ensure_ascii=False))
    return tmp_path


def browser() -> aiohttp.ClientSession:
    """Return a client that keeps the cookies of an address of numbers too, as browsers do."""
    jar = aiohttp.CookieJar(unsafe=True)
    return aiohttp.ClientSession(cookie_jar=jar, connector=aiohttp.TCPConnector(limit=0))


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """Show a page; yield its address without and with the key."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(server.serve(folder, port, told.set_result))
    try:
        url = await asyncio.wait_for(told, 60)
        yield url.partition("/?")[0], url
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


PATHS = [
    "/",
    "/page.js",
    "/events",
    "/api/results",
    "/api/candles?symbol=005930",
    "/api/journal",
    "/api/why",
]


@pytest.mark.parametrize("path", PATHS)
async def test_without_the_key_nothing_is_shown(folder: Path, path: str):
    """No cookie, a wrong key, a wrong cookie: 403, and nothing of the account."""
    async with opened(folder) as (base, _), browser() as session:
        for extra in ({}, {"cookies": {server.COOKIE: "wrong"}}):
            async with session.get(base + path, **extra) as reply:
                assert reply.status == 403
                assert "66" not in await reply.text()
        async with session.get(f"{base}/?key=wrong") as reply:
            assert reply.status == 403


async def test_the_key_becomes_a_cookie_that_other_sites_cannot_use(folder: Path):
    """The first visit gets an HttpOnly, same-site cookie and an address without the key."""
    async with opened(folder) as (_, url), browser() as session:
        async with session.get(url, allow_redirects=False) as reply:
            cookie = reply.headers["Set-Cookie"]
            assert (reply.status, reply.headers["Location"]) == (302, "/")
            assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        async with session.get(url) as reply:
            policy = reply.headers["Content-Security-Policy"]
            assert reply.status == 200 and "default-src 'none'" in policy
            assert "Access-Control-Allow-Origin" not in reply.headers


async def test_a_foreign_host_header_gets_nothing(folder: Path):
    """A name that another site points at 127.0.0.1 is refused, key or not."""
    foreign = {"Host": "evil.example"}
    async with opened(folder) as (_, url), browser() as session:
        reply = await session.get(url, headers=foreign)
        assert (reply.status, await reply.text()) == (403, "unknown host")


async def test_figures_candles_and_rows_are_those_of_the_journal(folder: Path):
    """Days, net results, bars and rows come from the journal."""
    report = reports.read_folder(folder)[0]
    async with opened(folder) as (base, url), browser() as session:
        await (await session.get(url)).read()
        async with session.get(f"{base}/api/results") as reply:
            shown = await reply.json()
        assert [day["net_krw"] for day in shown["days"]] == [day.net_krw for day in report.days]
        by_symbol = reports.group(report.trips, "symbol")
        assert [(g["key"], g["gain_krw"]) for g in shown["by_symbol"]] == [
            (g.key, g.gain_krw) for g in by_symbol
        ]
        assert all(group["name"] for group in shown["by_symbol"])
        async with session.get(f"{base}/api/candles?symbol=005930") as reply:
            chart = await reply.json()
        times = [bar["time"] for bar in chart["bars"]]
        assert times and times == sorted(set(times))
        assert all(bar["low"] <= bar["close"] <= bar["high"] for bar in chart["bars"])
        async with session.get(f"{base}/api/journal?kind=intent&language=en") as reply:
            rows = await reply.json()
        assert rows and {row["kind"] for row in rows} == {"intent"}
        async with session.get(f"{base}/api/candles?symbol=../x") as reply:
            assert reply.status == 400


async def test_a_new_status_reaches_the_browser_within_two_seconds(folder: Path):
    """The stream sends the status at once and again when the file changes."""
    async with opened(folder) as (base, url), browser() as session:
        await (await session.get(url)).read()
        async with session.get(f"{base}/events") as stream, asyncio.timeout(60):
            first = await stream.content.readuntil(b"\n\n")
            bot.write_private(
                folder / bot.STATUS_FILE, json.dumps({**STATUS, "level": "REDUCE_ONLY"})
            )
            began = asyncio.get_running_loop().time()
            second = await stream.content.readuntil(b"\n\n")
            took = asyncio.get_running_loop().time() - began
        assert b'"level": "ACTIVE"' in first and b'"level": "REDUCE_ONLY"' in second
        assert took < 2.0 + 8.0  # two seconds, and patience for a busy machine


BAD_COMMANDS = [
    ({"level": "ACTIVE", "typed": "ACTIVE"}, 403, "nothing upward from here"),
    ({"level": "FLATTEN_AND_HALT", "typed": "전량"}, 409, "the whole word"),
    ({"level": "FLATTEN_AND_HALT"}, 400, "no word"),
    ([], 400, "no object"),
]


@pytest.mark.parametrize(
    ("body", "status", "why"), BAD_COMMANDS, ids=[w for _, _, w in BAD_COMMANDS]
)
async def test_what_is_no_confirmed_downward_command_does_nothing(
    folder: Path, body: object, status: int, why: str
):
    """Without the typed word, or upward, nothing is left for the bot."""
    async with opened(folder) as (base, url), browser() as session:
        await (await session.get(url)).read()
        send = session.post(f"{base}/api/command", json=body, headers={"Origin": base})
        async with send as reply:
            assert reply.status == status, why
        assert not (folder / bot.CONTROL_FILE).exists()


async def test_another_sites_request_commands_nothing(folder: Path):
    """A request without our own origin is refused although it brings the cookie."""
    body = {"level": "ENTRIES_OFF", "typed": "신규중지"}
    async with opened(folder) as (base, url), browser() as session:
        await (await session.get(url)).read()
        for headers in ({}, {"Origin": "http://evil.example"}):
            async with session.post(f"{base}/api/command", json=body, headers=headers) as reply:
                assert reply.status == 403
        assert not (folder / bot.CONTROL_FILE).exists()


async def test_streams_are_bounded_and_a_browser_that_goes_gives_its_place_back(folder: Path):
    """More open pages than MOST_STREAMS are turned away; the others go on."""
    async with opened(folder) as (base, url), browser() as session:
        await (await session.get(url)).read()
        streams = [await session.get(f"{base}/events") for _ in range(server.MOST_STREAMS)]
        async with session.get(f"{base}/events") as reply:
            assert reply.status == 503
        for stream in streams:
            stream.close()
        async with asyncio.timeout(30):
            while (reply := await session.get(f"{base}/events")).status == 503:
                reply.close()
        assert reply.status == 200
        reply.close()


def test_a_status_that_is_old_or_missing_is_called_stale(tmp_path: Path):
    """A page must not show a dead bot as a living one."""
    assert data.read_status(tmp_path)["stale"] is True
    path = tmp_path / bot.STATUS_FILE
    bot.write_private(path, json.dumps(STATUS))
    assert data.read_status(tmp_path)["stale"] is False
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert data.read_status(tmp_path)["stale"] is True


def test_the_command_line_starts_the_page_and_says_where(folder: Path):
    """`--page --state DIR` prints the address with its key and ends with Ctrl-C as code 0."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, bot.__file__, "--page", "--state", str(folder), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(2)]
        assert f"http://127.0.0.1:{port}/?key=" in lines[1]
        process.send_signal(2)
        assert process.wait(30) == 0


async def test_an_order_is_explained_in_sentences_of_the_asked_language(folder: Path):
    """The same words as `--why`; an order that the journal lacks is told, not shown as empty."""
    async with opened(folder) as (base, url), browser() as session:
        await (await session.get(url)).read()
        for language, word in (("ko", "주문은 나가지 않았습니다"), ("en", "No order left")):
            async with session.get(f"{base}/api/why?ref=last&language={language}") as reply:
                said = (await reply.json())["sentences"]
            assert said and any(word in text for text in said)
        async with session.get(f"{base}/api/why?ref=nosuchorder") as reply:
            assert reply.status == 404 and "nosuchorder" in (await reply.json())["error"]


async def test_two_hundred_visitors_at_once_leave_the_page_alive(folder: Path):
    """Streams beyond the limit are turned away with 503; the next question is still answered."""
    async with opened(folder) as (base, url), browser() as session:
        await (await session.get(url)).read()
        replies = await asyncio.gather(*(session.get(base + "/events") for _ in range(200)))
        statuses = [reply.status for reply in replies]
        assert statuses.count(200) == server.MOST_STREAMS
        assert statuses.count(503) == 200 - server.MOST_STREAMS
        for reply in replies:
            reply.close()
        async with session.get(base + "/api/results") as reply:
            assert reply.status == 200


async def test_the_premium_shows_when_its_monitor_wrote_some(folder: Path):
    """Percent by the minute from the store beside the state folder; no coins without one."""
    state = folder / "kis_state"
    state.mkdir()
    assert data.premium(state) == {}
    now = int(time.time() * 1000)
    store = PremiumStore(folder / "venue_state" / "premium.sqlite3")
    for minutes, value in ((26 * 60, "0.09"), (5, "0.0312"), (1, "-0.002")):
        store.put(now - minutes * 60_000, "BTC", Fraction(value))
    store.close()
    found = data.premium(state)
    assert [point["value"] for point in found["BTC"]] == [3.12, -0.2]
    assert found["BTC"][1]["time"] - found["BTC"][0]["time"] == 240


@pytest.mark.parametrize(
    ("language", "words"),
    [("ko", "삼성전자 3주 매수 · 사유 돌파 · 손절 69,000 · 추적 1.2%"),
     ("en", "삼성전자 buy 3 · reason breakout · stop 69,000 · trail 1.2%")],
)  # fmt: skip
def test_a_row_of_the_journal_is_shown_in_words(language: str, words: str):
    """A stock by its name, sides and reasons worded, nested values too; no type names, no empty values."""
    row = {"type": "OrderIntent", "symbol": "005930", "side": "BUY", "quantity": 3, "note": None,
           "cash_before_krw": -1, "intent_id": "ab", "reason": "breakout",
           "plan": {"type": "ExitPlan", "stop_price": 69_000, "trail_ratio": 0.012}}  # fmt: skip
    assert row_words.in_words("intent", "ab", row, language, {"005930": "삼성전자"}) == words


@pytest.mark.parametrize(
    ("kind", "ref", "body", "korean"),
    [
        ("hold", "feed", {"on": False}, "실시간 시세 끊김 · 걸림 아니요"),
        ("bar", "005930", {"open": 1000, "vwap": 1000.126}, "삼성전자 · 시가 1,000 · VWAP 1,000.13"),
        ("refusal", "x", {"symbol": "005930", "code": "STALE"}, "종목 삼성전자 · 코드 시세가 오래됨(STALE)"),
        ("alert", "no such alert", {"odd": ["x"]}, "odd ['x']"),
        ("alert", "filled", {"symbol": "005930", "side": "SELL", "total": 3, "average": 70_000, "reason": "stop"},
         "✔ 삼성전자 3주 매도 체결 70,000 (손절)"),
        ("request", "x", {"action": "change", "kind": "03"}, "요청 정정 · 종류 최유리지정가"),
        ("notice", "x", {"notice": {"kind": "confirmed", "action": "1", "order_no": "7"}},
         "주문번호 7 · 요청 정정 · 종류 확인"),
        ("ledger", "x", {"event": "fill", "quantity": 3, "amount_krw": 210_000},
         "체결 · 수량 3 · 금액 210,000"),
    ],
)  # fmt: skip
def test_rows_of_other_kinds_are_worded_too(kind: str, ref: str, body: dict, korean: str):
    """Holds by their text, bars by their stock, rules with their meaning; a foreign row as it is."""
    assert row_words.in_words(kind, ref, body, "ko", {"005930": "삼성전자"}) == korean


@pytest.mark.parametrize(("kind", "count"), [("", 5), ("ledger", 2)])
def test_rows_of_an_order_name_its_stock_and_are_found_by_it(folder: Path, kind: str, count: int):
    """An answer and a fill name no stock: the order's own row does, also where it is not shown."""
    journal = data.newest_journal(folder)
    with JournalReader(journal) as reader:
        first = next(reader.rows(("intent",)))
        symbol, of_it = first.data()["symbol"], [r for r in reader.rows() if r.ref == first.ref]
    name = names_of(folder)[symbol]
    found = [row for row in data.journal_rows(folder, kind, name, "ko") if name in row["text"]]
    assert {row.seq for row in of_it if kind in ("", row.kind)} <= {row["seq"] for row in found}
    assert len(found) >= count and "SELL" not in str(found)


def test_a_rule_that_refused_is_worded_for_an_english_reader_too():
    """Beside its code."""
    said = row_words.in_words("refusal", "x", {"code": "STALE"}, "en", {})
    assert said == "code old prices (STALE)"


def test_the_page_has_a_word_for_each_phase_level_and_kind():
    """The words of the page are those of the bot: one name for one thing on screen, page and phone."""
    script = (server.STATIC / "page.js").read_text("utf-8")
    for key, word in {**bot.PHASE_WORDS, **bot.LEVEL_WORDS}.items():
        assert f'{key}: "{word}"' in script, key
    shown = set(re.findall(r"(\w+): ", re.search(r"kinds: {([^}]+)}", script)[1]))
    assert shown <= set(row_words.KINDS)
    for kind in shown:
        assert f'{kind}: "{row_words.KINDS[kind][0]}"' in script, kind


def test_a_hold_that_only_says_that_the_day_ended_is_not_shown(folder: Path):
    """After the close the phase says so; in a session the same hold is told."""
    hold = {"reason": "stopping", "scope": "all", "text": "매매 종료"}
    for phase, shown in (("after", []), ("trading", [hold])):
        text = json.dumps({**STATUS, "phase": phase, "holds": [hold]})
        bot.write_private(folder / bot.STATUS_FILE, text)
        assert data.read_status(folder)["holds"] == shown
