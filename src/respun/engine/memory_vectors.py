"""Memories near to a question by meaning: their vectors are made in the background, and held here to be compared.

Nothing waits for a model. Where there is none, or its vectors are not made yet, memories are found by words.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from respun import telemetry
from respun.core.problems import Problem
from respun.core.recall import CANDIDATES, nearness
from respun.engine.bell import Bell
from respun.engine.embeddings import Embeddings
from respun.store import memory_vectors
from respun.store.backend import Backend, StoreError
from respun.store.memories import Owner
from respun.store.memory_vectors import Extent, VectorRow

if TYPE_CHECKING:
    import numpy.typing as npt

    from respun.retrieval.embed import Embedder

log: Final = telemetry.log("memories")

_AT_ONCE: Final = 32
_LOOK_SECONDS: Final = 1.0
_MOST_HELD: Final = 64
_PATIENCE: Final = 1.0
# What is asked stands at the end of a long message, and a model takes a millisecond for every few words.
_ASKED: Final = 120
_MOST_TOKENS: Final = 32


class MemoryVectors:
    def __init__(self, backend: Backend, embeddings: Embeddings, look: float = _LOOK_SECONDS) -> None:
        self._backend = backend
        self._embeddings = embeddings
        self._seconds = look
        self._held: OrderedDict[tuple[str, str], _Held] = OrderedDict()
        self._look = Bell()

    def look(self) -> None:
        """There is a memory without a vector."""
        self._look.ring()

    async def loop(self) -> None:
        """For ever: make what is missing."""
        while True:
            try:
                more = await self._make_some()
            except StoreError as error:
                log.warning("no vectors of memories", error=str(error))
                more = False
            if more:
                continue
            await self._look.listen(self._seconds)

    async def near(self, owner: Owner, text: str) -> dict[int, float]:
        """How near the nearest memories are, 0 to 1, by their numbers; empty where there are no vectors."""
        embedder = self._embeddings.ready
        if embedder is None or not text.strip():
            return {}
        held = await self._fresh(owner.assistant, embedder)
        if not held.extent.count:
            return {}
        try:
            async with asyncio.timeout(_PATIENCE):
                (asked,) = await embedder.embed([_asked(text, embedder.count)])
        except (Problem, TimeoutError) as fault:
            log.warning("recalled by words alone", why=str(fault))
            return {}
        best = held.nearest(asked, None if owner.everyone else owner.user or "")
        return {memory: nearness(cosine, embedder.english_only) for memory, cosine in best}

    async def _make_some(self) -> bool:
        """Whether there may be more to do."""
        if not await self._backend.read(memory_vectors.any_memory):
            return False
        embedder = await self._embeddings.get()
        if embedder is None:
            return False
        model = embedder.name
        bare = await self._backend.read(lambda tx: memory_vectors.pending(tx, model, _AT_ONCE))
        if not bare:
            return False
        try:
            vectors = await embedder.embed([each.memory.text for each in bare])
        except Problem as problem:
            log.warning("no vectors of memories", why=problem.message)
            return False
        made = [(each, row.astype("<f2").tobytes()) for each, row in zip(bare, vectors, strict=True)]
        await self._backend.write(lambda tx: memory_vectors.put(tx, model, made))
        return len(bare) == _AT_ONCE

    async def _fresh(self, assistant: str, embedder: "Embedder") -> "_Held":
        key = (assistant, embedder.name)
        held = self._held.get(key) or _Held(embedder.dims)
        there = await self._backend.read(lambda tx: memory_vectors.extent(tx, *key))
        if held.extent != there:
            held.add(await self._after(key, held.extent.newest))
            # One was deleted, or two servers wrote at once: read them all.
            if held.extent.count != there.count:
                held = _Held(embedder.dims)
                held.add(await self._after(key, 0))
        self._held[key] = held
        self._held.move_to_end(key)
        if len(self._held) > _MOST_HELD:
            self._held.popitem(last=False)
        return held

    async def _after(self, key: tuple[str, str], seq: int) -> list[VectorRow]:
        return await self._backend.read(lambda tx: memory_vectors.after(tx, *key, seq))


def _asked(text: str, count: Callable[[str], int]) -> str:
    """The end of the text, as much of it as a model reads in a few milliseconds."""
    asked = text[-_ASKED:]
    while count(asked) > _MOST_TOKENS and len(asked) > _MOST_TOKENS:
        asked = asked[len(asked) // 4 :]
    return asked


class _Held:
    """The vectors of one assistant's memories, a row each."""

    def __init__(self, dims: int) -> None:
        import numpy as np

        self._memories: list[int] = []
        self._newest = 0
        self._users: list[str] = []
        self._matrix: npt.NDArray[np.float32] = np.empty((0, dims), dtype=np.float32)

    @property
    def extent(self) -> Extent:
        return Extent(len(self._memories), self._newest)

    def add(self, rows: list[VectorRow]) -> None:
        import numpy as np

        if not rows:
            return
        fresh: Any = np.stack([np.frombuffer(row.vector, dtype="<f2").astype(np.float32) for row in rows])
        again, before = {row.memory for row in rows}, self._memories
        kept = [slot for slot, memory in enumerate(before) if memory not in again]
        memories = [*(before[slot] for slot in kept), *(row.memory for row in rows)]
        self._users = [*(self._users[slot] for slot in kept), *(row.user for row in rows)]
        self._matrix = np.concatenate([self._matrix[kept], fresh]) if kept else fresh
        self._memories = memories
        self._newest = rows[-1].seq

    def nearest(self, asked: Any, user: str | None) -> list[tuple[int, float]]:
        """The memories of the user and of nobody in particular; None: of everyone."""
        import numpy as np

        # In this thread alone: for so little, BLAS's threads cost more to wake on a busy machine than they save.
        cosines = np.einsum("ij,j->i", self._matrix, asked)
        if user is not None and any(self._users):
            cosines = np.where([each in ("", user) for each in self._users], cosines, -1.0)
        most = min(CANDIDATES, len(cosines))
        best = np.argpartition(-cosines, most - 1)[:most]
        return [(self._memories[slot], float(cosines[slot])) for slot in best.tolist() if cosines[slot] > -1.0]
