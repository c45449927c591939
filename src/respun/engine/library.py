"""Files at work: the bytes they are made of, and what is done about them in the background."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from respun import telemetry
from respun.core.files import File
from respun.core.problems import Problem
from respun.engine.clock import Clock
from respun.engine.embeddings import Embeddings
from respun.engine.file_search import FileSearch
from respun.engine.indexes import Indexes
from respun.engine.ingest import Ingest, IngestSettings
from respun.engine.memory_vectors import MemoryVectors
from respun.engine.reading import Reader
from respun.engine.reranking import Reranker
from respun.store import files, ingestion, uploads, vector_stores
from respun.store.backend import Backend, StoreError, Tx
from respun.store.blobs import Blobs
from respun.store.file_removal import remove_file

if TYPE_CHECKING:
    from respun.retrieval.extract import Extractor

log: Final = telemetry.log("library")

_AT_ONCE: Final = 100
_AN_HOUR: Final = 3600.0


class Made(Struct, frozen=True):
    """What a tool made for the user."""

    filename: str
    content: bytes


class LibrarySettings(Struct, frozen=True):
    """`largest_file` in bytes, `sweep` in seconds."""

    largest_file: int = 512 << 20
    sweep: float = 5.0
    ingest: IngestSettings = IngestSettings()


class Library:
    """One for a server. Start it, and stop it before the store is closed."""

    def __init__(
        self,
        backend: Backend,
        blobs: Blobs,
        embeddings: Embeddings,
        clock: Clock,
        indexes: Path,
        count: Callable[[str], int],
        settings: LibrarySettings | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        """`indexes` is a folder of this server's own; `count` measures tokens where there is no embedding model."""
        self.blobs = blobs
        self.settings = settings or LibrarySettings()
        self.indexes = Indexes(indexes, backend)
        self.search = FileSearch(backend, self.indexes, embeddings, clock, reranker)
        me = clock.uuid().hex
        reader = Reader(backend, blobs, embeddings, self._extractor, count, me, clock)
        self.ingest = Ingest(backend, reader, embeddings, clock, me, self.settings.ingest)
        self.memory_vectors = MemoryVectors(backend, embeddings)
        self._extracting: Extractor | None = None
        self._backend = backend
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.indexes.start()
        await self.ingest.start()
        self._tasks.append(asyncio.create_task(self._sweep_loop()))
        self._tasks.append(asyncio.create_task(self.memory_vectors.loop()))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.ingest.stop()
        await self.indexes.stop()
        if self._extracting:
            await asyncio.to_thread(self._extracting.close)

    def _extractor(self) -> "Extractor":
        if self._extracting is None:
            from respun.retrieval.extract import Extractor

            self._extracting = Extractor()
        return self._extracting

    async def keep(self, project: str, made: Sequence[Made]) -> list[File]:
        """Files that tools made, downloadable and durable when this returns. Raises StoreError."""
        now = self._clock.now
        blobs = [await self._write(one) for one in made]
        kept = [
            File(self._clock.id("file"), now, one.filename, "assistants_output", len(one.content), blob)
            for one, blob in zip(made, blobs, strict=True)
        ]

        async def unit(tx: Tx) -> None:
            for file in kept:
                await files.add(tx, project, file)

        if kept:
            await self._backend.write(unit)
        return kept

    async def _write(self, made: Made) -> str:
        """The name of its blob, which is swept away should the server die before a row names it."""
        writing = self.blobs.create()
        due = self._clock.now + _AN_HOUR
        await self._backend.write(lambda tx: files.loosen(tx, [writing.name], due))
        try:
            await writing.write(made.content)
            await writing.finish()
        except BaseException:
            await writing.discard()
            raise
        return writing.name

    async def present(self, project: str, idents: Sequence[str]) -> dict[str, File]:
        """Those of these files that there are, by id. Raises StoreError."""
        return await self._backend.read(lambda tx: files.present(tx, project, idents, self._clock.now))

    async def content(self, file: File) -> bytes:
        """All bytes of a file. Raises StoreError."""
        return b"".join([piece async for piece in self.blobs.read(file.blob)])

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
        settled = await self._backend.write(ingestion.settle_some)
        purged = await self._backend.write(vector_stores.purge_some)
        return settled or purged or max(len(expired), closed, len(due)) == _AT_ONCE
