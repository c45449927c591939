"""SQLite under the store: one writer thread, point reads on the event loop, scans in threads of their own.

Write-ahead log with synchronous=full, so what was acknowledged survives a power cut.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal, TypeVar, cast

from respun.store.backend import (
    ConstraintViolation,
    ForeignKeyViolation,
    Heard,
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
from respun.store.folder import DataFolder, hold, visit
from respun.store.group_commit import GroupCommit, finish
from respun.store.migrations import Migration, migrate_sqlite
from respun.store.statements import Statement

T = TypeVar("T")
# Larger than the number of statements of the whole server: each is compiled once a connection.
_STATEMENTS: Final = 1024
_UNIQUE: Final = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID")
_UNAVAILABLE: Final = (
    "SQLITE_BUSY",
    "SQLITE_CANTOPEN",
    "SQLITE_CORRUPT",
    "SQLITE_IOERR",
    "SQLITE_LOCKED",
    "SQLITE_NOMEM",
    "SQLITE_NOTADB",
    "SQLITE_PROTOCOL",
    "SQLITE_READONLY",
)


async def open_sqlite(path: Path, settings: Settings, known: Sequence[Migration]) -> "SqliteBackend":
    """Open the store in a data folder; raises StoreRefused with what to do."""
    folder = await asyncio.get_running_loop().run_in_executor(None, hold, path)
    try:
        folder.set_aside(settings.reserve_bytes)
        connections = await asyncio.get_running_loop().run_in_executor(None, _connect_all, folder, settings, known)
        return SqliteBackend(folder, settings, connections)
    except BaseException:
        folder.release()
        raise


async def visit_sqlite(path: Path, settings: Settings, known: Sequence[Migration]) -> "SqliteBackend":
    """Open the store in a data folder that another process owns; raises StoreRefused with what to do."""
    folder = visit(path)
    connections = await asyncio.get_running_loop().run_in_executor(None, _connect_all, folder, settings, known)
    return SqliteBackend(folder, settings, connections)


class SqliteBackend:
    """The store in a folder of this machine, for one process."""

    kind: Literal["sqlite"] = "sqlite"

    def __init__(self, folder: DataFolder, settings: Settings, connections: list[sqlite3.Connection]) -> None:
        writer, reader, *scanners = connections
        self._folder = folder
        self._settings = settings
        self._connections = connections
        self._writer = GroupCommit(writer, SqliteTx(writer), translate)
        self._reader = SqliteTx(reader)
        self._scanners: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        for scanner in scanners:
            self._scanners.put(scanner)
        self._threads = ThreadPoolExecutor(len(scanners), "respun-scan")
        self._heard: defaultdict[str, list[Heard]] = defaultdict(list)
        self._closed = False

    async def write(self, unit: Unit[T], *, frees_space: bool = False) -> T:
        try:
            return await self._writer.write(unit)
        except StorageFull:
            if not frees_space or not self._folder.give_up_reserve():
                raise
        return await self._writer.write(unit)

    async def read(self, unit: Unit[T]) -> T:
        self._require_open()
        return finish(unit, self._reader)

    async def scan(self, unit: Unit[T]) -> T:
        self._require_open()
        stop = threading.Event()
        scanning = asyncio.get_running_loop().run_in_executor(self._threads, self._scan, unit, stop)
        try:
            return await scanning
        except asyncio.CancelledError:
            stop.set()
            raise

    async def listen(self, channel: str, heard: Heard) -> None:
        self._heard[channel].append(heard)

    async def unlisten(self, channel: str, heard: Heard) -> None:
        self._heard[channel].remove(heard)

    async def notify(self, channel: str, payload: str) -> None:
        self._require_open()
        check_notice(payload)
        loop = asyncio.get_running_loop()
        for heard in self._heard.get(channel, ()):
            loop.call_soon(heard, payload)

    async def restore_reserve(self) -> bool:
        return self._folder.set_aside(self._settings.reserve_bytes)

    async def close(self) -> None:
        if self._closed:
            return
        await self._writer.close()
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(None, self._let_go)

    def _let_go(self) -> None:
        self._threads.shutdown()
        for connection in reversed(self._connections):  # the writer last: it tidies the log away
            connection.close()
        self._folder.release()

    def _scan(self, unit: Unit[T], stop: threading.Event) -> T:
        db = self._scanners.get_nowait()
        try:
            end = time.monotonic() + self._settings.scan_seconds
            db.set_progress_handler(lambda: stop.is_set() or time.monotonic() > end, 20_000)
            db.execute("begin")
            return finish(unit, SqliteTx(db))
        finally:
            db.set_progress_handler(None, 0)
            if db.in_transaction:
                db.execute("rollback")
            self._scanners.put(db)

    def _require_open(self) -> None:
        if self._closed:
            raise StorageUnavailable("The store is closed.")


class SqliteTx:
    """A transaction over one connection. Its methods never suspend."""

    __slots__ = ("_db",)

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    async def one(self, statement: Statement, /, **given: Value) -> Row | None:
        try:
            row = self._db.execute(statement.sqlite.sql, statement.for_sqlite(given)).fetchone()
        except sqlite3.Error as error:
            raise translate(error) from error
        return cast("Row | None", row)

    async def all(self, statement: Statement, /, **given: Value) -> list[Row]:
        try:
            return self._db.execute(statement.sqlite.sql, statement.for_sqlite(given)).fetchall()
        except sqlite3.Error as error:
            raise translate(error) from error

    async def run(self, statement: Statement, /, **given: Value) -> int:
        try:
            return self._changed(self._db.execute(statement.sqlite.sql, statement.for_sqlite(given)))
        except sqlite3.Error as error:
            raise translate(error) from error

    async def many(self, statement: Statement, rows: Iterable[Mapping[str, Value] | tuple[Value, ...]], /) -> None:
        values = (statement.for_sqlite(statement.named(row)) for row in rows)
        try:
            self._db.executemany(statement.sqlite.sql, values)
        except sqlite3.Error as error:
            raise translate(error) from error

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        self._db.execute("savepoint inner")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback to inner")
                self._db.execute("release inner")
            raise
        self._db.execute("release inner")

    def _changed(self, cursor: sqlite3.Cursor) -> int:
        if cursor.description is not None:
            cursor.fetchall()  # the count is known when a `returning` clause was read to its end
        if cursor.rowcount >= 0:
            return cursor.rowcount
        # A statement that begins with `with` isn't counted by the driver.
        return cast("int", self._db.execute("select changes()").fetchone()[0])


def translate(error: sqlite3.Error) -> Exception:
    """The typed failure for an error of the driver, by its extended code; others come back as they are."""
    name: str = getattr(error, "sqlite_errorname", None) or ""
    if name in _UNIQUE:
        return _unique(error)
    if name == "SQLITE_CONSTRAINT_FOREIGNKEY":
        return ForeignKeyViolation("A row names another that doesn't exist, or is still named by one.")
    if name.startswith("SQLITE_CONSTRAINT"):
        return ConstraintViolation(str(error))
    if name == "SQLITE_FULL":
        return StorageFull("The disk is full. Nothing was stored; make room or delete things, then try again.")
    if name == "SQLITE_INTERRUPT":
        return TooSlow("The search took too long. Narrow it, or raise scan_seconds.")
    if name.startswith(_UNAVAILABLE):
        return StorageUnavailable(f"The database can't be used ({name}): {error}.")
    return error


def _unique(error: sqlite3.Error) -> UniqueViolation:
    # The code tells what happened; the columns stand nowhere but after the colon ("failed: runs.thread, runs.seq").
    named = str(error).partition(": ")[2].split(", ")
    pairs = [name.partition(".") for name in named if "." in name]
    return UniqueViolation(pairs[0][0] if pairs else "", tuple(column for _, _, column in pairs))


def _connect_all(folder: DataFolder, settings: Settings, known: Sequence[Migration]) -> list[sqlite3.Connection]:
    """The writer's connection first, then the reader's, then those for scans."""
    connections: list[sqlite3.Connection] = []
    try:
        connections.append(_connect(folder.database, settings))
        migrate_sqlite(connections[0], known)
        if settings.max_bytes is not None:
            _limit(connections[0], settings.max_bytes)
        for _ in range(1 + settings.readers):
            connections.append(_connect(folder.database, settings))
            connections[-1].execute("pragma query_only=on")
    except BaseException as error:
        for connection in connections:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise _refusal(folder, error) from error
        raise
    return connections


def _connect(path: Path, settings: Settings) -> sqlite3.Connection:
    db = sqlite3.connect(
        path,
        timeout=settings.wait_seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
    )
    try:
        db.row_factory = sqlite3.Row
        for pragma in (
            "journal_mode=wal",
            f"synchronous={settings.synchronous}",
            f"wal_autocheckpoint={settings.checkpoint_pages}",
            "foreign_keys=on",
            "secure_delete=on",  # deleted means gone from the file
            "fullfsync=on",  # macOS: flush the drive's own cache
            "journal_size_limit=67108864",
        ):
            db.execute(f"pragma {pragma}")
    except BaseException:
        db.close()
        raise
    return db


def _limit(db: sqlite3.Connection, size: int) -> None:
    page: int = db.execute("pragma page_size").fetchone()[0]
    db.execute(f"pragma max_page_count={size // page}")


def _refusal(folder: DataFolder, error: sqlite3.Error) -> Exception:
    name: str = getattr(error, "sqlite_errorname", None) or ""
    if name == "SQLITE_NOTADB":
        return StoreRefused(
            f"{folder.database} isn't a respun database. Move it away to start afresh, or restore a backup."
        )
    if name.startswith("SQLITE_CORRUPT"):
        return StoreRefused(f"{folder.database} is damaged. Restore a backup.")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StoreRefused(f"{folder.database} can't be written by this user. Make it and its folder writable.")
    return translate(error)
