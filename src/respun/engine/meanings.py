"""Recall by meaning (an option): vectors of long threads, made behind the runs, and what is near a run's question.

A run waits for the nearness of its question no longer than a deadline; then words alone decide, and its context says
so. What was found is kept for the run, so that all its turns choose alike.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from respun import telemetry
from respun.core.context.meaning import SHARE, SHARE_FOREIGN, Near
from respun.core.problems import Problem
from respun.core.runs import Vectors
from respun.core.threads import Message
from respun.engine.clock import Clock
from respun.engine.embedding_threads import EmbeddingThreads
from respun.engine.embeddings import Embeddings
from respun.store import context_vectors, contexts, messages
from respun.store.backend import Backend, StoreError, Tx
from respun.store.context_vectors import State
from respun.store.contexts import Known

if TYPE_CHECKING:
    from respun.retrieval.embed import Embedder
    from respun.retrieval.nearness import Vectors8

log: Final = telemetry.log("engine")

_REMEMBERED: Final = 1_000
_MOST_BYTES: Final = 256 << 20
"""Of vectors in memory; those used longest ago go first."""
_MOST_VECTORS: Final = 250_000
"""Of one thread: a longer one is searched by meaning in its newest messages only."""
_PAGE: Final = 5_000
_ASKED: Final = 8
_LOOKED_BACK: Final = 20


class Asked(Struct, frozen=True):
    """`run` empty: a dry run, with its `query`. `before`: what this run was told at its first turn."""

    thread: str
    run: str
    drafts: tuple[Message, ...] = ()
    query: str | None = None
    before: Vectors | None = None


class Meaning(Struct, frozen=True):
    """What a choice is made with, and how it is told."""

    near: Near
    vectors: Vectors


class _Thread(Struct, frozen=True):
    known: Known | None
    state: State | None
    question: str


class Meanings:
    """One for a server. `embeddings` None: there are none, and whoever asks is told so."""

    def __init__(self, backend: Backend, embeddings: Embeddings | None, clock: Clock, me: str, deadline: float) -> None:
        self._backend = backend
        self._embeddings = embeddings
        self._deadline = deadline
        self._found: OrderedDict[str, Meaning] = OrderedDict()
        self._loaded: OrderedDict[int, tuple[str, Vectors8]] = OrderedDict()
        self._loading: dict[int, asyncio.Lock] = {}
        self._late: set[asyncio.Task[Meaning]] = set()
        self.making = EmbeddingThreads(backend, embeddings, clock, me)

    async def of(self, asked: Asked) -> Meaning:
        """What is near the question, or why nothing is known to be."""
        if asked.run and (found := self._found.get(asked.run)):
            return found
        if asked.before and asked.before.status != "used":
            return Meaning(Near(), asked.before)
        task = asyncio.create_task(self._ask(asked))
        try:
            done, _ = await asyncio.wait((task,), timeout=self._deadline)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if done:
            meaning = task.result()
        else:
            # It goes on: what it loads is there for the next run.
            self._late.add(task)
            task.add_done_callback(self._ended)
            meaning = _without("late")
        if asked.run:
            self._found[asked.run] = meaning
            if len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)
        return meaning

    async def stop(self) -> None:
        late = list(self._late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Meaning]) -> None:
        self._late.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            log.warning("vectors came late, and failed", error=str(fault))

    async def _ask(self, asked: Asked) -> Meaning:
        try:
            return await self._near(asked)
        except (Problem, StoreError) as error:
            log.warning("words alone decide", thread=asked.thread, error=str(error))
            return _without("failed")

    async def _near(self, asked: Asked) -> Meaning:
        thread = await self._backend.read(lambda tx: _read(tx, asked))
        if thread.known is None or not thread.question.strip():
            return _without("not_needed")
        embedder = await self._embeddings.get() if self._embeddings else None
        if embedder is None:
            return _without("no_model")
        state = await self._wanted(thread.known, thread.state, embedder)
        if state is None:
            return _without("not_ready")
        upto = min(state.upto, asked.before.upto) if asked.before else state.upto
        questions, vectors = await asyncio.gather(embedder.embed([thread.question]), self._vectors(thread.known, state))
        scores = await asyncio.to_thread(vectors.near, questions[0], upto)
        native = thread.known.language == "en" or not embedder.english_only
        return Meaning(Near(scores, SHARE if native else SHARE_FOREIGN), Vectors("used", embedder.name, upto))

    async def _wanted(self, known: Known, state: State | None, embedder: "Embedder") -> State | None:
        """What can be used; asks for what can't."""
        fits = state is not None and state.model == embedder.name and state.dims == embedder.dims
        if not fits and not (state and state.wanted):
            await self._backend.write(lambda tx: context_vectors.want(tx, known, embedder.name, embedder.dims))
        if not fits or (state and state.wanted):
            self.making.look()
        return state if fits and state and state.upto else None

    async def _vectors(self, known: Known, state: State) -> "Vectors8":
        from respun.retrieval.nearness import Vectors8

        async with self._loading.setdefault(known.id, asyncio.Lock()):  # one reads what all of them need
            model, vectors = self._loaded.pop(known.id, ("", Vectors8(state.dims)))
            if model != state.model or vectors.upto > state.upto:
                vectors = Vectors8(state.dims)
            if vectors.upto < state.upto:
                vectors = await self._more(vectors, known, state)
            self._loaded[known.id] = (state.model, vectors)
        self._forget_some()
        return vectors

    async def _more(self, vectors: "Vectors8", known: Known, state: State) -> "Vectors8":
        read: list[tuple[int, bytes]] = []
        below, size = state.upto, 0
        while size < _MOST_VECTORS * state.dims:
            page = await self._backend.scan(
                lambda tx, b=below: context_vectors.newest(tx, known, vectors.upto, b, _PAGE)  # type: ignore[misc]
            )
            read += [(each.n, each.vectors) for each in page]
            size += sum(len(each.vectors) for each in page)
            if len(page) < _PAGE:
                break
            below = page[-1].n - 1
        return await asyncio.to_thread(vectors.grown, read, state.upto)

    def _forget_some(self) -> None:
        while len(self._loaded) > 1 and sum(each.nbytes for _, each in self._loaded.values()) > _MOST_BYTES:
            self._loaded.popitem(last=False)
        for context in [context for context, lock in self._loading.items() if not lock.locked()]:
            if context not in self._loaded:
                del self._loading[context]


def _without(status: str) -> Meaning:
    return Meaning(Near(), Vectors(status))  # type: ignore[arg-type]


async def _read(tx: Tx, asked: Asked) -> _Thread:
    known = await contexts.find(tx, asked.thread)
    if known is None:
        return _Thread(None, None, "")
    state = await context_vectors.state(tx, known)
    if asked.query is not None:
        return _Thread(known, state, asked.query)
    stored = await messages.newest(tx, asked.thread, 1 << 62, _LOOKED_BACK)
    return _Thread(known, state, question_of(asked.run, [*reversed(asked.drafts), *stored]))


def question_of(run: str, newest_first: Sequence[Message]) -> str:
    """The user's messages that nobody has answered, or the last that was."""
    said: dict[str, str] = {}
    for message in newest_first:
        if message.role == "user" and len(said) < _ASKED:
            said.setdefault(message.id, message.text)
        elif said and message.run != run:
            break
    return "\n".join(reversed(said.values()))
