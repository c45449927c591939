"""Runs: create, list, get, change, cancel, submit tool outputs, steps, follow."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from respun.core.assistants import Assistant, Metadata, Tool
from respun.core.drafts import MessageDraft, RunDraft, ThreadDraft
from respun.core.events import Output, OutputsGiven, RunCancelling, RunCreated, RunQueued
from respun.core.machine import Cancel, Input, Outputs
from respun.core.once import Once
from respun.core.pages import Page, PageRequest
from respun.core.problems import Problem, no_such
from respun.core.refusals import refuse_cancel, refuse_change, refuse_outputs, refuse_second_run
from respun.core.runs import Plan, Run, Step
from respun.core.threads import Message, Thread
from respun.crash import crash_point
from respun.engine.bus import Happening
from respun.engine.engine import Engine
from respun.engine.follow import stored
from respun.store import assistants, effects, messages, runs, threads
from respun.store.backend import Tx
from respun.workspace import contexts
from respun.workspace.code_files import given_files, runs_code
from respun.workspace.contexts import Shown
from respun.workspace.failures import Store, explained
from respun.workspace.memories import Memories, Utterance
from respun.workspace.messages import new_messages
from respun.workspace.plans import plan_of
from respun.workspace.resources import Resources

_EVERYTHING: Final = 1 << 62
_LOOKED_AT: Final = 10


class RunRules(Struct, frozen=True):
    """`expires_after` in seconds; `max_turns` model calls a run; `when_busy` where a run does not say."""

    expires_after: float = 600.0
    max_turns: int = 50
    when_busy: Literal["reject", "enqueue", "interrupt"] = "reject"


class Submitted(Struct, frozen=True):
    """The run as outputs made it queued again; its stream goes on behind event number `after`."""

    run: Run
    after: int


class Runs:
    def __init__(self, store: Store, engine: Engine, rules: RunRules, resources: Resources, memories: Memories) -> None:
        self._store = store
        self._memories = memories
        self._engine = engine
        self._rules = rules
        self._resources = resources

    async def create(
        self, project: str, thread: str, draft: RunDraft, once: Once | None = None, said: tuple[Message, ...] = ()
    ) -> Run:
        """The run as it was created. It is under way when this returns, or waits for its turn.

        `said` are messages that are added with it, like `draft.additional_messages`, but made by the caller.
        """

        async def repeated(tx: Tx) -> str | None:
            return await effects.earlier(tx, once, lambda made: runs.is_newest(tx, thread, made))

        if run := await self._repeated(once, repeated):
            return run
        scene = await self._store.read(lambda tx: runs.scene(tx, project, thread, draft.assistant))
        assistant = scene.assistant
        drafts = (*new_messages(thread, draft.additional_messages, self._engine.clock), *said)
        uttered = await self._uttered(thread, drafts, wanted=_uses_memory(assistant, draft))
        use = await self._memories.settle(project, assistant, draft.memory, uttered)
        plan = await self._plan(project, assistant, draft, thread, draft.additional_messages)
        created = self._created(thread, assistant, draft, replace(plan, memory=use), None)

        in_the_way: str | None = None

        async def prepare(tx: Tx) -> bool:
            nonlocal in_the_way
            last = await messages.lock(tx, project, thread, len(drafts))
            if made := await repeated(tx):
                raise _Repeated(made)
            await effects.note(tx, once, created.run)
            active = in_the_way = await runs.active(tx, thread)
            if active and self._policy(draft) == "reject":
                raise refuse_second_run(thread, active)
            if drafts and active:
                await messages.lock(tx, project, thread, -len(drafts))
            elif drafts:
                await messages.put_in_places(tx, thread, drafts, last)
                await self._resources.attach(tx, project, thread, draft.additional_messages)
            await self._memories.note(tx, project, assistant.id, use, uttered, created.run)
            return bool(active)

        if scene.active and self._policy(draft) != "enqueue":
            await self._make_room(project, thread, draft, scene.active)
        run = await self._begin(project, created, drafts, prepare)
        self._resources.added(draft.additional_messages)
        if in_the_way and self._policy(draft) == "interrupt":
            # Somebody was faster to the thread since it was made free.
            await self._interrupt(project, thread, in_the_way)
        return run

    async def create_with_thread(
        self, project: str, given: ThreadDraft, draft: RunDraft, once: Once | None = None
    ) -> Run:
        async def repeated(tx: Tx) -> str | None:
            return await effects.earlier(tx, once)

        if run := await self._repeated(once, repeated):
            return run
        assistant = await self._store.read(lambda tx: assistants.get(tx, project, draft.assistant))
        whole = self._resources.new_thread(given, draft.additional_messages, draft.tool_resources)
        thread = whole.thread
        drafts = new_messages(thread.id, whole.messages, self._engine.clock)
        plan = await self._plan(project, assistant, draft, thread, ())
        uttered = utterance(thread.id, drafts[::-1])
        use = await self._memories.settle(project, assistant, draft.memory, uttered)
        created = self._created(thread.id, assistant, draft, replace(plan, memory=use), thread)

        async def prepare(tx: Tx) -> bool:
            if made := await repeated(tx):
                raise _Repeated(made)
            await effects.note(tx, once, created.run)
            await self._resources.add_thread(tx, project, whole)
            if drafts:
                await messages.append(tx, project, thread.id, drafts)
            await self._memories.note(tx, project, assistant.id, use, uttered, created.run)
            return False

        run = await self._begin(project, created, drafts, prepare)
        self._resources.added(whole.messages, whole)
        return run

    async def list(self, project: str, thread: str, page: PageRequest) -> Page[Run]:
        async def unit(tx: Tx) -> Page[Run]:
            await threads.check(tx, project, thread)
            return await runs.listed(tx, thread, page)

        return await self._store.read(unit)

    async def get(self, project: str, thread: str, ident: str) -> Run:
        return await self._store.read(lambda tx: _found(tx, project, thread, ident))

    async def change(self, project: str, thread: str, ident: str, metadata: Metadata) -> Run:
        async def unit(tx: Tx) -> Run:
            run = await _found(tx, project, thread, ident)
            refuse_change(run)
            changed = replace(run, metadata=metadata)
            if not await runs.set_body(tx, changed):
                refuse_change(replace(run, status="in_progress"))
            return changed

        return await self._store.write(unit)

    async def cancel(self, project: str, thread: str, ident: str, once: Once | None = None) -> Run:
        """The run as it begins to be cancelled."""
        if (
            once
            and once.repeated
            and (run := await self.get(project, thread, ident)).status in ("cancelling", "cancelled")
        ):
            return run
        happenings = await self._give(project, thread, ident, Cancel(), refuse_cancel)
        return next(one.after for one in happenings if isinstance(one.event, RunCancelling))

    async def submit(
        self, project: str, thread: str, ident: str, outputs: tuple[Output, ...], once: Once | None = None
    ) -> Submitted:
        """Outputs of all calls that are owed, at once."""
        if once and once.repeated and (before := await self._taken_before(project, thread, ident, outputs)):
            return before
        happenings = await self._give(
            project, thread, ident, Outputs(outputs), lambda run: refuse_outputs(run, outputs)
        )
        queued = next(one.after for one in happenings if isinstance(one.event, RunQueued))
        return Submitted(queued, happenings[0].number - 1)

    async def context(self, project: str, thread: str, ident: str) -> Shown:
        """What the run sends of its thread. Raises Problem while it has sent nothing."""

        async def unit(tx: Tx) -> Shown:
            return await contexts.of_run(tx, await _found(tx, project, thread, ident))

        return await self._store.read(unit)

    async def steps(self, project: str, thread: str, ident: str, page: PageRequest) -> Page[Step]:
        async def unit(tx: Tx) -> Page[Step]:
            await _found(tx, project, thread, ident)
            return await runs.steps(tx, ident, page)

        return await self._store.read(unit)

    async def step(self, project: str, thread: str, ident: str, step: str) -> Step:
        async def unit(tx: Tx) -> Step:
            await _found(tx, project, thread, ident)
            return await runs.step(tx, ident, step)

        return await self._store.read(unit)

    async def serves(self, tool: Tool) -> bool:
        """Whether this server answers calls of this tool itself."""
        try:
            await self._engine.tools.check((tool,))
        except Problem:
            return False
        return True

    def follow(self, run: Run, after: int = 0) -> AsyncIterator[Sequence[Happening]]:
        """Events behind number `after`, as they come, until the run is done or waits for its caller."""
        return self._engine.follow(run, after)

    async def _give(
        self, project: str, thread: str, ident: str, given: Input, check: Callable[[Run], None]
    ) -> Sequence[Happening]:
        await self._store.read(lambda tx: threads.check(tx, project, thread))
        with explained():
            return await self._engine.give(project, thread, ident, given, check)

    async def _begin(
        self,
        project: str,
        created: RunCreated,
        drafts: tuple[Message, ...],
        prepare: Callable[[Tx], Awaitable[bool]],
    ) -> Run:
        try:
            with explained():
                run = await self._engine.create(project, created, drafts, prepare)
            if created.plan.memory.operation:
                self._memories.look()
            return run
        except _Repeated as again:
            made = again.run
        return await self._store.read(lambda tx: _by_id(tx, made))

    async def _repeated(self, once: Once | None, earlier: Callable[[Tx], Awaitable[str | None]]) -> Run | None:
        """The run that this request already made, before a model is called for nothing."""
        if once is None or not once.repeated:
            return None
        made = await self._store.read(earlier)
        return await self._store.read(lambda tx: _by_id(tx, made)) if made else None

    async def _taken_before(
        self, project: str, thread: str, ident: str, outputs: tuple[Output, ...]
    ) -> Submitted | None:
        """Where these very outputs were taken: a request that is sent again goes on from there."""
        run = await self.get(project, thread, ident)
        given = {output.call: output.output for output in outputs}
        for one in await self._store.read(lambda tx: stored(tx, run, 0)):
            if isinstance(one.event, OutputsGiven) and {o.call: o.output for o in one.event.outputs} == given:
                return Submitted(run, one.number - 1)
        return None

    def _policy(self, draft: RunDraft) -> Literal["reject", "enqueue", "interrupt"]:
        return draft.when_busy or self._rules.when_busy

    async def _make_room(self, project: str, thread: str, draft: RunDraft, active: str) -> None:
        """Refuse before the model is called for nothing, or cancel the run that is in the way."""
        if self._policy(draft) == "reject":
            raise refuse_second_run(thread, active)
        await self._interrupt(project, thread, active)

    async def _interrupt(self, project: str, thread: str, active: str) -> None:
        with explained():
            await self._engine.give(project, thread, active, Cancel(), lambda run: None)
        crash_point("interrupt.given")

    async def _plan(
        self,
        project: str,
        assistant: Assistant,
        draft: RunDraft,
        thread: str | Thread,
        drafts: Sequence[MessageDraft],
    ) -> Plan:
        """`thread` as it will be stored, or the id of one that is; `drafts` will join it. Refuses unserved tools."""
        plan = plan_of(assistant, draft, self._rules.max_turns)
        await self._engine.tools.check(plan.tools)
        if not runs_code(plan):
            return plan

        async def unit(tx: Tx) -> Plan:
            whole = await threads.get(tx, project, thread) if isinstance(thread, str) else thread
            given = await given_files(tx, project, plan, whole, drafts, self._engine.clock.now)
            return replace(plan, code_files=given)

        return await self._store.read(unit)

    async def _uttered(self, thread: str, drafts: Sequence[Message], *, wanted: bool) -> Utterance:
        """What the user said last: with this request, or before it. Not `wanted`: nobody will look at it."""
        if not wanted:
            return Utterance(thread, "")
        if any(message.role == "user" for message in drafts):
            return utterance(thread, drafts[::-1])
        found = await self._store.read(lambda tx: messages.newest(tx, thread, _EVERYTHING, _LOOKED_AT))
        return utterance(thread, found)

    def _created(
        self, thread: str, assistant: Assistant, draft: RunDraft, plan: Plan, new: Thread | None
    ) -> RunCreated:
        clock = self._engine.clock
        now = clock.now
        return RunCreated(
            at=now,
            run=clock.id("run"),
            thread=thread,
            assistant=assistant.id,
            expires_at=int(now) + self._rules.expires_after,
            plan=plan,
            metadata=draft.metadata,
            new_thread=new,
        )


def _uses_memory(assistant: Assistant, draft: RunDraft) -> bool:
    return (draft.memory.mode if draft.memory else assistant.memory.mode) != "off"


def utterance(thread: str, newest_first: Sequence[Message]) -> Utterance:
    for message in newest_first:
        if message.role == "user":
            return Utterance(thread, message.text, (message.original or message.metadata).get("custom_timestamp"))
    return Utterance(thread, "")


class _Repeated(Exception):
    """The request was made before, and made this run."""

    def __init__(self, run: str) -> None:
        super().__init__(run)
        self.run = run


async def _by_id(tx: Tx, run: str) -> Run:
    job = await runs.load_job(tx, run)
    if job is None:
        raise no_such("run", run)
    return job.run


async def _found(tx: Tx, project: str, thread: str, ident: str) -> Run:
    await threads.check(tx, project, thread)
    return await runs.get(tx, project, thread, ident)
