"""Bytes of files, outside of the database: written once, read in pieces, removed.

`Blobs` is the whole of what the rest knows, so that a bucket of an object store can stand where the folder stands.
Names are random and given here: what a caller calls a file is never part of a path.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Final, Protocol

from respun.store.backend import StorageFull, StorageUnavailable, StoreError

_PIECE: Final = 1 << 20
_FULL: Final = (ENOSPC, EDQUOT)


class Writing(Protocol):
    """A blob that is being written. End it with `finish` or `discard`; all three raise StoreError."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...

    async def write(self, piece: bytes) -> None: ...

    async def finish(self) -> None:
        """Durable when this returns."""

    async def discard(self) -> None: ...


class Blobs(Protocol):
    def create(self) -> Writing: ...

    def read(self, name: str) -> AsyncIterator[bytes]:
        """The bytes in pieces of a mebibyte. Raises StorageUnavailable if there is no such blob."""

    def local(self, name: str) -> AbstractAsyncContextManager[Path]:
        """A file of this machine that holds the blob, for as long as the context lasts; not to be changed."""

    async def delete(self, name: str) -> None:
        """Gone when this returns; it need not have been there."""


class DiskBlobs:
    """Blobs in a folder. Several servers that share a database must share this folder too."""

    def __init__(self, folder: Path, new_name: Callable[[], str]) -> None:
        self._folder = folder
        self._new_name = new_name

    def create(self) -> "DiskWriting":
        name = self._new_name()
        return DiskWriting(name, self._path(name))

    async def read(self, name: str) -> AsyncIterator[bytes]:
        with _explained():
            file = await asyncio.to_thread(self._path(name).open, "rb")
        try:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece
        finally:
            file.close()

    @asynccontextmanager
    async def local(self, name: str) -> AsyncIterator[Path]:
        yield self._path(name)

    async def delete(self, name: str) -> None:
        with _explained():
            await asyncio.to_thread(self._path(name).unlink, missing_ok=True)

    def _path(self, name: str) -> Path:
        if not name.isalnum():
            raise ValueError("The name of a blob is made of letters and digits.")
        return self._folder / name[:2] / name


class DiskWriting:
    """Gathers small pieces, so that a thread is asked once a mebibyte."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.size = 0
        self._path = path
        self._file: int | None = None
        self._pieces: list[bytes] = []
        self._gathered = 0

    async def write(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._gathered += len(piece)
        self.size += len(piece)
        if self._gathered >= _PIECE:
            await self._flush()

    async def finish(self) -> None:
        await self._flush()
        with _explained():
            await asyncio.to_thread(self._close_durably)

    async def discard(self) -> None:
        self._pieces = []
        if self._file is not None:
            os.close(self._file)
            self._file = None
        with suppress(OSError):
            await asyncio.to_thread(self._path.unlink, missing_ok=True)

    async def _flush(self) -> None:
        pieces, self._pieces, self._gathered = self._pieces, [], 0
        with _explained():
            await asyncio.to_thread(self._put, b"".join(pieces))

    def _put(self, content: bytes) -> None:
        if self._file is None:
            self._path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _close_durably(self) -> None:
        assert self._file is not None
        file, self._file = self._file, None
        try:
            os.fsync(file)
        finally:
            os.close(file)
        for folder in (self._path.parent, self._path.parent.parent):
            _sync(folder)


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _explained() -> Iterator[None]:
    """Failures of the disk as failures of the store."""
    try:
        yield
    except OSError as fault:
        raise _as_store_error(fault) from fault


def _as_store_error(fault: OSError) -> StoreError:
    if fault.errno in _FULL:
        return StorageFull("No space is left for the bytes of files.")
    return StorageUnavailable(f"The bytes of a file can't be read or written: {fault.strerror}.")
