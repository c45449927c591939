"""The paths of the API: each reads a request, makes one call to the workspace and shows what it answers."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from starlette.routing import Route

from respun.core.pages import Page
from respun.core.problems import Problem
from respun.core.runs import Run, Step
from respun.dialects.frames import Position
from respun.dialects.openai import queries, requests, run_shapes, shapes
from respun.dialects.openai.answers import Answer, Call, Dialect, Headers, Operations, Paths, Sending, UnknownPath
from respun.dialects.openai.file_routes import Files, Uploads
from respun.dialects.openai.objects import DeletedObject, ListObject, ModelObject, WireObject
from respun.dialects.openai.repeats import answered_once
from respun.dialects.openai.sentences import shown
from respun.dialects.openai.streams import Stream
from respun.dialects.openai.vector_store_routes import StoreFiles, VectorStores
from respun.dialects.paths import PathTree
from respun.workspace import ModelCard, Workspace

T = TypeVar("T")

OPENAI: Final = Dialect()


def application(ws: Workspace, dialect: Dialect = OPENAI, more: Sequence[Route] = ()) -> PathTree:
    """The dialect as an ASGI application, which answers every path, those that it does not know in its own way.

    It is to be mounted behind an authentication that sets `respun.project` in the scope. `more` are further routes.
    """
    return PathTree([*routes(ws, dialect), *more], default=UnknownPath(dialect))


def routes(ws: Workspace, dialect: Dialect = OPENAI) -> list[Route]:
    paths = {
        **Assistants(ws).paths(),
        **Runs(ws).paths(),
        **Threads(ws).paths(),
        **Messages(ws).paths(),
        **Files(ws).paths(),
        **Uploads(ws).paths(),
        **StoreFiles(ws).paths(),
        **VectorStores(ws).paths(),
        **Models(ws).paths(),
    }
    asked = partial(answered_once, repeats=ws.repeats)
    return [Route(path, Operations(dialect, handlers, asked)) for path, handlers in paths.items()]


class Assistants:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws.assistants

    def paths(self) -> Paths:
        return {
            "/assistants": {"GET": self.list_assistants, "POST": self.create_assistant},
            "/assistants/{assistant_id}": {
                "GET": self.get_assistant,
                "POST": self.modify_assistant,
                "DELETE": self.delete_assistant,
            },
        }

    async def list_assistants(self, call: Call) -> Answer:
        return _page(await self._ws.list(call.project, queries.page(call.query)), shapes.assistant)

    async def create_assistant(self, call: Call) -> Answer:
        draft = requests.assistant(await call.json(), call.dialect.strict)
        return _answer(shapes.assistant(await self._ws.create(call.project, draft, call.once)))

    async def get_assistant(self, call: Call) -> Answer:
        return _answer(shapes.assistant(await self._ws.get(call.project, _assistant(call))))

    async def modify_assistant(self, call: Call) -> Answer:
        ident = _assistant(call)
        changes = requests.assistant_changes(await call.json(), call.dialect.strict)
        return _answer(shapes.assistant(await self._ws.change(call.project, ident, changes)))

    async def delete_assistant(self, call: Call) -> Answer:
        ident = _assistant(call)
        await self._ws.delete(call.project, ident, call.once)
        return _answer(DeletedObject(ident, "assistant.deleted"))


class Threads:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws.threads

    def paths(self) -> Paths:
        return {
            "/threads": {"GET": self.list_threads, "POST": self.create_thread},
            "/threads/search": {"GET": self.search_threads},
            "/threads/{thread_id}/context": {"POST": self.preview_context},
            "/threads/{thread_id}": {
                "GET": self.get_thread,
                "POST": self.modify_thread,
                "DELETE": self.delete_thread,
            },
        }

    async def list_threads(self, call: Call) -> Answer:
        """Ours: OpenAI never had it."""
        wanted = queries.threads(call.query)
        found = await self._ws.list(
            call.project,
            queries.page(call.query),
            metadata=wanted.metadata,
            created_from=wanted.created_from,
            created_to=wanted.created_to,
            assistant=wanted.assistant,
        )
        return _page(found, shapes.thread)

    async def search_threads(self, call: Call) -> Answer:
        """Ours: the messages that hold the words."""
        found = await self._ws.search(call.project, queries.searched(call.query), queries.page(call.query))
        return _page(found, shapes.message)

    async def create_thread(self, call: Call) -> Answer:
        draft = requests.thread(await call.json(), call.dialect.strict)
        return _answer(shapes.thread(await self._ws.create(call.project, draft, call.once), made=True))

    async def get_thread(self, call: Call) -> Answer:
        return _answer(shapes.thread(await self._ws.get(call.project, _thread(call))))

    async def modify_thread(self, call: Call) -> Answer:
        ident = _thread(call)
        changes = requests.thread_changes(await call.json(), call.dialect.strict)
        return _answer(shapes.thread(await self._ws.change(call.project, ident, changes), made=True))

    async def preview_context(self, call: Call) -> Answer:
        """Ours: what a run would send of the thread, without running it."""
        thread = _thread(call)
        wanted = requests.preview(await call.json(), call.dialect.strict)
        shown = await self._ws.preview(call.project, thread, wanted)
        return _answer(run_shapes.context_page(shown, 0, len(shown.items)))

    async def delete_thread(self, call: Call) -> Answer:
        ident = _thread(call)
        await self._ws.delete(call.project, ident, call.once)
        return _answer(DeletedObject(ident, "thread.deleted"))


class Messages:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws.messages

    def paths(self) -> Paths:
        return {
            "/threads/{thread_id}/messages": {"GET": self.list_messages, "POST": self.create_message},
            "/threads/{thread_id}/messages/{message_id}": {
                "GET": self.get_message,
                "POST": self.modify_message,
                "DELETE": self.delete_message,
            },
        }

    async def list_messages(self, call: Call) -> Answer:
        thread, run = _thread(call), queries.run(call.query)
        return _page(await self._ws.list(call.project, thread, queries.page(call.query), run=run), shapes.message)

    async def create_message(self, call: Call) -> Answer:
        thread = _thread(call)
        draft = requests.message(await call.json(), call.dialect.strict)
        return _answer(shapes.message(await self._ws.add(call.project, thread, draft, call.once)))

    async def get_message(self, call: Call) -> Answer:
        return _answer(shapes.message(await self._ws.get(call.project, _thread(call), _message(call))))

    async def modify_message(self, call: Call) -> Answer:
        thread, ident = _thread(call), _message(call)
        metadata = requests.metadata(await call.json(), call.dialect.strict)
        if metadata is None:
            return await self.get_message(call)
        return _answer(shapes.message(await self._ws.change(call.project, thread, ident, metadata)))

    async def delete_message(self, call: Call) -> Answer:
        thread, ident = _thread(call), _message(call)
        await self._ws.delete(call.project, thread, ident, call.once)
        return _answer(DeletedObject(ident, "thread.message.deleted"))


class Runs:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws.runs

    def paths(self) -> Paths:
        run = "/threads/{thread_id}/runs/{run_id}"
        return {
            "/threads/runs": {"POST": self.create_thread_and_run},
            "/threads/{thread_id}/runs": {"GET": self.list_runs, "POST": self.create_run},
            run: {"GET": self.get_run, "POST": self.modify_run},
            f"{run}/cancel": {"POST": self.cancel_run},
            f"{run}/submit_tool_outputs": {"POST": self.submit_tool_outputs},
            f"{run}/steps": {"GET": self.list_steps},
            f"{run}/steps/{{step_id}}": {"GET": self.get_step},
            f"{run}/events": {"GET": self.follow_run},
            f"{run}/context": {"GET": self.get_context},
        }

    async def create_thread_and_run(self, call: Call) -> Answer | Sending:
        given = requests.thread_and_run(await call.json(), call.dialect.strict)
        content = queries.wants_content(call.query)
        run = await self._ws.create_with_thread(call.project, given.thread, given.draft, call.once)
        return self._stream(run, Position(), content) if given.stream else _run_answer(call, run)

    async def create_run(self, call: Call) -> Answer | Sending:
        thread, content = _thread(call), queries.wants_content(call.query)
        given = requests.run(await call.json(), call.dialect.strict)
        run = await self._ws.create(call.project, thread, given.draft, call.once)
        return self._stream(run, Position(), content) if given.stream else _run_answer(call, run)

    async def list_runs(self, call: Call) -> Answer:
        return _page(await self._ws.list(call.project, _thread(call), queries.page(call.query)), run_shapes.run)

    async def get_run(self, call: Call) -> Answer:
        return _run_answer(call, await self._ws.get(call.project, _thread(call), _run(call)))

    async def modify_run(self, call: Call) -> Answer:
        thread, ident = _thread(call), _run(call)
        metadata = requests.metadata(await call.json(), call.dialect.strict)
        if metadata is None:
            return await self.get_run(call)
        return _run_answer(call, await self._ws.change(call.project, thread, ident, metadata))

    async def cancel_run(self, call: Call) -> Answer:
        return _run_answer(call, await self._ws.cancel(call.project, _thread(call), _run(call), call.once))

    async def submit_tool_outputs(self, call: Call) -> Answer | Sending:
        thread, ident = _thread(call), _run(call)
        given = requests.outputs(await call.json(), call.dialect.strict)
        submitted = await self._ws.submit(call.project, thread, ident, given.outputs, call.once)
        if given.stream:
            return self._stream(submitted.run, Position(submitted.after), queries.wants_content(call.query))
        return _run_answer(call, submitted.run)

    async def list_steps(self, call: Call) -> Answer:
        thread, run, content = _thread(call), _run(call), queries.wants_content(call.query)
        found = await self._ws.steps(call.project, thread, run, queries.page(call.query))
        return _page(found, lambda step: run_shapes.step(step, content=content))

    async def get_step(self, call: Call) -> Answer:
        thread, run, content = _thread(call), _run(call), queries.wants_content(call.query)
        step = await self._ws.step(call.project, thread, run, _step(call))
        return _answer(run_shapes.step(step, content=content), *_poll(call, step))

    async def follow_run(self, call: Call) -> Sending:
        """Ours: the run's events from any frame on, so that a stream survives its connection."""
        thread, ident, content = _thread(call), _run(call), queries.wants_content(call.query)
        seen = queries.seen(call.query, call.header(b"last-event-id"))
        return self._stream(await self._ws.get(call.project, thread, ident), seen, content)

    async def get_context(self, call: Call) -> Answer:
        """Ours: what the run sent of its thread, what it shortened and left out, and why."""
        page = queries.items(call.query)
        shown = await self._ws.context(call.project, _thread(call), _run(call))
        return _answer(run_shapes.context_page(shown, page.after, page.limit))

    def _stream(self, run: Run, seen: Position, content: bool) -> Stream:
        return Stream(self._ws.follow(run, seen.after), seen, content)


class Models:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws

    def paths(self) -> Paths:
        return {
            "/models": {"GET": self.list_models},
            "/models/{model:path}": {"GET": self.get_model, "DELETE": self.delete_model},
        }

    async def list_models(self, call: Call) -> Answer:
        cards = await self._ws.models(call.project)
        return _answer(ListObject("list", [_model(card) for card in cards]))

    async def get_model(self, call: Call) -> Answer:
        return _answer(_model(await self._find(call)))

    async def delete_model(self, call: Call) -> Answer:
        card = await self._find(call)
        message = f"The model '{card.id}' cannot be deleted: whoever runs this server decides which models it offers."
        raise Problem(message, kind="forbidden", param="model")

    async def _find(self, call: Call) -> ModelCard:
        name = call.param("model")
        for card in await self._ws.models(call.project):
            if card.id == name:
                return card
        message = f"The model '{shown(name)}' does not exist"
        raise Problem(message, kind="not_found", param="model", code="model_not_found")


def _assistant(call: Call) -> str:
    return requests.check_id("assistant_id", "assistant", call.param("assistant_id"))


def _thread(call: Call) -> str:
    return requests.check_id("thread_id", "thread", call.param("thread_id"))


def _message(call: Call) -> str:
    return requests.check_id("message_id", "message", call.param("message_id"))


def _run(call: Call) -> str:
    return requests.check_id("run_id", "run", call.param("run_id"))


def _step(call: Call) -> str:
    return requests.check_id("step_id", "step", call.param("step_id"))


def _answer(given: object, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(shapes.encode(given), headers)


def _page(found: Page[T], shape: Callable[[T], WireObject]) -> Answer:
    return _answer(shapes.page(found, shape))


def _run_answer(call: Call, run: Run) -> Answer:
    return _answer(run_shapes.run(run), *_poll(call, run))


def _poll(call: Call, of: Run | Step) -> Headers:
    # Stock clients wait 1 to 5 seconds between two looks unless told otherwise (contract section 4).
    going = not of.done if isinstance(of, Run) else of.status == "in_progress"
    return ((b"openai-poll-after-ms", b"%d" % call.dialect.poll_ms),) if going else ()


def _model(card: ModelCard) -> ModelObject:
    return ModelObject(card.id, "model", card.created, card.owned_by)
