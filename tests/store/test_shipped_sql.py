"""Every statement and migration that is shipped is accepted by both databases, with the schema it is for."""

import sqlite3
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import asyncpg

from respun.store.opening import open_backend
from respun.store.statements import Statement, load

FILES = sorted(file.name for file in files("respun.store").joinpath("sql").iterdir() if file.name.endswith(".sql"))
SHIPPED: list[Statement] = [statement for name in FILES for statement in load(name.removesuffix(".sql"))]


async def test_sqlite_compiles_what_is_shipped(tmp_path: Path) -> None:
    await (await open_backend(tmp_path / "data")).close()
    db = sqlite3.connect(tmp_path / "data" / "respun.db")
    refused = {}
    for statement in SHIPPED:
        try:
            db.execute(f"explain {statement.sqlite.sql}", [None] * len(statement.sqlite.order))
        except sqlite3.Error as error:
            refused[statement.name] = str(error)
    tables = {name for (name,) in db.execute("select name from sqlite_schema")}
    db.close()
    assert refused == {}
    assert {"settings", "schema_migrations"} <= tables


async def test_postgres_prepares_what_is_shipped(postgres_url: Callable[[], str]) -> None:
    url = postgres_url()
    await (await open_backend(url)).close()
    db = await asyncpg.connect(url)
    refused = {}
    for statement in SHIPPED:
        try:
            await db.prepare(statement.postgres.sql)
        except asyncpg.PostgresError as error:
            refused[statement.name] = str(error)
    tables = {row[0] for row in await db.fetch("select tablename from pg_tables")}
    await db.close()
    assert refused == {}
    assert {"settings", "schema_migrations"} <= tables
