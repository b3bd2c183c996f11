"""Cut the bot's one file at its banners into modules that import each other, and join them again.

python -m companions.split DIR            for editors and reviews: the file is the truth, not these
python -m companions.split DIR --join     print what the modules make together: the same bytes
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from pathlib import Path

BOT = Path(__file__).resolve().parent.parent / "kis_realtime_trading.py"
PACKAGE = "kisbot"
_BANNER = re.compile(r"# === (\d+)\. (.+) ===\n")
_CUT = "# ---- cut: what stands below is the text of the file, byte for byte ----\n"


def pieces(source: str) -> list[tuple[str, str]]:
    """Return (module name, text): the head of the file, then one piece for each section."""
    lines = source.splitlines(keepends=True)
    starts = [at - 1 for at, line in enumerate(lines) if _BANNER.fullmatch(line)]
    if not starts:
        raise ValueError("no banner of a section in the file")
    found = [("s00_head", "".join(lines[: starts[0]]))]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        banner = _BANNER.fullmatch(lines[start + 1])
        assert banner is not None
        name = re.sub(r"[^a-z0-9]+", "_", banner[2].lower())
        found.append((f"s{int(banner[1]):02d}_{name}", "".join(lines[start:end])))
    return found


def names_of(text: str) -> list[str]:
    """Return the top-level names that a piece defines, private ones too."""
    found: dict[str, None] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = None
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                found.update((n.id, None) for n in ast.walk(target) if isinstance(n, ast.Name))
    return list(found)


def modules(source: str) -> dict[str, str]:
    """Return file name -> text of the modules; each imports only modules of smaller number."""
    (head, head_text), *sections = pieces(source)
    made = {"__init__.py": "", f"{head}.py": _CUT + head_text}
    imports = head_text[head_text.index("import abc") :]
    names: dict[str, list[str]] = {}
    for name, text in sections:
        used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        lines = ["from __future__ import annotations\n", imports]
        for other, defined in names.items():
            needed = sorted(set(defined) & used)
            if needed:
                lines.append(f"from {PACKAGE}.{other} import {', '.join(needed)}\n")
        made[f"{name}.py"] = "".join([*lines, _CUT, text])
        names[name] = names_of(text)
    return made


def split(source: str, folder: Path) -> list[Path]:
    """Write the modules into folder/kisbot; return the files."""
    package = folder / PACKAGE
    package.mkdir(parents=True, exist_ok=True)
    files = []
    for name, text in modules(source).items():
        files.append(package / name)
        files[-1].write_text(text, encoding="utf-8")
    return files


def join(folder: Path) -> str:
    """Return the one file that the modules of a folder make."""
    texts = [
        path.read_text(encoding="utf-8") for path in sorted((folder / PACKAGE).glob("s[0-9]*.py"))
    ]
    return "".join(text.partition(_CUT)[2] for text in texts)


def main() -> int:
    """Split, or join and print."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--join", action="store_true", help="print the file that they make")
    options = parser.parse_args()
    if options.join:
        sys.stdout.write(join(options.folder))
        return 0
    print(
        f"{len(split(BOT.read_text(encoding='utf-8'), options.folder))} files in {options.folder}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
