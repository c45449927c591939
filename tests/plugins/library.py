"""A library for servers put together by hand: files in a folder, search by words."""

from pathlib import Path
from secrets import token_hex
from time import monotonic

from respun.core.problems import Problem
from respun.engine.clock import Clock
from respun.engine.embeddings import Embeddings
from respun.engine.library import Library, LibrarySettings
from respun.retrieval.embed import Embedder
from respun.store.backend import Backend
from respun.store.blobs import DiskBlobs


async def _no_model() -> Embedder:
    raise Problem("This library searches by words.")


def library_of(backend: Backend, folder: Path, clock: Clock, settings: LibrarySettings | None = None) -> Library:
    blobs = DiskBlobs(folder / "blobs", lambda: token_hex(16))
    return Library(backend, blobs, Embeddings(_no_model, monotonic), clock, folder / "indexes", len, settings)
