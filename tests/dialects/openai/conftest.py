"""A server of this dialect on loopback: a real store, a real engine, the scripted model, the real SDK."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
import uvicorn
from openai import AsyncOpenAI
from starlette.types import Receive, Scope, Send

from plugins.library import library_of
from respun.dialects.openai.answers import Dialect
from respun.dialects.openai.routes import application
from respun.engine.clock import Clock
from respun.engine.engine import Engine, EngineSettings
from respun.engine.turns import Turns
from respun.providers.scripted import Scripted
from respun.store.opening import open_backend
from respun.workspace import ModelCard, Workspace
from respun.workspace.runs import RunRules

QUICK = Dialect(poll_ms=5, keep_alive_s=0.2, max_body=1 << 20)


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class App:
    def __init__(self, ws: Workspace) -> None:
        self._dialect = application(ws, QUICK)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["respun.project"] = "default"
        await self._dialect(scope, receive, send)


async def _models() -> tuple[ModelCard, ...]:
    return (ModelCard("scripted", 1_700_000_000, "respun"), ModelCard("maker/scripted", 1_700_000_000, "respun"))


@pytest.fixture
def rules() -> RunRules:
    return RunRules()


@pytest.fixture
def models() -> Callable[[], Awaitable[tuple[ModelCard, ...]]]:
    return _models


@pytest_asyncio.fixture
async def workspace(
    tmp_path: Path, rules: RunRules, models: Callable[[], Awaitable[tuple[ModelCard, ...]]]
) -> AsyncIterator[Workspace]:
    backend = await open_backend(tmp_path / "data")
    turns = Turns(backend, Scripted(), lambda model: 100_000, len)
    engine = Engine(backend, turns, Clock(), EngineSettings(sweep=0.05))
    await engine.start()
    library = library_of(backend, tmp_path, engine.clock)
    await library.start()
    yield Workspace(backend, engine, models, rules, library=library)
    await library.stop()
    await engine.stop()
    await backend.close()


@pytest_asyncio.fixture
async def url(workspace: Workspace) -> AsyncIterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(App(workspace), http="httptools", ws="none", lifespan="off", log_config=None)
        server = Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving


@pytest_asyncio.fixture
async def client(url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:
        yield client


@pytest_asyncio.fixture
async def http(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(url) as session:
        yield session
