"""Live events: what a run's listeners in this process see, each event once, shared by all of them.

A run's log holds what the store does not have yet and a few events more, so a stream costs the same memory however
long it gets; older events come from the store. A listener reads at its own pace and never holds up the run: one that
falls behind the log goes on in the store, and comes back.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from respun.core.events import AnyEvent
from respun.core.runs import Run

_KEPT: Final = 2
"""Stored events that stay for listeners about to read them."""


class Happening:
    """An event and the run before and after it. Dialects keep its frames here, so that each is made once."""

    __slots__ = ("after", "before", "event", "frames")

    def __init__(self, before: Run | None, event: AnyEvent, after: Run) -> None:
        self.before = before
        self.event = event
        self.after = after
        self.frames: dict[str, bytes] = {}

    @property
    def number(self) -> int:
        return self.after.number


class RunLog:
    """The newest events of one run. `base` is the number of the last one before them."""

    __slots__ = ("_dropped", "_waiting", "base", "closed", "happenings")

    def __init__(self, base: int) -> None:
        self.base = base
        self.closed = False
        self.happenings: list[Happening] = []
        self._dropped = 0
        self._waiting: list[asyncio.Future[None]] = []

    def publish(self, happenings: Sequence[Happening]) -> None:
        self.happenings += happenings
        self._wake()

    def drop(self, stored: int) -> None:
        """Let go of events that the store has, up to this number, but for the last few."""
        extra = sum(1 for happening in self.happenings[:-_KEPT] if happening.number <= stored)
        if extra:
            self.base = self.happenings[extra - 1].number
            del self.happenings[:extra]
            self._dropped += extra

    def close(self) -> None:
        """No more events come through this log: the run is done, waits for its caller, or was lost."""
        self.closed = True
        self._wake()

    async def read(self, after: int) -> AsyncIterator[Sequence[Happening]]:
        """Events behind number `after`, as they come, all that are there at a time.

        Ends when the log is closed, or when it no longer has what comes next: then the store does.
        """
        place = self._dropped + self._index(after)
        while True:
            index = place - self._dropped
            if index < 0:
                return
            if index < len(self.happenings):
                batch = self.happenings[index:]
                place += len(batch)
                yield batch
            elif self.closed:
                return
            else:
                await self._next()

    def _index(self, after: int) -> int:
        for index in range(len(self.happenings), 0, -1):
            if self.happenings[index - 1].number <= after:
                return index
        return 0

    async def _next(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


class Bus:
    """The logs of the runs that are driven in this process."""

    def __init__(self) -> None:
        self._live: dict[str, RunLog] = {}

    def open(self, run: str, base: int) -> RunLog:
        log = self._live[run] = RunLog(base)
        return log

    def close(self, run: str) -> None:
        if log := self._live.pop(run, None):
            log.close()

    def log(self, run: str, after: int) -> RunLog | None:
        """The log that has every event behind number `after`, if one does."""
        log = self._live.get(run)
        return None if log is None or log.base > after else log
