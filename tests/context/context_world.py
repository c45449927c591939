"""A server without its HTTP whose model's requests can be seen: a store, an engine, the scripted model."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import Any, Final

from respun.core.chat import ChatMessage, Provider, SystemMessage, ToolMessage, UserMessage
from respun.core.drafts import AssistantDraft, MessageDraft, RunDraft, ThreadDraft
from respun.core.events import ContextChosen, Output
from respun.core.runs import Run, Truncation
from respun.core.threads import Role, Text
from respun.engine.clock import Clock
from respun.engine.embeddings import Embeddings
from respun.engine.engine import Engine, EngineSettings
from respun.engine.library import Library
from respun.engine.turns import Recollection, Turns
from respun.providers.scripted import Rule, Scripted
from respun.providers.tokens import estimate
from respun.store import contexts
from respun.store.backend import Backend
from respun.store.blobs import DiskBlobs
from respun.store.opening import open_backend
from respun.workspace import Workspace

PROJECT: Final = "proj_1"
FILLER: Final = (
    "The quarterly figures of the branch in {town} came out {how}, and the team there wants to talk about staffing, "
    "opening hours and the layout of the new shelves before the season starts in week {n}."
)
TOWNS: Final = ("Lisbon", "Oslo", "Turin", "Ghent", "Porto", "Malaga", "Bergen", "Lyon")


@dataclass
class World:
    backend: Backend
    engine: Engine
    workspace: Workspace
    turns: Turns
    model: Scripted
    assistant: str = ""

    @property
    def prompt(self) -> tuple[ChatMessage, ...]:
        """What the model was last sent."""
        return self.model.requests[-1].messages

    async def thread(self, said: Sequence[tuple[Role, str]] = ()) -> str:
        drafts = tuple(MessageDraft(role, (Text(text),)) for role, text in said)
        return (await self.workspace.threads.create(PROJECT, ThreadDraft(drafts))).id

    async def say(self, thread: str, text: str, role: Role = "user", **metadata: str) -> str:
        draft = MessageDraft(role, (Text(text),), metadata=metadata)
        return (await self.workspace.messages.add(PROJECT, thread, draft)).id

    async def run(self, thread: str, truncation: Truncation | None = None, **given: Any) -> Run:
        """A run from its beginning to its end, or until it waits for its caller."""
        draft = RunDraft(self.assistant, truncation=truncation or Truncation(), **given)
        run = await self.workspace.runs.create(PROJECT, thread, draft)
        async with asyncio.timeout(20):
            while not (run.done or run.status == "requires_action"):
                await asyncio.sleep(0.005)
                run = await self.workspace.runs.get(PROJECT, thread, run.id)
        return run

    async def ask(self, thread: str, text: str, truncation: Truncation | None = None, **given: Any) -> Run:
        await self.say(thread, text)
        return await self.run(thread, truncation, **given)

    async def submit(self, run: Run, output: str) -> Run:
        assert run.calls is not None
        outputs = tuple(Output(call.id, output) for call in run.calls.owed)
        await self.workspace.runs.submit(PROJECT, run.thread, run.id, outputs)
        async with asyncio.timeout(20):
            while True:
                await asyncio.sleep(0.005)
                run = await self.workspace.runs.get(PROJECT, run.thread, run.id)
                if run.done or (run.status == "requires_action" and run.turn > 1):
                    return run

    async def indexed(self, thread: str) -> contexts.Known:
        """The thread's index, once it reaches the thread's end."""
        await self.turns.indexing.build(thread)
        known = await self.backend.read(lambda tx: contexts.find(tx, thread))
        assert known is not None
        return known

    async def choices(self, run: Run) -> list[ContextChosen]:
        """All that the run said it sends."""
        found = [one async for batch in self.workspace.runs.follow(run) for one in batch]
        return [one.event for one in found if isinstance(one.event, ContextChosen)]


@asynccontextmanager
async def world(
    place: str,
    rules: Sequence[Rule] = (),
    window: int = 4_000,
    count: Any = estimate,
    provider: Provider | None = None,
    recollection: Recollection = Recollection(),  # noqa: B008 frozen
) -> AsyncIterator[World]:
    backend = await open_backend(place)
    model = Scripted((*rules, Rule("@say Understood.", r"\A[^@]*\Z")))
    turns = Turns(backend, provider or model, lambda name: window, count, recollection=recollection)
    engine = Engine(backend, turns, Clock(), EngineSettings(sweep=0.1, flush=0.02))
    # No test here has files.
    nowhere = Path("/nonexistent")
    blobs = DiskBlobs(nowhere, lambda: token_hex(16))
    library = Library(backend, blobs, Embeddings(_no_embedder, monotonic), engine.clock, nowhere, count)
    made = World(backend, engine, Workspace(backend, engine, _no_models, library=library), turns, model)
    await engine.start()
    try:
        drafted = AssistantDraft(model="scripted", instructions="You help a shop.")
        made.assistant = (await made.workspace.assistants.create(PROJECT, drafted)).id
        yield made
    finally:
        await engine.stop()
        await backend.close()


async def _no_embedder() -> Any:
    raise AssertionError("nothing is embedded here")


async def _no_models() -> tuple[Any, ...]:
    return ()


def small_talk(turns: int, first: int = 0) -> list[tuple[Role, str]]:
    """About 95 tokens a turn that answer nothing anybody asks here."""
    said: list[tuple[Role, str]] = []
    for n in range(first, first + turns):
        town = TOWNS[n % len(TOWNS)]
        said.append(("user", FILLER.format(town=town, how="well" if n % 3 else "badly", n=n)))
        said.append(("assistant", f"Noted for {town}: week {n} it is, and I will prepare the table of shelves."))
    return said


def texts(prompt: Sequence[ChatMessage]) -> list[str]:
    """What the model reads, message by message."""
    return [_text(message) for message in prompt]


def everything(prompt: Sequence[ChatMessage]) -> str:
    return "\n".join(texts(prompt))


def _text(message: ChatMessage) -> str:
    match message:
        case SystemMessage(content) | ToolMessage(_, content):
            return content
        case UserMessage(content):
            return content if isinstance(content, str) else "\n".join(getattr(part, "text", "") for part in content)
        case _:
            return message.content or ""
