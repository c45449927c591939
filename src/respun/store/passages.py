"""Chunks and windows as indexes and searches read them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from respun.core.vector_stores import StoreFile
from respun.store.backend import Row, Tx
from respun.store.codec import to_store_file
from respun.store.statements import load

_sql: Final = load("vector_stores")
_ingestion: Final = load("ingestion")
_AT_ONCE: Final = 500
_HALF: Final = 2


class ChunkRow(Struct, frozen=True):
    number: int
    entry: int
    start: int
    end: int
    page: int | None
    last_page: int | None
    text: str


class WindowRow(Struct, frozen=True):
    """`chunk` and `other` are the numbers of the one or two chunks that hold it; `vector` may be empty."""

    number: int
    chunk: int
    other: int | None
    text: str
    tokens: int
    vector: bytes


class Changes(Struct, frozen=True):
    """What happened to a store after a change: entries to take in, entries to drop."""

    added: tuple[int, ...]
    removed: tuple[int, ...]


class Standing(Struct, frozen=True):
    """What an index of a store must hold: everything up to `change`, with the vectors of `model`."""

    change: int
    model: str


async def changes(tx: Tx, place: int, after: int, upto: int) -> Changes:
    added = await tx.all(_sql.changed_since, store=place, after=after, upto=upto)
    removed = await tx.all(_sql.removed_since, store=place, after=after, upto=upto)
    return Changes(tuple(row["seq"] for row in added), tuple(row["entry"] for row in removed))


async def standing(tx: Tx, place: int) -> Standing | None:
    row = await tx.one(_sql.standing, store=place)
    return Standing(row["change"], row["model"]) if row else None


async def dims(tx: Tx, place: int, model: str) -> int:
    """How long a model's vectors are in this store; 0 where it has none."""
    row = await tx.one(_sql.vector_of_store, store=place, model=model) if model else None
    return len(row["vector"] or b"") // _HALF if row else 0


async def windows(tx: Tx, entry: int, after: int, model: str) -> list[WindowRow]:
    """Some windows of an entry behind number `after`, with the vectors of a model; an empty list is the end."""
    rows = await tx.all(_ingestion.windows_of_entry, entry=entry, after=after, limit=_AT_ONCE, model=model)
    return [_window(row) for row in rows]


async def chunks_of(tx: Tx, entry: int, after: int, limit: int) -> list[ChunkRow]:
    """Chunks of a file in their order, behind number `after`."""
    return [_chunk(row, entry) for row in await tx.all(_sql.chunks_of_entry, entry=entry, after=after, limit=limit)]


async def chunks(tx: Tx, place: int, numbers: Iterable[int]) -> dict[int, ChunkRow]:
    rows = await tx.all(_sql.chunks_numbered, store=place, numbers=list(numbers))
    return {row["number"]: _chunk(row, row["entry"]) for row in rows}


async def attributed(tx: Tx, place: int) -> dict[int, StoreFile]:
    """The files of a store that have attributes, by entry."""
    return {row["seq"]: to_store_file(row["body"]) for row in await tx.all(_sql.attributes, store=place)}


async def entries(tx: Tx, wanted: Sequence[int]) -> Mapping[int, StoreFile]:
    if not wanted:
        return {}
    return {row["seq"]: to_store_file(row["body"]) for row in await tx.all(_sql.entries, entries=list(wanted))}


def _chunk(row: Row, entry: int) -> ChunkRow:
    return ChunkRow(row["number"], entry, row["first"], row["behind"], row["page"], row["last_page"], row["body"])


def _window(row: Row) -> WindowRow:
    start = row["first"] - row["chunk_first"]
    text = row["body"][start : start + row["behind"] - row["first"]]
    return WindowRow(row["number"], row["chunk"], row["other"], text, row["tokens"], bytes(row["vector"] or b""))
