"""Both backends, each a real one, under every test that asks for `backend`."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from notes import MIGRATIONS

from respun.store.backend import Backend
from respun.store.opening import open_backend


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store can be opened, and opened again."""
    if request.param == "sqlite":
        return str(tmp_path / "data")
    make: Callable[[], str] = request.getfixturevalue("postgres_url")
    return make()


@pytest_asyncio.fixture
async def backend(place: str) -> AsyncIterator[Backend]:
    backend = await open_backend(place, migrations=MIGRATIONS)
    yield backend
    await backend.close()
