"""The paths under `/api`: each reads a request, makes one call to the workspace and shows what it answers."""

import time
from typing import Final

from starlette.routing import Route

from respun.core.problems import Problem
from respun.core.runs import Run
from respun.dialects.backboard import catalogue, requests, shapes
from respun.dialects.backboard.answers import Answer, Call, Handler, Operations, Sending, Settings, ident, UnknownPath
from respun.dialects.backboard.events import Telling, begun, latest
from respun.dialects.backboard.memories import Memories
from respun.dialects.backboard.requests import MessageRequest
from respun.dialects.backboard.shapes import Json
from respun.dialects.backboard.streams import Reply, Stream
from respun.dialects.paths import PathTree
from respun.workspace import Workspace
from respun.workspace.conversations import Said

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
            f"{one}/documents": {"GET": self.list_documents, "POST": self.add_document},
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
        memories = given.flag("copy_memories", default=True)
        made = await self._ws.conversations.clone(call.project, assistant, name, prompt, memories=memories)
        counts = {"documents_cloned": 0, "memories_cloned": made.memories}
        return Answer({"assistant": shapes.assistant(made.assistant), **counts})

    async def create_thread(self, call: Call) -> Answer:
        thread = await self._ws.conversations.open(call.project, _assistant(call))
        return Answer(shapes.thread(thread, thread.assistant, []))

    async def list_threads(self, call: Call) -> Answer:
        return Answer(await _listed(self._ws, call, _assistant(call)))

    async def list_documents(self, call: Call) -> Answer:
        await self._ws.assistants.get(call.project, _assistant(call))
        return Answer([])

    async def add_document(self, call: Call) -> Answer:
        await self._ws.assistants.get(call.project, _assistant(call))
        raise _no_documents()


class Threads:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws

    def paths(self) -> Paths:
        one = "/threads/{thread_id}"
        return {
            "/threads": {"GET": self.list_threads},
            one: {"GET": self.get, "DELETE": self.delete},
            f"{one}/documents": {"GET": self.list_documents, "POST": self.add_document},
            "/documents/{document_id}/status": {"GET": self.document_status},
            "/documents/{document_id}": {"DELETE": self.document_status},
        }

    async def list_threads(self, call: Call) -> Answer:
        return Answer(await _listed(self._ws, call))

    async def get(self, call: Call) -> Answer:
        found = await self._ws.conversations.transcript(call.project, _thread(call))
        return Answer(shapes.transcript(found, call.user_agent))

    async def delete(self, call: Call) -> Answer:
        thread = _thread(call)
        await self._ws.threads.delete(call.project, thread)
        shown = {"thread_id": shapes.thread_id(thread), "deleted_at": shapes.timestamp(time.time())}
        return Answer({"message": "Thread deleted successfully", **shown})

    async def list_documents(self, call: Call) -> Answer:
        await self._ws.threads.get(call.project, _thread(call))
        return Answer([])

    async def add_document(self, call: Call) -> Answer:
        await self._ws.threads.get(call.project, _thread(call))
        raise _no_documents()

    async def document_status(self, call: Call) -> Answer:
        ident("file", call.param("document_id"), "path", "document_id")
        raise Problem("Document not found", kind="not_found")


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
        if not given.answered:
            noted = await conversations.note(call.project, given.where, given.draft, given.run.memory, model)
            return self._noted(given, noted)
        said = await conversations.say(call.project, given.where, given.draft, given.run, model)
        assert said.run is not None
        telling, news = self._telling(said.run), self._ws.runs.follow(said.run)
        if given.stream:
            return Stream(tuple(begun(said.run, shapes.message(said.message, None))), telling, news)
        return Reply(_ADDED, telling, news, {"warnings": given.warnings} if given.warnings else {})

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

    def _noted(self, given: MessageRequest, said: Said) -> Answer | Sending:
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
            found = await ws.conversations.transcript(call.project, each.thread.id)
            shown.append(shapes.transcript(found, call.user_agent))
        else:
            shown.append(shapes.overview(each, []))
    return shown


def _assistant(call: Call) -> str:
    return call.ident("assistant", "assistant_id")


def _thread(call: Call) -> str:
    return call.ident("thread", "thread_id")


def _run(call: Call) -> str:
    return call.param("run_id")


def _no_documents() -> Problem:
    return Problem("This server does not keep documents yet. Put the text into a message.")
