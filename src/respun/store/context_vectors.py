"""Rows of the vectors of long threads: which indexes have them, who makes them, and what has been made."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from msgspec import Struct

from respun.core.context.languages import Language
from respun.store import contexts
from respun.store.backend import Row, Tx
from respun.store.contexts import CALLS, Known
from respun.store.statements import load

_sql: Final = load("context_vectors")
_EMBEDDED: Final = ("user", "assistant")


class State(Struct, frozen=True):
    """Entries 1 to `upto` of the index have the vectors of `model`; `wanted`: somebody is to look for more."""

    model: str
    dims: int
    upto: int
    wanted: bool = True


class Claimed(Struct, frozen=True):
    context: int
    state: State


class Vector(Struct, frozen=True):
    """Of entry `n`: one byte a dimension, its passages one after the other."""

    n: int
    vectors: bytes


async def state(tx: Tx, known: Known) -> State | None:
    row = await tx.one(_sql.state, context=known.id)
    return _state(row, bool(row["wanted"])) if row else None


async def want(tx: Tx, known: Known, model: str, dims: int) -> None:
    await tx.run(_sql.want, context=known.id, model=model, dims=dims)


async def any_wanted(tx: Tx) -> bool:
    return await tx.one(_sql.any_wanted) is not None


async def claim(tx: Tx, me: str, now: float, until: float) -> Claimed | None:
    row = await tx.one(_sql.claim, me=me, now=now, until=until)
    return Claimed(row["context"], _state(row)) if row else None


async def restart(tx: Tx, context: int, me: str, model: str, dims: int) -> None:
    """The model has changed: what there is stands until it is written over, and is not used."""
    await tx.run(_sql.restart, context=context, me=me, model=model, dims=dims)


async def index_of(tx: Tx, context: int) -> Known | None:
    row = await tx.one(_sql.index, context=context)
    if row is None:
        return None
    language = cast("Language", row["language"])
    return Known(row["id"], row["thread"], language, row["upto"], row["last"], row["size"], row["tokens"])


async def following(tx: Tx, known: Known, n: int, limit: int) -> Mapping[int, bool]:
    """The next entries, and whether there is something in each to embed."""
    rows = await tx.all(_sql.following, context=known.id, n=n, limit=limit)
    return {row["n"]: row["role"] in _EMBEDDED and not row["flags"] & CALLS for row in rows}


async def put(tx: Tx, known: Known, me: str, vectors: Sequence[Vector], upto: int, until: float) -> bool:
    """Store what was made; False if another has taken over, or the thread is gone."""
    if await tx.one(contexts.sql.hold_thread, thread=known.thread) is None:
        return False
    if not await tx.run(_sql.hold, context=known.id, me=me, until=until):
        return False
    if vectors:
        rows = await tx.all(_sql.there, context=known.id, ns=[each.n for each in vectors])
        there = {row["n"] for row in rows}
        await tx.many(_sql.put, [(known.id, each.n, each.vectors) for each in vectors if each.n in there])
    await tx.run(_sql.advance, context=known.id, me=me, upto=upto)
    return True


async def let_go(tx: Tx, context: int, me: str, *, done: bool, later: float = 0.0) -> None:
    await tx.run(_sql.let_go, context=context, me=me, done=int(done), later=later)


async def disown_all(tx: Tx) -> None:
    await tx.run(_sql.disown)


async def newest(tx: Tx, known: Known, after: int, upto: int, limit: int) -> list[Vector]:
    rows = await tx.all(_sql.newest, context=known.id, after=after, upto=upto, limit=limit)
    return [Vector(n, bytes(vectors)) for n, vectors in rows]


def _state(row: Row, wanted: bool = True) -> State:
    return State(row["model"], row["dims"], row["upto"], wanted)
