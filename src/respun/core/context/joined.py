"""One thread out of two parts: what an index keeps of it, and the newest messages, which no index has read yet."""

import heapq
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from respun.core.context.score import beside, weigh
from respun.core.context.thread import Facts, Found, Hit, Shape, Standing, Written

_MOST_TERMS: Final = 24
"""Of a question; the rarest count. A pasted text has hundreds, and the common ones among them choose nothing."""
_MOST_POSTINGS: Final = 12_000
_MOST_OF_A_TERM: Final = 1_000
FORCES: Final = (None, "rule", "fact")
"""The order in which statements stand: pinned messages first."""


class Part(Protocol):
    """Some messages of a thread in a row. The words of a question are weighed by all parts together."""

    async def shape(self) -> Shape: ...

    async def before(self, n: int, limit: int) -> Sequence[Facts]: ...

    async def after(self, n: int, limit: int) -> Sequence[Facts]: ...

    async def frequencies(self, terms: Collection[str]) -> Mapping[str, int]:
        """In how many messages each occurs; absent terms are left out."""
        ...

    async def best(self, weights: Mapping[str, int], below: int, limit: int, deep: int) -> Sequence[Hit]:
        """The best hits; of each term at least the `deep` messages of highest impact are looked at."""
        ...

    async def facts(self, ns: Collection[int]) -> Mapping[int, Facts]: ...

    async def standing(self, below: int, limit: int) -> Sequence[Standing]: ...

    async def load(self, ns: Collection[int]) -> Mapping[int, Written]: ...


class Joined:
    """Keeps the promises of `ThreadIndex`. Every position of `newer` is above those of `older`.

    `missing` messages between them were not read; they count as long as those of `newer`.
    """

    def __init__(self, older: Part, newer: Part, missing: int = 0) -> None:
        self._older = older
        self._newer = newer
        self._missing = missing

    async def shape(self) -> Shape:
        older, newer = await self._older.shape(), await self._newer.shape()
        unread = self._missing * newer.tokens // max(1, newer.count)
        return Shape(
            last=max(older.last, newer.last),
            count=older.count + newer.count + self._missing,
            tokens=older.tokens + newer.tokens + unread,
            language=older.language,
        )

    async def before(self, n: int, limit: int) -> Sequence[Facts]:
        newer = await self._newer.before(n, limit)
        if len(newer) == limit:
            return newer
        return [*newer, *await self._older.before(n, limit - len(newer))]

    async def after(self, n: int, limit: int) -> Sequence[Facts]:
        older = await self._older.after(n, limit)
        if len(older) == limit:
            return older
        return [*older, *await self._newer.after(n, limit - len(older))]

    async def search(self, query: Mapping[str, float], below: int, limit: int) -> Found:
        shape = await self.shape()
        frequencies: dict[str, int] = {}
        for part in (self._older, self._newer):
            for term, size in (await part.frequencies(query.keys())).items():
                frequencies[term] = frequencies.get(term, 0) + size
        weights = weigh(query, frequencies, shape.count)
        heavy = _heaviest(weights)
        deep = min(_MOST_OF_A_TERM, _MOST_POSTINGS // max(1, len(heavy)))
        found = [hit for part in (self._older, self._newer) for hit in await part.best(heavy, below, limit, deep)]
        hits = heapq.nlargest(limit, found, key=_by_score)
        wanted = {n for hit in hits for n in beside(hit.n) if 0 < n < below}
        facts = {**await self._older.facts(wanted), **await self._newer.facts(wanted)}
        return Found([hit for hit in hits if hit.n in facts], facts, weights)

    async def facts(self, ns: Collection[int]) -> Mapping[int, Facts]:
        return {**await self._older.facts(ns), **await self._newer.facts(ns)}

    async def standing(self, below: int, limit: int) -> Sequence[Standing]:
        kept = [*await self._newer.standing(below, limit), *await self._older.standing(below, limit)]
        kept.sort(key=lambda standing: FORCES.index(standing.force))
        return kept[:limit]

    async def load(self, ns: Collection[int]) -> Mapping[int, Written]:
        return {**await self._older.load(ns), **await self._newer.load(ns)}


def _heaviest(weights: Mapping[str, int]) -> dict[str, int]:
    kept = sorted(weights, key=lambda term: (-weights[term], term))[:_MOST_TERMS]
    return {term: weights[term] for term in kept}


def _by_score(hit: Hit) -> tuple[int, int]:
    return hit.score, hit.n
