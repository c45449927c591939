"""Rows of memories, the index of their words, and the operations by which what was said is remembered."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from respun.core.memories import Memory, Operation
from respun.core.problems import no_such
from respun.core.recall import memory_words
from respun.store.backend import Row, Tx
from respun.store.codec import text_of
from respun.store.statements import load

_sql: Final = load("memories")
_to_memory: Final = msgspec.json.Decoder(Memory).decode
_to_operation: Final = msgspec.json.Decoder(Operation).decode
_CANDIDATES: Final = 300
_WIPED_AT_ONCE: Final = 500


class Owner(Struct, frozen=True):
    """Whose memories. `user` None: nobody's in particular; `everyone`: of all people who share the assistant."""

    project: str
    assistant: str
    user: str | None = None
    everyone: bool = False

    @property
    def given(self) -> dict[str, str | int]:
        return {**self.key, "person": self.user or "", "everyone": int(self.everyone)}

    @property
    def key(self) -> dict[str, str | int]:
        return {"project": self.project, "assistant": self.assistant}


class Totals(Struct, frozen=True):
    count: int
    updated_at: float | None


class Claimed(Struct, frozen=True):
    project: str
    operation: Operation


async def add(tx: Tx, project: str, memory: Memory) -> None:
    row = await tx.one(
        _sql.insert,
        id=memory.id,
        project=project,
        assistant=memory.assistant,
        person=memory.user or "",
        updated_at=memory.updated_at,
        body=text_of(memory),
    )
    assert row is not None
    await _index(tx, row["seq"], memory)


async def get(tx: Tx, owner: Owner, ident: str) -> Memory:
    return _to_memory((await _found(tx, owner, ident))["body"])


async def change(tx: Tx, owner: Owner, ident: str, changed: Callable[[Memory], Memory]) -> Memory:
    row = await _found(tx, owner, ident)
    before = _to_memory(row["body"])
    memory = changed(before)
    await tx.run(_sql.update, id=ident, body=text_of(memory), updated_at=memory.updated_at)
    await _forget(tx, row["seq"], before)
    await _index(tx, row["seq"], memory)
    return memory


async def delete(tx: Tx, owner: Owner, ident: str) -> None:
    row = await _found(tx, owner, ident)
    await _forget(tx, row["seq"], _to_memory(row["body"]))
    await tx.run(_sql.delete, id=ident)


async def listed(tx: Tx, owner: Owner, limit: int, offset: int = 0) -> list[Memory]:
    """Newest first."""
    return [_to_memory(row["body"]) for row in await tx.all(_sql.page, limit=limit, offset=offset, **owner.given)]


async def totals(tx: Tx, owner: Owner) -> Totals:
    row = await tx.one(_sql.totals, **owner.given)
    assert row is not None
    return Totals(row["total"], row["updated_at"])


async def candidates(tx: Tx, owner: Owner, words: Sequence[str]) -> list[Memory]:
    """Those with any of the words, of the user and of nobody in particular."""
    if not words:
        return []
    rows = await tx.all(_sql.candidates, match=" ".join(words), limit=_CANDIDATES, **owner.given)
    return [_to_memory(row["body"]) for row in rows]


async def wipe_some(tx: Tx, owner: Owner) -> int:
    """Remove some memories of the assistant, and what is still to be remembered; how many memories."""
    await tx.run(_sql.drop_operations, **owner.key)
    rows = await tx.all(_sql.some, limit=_WIPED_AT_ONCE, **owner.key)
    for row in rows:
        await _forget(tx, row["seq"], _to_memory(row["body"]))
        await tx.run(_sql.delete, id=row["id"])
    return len(rows)


async def add_operation(tx: Tx, project: str, operation: Operation) -> None:
    await tx.run(
        _sql.add_operation,
        id=operation.id,
        project=project,
        assistant=operation.assistant,
        person=operation.user or "",
        thread=operation.thread,
        run=operation.run,
        status=operation.status,
        body=text_of(operation),
    )


async def operation(tx: Tx, project: str, ident: str) -> Operation:
    row = await tx.one(_sql.operation, id=ident, project=project)
    if row is None:
        raise no_such("memory operation", ident)
    return _to_operation(row["body"])


async def open_operations(tx: Tx, owner: Owner, thread: str, limit: int) -> list[Operation]:
    """What was said in other threads and is not remembered yet, newest first."""
    rows = await tx.all(_sql.open_operations, person=owner.user or "", thread=thread, limit=limit, **owner.key)
    return [_to_operation(row["body"]) for row in rows]


async def any_open(tx: Tx) -> bool:
    return await tx.one(_sql.any_open) is not None


async def claim_operation(tx: Tx, me: str, now: float, until: float) -> Claimed | None:
    row = await tx.one(_sql.claim_operation, me=me, now=now, until=until)
    return Claimed(row["project"], _to_operation(row["body"])) if row else None


async def finish_operation(tx: Tx, me: str, operation: Operation, until: float = 0.0) -> bool:
    """False if somebody else has taken it over, or it was wiped. One that is pending again is left until then."""
    changed = await tx.run(
        _sql.finish_operation,
        id=operation.id,
        me=me,
        status=operation.status,
        body=text_of(operation),
        until=until,
    )
    return bool(changed)


async def _index(tx: Tx, seq: int, memory: Memory) -> None:
    if words := memory_words(memory.text):
        await tx.run(_sql.index_words, seq=seq, words=" ".join(words))


async def _forget(tx: Tx, seq: int, memory: Memory) -> None:
    if words := memory_words(memory.text):
        await tx.run(_sql.forget_words, seq=seq, words=" ".join(words))


async def _found(tx: Tx, owner: Owner, ident: str) -> Row:
    row = await tx.one(_sql.get, id=ident, **owner.key)
    if row is None:
        raise no_such("memory", ident)
    return row
