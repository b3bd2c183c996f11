"""More of what KIS answers than the bot asks: order books, tables of pandas, prices abroad.

For whoever builds on the bot's file:

    market = MarketData(client)          # in the place of KISMarketData
    book = await market.order_book("005930")

Nothing here knows an order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import kis_realtime_trading as bot

if TYPE_CHECKING:
    import pandas

BAR_COLUMNS = ["date", "open", "high", "low", "close", "volume", "value"]


@dataclass(frozen=True, slots=True)
class Level:
    """One level of an order book."""

    price: int
    size: int


@dataclass(frozen=True, slots=True)
class OrderBook:
    """Ten levels a side, best first; empty levels are left out."""

    symbol: str
    time: str  # HHMMSS
    asks: tuple[Level, ...]
    bids: tuple[Level, ...]
    expected_price: int


def parse_order_book(symbol: str, body: Mapping[str, Any]) -> OrderBook:
    """Read inquire-asking-price-exp-ccn (FHKST01010200)."""
    book, expected = bot.output_of(body, "output1"), bot.output_of(body, "output2")

    def side(name: str) -> tuple[Level, ...]:
        levels = [
            Level(bot.natural(book, f"{name}{n}"), bot.natural(book, f"{name}_rsqn{n}"))
            for n in range(1, 11)
        ]
        return tuple(level for level in levels if level.price > 0)

    return OrderBook(
        symbol, bot.text_of(book, "aspr_acpt_hour"), side("askp"), side("bidp"),
        bot.natural(expected, "antc_cnpr"),
    )  # fmt: skip


def parse_overseas_daily_bars(body: Mapping[str, Any]) -> list[bot.DailyBar]:
    """Read a window of HHDFS76240000, newest first; prices are decimals of the local currency."""
    return [
        bot.DailyBar(
            bot.date_of(bot.text_of(row, "xymd")), bot.decimal_of(row, "open"), bot.decimal_of(row, "high"),
            bot.decimal_of(row, "low"), bot.decimal_of(row, "clos"), bot.whole(row, "tvol"),
            int(bot.decimal_of(row, "tamt")),
        )
        for row in bot.rows_of(body, "output2")
    ]  # fmt: skip


class MarketData(bot.KISMarketData):
    """Quotations of domestic stocks, and simple ones of stocks abroad."""

    async def order_book(self, symbol: str) -> OrderBook:
        """Return ten levels a side."""
        params = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": symbol}
        body, _ = await self._client.get("order_book", params)
        return parse_order_book(symbol, body)

    async def many_prices(self, symbols: Sequence[str]) -> dict[str, int]:
        """Return last prices; 30 codes a call on the real server, one by one on paper."""
        prices: dict[str, int] = {}
        if self._client.profile.environment == "paper":
            return {symbol: (await self.price(symbol)).last_price for symbol in symbols}
        for at in range(0, len(symbols), 30):
            params: dict[str, str] = {}
            for n, symbol in enumerate(symbols[at : at + 30], 1):
                params[f"FID_COND_MRKT_DIV_CODE_{n}"] = "J"
                params[f"FID_INPUT_ISCD_{n}"] = symbol
            body, _ = await self._client.get("many_prices", params)
            for row in bot.rows_of(body, "output"):
                prices[bot.text_of(row, "inter_shrn_iscd")] = bot.whole(row, "inter2_prpr")
        return prices

    async def daily_frame(self, symbol: str, first: date, last: date) -> pandas.DataFrame:
        """Return daily bars as a DataFrame: date open high low close volume value."""
        bars = await self.daily_bars(symbol, first, last)
        return _frame([(b.day, b.open, b.high, b.low, b.close, b.volume, b.value) for b in bars])

    async def minute_frame(self, symbol: str, day: date, now: datetime) -> pandas.DataFrame:
        """Return one-minute bars of a day as a DataFrame; `date` is the start of the minute."""
        if day == now.date():
            bars = await self.minute_bars_today(symbol, now, 400)
        else:
            bars = await self.minute_bars_of(symbol, day)
        rows = [(b.start, b.open, b.high, b.low, b.close, b.volume, b.value_krw) for b in bars]
        return _frame(rows)

    async def overseas_price(self, exchange: str, symbol: str) -> Decimal:
        """Return the last price in local currency; exchange is NAS, NYS, AMS, HKS, TSE ..."""
        params = {"AUTH": "", "EXCD": exchange, "SYMB": symbol}
        body, _ = await self._client.get("overseas_price", params)
        return bot.decimal_of(bot.output_of(body, "output"), "last")

    async def overseas_daily_bars(
        self, exchange: str, symbol: str, last: date | None = None
    ) -> list[bot.DailyBar]:
        """Return up to 100 adjusted daily bars ending at `last` (local date), oldest first."""
        params = {
            "AUTH": "", "EXCD": exchange, "SYMB": symbol, "GUBN": "0",
            "BYMD": f"{last:%Y%m%d}" if last else "", "MODP": "1",
        }  # fmt: skip
        body, _ = await self._client.get("overseas_daily_bars", params)
        return sorted(parse_overseas_daily_bars(body), key=lambda bar: bar.day)


def _frame(rows: list[tuple[Any, ...]]) -> pandas.DataFrame:
    """Make the DataFrame; pandas is imported here only (80 MB)."""
    import pandas

    return pandas.DataFrame(rows, columns=BAR_COLUMNS)
