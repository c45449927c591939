"""Notices between processes over PostgreSQL, on a connection of their own.

Never inside a writing transaction: a transaction that notifies takes a lock that all such commits share. A connection
that breaks is made again, and its channels with it; what was sent meanwhile is lost, so a listener also looks itself
now and then.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from respun.store.backend import Heard, StorageUnavailable

_PROBE_SECONDS: Final = 20.0
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


class Notices:
    """Listens and notifies; connects when first used."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], failures: tuple[type[Exception], ...]) -> None:
        self._connect = connect
        self._failures = failures
        self._heard: defaultdict[str, list[Heard]] = defaultdict(list)
        self._db: Any = None
        self._busy = asyncio.Lock()  # the connection runs one statement at a time
        self._lost = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def listen(self, channel: str, heard: Heard) -> None:
        async with self._busy:
            db = await self._connected()
            if not self._heard[channel]:
                await self._do(db.add_listener(channel, self._hear))
            self._heard[channel].append(heard)
        if self._watch is None:
            self._watch = asyncio.create_task(self._keep_connected(), name="respun-notices")

    async def unlisten(self, channel: str, heard: Heard) -> None:
        async with self._busy:
            self._heard[channel].remove(heard)
            if not self._heard[channel]:
                del self._heard[channel]
                if self._db is not None and not self._db.is_closed():
                    await self._do(self._db.remove_listener(channel, self._hear))

    async def notify(self, channel: str, payload: str) -> None:
        async with self._busy:
            db = await self._connected()
            await self._do(db.execute("select pg_notify($1, $2)", channel, payload))

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        if self._db is not None:
            self._db.terminate()

    def _hear(self, _db: object, _pid: int, channel: str, payload: object) -> None:
        for heard in list(self._heard.get(channel, ())):
            heard(str(payload))

    async def _connected(self) -> Any:
        if self._db is None or self._db.is_closed():
            db = await self._do(self._connect())
            self._lost.clear()
            db.add_termination_listener(lambda _: self._lost.set())
            self._db = db
            for channel in self._heard:
                await self._do(db.add_listener(channel, self._hear))
        return self._db

    async def _keep_connected(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._busy:
                    await self._do((await self._connected()).execute("select 1"))
            except StorageUnavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            with suppress(TimeoutError):
                async with asyncio.timeout(_PROBE_SECONDS):
                    await self._lost.wait()

    async def _do(self, step: Awaitable[Any]) -> Any:
        try:
            return await step
        except self._failures as error:
            if self._db is not None:
                self._db.terminate()
            raise StorageUnavailable(f"Notices can't be sent or heard: {error or type(error).__name__}.") from error
