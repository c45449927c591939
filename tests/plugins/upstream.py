"""An OpenAI-compatible upstream on loopback that answers, and misbehaves, by a script.

A `Reply` says what one request gets, byte for byte; the replies of `upstream.script` are used up in order, the last
one again and again. Used by every test that needs a model behind a socket.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest


@dataclass(frozen=True)
class Wait:
    seconds: float


CUT: Literal["cut"] = "cut"
"""Reset the connection."""
HANG: Literal["hang"] = "hang"
"""Say nothing until the client goes."""

Act = bytes | Wait | Literal["cut", "hang"]


@dataclass(frozen=True)
class Reply:
    acts: Sequence[Act]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "text/event-stream"
    raw: bool = False
    """The acts are the whole answer, its head included."""


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class FakeUpstream:
    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.received: list[Received] = []
        self.gone = asyncio.Event()
        """Set when a client went while an answer hung."""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.connections = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 24)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._serve(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read_request(reader)
        self.received.append(request)
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if not reply.raw:
            writer.write(_head(reply))
        for act in reply.acts:
            if act == CUT:
                writer.transport.abort()
                return False
            if act == HANG:
                await reader.read()
                self.gone.set()
                return False
            if isinstance(act, Wait):
                await asyncio.sleep(act.seconds)
            elif act:
                assert isinstance(act, bytes)
                writer.write(act if reply.raw else b"%x\r\n%s\r\n" % (len(act), act))
                await writer.drain()
        if reply.raw:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


async def _read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = first.split(" ")
    return Received(method, path, headers, body)


def _head(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} Said", f"Content-Type: {reply.content_type}", "Transfer-Encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def event(data: Any, newline: str = "\n") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return f"data: {text}{newline}{newline}".encode()


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    return {"object": "chat.completion.chunk", "model": "fake-1", "choices": choices, **more}


USAGE = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
DONE = event("[DONE]")


def streamed(*chunks: dict[str, Any], done: bool = True, tail: Sequence[Act] = ()) -> Reply:
    """The chunks, one HTTP chunk each."""
    return Reply([*(event(each) for each in chunks), *([DONE] if done else []), *tail])


def saying(*words: str, finish: str | None = "stop", usage: Any = USAGE) -> list[dict[str, Any]]:
    """The chunks of a good answer."""
    last = {"object": "chat.completion.chunk", "model": "fake-1", "choices": [], "usage": usage}
    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": w}) for w in words),
        chunk({}, finish),
        last,
    ]


def calling(*calls: dict[str, Any], finish: str | None = "tool_calls") -> list[dict[str, Any]]:
    return [*(chunk({"tool_calls": [call]}) for call in calls), chunk({}, finish)]


def whole(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> Reply:
    """An answer that is not streamed."""
    choices = [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}]
    body = {"object": "chat.completion", "model": "fake-1", "choices": choices, "usage": USAGE, **more}
    return Reply([json.dumps(body).encode()], content_type="application/json")


def refusal(status: int, message: str = "no", headers: dict[str, str] | None = None, **more: Any) -> Reply:
    body = json.dumps({"error": {"message": message, **more}}).encode()
    return Reply([body], status=status, headers=headers or {}, content_type="application/json")


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    """A fake upstream that says "Hello world." until its script is changed."""
    server = FakeUpstream()
    server.script = [streamed(*saying("Hello", " world."))]
    await server.start()
    yield server
    await server.stop()
