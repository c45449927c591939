"""Core objects -> objects of the wire (contract section 3), and those -> JSON."""

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar, assert_never

import msgspec
from msgspec import UNSET

from respun.core.assistants import (
    Assistant,
    CodeInterpreterTool,
    FileSearchOptions,
    FileSearchTool,
    Function,
    FunctionTool,
    RankingOptions,
    ResponseFormat,
    Tool,
    ToolResources,
)
from respun.core.pages import Page
from respun.core.threads import (
    Annotation,
    Attachment,
    FileCitation,
    FilePath,
    ImageFile,
    ImageLink,
    Message,
    Part,
    Refusal,
    Text,
    Thread,
)
from respun.dialects.openai.objects import (
    AssistantObject,
    Json,
    ListObject,
    MessageObject,
    ThreadObject,
)

T = TypeVar("T")


class Identified(Protocol):
    """What a list shows: its cursors are ids."""

    @property
    def id(self) -> str: ...


encode: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode
_RANKING: Final = RankingOptions()


def assistant(given: Assistant) -> AssistantObject:
    code = any(isinstance(tool, CodeInterpreterTool) for tool in given.tools)
    return AssistantObject(
        id=given.id,
        object="assistant",
        created_at=int(given.created_at),
        name=given.name,
        description=given.description,
        model=given.model,
        instructions=given.instructions,
        tools=[tool(each) for each in given.tools],
        top_p=1.0 if given.top_p is None else given.top_p,
        temperature=1.0 if given.temperature is None else given.temperature,
        reasoning_effort=given.reasoning_effort,
        tool_resources=resources(given.tool_resources, code),
        metadata=given.metadata,
        response_format=response_format(given.response_format),
        memory=UNSET if given.memory.mode == "off" else {"mode": given.memory.mode},
    )


def thread(given: Thread, *, made: bool = False) -> ThreadObject:
    """`made`: the answer to its creation or change, which shows no list that was never given; reads do."""
    return ThreadObject(
        id=given.id,
        object="thread",
        created_at=int(given.created_at),
        metadata=given.metadata,
        tool_resources=resources(given.tool_resources, not made),
    )


def message(given: Message) -> MessageObject:
    whole = given.status == "completed"
    ended = seconds(given.ended_at)
    return MessageObject(
        id=given.id,
        object="thread.message",
        created_at=int(given.created_at),
        assistant_id=given.assistant,
        thread_id=given.thread,
        run_id=given.run,
        status=given.status,
        incomplete_details={"reason": given.incomplete_reason} if given.incomplete_reason else None,
        incomplete_at=ended if given.status == "incomplete" else None,
        completed_at=(ended or int(given.created_at)) if whole else None,
        role=given.role,
        content=[part(each) for each in given.content],
        attachments=[_attachment(each) for each in given.attachments],
        metadata=given.metadata,
    )


def page(given: Page[T], shape: Callable[[T], Identified]) -> ListObject:
    data = [shape(item) for item in given.items]
    return ListObject(
        object="list",
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=given.has_more,
    )


def tool(given: Tool) -> Json:
    match given:
        case CodeInterpreterTool():
            return {"type": "code_interpreter"}
        case FileSearchTool():
            return {"type": "file_search", "file_search": _search_options(given.file_search)}
        case FunctionTool():
            return {"type": "function", "function": _function(given.function)}
        case _:
            assert_never(given)


def resources(given: ToolResources, code: bool) -> Json:
    """`code`: a list of code files is shown even if none was ever given."""
    shown: Json = {}
    if given.code_files is not None or code:
        shown["code_interpreter"] = {"file_ids": given.code_files or ()}
    if given.vector_stores is not None:
        shown["file_search"] = {"vector_store_ids": given.vector_stores}
    return shown


def response_format(given: ResponseFormat | None) -> str | Json:
    if given is None:
        return "auto"
    shown: Json = msgspec.to_builtins(given)
    return shown


def part(given: Part) -> Json:
    match given:
        case Text():
            annotations = [annotation(each) for each in given.annotations]
            return {"type": "text", "text": {"value": given.value, "annotations": annotations}}
        case ImageFile():
            return {"type": "image_file", "image_file": {"file_id": given.file, "detail": given.detail}}
        case ImageLink():
            return {"type": "image_url", "image_url": {"url": given.url, "detail": given.detail}}
        case Refusal():
            return {"type": "refusal", "refusal": given.value}
        case _:
            assert_never(given)


def annotation(given: Annotation) -> Json:
    span: Json = {"text": given.text, "start_index": given.start, "end_index": given.end}
    match given:
        case FileCitation():
            cited: Json = {"type": "file_citation", **span, "file_citation": {"file_id": given.file}}
            if given.quote:
                # Ours: what a reader needs to check the citation.
                cited["source"] = {"quote": given.quote, "page": given.page, "score": given.score}
            return cited
        case FilePath():
            return {"type": "file_path", **span, "file_path": {"file_id": given.file}}
        case _:
            assert_never(given)


def _search_options(given: FileSearchOptions) -> Json:
    ranking = msgspec.to_builtins(given.ranking_options or _RANKING)
    if given.max_num_results is None:
        return {"ranking_options": ranking}
    return {"max_num_results": given.max_num_results, "ranking_options": ranking}


def _function(given: Function) -> Json:
    described = {} if given.description is None else {"description": given.description}
    parameters = {"type": "object", "properties": {}} if given.parameters is None else given.parameters
    return {"name": given.name, **described, "parameters": parameters, "strict": bool(given.strict)}


def _attachment(given: Attachment) -> Json:
    return {"file_id": given.file, "tools": [{"type": kind} for kind in given.tools]}


def seconds(time: float | None) -> int | None:
    return None if time is None else int(time)
