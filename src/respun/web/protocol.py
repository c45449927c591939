"""The protocol of a connection: uvicorn's, with a bound on the head of a request.

Whoever may connect may send a head, without a key; without a bound it would be kept in memory however long it gets.
"""

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD: Final = 128 * 1024
"""Bytes of a request's line and headers; what else came with the same read of the network may be counted, too."""

_TOO_LARGE: Final = (
    b'{"error":{"message":"The head of this request is larger than %d bytes. Send what is long in the body.",'
    b'"type":"invalid_request_error","param":null,"code":null}}' % LARGEST_HEAD
)


class BoundedProtocol(HttpToolsProtocol):
    _in_head = False
    _read = 0

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._in_head:
            self._read += len(data)
            if self._read > LARGEST_HEAD:
                self._refuse()

    def on_message_begin(self) -> None:
        self._in_head = True
        self._read = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def _refuse(self) -> None:
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(_TOO_LARGE)
        self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + head + _TOO_LARGE)
        self.transport.close()
