"""Bars of days of chance, with trades that come late or never, against a plain reading of the rule."""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest

import kis_realtime_trading as bot

SESSION = bot.session_of(date(2026, 11, 20))
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@dataclass
class Plain:
    """The trades of the bar at hand, and what of the day's total was not seen."""

    minutes: int
    start: object = SESSION.open
    end: object = SESSION.open
    trades: list = field(default_factory=list)
    missed: int = 0
    total: int = 0
    worth: int = 0
    dropped: int = 0

    def add(self, trade):
        """Take a trade in: late ones count in the day's totals and in no bar."""
        unseen = trade.cum_volume - self.total - trade.volume if self.total else 0
        self.total, self.worth = trade.cum_volume, trade.cum_value_krw
        self.missed += unseen
        if trade.ts_exchange < self.start:
            self.dropped += 1
            return None
        bar = None
        if trade.ts_exchange >= self.end:
            bar = self.close()
            if trade.ts_exchange >= SESSION.close + MINUTE:
                self.dropped += 1
                return bar
            if bar:
                self.missed = unseen  # before or behind the border: nobody knows
            passed = (trade.ts_exchange - SESSION.open) // (self.minutes * MINUTE)
            self.start = SESSION.open + passed * self.minutes * MINUTE
            while self.start >= SESSION.close:
                self.start -= self.minutes * MINUTE
            self.end = self.start + self.minutes * MINUTE
            if self.end >= SESSION.close:
                self.end = SESSION.close + MINUTE  # the auction prints until then
        self.trades.append(trade)
        return bar

    def close(self):
        """Return what the bar at hand shows, None without a trade."""
        if not self.trades:
            return None
        prices = [each.price for each in self.trades]
        volume = sum(each.volume for each in self.trades)
        bar = bot.Bar(
            "005930", self.start, min(self.end, SESSION.close), prices[0], max(prices), min(prices),
            prices[-1], volume, sum(each.price * each.volume for each in self.trades), len(prices),
            abs(self.missed) * 100 > volume,
        )  # fmt: skip
        self.trades, self.missed, self.start = [], 0, self.end
        return bar


@pytest.mark.parametrize("minutes", [1, 5, 30])
@pytest.mark.parametrize("seed", range(25))
def test_bars_are_those_of_their_trades_whatever_came_late_or_never(minutes, seed):
    """Each bar, and after each trade the totals of the day and what was left out."""
    pick = random.Random(seed)
    builder, plain = bot.BarBuilder("005930", SESSION, minutes), Plain(minutes)
    at = SESSION.open + pick.choice([0, 70]) * SECOND
    total = worth = 0
    for _ in range(400):
        at += pick.choice([0, 1, 5, 40, 200, 900 if pick.random() < 0.1 else 2]) * SECOND
        volume, price = pick.randint(1, 60), pick.randint(69_900, 70_100)
        total, worth = total + volume, worth + volume * price
        if pick.random() < 0.05:
            continue  # this one never came
        ts = at - pick.choice([0, 0, 0, 0, 30, 400]) * SECOND
        ts = max(ts, SESSION.open)
        trade = bot.Trade("005930", ts, price, volume, total, worth, False)
        assert builder.add(trade) == plain.add(trade)
        if pick.random() < 0.03:
            assert builder.close_bar() == plain.close()
        assert (builder.cum_volume, builder.cum_value_krw) == (plain.total, plain.worth)
        assert (builder.dropped, builder.end) == (plain.dropped, plain.end)
        assert builder.day_vwap == worth / total
