"""The seams: the few places of the bot that read a clock, draw a number or start something.

Everything else gets time, chance and tasks handed in; that is why a day can be run again bit for
bit. This reads the file by `ast`: it runs nothing and needs no marks in the code. Every place is
named in SEAMS with its reason; one that is no longer needed fails as well.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

import kis_realtime_trading as bot

SOURCE = Path(bot.__file__).read_text(encoding="utf-8")

# What is looked for, by whole dotted name; `.name` is a method of anything, `*` any rest.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "wall clock": (
        "time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "time.asctime",
        "time.strftime", "time.mktime", "datetime.datetime.now", "datetime.datetime.today",
        "datetime.datetime.utcnow", "datetime.date.today", "email.utils.localtime",
        "email.utils.formatdate",
    ),
    "monotonic clock": (
        "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns",
        "time.process_time", "time.process_time_ns", "time.thread_time", "time.thread_time_ns",
        "time.clock_gettime", "time.clock_gettime_ns",
    ),
    "blocking": ("time.sleep", "input", "os.system", "os.popen", "os.wait", "os.waitpid"),
    "chance": (
        "random", "random.*", "secrets", "secrets.*", "uuid", "uuid.*", "numpy.random.*",
        "Crypto.Random.*", "os.urandom", "os.getrandom", "ssl.RAND_bytes",
    ),
    "threads": (
        "threading.*", "_thread.*", "queue.*", "concurrent.futures.*", "multiprocessing.*",
        "asyncio.to_thread", "asyncio.run_coroutine_threadsafe", ".run_in_executor",
    ),
    "processes": (
        "subprocess.*", "pty.*", "os.fork", "os.forkpty", "os.exec*", "os.spawn*",
        "os.posix_spawn*", "os.kill", "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell",
    ),
    "order of ids": (
        "id", "hash", ".__hash__", "asyncio.wait", "asyncio.as_completed", "asyncio.all_tasks",
        "weakref.WeakSet", "gc.*",
    ),
    "pause": ("asyncio.sleep", ".call_later", ".call_at"),
    "task": (
        "asyncio.create_task", "asyncio.ensure_future", "asyncio.TaskGroup", ".create_task",
        ".ensure_future",
    ),
    "network": (
        "aiohttp.ClientSession", "aiohttp.request", "aiohttp.web.*", "websockets.connect",
        "websockets.serve", "websockets.asyncio.client.connect", "websockets.sync.client.connect",
        "socket.socket", "socket.create_*", "socket.getaddrinfo", "socket.gethost*",
        "urllib.request.*", "http.client.*", "requests.*", "httpx.*", "asyncio.open_connection",
        "asyncio.open_unix_connection", "asyncio.start_server", "asyncio.start_unix_server",
        ".create_connection", "telegram.Bot",
    ),
    "database": ("sqlite3.connect",),
    "environment": (
        "os.environ", "os.environb", "os.getenv", "os.getpid", "os.getppid", "os.getlogin",
        "os.uname", "os.cpu_count", "sys.argv", "getpass.*", "platform.*", "locale.*",
    ),
}  # fmt: skip
# Kinds with rules of their own in the Reader: what comes out in an order that nobody fixed, and
# times that mean another moment on another host.
ORDER_OF_A_SET, ORDER_OF_A_FOLDER, HOST_ZONE = "order of a set", "order of a folder", "host's zone"
_PATTERNS = {
    kind: re.compile("|".join(re.escape(name).replace(r"\*", ".+") for name in names))
    for kind, names in FORBIDDEN.items()
}

# The places that may: kind -> owner (function or method, qualified) -> reason.
SEAMS: dict[str, dict[str, str]] = {
    "wall clock": {
        "MarketClock.__init__": "where a simulated server's time begins",
        "MarketClock.host": "the clock that people and NTP set: a witness; a virtual day hands in another",
        "Rest._look_at_clock": "our own clock is what is compared with the server's Date",
        "TelegramBot._hear": "the age of a message by Telegram's date; an old one never acts",
        "acknowledge": "a person signs before any trading; the signature carries its hour",
        "run_live": "the age of that signature, asked before any trading",
    },
    "monotonic clock": {
        "MarketClock._steady_s": "the one market clock; a virtual day hands in another",
        "Inbox.put": "stamps a frame for the measure of delay; decides nothing",
        "StatusFile.__init__": "how long the program runs, for the status; decides nothing",
        "StatusFile.show": "how long the program runs, for the status; decides nothing",
    },
    "threads": {
        "Beside.__init__": "the queue of that thread; its one writer hands work over, no answer comes back",
        "Beside.begin": "log, recording, status, token, journal: a disk that hangs holds this thread only",
    },
    "chance": {
        "run_live": "--make-pin salts the hash of the account; trading is not near",
        "Phone.run": "the code that pairs a phone, shown in the terminal",
        "PhoneCodes.__init__": "codes that a person types back; a test hands in another source",
    },
    "processes": {
        "work_out": "an answer of the phone from the journal, in time or not at all",
        "": "the first lines: a command of the folder companions goes there before anything loads",
        "_run_tools": "the same for what the first lines left: a mistake beside a command of this file",
        "ScreenBeside.start": "draws the status in the terminal; the bot never waits for it",
        "ScreenBeside.end": "all else has ended: the screen shows the report of the day",
    },
    "pause": {
        "MarketClock.sleep": "the one pause in market time",
        "Bridge.write_waiting": "until a journal that is late is tried again",
        "Bridge._try_again": "and again",
        "Governor._schedule": "the pace of calls",
        "KISWebSocket.run": "between two attempts to connect",
        "KISWebSocket._register_all": "between two registrations",
        "KISWebSocket._watch_silence": "until the feed counts as silent",
        "SideDoors._tell": "the pace of a second address, longer after trouble",
        "SideDoors._live": "between two signs of life",
        "TelegramBot._send_all": "as long as Telegram says, or a growing pause after trouble",
        "TelegramBot._listen": "a growing pause after trouble",
        "TelegramBot.flush": "while the last messages go",
        "Trader._pump": "of zero: lets the others work between two batches",
        "Trader._timer": "the beat of the engine's time",
        "Trader._beat": "the beat of the evening",
        "trade.stop": "the patience after a signal, before the run is cancelled",
    },
    "task": {
        "Phone.run": "the outbox and its ears beside the trader, ended with it",
        "KISWebSocket._one_session": "its two helpers, cancelled and awaited in its own finally",
        "Trader._trade_day": "one task group: a fault in one loop ends all",
        "Trader._prices": "price questions side by side, in a group of their own",
        "Morning.prepare": "what is held is asked side by side, in a group of its own",
        "SideDoors.run": "words and signs of life, in one group, ended with the phone",
        "TelegramBot.run": "sending and listening, one task group, cancelled with the outbox",
        "Trader.run": "the outbox of messages, flushed and cancelled at the end",
        "trade": "the run itself, which a signal may cancel",
    },
    "network": {
        "AiohttpTransport.__call__": "the only HTTP session",
        "_NoDetour": "the only WebSocket",
        "TelegramBot.run": "the only other host",
        "SideDoors.run": "a webhook and a sign of life, if the settings name them: https only",
        "_bounded_request.BoundedRequest.do_request": "its door: no proxy, no redirect, bounded",
        "Watchdog.tell": "a datagram to systemd on this machine",
        "AccountLock.__init__": "a name of the kernel: one bot for an account on this machine",
    },
    "database": {"Journal.__init__": "the one journal"},
    "environment": {
        "work_out": "that process gets PATH, HOME and LANG: neither keys nor tokens",
        "ScreenBeside.start": "what a process beside gets, with whose screen it is",
        "keep_secrets_in": "takes keys that were read out of it, once, at the start",
        "": "the first lines: the command of the command line",
        "main": "the arguments of the command line",
        "load_settings": "the settings are made from a copy",
        "load_live_settings": "real keys of the environment and systemd's folder of credentials",
        "state_folder": "systemd's folder",
        "Watchdog.__init__": "systemd's address",
        "StatusFile.show": "the number of the process, for the status",
        "write_private": "a name for the file that then replaces the old one",
    },
    ORDER_OF_A_SET: {"Redactor.__init__": "set into set: no order comes out"},
}


class Scope:
    """A function, class or module: its qualified name, its own names, which of them are sets."""

    def __init__(self, name: str, own: set[str]) -> None:
        self.name, self.own, self.sets = name, own, set[str]()


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SET_METHODS = {"union", "intersection", "difference", "symmetric_difference", "copy"}
# What takes an iterable without letting its order out (`sorted` and its like: without a key).
ORDER_FREE = {"sorted", "set", "frozenset", "len", "min", "max", "sum", "any", "all", "Counter"}
ORDER_FREE_METHODS = {
    "update", "issubset", "issuperset", "isdisjoint", "difference_update", "intersection_update",
    *SET_METHODS,
}  # fmt: skip
FOLDER_METHODS = {"glob", "rglob", "iterdir", "walk"}
FOLDER_FUNCTIONS = {"os.listdir", "os.scandir", "os.walk", "glob.glob", "glob.iglob"}
TAKES_IN_ORDER = {
    "list", "tuple", "dict", "iter", "enumerate", "map", "filter", "zip", "join", "extend", "deque",
    "fromkeys", "chain", "from_iterable", "sorted", "min", "max",
}  # fmt: skip


def is_set_annotation(node: ast.AST | None) -> bool:
    """Tell whether an annotation names a set."""
    text = ast.unparse(node) if node else ""
    return bool(re.match(r"(typing\.)?(Abstract|Mutable|frozen)?[sS]et\b", text))


def is_of_sets(node: ast.AST | None) -> bool:
    """Tell whether an annotation names a mapping or row of sets."""
    text = ast.unparse(node) if node else ""
    return bool(re.match(r"\w+\[(.+, )?(frozen)?set\b", text))


def pairs_of(node: ast.Assign) -> list[tuple[ast.expr, ast.expr]]:
    """Return target and value of an assignment, of `a, b = x, y` each for itself."""
    pairs = []
    for target in node.targets:
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs += list(zip(target.elts, node.value.elts, strict=False))
        else:
            pairs.append((target, node.value))
    return pairs


def called_name(node: ast.Call) -> str:
    """Return the last part of what is called."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


class Reader(ast.NodeVisitor):
    """Collects (kind, owner, line) of everything that belongs into a seam."""

    def __init__(self, tree: ast.Module) -> None:
        self.found: list[tuple[str, str, int]] = []
        self._names: dict[str, str] = {}
        self._scopes = [Scope("", set())]
        self._set_attributes: set[str] = set()
        self._set_functions: set[str] = set()
        self._set_holders: set[str] = set()
        for node in ast.walk(tree):
            self._learn(node)
        for node in ast.walk(tree):
            self._learn_assigned(node)
        self.visit(tree)

    def _learn(self, node: ast.AST) -> None:
        """Learn what names mean in the whole file: imports, attributes and results that are sets."""
        if isinstance(node, ast.Import):
            for each in node.names:
                name = each.asname or each.name.partition(".")[0]
                self._names[name] = each.name if each.asname else name
        elif isinstance(node, ast.ImportFrom):
            for each in node.names:
                self._names[each.asname or each.name] = f"{node.module}.{each.name}"
        elif isinstance(node, ast.AnnAssign):
            name = ast.unparse(node.target).rpartition(".")[2]
            if is_set_annotation(node.annotation):
                self._set_attributes.add(name)
            elif is_of_sets(node.annotation):
                self._set_holders.add(name)
        elif isinstance(node, FUNCTIONS) and is_set_annotation(node.returns):
            self._set_functions.add(node.name)

    def _learn_assigned(self, node: ast.AST) -> None:
        """Learn attributes that are assigned a set without an annotation."""
        if isinstance(node, ast.Assign):
            for target, value in pairs_of(node):
                if isinstance(target, ast.Attribute) and self._is_set(value):
                    self._set_attributes.add(target.attr)

    # --- scopes ---

    def _enter(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        own: set[str] = set()
        if isinstance(node, FUNCTIONS):
            own = {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
            own |= {
                each.id
                for each in ast.walk(node)
                if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)
            }
        before = self._scopes[-1].name
        self._scopes.append(Scope(f"{before}.{node.name}" if before else node.name, own))
        if isinstance(node, FUNCTIONS):
            named = [*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs]
            sets = {each.arg for each in named if is_set_annotation(each.annotation)}
            self._scopes[-1].sets |= sets

    def _visit_scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        for each in node.decorator_list:
            self.visit(each)
        self._enter(node)
        for each in getattr(node, "bases", ()):
            self.visit(each)
        if isinstance(node, FUNCTIONS):
            for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
                self.visit(default)
        for each in node.body:
            self.visit(each)
        self._scopes.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _visit_scope  # type: ignore[assignment]

    def _note(self, kind: str, node: ast.expr) -> None:
        self.found.append((kind, self._scopes[-1].name, node.lineno))

    # --- names ---

    def _dotted(self, node: ast.AST) -> str:
        """Return the full name of `a.b.c` by the imports; `.c` when a is somebody's own."""
        if isinstance(node, ast.Name):
            shadowed = any(node.id in scope.own for scope in self._scopes)
            return "" if shadowed else self._names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            return f"{self._dotted(node.value)}.{node.attr}"
        return ""

    def _look(self, node: ast.Name | ast.Attribute) -> None:
        name = self._dotted(node)
        method = f".{node.attr}" if isinstance(node, ast.Attribute) else ""
        for kind, pattern in _PATTERNS.items():
            if pattern.fullmatch(name) or (method and pattern.fullmatch(method)):
                self._note(kind, node)
                return
        if isinstance(node, ast.Attribute):
            self.visit(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._look(node)

    visit_Attribute = _look

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if isinstance(node.target, ast.Name) and is_set_annotation(node.annotation):
            self._scopes[-1].sets.add(node.target.id)
        for part in filter(None, (node.target, node.value)):
            self.visit(part)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target, value in pairs_of(node):
            if isinstance(target, ast.Name) and self._is_set(value):
                self._scopes[-1].sets.add(target.id)
        self.generic_visit(node)

    # --- order of sets and folders, host's zone ---

    def _is_set(self, node: ast.AST) -> bool:
        """Tell whether an expression is a set, as far as the text tells."""
        if isinstance(node, ast.Set | ast.SetComp):
            return True
        if isinstance(node, ast.Name):
            if any(node.id in scope.sets for scope in self._scopes):
                return True
            own = any(node.id in scope.own for scope in self._scopes)
            return node.id in self._set_attributes and not own
        if isinstance(node, ast.Attribute):
            return node.attr in self._set_attributes
        if isinstance(node, ast.Subscript):
            return self._holds_sets(node.value)
        if isinstance(node, ast.BinOp):
            views = [isinstance(each, ast.Call) and called_name(each) in ("keys", "items")
                     for each in (node.left, node.right)]  # fmt: skip
            some = self._is_set(node.left) or self._is_set(node.right) or any(views)
            return some and isinstance(node.op, ast.BitAnd | ast.BitOr | ast.BitXor | ast.Sub)
        if isinstance(node, ast.Call):
            return self._gives_set(node)
        parts = {ast.IfExp: ("body", "orelse"), ast.NamedExpr: ("value",)}.get(type(node), ())
        values = node.values if isinstance(node, ast.BoolOp) else [getattr(node, p) for p in parts]
        return any(self._is_set(each) for each in values)

    def _holds_sets(self, node: ast.AST) -> bool:
        """Tell whether an expression is a mapping or row of sets."""
        return getattr(node, "attr", getattr(node, "id", "")) in self._set_holders

    def _gives_set(self, node: ast.Call) -> bool:
        """Tell whether a call returns a set."""
        name = called_name(node)
        if isinstance(node.func, ast.Attribute):
            if name in SET_METHODS:
                return self._is_set(node.func.value)
            if name in ("get", "pop", "setdefault"):
                return self._holds_sets(node.func.value)
        return name in ("set", "frozenset") or name in self._set_functions

    def _walks(self, node: ast.expr) -> None:
        """Note an iteration whose order comes out."""
        if self._is_set(node):
            self._note("order of a set", node)
        if isinstance(node, ast.Call):
            method = isinstance(node.func, ast.Attribute) and called_name(node) in FOLDER_METHODS
            if method or self._dotted(node.func) in FOLDER_FUNCTIONS:
                self._note(ORDER_OF_A_FOLDER, node)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._walks(node.iter)
        self.generic_visit(node)

    visit_AsyncFor = visit_For

    def visit_Starred(self, node: ast.Starred) -> None:
        self._walks(node.value)
        self.generic_visit(node)

    def visit_Set(self, node: ast.Set) -> None:
        for each in node.elts:  # {*a, *b}: a set again
            self.visit(each.value if isinstance(each, ast.Starred) else each)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> None:
        for each in node.generators:
            self._walks(each.iter)
        self.generic_visit(node)

    visit_ListComp = visit_GeneratorExp = visit_DictComp = _comprehension

    def visit_Call(self, node: ast.Call) -> None:
        name = called_name(node)
        self.visit(node.func)
        if name == "astimezone" and not node.args and not node.keywords:
            self._note(HOST_ZONE, node)
        if name == "pop" and not node.args and isinstance(node.func, ast.Attribute):
            self._walks(node.func.value)
        free = self._is_order_free(node)
        for each in [*node.args, *(keyword.value for keyword in node.keywords)]:
            if free and isinstance(each, ast.GeneratorExp | ast.ListComp | ast.Starred):
                self.generic_visit(each)
                continue
            if not free and name in TAKES_IN_ORDER:
                self._walks(each)
            self.visit(each)

    def _is_order_free(self, node: ast.Call) -> bool:
        """Tell whether a call takes an iterable without letting its order out."""
        name = called_name(node)
        if isinstance(node.func, ast.Attribute):
            return name in ORDER_FREE_METHODS and self._is_set(node.func.value)
        tie = name in ("sorted", "min", "max") and any(k.arg == "key" for k in node.keywords)
        return name in ORDER_FREE and not tie


@functools.cache
def seams_of(source: str) -> list[tuple[str, str, int]]:
    """Return (kind, owner, line) of everything in a source that belongs into a seam."""
    return Reader(ast.parse(source)).found


# --- the bot ----------------------------------------------------------------------------


def test_the_bot_touches_the_world_only_at_its_seams():
    """Every place is in the table, and every entry of the table is a place."""
    found = {(kind, owner) for kind, owner, _ in seams_of(SOURCE)}
    named = {(kind, owner) for kind, owners in SEAMS.items() for owner in owners}
    assert found == named


def test_no_seam_is_in_the_half_that_decides():
    """Sections 1 to 17 have no seam at all."""
    first, world = (
        SOURCE[: SOURCE.index(head)].count("\n") for head in ("# === 1. ", "# === 18. ")
    )
    assert [each for each in seams_of(SOURCE) if first < each[2] <= world] == []


# --- the lint itself --------------------------------------------------------------------


def ways_to_say(name: str) -> list[str]:
    """Return small programs that use a forbidden name, each in another way."""
    name = name.replace("*", "anything")
    if name.startswith("."):
        return [f"loop{name}(1)", f"def f(loop):\n    return loop{name}", f"self._loop{name}(g())"]
    module, _, last = name.rpartition(".")
    if not module:
        builtin = name in ("id", "hash", "input")
        return (
            [f"{name}(1)", f"sorted(x, key={name})"] if builtin else [f"import {name}\n{name}.x()"]
        )
    top = module.partition(".")[0]
    ways = [
        f"import {module}\n{name}()",
        f"import {module} as other\nother.{last}(1)",
        f"from {module} import {last}\nclass A:\n    def f(self):\n        return [{last}(2)]",
        f"from {module} import {last} as hidden\ndef f(clock=hidden):\n    return clock()",
        f"def f():\n    import {module}\n    g = {name}\n    return g()",
        f"import {top}\n@decorate({name})\nasync def f():\n    pass",
    ]
    if "." in module:
        above, _, between = module.rpartition(".")
        ways.append(f"from {above} import {between}\n{between}.{last}()")
    return ways


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in FORBIDDEN.items() for name in names]
)
def test_every_forbidden_name_is_found_however_it_is_imported(kind, name):
    """As a module, under another name, in a function, as a default, handed on without a call."""
    for source in ways_to_say(name):
        assert kind in {found for found, _, _ in seams_of(source)}, source


@pytest.mark.parametrize(
    "source",
    [
        "for x in {1, 2}: pass",
        "for x in set(y): pass",
        "names = frozenset(y)\nfor x in names: pass",
        "seen: set[str] = set()\n[x for x in seen]",
        "def f(seen: set[str]):\n    return list(seen)",
        "def f(seen: frozenset[str]):\n    return ','.join(seen)",
        "def f() -> set[int]: ...\nfor x in f(): pass",
        "class A:\n    def f(self): self.seen = set()\n    def g(self): return tuple(self.seen)",
        "class A:\n    seen: set[int] = field()\ndef f(a):\n    return [x for x in a.seen]",
        "class A:\n    def f(self): self.a, self.b = set(x), 1\n    def g(self): return [*self.a]",
        "def f(a: set[int], b):\n    return {x: 1 for x in a | b}",
        "def f(a: set[int], b):\n    return next(iter(a.union(b)))",
        "def f(a: set[int]):\n    a.pop()",
        "def f(a: set[int]):\n    return dict.fromkeys(a)",
        "def f(a: set[int]):\n    return sorted(a, key=g)",
        "def f(a: set[int]):\n    return min(a, key=g)",
        "def f(a: set[int]):\n    for n, x in enumerate(a or b): pass",
        "for x in a.keys() & b.keys(): pass",
        "of: dict[str, set[int]] = {}\nfor x in of['a']: pass",
        "of: dict[str, set[int]] = {}\nfor x in of.get('a', ()): pass",
        "async def f():\n    tasks = {g(), h()}\n    await asyncio.gather(*tasks)",
        "{y: f(x) for x in {1, 2}}",
    ],
)
def test_an_order_that_nobody_fixed_is_found(source):
    """A set comes out in the order of hashes or addresses."""
    assert ORDER_OF_A_SET in {kind for kind, _, _ in seams_of(source)}


@pytest.mark.parametrize(
    "source",
    [
        "for x in folder.glob('*.gz'): pass",
        "list(folder.iterdir())",
        "import os\n[x for x in os.listdir('.')]",
        "from os import scandir\nfor x in scandir(y): pass",
    ],
)
def test_the_order_of_a_folder_is_found(source):
    """Files come out as the file system likes."""
    assert [kind for kind, _, _ in seams_of(source)] == [ORDER_OF_A_FOLDER]


def test_the_zone_of_the_host_is_found():
    """Without an argument the host's zone is taken."""
    assert seams_of("def f(t):\n    return t.astimezone()") == [(HOST_ZONE, "f", 2)]


@pytest.mark.parametrize(
    "source",
    [
        "for x in [1, 2]: pass",
        "for x in sorted({1, 2}): pass",
        "seen = set(y)\nif x in seen and len(seen) > 2: max(seen)",
        "def f(a: set[int]):\n    return any(x for x in a)",
        "def f(a: set[int]):\n    return {x + 1 for x in a}",
        "def f(a: set[int]):\n    return sorted(x for x in a)",
        "def f(a: set[int], b: set[int]):\n    a.update(x for x in b)\n    return a == b",
        "def f(a: set[int], b: set[int]):\n    return {*a, *b}",
        "for x in sorted(folder.glob('*.gz')): pass",
        "def f(t):\n    return t.astimezone(KST)",
        "def f(time):\n    return time.time()",
        "from datetime import datetime\ndatetime.combine(d, t)\nmoment.time()",
        "def f(moment: datetime.now): pass",
        "class A:\n    id: int = 0\n    def f(self): return self.id",
        "numbers.pop()\nself.rows.pop()",
    ],
)
def test_harmless_code_is_not_found(source):
    """What has an order, hides it, or is somebody's own is left alone."""
    assert seams_of(source) == []


def test_the_owner_is_the_innermost_function():
    """The table names methods of classes and functions in functions."""
    source = "import time\nclass A:\n    def f(self):\n        def g():\n            time.time()"
    assert seams_of(source) == [("wall clock", "A.f.g", 5)]
