"""What a run's events become in the store: one transaction for events, run, messages and steps.

Text arrives in many small pieces. They are shown at once and stored together, for all runs in one transaction about
twenty times a second; every other event is stored before it is shown.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

from respun import telemetry
from respun.core.events import AnyEvent
from respun.core.machine import pending
from respun.core.projection import last_records
from respun.core.runs import Run, Step
from respun.core.threads import Message
from respun.crash import crash_point
from respun.store import messages, runs
from respun.store.backend import Backend, StoreError, Tx

log: Final = telemetry.log("engine")


class Entry(Struct, frozen=True):
    """News of one run: `before` is the run as it is stored, `after` as it is to be. No claim: its lease stays."""

    project: str
    before: Run
    after: Run
    events: tuple[AnyEvent, ...]
    claim: runs.Claim | None


class Written(Struct, frozen=True):
    """`kept`: the run was as expected and the news are stored. `let_in`: the run that has the thread from now on."""

    kept: bool
    let_in: str | None = None


async def write(tx: Tx, entry: Entry) -> Written:
    """Store the news of one run, unless somebody else has added events to it since."""
    claim = entry.claim if pending(entry.after) else runs.Claim()
    if not await runs.advance(tx, entry.after, entry.before.number, entry.events, claim):
        return Written(False)
    crash_point("news.events_written")
    await put_records(tx, entry)
    crash_point("news.records_written")
    if not entry.after.done:
        return Written(True)
    let_in = await runs.let_next_in(tx, entry.after.thread)
    crash_point("news.let_in")
    return Written(True, let_in)


async def put_records(tx: Tx, entry: Entry) -> None:
    records = last_records(entry.before, entry.events)
    await runs.put_steps(tx, [record for record in records if isinstance(record, Step)])
    crash_point("news.steps_written")
    for record in records:
        if isinstance(record, Message):
            await messages.put(tx, entry.project, record)


class Writer(Protocol):
    """Who has unstored text."""

    def unsaved(self) -> Entry | None: ...

    def saved(self, entry: Entry, kept: bool) -> None: ...


class Journal:
    """Stores text of all runs together, `every` so many seconds while there is any."""

    def __init__(self, backend: Backend, every: float = 0.05) -> None:
        self._backend = backend
        self._every = every
        self._writers: dict[int, Writer] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._flush: asyncio.Task[None] | None = None

    def later(self, writer: Writer) -> None:
        self._writers[id(writer)] = writer
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._every, self._start)

    def forget(self, writer: Writer) -> None:
        self._writers.pop(id(writer), None)

    async def settled(self) -> None:
        """Wait for the flush under way, so that what is written next is written after it."""
        if self._flush:
            await asyncio.shield(self._flush)

    def _start(self) -> None:
        self._timer = None
        if self._flush and not self._flush.done():
            self._timer = asyncio.get_running_loop().call_later(self._every, self._start)
            return
        writers, self._writers = list(self._writers.values()), {}
        taken = [(writer, entry) for writer in writers if (entry := writer.unsaved())]
        if taken:
            self._flush = asyncio.create_task(self._write(taken))

    async def _write(self, taken: Sequence[tuple[Writer, Entry]]) -> None:
        async def unit(tx: Tx) -> list[bool]:
            return [(await write(tx, entry)).kept for _, entry in taken]

        crash_point("flush.before")
        try:
            kept = await self._backend.write(unit)
            crash_point("flush.stored")
        except StoreError as error:
            # Nothing of it is lost: the entries stay unsaved and are stored with the next event, or this way again.
            log.warning("text not stored yet", runs=len(taken), error=str(error))
            for writer, _ in taken:
                self.later(writer)
            return
        finally:
            self._flush = None
        for (writer, entry), stored in zip(taken, kept, strict=True):
            writer.saved(entry, stored)
