"""Two workers on one PostgreSQL: who drives a run, and what becomes of it when that one dies or wakes up late."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import pytest_asyncio

from engine.world import QUICK, World, streamed_texts, until, world
from respun.core.events import RunResumed
from respun.core.fold import replay
from respun.core.runs import Run
from respun.engine.bus import Bus
from respun.engine.engine import EngineSettings
from respun.engine.follow import follow
from respun.providers.scripted import Scripted
from respun.store import runs
from respun.store.backend import Backend, Row, Tx, Unit, Value
from respun.store.statements import Statement

T = TypeVar("T")
# A worker that is dead to the others: it does not renew its lease.
SILENT = EngineSettings(lease=0.8, heartbeat=3600, sweep=3600, flush=0.02)


@dataclass
class Two:
    here: World
    there: World


class Reader(Backend):
    """A backend that counts the rows of lists that are read through it."""

    def __init__(self, backend: Backend) -> None:
        self.rows = 0
        self._backend = backend

    async def read(self, unit: Unit[T]) -> T:
        return await self._backend.read(lambda tx: unit(Counted(tx, self)))


class Counted(Tx):
    def __init__(self, tx: Tx, reader: Reader) -> None:
        self._tx = tx
        self._reader = reader

    async def one(self, statement: Statement, /, **given: Value) -> Row | None:
        return await self._tx.one(statement, **given)

    async def all(self, statement: Statement, /, **given: Value) -> list[Row]:
        rows = await self._tx.all(statement, **given)
        self._reader.rows += len(rows)
        return rows


@pytest_asyncio.fixture
async def two(postgres_url: Callable[[], str]) -> AsyncIterator[Two]:
    url = postgres_url()
    async with world(url) as here, world(url) as there:
        yield Two(here, there)


async def test_a_run_driven_there_is_cancelled_from_here_within_a_second(two: Two) -> None:
    for _ in range(5):
        run = await two.there.start("@say Half\n@hang")
        await until(lambda run=run: two.here.answers(run))
        start = time.monotonic()
        await two.here.cancel(run)
        assert (await two.here.ended(run)).status == "cancelled"
        assert time.monotonic() - start < 1


async def test_a_run_driven_there_is_streamed_here(two: Two) -> None:
    run = await two.there.start("@delay 0.02\n@say One two three four five six.")
    elsewhere = await two.here.listen(run)
    itself = await two.there.listen(run)
    assert [(one.number, one.event) for one in elsewhere] == [(one.number, one.event) for one in itself]
    assert list(streamed_texts(elsewhere).values()) == ["One two three four five six."]


async def test_a_run_that_takes_longer_than_a_lease_stays_with_its_worker(two: Two) -> None:
    run = await two.there.start("@delay 0.05\n@say " + "word " * 50)
    heard = await two.here.listen(run)
    assert not any(isinstance(one.event, RunResumed) for one in heard)
    assert (await two.here.ended(run)).status == "completed"


async def test_a_listener_that_is_ahead_of_a_run_driven_there_reads_each_row_once(two: Two) -> None:
    run = await two.there.start("@delay 0.01\n@say " + "word " * 60)
    reader = Reader(two.here.backend)
    heard = [one async for batch in follow(reader, Bus(), run, 1 << 40) for one in batch]
    ended = await two.here.get(run)
    assert ended.done
    assert not heard
    stored = await two.here.backend.read(lambda tx: runs.events(tx, ended))
    assert reader.rows == len(stored) > 5


async def test_outputs_given_here_go_on_here(two: Two) -> None:
    run = await two.there.start("@call time {}\n@then\n@say Thanks.")
    await two.here.submit(await two.here.reached(run, "requires_action"))
    assert (await two.there.ended(run)).status == "completed"


async def test_runs_in_line_are_begun_by_whichever_worker(two: Two) -> None:
    first = await two.here.start("@delay 0.01\n@say One two.")
    others = await asyncio.gather(
        *(side.start("@say Next.", first.thread, when_busy="enqueue") for side in (two.here, two.there) * 5)
    )
    ended = await asyncio.gather(*(two.here.ended(run) for run in (first, *others)))
    assert {run.status for run in ended} == {"completed"}


async def test_whoever_gets_in_line_behind_a_run_that_just_ends_has_a_turn(two: Two) -> None:
    """The one that ends and the one that waits are committed by different workers at the same moment."""

    async def pair(moment: float) -> None:
        first = await two.here.start("@delay 0.005\n@say One.")
        await asyncio.sleep(moment)
        second = await two.there.start("@say Two.", first.thread, when_busy="enqueue")
        assert (await two.there.ended(second, 5)).status == "completed"

    for _ in range(3):
        await asyncio.gather(*(pair(n / 1000) for n in range(20)))


async def test_a_dead_workers_run_is_taken_over_and_its_late_writes_change_nothing(
    postgres_url: Callable[[], str],
) -> None:
    """The first worker does not notice that its lease ran out: a zombie. Its next write is fenced off."""
    url = postgres_url()
    async with world(url, SILENT) as zombie:
        run = await zombie.start("@delay 1.5\n@say Half of it.")
        await until(lambda: zombie.answers(run))
        async with world(url, QUICK, model=Scripted()) as heir:
            taken = await until(lambda: _resumed(heir, run))
            assert taken
            assert (await heir.cancel(run)).status == "cancelling"
            before = await heir.ended(run)
            await asyncio.sleep(2.0)
            assert await heir.get(run) == before, "the zombie has written in vain"
            stored = await heir.backend.read(lambda tx: runs.events(tx, before))
            events = [event for row in stored for event in row.events]
            assert replay(events).status == "cancelled"
            assert msgspec.json.encode(events).count(b'"resumed"') == 1


async def _resumed(heir: World, run: Run) -> bool:
    rows = await heir.backend.read(lambda tx: runs.events(tx, run))
    return any(isinstance(event, RunResumed) for row in rows for event in row.events)


async def test_a_run_that_was_asked_to_cancel_is_cancelled_by_whoever_takes_it_over(
    postgres_url: Callable[[], str],
) -> None:
    url = postgres_url()
    async with world(url, SILENT) as dying:
        run = await dying.start("@say Half\n@hang")
        await until(lambda: dying.answers(run))
        await dying.backend.write(lambda tx: runs.request_cancel(tx, run.id))
    async with world(url) as heir:
        assert (await heir.ended(run)).status == "cancelled"


async def test_a_worker_that_stops_leaves_its_runs_to_the_others_at_once(postgres_url: Callable[[], str]) -> None:
    """Not only when its lease runs out, which here is in an hour."""
    url = postgres_url()
    async with world(url) as heir:
        async with world(url, EngineSettings(lease=3600, flush=0.02)) as stopping:
            run = await stopping.start("@say Half\n@hang")
            await until(lambda: stopping.answers(run))
        assert await until(lambda: _resumed(heir, run))
