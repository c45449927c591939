"""Search the vector stores of a project: the one entry for the search endpoint and for the tool of runs."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from respun import telemetry
from respun.core.problems import Problem
from respun.core.vector_stores import (
    Counted,
    Passage,
    Passages,
    Question,
    Reason,
    StoreFile,
    VectorStore,
    refuse_expired,
)
from respun.engine.clock import Clock
from respun.engine.embeddings import WORDS_ONLY, Embeddings
from respun.engine.indexes import Indexes
from respun.engine.reranking import CANDIDATES, Reranker
from respun.store import files, ingestion, passages, vector_stores
from respun.store.backend import Backend, Tx
from respun.store.passages import ChunkRow

if TYPE_CHECKING:
    from respun.retrieval.embed import Embedder
    from respun.retrieval.search import Hit, Vectored, Wish

log: Final = telemetry.log("file_search")

_LOOK_SECONDS: Final = 0.1
NOT_INSTALLED: Final = "File search needs more packages on this server: pip install 'respun[retrieval]'."


class FileSearch:
    def __init__(
        self,
        backend: Backend,
        indexes: Indexes,
        embeddings: Embeddings,
        clock: Clock,
        reranker: Reranker | None = None,
    ) -> None:
        self._backend = backend
        self._indexes = indexes
        self._embeddings = embeddings
        self._clock = clock
        self._reranker = reranker

    async def search(self, project: str, stores: Sequence[str], question: Question) -> Passages:
        """The best passages of all the stores together. Raises a Problem: no such store, expired, a bad filter."""
        queries = tuple(query for query in dict.fromkeys(question.queries) if query.strip())
        opened = [await self._open(project, ident) for ident in dict.fromkeys(stores)]
        if not queries or not opened:
            return Passages(queries, ())
        reranker = self._reranker if question.rerank else None
        wish = _wish(queries, _widened(question) if reranker else question)
        asked = _Asked(self._backend, self._embeddings, queries)
        found = _levelled([await self._in_store(project, store, wish, asked) for store in opened])
        # A stable sort: between equal scores the order of the stores decides.
        found.sort(key=lambda passage: -passage.score)
        if reranker:
            found = await reranker.rank(found[: wish.max_results]) or found
            found = [passage for passage in found if passage.score >= question.score_threshold]
        return Passages(queries, tuple(found[: question.max_results]))

    async def wait_ready(self, project: str, stores: Sequence[str], seconds: float) -> bool:
        """Wait until nothing is being read into the stores, so long at most; whether it is so (contract section 4)."""
        return await self._wait(project, stores, seconds, lambda store: store.status != "in_progress")

    async def wait_begun(self, project: str, stores: Sequence[str], seconds: float) -> bool:
        """Wait until each store has a file to search, or none to come."""

        def begun(store: Counted) -> bool:
            return store.status != "in_progress" or store.counts.completed > 0

        return await self._wait(project, stores, seconds, begun)

    async def _wait(self, project: str, stores: Sequence[str], seconds: float, fits: Callable[[Counted], bool]) -> bool:
        until = self._clock.now + seconds
        while True:
            if await self._backend.read(lambda tx: self._all(tx, project, stores, fits)):
                return True
            if self._clock.now >= until:
                return False
            await asyncio.sleep(_LOOK_SECONDS)

    async def _all(self, tx: Tx, project: str, stores: Sequence[str], fits: Callable[[Counted], bool]) -> bool:
        for ident in stores:
            store = await vector_stores.get(tx, project, ident)
            if not fits(await vector_stores.shown(tx, store, self._clock.now)):
                return False
        return True

    async def _open(self, project: str, ident: str) -> VectorStore:
        now = self._clock.now
        store = await self._backend.read(lambda tx: vector_stores.get(tx, project, ident))
        refuse_expired(store, now)
        if now - store.last_active_at >= 1:
            await self._backend.write(lambda tx: vector_stores.touch(tx, store, now))
        return store

    async def _in_store(self, project: str, store: VectorStore, wish: "Wish", asked: "_Asked") -> list[Passage]:
        """Once more if files were read anew meanwhile: what the index named then is no longer there."""
        hits, shown = await self._looked_up(project, store, wish, asked)
        if len(shown) < len(hits):
            _, shown = await self._looked_up(project, await self._open(project, store.id), wish, asked)
        return shown

    async def _looked_up(
        self, project: str, store: VectorStore, wish: "Wish", asked: "_Asked"
    ) -> "tuple[Sequence[Hit], list[Passage]]":
        from respun.retrieval.search import rank

        snapshot = await self._indexes.fresh(store)
        held = await self._attributed(store) if wish.filters is not None else {}
        attributes = {str(entry): file.attributes for entry, file in held.items()}
        vectored = None if wish.lexical_weight == 1 else await asked.by(snapshot.model)
        # In a thread: scanning a large matrix would hold up every other request.
        hits = await asyncio.to_thread(rank, snapshot, wish, vectored, attributes)
        return hits, await self._shown(project, store, hits)

    async def _attributed(self, store: VectorStore) -> dict[int, StoreFile]:
        return await self._backend.read(lambda tx: passages.attributed(tx, store.place))

    async def _shown(self, project: str, store: VectorStore, hits: "Sequence[Hit]") -> list[Passage]:
        """Hits as passages; what was deleted since the index was read is left out."""
        now = self._clock.now

        async def unit(tx: Tx) -> list[Passage]:
            chunks = await passages.chunks(tx, store.place, [hit.chunk for hit in hits])
            entries = await passages.entries(tx, list({chunk.entry for chunk in chunks.values()}))
            names = await files.names(tx, project, [file.id for file in entries.values()], now)
            shown = []
            for hit in hits:
                chunk = chunks.get(hit.chunk)
                file = entries.get(chunk.entry) if chunk else None
                if chunk and file and file.id in names:
                    shown.append(_passage(store, file, names[file.id], chunk, hit))
            return shown

        return await self._backend.read(unit)


class _Asked:
    """The queries as vectors of the models that stores serve, each made once."""

    def __init__(self, backend: Backend, embeddings: Embeddings, queries: Sequence[str]) -> None:
        self._backend = backend
        self._embeddings = embeddings
        self._queries = queries
        self._known: dict[str, Vectored | None] = {WORDS_ONLY: None}

    async def by(self, model: str) -> "Vectored | None":
        """None: by words alone, also when the model does not answer now."""
        if model not in self._known:
            self._known[model] = await self._embedded(model)
        return self._known[model]

    async def _embedded(self, model: str) -> "Vectored | None":
        from respun.retrieval.search import Vectored

        embedder = await self._embedder(model)
        if embedder is None:
            return None
        try:
            return Vectored(await embedder.embed(self._queries), embedder.english_only)
        except Problem as problem:
            log.warning("searched by words alone", why=problem.message)
            self._embeddings.unanswered(model)
            return None

    async def _embedder(self, model: str) -> "Embedder | None":
        """The model of the settings, or the one before, whose vectors serve until all files have new ones."""
        embedder = await self._embeddings.get()
        if embedder and embedder.name == model:
            return embedder
        address = await self._backend.read(lambda tx: ingestion.address_of_model(tx, model))
        return None if address is None else await self._embeddings.old(model, address)


def _wish(queries: tuple[str, ...], question: Question) -> "Wish":
    try:
        from respun.retrieval.filters import parse
        from respun.retrieval.search import Wish
    except ModuleNotFoundError as missing:
        raise Problem(NOT_INSTALLED, kind="unavailable") from missing
    return Wish(
        queries,
        filters=None if question.filters is None else parse(question.filters),
        max_results=question.max_results,
        score_threshold=question.score_threshold,
        lexical_weight=question.text_weight,
    )


def _widened(question: Question) -> Question:
    """More to choose from for the reranker, on whose scores the threshold then is."""
    return replace(question, max_results=max(CANDIDATES, question.max_results), score_threshold=0.0)


def _levelled(by_store: Sequence[Sequence[Passage]]) -> list[Passage]:
    """Scores are relative to the best of a store: those of stores that fit the question less count less."""
    best = [max((each.reason.cosine or 0.0 for each in passages), default=0.0) for passages in by_store]
    top = max(best, default=0.0)
    if top <= 0 or sum(bool(passages) for passages in by_store) < 2:
        return [passage for passages in by_store for passage in passages]
    return [
        replace(passage, score=passage.score * max(0.0, level) / top)
        for passages, level in zip(by_store, best, strict=True)
        for passage in passages
    ]


def _passage(store: VectorStore, file: StoreFile, filename: str, chunk: ChunkRow, hit: "Hit") -> Passage:
    why = hit.why
    return Passage(
        store=store.id,
        file=file.id,
        filename=filename,
        text=chunk.text,
        score=hit.score,
        attributes=file.attributes,
        start=chunk.start,
        end=chunk.end,
        page=chunk.page,
        last_page=chunk.last_page,
        reason=Reason(why.question, why.lexical_rank, why.bm25, why.vector_rank, why.cosine),
    )
