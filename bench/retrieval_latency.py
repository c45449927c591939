"""How long a search takes, its question embedded, on one core: python bench/retrieval_latency.py --model FOLDER

    taskset -c 0 python bench/retrieval_latency.py --model FOLDER --sizes 100000,1000000

The rows are made up: texts are words under Zipf's law, vectors lie around those of real sentences of the model. Each
step is timed by itself, and all of a search together as the engine does it; files have 100 rows. Times are of the
processor, so that a busy machine does not add to them. The index is opened anew. Recall is against reading all vectors,
with and without a filter that keeps one file in a hundred.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from respun.retrieval.embed import BgeSmall, Vectors
from respun.retrieval.filters import Filter, parse
from respun.retrieval.index import Entry, Index, Snapshot
from respun.retrieval.search import Vectored, Wish, rank

DEPTH, QUESTIONS, WORDS_A_ROW, ROWS_A_FILE = 100, 40, 120, 100
SUBJECTS = ("boiler", "contract", "river", "engine", "tax", "garden", "vaccine", "orbit", "violin", "harvest")
ASPECTS = ("price", "history", "failure", "repair", "origin", "risk", "size", "law", "colour", "future")
PLACES = ("in winter", "at sea", "for children", "under load", "in old cities", "by night", "without water", "abroad")


def questions() -> list[str]:
    every = [f"What is the {a} of the {s} {p}?" for s in SUBJECTS for a in ASPECTS for p in PLACES]
    return [every[at] for at in np.random.default_rng(3).permutation(len(every))]


def around(real: Vectors, count: int, random: np.random.Generator) -> Iterator[Vectors]:
    """Unit vectors as far from real ones as passages of one subject are from each other, some thousand at a time."""
    for at in range(0, count, 10_000):
        some = real[random.integers(len(real), size=min(10_000, count - at))]
        noise = random.standard_normal(some.shape, dtype=np.float32) * np.float32(0.5 / some.shape[1] ** 0.5)
        yield (some + noise) / np.linalg.norm(some + noise, axis=1, keepdims=True)


def rows(count: int, real: Vectors) -> Iterator[Entry]:
    random = np.random.default_rng(7)
    asked = " ".join(questions()).split()
    words = [*dict.fromkeys(asked), *(f"w{number}" for number in range(50_000))]
    at = 0
    for vectors in around(real, count, random):
        places = (random.zipf(1.25, size=(len(vectors), WORDS_A_ROW)) - 1) % len(words)
        for vector, row in zip(vectors.astype("<f2"), places, strict=True):
            text = " ".join(words[place] for place in row)
            yield Entry(at, f"file-{at // ROWS_A_FILE}", (at,), text, 160, vector.tobytes())
            at += 1


def measure(count: int, model: BgeSmall) -> str:
    asked = questions()
    real = model.embed_here(asked[QUESTIONS:])
    with tempfile.TemporaryDirectory() as folder:
        Index.build(Path(folder), rows(count, real), model=model.name, dims=model.dims, change=1)
        started = time.perf_counter()
        snapshot = Index.open(Path(folder), model=model.name, dims=model.dims).snapshot()
        opened = time.perf_counter() - started
        all_rows = timed(snapshot, model, asked[:QUESTIONS], None)
        few = parse({"type": "eq", "key": "kept", "value": True})
        some_rows = timed(snapshot, model, asked[:QUESTIONS], few)
    return f"| {count:,} | {opened:.2f} s | {all_rows} | {some_rows} |"


def timed(snapshot: Snapshot, model: BgeSmall, asked: Sequence[str], only: Filter | None) -> str:
    attributes = {file: {"kept": int(file[5:]) % 100 == 0} for file in snapshot.files} if only else {}
    allowed = snapshot.allowed((lambda file: bool(attributes[file]["kept"])) if only else None)
    times: list[list[float]] = []
    recalls = []
    for question in asked:
        marks = [time.process_time()]
        vector = model.embed_here([question])[0]
        marks.append(time.process_time())
        snapshot.by_words(question, DEPTH, allowed)
        marks.append(time.process_time())
        near = snapshot.by_vector(vector, DEPTH, allowed)
        marks.append(time.process_time())
        vectored = Vectored(model.embed_here([question]), model.english_only)
        rank(snapshot, Wish((question,), filters=only, max_results=10), vectored, attributes)
        marks.append(time.process_time())
        times.append([after - before for before, after in pairwise(marks)])
        exact = {match.slot for match in snapshot.matrix.exact(vector, 20, allowed.slots)}
        recalls.append(len(exact & {match.slot for match in near[:20]}) / len(exact))
    cells = " | ".join(f"{np.median(each) * 1000:.1f}" for each in zip(*times, strict=True))
    return f"{cells} | {np.mean(recalls):.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=os.environ.get("RESPUN_EMBEDDING_MODEL"), required=False)
    parser.add_argument("--sizes", default="100000")
    given = parser.parse_args()
    if given.model is None:
        parser.error("give the folder of the embedding model, or set RESPUN_EMBEDDING_MODEL")
    model = BgeSmall(given.model)
    print(f"median CPU ms; load {os.getloadavg()[0]:.1f}")
    steps = "embed | words | vectors | search | recall@20"
    print(f"| rows | open | {steps} | filter of 1 %: {steps} |")
    for size in given.sizes.split(","):
        print(measure(int(size), model), flush=True)


if __name__ == "__main__":
    main()
