"""Time and ids from the outside world; the only place of the engine that asks for them."""

import os
import threading
import time
from collections.abc import Callable
from uuid import UUID

from respun.core.ids import Kind, spell


class Clock:
    """Unix seconds and ids that sort by creation (UUID version 7: milliseconds, a counter, randomness)."""

    def __init__(self, seconds: Callable[[], float] = time.time) -> None:
        self._seconds = seconds
        self._last = 0
        self._lock = threading.Lock()

    @property
    def now(self) -> float:
        return self._seconds()

    def id(self, kind: Kind) -> str:
        return spell(kind, self.uuid())

    def uuid(self) -> UUID:
        random = int.from_bytes(os.urandom(8))
        # 48 bits of milliseconds and 12 of their fraction; one more than the last where the clock has not moved.
        with self._lock:
            moment = self._last = max(int(self._seconds() * 1000 * 4096), self._last + 1)
        millis, fraction = divmod(moment, 4096)
        return UUID(int=millis << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random >> 2)
