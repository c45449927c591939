"""The server put together: the only place where store, engine, models and dialects meet."""

import os
import time
from importlib.util import find_spec
from secrets import token_hex
from typing import Final

from msgspec.structs import replace
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from respun import telemetry
from respun.config import Config
from respun.core.problems import Problem
from respun.core.runs import ToolKind
from respun.dialects import aiml
from respun.dialects.backboard import problems as backboard_problems
from respun.dialects.backboard import routes as backboard
from respun.dialects.backboard.answers import Settings as BackboardSettings
from respun.dialects.backboard.answers import UnknownPath as BackboardUnknownPath
from respun.dialects.openai import problems
from respun.dialects.openai.answers import Dialect, UnknownPath
from respun.dialects.openai.problems import Refused
from respun.dialects.openai.routes import routes as openai_routes
from respun.dialects.paths import PathTree, under
from respun.engine.clock import Clock
from respun.engine.code_interpreter import CodeInterpreter
from respun.engine.embeddings import Embeddings
from respun.engine.engine import Engine, EngineSettings
from respun.engine.images import Images
from respun.engine.ingest import IngestSettings
from respun.engine.library import Library, LibrarySettings
from respun.engine.search_tool import SearchTool
from respun.engine.tools import HostedTool, Tools
from respun.engine.turns import Recollection, Turns
from respun.providers.tokens import Counter, count
from respun.store.backend import Backend
from respun.store.blobs import DiskBlobs
from respun.store.opening import open_backend
from respun.web.auth import DOCS, Auth, is_loopback
from respun.web.code import code_settings
from respun.web.docs import docs_routes
from respun.web.embeddings import EmbeddingModels
from respun.web.endpoints import rerank_client, reranker
from respun.web.health import Health
from respun.web.models import Models, find_models
from respun.web.switch import Switch
from respun.workspace import ModelCard, Workspace
from respun.workspace.runs import RunRules

log: Final = telemetry.log("app")

# Where OpenAI's operations are: its own place, that of Azure's OpenAI resources, and that of Azure's Foundry projects.
_OPENAIS: Final = ("/v1/", "/openai/", "/api/projects/")


class App:
    """One server: an ASGI application with a life."""

    def __init__(self, config: Config, backend: Backend, models: Models) -> None:
        self.backend = backend
        self._config = config
        self._switch = Switch(models)
        self._draining = False
        self._started = False
        clock = Clock()
        self._embedding_models = EmbeddingModels(config, os.environ)
        self._rerank_client = rerank_client(config)
        embeddings = Embeddings(self._embedding_models.make, time.monotonic, make_old=self._embedding_models.make_old)
        self._library = Library(
            backend,
            DiskBlobs(config.data / "blobs", lambda: token_hex(16)),
            embeddings,
            clock,
            config.data / "indexes",
            count,
            _library_settings(config),
            reranker(config, self._rerank_client, clock),
        )
        self._code = CodeInterpreter(backend, self._library, code_settings(config))
        self._count = Counter()
        turns = Turns(
            backend,
            self._switch,
            self._switch.window,
            self._count,
            self._tools(),
            chooses_tools=self._switch.chooses_tools,
            recollection=Recollection(
                embeddings, config.context_vectors, config.context_digest, auto=config.auto_strategy
            ),
            images=Images(self._library),
        )
        self._engine = Engine(backend, turns, clock, _engine_settings(config))
        self.workspace = Workspace(
            backend,
            self._engine,
            self._cards,
            _rules(config),
            library=self._library,
            window=self._switch.window,
            thread_gone=self._code.forget,
        )
        self._asgi = self._assemble(self.workspace)

    @property
    def answers(self) -> str:
        return self._switch.models.answers

    async def startup(self) -> None:
        self._started = True
        self._switch.models.startup(os.environ)
        await self._code.start()
        if self._config.exact_tokens:
            await self._count.load()
        await self._engine.start()
        await self._library.start()

    async def reload(self, config: Config) -> None:
        """Take over the routes and upstreams of these settings. Raises ConfigError, and then all stays as it was."""
        before = self._switch.models
        routed = replace(self._config, models=config.models, upstreams=config.upstreams)
        models = await find_models(routed, os.environ, embedded=before.upstreams.embedded)
        models.startup(os.environ, before)
        await self._switch.turn_to(models)

    def drain(self) -> None:
        self._draining = True

    async def shutdown(self) -> None:
        if self._started:
            await self._engine.stop(self._config.drain_seconds)
            await self._code.stop()
            await self._library.stop()
        await self._embedding_models.aclose()
        if self._rerank_client:
            await self._rerank_client.aclose()
        await self._switch.aclose()
        await self.backend.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._asgi(scope, receive, send)

    def _tools(self) -> Tools:
        """The hosted tools."""
        tools: dict[ToolKind, HostedTool] = {"code_interpreter": self._code}
        if find_spec("tantivy") is None:
            return Tools(tools, {"file_search": "its packages are missing (pip install 'respun[retrieval]')."})
        window, chooses = self._switch.window, self._switch.chooses_tools
        tools["file_search"] = SearchTool(self.backend, self._library.search, window, count, chooses)
        return Tools(tools)

    def _assemble(self, workspace: Workspace) -> ASGIApp:
        dialect = Dialect(
            poll_ms=self._config.poll_after_ms,
            max_body=self._config.max_body_bytes,
            batch_object=self._config.file_batch_object,
        )
        backboard_settings = BackboardSettings(
            max_body=self._config.max_body_bytes, max_form=self._config.max_file_bytes
        )
        operations = openai_routes(workspace, dialect)
        # Azure's clients send keys of their own beside OpenAI's (contract 10).
        azure = replace(dialect, strict=False, batch_object="vector_store.files_batch")
        foundry = openai_routes(workspace, azure)
        health = Health(self.backend, lambda: self._draining)
        root = PathTree(
            [
                *under("/v1", operations),
                Route("/v1/{unknown:path}", UnknownPath(dialect)),
                *under("/openai", operations),
                *under("/openai/v1", operations),
                Route("/openai/{unknown:path}", UnknownPath(dialect)),
                *under("/api/projects/{azure_project}", foundry),
                Route("/api/projects/{unknown:path}", UnknownPath(dialect)),
                *under("/api", backboard.routes(workspace, backboard_settings)),
                Route("/api/{unknown:path}", BackboardUnknownPath()),
                *health.routes(),
                *docs_routes(operations),
            ],
            # Clients of Azure's agents ask at the root too: AIML's paths are theirs.
            default=aiml.application(workspace, dialect),
        )
        return Auth(root, self.backend, loopback=is_loopback(self._config.host), error_body=_error_body)

    async def _cards(self) -> tuple[ModelCard, ...]:
        return tuple(ModelCard(name, 0, "respun") for name in await self._switch.models.router.models())


def _error_body(problem: Problem, refused: Refused) -> bytes:
    """A refusal as the dialect writes it that lives at the path."""
    if refused.path.startswith(_OPENAIS) or refused.path in DOCS:
        return problems.error_body(problem, refused)
    if refused.path.startswith("/api/"):
        return backboard_problems.detail_body(problem)
    return aiml.error_body(problem, refused)


async def build(config: Config) -> App:
    """Open the store and find the models. Raises what they raise when they can't be had."""
    backend = await open_backend(config.store)
    try:
        return App(config, backend, await find_models(config, os.environ))
    except BaseException:
        await backend.close()
        raise


def _engine_settings(config: Config) -> EngineSettings:
    return EngineSettings(
        lease=config.lease_seconds, heartbeat=config.heartbeat_seconds, most_runs=config.max_concurrent_runs
    )


def _library_settings(config: Config) -> LibrarySettings:
    workers = config.ingest_workers or max(1, (os.cpu_count() or 1) - 1)
    ingest = IngestSettings(workers, lease=config.lease_seconds, heartbeat=config.heartbeat_seconds)
    return LibrarySettings(config.max_file_bytes, ingest=ingest)


def _rules(config: Config) -> RunRules:
    return RunRules(config.run_expires_after, config.max_turns, config.when_busy)
