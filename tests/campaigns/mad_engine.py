"""A mad engine at the gate: random calls, judged by a referee that counts for itself.

python tests/campaigns/mad_engine.py --calls 100000 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import kis_realtime_trading as bot

DAY = date(2026, 11, 10)
OURS, HELD, STRANGER = "005930", "000660", "035720"
LIMITS = {
    "max_order_krw": 1_000_000, "max_symbol_krw": 2_000_000, "max_total_krw": 3_000_000,
    "max_daily_loss_krw": 100_000, "max_quantity": 50,
}  # fmt: skip


class Clock(bot.MarketClock):
    """Market time by hand; the machine can be paused and its clock set back."""

    def __init__(self, moment: datetime) -> None:
        super().__init__()
        self.moment = moment

    def now(self) -> datetime:
        """Return the moment."""
        return self.moment


class Stage:
    """A gate over a real journal and a real ledger, with times that are set by hand."""

    def __init__(self, folder: Path, at: str = "10:00:00") -> None:
        self.clock = Clock(datetime.fromisoformat(f"{DAY} {at}+09:00"))
        bot.DISK_ANSWERS_WITHIN_S = 30.0  # no late journal is played here: this machine may be slow
        self.journal = bot.Journal(folder / "journal.sqlite3")
        self.ledger = bot.Ledger()
        self.ledger.apply(bot.DayOpened(DAY, self.clock.moment))
        settings = bot.BotSettings.model_validate({"symbols": [OURS], "limits": LIMITS})
        self.steady_s = 1000.0
        self.gate = bot.Gate(settings, self.ledger, self.journal, self.clock, lambda: self.steady_s)
        self.count = 0

    def pass_time(self, seconds: float) -> None:
        """Let both clocks run."""
        self.clock.moment += timedelta(seconds=seconds)
        self.steady_s += seconds

    def intent(self, **changes: Any) -> bot.OrderIntent:
        """Return a harmless intent to buy, with changes."""
        self.count += 1
        usual = bot.OrderIntent(
            f"i{self.count}", DAY, OURS, bot.Side.BUY, bot.OrderKind.LIMIT, 10, 70_000, "entry",
            "entry", f"s{self.count}", self.clock.moment,
        )  # fmt: skip
        return replace(usual, **changes)

    def hold(self, symbol: str, shares: int, price: int) -> None:
        """Buy and fill shares, past the gate."""
        intent = self.write(self.intent(symbol=symbol, quantity=shares, price=price))
        key, number = intent.intent_id, f"{self.count:010d}"
        event, at = bot.OrderEvent, self.clock.moment
        self.ledger.apply(bot.OrderUpdate(key, event.ACCEPTED, at, number, "1"))
        worth = shares * price
        self.ledger.apply(
            bot.OrderUpdate(key, event.FILL, at, number, quantity=shares, amount_krw=worth)
        )

    def write(self, intent: bot.OrderIntent, durable: bool = True) -> bot.OrderIntent:
        """Put an intent into ledger and journal and announce it, as a sane engine does."""
        self.ledger.apply(intent)
        if durable:
            self.journal.append([("intent", intent.intent_id, intent)], self.clock.moment)
            self.gate.expect(intent)
        return intent

    def refusal(self, intent: bot.OrderIntent) -> str:
        """Return why the gate keeps a new order here, "" when it lets it go."""
        return self.gate.refusal(bot.OrderCall("new", intent))

    def resting(self, intent: bot.OrderIntent) -> bot.OrderCall:
        """Let an order rest at the broker and be about to be changed; return the call."""
        event, at, key = bot.OrderEvent, self.clock.moment, intent.intent_id
        number = f"{self.count:010d}"
        self.ledger.apply(bot.OrderUpdate(key, event.ACCEPTED, at, number, "1"))
        change = {"kind": "01", "price": 0}
        self.ledger.apply(bot.OrderUpdate(key, event.REPLACE_SENT, at, **change))
        return bot.OrderCall("change", intent, number, "1", **change)

    def answer(self, intent: bot.OrderIntent, event: bot.OrderEvent) -> None:
        """Let an order of the ledger end."""
        update = bot.OrderUpdate(intent.intent_id, event, self.clock.moment)
        self.ledger.apply(update)


class Referee:
    """Counts what arrives, by rules of its own; knows nothing of the gate's checks."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.faults = stage, Counter[str]()
        self.arrived: list[tuple[float, str]] = []
        self.holding = {HELD: 20}
        self.changes = Counter[str]()
        self.spent = 20 * 50_000

    def receive(self, intent: bot.OrderIntent) -> None:
        """Judge one order that reached the wire."""
        now, at = self.stage.clock.moment, self.stage.steady_s
        buys, exit_ = intent.side is bot.Side.BUY, intent.purpose == "exit"
        value = intent.quantity * intent.price
        minutes = now.hour * 60 + now.minute
        recent = [when for when, _ in self.arrived if at - when < 60]
        wrong = {
            "twice": intent.intent_id in [key for _, key in self.arrived],
            "stranger": intent.symbol not in (OURS, HELD),
            "too many shares": not 0 < intent.quantity <= (1_000_000 if exit_ else 50),
            "too dear": buys and value > 1_000_000,
            "too much in all": buys and self.spent + value > 3_000_000,
            "sold what is not held": not buys
            and intent.quantity > self.holding.get(intent.symbol, 0),
            "closed": not 9 * 60 <= minutes < (15 * 60 + 30 if exit_ else 15 * 60 + 20),
            "too fast": len(recent) >= 30 or sum(at - when < 1 for when in recent) >= 3,
            "kill switch": not exit_ and self.stage.ledger.level > bot.KillLevel.ACTIVE,
            "old": not exit_ and not -2 <= (now - intent.at).total_seconds() <= 5,
            "entry that sells": exit_ is buys,
        }
        self.faults.update(name for name, is_so in wrong.items() if is_so)
        self.arrived.append((at, intent.intent_id))

    def receive_change(self, call: bot.OrderCall, truth: bot.OrderCall) -> None:
        """Judge a cancel or a change; `truth` is the one that a sane engine would send."""
        now, at = self.stage.clock.moment, self.stage.steady_s
        recent = [when for when, _ in self.arrived if at - when < 60]
        fast = len(recent) >= 30 or sum(at - when < 1 for when in recent) >= 3
        wrong = {"touches another order": call.order_no != truth.order_no}
        if call.action == "change":
            wrong["changes a buy"] = call.intent.side is bot.Side.BUY
            wrong["another price"] = (call.kind, call.price) != (truth.kind, truth.price)
            wrong["changed when closed"] = not 540 <= now.hour * 60 + now.minute < 930
            wrong["changed too fast"] = fast
            self.arrived.append((at, f"change of {call.order_no}"))
        self.faults.update(name for name, is_so in wrong.items() if is_so)
        self.changes[call.action] += 1


async def run(calls: int, seed: int) -> tuple[int, int, Counter[str]]:
    """Throw random calls; return how many were thrown, how many left, and the faults."""
    pick = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        stage.journal._db.execute("PRAGMA synchronous=OFF")  # no crash is played here
        stage.hold(HELD, 20, 50_000)
        referee, old = Referee(stage), [stage.intent()]
        for _ in range(calls):
            stage.pass_time(pick.choice((0.0, 0.1, 1.0, 3.0, 20.0, 60.0)))
            if stage.clock.moment.hour >= 16:
                stage.clock.moment = datetime.fromisoformat(f"{DAY} 08:50:00+09:00")
            stage.ledger.level = bot.KillLevel(pick.choice((0, 0, 0, 0, 1, 2, 3)))
            sells = pick.random() < 0.4
            late = timedelta(seconds=pick.choice((0, 0, 0, 0, 0, 4, 6, 600, -1, -60)))
            intent = stage.intent(
                symbol=pick.choice((OURS, OURS, HELD, HELD, STRANGER)),
                side=bot.Side.SELL if sells else bot.Side.BUY,
                purpose=("exit" if sells else "entry") if pick.random() < 0.9 else "entry",
                quantity=pick.choice((-1, 0, 1, 5, 5, 10, 20, 21, 51, 5_000_000)),
                price=pick.choice((0, 1_000, 20_000, 50_000, 70_000, 1_000_000)),
                at=stage.clock.moment - late,
            )
            if pick.random() < 0.1:
                intent = pick.choice(old)
            elif intent.intent_id not in stage.ledger.orders:
                stage.write(intent, durable=pick.random() < 0.9)
            if not stage.refusal(intent):
                referee.receive(intent)
            order = stage.ledger.orders.get(intent.intent_id)
            if order and order.status is bot.OrderStatus.SUBMITTING and pick.random() < 0.2:
                truth = stage.resting(intent)
                call = truth._replace(
                    action=pick.choice(("change", "change", "cancel")),
                    order_no=pick.choice((truth.order_no, truth.order_no, "0000000001", "")),
                    price=pick.choice((0, 0, 0, 1_000_000)),
                )
                if not stage.gate.refusal(call):
                    referee.receive_change(call, truth)
                stage.answer(intent, bot.OrderEvent.REFUSED)
                stage.answer(intent, bot.OrderEvent.CANCELLED)
            elif order and order.status is bot.OrderStatus.SUBMITTING:
                stage.answer(intent, bot.OrderEvent.NOT_SENT)
            for gone in old[:-20]:  # a ledger forgets as well, day by day
                stage.ledger.orders.pop(gone.intent_id, None)
            old = [*old[-20:], intent]
        return (
            calls,
            len(referee.arrived),
            referee.faults
            + Counter(
                {f"no {each} left": 1 for each in ("change", "cancel") if not referee.changes[each]}
            ),
        )


def main() -> None:
    """Run the campaign; a fault ends it with 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    calls, left, faults = asyncio.run(run(options.calls, options.seed))
    print(f"{calls:,} random calls, {left:,} left, {sum(faults.values())} beyond a limit {faults}")
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
