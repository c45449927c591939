"""One sandbox of each back-end for a file of tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from respun.sandbox.ports import NoSandbox, Sandbox
from sandbox.backends import BACKENDS, make


@pytest_asyncio.fixture(params=BACKENDS, scope="module", loop_scope="module")
async def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    made = make(request.param, tmp_path_factory.mktemp("sandbox"))
    try:
        await made.start()
        yield made
    except NoSandbox as problem:
        pytest.skip(problem.reason)
    finally:
        await made.aclose()
