"""Cut a text into windows, which are embedded, and chunks, which are answered.

A chunk of OpenAI's default is 800 tokens and shares 400 with the next, but an embedding model reads no more than some
400. So the text is cut once into windows that do not overlap, and a chunk is a run of neighbouring windows: each
window is embedded once, though two chunks may hold it. All positions are character offsets into the text.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec import Struct

Count = Callable[[str], int]

WINDOW_TOKENS: Final = 400
# A text that a model of 512 tokens reads at once is one window: two halves are found less well.
WHOLE_TOKENS: Final = 500
# Longer texts are not counted to see whether they are short.
_LONGEST_TOKEN: Final = 100
# A line, or a sentence within one; blank lines stay with what is before them.
_UNIT: Final = re.compile(r"[^\n]*?(?:[.!?…](?=[\"'”’)\]]*\s)[\"'”’)\]]*[^\S\n]*|[。！？；][」』”]*|\n\s*|\Z)")


class Chunking(Struct, frozen=True):
    """Contract 1.3: 100 to 4096 tokens a chunk, of which at most half are shared with the next."""

    max_tokens: int = 800
    overlap_tokens: int = 400

    def __post_init__(self) -> None:
        if not 100 <= self.max_tokens <= 4096:
            raise ValueError(f"A chunk has 100 to 4096 tokens, not {self.max_tokens}.")
        if not 0 <= self.overlap_tokens <= self.max_tokens // 2:
            raise ValueError(f"Chunks share at most half of their {self.max_tokens} tokens, not {self.overlap_tokens}.")


class Window(Struct, frozen=True):
    start: int
    end: int
    tokens: int


class Chunk(Struct, frozen=True):
    """`windows` are the first and the one behind the last; pages count from 1 and are None where there are none."""

    start: int
    end: int
    tokens: int
    first_window: int
    end_window: int
    page: int | None = None
    last_page: int | None = None


class Chunked(Struct, frozen=True):
    windows: tuple[Window, ...]
    chunks: tuple[Chunk, ...]


def cut(
    text: str,
    count: Count,
    chunking: Chunking | None = None,
    *,
    window_tokens: int = WINDOW_TOKENS,
    page_starts: Sequence[int] = (),
) -> Chunked:
    """Cut at ends of sentences and lines where the size allows. `page_starts` are the offsets at which pages begin."""
    chunking = chunking or Chunking()
    if whole := _whole(text, count, min(WHOLE_TOKENS, chunking.max_tokens, window_tokens + window_tokens // 4)):
        return Chunked((whole,), (_chunk((whole,), 0, 1, page_starts),))
    shared, alone = chunking.overlap_tokens, chunking.max_tokens - 2 * chunking.overlap_tokens
    units = _Units(text, count, min(window_tokens, _smallest(shared, shared + alone)))
    windows: list[Window] = []
    strides: list[_Stride] = []
    while not units.done:
        first = len(windows)
        windows.extend(units.take(shared, window_tokens))
        middle = len(windows)
        windows.extend(units.take(shared + alone if not shared else alone, window_tokens))
        strides.append(_Stride(first, middle))
    return Chunked(tuple(windows), tuple(_chunks(windows, strides, page_starts)))


class _Stride(Struct, frozen=True):
    """Where a chunk begins, and where the part ends that the chunk before it holds too (window numbers)."""

    first: int
    shared_end: int


class _Units:
    """The text in sentences and lines, taken from the front; one longer than `largest` comes in pieces."""

    def __init__(self, text: str, count: Count, largest: int) -> None:
        self._units = _units(text, count, largest)
        self._next = next(self._units, None)

    @property
    def done(self) -> bool:
        return self._next is None

    def take(self, tokens: int, window_tokens: int) -> Iterator[Window]:
        """Windows of about equal size that together hold at most `tokens`."""
        if tokens <= 0:
            return
        size = min(tokens, -(-tokens // -(-tokens // window_tokens)))
        left = tokens
        while self._next is not None and self._next.tokens <= left:
            window = self._fill(min(size, left))
            left -= window.tokens
            yield window

    def _fill(self, size: int) -> Window:
        assert self._next is not None
        window = self._next
        self._next = next(self._units, None)
        while self._next is not None and window.tokens + self._next.tokens <= size:
            window = Window(window.start, self._next.end, window.tokens + self._next.tokens)
            self._next = next(self._units, None)
        return window


def _smallest(*sizes: int) -> int:
    return min(size for size in sizes if size > 0)


def _units(text: str, count: Count, largest: int) -> Iterator[Window]:
    for found in _UNIT.finditer(text):
        if not found.group().strip():
            continue
        yield from _within(text, found.start(), found.end(), count, largest)


def _within(text: str, start: int, end: int, count: Count, largest: int) -> Iterator[Window]:
    tokens = count(text[start:end])
    if tokens <= largest:
        yield Window(start, end, tokens)
        return
    middle = _middle(text, start, end)
    if middle in (start, end):
        yield Window(start, end, largest)
        return
    yield from _within(text, start, middle, count, largest)
    yield from _within(text, middle, end, count, largest)


def _middle(text: str, start: int, end: int) -> int:
    """Half way, moved to the nearest space before it if there is one in the second quarter."""
    half = (start + end) // 2
    space = text.rfind(" ", (start + half) // 2, half)
    return half if space < 0 else space + 1


def _chunks(windows: Sequence[Window], strides: Sequence[_Stride], page_starts: Sequence[int]) -> Iterator[Chunk]:
    for number, stride in enumerate(strides):
        following = strides[number + 1] if number + 1 < len(strides) else None
        if number and stride.shared_end == len(windows):
            return  # The chunk before this one holds all of it.
        end = following.shared_end if following else len(windows)
        if end == stride.first:
            continue
        yield _chunk(windows, stride.first, end, page_starts)


def _whole(text: str, count: Count, most: int) -> Window | None:
    """All of the text as one window, if it fits."""
    stripped = text.strip()
    if not stripped or len(stripped) > most * _LONGEST_TOKEN:
        return None
    tokens = count(stripped)
    start = text.index(stripped)
    return Window(start, start + len(stripped), tokens) if tokens <= most else None


def _chunk(windows: Sequence[Window], first: int, end: int, page_starts: Sequence[int]) -> Chunk:
    held = windows[first:end]
    return Chunk(
        start=held[0].start,
        end=held[-1].end,
        tokens=sum(window.tokens for window in held),
        first_window=first,
        end_window=end,
        page=page_at(page_starts, held[0].start),
        last_page=page_at(page_starts, held[-1].end - 1),
    )


def page_at(page_starts: Sequence[int], offset: int) -> int | None:
    return bisect_right(page_starts, offset) if page_starts else None
