"""Plant mistakes in the money path, one at a time, and see whether a test notices.

The mistakes stand in mistakes.txt beside this file, each an exact text of the bot and what to put
in its place. The project is copied once; each mistake is planted in the copy and the tests run until
the first fails: those of its section first, then all others that run the bot.

    python tests/campaigns/mistakes.py                      every mistake
    python tests/campaigns/mistakes.py --slice 6            six: other ones each day
    python tests/campaigns/mistakes.py --only cash-of-yesterday
    python tests/campaigns/mistakes.py --list               what there is, and what applies no more
    python tests/campaigns/mistakes.py --quick              only the tests of the section
"""

from __future__ import annotations

import argparse
import ast
import importlib
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BOT = "kis_realtime_trading.py"
PATCHES = Path(__file__).with_suffix(".txt")
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "kis_state"
)
# Tests that read the source or the papers, and those of what only looks at a bot: no judges here.
NO_JUDGES = (
    "unit/test_house.py", "unit/test_seams.py", "unit/test_readme.py", "unit/test_typing_errors.py",
    "companions", "venues",
)  # fmt: skip
# Loaded once, before the forks: what bot and tests import of others.
LIBRARIES = (
    "aiohttp", "Crypto.Cipher.AES", "hypothesis", "pydantic", "pytest_asyncio", "pytest_timeout",
    "websockets.asyncio.client", "websockets.asyncio.server", "yaml",
)  # fmt: skip
STUCK_S = 900.0  # a mistake may make the tests hang: that is noticed
# Section of the bot's file -> the tests that know it best, quickest first.
RELATED: dict[str, tuple[str, ...]] = {
    "5. MARKET RULES": (
        "unit/test_codec_plainly.py",
        "unit/test_calendar.py",
        "unit/test_rules.py",
    ),
    "6. WIRE CODEC": (
        "unit/test_rows_again.py",
        "unit/test_codec_plainly.py",
        "unit/test_second_readings.py",
        "unit/test_fresh.py",
        "unit/test_codec.py",
    ),
    "18. RUNTIME SERVICES": (
        "bot/test_plain_edges.py",
        "bot/test_plain_borders.py",
        "unit/test_services_in_a_row.py",
        "unit/test_services.py",
    ),
    "7. BARS": ("unit/test_bars_again.py", "unit/test_bars.py", "unit/test_fresh.py"),
    "4. SETTINGS": ("unit/test_decided_settings.py", "unit/test_settings.py"),
    "29. COMMAND LINE": (
        "bot/test_first_lines.py",
        "bot/test_start_up.py",
        "unit/test_start.py",
        "bot/test_command_line.py",
    ),
    "22. KISMarketData": (
        "bot/test_market_walks.py",
        "bot/test_plain_borders.py",
        "bot/test_plain_edges.py",
        "bot/test_requests.py",
        "bot/test_market_data.py",
    ),
    "3. DATA TYPES": (
        "unit/test_decided_settings.py",
        "unit/test_over_steps.py",
        "unit/test_ledger.py",
        "unit/test_engine.py",
    ),
    "8. LEDGER": (
        "unit/test_ledger_sums.py",
        "unit/test_second_readings.py",
        "unit/test_ledger_entries.py",
        "unit/test_walks.py",
        "unit/test_ledger.py",
        "unit/test_second_steps.py",
        "bot/test_days_of_others.py",
        "unit/test_over_steps.py",
        "unit/test_exit_walks.py",
    ),
    "10. STRATEGY": ("unit/test_strategy.py",),
    "9. RISK": (
        "unit/test_risk.py",
        "unit/test_risk_model.py",
        "unit/test_limits.py",
        "unit/test_engine.py",
    ),
    "11. RECONCILER": (
        "unit/test_judged.py",
        "unit/test_two_at_once.py",
        "unit/test_second_readings.py",
        "unit/test_third_steps.py",
        "unit/test_walks.py",
        "unit/test_over_steps.py",
        "unit/test_ledger.py",
        "unit/test_second_steps.py",
        "unit/test_engine.py",
    ),
    "20. KISAuth": (
        "bot/test_auth_again.py",
        "bot/test_plain_borders.py",
        "bot/test_calls_in_a_row.py",
        "bot/test_auth.py",
    ),
    "21. REST": (
        "bot/test_plain_borders.py",
        "bot/test_plain_edges.py",
        "bot/test_calls_in_a_row.py",
        "bot/test_rest.py",
        "bot/test_requests.py",
        "bot/test_auth.py",
    ),
    "23. KISWebSocket": (
        "unit/test_silence_again.py",
        "bot/test_fourth_doors.py",
        "bot/test_plain_borders.py",
        "bot/test_plain_edges.py",
        "bot/test_feed_in_a_row.py",
        "bot/test_sessions.py",
        "bot/test_second_doors.py",
        "bot/test_websocket.py",
        "bot/test_doors.py",
    ),
    "24. TelegramBot": (
        "bot/test_plain_edges.py",
        "bot/test_plain_borders.py",
        "unit/test_services_in_a_row.py",
        "unit/test_phone_walks.py",
        "unit/test_phone_words.py",
        "bot/test_phone_alone.py",
        "bot/test_phone_rules.py",
        "bot/test_outbox.py",
        "bot/test_telegram.py",
    ),
    "25. JOURNAL": (
        "unit/test_rows_again.py",
        "unit/test_start.py",
        "unit/test_journal_in_doubt.py",
        "bot/test_doors.py",
        "unit/test_services.py",
        "bot/test_days_on_end.py",
    ),
    "26. GATE": (
        "unit/test_gate_pace.py",
        "bot/test_plain_borders.py",
        "unit/test_gate_borders.py",
        "unit/test_gate.py",
        "bot/test_second_doors.py",
    ),
    "27. KISOrder": (
        "bot/test_order_again.py",
        "bot/test_market_walks.py",
        "bot/test_requests.py",
        "bot/test_order.py",
        "bot/test_calls_in_a_row.py",
    ),
    "28. TRADER": (
        "bot/test_trader_walks.py",
        "bot/test_trader_again.py",
        "bot/test_fourth_doors.py",
        "bot/test_plain_edges.py",
        "bot/test_plain_borders.py",
        "bot/test_trader_in_a_row.py",
        "bot/test_trader_alone.py",
        "bot/test_polls.py",
        "bot/test_second_doors.py",
        "bot/test_doors.py",
        "bot/test_phone_rules.py",
        "bot/test_late_journal.py",
        "bot/test_days_on_end.py",
        "companions/test_telegram_server.py",
    ),
    "19. WORDS": ("unit/test_alarms_again.py", "unit/test_alarms.py", "unit/test_phone_words.py"),
    "12. STATE": ("unit/test_agenda.py", "bot/test_polls.py", "bot/test_second_doors.py"),
    "13. ENTRIES": ("bot/test_commands.py", "bot/test_days_of_others.py"),
    "16. COMMANDS": ("bot/test_commands.py",),
    "17. ENGINE": ("bot/test_days_of_others.py",),
}
OF_THE_ENGINE = (
    "unit/test_facts.py", "unit/test_replies.py", "unit/test_evening.py", "unit/test_engine_again.py", "unit/test_exits_again.py",
    "unit/test_two_at_once.py", "unit/test_account_of_the_day.py", "unit/test_account_walks.py",
    "unit/test_second_readings.py", "unit/test_walks.py", "unit/test_over_steps.py", "unit/test_second_steps.py", "unit/test_fresh.py", "unit/test_exit_walks.py", "unit/test_engine.py",
    "unit/test_third_steps.py", "unit/test_fourth_steps.py",
)  # fmt: skip
GROUPS = {
    "engine": ("12.", "13.", "14.", "15.", "16.", "17."),
    "doors and trader": ("20.", "21.", "22.", "25.", "26.", "27.", "28."),
    "socket": ("23.",),
    "codec and bars": ("6.", "7."),
    "ledger and reconciler": ("3.", "5.", "8.", "9.", "11."),
}


@dataclass(frozen=True)
class Mistake:
    """One mistake: an exact text of the bot and what to put in its place."""

    name: str
    steps: bool  # whether it takes several steps to matter
    story: str
    old: str
    new: str

    def plant(self, source: str) -> str:
        """Return the source with the mistake in it; "" when its old text is not there once."""
        if source.count(self.old) != 1:
            return ""
        return source.replace(self.old, self.new)

    def section(self, source: str) -> str:
        """Return the section of the bot's file that it is planted in."""
        headings = re.findall(r"^# === (\d+\. .+) ===$", source[: source.find(self.old)], re.M)
        return headings[-1] if headings else "?"


def read_mistakes(text: str) -> list[Mistake]:
    """Read the patches; every one has a name of its own, a story, an old text and a new one."""
    found = []
    for block in re.split(r"^=== ", text, flags=re.M)[1:]:
        head, _, body = block.partition("\n")
        story, _, change = body.partition("\n---\n")
        old, plus, new = change.partition("\n+++\n")
        if not (story and old and plus):
            raise ValueError(f"{head}: a story, the old text and the new one are needed")
        name, _, steps = head.partition(" ")
        new = new.rstrip("\n")
        if not new.strip():  # lines that are taken away go with their end
            old, new = old + "\n", ""
        found.append(Mistake(name, steps == "*", story, old, new))
    twice = [name for name, count in Counter(each.name for each in found).items() if count > 1]
    if twice:
        raise ValueError(f"names that stand twice: {twice}")
    return found


def group_of(section: str) -> str:
    """Return the group of the report that a section belongs to."""
    number = section.partition(" ")[0]
    return next((name for name, numbers in GROUPS.items() if number in numbers), "others")


def tests_for(section: str, folder: Path, quick: bool) -> list[str]:
    """Return the test files for a section, those that know it best first."""
    tests = folder / "tests"
    best = [*RELATED.get(section, ()), *(OF_THE_ENGINE if group_of(section) == "engine" else ())]
    files = [tests / name for name in best if (tests / name).is_file()]
    if not quick:
        judges = (
            path
            for path in sorted(tests.glob("*/test_*.py"))
            if not any(path.relative_to(tests).as_posix().startswith(name) for name in NO_JUDGES)
        )
        files += [path for path in judges if path not in files]
    return [path.relative_to(folder).as_posix() for path in files]


def run_pytest(folder: Path, tests: Sequence[str], told: Path) -> None:
    """Run tests in a folder, in a child of this process; what pytest says goes to a file."""
    os.setsid()
    out = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(folder)
    sys.path[0] = str(folder)
    os._exit(pytest.main(["-x", "-rfE", "-p", "no:cacheprovider", *tests]))


def first_failure(folder: Path, tests: Sequence[str]) -> str:
    """Run tests in a folder; return the name of the first that fails, "" if none does.

    In a fork: the libraries are loaded once, which else takes longer than most mistakes live.
    """
    for compiled in folder.glob(f"__pycache__/{BOT.removesuffix('.py')}*"):
        compiled.unlink()  # a file of the same size and second would pass for the one before
    file = folder.parent / "told.txt"
    run = multiprocessing.get_context("fork").Process(target=run_pytest, args=(folder, tests, file))
    run.start()
    run.join(STUCK_S)
    if run.exitcode is None and run.pid:
        os.killpg(run.pid, signal.SIGKILL)
        run.join()
        return "(the tests hang)"
    told = file.read_text(encoding="utf-8", errors="replace")
    named = re.search(r"^(?:FAILED|ERROR) (\S+)", told, re.M)
    if run.exitcode == 0:
        return ""
    if run.exitcode != 1 or not named:
        raise RuntimeError(f"the tests end with {run.exitcode}: {told[-2_000:]}")
    return named[1]


def judge(mistakes: Sequence[Mistake], quick: bool, only: Sequence[str]) -> dict[str, str]:
    """Plant each mistake; print and return who noticed it, "" for nobody."""
    source = (ROOT / BOT).read_text(encoding="utf-8")
    for library in LIBRARIES:
        importlib.import_module(library)
    noticed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="kisbot-mistakes-") as name:
        copy = Path(name) / "copy"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        first = {file for each in mistakes for file in tests_for(each.section(source), copy, True)}
        first = set(only) or first
        if broken := first_failure(copy, sorted(first)):
            raise SystemExit(f"nothing can be told: {broken} fails with nothing planted")
        for each in mistakes:
            began, section = time.monotonic(), each.section(source)
            planted = each.plant(source)
            ast.parse(planted)  # a mistake in the grammar would be noticed by everybody
            (copy / BOT).write_text(planted, encoding="utf-8")
            noticed[each.name] = first_failure(copy, only or tests_for(section, copy, quick))
            spent = time.monotonic() - began
            said = noticed[each.name] or "NOBODY NOTICED"
            print(f"{section[:18]:18} {each.name:38} {spent:4.0f} s  {said}", flush=True)
    return noticed


def report(mistakes: Sequence[Mistake], noticed: dict[str, str]) -> None:
    """Print how many were noticed, by group and by the number of steps."""
    source = (ROOT / BOT).read_text(encoding="utf-8")
    seen: Counter[str] = Counter()
    all_of: Counter[str] = Counter()
    for each in mistakes:
        steps = "several steps" if each.steps else "one step"
        for name in (group_of(each.section(source)), steps, "all"):
            all_of[name] += 1
            seen[name] += bool(noticed[each.name])
    for name in [*GROUPS, "others", "one step", "several steps", "all"]:
        if all_of[name]:
            share = 100 * seen[name] / all_of[name]
            print(f"{name:24} {seen[name]:3} of {all_of[name]:3} noticed  {share:4.0f} %")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--list", action="store_true", help="name them; plant none")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--slice", type=int, default=0, metavar="N", help="N, chosen by the date")
    parser.add_argument("--quick", action="store_true", help="only the tests of the section")
    parser.add_argument("--tests", nargs="*", default=[], metavar="FILE", help="only these tests")
    parser.add_argument("--from", dest="file", type=Path, default=PATCHES, metavar="FILE")
    options = parser.parse_args()
    source = (ROOT / BOT).read_text(encoding="utf-8")
    every = read_mistakes(options.file.read_text(encoding="utf-8"))
    if unknown := set(options.only) - {each.name for each in every}:
        parser.error(f"no mistake has the name {', '.join(sorted(unknown))}")
    stale = [each for each in every if not each.plant(source)]
    too_stale = len(stale) * 10 > len(every)  # code moves on; a few may wait for their next author
    for each in stale:
        print(f"{each.name}: its text is not in the bot's file once; write it again")
    chosen = [
        each for each in every if each not in stale and each.name in (options.only or each.name)
    ]
    if options.slice:
        first = date.today().toordinal() * options.slice
        chosen = [chosen[(first + n) % len(chosen)] for n in range(min(options.slice, len(chosen)))]
    if options.list:
        for each in chosen:
            print(f"{each.section(source):22} {each.name}{' *' * each.steps}: {each.story}")
        return too_stale
    began, noticed = time.monotonic(), judge(chosen, options.quick, options.tests)
    report(chosen, noticed)
    print(f"{len(stale)} apply no more; {time.monotonic() - began:.0f} s")
    return int(too_stale or not all(noticed.values()))


if __name__ == "__main__":
    sys.exit(main())
