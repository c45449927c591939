"""An upstream for the benches, as cheap as Python can make it: it sends tokens at the pace that the model's name asks.

    python bench/paced_model.py PORT

The model `paced-20-50-5` gives 20 tokens, 50 a second (0: all at once), the first after 5 ms; `call-weather` asks for
one call of the function `weather`. Each token is the time at which it is sent (of the machine's monotonic clock).
"""

import asyncio
import re
import sys
import time
from typing import cast

import uvloop

_MODEL = re.compile(rb'"model":\s?"(?:paced-(\d+)-(\d+)-(\d+)|call-(\w+))"')
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_REFUSAL = b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_CHUNK = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n'
)
_USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":%d,"total_tokens":9}}\n\n'


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def ending(reason: bytes, tokens: int) -> bytes:
    last = _CHUNK % (b"{}", b'"%b"' % reason) + _USAGE % tokens + b"data: [DONE]\n\n"
    return chunked(last) + b"0\r\n\r\n"


class Answering(asyncio.Protocol):
    """One connection; answers its requests one after the other."""

    def __init__(self) -> None:
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self._left = self._tokens = 0
        self._step = self._next = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = _LENGTH.search(head)
        if len(body) >= (int(length[1]) if length else 0):
            self._buffer = b""
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        asked = _MODEL.search(body)
        if asked is None:
            self._transport.write(_REFUSAL)
        elif asked[4]:
            call = b'{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"%b","arguments":"{}"}}]}'
            self._transport.write(_HEAD + chunked(_CHUNK % (call % asked[4], b"null")) + ending(b"tool_calls", 5))
        else:
            self._left = self._tokens = int(asked[1])
            self._step = 1 / int(asked[2]) if int(asked[2]) else 0.0
            self._next = self._loop.time() + int(asked[3]) / 1000
            self._loop.call_at(self._next, self._begin) if int(asked[3]) else self._begin()

    def _begin(self) -> None:
        self._transport.write(_HEAD)
        self._send()

    def _send(self) -> None:
        while self._left and not self._transport.is_closing():
            self._left -= 1
            text = b'{"content":" %.6f"}' % time.monotonic()
            self._transport.write(chunked(_CHUNK % (text, b"null")))
            if self._step:
                self._next += self._step
                self._loop.call_at(self._next, self._send)
                return
        self._transport.write(ending(b"stop", self._tokens))


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
