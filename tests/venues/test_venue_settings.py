"""`venues.yaml`: every fault in one round, no secret in any of them."""

from pathlib import Path

import pytest

from kis_realtime_trading import SettingsError
from venues.settings import VenueSettings, load_settings, read_settings

ROOT = Path(__file__).resolve().parents[2]
KEY = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCd"
BAD = f"""
language: fr
upbit: {{use: dry, markets: [krw-btc], foo: 1}}
kimchi: {{high_pct: -4, coins: [], repeat_s: -1, figure: fx, step_pct: true}}
binance: {{limits: {{max_order: "5"}}, markets: [BTCUSDT, BTCUSDT]}}
bank_rates: [{{source: a, krw: 5, at: soon}}]
secret_key: {KEY}
"""


def faults_of(text, environ):
    """Return the faults of a settings text."""
    with pytest.raises(SettingsError) as caught:
        read_settings(text, environ)
    return caught.value.faults


def test_all_faults_are_told_at_once():
    """Wrong values, unknown keys, what contradicts what, and half a pair of keys: one round."""
    found = {fault.key for fault in faults_of(BAD, {"UPBIT_ACCESS_KEY": KEY})}
    assert {
        "language", "upbit.markets.0", "upbit.foo", "upbit.limits", "kimchi.coins", "kimchi.step_pct",
        "kimchi.repeat_s", "kimchi.figure", "kimchi.low_pct", "binance.markets",
        "binance.limits.max_coin", "binance.limits.max_total", "binance.limits.max_day",
        "bank_rates.0.krw", "bank_rates.0.at", "secret_key", "UPBIT_SECRET_KEY",
    } == found  # fmt: skip


@pytest.mark.parametrize("language", ["ko", "en"])
def test_no_fault_shows_a_long_text(language):
    """A key that was pasted into the file is counted, never shown."""
    told = "\n".join(fault.said(language) for fault in faults_of(BAD, {}))
    assert KEY[:8] not in told


@pytest.mark.parametrize("language", ["ko", "en"])
def test_every_fault_speaks_the_language(language):
    """Korean lines hold Korean, English ones none."""
    for fault in faults_of(BAD, {"UPBIT_ACCESS_KEY": KEY}):
        korean = any("가" <= letter <= "힣" for letter in fault.said(language))
        assert korean == (language == "ko"), fault.said(language)


def test_without_a_file_the_defaults_hold(tmp_path, monkeypatch):
    """The premium needs neither file nor key; a named file must be there."""
    monkeypatch.chdir(tmp_path)
    assert VenueSettings() == load_settings(None, {})[0]
    with pytest.raises(SettingsError):
        load_settings(tmp_path / "none.yaml", {})


def test_the_example_is_read_and_changes_nothing():
    """What the example shows are the defaults; copying it changes nothing."""
    settings, _ = read_settings((ROOT / "venues.yaml.example").read_text("utf-8"), {})
    assert VenueSettings() == settings


def test_money_limits_have_no_default_and_an_order():
    """Where orders are sent limits must stand, an order below a coin below the total."""
    keys = {"BINANCE_API_KEY": KEY, "BINANCE_SECRET_KEY": KEY}
    (fault,) = faults_of("binance: {use: testnet}", keys)
    assert fault.key == "binance.limits"
    bad = "binance: {use: testnet, limits: {max_order: 9, max_coin: 8, max_total: 10, max_day: 5}}"
    assert [each.key for each in faults_of(bad, keys)] == ["binance.limits"]


def test_a_number_is_read_as_it_is_written():
    """0.1 of the file is 0.1, whatever YAML makes of it."""
    settings, _ = read_settings("kimchi: {hysteresis_pct: 0.1}", {})
    assert str(settings.kimchi.hysteresis_pct) == "0.1"
