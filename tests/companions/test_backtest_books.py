"""Nothing is lost or made in a backtest: cash, shares, fees and taxes, counted by hand from the rows."""

from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import lanes
import pytest

import kis_realtime_trading as bot
from companions.backtest.run import Options, run

MONEY = 30_000_000
# of a sale that settles in 2026, per cent: tax and rural tax, each cut to the won by itself
TAX_2026 = {"KOSPI": ("0.05", "0.15"), "KOSDAQ": ("0.20", "0")}


def fee_by_hand(amount: int) -> int:
    """Return 0.0140527 % of an amount, half a won up."""
    return int((Decimal(amount) * Decimal("0.000140527")).quantize(Decimal(1), ROUND_HALF_UP))


def tax_by_hand(amount: int, market: str) -> int:
    """Return the tax of a sale in 2026."""
    return sum(int(Decimal(amount) * Decimal(part) / 100) for part in TAX_2026[market])


@pytest.mark.parametrize("seed", [0, 1, 2, 4, 5, 6, 7, 10, 11, 12, 13])
def test_cash_and_shares_are_those_of_the_fills_less_fees_and_taxes(seed: int, tmp_path: Path):
    """The journal of a random backtest, read as a start of the bot reads it, adds up to the won.

    Each number of an order pays its own fee and tax, as the broker bills it and the live ledger
    books it; the money that is there at the end is the money of the beginning and what was traded.
    """
    case = lanes.Case(seed, tmp_path)
    options = Options(MONEY, case.rules)
    result = run(case.settings, lanes.Holder(seed), case.history, options, tmp_path / "run")
    ledger, cash, shares = bot.Ledger(), MONEY, Counter[str]()
    journal = bot.Journal(result.journal, read_only=True)
    fees = taxes = fills = 0
    for row in journal.rows():
        if row.kind in bot.LEDGER_ROWS:
            bot.apply_row(ledger, row.kind, row.body)
        elif row.kind == "day":
            day_fees, day_taxes = fees, taxes
            for order in ledger.orders.values():
                sign = order.intent.side.sign
                market = case.history.markets.get(order.intent.symbol, "KOSPI")
                for quantity, amount in order.fills.values():
                    cash, fills = cash - sign * amount, fills + 1
                    shares[order.intent.symbol] += sign * quantity
                    fees += fee_by_hand(amount)
                    taxes += tax_by_hand(amount, market) if sign < 0 else 0
            assert ledger.today.fees_krw == fees - day_fees
            assert ledger.today.taxes_krw == taxes - day_taxes
    journal.close()
    assert fills
    assert result.differences == ()
    assert ledger.cash_krw == cash - fees - taxes == result.report.days[-1].cash_krw
    held = {symbol: p.quantity for symbol, p in ledger.positions.items() if p.quantity}
    assert held == {symbol: n for symbol, n in shares.items() if n}
    assert held == {each.symbol: each.quantity for each in result.report.open}
    assert sum(day.fees_krw for day in result.report.days) == fees
    assert sum(day.taxes_krw for day in result.report.days) == taxes
