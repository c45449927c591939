"""The code in a model's arguments for the code interpreter, read while they are being written.

Models send `{"code": "..."}`, as they are told, but also another name, a bare JSON string, or the code itself. What is
read does not depend on how the arguments were cut, so that the pieces shown in a stream add up to the whole.
"""

import re
from typing import Any, Final

import msgspec

from respun.core.growing import Growing
from respun.core.json_string import StringReader

_HEAD: Final = re.compile(r'\s{0,32}\{\s{0,32}"(?:code|input|python|source)"\s{0,32}:\s{0,32}"')
_LONGEST_HEAD: Final = 256
_NAMES: Final = ("code", "input", "python", "source")
_FENCED: Final = re.compile(r"\s*```(?:python|py)?[ \t]*\r?\n(.*?)\s*```\s*", re.DOTALL)


class CodeReading:
    """Immutable: `reading + piece` is a new value, of which `shown` is the code that the piece made known."""

    __slots__ = ("_bare", "_held", "_size", "_string", "shown")

    def __init__(
        self,
        shown: str = "",
        *,
        string: StringReader | None = None,
        held: Growing | None = None,
        size: int = 0,
        bare: bool = False,
    ) -> None:
        self.shown = shown
        self._string = string
        self._held = held or Growing()
        self._size = size
        self._bare = bare

    def __add__(self, piece: str) -> "CodeReading":
        if self._bare:
            return CodeReading(piece, bare=True)
        if self._string is not None:
            string = self._string.copy()
            return CodeReading(string.feed(piece), string=string)
        held = self._held + piece
        if self._size <= _LONGEST_HEAD and (opened := _opened(str(held))):
            return opened
        return CodeReading(held=held, size=self._size + len(piece))

    def rest(self) -> str:
        """What is known only once the arguments are whole."""
        if self._bare:
            return ""
        if self._string is not None:
            return self._string.copy().finish()
        return _read(str(self._held))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodeReading) and (self._bare, self._held) == (other._bare, other._held)

    def __hash__(self) -> int:
        return hash((self._bare, self._held))


def code_of(arguments: str) -> str:
    """The code that whole arguments hold; the arguments themselves when they are not what was asked for."""
    reading = CodeReading() + arguments
    return reading.shown + reading.rest()


def without_fence(code: str) -> str:
    """The code inside of a Markdown fence, which small models like to put around it."""
    fenced = _FENCED.fullmatch(code)
    return fenced.group(1) if fenced else code


def _opened(held: str) -> CodeReading | None:
    """The reading behind the head of an object, or of what is no JSON; None while it may become either."""
    if head := _HEAD.match(held):
        string = StringReader()
        return CodeReading(string.feed(held[head.end() :]), string=string)
    start = held.lstrip()
    if start and start[0] not in '{"':
        return CodeReading(held, bare=True)
    return None


def _read(arguments: str) -> str:
    try:
        given: Any = msgspec.json.decode(arguments)
    except (ValueError, RecursionError):
        return arguments
    if isinstance(given, dict):
        given = next((given[name] for name in _NAMES if name in given), None)
    return given if isinstance(given, str) else arguments
