"""Have a file read in a confined child. The server's side: asks, waits no longer than the limits, believes nothing."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from respun.retrieval.extract.formats import HEAD_BYTES, Family, family
from respun.retrieval.extract.nursery import TAKEN, Answer, Failed, Parser, Read, Request, needs_too_much
from respun.retrieval.extract.text import Extracted, Limits, Unreadable, invalid

_START_SECONDS: Final = 20
_PIECE: Final = 1 << 20
_BYTES_A_CHARACTER: Final = 4
# Isolated from the environment and the current folder; the parent's import path is all it is told.
_BOOT: Final = "import sys; sys.path[:] = sys.argv[1:]; from respun.retrieval.extract.nursery import main; main()"
# The second of two is asked when the first fails, in a box of its own.
_PARSERS: Final[dict[Family, tuple[Parser, ...]]] = {
    "pdf": ("pdfium", "pypdf"),
    "zip": ("office",),
    "ole": ("word",),
    "html": ("html",),
    "text": ("text",),
}


class Extractor:
    """Reads files one a child process; safe to use from several threads. Blocking: call it in a worker thread."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        # One request is written and taken at a time; the parsing itself runs side by side.
        self._asking = threading.Lock()
        self._nursery: _Nursery | None = None

    def extract(self, path: Path, filename: str) -> Extracted:
        """The text of the file at `path`, which its owner calls `filename`. Raises Unreadable with the reason."""
        with path.open("rb") as file:
            kind = family(file.read(HEAD_BYTES), filename)
            if kind == "empty":
                raise invalid("it is empty")
            if kind == "binary":
                raise Unreadable("unsupported_file", "The file is neither text nor a document format that is read.")
            return self._first_success(_PARSERS[kind], file.fileno())

    def close(self) -> None:
        with self._asking:
            if self._nursery:
                self._nursery.close()
                self._nursery = None

    def __enter__(self) -> "Extractor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _first_success(self, parsers: tuple[Parser, ...], descriptor: int) -> Extracted:
        deadline = time.monotonic() + self._limits.seconds
        fault: Unreadable | None = None
        for parser in parsers:
            seconds = int(deadline - time.monotonic() + 0.5)
            if seconds < 1:
                break
            try:
                return self._read(Request(parser, msgspec.structs.replace(self._limits, seconds=seconds)), descriptor)
            except Unreadable as failure:
                fault = fault or failure
        assert fault is not None
        raise fault

    def _read(self, request: Request, descriptor: int) -> Extracted:
        os.lseek(descriptor, 0, os.SEEK_SET)
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._ask(request, descriptor, theirs.fileno())
            answer = _receive(ours, request.limits)
        match answer:
            case Failed(code, message):
                raise Unreadable(code, message)
            case Read(extracted):
                return extracted

    def _ask(self, request: Request, descriptor: int, answers: int) -> None:
        with self._asking:
            for _ in range(2):
                self._nursery = self._nursery or _Nursery()
                if self._nursery.take(request, descriptor, answers):
                    return
                self._nursery.close()
                self._nursery = None
        raise Unreadable("server_error", "The process that reads files could not be started. Try again later.")


class _Nursery:
    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_START_SECONDS)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-c", _BOOT, *map(os.path.abspath, sys.path)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
            )

    def take(self, request: Request, descriptor: int, answers: int) -> bool:
        try:
            socket.send_fds(self._control, [msgspec.json.encode(request)], [descriptor, answers])
            return self._control.recv(1) == TAKEN
        except OSError:
            return False

    def close(self) -> None:
        self._control.close()
        try:
            self._process.wait(_START_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _receive(answers: socket.socket, limits: Limits) -> Answer:
    """The answer, or why there is none. What a child says is checked like anything from outside."""
    started = time.monotonic()
    most = _BYTES_A_CHARACTER * limits.characters + _PIECE
    received = bytearray()
    with suppress(TimeoutError):
        while len(received) <= most:
            answers.settimeout(max(0.01, started + limits.seconds + 1 - time.monotonic()))
            piece = answers.recv(_PIECE)
            if not piece:
                break
            received += piece
    try:
        answer: Answer = msgspec.msgpack.decode(received, type=Answer)
        return answer
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    if time.monotonic() - started >= limits.seconds - 0.1:
        return Failed("invalid_file", invalid(f"reading it takes more than {limits.seconds} seconds").message)
    return Failed("invalid_file", invalid(f"it crashes its parser or {needs_too_much(limits)}").message)
