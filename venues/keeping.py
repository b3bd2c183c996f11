"""Tasks that are begun again alone, so that one venue never ends another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from kis_realtime_trading import JournalError, JournalLate, reconnect_pauses

log = logging.getLogger("kis.venues")

HUNG_S, HUNG_LOOK_S, END_S = 180.0, 10.0, 5.0
STEADY_S = 60.0  # so long a run ends the growth of the pauses


class Kept:
    """One task, for ever: whatever it dies of, it is begun anew with growing pauses.

    A journal that cannot be gone on with ends it for good, loudly: nothing may rest on it. With
    `hung_s` the task must beat; one that does not is cancelled and begun anew.
    """

    def __init__(
        self, name: str, run: Callable[[], Awaitable[object]],
        tell: Callable[[str, str], None] = lambda name, why: None, hung_s: float = 0.0,
    ) -> None:  # fmt: skip
        self.name, self._run, self._tell, self._hung_s = name, run, tell, hung_s
        self.restarts, self.why, self.ended = 0, "", False
        self._beaten = 0.0

    def beat(self) -> None:
        """Hear that the task goes on."""
        self._beaten = asyncio.get_running_loop().time()
        self.why = ""

    async def run(self) -> None:
        """Keep it until cancelled; returns only after a broken journal."""
        pauses, loop, in_a_row = reconnect_pauses(), asyncio.get_running_loop(), 0
        while True:
            began = self._beaten = loop.time()
            try:
                await self._watched()
                why = "ended"
            except JournalLate as error:
                why = str(error)
            except JournalError as error:
                self.ended, self.why = True, str(error)
                self._tell(self.name, self.why)
                return
            except Exception as error:  # the top of a task: here one venue's fault ends
                why = f"{type(error).__name__}: {error}"[:200]
            steady = self._beaten - began if self._hung_s else loop.time() - began
            if steady >= STEADY_S:
                pauses, in_a_row = reconnect_pauses(), 0
            self.why, self.restarts, in_a_row = why, self.restarts + 1, in_a_row + 1
            log.warning("%s: %s; begun anew", self.name, why)
            if in_a_row == 2:  # the first may be chance
                self._tell(self.name, why)
            await asyncio.sleep(next(pauses))

    async def _watched(self) -> None:
        """Run the task; cancel it when it has not beaten for too long."""
        task = asyncio.ensure_future(self._run())
        loop = asyncio.get_running_loop()
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=HUNG_LOOK_S if self._hung_s else None)
                if done:
                    await task
                    return
                if loop.time() - self._beaten >= self._hung_s:
                    raise TimeoutError(f"no sign of life for {self._hung_s:g} s")
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=END_S)
