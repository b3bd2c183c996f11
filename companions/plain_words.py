"""What the system refuses, said so that a person knows what to do; a reader that has gone is no fault."""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import sys
from collections.abc import Callable

import kis_realtime_trading as bot

# What went wrong, and what to do. Korean, English.
WHAT_TO_DO: dict[int, tuple[str, str]] = {
    errno.ENOENT: ("그런 파일이나 폴더가 없습니다. 경로를 확인하거나 폴더를 먼저 만드십시오",
                   "there is no such file or folder: check the path, or make the folder first"),
    errno.EACCES: ("읽거나 쓸 권한이 없습니다. 본인 소유의 폴더를 쓰십시오",
                   "you may not read or write it: use a folder of your own"),
    errno.EISDIR: ("폴더입니다. 파일 이름까지 적으십시오", "this is a folder: name a file in it"),
    errno.EEXIST: ("같은 이름의 파일이 있어 폴더를 만들 수 없습니다. 다른 이름을 쓰십시오",
                   "a file of that name is in the way of the folder: use another name"),
    errno.ENOTDIR: ("폴더가 아닙니다. 경로를 확인하십시오", "this is no folder: check the path"),
    errno.ENOSPC: ("디스크가 가득 찼습니다. 자리를 비운 뒤 다시 하십시오",
                   "the disk is full: make room and try again"),
    errno.EROFS: ("읽기 전용 디스크입니다. 다른 폴더를 쓰십시오", "the disk is read-only: use another folder"),
    errno.EADDRINUSE: ("그 포트를 이미 다른 프로그램이 씁니다. --port로 다른 번호를 고르십시오",
                       "another program uses that port: choose another one with --port"),
}  # fmt: skip
WHAT_TO_DO[errno.EPERM] = WHAT_TO_DO[errno.EACCES]


def words_of(error: OSError, what: object = "") -> bot.Both:
    """Return what the system refused, about which file, and what to do about it."""
    name = str(what or error.filename or "")
    if error.filename and ".tmp" not in name and os.path.basename(name).startswith("."):
        name = os.path.dirname(name)  # the name of a file that is written aside first
    korean, english = WHAT_TO_DO.get(error.errno or 0, (str(error.strerror), str(error.strerror)))
    head = f"{name}: " if name else ""
    return bot.Both(f"{head}{english}", f"{head}{korean}")


def start_of_command() -> str:
    """Return the program as this person starts it from here: on a bare machine there is no `python`."""
    usual, mine = shutil.which("python"), sys.executable
    words = [mine, str(bot.HERE / bot.PROGRAM)]
    near = [path if (short := os.path.relpath(path)).startswith("..") else short for path in words]
    return " ".join(["python", near[1]] if usual and os.path.abspath(usual) == mine else near)


def in_plain_words(
    command: Callable[[argparse.Namespace], int],
) -> Callable[[argparse.Namespace], int]:
    """Let a command end in silence when its reader, a pager or `head`, has gone; say other refusals."""

    def run(options: argparse.Namespace) -> int:
        try:
            code = command(options)
            sys.stdout.flush()
            return code
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the last flush, too
            return 0
        except ValueError:
            if sys.stdout is None or not sys.stdout.closed:
                raise
            raise bot.BotError(bot.Both(
                "the code of the strategy closed the output (sys.stdout.close()): take that line out",
                "전략 코드가 출력을 닫았습니다(sys.stdout.close()). 그 줄을 지우십시오",
            )) from None  # fmt: skip
        except ConnectionError:
            raise
        except OSError as error:
            raise bot.BotError(words_of(error)) from error

    return run
