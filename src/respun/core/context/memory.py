"""An index of a conversation that is all in memory: one that came with its request and is stored nowhere."""

import heapq
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from respun.core.context.languages import Language
from respun.core.context.passages import Count
from respun.core.context.reading import Reading, read
from respun.core.context.score import beside, weigh
from respun.core.context.statements import STATEMENTS, Statements
from respun.core.context.thread import Facts, Found, Hit, Role, Shape, Standing, Written
from respun.core.context.words import guess_language

_FORCES = (None, "rule", "fact")


class Said(Struct, frozen=True):
    """A message as it came."""

    role: Role
    text: str
    calls: bool = False
    pinned: bool = False
    day: str = ""
    beside: int = 0
    """Tokens of what is not text: images, calls."""


class MemoryIndex:
    """Keeps the promises of `ThreadIndex`. Positions are 1, 2, 3 in the order given."""

    def __init__(
        self,
        messages: Iterable[Said],
        count: Count,
        language: Language | None = None,
        statements: Statements = STATEMENTS,
    ) -> None:
        said = list(messages)
        self._language: Language = language or guess_language(message.text for message in said)
        self._count = count
        self._statements = statements
        self._facts: list[Facts] = []
        self._written: list[Written] = []
        self._standing: list[Standing] = []
        self._postings: dict[str, dict[int, int]] = defaultdict(dict)
        self._tokens = 0
        for message in said:
            self.add(message)

    def add(self, message: Said) -> int:
        """Append a message; its position."""
        reading = read(
            message.text,
            message.role,
            self._language,
            self._count,
            statements=self._statements,
            beside=message.beside,
        )
        n = len(self._facts) + 1
        facts = Facts(n, message.role, reading.tokens, message.calls, reading.prefers, message.day)
        self._facts.append(facts)
        self._written.append(Written(message.text, reading.passages))
        self._tokens += reading.tokens
        self._keep_standing(facts, message.pinned, reading)
        for term, worth in reading.impacts.items():
            self._postings[term][n] = worth
        return n

    def _keep_standing(self, facts: Facts, pinned: bool, reading: Reading) -> None:
        if pinned:
            self._standing.append(Standing(facts, None))
            return
        for statement in reading.statements:
            self._standing.append(Standing(facts, statement.passage, statement.force))

    async def shape(self) -> Shape:
        return Shape(len(self._facts), len(self._facts), self._tokens, self._language)

    async def before(self, n: int, limit: int) -> Sequence[Facts]:
        end = bisect_left(self._facts, n, key=_position)
        return self._facts[max(0, end - limit) : end][::-1]

    async def after(self, n: int, limit: int) -> Sequence[Facts]:
        start = bisect_right(self._facts, n, key=_position)
        return self._facts[start : start + limit]

    async def search(self, query: Mapping[str, float], below: int, limit: int) -> Found:
        frequencies = {term: len(self._postings[term]) for term in query if term in self._postings}
        weights = weigh(query, frequencies, len(self._facts))
        scores: Counter[int] = Counter()
        for term, weight in weights.items():
            for n, worth in self._postings[term].items():
                if n < below:
                    scores[n] += weight * worth
        best = heapq.nlargest(limit, ((score, n) for n, score in scores.items()))
        hits = [Hit(n, score) for score, n in best]
        wanted = {n for hit in hits for n in beside(hit.n) if 0 < n < min(below, len(self._facts) + 1)}
        return Found(hits, {n: self._facts[n - 1] for n in wanted}, weights)

    async def facts(self, ns: Collection[int]) -> Mapping[int, Facts]:
        return {n: self._facts[n - 1] for n in ns if 0 < n <= len(self._facts)}

    async def standing(self, below: int, limit: int) -> Sequence[Standing]:
        kept = [standing for standing in self._standing if standing.facts.n < below]
        kept.reverse()
        kept.sort(key=lambda standing: _FORCES.index(standing.force))
        return kept[:limit]

    async def load(self, ns: Collection[int]) -> Mapping[int, Written]:
        return {n: self._written[n - 1] for n in ns if 0 < n <= len(self._written)}


def _position(facts: Facts) -> int:
    return facts.n
