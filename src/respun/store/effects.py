"""Rows by which a repeated request is known: what it made, and what it was answered."""

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from respun.core.once import ANSWERS_KEPT, WINDOW, Once
from respun.store.backend import Tx
from respun.store.statements import load

_sql: Final = load("effects")
_FORGOTTEN_AT_ONCE: Final = 500


async def earlier(tx: Tx, once: Once | None, still: Callable[[str], Awaitable[bool]] | None = None) -> str | None:
    """The id of what this request already made; None if it is the first, and may go on.

    `still(id)` says whether nothing has happened since: otherwise the client has seen the first answer, and means
    this request as a new one, however alike. An original that comes after its own retry counts as one with it.
    """
    if once is None:
        return None
    await tx.one(_sql.hold, fingerprint=once.fingerprint)
    row = await tx.one(_sql.find, fingerprint=once.fingerprint, since=once.at - WINDOW)
    if row is None or not (once.repeated or row["by_retry"]):
        return None
    made: str = row["made"]
    if still and not once.keyed and not await still(made):
        return None
    if not once.repeated:
        await tx.run(_sql.settle, fingerprint=once.fingerprint)
    return made


async def note(tx: Tx, once: Once | None, made: str) -> None:
    """Remember, in the transaction that makes it, what this request made."""
    if once is not None:
        await tx.run(_sql.note, fingerprint=once.fingerprint, at=once.at, by_retry=int(once.retry), made=made)


class KeptAnswer(Struct, frozen=True):
    """`status` is None while the request that came first is being answered by `worker`."""

    fingerprint: str
    worker: str
    at: float
    status: int | None
    body: str | None


async def claim(tx: Tx, key: str, fingerprint: str, worker: str, at: float) -> KeptAnswer | None:
    """None: this request is the first with its key. Otherwise what there is for the key."""
    if await tx.one(_sql.claim, key=key, fingerprint=fingerprint, worker=worker, at=at):
        return None
    row = await tx.one(_sql.answer, key=key)
    if row is None:
        return await claim(tx, key, fingerprint, worker, at)
    return KeptAnswer(row["fingerprint"], row["worker"], row["at"], row["status"], row["body"])


async def reclaim(tx: Tx, key: str, gone: str, worker: str, at: float) -> bool:
    """Take over a key whose worker is gone; False if somebody else was faster."""
    return await tx.one(_sql.reclaim, key=key, gone=gone, worker=worker, at=at) is not None


async def keep(tx: Tx, key: str, status: int, body: str) -> None:
    await tx.run(_sql.keep, key=key, status=status, body=body)


async def release(tx: Tx, key: str) -> None:
    """Nothing was begun under this key."""
    await tx.run(_sql.release, key=key)


async def forget_old(tx: Tx, now: float) -> bool:
    """Remove what is past its time; whether there may be more."""
    gone = await tx.run(_sql.forget_effects, before=now - WINDOW, limit=_FORGOTTEN_AT_ONCE)
    gone += await tx.run(_sql.forget_answers, before=now - ANSWERS_KEPT, limit=_FORGOTTEN_AT_ONCE)
    return gone >= _FORGOTTEN_AT_ONCE
