"""The demo: a speed that the machine keeps up with, no litter of failed or old days, its language."""

import doctest
import json
import re
import signal
import socket

import edge
import pytest
from rich.cells import cell_len

import kis_realtime_trading as bot
from companions import demo
from companions.options import build_parser, read_arguments


def test_the_worked_example_of_the_speed_holds():
    """The numbers in the docstring."""
    assert doctest.testmod(demo) == (0, 2)


@pytest.mark.parametrize("wanted", [1.0, 30.0, 300.0, 1_000.0])
@pytest.mark.parametrize("cores", [1, 2, 16])
def test_a_slower_machine_gets_a_lower_speed_and_never_a_higher_one(wanted, cores):
    """Falling with the time of the sample, not below the least, never above what was asked for."""
    before = float("inf")
    for slower in (0.5, 1, 2, 4, 8, 1_000):
        speed = demo.fitting_speed(wanted, demo.SAMPLE_S * slower, cores)
        assert min(wanted, demo.LEAST_SPEED) <= speed <= min(wanted, before)
        before = speed
    assert before == min(wanted, demo.LEAST_SPEED)


def test_old_folders_go_and_nothing_else(tmp_path):
    """The newest stay, and whatever is not a demo's folder of ours, links included."""
    old = [tmp_path / f"demo-20261120-10000{n}-7" for n in range(7)]
    others = [tmp_path / name for name in ("demo-mine", "demo-20261120-100000-7x", "journal")]
    for folder in (*old, *others):
        folder.mkdir()
        (folder / "file").touch()
    link = tmp_path / "demo-20251120-100000-1"
    link.symlink_to(others[0])
    assert demo.prune_demos(tmp_path, 5) == 2
    assert [each.exists() for each in old] == [False, False, True, True, True, True, True]
    assert all(each.exists() for each in others) and link.is_symlink()


def test_the_folder_of_a_demo_that_runs_stays(tmp_path):
    """However old it is: a bot holds its lock."""
    old = [tmp_path / f"demo-20261120-10000{n}-7" for n in range(3)]
    for folder in old:
        folder.mkdir()
    lock = bot.AccountLock(bot.Secret(str(tmp_path)), old[0])
    try:
        assert demo.prune_demos(tmp_path, 1) == 1
        assert [each.exists() for each in old] == [True, False, True]
    finally:
        lock.release()


def test_a_demo_whose_page_has_no_port_is_told_before_it_begins(tmp_path):
    """Not by a traceback of another process beside a day that goes on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["--demo", "--page", "--port", str(port), "--state", str(tmp_path), "--plain"]
        with pytest.raises(bot.BotError) as caught:
            demo.run_demo(read_arguments(words))
    assert "--port로 다른 번호를 고르십시오" in caught.value.said("ko")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("language", bot.LANGUAGES)
def test_a_demo_that_cannot_begin_leaves_no_folder(tmp_path, capsys, language):
    """A strategy that does not exist: a sentence in the user's language, nothing behind."""
    words = ["--demo", "--strategy", "nowhere.py:X", "--state", str(tmp_path), "--plain"]
    options = read_arguments([*words, "--language", language])
    before = signal.getsignal(signal.SIGTERM)
    with edge.own_logging(), pytest.raises(bot.SettingsError):
        demo.run_demo(options)
    signal.signal(signal.SIGTERM, before)
    out = capsys.readouterr().out
    assert bool(re.search("[가-힣]", out)) is (language == "ko")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [({}, 0, "두 장부가 원 단위까지 같습니다"), ({"fills": 12}, 0, "조회 한 번에"),
     ({"cash": 9}, 1, "다시: --demo --speed 100"), ({"fills": 12, "net": 1}, 1, "두 장부가 다릅니다")],
)  # fmt: skip
def test_books_that_differ_are_told_with_the_reason(tmp_path, capsys, changes, code, told):
    """Money and orders decide; fewer fills of the same shares are explained."""
    books = {
        "trades_sent": {"005930": 5}, "order_count": 2, "fill_count": 13, "fees_krw": 1, "taxes_krw": 1,
        "realized_pnl_gross_krw": 5, "realized_pnl_net_krw": 3, "cash_krw": 10,
    }  # fmt: skip
    (tmp_path / "simulator").mkdir()
    (tmp_path / "simulator" / "books").write_text(json.dumps(books))
    ours = {"trades": 5, "bars": 1, "orders": 2, "fills": 13, "gross": 5, "fees": 1, "taxes": 1,
            "net": 3, "cash": 10}  # fmt: skip
    options = build_parser("ko").parse_args(["--demo", "--state", str(tmp_path)])
    assert demo.finish_demo(options, {**ours, **changes}, tmp_path.as_uri()) == code
    out = capsys.readouterr().out
    assert told in out
    table = out[out.index("시뮬레이터") :].splitlines()[1:10]
    assert table[0].split()[0] == "체결(시장)" and not re.search("[a-z]{3}", "".join(table))
    assert {cell_len(row.partition("  <-")[0]) for row in table} == {
        44,
        28,
    }  # bars: of the bot only
