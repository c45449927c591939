"""How well and how fast retrieval answers: words alone, vectors alone and both, on sets the caller brings.

    python bench/retrieval_quality.py --sets FOLDER --model FOLDER [--sizes 10000,100000]

A set is JSON: {docs: {id: text}, queries: {id: text}, qrels: {query id: {doc id: grade}}}. Vectors are kept in
`--cache` between calls. The sizes measure the index alone, on made-up texts and clustered vectors.
"""

import argparse
import asyncio
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from respun.retrieval.embed import BgeSmall, Vectors
from respun.retrieval.fuse import lexical_weight
from respun.retrieval.index import Entry, Index, Snapshot
from respun.retrieval.ingest import prepare
from respun.retrieval.search import Wish, find

DEPTH = 100


class Collection(msgspec.Struct):
    docs: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


class Remembering:
    """The model with its vectors kept on disk, so that a second run measures the ranking and not the model."""

    english_only = True

    def __init__(self, model: BgeSmall, cache: Path | None) -> None:
        self.model, self.name, self.dims = model, model.name, model.dims
        self.cache = cache
        stored = cache if cache and cache.exists() else None
        self.known: dict[str, Vectors] = dict(np.load(stored, allow_pickle=True).item()) if stored else {}
        self.tokens = 0
        self.seconds = 0.0

    def count(self, text: str) -> int:
        return self.model.count(text)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        for text in texts:
            if text not in self.known:
                started = time.thread_time()
                self.known[text] = self.model.embed_here([text])[0]
                self.seconds += time.thread_time() - started
                self.tokens += self.count(text)
        return np.stack([self.known[text] for text in texts])

    def save(self) -> None:
        if self.cache:
            np.save(self.cache, np.array(self.known, dtype=object), allow_pickle=True)


def ndcg(ranked: Sequence[str], grades: Mapping[str, int], at: int = 10) -> float:
    gained = sum(grades.get(doc, 0) / math.log2(rank + 1) for rank, doc in enumerate(ranked[:at], 1))
    best = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(sorted(grades.values(), reverse=True)[:at], 1))
    return gained / best if best else 0.0


def recall(ranked: Sequence[str], grades: Mapping[str, int], at: int = 20) -> float:
    relevant = {doc for doc, grade in grades.items() if grade > 0}
    return len(relevant.intersection(ranked[:at])) / len(relevant)


def entries(collection: Collection, embedder: Remembering) -> list[Entry]:
    made: list[Entry] = []
    chunks = 0
    for name, text in collection.docs.items():
        prepared = asyncio.run(prepare(text, embedder))
        for window in prepared.windows:
            held = tuple(chunks + chunk for chunk in window.chunks)
            made.append(Entry(len(made), name, held, text[window.start : window.end], window.tokens, window.vector))
        chunks += len(prepared.chunks)
    return made


Ranking = Callable[[str], list[int]]


def rankings(snapshot: Snapshot, embedder: Remembering) -> list[Ranking]:
    """Each gives the slots for a question: words alone, vectors alone, both at several weights, the default."""
    allowed = snapshot.allowed(None)
    slots = {snapshot.row(slot): slot for slot in range(len(snapshot.rows))}

    def words(question: str) -> list[int]:
        return [match.slot for match in snapshot.by_words(question, DEPTH, allowed)]

    def vectors(question: str) -> list[int]:
        vector = asyncio.run(embedder.embed([question]))[0]
        return [match.slot for match in snapshot.by_vector(vector, DEPTH, allowed)]

    def both(weight: float | None) -> Ranking:
        def ranking(question: str) -> list[int]:
            wish = Wish((question,), max_results=DEPTH, lexical_weight=weight)
            return [slots[hit.row] for hit in asyncio.run(find(snapshot, embedder, wish, attributes={}))]

        return ranking

    return [words, vectors, *map(both, (0.3, 0.5, 0.65, 0.8, None))]


def measure_set(path: Path, embedder: Remembering) -> None:
    collection = msgspec.json.decode(path.read_bytes(), type=Collection)
    rows = entries(collection, embedder)
    embedder.save()
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        index = Index.build(Path(folder), rows, model=embedder.name, dims=embedder.dims, change=1)
        seconds = time.process_time() - started
        snapshot = index.snapshot()
        weight = lexical_weight(snapshot.language, english_only=True)
        figures = [score(collection, snapshot, ranking) for ranking in rankings(snapshot, embedder)]
    embedder.save()
    cells = "".join(f" {figure.ndcg:.3f}/{figure.recall:.3f} |" for figure in figures)
    rate = len(rows) / seconds
    print(f"| {path.stem} ({len(collection.docs)}, {len(collection.queries)}) |{cells} {weight} | {rate:,.0f} |")


class Figure(msgspec.Struct):
    ndcg: float
    recall: float


def score(collection: Collection, snapshot: Snapshot, ranking: Ranking) -> Figure:
    gains, recalls = [], []
    for query, question in collection.queries.items():
        grades = collection.qrels.get(query, {})
        if any(grades.values()):
            files = [snapshot.files[int(snapshot.rows["file"][slot])] for slot in ranking(question)]
            ranked = list(dict.fromkeys(files))
            gains.append(ndcg(ranked, grades))
            recalls.append(recall(ranked, grades))
    return Figure(sum(gains) / len(gains), sum(recalls) / len(recalls))


def clustered(count: int, dims: int, random: np.random.Generator) -> Vectors:
    centres = random.standard_normal((max(1, count // 200), dims), dtype=np.float32)
    vectors = centres[random.integers(len(centres), size=count)]
    vectors = vectors + 0.6 * random.standard_normal((count, dims), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def measure_size(count: int, words: Sequence[str]) -> None:
    random = np.random.default_rng(7)
    vectors = clustered(count + 50, 384, random)
    places = (random.zipf(1.3, size=(count + 50, 120)) - 1) % len(words)
    texts = [" ".join(words[place] for place in row) for row in places]
    rows = (
        Entry(at, f"file-{at // 100}", (at,), texts[at], 160, vectors[at].astype("<f2").tobytes())
        for at in range(count)
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        index = Index.build(Path(folder), rows, model="made-up", dims=384, change=1)
        built = time.process_time() - started
        started = time.process_time()
        index = Index.open(Path(folder), model="made-up", dims=384)
        opened = time.process_time() - started
        snapshot = index.snapshot()
        everything = measure_queries(snapshot, vectors[count:], texts[count:], None)
        few = measure_queries(snapshot, vectors[count:], texts[count:], 100)
    print(f"| {count:,} | {count / built:,.0f} | {opened * 1000:,.0f} | {everything} | {few} |")


def measure_queries(snapshot: Snapshot, vectors: Vectors, texts: Sequence[str], one_in: int | None) -> str:
    wanted = None if one_in is None else lambda file: int(file[5:]) % one_in == 0
    times: dict[str, list[float]] = {"words": [], "vectors": [], "mask": []}
    recalls = []
    for vector, text in zip(vectors, texts, strict=True):
        started = time.perf_counter()
        allowed = snapshot.allowed(wanted)
        masked = time.perf_counter()
        snapshot.by_words(" ".join(text.split()[:10]), 100, allowed)
        read = time.perf_counter()
        near = snapshot.by_vector(vector, 100, allowed)
        done = time.perf_counter()
        times["mask"].append(masked - started)
        times["words"].append(read - masked)
        times["vectors"].append(done - read)
        exact = {match.slot for match in snapshot.matrix.exact(vector, 20, allowed.slots)}
        recalls.append(len(exact & {match.slot for match in near[:20]}) / max(1, len(exact)))
    cells = " | ".join(f"{sorted(each)[len(each) // 2] * 1000:.2f}" for each in times.values())
    return f"{cells} | {sum(recalls) / len(recalls):.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, default=os.environ.get("RESPUN_RETRIEVAL_SETS"))
    parser.add_argument("--model", type=Path, default=os.environ.get("RESPUN_EMBEDDING_MODEL"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--sizes", default="")
    given = parser.parse_args()
    if given.sets and given.model:
        embedder = Remembering(BgeSmall(given.model), given.cache)
        print("nDCG@10 / recall@20, by the lexical leg's share; the weight is what the language chose")
        print(
            "| set (docs, queries) | words alone | vectors alone | .3 | .5 | .65 | .8 | default | weight | rows/CPU-s |"
        )
        for path in sorted(given.sets.glob("*.json")):
            measure_set(path, embedder)
        if embedder.tokens:
            print(f"embedding: {embedder.tokens / embedder.seconds:,.0f} tokens a CPU second")
    if given.sizes:
        words = [f"w{number}" for number in range(50_000)]
        print(
            "| rows | added/CPU-s | open ms | words ms | vectors ms | mask ms | recall@20 | the same, filter of 1 % |"
        )
        for size in given.sizes.split(","):
            measure_size(int(size), words)


if __name__ == "__main__":
    main()
