"""Days of trouble, counted: one message at the start, one an hour, one at the end, no more."""

import functools

import harness
import pytest
import troubles
from test_trader import Life, wishes

import kis_realtime_trading as bot

HTML = {"do": "html", "status": 503}
DAY = {"start": "09:21:00", "end": "11:30:00"}
BUY = (harness.Wish("09:30:00", "005930", 5, plan=(0.8, 1.2)),)
TWENTY = tuple(f"00{5930 + 10 * each}" for each in range(20))
DAYS = {
    "no network for 90 minutes": {**DAY, "cut": ("09:45", "11:15")},
    "no network for 90 minutes, shares held": {**DAY, "cut": ("09:45", "11:15"), "wishes": BUY},
    "maintenance": {
        "start": "01:50:00", "end": "11:00:00",
        "faults": [{"match": {"from": a, "to": b}, "effect": HTML}
                   for a, b in (("02:00", "05:00"), ("08:30", "10:30"))],
    },
    "a thin stock": {"start": "08:31:00", "end": "11:00:00", "density": 0.1},
    "slow answers": {
        "start": "09:21:00", "end": "10:10:00",
        "faults": [{"match": {"from": "09:30", "to": "10:00"},
                    "effect": {"do": "delay", "seconds": 8}}],
    },
    "twenty stocks in the afternoon": {
        "start": "13:30:00", "end": "14:00:00", "symbols": TWENTY,
        "settings": {"rest_calls_per_second": 0.9},
    },
}  # fmt: skip
WANTED = {  # beginnings, repetitions, ends
    "no network for 90 minutes": (1, 1, 1), "no network for 90 minutes, shares held": (1, 1, 1),
    "maintenance": (1, 1, 1), "a thin stock": (0, 0, 0), "slow answers": (0, 0, 0),
    "twenty stocks in the afternoon": (0, 0, 0),
}  # fmt: skip


@functools.cache
def lived(name):
    """Live through a day once."""
    return troubles.live(**DAYS[name])


@pytest.mark.parametrize("name", DAYS)
def test_a_day_of_trouble_is_told_in_few_words(name):
    """At most one message at the start, one an hour, one at the end; none at night."""
    told = lived(name)
    assert told.ended is None
    counted = [told.codes.count(code) for code in ("trouble", "trouble_lasts", "trouble_over")]
    assert tuple(counted) == WANTED[name]
    assert {"error", "no_trades"}.isdisjoint(told.codes)
    assert all("08:30:00" <= at < "16:00:00" for at, _ in told.lines[2:])
    if "shares" in name:
        assert any("삼성전자 5" in text for _, text in told.lines if "증권사" in text)


@pytest.mark.parametrize(("key", "line"), [("app_key", "paper_app"), ("app_secret", "paper_sec")])
def test_a_wrong_key_ends_the_program_and_says_what_to_do(key, line):
    """Asked once, never again with that key; one message that names the line of the file; 78."""
    told = troubles.live("08:31:00", "20:50:00", profile={key: bot.Secret("PS" + "x" * 34)})
    assert told.codes == ["started", "keys_refused"]
    assert line in told.lines[-1][1]
    assert [name for _, name in told.requests].count("tokenP") == 1
    assert bot._explain_failure(told.ended) == bot.EXIT_SETTINGS == 78


@pytest.mark.parametrize("times", [1, 9])
def test_a_key_that_is_refused_in_the_day_is_asked_for_once_more(times):
    """The token dies, the new one is refused for its key: once may be false, and what is held stays
    guarded; twice, a minute apart, ends the program, and shares are named."""
    told = troubles.live(
        **DAY, wishes=BUY, faults=[
            {"match": {"path": "tokenP", "from": "10:00", "times": times},
             "effect": {"do": "error", "code": "EGW00103", "status": 403}},
            {"match": {"kind": "account", "from": "10:00", "times": 1},
             "effect": {"do": "token", "code": "EGW00121"}},
        ],
    )  # fmt: skip
    assert [name for _, name in told.requests].count("tokenP") == 3
    assert ("keys_refused" in told.codes) is (times > 1)
    assert told.codes[-1] == ("keys_refused" if times > 1 else "stopped")
    assert times == 1 or "삼성전자 5" in told.lines[-1][1]


@pytest.mark.parametrize(
    ("start", "code", "words"),
    [
        ("05:00:00", "before_start", ("08:30", "09:00")),
        ("15:31:00", "session_over", ("2026-11-23 09:00",)),
    ],
)
def test_a_start_outside_the_hours_says_which(start, code, words):
    """Too early, too late, no trading day: three situations, three texts."""
    told = troubles.live(start, "15:32:00" if start > "15" else "05:01:00")
    assert told.codes[1] == code
    assert all(word in told.lines[1][1] for word in words)


def test_a_start_after_the_close_names_what_should_have_been_sold():
    """Shares held, flat_at missed: session over, and the shares by name (A11)."""
    told = troubles.live("09:19:00", "15:35:00", wishes=BUY, gone=("09:40:00", "15:31:00"))
    assert told.codes[-2] == "session_over"
    assert "팔렸어야 할 보유: 005930 5" in told.lines[-2][1]


def test_a_long_preparation_is_told_with_its_progress():
    """Twenty stocks at the paper pace: how many, how long; account questions between; its end."""
    told = lived("twenty stocks in the afternoon")
    assert [code for code, _ in told.log[1:3]] == ["preparing", "prepared"]
    assert "20종목 중 3, 약 " in told.log[1][1]
    minutes = int(told.log[1][1].partition("약 ")[2].partition("분")[0])
    assert 2 <= minutes <= 6
    lists = [at for at, name in told.requests if name == "inquire-daily-ccld"]
    assert {"13:31", "13:32", "13:33"} <= set(lists)


def test_a_stock_whose_trades_do_not_come_while_others_flow_is_told():
    """REST knows of trades that the feed keeps back: the session is renewed once, then it is told."""
    mute = {
        "match": {"symbol": "000660", "kind": "trade", "to": "10:30"},
        "effect": {"do": "frame_drop"},
    }
    told = troubles.live(
        "09:15:00", "10:45:00", symbols=("005930", "000660"), density=10.0, faults=[mute],
    )  # fmt: skip
    texts = [text for _, text in told.lines if "000660" in text and "주의" in text]
    assert len(texts) == 1 and "실시간 체결이 오지 않습니다" in texts[0]
    assert told.codes.count("trouble_over") == 1 and "trouble_lasts" in told.codes
    assert [name for _, name in told.requests].count("Approval") == 2


def test_a_stock_that_nobody_trades_costs_no_session():
    """One trade in ten minutes: REST says that nothing was missed, the line is not cut."""
    told = lived("a thin stock")
    names = [name for _, name in told.requests]
    assert names.count("Approval") == 1
    assert 5 < names.count("inquire-ccnl") < 100


def test_a_wrong_hts_id_is_named():
    """Its registration is refused: told in words, once; trading goes on, fills come by polling."""
    told = troubles.live(
        "09:20:00", "09:50:00", profile={"hts_id": bot.Secret("somebody")},
        wishes=BUY, density=10.0,
    )  # fmt: skip
    texts = [text for _, text in told.lines if "my_htsid" in text and text.startswith("⚠ 주의")]
    assert len(texts) == 1 and "조회로 확인합니다" in texts[0]
    assert "filled" in told.codes
    assert all("somebody" not in text for _, text in told.lines)


def test_the_morning_and_a_restart_tell_what_is_held_and_armed():
    """Once a day with mode, limits and level; after a restart with the shares, stop and target."""
    told = troubles.live("08:50:00", "09:46:00", wishes=BUY, gone=("09:40:00", "09:42:00"))
    mornings = [
        text for text, code in zip(told.lines, told.codes, strict=True) if code == "morning"
    ]
    assert len(mornings) == 2
    assert "한도: 1회 3,000,000원" in mornings[0][1] and "매매 중(ACTIVE)" in mornings[0][1]
    assert "•" not in mornings[0][1]
    held = mornings[1][1].split("\n")[-1]
    assert held.startswith("• 삼성전자 5주 (평균 ") and "감시 중" in held and "손절 0," not in held


def test_the_evening_tells_the_day_in_one_message():
    """Gross, costs, net, round trips, what was not ordered and why, equity, month, next session."""
    buys = (harness.Wish("14:46:00", "005930", 5, plan=(0.8, 1.2)), harness.Wish("14:49:00", "005930", 5000))  # fmt: skip
    told = troubles.live("14:38:00", "15:40:00", wishes=buys, density=10.0)
    [report] = [
        text for (_, text), code in zip(told.lines, told.codes, strict=True) if code == "day_report"
    ]
    for words in ("매도차익 ", "수수료 ", "매매 1번", "최고 삼성전자 ", "1회 한도(ORDER_VALUE) 1건", "평가금액 ", "이번 달 ",
                  "보유: 없음", "다음 개장: 2026-11-23 09:00"):  # fmt: skip
        assert words in report


def test_silent_stocks_are_one_trouble_and_a_held_one_stands_for_itself():
    """Six messages of one cable are five too many; a stop that is blind is never among others."""

    async def story(life):
        trader, run = await life.begin(wishes("09:20:10"))
        await life.world.until("09:22:00")
        trader.bridge.names |= {"000660": "SK하이닉스", "035420": "NAVER"}
        trader.silence.missing = {"005930": "09:59:00", "000660": "09:59:30", "035420": "09:58:00"}
        found = dict(trader._teller._of_stocks())
        held = trader.engine.core.ledger.position("005930").quantity
        await life.stop(trader, run)
        return held, found

    held, found = Life(symbols=("005930", "000660", "035420"), density=120.0).play(story)
    assert held == 5 and set(found) == {"silent", "silent 005930"}
    assert found["silent"] == "no trades of SK하이닉스, NAVER come, KIS had one at 09:59:30"
    assert "삼성전자" in found["silent 005930"]
    assert all(bot.ALARMS[key.partition(" ")[0]] for key in found)
