"""Give memory back that the imports needed for a moment: a third of the process, kept by the allocator."""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back(thorough: bool = True) -> bool:
    """Return free memory to the system; False where the C library cannot (only glibc can).

    A table that is drawn each second fills the cache of the widths of its cells with prices of the past:
    thousands of small texts, each of which keeps a page.
    """
    if cells := sys.modules.get("rich.cells"):
        cells.cached_cell_len.cache_clear()
    if thorough:
        gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return False
    return True
