"""Follow a run: its stored events, then the live ones, whoever drives it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from respun.core.events import RunCreated
from respun.core.fold import begin, evolve
from respun.core.runs import Run
from respun.engine.bus import Bus, Happening
from respun.store import runs
from respun.store.backend import Backend, Tx

POLL: Final = 0.05
"""Seconds between two looks at a run that another worker drives: as often as text is stored."""


async def follow(backend: Backend, bus: Bus, run: Run, after: int = 0) -> AsyncIterator[Sequence[Happening]]:
    """The events of a run behind number `after`, as they come, until it is done or waits for its caller."""
    known: Run | None = None
    while True:
        live = bus.log(run.id, after)
        if live is not None:
            async for batch in live.read(after):
                run = known = batch[-1].after
                after = known.number
                yield batch
        else:
            batch = await backend.read(lambda tx: stored(tx, run, after, known))  # noqa: B023
            if batch:
                run = known = batch[-1].after
                after = known.number
                yield batch
        if run.done or (run.status == "requires_action" and run.number <= after):
            return
        if bus.log(run.id, after) is None:
            await asyncio.sleep(POLL)
            if await backend.read(lambda tx: runs.load_job(tx, run.id)) is None:  # noqa: B023
                return


async def stored(tx: Tx, run: Run, after: int, known: Run | None = None) -> list[Happening]:
    """The stored events of a run behind number `after`, with the run as it was around each.

    `known` is the run at number `after`; without it the run is folded from its beginning.
    """
    happenings: list[Happening] = []
    before = known
    for row in await runs.events(tx, run, known.number if known else 0):
        for number, event in enumerate(row.events, row.first):
            if known and number <= known.number:
                continue
            now = begin(event) if isinstance(event, RunCreated) else evolve(_present(before), event)
            if now.number > after:
                happenings.append(Happening(before, event, now))
            before = now
    return happenings


def _present(run: Run | None) -> Run:
    assert run is not None, "a history begins with RunCreated"
    return run
