"""Read server-sent events out of bytes as they arrive.

Pure: bytes in, the data of whole events out, by the rules of the WHATWG HTML standard (section 9.2.6). Only `data`
is kept: Chat Completions upstreams say all they have to say in it.
"""

from typing import Final

MAX_EVENT: Final = 8 << 20
"""Bytes that one event may have by default."""

_BOM: Final = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """An event grew beyond the cap; the stream cannot be read on."""


class EventReader:
    """Feed it what the network gave, in any pieces; it returns the data of each event that became whole."""

    __slots__ = ("_after_cr", "_data", "_held", "_max", "_opening", "_size", "_tail")

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._max = max_event
        self._opening: bytes | None = b""
        self._after_cr = False
        self._tail: list[bytes] = []
        self._data: list[bytes] = []
        self._held = 0
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """Raises `EventTooLarge`."""
        if self._opening is not None:
            piece = self._without_bom(self._opening + piece)
        if self._after_cr or b"\r" in piece:
            piece = self._with_line_feeds(piece)
        if b"\n" not in piece:
            self._hold(piece)
            return []
        if self._tail:
            piece = b"".join((*self._tail, piece))
            self._tail.clear()
            self._held = 0
        return self._read_lines(piece)

    def finish(self) -> list[bytes]:
        """At the end of the bytes: an event that only lacks its closing blank line counts as whole."""
        events = self._read_lines(b"".join((*self._tail, b"\n\n")))
        self._tail.clear()
        self._held = 0
        return events

    def _without_bom(self, start: bytes) -> bytes:
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._opening = start
            return b""
        self._opening = None
        return start.removeprefix(_BOM)

    def _with_line_feeds(self, piece: bytes) -> bytes:
        """CRLF and CR become LF; a CR ends its line at once, so an LF that comes with the next piece is dropped."""
        if not piece:
            return piece
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
        self._after_cr = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._tail.append(piece)
            self._held += len(piece)
            self._check(self._size + self._held)

    def _read_lines(self, block: bytes) -> list[bytes]:
        lines = block.split(b"\n")
        self._hold(lines.pop())
        events: list[bytes] = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                    self._data.clear()
                    self._size = 0
            elif line.startswith(b"data:"):
                self._keep(line[6:] if line.startswith(b" ", 5) else line[5:])
            elif line == b"data":
                self._keep(b"")
        return events

    def _keep(self, data: bytes) -> None:
        self._size += len(data) + 1
        self._check(self._size)
        self._data.append(data)

    def _check(self, size: int) -> None:
        if size > self._max:
            raise EventTooLarge(f"An event has more than {self._max} bytes.")
