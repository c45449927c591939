"""PostgreSQL under the store: a pool for units, and one connection more for notices.

This module is imported only when a store is opened on PostgreSQL, and asyncpg with it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from decimal import Decimal
from typing import Any, Final, Literal, TypeVar, cast
from urllib.parse import urlsplit

import asyncpg

from respun.store.backend import (
    ConstraintViolation,
    ForeignKeyViolation,
    Heard,
    Retryable,
    Row,
    Settings,
    StorageFull,
    StorageUnavailable,
    StoreRefused,
    TooSlow,
    UniqueViolation,
    Unit,
    Value,
    check_notice,
)
from respun.store.migrations import Migration, migrate_postgres
from respun.store.notices import Notices
from respun.store.statements import Statement

T = TypeVar("T")
# Larger than the number of statements of the whole server: each is prepared once a connection.
_STATEMENTS: Final = 1024
_OLDEST: Final = 14
_RETRIES: Final = 5
_FIRST_PAUSE: Final = 0.005  # seconds, doubled for each further retry
DRIVER_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
_UNIQUE_INDEXES: Final = """
    select i.relname as name, t.relname as table,
           array(select coalesce(a.attname, '') from unnest(x.indkey) with ordinality as k(number, place)
                 left join pg_attribute a on a.attrelid = t.oid and a.attnum = k.number order by k.place)::text[]
             as columns
    from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
    where x.indisunique and t.relnamespace = any(current_schemas(false)::regnamespace[]::oid[])"""


class Unique(dict[str, UniqueViolation]):
    """What to raise for each unique index, by its name."""


async def open_postgres(url: str, settings: Settings, known: Sequence[Migration]) -> "PostgresBackend":
    """Open a database and bring its schema up to date; raises StoreRefused or StorageUnavailable."""
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=settings.connections,
            init=_prepare,
            reset=_leave_as_it_is,
            **_connection_options(settings),
        )
    except (*DRIVER_ERRORS, ValueError) as error:
        raise _unreachable(url, error) from error
    try:
        async with pool.acquire() as db:
            _require_version(db)
            await migrate_postgres(db, known)
            unique = _violations(await db.fetch(_UNIQUE_INDEXES))
    except BaseException:
        pool.terminate()
        raise
    return PostgresBackend(url, pool, settings, unique)


class PostgresBackend:
    """The store in a database that several processes may share."""

    kind: Literal["postgres"] = "postgres"

    def __init__(self, url: str, pool: Any, settings: Settings, unique: Unique) -> None:
        self._pool = pool
        self._settings = settings
        self._unique = unique
        self._notices = Notices(lambda: asyncpg.connect(url, **_connection_options(settings)), DRIVER_ERRORS)

    async def write(self, unit: Unit[T], *, frees_space: bool = False) -> T:
        for retry in range(_RETRIES):
            try:
                return await self._transaction(unit)
            except Retryable:
                await asyncio.sleep(_FIRST_PAUSE * 2**retry)
        return await self._transaction(unit)

    async def read(self, unit: Unit[T]) -> T:
        async with self._connection() as db:
            return await unit(PostgresTx(db, self._unique))

    async def scan(self, unit: Unit[T]) -> T:
        seconds = self._settings.scan_seconds
        async with self._connection() as db:
            # The server's own timeout comes first; the other is for a server that went away.
            tx = PostgresTx(db, self._unique, seconds + self._settings.wait_seconds)
            async with tx.transaction(isolation="repeatable_read", readonly=True):
                await tx.limit(seconds)
                return await unit(tx)

    async def listen(self, channel: str, heard: Heard) -> None:
        await self._notices.listen(channel, heard)

    async def unlisten(self, channel: str, heard: Heard) -> None:
        await self._notices.unlisten(channel, heard)

    async def notify(self, channel: str, payload: str) -> None:
        check_notice(payload)
        await self._notices.notify(channel, payload)

    async def restore_reserve(self) -> bool:
        """Always False: the server's disk is its administrator's."""
        return False

    async def close(self) -> None:
        await self._notices.close()
        try:
            await asyncio.wait_for(self._pool.close(), self._settings.wait_seconds)
        except (*DRIVER_ERRORS, TimeoutError):
            self._pool.terminate()

    async def _transaction(self, unit: Unit[T]) -> T:
        async with self._connection() as db:
            tx = PostgresTx(db, self._unique)
            async with tx.transaction():
                return await unit(tx)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        try:
            db = await self._pool.acquire(timeout=self._settings.wait_seconds)
        except DRIVER_ERRORS as error:
            raise StorageUnavailable(f"PostgreSQL doesn't answer: {error or type(error).__name__}.") from error
        try:
            yield db
        finally:
            await self._pool.release(db)


class PostgresTx:
    """A transaction, or a series of statements, on one connection."""

    __slots__ = ("_db", "_seconds", "_unique")

    def __init__(self, db: Any, unique: Unique, seconds: float | None = None) -> None:
        self._db = db
        self._unique = unique
        self._seconds = seconds

    async def one(self, statement: Statement, /, **given: Value) -> Row | None:
        values = statement.for_postgres(given)
        found = await self._do(self._db.fetchrow, statement.postgres.sql, *values, timeout=self._seconds)
        return cast("Row | None", found)

    async def all(self, statement: Statement, /, **given: Value) -> list[Row]:
        values = statement.for_postgres(given)
        found = await self._do(self._db.fetch, statement.postgres.sql, *values, timeout=self._seconds)
        return cast("list[Row]", found)

    async def run(self, statement: Statement, /, **given: Value) -> int:
        values = statement.for_postgres(given)
        tag: str = await self._do(self._db.execute, statement.postgres.sql, *values, timeout=self._seconds)
        # The protocol's command tag ends in the count: "UPDATE 3", "INSERT 0 1".
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0

    async def many(self, statement: Statement, rows: Iterable[Mapping[str, Value] | tuple[Value, ...]], /) -> None:
        values = [statement.for_postgres(statement.named(row)) for row in rows]
        await self._do(self._db.executemany, statement.postgres.sql, values, timeout=self._seconds)

    @asynccontextmanager
    async def transaction(self, **options: Any) -> AsyncIterator[None]:
        """A transaction, or a savepoint within one. Errors of whoever is inside pass as they are."""
        transaction = self._db.transaction(**options)
        await self._do(transaction.start)
        try:
            yield
        except BaseException:
            with suppress(*DRIVER_ERRORS):  # a connection that was lost has rolled back by itself
                await transaction.rollback()
            raise
        await self._do(transaction.commit)

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        return self.transaction()

    async def limit(self, seconds: float) -> None:
        """Let no statement of this transaction take longer."""
        milliseconds = str(max(1, int(seconds * 1000)))
        await self._do(self._db.execute, "select set_config('statement_timeout', $1, true)", milliseconds)

    async def _do(self, step: Callable[..., Awaitable[Any]], *given: Any, **options: Any) -> Any:
        """One step of the driver, which may refuse it before there is anything to await."""
        try:
            return await step(*given, **options)
        except DRIVER_ERRORS as error:
            raise translate(error, _gone(self._db), self._unique) from error


def _gone(db: Any) -> bool:
    try:
        return bool(db.is_closed())
    except asyncpg.InterfaceError:
        return True  # the pool has taken it back already


def translate(error: Exception, closed: bool, unique: Unique) -> Exception:
    """The typed failure for an error of the driver, by its class and SQLSTATE; others come back as they are."""
    if isinstance(error, asyncpg.PostgresError):
        return _by_state(error, error.sqlstate or "", unique)
    if closed or isinstance(error, OSError):
        return StorageUnavailable(f"The connection to PostgreSQL was lost: {error or type(error).__name__}.")
    return error


def _by_state(error: Any, state: str, unique: Unique) -> Exception:
    match state:
        case "23505":
            known = unique.get(error.constraint_name)
            return UniqueViolation(known.table, known.columns) if known else UniqueViolation(error.table_name or "", ())
        case "23503":
            return ForeignKeyViolation("A row names another that doesn't exist, or is still named by one.")
        case "40001" | "40P01":
            return Retryable("The database undid this for another transaction. Try again.")
        case "53100":
            return StorageFull("The database server's disk is full. Nothing was stored; make room, then try again.")
        case "57014":
            return TooSlow("The search took too long. Narrow it, or raise scan_seconds.")
    match state[:2]:
        case "23":
            return ConstraintViolation(str(error))
        case "08" | "53" | "57" | "58" | "XX":
            return StorageUnavailable(f"PostgreSQL can't do this now ({state}): {error}.")
    return cast("Exception", error)


def _connection_options(settings: Settings) -> dict[str, Any]:
    return {
        "timeout": settings.wait_seconds,
        "command_timeout": settings.wait_seconds,
        "statement_cache_size": _STATEMENTS,
        "max_cached_statement_lifetime": 0,
        "server_settings": {"application_name": "respun"},
    }


async def _prepare(db: Any) -> None:
    # `sum` of whole numbers is a numeric there and a whole number on SQLite.
    await db.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=_number, format="text")


async def _leave_as_it_is(_db: Any) -> None:
    """No unit changes its session, so a connection goes back without a round trip."""


def _number(text: str) -> int | float:
    number = Decimal(text)
    return int(number) if number.is_finite() and number == number.to_integral_value() else float(number)


def _violations(indexes: Iterable[Any]) -> Unique:
    return Unique({row["name"]: UniqueViolation(row["table"], tuple(row["columns"])) for row in indexes})


def _require_version(db: Any) -> None:
    version = db.get_server_version().major
    if version < _OLDEST:
        raise StoreRefused(f"The server is PostgreSQL {version}. respun needs {_OLDEST} or later.")


def _unreachable(url: str, error: Exception) -> Exception:
    """Names the server, never the password."""
    parts = urlsplit(url)
    name = f"database {parts.path.strip('/') or 'of that user'} on {parts.hostname or 'the local socket'}"
    state = getattr(error, "sqlstate", None) or ""
    if state[:2] in ("28", "3D"):
        return StoreRefused(f"PostgreSQL refuses {name}: {error}. Check the user, the password and the database.")
    return StorageUnavailable(
        f"PostgreSQL can't be reached for {name}: {error or type(error).__name__}. "
        "Check that it runs and that the address is right."
    )
