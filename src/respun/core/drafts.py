"""What callers ask for, checked and typed: objects before they have an id and a time."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from respun.core.assistants import Configuration, Effort, Metadata, ResponseFormat, Tool, ToolResources
from respun.core.memories import MemoryMode, MemorySettings, MemoryUse
from respun.core.runs import NamedToolChoice, Truncation
from respun.core.threads import Attachment, Part, Role
from respun.core.vector_stores import StoreDraft


class AssistantDraft(Configuration, frozen=True, kw_only=True):
    """`new_store`: a vector store to be made for it."""

    new_store: StoreDraft | None = None


class AssistantChanges(Struct, frozen=True):
    """UNSET leaves a field as it is; None clears it."""

    model: str | UnsetType = UNSET
    name: str | None | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    instructions: str | None | UnsetType = UNSET
    tools: tuple[Tool, ...] | UnsetType = UNSET
    tool_resources: ToolResources | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    temperature: float | None | UnsetType = UNSET
    top_p: float | None | UnsetType = UNSET
    reasoning_effort: Effort | None | UnsetType = UNSET
    response_format: ResponseFormat | None | UnsetType = UNSET
    passages: int | None | UnsetType = UNSET
    memory: MemorySettings | UnsetType = UNSET
    memory_mode: MemoryMode | UnsetType = UNSET
    """The mode alone, where the rest of `memory` is to stay."""


class MessageDraft(Struct, frozen=True):
    """`original` as in a message."""

    role: Role
    content: tuple[Part, ...]
    attachments: tuple[Attachment, ...] = ()
    metadata: Metadata = {}
    original: dict[str, Any] | None = None


class ThreadDraft(Struct, frozen=True):
    messages: tuple[MessageDraft, ...] = ()
    tool_resources: ToolResources = ToolResources()
    metadata: Metadata = {}
    new_store: StoreDraft | None = None
    """A vector store to be made for it."""
    assistant: str | None = None


class ThreadChanges(Struct, frozen=True):
    tool_resources: ToolResources | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class Preview(Struct, frozen=True):
    """What would be sent of a thread? `model` or `assistant`; with a `query`, as if a user asked it now."""

    model: str | None = None
    assistant: str | None = None
    query: str | None = None
    max_prompt_tokens: int | None = None
    truncation: Truncation = Truncation()


class RunDraft(Struct, frozen=True):
    """A run to be made. What is None is taken from the assistant; what is given replaces it wholly.

    `operation` and `recalled` of `memory` are not the caller's to give: they are settled when the run is created.
    """

    assistant: str
    model: str | None = None
    instructions: str | None = None
    additional_instructions: str | None = None
    additional_messages: tuple[MessageDraft, ...] = ()
    tools: tuple[Tool, ...] | None = None
    tool_resources: ToolResources | None = None
    metadata: Metadata = {}
    temperature: float | None = None
    top_p: float | None = None
    reasoning_effort: Effort | None = None
    response_format: ResponseFormat | Literal["auto"] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice = "auto"
    parallel_tool_calls: bool = True
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None
    truncation: Truncation = Truncation()
    when_busy: Literal["reject", "enqueue", "interrupt"] | None = None
    """What to do when the thread has an active run; None means the server's setting."""
    memory: MemoryUse | None = None
