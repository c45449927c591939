"""Digests (an option): behind the runs, the model of a run tells in short what its thread said before the window.

More is made only when a window has moved. A job is a row with a lease; each call's outcome is stored with how far it
reaches, so a crash costs one call. A run never waits for a digest, and takes what there is.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final, cast

from msgspec import Struct

from respun import telemetry
from respun.core import chat
from respun.core.context.digest import HEADING_TOKENS, digest_request, most_read, most_told
from respun.core.context.passages import Count, split
from respun.core.runs import DigestUse
from respun.core.usage import Usage
from respun.engine.bell import Bell
from respun.engine.clock import Clock
from respun.store import context_digests, context_vectors, contexts
from respun.store.backend import Backend, StoreError, Tx
from respun.store.context_digests import Claimed, Told
from respun.store.contexts import Known
from respun.store.thread_index import StoredPart

log: Final = telemetry.log("engine")

_LEASE: Final = 180.0
_LONGEST_CALL: Final = 150.0
_AGAIN: Final = 10.0
_LOOK_EVERY: Final = 2.0
_ENTRIES: Final = 200
_REMEMBERED: Final = 1_000


class Shown(Struct, frozen=True):
    """What a choice has to do with: the text that is to be sent, if there is one, and how it is told."""

    use: DigestUse
    text: str = ""

    @property
    def tokens(self) -> int:
        return self.use.tokens


class _Batch(Struct, frozen=True):
    said: tuple[tuple[str, str], ...]
    upto: int


class Digests:
    """One for a server. `window` is what a model holds."""

    def __init__(
        self,
        backend: Backend,
        provider: chat.Provider,
        window: Callable[[str], int],
        count: Count,
        clock: Clock,
        me: str,
    ) -> None:
        self._backend = backend
        self._provider = provider
        self._window = window
        self._count = count
        self._clock = clock
        self._me = me
        self._look = Bell()
        self._shown: OrderedDict[str, Shown] = OrderedDict()

    async def of(self, run: str, thread: str, model: str) -> Shown:
        """The digest as it is now; the same for all turns of a run. `run` empty: a dry run."""
        if run and (known := self._shown.get(run)):
            return known
        shown = await self._backend.read(lambda tx: _read(tx, thread, model))
        if run:
            self._shown[run] = shown
            if len(self._shown) > _REMEMBERED:
                self._shown.popitem(last=False)
        return shown

    async def want(self, thread: str, model: str, start: int) -> None:
        """The window begins at `start`: what is before it is to be told of."""
        if await self._backend.read(lambda tx: _missing(tx, thread, model, start)):
            await self._backend.write(lambda tx: _want(tx, thread, model, start))
            self._look.ring()

    async def run(self) -> None:
        """For ever."""
        if self._backend.kind == "sqlite":
            await self._backend.write(context_digests.disown_all)
        while True:
            try:
                if await self._do_one():
                    continue
            except StoreError as error:
                log.warning("no digest made", error=str(error))
            await self._look.listen(_LOOK_EVERY)

    async def _do_one(self) -> bool:
        now = self._clock.now
        if not await self._backend.read(context_digests.any_due):
            return False
        claimed = await self._backend.write(lambda tx: context_digests.claim(tx, self._me, now, now + _LEASE))
        if claimed is None:
            return False
        try:
            await self._extend(claimed)
        except chat.ModelError as error:
            await self._failed(claimed, error.message)
        except TimeoutError:
            await self._failed(claimed, "The model did not answer in time.")
        except asyncio.CancelledError:
            # The server stops: the next worker need not wait for the lease.
            await asyncio.shield(self._backend.write(lambda tx: context_digests.let_go(tx, claimed, self._me)))
            raise
        return True

    async def _failed(self, claimed: Claimed, why: str) -> None:
        log.warning("digest failed", context=claimed.context, model=claimed.model, tries=claimed.tries + 1, error=why)
        later = self._clock.now + _AGAIN * (claimed.tries + 1)
        await self._backend.write(lambda tx: context_digests.fail(tx, claimed, self._me, why, later))

    async def _extend(self, claimed: Claimed) -> None:
        """One call more, then whoever comes next goes on."""
        window = self._window(claimed.model)
        batch = await self._backend.read(lambda tx: _next_batch(tx, claimed, most_read(window)))
        if batch.said:
            async with asyncio.timeout(_LONGEST_CALL):
                told = await self._told(claimed, batch, most_told(window))
        else:
            told = Told(batch.upto, claimed.text, self._count(claimed.text), Usage())
        until = self._clock.now + _LEASE
        if not await self._backend.write(lambda tx: context_digests.put(tx, claimed, self._me, told, until)):
            log.info("a digest was taken over or is no longer true", context=claimed.context)
        await self._backend.write(lambda tx: context_digests.let_go(tx, claimed, self._me))

    async def _told(self, claimed: Claimed, batch: _Batch, most: int) -> Told:
        request = chat.ModelRequest(
            model=claimed.model, messages=digest_request(claimed.text, batch.said, most), max_completion_tokens=most * 2
        )
        said: list[str] = []
        usage: Usage | None = None
        async with aclosing(cast(Any, self._provider.stream(request))) as batches:
            async for news in batches:
                said += [one.text for one in news if isinstance(one, chat.TextDelta)]
                usage = next((one.usage for one in news if isinstance(one, chat.Finished)), usage)
        text = self._clipped("".join(said).replace("\x00", "\ufffd").strip(), most)
        if not text:
            raise chat.ModelError("broken", "The model said nothing.")
        if usage is None:
            asked = sum(self._count(str(message.content)) for message in request.messages)
            usage = Usage(asked, self._count("".join(said)))
        return Told(batch.upto, text, self._count(text), usage)

    def _clipped(self, text: str, most: int) -> str:
        """Models don't count words well."""
        kept, left = 0, most
        for passage in split(text, self._count):
            left -= passage.tokens
            if left < 0:
                break
            kept = passage.end
        return text[:kept].rstrip()


async def _read(tx: Tx, thread: str, model: str) -> Shown:
    known = await contexts.find(tx, thread)
    digest = await context_digests.get(tx, known, model) if known else None
    if digest is None:
        return Shown(DigestUse("not_ready"))
    tokens = digest.tokens + HEADING_TOKENS if digest.text else 0
    status = "used" if digest.text else "failed" if digest.failed else "not_ready"
    return Shown(DigestUse(status, tokens, digest.upto, digest.usage, digest.error), digest.text)  # type: ignore[arg-type]


async def _missing(tx: Tx, thread: str, model: str, start: int) -> bool:
    known = await contexts.find(tx, thread)
    digest = await context_digests.get(tx, known, model) if known else None
    return known is not None and _target(known, start) > (digest.target if digest else 0)


async def _want(tx: Tx, thread: str, model: str, start: int) -> None:
    if await tx.one(contexts.sql.hold_thread, thread=thread) is None:
        return
    known = await contexts.find(tx, thread)
    if known is not None:
        await context_digests.want(tx, known, model, _target(known, start))


def _target(known: Known, start: int) -> int:
    return min(start - 1, known.last)


async def _next_batch(tx: Tx, claimed: Claimed, room: int) -> _Batch:
    entries = await context_digests.next_entries(tx, claimed, _ENTRIES)
    if not entries:
        return _Batch((), claimed.target)
    taken: list[int] = []
    for n, tokens in entries.items():
        room -= min(tokens, 500)
        if room < 0 and taken:
            break
        taken.append(n)
    known = await context_vectors.index_of(tx, claimed.context)
    texts = await StoredPart(tx, known).load(taken) if known else {}
    roles = {each.n: each.role for each in (await StoredPart(tx, known).facts(taken)).values()} if known else {}
    said = tuple((roles[n], texts[n].text) for n in taken if n in texts and n in roles and texts[n].text.strip())
    return _Batch(said, taken[-1] if len(taken) < len(entries) or len(entries) == _ENTRIES else claimed.target)
