"""Builds the indexes of long threads behind the runs that use them.

A thread is read once, from where its index ends, a few messages at a time; its texts are read in another thread of
this process. A run that comes before the index is ready makes do with what there is.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from respun import telemetry
from respun.core.context.passages import Count
from respun.core.context.recent import read_said
from respun.core.context.words import guess_language
from respun.core.threads import Message
from respun.engine.bell import Bell
from respun.engine.history import Item, read_items
from respun.store import contexts, messages, runs
from respun.store.backend import Backend, StoreError, Tx
from respun.store.contexts import Entry, Known

log: Final = telemetry.log("engine")

_AT_ONCE: Final = 32
_LOOK_EVERY: Final = 2.0
_BREATH: Final = 0.002


class _Unread(Struct, frozen=True):
    """What comes next behind the end of an index; `more` if there is more behind it. `known` None: begin one."""

    known: Known | None
    items: Sequence[Item]
    upto: int
    more: bool


class Indexing:
    """One for a server. `run` is its chore; `schedule` asks for a thread's index, `build` waits for it."""

    def __init__(self, backend: Backend, count: Count) -> None:
        self._backend = backend
        self._count = count
        self._wanted: dict[str, None] = {}
        self._building: dict[str, asyncio.Task[None]] = {}
        self._look = Bell()

    def schedule(self, thread: str) -> None:
        self._wanted[thread] = None
        self._look.ring()

    async def run(self) -> None:
        """Build what was asked for, here or by a note in the store, one thread after the other."""
        while True:
            try:
                thread = next(iter(self._wanted), None) or await self._backend.read(contexts.next_build)
                if thread is not None:
                    self._wanted.pop(thread, None)
                    await self.build(thread)
                    continue
            except StoreError as error:
                log.warning("no index built", error=str(error))
            await self._look.listen(_LOOK_EVERY)

    async def build(self, thread: str, seconds: float | None = None) -> None:
        """Bring the index of a thread to its end. With `seconds` it goes on without the caller after that time."""
        task = self._building.get(thread)
        if task is None:
            task = self._building[thread] = asyncio.create_task(self._build(thread))
            task.add_done_callback(lambda done: self._building.pop(thread, None))
        done, _ = await asyncio.wait((task,), timeout=seconds)
        if done:
            task.result()

    async def stop(self) -> None:
        tasks = list(self._building.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _build(self, thread: str) -> None:
        while True:
            unread = await self._backend.read(lambda tx: _next_unread(tx, thread))
            if unread.items or unread.upto > (unread.known.upto if unread.known else 0):
                await self._extend(thread, unread)
            if not unread.more:
                break
            await asyncio.sleep(_BREATH)
        await self._backend.write(lambda tx: contexts.built(tx, thread))

    async def _extend(self, thread: str, unread: _Unread) -> None:
        known = unread.known
        if known is None:
            language = guess_language(item.said.text for item in unread.items)
            await self._backend.write(lambda tx: contexts.create(tx, thread, language))
            known = await self._backend.read(lambda tx: contexts.find(tx, thread))
            if known is None:
                return
        found = known
        entries = await asyncio.to_thread(self._read, unread.items, found)
        await self._backend.write(lambda tx: contexts.extend(tx, found, entries, unread.upto))

    def _read(self, items: Sequence[Item], known: Known) -> list[Entry]:
        return [
            Entry(
                item.source,
                item.part,
                item.said.role,
                item.said.calls,
                item.said.pinned,
                item.said.day,
                read_said(item.said, known.language, self._count),
            )
            for item in items
        ]


async def _next_unread(tx: Tx, thread: str) -> _Unread:
    known = await contexts.find(tx, thread)
    upto = known.upto if known else 0
    page = await messages.following(tx, thread, upto, _AT_ONCE)
    whole = _until_unfinished(page, await runs.active(tx, thread))
    items = await read_items(tx, whole)
    return _Unread(
        known, items, whole[-1].position if whole else upto, more=len(page) == _AT_ONCE and len(whole) == len(page)
    )


def _until_unfinished(page: Sequence[Message], active: str | None) -> Sequence[Message]:
    """What a run says is read when the run is done: until then it may still change.

    A message that others follow is one that its run left behind; it will not change any more.
    """
    for at, message in enumerate(page):
        unfinished = message.status == "in_progress" or (active is not None and message.run == active)
        if unfinished and all(later.run == message.run for later in page[at + 1 :]):
            return page[:at]
    return page
