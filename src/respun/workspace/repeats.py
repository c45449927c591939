"""Requests with a key of their own (Idempotency-Key): the first is answered, the others get that answer again."""

from typing import Final

from msgspec import Struct

from respun.core.machine import Fresh
from respun.core.problems import Problem
from respun.store import effects
from respun.store.backend import Tx
from respun.workspace.failures import Store

LONGEST_KEY: Final = 255
_PRESUMED_GONE: Final = 60.0


class Kept(Struct, frozen=True):
    """An answer that was given before."""

    status: int
    body: str


class Repeats:
    """`worker` names this process; `alone`: no other one uses the store, so that any other worker is gone."""

    def __init__(self, store: Store, fresh: Fresh, worker: str, alone: bool) -> None:
        self._store = store
        self._fresh = fresh
        self._worker = worker
        self._alone = alone

    async def claim(self, project: str, key: str, fingerprint: str) -> Kept | None:
        """None: go on, and say how it ended by `keep` or `release`. Otherwise the answer to give again.

        Raises Problem when the key stands for another request, or for one that is still being answered.
        """
        if not key or len(key) > LONGEST_KEY:
            raise Problem(
                f"Invalid 'Idempotency-Key': expected 1 to {LONGEST_KEY} characters, but got {len(key)}.",
                param="Idempotency-Key",
                code="invalid_value",
            )
        now = self._fresh.now

        async def unit(tx: Tx) -> Kept | None:
            found = await effects.claim(tx, _scoped(project, key), fingerprint, self._worker, now)
            if found is None:
                return None
            if found.fingerprint != fingerprint:
                raise Problem(
                    "This Idempotency-Key was used for another request before. Use a new key for a new request.",
                    kind="unprocessable",
                    param="Idempotency-Key",
                    code="idempotency_key_reused",
                )
            if found.status is not None:
                return Kept(found.status, found.body or "")
            gone = found.worker != self._worker and (self._alone or found.at < now - _PRESUMED_GONE)
            if gone and await effects.reclaim(tx, _scoped(project, key), found.worker, self._worker, now):
                return None
            raise Problem(
                "A request with this Idempotency-Key is still being answered. Try again shortly.",
                kind="conflict",
                code="idempotency_key_in_use",
            )

        return await self._store.write(unit)

    async def keep(self, project: str, key: str, status: int, body: str) -> None:
        """This is the answer from now on."""
        await self._store.write(lambda tx: effects.keep(tx, _scoped(project, key), status, body))

    async def release(self, project: str, key: str) -> None:
        """Nothing was begun, or what was begun is found by its effect: the key may come again."""
        await self._store.write(lambda tx: effects.release(tx, _scoped(project, key)))


def _scoped(project: str, key: str) -> str:
    return f"{project}\x1f{key}"
