"""Updates of chance at the phone: no action without a fresh, authorised row, and its proof.

python tests/campaigns/phone_updates.py --updates 1000000 --seed 1

Strangers, replays, edits, forwards, groups, taps, odd text, full-width digits, codes that are wrong,
old, of another action or another person. A referee of its own counts what may act; the bot is real.
By command only the half that decides is thrown at (whose words, which proof): rows and actions are
noted, not carried out. `--whole` writes and trades as well, at a hundredth of the pace.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT.parent), str(ROOT / "support")]

import edge  # noqa: E402
import harness  # noqa: E402

import kis_realtime_trading as bot  # noqa: E402

OWNERS, STRANGER = (4242, 4243), 666
FREE = ("stop", "stopentry", "reduce")  # written down again: not read from the bot's table
CONFIRMED = ("flatten", "sell 005930")
UP = ("resume", "buy 005930 3", "buy 005930 3 70000", "unlock 005930", "accept", "resolve a=absent")
SAME = {"stopentry": "stop"}  # two names of one word
ODD = ("/yes １２３４５６", "/yes", "/resume １２３４５６", "/stop\u200f", "/STOP", " /stop", "/stop\n", "stop", "/", "", "/ok", "/stop stop",
       "/flatten 000000", "/yes 999999", "/level ACTIVE", "/set max_order_krw 9", "/buy 005930")  # fmt: skip


class Referee:
    """Makes updates, and knows which of them may act."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)
        self.number, self.newest = 1000, 0
        self.codes: dict[int, tuple[str, str, float]] = {}  # person -> action, code, loop time
        self.kept: list[dict[str, Any]] = []  # to be replayed

    def text(self, user: int) -> str:
        """Return what somebody says."""
        pick = self.pick
        kind, action = pick.random(), pick.choice((*CONFIRMED, *UP))
        if kind < 0.15:
            return f"/{pick.choice(FREE)}"
        if kind < 0.45:
            return f"/{action}"
        if kind < 0.85 and self.codes:
            _, code, _ = self.codes.get(pick.choice((user, *self.codes)), ("", "000000", 0.0))
            wrong = f"{pick.randrange(10**6):06d}"
            said = pick.choice(("yes", "yes", "yes", action))
            return f"/{said} {pick.choice((code, code, code, wrong))}"
        return pick.choice(ODD)

    def update(self) -> tuple[dict[str, Any], bool]:
        """Return an update and whether it is the owner's own fresh word."""
        pick = self.pick
        if self.kept and pick.random() < 0.1:
            return pick.choice(self.kept), False  # a replay
        self.number += pick.choice((1, 1, 1, 0))
        user = pick.choice((*OWNERS, *OWNERS, STRANGER))
        good = user != STRANGER and self.number > self.newest
        message: dict[str, Any] = {
            "message_id": 1, "date": int(time.time()), "chat": {"id": user, "type": "private"},
            "from": {"id": user, "is_bot": False, "first_name": "x"}, "text": self.text(user),
        }  # fmt: skip
        spoils: tuple[dict[str, Any], ...] = (
            {"edit_date": 1}, {"forward_origin": {"type": "user"}}, {"via_bot": {"id": 1}},
            {"sender_chat": {"id": user}}, {"date": int(time.time()) - 70}, {"date": 0},
            {"chat": {"id": -100, "type": "supergroup"}}, {"chat": {"id": 1, "type": "private"}},
            {"from": {"id": str(user), "is_bot": False}}, {"from": {"id": user, "is_bot": True}},
            {"text": None},
        )  # fmt: skip
        if pick.random() < 0.25:
            message, good = {**message, **pick.choice(spoils)}, False
        update = {"update_id": self.number, "message": message}
        if pick.random() < 0.2:
            update = {
                "update_id": self.number,
                pick.choice(("edited_message", "channel_post")): message,
            }
            good = False
        elif pick.random() < 0.25 and "edit_date" not in message:  # the bot edits its own
            query = {
                "id": "1",
                "from": message["from"],
                "message": message,
                "data": message["text"],
            }
            update, good = {"update_id": self.number, "callback_query": query}, good
        self.kept = [*self.kept[-50:], update]
        return update, good

    def allowed(self, update: dict[str, Any], good: bool, now_s: float) -> str:
        """Return what this update may do, "" nothing, by what was written down above."""
        text = text_of(update)
        if not good:
            return ""
        if text in FREE:
            return text
        action, code, since_s = self.codes.get(user_of(update), ("", "", 0.0))
        right = text == f"yes {code}" and now_s - since_s <= 60.0
        return action if right and (action in CONFIRMED or "message" in update) else ""


def text_of(update: dict[str, Any]) -> str:
    """Return what an update says, without its slash."""
    said = update.get("message") or update.get("callback_query") or {}
    return str(said.get("text") or said.get("data") or "").removeprefix("/")


def user_of(update: dict[str, Any]) -> Any:
    """Return who says it."""
    said: dict[str, Any] = update.get("message") or update.get("callback_query") or {}
    return said.get("from", {}).get("id")


class Noting:
    """Stands before a part of a trader: what would be written or done is noted, all else is the part's."""

    def __init__(self, part: Any, **instead: Any) -> None:
        self._part = part
        self.__dict__.update(instead)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)


class Written:
    """What a bot wrote since the last look: (kind, ref) of each row, in order."""

    def __init__(self, trader: bot.Trader) -> None:
        self._journal, self._seen = trader.journal, trader.journal.last_seq

    def __call__(self) -> list[tuple[str, str]]:
        """Return the new rows of words and commands."""
        if self._journal.last_seq == self._seen:
            return []
        rows = self._journal.rows("command", "phone")
        new = [(row.kind, row.ref) for row in rows if row.seq > self._seen]
        self._seen = self._journal.last_seq
        return new


def half_of(trader: bot.Trader) -> tuple[bot.Phone, Callable[[], list[tuple[str, str]]]]:
    """Return a phone whose rows and actions are noted, and what returns and forgets them."""
    noted: list[tuple[str, str]] = []
    stand: Any = Noting(
        trader,
        bridge=Noting(
            trader.bridge,
            execute=lambda actions: noted.extend((each.kind, each.ref) for each in actions),
        ),
        obey=lambda said, _: noted.append(("command", " ".join((said.word.name, *said.values)))),
    )

    def take() -> list[tuple[str, str]]:
        found = noted.copy()
        noted.clear()
        return found

    return bot.Phone(stand), take


async def throw(world: harness.World, updates: int, seed: int, whole: bool) -> Counter[str]:
    """Throw updates at a bot; return what happened. Raises AssertionError for a wrong action."""
    referee, seen = Referee(seed), Counter[str]()
    trader = world.make_trader(harness.Nothing())
    phone, written = (bot.Phone(trader), Written(trader)) if whole else half_of(trader)
    telegram = trader.bridge.telegram
    telegram.users, telegram.obey = frozenset(OWNERS), phone.obey
    telegram._token = bot.Secret("1:planted")
    for _ in range(updates):
        update, good = referee.update()
        now_s, loop = time.time(), asyncio.get_running_loop()
        may = referee.allowed(update, good, loop.time())
        telegram._hear(update)
        if isinstance(bot.phone_word(update, OWNERS, referee.newest, now_s), bot.PhoneWord):
            referee.newest = update["update_id"]
        new = written()
        acted = any(kind == "command" for kind, _ in new)
        assert not acted or may, (update, referee.codes)
        assert not acted or whole or new[1:] == [("command", SAME.get(may, may))], (update, new)
        assert not acted or new[0] == ("phone", str(update["update_id"])), (update, new)
        seen["acted" if acted else "may, void" if may else "nothing"] += 1
        _take_codes(referee, telegram, text_of(update), loop.time())
        await asyncio.sleep(referee.pick.choice((0.0, 0.5, 20.0)))
    trader.journal.close()
    return seen


def _take_codes(referee: Referee, telegram: bot.TelegramBot, action: str, now_s: float) -> None:
    """Read the codes that were sent to people, as they do; a code that was tried is void."""
    for letter in telegram._urgent:
        if not letter.chat.isdigit():
            continue
        user, faces = int(letter.chat), [word for _, word in letter.answer.buttons]
        asked = [word for word in faces if word.rpartition(" ")[2].isdigit()]
        line = asked[0] if asked else letter.text.rpartition(": ")[2]
        yes, _, code = line.rpartition(" ")
        if yes == "/yes" and len(code) == 6 and action in (*CONFIRMED, *UP):
            referee.codes[user] = action, code, now_s
        elif "번호가 맞지 않거나" in letter.text:
            referee.codes.pop(user, None)
    telegram._urgent.clear()
    telegram._usual.clear()


def run(updates: int, seed: int, whole: bool = True) -> Counter[str]:
    """Run the campaign in virtual time."""
    world = harness.World(edge.config(), start="09:30:00")
    try:
        return harness.run_virtual(throw(world, updates, seed, whole))
    finally:
        world.close()


def main() -> int:
    """Print what happened."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--whole", action="store_true", help="write and trade as well")
    options = parser.parse_args()
    logging.disable()
    began, left, seen = time.monotonic(), options.updates, Counter[str]()
    part = 2_000 if options.whole else 50_000
    while left > 0:
        seen += run(min(part, left), options.seed + left, options.whole)
        left -= part
    print(json.dumps({**seen, "seconds": round(time.monotonic() - began, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
