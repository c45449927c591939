"""Core objects of runs -> objects of the wire (contract section 3): runs, steps, tool calls, what a run sends."""

from collections.abc import Iterable
from typing import Final, assert_never

from msgspec import UNSET

from respun.core.assistants import (
    RankingOptions,
    ToolResources,
)
from respun.core.code import code_of
from respun.core.events import ContextItem
from respun.core.memories import MemoryUse
from respun.core.runs import Context, DigestUse, NamedToolChoice, Run, RunError, Step, ToolCall, Truncation, Vectors
from respun.core.usage import Usage
from respun.dialects.openai import shapes
from respun.dialects.openai.objects import (
    CompletionTokensDetails,
    ContextItemObject,
    ContextMessages,
    ContextObject,
    ContextSum,
    Json,
    LastError,
    PromptTokenDetails,
    RunObject,
    StepObject,
    UsageObject,
)
from respun.workspace import Shown

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
_RANKING: Final = RankingOptions()


def run(given: Run, *, streamed: bool = False) -> RunObject:
    """`streamed`: as frames show it, where an empty list of files is written out (contract 3.1)."""
    plan = given.plan
    ended = shapes.seconds(given.ended_at)
    return RunObject(
        id=given.id,
        object="thread.run",
        created_at=int(given.created_at),
        assistant_id=given.assistant,
        thread_id=given.thread,
        status=given.status,
        started_at=shapes.seconds(given.started_at),
        # An expired run keeps the time it expired at; it has no other field for it.
        expires_at=None if given.done and given.status != "expired" else int(given.expires_at),
        cancelled_at=ended if given.status == "cancelled" else None,
        failed_at=ended if given.status == "failed" else None,
        completed_at=ended if given.status in ("completed", "incomplete") else None,
        required_action=_required_action(given) if given.status == "requires_action" else None,
        last_error=_last_error(given.last_error),
        model=plan.model,
        instructions=plan.instructions,
        tools=[shapes.tool(each) for each in plan.tools],
        tool_resources=shapes.resources(_without_empty(plan.tool_resources), streamed),
        metadata=given.metadata,
        temperature=1.0 if plan.temperature is None else plan.temperature,
        top_p=1.0 if plan.top_p is None else plan.top_p,
        reasoning_effort=plan.reasoning_effort,
        max_completion_tokens=plan.max_completion_tokens,
        max_prompt_tokens=plan.max_prompt_tokens,
        truncation_strategy=_truncation(plan.truncation),
        incomplete_details={"reason": given.limit_reached} if given.limit_reached else None,
        usage=usage(given.usage) if given.done else None,
        response_format=shapes.response_format(plan.response_format),
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
    ended = shapes.seconds(given.ended_at)
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
        expires_at=shapes.seconds(given.expires_at) if going or streamed else None,
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


def _memory(given: MemoryUse) -> Json:
    """Ours, and shown only where it is in use: what the run was told, and under which operation it is remembered."""
    recalled = [{"id": each.id, "text": each.text, "score": each.score} for each in given.recalled]
    return {"mode": given.mode, "user": given.user, "operation_id": given.operation, "recalled": recalled}


def usage(given: Usage) -> UsageObject:
    return UsageObject(
        given.prompt,
        given.completion,
        given.total,
        PromptTokenDetails(given.cached),
        CompletionTokensDetails(given.reasoning),
    )


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
