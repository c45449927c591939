"""How much a message of a thread has to do with a question: BM25, lifted by its neighbours, for what it costs.

All constants were tuned on conversations whose answers are known (docs/context.md); the average length is a constant
so that a message's impact for a term is fixed when it is written, and an index can keep each term's best first.
"""

import math
from collections.abc import Mapping
from typing import Final

from respun.core.context.mixing import mixed
from respun.core.context.thread import Facts, Found, Role

FRAME_TOKENS: Final = 4
"""What a message costs in a prompt beside its text."""

_SATURATION = 1.2
_LENGTH_SHARE = 0.75
_AVERAGE_LENGTH = 30
_FLAT_TOKENS = 40
_LIFT: Final = ((1, 0.4), (2, 0.2))
"""What a hit adds to those one and two messages before and after it, as a share of its score."""
_PREFERENCE = 1.5
_ROLE: Final[Mapping[Role, float]] = {"user": 1.0, "assistant": 0.85, "tool": 0.5}
_SCALE = 1000


def impact(times: int, length: int, role: Role, tokens: int) -> int:
    """What an index keeps for a term that occurs `times` in a message of `length` terms and `tokens` tokens."""
    norm = _SATURATION * (1 - _LENGTH_SHARE + _LENGTH_SHARE * length / _AVERAGE_LENGTH)
    return round(_SCALE * times * (1 + _SATURATION) / (times + norm) * _prior(role, tokens))


def weigh(query: Mapping[str, float], frequencies: Mapping[str, int], count: int) -> dict[str, int]:
    """The weight of each term that the thread has: rare ones weigh more. Whole numbers, so that sums are exact."""
    return {
        term: max(1, round(_SCALE * weight * _rarity(frequencies[term], count)))
        for term, weight in query.items()
        if frequencies.get(term, 0) > 0
    }


def beside(n: int) -> tuple[int, ...]:
    """The positions of a hit and of the neighbours it lifts, which an index gives the facts of."""
    return (n, *(n + side * distance for distance, _ in _LIFT for side in (-1, 1)))


def rank(found: Found) -> dict[int, float]:
    """A rank for every hit and every neighbour of one, higher is better: an answer often stands next to a hit."""
    bare = {hit.n: hit.score / _prior_of(found.facts[hit.n]) for hit in found.hits}
    bare = mixed(bare, {n: near for n, near in found.near.items() if n in found.facts})
    lifted = dict(bare)
    for n, score in bare.items():
        for distance, share in _LIFT:
            for neighbour in (n - distance, n + distance):
                if neighbour in found.facts:
                    lifted[neighbour] = lifted.get(neighbour, 0.0) + share * score
    return {n: score * _weight(found.facts[n]) for n, score in lifted.items()}


def _weight(facts: Facts) -> float:
    return _prior_of(facts) * (_PREFERENCE if facts.prefers else 1.0)


def _prior_of(facts: Facts) -> float:
    return _prior(facts.role, facts.tokens)


def _prior(role: Role, tokens: int) -> float:
    # Many short facts serve better than one long answer that mentions them all.
    return _ROLE[role] / math.sqrt(tokens + _FLAT_TOKENS)


def _rarity(frequency: int, count: int) -> float:
    return math.log(1 + max(0.0, count - frequency + 0.5) / (frequency + 0.5))
