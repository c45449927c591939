"""The stored part of a long thread, as the context fitter asks for it (`respun.core.context.joined.Part`).

Every question is answered from the ends of key ranges: what it costs does not depend on how long the thread is.
"""

import heapq
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from respun.core.context.passages import Passage
from respun.core.context.statements import Force
from respun.core.context.thread import Facts, Hit, Shape, Standing, Written
from respun.core.runs import Step
from respun.store.backend import Row, Tx
from respun.store.contexts import Known, Source, facts_of, passages_of, sources, sql, texts

_PLACE: Final = 48
_PLACES: Final = (1 << _PLACE) - 1
_FORCES: tuple[Force | None, ...] = (None, "rule", "fact")


class StoredPart:
    """Answers within one transaction."""

    def __init__(self, tx: Tx, known: Known) -> None:
        self._tx = tx
        self._known = known

    async def shape(self) -> Shape:
        known = self._known
        return Shape(known.last, known.size, known.tokens, known.language)

    async def before(self, n: int, limit: int) -> Sequence[Facts]:
        return [facts_of(row) for row in await self._tx.all(sql.before, context=self._known.id, n=n, limit=limit)]

    async def after(self, n: int, limit: int) -> Sequence[Facts]:
        return [facts_of(row) for row in await self._tx.all(sql.after, context=self._known.id, n=n, limit=limit)]

    async def frequencies(self, terms: Collection[str]) -> Mapping[str, int]:
        rows = await self._tx.all(sql.frequencies, context=self._known.id, terms=sorted(terms))
        return {row["term"]: row["size"] for row in rows if row["size"] > 0}

    async def best(self, weights: Mapping[str, int], below: int, limit: int, deep: int) -> Sequence[Hit]:
        scores: dict[int, int] = {}
        known = scores.get
        for term, weight in weights.items():
            rows = await self._tx.all(sql.best, context=self._known.id, term=term, below=below, limit=deep)
            for n, impact in rows:
                scores[n] = known(n, 0) + weight * impact
        # One number for score and place sorts several times faster than a pair.
        best = heapq.nlargest(limit, [score << _PLACE | n for n, score in scores.items()])
        return [Hit(each & _PLACES, each >> _PLACE) for each in best]

    async def facts(self, ns: Collection[int]) -> Mapping[int, Facts]:
        wanted = sorted(n for n in ns if n <= self._known.last)
        if not wanted:
            return {}
        rows = await self._tx.all(sql.facts, context=self._known.id, ns=wanted)
        return {(each := facts_of(row)).n: each for row in rows}

    async def standing(self, below: int, limit: int) -> Sequence[Standing]:
        found: list[Standing] = []
        pinned: set[int] = set()
        for force in range(len(_FORCES)):
            given = {"context": self._known.id, "force": force, "below": below, "limit": limit - len(found)}
            rows = await self._tx.all(sql.standing, **given)
            # A message that is pinned stands as a whole, not for what it states besides.
            found += [_standing(row) for row in rows if row["n"] not in pinned]
            pinned |= {row["n"] for row in rows if force == 0}
            if len(found) >= limit:
                break
        return found

    async def load(self, ns: Collection[int]) -> Mapping[int, Written]:
        wanted = await sources(self._tx, self._known, [n for n in ns if n <= self._known.last])
        there = await texts(self._tx, wanted)
        written = {}
        for source in wanted:
            if source.source in there.messages:
                text = there.messages[source.source].text
            elif source.source in there.steps:
                text = text_of_step(there.steps[source.source], source)
            else:
                continue
            written[source.n] = Written(text, passages_of(source, text))
        return written


def text_of_step(step: Step, source: Source) -> str:
    """The result that is `part` of the step; calls have no text."""
    return (step.calls[source.part - 1].output or "") if source.part else ""


def _standing(row: Row) -> Standing:
    force = _FORCES[row["force"]]
    passage = Passage(row["first"], row["last"], row["cost"]) if force else None
    facts = facts_of((row["n"], row["role"], row["tokens"], row["flags"], row["day"]))
    return Standing(facts, passage, force)
