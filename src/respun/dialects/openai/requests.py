"""JSON bodies of requests -> what the workspace takes. Everything untyped ends here."""

from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct

from respun.core.assistants import (
    CodeInterpreterTool,
    FileSearchOptions,
    FileSearchTool,
    Function,
    FunctionTool,
    HybridSearch,
    JsonObjectFormat,
    JsonSchemaFormat,
    Metadata,
    NamedSchema,
    RankingOptions,
    ResponseFormat,
    TextFormat,
    Tool,
    ToolResources,
)
from respun.core.drafts import (
    AssistantChanges,
    AssistantDraft,
    MessageDraft,
    Preview,
    RunDraft,
    ThreadChanges,
    ThreadDraft,
)
from respun.core.events import Output
from respun.core.ids import prefix_of
from respun.core.json_schema import BadSchema, check_schema
from respun.core.memories import MemorySettings, MemoryUse
from respun.core.problems import Problem, no_such
from respun.core.runs import NamedToolChoice, Truncation
from respun.core.threads import Attachment, ImageFile, ImageLink, Part, Text
from respun.core.vector_stores import NewFile, StoreDraft
from respun.dialects.openai import bodies, run_shapes
from respun.dialects.openai.chunking import chunking
from respun.dialects.openai.decoding import Json, decode
from respun.dialects.openai.sentences import missing, shown, wrong_id, wrong_type
from respun.dialects.openai.validate import Object

_LONGEST_ID: Final = 128


class RunRequest(Struct, frozen=True):
    draft: RunDraft
    stream: bool = False


class ThreadRunRequest(Struct, frozen=True):
    thread: ThreadDraft
    draft: RunDraft
    stream: bool = False


class OutputsRequest(Struct, frozen=True):
    outputs: tuple[Output, ...]
    stream: bool = False


def assistant(body: bytes, strict: bool) -> AssistantDraft:
    given = checked(bodies.ASSISTANT, body, strict)
    return AssistantDraft(
        model=given["model"],
        name=given.get("name"),
        description=given.get("description"),
        instructions=given.get("instructions"),
        tools=_tools(given.get("tools")),
        tool_resources=_resources(given.get("tool_resources")),
        new_store=_new_store(given.get("tool_resources"), "tool_resources"),
        metadata=_metadata(given),
        temperature=given.get("temperature"),
        top_p=given.get("top_p"),
        reasoning_effort=given.get("reasoning_effort"),
        response_format=_plain_format(given.get("response_format")),
        memory=_assistant_memory(given),
    )


def assistant_changes(body: bytes, strict: bool) -> AssistantChanges:
    given = checked(bodies.ASSISTANT_CHANGES, body, strict)
    return AssistantChanges(
        model=given.get("model", UNSET),
        name=given.get("name", UNSET),
        description=given.get("description", UNSET),
        instructions=given.get("instructions", UNSET),
        tools=_tools(given["tools"]) if "tools" in given else UNSET,
        tool_resources=_changed_resources(given),
        metadata=_metadata(given) if "metadata" in given else UNSET,
        temperature=given.get("temperature", UNSET),
        top_p=given.get("top_p", UNSET),
        reasoning_effort=given.get("reasoning_effort", UNSET),
        response_format=_plain_format(given["response_format"]) if "response_format" in given else UNSET,
        memory_mode=_assistant_memory(given).mode if "memory" in given else UNSET,
    )


def thread(body: bytes, strict: bool) -> ThreadDraft:
    return _thread(checked(bodies.THREAD, body, strict), "")


def thread_changes(body: bytes, strict: bool) -> ThreadChanges:
    given = checked(bodies.THREAD_CHANGES, body, strict)
    return ThreadChanges(
        tool_resources=_changed_resources(given),
        metadata=_metadata(given) if "metadata" in given else UNSET,
    )


def message(body: bytes, strict: bool) -> MessageDraft:
    return _message(checked(bodies.MESSAGE, body, strict))


def metadata(body: bytes, strict: bool) -> Metadata | None:
    """For the objects of which nothing else can be changed; None when it was not given."""
    given = checked(bodies.METADATA_CHANGES, body, strict)
    return _metadata(given) if "metadata" in given else None


def run(body: bytes, strict: bool) -> RunRequest:
    given = checked(bodies.RUN, body, strict)
    return RunRequest(_run(given), bool(given.get("stream")))


def thread_and_run(body: bytes, strict: bool) -> ThreadRunRequest:
    given = checked(bodies.THREAD_AND_RUN, body, strict)
    return ThreadRunRequest(_thread(given.get("thread") or {}, "thread."), _run(given), bool(given.get("stream")))


def preview(body: bytes, strict: bool) -> Preview:
    given = checked(bodies.CONTEXT, body, strict)
    assistant = given.get("assistant_id")
    if not assistant and not given.get("model"):
        raise missing("model")
    return Preview(
        model=given.get("model") or None,
        assistant=check_id("assistant_id", "assistant", assistant) if assistant else None,
        query=given.get("query"),
        max_prompt_tokens=given.get("max_prompt_tokens"),
        truncation=_truncation(given.get("truncation_strategy")),
    )


def outputs(body: bytes, strict: bool) -> OutputsRequest:
    given = checked(bodies.OUTPUTS, body, strict)
    named = (output for output in given["tool_outputs"] if output.get("tool_call_id"))
    return OutputsRequest(
        tuple(Output(output["tool_call_id"], output.get("output") or "") for output in named),
        bool(given.get("stream")),
    )


def check_id(param: str, kind: Literal["assistant", "thread", "message", "run", "step"], value: str) -> str:
    """An id must begin as ids of its kind do: it catches `undefined`, and ids of other objects."""
    prefix = prefix_of(kind)
    if not value.startswith(prefix):
        raise wrong_id(param, prefix.rstrip("_"), value)
    # No id of ours has spaces or control characters, and databases refuse some of these.
    if len(value) > _LONGEST_ID or not value.isascii() or not value.isprintable():
        raise no_such("run step" if kind == "step" else kind, ascii(shown(value))[1:-1])
    return value


def checked(spec: Object, body: bytes, strict: bool) -> Json:
    given = decode(body)
    spec.check(given, "", strict)
    return given


def _metadata(given: Json) -> Metadata:
    return given.get("metadata") or {}


def _tools(given: list[Json] | None) -> tuple[Tool, ...]:
    return tuple(_tool(tool) for tool in given or ())


def _tool(given: Json) -> Tool:
    match given["type"]:
        case "code_interpreter":
            return CodeInterpreterTool()
        case "file_search":
            return FileSearchTool(_search_options(given.get("file_search") or {}))
        case _:
            return FunctionTool(msgspec.convert(given["function"], Function))


def _search_options(given: Json) -> FileSearchOptions:
    ranking = given.get("ranking_options")
    return FileSearchOptions(given.get("max_num_results"), _ranking(ranking) if ranking else None)


def _ranking(given: Json) -> RankingOptions:
    hybrid = given.get("hybrid_search")
    return RankingOptions(
        ranker=given.get("ranker") or "default_2024_08_21",
        score_threshold=float(given["score_threshold"]),
        hybrid_search=HybridSearch(float(hybrid["embedding_weight"]), float(hybrid["text_weight"])) if hybrid else None,
    )


def _resources(given: Json | None) -> ToolResources:
    if not given:
        return ToolResources()
    search = given.get("file_search") or {}
    return ToolResources(
        code_files=_ids((given.get("code_interpreter") or {}).get("file_ids")),
        vector_stores=_ids(search.get("vector_store_ids")),
    )


def _new_store(given: Json | None, path: str) -> StoreDraft | None:
    """The store that is to be made, as the helper form says it."""
    search = (given or {}).get("file_search") or {}
    stores = search.get("vector_stores")
    if not stores:
        return None
    where = f"{path}.file_search"
    if search.get("vector_store_ids"):
        raise Problem(
            f"Mutually exclusive parameters: '{where}.vector_stores'. Ensure you are only providing one of: "
            "'vector_store_ids' or 'vector_stores'.",
            param=f"{where}.vector_stores",
            code="mutually_exclusive_parameters",
        )
    (wanted,) = stores
    chunk = chunking(wanted.get("chunking_strategy"), f"{where}.vector_stores[0].chunking_strategy")
    files = tuple(NewFile(file, chunking=chunk) for file in wanted.get("file_ids") or ())
    return StoreDraft(files, metadata=_metadata(wanted))


def _ids(given: list[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(given)


def _changed_resources(given: Json) -> ToolResources | msgspec.UnsetType:
    return _resources(given["tool_resources"]) if "tool_resources" in given else UNSET


def _format(given: str | Json | None) -> ResponseFormat | Literal["auto"] | None:
    if given is None or given == "auto":
        return "auto" if given else None
    assert isinstance(given, dict)
    match given["type"]:
        case "text":
            return TextFormat()
        case "json_object":
            return JsonObjectFormat()
        case _:
            return JsonSchemaFormat(_named_schema(given["json_schema"]))


def _named_schema(given: Json) -> NamedSchema:
    """Checked here, because a schema that is none would fail every run that is held to it."""
    schema = given.get("schema")
    place = "response_format.json_schema.schema"
    if schema is not None and not isinstance(schema, dict):
        raise wrong_type(place, "an object", schema)
    try:
        check_schema(schema or {})
    except BadSchema as error:
        raise Problem(f"Invalid schema for response_format '{given['name']}': {error}.", param=place) from None
    return msgspec.convert(given, NamedSchema)


def _plain_format(given: str | Json | None) -> ResponseFormat | None:
    found = _format(given)
    return None if found == "auto" else found


def _thread(given: Json, path: str) -> ThreadDraft:
    return ThreadDraft(
        messages=tuple(_message(message) for message in given.get("messages") or ()),
        tool_resources=_resources(given.get("tool_resources")),
        new_store=_new_store(given.get("tool_resources"), f"{path}tool_resources"),
        metadata=_metadata(given),
    )


def _message(given: Json) -> MessageDraft:
    content = given["content"]
    return MessageDraft(
        role=given["role"],
        content=(Text(content),) if type(content) is str else tuple(_part(part) for part in content),
        attachments=tuple(_attachment(attachment) for attachment in given.get("attachments") or ()),
        metadata=_metadata(given),
    )


def _part(given: Json) -> Part:
    match given["type"]:
        case "text":
            return Text(given["text"])
        case "image_file":
            image = given["image_file"]
            return ImageFile(image["file_id"], image.get("detail", "auto"))
        case _:
            image = given["image_url"]
            return ImageLink(image["url"], image.get("detail", "auto"))


def _attachment(given: Json) -> Attachment:
    return Attachment(given.get("file_id"), tuple(tool["type"] for tool in given.get("tools") or ()))


def _run(given: Json) -> RunDraft:
    tools = given.get("tools")
    parallel = given.get("parallel_tool_calls")
    resources = given.get("tool_resources")
    return RunDraft(
        assistant=check_id("assistant_id", "assistant", given["assistant_id"]),
        model=given.get("model"),
        instructions=given.get("instructions"),
        additional_instructions=given.get("additional_instructions"),
        additional_messages=tuple(_message(message) for message in given.get("additional_messages") or ()),
        tools=None if tools is None else _tools(tools),
        tool_resources=None if resources is None else _resources(resources),
        metadata=_metadata(given),
        temperature=given.get("temperature"),
        top_p=given.get("top_p"),
        reasoning_effort=given.get("reasoning_effort"),
        response_format=_format(given.get("response_format")),
        tool_choice=_tool_choice(given.get("tool_choice")),
        parallel_tool_calls=True if parallel is None else parallel,
        max_prompt_tokens=given.get("max_prompt_tokens"),
        max_completion_tokens=given.get("max_completion_tokens"),
        truncation=_truncation(given.get("truncation_strategy")),
        when_busy=given.get("when_busy"),
        memory=_run_memory(given.get("memory")),
    )


def _assistant_memory(given: Json) -> MemorySettings:
    return MemorySettings((given.get("memory") or {}).get("mode", "off"))


def _run_memory(given: Json | None) -> MemoryUse | None:
    return MemoryUse(given["mode"], given.get("user")) if given else None


def _tool_choice(given: Any) -> Literal["none", "auto", "required"] | NamedToolChoice:
    if not isinstance(given, dict):
        return given or "auto"
    function = given.get("function")
    return NamedToolChoice(given["type"], function["name"] if function else None)


def _truncation(given: Json | None) -> Truncation:
    if not given:
        return Truncation()
    # Live answers show null beside "auto" (contract 3.1), whatever number came with it.
    most = given["last_messages"] if given["type"] == "last_messages" else None
    ours = {name: given[name] for name in run_shapes.TRUNCATION_KEYS if given.get(name) is not None}
    return Truncation(given["type"], most, **ours)
