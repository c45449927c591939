"""Both stores under every test that asks for `place`."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from context_world import World, world


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "data")
    make: Callable[[], str] = request.getfixturevalue("postgres_url")
    return make()


@pytest_asyncio.fixture
async def shop(place: str) -> AsyncIterator[World]:
    """A server whose model holds 4,000 tokens."""
    async with world(place) as made:
        yield made
