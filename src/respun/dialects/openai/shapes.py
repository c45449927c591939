"""Core objects -> objects of the wire (contract section 3), and those -> JSON."""

from collections.abc import Callable, Iterable
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
from respun.core.code import code_of
from respun.core.events import ContextItem
from respun.core.memories import MemoryUse
from respun.core.pages import Page
from respun.core.runs import Context, DigestUse, NamedToolChoice, Run, RunError, Step, ToolCall, Truncation, Vectors
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
from respun.core.usage import Usage
from respun.dialects.openai.objects import (
    AssistantObject,
    CompletionTokensDetails,
    ContextItemObject,
    ContextMessages,
    ContextObject,
    ContextSum,
    Json,
    LastError,
    ListObject,
    MessageObject,
    PromptTokenDetails,
    RunObject,
    StepObject,
    ThreadObject,
    UsageObject,
)
from respun.workspace import Shown

T = TypeVar("T")


class Identified(Protocol):
    """What a list shows: its cursors are ids."""

    @property
    def id(self) -> str: ...


TRUNCATION_KEYS: Final = (
    "preset",
    "recall_share",
    "recall_max_tokens",
    "window_keep",
    "fill",
    "pins",
    "vectors",
    "digest",
    "max_context_tokens",
)
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
    ended = _seconds(given.ended_at)
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


def run(given: Run, *, streamed: bool = False) -> RunObject:
    """`streamed`: as frames show it, where an empty list of files is written out (contract 3.1)."""
    plan = given.plan
    ended = _seconds(given.ended_at)
    return RunObject(
        id=given.id,
        object="thread.run",
        created_at=int(given.created_at),
        assistant_id=given.assistant,
        thread_id=given.thread,
        status=given.status,
        started_at=_seconds(given.started_at),
        # An expired run keeps the time it expired at; it has no other field for it.
        expires_at=None if given.done and given.status != "expired" else int(given.expires_at),
        cancelled_at=ended if given.status == "cancelled" else None,
        failed_at=ended if given.status == "failed" else None,
        completed_at=ended if given.status in ("completed", "incomplete") else None,
        required_action=_required_action(given) if given.status == "requires_action" else None,
        last_error=_last_error(given.last_error),
        model=plan.model,
        instructions=plan.instructions,
        tools=[tool(each) for each in plan.tools],
        tool_resources=resources(_without_empty(plan.tool_resources), streamed),
        metadata=given.metadata,
        temperature=1.0 if plan.temperature is None else plan.temperature,
        top_p=1.0 if plan.top_p is None else plan.top_p,
        reasoning_effort=plan.reasoning_effort,
        max_completion_tokens=plan.max_completion_tokens,
        max_prompt_tokens=plan.max_prompt_tokens,
        truncation_strategy=_truncation(plan.truncation),
        incomplete_details={"reason": given.limit_reached} if given.limit_reached else None,
        usage=usage(given.usage) if given.done else None,
        response_format=response_format(plan.response_format),
        tool_choice=_tool_choice(plan.tool_choice),
        parallel_tool_calls=plan.parallel_tool_calls,
        memory=UNSET if plan.memory.mode == "off" else _memory(plan.memory),
        context=context(given.context, given.usage.cached if given.done else None) if given.context else UNSET,
    )


def context(given: Context, cached: int | None = None) -> ContextSum:
    return ContextSum(
        strategy=given.strategy,
        model=given.model,
        context_window=given.window,
        budget=given.budget,
        tokens_used=given.used,
        tokens_thread=given.total,
        messages=ContextMessages(
            given.messages, given.whole, given.clipped, given.pinned, given.recalled, given.dropped
        ),
        window_start=given.start,
        cached_tokens=cached,
        ms=given.ms,
        vectors=_vectors(given.vectors) if given.vectors else UNSET,
        digest=_digest(given.digest) if given.digest else UNSET,
    )


def _vectors(given: Vectors) -> Json:
    return {"status": given.status, "model": given.model or None, "upto": given.upto or None}


def _digest(given: DigestUse) -> Json:
    return {
        "status": given.status,
        "tokens": given.tokens,
        "upto": given.upto or None,
        "usage": {"prompt_tokens": given.usage.prompt, "completion_tokens": given.usage.completion},
        "error": given.error or None,
    }


def context_page(given: Shown, after: int, limit: int) -> ContextObject:
    """The items behind number `after`, which is 0 for the first page."""
    chosen = given.items[after : after + limit]
    data = [_context_item(number, item) for number, item in enumerate(chosen, after + 1)]
    return ContextObject(
        object="list",
        context=context(given.context, given.cached),
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=after + limit < len(given.items),
    )


def _context_item(number: int, given: ContextItem) -> ContextItemObject:
    return ContextItemObject(
        id=f"item_{number}",
        object="thread.context.item",
        kind=given.kind,
        first=given.first,
        last=given.last,
        tokens=given.tokens,
        tokens_whole=given.of or None,
        message_id=given.source or None,
        last_message_id=given.to or None,
        role=given.role or None,
        parts=[list(part) for part in given.parts] or None,
        reason=given.reason or None,
    )


def step(given: Step, *, streamed: bool = False, content: bool = False) -> StepObject:
    """`content`: with the text of what a file search found. Frames keep the run's `expires_at` to the end."""
    going = given.status == "in_progress"
    ended = _seconds(given.ended_at)
    error = given.last_error
    return StepObject(
        id=given.id,
        object="thread.run.step",
        created_at=int(given.created_at),
        run_id=given.run,
        assistant_id=given.assistant,
        thread_id=given.thread,
        type="message_creation" if given.message else "tool_calls",
        status=given.status,
        cancelled_at=ended if given.status == "cancelled" else None,
        completed_at=ended if given.status == "completed" else None,
        expires_at=_seconds(given.expires_at) if going or streamed else None,
        failed_at=ended if given.status == "failed" else None,
        # Steps know two of the three codes of runs (openai SDK types).
        last_error=LastError("server_error" if error.code == "invalid_prompt" else error.code, error.message)
        if error
        else None,
        step_details=step_details(given, content),
        usage=usage(given.usage) if given.usage and not going else None,
        expired_at=ended if given.status == "expired" else None,
        metadata={},
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


def _memory(given: MemoryUse) -> Json:
    """Ours, and shown only where it is in use: what the run was told, and under which operation it is remembered."""
    recalled = [{"id": each.id, "text": each.text, "score": each.score} for each in given.recalled]
    return {"mode": given.mode, "user": given.user, "operation_id": given.operation, "recalled": recalled}


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


def usage(given: Usage) -> UsageObject:
    return UsageObject(
        given.prompt,
        given.completion,
        given.total,
        PromptTokenDetails(given.cached),
        CompletionTokensDetails(given.reasoning),
    )


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


def step_details(given: Step, content: bool) -> Json:
    if given.message:
        return {"type": "message_creation", "message_creation": {"message_id": given.message}}
    return {"type": "tool_calls", "tool_calls": [tool_call(call, content) for call in given.calls]}


def tool_call(call: ToolCall, content: bool) -> Json:
    match call.kind:
        case "function":
            shown: Json = {"name": call.name, "arguments": call.arguments, "output": call.output}
        case "code_interpreter":
            shown = code_cell(call)
        case "file_search":
            shown = _file_search(call, content)
        case _:
            assert_never(call.kind)
    return {"id": call.id, "type": call.kind, call.kind: shown}


def code_cell(call: ToolCall) -> Json:
    details = call.details or {}
    return {"input": details.get("input", code_of(call.arguments)), "outputs": details.get("outputs", [])}


def search_ranking(details: Json | None) -> Json:
    """How results were ranked, as steps show it: without `hybrid_search`."""
    given = (details or {}).get("ranking_options") or {}
    return {
        "ranker": given.get("ranker", _RANKING.ranker),
        "score_threshold": float(given.get("score_threshold", _RANKING.score_threshold)),
    }


def _file_search(call: ToolCall, content: bool) -> Json:
    results: Iterable[Json] = (call.details or {}).get("results") or ()
    return {
        "ranking_options": search_ranking(call.details),
        "results": [
            {name: value for name, value in result.items() if content or name != "content"} for result in results
        ],
    }


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


def _truncation(given: Truncation) -> Json:
    """OpenAI's object exactly, and what else was asked for."""
    ours = {name: value for name in TRUNCATION_KEYS if (value := getattr(given, name)) is not None}
    return {"type": given.type, "last_messages": given.last_messages, **ours}


def _tool_choice(given: str | NamedToolChoice) -> str | Json:
    if isinstance(given, str):
        return given
    return {"type": given.kind, "function": {"name": given.function}} if given.function else {"type": given.kind}


def _required_action(given: Run) -> Json:
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in (given.calls.owed if given.calls else ())
    ]
    return {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}}


def _without_empty(given: ToolResources) -> ToolResources:
    return ToolResources(given.code_files or None, given.vector_stores or None)


def _last_error(given: RunError | None) -> LastError | None:
    return LastError(given.code, given.message) if given else None


def _seconds(time: float | None) -> int | None:
    return None if time is None else int(time)
