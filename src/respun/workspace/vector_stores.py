"""Vector stores: create, list, get, change, delete, search; the files in them and their batches (contract 1.3)."""

from collections.abc import Iterable, Sequence

from msgspec import UNSET, Struct, structs
from msgspec.structs import replace

from respun.core.files import File
from respun.core.machine import Fresh
from respun.core.once import Once
from respun.core.pages import Page, PageRequest
from respun.core.problems import Problem
from respun.core.vector_stores import (
    Attributes,
    Counted,
    FileBatch,
    FileStatus,
    NewFile,
    Passages,
    Question,
    StoreChanges,
    StoreDraft,
    StoreFile,
    VectorStore,
)
from respun.engine.library import Library
from respun.store import effects, files, passages, vector_stores
from respun.store.backend import Tx
from respun.store.paging import buried_before
from respun.workspace.failures import Store

_CHUNKS_A_READ = 500


class Text(Struct, frozen=True):
    """The text of a file as it was read."""

    file: File
    held: StoreFile
    text: str


class VectorStores:
    def __init__(self, store: Store, library: Library, fresh: Fresh) -> None:
        self._store = store
        self._library = library
        self._fresh = fresh

    async def create(self, project: str, draft: StoreDraft, once: Once | None = None) -> Counted:
        made = new_store(draft, self._fresh)

        async def unit(tx: Tx) -> Counted:
            if earlier := await effects.earlier(tx, once):
                return await vector_stores.shown(tx, await vector_stores.get(tx, project, earlier), self._fresh.now)
            await effects.note(tx, once, made.id)
            return await store_new(tx, project, made, draft.files, self._fresh.now)

        counted = await self._store.write(unit)
        self._library.ingest.look()
        return counted

    async def list(self, project: str, page: PageRequest) -> Page[Counted]:
        return await self._store.read(lambda tx: vector_stores.listed(tx, project, page, self._fresh.now))

    async def get(self, project: str, ident: str) -> Counted:
        async def unit(tx: Tx) -> Counted:
            return await vector_stores.shown(tx, await vector_stores.get(tx, project, ident), self._fresh.now)

        return await self._store.read(unit)

    async def change(self, project: str, ident: str, changes: StoreChanges) -> Counted:
        given = {name: value for name, value in structs.asdict(changes).items() if value is not UNSET}
        now = self._fresh.now

        async def unit(tx: Tx) -> Counted:
            store = await vector_stores.change(tx, project, ident, lambda before: replace(before, **given), now)
            return await vector_stores.shown(tx, store, now)

        return await self._store.write(unit)

    async def delete(self, project: str, ident: str, once: Once | None = None) -> None:
        """The files that were in it stay."""

        async def unit(tx: Tx) -> None:
            if not await buried_before(tx, once, project, ident):
                await vector_stores.delete(tx, project, ident)

        await self._store.write(unit, frees_space=True)
        await self._library.indexes.forget(ident)

    async def search(self, project: str, ident: str, question: Question) -> Passages:
        return await self._library.search.search(project, (ident,), question)

    # Files in a store

    async def add_file(self, project: str, ident: str, given: NewFile) -> StoreFile:
        now = self._fresh.now

        async def unit(tx: Tx) -> StoreFile:
            store = await vector_stores.open_store(tx, project, ident, now)
            await put(tx, project, store, (given,), now, param="file_id")
            return await vector_stores.file(tx, store, given.file)

        held = await self._store.write(unit)
        self._library.ingest.look()
        return held

    async def files(
        self, project: str, ident: str, page: PageRequest, status: FileStatus | None = None, batch: str | None = None
    ) -> Page[StoreFile]:
        """`batch`: only those that came with it."""

        async def unit(tx: Tx) -> Page[StoreFile]:
            store = await vector_stores.get(tx, project, ident)
            if batch is not None:
                await vector_stores.batch(tx, store, batch)
            return await vector_stores.files(tx, store, page, status, batch)

        return await self._store.read(unit)

    async def file(self, project: str, ident: str, file: str) -> StoreFile:
        async def unit(tx: Tx) -> StoreFile:
            return await vector_stores.file(tx, await vector_stores.get(tx, project, ident), file)

        return await self._store.read(unit)

    async def change_file(self, project: str, ident: str, file: str, attributes: Attributes) -> StoreFile:
        async def unit(tx: Tx) -> StoreFile:
            store = await vector_stores.open_store(tx, project, ident, self._fresh.now)
            return await vector_stores.change_file(
                tx, store, file, lambda before: replace(before, attributes=attributes)
            )

        return await self._store.write(unit)

    async def remove_file(self, project: str, ident: str, file: str) -> None:
        async def unit(tx: Tx) -> None:
            store = await vector_stores.get(tx, project, ident, lock=True)
            await vector_stores.take_out(tx, store, file)

        await self._store.write(unit, frees_space=True)

    async def text(self, project: str, ident: str, file: str) -> Text:
        """What was read of the file; empty until it was."""
        held = await self.file(project, ident, file)

        async def unit(tx: Tx) -> Text:
            found = (await files.found(tx, project, [file], self._fresh.now))[file]
            return Text(found, held, await _whole_text(tx, held.entry) if held.status == "completed" else "")

        return await self._store.scan(unit)

    # Batches

    async def add_batch(
        self, project: str, ident: str, given: Sequence[NewFile], once: Once | None = None
    ) -> FileBatch:
        now = self._fresh.now
        made = FileBatch(self._fresh.id("batch"), ident, now)

        async def unit(tx: Tx) -> FileBatch:
            store = await vector_stores.open_store(tx, project, ident, now)
            if earlier := await effects.earlier(tx, once):
                return await vector_stores.batch(tx, store, earlier)
            await effects.note(tx, once, made.id)
            await vector_stores.add_batch(tx, store, made)
            await put(tx, project, store, given, now, batch=made.id)
            return await vector_stores.batch(tx, store, made.id)

        batch = await self._store.write(unit)
        self._library.ingest.look()
        return batch

    async def batch(self, project: str, ident: str, batch: str) -> FileBatch:
        async def unit(tx: Tx) -> FileBatch:
            return await vector_stores.batch(tx, await vector_stores.get(tx, project, ident), batch)

        return await self._store.read(unit)

    async def cancel_batch(self, project: str, ident: str, batch: str) -> FileBatch:
        async def unit(tx: Tx) -> FileBatch:
            store = await vector_stores.get(tx, project, ident, lock=True)
            return await vector_stores.cancel_batch(tx, store, batch)

        return await self._store.write(unit)


def new_store(draft: StoreDraft, fresh: Fresh) -> VectorStore:
    now = fresh.now
    return VectorStore(
        id=fresh.id("vector_store"),
        created_at=now,
        name=draft.name,
        description=draft.description,
        metadata=draft.metadata,
        expires_after_days=draft.expires_after_days,
        last_active_at=now,
    )


async def store_new(tx: Tx, project: str, store: VectorStore, given: Sequence[NewFile], now: float) -> Counted:
    """Store a new store with its files. Raises a Problem if one of them is missing or of no use here."""
    placed = await vector_stores.add(tx, project, store)
    if given:
        await put(tx, project, placed, given, now)
    return await vector_stores.shown(tx, placed, now)


async def put(
    tx: Tx,
    project: str,
    store: VectorStore,
    given: Sequence[NewFile],
    now: float,
    *,
    batch: str | None = None,
    param: str = "file_ids",
) -> None:
    """Take files into a store that is locked, refusing what is no file, or none that is read."""
    found = await files.found(tx, project, [new.file for new in given], now)
    refuse_unsupported(found.values(), param)
    await vector_stores.put_files(tx, project, store, given, now, batch)


def refuse_unsupported(found: Iterable[File], param: str) -> None:
    from respun.retrieval.extract import refusal

    for file in found:
        if sentence := refusal(file.filename):
            raise Problem(
                f"{sentence} Convert {file.id} to text, PDF or another format that is read.",
                param=param,
                code="unsupported_file",
            )


async def _whole_text(tx: Tx, entry: int) -> str:
    """Chunks put together again: each repeats the end of the one before."""
    parts: list[str] = []
    number = end = 0
    while chunks := await passages.chunks_of(tx, entry, number, _CHUNKS_A_READ):
        for chunk in chunks:
            # What stands between two chunks was only white space.
            gap = "\n" if parts and chunk.start > end else ""
            parts.append(gap + chunk.text[max(0, end - chunk.start) :])
            end = max(end, chunk.end)
        number = chunks[-1].number
    return "".join(parts)
