"""Excerpts: what is sent of the messages before the window, for the question or because it stands for ever."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from respun.core.context.clip import MARK_TOKENS, Span, clip_to_hits
from respun.core.context.languages import Language
from respun.core.context.passages import Passage
from respun.core.context.score import FRAME_TOKENS, rank
from respun.core.context.selection import Excerpt
from respun.core.context.thread import AFTER_ALL, Facts, Role, Standing, ThreadIndex, Written

HEADING_TOKENS: Final = 30
LABEL_TOKENS: Final = 8
"""The label of an excerpt, and the line breaks around it."""
DAY_TOKENS: Final = 10
"""A line with a date."""

_CAP: Final[Mapping[Role, int]] = {"user": 600, "assistant": 300, "tool": 300}
"""Tokens of one excerpt; a message up to a quarter longer is still sent whole."""
_LEAST: Final = 24
_LEAST_CLIP: Final = 120
_MISSES: Final = 40
"""Messages that did not fit before the search for a smaller one ends."""
_LOADED_AT_ONCE: Final = 8
_PINNED_SHARE: Final = 0.25
_STANDING_SHARE: Final = 0.06
_STANDING_LEAST: Final = 300
_STANDING_READ: Final = 400


class Pins(Struct, frozen=True):
    """What stands for ever and is said before the window, oldest first."""

    excerpts: tuple[Excerpt, ...] = ()

    @property
    def tokens(self) -> int:
        return HEADING_TOKENS + sum(each.tokens for each in self.excerpts) if self.excerpts else 0


async def read_standing(index: ThreadIndex) -> Sequence[Standing]:
    return await index.standing(AFTER_ALL, _STANDING_READ)


def most_pinned(standing: Sequence[Standing], budget: int) -> int:
    """The most that `choose_pins` may cost, wherever the window begins."""
    if not standing:
        return 0
    everything = HEADING_TOKENS + sum(
        (_quoted(each.facts, each.passage) if each.passage else _dated(_whole(each.facts))).tokens for each in standing
    )
    return min(everything, int(budget * _PINNED_SHARE) + _standing_room(budget))


async def choose_pins(
    index: ThreadIndex, standing: Sequence[Standing], language: Language, below: int, budget: int
) -> Pins:
    """Pinned messages, rules, facts from before `below`: each kind newest first while there is room.

    They do not depend on the question, so that a prompt's beginning stays the same while the window's start does.
    """
    earlier = [each for each in standing if each.facts.n < below]
    pinned = [each.facts for each in earlier if each.passage is None]
    texts = await index.load([each.n for each in pinned]) if pinned else {}
    excerpts = _pinned(pinned, texts, language, int(budget * _PINNED_SHARE) - HEADING_TOKENS)
    excerpts += _standing(earlier, _standing_room(budget) - HEADING_TOKENS)
    return Pins(tuple(sorted(excerpts, key=lambda each: (each.n, each.spans[0].start if each.spans else 0))))


async def recall(
    index: ThreadIndex, query: Mapping[str, float], language: Language, below: int, room: int
) -> tuple[Excerpt, ...]:
    """The best excerpts from before `below` for at most `room` tokens with their heading, oldest first."""
    search = await index.search(query, below, min(400, max(120, room // 15)))
    ranks = rank(search)
    order = sorted(ranks, key=lambda n: (-ranks[n], -n))
    choice = _Choice(room - HEADING_TOKENS)
    texts: dict[int, Written] = {}
    for at, n in enumerate(order):
        if choice.full:
            break
        facts = search.facts[n]
        if not _long(facts):
            choice.take(_whole(facts))
            continue
        if n not in texts:
            ahead = [m for m in order[at:] if _long(search.facts[m])][:_LOADED_AT_ONCE]
            texts.update(await index.load(ahead))
        choice.take(_clipped(facts, texts.get(n), search.weights, language, choice.room_beside(facts)))
    return tuple(sorted(choice.taken, key=lambda each: each.n))


class _Choice:
    """Excerpts taken while they fit."""

    def __init__(self, room: int) -> None:
        self.taken: list[Excerpt] = []
        self._left = room
        self._misses = 0
        self._days: set[str] = {""}

    @property
    def full(self) -> bool:
        return self._left < _LEAST or self._misses > _MISSES

    def room_beside(self, facts: Facts) -> int:
        """Tokens left for the text of an excerpt of this message."""
        return self._left - LABEL_TOKENS - self._day(facts.day)

    def take(self, excerpt: Excerpt | None) -> None:
        cost = excerpt.tokens + self._day(excerpt.day) if excerpt else 0
        if excerpt is None or cost > self._left:
            self._misses += 1
            return
        # The date is paid for by the first excerpt of its day; the renderer writes it once.
        self.taken.append(_costing(excerpt, cost))
        self._days.add(excerpt.day)
        self._left -= cost

    def _day(self, day: str) -> int:
        return 0 if day in self._days else DAY_TOKENS


def _costing(excerpt: Excerpt, tokens: int) -> Excerpt:
    return Excerpt(excerpt.n, excerpt.role, tokens, excerpt.of, excerpt.spans, excerpt.day)


def _long(facts: Facts) -> bool:
    return facts.tokens > _CAP[facts.role] * 1.25


def _whole(facts: Facts) -> Excerpt:
    return Excerpt(facts.n, facts.role, facts.tokens - FRAME_TOKENS + LABEL_TOKENS, facts.tokens, None, facts.day)


def _clipped(
    facts: Facts, written: Written | None, weights: Mapping[str, int], language: Language, room: int
) -> Excerpt | None:
    if written is None or room < _LEAST_CLIP - LABEL_TOKENS:
        return None
    clip = clip_to_hits(written, weights, language, min(room, _CAP[facts.role]))
    if clip is None:
        return None
    return Excerpt(facts.n, facts.role, clip.tokens + LABEL_TOKENS, facts.tokens, clip.spans, facts.day)


def _dated(excerpt: Excerpt) -> Excerpt:
    return _costing(excerpt, excerpt.tokens + DAY_TOKENS)


def _pinned(pinned: Sequence[Facts], texts: Mapping[int, Written], language: Language, room: int) -> list[Excerpt]:
    excerpts = []
    for facts in pinned:
        excerpt: Excerpt | None = _dated(_whole(facts))
        if excerpt and excerpt.tokens > room:
            left = room - LABEL_TOKENS - DAY_TOKENS
            clipped = _clipped(facts, texts.get(facts.n), {}, language, left)
            excerpt = _dated(clipped) if clipped else None
        if excerpt:
            excerpts.append(excerpt)
            room -= excerpt.tokens
    return excerpts


def _standing(standing: Sequence[Standing], room: int) -> list[Excerpt]:
    excerpts = []
    for each in standing:
        if each.passage is None:
            continue
        excerpt = _quoted(each.facts, each.passage)
        if excerpt.tokens <= room:
            excerpts.append(excerpt)
            room -= excerpt.tokens
    return excerpts


def _quoted(facts: Facts, passage: Passage) -> Excerpt:
    tokens = passage.tokens + LABEL_TOKENS + 2 * MARK_TOKENS + DAY_TOKENS
    return Excerpt(facts.n, facts.role, tokens, facts.tokens, (Span(passage.start, passage.end),), facts.day)


def _standing_room(budget: int) -> int:
    return max(int(budget * _STANDING_SHARE), min(_STANDING_LEAST, budget // 8))
