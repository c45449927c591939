"""A world on each backend."""

from collections.abc import AsyncIterator

import pytest_asyncio

from engine.world import World, world


@pytest_asyncio.fixture
async def here(place: str) -> AsyncIterator[World]:
    async with world(place) as made:
        yield made
