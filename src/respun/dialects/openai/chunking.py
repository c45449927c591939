"""How files are cut into chunks, as requests say it (contract 1.3)."""

from typing import Any, Final

from respun.core.problems import Problem
from respun.core.vector_stores import Chunking
from respun.dialects.openai.validate import Field, Integer, Object, String, Tagged

_TYPE: Final = {"type": Field(String(), required=True)}
_STATIC: Final = Object(
    {
        "max_chunk_size_tokens": Field(Integer(100, 4096), required=True),
        "chunk_overlap_tokens": Field(Integer(0, 2048), required=True),
    }
)
CHUNKING: Final = Tagged({"auto": Object(_TYPE), "static": Object({**_TYPE, "static": Field(_STATIC, required=True)})})


def chunking(given: dict[str, Any] | None, path: str) -> Chunking:
    """Of what was checked; auto is 800 tokens with 400 of overlap, as at OpenAI."""
    if not given or given["type"] == "auto":
        return Chunking()
    static = given["static"]
    size, overlap = static["max_chunk_size_tokens"], static["chunk_overlap_tokens"]
    if overlap > size // 2:
        name = f"{path}.static.chunk_overlap_tokens"
        raise Problem(
            f"Invalid '{name}': {overlap}. Chunks share at most half of their {size} tokens: give {size // 2} or less.",
            param=name,
            code="invalid_value",
        )
    return Chunking(size, overlap)
