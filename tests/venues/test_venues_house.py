"""The plan of the house for the venues: direction, a pure half, sizes, two hands."""

import ast
import re
from pathlib import Path

import kis_realtime_trading as bot

FOLDER = Path(bot.__file__).parent / "venues"
FILES = {str(path.relative_to(FOLDER)): path.read_text("utf-8") for path in FOLDER.rglob("*.py")}
PURE = ("common.py", "kimchi.py")
IMPURE = {
    "asyncio",
    "aiohttp",
    "websockets",
    "time",
    "random",
    "logging",
    "os",
    "socket",
    "sqlite3",
}


def imports_of(source):
    """Return the modules that a file imports."""
    return set(re.findall(r"^ *(?:import|from) ([\w.]+)", source, re.MULTILINE))


def test_the_bot_knows_no_venue():
    """The venues import the bot, never the reverse."""
    assert "venues" not in {
        name.partition(".")[0] for name in imports_of(Path(bot.__file__).read_text("utf-8"))
    }


def test_the_pure_half_touches_nothing():
    """Amounts, events and premium: no network, clock, files, random or logging."""
    for name in PURE:
        assert not {each.partition(".")[0] for each in imports_of(FILES[name])} & IMPURE, name


def test_a_simulator_imports_nothing_of_ours():
    """Written from the protocol facts, so that one mistake does not hide in both."""
    for name, source in FILES.items():
        if name.startswith("simulators/"):
            ours = {each for each in imports_of(source) if re.match("venues|kis_realtime", each)}
            assert all(each.startswith("venues.simulators.") for each in ours), name


def test_no_library_of_a_venue_is_used():
    """A library that repeats an order on its own has no place here."""
    used = set().union(*map(imports_of, FILES.values()))
    assert not used & {"ccxt", "pyupbit", "upbit", "binance", "requests"}


def test_functions_and_files_are_short():
    """Sixty lines a function, three hundred a class, seven hundred a file."""
    for name, source in FILES.items():
        assert len(source.splitlines()) <= 700, name
        for node in ast.walk(ast.parse(source)):
            most = {ast.FunctionDef: 60, ast.AsyncFunctionDef: 60, ast.ClassDef: 300}.get(
                type(node)
            )
            if most:
                assert node.end_lineno - node.lineno < most, f"{name}: {node.name}"


def test_no_float_stands_beside_money():
    """Where prices are read and premiums computed nothing is made a float."""
    for name in (*PURE, "upbit.py", "binance.py", "store.py"):
        called = {
            ast.unparse(n.func) for n in ast.walk(ast.parse(FILES[name])) if isinstance(n, ast.Call)
        }
        assert "float" not in called, name
