"""One request and its answer over plain ASGI: the body within its limit, OpenAI's headers, problems in their shape.

`Operation` is the HTTP edge: what a handler raises becomes an answer here, and nothing passes it unlogged.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from hashlib import blake2b
from typing import Any, Final, Literal
from uuid import uuid4

from msgspec import Struct
from starlette.types import Receive, Scope, Send

from respun import telemetry
from respun.core.once import Once
from respun.core.problems import STATUSES, Problem, ProblemKind
from respun.dialects.openai import problems
from respun.dialects.openai.problems import Refused
from respun.dialects.openai.queries import Query, read

log: Final = telemetry.log("dialects.openai")

_JSON: Final = b"application/json"
_SOON: Final = b"1"
"""Seconds: what is unavailable is a store that is lost or busy, which comes back by itself."""
_MOST_SHOWN: Final = 256
Headers = tuple[tuple[bytes, bytes], ...]


def request_id() -> str:
    return f"req_{uuid4().hex}"


class Dialect(Struct, frozen=True):
    """How one mount of the dialect differs from another.

    `strict`: unknown keys of a body are refused. `answers`: the status of an operation, by its name, where it is not
    200. `poll_ms` is what pollers are told to wait between two looks at a run. `max_body` counts bytes. `batch_object`
    is what a batch of files is called (contract 3.3).
    """

    name: str = "openai"
    strict: bool = True
    statuses: Mapping[ProblemKind, int] = STATUSES
    answers: Mapping[str, int] = {}
    error_body: Callable[[Problem, Refused], bytes] = problems.error_body
    organization: str = "respun"
    poll_ms: int = 100
    keep_alive_s: float = 15.0
    max_body: int = 4 * 1024 * 1024
    batch_object: Literal["vector_store.file_batch", "vector_store.files_batch"] = "vector_store.file_batch"
    clock: Callable[[], float] = time.perf_counter
    request_id: Callable[[], str] = request_id


class ClientGone(Exception):
    """The client closed the connection before its request was whole; nobody is left to answer."""


class Answer(Struct, frozen=True):
    body: bytes
    headers: Headers = ()


class Call:
    """A request: who asks, the ids in its path, its query, and its body once read."""

    __slots__ = ("_body", "_dialect", "_receive", "_scope", "project", "query", "request_id", "started")

    def __init__(self, dialect: Dialect, scope: Scope, receive: Receive) -> None:
        self._dialect = dialect
        self._scope = scope
        self._receive = receive
        self.started = dialect.clock()
        self.request_id: str = scope.get("respun.request_id") or dialect.request_id()
        self.project: str = ""
        self.query: Query = {}
        self._body: bytes | None = None

    def open(self) -> None:
        """Read what stands in the head of the request; raises what is wrong with it."""
        self.project = self._scope["respun.project"]
        self.query = read(self._scope["query_string"])

    @property
    def dialect(self) -> Dialect:
        return self._dialect

    @property
    def method(self) -> str:
        return str(self._scope["method"])

    @property
    def path(self) -> str:
        return str(self._scope["path"])

    @property
    def receive(self) -> Receive:
        return self._receive

    def param(self, name: str) -> str:
        return str(self._scope["path_params"][name])

    def header(self, name: bytes) -> str | None:
        for found, value in self._scope["headers"]:
            if found == name:
                return bytes(value).decode("latin-1")
        return None

    async def json(self) -> bytes:
        """The bytes of a JSON body; empty when there is none."""
        if self._body is None:
            self._body = await self._json()
        return self._body

    @property
    def once(self) -> Once:
        """How this request is known if it comes again; ask when its body has been read. For a form, `once_with`."""
        return self.once_with(self._body or b"")

    def once_with(self, content: bytes) -> Once:
        """The same for a request whose body says `content`, however it is written."""
        key = self.header(b"idempotency-key")
        retries = self.header(b"x-stainless-retry-count")
        what = f"{self.project}\n{self.method}\n{self.path}\n{key or ''}\n".encode("utf-8", "surrogateescape")
        fingerprint = blake2b(what + content, digest_size=20).hexdigest()
        return Once(fingerprint, time.time(), retry=retries not in (None, "0"), keyed=key is not None)

    async def _json(self) -> bytes:
        declared = self.header(b"content-length") or ""
        if declared.isdecimal() and int(declared) > self._dialect.max_body:
            raise self._too_large()
        body = await self._whole()
        coding = (self.header(b"content-encoding") or "identity").strip().lower()
        if body and coding != "identity":
            message = f"The content encoding '{coding[:_MOST_SHOWN]}' is not supported here. Send the body as it is."
            raise Problem(message, kind="unsupported")
        kind = (self.header(b"content-type") or "application/json").split(";")[0].strip().lower()
        if body and kind != "application/json" and not kind.endswith("+json"):
            message = f"The content type '{kind[:_MOST_SHOWN]}' is not supported here. Send 'application/json'."
            raise Problem(message, kind="unsupported")
        return body

    @property
    def is_form(self) -> bool:
        return (self.header(b"content-type") or "").lower().startswith("multipart/")

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, of any length."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            yield message.get("body", b"")
            if not message.get("more_body", False):
                return

    async def _whole(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in self.pieces():
            size += len(part)
            if size > self._dialect.max_body:
                raise self._too_large()
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_large(self) -> Problem:
        message = f"The request body is larger than {self._dialect.max_body} bytes, the most this server takes as JSON."
        return Problem(message, kind="too_large")

    def head(self, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """The headers that every answer has (contract section 5)."""
        spent = (self._dialect.clock() - self.started) * 1000
        return [
            *more,
            (b"x-request-id", self.request_id.encode("latin-1")),
            (b"openai-processing-ms", b"%d" % max(1, round(spent))),
            (b"openai-version", b"2020-10-01"),
            (b"openai-organization", self._dialect.organization.encode("latin-1")),
            (b"openai-project", self.project.encode("ascii", "replace")),
        ]


Sending = Callable[[Call, Send], Awaitable[None]]
"""A handler's answer that writes itself, such as a stream."""

Handler = Callable[[Call], Awaitable[Answer | Sending]]

Paths = dict[str, dict[str, Handler]]


Asked = Callable[[Call, Handler, int], Awaitable[tuple[Answer | Sending, int]]]
"""How a handler is asked for its answer, which has this status unless it says otherwise."""


class Operations:
    """The ASGI application of one path: a handler for each method."""

    def __init__(self, dialect: Dialect, handlers: Mapping[str, Handler], asked: Asked) -> None:
        self._dialect = dialect
        self._asked = asked
        self.handlers = dict(handlers)
        allowed = [*handlers, *(["HEAD"] if "GET" in handlers else []), "OPTIONS"]
        self._allow = ", ".join(allowed).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(self._dialect, scope, receive)
        try:
            answer, status = await self._answer(call)
        except Problem as problem:
            await refuse(call, problem, send)
            return
        except ClientGone:
            return
        except Exception as fault:
            log.error("request failed", cause=fault, request=call.request_id, path=call.path)
            await refuse(call, problems.broken(call.request_id), send)
            return
        if isinstance(answer, Answer):
            await respond(call, status, answer, send)
        else:
            await answer(call, send)

    async def _answer(self, call: Call) -> tuple[Answer | Sending, int]:
        method = "GET" if call.method == "HEAD" else call.method
        handler = self.handlers.get(method)
        if handler is None:
            return self._other_method(call)
        call.open()
        name: str = getattr(handler, "__name__", "")
        return await self._asked(call, handler, self._dialect.answers.get(name, 200))

    def _other_method(self, call: Call) -> tuple[Sending, int]:
        allow = (b"allow", self._allow)
        if call.method == "OPTIONS":

            async def options(call: Call, send: Send) -> None:
                await _send(call, 204, b"", [allow], send)

            return options, 204

        async def refused(call: Call, send: Send) -> None:
            message = f"Not allowed to {call.method} on {call.path}. Allowed: {self._allow.decode()}."
            await refuse(call, Problem(message), send, status=405, more=(allow,))

        return refused, 405


class UnknownPath:
    """What answers where no operation lives."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(self._dialect, scope, receive)
        call.project = scope.get("respun.project") or ""
        path = call.path if len(call.path) <= _MOST_SHOWN else f"{call.path[:_MOST_SHOWN]}..."
        await refuse(call, Problem(f"Invalid URL ({call.method} {path})", kind="not_found"), send)


async def respond(call: Call, status: int, answer: Answer, send: Send) -> None:
    await _send(call, status, answer.body, answer.headers, send)


async def refuse(call: Call, problem: Problem, send: Send, *, status: int | None = None, more: Headers = ()) -> None:
    """Answer with a problem. Also for the layers in front of the routes, such as authentication."""
    code = call.dialect.statuses[problem.kind] if status is None else status
    body = call.dialect.error_body(problem, Refused(code, call.path, call.request_id))
    again = problems.should_retry(problem)
    retry = () if again is None else ((b"x-should-retry", again),)
    later = ((b"retry-after", _SOON),) if code == 503 else ()
    await _send(call, code, body, (*retry, *later, *more), send)


async def _send(call: Call, status: int, body: bytes, more: Any, send: Send) -> None:
    headers = call.head((b"content-type", _JSON), (b"content-length", b"%d" % len(body)), *more)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if call.method == "HEAD" else body})
