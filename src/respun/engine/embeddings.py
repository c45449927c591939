"""The embedding model of a server: made when it is first needed, and tried again when it could not be had.

Without it search goes on by words alone, and files get their vectors once it is there.
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
    """`make` raises a Problem that says why there is no model, and what to do about it."""

    def __init__(
        self, make: Callable[[], Awaitable["Embedder"]], seconds: Callable[[], float], retry: float = _RETRY_SECONDS
    ) -> None:
        self._make = make
        self._seconds = seconds
        self._retry = retry
        self._embedder: Embedder | None = None
        self._failed_at: float | None = None
        self._making = asyncio.Lock()  # one at a time: it may be a download

    @property
    def ready(self) -> "Embedder | None":
        """The model, if it is there already: for whoever can't wait for a download."""
        return self._embedder

    async def get(self) -> "Embedder | None":
        """The model, or None while there is none."""
        if self._embedder:
            return self._embedder
        async with self._making:
            if self._embedder is None and self._due():
                await self._try()
            return self._embedder

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
