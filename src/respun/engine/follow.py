"""Follow a run: its stored events, then the live ones, whoever drives it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from respun.core.events import RunCreated
from respun.core.fold import begin, evolve
from respun.core.runs import Run
from respun.engine.bus import Bus, Happening
from respun.store import runs
from respun.store.backend import Backend, Tx

POLL: Final = 0.05
"""Seconds between two looks at a run that another worker drives: as often as text is stored."""
_ROWS: Final = 64
"""Rows of events read at a time; one holds about a twentieth of a second of text."""


async def follow(backend: Backend, bus: Bus, run: Run, after: int = 0) -> AsyncIterator[Sequence[Happening]]:
    """The events of a run behind number `after`, as they come, until it is done or waits for its caller."""
    known: Run | None = None
    while True:
        begun = after
        live = bus.log(run.id, after)
        if live is not None:
            async for batch in live.read(after):
                run = known = batch[-1].after
                after = known.number
                yield batch
        else:
            page = await backend.read(lambda tx: _some(tx, run, after, known))  # noqa: B023
            known = page.last or known
            run = known or run
            if page.shown:
                after = run.number
                yield page.shown
            if page.more:
                continue
        if run.done or (run.status == "requires_action" and run.number <= after):
            return
        if after == begun and bus.log(run.id, after) is None:
            await asyncio.sleep(POLL)
            if await backend.read(lambda tx: runs.load_job(tx, run.id)) is None:  # noqa: B023
                return


async def stored(tx: Tx, run: Run, after: int, known: Run | None = None) -> list[Happening]:
    """The stored events of a run behind number `after`, with the run as it was around each.

    `known` is the run at number `after`; without it the run is folded from its beginning.
    """
    return list(_unfold(await runs.events(tx, run, known.number if known else 0), after, known))


class _Page(Struct, frozen=True):
    """`last` is the run behind the last event that was read, from which reading goes on; `more`: there may be more."""

    shown: Sequence[Happening]
    last: Run | None
    more: bool


async def _some(tx: Tx, run: Run, after: int, known: Run | None) -> _Page:
    """The first of them: a long run is never in memory whole, and none is read twice."""
    rows = await runs.events(tx, run, known.number if known else 0, _ROWS)
    read = list(_unfold(rows, 0, known))
    shown = [one for one in read if one.number > after]
    return _Page(shown, read[-1].after if read else None, len(rows) == _ROWS)


def _unfold(rows: Iterable[runs.Stored], after: int, before: Run | None) -> Iterator[Happening]:
    shown = before.number if before else 0
    for row in rows:
        for number, event in enumerate(row.events, row.first):
            if number <= shown:
                continue
            now = begin(event) if isinstance(event, RunCreated) else evolve(_present(before), event)
            # Behind a takeover: what was shown last may never have been stored, so the fold can't know the number.
            now = now if now.number == number else replace(now, number=number)
            if number > after:
                yield Happening(before, event, now)
            before = now


def _present(run: Run | None) -> Run:
    assert run is not None, "a history begins with RunCreated"
    return run
