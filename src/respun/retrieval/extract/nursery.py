"""The process that parsers are forked from: a file a fork, each confined before it reads a byte.

It is started clean (no environment, no secrets), imports parsers once, and never looks at a file itself. A request
comes on standard input with two descriptors: the file to read and the socket for the answer.
"""

import codecs
import encodings.aliases
import io
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import BinaryIO, Final, Literal

import msgspec
from msgspec import Struct

from respun.retrieval.extract.confine import confine
from respun.retrieval.extract.office import read_office
from respun.retrieval.extract.pdf import read_with_pdfium, read_with_pypdf
from respun.retrieval.extract.plain import decode, read_html, read_text
from respun.retrieval.extract.text import Code, Extracted, Limits, Unreadable, invalid, joined
from respun.retrieval.extract.word import read_word

Parser = Literal["pdfium", "pypdf", "office", "word", "html", "text"]

_REQUEST_BYTES: Final = 4096
_GRACE_SECONDS: Final = 1
TAKEN: Final = b"\x06"


class Request(Struct, frozen=True):
    parser: Parser
    limits: Limits


class Failed(Struct, frozen=True, tag=True):
    code: Code
    message: str


class Read(Struct, frozen=True, tag=True):
    extracted: Extracted


Answer = Read | Failed


def main() -> None:
    """Serve until the other end of standard input is closed; then end every fork."""
    control = socket.socket(fileno=0)
    forks: dict[int, float] = {}
    while True:
        ready, _, _ = select.select([control], [], [], _GRACE_SECONDS if forks else None)
        _reap(forks)
        if not ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(control, _REQUEST_BYTES, 2)
        if not message:
            _end(forks, forks)
            return
        request = msgspec.json.decode(message, type=Request)
        _prepare(request.parser)
        forks[_fork(control, request, *descriptors)] = time.monotonic() + request.limits.seconds + _GRACE_SECONDS
        for descriptor in descriptors:
            os.close(descriptor)
        control.sendall(TAKEN)


def _fork(control: socket.socket, request: Request, given: int, answers: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        control.close()
        confine(request.limits)
        with open(given, "rb") as source, socket.socket(fileno=answers) as answer_to:
            answer_to.sendall(msgspec.msgpack.encode(_answer(request, source)))
    finally:
        os._exit(0)


def _answer(request: Request, source: BinaryIO) -> Answer:
    try:
        return Read(_parse(request, source))
    except Unreadable as fault:
        return Failed(fault.code, fault.message)
    except MemoryError:
        pass  # The parser's frames hold the memory; the answer is made when they are gone.
    except Exception as fault:
        return Failed("invalid_file", invalid(f"its structure is damaged ({type(fault).__name__})").message)
    return Failed("invalid_file", invalid(needs_too_much(request.limits)).message)


def needs_too_much(limits: Limits) -> str:
    return f"reading it needs more than {limits.memory_bytes >> 20} MiB of memory"


def _parse(request: Request, source: BinaryIO) -> Extracted:
    limits = request.limits
    match request.parser:
        case "pdfium":
            return joined("pdf", read_with_pdfium(source), limits)
        case "pypdf":
            return joined("pdf", read_with_pypdf(source), limits)
        case "office":
            office = read_office(source)
            return joined(office.format, office.pages, limits)
        case "html":
            return joined("html", [read_html(source, limits)], limits)
        case "text":
            return joined("text", [read_text(source, limits)], limits)
        case "word":
            return joined("doc", [read_word(source)], limits)


def _prepare(parser: Parser) -> None:
    """Import what the fork will use: once confined it can open nothing."""
    if prepare := _PREPARATIONS.pop(parser, None):
        prepare()


def _prepare_pdfium() -> None:
    import pypdfium2

    _prepare_encodings()
    document = pypdfium2.PdfDocument.new()
    document.new_page(100, 100).get_textpage().get_text_range()


def _prepare_pypdf() -> None:
    import pypdf

    _prepare_encodings()
    blank = io.BytesIO()
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write(blank)
    deque(read_with_pypdf(blank), maxlen=0)


def _prepare_html() -> None:
    _prepare_text()
    read_html(io.BytesIO(b"<p>x"), Limits())


def _prepare_text() -> None:
    _prepare_encodings()
    decode("Grüße aus Zürich, schöne Ärzte".encode("cp1252"))


def _prepare_encodings() -> None:
    """A codec is a module that is imported when it is first asked for."""
    for name in {*encodings.aliases.aliases.values(), "utf_8_sig"}:
        with suppress(LookupError):
            codecs.lookup(name)


_PREPARATIONS: Final[dict[Parser, Callable[[], None]]] = {
    "office": _prepare_encodings,
    "word": _prepare_encodings,
    "pdfium": _prepare_pdfium,
    "pypdf": _prepare_pypdf,
    "html": _prepare_html,
    "text": _prepare_text,
}


def _reap(forks: dict[int, float]) -> None:
    now = time.monotonic()
    _end(forks, [child for child, deadline in forks.items() if deadline < now])
    for child in list(forks):
        if os.waitpid(child, os.WNOHANG)[0]:
            del forks[child]


def _end(forks: dict[int, float], ended: Iterable[int]) -> None:
    for child in ended:
        if child in forks:
            os.kill(child, signal.SIGKILL)
