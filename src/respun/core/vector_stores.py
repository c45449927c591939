"""Vector stores, the files in them and batches of these: statuses, counts, expiry (contract 1.3 and 6)."""

from typing import Any, Final, Literal

from msgspec import UNSET, Struct, UnsetType

from respun.core.assistants import Metadata
from respun.core.problems import Problem, no_such

Scalar = str | bool | int | float
Attributes = dict[str, Scalar]
FileStatus = Literal["in_progress", "completed", "failed", "cancelled"]
StoreStatus = Literal["in_progress", "completed", "expired"]
BatchStatus = Literal["in_progress", "completed", "cancelled"]
FaultCode = Literal["server_error", "unsupported_file", "invalid_file"]

THREAD_STORE_DAYS: Final = 7
"""How long a store lives that was made for a thread, after it was last used."""
MOST_FILES: Final = 10_000
_A_DAY: Final = 86_400


class Chunking(Struct, frozen=True):
    """Tokens a chunk, and how many of them the next one repeats."""

    max_tokens: int = 800
    overlap_tokens: int = 400


class FileFault(Struct, frozen=True):
    """Why a file could not be read."""

    code: FaultCode
    message: str


class VectorStore(Struct, frozen=True):
    """`place`, `change` and `model` are the store's own: where its rows are, how often what can be found has changed,
    and whose vectors are searched."""

    id: str
    created_at: float
    name: str | None = None
    description: str | None = None
    metadata: Metadata = {}
    expires_after_days: int | None = None
    last_active_at: float = 0.0
    place: int = 0
    change: int = 0
    model: str = ""

    @property
    def expires_at(self) -> int | None:
        if self.expires_after_days is None:
            return None
        return int(self.last_active_at) + self.expires_after_days * _A_DAY

    def expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class FileCounts(Struct, frozen=True):
    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    usage: int = 0
    """Bytes of the files that are completed."""

    @property
    def total(self) -> int:
        return self.in_progress + self.completed + self.failed + self.cancelled


class Counted(Struct, frozen=True):
    """A store as it is at a moment."""

    store: VectorStore
    counts: FileCounts
    status: StoreStatus

    @property
    def id(self) -> str:
        return self.store.id


def counted(store: VectorStore, counts: FileCounts, now: float) -> Counted:
    if store.expired(now):
        return Counted(store, counts, "expired")
    return Counted(store, counts, "in_progress" if counts.in_progress else "completed")


class StoreFile(Struct, frozen=True):
    """A file in a store, under the file's id. `entry` numbers its rows; a file that is added again has another.

    `ended_at` is when it was read, or could not be; `tokens` are what was read."""

    id: str
    store: str
    created_at: float
    status: FileStatus = "in_progress"
    attributes: Attributes = {}
    chunking: Chunking = Chunking()
    usage: int = 0
    fault: FileFault | None = None
    entry: int = 0
    ended_at: float | None = None
    tokens: int | None = None


class FileBatch(Struct, frozen=True):
    id: str
    store: str
    created_at: float
    counts: FileCounts = FileCounts()
    cancelled: bool = False

    @property
    def status(self) -> BatchStatus:
        if self.cancelled:
            return "cancelled"
        return "in_progress" if self.counts.in_progress else "completed"


# What callers ask for


class NewFile(Struct, frozen=True):
    """A file to be put into a store."""

    file: str
    attributes: Attributes = {}
    chunking: Chunking = Chunking()


class StoreDraft(Struct, frozen=True):
    files: tuple[NewFile, ...] = ()
    name: str | None = None
    description: str | None = None
    metadata: Metadata = {}
    expires_after_days: int | None = None


class StoreChanges(Struct, frozen=True):
    """UNSET leaves a field as it is; None clears it."""

    name: str | None | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    expires_after_days: int | None | UnsetType = UNSET


class Question(Struct, frozen=True):
    """What is searched for. `filters` is JSON of the contract's form; the threshold is on scores of 0 to 1.

    `text_weight` is the share of the words in a score, 0 to 1; None lets the language of the texts decide. `rerank`:
    by the reranker too, if there is one.
    """

    queries: tuple[str, ...]
    filters: Any = None
    max_results: int = 10
    score_threshold: float = 0.0
    text_weight: float | None = None
    rerank: bool = True


class Reason(Struct, frozen=True):
    """Why a passage was found: by which query, its rank (from 1) and score in each leg that knows it, and what a
    reranker gave it."""

    query: str
    word_rank: int | None = None
    bm25: float | None = None
    vector_rank: int | None = None
    cosine: float | None = None
    rerank_score: float | None = None


class Passage(Struct, frozen=True):
    """A chunk returned with a score. Offsets are characters of the file's text; pages count from 1."""

    store: str
    file: str
    filename: str
    text: str
    score: float
    attributes: Attributes
    start: int
    end: int
    page: int | None
    last_page: int | None
    reason: Reason


class Passages(Struct, frozen=True):
    """What was found, best first; `queries` are those that were asked."""

    queries: tuple[str, ...]
    found: tuple[Passage, ...]


def no_such_store(ident: str) -> Problem:
    return no_such("vector store", ident)


def no_such_entry(file: str, store: str) -> Problem:
    return Problem(f"No file found with id '{file}' in vector store '{store}'.", kind="not_found")


def no_such_batch(ident: str, store: str) -> Problem:
    return Problem(f"No file batch found with id '{ident}' in vector store '{store}'.", kind="not_found")


def refuse_expired(store: VectorStore, now: float) -> None:
    if store.expired(now):
        raise Problem(f"Vector store '{store.id}' has expired. Make another one of its files; expired ones stay so.")
