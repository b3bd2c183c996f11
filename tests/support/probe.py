"""Tell what a program finds when it starts, as one line of JSON; then end as the words say.

python tests/support/probe.py [exit CODE | raise | text | interrupt | argv ...]
"""

import gc
import io
import json
import os
import resource
import signal
import sys
import threading

HERE = sys.modules[__name__]
IGNORED = [each for each in signal.valid_signals() if signal.getsignal(each) is signal.SIG_IGN]


def of_stream(stream: io.TextIOWrapper) -> list[object]:
    """Return how a stream was opened."""
    raw = getattr(stream.buffer, "raw", stream.buffer)
    return [
        raw.name, stream.encoding, stream.errors, stream.line_buffering, stream.write_through,
        stream.newlines, type(stream.buffer).__name__, stream.mode,
    ]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps({
        "argv": sys.argv, "path": sys.path, "environment": dict(os.environ), "folder": os.getcwd(),
        "ignored": IGNORED, "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "files": sorted(int(each) for each in os.listdir("/proc/self/fd"))[:-1],
        "streams": [of_stream(each) for each in (sys.stdin, sys.stdout, sys.stderr)],
        "leads": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "parent": os.getppid(), "threads": threading.active_count(), "gc": gc.isenabled(),
        "names": sorted(vars(HERE)), "file": __file__, "is": [__name__, __package__, str(__spec__)],
        "bytecode": sys.dont_write_bytecode, "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
        "here": HERE is sys.modules["__main__"], "given": sys.stdin.read(), "nice": os.nice(0),
    }))  # fmt: skip
    match sys.argv[1:]:
        case ["exit", code]:
            sys.exit(int(code))
        case ["text"]:
            sys.exit("a sentence")
        case ["raise"]:
            raise ValueError("of the program")
        case ["interrupt"]:
            os.kill(os.getpid(), signal.SIGINT)
        case ["killed"]:
            os.kill(os.getpid(), signal.SIGKILL)
