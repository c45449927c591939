"""What extraction gives and how it fails."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

from respun.retrieval.chunk import page_at

Format = Literal["pdf", "docx", "pptx", "xlsx", "odt", "doc", "html", "text"]
Code = Literal["invalid_file", "unsupported_file", "server_error"]

PAGED: Final = frozenset({"pdf", "pptx"})
BETWEEN_PAGES: Final = "\n\n"


class Limits(Struct, frozen=True):
    seconds: int = 30
    memory_bytes: int = 1 << 30
    characters: int = 40_000_000


class Extracted(Struct, frozen=True):
    """The text of a file, in NFC and without NUL. `page_starts` are the offsets at which its pages (of a PDF) or
    slides begin; it is empty for formats without pages."""

    format: Format
    text: str
    page_starts: tuple[int, ...] = ()

    def page_at(self, offset: int) -> int | None:
        """The page, counted from 1, that holds the character at this offset."""
        return page_at(self.page_starts, offset)

    def line_at(self, offset: int) -> int:
        return self.text.count("\n", 0, offset) + 1


class Unreadable(Exception):
    """Why a file has no text. `code` is what OpenAI's `last_error.code` may be; the message is for its owner."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message


def invalid(because: str) -> Unreadable:
    return Unreadable("invalid_file", f"The file could not be parsed because {because}.")


def joined(kind: Format, pages: Iterable[str], limits: Limits) -> Extracted:
    """Pages to one text. Raises Unreadable when there is no text in them, or too much."""
    texts: list[str] = []
    starts: list[int] = []
    length = 0
    for page in pages:
        starts.append(length)
        texts.append(_clean(page))
        length += len(texts[-1]) + len(BETWEEN_PAGES)
        if length > limits.characters:
            raise invalid(f"it holds more than {limits.characters:,} characters; split it into smaller files")
    text = BETWEEN_PAGES.join(texts)
    if not text.strip():
        raise invalid(_WITHOUT_TEXT if kind == "pdf" else "it holds no text")
    return Extracted(kind, text, tuple(starts) if kind in PAGED else ())


def _clean(page: str) -> str:
    """Half a surrogate pair is no character, and a NUL is none that every database stores."""
    return unicodedata.normalize("NFC", _NO_CHARACTER.sub("", page)).rstrip()


_NO_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")
_WITHOUT_TEXT: Final = "its pages hold no text; scanned pages need a text layer (OCR) first"
