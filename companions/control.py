"""Words for a bot that runs, left in its control file; its answer is waited for and printed."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import time
from pathlib import Path

import kis_realtime_trading as bot

ANSWER_WITHIN_S = 12.0  # a bot that waits for its morning looks every ten seconds


def running_folders() -> list[Path]:
    """Return the state folders of the bots of this user that run, by the lock each holds open."""
    found = set()
    for link in sorted(Path("/proc").glob("[0-9]*/fd/*")):
        with contextlib.suppress(OSError):  # another user's process, or one that has just ended
            lock = Path(os.readlink(link))
            if re.fullmatch(r"account-.+\.lock", lock.name):
                found.add(lock.parent)
    return sorted(found)


def folder_of_bot(options: argparse.Namespace) -> Path:
    """Return the folder to leave a word in: the one named, else that of the bot that runs."""
    running = running_folders()
    if options.state is None and len(running) > 1:
        names = ", ".join(map(str, running))
        raise bot.BotError(bot.Both(
            f"several bots run; name one of their folders with --state: {names}",
            f"봇이 여럿 실행 중입니다. --state로 폴더를 고르십시오: {names}",
        ))  # fmt: skip
    folder = running[0] if options.state is None and running else bot.state_folder(options, None)
    if not any(folder.glob("journal-*.sqlite3")):
        raise bot.BotError(bot.Both(
            f"no bot keeps its journal in {folder}: give its folder by --state DIR",
            f"{folder}에는 봇의 저널이 없습니다. 봇의 폴더를 --state로 알려 주십시오.",
        ))  # fmt: skip
    return folder


def folder_to_read(options: argparse.Namespace) -> Path:
    """Return the folder whose journal is read: the one named, the usual, else that of the bot that runs."""
    usual = bot.state_folder(options, None)
    if options.state or any(usual.glob("journal-*.sqlite3")):
        return usual
    running = running_folders()
    return running[0] if len(running) == 1 else usual


def leave_control(options: argparse.Namespace) -> int:
    """Leave a command for a bot; wait for the answer of one that runs and print it."""
    given = {
        "level": options.level, "resolve": options.resolve, "levels": options.levels,
        "accept": options.accept_orders and "",
    }  # fmt: skip
    text = next(f"{n} {value}".strip() for n, value in given.items() if value not in (None, False))
    meant = bot.read_words(text.split(" "))
    if not isinstance(meant, bot.Said):
        forms = meant.usage("en") if meant else "?"
        raise bot.BotError(
            bot.Both(f"{text!r} is not {forms}", f"{text!r}: {forms} 형식이 아닙니다.")
        )
    folder = folder_of_bot(options)
    path = folder / bot.CONTROL_FILE
    before = {file: last_row(file) for file in sorted(folder.glob("journal-*.sqlite3"))}
    waiting = path.read_text(errors="replace") + "\n" if path.is_file() else ""  # not yet obeyed
    bot.write_private(path, waiting + text)
    if folder.resolve() not in running_folders():
        bot.tell(options.speak,
             f"left in {path}; a running bot obeys within a second, a stopped one when it starts",
             f"{path}에 남겼습니다. 실행 중인 봇은 1초 안에, 꺼져 있는 봇은 시작할 때 따릅니다.")  # fmt: skip
        return 0
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while path.exists() or path.with_suffix(".taken").exists():
        if time.monotonic() > deadline:
            raise bot.BotError(bot.Both(
                f"left in {path}, but the bot did not obey in {ANSWER_WITHIN_S:.0f} s",
                f"{path}에 남겼지만 봇이 {ANSWER_WITHIN_S:.0f}초 동안 따르지 않았습니다.",
            ))  # fmt: skip
        time.sleep(0.05)
    said = [row for file, seq in before.items() for row in answers_since(file, seq)]
    for row in said:
        if row.kind == "alert":
            print(bot.say(bot.Alert(row.ref, json.loads(row.body)), options.speak))
        else:
            bot.tell(options.speak, f"the bot took it: {text}", f"봇이 받았습니다: {text}")
    failed = not said or any(row.kind == "alert" and row.ref == "error" for row in said)
    return bot.EXIT_FAILED if failed else 0


def last_row(file: Path) -> int:
    """Return the number of the last row of a journal that another process writes."""
    with contextlib.suppress(bot.JournalError):
        journal = bot.Journal(file, read_only=True)
        try:
            return max((row.seq for row in journal.rows("command", "alert")), default=0)
        finally:
            journal.close()
    return 0


def answers_since(file: Path, after: int) -> list[bot.JournalRow]:
    """Return what a bot obeyed and told since a row."""
    with contextlib.suppress(bot.JournalError):
        journal = bot.Journal(file, read_only=True)
        try:
            return [row for row in journal.rows("command", "alert") if row.seq > after]
        finally:
            journal.close()
    return []
