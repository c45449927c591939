"""One thread that writes to SQLite, and puts the units that wait into one commit.

A commit waits for the disk, so 64 writers that share one pay a 64th of it. A unit that raises undoes only itself.
Savepoints for that cost a quarter of an insert, so units first run without; if one raises after it changed something,
all of them run again, each inside a savepoint. Nobody is told of success before the commit is on disk.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar, cast

from respun.crash import crash_point
from respun.store.backend import StorageUnavailable, StoreError, SuspendedUnit, Tx, Unit

T = TypeVar("T")
# Bounds how long the first unit of a commit waits for the last one.
_MOST_TOGETHER: Final = 512


class _Spoilt(Exception):
    """A unit raised and left changes that can't be undone without those of its neighbours."""


class _Undone(Exception):
    """SQLite rolled the whole transaction back while a unit ran, as it does when the disk is full."""


class _Job:
    """A unit, who waits for it, and how it ended."""

    __slots__ = ("error", "future", "result", "unit")

    def __init__(self, unit: Unit[Any], future: asyncio.Future[Any]) -> None:
        self.unit = unit
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, tx: Tx) -> None:
        try:
            self.result, self.error = finish(self.unit, tx), None
        except BaseException as error:
            self.error = error


class GroupCommit:
    """Owns a connection. `write` is called on one event loop; `close` finishes what was submitted before it."""

    def __init__(self, db: sqlite3.Connection, tx: Tx, translate: Callable[[sqlite3.Error], Exception]) -> None:
        self._db = db
        self._tx = tx
        self._translate = translate
        self._loop = asyncio.get_running_loop()
        self._submitted: list[_Job] = []
        self._closed = False
        self._queue: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="respun-writer", daemon=True)
        self._thread.start()

    async def write(self, unit: Unit[T]) -> T:
        """Run the unit; returns once it is committed."""
        if self._closed:
            raise StorageUnavailable("The store is closed.")
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._submitted:
            # Whoever else becomes ready in this turn of the loop gets into the same commit.
            self._loop.call_soon(self._hand_over)
        self._submitted.append(_Job(unit, future))
        return await future

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._hand_over()
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _hand_over(self) -> None:
        if self._submitted:
            self._queue.put(self._submitted)
            self._submitted = []

    def _work(self) -> None:
        while (jobs := self._queue.get()) is not None:
            ending = self._collect(jobs)
            for start in range(0, len(jobs), _MOST_TOGETHER):
                self._finish(jobs[start : start + _MOST_TOGETHER])
            if ending:
                return

    def _collect(self, jobs: list[_Job]) -> bool:
        """Add what else waits; whether the end of the queue was among it."""
        while len(jobs) < _MOST_TOGETHER:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                return False
            if more is None:
                return True
            jobs.extend(more)
        return False

    def _finish(self, jobs: list[_Job]) -> None:
        jobs = [job for job in jobs if not job.future.cancelled()]
        try:
            self._run(jobs)
        except BaseException as error:
            for job in jobs:
                job.error = error
        with suppress(RuntimeError):  # the loop was closed while its callers waited
            self._loop.call_soon_threadsafe(_deliver, jobs)

    def _run(self, jobs: list[_Job]) -> None:
        if len(jobs) == 1:
            self._run_alone(jobs[0])
        elif jobs:
            try:
                self._run_together(jobs)
            except (_Undone, sqlite3.IntegrityError):
                # One unit spoilt the transaction of all (an IntegrityError here is a deferred constraint).
                self._roll_back()
                for job in jobs:
                    self._run_alone(job)
            except sqlite3.Error as error:
                self._roll_back()
                self._fail(jobs, error)

    def _run_together(self, jobs: list[_Job]) -> None:
        try:
            self._db.execute("begin immediate")
            self._run_bare(jobs)
        except _Spoilt:
            self._roll_back()
            self._db.execute("begin immediate")
            self._run_in_savepoints(jobs)
        self._commit()

    def _run_bare(self, jobs: list[_Job]) -> None:
        for job in jobs:
            before = self._db.total_changes
            job.run(self._tx)
            if job.error is not None:
                self._require_transaction()
                if self._db.total_changes != before:
                    raise _Spoilt

    def _run_in_savepoints(self, jobs: list[_Job]) -> None:
        execute = self._db.execute
        for job in jobs:
            execute("savepoint unit")
            job.run(self._tx)
            if job.error is not None:
                self._require_transaction()
                execute("rollback to unit")
            execute("release unit")

    def _require_transaction(self) -> None:
        if not self._db.in_transaction:
            raise _Undone

    def _run_alone(self, job: _Job) -> None:
        try:
            self._db.execute("begin immediate")
            job.run(self._tx)
            if job.error is None:
                self._commit()
        except sqlite3.Error as error:
            self._fail([job], error)
        if job.error is not None:
            self._roll_back()

    def _commit(self) -> None:
        crash_point("commit.before")
        self._db.execute("commit")
        crash_point("commit.after")

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("rollback")

    def _fail(self, jobs: list[_Job], error: sqlite3.Error) -> None:
        for job in jobs:
            job.error = job.error or self._translate(error)


def finish(unit: Unit[T], tx: Tx) -> T:
    """Run a unit to its end without an event loop, as one over SQLite never suspends."""
    coroutine = cast("Coroutine[Any, Any, T]", unit(tx))
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    coroutine.close()
    raise SuspendedUnit(unit)


def _deliver(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is None:
            job.future.set_result(job.result)
        elif isinstance(job.error, Exception) and not isinstance(job.error, StopIteration):
            job.future.set_exception(job.error)
        else:
            job.future.set_exception(StoreError(f"A unit was ended by {job.error!r}."))
