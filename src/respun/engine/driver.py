"""Drives one run: does what its machine asks for, stores what follows, and shows it.

Inputs come from the work in flight (a model call, hosted tools) and from outside (cancel, outputs, the deadline). One
lock orders them. A client's disconnect is no input: it ends a subscription, never the run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol

from respun import telemetry
from respun.core.events import (
    AnyEvent,
    ArgumentsAdded,
    CallAdded,
    CallsStarted,
    ContextChosen,
    MessageStarted,
    Output,
    ReasoningAdded,
    RefusalAdded,
    TextAdded,
)
from respun.core.fold import evolve
from respun.core.machine import (
    Begin,
    CallModel,
    CallTools,
    Fresh,
    Input,
    ModelFailed,
    Outputs,
    Start,
    Stopped,
    StopWork,
    decide,
    pending,
)
from respun.core.runs import Run, RunError, ToolCall
from respun.crash import crash_point
from respun.engine.bus import Happening, RunLog
from respun.engine.journal import Entry, Journal, Written, write
from respun.engine.tools import EndsRun
from respun.store.backend import Backend, StoreError
from respun.store.runs import Claim

log: Final = telemetry.log("engine")

# Shown at once and stored soon; every other event is stored before it is shown.
_PASSING = (
    TextAdded,
    ArgumentsAdded,
    MessageStarted,
    CallsStarted,
    CallAdded,
    RefusalAdded,
    ReasoningAdded,
    ContextChosen,
)
_FAULT: Final = RunError("server_error", "The server has a fault and could not do this run; its log says which.")


class Lost(Exception):
    """The run is no longer this worker's: somebody else has added events, or it is gone."""


class Performer(Protocol):
    """Does the work a run wants done."""

    def call_model(self, project: str, run: Run, take: Callable[[Sequence[Input]], Awaitable[None]]) -> Awaitable[None]:
        """Make one model call, hand over its news as they come, and end with a last one."""
        ...

    def call_tools(self, project: str, run: Run, calls: tuple[ToolCall, ...]) -> Awaitable[tuple[Output, ...]]: ...


class Shop:
    """What every driver works with."""

    def __init__(self, backend: Backend, journal: Journal, performer: Performer, fresh: Fresh) -> None:
        self.backend = backend
        self.journal = journal
        self.performer = performer
        self.fresh = fresh


class Driver:
    """`run` is the run as it is shown, `stored` as it is in the store; between them are only passing events."""

    def __init__(
        self,
        shop: Shop,
        project: str,
        run: Run,
        claim: Callable[[], Claim],
        live: RunLog,
        left: Callable[["Driver", Written], None],
    ) -> None:
        self.project = project
        self.run = run
        self.lock = asyncio.Lock()
        """Held by whoever gives the run an input, and while its creation is being stored."""
        self._shop = shop
        self._claim = claim
        self._live = live
        self._left = left
        self._stored = run
        self._unsaved: list[AnyEvent] = []
        self._work: asyncio.Task[None] | None = None
        self._gone = False
        self._ended = asyncio.Event()

    def start(self) -> None:
        """Begin, or go on with, what the run wants done."""
        self._work = asyncio.create_task(self._until_done())

    @property
    def gone(self) -> bool:
        """Not driven here any more."""
        return self._gone

    def show(self, happenings: Sequence[Happening]) -> None:
        """Publish events that were stored before or while this driver was made."""
        self._live.publish(happenings)
        if pending(self.run) is None:
            self._leave(Written(True))

    async def give(self, inputs: Iterable[Input], check: Callable[[Run], None] | None = None) -> list[Happening]:
        """Take inputs and do what follows; the events are stored (text: shown) when this returns.

        `check` may refuse them. Raises `Lost`, or a `StoreError` if they could not be stored.
        """
        async with self.lock:
            if self._gone:
                raise Lost(self.run.id)
            if check:
                check(self.run)
            happenings = self._decide(inputs)
            if happenings:
                await self._keep(happenings)
            return happenings

    async def give_from_outside(self, given: Input, check: Callable[[Run], None] | None = None) -> list[Happening]:
        """The same for a request's input: the work in flight starts over if the run now wants something else."""
        happenings = await self.give((given,), check)
        crash_point("outside.given")
        if happenings and not self._gone:
            self._stop_work()
            self.start()
        return happenings

    def abandon(self) -> None:
        """Stop work and leave the run as it is stored, for whoever claims it next."""
        self._leave(Written(False))

    async def ended(self) -> None:
        """Wait until the run is done, waits for its caller, or is lost."""
        await self._ended.wait()

    async def stop(self) -> None:
        """Abandon the run and wait until its work has let go of the upstream."""
        self.abandon()
        if self._work:
            await asyncio.wait((self._work,))

    def unsaved(self) -> Entry | None:
        if self._gone or not self._unsaved:
            return None
        # Heartbeats prolong the lease; writing it here as well would make text five times as dear, for its indexes.
        claim = None if self.run.status == self._stored.status else self._claim()
        return Entry(self.project, self._stored, self.run, tuple(self._unsaved), claim)

    def saved(self, entry: Entry, kept: bool) -> None:
        if not kept:
            self.abandon()
            return
        self._stored = entry.after
        self._live.drop(entry.after.number)
        del self._unsaved[: len(entry.events)]

    def _decide(self, inputs: Iterable[Input]) -> list[Happening]:
        happenings: list[Happening] = []
        for given in inputs:
            for event in decide(self.run, given, self._shop.fresh):
                before, self.run = self.run, evolve(self.run, event)
                happenings.append(Happening(before, event, self.run))
        return happenings

    async def _keep(self, happenings: list[Happening]) -> None:
        self._unsaved += [happening.event for happening in happenings]
        if all(isinstance(happening.event, _PASSING) for happening in happenings):
            self._live.publish(happenings)
            self._shop.journal.later(self)
            crash_point("text.shown")
            return
        crash_point("news.decided")
        written = await self._store()
        crash_point("news.stored")
        self._live.publish(happenings)
        crash_point("news.shown")
        if pending(self.run) is None:
            self._leave(written)

    async def _store(self) -> Written:
        journal = self._shop.journal
        journal.forget(self)
        await journal.settled()
        # A flush that failed has put this run down for the next one.
        journal.forget(self)
        entry = self.unsaved()
        if entry is None:
            raise Lost(self.run.id)
        try:
            written = await self._shop.backend.write(lambda tx: write(tx, entry))
        except StoreError:
            self.abandon()
            raise
        self.saved(entry, written.kept)
        if not written.kept:
            raise Lost(self.run.id)
        return written

    def _leave(self, written: Written) -> None:
        if self._gone:
            return
        self._gone = True
        self._ended.set()
        self._shop.journal.forget(self)
        self._stop_work()
        self._left(self, written)

    def _stop_work(self) -> None:
        if self._work and self._work is not asyncio.current_task():
            self._work.cancel()

    async def _until_done(self) -> None:
        try:
            while not self._gone and (command := pending(self.run)):
                await self._do(command)
        except Lost:
            log.info("run lost to another worker", run=self.run.id)
        except StoreError as error:
            log.error("run left: the store does not answer", run=self.run.id, error=str(error))
            self.abandon()
        except Exception as fault:
            log.error("run failed: a fault of the server", cause=fault, run=self.run.id)
            await self._fail()

    async def _fail(self) -> None:
        """Tried again it would only fail again."""
        try:
            await self.give((ModelFailed(_FAULT),))
        except Exception as fault:
            log.error("run left: its failure could not be stored", cause=fault, run=self.run.id)
        finally:
            self.abandon()

    async def _do(self, command: Begin | CallModel | CallTools | StopWork) -> None:
        match command:
            case Begin():
                await self.give((Start(),))
            case StopWork():
                await self.give((Stopped(),))
            case CallModel():
                crash_point("model.before")
                await self._shop.performer.call_model(self.project, self.run, self._take)
                crash_point("model.after")
            case CallTools(calls):
                await self.give((await self._outputs(calls),))

    async def _outputs(self, calls: tuple[ToolCall, ...]) -> Input:
        try:
            return Outputs(await self._shop.performer.call_tools(self.project, self.run, calls))
        except EndsRun as ending:
            return ModelFailed(ending.error)

    async def _take(self, inputs: Sequence[Input]) -> None:
        await self.give(inputs)
