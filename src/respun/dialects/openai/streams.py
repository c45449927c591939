"""A run's events as a stream of server-sent events (contract section 2).

Frames are made once and shared by all listeners. What several happenings bring at a time is written at once. A client
that goes away ends its own stream; the run goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Final, cast

from starlette.types import Send

from respun import telemetry
from respun.core.problems import Problem
from respun.dialects.frames import KEEP_ALIVE, Position, behind
from respun.dialects.openai import problems
from respun.dialects.openai.answers import Call
from respun.dialects.openai.events import DONE, render
from respun.workspace import Happening

log: Final = telemetry.log("dialects.openai")

_HEAD: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # Proxies that gather an answer before passing it on would make a stream useless.
    (b"x-accel-buffering", b"no"),
)


def frames(happening: Happening, content: bool, dialect: str = "openai") -> bytes:
    """The frames of a happening, kept with it. `content`: with the text of search results."""
    key = f"{dialect}+content" if content else dialect
    made = happening.frames.get(key)
    if made is None:
        made = render(happening.before, happening.event, happening.after, content=content)
        happening.frames[key] = made
    return made


class Stream:
    """Writes itself as the answer to a call: what the happenings show behind `seen`, then `done`."""

    def __init__(self, happenings: AsyncIterator[Sequence[Happening]], seen: Position, content: bool) -> None:
        self._happenings = happenings
        self._seen = seen
        self._content = content
        self._written = 0.0

    async def __call__(self, call: Call, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": call.head(*_HEAD)})
        if call.method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        writing = asyncio.ensure_future(self._write_all(call, send))
        watching = asyncio.ensure_future(self._watch(call, send, writing))
        try:
            await asyncio.wait({writing})
        finally:
            await _stop(writing, watching)

    async def _write_all(self, call: Call, send: Send) -> None:
        try:
            async with aclosing(cast(Any, self._happenings)) as batches:
                async for batch in batches:
                    await self._write(b"".join(self._frames(happening, call) for happening in batch), send)
            await self._write(DONE, send)
        except Problem as problem:
            await self._write(problems.error_frame(problem), send)
        except Exception as fault:
            log.error("stream failed", cause=fault, request=call.request_id, path=call.path)
            await self._write(problems.error_frame(problems.broken(call.request_id)), send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _frames(self, happening: Happening, call: Call) -> bytes:
        return behind(frames(happening, self._content, call.dialect.name), happening.number, self._seen)

    async def _write(self, body: bytes, send: Send) -> None:
        if body:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            self._written = asyncio.get_running_loop().time()

    async def _watch(self, call: Call, send: Send, writing: "asyncio.Future[None]") -> None:
        """End the stream when the client goes; keep the connection alive while there is nothing to write."""
        loop = asyncio.get_running_loop()
        self._written = loop.time()
        while True:
            quiet_until = self._written + call.dialect.keep_alive_s
            try:
                async with asyncio.timeout_at(quiet_until):
                    message = await call.receive()
            except TimeoutError:
                if loop.time() >= self._written + call.dialect.keep_alive_s:
                    await self._write(KEEP_ALIVE, send)
                continue
            if message["type"] == "http.disconnect":
                writing.cancel()
                return


async def _stop(*tasks: "asyncio.Future[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and (fault := task.exception()):
            raise fault
