"""What a user copies works: the settings, the environment file, the strategies."""

import argparse
import asyncio
import io
import logging
import re
import statistics
from collections import deque
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path

import harness
import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

import kis_realtime_trading as bot
from companions import simulator

ROOT = Path(bot.__file__).resolve().parent
SETTINGS = (ROOT / "kis_devlp.yaml.example").read_text(encoding="utf-8")
ENVIRONMENT = (ROOT / ".env.example").read_text(encoding="utf-8")
KEY, SECRET = "PS" + "k" * 34, "s" * 180
MONEY = dict.fromkeys(("max_order_krw", "max_symbol_krw", "max_total_krw", "max_daily_loss_krw"))


# --- settings ---------------------------------------------------------------------------


def filled(text=SETTINGS):
    """Return the example as a user fills it in for paper."""
    values = {
        "paper_app": KEY, "paper_sec": SECRET, "my_htsid": "login", "my_paper_stock": "50123456",
        **dict(zip(MONEY, ("500_000", "1_000_000", "2_000_000", "50_000"), strict=True)),
    }  # fmt: skip
    for key, value in values.items():
        text, count = re.subn(rf'^( *{key}:) ["<].*[">]$', rf'\1 "{value}"', text, flags=re.M)
        assert count == 1, key
        text = text.replace(f'"{value}"', value) if key in MONEY else text
    return text


def faults(text, environment, environ=None):
    """Return the keys of all faults."""
    with pytest.raises(bot.SettingsError) as caught:
        bot.read_settings(text, environ or {}, environment)
    return {fault.key.split()[0] for fault in caught.value.faults}


def test_the_example_filled_in_is_the_defaults_and_has_no_fault():
    """Every value that it states is what would hold without it."""
    settings = bot.read_settings(filled(), {}, "paper")
    limits = bot.Limits(**dict(zip(MONEY, (500_000, 1_000_000, 2_000_000, 50_000), strict=True)))
    bare = bot.BotSettings(symbols=("005930", "000660"), limits=limits)
    parameters = bot.Breakout.Parameters(**settings.bot.parameters)
    assert settings.bot.model_copy(update={"parameters": {}}) == bare
    assert parameters == bot.Breakout.Parameters()
    assert (settings.profile.rest_url, settings.profile.ws_url) == (bot.PAPER_REST, bot.PAPER_WS)
    assert (
        bot.load_strategy(settings.bot.strategy, settings.bot.parameters).parameters == parameters
    )


@pytest.mark.parametrize(
    ("environment", "keys"),
    [
        ("paper", {"paper_app", "paper_sec", "my_paper_stock", "my_htsid"}),
        ("real", {"my_app", "my_sec", "my_acct_stock", "my_htsid"}),
    ],
)
def test_the_example_as_it_is_reports_every_placeholder_that_matters(environment, keys):
    """All at once: the keys of that environment and the money limits."""
    assert faults(SETTINGS, environment) == keys | {f"bot.limits.{name}" for name in MONEY}


def test_every_key_that_exists_is_in_the_example_and_no_other():
    """Keys of the official sample and of the section `bot`, each once."""
    data, doubled = bot.parse_yaml(SETTINGS)
    section = data["bot"]
    assert doubled == []
    assert set(data) == set(bot.SettingsFile.model_fields)
    assert set(section) == set(bot.BotSettings.model_fields)
    assert set(section["limits"]) == set(bot.Limits.model_fields)
    assert set(section["parameters"]) == set(bot.Breakout.Parameters.model_fields)


def shown(value):
    """Return a value as the comments write it."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, time):
        return f"{value:%H:%M}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str | float | Decimal):
        return str(value) or '""'
    return str(value).replace("()", "[]") or '""'


def bounds(field):
    """Return the bounds of a field as the comments write them, "" for none."""
    least = most = ""
    for each in field.metadata:
        whole = field.annotation in (int, int | None)
        for name, text in (
            ("gt", "above {}"),
            ("ge", "{}"),
            ("le", ".. {}"),
            ("max_length", ".. {}"),
        ):
            value = getattr(each, name, None)
            if value is None:
                continue
            if name == "gt" and whole and field.is_required():
                least = f"{value + 1:,}"
            elif name in ("gt", "ge"):
                least = text.format(f"{value:,}".removesuffix(".0"))
            else:
                most = text.format(f"{value:,}")
    return f"{least} {most}".strip()


def comment_of(key):
    """Return the parts of the comment above a key: meaning, unit, bounds, default."""
    block = re.search(rf"((?:^ *#.*\n)+) *{key}:", SETTINGS, re.M)[1]
    lines = [
        line.strip(" #") for line in block.splitlines() if not line.strip().startswith("# ---")
    ]
    return [part.strip() for part in " ".join(lines).split("|")]


EXPLAINED = [
    (key, field)
    for model in (bot.BotSettings, bot.Limits, bot.Breakout.Parameters)
    for key, field in model.model_fields.items()
    if key not in ("limits", "market_clock")
]


@pytest.mark.parametrize(("key", "field"), EXPLAINED, ids=[key for key, _ in EXPLAINED])
def test_the_comment_of_a_key_tells_bounds_and_default(key, field):
    """In Korean and English, with the bounds of the program and its default, or that there is none."""
    parts = comment_of(key)
    assert bounds(field) in " | ".join(parts[1:-1])
    default = parts[-1].split(" / ")[0]
    assert default == (
        "no default" if field.is_required() else shown(field.get_default(call_default_factory=True))
    )
    korean = re.search("[가-힣]", parts[0])
    assert korean and re.search("[a-z]{3}", parts[0])


def test_the_clock_of_a_simulator_is_explained():
    """Its keys, bounds and default."""
    text = " ".join(comment_of("market_clock"))
    assert all(name in text for name in bot.ClockAnchor.model_fields)
    assert bounds(bot.ClockAnchor.model_fields["speed"]) in text


def test_secrets_may_stand_in_the_environment_instead():
    """.env.example with values, and the settings with their placeholders, are one set-up."""
    values = {
        "KIS_APP_KEY_VIRTUAL": KEY, "KIS_APP_SECRET_VIRTUAL": SECRET, "KIS_HTS_ID": "login",
        "KIS_VIRTUAL_ACCOUNT": "50123456-01", "TELEGRAM_BOT_TOKEN": "1:x", "TELEGRAM_CHAT_ID": "7",
    }  # fmt: skip
    text = ENVIRONMENT
    for key, value in values.items():
        text = text.replace(f"#{key}=", f"{key}={value}")
    environ = {key: value or "" for key, value in dotenv_values(stream=io.StringIO(text)).items()}
    assert environ == values
    limits_only = filled()
    for key in ("paper_app", "paper_sec", "my_paper_stock", "my_htsid"):
        line = re.search(rf"^{key}:.*$", SETTINGS, re.M)[0]
        limits_only = re.sub(rf"^{key}:.*$", line, limits_only, flags=re.M)
    settings = bot.read_settings(limits_only, environ, "paper")
    assert settings.profile.account.reveal() + settings.profile.product == "5012345601"
    assert settings.telegram_chat == "7"


def test_the_environment_counts_more_than_its_file_and_the_file_beside_the_settings_first(
    tmp_path, monkeypatch
):
    """A variable that is set, then .env beside the settings, then one where the bot is started."""
    there, here = tmp_path / "there", tmp_path / "here"
    for folder, chat in ((there, "7"), (here, "8")):
        folder.mkdir()
        (folder / ".env").write_text(f"TELEGRAM_CHAT_ID={chat}\nTELEGRAM_BOT_TOKEN=1:x\n")
        (folder / ".env").chmod(0o600)
    path = there / bot.SETTINGS_NAME
    path.write_text(filled())
    path.chmod(0o600)
    monkeypatch.chdir(here)
    monkeypatch.delenv("TELEGRAM_CHAT_ID", raising=False)
    options = argparse.Namespace(config=path, demo=False, language=None, strategy=None)

    def chat():
        return bot.load_settings(options, "paper")[0].telegram_chat

    found = [chat()]
    (there / ".env").unlink()
    found.append(chat())
    monkeypatch.setenv("TELEGRAM_CHAT_ID", "9")
    assert [*found, chat()] == ["7", "8", "9"]


# --- strategies -------------------------------------------------------------------------

SYMBOL, DAY = "005930", date(2026, 11, 20)
SESSION = bot.session_of(DAY)
RANGE = f"{ROOT / 'strategies' / 'opening_range.py'}:OpeningRange"
RULES = f"{ROOT / 'strategies' / 'week_dip.kis.yaml'}"
PULLBACK = f"{ROOT / 'strategies' / 'vwap_pullback.py'}:VwapPullback"
DIP = f"{ROOT / 'strategies' / 'mean_reversion.py'}:MeanReversion"
PAGE = "docs/en/strategies.md"


def from_page(page, folder):
    """Write the strategy of a page into a file, as its reader does; return its name."""
    code = re.search(r"^```python\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.M | re.S)[1]
    file = folder / "vwap_cross.py"
    file.write_text(code, encoding="utf-8")
    return f"{file}:VwapCross"


def bar_of(n, close, high=None, gap=False, day=SESSION):
    """Return the n-th bar of five minutes of a session."""
    start = day.open + timedelta(minutes=5 * n)
    end = start + timedelta(minutes=5)
    return bot.Bar(SYMBOL, start, end, close, high or close, close, close, 100, close * 100, 9, gap)


def view_of(bars=(), cash_krw=10_000_000, open_orders=0, **changes):
    """Return a view with cash and a VWAP, and bars already seen."""
    view = bot.StrategyView(SYMBOL, SESSION.open, SESSION, bot.Position(), deque(bars, maxlen=500))
    view.day_vwap, view.ask_cash = 70_000.0, lambda symbol: cash_krw
    view.ask_orders = lambda symbol: open_orders
    for name, value in changes.items():
        setattr(view, name, value)
    return view


def close_bar(strategy, view, bar):
    """Close one bar; return what is wanted."""
    view.bars.append(bar)
    return strategy.on_bar(view, bar)


CALM = [70_100, 69_900] * 3  # mean 70,000, deviation 100
CALM_BARS = [bar_of(n, close) for n, close in enumerate(CALM)]
FAR = bar_of(6, 69_000)
CALM_VIEW = {"window_bars": 6, "min_gain_pct": 0.5}


def dip(**parameters):
    """Return the strategy of the folder, loaded as --strategy does it."""
    return bot.load_strategy(DIP, {**CALM_VIEW, **parameters})


def test_a_dip_is_bought_with_the_mean_as_target():
    """Entry above the close, target at the mean of the closes before, stop below, size by risk."""
    request = close_bar(dip(), view_of(CALM_BARS), FAR)
    # 69,000 x 1.002 up to a tick; 69,200 x 0.99 down; 50,000 won / (69,200 - 68,500)
    assert (request.price, request.plan) == (69_200, bot.ExitPlan(68_500, 70_000))
    assert (request.quantity, request.side, request.signal) == (71, bot.Side.BUY, "0935")
    assert dict(request.facts)["deviation"] == statistics.pstdev(CALM) == 100.0


@pytest.mark.parametrize(
    ("bars", "bar", "changes", "parameters"),
    [
        (CALM_BARS, bar_of(6, 69_800), {}, {"min_gain_pct": 0}),
        (CALM_BARS, FAR, {"day_vwap": 69_000.0}, {}),
        (CALM_BARS, FAR, {"day_vwap": 0.0}, {}),
        (CALM_BARS, FAR, {}, {"max_fall_pct": 1.5}),
        ([*CALM_BARS[:2], bar_of(2, 70_100, high=71_200), *CALM_BARS[3:]], FAR, {}, {}),
        (CALM_BARS, FAR, {}, {"min_gain_pct": 1.2}),
        (CALM_BARS[1:], FAR, {}, {}),
        (CALM_BARS, bar_of(6, 69_000, gap=True), {}, {}),
        (CALM_BARS, FAR, {"position": bot.Position(quantity=1)}, {}),
        (CALM_BARS, FAR, {"open_orders": 1}, {}),
        (CALM_BARS, FAR, {"cash_krw": 69_199}, {}),
    ],
    ids=["two deviations are not below", "at the vwap", "no vwap", "free fall", "fell from a high",
         "mean too near", "too few bars", "gap", "holds shares", "an order is open", "cash"],
)  # fmt: skip
def test_one_missing_condition_is_no_entry(bars, bar, changes, parameters):
    """Each condition is needed; the usual case beside it buys."""
    assert close_bar(dip(**parameters), view_of(bars, **changes), bar) is None


def test_bars_of_yesterday_are_not_in_the_window():
    """A jump over night is no dip."""
    yesterday = bot.session_of(bot.previous_trading_day(DAY))
    old = [bar_of(n, close, day=yesterday) for n, close in enumerate(CALM)]
    assert close_bar(dip(), view_of(old), bar_of(0, 69_000)) is None


@pytest.mark.parametrize("bars", [0, 1, 3])
def test_a_pause_follows_an_entry(bars):
    """cooldown_bars bars pass without an entry, however far the price is."""
    strategy, view = dip(cooldown_bars=bars, max_fall_pct=20), view_of(CALM_BARS)
    closes = [69_000, 67_000, 65_000, 62_000, 58_000]
    wants = [close_bar(strategy, view, bar_of(6 + n, close)) for n, close in enumerate(closes)]
    assert [want is None for want in wants[: bars + 2]] == [False, *[True] * bars, False]


@given(
    st.integers(2_000, 900_000), st.booleans(), st.floats(0.1, 20), st.floats(0, 2),
    st.integers(1_000, 10**7), st.integers(0, 10**9),
)  # fmt: skip
def test_a_dip_of_any_price_makes_a_valid_order(price, fund, stop_pct, slippage_pct, risk, cash):
    """Valid ticks, stop < entry < target, size within cash and risk."""
    level = bot.round_to_tick(price, fund, up=True)
    low = bot.round_to_tick(level * 0.95, fund, up=False)
    strategy = dip(stop_pct=stop_pct, slippage_pct=slippage_pct, risk_krw=risk, max_fall_pct=20)
    view = view_of([bar_of(n, level) for n in range(6)], fund=fund, cash_krw=cash, day_vwap=level)
    request = close_bar(strategy, view, bar_of(6, low))
    if request is None:
        return
    plan = request.plan
    prices = (plan.stop_price, request.price, plan.target_price)
    assert sorted(set(prices)) == list(prices)
    assert all(bot.is_valid_tick(each, fund) for each in prices)
    assert 0 < request.quantity * request.price <= cash
    assert request.quantity * (request.price - plan.stop_price) <= risk


@pytest.mark.parametrize("page", ["docs/en/strategies.md", "docs/ko/strategies.md"])
def test_the_strategy_of_the_page_buys_and_sells_as_it_says(page, tmp_path):
    """First close above the VWAP after three below; a close below sells; else nothing."""
    strategy = bot.load_strategy(from_page(page, tmp_path), {})
    below = [bar_of(n, 69_900) for n in range(3)]
    request = close_bar(strategy, view_of(below), bar_of(3, 70_100))
    assert (request.side, request.quantity, request.price) == (bot.Side.BUY, 14, 70_100)
    assert (request.plan, request.reason) == (bot.ExitPlan(69_300), "above VWAP")
    assert close_bar(strategy, view_of(below[1:]), bar_of(3, 70_100)) is None
    assert close_bar(strategy, view_of([*below, bar_of(3, 70_100)]), bar_of(4, 70_200)) is None
    assert close_bar(strategy, view_of(below, cash_krw=70_099), bar_of(3, 70_100)) is None
    held = {"position": bot.Position(quantity=5)}
    assert close_bar(strategy, view_of(below, **held), bar_of(3, 70_100)) is None
    sold = close_bar(strategy, view_of(below, **held), bar_of(3, 69_900))
    assert (sold.side, sold.quantity, sold.reason) == (bot.Side.SELL, 5, "below VWAP")


@pytest.mark.parametrize(
    ("name", "parameters", "reasons"),
    [
        (DIP, {"window_bars": 10, "entry_deviations": 0.5, "min_gain_pct": 0}, {"dip", "target"}),
        (PAGE, {}, {"above VWAP", "below VWAP"}),
        (RANGE, {"range_minutes": 5, "volume_ratio": 0.5}, {"opening range"}),
        (PULLBACK, {}, {"pullback"}),
        (RULES, {}, {"entry rule"}),
    ],
    ids=["mean reversion", "of the page", "opening range", "VWAP pullback", "rules of a file"],
)
def test_it_trades_an_hour_of_the_simulated_market(name, parameters, reasons, tmp_path, caplog):
    """The whole bot in virtual time: it buys and sells, and the books equal the simulator's."""
    caplog.set_level(logging.CRITICAL, logger="kisbot")
    name = from_page(name, tmp_path) if name == PAGE else name
    config = simulator.SimulatorConfig(symbols=("247540",), density=6, seed=4)
    limits = {"max_data_age_s": 60, "max_quote_age_s": 60}
    changes = {"limits": limits, "bar_minutes": 1}
    world = harness.World(config, start="08:58:00", settings=changes)

    async def hour():
        driver = asyncio.create_task(world.network.drive())
        trader = world.make_trader(bot.load_strategy(name, parameters))
        run = asyncio.create_task(trader.run(one_day=True))
        await world.until("09:35:00")
        trader.stop("the hour is over")
        await run
        driver.cancel()
        trader.journal.close()
        return trader.engine.core.ledger

    try:
        ledger = harness.run_virtual(hour())
        done = {each.intent.reason for each in ledger.orders.values() if each.filled_quantity}
        assert done >= reasons
        assert harness.differences(world.sim, ledger) == []
    finally:
        world.close()


def test_the_folder_names_its_strategies():
    """Each file of the folder stands in its README with its class."""
    page = (ROOT / "strategies" / "README.md").read_text("utf-8")
    files = sorted((ROOT / "strategies").glob("*.py"))
    assert files
    for file in (ROOT / "strategies").glob("*.kis.yaml"):
        assert f"[{file.name}]" in page
    for file in files:
        if file.stem.startswith("kis_"):  # the reader of .kis.yaml files and its indicators
            continue
        name = re.search(r"^class (\w+)\(TradingStrategy\)", file.read_text("utf-8"), re.M)[1]
        assert f"[{file.name}]" in page and f"`{name}`" in page
        assert type(bot.load_strategy(f"{file}:{name}", {})).__name__ == name


def test_every_reason_of_the_examples_is_told_in_korean():
    """The chat of a Korean says why in Korean; a strategy of his own says what he wrote."""
    files = [*sorted((ROOT / "strategies").glob("*.py")), *sorted((ROOT / "docs").glob("*/strategies.md"))]  # fmt: skip
    named = {
        reason
        for file in files
        for reason in re.findall(r"view\.(?:buy|sell)\([^\n]*?, \"([a-zA-Z ]+)\"", file.read_text("utf-8"))
    }  # fmt: skip
    assert {"entry rule", "exit rule", "dip", "leads", "fell behind", "above VWAP"} <= named
    assert [
        reason for reason in sorted(named) if not re.search("[가-힣]", bot.in_korean(reason))
    ] == []
