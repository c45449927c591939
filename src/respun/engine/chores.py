"""What the engine does unasked: claims runs that nobody drives, renews leases, ends what is late, clears away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from respun import telemetry
from respun.core.machine import Cancel, Deadline, Input, Resume, pending
from respun.crash import crash_point
from respun.engine.bus import Happening
from respun.engine.held import Held, each
from respun.engine.journal import Written
from respun.store import effects, runs, threads
from respun.store.backend import StoreError, Tx
from respun.store.runs import Claim, Job

log: Final = telemetry.log("engine")

# Numbers that a run skips when another worker takes it over: more than can be shown between two flushes.
_SKIPPED: Final = 1 << 16
_CLAIMED_AT_ONCE: Final = 100


class Chores:
    """Begin them with `start`; `further` are chores of others that are looked after alike."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *further: Callable[[], Awaitable[None]]) -> None:
        chores = (self._claim_loop, self._beat_loop, self._sweep_loop, self._purge_loop)
        self._tasks += [asyncio.create_task(self._for_ever(chore)) for chore in (*chores, *further)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _for_ever(self, chore: Callable[[], Awaitable[None]]) -> None:
        """Whatever befalls a chore, it begins again: without it runs would be left lying."""
        while True:
            try:
                await chore()
            except StoreError as error:
                log.warning("a chore of the engine begins again", error=str(error))
            except Exception as fault:
                log.error("a chore of the engine begins again", cause=fault)
            await asyncio.sleep(self._held.settings.sweep)

    async def _claim_loop(self) -> None:
        while True:
            try:
                await self._claim_some()
            except StoreError as error:
                log.warning("no runs claimed", error=str(error))
            await self._held.look.listen(self._held.settings.sweep)

    async def _claim_some(self) -> None:
        room = min(self._held.room, _CLAIMED_AT_ONCE)
        if room <= 0:
            return
        now, claim = self._held.clock.now, self._held.claim()
        mine = await self._held.backend.write(lambda tx: runs.claim(tx, self._held.me, now, claim.until, room))
        if mine:
            crash_point("claim.stored")
        await each(self._take_over(ident) for ident in mine if ident not in self._held.drivers)
        if len(mine) == room:
            self._held.look.ring()

    async def _take_over(self, ident: str) -> None:
        """Go on with a run from its last stored event."""

        async def unit(tx: Tx) -> tuple[Job, list[Happening], Written] | None:
            job = await runs.load_job(tx, ident, lock=True)
            if job is None or job.owner != self._held.me or pending(job.run) is None:
                return None
            run = await runs.refold(tx, job.run)
            crash_point("takeover.folded")
            inputs: list[Input] = [] if run.status == "queued" else [Resume(_SKIPPED)]
            happenings = self._held.decided(run, [*inputs, Cancel()] if job.cancel_requested else inputs)
            return job, happenings, await self._held.write(tx, job.project, happenings, self._held.claim())

        taken = await self._held.backend.write(unit)
        if taken is None or ident in self._held.drivers:
            return
        job, happenings, written = taken
        crash_point("takeover.stored")
        log.info("run taken over", run=ident, status=job.run.status)
        if happenings:
            self._held.follow_up(job.project, happenings, written)
        else:
            self._held.drive(job.project, job.run, base=job.run.number).start()
        crash_point("takeover.driven")

    async def _beat_loop(self) -> None:
        while True:
            await asyncio.sleep(self._held.settings.heartbeat)
            if self._held.drivers:
                await self._beat()

    async def _beat(self) -> None:
        held = list(self._held.drivers)
        # One that is being stored may not be there yet, or be over when the answer comes.
        stored = [driver for driver in self._held.drivers.values() if not driver.lock.locked()]
        until = self._held.clock.now + self._held.settings.lease
        try:
            beats = await self._held.backend.write(lambda tx: runs.beat(tx, self._held.me, held, until))
            crash_point("beat.stored")
        except StoreError as error:
            log.warning("heartbeat not stored", error=str(error))
            return
        mine = {one.run for one in beats}
        for driver in stored:
            if driver.run.id not in mine and not driver.lock.locked():
                driver.abandon()
        asked = [self._held.drivers.get(one.run) for one in beats if one.cancel_requested]
        await each(self._held.quietly(driver, Cancel()) for driver in asked if driver)

    async def _sweep_loop(self) -> None:
        """End what is past its time."""
        while True:
            await asyncio.sleep(self._held.settings.sweep)
            now = self._held.clock.now
            late = [driver for driver in self._held.drivers.values() if driver.run.expires_at <= now]
            await each(self._held.quietly(driver, Deadline()) for driver in late)
            try:
                idle = await self._held.backend.read(lambda tx, now=now: runs.expired(tx, now, _CLAIMED_AT_ONCE))  # type: ignore[misc]
            except StoreError as error:
                log.warning("no runs expired", error=str(error))
                continue
            await each(self._expire(ident) for ident in idle)

    async def _expire(self, ident: str) -> None:
        async def unit(tx: Tx) -> tuple[str, list[Happening], Written] | None:
            job = await runs.load_job(tx, ident, lock=True)
            if job is None or job.run.done:
                return None
            run = await runs.refold(tx, job.run)
            happenings = self._held.decided(run, (Deadline(),))
            crash_point("expire.decided")
            return job.project, happenings, await self._held.write(tx, job.project, happenings, Claim())

        if ident in self._held.drivers or not (ended := await self._held.backend.write(unit)):
            return
        project, happenings, written = ended
        crash_point("expire.stored")
        if written.kept:
            self._held.follow_up(project, happenings, written)

    async def _purge_loop(self) -> None:
        """Remove what deleted threads and old requests left behind, a little at a time."""
        while True:
            try:
                more = await self._held.backend.write(threads.purge_some)
                if more:
                    crash_point("purge.stored")
                more |= await self._held.backend.write(lambda tx: effects.forget_old(tx, self._held.clock.now))
            except StoreError as error:
                log.warning("nothing purged", error=str(error))
                more = False
            await asyncio.sleep(0.01 if more else self._held.settings.sweep)
