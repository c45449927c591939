"""Rows of vector stores and of what is in them. Whoever changes a store's content locks its row first."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from respun.core.pages import Page, PageRequest
from respun.core.problems import Problem, no_such
from respun.core.vector_stores import (
    MOST_FILES,
    Counted,
    FileBatch,
    FileCounts,
    FileStatus,
    NewFile,
    StoreFile,
    VectorStore,
    counted,
    no_such_batch,
    no_such_entry,
    no_such_store,
    refuse_expired,
)
from respun.store.backend import Row, Tx
from respun.store.codec import text_of, to_store_file, to_vector_store
from respun.store.paging import bury, page, place_in
from respun.store.statements import load

_sql: Final = load("vector_stores")
_PURGED_AT_ONCE: Final = 200


async def add(tx: Tx, project: str, store: VectorStore) -> VectorStore:
    """The store as it was given its place."""
    row = await tx.one(
        _sql.insert, id=store.id, project=project, last_active_at=store.last_active_at, body=text_of(store)
    )
    assert row is not None
    return replace(store, place=row["seq"])


async def get(tx: Tx, project: str, ident: str, *, lock: bool = False) -> VectorStore:
    row = await tx.one(_sql.lock if lock else _sql.get, id=ident, project=project)
    if row is None:
        raise no_such_store(ident)
    return _store(row)


async def open_store(tx: Tx, project: str, ident: str, now: float) -> VectorStore:
    """The store, locked for a change of what is in it. Raises a Problem if it has expired."""
    store = await get(tx, project, ident, lock=True)
    refuse_expired(store, now)
    return store


async def shown(tx: Tx, store: VectorStore, now: float) -> Counted:
    counts = await _counts(tx, [store.place])
    return counted(store, counts.get(store.place, FileCounts()), now)


async def listed(tx: Tx, project: str, request: PageRequest, now: float) -> Page[Counted]:
    async def place(ident: str, param: str) -> int:
        return await place_in(tx, project, ident, param, await tx.one(_sql.place, id=ident, project=project))

    async def fetch(ascending: bool, low: int, high: int, limit: int) -> list[Row]:
        statement = _sql.page_asc if ascending else _sql.page_desc
        return await tx.all(statement, project=project, low=low, high=high, limit=limit)

    stores = await page(request, place, fetch, _store)
    counts = await _counts(tx, [store.place for store in stores.items])
    shown = tuple(counted(store, counts.get(store.place, FileCounts()), now) for store in stores.items)
    return Page(shown, stores.has_more)


async def change(
    tx: Tx, project: str, ident: str, changed: Callable[[VectorStore], VectorStore], now: float
) -> VectorStore:
    store = changed(await open_store(tx, project, ident, now))
    await tx.run(_sql.update, store=store.place, body=text_of(store))
    return store


async def touch(tx: Tx, store: VectorStore, now: float) -> None:
    """It was used: it lives on from now."""
    await tx.run(_sql.touch, store=store.place, now=now)


async def delete(tx: Tx, project: str, ident: str) -> None:
    """It is gone at once; its chunks follow by `purge_some`. The files themselves stay."""
    store = await get(tx, project, ident, lock=True)
    for row in await tx.all(_sql.entries_of_store, store=store.place):
        await tx.run(_sql.to_purge, entry=row["seq"])
    for statement in (_sql.delete_files, _sql.delete_batches, _sql.delete_removals):
        await tx.run(statement, store=store.place)
    await tx.one(_sql.delete, id=ident, project=project)
    await bury(tx, project, ident, store.place)


# Files in a store


async def put_files(
    tx: Tx, project: str, store: VectorStore, given: Sequence[NewFile], now: float, batch: str | None = None
) -> None:
    """Take files in, to be read. One that is there under the same chunking stays as it is, with its new attributes."""
    wanted = {new.file: new for new in given}
    rows = await tx.all(_sql.files_among, store=store.place, files=list(wanted))
    there = {row["file"]: _file(row) for row in rows}
    await _refuse_too_many(tx, store, len(wanted) - len(there))
    for new in wanted.values():
        held = there.get(new.file)
        if held and held.chunking == new.chunking and held.status in ("in_progress", "completed"):
            await _keep(tx, held, new, batch)
            continue
        if held:
            await _drop(tx, store.place, held.entry)
        await _insert(tx, project, store, new, now, batch)
    await touch(tx, store, now)


async def file(tx: Tx, store: VectorStore, ident: str) -> StoreFile:
    row = await tx.one(_sql.get_file, store=store.place, file=ident)
    if row is None:
        raise no_such_entry(ident, store.id)
    return _file(row)


async def of_file(tx: Tx, project: str, ident: str) -> StoreFile:
    """The file as it is in the store that it was put into first."""
    row = await tx.one(_sql.of_file, file=ident, project=project)
    if row is None:
        raise no_such("document", ident)
    return _file(row)


async def files(
    tx: Tx, store: VectorStore, request: PageRequest, status: FileStatus | None = None, batch: str | None = None
) -> Page[StoreFile]:
    async def place(ident: str, param: str) -> int:
        row = await tx.one(_sql.file_place, store=store.place, id=ident)
        return await place_in(tx, store.id, ident if row else _grave(store, ident), param, row)

    async def fetch(ascending: bool, low: int, high: int, limit: int) -> list[Row]:
        statement = _sql.files_asc if ascending else _sql.files_desc
        return await tx.all(
            statement, store=store.place, low=low, high=high, batch=batch or "", status=status or "", limit=limit
        )

    return await page(request, place, fetch, _file)


async def change_file(tx: Tx, store: VectorStore, ident: str, changed: Callable[[StoreFile], StoreFile]) -> StoreFile:
    after = changed(await file(tx, store, ident))
    await tx.run(_sql.put_body, entry=after.entry, body=text_of(after), attributed=int(bool(after.attributes)))
    return after


async def take_out(tx: Tx, store: VectorStore, ident: str) -> None:
    """The store no longer has the file; the file stays."""
    held = await file(tx, store, ident)
    await _drop(tx, store.place, held.entry)
    await bury(tx, store.id, _grave(store, ident), held.entry)


async def take_out_everywhere(tx: Tx, ident: str) -> None:
    """The file is deleted: no store has it any more."""
    for row in await tx.all(_sql.stores_of_file, file=ident):
        await _drop(tx, row["store"], row["seq"])


# Batches


async def add_batch(tx: Tx, store: VectorStore, batch: FileBatch) -> None:
    await tx.run(_sql.insert_batch, id=batch.id, store=store.place, created_at=batch.created_at)


async def batch(tx: Tx, store: VectorStore, ident: str) -> FileBatch:
    row = await tx.one(_sql.get_batch, id=ident, store=store.place)
    if row is None:
        raise no_such_batch(ident, store.id)
    counts = _as_counts(await tx.all(_sql.batch_counts, batch=ident))
    return FileBatch(ident, store.id, row["created_at"], counts, bool(row["cancelled"]))


async def cancel_batch(tx: Tx, store: VectorStore, ident: str) -> FileBatch:
    """What is read already stays; the rest is cancelled. A batch that is done is left as it is."""
    before = await batch(tx, store, ident)
    if before.status != "in_progress":
        return before
    await tx.run(_sql.cancel_batch, id=ident, store=store.place)
    await tx.run(_sql.cancel_files, batch=ident)
    return await batch(tx, store, ident)


async def purge_some(tx: Tx) -> bool:
    """Remove some of what dropped entries left behind; whether there may be more."""
    row = await tx.one(_sql.next_purge)
    if row is None:
        return False
    entry = row["entry"]
    removed = 0
    for statement in (_sql.purge_windows, _sql.purge_chunks):
        removed += await tx.run(statement, entry=entry, limit=_PURGED_AT_ONCE)
    if not removed:
        await tx.run(_sql.purged, entry=entry)
    return True


async def bump(tx: Tx, place: int) -> int | None:
    """The number of the next change of a store, which the caller makes in this transaction; None if it is gone."""
    row = await tx.one(_sql.bump, store=place)
    return row["change"] if row else None


async def hold(tx: Tx, place: int) -> str | None:
    """The model that serves, until the transaction ends; None if the store is gone."""
    row = await tx.one(_sql.hold, store=place)
    return row["model"] if row else None


async def _refuse_too_many(tx: Tx, store: VectorStore, more: int) -> None:
    row = await tx.one(_sql.count_files, store=store.place)
    assert row is not None
    if row["files"] + more > MOST_FILES:
        raise Problem(
            f"Vector store '{store.id}' would hold {row['files'] + more} files; {MOST_FILES} are the most. "
            "Spread them over several stores.",
            param="file_ids",
        )


async def _insert(tx: Tx, project: str, store: VectorStore, new: NewFile, now: float, batch: str | None) -> None:
    held = StoreFile(new.file, store.id, now, attributes=new.attributes, chunking=new.chunking)
    await tx.one(
        _sql.insert_file,
        store=store.place,
        file=new.file,
        project=project,
        batch=batch,
        attributed=int(bool(new.attributes)),
        body=text_of(held),
    )


async def _keep(tx: Tx, held: StoreFile, new: NewFile, batch: str | None) -> None:
    after = replace(held, attributes=new.attributes or held.attributes)
    await tx.run(_sql.put_body, entry=held.entry, body=text_of(after), attributed=int(bool(after.attributes)))
    if batch:
        await tx.run(_sql.join_batch, entry=held.entry, batch=batch)


async def _drop(tx: Tx, place: int, entry: int) -> None:
    """The entry goes, and indexes are told at the store's next change."""
    change = await bump(tx, place)
    if change is not None:
        await tx.run(_sql.remember_removal, store=place, change=change, entry=entry)
    await tx.run(_sql.delete_file, entry=entry)
    await tx.run(_sql.to_purge, entry=entry)
    # It may have been the last that a new model had no vectors of.
    if coming := await tx.one(_sql.model_to_come, store=place):
        await switch_model(tx, place, coming["model"])


async def switch_model(tx: Tx, place: int, model: str) -> bool:
    """Serve the vectors of this model if every file has them; whether it serves now and did not before."""
    return await tx.run(_sql.switch_model, store=place, model=model) > 0


def _grave(store: VectorStore, file: str) -> str:
    """A file may leave several stores, so its id alone names no place in a list."""
    return f"{store.id}/{file}"


async def _counts(tx: Tx, places: Sequence[int]) -> dict[int, FileCounts]:
    if not places:
        return {}
    by_place: dict[int, list[Row]] = {}
    for row in await tx.all(_sql.counts, stores=list(places)):
        by_place.setdefault(row["store"], []).append(row)
    return {place: _as_counts(rows) for place, rows in by_place.items()}


def _as_counts(rows: Sequence[Row]) -> FileCounts:
    found = {row["status"]: row["files"] for row in rows}
    return FileCounts(**found, usage=sum(row["usage"] for row in rows))


def _store(row: Row) -> VectorStore:
    body = to_vector_store(row["body"])
    return replace(
        body, place=row["seq"], last_active_at=row["last_active_at"], change=row["change"], model=row["model"]
    )


def _file(row: Row) -> StoreFile:
    return replace(to_store_file(row["body"]), entry=row["seq"], status=row["status"], usage=row["usage"])
