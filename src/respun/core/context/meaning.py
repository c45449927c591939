"""Recall by meaning: what is near a question in an embedding model's eyes stands beside what shares its words.

Pure: the nearness of messages arrives as numbers. A message may be found by either leg alone.
"""

import heapq
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from respun.core.context.score import beside
from respun.core.context.thread import Facts, Found, Shape, Standing, ThreadIndex, Written

SHARE: Final = 0.4
"""Of a message's score that nearness decides, where the model knows the thread's language."""
SHARE_FOREIGN: Final = 0.16
"""The same where it knows English only and the thread is in another language; as file search trusts it."""


class Near(Struct, frozen=True):
    """`scores` by position, 1 for the nearest message of the thread, 0 for one no nearer than most."""

    scores: Mapping[int, float] = {}
    share: float = SHARE


class Index(ThreadIndex, Protocol):
    async def facts(self, ns: Collection[int]) -> Mapping[int, Facts]: ...


class Meant:
    """A thread's index (`ThreadIndex`) with the nearness of its messages to the question that is asked."""

    def __init__(self, index: Index, near: Near) -> None:
        self._index = index
        self._near = near

    async def shape(self) -> Shape:
        return await self._index.shape()

    async def before(self, n: int, limit: int) -> Sequence[Facts]:
        return await self._index.before(n, limit)

    async def after(self, n: int, limit: int) -> Sequence[Facts]:
        return await self._index.after(n, limit)

    async def search(self, query: Mapping[str, float], below: int, limit: int) -> Found:
        """As `ThreadIndex.search`, and the `limit` nearest messages besides, whatever their words."""
        found = await self._index.search(query, below, limit)
        scores = self._near.scores
        nearest = heapq.nlargest(limit, (n for n in scores if n < below), key=lambda n: (scores[n], n))
        wanted = {at for n in nearest for at in beside(n) if 0 < at < below} - found.facts.keys()
        facts = {**found.facts, **await self._index.facts(wanted)}
        # A hit that is not among the nearest is as near as it is; one that is no candidate at all stays out.
        asked = {*nearest, *(hit.n for hit in found.hits)} & scores.keys() & facts.keys()
        share = self._near.share
        near = {n: scores[n] * share / (1 - share) for n in asked}
        return Found(found.hits, facts, found.weights, near)

    async def standing(self, below: int, limit: int) -> Sequence[Standing]:
        return await self._index.standing(below, limit)

    async def load(self, ns: Collection[int]) -> Mapping[int, Written]:
        return await self._index.load(ns)
