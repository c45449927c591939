"""What memories cost a message: the time to recall among many, and to keep one.

    PYTHONPATH=src python bench/memories.py [--memories 10000] [--meaning] [--database postgresql://...]

Facts are made of a vocabulary with the frequencies of a language (Zipf), so that a question meets common words and
rare ones. Prints milliseconds; the promise is at most 10 for a recall among 10,000.
"""

import argparse
import asyncio
import os
import random
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import numpy

from respun.config import Config
from respun.core.assistants import Assistant
from respun.core.memories import Memory, MemoryUse
from respun.engine.clock import Clock
from respun.engine.embeddings import Embeddings
from respun.engine.memory_vectors import MemoryVectors
from respun.engine.remembering import Remembering, RememberingSettings
from respun.providers.scripted import Scripted
from respun.store import assistants, memories, memory_vectors
from respun.store.backend import Backend, Tx
from respun.store.opening import open_backend
from respun.web.embeddings import EmbeddingModels
from respun.workspace.failures import Store
from respun.workspace.memories import Memories, Utterance

PROJECT = "default"
QUESTIONS = 200
_VOCABULARY = 20_000


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memories", type=int, default=10_000)
    parser.add_argument("--database")
    parser.add_argument("--meaning", action="store_true", help="with the carried embedding model")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        backend = await open_backend(given.database or Path(folder) / "data")
        try:
            await measure(backend, given.memories, random.Random(7), meaning=given.meaning)
        finally:
            await backend.close()


async def measure(backend: Backend, count: int, chance: random.Random, *, meaning: bool) -> None:
    clock = Clock()
    assistant = Assistant(clock.id("assistant"), clock.now, "scripted", name="Bench")
    say = speaker(chance)
    facts = [say(12) for _ in range(count)]
    await backend.write(lambda tx: assistants.add(tx, PROJECT, assistant))
    began = time.perf_counter()
    for start in range(0, count, 1000):
        await backend.write(lambda tx, start=start: keep(tx, assistant.id, facts, start, clock.now))
    kept = (time.perf_counter() - began) / count * 1000
    remembering = Remembering(backend, Scripted(), clock, "bench", RememberingSettings())
    vectors = await ready(backend, count) if meaning else None
    ws = Memories(Store(backend), clock, remembering, vectors)
    times, work, found, hits = [], [], [], 0
    for _ in range(QUESTIONS):
        target = chance.choice(facts)
        asked = " ".join([*chance.sample(target.split(), 5), *say(5).split()])
        asked = f"{asked} what does the user like to do there" if meaning else asked
        began, worked = time.perf_counter(), time.process_time()
        use = await ws.settle(PROJECT, assistant, MemoryUse("readonly"), Utterance("thread_1", asked))
        times.append((time.perf_counter() - began) * 1000)
        work.append((time.process_time() - worked) * 1000)
        found.append(len(use.recalled))
        hits += any(each.text == target for each in use.recalled)
    cuts = quantiles(times, n=100)
    print(f"{backend.kind}: {count} memories, kept in {kept:.2f} ms each")
    print(f"recall: median {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms, {sum(found) / QUESTIONS:.1f} memories a question")
    print(f"of that, work of this process: median {quantiles(work, n=100)[49]:.2f} ms")
    print(f"the memory that half the question's words came from is among them: {100 * hits / QUESTIONS:.1f} %")


async def ready(backend: Backend, count: int) -> MemoryVectors:
    """With the carried model; vectors are left to chance, for making 10,000 takes minutes."""
    config = Config(data=Path("unused"), models_folder=Path.home() / ".cache" / "respun" / "models")
    embeddings = Embeddings(EmbeddingModels(config, os.environ).make, time.monotonic)
    embedder = await embeddings.get()
    assert embedder, "There is no embedding model; the log says why."
    while bare := await backend.read(lambda tx: memory_vectors.pending(tx, embedder.name, 1000)):
        rows = numpy.random.default_rng(7).normal(size=(len(bare), embedder.dims)) / embedder.dims**0.5
        made = [(each, row.astype("<f2").tobytes()) for each, row in zip(bare, rows, strict=True)]
        await backend.write(lambda tx, made=made: memory_vectors.put(tx, embedder.name, made))
    return MemoryVectors(backend, embeddings)


async def keep(tx: Tx, assistant: str, facts: list[str], start: int, now: float) -> None:
    for number, fact in enumerate(facts[start : start + 1000], start):
        await memories.add(tx, PROJECT, Memory(f"m{number}", assistant, fact, now, now))


def speaker(chance: random.Random):
    words = ["".join(chance.choices("bcdfghklmnprst", k=2)) + f"{number:x}" for number in range(_VOCABULARY)]
    weights = [1 / (rank + 2.7) for rank in range(_VOCABULARY)]
    return lambda count: " ".join(chance.choices(words, weights, k=count))


if __name__ == "__main__":
    asyncio.run(main())
