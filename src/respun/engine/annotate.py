"""What a model's text refers to: markers of passages and paths of files, as annotations with exact places.

A marker counts only if the model was shown it: an invented one stays text. Streams cut anywhere, so text that may
become a reference is held back until it is one or can't be.
"""

import re
from collections.abc import Mapping
from typing import Final

from respun.core.chat import TextDelta
from respun.core.machine import Cited
from respun.core.threads import Annotation, FileCitation, FilePath

FILES: Final = "sandbox:/mnt/data/"

_OPENING: Final = "【"
_CLOSING: Final = "】"
_LONGEST: Final = 300
_PATH_ENDS: Final = re.compile(r"""[\s)\]"'<>`【]""")

Piece = TextDelta | Cited


class Source:
    """A passage that was shown to the model under a marker, or a file under a path."""

    __slots__ = ("file", "page", "quote", "score")

    def __init__(self, file: str, quote: str = "", page: int | None = None, score: float | None = None) -> None:
        self.file = file
        self.quote = quote
        self.page = page
        self.score = score


class Annotator:
    """Reads the text of one message as it comes. `sources` by marker (`【0:1†name】`) or by path."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._held = ""
        self._at = 0

    def feed(self, text: str) -> list[Piece]:
        """What may be shown now."""
        if not self._sources:
            return [TextDelta(text)]
        self._held += text
        pieces: list[Piece] = []
        while (piece := self._next(last=False)) is not None:
            pieces.append(piece)
        return _joined(pieces)

    def end(self) -> list[Piece]:
        """What was still held back."""
        pieces: list[Piece] = []
        while (piece := self._next(last=True)) is not None:
            pieces.append(piece)
        return _joined(pieces)

    def _next(self, last: bool) -> Piece | None:
        if not self._held:
            return None
        start = _first_opening(self._held)
        if start > 0:
            return self._text(start)
        length = _reference_length(self._held, last)
        if length is None:
            return None
        return self._reference(self._held[:length]) if length else self._text(1)

    def _reference(self, text: str) -> Piece:
        if text.startswith(FILES):
            text = text.rstrip(".,;:!?")  # the end of the sentence, not of the name
        source = self._sources.get(text)
        if source is None:
            # What is none may hold one: 【so 【0:1†name】.
            return self._text(1 + _first_opening(text[1:]))
        start, end = self._at, self._at + len(text)
        self._take(len(text))
        note: Annotation = (
            FilePath(text, start, end, source.file)
            if text.startswith(FILES)
            else FileCitation(text, start, end, source.file, source.quote, source.page, source.score)
        )
        return Cited(text, (note,))

    def _text(self, length: int) -> TextDelta:
        return TextDelta(self._take(length))

    def _take(self, length: int) -> str:
        taken, self._held = self._held[:length], self._held[length:]
        self._at += length
        return taken


def _first_opening(text: str) -> int:
    """Where a reference begins or may begin; the length of the text if nowhere."""
    marker = text.find(_OPENING)
    path = text.find(FILES)
    if path < 0:
        path = next(
            (len(text) - n for n in range(min(len(FILES) - 1, len(text)), 0, -1) if text.endswith(FILES[:n])), -1
        )
    found = [place for place in (marker, path) if place >= 0]
    return min(found) if found else len(text)


def _reference_length(text: str, last: bool) -> int | None:
    """How long the reference at the beginning is; 0 if it is none, None if more text must tell."""
    if text.startswith(_OPENING):
        end = text.find(_CLOSING, 0, _LONGEST)
        if end >= 0:
            return end + 1
        return 0 if last or len(text) >= _LONGEST else None
    if not text.startswith(FILES):
        return 0 if last else None
    end_of_path = _PATH_ENDS.search(text, len(FILES))
    if end_of_path:
        return end_of_path.start()
    return len(text) if last or len(text) >= _LONGEST else None


def _joined(pieces: list[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if isinstance(piece, TextDelta) and isinstance(last, TextDelta):
            joined[-1] = TextDelta(last.text + piece.text)
        else:
            joined.append(piece)
    return joined
