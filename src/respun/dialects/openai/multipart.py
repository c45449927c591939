"""Forms with a file: read as they come, the file straight to where the workspace keeps it, the fields to memory.

However large the file, no more of it is held than a piece of the connection and a mebibyte that is being written.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from respun.core.problems import Problem
from respun.dialects.openai.answers import Call
from respun.dialects.openai.sentences import too_long
from respun.workspace.files import Incoming, too_large

_MOST_FIELDS: Final = 32
_LONGEST_FIELD: Final = 64 * 1024
_LONGEST_NAME: Final = 1024
# What fields, headers and boundaries may add to the bytes of the file.
_AROUND: Final = 1 << 20
_DIGEST_BYTES: Final = 32


class Form(Struct):
    """The fields by name, and the bytes of the one file with what its sender calls it.

    `content` is the same for two forms that say the same: an SDK that sends one again chooses a new boundary.
    """

    fields: dict[str, str]
    incoming: Incoming
    filename: str
    content: bytes


Receive = Callable[[], Awaitable[Incoming]]


@asynccontextmanager
async def form(call: Call, field: str, most: int, receive: Receive) -> AsyncIterator[Form]:
    """The form of a request whose file is in `field`. Its bytes are thrown away if the context ends by an exception."""
    boundary = _boundary(call)
    declared = call.header(b"content-length") or ""
    if declared.isdecimal() and int(declared) > most + _AROUND:
        raise too_large(most)
    reading = _Reading(boundary, field, await receive())
    try:
        await reading.read(call)
        yield reading.form()
    except BaseException:
        await reading.incoming.discard()
        raise


class _Reading:
    def __init__(self, boundary: bytes, field: str, incoming: Incoming) -> None:
        self.incoming = incoming
        self._field = field
        self._fields: dict[str, bytearray] = {}
        self._filename: str | None = None
        self._pieces: list[bytes] = []
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._into: bytearray | None = None
        self._ended = False
        self._digest = blake2b(digest_size=_DIGEST_BYTES)
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_end": self._ends,
            },
        )

    async def read(self, call: Call) -> None:
        async for piece in call.pieces():
            self._feed(piece)
            pieces, self._pieces = self._pieces, []
            for each in pieces:
                self._digest.update(each)
                await self.incoming.write(each)
        if not self._ended:
            raise _malformed("it ends in the middle of a part")

    def form(self) -> Form:
        if self._filename is None:
            raise Problem(f"'{self._field}' is a required property: send it with a filename.", param=self._field)
        fields = {name: _text(bytes(value)) for name, value in self._fields.items()}
        content = msgspec.json.encode((sorted(fields.items()), self._filename)) + self._digest.digest()
        return Form(fields, self.incoming, self._filename, content)

    def _feed(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except FormParserError as fault:
            raise _malformed(str(fault)) from None

    def _part_begins(self) -> None:
        self._disposition = b""
        self._into = None

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = _text(options.get(b"name", b""))
        if name == self._field and b"filename" in options:
            if self._filename is not None:
                raise Problem(f"The form holds '{self._field}' twice. Send one file a request.", param=self._field)
            self._filename = _filename(options[b"filename"], self._field)
            return
        if len(self._fields) >= _MOST_FIELDS:
            raise _malformed(f"it holds more than {_MOST_FIELDS} fields")
        self._into = self._fields[name] = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._into is None:
            self._pieces.append(data[start:end])
            return
        self._into += data[start:end]
        if len(self._into) > _LONGEST_FIELD:
            raise _malformed(f"a field holds more than {_LONGEST_FIELD} bytes")

    def _ends(self) -> None:
        self._ended = True


def _boundary(call: Call) -> bytes:
    kind, options = parse_options_header(call.header(b"content-type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 256:
        message = "A file is sent as 'multipart/form-data' with a boundary, as every SDK does. Send the request so."
        raise Problem(message, kind="invalid")
    return boundary


def _filename(given: bytes, field: str) -> str:
    """As its sender calls it, without the characters that no name has; it is shown, never opened."""
    # Browsers and SDKs write a quotation mark so, and nothing else of a name.
    quoted = _text(given).replace("%22", '"')
    name = "".join(letter for letter in quoted if letter.isprintable()).strip()
    if len(name) > _LONGEST_NAME:
        raise too_long(f"{field}.filename", _LONGEST_NAME, len(name))
    return name or "unnamed"


def _text(given: bytes) -> str:
    return given.decode("utf-8", "replace").replace("\0", "")


def _malformed(why: str) -> Problem:
    return Problem(f"The form can't be read: {why}. Send 'multipart/form-data' with one file.")
