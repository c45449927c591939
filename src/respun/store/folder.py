"""The data folder of an embedded store: who may read it, that one process owns it, and space set aside.

It is made with mode 0700 and its files with 0600; a folder that is already there keeps its mode.
"""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from respun.store.backend import StoreInUse, StoreRefused

_DATABASE = "respun.db"
_LOCK = "lock"
_RESERVE = "reserve"


class DataFolder:
    """A data folder that this process holds until `release`; without a lock it is a guest there."""

    def __init__(self, path: Path, lock: int | None) -> None:
        self.path = path
        self.database = path / _DATABASE
        self._reserve = path / _RESERVE
        self._lock = lock

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def set_aside(self, size: int) -> bool:
        """Keep `size` bytes for deletes on a full disk; whether they are there now."""
        if size == 0 or (self._reserve.exists() and self._reserve.stat().st_size == size):
            return size > 0
        file = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _allocate(file, size)
        except OSError:
            self.give_up_reserve()
            return False
        finally:
            os.close(file)
        return True

    def give_up_reserve(self) -> bool:
        """Hand the space set aside back to the disk; whether there was any."""
        try:
            self._reserve.unlink()
        except FileNotFoundError:
            return False
        return True


def hold(path: Path) -> DataFolder:
    """Take the folder for this process, making it if need be; raises StoreRefused with what to do."""
    _make(path)
    try:
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        _take(lock, path)
        os.close(os.open(path / _DATABASE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        os.close(lock)
        raise _refusal(path, error) from error
    except StoreRefused:
        os.close(lock)
        raise
    return DataFolder(path, lock)


def visit(path: Path) -> DataFolder:
    """The folder while another process owns it."""
    return DataFolder(path, None)


def _make(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise StoreRefused(f"{path} is a file. The store needs a folder of its own: give the folder, not the file.")
    if not path.parent.exists():
        raise StoreRefused(f"The data folder {path} can't be made: {path.parent} doesn't exist. Create it first.")
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _refusal(path, error) from error


def _take(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise StoreInUse(
            f"The data folder {path} is in use by another process (pid {owner}). Stop it first; "
            "several processes can share a PostgreSQL database instead."
        ) from None
    # On a full disk the number may not fit; the lock holds all the same.
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _refusal(path: Path, error: OSError) -> StoreRefused:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreRefused(f"The data folder {path} can't be written by this user. Make it writable or give another.")
    return StoreRefused(f"The data folder {path} can't be used: {error.strerror}.")


def _allocate(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    for _ in range(0, size, 1 << 20):
        os.write(file, bytes(1 << 20))
    os.ftruncate(file, size)
