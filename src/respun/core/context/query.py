"""What a run asks of its thread's past: the words of the user's messages that nobody has answered yet."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from respun.core.context.languages import Language
from respun.core.context.thread import Facts, ThreadIndex
from respun.core.context.words import terms

_FEW: Final = 3
"""Terms: a question with fewer ("and the other one?") leans on the question before it."""
_EARLIER: Final = 0.3
_MOST_MESSAGES: Final = 8
_MOST_CHARACTERS: Final = 16_000


def weights_of(text: str, language: Language) -> dict[str, float]:
    """Each term of a question with its weight; a term said twice counts a little more."""
    counts = Counter(terms(text[:_MOST_CHARACTERS], language))
    return {term: 1 + math.log(times) for term, times in counts.items()}


async def read_query(index: ThreadIndex, facts: Sequence[Facts], language: Language) -> dict[str, float]:
    """The question that the end of the thread (`facts`, oldest first) puts."""
    asked, earlier = _unanswered(facts)
    texts = await index.load([*asked, *earlier])
    query = weights_of("\n".join(texts[n].text for n in asked if n in texts), language)
    if len(query) < _FEW:
        for n in earlier:
            before = weights_of(texts[n].text, language) if n in texts else {}
            query = {term: _EARLIER * weight for term, weight in before.items()} | query
    return query


def _unanswered(facts: Sequence[Facts]) -> tuple[list[int], list[int]]:
    """Positions of the user messages since the last answer, and of the one before those."""
    asked: list[int] = []
    answered = False
    for each in reversed(facts):
        if each.role == "user" and (not answered or not asked) and len(asked) < _MOST_MESSAGES:
            asked.insert(0, each.n)
            answered = False
        elif each.role == "user":
            return asked, [each.n]
        else:
            answered = True
    return asked, []
