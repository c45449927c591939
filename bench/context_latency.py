"""How long it takes to choose what a run sends, in threads of a thousand to a million messages.

    python bench/context_latency.py [--sizes 1000,10000,100000,1000000] [--folder DIR]

One SQLite store holds a thread of each size with its index: made-up messages of 8 to 40 words by Zipf's law, written
straight into the tables, since a million messages would take the server long to read. Twenty facts are planted in each
thread and asked for. Each question has six words and
is answered at 4,000 and at 16,000 tokens through the engine's own `Chooser`; a further round writes and indexes real
messages through the server's code. Times are CPU milliseconds; on a busy machine they are more telling than the clock.
"""

import argparse
import asyncio
import random
import resource
import sqlite3
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from respun.core.context.score import impact
from respun.core.context.strategies import Auto
from respun.core.threads import Message, Text, Thread
from respun.engine.context import Chooser, Chosen, Wanted
from respun.engine.indexing import Indexing
from respun.providers.tokens import estimate
from respun.store import contexts, messages, threads
from respun.store.backend import Backend
from respun.store.codec import text_of
from respun.store.opening import open_backend

WORDS = 40_000
QUESTIONS = 60
BUDGETS = (4_000, 16_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000,1000000")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(bench(given.folder or Path(folder), sizes))


async def bench(folder: Path, sizes: list[int]) -> None:
    await (await open_backend(folder)).close()
    for context, size in enumerate(sizes, 1):
        fill(folder / "respun.db", context, size)
    backend = await open_backend(folder)
    try:
        print(f"{'messages':>10}{'budget':>8}{'p50 ms':>9}{'p95 ms':>9}{'recalled':>10}{'facts found':>13}")
        for size in sizes:
            for budget in BUDGETS:
                await ask(backend, size, budget)
        await write(backend)
    finally:
        await backend.close()
    print(f"database {(folder / 'respun.db').stat().st_size / 1e6:.0f} MB")
    print(f"memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def fill(path: Path, context: int, size: int) -> None:
    """A thread and its index, in the order of the keys."""
    db = sqlite3.connect(path)
    db.execute("pragma synchronous=off")
    db.execute("pragma cache_size=-200000")
    thread, day = f"thread_{size}", "2026-01-02"
    db.execute(
        "insert into threads (id, project, created_at, last_position, body) values (?, 'default', 0, ?, ?)",
        (thread, size, text_of(Thread(thread, 0.0))),
    )
    db.execute("create temp table heap (term text, impact integer, n integer)")
    draw, tokens = words(size), 0
    facts = planted(size)
    for n in range(1, size + 1):
        said = facts.get(n) or next(draw)
        text = " ".join(said)
        role = "user" if n % 2 else "assistant"
        cost = estimate(text) + 4
        tokens += cost
        message = Message(f"msg_{size}_{n}", thread, 0.0, role, (Text(text),))  # type: ignore[arg-type]
        db.execute(
            "insert into messages (id, thread, position, body) values (?, ?, ?, ?)",
            (message.id, thread, n, text_of(message)),
        )
        row = (context, n, message.id, 0, role, cost, 0, day, "")
        db.execute("insert into context_entries values (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        found = Counter(said)
        rows = [(term, impact(times, len(said), role, cost), n) for term, times in found.items()]  # type: ignore[arg-type]
        db.executemany("insert into heap values (?, ?, ?)", rows)
    db.execute("insert into contexts values (?, ?, 'other', ?, ?, ?, ?)", (context, thread, size, size, size, tokens))
    db.execute(f"insert into context_postings select {context}, term, impact, n from heap order by 2, 3, 4")
    db.execute(f"insert into context_terms select {context}, term, count(*) from heap group by term order by term")
    db.commit()
    db.execute("drop table heap")
    db.close()


def words(seed: int) -> Iterator[list[str]]:
    """The words of one message after the other."""
    dice = random.Random(seed)
    weights = [1 / (rank + 2.7) for rank in range(WORDS)]
    names = [f"w{rank}" for rank in range(WORDS)]
    while True:
        pool = dice.choices(names, weights, k=20_000)
        at = 0
        while at < len(pool) - 40:
            length = dice.randint(8, 40)
            yield pool[at : at + length]
            at += length


def planted(size: int) -> dict[int, list[str]]:
    """A fact at each twentieth of a thread: two words that few know among ten that all use."""
    dice = random.Random(size + 1)
    return {
        size * part // 21: [f"w{dice.randint(WORDS // 2, WORDS - 1)}" for _ in range(2)]
        + [f"w{dice.randint(5, 500)}" for _ in range(10)]
        for part in range(1, 21)
    }


async def find(backend: Backend, size: int, budget: int) -> int:
    """How many of the planted facts are sent whole when somebody asks for them with half of their words."""
    chooser = Chooser(backend, Indexing(backend, estimate), estimate, time.perf_counter)
    found = 0
    for n, said in planted(size).items():
        wanted = Wanted(f"thread_{size}", "", "any", budget, budget, Auto(), query=" ".join(said[:6]))
        chosen = await chooser.choose(wanted)
        assert isinstance(chosen, Chosen)
        found += n in {each.n for each in chosen.selection.each() if each.spans is None}
    return found


async def ask(backend: Backend, size: int, budget: int) -> None:
    chooser = Chooser(backend, Indexing(backend, estimate), estimate, time.perf_counter)
    dice = random.Random(7)
    spent, recalled = [], 0
    for _ in range(QUESTIONS):
        # Words of a question are neither the commonest nor such that nobody used them.
        query = " ".join(f"w{int(10 ** dice.uniform(1, 4))}" for _ in range(6))
        wanted = Wanted(f"thread_{size}", "", "any", budget, budget, Auto(), query=query)
        begun = time.process_time()
        chosen = await chooser.choose(wanted)
        spent.append((time.process_time() - begun) * 1000)
        assert isinstance(chosen, Chosen)
        recalled += chosen.context.recalled
    p50, p95 = statistics.median(spent), statistics.quantiles(spent, n=20)[-1]
    found = await find(backend, size, budget)
    print(f"{size:>10}{budget:>8}{p50:>9.2f}{p95:>9.2f}{recalled / QUESTIONS:>10.1f}{found:>10}/20")


async def write(backend: Backend, count: int = 2_000) -> None:
    """What the index adds to a message that is written."""
    draw = words(3)
    drafts = [
        Message(f"msg_w{n}", "thread_w", 0.0, "user" if n % 2 else "assistant", (Text(" ".join(next(draw))),))
        for n in range(count)
    ]

    await backend.write(lambda tx: threads.add(tx, "default", Thread("thread_w", 0.0)))
    begun = time.process_time()
    for draft in drafts:
        await backend.write(lambda tx, draft=draft: messages.append(tx, "default", "thread_w", (draft,)))  # type: ignore[misc]
    plain = time.process_time() - begun
    begun = time.process_time()
    await Indexing(backend, estimate).build("thread_w")
    indexed = time.process_time() - begun
    known = await backend.read(lambda tx: contexts.find(tx, "thread_w"))
    assert known is not None
    assert known.size == count
    print(f"writing a message {plain / count * 1000:.3f} ms, indexing it later {indexed / count * 1000:.3f} ms")


if __name__ == "__main__":
    main()
