"""The schema as numbered files, applied in order and never taken back.

`store/sql/migrations/0002_threads.sql` serves both databases, with the words of `words.py`; where they must differ,
`0002_threads.sqlite.sql` and `0002_threads.postgres.sql` stand beside each other. A file that was released is never
changed: its checksum is stored with the schema and compared at every start.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Final

import msgspec

from respun.store.backend import StoreRefused
from respun.store.statements import fill
from respun.store.words import Kind

if TYPE_CHECKING:
    import asyncpg

_FILE: Final = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)(?:\.(?P<kind>sqlite|postgres))?\.sql")
_TABLE: Final = """create table if not exists schema_migrations
    (number bigint primary key, name text not null, checksum text not null)"""
_APPLIED: Final = "select number, name, checksum from schema_migrations order by number"
# Any constant will do, as long as every release of respun takes the same one.
_LOCK: Final = 0x72657370756E


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema, for each database."""

    number: int
    name: str
    sqlite: str
    postgres: str

    def checksum(self, kind: Kind) -> str:
        return sha256(self.text(kind).encode()).hexdigest()

    def text(self, kind: Kind) -> str:
        return self.sqlite if kind == "sqlite" else self.postgres


class Applied(msgspec.Struct, frozen=True):
    """What a database says about a migration it has had."""

    number: int
    name: str
    checksum: str


def shipped() -> list[Migration]:
    """The migrations that come with this release."""
    return load(files("respun.store").joinpath("sql", "migrations"))


def load(folder: Traversable) -> list[Migration]:
    """The migrations in a folder, in order of their numbers; refuses a number used twice and half a pair."""
    texts: dict[int, dict[Kind, tuple[str, str]]] = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            _add(texts, file)
    return [_joined(number, texts[number]) for number in sorted(texts)]


def pending(known: Sequence[Migration], applied: Sequence[Applied], kind: Kind) -> list[Migration]:
    """What a database still lacks; refuses one that is ahead of this release or that was changed."""
    if len(applied) > len(known):
        raise StoreRefused(
            f"The database has schema {len(applied)}, this release knows up to {len(known)}. "
            "Start the release that wrote it, or a later one."
        )
    for had, migration in zip(applied, known, strict=False):
        if (had.number, had.checksum) != (migration.number, migration.checksum(kind)):
            raise StoreRefused(
                f"The database was made by another text of migration {migration.number:04d}_{migration.name} "
                f"(it had {had.number:04d}_{had.name}). Start the release that wrote it; a released migration "
                "is never changed, add a further one instead."
            )
    return list(known[len(applied) :])


def migrate_sqlite(db: sqlite3.Connection, known: Sequence[Migration]) -> None:
    """Bring a database up to date; each migration in a transaction of its own."""
    db.execute(_TABLE)
    for migration in pending(known, [Applied(*row) for row in db.execute(_APPLIED)], "sqlite"):
        db.execute("begin immediate")
        try:
            for statement in split(fill(migration.sqlite, "sqlite")):
                db.execute(statement)
            db.execute(
                "insert into schema_migrations values (?, ?, ?)",
                (migration.number, migration.name, migration.checksum("sqlite")),
            )
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            raise


async def migrate_postgres(db: "asyncpg.Connection", known: Sequence[Migration]) -> None:
    """Bring a database up to date; nodes that start together wait for each other."""
    await db.execute("select pg_advisory_lock($1)", _LOCK)
    try:
        await db.execute(_TABLE)
        applied = [Applied(*row) for row in await db.fetch(_APPLIED)]
        for migration in pending(known, applied, "postgres"):
            async with db.transaction():
                await db.execute(fill(migration.postgres, "postgres"))
                await db.execute(
                    "insert into schema_migrations values ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.checksum("postgres"),
                )
    finally:
        await db.execute("select pg_advisory_unlock($1)", _LOCK)


def split(script: str) -> Iterator[str]:
    """The statements of a script for SQLite, which takes one at a time; triggers stay whole."""
    statement = ""
    for piece in re.split(r"(?<=;)", script):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _add(texts: dict[int, dict[Kind, tuple[str, str]]], file: Traversable) -> None:
    form = _FILE.fullmatch(file.name)
    if form is None:
        raise ValueError(f"{file.name} isn't named like a migration: 0002_what_it_adds.sql.")
    variants = texts.setdefault(int(form["number"]), {})
    kinds: list[Kind] = ["sqlite", "postgres"]
    for kind in [k for k in kinds if form["kind"] in (None, k)]:
        if kind in variants:
            raise ValueError(f"Two migrations have the number {form['number']}.")
        variants[kind] = (form["name"], file.read_text("utf-8"))


def _joined(number: int, variants: dict[Kind, tuple[str, str]]) -> Migration:
    if len(variants) != 2:
        raise ValueError(f"Migration {number:04d} is there for {next(iter(variants))} only.")
    (name, sqlite), (other, postgres) = variants["sqlite"], variants["postgres"]
    if name != other:
        raise ValueError(f"Migration {number:04d} is called {name} and {other}; give both files one name.")
    return Migration(number, name, sqlite, postgres)
