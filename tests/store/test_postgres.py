"""What holds for a store on PostgreSQL only: lost connections, races, and what is said when it can't be opened."""

import asyncio
from collections.abc import Callable

import pytest
from notes import MIGRATIONS, count, put, sql

from plugins.postgres import PostgresDatabases
from respun.store.backend import Retryable, Settings, StorageUnavailable, StoreRefused, Tx
from respun.store.opening import open_backend
from respun.store.statements import parse

own = parse(
    """
-- name: disconnect (sqlite)
-- Not for SQLite.
select 1;
-- name: disconnect (postgres)
-- As a server does that is shut down.
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();
-- name: take
-- Locks the notes of a thread until the end of the transaction.
update notes set body = 'taken' where thread = :thread;
""",
    "test_postgres.py",
)


async def within(seconds: float, attempt: Callable[[], object]) -> None:
    """Repeat until it doesn't raise StorageUnavailable."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await attempt()
                return
            except StorageUnavailable:
                await asyncio.sleep(0.05)


async def test_units_that_deadlock_are_run_again(postgres_url: Callable[[], str]) -> None:
    backend = await open_backend(postgres_url(), migrations=MIGRATIONS)
    await backend.write(lambda tx: tx.many(sql.put, [("a", 1, ""), ("b", 1, "")]))
    runs: list[str] = []

    async def unit(tx: Tx, first: str, second: str) -> None:
        runs.append(first)
        await tx.run(own.take, thread=first)
        await asyncio.sleep(0.05)  # lets the other take its first
        await tx.run(own.take, thread=second)

    await asyncio.gather(
        backend.write(lambda tx: unit(tx, "a", "b")),
        backend.write(lambda tx: unit(tx, "b", "a")),
    )
    await backend.close()
    assert len(runs) > 2


async def test_a_unit_that_always_loses_is_told_to_try_again(postgres_url: Callable[[], str]) -> None:
    backend = await open_backend(postgres_url(), migrations=MIGRATIONS)
    runs = 0

    async def unit(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        raise Retryable("lost")

    with pytest.raises(Retryable):
        await backend.write(unit)
    await backend.close()
    assert runs == 6


async def test_after_the_server_was_away_units_and_notices_work_again(
    postgres: PostgresDatabases, postgres_url: Callable[[], str]
) -> None:
    backend = await open_backend(postgres_url(), Settings(wait_seconds=5), MIGRATIONS)
    heard: asyncio.Queue[str] = asyncio.Queue()
    await backend.listen("runs", heard.put_nowait)
    await backend.write(lambda tx: put(tx, "a", 1))
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, postgres.stop)
    try:
        for attempt in (backend.write(count), backend.read(count), backend.scan(count), backend.notify("runs", "x")):
            with pytest.raises(StorageUnavailable):
                await attempt
    finally:
        await loop.run_in_executor(None, postgres.start)
    assert await backend.read(count) == 1

    async def heard_again() -> None:
        await backend.notify("runs", "back")
        try:
            assert await asyncio.wait_for(heard.get(), 0.3) == "back"
        except TimeoutError as error:
            raise StorageUnavailable("not yet") from error

    await within(10, heard_again)
    await backend.close()


async def test_a_connection_that_is_cut_within_a_unit_is_unavailable_and_the_next_unit_works(
    postgres_url: Callable[[], str],
) -> None:
    url = postgres_url()
    backend = await open_backend(url, migrations=MIGRATIONS)
    other = await open_backend(url, migrations=MIGRATIONS)

    async def unit(tx: Tx) -> None:
        await put(tx, "a", 1)
        await other.read(lambda tx: tx.all(own.disconnect))
        await put(tx, "a", 2)

    with pytest.raises(StorageUnavailable):
        await backend.write(unit)
    assert await backend.read(count) == 0
    await backend.close()
    await other.close()


async def test_a_notice_reaches_another_process(postgres_url: Callable[[], str]) -> None:
    url = postgres_url()
    here, there = [await open_backend(url, migrations=MIGRATIONS) for _ in range(2)]
    heard: asyncio.Queue[str] = asyncio.Queue()
    await there.listen("runs", heard.put_nowait)
    await here.notify("runs", "x" * 7999)
    assert await asyncio.wait_for(heard.get(), 5) == "x" * 7999
    await here.close()
    await there.close()


async def test_a_server_that_isnt_there_is_named_without_its_password() -> None:
    with pytest.raises(StorageUnavailable, match=r"database notes on 127\.0\.0\.1") as failure:
        await open_backend("postgresql://me:secret@127.0.0.1:1/notes")
    assert "secret" not in str(failure.value)


async def test_a_database_that_isnt_there_is_refused(postgres: PostgresDatabases) -> None:
    with pytest.raises(StoreRefused, match="nowhere"):
        await open_backend(postgres.url("nowhere"))
