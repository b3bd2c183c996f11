"""The making of a trader, step by step: limits, fees, lock, secrets, log, in one process."""

import contextlib
import fcntl
import os
import resource
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import edge
import harness
import pytest
from test_first_lines import options

import kis_realtime_trading as bot
from companions import simulator

AT = edge.at("09:00:00")
HOSTS = {"real": (bot.REAL_REST, bot.REAL_WS), "paper": (bot.PAPER_REST, bot.PAPER_WS)}


class Untouched:
    """A network to which no byte goes while a trader is made."""

    async def __call__(self, *what: Any) -> Any:
        raise AssertionError("a byte left before the trader ran")

    async def close(self) -> None:
        """Nothing is open."""


@contextlib.contextmanager
def started(folder, environment="paper", simulated=True, asked=None, **section):
    """Make the trader of an account; everything that it began has ended behind it."""
    settings = harness.make_settings(
        simulator.Simulator(edge.config(environment=environment)), **section
    )
    if not simulated:
        rest, ws = HOSTS[environment]
        settings = bot.replace(
            settings, profile=bot.replace(settings.profile, rest_url=rest, ws_url=ws)
        )
    words = options(state=folder, **(asked or {}))
    with edge.own_logging(), contextlib.ExitStack() as last:
        trader = bot.start_up(settings, words, last, True, Untouched())
        yield SimpleNamespace(trader=trader, settings=settings, last=last)
        if trader.recorder:
            trader.recorder.close()


def traded(folder, environment, simulated, days):
    """Leave a journal with the reports of so many days."""
    with started(folder, environment, simulated) as made:
        path = made.trader.journal.path
    journal = bot.Journal(path)
    harness.past_of(journal)
    for day in range(days):
        journal.append([("day", f"2026-10-{day + 1:02d}", {"net": 0})], AT)
    journal.close()


@pytest.mark.parametrize(
    ("environment", "simulated", "days", "shares", "part"),
    [("real", False, 0, 1, 1), ("real", False, 4, 1, 1), ("real", False, 5, None, 10),
     ("real", False, 15, None, 1), ("real", True, 0, None, 1), ("paper", False, 0, None, 1),
     ("paper", True, 0, None, 1)],
)  # fmt: skip
def test_only_the_first_days_of_real_money_are_small(
    tmp_path, environment, simulated, days, shares, part
):
    """By the reports in the journal; engine, gate and status have the same limits."""
    folder = tmp_path / "state"
    traded(folder, environment, simulated, days)
    with started(folder, environment, simulated) as made:
        trader, chosen = made.trader, made.settings.bot.limits
        found = trader.engine.core.settings.limits
        assert found.max_quantity == (shares or chosen.max_quantity)
        assert found.max_order_krw == chosen.max_order_krw // part
        assert trader.bridge.gate.limits == found == trader.bot.limits


@pytest.mark.parametrize("asked", [False, True])
def test_the_strategy_of_the_command_line_comes_before_that_of_the_settings(tmp_path, asked):
    """With parameters of its own."""
    file = tmp_path / "mine.py"
    file.write_text(
        "import kis_realtime_trading as bot\n"
        "class Mine(bot.TradingStrategy):\n    def on_bar(self, view, bar): ...\n"
    )
    words = {"strategy": f"{file}:Mine"} if asked else {}
    with started(tmp_path / "s", asked=words, parameters={}) as made:
        assert type(made.trader.engine.strategy).__name__ == ("Mine" if asked else "Breakout")


def test_the_fees_of_the_settings_are_those_of_the_ledger(tmp_path):
    """Stocks the stocks', funds the funds'."""
    with started(tmp_path / "s", stock_fee_pct="0.01", fund_fee_pct="0.02") as made:
        fees = made.trader.engine.core.ledger._fee_pct
        assert fees == {False: Decimal("0.01"), True: Decimal("0.02")}


def test_the_account_is_held_as_long_as_its_trader(tmp_path):
    """A second start ends at once, in whatever folder; behind the first it goes."""
    with started(tmp_path / "a"):
        for folder in ("a", "b"):
            with pytest.raises(bot.AlreadyRunning), started(tmp_path / folder):
                raise AssertionError("two bots of one account")
    with started(tmp_path / "b"):
        pass


def test_who_finds_the_account_taken_touches_nothing(tmp_path):
    """No journal, no log, no recording of a second bot: a folder with its lock and nothing else."""
    with started(tmp_path / "a"):
        with pytest.raises(bot.AlreadyRunning), started(tmp_path / "b"):
            raise AssertionError("two bots of one account")
        assert all(each.name.startswith("account-") for each in (tmp_path / "b").iterdir())


@pytest.mark.parametrize(("by", "refused"), [(-1, True), (0, False), (1, True)])
def test_a_state_folder_of_another_user_is_refused(tmp_path, monkeypatch, by, refused):
    """Whoever it is: root's as well, and whoever runs the bot."""
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(bot.os, "geteuid", lambda: owner + by)
    if refused:
        with pytest.raises(bot.SettingsError, match="another user"):
            bot.refuse(bot.strange_folder(tmp_path))
    else:
        bot.refuse(bot.strange_folder(tmp_path))


def test_a_lock_that_others_hold_in_any_way_is_not_shared(tmp_path):
    """One process alone: also a reader of the file keeps it out."""
    account = bot.Secret("99887766")
    bot.AccountLock(account, tmp_path).release()
    [path] = tmp_path.glob("account-*.lock")
    place = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(place, fcntl.LOCK_SH)
        with pytest.raises(bot.AlreadyRunning):
            bot.AccountLock(account, tmp_path)
    finally:
        os.close(place)


def test_a_strategy_that_is_none_lets_the_account_go(tmp_path):
    """What was begun before it has ended: the next start finds no lock."""
    for _ in range(2):
        with pytest.raises(bot.SettingsError), started(tmp_path / "s", strategy="nowhere.py:Any"):
            raise AssertionError("it began")


def test_no_key_is_inherited_and_no_core_is_written(tmp_path, monkeypatch):
    """Whatever the bot starts sees an environment without them."""
    for name in (*bot.ENVIRONMENT_KEYS, *bot.TELEGRAM_KEYS):
        monkeypatch.setenv(name, "secret")
    with started(tmp_path / "s"):
        assert not {*bot.ENVIRONMENT_KEYS, *bot.TELEGRAM_KEYS} & {*os.environ}
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


@pytest.mark.parametrize("environment", ["real", "paper"])
@pytest.mark.parametrize("simulated", [True, False])
def test_a_folder_that_others_may_read_is_refused_outside_a_simulator(
    tmp_path, environment, simulated
):
    """Journal and token are in there."""
    folder = tmp_path / "s"
    folder.mkdir(mode=0o750)
    if simulated:
        with started(folder, environment, simulated):
            return
    with pytest.raises(bot.SettingsError, match="chmod"), started(folder, environment, simulated):
        raise AssertionError("it began")


def test_the_log_of_a_bot_is_in_its_folder_and_without_secrets(tmp_path):
    """The secret of the account, and both addresses beside Telegram."""
    hook, beat = "https://hook.example.com/abcdefgh1", "https://beat.example.com/hgfedcba2"
    with started(tmp_path / "s", webhook_url=hook, heartbeat_url=beat) as made:
        secret = made.settings.profile.app_secret.reveal()
        bot.log.warning("here %s and %s and %s", secret, hook, beat)
        bot.log.debug("unsaid")
    told = (tmp_path / "s" / bot.LOG_FILE).read_text()
    assert "here *** and *** and ***" in told and "unsaid" not in told
    with started(tmp_path / "t", asked={"verbose": True}):
        bot.log.debug("said")
    assert "said" in (tmp_path / "t" / bot.LOG_FILE).read_text()


def test_a_trader_rests_on_the_journal_of_its_own_account(tmp_path):
    """Level and holds of the process before are there at once; the recording begins with them."""
    with started(tmp_path / "s") as made:
        made.trader.journal.append(
            [("ledger", "", bot.LevelSet(bot.KillLevel.REDUCE_ONLY, "owner", False, AT))], AT
        )
    with started(tmp_path / "s") as made:
        assert made.trader.engine.core.ledger.level is bot.KillLevel.REDUCE_ONLY
        rows = made.trader.recorder.header_of_now()["rows"]
        assert [kind for kind, _ in rows] == ["ledger"] and "LevelSet" in rows[0][1]
    with started(tmp_path / "s", environment="real") as made:
        assert made.trader.engine.core.ledger.level is bot.KillLevel.ACTIVE
    with started(tmp_path / "t", record=False) as made:
        assert made.trader.recorder is None
