"""Arguments that answer in the user's language, and name what a mistyped word may have meant."""

from __future__ import annotations

import argparse
import functools
import re
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from kis_realtime_trading import near_words
from venues.words import helped, say

# What argparse says of a mistake -> our code of it; the groups are what was meant and what was typed.
_SAID = (
    (r"(?:argument (?P<what>.*?): )?invalid choice: '?(?P<typed>.*?)'? \(choose from (?P<all>.*)\)", "no_choice"),
    (r"unrecognized arguments: (?P<typed>.*)", "no_option"),
    (r"the following arguments are required: (?P<what>.*)", "is_missing"),
    (r"one of the arguments (?P<what>.*) is required", "one_missing"),
    (r"argument (?P<what>.*?): expected .*", "no_value"),
    (r"argument (?P<what>.*?): invalid \w+ value: '(?P<typed>.*)'", "no_such_value"),
    (r"argument (?P<what>.*?): not allowed with argument (?P<typed>.*)", "not_both"),
    (r"ambiguous option: (?P<typed>.*?) could match (?P<all>.*)", "ambiguous"),
)  # fmt: skip


class _Help(argparse.HelpFormatter):
    """Help whose first word is of a language."""

    usage = "usage: "

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, self.usage if prefix is None else prefix)


class _KoreanHelp(_Help):
    usage = "사용법: "


class Parser(argparse.ArgumentParser):
    """A parser of one language, and those of its commands."""

    def __init__(self, prog: str, language: str = "ko", **more: Any) -> None:
        super().__init__(prog=prog, **{**more, "add_help": False})
        self.formatter_class = _Help if language == "en" else _KoreanHelp
        self.language = language
        self._positionals.title = say("h_positionals", language)
        self._optionals.title = say("h_options", language)
        self.add_argument("-h", "--help", action="help", help=helped("show this help", language))

    def add_subparsers(self, **more: Any) -> Any:
        """Let commands speak as we do."""
        more.setdefault("parser_class", functools.partial(Parser, language=self.language))
        return super().add_subparsers(**more)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Tell of an unknown option where it was typed: there its neighbours are known."""
        found, left = super().parse_known_args(args, namespace)
        if left:
            self.error("unrecognized arguments: " + " ".join(left))
        return found, left

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, what may have been meant, and where all of it stands; exit 2."""
        print(wrong(message, self._option_string_actions, self.language), file=sys.stderr)
        print(say("all_options", self.language, program=self.prog), file=sys.stderr)
        raise SystemExit(2)


def wrong(message: str, flags: Iterable[str], language: str) -> str:
    """Return what argparse says of a mistake as a sentence of a language."""
    for pattern, code in _SAID:
        if not (found := re.fullmatch(pattern, message)):
            continue
        words = {name: text or "" for name, text in found.groupdict().items()}
        choices: list[str] = re.findall(r"[\w.-]+", words.get("all", ""))
        known = choices or flags if code in ("no_choice", "no_option") else ()
        near = near_words((words.get("typed") or "?").split()[0], known)
        text = say(code, language, **{**words, "all": ", ".join(choices)})
        return f"{text} {say('perhaps', language, near=' / '.join(near))}" if near else text
    return message
