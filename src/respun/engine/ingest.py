"""Reading files into vector stores in the background, several at a time, each under a lease.

The row of a file in its store is its job. A worker that dies leaves the job to whoever sees its lease run out; what
it had stored is cleared and read again. Jobs are found by looking, at once when this server made them.
"""

import asyncio
from typing import Final

from msgspec import Struct

from respun import telemetry
from respun.core.problems import Problem
from respun.core.vector_stores import FileFault
from respun.engine.bell import Bell
from respun.engine.clock import Clock
from respun.engine.embeddings import Embeddings, name_of
from respun.engine.file_search import NOT_INSTALLED
from respun.engine.reading import Reader
from respun.store import ingestion
from respun.store.backend import Backend, StoreError
from respun.store.ingestion import Job, LostJob

log: Final = telemetry.log("ingest")

MOST_ATTEMPTS: Final = 3


class IngestSettings(Struct, frozen=True):
    """`workers` files are read at once; times in seconds."""

    workers: int = 1
    lease: float = 30.0
    heartbeat: float = 10.0
    look: float = 1.0
    retry: float = 5.0


class Ingest:
    def __init__(
        self,
        backend: Backend,
        reader: Reader,
        embeddings: Embeddings,
        clock: Clock,
        me: str,
        settings: IngestSettings,
    ) -> None:
        self._backend = backend
        self._reader = reader
        self._embeddings = embeddings
        self._clock = clock
        self._me = me
        self._settings = settings
        self._look = Bell()
        self._jobs: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        if self._backend.kind == "sqlite":
            await self._backend.write(ingestion.disown_all)
        self._tasks = [asyncio.create_task(self._claim_loop()), asyncio.create_task(self._beat_loop())]

    async def stop(self) -> None:
        """Jobs under way are left to whoever comes next."""
        for task in (*self._tasks, *self._jobs):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._jobs, return_exceptions=True)

    def look(self) -> None:
        """There may be files to read."""
        self._look.ring()

    async def _claim_loop(self) -> None:
        while True:
            try:
                await self._claim_some()
            except StoreError as error:
                log.warning("no files claimed", error=str(error))
            await self._look.listen(self._settings.look)

    async def _claim_some(self) -> None:
        room = self._settings.workers - len(self._jobs)
        if room <= 0:
            return
        now, until = self._clock.now, self._clock.now + self._settings.lease
        mine = await self._backend.write(lambda tx: ingestion.claim(tx, self._me, now, until, room))
        if not mine and not self._jobs:
            mine = await self._claim_outdated(now, until, room)
        for entry in mine:
            job = asyncio.create_task(self._work(entry))
            self._jobs.add(job)
            job.add_done_callback(self._ended)

    async def _claim_outdated(self, now: float, until: float, room: int) -> list[int]:
        """Files that have their text, but not the vectors of the model there is now."""
        if not await self._backend.read(ingestion.any_completed):
            return []
        model = name_of(await self._embeddings.get())
        if not model:
            return []
        return await self._backend.write(lambda tx: ingestion.claim_outdated(tx, model, self._me, now, until, room))

    def _ended(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        self._look.ring()

    async def _work(self, entry: int) -> None:
        job: Job | None = None
        try:
            job = await self._backend.read(lambda tx: ingestion.load_job(tx, entry, self._me))
            if job:
                await self._do(job)
        except LostJob:
            log.info("file no longer wanted", entry=entry)
        except StoreError as error:
            log.warning("file not read", entry=entry, error=str(error))
        except Exception as fault:
            # Nothing else may end the worker, and nothing may be tried for ever: attempts are counted.
            log.error("reading failed", cause=fault, entry=entry)
            await self._put_back(entry)

    async def _do(self, job: Job) -> None:
        started = self._clock.now
        if job.attempts > MOST_ATTEMPTS and not job.again:
            await self._reader.fail(
                job, FileFault("server_error", "The file could not be read. Add it again to retry.")
            )
            return
        try:
            await (self._reader.embed_again(job) if job.again else self._reader.read(job, started))
        except ModuleNotFoundError as missing:
            log.error("files can't be read", cause=missing)
            await self._reader.fail(job, FileFault("server_error", NOT_INSTALLED))
            return
        except Problem as problem:
            log.warning("file put back", file=job.file.id, why=problem.message)
            await self._put_back(job.entry)
            return
        log.info("file read", file=job.file.id, store=job.file.store, seconds=round(self._clock.now - started, 3))

    async def _put_back(self, entry: int) -> None:
        later = self._clock.now + self._settings.retry
        try:
            await self._backend.write(lambda tx: ingestion.let_go(tx, entry, self._me, later))
        except StoreError as error:
            log.warning("file not put back", entry=entry, error=str(error))

    async def _beat_loop(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat)
            if not self._jobs:
                continue
            until = self._clock.now + self._settings.lease
            try:
                await self._backend.write(lambda tx, until=until: ingestion.beat(tx, self._me, until))  # type: ignore[misc]
            except StoreError as error:
                log.warning("leases not renewed", error=str(error))
