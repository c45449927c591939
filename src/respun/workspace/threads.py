"""Threads: create, list, search, get, change, delete."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import UNSET, structs

from respun.core.assistants import Metadata
from respun.core.drafts import Preview, ThreadChanges, ThreadDraft
from respun.core.machine import Cancel
from respun.core.once import Once
from respun.core.pages import Page, PageRequest
from respun.core.problems import Problem
from respun.core.runs import Run
from respun.core.threads import Message, Thread
from respun.crash import crash_point
from respun.engine.engine import Engine
from respun.store import effects, messages, runs, threads
from respun.store.backend import Tx
from respun.store.paging import buried_before
from respun.workspace import contexts
from respun.workspace.contexts import Shown
from respun.workspace.failures import Store
from respun.workspace.messages import new_messages
from respun.workspace.resources import Resources


class Threads:
    def __init__(
        self, store: Store, engine: Engine, resources: Resources, gone: Callable[[str], Awaitable[None]]
    ) -> None:
        """`gone` is told of each thread that was deleted."""
        self._store = store
        self._engine = engine
        self._resources = resources
        self._gone = gone

    async def create(self, project: str, draft: ThreadDraft, once: Once | None = None) -> Thread:
        whole = self._resources.new_thread(draft)
        thread = whole.thread
        drafts = new_messages(thread.id, draft.messages, self._engine.clock)

        async def unit(tx: Tx) -> Thread:
            if made := await effects.earlier(tx, once):
                return await threads.get(tx, project, made)
            await self._resources.add_thread(tx, project, whole)
            if drafts:
                await messages.append(tx, project, thread.id, drafts)
            await effects.note(tx, once, thread.id)
            return thread

        stored = await self._store.write(unit)
        self._resources.added(whole.messages, whole)
        return stored

    async def list(
        self,
        project: str,
        page: PageRequest,
        *,
        metadata: Metadata | None = None,
        created_from: float | None = None,
        created_to: float | None = None,
        assistant: str | None = None,
    ) -> Page[Thread]:
        """Threads with all of this metadata, created in [from, to), that are the assistant's or that it has run on."""
        chosen = threads.ThreadFilter(metadata or {}, created_from, created_to, assistant)
        return await self._store.read(lambda tx: threads.listed(tx, project, page, chosen))

    async def search(self, project: str, query: str, page: PageRequest) -> Page[Message]:
        """Messages of all threads that hold every word of the query, newest first unless asked otherwise."""
        return await self._store.scan(lambda tx: messages.search(tx, project, query, page))

    async def get(self, project: str, ident: str) -> Thread:
        return await self._store.read(lambda tx: threads.get(tx, project, ident))

    async def change(self, project: str, ident: str, changes: ThreadChanges) -> Thread:
        given = {name: value for name, value in structs.asdict(changes).items() if value is not UNSET}

        async def unit(tx: Tx) -> Thread:
            if changes.tool_resources is not UNSET:
                await self._resources.check(tx, project, changes.tool_resources)
            return await threads.change(tx, project, ident, lambda before: structs.replace(before, **given))

        return await self._store.write(unit)

    async def preview(self, project: str, ident: str, wanted: Preview) -> Shown:
        """What a run would send of the thread."""
        return await contexts.preview(self._store, self._engine, project, ident, wanted)

    async def delete(self, project: str, ident: str, once: Once | None = None) -> None:
        """Runs of the thread that are not done are cancelled first; its session of code ends with it."""

        async def open_runs(tx: Tx) -> Sequence[str] | None:
            if await buried_before(tx, once, project, ident):
                return None
            await threads.check(tx, project, ident)
            return await runs.active_ids(tx, ident)

        found = await self._store.read(open_runs)
        if found is None:
            return
        for run in found:
            try:
                await self._engine.give(project, ident, run, Cancel(), _anything)
            except Problem:
                continue
        crash_point("delete.cancelled")
        await self._store.write(lambda tx: threads.delete(tx, project, ident), frees_space=True)
        await self._gone(ident)


def _anything(run: Run) -> None:
    """A run that is done already needs no cancelling."""
