"""The interlock of real money: every key must agree, and a paper process holds no real key."""

import argparse
import itertools
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest
import time_machine
import yaml

import kis_realtime_trading as bot
from companions.options import build_parser

ACCOUNT, PRODUCT = "87654321", "01"
LIMITS = {
    "max_order_krw": 1_000_000,
    "max_symbol_krw": 2_000_000,
    "max_total_krw": 5_000_000,
    "max_daily_loss_krw": 100_000,
}
KEYS = ("command line", "mode", "pin", "host", "credentials", "acknowledged", "fresh")
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=bot.KST)


def limits_hash(limits: bot.Limits) -> str:
    """Return what the signature says of limits."""
    nobody = bot.Secret("")
    profile = bot.Profile("real", "", "", nobody, nobody, nobody, "01", nobody, "")
    return bot.signature(profile, limits, "")["limits"]


class FakeRealHost:
    """Stands where the real host would be; counts what reaches it and answers nothing useful."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    async def __call__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        params: Mapping[str, str],
        body: bytes | None,
    ) -> bot.HttpReply:
        self.urls.append(url)
        raise bot.SettingsError([bot.Fault("the test", "a byte sent", "enough seen")])

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(scope="module")
def pin() -> str:
    """The right pin; slow to make on purpose."""
    return bot.make_pin(ACCOUNT, PRODUCT, "salt")


def prepare(folder: Path, agree: Mapping[str, bool], pin: str) -> argparse.Namespace:
    """Write the files of a live start in which the keys named in `agree` agree or not."""
    section = {
        "symbols": ["005930"],
        "limits": LIMITS,
        "mode": "live" if agree["mode"] else "paper",
        "live_account_pin": pin if agree["pin"] else "salt$" + "0" * 32,
        "record": False,
    }
    host = bot.REAL_REST if agree["host"] else "https://127.0.0.1:9443"
    config = folder / "kis_devlp.yaml"
    bot.write_private(config, yaml.safe_dump({"prod": host, "my_htsid": "hts", "bot": section}))
    name = "live-keys.yaml" if agree["credentials"] else "keys.yaml"
    keys = {"my_app": "A" * 36, "my_sec": "S" * 180, "my_acct_stock": ACCOUNT, "my_htsid": "hts"}
    bot.write_private(folder / name, yaml.safe_dump(keys))
    said = {
        "account": "******" + ACCOUNT[-2:],
        "limits": limits_hash(bot.Limits(**LIMITS)),
        "build": bot.build_hash() if agree["acknowledged"] else "another build",
        "at": ("2026-11-20T09:00:00+09:00" if agree["fresh"] else "2026-11-18T09:00:00+09:00"),
    }
    state = folder / "state"
    state.mkdir(mode=0o700)
    bot.write_private(state / "live-acknowledgement.json", json.dumps(said))
    arguments = ["--live" if agree["command line"] else "--acknowledge", "--one-day"]
    arguments += [
        "--config",
        str(config),
        "--credentials",
        str(folder / name),
        "--state",
        str(state),
    ]
    options = build_parser().parse_args(arguments)
    options.acknowledge = False  # without --live nothing may be sent even past the acknowledgement
    return options


def test_of_all_combinations_of_keys_exactly_one_sends_a_byte(tmp_path, pin):
    """128 combinations against a fake real host: only the one in which all agree reaches it."""
    reached = []
    with time_machine.travel(NOW, tick=True):
        for number, bits in enumerate(itertools.product((True, False), repeat=len(KEYS))):
            folder = tmp_path / str(number)
            folder.mkdir()
            agree = dict(zip(KEYS, bits, strict=True))
            host = FakeRealHost()
            code = bot.run_guarded(
                prepare(folder, agree, pin), lambda options, host=host: bot.run_live(options, host)
            )
            assert code == bot.EXIT_SETTINGS
            if host.urls:
                reached.append((agree, host.urls))
    assert [agree for agree, _ in reached] == [dict.fromkeys(KEYS, True)]
    assert all(url.startswith(bot.REAL_REST) for _, urls in reached for url in urls)


def test_every_missing_key_is_named(tmp_path, pin):
    """All that keeps the lock closed is listed at once."""
    agree = dict.fromkeys(KEYS, False)
    with pytest.raises(bot.SettingsError) as caught:
        bot.run_live(prepare(tmp_path, agree, pin), FakeRealHost())
    assert len(caught.value.faults) == len(KEYS)


def test_acknowledgement_of_other_limits_does_not_count(tmp_path, pin):
    """Limits that changed since the owner signed lock real money again."""
    options = prepare(tmp_path, dict.fromkeys(KEYS, True), pin)
    text = options.config.read_text().replace("1000000", "1000001")
    bot.write_private(options.config, text)
    with time_machine.travel(NOW), pytest.raises(bot.SettingsError, match="acknowledgement"):
        bot.run_live(options, FakeRealHost())


def test_real_keys_beside_the_paper_keys_are_refused(tmp_path, pin):
    """The file that a paper process reads may not hold the real keys when real money is used."""
    options = prepare(tmp_path, dict.fromkeys(KEYS, True), pin)
    bot.write_private(options.config, options.config.read_text() + f"my_app: {'B' * 36}\n")
    with time_machine.travel(NOW), pytest.raises(bot.SettingsError, match="beside the paper keys"):
        bot.run_live(options, FakeRealHost())


@pytest.mark.parametrize("name", ["live-keys.yaml", "kis_devlp.yaml"])
def test_files_that_others_may_read_are_refused(tmp_path, pin, name):
    """Secrets in files with group or other rights stop the start."""
    options = prepare(tmp_path, dict.fromkeys(KEYS, True), pin)
    (tmp_path / name).chmod(0o640)
    with time_machine.travel(NOW), pytest.raises(bot.SettingsError, match="chmod"):
        bot.run_live(options, FakeRealHost())


def test_answer_that_names_another_account_ends_the_program():
    """A balance whose context begins with another account number is no balance of ours."""
    client = argparse.Namespace(profile=argparse.Namespace(account=bot.Secret(ACCOUNT)))
    orders = bot.KISOrder(client)  # type: ignore[arg-type]
    orders._check_account({"ctx_area_fk100": f"{ACCOUNT}!^01!^N!^"})
    orders._check_account({"ctx_area_fk100": " " * 100})
    with pytest.raises(bot.SettingsError, match="another one"):
        orders._check_account({"ctx_area_fk100": "11112222!^01!^N!^"})


@pytest.mark.parametrize(
    ("days", "quantity", "order_krw"),
    [(0, 1, 1_000_000), (4, 1, 1_000_000), (5, bot.CEILING_QUANTITY, 100_000),
     (14, bot.CEILING_QUANTITY, 100_000), (15, bot.CEILING_QUANTITY, 1_000_000)],
)  # fmt: skip
def test_first_live_days_have_smaller_limits(days, quantity, order_krw):
    """Five days one share an order, ten days a tenth of the money, by the journal's days."""
    limits = bot.ramped_limits(bot.Limits(**LIMITS), days)
    assert (limits.max_quantity, limits.max_order_krw) == (quantity, order_krw)


def test_owner_signs_with_the_account_tail(tmp_path, pin, monkeypatch, capsys):
    """--acknowledge shows the limits and wants them confirmed in words; anything else writes nothing."""
    options = prepare(tmp_path, dict.fromkeys(KEYS, True), pin)
    options.acknowledge = True
    signed = tmp_path / "state" / "live-acknowledgement.json"
    signed.unlink()
    for text, written in (("yes\n", False), (f"REAL MONEY {ACCOUNT[-2:]}\n", True)):
        monkeypatch.setattr("sys.stdin", iter_lines(text))
        code = bot.run_guarded(options, bot.run_live)
        assert (code == 0) is written
        assert signed.exists() is written
    assert "1,000,000" in capsys.readouterr().out
    assert ACCOUNT not in signed.read_text()


def iter_lines(text: str) -> argparse.Namespace:
    """Return something with readline(), as standard input has."""
    return argparse.Namespace(readline=lambda: text)


@pytest.mark.parametrize("name", bot.ENDPOINTS)
def test_a_service_has_a_tr_id_of_its_server(name):
    """Those of the real server begin with T, C, F or H; an order's of the paper server with V."""
    endpoint = bot.ENDPOINTS[name]
    assert endpoint.real and endpoint.real[0] in "TCFH"
    if endpoint.method == "POST":
        assert endpoint.paper and endpoint.paper[0] == "V"
