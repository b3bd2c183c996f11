"""A KIS broker server on loopback: REST, WebSocket, encrypted notices, a market and the truth.

What it is for: the demo, the tests and rehearsals of a trading bot. It is written from the
protocol facts alone, not from the bot's tables, so that one mistake does not hide in both.
Nothing here reaches the internet; prices, keys and account numbers are invented from a seed.

    python -m companions.simulator --port 8080 --speed 300 --write-config demo
    python -m companions.simulator --help

In a test, without sockets and clocks (time is handed in):

    sim = Simulator(SimulatorConfig(environment="paper", density=2.0))
    sim.advance(datetime(2026, 11, 20, 9, 5, tzinfo=KST), mono=0.0)
    reply = sim.request("GET", path, params, headers, b"")
    truth = sim.books()

Same configuration and the same calls at the same times give the same bytes, always.

Map (each module uses only what stands above it; all but the last two know no sockets, clocks or
threads):

    tables        times, ticks, taxes, holidays, stocks, texts of refusals
    tools         market time as milliseconds, seeded numbers, text of values
    rules         trading days, sessions, tick sizes, price band, fees and taxes
    config        SimulatorConfig, Credentials
    history       daily bars and minute plans of any day, from the seed
    faults        rules that make the server misbehave
    tape          the queue of coming events; the live state of one stock
    market        auctions, trading, halts: what happens on a day
    ledger        orders, fills, cash, positions: the truth
    exchange      accepts, refuses, matches, cancels
    wire          realtime frames and order notices
    sessions      WebSocket sessions without sockets
    quotations    REST answers about the market: prices, books, charts
    lists         REST answers about the market: indexes, flows, rankings
    account       REST answers about the account, order entry
    gateway       tokens, limits, dispatch
    core          the composition: Simulator
    shell         aiohttp server on loopback
    command_line  arguments, configuration file, main()

Marks in comments: (doc) official document or sample; (measured, date) seen in a real answer;
(rule) exchange or tax rule; unconfirmed: one weak source, or nobody measured it; (invented):
made up here because the real value is unknown.

Money rules, shared with the bot (unconfirmed where the broker is silent):

* fee of an order = round half up(cumulative filled amount x rate), rate 0.000140527 for stocks and
  0.000146527 for ETF and ETN. A further fill is charged the difference of the cumulative fee, so
  the total does not depend on how the order was split into fills. Example: 995,000 won -> 140 won
  (measured on paper, 2026-08-19).
* sell taxes, also cumulative per order: KOSPI floor(amount x transaction tax) + floor(amount x
  rural tax), KOSDAQ floor(amount x rate), ETF and ETN none. The settlement day decides the year.
* realised profit: average cost, exact; a sell takes out average cost x quantity. Gross = sells -
  cost taken out, rounded half up to the won. Net = gross - all fees (buys and sells) - taxes.
* our own fills are not printed on the tape: the market does not feel us.
"""

from companions.simulator.account import ORDER_KEYS, PLAIN_KEYS
from companions.simulator.command_line import build_parser, config_yaml, main, write_config
from companions.simulator.config import (
    LAGS,
    Credentials,
    ExDay,
    Lag,
    SimulatorConfig,
    parse_bars_csv,
)
from companions.simulator.core import Simulator
from companions.simulator.gateway import Reply
from companions.simulator.history import Bar
from companions.simulator.lists import INVESTORS
from companions.simulator.rules import Calendar, fee_of, sell_tax_of, tick_size
from companions.simulator.sessions import Session
from companions.simulator.shell import MarketClock, Served, require_loopback, serve
from companions.simulator.tables import (
    BOOK_TR,
    DEFAULT_SEED,
    KINDS,
    KST,
    LISTINGS,
    NOTICE_TR,
    STATUS_TR,
)
from companions.simulator.tools import hms

__all__ = [
    "BOOK_TR",
    "DEFAULT_SEED",
    "INVESTORS",
    "KINDS",
    "KST",
    "LAGS",
    "LISTINGS",
    "NOTICE_TR",
    "ORDER_KEYS",
    "PLAIN_KEYS",
    "STATUS_TR",
    "Bar",
    "Calendar",
    "Credentials",
    "ExDay",
    "Lag",
    "MarketClock",
    "Reply",
    "Served",
    "Session",
    "Simulator",
    "SimulatorConfig",
    "build_parser",
    "config_yaml",
    "fee_of",
    "hms",
    "main",
    "parse_bars_csv",
    "require_loopback",
    "sell_tax_of",
    "serve",
    "tick_size",
    "write_config",
]
