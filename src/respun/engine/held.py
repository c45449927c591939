"""The runs that this process drives, and how news get into a run that nobody drives yet."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from respun import telemetry
from respun.core.events import AnyEvent
from respun.core.fold import evolve
from respun.core.machine import Cancel, Input, decide, pending
from respun.core.runs import Run
from respun.engine.bell import Bell
from respun.engine.bus import Bus, Happening
from respun.engine.clock import Clock
from respun.engine.driver import Driver, Lost, Shop
from respun.engine.journal import Entry, Journal, Written, write
from respun.engine.remembering import RememberingSettings
from respun.engine.turns import Turns
from respun.store import runs
from respun.store.backend import Backend, StoreError, Tx
from respun.store.runs import Claim

log: Final = telemetry.log("engine")

CHANNEL: Final = "respun_runs"


class EngineSettings(Struct, frozen=True):
    """Times in seconds."""

    lease: float = 10.0
    heartbeat: float = 3.0
    sweep: float = 1.0
    most_runs: int = 1000
    flush: float = 0.05
    remembering: RememberingSettings = RememberingSettings()


class Held:
    """What this process drives. `me` names it among the workers of a store; `look` is set when a run may be free."""

    def __init__(self, backend: Backend, turns: Turns, clock: Clock, settings: EngineSettings) -> None:
        self.backend = backend
        self.clock = clock
        self.settings = settings
        self.me = clock.uuid().hex
        self.bus = Bus()
        self.drivers: dict[str, Driver] = {}
        self.look = Bell()
        self._shop = Shop(backend, Journal(backend, settings.flush), turns, clock)
        self._errands: set[asyncio.Task[None]] = set()

    @property
    def room(self) -> int:
        """How many more runs may be driven here."""
        return self.settings.most_runs - len(self.drivers)

    def drive(self, project: str, run: Run, base: int) -> Driver:
        live = self.bus.open(run.id, base)
        driver = self.drivers[run.id] = Driver(self._shop, project, run, self.claim, live, self._left)
        return driver

    def _left(self, driver: Driver, written: Written) -> None:
        if self.drivers.get(driver.run.id) is driver:
            del self.drivers[driver.run.id]
            self.bus.close(driver.run.id)
        if written.let_in:
            self.wake_all()

    def wake_all(self) -> None:
        """There is a run that nobody drives: look here, and tell the other workers."""
        self.look.ring()
        self._spawn(self.backend.notify(CHANNEL, ""))

    def heard(self, run: str) -> None:
        self.look.ring()
        if driver := self.drivers.get(run):
            self._spawn(self._see_to_cancel(driver))

    async def _see_to_cancel(self, driver: Driver) -> None:
        job = await self.backend.read(lambda tx: runs.load_job(tx, driver.run.id))
        if job and job.cancel_requested:
            await self.quietly(driver, Cancel())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(logged(work))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def claim(self) -> Claim:
        return Claim(self.me, self.clock.now + self.settings.lease)

    def decided(self, run: Run, inputs: Sequence[Input]) -> list[Happening]:
        happenings = []
        for given in inputs:
            for event in decide(run, given, self.clock):
                before, run = run, evolve(run, event)
                happenings.append(Happening(before, event, run))
        return happenings

    async def write(self, tx: Tx, project: str, happenings: Sequence[Happening], claim: Claim) -> Written:
        if not happenings:
            return Written(True)
        before = happenings[0].before
        assert before is not None
        return await write(tx, Entry(project, before, happenings[-1].after, events_of(happenings), claim))

    def follow_up(self, project: str, happenings: list[Happening], written: Written) -> None:
        if not happenings:
            return
        before, after = happenings[0].before, happenings[-1].after
        assert before is not None
        if pending(after):
            driver = self.drive(project, after, base=before.number)
            driver.show(happenings)
            driver.start()
        if written.let_in:
            self.wake_all()

    async def quietly(self, driver: Driver, given: Input) -> None:
        try:
            await driver.give_from_outside(given)
        except (Lost, StoreError) as error:
            log.info("input not taken", run=driver.run.id, error=str(error))


def events_of(happenings: Sequence[Happening]) -> tuple[AnyEvent, ...]:
    return tuple(one.event for one in happenings)


async def each(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do the same for several runs at a time; what fails for one is no other's concern."""
    await asyncio.gather(*(logged(work) for work in works))


async def logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except StoreError as error:
        log.warning("left for later", error=str(error))
    except Exception as fault:
        log.error("an errand of the engine failed", cause=fault)
