"""Rows of the vectors of memories: which are still to be made, and what a server has not read yet."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from respun.core.memories import Memory
from respun.store.backend import Tx
from respun.store.statements import load

_sql: Final = load("memory_vectors")
_to_memory: Final = msgspec.json.Decoder(Memory).decode


class Bare(Struct, frozen=True):
    """A memory without a vector. `updated_at` says of which text the vector will be."""

    seq: int
    updated_at: float
    memory: Memory


class VectorRow(Struct, frozen=True):
    seq: int
    memory: int
    user: str
    vector: bytes


class Extent(Struct, frozen=True):
    """How many vectors of an assistant there are, and the number of the newest."""

    count: int
    newest: int


async def any_memory(tx: Tx) -> bool:
    return await tx.one(_sql.any) is not None


async def pending(tx: Tx, model: str, limit: int) -> list[Bare]:
    rows = await tx.all(_sql.pending, model=model, limit=limit)
    return [Bare(row["seq"], row["updated_at"], _to_memory(row["body"])) for row in rows]


async def put(tx: Tx, model: str, made: Sequence[tuple[Bare, bytes]]) -> None:
    """Vectors of memories that are still what they were."""
    for bare, vector in made:
        if not await tx.run(_sql.mark, model=model, memory=bare.seq, updated_at=bare.updated_at):
            continue
        await drop(tx, bare.seq)
        memory = bare.memory
        owned = {"assistant": memory.assistant, "person": memory.user or ""}
        await tx.run(_sql.insert, memory=bare.seq, model=model, vector=vector, **owned)


async def drop(tx: Tx, memory: int) -> None:
    await tx.run(_sql.drop_vector, memory=memory)


async def extent(tx: Tx, assistant: str, model: str) -> Extent:
    row = await tx.one(_sql.extent, assistant=assistant, model=model)
    assert row is not None
    return Extent(row["total"], row["newest"] or 0)


async def after(tx: Tx, assistant: str, model: str, seq: int) -> list[VectorRow]:
    rows = await tx.all(_sql.after, assistant=assistant, model=model, after=seq)
    return [VectorRow(row["seq"], row["memory"], row["person"], bytes(row["vector"])) for row in rows]
