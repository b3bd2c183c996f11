"""The benchmarks still run: each with next to nothing, in this process; figures are not judged."""

import contextlib
import importlib
import io
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"


@pytest.fixture(autouse=True)
def bench_on_the_path(monkeypatch):
    """The files of tests/bench import each other by name."""
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])


@pytest.mark.parametrize(
    ("name", "ratios"),
    [
        (
            "decode",
            [
                "official way / ours",
                "one record: ours / split",
                "ours a record / ours of one record",
            ],
        ),
        ("decision", ["built-in breakout: ours / split", "asked every trade: ours / split"]),
        ("notice", ["official way / ours", "ours / decryption alone"]),
        ("record", ["share of a core", "on disk a trade"]),
        ("replay", ["replay from the file, normalised (split 1 us)", "official way / ours"]),
    ],
)
def test_a_bench_prints_its_ratios(name, ratios):
    """Each promised ratio is a line with a value; a missed target is no failure of the program."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert importlib.import_module(name).main(["--quick"]) == 0
    lines = shown.getvalue().splitlines()
    for ratio in ratios:
        [line] = [line for line in lines if ratio in line and "both typed" not in line]
        assert any(word.replace(",", "").replace(".", "").isdigit() for word in line.split())


def test_the_backtest_bench_shows_both_lanes():
    """A line for the bare loop and for each lane, with orders; peers only when named."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert importlib.import_module("backtest").main(["--quick", "--peer", "x=/no/python"]) == 0
    said = shown.getvalue()
    assert all(f"ours, {lane} lane" in said for lane in ("thin", "exact"))
    assert "x: left out" in said and "bare loop" in said


@pytest.mark.parametrize("name", ["wire", "nautilus", "run"])
def test_the_larger_benches_explain_themselves(name):
    """They start processes or install packages, so only their help is run here."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), pytest.raises(SystemExit, match="0"):
        importlib.import_module(name).main(["--help"])
    assert "--quick" in shown.getvalue()


def test_strict_tells_of_a_missed_target():
    """Exit code 1 only with --strict and only for a target that is not met."""
    measure = importlib.import_module("measure")
    missed, met = measure.at_most("a", 2.0, 1.0), measure.at_least("b", 2.0, 1.0)
    parser = measure.parser_of("", 1)
    codes = []
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        for arguments, figure in ((["--strict"], missed), ([], missed), (["--strict"], met)):
            codes.append(measure.show([figure], measure.read_options(parser, arguments)))
    assert (codes, shown.getvalue().count("NOT met")) == ([1, 0, 0], 2)
