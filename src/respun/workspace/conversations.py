"""Conversations: say something in a thread that belongs to an assistant, and read it back whole.

For dialects in which a message and the run that answers it are one request.
"""

from collections.abc import Sequence
from typing import Final, Literal
from uuid import NAMESPACE_URL, uuid5

from msgspec import Struct
from msgspec.structs import asdict, replace

from respun.core.assistants import Assistant, FileSearchOptions, FileSearchTool, FunctionTool, Tool
from respun.core.drafts import AssistantDraft, MessageDraft, RunDraft, ThreadDraft
from respun.core.ids import spell
from respun.core.machine import Fresh
from respun.core.memories import MemoryUse, Recalled
from respun.core.pages import PageRequest
from respun.core.problems import Problem
from respun.core.runs import Run
from respun.core.threads import Message, Thread
from respun.core.transcripts import Overview, Transcript, weave
from respun.store import assistants, messages, runs, threads
from respun.store.backend import Tx, UniqueViolation
from respun.workspace.assistants import Assistants
from respun.workspace.documents import Documents, Place
from respun.workspace.failures import Store
from respun.workspace.memories import Memories
from respun.workspace.messages import new_messages
from respun.workspace.runs import Runs, utterance
from respun.workspace.threads import Threads

_EVERYTHING: Final = 1 << 30
_LOOKED_AT: Final = 5
_DELETED_AT_ONCE: Final = 50
_PASSAGES: Final = 10
_MOST_PASSAGES: Final = 50
_SEARCH: Final = "search_documents"
"""What models know the search of documents by (contract 2.9)."""


class Address(Struct, frozen=True):
    """Where something is said: None is a new thread, or the thread's own assistant."""

    thread: str | None = None
    assistant: str | None = None


class Said(Struct, frozen=True):
    """What was said, and the run that answers it; None where no answer was wanted.

    `operation`: under which it is remembered; `recalled`: what an answer would have been told.
    """

    thread: str
    assistant: str
    message: Message
    run: Run | None = None
    operation: str | None = None
    recalled: tuple[Recalled, ...] = ()


class Clone(Struct, frozen=True):
    """`documents` and `memories` count what was copied along."""

    assistant: Assistant
    documents: int
    memories: int


class Conversations:
    def __init__(
        self,
        store: Store,
        fresh: Fresh,
        assistants: Assistants,
        threads: Threads,
        runs: Runs,
        memories: Memories,
        documents: Documents,
    ) -> None:
        self._store = store
        self._fresh = fresh
        self._assistants = assistants
        self._threads = threads
        self._runs = runs
        self._memories = memories
        self._documents = documents

    async def open(self, project: str, assistant: str) -> Thread:
        """A new thread of the assistant's."""
        await self._assistants.get(project, assistant)
        return await self._threads.create(project, ThreadDraft(assistant=assistant))

    async def say(self, project: str, where: Address, draft: MessageDraft, run: RunDraft, model: str) -> Said:
        """Add the message and begin a run on it. `run.assistant` is not heeded: `where` decides.

        A run that waits for outputs which this message takes the place of is cancelled; one that is being done is
        waited for. `model` is that of an assistant which is made because none was named.
        """
        assistant = await self._assistant(project, where, model)
        asked = replace(run, assistant=assistant.id, tools=_tools(run, assistant))
        thread = where.thread or (await self.open(project, assistant.id)).id
        message = self._message(thread, draft)
        tools = await self._with_search(project, thread, assistant, asked.tools)
        asked = replace(asked, tools=tools, when_busy=await self._policy(project, thread))
        begun = await self._runs.create(project, thread, asked, said=(message,))
        return Said(thread, assistant.id, message, begun, begun.plan.memory.operation)

    async def note(
        self, project: str, where: Address, draft: MessageDraft, memory: MemoryUse | None, model: str
    ) -> Said:
        """Add the message, to be answered by nobody. What it says is remembered, if that is wanted."""
        assistant = await self._assistant(project, where, model)
        thread = where.thread or (await self.open(project, assistant.id)).id
        message = self._message(thread, draft)
        uttered = utterance(thread, (message,))
        use = await self._memories.settle(project, assistant, memory, uttered)

        async def unit(tx: Tx) -> Message:
            (stored,) = await messages.append(tx, project, thread, (message,))
            if run := await runs.active(tx, thread):
                raise Problem(f"Can't add messages to {thread} while a run {run} is active.")
            await self._memories.note(tx, project, assistant.id, use, uttered, None)
            return stored

        stored = await self._store.write(unit)
        self._memories.look()
        return Said(thread, assistant.id, stored, None, use.operation, use.recalled)

    async def place(self, project: str, where: Address, model: str) -> Address:
        """The same with a thread: a new one where none was named."""
        if where.thread is not None:
            return where
        assistant = await self._assistant(project, where, model)
        return Address((await self.open(project, assistant.id)).id, assistant.id)

    async def transcript(self, project: str, ident: str) -> Transcript:
        async def unit(tx: Tx) -> Transcript:
            thread = await threads.get(tx, project, ident)
            said = await messages.listed(tx, ident, PageRequest(_EVERYTHING, "asc"))
            done = await runs.all_of_thread(tx, ident)
            entries = weave(said.items, await runs.steps_of_thread(tx, ident))
            return Transcript(thread, entries, {run.id: run for run in done}, _assistant_of(thread, done))

        return await self._store.scan(unit)

    async def list(self, project: str, skip: int, limit: int, assistant: str | None = None) -> tuple[Overview, ...]:
        """Threads, newest first; those of an assistant are its own, and others that it has run on."""

        async def unit(tx: Tx) -> tuple[Overview, ...]:
            if assistant is not None:
                await assistants.get(tx, project, assistant)
            chosen = threads.ThreadFilter(assistant=assistant)
            found = await threads.listed(tx, project, PageRequest(skip + limit), chosen)
            return tuple([await _overview(tx, thread) for thread in found.items[skip:]])

        return await self._store.scan(unit)

    async def waiting(self, project: str, thread: str) -> Run:
        """The run of the thread that waits for outputs."""
        run = await self._active(project, thread)
        if run is None or run.status != "requires_action":
            raise Problem(f"No run of {thread} waits for tool outputs.")
        return run

    async def cancel(self, project: str, thread: str, ident: str) -> bool:
        """Whether the run is cancelled, or about to be. A run that is done stays as it is."""
        run = await self._runs.get(project, thread, ident)
        if not run.done and run.status != "cancelling":
            try:
                run = await self._runs.cancel(project, thread, ident)
            except Problem:
                run = await self._runs.get(project, thread, ident)
        return run.status in ("cancelling", "cancelled")

    async def assistants(self, project: str, skip: int, limit: int, name: str | None = None) -> tuple[Assistant, ...]:
        """Newest first; `name` is the whole name."""

        async def unit(tx: Tx) -> tuple[Assistant, ...]:
            wanted = _EVERYTHING if name is not None else skip + limit
            found = (await assistants.listed(tx, project, PageRequest(wanted))).items
            return tuple(each for each in found if name is None or each.name == name)[skip : skip + limit]

        return await self._store.scan(unit)

    async def clone(
        self, project: str, ident: str, name: str | None, instructions: str | None, *, documents: bool, memories: bool
    ) -> Clone:
        """An assistant that shares nothing with its source: not even the vector store of its documents."""
        source = await self._assistants.get(project, ident)
        draft = AssistantDraft(
            **{field: value for field, value in asdict(source).items() if field not in ("id", "created_at")}
        )
        draft = replace(draft, name=name or f"{source.name or ''} Copy".strip())
        if instructions is not None:
            draft = replace(draft, instructions=instructions)
        draft = replace(draft, tool_resources=replace(source.tool_resources, vector_stores=None))
        made = await self._assistants.create(project, draft)
        places = Place("assistant", ident), Place("assistant", made.id)
        given = await self._documents.copy(project, *places) if documents else 0
        known = await self._memories.copy(project, ident, made.id) if memories else 0
        return Clone(await self._assistants.get(project, made.id), given, known)

    async def delete(self, project: str, thread: str) -> None:
        """With the documents that were given to it."""
        await self._documents.drop(project, Place("thread", thread))
        await self._threads.delete(project, thread)

    async def delete_assistant(self, project: str, ident: str) -> None:
        """With all threads that were made under it, its documents and its memories."""
        await self._assistants.get(project, ident)
        while True:
            found = await self._store.read(lambda tx: threads.of_assistant(tx, project, ident, _DELETED_AT_ONCE))
            if not found:
                break
            for thread in found:
                await self.delete(project, thread)
        await self._documents.drop(project, Place("assistant", ident))
        await self._memories.wipe(project, ident)
        await self._assistants.delete(project, ident)

    def _message(self, thread: str, draft: MessageDraft) -> Message:
        """With files that are documents of the thread already."""
        (message,) = new_messages(thread, (replace(draft, attachments=()),), self._fresh)
        return replace(message, attachments=draft.attachments)

    async def _with_search(
        self, project: str, thread: str, assistant: Assistant, given: tuple[Tool, ...] | None
    ) -> tuple[Tool, ...] | None:
        """The tools of a turn, and a search where there are documents."""
        tools = assistant.tools if given is None else given
        search = FileSearchTool(FileSearchOptions(min(assistant.passages or _PASSAGES, _MOST_PASSAGES)), _SEARCH)
        if any(isinstance(tool, FileSearchTool) for tool in tools) or not await self._runs.serves(search):
            return given
        of_thread = (await self._threads.get(project, thread)).tool_resources.vector_stores
        if not of_thread and not assistant.tool_resources.vector_stores:
            return given
        return (*tools, search)

    async def _assistant(self, project: str, where: Address, model: str) -> Assistant:
        if where.assistant is not None:
            return await self._assistants.get(project, where.assistant)
        if where.thread is not None and (own := await self._own(project, where.thread)):
            return own
        return await self._default(project, model)

    async def _own(self, project: str, ident: str) -> Assistant | None:
        """The thread's assistant; None if it never had one, or that is gone."""

        async def unit(tx: Tx) -> Assistant | None:
            thread = await threads.get(tx, project, ident)
            newest = await runs.listed(tx, ident, PageRequest(1))
            assistant = _assistant_of(thread, newest.items)
            try:
                return await assistants.get(tx, project, assistant) if assistant else None
            except Problem:
                return None

        return await self._store.read(unit)

    async def _default(self, project: str, model: str) -> Assistant:
        """One a project, made when it is first needed, under an id that follows from the project's."""
        ident = spell("assistant", uuid5(NAMESPACE_URL, f"respun:{project}:default assistant"))
        made = Assistant(id=ident, created_at=self._fresh.now, model=model, name="Default Assistant")

        async def unit(tx: Tx) -> Assistant:
            try:
                return await assistants.get(tx, project, ident)
            except Problem:
                await assistants.add(tx, project, made)
                return made

        try:
            return await self._store.write(unit)
        except UniqueViolation:
            return await self._assistants.get(project, ident)

    async def _policy(self, project: str, thread: str) -> Literal["interrupt", "enqueue"]:
        run = await self._active(project, thread)
        return "interrupt" if run is not None and run.status == "requires_action" else "enqueue"

    async def _active(self, project: str, thread: str) -> Run | None:
        async def unit(tx: Tx) -> Run | None:
            await threads.check(tx, project, thread)
            active = await runs.active(tx, thread)
            return await runs.get(tx, project, thread, active) if active else None

        return await self._store.read(unit)


async def _overview(tx: Tx, thread: Thread) -> Overview:
    first = await messages.listed(tx, thread.id, PageRequest(_LOOKED_AT, "asc"))
    newest = await messages.newest(tx, thread.id, _EVERYTHING, 1)
    done = await runs.listed(tx, thread.id, PageRequest(1))
    asked = next((message.text for message in first.items if message.role == "user"), None)
    return Overview(
        thread=thread,
        assistant=_assistant_of(thread, done.items),
        messages=newest[0].position if newest else 0,
        updated_at=newest[0].created_at if newest else thread.created_at,
        asked=asked,
    )


def _assistant_of(thread: Thread, done: Sequence[Run]) -> str | None:
    if thread.assistant:
        return thread.assistant
    return done[-1].assistant if done else None


def _tools(run: RunDraft, assistant: Assistant) -> tuple[Tool, ...] | None:
    """A turn's functions take the place of the assistant's; what the server itself offers stays."""
    if run.tools is None:
        return None
    return (*run.tools, *(tool for tool in assistant.tools if not isinstance(tool, FunctionTool)))
