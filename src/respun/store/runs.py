"""Rows of runs, their steps and their events."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from respun.core.assistants import Assistant
from respun.core.events import AnyEvent, RunCreated
from respun.core.fold import replay
from respun.core.pages import Page, PageRequest
from respun.core.problems import no_such
from respun.core.runs import Plan, Run, Step
from respun.store import messages
from respun.store.backend import Row, Tx
from respun.store.codec import text_of, to_assistant, to_events, to_plan, to_run, to_step
from respun.store.paging import page, place_in
from respun.store.statements import load

_sql: Final = load("runs")
# The plan is stored once, in a column of its own: it may be large, and it never changes.
_ELSEWHERE: Final = Plan(model="")
_ALL: Final = 1 << 62


class Claim(Struct, frozen=True):
    """A worker's timed right to a run; `until` in Unix seconds. No owner: any worker may claim it."""

    owner: str | None = None
    until: float = 0.0


class Job(Struct, frozen=True):
    """A run with what only the engine knows of it."""

    run: Run
    project: str
    owner: str | None
    lease_until: float
    waiting: bool
    cancel_requested: bool


async def active(tx: Tx, thread: str) -> str | None:
    """The id of the run that holds the thread."""
    row = await tx.one(_sql.active, thread=thread)
    return row["id"] if row else None


class Scene(Struct, frozen=True):
    """What a run on a thread begins with; `active` is the id of the run that holds the thread."""

    assistant: Assistant
    active: str | None


async def scene(tx: Tx, project: str, thread: str, assistant: str) -> Scene:
    """Refuses a thread or an assistant that the project does not have."""
    row = await tx.one(_sql.scene, thread=thread, assistant=assistant, project=project)
    if row is None:
        raise no_such("thread", thread)
    if row["assistant"] is None:
        raise no_such("assistant", assistant)
    return Scene(to_assistant(row["assistant"]), row["active"])


async def add(
    tx: Tx, project: str, run: Run, events: Sequence[AnyEvent], claim: Claim, *, waiting: bool = False
) -> None:
    """Store a run with its first events. The thread must be locked and without an active run, unless it waits."""
    await tx.run(
        _sql.insert,
        id=run.id,
        thread=run.thread,
        project=project,
        assistant=run.assistant,
        created_at=run.created_at,
        expires_at=run.expires_at,
        status=run.status,
        number=run.number,
        waiting=int(waiting),
        owner=claim.owner,
        lease_until=claim.until,
        plan=text_of(run.plan),
        body=_body(run),
    )
    await add_events(tx, run, events)


async def get(tx: Tx, project: str, thread: str, ident: str) -> Run:
    row = await tx.one(_sql.get, id=ident, thread=thread, project=project)
    if row is None:
        raise no_such("run", ident)
    return _run(row)


async def is_newest(tx: Tx, thread: str, ident: str) -> bool:
    """Whether no run was made on the thread since."""
    row = await tx.one(_sql.newest_id, thread=thread)
    return row is not None and row["id"] == ident


async def load_job(tx: Tx, ident: str, *, lock: bool = False) -> Job | None:
    row = await tx.one(_sql.load_locked if lock else _sql.load, id=ident)
    if row is None:
        return None
    return Job(
        _run(row),
        row["project"],
        row["owner"],
        row["lease_until"],
        bool(row["waiting"]),
        bool(row["cancel_requested"]),
    )


async def refold(tx: Tx, run: Run) -> Run:
    """The run with what its row does not keep: the message and calls that were being written."""
    folded = replay(event for stored in await events(tx, run) for event in stored.events)
    return replace(run, message=folded.message, writing=folded.writing)


async def advance(tx: Tx, run: Run, expected: int, events: Sequence[AnyEvent], claim: Claim | None) -> bool:
    """Store the run as it is after these events; False if it is no longer at number `expected`, or gone.

    Without a claim its status is as it was, and its lease stays.
    """
    row: dict[str, Any] = {"id": run.id, "number": run.number, "body": _body(run), "expected": expected}
    if claim is None:
        changed = await tx.run(_sql.progress, **row)
    else:
        changed = await tx.run(_sql.advance, status=run.status, owner=claim.owner, lease_until=claim.until, **row)
    if changed:
        await add_events(tx, run, events)
    return bool(changed)


async def set_body(tx: Tx, run: Run) -> bool:
    """Store what changed outside its events (metadata)."""
    return bool(await tx.run(_sql.progress, id=run.id, number=run.number, body=_body(run), expected=run.number))


async def request_cancel(tx: Tx, ident: str) -> None:
    await tx.run(_sql.request_cancel, id=ident)


async def add_events(tx: Tx, run: Run, events: Sequence[AnyEvent]) -> None:
    """`run` is as it is after them: its number is the last event's."""
    bare = [replace(event, plan=_ELSEWHERE) if isinstance(event, RunCreated) else event for event in events]
    first = run.number - len(events) + 1
    await tx.run(_sql.add_events, run=run.id, first=first, last=run.number, thread=run.thread, body=text_of(bare))


class Stored(Struct, frozen=True):
    """Adjacent events; `first` is the number of the first of them."""

    first: int
    events: tuple[AnyEvent, ...]


async def events(tx: Tx, run: Run, after: int = 0, limit: int | None = None) -> list[Stored]:
    """The stored events from the one behind `after` on, at most `limit` rows; the first may begin a little before."""
    rows = await tx.all(_sql.events, run=run.id, after=after, limit=_ALL if limit is None else limit)
    return [Stored(row["first"], tuple(_planned(event, run) for event in to_events(row["body"]))) for row in rows]


async def listed(tx: Tx, thread: str, request: PageRequest) -> Page[Run]:
    async def place(ident: str, param: str) -> int:
        return await place_in(tx, thread, ident, param, await tx.one(_sql.place, id=ident, thread=thread))

    async def fetch(ascending: bool, low: int, high: int, limit: int) -> list[Row]:
        return await tx.all(
            _sql.page_asc if ascending else _sql.page_desc, thread=thread, low=low, high=high, limit=limit
        )

    return await page(request, place, fetch, _run)


async def put_steps(tx: Tx, steps: Iterable[Step]) -> None:
    for step in steps:
        await tx.run(_sql.put_step, id=step.id, run=step.run, thread=step.thread, body=text_of(step))


async def step(tx: Tx, run: str, ident: str) -> Step:
    row = await tx.one(_sql.step, id=ident, run=run)
    if row is None:
        raise no_such("run step", ident)
    return to_step(row["body"])


async def steps(tx: Tx, run: str, request: PageRequest) -> Page[Step]:
    async def place(ident: str, param: str) -> int:
        return await place_in(tx, run, ident, param, await tx.one(_sql.step_place, id=ident, run=run))

    async def fetch(ascending: bool, low: int, high: int, limit: int) -> list[Row]:
        return await tx.all(_sql.steps_asc if ascending else _sql.steps_desc, run=run, low=low, high=high, limit=limit)

    return await page(request, place, fetch, lambda row: to_step(row["body"]))


async def steps_of_thread(tx: Tx, thread: str) -> list[Step]:
    """All of them, oldest first."""
    return [to_step(row["body"]) for row in await tx.all(_sql.steps_of_thread, thread=thread)]


async def all_of_thread(tx: Tx, thread: str) -> list[Run]:
    """Every run, oldest first."""
    return [_run(row) for row in await tx.all(_sql.all_of_thread, thread=thread)]


class Beat(Struct, frozen=True):
    """A run that is still this worker's own."""

    run: str
    cancel_requested: bool


async def beat(tx: Tx, me: str, held: Sequence[str], until: float) -> list[Beat]:
    """Renew the leases of the runs that this worker does drive; those that were its own come back."""
    rows = await tx.all(_sql.beat, me=me, held=held, until=until)
    return [Beat(row["id"], bool(row["cancel_requested"])) for row in rows]


async def claim(tx: Tx, me: str, now: float, until: float, limit: int) -> list[str]:
    """Take over runs that nobody drives, or whose worker has gone silent."""
    return [row["id"] for row in await tx.all(_sql.claim, me=me, now=now, until=until, limit=limit)]


async def claim_one(tx: Tx, ident: str, me: str, now: float, until: float) -> bool:
    return await tx.one(_sql.claim_one, id=ident, me=me, now=now, until=until) is not None


async def disown_all(tx: Tx) -> None:
    """Every worker is gone: only for a store that one process uses, before it starts to work."""
    await tx.run(_sql.disown)


async def release(tx: Tx, me: str) -> int:
    """This worker ends: its runs are anybody's; how many."""
    return await tx.run(_sql.release, me=me)


async def expired(tx: Tx, now: float, limit: int) -> list[str]:
    """Runs past their time that no worker drives."""
    return [row["id"] for row in await tx.all(_sql.expired, now=now, limit=limit)]


async def let_next_in(tx: Tx, thread: str) -> str | None:
    """Give the thread to the run that waits longest for it, and put its messages there."""
    # Whoever gets in line now holds the thread: it must be seen here, or see that the thread is free.
    if await tx.one(_sql.lock_thread, thread=thread) is None:
        return None
    row = await tx.one(_sql.next_in_line, thread=thread)
    if row is None:
        return None
    ident: str = row["id"]
    await tx.run(_sql.let_in, id=ident)
    first = await tx.one(_sql.first_events, run=ident)
    created = to_events(first["body"])[0] if first else None
    if isinstance(created, RunCreated) and created.messages:
        await messages.append(tx, row["project"], thread, created.messages)
    return ident


async def active_ids(tx: Tx, thread: str) -> list[str]:
    """All runs of the thread that are not done, waiting ones too."""
    return [row["id"] for row in await tx.all(_sql.active_ids_of_thread, thread=thread)]


def _body(run: Run) -> str:
    return text_of(replace(run, plan=_ELSEWHERE, message=None, writing=None))


def _run(row: Row) -> Run:
    return replace(to_run(row["body"]), plan=to_plan(row["plan"]))


def _planned(event: AnyEvent, run: Run) -> AnyEvent:
    return replace(event, plan=run.plan) if isinstance(event, RunCreated) else event
