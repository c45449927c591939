"""Rows of memories, the index of their words, and the operations by which what was said is remembered."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from typing import Final

import msgspec
from msgspec import Struct

from respun.core.memories import Memory, Operation
from respun.core.problems import no_such
from respun.core.recall import CANDIDATES, Fitting, Worded, fitting, memory_words, weigh
from respun.store import memory_vectors
from respun.store.backend import Row, Tx
from respun.store.codec import text_of
from respun.store.statements import load

_sql: Final = load("memories")
_to_memory: Final = msgspec.json.Decoder(Memory).decode
_to_operation: Final = msgspec.json.Decoder(Operation).decode
_MOST_WORDS: Final = 60
_ENOUGH: Final = 1000
_MOST_POSTINGS: Final = 3000
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
    words = memory_words(memory.text)
    row = await tx.one(
        _sql.insert,
        id=memory.id,
        project=project,
        assistant=memory.assistant,
        person=memory.user or "",
        updated_at=memory.updated_at,
        words=" ".join(words),
        body=text_of(memory),
    )
    assert row is not None
    await _index(tx, row["seq"], memory, words)


async def get(tx: Tx, owner: Owner, ident: str) -> Memory:
    return _to_memory((await _found(tx, owner, ident))["body"])


async def change(tx: Tx, owner: Owner, ident: str, changed: Callable[[Memory], Memory]) -> Memory:
    row = await _found(tx, owner, ident)
    memory = changed(_to_memory(row["body"]))
    words = memory_words(memory.text)
    await tx.run(_sql.update, id=ident, body=text_of(memory), words=" ".join(words), updated_at=memory.updated_at)
    await tx.run(_sql.drop_terms, memory=row["seq"])
    await memory_vectors.drop(tx, row["seq"])
    await _index(tx, row["seq"], memory, words)
    return memory


async def delete(tx: Tx, owner: Owner, ident: str) -> None:
    row = await _found(tx, owner, ident)
    await _remove(tx, row["seq"], ident)


async def listed(tx: Tx, owner: Owner, limit: int, offset: int = 0) -> list[Memory]:
    """Newest first."""
    return [_to_memory(row["body"]) for row in await tx.all(_sql.page, limit=limit, offset=offset, **owner.given)]


async def totals(tx: Tx, owner: Owner) -> Totals:
    row = await tx.one(_sql.totals, **owner.given)
    assert row is not None
    return Totals(row["total"], row["updated_at"])


async def search(tx: Tx, owner: Owner, text: str, near: Mapping[int, float] | None = None) -> list[Fitting]:
    """Memories that fit the text, best first: of the user and of nobody in particular.

    `near`: how near in meaning some are, by their numbers (`engine.memory_vectors`).
    """
    words = memory_words(text)[:_MOST_WORDS]
    rows = await tx.all(_sql.frequencies, assistant=owner.assistant, terms=words) if words else []
    known = {row["term"]: row["total"] for row in rows}
    near = near or {}
    if not known and not near:
        return []
    counted = await tx.one(_sql.count, **owner.key)
    assert counted is not None
    weights = weigh(words, known, counted["total"])
    best = list(dict.fromkeys((*await _by_words(tx, owner, weights, known), *near)))
    rows = await tx.all(_sql.bodies, seqs=best, project=owner.project) if best else []
    return fitting(
        weights,
        (Worded(_to_memory(row["body"]), frozenset(row["words"].split()), near.get(row["seq"], 0.0)) for row in rows),
    )


async def _by_words(tx: Tx, owner: Owner, weights: Mapping[str, float], known: dict[str, int]) -> list[int]:
    if not known:
        return []
    partial: dict[int, float] = defaultdict(float)
    postings = await tx.all(
        _sql.postings,
        assistant=owner.assistant,
        person=owner.user or "",
        everyone=int(owner.everyone),
        terms=_rarest(known),
        limit=_MOST_POSTINGS,
    )
    for row in postings:
        partial[row["memory"]] += weights[row["term"]]
    return nlargest(CANDIDATES, partial, key=partial.__getitem__)


def _rarest(known: dict[str, int]) -> list[str]:
    """The words that say most, as long as they don't name too many memories; at least one."""
    chosen: list[str] = []
    total = 0
    for word in sorted(known, key=known.__getitem__):
        total += known[word]
        if chosen and total > _ENOUGH:
            break
        chosen.append(word)
    return chosen


async def wipe_some(tx: Tx, owner: Owner) -> int:
    """Remove some memories of the assistant, and what is still to be remembered; how many memories."""
    await tx.run(_sql.drop_operations, **owner.key)
    rows = await tx.all(_sql.some, limit=_WIPED_AT_ONCE, **owner.key)
    for row in rows:
        await _remove(tx, row["seq"], row["id"])
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


async def _remove(tx: Tx, seq: int, ident: str) -> None:
    await tx.run(_sql.drop_terms, memory=seq)
    await memory_vectors.drop(tx, seq)
    await tx.run(_sql.delete, id=ident)


async def _index(tx: Tx, seq: int, memory: Memory, words: Sequence[str]) -> None:
    await tx.many(_sql.add_term, [(memory.assistant, word, seq, memory.user or "") for word in words])


async def _found(tx: Tx, owner: Owner, ident: str) -> Row:
    row = await tx.one(_sql.get, id=ident, **owner.key)
    if row is None:
        raise no_such("memory", ident)
    return row
