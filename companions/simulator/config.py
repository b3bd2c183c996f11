"""Everything a caller can choose.

All values are plain, so a test can print and repeat them."""

from __future__ import annotations

import csv
import io
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any, NamedTuple

from companions.simulator.tables import DEFAULT_SEED, DEFAULT_SYMBOLS
from companions.simulator.tools import LETTERS, NORMAL, Dice, parse_clock


class Lag(NamedTuple):
    """Lognormal delay in market seconds; a median of 0 means none."""

    median_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0

    def draw(self, rng: random.Random) -> int:
        """Return one delay in milliseconds."""
        if not self.median_s:
            return 0
        sigma = math.log(max(self.p99_s / self.median_s, 1.0)) / 2.326
        seconds = self.median_s * math.exp(sigma * NORMAL.inv_cdf(rng.random() or 0.5))
        return round(min(seconds, self.max_s) * 1000)


class ExDay(NamedTuple):
    """A corporate action: from the morning of `day` on, prices and shares are of another scale.

    Two for one: price 1/2, shares 2. Bonus of one for one on its ex-date: price 1/2, shares 1, as
    the new ones come weeks later. A part of a share that would be left over is lost.
    """

    symbol: str
    day: date
    price: Fraction
    shares: Fraction = Fraction(1)


NO_LAG = Lag()
LAGS = {  # name -> (order list, balance)
    "none": (NO_LAG, NO_LAG),
    "typical": (Lag(0.3, 4.0, 10.0), Lag(2.0, 15.0, 30.0)),
    "wild": (Lag(0.3, 30.0, 300.0), Lag(5.0, 120.0, 300.0)),
}

Bar5 = tuple[int, int, int, int, int]  # open, high, low, close, volume
CsvBars = Mapping[str, Mapping[tuple[date | None, int], Bar5]]  # symbol -> (day, second) -> bar


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """All choices of one simulation. Times of day are Korean market time."""

    day: date = date(2026, 11, 20)
    seed: int = DEFAULT_SEED
    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    environment: str = "paper"  # or "real"
    initial_cash_krw: int = 10_000_000
    holdings: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # symbol -> (qty, price)
    density: float = 60.0  # trades a minute and stock, on average
    bars: CsvBars = field(default_factory=dict)
    faults: tuple[Mapping[str, Any], ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    ex_days: tuple[ExDay, ...] = ()
    extra_holidays: tuple[date, ...] = ()
    requests_per_second: int | None = None  # None = 18 real, 1 paper
    list_lag: Lag = NO_LAG
    balance_lag: Lag = NO_LAG
    notice_lag_ms: tuple[int, int] = (150, 400)  # market time, after the event
    early_notice_share: float = 0.4  # receipts that come before the HTTP answer (2 of 5, measured)
    early_notice_delay_s: float = 0.15  # the answer then waits this long, transport seconds
    trade_fields: int = 47  # or 46
    book_fields: int = 63  # or 62, 59
    notice_fields: int | None = None  # None = 26 real, 23 paper
    accept_old_tr_ids: bool = True
    strict_order_body: bool = False  # all nine keys on current TR ids, as clients are advised
    past_minutes_on_paper: bool = True  # doc says no, one report of 2026-07-11 says yes
    after_close: str = "rest_then_cancelled"  # or "rest", "cancelled": look of dead day orders
    registrations: int = 41
    pingpong_s: float = 10.0  # monotonic
    dead_session_s: float = 100.0  # monotonic
    session_linger_s: float = 0.0  # a lost session blocks the app key this long, monotonic
    auction_quote_s: float = 10.0  # market seconds between expected prices
    expiry_shift_s: float | None = None  # a token shows its end so much later; None = see run()

    def __post_init__(self) -> None:
        if self.environment not in ("paper", "real"):
            raise ValueError(f"environment is paper or real, was {self.environment!r}")
        if self.after_close not in ("rest_then_cancelled", "rest", "cancelled"):
            raise ValueError(f"unknown after_close {self.after_close!r}")

    @property
    def paper(self) -> bool:
        """Tell whether the paper host is played."""
        return self.environment == "paper"

    @property
    def limit(self) -> int:
        """Return requests per second of market time (doc notice of 2026-04-20)."""
        return self.requests_per_second or (1 if self.paper else 18)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Invented keys and account numbers of both environments, derived from the seed."""

    real_key: str
    real_secret: str
    paper_key: str
    paper_secret: str
    real_account: str
    paper_account: str
    product: str
    hts_id: str

    @classmethod
    def from_seed(cls, seed: int) -> Credentials:
        """Build keys of the right lengths: app key 36, secret 180, account 8 + 2."""
        dice = Dice(seed)
        return cls(
            real_key="PS" + dice.text(34, LETTERS, "real key"),
            real_secret=dice.text(179, LETTERS + "+/", "real secret") + "=",
            paper_key="PS" + dice.text(34, LETTERS, "paper key"),
            paper_secret=dice.text(179, LETTERS + "+/", "paper secret") + "=",
            real_account="6" + dice.text(7, "0123456789", "real account"),
            paper_account="5" + dice.text(7, "0123456789", "paper account"),
            product="01",
            hts_id="sim" + dice.text(5, "abcdefghijklmnopqrstuvwxyz0123456789", "hts id"),
        )

    def active(self, environment: str) -> tuple[str, str, str]:
        """Return (app key, app secret, 8-digit account) of the environment."""
        if environment == "paper":
            return self.paper_key, self.paper_secret, self.paper_account
        return self.real_key, self.real_secret, self.real_account


def parse_bars_csv(text: str) -> dict[str, dict[tuple[date | None, int], Bar5]]:
    """Read minute bars `symbol,time,open,high,low,close,volume`.

    `time` is HH:MM[:SS] (any day) or YYYY-MM-DD HH:MM[:SS]. Returns symbol -> (day, second) -> bar.
    """
    bars: dict[str, dict[tuple[date | None, int], Bar5]] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), start=2):
        try:
            stamp = row["time"].strip().replace("T", " ")
            day_text, _, clock = stamp.rpartition(" ")
            day = date.fromisoformat(day_text) if day_text else None
            bar = (
                int(row["open"]),
                int(row["high"]),
                int(row["low"]),
                int(row["close"]),
                int(row["volume"]),
            )
            bars.setdefault(row["symbol"].strip().zfill(6), {})[day, parse_clock(clock)] = bar
        except (KeyError, ValueError, AttributeError) as error:
            raise ValueError(f"line {number} of the bars is not usable: {row} ({error})") from None
    return bars
