"""What a repository sees of the database: units of work, a transaction to await, rows, and typed failures.

A unit is an `async def` that takes a `Tx` and awaits nothing else; it may be run more than once, so it changes
nothing but the database. Which database it is, only the modules `sqlite` and `postgres` know.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal, Protocol, TypeVar

from msgspec import Struct

from respun.store.statements import Statement

T = TypeVar("T")
Value = str | int | float | bytes | bool | None | Sequence[str] | Sequence[int]
Heard = Callable[[str], None]

# PostgreSQL's limit, kept on both backends so that what works on one works on the other.
LONGEST_NOTICE: Final = 7999


class Row(Protocol):
    """One row. Index it by column name or by position; `dict(row)` works."""

    def __getitem__(self, key: str | int, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def keys(self) -> Iterable[str]: ...


class Tx(Protocol):
    """What a unit awaits. Every method raises the typed failures below."""

    async def one(self, statement: Statement, /, **given: Value) -> Row | None:
        """The first row, or None."""

    async def all(self, statement: Statement, /, **given: Value) -> list[Row]:
        """Every row."""

    async def run(self, statement: Statement, /, **given: Value) -> int:
        """The number of rows changed."""

    async def many(self, statement: Statement, rows: Iterable[Mapping[str, Value] | tuple[Value, ...]], /) -> None:
        """Run once a row. A tuple gives the parameters in the order in which the statement first names them."""

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """What fails inside is undone and raised; the unit may catch it and go on (PostgreSQL needs this to)."""


Unit = Callable[[Tx], Awaitable[T]]


class Backend(Protocol):
    """One open database."""

    @property
    def kind(self) -> Literal["sqlite", "postgres"]: ...

    async def write(self, unit: Unit[T], *, frees_space: bool = False) -> T:
        """Run the unit in a transaction; returns when its commit is durable.

        `frees_space` marks deletes: on a full disk they may use the space set aside for them.
        A caller that is cancelled while it waits doesn't know whether its unit was committed.
        """

    async def read(self, unit: Unit[T]) -> T:
        """Point reads: each statement sees what is committed when it starts."""

    async def scan(self, unit: Unit[T]) -> T:
        """Reads that may be slow: one snapshot, off the event loop, `TooSlow` after `scan_seconds`."""

    async def listen(self, channel: str, heard: Heard) -> None:
        """Call `heard(payload)` on the event loop for each notice. Notices may be lost while a server is away."""

    async def unlisten(self, channel: str, heard: Heard) -> None: ...

    async def notify(self, channel: str, payload: str) -> None:
        """Tell every listener, also those of other processes on PostgreSQL. Never call it inside a unit."""

    async def restore_reserve(self) -> bool:
        """Set aside space for deletes again after it was used; whether it is there now."""

    async def close(self) -> None:
        """Finish what was submitted, then let go of files and connections."""


class Settings(Struct, frozen=True, kw_only=True):
    """How a backend is opened; each field says which one heeds it."""

    synchronous: Literal["full", "normal"] = "full"  # SQLite: normal may lose the last commits on power loss
    reserve_bytes: int = 16 << 20  # SQLite: set aside so that deletes work on a full disk; 0 for none
    checkpoint_pages: int = 4000  # SQLite: length of the log, in pages of 4 KiB, at which it is moved to the database
    max_bytes: int | None = None  # SQLite: the largest size of the database file
    readers: int = 2  # SQLite: threads for scans
    connections: int = 8  # PostgreSQL: size of the pool
    scan_seconds: float = 30.0  # both
    wait_seconds: float = 30.0  # both: for a connection, a lock or the answer to one statement


class StoreError(Exception):
    """A failure of the store that a caller can tell from others by its class."""


class StoreRefused(StoreError):
    """The database can't be opened as it is; the message says what to do."""


class StoreInUse(StoreRefused):
    """Another process owns the data folder."""


class ConstraintViolation(StoreError):
    """A row breaks a rule of the schema."""


class ForeignKeyViolation(ConstraintViolation):
    """A row names another that doesn't exist, or is still named by one."""


class UniqueViolation(ConstraintViolation):
    """A row with the same key exists. `table` and `columns` are those of the unique index."""

    def __init__(self, table: str, columns: tuple[str, ...]) -> None:
        super().__init__(f"A row with the same {', '.join(columns) or 'key'} exists in {table or 'its table'}.")
        self.table = table
        self.columns = columns


class StorageFull(StoreError):
    """No space left: nothing of the unit was stored. Reads go on; delete things or make room, then retry."""


class StorageUnavailable(StoreError):
    """The database doesn't answer. If a commit was under way, whether it happened isn't known."""


class Retryable(StoreError):
    """The unit lost a race with another (serialization, deadlock) more often than `write` retries."""


class TooSlow(StoreError):
    """A scan took longer than it may. Narrow what it looks for."""


class SuspendedUnit(StoreError):
    """A programming error: a unit awaited something that isn't a method of its transaction."""

    def __init__(self, unit: object) -> None:
        name = getattr(unit, "__qualname__", repr(unit))
        super().__init__(f"{name} awaited something other than its transaction. Await that before or after the unit.")


def check_notice(payload: str) -> None:
    """Refuse a payload that PostgreSQL couldn't carry."""
    if len(payload.encode()) > LONGEST_NOTICE:
        raise ValueError(f"A notice carries at most {LONGEST_NOTICE} bytes; send an id and store the rest.")
