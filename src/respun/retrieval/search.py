"""Answer questions from an index: passages, best first, each with the reason why it was found.

Each question is asked of both legs, their scores are fused, and a window keeps its best score over the questions. A
window is answered as the chunk that holds it; a chunk that repeats a better one's window is left out.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence

import numpy as np
from msgspec import Struct

from respun.retrieval.embed import Embedder, Vectors
from respun.retrieval.filters import Attributes, Filter, matches
from respun.retrieval.fuse import DEPTH, fuse, leaders, lexical_weight
from respun.retrieval.index import Allowed, Snapshot
from respun.retrieval.lexical import Match


class Wish(Struct, frozen=True):
    """What is asked for. `lexical_weight` None lets the language decide; the threshold is on fused scores (0..1)."""

    questions: tuple[str, ...]
    filters: Filter | None = None
    max_results: int = 10
    score_threshold: float = 0.0
    lexical_weight: float | None = None


class Why(Struct, frozen=True):
    """Why a window was found: by which question, its ranks (from 1) among the first hundred of each leg, its scores."""

    question: str
    lexical_rank: int | None = None
    bm25: float | None = None
    vector_rank: int | None = None
    cosine: float | None = None


class Hit(Struct, frozen=True):
    """`row` is the window that was found, `chunk` the one that is answered."""

    chunk: int
    row: int
    score: float
    why: Why


class StoredChunk(Struct, frozen=True):
    """A chunk as the store keeps it; offsets are characters of the file's extracted text."""

    chunk: int
    file: str
    text: str
    start: int
    end: int
    page: int | None = None
    last_page: int | None = None


class Passage(Struct, frozen=True):
    found: StoredChunk
    row: int
    score: float
    why: Why


Load = Callable[[Sequence[int]], Awaitable[Mapping[int, StoredChunk]]]
"""Chunks by id. One that was deleted meanwhile is left out of the answer."""


async def search(
    snapshot: Snapshot,
    embedder: Embedder | None,
    wish: Wish,
    *,
    attributes: Mapping[str, Attributes],
    load: Load,
) -> list[Passage]:
    """The passages of a store. `attributes` are the files'; without an embedder words alone decide."""
    hits = await find(snapshot, embedder, wish, attributes=attributes)
    chunks = await load([hit.chunk for hit in hits])
    return [Passage(chunks[hit.chunk], hit.row, hit.score, hit.why) for hit in hits if hit.chunk in chunks]


async def find(
    snapshot: Snapshot, embedder: Embedder | None, wish: Wish, *, attributes: Mapping[str, Attributes]
) -> list[Hit]:
    """The same as ids, for a caller that loads the chunks itself."""
    questions = questions_of(wish)
    vectored = None
    if embedder and questions and wish.lexical_weight != 1:
        vectored = Vectored(await embedder.embed(questions), embedder.english_only)
    return rank(snapshot, wish, vectored, attributes)


class Vectored(Struct, frozen=True):
    """A row for each of `questions_of` a wish, by the model that made the vectors of the snapshot."""

    vectors: Vectors
    english_only: bool


def questions_of(wish: Wish) -> list[str]:
    return [question for question in dict.fromkeys(wish.questions) if question.strip()]


def rank(snapshot: Snapshot, wish: Wish, vectored: Vectored | None, attributes: Mapping[str, Attributes]) -> list[Hit]:
    """The same without waiting for anything; call it in a thread, for a large matrix takes a while."""
    vectored = vectored if snapshot.matrix.dims else None
    weight = _weight(snapshot, vectored, wish)
    wanted = wish.filters
    allowed = snapshot.allowed(None if wanted is None else lambda file: matches(wanted, attributes.get(file, {})))
    best: dict[int, _Scored] = {}
    for number, question in enumerate(questions_of(wish)):
        vector = None if vectored is None or weight == 1 else vectored.vectors[number]
        for slot, scored in _ask(snapshot, question, vector, weight, allowed).items():
            if slot not in best or scored.score > best[slot].score:
                best[slot] = scored
    return _as_chunks(snapshot, best, wish)


def _weight(snapshot: Snapshot, vectored: Vectored | None, wish: Wish) -> float:
    if vectored is None:
        return 1.0
    if wish.lexical_weight is None:
        return lexical_weight(snapshot.language, vectored.english_only)
    return wish.lexical_weight


class _Scored(Struct, frozen=True):
    score: float
    why: Why


def _ask(
    snapshot: Snapshot, question: str, vector: Vectors | None, weight: float, allowed: Allowed
) -> dict[int, _Scored]:
    lexical = snapshot.by_words(question, DEPTH, allowed) if weight > 0 or vector is None else []
    near = snapshot.by_vector(vector, DEPTH, allowed) if vector is not None else []
    words, vectors = _ranks(lexical), _ranks(near)
    bm25 = {slot: ranked.score for slot, ranked in words.items()}
    cosines = _cosines(snapshot, sorted(words.keys() | vectors.keys()), vector)
    fused = fuse(bm25, cosines, weight)
    if vector is not None:
        fused = fuse(bm25, _cosines(snapshot, list(cosines), _led(snapshot, vector, leaders(fused))), weight)
    return {
        slot: _Scored(score, _why(question, words.get(slot), vectors.get(slot), cosines.get(slot)))
        for slot, score in fused.items()
    }


def _cosines(snapshot: Snapshot, slots: list[int], vector: Vectors | None) -> dict[int, float]:
    """Of those that have a vector: a file that was added while an old model's serve has none yet."""
    if vector is None:
        return {}
    cosines = (snapshot.matrix.rows(slots) @ vector).tolist()
    return {slot: cosine for slot, cosine in zip(slots, cosines, strict=True) if cosine}


def _led(snapshot: Snapshot, vector: Vectors, lent: Mapping[int, float]) -> Vectors:
    """The question's vector, moved towards those of the first answers."""
    shares = np.array(list(lent.values()), dtype=np.float32)
    moved: Vectors = vector + shares @ snapshot.matrix.rows(list(lent))
    unit: Vectors = moved / max(float(np.linalg.norm(moved)), 1e-12)
    return unit


class _Ranked(Struct, frozen=True):
    rank: int
    score: float


def _ranks(found: Sequence[Match]) -> dict[int, _Ranked]:
    return {match.slot: _Ranked(rank, match.score) for rank, match in enumerate(found, 1)}


def _why(question: str, lexical: _Ranked | None, near: _Ranked | None, cosine: float | None) -> Why:
    return Why(
        question,
        lexical_rank=lexical.rank if lexical else None,
        bm25=lexical.score if lexical else None,
        vector_rank=near.rank if near else None,
        cosine=cosine,
    )


def _as_chunks(snapshot: Snapshot, found: Mapping[int, _Scored], wish: Wish) -> list[Hit]:
    weights: defaultdict[int, float] = defaultdict(float)
    for slot, scored in found.items():
        for chunk in snapshot.chunks(slot):
            weights[chunk] += scored.score
    answered: set[int] = set()
    hits: list[Hit] = []
    for slot, scored in sorted(found.items(), key=lambda item: (-item[1].score, item[0])):
        if len(hits) == wish.max_results or scored.score < wish.score_threshold:
            break
        holders = snapshot.chunks(slot)
        if answered.isdisjoint(holders):
            chunk = max(holders, key=lambda each: weights[each])
            answered.add(chunk)
            hits.append(Hit(chunk, snapshot.row(slot), scored.score, scored.why))
    return hits
