"""Excerpts chosen by meaning: with the carried embedding model, on both stores."""

import asyncio
import os
from pathlib import Path
from time import monotonic

import pytest
from context_world import PROJECT, World, small_talk, world

from respun.core.problems import Problem
from respun.core.runs import Run, Truncation
from respun.engine.embeddings import Embeddings
from respun.engine.turns import Recollection
from respun.providers.embedding_files import embedding_files
from respun.retrieval.embed import BgeSmall, Embedder
from respun.store import context_vectors, contexts
from respun.store.backend import Tx
from respun.store.context_vectors import State, Vector

BY_MEANING = Truncation(vectors=True)
SECRET = "Our physician is Dr. Okafor, she treats the kids as well."
QUESTION = "Who is the family's doctor?"


@pytest.fixture
def bge() -> Recollection:
    async def make() -> Embedder:
        return BgeSmall(await embedding_files(Path.home() / ".cache/respun/models", os.environ))

    return Recollection(Embeddings(make, monotonic), patience=30)


async def made(shop: World, thread: str) -> tuple[contexts.Known, State]:
    """Once all entries of the index have vectors."""

    async def unit(tx: Tx) -> tuple[contexts.Known, State] | None:
        known = await contexts.find(tx, thread)
        state = await context_vectors.state(tx, known) if known else None
        return (known, state) if known and state and state.upto >= known.last else None

    async with asyncio.timeout(60):
        while not (found := await shop.backend.read(unit)):
            await asyncio.sleep(0.02)
    return found


async def talk(shop: World) -> str:
    """A thread with vectors, whose secret shares no word with the question."""
    thread = await shop.thread([("user", SECRET), ("assistant", "Good to know."), *small_talk(60)])
    await shop.indexed(thread)
    first = await shop.ask(thread, QUESTION, BY_MEANING)
    assert first.context is not None
    assert first.context.vectors is not None
    assert first.context.vectors.status == "not_ready"
    await shop.indexed(thread)
    await made(shop, thread)
    return thread


def sent(shop: World) -> str:
    return "\n".join(str(message.content) for message in shop.prompt)


def status(run: Run) -> str:
    assert run.context is not None
    assert run.context.vectors is not None
    assert run.context.used <= run.context.budget
    return run.context.vectors.status


async def test_a_message_that_shares_no_word_with_the_question_is_found(place: str, bge: Recollection) -> None:
    async with world(place, window=2_000, recollection=bge) as shop:
        thread = await talk(shop)
        assert status(await shop.ask(thread, QUESTION, BY_MEANING)) == "used"
        assert "Okafor" in sent(shop)
        run = await shop.ask(thread, QUESTION)
        assert run.context is not None
        assert run.context.vectors is None
        assert "Okafor" not in sent(shop)


async def test_a_deleted_message_leaves_no_vector(place: str, bge: Recollection) -> None:
    async with world(place, window=2_000, recollection=bge) as shop:
        thread = await talk(shop)
        known, state = await made(shop, thread)
        assert 1 in await numbers(shop, known, state)
        secret = await shop.backend.read(lambda tx: contexts.sources(tx, known, [1]))
        await shop.workspace.messages.delete(PROJECT, thread, secret[0].source)
        assert 1 not in await numbers(shop, known, state)
        assert status(await shop.ask(thread, QUESTION, BY_MEANING)) == "used"
        assert "Okafor" not in sent(shop)


async def numbers(shop: World, known: contexts.Known, state: State) -> set[int]:
    rows: list[Vector] = await shop.backend.read(lambda tx: context_vectors.newest(tx, known, 0, state.upto, 500))
    return {each.n for each in rows}


async def test_vectors_of_another_model_are_made_again(place: str, bge: Recollection) -> None:
    async with world(place, window=2_000, recollection=bge) as shop:
        thread = await talk(shop)

    class Other(BgeSmall):
        name = "another"

    async def make() -> Embedder:
        return Other(await embedding_files(Path.home() / ".cache/respun/models", os.environ))

    async with world(place, window=2_000, recollection=Recollection(Embeddings(make, monotonic), patience=30)) as shop:
        assert status(await shop.ask(thread, QUESTION, BY_MEANING)) == "not_ready"
        async with asyncio.timeout(60):
            while (await made(shop, thread))[1].model != "another":
                await asyncio.sleep(0.02)
        assert status(await shop.ask(thread, QUESTION, BY_MEANING)) == "used"


async def test_without_a_model_words_decide_and_the_run_says_so(place: str) -> None:
    async def make() -> Embedder:
        raise Problem("There is none.")

    async with world(
        place, window=2_000, recollection=Recollection(Embeddings(make, monotonic), True, patience=30)
    ) as shop:
        thread = await shop.thread(small_talk(60))
        await shop.indexed(thread)
        assert status(await shop.ask(thread, QUESTION)) == "no_model"


async def test_a_model_that_is_slow_holds_up_no_run(place: str) -> None:
    async def make() -> Embedder:
        await asyncio.Event().wait()
        raise AssertionError

    never = Recollection(Embeddings(make, monotonic), True, patience=0.05)
    async with world(place, window=2_000, recollection=never) as shop:
        thread = await shop.thread(small_talk(60))
        await shop.indexed(thread)
        assert status(await shop.ask(thread, QUESTION)) == "late"


async def test_a_short_thread_costs_nothing(place: str, bge: Recollection) -> None:
    async with world(place, recollection=bge) as shop:
        thread = await shop.thread(small_talk(3))
        assert status(await shop.ask(thread, QUESTION, BY_MEANING)) == "not_needed"


async def test_a_deleted_thread_takes_its_vectors_with_it(place: str, bge: Recollection) -> None:
    async with world(place, window=2_000, recollection=bge) as shop:
        thread = await talk(shop)
        known, state = await made(shop, thread)
        await shop.workspace.threads.delete(PROJECT, thread)
        async with asyncio.timeout(20):
            while await numbers(shop, known, state):
                await asyncio.sleep(0.02)
