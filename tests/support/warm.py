"""Warm starts: the project's own programs as real processes, without half a second of imports each.

A helper, one for each process of pytest, imports once what the programs import. For each start it forks
twice, and the process between ends at once, so that the new one becomes a child of the test as if
the test had started it: a process id, pipes, folder, environment, signals and exit code of its own. What
Python makes of arguments and environment before a program's first line is made again by `_become`.

`import warm` and `warm.install()` put it behind `subprocess.Popen`, and so behind `subprocess.run` and
asyncio's processes. A start that it does not know to the letter (another program, `preexec_fn`, a variable of
Python such as PYTHONHASHSEED, another locale) is a usual one; so is each start inside `cold()`, and all
where the system is not Linux. What a program imports, how much memory it takes, what `ps` shows of it and
what Ctrl-C does while Python starts are asked of usual starts only.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import io
import os
import pickle
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
BOT, TOOLS = str(ROOT / "kis_realtime_trading.py"), str(ROOT / "companions")
RULES = str(ROOT / "strategies/kis_yaml.py")  # checks a file of rules
PROBE = str(ROOT / "tests/support/probe.py")  # tells what it finds: test_warm.py compares
PYTHON = sys.executable  # a test may name another later
MODULES = ("companions", "venues")
# Imported once, before the first fork: the programs and what they import while they run.
LOADED = (
    "kis_realtime_trading", "companions.command_line", "companions.check", "companions.figures", "companions.journal_view",
    "companions.order_book", "companions.picture", "companions.report_view", "companions.setup", "companions.status",
    "companions.why", "companions.phone_answers", "companions.phone_page", "companions.phone_pictures",
    "companions.telegram_server", "companions.backtest.command", "companions.page.server", "companions.page.data",
    "companions.simulator.command_line", "companions.simulator.shell", "venues.cli", "venues.book_cli",
    "venues.checks", "venues.demo", "venues.kiwoom_cli", "venues.manager", "venues.orders_cli",
    "venues.report", "aiohttp.web", "matplotlib.figure", "matplotlib.backends.backend_agg", "numpy",
    "pandas", "rich.live", "telegram.ext", "concurrent.futures.process", "zoneinfo", "idna",
)  # fmt: skip
# Of Python's own variables, the last as "utf-8" only.
KNOWN = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONIOENCODING"}
LOCALES = {"", "C", "POSIX", "C.UTF-8"}  # UTF-8, each of them (PEP 538 and 540)
PYTHON_IGNORES = {signal.SIGPIPE, signal.SIGXFSZ}
_SUBREAPER = 36  # prctl(PR_SET_CHILD_SUBREAPER)


# --- the side of the test -----------------------------------------------------------------


class _Helper:
    """The process that forks, and the line to it."""

    def __init__(self) -> None:
        self.owner, self._lock = os.getpid(), threading.Lock()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LC_", "LANG"))}
        with theirs:
            self._process = _Usual(
                [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, cwd=ROOT,
                env={**kept, "LC_CTYPE": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip

    def start(self, wanted: dict[str, Any], files: list[int]) -> int:
        """Start a process with these as its input, output and errors; return its id."""
        with self._lock:
            self._libc.prctl(_SUBREAPER, 1, 0, 0, 0)
            try:
                socket.send_fds(self._ours, [pickle.dumps(wanted)], files)
                answer = self._ours.recv(64)
            finally:
                self._libc.prctl(_SUBREAPER, 0, 0, 0, 0)
        if not answer:
            raise RuntimeError("the helper of warm starts has ended: see its errors above")
        return int(answer)

    def close(self) -> None:
        """End it: it reads to the end of its line."""
        if self.owner == os.getpid():
            self._ours.close()
            self._process.wait()


_helper: _Helper | None = None
_cold = False
_Usual = subprocess.Popen


def _get_helper() -> _Helper:
    global _helper
    if _helper is None or _helper.owner != os.getpid():
        _helper = _Helper()
        atexit.register(_helper.close)
    return _helper


@contextlib.contextmanager
def cold() -> Iterator[None]:
    """Have every start in here a usual one."""
    global _cold
    before, _cold = _cold, True
    try:
        yield
    finally:
        _cold = before


def is_known(
    words: list[str], folder: str, environment: dict[str, str], after: tuple[Any, ...]
) -> bool:
    """Tell whether a start can be made here, to the letter.

    >>> is_known([sys.executable, "-m", "companions.simulator"], str(ROOT), {}, (True, -1))
    True
    >>> is_known([sys.executable, "-m", "companions.simulator"], "/", {}, (True, -1))
    False
    >>> is_known([sys.executable, BOT, "--status"], "/", {"PYTHONHASHSEED": "1"}, (True, -1))
    False
    """
    if len(words) < 2 or words[0] != PYTHON or after[1:] != (-1,) or not after[0]:
        return False
    paths = environment.get("PYTHONPATH", "").split(os.pathsep)
    if set(paths) - {"", str(ROOT)}:
        return False
    if words[1] == "-m" and len(words) > 2 and words[2].partition(".")[0] in MODULES:
        if folder != str(ROOT) and str(ROOT) not in paths:
            return False
    elif words[1] not in (BOT, TOOLS, RULES, PROBE):
        return False
    if environment.get("PYTHONIOENCODING", "utf-8") != "utf-8":
        return False
    strange = {name for name in environment if name.startswith("PYTHON")} - KNOWN
    return not strange and _locale_of(environment) <= LOCALES and os.path.isdir(folder)


def _locale_of(environment: Mapping[str, str]) -> set[str]:
    return {environment.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")}


def _inherited() -> dict[bytes, bytes]:
    """Return the environment as an exec finds it: readline sets variables that os.environ lacks."""
    found, at = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ"), 0
    given = {}
    while row := found[at]:
        name, _, value = row.partition(b"=")
        given[name] = value
        at += 1
    return given


class Popen(_Usual):  # type: ignore[misc, valid-type]
    """A process that the helper starts where it can."""

    def _execute_child(
        self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, pass_fds: Any,
        cwd: Any, env: Any, *rest: Any,
    ) -> None:  # fmt: skip
        """Start a program. `rest` is what Python 3.11 to 3.14 hand over."""
        usual = (args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *rest)
        odd = _cold or isinstance(args, (str, bytes)) or executable or preexec_fn or pass_fds
        if odd or not close_fds or len(rest) != 16:
            return super()._execute_child(*usual)
        shell, pipes = rest[2], rest[3:9]
        restore, *ids, session, group = rest[9:]
        words = [os.fsdecode(word) for word in args]
        folder = os.fsdecode(cwd) if cwd is not None else os.getcwd()
        given = _inherited() if env is None else env
        environment = {os.fsdecode(key): os.fsdecode(value) for key, value in given.items()}
        after = (restore and not shell and ids == [None, None, None, -1], group)
        if not is_known(words, folder, environment, after):
            return super()._execute_child(*usual)
        theirs = [pipes[0], pipes[3], pipes[5]]
        ignored = [
            each for each in signal.valid_signals() if signal.getsignal(each) is signal.SIG_IGN
        ]
        wanted = {
            "words": words, "folder": folder, "environment": environment, "session": session,
            "ignored": ignored, "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        }  # fmt: skip
        files = [at if file == -1 else file for at, file in enumerate(theirs)]
        try:
            self.pid = _get_helper().start(wanted, files)
        finally:
            self._close_pipe_fds(*pipes)
        self._child_created = True
        return None


def install() -> None:
    """Start the project's programs warm from now on."""
    if sys.platform == "linux":
        subprocess.Popen = Popen  # type: ignore[misc]


# --- the side of the helper ---------------------------------------------------------------


class _Again(BaseException):
    """The program wants to be another one, before it was anything."""


def _serve(line: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork for each start that is wanted; return in the new process only."""
    while True:
        wanted, files, _, _ = socket.recv_fds(line, 1 << 20, 3)
        if not wanted:
            os._exit(0)
        request = pickle.loads(wanted)
        _code_of(request["words"][1])
        ours, theirs = os.pipe()
        begin, begun = os.pipe()
        if between := os.fork():
            os.waitpid(between, 0)
            line.send(os.read(ours, 32))
            os.write(begun, b"!")
            for each in (ours, theirs, begin, begun, *files):
                os.close(each)
        elif last := os.fork():
            os.write(theirs, b"%d" % last)
            os._exit(0)
        else:
            os.read(begin, 1)  # its parent is the test now
            return request, files


_codes: dict[str, tuple[tuple[int, int], types.CodeType]] = {}


def _code_of(path: str) -> types.CodeType | None:
    """Return the code of a program's file, compiled once; None for what is none."""
    if path == TOOLS:
        path = os.path.join(path, "__main__.py")
    if path == "-m":
        return None
    found = os.stat(path)
    state = (found.st_mtime_ns, found.st_size)
    if path not in _codes or _codes[path][0] != state:
        code = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
        _codes[path] = (state, code)
    return _codes[path][1]


def _become(wanted: dict[str, Any], files: list[int]) -> None:
    """Make of this fork what a start would have made, to the program's first line."""
    if wanted["session"]:
        os.setsid()
    for at, file in enumerate(files):
        os.dup2(file, at + 10 + max(files))
    for at in range(3):
        os.dup2(at + 10 + max(files), at)
    os.closerange(3, 256)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    if not os.environ.get("LC_ALL") and not _locale_of(os.environ) - {"", "C", "POSIX"}:
        os.environ["LC_CTYPE"] = "C.UTF-8"  # PEP 538
    time.tzset()
    for number in signal.valid_signals():
        if number in wanted["ignored"]:
            signal.signal(number, signal.SIG_IGN)
        elif number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
        elif number not in PYTHON_IGNORES and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, wanted["blocked"])
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    plain = bool(os.environ.get("PYTHONUNBUFFERED"))
    strict = "strict" if os.environ.get("PYTHONIOENCODING") else "surrogateescape"
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors=strict, closefd=False)  # noqa: SIM115
    sys.stdin.buffer.raw.name = "<stdin>"  # type: ignore[attr-defined]
    sys.stdin.reconfigure(write_through=plain)  # type: ignore[attr-defined]
    for name, number in (("stdout", 1), ("stderr", 2)):
        raw: Any = open(number, "wb", 0 if plain else -1, closefd=False)  # noqa: SIM115
        getattr(raw, "raw", raw).name = f"<{name}>"
        lines = not plain and (number == 2 or os.isatty(number))
        errors = (strict, "backslashreplace")
        writer = io.TextIOWrapper(
            raw, "utf-8", errors[number - 1], line_buffering=lines, write_through=plain
        )
        writer.mode = "w"  # type: ignore[misc]
        setattr(sys, name, writer)
        setattr(sys, f"__{name}__", writer)


def _run(words: list[str]) -> list[str]:
    """Run a program as `python WORDS` does, in a module `__main__` of its own; return nothing more."""
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv = words[1:]
    paths = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    sys.path[:] = [*paths, *_PLAIN_PATH]
    if words[1] == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = ["-m", *words[3:]]
        runpy._run_module_as_main(words[2])  # type: ignore[attr-defined]
        return []
    code = _code_of(words[1])
    assert code
    if words[1] == BOT:  # it is `__main__` now, and what imports it must find this one
        for name in [n for n in sys.modules if n.split(".")[0] in (*MODULES, Path(BOT).stem)]:
            _put_away[name] = sys.modules.pop(name)
    is_folder = words[1] == TOOLS
    sys.path.insert(0, words[1] if is_folder else os.path.dirname(words[1]))
    main.__dict__.update(__file__=code.co_filename, __cached__=None, __annotations__={})
    if is_folder:
        main.__dict__["__package__"] = ""
    exec(code, main.__dict__)
    return []


def _exec(path: str, words: list[str]) -> None:
    """Be another program: where this one has done nothing yet, without a start."""
    main = sys.modules["__main__"].__dict__
    if path == sys.executable and words[1] == TOOLS and "__version__" not in main:
        raise _Again(words)
    _real_exec(path, words)


_real_exec = os.execv


def _start_again() -> None:
    """Treat signals as an exec does: who was caught is no longer. Modules wait to be imported."""
    sys.modules.update(_put_away)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end_with(error: SystemExit | None) -> NoReturn:
    """End as Python does, but for taking apart every module that was loaded."""
    code = 0 if error is None or error.code is None else error.code
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        if sys.stdout and not sys.stdout.closed:
            sys.stdout.flush()
    except Exception as failed:
        said = f"Exception ignored in: {sys.stdout!r}\n{type(failed).__name__}: {failed}"
        print(said, file=sys.stderr)
        code = 120
    with contextlib.suppress(Exception):
        sys.stderr.flush()
    os._exit(code & 0xFF)


def _hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Show an error as Python does, without the frames of this file."""
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


def _main() -> None:
    global _PLAIN_PATH
    _PLAIN_PATH = sys.path[1:]
    sys.path[0] = str(ROOT)
    for name in LOADED:
        __import__(name)
    for name in [each for each in os.environ if each.startswith("OPENBLAS")]:
        del os.environ[name]
    threads = len(os.listdir("/proc/self/task"))
    assert threads == 1, f"{threads} threads: a fork would lose them"
    gc.collect()
    gc.freeze()
    os.execv, sys.excepthook = _exec, _hook  # type: ignore[assignment]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: pytest ends, and then its helper
    line = socket.socket(fileno=int(sys.argv[1]))
    request, files = _serve(line)
    line.detach()
    _become(request, files)
    words, ended = request["words"], None
    while words:
        ended = None
        try:
            words = _run(words)
        except _Again as again:
            words = again.args[0]
            _start_again()
        except SystemExit as error:
            words, ended = [], error
    _end_with(ended)


_PLAIN_PATH: list[str] = []
_put_away: dict[str, types.ModuleType] = {}  # modules that nobody finds; to end them takes time
_itself = sys.modules["__main__"]

if __name__ == "__main__":
    _main()
