"""Word, PowerPoint, Excel and OpenDocument files: XML parts in a zip archive, read by the standard library.

Refuses entities, and counts what it unpacks instead of believing what the archive declares.
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final
from xml.parsers import expat

from msgspec import Struct

from respun.retrieval.extract.text import Format, Unreadable, invalid

_PART_BYTES: Final = 64 << 20
_ARCHIVE_BYTES: Final = 256 << 20
_PIECE: Final = 1 << 16
_SLIDE: Final = re.compile(r"ppt/slides/slide(\d+)\.xml")
_AROUND: Final = re.compile(r"word/(?:header|footer)\d*\.xml")
_SHEET: Final = re.compile(r"xl/worksheets/sheet(\d+)\.xml")
_ENCRYPTED: Final = 0x1


class Office(Struct, frozen=True):
    format: Format
    pages: Iterator[str]


def read_office(source: BinaryIO) -> Office:
    """Raises Unreadable for an archive that is damaged, dangerous or none of these formats."""
    archive = _Archive(source)
    if "word/document.xml" in archive.names:
        return Office("docx", _document(archive))
    if "ppt/presentation.xml" in archive.names:
        return Office("pptx", _slides(archive))
    if "xl/workbook.xml" in archive.names:
        return Office("xlsx", _sheets(archive))
    if "content.xml" in archive.names:
        return Office("odt", _open_document(archive))
    raise Unreadable(
        "unsupported_file",
        "The file is an archive; upload the files in it one by one. Word, PowerPoint, Excel and OpenDocument are read.",
    )


class _Archive:
    """The parts of an archive, with a budget for what they unpack to."""

    def __init__(self, source: BinaryIO) -> None:
        try:
            self._zip = zipfile.ZipFile(source)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as fault:
            raise invalid(f"its archive is damaged ({fault})") from fault
        self.names: Final = frozenset(self._zip.namelist())
        self._left = _ARCHIVE_BYTES

    def numbered(self, pattern: re.Pattern[str]) -> list[int]:
        return sorted(int(found[1]) for found in map(pattern.fullmatch, self.names) if found)

    def parse(self, name: str, reader: "_Reader") -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.EntityDeclHandler = _refuse_entity
        parser.StartElementHandler = lambda tag, given: reader.start(tag.rpartition(" ")[2], given)
        parser.EndElementHandler = lambda tag: reader.end(tag.rpartition(" ")[2])
        parser.CharacterDataHandler = reader.characters
        try:
            for piece in self._pieces(name):
                parser.Parse(piece, False)
            parser.Parse(b"", True)
        except expat.ExpatError as fault:
            raise invalid(f"its part {name} is not well-formed ({fault})") from fault

    def _pieces(self, name: str) -> Iterator[bytes]:
        info = self._zip.getinfo(name)
        if info.flag_bits & _ENCRYPTED:
            raise invalid("it is encrypted; upload a copy without a password")
        _check_size(name, info.file_size, min(_PART_BYTES, self._left))
        try:
            with self._zip.open(info) as part:
                read = 0
                while piece := part.read(_PIECE):
                    read += len(piece)
                    self._left -= len(piece)
                    _check_size(name, read, min(_PART_BYTES, read + self._left))
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as fault:
            raise invalid(f"its part {name} is damaged ({fault})") from fault


def _check_size(name: str, size: int, most: int) -> None:
    if size > most:
        raise invalid(f"its part {name} unpacks to more than {_PART_BYTES >> 20} MiB or all to too much")


def _refuse_entity(*_: object) -> None:
    raise invalid("it defines XML entities, which no office program writes")


class _Reader:
    """Collects text: `texts` are the elements whose characters count, `breaks` what their ends become."""

    def __init__(self, texts: frozenset[str], breaks: dict[str, str]) -> None:
        self._texts = texts
        self._breaks = breaks
        self._inside = 0
        self._cells = 0
        self._skipped = 0
        self._found: list[str] = []

    def start(self, tag: str, given: dict[str, str]) -> None:
        self._skipped += tag == "Fallback"
        self._cells += tag in _CELLS
        self._inside += tag in self._texts

    def end(self, tag: str) -> None:
        self._inside -= tag in self._texts
        self._cells -= tag in _CELLS
        if not self._skipped and tag in self._breaks:
            # The paragraphs of a cell stay on the row's line.
            self._found.append(" " if self._cells and tag == "p" else self._breaks[tag])
        self._skipped -= tag == "Fallback"

    def characters(self, text: str) -> None:
        if self._inside and not self._skipped:
            self._found.append(text)

    def text(self) -> str:
        lines = ("\t".join(cell.strip() for cell in line.split("\t")) for line in "".join(self._found).split("\n"))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip()


_CELLS: Final = frozenset({"tc", "table-cell"})
_BREAKS: Final = {"p": "\n", "br": "\n", "cr": "\n", "tab": "\t", "tr": "\n", "tc": "\t"}
_OPEN_BREAKS: Final = {
    "p": "\n", "h": "\n", "tab": "\t", "line-break": "\n", "s": " ", "table-row": "\n", "table-cell": "\t"
}  # fmt: skip


def _read(archive: _Archive, name: str, make: Callable[[], _Reader]) -> str:
    reader = make()
    archive.parse(name, reader)
    return reader.text()


def _office_reader() -> _Reader:
    return _Reader(frozenset({"t"}), _BREAKS)


def _document(archive: _Archive) -> Iterator[str]:
    around = sorted(filter(_AROUND.fullmatch, archive.names))
    for name in ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml", "word/comments.xml", *around):
        if name in archive.names and (text := _read(archive, name, _office_reader)):
            yield text


def _slides(archive: _Archive) -> Iterator[str]:
    """A slide a page, its notes below it. The numbers are those of the parts, so that page 3 is slide3.xml."""
    slides = archive.numbered(_SLIDE)
    for number in range(1, max(slides, default=0) + 1):
        if number not in slides:
            yield ""
            continue
        texts = [_read(archive, f"ppt/slides/slide{number}.xml", _office_reader)]
        texts.extend(_read(archive, notes, _office_reader) for notes in _notes_of(archive, number))
        yield "\n".join(texts)


class _Targets(_Reader):
    """The notes that a slide's relations point to."""

    def __init__(self) -> None:
        super().__init__(frozenset(), {})
        self.notes: list[str] = []

    def start(self, tag: str, given: dict[str, str]) -> None:
        target = given.get("Target", "").rpartition("/")[2]
        if tag == "Relationship" and target.startswith("notesSlide"):
            self.notes.append(f"ppt/notesSlides/{target}")


def _notes_of(archive: _Archive, number: int) -> list[str]:
    relations = f"ppt/slides/_rels/slide{number}.xml.rels"
    if relations not in archive.names:
        return []
    reader = _Targets()
    archive.parse(relations, reader)
    return [notes for notes in reader.notes if notes in archive.names]


def _open_document(archive: _Archive) -> Iterator[str]:
    yield _read(archive, "content.xml", lambda: _Reader(frozenset({"p", "h"}), _OPEN_BREAKS))


class _Shared(_Reader):
    """The strings that a workbook's cells refer to by number."""

    def __init__(self) -> None:
        super().__init__(frozenset({"t"}), {})
        self.strings: list[str] = []

    def end(self, tag: str) -> None:
        super().end(tag)
        if tag == "si":
            self.strings.append("".join(self._found))
            self._found.clear()


class _Cells(_Reader):
    """A row a line, a cell a column, numbers as they are stored."""

    def __init__(self, strings: list[str]) -> None:
        super().__init__(frozenset({"v", "t"}), {"row": "\n"})
        self._strings = strings
        self._shared = False
        self._value: list[str] = []

    def start(self, tag: str, given: dict[str, str]) -> None:
        super().start(tag, given)
        if tag == "c":
            self._shared = given.get("t") == "s"
            self._value.clear()

    def characters(self, text: str) -> None:
        if self._inside:
            self._value.append(text)

    def end(self, tag: str) -> None:
        super().end(tag)
        if tag == "c":
            self._found.append(f"{self._spelled(''.join(self._value))}\t")

    def _spelled(self, value: str) -> str:
        if not self._shared:
            return value
        known = value.isdecimal() and int(value) < len(self._strings)
        return self._strings[int(value)] if known else ""


def _sheets(archive: _Archive) -> Iterator[str]:
    shared = _Shared()
    if "xl/sharedStrings.xml" in archive.names:
        archive.parse("xl/sharedStrings.xml", shared)
    for number in archive.numbered(_SHEET):
        yield _read(archive, f"xl/worksheets/sheet{number}.xml", lambda: _Cells(shared.strings))
