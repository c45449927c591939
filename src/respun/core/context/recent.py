"""The newest messages of a thread, held in memory and read for their words only when a question is put to them.

A thread that fits is sent as it is, so nothing but its tokens is ever counted.
"""

import heapq
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from msgspec import structs

from respun.core.context.joined import FORCES
from respun.core.context.languages import Language
from respun.core.context.memory import Said
from respun.core.context.passages import Count
from respun.core.context.reading import Reading, read
from respun.core.context.score import FRAME_TOKENS
from respun.core.context.thread import Facts, Hit, Shape, Standing, Written


class Recent:
    """A part (`joined.Part`) of a thread; its positions are `first` and on, in the order given.

    `language` None: that of the messages themselves. `tokens` are those of each message, with its frame.
    """

    def __init__(
        self, said: Sequence[Said], tokens: Sequence[int], count: Count, language: Language, first: int = 1
    ) -> None:
        self._said = said
        self._count = count
        self._language: Language = language
        self._first = first
        self._readings: dict[int, Reading] = {}
        self._facts = [
            Facts(first + at, message.role, cost, message.calls, day=message.day)
            for at, (message, cost) in enumerate(zip(said, tokens, strict=True))
        ]

    async def shape(self) -> Shape:
        last = self._facts[-1].n if self._facts else 0
        return Shape(last, len(self._facts), sum(each.tokens for each in self._facts), self._language)

    async def before(self, n: int, limit: int) -> Sequence[Facts]:
        end = bisect_left(self._facts, n, key=_position)
        return self._facts[max(0, end - limit) : end][::-1]

    async def after(self, n: int, limit: int) -> Sequence[Facts]:
        start = bisect_right(self._facts, n, key=_position)
        return self._facts[start : start + limit]

    async def frequencies(self, terms: Collection[str]) -> Mapping[str, int]:
        found = Counter(term for n in self._positions() for term in self._reading(n).impacts.keys() & terms)
        return dict(found)

    async def best(self, weights: Mapping[str, int], below: int, limit: int, deep: int) -> Sequence[Hit]:
        hits = []
        for n in self._positions():
            impacts = self._reading(n).impacts
            score = sum(weights[term] * impacts[term] for term in weights.keys() & impacts.keys())
            if score and n < below:
                hits.append(Hit(n, score))
        return heapq.nlargest(limit, hits, key=lambda hit: (hit.score, hit.n))

    async def facts(self, ns: Collection[int]) -> Mapping[int, Facts]:
        mine = self._positions()
        return {
            n: structs.replace(self._facts[n - self._first], prefers=self._reading(n).prefers) for n in ns if n in mine
        }

    async def standing(self, below: int, limit: int) -> Sequence[Standing]:
        kept = [standing for n in reversed(self._positions()) if n < below for standing in self._standing(n)]
        kept.sort(key=lambda standing: FORCES.index(standing.force))
        return kept[:limit]

    async def load(self, ns: Collection[int]) -> Mapping[int, Written]:
        mine = self._positions()
        return {n: Written(self._said[n - self._first].text, self._reading(n).passages) for n in ns if n in mine}

    def _positions(self) -> range:
        return range(self._first, self._first + len(self._said))

    def _standing(self, n: int) -> list[Standing]:
        facts = self._facts[n - self._first]
        if self._said[n - self._first].pinned:
            return [Standing(facts, None)]
        if facts.role != "user":
            return []
        return [Standing(facts, each.passage, each.force) for each in reversed(self._reading(n).statements)]

    def _reading(self, n: int) -> Reading:
        if n not in self._readings:
            message = self._said[n - self._first]
            self._readings[n] = read_said(message, self._language, self._count)
        return self._readings[n]


def read_said(message: Said, language: Language, count: Count) -> Reading:
    """What an index keeps of a message."""
    return read(message.text, message.role, language, count, beside=message.beside)


def tokens_of(message: Said, count: Count) -> int:
    """What the message costs in a prompt."""
    return count(message.text) + FRAME_TOKENS + message.beside


def _position(facts: Facts) -> int:
    return facts.n
