"""Both backends, each a real one, under every test that asks for `backend`."""

from collections.abc import AsyncIterator

import pytest_asyncio
from notes import MIGRATIONS

from respun.store.backend import Backend
from respun.store.opening import open_backend


@pytest_asyncio.fixture
async def backend(place: str) -> AsyncIterator[Backend]:
    backend = await open_backend(place, migrations=MIGRATIONS)
    yield backend
    await backend.close()
