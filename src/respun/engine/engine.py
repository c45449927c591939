"""The engine: which runs this process drives, and what reaches them from outside.

A run is driven by the worker whose lease it holds. A worker takes what nobody drives or whose worker went silent, so
recovery is not a case of its own. Runs that wait for their caller belong to no one and cost nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from msgspec.structs import replace

from respun.core.context.selection import DoesNotFit
from respun.core.drafts import Preview
from respun.core.events import RunCancelling, RunCreated, RunExpired
from respun.core.fold import begin
from respun.core.machine import Deadline, Input, Start, pending
from respun.core.problems import no_such
from respun.core.runs import Run
from respun.core.threads import Message
from respun.crash import crash_point
from respun.engine.bus import Happening
from respun.engine.chores import Chores
from respun.engine.clock import Clock
from respun.engine.context import Chosen
from respun.engine.driver import Lost
from respun.engine.follow import POLL, follow, stored
from respun.engine.held import CHANNEL, EngineSettings, Held, events_of, logged
from respun.engine.journal import Written
from respun.engine.remembering import Remembering
from respun.engine.turns import Turns
from respun.store import runs
from respun.store.backend import Backend, Tx
from respun.store.runs import Claim

__all__ = ["Engine", "EngineSettings"]


class Engine:
    """Drives runs in this process. `me` names it among the workers of a store."""

    def __init__(self, backend: Backend, turns: Turns, clock: Clock, settings: EngineSettings | None = None) -> None:
        settings = settings or EngineSettings()
        self._backend = backend
        self._turns = turns
        self._held = Held(backend, turns, clock, settings)
        self._chores = Chores(self._held)
        self._stopping = False
        self.clock = clock
        self.me = self._held.me
        self.bus = self._held.bus
        self.tools = turns.tools
        self.remembering = Remembering(backend, turns.provider, clock, self.me, settings.remembering)

    async def start(self) -> None:
        """Take up what the last process left, and begin to look after leases and deadlines."""
        if self._backend.kind == "sqlite":
            await self._backend.write(runs.disown_all)
            crash_point("start.disowned")
        await self._backend.listen(CHANNEL, self._held.heard)
        self._held.look.ring()
        turns = self._turns
        behind = (turns.indexing.run, turns.meanings.making.run, turns.digests.run, self.remembering.loop)
        self._chores.start(*behind)

    async def stop(self, drain: float = 0.0) -> None:
        """Wait up to `drain` seconds for the runs, then leave the rest as they are stored for the next worker."""
        self._stopping = True
        crash_point("stop.begun")
        await logged(self._backend.unlisten(CHANNEL, self._held.heard))
        await self._chores.stop()
        await self._turns.indexing.stop()
        await self._turns.meanings.stop()
        drivers = self._held.drivers
        if drivers:
            await asyncio.wait([asyncio.create_task(one.ended()) for one in drivers.values()], timeout=drain)
        crash_point("stop.drained")
        await asyncio.gather(*(driver.stop() for driver in list(drivers.values())))
        await logged(self._release())
        crash_point("stop.left")

    async def _release(self) -> None:
        """What is left here is anybody's at once: nobody waits until a lease runs out."""
        if await self._backend.write(lambda tx: runs.release(tx, self.me)):
            await self._backend.notify(CHANNEL, "")

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
        if self._stopping or self._held.room <= 0:
            await self._backend.write(lambda tx: self._add(tx, project, created, drafts, prepare))
            self._held.wake_all()
            return first
        happenings = (Happening(None, created, first), *self._held.decided(first, (Start(),)))
        driver = self._held.drive(project, happenings[-1].after, base=0)
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
            await runs.add(tx, project, begun[-1].after, events_of(begun), self._held.claim())
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
            driver = self._held.drivers.get(ident)
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
            happenings = self._held.decided(job.run, inputs)
            crash_point("idle.decided")
            written = await self._held.write(tx, project, happenings, self._held.claim())
            if not written.kept:
                raise Lost(ident)
            return happenings, written

        outcome = await self._backend.write(unit)
        if isinstance(outcome, int):
            await self._backend.notify(CHANNEL, ident)
            return outcome
        happenings, written = outcome
        crash_point("idle.stored")
        if written.kept:
            self._held.follow_up(project, happenings, written)
            crash_point("idle.followed")
        if happenings and isinstance(happenings[-1].event, RunExpired):
            check(happenings[-1].after)
        return happenings

    def follow(self, run: Run, after: int = 0) -> AsyncIterator[Sequence[Happening]]:
        """The events of a run behind number `after`, as they come, until it is done or waits for its caller."""
        return follow(self._backend, self.bus, run, after)
