"""Rows of the digests of long threads: what has been told, how far it reaches, and who is making more of it."""

from typing import Final

from msgspec import Struct

from respun.core.usage import Usage
from respun.store.backend import Tx
from respun.store.contexts import Known
from respun.store.statements import load

_sql: Final = load("context_digests")
MOST_TRIES: Final = 3


class Digest(Struct, frozen=True):
    """Tells of the entries up to `upto`, and is to of those up to `target`. `usage` is what making it took so far."""

    upto: int
    target: int
    text: str
    tokens: int
    usage: Usage
    tries: int
    error: str

    @property
    def failed(self) -> bool:
        return self.tries >= MOST_TRIES and self.upto < self.target


class Claimed(Struct, frozen=True):
    context: int
    model: str
    upto: int
    target: int
    text: str
    tries: int


class Told(Struct, frozen=True):
    """A new text that covers the entries up to `upto`, and what it cost to make."""

    upto: int
    text: str
    tokens: int
    usage: Usage


async def get(tx: Tx, known: Known, model: str) -> Digest | None:
    row = await tx.one(_sql.get, context=known.id, model=model)
    if row is None:
        return None
    usage = Usage(row["prompt"], row["completion"])
    return Digest(row["upto"], row["target"], row["text"], row["tokens"], usage, row["tries"], row["error"])


async def want(tx: Tx, known: Known, model: str, target: int) -> None:
    await tx.run(_sql.want, context=known.id, model=model, target=target)


async def any_due(tx: Tx) -> bool:
    return await tx.one(_sql.any_due) is not None


async def claim(tx: Tx, me: str, now: float, until: float) -> Claimed | None:
    row = await tx.one(_sql.claim, me=me, now=now, until=until)
    if row is None:
        return None
    return Claimed(row["context"], row["model"], row["upto"], row["target"], row["text"], row["tries"])


async def next_entries(tx: Tx, claimed: Claimed, limit: int) -> dict[int, int]:
    """The tokens of each of the next entries that there is something to tell of."""
    given = {"context": claimed.context, "n": claimed.upto, "target": claimed.target, "limit": limit}
    return {row["n"]: row["tokens"] for row in await tx.all(_sql.following, **given)}


async def put(tx: Tx, claimed: Claimed, me: str, told: Told, until: float) -> bool:
    """Keep what was made; False if another has taken over, or what it tells of has changed."""
    changed = await tx.run(
        _sql.put,
        context=claimed.context,
        model=claimed.model,
        me=me,
        before=claimed.upto,
        upto=told.upto,
        text=told.text,
        tokens=told.tokens,
        prompt=told.usage.prompt,
        completion=told.usage.completion,
        until=until,
    )
    return bool(changed)


async def fail(tx: Tx, claimed: Claimed, me: str, error: str, later: float) -> None:
    await tx.run(_sql.failed, context=claimed.context, model=claimed.model, me=me, error=error, later=later)


async def let_go(tx: Tx, claimed: Claimed, me: str) -> None:
    await tx.run(_sql.let_go, context=claimed.context, model=claimed.model, me=me)


async def disown_all(tx: Tx) -> None:
    await tx.run(_sql.disown)
