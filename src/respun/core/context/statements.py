"""Standing statements: what a user said once and means to hold for ever ("always answer in French").

Three kinds, found in a user's words by patterns per language (`patterns.py`): *rules* and *facts* are kept in the
prompt when the message that carries them is not (rules first), *preferences* make a message weigh more.
`Statements.extended` adds a user's own. The patterns match at the start of a clause, so that a report of the past
("it has always been so") is not taken for a wish.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

from respun.core.context.languages import Language
from respun.core.context.patterns import PATTERNS, Hinted, Patterns

Force = Literal["rule", "fact"]

_BEFORE: Final = 100
_AFTER: Final = 160
"""Characters around a hint within which its pattern must match."""
_TRIES: Final = 8
"""Occurrences of a hint that are looked at: a text that repeats it more often is no wish."""


class Found(Struct, frozen=True):
    """What one text carries."""

    force: Force | None = None
    prefers: bool = False


class Statements:
    """The patterns of several languages, tried together: users change language within a thread."""

    def __init__(self, *patterns: Mapping[Language, Patterns]) -> None:
        """Raises `re.error` if a pattern is no regular expression."""
        self._given = patterns
        each = [known for given in patterns for known in given.values()]
        self._rules = _Searched(known.rules for known in each)
        self._facts = _Searched(known.facts for known in each)
        self._preferences = _Searched(known.preferences for known in each)

    def extended(self, language: Language, more: Patterns) -> "Statements":
        """These and a user's own."""
        return Statements(*self._given, {language: more})

    def find(self, text: str) -> Found:
        text = text.replace("’", "'")
        lower = text.lower()
        return Found(self._force(text, lower), self._preferences.match(text, lower))

    def _force(self, text: str, lower: str) -> Force | None:
        if self._rules.match(text, lower):
            return "rule"
        return "fact" if self._facts.match(text, lower) else None


class _Searched:
    """Patterns of one kind, each looked for only near its hints."""

    def __init__(self, hinted: Iterable[Hinted]) -> None:
        self._patterns = [
            (hint, re.compile(pattern, re.IGNORECASE))
            for each in hinted
            for hints, pattern in each.items()
            for hint in hints.split("|")
        ]

    def match(self, text: str, lower: str) -> bool:
        return any(hint in lower and _near(hint, pattern, text, lower) for hint, pattern in self._patterns)


def _near(hint: str, pattern: re.Pattern[str], text: str, lower: str) -> bool:
    if not hint:
        return pattern.search(text) is not None
    at = -1
    for _ in range(_TRIES):
        at = lower.find(hint, at + 1)
        if at < 0:
            return False
        # `^` still means the beginning of the text, not of the part that is searched.
        if pattern.search(text, max(0, at - _BEFORE), at + _AFTER):
            return True
    return False


STATEMENTS: Final = Statements(PATTERNS)
