"""A server of Backboard's dialect in this process: a real store and engine, and a scripted model with rules of a test's own."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from time import monotonic

import uvicorn
from starlette.types import Receive, Scope, Send

from respun.core.chat import Provider
from respun.core.problems import Problem
from respun.dialects.backboard.answers import Settings
from respun.dialects.backboard.routes import application
from respun.engine.clock import Clock
from respun.engine.embeddings import Embeddings
from respun.engine.engine import Engine, EngineSettings
from respun.engine.library import Library
from respun.engine.remembering import RememberingSettings
from respun.engine.turns import Turns
from respun.retrieval.embed import Embedder
from respun.store.blobs import DiskBlobs
from respun.store.opening import open_backend
from respun.workspace import ModelCard, Workspace

_SETTINGS = EngineSettings(sweep=0.05, remembering=RememberingSettings(look=0.02, again=0.02))


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def at_home(
    folder: Path,
    model: Provider,
    settings: Settings | None = None,
    embeddings: Callable[[], Awaitable[Embedder]] | None = None,
    place: str | None = None,
) -> AsyncIterator[str]:
    """The address of the dialect; its paths begin there, without `/api`. Without `embeddings` words alone decide.

    `place` is a store to open; without it there is one in the folder."""
    backend = await open_backend(place or folder / "data")
    engine = Engine(backend, Turns(backend, model, lambda name: 8192, len), Clock(), _SETTINGS)
    await engine.start()
    blobs = DiskBlobs(folder / "blobs", lambda: token_hex(16))
    library = Library(
        backend, blobs, Embeddings(embeddings or _no_model, monotonic), engine.clock, folder / "indexes", len
    )
    await library.start()
    dialect = application(Workspace(backend, engine, _no_cards, library=library), settings)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["respun.project"] = "default"
        await dialect(scope, receive, send)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = _Server(uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving
    await library.stop()
    await engine.stop()
    await backend.close()


async def _no_cards() -> tuple[ModelCard, ...]:
    return ()


async def _no_model() -> Embedder:
    raise Problem("These tests search by words.")
