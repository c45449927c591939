"""Assistants: saved configurations, and the tools they may name."""

from typing import Any, Literal

from msgspec import Struct

from respun.core.memories import MemorySettings

JsonSchema = dict[str, Any]
Metadata = dict[str, str]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class HybridSearch(Struct, frozen=True):
    embedding_weight: float
    text_weight: float


class RankingOptions(Struct, frozen=True):
    ranker: Literal["auto", "default_2024_08_21"] = "default_2024_08_21"
    score_threshold: float = 0.0
    hybrid_search: HybridSearch | None = None


class FileSearchOptions(Struct, frozen=True, omit_defaults=True):
    max_num_results: int | None = None
    ranking_options: RankingOptions | None = None


class CodeInterpreterTool(Struct, frozen=True, tag_field="type", tag="code_interpreter"):
    pass


class FileSearchTool(Struct, frozen=True, tag_field="type", tag="file_search", omit_defaults=True):
    """`name` is what models know it by."""

    file_search: FileSearchOptions = FileSearchOptions()
    name: str = "file_search"


class Function(Struct, frozen=True):
    """`parameters` is a JSON Schema; None means none were given."""

    name: str
    description: str | None = None
    parameters: JsonSchema | None = None
    strict: bool | None = None


class FunctionTool(Struct, frozen=True, tag_field="type", tag="function"):
    function: Function


Tool = CodeInterpreterTool | FileSearchTool | FunctionTool


class ToolResources(Struct, frozen=True, omit_defaults=True):
    """What the hosted tools may use. None means: never given, which shows differently from an empty list."""

    code_files: tuple[str, ...] | None = None
    vector_stores: tuple[str, ...] | None = None


class TextFormat(Struct, frozen=True, tag_field="type", tag="text"):
    pass


class JsonObjectFormat(Struct, frozen=True, tag_field="type", tag="json_object"):
    pass


class NamedSchema(Struct, frozen=True, omit_defaults=True, rename={"definition": "schema"}):
    name: str
    description: str | None = None
    definition: JsonSchema | None = None
    strict: bool | None = None


class JsonSchemaFormat(Struct, frozen=True, tag_field="type", tag="json_schema"):
    json_schema: NamedSchema


ResponseFormat = TextFormat | JsonObjectFormat | JsonSchemaFormat
"""None where one is expected means "auto"."""


class Configuration(Struct, frozen=True, kw_only=True):
    """`temperature`, `top_p` and the rest are None where never given: the upstream's default then holds.

    `passages` is how many a search of its documents brings, where the tool does not say.
    """

    model: str
    name: str | None = None
    description: str | None = None
    instructions: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_resources: ToolResources = ToolResources()
    metadata: Metadata = {}
    temperature: float | None = None
    top_p: float | None = None
    reasoning_effort: Effort | None = None
    response_format: ResponseFormat | None = None
    passages: int | None = None
    memory: MemorySettings = MemorySettings()


class Assistant(Configuration, frozen=True, kw_only=True):
    """A configuration that is kept."""

    id: str
    created_at: float
