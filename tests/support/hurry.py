"""An event loop whose seconds are short, for tests that talk over real sockets.

The bot takes every pause, back-off and time-out from its event loop. Here the loop's clock runs ten
times as fast, so that a second of waiting costs a tenth; sockets, processes and the bot stay real.
"""

import asyncio
import selectors
import time

TIMES_FASTER = 10


class _ShortSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Waits for a tenth of the loop's seconds."""

    def select(self, timeout=None):
        return super().select(timeout if timeout is None else timeout / TIMES_FASTER)


class HurriedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time() passes faster."""

    def __init__(self) -> None:
        super().__init__(_ShortSelector())

    def time(self) -> float:
        return time.monotonic() * TIMES_FASTER
