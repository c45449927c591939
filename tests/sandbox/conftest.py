"""One sandbox of each back-end for a file of tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from respun.sandbox.ports import NoSandbox, Sandbox
from sandbox.backends import BACKENDS, VARIANTS, make
from sandbox.probes import SLOW


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What fills a session up is stopped by the same code in all variants of `process`: one shows it every day."""
    for item in items:
        given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if given.get("sandbox") in VARIANTS and getattr(given.get("probe"), "name", "") in SLOW:
            item.add_marker(pytest.mark.thorough)


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
