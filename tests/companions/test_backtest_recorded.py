"""A recording as history: its trades with fills, equal decisions to the live run of that day."""

import argparse
import asyncio
from pathlib import Path

import harness
import pytest

import kis_realtime_trading as bot
from companions import command_line, replay, simulator
from companions.backtest import recorded
from companions.backtest.run import Options
from companions.options import build_parser

SYMBOLS = ("005930", "000660")
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def world():
    """Yield a recorded simulated day of the built-in strategy."""
    config = simulator.SimulatorConfig(symbols=SYMBOLS, density=8.0)
    made = harness.World(config, start="08:58:00", record=True)
    strategy = bot.load_strategy(
        "breakout", {"lookback_bars": 4, "volume_ratio": 0.5, "target_pct": 1.0}
    )

    async def main():
        made.network.advance()
        driver = asyncio.create_task(made.network.drive())
        trader = made.make_trader(strategy)
        run = asyncio.create_task(trader.run(one_day=True))
        await made.until("11:00:00")
        trader.stop("enough")
        await run
        trader.journal.close()
        driver.cancel()

    harness.run_virtual(main())
    yield made
    made.close()


def again(world, folder: Path, **parameters):
    """Run the recording through the backtest."""
    found = recorded.read(next((world.folder / "records").glob("*-0000.gz")))
    given = {"lookback_bars": 4, "volume_ratio": 0.5, "target_pct": 1.0, **parameters}
    strategy = bot.load_strategy("breakout", given)
    return found, *recorded.run_recorded(found, strategy, Options(10_000_000), folder)


def test_the_same_day_decides_the_same_entries_live_and_in_the_backtest(world, tmp_path):
    """Same trades, same strategy: the first entry of each stock is the same intent, price and size."""
    found, result, _ = again(world, tmp_path / "a")
    assert result.differences == ()
    compared = recorded.compare(
        world.folder / "journal.sqlite3", result.journal, sorted(found.trades)
    )
    assert compared.both >= 2
    assert compared.both > compared.only_live + compared.only_again
    firsts = {}
    for pair in compared.pairs:
        firsts.setdefault(pair.symbol, pair)
    for pair in firsts.values():
        assert pair.live and pair.again
        assert (pair.live.quantity, pair.live.price) == (pair.again.quantity, pair.again.price)
    assert compared.slippage is not None and abs(compared.slippage) < 20
    text = "\n".join(recorded.said(compared, "en"))
    assert f"both {compared.both}" in text and "ticks" in text


def test_the_same_recording_gives_the_same_digest(world, tmp_path):
    """Twice the same; another parameter, other rows."""
    digests = [again(world, tmp_path / name)[1].digest for name in ("a", "b")]
    other = again(world, tmp_path / "c", lookback_bars=9)[1].digest
    assert digests[0] == digests[1] != other


class Taped(recorded.TradeStage):
    """A stage that keeps every event it feeds, as a recording would."""

    tape: list[bot.Event]

    def feed(self, event: bot.Event) -> None:
        """Keep it first."""
        self.__dict__.setdefault("tape", []).append(event)
        super().feed(event)


def test_a_replay_of_the_backtests_events_has_its_digest(world, tmp_path):
    """A simulated day recorded: the backtest of its trades, told again event by event, is the same.

    Trades are those of the recording; everything else goes through the text of a recording and
    back. So nothing but events reaches the engine of a backtest, and a replay says what it said.
    """
    found = recorded.read(next((world.folder / "records").glob("*-0000.gz")))
    parameters = {"lookback_bars": 4, "volume_ratio": 0.5, "target_pct": 1.0}
    history = recorded.history_of(found)
    strategy = bot.load_strategy("breakout", parameters)
    stage = Taped(found, history, strategy, Options(10_000_000, bars=True), tmp_path / "journal-a.sqlite3")  # fmt: skip
    [day] = found.trades
    stage.trade_day(day, history.minutes)
    settings, ledger = stage.settings, bot.Ledger()
    again = bot.Engine(settings, bot.load_strategy("breakout", parameters), ledger, False)
    shown = []
    for event in stage.tape:
        told = event
        if isinstance(event, bot.Trade):
            shown.append((event.symbol, event.price, event.volume, event.cum_volume))
        elif not isinstance(event, bot.TimeEvent):
            told = replay.event_from_json(bot.canonical_json(event))
        again.handle(told)
    assert again.digest.hexdigest() == stage.engine.digest.hexdigest()
    assert again.core.ledger.cash_krw == stage.broker.cash
    assert any(order.filled_quantity for order in again.core.ledger.orders.values())
    of_day = {(t.symbol, t.price, t.volume, t.cum_volume) for t in found.trades[day]}
    assert len(shown) > 1_000 and set(shown) <= of_day
    assert stage.result(0, 0.0).differences == ()


def test_the_bars_of_the_backtest_are_the_bars_of_the_live_run(world, tmp_path):
    """Every minute of the recording's trades, and the limits that the broker told."""
    found, _, past = again(world, tmp_path / "a")
    assert set(past.minutes) == set(SYMBOLS)
    [day] = found.trades
    volume = sum(trade.volume for trade in found.trades[day] if trade.symbol == "005930")
    assert 0.98 < sum(bar.volume for bar in past.minutes["005930"]) / volume <= 1
    assert past.bases["005930"] == found.instruments[day, "005930"].base_price


def test_the_command_takes_a_recording_as_data_and_another_strategy_gets_fills(
    world, tmp_path, capsys
):
    """`--data FILE` and `--replay FILE --strategy` end in a report with fills and a comparison."""
    file = next((world.folder / "records").glob("*-0000.gz"))
    root = Path(bot.__file__).parent

    def run(*words: str) -> tuple[int, str]:
        more = ["--state", str(tmp_path), "--language", "en"]
        options: argparse.Namespace = build_parser("en").parse_args([*words, *more])
        return command_line.run_command(options), capsys.readouterr().out

    code, said = run("--backtest", "--data", str(file), "--strategy", "breakout")
    assert code == 0 and "entries of the live run and of the backtest" in said
    other = f"{root / 'strategies' / 'opening_range.py'}:OpeningRange"
    code, said = run("--replay", str(file), "--strategy", other)
    assert code == 0 and "report.html" in said and "equal to the won" in said


@pytest.mark.parametrize("content", [b"", b"x", b"\x1f\x8b"])
def test_a_file_that_is_no_recording_is_refused(content, tmp_path):
    """By a sentence, never a traceback."""
    file = tmp_path / "20261120-090000-0000.gz"
    file.write_bytes(content)
    with pytest.raises(bot.BotError):
        recorded.read(file)
    with pytest.raises(bot.BotError, match="no recording"):
        recorded.read(tmp_path / "none.gz")
