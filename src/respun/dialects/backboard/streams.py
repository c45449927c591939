"""A run told to a client: as server-sent events, or as one reply that keeps its connection alive (2.5, 0.6).

The client's patience is 30 s for each read. A stream writes a comment into a silence, a reply JSON's white space;
after that its status can't change any more. A client that goes away ends its own listening; the run goes on.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, cast

import msgspec
from starlette.types import Send

from respun import telemetry
from respun.core.problems import Problem
from respun.dialects.backboard import problems
from respun.dialects.backboard.answers import Call, broken, write
from respun.dialects.backboard.events import Telling
from respun.dialects.backboard.shapes import Json
from respun.workspace import Happening

log: Final = telemetry.log("dialects.backboard")

_STREAM: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_JSON: Final = ((b"content-type", b"application/json"),)
_COMMENT: Final = b": ping\n\n"
_encode: Final = msgspec.json.Encoder().encode
Happenings = AsyncIterator[Sequence[Happening]]
Tell = Callable[[Call, Callable[[bytes], Awaitable[None]]], Awaitable[None]]


class Stream:
    """Writes itself: the events that come first, then those of the run. It ends by closing, without a last word."""

    def __init__(self, first: Sequence[Json], telling: Telling | None = None, news: Happenings | None = None) -> None:
        self._first = first
        self._telling = telling
        self._news = news

    async def __call__(self, call: Call, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(_STREAM)})
        await _while_listening(call, send, _COMMENT, self._tell)

    async def _tell(self, call: Call, put: Callable[[bytes], Awaitable[None]]) -> None:
        try:
            await put(b"".join(_frame(event) for event in self._first))
            if self._telling is None or self._news is None:
                return
            async with aclosing(cast(Any, self._news)) as batches:
                async for batch in batches:
                    events = (event for happening in batch for event in self._telling.tell(happening))
                    await put(b"".join(_frame(event) for event in events))
        except Problem as problem:
            await put(_frame({"type": "error", "error": problems.told(problem.message)}))
        except Exception as fault:
            log.error("stream failed", cause=fault, request=call.request_id, path=call.path)
            await put(_frame({"type": "error", "error": broken(call).message}))


class Reply:
    """Writes itself: one object, when the run is done or waits for its caller."""

    def __init__(self, message: str, telling: Telling, news: Happenings, more: Json) -> None:
        self._message = message
        self._telling = telling
        self._news = news
        self._more = more

    async def __call__(self, call: Call, send: Send) -> None:
        asking = asyncio.ensure_future(self._answer())
        try:
            done, _ = await asyncio.wait({asking}, timeout=call.settings.beat)
            if done:
                await write(send, 200, _encode(asking.result()))
                return
            await send({"type": "http.response.start", "status": 200, "headers": list(_JSON)})
            await _while_listening(call, send, b" ", lambda call, put: self._late(asking, put), at_once=True)
        finally:
            asking.cancel()

    async def _late(self, asking: "asyncio.Future[Json]", put: Callable[[bytes], Awaitable[None]]) -> None:
        await put(_encode(await asking))

    async def _answer(self) -> Json:
        async with aclosing(cast(Any, self._news)) as batches:
            async for batch in batches:
                for happening in batch:
                    for _ in self._telling.tell(happening):
                        pass
        return {**self._telling.reply(self._message, time.time()), **self._more}


async def _while_listening(call: Call, send: Send, filler: bytes, tell: Tell, *, at_once: bool = False) -> None:
    """Let `tell` write, fill each silence, and stop it when the client goes."""
    loop = asyncio.get_running_loop()
    written = loop.time() - (call.settings.beat if at_once else 0.0)

    async def put(body: bytes) -> None:
        nonlocal written
        if body:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            written = loop.time()

    async def watch() -> None:
        while True:
            try:
                async with asyncio.timeout_at(written + call.settings.beat):
                    message = await call.receive()
            except TimeoutError:
                if loop.time() >= written + call.settings.beat:
                    await put(filler)
                continue
            if message["type"] == "http.disconnect":
                return

    telling = asyncio.ensure_future(tell(call, put))
    watching = asyncio.ensure_future(watch())
    try:
        await asyncio.wait({telling, watching}, return_when=asyncio.FIRST_COMPLETED)
        if telling.done():
            telling.result()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        for task in (telling, watching):
            task.cancel()
        await asyncio.gather(telling, watching, return_exceptions=True)


def _frame(event: Json) -> bytes:
    return b"data: %b\n\n" % _encode(event)
