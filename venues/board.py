"""The board of the premium: the newest prices, what they mean, and above all what is not shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import NamedTuple

from rich.markup import escape
from rich.table import Table

from venues import binance, upbit
from venues.common import FeedChange, VQuote, VTicker, rounded
from venues.kimchi import (
    PARKED_FROM,
    CoinAlert,
    Figure,
    News,
    RateGuard,
    Zone,
    mid,
    premium,
    usable,
)
from venues.settings import BankRate, VenueSettings
from venues.wire import Clock
from venues.words import hundred_millions, percent, price, say

RATE = "KRW-USDT"
SEOUL = timezone(timedelta(hours=9))
BANK_AGE_H, BANK_AGE_WEEKEND_H = 26, 80
WIDE = 100  # columns of a terminal that shows everything


class Figures(NamedTuple):
    """What can be said of a coin now; prices in won. `fx` is None without a young bank rate."""

    won: Fraction
    dollars: Fraction
    usdt: Fraction
    fx: Fraction | None

    def of(self, figure: Figure) -> Fraction | None:
        """Return the premium of this name."""
        return self.usdt if figure is Figure.USDT else self.fx


class Board:
    """The newest quotes and what they mean. A line that goes down takes its quotes with it."""

    def __init__(self, settings: VenueSettings, clock: Clock) -> None:
        self.settings, self._clock = settings, clock
        self.coins = settings.kimchi.coins
        self._quotes = dict[tuple[str, str], VQuote]()
        self._tickers = dict[tuple[str, str], VTicker]()
        self._halted: dict[str, frozenset[str]] = {}  # venue -> symbols its list calls halted
        self._rate = RateGuard()
        self._sound = set(settings.kimchi.confirmed)  # coins whose first premium was credible
        self.parked: dict[str, Fraction] = {}
        self.ranks: Mapping[str, int] = {}  # coin -> per cent of 30 days that were lower
        rule = settings.kimchi.rule()
        self.alerts = {coin: CoinAlert(rule) for coin in self.coins}

    def take(self, event: object) -> None:
        """Take an event of a venue."""
        if isinstance(event, VTicker):
            self._tickers[event.venue, event.symbol] = event
        elif isinstance(event, VQuote):
            self._quotes[event.venue, event.symbol] = event
            if event.symbol == RATE:
                now_ms, rate = self._clock.mono_ns() // 1_000_000, mid(event)
                bank = self.bank(self._clock.wall_ms())
                self._rate.heard(now_ms, rate, Fraction(bank.krw) if bank else None)

    def changed(self, change: FeedChange) -> None:
        """Forget what a line said that is down."""
        if not change.up:
            for kept in (self._quotes, self._tickers):
                for key in [key for key in kept if key[0] == change.venue]:
                    del kept[key]

    def listed(self, venue: str, halted: frozenset[str]) -> None:
        """Take which symbols a venue's list names as not tradable."""
        self._halted[venue] = halted

    def bank(self, now_ms: int) -> BankRate | None:
        """Return the newest bank rate that is young enough, None without one."""
        rate = max(self.settings.bank_rates, key=lambda each: each.at, default=None)
        if rate is None:
            return None
        weekend = rate.at.astimezone(SEOUL).weekday() >= 4
        most = timedelta(hours=BANK_AGE_WEEKEND_H if weekend else BANK_AGE_H)
        age = datetime.fromtimestamp(now_ms // 1_000, UTC) - rate.at
        return rate if timedelta(minutes=-1) <= age <= most else None

    def halted(self, coin: str) -> bool:
        """Tell whether either side is halted."""
        for venue, symbol in _legs(coin):
            ticker = self._tickers.get((venue, symbol))
            if symbol in self._halted.get(venue, ()) or (ticker and not ticker.trading):
                return True
        return False

    def _raw(self, coin: str) -> Figures | None:
        now_ms, now_ns = self._clock.wall_ms(), self._clock.mono_ns()
        won, dollars = (self._quotes.get(leg) for leg in _legs(coin))
        rate = self._quotes.get((upbit.VENUE, RATE))
        if won is None or dollars is None or rate is None:
            return None
        if not all(usable(leg, now_ms, now_ns) for leg in (won, dollars, rate)):
            return None
        value, bank = premium(won, dollars, mid(rate)), self.bank(now_ms)
        if value is None:
            return None
        fx = premium(won, dollars, Fraction(bank.krw)) if bank else None
        return Figures(mid(won), mid(dollars) * mid(rate), value, fx)

    def state(self, coin: str) -> tuple[Figures | None, str]:
        """Return the figures, or None and why not: stale, held, halted, parked."""
        figures = self._raw(coin)
        if self.halted(coin):
            return None, "halted"
        if figures is None:
            return None, "stale"
        if self._rate.held:
            return None, "held"
        if coin not in self._sound and coin not in self.parked:
            if abs(figures.usdt) > PARKED_FROM:
                self.parked[coin] = figures.usdt
            else:
                self._sound.add(coin)
        return (None, "parked") if coin in self.parked else (figures, "")

    def figures(self, coin: str) -> Figures | None:
        """Return what can be said of a coin, None when anything of it is in doubt."""
        return self.state(coin)[0]

    def won_of(self, venue: str, asset: str) -> Fraction | None:
        """Return what one of an asset is worth in won by fresh quotes, None when nobody says."""
        now_ms, now_ns = self._clock.wall_ms(), self._clock.mono_ns()
        if asset == "KRW":
            return Fraction(1)
        rate = self._quotes.get((upbit.VENUE, RATE))
        legs = _legs(asset)
        quote = rate if asset == "USDT" else self._quotes.get(legs[venue == binance.VENUE])
        if quote is None or not usable(quote, now_ms, now_ns):
            return None
        if asset == "USDT" or venue != binance.VENUE:
            return mid(quote)
        good = rate is not None and usable(rate, now_ms, now_ns)
        return mid(quote) * mid(rate) if good and rate else None

    def second(self, now_s: int) -> list[tuple[str, News]]:
        """Return what is to be told of the coins now; called once a second."""
        told: list[tuple[str, News]] = []
        for coin, alert in self.alerts.items():
            figures = self.figures(coin)
            value = figures.of(self.settings.kimchi.figure) if figures else None
            told += [(coin, news) for news in alert.second(now_s, value)]
        return told

    def complete(self) -> bool:
        """Tell whether nothing is waited for: every coin has a figure or a reason that stays."""
        return all(self.state(coin)[1] in ("", "halted", "parked") for coin in self.coins)

    def text_of(self, told: list[tuple[str, News]], language: str) -> str:
        """Return one message for all news of a second."""
        now = datetime.fromtimestamp(self._clock.wall_ms() // 1_000, SEOUL)
        lines = [say("alert_head", language, time=f"{now:%m-%d %H:%M:%S}")]
        return "\n".join(lines + [self._news(coin, news, language) for coin, news in told])

    def _news(self, coin: str, news: News, language: str) -> str:
        figures, why = self.state(coin)
        if why == "parked":
            value = percent(self.parked[coin])
            return say("name_parked", language, coin=coin, figure=value)
        reason = say(why, language) if why else ""
        if figures is None:
            return say("alert_silent", language, coin=coin, why=f" ({reason})" if reason else "")
        figure = self.settings.kimchi.figure
        value = percent(figures.of(figure) or Fraction(0))
        rate = self._quotes[upbit.VENUE, RATE]
        return say(
            f"alert_{news.value}", language, coin=coin, figure=value,
            name=say(f"name_{figure.value}", language), won=price(figures.won),
            dollars=price(figures.dollars), rate=f"{rounded(mid(rate), 1):,}", why="",
            more=self._more(coin, language),
        )  # fmt: skip

    def _more(self, coin: str, language: str) -> str:
        ours, theirs = (self._tickers.get(leg) for leg in _legs(coin))
        text = ""
        if theirs and theirs.change_24h_pct is not None:
            change = percent(Fraction(theirs.change_24h_pct) / 100)
            text += say("more_day", language, change=change)
        if ours and ours.quote_24h is not None:
            text += say("more_volume", language, volume=hundred_millions(ours.quote_24h))
        return text

    # --- the table ----------------------------------------------------------------------

    def title(self, language: str) -> str:
        """Return the line above the table: KRW-USDT and the bank's rate, with what it is worth."""
        now_ms = self._clock.wall_ms()
        rate, parts = self._quotes.get((upbit.VENUE, RATE)), [say("title", language)]
        good = usable(rate, now_ms, self._clock.mono_ns()) and not self._rate.held
        parts.append(f"{RATE} {f'{rounded(mid(rate), 1):,}' if rate and good else '-'}")
        if self.settings.bank_rates:
            newest = max(self.settings.bank_rates, key=lambda each: each.at)
            hours = (now_ms // 1_000 - int(newest.at.timestamp())) // 3_600
            text = say(
                "bank" if self.bank(now_ms) else "bank_old", language, source=newest.source,
                rate=f"{newest.krw:,f}", age=say("age", language, hours=max(0, hours)),
            )  # fmt: skip
            if rate and good and self.bank(now_ms):
                text += f" {percent(mid(rate) / Fraction(newest.krw) - 1)}"
            parts.append(text)
        return " · ".join(parts)

    def table(self, language: str, width: int = WIDE) -> Table:
        """Return the table, the highest premium first."""
        table = Table(title=escape(self.title(language)))
        heads = ["coin", "upbit_won", "binance_won", "usdt"]
        heads += ["fx"] if self.settings.bank_rates else []
        heads += ["since9", "day", "volume"] if width >= WIDE else []
        heads += ["rank"] if self.ranks else []
        for head in (*heads, "note"):
            left = head in ("coin", "note")
            table.add_column(say(head, language), justify="left" if left else "right")
        states = {coin: self.state(coin) for coin in self.coins}

        def order(coin: str) -> Fraction:
            found = states[coin][0]
            return -found.usdt if found else Fraction(100)

        for coin in sorted(self.coins, key=order):
            figures, why = states[coin]
            cells = self._cells(coin, figures)
            zone = self.alerts[coin].told
            note = say(why, language) if why else ""
            if figures and zone is not Zone.NORMAL:
                note = say(zone.value, language)
            style = None if figures else "dim"
            if figures and zone is not Zone.NORMAL:
                style = "bold red" if zone is Zone.HIGH else "bold blue"
            table.add_row(*(cells[head] for head in heads), note, style=style)
        return table

    def _cells(self, coin: str, figures: Figures | None) -> dict[str, str]:
        """Return the cells of a coin; everything in doubt is `-`."""
        ours, theirs = (self._tickers.get(leg) for leg in _legs(coin))
        cells = dict.fromkeys(("upbit_won", "binance_won", "usdt", "fx", "since9", "day", "volume"), "-")  # fmt: skip
        cells |= {"coin": coin, "rank": f"{self.ranks[coin]}%" if coin in self.ranks else "-"}
        if figures is None:
            return cells
        cells |= {"upbit_won": price(figures.won), "binance_won": price(figures.dollars)}
        cells["usdt"] = percent(figures.usdt)
        if figures.fx is not None:
            cells["fx"] = percent(figures.fx)
        if ours and ours.change_day_pct is not None:
            cells["since9"] = percent(Fraction(ours.change_day_pct) / 100)
        if ours and ours.quote_24h is not None:
            cells["volume"] = hundred_millions(ours.quote_24h)
        if theirs and theirs.change_24h_pct is not None:
            cells["day"] = percent(Fraction(theirs.change_24h_pct) / 100)
        return cells


def _legs(coin: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return where a coin is quoted at both venues."""
    return (upbit.VENUE, f"KRW-{coin}"), (binance.VENUE, f"{coin}USDT")
