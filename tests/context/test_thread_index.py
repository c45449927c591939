"""The stored index: the same answers as one in memory, on both stores, from keys alone, in step with every change."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from context_world import PROJECT, World, small_talk

from respun.core.context.joined import Joined
from respun.core.context.memory import MemoryIndex, Said
from respun.core.context.query import weights_of
from respun.core.context.recent import Recent
from respun.core.context.thread import AFTER_ALL
from respun.providers.tokens import estimate
from respun.store import contexts
from respun.store.backend import Tx
from respun.store.opening import open_backend
from respun.store.statements import Statement
from respun.store.thread_index import StoredPart

TALK = [
    ("user", "From now on, always answer in French."),
    ("assistant", "D'accord, je répondrai en français."),
    ("user", "My daughter is allergic to peanuts. " * 3),
    *small_talk(90),
    ("user", "Remember that the Ghent keys hang behind the stairs."),
    ("assistant", "A long answer about keys.\n" + "\n".join(f"{n}. Key {n} opens shelf {n}." for n in range(60))),
]
QUESTIONS = ["Where do the keys of Ghent hang?", "week 12 Oslo shelves", "peanuts", "nothing of the kind", ""]


async def test_the_stored_index_answers_as_one_in_memory_does(shop: World) -> None:
    thread = await shop.thread(TALK)  # type: ignore[arg-type]
    known = await shop.indexed(thread)
    memory = MemoryIndex([Said(role, text) for role, text in TALK], estimate, known.language)  # type: ignore[arg-type]

    async def unit(tx: Tx) -> None:
        stored = Joined(StoredPart(tx, known), Recent((), (), estimate, known.language))
        assert await stored.shape() == await memory.shape()
        assert _undated(await stored.before(50, 30)) == _undated(await memory.before(50, 30))
        assert _undated(await stored.after(50, 30)) == _undated(await memory.after(50, 30))
        assert await stored.load([1, 5, 185]) == await memory.load([1, 5, 185])
        found, wanted = await stored.standing(AFTER_ALL, 50), await memory.standing(AFTER_ALL, 50)
        assert [(one.facts.n, one.passage, one.force) for one in found] == [
            (one.facts.n, one.passage, one.force) for one in wanted
        ]
        assert found
        for question in QUESTIONS:
            query = weights_of(question, known.language)
            for below in (AFTER_ALL, 120):
                mine, theirs = await stored.search(query, below, 40), await memory.search(query, below, 40)
                assert mine.hits == theirs.hits
                assert mine.weights == theirs.weights
                assert set(mine.facts) == set(theirs.facts)

    await shop.backend.read(unit)


def _undated(facts):  # type: ignore[no-untyped-def]
    return [(each.n, each.role, each.tokens, each.calls, each.prefers) for each in facts]


async def test_a_deleted_message_leaves_nothing_in_the_index(shop: World) -> None:
    thread = await shop.thread([("user", "The zebra and the quokka met."), *small_talk(5)])
    known = await shop.indexed(thread)
    (first,) = [one for one in await _messages(shop, thread) if "zebra" in one.text]
    await shop.workspace.messages.delete(PROJECT, thread, first.id)

    async def left(tx: Tx) -> list[object]:
        after = await contexts.find(tx, thread)
        assert after is not None
        part = StoredPart(tx, after)
        return [await part.frequencies(["zebra", "quokka"]), await part.facts([1]), known.size - after.size]

    assert await shop.backend.read(left) == [{}, {}, 1]


async def test_a_deleted_thread_takes_its_index_with_it(shop: World) -> None:
    thread = await shop.thread(small_talk(60))
    known = await shop.indexed(thread)
    await shop.workspace.threads.delete(PROJECT, thread)
    while await shop.backend.write(contexts.purge_some):
        pass
    part = await shop.backend.read(lambda tx: StoredPart(tx, known).before(AFTER_ALL, 5))
    terms = await shop.backend.read(lambda tx: StoredPart(tx, known).frequencies(["shelv", "oslo"]))
    assert (part, terms) == ([], {})


async def test_many_messages_at_once_are_indexed_without_being_asked_for(shop: World) -> None:
    thread = await shop.thread(small_talk(150))
    assert await shop.backend.read(contexts.next_build) in (thread, None)
    while (known := await shop.backend.read(lambda tx: contexts.find(tx, thread))) is None or known.upto < 300:
        await shop.turns.indexing.build(thread)
    assert known.size == 300


HOT: list[tuple[Statement, int]] = [
    (contexts.sql[name], 0)
    for name in ("find", "before", "after", "facts", "sources", "frequencies", "best", "standing", "newest_runs")
]


@pytest.mark.parametrize("statement", [one for one, _ in HOT], ids=lambda one: one.name)
async def test_sqlite_answers_from_keys(tmp_path: Path, statement: Statement) -> None:
    await (await open_backend(tmp_path / "data")).close()
    db = sqlite3.connect(tmp_path / "data" / "respun.db")
    rows = db.execute(f"explain query plan {statement.sqlite.sql}", [None] * len(statement.sqlite.order)).fetchall()
    db.close()
    plan = [row[3] for row in rows]
    assert not [line for line in plan if line.startswith("SCAN") and "json_each" not in line], plan
    assert not [line for line in plan if "TEMP B-TREE" in line], plan
    if statement.name == "best":
        assert any("context=? AND term=?" in line for line in plan), plan


async def test_postgres_reads_the_best_of_a_term_from_the_end_of_its_key(postgres_url: Callable[[], str]) -> None:
    url = postgres_url()
    await (await open_backend(url)).close()
    db = await asyncpg.connect(url)
    await db.execute(
        "insert into context_postings select 1, 't' || (i % 50), (i * 7919) % 400, i from generate_series(1, 20000) i"
    )
    await db.execute("analyze context_postings")
    sql = contexts.sql.best.postgres.sql
    for number, value in ((1, "1"), (2, "'t3'"), (3, "19000"), (4, "100")):
        sql = sql.replace(f"${number}", value)
    plan = "\n".join(row[0] for row in await db.fetch(f"explain {sql}"))
    await db.close()
    assert "Index Only Scan Backward" in plan or "Index Scan Backward" in plan, plan
    assert "Sort" not in plan


async def _messages(shop: World, thread: str):  # type: ignore[no-untyped-def]
    from respun.core.pages import PageRequest

    return (await shop.workspace.messages.list(PROJECT, thread, PageRequest(100, "asc"))).items
