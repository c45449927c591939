"""One HTTP exchange with an upstream: open, read batches of news until done, close.

Every wait has a deadline. Failures leave as `Failed`, which `chat` turns into another attempt or a `ModelError`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from respun.core.chat import News
from respun.providers.answer import AnswerReader, BadAnswer, ErrorInAnswer
from respun.providers.faults import Failure
from respun.providers.sse import EventReader, EventTooLarge
from respun.providers.upstream import Effects, Upstream
from respun.providers.watch import Watch
from respun.providers.windows import told_window

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession, StreamReader

_MAX_REFUSAL: Final = 64 << 10
_MAX_LIST: Final = 4 << 20
_LAST_WORDS: Final = 2.0
"""Seconds to wait for usage and [DONE] after the finish reason."""


class Failed(Exception):
    """An attempt failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error.message)
        self.failure = failure


class Exchange:
    """Use once: `open`, then `read` until `done`, and `close` in any case."""

    def __init__(self, upstream: Upstream, model: str, body: bytes, deadline: float, effects: Effects) -> None:
        """`deadline` is in the event loop's time."""
        self.body = body
        self.done = False
        self._upstream = upstream
        self._deadline = deadline
        self._effects = effects
        self._report = upstream.reporter(model)
        self._answer = AnswerReader(effects.new_call_id, upstream.max_answer)
        self._events = EventReader(upstream.max_event)
        self._response: ClientResponse | None = None
        self._watch = Watch(self._abort)
        self._patience = upstream.timeouts.first_byte if upstream.streaming else upstream.timeouts.total
        self._streams = upstream.streaming

    async def open(self, session: "ClientSession") -> None:
        """Sends the request and waits for a good status. Raises `Failed`."""
        import aiohttp

        url, headers = self._upstream.address("/chat/completions"), self._upstream.sent_headers()
        try:
            async with asyncio.timeout(self._wait()):
                self._response = await session.post(url, data=self.body, headers=headers, allow_redirects=False)
                if self._response.status != 200:
                    await self._refuse(self._response)
            self._streams = self._streams and self._response.content_type != "application/json"
        except aiohttp.ConnectionTimeoutError:
            seconds = self._upstream.timeouts.connect
            raise Failed(self._report.unreachable(f"no connection within {seconds:g} seconds")) from None
        except TimeoutError:
            raise Failed(self._report.timeout("did not answer", self._patience)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Failed(self._report.unreachable(reason_of(error))) from None

    async def read(self) -> Sequence[News]:
        """News of the next network read; may be empty. After the batch that ends with `Finished`, `done` is true."""
        assert self._response is not None
        try:
            if self._streams:
                return await self._read_stream(self._response.content)
            return await self._read_whole(self._response)
        except BadAnswer as error:
            raise Failed(self._report.broken(str(error))) from None
        except EventTooLarge as error:
            raise Failed(self._report.broken(f"sent an event too large to read: {error}")) from None
        except ErrorInAnswer as error:
            raise Failed(self._report.told_in_stream(error.body)) from None

    def close(self) -> None:
        """Keeps the connection for the next call if the answer was read to its end, and else cuts it."""
        self._watch.stop()
        if self.done and self._response is not None:
            self._response.release()
        else:
            self._abort()

    def _abort(self) -> None:
        if self._response is not None:
            self._response.close()

    def _wait(self) -> float:
        """Seconds that the next wait may take."""
        return max(0.0, min(self._patience, self._deadline - asyncio.get_running_loop().time()))

    async def _refuse(self, response: "ClientResponse") -> None:
        body = await read_body(response.content, _MAX_REFUSAL)
        raise Failed(self._report.refused(response.status, response.headers, body, self._effects.now()))

    async def _read_stream(self, content: "StreamReader") -> Sequence[News]:
        piece = await self._next_piece(content)
        events = self._events.feed(piece) if piece else self._events.finish()
        if events:
            self._patience = self._upstream.timeouts.idle
        news = self._answer.read(events)
        if self._answer.done or not piece:
            return self._ended(news)
        if self._answer.complete:
            self._patience = min(self._upstream.timeouts.idle, _LAST_WORDS)
        return news

    async def _next_piece(self, content: "StreamReader") -> bytes:
        """Empty at the end of the stream."""
        import aiohttp

        self._watch.wait(self._wait())
        try:
            return await content.readany()
        except (aiohttp.ClientError, OSError) as error:
            failure = self._silent() if self._watch.expired else self._cut(error)
        finally:
            self._watch.over()
        if self._answer.complete:  # Only the usage may be missing, so the answer is whole.
            return b""
        raise Failed(failure)

    def _silent(self) -> Failure:
        if self._deadline <= asyncio.get_running_loop().time():
            return self._report.timeout("did not end its answer", self._upstream.timeouts.total)
        return self._report.timeout("sent nothing more", self._patience)

    def _cut(self, error: BaseException) -> Failure:
        return self._report.broken(f"broke off its answer: {reason_of(error)}.", again=True)

    async def _read_whole(self, response: "ClientResponse") -> Sequence[News]:
        import aiohttp

        limit = self._upstream.max_answer
        try:
            async with asyncio.timeout(self._wait()):
                body = await read_body(response.content, limit + 1)
        except TimeoutError:
            raise Failed(self._report.timeout("did not end its answer", self._upstream.timeouts.total)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise Failed(self._cut(error)) from None
        if len(body) > limit:
            raise BadAnswer("gave an answer longer than the limit set for it (max_answer).")
        return self._ended(self._answer.read_whole(body))

    def _ended(self, news: Sequence[News]) -> Sequence[News]:
        finished = self._answer.finish()
        self.done = True
        return (*news, finished)


async def list_models(session: "ClientSession", upstream: Upstream, now: float) -> Mapping[str, int | None]:
    """The names an upstream says it serves, each with the tokens it holds if it says so. Raises `Failed`."""
    import aiohttp

    report, seconds = upstream.reporter("any"), upstream.timeouts.listing
    request = session.get(upstream.address("/models"), headers=upstream.sent_headers(), allow_redirects=False)
    try:
        async with asyncio.timeout(seconds), request as response:
            body = await read_body(response.content, _MAX_LIST)
    except TimeoutError:
        raise Failed(report.timeout("did not list its models", seconds)) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Failed(report.unreachable(reason_of(error))) from None
    if response.status != 200:
        raise Failed(report.refused(response.status, response.headers, body, now))
    return _names_in(body)


def _names_in(body: bytes) -> Mapping[str, int | None]:
    """The ids of a list of models; nothing where it is no such list."""
    try:
        entries = msgspec.json.decode(body)["data"]
        return {entry["id"]: told_window(entry) for entry in entries if isinstance(entry["id"], str)}
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return {}


async def read_body(content: "StreamReader", limit: int) -> bytes:
    """At most about `limit` bytes, then it stops reading."""
    pieces: list[bytes] = []
    room = limit
    while room > 0 and (piece := await content.readany()):
        pieces.append(piece)
        room -= len(piece)
    return b"".join(pieces)[:limit]


def reason_of(error: BaseException) -> str:
    """Short words for an error of the HTTP client, whose own text may quote what was sent."""
    import aiohttp

    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its name has no address"
        case aiohttp.ClientConnectorCertificateError():
            return "its TLS certificate is not trusted"
        case aiohttp.ClientSSLError():
            return "the TLS handshake failed"
        case aiohttp.ClientConnectorError() | ConnectionRefusedError():
            return "the connection was refused or failed"
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError() | ConnectionError():
            return "the connection was cut"
        case aiohttp.ClientResponseError():
            return "it does not speak HTTP"
        case _:
            return type(error).__name__
