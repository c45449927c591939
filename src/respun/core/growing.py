"""Text that grows by appending, cheap to extend and to keep at every stage.

A stream of n pieces is n values; as plain strings they would hold n²/2 characters. These share one list, of which
each value sees its own beginning. Now and then a value makes one string of all it has, so that the newest holds little
more than its text however many pieces it came in.
"""

from typing import Final

_PIECES: Final = 64
_SHARE: Final = 256
"""The longer the text, the rarer it is copied: one more piece for so many characters."""


class Growing:
    """Immutable: `grown + piece` is a new value. Two are equal when their texts are."""

    __slots__ = ("_head", "_length", "_pieces")

    def __init__(self, text: str = "") -> None:
        self._head = text
        self._pieces: list[str] = []
        self._length = 0

    def __add__(self, piece: str) -> "Growing":
        if self._length >= _PIECES + len(self._head) // _SHARE:
            return Growing(str(self) + piece)
        grown = Growing.__new__(Growing)
        # Only the longest of the values that share a list may extend it; a second history starts a list of its own.
        tip = 0 < self._length == len(self._pieces)
        pieces = self._pieces if tip else self._pieces[: self._length]
        pieces.append(piece)
        grown._head, grown._pieces, grown._length = self._head, pieces, len(pieces)
        return grown

    def __str__(self) -> str:
        return self._head + "".join(self._pieces[: self._length])

    def __bool__(self) -> bool:
        return self._length > 0 or bool(self._head)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Growing) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"Growing({str(self)!r})"
