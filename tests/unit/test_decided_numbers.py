"""The numbers that were decided, written down a second time: one typed wrong is seen at once.

Their reasons stand beside them in the bot's file. Who changes one on purpose changes it here too.
"""

from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

import kis_realtime_trading as bot

MONEY: dict[str, Any] = {
    "CEILING_ORDER_KRW": 100_000_000, "CEILING_TOTAL_KRW": 1_000_000_000,
    "CEILING_ORDERS_PER_MINUTE": 30, "CEILING_ORDERS_PER_SECOND": 3, "CEILING_QUANTITY": 1_000_000,
    "CLOCK_TOLERANCE_S": 2.0,
    "STOCK_FEE_PCT": Decimal("0.0140527"), "FUND_FEE_PCT": Decimal("0.0146527"),
    "CALENDAR_END": date(2027, 12, 31), "ACKNOWLEDGED_FOR": timedelta(hours=24),
    "LIVE_RAMP": ((5, 1, Fraction(1)), (15, 1_000_000, Fraction(1, 10))),
    "LATEST_ENTRY": time(15, 20), "LATEST_FLAT": time(15, 29), "USUAL_HOURS": (time(9), time(15, 30)),
}  # fmt: skip
SERVICES: dict[str, Any] = {
    "DISK_ANSWERS_WITHIN_S": 0.5, "STUCK_S": 120.0, "RECORD_SEGMENT_BYTES": 67_108_864,
    "RECORD_WAITING": 67_108_864, "MAX_CONTROL_BYTES": 4_096, "MAX_SETTINGS_BYTES": 65_536,
    "LONGEST_REASON": 400,
}  # fmt: skip
REST: dict[str, Any] = {
    "REST_CALLS_PER_SECOND": {"real": 15.0, "paper": 0.9}, "MAX_PAGES": 150,
    "TOKEN_SPARE": timedelta(minutes=10), "TOKEN_MORNING_SPARE": timedelta(hours=12),
    "TOKEN_PAUSE_S": 61.0, "TOKEN_PAUSES": (1.0, 4.0, 16.0, 61.0),
    "CONNECT_TIMEOUT_S": 3.0, "TOTAL_TIMEOUT_S": 10.0, "QUERY_PAUSES": (1.0, 2.0, 4.0),
    "LINE_PAUSES": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0), "OLD_LIST_PAUSES": (5.0, 30.0, 60.0),
    "MAX_BODY_BYTES": 4_194_304, "CLOCK_OFF_S": 3.0, "ALL_REFUSED_S": 120.0,
    "TOKEN_DOUBT_S": 3_600.0,
}  # fmt: skip
FEED: dict[str, Any] = {
    "MAX_REGISTRATIONS": 41, "SILENCE_S": 60.0, "NEWS_TRAVELS": timedelta(seconds=5),
    "NO_DATA_S": 300.0, "STEADY_S": 60.0, "REGISTER_PAUSE_S": {"real": 0.05, "paper": 0.5},
    "REGISTER_AGAIN_S": 30.0, "MOST_FRAME_BYTES": 131_072, "MOST_PINGS": 100, "PING_SPAN_S": 10.0,
    "TRIES_UNTOLD": 2,
}  # fmt: skip
PHONE: dict[str, Any] = {
    "LONG_PAUSE_S": 600.0, "WORD_MAX_AGE_S": 60, "CLOCK_SKEW_S": 5, "CODE_LASTS_S": 60.0,
    "MAX_ANSWER_BYTES": 1_048_576, "FIGURES_S": 90.0,
}  # fmt: skip
TRADER: dict[str, Any] = {
    "POLL_OPEN_S": 5.0, "POLL_IDLE_S": 30.0, "POLL_ACCOUNT_S": 60.0, "WAITED_LONG_S": 10.0,
    "PRICES_SIDE_BY_SIDE": 3, "REFUSALS_UNTOLD": 3, "SCREEN_ENDS_WITHIN_S": 15.0, "SUSPENDED_S": 5.0,
    "SUSPENDED_TOLD_S": 60.0, "INBOX_LIMIT": 50_000, "INBOX_CHARACTERS": 32_000_000,
    "LONG_WARM_UP_S": 60.0, "BATCH": 256, "START_BEFORE_OPEN": timedelta(minutes=30),
    "END_AFTER_CLOSE": timedelta(minutes=30), "LATE_TOLD_S": 1.0, "LATE_RETRY_S": 0.25,
    "LATE_MOST_S": 300.0, "EXIT_FAILED": 1, "EXIT_INTERNAL": 70, "EXIT_JOURNAL": 74,
    "EXIT_RUNNING": 75, "EXIT_SETTINGS": 78, "EXIT_INTERRUPTED": 130,
}  # fmt: skip
PROOFS: dict[str, Any] = {
    "LIST_GRACE_S": 5.0, "PROOF_OF_ABSENCE_S": 180.0, "QUARANTINE_AFTER_S": 600.0,
    "NOTICE_PATIENCE_S": 5.0, "HINT_PATIENCE_S": 15.0, "ARRIVAL_WINDOW_S": 60.0, "CALL_S": 15.0,
    "LOOK_AFTER_S": (
        1, 2, 4, 8, 15, 30, 60, 90, 120, 150, 180, 200, 220, 240, 300, 360, 420, 480, 540,
    ),
    "LIST_MAX_AGE_S": 180.0, "OLD_CLOSE_RATIO": 0.30, "ONCE_MORE_S": 20.0,
    "REFUSALS_IN_A_ROW": 3, "REFUSALS_IN_ALL": 5, "REFUSED_CHANGES_UNTOLD": 2,
    "WILD_JUMP": 10, "DEAF_TRADES": 3, "TRADE_AHEAD": timedelta(minutes=1),
    "AUCTION_AFTER_HALT": timedelta(minutes=11),
    "AUCTION_LONGEST": timedelta(minutes=5), "AUCTION_RACE": timedelta(seconds=2),
    "CLOSE_SETTLES": timedelta(minutes=1),
}  # fmt: skip
EXITS: dict[str, Any] = {
    "EXIT_KINDS": ("00", "03", "01"), "EXIT_DOUBT_RATIO": 0.10, "EXIT_NEAR": 0.10,
    "EXIT_CONFIRMED_S": 60.0, "EXIT_WAIT_ALERT_S": 60.0, "EXIT_PAUSES": (1, 2, 4, 8, 16, 32),
    "EXIT_PAUSE_MOST_S": 60.0, "TOO_FAST_PAUSES": (1.0, 1.0, 2.0, 4.0),
    "CANCEL_PAUSES": (2.0, 4.0, 8.0, 60.0), "GONE_PAUSES": (15.0, 60.0, 300.0),
    "GUARD_SILENCE_S": 10.0, "PRICE_RETRY_S": 30.0, "BARRED_RETRY_S": 600.0, "LIMITS_UNTOLD": 2,
}  # fmt: skip
OF_CLASSES: dict[Any, dict[str, Any]] = {
    bot.Redactor: {"_RUN": 8}, bot.LogThread: {"MOST_LINES": 5_000},
    bot.LogFile: {"MOST_BYTES": 5_000_000, "KEPT": 5}, bot.CallFigures: {"KEPT": 256},
    bot.TelegramBot: {"OUTBOX": 500, "LATE_S": 60.0, "DIGEST": 3},
    bot.SideDoors: {"EVERY_S": 60.0, "PAUSES": bot.LINE_PAUSES},
    bot.Journal: {"VERSION": 3, "READS": (1, 2, 3), "PATIENCE_S": 30.0},
}  # fmt: skip
TABLES = {"money": MONEY, "services": SERVICES, "rest": REST, "feed": FEED, "phone": PHONE,
          "trader": TRADER, "proofs": PROOFS, "exits": EXITS}  # fmt: skip


def plain(value: Any) -> Any:
    """Return a value that can be compared: pauses as the tuple that they are."""
    return tuple(value) if isinstance(value, bot.Pauses) else value


@pytest.mark.parametrize("table", TABLES)
def test_a_decided_number_is_what_was_decided(table):
    """Times ten each of them is still a number that works, for a while."""
    wanted = TABLES[table]
    found = {name: plain(getattr(bot, name)) for name in wanted}
    if table == "services":  # virtual time gives the disk of this machine longer
        found["DISK_ANSWERS_WITHIN_S"] = wanted["DISK_ANSWERS_WITHIN_S"]
    assert wanted == found


def test_a_decided_number_of_a_class_is_what_was_decided():
    """The same of those that stand in a class."""
    found = {kind: {n: getattr(kind, n) for n in names} for kind, names in OF_CLASSES.items()}
    assert found == OF_CLASSES


def test_what_waits_for_another_has_the_longer_patience():
    """Limits that lean on each other: each in its order, whatever they are."""
    assert (
        bot.CONNECT_TIMEOUT_S < bot.TOTAL_TIMEOUT_S < bot.STUCK_S
    )  # a call ends before the watchdog
    assert bot.FIGURES_S < bot.STUCK_S < bot.LATE_MOST_S
    assert bot.LATE_RETRY_S < bot.LATE_TOLD_S < bot.LATE_MOST_S
    assert bot.POLL_OPEN_S < bot.POLL_IDLE_S < bot.POLL_ACCOUNT_S < bot.LIST_MAX_AGE_S
    assert bot.CALL_S > bot.TOTAL_TIMEOUT_S  # a call that was under way has ended by then
    assert bot.TOKEN_PAUSE_S > 60.0  # KIS gives one a minute
    assert bot.REST_CALLS_PER_SECOND["real"] < 18 and bot.REST_CALLS_PER_SECOND["paper"] < 1
