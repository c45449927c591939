"""The indexes of vector stores on this machine: opened when they are asked for, brought up to what the rows say.

An index is derived: whatever is wrong with its folder, it is built again from the rows of its store.
"""

import asyncio
import shutil
from collections import OrderedDict, defaultdict
from collections.abc import Coroutine, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from respun import telemetry
from respun.core.vector_stores import VectorStore
from respun.engine.embeddings import WORDS_ONLY
from respun.store import passages
from respun.store.backend import Backend
from respun.store.passages import Changes

if TYPE_CHECKING:
    from respun.retrieval.embed import Embedder
    from respun.retrieval.index import Entry, Index, Snapshot

log: Final = telemetry.log("indexes")

T = TypeVar("T")
_MOST_OPEN: Final = 64
_MOST_WASTED: Final = 1 / 3


class Indexes:
    """Used on the event loop; reads and writes of an index happen in threads."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        self._folder = folder
        self._backend = backend
        self._open: OrderedDict[str, Index] = OrderedDict()
        # One writer an index: whoever brings it up to date holds its lock.
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def fresh(self, store: VectorStore, embedder: "Embedder | None") -> "Snapshot":
        """What a search of the store sees: everything up to its `change`.

        By words alone as long as some vectors are not the embedder's.
        """
        model, dims = await self._vectors(store, embedder)
        index = self._open.get(store.id)
        if index and (index.model, index.change) == (model, store.change):
            self._open.move_to_end(store.id)
            return index.snapshot()
        async with self._locks[store.id]:
            index = self._open.get(store.id) or await self._opened(store, model, dims)
            if index is None or index.model != model or index.change > store.change or index.wasted > _MOST_WASTED:
                index = await self._built(store, model, dims)
            elif index.change < store.change:
                await self._catch_up(index, store)
            self._keep(store.id, index)
            return index.snapshot()

    async def forget(self, store: str) -> None:
        """The store is deleted."""
        async with self._locks[store]:
            self._open.pop(store, None)
            await asyncio.to_thread(shutil.rmtree, self._home(store), ignore_errors=True)
        self._locks.pop(store, None)

    async def _vectors(self, store: VectorStore, embedder: "Embedder | None") -> tuple[str, int]:
        if embedder is None:
            return WORDS_ONLY, 0
        mixed = await self._backend.read(lambda tx: passages.mixed(tx, store.place, embedder.name))
        return (WORDS_ONLY, 0) if mixed else (embedder.name, embedder.dims)

    async def _opened(self, store: VectorStore, model: str, dims: int) -> "Index | None":
        from respun.retrieval.index import Index, Stale

        try:
            return await asyncio.to_thread(Index.open, self._home(store.id), model=model, dims=dims)
        except Stale as stale:
            log.info("index does not fit", store=store.id, why=str(stale))
            return None

    async def _built(self, store: VectorStore, model: str, dims: int) -> "Index":
        from respun.retrieval.index import Index

        changes = await self._changes(store, 0)
        entries = _Reader(self._backend, changes.added, bool(dims))
        index = await asyncio.to_thread(
            Index.build, self._home(store.id), iter(entries), model=model, dims=dims, change=store.change
        )
        log.info("index built", store=store.id, files=len(changes.added))
        return index

    async def _catch_up(self, index: "Index", store: VectorStore) -> None:
        changes = await self._changes(store, index.change)
        entries = _Reader(self._backend, changes.added, index.model != WORDS_ONLY)
        dropped = [str(entry) for entry in (*changes.removed, *changes.added)]
        await asyncio.to_thread(index.update, iter(entries), drop=dropped, change=store.change)

    async def _changes(self, store: VectorStore, after: int) -> Changes:
        return await self._backend.read(lambda tx: passages.changes(tx, store.place, after, store.change))

    def _keep(self, store: str, index: "Index") -> None:
        self._open[store] = index
        self._open.move_to_end(store)
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)

    def _home(self, store: str) -> Path:
        return self._folder / blake2b(store.encode(), digest_size=16).hexdigest()


class _Reader:
    """The windows of some entries, for a thread that builds an index, a few hundred at a time."""

    def __init__(self, backend: Backend, entries: tuple[int, ...], vectors: bool) -> None:
        self._backend = backend
        self._entries = entries
        self._vectors = vectors
        self._loop = asyncio.get_running_loop()

    def __iter__(self) -> Iterator["Entry"]:
        from respun.retrieval.index import Entry

        for entry in self._entries:
            after = 0
            while rows := self._await(self._backend.read(lambda tx, e=entry, a=after: passages.windows(tx, e, a))):  # type: ignore[misc]
                after = rows[-1].number
                for row in rows:
                    chunks = (row.chunk,) if row.other is None else (row.chunk, row.other)
                    vector = row.vector if self._vectors else b""
                    yield Entry(row.number, str(entry), chunks, row.text, row.tokens, vector)

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
