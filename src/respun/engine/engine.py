"""The engine: which runs this process drives, and what reaches them from outside.

A run is driven by the worker whose lease it holds. A worker takes what nobody drives or whose worker went silent, so
recovery is not a case of its own. Runs that wait for their caller belong to no one and cost nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from respun import telemetry
from respun.core.context.selection import DoesNotFit
from respun.core.drafts import Preview
from respun.core.events import AnyEvent, RunCancelling, RunCreated, RunExpired
from respun.core.fold import begin, evolve
from respun.core.machine import Cancel, Deadline, Input, Resume, Start, decide, pending
from respun.core.problems import no_such
from respun.core.runs import Run
from respun.core.threads import Message
from respun.crash import crash_point
from respun.engine.bus import Bus, Happening
from respun.engine.clock import Clock
from respun.engine.context import Chosen
from respun.engine.driver import Driver, Lost, Shop
from respun.engine.follow import POLL, follow, stored
from respun.engine.journal import Entry, Journal, Written, write
from respun.engine.remembering import Remembering, RememberingSettings
from respun.engine.turns import Turns
from respun.store import effects, runs, threads
from respun.store.backend import Backend, StoreError, Tx
from respun.store.runs import Claim, Job

log: Final = telemetry.log("engine")

# Numbers that a run skips when another worker takes it over: more than can be shown between two flushes.
_SKIPPED: Final = 1 << 16
_CLAIMED_AT_ONCE: Final = 100
_CHANNEL: Final = "respun_runs"


class EngineSettings(Struct, frozen=True):
    """Times in seconds."""

    lease: float = 10.0
    heartbeat: float = 3.0
    sweep: float = 1.0
    most_runs: int = 1000
    flush: float = 0.05
    remembering: RememberingSettings = RememberingSettings()


class Engine:
    """Drives runs in this process. `me` names it among the workers of a store."""

    def __init__(self, backend: Backend, turns: Turns, clock: Clock, settings: EngineSettings | None = None) -> None:
        self.bus = Bus()
        self.clock = clock
        self.me = clock.uuid().hex
        self._backend = backend
        self._turns = turns
        self.tools = turns.tools
        self._settings = settings or EngineSettings()
        self.remembering = Remembering(backend, turns.provider, clock, self.me, self._settings.remembering)
        journal = Journal(backend, self._settings.flush)
        self._shop = Shop(backend, journal, turns, clock)
        self._drivers: dict[str, Driver] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._errands: set[asyncio.Task[None]] = set()
        self._look = asyncio.Event()
        self._stopping = False

    async def start(self) -> None:
        """Take up what the last process left, and begin to look after leases and deadlines."""
        if self._backend.kind == "sqlite":
            await self._backend.write(runs.disown_all)
            crash_point("start.disowned")
        await self._backend.listen(_CHANNEL, self._heard)
        self._look.set()
        chores = (self._claim_loop, self._beat_loop, self._sweep_loop, self._purge_loop)
        turns = self._turns
        behind = (turns.indexing.run, turns.meanings.making.run, turns.digests.run, self.remembering.loop)
        for chore in (*chores, *behind):
            self._tasks.append(asyncio.create_task(self._for_ever(chore)))

    async def stop(self, drain: float = 0.0) -> None:
        """Wait up to `drain` seconds for the runs, then leave the rest as they are stored for the next worker."""
        self._stopping = True
        crash_point("stop.begun")
        await _logged(self._backend.unlisten(_CHANNEL, self._heard))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._turns.indexing.stop()
        await self._turns.meanings.stop()
        if self._drivers:
            await asyncio.wait([asyncio.create_task(one.ended()) for one in self._drivers.values()], timeout=drain)
        crash_point("stop.drained")
        await asyncio.gather(*(driver.stop() for driver in list(self._drivers.values())))
        crash_point("stop.left")

    # A run is made

    async def create(
        self,
        project: str,
        created: RunCreated,
        drafts: tuple[Message, ...],
        prepare: Callable[[Tx], Awaitable[bool]],
    ) -> Run:
        """Store a run and begin it; the run as it was created.

        `prepare` runs in the same transaction before the run is stored: it locks the thread, refuses, and says whether
        the run must wait for its turn; if not, it stores the `drafts`, which else join the thread when the turn comes.
        The model call starts while the commit is awaited.
        """
        first = begin(created)
        if self._stopping or len(self._drivers) >= self._settings.most_runs:
            await self._backend.write(lambda tx: self._add(tx, project, created, drafts, prepare))
            self._wake_all()
            return first
        happenings = (Happening(None, created, first), *self._decided(first, (Start(),)))
        driver = self._drive(project, happenings[-1].after, base=0)
        try:
            async with driver.lock:
                self._turns.prime(first.id, drafts)
                driver.start()
                waits = await self._backend.write(
                    lambda tx: self._add(tx, project, created, drafts, prepare, happenings)
                )
                crash_point("create.stored")
                if waits:
                    driver.abandon()
                else:
                    driver.show(happenings)
                    crash_point("create.shown")
        except BaseException:
            driver.abandon()
            raise
        finally:
            if driver.gone:
                self._turns.forget(first.id)
        return first

    async def _add(
        self,
        tx: Tx,
        project: str,
        created: RunCreated,
        drafts: tuple[Message, ...],
        prepare: Callable[[Tx], Awaitable[bool]],
        begun: Sequence[Happening] = (),
    ) -> bool:
        """Store a new run: as it has begun or, if it must wait or nobody has time, as created. Whether it waits."""
        waits = await prepare(tx)
        crash_point("create.prepared")
        if waits:
            created = replace(created, messages=drafts)
        if waits or not begun:
            await runs.add(tx, project, begin(created), (created,), Claim(), waiting=waits)
        else:
            await runs.add(tx, project, begun[-1].after, _events(begun), self._claim())
        crash_point("create.added")
        return waits

    async def preview(self, thread: str, wanted: Preview) -> Chosen | DoesNotFit:
        """What a run would send of a thread now."""
        return await self._turns.prompts.preview(thread, wanted)

    # News from outside

    async def give(
        self, project: str, thread: str, ident: str, given: Input, check: Callable[[Run], None]
    ) -> list[Happening]:
        """Give a run an input from its caller; what followed is stored. `check` may refuse, on the run as it is then.

        Raises Problem.
        """
        asked_at: int | None = None
        while True:
            driver = self._drivers.get(ident)
            try:
                if driver and driver.project == project and driver.run.thread == thread:
                    return await driver.give_from_outside(given, check)
                answer = await self._give_idle(project, thread, ident, given, check, asked_at)
            except Lost:
                continue
            if not isinstance(answer, int):
                return answer
            asked_at = answer
            await asyncio.sleep(POLL)

    async def _give_idle(
        self,
        project: str,
        thread: str,
        ident: str,
        given: Input,
        check: Callable[[Run], None],
        asked_at: int | None,
    ) -> list[Happening] | int:
        """The same for a run that is not driven here.

        A run that another worker drives can only be asked to cancel: then the number of its last event comes back,
        to be given again as `asked_at` until that worker has answered.
        """
        now = self.clock.now

        async def unit(tx: Tx) -> tuple[list[Happening], Written] | int:
            job = await runs.load_job(tx, ident, lock=True)
            if job is None or job.project != project or job.run.thread != thread:
                raise no_such("run", ident)
            if asked_at is not None:
                answered = await stored(tx, job.run, asked_at)
                if any(isinstance(one.event, RunCancelling) for one in answered):
                    return answered, Written(False)
            check(job.run)
            if job.owner and pending(job.run) and job.lease_until >= now:
                await runs.request_cancel(tx, ident)
                return job.run.number
            inputs = (Deadline(),) if job.run.expires_at <= now else (given, Start())
            happenings = self._decided(job.run, inputs)
            crash_point("idle.decided")
            written = await self._write(tx, project, happenings, self._claim())
            if not written.kept:
                raise Lost(ident)
            return happenings, written

        outcome = await self._backend.write(unit)
        if isinstance(outcome, int):
            await self._backend.notify(_CHANNEL, ident)
            return outcome
        happenings, written = outcome
        crash_point("idle.stored")
        if written.kept:
            self._follow_up(project, happenings, written)
            crash_point("idle.followed")
        if happenings and isinstance(happenings[-1].event, RunExpired):
            check(happenings[-1].after)
        return happenings

    async def _write(self, tx: Tx, project: str, happenings: Sequence[Happening], claim: Claim) -> Written:
        if not happenings:
            return Written(True)
        before = happenings[0].before
        assert before is not None
        return await write(tx, Entry(project, before, happenings[-1].after, _events(happenings), claim))

    def _follow_up(self, project: str, happenings: list[Happening], written: Written) -> None:
        if not happenings:
            return
        before, after = happenings[0].before, happenings[-1].after
        assert before is not None
        if pending(after):
            driver = self._drive(project, after, base=before.number)
            driver.show(happenings)
            driver.start()
        else:
            self.bus.open(after.id, before.number).publish(happenings)
            self.bus.close(after.id)
        if written.let_in:
            self._wake_all()

    def follow(self, run: Run, after: int = 0) -> AsyncIterator[Sequence[Happening]]:
        """The events of a run behind number `after`, as they come, until it is done or waits for its caller."""
        return follow(self._backend, self.bus, run, after)

    # Who drives what

    def _drive(self, project: str, run: Run, base: int) -> Driver:
        live = self.bus.open(run.id, base)
        driver = self._drivers[run.id] = Driver(self._shop, project, run, self._claim, live, self._left)
        return driver

    def _left(self, driver: Driver, written: Written) -> None:
        if self._drivers.get(driver.run.id) is driver:
            del self._drivers[driver.run.id]
            self.bus.close(driver.run.id)
        if written.let_in:
            self._wake_all()

    def _wake_all(self) -> None:
        """There is a run that nobody drives: look here, and tell the other workers."""
        self._look.set()
        self._spawn(self._backend.notify(_CHANNEL, ""))

    def _heard(self, run: str) -> None:
        self._look.set()
        if driver := self._drivers.get(run):
            self._spawn(self._see_to_cancel(driver))

    async def _see_to_cancel(self, driver: Driver) -> None:
        job = await self._backend.read(lambda tx: runs.load_job(tx, driver.run.id))
        if job and job.cancel_requested:
            await self._quietly(driver, Cancel())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_logged(work))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def _claim(self) -> Claim:
        return Claim(self.me, self.clock.now + self._settings.lease)

    def _decided(self, run: Run, inputs: Sequence[Input]) -> list[Happening]:
        happenings = []
        for given in inputs:
            for event in decide(run, given, self.clock):
                before, run = run, evolve(run, event)
                happenings.append(Happening(before, event, run))
        return happenings

    # Chores

    async def _for_ever(self, chore: Callable[[], Awaitable[None]]) -> None:
        """Whatever befalls a chore, it begins again: without it runs would be left lying."""
        while True:
            try:
                await chore()
            except Exception as fault:
                log.error("a chore of the engine begins again", cause=fault)
            await asyncio.sleep(self._settings.sweep)

    async def _claim_loop(self) -> None:
        while True:
            self._look.clear()
            try:
                await self._claim_some()
            except StoreError as error:
                log.warning("no runs claimed", error=str(error))
            try:
                # Not wait_for: in Python 3.11 it swallows a cancel that comes together with the event.
                async with asyncio.timeout(self._settings.sweep):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def _claim_some(self) -> None:
        room = min(self._settings.most_runs - len(self._drivers), _CLAIMED_AT_ONCE)
        if room <= 0:
            return
        claim = self._claim()
        mine = await self._backend.write(lambda tx: runs.claim(tx, self.me, self.clock.now, claim.until, room))
        if mine:
            crash_point("claim.stored")
        await _all(self._take_over(ident) for ident in mine if ident not in self._drivers)
        if len(mine) == room:
            self._look.set()

    async def _take_over(self, ident: str) -> None:
        """Go on with a run from its last stored event."""

        async def unit(tx: Tx) -> tuple[Job, list[Happening], Written] | None:
            job = await runs.load_job(tx, ident, lock=True)
            if job is None or job.owner != self.me or pending(job.run) is None:
                return None
            run = await runs.refold(tx, job.run)
            crash_point("takeover.folded")
            inputs: list[Input] = [] if run.status == "queued" else [Resume(_SKIPPED)]
            happenings = self._decided(run, [*inputs, Cancel()] if job.cancel_requested else inputs)
            return job, happenings, await self._write(tx, job.project, happenings, self._claim())

        taken = await self._backend.write(unit)
        if taken is None or ident in self._drivers:
            return
        job, happenings, written = taken
        crash_point("takeover.stored")
        log.info("run taken over", run=ident, status=job.run.status)
        if happenings:
            self._follow_up(job.project, happenings, written)
        else:
            self._drive(job.project, job.run, base=job.run.number).start()
        crash_point("takeover.driven")

    async def _beat_loop(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat)
            if self._drivers:
                await self._beat()

    async def _beat(self) -> None:
        held = list(self._drivers)
        # One that is being stored may not be there yet, or be over when the answer comes.
        stored = [driver for driver in self._drivers.values() if not driver.lock.locked()]
        until = self.clock.now + self._settings.lease
        try:
            beats = await self._backend.write(lambda tx: runs.beat(tx, self.me, held, until))
            crash_point("beat.stored")
        except StoreError as error:
            log.warning("heartbeat not stored", error=str(error))
            return
        mine = {one.run for one in beats}
        for driver in stored:
            if driver.run.id not in mine and not driver.lock.locked():
                driver.abandon()
        asked = [self._drivers.get(one.run) for one in beats if one.cancel_requested]
        await _all(self._quietly(driver, Cancel()) for driver in asked if driver)

    async def _sweep_loop(self) -> None:
        """End what is past its time."""
        while True:
            await asyncio.sleep(self._settings.sweep)
            now = self.clock.now
            late = [driver for driver in self._drivers.values() if driver.run.expires_at <= now]
            await _all(self._quietly(driver, Deadline()) for driver in late)
            try:
                idle = await self._backend.read(lambda tx, now=now: runs.expired(tx, now, _CLAIMED_AT_ONCE))  # type: ignore[misc]
            except StoreError as error:
                log.warning("no runs expired", error=str(error))
                continue
            await _all(self._expire(ident) for ident in idle)

    async def _expire(self, ident: str) -> None:
        async def unit(tx: Tx) -> tuple[str, list[Happening], Written] | None:
            job = await runs.load_job(tx, ident, lock=True)
            if job is None or job.run.done:
                return None
            run = await runs.refold(tx, job.run)
            happenings = self._decided(run, (Deadline(),))
            crash_point("expire.decided")
            return job.project, happenings, await self._write(tx, job.project, happenings, Claim())

        if ident in self._drivers or not (ended := await self._backend.write(unit)):
            return
        project, happenings, written = ended
        crash_point("expire.stored")
        if written.kept:
            self._follow_up(project, happenings, written)

    async def _quietly(self, driver: Driver, given: Input) -> None:
        try:
            await driver.give_from_outside(given)
        except (Lost, StoreError) as error:
            log.info("input not taken", run=driver.run.id, error=str(error))

    async def _purge_loop(self) -> None:
        """Remove what deleted threads and old requests left behind, a little at a time."""
        while True:
            try:
                more = await self._backend.write(threads.purge_some)
                if more:
                    crash_point("purge.stored")
                more |= await self._backend.write(lambda tx: effects.forget_old(tx, self.clock.now))
            except StoreError as error:
                log.warning("nothing purged", error=str(error))
                more = False
            await asyncio.sleep(0.01 if more else self._settings.sweep)


def _events(happenings: Sequence[Happening]) -> tuple[AnyEvent, ...]:
    return tuple(one.event for one in happenings)


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do the same for several runs at a time; what fails for one is no other's concern."""
    await asyncio.gather(*(_logged(work) for work in works))


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except StoreError as error:
        log.warning("left for later", error=str(error))
    except Exception as fault:
        log.error("an errand of the engine failed", cause=fault)
