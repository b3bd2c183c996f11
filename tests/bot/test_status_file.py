"""status.json: what a reader outside the process is told, and that nobody waits for it."""

import asyncio
import json
import stat
import threading
from pathlib import Path

import pytest
from harness import Scripted, Wish, World, run_virtual

import kis_realtime_trading as bot
from companions import simulator


@pytest.fixture(scope="module")
def noon() -> tuple[dict, World]:
    """Return the status at 09:40 of a day with one position, and its world."""
    world = World(simulator.SimulatorConfig(symbols=("005930",), density=20.0), "09:28:00")
    first = world.config.symbols[0]
    strategy = Scripted([Wish("09:30:00", first, 10, plan=(0.8, 1.2))])

    async def until_twenty_to_ten() -> dict:
        driver = asyncio.create_task(world.network.drive())
        trader = world.make_trader(strategy)
        trader.bridge.names = {first: "삼성전자"}  # as the list of the stocks tells it at a start
        run = asyncio.create_task(trader.run(one_day=True))
        await world.until("09:40:00")
        status = bot.status_of(trader)
        trader.stop("enough")
        await run
        driver.cancel()
        trader.journal.close()
        return status

    try:
        return run_virtual(until_twenty_to_ten()), world
    finally:
        world.close()


def test_the_status_is_plain_json_with_the_position_and_its_levels(noon):
    """A stock held shows shares, average, stop, target and a gain that follows from them."""
    status, world = noon
    told = json.loads(json.dumps(status, ensure_ascii=False))
    held = {each["symbol"]: each for each in told["symbols"]}[world.config.symbols[0]]
    assert held["position"] == 10
    assert held["stop"] < held["average"] < held["target"]
    assert held["gain_krw"] == round(10 * held["price"] - 10 * held["average"])
    assert held["age_s"] < 60 and held["name"]


def test_equity_and_result_follow_from_cash_and_shares(noon):
    """Equity is cash plus shares at the last price; the result is realised plus open."""
    status, _ = noon
    worth = sum(each["price"] * each["position"] for each in status["symbols"])
    assert status["equity_krw"] == status["cash_krw"] + worth
    day = status["day"]
    assert day["result_krw"] == day["realised_krw"] + day["open_krw"]
    assert (day["entries"], day["exits"]) == (1, 0)


def test_calls_are_counted_by_service_and_no_secret_is_told(noon):
    """Every service that was asked has a count and times; neither keys nor account appear."""
    status, world = noon
    assert status["calls"]["order-cash"]["count"] == 1
    assert status["calls"]["inquire-price"]["ms_median"] > 0
    text, who = json.dumps(status), world.sim.credentials
    assert not [
        each for each in (who.paper_key, who.paper_secret, who.paper_account) if each in text
    ]


def test_the_phase_and_the_feed_are_told(noon):
    """In the middle of the session the phase is trading and the feed is up."""
    status, _ = noon
    assert (status["phase"], status["level"], status["feed"]["connected"]) == (
        "trading", "ACTIVE", True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (bot.HttpReply(200, '{"output":{}, "rt_cd":"0","msg_cd":"MCA00000"}', {}), ""),
        (bot.HttpReply(200, '{"rt_cd":"1","msg_cd":"APBK0918","msg1":"no"}', {}), "APBK0918"),
        (bot.HttpReply(500, '{"rt_cd":"1","msg_cd":"EGW00201"}', {}), "EGW00201"),
        (bot.HttpReply(403, '{"error_code":"EGW00133"}', {}), "EGW00133"),
        (bot.HttpReply(502, "<html>", {}), "HTTP 502"),
        (bot.HttpReply(200, '{"access_token":"invented"}', {}), ""),
    ],
)
def test_a_refusal_is_counted_under_its_code(reply, code):
    """A yes has no code; a refusal has the broker's, a page without JSON that of HTTP."""
    assert bot.refusal_in(reply) == code


def test_times_of_a_service_are_median_and_worst():
    """The figures of a service come from its last response times, in milliseconds."""
    figures = bot.CallFigures()
    for ms in range(1, 101):
        figures.note(ms / 1000, "EGW00201" if ms == 100 else "")
    assert figures.figures() == {
        "count": 100, "errors": {"EGW00201": 1}, "ms_median": 50.5, "ms_p99": 100.0,
    }  # fmt: skip


def test_a_status_is_written_whole_for_the_owner_only(noon, tmp_path: Path, monkeypatch):
    """The file is JSON of mode 600; while a disk hangs, show() returns and drops."""
    status, _ = noon
    monkeypatch.setattr(bot, "status_of", lambda trader: json.loads(json.dumps(status)))
    written, go, began = threading.Event(), threading.Event(), threading.Event()
    real = bot.write_private

    def slow(path: Path, text: str) -> None:
        began.set()
        assert go.wait(30)
        real(path, text)
        written.set()

    monkeypatch.setattr(bot, "write_private", slow)
    file = bot.StatusFile(tmp_path)
    for _ in range(5):
        file.show(None)  # type: ignore[arg-type]  # its status is handed in above
    assert began.wait(30)
    go.set()
    assert written.wait(30)
    path = tmp_path / bot.STATUS_FILE
    assert json.loads(path.read_text())["phase"] == "trading"
    assert oct(stat.S_IMODE(path.stat().st_mode)) == "0o600"


def test_messages_name_the_stock(noon):
    """What stands on screen and page says 삼성전자 as the phone does, not 005930."""
    status, world = noon
    bought = [each for each in status["messages"] if "✔" in each]
    assert bought and all("삼성전자" in each for each in bought)
    assert not any(world.config.symbols[0] in each for each in bought)


def test_an_order_on_its_way_is_no_order_of_unknown_outcome():
    """Being sent and being cancelled are usual; no answer, quarantine and doubt of a change are not."""
    known = {
        bot.OrderStatus.SUBMITTING,
        bot.OrderStatus.CANCEL_PENDING,
        bot.OrderStatus.REPLACE_PENDING,
    }
    assert known | bot.UNKNOWN_OUTCOME == bot.UNRESOLVED
    assert not known & bot.UNKNOWN_OUTCOME


def test_the_budget_of_calls_is_told(noon):
    """Pace, what waits and what is left of a minute stand in the status."""
    status, _ = noon
    assert status["budget"].keys() == {
        "per_s",
        "per_s_now",
        "waiting",
        "left",
        "within_s",
        "too_many",
    }
    assert status["budget"]["left"] > 0


def test_the_journal_counts_with_what_is_not_yet_in_its_file(noon):
    """SQLite writes beside the file first: its size alone would say 0 MB for a day."""
    status, _ = noon
    assert 0.1 <= status["process"]["journal_mb"] < 10


def test_one_line_of_the_messages_follows_an_order(noon):
    """A screen of 24 lines has no room for an order sent beside the same order filled."""
    status, _ = noon
    [line] = [text for text in status["messages"] if "10주 매수" in text]
    assert "✔" in line
