"""The objects of the wire, field by field in the order of the recordings (contract 3.1, additions of 3.3)."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from respun.core.assistants import Metadata
from respun.core.runs import ErrorCode, RunStatus, StepStatus

Json = dict[str, Any]


class AssistantObject(Struct):
    id: str
    object: Literal["assistant"]
    created_at: int
    name: str | None
    description: str | None
    model: str
    instructions: str | None
    tools: list[Json]
    top_p: float
    temperature: float
    reasoning_effort: str | None
    tool_resources: Json
    metadata: Metadata
    response_format: str | Json
    memory: Json | UnsetType = UNSET


class ThreadObject(Struct):
    id: str
    object: Literal["thread"]
    created_at: int
    metadata: Metadata
    tool_resources: Json


class MessageObject(Struct):
    id: str
    object: Literal["thread.message"]
    created_at: int
    assistant_id: str | None
    thread_id: str
    run_id: str | None
    status: Literal["in_progress", "completed", "incomplete"]
    incomplete_details: Json | None
    incomplete_at: int | None
    completed_at: int | None
    role: Literal["user", "assistant"]
    content: list[Json]
    attachments: list[Json]
    metadata: Metadata


class PromptTokenDetails(Struct):
    cached_tokens: int


class CompletionTokensDetails(Struct):
    reasoning_tokens: int


class UsageObject(Struct):
    """`prompt_token_details` without an s and the other with one, as they were."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_token_details: PromptTokenDetails
    completion_tokens_details: CompletionTokensDetails


class LastError(Struct):
    code: ErrorCode
    message: str


class ContextMessages(Struct):
    """Of the thread, tool calls and results among them; `dropped` are those of which nothing is sent."""

    total: int
    whole: int
    clipped: int
    pinned: int
    recalled: int
    dropped: int


class ContextSum(Struct):
    """Tokens as the server counts them. `cached_tokens` is what the upstream says it had in its cache."""

    strategy: str
    model: str
    context_window: int
    budget: int
    tokens_used: int
    tokens_thread: int
    messages: ContextMessages
    window_start: int
    cached_tokens: int | None
    ms: float
    vectors: Json | UnsetType = UNSET
    """Where excerpts are to be chosen by meaning, too: whether they were, and if not why."""
    digest: Json | UnsetType = UNSET
    """Where a summary of what was before is wanted: whether it is sent, what it tells of, and what making it took."""


class ContextItemObject(Struct):
    """A message, or several in a row. `first` and `last` are places in the thread, counted from 1.

    `parts`: the characters that are sent, from and to; all of them if there is none. `reason` says why something was
    left out.
    """

    id: str
    object: Literal["thread.context.item"]
    kind: Literal["pinned", "digest", "window", "recalled", "dropped"]
    first: int
    last: int
    tokens: int
    tokens_whole: int | None
    message_id: str | None
    last_message_id: str | None
    role: str | None
    parts: list[list[int]] | None
    reason: str | None


class ContextObject(Struct):
    """What is sent of a thread, item by item; `data` is a page of them."""

    object: Literal["list"]
    context: ContextSum
    data: list[ContextItemObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class RunObject(Struct):
    id: str
    object: Literal["thread.run"]
    created_at: int
    assistant_id: str
    thread_id: str
    status: RunStatus
    started_at: int | None
    expires_at: int | None
    cancelled_at: int | None
    failed_at: int | None
    completed_at: int | None
    required_action: Json | None
    last_error: LastError | None
    model: str
    instructions: str | None
    tools: list[Json]
    tool_resources: Json
    metadata: Metadata
    temperature: float
    top_p: float
    reasoning_effort: str | None
    max_completion_tokens: int | None
    max_prompt_tokens: int | None
    truncation_strategy: Json
    incomplete_details: Json | None
    usage: UsageObject | None
    response_format: str | Json
    tool_choice: str | Json
    parallel_tool_calls: bool
    context: ContextSum | UnsetType = UNSET
    """Ours: what the run sends of its thread, from its first model call on."""
    memory: Json | UnsetType = UNSET


class StepObject(Struct):
    id: str
    object: Literal["thread.run.step"]
    created_at: int
    run_id: str
    assistant_id: str
    thread_id: str
    type: Literal["message_creation", "tool_calls"]
    status: StepStatus
    cancelled_at: int | None
    completed_at: int | None
    expires_at: int | None
    failed_at: int | None
    last_error: LastError | None
    step_details: Json
    usage: UsageObject | None
    expired_at: int | None
    metadata: Metadata


class ModelObject(Struct):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


WireObject = AssistantObject | ThreadObject | MessageObject | RunObject | StepObject | ModelObject


class DeletedObject(Struct):
    id: str
    object: Literal["assistant.deleted", "thread.deleted", "thread.message.deleted"]
    deleted: Literal[True] = True


class ListObject(Struct):
    """The list of models has neither cursors nor `has_more`."""

    object: Literal["list"]
    data: list[Any]
    first_id: str | UnsetType | None = UNSET
    last_id: str | UnsetType | None = UNSET
    has_more: bool | UnsetType = UNSET
