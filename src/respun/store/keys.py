"""Rows of keys. A key is kept as its SHA-256, which is enough for 256 random bits, and shown once when it is made."""

from hashlib import sha256
from typing import Final

from msgspec import Struct

from respun.store.backend import Row, Tx
from respun.store.statements import load

_sql: Final = load("keys")

PREFIX: Final = "sk-respun-"


class Key(Struct, frozen=True):
    """A credential that acts for a project; times are seconds since 1970."""

    id: str
    project: str
    name: str
    hint: str
    """The key's beginning and end, to recognise it by."""
    created_at: float
    revoked_at: float | None = None
    last_used_at: float | None = None


def hash_of(secret: bytes) -> str:
    return sha256(secret).hexdigest()


def hint_of(secret: str) -> str:
    """Nothing of a short secret, which a few characters would give away."""
    return f"{secret[:10]}…{secret[-4:]}" if len(secret) >= 32 else "…"


async def add(tx: Tx, secret: str, key: Key) -> Key:
    """The key as stored: the one that was there, if this secret was added before."""
    await tx.run(_sql.add_project, id=key.project, name=key.project)
    hashed = hash_of(secret.encode())
    await tx.run(
        _sql.insert,
        hash=hashed,
        id=key.id,
        project=key.project,
        name=key.name,
        hint=key.hint,
        created_at=key.created_at,
    )
    stored = await find(tx, hashed)
    assert stored is not None
    return stored


async def find(tx: Tx, hashed: str) -> Key | None:
    row = await tx.one(_sql.find, hash=hashed)
    return None if row is None else _key(row)


async def listed(tx: Tx) -> list[Key]:
    return [_key(row) for row in await tx.all(_sql.listed)]


async def any_made(tx: Tx) -> bool:
    """Whether a key was ever made, revoked ones included."""
    return await tx.one(_sql.any_made) is not None


async def any_live(tx: Tx) -> bool:
    return await tx.one(_sql.live) is not None


async def revoke(tx: Tx, ident: str, now: float) -> bool:
    """Whether there was a key to revoke."""
    return await tx.run(_sql.revoke, id=ident, now=now) > 0


async def used(tx: Tx, ident: str, now: float) -> None:
    await tx.run(_sql.used, id=ident, now=now)


def _key(row: Row) -> Key:
    return Key(
        id=row["id"],
        project=row["project"],
        name=row["name"],
        hint=row["hint"],
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )
