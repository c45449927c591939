"""From a file's text to the rows that the store keeps: chunks to answer with, windows to search by."""

from collections.abc import Sequence

from msgspec import Struct

from respun.retrieval.chunk import Chunk, Chunking, cut
from respun.retrieval.embed import Embedder

_TEXTS_A_CALL = 64


class PreparedWindow(Struct, frozen=True):
    """`chunks` are positions in `Prepared.chunks`; `vector` is little-endian float16, empty without an embedder."""

    start: int
    end: int
    tokens: int
    chunks: tuple[int, ...]
    vector: bytes


class Prepared(Struct, frozen=True):
    """Offsets are characters of the text it was made of."""

    chunks: tuple[Chunk, ...]
    windows: tuple[PreparedWindow, ...]

    @property
    def tokens(self) -> int:
        return sum(window.tokens for window in self.windows)


async def prepare(
    text: str, embedder: Embedder, chunking: Chunking | None = None, *, page_starts: Sequence[int] = ()
) -> Prepared:
    """Cut a text and embed each window once. Can be cancelled between calls of the model."""
    made = cut(text, embedder.count, chunking, page_starts=page_starts)
    vectors: list[bytes] = []
    for at in range(0, len(made.windows), _TEXTS_A_CALL):
        part = made.windows[at : at + _TEXTS_A_CALL]
        rows = await embedder.embed([text[window.start : window.end] for window in part])
        vectors.extend(row.tobytes() for row in rows.astype("<f2"))
    holders = _holders(made.chunks, len(made.windows))
    windows = (
        PreparedWindow(window.start, window.end, window.tokens, tuple(held), vector)
        for window, held, vector in zip(made.windows, holders, vectors, strict=True)
    )
    return Prepared(made.chunks, tuple(windows))


def _holders(chunks: Sequence[Chunk], windows: int) -> list[list[int]]:
    held: list[list[int]] = [[] for _ in range(windows)]
    for number, chunk in enumerate(chunks):
        for window in range(chunk.first_window, chunk.end_window):
            held[window].append(number)
    return held
