"""Which memories fit what is asked: by words, weighed by how rare they are. Scores are from 0 to 1.

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
_TOLD: Final = (
    "What you remember about the user from earlier conversations, the most fitting first. Use it where it helps, "
    "don't list it unasked, and believe the user where it is out of date:"
)
_CITE: Final = "Where your answer rests on one of these, name its number in square brackets, such as [1]."


class Fitting(Struct, frozen=True):
    memory: Memory
    score: float


class Worded(Struct, frozen=True):
    """A memory with the words that it is found by."""

    memory: Memory
    words: frozenset[str]


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
        Fitting(each.memory, sum(weight for word, weight in weights.items() if word in each.words) / whole)
        for each in found
    ]
    return sorted(scored, key=lambda one: (-one.score, -one.memory.updated_at))


def told(texts: Sequence[str], *, cite: bool) -> str:
    """The part of a prompt that tells a model what it remembers."""
    lines = [f"[{number}] {text}" for number, text in enumerate(texts, 1)]
    return "\n".join((_TOLD, *lines, *((_CITE,) if cite else ())))
