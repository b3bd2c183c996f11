"""The live screen of a day that runs."""

from __future__ import annotations

import asyncio
from typing import Any

import kis_realtime_trading as bot


async def show_screen(trader: bot.Trader) -> None:
    """Draw the live screen until cancelled."""
    from rich.live import Live

    with Live(draw_screen(trader), refresh_per_second=4) as live:
        while True:
            await asyncio.sleep(0.25)
            live.update(draw_screen(trader))


def draw_screen(trader: bot.Trader) -> Any:
    """Return what the screen shows now: head line, prices, orders, messages."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table

    core, korean = trader.engine.core, trader.bot.language == "ko"
    columns = "종목 현재가 보유 평단 평가손익" if korean else "stock price held average result"
    prices = Table(*columns.split(), expand=True)
    for symbol, state in core.symbols.items():
        position, price = state.view.position, core.last_price(symbol)
        result = round(price * position.quantity - float(position.cost))
        prices.add_row(
            symbol, f"{price:,}", f"{position.quantity:,}", f"{position.average_price:,.0f}",
            f"{result:+,}" if position.quantity else "",
        )  # fmt: skip
    columns = "주문 상태 수량 체결 가격" if korean else "order status shares filled price"
    orders = Table(*columns.split(), expand=True)
    for order in list(core.ledger.orders.values())[-6:]:
        intent = order.intent
        side = bot.SIDE_WORDS[trader.bot.language][intent.side]
        orders.add_row(
            f"{intent.symbol} {side} {intent.reason}", str(order.status), f"{intent.quantity:,}",
            f"{order.filled_quantity:,}", f"{order.price:,}",
        )  # fmt: skip
    head = (
        f"{trader.clock.now():%Y-%m-%d %H:%M:%S} · {trader.profile.environment}"
        f"{' · simulator' if trader.profile.simulated else ''} · {core.phase} · "
        f"P&L {core.day_result_krw():+,} · {trader.counts['Trade']:,} trades"
    )
    return Group(Panel(head), prices, orders, Panel("\n".join(list(trader.bridge.messages)[-8:])))
