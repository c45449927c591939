"""Read a message once, when it is written: all that an index keeps of it."""

from collections import Counter
from typing import Final

from msgspec import Struct

from respun.core.context.languages import Language
from respun.core.context.passages import Count, Passage, split
from respun.core.context.score import FRAME_TOKENS, impact
from respun.core.context.statements import STATEMENTS, Force, Statements
from respun.core.context.thread import Role
from respun.core.context.words import terms

_LONGEST_STATEMENT: Final = 160
"""Tokens: a passage above this is a text that happens to hold such words, not a wish."""


class Statement(Struct, frozen=True):
    passage: Passage
    force: Force


class Reading(Struct, frozen=True):
    """`impacts` go into the index (one posting a term); `tokens` counts the message's frame, too."""

    tokens: int
    passages: tuple[Passage, ...]
    impacts: dict[str, int]
    statements: tuple[Statement, ...]
    prefers: bool


def read(
    text: str,
    role: Role,
    language: Language,
    count: Count,
    *,
    statements: Statements = STATEMENTS,
    beside: int = 0,
) -> Reading:
    """`language` is the thread's (`words.guess_language`), the same for all its messages and for every question.

    `beside`: tokens of what is not text, such as images and calls.
    """
    passages = split(text, count)
    # The text as a whole: what is counted where no passages are known must be the same number.
    tokens = count(text) + FRAME_TOKENS + beside
    found = Counter(terms(text, language))
    length = found.total()
    impacts = {term: impact(times, length, role, tokens) for term, times in found.items()}
    if role != "user":
        return Reading(tokens, passages, impacts, (), prefers=False)
    carried = statements.find(text)
    standing = tuple(_standing(text, passages, statements)) if carried.force else ()
    return Reading(tokens, passages, impacts, standing, carried.prefers)


def _standing(text: str, passages: tuple[Passage, ...], statements: Statements) -> list[Statement]:
    carried = []
    for passage in passages:
        force = statements.find(text[passage.start : passage.end]).force
        if force and passage.tokens <= _LONGEST_STATEMENT:
            carried.append(Statement(passage, force))
    return carried
