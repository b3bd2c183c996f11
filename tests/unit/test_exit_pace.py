"""Exits that are one too many for a count of orders; Ctrl-C while a strategy's code runs."""

import signal
from dataclasses import replace

import pytest
from test_engine import OTHER, Bench, alerts, calls, instrument, orders_of, records, wish

import kis_realtime_trading as bot
from companions import command_line
from companions.options import read_arguments

FULL = "gate: 3 orders left within 1 s"


def turned_away(bench, call):
    """Let the gate's own count turn an order away; return what that causes."""
    return bench.answer(call, bot.Outcome.NOT_SENT, code=bot.TOO_FAST, text=FULL)


def test_an_exit_too_many_for_the_gate_is_tried_each_second_and_told_once():
    """No broker refused it and no host is dead: those pauses stay; the owner reads of it once."""
    bench = Bench().start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    told, seconds = alerts(turned_away(bench, call)), []
    for _ in range(3):
        waited = 0
        while not (found := calls(actions := bench.wait(1))):
            told += alerts(actions)
            waited += 1
        told += alerts(actions)
        seconds.append(waited + 1)
        last = found[0]
        told += alerts(turned_away(bench, last)) if len(seconds) < 3 else []
    run = bench.state.exit
    assert (told, seconds, run.unsent, run.refusals) == (["order_refused"], [1, 1, 2], 0, 0)
    bench.answer(last)
    assert run.too_fast == 0
    assert "filled" in alerts(bench.fill(orders_of(bench)[-1], price=68_900))


def test_a_gate_that_is_full_is_no_sign_of_life():
    """What never left says nothing about a host that was dead before."""
    bench = Bench().start()
    bench.hold_shares()
    [call] = calls(bench.trade(68_900))
    bench.answer(call, bot.Outcome.NOT_SENT, text="no connection")
    [call] = calls(bench.wait(int(bench.settings.exit_step_s)))
    turned_away(bench, call)
    assert bench.state.exit.unsent == 1


def test_an_entry_that_the_gate_turns_away_for_pace_hurries_no_exit():
    """Its stock may be closing: the exit's own time stays."""
    bench = Bench().start()
    [call] = calls(bench.want(wish()))
    run = bench.state.exit = bot.ExitRun("stop")
    assert "order_refused" in alerts(turned_away(bench, call))
    assert (run.too_fast, run.next_at) == (0, None)


def test_an_exit_that_the_rules_count_out_is_told_once_and_leaves_when_there_is_room():
    """Thirty orders within the last minute: one message, and the stop goes when they are older."""
    bench = Bench().start()
    bench.hold_shares()
    bench.trade(70_000)
    for n in range(bot.CEILING_ORDERS_PER_MINUTE):
        intent = replace(orders_of(bench)[0].intent, intent_id=f"x{n}", symbol=OTHER, at=bench.now)
        bench.ledger.apply(intent)
        bench.ledger.apply(bot.OrderUpdate(intent.intent_id, bot.OrderEvent.NOT_SENT, bench.now))
    actions = bench.trade(68_900)
    assert [row.data["code"] for row in records(actions, "refusal")] == ["RATE"]
    actions += bench.wait(55)
    assert (calls(actions), alerts(actions)) == ([], ["refused"])
    assert len(calls(bench.wait(10))) == 1


def test_what_fell_counts_at_its_cost_by_the_rules_as_at_the_gate():
    """40 bought for 2,800,000, now half of it: the total is 2,800,000 still, in both hands."""
    limits = {
        "max_order_krw": 2_800_000, "max_total_krw": 3_000_000, "max_daily_loss_krw": 5_000_000,
    }  # fmt: skip
    bench = Bench(limits=limits).start()
    bench.hold_shares(plan=None, quantity=40)
    bench.trade(50_000)
    bench.seen(instrument(price=50_000))
    [row] = records(bench.want(wish("more", OTHER, 10)), "refusal")
    assert (row.data["code"], row.data["numbers"]) == (
        "TOTAL_VALUE", "3,500,000 won in all, at most 3,000,000",
    )  # fmt: skip
    assert bench.engine.entries.room(OTHER) == 200_000


class Interrupting(bot.TradingStrategy):
    """Runs while its user presses Ctrl-C."""

    armed = False

    def on_bar(self, view, bar):
        if self.armed:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_inside_a_strategy_ends_the_run_and_not_its_stock():
    """In a replay or a backtest the user's Ctrl-C is his, in whatever line it arrives."""
    bench = Bench(Interrupting()).start()
    bench.trade(70_000)
    bench.strategy.armed, before = True, signal.signal(signal.SIGINT, command_line.interrupt)
    try:
        with pytest.raises(bot.Interrupted):
            bench.at("10:05:00")
            bench.trade(70_000)
    finally:
        signal.signal(signal.SIGINT, before)
    assert bench.ledger.stopped == {}


def test_a_replay_hears_ctrl_c_as_the_user_s(tmp_path):
    """The handler is in place before a strategy's code is read."""
    before = signal.getsignal(signal.SIGINT)
    options = read_arguments(["--replay", str(tmp_path / "none.gz")])
    try:
        with pytest.raises(bot.BotError):
            command_line.run_command(options)
        assert signal.getsignal(signal.SIGINT) is command_line.interrupt
    finally:
        signal.signal(signal.SIGINT, before)
