"""The embedding model of a server: made when it is first needed, and tried again when it could not be had.

Without it search goes on by words alone, and files get their vectors once it is there. After a change of the model the
one before is made too, because it alone can be asked about its vectors, which serve until all files have new ones.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from respun import telemetry
from respun.core.problems import Problem

if TYPE_CHECKING:
    from respun.retrieval.embed import Embedder

log: Final = telemetry.log("embeddings")

_RETRY_SECONDS: Final = 60.0
WORDS_ONLY: Final = ""
"""In place of a model's name where there are no vectors."""


class Embeddings:
    """`make` raises a Problem that says why there is no model, and what to do about it; `make_old` makes one that the
    settings no longer name, out of its name and its address."""

    def __init__(
        self,
        make: Callable[[], Awaitable["Embedder"]],
        seconds: Callable[[], float],
        retry: float = _RETRY_SECONDS,
        make_old: "Callable[[str, str], Awaitable[Embedder]] | None" = None,
    ) -> None:
        self._now = _Model(make, seconds, retry)
        self._make_old = make_old
        self._seconds = seconds
        self._retry = retry
        self._old: dict[str, _Model] = {}

    @property
    def ready(self) -> "Embedder | None":
        """The model, if it is there already: for whoever can't wait for a download."""
        return self._now.ready

    async def get(self) -> "Embedder | None":
        """The model, or None while there is none."""
        return await self._now.get()

    async def old(self, name: str, address: str) -> "Embedder | None":
        """A model of before, or None if it can't be had."""
        make = self._make_old
        if make is None:
            return None
        if name not in self._old:
            self._old[name] = _Model(lambda: make(name, address), self._seconds, self._retry)
        return await self._old[name].get()

    def unanswered(self, name: str) -> None:
        """A model of before did not answer: it is not asked again for a while, so that no search waits for it."""
        if name in self._old:
            self._old[name].give_up()


class _Model:
    """One model, made once."""

    def __init__(self, make: Callable[[], Awaitable["Embedder"]], seconds: Callable[[], float], retry: float) -> None:
        self._make = make
        self._seconds = seconds
        self._retry = retry
        self._embedder: Embedder | None = None
        self._failed_at: float | None = None
        self._making = asyncio.Lock()  # one at a time: it may be a download

    @property
    def ready(self) -> "Embedder | None":
        return self._embedder

    async def get(self) -> "Embedder | None":
        if self._embedder:
            return self._embedder
        async with self._making:
            if self._embedder is None and self._due():
                await self._try()
            return self._embedder

    def give_up(self) -> None:
        self._embedder = None
        self._failed_at = self._seconds()

    def _due(self) -> bool:
        return self._failed_at is None or self._seconds() >= self._failed_at + self._retry

    async def _try(self) -> None:
        try:
            self._embedder = await self._make()
        except Problem as problem:
            self._failed_at = self._seconds()
            log.warning("no embedding model: files are searched by words alone", why=problem.message)
        else:
            log.info("embedding model ready", model=self._embedder.name)


def name_of(embedder: "Embedder | None") -> str:
    return embedder.name if embedder else WORDS_ONLY
