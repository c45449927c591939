"""What a dialect holds in its hand: the use cases of one server."""

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from respun.engine.engine import Engine
from respun.engine.library import Library
from respun.store.backend import Backend
from respun.workspace.assistants import Assistants
from respun.workspace.conversations import Conversations
from respun.workspace.documents import Documents
from respun.workspace.failures import Store
from respun.workspace.files import Files
from respun.workspace.memories import Memories
from respun.workspace.messages import Messages
from respun.workspace.repeats import Repeats
from respun.workspace.resources import Resources
from respun.workspace.runs import RunRules, Runs
from respun.workspace.threads import Threads
from respun.workspace.uploads import Uploads
from respun.workspace.vector_stores import VectorStores

WINDOW: Final = 8192
"""What a model is taken to hold of a conversation, in tokens, where nothing better is known."""


class ModelCard(Struct, frozen=True):
    """A model that can be asked for. `created` in Unix seconds, `window` in tokens."""

    id: str
    created: int
    owned_by: str
    window: int = WINDOW


class Workspace:
    """The use cases over one store, one engine and one library."""

    def __init__(
        self,
        backend: Backend,
        engine: Engine,
        models: Callable[[], Awaitable[tuple[ModelCard, ...]]],
        rules: RunRules | None = None,
        *,
        library: Library,
        window: Callable[[str], int] = lambda model: WINDOW,
        thread_gone: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        store = Store(backend)
        resources = Resources(engine.clock, library.ingest.look)
        self.assistants = Assistants(store, engine.clock, resources)
        self.threads = Threads(store, engine, resources, thread_gone or _nobody)
        self.messages = Messages(store, engine.clock, resources)
        self.files = Files(store, library.blobs, engine.clock, library.settings.largest_file)
        self.uploads = Uploads(store, library.blobs, engine.clock, self.files)
        self.vector_stores = VectorStores(store, library, engine.clock)
        self.documents = Documents(store, engine.clock, self.files, self.vector_stores)
        self.memories = Memories(store, engine.clock, engine.remembering, library.memory_vectors)
        self.runs = Runs(store, engine, rules or RunRules(), resources, self.memories)
        self.repeats = Repeats(store, engine.clock, engine.me, alone=backend.kind == "sqlite")
        self.conversations = Conversations(
            store, engine.clock, self.assistants, self.threads, self.runs, self.memories, self.documents
        )
        self.window = window
        self._models = models

    async def models(self, project: str) -> tuple[ModelCard, ...]:
        return await self._models()


async def _nobody(thread: str) -> None:
    """No tool keeps anything of a thread."""
