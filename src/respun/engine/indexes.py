"""The indexes of vector stores on this machine: opened when they are asked for, brought up to what the rows say.

An index is derived: whatever is wrong with its folder, it is built again from the rows of its store. One that serves
an old model's vectors, or holds much that was deleted, is built again beside itself, and serves until that is done.
"""

import asyncio
import shutil
from collections import OrderedDict, defaultdict
from collections.abc import Coroutine, Iterator
from hashlib import blake2b
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Final, TypeVar

from respun import telemetry
from respun.core.problems import Problem
from respun.core.vector_stores import VectorStore, no_such_store
from respun.engine.embeddings import WORDS_ONLY
from respun.engine.index_folder import OwnFolder, own_folder
from respun.store import passages
from respun.store.backend import Backend, StoreError
from respun.store.passages import Changes, Standing, WindowRow

if TYPE_CHECKING:
    from respun.retrieval.index import Entry, Index, Snapshot

log: Final = telemetry.log("indexes")

T = TypeVar("T")
_MOST_OPEN: Final = 64
_MOST_WASTED: Final = 1 / 3


class _Stopped(Exception):
    """The server ends; what is built is built again by the next one."""


class Indexes:
    """Used on the event loop; reads and writes of an index happen in threads. Stop it before the backend is closed."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        self._folder = folder
        self._backend = backend
        self._open: OrderedDict[str, Index] = OrderedDict()
        # One writer an index: whoever brings it up to date holds its lock.
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._renewals: dict[str, asyncio.Task[None]] = {}
        self._stopped = Event()
        self._own: OwnFolder | None = None

    async def start(self) -> None:
        """Take a folder that no other server writes. Raises OSError."""
        self._own = await asyncio.to_thread(own_folder, self._folder)
        self._folder = self._own.path

    async def stop(self) -> None:
        # Not cancelled: a thread would go on, and wait for an event loop that has ended.
        self._stopped.set()
        await asyncio.gather(*self._renewals.values(), return_exceptions=True)
        if self._own:
            self._own.release()
            self._own = None

    async def fresh(self, store: VectorStore) -> "Snapshot":
        """What a search of the store sees: everything up to its `change`, with vectors of the snapshot's model."""
        index = self._open.get(store.id)
        if index and (index.model, index.change) == (store.model, store.change):
            self._open.move_to_end(store.id)
            return index.snapshot()
        async with self._locks[store.id]:
            now = await self._standing(store)
            index = self._open.get(store.id) or await self._opened(store)
            if index is None or index.change > now.change or (index.model and not index.dims):
                index = await self._built(store, now)
            elif index.change < now.change:
                await self._catch_up(index, store, now)
            self._keep(store.id, index)
            if index.model != now.model or index.wasted > _MOST_WASTED:
                self._renew(store)
            return index.snapshot()

    async def forget(self, store: str) -> None:
        """The store is deleted."""
        async with self._locks[store]:
            self._open.pop(store, None)
            await asyncio.to_thread(shutil.rmtree, self._home(store), ignore_errors=True)
        self._locks.pop(store, None)

    async def _standing(self, store: VectorStore) -> Standing:
        """As of now: others may have brought the index further than when the caller read the store's row."""
        standing = await self._backend.read(lambda tx: passages.standing(tx, store.place))
        if standing is None:
            raise no_such_store(store.id)
        return standing

    async def _opened(self, store: VectorStore) -> "Index | None":
        from respun.retrieval.index import Index, Stale

        try:
            return await asyncio.to_thread(Index.open_any, self._home(store.id))
        except Stale as stale:
            log.info("index does not fit", store=store.id, why=str(stale))
            return None

    async def _built(self, store: VectorStore, now: Standing) -> "Index":
        index = await self._prepared(store, now)
        await asyncio.to_thread(index.publish)
        return index

    async def _prepared(self, store: VectorStore, now: Standing) -> "Index":
        from respun.retrieval.index import Index

        changes = await self._changes(store, 0, now)
        dims = await self._backend.read(lambda tx: passages.dims(tx, store.place, now.model))
        entries = iter(_Reader(self._backend, changes.added, now.model, self._stopped))
        made = await asyncio.to_thread(
            Index.prepare, self._home(store.id), entries, model=now.model, dims=dims, change=now.change
        )
        log.info("index built", store=store.id, files=len(changes.added))
        return made

    async def _catch_up(self, index: "Index", store: VectorStore, now: Standing, *, published: bool = True) -> None:
        changes = await self._changes(store, index.change, now)
        entries = iter(_Reader(self._backend, changes.added, index.model, self._stopped))
        dropped = [str(entry) for entry in (*changes.removed, *changes.added)]
        write = index.update if published else index.extend
        try:
            await asyncio.to_thread(write, entries, drop=dropped, change=now.change)
        except BaseException:
            # What it holds in memory is not what it wrote: it is opened anew.
            self._open.pop(store.id, None)
            raise

    def _renew(self, store: VectorStore) -> None:
        if store.id not in self._renewals:
            task = asyncio.create_task(self._renewed(store))
            self._renewals[store.id] = task
            task.add_done_callback(lambda _: self._renewals.pop(store.id, None))

    async def _renewed(self, store: VectorStore) -> None:
        """Build beside the index that serves, then take its place at once."""
        try:
            then = await self._standing(store)
            made = await self._prepared(store, then)
            async with self._locks[store.id]:
                await self._exchange(store, made)
        except _Stopped:
            return
        except Problem:
            log.info("index no longer wanted", store=store.id)
        except (StoreError, OSError, ValueError) as error:
            # The next search tries again.
            log.warning("index not renewed", store=store.id, error=str(error))

    async def _exchange(self, store: VectorStore, made: "Index") -> None:
        now = await self._standing(store)
        if now.model != made.model:
            await asyncio.to_thread(made.discard)
            return
        if made.change < now.change:
            await self._catch_up(made, store, now, published=False)
        await asyncio.to_thread(made.publish)
        self._keep(store.id, made)

    async def _changes(self, store: VectorStore, after: int, now: Standing) -> Changes:
        return await self._backend.read(lambda tx: passages.changes(tx, store.place, after, now.change))

    def _keep(self, store: str, index: "Index") -> None:
        self._open[store] = index
        self._open.move_to_end(store)
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)

    def _home(self, store: str) -> Path:
        return self._folder / blake2b(store.encode(), digest_size=16).hexdigest()


class _Reader:
    """The windows of some entries, for a thread that builds an index, a few hundred at a time."""

    def __init__(self, backend: Backend, entries: tuple[int, ...], model: str, stopped: Event) -> None:
        self._backend = backend
        self._entries = entries
        self._model = model
        self._stopped = stopped
        self._loop = asyncio.get_running_loop()

    def __iter__(self) -> Iterator["Entry"]:
        from respun.retrieval.index import Entry

        for entry in self._entries:
            after = 0
            while rows := self._some(entry, after):
                after = rows[-1].number
                for row in rows:
                    chunks = (row.chunk,) if row.other is None else (row.chunk, row.other)
                    vector = row.vector if self._model != WORDS_ONLY else b""
                    yield Entry(row.number, str(entry), chunks, row.text, row.tokens, vector)

    def _some(self, entry: int, after: int) -> "list[WindowRow]":
        if self._stopped.is_set():
            raise _Stopped
        return self._await(self._backend.read(lambda tx: passages.windows(tx, entry, after, self._model)))

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
