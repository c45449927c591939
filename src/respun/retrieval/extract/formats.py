"""Which files are read, and how a file is recognised: by its first bytes, hardly ever by its name."""

from pathlib import PurePath
from typing import Final, Literal

Family = Literal["empty", "pdf", "zip", "ole", "html", "text", "binary"]

# Contract section 6: what OpenAI's vector stores take.
OPENAI_EXTENSIONS: Final = frozenset(
    "c cpp cs css doc docx go html java js json md pdf php pptx py rb sh tex ts txt".split()  # noqa: SIM905
)
HEAD_BYTES: Final = 4096
_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_ENDINGS_OF_HTML: Final = (".html", ".htm", ".xhtml")


def refusal(filename: str) -> str | None:
    """OpenAI's sentence for a name whose ending its vector stores do not take; None when they do."""
    ending = PurePath(filename).suffix.lower()
    if ending.removeprefix(".") in OPENAI_EXTENSIONS:
        return None
    return f"Files with extensions [{ending or 'none'}] are not supported for retrieval."


def family(head: bytes, filename: str) -> Family:
    """What kind of parser a file needs, from its first `HEAD_BYTES` bytes."""
    if not head:
        return "empty"
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return "ole"
    if b"\0" in head and not head.startswith(_MARKS):
        return "binary"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if filename.lower().endswith(_ENDINGS_OF_HTML) or start.startswith((b"<!doctype html", b"<html")):
        return "html"
    return "text"
