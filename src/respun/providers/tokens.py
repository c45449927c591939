"""Count the tokens of texts without asking anybody.

With the extra `tokens` the counts are those of OpenAI's vocabularies; without it they are estimates from the bytes.
Other models' tokenisers are met by a factor that `Correction` learns from what upstreams report.
"""

import asyncio
from collections.abc import Callable
from functools import cache
from math import ceil
from typing import Final, Literal

from msgspec import Struct

from respun.core.usage import Usage

Vocabulary = Literal["o200k", "cl100k", "qwen3"]
Count = Callable[[str], int]

_BYTES_A_TOKEN: Final = 4

# By the start of a model's name without its vendor; the first that fits. Anything else is counted in o200k.
_VOCABULARIES: Final[tuple[tuple[str, Vocabulary], ...]] = (
    ("gpt-4o", "o200k"),
    ("gpt-4.", "o200k"),
    ("gpt-4", "cl100k"),
    ("gpt-3.5", "cl100k"),
    ("text-embedding", "cl100k"),
    ("qwen", "qwen3"),
    ("qwq", "qwen3"),
)


def vocabulary_of(model: str) -> Vocabulary:
    name = model.rpartition("/")[2].lower()
    return next((vocabulary for start, vocabulary in _VOCABULARIES if name.startswith(start)), "o200k")


def estimate(text: str) -> int:
    """A token for every four bytes begun: high for English (by a tenth at the median), never zero for a text."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN)


@cache
def counter(vocabulary: Vocabulary = "o200k") -> Count:
    """The count of a vocabulary; `estimate` where the extra `tokens` is not installed.

    Its first call takes about half a second and 65 MB (o200k) or 30 MB of memory, which stay: make it in a thread.
    """
    try:
        import quicktok
    except ImportError:
        return estimate
    exact: Count = quicktok.get_encoding(vocabulary if vocabulary == "qwen3" else f"{vocabulary}_base").count

    def count_exactly(text: str) -> int:
        try:
            return exact(text)
        except TypeError:  # a lone surrogate, which no encoding of UTF-8 has
            return exact(text.encode("utf-8", "replace").decode())

    return count_exactly


def count(text: str, model: str = "") -> int:
    """Tokens of a text, in the vocabulary that goes with the model's name."""
    return counter(vocabulary_of(model))(text)


class Counter:
    """Counts tokens by estimate until `load` has fetched OpenAI's newest vocabulary into memory."""

    def __init__(self) -> None:
        self._count: Count = estimate

    def __call__(self, text: str) -> int:
        return self._count(text)

    async def load(self) -> None:
        """Takes about half a second, in another thread; without the extra `tokens` the estimates stay."""
        self._count = await asyncio.to_thread(counter)


_WEIGHT: Final = 0.2
_LEAST: Final = 0.5
_MOST: Final = 3.0
_MARGIN: Final = 1.03
_WORTHWHILE: Final = 50


class Correction(Struct, frozen=True):
    """How a model's own count relates to ours: a moving average, kept within bounds that no real tokeniser leaves."""

    factor: float = 1.0
    seen: int = 0

    def learn(self, counted: int, usage: Usage | None) -> "Correction":
        """After a call whose prompt we counted as `counted`. A short prompt, or unknown usage, teaches nothing."""
        if usage is None or counted < _WORTHWHILE or usage.prompt <= 0:
            return self
        told = min(max(usage.prompt / counted, _LEAST), _MOST)
        weight = max(_WEIGHT, 1 / (self.seen + 1))
        return Correction(self.factor + weight * (told - self.factor), self.seen + 1)

    def of(self, counted: int) -> int:
        """What the model is likely to count, with a margin so that it is rarely more."""
        return ceil(counted * self.factor * _MARGIN)
