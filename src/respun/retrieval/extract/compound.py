"""Compound files, in which Word kept documents before 2007: streams by name, in chains of sectors ([MS-CFB]).

Follows no chain longer than the file: one that goes in a circle is damaged.
"""

import struct
from array import array
from typing import BinaryIO, Final

from respun.retrieval.extract.text import invalid

_HEADER: Final = 512
_FIRST_TABLES: Final = 109
_LAST: Final = 0xFFFFFFFA
"""Numbers from here on are marks, not sectors."""
_ENTRY: Final = 128
_STREAM: Final = 2
_ROOT: Final = 5


class Compound:
    """Raises Unreadable, struct.error or IndexError for a file that is damaged."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        header = source.read(_HEADER)
        shift, mini_shift = struct.unpack_from("<HH", header, 0x1E)
        if shift not in (9, 12) or mini_shift != 6:
            raise invalid("its sectors have no size that there is")
        self._sector = 1 << shift
        self._mini = 1 << mini_shift
        self._sectors = source.seek(0, 2) // self._sector
        first_directory, _, self._cutoff, first_mini, _, difat = struct.unpack_from("<6I", header, 0x30)
        self._table = self._sector_table(header, difat)
        self._mini_table = _numbers(self._chain(first_mini))
        self._minis = b""
        self._streams: dict[str, tuple[int, int]] = {}
        self._read_directory(self._chain(first_directory))

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._streams)

    def stream(self, name: str) -> bytes:
        if name not in self._streams:
            raise invalid(f"its part {name} is missing")
        start, size = self._streams[name]
        if size >= self._cutoff:
            return self._chain(start, size)
        places = _followed(start, self._mini_table, len(self._minis) // self._mini + 1)
        return b"".join(self._minis[at * self._mini : (at + 1) * self._mini] for at in places)[:size]

    def _sector_table(self, header: bytes, difat: int) -> "array[int]":
        places = list(struct.unpack_from(f"<{_FIRST_TABLES}I", header, 0x4C))
        for _ in range(self._sectors):
            if difat >= _LAST:
                break
            *more, difat = _numbers(self._at(difat))
            places += more
        return _numbers(b"".join(self._at(place) for place in places[: self._sectors] if place < _LAST))

    def _read_directory(self, entries: bytes) -> None:
        for at in range(0, len(entries) - _ENTRY + 1, _ENTRY):
            length, kind = struct.unpack_from("<HB", entries, at + 0x40)
            start, size = struct.unpack_from("<II", entries, at + 0x74)
            name = entries[at : at + min(64, max(0, length - 2))].decode("utf-16-le", "replace")
            if kind == _ROOT:
                self._minis = self._chain(start, size)
            elif kind == _STREAM:
                self._streams.setdefault(name, (start, size))

    def _chain(self, start: int, size: int | None = None) -> bytes:
        if start >= _LAST:
            return b""
        whole = b"".join(self._at(place) for place in _followed(start, self._table, self._sectors + 1))
        return whole if size is None else whole[:size]

    def _at(self, place: int) -> bytes:
        self._source.seek((place + 1) * self._sector)
        return self._source.read(self._sector)


def _numbers(content: bytes) -> "array[int]":
    numbers = array("I")
    numbers.frombytes(content[: len(content) // 4 * 4])
    return numbers


def _followed(start: int, table: "array[int]", most: int) -> list[int]:
    places: list[int] = []
    while start < _LAST:
        if len(places) >= most:
            raise invalid("its sectors go in a circle")
        places.append(start)
        start = table[start]
    return places
