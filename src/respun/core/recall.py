"""Which memories fit what is asked: by words, weighed by how rare they are, and by nearness in meaning.

Scores are from 0 to 1, and mean the same for every question: either leg alone can bring a memory to the top, and both
together raise it.

Words count as they stand and by their stems in English, so that "lives" finds "living" and other languages lose
nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import Final

from msgspec import Struct

from respun.core.context.languages import LEXICONS
from respun.core.context.words import terms
from respun.core.memories import Memory
from respun.core.words import search_words

RECALLED: Final = 10
"""How many memories a turn is told at most; twice as many if it is to be careful."""
LEAST: Final = 0.12
"""The least score of a memory that a turn is told: one rare word of a long question."""
_STOPPED: Final = LEXICONS["en"].stop_words
PENDING: Final = 5
"""How many things that were just said, and are not remembered yet, a turn is told."""
CANDIDATES: Final = 80
"""How many memories are looked at, of those found by words and of those that are near."""
_FAR_APART: Final = 0.5
_ALIKE: Final = 0.9
# The carried model finds no two English texts further apart than about 0.5; others begin lower.
_FAR_APART_ELSEWHERE: Final = 0.25
_TOLD: Final = (
    "What you remember about the user from earlier conversations, the most fitting first. Use it where it helps, "
    "don't list it unasked, and believe the user where it is out of date:"
)
_CITE: Final = "Where your answer rests on one of these, name its number in square brackets, such as [1]."


class Fitting(Struct, frozen=True):
    memory: Memory
    score: float


class Worded(Struct, frozen=True):
    """A memory with the words that it is found by; `near` in meaning, 0 to 1."""

    memory: Memory
    words: frozenset[str]
    near: float = 0.0


def memory_words(text: str) -> list[str]:
    """What a memory is found by: letters and digits only, each once, without the words that say nothing."""
    plain = (word for word in terms(text, "other") if word not in _STOPPED)
    return list(dict.fromkeys(search_words(" ".join((*terms(text, "en"), *plain)))))


def weigh(query: Iterable[str], known: Mapping[str, int], total: int) -> dict[str, float]:
    """How much each word says. `known`: in how many of `total` memories it is."""
    return {word: log(1 + (total + 1) / (known.get(word, 0) + 0.5)) for word in query}


def fitting(weights: Mapping[str, float], found: Iterable[Worded]) -> list[Fitting]:
    """Those found, best first."""
    whole = sum(weights.values()) or 1.0
    scored = [
        Fitting(each.memory, fused(sum(weights[word] for word in weights if word in each.words) / whole, each.near))
        for each in found
    ]
    return sorted(scored, key=lambda one: (-one.score, -one.memory.updated_at))


def fused(by_words: float, near: float) -> float:
    """What of the question neither leg leaves open."""
    return 1 - (1 - min(by_words, 1.0)) * (1 - near)


def nearness(cosine: float, english_only: bool) -> float:
    """0 for texts that have nothing to do with each other, 1 for the same said in other words."""
    low = _FAR_APART if english_only else _FAR_APART_ELSEWHERE
    return min(1.0, max(0.0, (cosine - low) / (_ALIKE - low)))


def told(texts: Sequence[str], *, cite: bool) -> str:
    """The part of a prompt that tells a model what it remembers."""
    lines = [f"[{number}] {text}" for number, text in enumerate(texts, 1)]
    return "\n".join((_TOLD, *lines, *((_CITE,) if cite else ())))
