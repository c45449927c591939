"""Memories found by meaning: a question that shares no word with what it asks for."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from plugins.backboard import at_home
from respun.providers.scripted import Scripted

pytestmark = pytest.mark.asyncio

_MEANINGS = (("cat", "feline", "kitten"), ("tea", "beverage"), ("oslo", "city"))


class Meanings:
    """An embedder that knows which of a few words mean the same."""

    name = "meanings"
    dims = len(_MEANINGS) + 1
    english_only = False

    def count(self, text: str) -> int:
        return len(text.split())

    async def embed(self, texts: Sequence[str]) -> Any:
        rows = [[*(any(word in text.lower() for word in words) for words in _MEANINGS), 0.1] for text in texts]
        found = np.array(rows, dtype=np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest_asyncio.fixture
async def http(tmp_path: Path, place: str) -> AsyncIterator[httpx.AsyncClient]:
    async def make() -> Meanings:
        return Meanings()

    async with (
        at_home(tmp_path, Scripted(), embeddings=make, place=place) as url,
        httpx.AsyncClient(base_url=url, timeout=20) as client,
    ):
        yield client


async def memories_of(http: httpx.AsyncClient, *texts: str) -> str:
    bot = (await http.post("/assistants", json={"name": "Bot"})).json()["assistant_id"]
    for text in texts:
        assert (await http.post(f"/assistants/{bot}/memories", json={"content": text})).status_code == 201
    return f"/assistants/{bot}/memories"


async def found(http: httpx.AsyncClient, path: str, query: str, wanted: list[str]) -> list[dict[str, Any]]:
    """What a search finds, once the vectors are made that it needs."""
    async with asyncio.timeout(20):
        while True:
            listed: list[dict[str, Any]] = (await http.post(f"{path}/search", json={"query": query})).json()["memories"]
            texts = [each["content"] for each in listed if each["score"] > 0.2]
            if texts == wanted:
                return listed
            await asyncio.sleep(0.05)


async def test_a_memory_is_found_that_shares_no_word_with_the_question(http: httpx.AsyncClient):
    path = await memories_of(http, "Owns a kitten.", "Drinks tea.", "Lives in Oslo.")
    await found(http, path, "Which feline is hers?", ["Owns a kitten."])
    asked = {"content": "Which beverage?", "assistant_id": path.split("/")[2], "memory": "Readonly"}
    reply = (await http.post("/threads/messages", json=asked)).json()
    assert [each["memory"] for each in reply["retrieved_memories"]] == ["Drinks tea."]


async def test_a_memory_that_changes_or_goes_is_found_by_what_it_says_now(http: httpx.AsyncClient):
    path = await memories_of(http, "Owns a kitten.", "Drinks tea.")
    ident = (await found(http, path, "Which feline?", ["Owns a kitten."]))[0]["id"]
    await http.put(f"{path}/{ident}", json={"content": "Lives in Oslo."})
    await found(http, path, "Which city?", ["Lives in Oslo."])
    await found(http, path, "Which feline?", [])
    await http.delete(f"{path}/{ident}")
    await found(http, path, "Which city?", [])
    await http.delete(path)
    await found(http, path, "Which beverage?", [])


async def test_meaning_keeps_people_apart_too(http: httpx.AsyncClient):
    path = await memories_of(http, "Drinks tea.")
    await http.post(path, json={"content": "Owns a kitten.", "metadata": {"user_id": "ada"}})
    await found(http, path, "Which feline?", ["Owns a kitten."])
    for user, knows in (("ada", True), ("bob", False)):
        asked = {
            "content": "Which feline?",
            "assistant_id": path.split("/")[2],
            "memory": "Readonly",
            "metadata": {"user_id": user},
        }
        reply = (await http.post("/threads/messages", json=asked)).json()
        assert ["Owns a kitten." in each["memory"] for each in reply["retrieved_memories"]] == [True] * knows
