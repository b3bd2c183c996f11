"""The reading edition: cut at the banners, joined to the same bytes, each module imports alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from companions import split

SOURCE = split.BOT.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def edition(tmp_path_factory):
    """The file, cut."""
    folder = tmp_path_factory.mktemp("edition")
    split.split(SOURCE, folder)
    return folder


def test_joined_back_it_is_the_same_bytes(edition):
    """Nothing is lost, added or moved."""
    assert split.join(edition).encode() == SOURCE.encode()


def test_each_module_imports_alone(edition):
    """A fresh interpreter for each: what a section uses stands above it, and no circle is left."""
    names = sorted(path.stem for path in (edition / split.PACKAGE).glob("s*.py"))
    program = (
        "import importlib, sys\n"
        "keep = set(sys.modules)\n"
        f"for name in {names!r}:\n"
        f"    importlib.import_module('{split.PACKAGE}.' + name)\n"
        f"    for other in [m for m in sys.modules if m.startswith('{split.PACKAGE}')]:\n"
        "        del sys.modules[other]\n"
    )
    cache = {"PYTHONPYCACHEPREFIX": "", "PYTHONDONTWRITEBYTECODE": ""}  # each is compiled once
    environ = {**os.environ, **cache, "PYTHONPATH": str(edition)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(names) == 30


def test_a_name_of_a_later_section_is_not_imported():
    """What stands below its user is no import: direction is what the edition proves."""
    bar = "# " + "=" * 86 + "\n"
    source = "import abc\n" + "".join(
        f"{bar}# === {n}. {t} ===\n{bar}{text}"
        for n, t, text in ((1, "A", "x = y\n"), (2, "B", "y = 1\n"))
    )
    assert "import y" not in split.modules(source)["s01_a.py"]
