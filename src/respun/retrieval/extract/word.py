"""Documents of Word 97 to 2003: the text of the main part, notes, comments, headers and text boxes ([MS-DOC]).

The text lies in pieces of one or two bytes a character; a table names them in order. Fields show their results.
"""

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from respun.retrieval.extract.compound import Compound
from respun.retrieval.extract.text import Unreadable, invalid

_MAGIC: Final = 0xA5EC
_WORD_97: Final = 193
_ENCRYPTED: Final = 0x0100
_SECOND_TABLE: Final = 0x0200
_LENGTHS: Final = 0x4C
_TABLE: Final = 0x01A2
_PROPERTIES: Final = 1
_PIECES: Final = 2
_ONE_BYTE: Final = 0x40000000
# Main part, footnotes, headers, macros, comments, endnotes, text boxes, those of headers; macros are no text.
_STORIES: Final = 8
_MACROS: Final = 3
_FIELD: Final = re.compile("\x13[^\x13\x14\x15]*(?:\x14([^\x13\x14\x15]*))?\x15")
_DEEPEST_FIELD: Final = 16
_SPELLED: Final = {
    **dict.fromkeys(range(0x20)),
    0x07: "\t",
    0x09: "\t",
    0x0A: "\n",
    0x0B: "\n",
    0x0C: "\n",
    0x0D: "\n",
    0x1E: "-",
}
_ROW_ENDS: Final = re.compile("\x07\x07")
_OTHERS: Final = {"PowerPoint Document": ".pptx", "Workbook": ".xlsx", "Book": ".xlsx"}


def read_word(source: BinaryIO) -> str:
    """Raises Unreadable for what is damaged, encrypted, older, or no document of Word."""
    try:
        return _read(Compound(source))
    except (struct.error, IndexError, OverflowError) as fault:
        raise invalid(f"its structure is damaged ({fault})") from fault


def _read(file: Compound) -> str:
    if "EncryptedPackage" in file.names:
        raise invalid("it is encrypted; upload a copy without a password")
    if "WordDocument" not in file.names:
        instead = next((ending for name, ending in _OTHERS.items() if name in file.names), ".docx, PDF or text")
        raise Unreadable("unsupported_file", f"The file is in a format that is not read; save it as {instead}.")
    document = file.stream("WordDocument")
    magic, version = struct.unpack_from("<HH", document)
    (flags,) = struct.unpack_from("<H", document, 0x0A)
    if magic != _MAGIC or version < _WORD_97:
        raise Unreadable("unsupported_file", "The file is of a Word before 97; save it as .docx or PDF.")
    if flags & _ENCRYPTED:
        raise invalid("it is encrypted; upload a copy without a password")
    at, length = struct.unpack_from("<II", document, _TABLE)
    table = file.stream("1Table" if flags & _SECOND_TABLE else "0Table")[at : at + length]
    text = "".join(_pieces(document, _piece_table(table)))
    return "\n".join(filter(None, map(_shown, _stories(text, document))))


def _piece_table(table: bytes) -> bytes:
    """What stands behind the properties."""
    at = 0
    while at < len(table) and table[at] == _PROPERTIES:
        (length,) = struct.unpack_from("<H", table, at + 1)
        at += 3 + length
    if at >= len(table) or table[at] != _PIECES:
        raise invalid("its table of pieces is missing")
    (length,) = struct.unpack_from("<I", table, at + 1)
    return table[at + 5 : at + 5 + length]


def _pieces(document: bytes, table: bytes) -> Iterator[str]:
    count = (len(table) - 4) // 12
    if count < 1:
        raise invalid("its table of pieces is empty")
    ends = struct.unpack_from(f"<{count + 1}I", table)
    for number in range(count):
        characters = ends[number + 1] - ends[number]
        if characters < 0:
            raise invalid("its pieces overlap")
        (place,) = struct.unpack_from("<I", table, 4 * (count + 1) + 8 * number + 2)
        if place & _ONE_BYTE:
            start = (place & ~_ONE_BYTE) // 2
            yield _inside(document, start, characters).decode("cp1252", "replace")
        else:
            yield _inside(document, place, 2 * characters).decode("utf-16-le", "replace")


def _inside(document: bytes, start: int, length: int) -> bytes:
    if start + length > len(document):
        raise invalid("a piece of its text lies behind its end")
    return document[start : start + length]


def _stories(text: str, document: bytes) -> Iterator[str]:
    at = 0
    for number, length in enumerate(struct.unpack_from(f"<{_STORIES}I", document, _LENGTHS)):
        if number != _MACROS:
            yield text[at : at + length]
        at += length


def _shown(text: str) -> str:
    for _ in range(_DEEPEST_FIELD):
        text, found = _FIELD.subn(lambda field: field[1] or "", text)
        if not found:
            break
    text = _ROW_ENDS.sub("\n", text).translate(_SPELLED)
    return "\n".join(line.rstrip() for line in text.split("\n")).strip()
