"""What comes with vector stores -> what the workspace takes (contract 1.3)."""

import re
from typing import Any, Final, cast

from msgspec import UNSET

from respun.core.problems import Problem
from respun.core.vector_stores import (
    Attributes,
    FileStatus,
    NewFile,
    Question,
    StoreChanges,
    StoreDraft,
)
from respun.dialects.openai.chunking import CHUNKING, chunking
from respun.dialects.openai.queries import Query, last
from respun.dialects.openai.requests import checked
from respun.dialects.openai.sentences import missing
from respun.dialects.openai.validate import (
    Anything,
    Array,
    Choice,
    Decimal,
    Either,
    Field,
    Flag,
    Integer,
    Object,
    Pairs,
    Scalars,
    String,
)

Json = dict[str, Any]

MOST_IN_BATCH: Final = 2000
_MOST_FILES: Final = 500
_STATUSES: Final = Choice(("in_progress", "completed", "failed", "cancelled"))
# The end of a sentence or question, within a query.
_BETWEEN: Final = re.compile(r"(?<=[.?!;])\s+|(?<=[。？！；])|\n+")


def _required(spec: Any) -> Field:
    return Field(spec, required=True)


def _nullable(spec: Any) -> Field:
    return Field(spec, nullable=True)


_ID: Final = String(most=256, least=1)
_EXPIRES: Final = Object(
    {"anchor": _required(Choice(("last_active_at",))), "days": _required(Integer(1, 365))},
)
_NAMED: Final = {
    "name": _nullable(String(most=256)),
    "expires_after": _nullable(_EXPIRES),
    "metadata": _nullable(Pairs()),
}
STORE: Final = Object(
    {
        "file_ids": _nullable(Array(_ID, most=_MOST_FILES)),
        "description": _nullable(String(most=512)),
        "chunking_strategy": _nullable(CHUNKING),
        **_NAMED,
    }
)
STORE_CHANGES: Final = Object(_NAMED)
FILE: Final = Object(
    {
        "file_id": _required(_ID),
        "attributes": _nullable(Scalars()),
        "chunking_strategy": _nullable(CHUNKING),
    }
)
FILE_CHANGES: Final = Object({"attributes": Field(Scalars(), required=True, nullable=True)})
BATCH: Final = Object(
    {
        "file_ids": _nullable(Array(_ID, most=MOST_IN_BATCH, least=1)),
        "files": _nullable(Array(FILE, most=MOST_IN_BATCH, least=1)),
        "attributes": _nullable(Scalars()),
        "chunking_strategy": _nullable(CHUNKING),
    }
)
_QUERY: Final = String(most=32_768, least=1)
SEARCH: Final = Object(
    {
        "query": _required(Either(_QUERY, Array(_QUERY, most=32, least=1))),
        "rewrite_query": _nullable(Flag()),
        "max_num_results": _nullable(Integer(1, 50)),
        "filters": _nullable(Anything()),
        "ranking_options": _nullable(
            Object(
                {
                    "ranker": _nullable(Choice(("none", "auto", "default-2024-11-15"))),
                    "score_threshold": _nullable(Decimal(0, 1)),
                }
            )
        ),
    }
)


def store(body: bytes, strict: bool) -> StoreDraft:
    given = checked(STORE, body, strict)
    files = given.get("file_ids") or ()
    chunk = chunking(given.get("chunking_strategy"), "chunking_strategy")
    return StoreDraft(
        files=tuple(NewFile(file, chunking=chunk) for file in files),
        name=given.get("name"),
        description=given.get("description"),
        metadata=given.get("metadata") or {},
        expires_after_days=_days(given.get("expires_after")),
    )


def store_changes(body: bytes, strict: bool) -> StoreChanges:
    given = checked(STORE_CHANGES, body, strict)
    return StoreChanges(
        name=given.get("name", UNSET),
        metadata=(given["metadata"] or {}) if "metadata" in given else UNSET,
        expires_after_days=_days(given["expires_after"]) if "expires_after" in given else UNSET,
    )


def file(body: bytes, strict: bool) -> NewFile:
    return _file(checked(FILE, body, strict), "")


def attributes(body: bytes, strict: bool) -> Attributes:
    return checked(FILE_CHANGES, body, strict)["attributes"] or {}


def batch(body: bytes, strict: bool) -> tuple[NewFile, ...]:
    given = checked(BATCH, body, strict)
    idents, files = given.get("file_ids"), given.get("files")
    if idents and files:
        raise Problem(
            "Mutually exclusive parameters: 'files'. Ensure you are only providing one of: 'file_ids' or 'files'.",
            param="files",
            code="mutually_exclusive_parameters",
        )
    if files:
        # As the schema has it: each of them says its own, what is said of all counts for `file_ids`.
        return tuple(_file(each, f"files[{index}].") for index, each in enumerate(files))
    if not idents:
        raise missing("file_ids")
    chunk = chunking(given.get("chunking_strategy"), "chunking_strategy")
    return tuple(NewFile(each, given.get("attributes") or {}, chunk) for each in idents)


def search(body: bytes, strict: bool) -> Question:
    given = checked(SEARCH, body, strict)
    query = given["query"]
    queries = (query,) if isinstance(query, str) else tuple(query)
    ranking = given.get("ranking_options") or {}
    return Question(
        queries=rewritten(queries) if given.get("rewrite_query") else queries,
        filters=given.get("filters"),
        max_results=given.get("max_num_results") or 10,
        score_threshold=ranking.get("score_threshold") or 0.0,
        rerank=ranking.get("ranker") != "none",
    )


def rewritten(queries: tuple[str, ...]) -> tuple[str, ...]:
    """Each sentence or question of a query as a query of its own: what is asked together is found one by one."""
    parts = (part.strip() for query in queries for part in _BETWEEN.split(query))
    return tuple(dict.fromkeys(part for part in parts if part)) or queries


def status(query: Query) -> FileStatus | None:
    given = last(query, "filter")
    if not given:
        return None
    _STATUSES.check(given, "filter", True)
    return cast(FileStatus, given)


def _file(given: Json, path: str) -> NewFile:
    chunk = chunking(given.get("chunking_strategy"), f"{path}chunking_strategy")
    return NewFile(given["file_id"], given.get("attributes") or {}, chunk)


def _days(given: Json | None) -> int | None:
    return given["days"] if given else None
