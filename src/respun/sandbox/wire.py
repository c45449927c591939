"""The server's end of a session's two pipes. What comes back was written beside the model's code: nothing is trusted.

An answer of the wrong number is dropped, one that breaks the form or a size ends the session.
"""

import asyncio
import contextlib
import os
import struct
from typing import Final

import msgspec

from respun.sandbox.ports import Image

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_WIDEST: Final = 20_000  # pixels
_HEAD: Final = 256 << 10


class Answer(msgspec.Struct, frozen=True):
    number: int = -1
    error: str | None = None
    images: tuple[int, ...] = ()
    ready: bool = False
    failed: str | None = None


class Finished(msgspec.Struct, frozen=True):
    answer: Answer
    images: tuple[bytes, ...]


class BadAnswer(Exception):
    """The session did not keep to the form."""


class Link:
    """One Python's requests and answers. Make it inside a running event loop; `close` it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._number = 0
        self._waiting: asyncio.Future[Finished] | None = None
        self._reader = asyncio.StreamReader(limit=1 << 20)
        self._transports: list[asyncio.BaseTransport] = []
        self._requests: asyncio.WriteTransport | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self, requests: int, answers: int) -> "asyncio.Future[Finished]":
        """Takes over both descriptors; the future is the first answer."""
        loop = asyncio.get_running_loop()
        reading = asyncio.StreamReaderProtocol(self._reader)
        transport, _ = await loop.connect_read_pipe(lambda: reading, os.fdopen(answers, "rb", 0))
        writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(requests, "wb", 0))
        self._transports = [transport, writing]
        self._requests = writing
        self._waiting = loop.create_future()
        self._reading = asyncio.create_task(self._read())
        return self._waiting

    def ask(self, code: str) -> "asyncio.Future[Finished]":
        """The future fails with `BadAnswer`; it stays unfinished if the session dies."""
        assert self._requests is not None
        self._number += 1
        body = msgspec.json.encode({"number": self._number, "code": code})
        self._waiting = asyncio.get_running_loop().create_future()
        self._requests.write(struct.pack(">I", len(body)) + body)
        return self._waiting

    async def close(self) -> None:
        for transport in self._transports:
            transport.close()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading

    async def _read(self) -> None:
        try:
            while True:
                finished = await self._next()
                waiting = self._waiting
                if waiting is not None and not waiting.done() and self._fits(finished.answer):
                    waiting.set_result(finished)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except BadAnswer as problem:
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_exception(problem)

    def _fits(self, answer: Answer) -> bool:
        if self._number == 0:
            return answer.ready or answer.failed is not None
        return answer.number == self._number

    async def _next(self) -> Finished:
        size, head = struct.unpack(">II", await self._reader.readexactly(8))
        if size > self._most or head > _HEAD or head + 4 > size:
            raise BadAnswer("an answer of the wrong size")
        body = await self._reader.readexactly(head)
        images = await self._reader.readexactly(size - 4 - head)
        try:
            answer = msgspec.json.decode(body, type=Answer)
        except msgspec.DecodeError:
            raise BadAnswer("an answer that is not of the form") from None
        if any(length < 0 for length in answer.images) or sum(answer.images) != len(images):
            raise BadAnswer("an answer whose images do not add up")
        return Finished(answer, _cut(images, answer.images))


def given(answer: "asyncio.Future[Finished]") -> Finished | None:
    """The answer, if there is one and it kept to the form."""
    return answer.result() if answer.done() and answer.exception() is None else None


def checked(data: bytes, most: int) -> Image | None:
    """A PNG of a sane size, or nothing. Only the head is read: decoding strangers' images is the reader's risk."""
    if len(data) > most or len(data) < 33 or not data.startswith(_PNG) or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return Image(data, width, height) if 0 < width <= _WIDEST and 0 < height <= _WIDEST else None


def _cut(data: bytes, lengths: tuple[int, ...]) -> tuple[bytes, ...]:
    parts, start = [], 0
    for length in lengths:
        parts.append(data[start : start + length])
        start += length
    return tuple(parts)
