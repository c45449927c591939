"""The files that are to be read, as jobs with leases, and what reading them stores."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from respun.core.vector_stores import FileStatus, StoreFile
from respun.store import vector_stores
from respun.store.backend import Tx
from respun.store.codec import text_of, to_store_file
from respun.store.statements import load

_sql: Final = load("ingestion")
_stores: Final = load("vector_stores")


class Job(Struct, frozen=True):
    """A file to be read; `place` is its store's. `again`: it was read, but another model is to make its vectors."""

    entry: int
    place: int
    project: str
    file: StoreFile
    attempts: int

    @property
    def again(self) -> bool:
        return self.file.status == "completed"


class NewChunk(Struct, frozen=True):
    number: int
    start: int
    end: int
    page: int | None
    last_page: int | None
    text: str


class NewWindow(Struct, frozen=True):
    number: int
    chunk: int
    other: int | None
    start: int
    end: int
    tokens: int
    vector: bytes


class Numbers(Struct, frozen=True):
    """The first number that is free for chunks, and for windows."""

    chunk: int
    window: int


class LostJob(Exception):
    """Somebody else has the job, or the file was taken out or cancelled."""


async def claim(tx: Tx, me: str, now: float, until: float, limit: int) -> list[int]:
    return [row["seq"] for row in await tx.all(_sql.claim, me=me, now=now, until=until, limit=limit)]


async def claim_outdated(tx: Tx, model: str, me: str, now: float, until: float, limit: int) -> list[int]:
    """Files whose vectors are not those of the model."""
    rows = await tx.all(_sql.claim_outdated, model=model, me=me, now=now, until=until, limit=limit)
    return [row["seq"] for row in rows]


async def any_completed(tx: Tx) -> bool:
    return await tx.one(_sql.any_completed) is not None


async def load_job(tx: Tx, entry: int, me: str) -> Job | None:
    """What is to be done; None if it is not this worker's any more."""
    row = await tx.one(_sql.load, entry=entry)
    if row is None or row["owner"] != me or row["status"] not in ("in_progress", "completed"):
        return None
    file = replace(to_store_file(row["body"]), entry=entry, status=row["status"], usage=row["usage"])
    return Job(entry, row["store"], row["project"], file, row["attempts"])


async def beat(tx: Tx, me: str, until: float) -> None:
    await tx.run(_sql.beat, me=me, until=until)


async def disown_all(tx: Tx) -> None:
    """Every worker is gone: only for a store that one process uses, before it starts to work."""
    await tx.run(_sql.disown)


async def let_go(tx: Tx, entry: int, me: str, later: float) -> None:
    await tx.run(_sql.let_go, entry=entry, me=me, later=later)


async def begin(tx: Tx, job: Job, me: str, chunks: int, windows: int) -> Numbers:
    """Clear what an earlier attempt left, and take numbers. Raises LostJob, as all that follow do."""
    await _hold(tx, job, me)
    await tx.run(_sql.clear_windows, entry=job.entry)
    await tx.run(_sql.clear_chunks, entry=job.entry)
    row = await tx.one(_stores.take_numbers, store=job.place, chunks=chunks, windows=windows)
    if row is None:
        raise LostJob(job.file.id)
    return Numbers(row["last_chunk"] - chunks + 1, row["last_window"] - windows + 1)


async def add_chunks(tx: Tx, job: Job, me: str, chunks: Sequence[NewChunk]) -> None:
    await _hold(tx, job, me)
    await tx.many(
        _sql.insert_chunk,
        [
            (job.place, each.number, job.entry, each.start, each.end, each.page, each.last_page, each.text)
            for each in chunks
        ],
    )


async def add_windows(tx: Tx, job: Job, me: str, windows: Sequence[NewWindow]) -> None:
    await _hold(tx, job, me)
    await tx.many(
        _sql.insert_window,
        [
            (
                job.place,
                each.number,
                job.entry,
                each.chunk,
                each.other,
                each.start,
                each.end,
                each.tokens,
                each.vector,
            )
            for each in windows
        ],
    )


async def begin_again(tx: Tx, job: Job, me: str) -> None:
    await _hold(tx, job, me)
    await tx.run(_sql.begin_again, entry=job.entry)


async def set_next_vectors(tx: Tx, job: Job, me: str, vectors: Sequence[tuple[int, bytes]]) -> None:
    await _hold(tx, job, me)
    await tx.many(_sql.set_next_vector, [(vector, job.place, number) for number, vector in vectors])


async def finish_again(tx: Tx, job: Job, me: str, model: str) -> bool:
    """All windows have their next vectors; whether the store now serves them, and did not before."""
    serving = await vector_stores.hold(tx, job.place)
    await _hold(tx, job, me)
    change = await vector_stores.bump(tx, job.place) if serving == model else 0
    await tx.run(_sql.finish_again, entry=job.entry, model=model, change=change)
    return await vector_stores.switch_model(tx, job.place, model)


async def settle_some(tx: Tx) -> bool:
    """Put vectors that serve in the place of the old ones, for one file; whether there was one."""
    row = await tx.one(_sql.next_to_settle)
    if row is None:
        return False
    await tx.run(_sql.settle_windows, entry=row["entry"])
    await tx.run(_sql.settle_file, entry=row["entry"])
    return True


async def remember_model(tx: Tx, name: str, address: str) -> None:
    await tx.run(_sql.remember_model, name=name, address=address)


async def address_of_model(tx: Tx, name: str) -> str | None:
    """Where a model was last asked; empty if it is carried; None if it is unknown."""
    row = await tx.one(_sql.address_of_model, name=name)
    return row["address"] if row else None


async def finish(tx: Tx, job: Job, me: str, after: StoreFile, model: str) -> None:
    """Store how it ended; a completed file can be found from then on."""
    await _hold(tx, job, me)
    change = await vector_stores.bump(tx, job.place) if after.status == "completed" else 0
    if change is None:
        raise LostJob(job.file.id)
    now = await tx.one(_sql.load, entry=job.entry)
    assert now is not None
    # Attributes may have been changed while it was read.
    body = replace(to_store_file(now["body"]), fault=after.fault, ended_at=after.ended_at, tokens=after.tokens)
    await tx.run(
        _sql.finish,
        entry=job.entry,
        status=after.status,
        usage=after.usage,
        model=model,
        change=change,
        body=text_of(body),
    )
    if change:
        await vector_stores.switch_model(tx, job.place, model)


async def _hold(tx: Tx, job: Job, me: str) -> None:
    status: FileStatus = job.file.status
    if await tx.one(_sql.hold, entry=job.entry, me=me, status=status) is None:
        raise LostJob(job.file.id)
