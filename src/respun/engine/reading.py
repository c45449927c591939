"""Read one file into a vector store: text, chunks, windows, vectors, rows.

The text is read in a confined child; what fails there is the file's fault and is stored with it. All that is stored
carries the job's lease, so that a worker who lost it stores nothing.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from respun import telemetry
from respun.core.vector_stores import FaultCode, FileFault, StoreFile
from respun.engine.clock import Clock
from respun.engine.embeddings import Embeddings, name_of
from respun.store import files, ingestion, passages
from respun.store.backend import Backend, Unit
from respun.store.blobs import Blobs
from respun.store.ingestion import Job, NewChunk, NewWindow, Numbers

if TYPE_CHECKING:
    from respun.retrieval.chunk import Chunked
    from respun.retrieval.embed import Embedder
    from respun.retrieval.extract import Extracted, Extractor

log: Final = telemetry.log("reading")

T = TypeVar("T")

MOST_TOKENS: Final = 5_000_000
"""Of one file (contract section 6)."""
_CHUNKS_A_WRITE: Final = 200
# Few, so that a server that stops does not wait long for the thread that embeds them.
_WINDOWS_A_WRITE: Final = 8


class Refused(Exception):
    """The file can't be read, whoever tries."""

    def __init__(self, code: FaultCode, message: str) -> None:
        super().__init__(message)
        self.fault = FileFault(code, message)


class Cut(Struct, frozen=True):
    """`size` is that of the file, in bytes; `tokens` are what is searched."""

    size: int
    tokens: int
    extracted: "Extracted"
    chunked: "Chunked"


class Reader:
    """`me` holds the leases; `count` measures tokens where there is no embedding model."""

    def __init__(
        self,
        backend: Backend,
        blobs: Blobs,
        embeddings: Embeddings,
        extractor: "Callable[[], Extractor]",
        count: Callable[[str], int],
        me: str,
        clock: Clock,
    ) -> None:
        self._backend = backend
        self._blobs = blobs
        self._embeddings = embeddings
        self._extractor = extractor
        self._count = count
        self._me = me
        self._clock = clock
        self._remembered = ""

    async def read(self, job: Job, now: float) -> None:
        """Read the file and say how it went. Raises LostJob, StoreError, or a Problem if the embeddings fail."""
        embedder = await self._embedder()
        try:
            cut = await self._cut(job, embedder, now)
            await self._store(job, cut, embedder)
        except Refused as refused:
            await self.fail(job, refused.fault)
            return
        read = replace(job.file, status="completed", usage=cut.size, fault=None, tokens=cut.tokens)
        await self._finish(job, read, name_of(embedder))

    async def embed_again(self, job: Job) -> None:
        """Give the windows of a file another model's vectors, beside those that serve until all files have them."""
        embedder = await self._embedder()
        if embedder is None:
            return
        await self._write(lambda tx: ingestion.begin_again(tx, job, self._me))
        after = 0
        while rows := await self._backend.read(lambda tx, a=after: passages.windows(tx, job.entry, a, "")):  # type: ignore[misc]
            after = rows[-1].number
            for some in batched(rows, _WINDOWS_A_WRITE):
                vectors = await _embedded(embedder, [row.text for row in some])
                found = [(row.number, vector) for row, vector in zip(some, vectors, strict=True)]
                await self._write(lambda tx, f=found: ingestion.set_next_vectors(tx, job, self._me, f))  # type: ignore[misc]
        if await self._write(lambda tx: ingestion.finish_again(tx, job, self._me, embedder.name)):
            log.info("another model's vectors serve", store=job.file.store, model=embedder.name)

    async def _embedder(self) -> "Embedder | None":
        """The model, of which is noted where it is asked before it makes its first vector."""
        embedder = await self._embeddings.get()
        if embedder and embedder.name != self._remembered:
            await self._write(lambda tx: ingestion.remember_model(tx, embedder.name, embedder.address))
            self._remembered = embedder.name
        return embedder

    async def fail(self, job: Job, fault: FileFault) -> None:
        await self._finish(job, replace(job.file, status="failed", usage=0, fault=fault), "")

    async def _cut(self, job: Job, embedder: "Embedder | None", now: float) -> Cut:
        from respun.retrieval.chunk import Chunking, cut
        from respun.retrieval.extract import Unreadable

        file = (await self._backend.read(lambda tx: files.found(tx, job.project, [job.file.id], now)))[job.file.id]
        try:
            async with self._blobs.local(file.blob) as path:
                extracted = await asyncio.to_thread(self._extractor().extract, path, file.filename)
        except Unreadable as fault:
            raise Refused(fault.code, fault.message) from None
        wanted = Chunking(job.file.chunking.max_tokens, job.file.chunking.overlap_tokens)
        count = embedder.count if embedder else self._count
        chunked = await asyncio.to_thread(cut, extracted.text, count, wanted, page_starts=extracted.page_starts)
        tokens = sum(window.tokens for window in chunked.windows)
        if tokens > MOST_TOKENS:
            raise Refused(
                "invalid_file",
                f"The file holds {tokens:,} tokens; {MOST_TOKENS:,} are the most. Split it into smaller files.",
            )
        return Cut(file.size, tokens, extracted, chunked)

    async def _store(self, job: Job, cut: Cut, embedder: "Embedder | None") -> None:
        chunks, windows = cut.chunked.chunks, cut.chunked.windows
        first = await self._write(lambda tx: ingestion.begin(tx, job, self._me, len(chunks), len(windows)))
        held = _holders(cut.chunked)
        for some_chunks in batched(tuple(_new_chunks(cut, first)), _CHUNKS_A_WRITE):
            await self._write(lambda tx, c=some_chunks: ingestion.add_chunks(tx, job, self._me, c))  # type: ignore[misc]
        for some in batched(range(len(windows)), _WINDOWS_A_WRITE):
            texts = [cut.extracted.text[windows[at].start : windows[at].end] for at in some]
            vectors = await _embedded(embedder, texts) if embedder else [b""] * len(texts)
            rows = [_new_window(cut, first, at, held[at], vector) for at, vector in zip(some, vectors, strict=True)]
            await self._write(lambda tx, r=rows: ingestion.add_windows(tx, job, self._me, r))  # type: ignore[misc]

    async def _finish(self, job: Job, after: StoreFile, model: str) -> None:
        ended = replace(after, ended_at=self._clock.now)
        await self._write(lambda tx: ingestion.finish(tx, job, self._me, ended, model))

    async def _write(self, unit: Unit[T]) -> T:
        return await self._backend.write(unit)


async def _embedded(embedder: "Embedder", texts: Sequence[str]) -> list[bytes]:
    """Vectors as rows keep them: little-endian float16."""
    vectors = await embedder.embed(texts)
    return [vector.astype("<f2").tobytes() for vector in vectors]


def _new_chunks(cut: Cut, first: Numbers) -> Iterator[NewChunk]:
    for number, chunk in enumerate(cut.chunked.chunks, first.chunk):
        text = cut.extracted.text[chunk.start : chunk.end]
        yield NewChunk(number, chunk.start, chunk.end, chunk.page, chunk.last_page, text)


def _holders(chunked: "Chunked") -> list[list[int]]:
    """For each window the one or two chunks that hold it."""
    held: list[list[int]] = [[] for _ in chunked.windows]
    for number, chunk in enumerate(chunked.chunks):
        for window in range(chunk.first_window, chunk.end_window):
            held[window].append(number)
    return held


def _new_window(cut: Cut, first: Numbers, at: int, held: Sequence[int], vector: bytes) -> NewWindow:
    window = cut.chunked.windows[at]
    return NewWindow(
        first.window + at,
        first.chunk + held[0],
        first.chunk + held[1] if len(held) > 1 else None,
        window.start,
        window.end,
        window.tokens,
        vector,
    )


def batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items, `size` at a time."""
    remaining = iter(items)
    while some := tuple(islice(remaining, size)):
        yield some
