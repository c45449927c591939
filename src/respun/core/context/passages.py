"""Split a message into passages: the smallest pieces that clipping keeps or leaves out.

A passage is one or more whole sentences or lines; inside a code fence only lines count. Passages cover the text
without gaps, in order.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

Count = Callable[[str], int]
"""Tokens of a text, as the model's tokeniser (or an estimate of it) counts them."""

PASSAGE_TOKENS: Final = 80

_LINE: Final = re.compile(r"[^\n]*\n+|[^\n]+")
_SENTENCE: Final = re.compile(r".+?(?:[.!?…]+[\"'”’)\]]*\s+|[。！？｡؟]+[」』”’）】]*\s*|$)", re.DOTALL)
_FENCE: Final = re.compile(r"\s*(?:```|~~~)")


class Passage(Struct, frozen=True):
    """Characters `start` to `end` of the message's text, and what they cost."""

    start: int
    end: int
    tokens: int


def split(text: str, count: Count, limit: int = PASSAGE_TOKENS) -> tuple[Passage, ...]:
    """Passages of at most `limit` tokens (a single character may cost more)."""
    packed: list[Passage] = []
    for piece in _pieces(text, count, limit):
        if packed and packed[-1].tokens + piece.tokens <= limit:
            last = packed.pop()
            piece = Passage(last.start, piece.end, last.tokens + piece.tokens)
        packed.append(piece)
    return tuple(packed)


def _pieces(text: str, count: Count, limit: int) -> Iterator[Passage]:
    for start, end in _atoms(text):
        yield from _cut(text, start, end, count, limit)


def _atoms(text: str) -> Iterator[tuple[int, int]]:
    fenced = False
    for line in _LINE.finditer(text):
        fence = _FENCE.match(line.group()) is not None
        if fenced or fence:
            yield line.span()
        else:
            for sentence in _SENTENCE.finditer(text, *line.span()):
                yield sentence.span()
        fenced ^= fence


def _cut(text: str, start: int, end: int, count: Count, limit: int) -> Iterator[Passage]:
    """The piece itself, or its halves and quarters until each is small enough; parted at a space if there is one."""
    tokens = count(text[start:end])
    if tokens <= limit or end - start < 2:
        yield Passage(start, end, tokens)
        return
    middle = (start + end) // 2
    space = text.rfind(" ", start + 1, middle)
    if space > start + (end - start) // 4:
        middle = space + 1
    yield from _cut(text, start, middle, count, limit)
    yield from _cut(text, middle, end, count, limit)
