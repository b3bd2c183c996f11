"""--check: each thing that trading needs, what is said when it is missing, and nobody disturbed."""

import json
import re
import time

import edge
import pytest
import time_machine

import kis_realtime_trading as bot
from companions import check, simulator, telegram_server
from companions.options import build_parser
from companions.plain_words import start_of_command

ALL = [
    "settings", "strategy", "disk", "calendar", "token", "account", "limits", "stock", "approval",
    "websocket", "telegram",
]  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder that is the home and the present one; no variables of ours."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


class Board:
    """What a check printed: marks by step, and all of it."""

    def __init__(self, code, out, books):
        self.code, self.out, self.books = code, out, books
        words = {each: key for key, name in check.NAMES.items() for each in (str(name), name.ko)}
        found = re.findall(r"^([✓✗!]) (\w+|실행 중인 봇)  +(.*)$", out, re.M)
        self.lines = [(mark, words[name], text) for mark, name, text in found]

    def marks(self, mark):
        return [step for each, step, _ in self.lines if each == mark]

    def text(self, step):
        return "\n".join(text for _, each, text in self.lines if each == step)


async def checked(
    home, capsys, served=None, changes=None, transport=None, language="en", hold=False
):
    """Run a check against a served simulator with changed settings; return its board."""
    served = served or {}
    async with simulator.serve(edge.config(**served), edge.at("10:05:30")) as there:
        data, _ = bot.parse_yaml(simulator.config_yaml(there))
        for key, value in (changes or {}).items():
            data[key] = {**data[key], **value} if isinstance(value, dict) else value
        data = {key: value for key, value in data.items() if value is not None}
        path = simulator.write_config(home, json.dumps(data))
        real = ["--real"] if served.get("environment") == "real" else []
        words = ["--check", "--config", str(path), "--language", language, *real]
        options = build_parser(language).parse_args(words)
        with edge.own_logging(), time_machine.travel(edge.at("10:05:30")):
            settings, _ = bot.load_settings(options, "real" if real else "paper", need_bot=False)
            lock = bot.AccountLock(bot.lock_of(settings.profile), home) if hold else None
            try:
                code: int | bot.SettingsError = await check.check_set_up(options, transport)
            except bot.SettingsError as error:
                code = error
            finally:
                if lock:
                    lock.release()
        board = Board(code, capsys.readouterr().out, there.simulator.books())
    assert not board.books["orders"]
    assert not any("order-" in request for request in board.books["requests"])
    for secret in (data["paper_app"], data["paper_sec"], data["my_paper_stock"]):
        assert secret not in board.out
    return board


def refusal(path, code="EGW00201"):
    """Return a rule that refuses a path."""
    effect = {"do": "error", "code": code, "status": 403 if "oauth2" in path else 500}
    return {"match": {"path": path}, "effect": effect}


@pytest.mark.parametrize("served", [{}, {"environment": "real"}], ids=["paper", "real"])
async def test_a_set_up_that_is_right_is_all_ticks(home, capsys, served):
    """Every step once, in order; only Telegram, which is not set up, is a note."""
    board = await checked(home, capsys, served)
    assert [step for _, step, _ in board.lines] == ALL
    assert (board.code, board.marks("✗"), board.marks("!")) == (0, [], ["telegram"])
    assert "005930 삼성전자" in board.text("stock") and "won (KOSPI)" in board.text("stock")
    assert "risk_krw 50000" in board.text("strategy")
    assert "2026-11-20 09:00-15:30" in board.text("calendar")


async def test_without_our_section_the_keys_are_tested_alone(home, capsys):
    """A file of the official samples: a note that --setup writes the rest."""
    board = await checked(home, capsys, {"environment": "real"}, {"bot": None})
    assert board.code == 0 and "no section `bot`" in board.text("settings")
    assert "--setup" in board.out and "strategy" not in board.marks("✓")


# settings or server that are wrong -> step that fails, words of the advice, steps that go on
WRONG = {
    "secret": ({}, {"paper_sec": "A" * 180}, "token", "copy app key and secret again"),
    "real keys on paper": (
        {}, {"paper_app": "real", "paper_sec": "real"}, "token", "belong to the other environment",
    ),
    "token too soon": ({"faults": (refusal("tokenP", "EGW00133"),)}, {}, "token", "wait a minute"),
    "maintenance": (
        {"faults": ({"match": {"path": "tokenP"}, "effect": {"do": "html", "status": 502}},)},
        {}, "token", "in maintenance",
    ),
    "account": ({}, {"my_paper_stock": "50999999"}, "account", "first 8 digits"),
    "product": ({}, {"my_prod": "22"}, "account", "usually '01'"),
    "no price": ({"faults": (refusal("inquire-price"),)}, {}, "stock", "too many calls"),
    "unknown stock": ({}, {"bot": {"symbols": ["999990"]}}, "stock", "--find NAME"),
    "approval": (
        {"faults": (refusal("Approval", "EGW00103"),)}, {}, "approval", "copy app key and secret",
    ),
    "HTS id": ({}, {"my_htsid": "somebody"}, "websocket", "login of the HTS"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_what_fails_is_named_with_what_to_do_by_its_cause(home, capsys, name):
    """Exit code 1; steps that do not need the failed one go on, those that do are left out."""
    served, changes, failing, advice = WRONG[name]
    if name == "real keys on paper":
        who = simulator.Simulator(edge.config()).credentials
        changes = {"paper_app": who.real_key, "paper_sec": who.real_secret}
    board = await checked(home, capsys, served, changes)
    assert (board.code, board.marks("✗")) == (bot.EXIT_FAILED, [failing])
    assert advice in board.out
    assert "no code" not in board.out and "kisbot:" not in board.out  # the list says it, once
    left_out = {"token": set(ALL[5:10]), "account": {"limits"}, "approval": {"websocket"}}
    assert {step for _, step, _ in board.lines} | {failing} == set(ALL) - left_out.get(
        failing, set()
    )


class Network:
    """A transport with a fault of the network, or of this computer's clock."""

    def __init__(self, error=None, date=""):
        self.error, self.date, self.calls = error, date, 0
        self.inner = bot.AiohttpTransport()

    async def __call__(self, method, url, headers, params, body):
        self.calls += 1
        if self.error:
            raise self.error
        reply = await self.inner(method, url, headers, params, body)
        return reply._replace(headers={**reply.headers, "date": self.date})

    async def close(self):
        await self.inner.close()


NETWORKS = {
    "ClientConnectorDNSError": "DNS", "ClientConnectorCertificateError": "certificate",
    "ClientConnectorError": "firewall",
}  # fmt: skip


@pytest.mark.parametrize("cause", NETWORKS)
async def test_a_network_that_is_missing_is_told_by_its_cause(home, capsys, cause):
    """One line for the first step; the others would only wait and say the same."""
    board = await checked(home, capsys, transport=Network(bot.NotSent(f"no connection: {cause}")))
    assert (board.code, board.marks("✗")) == (1, ["token"])
    assert NETWORKS[cause] in board.out


class Dying(Network):
    """A network that breaks after the first answer."""

    async def __call__(self, method, url, headers, params, body):
        if self.calls:
            self.error = bot.NotSent("no connection: ClientConnectorError")
        return await super().__call__(method, url, headers, params, body)


async def test_when_the_network_breaks_the_rest_is_not_waited_for(home, capsys):
    """Each further question would be tried for seconds and say the same."""
    fast = {"unix": time.time(), "market": "2026-11-20T10:05:30+09:00", "speed": 1000}
    door = Dying(date="")
    board = await checked(home, capsys, changes={"bot": {"market_clock": fast}}, transport=door)
    assert board.marks("✗") == ["account"]
    assert not {"stock", "approval", "websocket"} & {step for _, step, _ in board.lines}


async def test_a_clock_that_is_off_is_a_failure(home, capsys):
    """By the Date of the broker's answers; the bot would open nothing."""
    wrong = Network(date="Fri, 20 Nov 2026 01:05:50 GMT")
    board = await checked(home, capsys, changes={"bot": {"market_clock": None}}, transport=wrong)
    assert board.marks("✗") == ["clock"] and "timedatectl" in board.out


async def test_a_bot_that_runs_is_not_disturbed(home, capsys):
    """No token, no session, no question: the broker hears nothing; its own word is shown."""
    told = {"account_tail": "******66", "symbols": [{"symbol": "005930", "name": "삼성전자"}],
            "cash_krw": 9_000_000, "feed": {"connected": True}}  # fmt: skip
    (home / "kis_state").mkdir(mode=0o700)
    (home / "kis_state" / bot.STATUS_FILE).write_text(json.dumps(told))
    board = await checked(home, capsys, hold=True)
    assert not board.books["requests"]
    assert (board.code, board.marks("✗")) == (0, [])
    assert "not to disturb it" in board.text("bot")


LIMITS = {
    "order above cash": ({"max_order_krw": 20_000_000, "max_symbol_krw": 20_000_000,
                          "max_total_krw": 30_000_000}, "more than the cash"),
    "loss of a fifth": ({"max_daily_loss_krw": 2_000_000}, "20% of the cash"),
    "loss below the usual risk": ({"max_daily_loss_krw": 40_000}, "risk_krw"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
async def test_limits_are_held_against_the_cash(home, capsys, name):
    """A note, no failure: the limits work, but not as somebody may believe."""
    changes, told = LIMITS[name]
    usual = {"max_order_krw": 3_000_000, "max_symbol_krw": 4_000_000, "max_total_krw": 8_000_000,
             "max_daily_loss_krw": 500_000}  # fmt: skip
    board = await checked(home, capsys, changes={"bot": {"limits": {**usual, **changes}}})
    assert board.code == 0 and told in board.text("limits")


async def test_the_loss_of_a_day_is_the_one_that_will_hold(home, capsys):
    """3% of 10,000,000 is less than the 500,000 of the settings: as the bot says in the morning."""
    board = await checked(home, capsys)
    assert "loss of a day 300,000 won (3% of the cash)" in board.text("limits")
    limits = {"max_order_krw": 3_000_000, "max_symbol_krw": 4_000_000, "max_total_krw": 8_000_000,
              "max_daily_loss_krw": 200_000}  # fmt: skip
    board = await checked(home, capsys, changes={"bot": {"limits": limits}})
    assert "loss of a day 200,000 won" in board.text("limits") and "%" not in board.text("limits")


async def test_the_next_command_names_the_same_files(home, capsys):
    """Who checked another settings file is told to trade with that one."""
    board = await checked(home, capsys)
    assert f"Next: {start_of_command()} --paper --config {home}" in board.out


async def test_a_stock_dearer_than_an_order_is_told(home, capsys):
    """One share costs more than one order may: it would never be bought."""
    small = dict.fromkeys(bot.MONEY_LIMITS, 50_000)
    board = await checked(home, capsys, changes={"bot": {"limits": small}})
    assert "one share is more than max_order_krw" in board.text("stock")


class Cma:
    """A transport to an account whose money shows in the CMA value only."""

    def __init__(self):
        self.inner = bot.AiohttpTransport()

    async def __call__(self, method, url, headers, params, body):
        reply = await self.inner(method, url, headers, params, body)
        if params.get("CMA_EVLU_AMT_ICLD_YN") == "Y":
            answer = json.loads(reply.text)
            answer["output"]["nrcvb_buy_amt"] = "7000000"
            reply = reply._replace(text=json.dumps(answer))
        return reply

    async def close(self):
        await self.inner.close()


@pytest.mark.parametrize(
    ("transport", "cma", "told", "mark"),
    [(None, False, "no cash", "!"), (Cma, False, "write cma: true", "!"), (Cma, True, "cash 7,000,000", "✓")],
)  # fmt: skip
async def test_an_account_without_a_deposit_may_be_a_cma(home, capsys, transport, cma, told, mark):
    """Its money is found, and the setting that lets the bot use it is named."""
    door = transport() if transport else None
    changes = {"bot": {"cma": cma}}
    board = await checked(home, capsys, {"initial_cash_krw": 0}, changes, door)
    assert board.code == 0 and told in board.out and "account" in board.marks(mark)


@pytest.mark.parametrize(
    ("row", "credit"),
    [({"loan_dt": "20260901"}, True), ({"loan_amt": "500000"}, True), ({"loan_dt": "", "loan_amt": "0"}, False),
     ({"loan_dt": "00000000"}, False), ({}, False)],
)  # fmt: skip
def test_a_line_bought_on_credit_is_known_by_its_loan(row, credit):
    """Loan date or loan; blanks and zeros are none."""
    assert check.is_credit(row) is credit


@pytest.mark.parametrize(
    ("fault", "mark", "told"),
    [("", "✓", "one test message"), (401, "✗", "no message"), (403, "✗", "press Start"),
     (400, "✗", "TELEGRAM_CHAT_ID"), (502, "✗", "out of reach")],
)  # fmt: skip
async def test_one_message_goes_to_the_phone_and_its_failure_is_explained(
    home, capsys, monkeypatch, fault, mark, told
):
    """Exactly one, and the token is in no line."""
    token = "123456:" + "A" * 35
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", token)
    monkeypatch.setenv("TELEGRAM_CHAT_ID", "77")
    async with telegram_server.serve(token, 77) as (api, url):
        if fault:
            api.fault(fault, "sendMessage")
        board = await checked(home, capsys, changes={"bot": {"telegram_api": url}})
    assert board.marks(mark)[-1] == "telegram" and told in board.out
    assert len(api.texts) == (0 if fault else 1)
    assert token not in board.out


async def test_a_strategy_that_cannot_run_is_a_fault_of_the_settings(home, capsys):
    """Name and parameters are looked at before anything is asked."""
    for wrong in ({"strategy": "breakot"}, {"parameters": {"lookback": 3}}):
        [fault] = (await checked(home, capsys, changes={"bot": wrong})).code.faults
        assert fault.key.startswith(("bot.strategy", "bot.parameters")) and fault.line


async def test_the_list_is_korean_for_a_korean(home, capsys):
    """Names, texts and advice; no English sentence between."""
    board = await checked(home, capsys, {}, {"paper_sec": "A" * 180}, language="ko")
    assert "✗ 접근토큰" in board.out and "다시 복사하십시오" in board.out
    assert "고칠 것 1가지" in board.out
