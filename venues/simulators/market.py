"""The truth of the simulated market: dollar prices that walk, the won rate, a premium a coin."""

from __future__ import annotations

import random

DOLLARS = {"BTC": 6_300_000, "ETH": 250_000, "XRP": 220, "SOL": 15_000}  # in cents
START_RATE = 140_800  # hundredths of a won for one USDT


class Market:
    """Both venues show it: dollars in cents, the rate in hundredths of a won, basis points."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self.cents, self.opened, self.rate = dict(DOLLARS), dict(DOLLARS), START_RATE
        self.premium_bp = {coin: 80 * number for number, coin in enumerate(DOLLARS)}
        self.halted: set[str] = set()  # coins that nobody may trade

    def walk(self) -> None:
        """Move every price a little."""
        for coin, cents in self.cents.items():
            self.cents[coin] = max(1, cents + self._random.randint(-cents // 2_000, cents // 2_000))
            self.premium_bp[coin] += self._random.randint(-3, 3)

    def dollars(self, coin: str) -> str:
        """Return the dollar price of a coin."""
        return f"{self.cents[coin] // 100}.{self.cents[coin] % 100:02d}"

    def won(self, coin: str) -> str:
        """Return the won price of a coin, or of USDT."""
        if coin == "USDT":
            return f"{self.rate // 100}.{self.rate % 100:02d}"
        # cents x hundredths of a won x basis points: eight digits behind the point
        exact = self.cents[coin] * self.rate * (10_000 + self.premium_bp[coin])
        return f"{exact // 10**8}.{exact % 10**8 // 10**6:02d}"

    def change_bp(self, coin: str) -> int:
        """Return the change since the start in basis points."""
        if coin == "USDT":
            return 0
        return (self.cents[coin] - self.opened[coin]) * 10_000 // self.opened[coin]
