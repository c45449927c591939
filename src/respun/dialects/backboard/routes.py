"""The paths under `/api`: each reads a request, makes one call to the workspace and shows what it answers."""

import time
from typing import Final

from msgspec.structs import replace
from starlette.routing import Route

from respun.core.runs import Run
from respun.core.threads import Attachment
from respun.dialects.backboard import catalogue, documents, requests, shapes
from respun.dialects.backboard.answers import Answer, Call, Handler, Operations, Sending, Settings, UnknownPath, ident
from respun.dialects.backboard.documents import Documents
from respun.dialects.backboard.events import Telling, begun, latest
from respun.dialects.backboard.memories import Memories
from respun.dialects.backboard.requests import MessageRequest
from respun.dialects.backboard.shapes import Json
from respun.dialects.backboard.streams import Reply, Stream
from respun.dialects.paths import PathTree
from respun.workspace import Workspace
from respun.workspace.conversations import Said
from respun.workspace.documents import Place

Paths = dict[str, dict[str, Handler]]

_ADDED: Final = "Message added successfully"
_SUBMITTED: Final = "Tool outputs submitted successfully"


def application(ws: Workspace, settings: Settings | None = None) -> PathTree:
    """The dialect as an ASGI application, to be mounted behind an authentication that sets `respun.project`."""
    return PathTree(routes(ws, settings or Settings()), default=UnknownPath())


def routes(ws: Workspace, settings: Settings) -> list[Route]:
    paths: Paths = {
        **Messages(ws).paths(),
        **Memories(ws).paths(),
        **Documents(ws).paths(),
        **Threads(ws).paths(),
        **Assistants(ws).paths(),
        **catalogue.Models(ws).paths(),
    }
    return [Route(path, Operations(settings, handlers)) for path, handlers in paths.items()]


class Assistants:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws

    def paths(self) -> Paths:
        one = "/assistants/{assistant_id}"
        return {
            "/assistants": {"GET": self.list_assistants, "POST": self.create},
            one: {"GET": self.get, "PUT": self.change, "DELETE": self.delete},
            f"{one}/clone": {"POST": self.clone},
            f"{one}/threads": {"GET": self.list_threads, "POST": self.create_thread},
        }

    async def list_assistants(self, call: Call) -> Answer:
        paging, name = requests.paging(call.query), call.query.text("name")
        found = await self._ws.conversations.assistants(call.project, paging.skip, paging.limit, name)
        return Answer([shapes.assistant(each) for each in found])

    async def create(self, call: Call) -> Answer:
        draft = requests.assistant(await call.fields(), call.settings.model)
        return Answer(shapes.assistant(await self._ws.assistants.create(call.project, draft)))

    async def get(self, call: Call) -> Answer:
        return Answer(shapes.assistant(await self._ws.assistants.get(call.project, _assistant(call))))

    async def change(self, call: Call) -> Answer:
        before = await self._ws.assistants.get(call.project, _assistant(call))
        changes = requests.assistant_changes(await call.fields(), before)
        return Answer(shapes.assistant(await self._ws.assistants.change(call.project, before.id, changes)))

    async def delete(self, call: Call) -> Answer:
        assistant = _assistant(call)
        await self._ws.conversations.delete_assistant(call.project, assistant)
        shown = {"assistant_id": shapes.assistant_id(assistant), "deleted_at": shapes.timestamp(time.time())}
        return Answer({"message": "Assistant deleted successfully", **shown})

    async def clone(self, call: Call) -> Answer:
        assistant, given = _assistant(call), await call.fields()
        name, prompt = given.text("name", most=255), given.text("system_prompt")
        documents, memories = given.flag("copy_documents", default=True), given.flag("copy_memories", default=True)
        made = await self._ws.conversations.clone(
            call.project, assistant, name, prompt, documents=documents, memories=memories
        )
        counts = {"documents_cloned": made.documents, "memories_cloned": made.memories}
        return Answer({"assistant": shapes.assistant(made.assistant), **counts})

    async def create_thread(self, call: Call) -> Answer:
        thread = await self._ws.conversations.open(call.project, _assistant(call))
        return Answer(shapes.thread(thread, thread.assistant, []))

    async def list_threads(self, call: Call) -> Answer:
        return Answer(await _listed(self._ws, call, _assistant(call)))


class Threads:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws

    def paths(self) -> Paths:
        one = "/threads/{thread_id}"
        return {
            "/threads": {"GET": self.list_threads},
            one: {"GET": self.get, "DELETE": self.delete},
        }

    async def list_threads(self, call: Call) -> Answer:
        return Answer(await _listed(self._ws, call))

    async def get(self, call: Call) -> Answer:
        return Answer(await _transcript(self._ws, call, _thread(call)))

    async def delete(self, call: Call) -> Answer:
        thread = _thread(call)
        await self._ws.conversations.delete(call.project, thread)
        shown = {"thread_id": shapes.thread_id(thread), "deleted_at": shapes.timestamp(time.time())}
        return Answer({"message": "Thread deleted successfully", **shown})


class Messages:
    """What is said, the outputs of tools, and the runs that both set going."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws

    def paths(self) -> Paths:
        run = "/threads/{thread_id}/runs/{run_id}"
        return {
            "/threads/messages": {"POST": self.add},
            "/threads/tool-outputs": {"POST": self.submit_to_thread},
            "/threads/{thread_id}/messages": {"POST": self.add},
            f"{run}/submit-tool-outputs": {"POST": self.submit_to_run},
            f"{run}/cancel": {"POST": self.cancel},
        }

    async def add(self, call: Call) -> Answer | Sending:
        given = requests.message(call, await call.fields())
        conversations, model = self._ws.conversations, given.run.model or call.settings.model
        attached: list[Json] = []
        if given.uploads:
            given, attached = await self._attach(call, given, model)
        if not given.answered:
            noted = await conversations.note(call.project, given.where, given.draft, given.run.memory, model)
            return self._noted(given, noted, attached)
        said = await conversations.say(call.project, given.where, given.draft, given.run, model)
        assert said.run is not None
        telling, news = self._telling(said.run), self._ws.runs.follow(said.run)
        if given.stream:
            return Stream(tuple(begun(said.run, shapes.message(said.message, None))), telling, news)
        more: Json = {"attachments": attached, **({"warnings": given.warnings} if given.warnings else {})}
        return Reply(_ADDED, telling, news, more)

    async def _attach(self, call: Call, given: MessageRequest, model: str) -> tuple[MessageRequest, list[Json]]:
        """The message with its files made documents of the thread, and how they are shown."""
        where = await self._ws.conversations.place(call.project, given.where, model)
        assert where.thread is not None
        place = Place("thread", where.thread)
        made = await documents.received(self._ws.documents, call.project, place, given.uploads)
        attachments = tuple(Attachment(each.file.id, ("file_search",)) for each in made)
        attached = replace(given, where=where, draft=replace(given.draft, attachments=attachments))
        return attached, [documents.attachment(each, call.user_agent) for each in made]

    async def submit_to_run(self, call: Call) -> Answer | Sending:
        thread, run = _thread(call), _run(call)
        return await self._submit(call, thread, run, requests.outputs(await call.fields(), call.query))

    async def submit_to_thread(self, call: Call) -> Answer | Sending:
        fields = await call.fields()
        thread = ident("thread", fields.required("thread_id"), "body", "thread_id")
        given = requests.outputs(fields, call.query)
        waiting = await self._ws.conversations.waiting(call.project, thread)
        return await self._submit(call, thread, waiting.id, given)

    async def cancel(self, call: Call) -> Answer:
        thread, run = _thread(call), _run(call)
        cancelled = await self._ws.conversations.cancel(call.project, thread, run)
        return Answer({"thread_id": shapes.thread_id(thread), "run_id": run, "cancelled": cancelled})

    async def _submit(self, call: Call, thread: str, run: str, given: requests.OutputsRequest) -> Answer | Sending:
        submitted = await self._ws.runs.submit(call.project, thread, run, given.outputs)
        telling, news = self._telling(submitted.run), self._ws.runs.follow(submitted.run, submitted.after)
        return Stream((), telling, news) if given.stream else Reply(_SUBMITTED, telling, news, {})

    def _telling(self, run: Run) -> Telling:
        return Telling(run, self._ws.window(run.plan.model))

    def _noted(self, given: MessageRequest, said: Said, attached: list[Json]) -> Answer | Sending:
        """Kept, and answered by nobody."""
        message = shapes.message(said.message, None)
        recalled = [shapes.recalled(each) for each in said.recalled]
        if given.stream:
            where = {"thread_id": shapes.thread_id(said.thread), "run_id": None}
            about = {"message_id": message["message_id"], "content": message["content"]}
            saved = {"type": "message_saved", **where, **about, "memory_operation_id": said.operation}
            found = [{"type": "memory_retrieved", **where, "memories": recalled}] if recalled else []
            return Stream(({"type": "user_message", **where, **about}, *found, saved))
        flat: Json = {
            **message,
            "message": _ADDED,
            "attachments": attached,
            "thread_id": shapes.thread_id(said.thread),
            "assistant_id": shapes.assistant_id(said.assistant),
            "tool_calls": None,
            "run_id": None,
            "memory_operation_id": said.operation,
            "retrieved_memories": recalled,
            "retrieved_files": [],
            "reasoning": None,
            "timestamp": message["created_at"],
            "context_usage": None,
        }
        return Answer({**flat, "latest_message": latest(flat)})


async def _listed(ws: Workspace, call: Call, assistant: str | None = None) -> list[Json]:
    """With their messages, unless the caller can do without (`include_messages=false`)."""
    paging, whole = requests.paging(call.query), call.query.flag("include_messages", default=True)
    shown = []
    for each in await ws.conversations.list(call.project, paging.skip, paging.limit, assistant):
        if whole and each.messages:
            shown.append(await _transcript(ws, call, each.thread.id))
        else:
            shown.append(shapes.overview(each, []))
    return shown


async def _transcript(ws: Workspace, call: Call, thread: str) -> Json:
    found = await ws.conversations.transcript(call.project, thread)
    attached = await ws.documents.named(call.project, found.attached)
    shown = {ident: documents.attachment(each, call.user_agent) for ident, each in attached.items()}
    return shapes.transcript(found, shown, call.user_agent)


def _assistant(call: Call) -> str:
    return call.ident("assistant", "assistant_id")


def _thread(call: Call) -> str:
    return call.ident("thread", "thread_id")


def _run(call: Call) -> str:
    return call.param("run_id")
