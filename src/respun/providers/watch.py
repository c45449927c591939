"""Watch the waits of one exchange, and end it when one takes too long.

One timer that moves on lazily: a timeout object around every network read would cost more than the read.
"""

import asyncio
from collections.abc import Callable
from math import inf


class Watch:
    """`end` is called once, when a wait that was announced is not over in time; `expired` then is true."""

    __slots__ = ("_end", "_loop", "_timer", "_until", "expired")

    def __init__(self, end: Callable[[], None]) -> None:
        self.expired = False
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._until = inf
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, seconds: float) -> None:
        """A wait begins."""
        self._until = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._until:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._look)

    def over(self) -> None:
        """The wait is over; the time until the next one is not watched."""
        self._until = inf

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._loop.time() >= self._until:
            self.expired = True
            self._end()
        elif self._until != inf:
            self._timer = self._loop.call_at(self._until, self._look)
