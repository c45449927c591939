"""What a chunk costs in the upstream client, against a bare floor that only cuts and decodes the same bytes.

Run: PYTHONPATH=src python bench/upstream_client.py [rounds]
"""

import asyncio
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct

from respun.core.chat import Finished, ModelRequest, TextDelta, UserMessage
from respun.providers.chat import ChatProvider
from respun.providers.upstream import Upstream

CHUNKS = 3000
STREAMS = 20
PACE = 0.02
PACED_CHUNKS = 50


def event(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: %s\n\n" % json.dumps(head | {"choices": [choice]}).encode()


LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
BURST = event(" word") * CHUNKS + LAST
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Peer(threading.Thread):
    """Serves bursts or paced streams from a thread of its own; its processor time is not counted."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.loop = asyncio.new_event_loop()
        self.port = 0
        self.ready = threading.Event()

    def run(self) -> None:
        self.loop.run_until_complete(self._listen())
        self.loop.run_forever()

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with_pace = b"/paced/" in await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        pieces = [event(" word")] * PACED_CHUNKS + [LAST] if with_pace else [BURST]
        for piece in pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            if with_pace:
                await asyncio.sleep(PACE)
        writer.write(b"0\r\n\r\n")
        writer.close()


async def ours(provider: ChatProvider) -> int:
    length = 0
    async for batch in provider.stream(ModelRequest("m", (UserMessage("Hi"),))):
        for news in batch:
            if isinstance(news, TextDelta):
                length += len(news.text)
            else:
                assert isinstance(news, Finished)
    return length


class Delta(Struct):
    content: str = ""


class Choice(Struct):
    delta: Delta


class Chunk(Struct):
    choices: list[Choice]


class Floor(asyncio.Protocol):
    """Cuts the body at its event ends and decodes; knows no chunked framing, no faults, no timeouts."""

    decode = msgspec.json.Decoder(Chunk).decode

    def __init__(self, path: str) -> None:
        self.path = path
        self.rest = b""
        self.length = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        request = f"POST /{self.path}/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        transport.write(request.encode())

    def data_received(self, data: bytes) -> None:
        *events, self.rest = (self.rest + data).split(b"\n\n")
        for each in events:
            _, _, body = each.rpartition(b"data: ")
            if body != b"[DONE]":
                self.length += len(self.decode(body).choices[0].delta.content)

    def connection_lost(self, error: Exception | None) -> None:
        self.done.set_result(self.length)


async def floor(port: int, path: str) -> int:
    _, protocol = await asyncio.get_running_loop().create_connection(lambda: Floor(path), "127.0.0.1", port)
    assert isinstance(protocol, Floor)
    return await protocol.done


async def cost(client: Callable[[], Awaitable[int]], streams: int, chunks: int) -> float:
    """Microseconds of this thread's processor time a chunk."""
    started = time.thread_time()
    lengths = await asyncio.gather(*(client() for _ in range(streams)))
    spent = time.thread_time() - started
    assert all(length == 5 * chunks for length in lengths), lengths
    return spent / (streams * chunks) * 1e6


async def measure(port: int, rounds: int) -> None:
    for path, streams, chunks in (("burst", 1, CHUNKS), ("paced", STREAMS, PACED_CHUNKS)):
        provider = ChatProvider(Upstream(f"http://127.0.0.1:{port}/{path}/v1"))
        await ours(provider)  # imports, and opens the session
        taken: dict[str, list[float]] = {"floor": [], "ours": []}
        for _ in range(rounds):
            taken["floor"].append(await cost(lambda path=path: floor(port, path), streams, chunks))
            taken["ours"].append(await cost(lambda provider=provider: ours(provider), streams, chunks))
        await provider.aclose()
        low, mine = (statistics.median(taken[name]) for name in ("floor", "ours"))
        print(f"{path}: floor {low:.2f} us/chunk, ours {mine:.2f} us/chunk, ratio {mine / low:.2f}")


def main() -> None:
    peer = Peer()
    peer.start()
    peer.ready.wait()
    work = measure(peer.port, int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    if os.name == "posix":
        import uvloop

        uvloop.run(work)
    else:
        asyncio.run(work)


if __name__ == "__main__":
    main()
