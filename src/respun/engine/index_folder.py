"""A folder of indexes for one process: servers that share a data folder must not write each other's.

An index has one writer, and each server writes its own. Who comes first has the folder itself, others one beside it.
"""

import contextlib
import fcntl
import os
from itertools import count
from pathlib import Path


class OwnFolder:
    """Held until `release`, or until the process ends, however it does."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def release(self) -> None:
        os.close(self._lock)


def own_folder(wanted: Path) -> OwnFolder:
    """`wanted`, or the first of `wanted.2`, `wanted.3`, ... that no process has. Raises OSError."""
    for number in count(1):
        path = wanted if number == 1 else wanted.with_name(f"{wanted.name}.{number}")
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return OwnFolder(path, lock)
        os.close(lock)
    raise AssertionError("count never ends")
