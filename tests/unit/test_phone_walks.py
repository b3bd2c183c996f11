"""Whose words count, read a second time: updates, codes and pairings of chance against plain tables."""

from __future__ import annotations

import random
import re
import time

import pytest

import kis_realtime_trading as bot

OWNER, OTHER, STRANGER, NOW = 4242, 4243, 666, 1_795_000_000
ASKS = {each.name for each in bot.COMMANDS.values() if each.danger is bot.Danger.ASK} | {"start"}
WORDS = [
    "/stop", "/status", "/status x", "/start 012345", "/buy 삼성전자 3 012345", "/resume", "/nothing",
    "/STOP", "stop", "/stop ", "/stop  x", "/a b c d e f", "", None, 7, "/stop\n", "/sell 005930;",
]  # fmt: skip
FORM = re.compile("/([a-z]{1,32})((?: [0-9A-Za-z가-힣&.=_-]{1,40}){0,4})")
# field -> (whether it is right, value); what is left out of a message is `...`
# ids above the newest one seen: 0 after the very first start
IDS = [
    (True, 1001),
    (True, 1002),
    (False, 0),
    (False, True),
    (False, "1001"),
    (False, 1001.0),
    (False, ...),
]
SENDERS = [
    (True, {"id": OWNER, "is_bot": False}), (True, {"id": OWNER}), (True, {"id": OTHER}),
    (False, {"id": STRANGER}), (False, {"id": OWNER, "is_bot": True}), (False, {"id": float(OWNER)}),
    (False, {"id": str(OWNER)}), (False, {}), (False, None), (False, ...),
]  # fmt: skip
CHATS = ["own", "own", "own", "own", "of another", "group", "channel", None, ...]
DATES = [0, -5, 60, 30, -6, 61, 100_000, 10**10, "text", 1.5, True, ...]
MARKS = [
    "",
    "",
    "",
    "",
    "",
    "",
    "forward_origin",
    "forward_date",
    "via_bot",
    "edit_date",
    "sender_chat",
]
EXTRAS = ["", "", "", "", "", "edited_message", "channel_post", "inline_query"]


def usually(pick, values):
    """Draw a value: mostly the first, that a good update has."""
    return values[0] if pick.random() < 0.7 else pick.choice(values)


def update_of(pick):
    """Return an update of chance, and what the papers say of it: its word, or a reason."""
    tapped = pick.random() < 0.4
    (number_fits, number), (sender_fits, sender) = usually(pick, IDS), usually(pick, SENDERS)
    chat, age, mark, extra = (usually(pick, each) for each in (CHATS, DATES, MARKS, EXTRAS))
    said, beside = pick.choice(WORDS), pick.choice(WORDS)
    user = sender.get("id") if isinstance(sender, dict) else None
    message = {"message_id": 1, "text": beside if tapped else said}
    if not tapped:
        message |= {"from": sender, "data": beside}
    else:  # the message is ours: its sender, its text and the date of its edit say nothing
        message |= {"from": {"id": OWNER, "is_bot": False}}
    message |= {"chat": {
        "own": {"id": user, "type": "private"}, "of another": {"id": 9, "type": "private"},
        "group": {"id": user, "type": "group"}, "channel": {"id": user, "type": "channel"},
    }.get(chat, chat)}  # fmt: skip
    message |= {"date": NOW - age if type(age) is int else age}
    message |= {mark: NOW - 1} if mark else {}
    body = {"id": "1", "from": sender, "message": message, "data": said} if tapped else message
    kind = "callback_query" if tapped else "message"
    update = {"update_id": number, kind: body} | ({extra: body} if extra else {})
    for each in (update, body, message):
        for key in [key for key, value in each.items() if value is ...]:
            del each[key]
    found = FORM.fullmatch(said) if isinstance(said, str) else None
    fresh = type(age) is int and -5 <= age <= 60
    asks = tapped and found is not None and found[1] in ASKS
    asks = asks and type(age) is int and NOW - age > 0
    marked = mark not in ("", "sender_chat") and not (mark == "edit_date" and tapped)
    faults = [
        (bool(extra) or number is ..., "no new message"),
        (not isinstance(sender, dict) or chat in (None, ...), "no sender"),
        (not sender_fits, "stranger"),
        (chat != "own" or mark == "sender_chat", "not a private chat"),
        (marked, "not his own words"),
        (not number_fits or type(age) is not int, "seen before"),
        (not (fresh or asks), "too old"),
        (found is None, "no command"),
    ]
    reason = next((why for wrong, why in faults if wrong), "")
    if reason:
        return update, reason
    return update, bot.PhoneWord(number, user, found[1], tuple(found[2].split()), tapped)


@pytest.mark.parametrize("seed", range(40))
def test_an_update_of_chance_says_what_the_table_says(seed):
    """Each field right or wrong for itself: sender, chat, number, age, form, marks, other kinds."""
    pick = random.Random(seed)
    for _ in range(200):
        update, expected = update_of(pick)
        newest = pick.choice([0, 1000])
        assert bot.phone_word(update, {OWNER, OTHER}, newest, NOW) == expected, update


@pytest.mark.parametrize("seed", range(60))
def test_codes_of_two_persons_live_and_lock_each_for_itself(seed):
    """One use, one try, its person, a minute; three wrong within a quarter of an hour lock."""
    pick, drawn = random.Random(seed), []

    def draw(most):
        assert most == 1_000_000
        drawn.append(pick.randrange(most))
        return drawn[-1]

    codes, now, waits, wrong = bot.PhoneCodes(draw), 5.0, {}, {OWNER: [], OTHER: []}
    for _ in range(150):
        now += pick.choice([0.0, 0.0, 1.0, 59.0, 60.0, 61.0, 300.0])
        user = pick.choice([OWNER, OWNER, OTHER])
        said = bot.Said(bot.COMMANDS["sell"], (pick.choice(["005930", "000660"]),))
        if pick.random() < 0.5:
            code = codes.issue(user, said, now)
            locked = sum(now < at + 900.0 for at in wrong[user]) >= 3
            assert code == ("" if locked else f"{drawn[-1]:06d}")
            if code:
                waits[user] = said, code, now + 60.0
        else:
            meant, code, until = waits.pop(user, (None, "", -1.0))
            tried = code if pick.random() < 0.5 else pick.choice(["000000", "", "x", "12345"])
            right = tried == code and now <= until
            assert codes.take(user, tried, now) == (meant if right else None)
            if right:
                wrong[user].clear()
            elif now <= until:
                wrong[user].append(now)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("seed", range(30))
def test_a_bot_that_hears_does_each_word_once_and_takes_one_person_in(seed, paired):
    """Words of two persons and a stranger, in any order, faults of what they do, the code of pairing."""
    pick, done, kept = random.Random(seed), [], []
    telegram = bot.TelegramBot(bot.Secret("token-of-a-test"), str(OWNER))

    def obey(word):
        done.append(word.update_id)
        if word.command == "reduce":
            raise RuntimeError("of what it does")
        return bot.Answer(f"{word.command}!")

    telegram.obey, telegram.on_paired = obey, kept.append
    users, pairing = ({OWNER}, "") if paired else (set(), "012345")
    telegram.users, telegram.pairing = frozenset(users), pairing
    newest, wrong, expected, taken = 0, 0, [], []
    for _ in range(40):
        number = max(1, newest + pick.choice([-1, 0, 1, 1, 1, 1, 2]))
        user = pick.choice([OWNER, OWNER, OTHER, STRANGER])
        said = pick.choice(
            ["/stop", "/reduce", "/start", "/start 000000", "/start 012345", "/Stop", "hello"]
        )
        old = pick.random() < 0.2
        told = len(telegram.outbox)
        why = telegram._hear({"update_id": number, "message": {
            "message_id": 1, "date": int(time.time()) - 300 * old, "text": said,
            "chat": {"id": user, "type": "private"}, "from": {"id": user, "is_bot": False},
        }})  # fmt: skip
        new, word = number > newest, said.startswith("/s") or said == "/reduce"
        answers = 0
        if user in users:
            acts = new and not old and word
            answers = acts or (new and not old)  # of no command, what was meant
            assert (why == "") is acts
        else:
            tries = pairing != "" and new and not old and said.startswith("/start ")
            acts = tries and said == "/start 012345"
            wrong += tries and not acts
            if acts:
                users, pairing = users | {user}, ""
                taken.append(user)
            elif wrong == 3:
                pairing = ""
            answers = acts
            newest = number if tries else newest
            assert why == "stranger"
        if acts:
            newest = number
            expected.append(number)
        assert len(telegram.outbox) - told == answers
        assert (telegram.newest, telegram.pairing, telegram.users) == (newest, pairing, users)
    assert (done, kept) == (expected, taken)


@pytest.mark.parametrize("chat", ["4242", "-4242", "@channel", "", "4243"])
@pytest.mark.parametrize("users", [(), (OWNER,), (OTHER,), (OWNER, OTHER)])
@pytest.mark.parametrize(
    "reason", ["phone /stop", "phone", "SIGUSR1", "control file: 'phone /stop'"]
)
def test_only_who_reads_the_chat_alone_is_not_told_there_what_he_said(chat, users, reason):
    """Others would never hear of it: they are told, whoever said it."""
    telegram = bot.TelegramBot(bot.Secret("token-of-a-test"), chat, users=users)
    known = reason == "phone /stop" and [chat] == [str(each) for each in users]
    assert telegram.said_by_whom_it_tells(reason) is known
