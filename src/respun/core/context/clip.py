"""Shorten one text to a budget: keep its best passages, mark with […] what was left out."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

from respun.core.context.languages import Language
from respun.core.context.passages import Passage
from respun.core.context.thread import Written
from respun.core.context.words import terms

MARK: Final = "[…]"
MARK_TOKENS: Final = 4
"""A mark with the line breaks around it."""


_FENCE: Final = "```"
_FENCE_TOKENS: Final = 3
"""A line that closes a code fence."""


class Span(Struct, frozen=True):
    """Characters `start` to `end` of a message's text."""

    start: int
    end: int


class Clip(Struct, frozen=True):
    """What is kept of a text, in order, and what it costs with its marks."""

    spans: tuple[Span, ...]
    tokens: int


def clip_to_hits(written: Written, weights: Mapping[str, int], language: Language, room: int) -> Clip | None:
    """The passages with most of the query's words, then the first ones; None if not one passage fits."""
    gains = _gains(written, weights, language)
    order = sorted(range(len(gains)), key=lambda at: (-gains[at], at))
    return _keep(written, order, room)


def clip_to_ends(written: Written, weights: Mapping[str, int], language: Language, room: int) -> Clip | None:
    """The first and the last passage, those with the query's words, then inwards from both ends."""
    gains = _gains(written, weights, language)
    last = len(gains) - 1
    ends = [0, last] if last > 0 else range(len(gains))
    hits = sorted((at for at in range(1, last) if gains[at]), key=lambda at: (-gains[at], at))
    inwards = sorted(range(last + 1), key=lambda at: (min(at, last - at), at))
    return _keep(written, dict.fromkeys([*ends, *hits, *inwards]), room)


def join(text: str, spans: Sequence[Span]) -> str:
    """The kept text with a mark in every gap. A code fence that a gap cuts open is closed."""
    pieces = []
    end = 0
    for span in spans:
        if span.start > end:
            pieces.append(MARK)
        pieces.append(_closed(text[span.start : span.end].strip("\n")))
        end = span.end
    if end < len(text):
        pieces.append(MARK)
    return "\n".join(pieces)


def _gains(written: Written, weights: Mapping[str, int], language: Language) -> list[int]:
    if not weights:
        return [0] * len(written.passages)
    text = written.text
    return [
        sum(weights[term] for term in set(terms(text[passage.start : passage.end], language)) & weights.keys())
        for passage in written.passages
    ]


def _keep(written: Written, order: Iterable[int], room: int) -> Clip | None:
    costs = [_cost(written.text, passage) for passage in written.passages]
    kept: list[int] = []
    left = room - MARK_TOKENS
    for at in order:
        # Each passage may open one more gap; the sum below counts the gaps that are really there.
        if costs[at] + MARK_TOKENS <= left:
            kept.append(at)
            left -= costs[at] + MARK_TOKENS
    if not kept:
        return None
    kept.sort()
    tokens = sum(costs[at] for at in kept) + MARK_TOKENS * _gaps(kept, len(costs))
    return Clip(_spans(written.passages, kept), tokens)


def _cost(text: str, passage: Passage) -> int:
    fenced = text.find(_FENCE, passage.start, passage.end) >= 0
    return passage.tokens + (_FENCE_TOKENS if fenced else 0)


def _gaps(kept: Sequence[int], count: int) -> int:
    inner = sum(b - a > 1 for a, b in pairwise(kept))
    return inner + (kept[0] > 0) + (kept[-1] < count - 1)


def _spans(passages: Sequence[Passage], kept: Sequence[int]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for at in kept:
        start, end = passages[at].start, passages[at].end
        if spans and spans[-1].end == start:
            start = spans.pop().start
        spans.append(Span(start, end))
    return tuple(spans)


def _closed(piece: str) -> str:
    fences = sum(line.lstrip().startswith(_FENCE) for line in piece.split("\n"))
    return f"{piece}\n{_FENCE}" if fences % 2 else piece
