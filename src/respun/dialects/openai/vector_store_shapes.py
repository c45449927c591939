"""Vector stores and what belongs to them as objects of the wire (contract 1.3 and 3.1)."""

from typing import Any, Literal

from msgspec import Struct

from respun.core.assistants import Metadata
from respun.core.vector_stores import (
    Attributes,
    Chunking,
    Counted,
    FileBatch,
    FileCounts,
    Passage,
    Passages,
    StoreFile,
)
from respun.workspace.vector_stores import Text

Json = dict[str, Any]


class CountsObject(Struct):
    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


class VectorStoreObject(Struct):
    id: str
    object: Literal["vector_store"]
    created_at: int
    name: str | None
    description: str | None
    usage_bytes: int
    file_counts: CountsObject
    status: str
    expires_after: Json | None
    expires_at: int | None
    last_active_at: int
    metadata: Metadata


class StoreFileObject(Struct):
    id: str
    object: Literal["vector_store.file"]
    usage_bytes: int
    created_at: int
    vector_store_id: str
    status: str
    last_error: Json | None
    chunking_strategy: Json
    attributes: Attributes


class FileBatchObject(Struct):
    """`object` is what the dialect is set to: as it was recorded, or as the SDK's types have it."""

    id: str
    object: Literal["vector_store.file_batch", "vector_store.files_batch"]
    created_at: int
    status: str
    vector_store_id: str
    file_counts: CountsObject


class DeletedStore(Struct):
    id: str
    object: Literal["vector_store.deleted", "vector_store.file.deleted"]
    deleted: Literal[True] = True


class FoundObject(Struct):
    """`respun` is ours: where the text stands in its file, and why it was found."""

    file_id: str
    filename: str
    score: float
    attributes: Attributes
    content: list[Json]
    respun: Json


class SearchObject(Struct):
    object: Literal["vector_store.search_results.page"]
    search_query: list[str]
    data: list[FoundObject]
    has_more: bool
    next_page: str | None


class ContentObject(Struct):
    object: Literal["vector_store.file_content.page"]
    data: list[Json]
    has_more: bool
    next_page: str | None
    file_id: str
    filename: str
    attributes: Attributes


def store(given: Counted) -> VectorStoreObject:
    made = given.store
    days = made.expires_after_days
    return VectorStoreObject(
        id=made.id,
        object="vector_store",
        created_at=int(made.created_at),
        name=made.name,
        description=made.description,
        usage_bytes=given.counts.usage,
        file_counts=_counts(given.counts),
        status=given.status,
        expires_after=None if days is None else {"anchor": "last_active_at", "days": days},
        expires_at=made.expires_at,
        last_active_at=int(made.last_active_at),
        metadata=made.metadata,
    )


def file(given: StoreFile) -> StoreFileObject:
    return StoreFileObject(
        id=given.id,
        object="vector_store.file",
        usage_bytes=given.usage,
        created_at=int(given.created_at),
        vector_store_id=given.store,
        status=given.status,
        last_error={"code": given.fault.code, "message": given.fault.message} if given.fault else None,
        chunking_strategy=_chunking(given.chunking),
        attributes=given.attributes,
    )


def batch(given: FileBatch, named: Literal["vector_store.file_batch", "vector_store.files_batch"]) -> FileBatchObject:
    return FileBatchObject(
        id=given.id,
        object=named,
        created_at=int(given.created_at),
        status=given.status,
        vector_store_id=given.store,
        file_counts=_counts(given.counts),
    )


def found(given: Passages) -> SearchObject:
    return SearchObject(
        "vector_store.search_results.page",
        list(given.queries),
        [_passage(each) for each in given.found],
        has_more=False,
        next_page=None,
    )


def content(given: Text) -> ContentObject:
    return ContentObject(
        "vector_store.file_content.page",
        [{"type": "text", "text": given.text}] if given.text else [],
        has_more=False,
        next_page=None,
        file_id=given.file.id,
        filename=given.file.filename,
        attributes=given.held.attributes,
    )


def _passage(given: Passage) -> FoundObject:
    reason = given.reason
    return FoundObject(
        file_id=given.file,
        filename=given.filename,
        score=min(1.0, max(0.0, given.score)),
        attributes=given.attributes,
        content=[{"type": "text", "text": given.text}],
        respun={
            "start": given.start,
            "end": given.end,
            "page": given.page,
            "last_page": given.last_page,
            "found_by": {
                "query": reason.query,
                "word_rank": reason.word_rank,
                "bm25": reason.bm25,
                "vector_rank": reason.vector_rank,
                "cosine": reason.cosine,
                "rerank_score": reason.rerank_score,
            },
        },
    )


def _counts(given: FileCounts) -> CountsObject:
    return CountsObject(given.in_progress, given.completed, given.failed, given.cancelled, given.total)


def _chunking(given: Chunking) -> Json:
    static = {"max_chunk_size_tokens": given.max_tokens, "chunk_overlap_tokens": given.overlap_tokens}
    return {"type": "static", "static": static}
