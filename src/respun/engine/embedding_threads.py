"""Makes the vectors of long threads' messages: a chore of the server, a few messages at a time.

An index whose vectors are wanted is a job: claimed with a lease, and each batch is stored with how far it reaches, so
that whoever comes after a crash goes on from there.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from respun import telemetry
from respun.core.context.passages import split
from respun.core.problems import Problem
from respun.engine.bell import Bell
from respun.engine.clock import Clock
from respun.engine.embeddings import Embeddings
from respun.store import context_vectors
from respun.store.backend import Backend, StoreError, Tx
from respun.store.context_vectors import Claimed, Vector
from respun.store.contexts import Known
from respun.store.thread_index import StoredPart

if TYPE_CHECKING:
    from respun.retrieval.embed import Embedder

log: Final = telemetry.log("engine")

_AT_ONCE: Final = 16
_LEASE: Final = 120.0
_AGAIN: Final = 30.0
_LOOK_EVERY: Final = 2.0
_PIECE_TOKENS: Final = 120
"""Of the embedding model's. One vector for a whole long message finds less (docs/context.md)."""
_MOST_PIECES: Final = 48


class _Batch(Struct, frozen=True):
    """`texts` of entries, and the last entry that was looked at."""

    texts: dict[int, str]
    last: int


class EmbeddingThreads:
    def __init__(self, backend: Backend, embeddings: Embeddings | None, clock: Clock, me: str) -> None:
        self._backend = backend
        self._embeddings = embeddings
        self._clock = clock
        self._me = me
        self._look = Bell()

    def look(self) -> None:
        """There is something to do."""
        self._look.ring()

    async def run(self) -> None:
        """For ever."""
        if self._embeddings is None:
            await asyncio.Event().wait()
        if self._backend.kind == "sqlite":
            await self._backend.write(context_vectors.disown_all)
        while True:
            try:
                if await self._do_one():
                    continue
            except StoreError as error:
                log.warning("no vectors made", error=str(error))
            await self._look.listen(_LOOK_EVERY)

    async def _do_one(self) -> bool:
        now = self._clock.now
        if not await self._backend.read(context_vectors.any_wanted):
            return False
        embedder = await self._embeddings.get() if self._embeddings else None
        if embedder is None:
            return False
        claimed = await self._backend.write(lambda tx: context_vectors.claim(tx, self._me, now, now + _LEASE))
        if claimed is None:
            return False
        try:
            await self._make(claimed, embedder)
        except Problem as problem:
            log.warning("vectors of a thread failed", context=claimed.context, error=problem.message)
            await self._let_go(claimed.context, done=False, later=self._clock.now + _AGAIN)
        except asyncio.CancelledError:
            # The server stops: the next worker need not wait for the lease.
            await asyncio.shield(self._let_go(claimed.context, done=False))
            raise
        else:
            await self._let_go(claimed.context, done=True)
        return True

    async def _make(self, claimed: Claimed, embedder: "Embedder") -> None:
        """All that is behind what there is; from the beginning where another model made it."""
        upto = claimed.state.upto
        if (claimed.state.model, claimed.state.dims) != (embedder.name, embedder.dims):
            upto = 0
            await self._backend.write(
                lambda tx: context_vectors.restart(tx, claimed.context, self._me, embedder.name, embedder.dims)
            )
        while True:
            known = await self._backend.read(lambda tx: context_vectors.index_of(tx, claimed.context))
            if known is None or upto >= known.last:
                return
            batch = await self._backend.read(lambda tx, k=known, u=upto: _next_batch(tx, k, u))  # type: ignore[misc]
            vectors = await self._embedded(batch, embedder)
            upto = batch.last
            until = self._clock.now + _LEASE
            kept = await self._backend.write(
                lambda tx, k=known, v=vectors, u=upto, t=until: context_vectors.put(tx, k, self._me, v, u, t)  # type: ignore[misc]
            )
            if not kept:
                return

    async def _embedded(self, batch: _Batch, embedder: "Embedder") -> Sequence[Vector]:
        from respun.retrieval.nearness import packed

        pieces = await asyncio.to_thread(pieces_of, batch.texts, embedder.count)
        if not pieces:
            return ()
        rows = await embedder.embed([text for texts in pieces.values() for text in texts])
        made, at = [], 0
        for n, texts in pieces.items():
            made.append(Vector(n, packed(rows[at : at + len(texts)])))
            at += len(texts)
        return made

    async def _let_go(self, context: int, *, done: bool, later: float = 0.0) -> None:
        await self._backend.write(lambda tx: context_vectors.let_go(tx, context, self._me, done=done, later=later))


async def _next_batch(tx: Tx, known: Known, n: int) -> _Batch:
    entries = await context_vectors.following(tx, known, n, _AT_ONCE)
    texts = await StoredPart(tx, known).load([n for n, spoken in entries.items() if spoken])
    return _Batch({n: written.text for n, written in texts.items()}, max(entries, default=known.last))


def pieces_of(texts: dict[int, str], count: Callable[[str], int]) -> dict[int, list[str]]:
    """What is embedded of each text: its passages, of which a very long text gives the first ones."""
    pieces: dict[int, list[str]] = {}
    for n, text in texts.items():
        passages = split(text, count, _PIECE_TOKENS)[:_MOST_PIECES]
        cut = [text[passage.start : passage.end] for passage in passages]
        if kept := [piece for piece in cut if piece.strip()]:
            pieces[n] = kept
    return pieces
