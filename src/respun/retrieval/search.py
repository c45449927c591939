"""Answer questions from an index: passages, best first, each with the reason why it was found.

Each question is asked of both legs, their scores are fused, and a window keeps its best score over the questions. A
window is answered as the chunk that holds it; a chunk that repeats a better one's window is left out.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from respun.retrieval.embed import Embedder, Vectors
from respun.retrieval.filters import Attributes, Filter, matches
from respun.retrieval.fuse import fuse, lexical_weight
from respun.retrieval.index import Allowed, Snapshot
from respun.retrieval.lexical import Match

_DEPTH: Final = 100


class Wish(Struct, frozen=True):
    """What is asked for. `lexical_weight` None lets the language decide; the threshold is on fused scores (0..1)."""

    questions: tuple[str, ...]
    filters: Filter | None = None
    max_results: int = 10
    score_threshold: float = 0.0
    lexical_weight: float | None = None


class Why(Struct, frozen=True):
    """Why a window was found: by which question, and its rank (from 1) and score in each leg that knew it."""

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
    questions = [question for question in dict.fromkeys(wish.questions) if question.strip()]
    vectors = await embedder.embed(questions) if embedder and snapshot.matrix.dims else None
    wanted = wish.filters
    allowed = snapshot.allowed(None if wanted is None else lambda file: matches(wanted, attributes.get(file, {})))
    english_only = embedder is not None and embedder.english_only
    weight = lexical_weight(snapshot.language, english_only) if wish.lexical_weight is None else wish.lexical_weight
    best: dict[int, _Scored] = {}
    for number, question in enumerate(questions):
        vector = None if vectors is None else vectors[number]
        for slot, scored in _ask(snapshot, question, vector, weight, allowed).items():
            if slot not in best or scored.score > best[slot].score:
                best[slot] = scored
    return _as_chunks(snapshot, best, wish)


class _Scored(Struct, frozen=True):
    score: float
    why: Why


def _ask(
    snapshot: Snapshot, question: str, vector: Vectors | None, weight: float, allowed: Allowed
) -> dict[int, _Scored]:
    lexical = snapshot.by_words(question, _DEPTH, allowed)
    near = snapshot.by_vector(vector, _DEPTH, allowed) if vector is not None else []
    fused = fuse(_scores(lexical), _scores(near), weight if near else 1.0)
    words, vectors = _ranks(lexical), _ranks(near)
    return {slot: _Scored(score, _why(question, words.get(slot), vectors.get(slot))) for slot, score in fused.items()}


class _Ranked(Struct, frozen=True):
    rank: int
    score: float


def _scores(found: Sequence[Match]) -> dict[int, float]:
    return {match.slot: match.score for match in found}


def _ranks(found: Sequence[Match]) -> dict[int, _Ranked]:
    return {match.slot: _Ranked(rank, match.score) for rank, match in enumerate(found, 1)}


def _why(question: str, lexical: _Ranked | None, vector: _Ranked | None) -> Why:
    return Why(
        question,
        lexical_rank=lexical.rank if lexical else None,
        bm25=lexical.score if lexical else None,
        vector_rank=vector.rank if vector else None,
        cosine=vector.score if vector else None,
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
