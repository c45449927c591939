"""A whole server without its HTTP: a store, an engine, the scripted model, and the use cases above them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Final

from respun.core.assistants import Function, FunctionTool
from respun.core.chat import Provider
from respun.core.drafts import AssistantDraft, MessageDraft, RunDraft, ThreadDraft
from respun.core.events import MessageEnded, MessageStarted, Output, TextAdded
from respun.core.pages import PageRequest
from respun.core.runs import Run, Step
from respun.core.threads import Message, Text
from respun.engine.bus import Happening
from respun.engine.clock import Clock
from respun.engine.embeddings import Embeddings
from respun.engine.engine import Engine, EngineSettings
from respun.engine.images import Images
from respun.engine.library import Library
from respun.engine.turns import Turns
from respun.providers.scripted import Scripted
from respun.providers.tokens import count
from respun.store.backend import Backend
from respun.store.blobs import DiskBlobs
from respun.store.opening import open_backend
from respun.workspace import Workspace
from respun.workspace.runs import RunRules

PROJECT: Final = "proj_1"
TOOLS: Final = (FunctionTool(Function("weather")), FunctionTool(Function("time")))
QUICK: Final = EngineSettings(lease=1.0, heartbeat=0.2, sweep=0.1, flush=0.02)
ALL: Final = PageRequest(100, "asc")


@dataclass
class World:
    backend: Backend
    engine: Engine
    workspace: Workspace
    model: Provider
    folder: Path
    assistant: str = ""

    async def thread(self, *texts: str) -> str:
        drafts = tuple(said(text) for text in texts)
        return (await self.workspace.threads.create(PROJECT, ThreadDraft(drafts))).id

    async def start(self, script: str, thread: str = "", **given: Any) -> Run:
        """Begin a run whose model does what the script says."""
        return await self.ask(said(script), thread, **given)

    async def ask(self, message: MessageDraft, thread: str = "", **given: Any) -> Run:
        """Begin a run with this message."""
        thread = thread or await self.thread()
        draft = RunDraft(self.assistant, additional_messages=(message,), **given)
        return await self.workspace.runs.create(PROJECT, thread, draft)

    async def get(self, run: Run) -> Run:
        return await self.workspace.runs.get(PROJECT, run.thread, run.id)

    async def cancel(self, run: Run) -> Run:
        return await self.workspace.runs.cancel(PROJECT, run.thread, run.id)

    async def submit(self, run: Run, output: str = "fine") -> Run:
        """Answer every call that is owed."""
        assert run.calls is not None
        outputs = tuple(Output(call.id, output) for call in run.calls.owed)
        return (await self.workspace.runs.submit(PROJECT, run.thread, run.id, outputs)).run

    async def reached(self, run: Run, *statuses: str, seconds: float = 10.0) -> Run:
        """The run once it has one of these statuses, as a poll sees it."""

        async def there() -> Run | None:
            found = await self.get(run)
            return found if found.status in statuses else None

        return await until(there, seconds)

    async def ended(self, run: Run, seconds: float = 10.0) -> Run:
        return await self.reached(run, "completed", "failed", "incomplete", "cancelled", "expired", seconds=seconds)

    async def messages(self, thread: str) -> Sequence[Message]:
        return (await self.workspace.messages.list(PROJECT, thread, ALL)).items

    async def answers(self, run: Run) -> list[Message]:
        return [message for message in await self.messages(run.thread) if message.run == run.id]

    async def steps(self, run: Run) -> Sequence[Step]:
        return (await self.workspace.runs.steps(PROJECT, run.thread, run.id, ALL)).items

    async def listen(self, run: Run, after: int = 0) -> list[Happening]:
        """Everything a stream shows behind number `after`."""
        async with asyncio.timeout(10):
            return [one async for batch in self.workspace.runs.follow(run, after) for one in batch]


@asynccontextmanager
async def world(
    place: str | Any,
    settings: EngineSettings = QUICK,
    rules: RunRules | None = None,
    model: Provider | None = None,
) -> AsyncIterator[World]:
    backend = await open_backend(place)
    model = model or Scripted()
    files = TemporaryDirectory()
    library = shelves(backend, Path(files.name))
    turns = Turns(backend, model, lambda name: 8192, count, images=Images(library))
    engine = Engine(backend, turns, Clock(), settings)
    workspace = Workspace(backend, engine, _no_models, rules, library=library)
    made = World(backend, engine, workspace, model, Path(files.name))
    await engine.start()
    try:
        drafted = AssistantDraft(model="scripted", tools=TOOLS)
        made.assistant = (await made.workspace.assistants.create(PROJECT, drafted)).id
        yield made
    finally:
        await engine.stop()
        await backend.close()
        files.cleanup()


def use_cases(backend: Backend, engine: Engine, folder: Path, rules: RunRules | None = None) -> Workspace:
    return Workspace(backend, engine, _no_models, rules, library=shelves(backend, folder))


def shelves(backend: Backend, folder: Path) -> Library:
    kept = DiskBlobs(folder / "blobs", lambda: token_hex(16))
    return Library(backend, kept, Embeddings(_no_embeddings, monotonic), Clock(), folder / "indexes", count)


async def _no_embeddings() -> Any:
    raise AssertionError("nothing is searched here")


async def _no_models() -> tuple[Any, ...]:
    return ()


def said(text: str) -> MessageDraft:
    return MessageDraft("user", (Text(text),))


async def until(look: Callable[[], Awaitable[Any]], seconds: float = 10.0) -> Any:
    """What the look finds, as soon as it finds something."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):
            await asyncio.sleep(0.01)
        return found


def streamed_texts(happenings: Sequence[Happening]) -> dict[str, str]:
    """The text of each message as a listener puts it together."""
    texts: dict[str, str] = {}
    current = ""
    for one in happenings:
        match one.event:
            case MessageStarted(message=ident):
                current = ident
                texts[ident] = ""
            case TextAdded(text):
                texts[current] += text
            case MessageEnded():
                current = ""
    return texts
