"""Assistants: create, list, get, change, delete."""

from msgspec import UNSET, structs

from respun.core.assistants import Assistant
from respun.core.drafts import AssistantChanges, AssistantDraft
from respun.core.machine import Fresh
from respun.core.once import Once
from respun.core.pages import Page, PageRequest
from respun.core.vector_stores import StoreDraft
from respun.store import assistants, effects
from respun.store.backend import Tx
from respun.store.paging import buried_before
from respun.workspace.failures import Store
from respun.workspace.resources import Resources
from respun.workspace.vector_stores import new_store, store_new


class Assistants:
    def __init__(self, store: Store, fresh: Fresh, resources: Resources) -> None:
        self._store = store
        self._fresh = fresh
        self._resources = resources

    async def create(self, project: str, draft: AssistantDraft, once: Once | None = None) -> Assistant:
        given = structs.asdict(draft)
        wanted: StoreDraft | None = given.pop("new_store")
        made_store = new_store(wanted, self._fresh) if wanted else None
        if made_store:
            given["tool_resources"] = structs.replace(draft.tool_resources, vector_stores=(made_store.id,))
        assistant = Assistant(id=self._fresh.id("assistant"), created_at=self._fresh.now, **given)

        async def unit(tx: Tx) -> Assistant:
            if made := await effects.earlier(tx, once):
                return await assistants.get(tx, project, made)
            if made_store and wanted:
                await store_new(tx, project, made_store, wanted.files, self._fresh.now)
            await self._resources.check(tx, project, assistant.tool_resources)
            await assistants.add(tx, project, assistant)
            await effects.note(tx, once, assistant.id)
            return assistant

        stored = await self._store.write(unit)
        if made_store:
            self._resources.look()
        return stored

    async def list(self, project: str, page: PageRequest) -> Page[Assistant]:
        return await self._store.read(lambda tx: assistants.listed(tx, project, page))

    async def get(self, project: str, ident: str) -> Assistant:
        return await self._store.read(lambda tx: assistants.get(tx, project, ident))

    async def change(self, project: str, ident: str, changes: AssistantChanges) -> Assistant:
        given = {name: value for name, value in structs.asdict(changes).items() if value is not UNSET}
        mode = given.pop("memory_mode", None)

        def changed(before: Assistant) -> Assistant:
            after = structs.replace(before, **given)
            return structs.replace(after, memory=structs.replace(after.memory, mode=mode)) if mode else after

        async def unit(tx: Tx) -> Assistant:
            if changes.tool_resources is not UNSET:
                await self._resources.check(tx, project, changes.tool_resources)
            return await assistants.change(tx, project, ident, changed)

        return await self._store.write(unit)

    async def delete(self, project: str, ident: str, once: Once | None = None) -> None:
        """Threads and runs that used it stay as they are."""

        async def unit(tx: Tx) -> None:
            if not await buried_before(tx, once, project, ident):
                await assistants.delete(tx, project, ident)

        await self._store.write(unit, frees_space=True)
