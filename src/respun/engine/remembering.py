"""Remembering: what was said becomes memories, by the assistant's own model, behind the caller's back.

An operation is stored with the message it is about and done once its run is; those of one person one after the
other, so that what is said later wins. A worker that goes silent loses its operation to another.
"""

from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from respun import telemetry
from respun.core import chat
from respun.core.assistants import Assistant
from respun.core.extraction import (
    NoJson,
    comparison,
    conversation,
    facts_prompt,
    read_changes,
    read_facts,
    stated,
    update_prompt,
)
from respun.core.memories import Change, Memory, Operation
from respun.core.pages import PageRequest
from respun.core.problems import Problem
from respun.engine.bell import Bell
from respun.engine.clock import Clock
from respun.engine.memory_vectors import MemoryVectors
from respun.store import assistants, memories, messages, runs
from respun.store.backend import Backend, StoreError, Tx
from respun.store.memories import Claimed, Owner

log: Final = telemetry.log("engine")

_COMPARED: Final = 5
_COMPARED_CAREFULLY: Final = 10
_MOST_TRIES: Final = 3


class RememberingSettings(Struct, frozen=True):
    """Times in seconds: how often it looks while something waits (`look`) and while nothing does (`idle`).

    `lease` is the longest that two questions to a model may take, `again` the pause after a failure.
    """

    look: float = 0.1
    idle: float = 5.0
    lease: float = 120.0
    again: float = 5.0


class Given(Struct, frozen=True):
    """What an operation needs to know."""

    assistant: Assistant
    answered: str
    failed: bool


class Remembering:
    def __init__(
        self,
        backend: Backend,
        provider: chat.Provider,
        clock: Clock,
        me: str,
        settings: RememberingSettings,
    ) -> None:
        self._backend = backend
        self._provider = provider
        self._clock = clock
        self._me = me
        self._settings = settings
        self._look = Bell()
        self.vectors: MemoryVectors | None = None
        """Where what is known is compared by meaning too."""

    def look(self) -> None:
        """There is something to remember, now or when a run is done."""
        self._look.ring()

    async def loop(self) -> None:
        """For ever. What is under way when it is cancelled is done again by the next worker."""
        while True:
            try:
                more = await self._do_one()
                waiting = more or await self._backend.read(memories.any_open)
            except StoreError as error:
                log.warning("nothing remembered", error=str(error))
                more, waiting = False, True
            if more:
                continue
            await self._look.listen(self._settings.look if waiting else self._settings.idle)

    async def _do_one(self) -> bool:
        now = self._clock.now
        until = now + self._settings.lease
        if not await self._backend.read(memories.any_open):
            return False
        claimed = await self._backend.write(lambda tx: memories.claim_operation(tx, self._me, now, until))
        if claimed is None:
            return False
        try:
            changes = await self._changes(claimed)
        except (Problem, chat.ModelError) as error:
            await self._fail(claimed, error.message)
        except Exception as fault:
            log.error("an operation failed", cause=fault, operation=claimed.operation.id)
            await self._fail(claimed, "The server has a fault; its log says which.")
        else:
            await self._keep(claimed, changes)
        return True

    async def _keep(self, claimed: Claimed, changes: tuple[Change, ...]) -> None:
        try:
            await self._backend.write(lambda tx: self._apply(tx, claimed, changes))
        except _TakenOver:
            log.info("an operation was taken over or wiped", operation=claimed.operation.id)

    async def _fail(self, claimed: Claimed, why: str) -> None:
        """Again a little later, a few times."""
        operation, now = claimed.operation, self._clock.now
        tries = operation.tries + 1
        until = now + self._settings.again * tries
        status = "failed" if tries >= _MOST_TRIES else "pending"
        after = replace(operation, status=status, failure=why, tries=tries, updated_at=now)
        log.warning("not remembered", operation=operation.id, tries=tries, error=why)
        await self._backend.write(lambda tx: memories.finish_operation(tx, self._me, after, until))

    async def _changes(self, claimed: Claimed) -> tuple[Change, ...]:
        """What is to be done; nothing for a run that brought no answer."""
        operation = claimed.operation
        given = await self._backend.read(lambda tx: _given(tx, claimed.project, operation))
        if given.failed:
            return ()
        facts = await self._facts(operation, given)
        if not facts:
            return (Change("NONE", operation.text[:200]),)
        owner = Owner(claimed.project, operation.assistant, operation.user)
        most = _COMPARED_CAREFULLY if operation.careful else _COMPARED
        near = [await self.vectors.near(owner, fact) if self.vectors else {} for fact in facts]
        known = await self._backend.read(lambda tx: _alike(tx, owner, facts, near, most))
        if not known:
            return tuple(Change("ADD", fact) for fact in facts)
        return await self._compared(given.assistant, facts, known)

    async def _facts(self, operation: Operation, given: Given) -> tuple[str, ...]:
        day = operation.when or datetime.fromtimestamp(operation.created_at, UTC).strftime("%A, %d %B %Y")
        prompt = facts_prompt(given.assistant.memory.extraction_prompt)
        answer = await self._ask(given.assistant, prompt, conversation(operation.text, given.answered, day))
        try:
            return read_facts(answer)
        except NoJson:
            return stated(operation.text)

    async def _compared(self, assistant: Assistant, facts: tuple[str, ...], known: list[Memory]) -> tuple[Change, ...]:
        answer = await self._ask(assistant, update_prompt(assistant.memory.update_prompt), comparison(known, facts))
        try:
            return read_changes(answer, known)
        except NoJson:
            there = {memory.text for memory in known}
            return tuple(Change("NONE" if fact in there else "ADD", fact) for fact in facts)

    async def _ask(self, assistant: Assistant, prompt: str, text: str) -> str:
        request = chat.ModelRequest(
            model=assistant.model,
            messages=(chat.SystemMessage(prompt), chat.UserMessage(text)),
            response_format={"type": "json_object"},
            temperature=0.0,
        )
        said: list[str] = []
        async with aclosing(cast(Any, self._provider.stream(request))) as batches:
            async for batch in batches:
                said += [news.text for news in batch if isinstance(news, chat.TextDelta)]
        return "".join(said).replace("\x00", "\ufffd")

    async def _apply(self, tx: Tx, claimed: Claimed, changes: tuple[Change, ...]) -> None:
        operation, now = claimed.operation, self._clock.now
        owner = Owner(claimed.project, operation.assistant, operation.user)
        done = [await _changed(tx, owner, operation, change, now) for change in changes]
        after = replace(operation, status="completed", changes=tuple(done), failure=None, updated_at=now)
        if not await memories.finish_operation(tx, self._me, after):
            raise _TakenOver


class _TakenOver(Exception):
    """Nothing of it is kept: another worker does it."""


async def _given(tx: Tx, project: str, operation: Operation) -> Given:
    assistant = await assistants.get(tx, project, operation.assistant)
    if operation.run is None:
        return Given(assistant, "", failed=False)
    job = await runs.load_job(tx, operation.run)
    if job is None or job.run.status not in ("completed", "incomplete"):
        return Given(assistant, "", failed=True)
    said = await messages.listed(tx, operation.thread, PageRequest(10, "asc"), operation.run)
    return Given(assistant, "\n".join(message.text for message in said.items), failed=False)


async def _alike(
    tx: Tx, owner: Owner, facts: tuple[str, ...], near: Sequence[dict[int, float]], most: int
) -> list[Memory]:
    """What is remembered of what the facts are about."""
    found: dict[str, Memory] = {}
    for fact, close in zip(facts, near, strict=True):
        for one in (await memories.search(tx, owner, fact, close))[:most]:
            if (one.memory.user or "") == (owner.user or ""):
                found[one.memory.id] = one.memory
    return list(found.values())


async def _changed(tx: Tx, owner: Owner, operation: Operation, change: Change, now: float) -> Change:
    """Do it; what it came to, for a memory may be gone by now."""
    try:
        if change.event == "UPDATE" and change.id:
            await memories.change(
                tx, owner, change.id, lambda before: replace(before, text=change.text, updated_at=now)
            )
            return change
        if change.event == "DELETE" and change.id:
            await memories.delete(tx, owner, change.id)
            return change
    except Problem:
        return replace(change, event="NONE", id=None)
    if change.event != "ADD":
        return replace(change, id=None)
    made = Memory(
        id=str(uuid4()),
        assistant=operation.assistant,
        text=change.text,
        created_at=now,
        updated_at=now,
        user=operation.user,
        metadata={"source": "conversation", "thread": operation.thread},
    )
    await memories.add(tx, owner.project, made)
    return replace(change, id=made.id)
