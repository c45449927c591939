"""Core objects -> objects of Backboard's wire (contract 2.3)."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import uuid5

from respun.core.assistants import Assistant, FunctionTool, Tool
from respun.core.ids import uuid_of
from respun.core.memories import Change, Memory, Operation, Recalled
from respun.core.runs import Run, Step, ToolCall
from respun.core.threads import Message, Thread
from respun.core.transcripts import Overview, Transcript
from respun.core.usage import Usage
from respun.dialects.backboard.clients import knows_tool_messages
from respun.dialects.backboard.requests import TIMESTAMP
from respun.workspace import ModelCard

Json = dict[str, Any]

PASSAGES: Final = 10
"""What `tok_k` is where it was never given."""
_TITLE: Final = 80
_STATUSES: Final = {"in_progress": "IN_PROGRESS", "completed": "COMPLETED", "incomplete": "COMPLETED"}
_OPERATIONS: Final = {
    "pending": "PENDING",
    "in_progress": "IN_PROGRESS",
    "completed": "COMPLETED",
    # Clients wait for COMPLETED or ERROR; on any other word some wait for ever (contract 2.3).
    "failed": "ERROR",
}
_BROKEN_OFF: Final = {"run_cancelled": "CANCELLED", "run_expired": "FAILED", "run_failed": "FAILED"}


def timestamp(seconds: float) -> str:
    """Six digits of a second, always: older Pythons read no other number of them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def assistant(given: Assistant) -> Json:
    functions = [tool(each) for each in given.tools if isinstance(each, FunctionTool)]
    return {
        "assistant_id": assistant_id(given.id),
        "name": given.name or "",
        "description": given.instructions if given.description is None else given.description,
        "system_prompt": given.instructions,
        "tools": functions or None,
        "tok_k": given.passages or PASSAGES,
        "embedding_provider": None,
        "embedding_model_name": None,
        "embedding_dims": None,
        "custom_fact_extraction_prompt": given.memory.extraction_prompt,
        "custom_update_memory_prompt": given.memory.update_prompt,
        "created_at": timestamp(given.created_at),
    }


def thread(given: Thread, assistant: str | None, messages: list[Json]) -> Json:
    return {
        "thread_id": thread_id(given.id),
        "assistant_id": assistant_id(assistant) if assistant else None,
        "created_at": timestamp(given.created_at),
        "metadata_": given.metadata,
        "messages": messages,
    }


def transcript(given: Transcript, attached: Mapping[str, Json], user_agent: str) -> Json:
    """`attached`: the documents that came with messages, by the ids of their files."""
    messages = list(_entries(given, attached))
    if not knows_tool_messages(user_agent):
        messages = [{**each, "role": "system"} if each["role"] == "tool" else each for each in messages]
    asked = next((each.text for each in given.entries if isinstance(each, Message) and each.role == "user"), None)
    said = [each.created_at for each in given.entries if isinstance(each, Message)]
    shown = thread(given.thread, given.assistant, messages)
    updated = max(said, default=given.thread.created_at)
    return {**shown, "message_count": len(messages), **_heading(asked, updated)}


def overview(given: Overview, messages: list[Json]) -> Json:
    shown = thread(given.thread, given.assistant, messages)
    return {**shown, "message_count": given.messages, **_heading(given.asked, given.updated_at)}


def message(given: Message, run: Run | None, attached: Mapping[str, Json] = MappingProxyType({})) -> Json:
    wrote = run if given.role == "assistant" else None
    metadata: Json = dict(given.metadata if given.original is None else given.original)
    if given.run:
        metadata["run_id"] = given.run
    return {
        "message_id": str(uuid_of("message", given.id)),
        "role": given.role,
        "content": given.text,
        "created_at": said_at(given),
        "status": _BROKEN_OFF.get(given.incomplete_reason or "", _STATUSES[given.status]),
        "metadata_": metadata,
        "attachments": [attached[each.file] for each in given.attachments if each.file and each.file in attached],
        **model_of(wrote),
        **tokens_of(wrote),
    }


def said_at(given: Message) -> str:
    custom = (given.original or given.metadata).get(TIMESTAMP)
    if not isinstance(custom, str):
        return timestamp(given.created_at)
    moment = datetime.fromisoformat(custom)
    return timestamp((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def turn(step: Step, run: Run | None) -> Iterator[Json]:
    """What a turn of tool calls left in the thread: the asking, and each output (contract 2.4). Our own tools' not."""
    callers = [call for call in step.calls if not call.hosted]
    if not callers:
        return
    calls = [tool_call(call) for call in callers]
    waits = run is not None and run.status == "requires_action" and step.status == "in_progress"
    yield {
        **_left(stub_id(step.id), "assistant", "", step.created_at, {"run_id": step.run, "tool_calls": calls}),
        "status": "REQUIRES_ACTION" if waits else "COMPLETED",
        **model_of(run),
    }
    for call in callers:
        if call.output is not None:
            metadata = {"run_id": step.run, "tool_call_id": call.id, "tool_name": call.name}
            at = step.created_at if step.ended_at is None else step.ended_at
            yield _left(str(uuid5(uuid_of("step", step.id), call.id)), "tool", call.output, at, metadata)


def tool(given: Tool) -> Json:
    assert isinstance(given, FunctionTool)
    function = given.function
    parameters = {"type": "object", "properties": {}, **(function.parameters or {})}
    described = {} if function.description is None else {"description": function.description}
    return {"type": "function", "function": {"name": function.name, **described, "parameters": parameters}}


def tool_call(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def owed(run: Run) -> list[Json]:
    return [tool_call(call) for call in run.calls.owed if not call.hosted] if run.calls else []


def assistant_id(ident: str) -> str:
    return str(uuid_of("assistant", ident))


def recalled(given: Recalled) -> Json:
    return {"id": given.id, "memory": given.text, "content": given.text, "score": round(given.score, 4)}


def memory(given: Memory, score: float | None = None) -> Json:
    return {
        "id": given.id,
        "content": given.text,
        "metadata": given.metadata if given.user is None else {"user_id": given.user, **given.metadata},
        "score": None if score is None else round(score, 4),
        "created_at": timestamp(given.created_at),
        "updated_at": timestamp(given.updated_at),
    }


def operation(given: Operation) -> Json:
    done = given.status == "completed"
    return {
        "operation_id": given.id,
        "status": _OPERATIONS[given.status],
        "memory_ids": [_change(each) for each in given.changes] if done else None,
        "result_count": sum(each.event != "NONE" for each in given.changes) if done else None,
        "error": given.failure if given.status == "failed" else None,
        "created_at": timestamp(given.created_at),
        "updated_at": timestamp(given.updated_at),
    }


def _change(given: Change) -> Json:
    return {"id": given.id, "event": given.event, "memory": given.text}


def thread_id(ident: str) -> str:
    return str(uuid_of("thread", ident))


def stub_id(step: str) -> str:
    return str(uuid_of("step", step))


def model_of(run: Run | None) -> Json:
    if run is None:
        return {"model_provider": None, "model_name": None}
    provider, slash, name = run.plan.model.partition("/")
    return {"model_provider": provider if slash else "openai", "model_name": name if slash else provider}


def tokens_of(run: Run | None) -> Json:
    if run is None:
        return {"input_tokens": None, "output_tokens": None, "total_tokens": None}
    usage = run.usage
    return {"input_tokens": usage.prompt, "output_tokens": usage.completion, "total_tokens": usage.total}


def context_usage(run: Run, window: int, turn: Usage) -> Json:
    """What the last turn took of the window; its answer is part of the thread by then."""
    used, digest = turn.total, None
    if run.context is not None:
        window, digest = run.context.window, run.context.digest
    return {
        "percent": round(100 * used / window, 2) if window else 0,
        "used_tokens": used,
        "context_limit": window,
        "summary_tokens": digest.tokens if digest else 0,
        "model": model_of(run)["model_name"],
    }


def model(card: ModelCard) -> Json:
    vendor, slash, _ = card.id.partition("/")
    return {
        "name": card.id,
        "provider": vendor if slash else card.owned_by,
        "model_type": "llm",
        "context_limit": card.window,
        "max_output_tokens": None,
        "supports_tools": True,
        "supports_streaming": True,
        "api_mode": "chat",
        "embedding_dimensions": None,
        "last_updated": timestamp(card.created) if card.created else None,
        "input_cost_per_1m_tokens": None,
        "cached_input_cost_per_1m_tokens": None,
        "output_cost_per_1m_tokens": None,
    }


def _entries(given: Transcript, attached: Mapping[str, Json]) -> Iterator[Json]:
    for entry in given.entries:
        run = given.runs.get(entry.run or "")
        if isinstance(entry, Step):
            yield from turn(entry, run)
        else:
            yield message(entry, run, attached)


def _left(ident: str, role: str, content: str, at: float, metadata: Json) -> Json:
    return {
        "message_id": ident,
        "role": role,
        "content": content,
        "created_at": timestamp(at),
        "status": "COMPLETED",
        "metadata_": metadata,
        "attachments": [],
        **model_of(None),
        **tokens_of(None),
    }


def _heading(asked: str | None, updated_at: float) -> Json:
    title = " ".join(asked.split())[:_TITLE] if asked else None
    return {"title": title, "first_user_message": asked, "updated_at": timestamp(updated_at)}
