"""What a dialect holds in its hand: the use cases of one server."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from respun.engine.engine import Engine
from respun.engine.library import Library
from respun.store.backend import Backend
from respun.workspace.assistants import Assistants
from respun.workspace.failures import Store
from respun.workspace.files import Files
from respun.workspace.messages import Messages
from respun.workspace.repeats import Repeats
from respun.workspace.resources import Resources
from respun.workspace.runs import RunRules, Runs
from respun.workspace.threads import Threads
from respun.workspace.uploads import Uploads
from respun.workspace.vector_stores import VectorStores


class ModelCard(Struct, frozen=True):
    """A model that can be asked for. `created` in Unix seconds."""

    id: str
    created: int
    owned_by: str


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
    ) -> None:
        store = Store(backend)
        resources = Resources(engine.clock, library.ingest.look)
        self.assistants = Assistants(store, engine.clock, resources)
        self.threads = Threads(store, engine, resources)
        self.messages = Messages(store, engine.clock, resources)
        self.files = Files(store, library.blobs, engine.clock, library.settings.largest_file)
        self.uploads = Uploads(store, library.blobs, engine.clock, self.files)
        self.vector_stores = VectorStores(store, library, engine.clock)
        self.runs = Runs(store, engine, rules or RunRules(), resources)
        self.repeats = Repeats(store, engine.clock, engine.me, alone=backend.kind == "sqlite")
        self._models = models

    async def models(self, project: str) -> tuple[ModelCard, ...]:
        return await self._models()
