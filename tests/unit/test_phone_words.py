"""Whose words count: only a fresh message of a listed person in his own private chat."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import kis_realtime_trading as bot

OWNER, NOW, NEWEST = 4242, 1_795_000_000, 1000


def update(number: Any = 1001, **changes: Any) -> dict[str, Any]:
    """Return a good update of the owner, changed in parts."""
    message = {
        "message_id": 1, "date": NOW - 1, "chat": {"id": OWNER, "type": "private"},
        "from": {"id": OWNER, "is_bot": False, "first_name": "x"}, "text": "/stop", **changes,
    }  # fmt: skip
    return {"update_id": number, "message": message}


def tap(data: Any, number: Any = 1001, **changes: Any) -> dict[str, Any]:
    """Return a tap of the owner on a button of a message of ours, changed in parts."""
    sender = changes.pop("from", {"id": OWNER, "is_bot": False, "first_name": "x"})
    message = {
        "message_id": 1, "date": NOW - 1, "chat": {"id": OWNER, "type": "private"}, "text": "x",
        **changes,
    }  # fmt: skip
    query = {"id": "1", "from": sender, "message": message, "data": data}
    return {"update_id": number, "callback_query": query}


def heard(given_update: dict[str, Any]) -> bot.PhoneWord | str:
    """Judge an update as the bot does."""
    return bot.phone_word(given_update, {OWNER}, NEWEST, NOW)


def test_a_fresh_word_of_the_owner_counts():
    """With its argument; nothing else of the message is taken over."""
    assert bot.PhoneWord(1001, OWNER, "stop") == heard(update())
    said = bot.PhoneWord(1001, OWNER, "buy", ("삼성전자", "3", "012345"))
    assert said == heard(update(text="/buy 삼성전자 3 012345"))


def test_an_empty_list_means_nobody():
    """Without telegram_users nobody commands."""
    assert bot.phone_word(update(), (), NEWEST, NOW) == "stranger"


WRONG: list[tuple[dict[str, Any], str]] = [
    (update(**{"from": {"id": 4243, "is_bot": False}}), "stranger"),
    (update(**{"from": {"id": "4242", "is_bot": False}}), "stranger"),
    (update(**{"from": {"id": OWNER, "is_bot": True}}), "stranger"),
    (update(chat={"id": -100, "type": "supergroup"}), "not a private chat"),
    (update(chat={"id": OWNER, "type": "group"}), "not a private chat"),
    (update(chat={"id": 4243, "type": "private"}), "not a private chat"),
    (update(sender_chat={"id": OWNER}), "not a private chat"),
    (update(forward_origin={"type": "user"}), "not his own words"),
    (update(edit_date=NOW), "not his own words"),
    (update(via_bot={"id": 1}), "not his own words"),
    (update(number=1000), "seen before"),
    (update(number="1001"), "seen before"),
    (update(date=NOW - 61), "too old"),
    (update(date=NOW + 6), "too old"),
    (update(text="/resume ０１２３４５"), "no command"),
    (update(text="/stop\u200f"), "no command"),
    (update(text="/STOP"), "no command"),
    (update(text="please /stop"), "no command"),
    (update(text="/stop now, please"), "no command"),
    (update(text=" /stop"), "no command"),
    (update(text="/stop\n"), "no command"),
    (update(text="/sell  005930"), "no command"),
    (update(text="/buy 1 2 3 4 5"), "no command"),
    (update(text="/chart 三星"), "no command"),
    (update(text=None), "no command"),
    ({"update_id": 1001, "edited_message": update()["message"]}, "no new message"),
    ({"update_id": 1001, "channel_post": update()["message"]}, "no new message"),
    ({"update_id": 1001, "callback_query": {"data": "/resume"}}, "no sender"),
    (tap("/resume", date=NOW - 61), "too old"),
    (tap("/resume", date=0), "too old"),
    (tap("/status", date=0), "too old"),
    (tap("/resume", **{"from": {"id": 7, "is_bot": False}}), "stranger"),
    (tap("/resume", chat={"id": -5, "type": "group"}), "not a private chat"),
    (tap("/resume", chat={"id": 7, "type": "private"}), "not a private chat"),
    (tap("/resume", forward_origin={"type": "user"}), "not his own words"),
    (tap("/resume", number=1000), "seen before"),
    (tap(None), "no command"),
    ({**update(), "edited_message": update()["message"]}, "no new message"),
]


def test_everything_else_orders_nothing():
    """Strangers, groups, edits, forwards, replays, old ones, odd letters: each says why."""
    assert [why for _, why in WRONG] == [heard(each) for each, _ in WRONG]


def test_a_tap_says_the_word_of_its_button():
    """Fresh for whatever acts; an old button only asks."""
    assert bot.PhoneWord(1001, OWNER, "stop", (), True) == heard(tap("/stop"))
    assert bot.PhoneWord(1001, OWNER, "status", (), True) == heard(tap("/status", date=NOW - 9999))


pieces = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.just(OWNER),
    st.sampled_from(["private", "group", "/resume 123456", "/resume １２３４５６", NOW, NOW - 100]),
)  # fmt: skip
people = st.fixed_dictionaries({}, optional={"id": pieces, "is_bot": st.booleans()})
chats = st.fixed_dictionaries({}, optional={"id": pieces, "type": pieces})
extras = st.dictionaries(
    st.sampled_from(["edit_date", "forward_origin", "forward_date", "via_bot", "sender_chat"]),
    pieces, max_size=2,
)  # fmt: skip
messages = st.tuples(
    st.fixed_dictionaries(
        {}, optional={"from": people, "chat": chats, "date": pieces, "text": pieces}
    ),
    extras,
).map(lambda pair: {**update()["message"], **pair[0], **pair[1]})
kinds = st.sampled_from(["message", "edited_message", "channel_post", "callback_query"])
queries = st.fixed_dictionaries(
    {}, optional={"id": pieces, "from": people, "message": messages, "data": pieces}
)
numbers = st.one_of(st.integers(990, 1010), pieces)


@given(numbers, kinds, st.one_of(messages, queries, pieces))
@settings(max_examples=200, deadline=None)
def test_no_generated_update_acts_without_every_proof(number, kind, body):
    """Whatever comes: a word is only what a listed person said just now, in private, himself."""
    word = heard({"update_id": number, kind: body})
    if isinstance(word, bot.PhoneWord):
        message = body["message"] if kind == "callback_query" else body
        text = body["data"] if kind == "callback_query" else message["text"]
        assert kind in ("message", "callback_query") and word.user == OWNER == body["from"]["id"]
        assert message["chat"] == {"id": OWNER, "type": "private"}
        assert word.update_id > NEWEST
        asks = word.tapped and bot.COMMANDS["status"].name == word.command
        assert asks or NOW - 60 <= message["date"] <= NOW + 5
        assert not {"via_bot", "sender_chat"} & set(message)
        assert word.tapped or "edit_date" not in message
        assert not any(key.startswith("forward") for key in message)
        assert word.command in text and word.command.isascii()


AGES = st.one_of(st.integers(-10_000_000, -6), st.integers(61, 10_000_000))  # seconds
FAULTS = st.one_of(
    AGES.map(lambda age: {"date": NOW - age}),
    st.sampled_from([
        "forward_origin", "forward_date", "forward_from", "forward_from_chat", "forward_sender_name",
        "forward_signature", "forward_from_message_id", "forwarded", "via_bot", "sender_chat",
    ]).flatmap(lambda key: pieces.map(lambda value: {key: value})),
    st.sampled_from(["group", "supergroup", "channel", "", None]).map(
        lambda kind: {"chat": {"id": OWNER, "type": kind}}
    ),
    st.integers().filter(lambda each: each != OWNER).flatmap(
        lambda other: st.sampled_from([
            {"chat": {"id": other, "type": "private"}},
            {"from": {"id": other, "is_bot": False}},
        ])
    ),
    st.just({"from": {"id": OWNER, "is_bot": True}}),
)  # fmt: skip
FINE = st.dictionaries(
    st.sampled_from(["reply_to_message", "entities", "message_thread_id", "has_protected_content"]),
    pieces, max_size=2,
)  # fmt: skip


@given(FAULTS, FINE, st.sampled_from(["/stop", "/resume", "/buy 005930 1"]), st.booleans())
@settings(max_examples=80, deadline=None)
def test_one_fault_alone_makes_a_good_word_none(fault, fine, text, tapped):
    """Forwarded, of another time, place or person: all else right, and still nothing acts."""
    make = (
        (lambda **more: tap(text, **more)) if tapped else (lambda **more: update(text=text, **more))
    )
    assert isinstance(heard(make(**fine)), bot.PhoneWord)
    assert isinstance(heard(make(**fine, **fault)), str)


@given(st.integers(-100, 200), st.integers(995, 1005), st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_word_counts_from_five_seconds_ahead_to_a_minute_old_and_once(age, number, tapped):
    """The borders to the second, for messages and taps alike; a number not above the newest never."""
    make = tap("/stop", number, date=NOW - age) if tapped else update(number, date=NOW - age)
    counts = -5 <= age <= 60 and number > NEWEST
    assert isinstance(heard(make), bot.PhoneWord) is counts


# --- codes ---


RESUME = bot.Said(bot.COMMANDS["resume"])


def test_a_code_is_good_once_and_for_its_person():
    """Void after use, right or wrong."""
    codes = bot.PhoneCodes(lambda most: 42)
    assert codes.issue(1, RESUME, 0.0) == "000042"
    assert codes.take(2, "000042", 1.0) is None
    assert codes.take(1, "000042", 60.0) == RESUME
    assert codes.take(1, "000042", 2.0) is None
    codes.issue(1, RESUME, 10.0)
    assert codes.take(1, "000043", 11.0) is None and codes.take(1, "000042", 11.0) is None


def test_a_code_dies_after_a_minute():
    """Also the right one."""
    codes = bot.PhoneCodes(lambda most: 42)
    codes.issue(1, RESUME, 0.0)
    assert codes.take(1, "000042", 60.1) is None


def test_a_hold_of_one_stock_is_told_with_its_name():
    """/status says whose exit is under way; what holds all stocks back stands without a name."""
    status = {
        "day": {"result_krw": 0, "result_pct": 0.0}, "orders": [], "feed": {"connected": True},
        "symbols": [{"symbol": "005380", "name": "현대차", "position": 3},
                    {"symbol": "111111", "name": "", "position": 0}],
        "holds": [{"scope": "005380", "text": "청산 중"}, {"scope": "111111", "text": "거래정지"},
                  {"scope": "all", "text": "주문 내역이 오래됨"}],
        "mode": "paper", "account_tail": "**01", "phase": "trading", "level": "ACTIVE",
    }  # fmt: skip
    for korean in (True, False):
        lines = bot.phone_status(status, korean).splitlines()[3:]
        assert lines == ["⏸ 현대차: 청산 중", "⏸ 111111: 거래정지", "⏸ 주문 내역이 오래됨"]
