"""Memories: add, list, get, change, delete, search, count, wipe; and what a run is told of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from respun.core.assistants import Assistant
from respun.core.extraction import LONGEST
from respun.core.machine import Fresh
from respun.core.memories import Memory, MemoryUse, Operation, Recalled
from respun.core.problems import Problem
from respun.core.recall import LEAST, PENDING, RECALLED, Fitting
from respun.engine.memory_vectors import MemoryVectors
from respun.engine.remembering import Remembering
from respun.store import assistants, memories
from respun.store.backend import Tx
from respun.store.memories import Owner, Totals
from respun.workspace.failures import Store

_ALL: Final = 1 << 30
_LONGEST_QUERY: Final = 8000


class MemoryQuestion(Struct, frozen=True):
    """What is searched for: memories with all of this metadata, of a user if one is named, from this score on."""

    query: str
    limit: int = 5
    min_score: float = 0.0
    metadata: Mapping[str, Any] = {}
    user: str | None = None


class MemoryPage(Struct, frozen=True):
    items: tuple[Memory, ...]
    total: int


class Utterance(Struct, frozen=True):
    """What a user said where. `when`: the day of it, where it is not today."""

    thread: str
    text: str
    when: str | None = None


class Memories:
    def __init__(
        self, store: Store, fresh: Fresh, remembering: Remembering, vectors: MemoryVectors | None = None
    ) -> None:
        self._store = store
        self._fresh = fresh
        self._remembering = remembering
        self._vectors = vectors
        if vectors is not None:
            remembering.vectors = vectors

    async def add(
        self, project: str, assistant: str, text: str, metadata: Mapping[str, Any], user: str | None = None
    ) -> Memory:
        _check(text)
        now = self._fresh.now
        memory = Memory(str(uuid4()), assistant, text, now, now, user, dict(metadata))

        async def unit(tx: Tx) -> Memory:
            await assistants.get(tx, project, assistant)
            await memories.add(tx, project, memory)
            return memory

        return await self._store.write(unit)

    async def list(
        self, project: str, assistant: str, offset: int = 0, limit: int | None = None, user: str | None = None
    ) -> MemoryPage:
        """Newest first; of everyone, unless a user is named."""
        owner = Owner(project, assistant, user, everyone=user is None)

        async def unit(tx: Tx) -> MemoryPage:
            await assistants.get(tx, project, assistant)
            found = await memories.listed(tx, owner, _ALL if limit is None else limit, offset)
            return MemoryPage(tuple(found), (await memories.totals(tx, owner)).count)

        return await self._store.scan(unit)

    async def get(self, project: str, assistant: str, ident: str) -> Memory:
        return await self._store.read(lambda tx: memories.get(tx, Owner(project, assistant), ident))

    async def change(
        self, project: str, assistant: str, ident: str, text: str, metadata: Mapping[str, Any] | None
    ) -> Memory:
        """None leaves the metadata as it is."""
        _check(text)

        def changed(before: Memory) -> Memory:
            kept = before.metadata if metadata is None else dict(metadata)
            return replace(before, text=text, metadata=kept, updated_at=self._fresh.now)

        return await self._store.write(lambda tx: memories.change(tx, Owner(project, assistant), ident, changed))

    async def delete(self, project: str, assistant: str, ident: str) -> None:
        await self._store.write(lambda tx: memories.delete(tx, Owner(project, assistant), ident), frees_space=True)

    async def wipe(self, project: str, assistant: str) -> int:
        """Every memory of the assistant, and what it was about to remember; how many there were."""
        owner, gone = Owner(project, assistant), 0
        await self._store.read(lambda tx: assistants.get(tx, project, assistant))
        while some := await self._store.write(lambda tx: memories.wipe_some(tx, owner), frees_space=True):
            gone += some
        return gone

    async def stats(self, project: str, assistant: str) -> Totals:
        async def unit(tx: Tx) -> Totals:
            await assistants.get(tx, project, assistant)
            return await memories.totals(tx, Owner(project, assistant, everyone=True))

        return await self._store.read(unit)

    async def search(self, project: str, assistant: str, asked: MemoryQuestion) -> Sequence[Fitting]:
        """Best first; nothing is cut off but what the question says."""
        owner = Owner(project, assistant, asked.user, everyone=asked.user is None)

        query = asked.query[:_LONGEST_QUERY]
        near = await self._near(owner, query)

        async def unit(tx: Tx) -> list[Fitting]:
            await assistants.get(tx, project, assistant)
            return await memories.search(tx, owner, query, near)

        fits = [one for one in await self._store.scan(unit) if one.score >= asked.min_score]
        return [one for one in fits if asked.metadata.items() <= one.memory.metadata.items()][: asked.limit]

    async def operation(self, project: str, ident: str) -> Operation:
        return await self._store.read(lambda tx: memories.operation(tx, project, ident))

    async def copy(self, project: str, source: str, target: str) -> int:
        """Every memory of one assistant to another; how many."""
        now = self._fresh.now

        async def unit(tx: Tx) -> int:
            found = await memories.listed(tx, Owner(project, source, everyone=True), _ALL)
            for memory in reversed(found):
                await memories.add(tx, project, replace(memory, id=str(uuid4()), assistant=target, updated_at=now))
            return len(found)

        return await self._store.write(unit)

    # What a run does with them

    async def settle(self, project: str, assistant: Assistant, wanted: MemoryUse | None, said: Utterance) -> MemoryUse:
        """What a run that is about to be made is told, and under which operation it is remembered."""
        use = wanted or MemoryUse(mode=assistant.memory.mode)
        if use.mode == "off":
            return MemoryUse()
        owner = Owner(project, assistant.id, use.user)
        near = await self._near(owner, said.text)
        recalled = await self._store.read(lambda tx: _recalled(tx, owner, said, near, careful=use.careful))
        operation = str(uuid4()) if use.mode == "auto" and said.text.strip() else None
        return replace(use, recalled=recalled, operation=operation)

    async def note(
        self, tx: Tx, project: str, assistant: str, use: MemoryUse, said: Utterance, run: str | None
    ) -> None:
        """In the transaction that makes the run or the message; call `look` once it is stored."""
        if use.operation is None:
            return
        now = self._fresh.now
        operation = Operation(
            id=use.operation,
            assistant=assistant,
            thread=said.thread,
            text=said.text,
            created_at=now,
            updated_at=now,
            user=use.user,
            run=run,
            when=said.when,
            careful=use.careful,
        )
        await memories.add_operation(tx, project, operation)

    async def _near(self, owner: Owner, text: str) -> dict[int, float]:
        return {} if self._vectors is None else await self._vectors.near(owner, text)

    def look(self) -> None:
        self._remembering.look()


async def _recalled(
    tx: Tx, owner: Owner, said: Utterance, near: Mapping[int, float], *, careful: bool
) -> tuple[Recalled, ...]:
    """What was just said elsewhere comes first: it is about to be remembered, and the next message may ask for it."""
    waiting = await memories.open_operations(tx, owner, said.thread, PENDING)
    most = 2 * RECALLED if careful else RECALLED
    found = await memories.search(tx, owner, said.text[:_LONGEST_QUERY], near)
    fits = [one for one in found[:most] if one.score >= LEAST]
    fresh = [Recalled(one.id, f'The user just said: "{one.text[:LONGEST]}"', 1.0) for one in waiting]
    return (*fresh, *(Recalled(one.memory.id, one.memory.text, round(one.score, 4)) for one in fits))


def _check(text: str) -> None:
    if not text.strip():
        raise Problem("A memory must say something: 'content' is empty.", param="content")
    if len(text) > LONGEST:
        raise Problem(
            f"A memory holds at most {LONGEST} characters, but got {len(text)}. Split it into several.", param="content"
        )
