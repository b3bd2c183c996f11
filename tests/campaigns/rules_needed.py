"""Take one rule of risk at a time off the path and see which test notices.

The bot's file is copied, the name of the rule is taken out of the tuple RULES there, and the tests
run on the copy until the first fails. A rule that nothing misses would be a rule in name only.

    python tests/campaigns/rules_needed.py                        every rule
    python tests/campaigns/rules_needed.py --rules rule_cash      this one
    python tests/campaigns/rules_needed.py --today                one: another one each day
    python tests/campaigns/rules_needed.py --tests tests/unit/test_engine.py     which the whole path misses
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BOT = "kis_realtime_trading.py"
# It compares RULES with the names in the file: it would notice every time, and prove nothing.
LIST_OF_RULES = "test_every_rule_of_the_file_is_on_the_one_path"
LEFT_OUT = (".*", "__pycache__", "kis_state", "docs")


def rules_of(source: str) -> tuple[ast.AnnAssign, list[str]]:
    """Return the definition of RULES and the names in it."""
    [found] = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "RULES"
    ]
    assert isinstance(found.value, ast.Tuple)
    return found, [ast.unparse(each) for each in found.value.elts]


def without(source: str, rule: str) -> str:
    """Return the source with one name less in RULES and not another difference."""
    node, before = rules_of(source)
    assert node.end_lineno is not None
    lines = source.splitlines(True)
    text = "".join(lines[node.lineno - 1 : node.end_lineno])
    fewer, count = re.subn(rf"\b{rule},\s", "", text)
    changed = "".join([*lines[: node.lineno - 1], fewer, *lines[node.end_lineno :]])
    left = rules_of(changed)[1]
    assert count == 1 and left == [name for name in before if name != rule], (rule, count, left)
    return changed


def first_failure(folder: Path, tests: tuple[str, ...]) -> str:
    """Run tests in a folder; return the name of the first that fails, "" if none does."""
    options = ["-x", "-rfE", "-p", "no:cacheprovider", "-k", f"not {LIST_OF_RULES}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return ""
    named = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)
    if done.returncode != 1 or not named:
        raise RuntimeError(done.stdout + done.stderr)
    return named[1]


def judge(rules: list[str], tests: tuple[str, ...]) -> list[str]:
    """Take each rule away and print what failed; return the rules that nobody missed."""
    source = (ROOT / BOT).read_text(encoding="utf-8")
    unneeded = []
    with tempfile.TemporaryDirectory(prefix="kisbot-rules-") as name:
        copy = Path(name) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
        if broken := first_failure(copy, tests):
            raise SystemExit(f"nothing can be told: {broken} fails with every rule in place")
        for number, rule in enumerate(rules, 1):
            (copy / BOT).write_text(without(source, rule), encoding="utf-8")
            missed = first_failure(copy, tests)
            print(f"{number:2} of {len(rules)}  {rule:22} {missed or 'NOBODY NOTICED'}", flush=True)
            if not missed:
                unneeded.append(rule)
    return unneeded


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    _, every = rules_of((ROOT / BOT).read_text(encoding="utf-8"))
    parser.add_argument("--rules", nargs="*", choices=every, metavar="RULE")
    parser.add_argument("--today", action="store_true", help="one rule, chosen by the date")
    parser.add_argument("--tests", nargs="*", default=["tests/unit/test_risk.py"], metavar="FILE")
    options = parser.parse_args()
    rules = options.rules or every
    if options.today:
        rules = [rules[date.today().toordinal() % len(rules)]]
    began = time.monotonic()
    unneeded = judge(rules, tuple(options.tests))
    spent = time.monotonic() - began
    print(
        f"{len(rules)} of {len(every)} rules taken away, {len(unneeded)} unnoticed; {spent:.0f} s"
    )
    return 1 if unneeded else 0


if __name__ == "__main__":
    sys.exit(main())
