"""What the fitter knows of a thread, and all that it asks of whoever keeps one.

A message is known by its position `n` in its thread: 1 for the first, rising, with holes where messages were
deleted. The fitter never asks for a whole thread that does not fit: it walks back from the newest message as far as
the window reaches, and asks the index for the rest.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from respun.core.context.languages import Language
from respun.core.context.passages import Passage
from respun.core.context.statements import Force

Role = Literal["user", "assistant", "tool"]

AFTER_ALL: Final = 1 << 62
"""A position above every message's."""


class Facts(Struct, frozen=True):
    """One message, without its text. `tokens` is what it costs in a prompt, its frame included (`FRAME_TOKENS`)."""

    n: int
    role: Role
    tokens: int
    calls: bool = False
    """An assistant's message that calls tools: the tool messages right after it are the results."""
    prefers: bool = False
    """The user states a preference in it."""
    day: str = ""
    """The date it was written, as 2026-11-21; empty if unknown."""


class Shape(Struct, frozen=True):
    """The thread as a whole. `last` is the newest position, 0 for an empty thread."""

    last: int
    count: int
    tokens: int
    language: Language


class Written(Struct, frozen=True):
    """The text of a message with its passages."""

    text: str
    passages: tuple[Passage, ...]


class Standing(Struct, frozen=True):
    """A passage that carries a standing statement, or all of a message that was pinned by metadata."""

    facts: Facts
    passage: Passage | None
    """None: the message was pinned as a whole."""
    force: Force | None = None


class Hit(Struct, frozen=True):
    """`score` is the sum over the query's terms of weight times impact; both are whole numbers (`score.py`)."""

    n: int
    score: int


class Found(Struct, frozen=True):
    """The best hits, best first (ties: newer first), and the facts of each and of its neighbours (`score.beside`)."""

    hits: Sequence[Hit]
    facts: Mapping[int, Facts]
    weights: Mapping[str, int]
    """The weight that each term of the query had, by `score.weigh`; terms the thread lacks are absent."""
    near: Mapping[int, float] = {}
    """How near the meaning of a message is to the question's, as a part of `rank` (`meaning.py`)."""


class ThreadIndex(Protocol):
    """One thread at one moment: all answers are about the same state of it."""

    async def shape(self) -> Shape: ...

    async def before(self, n: int, limit: int) -> Sequence[Facts]:
        """Up to `limit` messages with positions below `n`, newest first."""
        ...

    async def after(self, n: int, limit: int) -> Sequence[Facts]:
        """Up to `limit` messages with positions above `n`, oldest first."""
        ...

    async def search(self, query: Mapping[str, float], below: int, limit: int) -> Found:
        """The best `limit` messages with positions below `below`; neighbours are below it, too.

        `query` has the weight of each of its terms; the index finds in how many messages of the thread each occurs
        and calls `score.weigh`.
        """
        ...

    async def standing(self, below: int, limit: int) -> Sequence[Standing]:
        """Pinned messages, then rules, then facts, each newest first."""
        ...

    async def load(self, ns: Collection[int]) -> Mapping[int, Written]:
        """The texts of these messages; a message that is gone is absent."""
        ...
