"""Make the project's own files importable, choose how long properties are tried, save time."""

import asyncio
import contextlib
import functools
import gc
import hashlib
import importlib
import itertools
import os
import signal
import sys
import tempfile
from pathlib import Path

import hurry
import pytest
import warm
from hypothesis import settings

# "ci" is quick and the same every time; HYPOTHESIS_PROFILE=long looks for what nobody thought of.
settings.register_profile("ci", max_examples=20, deadline=None, derandomize=True, database=None)
settings.register_profile("long", max_examples=100_000, deadline=None, database=None)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
settings.load_profile(PROFILE)

# The bot waits for the disk at each row of its journal: files of tests live in memory.
SHARED_MEMORY = Path("/dev/shm")
if SHARED_MEMORY.is_dir():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(SHARED_MEMORY))
    tempfile.tempdir = str(SHARED_MEMORY)

# A shell's nohup has children ignore SIGHUP, its `&` SIGINT; the bots that tests start must hear both.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# Slow on purpose, and asked a thousand times for the same invented keys and accounts.
hashlib.scrypt = functools.lru_cache(maxsize=1000)(hashlib.scrypt)

# Half a second of imports for each start of a program, several hundred times.
warm.install()

# Files whose tests wait for back-offs of the bot over real sockets.
HURRIED = {"test_drills", "test_outbox", "test_telegram", "test_telegram_server", "test_websocket"}

# Seconds that files spend waiting for programs which live in real time: they begin first, in processes of
# their own, while the others have the processors.
WAITING_S = {
    "test_phone": 50, "test_page_in_a_browser": 45, "test_recorded_screen": 40, "test_command_line": 32,
    "test_outbox": 9, "test_setup": 9, "test_telegram": 7, "test_screen": 7,
    "test_screen_beside": 6, "test_page": 6, "test_kiwoom_cli": 5, "test_orders_cli": 4,
}  # fmt: skip
MORE_THAN_CORES = 2


def pytest_asyncio_loop_factories(config, item):
    """Choose the event loop of an asynchronous test by its file."""
    if item.path.stem in HURRIED:
        return {"hurried": hurry.HurriedLoop}
    return {"usual": asyncio.new_event_loop}


@pytest.hookimpl(optionalhook=True)  # there is no pytest-xdist where nobody installed it
def pytest_xdist_auto_num_workers(config):
    """Start two more than there are cores: these begin with the tests that wait."""
    return len(os.sched_getaffinity(0)) + MORE_THAN_CORES


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give each process one half of the tests; who ends first takes over half of the rest."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture
def short_seconds(monkeypatch):
    """Give commands that make an event loop of their own one whose seconds are short."""
    monkeypatch.setattr(asyncio.events, "new_event_loop", hurry.HurriedLoop)


@pytest.fixture
def cold_starts():
    """Let the programs of a test start as a user starts them, imports and all."""
    with warm.cold():
        yield


@pytest.fixture(autouse=True)
def _signals_as_they_were():
    """Leave signals as a test found them: children inherit one that is ignored, or blocked."""
    kept = {
        each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM)
    }
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    for each, handler in kept.items():
        if signal.getsignal(each) is not handler:
            signal.signal(each, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def dealt(items, workers):
    """Return tests in an order whose first shares begin with the files that wait, the longest first.

    Each process gets a share of the list, one after the other, and whoever ends first takes over from the
    tail of another's: what stands at the head of a share is run there, and at once.
    """
    lanes = [(0, lane, []) for lane in range(max(1, min(workers - 1, MORE_THAN_CORES)))]
    waiting = {}
    for item in items:
        if item.path.stem in WAITING_S:
            waiting.setdefault(item.path.stem, []).append(item)
    for name in sorted(waiting, key=WAITING_S.__getitem__, reverse=True):
        so_far_s, lane, head = min(lanes)
        lanes[lane] = (so_far_s + WAITING_S[name], lane, [*head, *waiting[name]])
    others = iter([item for item in items if item.path.stem not in WAITING_S])
    order = []
    for share in range(workers):
        count = (len(items) - len(order)) // (workers - share)
        head = lanes[share][2] if share < len(lanes) else []
        order += [*head, *itertools.islice(others, max(0, count - len(head)))]
    return [*order, *others]


def pytest_collection_modifyitems(config, items):
    """Let those that wait begin first, and a property that is tried for long take its time."""
    if worker := getattr(config, "workerinput", None):
        items[:] = dealt(items, worker["workercount"])
    for item in items:
        if PROFILE != "ci" and getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.timeout(0))


def import_in_turns(config):
    """Let each process begin with other files: the asserts that one has rewritten, the others read.

    Where all tests are collected by several processes; half of the collection is this rewriting.
    """
    worker = getattr(config, "workerinput", None)
    if worker is None or config.args_source is not config.ArgsSource.TESTPATHS:
        return
    files = sorted(Path(__file__).parent.glob("*/test_*.py"))
    sys.path[:0] = sorted({str(file.parent) for file in files} - set(sys.path))
    first = int(worker["workerid"].removeprefix("gw")) * len(files) // worker["workercount"]
    for file in (*files[first:], *files[:first]):
        with contextlib.suppress(Exception, pytest.skip.Exception):  # collected, it is told
            importlib.import_module(file.stem)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Spare the collector of garbage the modules and tests, which stay to the end."""
    gc.disable()
    try:
        import_in_turns(session.config)
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
