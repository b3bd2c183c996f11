"""`python -m venues orders`: a dry run unless told otherwise, real money behind an interlock."""

import asyncio
import contextlib
import json
from fractions import Fraction

import pytest

from kis_realtime_trading import BotError, Both, OrderStatus
from venues import accounts, cli, demo, orders_cli, words
from venues.cli import demo_account, main
from venues.monitor import Hosts
from venues.simulators.server import Reply
from venues.spot import SpotLedger

pytestmark = pytest.mark.usefixtures("short_seconds")


def said(capsys, *arguments, code=0):
    """Run a command of `orders` on the simulated venues; return what it printed."""
    assert main(["orders", *arguments, "--demo"]) == code
    out, err = capsys.readouterr()
    for secret in [each.reveal() for each in demo_account()[1].secrets()]:
        assert secret not in out + err
    return out + err


BUY = ("place", "upbit", "buy", "KRW-BTC", "--quantity", "0.002", "--price", "88000000")


def test_a_dry_run_places_nothing(capsys, monkeypatch):
    """The venue's own check is asked; neither an order nor a journal row comes about."""
    posted = []
    order = demo.UpbitSimulator._order

    def noted(self, body, test):
        posted.append(test)
        return order(self, body, test)

    monkeypatch.setattr(demo.UpbitSimulator, "_order", noted)
    assert "Dry run: the venue would take it" in said(capsys, *BUY, "--language", "en")
    assert "모의 확인" in said(capsys, *BUY)
    assert posted == [True, True]


def test_an_order_is_sent_once_and_shown(capsys):
    """With --send it leaves; what became of it stands in the table, in the user's language."""
    buy = (
        "place",
        "binance",
        "buy",
        "BTCUSDT",
        "--quantity",
        "0.002",
        "--price",
        "63000",
        "--send",
    )
    assert "filled" in said(capsys, *buy, "--language", "en")
    assert "체결" in said(capsys, *buy)


def test_real_money_needs_the_word_and_the_pin(capsys, monkeypatch):
    """Without --live, or with the pin of other limits, nothing leaves."""
    assert "--live" in said(capsys, *BUY, "--send", code=78)
    settings, given = demo_account()
    section = settings.upbit.model_copy(
        update={
            "limits": settings.upbit.limits.model_copy(
                update={"max_day": settings.upbit.limits.max_day + 1}
            )
        }
    )
    changed = settings.model_copy(update={"upbit": section})
    monkeypatch.setattr(cli, "demo_account", lambda: (changed, given))
    assert "upbit.live_pin" in said(capsys, *BUY, "--send", "--live", code=78)


def test_a_pin_changes_with_the_key_and_with_each_limit():
    """It names one key, one venue, one set of limits."""
    settings, given = demo_account()
    account = accounts.account_of("upbit", settings, given, Hosts())
    other = account._replace(keys=(given.keys["BINANCE_API_KEY"], account.keys[1]))
    smaller = account._replace(limits=account.limits.part(Fraction(1, 10)))
    pins = {each.right_pin for each in (account, other, smaller, account._replace(venue="binance"))}
    assert len(pins) == 4
    assert accounts.sending_faults(account, live=True) == []


def test_a_refusal_names_every_reason(capsys):
    """Too large for the order, the coin, the total and the day; the first days are explained."""
    big = ("place", "upbit", "buy", "KRW-BTC", "--kind", "market", "--money", "9000000")
    shown = said(capsys, *big, "--language", "en", code=1)
    assert "limits.max_order" in shown
    assert "first 3 days" in shown


@pytest.mark.parametrize(
    "words_given",
    [
        ("--kind", "market", "--quantity", "1"), ("--quantity", "1"), ("--price", "1"),
        ("--quantity", "x", "--price", "1"), ("--quantity", "-1", "--price", "1"),
        ("--kind", "market", "--money", "5", "--price", "1"),
    ],
)  # fmt: skip
def test_half_an_order_is_refused_before_anything_is_asked(capsys, words_given):
    """What is missing or too much is named; nothing is sent."""
    shown = said(capsys, "place", "upbit", "buy", "KRW-BTC", *words_given, code=78)
    assert "아무것도 보내지 않았습니다" in shown


def test_list_resolve_cancel_and_level_read_one_journal(tmp_path, capsys, monkeypatch):
    """An order of one process is listed, resolved and taken back by the next."""
    settings, given = demo_account()
    settings = settings.model_copy(update={"state_dir": tmp_path, "language": "en"})
    options = cli.build_parser().parse_args

    async def scene():
        async with cli.venues_of(True) as hosts:

            async def run(*arguments):
                given_options = options(["orders", *arguments, "--language", "en", "--wait", "1"])
                return await orders_cli.run(given_options, settings, given, hosts)

            monkeypatch.setattr("venues.simulators.matching.Matching.add", resting(tmp_path))
            buy = (
                "place",
                "binance",
                "buy",
                "BTCUSDT",
                "--quantity",
                "0.002",
                "--price",
                "62000",
                "--send",
            )
            assert await run(*buy) == 0
            ledger = accounts.read_ledger(tmp_path / "orders-binance-testnet.sqlite3")
            (order,) = ledger.orders.values()
            assert order.status is OrderStatus.WORKING
            assert await run("list", "binance") == 0
            assert await run("resolve", "binance") == 1
            assert await run("level", "binance", "1") == 0
            assert await run(*buy) == 1
            assert await run("cancel", "binance", order.intent.client_id[:11]) == 0
            return accounts.read_ledger(tmp_path / "orders-binance-testnet.sqlite3")

    ledger = asyncio.run(scene())
    assert [order.status for order in ledger.orders.values()] == [OrderStatus.CANCELLED]
    shown = capsys.readouterr().out
    assert "ENTRIES_OFF" in shown
    assert "the kill switch stops entries" in shown
    assert (tmp_path / "orders-binance-testnet.sqlite3").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("status", [400, 401, 429, 500])
@pytest.mark.parametrize("venue", ["upbit", "binance"])
def test_a_venue_that_echoes_the_keys_shows_none(
    venue, status, tmp_path, capsys, caplog, monkeypatch
):
    """Whatever it answers to an order or a question: no key in output, log, error or any file."""
    settings, given = demo_account()
    settings = settings.model_copy(update={"state_dir": tmp_path, "language": "en"})
    texts = [each.reveal() for each in given.secrets()]
    echo = " ".join(texts)
    body = {
        "upbit": json.dumps({"error": {"name": f"bad {echo}", "message": echo}}),
        "binance": json.dumps({"code": -2010, "msg": echo}),
    }[venue]
    core = demo.UpbitSimulator if venue == "upbit" else demo.BinanceSimulator
    monkeypatch.setattr(core, "_order", lambda *args: Reply(status, body))
    words_given = {
        "upbit": (
            "upbit",
            "buy",
            "KRW-BTC",
            "--quantity",
            "0.002",
            "--price",
            "88000000",
            "--live",
        ),
        "binance": ("binance", "buy", "BTCUSDT", "--quantity", "0.002", "--price", "63000"),
    }[venue]

    async def scene():
        async with cli.venues_of(True) as hosts:
            for more in (["--send"], []):
                arguments = [
                    "orders",
                    "place",
                    *words_given,
                    *more,
                    "--language",
                    "en",
                    "--wait",
                    "1",
                ]
                await orders_cli.run(
                    cli.build_parser().parse_args(arguments), settings, given, hosts
                )
            monkeypatch.setattr(core, "_signed", lambda *args: Reply(status, body))
            with contextlib.suppress(BotError):
                arguments = ["orders", "place", *words_given, "--send", "--language", "en"]
                await orders_cli.run(
                    cli.build_parser().parse_args(arguments), settings, given, hosts
                )

    asyncio.run(scene())
    out, err = capsys.readouterr()
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"intent" in files
    for text in texts:
        for part in (text, text[:10]):
            assert part not in out + err + caplog.text
            assert part.encode() not in files


def resting(folder):
    """Return an exchange that fills nothing."""
    from venues.simulators.matching import Matching

    add = Matching.add

    def rests(self, order):
        self.parts = lambda each: []
        return add(self, order)

    return rests


def test_every_reason_and_status_has_words():
    """Each code of the rules and each status speaks both languages."""
    import inspect
    import re

    from venues import spot

    codes = set(re.findall(r'"([a-z_]+)"', inspect.getsource(spot.refusals) + "".join(
        inspect.getsource(each) for each in (spot._grid, spot._size, spot._balance, spot._money, spot._band)
    )))  # fmt: skip
    assert codes <= set(words.REASONS)
    assert all(isinstance(text, Both) and text.ko != str(text) for text in words.REASONS.values())
    assert {status.value for status in OrderStatus} == set(words.STATUS_WORDS)
    assert orders_cli.orders_table(
        SpotLedger(), accounts.account_of("upbit", *demo_account(), Hosts()), "ko"
    ).title
