"""Messages of a thread: add, list, get, change, delete."""

from collections.abc import Sequence

from msgspec.structs import replace

from respun.core.assistants import Metadata
from respun.core.drafts import MessageDraft
from respun.core.machine import Fresh
from respun.core.once import Once
from respun.core.pages import Page, PageRequest
from respun.core.problems import Problem
from respun.core.threads import Message
from respun.store import effects, messages, runs, threads
from respun.store.backend import Tx
from respun.store.paging import buried_before
from respun.workspace.failures import Store
from respun.workspace.resources import Resources


class Messages:
    def __init__(self, store: Store, fresh: Fresh, resources: Resources) -> None:
        self._store = store
        self._fresh = fresh
        self._resources = resources

    async def add(self, project: str, thread: str, draft: MessageDraft, once: Once | None = None) -> Message:
        (new,) = new_messages(thread, (draft,), self._fresh)

        async def unit(tx: Tx) -> Message:
            if made := await effects.earlier(tx, once, lambda made: messages.is_newest(tx, thread, made)):
                return await messages.get(tx, thread, made)
            (stored,) = await messages.append(tx, project, thread, (new,))
            await effects.note(tx, once, stored.id)
            if run := await runs.active(tx, thread):
                raise Problem(f"Can't add messages to {thread} while a run {run} is active.")
            await self._resources.attach(tx, project, thread, (draft,))
            return stored

        message = await self._store.write(unit)
        self._resources.added((draft,))
        return message

    async def list(self, project: str, thread: str, page: PageRequest, *, run: str | None = None) -> Page[Message]:
        async def unit(tx: Tx) -> Page[Message]:
            await threads.check(tx, project, thread)
            return await messages.listed(tx, thread, page, run)

        return await self._store.read(unit)

    async def get(self, project: str, thread: str, ident: str) -> Message:
        async def unit(tx: Tx) -> Message:
            await threads.check(tx, project, thread)
            return await messages.get(tx, thread, ident)

        return await self._store.read(unit)

    async def change(self, project: str, thread: str, ident: str, metadata: Metadata) -> Message:
        async def unit(tx: Tx) -> Message:
            await messages.lock(tx, project, thread)
            return await messages.change(
                tx, thread, ident, lambda before: replace(before, metadata=metadata, original=None)
            )

        return await self._store.write(unit)

    async def delete(self, project: str, thread: str, ident: str, once: Once | None = None) -> None:
        async def unit(tx: Tx) -> None:
            await messages.lock(tx, project, thread)
            if await buried_before(tx, once, thread, ident):
                return
            await messages.delete(tx, thread, ident)

        await self._store.write(unit, frees_space=True)


def new_messages(thread: str, drafts: Sequence[MessageDraft], fresh: Fresh) -> tuple[Message, ...]:
    """Messages that callers write: whole, with id and time."""
    return tuple(
        Message(
            id=fresh.id("message"),
            thread=thread,
            created_at=fresh.now,
            role=draft.role,
            content=draft.content,
            ended_at=fresh.now,
            attachments=draft.attachments,
            metadata=draft.metadata,
            original=draft.original,
        )
        for draft in drafts
    )
