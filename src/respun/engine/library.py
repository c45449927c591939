"""Files at work: the bytes they are made of, and what is done about them in the background."""

import asyncio
from typing import Final

from msgspec import Struct

from respun import telemetry
from respun.core.problems import Problem
from respun.engine.clock import Clock
from respun.store import files, uploads
from respun.store.backend import Backend, StoreError
from respun.store.blobs import Blobs
from respun.store.file_removal import remove_file

log: Final = telemetry.log("library")

_AT_ONCE: Final = 100


class LibrarySettings(Struct, frozen=True):
    """`largest_file` in bytes, `sweep` in seconds."""

    largest_file: int = 512 << 20
    sweep: float = 5.0


class Library:
    """One for a server. Start it, and stop it before the store is closed."""

    def __init__(self, backend: Backend, blobs: Blobs, clock: Clock, settings: LibrarySettings | None = None) -> None:
        self.blobs = blobs
        self.settings = settings or LibrarySettings()
        self._backend = backend
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks.append(asyncio.create_task(self._sweep_loop()))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _sweep_loop(self) -> None:
        while True:
            try:
                more = await self.sweep()
            except StoreError as error:
                log.warning("nothing swept", error=str(error))
                more = False
            await asyncio.sleep(0.01 if more else self.settings.sweep)

    async def sweep(self) -> bool:
        """End what is past its time and remove bytes that nothing names; whether there may be more."""
        now = self._clock.now
        expired = await self._backend.read(lambda tx: files.expired(tx, now, _AT_ONCE))
        for owned in expired:
            try:
                await self._backend.write(lambda tx, owned=owned: remove_file(tx, owned.project, owned.id, now))  # type: ignore[misc]
            except Problem:
                continue
        closed = await self._backend.write(lambda tx: uploads.expire_some(tx, now, _AT_ONCE))
        due = await self._backend.read(lambda tx: files.due_blobs(tx, now, _AT_ONCE))
        for blob in due:
            await self.blobs.delete(blob)
        if due:
            await self._backend.write(lambda tx: files.forget_blobs(tx, due))
        return max(len(expired), closed, len(due)) == _AT_ONCE
