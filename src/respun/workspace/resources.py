"""What assistants, threads and messages say about files, made true: they exist, stores are made, lists are kept.

Contract section 6, Helpers: a thread's own store lives for 7 days after its last use; attachments for file search go
into it, attachments for the code interpreter into the thread's list.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from respun.core.assistants import ToolResources
from respun.core.drafts import MessageDraft, ThreadDraft
from respun.core.files import MOST_CODE_FILES
from respun.core.machine import Fresh
from respun.core.problems import Problem
from respun.core.threads import ImageFile, Thread
from respun.core.vector_stores import THREAD_STORE_DAYS, NewFile, StoreDraft, VectorStore
from respun.store import files, threads, vector_stores
from respun.store.backend import Tx
from respun.workspace.vector_stores import new_store, put, store_new


class NewThread(Struct, frozen=True):
    """A thread to be stored, with the store that is made for it; `searched` go into its store."""

    thread: Thread
    store: VectorStore | None
    searched: tuple[NewFile, ...]
    messages: tuple[MessageDraft, ...]


class Resources:
    """`look` tells the readers of files that there may be some; it is called after the commit."""

    def __init__(self, fresh: Fresh, look: Callable[[], None]) -> None:
        self._fresh = fresh
        self.look = look

    def new_thread(
        self, draft: ThreadDraft, more: Sequence[MessageDraft] = (), given: ToolResources | None = None
    ) -> NewThread:
        """A thread as it will be, whole before anything is stored. `given` resources replace those of the draft."""
        drafts = (*draft.messages, *more)
        resources = draft.tool_resources if given is None else given
        wanted = draft.new_store or StoreDraft()
        searched = (*wanted.files, *(NewFile(file) for file in attached(drafts, "file_search")))
        store = None
        if draft.new_store or (searched and not resources.vector_stores):
            store = new_store(replace(wanted, expires_after_days=THREAD_STORE_DAYS), self._fresh)
            resources = replace(resources, vector_stores=(store.id,))
        resources = _with_code(resources, attached(drafts, "code_interpreter"))
        thread = Thread(self._fresh.id("thread"), self._fresh.now, draft.metadata, resources, draft.assistant)
        return NewThread(thread, store, searched, drafts)

    async def add_thread(self, tx: Tx, project: str, made: NewThread) -> None:
        now = self._fresh.now
        await self.check_messages(tx, project, made.messages)
        if made.store:
            await store_new(tx, project, made.store, made.searched, now)
        await self.check(tx, project, made.thread.tool_resources)
        if made.searched and not made.store:
            (named,) = made.thread.tool_resources.vector_stores or ()
            await put(tx, project, await vector_stores.open_store(tx, project, named, now), made.searched, now)
        await threads.add(tx, project, made.thread)

    async def check(self, tx: Tx, project: str, resources: ToolResources) -> None:
        """Refuse files and stores that there are not."""
        await files.found(tx, project, resources.code_files or (), self._fresh.now)
        for store in resources.vector_stores or ():
            await vector_stores.get(tx, project, store)

    async def check_messages(self, tx: Tx, project: str, drafts: Sequence[MessageDraft]) -> None:
        """Refuse messages that name files that there are not."""
        if named := _named(drafts):
            await files.found(tx, project, named, self._fresh.now)

    async def attach(self, tx: Tx, project: str, thread: str, drafts: Sequence[MessageDraft]) -> None:
        """Messages come into a thread that is locked: their attachments go to its store and its list."""
        await self.check_messages(tx, project, drafts)
        searched, code = attached(drafts, "file_search"), attached(drafts, "code_interpreter")
        if not searched and not code:
            return
        resources = (await threads.get(tx, project, thread)).tool_resources
        if searched:
            store = await self._own_store(tx, project, resources)
            await put(tx, project, store, [NewFile(file) for file in searched], self._fresh.now)
            resources = replace(resources, vector_stores=(store.id,))
        resources = _with_code(resources, code)
        await threads.change(tx, project, thread, lambda before: replace(before, tool_resources=resources))

    def added(self, drafts: Sequence[MessageDraft], made: NewThread | None = None) -> None:
        """The transaction is committed."""
        if attached(drafts, "file_search") or (made and made.searched):
            self.look()

    async def _own_store(self, tx: Tx, project: str, resources: ToolResources) -> VectorStore:
        """The store of the thread, or another one where there is none or it has expired."""
        now = self._fresh.now
        for ident in resources.vector_stores or ():
            store = await vector_stores.get(tx, project, ident, lock=True)
            if not store.expired(now):
                return store
        made = new_store(StoreDraft(expires_after_days=THREAD_STORE_DAYS), self._fresh)
        return await vector_stores.add(tx, project, made)


def _with_code(resources: ToolResources, more: Sequence[str]) -> ToolResources:
    if not more:
        return resources
    listed = tuple(dict.fromkeys((*(resources.code_files or ()), *more)))
    if len(listed) > MOST_CODE_FILES:
        raise Problem(
            f"The thread would have {len(listed)} files for the code interpreter; {MOST_CODE_FILES} are the most. "
            "Remove some from its tool_resources first.",
            param="attachments",
        )
    return replace(resources, code_files=listed)


def attached(drafts: Sequence[MessageDraft], tool: str) -> tuple[str, ...]:
    found = (each.file for draft in drafts for each in draft.attachments if each.file and tool in each.tools)
    return tuple(dict.fromkeys(found))


def _named(drafts: Sequence[MessageDraft]) -> list[str]:
    images = [part.file for draft in drafts for part in draft.content if isinstance(part, ImageFile)]
    attached = [each.file for draft in drafts for each in draft.attachments if each.file]
    return list(dict.fromkeys((*images, *attached)))
