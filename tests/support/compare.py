"""Compares objects field by field, through everything that they hold: a used one with a fresh one."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Collection, Mapping
from fnmatch import fnmatch
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import kis_realtime_trading as bot

CODE = (FunctionType, MethodType, BuiltinFunctionType, functools.partial, type)


def fields_of(value: Any) -> dict[str, Any] | None:
    """Return the fields of an object by name, None when it is a plain value."""
    if isinstance(value, Mapping):
        return {f"[{key!s}]": each for key, each in value.items()}
    if isinstance(value, list | tuple | deque):
        return {f"[{n}]": each for n, each in enumerate(value)}
    if type(value).__module__ != bot.__name__ or isinstance(value, str | int):
        return None
    names = [*getattr(value, "__dict__", ())]
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return {f".{name}": getattr(value, name) for name in names if hasattr(value, name)}


def differences(
    one: Any, other: Any, may_differ: Collection[str] = (), path: str = ""
) -> list[str]:
    """Return where two objects differ, "path: this / that". `may_differ` are patterns of paths."""
    if one is other or isinstance(one, CODE) or any(fnmatch(path, each) for each in may_differ):
        return []
    inner, others = fields_of(one), fields_of(other)
    if inner is None or others is None or type(one) is not type(other):
        foreign = type(one).__eq__ is object.__eq__  # of a library, without an equality of its own
        same = type(one) is type(other) and (foreign or one == other)
        return [] if same else [f"{path}: {one!r:.200} / {other!r:.200}"]
    found = []
    for name in {**inner, **others}:
        # a flat position is the same as none
        here, there = (each.get(name, bot.Position()) for each in (inner, others))
        found += differences(here, there, may_differ, path + name)
    return found
