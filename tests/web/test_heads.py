"""Heads of requests are read to a bound, for they come before any key was looked at."""

import socket
from contextlib import suppress
from urllib.parse import urlsplit

from plugins.server import Server

_LINE = b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n"


def sent(server: Server, head: bytes) -> bytes:
    """The beginning of the answer; empty if the connection was reset before it could be read."""
    address = urlsplit(server.origin)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        with suppress(ConnectionError):
            connection.sendall(head)
        with suppress(ConnectionError):
            return connection.recv(1 << 16)
        return b""


def test_a_head_without_an_end_is_cut_off(server: Server):
    address = urlsplit(server.origin)
    piece = b"a" * 65_536
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(_LINE + b"X-Long: ")
        taken = 0
        with suppress(ConnectionError):
            while taken < 64 << 20:
                connection.sendall(piece)
                taken += len(piece)
    assert taken < 64 << 20


def test_a_head_that_is_too_long_is_refused_by_name(server: Server):
    # Just over the bound, so that nothing is left unread that would turn the answer into a reset.
    headers = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 1000) for n in range(131))
    answer = sent(server, _LINE + headers)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"invalid_request_error" in answer


def test_a_head_of_the_usual_length_is_read(server: Server):
    assert sent(server, _LINE + b"X-Long: " + b"a" * 60_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_requests_that_follow_each_other_closely_are_counted_one_by_one(server: Server):
    one = _LINE + b"X-Long: " + b"a" * 60_000 + b"\r\n\r\n"
    assert b"431" not in sent(server, one * 4)[:20]
