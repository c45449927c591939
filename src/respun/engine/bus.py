"""Live events: what a run's listeners in this process see, each event once, shared by all of them.

A run's log is in memory while the run is driven here and a little longer; older events come from the store. A
listener reads the log at its own pace: it never holds up the run, and the log is there whether or not anyone listens.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import Final

from respun.core.events import AnyEvent
from respun.core.runs import Run

_KEPT_AFTER_THE_END: Final = 256


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
    """The events of one run since it was taken up here. `base` is the number of the last one before."""

    __slots__ = ("_waiting", "base", "closed", "happenings")

    def __init__(self, base: int) -> None:
        self.base = base
        self.closed = False
        self.happenings: list[Happening] = []
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self.happenings[-1].number if self.happenings else self.base

    def publish(self, happenings: Sequence[Happening]) -> None:
        self.happenings += happenings
        self._wake()

    def close(self) -> None:
        """No more events come through this log: the run is done, waits for its caller, or was lost."""
        self.closed = True
        self._wake()

    async def read(self, after: int) -> AsyncIterator[Sequence[Happening]]:
        """Events behind number `after`, as they come, all that are there at a time; ends when the log is closed."""
        index = self._index(after)
        while True:
            if index < len(self.happenings):
                batch = self.happenings[index:]
                index += len(batch)
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
    """The logs of the runs that are, or just were, driven in this process."""

    def __init__(self) -> None:
        self._live: dict[str, RunLog] = {}
        self._ended: OrderedDict[str, RunLog] = OrderedDict()

    def open(self, run: str, base: int) -> RunLog:
        self._ended.pop(run, None)
        log = self._live[run] = RunLog(base)
        return log

    def close(self, run: str) -> None:
        log = self._live.pop(run, None)
        if log is None:
            return
        log.close()
        self._ended[run] = log
        while len(self._ended) > _KEPT_AFTER_THE_END:
            self._ended.popitem(last=False)

    def log(self, run: str, after: int) -> RunLog | None:
        """The log that has every event behind number `after`, if one does; a closed one only if it has any."""
        log = self._live.get(run) or self._ended.get(run)
        if log is None or log.base > after or (log.closed and log.last <= after):
            return None
        return log
