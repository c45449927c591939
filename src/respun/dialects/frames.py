"""Server-sent events as bytes: one frame, the comment that keeps a connection alive, and the id of a frame.

A frame's id is `{event number}.{k}`: the k-th frame that event gave rise to, from 1. A client that reconnects with
it is given everything after that frame.
"""

import re
from typing import Final

from msgspec import Struct

# One line, without the blank one that ends a frame: having seen an id, openai-python would take that for a frame
# without data, and fail on it.
KEEP_ALIVE: Final = b": keep-alive\n"
_POSITION: Final = re.compile(r"(\d{1,15})(?:\.(\d{1,6}))?")


class Position(Struct, frozen=True):
    """The last frame a client has seen. Without `frame`, all frames of the event were seen."""

    event: int = 0
    frame: int | None = None

    @property
    def after(self) -> int:
        """Events with a higher number are wanted, the first of them perhaps in part."""
        return self.event if self.frame is None or self.event == 0 else self.event - 1


def position(text: str) -> Position | None:
    """Read `12` or `12.1`; None when it is neither."""
    found = _POSITION.fullmatch(text.strip())
    if not found:
        return None
    return Position(int(found[1]), int(found[2]) if found[2] else None)


def frame(number: int, k: int, event: bytes, data: bytes) -> bytes:
    """`data` is one line: JSON without line breaks."""
    return b"id: %d.%d\nevent: %b\ndata: %b\n\n" % (number, k, event, data)


def behind(frames: bytes, number: int, seen: Position) -> bytes:
    """What of the frames of event `number` comes after the position."""
    if seen.frame is None or number != seen.event:
        return frames
    start = 0
    for k in range(1, seen.frame + 1):
        if not frames.startswith(b"id: %d.%d\n" % (number, k), start):
            return b""
        start = frames.find(b"\n\n", start) + 2
    return frames[start:]
