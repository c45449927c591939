"""Both stores under every test that asks for `place`."""

from collections.abc import AsyncIterator

import pytest_asyncio
from context_world import World, world


@pytest_asyncio.fixture
async def shop(place: str) -> AsyncIterator[World]:
    """A server whose model holds 4,000 tokens."""
    async with world(place) as made:
        yield made
