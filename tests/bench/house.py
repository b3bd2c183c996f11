"""Measures of the one file: its lines, its concepts, and the walks through it.

    python tests/bench/house.py            print them as tables
    python tests/bench/house.py --lines    the lines by section only

Lines are counted as they stand, and formatted with no `# fmt: skip` left: a table on one line costs
what it would cost without. Needs ruff for that, else only the first count is printed.
"""

from __future__ import annotations

import argparse
import ast
import logging
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path += [str(ROOT), str(HERE.parent / "support"), str(HERE.parent / "unit")]
import kis_realtime_trading as bot  # noqa: E402  the path is set above

SOURCE = Path(bot.__file__).read_text(encoding="utf-8")
TREE = ast.parse(SOURCE)
BANNER = re.compile(r"# === (\d+\. .+) ===")
# A code that KIS answers with, in a text of its own.
CODE = re.compile(r"(?:EGW|APBK|OPS[PQ]|IGW|KIOK)[0-9]+")
VERDICTS = {"FOUND", "ABSENT", "AMBIGUOUS"}  # what becomes of an order of unknown outcome


def lines_by_section(source: str) -> Counter[str]:
    """Return how many lines each section has."""
    found, section = Counter[str](), "head"
    for line in source.splitlines():
        if match := BANNER.fullmatch(line):
            section = match[1]
        found[section] += 1
    return found


def formatted(source: str) -> str:
    """Return a source as the formatter would have all of it; the source itself without ruff."""
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
    if ruff is None:
        return source
    command = [ruff, "format", "--config", str(ROOT / "pyproject.toml"), "--stdin-filename", "x.py", "-"]  # fmt: skip
    plain = source.replace("  # fmt: skip", "")
    return subprocess.run(command, input=plain, capture_output=True, text=True, check=True).stdout


def owners() -> dict[ast.AST, str]:
    """Return the function, class or name at the top of the file that each node stands in."""
    found: dict[ast.AST, str] = {}
    for node in TREE.body:
        named = (
            getattr(node, "name", "") or ast.unparse(getattr(node, "target", node)).split(" =")[0]
        )
        for each in ast.walk(node):
            found[each] = named
        for method in getattr(node, "body", []) if isinstance(node, ast.ClassDef) else []:
            for each in ast.walk(method):
                found[each] = f"{named}.{getattr(method, 'name', '')}".rstrip(".")
    return found


OWNERS = owners()


def lists_of_codes() -> set[str]:
    """Return where two codes of KIS or more are spelt: tables, and code that knows some."""
    spelt: dict[str, set[str]] = {}
    for node, owner in OWNERS.items():
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and not _is_docstring(node)
        ):
            spelt.setdefault(owner, set()).update(CODE.findall(node.value))
    return {owner for owner, codes in spelt.items() if len(codes) > 1}


def _is_docstring(node: ast.Constant) -> bool:
    lines = SOURCE.splitlines()
    return lines[node.lineno - 1].lstrip().startswith('"""')


def ways_to_wait() -> tuple[list[str], list[str]]:
    """Return the tables of pauses, and the functions that grow a pause by themselves."""
    tables = [
        owner for node, owner in OWNERS.items()
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Pauses"
    ]  # fmt: skip
    grown = [
        owner for node, owner in OWNERS.items()
        if isinstance(node, ast.AugAssign | ast.Assign)
        and re.search(r"_s\b.* \*= 2|min\(.* \* 2,", ast.unparse(node))
    ]  # fmt: skip
    return sorted(set(tables)), sorted(set(grown))


def judges() -> list[str]:
    """Return who may say what became of an order of unknown outcome."""
    said: dict[str, set[str]] = {}
    for node, owner in OWNERS.items():
        if isinstance(node, ast.Attribute):
            said.setdefault(owner, set()).add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "OrderUpdate":
            said.setdefault(owner, set()).add("OrderUpdate")
    return sorted(
        name for name, words in said.items() if "OrderUpdate" in words and words & VERDICTS
    )


def words_of(node: ast.AST) -> set[str]:
    """Return the names, attributes and texts that may name something in a piece of code."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name | ast.Attribute):
            found.add(each.id if isinstance(each, ast.Name) else each.attr)
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            found.add(each.value)
    return found


def unreached() -> dict[str, int]:
    """Return what neither main() nor a library reaches by its name, with its lines.

    A name reaches everything that bears it, so this is the least; what libraries call is left out.
    """
    bodies: dict[str, list[ast.AST]] = {"": []}
    sizes: dict[str, int] = {}
    for node in TREE.body:
        own = [each for each in getattr(node, "body", []) if isinstance(node, ast.ClassDef)]
        methods = [each for each in own if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            rest = [each for each in own if each not in methods] or [node] * (not own)
            special = [each for each in methods if each.name[:2] == "__"]
            bodies.setdefault(node.name, []).extend([*rest, *special, *getattr(node, "bases", [])])
            inherits = bool(getattr(node, "bases", []))
        else:
            bodies[""].append(node)
            continue
        for each in (node, *(m for m in methods if m.name[:2] != "__" and not inherits)):
            bodies.setdefault(each.name, []).append(each if each is not node else ast.Pass())
            sizes[each.name] = (each.end_lineno or each.lineno) - each.lineno + 1
        for each in methods if inherits else ():
            bodies[node.name].append(each)
    seen, ahead = set[str](), {"main", "TradingStrategy", ""}
    while ahead:
        name = ahead.pop()
        seen.add(name)
        for body in bodies.get(name, ()):
            ahead |= (words_of(body) & set(bodies)) - seen
    return {name: sizes[name] for name in sizes if name not in seen}


def print_lines() -> None:
    """Print the lines by section."""
    raw, whole = lines_by_section(SOURCE), lines_by_section(formatted(SOURCE))
    print("| section | lines | formatted |\n|---|---|---|")
    for section, count in raw.items():
        print(f"| {section} | {count:,} | {whole[section]:,} |")
    print(f"| together | {raw.total():,} | {whole.total():,} |")


def print_concepts() -> None:
    """Print how many ways there are to do a thing."""
    import test_house

    several = [name for name, who in test_house.writers(TREE).items() if len(who) > 1]
    fields = sum(len(each) for each in test_house.shared_fields(TREE).values())
    tables, grown = ways_to_wait()
    print(f"\nfields that desks share: {fields}; with several writing classes: {several}")
    print(f"reasons to begin nothing: {len(bot.HOLDS)} rows of HOLDS")
    print(f"tables of pauses: {len(tables)} {tables}; pauses grown elsewhere: {grown}")
    print(f"lists of codes of KIS: {sorted(lists_of_codes())}")
    alone = unreached()
    print(f"not reached from main() by name: {sum(alone.values())} lines: {sorted(alone)}")
    print(f"who may judge an order of unknown outcome: {judges()}")


def print_walks() -> None:
    """Print how many functions of the file an order, a lost one and a restart pass."""
    import ways

    logging.getLogger("kisbot").setLevel(logging.CRITICAL + 1)
    wire, booked = ways.of_an_order()
    _, lost = ways.of_an_order(lost=True)
    restart = ways.of_a_restart()
    print(
        "\n| walk | functions | not passed in the minutes before | rules and gate |\n|---|---|---|---|"
    )
    for name, walk, most in (
        ("a wish to the wire", booked, wire), ("a wish to its booking", booked, None),
        ("the same, its answer lost", lost, None),
        ("a restart to the first look at a stop", restart, None),
    ):  # fmt: skip
        passed = walk.names[:most]
        checks = sum(each.startswith(("rule_", "gate_", "change_")) for each in passed)
        own = len(set(passed) - walk.usual)
        print(f"| {name} | {len(passed)} | {own if walk.usual else '-'} | {checks} |")


def main() -> int:
    """Print the measures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--lines", action="store_true", help="the lines only")
    options = parser.parse_args()
    print_lines()
    if not options.lines:
        print_concepts()
        print_walks()
    return 0


if __name__ == "__main__":
    sys.exit(main())
