"""Settings: texts in, settings or every fault at once out; no secret in any message."""

import copy
import json
import pickle
from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kis_realtime_trading as bot

REAL_KEY, REAL_SECRET = "PSrealrealrealrealrealrealrealrealre", "R" + "a1B2/+c=" * 22
PAPER_KEY, PAPER_SECRET = "PSpaperpaperpaperpaperpaperpaperpape", "P" + "z9Y8/+x=" * 22

# the file of the official samples, in the same words and order, plus our section
FILE = f"""\
#홈페이지에서 API서비스 신청시 발급 AppKey, AppSecret 값 설정
#실전투자
my_app: "{REAL_KEY}"
my_sec: "{REAL_SECRET}"

#모의투자
paper_app: "{PAPER_KEY}"
paper_sec: "{PAPER_SECRET}"

#HTS ID
my_htsid: "trader1"

#계좌번호 앞 8자리
my_acct_stock: "01234567"
my_acct_future: "12345679"
my_paper_stock: "00765432"
my_paper_future: "50012346"

#계좌번호 뒤 2자리
my_prod: "01" # 종합계좌

#domain infos
prod: "https://openapi.koreainvestment.com:9443" # 서비스
ops: "ws://ops.koreainvestment.com:21000" # 웹소켓
vps: "https://openapivts.koreainvestment.com:29443" # 모의투자 서비스
vops: "ws://ops.koreainvestment.com:31000" # 모의투자 웹소켓

my_token: ""

# User-Agent; Chrome > F12 개발자 모드 > Console > navigator.userAgent > 자신의 userAgent 확인가능
my_agent: "Mozilla/5.0"

bot:
  symbols: ['005930', '000660']
  limits:
    max_order_krw: 1000000
    max_symbol_krw: 2_000_000
    max_total_krw: 5000000
    max_daily_loss_krw: 100000
"""
SECRETS = (REAL_KEY, REAL_SECRET, PAPER_KEY, PAPER_SECRET, "01234567", "00765432", "trader1")


def read(text=FILE, environ=None, environment="paper", need_bot=True):
    """Return the settings of a text."""
    return bot.read_settings(text, environ or {}, environment, need_bot=need_bot)


def faults(text=FILE, environ=None, environment="paper", need_bot=True):
    """Return the faults of a text by key."""
    with pytest.raises(bot.SettingsError) as caught:
        read(text, environ, environment, need_bot)
    return {fault.key: fault for fault in caught.value.faults}


def changed(old, new):
    """Return the file with a part replaced."""
    assert FILE.count(old) == 1
    return FILE.replace(old, new)


def with_bot(lines):
    """Return the file with lines added to the section `bot`."""
    return FILE + "".join(f"  {line}\n" for line in lines)


# --- a file that works ------------------------------------------------------------------


def test_an_official_file_works_unchanged():
    """The file of the KIS samples is read as it is; what it does not say is the default."""
    settings = read()
    profile, section = settings.profile, settings.bot
    assert (profile.environment, profile.rest_url, profile.ws_url) == (
        "paper", bot.PAPER_REST, bot.PAPER_WS
    )  # fmt: skip
    shown = (profile.app_key, profile.app_secret, profile.account, profile.hts_id)
    assert [secret.reveal() for secret in shown] == [
        PAPER_KEY, PAPER_SECRET, "00765432", "trader1"
    ]  # fmt: skip
    assert (profile.product, profile.agent, profile.simulated) == ("01", "Mozilla/5.0", False)
    assert section.symbols == ("005930", "000660")
    assert (section.limits.max_symbol_krw, section.flat_at) == (2_000_000, time(15, 12))
    assert (section.language, section.stock_fee_pct) == ("ko", Decimal("0.0140527"))
    assert (settings.telegram_token.reveal(), settings.telegram_chat) == ("", "")


def test_each_environment_holds_its_own_keys_only():
    """A paper process never has the real keys in its hands, and the reverse."""
    paper, real = read().profile, read(environment="real").profile
    held = [
        {value.reveal() for name in p.__dataclass_fields__
         if isinstance(value := getattr(p, name), bot.Secret)}
        for p in (paper, real)
    ]  # fmt: skip
    assert held[0] & held[1] == {"trader1"}
    assert not held[0] & {REAL_KEY, REAL_SECRET, "01234567"}
    assert (real.rest_url, real.ws_url) == (bot.REAL_REST, bot.REAL_WS)


def test_paper_needs_no_real_keys():
    """The real half may be empty on a machine that trades on paper."""
    text = FILE.replace(REAL_KEY, "").replace(REAL_SECRET, "").replace("01234567", "")
    assert read(text).profile.app_key.reveal() == PAPER_KEY


@pytest.mark.parametrize(
    ("account", "product", "expected"),
    [
        ("00765432", "01", ("00765432", "01")), ("00765432-22", "01", ("00765432", "22")),
        ("0076543222", "01", ("00765432", "22")), ("50012345", "", ("50012345", "01")),
    ],
)  # fmt: skip
def test_account_numbers_in_every_usual_form(account, product, expected):
    """8 digits, 8-2, or 10; zeros in front are kept."""
    text = changed('"00765432"', account).replace('my_prod: "01"', f'my_prod: "{product}"')
    profile = read(text).profile
    assert (profile.account.reveal(), profile.product) == expected


def test_codes_with_leading_zeros_stay_text_without_quotes():
    """Plain YAML reads 005930 as an octal number and 000660 too."""
    section = read(changed("['005930', '000660']", "[005930, 000660, 373220, 0088D0]")).bot
    assert section.symbols == ("005930", "000660", "373220", "0088D0")


def test_times_and_words_stay_what_they_are():
    """15:10 is no number of base 60, and `on` is no boolean."""
    section = read(with_bot(["flat_at: 15:10", "last_entry: 14:00", "state_dir: on"])).bot
    assert (section.flat_at, section.last_entry, section.state_dir) == (
        time(15, 10), time(14), "on"
    )  # fmt: skip


def test_flat_at_can_be_switched_off():
    """null: positions are held over night."""
    assert read(with_bot(["flat_at: null"])).bot.flat_at is None


def test_check_runs_without_our_section():
    """--check works with the file of the samples alone; trading does not."""
    text = FILE.partition("bot:")[0]
    assert read(text, need_bot=False).bot is bot.NO_SECTION
    assert set(faults(text)) == {"bot"}


# --- the environment --------------------------------------------------------------------

VARIABLES = {
    "KIS_APP_KEY_VIRTUAL": PAPER_KEY, "KIS_APP_SECRET_VIRTUAL": PAPER_SECRET,
    "KIS_VIRTUAL_ACCOUNT": "00765432", "KIS_HTS_ID": " trader1 ",
}  # fmt: skip


def test_environment_variables_fill_in():
    """Keys may come from outside; blanks around them do no harm."""
    text = FILE.partition("bot:")[2]
    profile = read("bot:" + text, VARIABLES).profile
    assert [profile.app_key.reveal(), profile.account.reveal(), profile.hts_id.reveal()] == [
        PAPER_KEY, "00765432", "trader1"
    ]  # fmt: skip


def test_environment_variables_replace_placeholders():
    """An example file left as it is and filled variables work together."""
    text = FILE.replace(PAPER_KEY, "모의투자 앱키").replace("trader1", "사용자 HTS ID")
    assert read(text, VARIABLES).profile.app_key.reveal() == PAPER_KEY


def test_a_variable_that_contradicts_the_file_is_a_fault():
    """Nobody guesses which of two keys is meant; also for the other environment's."""
    environ = {"KIS_APP_KEY_VIRTUAL": PAPER_KEY[::-1], "KIS_APP_KEY_REAL": "PSotherother"}
    found = faults(environ=environ)
    assert set(found) == {"paper_app", "my_app"}
    assert "KIS_APP_KEY_VIRTUAL" in found["paper_app"].found


@pytest.mark.parametrize("given", bot.TELEGRAM_KEYS)
def test_one_telegram_value_without_the_other_is_a_fault(given):
    """A token alone, or a chat alone, would be silence that looks like alerts."""
    [missing] = set(bot.TELEGRAM_KEYS) - {given}
    assert set(faults(environ={given: "123"})) == {missing}


# --- faults -----------------------------------------------------------------------------


def test_ten_faults_are_reported_in_one_run():
    """Each with its key, what was found, and what is expected."""
    text = (
        FILE.replace(PAPER_KEY, "앱키를 여기에 입력")
        .replace(f'"{PAPER_SECRET}"', "")
        .replace('"00765432"', "1234")
        .replace('my_prod: "01"', "my_prod: 1")
        .replace('"trader1"', '"a b"')
        .replace(bot.PAPER_REST, bot.REAL_REST)
        .replace(bot.PAPER_WS, "ws://evil.example:31000")
        .replace("['005930', '000660']", "[5930]")
        .replace("    max_order_krw: 1000000\n", "")
        .replace("max_total_krw: 5000000", "max_total_krw: 5,000,000")
    ) + "  bar_minutes: 0\n  colour: red\nmy_apq: x\n"
    found = faults(text, {"TELEGRAM_CHAT_ID": "1"})
    assert sorted(found) == [
        "TELEGRAM_BOT_TOKEN", "bot.bar_minutes", "bot.colour", "bot.limits.max_order_krw",
        "bot.limits.max_total_krw", "bot.symbols", "my_apq", "my_htsid",
        "my_paper_stock", "my_prod",
        "paper_app", "paper_sec", "vops", "vps",
    ]  # fmt: skip
    assert all(fault.found and fault.expected for fault in found.values())
    assert "my_app" in found["my_apq"].expected
    assert found["vps"].found == "the host of the other environment"
    lines = str(bot.SettingsError(list(found.values()))).splitlines()
    assert len(lines) == len(found)
    assert all(": found " in line and ", expected " in line for line in lines)


@pytest.mark.parametrize(
    "text",
    ["앱키", "모의투자 앱키", "앱키 입력", "시크릿키를 여기에", "<app key>", "your app key here",
     "paste-your-key", "CHANGE_ME", "changeme", "placeholder", "TODO", "xxxxxxxx", "********"],
)  # fmt: skip
def test_placeholders_are_recognised_in_both_languages(text):
    """The example's words are no keys."""
    fault = faults(FILE.replace(PAPER_KEY, text))["paper_app"]
    assert fault.found == "the placeholder of the example"


@pytest.mark.parametrize("part", ["your", "YoUr", "XXxX", "/here+", "+TODO/"])
def test_a_genuine_secret_may_contain_any_letters(part):
    """180 random base64 characters hold such a run once in some thousand keys."""
    genuine = PAPER_SECRET[:90] + part + PAPER_SECRET[90:]
    assert read(FILE.replace(PAPER_SECRET, genuine)).profile.app_secret.reveal() == genuine


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        (f'"{PAPER_KEY}"', "true", "paper_app"),
        (f'"{PAPER_KEY}"', "[a, b]", "paper_app"),
        (f'"{PAPER_KEY}"', "{a: b}", "paper_app"),
        (f'"{PAPER_KEY}"', "1.5", "paper_app"),
        (f'"{PAPER_KEY}"', f'"{PAPER_KEY} "', "paper_app"),
        ('"00765432"', '"0076543"', "my_paper_stock"),
        ('"00765432"', '"00765432-1"', "my_paper_stock"),
        ('"00765432"', "007.5432", "my_paper_stock"),
    ],
)  # fmt: skip
def test_credentials_of_another_form_are_faults(old, new, key):
    """A boolean, a list, a fraction, a blank at the end, too few digits."""
    assert key in faults(changed(old, new))


def test_swapped_key_and_secret_are_a_fault():
    """The app key is the short one."""
    secret = PAPER_SECRET[:100]
    swapped = FILE.replace(PAPER_SECRET, "*").replace(PAPER_KEY, secret).replace("*", PAPER_KEY)
    assert set(faults(swapped)) == {"paper_sec"}


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("vps", "https://openapivts.koreainvestment.com:9443"),
        ("vps", "https://openapi.koreainvestment.com:9443"),
        ("vps", "http://openapivts.koreainvestment.com:29443"),
        ("vps", "https://example.com"), ("vps", "https://127.0.0.1.example.com"),
        ("vps", "https://localhost@example.com"), ("vps", "https://192.168.0.5:8000"),
        ("vps", "ftp://127.0.0.1"), ("vops", "ws://ops.koreainvestment.com:21000"),
        ("vops", "wss://127.0.0.1"), ("vops", "ws://example.com"), ("vps", "127.0.0.1:8000"),
        ("vps", "http://[::1"), ("vps", r"http://example.com\\@127.0.0.1"),
        ("vps", "http://127.0.0.1:123456"), ("vps", "http://127.0.0.1#@example.com"),
    ],
)  # fmt: skip
def test_other_hosts_are_refused(key, url):
    """The two official hosts of the environment, or this machine; nothing else."""
    official = bot.SettingsFile.model_fields[key].default
    assert set(faults(changed(f'"{official}"', f'"{url}"'))) == {key}


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_this_machine_may_stand_in_for_the_broker(host):
    """A simulator on loopback; the profile says so."""
    text = FILE.replace(bot.PAPER_REST, f"http://{host}/").replace(bot.PAPER_WS, f"ws://{host}")
    profile = read(text).profile
    assert (profile.rest_url, profile.ws_url, profile.simulated) == (
        f"http://{host}", f"ws://{host}", True
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("market_clock: {unix: 1.0, market: '2026-11-20T08:50:00+09:00'}", "bot.market_clock"),
        ("rest_calls_per_second: 2", "bot.rest_calls_per_second"),
        ("telegram_api: https://example.com", "bot.telegram_api"),
    ],
)
def test_the_switches_of_a_simulator_are_refused_outside_one(line, key):
    """A wrong clock or pace against KIS would be dangerous; the token leaves for Telegram only."""
    assert set(faults(with_bot([line]))) == {key}


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x", "ftp://example.com/x", "https://", "https:///x", "example.com/x",
        "https://user:word@example.com/x", "file:///etc/passwd", "https://a b.com/x", "javascript:1",
        "http://127.0.0.1.example.com/x", "https://example", "http://[::1", "https://예시.com/x\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["webhook_url", "heartbeat_url"])
def test_an_address_for_alerts_must_be_https_or_this_machine(key, url):
    """Refused by its name; the address itself, a secret, stands in no text."""
    found = faults(with_bot([f'{key}: "{url}"']))
    assert set(found) == {f"bot.{key}"}
    assert found[f"bot.{key}"].found == "another address"
    assert "https" in found[f"bot.{key}"].expected


@pytest.mark.parametrize(
    "url",
    ["https://hooks.example.com/services/T0/B0/x-y?z=1", "http://127.0.0.1:8000/x", "http://[::1]/", ""],
)  # fmt: skip
def test_an_address_for_alerts_is_taken(url):
    """https anywhere, plain on this machine only; nothing is the usual case."""
    taken = read(with_bot([f'webhook_url: "{url}"', f'heartbeat_url: "{url}"'])).bot
    assert taken.webhook_url.get_secret_value() == taken.heartbeat_url.get_secret_value() == url


def test_a_slower_pace_is_allowed_everywhere():
    """Only going faster than the broker allows is a fault."""
    assert read(with_bot(["rest_calls_per_second: 0.5"])).bot.rest_calls_per_second == 0.5


@pytest.mark.parametrize(
    "key", ["max_order_krw", "max_symbol_krw", "max_total_krw", "max_daily_loss_krw"]
)
def test_a_missing_money_limit_refuses(key):
    """There is no default for money on purpose."""
    text = "".join(line for line in FILE.splitlines(True) if f" {key}:" not in line)
    assert faults(text)[f"bot.limits.{key}"].found == "nothing"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_order_krw", "0"), ("max_order_krw", "-1"), ("max_order_krw", "100000001"),
        ("max_order_krw", "1.5"), ("max_order_krw", "1e6"), ("max_order_krw", "nan"),
        ("max_order_krw", "null"), ("max_total_krw", "1000000001"), ("collar_pct", "nan"),
        ("collar_pct", "inf"), ("collar_pct", "0"), ("collar_pct", "11"), ("max_data_age_s", "0"),
        ("max_daily_loss_pct", "nan"), ("max_orders_per_minute", "31"), ("max_positions", "0"),
        ("max_drawdown_krw", "0"), ("unheard_of", "1"),
    ],
)  # fmt: skip
def test_limits_beyond_the_ceilings_or_not_a_number_refuse(key, value):
    """No setting goes above the ceilings, and "not a number" switches no rule off."""
    lines = [line for line in FILE.splitlines(True) if f" {key}:" not in line]
    assert f"bot.limits.{key}" in faults("".join(lines) + f"    {key}: {value}\n")


@pytest.mark.parametrize(
    "line",
    ["bar_minutes: 61", "entry_timeout_s: 0", "flat_at: 25:00", "language: fr", "funds: [69500]",
     "stock_fee_pct: -0.1", "on_stop: panic", "symbol: 005930", "last_entry: 14:50+09:00",
     "flat_at: 15:12Z", "market_clock: {unix: inf, market: '2026-11-20T08:50:00+09:00'}",
     "market_clock: {unix: 1, market: '0001-01-01T00:00:00+14:00'}"],
)  # fmt: skip
def test_other_settings_out_of_bounds_refuse(line):
    """Bounds and spelling of every key are checked."""
    key = f"bot.{line.partition(':')[0]}"
    assert [found for found in faults(with_bot([line])) if found.startswith(key)]


@pytest.mark.parametrize(
    "codes",
    ["[]", "'005930'", "[005930, 005930]", "[0059300]", "[00593a]", "[Q5000011]", "[123.456]"],
)
def test_symbols_are_codes_each_once(codes):
    """Six characters, or a Q and six; no doubles; at least one."""
    assert set(faults(changed("['005930', '000660']", codes))) == {"bot.symbols"}


def test_entries_after_the_daily_exit_are_a_fault():
    """Entries allowed after flat_at are bought and sold at once, again and again."""
    for lines in (
        ["flat_at: 11:00", "last_entry: 14:50"],
        ["flat_at: 14:49"],
        ["last_entry: 15:13"],
    ):
        assert set(faults(with_bot(lines))) == {"bot.flat_at"}
    same = read(with_bot(["flat_at: 14:50", "last_entry: 14:50"])).bot
    assert same.flat_at == same.last_entry
    assert read(with_bot(["flat_at: null", "last_entry: 15:19"])).bot.flat_at is None


MANY_FAULTS = """\
paper_app: "모의투자 앱키"
paper_sec: ""
my_htsid: "a b"
my_paper_stock: "1234"
my_prod: 1
my_tokn: ""
vps: "https://openapi.koreainvestment.com:9443"
vops: "ws://evil.example:31000"
flat_at: 15:10
bot:
  symbol: ["005930"]
  symbols: ["005930", "삼성전자", "005930"]
  max_positions: 3
  strategy: breakot
  langauge: en
  mode: papr
  bar_minutes: five
  entry_timeout_s: -1
  last_entry: 25:00
  flat_at: 15:40
  funds: [69500]
  hashkey: maybe
  record: "yes"
  market_clock: {unix: 1, market: "2026-11-20T08:50:00"}
  telegram_users: [me]
  on_stop: panic
  parameters: {risk_krw: 60_000}
  limits:
    max_order_krw: 3_000_000
    max_symbol_krw: 2_000_000
    max_total_krw: 1,000,000
    max_daily_loss_krw: 50_000
    max_order_per_minute: 5
    collar_pct: 30
    losses_in_a_row: 0
    collar_pct: 1
"""
# key, line, a word of what was found or is expected, in Korean
FOUND = {
    "paper_app": (1, "예제의 문구"), "paper_sec": (2, "비어 있음"), "my_htsid": (3, "HTS"),
    "my_paper_stock": (4, "8자리"), "my_prod": (5, "'01'"), "my_tokn": (6, "혹시 my_token"),
    "vps": (7, "다른 쪽"), "vops": (8, "31000"), "flat_at": (9, "bot 아래"),
    "bot.symbol": (11, "혹시 symbols"), "bot.symbols": (12, "'삼성전자', 005930 x2"),
    "bot.max_positions": (13, "bot.limits 아래"), "bot.strategy": (14, "breakout"),
    "bot.langauge": (15, "혹시 language"), "bot.mode": (16, "paper, live"),
    "bot.bar_minutes": (17, "정수, 1 이상, 60 이하"), "bot.entry_timeout_s": (18, "1 이상"),
    "bot.last_entry": (19, "시각"), "bot.flat_at": (20, "15:29"), "bot.funds": (21, "여섯 자리"),
    "bot.hashkey": (22, "true 또는 false"), "bot.market_clock.market": (24, "시간대"),
    "bot.telegram_users.0": (25, "→ 정수"), "bot.on_stop": (26, "cancel, keep"),
    "bot.parameters.risk_krw": (27, "50,000"), "bot.limits.max_symbol_krw": (30, "한 종목 한도를 넘는"),
    "bot.limits.max_total_krw": (31, "정수"), "bot.limits.max_order_per_minute": (33, "혹시 max_orders_per_minute"),
    "bot.limits.losses_in_a_row": (35, "1 이상"),
    "bot.limits.collar_pct": (36, "34행"),
}  # fmt: skip


def test_every_fault_of_a_bad_file_is_found_in_the_first_round(tmp_path, monkeypatch, capsys):
    """30 faults, contradictions and the strategy's name among them: each with its line, once."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / bot.SETTINGS_NAME).write_text(MANY_FAULTS, encoding="utf-8")
    (tmp_path / bot.SETTINGS_NAME).chmod(0o600)
    assert bot.main(["--paper", "--language", "ko"]) == bot.EXIT_SETTINGS
    head, *lines = capsys.readouterr().err.splitlines()
    told = {line.split()[1].rstrip(":"): line for line in lines}
    assert set(told) == set(FOUND) and len(lines) == len(FOUND)
    for key, (line, word) in FOUND.items():
        assert word in told[key], told[key]
        assert (f"({line}행)" in told[key]) is (line > 0), told[key]
    assert f"{len(FOUND)}군데" in head
    assert not any(
        leak in line for line in lines for leak in ("Input", "should", "valid", "pydantic")
    )


def test_a_limit_above_the_limit_that_holds_it_is_a_fault():
    """Equal is allowed; one order above a stock's limit, a stock above all, a loss above all are not."""
    assert read(FILE.replace("max_order_krw: 1000000", "max_order_krw: 2_000_000")).bot
    for wrong in (
        "    max_order_krw: 3_000_000\n", "    max_symbol_krw: 5_000_001\n",
        "    max_daily_loss_krw: 5_000_001\n",
    ):  # fmt: skip
        key = wrong.strip().partition(":")[0]
        later = {"max_order_krw": "max_symbol_krw", "max_symbol_krw": "max_total_krw"}.get(key, key)
        lines = [line for line in FILE.splitlines(True) if f" {key}:" not in line]
        assert set(faults("".join(lines) + wrong)) == {f"bot.limits.{later}"}


@pytest.mark.parametrize(
    "lines",
    [["last_entry: 09:00"], ["last_entry: 08:00"], ["last_entry: 15:21", "flat_at: null"],
     ["last_entry: 09:30", "parameters: {first_bar_minutes: 30}"]],
)  # fmt: skip
def test_a_day_without_a_minute_to_buy_in_is_a_fault(lines):
    """Before the open, after the last trade, or inside the strategy's own waiting time."""
    assert set(faults(with_bot(lines))) == {"bot.last_entry"}


def test_a_contradiction_with_a_faulty_value_is_not_told():
    """The stand-in of a value that could not be read accuses nobody."""
    assert set(faults(FILE.replace("max_symbol_krw: 2_000_000", "max_symbol_krw: x"))) == {
        "bot.limits.max_symbol_krw"
    }


def with_lines(text, *pairs):
    """Return a text with parts replaced, each of which stands in it once."""
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


IN_BOT = "  symbols: ['005930', '000660']\n"
# name -> file, key, the whole line in Korean, in English (after the key and its line)
TRIED = {
    "zeros lost": (with_lines(FILE, (IN_BOT, "  symbols: [5930, 660]\n")), "bot.symbols",
        "'5930', '660' → 여섯 자리 종목코드를 따옴표로 한 번씩, 예: '005930', '000660'; --find 이름으로 찾기",
        "found '5930', '660', expected six characters each, once, in quotes, as '005930', '000660'; see --find NAME"),
    "quotes missing": (with_lines(FILE, (IN_BOT, "  symbols: 005930, 000660\n")), "bot.symbols",
        "'005930, 000660' → 목록, 예: [a, b], 1개 이상, 20개 이하; 기본값이 없습니다",
        "found '005930, 000660', expected a list as [a, b], at least 1, at most 20; there is no default on purpose"),
    "a limit outside its section": (with_bot(["max_position: 3"]), "bot.max_position",
        "모르는 항목 → 혹시 bot.limits.max_positions?", "found an unknown key, expected bot.limits.max_positions, perhaps"),
    "a number for a key": (with_bot(["7: x"]), "bot.7",
        "모르는 항목 → kis_devlp.yaml.example에 있는 항목", "found an unknown key, expected one of the keys of kis_devlp.yaml.example"),
    "nothing behind the colon": (with_bot(["parameters:"]), "bot.parameters",
        "비어 있음 → kis_devlp.yaml.example처럼 들여 쓴 줄", "found nothing, expected indented lines as in kis_devlp.yaml.example"),
    "a word for a person": (with_bot(["telegram_users: [me]"]), "bot.telegram_users.0",
        "'me' → 정수", "found 'me', expected a whole number"),
    "a list of rings": (with_bot(["notify: [fill]"]), "bot.notify",
        "목록 (8자) → kis_devlp.yaml.example처럼 들여 쓴 줄",
        "found a list of 8 characters, expected indented lines as in kis_devlp.yaml.example"),
    "a list for the section": (FILE.partition("bot:")[0] + "bot:\n  - x\n", "bot",
        "목록 (5자) → kis_devlp.yaml.example처럼 들여 쓴 줄",
        "found a list of 5 characters, expected indented lines as in kis_devlp.yaml.example"),
    "another language": (FILE.replace("bot:", "봇:"), "봇",
        "모르는 항목 → kis_devlp.yaml.example에 있는 항목", "found an unknown key, expected one of the keys of kis_devlp.yaml.example"),
    "flat after the last order": (with_bot(["flat_at: 15:31"]), "bot.flat_at",
        "'15:31' → 15:29 이전; 15:30이 지나면 주문을 받지 않습니다", "found '15:31', expected not after 15:29: no order is taken after 15:30"),
    "the other host": (with_lines(FILE, (bot.PAPER_REST, bot.REAL_REST + "/")), "vps",
        "다른 쪽(실전/모의)의 주소 → https://openapivts.koreainvestment.com:29443 (모의)",
        "found the host of the other environment, expected https://openapivts.koreainvestment.com:29443 (paper)"),
    "no key": (with_lines(FILE, (f'"{PAPER_KEY}"', "")), "paper_app",
        "비어 있음 → 모의투자 앱키(36자), 또는 환경변수 KIS_APP_KEY_VIRTUAL",
        "found nothing, expected the app key (paper), or KIS_APP_KEY_VIRTUAL"),
}  # fmt: skip


@pytest.mark.parametrize("name", TRIED)
def test_a_usual_mistake_is_told_in_words_that_mend_it(name):
    """Each in both languages, whole: what stands there, what to write instead."""
    text, key, korean, english = TRIED[name]
    fault = faults(text)[key]
    assert fault.said("ko").partition(": ")[2] == korean
    assert fault.said("en").partition(": ")[2] == english
    head = f"{key.removesuffix('.0').rpartition('.')[2]}:"
    lines = [n for n, line in enumerate(text.splitlines(), 1) if line.strip().startswith(head)]
    assert fault.line == lines[0]


def test_limits_and_times_that_contradict_in_a_chain_are_told_in_one_round():
    """What is told already is still held against the next; parameters with limits that are faulty."""
    lines = [line for line in FILE.splitlines(True) if "_krw:" not in line]
    limits = ("max_order_krw: 3_000_000", "max_symbol_krw: 2_000_000", "max_total_krw: 1_000_000",
              "max_daily_loss_krw: 900_000", "max_orders_per_minute: 9", "max_orders_per_day: 8")  # fmt: skip
    text = "".join(lines) + "".join(f"    {line}\n" for line in limits)
    text += "  parameters: {risk_krw: 900_001, first_bar_minutes: 380}\n"
    text += "  last_entry: 15:20\n  flat_at: 15:19\n"
    assert set(faults(text)) == {
        "bot.limits.max_symbol_krw", "bot.limits.max_total_krw", "bot.limits.max_orders_per_day",
        "bot.parameters.risk_krw", "bot.last_entry", "bot.flat_at",
    }  # fmt: skip


@pytest.mark.parametrize("place", ["symbols", "mode", "funds", "my_prod", "max_order_krw", "vps"])
@pytest.mark.parametrize("secret", ["00765432-01", PAPER_KEY, PAPER_SECRET[:60]])
def test_an_account_or_a_key_in_a_wrong_place_is_not_quoted(place, secret):
    """Also an account that is not written where it belongs, which nobody could know as one."""
    lines = [line for line in FILE.splitlines(True) if f"{place}:" not in line]
    value = f"['{secret}']" if place in ("symbols", "funds") else f"'{secret}'"
    if place in ("my_prod", "vps"):
        text = f"{place}: {value}\n" + "".join(lines)
    elif place == "max_order_krw":
        text = "".join(lines) + f"    {place}: {value}\n"
    else:
        text = "".join(lines) + f"  {place}: {value}\n"
    told = [fault for key, fault in faults(text).items() if key.endswith(place)]
    assert len(told) == 1
    for language in ("ko", "en"):
        assert secret[:8] not in told[0].said(language)


def test_the_live_file_has_its_own_name_in_a_fault():
    """Two files were read: which of them is no YAML, and which key of it is unknown, once."""
    with pytest.raises(bot.SettingsError) as caught:
        bot.read_settings(LIVE_FILE, {}, "real", "my_app: 'x\n")
    assert [fault.key for fault in caught.value.faults] == ["live file: (file)"]
    with pytest.raises(bot.SettingsError) as caught:
        bot.read_settings(LIVE_FILE, {}, "real", "colour: red\n")
    assert [fault.key for fault in caught.value.faults] == ["live file: colour", "my_app", "my_sec"]
    assert not any("KIS_APP" in str(fault) for fault in caught.value.faults)


# --- YAML -------------------------------------------------------------------------------


def test_doubled_keys_are_faults_at_every_depth():
    """The last one would win silently; the line is named."""
    text = FILE + "    max_order_krw: 9\nmy_prod: '01'\n"
    found = faults(text)
    assert set(found) == {"bot.limits.max_order_krw", "my_prod"}
    last = text.count("\n")
    assert (found["my_prod"].line, found["bot.limits.max_order_krw"].line) == (last, last - 1)
    first = FILE[: FILE.index("my_prod:")].count("\n") + 1
    assert found["my_prod"].found == f"a second time, first in line {first}"
    [same] = [
        key
        for key in faults(changed("bot:", "bot: {cma: true, cma: false}\nbot2:"))
        if "cma" in key
    ]
    assert same == "bot.cma"


@pytest.mark.parametrize(
    "text",
    ["- 1", "just words", "a: b: c", "\tmy_app: x", "my_app: [", "my_app: *nothing",
     "my_app: !!python/object/apply:os.system ['id']", "my_app: !secret x", "a: b\n--- c", "? [a]\n: b",
     "<<: 5"],
)  # fmt: skip
def test_text_that_is_no_settings_file_is_one_fault_of_the_file(text):
    """Other shapes, tags, second documents; no Python object is ever made."""
    assert "(file)" in faults(text)


def test_a_file_beyond_the_size_limit_is_refused_unread():
    """64 KiB are plenty; more is no settings file."""
    assert "(file)" in faults(FILE + "#" * bot.MAX_SETTINGS_BYTES)
    assert "(file)" in faults("# " + "가" * (bot.MAX_SETTINGS_BYTES // 3) + "\n" + FILE)


BOMB = "a0: &a0 [x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 4)}]\n" for n in range(1, 6)
)


def test_aliases_that_multiply_do_not_explode():
    """The first anchor makes the file a fault: nothing is built, and the text is short."""
    fault = faults(BOMB + FILE)["(file)"]
    assert (fault.found, fault.line) == ("a tag, anchor, alias or merge", 1)


@pytest.mark.parametrize(
    ("old", "new", "line", "korean"),
    [
        ('my_htsid: "trader1"', 'my_htsid: "trader1', 14, "따옴표"),
        ('my_htsid: "trader1"', "my_htsid trader1", 11, "콜론(:)이 없음"),
        ('my_htsid: "trader1"', '\tmy_htsid: "trader1"', 11, "탭"),
        ('my_htsid: "trader1"', "my_htsid: trader1: x", 11, "콜론(:)이 둘"),
        ('my_htsid: "trader1"', "my_htsid: @trader1", 11, "따옴표로 묶지 않은 기호"),
    ],
)
def test_a_file_that_is_no_yaml_is_told_alone_and_in_korean(old, new, line, korean):
    """What it holds is not told as missing besides; the line is that of the parser."""
    found = faults(changed(old, new))
    assert list(found) == [bot.NO_YAML]
    fault = found[bot.NO_YAML]
    assert korean in fault.found.ko and fault.line == line
    assert f"(file) ({line}행): " in fault.said("ko")


def test_a_wrong_word_of_notify_is_told_with_those_that_are_known():
    """Not as lines that are missing."""
    text = FILE.replace("bot:\n", "bot:\n  notify: {entry: loud}\n", 1)
    fault = faults(text)["bot.notify.entry"]
    assert fault.said("ko").endswith("'loud' → on, silent, off 중 하나")


def test_a_clock_outside_a_simulator_is_told_without_the_words_of_a_program():
    """Its value is a long line of Python."""
    clock = "  market_clock: {unix: 1, market: '2026-11-16T08:00:00+09:00', speed: 3}\n"
    fault = faults(FILE.replace("bot:\n", f"bot:\n{clock}", 1))["bot.market_clock"]
    assert fault.said("ko").endswith("시계가 적혀 있음 → 시뮬레이터가 아니면 비울 것")


@pytest.mark.parametrize(
    "line", ["<<: {my_prod: '02'}", "my_prod: !!str 01", "my_prod: ! 01", "my_prod: &a '01'"]
)
def test_no_mark_of_yaml_is_read(line):
    """A merge would change a value unseen; a tag or an anchor has no use in this file."""
    found = faults(FILE.replace("my_prod:", "my_token2:") + line + "\n")
    assert "merge" in found["(file)"].found


def test_a_credential_that_multiplies_is_not_written_out():
    """The text of nested aliases grows without bounds; anchors have no place in this file."""
    found = faults(BOMB + "my_agent: *a5\n" + FILE.replace("my_agent", "my_token2"))
    assert list(found) == ["(file)"] and len(str(found["(file)"])) < 1_000


@pytest.mark.parametrize(
    "text",
    ["\x00", "my_prod: \x07", "bot: !!map text", "bot: !!map [ab]", "my_prod: !!int abc",
     "my_prod: !!bool abc", "my_prod: !!timestamp abc", "my_prod: " + "9" * 5000, "vps: 'http://[::1'",
     "my_prod: " + "[" * 500],
    ids=["NUL", "control character", "map of text", "map of list", "int", "bool", "time",
         "5,000 digits", "half an address", "deep"],
)  # fmt: skip
def test_whatever_is_in_the_file_is_reported_as_a_fault(text):
    """No text ends in another error than SettingsError."""
    with pytest.raises(bot.SettingsError):
        read(text)


ODD = "0123456789 -_+.:,#&*|>'\"%@`{}?\n\t~<=aAy가\\/![]"


@given(st.integers(0, len(FILE)), st.integers(0, 30), st.text(ODD, max_size=8))
def test_mutated_files_are_read_or_faulty(at, length, text):
    """Damage anywhere gives settings or faults, and no fault shows a secret."""
    try:
        read(FILE[:at] + text + FILE[at + length :])
    except bot.SettingsError as error:
        assert not any(secret in str(error) for secret in SECRETS)


# --- secrets ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        FILE.replace(bot.PAPER_REST, bot.REAL_REST),
        FILE.replace('"00765432"', '"00765432-1"'),
        FILE.replace(f'"{PAPER_KEY}"', f'["{PAPER_KEY}"]'),
        FILE.replace(f'"{PAPER_KEY}"', f'"{PAPER_KEY}\\n"'),
        FILE.replace("  symbols:", f"  my_sec: '{REAL_SECRET}'\n  symbols:"),
        FILE + f'paper_sec: "{PAPER_SECRET}"\n',
        FILE.replace(f'paper_sec: "{PAPER_SECRET}"', f'paper_sec "{PAPER_SECRET}"'),
        FILE.replace(f'paper_sec: "{PAPER_SECRET}"', f'paper_sec: "{PAPER_SECRET}'),
        FILE.replace("    max_order_krw: 1000000\n", ""),
    ],
    ids=["host", "account", "list", "newline", "own section", "doubled", "colon", "quote", "limit"],
)
def test_no_fault_text_shows_a_secret(text):
    """What is wrong is described, never quoted."""
    environ = {"KIS_APP_SECRET_REAL": REAL_SECRET[::-1], "TELEGRAM_CHAT_ID": "1"}
    with pytest.raises(bot.SettingsError) as caught:
        read(text, environ)
    shown = str(caught.value) + repr(caught.value.faults)
    assert not any(secret in shown for secret in (*SECRETS, REAL_SECRET[::-1]))


@pytest.mark.parametrize(
    "section",
    ["bot: {}", "bot:\n  limits: {}\n  symbols: ['005930']", "bot:\n  symbols: ['{}']",
     "bot:\n  {}: 1", "bot:\n  telegram_api: '{}'", "'{}': 1", "{}: 1\n{}: 2"],
)  # fmt: skip
def test_a_secret_in_place_of_a_section_is_not_quoted(section):
    """A value of the wrong kind is named by its kind."""
    text = FILE.partition("bot:")[0] + section.replace("{}", PAPER_SECRET[:40])
    assert PAPER_SECRET[:20] not in str(list(faults(text).values()))


@pytest.mark.parametrize("key", ["my_prod", "vps", "vops", "my_agent"])
def test_a_secret_in_the_wrong_line_is_not_quoted(key):
    """Pasted into another key it is a fault, or an agent, and never shown."""
    lines = [line for line in FILE.splitlines(True) if not line.startswith(f"{key}:")]
    found = faults("".join(lines) + f"{key}: '{PAPER_SECRET}'\nmy_token2: 1\n")
    assert PAPER_SECRET[:20] not in str(list(found.values()))


def test_settings_and_profile_show_stars():
    """str, repr and format of everything that holds a secret give ***."""
    settings = read(environ={"TELEGRAM_BOT_TOKEN": "123:abc", "TELEGRAM_CHAT_ID": "7"})
    shown = f"{settings!r} {settings} {settings.profile.app_key} {settings.profile.app_key:>10}"
    assert not any(secret in shown for secret in (*SECRETS, "123:abc"))
    assert settings.profile.account_tail == "******32"


def test_secrets_compare_by_value_and_have_no_hash():
    """Equal texts are equal; nothing else is; a set of secrets cannot be made."""
    one = bot.Secret("a")
    assert (one == bot.Secret("a"), one == bot.Secret("b"), one == "a") == (True, False, False)
    assert (bool(one), bool(bot.Secret(""))) == (True, False)
    assert one.fingerprint() == bot.Secret("a").fingerprint() != bot.Secret("b").fingerprint()
    with pytest.raises(TypeError):
        hash(one)


def test_a_copy_of_a_secret_is_the_secret_and_a_pickle_is_stars():
    """A copied profile still works; what is written to a file tells nothing."""
    one = bot.Secret("a")
    assert copy.copy(one) is one
    assert copy.deepcopy([one])[0] is one
    assert pickle.loads(pickle.dumps(one)).reveal() == "***"


def test_a_secret_never_enters_json():
    """The journal refuses what it cannot write; it does not write the text."""
    for write in (json.dumps, bot.canonical_json):
        with pytest.raises(TypeError):
            write({"key": bot.Secret("a")})


@pytest.mark.parametrize(
    ("text", "ok"),
    [("2026-11-20T08:50:00+09:00", True), ("2026-11-20T08:50:00", False)],
)
def test_a_clock_anchor_needs_its_zone(text, ok):
    """A time without zone is a fault; the default is one second a second."""
    values = {"unix": 1.0, "market": text}
    if ok:
        assert bot.ClockAnchor.model_validate(values).speed == 1.0
    else:
        with pytest.raises(bot.ValidationError):
            bot.ClockAnchor.model_validate(values)


# --- the keys to real money -------------------------------------------------------------

NOW = datetime(2026, 11, 20, 8, tzinfo=bot.KST)
PIN = bot.make_pin("01234567", "01", "salt")
LIVE_FILE = (
    "".join(line for line in FILE.splitlines(True) if not line.startswith(("my_app:", "my_sec:")))
    + f"  mode: live\n  live_account_pin: '{PIN}'\n"
)
LIVE_KEYS = f'my_app: "{REAL_KEY}"\nmy_sec: "{REAL_SECRET}"\n'


def limits_hash(limits):
    """Return what the signature says of limits."""
    return bot.signature(read().profile, limits, "")["limits"]


def live_keys(text=LIVE_FILE, **changes):
    """Return the keys that unlock real money, changed."""
    settings = bot.read_settings(text, {}, "real", LIVE_KEYS)
    signed = {"account": "******67", "limits": limits_hash(settings.bot.limits), "build": "b",
              "at": (NOW - timedelta(hours=24)).isoformat()}  # fmt: skip
    signed |= changes.pop("signed", {})
    return {
        "settings": settings, "command_line": True, "credentials_file": "live-main.yaml",
        "acknowledged": signed, "build": "b", "now": NOW, **changes,
    }  # fmt: skip


def half_simulated():
    """Return keys of which the WebSocket host is this machine."""
    settings = live_keys()["settings"]
    profile = replace(settings.profile, ws_url="ws://127.0.0.1:21000")
    return live_keys(settings=replace(settings, profile=profile))


def test_real_money_is_unlocked_when_every_key_agrees():
    """Command line, mode, pin, hosts, credentials file, signature of the last 24 hours."""
    assert bot.live_faults(**live_keys()) == []


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: live_keys(command_line=False), "command line"),
        (lambda: live_keys(LIVE_FILE.replace("mode: live", "mode: paper")), "bot.mode"),
        (lambda: live_keys(LIVE_FILE.replace("01234567", "01234568"), signed={"account": "******68"}),
         "bot.live_account_pin"),
        (lambda: live_keys(LIVE_FILE.replace(PIN, "")), "bot.live_account_pin"),
        (half_simulated, "prod and ops"),
        (lambda: live_keys(credentials_file="kis_devlp.yaml"), "--credentials"),
        (lambda: live_keys(build="c"), "acknowledgement"),
        (lambda: live_keys(LIVE_FILE.replace("max_order_krw: 1000000", "max_order_krw: 1000001"),
                           signed={"limits": limits_hash(read().bot.limits)}), "acknowledgement"),
        (lambda: live_keys(now=NOW + timedelta(seconds=1)), "acknowledgement"),
        (lambda: live_keys(now=NOW - timedelta(hours=25)), "acknowledgement"),
        (lambda: live_keys(signed={"at": ""}), "acknowledgement"),
    ],
    ids=["no --live", "mode", "other account", "no pin", "half a simulator", "file name", "program",
         "limits", "older than a day", "from the future", "never"],
)  # fmt: skip
def test_each_key_alone_locks_real_money(make, key):
    """One key that does not agree is one fault, and nothing is sent."""
    assert [fault.key for fault in bot.live_faults(**make())] == [key]


@pytest.mark.parametrize(
    "make",
    [lambda: live_keys(signed={"at": 5}), lambda: live_keys(signed={"at": "2026-11-20T07:00:00"}),
     lambda: live_keys(LIVE_FILE.replace(PIN, "가"))],
    ids=["number", "no zone", "pin"],
)  # fmt: skip
def test_an_odd_signature_or_pin_locks_with_a_fault(make):
    """Whatever is in the file of the acknowledgement: a fault, not a traceback."""
    assert bot.live_faults(**make()) != []


def test_real_keys_in_the_common_file_are_a_fault():
    """The paper process must not be able to read them; they live in a file of their own."""
    with pytest.raises(bot.SettingsError) as caught:
        bot.read_settings(FILE, {}, "real", LIVE_KEYS)
    assert {fault.key for fault in caught.value.faults} == {"my_app", "my_sec"}
    assert REAL_KEY not in str(caught.value)


def test_the_live_file_holds_keys_only():
    """No limit, no host, no environment variable reaches the live profile from elsewhere."""
    environ = {"KIS_APP_KEY_REAL": "PSother-key-from-outside"}
    settings = bot.read_settings(LIVE_FILE, environ, "real", LIVE_KEYS)
    assert settings.profile.app_key.reveal() == REAL_KEY
    with pytest.raises(bot.SettingsError) as caught:
        bot.read_settings(LIVE_FILE, {}, "real", LIVE_KEYS + "prod: x\n")
    assert "live file: prod" in {fault.key for fault in caught.value.faults}


@pytest.mark.parametrize(
    ("days", "shares", "order", "loss"),
    [(0, 1, 1_000_000, 100_000), (4, 1, 1_000_000, 100_000), (5, 1_000_000, 100_000, 10_000),
     (14, 1_000_000, 100_000, 10_000), (15, 1_000_000, 1_000_000, 100_000)],
)  # fmt: skip
def test_the_first_live_days_are_small(days, shares, order, loss):
    """Five days of one share an order, ten days of a tenth of the money, then the full limits."""
    found = bot.ramped_limits(read().bot.limits, days)
    assert (found.max_quantity, found.max_order_krw, found.max_daily_loss_krw) == (
        shares, order, loss
    )  # fmt: skip


def test_every_limit_is_part_of_the_signature():
    """Changing any of them asks for a new acknowledgement."""
    base = read().bot.limits
    hashes = {
        limits_hash(base.model_copy(update={name: (getattr(base, name) or 0) + 1}))
        for name in type(base).model_fields
    }
    assert len(hashes | {limits_hash(base)}) == len(type(base).model_fields) + 1
