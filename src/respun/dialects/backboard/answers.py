"""One request and its answer: who asks, what came in whichever of three encodings, and problems in their shape.

`Operations` is the HTTP edge: what a handler raises becomes an answer here, and nothing passes it unlogged.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from respun import telemetry
from respun.core.ids import Kind, prefix_of, spell
from respun.core.problems import STATUSES, Problem
from respun.dialects.backboard import problems
from respun.dialects.backboard.fields import Fields, of_form, of_json
from respun.dialects.backboard.problems import Invalid, Issue

log: Final = telemetry.log("dialects.backboard")

_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_encode: Final = msgspec.json.Encoder().encode


class Settings(Struct, frozen=True):
    """`beat` is the longest silence in seconds: the SDK gives up after 30.

    `max_body` counts bytes, `max_form` those of a form with files.

    `model` is that of assistants for which none was named (contract 2.4).
    """

    beat: float = 10.0
    max_body: int = 4 * 1024 * 1024
    max_form: int = 512 * 1024 * 1024
    model: str = "gpt-4o"


class Answer(Struct, frozen=True):
    body: Any
    status: int = 200


class Call:
    """A request: its project, the ids in its path, its query and its body once read."""

    def __init__(self, settings: Settings, scope: Scope, receive: Receive) -> None:
        self.settings = settings
        self.request_id = f"req_{uuid4().hex}"
        self._scope = scope
        self._receive = receive
        self._size = 0
        self._most = settings.max_form if self._header(b"content-type").startswith("multipart/") else settings.max_body

    @property
    def project(self) -> str:
        return str(self._scope["respun.project"])

    @property
    def method(self) -> str:
        return str(self._scope["method"])

    @property
    def path(self) -> str:
        return str(self._scope["path"])

    @property
    def query(self) -> Fields:
        return Fields(dict(QueryParams(self._scope["query_string"])), "query")

    @property
    def params(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._scope["path_params"]
        return found

    @property
    def user_agent(self) -> str:
        return self._header(b"user-agent")

    def param(self, name: str) -> str:
        return str(self._scope["path_params"][name])

    def ident(self, kind: Kind, name: str) -> str:
        """The id in the path: a UUID, or as other dialects spell it. Raises Invalid."""
        return ident(kind, self.param(name), "path", name)

    async def receive(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > self._most:
            text = f"The request is larger than {self._most} bytes, the most this server takes."
            raise Problem(text, kind="too_large")
        return message

    async def fields(self) -> Fields:
        """The body as fields, whether it came as JSON, as a form or as a form with files."""
        kind = self._header(b"content-type").split(";")[0].strip().lower()
        if kind in _FORMS:
            return await of_form(self._scope, self.receive)
        return of_json(await self._body())

    def _header(self, name: bytes) -> str:
        return next((bytes(value).decode("latin-1") for found, value in self._scope["headers"] if found == name), "")

    async def _body(self) -> bytes:
        parts: list[bytes] = []
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)


Sending = Callable[[Call, Send], Awaitable[None]]
"""A handler's answer that writes itself, such as a stream."""

Handler = Callable[[Call], Awaitable[Answer | Sending]]


class Operations:
    """The ASGI application of one path: a handler for each method."""

    def __init__(self, settings: Settings, handlers: Mapping[str, Handler]) -> None:
        self._settings = settings
        self.handlers = dict(handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(self._settings, scope, receive)
        handler = self.handlers.get(call.method)
        if handler is None:
            await write(send, 405, _encode({"detail": "Method Not Allowed"}), _allow(self.handlers))
            return
        try:
            answer = await handler(call)
        except Invalid as invalid:
            await write(send, 422, problems.issues_body(invalid))
        except Problem as problem:
            await write(send, STATUSES[problem.kind], problems.detail_body(problem))
        except ClientDisconnect:
            return
        except Exception as fault:
            log.error("request failed", cause=fault, request=call.request_id, path=call.path)
            await write(send, 500, problems.detail_body(broken(call)))
        else:
            if isinstance(answer, Answer):
                await write(send, answer.status, _encode(answer.body))
            else:
                await answer(call, send)


class UnknownPath:
    """What answers where no operation lives."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await write(send, 404, _encode({"detail": f"Not Found: {scope['method']} {scope['path'][:256]}"}))


async def write(send: Send, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def broken(call: Call) -> Problem:
    return Problem(f"The server had an error. Its log says more under the request id {call.request_id}.", kind="broken")


def ident(kind: Kind, text: str, *loc: str) -> str:
    prefix = prefix_of(kind)
    if text.startswith(prefix) and len(text) <= 128 and text.isascii() and text.isprintable():
        return text
    try:
        return spell(kind, UUID(text))
    except ValueError:
        raise Invalid(Issue(loc, f"Input should be a valid UUID, got '{text[:64]}'", "uuid_parsing")) from None


def _allow(handlers: Mapping[str, Handler]) -> tuple[bytes, bytes]:
    return (b"allow", ", ".join(handlers).encode())
