"""Threads: create, list, search, get, change, delete."""

from collections.abc import Sequence

from msgspec import UNSET, structs

from respun.core.assistants import Metadata
from respun.core.drafts import ThreadChanges, ThreadDraft
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
from respun.workspace.failures import Store
from respun.workspace.messages import new_messages, new_thread


class Threads:
    def __init__(self, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine

    async def create(self, project: str, draft: ThreadDraft, once: Once | None = None) -> Thread:
        thread = new_thread(draft, self._engine.clock)
        drafts = new_messages(thread.id, draft.messages, self._engine.clock)

        async def unit(tx: Tx) -> Thread:
            if made := await effects.earlier(tx, once):
                return await threads.get(tx, project, made)
            await threads.add(tx, project, thread)
            if drafts:
                await messages.append(tx, project, thread.id, drafts)
            await effects.note(tx, once, thread.id)
            return thread

        return await self._store.write(unit)

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
        return await self._store.write(
            lambda tx: threads.change(tx, project, ident, lambda before: structs.replace(before, **given))
        )

    async def delete(self, project: str, ident: str, once: Once | None = None) -> None:
        """Runs of the thread that are not done are cancelled first."""

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


def _anything(run: Run) -> None:
    """A run that is done already needs no cancelling."""
