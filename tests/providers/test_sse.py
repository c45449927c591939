"""Events are the same however the network cuts them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respun.providers.sse import EventReader, EventTooLarge

ODD = "\ufeff: hello\ndata: one\n\nevent: x\nid: 7\ndata:two\ndata:  three\n\ndata\n\n"
ODD += ": only a comment\n\n\ndata: h\u00e9\u2028llo\n\n"
EXPECTED = [b"one", b"two\n three", b"", "h\u00e9\u2028llo".encode()]


def events_of(pieces: list[bytes], max_event: int = 1 << 20) -> list[bytes]:
    reader = EventReader(max_event)
    return [event for piece in pieces for event in reader.feed(piece)] + reader.finish()


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n"])
def test_every_cut_into_two_gives_the_same_events(newline: str) -> None:
    stream = ODD.replace("\n", newline).encode()
    for at in range(len(stream) + 1):
        assert events_of([stream[:at], stream[at:]]) == EXPECTED, at


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n"])
def test_single_bytes_give_the_same_events(newline: str) -> None:
    stream = ODD.replace("\n", newline).encode()
    assert events_of([stream[at : at + 1] for at in range(len(stream))]) == EXPECTED


@given(st.lists(st.sampled_from(["a", "\n", "\r", "\r\n", "data: x", ": c", "\n\n", "\u00fc"]), max_size=30), st.data())
def test_mixed_line_ends_in_any_pieces_read_like_the_whole(parts: list[str], data: st.DataObject) -> None:
    stream = "".join(parts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert events_of(pieces) == events_of([stream])


def test_an_event_is_given_as_soon_as_its_blank_line_came_even_if_it_is_a_lone_cr() -> None:
    assert EventReader().feed(b"data: now\r\r") == [b"now"]


def test_an_event_without_its_blank_line_counts_at_the_end() -> None:
    assert events_of([b"data: one\n\ndata: [DONE]"]) == [b"one", b"[DONE]"]


def test_a_line_of_a_megabyte_is_read() -> None:
    body = b"x" * (1 << 20)
    pieces = [b"data: " + body[:1000], *(body[at : at + 4096] for at in range(1000, len(body), 4096)), b"\n\n"]
    assert events_of(pieces, 2 << 20) == [body]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 2000 + b"\n\n"],
        [b"data: "] + [b"x" * 10] * 200,
        [b"data: xxxxxxxxx\n"] * 200,
        [b"x" * 700, b"x" * 700],
    ],
    ids=["at once", "in pieces", "in lines", "no line end"],
)
def test_an_event_beyond_the_cap_is_refused(pieces: list[bytes]) -> None:
    with pytest.raises(EventTooLarge, match="more than 1000 bytes"):
        events_of(pieces, 1000)


def test_many_small_events_in_one_piece_never_meet_the_cap() -> None:
    assert len(events_of([b"data: xxxxxxxxxx\n\n" * 1000], 100)) == 1000
